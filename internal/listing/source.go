package listing

import (
	"context"
	"net/url"

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
	Page(ctx context.Context, cur *Cursor, to Sink) (*Answer, error)

	// Take is Page for one that was read ahead: t has its tags.
	Take(ctx context.Context, cur *Cursor, rep *wire.Response, t *PageTags) (*Answer, error)

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
	Otherwise(ctx context.Context, err error) (next *Cursor, why string)
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
	own   bool   // its Link named a tag before the last one, so that the page should begin with the tags after that
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

// linkedPage returns the place of the page that a Link leads to.
func linkedPage(link *url.URL) *Cursor { return &Cursor{URL: link, announced: link, kind: announced} }

// beginsWithLast reports whether a page begins with the tag that was its last, as some
// registries send it, and then with the one that has to come there.
func (c *Cursor) beginsWithLast(page []string) bool {
	return len(page) > 1 && page[0] == c.after && page[1] == c.must
}

// hiddenTag returns what a Link named that is not the last tag of its page, but may be one
// that comes after it, and that this user may not see; "": nothing.
func (c *Cursor) hiddenTag(param string) string {
	if c.kind != announced || c.after != "" || c.place > 0 {
		return ""
	}
	if last := c.announced.Query().Get(param); taglist.Valid(last) {
		return last
	}
	return ""
}

// isPlain reports whether the page is what comes after the last tag of a list that seems
// to have ended, whatever comes.
func (c *Cursor) isPlain() bool { return c.kind == asked && c.end != nil }

// beyond returns the tags of a page without those that overlap the page before.
func (c *Cursor) beyond(tags []string) []string {
	if len(tags) > 0 && tags[0] == c.must {
		return tags[min(c.step, len(tags)):]
	}
	return tags
}

// An Answer is what a page brought apart from its tags.
type Answer struct {
	*wire.Response
	Next *Cursor // nil: the list is complete
	Why  string  // how that is known
	held bool    // the page continues the one before; otherwise Next leads back

	// spare asks a question that the end of the list will depend on, unless other pages
	// answer it before: for when a slot is free. nil: there is none.
	spare func()

	doubt      *doubt // on which it depends what follows; nil: Next, Why and the error stand
	mayBeWhole bool   // the list without n may spare the pages from Next on
	n          int    // that of the Link to Next, or else of the page, if mayBeWhole

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
