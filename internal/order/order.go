// Package order compares tags the way registries sort them.
package order

import "strings"

// An Order is one way to sort tags. Tags that it takes for equal may stand in
// any order.
type Order struct {
	Name   string
	weight *[256]byte      // of each byte; nil: the byte itself
	tag    func(byte) byte // weight, undone
}

// Known are the orders that registries use.
var Known = []Order{
	{"by bytes", nil, same},

	// What distribution-spec v1.0.1 asked for: "lexical (i.e. case-insensitive
	// alphanumeric)".
	{"folded", weights(folded), same},

	// As seen at a GitLab registry whose PostgreSQL sorts by ICU's en-US: "_",
	// "-", ".", digits, letters.
	{"punctuation first", weights(punctuationFirst), unpunctuated},

	// As the older glibc locales sort.
	{"without punctuation", weights(lettersOnly), same},
}

// ignored is the weight of a byte that the order does not look at.
const ignored = 0xff

// Compare returns a negative number if a sorts before b, a positive one if it sorts after
// b, and 0 if the order does not tell them apart.
func (o Order) Compare(a, b string) int {
	if o.weight == nil {
		return strings.Compare(a, b)
	}
	weight := o.weight
	for i, j := 0, 0; ; i, j = i+1, j+1 {
		for i < len(a) && weight[a[i]] == ignored {
			i++
		}
		for j < len(b) && weight[b[j]] == ignored {
			j++
		}
		switch {
		case i == len(a) && j == len(b):
			return 0
		case i == len(a):
			return -1
		case j == len(b):
			return 1
		}
		if wa, wb := weight[a[i]], weight[b[j]]; wa != wb {
			return int(wa) - int(wb)
		}
	}
}

// IsBytes reports whether o is the order of bytes, in which no two tags are the same.
func (o Order) IsBytes() bool { return o.weight == nil }

// Key returns a string for each tag, so that strings.Compare sorts these strings as the
// order sorts the tags.
func (o Order) Key(tag string) string {
	if o.weight == nil {
		return tag
	}
	key := make([]byte, 0, len(tag))
	for i := range len(tag) {
		if w := o.weight[tag[i]]; w != ignored {
			key = append(key, w)
		}
	}
	return string(key)
}

// Tag has that Key.
func (o Order) Tag(key string) string {
	tag := make([]byte, len(key))
	for i := range len(key) {
		tag[i] = o.tag(key[i])
	}
	return string(tag)
}

// Below reports whether a sorts before b in every order that a registry is
// known to use.
//
// A list in which some tag is Below the one before it is thus sorted by
// nothing known: by time of insertion, or like the keys of an object store.
func Below(a, b string) bool {
	for _, o := range Known {
		if o.Compare(a, b) >= 0 {
			return false
		}
	}
	return true
}

// weights returns the weights of all bytes.
func weights(of func(byte) byte) *[256]byte {
	var table [256]byte
	for c := range table {
		table[c] = of(byte(c))
	}
	return &table
}

func same(c byte) byte { return c }

func folded(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func punctuationFirst(c byte) byte {
	if i := strings.IndexByte(punctuation, c); i >= 0 {
		return byte(i)
	}
	return folded(c)
}

func unpunctuated(c byte) byte {
	if int(c) < len(punctuation) {
		return punctuation[c]
	}
	return c
}

func lettersOnly(c byte) byte {
	if strings.IndexByte(punctuation, c) >= 0 {
		return ignored
	}
	return folded(c)
}

// punctuation is that of tags, as ICU sorts it.
const punctuation = "_-."
