package listing

import (
	"context"
	"errors"
	"slices"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/span"
	"github.com/ocitags/ocitags/internal/wire"
)

// A part is the range of one listing.
type part struct {
	span.Range
	given map[string]bool // the tags that were yielded
	whole bool            // the list is read from its start to its end
}

// Within says that only the tags of a range are wanted. It returns false where no tag
// can be in it.
func (l *Listing) Within(r span.Range) bool {
	if r != (span.Range{}) {
		l.part = &part{Range: r}
	}
	return !r.IsEmpty()
}

// only returns yield for the tags of the range, each once.
func (p *part) only(yield func(string) bool) func(string) bool {
	p.given = make(map[string]bool)
	return func(tag string) bool {
		switch {
		case !p.Has(tag) || p.given[tag]:
			return true
		case !p.whole:
			p.given[tag] = true
		}
		return yield(tag)
	}
}

// held returns the tags that were yielded while only a part of the list was read.
func (p *part) held() (tags []string) {
	for tag := range p.given {
		tags = append(tags, tag)
	}
	return tags
}

// isOpen reports whether a part of the list may still be read alone.
func (p *part) isOpen() bool { return p != nil && !p.whole }

// A partProof is the question that has shown how a registry compares, and where its
// list was asked.
type partProof struct {
	span.Proof
	endpoint
	n      int
	linked bool
}

// errContradicted is that a part of the list is not what it would be at a registry
// that compares with last and sorts its list. Then the whole list is read.
var errContradicted = errors.New("the registry does not compare with last, or not as it sorts")

// readPart reads the part of the list that the range is in, where its latest page
// shows that it can be told. why is how the part is known to be complete; "": the
// list has to be read on.
func (f *foreground) readPart(ctx context.Context, cur *Cursor, ans *Answer) (why string, err error) {
	if ans.seek == nil {
		f.part.whole = f.number >= maxPartPages
		return "", nil
	}
	pages, tags := ans.seek("").pages, cur.beyond(f.page)
	if f.long || len(tags) < minPartPage {
		f.part.whole = true
		return "", nil
	}
	proof, ok := span.Prove(tags, pages.seen.Orders())
	if !ok {
		f.part.whole = true
		return "", nil
	}
	s := &partSource{plainPages: pages, part: f.part, proof: partProof{proof, pages.endpoint, pages.n, pages.linked}, recent: slices.Clone(tags)}
	return f.readPartFrom(ctx, s, ans.Next)
}

// readKnownPart is like readPart, before the first page, where an earlier listing has
// shown how the registry compares.
func (f *foreground) readKnownPart(ctx context.Context) (why string, err error) {
	known := f.ofRepository().proof
	if !f.part.isOpen() || known == nil {
		return "", nil
	}
	pages := plainPages{endpoint: known.endpoint, n: known.n, linked: known.linked, seen: order.New()}
	return f.readPartFrom(ctx, &partSource{plainPages: pages, part: f.part, proof: *known}, nil)
}

const (
	// minPartPage is how many tags a page must have to show an order.
	minPartPage = 32

	// maxPartPages is after how many pages the whole list is read, if none has shown
	// that it can be read from anywhere.
	maxPartPages = 3
)

// readPartFrom reads the part in a listing of its own, so that the whole list can be
// read as if nothing had been asked. next is the page after the one that is known.
func (f *foreground) readPartFrom(ctx context.Context, s *partSource, next *Cursor) (why string, err error) {
	l := f.Another()
	l.yield, l.within, l.OnPage = f.yield, s.part.Prefix, nil
	l.held = s.part.held
	if f.OnPage != nil {
		l.OnPage = func(page Page) {
			f.number++
			page.Number, page.Total = f.number, page.Total+f.total
			f.OnPage(page)
		}
	}
	s.Listing = l
	why, err = s.readAll(ctx, next)
	if err == nil {
		f.apart = l.total
		if *s.url == *f.Home { // and not where a redirect led
			f.learnHere(func(h *habits) { h.proof = &s.proof })
		}
		return why, nil
	}
	if isFinal(ctx, err) || errors.Is(err, ocierr.ErrRateLimited) || errors.Is(err, ocierr.ErrUnauthorized) {
		return "", err
	}
	f.tell(ctx, "reading the whole list", err.Error())
	f.learnHere(func(h *habits) { h.proof = nil })
	f.part.whole = true
	return "", nil
}

// A partSource reads the pages of a part of the list. It takes nothing but what a
// registry sends that sorts its list in a known order and compares with last in the
// same: anything else is errContradicted.
type partSource struct {
	plainPages
	part   *part
	proof  partProof
	recent []string // the tags of the latest page
	short  bool     // it has no Link, where others have one, and fewer tags than its n
	from   *Cursor  // where the part begins

	crossed bool // a page was asked for after the one before
}

// readAll reads the part, and says how it is known that this was all of it.
func (s *partSource) readAll(ctx context.Context, next *Cursor) (why string, err error) {
	if err := s.prove(ctx); err != nil {
		return "", err
	}
	if s.begin(next) {
		return "what comes after its last tag is past the range", s.settle(ctx)
	}
	if why, err = s.readFrom(ctx, func(context.Context) (Source, error) { return s, nil }); err == nil && s.lacks() {
		err = errContradicted
	}
	return why, err
}

// prove asks what shows how the registry compares, and takes note of it.
func (s *partSource) prove(ctx context.Context) error {
	s.tell(ctx, "asking what comes after a string that is not a tag", "a part of the list can be read where the registry compares with it")
	first := ""
	_, err := s.Read(ctx, wire.Request{URL: WithParam(s.question(s.proof.After), "n", "1")}, each(func(tag string) error {
		first = tag
		return ErrStopped
	}))
	if err != nil && !errors.Is(err, ErrStopped) {
		return err
	}
	s.seen.ComparesBy(s.proof.Orders(first))
	for _, text := range []string{s.part.After, s.part.Prefix} {
		if text != "" {
			s.seen.Note([]string{text}) // tags like it are looked for
		}
	}
	if !s.seen.MayAgree() {
		return errContradicted
	}
	return nil
}

// begin chooses where the part is read from. next is the page after the one that is
// known; done says that this one is past the range.
func (s *partSource) begin(next *Cursor) (done bool) {
	start := s.part.Start(s.seen.Compares())
	switch {
	case len(s.recent) > 0 && s.isPast(s.recent[len(s.recent)-1]):
		return true
	case len(s.recent) > 0 && !s.isBehind(start, s.recent[len(s.recent)-1]):
		s.from = next
	case start == "":
		s.from = &Cursor{URL: s.question(""), kind: begin}
	default:
		s.from = &Cursor{URL: s.question(start), kind: sought, after: start}
	}
	return false
}

// isPast reports whether what comes after a tag is past the range.
func (s *partSource) isPast(tag string) bool { return s.part.IsPast(tag, s.seen.Orders()) }

// isBehind reports whether a comes after b in every order by which the registry may
// compare.
func (s *partSource) isBehind(a, b string) bool {
	return !slices.ContainsFunc(s.seen.Compares(), func(o order.Order) bool { return o.Compare(a, b) <= 0 })
}

// First implements Source.
func (s *partSource) First() *Cursor { return s.from }

// Page implements Source.
func (s *partSource) Page(ctx context.Context, cur *Cursor, to Sink) (*Answer, error) {
	t := s.NewPage(cur, to)
	rep, err := s.Read(ctx, wire.Request{URL: cur.URL}, t)
	if err != nil {
		return &Answer{Response: rep}, err
	}
	return s.Take(ctx, cur, rep, t)
}

// NewPage implements Source.
func (s *partSource) NewPage(cur *Cursor, to Sink) *PageTags {
	return &PageTags{Sink: to, before: s.seen, after: cur.after, sought: cur.kind == sought}
}

// Meets implements Source.
func (s *partSource) Meets(cur *Cursor, tags []string) {
	s.crossed = true
	if cur.after != "" {
		s.seen.Boundary(cur.after, s.recent, tags)
	} else {
		s.seen.Seam(s.recent, tags)
	}
}

// Take implements Source.
func (s *partSource) Take(ctx context.Context, cur *Cursor, rep *wire.Response, t *PageTags) (*Answer, error) {
	ans := &Answer{Response: rep, held: true}
	ends := t.number <= cur.step && cur.kind != begin
	if s.seen = t.seen; cur.kind != sought && cur.after != "" && !(ends && s.short) {
		s.seen.Boundary(cur.after, s.recent, t.top)
		s.crossed = true
	}
	if cur.kind == sought && cur.after == "" { // it was read ahead
		s.seen.Seam(s.recent, t.top)
		s.crossed = true
	}
	s.short = s.linked && len(rep.Links) == 0 && rep.Entries < nOf(rep.Asked)
	switch {
	case !s.seen.MayAgree(), t.number == 0 && rep.Entries > 0, cur.must != "" && t.first != cur.must, rep.HasMore():
		return ans, errContradicted
	case t.number > 0 && s.isPast(t.last()):
		ans.Why = "what comes after its last tag is past the range"
		return ans, s.settle(ctx)
	}
	link, _, err := s.Registry.NextLink(rep.Links, rep.URL)
	if err != nil {
		return ans, err
	}
	switch {
	case link != nil && HasCursor(link.Query()):
		ans.Next, err = s.linkedNext(link, t.latest)
	case ends:
		ans.Why = nothingMore
		err = s.settle(ctx)
	case t.number == 0:
		err = errContradicted
	default:
		ans.Next = s.overlappingNext(t.latest)
	}
	if t.number > 0 {
		s.recent = slices.Clone(t.latest)
	}
	if ans.Next != nil && !s.ofRegistry().linear {
		as := s.plainPages // as it is now: parts begin later
		ans.seek = func(last string) *prefetch {
			return &prefetch{pages: as, next: &Cursor{URL: as.question(last), kind: sought}}
		}
	}
	return ans, err
}

// settle returns errContradicted where tags of the part may be missing without a sign
// in its pages.
func (s *partSource) settle(ctx context.Context) error {
	if s.seen.Probes() || s.crossed && s.seen.MayDiffer() {
		return errContradicted
	}
	if s.seen.Unproven() && s.sendsPages(ctx) {
		s.seen.NotByKeys()
	}
	if s.seen.Unproven() {
		return errContradicted
	}
	return nil
}

// sendsPages reports whether the list without n is a page, which it is not where
// lists are in the order of object keys.
func (s *partSource) sendsPages(ctx context.Context) bool {
	pages := pageManner{s.linked, s.n}
	if s.Registry.PagesOnly || s.ofRepository().isPage(pages) {
		return true
	}
	s.tell(ctx, "asking for the list without n", "it may be in the order of object keys")
	n := 0
	rep, err := s.Read(ctx, wire.Request{URL: s.query(0, ""), Once: true}, each(func(string) error {
		if n++; n > defaultPageSize {
			return ErrStopped
		}
		return nil
	}))
	if n > defaultPageSize || err != nil || !s.leadsOn(rep) {
		return false
	}
	s.learnPagesOnly(pages)
	return true
}

// Unfinished implements Source.
func (s *partSource) Unfinished(context.Context) (*Cursor, error) { return nil, nil }

// Otherwise implements Source.
func (s *partSource) Otherwise(context.Context, error) (next *Cursor, why string) { return nil, "" }

// lacks reports whether a tag of the range was read ahead, and dropped, and has not
// come since.
func (s *partSource) lacks() bool {
	for tag := range s.lacking() {
		if s.part.Has(tag) && !s.part.given[tag] {
			return true
		}
	}
	return false
}
