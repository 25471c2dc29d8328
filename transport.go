package ocitags

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/ocitags/ocitags/internal/taglist"
)

// NewTransport returns a transport like that of a Client without one: HTTP/2,
// proxies from the environment, no more connections to a registry than a listing
// has requests in flight, at most 1 MiB of response headers, and no way into a
// private network for the redirects and token servers of a public registry. It
// is there to be changed before its first use, with TLSClientConfig for an
// authority or a certificate of one's own, say, and then to be the Transport of a
// Client, or of several.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    64, // a listing's requests come back to the same host
		IdleConnTimeout:        90 * time.Second,
	}
}

// defaultTransport is shared, so that the package-level functions reuse
// connections too.
var defaultTransport = sync.OnceValue(NewTransport)

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
		if home := on.listing.home; address == net.JoinHostPort(home.Hostname(), port(home)) {
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

// checkRedirect follows few redirects, never one from https to http, and none
// from a registry out there into the user's network. What may be sent along is
// the authorizer's to decide.
func checkRedirect(req *http.Request, via []*http.Request) error {
	from, to := via[0].URL.Hostname(), req.URL.Hostname()
	outside := publicName(from) && !sameDomain(from, to)
	switch {
	case len(via) > maxRedirects:
		return permanentError{fmt.Errorf("%w: more than %d redirects", ErrInvalidResponse, maxRedirects)}
	case req.URL.Scheme != "https" && via[0].URL.Scheme == "https":
		return fmt.Errorf("%w: a redirect leads from https to %s", ErrUnsafeLink, taglist.Quote(req.URL.Scheme))
	case req.URL.User != nil:
		return fmt.Errorf("%w: a redirect carries user-info", ErrUnsafeLink)
	case outside && !publicName(to):
		return fmt.Errorf("%w: a redirect leads to %s, which is no public name", ErrUnsafeLink, taglist.Quote(to))
	case outside:
		*req = *req.WithContext(publicOnly(req.Context(), to))
	}
	// Set by net/http; it would tell a foreign host what we were looking for.
	req.Header.Del("Referer")
	return nil
}
