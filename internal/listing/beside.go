package listing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/wire"
)

// An aside is the list without n, read beside the pages: some registries send
// all of it where it is asked for without n (distribution 3.1, Harbor).
type aside struct {
	stop func()
	full chan struct{} // closed when it has more tags than a page
	done chan struct{} // closed at its end
	rep  wire.Response
	err  error

	batches chan []string
	n       int // tags so far
}

// maxAside is how many batches are kept, of some 16 KiB each.
const maxAside = 1024

func (s *tagsList) readAside(ctx context.Context) *aside {
	s.compared = true
	return s.readBeside(ctx, wire.Request{URL: s.query(0, ""), Once: true})
}

// readBeside reads a page beside another one.
func (l *Listing) readBeside(ctx context.Context, req wire.Request) *aside {
	ctx, cancel := context.WithCancel(ctx)
	a := &aside{stop: cancel, full: make(chan struct{}), done: make(chan struct{}), batches: make(chan []string, maxAside)}
	l.wg.Go(func() {
		defer close(a.batches)
		defer close(a.done)
		a.rep, a.err = l.Read(ctx, req, a)
	})
	return a
}

// An early is the next page, asked for when the header of the page before it has named
// its place, while the body of that one was still to come.
type early struct {
	*aside
	at     string // its URL
	header chan wire.Response
}

// askEarly returns a function that asks for the next page when the header of a page has
// come; nil where the header alone does not tell the place of the next page.
func (s *tagsList) askEarly(ctx context.Context) func(wire.Response) {
	if !s.inARow || s.Slots < 2 {
		return nil
	}
	return func(rep wire.Response) {
		s.early.leave() // of a try before
		s.early = nil
		link, _, err := s.Registry.NextLink(rep.Links, rep.URL)
		if err != nil || link == nil || link.Query().Get("n") == "0" {
			return
		}
		if last, ok := link.Query()["last"]; ok && (last[0] == "" || strings.Trim(last[0], "0123456789") == "") {
			return // the start of the list, or an offset, which is asked for with an overlap
		}
		e := &early{at: link.String(), header: make(chan wire.Response, 1)}
		e.aside = s.readBeside(ctx, wire.Request{URL: link, Once: true, Header: func(rep wire.Response) { e.header <- rep }})
		s.early = e
	}
}

// leave cancels a page that is not needed.
func (e *early) leave() {
	if e != nil {
		e.stop()
	}
}

// takeEarly hands on the page at cur, if it was asked for early. ok is false where it was
// not, or where it failed: then it must be asked for, after so many tries.
func (s *tagsList) takeEarly(ctx context.Context, cur *Cursor, to Sink) (rep wire.Response, tries int, ok bool, err error) {
	e := s.early
	s.early = nil
	if e == nil || cur.aside != nil || e.at != cur.URL.String() {
		e.leave()
		return rep, 0, false, nil
	}
	select {
	case rep := <-e.header:
		if next := s.askEarly(ctx); next != nil {
			next(rep)
		}
	case <-e.done:
	}
	rep, err = e.drain(ctx, to)
	if err == nil || errors.Is(err, ErrStopped) || errors.Is(err, ocierr.ErrTooLarge) && !isBound(err) {
		return rep, 1, true, err
	}
	s.early.leave()
	s.early = nil
	return rep, 1, false, nil
}

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

// isWhole reports whether the answer is more than a page. It waits for that, but
// not much longer than a page takes.
func (a *aside) isWhole(ctx context.Context, page time.Duration) bool {
	timer := time.NewTimer(max(time.Second, 4*page))
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

// drain hands on what has come and what still comes.
func (a *aside) drain(ctx context.Context, to Sink) (wire.Response, error) {
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
