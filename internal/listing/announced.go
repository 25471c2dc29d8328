package listing

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/wire"
)

// nextOf returns the next link of an answer, repaired; nil: there is none. endless
// reports that it leads to the start of the list.
func (s *tagsList) nextOf(ctx context.Context, rep *wire.Response) (link *url.URL, endless bool, err error) {
	link, oddity, err := s.Registry.NextLink(rep.Links, rep.URL)
	if err != nil {
		return nil, false, fmt.Errorf("GET %s: %w", origin.WithoutSecrets(rep.Asked), err)
	}
	if oddity != "" {
		s.warn(ctx, "followed an odd next link", "because", oddity)
	}
	if link != nil {
		s.linked[hasN(rep.Asked)] = true
		// A round number may be the most that the registry sends.
		s.linksShort = s.linksShort || rep.Entries < nOf(rep.Asked) && !round(rep.Entries)
		mended, wrong := s.Registry.Repair(link, nOf(rep.Asked))
		if wrong != "" {
			s.warn(ctx, wrong)
		}
		link, endless = mended, mended == nil
	}
	return link, endless, nil
}

// leadsOn reports whether an answer has a next link, or one that cannot be read.
func (l *Listing) leadsOn(r *wire.Response) bool {
	link, _, err := l.Registry.NextLink(r.Links, r.URL)
	return link != nil || err != nil
}

// links reports whether the registry has sent Links in answers to such requests:
// then the absence of one tells something.
func (s *tagsList) links(rep *wire.Response) bool { return s.linked[hasN(rep.Asked)] }

// altered reports whether the size of a page was ours, and not the registry's:
// then the absence of a Link is no evidence.
func (s *tagsList) altered(cur *Cursor, rep *wire.Response) bool {
	return cur.kind == announced && rep.Asked.Query().Get("n") != cur.announced.Query().Get("n")
}

// announce follows a next link.
func (s *tagsList) announce(ctx context.Context, cur *Cursor, ans *Answer, link *url.URL, t *PageTags) *Answer {
	if n := nOf(cur.fallback); cur.kind == announced && 0 < nOf(link) && nOf(link) < n {
		// A larger n was tried, and brought less than the usual one.
		link = WithParam(link, "n", strconv.Itoa(n))
	}
	next := linkedPage(link)
	ans.Next, ans.mayBeWhole, ans.n = next, true, nOf(link)
	named, last := link, t.last()
	name, cursor := cursorOf(link, last, strconv.Itoa(t.number))
	byTag := last != "" && cursor == last && !s.tokens
	if !byTag && s.offsets != nil {
		name, cursor = s.param(), link.Query().Get(s.param())
	}
	if byTag {
		next.after = last
		s.link = link
	}
	if !byTag && s.overlaps(next, t) {
		s.speaks(ctx, link, ans, false)
		return ans
	}
	if t.number > 0 || s.link == nil { // a page without a tag does not show what its cursor is
		_, entry := cursorOf(link, ans.Tail) // the last entry, where that is not a tag
		s.opaque = !byTag && (ans.Tail == "" || entry != ans.Tail)
	}
	defer func(link *url.URL) { s.speaks(ctx, link, ans, false) }(link)
	if step := order.Apart(s.recent); byTag && step > 0 && t.number > step+1 && t.news > 0 && s.seen.MayFold() {
		// Trow takes tags for the same that differ in case alone, and so may what
		// sorts in that way. A page then begins before them.
		next.after, next.must, next.step = s.latest(step), s.latest(step-1), step
		if s.hasMore(link) {
			next.named = named
		}
		next.URL = s.withCursor(link, next.after)
		next.announced = next.URL
		link = next.URL
	}
	switch place, err := strconv.Atoi(cursor); {
	case byTag && !s.seen.Sorted() && t.number > 2:
		// ghcr.io lists by age: a tag that is pushed again moves to the end, and
		// a list that goes on after it does, too. So the pages overlap.
		next.after, next.must, next.step, next.named = s.latest(1), last, 1, named
		next.URL = s.withCursor(link, next.after)
		next.announced = next.URL
	case !byTag && err == nil && (s.offsets != nil || s.mayBeOffset(place, t, max(nOf(ans.Asked), nOf(link)), name)) && place > 1 && t.number > 1:
		if s.offsets == nil {
			next.named = named // for it may be something else
		}
		next.must, s.offsets, s.cursor = last, link, name
		s.offset(next, place)
	case !byTag:
	case s.keepsN && nOf(link) < nOf(ans.Asked):
		next.URL = WithParam(link, "n", strconv.Itoa(nOf(ans.Asked)))
	case !s.part.isOpen() && s.larger(ans.Response, link) != nil:
		next.URL, next.fallback = s.larger(ans.Response, link), link
	default:
		ans.seek = s.seek()
	}
	s.inARow = s.opaque && next.URL == named
	return ans
}

// offset lets a page begin one entry before an offset, which a deletion shifts: so Artifactory
// up to 7.46 pages.
func (s *tagsList) offset(next *Cursor, place int) {
	next.step, next.place = 1, place
	next.URL = s.withCursor(s.offsets, strconv.Itoa(place-1))
	next.announced = next.URL
	s.entries-- // it comes twice
}

// overlap returns the last tags, with which a page begins whose Link named the tag before them.
func (s *tagsList) overlap(cur *Cursor) []string {
	return s.recent[max(0, len(s.recent)-cur.step):]
}

// overlaps reports whether a Link names a tag before the last one, so that the registry lets its
// pages overlap.
func (s *tagsList) overlaps(next *Cursor, t *PageTags) bool {
	if s.tokens || s.offsets != nil || !t.seen.Sorted() {
		return false
	}
	name, tag := cursorAmong(next.URL, t.latest)
	i := slices.Index(t.latest, tag)
	if i < 0 || i == len(t.latest)-1 {
		return false
	}
	s.link, s.cursor, s.opaque, s.inARow = next.URL, name, false, false
	next.after, next.must, next.step, next.own = tag, t.latest[i+1], len(t.latest)-1-i, true
	return true
}

// mayBeOffset reports whether a number counts the entries of the pages so far: those of a
// first page are at most n, and this user may not see all of them. In another parameter than
// last it may as well be the number of the page.
func (s *tagsList) mayBeOffset(place int, t *PageTags, n int, param string) bool {
	if param != "last" {
		return s.pages == 1 && place == t.number
	}
	if n == 0 {
		n = defaultPageSize
	}
	return place == s.entries || s.pages == 1 && t.number <= place && place <= n
}

// namesLast reports whether the cursor of a link is the last tag of its page.
func namesLast(link *url.URL, t *PageTags) bool {
	_, cursor := cursorOf(link, t.last())
	return t.number > 0 && cursor == t.last()
}

// speaks logs how the registry's pages go on, and by what that was seen.
func (s *tagsList) speaks(ctx context.Context, link *url.URL, ans *Answer, full bool) {
	is, because := "n and last", "there is no Link, though the page has the n tags that were asked for"
	switch {
	case link != nil && !s.opaque:
		is, because = "Link, whose cursor is a tag", "it names the last tag of the page"
	case link != nil:
		is, because = "Link, whose cursor is the registry's own", "it does not name the last tag of the page"
	case ans.HasMore():
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
func (s *tagsList) seek() func(last string) *prefetch {
	if s.Registry.ByAge || s.whole || !s.seen.Sorted() || s.seen.LooksUp() || s.ofRegistry().linear {
		return nil
	}
	as, n := *s, s.formSize()
	return func(last string) *prefetch {
		return &prefetch{pages: plainPages{Listing: as.Listing, endpoint: as.endpoint, n: n, linked: as.linked != [2]bool{}, seen: as.seen}, next: &Cursor{URL: as.query(n, last), kind: sought}}
	}
}
