package listing

import (
	"slices"
	"time"
)

// A pace chooses how many requests of a long list may be in flight where the user has
// left that open (Client.Concurrency 0). It begins with DefaultConcurrency. Each time
// that as many pages were read ahead as requests are allowed, it compares the median
// of their times with that of the first paceFirst pages:
//
//   - up to a quarter longer: half as many requests more, up to MaxConcurrency, once
//     paceShort pages have come, so that a short list never has more, and if a page
//     takes so long that there is something to gain;
//   - more than a half longer: a quarter fewer, down to those at first;
//   - a page that was refused or tried again: as many as at first, or one fewer, and
//     never more after that.
//
// Single answers do not count: they are slow for reasons of their own.
type pace struct {
	most    int // requests; 0: their number is the user's
	pages   int
	first   []time.Duration // ascending, as latest
	latest  []time.Duration
	refused bool
}

const (
	paceFirst = 8
	paceShort = 20
	paceGain  = 5 * time.Millisecond
)

// page takes how long a page took that was read ahead, with now requests allowed at
// once, and returns how many are allowed from then on.
func (p *pace) page(now int, took time.Duration) int {
	if p.pages++; p.most == 0 {
		return now
	}
	if len(p.first) < paceFirst {
		p.first = inOrder(p.first, took)
		return now
	}
	if p.latest = inOrder(p.latest, took); len(p.latest) < now || p.pages < paceShort {
		return now
	}
	before, at := p.first[len(p.first)/2], p.latest[len(p.latest)/2]
	p.latest = p.latest[:0]
	switch {
	case at > before+before/2:
		return max(min(now, DefaultConcurrency), now-now/4)
	case at <= before+before/4 && at >= paceGain && now < p.most && !p.refused:
		return min(p.most, now+now/2)
	}
	return now
}

// refuse is like page, for a page that was refused, or came only at a later attempt.
func (p *pace) refuse(now int) int {
	p.refused, p.latest = true, p.latest[:0]
	if p.most > 0 && now > DefaultConcurrency {
		return DefaultConcurrency
	}
	return max(1, now-1)
}

// inOrder adds a time to ascending times.
func inOrder(times []time.Duration, took time.Duration) []time.Duration {
	at, _ := slices.BinarySearch(times, took)
	return slices.Insert(times, at, took)
}
