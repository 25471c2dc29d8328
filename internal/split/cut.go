package split

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/ocitags/ocitags/internal/order"
)

const (
	// wasteRate, freeSlots and free bound how many requests may be wasted: one for each slot,
	// up to freeSlots, and free more, and wasteRate of one for each page. Without the former
	// nothing is learnt at the start; without the latter a list is read in a row once some
	// cuts have failed.
	wasteRate = 0.15
	freeSlots = 8
	free      = 2

	// risk is the part of that budget that unanswered cuts may use. With more, all of it
	// is spent on what the first page suggests.
	risk = 0.5

	// worth is how many pages must be left behind the one that is being read. A cut into
	// less costs a request and gains no time.
	worth = 1.2

	// about is how far from the middle a cut may be if that makes it shorter, as a part of
	// the gap. A short cut falls at the start of something; a long one falls inside it.
	about = 0.25

	// doubt is added to the part that was passed, which may be none.
	doubt = 0.05

	// few is from how many tags on a density can be told.
	few = 10

	// hexadecimal is how many letters must be seen, none of them beyond f, for a word to be
	// taken for a hexadecimal number. Else cuts are made beyond f, where nothing is.
	hexadecimal = 20

	// rare is the weight of a punctuation character. With the weight of a letter, cuts
	// would be made at the ends of words, where little is.
	rare = 0.05

	// surely is how fast a byte loses weight at a place, each time that a number ends there
	// with a smaller digit: a month begins with 0 or 1, and a minute with 0 to 5.
	surely = 4

	// unlikely is the weight of what no date has, such as a month 13, or a year from 2030 on,
	// where dates stand.
	unlikely = 0.02

	// maxPlaces is how far into tags numbers are looked for.
	maxPlaces = 48

	// words is how many of the tags of a page are looked at for each level.
	words = 64
)

// How often each of the letters from a to z begins a word of a name, and how often it
// stands elsewhere in one, in percent, by the names of packages and images. With equal
// weights, more cuts fall where there are few names.
var (
	firstLetters = [26]float64{5, 3, 7, 4, 3, 3, 5, 3, 3, 2, 2, 6, 5, 4, 3, 12, 1, 8, 7, 5, 2, 2, 2, 2, 1, 1}
	otherLetters = [26]float64{7, 3, 4, 3, 10, 2, 2, 3, 8, 1, 1, 5, 4, 6, 8, 4, 1, 7, 6, 7, 4, 2, 1, 1, 3, 1}
)

// kinds counts the bytes of words.
type kinds struct {
	digits, lower, upper int
	beyond               bool // letters behind f were seen
}

func (k *kinds) add(b byte) {
	switch {
	case isDigit(b):
		k.digits++
	case isLower(b):
		k.lower++
		k.beyond = k.beyond || b > 'f'
	case isUpper(b):
		k.upper++
	}
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
func isLower(b byte) bool { return 'a' <= b && b <= 'z' }
func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }
func isWord(b byte) bool  { return isDigit(b) || isLower(b) || isUpper(b) }

func (p *Planner) keys(tags []string) []string {
	keys := make([]string, len(tags))
	for i, tag := range tags {
		keys[i] = p.orders[0].Key(tag)
	}
	return keys
}

// learn counts a page.
func (p *Planner) learn(c *Range, tags []string) {
	keys := p.keys(tags)
	last := keys[len(keys)-1]
	shared := order.CommonPrefix(keys[max(0, len(keys)-few)], last) // no deeper level can be told
	if c.counts == nil {
		c.since = c.start
		if b := c.prev; b != nil { // the words there are of the same kinds
			b = c.before()
			c.kinds = slices.Clone(b.kinds[:min(len(b.kinds), order.CommonPrefix(p.orders[0].Key(b.last), last)+1)])
		}
	} else {
		before := order.CommonPrefix(p.orders[0].Key(c.last), last) + 1
		c.counts, c.kinds = c.counts[:min(len(c.counts), before)], c.kinds[:min(len(c.kinds), before)]
	}
	p.close(keys)
	for l := range shared + 1 {
		i := sort.Search(len(keys), func(i int) bool { return order.CommonPrefix(keys[i], last) >= l })
		if l == len(c.counts) {
			c.counts = append(c.counts, 0)
		}
		if l == len(c.kinds) {
			c.kinds = append(c.kinds, kinds{})
		}
		c.counts[l] += len(keys) - i
		before := ""
		for j := len(keys) - 1; j >= i; j -= max(1, (len(keys)-i)/words) {
			end := l
			for end < len(keys[j]) && isWord(keys[j][end]) {
				end++
			}
			if word := keys[j][l:end]; word != before {
				for b := range len(word) {
					c.kinds[l].add(word[b])
				}
				before = word
			}
		}
	}
}

// A spot is a place in keys, and what kind of byte stands before it.
type spot struct{ place, before int }

func (p *Planner) spot(key string, place int) spot {
	if place == 0 {
		return spot{}
	}
	return spot{min(place, maxPlaces-1), p.alphabet().kind[key[place-1]&127]}
}

// A closing is what was seen of a spot where what begins alike came to its end.
type closing struct {
	n   int  // how often
	max byte // the greatest byte that stood there, of a key
}

// close looks for the digits at which numbers end, whatever stands before them.
func (p *Planner) close(keys []string) {
	kind := &p.alphabet().kind
	for i, key := range keys[1:] {
		ended := keys[i]
		for l := order.CommonPrefix(ended, key) + 1; l < min(maxPlaces, len(ended)); l++ {
			c := &p.closed[l][kind[ended[l-1]&127]]
			c.n++
			c.max = max(c.max, ended[l])
		}
	}
}

// inherit tells the range that goes on where c ended what c has counted.
func (p *Planner) inherit(c, o *Range) {
	for o.state == ended && o.next != nil {
		o = o.next
	}
	if o.state != reading {
		return
	}
	shared := order.CommonPrefix(p.orders[0].Key(c.last), p.orders[0].Key(o.last)) + 1
	for l := range min(shared, len(c.counts), len(o.counts)) {
		o.counts[l] += c.counts[l]
	}
	o.since = c.since
}

// A table has, for each byte of a key, what part of the alphabet stands before it.
type table [129]float64

// table returns the table of words of some kinds, at a place in a key.
func (p *Planner) table(k kinds, key string, place int) *table {
	spot := p.spot(key, place)
	end := p.closed[spot.place][spot.before]
	latest := p.latest(key, place)
	begins := place == 0 || !isWord(p.byteOf(key[place-1]))
	t := new(table)
	for b := range 128 {
		weight := 0.0
		// Capitals that were not seen, and "_", stand elsewhere in each order.
		switch c := p.byteOf(byte(b)); {
		case isDigit(c):
			weight = k.digit(c, begins)
		case isLower(c):
			weight = k.letter(c, begins)
		case isUpper(c):
			weight = float64(k.upper) / 26
		case place > 0 && (c == '-' || c == '.'):
			weight = rare
		}
		if k.lower == 0 && isDigit(end.max) && byte(b) > end.max {
			weight /= 1 + surely*float64(end.n)
		}
		if latest != 0 && p.byteOf(byte(b)) > latest {
			weight *= unlikely
		}
		t[b+1] = t[b] + weight
	}
	for b := range t {
		t[b] /= t[128]
	}
	return t
}

// digit returns the weight of a digit. Numbers, such as those of versions, mostly begin
// with a small one. With equal weights, most cuts behind a version fall where no other
// version of the package is.
func (k *kinds) digit(c byte, begins bool) float64 {
	weight := float64(k.digits+1) / 10
	if begins && k.lower == 0 && k.upper == 0 {
		weight /= math.Sqrt(float64(1 + c - '0'))
	}
	return weight
}

// letter returns the weight of a lower-case letter: of a hexadecimal number, of another
// word in which letters and digits are mixed, such as a hash, or of a name.
func (k *kinds) letter(c byte, begins bool) float64 {
	weight := float64(k.lower + 1)
	switch {
	case k.lower >= hexadecimal && !k.beyond && c > 'f':
		return 0
	case k.lower >= hexadecimal && !k.beyond:
		return weight / 6
	case 10*k.digits > k.lower:
		return weight / 26
	case begins:
		return weight * firstLetters[c-'a'] / 100
	}
	return weight * otherLetters[c-'a'] / 100
}

// latest returns the greatest digit to expect at a place where a key has a date such as
// 20261126 or 2026-11-26; 0: any.
func (p *Planner) latest(key string, place int) byte {
	for start := max(0, place-9); start <= place; start++ {
		places, ok := p.date(key, start)
		if !ok {
			continue
		}
		switch slices.Index(places[:], place) {
		case 0, 2: // of a year
			return '2'
		case 1:
			return '0'
		case 4: // of a month
			return '1'
		case 5:
			if p.byteOf(key[places[4]]) == '1' {
				return '2'
			}
		case 6: // of a day
			return '3'
		case 7:
			if p.byteOf(key[places[6]]) == '3' {
				return '1'
			}
		}
		return 0
	}
	return 0
}

// date reports whether a key has a date from a place on, and where its digits stand.
func (p *Planner) date(key string, start int) (places [8]int, ok bool) {
	if start > 0 && isDigit(p.byteOf(key[start-1])) {
		return places, false
	}
	var digits [8]byte
	for n := range digits {
		if c := p.byteOf(at(key, start)); (n == 4 || n == 6) && (c == '-' || c == '.' || c == '_') {
			start++
		}
		if digits[n] = p.byteOf(at(key, start)); !isDigit(digits[n]) {
			return places, false
		}
		places[n] = start
		start++
	}
	year, month, day := string(digits[:4]), string(digits[4:6]), string(digits[6:])
	return places, "1990" <= year && year < "2030" && "01" <= month && month <= "12" && "01" <= day && day <= "31"
}

// at returns the byte of a key at a place, and 0 behind its end.
func at(key string, place int) byte {
	if place < len(key) {
		return key[place]
	}
	return 0
}

// An alphabet has, for each byte of keys, the byte of tags that has it, 0 where there is
// none, and what kind of byte that is before a place.
type alphabet struct {
	order string
	bytes [128]byte
	kind  [128]int
}

// alphabet returns the alphabet of the order that the list seems to have.
func (p *Planner) alphabet() *alphabet {
	if p.letters != nil && p.letters.order == p.orders[0].Name {
		return p.letters
	}
	a := &alphabet{order: p.orders[0].Name}
	for b := range byte(128) {
		key := p.orders[0].Key(string([]byte{b}))
		if len(key) == 1 && (a.bytes[key[0]&127] == 0 || isLower(b)) {
			a.bytes[key[0]&127] = b
		}
	}
	for key, b := range a.bytes {
		switch {
		case isDigit(b):
			a.kind[key] = 1
		case b == '-', b == '.', b == '_':
			a.kind[key] = 2 + strings.IndexByte("-._", b)
		}
	}
	p.letters = a
	return a
}

// byteOf returns the byte of tags that has a byte of keys; 0: none.
func (p *Planner) byteOf(key byte) byte { return p.alphabet().bytes[key&127] }

// place returns where a string stands in the alphabet, from 0 to 1.
func (t *table) place(s string) float64 {
	at, width := 0.0, 1.0
	for n := range min(3, len(s)) {
		b := s[n] & 127
		at += width * t[b]
		width *= t[b+1] - t[b]
	}
	return at
}

// A gap is what is left to read behind a range, from the deepest level outwards.
type gap struct {
	key    string // of its last tag
	levels []level
	left   float64 // tags
}

// A level is what shares so many bytes with the last tag, and stands behind it.
type level struct {
	shared int
	left   float64 // tags
	lo, hi float64 // the part of the alphabet
	hides  bool    // it never changed, and may hide what comes after
	digits bool    // the last tag has a digit there
	t      *table
}

// gap guesses what is left behind c.
func (p *Planner) gap(c *Range, slots int) *gap {
	key := p.orders[0].Key
	g := &gap{key: key(c.last)}
	end, first, before := p.ends(c)
	low := order.CommonPrefix(g.key, end)
	if prefix := key(p.prefix); order.CommonPrefix(g.key, prefix) == len(prefix) {
		low = max(low, len(prefix))
	}
	tried := map[int]bool{}
	for o := c.next; o != nil && o.state == asked; o = o.next {
		tried[order.CommonPrefix(g.key, key(o.start))] = true
	}
	deepest := min(len(g.key), len(c.counts)) - 1
	for deepest > 0 && c.counts[deepest] < few {
		deepest--
	}
	seen, hidden := 0.0, false
	for l := deepest; l >= low; l-- {
		open, touches := l == 0 && end == "", first != "" && order.CommonPrefix(first, g.key) == l
		deeper := 0
		if l+1 < len(c.counts) {
			deeper = c.counts[l+1]
		}
		changed := c.counts[l] > deeper || touches || before != "" && order.CommonPrefix(before, g.key) == l || open
		if !changed && (hidden || tried[l] || seen <= float64(p.size) || !isWord(p.byteOf(g.key[l]))) {
			continue
		}
		v := p.level(c, g.key, l, low, end, first, seen)
		switch {
		case open && v.hi > v.lo:
			v.left = max(v.left, float64(slots*p.size))
			fallthrough
		case changed:
			seen += v.left
		case v.hi > v.lo:
			v.left, v.hides, hidden = seen, true, true
			v.digits = isDigit(p.byteOf(g.key[l]))
		default:
			continue
		}
		g.levels = append(g.levels, v)
		g.left += v.left
	}
	return g
}

// ends returns the keys of where the gap behind c is known to end, of the first tag
// there, and of the last tag before c; "": not known.
func (p *Planner) ends(c *Range) (end, first, before string) {
	key := p.orders[0].Key
	if c.prev != nil {
		before = key(c.before().last)
	}
	for o := c.next; o != nil; o = o.next {
		if o.state != asked {
			return key(p.end(c, o)), key(o.opening[0]), before
		}
	}
	return key(p.edge), "", before
}

// end returns where the gap between two ranges ends: at the start of the second one,
// since nothing stands between that and its first tag, except in a list that has changed.
func (p *Planner) end(c, o *Range) string {
	if o.state != asked && p.compare(o.start, c.last) < 0 {
		return o.opening[0]
	}
	return o.start
}

// level guesses what is left at a level, of which seen tags are thought to be deeper.
func (p *Planner) level(c *Range, key string, shared, low int, end, first string, seen float64) level {
	t := p.table(c.kinds[shared], key, shared)
	here, next := t[key[shared]&127], t[key[shared]&127+1]
	lo, hi, empty := 0.0, 1.0, 0.0
	if since := p.orders[0].Key(c.since); order.CommonPrefix(since, key) >= shared {
		lo = t.place(since[shared:])
	}
	if shared == low && end != "" && order.CommonPrefix(end, key) == shared {
		hi = t.place(end[shared:])
		until := 1.0
		if first != "" && order.CommonPrefix(first, key) >= shared {
			until = t.place(first[shared:])
		}
		empty = max(0, until-hi) // as was found out
	}
	passed := max(0, here-lo) + next - here + empty + doubt
	left := (float64(c.counts[shared]) + seen) * max(0, hi-next) / passed
	return level{shared: shared, left: left, lo: next, hi: hi, t: t}
}

// until estimates how many tags are left before a key.
func (g *gap) until(key string) (sum float64) {
	shared := order.CommonPrefix(g.key, key)
	for _, v := range g.levels {
		switch {
		case v.shared < shared, v.shared == shared && v.hides:
			return sum
		case v.shared == shared && v.hi > v.lo:
			return sum + v.left*min(1, max(0, (v.t.place(key[shared:])-v.lo)/(v.hi-v.lo)))
		}
		sum += v.left
	}
	return sum
}

// at returns the shortest key before which about so many tags are estimated to be left,
// give or take within; "": there is none. Behind a cut that is not answered, there is hardly
// ever anything of what a level of letters may hide.
func (g *gap) at(tags, within float64, unanswered bool) string {
	for _, v := range g.levels {
		if tags > v.left {
			tags -= v.left
			continue
		}
		if v.hides && unanswered && !v.digits {
			return ""
		}
		if v.hides {
			tags = 0
		}
		place := v.lo + tags/v.left*(v.hi-v.lo)
		key, width := g.key[:v.shared], v.left/(v.hi-v.lo)
		for range 4 {
			b := sort.Search(128, func(b int) bool { return v.t[b+1] > place })
			if b > 127 {
				return ""
			}
			rest := (place - v.t[b]) / (v.t[b+1] - v.t[b])
			width *= v.t[b+1] - v.t[b]
			if next := v.after(b); next < 128 && width*rest > within && width*(1-rest) < within {
				return key + string(rune(next))
			}
			key += string(rune(b))
			if width*rest <= within {
				break
			}
			place = rest
		}
		return key
	}
	return ""
}

// after returns the next byte of the alphabet.
func (v *level) after(b int) int {
	for b++; b < 128 && v.t[b+1] == v.t[b]; b++ {
	}
	return b
}

// A stretch is a part of a gap between two ranges, of which the first may not be
// answered yet.
type stretch struct {
	c        *Range
	g        *gap
	from, to float64
}

// Split begins another range where most seems to be left to read, slots being how
// many requests there may be at once. It returns nil where that would not be
// worth a request.
func (p *Planner) Split(slots int) *Range {
	unanswered := 0
	for c := p.front; c != nil; c = c.next {
		if c.state == asked {
			unanswered++
		}
	}
	budget := float64(min(slots, freeSlots)+free) + wasteRate*float64(p.read) - float64(p.wasted) - float64(p.joined)/2
	if p.off != None || float64(unanswered) >= budget*risk {
		return nil
	}
	for _, v := range p.stretches(slots) {
		left := v.to - v.from - float64(p.size)
		if left < worth*float64(p.size) {
			return nil
		}
		at := p.orders[0].Tag(v.g.at(v.from+float64(p.size)+left/2, left*about, v.c.state == asked))
		behind := v.c.last
		if v.c.state == asked {
			behind = v.c.start
		}
		if at == "" || p.compare(at, behind) <= 0 || v.c.next != nil && p.compare(at, p.end(v.c, v.c.next)) >= 0 {
			continue
		}
		c := &Range{start: at, prev: v.c, next: v.c.next}
		if c.next != nil {
			c.next.prev = c
		}
		v.c.next = c
		return c
	}
	return nil
}

// stretches returns all stretches, the longest first.
func (p *Planner) stretches(slots int) (all []stretch) {
	for c := p.front; c != nil; c = c.next {
		if c.state != reading {
			continue
		}
		g := p.gap(c, slots)
		from := 0.0
		for o := c; ; o = o.next {
			to, open := g.left, o.next != nil && o.next.state == asked
			if open {
				to = g.until(p.orders[0].Key(o.next.start))
			}
			all = inserted(all, stretch{o, g, from, to})
			if from = to; !open {
				break
			}
		}
	}
	return all
}

// inserted returns the stretches with another one, the longest first. They are few, about as
// many as requests are in flight: a sort of the library would cost more than it is worth.
func inserted(all []stretch, v stretch) []stretch {
	all = append(all, v)
	i := len(all) - 1
	for ; i > 0 && all[i-1].to-all[i-1].from < v.to-v.from; i-- {
		all[i] = all[i-1]
	}
	all[i] = v
	return all
}
