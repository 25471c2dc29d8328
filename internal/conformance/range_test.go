package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// A prefix of a few tags takes a few requests, of which a Client saves one the next
// time.
func TestRangeOfAFewTags(t *testing.T) {
	t.Parallel()
	all := packages(100_000)
	for _, profile := range []string{"gitlab-c", "gitlab", "harbor", "hub", "olareg", "cuelabs"} {
		r := regtest.New(regtest.ByName(profile)).Push("a/b", all...)
		network := testNetwork(t).Handle("registry.example", r)
		want := want(r, "a/b")
		prefixes := map[string]string{"first": want[0][:8], "last": want[len(want)-1][:8], "nothing": "mm-pkgX", "behind": "zzzz"}
		for i := range 5 {
			prefixes[fmt.Sprint(i)] = want[(2*i+1)*len(want)/10][:9]
		}
		for name, prefix := range prefixes {
			c := anonymous(network)
			for _, most := range []int{4, 3} {
				before := len(requests(r))
				tags, err := tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: prefix})
				require.NoError(t, err)
				assert.Equal(t, in(want, ocitags.Range{Prefix: prefix}), tags, "%s, %s", profile, prefix)
				assert.LessOrEqual(t, len(requests(r))-before, most, "%s, %s (%s): %v", profile, name, prefix, requests(r)[before:min(len(requests(r)), before+9)])
			}
		}
	}
}

// A range of many tags is read from several places at once, and no further than it
// goes.
func TestRangeOfManyTags(t *testing.T) {
	t.Parallel()
	all := packages(100_000)
	for i := range all {
		all[i] = []string{"gcc-", "llvm-"}[i%2] + all[i]
	}
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", all...)
	r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: 20 * time.Millisecond} }
	network := testNetwork(t).Handle("registry.example", r)
	for prefix, pages := range map[string]int{"gcc-": 50, "llvm-": 50, "g": 50, "llvm-m": 2} {
		most := 4 + pages*13/10
		if prefix == "g" {
			most += 2 // all of its tags begin with "gcc-", which has to be found
		}
		const times = 4 // what comes first is not always the same
		before := len(requests(r))
		for range times {
			synctest.Test(t, func(t *testing.T) {
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
				began := time.Now()
				tags, err := tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: prefix})
				require.NoError(t, err)
				assert.Equal(t, in(want(r, "a/b"), ocitags.Range{Prefix: prefix}), tags)
				assert.LessOrEqual(t, time.Since(began), time.Duration(4+pages/2)*20*time.Millisecond, "%s", prefix)
			})
		}
		assert.LessOrEqual(t, len(requests(r))-before, times*most, "%s", prefix)
	}
}

// A range of a list is the same at each kind of registry, whether it is read alone or
// with the rest.
func TestRangesOfAllProfiles(t *testing.T) {
	t.Parallel()
	for _, profile := range regtest.Profiles() {
		t.Run(profile.Name, inBubble(func(t *testing.T) {
			ref, r, network := newRegistry(t, profile.Name, "a/b", 4321)
			c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
			all := want(r, "a/b")
			for _, rng := range []ocitags.Range{{}, {Prefix: "v1."}, {Prefix: "zlib-1.7"}, {Prefix: "Build_"}, {Prefix: "nothing"}, {After: "v1.5"}, {After: "v1.5", Prefix: "v"}, {After: "zz"}} {
				tags, err := tagsIn(t, c, t.Context(), ref, rng)
				require.NoError(t, err, "%+v", rng)
				assert.Equal(t, in(all, rng), tags, "%+v", rng)
			}
		}))
	}
}

// No tag can be in an empty range, so that nothing is asked.
func TestEmptyRange(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab-c", "a/b", 10)
	tags, err := tagsIn(t, anonymous(network), t.Context(), ref, ocitags.Range{After: "b", Prefix: "a"})
	require.NoError(t, err)
	assert.Empty(t, tags)
	assert.Empty(t, requests(r))
	_, err = tagsIn(t, anonymous(network), t.Context(), "a//b", ocitags.Range{After: "b", Prefix: "a"})
	require.ErrorIs(t, err, ocitags.ErrInvalidReference)
}

// The order is the registry's.
func TestRangeInOrder(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab")).Push("a/b", packages(20_000)...)
	network := testNetwork(t).Handle("registry.example", r)
	c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
	var all, some []string
	for tag, err := range c.Tags(t.Context(), "registry.example/a/b") {
		require.NoError(t, err)
		if strings.HasPrefix(tag, "k") {
			all = append(all, tag)
		}
	}
	for tag, err := range c.TagsIn(t.Context(), "registry.example/a/b", ocitags.Range{Prefix: "k"}) {
		require.NoError(t, err)
		some = append(some, tag)
	}
	assert.Equal(t, all, some)
}

// Pages are reported one after the other, whether a part is read or, as it turns out
// to be of no use, the whole list.
func TestPagesOfARange(t *testing.T) {
	for _, profile := range []string{"gitlab-c", "zot", "ggcr"} {
		r := regtest.New(regtest.ByName(profile)).Push("a/b", packages(10_000)...)
		network := testNetwork(t).Handle("registry.example", r)
		c := anonymous(network)
		var pages []ocitags.Page
		c.OnPage = func(p ocitags.Page) { pages = append(pages, p) }
		for range 2 {
			pages = nil
			_, err := tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: "kb-"})
			require.NoError(t, err)
			require.NotEmpty(t, pages)
			for i, p := range pages {
				assert.Equal(t, i+1, p.Number, profile)
				assert.Equal(t, "registry.example/a/b", p.Repository)
			}
		}
		if profile == "gitlab-c" {
			assert.Len(t, pages, 1, "the second time")
		}
	}
}

// What a Client remembers of a repository is seen anew each time: where the registry
// has come to list by age, it is read from its start to its end.
func TestRangeOfARegistryThatChanges(t *testing.T) {
	all := packages(20_000)
	before := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", all...)
	network := testNetwork(t).Handle("registry.example", before)
	c := anonymous(network)
	wanted := ocitags.Range{Prefix: "kb-"}
	_, err := tagsIn(t, c, t.Context(), "registry.example/a/b", wanted)
	require.NoError(t, err)
	before.Forget()
	_, err = tagsIn(t, c, t.Context(), "registry.example/a/b", wanted)
	require.NoError(t, err)
	require.Contains(t, requests(before)[0], "last=", "what was seen of the repository is remembered")

	shuffled := slices.Clone(all)
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	after := regtest.New(regtest.ByName("ghcr")).Push("a/b", shuffled...)
	network.Handle("registry.example", after)
	tags, err := tagsIn(t, c, t.Context(), "registry.example/a/b", wanted)
	require.NoError(t, err)
	slices.Sort(all)
	assert.Equal(t, in(all, wanted), tags)
	after.Forget()
	_, err = tagsIn(t, c, t.Context(), "registry.example/a/b", wanted)
	require.NoError(t, err)
	assert.NotContains(t, requests(after)[0], "last=", "and that is remembered")
}

// A registry that knows its own tags only, and says that a list ends where it does
// not know one, is not taken for one that compares: its whole list is read each time.
func TestRangeWhereLastIsLookedUp(t *testing.T) {
	for how, alone := range map[string]bool{"404": false, "start": false, "end": false, "value": true} {
		g := &regtest.Generated{Default: 100, Links: "more", Form: "path", Order: "bytes", Cursor: how, Last: "any", Host: "registry.example", Name: "a/b"}
		g.Fill(rand.New(rand.NewPCG(1, 2)), 3000)
		c := &ocitags.Client{Transport: g, Credentials: ocitags.Anonymous}
		all := g.Stable()
		for _, prefix := range []string{all[1500][:2], all[2999][:2]} {
			tags, err := tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: prefix})
			require.NoError(t, err)
			assert.Equal(t, in(all, ocitags.Range{Prefix: prefix}), tags, "%s: %s", how, prefix)
		}
		log := new(strings.Builder)
		c.Logger = stableLog(log)
		_, err := tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: all[1500][:2]})
		require.NoError(t, err)
		assert.Equal(t, alone, strings.Contains(log.String(), "what comes after its last tag is past the range"), how)
	}
}

// Whoever leaves the loop leaves nothing behind, and an error is the last that comes.
func TestRangeIsLeft(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", packages(50_000)...)
	network := testNetwork(t).Handle("registry.example", r)
	c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
	n := 0
	for range c.TagsIn(t.Context(), "registry.example/a/b", ocitags.Range{Prefix: "k"}) {
		if n++; n == 10 {
			break
		}
	}
	assert.Equal(t, 10, n)

	c = &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, MaxAttempts: 1}
	r.Fault = func(k int, req *http.Request) regtest.Fault {
		if strings.Contains(req.URL.RawQuery, "last=j") {
			return regtest.Fault{Status: http.StatusTooManyRequests}
		}
		return regtest.Fault{}
	}
	_, err := tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: "k"})
	require.ErrorIs(t, err, ocitags.ErrRateLimited, "and the whole list is not asked for in vain")
	c.MaxTags = 1500
	r.Fault = nil
	_, err = tagsIn(t, c, t.Context(), "registry.example/a/b", ocitags.Range{Prefix: "k"})
	require.ErrorIs(t, err, ocitags.ErrTooLarge)
	_, err = tagsIn(t, c, t.Context(), "registry.example/none", ocitags.Range{Prefix: "k"})
	require.ErrorIs(t, err, ocitags.ErrNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tagsIn(t, c, ctx, "registry.example/a/b", ocitags.Range{Prefix: "k"})
	require.ErrorIs(t, err, context.Canceled)
}
