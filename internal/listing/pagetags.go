package listing

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/wire"
)

// A PageTags receives the tags of one page. It keeps what is needed to judge the
// page, and to ask for the next one.
type PageTags struct {
	Sink
	before order.Seen // the page
	after  string     // the tag that it was asked for after; "": none, or not known
	sought bool       // after is not a tag, but a string of our own
	start  []string   // of the list: a page that repeats it brings nothing; nil: none does
	long   bool       // the list is more than a page, so that its start is enough to know it

	seen   order.Seen
	first  string
	latest []string // the last ones
	top    []string // the first ones
	number int
	news   int // how many were new
	again  repetition
}

const keepTop = 256

func (t *PageTags) Begin(try int) {
	t.seen, t.first, t.latest, t.top, t.number, t.news = t.before, "", t.latest[:0], t.top[:0], 0, 0
	if t.seen.Page(t.after); t.sought {
		t.seen.Seek(t.after)
	}
	t.again = repetition{start: t.start}
	t.Sink.Begin(try)
}

func (t *PageTags) Tags(ctx context.Context, batch []string) (int, error) {
	if !t.seen.AddAll(batch) {
		batch = t.once(batch)
	}
	fresh, repeats := batch, false
	if t.again.start != nil {
		fresh, repeats = t.unrepeated(batch)
	}
	news, err := 0, error(nil)
	if len(fresh) > 0 {
		news, err = t.Sink.Tags(ctx, fresh)
	}
	t.news += news
	if err == nil && repeats {
		return news, errRepeat
	}
	if t.number == 0 && len(batch) > 0 {
		t.first = batch[0]
	}
	t.number += len(batch)
	t.latest = keep(t.latest, batch...)
	t.top = append(t.top, batch[:min(len(batch), keepTop-len(t.top))]...)
	return news, err
}

// once returns the tags without those that are the same as the one before them: where a page
// stands in the list is told by its tags, and each stands there once.
func (t *PageTags) once(batch []string) []string {
	prev := t.last()
	for _, tag := range batch {
		if tag == prev {
			tags := slices.Compact(slices.Clone(batch))
			if tags[0] == t.last() {
				tags = tags[1:]
			}
			return tags
		}
		prev = tag
	}
	return batch
}

// unrepeated returns the tags that are no repetition of the start of the list, and
// reports whether the page has repeated all of it, and need not be read further.
func (t *PageTags) unrepeated(batch []string) (others []string, repeats bool) {
	for i, tag := range batch {
		switch {
		case t.again.start == nil || t.again.isComplete():
			return append(others, batch[i:]...), false
		case !t.again.goesOn(tag):
			others = append(others, tag)
		case t.again.isComplete() && t.long:
			return others, true
		}
	}
	return others, false
}

// sort judges the page as if its tags had come in the order o. All of them must be in latest.
func (t *PageTags) sort(o order.Order) {
	slices.SortFunc(t.latest, func(a, b string) int { return cmp.Or(o.Compare(a, b), strings.Compare(a, b)) })
	t.seen, t.first = t.before, t.latest[0]
	if t.seen.Page(t.after); t.sought {
		t.seen.Seek(t.after)
	}
	t.seen.AddAll(t.latest)
	t.top = append(t.top[:0], t.latest[:min(len(t.latest), keepTop)]...)
}

func (t *PageTags) last() string {
	if len(t.latest) == 0 {
		return ""
	}
	return t.latest[len(t.latest)-1]
}

// arrange sorts the tags by which a page is judged, where a Link has shown that a registry sorts
// its list, and not the tags of a page: it names the greatest of them, and that is not the last.
// It reports whether earlier pages were judged by another order, so that the list has to be read
// again.
func (s *tagsList) arrange(link *url.URL, t *PageTags) (anew bool) {
	if t.number < 2 || t.number > len(t.latest) {
		return false
	}
	if link != nil && (s.pageOrders != nil || !t.seen.Sorted()) {
		cursor, orders := link.Query().Get(s.param()), s.pageOrders
		if orders == nil && cursor != t.last() {
			orders = order.Known
		}
		var left []order.Order
		for _, o := range orders {
			if slices.Contains(t.latest, cursor) && !slices.ContainsFunc(t.latest, func(tag string) bool { return o.Compare(tag, cursor) > 0 }) {
				left = append(left, o)
			}
		}
		if len(left) > 0 && (s.pageOrders == nil || left[0].Name != s.pageOrders[0].Name) {
			// Until now the tags within a page were taken for the order of the list.
			anew = s.pages > 0
			s.seen, t.before = order.New(), order.New()
			s.disagreed, s.strays, s.astray, s.misplaced = false, false, false, false
		}
		if len(left) > 0 {
			s.pageOrders = left
		}
	}
	if s.pageOrders != nil {
		t.sort(s.pageOrders[0])
	}
	return anew
}

// errRepeat ends the reading of a page that answers a question of ours with the
// start of the list, as distribution 2, Google and others do that do not know last. The
// rest of a long one need not be read.
var errRepeat = errors.New("the list from its start")

// A repetition compares a page with the start of the list. To begin with the same
// tag is not enough: so does a page that lacks other tags, where the registry
// compares with last in another order than that of the list. A few differences are
// allowed, as the list may have changed meanwhile.
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

func (r *repetition) isOther() bool { return r.odd > few(len(r.start)) }

func (r *repetition) isComplete() bool { return r.at == len(r.start) && !r.isOther() }

// isRepeat reports whether a page is the start of the list once more: as much of
// it as an answer of n tags has.
func (s *tagsList) isRepeat(t *PageTags, n int) bool {
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

// beginsAnew reports whether an answer is the start of the list once more. If it has a Link, it
// may be a shorter page than its n.
func (s *tagsList) beginsAnew(rep *wire.Response, t *PageTags) bool {
	n := nOf(rep.Asked)
	if s.leadsOn(rep) {
		n = min(n, t.number)
	}
	return s.isRepeat(t, n)
}

// keep appends to the last tags, of which it keeps keepRecent or some more.
func keep(recent []string, tags ...string) []string {
	recent = append(recent, tags...)
	if len(recent) > 2*keepRecent {
		recent = append(recent[:0], recent[len(recent)-keepRecent:]...)
	}
	return recent
}
