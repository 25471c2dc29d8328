package listing

import (
	"context"
	"net/url"
	"slices"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/wire"
)

// This file has what may show that a list is complete although its pages do not fit together.

// Otherwise implements Source.
func (s *tagsList) Otherwise(ctx context.Context, err error) (next *Cursor, why string) {
	switch {
	case s.mayBeCovered() && s.isCovered(ctx):
		return nil, allKnown
	case s.isEnough() && s.mayBeExceeded() && s.isExceeded(ctx):
		return nil, ""
	}
	return s.instead(err)
}

// orOtherwise returns err, because the pages do not fit together, unless something else
// may show that the list is complete.
func (s *tagsList) orOtherwise(ans *Answer, err error) (*Answer, error) {
	found := func(next *Cursor, why string) bool {
		ans.Next, ans.Why = next, why
		return next != nil || why != ""
	}
	then := func(found bool) (*Answer, error) {
		if found {
			return ans, nil
		}
		return ans, err
	}
	if !s.mayBeCovered() && !(s.isEnough() && s.mayBeExceeded()) {
		return then(found(s.instead(err)))
	}
	ans.doubt = &doubt{func(ctx context.Context) bool { return found(s.Otherwise(ctx, err)) }, then}
	return ans, nil
}

// instead returns where else the list may be read, or why it is complete; nil and "" if
// neither is known. A page that had room for more ends the list, once the Link that it had
// was followed; or the list may fit into one page; or, if it is too long for the usual one, a
// large page has to show all by itself.
func (s *tagsList) instead(err error) (next *Cursor, why string) {
	switch enough := s.isEnough(); {
	case enough && s.untried != nil:
		return s.asNamed(), ""
	case enough && s.sizeLeft():
		return s.otherSize(), ""
	case enough && !s.wholeTried && s.mayBeMore():
		return s.relist(true), ""
	case enough:
		return nil, roomyPage
	case !s.begun:
	case s.total < defaultPageSize && !slices.Contains(s.tried, defaultPageSize):
		s.lastResort = defaultPageSize
		return s.relistWith(defaultPageSize), ""
	case s.total >= defaultPageSize && s.total < largePageSize && !slices.Contains(s.tried, largePageSize):
		s.lastResort, s.misfit = largePageSize, err
		return s.relistWith(largePageSize), ""
	}
	return nil, ""
}

// isEnough reports whether a page that had room for more is all there is.
func (s *tagsList) isEnough() bool { return s.began > 0 && s.hadRoom() && !s.more }

// hadRoom reports whether a first page has all known tags, those of dropped pages included,
// though it was shorter than its n and not of a size at which lists are mostly cut. It decides
// where the pages do not fit together and nothing is left to be asked.
func (s *tagsList) hadRoom() bool { return s.roomy >= s.total+len(s.lacking()) && !s.roomyRound }

// A cover is a first page that had all tags which were known then. It may be the whole list.
// If its tags are in a known order, one question tells: what comes after one of the first. The
// answer has room for some tags more than the page had. If it has known ones only, and ends as
// the page did, then nothing is missing behind that tag, in whatever order the registry
// compares.
type cover struct {
	tags     []string
	entries  int
	asked    *url.URL
	seen     order.Seen // of the page
	tried    bool       // that question was asked
	doubted  bool       // isExceeded has asked its questions
	exceeded bool       // and was told of another tag
}

// takeCover keeps a first page if it is a cover.
func (s *tagsList) takeCover(rep *wire.Response, t *PageTags) {
	if t.number == s.total && len(t.latest) == t.number {
		s.cover = cover{tags: slices.Clone(t.latest), entries: rep.Entries, asked: rep.Asked, seen: t.seen}
	}
}

// mayBeCovered reports whether the cover still has all known tags, and the answer to that
// question may tell whether it is the whole list.
func (s *tagsList) mayBeCovered() bool {
	c := &s.cover
	if s.isEnough() || s.more || c.tried || c.seen.InNoOrder() || len(c.tags) != s.total || s.total <= 2*few(s.total) {
		return false
	}
	seen := c.seen
	seen.ComparesBy(s.seen.Compares())
	return !seen.MayHide(c.last(), c.tags[few(s.total)])
}

func (c *cover) last() string { return c.tags[len(c.tags)-1] }

// isCovered asks that question, and reports whether the cover is the whole list. It leaves out
// some tags, not one, as tags that this user may not see take up room, too.
func (s *tagsList) isCovered(ctx context.Context) bool {
	s.tell(ctx, "asking what comes after a tag", "the answer may show that all tags are known")
	c, before := &s.cover, few(s.total)
	c.tried = true
	last, number := "", 0
	rep, err := s.Read(ctx, wire.Request{URL: s.query(nOf(c.asked), c.tags[before])}, each(func(tag string) error {
		if number++; number > 4*len(c.tags) || !slices.Contains(c.tags, tag) { // which is enough for each try
			return ErrStopped
		}
		last = tag
		return nil
	}))
	return err == nil && !rep.HasMore() && last == c.last() && rep.Entries <= c.entries-before
}

// mayBeExceeded reports whether the cover still has all known tags, and may be a page all the
// same.
func (s *tagsList) mayBeExceeded() bool {
	c := &s.cover
	return s.untried == nil && !s.refusedLast && s.total > 0 && len(c.tags) == s.total && (c.entries <= defaultPageSize || round(c.entries))
}

// isExceeded reports whether there is a tag that the cover has not, and asks that once. Which
// of its tags are the first and the last depends on the order by which the registry compares.
func (s *tagsList) isExceeded(ctx context.Context) bool {
	c := &s.cover
	if c.doubted {
		return c.exceeded
	}
	var ends [][2]string
	for _, by := range s.seen.Compares() {
		these := [2]string{slices.MinFunc(c.tags, by.Compare), slices.MaxFunc(c.tags, by.Compare)}
		if !slices.Contains(ends, these) {
			ends = append(ends, these)
		}
	}
	c.doubted, c.exceeded = true, slices.ContainsFunc(ends, func(e [2]string) bool { return s.exceeds(ctx, e[0], e[1]) })
	return c.exceeded
}

// exceeds asks what comes after the first of the cover's tags, as most of what is missing
// does, and an answer as long as the cover then has room for it. If that has not shown all the
// others, it asks what comes after the last of them.
func (s *tagsList) exceeds(ctx context.Context, first, last string) bool {
	const because = "is any tag missing from the page that has all known tags?"
	known, more := s.countKnown(ctx, question{first, s.query(nOf(s.cover.asked), first), because})
	if !more && known != len(s.cover.tags)-1 { // or it has begun the list anew
		_, more = s.countKnown(ctx, s.oneAfter(last, because))
	}
	return more
}

// countKnown counts the tags of the cover in an answer, and reports whether that has another
// one, which ends the reading.
func (s *tagsList) countKnown(ctx context.Context, q question) (known int, more bool) {
	tags := s.cover.tags
	_ = s.startOf(ctx, q, func(tag string) bool {
		if more = !slices.Contains(tags, tag); !more {
			known++
		}
		return !more && known <= len(tags)
	})
	return known, more
}

// endOfTrouble takes the end of a list whose pages did not fit together.
func (s *tagsList) endOfTrouble(ctx context.Context, cur *Cursor, ans *Answer) (*Answer, error) {
	switch exceeded := s.mayBeExceeded() && s.isExceeded(ctx); {
	case !exceeded && s.PageSize >= 0 && !s.wholeTried && !s.refusedLast && s.mayCompare():
		ans.Next = s.comparison(0, cur, ans.Why) // it may have what is missing
	case exceeded && s.sizeLeft():
		ans.Next = s.otherSize()
	case exceeded:
		return ans, s.disagreement(ans)
	}
	return ans, nil
}
