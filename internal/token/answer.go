package token

import (
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
	Plain       string         `json:"token"`
	AccessToken string         `json:"access_token"`
	ExpiresIn   jsontext.Value `json:"expires_in"` // a number of seconds; some send a string

	RefreshToken string `json:"refresh_token"`
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
	seconds, err := strconv.ParseFloat(strings.Trim(string(a.ExpiresIn), `"`), 64)
	switch {
	case err != nil || !(seconds > 0):
		return defaultExpiry
	case seconds > maxExpiry.Seconds():
		return maxExpiry
	}
	return max(time.Duration(seconds*float64(time.Second)), 2*Margin)
}
