package wire

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
)

// Refused is an answer with another status than 200.
type Refused struct {
	Err        error // what the user is told
	Status     int
	RetryAfter time.Duration // how long the server asked to wait

	TokenServer bool   // it is a token server's, and says nothing about the list
	NotTheList  bool   // what is refused is neither n nor last, but the name or the scheme
	NotFound    func() // makes Err say that there is no such repository; nil: it can't be
}

func (e Refused) Error() string { return e.Err.Error() }
func (e Refused) Unwrap() error { return e.Err }

// IsNotFound says that there is no such repository, which only the listing can tell.
func (e Refused) IsNotFound() {
	if e.NotFound != nil {
		e.NotFound()
	}
}

// Final is an error that says nothing about the page, such as that no authorization
// was to be had. It is returned as it is, and asking again does not mend it.
type Final struct{ Err error }

func (e Final) Error() string { return e.Err.Error() }
func (e Final) Unwrap() error { return e.Err }

// sinkError marks the errors of a sink.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

func unwrapSink(err error) error {
	if ours, ok := err.(sinkError); ok {
		return ours.error
	}
	return err
}

// failure says what became of a request that brought no answer, or not all of
// it. Errors of ours are kept as they are.
func failure(ctx context.Context, u *url.URL, err error) error {
	body, cut := err.(cutShort)
	if cut {
		err = body.error
	}
	if b, ok := errors.AsType[*bound.Error](context.Cause(ctx)); ok {
		err = b
	}
	err = StripURL(err)
	if strings.Contains(err.Error(), "server response headers exceeded") { // net/http has no variable for it
		return fmt.Errorf("%w: GET %s: response headers of more than %d bytes", ocierr.ErrTooLarge, origin.WithoutSecrets(u), MaxHeader)
	}
	if b, ok := errors.AsType[*bound.Error](err); ok && b.Err == nil || errors.Is(err, taglist.ErrTooLarge) {
		return fmt.Errorf("%w: GET %s: %w", ocierr.ErrTooLarge, origin.WithoutSecrets(u), err)
	}
	if _, ok := errors.AsType[Final](err); ok {
		return err
	}
	if errors.Is(err, ocierr.ErrTooLarge) {
		return err
	}
	if _, ok := errors.AsType[*bound.Error](err); cut && !ok {
		return fmt.Errorf("%w: GET %s: %w: %w", ocierr.ErrInvalidResponse, origin.WithoutSecrets(u), ErrCutShort, err)
	}
	return fmt.Errorf("GET %s: %w", origin.WithoutSecrets(u), err)
}

// ErrCutShort is that an answer began as a tag list and did not come to its end.
var ErrCutShort = errors.New("the answer was cut short")

// cutShort marks the errors of a body for failure.
type cutShort struct{ error }

// Permanent marks an error that another attempt would not mend.
type Permanent struct{ Err error }

func (e Permanent) Error() string { return e.Err.Error() }

func (e Permanent) Unwrap() error { return e.Err }

// StripURL takes off the *url.Error that net/http puts around its errors, which
// repeats the URL with its query, and makes the rest printable.
func StripURL(err error) error {
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
