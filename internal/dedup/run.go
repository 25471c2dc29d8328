package dedup

import (
	"slices"
	"sort"
)

// A run is a list of ascending tags, one behind the other in one piece of memory: to the
// garbage collector, thousands of strings would be as many objects to look at.
type run struct {
	text []byte
	ends []int // of each tag, in text
}

func (r *run) len() int { return len(r.ends) }

func (r *run) begin(i int) int {
	if i == 0 {
		return 0
	}
	return r.ends[i-1]
}

// at returns a tag, which is valid until the run changes.
func (r *run) at(i int) []byte { return r.text[r.begin(i):r.ends[i]] }

// start returns a copy of the first n tags.
func (r *run) start(n int) run {
	return run{slices.Clone(r.text[:r.begin(n)]), slices.Clone(r.ends[:n])}
}

// tags returns the tags.
func (r *run) tags() []string {
	list := make([]string, r.len())
	for i := range list {
		list[i] = string(r.at(i))
	}
	return list
}

// find returns where a tag is, or where it would be.
func (r *run) find(tag string) (i int, found bool) {
	i = sort.Search(r.len(), func(i int) bool { return string(r.at(i)) >= tag })
	return i, i < r.len() && string(r.at(i)) == tag
}

func (r *run) append(tags ...string) {
	for _, tag := range tags {
		r.text = append(r.text, tag...)
		r.ends = append(r.ends, len(r.text))
	}
}

func (r *run) insert(i int, tag string) {
	at := r.begin(i)
	r.append(tag) // makes room
	copy(r.text[at+len(tag):], r.text[at:])
	copy(r.text[at:], tag)
	for j := r.len() - 1; j > i; j-- {
		r.ends[j] = r.ends[j-1] + len(tag)
	}
	r.ends[i] = at + len(tag)
}

// drop removes the first n tags.
func (r *run) drop(n int) {
	cut := r.begin(n)
	r.text = append(r.text[:0], r.text[cut:]...)
	r.ends = append(r.ends[:0], r.ends[n:]...)
	for i := range r.ends {
		r.ends[i] -= cut
	}
}
