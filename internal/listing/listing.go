// Package listing reads all tags of one repository.
//
// A Listing has one paging loop (loop.go), which follows the places of pages until a
// source says that the list is complete. The source of the distribution specification is
// tagsList (tagslist.go): it says what follows a page, asks what comes after a tag where
// the registry does not say it (question.go), chooses n (pagesize.go) and decides by
// evidence whether the list has ended (evidence.go). A prefetcher (prefetch.go) reads
// other parts of the list at the same time; a range is read as one such part (part.go).
//
// What registries write into Links and who may be asked is not known here: Options has it.
package listing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/dedup"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/reference"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// Sizes of pages, in tags.
const (
	defaultPageSize  = 1000   // the most that no known server refuses at first
	smallPageSize    = 100    // the next try: quay's and GitLab's own
	smallestPageSize = 50     // the last one: Cloudflare's
	largePageSize    = 10_000 // what is tried once more is known to come; the most that Google's answers
)

const (
	// DefaultConcurrency is how many requests are in flight at first where the user has
	// left that open, and MaxConcurrency how many there may be later.
	DefaultConcurrency = 4
	MaxConcurrency     = 16
)

// Options are what a Listing is made of.
type Options struct {
	Repository reference.Repository
	Home       *url.URL // of its tag list
	Wire       *wire.Client
	Registry   Registry
	Habits     *Habits
	Log        *slog.Logger

	PageSize  int // n; 0: chosen here, < 0: none
	MaxTags   int // <= 0: unbounded
	Slots     int // requests that may be in flight, at first
	MostSlots int // later; 0: no more than at first
	MaxAhead  int // bytes of tags that are kept before it is their turn; 0: 64 MiB
	OnPage    func(Page)

	// Front returns the source to begin with, which may go on with that of the
	// specification; nil: it is that one.
	Front func(context.Context, *Listing, Source) (Source, error)

	// Another returns a listing of the same repository, for reading it once more.
	Another func() *Listing
}

// A Registry is what is known of a registry by its name, and of registries as such.
type Registry struct {
	ByAge     bool // its lists are by age: they are read in a row, at one page size
	PagesOnly bool // the list without n is a page
	Announces bool // it sends a Link whenever there is more, whatever n was
	Slots     int  // the most requests that it takes at once; 0: not known

	// NextLink finds the link to the next page among the values of Link headers; nil: there
	// is none. at is the URL that answered. oddity says what is wrong with a link that
	// is followed all the same.
	NextLink func(values []string, at *url.URL) (next *url.URL, oddity string, err error)

	// Repair mends such a link; asked is the n of the page that had it, and wrong what
	// was wrong, or "". It returns nil for one that leads to the start of the list.
	Repair func(link *url.URL, asked int) (mended *url.URL, wrong string)
}

// A Page is what one answered request brought.
type Page struct {
	Repository string
	Number     int
	Tags       int
	Total      int
	Skipped    int
	Duration   time.Duration
	Attempts   int
}

// A Listing reads one list once. It is the sink of the tags: it drops duplicates, keeps
// the bounds and reports the pages.
type Listing struct {
	Options

	yield func(tag string) bool // nil: the filter keeps the tags
	held  func() []string       // nil: nobody holds what was yielded
	part  *part                 // nil: all tags are wanted

	filter      dedup.Filter
	apart       int                 // tags that were read in a part
	within      string              // all tags that are wanted begin with it
	number      int                 // pages so far
	total       int                 // tags so far
	redelivered int                 // tags that tries handed out which were cut short
	dropped     map[string]*url.URL // tags of pages that were dropped, and where they were
	orders      order.Seen          // of these pages
	dialect     string              // what was logged of it

	wg      sync.WaitGroup // of the goroutines that make requests
	besides atomic.Int32   // requests in flight other than the foreground's and the prefetcher's
	mu      sync.Mutex
	warned  map[string]bool
}

// New returns a Listing, which has asked for nothing yet.
func New(o Options) *Listing {
	return &Listing{Options: o, warned: make(map[string]bool), dropped: make(map[string]*url.URL), orders: order.New()}
}

// shown returns what dropped pages show of the order of the list.
func (l *Listing) shown() order.Seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.orders
}

// ErrStopped is that the consumer has enough.
var ErrStopped = errors.New("the consumer stopped the listing")

// errUnneeded is why requests end that are in flight when a listing is over.
var errUnneeded = errors.New("no longer needed")

// Run lists the repository. yield takes the tags, each once, and returns false when it
// wants no more, which ends the listing with ErrStopped.
func (l *Listing) Run(ctx context.Context, yield func(tag string) bool) error {
	if l.yield = yield; l.part != nil {
		l.yield = l.part.only(yield)
	}
	return l.run(ctx)
}

// All lists the repository, and returns its tags, sorted as by sort.Strings.
func (l *Listing) All(ctx context.Context) ([]string, error) {
	l.filter.Kept = new(dedup.Kept)
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	tags := l.filter.Kept.All()
	if !l.filter.Ascends() {
		slices.Sort(tags)
	}
	return tags, nil
}

func (l *Listing) run(ctx context.Context) error {
	why, err := l.readAll(ctx)
	if err == nil {
		l.Log.DebugContext(ctx, "complete", "tags", l.total+l.apart, "pages", l.number, "because", why)
	}
	return err
}

// readAll reads page after page, and says how it is known that these were all.
func (l *Listing) readAll(ctx context.Context) (why string, err error) {
	return l.readFrom(ctx, func(ctx context.Context) (Source, error) {
		s := newTagsList(l)
		if l.Front == nil {
			return s, nil
		}
		return l.Front(ctx, l, s)
	})
}

// readFrom is like readAll, for a source.
func (l *Listing) readFrom(ctx context.Context, open func(context.Context) (Source, error)) (why string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(errUnneeded)
		l.wg.Wait()
	}()
	src, err := open(ctx)
	if err != nil {
		return "", err
	}
	f := &foreground{Listing: l, src: src}
	switch err := f.run(ctx); {
	case err == ErrStopped:
		return "", err
	case err != nil:
		return "", fmt.Errorf("page %d: %w", l.number+1, err)
	}
	return f.why, nil
}

// Go runs f in a goroutine that has ended when the listing returns.
func (l *Listing) Go(f func()) { l.wg.Go(f) }

// maxDropped is of how many tags of dropped pages it is known where they were. Of the pages
// beyond that it is known of the first tag and the last.
const maxDropped = 1 << 17

// drop takes note of a page that was read ahead and is not handed out. Its tags exist, so
// that a list without them is not complete. after is what it was asked for after, a tag or
// another string; "": that does not matter.
func (l *Listing) drop(at *url.URL, after string, tags []string) {
	l.expect(at, tags)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orders.Aside(after, tags)
}

// expect takes note of tags that exist, and of where they were.
func (l *Listing) expect(at *url.URL, tags []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, tag := range tags {
		if len(l.dropped) < maxDropped || i == 0 || i == len(tags)-1 {
			l.dropped[tag] = at
		}
	}
}

// lacking returns the tags of dropped pages that have not come since, and where they were.
func (l *Listing) lacking() map[string]*url.URL {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.dropped, func(tag string, _ *url.URL) bool { return l.filter.Knows(tag) })
	return maps.Clone(l.dropped)
}

// invalid returns an error for answers that are no list, or not one list.
func invalid(asked *url.URL, format string, args ...any) error {
	return fmt.Errorf("%w: GET %s: %s", ocierr.ErrInvalidResponse, origin.WithoutSecrets(asked), fmt.Sprintf(format, args...))
}

// maxSeek is how many pages are read once more to see whether such tags still exist.
const maxSeek = 3

// missing returns an error if such a tag has not come since, and is still there. It reads
// again what it came with: otherwise it was deleted.
func (l *Listing) missing(ctx context.Context) error {
	var asked []*url.URL
	lacking := l.lacking()
	for _, tag := range slices.Sorted(maps.Keys(lacking)) {
		at := lacking[tag]
		if slices.Contains(asked, at) || len(asked) == maxSeek {
			continue
		}
		asked = append(asked, at)
		l.tell(ctx, "reading a page again", "a tag that it had did not come since")
		_, err := l.Read(ctx, wire.Request{URL: at}, each(func(tag string) error {
			if lacking[tag] == nil {
				return nil
			}
			return invalid(at, "it has the tag %s, which was left out where the list was read to its end", taglist.Quote(tag))
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// errForgotten is that a tag cannot be told from those that were handed out, and
// not kept. Nothing is asked before the answer that holds it has let go of its
// connection.
var errForgotten = errors.New("the order breaks late")

// deliver takes some tags of a page, and returns how many are news: new, or handed
// out already by a try that was cut short, from which the listing goes on.
func (l *Listing) deliver(ctx context.Context, batch []string) (news int, err error) {
	ascend := l.filter.Ascend(batch)
	if news, err = l.give(ctx, batch[:ascend]); err != nil {
		return news, err
	}
	for i := ascend; i < len(batch); i++ {
		fresh, ok := l.filter.Admit(batch[i])
		if !ok {
			if l.held == nil {
				return news, errForgotten
			}
			l.filter.Set(l.held())
			fresh, _ = l.filter.Admit(batch[i])
		}
		switch {
		case fresh:
			given, err := l.give(ctx, batch[i:i+1])
			if news += given; err != nil {
				return news, err
			}
		case l.redelivered > 0:
			l.redelivered--
			news++
		}
	}
	return news, nil
}

// give hands out tags that are new, and returns how many.
func (l *Listing) give(ctx context.Context, tags []string) (given int, err error) {
	room := len(tags)
	if l.MaxTags > 0 {
		room = min(room, l.MaxTags-l.total)
	}
	ended := ctx.Done()
	for given < room && err == nil {
		select {
		case <-ended: // a page in hand is not a reason to go on
			err = bound.Ended(ctx)
			continue
		default:
		}
		if l.yield == nil {
			given = room
			continue
		}
		if !l.yield(tags[given]) {
			err = ErrStopped
		}
		given++
	}
	l.total += given
	if err == nil && room < len(tags) {
		err = fmt.Errorf("%w: more than %d tags (Client.MaxTags)", ocierr.ErrTooLarge, l.MaxTags)
	}
	return given, err
}

// Read asks for one page and hands its tags to a sink as they arrive. Where one
// cannot be told from those that were handed out, it asks again with what it knows
// then.
func (l *Listing) Read(ctx context.Context, req wire.Request, to Sink) (*wire.Response, error) {
	req.Ahead = func() bool { return !to.Leads() }
	for {
		rep, err := l.Wire.Get(ctx, req, wireSink{to})
		if _, isPage := to.(*PageTags); err == nil && isPage && to.Leads() && l.filter.IsOther() {
			err = errForgotten
		}
		if err != errForgotten {
			return rep, err
		}
		if err := l.recall(ctx); err != nil {
			return rep, err
		}
		req.Tries = rep.Attempts - 1
	}
}

// wireSink is a sink of which nobody asks what was news.
type wireSink struct{ to Sink }

func (s wireSink) Begin(try int) { s.to.Begin(try) }

func (s wireSink) Tags(ctx context.Context, batch []string) error {
	_, err := s.to.Tags(ctx, batch)
	return err
}

// handOut passes on tags that have been read before.
func (l *Listing) handOut(ctx context.Context, tags []string, to Sink) error {
	for try := 1; ; try++ {
		to.Begin(try)
		_, err := to.Tags(ctx, tags)
		if err != errForgotten {
			return err
		}
		if err := l.recall(ctx); err != nil {
			return err
		}
	}
}

// recall gives the filter back the tags that were handed out and not kept,
// because they ascended: the registry still has them, and its list is read again
// up to where its order broke.
func (l *Listing) recall(ctx context.Context) error {
	const tries = 3
	for range tries {
		l.Log.DebugContext(ctx, "the order breaks late: reading the list again up to there", "tags", l.total)
		tags, err := l.replay(ctx)
		if err != nil {
			return fmt.Errorf("reading the list again: %w", err)
		}
		if l.filter.Restore(tags) {
			return nil
		}
	}
	return fmt.Errorf("%w: a tag comes out of order, and the list is another one when it is read again, so that it is not known which of its tags have come; use ListTags", ocierr.ErrInvalidResponse)
}

// replay reads the list again, up to the last of the tags that were handed out.
func (l *Listing) replay(ctx context.Context) (tags []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	again := l.Another()
	again.OnPage = nil
	again.Slots, again.MostSlots = 1, 0
	again.filter.Set(nil)
	last, ascend := l.filter.Max(), l.filter.Ascends()
	again.yield = func(tag string) bool {
		if n := len(tags); ascend && (tag > last || n > 0 && tag < tags[n-1]) { // last is gone
			return false
		}
		tags = append(tags, tag)
		if ascend { // however many others were pushed meanwhile
			return tag != last
		}
		return len(tags) < l.filter.Len()
	}
	if _, err := again.readAll(ctx); err != nil && err != ErrStopped {
		return nil, err
	}
	return tags, nil
}

// TellDialect logs in which way the registry sends its pages, when that is
// another than before.
func (l *Listing) TellDialect(ctx context.Context, dialect, because string) {
	if dialect != l.dialect {
		l.dialect = dialect
		l.Log.DebugContext(ctx, "dialect", "dialect", dialect, "because", because)
	}
}

// tell logs what the listing does, and why.
func (l *Listing) tell(ctx context.Context, what, because string) {
	l.Log.DebugContext(ctx, what, "because", because)
}

// warn logs a repair, each kind once in a listing.
func (l *Listing) warn(ctx context.Context, what string, args ...any) {
	l.mu.Lock()
	known := l.warned[what]
	l.warned[what] = true
	l.mu.Unlock()
	if known {
		return
	}
	l.Log.WarnContext(ctx, what, args...)
}
