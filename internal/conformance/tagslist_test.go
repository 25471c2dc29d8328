package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
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
)

// What a registry refuses is asked for in smaller pages, and the Client
// remembers which.
func TestRefusedPageSizes(t *testing.T) {
	for _, test := range []struct {
		name, profile string
		pageSize      int
		first         []string // the first requests of the first listing
		again         string   // the first one of the next
	}{
		{"ECR refuses over 1000", "ecr", 5000, []string{"n=5000", "n=1000"}, "n=1000"},
		{"distribution 3.1.0 refuses over 1000", "dist310", 1001, []string{"n=1001", "n=1000"}, "n=1000"},
		{"cuelabs refuses over its MaxListPageSize", "cuelabs-max", 0, []string{"n=1000", "n=100"}, ""}, // and sends all without n
		{"distribution 3.1.2 clamps", "dist312", 5000, []string{"n=5000"}, "n=5000"},
		{"n is not sent", "gitlab", -1, []string{""}, ""},
		{"small pages", "gitlab", 300, []string{"n=300"}, "n=300"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ref, r, network := newRegistry(t, test.profile, "a/b", 2345)
			c := anonymous(network)
			c.PageSize = test.pageSize
			mustList(t, c, ref, r, "a/b")
			assert.Equal(t, test.first, requests(r)[:len(test.first)])
			r.Forget()
			mustList(t, c, ref, r, "a/b")
			if test.pageSize == 0 {
				assert.Equal(t, test.again, requests(r)[0])
			}
		})
	}
}

// quay.io answered n over 100 with 413 for a week in June 2024, and a registry
// that wants no n at all would be met by not sending it.
func TestQuayRefusesOver100(t *testing.T) {
	for limit, wantAsked := range map[int][]string{100: {"n=1000", "n=100"}, 0: {"n=1000", "n=100", "n=50", ""}} {
		ref, r, network := newRegistry(t, "dist312", "a/b", 50)
		r.Fault = faultOver(limit, 1, regtest.Fault{Status: http.StatusRequestEntityTooLarge})
		mustList(t, anonymous(network), ref, r, "a/b")
		assert.Equal(t, wantAsked, requests(r)[:len(wantAsked)])
	}
}

// A name that is refused is not tried with every page size.
func TestInvalidNameIsNotAskedTwice(t *testing.T) {
	ref, r, network := newRegistry(t, "dist312", "a/b", 1)
	r.Fault = func(int, *http.Request) regtest.Fault {
		return regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = fmt.Fprint(w, `{"errors":[{"code":"NAME_INVALID","message":"invalid name"}]}`)
		})}
	}
	_, err := anonymous(network).ListTags(t.Context(), ref)
	var refusal *ocitags.Error
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, []ocitags.ErrorCode{{Code: "NAME_INVALID", Message: "invalid name"}}, refusal.Codes)
	assert.Equal(t, 1, len(r.Requests()))
}

// Docker Hub gives up with 504 on large pages of its largest repositories, and on their
// lists without n.
func TestDockerHubTimesOutOnLargePages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, from := range []int{1, 2, 3} { // on the first page, and on later ones
			ref, r, network := newRegistry(t, "hub", "a/b", 25_000)
			large := faultOver(100, from, regtest.Fault{Status: http.StatusGatewayTimeout})
			r.Fault = func(k int, req *http.Request) regtest.Fault {
				if req.URL.RawQuery == "" {
					return regtest.Fault{Status: http.StatusGatewayTimeout}
				}
				return large(k, req)
			}
			c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 1}
			mustList(t, c, ref, r, "a/b")
			r.Forget()
			mustList(t, c, ref, r, "a/b")
			assert.Equal(t, "n=100", requests(r)[0], "remembered")
		}
	})
}

// A registry that is silent for a minute is asked for less, too.
func TestSilenceStepsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "hub", "a/b", 250)
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Query().Get("n") == "1000" {
				return regtest.Fault{Delay: time.Hour}
			}
			return regtest.Fault{}
		}
		began := time.Now()
		mustList(t, anonymous(network), ref, r, "a/b")
		assert.Less(t, time.Since(began), 3*time.Minute)
	})
}

// ghcr.io writes n=0 into a Link where n was not sent, meaning its default.
func TestGhcrWritesN0(t *testing.T) {
	ref, r, network := newRegistry(t, "ghcr", "a/b", 250)
	c := anonymous(network)
	c.PageSize = -1
	mustList(t, c, ref, r, "a/b")
	assert.Contains(t, requests(r)[1], "&n=0", "without an n of ours it is followed as it is")

	// With one, as when a proxy in front drops it.
	r.Forget()
	r.Fault = func(_ int, req *http.Request) regtest.Fault {
		if !req.URL.Query().Has("last") {
			req.URL.RawQuery = ""
		}
		return regtest.Fault{}
	}
	mustList(t, anonymous(network), ref, r, "a/b")
	for _, query := range requests(r)[1:] {
		if strings.HasPrefix(query, "n=1&") {
			continue // the question whether it goes by place
		}
		assert.Contains(t, query, "n=1000", "n=0 is an empty page by the specification")
	}
}

// ghcr.io lists by age and goes on from the place of last, which shows in its
// second page.
func TestGhcrGoesByPlace(t *testing.T) {
	ref, r, network := newRegistry(t, "ghcr", "a/b", 3500)
	c := anonymous(network)
	const pages, last = 4, 1 // the last one asks whether the list stands still
	mustList(t, c, ref, r, "a/b")
	assert.Equal(t, pages+last, len(r.Requests()))
	r.Forget()
	mustList(t, c, ref, r, "a/b")
	assert.Equal(t, pages+last, len(r.Requests()))
}

// A tag that is pushed again while ghcr.io is read moves to the end: it comes
// twice, or not at all in the pages between, but it comes.
func TestGhcrMovesTagsThatArePushedAgain(t *testing.T) {
	ref, r, network := newRegistry(t, "ghcr", "a/b", 2500)
	tags := want(r, "a/b")
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		if k == 2 {
			r.Push("a/b", r.Tags("a/b")[10], r.Tags("a/b")[2000])
		}
		return regtest.Fault{}
	}
	got, err := anonymous(network).ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, tags, got)
}

// One build pushes several tags, and pushes them again one after the other. Where
// they are the last ones of a page, what comes after them is the end of the list,
// though it begins as it must. A page without n that came meanwhile does not show
// that the list ends there.
func TestGhcrMovesTheTagsOfABuild(t *testing.T) {
	for _, link := range []func(regtest.Next) string{regtest.ByName("ghcr").Link, nil} {
		for _, pushed := range []int{2, 3, 8} {
			for page, at := range []int{1000, 1999} { // the tags so far
				synctest.Test(t, func(t *testing.T) {
					p := regtest.ByName("ghcr")
					p.Link = link
					r := regtest.New(p).Push("a/b", makeTags(2500)...)
					tags := want(r, "a/b")
					behind := 0
					r.Fault = func(_ int, req *http.Request) regtest.Fault {
						if req.URL.Query().Has("last") {
							if behind++; behind == page+1 {
								r.Push("a/b", r.Tags("a/b")[at-pushed:at]...)
							}
						}
						return regtest.Fault{}
					}
					c := &ocitags.Client{Transport: testNetwork(t).Handle("registry.example", r), Credentials: ocitags.Anonymous}
					got, err := c.ListTags(t.Context(), "registry.example/a/b")
					require.NoError(t, err)
					assert.Equal(t, tags, got, "a Link: %t; %d tags before the %d-th", link != nil, pushed, at)
				})
			}
		}
	}
}

// distribution 3.1 on S3 sorts by object keys and continues by tags, so that
// pages lose and repeat tags: it is asked once more without n.
func TestDistributionOnS3LosesTags(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4} {
		r := regtest.New(regtest.ByName("dist312s3")).Push("a/b", "V1", "v1", "v1-alpine", "v1.0", "v1.0-alpine", "v10", "v2", "v2-rc1", "v2_x")
		network := testNetwork(t).Handle("registry.example", r)
		c := anonymous(network)
		c.PageSize = n
		if n > 2 { // a page shows the disorder
			mustList(t, c, "registry.example/a/b", r, "a/b")
		}
	}
	ref, r, network := newRegistry(t, "dist312s3", "a/b", 4000)
	mustList(t, anonymous(network), ref, r, "a/b")
	assert.Contains(t, requests(r), "", "without n")

	var streamed []string
	for tag, err := range anonymous(network).Tags(t.Context(), ref) {
		require.NoError(t, err)
		streamed = append(streamed, tag)
	}
	slices.Sort(streamed)
	assert.Equal(t, want(r, "a/b"), streamed, "no tag twice")
}

// If even that comes in pages, tags are missing, and nobody can tell which.
// The same where the last two tags are the only ones that show it.
func TestDistributionOnS3LosesTagsAtTheEnd(t *testing.T) {
	var tags []string
	for i := range 247 {
		tags = append(tags, fmt.Sprintf("b%03d", i))
	}
	tags = append(tags, "a", "a-alpine") // a-alpine is the last of the first page, and a is lost
	for i := range 98 {
		tags = append(tags, fmt.Sprintf("_%03d", i))
	}
	tags = append(tags, "_z", "z", "z-alpine")
	r := regtest.New(regtest.ByName("dist312s3")).Push("a/b", tags...)
	list := r.Tags("a/b")
	require.Equal(t, []string{"a-alpine", "a"}, list[99:101])
	c := anonymous(testNetwork(t).Handle("registry.example", r))
	c.PageSize = 100
	mustList(t, c, "registry.example/a/b", r, "a/b")
}

func TestOrderAndCursorDisagreeInEveryPage(t *testing.T) {
	p := regtest.ByName("dist312s3")
	p.DefaultN = 100
	r := regtest.New(p).Push("a/b", makeTags(2500)...)
	_, err := anonymous(testNetwork(t).Handle("registry.example", r)).ListTags(t.Context(), "registry.example/a/b")
	require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
	assert.Contains(t, err.Error(), "tags are missing")
}

// zot answers 404, without a body, to a last that does not exist, and so to a
// Link whose tag was deleted meanwhile.
func TestZotDeletedCursor(t *testing.T) {
	t.Parallel()
	for _, deleted := range []int{1, 2, 3, 50, 900} {
		ref, r, network := newRegistry(t, "zot", "a/b", 3500)
		list := r.Tags("a/b")
		gone := list[2000-deleted : 2000] // up to the second Link's tag
		r.Fault = func(k int, _ *http.Request) regtest.Fault {
			if k == 3 {
				r.Delete("a/b", gone...)
			}
			return regtest.Fault{}
		}
		got, err := anonymous(network).ListTags(t.Context(), ref)
		require.NoError(t, err)
		assertHas(t, got, want(r, "a/b"), "%d deleted", deleted)
		assert.LessOrEqual(t, len(r.Requests()), 5+12, "%d deleted", deleted)
	}
}

// If all tags of the page before are deleted the list is begun anew.
func TestZotDeletedPage(t *testing.T) {
	ref, r, network := newRegistry(t, "zot", "a/b", 3500)
	list := r.Tags("a/b")
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		if k == 3 {
			r.Delete("a/b", list[1000:2000]...)
		}
		return regtest.Fault{}
	}
	var got []string
	for tag, err := range anonymous(network).Tags(t.Context(), ref) {
		require.NoError(t, err)
		got = append(got, tag)
	}
	assert.Equal(t, list, got)
}

// A repository that disappears while it is read is not one that never was.
func TestDeletedRepositoryIsNoMissingOne(t *testing.T) {
	ref, r, network := newRegistry(t, "zot", "a/b", 2500)
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		if k > 1 {
			return regtest.Fault{Status: http.StatusNotFound}
		}
		return regtest.Fault{}
	}
	_, err := anonymous(network).ListTags(t.Context(), ref)
	var refusal *ocitags.Error
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, http.StatusNotFound, refusal.StatusCode)
	require.NotErrorIs(t, err, ocitags.ErrNotFound)
}

// Cloudflare's serverless-registry may name the start of the list after its end.
func TestCloudflareEmptyLast(t *testing.T) {
	ref, r, network := newRegistry(t, "cloudflare", "a/b", 60)
	r.Fault = func(int, *http.Request) regtest.Fault {
		return regtest.Fault{Header: http.Header{"Link": {"https://registry.example/v2/a/b/tags/list?n=1000&last=; rel=next"}}}
	}
	mustList(t, anonymous(network), ref, r, "a/b")
	assert.Equal(t, 1, len(r.Requests()))
}

// go-containerregistry sends no Link, and begins anew after the last tag.
func TestGoContainerRegistryBeginsAnew(t *testing.T) {
	for n, requests := range map[int]int{999: 2, 1000: 2, 1001: 4, 2000: 5, 3000: 6} { // the last ones bring nothing new, or tell how the registry compares
		ref, r, network := newRegistry(t, "ggcr", "a/b", n)
		mustList(t, anonymous(network), ref, r, "a/b")
		assert.Equal(t, requests, len(r.Requests()), "%d tags", n)
	}
}

// A page without a Link that is as large as caps are is followed by one
// question more; nothing new, a repeat or a refusal mean that it was all. Where that is
// more than one page, and its tags may stand in another order, the list without n is
// asked for, too.
func TestRoundPages(t *testing.T) {
	for _, test := range []struct {
		name     string
		profile  string
		cap      int // of the registry, which tells nobody
		tags     int
		requests int
	}{
		{"50 of 50", "ggcr", 50, 50, 2},
		{"50 of 120", "ggcr", 50, 120, 5},
		{"64 of 200", "ggcr", 64, 200, 6},
		{"100 of 300", "ggcr", 100, 300, 6},
		{"100 of 350", "ggcr", 100, 350, 6}, // the last page is round too
		{"73 of 73", "ggcr", 73, 73, 2},     // any size may be a cap
		{"73 of 200", "ggcr", 73, 200, 5},
		{"512 of 1000", "trow", 512, 1000, 4},
		{"200 and no cap", "dist28", 0, 200, 3}, // last is not looked at, with n and without
		{"201 and no cap", "dist28", 0, 201, 3},
		{"last is refused with 405", "ecr", 0, 500, 5},
		{"last is refused with 404", "zot", 0, 250, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := regtest.ByName(test.profile)
			if test.cap > 0 {
				p.Max, p.Over = test.cap, regtest.Rule{What: regtest.Clamp}
			}
			p.Link = nil
			r := regtest.New(p).Push("a/b", makeTags(test.tags)...)
			network := testNetwork(t).Handle("registry.example", r)
			mustList(t, anonymous(network), "registry.example/a/b", r, "a/b")
			assert.Equal(t, test.requests, len(r.Requests()), "%v", requests(r))
		})
	}
}

// A list of a length at which lists are cut costs one request more, once: whether the
// list without n is a page is remembered of the registry.
func TestManyListsOfRoundLength(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab"))
	network := testNetwork(t).Handle("registry.example", r)
	c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
	for i, requests := range []int{4, 3, 3} { // one of them asks how the registry compares
		var tags []string
		for j := range 300 {
			tags = append(tags, fmt.Sprintf("py-%d.%d-%07x.spack", j%7, j%13, 7919*j))
		}
		name := fmt.Sprint("a/", i)
		r.Forget()
		r.Push(name, tags...)
		mustList(t, c, "registry.example/"+name, r, name)
		assert.Len(t, r.Requests(), requests)
	}
}

// A registry may honour n, and neither send a Link nor know last: Google's
// Artifact Registry cut its lists so. Only the list without n is whole.
func TestArtifactRegistryCutsAtN(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		for _, n := range []int{999, 1000, 1001, 2500} {
			p := regtest.ByName("hub")
			p.Link = nil
			p.Cursor.Rest = func(list []string, _ string) ([]string, *regtest.Refusal) {
				if refuses {
					return nil, &regtest.Refusal{Status: 400}
				}
				return list, nil
			}
			r := regtest.New(p).Push("a/b", makeTags(n)...)
			mustList(t, anonymous(testNetwork(t).Handle("registry.example", r)), "registry.example/a/b", r, "a/b")
			most := 4
			if refuses && n == 999 {
				most++ // some send a Link where a page has the n that was asked for
			}
			assert.LessOrEqual(t, len(r.Requests()), most, "%v", requests(r))
		}
	}
}

// A full page of nothing that could be gone on from is no end.
func TestFullPageWithoutATag(t *testing.T) {
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"tags":[%s"-"]}`, strings.Repeat(`"-",`, 999))
	}))
	_, err := anonymous(network).ListTags(t.Context(), "registry.example/a/b")
	require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
	assert.Contains(t, err.Error(), "page of 1000 entries has no valid tag to continue from")
}

// A question of our own that fails for another reason than last leaves open
// whether there is more: that is no complete list.
func TestUnansweredQuestionIsAnError(t *testing.T) {
	for _, status := range []int{401, 403, 429, 500, 503} {
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, "ggcr", "a/b", 1000)
			r.Fault = func(k int, _ *http.Request) regtest.Fault {
				if k > 1 {
					return regtest.Fault{Status: status}
				}
				return regtest.Fault{}
			}
			tags, err := anonymous(network).ListTags(t.Context(), ref)
			var refusal *ocitags.Error
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, status, refusal.StatusCode)
			assert.Nil(t, tags)
		})
	}
}

// A page that is cut short after tags were handed out, and comes whole at the
// next try, has brought news, even if none of it is new any more.
func TestCutGuessIsStillNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "ggcr", "a/b", 4000)
		r.Fault = faultAt(3, regtest.Fault{CutEnd: 3})
		mustList(t, anonymous(network), ref, r, "a/b")
	})
}

func TestHostile(t *testing.T) {
	for name, wantErr := range map[string]error{
		"self-link":     ocitags.ErrLoop,
		"circle":        ocitags.ErrLoop,
		"moving-cursor": ocitags.ErrLoop,
		"empty-pages":   ocitags.ErrLoop,
		"other-host":    ocitags.ErrUnsafeLink,
		"endless":       ocitags.ErrTooLarge,
		"html":          ocitags.ErrInvalidResponse,
		"truncated":     ocitags.ErrInvalidResponse,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := testNetwork(t).Handle("registry.example", regtest.Hostile[name])
				c := anonymous(network)
				c.MaxTags = 100
				tags, err := c.ListTags(t.Context(), "registry.example/a/b")
				require.ErrorIs(t, err, wantErr)
				assert.Nil(t, tags)
				assert.Contains(t, err.Error(), "listing tags of registry.example/a/b: page ")
				assert.LessOrEqual(t, len(network.Sent()), 101)
				for _, req := range network.Sent() {
					assert.Equal(t, "registry.example", req.URL.Host)
				}
			})
		})
	}
	assert.Len(t, regtest.Hostile, 9, "each is in a test")
}

// A million tags in one body come as they are read.
func TestMillionTagsInOneBody(t *testing.T) {
	network := testNetwork(t).Handle("registry.example", regtest.Hostile["million"])
	n := 0
	for _, err := range anonymous(network).Tags(t.Context(), "registry.example/a/b") {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 1_000_000, n)
	assert.Len(t, network.Sent(), 3, "a round number, so what comes after it is asked, with n and without")
}

// A list of a round length that comes in one answer, longer than any n, is not read with each
// n, though last is answered with nothing.
func TestOneBodyOfARoundLength(t *testing.T) {
	list := sortedTags(20_000)
	for _, test := range []struct {
		what     string
		after    func(last string) []string
		requests int
	}{
		{"what comes after it", func(last string) []string { return after(list, last) }, 2},
		{"nothing", func(string) []string { return nil }, 11}, // after four tags, with n, and the same without n; and after the last one itself
	} {
		for _, n := range []int{0, 100, 1000} {
			s := script(func(_, _ int, last string) scripted {
				if last == "" {
					return scripted{page: list}
				}
				return scripted{page: test.after(last)}
			})
			tags, requests, err := s.listed(t, &ocitags.Client{PageSize: n})
			require.NoError(t, err)
			assert.True(t, slices.Equal(list, tags))
			assert.Equal(t, test.requests, requests, "last is answered with %s, PageSize %d", test.what, n)
		}
	}
}

// A page that is longer than its n is no list, though last is answered with nothing where
// there is an n.
func TestLastIsLookedAtWithoutN(t *testing.T) {
	list := sortedTags(45_000)
	for _, most := range []int{100, 2000, 20_000} {
		for _, size := range []int{0, 50, 100, 1000} {
			s := script(func(_, n int, last string) scripted {
				if n > 0 && last != "" {
					return scripted{}
				}
				return scripted{page: upTo(after(list, last), most)}
			})
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
			require.NoError(t, err)
			assert.Equal(t, len(list), len(tags), "pages of %d, PageSize %d", most, size)
		}
	}
}

// A stream of tags in ascending order holds none of them.
func TestStreamHoldsNothing(t *testing.T) {
	const n = 200_000
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		from, _ := strconv.Atoi(strings.TrimPrefix(req.URL.Query().Get("last"), "tag-"))
		to := min(from+20_000, n)
		if to < n {
			w.Header().Set("Link", fmt.Sprintf(`<?last=tag-%050d>; rel="next"`, to))
		}
		_, _ = fmt.Fprintf(w, `{"tags":["tag-%050d"`, from+1)
		for i := from + 2; i <= to; i++ {
			_, _ = fmt.Fprintf(w, `,"tag-%050d"`, i)
		}
		_, _ = fmt.Fprint(w, `]}`)
	})
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, got := live(), 0
	for _, err := range anonymous(testNetwork(t).Handle("registry.example", handler)).Tags(t.Context(), "registry.example/a/b") {
		require.NoError(t, err)
		if got++; got%50_000 == 0 {
			assert.Less(t, live(), before+4<<20, "after %d tags of 54 bytes", got)
		}
	}
	assert.Equal(t, n, got)
}

// An order that breaks late is no reason to forget or to repeat a tag: the
// stream reads the list again up to there.
func TestOrderThatBreaksLate(t *testing.T) {
	var list []string
	for i := range 40_000 {
		list = append(list, fmt.Sprintf("b-%05d", i))
	}
	list = append(list, "a-1", "b-00005", "b-39999", "c", "a-1", "b-20000", "a-2")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(list, `","`))
	})
	network := testNetwork(t).Handle("registry.example", handler)
	var streamed []string
	for tag, err := range anonymous(network).Tags(t.Context(), "registry.example/a/b") {
		require.NoError(t, err)
		streamed = append(streamed, tag)
	}
	assert.Equal(t, append(slices.Clone(list[:40_000]), "a-1", "c", "a-2"), streamed)
	assert.Len(t, network.Sent(), 3, "the page is given up, the list is read up to there, and then the page")

	tags, err := anonymous(network).ListTags(t.Context(), "registry.example/a/b")
	require.NoError(t, err)
	assert.Len(t, tags, 40_003)
	assert.Len(t, network.Sent(), 4, "a list that is kept need not be read again")
}

// The same where that cannot be: the list is gone by then, or its last tag was
// deleted meanwhile.
func TestOrderThatBreaksLateAndChanges(t *testing.T) {
	var list []string
	for i := range 20_000 {
		list = append(list, fmt.Sprintf("b-%05d", i))
	}
	late := []string{"a-1", "b-00005", "a-2"}
	for name, test := range map[string]struct {
		again []string
		want  []string // after list; nil: an error
	}{
		"gone":                       {nil, nil},
		"the last tag":               {append(slices.Clone(list[:19_999]), late...), []string{"a-1", "a-2"}},
		"the last tag, replaced":     {append(append(slices.Clone(list[:19_999]), "c"), late...), []string{"c", "a-1", "a-2"}},
		"a tag in the middle of all": {append(slices.Delete(slices.Clone(list), 7, 8), late...), []string{"a-1", "a-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				tags := append(slices.Clone(list), late...)
				if requests++; requests > 1 {
					tags = test.again
				}
				if tags == nil {
					w.WriteHeader(410)
					return
				}
				_, _ = fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(tags, `","`))
			}))
			var got []string
			var failed error
			for tag, err := range anonymous(network).Tags(t.Context(), "registry.example/a/b") {
				if failed = err; err == nil {
					got = append(got, tag)
				}
			}
			if test.want == nil {
				require.ErrorContains(t, failed, "reading the list again: ")
				assert.Equal(t, list, got)
				return
			}
			require.NoError(t, failed)
			assert.Equal(t, append(slices.Clone(list), test.want...), got)
		})
	}
}

// The cursor of a Link goes back to the registry as it came.
func TestCursorsAreOpaque(t *testing.T) {
	var queries []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		queries = append(queries, req.URL.RawQuery)
		if len(queries) == 1 {
			w.Header().Set("Link", `<?next_page=%7Bx%7d+%20é;a=b&n=7&last=1,2>; rel="next"`)
		}
		_, _ = fmt.Fprintf(w, `{"tags":["t%d"]}`, len(queries))
	})
	tags, err := anonymous(testNetwork(t).Handle("registry.example", handler)).ListTags(t.Context(), "registry.example/a/b")
	require.NoError(t, err)
	assert.Equal(t, []string{"t1", "t2"}, tags)
	assert.Equal(t, "next_page=%7Bx%7d+%20é;a=b&n=7&last=1,2", queries[1])
}

func TestStopEarly(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab", "a/b", 5000)
	n := 0
	for tag, err := range anonymous(network).Tags(t.Context(), ref) {
		require.NoError(t, err)
		require.NotEmpty(t, tag)
		if n++; n == 10 {
			break
		}
	}
	assert.Equal(t, 1, len(r.Requests()))
}

// Whoever stops and cancels at once is not called again.
func TestStopAndCancel(t *testing.T) {
	for _, profile := range []string{"gitlab", "dist28", "quayjson", "ecr"} {
		for _, stop := range []int{1, 99, 100, 1000, 1001, 2500} {
			for _, concurrency := range []int{1, 4} {
				ref, _, network := newRegistry(t, profile, "a/b", 2500)
				ctx, cancel := context.WithCancel(t.Context())
				n := 0
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
				assert.NotPanics(t, func() {
					for range c.Tags(ctx, ref) {
						if n++; n == stop {
							cancel()
							break
						}
					}
				}, "%s, stop at %d", profile, stop)
				cancel()
			}
		}
	}
}

// Ranging twice lists twice.
func TestRangeTwice(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab", "a/b", 1500)
	seq := anonymous(network).Tags(t.Context(), ref)
	for range 2 {
		n := 0
		for _, err := range seq {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 1500, n)
	}
	assert.Equal(t, 5, len(r.Requests())) // the first of them asks for the list without n, which is a page
}

// The error of a stream is its last element.
func TestStreamEndsInItsError(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab", "a/b", 5000)
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		if k == 3 {
			return regtest.Fault{Status: 400}
		}
		return regtest.Fault{}
	}
	var tags int
	var failed []error
	for tag, err := range anonymous(network).Tags(t.Context(), ref) {
		if err != nil {
			assert.Empty(t, tag)
			failed = append(failed, err)
			continue
		}
		require.Empty(t, failed)
		tags++
	}
	assert.Equal(t, 2000, tags)
	require.Len(t, failed, 1)
	assert.Contains(t, failed[0].Error(), "page 3: ")
}

func TestMaxTags(t *testing.T) {
	ref, _, network := newRegistry(t, "gitlab", "a/b", 1500)
	for max, wantErr := range map[int]error{1499: ocitags.ErrTooLarge, 1500: nil, -1: nil, 0: nil} {
		c := anonymous(network)
		c.MaxTags = max
		_, err := c.ListTags(t.Context(), ref)
		require.ErrorIs(t, err, wantErr, "%d", max)
		if err != nil {
			assert.Contains(t, err.Error(), "more than 1499 tags (Client.MaxTags)")
		}
	}

}

func TestInvalidReference(t *testing.T) {
	network := testNetwork(t)
	_, err := anonymous(network).ListTags(t.Context(), "a//b\x1b")
	require.ErrorIs(t, err, ocitags.ErrInvalidReference)
	assert.NotContains(t, err.Error(), "\x1b")
	assert.Empty(t, network.Sent())
}

func TestNotFound(t *testing.T) {
	for _, profile := range regtest.Profiles() {
		_, _, network := newRegistry(t, profile.Name, "a/b", 1)
		c := anonymous(network)
		c.MaxAttempts = 1
		tags, err := c.ListTags(t.Context(), "registry.example/no/such")
		switch profile.Unknown.Status {
		case 404:
			require.ErrorIs(t, err, ocitags.ErrNotFound, profile.Name)
			assert.Nil(t, tags)
		case 0:
			require.NoError(t, err, profile.Name)
			assert.Equal(t, []string{}, tags)
		default:
			if profile.JSONPages {
				continue // at its own host name: see quay_test.go
			}
			require.ErrorIs(t, err, ocitags.ErrUnauthorized, profile.Name)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	for _, test := range []struct {
		ref    string
		plain  func(string) bool
		scheme string
	}{
		{"registry.example/a", nil, "https"},
		{"localhost:5000/a", nil, "http"},
		{"127.0.0.1:5000/a", nil, "http"},
		{"[::1]:5000/a", nil, "http"},
		{"https://localhost:5000/a", nil, "https"},
		{"http://registry.example/a", nil, "http"},
		{"registry.example/a", func(host string) bool { return host == "registry.example" }, "http"},
		{"registry.example:5000/a", func(host string) bool { return host == "registry.example" }, "https"},
		{"localhost:5000/a", func(string) bool { return false }, "https"},
		{"https://registry.example/a", func(string) bool { return true }, "https"},
	} {
		network := testNetwork(t)
		c := anonymous(network)
		c.PlainHTTP, c.MaxAttempts = test.plain, 1
		_, err := c.ListTags(t.Context(), test.ref)
		require.Error(t, err)
		assert.Equal(t, test.scheme, network.Sent()[0].URL.Scheme, test.ref)
	}
}

func TestDockerHubAddress(t *testing.T) {
	r := regtest.New(regtest.ByName("hub")).Push("library/ubuntu", "24.04")
	network := testNetwork(t).Handle("registry-1.docker.io", r)
	var pages []ocitags.Page
	c := anonymous(network)
	c.OnPage = func(p ocitags.Page) { pages = append(pages, p) }
	tags, err := c.ListTags(t.Context(), "ubuntu")
	require.NoError(t, err)
	assert.Equal(t, []string{"24.04"}, tags)
	assert.Equal(t, "docker.io/library/ubuntu", pages[0].Repository)
}

func TestOnPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := regtest.New(regtest.ByName("gitlab")).Push("a/b", makeTags(1500)...).Push("a/b", "-not-a-tag")
		r.Fault = func(k int, _ *http.Request) regtest.Fault {
			if k == 2 {
				return regtest.Fault{Status: 502}
			}
			return regtest.Fault{Delay: time.Second}
		}
		var pages []ocitags.Page
		c := anonymous(testNetwork(t).Handle("registry.example", r))
		c.OnPage = func(p ocitags.Page) { pages = append(pages, p) }
		_, err := c.ListTags(t.Context(), "registry.example/a/b:tag")
		require.NoError(t, err)
		require.Len(t, pages, 2)
		assert.GreaterOrEqual(t, pages[1].Duration, time.Second)
		pages[1].Duration = 0
		assert.Equal(t, ocitags.Page{Repository: "registry.example/a/b", Number: 1, Tags: 999, Total: 999, Skipped: 1, Duration: time.Second, Attempts: 1}, pages[0])
		assert.Equal(t, ocitags.Page{Repository: "registry.example/a/b", Number: 2, Tags: 501, Total: 1500, Attempts: 2}, pages[1])
	})
}

// Cancelling in every phase ends the listing with the context's error.
func TestCancel(t *testing.T) {
	boom := errors.New("boom")
	for name, fault := range map[string]regtest.Fault{
		"while it waits":          {Delay: time.Hour},
		"while it waits to retry": {Status: 503, Header: http.Header{"Retry-After": {"50"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, "gitlab", "a/b", 1500)
				r.Fault = func(k int, _ *http.Request) regtest.Fault {
					if k == 2 {
						return fault
					}
					return regtest.Fault{}
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(10*time.Second, func() { cancel(boom) })
				began := time.Now()
				_, err := anonymous(network).ListTags(ctx, ref)
				require.ErrorIs(t, err, boom)
				require.ErrorIs(t, err, context.Canceled)
				assert.Equal(t, 10*time.Second, time.Since(began))
			})
		})
	}
}

// BenchmarkTagsMemory reports what a stream of 200,000 tags of 55 bytes holds,
// in bytes a tag, in an order that ascends and in none.
func BenchmarkTagsMemory(b *testing.B) {
	const n = 200_000
	for name, number := range map[string]func(i int) int{
		"ascending": func(i int) int { return i },
		"no-order":  func(i int) int { return i * 7919 % n },
	} {
		b.Run(name, func(b *testing.B) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.WriteString(w, `{"tags":[null`) // 200,001 entries are no size at which lists are cut
				for i := range n {
					_, _ = fmt.Fprintf(w, `,"zlib-1.3.1-%032d-linux.x86_64"`, number(i))
				}
				_, _ = io.WriteString(w, `]}`)
			})
			live := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			var most uint64
			for b.Loop() {
				before, got := live(), 0
				c := &ocitags.Client{Transport: new(regtest.Network).Handle("registry.example", handler), Credentials: ocitags.Anonymous}
				for _, err := range c.Tags(b.Context(), ref) {
					if err != nil {
						b.Fatal(err)
					}
					if got++; got == n {
						most = max(most, live()-before)
					}
				}
			}
			b.ReportMetric(float64(most)/n, "live-B/tag")
		})
	}
}
