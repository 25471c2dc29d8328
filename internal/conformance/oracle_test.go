package conformance

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/dedup"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/taglist"
)

var servers = flag.Int("servers", 1500, "how many generated servers TestGeneratedServers lists from")

// A careful client asks one request after the other: it follows each Link, asks
// what comes after the last tag where there is none, and ends when that brings
// nothing new. It reports how many tags it has found; tags is how many there are.
func careful(t *testing.T, g *regtest.Generated, through http.RoundTripper, n, tags int) int {
	seen, links := make(map[string]bool, tags), map[string]bool{}
	first := ""
	if n > 0 {
		first = "n=" + strconv.Itoa(n)
	}
	for query := first; ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.Host+"/v2/"+g.Name+"/tags/list?"+query, nil)
		require.NoError(t, err)
		resp, err := through.RoundTrip(req)
		require.NoError(t, err)
		if resp.StatusCode != http.StatusOK {
			break
		}
		news, last := 0, ""
		_, err = taglist.Decode(resp.Body, taglist.Handler{Tags: func(tags []string) error {
			for _, tag := range tags {
				if last = tag; !seen[tag] {
					seen[tag] = true
					news++
				}
			}
			return nil
		}})
		require.NoError(t, err)
		link := nextTarget.FindStringSubmatch(resp.Header.Get("Link"))
		switch {
		case link != nil && !links[link[1]]:
			query = link[1]
			links[query] = true
		case news == 0:
			return len(seen)
		default:
			query = strings.Trim(first+"&last="+last, "&")
		}
	}
	return len(seen)
}

var nextTarget = regexp.MustCompile(`(?:^|, )<?[^<>, ]*\?([^<>; ]*)(?:>|; rel=next)`)

// A trial is one listing from a generated server.
type trial struct {
	seed        uint64
	shape       regtest.Shape
	server      *regtest.Generated
	pageSize    int
	concurrency int
	inARow      bool   // concurrency is 1
	trouble     string // "": none
	usual       bool   // the careful client reads it completely with the n that the user wants, or without n
	always      bool   // and with each of them
	twins       int    // tags that are missing, and differ from others in case alone
	ranges      bool   // parts of the list are listed
	parts       bool   // one of them was read without the rest
	redirected  bool   // the user names a host that redirects to the server
	front       *front // that host; nil: there is none
	tokens      bool   // the server wants tokens, which soon end
	inTurn      bool   // its tags are taken as they arrive
	slow        bool   // the server takes its time
	strange     bool   // its orders are strange
	replaced    bool   // another server had its name before
	bursts      bool   // many tags are deleted and pushed at a time
	unsorted    bool   // its pages are
	circles     bool   // its Links lead in circles
	takes       string // how much
}

func (tr trial) String() string {
	trouble := tr.trouble
	if tr.front != nil {
		trouble += fmt.Sprint(" ", tr.front)
	}
	return fmt.Sprintf("seed %d: %v; PageSize %d, Concurrency %d, %s%s", tr.seed, tr.server, tr.pageSize, tr.concurrency, trouble, tr.takes)
}

// run reports whether a careful client reads the server completely with any n, and what
// the library made of it: an error, or how many of the stable tags are missing.
func (tr *trial) run(t *testing.T) (possible bool, missing int, err error) {
	rnd := rand.New(rand.NewPCG(tr.seed, 0))
	g := regtest.Generate(rnd, tr.shape)
	tr.server = g
	tr.pageSize = []int{0, 0, 0, -1, 50, 100, 1000}[rnd.IntN(7)]
	if tr.concurrency = []int{1, 4, 16, 0}[rnd.IntN(4)]; tr.inARow {
		tr.concurrency = 1
	}
	if tr.trouble = []string{"", "", "", "a fault", "movement", "another repository"}[rnd.IntN(6)]; tr.bursts {
		tr.trouble = "bursts"
	}

	sizes := []int{0, tr.pageSize}
	if tr.pageSize == 0 {
		sizes = []int{0, 1000, 100, 50}
	}
	reach := func() http.RoundTripper {
		if tr.slow {
			return newSlowServer(g, rand.New(rand.NewPCG(tr.seed, 6)))
		}
		return g
	}
	through, other := reach(), reach()
	all := len(g.Stable())
	tr.always = true
	for _, n := range sizes {
		complete := careful(t, g, through, max(0, n), all) == all
		tr.usual, tr.always = tr.usual || complete, tr.always && complete
	}
	requests := g.Asked()
	possible = tr.usual
	for _, n := range []int{1000, 100, 50} { // whatever the user wants
		possible = possible || careful(t, g, other, n, all) == all
	}
	if !possible {
		return false, 0, nil
	}
	c := &ocitags.Client{Transport: through, Credentials: ocitags.Anonymous, PageSize: tr.pageSize, Concurrency: tr.concurrency}
	g.Reset()
	most := 400 + 20*requests
	if tr.ranges {
		most *= ranges
	}
	g.Most(most)
	if *servers <= 4 {
		c.Logger = stableLog(t.Output())
	}
	switch tr.trouble {
	case "a fault":
		k, how := 1+rnd.IntN(max(1, min(6, requests))), regtest.GeneratedFaults[rnd.IntN(len(regtest.GeneratedFaults))]
		tr.trouble = fmt.Sprintf("%s at request %d", how, k)
		g.Fail(k, how)
	case "movement", "bursts":
		if g.Order == "random" || g.Cursor == "offset" && (g.Order != "bytes" || tr.bursts) || g.Order == "age" && g.Tiny() {
			tr.trouble = ""
			break
		}
		if tr.bursts {
			g.Burst()
		} else {
			g.Move()
		}
	case "another repository":
		before := regtest.Generate(rnd, tr.shape)
		before.Name = "other/one"
		tr.trouble = fmt.Sprintf("after another one (%v)", before)
		c.Transport = &twoServers{g, before}
		_, _ = c.ListTags(t.Context(), "registry.example/other/one")
		c.Transport = through
	}
	if tr.replaced {
		before := regtest.Generate(rand.New(rand.NewPCG(tr.seed, 8)), tr.shape)
		tr.trouble = fmt.Sprintf("%s, after another server (%v)", tr.trouble, before)
		c.Transport = before
		for range 1 + tr.seed%2 {
			_, _ = c.ListTags(t.Context(), "registry.example/a/b")
		}
		c.Transport = through
	}
	want := g.Stable()
	defer func() {
		assert.False(t, g.Exhausted(), "%v: too many requests", tr)
	}()
	ref := "registry.example/a/b"
	if tr.redirected {
		f := &front{Generated: g, forgets: rnd.IntN(3), links: rnd.IntN(3) == 0, rnd: rand.New(rand.NewPCG(tr.seed, 5))}
		c.Transport, ref = f, "front.example/a/b"
		tr.front = f
	}
	if tr.tokens {
		// A token lasts for a few requests in a row, and for some more of those at once.
		c.Transport = &guarded{Generated: g, life: time.Duration(2+rnd.IntN(30)) * requestTime, until: map[string]time.Time{}}
	}
	if server, ok := through.(*slowServer); ok {
		if tr.seed%2 == 0 {
			tr.trouble, server.fails = cmp.Or(tr.trouble, "faults"), pickOne(rnd, 0.05, 0.2, 0.4)
		}
		c.Transport, tr.takes = server, server.String()
	}
	if tr.ranges {
		missing, err = tr.listRanges(t, c, ref, rnd, want)
		return true, missing, err
	}
	list := c.ListTags
	if tr.inTurn {
		list = func(ctx context.Context, ref string) ([]string, error) { return inTurn(t, c.Tags(ctx, ref)) }
	}
	tags, err := list(t.Context(), ref)
	if err != nil {
		return true, 0, err
	}
	return true, tr.missing(tags, want), nil
}

// inTurn takes tags as they arrive, each once.
func inTurn(t *testing.T, list iter.Seq2[string, error]) (tags []string, err error) {
	have := make(map[string]bool)
	for tag, err := range list {
		if err != nil {
			return tags, err
		}
		assert.False(t, have[tag], "%s comes twice", tag)
		have[tag] = true
		tags = append(tags, tag)
	}
	return tags, nil
}

// A front is a host that redirects to a server, and may forget the query on the way, as
// registry.k8s.io does and proxy projects of Harbor.
type front struct {
	*regtest.Generated
	forgets int  // the query: never, always, now and then
	links   bool // the server's absolute Links lead back to the front

	mu  sync.Mutex
	rnd *rand.Rand
}

func (f *front) String() string {
	return fmt.Sprintf("behind a redirect that forgets the query %s, links %v", [...]string{"never", "always", "now and then"}[f.forgets], f.links)
}

func (f *front) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == f.Host {
		resp, err := f.Generated.RoundTrip(req)
		if f.links && err == nil {
			for i, link := range resp.Header["Link"] {
				resp.Header["Link"][i] = strings.ReplaceAll(link, "//"+f.Host+"/", "//front.example/")
			}
		}
		return resp, err
	}
	to := *req.URL
	to.Host = f.Host
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forgets == 1 || f.forgets == 2 && f.rnd.IntN(2) == 0 {
		to.RawQuery = ""
	}
	return &http.Response{StatusCode: 307, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Location": {to.String()}}, Request: req, Body: http.NoBody}, nil
}

// guarded is a server that is its own token server. Its tokens end sooner than it says.
type guarded struct {
	*regtest.Generated
	life time.Duration // of a token

	mu    sync.Mutex
	until map[string]time.Time // when tokens end
}

// requestTime is how long a guarded server takes.
const requestTime = 100 * time.Millisecond

func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(requestTime)
	g.mu.Lock()
	until := g.until[req.Header.Get("Authorization")]
	resp := &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req}
	body := ""
	switch {
	case req.URL.Path == "/token":
		token := fmt.Sprint("token-", len(g.until))
		g.until["Bearer "+token] = time.Now().Add(g.life)
		body = fmt.Sprintf(`{"token":%q,"expires_in":300}`, token)
	case time.Now().After(until):
		resp.StatusCode = http.StatusUnauthorized
		resp.Header.Set("WWW-Authenticate", `Bearer realm="https://`+g.Host+`/token",scope="repository:`+g.Name+`:pull"`)
		body = `{"errors":[{"code":"UNAUTHORIZED"}]}`
	default:
		g.mu.Unlock()
		return g.Generated.RoundTrip(req)
	}
	g.mu.Unlock()
	resp.Body = io.NopCloser(strings.NewReader(body))
	return resp, nil
}

// A slowServer takes its time, more of it for the list without n, and gives up where a page
// is too long for it, or now and then.
type slowServer struct {
	*regtest.Generated
	each, whole time.Duration
	most        int     // tags that it can send in one page
	fails       float64 // the share of requests that fail in any case

	mu  sync.Mutex
	rnd *rand.Rand
}

func newSlowServer(g *regtest.Generated, rnd *rand.Rand) *slowServer {
	return &slowServer{
		Generated: g, rnd: rnd,
		each:  pickOne(rnd, 10*time.Millisecond, 200*time.Millisecond, 3*time.Second),
		whole: pickOne(rnd, 0, 500*time.Millisecond, 2*time.Second, 20*time.Second),
		most:  pickOne(rnd, 100, 1000, 10_000),
	}
}

func (s *slowServer) String() string {
	return fmt.Sprintf(" and it takes %v a page, %v more without n, gives up above %d tags, and at %v of all requests", s.each, s.whole, s.most, s.fails)
}

func (s *slowServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	takes, fails, how := s.each/2+time.Duration(s.rnd.Int64N(int64(s.each))), s.rnd.Float64() < s.fails, s.rnd.Float64()
	s.mu.Unlock()
	if !req.URL.Query().Has("n") {
		takes += s.whole
	}
	resp, err := s.Generated.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	refuse := func(status int) {
		resp, body, err = &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req}, nil, nil
	}
	switch {
	case bytes.Count(body, []byte(",")) > s.most:
		takes += 30 * time.Second
		refuse(http.StatusGatewayTimeout)
	case fails && how < 0.3:
		refuse([]int{429, 500, 502, 503, 504}[int(how/0.3*5)])
	case fails:
		body, err = body[:int(how*float64(len(body)))], io.ErrUnexpectedEOF
	}
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(cmp.Or(err, io.EOF))))
	select {
	case <-time.After(takes):
		return resp, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// missing is how many tags are wanted and were not listed.
func (tr *trial) missing(tags, want []string) (missing int) {
	have, folded := make(map[string]bool, len(tags)), make(map[string]bool, len(tags))
	for _, tag := range tags {
		have[tag] = true
		folded[strings.ToLower(tag)] = true
	}
	for _, tag := range want {
		if !have[tag] {
			missing++
			if folded[strings.ToLower(tag)] {
				tr.twins++ // docs/design.md, "What no client can see"
			}
		}
	}
	return missing
}

// ranges is how many parts of a list are listed.
const ranges = 3

// listRanges lists some parts of the list with one Client, which may know from one
// what it is asked for in the next.
func (tr *trial) listRanges(t *testing.T, c *ocitags.Client, ref string, rnd *rand.Rand, all []string) (missing int, err error) {
	var log strings.Builder
	if c.Logger == nil {
		c.Logger = stableLog(&log)
	}
	for range ranges {
		log.Reset()
		r := anyRange(rnd, all)
		tags, err := tagsIn(t, c, t.Context(), ref, r)
		if err != nil {
			return 0, err
		}
		assert.Equal(t, in(tags, r), tags, "%v: nothing else comes", tr)
		tr.parts = tr.parts || strings.Contains(log.String(), "asking what comes after a string that is not a tag") && !strings.Contains(log.String(), "reading the whole list")
		if n := tr.missing(tags, in(all, r)); n > 0 {
			tr.trouble += fmt.Sprintf(", %+v", r)
			missing += n
		}
	}
	return missing, nil
}

// anyRange is a range which mostly has some of the tags.
func anyRange(rnd *rand.Rand, tags []string) (r ocitags.Range) {
	if len(tags) == 0 {
		return ocitags.Range{After: "a"}
	}
	some := func() string {
		tag := tags[rnd.IntN(len(tags))]
		if rnd.IntN(3) == 0 {
			tag = tag[:1+rnd.IntN(len(tag))]
		}
		if rnd.IntN(4) == 0 {
			tag += pickOne(rnd, "0", "z", "_", "-", ".", "A")
		}
		return tag
	}
	if rnd.IntN(3) > 0 {
		r.Prefix = some()
		r.Prefix = r.Prefix[:1+rnd.IntN(len(r.Prefix))]
	}
	if r.Prefix == "" || rnd.IntN(4) == 0 {
		r.After = some()
	}
	return r
}

func pickOne[T any](rnd *rand.Rand, of ...T) T { return of[rnd.IntN(len(of))] }

// twoServers are two repositories of one host.
type twoServers struct{ a, other *regtest.Generated }

func (s *twoServers) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/other/one/") {
		return s.other.RoundTrip(req)
	}
	return s.a.RoundTrip(req)
}

// What a careful client can read, with one request after the other, the library
// returns by default, or it fails, which is rare: FAULTS 92. With -servers 1000000
// it is a soak; -seed runs one again.
func TestGeneratedServers(t *testing.T) {
	t.Parallel()
	generatedServers(t, *servers, func(seed uint64) *trial { return &trial{shape: shapeOf(seed)} })
}

// The same where pages are uneven: the user may not see all of their tags, they have
// entries that are no tags, or the tag that last names once more, or fewer than there is
// room for.
func TestGeneratedServersOfUnevenPages(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+1)/2, func(seed uint64) *trial {
		return &trial{shape: regtest.Shape{Mixed: seed%2 == 1, Uneven: true}}
	})
}

// The same where the user names another host, which redirects.
func TestGeneratedServersBehindRedirects(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial { return &trial{shape: shapeOf(seed), redirected: true} })
}

// The same with tokens that end in the middle, at some pages or at each.
func TestGeneratedServersWhoseTokensEnd(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial { return &trial{shape: shapeOf(seed), tokens: true} })
}

// The same where the tags are taken as they arrive, and few of them are remembered.
func TestGeneratedServersInTurn(t *testing.T) {
	remember(t, 16)
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial { return &trial{shape: shapeOf(seed), inTurn: true} })
}

// The same where the list is in an order that no registry is known to use, or the registry
// compares by one.
func TestGeneratedServersInStrangeOrders(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial {
		shape := shapeOf(seed)
		shape.Strange = true
		return &trial{shape: shape, strange: true}
	})
}

// The same where the server takes its time: what is asked for beside the pages may not come.
func TestGeneratedServersThatAreSlow(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial { return &trial{shape: shapeOf(seed), slow: true} })
}

// The same where the registry was replaced: what the Client remembers of it is wrong.
func TestGeneratedServersThatWereReplaced(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial { return &trial{shape: shapeOf(seed), replaced: true} })
}

// The same where tags stand in the list more than once.
func TestGeneratedServersOfTagsThatComeTwice(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial {
		shape := shapeOf(seed)
		shape.Twice = true
		return &trial{shape: shape}
	})
}

// The same where many tags are deleted and pushed at a time.
func TestGeneratedServersInBursts(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial { return &trial{shape: shapeOf(seed), bursts: true} })
}

// The same where a Link has its cursor in another parameter than last, or something beside
// it, or leaves n out, or names a tag before the last one.
func TestGeneratedServersOfOtherLinks(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial {
		shape := shapeOf(seed)
		shape.Links, shape.Overlap = true, seed%3 == 0
		return &trial{shape: shape}
	})
}

// The same where a Link leads back to the start of the list, as its own server looks at last only
// with n, only without n, or never.
func TestGeneratedServersInCircles(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial {
		shape := shapeOf(seed)
		shape.Circles = true
		return &trial{shape: shape, circles: true}
	})
}

// The same where a list is sorted, and the tags of its pages are not.
func TestGeneratedServersOfUnsortedPages(t *testing.T) {
	t.Parallel()
	generatedServers(t, (*servers+7)/8, func(seed uint64) *trial {
		shape := shapeOf(seed)
		shape.Pages = true
		return &trial{shape: shape, unsorted: true}
	})
}

// A registry that sorts its list, and sends the tags of a page in no order, is read as any
// other: its Links name the greatest tag of each page.
func TestUnsortedPages(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"bytes", "punctuation first"} {
		for seed := range uint64(50) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			g := regtest.Generate(rnd, regtest.Shape{})
			g.Default, g.Max, g.Over, g.Links, g.Form, g.Order = 100, 100, "clamp", "more", "path", order
			g.Cursor, g.Last, g.Within = "value", "any", "random"
			g.Fill(rnd, 2500)
			synctest.Test(t, func(t *testing.T) {
				c := &ocitags.Client{Transport: g, Credentials: ocitags.Anonymous}
				tags, err := c.ListTags(t.Context(), "registry.example/a/b")
				require.NoError(t, err, "seed %d", seed)
				assert.Equal(t, g.Stable(), tags, "seed %d", seed)
			})
		}
	}
}

// remember lets listings remember few tags until the end of a test, which must not be parallel,
// and hand them out in batches of some tags, so that there are some before a page is cut short.
func remember(t *testing.T, tags int) {
	keep, batch := dedup.Keep, taglist.BatchBytes
	dedup.Keep, taglist.BatchBytes = tags, 200
	t.Cleanup(func() { dedup.Keep, taglist.BatchBytes = keep, batch })
}

func generatedServers(t *testing.T, servers int, newTrial func(seed uint64) *trial) {
	name, first := t.Name(), *seed
	if first == 0 {
		first = 1 // the same in each run: what others find is a case for a soak, not for a change that did not cause it
	}
	var mu sync.Mutex
	possible, failed, surely, surelyFailed, listed, troubled, twins := 0, 0, 0, 0, 0, 0, 0
	reasons := map[string]int{}
	t.Run("all", func(t *testing.T) {
		const workers = 4
		for w := range uint64(workers) {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for i := w; i < uint64(servers); i += workers {
					tr := newTrial(first + i)
					tr.seed = first + i
					var could bool
					var missing int
					var err error
					synctest.Test(t, func(t *testing.T) { could, missing, err = tr.run(t) })
					if missing > 0 {
						t.Errorf("%v: %d stable tags are missing, and there is no error; run it again with -run '%s$' -servers 1 -seed %d", tr, missing, name, tr.seed)
					}
					mu.Lock()
					listed++
					twins += tr.twins
					if could && tr.usual && tr.trouble == "" {
						possible++
						if tr.always {
							surely++
						}
						if err != nil {
							failed++
							if tr.always {
								surelyFailed++
							}
							reasons[digits.ReplaceAllString(err.Error(), "#")]++
							if failed < 20 && testing.Verbose() {
								t.Logf("%v: %v", tr, err)
							}
						}
					}
					if could && tr.trouble != "" && err != nil {
						troubled++
					}
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("first seed %d: %d servers, of which a careful client reads %d without trouble, and %d with each n; %d and %d of these failed with an error, and %d listings in trouble; %d of the missing tags differ from another one in case alone",
		first, listed, possible, surely, failed, surelyFailed, troubled, twins)
	for reason, n := range reasons {
		t.Logf("%d: %s", n, reason)
	}
	least, share, tr := 1.0, 0.01, newTrial(first)
	if tr.redirected || tr.tokens || tr.inTurn || tr.slow || tr.bursts { // they are few, for a share of them
		least = 5
	}
	if tr.slow { // only one n may lead to the end then
		possible, failed = surely, surelyFailed
	}
	switch {
	case tr.circles: // often a single n leads to the end, and the client has to find it
		share = 0.1
	case tr.strange: // most of these leave tags out, whatever is asked
		share = 0.1
	case tr.unsorted: // a long page is not sorted by the library either
		share = 0.04
	}
	assert.Less(t, float64(failed), max(least, share*float64(possible)), "errors are rare")
}

// Servers of earlier soaks whose lists came short. Most sort in one way and compare in
// another, and their pages are sorted in both: where pages are small, the list without n is
// asked for once, whatever characters the tags have that came.
func TestServersWhoseListsCameShort(t *testing.T) {
	for _, seed := range []uint64{
		9920005874, 9920006454, 9920030162, 9920048471, 9920010559,
		9996330491, 9996506023, 9996525598, 9996871822, 9996976874, 9996994163, 9997038538,
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := &trial{seed: seed, shape: shapeOf(seed)}
			could, missing, err := tr.run(t)
			assert.True(t, could)
			require.NoError(t, err, "%v", tr)
			assert.Zero(t, missing, "%v", tr)
		})
	}
}

// Servers of earlier soaks, from which a listing once lacked tags without an error.
func TestUnusualServersThatLostTags(t *testing.T) {
	twice, strange := shapeOf(927), shapeOf(850001808)
	twice.Twice, strange.Strange = true, true
	inCircles := func(seed uint64) trial {
		shape := shapeOf(seed)
		shape.Circles = true
		return trial{seed: seed, shape: shape}
	}
	for _, test := range []struct {
		what string
		trial
	}{
		{"the list without n, asked for beside the pages, did not come in time, and was compared with nothing", trial{seed: 20300000409, slow: true}},
		{"more came with each larger n, and last was refused", trial{seed: 22200007592, slow: true}},
		{"the registry before it sent pages without n, and its list was not asked for again", trial{seed: 43000011111, replaced: true}},
		{"copies of the last tag left no room for what comes after it", trial{seed: 45000000927, shape: twice}},
		{"the list without n led to no other tag, and its length was not tried as n", trial{seed: 850001808, shape: strange}},
		{"last was not looked at, and the list without n was as long as a page of the user's size", trial{seed: 910006622}},
		{"the same, without n", trial{seed: 910018804}},
		{"the list without n was no longer than a page of the user's size, and hid the same tags", trial{seed: 910010991}},
		{"the list without n had fewer tags than the pages, and was taken for the list", trial{seed: 910031031}},
		{"an n over the limit was answered with the usual page, which was taken for the list", trial{seed: 980007069}},
		{"a Link led in a circle, and a page that might have had room was believed before another n was tried", inCircles(960006045)},
		{"the list without n came, and was dropped because the pages before it led in a circle", inCircles(960002631)},
	} {
		t.Run(test.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := test.trial
				if tr.shape == (regtest.Shape{}) {
					tr.shape = shapeOf(tr.seed)
				}
				could, missing, _ := tr.run(t)
				assert.True(t, could)
				assert.Zero(t, missing, "%v", tr)
			})
		})
	}
}

// Each range of the list of such a server is what the whole list has of it, or an
// error.
func TestGeneratedServersInRanges(t *testing.T) {
	t.Parallel()
	first := cmp.Or(*seed, 1)
	failed, parts := 0, 0
	for i := range uint64(*servers / 4) {
		tr := &trial{seed: first + i, shape: shapeOf(first + i), ranges: true, redirected: (first+i)%3 == 0}
		var missing int
		var err error
		synctest.Test(t, func(t *testing.T) { _, missing, err = tr.run(t) })
		assert.Zero(t, missing, "%v: stable tags are missing, and there is no error; run it again with -run TestGeneratedServersInRanges -servers 4 -seed %d", tr, tr.seed)
		if err != nil && tr.trouble == "" {
			failed++
		}
		if tr.parts {
			parts++
		}
	}
	t.Logf("first seed %d: %d servers, of which %d were read in parts; %d failed", first, *servers/4, parts, failed)
	assert.Less(t, float64(failed), max(1, 0.01*float64(*servers/4)), "errors are rare")
}

// Each shape comes as often as the others.
func shapeOf(seed uint64) regtest.Shape {
	return regtest.Shape{AnySize: seed%2 == 1, Mixed: seed%4 >= 2}
}

var digits = regexp.MustCompile(`[0-9]+`)

// Servers from which a listing once lacked tags without an error, in the order in
// which they were found. The seeds go with the lists of habits in regtest: whoever
// changes those finds others.
func TestServersThatLostTags(t *testing.T) {
	t.Parallel()
	for shape, seeds := range map[regtest.Shape][]uint64{
		{}: {
			50017388, 50047066, 1005843, 20139160, 20179289, 20208191, 20249382, // what was taken for a repetition, or for an answer
			70003815, 70016901, 70018258, 70036989, 70037965, 90021313, // comparing again, case, a list that moves
			100031048, 100046451, 100056268, 100064736, 100065191, // questions without an answer
			200001400, 300037857, 300096946, 400064735, // doubts
			500002670, 500037306, 500075556, 500113286, 500138137, // what is left out
			600226339, 700009728, 700057015, 700123498, // what another reading has shown
			22100109968, // a list without n of 100 tags, where fewer were asked for
		},
		{AnySize: true}: { // pages that nobody would choose
			910018197, 910024293, 910036653, 920017111, 932033917, 965018099, // a page that ends with the last tag, and is full
			920016649, 931027581, 943020805, 951001569, 951026119, // n was not what it takes
			931028909, 951009685, // a list without n that is no longer than others
			910030979, 942013091, 962011447, // a first page that was cut
			2000104653, 2000131535, 2000160667, // small pages, where larger ones were to be had
			9970019177, 9970159223, 9970203105, // a page that was full by the n of its Link; the last tag itself
			3100010557, 4100022029, // a page that had all known tags, where pages did not fit together
		},
		{Mixed: true}: {
			5100001638, 5100002522, // what pages have shown before
			5100002322, 5100011514, 5100027590, // lower case that folding leaves out
			5300032402,               // a Link with a cursor of its own, where last is not looked at
			3101019270,               // a list without n of 1000 tags
			10000231058, 11000132606, // longer pages without n
			14000073894,              // pages without n, as another list had come whole in that way
			23300014458,              // pages of 100, as another list had been refused longer ones
			31000336130, 31000405466, // pages of the size that the user wants
		},
		{Uneven: true}: {
			5015634,    // a list that was begun anew without end
			700147018,  // a page that had room, but for other entries
			700134734,  // a list without n that was a page
			6300002144, // a page that was short, as some of it was hidden, and a cursor that was gone
		},
		{Mixed: true, Uneven: true}: {
			5019239,                         // a question that was asked without end
			700130082, 810066995, 810088945, // a cursor that is hidden
			810064551, // a page that had no room, though it was shorter than its n
			810086533, // a part that was dropped had shown that case is folded
		},
		{Strange: true}: {
			51000003448, // a list without n that was longer, and was left
			51000006144, // a page that passed over tags
			52000000996, // the only page, which is full, and the Link of which led to an empty one
			52000000780, // small pages
			53000016516, // pages with n and without
		},
		{AnySize: true, Strange: true}: {
			51000008169, // pages that began before the tag that they were asked for after
			53000046085, // what the pages lack, and the list without n has, which is a page
			53000015213, // pages with n and without
			52000003045, // a last page that had known tags only
		},
		{Mixed: true, Strange: true}: {
			51000000790, 51000001934, 51000007586, // pages from elsewhere in the list
		},
		{Links: true}: {
			87000000012, 87000002844, 87000001192, 87000005816, 87000004910, // a cursor that has another name than last, or something beside it
			87000003128, // an offset that has
		},
		{AnySize: true, Links: true}: {
			87000000241, 87000000597, 87000000737, // the same
		},
		{AnySize: true, Mixed: true}: {
			32000111127, 32000234499, // pages of the size that the user wants
			32000461867,            // a page shorter than its n, where Links come with pages that have their n
			5300037907, 7000242877, // a list by age that moves
			5100001607, 5100014135, 7100094595, // lower case again
			940048351,              // a tag of a part that was dropped, and was there still
			3100004175, 3101135987, // lower case that a longer answer shows; punctuation
			3101021779, 9600012971, // such a page again
			5200080983,                           // a list that was known not to be by bytes
			5200136507,                           // what came first of all in no order
			6200155281,                           // a start of the list that looked like an answer
			9100026263, 11000012903, 10000357039, // longer pages without n
			10000121499, 10000266383, 11000087571, // a first page that was longer than those of its Link
			11000112607, 11000393875, 14000015455, // tiny pages, where larger ones were to be had
			10000279243,              // a list by bytes, and case
			22000171091, 22000257711, // tiny pages without n, where n=1000 brought nothing
		},
	} {
		for _, seed := range seeds {
			for _, inARow := range []bool{false, true} {
				tr := &trial{seed: seed, shape: shape, inARow: inARow}
				synctest.Test(t, func(t *testing.T) {
					_, missing, _ := tr.run(t)
					assert.Zero(t, missing, "%v", tr)
				})
			}
		}
	}
}

// Servers of earlier soaks that a careful client reads, and that were given up with an error.
func TestServersThatWereGivenUp(t *testing.T) {
	for _, seed := range []uint64{
		314,       // the last entry is no tag, and is refused as last
		500003680, // or is compared with tags
		500020310, // the start of the list, in a shorter page
		500023188, // ever shorter pages, as some of their tags are hidden
	} {
		tr := &trial{seed: seed, shape: regtest.Shape{Uneven: true}}
		synctest.Test(t, func(t *testing.T) {
			could, missing, err := tr.run(t)
			assert.True(t, could, "%v", tr)
			assert.NoError(t, err, "%v", tr)
			assert.Zero(t, missing, "%v", tr)
		})
	}
}
