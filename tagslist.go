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

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/taglist"
)

// tagsList reads GET /v2/<name>/tags/list as the specification has it, with the
// repairs that registries need (distribution-spec v1.1.1, "Listing Tags").
//
// Three laws stand over what it takes for the end of a list. What the registry
// did not announce, and only we have asked for, is no evidence: not a larger n,
// not a smaller one, not a last of our own. What is remembered chooses what is
// asked first, and switches no check off. And the same question may be answered
// differently the next time, so that a place in the list is known by the tags
// that stand there.
type tagsList struct {
	*listing
	at       *url.URL // where pages are asked: home, or where it redirects to
	begun    bool     // a page was read
	linked   [2]bool  // a page had a Link that was asked for without n, or with it
	heeded   [2]bool  // such a page came after the tag that it was asked for after
	opaque   bool     // the cursors of its Links are no tags
	offset   bool     // they are numbers of tags
	compared bool     // the list without n was asked for, to compare
	owing    bool     // what other parts had behind the end was asked for
	aside    *aside   // the list without n, read beside the pages; nil: it is not

	// Of the size of pages.
	n          int   // to ask for; 0: none
	recalled   bool  // it comes from another listing
	stepped    bool  // a larger one was refused
	sizes      []int // those with which the list was begun, in any pass
	lengths    []int // of the first pages that came
	roomy      int   // the most entries of a first page that had fewer than its n
	resized    bool  // it was begun anew with another one
	lastResort bool  // as the pages did not fit together
	overLimit  int   // one that was answered with nothing
	overKnown  bool  // and the list without n was not
	honoured   int   // one that a page has had
	accepted   int   // the largest that was answered with tags
	most       int   // to be asked for with last; 0: any
	longest    int   // the most entries in one page
	was        int   // the same in the passes before

	// Of the latest page.
	before  int  // its entries; of the latest one that had any
	full    bool // it has the n that was asked for
	ignored bool // it has more than that
	more    bool // it has has_additional

	// Of the questions what comes after a tag.
	form        form
	answered    bool // one was understood in this pass
	refusedLast bool // one was refused
	refusals    int  // how many were
	repeats     int  // how many were answered with the start of the list
	strays      bool // one was answered with something else
	silent      bool // one was answered with nothing, though a tag has to come

	// Of the passes, each of which reads the list from its start.
	passes     int
	whole      bool     // this one is without n, as nothing else is evidence
	wholeTried bool     // there was such a one
	wholeSeen  bool     // it had no other tags
	finished   bool     // this one came to its end
	settled    int      // how many tags were known when it was seen to stand still
	open       bool     // the one before was left before its end
	tail       []string // the last tags of the one before

	// Of this pass.
	start    []string   // the first tags
	recent   []string   // the last tags
	seen     order.Seen // of their order
	entries  int        // so far
	pages    int
	link     *url.URL // the latest next link whose cursor is a tag
	covers   bool     // the first page had all tags that were known then
	further  bool     // a page after the first had more
	cutFirst bool     // the first page is as long as one that was cut
}

// A form is a way to ask what comes after a tag. Some registries look at last
// only beside n, or only without it.
type form int

const (
	asBefore  form = iota // as the pages are asked for
	otherwise             // without n if those are with it, and with n if without
	exhausted
)

// keepRecent is how many tags are remembered, to go back to when a cursor has
// moved or is gone, and maxRelists how often a list is begun anew when all have.
const (
	keepRecent = 1024
	maxRelists = 6
)

func newTagsList(l *listing) *tagsList {
	s := &tagsList{listing: l, at: l.home, n: l.client.PageSize, seen: order.New()}
	if s.n == 0 {
		if s.n = l.client.habits(l.home.Host).pageSize; s.n == 0 {
			s.n = defaultPageSize
		} else {
			s.recalled = true
		}
	}
	s.n = max(s.n, 0)
	return s
}

func (s *tagsList) first() *cursor {
	if h := s.client.habits(s.home.Host); s.client.PageSize == 0 && h.without == everything && !h.slow {
		return &cursor{url: s.query(0, ""), kind: begin, wish: s.query(s.n, "")}
	}
	return &cursor{url: s.query(s.n, ""), kind: begin}
}

// query is the URL of the page after the tag last, of n tags.
func (s *tagsList) query(n int, last string) *url.URL {
	u, params := *s.at, []string{}
	if n > 0 {
		params = append(params, "n="+strconv.Itoa(n))
	}
	if last != "" {
		params = append(params, "last="+url.QueryEscape(last))
	}
	u.RawQuery = strings.Join(params, "&")
	return &u
}

// A pageTags takes the tags of one page, and keeps what judges it and what
// follows it.
type pageTags struct {
	taker
	before order.Seen // the page
	after  string     // the tag that it was asked for after; "": none, or not known
	start  []string   // of the list: a page that repeats it brings nothing; nil: none does

	seen   order.Seen
	first  string
	tags   []string // the last ones
	top    []string // the first ones
	number int
	news   int // how many were new
	again  repetition
}

const keepTop = 256

func (t *pageTags) begin(try int) {
	t.seen, t.first, t.tags, t.top, t.number, t.news = t.before, "", t.tags[:0], t.top[:0], 0, 0
	t.seen.Page(t.after)
	t.again = repetition{start: t.start}
	t.taker.begin(try)
}

func (t *pageTags) tag(ctx context.Context, tag string) (bool, error) {
	if t.number == 0 {
		t.first = tag
	}
	news, err := false, error(nil)
	if !t.again.goesOn(tag) {
		news, err = t.taker.tag(ctx, tag)
	} else if t.again.isComplete() {
		return false, errRepeat
	}
	t.number++
	t.tags = keep(t.tags, tag)
	if len(t.top) < keepTop {
		t.top = append(t.top, tag)
	}
	t.seen.Add(tag)
	if news {
		t.news++
	}
	return news, err
}

func (t *pageTags) last() string {
	if len(t.tags) == 0 {
		return ""
	}
	return t.tags[len(t.tags)-1]
}

// errRepeat ends the reading of a page that answers a question of ours with the
// start of the list, as distribution 2, Google and others do that do not know
// last. The rest of it need not be read.
var errRepeat = errors.New("the list from its start")

// A repetition compares a page with the start of the list. That it begins with
// the same tag is not enough: where the registry compares with last by another
// order than that of the list, so does a page of which others are missing. But
// the list may have changed a little since.
type repetition struct {
	start []string
	at    int // how much of it the page has
	odd   int // how many tags it has not, or has in between
}

// goesOn takes the next tag, and reports whether it is known from the start of the
// list, which the page may still repeat.
func (r *repetition) goesOn(tag string) bool {
	if len(r.start) == 0 || r.at == 0 && tag != r.start[0] || r.isOther() {
		r.start = nil
		return false
	}
	i := slices.Index(r.start[r.at:], tag)
	if i < 0 {
		r.odd++
		return false
	}
	r.odd += i
	r.at += i + 1
	return true
}

func (r *repetition) isOther() bool { return r.odd > max(1, min(keepTail, len(r.start)/8)) }

func (r *repetition) isComplete() bool { return r.at == len(r.start) && !r.isOther() }

// isRepeat reports whether a page is the start of the list once more: as much of
// it as an answer of n tags has.
func (s *tagsList) isRepeat(t *pageTags, n int) bool {
	r := repetition{start: s.start}
	if n > 0 {
		r.start = s.start[:min(n, len(s.start))]
	}
	for _, tag := range t.top[:min(len(t.top), len(r.start))] {
		r.goesOn(tag)
	}
	if n > 0 {
		r.odd += len(r.start) - r.at
	}
	return len(r.start) > 0 && r.at > 0 && !r.isOther()
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
func (s *tagsList) page(ctx context.Context, cur *cursor, to reader) (answer, error) {
	if cur.kind == begin {
		most := maxRelists
		if s.lastResort {
			most++
		}
		if s.passes >= most && s.hadRoom() {
			return answer{why: roomyPage}, nil
		}
		if s.passes >= most {
			ans, err := s.orRoom(answer{}, fmt.Errorf("%w: %s: the list was read %d times, and no reading was complete beyond doubt", ErrInvalidResponse, bareURL(cur.url), s.passes))
			if err != nil {
				return ans, err
			}
			cur = ans.next
		}
		s.newPass(cur)
		s.sizes = append(s.sizes, nOf(cur.url))
	}
	t := s.newPage(cur, to)
	var rep reply
	var err error
	if cur.aside != nil {
		rep, err = cur.aside.drain(ctx, t)
	} else {
		rep, err = s.fetch(ctx, cur, t)
	}
	if err == nil && len(t.start) > 0 && s.isRepeat(t, len(t.start)) {
		err = errRepeat
	}
	if err != nil {
		return s.failed(ctx, cur, rep, err)
	}
	return s.take(ctx, cur, rep, t)
}

func (s *tagsList) newPage(cur *cursor, to taker) *pageTags {
	t := &pageTags{taker: to, before: s.seen, after: cur.after}
	if cur.kind == asked && !s.answered && s.form == asBefore {
		t.start = s.start
	}
	return t
}

func (s *tagsList) newPass(cur *cursor) {
	if s.entries > 0 {
		s.passes++
	}
	s.tail = slices.Clone(s.recent[max(0, len(s.recent)-keepTail):])
	s.further = false
	s.was, s.longest = max(s.was, s.longest), 0
	s.open = !s.finished
	s.finished = false
	s.start, s.recent, s.entries, s.pages, s.form, s.answered = nil, nil, 0, 0, asBefore, false
	s.link, s.settled = nil, 0
	cut := s.seen
	s.seen = order.New()
	s.seen.Rejected(cut) // what last is to the registry stays as it is
}

// fetch asks for a page, in smaller pieces where that is needed.
func (s *tagsList) fetch(ctx context.Context, cur *cursor, t *pageTags) (reply, error) {
	var slow int // tries that took the registry too long
	read := func(u *url.URL) (reply, error) {
		again := func(u *url.URL, failed error) *url.URL {
			if u == cur.url && cur.wish != nil {
				return cur.wish
			}
			if tooSlow(failed) {
				slow++
			}
			return s.lighter(u, slow)
		}
		return s.read(ctx, request{url: u, again: again, once: cur.kind == compare && cur.back != nil}, t)
	}
	rep, err := read(cur.url)
	for !s.begun && s.stepDown(err) {
		rep, err = read(s.query(s.n, ""))
	}
	if cur.wish != nil && rep.asked == cur.url && err != nil && (refusesSize(status(err)) || errors.Is(err, ErrInvalidResponse) || isBound(err)) {
		rep, err = read(cur.wish)
	}
	return rep, err
}

func tooSlow(err error) bool {
	return status(err) == http.StatusGatewayTimeout || errors.Is(err, context.DeadlineExceeded)
}

// isBound reports whether an answer was too large or too slow for the bounds.
func isBound(err error) bool {
	_, ok := errors.AsType[*bound.Error](err)
	return ok
}

// status is the HTTP status with which the registry refused, or 0. That of a
// token server says nothing about the list.
func status(err error) int {
	if refusal, ok := errors.AsType[*Error](err); ok && !refusal.token {
		return refusal.StatusCode
	}
	return 0
}

// failed says what follows a page that did not come.
func (s *tagsList) failed(ctx context.Context, cur *cursor, rep reply, err error) (answer, error) {
	switch code := status(err); {
	case code == http.StatusNotFound && !s.begun:
		refusal, _ := errors.AsType[*Error](err)
		refusal.kind = ErrNotFound
	case cur.kind == compare:
		if ctx.Err() != nil || errors.Is(err, errStopped) || errors.Is(err, ErrTooLarge) && !isBound(err) {
			break
		}
		switch why := cur.why + "; the list without n, asked for to compare, did not come"; {
		case cur.back != nil:
			return answer{reply: rep, next: cur.back, why: why}, nil
		case cur.aside != nil: // which was tried once
			again := *cur
			again.aside, again.again = nil, true
			return answer{reply: rep, next: &again}, nil
		case !s.refusedLast || refusesSize(code) || code == http.StatusNotFound:
			return s.ended(ctx, cur, answer{reply: rep}, why)
		}
	case cur.kind == begin && s.resized && refusesSize(code):
		s.longest = s.was
		if smaller := lower(nOf(cur.url)); smaller > 0 && !slices.Contains(s.sizes, smaller) {
			s.n = smaller
			return answer{reply: rep, next: s.relist(false)}, nil
		}
		if s.sizeLeft() {
			return answer{reply: rep, next: s.otherSize()}, nil
		}
		return answer{reply: rep, next: s.relist(true)}, nil
	case err == errRepeat && len(rep.links) > 0 && s.linked == [2]bool{}:
		s.n = nOf(rep.asked)
		return answer{reply: rep, next: s.relist(false)}, nil
	case err == errRepeat && s.ignored:
		s.repeats++
		return s.ended(ctx, cur, answer{reply: rep}, "neither n nor last is looked at")
	case err == errRepeat:
		s.repeats++
		return s.misunderstood(ctx, cur, rep, "asking after its last tag gave the start of the list again")
	case code == http.StatusNotFound && (cur.kind == announced || cur.step > 0 && s.answered) && cur.after != "":
		s.warn(ctx, "the tag used as a cursor is gone: going on from one before it")
		return s.goBack(ctx, cur, rep)
	case cur.kind == asked && refusesLast(code) && s.answered && code == http.StatusNotFound:
		return s.goBack(ctx, cur, rep)
	case cur.kind == asked && refusesLast(code):
		return s.refused(ctx, cur, rep, code)
	}
	return answer{reply: rep}, err
}

// refused says what follows where a question of ours is answered with a 4xx. Once
// may be chance. 404 and 405 are known from registries that do not know last, or
// only their own (zot, ECR); any other leaves open whether there is more.
func (s *tagsList) refused(ctx context.Context, cur *cursor, rep reply, code int) (answer, error) {
	why := fmt.Sprintf("last was refused with %d", code)
	known := code == http.StatusNotFound || code == http.StatusMethodNotAllowed
	if n := nOf(cur.url); n > max(s.accepted, smallestPageSize) && refusesSize(code) && !s.answered {
		return answer{reply: rep, next: s.withSmallest(cur)}, nil // it may be n that is refused
	}
	s.refusals++
	if code == http.StatusNotFound && s.refusals <= maxGone && cur.step > 0 && len(s.recent) > 2*cur.step {
		return s.goBack(ctx, cur, rep) // it may be the tag that is gone
	}
	s.refusedLast, s.strays = true, true
	switch {
	case s.refusals == 1 && s.sizeLeft():
		return answer{reply: rep, next: s.otherSize()}, nil
	case s.refusals == 1:
		again := *cur
		again.again = true
		return answer{reply: rep, next: &again}, nil
	case known && s.sizeLeft():
		return answer{reply: rep, next: s.otherSize()}, nil
	case known && s.linked == [2]bool{} && !s.whole && !s.recalled && (s.resized || !s.full):
		why = "there was no Link, and " + why
		if s.compared || !s.mayComeWhole(s.repo.String()) {
			return s.ended(ctx, cur, answer{reply: rep}, why)
		}
		s.compared = true
		return answer{reply: rep, next: &cursor{url: s.query(0, ""), kind: compare, restart: true, why: why}}, nil
	}
	return s.misunderstood(ctx, cur, rep, why)
}

// take takes a page that has come, and says what follows it.
func (s *tagsList) take(ctx context.Context, cur *cursor, rep reply, t *pageTags) (answer, error) {
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
	s.more = ans.more || s.more && rep.More == nil && cur.kind == asked
	link, oddity, err := nextLink(rep.links, rep.answered)
	if err != nil {
		return ans, fmt.Errorf("GET %s: %w", bareURL(rep.asked), err)
	}
	if oddity != "" {
		s.warn(ctx, "followed an odd next link", "because", oddity)
	}
	endless := false // the link leads to the start
	if link != nil {
		s.linked[hasN(rep.asked)] = true
		link, endless = s.repair(ctx, link, nOf(rep.asked))
	}
	if cur.kind == compare {
		return s.compare(ctx, cur, ans, link, t)
	}
	if cur.kind == asked && !s.answered && s.form > asBefore && t.first != cur.must && s.isRepeat(t, nOf(rep.asked)) {
		return s.fromStart(ctx, cur, ans, t)
	}
	if cur.kind == asked && !s.answered && rep.Entries == 0 && s.ignored {
		return s.ended(ctx, cur, ans, "n is not looked at, and nothing comes after its last tag")
	}
	if cur.kind == asked && !s.answered && rep.Entries == 0 && nOf(rep.asked) > max(s.accepted, smallestPageSize) {
		// An n over its limit may be answered with nothing, whatever last is.
		return answer{reply: rep, next: s.withSmallest(cur)}, nil
	}
	if s.displaced(cur, rep, t) {
		s.seen.Rejected(t.seen)
		s.further = s.further || t.news > 0
		s.silent = s.silent || cur.kind == asked && !s.answered && rep.Entries == 0
		if t.news == 0 && s.hadRoom() && !s.more {
			ans.why = roomyPage // some send a Link with each page
			return ans, nil
		}
		if t.first != "" && cur.kind == announced && (cur.step >= 4 || s.mayComeWhole(s.repo.String())) && !s.wholeTried && s.disagrees(ctx) {
			return answer{reply: rep, next: s.relist(true)}, nil
		}
		if cur.step > 0 && s.isRepeat(t, nOf(rep.asked)) {
			return s.lost(ctx, cur, rep, t.news) // it begins the list anew, whatever it is asked
		}
		if cur.kind == asked && !s.answered && cur.step >= 4 {
			s.strays = true
			return s.misunderstood(ctx, cur, rep, "asking after its last tags gave something else")
		}
		return s.goBack(ctx, cur, rep)
	}
	if cur.kind == asked && (t.first != "" || cur.must == "") {
		s.answered = s.answered || cur.must != "" && t.first == cur.must || t.news > 0
	}
	if cur.wish != nil && cur.kind == announced {
		s.learnSize(ctx, rep, link != nil)
	}
	if cur.kind == announced || cur.kind == asked {
		if cur.after != "" {
			s.heeded[hasN(rep.asked)] = s.heeded[hasN(rep.asked)] || t.first != "" && !s.isRepeat(t, 0)
			s.seen = t.seen
			s.seen.Boundary(cur.after, s.recent, t.top)
			t.seen = s.seen
		}
	}
	if s.pages == 0 {
		s.lengths = append(s.lengths, rep.Entries)
		if rep.Entries < nOf(rep.asked) {
			s.roomy = max(s.roomy, rep.Entries)
		}
		s.covers = rep.Entries >= s.total
		s.cutFirst = isFull(rep) || round(rep.Entries)
		if s.inRoom() && s.hadRoom() && !s.more {
			s.carry(t, rep)
			ans.why = roomyPage
			return ans, nil
		}
	} else if cur.kind == announced && s.cutFirst {
		s.further = true // though the page may have had none of them
	} else if !s.covers || t.news > 0 {
		s.further = s.further || t.number > 1 || t.number == 1 && t.first != cur.must
	}
	reached := t.last() == s.latest(0)
	s.carry(t, rep)
	if cur.step > 0 && cur.must != "" && t.first == cur.must && rep.Entries == 1 && s.longest > 1 {
		return s.ended(ctx, cur, ans, "nothing comes after its last tag")
	}
	if cur.kind == begin && s.resized && !s.whole && !s.refusedLast && link == nil && t.news == 0 && rep.Entries == s.total {
		if s.sizeLeft() {
			return answer{reply: rep, next: s.otherSize()}, nil
		}
		if s.wholeSeen {
			return s.ended(ctx, cur, ans, "no n and no last make a difference")
		}
		return answer{reply: rep, next: s.relist(true)}, nil
	}
	if cur.hollow && t.news == 0 && (reached || cur.kind == begin) {
		return s.ended(ctx, cur, ans, "nothing comes after its last tag")
	}
	return s.follow(ctx, cur, ans, link, endless, reached, t)
}

// carry keeps what the next page is judged by.
func (s *tagsList) carry(t *pageTags, rep reply) {
	if s.pages == 0 {
		s.start = slices.Clone(t.top)
	}
	s.begun = true
	s.pages++
	s.longest = max(s.longest, rep.Entries)
	if rep.Entries > 0 {
		if s.before = rep.Entries; nOf(rep.asked) == rep.Entries {
			s.honoured = rep.Entries
		}
		s.accepted = max(s.accepted, nOf(rep.asked))
	}
	s.ignored = nOf(rep.asked) > 0 && rep.Entries > nOf(rep.asked)+1
	s.entries += rep.Entries
	s.seen = t.seen
	for i, tag := range t.tags {
		// A page that overlaps the ones before begins with tags that are known.
		if i == 0 && len(s.recent) > 0 {
			if at := slices.Index(s.recent, tag); at >= 0 {
				s.recent = s.recent[:at]
			}
		}
		s.recent = append(s.recent, tag)
	}
	s.recent = keep(s.recent)
	s.seen.Note(t.top)
	s.seen.Note(t.tags)
}

// someTags is how many tags show an order.
const someTags = 4

// displaced reports whether a page is not what comes after its cursor: the
// cursor has moved, or is gone, or means something else to the registry.
func (s *tagsList) displaced(cur *cursor, rep reply, t *pageTags) bool {
	switch {
	case cur.place > 0: // a deletion shifts offsets, and a page that begins with what is known leaves no gap
		return !slices.Contains(s.recent, t.first)
	case cur.must != "" && t.first == cur.must:
		return false
	case cur.must != "" && t.first == cur.after && len(t.top) > 1 && t.top[1] == cur.must:
		return false // some begin a page with last itself
	case cur.must != "":
		return true
	case cur.kind == announced && cur.after != "" && t.first != "":
		return len(s.recent) >= someTags && s.seen.Sorted() && !s.seen.Follows(cur.after, t.first)
	case cur.kind == announced && cur.after != "":
		return rep.Entries == 0 && len(rep.links) == 0 && !s.wasLast(rep)
	}
	return false
}

// wasLast reports whether the page before had fewer tags than the n that the
// registry has honoured before: then it had all that there were, and no cursor that
// has moved since hides any.
func (s *tagsList) wasLast(rep reply) bool {
	return s.honoured > 0 && s.before < s.honoured && nOf(rep.asked) == s.honoured
}

// follow says what follows a page that stands where it should.
func (s *tagsList) follow(ctx context.Context, cur *cursor, ans answer, link *url.URL, endless, reached bool, t *pageTags) (answer, error) {
	rep := ans.reply
	ans.held = true
	full := isFull(rep)
	s.full = full
	switch {
	case s.seen.ByKeys() && !s.whole && (link != nil && namesLast(link, t) || link == nil && cur.kind != begin) && s.client.habits(s.home.Host).without != pagesOnly:
		// distribution 3.1 on S3 lists by object keys, and goes on with the tags
		// that are greater than last (distribution #4891).
		s.warn(ctx, "order and cursor disagree: listing once more without n")
		ans.next = s.relist(true)
	case link != nil && s.whole && s.seen.ByKeys() && namesLast(link, t) && !s.isLonger(cur, rep) && s.disagrees(ctx):
		return s.orRoom(ans, s.disagreement(ans))
	case link != nil:
		return s.announce(ctx, cur, ans, link, t), nil
	case ans.more && t.number > 0:
		ans.next = s.after(asked)
	case ans.more:
		return ans, fmt.Errorf("%w: GET %s: has_additional announces more, but no way to it", ErrInvalidResponse, bareURL(rep.asked))
	case cur.why == "" && (cur.kind != announced || !s.opaque) && (rep.Tail != "" && (full || cur.kind == asked) || rep.Entries > 0 && t.number == 0 && (full || cur.kind == asked)):
		return s.afterEntry(ctx, cur, ans)
	case cur.kind == begin && rep.Entries == 0 && s.overKnown && lower(s.n) > 0:
		s.n = lower(s.n)
		ans.next = s.relist(false)
	case cur.kind == begin && rep.Entries == 0 && strings.Contains(rep.asked.RawQuery, "n="):
		// An n over its limit may be answered with nothing.
		if s.n, s.stepped = 0, true; !s.overKnown {
			s.overLimit = nOf(rep.asked)
		}
		ans.next = s.relist(false)
	case cur.kind == asked && (t.number == 0 || reached):
		if cur.must == "" && t.number == 0 && len(s.recent) > 1 && !cur.again {
			ans.next = s.back(1) // it may be the cursor that is gone
			ans.next.again = true
			break
		}
		return s.ended(ctx, cur, ans, "nothing comes after its last tag")
	case cur.kind == announced && rep.Entries == 0 && cur.after != "" && !endless && !s.wasLast(rep):
		return s.goBack(ctx, cur, rep)
	case endless && rep.Entries == 0 && len(s.recent) > 0:
		ans.next = s.after(asked)
	case endless:
		return s.ended(ctx, cur, ans, "the next link leads to the start of the list")
	case s.whole && cur.kind == begin && (rep.Entries > defaultPageSize || s.refusedLast || !s.mayBeCut(rep) && !(s.open && t.news == 0)) || s.whole && s.form == exhausted:
		return s.wholeList(ctx, cur, ans, t)
	case cur.kind == begin && s.overLimit > 0 && !s.links(rep) && s.mayBeCut(rep):
		s.n, s.overLimit, s.overKnown = lower(s.overLimit), 0, true
		ans.next = s.relist(false)
	case full && s.opaque && cur.kind == announced:
		return s.ended(ctx, cur, ans, "the last page has no Link, and the registry's cursors are no tags")
	case s.altered(cur, rep) && s.seen.Unproven() && (s.aside != nil || !s.compared && s.mayComeWhole(s.repo.String())):
		// The list without n may tell both that nothing is lost and where it ends.
		ans.next = &cursor{url: s.query(0, ""), kind: compare, restart: true, back: s.after(asked), aside: s.aside}
		s.compared, s.aside = true, nil
	case full, cur.kind == asked, cur.kind == sought, s.altered(cur, rep):
		ans.next = s.after(asked)
	case s.links(rep) && rep.Entries == 0:
		return s.ended(ctx, cur, ans, "the last page is empty and has no Link")
	case s.links(rep) && cur.kind == announced:
		return s.ended(ctx, cur, ans, "the last page has no Link")
	case rep.Entries > 0 && (s.stepped || s.mayBeCut(rep)):
		ans.next = s.after(asked)
	default:
		return s.ended(ctx, cur, ans, fmt.Sprintf("the only page has no Link, and %d is no size at which lists are cut", rep.Entries))
	}
	if ans.next != nil && ans.next.kind == asked {
		s.speaks(ctx, nil, ans, full)
		if s.answered {
			ans.seek = s.seek(ans.next.url)
		}
	}
	return ans, nil
}

// links reports whether the registry has sent Links in answers to such requests:
// then the absence of one tells something.
func (s *tagsList) links(rep reply) bool { return s.linked[hasN(rep.asked)] }

// nOf is the n of a request, 0 if it has none.
func nOf(u *url.URL) int {
	n, _ := strconv.Atoi(u.Query().Get("n"))
	return n
}

func hasN(u *url.URL) int {
	if u.Query().Has("n") {
		return 1
	}
	return 0
}

// altered reports whether the size of a page was ours, and not the registry's:
// then the absence of a Link is no evidence.
func (s *tagsList) altered(cur *cursor, rep reply) bool {
	return cur.kind == announced && rep.asked.Query().Get("n") != cur.announced.Query().Get("n")
}

// latest is the i-th tag from the end.
func (s *tagsList) latest(i int) string {
	if i >= len(s.recent) {
		return ""
	}
	return s.recent[len(s.recent)-1-i]
}

// announce follows a next link.
func (s *tagsList) announce(ctx context.Context, cur *cursor, ans answer, link *url.URL, t *pageTags) answer {
	next := &cursor{url: link, announced: link, kind: announced}
	ans.next = next
	last, q := t.last(), link.Query()
	byTag := namesLast(link, t)
	if byTag {
		next.after = last
		s.link = link
	}
	s.opaque = !byTag
	defer func(link *url.URL) { s.speaks(ctx, link, ans, false) }(link)
	if step := order.Apart(s.recent); byTag && step > 0 && t.number > step+1 && t.news > 0 && s.seen.MayFold() {
		// Trow takes tags for the same that differ in case alone, and so may what
		// sorts in that way. A page then begins before them.
		next.after, next.must, next.step = s.latest(step), s.latest(step-1), step
		next.url = withParam(link, "last", url.QueryEscape(next.after))
		next.announced = next.url
		link = next.url
	}
	switch place, err := strconv.Atoi(q.Get("last")); {
	case byTag && !s.seen.Sorted() && s.latest(1) != "" && t.number > 2:
		// ghcr.io lists by age: a tag that is pushed again moves to the end, and
		// a list that goes on after it does, too. So the pages overlap.
		next.after, next.must, next.step = s.latest(1), last, 1
		next.url = withParam(link, "last", url.QueryEscape(next.after))
		next.announced = next.url
	case !byTag && last != "" && err == nil && (s.offset || place == s.entries || place == s.total) && place > 1 && !hasOther(q):
		// Artifactory up to 7.46: an offset, which a deletion shifts.
		next.url = withParam(link, "last", strconv.Itoa(place-1))
		next.announced = next.url
		next.must, next.step, next.place, s.offset = last, 1, place, true
		s.entries-- // it comes twice
	case !byTag:
	case s.larger(ans.reply, link) != nil:
		next.url, next.wish = s.larger(ans.reply, link), link
		if s.lanes > 1 && !s.compared && s.mayComeWhole(s.home.Host) {
			s.aside = s.readAside(ctx)
		}
	case cur.wish != nil && cur.kind == announced && ans.reply.Entries <= defaultPageSize && ans.reply.asked != cur.wish && (s.aside != nil || !s.compared && s.mayComeWhole(s.home.Host)):
		if s.aside == nil {
			s.compared = true
			ans.next = &cursor{url: s.query(0, ""), kind: compare, restart: true, back: next}
		} else if s.aside.isWhole(ctx, ans.reply.took) {
			ans.next = s.relist(true)
			ans.next.aside, s.aside = s.aside, nil
		}
	default:
		ans.seek = s.seek(link)
	}
	if ans.next == next && s.aside != nil && next.wish == nil {
		s.aside.stop()
		s.aside = nil
	}
	return ans
}

// namesLast reports whether the cursor of a link is the last tag of its page.
func namesLast(link *url.URL, t *pageTags) bool {
	q := link.Query()
	return t.number > 0 && len(q["last"]) == 1 && q.Get("last") == t.last() && !hasOther(q)
}

// after is the question what comes after the last tag. It is asked after the one
// before that: an answer that begins with the last tag shows that the question
// was understood, which an empty one does not.
func (s *tagsList) after(k kind) *cursor {
	if s.latest(1) == "" || s.longest == 1 || s.formSize() == 1 {
		last := s.latest(0)
		return &cursor{url: s.question(last), kind: k, after: last}
	}
	if s.seen.MayFold() {
		return s.back(max(1, order.Apart(s.recent)))
	}
	return s.back(1)
}

// back is the question what comes after the tag that stands step places before
// the last one.
func (s *tagsList) back(step int) *cursor {
	after := s.latest(step)
	return &cursor{url: s.question(after), kind: asked, after: after, must: s.latest(step - 1), step: step}
}

// question is the URL of what comes after a tag: as the registry's own links ask,
// where it has sent such, or in the form in which we do.
func (s *tagsList) question(last string) *url.URL {
	if s.form == asBefore && s.link != nil {
		return withParam(s.link, "last", url.QueryEscape(last))
	}
	return s.query(s.formSize(), last)
}

// formSize is the n of the form in which we ask.
func (s *tagsList) formSize() int {
	if s.form != otherwise {
		if s.whole {
			return 0
		}
		n := s.n
		if s.longest > 0 && s.linked == [2]bool{} {
			n = min(n, s.longest) // some send a Link where a page has the n that was asked for
		}
		if s.most > 0 {
			n = min(n, s.most)
		}
		return n
	}
	if s.n > 0 && !s.whole {
		return 0
	}
	return max(1, min(s.longest, smallestPageSize)) // which none is known to refuse
}

// withSmallest is a question with the smallest n, as the one that it had was never
// answered with a tag.
func (s *tagsList) withSmallest(cur *cursor) *cursor {
	s.most = smallestPageSize
	smaller := *cur
	smaller.url = withParam(cur.url, "n", strconv.Itoa(s.most))
	return &smaller
}

// maxGone is how many of the last tags in a row may have been deleted since they
// were listed, before the answer that they do not exist is taken for one that last
// is not known.
const maxGone = 2

// goBack asks again from 1, 2, 4, … tags before, until a page begins with the
// tag that has to come there: zot answers 404, with an empty body, to a last that
// does not exist, others with the start of the list, or with nothing.
func (s *tagsList) goBack(ctx context.Context, cur *cursor, rep reply) (answer, error) {
	step := max(1, cur.step*2)
	if step >= len(s.recent) {
		if s.pages == 1 && len(s.recent) == 1 && rep.Entries == 0 && cur.kind == announced { // up to the start of the list
			next := s.relist(s.whole)
			next.hollow = true
			return answer{reply: rep, next: next}, nil
		}
		return s.lost(ctx, cur, rep, 0)
	}
	next := s.back(step)
	if cur.place > 0 {
		next.url = withParam(cur.url, "last", strconv.Itoa(max(0, cur.place-step)))
		next.after, next.place = "", cur.place
	} else if cur.kind == announced && cur.announced != nil && cur.after != "" {
		next.url = withParam(cur.announced, "last", url.QueryEscape(next.after))
	}
	next.kind, next.announced = cur.kind, next.url
	next.hollow = cur.hollow || rep.Entries == 0
	s.log().DebugContext(ctx, "going back in the list", "tags", step)
	return answer{reply: rep, next: next}, nil
}

// lost is what follows where no place of the list is where it was.
func (s *tagsList) lost(ctx context.Context, cur *cursor, rep reply, news int) (answer, error) {
	if s.pages > 0 && !s.cutFirst && s.lengths[len(s.lengths)-1] >= s.total {
		return s.ended(ctx, cur, answer{reply: rep}, "the first page has all tags that are known, and is no page that was cut")
	}
	if s.whole && s.pages == 1 && news == 0 && s.entries >= s.total {
		if s.sizeLeft() {
			return answer{reply: rep, next: s.otherSize()}, nil
		}
		return s.ended(ctx, cur, answer{reply: rep}, "the list without n has all tags that are known, and its Link leads to no other")
	}
	s.log().DebugContext(ctx, "listing once more", "because", "no tag stands where it stood when it was listed")
	return answer{reply: rep, next: s.relist(!s.wholeTried)}, nil
}

// relist begins the list anew; whole: without n.
func (s *tagsList) relist(whole bool) *cursor {
	if whole {
		s.whole, s.wholeTried = true, true
		return &cursor{url: s.query(0, ""), kind: begin, restart: true}
	}
	s.whole = false
	return &cursor{url: s.query(s.n, ""), kind: begin, restart: true}
}

// misunderstood says what follows where the registry did not take up the question
// what comes after a tag. It is asked in another form, and then only the list
// without n tells.
func (s *tagsList) misunderstood(ctx context.Context, cur *cursor, rep reply, why string) (answer, error) {
	ans := answer{reply: rep}
	if s.form++; s.refusedLast {
		s.form = exhausted // the list without n tells more than another refusal
	}
	switch {
	case s.form == otherwise:
		s.log().DebugContext(ctx, "asking in another form", "because", why)
		ans.next = s.back(max(1, cur.step))
	case s.recalled && s.sizeLeft():
		ans.next = s.otherSize()
	case s.whole && s.entries < s.total && s.hadRoom():
		return answer{reply: rep, why: roomyPage}, nil
	case s.whole && s.entries < s.total && s.ignoresLast():
		return s.ended(ctx, cur, ans, "last is not looked at, and n is, and there are fewer tags than that")
	case s.whole && s.entries < s.total && s.sizeToTry() != largePageSize:
		return s.orRoom(ans, s.short(ans, s.entries))
	case s.sizeLeft() && (s.whole || s.n == 0) && s.client.PageSize >= 0:
		ans.next = s.otherSize()
	case (s.whole || s.n == 0) && s.strays && !s.refusedLast && round(s.entries) && s.mayHaveRoom():
		ans.next = s.inOnePage()
	case s.whole, s.n == 0:
		return s.ended(ctx, cur, ans, "the list without n has no tag more, and "+why)
	case s.sizeLeft():
		ans.next = s.otherSize()
	default:
		s.log().DebugContext(ctx, "listing once more without n", "because", why)
		ans.next = s.relist(true)
	}
	return ans, nil
}

// fromStart takes an answer that begins the list anew, whatever last was, in the
// other form: without n where the pages are asked for with it.
func (s *tagsList) fromStart(ctx context.Context, cur *cursor, ans answer, t *pageTags) (answer, error) {
	s.repeats++
	switch without := hasN(ans.asked) == 0; {
	case s.recalled && s.sizeLeft():
		ans.next = s.otherSize()
	case !without && (t.news > 0 || len(ans.links) > 0 && !s.linked[1-hasN(ans.asked)] && !s.whole && !s.resized): // so it is n that matters
		s.n, s.stepped = nOf(ans.asked), true
		ans.next = s.relist(false)
	case without && !s.whole && (ans.Entries < s.total || len(ans.links) > 0):
		ans.next = s.relist(true)
	case (ans.Entries < s.total || !without && isFull(ans.reply)) && s.entries < s.total && s.ignoresLast():
		return s.ended(ctx, cur, ans, "last is not looked at, and n is, and there are fewer tags than that")
	case (ans.Entries < s.total || !without && isFull(ans.reply)) && s.entries < s.total:
		return s.orRoom(ans, s.short(ans, s.entries))
	case !without && s.n == 0 && isFull(ans.reply) && !slices.Contains(s.sizes, defaultPageSize):
		// So many came without n, and with that n: more may come with a larger one.
		s.n, s.wholeSeen, s.resized = defaultPageSize, true, true
		ans.next = s.relist(false)
	case s.sizeLeft():
		s.wholeSeen = without
		ans.next = s.otherSize()
	case s.silent && round(s.entries):
		return s.orRoom(ans, fmt.Errorf("%w: GET %s: what comes after its last tags is the start of the list with one n, and nothing with another", ErrInvalidResponse, bareURL(ans.asked)))
	default:
		return s.ended(ctx, cur, ans, "last is not looked at, and the list without n has no tag more")
	}
	return ans, nil
}

// ignoresLast reports whether each question what comes after a tag was answered
// with the start of the list, and a page that had room for more has all tags that
// are known. Then nothing else can be asked for.
func (s *tagsList) ignoresLast() bool {
	return s.repeats > 1 && !s.strays && s.roomy >= s.total
}

// hadRoom reports whether a first page that was shorter than its n, and no number
// at which lists are cut, has all tags that are known: then there are no more.
func (s *tagsList) hadRoom() bool { return s.roomy >= s.total && !round(s.roomy) }

// inRoom reports whether the list is read in the way of orRoom.
func (s *tagsList) inRoom() bool { return s.lastResort && s.n == defaultPageSize }

// mayHaveRoom reports whether the list may have room in one page, and was not read
// so.
func (s *tagsList) mayHaveRoom() bool {
	return !s.lastResort && s.total < defaultPageSize && !slices.Contains(s.sizes, defaultPageSize)
}

// otherwise implements source.
func (s *tagsList) otherwise() *cursor {
	if !s.begun || !s.mayHaveRoom() {
		return nil
	}
	return s.inOnePage()
}

func (s *tagsList) inOnePage() *cursor {
	s.n, s.resized, s.lastResort = defaultPageSize, true, true
	return s.relist(false)
}

// orRoom is what is done before a listing fails because the pages do not fit
// together: the list may have room in one page.
func (s *tagsList) orRoom(ans answer, err error) (answer, error) {
	if !s.mayHaveRoom() {
		return ans, err
	}
	ans.next = s.inOnePage()
	return ans, nil
}

const roomyPage = "a page that had room for more has all tags that are known"

// short is that the list without n lacks tags.
func (s *tagsList) short(ans answer, entries int) error {
	return fmt.Errorf("%w: GET %s: the list without n has %d entries, and %d tags are known: some are missing", ErrInvalidResponse, bareURL(ans.asked), entries, s.total)
}

// wholeList takes the list without n, in one page.
func (s *tagsList) wholeList(ctx context.Context, cur *cursor, ans answer, t *pageTags) (answer, error) {
	if s.mayBeCut(ans.reply) && s.sizeLeft() {
		ans.next = s.otherSize()
		return ans, nil
	}
	if ans.Entries < s.total && !s.isLonger(cur, ans.reply) && (s.open || !meet(s.tail, t.tags)) {
		return s.orRoom(ans, s.short(ans, ans.Entries))
	}
	if ans.Entries > defaultPageSize {
		s.client.learn(s.home.Host, func(h *habits) { h.without = everything })
	}
	return s.ended(ctx, cur, ans, "the list without n came in one answer")
}

// isLonger reports whether the list without n is longer than a page, and so no
// page.
func (s *tagsList) isLonger(cur *cursor, rep reply) bool {
	return cur.kind == begin && rep.Entries > max(defaultPageSize, s.was) && rep.Entries%1000 != 0
}

// compare takes the list without n that was asked for to compare.
func (s *tagsList) compare(ctx context.Context, cur *cursor, ans answer, link *url.URL, t *pageTags) (answer, error) {
	switch {
	case link == nil && !ans.more && (cur.back != nil || t.news == 0 || !round(ans.Entries)) && (ans.Entries >= s.total || ans.Entries > s.longest && meet(s.recent[max(0, len(s.recent)-keepTail):], t.tags)):
		s.client.learn(s.home.Host, func(h *habits) { h.without = everything })
		ans.why = "the list without n came in one answer"
		return ans, nil
	case link != nil:
		for _, place := range []string{s.home.Host, s.repo.String()} {
			s.client.learn(place, func(h *habits) { h.without = pagesOnly })
		}
	}
	ans.why, ans.next = cur.why, cur.back
	switch {
	case cur.back == nil && t.news > 0:
		ans.next = s.relist(true) // the pages did lack some
	case cur.back == nil:
		return s.ended(ctx, cur, ans, cur.why)
	}
	return ans, nil
}

// keepTail is how many of the last tags show that a list reaches as far as
// another one: all of them are unlikely to be deleted meanwhile.
const keepTail = 16

// meet reports whether two lists have a tag in common.
func meet(a, b []string) bool {
	for _, tag := range a {
		if slices.Contains(b, tag) {
			return true
		}
	}
	return false
}

// ended takes the end of the list for granted, but for what the pages could not
// show.
func (s *tagsList) ended(ctx context.Context, cur *cursor, ans answer, why string) (answer, error) {
	ans.why = why
	if cur.kind == asked && cur.why != "" {
		ans.why = cur.why + ", and what comes before it stands where it stood"
	}
	s.finished = true
	switch {
	case s.more || ans.more:
		return ans, fmt.Errorf("%w: GET %s: has_additional announces more, and no question brings it", ErrLoop, bareURL(ans.asked))
	case s.whole && s.entries < s.total && s.hadRoom():
		ans.why = roomyPage
		return ans, nil
	case s.whole && s.pages > 1 && s.entries < s.total:
		return s.orRoom(ans, s.short(ans, s.entries))
	case s.aside != nil: // it costs no request
		ans.next = &cursor{url: s.query(0, ""), kind: compare, restart: true, why: why, aside: s.aside}
		s.aside = nil
	case !s.further && !(s.cutFirst && cur.kind == asked && !s.seen.ByKeys()):
		return ans, nil
	case s.disagrees(ctx), s.unproven(ctx):
		switch {
		case !s.seen.Disagrees() && !s.compared && s.mayComeWhole(s.repo.String()):
			s.compared = true
			s.log().DebugContext(ctx, "asking for the list without n", "because", "the pages do not show whether they are continued in the order in which they are sorted")
			ans.next = &cursor{url: s.query(0, ""), kind: compare, restart: true, why: why}
		case !s.seen.Disagrees() && s.recalled && s.sizeLeft():
			ans.next = s.otherSize()
		case !s.seen.Disagrees(): // nobody can tell
		case !s.whole && !s.wholeTried:
			s.warn(ctx, "order and cursor disagree: listing once more without n")
			ans.next = s.relist(true)
		case s.sizeLeft():
			ans.next = s.otherSize()
		case s.hadRoom() || !s.further && s.roomy >= s.total:
			ans.why = roomyPage
		default:
			return s.orRoom(ans, s.disagreement(ans))
		}
	default:
		ans.next = s.standsStill(cur, ans)
	}
	return ans, nil
}

// standsStill is the last question to a list in no known order: what comes after
// a tag well before its end. At ghcr.io a tag that is pushed again moves to the
// end, and so do several that one build pushes one after the other. If the last
// tags of a page do, then what comes after them is a page that begins as it must,
// and is the end of the list.
func (s *tagsList) standsStill(cur *cursor, ans answer) *cursor {
	if s.settled == s.total || s.repeats > 0 && !s.answered || s.opaque || s.offset || s.whole && s.pages == 1 || s.seen.Sorted() || len(s.recent) < keepTail || ans.more || cur.kind == begin || cur.kind == compare {
		return nil
	}
	next := s.back(min(2*keepTail, len(s.recent)-1))
	s.settled = s.total
	next.why = ans.why
	return next
}

// mayComeWhole reports whether the list without n may be more than a page. Some
// registries are known to send pages.
//
// place is what that is remembered of: the registry, where it would only be fewer
// requests, and the repository, where it is a check.
func (s *tagsList) mayComeWhole(place string) bool {
	host := s.repo.Host
	return s.n > 0 && !s.client.habits(s.home.Host).slow && s.client.habits(place).without != pagesOnly &&
		host != "ghcr.io" && host != "quay.io" && host != "public.ecr.aws" && !strings.HasSuffix(host, ".amazonaws.com") &&
		!strings.HasSuffix(host, "gcr.io") && !strings.HasSuffix(host, ".pkg.dev")
}

// disagrees reports whether the registry sorts its pages in one order and goes on
// by another. A list in no known order may also be one whose place of last is
// looked up, as at ghcr.io, which lists by age. The question is what follows a,
// where the list has a and b one after the other although a is greater than b:
// only a registry that looks up can say b, or anything else that is less than a.
func (s *tagsList) disagrees(ctx context.Context) bool {
	if s.seen.LooksUp() || !s.seen.Disagrees() {
		return false
	}
	a := s.seen.Inversion[0]
	if a == "" {
		return true
	}
	seen := s.seen
	seen.Page(a)
	err := s.one(ctx, a, "the list is in no known order: does the registry compare, or look up?", func(tag string) bool {
		seen.Add(tag)
		return !seen.LooksUp()
	})
	s.seen.Rejected(seen)
	if s.seen.LooksUp() {
		s.log().DebugContext(ctx, "the registry looks for the place of last")
		return false
	}
	s.log().DebugContext(ctx, "the registry compares with last", "error", err)
	return true
}

// unproven reports whether tags may be missing in a way that the pages do not
// show. Where the list is not in an order by which the registry may compare, it
// is asked about that one; then they may disagree.
func (s *tagsList) unproven(ctx context.Context) bool {
	for s.seen.Unproven() && !s.seen.Disagrees() {
		doubt, ok := s.seen.Doubt()
		if !ok {
			return true
		}
		first := ""
		err := s.one(ctx, doubt.After, "the list is sorted in one order: does the registry compare by another?", func(tag string) bool {
			first = tag
			return false
		})
		if len(s.start) > 0 && first == s.start[0] && !s.heeded[hasN(s.question(""))] || err != nil || !s.seen.Settle(doubt, first) {
			return true // it does not look at last, or not so
		}
	}
	return s.seen.Disagrees()
}

// one asks what comes after a tag, for one tag or until add has seen enough.
func (s *tagsList) one(ctx context.Context, last, why string, add func(tag string) (more bool)) error {
	s.log().DebugContext(ctx, "asking what comes after a tag", "because", why)
	_, err := s.read(ctx, request{url: withParam(s.question(last), "n", "1")}, each(func(tag string) error {
		if !add(tag) {
			return errStopped
		}
		return nil
	}))
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

func (s *tagsList) disagreement(ans answer) error {
	return fmt.Errorf("%w: GET %s: the registry sorts its pages in one way and continues them in another, so that tags are missing", ErrInvalidResponse, bareURL(ans.asked))
}

// unfinished is where to go on after the end of the list, where other parts of
// it had tags that have not come.
func (s *tagsList) unfinished(ctx context.Context) *cursor {
	switch {
	case !s.owing && len(s.recent) > 0:
		s.owing = true
		return s.after(asked)
	case !s.whole:
		s.warn(ctx, "a part of the list ended early: listing once more without n")
		return s.relist(true)
	}
	return nil // it was deleted meanwhile
}

// afterEntry asks what comes after a page that has entries, and no tag among
// them: after its last entry, which is the registry's own.
func (s *tagsList) afterEntry(ctx context.Context, cur *cursor, ans answer) (answer, error) {
	last := ans.Tail
	if last == "" || cur.entry == last {
		return ans, fmt.Errorf("%w: GET %s: found %d entries and not one tag, so that nothing says where the list goes on", ErrInvalidResponse, bareURL(ans.asked), ans.Entries)
	}
	s.warn(ctx, "a page has no tag: asking what comes after its last entry")
	ans.next = &cursor{url: s.query(s.formSize(), last), kind: asked, entry: last, again: true}
	return ans, nil
}

// refusesLast reports whether a status says that a registry which announced
// nothing does not know last. Any other leaves open whether there is more.
func refusesLast(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499:
		return false
	}
	return status/100 == 4 || status == http.StatusNotImplemented
}

// speaks logs how the registry's pages go on, and by what that was seen.
func (s *tagsList) speaks(ctx context.Context, link *url.URL, ans answer, full bool) {
	is, because := "n and last", "there is no Link, though the page has the n tags that were asked for"
	switch {
	case link != nil && ans.next.after != "":
		is, because = "Link, whose cursor is a tag", "it names the last tag of the page"
	case link != nil:
		is, because = "Link, whose cursor is the registry's own", "it does not name the last tag of the page"
	case ans.more:
		because = "has_additional announces more, and there is no Link"
	case s.linked != [2]bool{}:
		return
	case !full:
		because = fmt.Sprintf("there is no Link, and %d is a size at which lists are cut", ans.Entries)
	}
	s.tellDialect(ctx, is, because)
}

// seek returns what begins to read the list behind any string, tag or not; nil
// where it may not be readable from anywhere. A cursor that is the last tag of
// its page is the sign: only then last may be a value to compare with. What the
// registry makes of others is seen when it answers them.
//
// ghcr.io is read in a row: it lists by age, which a first page in alphabetical
// order would hide, and nothing is known of what it makes of a last that is no
// tag.
func (s *tagsList) seek(next *url.URL) func(last string) *part {
	if s.repo.Host == "ghcr.io" || s.whole || hasOther(next.Query()) || !s.seen.Sorted() || s.seen.LooksUp() || s.client.habits(s.home.Host).linear {
		return nil
	}
	as, n := *s, s.formSize()
	return func(last string) *part {
		return &part{pages: plainPages{listing: as.listing, at: as.at, n: n, linked: as.linked != [2]bool{}, folds: as.seen.MayFold()}, next: &cursor{url: as.query(n, last), kind: sought}}
	}
}

// repair mends the query of a next link. endless says that it leads to the start
// of the list; link is then nil. asked is the n of the page that has it.
func (s *tagsList) repair(ctx context.Context, link *url.URL, asked int) (_ *url.URL, endless bool) {
	q := link.Query()
	if last, ok := q["last"]; ok && strings.Join(last, "") == "" && !hasOther(q) {
		// Cloudflare's serverless-registry: after the end it names the start.
		s.warn(ctx, "ignored a next link with an empty last")
		return nil, true
	}
	if q.Get("n") == "0" && asked > 0 {
		// ghcr.io: n=0 stands for its default there, and for an empty page in
		// the specification.
		s.warn(ctx, "replaced n=0 in a next link", "n", asked)
		return withParam(link, "n", strconv.Itoa(asked)), false
	}
	return link, false
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

// mayBeCut reports whether a page without a Link, of a registry that has sent
// none, may have been cut short though it is shorter than n: it has as many
// entries as a page before, or a round number, as caps are. Nexus groups cut at
// n (NEXUS-35956), quay up to 3.11 at 50, Google's at 10,000.
func (s *tagsList) mayBeCut(rep reply) bool {
	if rep.Entries > max(defaultPageSize, nOf(rep.asked)+1) {
		return rep.Entries%1000 == 0 // longer than a page: it is the list, but for a cap such as Google's of 10,000
	}
	return s.pages > 1 && rep.Entries >= s.longest || round(rep.Entries)
}

func isFull(rep reply) bool {
	n := nOf(rep.asked)
	if n == largePageSize && rep.Entries <= defaultPageSize+1 {
		n = defaultPageSize // so much is known to come, and perhaps not more
	}
	return n > 0 && (rep.Entries == n || rep.Entries == n+1)
}

// round reports whether n is a number that people choose: a multiple of 50, or a
// power of two from 64 up.
func round(n int) bool {
	return n > 0 && n%50 == 0 || n >= 64 && n&(n-1) == 0
}
