package listing

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/wire"
)

// questions is the state of asking what comes after a tag, where the registry does
// not say how its list goes on.
type questions struct {
	form        form
	answered    bool // one was understood in this pass
	refusedLast bool // one was refused
	refusals    int  // how many were
	repeats     int  // how many were answered with the start of the list
	strays      bool // one was answered with something else
	silent      bool // one was answered with nothing, though a tag has to come
}

// A form is a way to ask. Some registries look at last only beside n, or only
// without it.
type form int

const (
	asBefore  form = iota // as the pages are asked for
	otherwise             // without n if those are with it, and with n if without
	exhausted
)

// after returns the question that leads to what comes after the last tag. It names
// the tag before that one: an answer that begins with the last tag shows that the
// registry understood the question, and an empty answer shows nothing.
func (s *tagsList) after() *Cursor {
	if s.offsets != nil && s.form == asBefore {
		s.entries-- // it comes twice
		return &Cursor{URL: s.withCursor(s.offsets, strconv.Itoa(s.entries)), kind: asked, must: s.latest(0), step: 1, place: s.entries + 1}
	}
	if s.latest(1) == "" || s.longest == 1 {
		return s.behind(0)
	}
	if s.seen.MayFold() {
		return s.back(max(1, min(order.Apart(s.recent), s.longest-1))) // so that a page reaches beyond
	}
	return s.back(1)
}

// afterOnly returns the question what comes after a page that may be the only one.
func (s *tagsList) afterOnly() *Cursor {
	if !s.seen.Sorted() && !s.seen.ByKeys() && len(s.recent) > 2 && s.offsets == nil {
		return s.stand(nothingMore) // which one question tells, too
	}
	return s.after()
}

// back returns the question what comes after the tag that stands step places before
// the last one.
func (s *tagsList) back(step int) *Cursor {
	after := s.latest(step)
	return &Cursor{URL: s.question(after), kind: asked, after: after, must: s.latest(step - 1), step: step}
}

// behind is like back, also for the last tag itself.
func (s *tagsList) behind(step int) *Cursor {
	if step > 0 {
		return s.back(step)
	}
	last := s.latest(0)
	return &Cursor{URL: s.question(last), kind: asked, after: last}
}

// question returns the URL that asks what comes after a tag: as the registry's own
// links do, where it has sent such, or else in the present form.
func (s *tagsList) question(last string) *url.URL {
	if s.form == asBefore && s.link != nil && !s.hasMore(s.link) {
		return s.withCursor(s.link, last)
	}
	return s.query(s.formSize(), last)
}

// formSize returns the n of the present form; 0: none.
func (s *tagsList) formSize() int {
	if s.form != otherwise {
		if s.withoutN {
			return 0
		}
		n := s.n
		if s.longest > 0 && s.linked == [2]bool{} {
			n = min(n, s.longest) // some send a Link where a page has the n that was asked for
		}
		return n
	}
	if !s.withoutN {
		return 0
	}
	return max(1, min(s.longest, smallestPageSize)) // which none is known to refuse
}

// maxGone is how many 404s in a row are taken to mean that the tag in last was
// deleted. After that they mean that the registry does not know last.
const maxGone = 2

// resumeBefore asks what comes after the tag 1, 2, 4, … places before, until a page begins
// with the tag that has to come there. To a last that does not exist, zot answers
// 404 with an empty body, and others answer with the start of the list or nothing. hollow
// says that an empty page came, so that the last tag may be the last of the list.
func (s *tagsList) resumeBefore(ctx context.Context, cur *Cursor, ans *Answer, hollow bool) (*Answer, error) {
	ans.held = false
	step := max(1, cur.step*2)
	switch {
	case step < len(s.recent):
	case cur.place > 0 && cur.named != nil:
		ans.Next = s.noOffset(cur)
		return ans, nil
	case s.pages == 1 && len(s.recent) == 1 && hollow && cur.kind == announced: // up to the start of the list
		ans.Next = s.relist(s.whole)
		ans.Next.hollow = true
		return ans, nil
	default:
		return s.lost(ctx, cur, ans, 0)
	}
	next := s.back(step)
	if cur.place > 0 {
		next.URL = s.withCursor(cur.URL, strconv.Itoa(max(0, cur.place-step)))
		next.after, next.place = "", cur.place
	} else if cur.kind == announced {
		next.URL = s.withCursor(cur.announced, next.after)
	}
	next.kind, next.announced = cur.kind, next.URL
	if cur.place > 0 || cur.named != nil && s.hasMore(cur.named) {
		next.named = cur.named
	}
	next.hollow = cur.hollow || hollow
	s.Log.DebugContext(ctx, "going back in the list", "tags", step)
	ans.Next = next
	return ans, nil
}

// lost says what follows where none of the last tags stands where it stood: the list has
// moved, or the registry does not look at tags. It is read with another n, or once more.
func (s *tagsList) lost(ctx context.Context, cur *Cursor, ans *Answer, news int) (*Answer, error) {
	all := s.whole && s.pages == 1 && news == 0 && s.tags >= s.total
	switch {
	case s.wholeTried && s.sizeLeft():
		ans.Next = s.otherSize()
	case all && s.smallerLeft() > 0:
		ans.Next = s.relistWith(s.smallerLeft())
	case all:
		return s.ended(ctx, cur, ans, "the list without n has all tags that are known, and its Link leads to no other")
	default:
		ans.Next = s.relist(!s.wholeTried)
	}
	s.tell(ctx, "listing again", "no tag stands where it stood when it was listed")
	return ans, nil
}

// relist begins the list anew; whole: without n.
func (s *tagsList) relist(whole bool) *Cursor {
	if whole {
		s.whole, s.wholeTried = true, true
		return &Cursor{URL: s.query(0, ""), kind: begin, Restart: true}
	}
	s.whole = false
	return &Cursor{URL: s.query(s.n, ""), kind: begin, Restart: true}
}

// misunderstood says what follows where the registry did not answer what comes after
// a tag. It is asked in the other form, and after that only another reading of the
// list tells.
func (s *tagsList) misunderstood(ctx context.Context, cur *Cursor, ans *Answer, why string) (*Answer, error) {
	if s.form++; s.refusedLast {
		s.form = exhausted // the list without n tells more than another refusal
	}
	switch {
	case s.form == otherwise:
		s.tell(ctx, "asking in another form", why)
		ans.Next = s.back(max(1, min(cur.step+1, len(s.recent)-1))) // after another tag, as that one may be gone
	case s.sizeLeft() && (s.whole || s.n == 0):
		ans.Next = s.otherSize()
	case (s.whole || s.n == 0) && s.tags < s.total:
		return s.orOtherwise(ans, s.short(ans, s.tags))
	case s.untried != nil:
		ans.Next = s.asNamed()
	case s.whole, s.n == 0:
		return s.ended(ctx, cur, ans, "the list without n has no tag more, and "+why)
	case s.sizeLeft():
		ans.Next = s.otherSize()
	default:
		s.tell(ctx, "listing again without n", why)
		ans.Next = s.relist(true)
	}
	return ans, nil
}

// fromStart takes an answer in the other form that is the start of the list, whatever
// last was.
func (s *tagsList) fromStart(ctx context.Context, cur *Cursor, ans *Answer, t *PageTags) (*Answer, error) {
	s.repeats++
	switch without := hasN(ans.Asked) == 0; {
	case s.recalled && s.sizeLeft():
		ans.Next = s.otherSize()
	case !without && s.needsN(ans, t):
		s.n, s.stepped = nOf(ans.Asked), true
		if s.total > manyPages*s.n && s.PageSize <= 0 {
			s.n, s.resized = defaultPageSize, true
		}
		ans.Next = s.relist(false)
	case without && s.ignored && t.number < s.total:
		return s.ended(ctx, cur, ans, "neither n nor last is looked at")
	case without && !s.whole && (t.number < s.total || s.leadsOn(ans.Response)):
		ans.Next = s.relist(true)
	case (t.number < s.total || !without && isFull(ans.Response)) && s.tags < s.total && s.ignoresLast():
		return s.ended(ctx, cur, ans, "last is not looked at, and n is, and there are fewer tags than that")
	case s.sizeLeft():
		s.wholeSeen = without
		ans.Next = s.otherSize()
	case (t.number < s.total || !without && isFull(ans.Response)) && s.tags < s.total:
		return s.orOtherwise(ans, s.short(ans, s.tags))
	case s.silent && round(s.entries):
		return s.orOtherwise(ans, invalid(ans.Asked, "asked what comes after its last tags, it sends the start of the list with one n, and nothing with another"))
	case s.untried != nil:
		ans.Next = s.asNamed()
	default:
		return s.ended(ctx, cur, ans, "last is not looked at, and the list without n has no tag more")
	}
	return ans, nil
}

// manyPages is how many pages of an n are too many, where a larger one was not tried.
const manyPages = 20

// needsN reports whether an answer, the start of the list with an n where it was read
// without, shows that the registry pages only there: it has more, or a Link.
func (s *tagsList) needsN(ans *Answer, t *PageTags) bool {
	switch {
	case t.news > 0:
		return true
	case !s.leadsOn(ans.Response), s.linked[1-hasN(ans.Asked)]:
		return false
	case !s.whole && !s.resized:
		return true
	}
	return s.hasOwnCursor(ans.Response, t) && !slices.Contains(s.tried, nOf(ans.Asked))
}

// asNamed follows a Link as the registry wrote it, because nothing came of asking for its
// page with an overlap: its cursor may be no tag, and only look like one.
func (s *tagsList) asNamed() *Cursor {
	named := s.untried
	s.untried, s.asIs = nil, true
	return linkedPage(named)
}

// noOffset follows a Link as the registry wrote it, because nothing came of taking its
// cursor for an offset.
func (s *tagsList) noOffset(cur *Cursor) *Cursor {
	s.offsets, s.cursor = nil, ""
	s.entries++ // none came twice
	return linkedPage(cur.named)
}

// hasOwnCursor reports whether an answer has a next link whose cursor is the
// registry's own, which it looks at where it does not look at tags.
func (s *tagsList) hasOwnCursor(rep *wire.Response, t *PageTags) bool {
	link, _, err := s.Registry.NextLink(rep.Links, rep.URL)
	return err == nil && link != nil && !namesLast(link, t)
}

// refused says what follows a question that is answered with a 4xx. Once may be
// chance. 404 and 405 are known from registries that do not know last, or only their
// own cursors (zot, ECR). Any other status leaves open whether there is more.
func (s *tagsList) refused(ctx context.Context, cur *Cursor, ans *Answer, code int) (*Answer, error) {
	why := fmt.Sprintf("last was refused with %d", code)
	known := code == 404 || code == 405
	s.refusals++
	if code == 404 && s.refusals <= maxGone && cur.step > 0 && len(s.recent) > 2*cur.step {
		return s.resumeBefore(ctx, cur, ans, false) // it may be the tag that is gone
	}
	s.refusedLast, s.strays = true, true
	switch {
	case s.sizeLeft():
		ans.Next = s.otherSize()
		return ans, nil
	case s.refusals == 1:
		again := *cur
		again.again = true
		ans.Next = &again
		return ans, nil
	case known && s.linked == [2]bool{} && !s.whole && !s.recalled && (s.resized || !s.full):
		why = "there was no Link, and " + why
		larger := s.entries + 1
		if s.entries >= defaultPageSize {
			larger = largePageSize
		}
		switch shorter := func(n int) bool { return n > 0 && n+few(n) < s.entries }; {
		case s.full && slices.ContainsFunc(s.lengths, shorter) && !slices.Contains(s.tried, larger):
			ans.Next = s.relistWith(larger) // n is looked at: is there more?
		case s.full && slices.ContainsFunc(s.lengths, shorter):
			return s.orOtherwise(ans, invalid(cur.URL, "the page has the n tags that were asked for, and %s", why))
		case !s.mayCompare() && (s.compared || !s.full):
			return s.ended(ctx, cur, ans, why)
		default:
			ans.Next = s.comparison(0, cur, why)
		}
		return ans, nil
	}
	return s.misunderstood(ctx, cur, ans, why)
}

// Unfinished implements Source: other parts of the list had tags that did not come.
func (s *tagsList) Unfinished(ctx context.Context) (*Cursor, error) {
	err := s.missing(ctx)
	switch {
	case err == nil || isFinal(ctx, err):
		return nil, err
	case !s.whole:
		s.warn(ctx, "a part of the list ended early: listing again without n")
		return s.relist(true), nil
	}
	ans, err := s.orOtherwise(noAnswer(s.url), err)
	return ans.Next, err
}

// afterEntry asks what comes after a page that has entries, and no new tag among
// them: after its last entry, which is the registry's own.
func (s *tagsList) afterEntry(ctx context.Context, cur *Cursor, ans *Answer) (*Answer, error) {
	last := ans.Tail
	if last == "" || cur.entry == last {
		return ans, invalid(ans.Asked, noValidTag, ans.Entries)
	}
	s.warn(ctx, "page has no new tag: continuing after its last entry")
	ans.Next = &Cursor{URL: s.query(s.formSize(), last), kind: asked, entry: last, again: true}
	return ans, nil
}

const noValidTag = "page of %d entries has no valid tag to continue from"

// noCursor says what follows where the question of afterEntry was refused, or answered with
// nothing or the start of the list. If the page that ends in the entry had room for more,
// nothing comes after its last tag. Otherwise such entries may have filled the page, and what
// comes after the last tag itself is asked.
func (s *tagsList) noCursor(ctx context.Context, cur *Cursor, ans *Answer) (*Answer, error) {
	switch last := s.latest(0); {
	case !s.full && s.before < s.longest:
		return s.ended(ctx, cur, ans, nothingMore)
	case last != "" && s.plainly != last:
		s.plainly = last
		ans.Next = s.behind(0)
		return ans, nil
	}
	return s.orOtherwise(ans, invalid(cur.URL, noValidTag, s.before))
}

// refusesLast reports whether a status says that a registry which announced
// nothing does not know last. Any other leaves open whether there is more.
func refusesLast(status int) bool {
	switch status {
	case 401, 403, 408, 425, 429, 499:
		return false
	}
	return status/100 == 4 || status == 501
}
