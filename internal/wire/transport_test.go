package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/ocierr"
)

// A name that a registry made up must not stand for an address inside (FAULTS
// 32). What is resolved is judged, not what was written.
func TestDialJudges(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = dial(publicOnly(t.Context(), "localhost"), "tcp", "localhost:"+port)
	require.ErrorIs(t, err, ocierr.ErrUnsafeLink)
	conn, err := dial(publicOnly(t.Context(), "elsewhere.example"), "tcp", "localhost:"+port)
	require.NoError(t, err, "a proxy may be inside")
	require.NoError(t, conn.Close())
}

// A connection counts for the listing that used it last.
func TestQuota(t *testing.T) {
	q, other := newQuota(1), newQuota(1)
	conn := &connection{Conn: nopConn{}, holder: q}
	require.NoError(t, q.acquire(t.Context()))
	conn.use(other) // as another listing does
	require.NoError(t, q.acquire(t.Context()), "the first may have another one")
	require.NoError(t, conn.Close())
	require.NoError(t, other.acquire(t.Context()), "a connection that is closed counts no more")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, q.acquire(ctx), context.Canceled, "there is no place")
}

type nopConn struct{ net.Conn }

func (nopConn) Close() error { return nil }

// A resolver that does not answer. net/http lets it go on when the request is
// gone; the package's own dial does not.
func TestDialEndsWithItsListing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan struct{})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialed)
		<-ctx.Value(dialFor{}).(dialing).until.Done()
		return nil, ctx.Err()
	}}
	go func() {
		<-dialed
		cancel()
	}()
	_, err := client(t, transport).Get(ctx, Request{URL: home}, new(kept))
	require.ErrorIs(t, err, context.Canceled)

	_, err = dial(context.WithValue(t.Context(), dialFor{}, dialing{until: ctx}), "tcp", "127.0.0.1:1")
	require.Error(t, err)
}

var home = &url.URL{Scheme: "https", Host: "registry.example", Path: "/v2/a/b/tags/list"}

// client asks through a transport, twice at most.
func client(t *testing.T, transport http.RoundTripper) *Client {
	carrier := NewCarrier(home, Pools{Own: transport, Elsewhere: transport}, 1)
	return &Client{
		Home: home, Authorized: carrier, Carrier: carrier, MaxAttempts: 2, Pauses: new(Pauses), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Refuse: func(resp *http.Response, _ []byte, _ bool) Refused {
			return Refused{Err: errRefused, Status: resp.StatusCode}
		},
	}
}

var errRefused = errors.New("refused")

// kept are the tags of a page.
type kept struct {
	tries []int
	tags  []string
	err   error
}

func (k *kept) Begin(try int) { k.tries, k.tags = append(k.tries, try), nil }

func (k *kept) Tags(_ context.Context, batch []string) error {
	k.tags = append(k.tags, batch...)
	return k.err
}
