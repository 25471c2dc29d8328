// The dialect of quay's own API: JSON pages, which are numbered.

package ocitags

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/listing"
	"github.com/ocitags/ocitags/internal/wire"
)

// maxPasses is how often the JSON pages are read from the start when pushes
// and deletes keep moving them. After that the ordinary way, whose cursor is a
// tag and not an offset, has to do.
const maxPasses = 3

const (
	// maxJSONPage is the largest limit that quay looks at (endpoints/api/tag.py).
	maxJSONPage = 100

	// minOverlapping is the smallest page that can overlap after any number of
	// entries: some limit below must not divide that number, and the first one
	// that all up to 25 divide is 26,771,144,400.
	minOverlapping = 25
)

// jsonPages puts the JSON pages of quay's own API in front of the ordinary
// source. quay.io limits /v2/<name>/tags/list to 5 requests a second and bursts
// of 2, its API to bursts of 25 over HTTP/1.1 and 100 over HTTP/2 (quay
// conf/nginx/rate-limiting.conf.jnj), so a repository of thousands of tags is
// read much sooner there. The API wants an OAuth token or nobody at all, and
// registry credentials are never sent to it: it serves listings without them.
//
// Elsewhere it is asked only where an ordinary answer carries its
// has_additional, as self-hosted registries built like quay do.
func jsonPages(ctx context.Context, l *listing.Listing, ordinary listing.Source, auth *authorizer) (listing.Source, error) {
	q := &quay{Listing: l, Source: ordinary, back: ordinary.First(), most: maxJSONPage, slots: l.Slots}
	if l.Repository.Host == "quay.io" {
		cred, err := auth.credential(ctx)
		if err != nil {
			return nil, err
		}
		q.leads = cred == (Credential{})
	}
	if q.leads {
		l.TellDialect(ctx, jsonDialect, "the host is quay.io, and no credential is known for it")
	}
	return q, nil
}

const jsonDialect = "JSON pages of quay's own API"

// quay reads https://<host>/api/v1/repository/<name>/tag/, page by page.
//
// The API pages by offset, newest tag first. A push shifts tags to later pages, a delete
// shifts them to earlier ones, past a reader, and a tag that is pushed again moves to the
// front. Pages therefore overlap: each must contain the last tag of the previous one, so
// that nothing between them can be missing, whatever was pushed or deleted. At the end
// the first page is read once more and must contain the tag that was first: tags that
// moved to the front stand before it. If either check fails, another pass begins. Where
// limit is not looked at, pages cannot overlap: then two passes in a row must have the same
// tags, and none of them twice.
type quay struct {
	*listing.Listing
	listing.Source                 // the ordinary one, to which all that was read ahead belongs
	leads          bool            // begin with the API
	refused        bool            // it does not serve us
	back           *listing.Cursor // where the ordinary way goes on if it does not
	asked          *listing.Cursor // the place of page, the latest that was asked for
	page           jsonPage

	owed   map[string]bool // tags of the ordinary answer that it has not sent yet
	passes int             // how many did not hold
	most   int             // entries in a page
	rigid  bool            // limit is not looked at, so that pages cannot overlap
	slots  int             // requests that may be in flight

	// Of this pass.
	ahead   []*fetch        // the pages that follow, as far as they were asked for
	pages   int             // so far
	end     int             // entries so far
	head    string          // the first tag
	opening []string        // the first page
	tail    string          // the last one so far
	tags    maphash.Hash    // all of them, in their order
	former  uint64          // what that was in the pass before
	came    map[string]bool // all of them, where pages cannot overlap
	moved   bool            // one came twice all the same
}

// A jsonPage is the part of the list from (number-1)*limit on.
type jsonPage struct {
	number, limit int
	recheck       bool // it is the first one, read once more at the end
}

// First implements listing.Source.
func (q *quay) First() *listing.Cursor {
	if q.leads {
		return q.start()
	}
	return q.Source.First()
}

// start begins a pass.
func (q *quay) start() *listing.Cursor {
	q.forget()
	q.former = q.tags.Sum64()
	q.pages, q.end, q.head, q.tail, q.came, q.moved = 0, 0, "", "", nil, false
	q.tags.Reset()
	cur := q.at(jsonPage{number: 1, limit: q.most})
	cur.Restart = true
	return cur
}

// at returns the place of a page, which will be the next one.
func (q *quay) at(page jsonPage) *listing.Cursor {
	q.page, q.asked = page, &listing.Cursor{URL: q.url(page), Restart: page.recheck}
	return q.asked
}

func (q *quay) url(page jsonPage) *url.URL {
	u := *q.Home
	u.Path = "/api/v1/repository/" + q.Repository.Name + "/tag/"
	u.RawQuery = url.Values{
		"limit":          {strconv.Itoa(page.limit)},
		"onlyActiveTags": {"true"},
		"page":           {strconv.Itoa(page.number)},
	}.Encode()
	return &u
}

// following returns the page that reaches farthest of those that hold the entry before
// end, which was read last. Offsets are multiples of the limit, so the limit is chosen:
// after 100 entries 99 from 99 on, then 98 from 196 on. The overlap costs one page in
// eight.
func (q *quay) following(end int) jsonPage {
	if q.rigid {
		return jsonPage{number: end/q.most + 1, limit: q.most}
	}
	var best jsonPage
	for limit := q.most; limit > 0; limit-- {
		page := jsonPage{number: (end-1)/limit + 1, limit: limit}
		if page.number*limit > best.number*best.limit {
			best = page
		}
	}
	return best
}

// A fetch is a page that was asked for before it was its turn.
type fetch struct {
	page   jsonPage
	lead   bool // it is its turn
	cancel func()
	done   chan struct{} // closed when what follows is set
	rep    *wire.Response
	list   []string // its tags
	err    error
}

// Begin, Tags and Leads implement listing.Sink.

func (f *fetch) Begin(int) { f.list = nil }

func (f *fetch) Tags(_ context.Context, batch []string) (int, error) {
	if len(f.list)+len(batch) > maxJSONPage {
		return 0, wire.Permanent{Err: fmt.Errorf("it answered with a page of more than %d tags", maxJSONPage)}
	}
	f.list = append(f.list, batch...)
	return len(batch), nil
}

func (f *fetch) Leads() bool { return f.lead }

// fetch asks for a page, and for those that will follow it if there are so many.
// How far it looks ahead grows with what was read, so that a short list is not
// asked for many pages that it does not have.
func (q *quay) fetch(ctx context.Context, page jsonPage) *fetch {
	if len(q.ahead) > 0 && q.ahead[0].page != page {
		q.forget()
	}
	for last := page; q.pages > 0 && !page.recheck && len(q.ahead) < min(q.slots, q.pages+1); {
		if n := len(q.ahead); n > 0 {
			last = q.following(q.ahead[n-1].page.number * q.ahead[n-1].page.limit)
		}
		f := &fetch{page: last, lead: len(q.ahead) == 0, done: make(chan struct{})}
		fctx, cancel := context.WithCancel(ctx)
		f.cancel = cancel
		q.ahead = append(q.ahead, f)
		q.Go(func() {
			defer cancel()
			defer close(f.done)
			f.rep, f.err = q.Read(fctx, q.request(f.page), f)
		})
	}
	if len(q.ahead) > 0 {
		f := q.ahead[0]
		q.ahead = q.ahead[1:]
		<-f.done
		if f.lead || listing.Status(f.err) != http.StatusTooManyRequests {
			return f
		}
		q.slots = max(1, q.slots-1)
	}
	f := &fetch{page: page, lead: true}
	f.rep, f.err = q.Read(ctx, q.request(page), f)
	return f
}

// forget ends what reads ahead.
func (q *quay) forget() {
	for _, f := range q.ahead {
		f.cancel()
	}
	q.ahead = nil
}

func (q *quay) request(page jsonPage) wire.Request {
	return wire.Request{URL: q.url(page), Anonymous: true}
}

// Page implements listing.Source.
func (q *quay) Page(ctx context.Context, cur *listing.Cursor, to listing.Sink) (*listing.Answer, error) {
	if cur != q.asked {
		heard := &hearer{Sink: to}
		ans, err := q.Source.Page(ctx, cur, heard)
		if err == nil && ans.HasMore() && !q.refused {
			q.TellDialect(ctx, jsonDialect, "the answer has_additional")
			q.back, ans.Next = ans.Next, q.start()
			q.owed = make(map[string]bool, len(heard.heard))
			for _, tag := range heard.heard {
				q.owed[tag] = true
			}
		}
		return ans, err
	}
	page := q.page
	f := q.fetch(ctx, page)
	rep := f.rep
	switch {
	case ctx.Err() != nil:
		return &listing.Answer{Response: rep}, cmp.Or(f.err, bound.Ended(ctx))
	case errors.Is(f.err, ErrTooLarge):
		return &listing.Answer{Response: rep}, f.err
	case f.err != nil:
		return q.giveUp(ctx, rep, f.err.Error()), nil
	case rep.More == nil:
		return q.giveUp(ctx, rep, "its page has no has_additional"), nil
	case rep.Page != "" && rep.Page != strconv.Itoa(page.number):
		return q.giveUp(ctx, rep, "it answered with another page than was asked for"), nil
	case rep.Entries > q.most || rep.Entries == 0 && *rep.More:
		return q.giveUp(ctx, rep, fmt.Sprintf("it answered with a page of %d tags", rep.Entries)), nil
	}
	to.Begin(1)
	fresh := make([]bool, len(f.list))
	for i, tag := range f.list {
		news, err := to.Tags(ctx, f.list[i:i+1])
		if err != nil {
			return &listing.Answer{Response: rep}, err
		}
		fresh[i] = news > 0
		delete(q.owed, tag)
	}
	q.pages++
	ans := q.next(ctx, page, rep, f.list, fresh)
	if ans.Next == nil && len(q.owed) > 0 {
		return q.giveUp(ctx, rep, "its list lacks tags that the ordinary answer had"), nil
	}
	return ans, nil
}

// maxHeard is more tags than ordinary pages of such registries have.
const maxHeard = 1024

// A hearer keeps the tags of an ordinary answer: the API has to have them too.
type hearer struct {
	listing.Sink
	heard []string
}

func (h *hearer) Begin(try int) {
	h.heard = h.heard[:0]
	h.Sink.Begin(try)
}

func (h *hearer) Tags(ctx context.Context, batch []string) (int, error) {
	h.heard = append(h.heard, batch[:min(len(batch), maxHeard-len(h.heard))]...)
	return h.Sink.Tags(ctx, batch)
}

// stands reports whether the front of the list, read once more, shows that each
// tag was where it was read or has come since: tags that nobody has seen, and then
// the first page as it was. A tag that is known stands there because it was pushed
// again, and then others may have been, behind it.
func (q *quay) stands(tags []string, fresh []bool) bool {
	at := slices.Index(tags, q.head)
	if at < 0 || slices.Contains(fresh[:at], false) {
		return false
	}
	rest := tags[at:]
	return len(rest) <= len(q.opening) && slices.Equal(rest, q.opening[:len(rest)])
}

// next says what follows a page with those tags.
func (q *quay) next(ctx context.Context, page jsonPage, rep *wire.Response, tags []string, fresh []bool) *listing.Answer {
	if page.recheck {
		if q.stands(tags, fresh) {
			return &listing.Answer{Response: rep, Why: "has_additional is false, no two pages have a gap between them, and the front is where it was"}
		}
		return q.anew(ctx, rep)
	}
	opening, more := q.end == 0, *rep.More
	switch {
	case opening && more:
		q.most = rep.Entries // less than was asked for is the registry's own limit
		q.slots = min(q.slots, burst(rep))
		q.rigid = q.rigid || q.most < minOverlapping
	case opening:
	case rep.Entries > page.limit && page.number == 2: // the second page by either count
		q.rigid = true
	case !q.rigid && !slices.Contains(tags, q.tail):
		return q.anew(ctx, rep)
	}
	if q.rigid {
		page.limit = q.most
		q.moved = q.moved || q.cameBefore(tags)
	}
	q.end = (page.number-1)*page.limit + rep.Entries
	if opening {
		q.opening = tags
	}
	for _, tag := range tags {
		q.tail = tag
		if q.head == "" {
			q.head = tag
		}
		q.tags.WriteString(tag)
		q.tags.WriteByte('/') // no tag holds one
	}
	switch {
	case more:
		return &listing.Answer{Response: rep, Next: q.at(q.following(q.end))}
	case opening:
		return &listing.Answer{Response: rep, Why: "has_additional is false on the only page"}
	case !q.rigid:
		return &listing.Answer{Response: rep, Next: q.at(jsonPage{number: 1, limit: q.most, recheck: true})}
	case q.tags.Sum64() == q.former && !q.moved:
		return &listing.Answer{Response: rep, Why: "has_additional is false, and two passes in a row had the same tags"}
	default:
		return q.anew(ctx, rep)
	}
}

// cameBefore reports whether a page has tags of this pass, where pages do not overlap. The
// list has moved then: a tag that nobody had read was pushed again, to its front.
func (q *quay) cameBefore(tags []string) (before bool) {
	if q.came == nil {
		q.came = make(map[string]bool)
		for _, tag := range q.opening[:min(q.end, len(q.opening))] {
			q.came[tag] = true
		}
	}
	for _, tag := range tags {
		before = before || q.came[tag]
		q.came[tag] = true
	}
	return before
}

// burst returns how many requests quay lets through at once, whatever the rate (quay
// conf/nginx/rate-limiting.conf.jnj).
func burst(rep *wire.Response) int {
	if rep.Major < 2 {
		return 25
	}
	return 100
}

// anew begins another pass, or gives up.
func (q *quay) anew(ctx context.Context, rep *wire.Response) *listing.Answer {
	if q.passes++; q.passes == maxPasses {
		return q.giveUp(ctx, rep, "its pages keep moving")
	}
	q.Log.DebugContext(ctx, "reading quay's pages once more", "because", "they may have moved", "pass", q.passes+1)
	return &listing.Answer{Response: rep, Next: q.start()}
}

// giveUp goes on in the ordinary way, which lists all that the API did not.
func (q *quay) giveUp(ctx context.Context, rep *wire.Response, why string) *listing.Answer {
	q.refused = true
	q.forget()
	q.Log.DebugContext(ctx, "leaving quay's API for the ordinary way", "because", why)
	back := *q.back
	back.Restart = true
	return &listing.Answer{Response: rep, Next: &back}
}
