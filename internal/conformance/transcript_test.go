package conformance

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// recorded is a registry that answers what was recorded, and 501 to anything
// else.
func recorded(t *testing.T, folder string) (map[string]regtest.Recorded, *ocitags.Client) {
	t.Helper()
	all, err := regtest.Transcript(filepath.Join(root, "testdata", "transcripts", folder))
	require.NoError(t, err)
	answers := map[string]regtest.Recorded{}
	for _, rec := range all {
		answers[rec.URL] = rec
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rec, ok := answers[req.URL.RequestURI()]
		if !ok {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		rec.ServeHTTP(w, req)
	})
	return answers, anonymous(testNetwork(t).Handle("registry.example", handler))
}

// The recorded lists of real servers are read whole, and nothing is asked for
// that was not asked for then. The Link of serverless names the host that it
// ran at, which is another than ours.
func TestTranscripts(t *testing.T) {
	for folder, n := range map[string]int{
		"cue": 2500, "distribution3": 2500, "gitea": 2367, "gitlab-db": 2500, "gitlab-db-icu": 2500, "olareg": 2500, "serverless": 2500, "zot": 2500,
	} {
		t.Run(folder, func(t *testing.T) {
			answers, c := recorded(t, folder)
			var pages []ocitags.Page
			c.OnPage = func(p ocitags.Page) { pages = append(pages, p) }
			// 2,500 is a number of round pages, and the last one has 500 of 1000:
			// with a Link in those before it that is no reason to ask again.
			tags, err := c.ListTags(t.Context(), "registry.example/demo/many")
			require.NoError(t, err)
			assert.Len(t, tags, n)
			var want []string
			for _, rec := range answers {
				if strings.HasPrefix(rec.Name, "15b-walk1000") {
					want = append(want, rec.Tags()...)
				}
			}
			slices.Sort(want)
			assert.Equal(t, want, tags)
			for _, p := range pages {
				assert.Zero(t, p.Skipped)
			}

			for name, url := range map[string]string{"demo/nonexistent": "16b-norepo-n10", "demo/deleted": "16e-deleted-n10", "demo/untagged": "16e-untagged-n10"} {
				c.PageSize = 10
				rec := answers["/v2/"+name+"/tags/list?n=10"]
				require.Equal(t, url, rec.Name)
				tags, err := c.ListTags(t.Context(), "registry.example/"+name)
				if rec.Status == http.StatusNotFound {
					require.ErrorIs(t, err, ocitags.ErrNotFound, name)
				} else {
					require.NoError(t, err, name)
					assert.Equal(t, append([]string{}, rec.Tags()...), tags, name)
				}
			}
		})
	}
}

// Ten at a time, as far as was recorded.
func TestTranscriptsInSmallPages(t *testing.T) {
	for _, folder := range []string{"cue", "distribution3", "gitea", "gitlab-db", "gitlab-db-icu", "olareg", "serverless", "zot"} {
		answers, c := recorded(t, folder)
		c.PageSize = 10
		var want, got []string
		for _, name := range []string{"15-chain10-p1", "15-chain10-p2", "15-chain10-p3"} {
			for _, rec := range answers {
				if rec.Name == name || name == "15-chain10-p1" && rec.Name == "02-n10" {
					want = append(want, rec.Tags()...)
					break
				}
			}
		}
		for tag, err := range c.Tags(t.Context(), "registry.example/demo/many") {
			require.NoError(t, err, folder)
			if got = append(got, tag); len(got) == 30 {
				break
			}
		}
		assert.Equal(t, want, got, folder)
	}
}
