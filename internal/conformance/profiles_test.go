package conformance

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocitags/ocitags"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/regtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// pushed are n tags in an order of their own, as a cache of packages would
// have pushed them: versions, hashes, pairs in which one is the start of the
// other, upper case.
func pushed(n int) []string { return regtest.MixedTags(n) }

// want is what ListTags has to return where those tags were pushed.
func want(r *regtest.Registry, name string) []string {
	tags := append([]string{}, r.Tags(name)...) // never nil, as ListTags promises
	slices.Sort(tags)
	return slices.Compact(tags)
}

// mock is a registry of that profile at its own host name, and a network that
// leads there.
func mock(t *testing.T, profile, name string, n int) (ref string, r *regtest.Registry, network *regtest.Network) {
	r = regtest.New(regtest.ByName(profile)).Push(name, pushed(n)...)
	host := "registry.example"
	switch profile {
	case "quayjson":
		host = "quay.io"
	case "harbor-proxy":
		r.Push("proxy/library/app", pushed(n)...)
	}
	network = testNetwork(t).Handle(host, r).Handle("us-west1-docker.pkg.dev", r)
	return host + "/" + name, r, network
}

// testNetwork is a network that fails the test if the secret of these tests is seen by
// anybody but the registries that it is meant for, or in clear text.
func testNetwork(t *testing.T) *regtest.Network {
	network := new(regtest.Network)
	t.Cleanup(func() {
		for _, req := range network.Sent() {
			if seesSecret(req) && !(req.URL.Scheme == "https" && (req.URL.Host == "registry.example" || req.URL.Host == "quay.io")) {
				t.Errorf("%s %s://%s sees the secret", req.Method, req.URL.Scheme, req.URL.Host)
			}
		}
	})
	return network
}

// assertHas is assert.Subset, which compares each with each.
func assertHas(t *testing.T, tags, want []string, because ...any) {
	t.Helper()
	have := make(map[string]bool, len(tags))
	for _, tag := range tags {
		have[tag] = true
	}
	assert.Empty(t, slices.DeleteFunc(slices.Clone(want), func(tag string) bool { return have[tag] }), because...)
}

// seesSecret reports whether the secret is anywhere in a request, in whatever
// dress.
func seesSecret(req *http.Request) bool {
	var b strings.Builder
	b.WriteString(req.URL.String())
	_ = req.Header.Write(&b)
	if req.GetBody != nil {
		if body, err := req.GetBody(); err == nil {
			_, _ = io.Copy(&b, body)
		}
	}
	if _, password, ok := req.BasicAuth(); ok {
		b.WriteString(password)
	}
	return strings.Contains(b.String(), secret) // which looks the same escaped
}

func TestTheWireNotices(t *testing.T) {
	plain := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/?x=1", nil)
	assert.False(t, seesSecret(plain))
	inQuery := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/?x="+url.QueryEscape(secret), nil)
	assert.True(t, seesSecret(inQuery))
	inHeader := plain.Clone(t.Context())
	inHeader.Header.Set("Authorization", "Bearer "+secret)
	assert.True(t, seesSecret(inHeader))
	inBasic := plain.Clone(t.Context())
	inBasic.SetBasicAuth("bob", secret)
	assert.True(t, seesSecret(inBasic))
	inBody, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example/", strings.NewReader(url.Values{"x": {secret}}.Encode()))
	require.NoError(t, err)
	assert.True(t, seesSecret(inBody))
}

// anonymous is a Client that asks for one page after the other, of one size: for
// tests that count requests. It knows no credentials.
func anonymous(network http.RoundTripper) *ocitags.Client {
	return withCredentials(network, ocitags.Anonymous)
}

func withCredentials(network http.RoundTripper, credentials ocitags.CredentialFunc) *ocitags.Client {
	return &ocitags.Client{Transport: network, Credentials: credentials, Concurrency: 1, PageSize: 1000}
}

// golden compares got with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(root, "testdata", filepath.FromSlash(name))
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o666))
		return
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(text), got, "run go test -update, and read the difference")
}

// TestProfiles lists repositories of every interesting size from every profile.
// All tags must come; what was asked for them is in testdata/conversations.
func TestProfiles(t *testing.T) {
	t.Parallel()
	for _, profile := range regtest.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			var talk strings.Builder
			fmt.Fprintf(&talk, "# %s\n", profile.Server)
			page := 1000 // as many as one answer to n=1000 holds
			switch {
			case profile.JSONPages:
				page = 100
			case profile.Max > 0:
				page = min(page, profile.Max)
			}
			for _, n := range []int{0, 1, page - 1, page, page + 1, 2 * page, 2*page + 1, 4321} {
				name := "proxy/app"
				ref, r, network := mock(t, profile.Name, name, n)
				var pages []ocitags.Page
				var log strings.Builder
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 1, Logger: told(&log)}
				c.OnPage = func(p ocitags.Page) { pages = append(pages, p) }
				mustList(t, c, ref, r, name)
				tags := want(r, name)

				total := 0
				for i, p := range pages {
					total += p.Tags
					assert.Equal(t, i+1, p.Number)
					assert.Equal(t, total, p.Total)
				}
				assert.Len(t, tags, total)
				fmt.Fprintf(&talk, "\n%d tags\n", n)
				for _, req := range r.Requests() {
					fmt.Fprintf(&talk, "  %d %s\n", req.Status, req.URL)
				}
				for line := range strings.Lines(log.String()) {
					if !strings.Contains(line, " msg=request ") {
						fmt.Fprintf(&talk, "  %s", line)
					}
				}
			}
			golden(t, "conversations/"+profile.Name+".txt", talk.String())
		})
	}
}

// told is a Logger of all but what would be different in each run, and the
// repository.
func told(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains([]string{slog.TimeKey, "repository", "duration", "wait"}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
}

// The same over TLS and HTTP/2, as a client out there meets it.
func TestProfilesOverTheWire(t *testing.T) {
	for _, profile := range regtest.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			ref, r, _ := mock(t, profile.Name, "proxy/app", 2345)
			protocols := map[string]int{}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				protocols[req.Proto]++ // one request after the other
				r.ServeHTTP(w, req)
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			transport := server.Client().Transport.(*http.Transport)
			transport.TLSClientConfig.InsecureSkipVerify = true // the certificate is for no registry
			transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
			}
			c := withCredentials(transport, ocitags.Anonymous)
			mustList(t, c, ref, r, "proxy/app")
			assert.Equal(t, map[string]int{"HTTP/2.0": len(r.Requests())}, protocols)
		})
	}
}
