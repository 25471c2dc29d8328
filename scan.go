package ocitags

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
	"unsafe"

	"github.com/ocitags/ocitags/internal/scan"
)

const (
	// maxAhead is how many bytes of tags are kept that have been read before it
	// was their turn: a million of the usual length. What is beyond waits.
	maxAhead = 64 << 20

	// maxScanned is how many tags a page may have to be compared with others,
	// more than any n that is asked for by itself.
	maxScanned = 16384

	// quayLanes is how many requests quay.io takes at once for ordinary lists:
	// one, and a burst of 2 (quay conf/nginx/rate-limiting.conf.jnj).
	quayLanes = 3
)

// A scanner reads ahead: other parts of the list than the one whose turn it is,
// where a registry can begin anywhere. internal/scan says where parts begin and
// where they meet; here is what runs them. A nil scanner does nothing.
type scanner struct {
	l     *listing
	after func(last string) *chain

	mu      sync.Mutex
	plan    *scan.Plan
	parts   map[*scan.Chain]*part // those that are of use
	turn    *part                 // what is handed out
	lanes   int                   // requests that may be in flight
	busy    int                   // that are
	overlap int                   // tags that will come once more, at the start of the next part
	pages   []Page                // that came ahead, and are not reported yet
	over    bool                  // no other part will begin

	doubt func(ctx context.Context) *chain // of a page, whatever became of it
	moot  bool                             // the front has its own reason to begin anew
}

// A part is a chain that reads ahead. When its turn has come the front goes on
// with its chain.
type part struct {
	s     *scanner
	at    *scan.Chain
	chain *chain
	page  []string   // of the try that is being read
	ready [][]string // pages to be handed out
	tags  int        // in them
	bytes int        // of them
	why   string     // the evidence of its last page

	wanted  bool          // its turn has come
	resting bool          // it stopped for want of room
	idle    chan struct{} // closed when it does not read; nil: it never did
}

// newScanner begins with the first page whose end a cursor names. It returns nil
// if that page is in no order which registries sort by.
func newScanner(ctx context.Context, f *front, after func(last string) *chain) *scanner {
	if f.repo.Host == "quay.io" {
		f.lanes = min(f.lanes, quayLanes)
	}
	var plan *scan.Plan
	var at *scan.Chain
	if len(f.page) <= maxScanned {
		plan, at = scan.New(f.page)
	}
	if plan == nil {
		f.lanes = 1 // no later page mends it
		f.log().DebugContext(ctx, "reading one page after the other", "because", "its tags are in no known order")
		return nil
	}
	f.log().DebugContext(ctx, "reading several parts of the list at once", "because", "its tags are sorted, and the cursor is one of them", "order", plan.Order())
	s := &scanner{l: f.listing, after: after, plan: plan, lanes: f.lanes, busy: 1}
	s.turn = &part{s: s, at: at}
	s.parts = map[*scan.Chain]*part{at: s.turn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill(ctx)
	return s
}

// fill puts free lanes to use. s.mu is held.
func (s *scanner) fill(ctx context.Context) {
	for s.busy < s.lanes && s.room() && ctx.Err() == nil {
		p := s.rested()
		if p == nil {
			at := s.plan.Cut(s.lanes)
			if at == nil {
				return
			}
			s.l.log().DebugContext(ctx, "reading another part", "after", at.Start())
			p = &part{s: s, at: at, chain: s.after(at.Start())}
			s.parts[at] = p
		}
		p.start(ctx)
	}
}

// room reports whether more may be kept.
func (s *scanner) room() bool {
	kept := 0
	for _, p := range s.parts {
		kept += p.bytes
	}
	return kept < cmp.Or(s.l.client.aheadBound, maxAhead)
}

// rested is the first part that has stopped for want of room, or nil.
func (s *scanner) rested() *part {
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
func (p *part) start(ctx context.Context) {
	s := p.s
	p.resting, p.idle = false, make(chan struct{})
	s.busy++
	s.l.wg.Go(func() {
		err := walk(ctx, p.chain, p)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			p.failed(ctx, err)
		}
		if !p.wanted { // then its lane is the front's
			s.busy--
		}
		close(p.idle)
		s.fill(ctx)
	})
}

// failed is told why a part cannot be read ahead. Whatever it is, the front
// meets it again if it comes there.
func (p *part) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the listing is over
	}
	p.s.l.log().DebugContext(ctx, "reading ahead failed", "after", p.at.Start(), "because", err.Error())
	switch status := status(err); {
	case status == http.StatusTooManyRequests:
		p.s.lanes = max(1, p.s.lanes-1)
		p.s.plan.Failed(p.at)
	case refusesLast(status):
		p.s.plan.Refused(p.at)
	default:
		p.s.plan.Failed(p.at)
	}
	p.s.settle(ctx)
}

// settle forgets the parts that have turned out to be of no use, and keeps in
// mind what makes all parts so at this registry. s.mu is held.
func (s *scanner) settle(ctx context.Context) {
	for at := range s.parts {
		if at.Gone() {
			delete(s.parts, at)
		}
	}
	if why := s.plan.Off(); why != scan.None && !s.over {
		s.over = true
		s.l.log().DebugContext(ctx, "reading one page after the other", "because", string(why))
		if why != scan.Disorder {
			s.l.client.learn(s.l.home.Host, func(h *habits) { h.linear = true })
		}
	}
}

// The methods of a reader.

func (p *part) turn(_ context.Context, cur *cursor) error {
	if cur.rewind || cur.reorder || cur.check {
		return errors.New("the list has to begin anew")
	}
	return nil
}

func (p *part) begin(int) { p.page = nil } // the one before is kept

func (p *part) tag(_ context.Context, tag string) (bool, error) {
	if len(p.page) == maxScanned {
		return false, permanentError{errors.New("the page is much larger than was asked for")}
	}
	p.page = append(p.page, tag)
	return true, nil
}

func (p *part) leads() bool { return false }

func (p *part) end(ctx context.Context, ans answer, took time.Duration) (news, total int, goOn bool) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if ans.doubt != nil {
		s.doubt = ans.doubt
	}
	keep, goOn := s.plan.Page(p.at, p.page, ans.next != nil)
	s.settle(ctx)
	s.pages = append(s.pages, Page{Tags: keep, Skipped: ans.Skipped, Duration: took, Attempts: ans.attempts})
	if p.at.Gone() {
		return 0, 0, false
	}
	p.why = ans.why
	p.ready = append(p.ready, p.page[:keep])
	p.tags += keep
	for _, tag := range p.page[:keep] {
		p.bytes += len(tag) + int(unsafe.Sizeof(tag))
	}
	p.resting = goOn && !p.wanted && !s.room()
	s.fill(ctx)
	return len(p.page), p.tags, goOn && !p.wanted && !p.resting
}

// lead takes a page that the front has read and handed out, and says whether it
// goes on.
func (s *scanner) lead(ctx context.Context, f *front, ans answer) (goOn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(f.page) > maxScanned {
		s.plan.Stop(scan.Disorder)
		f.page = nil
	}
	last := s.turn.at.Last()
	keep, goOn := s.plan.Page(s.turn.at, f.page, ans.next != nil)
	if keep > 0 {
		last = f.page[keep-1]
	}
	if s.overlap = len(f.page) - keep; s.overlap > 0 {
		f.filter.Rewind(last)
	}
	s.settle(ctx)
	s.fill(ctx)
	return goOn
}

// next is the chain that goes on where the front has ended, after what was read
// ahead of it was handed out; nil at the end of the list.
func (f *front) next(ctx context.Context) (*chain, error) {
	for f.scan != nil {
		p := f.scan.follow(ctx)
		if p == nil {
			break
		}
		f.why = p.why
		for _, page := range p.ready {
			for _, tag := range page {
				if _, err := f.emit(ctx, tag); err != nil {
					return nil, err
				}
			}
		}
		if goesOn := f.scan.handedOut(p); goesOn {
			return p.chain, nil
		}
	}
	for _, page := range f.scan.reports() {
		f.report(page)
	}
	if doubt := f.scan.doubts(); doubt != nil {
		if ch := doubt(ctx); ch != nil {
			ch.pass, f.scan, f.lanes = 1, nil, 1
			return ch, nil
		}
	}
	return nil, nil
}

// follow waits for the next part to come to rest, and makes it the turn's.
func (s *scanner) follow(ctx context.Context) *part {
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
		s.busy-- // the front waits, and gets the part's lane
		s.fill(ctx)
		s.mu.Unlock()
		<-p.idle
	}
	return p
}

// handedOut gives the room of a part free, and reports whether it goes on.
func (s *scanner) handedOut(p *part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ready, p.tags, p.bytes, s.overlap = nil, 0, 0, 0
	return !p.at.Ended()
}

// pending is how many tags have been read ahead.
func (s *scanner) pending() (tags int) {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		tags += p.tags
	}
	return tags - s.overlap
}

// reports are the pages that came ahead since it was last called.
func (s *scanner) reports() (pages []Page) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pages, s.pages = s.pages, nil
	return pages
}

// doubts is the doubt that is left at the end of the list, or nil.
func (s *scanner) doubts() (doubt func(ctx context.Context) *chain) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moot {
		return nil
	}
	return s.doubt
}

// stop leaves the rest of the list to the front, which is to begin it anew.
func (s *scanner) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moot = true
	s.plan.Stop(scan.Disorder)
	s.settle(context.Background())
}
