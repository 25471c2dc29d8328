package listing

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"

	"github.com/ocitags/ocitags/internal/wire"
)

// sizes is what is known of the size of pages.
type sizes struct {
	n          int         // to ask for; 0: none
	recalled   bool        // n was learned from another list
	stepped    bool        // a larger n was refused
	slow       bool        // a larger n took too long
	tried      []int       // the n with which the list was begun, in any reading; 0: none
	lengths    []int       // entries of the first pages
	roomy      int         // the most tags of a first page that had fewer entries than its n, or no n
	roomyRound bool        // the entries of that page have a number at which lists are cut
	linksShort bool        // a page with fewer entries than its n had a Link: the registry does not look at lengths
	uneven     bool        // a page was shorter than its n, though a smaller n has brought more
	resized    bool        // the list was restarted with another n
	keepsN     bool        // Links are followed with the n of their page, not with their own
	lastResort int         // the n of one page for all tags, as the pages did not fit together; 0: not tried
	misfit     error       // how they did not, if that n is the large one
	overLimit  int         // an n that was answered with nothing; 0: none
	overKnown  bool        // and the list without n was not
	honoured   int         // an n that a page has had exactly
	accepted   int         // the largest n that was answered with tags
	longest    int         // the most entries in one page of this reading
	widest     int         // the most tags in one page of this reading
	longestOf  map[int]int // the most entries in one page, by n, of all readings
	was        int         // longest, of the readings before

	followed map[int]bool // the n of which a page with fewer entries was followed by more
}

// refusesSize reports whether a status may mean that n is too large.
func refusesSize(status int) bool { return slices.Contains([]int{400, 405, 413, 416, 422}, status) }

// stepDown chooses a smaller n after the first page was refused for the one
// that was sent: ECR (405 UNSUPPORTED over 1000), distribution 3.1.0 (400
// PAGINATION_NUMBER_INVALID over its maxtags), cuelabs (400 UNSUPPORTED), quay
// for a week in 2024 (413 TOO_MANY_TAGS_REQUESTED over 100).
func (s *tagsList) stepDown(ctx context.Context, err error) bool {
	refusal, ok := errors.AsType[wire.Refused](err)
	if !ok || s.n == 0 || !refusesSize(Status(err)) || refusal.NotTheList {
		return false
	}
	refused := s.n
	s.n, s.stepped = lower(s.n), true
	s.warn(ctx, "the registry refuses this page size", "n", refused, "status", refusal.Status)
	s.remember()
	return true
}

// lower returns the page size to try after n; 0: none.
func lower(n int) int {
	for _, size := range []int{defaultPageSize, smallPageSize, smallestPageSize} {
		if n > size {
			return size
		}
	}
	return 0
}

// remember keeps the page size for the next listing at this registry.
func (s *tagsList) remember() {
	n := s.n
	if n == 0 {
		n = -1
	}
	s.learn(func(h *habits) { h.pageSize = n })
}

// lighter returns the URL to request instead of u after u took the registry too long: it
// has a smaller n. Docker Hub gives up after 30 seconds on large pages of a repository
// with a million tags, and answers n=100. Once may be chance, and many small pages are
// slow, too.
func (s *tagsList) lighter(ctx context.Context, u *url.URL, slow int) *url.URL {
	n := nOf(u)
	switch {
	case n <= smallPageSize || slow == 0:
		return u
	case n > defaultPageSize:
		s.n = defaultPageSize
	case slow < 2:
		return u
	default:
		s.n = smallPageSize
	}
	s.stepped, s.slow = true, true
	s.warn(ctx, "the registry takes too long for this page size", "n", n)
	s.remember()
	s.learn(func(h *habits) { h.slow = true })
	return WithParam(u, "n", strconv.Itoa(s.n))
}

// larger returns a link with a larger n, which is tried once with each registry: where any n
// is honoured, the list takes a tenth of the requests. It returns nil if that was tried, or
// if the link does not repeat the n that was asked for.
func (s *tagsList) larger(rep *wire.Response, link *url.URL) *url.URL {
	n := strconv.Itoa(defaultPageSize)
	h := s.ofRegistry()
	if s.PageSize != 0 || h.sized && h.largest == 0 || s.Registry.ByAge || rep.Entries != defaultPageSize ||
		rep.Asked.Query().Get("n") != n || link.Query().Get("n") != n {
		return nil
	}
	return WithParam(link, "n", strconv.Itoa(largePageSize))
}

// learnSize takes the answer to what larger asked.
func (s *tagsList) learnSize(ctx context.Context, rep *wire.Response, more bool) {
	large := rep.Asked.Query().Get("n") == strconv.Itoa(largePageSize)
	if large && rep.Entries <= defaultPageSize && !more {
		return // so little was left that it tells nothing
	}
	honoured := large && rep.Entries > defaultPageSize
	s.learn(func(h *habits) {
		h.sized = true
		if h.largest = 0; honoured {
			h.largest = largePageSize
		}
	})
	what := "the registry honours larger pages"
	if !honoured {
		what = "the registry keeps to its page size"
	}
	s.Log.DebugContext(ctx, what, "asked", largePageSize, "got", rep.Entries)
}

// sizeLeft reports whether there is another n that has not been tried, and that may be
// answered with more, or with a Link: what has come may be cut.
func (s *tagsList) sizeLeft() bool { return s.sizeToTry() > 0 }

// sizeToTry returns the n with which to restart the list; 0: none is left. It is the usual
// n where a smaller one was recalled; the next one that people choose for a page, as the usual
// one may be over the limit, and be answered with as much as comes without n; the length of a
// first page; and the usual n where it was not tried, whatever the user's is.
func (s *tagsList) sizeToTry() int {
	tried := func(n int) bool { return slices.Contains(s.tried, n) }
	most := max(s.longest, s.was)
	next := smallestPageSize
	if most >= next {
		next = smallPageSize
	}
	// Where only pages with n have Links, an answer without one that had room for more is complete.
	shown := s.linked == [2]bool{false, true} && s.hadRoomFor(most)
	switch {
	case s.longest == 0, s.exceedsAny():
		return 0
	case s.recalled && s.n < defaultPageSize && !tried(defaultPageSize):
		return defaultPageSize
	case most < next && !shown && !tried(next):
		return next
	}
	if n := s.lengthLeft(); n > 0 && !s.linksShort { // or each would bring a shorter page, and so another n
		return n
	}
	ignored := s.repeats > 0 && s.tags < s.total && s.was == defaultPageSize
	unanswered := s.silent && s.entries == defaultPageSize
	if (ignored || unanswered) && !tried(largePageSize) {
		return largePageSize // as last is ignored, only a larger n tells whether there is more
	}
	if s.strays && !s.refusedLast && !s.whole && s.smallerLeft() > 0 {
		return s.smallerLeft()
	}
	untried := !slices.ContainsFunc(s.tried, func(n int) bool { return n > 0 })
	if (s.longest <= defaultPageSize || untried && round(s.longest)) && !tried(defaultPageSize) {
		return defaultPageSize
	}
	return 0
}

// exceedsAny reports whether an answer was longer than its n and than any n that is tried: n is
// not looked at, and such a list is not worth reading with each.
func (s *tagsList) exceedsAny() bool {
	for n, longest := range s.longestOf {
		if n > 0 && longest > max(n, largePageSize)+1 {
			return true
		}
	}
	return false
}

// hadRoomFor reports whether an n greater than most was answered with tags. most is the length
// of the longest page, so that the answer had room for more.
func (s *tagsList) hadRoomFor(most int) bool {
	for n, longest := range s.longestOf {
		if n > most && longest > 0 {
			return true
		}
	}
	return false
}

// smallerLeft returns a smaller n that was not tried, and may lead on; 0: there is none.
func (s *tagsList) smallerLeft() int {
	n := lower(s.n)
	for n > 0 && slices.Contains(s.tried, n) {
		n = lower(n)
	}
	return n
}

// lengthLeft returns the length of a first page that was not tried as n; 0: there is none.
// Some registries send a Link only where a page has the n that was asked for.
func (s *tagsList) lengthLeft() int {
	for _, n := range s.lengths {
		if n > 0 && n <= defaultPageSize && !slices.Contains(s.tried, n) {
			return n
		}
	}
	return 0
}

// largerToTry returns a larger n for a short list that was read in small pages, as the
// registry refuses the usual one, or answers it with less than it allows; 0: none.
func (s *tagsList) largerToTry() int {
	for _, n := range []int{smallestPageSize, smallPageSize} {
		if s.total <= defaultPageSize && s.longest < n && !slices.Contains(s.tried, n) {
			return n
		}
	}
	return 0
}

// chooseLonger chooses an n that may bring longer pages, which hide less where the list is
// sorted in one order and continued in another. It reports whether there is one.
func (s *tagsList) chooseLonger() bool {
	n, linked, tiny := s.n, nOf(s.link), s.longest < smallestPageSize
	switch {
	case s.PageSize == 0 && !s.slow && (tiny || s.withoutN || s.recalled) && !slices.Contains(s.tried, defaultPageSize):
		n = defaultPageSize // what was asked for first was learned from another list
	case tiny && s.largerToTry() > 0 && (s.PageSize == 0 || s.PageSize > s.largerToTry()):
		n = s.largerToTry()
	case s.PageSize >= 0 && !slices.Contains(s.tried, 0) && !s.sameWithout && s.longestOf[0] > max(s.longest, s.was):
		n = 0
	case !s.keepsN && linked > 0 && len(s.lengths) > 0 && linked+few(linked) < s.lengths[len(s.lengths)-1]:
		s.keepsN = true
	default:
		return false
	}
	s.n, s.resized = n, true
	return true
}

// largest returns the largest n that was not tried and may be answered with n tags: the
// usual one, or the length of a first page; 0: none.
func (s *tagsList) largest() (n int) {
	if !slices.Contains(s.tried, defaultPageSize) {
		return defaultPageSize
	}
	for _, length := range s.lengths {
		if length <= defaultPageSize && !slices.Contains(s.tried, length) {
			n = max(n, length)
		}
	}
	return n
}

// otherSize begins the list anew with that n.
func (s *tagsList) otherSize() *Cursor { return s.relistWith(s.sizeToTry()) }

// relistWith begins the list anew with n.
func (s *tagsList) relistWith(n int) *Cursor {
	s.n, s.resized = n, true
	return s.relist(false)
}
