package conformance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

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
		t.Run(profile.Name, inBubble(func(t *testing.T) {
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
				ref, r, network := newRegistry(t, profile.Name, name, n)
				var pages []ocitags.Page
				var log strings.Builder
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 1, Logger: stableLog(&log)}
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
		}))
	}
}

// The same over TLS and HTTP/2, as a client out there meets it.
func TestProfilesOverTheWire(t *testing.T) {
	t.Parallel()
	for _, profile := range regtest.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			ref, r, _ := newRegistry(t, profile.Name, "proxy/app", 2345)
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

// The tags of a list that is much longer than what is remembered of it, taken as they arrive:
// each comes once, where the registry's order turns out late to be another than by bytes.
func TestProfilesInTurn(t *testing.T) {
	remember(t, 200)
	list := []string{"a-02899-1", "a-028990", "D-1", "e_1", "e-1", "e.1"} // with punctuation, after their like
	for i := range 3000 {
		list = append(list, fmt.Sprintf("a-%05d", i))
		if i%10 == 0 {
			list = append(list, fmt.Sprintf("B-%05d", i), fmt.Sprintf("c-%05d", i))
		}
	}
	for _, profile := range regtest.Profiles() {
		t.Run(profile.Name, inBubble(func(t *testing.T) {
			for _, concurrency := range []int{1, 4} {
				ref, r, network := newRegistry(t, profile.Name, "proxy/app", 0)
				r.Push("proxy/app", list...).Push("proxy/library/app", list...)
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				tags, err := inTurn(t, c.Tags(t.Context(), ref))
				require.NoError(t, err)
				slices.Sort(tags)
				assert.True(t, slices.Equal(want(r, "proxy/app"), tags), "Concurrency %d: %d tags", concurrency, len(tags))
			}
		}))
	}
}
