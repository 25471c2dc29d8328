package ocitags

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// A source is one dialect of asking for one repository's tags. It knows what
// stands in an answer and what follows it, and is used by one goroutine.
type source interface {
	first() *cursor

	// page asks for the page at cur and hands its tags to the reader.
	page(ctx context.Context, cur *cursor, to reader) (answer, error)
}

// A cursor is the place of a page.
type cursor struct {
	url   *url.URL
	last  string   // the tag after which the page begins; "": none, or not known
	small *url.URL // the same place, where url asks for more than is known to come; nil: it does not
	guess bool     // our own, not announced: an answer without news is the end
	full  bool     // after a page that had the n tags which were asked for

	own     any  // what else the source wants to know of the page
	check   bool // a page that is read once more, to compare
	rewind  bool // the list begins anew here, in the same order
	reorder bool // the list begins anew here, in an order of its own
}

// An answer is what a page brought, beside its tags.
type answer struct {
	reply
	next *cursor // nil: the list is complete
	why  string  // how that is known
	more bool    // the registry says by has_additional that there is more

	// after is the chain of what comes after any string, tag or not. nil: the
	// list cannot be read from there.
	after func(last string) *chain

	// doubt is set where a page that was read ahead shows that tags may be
	// missing. It finds out, and is the chain that reads the list once more; nil
	// where none are.
	doubt func(ctx context.Context) *chain
}

// A taker takes the tags of one page.
type taker interface {
	// begin is told of each try to read the page. From the second on the tags
	// of the one before come again.
	begin(try int)

	// tag takes a tag, and reports whether it is news.
	tag(ctx context.Context, tag string) (news bool, err error)

	// leads reports whether it is at the front of what has been read, where
	// trouble has to be dealt with. What reads ahead leaves it for later.
	leads() bool
}

// each is a taker that is a function, for the tags of a question in between.
type each func(tag string) error

func (each) begin(int) {}

func (e each) tag(_ context.Context, tag string) (bool, error) { return false, e(tag) }

func (each) leads() bool { return true }

// A reader is what a chain of pages is read by.
type reader interface {
	taker

	// turn is told of each page before it is asked for.
	turn(ctx context.Context, cur *cursor) error

	// end takes the rest of an answer. news is how many of the page's tags
	// were, total how many there are so far, and goOn says whether the page
	// after it is wanted.
	end(ctx context.Context, ans answer, took time.Duration) (news, total int, goOn bool)
}

// A chain is a part of the list that is read page by page.
type chain struct {
	src source
	cur *cursor // of the next page; nil: none
	progress
}

func newChain(src source, cur *cursor) *chain { return &chain{src: src, cur: cur} }

// walk reads a chain of pages to its end, or until its reader has enough: the
// one paging loop. It knows cursors, not what is behind them.
func walk(ctx context.Context, ch *chain, to reader) error {
	for goOn := true; goOn && ch.cur != nil; {
		cur := ch.cur
		if err := to.turn(ctx, cur); err != nil {
			return err
		}
		if err := ch.enter(cur); err != nil {
			return err
		}
		began := time.Now()
		ans, err := ch.src.page(ctx, cur, to)
		if err != nil {
			ch.leave(cur)
			return err
		}
		ch.cur = ans.next
		var news, total int
		news, total, goOn = to.end(ctx, ans, time.Since(began))
		if ch.cur != nil {
			if err := ch.made(news, ans.Entries, total); err != nil {
				return err
			}
		}
	}
	return nil
}

// progress sees to it that a chain of pages comes to an end.
type progress struct {
	seen    map[string]bool // the URLs asked in this pass
	pass    int             // how often the list was begun anew
	entries int             // in this pass
	idle    int             // pages in a row without news
}

// enter is told of each page before it is asked for.
func (p *progress) enter(cur *cursor) error {
	if p.seen != nil && (cur.check || cur.rewind || cur.reorder) {
		p.pass++
		p.seen, p.entries, p.idle = nil, 0, 0
	}
	if p.seen == nil {
		p.seen = make(map[string]bool)
	}
	at := cur.url.String()
	if p.seen[at] {
		return fmt.Errorf("%w: the next page is one that was already read", ErrLoop)
	}
	p.seen[at] = true
	return nil
}

// leave is told of a page that did not come, and may be asked for again.
func (p *progress) leave(cur *cursor) { delete(p.seen, cur.url.String()) }

// made is told what a page brought when another follows. A list that is read
// once more brings little that is new, but not many more entries than there
// are tags.
func (p *progress) made(news, entries, total int) error {
	if p.entries += entries; p.pass > 0 {
		if p.entries > 2*total+smallPageSize {
			return fmt.Errorf("%w: %d entries so far in a list of %d tags, and another page is announced", ErrLoop, p.entries, total)
		}
		news = entries
	}
	if news > 0 {
		p.idle = 0
		return nil
	}
	if p.idle++; p.idle == maxIdlePages {
		return fmt.Errorf("%w: %d pages in a row brought no new tag, and another is announced", ErrLoop, p.idle)
	}
	return nil
}

// A front reads the list where it is handed out.
type front struct {
	*listing
	mark   string // where the filter was before this page
	try    int    // tags of this try that were news
	news   int    // of this page
	before int    // tags before it
	page   []string
	why    string // how it is known that the list is complete

	scan *scanner // nil: nothing is read ahead
}

// turn prepares the filter for a list that begins anew.
func (f *front) turn(ctx context.Context, cur *cursor) error {
	if cur.rewind || cur.reorder {
		f.scan.stop()
	}
	if cur.rewind {
		f.filter.Rewind("")
	}
	f.news, f.before = 0, f.total
	if cur.reorder && !f.filter.Unordered() {
		return f.recall(ctx)
	}
	return nil
}

func (f *front) begin(try int) {
	if try == 1 {
		f.mark = f.filter.Mark()
	} else {
		// They will come once more, perhaps in smaller pages, and are no sign
		// then that the list has come to its end.
		f.ahead += f.try
		f.filter.Rewind(f.mark)
	}
	f.try, f.page = 0, f.page[:0]
}

func (f *front) tag(ctx context.Context, tag string) (bool, error) {
	if f.lanes > 1 && len(f.page) <= maxScanned { // one more than may be
		f.page = append(f.page, tag)
	}
	news, err := f.emit(ctx, tag)
	if news {
		f.try++
		f.news++
	}
	return news, err
}

func (f *front) leads() bool { return true }

func (f *front) end(ctx context.Context, ans answer, took time.Duration) (news, total int, goOn bool) {
	f.why = ans.why
	goOn = true
	switch {
	case f.scan != nil:
		goOn = f.scan.lead(ctx, f, ans)
	case f.lanes > 1 && ans.next != nil && ans.after != nil:
		f.scan = newScanner(ctx, f, ans.after)
	}
	f.report(Page{Tags: f.total - f.before, Skipped: ans.Skipped, Duration: took, Attempts: ans.attempts})
	for _, page := range f.scan.reports() {
		f.report(page)
	}
	return f.news, f.total, goOn
}

// report tells the user of a page.
func (f *front) report(page Page) {
	f.number++
	if f.onPage != nil {
		page.Repository, page.Number, page.Total = f.repo.String(), f.number, f.total+f.scan.pending()
		f.onPage(page)
	}
}
