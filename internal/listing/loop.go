package listing

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/wire"
)

// A foreground reads the list where it is handed out.
type foreground struct {
	*Listing
	progress
	src    Source
	try    int      // tags of this try that were news
	came   int      // tags of this try; copies next to each other count once
	news   int      // of this page
	before int      // tags before it
	page   []string // its tags, where others may be read ahead
	long   bool     // they are too many, and not kept
	why    string   // how it is known that the list is complete

	skipped int // entries that are not tags, so far

	ahead *prefetcher // nil: nothing is read ahead
}

func (f *foreground) Begin(try int) {
	f.filter.Page(try)
	if try > 1 && f.held != nil && f.filter.ForgetsPage() {
		f.filter.Set(f.held()) // a new tag that it took for known would not come again
	}
	if try > 1 {
		// They will come once more, perhaps in smaller pages, and are no sign
		// then that the list has come to its end.
		f.redelivered += f.try
	}
	f.try, f.came, f.page, f.long = 0, 0, f.page[:0], false
}

func (f *foreground) Tags(ctx context.Context, batch []string) (int, error) {
	if f.long = f.long || len(f.page)+len(batch) > MaxPrefetchPage; f.long {
		f.page = nil
	} else if f.Slots > 1 || f.part.isOpen() {
		f.page = append(f.page, batch...)
	}
	f.came += len(batch)
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
			f.ahead.finish(ctx) // what others have read behind the end is dropped
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
func (f *foreground) turnPage(ctx context.Context, cur *Cursor, ans *Answer, took time.Duration) (next *Cursor, met bool, err error) {
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
	// A list that is begun anew is no loop: maxPasses bounds how often that is done.
	if err := f.made(cur, f.news, f.came, ans.Skipped, f.total); err != nil && !ans.Next.Restart {
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
		f.ahead = newPrefetcher(ctx, f, ans)
	}
	return ans.Next, false, nil
}

// orOtherwise returns where the list goes on instead of ending with err: it may be
// restarted, or be known to be complete.
func (f *foreground) orOtherwise(ctx context.Context, err error) (*Cursor, error) {
	next, why := f.src.Otherwise(ctx, err)
	switch {
	case next != nil:
		f.tell(ctx, "listing again", err.Error())
	case why != "":
		f.tell(ctx, "not going on", err.Error())
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
		if err := f.handOut(ctx, page.tags[:page.keep], t); err != nil {
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
		f.ahead.mayAsk(ans.spare)
		if next != nil && (next.Restart || !ans.held || i+1 < len(p.ready) && !sameQuery(next.URL, p.ready[i+1].cur.URL)) {
			f.readInARow(ctx)
			return next, false, nil
		}
		if next == nil && i+1 < len(p.ready) {
			next = p.ready[i+1].cur
		}
	}
	met = f.ahead.handedOut(ctx, p)
	return next, met, nil
}

// sameQuery reports whether two requests ask for the same page, in whatever order their
// parameters are.
func sameQuery(a, b *url.URL) bool { return a.Query().Encode() == b.Query().Encode() }

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
