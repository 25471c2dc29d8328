package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
)

// NewTransport returns the Transport of a Client that has none.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		ForceAttemptHTTP2:      true, // a custom DialContext would turn it off
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: MaxHeader,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    64, // a listing's requests come back to the same host
		IdleConnTimeout:        90 * time.Second,
	}
}

// Pools are two transports: one to the registries that the user names, and one to
// the hosts that these name. Each has its connections to itself, so that one which
// was made for the user is never used on behalf of a registry.
type Pools struct{ Own, Elsewhere http.RoundTripper }

// A Carrier sends the requests of one listing: those to the registry's own host,
// and with care those to hosts that a server has chosen. It is the RoundTripper
// below the one that authorizes.
type Carrier struct {
	home        *url.URL
	pools       Pools
	connections *quota      // to the registry
	within      atomic.Bool // the registry was reached at an address that is not public
}

// NewCarrier returns one that makes so many connections to the registry at home.
func NewCarrier(home *url.URL, pools Pools, connections int) *Carrier {
	return &Carrier{home: home, pools: pools, connections: newQuota(connections)}
}

// Allow lets it make so many connections to the registry from now on.
func (c *Carrier) Allow(connections int) {
	c.connections.mu.Lock()
	c.connections.most = connections
	c.connections.mu.Unlock()
	c.connections.add(0) // who waits for a place looks again
}

// RoundTrip implements http.RoundTripper. It makes up for transports of users
// that leave parts of a response away.
func (c *Carrier) RoundTrip(req *http.Request) (*http.Response, error) {
	rt := c.pools.Own
	if origin.SameHost(req.URL.Hostname(), c.home.Hostname()) {
		ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: c.gotConn})
		req = req.WithContext(ctx)
	} else {
		guarded, err := c.judge(req)
		if err != nil {
			return nil, err
		}
		rt = c.pools.Elsewhere
		if guarded {
			req = req.WithContext(publicOnly(req.Context(), req.URL.Hostname()))
		}
	}
	resp, err := rt.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, Permanent{errors.New("Client.Transport returned neither a response nor an error")}
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Request == nil {
		resp.Request = req
	}
	return resp, nil
}

// gotConn records a connection to the registry's own host.
func (c *Carrier) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	if ours, ok := conn.(*connection); ok {
		ours.use(c.connections)
	}
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil && !PublicAddress(at.Addr()) {
		c.within.Store(true)
	}
}

// PublicAddress is another one in tests, which have no other addresses than loopback.
var PublicAddress = origin.PublicAddress

// judge says whether a request to a host that a server has chosen may be sent, and
// whether the address is to be judged when it is dialed. A registry out there
// must not make us send requests inside the user's network. One that is inside
// itself, by its name, may name others; one that is inside by its address may
// name those of its own domain.
func (c *Carrier) judge(req *http.Request) (guarded bool, err error) {
	home, to := c.home.Hostname(), req.URL.Hostname()
	switch allowed, _ := req.Context().Value(allowedKey{}).(string); {
	case allowed == to:
		return false, nil
	case !c.outside():
		return false, nil
	case origin.SameSite(home, to) && c.within.Load():
		return false, nil
	case !origin.Public(to):
		return false, fmt.Errorf("%w: %s leads to %s, which is not a public name", ocierr.ErrUnsafeLink, c.home.Host, taglist.Quote(to))
	}
	return true, nil
}

// outside reports whether the registry's name is out there on the internet.
func (c *Carrier) outside() bool {
	host := c.home.Hostname()
	a, err := netip.ParseAddr(host)
	return origin.Public(host) || err == nil && PublicAddress(a)
}

// Allow marks the requests of a context: those to host are not judged, as the user
// has allowed them.
func Allow(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, allowedKey{}, host)
}

type allowedKey struct{}

// publicOnly marks a request to host, whose name a server made up: it must not
// stand for an address inside the user's network.
func publicOnly(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, publicOnlyKey{}, host)
}

type publicOnlyKey struct{}

// IsJudged reports whether the address of host is judged when it is dialed for ctx.
func IsJudged(ctx context.Context, host string) bool { return ctx.Value(publicOnlyKey{}) == host }

// A dialing says on whose behalf a connection is made.
type dialing struct {
	until context.Context // of the listing, or of its part that reads
	home  string          // host:port of the registry
	quota *quota          // of connections to it
}

// dialFor is the key of a dialing in a context.
type dialFor struct{}

// A quota is how many connections to its registry a listing may have.
type quota struct {
	mu         sync.Mutex
	most, used int
	freed      chan struct{} // closed when there are fewer
}

func newQuota(most int) *quota { return &quota{most: most, freed: make(chan struct{})} }

// acquire waits for a place.
func (q *quota) acquire(ctx context.Context) error {
	for {
		q.mu.Lock()
		if q.used < q.most {
			q.used++
			q.mu.Unlock()
			return nil
		}
		freed := q.freed
		q.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add counts a connection that came from another listing, or went.
func (q *quota) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used += n
	close(q.freed)
	q.freed = make(chan struct{})
}

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
	var q *quota
	if on, ok := ctx.Value(dialFor{}).(dialing); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(on.until, cancel)()
		if address == on.home {
			q = on.quota
			if err := q.acquire(ctx); err != nil {
				return nil, err
			}
		}
	}
	conn, err := dialJudged(ctx, network, address)
	if err != nil {
		if q != nil {
			q.add(-1)
		}
		return nil, err
	}
	return &connection{Conn: conn, holder: q}, nil
}

// A connection counts for the listing that used it last, until it is closed. It
// holds nothing else of it: it may be idle for long.
type connection struct {
	net.Conn
	mu     sync.Mutex
	holder *quota // nil: it is not counted
}

// use counts it for another listing: net/http gives a connection to whoever comes
// first, and the listing that has dialed it may then need another one.
func (c *connection) use(by *quota) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holder != nil && c.holder != by {
		c.holder.add(-1)
		by.add(1)
		c.holder = by
	}
}

func (c *connection) Close() error {
	c.mu.Lock()
	if c.holder != nil {
		c.holder.add(-1)
		c.holder = nil
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

func dialJudged(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err == nil && IsJudged(ctx, host) {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if ap, err := netip.ParseAddrPort(address); err != nil || !PublicAddress(ap.Addr()) {
				return fmt.Errorf("%w: %s is at the address %s, inside a private network", ocierr.ErrUnsafeLink, taglist.Quote(host), address)
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}

// checkRedirect follows few redirects, and never one from https to http. Where
// they may lead is the carrier's to decide, and what may be sent along is the
// authorizer's.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > MaxRedirects:
		return Permanent{fmt.Errorf("%w: more than %d redirects", ocierr.ErrInvalidResponse, MaxRedirects)}
	case req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https":
		return fmt.Errorf("%w: a redirect leads from https to %s", ocierr.ErrUnsafeLink, taglist.Quote(req.URL.Scheme))
	case req.URL.User != nil:
		return fmt.Errorf("%w: a redirect carries user-info", ocierr.ErrUnsafeLink)
	}
	// Set by net/http; it would tell a foreign host what we were looking for.
	req.Header.Del("Referer")
	keepQuery(req.URL, via)
	return nil
}

// keepQuery gives a redirect to a tag list the query of the request, if it has lost it, as
// at registry.k8s.io and in proxy projects of Harbor: without n and last, the answer would
// be to another question. Where a registry redirects to itself to be rid of a query, it
// is not sent again.
func keepQuery(to *url.URL, via []*http.Request) {
	if to.RawQuery != "" || !IsTagList(to) {
		return
	}
	for _, req := range via {
		if u := req.URL; u.Scheme == to.Scheme && u.Host == to.Host && u.Path == to.Path {
			return
		}
	}
	to.RawQuery = via[0].URL.RawQuery
}

// answered returns what was asked of the URL that answered: what the request asked for,
// unless a redirect to another tag list has changed that.
func answered(asked, by *url.URL) *url.URL {
	was, is := asked.Query(), by.Query()
	if !IsTagList(by) || was.Get("n") == is.Get("n") && was.Get("last") == is.Get("last") {
		return asked
	}
	u := *asked
	u.RawQuery = by.RawQuery
	return &u
}

// IsTagList reports whether a URL is that of a tag list.
func IsTagList(u *url.URL) bool { return strings.HasSuffix(u.Path, "/tags/list") }

// Except lets f wait without that this counts for the time of the request of which
// ctx is: it waits for another server.
func Except(ctx context.Context, f func()) {
	if watch, ok := ctx.Value(watchKey{}).(*bound.Watch); ok {
		watch.Except(f)
		return
	}
	f()
}

// watchKey is the key of a request's *bound.Watch in its context.
type watchKey struct{}
