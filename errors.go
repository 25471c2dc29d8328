package ocitags

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/retry"
	"github.com/ocitags/ocitags/internal/taglist"
)

// The errors of a listing. They are matched by errors.Is; the error itself
// names the registry, the page and what was found.
var (
	ErrInvalidReference = errors.New("invalid reference")            // ref cannot be parsed
	ErrNotFound         = errors.New("no such repository")           // 404 on the first page
	ErrUnauthorized     = errors.New("access denied")                // 401, 403
	ErrRateLimited      = errors.New("rate limited")                 // 429 after the last attempt
	ErrLoop             = errors.New("the pages lead in a circle")   // pages repeat, or keep bringing nothing new
	ErrUnsafeLink       = errors.New("leads where it must not")      // a next link, a redirect or a token realm
	ErrInvalidResponse  = errors.New("the answer is not a tag list") // HTML, {}, bad JSON, a body cut short after all attempts
	ErrTooLarge         = errors.New("larger than the bounds allow") // MaxTags, or a bound on one response
)

// errStopped is that the consumer has enough. It never leaves the package.
var errStopped = errors.New("the consumer stopped the listing")

// An Error is a refusal by a registry or by its token server. It also matches
// one of the Err variables where one fits its status.
type Error struct {
	StatusCode int           // of HTTP
	Codes      []ErrorCode   // what the body gave as reasons; may be empty
	RetryAfter time.Duration // how long the server asked to wait; 0: it did not
	URL        string        // what was asked, without credentials and query

	method string // of HTTP; "": GET
	kind   error  // one of the Err variables, or nil
	hint   string // what to do
	token  bool   // it was the token server, not the registry
}

// An ErrorCode is one entry of an OCI error body (distribution-spec v1.1.1,
// "Error Codes"). Both fields are the server's, unchecked.
type ErrorCode struct {
	Code    string
	Message string
}

// Error gives the status, the reasons and a hint, on one line of printable text.
func (e *Error) Error() string {
	var b strings.Builder
	if e.token {
		b.WriteString("token server: ")
	}
	fmt.Fprintf(&b, "%s %s: %d %s", cmp.Or(e.method, "GET"), e.URL, e.StatusCode, http.StatusText(e.StatusCode))
	for _, c := range e.Codes {
		b.WriteString(": ")
		if len(c.Code) < 64 && strings.Trim(c.Code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
			b.WriteString(c.Code)
		} else {
			b.WriteString(taglist.Quote(c.Code))
		}
		if c.Message != "" {
			b.WriteString(" " + taglist.Quote(c.Message))
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; the server asks to wait %v", e.RetryAfter)
	}
	if e.hint != "" {
		b.WriteString("; " + e.hint)
	}
	return b.String()
}

// Unwrap returns the Err variable that fits, or nil.
func (e *Error) Unwrap() error { return e.kind }

// maxCodes bounds what an Error keeps of an error body.
const maxCodes = 10

// newError makes an Error of an answer with another status than 200.
func newError(resp *http.Response, body []byte) *Error {
	e := &Error{StatusCode: resp.StatusCode, URL: bareURL(resp.Request.URL), method: resp.Request.Method}
	var reasons struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &reasons) == nil { // anything else has no reasons that we could tell
		for _, reason := range reasons.Errors[:min(len(reasons.Errors), maxCodes)] {
			e.Codes = append(e.Codes, ErrorCode(reason))
		}
	}
	e.RetryAfter = retry.After(resp.Header.Get("Retry-After"), time.Now())
	for _, c := range e.Codes {
		e.RetryAfter = max(e.RetryAfter, retry.InMessage(c.Message))
	}
	return e
}

// failure says what became of a request that brought no answer, or not all of
// it. Errors of ours are kept as they are.
func failure(ctx context.Context, u *url.URL, err error) error {
	if b, ok := errors.AsType[*bound.Error](context.Cause(ctx)); ok {
		err = b
	}
	err = stripURL(err)
	if strings.Contains(err.Error(), "server response headers exceeded") { // net/http has no variable for it
		return fmt.Errorf("%w: GET %s: response headers of more than %d bytes", ErrTooLarge, bareURL(u), maxHeader)
	}
	if b, ok := errors.AsType[*bound.Error](err); ok && b.Err == nil || errors.Is(err, taglist.ErrTooLarge) {
		return fmt.Errorf("%w: GET %s: %w", ErrTooLarge, bareURL(u), err)
	}
	if _, ok := errors.AsType[*Error](err); ok || err == errStopped || err == errRepeat || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("GET %s: %w", bareURL(u), err)
}

// refusal makes an error of an answer with another status than 200.
func (l *listing) refusal(resp *http.Response, body []byte, bare bool) error {
	e := newError(resp, body)
	switch e.StatusCode {
	case http.StatusTooManyRequests:
		e.kind = ErrRateLimited
	case http.StatusUnauthorized, http.StatusForbidden:
		e.kind = ErrUnauthorized
		switch {
		case bare:
			return e
		case l.auth.sent.Load():
			e.hint = "the credential for " + l.repo.Host + " was sent"
		default:
			e.hint = "no credential was sent: none is known for " + l.repo.Host
		}
		// The Hub gives a token for any name, and then turns it down.
		if l.repo.Host == "docker.io" && strings.Contains(strings.Join(resp.Header.Values("WWW-Authenticate"), ","), "insufficient_scope") {
			e.hint += "; at Docker Hub this means that the repository does not exist, is private, or is an official image without library/ in front"
		}
	}
	return e
}

// permanentError marks an error that another attempt would not mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// stripURL takes off the *url.Error that net/http puts around its errors, which
// repeats the URL with its query, and makes the rest printable.
func stripURL(err error) error {
	if uerr, ok := errors.AsType[*url.Error](err); ok {
		err = uerr.Err
	}
	text := err.Error()
	if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r >= 0x7f }) {
		return printable{err, taglist.Quote(text)}
	}
	return err
}

// printable is an error whose own text holds bytes that came from the wire.
type printable struct {
	error
	text string
}

func (e printable) Error() string { return e.text }
func (e printable) Unwrap() error { return e.error }
