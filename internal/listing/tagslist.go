package listing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/wire"
)

// tagsList reads GET /v2/<name>/tags/list as the specification has it, with the
// repairs that registries need (distribution-spec v1.1.1, "Listing Tags").
//
// Three laws govern when it believes that a list has ended. What only the client asked
// for, and the registry did not announce, is no evidence: neither a larger n, nor a
// smaller one, nor a last of the client's own. What a Client remembers decides what is
// asked first, and switches off no check. And the same question may be answered
// differently the next time, so that a place in the list is known only by the tags that
// stand there.
//
// This file requests pages. take.go decides what follows a page that has come, without a
// request: announced.go follows the registry's Links, question.go asks what comes after a
// tag where it sends none, evidence.go decides whether the list has ended, and pagesize.go
// chooses n. A decision may leave a doubt, which tagsList.settle asks the registry about.
type tagsList struct {
	*Listing
	endpoint                  // Home, or where that redirects to
	begun       bool          // a page was read
	linked      [2]bool       // a page had a Link: requested without n, or with it
	heeded      [2]bool       // a page respected last: requested without n, or with it
	opaque      bool          // the cursors of the registry's Links are not tags
	offsets     *url.URL      // a Link whose cursor is a number of tags; nil: none
	compared    bool          // the list without n was requested, to compare
	sameWithout bool          // and has the same tags as the pages
	triedLonger bool          // the first page with the usual n was requested, to compare
	untried     *url.URL      // a Link of which only an overlapping page was requested, in vain; nil: none
	asIs        bool          // such a Link was followed unchanged
	tokens      bool          // a Link has its cursor beside the tag that it names
	pageOrders  []order.Order // those by which pages may be sorted whose tags are not; nil: tags stand as they are listed
	unheeded    string        // the first tag of a page that was requested with another tag in its Link; "": none
	aside       *aside        // the list without n, read concurrently; nil: it is not
	inARow      bool          // the latest Link is followed unchanged, and its cursor is not a tag
	cover       cover         // a page that had all known tags
	foreseen    *foreseen     // nil: there is none
	early       *early        // the next page, requested when its place was known; nil: it was not

	sizes
	latestPage
	questions
	passes
	pass
}

// latestPage is what is kept of the latest page, to judge the next one.
type latestPage struct {
	before  int  // entries of the latest page that had any
	beforeN int  // the n with which that was requested
	full    bool // the page has the n entries that were requested
	ignored bool // it has more than that
	more    bool // its has_additional says that there is more
}

// passes are the readings of the list, each from its start.
type passes struct {
	began      int
	whole      bool     // this one is without n, as nothing else is evidence
	wholeTried bool     // there was a reading without n
	wholeSeen  bool     // and it had no other tags
	finished   bool     // this reading reached the end of the list
	open       bool     // the reading before was left before its end
	disagreed  bool     // a reading showed that the registry sorts and compares in different orders
	tail       []string // the last tags of the reading before
	lacked     bool     // the list without n has tags that the pages of a reading lacked
	omissions  int      // the number of pages that passed over tags which were known to come there
	rest       int      // the most tags in an answer from elsewhere in the list that had room for more, and no new tag
}

// A pass is one reading.
type pass struct {
	start     []string   // the first tags
	recent    []string   // the last tags
	seen      order.Seen // what the pages show of the order
	entries   int        // so far
	tags      int        // of the pages so far; those in which pages overlap count twice
	pages     int
	link      *url.URL // the latest next link whose cursor is a tag
	covers    bool     // the first page had all tags that were known then
	further   bool     // a later page had other tags
	astray    bool     // a question was answered with a page from elsewhere in the list
	misplaced bool     // a page began before the tag that it was asked for after, and not with the start of the list
	withoutN  bool     // the first page was requested without n
	cutFirst  bool     // the first page has a Link, or a length at which lists are cut
	settled   int      // how many tags were known when the last ones were verified
	stood     int      // how many of the last tags are known to be where they were
	leads     bool     // the first page had room, and a Link
	others    bool     // it has entries that are not tags
	shuffled  bool     // a page is in no known order

	tellingPages int    // the number of pages with enough tags to show an order
	plainly      string // the last tag, once it was asked what comes after that tag itself
}

// keepRecent is the number of last tags that are remembered, to go back to when a cursor has
// moved or is gone, and maxRelists how often a list may be restarted.
const (
	keepRecent = 1024
	maxRelists = 6
)

func newTagsList(l *Listing) *tagsList {
	s := &tagsList{Listing: l, endpoint: endpoint{url: l.Home}, sizes: sizes{n: l.PageSize, longestOf: make(map[int]int), followed: make(map[int]bool)}, pass: pass{seen: order.New()}}
	if s.n == 0 {
		if s.n = l.ofRegistry().pageSize; s.n == 0 {
			s.n = defaultPageSize
		} else {
			s.recalled = true
		}
	}
	s.n = max(s.n, 0)
	return s
}

func (s *tagsList) First() *Cursor {
	if h := s.ofRegistry(); s.PageSize == 0 && h.without == everything && !h.slow {
		return &Cursor{URL: s.query(0, ""), kind: begin, fallback: s.query(s.n, "")}
	}
	return &Cursor{URL: s.query(s.n, ""), kind: begin}
}

// Page implements Source.
func (s *tagsList) Page(ctx context.Context, cur *Cursor, to Sink) (*Answer, error) {
	if cur.kind == begin {
		most := maxRelists
		if s.lastResort > 0 {
			most++
		}
		if s.began >= most {
			ans, err := s.orOtherwise(noAnswer(cur.URL), invalid(cur.URL, "the list was read %d times, and no reading was complete beyond doubt", s.began))
			if ans, err = s.settle(ctx, cur, ans, err); err != nil || ans.Next == nil {
				return ans, err
			}
			cur = ans.Next
		}
	}
	t := s.NewPage(cur, to)
	rep, tries, early, err := s.takeEarly(ctx, cur, t)
	switch {
	case cur.aside != nil:
		if rep, err = cur.aside.drain(ctx, t); err != nil && !isFinal(ctx, err) && !isBound(err) {
			rep, err = s.fetch(ctx, cur, t, 1)
		}
	case !early:
		rep, err = s.fetch(ctx, cur, t, tries)
	}
	if err == nil && len(t.start) > 0 && t.news == 0 && s.isRepeat(t, len(t.start)) {
		err = errRepeat
	}
	if err != nil {
		ans, err := s.failed(ctx, cur, rep, err)
		return s.settle(ctx, cur, ans, err)
	}
	return s.Take(ctx, cur, rep, t)
}

// NewPage implements Source.
func (s *tagsList) NewPage(cur *Cursor, to Sink) *PageTags {
	if cur.kind == begin {
		s.newPass()
		s.tried = append(s.tried, nOf(cur.URL))
	}
	t := &PageTags{Sink: to, before: s.seen, after: cur.after}
	if cur.kind == asked && !s.answered && (s.form == asBefore || s.ignored) {
		t.start, t.long = s.start, s.longest > defaultPageSize
	}
	return t
}

// newPass begins the list anew.
func (s *tagsList) newPass() {
	if s.entries > 0 {
		s.began++
	}
	s.tail = slices.Clone(s.lastTags())
	s.open, s.finished = !s.finished, false
	s.was, s.longest, s.widest = max(s.was, s.longest), 0, 0
	s.form, s.answered = asBefore, false
	s.disagreed = s.disagreed || s.isMisplaced() || s.seen.Sorted() && s.seen.Disagrees()
	seen := order.New()
	seen.Rejected(s.seen) // what last is to the registry stays as it is
	s.pass = pass{seen: seen}
}

// fetch requests a page, or a smaller one where the registry refuses that or takes too long.
func (s *tagsList) fetch(ctx context.Context, cur *Cursor, t *PageTags, tries int) (*wire.Response, error) {
	var slow int // tries that took the registry too long
	read := func(u *url.URL) (*wire.Response, error) {
		again := func(u *url.URL, failed error) *url.URL {
			if u == cur.URL && cur.fallback != nil {
				return cur.fallback
			}
			if tooSlow(failed) {
				slow++
			}
			return s.lighter(ctx, u, slow)
		}
		return s.Read(ctx, wire.Request{URL: u, Tries: tries, Again: again, Header: s.askEarly(ctx, 1), Once: cur.back != nil}, t)
	}
	rep, err := read(cur.URL)
	for !s.begun && s.stepDown(ctx, err) {
		rep, err = read(s.query(s.n, ""))
	}
	if cur.fallback != nil && rep.Asked == cur.URL && (refusesSize(Status(err)) || errors.Is(err, ocierr.ErrInvalidResponse) || isBound(err)) {
		rep, err = read(cur.fallback)
	}
	return rep, err
}

// noAnswer returns the Answer of a decision for which no page was requested. Errors name u.
func noAnswer(u *url.URL) *Answer { return &Answer{Response: &wire.Response{Asked: u}} }

func tooSlow(err error) bool {
	return Status(err) == 504 || errors.Is(err, context.DeadlineExceeded)
}

// isFinal reports whether an error ends the listing, whatever else might be asked.
func isFinal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrStopped) || errors.Is(err, ocierr.ErrTooLarge) && !isBound(err)
}

// isBound reports whether an answer was too large or too slow for the bounds.
func isBound(err error) bool {
	_, ok := errors.AsType[*bound.Error](err)
	return ok
}

// Status returns the HTTP status with which the registry refused, or 0. The status of a
// token server says nothing about the list.
func Status(err error) int {
	if refusal, ok := errors.AsType[wire.Refused](err); ok && !refusal.TokenServer {
		return refusal.Status
	}
	return 0
}

// failed says what follows a page that did not come.
func (s *tagsList) failed(ctx context.Context, cur *Cursor, rep *wire.Response, err error) (*Answer, error) {
	ans := &Answer{Response: rep}
	switch code := Status(err); {
	case cur.isPlain() && (err == errRepeat || !isFinal(ctx, err)):
		return s.ended(ctx, cur.end, ans, cur.why)
	case err == errRepeat:
		return s.repeated(ctx, cur, ans)
	case isFinal(ctx, err):
	case s.misfit != nil && refusesSize(code):
		return ans, s.misfit
	case code == 404 && !s.begun:
		refusal, _ := errors.AsType[wire.Refused](err)
		refusal.IsNotFound()
	case cur.kind == compare:
		switch why := cur.why + "; what was asked for to compare did not come"; {
		case cur.back != nil:
			ans.Next, ans.Why = cur.back, why
			return ans, nil
		case !s.refusedLast || refusesSize(code) || code == 404:
			return s.ended(ctx, cur.end, ans, why)
		}
	case cur.aside != nil: // perhaps it is too long for one answer
		s.tell(ctx, "listing again by pages", err.Error())
		ans.Next = s.relist(false)
		return ans, nil
	case cur.kind == begin && s.resized && refusesSize(code):
		s.longest = s.was
		ans.Next = s.afterSize(nOf(cur.URL))
		return ans, nil
	case cur.kind == begin && s.whole && tooSlow(err):
		err = fmt.Errorf("the pages may lack tags, and the list without n does not come: %w", err)
	case code/100 == 4 && code != 429 && cur.place > 0 && cur.named != nil:
		ans.Next = s.noOffset(cur)
		return ans, nil
	case cur.entry != "" && refusesLast(code):
		return s.noCursor(ctx, cur, ans)
	case code == 404 && (cur.kind == announced || cur.step > 0 && s.answered) && cur.after != "":
		s.warn(ctx, "the tag used as a cursor is gone: going on from one before it")
		return s.resumeBefore(ctx, cur, ans, false)
	case cur.kind == asked && code == 404 && s.answered:
		return s.resumeBefore(ctx, cur, ans, false)
	case cur.kind == asked && refusesLast(code):
		return s.refused(ctx, cur, ans, code)
	}
	return ans, err
}

// afterSize begins the list anew after an n that was tried, and refused.
func (s *tagsList) afterSize(refused int) *Cursor {
	switch n := lower(refused); {
	case n > 0 && !slices.Contains(s.tried, n):
		return s.relistWith(n)
	case s.sizeLeft():
		return s.otherSize()
	}
	return s.relist(true)
}

// repeated says what follows a question that was answered with the start of the list.
func (s *tagsList) repeated(ctx context.Context, cur *Cursor, ans *Answer) (*Answer, error) {
	switch leads := s.leadsOn(ans.Response); {
	case leads && s.linked == [2]bool{}:
		s.n = nOf(ans.Asked)
		ans.Next = s.relist(false)
		return ans, nil
	case !leads:
		s.tried = append(s.tried, nOf(ans.Asked)) // the answer is the first page of that n
	}
	s.repeats++
	switch neither := s.ignored && s.form == otherwise; {
	case neither && s.PageSize > 0 && s.entries <= defaultPageSize && round(s.entries) && !s.wholeTried:
		// The user's n may be over the limit, and be answered with as many as come without n.
		ans.Next = s.relist(true)
		return ans, nil
	case neither:
		return s.ended(ctx, cur, ans, "neither n nor last is looked at")
	}
	return s.misunderstood(ctx, cur, ans, "asking after its last tag gave the start of the list again")
}

// nOf returns the n of a request, or 0 if it has none, or u is nil.
func nOf(u *url.URL) int {
	if u == nil {
		return 0
	}
	text, _ := valueOfN(u)
	n, _ := strconv.Atoi(text)
	return n
}

func hasN(u *url.URL) int {
	if _, has := valueOfN(u); has {
		return 1
	}
	return 0
}

// valueOfN is u.Query().Get("n") without a map of all parameters, as it is looked at some twenty
// times for each page. Nobody escapes an n.
func valueOfN(u *url.URL) (text string, has bool) {
	for pair, rest := "", u.RawQuery; rest != ""; {
		pair, rest, _ = strings.Cut(rest, "&")
		if name, text, _ := strings.Cut(pair, "="); name == "n" {
			return text, true
		}
	}
	return "", false
}

// latest returns the i-th tag from the end; "": there are not so many.
func (s *tagsList) latest(i int) string {
	if i >= len(s.recent) {
		return ""
	}
	return s.recent[len(s.recent)-1-i]
}
