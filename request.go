package ocitags

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/retry"
	"github.com/ocitags/ocitags/internal/taglist"
)

// A request is for one page.
type request struct {
	url   *url.URL
	bare  bool                                    // without authorization
	once  bool                                    // without retries
	again func(u *url.URL, failed error) *url.URL // called before each further try, says where that goes; nil: to the same
}

// A reply is what one request brought, beside its tags.
type reply struct {
	taglist.Summary
	asked    *url.URL // what was asked at last
	answered *url.URL // what answered, after redirects
	links    []string // its Link headers
	major    int      // version of HTTP
	attempts int
	took     time.Duration // of the last attempt
}

// read asks for one page and hands its tags to a sink as they arrive. It tries
// again, with the whole page, when that may help.
func (l *listing) read(ctx context.Context, req request, to sink) (reply, error) {
	attempts := l.attempts()
	for {
		if err := l.rest(ctx); err != nil {
			return reply{}, err
		}
		to.begin(attempts.made + 1)
		rep, err := l.attempt(ctx, req, to)
		rep.attempts = attempts.made + 1
		if err == nil || err == errStopped {
			return rep, err
		}
		if err == errForgotten {
			if err := l.recall(ctx); err != nil {
				return rep, err
			}
			continue // with what it knows again
		}
		if req.once {
			return rep, err
		}
		if _, ok := errors.AsType[authorizationError](err); ok {
			return rep, err // it says itself what it waited for, and was tried again
		}
		if ctx.Err() != nil {
			return rep, fmt.Errorf("GET %s: %w", withoutSecrets(req.url), bound.Ended(ctx))
		}
		retryAfter, ok := retryable(err)
		l.quiet(retryAfter)
		if ok && !to.leads() && status(err) == http.StatusTooManyRequests {
			return rep, err
		}
		if again, err := attempts.next(ctx, err); !again {
			return rep, err
		}
		if req.again != nil {
			req.url = req.again(req.url, err)
		}
	}
}

// attempts counts the tries of one request, and waits between them.
type attempts struct {
	log   *slog.Logger
	most  int
	made  int
	waits *backoff.ExponentialBackOff
}

func (l *listing) attempts() *attempts {
	a := &attempts{log: l.log(), most: l.client.MaxAttempts, waits: retry.Waits()}
	if a.most == 0 {
		a.most = defaultMaxAttempts
	}
	return a
}

// next waits before another try after one that failed with err. It reports false
// where none is made, with the error to return.
func (a *attempts) next(ctx context.Context, err error) (again bool, _ error) {
	a.made++
	retryAfter, ok := retryable(err)
	switch {
	case !ok || retryAfter > maxRetryWait:
		return false, err
	case a.made >= a.most, a.made >= maxRefused && errors.Is(err, syscall.ECONNREFUSED):
		if a.made > 1 {
			err = fmt.Errorf("%w (tried %d times)", err, a.made)
		}
		return false, err
	}
	wait := retryAfter + a.waits.NextBackOff() // drawn by each, so that they do not come back together
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false, fmt.Errorf("%w; the next try would be in %v: %w", err, wait.Round(time.Millisecond), context.DeadlineExceeded)
	}
	a.log.DebugContext(ctx, "trying again", "wait", wait, "because", err.Error())
	if !sleep(ctx, wait) {
		return false, fmt.Errorf("%w; while waiting to try again: %w", err, bound.Ended(ctx))
	}
	return true, nil
}

// quiet keeps a registry's Retry-After for all listings of this Client, so that they
// need not be told one by one.
func (l *listing) quiet(retryAfter time.Duration) {
	if retryAfter > 0 {
		l.client.learn(l.home.Host, func(h *habits) { h.quiet = time.Now().Add(retryAfter) })
	}
}

// rest waits while the registry wants no requests, by what it has told another
// listing of this Client.
func (l *listing) rest(ctx context.Context) error {
	for {
		wait := time.Until(l.client.habits(l.home.Host).quiet)
		if wait <= 0 {
			return nil
		}
		wait += retry.Waits().NextBackOff()
		tooLong := fmt.Errorf("%w: %s wants no requests for %v", ErrRateLimited, l.home.Host, wait.Round(time.Millisecond))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return fmt.Errorf("%w: %w", tooLong, context.DeadlineExceeded)
		}
		if !sleep(ctx, wait) {
			return fmt.Errorf("%w: %w", tooLong, bound.Ended(ctx))
		}
	}
}

// sleep waits for d, and reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryable reports whether another attempt may mend err, and how long the
// server asked to wait before it.
func retryable(err error) (retryAfter time.Duration, ok bool) {
	if refusal, ok := errors.AsType[*Error](err); ok {
		switch refusal.StatusCode {
		case 408, 425, 429, 499, 500, 502, 503, 504, 522:
			return refusal.RetryAfter, true
		}
		return 0, false
	}
	for _, final := range []error{errStopped, errRepeat, ErrUnsafeLink, ErrTooLarge, ErrLoop, ErrUnauthorized, http.ErrSchemeMismatch} {
		if errors.Is(err, final) {
			return 0, false
		}
	}
	if _, ok := errors.AsType[permanentError](err); ok {
		return 0, false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return 0, false
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return 0, false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return 0, false
	}
	// A body that was cut short, or a connection that failed.
	return 0, !errors.Is(err, ErrInvalidResponse) || errors.Is(err, errCutShort) || errors.Is(err, io.ErrUnexpectedEOF)
}

// attempt sends one request and reads its answer.
func (l *listing) attempt(ctx context.Context, req request, to sink) (rep reply, err error) {
	ctx = context.WithValue(ctx, dialFor{}, dialing{ctx, net.JoinHostPort(l.home.Hostname(), origin.Port(l.home)), l.connections})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := &bound.Watch{Idle: maxIdle, Total: maxAnswerTime, Cancel: cancel}
	ctx = context.WithValue(ctx, watchKey{}, watch)
	began, status := time.Now(), 0
	rep.asked = req.url
	defer func() { l.tellRequest(ctx, req.url, status, rep, time.Since(began), err) }()

	hreq, err := http.NewRequestWithContext(ctx, http.MethodGet, req.url.String(), nil)
	if err != nil {
		return rep, permanentError{fmt.Errorf("%w: the URL cannot be asked", ErrUnsafeLink)}
	}
	hreq.Header.Set("Accept", "application/json")
	hreq.Header.Set("User-Agent", l.client.userAgent())
	client := l.http
	if req.bare {
		client = l.bare
	}
	var resp *http.Response
	werr := watch.Wait(func() { resp, err = client.Do(hreq) })
	if err != nil {
		return rep, failure(ctx, req.url, err)
	}
	// What is left of a body is not read: it is a failure, or the consumer has
	// enough, and nobody should wait for it.
	defer func() { _ = resp.Body.Close() }()
	if werr != nil {
		return rep, failure(ctx, req.url, werr)
	}
	status, rep.answered, rep.links, rep.major = resp.StatusCode, resp.Request.URL, resp.Header.Values("Link"), resp.ProtoMajor
	body := &bound.Body{R: resp.Body, Watch: watch, Max: cmp.Or(l.client.bodyBound, maxBody)}
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case headerSize(resp.Header) > maxHeader:
		return rep, fmt.Errorf("%w: GET %s: response headers of more than %d bytes", ErrTooLarge, withoutSecrets(req.url), maxHeader)
	case status != http.StatusOK:
		text, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
		if err != nil && ctx.Err() != nil {
			return rep, failure(ctx, req.url, err)
		}
		return rep, l.refusal(resp, text, req.bare)
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return rep, fmt.Errorf("%w: GET %s: found Content-Encoding %s, which was not asked for", ErrInvalidResponse, withoutSecrets(req.url), taglist.Quote(encoding))
	}

	err = l.decode(ctx, &rep, resp.Header, body, to)
	rep.took = time.Since(began)
	return rep, err
}

// decode reads the tags of an answer.
func (l *listing) decode(ctx context.Context, rep *reply, header http.Header, body io.Reader, to sink) error {
	now, _ := http.ParseTime(header.Get("Date"))
	var stop error // of the sink, or a bound
	var err error
	tags, skipped := 0, 0
	rep.Summary, err = taglist.Decode(stoppable{body, &stop}, taglist.Handler{
		Tags: func(batch []string) error {
			tags += len(batch)
			_, stop = to.tags(ctx, batch)
			return stop
		},
		Skip: func(reason taglist.Reason, text string) {
			if skipped++; skipped > maxSkipped+10*tags && stop == nil {
				stop = fmt.Errorf("%w: GET %s: more than %d entries that are no tags", ErrTooLarge, withoutSecrets(rep.asked), maxSkipped)
			}
			l.skipped(ctx, reason, text)
		},
		Now: now,
	})
	if stop != nil {
		return stop
	}
	if notList, ok := errors.AsType[*taglist.Error](err); ok {
		return fmt.Errorf("%w: GET %s: %w (Content-Type %s)", ErrInvalidResponse, withoutSecrets(rep.asked), notList, taglist.Quote(header.Get("Content-Type")))
	}
	if err != nil {
		return failure(ctx, rep.asked, cutShort{err})
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

// tellRequest logs what became of a request.
func (l *listing) tellRequest(ctx context.Context, asked *url.URL, status int, rep reply, took time.Duration, err error) {
	log := l.log()
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	args := []any{"url", toldURL(asked), "status", status, "tags", rep.Entries - rep.Skipped, "skipped", rep.Skipped, "duration", took}
	if rep.answered != nil && !samePlace(rep.answered, asked) {
		args = append(args, "answered", toldURL(rep.answered))
	}
	if _, refused := errors.AsType[*Error](err); err != nil && !refused && err != errStopped && err != errRepeat {
		text := strings.TrimPrefix(err.Error(), "GET "+withoutSecrets(asked)+": ")
		if ctx.Err() != nil {
			text = bound.Ended(ctx).Error()
		}
		args = append(args, "error", text)
	}
	log.DebugContext(ctx, "request", args...)
}

// maxSkipsLogged is how many skipped entries a listing logs one by one, each once.
const maxSkipsLogged = 10

// skipped logs an entry that is no tag. The number of all is in Page.Skipped.
func (l *listing) skipped(ctx context.Context, reason taglist.Reason, text string) {
	level := slog.LevelDebug // a null or a digest is a registry's habit
	if reason == taglist.Invalid {
		level = slog.LevelWarn
	}
	l.mu.Lock()
	known := text != "" && slices.Contains(l.logged, text) // an answer may come again
	if !known {
		l.skips[level]++
	}
	n := l.skips[level]
	if n <= maxSkipsLogged && text != "" {
		l.logged = append(l.logged, text)
	}
	l.mu.Unlock()
	if known {
		return
	}
	switch {
	case n <= maxSkipsLogged:
		args := []any{"because", reason.String()}
		if text != "" {
			args = append(args, "entry", taglist.Quote(text))
		}
		l.log().Log(ctx, level, "skipped an entry that is no tag", args...)
	case n == maxSkipsLogged+1:
		l.log().Log(ctx, level, "skipping more entries that are no tags")
	}
}

// discard reads what is left of a short body, so that the connection can be
// used again, and closes it.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	_ = resp.Body.Close()
}

// release reads what an answer has, up to a bound, and lets go of its connection:
// the body is then in memory.
func release(resp *http.Response) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
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

// toldURL is u for a log: with n, with a last that is a tag, and with what the
// package itself asks quay's API for. Any other cursor may be a secret of its
// server.
func toldURL(u *url.URL) string {
	told, mark := withoutSecrets(u), "?"
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		shown := taglist.Valid(value)
		switch name {
		case "n", "limit", "page":
			shown = strings.Trim(value, "0123456789") == ""
		case "last", "onlyActiveTags":
		default:
			shown = false
		}
		if !shown {
			value = "(opaque)"
		}
		if !taglist.Valid(name) {
			name = "(opaque)"
		}
		told += mark + name + "=" + value
		mark = "&"
	}
	return told
}

// withoutSecrets is u without what could be secret in it.
func withoutSecrets(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
