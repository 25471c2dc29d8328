package conformance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/wire"
)

// publicAddresses are those of loopback that a test takes for public ones.
var publicAddresses sync.Map

// The function is replaced once and not by each test, because net/http goes on to dial for a
// request that was canceled, also when the test has ended.
func init() {
	isPublic := wire.PublicAddress
	wire.PublicAddress = func(a netip.Addr) bool {
		_, ok := publicAddresses.Load(a.Unmap())
		return ok || isPublic(a)
	}
}

// public takes some addresses of loopback for public ones.
func public(t *testing.T, addresses ...string) {
	for _, text := range addresses {
		a := netip.MustParseAddr(text)
		publicAddresses.Store(a, true)
		t.Cleanup(func() { publicAddresses.Delete(a) })
	}
}

// local serves at all addresses of loopback, and returns the port.
func local(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func direct() *http.Transport {
	transport := ocitags.NewTransport()
	transport.Proxy = nil
	return transport
}

// FAULTS 116: no connection that is open for the user is used for a registry, and
// page 2 is judged like page 1.
func TestFault116AddressesAreJudged(t *testing.T) {
	var inside atomic.Int64 // requests that reached the host inside
	address := map[string]string{
		"registry.out.example": "127.0.0.2", "cdn.out2.example": "127.0.0.3", "auth.out.example": "127.0.0.1", "vault.corp.example": "127.0.0.1", "moves.out3.example": "127.0.0.3",
	}
	var mu sync.Mutex
	names(t, func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		return address[name]
	})
	public(t, "127.0.0.2", "127.0.0.3")
	target, realm := "", ""
	port := ""
	port = local(t, func(w http.ResponseWriter, req *http.Request) {
		host, _, _ := strings.Cut(req.Host, ":")
		switch {
		case host == "vault.corp.example" || host == "auth.out.example":
			inside.Add(1)
			_, _ = io.WriteString(w, `{"token":"t","tags":["inside"]}`)
		case realm != "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
			w.WriteHeader(401)
		case host == "registry.out.example" && target != "":
			http.Redirect(w, req, target+"?"+req.URL.RawQuery, http.StatusTemporaryRedirect)
		case host == "moves.out3.example":
			mu.Lock()
			address[host] = "127.0.0.1" // inside
			mu.Unlock()
			w.Header().Set("Connection", "close")
			w.Header().Set("Link", `<?n=1&last=a>; rel="next"`)
			_, _ = io.WriteString(w, `{"tags":["a"]}`)
		default:
			_, _ = io.WriteString(w, `{"tags":["a"]}`)
		}
	})
	c := &ocitags.Client{Transport: direct(), Credentials: ocitags.Anonymous, PlainHTTP: func(string) bool { return true }, MaxAttempts: 1}
	list := func(host string) ([]string, error) { return c.ListTags(t.Context(), host+":"+port+"/a/b") }

	tags, err := list("vault.corp.example") // which the user may
	require.NoError(t, err)
	assert.Equal(t, []string{"inside"}, tags)
	inside.Store(0)

	for _, host := range []string{"vault.corp.example", "auth.out.example"} { // and a registry may not, not even in its own domain
		realm, target = "", "http://"+host+":"+port+"/v2/a/b/tags/list"
		_, err = list("registry.out.example")
		require.ErrorIs(t, err, ocitags.ErrUnsafeLink, host)
		assert.Contains(t, err.Error(), "inside a private network")

		realm, target = "http://"+host+":"+port+"/token", ""
		_, err = list("registry.out.example")
		require.ErrorIs(t, err, ocitags.ErrUnsafeLink, host)
	}
	assert.Zero(t, inside.Load())

	realm, target = "", "http://cdn.out2.example:"+port+"/v2/a/b/tags/list"
	tags, err = list("registry.out.example")
	require.NoError(t, err, "a public address")
	assert.Equal(t, []string{"a"}, tags)

	target = "http://moves.out3.example:" + port + "/v2/a/b/tags/list"
	_, err = list("registry.out.example")
	require.ErrorIs(t, err, ocitags.ErrUnsafeLink, "page 2 is at another address")
	assert.Contains(t, err.Error(), "inside a private network")

	// A registry that is itself at a private address, by whatever name, has its
	// token server beside it.
	mu.Lock()
	address["registry.out.example"] = "127.0.0.1"
	mu.Unlock()
	c = &ocitags.Client{Transport: direct(), Credentials: ocitags.Anonymous, PlainHTTP: func(string) bool { return true }, MaxAttempts: 1}
	realm, target = "http://auth.out.example:"+port+"/token", ""
	_, err = list("registry.out.example")
	require.ErrorIs(t, err, ocitags.ErrUnauthorized, "the token was fetched, and is good for nothing there")
	assert.Positive(t, inside.Load())
}

// FAULTS 118: only reading our repository is asked for, whatever a realm's own
// query, a challenge or a redirect says.
func TestFault118ScopesAreReduced(t *testing.T) {
	for _, cred := range []ocitags.Credential{{}, user, {RefreshToken: secret}} {
		var asked []url.Values
		network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch req.URL.Path {
			case "/token":
				http.Redirect(w, req, "/token2?scope=repository:other:push&x=y", http.StatusTemporaryRedirect)
			case "/token2":
				_ = req.ParseForm()
				asked = append(asked, req.Form)
				_, _ = io.WriteString(w, `{"token":"t"}`)
			default:
				realm("https://registry.example/token?scope=repository:a/b:push&scope=repository:other:pull").ServeHTTP(w, req)
			}
		}))
		_, err := withCredentials(network, ocitags.StaticCredential("registry.example", cred)).ListTags(t.Context(), ref)
		require.NoError(t, err)
		require.Len(t, asked, 1)
		assert.Equal(t, []string{"repository:a/b:pull"}, asked[0]["scope"], "%v", cred)
	}
}

// FAULTS 119: two users by one CredentialFunc on one Client share no token.
func TestFault119TokensByCredential(t *testing.T) {
	type userKey struct{}
	tokens := map[string]string{}
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, _, _ := req.BasicAuth()
		token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		switch {
		case req.URL.Path == "/token":
			tokens["token of "+name] = name
			_, _ = fmt.Fprintf(w, `{"token":"token-of-%s"}`, name)
		case token != "":
			_, _ = fmt.Fprintf(w, `{"tags":[%q]}`, token)
		default:
			realm("https://registry.example/token").ServeHTTP(w, req)
		}
	}))
	c := withCredentials(network, func(ctx context.Context, _, _ string) (ocitags.Credential, error) {
		name, _ := ctx.Value(userKey{}).(string)
		return ocitags.Credential{Username: name, Password: secret}, nil
	})
	for range 3 {
		for _, name := range []string{"ann", "bob"} {
			tags, err := c.ListTags(context.WithValue(t.Context(), userKey{}, name), ref)
			require.NoError(t, err)
			assert.Equal(t, []string{"token-of-" + name}, tags)
		}
	}
	n := 0
	for _, req := range network.Sent() {
		if req.URL.Path == "/token" {
			n++
		}
	}
	assert.Equal(t, 2, n, "one for each")
}

// A refresh token of an answer replaces the one that was sent, for that credential
// and in this Client.
func TestRefreshTokensRotate(t *testing.T) {
	var sent []string
	next := 1
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/token" {
			realm("https://registry.example/token").ServeHTTP(w, req)
			return
		}
		sent = append(sent, req.PostFormValue("refresh_token"))
		if len(sent) == 3 { // the server has forgotten
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"t","refresh_token":"rotated-%d"}`, next)
		next++
	}))
	c := withCredentials(network, ocitags.StaticCredential("registry.example", ocitags.Credential{RefreshToken: "first"}))
	for _, name := range []string{"a/b", "a/c", "a/d"} {
		_, err := c.ListTags(t.Context(), "registry.example/"+name)
		if name == "a/b" {
			require.NoError(t, err)
		}
	}
	assert.Equal(t, []string{"first", "rotated-1", "rotated-2", "first"}, sent)
}

// FAULTS 121: many hosts leave few connections.
func TestFault121IdleConnections(t *testing.T) {
	var open atomic.Int64
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":["a"]}`) }),
	}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	transport := direct()
	defer transport.CloseIdleConnections()
	c := &ocitags.Client{Transport: transport, Credentials: ocitags.Anonymous}
	for i := range 300 {
		_, err := c.ListTags(t.Context(), fmt.Sprintf("127.0.%d.%d:%s/a/b", i/250, 1+i%250, port))
		require.NoError(t, err)
	}
	assert.Eventually(t, func() bool { return open.Load() <= 128 }, 10*time.Second, time.Millisecond)
}

// FAULTS 122: an idle connection keeps nothing of its listing alive.
func TestFault122FinishedListingsAreCollectable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":["a"]}`) }))
	defer server.Close()
	transport := direct()
	defer transport.CloseIdleConnections()
	c := &ocitags.Client{Transport: transport, Credentials: ocitags.Anonymous}
	type key struct{}
	list := func() weak.Pointer[[1 << 10]byte] {
		kept := new([1 << 10]byte)
		_, err := c.ListTags(context.WithValue(t.Context(), key{}, kept), hostOf(server)+"/a/b")
		require.NoError(t, err)
		return weak.Make(kept)
	}
	gone := list()
	assert.Eventually(t, func() bool {
		runtime.GC()
		return gone.Value() == nil
	}, 10*time.Second, time.Millisecond)
}

// FAULTS 123: a listing that waits for its consumer does not keep another one from
// its registry, even where it has the connection that the other one has made.
func TestFault123SlowConsumers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Has("last") {
			_, _ = io.WriteString(w, `{"tags":["b"]}`)
			return
		}
		w.Header().Set("Link", `<?n=1000&last=a>; rel="next"`)
		_, _ = io.WriteString(w, `{"tags":["a"`+strings.Repeat(`,"x"`, 1<<20)+`]}`) // more than a connection holds
	}))
	defer server.Close()
	transport := direct()
	defer transport.CloseIdleConnections()
	c := &ocitags.Client{Transport: transport, Credentials: ocitags.Anonymous, Concurrency: 1}
	ref := strings.TrimPrefix(server.URL, "http://") + "/a/b"

	_, err := c.ListTags(t.Context(), ref) // leaves a connection that it has made
	require.NoError(t, err)
	for range c.Tags(t.Context(), ref) { // holds it
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := c.ListTags(ctx, ref)
		cancel()
		require.NoError(t, err)
		break
	}
}

// FAULTS 124: a small body of very many entries that are not tags is bounded.
func TestFault124Nulls(t *testing.T) {
	t.Parallel()
	const most = wire.MaxSkipped + 1<<20
	body, w := io.Pipe()
	var written atomic.Int64
	go func() {
		_, _ = io.WriteString(w, `{"tags":[null`)
		many := strings.Repeat(",null", 1<<16)
		for {
			if _, err := io.WriteString(w, many); err != nil {
				return
			}
			written.Add(1 << 16)
		}
	}()
	c := &ocitags.Client{Credentials: ocitags.Anonymous, MaxAttempts: 1, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, Request: req}, nil
	})}
	_, err := c.ListTags(t.Context(), "registry.example/a/b")
	require.ErrorIs(t, err, ocitags.ErrTooLarge)
	assert.Contains(t, err.Error(), "entries that are not tags")
	assert.Less(t, written.Load(), int64(most))
}

// FAULTS 126: a Transport that leaves parts of a response away.
func TestFault126IncompleteResponses(t *testing.T) {
	c := &ocitags.Client{Credentials: ocitags.Anonymous, MaxAttempts: 1, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"tags":["a"]}`))}, nil
	})}
	tags, err := c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, tags)
	for name, resp := range map[string]*http.Response{"no body": {StatusCode: 200}, "no body, and a refusal": {StatusCode: 404}, "nothing": nil} {
		c.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
		_, err := c.ListTags(t.Context(), ref)
		require.Error(t, err, name)
	}
}

// A registry that hides from strangers what it does not ask about is asked for its
// challenge, where the user has a credential.
func TestHiddenRepositories(t *testing.T) {
	for _, status := range []int{403, 404} {
		for _, basicOnly := range []bool{false, true} {
			var asked []string
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				asked = append(asked, req.URL.Path)
				_, password, _ := req.BasicAuth()
				switch {
				case req.URL.Path == "/token" && password == secret:
					_, _ = io.WriteString(w, `{"token":"t"}`)
				case req.URL.Path == "/v2/":
					w.Header().Set("WWW-Authenticate", map[bool]string{true: `Basic realm="x"`, false: `Bearer realm="https://registry.example/token"`}[basicOnly])
					w.WriteHeader(401)
				case req.Header.Get("Authorization") == "Bearer t" || basicOnly && password == secret:
					_, _ = io.WriteString(w, `{"tags":["a"]}`)
				default:
					w.WriteHeader(status)
				}
			}))
			c := withCredentials(network, ocitags.StaticCredential("registry.example", user))
			tags, err := c.ListTags(t.Context(), ref)
			require.NoError(t, err, "%d", status)
			assert.Equal(t, []string{"a"}, tags)
			before := len(asked)
			_, err = c.ListTags(t.Context(), ref)
			require.NoError(t, err)
			assert.Len(t, asked, before+2, "what is known of the credential is not asked again, but what comes after the only page")

			asked = nil
			_, err = withCredentials(network, ocitags.Anonymous).ListTags(t.Context(), ref)
			require.Error(t, err)
			assert.Len(t, asked, 1, "a stranger has no use for a challenge")
		}
	}
}

// What became of the credential is told with each refusal.
func TestRefusalsTellOfTheCredential(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		_, err := withCredentials(network, ocitags.StaticCredential("registry.example", user)).ListTags(t.Context(), ref)
		require.ErrorContains(t, err, "the credential for registry.example was not sent: the registry did not ask for one", "%d", status)
		assert.NotContains(t, err.Error(), secret)
	}
	for _, status := range []int{401, 403, 404} {
		network := testNetwork(t).Handle("elsewhere.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		network.Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "https://elsewhere.example/v2/a/b/tags/list", http.StatusTemporaryRedirect)
		}))
		_, err := withCredentials(network, ocitags.StaticCredential("registry.example", user)).ListTags(t.Context(), ref)
		require.ErrorContains(t, err, `the credential for registry.example was not sent to "elsewhere.example", where a redirect led`, "%d", status)
	}
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, _, ok := req.BasicAuth(); ok {
			w.WriteHeader(403)
			return
		}
		if req.URL.Scheme == "http" {
			http.Redirect(w, req, "https://registry.example"+req.URL.RequestURI(), http.StatusMovedPermanently)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(401)
	}))
	_, err := withCredentials(network, ocitags.StaticCredential("registry.example", user)).ListTags(t.Context(), "http://registry.example/a/b")
	require.ErrorContains(t, err, "the credential for registry.example was sent", "after an upgrade")
	network = testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.WriteHeader(401)
	}))
	_, err = withCredentials(network, ocitags.StaticCredential("registry.example", user)).ListTags(t.Context(), ref)
	require.ErrorIs(t, err, ocitags.ErrUnauthorized)
	require.ErrorContains(t, err, `asks for "negotiate" authentication; only Bearer and Basic are supported; the credential for registry.example was not sent`)
	_, err = withCredentials(network, ocitags.Anonymous).ListTags(t.Context(), ref)
	require.ErrorContains(t, err, "no credential was sent")
}

// An upgrade to https at the same host keeps the right to the credential, which
// then goes over TLS only.
func TestUpgradesKeepTheCredential(t *testing.T) {
	network := testNetwork(t)
	network.Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _, has := req.BasicAuth()
		switch {
		case req.URL.Scheme == "http":
			assert.Empty(t, req.Header.Get("Authorization"))
			http.Redirect(w, req, "https://registry.example"+req.URL.RequestURI(), http.StatusMovedPermanently)
		case has:
			_, _ = io.WriteString(w, `{"tags":["a"]}`)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
		}
	}))
	c := withCredentials(network, ocitags.StaticCredential("registry.example", user))
	for range 2 {
		tags, err := c.ListTags(t.Context(), "http://registry.example/a/b")
		require.NoError(t, err)
		assert.Equal(t, []string{"a"}, tags)
	}
}

// A token server's redirect within its own origin is followed; a POST only where
// it stays one.
func TestTokenServerRedirectsWithin(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, cred := range []ocitags.Credential{user, {RefreshToken: secret}} {
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				switch req.URL.Path {
				case "/token":
					http.Redirect(w, req, "/new", status)
				case "/new":
					_, password, _ := req.BasicAuth()
					assert.True(t, password == secret || req.PostFormValue("refresh_token") == secret)
					_, _ = io.WriteString(w, `{"token":"t"}`)
				default:
					realm("https://registry.example/token").ServeHTTP(w, req)
				}
			}))
			_, err := withCredentials(network, ocitags.StaticCredential("registry.example", cred)).ListTags(t.Context(), ref)
			if cred.RefreshToken != "" && status < 307 {
				var refusal *ocitags.Error
				require.ErrorAs(t, err, &refusal, "%d", status)
				assert.Equal(t, status, refusal.StatusCode)
				continue
			}
			require.NoError(t, err, "%d %v", status, cred)
		}
	}
}

// Error bodies that are not OCI's are told, unless they repeat a secret.
func TestErrorBodies(t *testing.T) {
	for body, want := range map[string]string{
		`{"details":"no such project"}`:                          `404 Not Found: "no such project"`,
		`{"detail":"Not found."}`:                                `404 Not Found: "Not found."`,
		`{"message":"404 page not found"}`:                       `404 Not Found: "404 page not found"`,
		`{"error":"invalid","error_description":"bad password"}`: `404 Not Found: "bad password"`,
		`{"error":"invalid"}`:                                    `404 Not Found: "invalid"`,
		"404 page not found\nsecond line":                        `404 Not Found: "404 page not found"`,
		"a\x1b[31mred":                                           `\x1b[31mred`,
		`<html>no</html>`:                                        "404 Not Found",
		`{"detail":{"a":1}}`:                                     "404 Not Found",
		`you sent ` + secret:                                     "not told: it repeats a credential",
		`{"errors":[{"code":"X","message":"` + secret + `"}]}`:   "not told: it repeats a credential",
		`{"message":"user bob is not here"}`:                     "not told: it repeats a credential",
	} {
		network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if _, _, ok := req.BasicAuth(); !ok {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(401)
				return
			}
			w.WriteHeader(404)
			_, _ = io.WriteString(w, body)
		}))
		_, err := withCredentials(network, ocitags.StaticCredential("registry.example", user)).ListTags(t.Context(), ref)
		require.ErrorContains(t, err, want, "%s", body)
		assert.NotContains(t, err.Error(), secret)
		assert.NotContains(t, err.Error(), "bob")
		assert.NotContains(t, err.Error(), "\x1b")
	}
}

// 499 and 522 may pass; a refused connection is tried twice.
func TestRetriesOfProxies(t *testing.T) {
	t.Parallel()
	for _, status := range []int{499, 522} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			c := &ocitags.Client{Credentials: ocitags.Anonymous, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return &http.Response{StatusCode: status, Request: req, Body: http.NoBody}, nil
				}
				return &http.Response{StatusCode: 200, Request: req, Body: io.NopCloser(strings.NewReader(`{"tags":["a"]}`))}, nil
			})}
			_, err := c.ListTags(t.Context(), ref)
			require.NoError(t, err)
			assert.Equal(t, 3, n, "with what comes after the only page")
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	transport := direct()
	n := 0
	dialed := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		n++
		return dialed(ctx, network, address)
	}
	_, err = (&ocitags.Client{Transport: transport, Credentials: ocitags.Anonymous}).ListTags(t.Context(), address+"/a/b")
	require.ErrorContains(t, err, "(tried 2 times)")
	assert.Equal(t, 2, n)
}

// FAULTS 121: what is remembered of a URL is a hash of it.
func TestFault121LongCursors(t *testing.T) {
	const pages, long = 3_000, 7 << 10
	filler := strings.Repeat("c", long)
	c := &ocitags.Client{Credentials: ocitags.Anonymous, Concurrency: 1, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		var k int
		_, _ = fmt.Sscanf(req.URL.Query().Get("next"), "%d-", &k)
		resp := &http.Response{StatusCode: 200, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"tags":["%06d"]}`, k)))}
		if k < pages {
			resp.Header.Set("Link", fmt.Sprintf(`<?next=%d-%s>; rel="next"`, k+1, filler))
		}
		return resp, nil
	})}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	n := 0
	var before uint64
	for _, err := range c.Tags(t.Context(), ref) {
		require.NoError(t, err)
		if n++; n == 100 {
			before = heap()
		}
		if n == pages {
			assert.Less(t, int64(heap())-int64(before), int64(pages*long/8))
		}
	}
	assert.Equal(t, pages+1, n)
}
