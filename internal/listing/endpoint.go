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
// one of the likely values, such as the last tag of the page, or else last. A name that
// would have to be escaped is no name for it.
func cursorOf(link *url.URL, likely ...string) (name, cursor string) {
	q := link.Query()
	for _, value := range likely {
		for key, values := range q {
			has := len(values) == 1 && values[0] == value && key != "n" && key == url.QueryEscape(key)
			if has && value != "" && (name == "" || key == "last" || name != "last" && key < name) {
				name = key
			}
		}
		if name != "" {
			return name, value
		}
	}
	return "last", q.Get("last")
}

// cursorAmong is like cursorOf, for one that names any of some tags. A number is only taken
// for one if it is last: it may as well be that of the page.
func cursorAmong(link *url.URL, tags []string) (name, cursor string) {
	for key, values := range link.Query() {
		number := strings.Trim(values[0], "0123456789") == "" && key != "last"
		if key != "n" && !number && slices.Contains(tags, values[0]) && (name == "" || key < name) {
			name, cursor = key, values[0]
		}
	}
	return name, cursor
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
