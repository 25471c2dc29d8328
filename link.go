package ocitags

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tomnomnom/linkheader"

	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
)

// maxLink bounds one Link target. The longest cursors seen are ECR's, of some
// 500 bytes; servers commonly refuse request lines of more than 8 KiB.
const maxLink = 8 << 10

// nextLink finds the link to the next page among the values of an answer's Link
// headers (RFC 8288, which replaced RFC 5988) and says where it leads from at,
// the URL that answered; nil where there is none. Its errors are ErrUnsafeLink,
// or ErrInvalidResponse for links that cannot be read or that contradict each
// other: a next page that cannot be found must not look like the end.
//
// What it returns is always at with another query. A registry names the next
// page by a cursor in the query; the rest of the target can only be what we
// know already, or wrong. Artifactory and Nexus lose or add a prefix of the
// path, Pulp and others behind proxies write http:// or an inner host name, and
// a hostile server may write anything. oddity says what is wrong with a link that
// is followed all the same; "": nothing.
//
// A link to our own list that has a cursor and no relation, or one that cannot be
// read, counts as next: whoever wrote it meant something by it, and a list that
// ends there would be short.
func nextLink(values []string, at *url.URL) (next *url.URL, oddity string, err error) {
	var unread *url.URL
	for _, value := range values {
		links, err := parseLinks(value)
		if err != nil {
			return nil, "", fmt.Errorf("%w: Link header %s: %w", ErrInvalidResponse, taglist.Quote(withoutQuery(value)), err)
		}
		for _, link := range links {
			if !isNext(link.Rel) {
				if u, err := resolveNext(link.URL, at); err == nil && !isReadable(link.Rel) && hasCursor(u.Query()) && u.RawQuery != at.RawQuery {
					unread = queryOf(u, at)
				}
				continue
			}
			u, err := resolveNext(link.URL, at)
			if err != nil {
				return nil, "", err
			}
			if !samePlace(u, at) {
				oddity = "it leads to " + bareURL(u) + ": only its query is followed"
			}
			there := queryOf(u, at)
			if next != nil && next.RawQuery != there.RawQuery {
				return nil, "", fmt.Errorf("%w: two Link headers name different next pages", ErrInvalidResponse)
			}
			next = there
		}
	}
	if next == nil && unread != nil {
		return unread, "its relation is missing or cannot be read", nil
	}
	return next, oddity, nil
}

// queryOf is at with the query of u, byte for byte, as cursors may be opaque; but
// a space would end the request line.
func queryOf(u, at *url.URL) *url.URL {
	there := *at
	there.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20")
	return &there
}

// hasCursor reports whether a query says more than how many tags are wanted.
func hasCursor(q url.Values) bool { return q.Get("last") != "" || hasOther(q) }

// isReadable reports whether rel is a list of relation types (RFC 8288 §3.3).
func isReadable(rel string) bool {
	types := strings.Fields(rel)
	for _, typ := range types {
		if strings.Trim(typ, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" && !strings.Contains(typ, ":") {
			return false
		}
	}
	return len(types) > 0
}

// isNext reports whether rel, a list of relation types separated by spaces
// (RFC 8288 §3.3), holds "next", in any case (§2.1.1).
func isNext(rel string) bool {
	for _, typ := range strings.Fields(rel) {
		if strings.EqualFold(typ, "next") {
			return true
		}
	}
	return false
}

// resolveNext reads the target of a next link, which must be a tag list.
func resolveNext(target string, at *url.URL) (*url.URL, error) {
	unsafe := func(why string) error {
		return fmt.Errorf("%w: the next page at %s %s", ErrUnsafeLink, taglist.Quote(withoutQuery(target)), why)
	}
	if len(target) > maxLink {
		return nil, unsafe(fmt.Sprintf("is longer than %d bytes", maxLink))
	}
	ref, err := url.Parse(target)
	if err != nil {
		return nil, unsafe("cannot be parsed") // url's errors repeat the URL, query and all
	}
	u := at.ResolveReference(ref)
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, unsafe("is not at an http or https host")
	}
	if !samePlace(u, at) && !strings.HasSuffix(u.Path, "/tags/list") {
		return nil, unsafe("is not a tag list")
	}
	return u, nil
}

// samePlace reports whether a and b differ in their query at most.
func samePlace(a, b *url.URL) bool { return origin.Same(a, b) && a.EscapedPath() == b.EscapedPath() }

// withoutQuery cuts a URL, well-formed or not, before its query.
func withoutQuery(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

// parseLinks reads one Link header. linkheader splits at every comma and
// semicolon, also inside <> and inside quotes, wants spaces just so and takes
// the last rel where RFC 8288 §3.3 takes the first. So it is given the header
// with all foreign text replaced by numbers, and its answer is filled in again.
func parseLinks(header string) (linkheader.Links, error) {
	m := masker{rest: header}
	masked, err := m.mask()
	if err != nil {
		return nil, err
	}
	links := linkheader.Parse(masked)
	for i := range links {
		links[i].URL = m.text(links[i].URL)
		links[i].Rel = m.text(links[i].Rel)
		if links[i].URL == "" && isNext(links[i].Rel) {
			return nil, errors.New("a next link without a target")
		}
	}
	return links, nil
}

// A masker rewrites a Link header to `<0>; rel="1", <2>; rel="3"`, and keeps
// what the numbers stand for.
type masker struct {
	rest  string
	texts []string
}

func (m *masker) put(text string) string {
	m.texts = append(m.texts, text)
	return strconv.Itoa(len(m.texts) - 1)
}

func (m *masker) text(number string) string {
	if i, err := strconv.Atoi(number); err == nil && 0 <= i && i < len(m.texts) {
		return m.texts[i]
	}
	return ""
}

// mask reads a list of link-values (RFC 8288 §3). Only rel is passed on of
// their parameters.
func (m *masker) mask() (string, error) {
	var values []string
	for {
		m.rest = strings.TrimLeft(m.rest, " \t,") // empty list elements: RFC 9110 §5.6.1
		if m.rest == "" {
			return strings.Join(values, ", "), nil
		}
		target, err := m.target()
		if err != nil {
			return "", err
		}
		value := "<" + m.put(target) + ">"
		var rels []string // one, by RFC 8288 §3.3; but if the second is next, it is meant
		for m.take(';') {
			name, text, err := m.param()
			if err != nil {
				return "", err
			}
			if strings.EqualFold(name, "rel") {
				rels = append(rels, text)
			}
		}
		if rels != nil {
			value += `; rel="` + m.put(strings.Join(rels, " ")) + `"`
		}
		if m.rest != "" && m.rest[0] != ',' {
			return "", errors.New("unexpected text after a link")
		}
		values = append(values, value)
	}
}

// take reports whether the next thing is c, and steps over it.
func (m *masker) take(c byte) bool {
	m.rest = strings.TrimLeft(m.rest, " \t")
	if m.rest == "" || m.rest[0] != c {
		return false
	}
	m.rest = strings.TrimLeft(m.rest[1:], " \t")
	return true
}

// target reads <URI>, or a URI without the angle brackets, which Cloudflare's
// serverless-registry sends: it then ends where its parameters begin.
func (m *masker) target() (string, error) {
	if !strings.HasPrefix(m.rest, "<") {
		end := len(m.rest)
		for i := range m.rest {
			if m.rest[i] == ';' && (i+1 == len(m.rest) || strings.ContainsRune(" \t", rune(m.rest[i+1])) ||
				len(m.rest) >= i+4 && strings.EqualFold(m.rest[i+1:i+4], "rel")) {
				end = i
				break
			}
		}
		target := strings.TrimRight(m.rest[:end], " \t")
		m.rest = m.rest[end:]
		return target, nil
	}
	target, rest, ok := strings.Cut(m.rest[1:], ">")
	if !ok || strings.ContainsRune(target, '<') {
		return "", errors.New("a target without its closing >")
	}
	// A ">" inside the URI, which should have been escaped: what follows the
	// real one is a parameter, another link or nothing.
	for {
		after := strings.TrimLeft(rest, " \t")
		if after == "" || after[0] == ';' || after[0] == ',' {
			break
		}
		more, tail, ok := strings.Cut(rest, ">")
		if !ok {
			return "", errors.New("unexpected text after a target")
		}
		target, rest = target+">"+more, tail
	}
	m.rest = rest
	return strings.TrimSpace(target), nil
}

// param reads one parameter: token [ = ( token / quoted-string ) ], with spaces
// round the "=" as RFC 8288 appendix B.3 allows.
func (m *masker) param() (name, text string, err error) {
	end := strings.IndexAny(m.rest, "=;,")
	if end < 0 {
		end = len(m.rest)
	}
	name, m.rest = strings.TrimRight(m.rest[:end], " \t"), m.rest[end:]
	if !m.take('=') {
		return name, "", nil
	}
	if strings.HasPrefix(m.rest, `"`) {
		text, m.rest, err = unquote(m.rest)
		return name, text, err
	}
	end = strings.IndexAny(m.rest, ";,")
	if end < 0 {
		end = len(m.rest)
	}
	text, m.rest = strings.TrimRight(m.rest[:end], " \t"), m.rest[end:]
	return name, text, nil
}

// unquote reads the quoted-string at the start of s (RFC 9110 §5.6.4) and
// returns what it holds and what follows it.
func unquote(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a quoted string without its end")
}
