// Package span finds the part of a sorted list that a range of tags is in.
//
// A range is bytewise, and a registry may sort its list, and compare with last, in
// another order. So what is read begins below the range in every order that the
// registry may compare by, and ends where a page is past the range in every order
// that the list may be in. What is read beside the range costs time, and what is not
// read would be lost.
package span

import (
	"slices"
	"strings"

	"github.com/ocitags/ocitags/internal/order"
)

// A Range is the tags that are greater than After and begin with Prefix, bytewise.
type Range struct{ After, Prefix string }

// Has reports whether a tag is in the range.
func (r Range) Has(tag string) bool { return tag > r.After && strings.HasPrefix(tag, r.Prefix) }

// IsEmpty reports whether no tag can be in the range.
func (r Range) IsEmpty() bool { return r.After > r.Prefix && !r.isInside() }

// isInside reports whether After itself begins with Prefix.
func (r Range) isInside() bool { return strings.HasPrefix(r.After, r.Prefix) }

// maxTag is how long a tag may be.
const maxTag = 128

// tagBytes are those of tags (distribution-spec v1.1.1, "Pulling manifests").
const tagBytes = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// Start returns the last to send for the range to come after it, whichever of some
// orders the registry compares by: close to the range, and a string that a tag may
// be. "": the list has to be read from its start.
func (r Range) Start(orders []order.Order) string {
	from := r.Prefix
	if r.isInside() {
		from = r.After
	}
	isSafe := func(last string) bool {
		return last != "" && len(last) <= maxTag && strings.IndexByte("-.", last[0]) < 0 &&
			!slices.ContainsFunc(orders, func(o order.Order) bool { return !r.isBelow(last, o) })
	}
	if isSafe(from) {
		return from
	}
	for n := len(from) - 1; n >= 0; n-- {
		// What comes just before the tags that begin with one byte more, or else
		// before those that begin with this.
		for _, c := range before(from[n]) {
			if last := from[:n] + string(c) + "zzzzzzzz"; isSafe(last) {
				return last
			}
		}
		if isSafe(from[:n]) {
			return from[:n]
		}
	}
	return ""
}

// before returns letters and digits that are less than a byte in every order, the
// greatest first.
func before(c byte) string {
	switch {
	case c == 'a' || c == 'A':
		return "9"
	case '1' <= c && c <= '9':
		return string(c - 1)
	case 'b' <= c && c <= 'z', 'B' <= c && c <= 'Z':
		return string(c-1) + "9"
	}
	return ""
}

// isBelow reports whether all tags of the range come after last in an order. Tags
// that the order takes for the same may come before each other.
func (r Range) isBelow(last string, o order.Order) bool {
	key := o.Key(last)
	switch {
	case !r.isInside():
		return key < o.Key(r.Prefix)
	case o.IsBytes():
		return key <= r.After
	case key >= o.Key(r.After):
		return false
	}
	// A tag that is greater has a greater byte somewhere, which may come first here.
	for i := len(r.Prefix); i < len(r.After); i++ {
		for _, c := range tagBytes[strings.IndexByte(tagBytes, r.After[i])+1:] {
			if key >= o.Key(r.After[:i]+string(c)) {
				return false
			}
		}
	}
	return true
}

// IsPast reports whether a tag, and all that come after it in a sorted list, are past
// the range in every one of some orders.
func (r Range) IsPast(tag string, orders []order.Order) bool {
	return r.Prefix != "" && len(orders) > 0 && !slices.ContainsFunc(orders, func(o order.Order) bool {
		key, prefix := o.Key(tag), o.Key(r.Prefix)
		return key < prefix || strings.HasPrefix(key, prefix)
	})
}
