package listing

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"sync"
	"time"
	"unsafe"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/split"
	"github.com/ocitags/ocitags/internal/wire"
)

const (
	// MaxAhead is how many bytes of tags are kept that have been read before it
	// was their turn: a million of the usual length. What is beyond waits.
	MaxAhead = 64 << 20

	// MaxPrefetchPage is how many tags a page may have to be compared with others,
	// more than any n that is asked for by itself.
	MaxPrefetchPage = 16384
)

// A prefetcher reads ahead: other parts of the list than the one whose turn it is,
// where a registry can begin anywhere. internal/split says where parts begin and
// where they meet; here is what runs them. A nil prefetcher does nothing.
type prefetcher struct {
	l    *Listing
	seek func(last string) *prefetch

	mu      sync.Mutex
	plan    *split.Planner
	parts   map[*split.Range]*prefetch // those that were not discarded
	turn    *prefetch                  // what is handed out
	slots   int                        // requests that may be in flight
	pace    pace                       // of them
	busy    int                        // that are
	overlap int                        // tags that will come once more, at the start of the next part
	pages   []Page                     // that came ahead, and are not reported yet
	over    bool                       // no other part will begin
	spare   func()                     // asks a question, when a slot is free; nil: there is none
}

// A prefetch reads a part ahead. When its turn has come the foreground goes on
// where it ends.
type prefetch struct {
	s     *prefetcher
	at    *split.Range
	pages plainPages
	next  *Cursor // of the next page; nil: there is none
	page  []string
	ready []prefetchedPage // pages to be handed out
	count int              // of the tags in them
	bytes int              // of them

	wanted  bool          // its turn has come
	resting bool          // it stopped because too much is kept
	idle    chan struct{} // closed when it does not read; nil: it never did
}

// A prefetchedPage is a page that was read ahead.
type prefetchedPage struct {
	cur  *Cursor
	rep  *wire.Response
	tags []string
	keep int // how many are of this part
}

// plainPages reads pages without any of the care that the foreground takes: it follows
// what names the last tag of its page, and stops at anything else, which the
// foreground then meets.
type plainPages struct {
	*Listing
	endpoint
	n      int
	linked bool
	seen   order.Seen // of the order of the list, before these pages
}

// question returns the URL that asks what comes after a string.
func (s *plainPages) question(last string) *url.URL { return s.query(s.n, last) }

// page reads one page, and says where the next one is; nil: there is none that it
// knows.
func (s plainPages) page(ctx context.Context, cur *Cursor, to *prefetch) (rep *wire.Response, next *Cursor, err error) {
	rep, err = s.Read(ctx, wire.Request{URL: cur.URL}, to)
	if err != nil {
		return rep, nil, err
	}
	link, _, err := s.Registry.NextLink(rep.Links, rep.URL)
	if err != nil {
		return rep, nil, err
	}
	switch {
	case len(to.page) == 0:
	case link != nil:
		next, _ = s.linkedNext(link, to.page) // any other cursor is left to the foreground
	case !s.linked && isFull(rep) && len(to.page) > 1:
		next = s.overlappingNext(to.page)
	}
	return rep, next, err
}

// linkedNext returns the place of the page after one with a next link, which has to name
// the last of its tags.
func (s *plainPages) linkedNext(link *url.URL, tags []string) (*Cursor, error) {
	last := ""
	if len(tags) > 0 {
		last = tags[len(tags)-1]
	}
	if _, cursor := cursorOf(link, last); last == "" || cursor != last || link.Query().Get("n") == "0" {
		return nil, errors.New("the link to the next page does not name the last tag")
	}
	if step := order.Apart(tags); step > 0 && len(tags) > step+1 && s.seen.MayFold() {
		next := s.overlapping(tags, step, link)
		next.kind, next.announced = announced, next.URL
		return next, nil
	}
	return &Cursor{URL: link, announced: link, kind: announced, after: last}, nil
}

// overlappingNext asks for the page after one, by its tags.
func (s *plainPages) overlappingNext(tags []string) *Cursor {
	if len(tags) == 1 {
		return &Cursor{URL: s.question(tags[0]), kind: asked, after: tags[0]}
	}
	step := 1
	if s.seen.MayFold() {
		step = min(max(1, order.Apart(tags)), len(tags)-1)
	}
	return s.overlapping(tags, step, s.question("-"))
}

// overlapping returns the place of a page that begins with the last step tags of the one
// before.
func (e endpoint) overlapping(tags []string, step int, at *url.URL) *Cursor {
	after, must := tags[len(tags)-1-step], tags[len(tags)-step]
	return &Cursor{URL: e.withCursor(at, after), kind: asked, after: after, must: must, step: step}
}

// newPrefetcher begins with the first page whose end a cursor names. It returns nil
// if that page is in no order which registries sort by.
func newPrefetcher(ctx context.Context, f *foreground, ans *Answer) *prefetcher {
	if most := f.Registry.Slots; most > 0 {
		f.Slots, f.MostSlots = min(f.Slots, most), 0
	}
	var plan *split.Planner
	var at *split.Range
	if !f.long {
		plan, at = split.New(f.page)
	}
	if plan == nil {
		f.Slots = 1 // no later page mends it
		f.tell(ctx, "reading one page after the other", "its tags are in no known order")
		return nil
	}
	f.Log.DebugContext(ctx, "reading several parts of the list at once", "because", "its tags are sorted, and the cursor is one of them", "order", plan.Order())
	plan.Within(f.within)
	if f.ofRegistry().crowded {
		f.MostSlots = 0
	}
	s := &prefetcher{l: f.Listing, seek: ans.seek, spare: ans.spare, plan: plan, slots: f.Slots, pace: pace{most: f.MostSlots}, busy: 1}
	s.turn = &prefetch{s: s, at: at}
	s.parts = map[*split.Range]*prefetch{at: s.turn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill(ctx)
	return s
}

// fill puts free slots to use. s.mu is held.
func (s *prefetcher) fill(ctx context.Context) {
	for s.busy+int(s.l.besides.Load()) < s.slots && s.room() && ctx.Err() == nil {
		p := s.rested()
		if p == nil {
			at := s.plan.Split(s.slots)
			if at == nil {
				if s.spare != nil {
					s.spare()
				}
				return
			}
			s.l.Log.DebugContext(ctx, "reading another part", "after", at.Start())
			p = s.seek(at.Start())
			p.s, p.at = s, at
			s.parts[at] = p
		}
		p.start(ctx)
	}
}

// refused records a page that was refused, or needed a retry.
func (s *prefetcher) refused(ctx context.Context) {
	if s.hasGrown() {
		s.l.learn(func(h *habits) { h.crowded = true })
	}
	s.setSlots(ctx, s.pace.refuse(s.slots))
}

// hasGrown reports whether there are more requests at once than at first.
func (s *prefetcher) hasGrown() bool { return s.pace.most > 0 && s.slots > DefaultConcurrency }

// setSlots lets so many requests be in flight.
func (s *prefetcher) setSlots(ctx context.Context, slots int) {
	if slots == s.slots {
		return
	}
	s.l.Log.DebugContext(ctx, "changing the number of requests at once", "requests", slots)
	s.slots = slots
	s.l.Wire.Carrier.Allow(slots)
}

// room reports whether more may be kept.
func (s *prefetcher) room() bool {
	kept := 0
	for _, p := range s.parts {
		kept += p.bytes
	}
	return kept < cmp.Or(s.l.Options.MaxAhead, MaxAhead)
}

// rested returns the first part that has stopped because too much was kept, or nil.
func (s *prefetcher) rested() *prefetch {
	for at := s.turn.at; at != nil; at = s.plan.Next(at) {
		p := s.parts[at]
		if p == nil || !p.resting {
			continue
		}
		select {
		case <-p.idle: // else it is about to be
			return p
		default:
		}
	}
	return nil
}

// start reads ahead in a goroutine. s.mu is held.
func (p *prefetch) start(ctx context.Context) {
	s := p.s
	p.resting, p.idle = false, make(chan struct{})
	s.busy++
	s.l.wg.Go(func() {
		err := p.read(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			p.failed(ctx, err)
		}
		if !p.wanted { // then its slot is the foreground's
			s.busy--
		}
		close(p.idle)
		s.fill(ctx)
	})
}

// failed records why a part cannot be read ahead. If the foreground comes there, it
// meets the same error.
func (p *prefetch) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the listing is over
	}
	p.s.l.Log.DebugContext(ctx, "reading ahead failed", "after", p.at.Start(), "because", err.Error())
	switch status := Status(err); {
	case status == 429:
		p.s.refused(ctx)
		p.s.plan.Failed(p.at)
	case refusesLast(status):
		p.s.plan.Refused(p.at)
	default:
		p.s.plan.Failed(p.at)
	}
	p.s.settle(ctx)
}

// settle drops the parts that the planner has discarded, and remembers why no part can
// be read ahead at this registry. s.mu is held.
func (s *prefetcher) settle(ctx context.Context) {
	for at, p := range s.parts {
		if at.Gone() {
			for _, page := range p.ready {
				s.drop(at, page.cur, page.tags)
			}
			delete(s.parts, at)
		}
	}
	if why := s.plan.Off(); why == split.Over {
		s.over = true
	} else if why != split.None && !s.over {
		s.over = true
		s.l.tell(ctx, "reading one page after the other", string(why))
		if why != split.Disorder {
			s.l.learn(func(h *habits) { h.linear = true })
		}
	}
}

// drop takes note of a page of a part that is dropped.
func (s *prefetcher) drop(at *split.Range, cur *Cursor, tags []string) {
	after := cmp.Or(cur.after, at.Start())
	switch s.plan.Off() {
	case split.Restarts, split.EndsEarly, split.Refuses: // it does not compare with what is no tag
		after = ""
	}
	s.l.drop(cur.URL, after, tags)
}

// read reads pages as long as they are wanted.
func (p *prefetch) read(ctx context.Context) error {
	for goOn := true; goOn && p.next != nil; {
		cur, began := p.next, time.Now()
		rep, next, err := p.pages.page(ctx, cur, p)
		if err != nil {
			return err
		}
		p.next = next
		goOn = p.end(ctx, cur, rep, time.Since(began))
	}
	return nil
}

// The methods of a sink.

func (p *prefetch) Begin(int) { p.page = nil } // the one before is kept

func (p *prefetch) Tags(_ context.Context, batch []string) (int, error) {
	if len(p.page)+len(batch) > MaxPrefetchPage {
		return 0, wire.Permanent{Err: errors.New("the page is much larger than was asked for")}
	}
	for _, tag := range batch {
		if len(p.page) == 0 || tag != p.page[len(p.page)-1] { // some send a tag twice
			p.page = append(p.page, tag)
		}
	}
	return len(batch), nil
}

func (p *prefetch) Leads() bool { return false }

// end takes a page, and reports whether another one is to be read ahead.
func (p *prefetch) end(ctx context.Context, cur *Cursor, rep *wire.Response, took time.Duration) bool {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	tags := cur.beyond(p.page)
	// Only the foreground ends the list: what a part is not told of may be there.
	keep, goOn := s.plan.Page(p.at, tags, true)
	if p.next == nil && len(rep.Links) == 0 {
		s.plan.Edge(p.at)
		if goOn && cur.kind == sought && len(p.page) > 1 && p.at.IsLast() {
			p.next = p.pages.overlappingNext(p.page) // as the foreground will ask
		}
	}
	goOn = goOn && p.next != nil
	s.settle(ctx)
	switch {
	case rep.Attempts == 1:
		s.setSlots(ctx, s.pace.page(s.slots, rep.Took))
	case s.hasGrown():
		s.refused(ctx)
	}
	s.pages = append(s.pages, Page{Tags: keep, Skipped: rep.Skipped, Duration: took, Attempts: rep.Attempts})
	if p.at.Gone() {
		s.drop(p.at, cur, tags)
		return false
	}
	whole := keep == len(tags)
	keep += len(p.page) - len(tags)
	page := prefetchedPage{cur: cur, rep: rep, tags: p.page, keep: keep}
	if !whole {
		page.tags = page.tags[:keep+1] // enough to know that it was more
	}
	p.ready = append(p.ready, page)
	p.count += keep
	for _, tag := range p.page[:keep] {
		p.bytes += len(tag) + int(unsafe.Sizeof(tag))
	}
	p.resting = goOn && !p.wanted && !s.room()
	s.fill(ctx)
	return goOn && !p.wanted && !p.resting
}

// lead takes a page that the foreground has read and handed out, and reports whether
// it has come to where another part begins.
func (s *prefetcher) lead(ctx context.Context, f *foreground, cur *Cursor, ans *Answer) (met bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.long {
		s.plan.Stop(split.Disorder)
	}
	tags := cur.beyond(f.page)
	keep, _ := s.plan.Page(s.turn.at, tags, ans.Next != nil)
	s.spare = ans.spare
	s.overlap = len(tags) - keep
	s.settle(ctx)
	s.fill(ctx)
	return s.turn.at.Ended() && s.plan.Next(s.turn.at) != nil
}

// mayAsk says what question may be asked when a slot is free.
func (s *prefetcher) mayAsk(spare func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = spare
}

// follow waits for the next part to come to rest, and makes it the turn's.
func (s *prefetcher) follow(ctx context.Context) *prefetch {
	s.mu.Lock()
	p := s.parts[s.plan.Next(s.turn.at)]
	if p == nil {
		s.mu.Unlock()
		return nil
	}
	s.turn, p.wanted, p.resting = p, true, false
	select {
	case <-p.idle:
		s.mu.Unlock()
	default:
		s.busy-- // the foreground waits, and gets the part's slot
		s.fill(ctx)
		s.mu.Unlock()
		<-p.idle
	}
	return p
}

// handedOut gives the room of a part free, and reports whether it has come to
// where another part begins.
func (s *prefetcher) handedOut(ctx context.Context, p *prefetch) (met bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ready, p.count, p.bytes, s.overlap = nil, 0, 0, 0
	s.fill(ctx)
	return p.at.Ended() && s.plan.Next(p.at) != nil
}

// pending returns how many tags have been read ahead.
func (s *prefetcher) pending() (tags int) {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		tags += p.count
	}
	return tags - s.overlap
}

// reports returns the pages that were read ahead since it was last called.
func (s *prefetcher) reports() (pages []Page) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pages, s.pages = s.pages, nil
	return pages
}

// endPatience is how long the end of a list waits for pages that are in flight.
const endPatience = time.Second

// finish is like stop, at what seems to be the end of the list. It waits for pages that are
// in flight, as they may have tags behind that end; but not for long, as no other request
// depends on them.
func (s *prefetcher) finish(ctx context.Context) {
	if s == nil {
		return
	}
	s.mu.Lock()
	var inFlight []chan struct{}
	for _, p := range s.parts {
		if p.idle != nil {
			inFlight = append(inFlight, p.idle)
		}
	}
	s.mu.Unlock()
	s.stop(ctx)
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	for _, idle := range inFlight {
		select {
		case <-idle:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// stop leaves the rest of the list to the foreground.
func (s *prefetcher) stop(ctx context.Context) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan.Stop(split.Over)
	s.settle(ctx)
}
