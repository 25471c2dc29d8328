package listing

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/reference"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/weblink"
	"github.com/ocitags/ocitags/internal/wire"
)

// What is read ahead waits where there is no room for it. Upper case would leave it to which
// part is read first whether the registry is seen to fold case, and the list is read again.
func TestReadingAheadIsBounded(t *testing.T) {
	all := regtest.MixedTags(10_000)
	for i := range all {
		all[i] = strings.ToLower(all[i])
	}
	for _, bound := range []int{1, 10_000, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			r := regtest.New(regtest.ByName("gitlab")).Push("a/b", all...)
			o := options(t, new(regtest.Network).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				time.Sleep(20 * time.Millisecond)
				r.ServeHTTP(w, req)
			})))
			o.MaxAhead = bound
			var tags []string
			require.NoError(t, New(o).Run(t.Context(), func(tag string) bool {
				tags = append(tags, tag)
				return true
			}))
			slices.Sort(tags)
			assert.Equal(t, slices.Sorted(slices.Values(all)), tags)
			assert.Less(t, len(r.Requests()), 140, "%d", bound)
		})
	}
}

// options are those of a listing of registry.example/a/b through a network, 100 tags a
// page and 8 pages at once. Its links are simple.
func options(t *testing.T, network http.RoundTripper) Options {
	repo, err := reference.Parse("registry.example/a/b")
	require.NoError(t, err)
	home := &url.URL{Scheme: "https", Host: repo.Host, Path: "/v2/a/b/tags/list"}
	log := slog.New(slog.DiscardHandler)
	carrier := wire.NewCarrier(home, wire.Pools{Own: network, Elsewhere: network}, 8)
	return Options{
		Repository: repo, Home: home, Habits: new(Habits), Log: log, PageSize: 100, Slots: 8,
		Wire: &wire.Client{Home: home, Authorized: carrier, Carrier: carrier, MaxAttempts: 1, Pauses: new(wire.Pauses), Log: log},
		Registry: Registry{
			NextLink: func(values []string, at *url.URL) (*url.URL, string, error) {
				links, err := weblink.Parse(strings.Join(values, ","))
				if err != nil || len(links) == 0 {
					return nil, "", err
				}
				next, err := at.Parse(links[0].Target)
				return next, "", err
			},
			Repair: func(link *url.URL, _ int) (*url.URL, string) { return link, "" },
		},
	}
}
