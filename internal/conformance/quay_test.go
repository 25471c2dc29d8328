package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/wire"
)

// pagesOf are the page numbers that the API was asked for.
func pagesOf(r *regtest.Registry) (pages []string) {
	for _, req := range r.Requests() {
		if _, query, ok := strings.Cut(req.URL, "&page="); ok && isJSON(req.URL) {
			pages = append(pages, query)
		}
	}
	return pages
}

func TestQuayJSONPages(t *testing.T) {
	ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
	mustList(t, anonymous(network), ref, r, "a/b")
	assert.Equal(t, []string{
		"/api/v1/repository/a/b/tag/?limit=100&onlyActiveTags=true&page=1",
		"/api/v1/repository/a/b/tag/?limit=99&onlyActiveTags=true&page=2",
		"/api/v1/repository/a/b/tag/?limit=98&onlyActiveTags=true&page=3",
		"/api/v1/repository/a/b/tag/?limit=97&onlyActiveTags=true&page=4",
		"/api/v1/repository/a/b/tag/?limit=100&onlyActiveTags=true&page=1",
	}, r.URLs(), "the pages overlap, and the front is read again")
}

// What ends a listing elsewhere ends it here.
func TestQuayIsLeft(t *testing.T) {
	t.Run("by the consumer", func(t *testing.T) {
		ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
		n := 0
		for _, err := range anonymous(network).Tags(t.Context(), ref) {
			require.NoError(t, err)
			if n++; n == 150 {
				break
			}
		}
		assert.Equal(t, []string{"1", "2"}, pagesOf(r))
	})
	t.Run("by MaxTags", func(t *testing.T) {
		ref, _, network := newRegistry(t, "quayjson", "a/b", 350)
		c := anonymous(network)
		c.MaxTags = 150
		_, err := c.ListTags(t.Context(), ref)
		require.ErrorIs(t, err, ocitags.ErrTooLarge)
		assert.Contains(t, err.Error(), "page 2: ")
	})
	t.Run("by a large answer", func(t *testing.T) {
		ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
		c := anonymous(network)
		r.Fault = faultAt(1, regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", wire.MaxHeader))
		})})
		_, err := c.ListTags(t.Context(), ref)
		require.ErrorIs(t, err, ocitags.ErrTooLarge)
		assert.Len(t, r.Requests(), 1)
	})
	t.Run("by its context", func(t *testing.T) {
		ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
		ctx, cancel := context.WithCancelCause(t.Context())
		r.Fault = func(k int, _ *http.Request) regtest.Fault {
			if k == 2 {
				cancel(errors.New("enough"))
				return regtest.Fault{Delay: time.Hour}
			}
			return regtest.Fault{}
		}
		_, err := anonymous(network).ListTags(ctx, ref)
		require.ErrorIs(t, err, context.Canceled)
		assert.Contains(t, err.Error(), "enough")
	})
	t.Run("for want of credentials", func(t *testing.T) {
		ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
		locked := errors.New("the key chain is locked")
		_, err := withCredentials(network, func(context.Context, string, string) (ocitags.Credential, error) { return ocitags.Credential{}, locked }).ListTags(t.Context(), ref)
		require.ErrorIs(t, err, locked)
		assert.Empty(t, r.Requests(), "not even without one")
	})
}

// A registry that does not look at limit is read until two passes agree.
func TestQuayLikeWithoutLimit(t *testing.T) {
	for _, size := range []int{7, 50, 100} {
		list := makeTags(3*size + 3)
		var asked []string
		churn := 0
		network := testNetwork(t).Handle("quay.io", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			asked = append(asked, req.URL.Query().Get("page"))
			if churn > 0 && len(asked) == churn {
				list = append(slices.Clone(list[:size]), list[size+1:]...)
			}
			page, _ := strconv.Atoi(req.URL.Query().Get("page"))
			from := min((page-1)*size, len(list))
			to := min(from+size, len(list))
			entries := []string{}
			for _, tag := range list[from:to] {
				entries = append(entries, `{"name":"`+tag+`"}`)
			}
			_, _ = fmt.Fprintf(w, `{"tags":[%s],"page":%d,"has_additional":%v}`, strings.Join(entries, ","), page, to < len(list))
		}))
		tags, err := anonymous(network).ListTags(t.Context(), "quay.io/a/b")
		require.NoError(t, err)
		assert.Len(t, tags, len(list))
		if size != 50 { // a page of 50 may be its own limit: it is asked for 49 next
			assert.Equal(t, strings.Fields("1 2 3 4 1 2 3 4"), asked)
		}

		asked, churn = nil, 3
		before := list
		tags, err = anonymous(network).ListTags(t.Context(), "quay.io/a/b")
		require.NoError(t, err)
		assertHas(t, tags, list)
		assertHas(t, before, tags)
	}
}

// Two passes that agree are not enough where each shows that the list has moved.
func TestQuayLikeWithoutLimitMovesTwice(t *testing.T) {
	r := regtest.New(regtest.ByName("quay")).Push("a/b", "a", "b", "c")
	asked := 0
	network := testNetwork(t).Handle("quay.io", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case !isJSON(req.URL.Path):
			r.ServeHTTP(w, req)
			return
		case req.URL.Query().Get("page") == "1": // of the list a, b, c
			_, _ = fmt.Fprint(w, `{"tags":[{"name":"a"},{"name":"b"}],"page":1,"has_additional":true}`)
		default: // of c, a, b
			_, _ = fmt.Fprint(w, `{"tags":[{"name":"b"}],"page":2,"has_additional":false}`)
		}
		asked++
	}))
	mustList(t, anonymous(network), "quay.io/a/b", r, "a/b")
	assert.Equal(t, 6, asked)
}

// With a credential the ordinary way is taken, and the API sees nothing of it.
func TestQuayCredentialsDoNotGoToTheAPI(t *testing.T) {
	ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
	r.Auth = &regtest.Auth{Username: "bob", Password: secret}
	c := withCredentials(network, ocitags.StaticCredential("quay.io", user))
	mustList(t, c, ref, r, "a/b")
	assert.Empty(t, pagesOf(r))

	// Nor where an ordinary answer leads there.
	r, network = registryWithAuth(t, "quayjson", &regtest.Auth{Username: "bob", Password: secret})
	r.Profile.Link = nil
	r.Profile.Extra = func(body map[string]any, _ []string) { body["has_additional"] = true }
	c = withCredentials(network, ocitags.StaticCredential("registry.example", user))
	mustList(t, c, "registry.example/a/b", r, "a/b")
	assert.NotEmpty(t, pagesOf(r))
	for _, req := range r.Requests() {
		if isJSON(req.URL) {
			assert.Empty(t, req.Header.Get("Authorization"))
		}
	}
}

// A registry that is built like quay says so in an ordinary answer.
func TestQuayLikeRegistry(t *testing.T) {
	r := regtest.New(regtest.ByName("quayjson")).Push("a/b", makeTags(350)...)
	r.Profile.Link = nil
	r.Profile.Extra = func(body map[string]any, page []string) { body["has_additional"] = len(page) == 100 }
	network := testNetwork(t).Handle("registry.example", r)
	mustList(t, anonymous(network), "registry.example/a/b", r, "a/b")
	assert.Equal(t, []string{"1", "2", "3", "4", "1"}, pagesOf(r))

	// If the API is not there, by its ordinary pages.
	r.Forget()
	r.Profile.JSONPages = false
	mustList(t, anonymous(network), "registry.example/a/b", r, "a/b")
	assert.Len(t, pagesOf(r), 1)

	// If those lead nowhere either, it is an error.
	r.Forget()
	r.Profile.Cursor.Rest = func(list []string, _ string) ([]string, *regtest.Refusal) { return list, nil }
	_, err := anonymous(network).ListTags(t.Context(), "registry.example/a/b")
	require.ErrorIs(t, err, ocitags.ErrLoop)
}

// Where has_additional comes late, after a question of ours, it still counts.
func TestQuayLikeThatHasMoreAfterAll(t *testing.T) {
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case isJSON(req.URL.Path):
			w.WriteHeader(404)
		case req.URL.Query().Has("last"):
			_, _ = fmt.Fprintf(w, `{"tags":["%s"],"has_additional":true}`, strings.Join(makeTags(50)[1:], `","`))
		default:
			_, _ = fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(makeTags(50), `","`))
		}
	}))
	_, err := anonymous(network).ListTags(t.Context(), "registry.example/a/b")
	require.ErrorIs(t, err, ocitags.ErrLoop)
}

// An API that refuses or breaks, on whatever page, is left for the ordinary way.
func TestQuayFallsBack(t *testing.T) {
	text := func(body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) })
	}
	page := func(n int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			var tags []string
			for i := range n {
				tags = append(tags, fmt.Sprintf(`{"name":"other-%d"}`, i))
			}
			_, _ = fmt.Fprintf(w, `{"tags":[%s],"page":%s,"has_additional":true}`, strings.Join(tags, ","), req.URL.Query().Get("page"))
		})
	}
	for name, fault := range map[string]regtest.Fault{
		"401": {Status: 401}, "403": {Status: 403}, "404": {Status: 404}, "501": {Status: 501},
		"HTML":               {Handler: text("<html>")},
		"without more":       {Handler: text(`{"tags":[{"name":"1.0"}],"page":1}`)},
		"page as a string":   {Handler: text(`{"tags":[{"name":"1.0"}],"page":"1","has_additional":true}`)},
		"always page 99":     {Handler: text(`{"tags":[{"name":"1.0"}],"page":99,"has_additional":true}`)},
		"more that is wrong": {Handler: text(`{"tags":[],"page":1,"has_additional":"yes"}`)},
		"more, and no tags":  {Handler: page(0)},
		"too many tags":      {Handler: page(100 + 1)},
	} {
		for k := 1; k <= 5; k++ {
			t.Run(fmt.Sprint(name, " at request ", k), func(t *testing.T) {
				ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
				r.Push("a/b", "1.0")
				r.Fault = faultAt(k, fault)
				mustList(t, anonymous(network), ref, r, "a/b")
				assert.Len(t, pagesOf(r), k)
				assert.Greater(t, len(r.Requests()), k)
			})
		}
	}
}

// 404 of the API is not the last word; that of the registry is.
func TestQuayUnknownRepository(t *testing.T) {
	_, r, network := newRegistry(t, "quayjson", "a/b", 1)
	_, err := anonymous(network).ListTags(t.Context(), "quay.io/no/such")
	require.ErrorIs(t, err, ocitags.ErrUnauthorized, "quay tells nobody what is missing and what is private")
	assert.Len(t, r.Requests(), 2)
}

// A push or a delete while the pages are read moves all that follow. The
// overlaps and the front show it, and another pass finds what was missed.
func TestQuayPagesMove(t *testing.T) {
	t.Parallel()
	for k := 2; k <= 5; k++ {
		for name, change := range map[string]func(*regtest.Registry){
			"push":                      func(r *regtest.Registry) { r.Push("a/b", "new") },
			"delete the newest":         func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[349]) },
			"delete the oldest":         func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[0]) },
			"delete in the first page":  func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[300]) },
			"delete in the second page": func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[200]) },
			"delete in the third page":  func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[100]) },
			"delete what overlaps":      func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[350-100]) },
			"delete many": func(r *regtest.Registry) {
				for i := 0; i < 350; i += 2 {
					r.Delete("a/b", makeTags(350)[i])
				}
			},
			"the oldest once more":                        func(r *regtest.Registry) { r.Push("a/b", makeTags(350)[0]) },
			"the oldest once more, and delete the newest": func(r *regtest.Registry) { r.Push("a/b", makeTags(350)[0]); r.Delete("a/b", makeTags(350)[349]) },
			"the oldest once more, and delete another":    func(r *regtest.Registry) { r.Push("a/b", makeTags(350)[0]); r.Delete("a/b", makeTags(350)[340]) },
			"push, and delete":                            func(r *regtest.Registry) { r.Delete("a/b", makeTags(350)[345]); r.Push("a/b", "new") },
		} {
			t.Run(fmt.Sprint(name, " before request ", k), func(t *testing.T) {
				ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
				before := want(r, "a/b")
				r.Fault = func(n int, _ *http.Request) regtest.Fault {
					if n == k {
						change(r)
					}
					return regtest.Fault{}
				}
				got, err := anonymous(network).ListTags(t.Context(), ref)
				require.NoError(t, err)
				after := want(r, "a/b")
				for _, tag := range before {
					if slices.Contains(after, tag) {
						assert.Contains(t, got, tag)
					}
				}
			})
		}
	}
}

// Pages that move for ever are left for the ordinary way, whose cursor does not.
func TestQuayPagesKeepMoving(t *testing.T) {
	ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
	before := want(r, "a/b")
	r.Fault = func(k int, req *http.Request) regtest.Fault {
		if isJSON(req.URL.RequestURI()) {
			for i := range 150 {
				r.Push("a/b", fmt.Sprintf("new-%d-%d", k, i))
			}
		}
		return regtest.Fault{}
	}
	got, err := anonymous(network).ListTags(t.Context(), ref)
	require.NoError(t, err)
	assertHas(t, got, before)
	assert.Equal(t, "/v2/a/b/tags/list?n=1000", r.URLs()[len(pagesOf(r))])
}

// An API that always has more is bounded.
func TestQuayAlwaysHasMore(t *testing.T) {
	network := testNetwork(t).Handle("quay.io", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprintf(w, `{"tags":[{"name":"a"}],"page":%s,"has_additional":true}`, req.URL.Query().Get("page"))
	}))
	_, err := anonymous(network).ListTags(t.Context(), "quay.io/a/b")
	require.ErrorIs(t, err, ocitags.ErrLoop)
	assert.Len(t, network.Sent(), 4)
}

// Entries of a tag's past are not its presence.
func TestQuayHistory(t *testing.T) {
	network := testNetwork(t).Handle("quay.io", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Date", "Mon, 23 Nov 2026 10:00:00 GMT")
		_, _ = fmt.Fprint(w, `{"tags":[{"name":"v1","start_ts":1795000000},{"name":"v1","end_ts":1795000000},{"name":"gone","end_ts":1700000000},{"name":"later","end_ts":1900000000}],"page":1,"has_additional":false}`)
	}))
	tags, err := anonymous(network).ListTags(t.Context(), "quay.io/a/b")
	require.NoError(t, err)
	assert.Equal(t, []string{"later", "v1"}, tags)
}

// quay's pages are asked for several at a time, within what it lets through at
// once.
func TestQuaySeveralPagesAtOnce(t *testing.T) {
	for _, test := range []struct{ concurrency, most int }{{1, 1}, {0, 4}, {8, 8}, {64, 25}} { // over HTTP/1.1
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, "quayjson", "a/b", 10_000)
			g := &inFlight{RoundTripper: network}
			c := &ocitags.Client{Transport: g, Credentials: ocitags.Anonymous, Concurrency: test.concurrency}
			began := time.Now()
			mustList(t, c, ref, r, "a/b")
			assert.Equal(t, test.most, g.most)
			took := time.Since(began)
			pages := pagesOf(r)
			assert.LessOrEqual(t, len(pages), 115+test.most)
			assert.Less(t, took, time.Duration(len(pages)/test.most+10)*time.Second)
			if test.concurrency == 1 {
				assert.Len(t, pages, int(took/time.Second))
			}

			// Only the front is asked for twice.
			urls := r.URLs()
			slices.Sort(urls)
			assert.Len(t, slices.Compact(urls), len(pages)-1)
		})
	}
}

// A short list is not asked for many pages that it does not have.
func TestQuayLooksAheadAsItGoes(t *testing.T) {
	for n, most := range map[int]int{50: 1, 100: 1, 150: 4, 250: 6, 450: 10} {
		ref, r, network := newRegistry(t, "quayjson", "a/b", n)
		mustList(t, &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 8}, ref, r, "a/b")
		assert.LessOrEqual(t, len(r.Requests()), most, "%d tags", n)
	}
}

// 429 means fewer requests at once there, too.
func TestQuayUnderRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "quayjson", "a/b", 5000)
		g := &inFlight{RoundTripper: network, limit: 3}
		c := &ocitags.Client{Transport: g, Credentials: ocitags.Anonymous, Concurrency: 10}
		mustList(t, c, ref, r, "a/b")
		assert.Len(t, pagesOf(r), len(r.Requests()), "the API did for all")
		assert.LessOrEqual(t, g.refused, 20)
	})
}

// What is asked for ahead may fail, and is asked for again when it is its turn.
func TestQuayAheadFails(t *testing.T) {
	for name, fault := range passing(func(n int) int { return n / 2 }) {
		for _, k := range []int{3, 5, 8} {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, "quayjson", "a/b", 1000)
				r.Fault = faultAt(k, fault)
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
				mustList(t, c, ref, r, "a/b")
				for _, url := range r.URLs() {
					assert.True(t, isJSON(url), "%s at request %d: %s", name, k, url)
				}
			})
		}
	}
}

// quay.io's ordinary lists take three requests at once: one, and a burst of 2.
func TestQuayOrdinaryListsThreeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "quayjson", "a/b", 5000)
		r.Auth = &regtest.Auth{Username: "bob", Password: secret}
		g := &inFlight{RoundTripper: network}
		c := &ocitags.Client{Transport: g, Credentials: ocitags.StaticCredential("quay.io", user), Concurrency: 16}
		mustList(t, c, ref, r, "a/b")
		assert.Empty(t, pagesOf(r), "a credential does not go to the API")
		assert.Equal(t, 3, g.most)
	})
}
