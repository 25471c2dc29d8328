package listing

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// Take implements Source.
func (s *tagsList) Take(ctx context.Context, cur *Cursor, rep *wire.Response, t *PageTags) (*Answer, error) {
	ans, err := s.decide(ctx, cur, rep, t)
	if ans.seek != nil {
		ans.spare = s.foresee(ctx)
	}
	return s.settle(ctx, cur, ans, err)
}

// decide adds a page to what is known of the list, and says what follows: another page, the
// end of the list, or a doubt. It requests nothing, and ctx is for the log: the decision
// depends on the pages so far, and on what the Client remembers.
func (s *tagsList) decide(ctx context.Context, cur *Cursor, rep *wire.Response, t *PageTags) (*Answer, error) {
	ans := &Answer{Response: rep}
	if cur.kind != compare { // where has_additional only shows that the answer is a page
		s.more = rep.HasMore() || s.more && rep.More == nil && cur.kind == asked
	}
	s.moved(ctx, rep)
	link, endless, err := s.nextOf(ctx, rep)
	if err != nil {
		return ans, err
	}
	if s.arrange(link, t) {
		ans.Next = s.relist(s.whole)
		return ans, nil
	}
	if cur.own && t.news > 0 && !slices.ContainsFunc(s.overlap(cur), func(tag string) bool { return slices.Contains(t.top, tag) }) {
		// It does not overlap, and the tag that its Link named is no cursor.
		s.tokens, s.opaque, s.link = true, true, nil
		t.seen.Rejected(s.seen)
		cur = linkedPage(cur.announced)
	}
	switch question := cur.kind == asked && !s.answered; {
	case cur.kind == compare:
		return s.compare(ctx, cur, ans, link, t)
	case cur.isPlain() && t.news == 0: // nor does a new tag come after the last one itself
		return s.ended(ctx, cur.end, ans, cur.why)
	case question && s.form > asBefore && t.first != cur.must && s.beginsAnew(rep, t):
		return s.fromStart(ctx, cur, ans, t)
	case cur.entry != "" && t.news == 0 && (rep.Entries == 0 || s.beginsAnew(rep, t)):
		return s.noCursor(ctx, cur, ans)
	case s.displaced(cur, rep, t):
		return s.elsewhere(ctx, cur, ans, t)
	}
	return s.inPlace(ctx, cur, ans, link, endless, t)
}

// inPlace takes a page that is what comes after its cursor.
func (s *tagsList) inPlace(ctx context.Context, cur *Cursor, ans *Answer, link *url.URL, endless bool, t *PageTags) (*Answer, error) {
	rep := ans.Response
	s.observe(ctx, cur, rep, t, link)
	if s.omits(cur, rep, t, link) > few(cur.step) {
		if s.omissions++; s.omissions == 1 { // they may have been deleted
			s.tell(ctx, "listing again", "a page passes over tags that are known to come there")
			ans.Next = s.relist(!s.wholeTried)
			return ans, nil
		}
		s.disagreed = true
	}
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
	case s.misfit != nil: // the one large page for all was the last resort, and has not all
		return ans, s.misfit
	case t.first == cur.must && t.number == 1 && rep.Entries == 1 && s.longest > 1:
		return s.overlapOnly(ctx, cur, ans, link, t)
	case cur.kind == begin && s.resized && !s.whole && !s.refusedLast && link == nil && t.news == 0 && t.number == s.total:
		// The same list has come with another n.
		switch {
		case s.sizeLeft():
			ans.Next = s.otherSize()
		case s.wholeSeen:
			return s.ended(ctx, cur, ans, "no n and no last make a difference")
		default:
			ans.Next = s.relist(true)
		}
		return ans, nil
	case cur.hollow && t.news == 0 && (reached || cur.kind == begin || cur.step == 1 && t.number == 1): // after the last tag came an empty page
		return s.ended(ctx, cur, ans, nothingMore)
	case (cur.ended || cur.why != "" && reached) && t.news == 0 && stands && shown == cur.step-cur.stood:
		// All of the last tags stand where they stood.
		return s.ended(ctx, cur, ans, nothingMore)
	case cur.ended && t.news == 0 && stands: // a smaller page than was asked for
		next := s.back(cur.step - shown)
		next.why, next.stood, next.ended = cur.why, cur.stood, true
		ans.Next = next
		return ans, nil
	}
	return s.follow(ctx, cur, ans, link, endless, reached, t)
}

// overlapOnly takes a page that has only the tag with which it overlaps the page before. If it
// has a Link, its other tags may be hidden from this user, unless the page of that Link was
// empty already.
func (s *tagsList) overlapOnly(ctx context.Context, cur *Cursor, ans *Answer, link *url.URL, t *PageTags) (*Answer, error) {
	if link == nil || cur.kind != announced || cur.hollow && namesLast(link, t) {
		return s.ended(ctx, cur, ans, nothingMore)
	}
	ans.Next, ans.held = linkedPage(link), true
	return ans, nil
}

// moved looks at where an answer came from. The next pages are requested where a redirect has
// led, such as that of registry.k8s.io.
func (s *tagsList) moved(ctx context.Context, rep *wire.Response) {
	if rep.Name != "" && rep.Name != s.Repository.Name {
		s.warn(ctx, "the answer names another repository", "name", taglist.Quote(rep.Name))
	}
	if wire.IsTagList(rep.URL) {
		at := *rep.URL
		at.RawQuery, at.User = "", nil
		s.url = &at
	}
}

// elsewhere says what follows a page that does not stand where it was asked for.
func (s *tagsList) elsewhere(ctx context.Context, cur *Cursor, ans *Answer, t *PageTags) (*Answer, error) {
	s.seen.Rejected(t.seen)
	s.further = s.further || t.news > 0
	s.astray = s.astray || cur.kind == asked
	if cur.after != "" && t.first != "" && s.seen.Sorted() && !s.seen.Follows(cur.after, t.first) && !s.beginsAnew(ans.Response, t) {
		s.misplaced = true // the registry compares in another order, by which tags may be lost
	}
	if t.news == 0 && !isFull(ans.Response) && !round(ans.Entries) && !s.leadsOn(ans.Response) {
		s.rest = max(s.rest, t.number)
	}
	s.silent = s.silent || cur.kind == asked && !s.answered && ans.Entries == 0
	if cur.named != nil && cur.place == 0 && t.first != "" && s.hasMore(cur.named) {
		if s.tokens = cur.step >= 4 && t.first == s.unheeded; s.tokens { // the same page came, whatever tag was in the Link
			ans.Next = linkedPage(cur.named)
			return ans, nil
		}
		s.unheeded = t.first
	}
	if cur.named != nil && !s.asIs {
		s.untried = cur.named
	}
	if t.first != "" && cur.kind == announced && (cur.step >= 4 || s.mayBeMore()) && !s.wholeTried {
		ans.doubt = &doubt{s.disagrees, func(disagrees bool) (*Answer, error) {
			// In a sorted list, one that looked for the place of last would have answered with
			// what comes after it.
			if disagrees || cur.step >= 4 && s.seen.Sorted() && s.seen.LooksUp() {
				ans.Next = s.relist(true)
				return ans, nil
			}
			return s.sameOrder(ctx, cur, ans, t)
		}}
		return ans, nil
	}
	return s.sameOrder(ctx, cur, ans, t)
}

// sameOrder says what follows a page from elsewhere in the list, where the registry
// continues its pages in the order in which it sorts them.
func (s *tagsList) sameOrder(ctx context.Context, cur *Cursor, ans *Answer, t *PageTags) (*Answer, error) {
	switch {
	case cur.step > 0 && s.beginsAnew(ans.Response, t):
		return s.lost(ctx, cur, ans, t.news) // it begins the list anew, whatever it is asked
	case cur.kind == asked && !s.answered && cur.step >= 4:
		s.strays = true
		return s.misunderstood(ctx, cur, ans, "asking after its last tags gave something else")
	}
	return s.resumeBefore(ctx, cur, ans, ans.Entries == 0)
}

// observe records what a page in its right place shows of the registry and of the list.
func (s *tagsList) observe(ctx context.Context, cur *Cursor, rep *wire.Response, t *PageTags, link *url.URL) {
	if cur.kind == announced {
		s.untried, s.unheeded = nil, ""
		if rep.Entries == 0 && link != nil && s.leads { // it has no tag, and yet there is more
			s.roomy = 0
		}
	}
	if cur.kind == asked {
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
	if last := cur.hiddenTag(s.param()); last != "" && (t.first != "" || rep.Entries == 0) && s.seen.Between(s.latest(0), last, t.first) {
		t.seen.Hidden(last, s.recent, t.top)
	}
	if cur.kind == sought {
		t.seen.Seam(s.recent, t.top)
	}
	if t.number >= 2*someTags {
		s.tellingPages++
	}
	if !s.shuffled && t.seen.InNoOrder() {
		page := order.New()
		page.Aside("", t.top)
		s.shuffled = page.InNoOrder()
	}
	switch {
	case s.pages == 0:
		s.lengths = append(s.lengths, rep.Entries)
		s.room(rep, t, link)
		s.covers = t.number >= s.total
		s.takeCover(rep, t)
		s.cutFirst = (isFull(rep) || round(rep.Entries) || link != nil) && rep.Entries <= max(defaultPageSize, nOf(rep.Asked)+1)
	case cur.kind == announced && s.cutFirst:
		s.further = true // though the page may have had none of them
	case !s.covers || t.news > 0:
		s.further = s.further || t.number > 1 || t.number == 1 && t.first != cur.must
	}
}

// omits returns how many tags a page passes over that are known to come after the one that it
// was asked for after: they were deleted, or the registry compares in an order of its own.
func (s *tagsList) omits(cur *Cursor, rep *wire.Response, t *PageTags, link *url.URL) (omitted int) {
	if t.first != cur.must || cur.step < 2 || cur.step > min(len(s.recent), keepTop) {
		return 0
	}
	passed := link == nil && rep.Entries < s.longest // it had room for more
	for i := range cur.step {
		switch known := slices.Contains(t.top, s.latest(i)); {
		case known:
			passed = true
		case passed:
			omitted++
		}
	}
	return omitted
}

// room records whether a first page had room for more tags.
func (s *tagsList) room(rep *wire.Response, t *PageTags, link *url.URL) {
	// 1000 is the most that many registries send, and a Link tells the registry's own n.
	full := rep.Entries == defaultPageSize || link != nil && (nOf(link) == rep.Entries || s.began > 0 && t.news > 0)
	n := nOf(rep.Asked)
	for other, longest := range s.longestOf {
		if other > 0 && longest >= n && rep.Entries < n && link != nil && s.total-t.number > few(s.total) {
			s.uneven, s.roomy = true, 0 // the registry sends so many, and there are more
		}
	}
	if !full && !s.uneven && (rep.Entries < n || n == 0 && !round(rep.Entries)) {
		if t.number > s.roomy {
			s.roomy, s.roomyRound = t.number, round(rep.Entries)
		}
		s.leads = link != nil
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

// carry keeps what the next page will be judged by.
func (s *tagsList) carry(cur *Cursor, t *PageTags, rep *wire.Response, stands bool) {
	if s.pages == 0 {
		s.start = slices.Clone(t.top)
		s.withoutN = nOf(rep.Asked) == 0
	}
	s.begun = true
	s.pages++
	s.longest, s.widest = max(s.longest, rep.Entries), max(s.widest, t.number)
	s.longestOf[nOf(rep.Asked)] = max(s.longestOf[nOf(rep.Asked)], rep.Entries)
	if rep.Entries > 0 {
		if s.pages > 1 && t.news > 0 && s.before < s.beforeN {
			s.followed[s.beforeN] = true
		}
		if s.before, s.beforeN = rep.Entries, nOf(rep.Asked); s.beforeN == rep.Entries {
			s.honoured = rep.Entries
		}
		s.accepted = max(s.accepted, nOf(rep.Asked))
	}
	s.ignored = nOf(rep.Asked) > 0 && rep.Entries > nOf(rep.Asked)+1
	s.others = s.others || rep.Skipped > 0
	s.entries += rep.Entries
	s.tags += t.number
	s.seen = t.seen
	own := t.number
	if cur.beginsWithLast(t.top) {
		own--
	}
	if cur.why != "" && stands && own <= cur.step {
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

// someTags is the number of tags from which a page shows an order.
const someTags = 4

// displaced reports whether a page is not what comes after its cursor: the
// cursor has moved, or is gone, or means something else to the registry.
func (s *tagsList) displaced(cur *Cursor, rep *wire.Response, t *PageTags) bool {
	switch {
	case cur.kind == announced && rep.Entries == 0 && s.leadsOn(rep): // all that it has may be hidden from this user
		return false
	case cur.place > 0: // a deletion shifts offsets, but a page that begins with a known tag leaves no gap
		return !slices.Contains(s.recent, t.first)
	case cur.must != "" && t.first == cur.must, cur.own && slices.Contains(s.overlap(cur), t.first):
		return false
	case cur.beginsWithLast(t.top):
		// So does the start of the list, perhaps, which some registries send whatever last is.
		return !s.seen.Sorted() && len(s.start) > 0 && s.start[0] == cur.after
	case cur.must != "":
		return true
	case cur.kind == announced && cur.after != "" && t.first != "":
		// A last page that begins with a known tag from before its cursor is not what was announced.
		before := t.first != cur.after && slices.Contains(s.recent, t.first) && !s.leadsOn(rep)
		return before || len(s.recent) >= someTags && s.seen.Sorted() && !s.seen.Follows(cur.after, t.first)
	case cur.kind == announced && cur.after != "":
		return rep.Entries == 0 && !s.wasLast(rep)
	}
	return false
}

// wasLast reports whether the page before had fewer tags than an n that the registry has
// honoured before: then it had all that were left, and no cursor that has moved since hides
// any. This holds only if no such page was followed by more, and if all entries were tags: a
// registry that drops some entries, or hides them from this user, has short pages in the
// middle, too.
func (s *tagsList) wasLast(rep *wire.Response) bool {
	return s.beforeN == s.honoured && s.before < s.honoured-few(s.honoured) && nOf(rep.Asked) == s.honoured && !s.followed[s.honoured] && !s.others
}

// follow says what follows a page in its right place.
func (s *tagsList) follow(ctx context.Context, cur *Cursor, ans *Answer, link *url.URL, endless, reached bool, t *PageTags) (*Answer, error) {
	rep := ans.Response
	ans.held = true
	s.full = isFull(rep)
	if link != nil && namesLast(link, t) && !s.tokens {
		s.cursor, _ = cursorOf(link, t.last())
	}
	switch {
	case s.seen.ByKeys() && !s.whole && !(cur.kind == begin && s.withoutN) && (link == nil || namesLast(link, t)) && !s.ofRepository().isPage(s.manner()):
		// distribution 3.1 on S3 lists by object keys, and goes on with the tags
		// that are greater than last (distribution #4891).
		s.warn(ctx, "the registry sorts and resumes in different orders: listing again without n")
		ans.Next = s.relist(true)
		return ans, nil
	case link != nil && s.whole && s.seen.ByKeys() && namesLast(link, t) && !s.isLonger(cur, rep) && !s.hadRoom():
		ans.doubt = &doubt{s.disagrees, func(disagrees bool) (*Answer, error) {
			if disagrees {
				return s.orOtherwise(ans, s.disagreement(ans))
			}
			return s.announce(ctx, cur, ans, link, t), nil
		}}
		return ans, nil
	case link != nil:
		return s.announce(ctx, cur, ans, link, t), nil
	case rep.HasMore() && t.number > 0:
		return s.ask(ctx, cur, ans, s.after()), nil
	case rep.HasMore():
		return ans, invalid(rep.Asked, "has_additional is true, but nothing leads to the next page")
	case cur.entry != "" && t.number > 0 && t.news == 0: // nor after the last tag, which was the question before
		return s.ended(ctx, cur, ans, nothingMore)
	case cur.why == "" && (cur.kind != announced || !s.opaque) && s.endsInNoTag(cur, rep, t):
		return s.afterEntry(ctx, cur, ans)
	case cur.kind == begin && t.number == 0 && nOf(rep.Asked) > 0:
		return s.afterNoTag(ans), nil
	case cur.kind == asked && (t.number == 0 || reached):
		if t.number == 0 && len(s.recent) > 1 && !cur.again {
			next := s.back(1) // the cursor may be gone
			next.again, next.hollow = true, true
			return s.ask(ctx, cur, ans, next), nil
		}
		return s.ended(ctx, cur, ans, nothingMore)
	case endless && rep.Entries == 0 && len(s.recent) > 0:
		return s.ask(ctx, cur, ans, s.after()), nil
	case endless:
		return s.ended(ctx, cur, ans, "the next link leads to the start of the list")
	case (s.whole || s.withoutN && s.seen.ByKeys()) && cur.kind == begin && s.isWhole(rep):
		return s.wholeList(ctx, cur, ans, t)
	}
	return s.unannounced(ctx, cur, ans, t)
}

// endsInNoTag reports whether a page shows nothing new before an entry that is not a tag,
// or has no other, and more may come after it. What comes after the last tag is asked for
// first: nobody knows where other entries stand.
func (s *tagsList) endsInNoTag(cur *Cursor, rep *wire.Response, t *PageTags) bool {
	if rep.Tail != "" {
		return t.news == 0 && (s.full || cur.kind == asked)
	}
	return s.full && t.number == 0
}

// isWhole reports whether a first page without n is known to be the list.
func (s *tagsList) isWhole(rep *wire.Response) bool {
	return s.refusedLast || rep.Entries > 0 && !s.wholeMayBeCut(rep)
}

// unannounced says what follows a page without a Link where nothing else shows whether the
// list goes on.
func (s *tagsList) unannounced(ctx context.Context, cur *Cursor, ans *Answer, t *PageTags) (*Answer, error) {
	rep := ans.Response
	switch {
	case cur.kind == begin && s.overLimit > 0 && t.number > 0 && !s.links(rep) && s.mayBeCut(rep):
		// That n brought nothing, and this page came without n.
		s.n, s.overLimit, s.overKnown = lower(s.overLimit), 0, true
		ans.Next = s.relist(false)
	case s.full && s.opaque && cur.kind == announced:
		return s.ended(ctx, cur, ans, "the last page has no Link, and the registry's cursors are not tags")
	case s.altered(cur, rep) && s.seen.Unproven() && (s.aside != nil || s.mayCompare()):
		// The list without n may tell both that nothing is lost and where it ends.
		ans.Next = &Cursor{URL: s.query(0, ""), kind: compare, Restart: true, back: s.after(), aside: s.aside}
		s.compared, s.aside = true, nil
	case cur.kind == asked && t.news == 0 && 0 < t.number && t.number <= cur.step && rep.Entries > cur.step:
		// Copies of known tags left no room for what comes after them.
		return s.ask(ctx, cur, ans, s.behind(cur.step-t.number)), nil
	case s.full, s.isAsLongAsOthers(rep), cur.kind == asked, cur.kind == sought, s.altered(cur, rep):
		return s.ask(ctx, cur, ans, s.after()), nil
	case rep.Entries == 0 && cur.kind == announced && cur.after == "" && !s.opaque && len(s.recent) > 0:
		return s.ask(ctx, cur, ans, s.after()), nil // the page before was empty, too, as its cursor may be gone
	case s.links(rep) && rep.Entries == 0:
		return s.ended(ctx, cur, ans, "the last page is empty and has no Link")
	case s.links(rep) && cur.kind == announced:
		return s.ended(ctx, cur, ans, "the last page has no Link")
	case t.number == 1 && rep.Entries == rep.Skipped+1 && !s.compared && s.mayBeCut(rep):
		// Whatever comes after the only tag, the answer would not show that the question was understood.
		ans.Next = s.comparison(0, cur, "the only page has one tag, and there is no Link")
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

// isAsLongAsOthers reports whether a page is as long as the longest page before it. Then more
// may follow although it has no Link: where several servers answer for one name, some may
// send none.
func (s *tagsList) isAsLongAsOthers(rep *wire.Response) bool {
	return !s.opaque && s.pages > 1 && rep.Entries > 1 && rep.Entries == s.longest
}

// afterNoTag begins the list anew after a first page without a tag. An n over the limit may
// be answered with nothing, so the list is requested without n, and, if it has tags then,
// with a smaller n.
func (s *tagsList) afterNoTag(ans *Answer) *Answer {
	if ans.Entries == 0 && s.overKnown && lower(s.n) > 0 {
		s.n = lower(s.n)
	} else if s.n, s.stepped = 0, true; !s.overKnown {
		s.overLimit = nOf(ans.Asked)
	}
	ans.Next = s.relist(false)
	return ans
}

// ask continues with a question. Once the registry has understood one, other parts of the
// list can be read ahead by questions, too.
func (s *tagsList) ask(ctx context.Context, cur *Cursor, ans *Answer, question *Cursor) *Answer {
	ans.Next = question
	s.speaks(ctx, nil, ans, s.full)
	if s.answered {
		ans.seek = s.seek()
	}
	ans.mayBeWhole, ans.n = s.full, nOf(ans.Asked)
	return ans
}

// isLong reports whether a page is as long as this registry's pages are. More may
// then follow it, even if it ends with the last tag that is known.
func (s *tagsList) isLong(cur *Cursor, rep *wire.Response, t *PageTags) bool {
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
