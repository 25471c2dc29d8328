package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// BenchmarkOneAnswer is a list of a million tags in one answer.
func BenchmarkOneAnswer(b *testing.B) {
	body, err := json.Marshal(map[string]any{"name": "a/b", "tags": builds(1_000_000)})
	require.NoError(b, err)
	network := new(regtest.Network).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Has("last") {
			_, _ = w.Write([]byte(`{"tags":[]}`))
			return
		}
		_, _ = w.Write(body)
	}))
	c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous}
	b.Run("ListTags", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			tags, err := c.ListTags(b.Context(), "registry.example/a/b")
			require.NoError(b, err)
			require.Len(b, tags, 1_000_000)
		}
	})
	b.Run("Tags", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			n := 0
			for _, err := range c.Tags(b.Context(), "registry.example/a/b") {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			require.Equal(b, 1_000_000, n)
		}
	})
}

// BenchmarkPages is a list of 100,000 tags, 1000 a page, read from some places
// at once.
func BenchmarkPages(b *testing.B) {
	r := regtest.New(regtest.ByName("dist312")).Push("a/b", builds(100_000)...)
	network := new(regtest.Network).Handle("registry.example", r)
	for _, concurrency := range []int{1, 4, 8} {
		b.Run(fmt.Sprint("concurrency=", concurrency), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Forget()
				c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: concurrency}
				tags, err := c.ListTags(b.Context(), "registry.example/a/b")
				require.NoError(b, err)
				require.Len(b, tags, 100_000)
			}
			b.ReportMetric(float64(len(r.Requests())), "requests")
		})
	}
}
