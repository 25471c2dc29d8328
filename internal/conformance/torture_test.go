package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
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

var (
	schedules = flag.Int("schedules", 400, "how many random schedules of faults TestRandomFaults runs")
	seed      = flag.Uint64("seed", 0, "the seed of the first of them; 0: any")
)

// lasting are the faults that no further try gets over. A 4xx may also be what
// it says.
func lasting() map[string]regtest.Fault {
	return map[string]regtest.Fault{
		"400": {Status: 400}, "403": {Status: 403}, "404": {Status: 404}, "405": {Status: 405}, "HTML": {Handler: html},
		"later": {Status: 429, Header: http.Header{"Retry-After": {"3600"}}}, "204": {Status: 204},
	}
}

// ofListing is the key of the number of requests of one listing, in the context of these.
type ofListing struct{}

// counting is a transport that counts the requests of each listing by itself.
type counting struct{ http.RoundTripper }

func (c counting) RoundTrip(req *http.Request) (*http.Response, error) {
	if n, ok := req.Context().Value(ofListing{}).(*atomic.Int32); ok {
		n.Add(1)
	}
	return c.RoundTripper.RoundTrip(req)
}

// listUnderFaults lists from a registry under a schedule of faults, in virtual time. The
// list is complete or there is an error, within bounds.
func listUnderFaults(t *testing.T, list func(context.Context, string) ([]string, error), ref string, r *regtest.Registry, name string) error {
	t.Helper()
	asked, began := new(atomic.Int32), time.Now()
	tags, err := list(context.WithValue(t.Context(), ofListing{}, asked), ref)
	if err != nil {
		assert.Nil(t, tags)
	} else {
		// Not Equal, which prints both lists.
		assert.True(t, slices.Equal(want(r, name), tags), "%d tags of %d, and no error, after %v", len(tags), len(want(r, name)), requests(r))
	}
	assert.Positive(t, asked.Load())
	assert.Less(t, asked.Load(), int32(400))
	assert.Less(t, time.Since(began), 12*time.Hour)
	return err
}

// slowly lists as a consumer does that takes its time now and then, so that much
// has been read ahead.
func slowly(c *ocitags.Client, rnd *rand.Rand) func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, ref string) ([]string, error) {
		tags := []string{}
		for tag, err := range c.Tags(ctx, ref) {
			if err != nil {
				return nil, err
			}
			if tags = append(tags, tag); rnd.IntN(300) == 0 {
				time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
			}
		}
		slices.Sort(tags)
		return tags, nil
	}
}

// newFaulty is a registry of a profile, as TestProfiles has it, with n tags, and a Client.
func newFaulty(t *testing.T, profile string, n int) (ref string, r *regtest.Registry, name string, c *ocitags.Client) {
	ref, r, network := newRegistry(t, profile, "proxy/app", n)
	return ref, r, "proxy/app", &ocitags.Client{Transport: counting{network}, Credentials: ocitags.Anonymous}
}

// Each request of each listing goes wrong once, in each way. What passes is got
// over, the rest is got over or an error.
func TestEachRequestFails(t *testing.T) {
	t.Parallel()
	half := func(n int) int { return n / 2 }
	faulty := func(t *testing.T, profile string) (string, *regtest.Registry, string, *ocitags.Client) {
		ref, r, name, c := newFaulty(t, profile, 300)
		c.PageSize = 100 // some pages, some of them full
		return ref, r, name, c
	}
	for _, profile := range regtest.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			t.Parallel()
			ref, r, name, c := faulty(t, profile.Name)
			mustList(t, c, ref, r, name)
			operations := len(r.Requests())
			for k := 1; k <= operations; k++ {
				for kind, fault := range passing(half) {
					synctest.Test(t, func(t *testing.T) {
						ref, r, name, c := faulty(t, profile.Name)
						r.Fault = faultAt(k, fault)
						require.NoError(t, listUnderFaults(t, c.ListTags, ref, r, name), "%s at request %d", kind, k)
					})
				}
				for _, fault := range lasting() {
					synctest.Test(t, func(t *testing.T) {
						ref, r, name, c := faulty(t, profile.Name)
						r.Fault = faultAt(k, fault)
						_ = listUnderFaults(t, c.ListTags, ref, r, name)
					})
				}
			}
		})
	}
}

// Random schedules of faults, on random registries. With -schedules 10000 it is
// a soak; -seed runs one again.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1 << 40)
	}
	profiles := regtest.Profiles()
	complete, failed := 0, 0
	for i := range uint64(*schedules) {
		rnd := rand.New(rand.NewPCG(first+i, 0))
		profile := profiles[rnd.IntN(len(profiles))]
		ok := t.Run(fmt.Sprintf("%s, seed %d", profile.Name, first+i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ref, r, name, c := newFaulty(t, profile.Name, []int{0, 1, 99, 100, 999, 1000, 1001, 2000, 2345}[rnd.IntN(9)])
				c.PageSize = []int{-1, 0, 0, 50, 100, 333, 1000}[rnd.IntN(7)]
				c.Concurrency = []int{0, 0, 1, 2, 3, 16}[rnd.IntN(6)]
				if !profile.JSONPages && rnd.IntN(2) == 0 {
					r.Auth = &regtest.Auth{}
				}
				var mu sync.Mutex // for the listings at once
				often, delay := rnd.IntN(40)+1, rnd.IntN(2)*50
				r.Fault = func(int, *http.Request) regtest.Fault {
					mu.Lock()
					defer mu.Unlock()
					if rnd.IntN(100) >= often {
						return regtest.Fault{Delay: time.Duration(rnd.IntN(delay+1)) * time.Millisecond}
					}
					kinds := passing(rnd.IntN)
					if rnd.IntN(8) == 0 {
						kinds = lasting()
					}
					names := slices.Sorted(func(yield func(string) bool) {
						for name := range kinds {
							if !yield(name) {
								return
							}
						}
					})
					return kinds[names[rnd.IntN(len(names))]]
				}
				var lists []func(context.Context, string) ([]string, error)
				for range 1 + rnd.IntN(3)*rnd.IntN(3) {
					if rnd.IntN(2) == 0 {
						lists = append(lists, c.ListTags)
					} else {
						lists = append(lists, slowly(c, rand.New(rand.NewPCG(rnd.Uint64(), 0))))
					}
				}
				var wg sync.WaitGroup
				for _, list := range lists {
					wg.Go(func() {
						err := listUnderFaults(t, list, ref, r, name)
						mu.Lock()
						defer mu.Unlock()
						if err == nil {
							complete++
						} else {
							failed++
							assert.False(t, errors.Is(err, listing.ErrStopped))
						}
					})
				}
				wg.Wait()
			})
		})
		if !ok {
			t.Fatalf("run it again with -seed %d -schedules 1", first+i)
		}
	}
	t.Logf("%d listings were complete, %d failed with an error; the first seed was %d", complete, failed, first)
	assert.Positive(t, complete)
}
