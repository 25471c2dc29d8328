// Package scan plans how one list is read from several places at once.
//
// A registry whose last is a value to compare with answers what comes after any
// string, tag or not. So the list can be cut where nobody has read yet, and each
// part be read by a chain of pages of its own. Where the parts meet nothing is
// taken on trust: a chain reads on until its page holds the first tag of another
// chain, and goes on exactly as that other one began. A chain that meets none
// reads to the end of the list. So the parts together hold what one chain would
// have read alone, as long as each answer is a suffix of one and the same list;
// the order of tags serves only to choose where to cut, and to see early what
// is of no use.
//
// A Plan decides; it asks for nothing by itself, knows no clock and starts no
// goroutine. It is not safe for concurrent use.
package scan

import (
	"slices"

	"github.com/ocitags/ocitags/internal/order"
)

// A Chain reads the list from one place on.
type Chain struct {
	start string // it reads what comes after this; "": the list from its start

	prev, next *Chain
	opening    []string // its first page
	from, last string   // the first and the last tag of its latest page
	count      int      // tags in its latest page
	pages      int      // that it has read
	within     string   // the start of the keys of all that is left to read, as far as can be told
	state      state
}

type state int

const (
	asked state = iota // nothing has come yet
	reading
	ended // at the chain after it, or at the end of the list
	gone  // of no use
)

// Start is what to send as last in the first request.
func (c *Chain) Start() string { return c.start }

// Last is the last tag of its latest page but for one that met another chain;
// "": there is none.
func (c *Chain) Last() string { return c.last }

// Ended says that the chain has come to where the next one begins, or to the
// end of the list.
func (c *Chain) Ended() bool { return c.state == ended }

// Gone says that the chain is of no use: neither is what it has brought.
func (c *Chain) Gone() bool { return c.state == gone }

// A Plan is the reading of one list.
type Plan struct {
	orders []order.Order // those that the list may have, the likeliest first
	head   string        // the first tag of the list
	first  *Chain        // of the list
	front  *Chain        // the first that has not ended
	heads  map[string]*Chain
	edge   string // nothing comes after it; "": not known
	size   int    // the most tags in one page

	samples []string // some of the tags that have come, the latest ones
	sampled int
	spans   []span // the latest pages

	read   int // pages that brought something
	wasted int // pages that did not
	joined int // pages of which a part did, half on average
	off    Reason
}

// A Reason says why a Plan makes no more cuts.
type Reason string

// The reasons. All but Disorder and Over are habits of the registry, and hold for its
// other repositories, too.
const (
	None      Reason = ""
	Disorder  Reason = "the list is in no known order"
	Restarts  Reason = "an unknown last gives the start of the list"
	Ignores   Reason = "last is not compared with"
	EndsEarly Reason = "an unknown last gives the end of the list"
	Refuses   Reason = "an unknown last is refused"
	Over      Reason = "the list has come to its end, or is begun anew"
)

// New begins with the chain that has read the first page of a list, and its
// tags. There is nothing to plan, and nil is returned, where they are in no
// known order.
func New(tags []string) (*Plan, *Chain) {
	c := &Chain{state: reading}
	p := &Plan{orders: order.Known, first: c, front: c, heads: map[string]*Chain{}}
	if len(tags) < 2 || !p.sorted("", tags) {
		return nil, nil
	}
	p.head = tags[0]
	p.advance(c, tags)
	return p, c
}

// Off says why no more cuts are made, or None.
func (p *Plan) Off() Reason { return p.off }

// Order names the order that the list seems to have.
func (p *Plan) Order() string { return p.orders[0].Name }

// Next is the chain that goes on where c has ended, nil at the end of the list.
func (p *Plan) Next(c *Chain) *Chain { return c.next }

// Page takes what a chain's request brought, more being whether another page is
// announced. keep is how many of the tags are this chain's own, the rest being
// those of the chain after it; on says whether it reads on.
func (p *Plan) Page(c *Chain, tags []string, more bool) (keep int, on bool) {
	if c.state == gone {
		p.wasted++
		return 0, false
	}
	if !p.sorted(c.last, tags) {
		p.Stop(Disorder)
		if c.state == gone {
			return 0, false
		}
		c.state = reading
		return p.last(c, tags, more)
	}
	if c.state == asked && !p.born(c, tags) {
		return 0, false
	}
	if p.off == None && p.edge != "" && len(tags) > 0 && p.compare(tags[len(tags)-1], p.edge) > 0 {
		p.Stop(EndsEarly)
		if c.state == gone {
			return 0, false
		}
	}
	for i, tag := range tags {
		if o := p.heads[tag]; o != nil && o.after(c) {
			if !o.continues(tags[i:]) {
				p.drop(o)
				continue
			}
			p.join(c, o)
			return i, false
		}
	}
	p.advance(c, tags)
	return p.last(c, tags, more)
}

// last is Page for a page without a seam.
func (p *Plan) last(c *Chain, tags []string, more bool) (int, bool) {
	if more {
		return len(tags), true
	}
	for c.next != nil && c.next.state == asked {
		p.drop(c.next)
	}
	if c.next != nil { // the list has no end where others have read more
		p.Stop(EndsEarly)
		if c.state == gone {
			return 0, false
		}
	}
	p.finish(c)
	return len(tags), false
}

// Edge says that a chain has brought a page behind which nothing is announced.
// That is no evidence of the end of the list, but a reason to make no cut there.
func (p *Plan) Edge(c *Chain) {
	if c.state == reading && !c.beforeOther() && (p.edge == "" || p.compare(c.last, p.edge) > 0) {
		p.edge = c.last
	}
}

// Refused says that the registry answered the first request of a chain with an
// error that means its last: no chain can begin there.
func (p *Plan) Refused(c *Chain) {
	if c.state == asked {
		p.Stop(Refuses)
	}
}

// Failed says that a chain's request had no answer. One that has read something
// goes on when it is its turn; another was of no use.
func (p *Plan) Failed(c *Chain) {
	if c.state == asked {
		p.miss(c)
	}
}

// Stop leaves the rest of the list to the front.
func (p *Plan) Stop(why Reason) {
	if p.off == None {
		p.off = why
	}
	for p.front != nil && p.front.next != nil {
		p.drop(p.front.next)
	}
}

// sorted reports whether tags go on after last in some known order. That of the
// pages before is tried first, and then those that are less likely.
func (p *Plan) sorted(last string, tags []string) bool {
	for i, o := range p.orders {
		if isSorted(o, last, tags) {
			p.orders = p.orders[i:]
			return true
		}
	}
	return false
}

func isSorted(o order.Order, prev string, tags []string) bool {
	for _, tag := range tags {
		if prev == tag || prev != "" && o.Compare(prev, tag) > 0 {
			return false
		}
		prev = tag
	}
	return true
}

func (p *Plan) compare(a, b string) int { return p.orders[0].Compare(a, b) }

// born takes the first page of a chain, and reports whether it is of use.
func (p *Plan) born(c *Chain, tags []string) bool {
	if len(tags) == 0 {
		if !c.beforeOther() && (p.edge == "" || p.compare(c.start, p.edge) < 0) {
			p.edge = c.start
		}
		p.empty(c)
		return false
	}
	head := tags[0]
	switch {
	case head == p.head:
		p.Stop(Restarts)
		return false
	case head == c.start || p.compare(head, c.start) < 0:
		p.Stop(Ignores)
		return false
	case p.compare(head, c.before().last) <= 0: // has been passed meanwhile
		p.miss(c)
		return false
	}
	for o := c.next; o != nil; o = o.next {
		if o.state == asked {
			continue
		}
		if head == o.opening[0] { // nothing stands between both
			c.next.start = c.start
			p.empty(c)
			return false
		}
		if p.compare(head, o.opening[0]) > 0 {
			p.miss(c)
			return false
		}
		break
	}
	c.state, c.opening = reading, slices.Clone(tags)
	p.heads[head] = c
	return true
}

// before is the chain in front of c, of those that have read something.
func (c *Chain) before() *Chain {
	for c = c.prev; c.state == asked; {
		c = c.prev
	}
	return c
}

// beforeOther reports whether another chain has read something behind c.
func (c *Chain) beforeOther() bool {
	for o := c.next; o != nil; o = o.next {
		if o.state != asked {
			return true
		}
	}
	return false
}

// continues reports whether the rest of a page is how the chain began, as far as
// its first page goes.
func (c *Chain) continues(rest []string) bool {
	if c.state == ended && c.next == nil && c.pages == 1 && len(rest) > len(c.opening) {
		return false // it came to the end of the list before
	}
	n := min(len(rest), len(c.opening))
	return slices.Equal(rest[:n], c.opening[:n])
}

// join ends c where o begins.
func (p *Plan) join(c, o *Chain) {
	for c.next != o {
		p.drop(c.next)
	}
	delete(p.heads, o.opening[0])
	p.joined++
	p.finish(c)
}

func (p *Plan) finish(c *Chain) {
	c.state = ended
	for p.front != nil && p.front.state == ended {
		p.front = p.front.next
	}
}

// advance takes a page of a chain that reads on.
func (p *Plan) advance(c *Chain, tags []string) {
	if len(tags) == 0 {
		return
	}
	p.read++
	p.size = max(p.size, len(tags))
	p.sample(tags)
	p.spans = append(p.spans, span{tags[0], tags[len(tags)-1], len(tags)})
	if len(p.spans) > maxSpans {
		p.spans = p.spans[1:]
	}
	c.pages++
	c.from, c.last, c.count = tags[0], tags[len(tags)-1], len(tags)
	// What was passed without a seam has been deleted since, or was never right.
	for o := c.next; o != nil; o = o.next {
		if o.state != asked && p.compare(o.opening[0], c.last) <= 0 {
			p.drop(o)
		}
	}
}

// A span is where a page was.
type span struct {
	from, last string
	count      int
}

const (
	maxSpans   = 64
	maxSamples = 512
	perPage    = 16
)

// sample keeps some tags of a page, instead of the oldest ones.
func (p *Plan) sample(tags []string) {
	for i := range perPage {
		tag := tags[i*len(tags)/perPage]
		if len(p.samples) < maxSamples {
			p.samples = append(p.samples, tag)
		} else {
			p.samples[p.sampled%maxSamples] = tag
		}
		p.sampled++
	}
}

// miss drops a chain that was asked for and brought nothing of use.
func (p *Plan) miss(c *Chain) {
	p.wasted++
	p.drop(c)
}

// empty is miss where nothing was found behind a cut. Then there is likely to be
// nothing either where the keys begin to differ, and the next cut is made behind
// that: "perl-" has many, but "perl9" has none.
func (p *Plan) empty(c *Chain) {
	left := c.before()
	key := p.orders[0].Key(left.last)
	if n := commonPrefix(key, p.orders[0].Key(c.start)); n < len(key) {
		left.within = key[:n+1]
	}
	p.miss(c)
}

// drop takes a chain out, and what it has read is wasted.
func (p *Plan) drop(c *Chain) {
	p.wasted += c.pages
	p.read -= c.pages
	if len(c.opening) > 0 && p.heads[c.opening[0]] == c {
		delete(p.heads, c.opening[0])
	}
	if c.state == ended && c.next != nil {
		p.heads[c.next.opening[0]] = c.next // to be met once more
	}
	c.state = gone
	c.prev.next = c.next
	if c.next != nil {
		c.next.prev = c.prev
	}
}

// after reports whether c stands behind o in the list.
func (c *Chain) after(o *Chain) bool {
	for o = o.next; o != nil; o = o.next {
		if o == c {
			return true
		}
	}
	return false
}
