package regtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var next = regexp.MustCompile(`\?([^>;]*)>?;\s*rel="?next`)

// follow reads page after page as a simple client does: by the query of a Link,
// and without one by n and last, until nothing new comes.
func follow(t *testing.T, r *Registry, name string, n int) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	query := fmt.Sprint("n=", n)
	for range 100 {
		resp := ask(t, r, "/v2/"+name+"/tags/list?"+query)
		require.NotNil(t, resp)
		if location := resp.Header.Get("Location"); location != "" {
			u, err := url.Parse(location)
			require.NoError(t, err)
			query = "n=1000" // which this one drops
			name = strings.TrimSuffix(strings.TrimPrefix(u.Path, "/v2/"), "/tags/list")
			r.Push(name, r.Tags("proxy/app")...)
			r.Profile.Redirect = nil
			continue
		}
		if resp.StatusCode != http.StatusOK {
			break // it does not know that last
		}
		var page struct{ Tags []any }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&page))
		before, last := len(seen), ""
		for _, tag := range page.Tags {
			if tag, ok := tag.(string); ok && !strings.Contains(tag, ":") {
				seen[tag], last = true, tag
			}
		}
		if m := next.FindStringSubmatch(resp.Header.Get("Link")); m != nil {
			if query = m[1]; !strings.HasSuffix(query, "last=") { // Cloudflare's end
				continue
			}
		}
		if len(seen) == before {
			break
		}
		query = fmt.Sprintf("n=%d&last=%s", n, url.QueryEscape(last))
	}
	return seen
}

// Each profile can be read to its end, but for the one that cannot in reality.
func TestEveryProfileIsAList(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			r := New(p)
			for i := range 250 {
				r.Push("proxy/app", fmt.Sprintf("v%d-%d", i*7919%250, i))
			}
			all := map[string]bool{}
			for _, tag := range r.Tags("proxy/app") {
				all[tag] = true
			}
			require.Len(t, all, 250)
			assert.Equal(t, all, follow(t, r, "proxy/app", 100))
		})
	}
}

// Quay's own API: newest first, at most 100 a page.
func TestJSONPages(t *testing.T) {
	r := New(ByName("quayjson"))
	for i := range 250 {
		r.Push("a/b", fmt.Sprintf("v%03d", i))
	}
	for query, want := range map[string]string{
		"":                    "v249 v200 1 true",
		"?limit=100&page=1":   "v249 v150 1 true",
		"?limit=1000&page=3":  "v049 v000 3 false",
		"?limit=0&page=0":     "v249 v249 0 true",
		"?limit=x&page=x":     "v249 v200 1 true",
		"?limit=100&page=100": "- - 100 false",
	} {
		var page struct {
			Tags []struct{ Name string }
			Page int
			More bool `json:"has_additional"`
		}
		resp := ask(t, r, "/api/v1/repository/a/b/tag/"+query)
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&page))
		first, last := "-", "-"
		if len(page.Tags) > 0 {
			first, last = page.Tags[0].Name, page.Tags[len(page.Tags)-1].Name
		}
		assert.Equal(t, want, fmt.Sprint(first, " ", last, " ", page.Page, " ", page.More), query)
	}
	assert.Equal(t, http.StatusUnauthorized, ask(t, r, "/api/v1/repository/no/such/tag/").StatusCode)
	assert.Equal(t, http.StatusNotFound, ask(t, New(ByName("quay")), "/api/v1/repository/a/b/tag/").StatusCode)
}

// Who may read what.
func TestAuth(t *testing.T) {
	token := func(r *Registry, req *http.Request) string {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		var answer struct {
			Token  string
			Access string `json:"access_token"`
		}
		_ = json.Unmarshal(w.Body.Bytes(), &answer)
		return answer.Token + answer.Access
	}
	list := func(r *Registry, repository, authorization string) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/v2/"+repository+"/tags/list", nil)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code == http.StatusUnauthorized {
			assert.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
		}
		return w.Code
	}
	get := func(user, password string) *http.Request {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/token?scope=repository:a/b:pull", nil)
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		return req
	}
	for _, profile := range []string{"gitlab", "acr", "gitea", "ecr"} {
		r := New(ByName(profile)).Push("a/b", "1").Push("a/c", "1")
		r.Auth = &Auth{Username: "bob", Password: "s3cret", RefreshToken: "again"}
		assert.Equal(t, 401, list(r, "a/b", ""))
		assert.Equal(t, 401, list(r, "a/b", "Bearer made-up"))
		assert.Empty(t, token(r, get("", "")))
		assert.Empty(t, token(r, get("bob", "wrong")))
		bearer := token(r, get("bob", "s3cret"))
		assert.Equal(t, 200, list(r, "a/b", "Bearer "+bearer))
		assert.Equal(t, 401, list(r, "a/c", "Bearer "+bearer), "of another repository")
		r.Auth.Revoke()
		assert.Equal(t, 401, list(r, "a/b", "Bearer "+bearer))

		for refresh, good := range map[string]bool{"again": true, "wrong": false} {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {"repository:a/b:pull"}}
			post := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://registry.example/token", strings.NewReader(form.Encode()))
			post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			assert.Equal(t, good, token(r, post) != "")
		}
		r.Auth = &Auth{Username: "bob", Password: "s3cret", Basic: true}
		assert.Equal(t, 401, list(r, "a/b", ""))
		assert.Equal(t, 200, list(r, "a/b", get("bob", "s3cret").Header.Get("Authorization")))
		assert.Equal(t, 401, list(r, "a/b", get("bob", "wrong").Header.Get("Authorization")))
		r.Auth = &Auth{}
		assert.Equal(t, 200, list(r, "a/b", "Bearer "+token(r, get("", ""))), "anybody, with a token")
	}
}

// What a client may see of a hostile server is what its name says.
func TestHostile(t *testing.T) {
	for name, h := range Hostile {
		resp := ask(t, h, "/v2/a/b/tags/list")
		require.NotNil(t, resp, name)
		body := make([]byte, 64)
		n, _ := resp.Body.Read(body)
		_ = resp.Body.Close()
		assert.Positive(t, n, name)
		switch name {
		case "html", "truncated", "million":
			assert.Empty(t, resp.Header.Get("Link"), name)
		default:
			assert.Regexp(t, `rel="next"$`, resp.Header.Get("Link"), name)
		}
	}
}

func TestNetwork(t *testing.T) {
	r := New(ByName("gitlab")).Push("a/b", "1")
	network := new(Network).Handle("registry.example", r)
	request := func(ctx context.Context, host string) *http.Request {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/a/b/tags/list", nil)
		require.NoError(t, err)
		return req
	}
	_, err := network.RoundTrip(request(t.Context(), "elsewhere.example"))
	require.ErrorContains(t, err, `no host "elsewhere.example"`)
	resp, err := network.RoundTrip(request(t.Context(), "registry.example"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Len(t, network.Sent(), 2)
	assert.Len(t, r.Requests(), 1)
	r.Forget()
	assert.Empty(t, r.Requests())

	// A server that hangs is left by a client that goes away, before its answer
	// and within it.
	over := make(chan struct{})
	defer close(over)
	for _, begins := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		network.Handle("slow.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if begins {
				_, _ = w.Write([]byte("a"))
			} else {
				cancel()
			}
			<-over
		}))
		resp, err := network.RoundTrip(request(ctx, "slow.example"))
		cancel()
		for err == nil {
			_, err = resp.Body.Read(make([]byte, 10))
		}
		require.ErrorIs(t, err, context.Canceled)
	}

	// A registry that waits stops when nobody waits for it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Fault = func(int, *http.Request) Fault { return Fault{Delay: time.Hour} }
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request(ctx, "registry.example"))
	assert.Zero(t, w.Body.Len())
}

// A recorded answer is served as it was recorded, and one that is none is an
// error.
func TestRecorded(t *testing.T) {
	for _, rec := range transcript(t, "ggcr") {
		resp := ask(t, rec, rec.URL)
		if rec.Status == 0 {
			assert.Nil(t, resp, rec.Name)
			continue
		}
		assert.Equal(t, rec.Status, resp.StatusCode, rec.Name)
	}
	_, err := Transcript(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"HTTP/1.1", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno header\r\n\r\n"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "REQUESTS.tsv"), []byte("01\tGET /v2/\n"), 0o600))
		_, err := Transcript(dir)
		require.ErrorIs(t, err, os.ErrNotExist)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "01.http"), []byte(text), 0o600))
		_, err = Transcript(dir)
		require.Error(t, err, text)
	}
	assert.False(t, slices.ContainsFunc(Profiles(), func(p Profile) bool { return p.Server == "" }))
}
