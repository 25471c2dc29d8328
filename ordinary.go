package ocitags

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/taglist"
)

// ordinary reads GET /v2/<name>/tags/list as the specification has it, with the
// repairs that registries need (distribution-spec v1.1.1, "Listing Tags").
type ordinary struct {
	*listing
	n       int      // the page size to ask for; 0: none
	at      *url.URL // where pages are asked: home, or where it redirects to
	linked  bool     // a page had a Link
	largest int      // the most entries in one page without a Link
	begun   bool     // a page was read
	head    string   // the first tag of the list
	trail   trail    // of the page before
	recent  []string // the last tags of all pages so far
	anew    int      // how often the list was begun anew after its cursor was deleted

	compares bool // it continues a disorderly list with what is greater than last
	goesOn   bool // it has answered a question of ours what comes after a tag
	whole    bool // the list is read once more, without n
}

func newOrdinary(l *listing) *ordinary {
	s := &ordinary{listing: l, at: l.home, n: l.client.PageSize}
	if s.n == 0 {
		if s.n = l.client.habits(l.home.Host).pageSize; s.n == 0 {
			s.n = defaultPageSize
		}
	}
	s.n = max(s.n, 0)
	return s
}

func (s *ordinary) first() *cursor { return &cursor{url: s.query("")} }

// query is the URL of the page after the tag last, of n tags.
func (s *ordinary) query(last string) *url.URL {
	u, params := *s.at, []string{}
	if s.n > 0 {
		params = append(params, "n="+strconv.Itoa(s.n))
	}
	if last != "" {
		params = append(params, "last="+url.QueryEscape(last))
	}
	u.RawQuery = strings.Join(params, "&")
	return &u
}

// A trail is what is remembered of a page to judge what follows it.
type trail struct {
	first  string
	recent []string // the last ones
	prev   string   // the tag before the one that comes
	swap   [2]string
	next   string // the tag that came after swap; "": none yet
	news   int    // how many were new

	newFirst bool // first was
}

// keepRecent is how many tags are remembered, to go back to when the one used
// as a cursor is deleted, and maxAnew how often the list is begun anew when all
// of them are.
const (
	keepRecent = 1024
	maxAnew    = 3
)

func (t *trail) add(tag string, news bool) {
	if t.first == "" {
		t.first, t.newFirst = tag, news
	}
	t.recent = keep(t.recent, tag)
	if news {
		t.news++
	}
	switch {
	case t.next != "":
	case t.swap[1] != "":
		t.next = tag
	case t.prev != "" && order.Below(tag, t.prev):
		t.swap = [2]string{t.prev, tag}
	}
	t.prev = tag
}

// A pageTrail takes the tags of one page, and keeps their trail.
type pageTrail struct {
	taker
	trail
	head string // a page that begins with it begins the list anew
}

func (t *pageTrail) begin(try int) {
	t.trail = trail{}
	t.taker.begin(try)
}

func (t *pageTrail) tag(ctx context.Context, tag string) (bool, error) {
	if t.first == "" && tag == t.head {
		return false, errRepeat
	}
	news, err := t.taker.tag(ctx, tag)
	t.add(tag, news)
	return news, err
}

// keep appends to the last tags, of which it keeps keepRecent or some more.
func keep(recent []string, tags ...string) []string {
	recent = append(recent, tags...)
	if len(recent) > 2*keepRecent {
		recent = append(recent[:0], recent[len(recent)-keepRecent:]...)
	}
	return recent
}

// page implements source.
func (s *ordinary) page(ctx context.Context, cur *cursor, to reader) (answer, error) {
	t := pageTrail{taker: to}
	if cur.guess {
		t.head = s.head
	}
	var slow int // tries that took the registry too long
	read := func(u *url.URL) (reply, error) {
		again := func(u *url.URL, failed error) *url.URL {
			if u == cur.url && cur.small != nil {
				return cur.small
			}
			if status(failed) == http.StatusGatewayTimeout || errors.Is(failed, context.DeadlineExceeded) {
				slow++
			}
			return s.lighter(u, slow)
		}
		return s.read(ctx, request{url: u, again: again}, &t)
	}
	rep, err := read(cur.url)
	for !s.begun && s.stepDown(err) {
		rep, err = read(s.query(""))
	}
	if cur.small != nil && rep.asked == cur.url && (refusesSize(status(err)) || errors.Is(err, ErrInvalidResponse)) {
		rep, err = read(cur.small)
	}
	switch gone := status(err) == http.StatusNotFound; {
	case gone && !s.begun:
		refusal, _ := errors.AsType[*Error](err)
		refusal.kind = ErrNotFound
	case gone && cur.last != "" && to.leads():
		rep, err = s.goBack(ctx, cur, read, rep, err)
		if status(err) == http.StatusNotFound && !cur.guess && s.anew < maxAnew {
			s.anew++
			return answer{reply: rep, next: &cursor{url: s.query(""), rewind: true}}, nil
		}
	}
	switch {
	case err == errRepeat:
		return s.unanswered(ctx, cur, rep, "asking after its last tag gave the start of the list again"), nil
	case err != nil && cur.guess && refusesLast(status(err)) && !s.goesOn: // what it took up once it knows
		return s.unanswered(ctx, cur, rep, fmt.Sprintf("last was refused with %d", status(err))), nil
	case err != nil:
		return answer{reply: rep}, err
	}
	if !s.begun {
		s.begun, s.head = true, t.first
	}
	return s.next(ctx, cur, rep, t.trail, to.leads())
}

// errRepeat ends the reading of a page that answers a question of ours with the
// start of the list, as distribution 2, Google and others do that do not know
// last. The rest of it need not be read.
var errRepeat = errors.New("the list from its start")

// status is the HTTP status with which the registry refused, or 0. That of a
// token server says nothing about the list.
func status(err error) int {
	if refusal, ok := errors.AsType[*Error](err); ok && !refusal.token {
		return refusal.StatusCode
	}
	return 0
}

// refusesSize reports whether a status may mean that n is too large.
func refusesSize(status int) bool { return slices.Contains([]int{400, 405, 413, 416, 422}, status) }

// stepDown chooses a smaller n after the first page was refused for the one
// that was sent: ECR (405 UNSUPPORTED over 1000), distribution 3.1.0 (400
// PAGINATION_NUMBER_INVALID over its maxtags), cuelabs (400 UNSUPPORTED), quay
// for a week in 2024 (413 TOO_MANY_TAGS_REQUESTED over 100).
func (s *ordinary) stepDown(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	if !ok || s.n == 0 || !refusesSize(status(err)) || refusal.misled {
		return false
	}
	for _, c := range refusal.Codes {
		if strings.HasPrefix(c.Code, "NAME_") { // it is the name that is wrong
			return false
		}
	}
	refused := s.n
	switch {
	case s.n > defaultPageSize:
		s.n = defaultPageSize
	case s.n > smallPageSize:
		s.n = smallPageSize
	default:
		s.n = 0
	}
	s.warn(context.Background(), "the registry refuses this page size", "n", refused, "status", refusal.StatusCode)
	s.remember()
	return true
}

// remember keeps the page size for the next listing at this registry.
func (s *ordinary) remember() {
	n := s.n
	if n == 0 {
		n = -1
	}
	s.client.learn(s.home.Host, func(h *habits) { h.pageSize = n })
}

// lighter is where to ask after u took the registry too long: at a page size
// that takes it less. Docker Hub gives up after 30 seconds on large pages of a
// repository with a million tags, and answers n=100. Once may be chance, and
// small pages are slow, too, if they are many.
func (s *ordinary) lighter(u *url.URL, slow int) *url.URL {
	n, err := strconv.Atoi(u.Query().Get("n"))
	switch {
	case err != nil || n <= smallPageSize || slow == 0:
		return u
	case n > defaultPageSize:
		s.n = defaultPageSize
	case slow < 2:
		return u
	default:
		s.n = smallPageSize
	}
	s.warn(context.Background(), "the registry takes too long for this page size", "n", n)
	s.remember()
	return withN(u, s.n)
}

// larger is the cursor at a link that asks for more tags than so far, once with
// each registry: one that honours any n is read with a tenth of the requests.
// It is nil where that was tried, or where the link gives no hold for it.
func (s *ordinary) larger(link *url.URL, rep reply) *url.URL {
	n := strconv.Itoa(defaultPageSize)
	if s.client.PageSize != 0 || s.client.habits(s.home.Host).sized || rep.Entries != defaultPageSize ||
		rep.asked.Query().Get("n") != n || link.Query().Get("n") != n {
		return nil
	}
	return withN(link, largePageSize)
}

// learnSize takes the answer to what larger asked.
func (s *ordinary) learnSize(ctx context.Context, rep reply, more bool) {
	large := rep.asked.Query().Get("n") == strconv.Itoa(largePageSize)
	if large && rep.Entries <= defaultPageSize && !more {
		return // so little was left that it tells nothing
	}
	s.client.learn(s.home.Host, func(h *habits) { h.sized = true })
	if large && rep.Entries > defaultPageSize {
		s.n = largePageSize
		s.remember()
	}
	what := "the registry honours larger pages"
	if !large || rep.Entries <= defaultPageSize {
		what = "the registry keeps to its page size"
	}
	s.log().DebugContext(ctx, what, "asked", largePageSize, "got", rep.Entries)
}

// withN is u with another n.
func withN(u *url.URL, n int) *url.URL {
	other := *u
	other.RawQuery = setParam(u.RawQuery, "n", strconv.Itoa(n))
	return &other
}

// setParam replaces the value of a query parameter and leaves the rest of the
// query as it is, to the byte.
func setParam(query, name, value string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if key, _, _ := strings.Cut(part, "="); key == name {
			parts[i] = name + "=" + value
		}
	}
	return strings.Join(parts, "&")
}

// goBack reads on from an earlier tag when cur's own was deleted since it was
// listed: zot answers 404, with an empty body, to a last that does not exist.
// It goes back 1, 2, 4, … tags. If all are gone the 404 remains, and the list
// has to be begun anew.
func (s *ordinary) goBack(ctx context.Context, cur *cursor, read func(*url.URL) (reply, error), rep reply, err error) (reply, error) {
	recent := s.recent
	for step := 1; step < len(recent) && status(err) == http.StatusNotFound; step *= 2 {
		last := recent[len(recent)-1-step]
		s.warn(ctx, "the tag used as a cursor is gone: going on from one before it")
		s.filter.Rewind(last)
		cur.last = last
		if rep, err = read(s.query(last)); cur.guess {
			break // rather a registry that does not know last
		}
	}
	return rep, err
}

// refusesLast reports whether a status says that a registry which announced
// nothing does not know last. Any other leaves open whether there is more.
func refusesLast(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4 || status == http.StatusNotImplemented
}

// next says what follows the page at cur.
func (s *ordinary) next(ctx context.Context, cur *cursor, rep reply, t trail, leads bool) (answer, error) {
	ans := answer{reply: rep, more: rep.More != nil && *rep.More}
	if rep.Name != "" && rep.Name != s.repo.Name {
		s.warn(ctx, "the answer names another repository", "name", taglist.Quote(rep.Name))
	}
	if strings.HasSuffix(rep.answered.Path, "/tags/list") {
		// registry.k8s.io's redirect drops the query, so n and last must go to
		// where it leads.
		at := *rep.answered
		at.RawQuery, at.User = "", nil
		s.at = &at
	}
	s.judge(cur, t)
	s.goesOn = s.goesOn || cur.guess && (t.news > 0 || rep.Entries == 0)
	byTag := cur.last != "" && (t.news > 0 || s.whole && !cur.guess && rep.Entries > 0)
	s.carry(t)

	link, aside, err := nextLink(rep.links, rep.answered)
	if err != nil {
		return ans, fmt.Errorf("GET %s: %w", bareURL(rep.asked), err)
	}
	if aside != nil {
		s.warn(ctx, "a next link leads beside the list: only its query is followed", "to", bareURL(aside))
	}
	if link != nil {
		s.linked = true
		link = s.repair(ctx, link)
	}
	if cur.small != nil {
		s.learnSize(ctx, rep, link != nil)
	}
	last := t.prev
	switch {
	case byTag && leads && s.disagrees(ctx, s.linked && link == nil && !isFull(rep)):
		// The pages so far may lack tags that no further page brings.
		if s.whole {
			return ans, fmt.Errorf("%w: GET %s: the registry sorts its pages in one way and continues them in another, so that tags are missing", ErrInvalidResponse, bareURL(rep.asked))
		}
		ans.next = s.disagreed(ctx)
	case cur.guess && t.news == 0 && rep.Entries > 0 && !ans.more: // with or without a Link
		return s.unanswered(ctx, cur, rep, "asking after its last tag brought nothing new"), nil
	case cur.guess && rep.Entries == 0:
		ans.why = "nothing comes after its last tag"
	case s.whole && t.news == 0 && link == nil:
		ans.why = "the list without n has no tag more"
	case link != nil:
		ans.next = &cursor{url: link}
		if q := link.Query()["last"]; len(q) == 1 && q[0] == last {
			ans.next.last = last
			if large := s.larger(link, rep); large != nil && leads && !hasOther(link.Query()) {
				ans.next.url, ans.next.small = large, link
			} else if s.anywhere(link) {
				ans.after = s.fork()
			}
		}
	case ans.more && last != "":
		ans.next = &cursor{url: s.query(last), last: last}
	case s.mayBeCut(rep):
		if last == "" {
			return ans, fmt.Errorf("%w: GET %s: found %d entries and not one tag, so that nothing says where the list goes on", ErrInvalidResponse, bareURL(rep.asked), rep.Entries)
		}
		ans.next = &cursor{url: s.query(last), last: last, guess: true, full: isFull(rep)}
		if s.goesOn && s.anywhere(ans.next.url) {
			ans.after = s.fork()
		}
	case s.linked && rep.Entries == 0:
		ans.why = "the last page is empty and has no Link"
	case s.linked:
		ans.why = "the last page has no Link"
	default:
		ans.why = fmt.Sprintf("the only page has no Link, and %d is no size at which lists are cut", rep.Entries)
	}
	if ans.next == nil && ans.more {
		return ans, fmt.Errorf("%w: GET %s: has_additional announces more, but no way to it", ErrInvalidResponse, bareURL(rep.asked))
	}
	if ans.next != nil && !ans.next.reorder && leads {
		s.speaks(ctx, link, ans)
	}
	if !leads && s.trail.swap[1] != "" {
		ans.doubt = s.doubt()
	}
	return ans, nil
}

// doubt is that of a page which is out of every known order. It is a matter of
// the list, and not of the chain that has seen it.
func (s *ordinary) doubt() func(ctx context.Context) *chain {
	as := *s
	as.recent = nil
	return func(ctx context.Context) *chain {
		if as.trail.next != "" && !as.disagrees(ctx, false) {
			return nil
		}
		return newChain(&as, as.disagreed(ctx))
	}
}

// disagreed is where the list begins anew that lacks tags when it is paged.
func (s *ordinary) disagreed(ctx context.Context) *cursor {
	s.warn(ctx, "order and cursor disagree: listing once more without n")
	return s.wholeList()
}

// speaks logs how the registry's pages go on, and by what that was seen.
func (s *ordinary) speaks(ctx context.Context, link *url.URL, ans answer) {
	is, because := "n and last", "there is no Link, though the page has the n tags that were asked for"
	switch {
	case link != nil && ans.next.last != "":
		is, because = "Link, whose cursor is a tag", "it names the last tag of the page"
	case link != nil:
		is, because = "Link, whose cursor is the registry's own", "it does not name the last tag of the page"
	case ans.more:
		because = "has_additional announces more, and there is no Link"
	case !ans.next.full:
		because = fmt.Sprintf("there is no Link, and %d is a size at which lists are cut", ans.Entries)
	}
	s.tellDialect(ctx, is, because)
}

// anywhere reports whether the list may be readable from anywhere. A cursor that
// is the last tag of its page is the sign: only then last may be a value to
// compare with. What the registry makes of others is seen when it answers them.
//
// ghcr.io is read in a row: it lists by age, which a first page in alphabetical
// order would hide, and nothing is known of what it makes of a last that is no
// tag.
func (s *ordinary) anywhere(next *url.URL) bool {
	h := s.client.habits(s.home.Host)
	return s.repo.Host != "ghcr.io" && !s.whole && !hasOther(next.Query()) && s.trail.swap[1] == "" && !h.linear && !h.positional
}

// fork returns what gives the chain of what comes after any string.
func (s *ordinary) fork() func(last string) *chain {
	as := *s
	as.trail, as.recent = trail{}, nil
	return func(last string) *chain {
		one := as
		return newChain(&one, &cursor{url: one.query(last)})
	}
}

// wholeList is the cursor of the list without n, which begins it anew.
func (s *ordinary) wholeList() *cursor {
	s.whole, s.n = true, 0
	return &cursor{url: s.query(""), reorder: true}
}

// unanswered says what follows when a registry did not take up the question
// what comes after the last tag. Mostly that was all. But where a page had just
// the n tags that were asked for, n may be all that the registry knows of
// paging, as Google's Artifact Registry did that cut its lists at n without a
// word (go-containerregistry #1643): only the list without n tells.
func (s *ordinary) unanswered(ctx context.Context, cur *cursor, rep reply, why string) answer {
	if cur.full && !s.linked && !s.goesOn && !s.whole {
		s.log().DebugContext(ctx, "listing once more without n", "because", why+", and n may have cut the list")
		return answer{reply: rep, next: s.wholeList()}
	}
	return answer{reply: rep, why: "the last page has no Link, and " + why}
}

// carry keeps what the next page is judged by. A disorder that showed once
// stays.
func (s *ordinary) carry(t trail) {
	if s.trail.swap[1] != "" && s.trail.next != "" {
		t.swap, t.next = s.trail.swap, s.trail.next
	}
	s.trail, s.recent = t, keep(s.recent, t.recent...)
}

// repair mends the query of a next link, or returns nil where it leads nowhere.
func (s *ordinary) repair(ctx context.Context, link *url.URL) *url.URL {
	q := link.Query()
	if last, ok := q["last"]; ok && strings.Join(last, "") == "" && !hasOther(q) {
		// Cloudflare's serverless-registry: after the end it names the start.
		s.warn(ctx, "ignored a next link with an empty last")
		return nil
	}
	if q.Get("n") == "0" && s.n > 0 {
		// ghcr.io: n=0 stands for its default there, and for an empty page in
		// the specification.
		s.warn(ctx, "replaced n=0 in a next link", "n", s.n)
		return withN(link, s.n)
	}
	return link
}

// hasOther reports whether a query has a cursor beside n and last, such as the
// next_page of quay up to 3.11.
func hasOther(q url.Values) bool {
	for name, values := range q {
		if name != "n" && name != "last" && strings.Join(values, "") != "" {
			return true
		}
	}
	return false
}

// mayBeCut reports whether a page without a Link may have been cut short:
//
//   - it has the n tags that were asked for, or one more, which is what servers
//     have that look whether there is more;
//   - the registry has sent no Link so far, and the page has as many tags as a
//     page before, or a round number: what caps look like. Nexus groups cut at n
//     (NEXUS-35956), quay up to 3.11 at 50, Google's at 10,000.
func (s *ordinary) mayBeCut(rep reply) bool {
	if isFull(rep) {
		return true
	}
	if s.linked {
		return false
	}
	known := s.largest
	s.largest = max(s.largest, rep.Entries)
	return known > 0 && rep.Entries >= known || round(rep.Entries)
}

func isFull(rep reply) bool {
	n, _ := strconv.Atoi(rep.asked.Query().Get("n"))
	if n == largePageSize && rep.Entries <= defaultPageSize+1 {
		n = defaultPageSize // so much is known to come, and perhaps not more
	}
	return n > 0 && (rep.Entries == n || rep.Entries == n+1)
}

// round reports whether n is a number that people choose: a multiple of 50, or
// a power of two from 64 up.
func round(n int) bool {
	return n > 0 && n%50 == 0 || n >= 64 && n&(n-1) == 0
}

// judge draws from a page what it tells of the way in which the registry finds
// the place of last, where that is a tag. One that compares never goes back
// behind it; and when the page before ended in a disorder (a, b with a greater
// than b) it now lists a again, or something before it, which is not new.
func (s *ordinary) judge(cur *cursor, t trail) {
	if cur.last == "" || t.first == "" {
		return
	}
	ended := s.trail.swap[1] == cur.last && s.trail.next == ""
	switch {
	case order.Below(t.first, cur.last) || ended && t.newFirst:
		s.client.learn(s.home.Host, func(h *habits) { h.positional = true })
	case ended:
		s.compares = true
	}
}

// disagrees reports whether the registry sorts its pages in one order and cuts
// them by another, so that paging loses tags: distribution 3.1 on S3 lists by
// object keys, in which "v1-alpine" comes before "v1", and continues with the
// tags that are greater than last (distribution #4891). It asks only once in a
// listing, when a page was out of every known order and a cursor that is a tag
// has brought news.
//
// The question is what follows b, where the list has a, b, c one after the
// other although a is greater than b. A registry that looks for the place of b
// says c (ghcr.io, which lists by age), or nothing where the list ends with b.
// One that compares says a, or something that comes before it.
func (s *ordinary) disagrees(ctx context.Context, atEnd bool) bool {
	if s.client.habits(s.home.Host).positional {
		return false
	}
	b, c := s.trail.swap[1], s.trail.next
	if s.compares || b == "" || c == "" && !atEnd {
		return s.compares
	}
	one := *s
	if one.n > 0 {
		one.n = 1
	}
	head := ""
	s.log().DebugContext(ctx, "asking what comes after a tag", "because", "the list is in no known order: does the registry compare, or look up?")
	_, err := s.read(ctx, request{url: one.query(b)}, each(func(tag string) error {
		if head == "" {
			head = tag
		}
		return nil
	}))
	s.compares = err != nil || head != c
	if s.compares {
		s.log().DebugContext(ctx, "the registry compares with last")
	} else {
		s.log().DebugContext(ctx, "the registry looks for the place of last")
		s.client.learn(s.home.Host, func(h *habits) { h.positional = true })
	}
	return s.compares
}
