package interop

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
	"oras.land/oras-go/v2/registry"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// tagLister is a registry.TagLister of oras-go, for code that takes one.
type tagLister struct {
	client    *ocitags.Client
	reference string
}

func (l tagLister) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	var page []string
	for tag, err := range l.client.TagsIn(ctx, l.reference, ocitags.Range{After: last}) {
		if err != nil {
			return err
		}
		if page = append(page, tag); len(page) == 1000 {
			if err := fn(page); err != nil {
				return err
			}
			page = nil // fn may have kept it
		}
	}
	if len(page) == 0 {
		return nil
	}
	return fn(page)
}

// throttled sends no more requests than a rate.Limiter allows.
type throttled struct {
	http.RoundTripper
	limiter *rate.Limiter
}

func (t throttled) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.limiter.Wait(req.Context()); err != nil {
		return nil, err
	}
	return t.RoundTripper.RoundTrip(req)
}

// A listing by oras-go's own interface.
func Example_tagLister() {
	server := httptest.NewServer(regtest.New(regtest.ByName("gitlab-c")).Push("group/cache", "1.0", "1.1", "2.0"))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	lister := tagLister{new(ocitags.Client), host + "/group/cache"}
	tags, err := registry.Tags(context.Background(), lister)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tags)
	// Output: [1.0 1.1 2.0]
}

func TestTagLister(t *testing.T) {
	all := many(t)
	r := regtest.New(regtest.ByName("gitlab-c")).Push(repo, all...)
	var lister registry.TagLister = tagLister{&ocitags.Client{Transport: new(regtest.Network).Handle("registry.example", r), Credentials: ocitags.Anonymous}, "registry.example/" + repo}
	for _, last := range []string{"", all[0], all[1234], "m", all[len(all)-1], "zzzz"} {
		var tags []string
		pages := 0
		require.NoError(t, lister.Tags(t.Context(), last, func(page []string) error {
			pages++
			tags = append(tags, page...)
			return nil
		}))
		slices.Sort(tags)
		i, found := slices.BinarySearch(all, last)
		if found {
			i++
		}
		assert.Equal(t, append([]string{}, all[i:]...), append([]string{}, tags...), last)
		assert.Equal(t, (len(tags)+999)/1000, pages)
	}
	stop := fmt.Errorf("enough")
	assert.ErrorIs(t, lister.Tags(t.Context(), "", func([]string) error { return stop }), stop)
}

// A rate that a registry has asked for is kept by all listings of a Client.
func TestRateLimit(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab-c")).Push(repo, many(t)...)
	network := new(regtest.Network).Handle("registry.example", r)
	synctest.Test(t, func(t *testing.T) {
		client := &ocitags.Client{
			Transport:   throttled{network, rate.NewLimiter(rate.Every(100*time.Millisecond), 1)},
			Credentials: ocitags.Anonymous,
			PageSize:    100,
		}
		began := time.Now()
		tags, err := client.ListTags(t.Context(), "registry.example/"+repo)
		require.NoError(t, err)
		assert.Len(t, tags, 2500)
		assert.GreaterOrEqual(t, time.Since(began), time.Duration(len(r.Requests())-1)*100*time.Millisecond)
	})
}

// docs/recipes.md has the code of these tests.
func TestRecipes(t *testing.T) {
	text, err := os.ReadFile("../../docs/recipes.md")
	require.NoError(t, err)
	code := ""
	for _, file := range []string{"recipes_test.go", "keychains_test.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		code += string(source)
	}
	blocks := strings.Split(string(text), "```go\n")[1:]
	require.Len(t, blocks, 4)
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		assert.Contains(t, code, block)
	}
}
