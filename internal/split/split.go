// Package split plans how one list is read from several places at once.
//
// A registry that compares with last can begin its list after any string, tag or not. So
// the list can be cut anywhere, and each part read by a Range of its own. Nothing is
// taken on trust where parts meet: a Range reads on until its page holds the first tag
// of another Range and continues exactly as that one began. A Range that meets no other
// reads to the end of the list. Together the parts hold what one Range would have read
// alone, as long as each answer is a suffix of the same list; the order of tags only
// serves to choose where to cut, and to discard useless parts early.
//
// A Planner decides; it sends no requests, knows no clock and starts no goroutine. It is
// not safe for concurrent use.
//
// # How cuts are chosen
//
// For each range the planner counts, for each length l, how many of the tags that were
// read share their first l bytes with the last one: that is level l. For each level it
// also counts what words at that place are made of: digits, lower case, upper case; a range
// begins with what the one before it has counted of that. It gives each byte its share of
// the alphabet there: in names, letters have the shares that they have in the names of
// packages, and numbers begin with a small digit more often than with a large one. What is
// left of a level is what was seen of it, times the share of the alphabet that is still to
// come, divided by the share that was passed.
//
// A level counts only where more than one word was seen in it, because all tags of a list
// may begin alike. One of the others, the outermost, may hide everything else, and is
// given as much as all levels inside it; of names, only once the cuts before it are
// answered, as there is hardly ever anything. Where no end of the list is known, at least a
// page for each slot is expected: so the second round spreads over the whole alphabet,
// and tells whether all tags begin alike.
//
// Two rules limit numbers further: a digit larger than all at which numbers have ended at
// that place is unlikely, whatever stands before it; and so are years, months and days
// that no date has, where dates stand.
//
// The largest gap between places that are read or were asked for is cut in its middle, at
// the shortest string that lies about there. A budget limits how many cuts may be in vain.
package split

import (
	"slices"
	"strings"

	"github.com/ocitags/ocitags/internal/order"
)

// A Range reads the list from one place on.
type Range struct {
	start string // it reads what comes after this; "": the list from its start

	prev, next *Range
	opening    []string // its first page
	last       string   // the last tag of its latest page
	pages      int      // that it has read
	state      state

	since  string  // what it has counted comes after this
	counts []int   // of the tags since then, how many share so many bytes with the last
	kinds  []kinds // what words there are made of
}

type state int

const (
	asked state = iota // nothing has come yet
	reading
	ended // at the range after it, or at the end of the list
	gone  // discarded
)

// Start returns what to send as last in the first request.
func (c *Range) Start() string { return c.start }

// Last returns the last tag of its latest page, other than one that met another range;
// "": there is none.
func (c *Range) Last() string { return c.last }

// Ended says that the range has come to where the next one begins, or to the
// end of the list.
func (c *Range) Ended() bool { return c.state == ended }

// Gone reports whether the range was discarded, with what it has read.
func (c *Range) Gone() bool { return c.state == gone }

// IsLast reports whether no range behind c has read anything.
func (c *Range) IsLast() bool { return !c.beforeOther() }

// A Planner is the reading of one list.
type Planner struct {
	orders []order.Order // those that the list may have, the likeliest first
	head   string        // the first tag of the list
	first  *Range        // of the list
	front  *Range        // the first that has not ended
	heads  map[string]*Range
	edge   string // nothing comes after it; "": not known
	size   int    // the most tags in one page
	prefix string // of all tags that are wanted

	closed  [maxPlaces][5]closing // of each spot
	letters *alphabet

	read   int // pages that brought something
	wasted int // pages that did not
	joined int // pages of which a part did, half on average
	off    Reason
}

// A Reason says why a Planner makes no more cuts.
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
	Over      Reason = "the list has ended, or is restarted"
)

// New begins with the range that has read the first page of a list, and its
// tags. There is nothing to plan, and nil is returned, where they are in no
// known order.
func New(tags []string) (*Planner, *Range) {
	c := &Range{state: reading}
	p := &Planner{orders: order.Known, first: c, front: c, heads: map[string]*Range{}}
	if len(tags) < 2 || !p.sorted("", tags) {
		return nil, nil
	}
	p.head = tags[0]
	p.advance(c, tags)
	return p, c
}

// Within says that only tags which begin with a prefix are wanted. What comes after
// them is not read ahead.
func (p *Planner) Within(prefix string) {
	p.prefix = prefix
}

// isUnwanted reports whether a tag comes after all that are wanted.
func (p *Planner) isUnwanted(tag string) bool {
	if p.prefix == "" || p.compare(tag, p.prefix) <= 0 {
		return false
	}
	return !strings.HasPrefix(p.orders[0].Key(tag), p.orders[0].Key(p.prefix))
}

// Off says why no more cuts are made, or None.
func (p *Planner) Off() Reason { return p.off }

// Order names the order that the list seems to have.
func (p *Planner) Order() string { return p.orders[0].Name }

// Next returns the range that goes on where c has ended, or nil at the end of the list.
func (p *Planner) Next(c *Range) *Range { return c.next }

// Page takes what a range's request brought, more being whether another page is
// announced. keep is how many of the tags are this range's own, the rest being
// those of the range after it; on says whether it reads on.
func (p *Planner) Page(c *Range, tags []string, more bool) (keep int, on bool) {
	if c.state == gone {
		p.wasted++
		return 0, false
	}
	// A part goes on from its start in the order of the list.
	if !(c.state == asked && p.sorted(c.start, tags)) && !p.sorted(c.last, tags) {
		p.Stop(Disorder)
		if c.state == gone {
			return 0, false
		}
		c.state = reading
		return p.last(c, tags, more)
	}
	if c.state == asked && !p.accept(c, tags) {
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
				p.remove(o)
				continue
			}
			p.close(p.keys(tags))
			p.join(c, o)
			return i, false
		}
	}
	p.advance(c, tags)
	return p.last(c, tags, more)
}

// last is like Page, for a page that met no other range.
func (p *Planner) last(c *Range, tags []string, more bool) (int, bool) {
	if more {
		return len(tags), !p.isUnwanted(c.last)
	}
	for c.next != nil && c.next.state == asked {
		p.remove(c.next)
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

// Edge says that a range has brought a page behind which nothing is announced.
// That is no evidence of the end of the list, but a reason to make no cut there.
func (p *Planner) Edge(c *Range) {
	if c.state == reading && !c.beforeOther() && (p.edge == "" || p.compare(c.last, p.edge) > 0) {
		p.edge = c.last
	}
}

// Refused says that the registry answered the first request of a range with an
// error that means its last: no range can begin there.
func (p *Planner) Refused(c *Range) {
	if c.state == asked {
		p.Stop(Refuses)
	}
}

// Failed says that a range's request had no answer. One that has read something
// goes on when it is its turn; another is discarded.
func (p *Planner) Failed(c *Range) {
	if c.state == asked {
		p.reject(c)
	}
}

// Stop leaves the rest of the list to the front.
func (p *Planner) Stop(why Reason) {
	if p.off == None {
		p.off = why
	}
	for p.front != nil && p.front.next != nil {
		p.remove(p.front.next)
	}
}

// sorted reports whether tags go on after last in some known order. That of the
// pages before is tried first, and then those that are less likely.
func (p *Planner) sorted(last string, tags []string) bool {
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

func (p *Planner) compare(a, b string) int { return p.orders[0].Compare(a, b) }

// accept takes the first page of a range, and reports whether it can be used.
func (p *Planner) accept(c *Range, tags []string) bool {
	if len(tags) == 0 {
		if !c.beforeOther() && (p.edge == "" || p.compare(c.start, p.edge) < 0) {
			p.edge = c.start
		}
		p.reject(c)
		return false
	}
	head := tags[0]
	switch {
	case head == p.head && p.compare(c.start, head) < 0: // it was cut before the first tag, in another order
		p.reject(c)
		return false
	case head == p.head:
		p.Stop(Restarts)
		return false
	case head == c.start || p.compare(head, c.start) < 0:
		p.Stop(Ignores)
		return false
	case p.compare(head, c.before().last) <= 0: // has been passed meanwhile
		p.reject(c)
		return false
	case p.isUnwanted(head):
		p.reject(c)
		return false
	}
	for o := c.next; o != nil; o = o.next {
		if o.state == asked {
			continue
		}
		if head == o.opening[0] { // nothing stands between both
			if p.compare(c.start, o.start) < 0 {
				o.start = c.start
			}
			p.reject(c)
			return false
		}
		if p.compare(head, o.opening[0]) > 0 {
			p.reject(c)
			return false
		}
		break
	}
	c.state, c.opening = reading, slices.Clone(tags)
	p.heads[head] = c
	return true
}

// before returns the range in front of c, of those that have read something.
func (c *Range) before() *Range {
	for c = c.prev; c.state == asked; {
		c = c.prev
	}
	return c
}

// beforeOther reports whether another range has read something behind c.
func (c *Range) beforeOther() bool {
	for o := c.next; o != nil; o = o.next {
		if o.state != asked {
			return true
		}
	}
	return false
}

// continues reports whether the rest of a page is how the range began, as far as
// its first page goes.
func (c *Range) continues(rest []string) bool {
	if c.state == ended && c.next == nil && c.pages == 1 && len(rest) > len(c.opening) {
		return false // it came to the end of the list before
	}
	n := min(len(rest), len(c.opening))
	return slices.Equal(rest[:n], c.opening[:n])
}

// join ends c where o begins.
func (p *Planner) join(c, o *Range) {
	for c.next != o {
		p.remove(c.next)
	}
	delete(p.heads, o.opening[0])
	p.joined++
	p.inherit(c, o)
	p.finish(c)
}

func (p *Planner) finish(c *Range) {
	c.state = ended
	for p.front != nil && p.front.state == ended {
		p.front = p.front.next
	}
}

// advance takes a page of a range that reads on.
func (p *Planner) advance(c *Range, tags []string) {
	if len(tags) == 0 {
		return
	}
	p.read++
	p.size = max(p.size, len(tags))
	p.learn(c, tags)
	c.pages++
	c.last = tags[len(tags)-1]
	// What was passed without a seam has been deleted since, or was never right.
	for o := c.next; o != nil; o = o.next {
		if o.state != asked && p.compare(o.opening[0], c.last) <= 0 {
			p.remove(o)
		}
	}
	p.reorder()
}

// reorder chooses the next order that is consistent with all answers, if the present one
// is not: a range has read tags that come after the start of the range behind it, and
// the answer to that start did not have them.
func (p *Planner) reorder() {
	for i, o := range p.orders {
		if p.allows(o) {
			p.orders = p.orders[i:]
			return
		}
	}
}

// allows reports whether an order is consistent with all answers.
func (p *Planner) allows(o order.Order) bool {
	last := ""
	for c := p.first; c != nil; c = c.next {
		if c.state == asked {
			continue
		}
		if last != "" && (o.Compare(c.start, last) < 0 || o.Compare(c.opening[0], last) < 0) {
			return false
		}
		last = c.last
	}
	return true
}

// reject removes a range that brought nothing usable.
func (p *Planner) reject(c *Range) {
	p.wasted++
	p.remove(c)
}

// remove takes a range out, and what it has read is wasted. So is what has ended where
// it began: nobody would read what comes there.
func (p *Planner) remove(c *Range) {
	for c.prev.state == ended {
		p.remove(c.prev)
	}
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
func (c *Range) after(o *Range) bool {
	for o = o.next; o != nil; o = o.next {
		if o == c {
			return true
		}
	}
	return false
}
