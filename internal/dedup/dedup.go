// Package dedup lets each tag of a long list through once, without holding the
// list while it ascends.
package dedup

import (
	"hash/maphash"
	"slices"
	"strings"
)

// Keep is how many tags of an ascending list are remembered, at the least: more than stand in
// the largest page that is asked for, which may come twice. It is a variable for tests, which
// have shorter lists.
var Keep = 12288

// A Filter admits each tag once, by its name: not by its place, nor because it
// is less than another, as the same question may be answered with another list.
//
// While the tags ascend it remembers the last of them, and of all the others
// only their number and the sum of their hashes. That is enough as long as none
// comes before those that are remembered; when one does, Admit asks for what was
// forgotten, and Restore checks that it is that. The first tags are remembered, too: a
// list that is begun once more, to compare, need not be more than them. From a tag out of
// order on the Filter holds a set: of all tags, or, if some are forgotten, of those that are
// out of order. With Kept it forgets none. The zero value is ready.
type Filter struct {
	Kept *Kept // receives all tags; nil: nobody wants them

	max    string   // the greatest of those that ascend
	head   []string // the first of those before recent
	recent []string // the last ones, if they are not Kept
	old    digest   // of those before recent, which are forgotten
	late   *set     // tags that came out of order, once others were forgotten; nil: none did
	odd    digest   // of these
	seen   *set     // all tags; nil: they ascend, but for late
	gone   uint64   // the hash of one more, which Restore was not given; 0: there is none

	page   int    // how many tags of old and recent came before the page
	start  digest // of these, once they are forgotten
	before string // the greatest of them
	repeat bool   // the page is read again
	again  digest // start, and the tags of this try that come before recent
	at     string // the one of them that came last
}

// A digest is a number of tags, the sum of their hashes, and that of the squares
// of these.
type digest struct {
	n            int
	sum, squares uint64
}

var hashSeed = maphash.MakeSeed()

func hash(tag string) uint64 { return maphash.String(hashSeed, tag) }

func (d *digest) add(hash uint64) {
	d.n, d.sum, d.squares = d.n+1, d.sum+hash, d.squares+hash*hash
}

func (d *digest) remove(hash uint64) {
	d.n, d.sum, d.squares = d.n-1, d.sum-hash, d.squares-hash*hash
}

func (d digest) without(other digest) digest {
	return digest{d.n - other.n, d.sum - other.sum, d.squares - other.squares}
}

// Page begins a page, at its first try or at another one.
func (f *Filter) Page(try int) {
	if try == 1 {
		f.page, f.before = f.old.n+len(f.recent), f.max
		if f.page == 0 {
			f.start = digest{}
		}
	}
	f.repeat, f.again, f.at = try > 1 && f.Kept == nil, f.start, f.before
}

// Ascend admits the first of some tags, as long as each is greater than all before, and returns
// how many these are.
func (f *Filter) Ascend(tags []string) (n int) {
	if f.seen != nil || f.repeat { // Admit says what this try may have had
		return 0
	}
	for last := f.max; n < len(tags) && tags[n] > last; n++ {
		last = tags[n]
	}
	switch {
	case n == 0:
		return 0
	case f.Kept != nil:
		f.Kept.add(tags[:n])
	case n < len(tags)/2:
		for _, tag := range tags[:n] { // the others, from which it is cut, would stay in memory
			f.push(strings.Clone(tag))
		}
	default:
		f.push(tags[:n]...)
	}
	f.max = tags[n-1]
	return n
}

// Admit reports whether tag is new, and makes it known. When ok is false it
// cannot tell: the tag comes before those that are remembered. Restore then has
// to give back the others, and the page to be read again.
func (f *Filter) Admit(tag string) (fresh, ok bool) {
	switch {
	case f.seen != nil:
		return f.admit(tag), true
	case tag == f.before: // the page begins with the cursor itself
		return false, true
	case f.late.has(tag), f.isOld(tag) && !f.repeat && has(f.head, tag):
		return false, true
	case f.isOld(tag):
		return f.skip(tag)
	case f.repeat && f.ForgetsPage() && (tag <= f.max || f.at != f.before) && f.again != f.old:
		return false, false // this try has not had all the tags of the one before, or others
	}
	f.repeat = false
	switch {
	case tag > f.max:
		f.Ascend([]string{strings.Clone(tag)})
		return true, true
	case f.Kept != nil && f.Kept.has(tag), has(f.recent, tag):
		return false, true
	case f.Kept != nil:
		f.Set(f.Kept.All())
	case f.old.n == 0:
		f.Set(f.recent)
	default:
		if f.late == nil {
			f.late = new(set)
		}
		f.late.add(tag)
		f.odd.add(hash(tag))
		return true, true
	}
	return f.admit(tag), true
}

// admit is Admit where all tags are in the set.
func (f *Filter) admit(tag string) (fresh bool) {
	if !f.seen.add(tag) || f.gone != 0 && hash(tag) == f.gone {
		return false
	}
	if f.Kept != nil {
		f.Kept.add([]string{tag})
	}
	return true
}

// has reports whether a tag is among some that ascend.
func has(tags []string, tag string) bool {
	_, ok := slices.BinarySearch(tags, tag)
	return ok
}

// isOld reports whether tag comes before those that are remembered.
func (f *Filter) isOld(tag string) bool { return f.old.n > 0 && tag < f.recent[0] }

// push appends tags that are greater than all before.
func (f *Filter) push(tags ...string) {
	if f.recent = append(f.recent, tags...); len(f.recent) >= Keep+Keep/2 { // not for each batch
		f.forget(len(f.recent) - Keep)
	}
}

// forget forgets the first n of the tags that are remembered.
func (f *Filter) forget(n int) {
	if f.old.n == 0 {
		f.head = slices.Clone(f.recent[:Keep/8])
	}
	for _, tag := range f.recent[:n] {
		if f.old.add(hash(tag)); f.old.n == f.page {
			f.start = f.old
		}
	}
	f.recent = slices.Delete(f.recent, 0, n)
}

// skip takes a tag that comes before those that are remembered. When a long page
// is read again it is likely to be the same once more, which shows at the first
// one that is remembered.
func (f *Filter) skip(tag string) (fresh, ok bool) {
	if !f.repeat || tag <= f.at {
		return false, false
	}
	f.at = tag
	f.again.add(hash(tag))
	return false, true
}

// Forgets reports whether there are tags that are not remembered.
func (f *Filter) Forgets() bool { return f.seen == nil && f.old.n > 0 }

// ForgetsPage reports whether tags are not remembered that may stand at the start of the page.
// If it is read again, Admit takes tags there for known, until one that is remembered shows
// whether they were the same.
func (f *Filter) ForgetsPage() bool { return f.Forgets() && f.old.n >= f.page }

// IsOther reports whether Admit has taken tags for known that are not those which are
// forgotten. A page must not end so: one of them may be new.
func (f *Filter) IsOther() bool {
	return f.seen == nil && f.repeat && f.at != f.before && f.again != f.old
}

// Knows reports whether tag was admitted. Of those that are forgotten it takes
// all for known that are less than what it remembers.
func (f *Filter) Knows(tag string) bool {
	switch {
	case f.seen != nil:
		return f.seen.has(tag)
	case f.Kept != nil:
		return f.Kept.has(tag)
	}
	return has(f.recent, tag) || f.late.has(tag) || f.isOld(tag)
}

// Ascends reports whether all tags came in this order.
func (f *Filter) Ascends() bool { return f.late == nil && f.seen == nil }

// Max returns the greatest tag, while f.Ascends.
func (f *Filter) Max() string { return f.max }

// Len returns how many tags were admitted, while f.Forgets.
func (f *Filter) Len() int { return f.old.n + len(f.recent) + f.odd.n }

// Set says which tags are known, all of them, from someone who holds them.
func (f *Filter) Set(tags []string) {
	f.seen = new(set)
	for _, tag := range tags {
		f.seen.add(tag)
	}
	f.recent, f.late = nil, nil
}

// Restore takes tags that were read again, in place of those that were forgotten. They may
// have one or two that are new, or lack one, or have another one in its place: Restore finds
// which. It reports false where they differ by more.
func (f *Filter) Restore(tags []string) bool {
	var more digest
	for _, tag := range tags {
		more.add(hash(tag))
	}
	more = more.without(f.old).without(f.odd)
	for _, tag := range f.recent {
		more.remove(hash(tag))
	}
	added, gone := explain(tags, more)
	for _, tag := range added {
		more.remove(hash(tag))
	}
	if gone != 0 {
		more.add(gone)
	}
	if more != (digest{}) {
		return false
	}
	f.gone = gone
	f.Set(nil)
	for _, tag := range tags {
		if !slices.Contains(added, tag) {
			f.seen.add(tag)
		}
	}
	return true
}

// explain returns the tags whose addition, and the hash of the one whose removal may account
// for more; 0: none was removed.
func explain(tags []string, more digest) (added []string, gone uint64) {
	switch {
	case more == digest{}:
	case more.n == -1:
		gone = -more.sum
	case more.n == 0, more.n == 1:
		for _, tag := range tags {
			h := hash(tag)
			if gone := h - more.sum; h*h-gone*gone == more.squares {
				return []string{tag}, gone
			}
		}
	case more.n == 2:
		added = twoOf(tags, more)
	}
	return added, gone
}

// twoOf returns two tags whose digests add up to more; nil: there are none.
func twoOf(tags []string, more digest) []string {
	byHash := make(map[uint64]string, len(tags))
	for _, tag := range tags {
		h := hash(tag)
		other := more.sum - h
		if name, ok := byHash[other]; ok && h*h+other*other == more.squares {
			return []string{name, tag}
		}
		byHash[h] = tag
	}
	return nil
}
