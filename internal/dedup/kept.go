package dedup

import "sort"

// Kept are tags in the order in which they were admitted.
type Kept struct {
	full [][]string // so that a long list is copied once, and not each time that it grows
	tags []string
}

// chunk is how many tags are in each part of full.
const chunk = 16384

func (k *Kept) add(tags []string) {
	for len(tags) > 0 {
		if len(k.tags) == chunk {
			k.full = append(k.full, k.tags)
			k.tags = make([]string, 0, chunk)
		}
		n := min(len(tags), chunk-len(k.tags))
		k.tags = append(k.tags, tags[:n]...)
		tags = tags[n:]
	}
}

// has reports whether a tag is there, if all ascend.
func (k *Kept) has(tag string) bool {
	in := k.tags
	if len(in) == 0 || tag < in[0] {
		behind := sort.Search(len(k.full), func(i int) bool { return k.full[i][0] > tag })
		if behind == 0 {
			return false
		}
		in = k.full[behind-1]
	}
	i := sort.SearchStrings(in, tag)
	return i < len(in) && in[i] == tag
}

// All returns the tags, in a list that has room for no more. It is not nil.
func (k *Kept) All() []string {
	tags := make([]string, 0, len(k.full)*chunk+len(k.tags))
	for _, part := range k.full {
		tags = append(tags, part...)
	}
	return append(tags, k.tags...)
}
