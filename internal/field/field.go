// Package field reads what the values of HTTP header fields are made of: RFC 9110
// §5.6.
package field

import (
	"errors"
	"strings"
)

// CutToken splits a token (RFC 9110 §5.6.2) off the front of s.
func CutToken(s string) (token, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !(r > 0x20 && r < 0x7f) || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// Unquote reads the quoted-string at the start of s (RFC 9110 §5.6.4), and returns
// the text in it and the rest of s.
func Unquote(s string) (text, rest string, err error) {
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
