package ocitags

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

const base = "https://reg.example/v2/a/b/tags/list?n=2"

func TestNextLink(t *testing.T) {
	const own = "https://reg.example/v2/a/b/tags/list"
	const x = "</v2/a/b/tags/list?last=x&n=2>"
	const nextX = own + "?last=x&n=2"
	for _, test := range []struct {
		name   string
		links  []string
		want   string // "": no next page
		errors error
	}{
		{"as the specification has it", []string{x + `; rel="next"`}, nextX, nil},
		{"unquoted, as olareg", []string{x + `; rel=next`}, nextX, nil},
		{"no space, as cuelabs", []string{x + `;rel="next"`}, nextX, nil},
		{"spaces everywhere", []string{x + ` ; rel = "next"`}, nextX, nil},
		{"tabs", []string{x + "\t;\trel\t=\t\"next\"\t"}, nextX, nil},
		{"upper case", []string{x + `; REL="NEXT"`}, nextX, nil},
		{"several types", []string{x + `; rel="prev next"`}, nextX, nil},
		{"after another link", []string{`</a>; rel="last", ` + x + `; rel="next"`}, nextX, nil},
		{"before another link", []string{x + `; rel="next", </a>; rel="last"`}, nextX, nil},
		{"in the second header", []string{`</a>; rel="last"`, x + `; rel="next"`}, nextX, nil},
		{"in the first header", []string{x + `; rel="next"`, `</a>; rel="last"`}, nextX, nil},
		{"after a parameter", []string{x + `; title="x"; rel="next"`}, nextX, nil},
		{"after a parameter without a value", []string{x + `; crossorigin; rel="next"`}, nextX, nil},
		{"after a quoted quote", []string{x + `; title="a \", <b>; rel=prev"; rel="next"`}, nextX, nil},
		{"the first rel counts", []string{x + `; rel="next"; rel="prev"`}, nextX, nil},
		{"of two rels, the second", []string{x + `; rel="prev"; rel="next"`}, nextX, nil},
		{"empty list elements", []string{`, ,` + x + `; rel="next", ,`}, nextX, nil},
		{"rel inside a title", []string{`</other>; title="p; rel=next"`}, "", nil},
		{"a link inside a title", []string{`</other>; title="a, <b>; rel=next"`}, "", nil},
		{"comma in the query", []string{`<?last=1,2&n=2>; rel="next"`}, own + "?last=1,2&n=2", nil},
		{"semicolon in the query", []string{`<?last=a;b&n=2>; rel="next"`}, own + "?last=a;b&n=2", nil},
		{"bracket in the query", []string{`<?last=a>b&n=2>; rel="next"`}, own + "?last=a>b&n=2", nil},
		{"escapes in the query", []string{`<?last=a%3Eb>; rel="next"`}, own + "?last=a%3Eb", nil},
		{"plus, and an escape that means nothing", []string{`<?last=a+b%zz%2f>; rel="next"`}, own + "?last=a+b%zz%2f", nil},
		{"space in the query", []string{`<?last=a b>; rel="next"`}, own + "?last=a%20b", nil},
		{"no ASCII in the query", []string{`<?last=é>; rel="next"`}, own + "?last=é", nil},
		{"self", []string{`</v2/a/b/tags/list?last=x>; rel="self"`}, "", nil},
		{"first", []string{`</v2/a/b/tags/list?last=x>; rel="first"`}, "", nil},
		{"prev", []string{`</v2/a/b/tags/list?last=x>; rel="prev"`}, "", nil},
		{"nextish", []string{`</v2/a/b/tags/list?last=x>; rel="nextpage"`}, "", nil},
		{"self, of the tag list", []string{`</v2/a/b/tags/list?n=2>`}, "", nil},
		{"no rel", []string{x}, nextX, nil},
		{"no rel beside a next link", []string{`<?last=y>`, x + `; rel="next"`}, nextX, nil},
		{"no rel, and no cursor", []string{`</v2/a/b/tags/list>`, `</>`, `<?n=10>`}, "", nil},
		{"no rel, and no tag list", []string{`</catalog?last=x>`}, "", nil},
		{"single quotes", []string{x + `; rel='next'`}, nextX, nil},
		{"typographic quotes", []string{x + `; rel=“next”`}, nextX, nil},
		{"colon", []string{x + `; rel:next`}, nextX, nil},
		{"a bracket too many", []string{x + `; rel=next>`}, nextX, nil},
		{"a quoted name", []string{x + `; "rel"="next"`}, nextX, nil},
		{"an extended value", []string{x + `; rel*=UTF-8''next`}, nextX, nil},
		{"no header", nil, "", nil},
		{"empty header", []string{""}, "", nil},
		{"no brackets, as Cloudflare", []string{`https://reg.example/v2/a/b/tags/list?last=x; rel=next`}, own + "?last=x", nil},
		{"no brackets, no space", []string{`https://reg.example/v2/a/b/tags/list?last=x;rel=next`}, own + "?last=x", nil},
		{"upper-case host, port spelled out", []string{`<https://REG.example:443/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"relative path", []string{`<list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"user-info of the same origin", []string{`<https://bob:pw@reg.example/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"fragment", []string{`<?last=x#y>; rel="next"`}, own + "?last=x", nil},
		{"twice the same", []string{x + `; rel="next"`, x + `; rel="next"`}, nextX, nil},

		// Repairs: our own URL, with the query of the link.
		{"inner host, as behind a proxy", []string{`<http://inner:5000/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"clear text, as Pulp", []string{`<http://reg.example/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"other port", []string{`<https://reg.example:8443/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"prefix lost, as Artifactory", []string{`</v2/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"prefix added, as Nexus", []string{`</repository/r/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"other repository", []string{`</v2/other/repo/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"dots", []string{`</v2/%2e%2e/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},
		{"tag list of another host", []string{`<https://evil.example/v2/a/b/tags/list?last=x>; rel="next"`}, own + "?last=x", nil},

		{"other host", []string{`<https://evil.example/steal?last=x>; rel="next"`}, "", ErrUnsafeLink},
		{"address", []string{`<http://169.254.169.254/latest>; rel="next"`}, "", ErrUnsafeLink},
		{"file", []string{`<file:///etc/passwd>; rel="next"`}, "", ErrUnsafeLink},
		{"host without a scheme", []string{`<//evil.example/x>; rel="next"`}, "", ErrUnsafeLink},
		{"backslashes", []string{`<\\evil>; rel="next"`}, "", ErrUnsafeLink},
		{"one slash", []string{`<https:/evil>; rel="next"`}, "", ErrUnsafeLink},
		{"tab in the host", []string{"<https://evil\t/>; rel=\"next\""}, "", ErrUnsafeLink},
		{"at sign", []string{`<@evil/x>; rel="next"`}, "", ErrUnsafeLink},
		{"dot", []string{`<.evil/x>; rel="next"`}, "", ErrUnsafeLink},
		{"port and at sign", []string{`<:80@evil/x>; rel="next"`}, "", ErrUnsafeLink},
		{"climbing", []string{`</../../admin>; rel="next"`}, "", ErrUnsafeLink},
		{"NUL", []string{"</v2/a/\x00/tags/list>; rel=\"next\""}, "", ErrUnsafeLink},
		{"long", []string{"</" + strings.Repeat("a", 64<<10) + `/tags/list>; rel="next"`}, "", ErrUnsafeLink},

		{"empty target", []string{`<>; rel="next"`}, "", ErrInvalidResponse},
		{"no closing bracket", []string{`<; rel="next"`}, "", ErrInvalidResponse},
		{"no target", []string{`; rel=next`}, "", ErrInvalidResponse},
		{"only a bracket", []string{`<`}, "", ErrInvalidResponse},
		{"open quote", []string{x + `; rel="next`}, "", ErrInvalidResponse},
		{"text after the quote", []string{x + `; rel="next"junk`}, "", ErrInvalidResponse},
		{"two different", []string{x + `; rel="next"`, `<?last=y>; rel="next"`}, "", ErrInvalidResponse},
		{"two different in one header", []string{x + `; rel="next", <?last=y>; rel="next"`}, "", ErrInvalidResponse},
	} {
		t.Run(test.name, func(t *testing.T) {
			next, _, err := nextLink(test.links, mustURL(t, base))
			if test.errors != nil {
				require.ErrorIs(t, err, test.errors)
				assert.Nil(t, next)
				assert.NotContains(t, err.Error(), "last=", "a cursor may be a secret")
				return
			}
			require.NoError(t, err)
			if test.want == "" {
				assert.Nil(t, next)
				return
			}
			require.NotNil(t, next)
			assert.Equal(t, test.want, next.String())
		})
	}
}

// What leads beside the list is told, and what leads to it is not, however it is
// written.
func TestNextLinkAside(t *testing.T) {
	for link, want := range map[string]string{
		"<http://inner:5000/v2/a/b/tags/list?last=x>":          "http://inner:5000/v2/a/b/tags/list",
		"</v2/b/tags/list?last=x>":                             "https://reg.example/v2/b/tags/list",
		"</v2/a/b/tags/list?last=x>":                           "",
		"<https://REG.example:443/v2/a/b/tags/list?last=x>":    "",
		"<https://bob:pw@reg.example/v2/a/b/tags/list?last=x>": "",
	} {
		_, oddity, err := nextLink([]string{link + `; rel="next"`}, mustURL(t, base))
		require.NoError(t, err)
		if want != "" {
			want = "it leads to " + want + ": only its query is followed"
		}
		assert.Equal(t, want, oddity, link)
	}
}

// A next link leads to our origin and path, or is an error.
func FuzzNextLink(f *testing.F) {
	for _, link := range []string{
		`</v2/a/b/tags/list?last=x&n=2>; rel="next"`, `<?last=1,2>; REL="prev NEXT"; title="a, <b>"`, `<https://evil.example/x>; rel=next`,
		`http://h/v2/a/tags/list?n=1&last=x; rel=next`, `<a>b>; rel=next`, `, <x>;;rel="\"next"`, "<\\\\evil>; rel=next", `<; rel="next"`,
	} {
		f.Add(link)
	}
	at := mustURL(f, base)
	f.Fuzz(func(t *testing.T, link string) {
		next, _, err := nextLink([]string{link}, at)
		if err != nil || next == nil {
			return
		}
		query := next.RawQuery
		next.RawQuery = at.RawQuery
		require.Equal(t, at.String(), next.String())
		require.NotContains(t, query, " ")
		require.LessOrEqual(t, len(query), 3*maxLink)
	})
}

// What is known of a registry by its host chooses what is asked, and which answer needs
// no other question.
func TestRegistryOf(t *testing.T) {
	type known struct {
		byAge, pagesOnly, announces bool
		slots                       int
	}
	for host, want := range map[string]known{
		"docker.io":           {announces: true},
		"ghcr.io":             {byAge: true, pagesOnly: true, announces: true},
		"registry.gitlab.com": {pagesOnly: true, announces: true},
		"public.ecr.aws":      {pagesOnly: true, announces: true},
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com": {pagesOnly: true, announces: true},
		"registry.eu-west-1.amazonaws.com":             {pagesOnly: true},
		"quay.io":                                      {pagesOnly: true, slots: 3},
		"eu.gcr.io":                                    {pagesOnly: true},
		"europe-docker.pkg.dev":                        {pagesOnly: true},
		"registry.example":                             {},
		"ghcr.io.example":                              {},
	} {
		r := registryOf(host)
		assert.Equal(t, want, known{r.ByAge, r.PagesOnly, r.Announces, r.Slots}, host)
	}
}

// ghcr.io sends n=0, and Cloudflare's serverless-registry an empty last after the end. Any
// other link stays as it is, to the byte.
func TestRepairLink(t *testing.T) {
	for query, want := range map[string]string{
		"n=0&last=v1":       "n=100&last=v1",
		"last=v1&n=0":       "last=v1&n=100",
		"n=50&last=":        "",
		"last=%2B1&n=50":    "last=%2B1&n=50",
		"n=50&next_page=gA": "n=50&next_page=gA",
		"last=&next_page=g": "last=&next_page=g",
	} {
		link := mustURL(t, "https://reg.example/v2/a/b/tags/list?"+query)
		mended, wrong := repairLink(link, 100)
		if want == "" {
			assert.Nil(t, mended, query)
		} else {
			assert.Equal(t, want, mended.RawQuery, query)
		}
		assert.Equal(t, want != query, wrong != "", query)
	}
}
