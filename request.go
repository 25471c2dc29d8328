package ocitags

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/retry"
	"github.com/ocitags/ocitags/internal/taglist"
)

// A request is for one page.
type request struct {
	url   *url.URL
	bare  bool                                    // without authorization
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
}

// read asks for one page and hands its tags to a taker as they arrive. It tries
// again, with the whole page, when that may help.
func (l *listing) read(ctx context.Context, req request, to taker) (reply, error) {
	tries := l.client.MaxAttempts
	if tries == 0 {
		tries = defaultMaxAttempts
	}
	waits := retry.Waits()
	for try := 1; ; try++ {
		if err := l.rest(ctx); err != nil {
			return reply{}, err
		}
		to.begin(try)
		rep, err := l.attempt(ctx, req, to)
		rep.attempts = try
		if err == nil {
			return rep, nil
		}
		if ctx.Err() != nil {
			return rep, fmt.Errorf("GET %s: %w", bareURL(req.url), ended(ctx))
		}
		wish, ok := retryable(err)
		switch {
		case !ok || wish > maxRetryWait:
			return rep, err
		case !to.leads() && status(err) == http.StatusTooManyRequests:
			l.quiet(wish)
			return rep, err
		case try >= tries:
			if try > 1 {
				err = fmt.Errorf("%w (tried %d times)", err, try)
			}
			return rep, err
		}
		l.quiet(wish)
		wait := wish + waits.NextBackOff() // drawn by each, so that they do not come back together
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return rep, fmt.Errorf("%w; the next try would be in %v: %w", err, wait.Round(time.Millisecond), context.DeadlineExceeded)
		}
		l.log().DebugContext(ctx, "trying again", "url", bareURL(req.url), "after", err.Error(), "wait", wait)
		if !sleep(ctx, wait) {
			return rep, fmt.Errorf("%w; while waiting to try again: %w", err, ended(ctx))
		}
		if req.again != nil {
			req.url = req.again(req.url, err)
		}
	}
}

// quiet keeps a registry's wish for all listings of this Client, so that they
// need not be told one by one.
func (l *listing) quiet(wish time.Duration) {
	if wish > 0 {
		l.client.learn(l.home.Host, func(h *habits) { h.quiet = time.Now().Add(wish) })
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
			return fmt.Errorf("%w: %w", tooLong, ended(ctx))
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

// ended is why ctx did: its error, and the cause if the user gave one.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}

// retryable reports whether another attempt may mend err, and how long the
// server asked to wait before it.
func retryable(err error) (wish time.Duration, ok bool) {
	if refusal, ok := errors.AsType[*Error](err); ok {
		switch refusal.StatusCode {
		case 408, 425, 429, 500, 502, 503, 504:
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
	return 0, !errors.Is(err, ErrInvalidResponse) || errors.Is(err, io.ErrUnexpectedEOF)
}

// attempt sends one request and reads its answer.
func (l *listing) attempt(ctx context.Context, req request, to taker) (rep reply, err error) {
	ctx = context.WithValue(ctx, dialFor{}, dialing{ctx, l})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := &bound.Watch{Idle: maxIdle, Total: maxAnswerTime, Cancel: cancel}
	began, status := time.Now(), 0
	rep.asked = req.url
	defer func() {
		l.log().DebugContext(ctx, "request", "url", bareURL(req.url), "n", req.url.Query().Get("n"),
			"last", tagOrBlank(req.url.Query().Get("last")), "status", status, "entries", rep.Entries, "duration", time.Since(began))
	}()

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
		return rep, fmt.Errorf("%w: GET %s: response headers of more than %d bytes", ErrTooLarge, bareURL(req.url), maxHeader)
	case status != http.StatusOK:
		text, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
		if err != nil && ctx.Err() != nil {
			return rep, failure(ctx, req.url, err)
		}
		return rep, l.refusal(resp, text, req.bare)
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return rep, fmt.Errorf("%w: GET %s: found Content-Encoding %s, which was not asked for", ErrInvalidResponse, bareURL(req.url), taglist.Quote(encoding))
	}

	now, _ := http.ParseTime(resp.Header.Get("Date"))
	rep.Summary, err = taglist.Decode(body, taglist.Handler{
		Tag: func(tag string) error { _, err := to.tag(ctx, tag); return err },
		Skip: func(reason taglist.Reason, text string) {
			if reason == taglist.Invalid {
				l.log().WarnContext(ctx, "skipped an entry that is no tag", "entry", taglist.Quote(text))
			} else {
				l.log().DebugContext(ctx, "skipped an entry that is no tag", "because", reason.String(), "entry", taglist.Quote(text))
			}
		},
		Now: now,
	})
	if notList, ok := errors.AsType[*taglist.Error](err); ok {
		return rep, fmt.Errorf("%w: GET %s: %w (Content-Type %s)", ErrInvalidResponse, bareURL(req.url), notList,
			taglist.Quote(resp.Header.Get("Content-Type")))
	}
	if err != nil {
		return rep, failure(ctx, req.url, err)
	}
	return rep, nil
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

// discard reads what is left of a short body, so that the connection can be
// used again, and closes it.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	_ = resp.Body.Close()
}

func headerSize(h http.Header) (n int) {
	for name, values := range h {
		for _, value := range values {
			n += len(name) + len(value) + 4 // ": " and CR LF
		}
	}
	return n
}

// tagOrBlank is s if it is a tag. Any other cursor may be a secret of its server.
func tagOrBlank(s string) string {
	if s == "" || taglist.Valid(s) {
		return s
	}
	return "(opaque)"
}

// defaultTransport is shared, so that the package-level functions reuse
// connections too.
var defaultTransport = sync.OnceValue(func() http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    64, // a listing's requests come back to the same host
		IdleConnTimeout:        90 * time.Second,
	}
})

// publicOnly marks a request to host, whose name a registry made up: it must
// not stand for an address inside the user's network.
func publicOnly(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, publicOnlyKey{}, host)
}

type publicOnlyKey struct{}

// A dialing says on whose behalf a connection is made.
type dialing struct {
	until   context.Context // of the listing, or of its part that reads
	listing *listing
}

// dialFor is the key of a dialing in a context.
type dialFor struct{}

// dial connects like http.DefaultTransport, but with some care.
//
// It ends with its listing: net/http lets it go on when the request is gone, in
// case that another wants it. It makes no more connections to a registry than a
// listing has requests in flight: net/http begins to dial whenever no connection
// is free, though mostly one is before it has dialed. And it judges publicOnly's
// hosts. The address is judged after it was resolved and before it is used, so
// that a name cannot stand for one thing at first and then for another. Behind a
// proxy it is the proxy that resolves.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	release := func() {}
	if on, ok := ctx.Value(dialFor{}).(dialing); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(on.until, cancel)()
		if address == hostPort(on.listing.home) {
			select {
			case on.listing.connections <- struct{}{}:
				release = sync.OnceFunc(func() { <-on.listing.connections })
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	conn, err := dialJudged(ctx, network, address)
	if err != nil {
		release()
		return nil, err
	}
	return &connection{conn, release}, nil
}

// A connection counts until it is closed.
type connection struct {
	net.Conn
	release func()
}

func (c *connection) Close() error {
	c.release()
	return c.Conn.Close()
}

// hostPort is what a Transport dials for a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func dialJudged(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err == nil && ctx.Value(publicOnlyKey{}) == host {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if ap, err := netip.ParseAddrPort(address); err != nil || !publicAddress(ap.Addr()) {
				return fmt.Errorf("%w: %s is at the address %s, inside a private network", ErrUnsafeLink, taglist.Quote(host), address)
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}

// publicAddress reports whether an address is one that everybody reaches.
func publicAddress(a netip.Addr) bool {
	a = a.Unmap()
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// checkRedirect follows few redirects, and never one from https to http. What
// may be sent along is the authorizer's to decide.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return permanentError{fmt.Errorf("%w: more than %d redirects", ErrInvalidResponse, maxRedirects)}
	case req.URL.Scheme != "https" && via[0].URL.Scheme == "https":
		return fmt.Errorf("%w: a redirect leads from https to %s", ErrUnsafeLink, taglist.Quote(req.URL.Scheme))
	case req.URL.User != nil:
		return fmt.Errorf("%w: a redirect carries user-info", ErrUnsafeLink)
	}
	// Set by net/http; it would tell a foreign host what we were looking for.
	req.Header.Del("Referer")
	return nil
}

// bareURL is u without what could be secret in it.
func bareURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
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
