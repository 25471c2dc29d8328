package listing

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/url"
	"time"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// A Source pages through one repository's tags in one dialect. It is not safe for
// concurrent use.
type Source interface {
	// First returns the place of the first page.
	First() *Cursor

	// Page requests the page at cur, passes its tags to the sink, and says what
	// follows it.
	Page(ctx context.Context, cur *Cursor, to Sink) (Answer, error)

	// Take is Page for one that was read ahead: t has its tags.
	Take(ctx context.Context, cur *Cursor, rep wire.Response, t *PageTags) (Answer, error)

	// Meets receives the tags of the last page of a part that was read ahead, up to and
	// including the first tag of the next part.
	Meets(cur *Cursor, tags []string)

	// NewPage returns the receiver of a page that was read ahead.
	NewPage(cur *Cursor, to Sink) *PageTags

	// Unfinished returns where the list goes on although it seemed to end, because
	// other tags of it are known; nil if they do not exist any more.
	Unfinished(ctx context.Context) (*Cursor, error)

	// Otherwise returns where else the list may be read when its pages lead nowhere,
	// or why it is complete nevertheless; nil and "" if neither is known, and err stands.
	Otherwise(err error) (next *Cursor, why string)
}

// A kind of cursor says what it means if its page brings nothing.
type kind int

const (
	begin     kind = iota // the start of the list
	announced             // a Link named it
	asked                 // the client's own question what comes after a tag
	sought                // a string of the client's own, where a part that is read ahead begins
	compare               // the list without n, to compare with the pages so far
)

// A Cursor is the place of a page.
type Cursor struct {
	URL  *url.URL
	kind kind

	after string // the tag after which the page begins; "": none, or unknown
	must  string // the tag that the page must begin with; "": unknown
	step  int    // how many tags of the list so far follow after
	stood int    // how many of the last tags are known to be where they were
	ended bool   // the list has ended, and the page only verifies its last tags
	place int    // of an offset, the number of tags before the page; 0: not an offset
	entry string // the entry, which is not a tag, after which the page begins

	announced *url.URL // what the registry named; nil: nothing
	named     *url.URL // the same, if URL asks for an overlapping page instead; nil: it does not
	fallback  *url.URL // the same page with a smaller n, if that of URL may be refused; nil: URL has it
	hollow    bool     // the page after the last tag was empty
	again     bool     // the same URL was requested before, and not answered
	Restart   bool     // the list begins anew with this page
	aside     *aside   // what has been read of it already
	back      *Cursor  // where to go on if the page does not help
	end       *Cursor  // the page with which the list ended, if this one is to confirm it
	why       string   // the evidence that the page is to confirm
}

// beginsWithLast reports whether a page begins with the tag that was its last, as some
// registries send it, and then with the one that has to come there.
func (c *Cursor) beginsWithLast(page []string) bool {
	return c.must != "" && len(page) > 1 && page[0] == c.after && page[1] == c.must
}

// isPlain reports whether the page is what comes after the last tag of a list that seems
// to have ended, whatever comes.
func (c *Cursor) isPlain() bool { return c.kind == asked && c.end != nil }

// beyond returns the tags of a page without those that overlap the page before.
func (c *Cursor) beyond(tags []string) []string {
	if c.must != "" && len(tags) > 0 && tags[0] == c.must {
		return tags[min(c.step, len(tags)):]
	}
	return tags
}

// An Answer is what a page brought apart from its tags.
type Answer struct {
	wire.Response
	Next *Cursor // nil: the list is complete
	Why  string  // how that is known
	More bool    // has_additional says that there is more
	held bool    // the page continues the one before; otherwise Next leads back

	// seek returns a reader of the list from any string on, tag or not. nil: the list
	// cannot be read from anywhere but its pages.
	seek func(last string) *prefetch
}

// A Sink receives the tags of one page.
type Sink interface {
	// Begin begins a try to read the page. From the second try on, tags of the one
	// before may come again.
	Begin(try int)

	// Tags receives some tags, and returns how many of them are new. The slice is valid
	// only during the call.
	Tags(ctx context.Context, batch []string) (news int, err error)

	// Leads reports whether the sink is in the foreground, which retries refused
	// requests; a sink that reads ahead leaves them to it.
	Leads() bool
}

// each is a function as a Sink, for the answer to a question.
type each func(tag string) error

func (each) Begin(int) {}

func (e each) Tags(_ context.Context, batch []string) (int, error) {
	for _, tag := range batch {
		if err := e(tag); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (each) Leads() bool { return true }

// progress returns ErrLoop if pages keep arriving without new tags.
type progress struct {
	seen    map[uint64]bool // hashes of the URLs asked in this pass
	pass    int             // how often the list was restarted
	entries int             // in this pass
	idle    int             // pages in a row without news

	questions int // of our own, in a row, that brought none
}

// MaxIdlePages is how many pages in a row may bring no new tag while another is
// announced.
const MaxIdlePages = 3

// maxQuestions is how many of our own questions in a row may bring nothing: to go
// back in the list takes ten, in each of two forms, and again in each pass.
const maxQuestions = 100

// maxPasses is how often a list may be begun anew, whatever leads there: a hostile server
// must not keep a listing going.
const maxPasses = 50

var urlSeed = maphash.MakeSeed()

// enter records a page before it is requested.
func (p *progress) enter(cur *Cursor) error {
	if p.seen != nil && cur.Restart {
		p.pass++
		p.seen, p.entries, p.idle = nil, 0, 0
	}
	if p.seen == nil {
		p.seen = make(map[uint64]bool)
	}
	at := maphash.String(urlSeed, cur.URL.String())
	if p.seen[at] && cur.kind != asked && cur.step == 0 && !cur.again {
		return fmt.Errorf("%w: the next page is one that was already read", ocierr.ErrLoop)
	}
	p.seen[at] = true
	return nil
}

// made records what a page brought that is followed by another. A list that is read
// once more brings little that is new, but not many more entries than there
// are tags.
func (p *progress) made(cur *Cursor, news int, page taglist.Summary, total int) error {
	if cur.step <= 1 {
		p.entries += page.Entries
	}
	if p.pass > 0 {
		if p.entries > 2*total+smallPageSize {
			return fmt.Errorf("%w: %d entries so far in a list of %d tags, and another page is announced", ocierr.ErrLoop, p.entries, total)
		}
		if cur.step <= 1 && page.Entries > 1 {
			return nil
		}
	}
	if news > 0 || cur.entry != "" && page.Skipped > 0 {
		p.idle, p.questions = 0, 0
		return nil
	}
	if cur.kind == asked || cur.step > 0 {
		if p.questions++; p.questions > maxQuestions {
			return fmt.Errorf("%w: %d questions in a row what comes after the last tag brought none", ocierr.ErrLoop, p.questions)
		}
		return nil
	}
	if page.Skipped > 0 { // a page of digests, say, is followed by others
		p.idle = 0
		return nil
	}
	if p.idle++; p.idle == MaxIdlePages {
		return fmt.Errorf("%w: %d pages in a row brought no new tag, and another is announced", ocierr.ErrLoop, p.idle)
	}
	return nil
}

// A foreground reads the list where it is handed out.
type foreground struct {
	*Listing
	progress
	src    Source
	try    int // tags of this try that were news
	news   int // of this page
	before int // tags before it
	page   []string
	why    string // how it is known that the list is complete

	skipped int // entries that are not tags, so far

	ahead *prefetcher // nil: nothing is read ahead
}

func (f *foreground) Begin(try int) {
	f.filter.Page(try)
	if try > 1 {
		// They will come once more, perhaps in smaller pages, and are no sign
		// then that the list has come to its end.
		f.redelivered += f.try
	}
	f.try, f.page = 0, f.page[:0]
}

func (f *foreground) Tags(ctx context.Context, batch []string) (int, error) {
	if f.Slots > 1 || f.part.isOpen() { // one more than may be
		f.page = append(f.page, batch[:min(len(batch), max(0, MaxPrefetchPage+1-len(f.page)))]...)
	}
	news, err := f.deliver(ctx, batch)
	f.try += news
	f.news += news
	return news, err
}

func (f *foreground) Leads() bool { return true }

// run reads the list to its end: the one paging loop. It knows cursors, not what
// is behind them.
func (f *foreground) run(ctx context.Context) error {
	why, err := f.readKnownPart(ctx)
	if f.why = why; why != "" || err != nil {
		return err
	}
	for cur := f.src.First(); cur != nil; {
		next, met, err := f.step(ctx, cur)
		for err == nil && met {
			next, met, err = f.takePart(ctx)
		}
		if err != nil {
			return err
		}
		if cur = next; cur == nil {
			f.ahead.stop(ctx) // what others have read behind the end is owed
			if len(f.lacking()) > 0 {
				if cur, err = f.src.Unfinished(ctx); err != nil {
					return err
				}
			}
		}
	}
	f.reportAhead()
	return nil
}

// readInARow reads nothing ahead any more. What was read is reported all the same.
func (f *foreground) readInARow(ctx context.Context) {
	f.ahead.stop(ctx)
	pages := f.ahead.reports()
	f.ahead = nil
	for _, page := range pages {
		f.report(page)
	}
}

// step reads one page. met says that it has come to where another part of the
// list begins.
func (f *foreground) step(ctx context.Context, cur *Cursor) (next *Cursor, met bool, err error) {
	if cur.Restart {
		f.readInARow(ctx)
		if f.pass == maxPasses {
			return nil, false, fmt.Errorf("%w: the list was begun anew %d times", ocierr.ErrLoop, f.pass)
		}
	}
	if err := f.enter(cur); err != nil {
		next, err := f.orOtherwise(ctx, err)
		return next, false, err
	}
	f.news, f.before, f.try = 0, f.total, 0
	began := time.Now()
	ans, err := f.src.Page(ctx, cur, f)
	if err != nil {
		return nil, false, err
	}
	return f.turnPage(ctx, cur, ans, time.Since(began))
}

// turnPage takes the rest of a page that was read here. The user hears of it before
// another one is asked for.
func (f *foreground) turnPage(ctx context.Context, cur *Cursor, ans Answer, took time.Duration) (next *Cursor, met bool, err error) {
	f.why = ans.Why
	meetsNone := ans.Next != nil && (ans.Next.Restart || !ans.held)
	switch {
	case f.ahead != nil && meetsNone:
		f.readInARow(ctx)
	case f.ahead != nil:
		met = f.ahead.lead(ctx, f, cur, ans)
	}
	if cur.kind != compare || f.news > 0 {
		f.report(Page{Tags: f.total - f.before, Skipped: ans.Skipped, Duration: took, Attempts: ans.Attempts})
	}
	f.reportAhead()
	if f.skipped += ans.Skipped; f.skipped > wire.MaxSkipped+10*f.total {
		return nil, false, fmt.Errorf("%w: more than %d entries that are not tags", ocierr.ErrTooLarge, wire.MaxSkipped+10*f.total)
	}
	if ans.Next == nil || met {
		return ans.Next, met, nil
	}
	if err := f.made(cur, f.news, ans.Summary, f.total); err != nil {
		next, err := f.orOtherwise(ctx, err)
		return next, false, err
	}
	if f.part.isOpen() {
		why, err := f.readPart(ctx, cur, ans)
		if why != "" || err != nil {
			f.why = why
			return nil, false, err
		}
	}
	if f.ahead == nil && !meetsNone && f.Slots > 1 && ans.seek != nil {
		f.ahead = newPrefetcher(ctx, f, ans.seek)
	}
	return ans.Next, false, nil
}

// orOtherwise returns where the list goes on instead of ending with err: it may be
// restarted, or be known to be complete.
func (f *foreground) orOtherwise(ctx context.Context, err error) (*Cursor, error) {
	next, why := f.src.Otherwise(err)
	switch {
	case next != nil:
		f.Log.DebugContext(ctx, "listing again", "because", err.Error())
	case why != "":
		f.Log.DebugContext(ctx, "not going on", "because", err.Error())
		f.why = why
	default:
		return nil, err
	}
	return next, nil
}

// takePart hands out what was read ahead of the part that begins here, and says
// where it goes on.
func (f *foreground) takePart(ctx context.Context) (next *Cursor, met bool, err error) {
	p := f.ahead.follow(ctx)
	if p == nil {
		return nil, false, fmt.Errorf("%w: a part of the list is missing", ocierr.ErrInvalidResponse)
	}
	for i, page := range p.ready {
		f.news, f.before, f.try = 0, f.total, 0
		t := f.src.NewPage(page.cur, f)
		t.start = nil
		t.Begin(1)
		if _, err := t.Tags(ctx, page.tags[:page.keep]); err != nil {
			return nil, false, err
		}
		if page.keep < len(page.tags) {
			f.src.Meets(page.cur, page.tags)
			break // the rest is the next part's
		}
		ans, err := f.src.Take(ctx, page.cur, page.rep, t)
		if err != nil {
			return nil, false, err
		}
		f.why, next = ans.Why, ans.Next
		if next != nil && (next.Restart || !ans.held || i+1 < len(p.ready) && !sameQuery(next.URL, p.ready[i+1].cur.URL)) {
			f.readInARow(ctx)
			return next, false, nil
		}
		if next == nil && i+1 < len(p.ready) {
			next = p.ready[i+1].cur
		}
	}
	met = f.ahead.handedOut(p)
	return next, met, nil
}

func sameQuery(a, b *url.URL) bool { return a.RawQuery == b.RawQuery }

// reportAhead tells the user of the pages that came ahead.
func (f *foreground) reportAhead() {
	for _, page := range f.ahead.reports() {
		f.report(page)
	}
}

// report tells the user of a page.
func (f *foreground) report(page Page) {
	f.number++
	if f.OnPage != nil {
		page.Repository, page.Number, page.Total = f.Repository.String(), f.number, f.total+f.ahead.pending()
		f.OnPage(page)
	}
}
