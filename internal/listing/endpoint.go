package listing

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An endpoint is where the pages of a list are requested.
type endpoint struct {
	url    *url.URL // without a query
	cursor string   // the parameter that names the tag before a page; "": last, as nearly everywhere
}

// query returns the URL of the page of n tags after last. With 0 it is without n, and with
// "" it is the first page.
func (e endpoint) query(n int, last string) *url.URL {
	u, params := *e.url, []string{}
	if n > 0 {
		params = append(params, "n="+strconv.Itoa(n))
	}
	if last != "" {
		params = append(params, e.param()+"="+url.QueryEscape(last))
	}
	u.RawQuery = strings.Join(params, "&")
	return &u
}

// param returns the parameter that has the cursor.
func (e endpoint) param() string { return cmp.Or(e.cursor, "last") }

// withCursor returns the URL of a page with another cursor.
func (e endpoint) withCursor(u *url.URL, cursor string) *url.URL {
	return WithParam(u, e.param(), url.QueryEscape(cursor))
}

// cursorOf returns the cursor of a link, and the parameter that has it: the one that has
// one of the likely values, such as the last tag of the page, or else last.
func cursorOf(link *url.URL, likely ...string) (name, cursor string) {
	for _, value := range likely {
		if name, cursor = paramOf(link, func(_, has string) bool { return has == value }); cursor != "" {
			return name, cursor
		}
	}
	return "last", link.Query().Get("last")
}

// cursorAmong is like cursorOf, for a cursor that may name any of some tags. A number in
// another parameter than last is passed over: it may be the number of a page.
func cursorAmong(link *url.URL, tags []string) (name, cursor string) {
	return paramOf(link, func(name, value string) bool {
		return (name == "last" || strings.Trim(value, "0123456789") != "") && slices.Contains(tags, value)
	})
}

// paramOf returns the parameter of a link for which is holds, apart from n, and its value. last
// comes before others. Names that need escaping are passed over, as the server might have chosen
// them to add to our queries.
func paramOf(link *url.URL, is func(name, value string) bool) (name, value string) {
	for key, values := range link.Query() {
		if key == "n" || key != url.QueryEscape(key) || len(values) != 1 || !is(key, values[0]) {
			continue
		}
		if name == "" || key == "last" || name != "last" && key < name {
			name, value = key, values[0]
		}
	}
	return name, value
}

// hasMore reports whether a link says more than its n and its cursor.
func (e endpoint) hasMore(link *url.URL) bool { return hasOther(link.Query(), e.param()) }

// HasCursor reports whether a query says more than how many tags are wanted.
func HasCursor(q url.Values) bool { return hasOther(q, "") }

// hasOther reports whether a query says something beside n and a parameter.
func hasOther(q url.Values, param string) bool {
	for name, values := range q {
		if name != "n" && name != param && strings.Join(values, "") != "" {
			return true
		}
	}
	return false
}

// WithParam returns u with another value of a parameter.
func WithParam(u *url.URL, name, value string) *url.URL {
	other := *u
	other.RawQuery = setParam(u.RawQuery, name, value)
	return &other
}

// setParam replaces the value of a query parameter and leaves the rest of the
// query as it is, to the byte.
func setParam(query, name, value string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if key, _, _ := strings.Cut(part, "="); key == name {
			parts[i] = name + "=" + value
		}
	}
	return strings.Join(parts, "&")
}
