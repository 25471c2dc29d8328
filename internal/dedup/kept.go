package dedup

import (
	"sort"
	"strings"
)

// Kept holds tags in the order in which they were admitted. It makes strings of them when it
// is asked for All: until then the garbage collector need not follow each.
type Kept struct {
	full []block
	text strings.Builder // of the last block
	ends []uint16
	len  int
}

// A block is some tags, one behind the other.
type block struct {
	text string
	ends []uint16 // of each tag, in text
}

// blockBytes is how many bytes make a block full. As long as the user holds one of its tags,
// all of a block stays in memory.
const blockBytes = 16 << 10

func (b block) at(i int) string {
	if i == 0 {
		return b.text[:b.ends[0]]
	}
	return b.text[b.ends[i-1]:b.ends[i]]
}

func (k *Kept) add(tags []string) {
	for _, tag := range tags {
		if k.text.Len() >= blockBytes {
			k.full = append(k.full, k.last())
			k.text, k.ends = strings.Builder{}, make([]uint16, 0, len(k.ends))
			k.text.Grow(blockBytes + len(tag))
		}
		k.text.WriteString(tag)
		k.ends = append(k.ends, uint16(k.text.Len()))
	}
	k.len += len(tags)
}

func (k *Kept) last() block { return block{k.text.String(), k.ends} }

// has reports whether a tag is there, if all ascend.
func (k *Kept) has(tag string) bool {
	in := k.last()
	if k.len == 0 {
		return false
	}
	if tag < in.at(0) {
		behind := sort.Search(len(k.full), func(i int) bool { return k.full[i].at(0) > tag })
		if behind == 0 {
			return false
		}
		in = k.full[behind-1]
	}
	i := sort.Search(len(in.ends), func(i int) bool { return in.at(i) >= tag })
	return i < len(in.ends) && in.at(i) == tag
}

// All returns the tags, in a list that has room for no more. It is not nil.
func (k *Kept) All() []string {
	tags := make([]string, 0, k.len)
	for _, b := range append(k.full, k.last()) {
		for i := range b.ends {
			tags = append(tags, b.at(i))
		}
	}
	return tags
}
