package listing

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/wire"
)

// ended says that the list is complete, as why shows, unless the pages leave open
// something that a question or another reading can settle: whether other parts of
// the list, its order or the list without n have tags that did not come.
func (s *tagsList) ended(ctx context.Context, cur *Cursor, ans *Answer, why string) (*Answer, error) {
	ans.Why = why
	if cur.why != "" {
		ans.Why = cur.why + ", and what comes before it stands where it stood"
	}
	s.finished = true
	s.seen.Join(s.shown())
	switch {
	case s.more:
		return ans, fmt.Errorf("%w: GET %s: has_additional is true, but no question brings more", ocierr.ErrLoop, origin.WithoutSecrets(ans.Asked))
	case s.whole && s.tags < s.total && (s.pages > 1 || s.hadRoom()) && !s.mayBeDeleted():
		return s.orOtherwise(ans, s.short(ans, s.tags))
	case s.lacked && !s.whole && s.total-max(s.tags, s.longestOf[0]) > few(s.total):
		// Neither this reading nor the list without n has all that came in both.
		return s.orOtherwise(ans, invalid(ans.Asked, "the list has %d tags now, and %d are known: some are missing", s.tags, s.total))
	case s.aside != nil: // it costs no request
		ans.Next = s.comparison(0, cur, why)
		ans.Next.aside, s.aside = s.aside, nil
	case s.astray && s.latest(0) != s.plainly && s.offsets == nil && !s.refusedLast:
		// A question was answered with another part of the list, which was dropped: perhaps
		// that is how it goes on.
		s.plainly = s.latest(0)
		ans.Next = &Cursor{URL: s.question(s.plainly), kind: asked, after: s.plainly, end: cur, why: why}
	case !s.further && !s.astray && !(cur.kind == asked && s.onlyPageMayHide()):
		return ans, nil
	case s.pagesMayHide() && s.seen.Compared() && s.mayCompare():
		s.tell(ctx, "asking for the list without n", "its tags may be sorted in one order and continued in another")
		ans.Next = s.comparison(0, cur, why)
	case s.seen.Compared() && s.mayCompareLonger():
		ans.Next = s.comparison(defaultPageSize, cur, why)
	case s.seen.MayDisagree() && s.chooseLonger():
		ans.Next = s.relist(false)
	default:
		ans.doubt = &doubt{s.inDoubt, func(is bool) (*Answer, error) {
			if is {
				return s.doubtful(ctx, cur, ans, why)
			}
			ans.Next = s.standsStill(cur, ans)
			return ans, nil
		}}
	}
	return ans, nil
}

// mayBeDeleted reports whether the tags that this reading lacks were deleted since they came: they
// are few, and nothing says that the registry leaves tags out.
func (s *tagsList) mayBeDeleted() bool {
	return s.total-s.tags <= few(s.total) && !s.inTrouble() && !s.seen.Unproven()
}

// onlyPageMayHide reports whether the only page may hide tags: it has a length at which lists
// are cut, or ends in upper case.
func (s *tagsList) onlyPageMayHide() bool {
	return (s.cutFirst || s.seen.Probes()) && !s.refusedLast && !s.seen.ByKeys()
}

// pagesMayHide reports whether the list without n, the registry's own answer, may hold what the
// pages hide: they are small, or have the size that the user wants, or came in two forms.
// Large pages hide less, and with them the request would be one for each list.
func (s *tagsList) pagesMayHide() bool {
	several := s.widest < s.total || s.link != nil && (s.honoured == s.longest || nOf(s.link) == s.longest) // the only page is full, and has a Link
	switch {
	case s.PageSize < 0:
		return false
	case s.form != asBefore, s.longestOf[0] > 0 && s.accepted > 0: // with n and without
		return true
	case s.PageSize == 0:
		return several && s.widest < defaultPageSize
	}
	return several
}

// A doubt is a question whose answer decides what follows a page.
type doubt struct {
	is   func(context.Context) bool // which asks the registry, if need be
	then func(is bool) (*Answer, error)
}

// settle completes a decision: it asks the questions on which that depends, looks at the list
// without n, and lets no list end in trouble before endOfTrouble has asked.
func (s *tagsList) settle(ctx context.Context, cur *Cursor, ans *Answer, err error) (*Answer, error) {
	for err == nil && ans.doubt != nil {
		open := ans.doubt
		ans.doubt = nil
		ans, err = open.then(open.is(ctx))
	}
	if err == nil && ans.Next == nil && s.inTrouble() {
		return s.endOfTrouble(ctx, cur, ans)
	}
	if err == nil && ans.mayBeWhole {
		ans.Next = s.orWhole(ctx, cur, ans.Next, ans.Response, ans.n)
	}
	return ans, err
}

// inDoubt reports whether the registry sorts its tags in one order and continues them in
// another, or whether nobody can tell.
func (s *tagsList) inDoubt(ctx context.Context) bool {
	return s.disagrees(ctx) || s.unproven(ctx) || (s.disagreed || s.isMisplaced()) && s.pages > 1 || s.mixed()
}

// isMisplaced reports whether an answer began before the tag that it was asked for after, in a
// list that is sorted: the registry compares in an order of its own.
func (s *tagsList) isMisplaced() bool { return s.misplaced && s.seen.Sorted() }

// mixed reports whether each page is sorted, but the list is not: the pages come from servers
// that sort in different ways, so that the cursor of one means another place to the next.
func (s *tagsList) mixed() bool { return s.tellingPages > 1 && s.seen.InNoOrder() && !s.shuffled }

// doubtful says what follows a list that has ended if s.inDoubt: something else may show
// that no tags are missing.
func (s *tagsList) doubtful(ctx context.Context, cur *Cursor, ans *Answer, why string) (*Answer, error) {
	s.disagreed = s.disagreed || s.isMisplaced() || s.seen.Disagrees() || s.mixed()
	switch {
	case !s.disagreed && (s.further || s.mayComeWhole()) && s.mayCompare():
		// Of a single page it is in doubt only because its length is one at which
		// lists are cut, so that one answer of the registry is enough.
		s.tell(ctx, "asking for the list without n", "its tags may be sorted in one order and continued in another")
		ans.Next = s.comparison(0, cur, why)
	case !s.disagreed && s.recalled && s.sizeLeft():
		ans.Next = s.otherSize()
	case !s.disagreed && s.largerToTry() > 0:
		ans.Next = s.relistWith(s.largerToTry())
	case !s.disagreed && s.seen.Folds() && s.largest() > nOf(cur.URL):
		// The list may be sorted by bytes all the same, which larger pages may show.
		ans.Next = s.relistWith(s.largest())
	case !s.disagreed && s.mayCompareLonger():
		ans.Next = s.comparison(defaultPageSize, cur, why)
	case !s.disagreed: // docs/design.md, "What no client can see"
	case !s.wholeTried:
		s.warn(ctx, "the registry sorts and resumes in different orders: listing again without n")
		ans.Next = s.relist(true)
	case s.sizeLeft():
		ans.Next = s.otherSize()
	case !s.further && s.roomy >= s.total:
		ans.Why = roomyPage
	default:
		return s.orOtherwise(ans, s.disagreement(ans))
	}
	return ans, nil
}

// inTrouble reports whether pages did not fit together.
func (s *tagsList) inTrouble() bool {
	return s.astray || s.strays || s.disagreed || s.seen.Disagrees()
}

// mayCompare reports whether the list without n may have what the pages have not, and was not
// compared with them yet.
func (s *tagsList) mayCompare() bool {
	return !s.compared && s.mayBeMore()
}

// mayBeMore reports whether the list without n may be more than a page, so that it is worth
// comparing with the pages.
func (s *tagsList) mayBeMore() bool {
	return s.n > 0 && !s.Registry.PagesOnly && !s.slow && !s.ofRepository().isPage(s.manner())
}

// manner returns how the pages of this reading come.
func (s *tagsList) manner() pageManner { return pageManner{s.linked[1], s.widest} }

// comparison returns the place of the list without n, or of the first page with n, to compare
// with the pages so far. end is the last of these, and why is the evidence that they are complete.
func (s *tagsList) comparison(n int, end *Cursor, why string) *Cursor {
	s.compared, s.triedLonger = s.compared || n == 0, s.triedLonger || n > 0
	return &Cursor{URL: s.query(n, ""), kind: compare, Restart: true, end: end, why: why}
}

// standsStill returns the last question about a list in no known order: what comes
// after a tag well before its end. At ghcr.io a tag that is pushed again moves to
// the end of the list, and so do several that one build pushes one after the other.
// If those are the last tags of a page, the page after them begins as it must, and
// is the end of the list.
func (s *tagsList) standsStill(cur *Cursor, ans *Answer) *Cursor {
	switch {
	case s.seen.Sorted(), len(s.recent) < 2, s.whole && s.pages == 1:
		return nil
	case s.opaque, s.refusedLast, s.repeats > 0 && !s.answered: // it does not look at tags
		return nil
	}
	next := s.stand(cmp.Or(cur.why, ans.Why))
	if next != nil {
		next.ended = true
	}
	return next
}

// stand returns a question that shows whether the last tags still stand where they
// were. A page covers only so many of them, so that it may take several questions;
// nil: all were seen to stand.
func (s *tagsList) stand(why string) *Cursor {
	if s.settled != s.total {
		s.settled, s.stood = s.total, 0
	}
	all := min(2*keepTail, len(s.recent)-1)
	if s.stood >= all {
		return nil
	}
	next := s.back(min(all, s.stood+max(1, s.longest-1)))
	next.why, next.stood = why, s.stood
	s.stood = next.step
	return next
}

// stands reports whether a page begins with the tags that stood there before, up to those
// that are known to stand, and how many of them it shows. In a list that is read again, all
// tags are known, so that another tag in the place of one would not be a new one.
func (s *tagsList) stands(cur *Cursor, t *PageTags) (shown int, ok bool) {
	top := t.top
	if cur.beginsWithLast(top) {
		top = top[1:]
	}
	if shown = min(len(top), cur.step-cur.stood); shown == 0 || cur.step > len(s.recent) {
		return 0, false
	}
	from := len(s.recent) - cur.step
	return shown, slices.Equal(top[:shown], s.recent[from:from+shown])
}

// mayComeWhole reports whether asking for the list without n may spare pages. It does not
// where another repository of the registry has shown that it is a page. That is no reason to
// leave out a check: see mayBeMore.
func (s *tagsList) mayComeWhole() bool {
	h := s.ofRegistry()
	return s.n > 0 && !s.Registry.PagesOnly && !h.slow && h.without != pagesOnly
}

// disagrees reports whether the registry sorts its pages in one order and continues
// them in another. In a list of no known order, the registry may also look up the place of
// last, as ghcr.io does, which lists by age. So it is asked what comes after a, where the
// list has a and then b although a is greater than b: only a registry that looks up answers
// with b, or with another tag that is less than a.
func (s *tagsList) disagrees(ctx context.Context) bool {
	if !s.seen.Disagrees() {
		return false
	}
	a := s.seen.Inversion[0]
	if a == "" {
		return true
	}
	seen, first := s.seen, ""
	seen.Page(a)
	err := s.startOf(ctx, s.oneAfter(a, "the list is in no known order: does the registry compare, or look up?"), func(tag string) bool {
		first = cmp.Or(first, tag)
		seen.Add(tag)
		return !seen.LooksUp()
	})
	if !s.ignores(first) {
		s.seen.Rejected(seen)
	}
	if s.seen.LooksUp() {
		s.Log.DebugContext(ctx, "the registry looks for the place of last")
		return false
	}
	s.Log.DebugContext(ctx, "the registry compares with last", "error", err)
	return true
}

// unproven reports whether tags may be missing without a sign in the pages. It asks one
// question for each order in which the registry may compare tags with last, and in which the
// list is not.
func (s *tagsList) unproven(ctx context.Context) bool {
	if s.seen.Probes() {
		first, _ := s.firstOf(ctx, s.byCase())
		s.seen.Probed(first) // an answer that is neither tells nothing
	}
	for s.seen.Unproven() && !s.seen.Disagrees() {
		doubt, ok := s.seen.Doubt()
		if !ok {
			return true
		}
		first, err := s.firstOf(ctx, s.byOrder(doubt))
		if err != nil || len(first) == 0 || s.ignores(first[0]) || !s.seen.Settle(doubt, first[0]) {
			return true // the answer tells nothing
		}
	}
	return s.seen.Disagrees()
}

// byCase asks for a page, and not for one tag: where the list has upper case first and the
// registry folds case, the tags in lower case that show it come later in the answer.
func (s *tagsList) byCase() question {
	return s.roomAfter(order.Probe, "does the registry look at case where it compares, and where it sorts?")
}

func (s *tagsList) byOrder(d order.Doubt) question {
	return s.oneAfter(d.After, "the list is sorted in one order: does the registry compare by another?")
}

// openQuestion returns the question that unproven would ask first. open is false if there is
// none.
func (s *tagsList) openQuestion() (q question, open bool) {
	if s.seen.Probes() {
		return s.byCase(), true
	}
	if s.seen.Unproven() && !s.seen.Disagrees() {
		if doubt, ok := s.seen.Doubt(); ok {
			return s.byOrder(doubt), true
		}
	}
	return q, false
}

// ignores reports whether an answer to a question that begins with first may be the
// start of the list, because the registry does not look at last in this form.
func (s *tagsList) ignores(first string) bool {
	return len(s.start) > 0 && first == s.start[0] && !s.heeded[hasN(s.question(""))]
}

func (s *tagsList) disagreement(ans *Answer) error {
	return invalid(ans.Asked, "the registry sorts its pages in one way and continues them in another, so that tags are missing")
}

// ignoresLast reports whether each question was answered with the start of the
// list, and a page that had room for more has all known tags. Then there is
// nothing else to ask.
func (s *tagsList) ignoresLast() bool {
	return s.repeats > 1 && !s.strays && s.roomy >= s.total
}

// readsOnePage reports whether the list is requested in one page, as Otherwise wants it.
func (s *tagsList) readsOnePage() bool { return s.lastResort > 0 && s.n == s.lastResort }

const (
	roomyPage   = "a page that had room for more has all tags that are known"
	nothingMore = "nothing comes after its last tag"
	allKnown    = "what comes after its first tags has room for more, and only known tags"
)

// short returns the error for a list without n that lacks known tags.
func (s *tagsList) short(ans *Answer, tags int) error {
	return invalid(ans.Asked, "the list without n has %d tags, and %d are known: some are missing", tags, s.total)
}

// wholeList takes the list without n, in one page.
func (s *tagsList) wholeList(ctx context.Context, cur *Cursor, ans *Answer, t *PageTags) (*Answer, error) {
	if s.wholeMayBeCut(ans.Response) && s.sizeLeft() {
		ans.Next = s.otherSize()
		return ans, nil
	}
	if t.number < s.total && !s.isLonger(cur, ans.Response) && (s.open || !meet(s.tail, t.latest) || s.total-t.number > few(s.total)) {
		return s.orOtherwise(ans, s.short(ans, t.number))
	}
	s.learnWhole(ans)
	return s.ended(ctx, cur, ans, "the list without n came in one answer")
}

// learnWhole remembers that the registry sends its lists without n, if this one was
// longer than a page, or in the order of object keys.
func (s *tagsList) learnWhole(ans *Answer) {
	if ans.Entries > defaultPageSize || s.seen.ByKeys() {
		s.learn(func(h *habits) { h.without = everything })
	}
}

// learnPagesOnly remembers that the list without n is a page, here and at the registry, and
// how pages came meanwhile.
func (l *Listing) learnPagesOnly(now pageManner) {
	l.learn(func(h *habits) { h.without = pagesOnly })
	l.learnHere(func(h *habits) { h.without, h.beside = pagesOnly, now })
}

// isLonger reports whether the list without n is longer than a page, and so no
// page.
func (s *tagsList) isLonger(cur *Cursor, rep *wire.Response) bool {
	return cur.kind == begin && rep.Entries > max(defaultPageSize, s.was) && rep.Entries%1000 != 0
}

// compare takes the list without n that was requested for comparison.
func (s *tagsList) compare(ctx context.Context, cur *Cursor, ans *Answer, link *url.URL, t *PageTags) (*Answer, error) {
	if nOf(cur.URL) > 0 {
		return s.compareLonger(ctx, cur, ans, link, t)
	}
	isList := link == nil && !ans.HasMore() && !(cur.back == nil && s.mayBePage(ans.Response)) && (cur.back != nil || t.news == 0 || ans.Entries > defaultPageSize && !round(ans.Entries))
	hasAll := t.number >= s.total
	if isList && hasAll {
		return s.comparedWhole(cur, ans, t), nil
	}
	s.longestOf[0] = max(s.longestOf[0], ans.Entries) // as it may be a page
	s.sameWithout = t.news == 0 && t.number == s.total
	switch {
	case (link != nil || ans.HasMore()) && t.news == 0 && ans.Entries <= defaultPageSize: // and not where each answer has a Link
		s.learnPagesOnly(s.manner())
	case t.news == 0 && ans.Entries <= defaultPageSize && t.number < s.total:
		s.learn(func(h *habits) { h.without = pagesOnly }) // or some were deleted
	}
	// A page that is no longer than the first one shows nothing that the first did not: its
	// new tags were pushed since. One of more than 1000 entries has shown all that it can.
	seen := (link != nil || ans.HasMore()) && (ans.Entries <= s.lengths[len(s.lengths)-1] || ans.Entries > defaultPageSize)
	ans.Why, ans.Next = cur.why, cur.back
	switch {
	case cur.back == nil && t.news > 0 && !seen:
		ans.Next, s.lacked = s.relist(true), true
	case cur.back == nil:
		return s.ended(ctx, cur.end, ans, cur.why)
	}
	return ans, nil
}

// mayCompareLonger reports whether the usual n may be answered with a longer page than the user's
// n, or none, so that the page hides less.
func (s *tagsList) mayCompareLonger() bool {
	return s.PageSize != 0 && (s.widest < s.total || s.cutFirst) && s.widest < defaultPageSize && !s.slow && !s.triedLonger && !slices.Contains(s.tried, defaultPageSize)
}

// compareLonger takes the first page with the usual n. It is the whole list if it has all known
// tags, is longer than the pages so far, and has room for more. If it has a new tag, the smaller
// pages have left that out, and the list is read again in pages of this size.
func (s *tagsList) compareLonger(ctx context.Context, cur *Cursor, ans *Answer, link *url.URL, t *PageTags) (*Answer, error) {
	switch last := link == nil && !ans.HasMore() && !isFull(ans.Response) && !round(ans.Entries); {
	case last && t.number >= s.total && t.number > s.widest:
		ans.Why = roomyPage
	case t.news > 0:
		ans.Next = s.relistWith(nOf(cur.URL))
	default:
		return s.ended(ctx, cur.end, ans, cur.why)
	}
	return ans, nil
}

// comparedWhole ends the list with the one that came without n. If that has a length at which
// lists are cut, and tags may be missing from the pages, some may be missing from it, too.
func (s *tagsList) comparedWhole(cur *Cursor, ans *Answer, t *PageTags) *Answer {
	s.takeCover(ans.Response, t)
	s.learnWhole(ans)
	ans.Why = "the list without n came in one answer"
	if cur.back == nil && round(ans.Entries) && s.further && (s.wasForeseen() || s.seen.Unproven()) {
		ans.doubt = &doubt{s.inDoubt, func(is bool) (*Answer, error) {
			s.disagreed = s.disagreed || is
			return ans, nil
		}}
	}
	return ans
}

// mayBePage reports whether a list without n may be a page, although it has no Link and no
// new tag: it has a length at which lists are cut, and questions have shown that the registry
// compares in another order than that of the list. It is not a page if a larger n brought
// fewer tags, or if the answer to a question reached the end of that other order, where some
// of the missing tags would stand.
func (s *tagsList) mayBePage(rep *wire.Response) bool {
	if !round(rep.Entries) || s.rest >= few(s.total) || !s.strays && !s.seen.Disagrees() {
		return false
	}
	for n, longest := range s.longestOf {
		if n >= rep.Entries && 0 < longest && longest < rep.Entries {
			return false
		}
	}
	return true
}

// keepTail is how many of the last tags are looked for to see whether a list
// reaches as far as another one: it is unlikely that all of them were deleted
// meanwhile.
const keepTail = 16

// lastTags returns the last tags so far.
func (s *tagsList) lastTags() []string { return s.recent[max(0, len(s.recent)-keepTail):] }

// few returns how many of a number of tags may come and go between two readings that
// still count as the same list.
func few(tags int) int { return max(1, min(keepTail, tags/8)) }

// meet reports whether two lists have a tag in common.
func meet(a, b []string) bool {
	for _, tag := range a {
		if slices.Contains(b, tag) {
			return true
		}
	}
	return false
}

// mayBeCut reports whether a page without a Link, of a registry that has sent none,
// may have been cut short, though it is shorter than n: that n was the client's own,
// and what the registry makes of it is not known. Nexus groups cut at n
// (NEXUS-35956), quay up to 3.11 at 50, Google's at 10,000.
func (s *tagsList) mayBeCut(rep *wire.Response) bool {
	if rep.Entries > max(defaultPageSize, nOf(rep.Asked)+1) || s.Registry.Announces {
		return round(rep.Entries) // more than a page is the list, but for a cap such as Google's of 10,000
	}
	return rep.Entries > 0
}

// wholeMayBeCut is like mayBeCut, for the list without n. Distribution on S3, the only
// registry that is known to list in the order of object keys, then sends all tags. A
// question would show nothing: it compares with last in another order.
func (s *tagsList) wholeMayBeCut(rep *wire.Response) bool {
	if s.seen.ByKeys() {
		return rep.Entries <= defaultPageSize && round(rep.Entries)
	}
	return s.mayBeCut(rep)
}

func isFull(rep *wire.Response) bool {
	n := nOf(rep.Asked)
	if n == largePageSize && rep.Entries <= defaultPageSize+1 {
		n = defaultPageSize // so much is known to come, and perhaps not more
	}
	return n > 0 && (rep.Entries == n || rep.Entries == n+1)
}

// round reports whether n is a number that people choose for the size of a page: a
// multiple of 50, or a power of two from 64 up; above 1000, a multiple of 1000.
func round(n int) bool {
	if n > defaultPageSize {
		return n%1000 == 0
	}
	return n > 0 && n%50 == 0 || n >= 64 && n&(n-1) == 0
}
