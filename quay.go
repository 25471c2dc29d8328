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
func jsonPages(ctx context.Context, l *listing, ordinary source) (source, error) {
	q := &quay{listing: l, ordinary: ordinary, back: ordinary.first(), most: maxJSONPage, slots: l.slots}
	if l.repo.Host == "quay.io" {
		cred, err := l.auth.credential(ctx)
		if err != nil {
			return nil, err
		}
		q.begin = cred == (Credential{})
	}
	if q.begin {
		l.tellDialect(ctx, jsonDialect, "the host is quay.io, and no credential is known for it")
	}
	return q, nil
}

const jsonDialect = "JSON pages of quay's own API"

// quay reads https://<host>/api/v1/repository/<name>/tag/, page by page.
//
// Pages are offsets into a list that has the newest tag first, and the list
// moves: a push shifts all tags to the right, into the next page, and a delete
// to the left, past the eyes of who has read that far; a tag that is pushed
// again jumps to the front. So the pages overlap: each has to hold the last tag
// of the one before, and then nothing that stood between them can be missing,
// whatever was pushed or deleted. At the end the front is read once more, and
// has to hold the tag that stood first: what jumped there stands before it.
// Where one of both fails, another pass begins.
type quay struct {
	*listing
	ordinary source
	begin    bool    // begin with the API
	refused  bool    // it does not serve us
	back     *cursor // where the ordinary way goes on if it does not

	owed   map[string]bool // tags of the ordinary answer that it has not sent yet
	passes int             // how many did not hold
	most   int             // entries in a page
	rigid  bool            // limit is not looked at, so that pages cannot overlap
	slots  int             // requests that may be in flight

	// Of this pass.
	ahead   []*fetch     // the pages that follow, as far as they were asked for
	pages   int          // so far
	end     int          // entries so far
	head    string       // the first tag
	opening []string     // the first page
	tail    string       // the last one so far
	tags    maphash.Hash // all of them, in their order
	former  uint64       // what that was in the pass before
}

// What was read ahead is of the ordinary way.
func (q *quay) take(ctx context.Context, cur *cursor, rep wire.Response, t *pageTags) (answer, error) {
	return q.ordinary.take(ctx, cur, rep, t)
}

func (q *quay) newPage(cur *cursor, to sink) *pageTags { return q.ordinary.newPage(cur, to) }

func (q *quay) unfinished(ctx context.Context) *cursor { return q.ordinary.unfinished(ctx) }

func (q *quay) meets(cur *cursor, tags []string) { q.ordinary.meets(cur, tags) }

func (q *quay) otherwise() (next *cursor, why string) { return q.ordinary.otherwise() }

func (q *quay) first() *cursor {
	if q.begin {
		return q.start()
	}
	return q.ordinary.first()
}

// start begins a pass.
func (q *quay) start() *cursor {
	q.forget()
	q.former = q.tags.Sum64()
	q.pages, q.end, q.head, q.tail = 0, 0, "", ""
	q.tags.Reset()
	cur := q.at(jsonPage{number: 1, limit: q.most})
	cur.restart = true
	return cur
}

func (q *quay) at(page jsonPage) *cursor {
	u := *q.home
	u.Path = "/api/v1/repository/" + q.repo.Name + "/tag/"
	u.RawQuery = url.Values{
		"limit":          {strconv.Itoa(page.limit)},
		"onlyActiveTags": {"true"},
		"page":           {strconv.Itoa(page.number)},
	}.Encode()
	return &cursor{url: &u, json: &page, restart: page.recheck}
}

// following is the page that reaches farthest of those which hold the entry
// before end, the last one that was read. Offsets are multiples of the limit, so
// it is the limit that is chosen: after 100 entries 99 from 99 on, then 98 from
// 196 on. The overlap costs one page in eight.
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
	rep    wire.Response
	list   []string // its tags
	err    error
}

func (f *fetch) begin(int) { f.list = nil }

func (f *fetch) tags(_ context.Context, batch []string) (int, error) {
	if len(f.list)+len(batch) > maxJSONPage {
		return 0, wire.Permanent{Err: fmt.Errorf("it answered with a page of more than %d tags", maxJSONPage)}
	}
	f.list = append(f.list, batch...)
	return len(batch), nil
}

func (f *fetch) leads() bool { return f.lead }

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
		q.wg.Go(func() {
			defer cancel()
			defer close(f.done)
			f.rep, f.err = q.read(fctx, q.request(f.page), f)
		})
	}
	if len(q.ahead) > 0 {
		f := q.ahead[0]
		q.ahead = q.ahead[1:]
		<-f.done
		if f.lead || status(f.err) != http.StatusTooManyRequests {
			return f
		}
		q.slots = max(1, q.slots-1)
	}
	f := &fetch{page: page, lead: true}
	f.rep, f.err = q.read(ctx, q.request(page), f)
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
	return wire.Request{URL: q.at(page).url, Anonymous: true}
}

func (q *quay) page(ctx context.Context, cur *cursor, to sink) (answer, error) {
	if cur.json == nil {
		heard := &hearer{sink: to}
		ans, err := q.ordinary.page(ctx, cur, heard)
		if err == nil && ans.more && !q.refused {
			q.tellDialect(ctx, jsonDialect, "the answer has_additional")
			q.back, ans.next = ans.next, q.start()
			q.owed = make(map[string]bool, len(heard.heard))
			for _, tag := range heard.heard {
				q.owed[tag] = true
			}
		}
		return ans, err
	}
	page := *cur.json
	f := q.fetch(ctx, page)
	rep := f.rep
	switch {
	case ctx.Err() != nil:
		return answer{Response: rep}, cmp.Or(f.err, bound.Ended(ctx))
	case errors.Is(f.err, ErrTooLarge):
		return answer{Response: rep}, f.err
	case f.err != nil:
		return q.giveUp(ctx, rep, f.err.Error()), nil
	case rep.More == nil:
		return q.giveUp(ctx, rep, "its page has no has_additional"), nil
	case rep.Page != "" && rep.Page != strconv.Itoa(page.number):
		return q.giveUp(ctx, rep, "it answered with another page than was asked for"), nil
	case rep.Entries > q.most || rep.Entries == 0 && *rep.More:
		return q.giveUp(ctx, rep, fmt.Sprintf("it answered with a page of %d tags", rep.Entries)), nil
	}
	to.begin(1)
	fresh := make([]bool, len(f.list))
	for i, tag := range f.list {
		news, err := to.tags(ctx, f.list[i:i+1])
		if err != nil {
			return answer{Response: rep}, err
		}
		fresh[i] = news > 0
		delete(q.owed, tag)
	}
	q.pages++
	ans := q.next(ctx, page, rep, f.list, fresh)
	if ans.next == nil && len(q.owed) > 0 {
		return q.giveUp(ctx, rep, "its list lacks tags that the ordinary answer had"), nil
	}
	return ans, nil
}

// A hearer keeps the tags of an ordinary answer, up to a bound that is more than
// such pages have: the API has to have them too.
type hearer struct {
	sink
	heard []string
}

func (h *hearer) begin(try int) {
	h.heard = h.heard[:0]
	h.sink.begin(try)
}

func (h *hearer) tags(ctx context.Context, batch []string) (int, error) {
	h.heard = append(h.heard, batch[:min(len(batch), keepRecent-len(h.heard))]...)
	return h.sink.tags(ctx, batch)
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
func (q *quay) next(ctx context.Context, page jsonPage, rep wire.Response, tags []string, fresh []bool) answer {
	if page.recheck {
		if q.stands(tags, fresh) {
			return answer{Response: rep, why: "has_additional is false, no two pages have a gap between them, and the front is where it was"}
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
		return answer{Response: rep, next: q.at(q.following(q.end))}
	case opening:
		return answer{Response: rep, why: "has_additional is false on the only page"}
	case !q.rigid:
		return answer{Response: rep, next: q.at(jsonPage{number: 1, limit: q.most, recheck: true})}
	case q.tags.Sum64() == q.former:
		return answer{Response: rep, why: "has_additional is false, and two passes in a row had the same tags"}
	default:
		return q.anew(ctx, rep)
	}
}

// burst is how many requests quay lets through at once, whatever the rate (quay
// conf/nginx/rate-limiting.conf.jnj).
func burst(rep wire.Response) int {
	if rep.Major < 2 {
		return 25
	}
	return 100
}

// anew begins another pass, or gives up.
func (q *quay) anew(ctx context.Context, rep wire.Response) answer {
	if q.passes++; q.passes == maxPasses {
		return q.giveUp(ctx, rep, "its pages keep moving")
	}
	q.log().DebugContext(ctx, "reading quay's pages once more", "because", "they may have moved", "pass", q.passes+1)
	return answer{Response: rep, next: q.start()}
}

// giveUp goes on in the ordinary way, which lists all that the API did not.
func (q *quay) giveUp(ctx context.Context, rep wire.Response, why string) answer {
	q.refused = true
	q.forget()
	q.log().DebugContext(ctx, "leaving quay's API for the ordinary way", "because", why)
	back := *q.back
	back.restart = true
	return answer{Response: rep, next: &back}
}
