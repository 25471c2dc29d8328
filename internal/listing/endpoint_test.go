package listing

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The cursor of a link is in the parameter that names the last tag of the page.
func TestCursorOf(t *testing.T) {
	for query, want := range map[string]string{
		"n=2&last=b":        "last=b",
		"last=b&page=b":     "last=b",
		"last=x&marker=b":   "marker=b",
		"marker=b":          "marker=b",
		"marker=b&ns=x":     "marker=b",
		"n=b":               "last=",
		"marker=x":          "last=",
		"marker=b&marker=c": "last=",
		"a%26c=b":           "last=",
		"last=x&offset=2":   "offset=2",
		"offset=2&marker=b": "marker=b",
		"last=x":            "last=x",
		"":                  "last=",
	} {
		name, cursor := cursorOf(&url.URL{RawQuery: query}, "b", "2")
		assert.Equal(t, want, name+"="+cursor, query)
	}
	name, cursor := cursorOf(&url.URL{RawQuery: "last=&page="}, "")
	assert.Equal(t, "last=", name+"="+cursor, "an empty page has no last tag")
}

func TestNOf(t *testing.T) {
	for _, query := range []string{"", "n=5", "last=n&n=7", "an=1&n=2&n=3", "&n=4&last=a%26n%3D9", "n", "n=&last=b", "n=x", "last=b"} {
		u := &url.URL{RawQuery: query}
		want, _ := strconv.Atoi(u.Query().Get("n"))
		assert.Equal(t, want, nOf(u), query)
		assert.Equal(t, u.Query().Has("n"), hasN(u) == 1, query)
	}
	assert.Zero(t, nOf(nil))
}

// A Link may also name a tag before the last one.
func TestCursorAmong(t *testing.T) {
	for query, want := range map[string]string{
		"n=2&last=b":        "last=b",
		"key=b&last=a":      "last=a",
		"marker=b&ns=x":     "marker=b",
		"last=2":            "last=2",
		"page=2":            "=",
		"n=2":               "=",
		"a%26c=b":           "=",
		"marker=a&marker=b": "=",
		"last=x":            "=",
	} {
		name, cursor := cursorAmong(&url.URL{RawQuery: query}, []string{"2", "a", "b"})
		assert.Equal(t, want, name+"="+cursor, query)
	}
}

func TestEndpoint(t *testing.T) {
	list, _ := url.Parse("https://registry.example/v2/a/b/tags/list")
	e := endpoint{url: list}
	assert.Equal(t, "https://registry.example/v2/a/b/tags/list?n=2&last=a%2Bb", e.query(2, "a+b").String())
	assert.Equal(t, "https://registry.example/v2/a/b/tags/list", e.query(0, "").String())
	e.cursor = "marker"
	assert.Equal(t, "marker=c", e.query(0, "c").RawQuery)
	link := &url.URL{RawQuery: "n=2&marker=c&ns=x&orderby="}
	assert.Equal(t, "n=2&marker=d%2B&ns=x&orderby=", e.withCursor(link, "d+").RawQuery, "the rest stays, byte for byte")
	assert.True(t, e.hasMore(link))
	assert.False(t, e.hasMore(&url.URL{RawQuery: "n=2&marker=c&orderby="}))
}
