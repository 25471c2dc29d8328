package token

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// defaultExpiry is how long a token without expires_in is good for: "For
	// compatibility with older clients, a token should never be returned with
	// less than 60 seconds to live" (distribution's token specification).
	defaultExpiry = 60 * time.Second

	// maxExpiry bounds what a token server says; a day is longer than any.
	maxExpiry = 24 * time.Hour
)

// An Answer is what a token server sends. Some send only one of the two tokens,
// and Harbor sends an empty access_token beside the token.
type Answer struct {
	Plain        string // token
	AccessToken  string // access_token
	RefreshToken string // refresh_token
	ExpiresIn    string // expires_in as it was written: a number of seconds; some send a string
}

var (
	errNoObject = errors.New("the answer is not one JSON object")
	errNoText   = errors.New("a token is not a string")
)

// Decode reads an answer. A name that comes twice is an error: two readers of it would
// see two tokens.
func Decode(body []byte) (a Answer, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if begin, err := d.ReadToken(); err != nil || begin.Kind() != '{' {
		return a, cmp.Or(err, errNoObject)
	}
	texts := map[string]*string{"token": &a.Plain, "access_token": &a.AccessToken, "refresh_token": &a.RefreshToken}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return a, err
		}
		text, expires := texts[name.String()], name.String() == "expires_in" // name is valid up to here
		value, err := d.ReadValue()
		switch {
		case err != nil:
			return a, err
		case expires:
			a.ExpiresIn = string(value)
		case text == nil || value.Kind() == 'n':
		case value.Kind() != '"':
			return a, errNoText
		default:
			unquoted, err := jsontext.AppendUnquote(nil, value)
			if err != nil {
				return a, err
			}
			*text = string(unquoted)
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return a, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return a, cmp.Or(err, errNoObject)
	}
	return a, nil
}

// Token returns the token; "": there is none.
func (a Answer) Token() string {
	if a.Plain != "" {
		return a.Plain
	}
	return a.AccessToken
}

// Life returns how long the token is good for, from now. issued_at is not looked
// at, so that a server whose clock is wrong does no harm. A token that ends sooner
// than Margin is used for twice as long as that: it may serve, and a 401 tells if
// it does not.
func (a Answer) Life() time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(a.ExpiresIn, `"`), 64)
	switch {
	case err != nil || !(seconds > 0):
		return defaultExpiry
	case seconds > maxExpiry.Seconds():
		return maxExpiry
	}
	return max(time.Duration(seconds*float64(time.Second)), 2*Margin)
}
