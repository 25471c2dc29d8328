package dedup

import "sort"

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
func (r *run) start(n int) (c run) {
	for i := range n {
		c.append(string(r.at(i)))
	}
	return c
}

// tags returns the tags.
func (r *run) tags() []string {
	list := make([]string, r.len())
	for i := range list {
		list[i] = string(r.at(i))
	}
	return list
}

func (r *run) has(tag string) bool {
	i := sort.Search(r.len(), func(i int) bool { return string(r.at(i)) >= tag })
	return i < r.len() && string(r.at(i)) == tag
}

func (r *run) append(tags ...string) {
	for _, tag := range tags {
		r.text = append(r.text, tag...)
		r.ends = append(r.ends, len(r.text))
	}
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
