// Package challenge reads WWW-Authenticate headers: RFC 9110 §11.6.1.
package challenge

import (
	"regexp"
	"strings"

	"github.com/ocitags/ocitags/internal/field"
)

// A Challenge is one of those in a 401. The zero value is none.
type Challenge struct {
	Scheme string            // in lower case
	Params map[string]string // names in lower case; of two with one name, the first
}

// token68 matches what Negotiate sends in place of parameters, up to the next comma.
var token68 = regexp.MustCompile(`^[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(,|$)`)

// Parse reads WWW-Authenticate headers. Each is a list of challenges, which are
// lists of parameters, with the same comma between both. A header is read as far
// as it can be understood.
func Parse(headers []string) []Challenge {
	var all []Challenge
	for _, rest := range headers {
		for {
			rest = strings.TrimLeft(rest, " \t,")
			name, after := field.CutToken(rest)
			if name == "" {
				break
			}
			value, hasValue := strings.CutPrefix(strings.TrimLeft(after, " \t"), "=")
			if !hasValue { // a scheme, with a token68 or nothing, or with parameters to come
				all = append(all, Challenge{strings.ToLower(name), map[string]string{}})
				rest = token68.ReplaceAllString(after, "$1")
				continue
			}
			if len(all) == 0 {
				break // a parameter of no challenge
			}
			value = strings.TrimLeft(value, " \t")
			var text string
			if strings.HasPrefix(value, `"`) {
				var err error
				if text, rest, err = field.Unquote(value); err != nil {
					break
				}
			} else {
				text, rest = field.CutToken(value)
				if end := strings.IndexAny(value, ", \t"); end > len(text) || end < 0 { // not a token, but sent: realm=https://…
					if end < 0 {
						end = len(value)
					}
					text, rest = value[:end], value[end:]
				}
			}
			if params, key := all[len(all)-1].Params, strings.ToLower(name); params[key] == "" {
				params[key] = text
			}
		}
	}
	return all
}

// Choose picks a Bearer challenge before a Basic one. other is the scheme that is asked
// for where neither is offered, such as Negotiate; "": there is none.
func Choose(headers []string) (c Challenge, other string) {
	all := Parse(headers)
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.Scheme == scheme {
				return c, ""
			}
		}
	}
	if len(all) > 0 {
		other = all[0].Scheme
	}
	return Challenge{}, other
}
