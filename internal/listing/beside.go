package listing

import (
	"context"
	"slices"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/wire"
)

// An aside is the list without n, read beside the pages: some registries send
// all of it where it is asked for without n (distribution 3.1, Harbor).
type aside struct {
	stop func()
	full chan struct{} // closed when it has more tags than a page
	done chan struct{} // closed at its end
	rep  *wire.Response
	err  error

	batches chan []string
	n       int // tags so far
}

// maxAside is how many batches are kept, of some 16 KiB each.
const maxAside = 1024

// mayReadAside reports whether the list without n may spare pages, and was not requested
// yet.
func (s *tagsList) mayReadAside() bool {
	return s.PageSize == 0 && !s.part.isOpen() && !s.compared && s.mayComeWhole()
}

func (s *tagsList) readAside(ctx context.Context) *aside {
	s.compared = true
	return s.readBeside(ctx, wire.Request{URL: s.query(0, ""), Once: true})
}

// readBeside reads a page beside another one.
func (l *Listing) readBeside(ctx context.Context, req wire.Request) *aside {
	ctx, cancel := context.WithCancel(ctx)
	a := &aside{stop: cancel, full: make(chan struct{}), done: make(chan struct{}), batches: make(chan []string, maxAside)}
	l.besides.Add(1)
	l.wg.Go(func() {
		defer l.besides.Add(-1)
		defer close(a.batches)
		defer close(a.done)
		a.rep, a.err = l.Read(ctx, req, a)
	})
	return a
}

// Begin, Tags and Leads implement Sink.

func (a *aside) Begin(int)   {}
func (a *aside) Leads() bool { return false }

func (a *aside) Tags(ctx context.Context, batch []string) (int, error) {
	before := a.n
	a.n += len(batch)
	if before <= defaultPageSize && a.n > defaultPageSize {
		close(a.full)
	}
	select {
	case a.batches <- slices.Clone(batch):
		return len(batch), nil
	case <-ctx.Done():
		return 0, bound.Ended(ctx)
	}
}

// isWhole reports whether the answer is more than a page. It waits for that, but not much
// longer than a page takes, and less after a large page: the list is then read in few
// requests anyway.
func (a *aside) isWhole(ctx context.Context, page *wire.Response) bool {
	least := time.Second
	if page.Entries > defaultPageSize {
		least = time.Second / 5
	}
	timer := time.NewTimer(max(least, 4*page.Took))
	defer timer.Stop()
	select {
	case <-a.full:
		return true
	default:
	}
	select {
	case <-a.full:
		return true
	case <-a.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// orWhole returns next, the place of the next page, or that of the list without n, if that
// is more than a page. The list without n is requested once: beside the second page or
// after it, where pages have fewer tags than usual or no Link, or where a larger n was
// tried. n is that of the link to next, or of the page: a page with another number of tags
// may be the last one, although it has a Link, as at Gitea.
func (s *tagsList) orWhole(ctx context.Context, cur, next *Cursor, page *wire.Response, n int) *Cursor {
	if next.fallback != nil {
		if s.Slots > 1 && s.mayReadAside() {
			s.aside = s.readAside(ctx)
		}
		return next
	}
	may := page.Entries == n && s.mayReadAside()
	small, silent := page.Entries < defaultPageSize, next.kind == asked
	switch {
	case may && cur.kind == begin && (small || silent) && s.Slots > 1:
		s.aside = s.readAside(ctx) // beside the next page
		return next
	case may && s.pages == 2 && (small || silent || cur.fallback != nil):
		s.aside = s.readAside(ctx)
	}
	switch {
	case s.aside == nil:
	case s.aside.isWhole(ctx, page):
		next, s.inARow = s.relist(true), false
		next.aside, s.aside = s.aside, nil
	default:
		s.leaveAside()
	}
	return next
}

// leaveAside drops the list without n that was read beside the pages, unless it has come
// and may be the list nevertheless: then it is compared with the pages at their end.
func (s *tagsList) leaveAside() {
	a := s.aside
	select {
	case <-a.done:
		s.longestOf[0] = max(s.longestOf[0], a.rep.Entries) // perhaps more than come with n
		links := s.leadsOn(a.rep) || a.rep.HasMore()
		s.compared = links && a.n <= s.longest // it is the same page as the first one
		switch {
		case s.compared:
			s.learnPagesOnly(s.manner())
		case links:
			s.learn(func(h *habits) { h.without = pagesOnly })
		case a.err == nil:
			s.compared = true
			return
		}
		for batch := range a.batches { // they exist, and have to come
			s.expect(a.rep.Asked, batch)
		}
	default: // it takes much longer than a page: it is asked for again only where pages leave a doubt
		s.compared = false
		s.learn(func(h *habits) { h.without = pagesOnly })
	}
	a.stop()
	s.aside = nil
}

// drain hands on what has come and what still comes.
func (a *aside) drain(ctx context.Context, to Sink) (*wire.Response, error) {
	to.Begin(1)
	for batch := range a.batches {
		if _, err := to.Tags(ctx, batch); err != nil {
			a.stop()
			<-a.done
			return a.rep, err
		}
	}
	return a.rep, a.err
}
