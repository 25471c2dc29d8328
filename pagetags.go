package ocitags

import (
	"context"
	"errors"
	"slices"

	"github.com/ocitags/ocitags/internal/order"
)

// A pageTags receives the tags of one page. It keeps what is needed to judge the
// page, and to ask for the next one.
type pageTags struct {
	sink
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
	t.sink.begin(try)
}

func (t *pageTags) tag(ctx context.Context, tag string) (bool, error) {
	if t.number == 0 {
		t.first = tag
	}
	news, err := false, error(nil)
	if !t.again.goesOn(tag) {
		news, err = t.sink.tag(ctx, tag)
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
