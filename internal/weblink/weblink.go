// Package weblink reads Link headers: RFC 8288, which replaced RFC 5988.
package weblink

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tomnomnom/linkheader"

	"github.com/ocitags/ocitags/internal/field"
)

// A Link is one link-value of a Link header.
type Link struct {
	Target string // a URI reference, as it was sent
	Rel    string // relation types, separated by spaces; "": none was sent
}

// IsNext reports whether the relation types of l (RFC 8288 §3.3) hold "next", in
// any case (§2.1.1).
func (l Link) IsNext() bool {
	for _, typ := range strings.Fields(l.Rel) {
		if strings.EqualFold(typ, "next") {
			return true
		}
	}
	return false
}

// HasRelation reports whether Rel is a list of relation types. If it is not, the
// server meant something that cannot be read.
func (l Link) HasRelation() bool {
	types := strings.Fields(l.Rel)
	for _, typ := range types {
		if strings.Trim(typ, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" && !strings.Contains(typ, ":") {
			return false
		}
	}
	return len(types) > 0
}

// Parse reads one Link header.
//
// The linkheader package splits at each comma and semicolon, even inside <> and
// inside quotes, expects spaces in one place only, and takes the last rel where
// RFC 8288 §3.3 takes the first. So it gets the header with all foreign text
// replaced by numbers, and Parse puts the text back into its result.
func Parse(header string) ([]Link, error) {
	m := masker{rest: header}
	masked, err := m.mask()
	if err != nil {
		return nil, err
	}
	var links []Link
	for _, parsed := range linkheader.Parse(masked) {
		link := Link{Target: m.text(parsed.URL), Rel: m.text(parsed.Rel)}
		if link.Target == "" && link.IsNext() {
			return nil, errors.New("a next link without a target")
		}
		links = append(links, link)
	}
	return links, nil
}

// A masker rewrites a Link header to `<0>; rel="1", <2>; rel="3"`, and keeps
// the texts that the numbers stand for.
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
		return "", errors.New("missing '>'")
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
		text, m.rest, err = field.Unquote(m.rest)
		return name, text, err
	}
	end = strings.IndexAny(m.rest, ";,")
	if end < 0 {
		end = len(m.rest)
	}
	text, m.rest = strings.TrimRight(m.rest[:end], " \t"), m.rest[end:]
	return name, text, nil
}
