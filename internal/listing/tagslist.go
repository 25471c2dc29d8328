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
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// tagsList reads GET /v2/<name>/tags/list as the specification has it, with the
// repairs that registries need (distribution-spec v1.1.1, "Listing Tags").
//
// Three laws rule what it takes for the end of a list. What the registry did not
// announce, and only the client has asked for, is no evidence: neither a larger n,
// nor a smaller one, nor a last of its own. What a Client remembers decides what is
// asked first, and switches off no check. And the same question may be answered
// differently the next time, so that a place in the list is known by the tags that
// stand there.
//
// This file has what follows a page; question.go asks what comes after a tag where
// the registry does not say it, evidence.go decides whether the list has ended, and
// pagesize.go chooses n.
type tagsList struct {
	*Listing
	at       *url.URL // where pages are asked: home, or where it redirects to
	begun    bool     // a page was read
	linked   [2]bool  // a page had a Link: requested without n, or with it
	heeded   [2]bool  // a page respected last: requested without n, or with it
	opaque   bool     // the cursors of the registry's Links are not tags
	offsets  *url.URL // a Link whose cursor is a number of tags; nil: none
	compared bool     // the list without n was requested, to compare
	owing    bool     // the tags that other parts had behind the end were asked for
	untried  *url.URL // a Link of which only an overlapping page was requested, in vain; nil: none
	asIs     bool     // one was followed as it is, instead
	aside    *aside   // the list without n, read concurrently; nil: it is not
	inARow   bool     // the latest Link is followed unchanged, and its cursor is not a tag
	early    *early   // the next page, requested when its place was known; nil: it was not

	sizes
	latestPage
	questions
	passes
	pass
}

// latestPage is what is kept of the latest page, to judge the next one.
type latestPage struct {
	before  int  // entries of the latest page that had any
	full    bool // it has the n entries that were requested
	ignored bool // it has more
	more    bool // has_additional said that there is more
}

// passes are the readings of the list, each from its start.
type passes struct {
	began      int
	whole      bool     // this one is without n, as nothing else is evidence
	wholeTried bool     // there was one without n
	wholeSeen  bool     // that one had no other tags
	finished   bool     // this one reached the end of the list
	open       bool     // the one before was left before its end
	disagreed  bool     // one showed that the registry sorts and compares in different orders
	tail       []string // the last tags of the one before
}

// A pass is one reading.
type pass struct {
	start    []string   // the first tags
	recent   []string   // the last tags
	seen     order.Seen // of their order
	entries  int        // so far
	pages    int
	link     *url.URL // the latest next link whose cursor is a tag
	covers   bool     // the first page had all tags that were known then
	further  bool     // a page after the first had more
	astray   bool     // a question was answered with a page from elsewhere in the list
	withoutN bool     // the first page was requested without n
	cutFirst bool     // the first page has a Link, or a length at which lists are cut
	settled  int      // how many tags were known when the last ones were verified
	stood    int      // how many of the last tags are known to be where they were
	leads    bool     // the first page had room, and a Link
	plainly  string   // the tag of which was asked what comes after it, in whatever order
}

// keepRecent is how many tags are remembered, to go back to when a cursor has
// moved or is gone, and maxRelists how often a list is restarted when all have.
const (
	keepRecent = 1024
	maxRelists = 6
)

func newTagsList(l *Listing) *tagsList {
	s := &tagsList{Listing: l, at: l.Home, sizes: sizes{n: l.PageSize, longestOf: make(map[int]int)}, pass: pass{seen: order.New()}}
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

// query returns the URL of the page of n tags after the tag last.
func (s *tagsList) query(n int, last string) *url.URL { return listQuery(s.at, n, last) }

// listQuery returns the URL, at a repository's tag list, of the page of n tags after
// last. With 0 it is without n, and with "" without last.
func listQuery(at *url.URL, n int, last string) *url.URL {
	u, params := *at, []string{}
	if n > 0 {
		params = append(params, "n="+strconv.Itoa(n))
	}
	if last != "" {
		params = append(params, "last="+url.QueryEscape(last))
	}
	u.RawQuery = strings.Join(params, "&")
	return &u
}

// Page implements Source.
func (s *tagsList) Page(ctx context.Context, cur *Cursor, to Sink) (Answer, error) {
	if cur.kind == begin {
		most := maxRelists
		if s.lastResort > 0 {
			most++
		}
		if s.began >= most {
			ans, err := s.orOtherwise(Answer{}, invalid(cur.URL, "the list was read %d times, and no reading was complete beyond doubt", s.began))
			if err != nil || ans.Next == nil {
				return ans, err
			}
			cur = ans.Next
		}
	}
	if cur.kind == begin {
		s.newPass()
		s.tried = append(s.tried, nOf(cur.URL))
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
		return s.failed(ctx, cur, rep, err)
	}
	return s.Take(ctx, cur, rep, t)
}

func (s *tagsList) NewPage(cur *Cursor, to Sink) *PageTags {
	t := &PageTags{Sink: to, before: s.seen, after: cur.after}
	if cur.kind == asked && !s.answered && (s.form == asBefore || s.ignored) {
		t.start, t.long = s.start, s.longest > defaultPageSize
	}
	return t
}

// newPass begins the list anew.
func (s *tagsList) newPass() {
	if s.entries > 0 || len(s.start) > 0 { // an overlap of pages is not counted as entries
		s.began++
	}
	s.tail = slices.Clone(s.lastTags())
	s.open, s.finished = !s.finished, false
	s.was, s.longest = max(s.was, s.longest), 0
	s.form, s.answered = asBefore, false
	s.disagreed = s.disagreed || s.seen.Sorted() && s.seen.Disagrees()
	seen := order.New()
	seen.Rejected(s.seen) // what last is to the registry stays as it is
	s.pass = pass{seen: seen}
}

// fetch asks for a page, in smaller pieces where that is needed.
func (s *tagsList) fetch(ctx context.Context, cur *Cursor, t *PageTags, tries int) (wire.Response, error) {
	var slow int // tries that took the registry too long
	read := func(u *url.URL) (wire.Response, error) {
		again := func(u *url.URL, failed error) *url.URL {
			if u == cur.URL && cur.fallback != nil {
				return cur.fallback
			}
			if tooSlow(failed) {
				slow++
			}
			return s.lighter(ctx, u, slow)
		}
		return s.Read(ctx, wire.Request{URL: u, Tries: tries, Again: again, Header: s.askEarly(ctx, 1), Once: cur.kind == compare && cur.back != nil}, t)
	}
	rep, err := read(cur.URL)
	for !s.begun && s.stepDown(ctx, err) {
		rep, err = read(s.query(s.n, ""))
	}
	if cur.fallback != nil && rep.Asked == cur.URL && err != nil && (refusesSize(Status(err)) || errors.Is(err, ocierr.ErrInvalidResponse) || isBound(err)) {
		rep, err = read(cur.fallback)
	}
	return rep, err
}

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
func (s *tagsList) failed(ctx context.Context, cur *Cursor, rep wire.Response, err error) (Answer, error) {
	if err == errRepeat && !s.leadsOn(rep) {
		s.tried = append(s.tried, nOf(rep.Asked)) // it is what the list begins with at that n
	}
	switch code := Status(err); {
	case s.misfit != nil && refusesSize(code):
		return Answer{Response: rep}, s.misfit
	case code == 404 && !s.begun:
		refusal, _ := errors.AsType[wire.Refused](err)
		refusal.IsNotFound()
	case cur.kind == compare:
		if isFinal(ctx, err) {
			break
		}
		switch why := cur.why + "; the list without n, asked for to compare, did not come"; {
		case cur.back != nil:
			return Answer{Response: rep, Next: cur.back, Why: why}, nil
		case !s.refusedLast || refusesSize(code) || code == 404:
			return s.ended(ctx, cur.end, Answer{Response: rep}, why)
		}
	case cur.isPlain() && !isFinal(ctx, err):
		return s.ended(ctx, cur.end, Answer{Response: rep}, cur.why)
	case cur.kind == begin && cur.aside != nil && !isFinal(ctx, err): // perhaps it is too long for one answer
		s.Log.DebugContext(ctx, "listing again by pages", "because", err.Error())
		return Answer{Response: rep, Next: s.relist(false)}, nil
	case cur.kind == begin && s.resized && refusesSize(code):
		s.longest = s.was
		if smaller := lower(nOf(cur.URL)); smaller > 0 && !slices.Contains(s.tried, smaller) {
			s.n = smaller
			return Answer{Response: rep, Next: s.relist(false)}, nil
		}
		if s.sizeLeft() {
			return Answer{Response: rep, Next: s.otherSize()}, nil
		}
		return Answer{Response: rep, Next: s.relist(true)}, nil
	case err == errRepeat && s.leadsOn(rep) && s.linked == [2]bool{}:
		s.n = nOf(rep.Asked)
		return Answer{Response: rep, Next: s.relist(false)}, nil
	case err == errRepeat && s.ignored && (s.longest > defaultPageSize && !round(s.longest) || s.form == otherwise):
		s.repeats++
		return s.ended(ctx, cur, Answer{Response: rep}, "neither n nor last is looked at")
	case err == errRepeat:
		s.repeats++
		return s.misunderstood(ctx, cur, rep, "asking after its last tag gave the start of the list again")
	case code == 404 && (cur.kind == announced || cur.step > 0 && s.answered) && cur.after != "":
		s.warn(ctx, "the tag used as a cursor is gone: going on from one before it")
		return s.resumeBefore(ctx, cur, rep)
	case cur.kind == asked && refusesLast(code) && s.answered && code == 404:
		return s.resumeBefore(ctx, cur, rep)
	case cur.kind == asked && refusesLast(code):
		return s.refused(ctx, cur, rep, code)
	}
	return Answer{Response: rep}, err
}

// Take takes a page that has come, and says what follows it.
func (s *tagsList) Take(ctx context.Context, cur *Cursor, rep wire.Response, t *PageTags) (Answer, error) {
	ans := Answer{Response: rep, More: rep.More != nil && *rep.More}
	if cur.kind != compare { // of which it only says that it is a page
		s.more = ans.More || s.more && rep.More == nil && cur.kind == asked
	}
	s.moved(ctx, rep)
	link, endless, err := s.nextOf(ctx, rep)
	if err != nil {
		return ans, err
	}
	switch question := cur.kind == asked && !s.answered; {
	case cur.kind == compare:
		return s.compare(ctx, cur, ans, link, t)
	case cur.isPlain() && t.news == 0:
		return s.ended(ctx, cur.end, ans, cur.why)
	case question && s.form > asBefore && t.first != cur.must && s.isRepeat(t, nOf(rep.Asked)):
		return s.fromStart(ctx, cur, ans, t)
	case question && rep.Entries == 0 && s.ignored:
		return s.ended(ctx, cur, ans, "n is not looked at, and nothing comes after its last tag")
	case question && rep.Entries == 0 && nOf(rep.Asked) > max(s.accepted, smallestPageSize):
		// An n over its limit may be answered with nothing, whatever last is.
		return Answer{Response: rep, Next: s.withSmallest(cur)}, nil
	case s.displaced(cur, rep, t):
		return s.elsewhere(ctx, cur, ans, t)
	}
	s.observe(ctx, cur, rep, t, link)
	if cur.kind == begin && nOf(rep.Asked) == 0 && link == nil && rep.Entries > defaultPageSize {
		s.learnWhole(ans) // of any length: it only chooses what is asked first
	}
	shown, stands := s.stands(cur, t)
	first, reached := s.pages == 0, t.last() == s.latest(0) && !s.isLong(cur, rep, t)
	s.carry(cur, t, rep, stands)
	switch {
	case first && s.readsOnePage() && s.hadRoom() && !s.more && link == nil:
		ans.Why = roomyPage
		return ans, nil
	case s.misfit != nil:
		return ans, s.misfit
	case cur.step > 0 && cur.must != "" && t.first == cur.must && rep.Entries == 1 && s.longest > 1:
		return s.overlapOnly(ctx, cur, ans, link)
	case cur.kind == begin && s.resized && !s.whole && !s.refusedLast && link == nil && t.news == 0 && rep.Entries == s.total:
		if s.sizeLeft() {
			return Answer{Response: rep, Next: s.otherSize()}, nil
		}
		if s.wholeSeen {
			return s.ended(ctx, cur, ans, "no n and no last make a difference")
		}
		return Answer{Response: rep, Next: s.relist(true)}, nil
	case cur.hollow && t.news == 0 && (reached || cur.kind == begin):
		return s.ended(ctx, cur, ans, nothingMore)
	case (cur.ended || cur.kind == asked && cur.why != "" && reached) && t.news == 0 && stands && shown == cur.step-cur.stood:
		return s.ended(ctx, cur, ans, nothingMore)
	case cur.ended && t.news == 0 && stands: // a smaller page than was asked for
		next := s.back(cur.step - shown)
		next.why, next.stood, next.ended = cur.why, cur.stood, true
		return Answer{Response: rep, Next: next}, nil
	}
	return s.follow(ctx, cur, ans, link, endless, reached, t)
}

// overlapOnly takes a page that has only the tag with which it overlaps the one before. If it
// has a Link, its other tags may be hidden from this user.
func (s *tagsList) overlapOnly(ctx context.Context, cur *Cursor, ans Answer, link *url.URL) (Answer, error) {
	if link == nil || cur.kind != announced || cur.hollow {
		return s.ended(ctx, cur, ans, nothingMore)
	}
	ans.Next, ans.held = &Cursor{URL: link, announced: link, kind: announced}, true
	return ans, nil
}

// moved looks at where an answer came from. registry.k8s.io's redirect drops the
// query, so that n and last must be sent to where it leads.
func (s *tagsList) moved(ctx context.Context, rep wire.Response) {
	if rep.Name != "" && rep.Name != s.Repository.Name {
		s.warn(ctx, "the answer names another repository", "name", taglist.Quote(rep.Name))
	}
	if strings.HasSuffix(rep.URL.Path, "/tags/list") {
		at := *rep.URL
		at.RawQuery, at.User = "", nil
		s.at = &at
	}
}

// nextOf returns the next link of an answer, repaired; nil: there is none. endless
// reports that it leads to the start of the list.
func (s *tagsList) nextOf(ctx context.Context, rep wire.Response) (link *url.URL, endless bool, err error) {
	link, oddity, err := s.Registry.NextLink(rep.Links, rep.URL)
	if err != nil {
		return nil, false, fmt.Errorf("GET %s: %w", origin.WithoutSecrets(rep.Asked), err)
	}
	if oddity != "" {
		s.warn(ctx, "followed an odd next link", "because", oddity)
	}
	if link != nil {
		s.linked[hasN(rep.Asked)] = true
		mended, wrong := s.Registry.Repair(link, nOf(rep.Asked))
		if wrong != "" {
			s.warn(ctx, wrong)
		}
		link, endless = mended, mended == nil
	}
	return link, endless, nil
}

// leadsOn reports whether an answer has a next link, or one that cannot be read.
func (l *Listing) leadsOn(r wire.Response) bool {
	link, _, err := l.Registry.NextLink(r.Links, r.URL)
	return link != nil || err != nil
}

// elsewhere says what follows a page that does not stand where it was asked for.
func (s *tagsList) elsewhere(ctx context.Context, cur *Cursor, ans Answer, t *PageTags) (Answer, error) {
	rep := ans.Response
	s.seen.Rejected(t.seen)
	s.further = s.further || t.news > 0
	s.astray = s.astray || cur.kind == asked
	s.silent = s.silent || cur.kind == asked && !s.answered && rep.Entries == 0
	if cur.kind == announced && cur.named != nil && !s.asIs {
		s.untried = cur.named
	}
	switch {
	case t.first != "" && cur.kind == announced && (cur.step >= 4 || s.mayComeWhole(s.Repository.String())) && !s.wholeTried && s.disagrees(ctx):
		return Answer{Response: rep, Next: s.relist(true)}, nil
	case cur.step > 0 && s.isRepeat(t, nOf(rep.Asked)):
		return s.lost(ctx, cur, rep, t.news) // it begins the list anew, whatever it is asked
	case cur.kind == asked && !s.answered && cur.step >= 4:
		s.strays = true
		return s.misunderstood(ctx, cur, rep, "asking after its last tags gave something else")
	}
	return s.resumeBefore(ctx, cur, rep)
}

// observe takes from a page that stands where it should what it says about the
// registry and the list.
func (s *tagsList) observe(ctx context.Context, cur *Cursor, rep wire.Response, t *PageTags, link *url.URL) {
	if cur.kind == announced {
		s.untried = nil
		if rep.Entries == 0 && link != nil && s.leads { // it shows nothing, and yet there is more
			s.roomy = 0
		}
	}
	if cur.kind == asked && (t.first != "" || cur.must == "") {
		s.answered = s.answered || cur.must != "" && t.first == cur.must || t.news > 0
	}
	if cur.fallback != nil && cur.kind == announced {
		s.learnSize(ctx, rep, link != nil)
	}
	if (cur.kind == announced || cur.kind == asked) && cur.after != "" {
		s.heeded[hasN(rep.Asked)] = s.heeded[hasN(rep.Asked)] || t.first != "" && !s.isRepeat(t, 0)
		t.seen.Boundary(cur.after, s.recent, t.top)
		for i := range cur.step {
			if tag := s.latest(i); t.number > 0 && t.number < keepTop && t.seen.Sorted() && !slices.Contains(t.top, tag) {
				t.seen.Omitted(cur.after, tag) // unless it was deleted, which only costs requests
			}
		}
	}
	if cur.kind == sought {
		t.seen.Seam(s.recent, t.top)
	}
	switch {
	case s.pages == 0:
		s.lengths = append(s.lengths, rep.Entries)
		full := link != nil && (nOf(link) == rep.Entries || s.began > 0 && t.news > 0) // by the registry's own n
		if n := nOf(rep.Asked); !full && (rep.Entries < n || n == 0 && !round(rep.Entries)) {
			s.roomy = max(s.roomy, rep.Entries)
			s.leads = link != nil
		}
		s.covers = rep.Entries >= s.total
		s.cutFirst = (isFull(rep) || round(rep.Entries) || link != nil) && rep.Entries <= max(defaultPageSize, nOf(rep.Asked)+1)
	case cur.kind == announced && s.cutFirst:
		s.further = true // though the page may have had none of them
	case !s.covers || t.news > 0:
		s.further = s.further || t.number > 1 || t.number == 1 && t.first != cur.must
	}
}

// Meets implements Source.
func (s *tagsList) Meets(cur *Cursor, tags []string) {
	if cur.after != "" {
		s.seen.Boundary(cur.after, s.recent, tags)
	} else {
		s.seen.Seam(s.recent, tags)
	}
	if own := cur.beyond(tags[:len(tags)-1]); len(own) > 0 {
		s.recent = keep(s.recent, own...)
	}
}

// carry keeps what the next page is judged by.
func (s *tagsList) carry(cur *Cursor, t *PageTags, rep wire.Response, stands bool) {
	if s.pages == 0 {
		s.start = slices.Clone(t.top)
		s.withoutN = nOf(rep.Asked) == 0
	}
	s.begun = true
	s.pages++
	s.longest = max(s.longest, rep.Entries)
	s.longestOf[nOf(rep.Asked)] = max(s.longestOf[nOf(rep.Asked)], rep.Entries)
	if rep.Entries > 0 {
		if s.before = rep.Entries; nOf(rep.Asked) == rep.Entries {
			s.honoured = rep.Entries
		}
		s.accepted = max(s.accepted, nOf(rep.Asked))
	}
	s.ignored = nOf(rep.Asked) > 0 && rep.Entries > nOf(rep.Asked)+1
	s.entries += rep.Entries
	s.seen = t.seen
	own := t.number
	if cur.beginsWithLast(t.top) {
		own--
	}
	if cur.kind == asked && cur.why != "" && stands && own <= cur.step {
		return // it shows what is known
	}
	s.settled = 0
	for i, tag := range t.latest {
		// A page that overlaps the ones before begins with tags that are known.
		if i == 0 && len(s.recent) > 0 {
			if at := slices.Index(s.recent, tag); at >= 0 {
				s.recent = s.recent[:at]
			}
		}
		s.recent = append(s.recent, tag)
	}
	s.recent = keep(s.recent)
	if t.number > order.MaxNoted {
		s.seen.Note(t.latest)
	}
}

// someTags is how many tags show an order.
const someTags = 4

// displaced reports whether a page is not what comes after its cursor: the
// cursor has moved, or is gone, or means something else to the registry.
func (s *tagsList) displaced(cur *Cursor, rep wire.Response, t *PageTags) bool {
	switch {
	case cur.kind == announced && rep.Entries == 0 && s.leadsOn(rep): // all that it has may be hidden from this user
		return false
	case cur.place > 0: // a deletion shifts offsets, and a page that begins with what is known leaves no gap
		return !slices.Contains(s.recent, t.first)
	case cur.must != "" && t.first == cur.must:
		return false
	case cur.beginsWithLast(t.top):
		// So may the start of a list, whatever last is.
		return !s.seen.Sorted() && len(s.start) > 0 && s.start[0] == cur.after
	case cur.must != "":
		return true
	case cur.kind == announced && cur.after != "" && t.first != "":
		return len(s.recent) >= someTags && s.seen.Sorted() && !s.seen.Follows(cur.after, t.first)
	case cur.kind == announced && cur.after != "":
		return rep.Entries == 0 && !s.leadsOn(rep) && !s.wasLast(rep)
	}
	return false
}

// wasLast reports whether the page before had fewer tags than the n that the
// registry has honoured before: then it had all that there were, and no cursor that
// has moved since hides any.
func (s *tagsList) wasLast(rep wire.Response) bool {
	return s.honoured > 0 && s.before < s.honoured && nOf(rep.Asked) == s.honoured
}

// follow says what follows a page that stands where it should.
func (s *tagsList) follow(ctx context.Context, cur *Cursor, ans Answer, link *url.URL, endless, reached bool, t *PageTags) (Answer, error) {
	rep := ans.Response
	ans.held = true
	s.full = isFull(rep)
	switch {
	case s.seen.ByKeys() && !s.whole && !(cur.kind == begin && s.withoutN) && (link == nil || namesLast(link, t)) && s.ofRegistry().without != pagesOnly:
		// distribution 3.1 on S3 lists by object keys, and goes on with the tags
		// that are greater than last (distribution #4891).
		s.warn(ctx, "the registry sorts and resumes in different orders: listing again without n")
		ans.Next = s.relist(true)
		return ans, nil
	case link != nil && s.whole && s.seen.ByKeys() && namesLast(link, t) && !s.isLonger(cur, rep) && !s.hadRoom() && s.disagrees(ctx):
		return s.orOtherwise(ans, s.disagreement(ans))
	case link != nil:
		return s.announce(ctx, cur, ans, link, t), nil
	case ans.More && t.number > 0:
		return s.ask(ctx, cur, ans, s.after(asked)), nil
	case ans.More:
		return ans, invalid(rep.Asked, "has_additional is true, but nothing leads to the next page")
	case cur.entry != "" && t.number > 0 && t.news == 0: // nor after the last tag, which was asked before
		return s.ended(ctx, cur, ans, nothingMore)
	case cur.why == "" && (cur.kind != announced || !s.opaque) && s.endsInNoTag(cur, rep, t):
		return s.afterEntry(ctx, cur, ans)
	case cur.kind == begin && t.number == 0 && (nOf(rep.Asked) > 0 || rep.Entries == 0 && s.overKnown && lower(s.n) > 0):
		return s.afterNoTag(ans), nil
	case cur.kind == asked && (t.number == 0 || reached):
		if cur.must == "" && t.number == 0 && len(s.recent) > 1 && !cur.again {
			next := s.back(1) // it may be the cursor that is gone
			next.again = true
			return s.ask(ctx, cur, ans, next), nil
		}
		return s.ended(ctx, cur, ans, nothingMore)
	case cur.kind == announced && rep.Entries == 0 && cur.after != "" && !endless && !s.wasLast(rep):
		return s.resumeBefore(ctx, cur, rep)
	case endless && rep.Entries == 0 && len(s.recent) > 0:
		return s.ask(ctx, cur, ans, s.after(asked)), nil
	case endless:
		return s.ended(ctx, cur, ans, "the next link leads to the start of the list")
	case (s.whole || s.withoutN && s.seen.ByKeys()) && cur.kind == begin && s.isWhole(rep, t), s.whole && s.form == exhausted:
		return s.wholeList(ctx, cur, ans, t)
	}
	return s.unannounced(ctx, cur, ans, t)
}

// endsInNoTag reports whether a page shows nothing new before an entry that is not a tag,
// or has no other, and more may come after it. What comes after the last tag is asked for
// first: nobody knows where other entries stand.
func (s *tagsList) endsInNoTag(cur *Cursor, rep wire.Response, t *PageTags) bool {
	if rep.Tail != "" {
		return t.news == 0 && (s.full || cur.kind == asked)
	}
	return s.full && rep.Entries > 0 && t.number == 0
}

// isWhole reports whether a first page without n is known to be the list.
func (s *tagsList) isWhole(rep wire.Response, t *PageTags) bool {
	if s.refusedLast {
		return true
	}
	return !s.wholeMayBeCut(rep) && (s.seen.ByKeys() || rep.Entries > defaultPageSize || !s.open || t.news > 0)
}

// unannounced says what follows a page, without a Link, that shows in no other way
// whether the list goes on.
func (s *tagsList) unannounced(ctx context.Context, cur *Cursor, ans Answer, t *PageTags) (Answer, error) {
	rep := ans.Response
	switch {
	case cur.kind == begin && s.overLimit > 0 && t.number > 0 && !s.links(rep) && s.mayBeCut(rep):
		s.n, s.overLimit, s.overKnown = lower(s.overLimit), 0, true
		ans.Next = s.relist(false)
	case s.full && s.opaque && cur.kind == announced:
		return s.ended(ctx, cur, ans, "the last page has no Link, and the registry's cursors are not tags")
	case s.altered(cur, rep) && s.seen.Unproven() && (s.aside != nil || !s.compared && s.mayComeWhole(s.Repository.String())):
		// The list without n may tell both that nothing is lost and where it ends.
		ans.Next = &Cursor{URL: s.query(0, ""), kind: compare, Restart: true, back: s.after(asked), aside: s.aside}
		s.compared, s.aside = true, nil
	case s.full, cur.kind == asked, cur.kind == sought, s.altered(cur, rep):
		return s.ask(ctx, cur, ans, s.after(asked)), nil
	case s.links(rep) && rep.Entries == 0:
		return s.ended(ctx, cur, ans, "the last page is empty and has no Link")
	case s.links(rep) && cur.kind == announced:
		return s.ended(ctx, cur, ans, "the last page has no Link")
	case t.number == 1 && !s.compared && s.mayBeCut(rep):
		// No answer to what comes after the only tag would show that it was understood.
		ans.Next = s.comparison(cur, "the only page has one tag, and there is no Link")
	case t.number > 0 && (s.stepped || s.mayBeCut(rep)):
		return s.ask(ctx, cur, ans, s.afterOnly()), nil
	case s.Registry.Announces:
		return s.ended(ctx, cur, ans, "the only page has no Link, which this registry sends where there is more")
	case t.number == 0:
		return s.ended(ctx, cur, ans, "the list without n is empty too")
	default:
		return s.ended(ctx, cur, ans, fmt.Sprintf("the only answer has no Link, and %d entries are more than a page", rep.Entries))
	}
	return ans, nil
}

// afterNoTag begins the list anew after a first page that has no tag. An n over the
// limit may be answered with nothing, so the list is asked for without n; if it has
// tags then, it is asked for with a smaller n.
func (s *tagsList) afterNoTag(ans Answer) Answer {
	if ans.Entries == 0 && s.overKnown && lower(s.n) > 0 {
		s.n = lower(s.n)
	} else if s.n, s.stepped = 0, true; !s.overKnown {
		s.overLimit = nOf(ans.Asked)
	}
	ans.Next = s.relist(false)
	return ans
}

// ask goes on with a question. Once the registry has understood one, other parts of
// the list can be read ahead by questions, too.
func (s *tagsList) ask(ctx context.Context, cur *Cursor, ans Answer, question *Cursor) Answer {
	ans.Next = question
	s.speaks(ctx, nil, ans, s.full)
	if s.answered {
		ans.seek = s.seek(question.URL)
	}
	if s.full {
		ans.Next = s.orWhole(ctx, cur, question, ans.Response, nOf(ans.Asked))
	}
	return ans
}

// isLong reports whether a page is as long as this registry's pages are. More may
// then follow it, even if it ends with the last tag that is known.
func (s *tagsList) isLong(cur *Cursor, rep wire.Response, t *PageTags) bool {
	entries, n := rep.Entries, nOf(rep.Asked)
	if t.number > 0 && t.first == cur.after {
		entries-- // some begin a page with last itself
	}
	longest, known := s.longestOf[n]
	for other, length := range s.longestOf {
		if n > 0 && other > 0 && !known {
			longest = max(longest, length) // so many come with some n
		}
	}
	if longest == 0 {
		return entries > 1 // how long its pages are is not known, with n or without
	}
	return n > 0 && entries == n || entries >= longest
}

// links reports whether the registry has sent Links in answers to such requests:
// then the absence of one tells something.
func (s *tagsList) links(rep wire.Response) bool { return s.linked[hasN(rep.Asked)] }

// nOf returns the n of a request, or 0 if it has none, or u is nil.
func nOf(u *url.URL) int {
	if u == nil {
		return 0
	}
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
func (s *tagsList) altered(cur *Cursor, rep wire.Response) bool {
	return cur.kind == announced && rep.Asked.Query().Get("n") != cur.announced.Query().Get("n")
}

// latest returns the i-th tag from the end; "": there are not so many.
func (s *tagsList) latest(i int) string {
	if i >= len(s.recent) {
		return ""
	}
	return s.recent[len(s.recent)-1-i]
}

// announce follows a next link.
func (s *tagsList) announce(ctx context.Context, cur *Cursor, ans Answer, link *url.URL, t *PageTags) Answer {
	if n := nOf(cur.fallback); cur.kind == announced && 0 < nOf(link) && nOf(link) < n {
		// A larger n was tried, and brought less than the usual one.
		link = WithParam(link, "n", strconv.Itoa(n))
	}
	next := &Cursor{URL: link, announced: link, kind: announced}
	ans.Next = next
	named := link
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
		next.URL = WithParam(link, "last", url.QueryEscape(next.after))
		next.announced = next.URL
		link = next.URL
	}
	switch place, err := strconv.Atoi(q.Get("last")); {
	case byTag && !s.seen.Sorted() && s.latest(1) != "" && t.number > 2:
		// ghcr.io lists by age: a tag that is pushed again moves to the end, and
		// a list that goes on after it does, too. So the pages overlap.
		next.after, next.must, next.step, next.named = s.latest(1), last, 1, named
		next.URL = WithParam(link, "last", url.QueryEscape(next.after))
		next.announced = next.URL
	case !byTag && last != "" && err == nil && (s.offsets != nil || place == s.entries || place == s.total) && place > 1 && !HasOther(q):
		// Artifactory up to 7.46: an offset, which a deletion shifts.
		next.URL = WithParam(link, "last", strconv.Itoa(place-1))
		next.announced = next.URL
		next.must, next.step, next.place, s.offsets = last, 1, place, link
		s.entries-- // it comes twice
	case !byTag:
	case !s.part.isOpen() && s.larger(ans.Response, link) != nil:
		next.URL, next.fallback = s.larger(ans.Response, link), link
		if s.Slots > 1 && s.mayReadAside() {
			s.aside = s.readAside(ctx)
		}
	default:
		ans.seek = s.seek(link)
	}
	if next.fallback == nil {
		ans.Next = s.orWhole(ctx, cur, next, ans.Response, nOf(named))
	}
	s.inARow = s.opaque && ans.Next == next && next.URL == named
	return ans
}

// namesLast reports whether the cursor of a link is the last tag of its page.
func namesLast(link *url.URL, t *PageTags) bool {
	q := link.Query()
	return t.number > 0 && len(q["last"]) == 1 && q.Get("last") == t.last() && !HasOther(q)
}

// speaks logs how the registry's pages go on, and by what that was seen.
func (s *tagsList) speaks(ctx context.Context, link *url.URL, ans Answer, full bool) {
	is, because := "n and last", "there is no Link, though the page has the n tags that were asked for"
	switch {
	case link != nil && !s.opaque:
		is, because = "Link, whose cursor is a tag", "it names the last tag of the page"
	case link != nil:
		is, because = "Link, whose cursor is the registry's own", "it does not name the last tag of the page"
	case ans.More:
		because = "has_additional announces more, and there is no Link"
	case s.linked != [2]bool{}:
		return
	case !full:
		because = "there is no Link, and this registry may send none"
	}
	s.TellDialect(ctx, is, because)
}

// seek returns what begins to read the list behind any string, tag or not; nil
// where it may not be readable from anywhere. A cursor that is the last tag of
// its page is the sign: only then last may be a value to compare with. What the
// registry makes of others is seen when it answers them.
//
// ghcr.io is read in a row: it lists by age, which a first page in alphabetical
// order would hide, and nothing is known of what it makes of a last that is no
// tag.
func (s *tagsList) seek(next *url.URL) func(last string) *prefetch {
	if s.Registry.ByAge || s.whole || HasOther(next.Query()) || !s.seen.Sorted() || s.seen.LooksUp() || s.ofRegistry().linear {
		return nil
	}
	as, n := *s, s.formSize()
	return func(last string) *prefetch {
		return &prefetch{pages: plainPages{Listing: as.Listing, at: as.at, n: n, linked: as.linked != [2]bool{}, seen: as.seen}, next: &Cursor{URL: as.query(n, last), kind: sought}}
	}
}

// HasOther reports whether a query has a cursor beside n and last, such as the
// next_page of quay up to 3.11.
func HasOther(q url.Values) bool {
	for name, values := range q {
		if name != "n" && name != "last" && strings.Join(values, "") != "" {
			return true
		}
	}
	return false
}
