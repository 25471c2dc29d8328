package order

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// compareKeys compares tags as object keys, <tag>/current/link, by which
// distribution's S3 driver lists: "-" and "." come before "/", so that u-1 comes
// before u. No registry compares with last in this order.
func compareKeys(a, b string) int {
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 || len(a) == len(b) {
		return c
	}
	if len(a) < len(b) { // its key goes on with a slash, which no tag has
		return cmp.Compare('/', b[n])
	}
	return cmp.Compare(a[n], '/')
}

// orders is a set of orders. Bit i stands for Known[i], and the next bit for the order of
// object keys.
type orders uint8

const (
	byBytes     orders = 1 << 0
	folding     orders = 1 << 1
	knownOrders orders = 1<<4 - 1
	keyOrder    orders = 1 << 4
	anyOrder           = knownOrders | keyOrder
)

// Seen collects what the pages of a list show: the orders that the list may be in, and
// the orders by which the registry may compare tags with last. If those differ, paging may
// lose tags. New returns a Seen that has seen nothing.
type Seen struct {
	list orders    // the list may be in
	cut  orders    // the registry may compare by; 0: it looks for the place of last
	lost [5]orders // lost[i] has the orders of cut that would lose tags of a list in order i

	first byteSet // characters that tags began with
	inner byteSet // characters elsewhere in tags
	noted int     // tags of this page that these were taken from

	prev, after string
	tags        int  // tags of this page, which was asked for after a tag
	byTag       bool // a page was asked for after a tag, and was not empty

	open    orders    // for which no tag behind the probe was seen yet
	probed  [4]string // the first such tag, by order
	suspect bool      // a page of a list by bytes ended in upper case: a registry that folds case would hide lower case

	pairs [4][2]string // neighbours for which the list is not in order Known[i]

	// Inversion is the first pair of neighbours of which the second comes before
	// the first in every known order; both are "" while there is none.
	Inversion [2]string
}

// MaxNoted is the number of tags in a page whose characters are noted.
const MaxNoted = 2048

// New returns a Seen that has seen nothing.
func New() Seen { return Seen{list: anyOrder, cut: knownOrders, open: knownOrders} }

// Page begins a page that was asked for after a tag; "": the first one, or one
// whose cursor is not a tag.
func (s *Seen) Page(after string) { s.prev, s.after, s.tags, s.noted = after, after, 0, 0 }

// Seek begins a page that was asked for after a string which is not a tag of the list.
func (s *Seen) Seek(after string) { s.prev, s.after, s.tags, s.noted = "", after, 0, 0 }

// Orders returns the known orders that the list may be in.
func (s *Seen) Orders() []Order { return s.list.known() }

// Compares returns the orders by which the registry may compare; none: it looks for
// the place of last.
func (s *Seen) Compares() []Order { return s.cut.known() }

func (o orders) known() (all []Order) {
	for i, known := range Known {
		if o&(1<<i) != 0 {
			all = append(all, known)
		}
	}
	return all
}

// ComparesBy records that the registry compares by one of some orders.
func (s *Seen) ComparesBy(some []Order) {
	var by orders
	for i, known := range Known {
		if slices.ContainsFunc(some, func(o Order) bool { return o.Name == known.Name }) {
			by |= 1 << i
		}
	}
	s.cut &= by
}

// NotByKeys records that the list is not in the order of object keys.
func (s *Seen) NotByKeys() { s.list &^= keyOrder }

// AddAll takes the next tags of a page, and reports whether each comes after the
// one before it, by bytes.
func (s *Seen) AddAll(tags []string) (ascend bool) {
	ascend = true
	for _, tag := range tags {
		ascend = s.Add(tag) && ascend
	}
	return ascend
}

// Add is AddAll for one tag.
func (s *Seen) Add(tag string) (ascends bool) {
	same := 0 // so many bytes as in the tag before
	if prev := s.prev; prev != "" {
		same = CommonPrefix(prev, tag)
		ascends = same < len(tag) && (same == len(prev) || prev[same] < tag[same])
		if now := s.list.allowingFrom(prev, tag, same); now != s.list {
			s.disorder(now, tag)
		}
		if s.list&knownOrders == 0 && s.Inversion[0] == "" && Below(tag, prev) {
			s.Inversion = [2]string{prev, tag}
		}
	}
	s.prev = tag
	if s.noted < MaxNoted {
		if s.noted++; s.noted == 1 {
			same = 0
		}
		s.note(tag, same)
	}
	if s.open != 0 {
		s.meetProbe(tag)
	}
	if s.after == "" || s.cut == 0 || tag == s.after {
		return ascends
	}
	// Only the first tags of a page, and then some of them, as each costs a comparison for
	// each order.
	s.byTag = true
	if s.tags++; s.tags <= 32 || s.tags%16 == 0 {
		s.cut = s.cut.comparing(s.after, tag)
	}
	return ascends
}

// disorder records that a tag followed prev, which it may in the orders now only.
func (s *Seen) disorder(now orders, tag string) {
	for k := range s.pairs {
		if (s.list&^now)&(1<<k) != 0 {
			s.pairs[k] = [2]string{s.prev, tag}
		}
	}
	s.list = now
}

// allowing returns those of the orders in which b may follow a.
func (o orders) allowing(a, b string) orders { return o.allowingFrom(a, b, CommonPrefix(a, b)) }

// allowingFrom is like allowing, for tags of which the first i bytes are the same.
func (o orders) allowingFrom(a, b string, i int) orders {
	if i < len(a) && i < len(b) && kind(a[i]) != 0 && kind(a[i]) == kind(b[i]) {
		if a[i] < b[i] { // in every order
			return o
		}
		return 0
	}
	a, b = a[i:], b[i:] // what is before that is the same in every order
	if o&keyOrder != 0 && compareKeys(a, b) > 0 {
		o &^= keyOrder
	}
	for i, known := range Known {
		if o&(1<<i) != 0 && known.Compare(a, b) > 0 {
			o &^= 1 << i
		}
	}
	return o
}

// CommonPrefix returns the length of the longest common prefix of a and b.
func CommonPrefix(a, b string) int {
	i, n := 0, min(len(a), len(b))
	for ; i+8 <= n; i += 8 {
		if x := word(a[i:]) ^ word(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// word returns the first eight bytes of s. The compiler makes one load of it.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// comparing returns those of the orders by which a registry may answer tag to the
// question what comes after last.
func (o orders) comparing(last, tag string) orders {
	for i, known := range Known {
		if o&(1<<i) != 0 && known.Compare(last, tag) > 0 {
			o &^= 1 << i
		}
	}
	return o
}

// Sorted reports whether the list may be in a known order.
func (s *Seen) Sorted() bool { return s.list&knownOrders != 0 }

// InNoOrder reports whether the list is in no order at all that is known, that of object keys
// included.
func (s *Seen) InNoOrder() bool { return s.list == 0 }

// ByKeys reports whether the list can only be in the order of object keys.
func (s *Seen) ByKeys() bool { return s.list == keyOrder }

// LooksUp reports whether the registry has answered tags that are greater than
// last in no order: it looks for the place of last.
func (s *Seen) LooksUp() bool { return s.cut == 0 }

// MayAgree reports whether the list may be in an order by which the registry may
// compare.
func (s *Seen) MayAgree() bool { return s.list&s.cut != 0 }

// Compared reports whether a page came that was asked for after a tag, the list may be in a known
// order, and the registry may compare with last in one.
func (s *Seen) Compared() bool { return s.byTag && s.list&knownOrders != 0 && s.cut != 0 }

// MayDisagree reports whether the list may be in another order than that by which the
// registry compares, whatever characters its tags have: those that do not come may have
// others.
func (s *Seen) MayDisagree() bool {
	either := (s.list | s.cut) & knownOrders
	return s.Compared() && either&(either-1) != 0
}

// MayDiffer reports whether the list may be in one order and the registry compare by
// another one that sorts tags of the seen characters in another way.
func (s *Seen) MayDiffer() bool {
	all := byteSet{s.first[0] | s.inner[0], s.first[1] | s.inner[1]}
	for l := range Known {
		for c := range Known {
			if l == c || s.list&(1<<l) == 0 || s.cut&(1<<c) == 0 {
				continue
			}
			for i := range len(tagBytes) {
				if a := tagBytes[i]; all.has(a) && between()[l][c][a].meets(all) {
					return true
				}
			}
		}
	}
	return false
}

// Disagrees reports whether the list is in no order by which the registry may
// compare.
func (s *Seen) Disagrees() bool { return s.byTag && s.cut != 0 && s.list&s.cut == 0 }

// Follows reports whether a page which was asked for after a tag may begin with
// another one: not before it in every order that the list may be in.
func (s *Seen) Follows(after, first string) bool {
	return after == first || (s.list&knownOrders).allowing(after, first) != 0
}

// Between reports whether a string may stand between two tags, in an order that the list may be
// in. Each of these may be "": there is none.
func (s *Seen) Between(before, between, after string) bool {
	in := s.list
	if before != "" {
		in = in.allowing(before, between)
	}
	if after != "" {
		in = in.allowing(between, after)
	}
	return in != 0
}

// Rejected takes over what a page shows of how the registry compares. The page is not
// part of the list.
func (s *Seen) Rejected(page Seen) { s.cut, s.byTag = page.cut, page.byTag }

// Aside takes a page that was asked for after a string, tag or not, and is not read in its
// place in the list. It does not show that the registry looks for the place of last.
func (s *Seen) Aside(after string, tags []string) {
	cut := s.cut
	s.Seek(after)
	for _, tag := range tags {
		s.Add(tag)
	}
	if s.cut == 0 {
		s.cut = cut
	}
}

// Join takes over what was seen of other pages of the list.
func (s *Seen) Join(other Seen) {
	s.list &= other.list
	if cut := s.cut & other.cut; cut != 0 {
		s.cut = cut
	}
	s.byTag = s.byTag || other.byTag
	for i, pair := range other.pairs {
		if s.pairs[i][0] == "" {
			s.pairs[i] = pair
		}
	}
	if s.Inversion[0] == "" {
		s.Inversion = other.Inversion
	}
}

// Omitted records that the registry left out a tag which it has, when it was asked
// what comes after another: it compares them the other way round.
func (s *Seen) Omitted(after, tag string) {
	cut := s.cut
	for i, known := range Known {
		if known.Compare(tag, after) > 0 {
			cut &^= 1 << i
		}
	}
	if cut != 0 {
		s.cut = cut
	}
}

// Boundary records that a page ended in a tag, which was the cursor of the next one.
// before and after are tags on both sides of it.
func (s *Seen) Boundary(cursor string, before, after []string) {
	if s.cut == 0 || s.list == 0 {
		return
	}
	const byKeys = 4 // the bit of keyOrder
	if s.list&keyOrder != 0 && s.lost[byKeys] != knownOrders && mayHidePrefix(cursor, before) {
		s.lost[byKeys] = knownOrders
	}
	first := s.beginnings()
	s.suspect = s.suspect || s.list&byBytes != 0 && s.cut&folding != 0 && kind(cursor[0]) == 'A'
	if s.mixesCases() && strings.ToLower(cursor) != strings.ToUpper(cursor) && (len(after) == 0 || !slices.Contains(before[max(0, len(before)-maxTwins):], after[0])) {
		// A tag that is the same but for case may come after the cursor in the
		// list, and not in the comparison, as at Trow.
		for i := 1; i < len(Known); i++ {
			s.lost[i] |= knownOrders &^ 1
		}
	}
	var seen []byteSet
	for i := range s.lost {
		l := i
		if i == byKeys {
			l = 0 // but for such beginnings they are in the order of bytes
		}
		for c := range Known {
			if l == c || s.list&(1<<i) == 0 || s.cut&(1<<c) == 0 || s.lost[i]&(1<<c) != 0 {
				continue
			}
			if seen == nil {
				seen = bytesAt(cursor, before, after)
				for j, at := range seen {
					if (at[1]|at[1]>>toLower)&letters != 0 && s.mixesCases() {
						seen[j] = at.anyLetter()
					}
					if s.list&byBytes == 0 && kind(cursor[j]) == 0 {
						seen[j] = seen[j].with(s.inner, marks)
					}
				}
				seen[0] = first
			}
			for j, at := range seen {
				if at.meets(between()[l][c][cursor[j]&127]) {
					s.lost[i] |= 1 << c
					break
				}
			}
		}
	}
}

// Hidden records that a page ended in a tag that it does not show, which was the cursor of the
// next one. before and after are tags on both sides of it.
func (s *Seen) Hidden(cursor string, before, after []string) {
	cut := s.cut
	for _, tag := range after[:min(len(after), 32)] {
		cut = cut.comparing(cursor, tag)
	}
	if cut != 0 {
		s.cut, s.byTag = cut, true
		s.Boundary(cursor, before, after)
	}
}

// Seam records that a part of the list, which was asked for after a string that is not a
// tag, continues another part. before and after are tags on both sides. In the order of
// object keys, a tag that is less than the string may come after both.
func (s *Seen) Seam(before, after []string) {
	const byKeys = 4 // the bit of keyOrder
	if s.list&keyOrder != 0 && len(after) > 0 && mayHidePrefix(after[0], slices.Concat(before, after)) {
		s.lost[byKeys] = knownOrders
	}
}

// Unproven reports whether tags may be missing in a way that the pages cannot
// show: the list may be in one order and the registry compare by another, and
// tags such as have been seen would be lost between two pages.
func (s *Seen) Unproven() bool { return s.losing() != 0 }

// losing returns the orders by which the registry may compare, and would then lose tags.
func (s *Seen) losing() (all orders) {
	for i, lost := range s.lost {
		if s.list&(1<<i) != 0 {
			all |= lost & s.cut
		}
	}
	if s.suspect && s.list&byBytes != 0 && s.Folds() {
		all |= folding & s.cut
	}
	if in := s.list & knownOrders; s.byTag && in != 0 && in&byBytes == 0 {
		all |= s.cut &^ in // whatever characters its tags have: few registries sort in such a way
	}
	return all
}

// MayHide reports whether a tag may be missing both from a list that ends with last and from
// the answer to what comes after the tag after, which has last: it sorts behind last in an
// order that the list may be in, and not behind after in an order by which the registry may
// compare. Only the first characters of tags are looked at.
func (s *Seen) MayHide(last, after string) bool {
	for c := range len(tagBytes) {
		lowest := tagBytes[c : c+1]
		highest := lowest + "\x7f" // sorts after all tags that begin in this way
		if s.list.allowing(last, highest) != 0 && slices.ContainsFunc(s.Compares(), func(o Order) bool { return o.Compare(lowest, after) <= 0 }) {
			return true
		}
	}
	return false
}

// A Doubt is whether the registry compares by an order that is not the list's. The answer
// to what comes after the tag After settles it: in that order, a tag that the list has
// before it comes after it.
type Doubt struct {
	After  string
	before string
	orders orders // for which the answer settles it
}

// Doubt returns the Doubt that settles the most orders by which tags would be lost. ok is
// false if there is none.
func (s *Seen) Doubt() (d Doubt, ok bool) {
	if s.list&knownOrders == 0 {
		return d, false
	}
	most := 0
	for _, pair := range s.pairs {
		if pair[0] == "" {
			continue
		}
		tells := s.cut &^ s.cut.allowing(pair[0], pair[1])
		if n := bits.OnesCount8(uint8(tells & s.losing())); n > most {
			d, most = Doubt{After: pair[1], before: pair[0], orders: tells}, n
		}
	}
	return d, most > 0
}

// Settle takes the first tag of the answer, and reports whether that settles anything.
func (s *Seen) Settle(d Doubt, first string) bool {
	before := s.cut
	switch {
	case first == "":
		return false
	case first == d.before || !s.Follows(d.After, first):
		s.cut &= d.orders
	default:
		s.cut &^= d.orders
	}
	return s.cut != before
}

// Probe is a string that sorts before all letters where case is folded, and between upper and
// lower case where it is not.
const Probe = "_"

func (s *Seen) meetProbe(tag string) {
	for i, known := range Known {
		if s.open&(1<<i) != 0 && known.Compare(tag, Probe) > 0 {
			s.open &^= 1 << i
			s.probed[i] = tag
		}
	}
}

// Probes reports whether the question what comes after Probe is open. It is for a list whose
// tags are sorted both by bytes and with case folded, and of which a page ended in a tag that
// begins with upper case: the other order would have left out tags that begin with lower case,
// and no page would show it. The answer tells: its first tag is another one in each order.
// Where the registry is known to fold case, others may tell how the list is sorted.
func (s *Seen) Probes() bool {
	const both = byBytes | folding
	if !s.suspect || s.list&both != both || s.cut&folding == 0 || s.probed[1] == "" {
		return false
	}
	return s.cut&byBytes == 0 || s.probed[0] != s.probed[1]
}

// Probed takes the first tags of the answer; it may have none. The question is asked once.
// Where the order of the list has upper case first, so has the answer of a registry that folds
// case, and after that lower case that the pages have left out, where a page has room for it.
func (s *Seen) Probed(first []string) {
	s.suspect = false
	if len(first) == 0 { // so may a registry answer that looks for the place of last
		return
	}
	switch cut := s.cut.comparing(Probe, first[0]); {
	case cut == 0:
	case cut&byBytes == 0:
		s.cut = cut
		s.lost[0] |= folding
		in := s.list
		for i, tag := range first[1:] {
			in = in.allowing(first[i], tag)
		}
		if in != 0 {
			s.list = in
		}
	case kind(first[0][0]) == 'a':
		s.cut &^= folding
	}
}

// Folds reports whether the registry is known to fold case.
func (s *Seen) Folds() bool { return s.cut != 0 && s.cut&byBytes == 0 }

// MayLoseCase reports whether the registry is known to fold case, and nothing shows whether
// its list does so, too, or is sorted by bytes.
func (s *Seen) MayLoseCase() bool {
	const both = byBytes | folding
	return s.Folds() && s.list&both == both
}

// mayHidePrefix reports whether, in the order of object keys, a tag that is less than the
// cursor may come after it: one of its prefixes that end before a "-" or a ".".
func mayHidePrefix(cursor string, before []string) bool {
	for i := 1; i < len(cursor); i++ {
		if cursor[i] != '-' && cursor[i] != '.' {
			continue
		}
		seen := false
		for _, tag := range before {
			seen = seen || tag == cursor[:i]
		}
		if !seen {
			return true
		}
	}
	return false
}

// A byteSet is a set of ASCII characters.
type byteSet [2]uint64

func (s *byteSet) add(c byte) { s[c>>6&1] |= 1 << (c & 63) }

func (s byteSet) has(c byte) bool { return s[c>>6&1]&(1<<(c&63)) != 0 }

func (s byteSet) meets(o byteSet) bool { return s[0]&o[0] != 0 || s[1]&o[1] != 0 }

// bytesAt returns, for each place of the cursor, the characters that stand there in tags
// with the same beginning.
func bytesAt(cursor string, sides ...[]string) []byteSet {
	at := make([]byteSet, len(cursor))
	for _, tags := range sides {
		for _, tag := range tags {
			for i := 0; i < len(tag) && i < len(cursor); i++ {
				at[i].add(tag[i])
				if tag[i] != cursor[i] {
					break
				}
			}
		}
	}
	return at
}

// beginnings returns the characters that tags may begin with: those that were seen there,
// any letter where tags contain both cases, and any digit where tags contain digits.
func (s *Seen) beginnings() byteSet {
	first := s.first
	if s.mixesCases() {
		first = first.anyLetter()
	}
	if s.inner[0]&digits != 0 {
		first[0] |= digits
	}
	return first
}

// note records which characters a tag is made of, from the byte at from on.
func (s *Seen) note(tag string, from int) {
	if from == 0 {
		s.first.add(tag[0])
	}
	inner := s.inner
	for i := max(1, from); i < len(tag); i++ {
		inner.add(tag[i])
	}
	s.inner = inner
}

// The digits of a byteSet are in its first word, and the letters in its second:
// upper case, and lower case above it.
const digits, letters, toLower = 0x03ff << '0', 0x07fffffe, 32

// The punctuation of tags.
var marks = func() (s byteSet) {
	for i := range len(punctuation) {
		s.add(punctuation[i])
	}
	return s
}()

// with adds what is in both of two others.
func (s byteSet) with(a, b byteSet) byteSet {
	return byteSet{s[0] | a[0]&b[0], s[1] | a[1]&b[1]}
}

func (s byteSet) anyLetter() byteSet {
	s[1] |= letters | letters<<toLower
	return s
}

// Note records the characters of tags at the end of a page that was so long that Add did
// not note all of them.
func (s *Seen) Note(tags []string) {
	for _, tag := range tags {
		s.note(tag, 0)
	}
}

// MayFold reports whether the registry may take tags that differ in case alone for equal:
// the list has letters of both cases, and is in an order that ignores case. To such a
// registry, the second of two equal tags does not come after the first, although it is
// next in the list.
func (s *Seen) MayFold() bool { return s.list&(1<<0|1<<1) == 1<<1 && s.mixesCases() }

// maxTwins is how many tags may differ in case alone.
const maxTwins = 32

// Apart returns how many tags follow the last tag that differs from the final one in more
// than case; 0: none differs.
func Apart(tags []string) int {
	for i := 1; i < min(len(tags), maxTwins); i++ {
		if Known[1].Compare(tags[len(tags)-1-i], tags[len(tags)-1]) != 0 {
			return i
		}
	}
	return 0
}

// mixesCases reports whether tags have both cases in them.
func (s *Seen) mixesCases() bool {
	return s.inner[1]&letters != 0 && s.inner[1]>>toLower&letters != 0
}

// tagBytes are the characters of tags.
const tagBytes = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-."

// between has, for two orders and a character, the characters that come after it in the
// first order and not in the second. Where an order takes two for the same, the rest of
// the tag decides.
var between = sync.OnceValue(func() *[4][4][128]byteSet {
	table := new([4][4][128]byteSet)
	var tags [len(tagBytes)]string
	for i := range tags {
		tags[i] = "x" + tagBytes[i:i+1] + "0"
	}
	var compared [4][len(tagBytes)][len(tagBytes)]int
	for k := range Known {
		for i, a := range tags {
			for j, b := range tags {
				compared[k][i][j] = Known[k].Compare(b, a)
			}
		}
	}
	for l := range Known {
		for c := range Known {
			for i := range tags {
				for j := range tags {
					inList, inCut := compared[l][i][j], compared[c][i][j]
					if inList > 0 && inCut < 0 || inList == 0 && inCut < 0 || inList > 0 && inCut == 0 {
						table[l][c][tagBytes[i]].add(tagBytes[j])
					}
				}
			}
		}
	}
	return table
})

// kind returns '0' for a digit, 'a' for lower case, 'A' for upper case, and 0 otherwise.
func kind(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	}
	return 0
}
