package listing

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// A sentPage is a page as the registry has sent it.
type sentPage struct {
	tags string // and entries that are not tags, which begin with "!"
	link string // the query of its Link; "": it has none
	more bool   // has_additional
}

// What follows the pages that a registry has sent, where a Client remembers nothing of it.
func TestDecide(t *testing.T) {
	type pages = []sentPage // the decision is about the last of them
	for _, test := range []struct {
		name  string
		n     int
		pages pages
		want  string
	}{
		{"a Link that names the last tag", 3, pages{{tags: "a b c", link: "n=3&last=c"}},
			"follow n=3&last=c"},
		{"a Link with a cursor of its own", 3, pages{{tags: "a b c", link: "next=xyz"}},
			"follow next=xyz"},
		{"a Link after a page without a tag", 3, pages{{tags: "!a !b !c", link: "next=xyz"}},
			"follow next=xyz"},
		{"a list by age, in which the last tag may move", 3, pages{{tags: "c a b", link: "n=3&last=b"}},
			"follow n=3&last=a, which begins with b"},
		{"its page does not begin as it must", 3, pages{{tags: "c a b", link: "n=3&last=b"}, {tags: "x y"}},
			"if two orders: begin anew without n; if not: follow n=3&last=c, which begins with a"},
		{"its last page, and the tags before that", 3, pages{{tags: "c a b", link: "n=3&last=b"}, {tags: "b x y", link: "n=3&last=y"}, {tags: "y"}},
			"if two orders: begin anew without n; if not: ask n=3&last=b, which begins with x"},
		{"an announced page that is empty", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {}},
			"follow n=3&last=b, which begins with c"},
		{"an announced page that is the one before", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "a b c", link: "n=3&last=c"}},
			"follow n=3&last=b, which begins with c"},
		{"a Link whose cursor has another name", 3, pages{{tags: "a b c", link: "marker=c"}, {}},
			"follow marker=b, which begins with c"},
		{"a Link that says more than its cursor", 3, pages{{tags: "a b c", link: "last=c&ns=x"}, {}},
			"follow last=b&ns=x, which begins with c"},
		{"an offset that has another name", 3, pages{{tags: "a b c", link: "offset=3"}},
			"follow offset=2, which begins with c"},
		{"a Link that names a tag before the last one", 3, pages{{tags: "a b c", link: "last=a"}},
			"follow last=a, which begins with b"},
		{"a page that overlaps by itself", 3, pages{{tags: "a b c", link: "last=b"}, {tags: "c d e", link: "last=d"}},
			"follow last=d, which begins with e"},
		{"a page that might have overlapped", 3, pages{{tags: "a b c", link: "last=b"}, {tags: "d e f", link: "last=f"}},
			"follow last=f"},
		{"the number of a page", 3, pages{{tags: "a b c", link: "page=2"}},
			"follow page=2"},
		{"the last page, of small ones", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}},
			"compare without n"},
		{"the last page, of cursors that are not tags", 3, pages{{tags: "a b c", link: "next=xyz"}, {tags: "d"}},
			"compare without n"},
		{"the list without n has what came", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}, {tags: "a b c d"}},
			"complete: the list without n came in one answer"},
		{"the list without n has more", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}, {tags: "a B b C c d"}},
			"begin anew without n"},
		{"without n it is a page", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}, {tags: "a b", link: "n=2&last=b"}},
			"compare n=1000"},

		{"with the usual n it is a page", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}, {tags: "a b", link: "n=2&last=b"}, {tags: "a b c", link: "n=3&last=c"}},
			"if two orders: begin anew n=50; if not: complete: the last page has no Link"},
		{"with the usual n the list has no more", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}, {tags: "a b", link: "n=2&last=b"}, {tags: "a b c d"}},
			"complete: a page that had room for more has all tags that are known"},
		{"with the usual n the list has more", 3, pages{{tags: "a b c", link: "n=3&last=c"}, {tags: "d"}, {tags: "a b", link: "n=2&last=b"}, {tags: "a B b c", link: "n=1000&last=c"}},
			"begin anew n=1000"},

		{"a full page without a Link", 3, pages{{tags: "a b c"}},
			"ask n=3&last=b, which begins with c"},
		{"a page with more than n", 3, pages{{tags: "a b c d e f"}},
			"ask n=3&last=e, which begins with f"},
		{"a page without n", -1, pages{{tags: "a b c"}},
			"ask last=b, which begins with c"},
		{"a question that brings more", 3, pages{{tags: "a b c"}, {tags: "c d e"}},
			"ask n=3&last=d, which begins with e"},
		{"a question that brings the last tag", 3, pages{{tags: "a b c"}, {tags: "c"}},
			"compare n=1000"},
		{"a question that brings nothing", 3, pages{{tags: "a b c"}, {}},
			"ask n=3&last=a, which begins with b"},
		{"a question that brings other tags", 3, pages{{tags: "a b c"}, {tags: "x y"}},
			"ask n=3&last=a, which begins with b"},

		{"has_additional", 3, pages{{tags: "a b", more: true}},
			"ask n=2&last=a, which begins with b"},
		{"has_additional, and no tag", 3, pages{{more: true}},
			"response is not a tag list: GET https://registry.example/v2/a/b/tags/list: has_additional is true, but nothing leads to the next page"},
		{"a page of other entries", 3, pages{{tags: "!a !b"}},
			"begin anew without n"},
		{"no tag", 3, pages{{}},
			"begin anew without n"},
		{"no tag without n either", 3, pages{{}, {}},
			"complete: the list without n is empty too"},
		{"the order of object keys", 3, pages{{tags: "a-1 a b"}},
			"begin anew without n"},
	} {
		o := options(t, nil)
		o.PageSize = test.n
		l := New(o)
		l.yield = func(string) bool { return true }
		s := newTagsList(l)
		sink := &foreground{Listing: l, src: s}
		var ans *Answer
		var err error
		for cur, i := s.First(), 0; i < len(test.pages); i++ {
			require.NoError(t, err, test.name)
			require.NotNil(t, cur, test.name)
			ans, err = decided(t, s, sink, cur, test.pages[i])
			cur = ans.Next
		}
		got := decision(ans, err)
		if ans.doubt != nil {
			before, open := *s, *ans
			got = "if two orders: " + decision(ans.doubt.then(true))
			*s, *ans = before, open
			got += "; if not: " + decision(ans.doubt.then(false))
		}
		assert.Equal(t, test.want, got, test.name)
	}
}

// Where each page is sorted, and the list is not, the pages come from servers that sort in
// different ways.
func TestMixed(t *testing.T) {
	const byBytes, folded = "1 2 3 4 A B Z a b", "c D d E e F f g"
	for _, test := range []struct {
		name  string
		pages []string
		want  bool
	}{
		{"two orders", []string{byBytes, folded, "h"}, true},
		{"one order", []string{byBytes, "c d e f g h i j", "k"}, false},
		{"none", []string{byBytes, folded, "z y x"}, false},
		{"none from the start", []string{"3 1 2 4 A B Z a b", folded}, false},
		{"pages of few tags", []string{"1 Z a", "c D d", "e F f"}, false},
		{"object keys", []string{"a-1 a b c d e f g", "h-1 h i j k l m n"}, false},
	} {
		s := newTagsList(New(options(t, nil)))
		s.Listing.yield = func(string) bool { return true }
		sink := &foreground{Listing: s.Listing, src: s}
		last := ""
		for i, tags := range test.pages {
			cur := s.First()
			if i > 0 {
				cur = linkedPage(s.query(0, last))
				cur.after = last
			}
			last = tags[strings.LastIndex(tags, " ")+1:]
			_, err := decided(t, s, sink, cur, sentPage{tags: tags, link: "last=" + last})
			require.NoError(t, err, test.name)
		}
		assert.Equal(t, test.want, s.mixed(), test.name)
	}
}

// Whether what comes after the first tags of a page may show that it is the list.
func TestMayBeCovered(t *testing.T) {
	const keys = "0-1 0 1-1 1 2-1 2 3 a-1 a" // sorted as keys of objects, and not otherwise
	for _, test := range []struct {
		name string
		page sentPage
		want bool
	}{
		{"digits before letters", sentPage{tags: keys}, true},
		{"the same beginning", sentPage{tags: "a0-1 a0 a1-1 a1 a2-1 a2 a3-1 a3"}, false},
		{"letters, and upper case may be hidden", sentPage{tags: "B a C b D c E d"}, false},
		{"any order", sentPage{tags: "0 1 2 3 4 5 6 7 8 9 a"}, false},
		{"no known order", sentPage{tags: "8 a 1 b 2 c 0 d 1"}, false},
		{"too few to leave one out", sentPage{tags: "0-1 0"}, false},
		{"more", sentPage{tags: keys, more: true}, false},
	} {
		s := newTagsList(New(options(t, nil)))
		s.Listing.yield = func(string) bool { return true }
		sink := &foreground{Listing: s.Listing, src: s}
		_, err := decided(t, s, sink, s.First(), test.page)
		require.NoError(t, err, test.name)
		assert.Equal(t, test.want, s.mayBeCovered(), test.name)
		s.total++
		assert.False(t, s.mayBeCovered(), "%s, and another tag", test.name)
		s.total--
		s.cover.tried = true
		assert.False(t, s.mayBeCovered(), "%s, and it was asked", test.name)
	}
}

// A list that was read as often as it may be seems to be complete, as one question shows, and
// then another question shows a tag that it lacks: that is an error which names the list.
func TestListReadTooOften(t *testing.T) {
	answers := []string{`"1-1","1","2-1","2","3","a-1","a"`, `"b"`}
	s := newTagsList(New(options(t, new(regtest.Network).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"name":"a/b","tags":[%s]}`, answers[0])
		answers = answers[1:]
	})))))
	s.Listing.yield = func(string) bool { return true }
	sink := &foreground{Listing: s.Listing, src: s}
	_, err := decided(t, s, sink, s.First(), sentPage{tags: "0-1 0 1-1 1 2-1 2 3 a-1 a"})
	require.NoError(t, err)
	s.began, s.strays, s.roomy, s.longest = maxRelists, true, 0, 0
	_, err = s.Page(t.Context(), s.First(), sink)
	require.ErrorIs(t, err, ocierr.ErrInvalidResponse)
	assert.ErrorContains(t, err, "https://registry.example/v2/a/b/tags/list: the registry sorts")
	assert.Empty(t, answers)
}

// decided is the decision about a page that was asked for.
func decided(t *testing.T, s *tagsList, sink Sink, cur *Cursor, page sentPage) (*Answer, error) {
	entries := strings.Fields(page.tags)
	rep := &wire.Response{Summary: taglist.Summary{Entries: len(entries)}, Asked: cur.URL, URL: cur.URL}
	if page.link != "" {
		rep.Links = []string{`<?` + page.link + `>; rel="next"`}
	}
	if page.more {
		rep.More = &page.more
	}
	var tags []string
	for _, entry := range entries {
		if rep.Tail = entry; !strings.HasPrefix(entry, "!") {
			tags, rep.Tail = append(tags, entry), ""
		}
	}
	rep.Skipped = len(entries) - len(tags)
	to := s.NewPage(cur, sink)
	to.Begin(1)
	_, err := to.Tags(t.Context(), tags)
	require.NoError(t, err)
	return s.decide(t.Context(), cur, rep, to)
}

// decision is what follows a page, in words.
func decision(ans *Answer, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case ans.Next == nil:
		return "complete: " + ans.Why
	}
	text := [...]string{begin: "begin anew", announced: "follow", asked: "ask", sought: "seek", compare: "compare"}[ans.Next.kind]
	query, _ := url.QueryUnescape(ans.Next.URL.RawQuery)
	text += " " + cmp.Or(query, "without n")
	if ans.Next.must != "" {
		text += ", which begins with " + ans.Next.must
	}
	return text
}
