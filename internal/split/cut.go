package split

import (
	"math"
	"math/big"
)

// The numbers of Cut were found by trying many over the simulations of
// TestCost. Around them the time at k=4 changes little, that at k=8 by up to
// a fifth.
const (
	// freeWaste and wasteRate bound what cuts may cost: so many requests, and so
	// many more for each page that brought something.
	freeWaste = 6
	wasteRate = 0.16

	// worthwhile is how many pages have to be left behind a range for a cut when
	// all slots are busy; with fewer busy ones it is less. againWorthwhile is
	// for another cut behind a range before the first one is answered.
	worthwhile      = 2.5
	againWorthwhile = 3

	// manySlots is above how many requests at once cuts are spared as their budget
	// goes: so many of them would spend it on small gaps, and leave nothing for a
	// large one that is not known yet.
	manySlots = 8

	// glimpse is how many pages are thought to be left where there is little
	// that says so, and further how much further than what was read the end of
	// the list is looked for.
	glimpse = 24
	further = 3
)

// Split begins another range where most seems to be left to read, slots being how
// many requests there may be at once. It returns nil where that would not be
// worth a request.
func (p *Planner) Split(slots int) *Range {
	if p.off != None {
		return nil
	}
	unanswered, active := 0, 0
	for c := p.front; c != nil; c = c.next {
		switch c.state {
		case asked:
			unanswered++
			active++
		case reading:
			active++
		}
	}
	spent, budget := float64(p.wasted)+float64(p.joined)/2, freeWaste+wasteRate*float64(p.read)
	if unanswered > p.read || spent >= budget {
		return nil
	}
	r := p.ruler()
	average := p.average(r)
	var best *Range
	found := gap{left: worthwhile * float64(active) / float64(slots)}
	if slots > manySlots {
		found.left /= math.Pow(1-spent/budget, 2)
	}
	for c := p.front; c != nil; c = c.next {
		if c.state != reading {
			continue
		}
		g := p.gap(r, c, average)
		if c.next != nil && c.next.state == asked && p.read >= slots && g.left < againWorthwhile {
			continue
		}
		if g.left > found.left {
			best, found = c, g
		}
	}
	if best == nil {
		return nil
	}
	at, ok := found.nearest(r.o.Key(best.last))
	if !ok || p.compare(at, best.last) <= 0 {
		return nil
	}
	c := &Range{start: at, within: best.within, prev: best, next: best.next}
	if c.next != nil {
		c.next.prev = c
	}
	best.next = c
	return c
}

// A gap is what is left to read behind a range.
type gap struct {
	left float64  // pages, apart from the one that is being read; a guess
	cut  *big.Int // the middle of them
	end  *big.Int
	by   *ruler // that cut and end are measured on
	path *ruler // of the range's last tag
}

// gap guesses what is left behind a range, whose last page has shown how dense
// the tags are where it is. What begins like all tags of that page is taken to be
// as dense, and the rest of the gap as dense as the list is on average. A range
// that has just come into a denser part is seen by neither, so what begins
// almost like the page is taken to be something between both.
func (p *Planner) gap(r *ruler, c *Range, average *big.Int) gap {
	key := r.o.Key(c.last)
	path := r.along(key)
	page := path.page(c.from, c.last, c.count, p.size)
	lo, wideLo := path.place(key), r.place(key)
	end, open := p.end(path, c)
	wideEnd, _ := p.end(r, c)
	upTo := func(n int) (near, wide *big.Int) { // the end of what begins with so much of key
		return least(path.after(key[:n]), end), least(r.after(key[:n]), wideEnd)
	}
	n := commonPrefix(r.o.Key(c.from), key)
	near, wide := upTo(n)
	alike := min(ratio(sub(near, lo), page)-1, max(glimpse, float64(p.read)))
	other := ratio(sub(wideEnd, wide), average)
	if open {
		other = min(other, 2*max(glimpse, further*float64(p.read)))
	}
	alike, other = max(0, alike), max(0, other)

	g := gap{left: alike + other, end: end, by: path, path: path}
	if level, ok := path.above(key, n); ok {
		nearly, wide := upTo(level)
		left := min(math.Sqrt(max(0, ratio(sub(nearly, lo), page)*ratio(sub(wide, wideLo), average)))-1, glimpse)
		if left > g.left {
			g.left = left
			g.cut = new(big.Int).Add(lo, nearly)
			g.cut.Rsh(g.cut, 1)
			return g
		}
	}
	if other > alike {
		g.by, g.end, g.cut = r, wideEnd, times(average, other/2)
		g.cut.Add(g.cut, wide)
	} else {
		g.cut = times(page, alike/2+1)
		g.cut.Add(g.cut, lo)
	}
	return g
}

// end is where the gap behind c ends, as far as that is known; open says that it
// is but the end of the ruler.
func (p *Planner) end(r *ruler, c *Range) (end *big.Int, open bool) {
	switch {
	case c.next != nil:
		end = r.place(r.o.Key(c.next.start))
	case p.edge != "":
		end = r.place(r.o.Key(p.edge))
	default:
		end, open = r.after(""), true
	}
	if n := len(c.within); n > 0 && commonPrefix(r.o.Key(c.last), c.within) == n {
		if within := r.after(c.within); within.Cmp(end) < 0 {
			return within, false
		}
	}
	return end, open
}

// nearest is the tag nearest to the cut whose key differs from key in its last
// byte only: short, and at the start of something.
func (g gap) nearest(key string) (tag string, ok bool) {
	var off *big.Int
	for i := range min(len(key), len(g.path.alphabets)) {
		for _, b := range g.path.alphabets[i] {
			if b <= key[i] {
				continue
			}
			k := key[:i] + string(rune(b))
			at := g.by.place(k)
			if at.Cmp(g.end) >= 0 {
				break
			}
			if at.Sub(at, g.cut).Abs(at); off == nil || at.Cmp(off) < 0 {
				tag, off = g.by.o.Tag(k), at
			}
		}
	}
	return tag, off != nil
}

// average is how much of the ruler a page takes, over the latest ones.
func (p *Planner) average(r *ruler) *big.Int {
	sum, n := new(big.Int), 0
	for _, s := range p.spans {
		sum.Add(sum, sub(r.place(r.o.Key(s.last)), r.place(r.o.Key(s.from))))
		n += s.count
	}
	return atLeastOne(sum.Mul(sum, big.NewInt(int64(p.size))).Div(sum, big.NewInt(int64(n))))
}

func sub(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }

func least(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

func atLeastOne(v *big.Int) *big.Int {
	if v.Sign() <= 0 {
		v.SetInt64(1)
	}
	return v
}

func ratio(a, b *big.Int) float64 {
	f, _ := new(big.Float).Quo(new(big.Float).SetInt(a), new(big.Float).SetInt(b)).Float64()
	return f
}

func times(v *big.Int, f float64) *big.Int {
	const shift = 20
	v = new(big.Int).Mul(v, big.NewInt(int64(min(f, 1<<40)*(1<<shift))))
	return v.Rsh(v, shift)
}

func commonPrefix(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
