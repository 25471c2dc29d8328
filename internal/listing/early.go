package listing

import (
	"context"
	"strings"

	"github.com/ocitags/ocitags/internal/wire"
)

// An early is the next page, asked for when the header of the page before it has named
// its place, while the body of that one was still to come.
type early struct {
	*aside
	at     string // its URL
	header chan *wire.Response
}

// askEarly returns a function that asks for the next page when the header of a page has
// come; nil where the header alone does not tell the place of the next page. own is how
// many requests the foreground has in flight.
func (s *tagsList) askEarly(ctx context.Context, own int) func(*wire.Response) {
	if !s.inARow {
		return nil
	}
	return func(rep *wire.Response) {
		s.early.leave() // of a try before
		s.early = nil
		if int(s.besides.Load())+own >= s.Slots {
			return
		}
		link, _, err := s.Registry.NextLink(rep.Links, rep.URL)
		if err != nil || link == nil || link.Query().Get("n") == "0" {
			return
		}
		if last, ok := link.Query()["last"]; ok && (last[0] == "" || strings.Trim(last[0], "0123456789") == "") {
			return // the start of the list, or an offset, which is asked for with an overlap
		}
		e := &early{at: link.String(), header: make(chan *wire.Response, 1)}
		e.aside = s.readBeside(ctx, wire.Request{URL: link, Once: true, Header: func(rep *wire.Response) { e.header <- rep }})
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
func (s *tagsList) takeEarly(ctx context.Context, cur *Cursor, to Sink) (rep *wire.Response, tries int, ok bool, err error) {
	e := s.early
	s.early = nil
	if e == nil || cur.aside != nil || e.at != cur.URL.String() {
		e.leave()
		return rep, 0, false, nil
	}
	select {
	case rep := <-e.header:
		if next := s.askEarly(ctx, 0); next != nil {
			next(rep)
		}
	case <-e.done:
	}
	rep, err = e.drain(ctx, to)
	if err == nil || isFinal(ctx, err) {
		return rep, 1, true, err
	}
	s.early.leave()
	s.early = nil
	return rep, 1, false, nil
}
