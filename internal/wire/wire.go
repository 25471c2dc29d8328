// Package wire asks a registry for pages: one at a time, with the tries, the bounds
// and the redirects of each. It knows the origin that the user has named, and no
// dialect and no credential.
package wire

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
)

// The bounds on what one server may cost. Each fails with an error that names it.
const (
	MaxBody       = 1 << 30          // bytes of one tag list, decompressed: 8 million of the longest tags
	MaxErrorBody  = 64 << 10         // bytes of one error body
	MaxHeader     = 1 << 20          // bytes of a response's header, Go's own default
	MaxRedirects  = 5                // registry.k8s.io and Harbor use one
	MaxSkipped    = 10_000_000       // entries that are not tags, and ten times the tags
	MaxRetryAfter = 60 * time.Second // more is an error: nobody waits that long unasked
	MaxIdle       = 60 * time.Second // without a byte from the server
	MaxAnswerTime = 10 * time.Minute // of waiting for one answer

	maxRefused = 2 // tries of a connection that is refused
)

// A Client sends the requests of one listing. Its methods may be called by several
// goroutines at once.
type Client struct {
	Home        *url.URL          // of the list: where the user has sent us
	Authorized  http.RoundTripper // sends with the user's authorization
	Carrier     *Carrier          // sends without any
	UserAgent   string
	MaxAttempts int
	MaxBody     int64   // bytes of one answer; 0: MaxBody
	Pauses      *Pauses // shared with other listings
	Log         *slog.Logger

	// Refuse makes an error of an answer with another status than 200.
	Refuse func(resp *http.Response, body []byte, anonymous bool) Refused

	skips skips
}

// A Sink takes the tags of one page.
type Sink interface {
	// Begin is called before each try to read the page. From the second on the
	// tags of the one before come again.
	Begin(try int)

	// Tags takes some tags. The slice is valid during the call. An error ends the
	// page, and Get returns it unchanged.
	Tags(ctx context.Context, batch []string) error
}

// A Request is for one page.
type Request struct {
	URL       *url.URL
	Anonymous bool                                    // without authorization
	Once      bool                                    // without retries
	Tries     int                                     // that were made before
	Ahead     func() bool                             // reports whether it is not its turn yet; then a 429 is not waited for
	Header    func(*Response)                         // called when the header of a page has come, in each try; nil: nobody waits for it
	Again     func(u *url.URL, failed error) *url.URL // called before each further try, says where that goes; nil: to the same
}

// A Response is what one request brought, beside its tags.
type Response struct {
	taglist.Summary
	Asked    *url.URL // what was asked at last, with the query that redirects have left of it; never nil
	URL      *url.URL // what answered, after redirects; nil: nothing did
	Links    []string // its Link headers
	Major    int      // version of HTTP
	Attempts int
	Took     time.Duration // of the last attempt
}

// Get asks for one page and hands its tags to a sink as they arrive. It tries
// again, with the whole page, when that may help.
func (c *Client) Get(ctx context.Context, req Request, to Sink) (*Response, error) {
	attempts := c.Attempts()
	attempts.made = req.Tries
	for {
		if err := c.Pauses.wait(ctx, c.Home.Host); err != nil {
			return &Response{Asked: req.URL}, err
		}
		to.Begin(attempts.made + 1)
		resp, err := c.attempt(ctx, req, to)
		resp.Attempts = attempts.made + 1
		if err == nil || req.Once {
			return resp, unwrapSink(err)
		}
		if ours, ok := err.(sinkError); ok {
			return resp, ours.error
		}
		if _, ok := errors.AsType[Final](err); ok {
			return resp, err
		}
		if ctx.Err() != nil {
			return resp, fmt.Errorf("GET %s: %w", origin.WithoutSecrets(req.URL), bound.Ended(ctx))
		}
		retryAfter, ok := retryable(err)
		c.Pauses.pause(c.Home.Host, retryAfter)
		if refused, is := errors.AsType[Refused](err); ok && is && refused.Status == http.StatusTooManyRequests && req.Ahead != nil && req.Ahead() {
			return resp, err
		}
		if again, err := attempts.Next(ctx, err); !again {
			return resp, err
		}
		if req.Again != nil {
			req.URL = req.Again(req.URL, err)
		}
	}
}

// attempt sends one request and reads its answer.
func (c *Client) attempt(ctx context.Context, req Request, to Sink) (rep *Response, err error) {
	rep = &Response{Asked: req.URL}
	ctx = context.WithValue(ctx, dialFor{}, dialing{ctx, net.JoinHostPort(c.Home.Hostname(), origin.Port(c.Home)), c.Carrier.connections})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := &bound.Watch{Idle: MaxIdle, Total: MaxAnswerTime, Cancel: cancel}
	ctx = context.WithValue(ctx, watchKey{}, watch)
	began, status := time.Now(), 0
	defer func() { c.logRequest(ctx, req.URL, status, rep, time.Since(began), err) }()

	hreq, err := http.NewRequestWithContext(ctx, http.MethodGet, req.URL.String(), nil)
	if err != nil {
		return rep, Permanent{fmt.Errorf("%w: the URL cannot be asked", ocierr.ErrUnsafeLink)}
	}
	hreq.Header.Set("Accept", "application/json")
	hreq.Header.Set("User-Agent", c.UserAgent)
	client := &http.Client{Transport: c.Authorized, CheckRedirect: checkRedirect}
	if req.Anonymous {
		client.Transport = c.Carrier
	}
	var resp *http.Response
	werr := watch.Wait(func() { resp, err = client.Do(hreq) })
	if err != nil {
		return rep, failure(ctx, req.URL, err)
	}
	// What is left of a body is not read: it is a failure, or the consumer has
	// enough, and nobody should wait for it.
	defer func() { _ = resp.Body.Close() }()
	if werr != nil {
		return rep, failure(ctx, req.URL, werr)
	}
	status, rep.URL, rep.Links, rep.Major = resp.StatusCode, resp.Request.URL, resp.Header.Values("Link"), resp.ProtoMajor
	body := &bound.Body{R: resp.Body, Watch: watch, Max: cmp.Or(c.MaxBody, MaxBody)}
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case headerSize(resp.Header) > MaxHeader:
		return rep, fmt.Errorf("%w: GET %s: response headers of more than %d bytes", ocierr.ErrTooLarge, origin.WithoutSecrets(req.URL), MaxHeader)
	case status != http.StatusOK:
		text, err := io.ReadAll(io.LimitReader(body, MaxErrorBody))
		if err != nil && ctx.Err() != nil {
			return rep, failure(ctx, req.URL, err)
		}
		return rep, c.Refuse(resp, text, req.Anonymous)
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return rep, fmt.Errorf("%w: GET %s: found Content-Encoding %s, which was not asked for", ocierr.ErrInvalidResponse, origin.WithoutSecrets(req.URL), taglist.Quote(encoding))
	}

	rep.Asked = answered(req.URL, rep.URL)
	if req.Header != nil {
		begun := *rep // which nobody changes
		req.Header(&begun)
	}
	err = c.decode(ctx, rep, resp.Header, body, to)
	rep.Took = time.Since(began)
	return rep, err
}

// decode reads the tags of an answer.
func (c *Client) decode(ctx context.Context, rep *Response, header http.Header, body io.Reader, to Sink) error {
	now, _ := http.ParseTime(header.Get("Date"))
	var stop error // of the sink, or a bound
	var err error
	tags, skipped := 0, 0
	rep.Summary, err = taglist.Decode(stoppable{body, &stop}, taglist.Handler{
		Tags: func(batch []string) error {
			tags += len(batch)
			if err := to.Tags(ctx, batch); err != nil {
				stop = sinkError{err}
			}
			return stop
		},
		Skip: func(reason taglist.Reason, text string) {
			if skipped++; skipped > MaxSkipped+10*tags && stop == nil {
				stop = fmt.Errorf("%w: GET %s: more than %d entries that are not tags", ocierr.ErrTooLarge, origin.WithoutSecrets(rep.Asked), MaxSkipped)
			}
			c.skipped(ctx, reason, text)
		},
		Now: now,
	})
	if stop != nil {
		return stop
	}
	if notList, ok := errors.AsType[*taglist.Error](err); ok {
		return fmt.Errorf("%w: GET %s: %w (Content-Type %s)", ocierr.ErrInvalidResponse, origin.WithoutSecrets(rep.Asked), notList, taglist.Quote(header.Get("Content-Type")))
	}
	if err != nil {
		return failure(ctx, rep.Asked, cutShort{err})
	}
	return nil
}

// A stoppable reader ends with an error once there is one.
type stoppable struct {
	io.Reader
	stop *error
}

func (r stoppable) Read(p []byte) (int, error) {
	if *r.stop != nil {
		return 0, *r.stop
	}
	return r.Reader.Read(p)
}

// Discard reads what is left of a short body, so that the connection can be
// used again, and closes it.
func Discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, MaxErrorBody)
	_ = resp.Body.Close()
}

// Release reads what an answer has, up to a bound, and lets go of its connection:
// the body is then in memory.
func Release(resp *http.Response) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxErrorBody))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failingReader{err}))
}

// A failingReader has nothing, and fails with err or ends.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, cmp.Or(r.err, io.EOF) }

func headerSize(h http.Header) (n int) {
	for name, values := range h {
		for _, value := range values {
			n += len(name) + len(value) + 4 // ": " and CR LF
		}
	}
	return n
}
