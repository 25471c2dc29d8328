package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/listing"
	"github.com/ocitags/ocitags/internal/regtest"
)

// A loaded registry answers in 20 ms, and so many at once; what is more waits, or is
// refused.
type loaded struct {
	http.RoundTripper
	mu      sync.Mutex
	places  chan struct{}
	refuses bool
	retry   string // Retry-After
	refused int
}

func (l *loaded) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case l.places <- struct{}{}:
	default:
		if l.refuses {
			l.mu.Lock()
			l.refused++
			l.mu.Unlock()
			resp := &http.Response{StatusCode: 429, Header: http.Header{}, Body: http.NoBody, Request: req}
			if l.retry != "" {
				resp.Header.Set("Retry-After", l.retry)
			}
			return resp, nil
		}
		select {
		case l.places <- struct{}{}:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	defer func() { <-l.places }()
	time.Sleep(20 * time.Millisecond)
	return l.RoundTripper.RoundTrip(req)
}

// By default a long list is read with as many requests at once as the registry takes
// well: about as fast as with 4 at least, and with no more refusals than requests. A
// Client that was refused asks for no more than 4 pages at once when it comes again.
func TestPaceFollowsTheRegistry(t *testing.T) {
	t.Parallel()
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", builds(20_000)...)
	network := new(regtest.Network).Handle("registry.example", r)
	// read returns the middle time of three, as where the list is cut depends on which page
	// comes first, and how many requests at most were refused.
	read := func(t *testing.T, concurrency, listings, places int, refuses bool, retry string) (took time.Duration, refused int) {
		var times []time.Duration
		for range 3 {
			synctest.Test(t, func(t *testing.T) {
				l := &loaded{RoundTripper: network, places: make(chan struct{}, places), refuses: refuses, retry: retry}
				c := &ocitags.Client{Transport: l, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: concurrency}
				began := time.Now()
				var wg sync.WaitGroup
				for range listings {
					wg.Go(func() {
						tags, err := c.ListTags(t.Context(), "registry.example/a/b")
						assert.NoError(t, err)
						assert.Len(t, tags, 20_000)
					})
				}
				wg.Wait()
				times, refused = append(times, time.Since(began)), max(refused, l.refused)
			})
		}
		return middle(times), refused
	}
	alone, _ := read(t, listing.DefaultConcurrency, 1, listing.DefaultConcurrency, false, "") // more places change nothing
	for _, test := range []struct {
		name             string
		listings, places int
		refuses          bool
		retry            string
		faster           bool
	}{
		{"any number", 1, 100, false, "", true},
		{"4, and others wait", 1, 4, false, "", false},
		{"6, and others wait", 1, 6, false, "", true},
		{"two listings, and 6 places", 2, 6, false, "", false},
		{"6, and others are refused", 1, 6, true, "", false},
		{"6, and others are told to wait a second", 1, 6, true, "1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			few := alone
			if test.listings > 1 {
				few, _ = read(t, listing.DefaultConcurrency, test.listings, test.places, test.refuses, test.retry)
			}
			many, refused := read(t, 0, test.listings, test.places, test.refuses, test.retry)
			t.Log(fmt.Sprint(few, " with 4, ", many, " by default, ", refused, " refused"))
			switch {
			case test.retry != "":
				few += 6 * time.Second // it is waited for, and again by those that were in flight
			case test.refuses:
				few *= 2
			}
			assert.LessOrEqual(t, many, few*12/10)
			if test.faster {
				assert.Less(t, many, few*9/10)
			}
			require.LessOrEqual(t, refused, listing.MaxConcurrency)
		})
	}
}

// What a registry has refused once is not asked of it again.
func TestPaceRemembersRefusals(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", builds(20_000)...)
	network := new(regtest.Network).Handle("registry.example", r)
	synctest.Test(t, func(t *testing.T) {
		l := &loaded{RoundTripper: network, places: make(chan struct{}, 6), refuses: true}
		c := &ocitags.Client{Transport: l, Credentials: ocitags.Anonymous, PageSize: 200}
		mustList(t, c, "registry.example/a/b", r, "a/b")
		require.NotZero(t, l.refused)
		l.refused = 0
		mustList(t, c, "registry.example/a/b", r, "a/b")
		assert.Zero(t, l.refused)
	})
}

// middle is the median.
func middle(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
