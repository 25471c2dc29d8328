package regtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func transcript(t *testing.T, folder string) []Recorded {
	t.Helper()
	all, err := Transcript("../../testdata/transcripts/" + folder)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// many are the 2,500 tags that were in demo/many at all servers.
func many(t *testing.T) (tags []string) {
	for _, rec := range transcript(t, "distribution3") {
		if strings.HasPrefix(rec.Name, "15b-walk1000") {
			tags = append(tags, rec.Tags()...)
		}
	}
	require.Len(t, tags, 2500)
	return tags
}

// ask sends a request to a handler; nil is a dropped connection.
func ask(t *testing.T, h http.Handler, url string) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:5013"+url, nil)
	resp, err := new(Network).Handle("127.0.0.1:5013", h).RoundTrip(req)
	if err != nil {
		return nil
	}
	return resp
}

// What a profile answers and what its server answered are the same: status,
// Link, type and tags, to the null; of refusals the code and the message.
func TestProfilesAgreeWithTranscripts(t *testing.T) {
	for folder, profile := range Transcripts {
		if folder == "ghcr" {
			continue // one answer, to something else: TestGhcrTranscript
		}
		t.Run(folder, func(t *testing.T) {
			r := New(ByName(profile)).Push("demo/many", many(t)...)
			answers := transcript(t, folder)
			for _, rec := range answers { // what there was else
				name, _, _ := strings.Cut(strings.TrimPrefix(rec.URL, "/v2/"), "/tags/list")
				if name != "demo/many" && name != "demo/nonexistent" && rec.Status == http.StatusOK {
					r.Push(name, rec.Tags()...)
				}
			}
			for _, rec := range answers {
				resp := ask(t, r, rec.URL)
				if rec.Status == 0 {
					assert.Nil(t, resp, "%s: the connection is dropped", rec.Name)
					continue
				}
				require.NotNil(t, resp, rec.Name)
				assert.Equal(t, rec.Status, resp.StatusCode, rec.Name)
				assert.Equal(t, rec.Header.Get("Link"), resp.Header.Get("Link"), rec.Name)
				assert.Equal(t, rec.Header.Get("Content-Type"), resp.Header.Get("Content-Type"), rec.Name)
				if rec.Status == http.StatusOK {
					assert.Equal(t, rec.Header.Get(apiVersion), resp.Header.Get(apiVersion), rec.Name)
				}
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err, rec.Name)
				if len(rec.Body) == 0 {
					assert.Empty(t, body, rec.Name)
					continue
				}
				assert.Equal(t, gist(t, rec.Body), gist(t, body), rec.Name)
			}
		})
	}
}

// gist is what matters of a body.
func gist(t *testing.T, body []byte) any {
	t.Helper()
	var doc struct {
		Name   string
		Tags   *[]string
		Errors []struct{ Code, Message string }
	}
	require.NoError(t, json.Unmarshal(body, &doc), "%q", body[:min(len(body), 100)])
	return doc
}

// zot, whose Link names a tag that is deleted before it is followed.
func TestZotMidwalkTranscript(t *testing.T) {
	r := New(ByName("zot")).Push("demo/many", many(t)...)
	first := ask(t, r, "/v2/demo/many/tags/list?n=10")
	require.Equal(t, 200, first.StatusCode)
	link := first.Header.Get("Link")
	next := link[1:strings.Index(link, ">")]
	r.Delete("demo/many", next[strings.Index(next, "last=")+len("last="):])
	gone := ask(t, r, next)
	assert.Equal(t, 404, gone.StatusCode)
	body, err := io.ReadAll(gone.Body)
	require.NoError(t, err)
	assert.Empty(t, body)
}

// ghcr.io, of whose answers there is one: the Link repeats n where it was sent.
func TestGhcrTranscript(t *testing.T) {
	rec := transcript(t, "ghcr")[0]
	r := New(ByName("ghcr")).Push("spack/github-actions-buildcache", append(rec.Tags(), "one-more")...)
	resp := ask(t, r, rec.URL)
	assert.Equal(t, rec.Header.Get("Link"), resp.Header.Get("Link"))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, gist(t, rec.Body), gist(t, body))
	resp = ask(t, r, strings.TrimSuffix(rec.URL, "?n=10"))
	assert.Empty(t, resp.Header.Get("Link"), "11 tags are one page of the default")
}

func TestProfilesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Profiles() {
		assert.NotEmpty(t, p.Server)
		assert.False(t, seen[p.Name], p.Name)
		seen[p.Name] = true
		assert.Equal(t, p.Name, ByName(p.Name).Name)
	}
	assert.Panics(t, func() { ByName("no-such") })
}

func TestPushAndDelete(t *testing.T) {
	r := New(ByName("ghcr")).Push("a/b", "1", "2", "3").Push("a/b", "1")
	assert.Equal(t, []string{"2", "3", "1"}, r.Tags("a/b"), "by age")
	r.Delete("a/b", "3")
	assert.Equal(t, []string{"2", "1"}, r.Tags("a/b"))
	assert.Equal(t, []string{"a", "b"}, New(ByName("gitea")).Push("a/b", "B", "b", "A").Tags("a/b"), "in lower case")
}

// The faults are what they are called, over sockets and in memory.
func TestFaults(t *testing.T) {
	for name, wire := range map[string]func(*testing.T, http.Handler) (string, http.RoundTripper){
		"memory": func(_ *testing.T, h http.Handler) (string, http.RoundTripper) {
			return "http://h", new(Network).Handle("h", h)
		},
		"sockets": func(t *testing.T, h http.Handler) (string, http.RoundTripper) {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s.URL, s.Client().Transport
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r *Registry
			get := func(fault Fault) (int, string, error) {
				r = New(ByName("dist312")).Push("a/b", "1", "2")
				r.Fault = func(int, *http.Request) Fault { return fault }
				url, transport := wire(t, r)
				resp, err := (&http.Client{Transport: transport}).Get(url + "/v2/a/b/tags/list")
				if err != nil {
					return 0, "", err
				}
				defer func() { _ = resp.Body.Close() }()
				body, err := io.ReadAll(resp.Body)
				return resp.StatusCode, string(body), err
			}
			whole := `{"name":"a/b","tags":["1","2"]}` + "\n"

			status, body, err := get(Fault{})
			require.NoError(t, err)
			assert.Equal(t, whole, body)
			assert.Equal(t, 200, status)
			assert.Equal(t, []string{"/v2/a/b/tags/list"}, r.URLs())

			_, _, err = get(Fault{Drop: true})
			require.Error(t, err)

			_, body, err = get(Fault{Cut: 10})
			require.Error(t, err)
			assert.Equal(t, whole[:10], body)

			status, body, err = get(Fault{Status: 503})
			require.NoError(t, err)
			assert.Equal(t, 503, status)
			assert.Empty(t, body)
			assert.Equal(t, 503, r.Requests()[0].Status)

			_, body, err = get(Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "x") })})
			require.NoError(t, err)
			assert.Equal(t, "x", body)
		})
	}
}

// No order loses or makes up a tag.
func TestOrdersKeepAllTags(t *testing.T) {
	tags := many(t)
	for _, p := range Profiles() {
		want := slices.Clone(tags)
		if p.Fold {
			for i := range want {
				want[i] = strings.ToLower(want[i])
			}
		}
		want = slices.Compact(slices.Sorted(slices.Values(want)))
		assert.Equal(t, want, slices.Sorted(slices.Values(New(p).Push("a/b", tags...).Tags("a/b"))), p.Name)
	}
}
