package conformance

import (
	"flag"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

var (
	someCaches = flag.Int("caches", 3, "how many binary caches TestRoundTrips lists")
	cacheTags  = flag.Int("length", 100_000, "how many tags each of them has; the bars are for the usual number")
)

// TestRoundTrips measures whole listings in round trips: with a clock that does not depend
// on the machine, at a registry that answers each request after the same time and keeps to
// 1000 tags a page. The times are parts of that of one page after the other; internal/split
// measures its cuts alone. Which answer comes first is left to chance, and so is much else.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	bars := map[int]float64{1: 1.06, 0: 0.36, 8: 0.32}
	sums, requests := map[int]float64{}, map[int]float64{}
	for seed := range uint64(*someCaches) {
		p := regtest.ByName("dist312")
		p.Max, p.DefaultN, p.Over = 1000, 1000, regtest.Rule{What: regtest.Clamp}
		r := regtest.New(p).Push("a/b", regtest.Packages(seed, *cacheTags)...)
		network := testNetwork(t).Handle("registry.example", r)
		pages := float64((*cacheTags + 999) / 1000)
		for concurrency := range bars {
			synctest.Test(t, func(t *testing.T) {
				r.Forget()
				c := &ocitags.Client{Credentials: ocitags.Anonymous, Concurrency: concurrency, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					time.Sleep(20 * time.Millisecond)
					return network.RoundTrip(req)
				})}
				began := time.Now()
				mustList(t, c, "registry.example/a/b", r, "a/b")
				sums[concurrency] += float64(time.Since(began)) / float64(20*time.Millisecond) / pages
				requests[concurrency] += float64(len(r.Requests())) / pages
			})
		}
	}
	for concurrency, bar := range bars {
		time, requests := sums[concurrency]/float64(*someCaches), requests[concurrency]/float64(*someCaches)
		t.Logf("Concurrency %d: time 1/%.2f, requests %.2f", concurrency, 1/time, requests)
		if *cacheTags == 100_000 {
			assert.LessOrEqual(t, time, bar, "time, Concurrency %d", concurrency)
			assert.LessOrEqual(t, requests, 1.35, "requests, Concurrency %d", concurrency)
		}
	}
}
