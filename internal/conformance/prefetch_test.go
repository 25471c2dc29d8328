package conformance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/listing"
	"github.com/ocitags/ocitags/internal/regtest"
)

// scannable are the profiles whose lists can be begun anywhere.
var scannable = strings.Fields("dist300 dist310 dist312 gitlab gitlab-c hub acr harbor gitea pulp cloudflare olareg")

// A list is read from several places at once: in a fraction of the time, with
// few requests more, and never more in flight than Concurrency, which is up to 16 by
// default.
func TestScan(t *testing.T) {
	for _, profile := range scannable {
		for _, concurrency := range []int{0, 2, 8} {
			t.Run(fmt.Sprint(profile, ", ", concurrency), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ref, r, network := newRegistry(t, profile, "a/b", 10_000)
					g := &inFlight{RoundTripper: network}
					c := withCredentials(g, ocitags.Anonymous)
					c.PageSize = 100
					began := time.Now()
					mustList(t, c, ref, r, "a/b")
					inARow, requestsInARow := time.Since(began), len(r.Requests())
					assert.Equal(t, 1, g.most)

					r.Forget()
					c = &ocitags.Client{Transport: g, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
					var last ocitags.Page
					c.OnPage = func(p ocitags.Page) {
						assert.Equal(t, last.Number+1, p.Number)
						last = p
					}
					began = time.Now()
					tags := mustList(t, c, ref, r, "a/b")
					slots := concurrency
					if slots == 0 {
						slots = 4
						assert.Greater(t, g.most, slots)
						assert.LessOrEqual(t, g.most, listing.MaxConcurrency)
					} else {
						assert.Equal(t, slots, g.most)
					}
					assert.Less(t, time.Since(began), inARow*3/time.Duration(slots))
					assert.LessOrEqual(t, len(r.Requests()), requestsInARow*14/10)
					assert.Len(t, tags, last.Total)
					assert.LessOrEqual(t, last.Number, len(r.Requests()))
				})
			})
		}
	}
}

// Tags come in the registry's order, whichever part was read first.
func TestScanKeepsTheOrder(t *testing.T) {
	for _, profile := range []string{"gitlab", "gitlab-c", "dist312"} {
		ref, r, network := newRegistry(t, profile, "a/b", 5000)
		c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, PageSize: 50, Concurrency: 8}
		var tags []string
		for tag, err := range c.Tags(t.Context(), ref) {
			require.NoError(t, err)
			tags = append(tags, tag)
		}
		assert.True(t, slices.Equal(r.Tags("a/b"), tags), profile)
	}
}

// A registry without Links is read from several places, too, with pages that
// overlap: that is no disorder.
func TestScanGoesOnByQuestions(t *testing.T) {
	list := sortedTags(10_000)
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			log := &strings.Builder{}
			tags, requests, err := script(func(_, n int, last string) scripted {
				return scripted{page: upTo(after(list, last), min(n, 100))}
			}).listed(t, &ocitags.Client{PageSize: 100, Concurrency: concurrency, Logger: stableLog(log)})
			require.NoError(t, err)
			assert.Equal(t, list, tags)
			assert.Less(t, requests, 130)
			assert.NotContains(t, log.String(), "in no known order")
		})
	}
}

// A registry that cannot begin anywhere is noticed soon, and remembered.
func TestScanTurnsItselfOff(t *testing.T) {
	for profile, extra := range map[string]int{
		"zot":     4, // 404: last must exist
		"ecr":     0, // its cursors are opaque, which shows on the first page
		"quay311": 0,
		"ghcr":    0, // nor is its list in order
	} {
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, profile, "a/b", 5000)
			r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: time.Millisecond} } // the same for all
			c := withCredentials(network, ocitags.Anonymous)
			c.PageSize = 100
			mustList(t, c, ref, r, "a/b")
			inARow := len(r.Requests())

			c = &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: 4}
			r.Forget()
			mustList(t, c, ref, r, "a/b")
			synctest.Wait() // for requests that nobody waits for any more
			assert.LessOrEqual(t, len(r.Requests()), inARow+extra, profile)
			r.Forget()
			mustList(t, c, ref, r, "a/b")
			assert.LessOrEqual(t, len(r.Requests()), inARow, "%s: remembered", profile)
		})
	}
}

// The Link of a page may name a tag that this user may not see. What a part has read before it
// is kept, and nobody reads it again.
func TestScanAmongHiddenTags(t *testing.T) {
	list := sortedTags(20_000)
	isHidden := func(tag string) bool { return crc32.ChecksumIEEE([]byte(tag))%4 == 0 }
	want := slices.DeleteFunc(slices.Clone(list), isHidden)
	for _, concurrency := range []int{4, 16} {
		synctest.Test(t, func(t *testing.T) {
			tags, requests, err := script(func(_, n int, last string) (a scripted) {
				rest := after(list, last)
				page := upTo(rest, min(cmp.Or(n, 100), 100))
				if len(page) < len(rest) {
					a.link = linkAfter(page, 100)
				}
				a.page, a.took = slices.DeleteFunc(slices.Clone(page), isHidden), time.Millisecond
				return a
			}).listed(t, &ocitags.Client{PageSize: 100, Concurrency: concurrency})
			require.NoError(t, err)
			assert.True(t, slices.Equal(want, tags), "%d of %d tags", len(tags), len(want))
			assert.Less(t, requests, 260, "of 200 pages")
		})
	}
}

// What has to be asked at the end of a list is asked while other parts are read: whether
// anything comes after its last tag, and how the registry compares. No request waits for
// all others to be answered first.
func TestEndIsAskedForEarly(t *testing.T) {
	for _, concurrency := range []int{0, 4, 8} {
		synctest.Test(t, func(t *testing.T) {
			p := regtest.ByName("dist312")
			p.Max, p.DefaultN, p.Over = 1000, 1000, regtest.Rule{What: regtest.Clamp}
			list := packages(10_000)
			for i := range 20_000 { // in the middle, so that the end is not what comes last
				list = append(list, fmt.Sprintf("mm-%d.%d.%d", i%9, i/9%29, i/9/29))
			}
			r := regtest.New(p).Push("a/b", list...)
			g := &inFlight{RoundTripper: testNetwork(t).Handle("registry.example", r)}
			var mu sync.Mutex
			var latest time.Time
			var last []string // requests, of those that began latest
			c := &ocitags.Client{Credentials: ocitags.Anonymous, Concurrency: concurrency, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				mu.Lock()
				if now := time.Now(); now != latest {
					latest, last = now, nil
				}
				last = append(last, req.URL.RawQuery)
				mu.Unlock()
				return g.RoundTrip(req)
			})}
			mustList(t, c, "registry.example/a/b", r, "a/b")
			isQuestion := func(query string) bool {
				q, err := url.ParseQuery(query)
				require.NoError(t, err)
				return q.Get("n") == "1" || q.Get("last") == want(r, "a/b")[29_998]
			}
			assert.True(t, slices.ContainsFunc(requests(r), isQuestion))
			assert.True(t, slices.ContainsFunc(last, func(query string) bool { return !isQuestion(query) }), "%q", last)
		})
	}
}

// A page is all that is needed for a small repository: one request, and no
// goroutine beside it.
func TestNoScanForOnePage(t *testing.T) {
	for n, most := range map[int]int{0: 2, 1: 2, 251: 3, 999: 3} { // last is not looked at, with n and without
		tags, requests := builds(n), 0
		body, err := json.Marshal(map[string]any{"tags": tags})
		require.NoError(t, err)
		before := runtime.NumGoroutine()
		c := &ocitags.Client{Credentials: ocitags.Anonymous, Concurrency: 8, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			requests++
			assert.LessOrEqual(t, runtime.NumGoroutine(), before)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
		})}
		got := 0
		for _, err := range c.Tags(t.Context(), "registry.example/a/b") {
			require.NoError(t, err)
			got++
			assert.LessOrEqual(t, runtime.NumGoroutine(), before)
		}
		assert.Equal(t, n, got)
		assert.Equal(t, most, requests, "%d tags", n)
	}
}

// 429 means fewer requests at once, not an error and not a storm.
func TestScanUnderRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 10_000)
		g := &inFlight{RoundTripper: network, limit: 2}
		c := &ocitags.Client{Transport: g, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: 8}
		mustList(t, c, ref, r, "a/b")
		assert.LessOrEqual(t, g.refused, 8+6, "each slot beyond is told once, and the foreground may be told, too")
	})
}

// Whoever has enough leaves nothing behind; TestMain looks for goroutines.
func TestScanIsLeft(t *testing.T) {
	for _, enough := range []int{1, 100, 101, 2500, 9999} {
		ref, _, network := newRegistry(t, "gitlab", "a/b", 10_000)
		c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: 8}
		n := 0
		for _, err := range c.Tags(t.Context(), ref) {
			require.NoError(t, err)
			if n++; n == enough {
				break
			}
		}
		c.MaxTags = enough
		_, err := c.ListTags(t.Context(), ref)
		require.ErrorIs(t, err, ocitags.ErrTooLarge)
	}
}

// Distribution 3.1.2 sends the whole list without n. That is remembered also where its
// length is one at which lists are cut, and a question has to tell that it was all.
func TestWholeListsOfRoundLength(t *testing.T) {
	ref, r, network := newRegistry(t, "dist312", "a/b", 4000)
	c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
	mustList(t, c, ref, r, "a/b")
	assert.Len(t, requests(r), 4)
	r.Forget()
	mustList(t, c, ref, r, "a/b")
	assert.Equal(t, "", requests(r)[0], "remembered")
	assert.Len(t, requests(r), 2)
}

// A registry may keep to small pages, and send the whole list without n: distribution 3.1
// where tags.maxtags is small, and cuelabs' with MaxListPageSize. The list without n is
// read beside the second page, or after it.
func TestWholeListsInsteadOfSmallPages(t *testing.T) {
	for name, rule := range map[string]regtest.Rule{"clamped": {What: regtest.Clamp}, "refused": {What: regtest.Refuse, Refusal: regtest.Refusal{Status: 400}}} {
		for concurrency, most := range map[int]int{0: 10, 1: 4, 4: 10} { // with what is read ahead meanwhile
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, "dist312", "a/b", 20_001)
				r.Profile.Max, r.Profile.Over = 100, rule
				slow := &slowBodies{RoundTripper: network, think: 20 * time.Millisecond}
				c := &ocitags.Client{Transport: slow, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				mustList(t, c, ref, r, "a/b")
				assert.LessOrEqual(t, len(r.Requests()), most, "%s at %d: %v", name, concurrency, requests(r))
				assert.LessOrEqual(t, int(slow.most.Load()), cmp.Or(concurrency, 4))
				time.Sleep(time.Second) // by then nothing is on its way any more
				r.Forget()
				mustList(t, c, ref, r, "a/b")
				assert.Equal(t, []string{""}, requests(r), name)
			})
		}
	}
}

// The same where pages are cut at n and have no Link: go-containerregistry's registry,
// groups of Nexus, Trow.
func TestWholeListsWhereThereIsNoLink(t *testing.T) {
	for _, profile := range []string{"ggcr", "nexus-group", "trow"} {
		for concurrency, most := range map[int]int{0: 10, 1: 3, 4: 10} {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, profile, "a/b", 20_001)
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				mustList(t, c, ref, r, "a/b")
				assert.LessOrEqual(t, len(r.Requests()), most, "%s at %d: %v", profile, concurrency, requests(r))
				time.Sleep(time.Second)
				r.Forget()
				mustList(t, c, ref, r, "a/b")
				assert.Equal(t, []string{""}, requests(r), profile)
			})
		}
	}
}

// The same where larger pages are honoured, and the list has more than two of them. A list
// without n that is cut short on the way is requested again, as any page is.
func TestWholeListsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"dist312", "dist300", "harbor"} {
		for _, concurrency := range []int{1, 4} {
			for _, fault := range []regtest.Fault{{}, {CutEnd: 50_000}, {Drop: true}, {Status: 503}} {
				synctest.Test(t, func(t *testing.T) {
					ref, r, network := newRegistry(t, profile, "a/b", 20_001)
					cut := false
					r.Fault = func(_ int, req *http.Request) regtest.Fault {
						if req.URL.RawQuery != "" || cut {
							return regtest.Fault{}
						}
						cut = true
						return fault
					}
					c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: concurrency}
					mustList(t, c, ref, r, "a/b")
					if fault.Drop || fault.Status != 0 {
						return // by its pages, or by the list without n that came later
					}
					assert.LessOrEqual(t, len(r.Requests()), 4, "%s: %v", profile, requests(r))
				})
			}
		}
	}
}

// A list without n that cannot be had in one answer is read by its pages.
func TestWholeListsThatBreakOff(t *testing.T) {
	for _, profile := range []string{"dist312", "dist300"} {
		for _, concurrency := range []int{1, 4} {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, profile, "a/b", 20_001)
				r.Fault = func(_ int, req *http.Request) regtest.Fault {
					if req.URL.RawQuery == "" {
						return regtest.Fault{CutEnd: 50_000}
					}
					return regtest.Fault{}
				}
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				mustList(t, c, ref, r, "a/b")
			})
		}
	}
}

// A list without n that takes long is left, and not tried again.
func TestWholeListsThatTakeLong(t *testing.T) {
	for profile, most := range map[string]time.Duration{"dist312": 2 * time.Second, "dist300": time.Second} {
		for _, concurrency := range []int{1, 4} {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, profile, "a/b", 20_001)
				r.Fault = func(_ int, req *http.Request) regtest.Fault {
					if req.URL.RawQuery == "" {
						return regtest.Fault{Delay: time.Minute}
					}
					return regtest.Fault{}
				}
				slow := &slowBodies{RoundTripper: network, think: 20 * time.Millisecond}
				c := &ocitags.Client{Transport: slow, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				began := time.Now()
				mustList(t, c, ref, r, "a/b")
				assert.Less(t, time.Since(began), most, profile)
				r.Forget()
				mustList(t, c, ref, r, "a/b")
				assert.NotContains(t, requests(r), "", profile)
			})
		}
	}
}

// Where the list without n is a page like others, that is asked once. In another repository
// it is asked again only to see whether small pages hide something.
func TestListWithoutNIsAPage(t *testing.T) {
	for _, profile := range []string{"quay", "quay311"} {
		for _, concurrency := range []int{0, 1, 2, 4} {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, profile, "a/b", 2_345)
				r.Push("c/d", makeTags(345)...)
				slow := &slowBodies{RoundTripper: network, think: 20 * time.Millisecond, send: 20 * time.Millisecond}
				c := &ocitags.Client{Transport: slow, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				mustList(t, c, ref, r, "a/b")
				assert.Equal(t, 1, strings.Count(strings.Join(r.URLs(), "\n")+"\n", "/list\n"), "%v", requests(r))
				assert.LessOrEqual(t, int(slow.most.Load()), cmp.Or(concurrency, 4))
				time.Sleep(time.Second) // by then nothing is on its way any more
				r.Forget()
				mustList(t, c, ref, r, "a/b")
				assert.NotContains(t, requests(r), "")
				r.Forget()
				mustList(t, c, strings.Replace(ref, "a/b", "c/d", 1), r, "c/d")
				if profile == "quay311" {
					assert.NotContains(t, requests(r), "", "which is in no order that another one could contradict")
				}
			})
		}
	}
}

// A scan takes no more connections than it has slots, and they are used again.
func TestScanConnections(t *testing.T) {
	for concurrency, wantOpened := range map[int]int{1: 1, 4: 4, 8: 8} {
		r := regtest.New(regtest.ByName("gitlab")).Push("a/b", makeTags(20_000)...)
		var mu sync.Mutex
		opened := 0
		server := httptest.NewUnstartedServer(r)
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			if state == http.StateNew {
				opened++
			}
		}
		server.Start()
		c := &ocitags.Client{Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
		mustList(t, c, strings.TrimPrefix(server.URL, "http://")+"/a/b", r, "a/b")
		server.Close()
		assert.GreaterOrEqual(t, len(r.Requests()), 200)
		assert.LessOrEqual(t, opened, wantOpened)
	}
}

// A larger page is tried once with each registry, when there is more than one
// of 1000.
func TestLargerPages(t *testing.T) {
	t.Parallel()
	const n = 25_000
	for profile, test := range map[string]struct{ first, later []string }{
		"gitlab":     {[]string{"1000", "10000"}, []string{"1000", "10000", "10000"}},
		"dist312":    {[]string{"1000", "10000", ""}, []string{""}},                                     // clamped, and all of it comes without n
		"cloudflare": {[]string{"1000", "10000", "1000", "", "1000"}, []string{"1000", "1000", "1000"}}, // 500 over 1000
		"dist310":    {[]string{"1000", "10000", "1000", ""}, []string{""}},                             // 400, and all without n
		"ecr":        {[]string{"1000", "1000", "1000"}, []string{"1000", "1000", "1000"}},              // an opaque cursor
		"quay":       {[]string{"1000", "100", "", "100"}, []string{"1000", "100", "100"}},              // its own size at once
	} {
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, profile, "a/b", n)
			c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 1}
			for _, want := range [][]string{test.first, test.later} {
				r.Forget()
				mustList(t, c, ref, r, "a/b")
				var sizes []string
				for _, req := range r.Requests() {
					_, n, _ := strings.Cut(req.URL, "n=")
					n, _, _ = strings.Cut(n, "&")
					sizes = append(sizes, n)
				}
				assert.Equal(t, want, sizes[:min(len(want), len(sizes))], profile)
			}
		})
	}
}

// Where large pages take too long the size of before is gone back to.
func TestLargerPagesTimeOut(t *testing.T) {
	t.Parallel()
	for _, from := range []int{2, 4} {
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, "gitlab", "a/b", 60_000)
			r.Fault = faultOver(1000, from, regtest.Fault{Status: http.StatusGatewayTimeout})
			c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 1}
			mustList(t, c, ref, r, "a/b")
			r.Forget()
			mustList(t, c, ref, r, "a/b")
			assert.Equal(t, "n=1000", requests(r)[0], "remembered")
			assert.NotContains(t, strings.Join(requests(r), " "), "n=10000")
		})
	}
}

// ghcr.io is said to send no Link on a page of its cap, 1000.
func TestGHCRWithoutLinkOnAFullPage(t *testing.T) {
	ref, r, network := newRegistry(t, "ghcr", "a/b", 3000)
	link := r.Profile.Link
	r.Profile.Link = func(next regtest.Next) string {
		if r.Requests()[len(r.Requests())-1].URL != "/v2/a/b/tags/list?n=1000" {
			return ""
		}
		return link(next)
	}
	mustList(t, &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}, ref, r, "a/b")
}

// ghcr.io lists by age. Its first page may be sorted nevertheless.
func TestGHCRIsReadInARow(t *testing.T) {
	tags := builds(5000)
	slices.Reverse(tags[1000:])
	r := regtest.New(regtest.ByName("ghcr")).Push("a/b", tags...)
	c := &ocitags.Client{Transport: testNetwork(t).Handle("ghcr.io", r), Credentials: ocitags.Anonymous, PageSize: 500}
	mustList(t, c, "ghcr.io/a/b", r, "a/b")
	assert.LessOrEqual(t, len(r.Requests()), 10+2, "and the question whether it compares")
}

// A large page that comes as something else is asked for as a small one.
func TestLargerPagesAreNoPages(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab", "a/b", 5000)
	r.Fault = faultOver(1000, 1, regtest.Fault{Handler: html})
	mustList(t, &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}, ref, r, "a/b")
}

// Distribution on S3 sorts in one way and continues in another. Parts that are
// read at once notice when it shows late, and the list is read without n.
func TestScanNoticesS3(t *testing.T) {
	tags := builds(5000)
	for i := range 300 {
		tags = append(tags, fmt.Sprintf("z%03d", i), fmt.Sprintf("z%03d-alpine", i))
	}
	r := regtest.New(regtest.ByName("dist312s3")).Push("a/b", tags...)
	network := testNetwork(t).Handle("registry.example", r)
	for _, concurrency := range []int{1, 4, 16} {
		r.Forget()
		c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
		mustList(t, c, "registry.example/a/b", r, "a/b")
		whole := 0
		for _, query := range requests(r) {
			if query == "" {
				whole++
			}
		}
		assert.Equal(t, 1, whole, "without n, once")
	}
}

// The same where what shows it has been read long before it is handed out, as the
// consumer takes its time.
func TestScanNoticesS3Ahead(t *testing.T) {
	t.Parallel()
	tags := builds(5000)
	for i := range 300 {
		tags = append(tags, fmt.Sprintf("z%03d", i), fmt.Sprintf("z%03d-alpine", i))
	}
	for _, pause := range []int{0, 150, 450, 1000, 2000, 3000, 4000, 5000} {
		for _, concurrency := range []int{2, 4, 16} {
			synctest.Test(t, func(t *testing.T) {
				r := regtest.New(regtest.ByName("dist312s3")).Push("a/b", tags...)
				r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: time.Millisecond} }
				c := &ocitags.Client{Transport: testNetwork(t).Handle("registry.example", r), Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
				var got []string
				for tag, err := range c.Tags(t.Context(), "registry.example/a/b") {
					require.NoError(t, err)
					if got = append(got, tag); len(got) == pause {
						time.Sleep(time.Minute)
					}
				}
				slices.Sort(got)
				assert.Len(t, got, len(tags), "pause at %d, concurrency %d", pause, concurrency)
				assert.Len(t, slices.Compact(got), len(tags))
			})
		}
	}
}

// The same where it shows in a page that is of no use afterwards, and in no page
// of those which are read in its place: the pair stands where one page ends.
func TestScanNoticesS3InVain(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	var tags []string
	for range 3000 {
		tags = append(tags, fmt.Sprintf("%016x", rnd.Uint64()))
	}
	slices.Sort(tags)
	x := tags[2498] + "a"
	tags = append(tags, x, x+"-alpine")
	for _, concurrency := range []int{2, 4, 16} {
		synctest.Test(t, func(t *testing.T) {
			r := regtest.New(regtest.ByName("dist312s3")).Push("a/b", tags...)
			require.Equal(t, []string{x + "-alpine", x}, r.Tags("a/b")[2499:2501])
			r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: time.Millisecond} }
			c := &ocitags.Client{Transport: testNetwork(t).Handle("registry.example", r), Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
			mustList(t, c, "registry.example/a/b", r, "a/b")
		})
	}
}

// 16 scans that are told to wait do so together: only what was in flight is
// refused, and nothing is asked until the time is over.
func TestScansShareARetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 5000)
		began := time.Now()
		var mu sync.Mutex
		refused, early := 0, 0
		r.Fault = func(int, *http.Request) regtest.Fault {
			mu.Lock()
			defer mu.Unlock()
			switch at := time.Since(began); {
			case at < 5*time.Second || at >= 25*time.Second:
				return regtest.Fault{}
			case at > 7*time.Second: // those in flight have come back by then
				early++
			}
			refused++
			return regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}}
		}
		c := &ocitags.Client{Transport: &inFlight{RoundTripper: network}, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: 4}
		together(t, c, 16, ref, 5000)
		assert.Zero(t, early)
		assert.LessOrEqual(t, refused, 16*4)
		assert.LessOrEqual(t, len(r.Requests()), 16*51*14/10+refused)
	})
}

// Pages that become much larger than was asked for are read in a row.
func TestScanMeetsLargePages(t *testing.T) {
	list := slices.Sorted(slices.Values(makeTags(50_000)))
	for name, ahead := range map[string]bool{"where it is read ahead": true, "at the front": false} {
		t.Run(name, func(t *testing.T) {
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				last := req.URL.Query().Get("last")
				from, found := slices.BinarySearch(list, last)
				if found {
					from++
				}
				n := 1000
				if from > 2000 && found != ahead {
					n = listing.MaxPrefetchPage + 1
				}
				page := list[from:min(from+n, len(list))]
				if from+n < len(list) {
					w.Header().Set("Link", fmt.Sprintf(`<?n=1000&last=%s>; rel="next"`, page[len(page)-1]))
				}
				_, _ = fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(page, `","`))
			}))
			tags, err := (&ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}).ListTags(t.Context(), "registry.example/a/b")
			require.NoError(t, err)
			assert.Equal(t, list, tags)
		})
	}
}

// A slow registry thinks before an answer, and sends its body slowly.
type slowBodies struct {
	http.RoundTripper
	think, send time.Duration
	most, now   atomic.Int32 // answers at once
}

func (s *slowBodies) RoundTrip(req *http.Request) (*http.Response, error) {
	s.most.Store(max(s.most.Load(), s.now.Add(1)))
	time.Sleep(s.think)
	resp, err := s.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &slowBody{ReadCloser: resp.Body, of: s}
	}
	return resp, err
}

type slowBody struct {
	io.ReadCloser
	of   *slowBodies
	sent bool
	end  sync.Once
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.sent {
		b.sent = true
		time.Sleep(b.of.send)
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end.Do(func() { b.of.now.Add(-1) })
	}
	return n, err
}

// Where the cursors are the registry's own, the next page is asked for when the header
// has named its place: so the time of a body is gained.
func TestNextPageIsAskedForEarly(t *testing.T) {
	for _, profile := range []string{"ecr", "quay311", "artifactory-old"} {
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, profile, "a/b", 10_000)
			c := &ocitags.Client{Credentials: ocitags.Anonymous}
			list := func(concurrency int) (took time.Duration, requests int, most int32) {
				r.Forget()
				slow := &slowBodies{RoundTripper: network, think: 20 * time.Millisecond, send: 20 * time.Millisecond}
				c.Transport, c.Concurrency = slow, concurrency
				began := time.Now()
				mustList(t, c, ref, r, "a/b")
				return time.Since(began), len(r.Requests()), slow.most.Load()
			}
			list(1) // whether quay sends the whole list without n is asked once
			inARow, requests, most := list(1)
			assert.EqualValues(t, 1, most, profile)
			early, requestsEarly, most := list(0)
			assert.Equal(t, requests, requestsEarly, profile)
			if profile == "artifactory-old" { // whose pages overlap, as its cursors are numbers
				assert.Equal(t, inARow, early)
				return
			}
			assert.EqualValues(t, 2, most, profile)
			assert.Less(t, early, inARow*65/100, profile)
		})
	}
}

// A page that was asked for early, and does not come or is cut short, is asked for again.
func TestEarlyPagesFail(t *testing.T) {
	for name, fault := range map[string]regtest.Fault{"refused": {Status: 503}, "dropped": {Drop: true}, "cut": {Cut: 500}, "not found": {Status: 404}} {
		for at := 2; at < 9; at++ {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, "ecr", "a/b", 5000)
				r.Fault = func(k int, _ *http.Request) regtest.Fault {
					if k == at {
						return fault
					}
					return regtest.Fault{}
				}
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
				tags, err := c.ListTags(t.Context(), ref)
				if fault.Status == 404 && err != nil {
					return // an error is right
				}
				require.NoError(t, err, "%s at %d", name, at)
				assert.Equal(t, want(r, "a/b"), tags, "%s at %d", name, at)
			})
		}
	}
}

// A list whose pages end early, where parts that were read ahead have shown that it goes on.
// The list without n may have the rest; or it was deleted meanwhile; or there is an error.
func TestListEndsBeforeThePartsThatWereReadAhead(t *testing.T) {
	for rest, want := range map[string]int{"is hidden": 0, "comes without n": 8000, "was deleted": 4500} {
		synctest.Test(t, func(t *testing.T) {
			list := sortedTags(8000)
			ahead := false
			s := script(func(_, n int, last string) (a scripted) {
				of := list
				a.took = 20 * time.Millisecond // so that the parts are answered before the end
				switch {
				case n == 0 && last == "" && rest == "comes without n":
					a.page = list
					return a
				case last > list[4500]:
					ahead = true
				default:
					of = list[:4500]
				}
				a.page = upTo(after(of, last), min(1000, cmp.Or(n, 100)))
				if len(a.page) == 0 {
					return a
				}
				if end := a.page[len(a.page)-1]; end != of[len(of)-1] {
					a.link = linkAfter(a.page, cmp.Or(n, 100))
				} else if ahead && rest == "was deleted" && end == list[4499] {
					list = list[:4501]
				}
				return a
			})
			tags, _, err := s.listed(t, &ocitags.Client{Concurrency: 4})
			if want == 0 {
				require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
				assert.ErrorContains(t, err, "left out")
				return
			}
			require.NoError(t, err)
			assert.True(t, ahead)
			assert.Len(t, tags, want, rest)
		})
	}
}

// A registry that answers an n over its limit with its usual page, and goes on with that:
// the n that it has honoured is asked for again.
func TestLargerPagesThatAreAnsweredWithSmallOnes(t *testing.T) {
	list := sortedTags(20_000)
	s := script(func(_, n int, last string) scripted {
		if n == 0 || n > 1000 {
			n = 100
		}
		rest := after(list, last)
		a := scripted{page: upTo(rest, n), took: 20 * time.Millisecond}
		if len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	})
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			tags, requests, err := s.listed(t, &ocitags.Client{Concurrency: concurrency})
			require.NoError(t, err)
			assert.Equal(t, list, tags)
			assert.LessOrEqual(t, requests, 40, "with pages of 100 it would be 200")
		})
	}
}
