package split

import (
	"container/heap"
	"math/rand/v2"
	"slices"
)

// A simulation reads a list from a server model, and counts.
type simulation struct {
	m       model
	list    []string
	n       int
	rnd     *rand.Rand // nil: each request takes 1, each page has n tags
	steady  bool
	failing int
	most    int // requests at once

	requests int
	cuts     []string
	now      float64
	events   events
}

type event struct {
	at     float64
	k      int
	c      *Range
	cursor string
	page   page
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].k < e[j].k
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

type page struct {
	tags   []string
	next   string // "": none
	refuse bool
}

func (s *simulation) ask(cursor string) page {
	s.requests++
	rest, ok := s.list, true
	if cursor != "" {
		if rest, ok = s.m.after(s.list, cursor); !ok {
			return page{refuse: true}
		}
	}
	n := s.n
	if s.m.caps && s.rnd != nil {
		n = 1 + s.rnd.IntN(s.n)
	}
	if s.m.whole {
		n = len(rest)
	}
	p := page{tags: rest[:min(n, len(rest))]}
	if len(rest) > n {
		p.next = p.tags[n-1]
		if s.m.cursor != nil {
			p.next = s.m.cursor(s.list, len(s.list)-len(rest)+n)
		}
	}
	return p
}

// sequential reads page after page.
func (s *simulation) sequential() (tags []string) {
	for cursor := ""; ; {
		p := s.ask(cursor)
		tags = append(tags, p.tags...)
		if cursor = p.next; cursor == "" || p.refuse {
			return tags
		}
		if s.requests > 10*len(s.list)+10 {
			return nil // it does not end
		}
	}
}

// scan reads from up to k places at once. It reports why the plan was stopped.
func (s *simulation) scan(k int) (tags []string, off Reason) {
	first := s.ask("")
	s.now++
	if first.next == "" {
		return first.tags, None
	}
	plan, front := New(first.tags)
	if plan == nil {
		tags = first.tags
		for cursor := first.next; cursor != ""; {
			p := s.ask(cursor)
			s.now++
			tags, cursor = append(tags, p.tags...), p.next
		}
		return tags, Disorder
	}
	held := map[*Range][][]string{front: {first.tags}}
	stuck := map[*Range]string{} // ranges that failed, and their cursors
	turn, busy := front, 0
	start := func(c *Range, cursor string) {
		took := 1.0
		if s.rnd != nil && !s.steady {
			took = 0.5 + s.rnd.Float64()
		}
		busy++
		s.most = max(s.most, busy)
		heap.Push(&s.events, event{s.now + took, s.requests, c, cursor, s.ask(cursor)})
	}
	start(front, first.next)
	for {
		for busy < k {
			c := plan.Split(k)
			if c == nil {
				break
			}
			s.cuts = append(s.cuts, c.Start())
			start(c, c.Start())
		}
		if s.events.Len() == 0 {
			break
		}
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		busy--
		switch {
		case e.page.refuse:
			plan.Refused(e.c)
			stuck[e.c] = e.cursor
		case e.c != turn && s.failing > 0 && s.rnd.IntN(s.failing) == 0:
			plan.Failed(e.c)
			stuck[e.c] = e.cursor
		default:
			keep, on := plan.Page(e.c, e.page.tags, e.page.next != "")
			if e.c.Gone() {
				break
			}
			held[e.c] = append(held[e.c], e.page.tags[:keep])
			if on {
				start(e.c, e.page.next)
			}
		}
		for turn.Ended() && plan.Next(turn) != nil {
			turn = plan.Next(turn)
			if cursor, ok := stuck[turn]; ok && !turn.Ended() {
				start(turn, cursor)
			}
		}
	}
	tags = make([]string, 0, len(s.list))
	for c := front; c != nil; c = plan.Next(c) {
		for _, page := range held[c] {
			tags = append(tags, page...)
		}
	}
	return tags, plan.Off()
}

// union is what a listing hands out.
func union(tags []string) []string {
	tags = slices.Clone(tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}
