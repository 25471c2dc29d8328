package conformance

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/wire"
)

const secret = "hunter2-SECRET"

var user = ocitags.Credential{Username: "bob", Password: secret}

// registryWithAuth is a registry that lets in whom it knows.
func registryWithAuth(t *testing.T, profile string, auth *regtest.Auth) (*regtest.Registry, *regtest.Network) {
	r := regtest.New(regtest.ByName(profile)).Push("a/b", makeTags(2500)...)
	r.Auth = auth
	return r, testNetwork(t).Handle("registry.example", r)
}

const ref = "registry.example/a/b"

// realm is a registry whose challenge names that token server.
func realm(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "Bearer t" {
			_, _ = fmt.Fprint(w, `{"tags":["1"]}`)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+text+`",service="s"`)
		w.WriteHeader(401)
	})
}

// builds are n tags of a binary cache, ascending.
func builds(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("package-%05d-1.%d.%d-%032x.spack", i/100, i/100%7, i/100%13, i)
	}
	return tags
}

// A script is a registry that is a function: what it answers to n and last ("" where
// they are absent) in its k-th request.
type script func(k int, n int, last string) scripted

type scripted struct {
	page   []string
	raw    string // the body, in place of a page
	link   string
	status int  // of an answer without a body; 0: 200
	cut    bool // the body, in its middle
	took   time.Duration
}

func (s script) listed(t *testing.T, c *ocitags.Client) ([]string, int, error) {
	t.Helper()
	return s.listedAt(t, c, "registry.example")
}

func (s script) listedAt(t *testing.T, c *ocitags.Client, host string) ([]string, int, error) {
	t.Helper()
	var mu sync.Mutex
	k := 0
	c.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		n, _ := strconv.Atoi(req.URL.Query().Get("n"))
		mu.Lock()
		if k++; k > 6000 {
			mu.Unlock()
			return nil, fmt.Errorf("too many requests")
		}
		a := s(k, n, req.URL.Query().Get("last"))
		mu.Unlock()
		time.Sleep(a.took)
		resp := &http.Response{StatusCode: 200, ProtoMajor: 1, Header: http.Header{}, Request: req, Body: http.NoBody}
		if a.link != "" {
			resp.Header.Set("Link", a.link)
		}
		if a.status != 0 {
			resp.StatusCode = a.status
			return resp, nil
		}
		body := a.raw
		if body == "" {
			body = `{"tags":["` + strings.Join(a.page, `","`) + `"]}`
			if len(a.page) == 0 {
				body = `{"tags":[]}`
			}
		}
		resp.Body = io.NopCloser(strings.NewReader(body))
		if a.cut {
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(body[:len(body)/2]), errorReader{}))
		}
		return resp, nil
	})
	c.Credentials = ocitags.Anonymous
	tags, err := c.ListTags(t.Context(), host+"/a/b")
	return tags, k, err
}

// after is what a list has behind last: by value, as it is sorted.
func after(list []string, last string) []string {
	i, found := slices.BinarySearch(list, last)
	if found {
		i++
	}
	return list[i:]
}

func upTo(list []string, n int) []string {
	if n > 0 && n < len(list) {
		return list[:n]
	}
	return list
}

func sortedTags(n int) []string { return slices.Sorted(slices.Values(makeTags(n))) }

// together lists from one Client so many times at once.
func together(t *testing.T, c *ocitags.Client, listings int, ref string, tags int) {
	t.Helper()
	var wg sync.WaitGroup
	for range listings {
		wg.Go(func() {
			list, err := c.ListTags(t.Context(), ref)
			assert.NoError(t, err)
			assert.Len(t, list, tags)
		})
	}
	wg.Wait()
}

// links are Link headers, each followed by what is to become of it: an error,
// or nil where the next page is read. Lines are headers of their own. The
// listing has a credential, and an evil host is there to be talked to.
func links(headersAndErrors ...any) func(*testing.T) {
	return func(t *testing.T) {
		for i := 0; i < len(headersAndErrors); i += 2 {
			header := headersAndErrors[i].(string)
			want, _ := headersAndErrors[i+1].(error)
			evil := regtest.New(regtest.ByName("dist312")).Push("a/b", "evil")
			var asked []string
			home := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if _, password, _ := req.BasicAuth(); password != secret {
					w.Header().Set("WWW-Authenticate", "Basic realm=x")
					w.WriteHeader(401)
					return
				}
				asked = append(asked, req.URL.Path)
				if req.URL.Query().Get("last") == "" {
					w.Header()["Link"] = strings.Split(header, "\n")
					_, _ = io.WriteString(w, `{"tags":["a","b"]}`)
					return
				}
				_, _ = io.WriteString(w, `{"tags":["c"]}`)
			})
			network := testNetwork(t).Handle("registry.example", home).Handle("registry.example:8443", evil)
			network.Handle("evil.example", evil).Handle("registry.example.evil.example", evil)
			c := withCredentials(network, ocitags.StaticCredential("registry.example", user))
			tags, err := c.ListTags(t.Context(), ref)
			name := header[:min(len(header), 60)]
			require.ErrorIs(t, err, want, "%q", name)
			if want == nil {
				assert.Equal(t, []string{"a", "b", "c"}, tags, "%q", name)
			} else {
				assert.Nil(t, tags)
				assert.NotContains(t, err.Error(), secret)
				assert.Empty(t, strings.Trim(err.Error(), printableASCII+"…"))
			}
			assert.Empty(t, evil.Requests(), "%q", name)
			for _, path := range asked {
				assert.Equal(t, "/v2/a/b/tags/list", path, "%q", name)
			}
			for _, req := range network.Sent() {
				assert.Equal(t, "https", req.URL.Scheme, "%q", name)
			}
		}
	}
}

func hostOf(server *httptest.Server) string {
	_, host, _ := strings.Cut(server.URL, "://")
	return host
}

// alone is a client that tries once, over a transport of its own.
func alone(t *testing.T) *ocitags.Client {
	transport := &http.Transport{MaxResponseHeaderBytes: wire.MaxHeader}
	t.Cleanup(transport.CloseIdleConnections)
	return &ocitags.Client{Transport: transport, Credentials: ocitags.Anonymous, MaxAttempts: 1}
}

// churn lets tags come and go by the thousand while they are listed. All that
// are there throughout are in the list, for every registry that continues after
// a value.
func churn(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"dist310", "dist312", "gitlab", "gitlab-c", "hub", "quay", "acr", "harbor", "gitea", "pulp", "cloudflare", "olareg", "ggcr", "cuelabs", "cuelabs-max", "trow", "zot"} {
		t.Run(profile, func(t *testing.T) {
			r := regtest.New(regtest.ByName(profile))
			var stay, leave, come []string
			for i := range 1200 {
				stay = append(stay, fmt.Sprintf("stay-%06d", i*7919%100003))
				leave = append(leave, fmt.Sprintf("go-%06d", i*7919%100003), fmt.Sprintf("stay-%06d-rc1", i*7919%100003))
				come = append(come, fmt.Sprintf("come-%06d", i*7919%100003), fmt.Sprintf("stay-%06d-rc2", i*7919%100003))
			}
			r.Push("a/b", append(slices.Clone(stay), leave...)...)
			r.Fault = func(k int, req *http.Request) regtest.Fault {
				// Now and then the cursor goes in the very moment in which it is used.
				if last := req.URL.Query().Get("last"); k%3 == 0 && (!strings.HasPrefix(last, "stay-") || strings.Contains(last, "-rc")) {
					r.Delete("a/b", last)
				}
				step := 300
				from := min((k-1)*step, len(leave))
				r.Delete("a/b", leave[from:min(from+step, len(leave))]...)
				from = min((k-1)*step, len(come))
				r.Push("a/b", come[from:min(from+step, len(come))]...)
				return regtest.Fault{}
			}
			c := anonymous(testNetwork(t).Handle("registry.example", r))
			c.PageSize = 100
			tags, err := c.ListTags(t.Context(), ref)
			require.NoError(t, err)
			assertHas(t, tags, stay)
		})
	}
}

// names lets the process resolve names to addresses by a DNS server of the test's
// own. What answer returns for a name, without the dot at its end, may change.
func names(t *testing.T, answer func(name string) string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			q := m.Questions[0]
			m.Header.Response = true
			m.Additionals = nil
			if addr, err := netip.ParseAddr(answer(strings.TrimSuffix(q.Name.String(), "."))); err == nil && q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: addr.As4()},
				}}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	address := conn.LocalAddr().String()
	nameServer.Store(&address)
	t.Cleanup(func() {
		nameServer.Store(nil)
		_ = conn.Close()
	})
}

// nameServer is the address of the test's own DNS server; nil: the system's are asked.
var nameServer atomic.Pointer[string]

// The resolver is replaced once and not by each test, because net/http goes on to dial for a
// request that was canceled, also when the test has ended.
func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if own := nameServer.Load(); own != nil {
			network, address = "udp", *own
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// A inFlight counts requests in flight, each of which takes a second.
type inFlight struct {
	http.RoundTripper
	mu        sync.Mutex
	now, most int
	limit     int // more at once are answered with 429; 0: any
	refused   int
}

func (g *inFlight) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.now++
	g.most = max(g.most, g.now)
	refuse := g.limit > 0 && g.now > g.limit
	if refuse {
		g.refused++
	}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now--
	}()
	select {
	case <-time.After(time.Second):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if refuse {
		return &http.Response{StatusCode: 429, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	}
	return g.RoundTripper.RoundTrip(req)
}

// roundTripper is an http.RoundTripper that is a function, and starts nothing.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

var update = flag.Bool("update", false, "rewrite the golden files")

// makeTags are n tags in an order of their own, as a cache of packages would
// have makeTags them: versions, hashes, pairs in which one is the start of the
// other, upper case.
func makeTags(n int) []string { return regtest.MixedTags(n) }

// want is what ListTags has to return where those tags were pushed.
func want(r *regtest.Registry, name string) []string {
	tags := append([]string{}, r.Tags(name)...) // never nil, as ListTags promises
	slices.Sort(tags)
	return slices.Compact(tags)
}

// newRegistry is a registry of that profile at its own host name, and a network that
// leads there.
func newRegistry(t *testing.T, profile, name string, n int) (ref string, r *regtest.Registry, network *regtest.Network) {
	r = regtest.New(regtest.ByName(profile)).Push(name, makeTags(n)...)
	host := "registry.example"
	switch profile {
	case "quayjson":
		host = "quay.io"
	case "harbor-proxy":
		r.Push("proxy/library/app", makeTags(n)...)
	}
	network = testNetwork(t).Handle(host, r).Handle("us-west1-docker.pkg.dev", r)
	return host + "/" + name, r, network
}

// testNetwork is a network that fails the test if the secret of these tests is seen by
// anybody but the registries that it is meant for, or in clear text.
func testNetwork(t *testing.T) *regtest.Network {
	network := new(regtest.Network)
	t.Cleanup(func() {
		for _, req := range network.Sent() {
			if seesSecret(req) && !(req.URL.Scheme == "https" && (req.URL.Host == "registry.example" || req.URL.Host == "quay.io")) {
				t.Errorf("%s %s://%s sees the secret", req.Method, req.URL.Scheme, req.URL.Host)
			}
		}
	})
	return network
}

// assertHas is assert.Subset, which compares each with each.
func assertHas(t *testing.T, tags, want []string, because ...any) {
	t.Helper()
	have := make(map[string]bool, len(tags))
	for _, tag := range tags {
		have[tag] = true
	}
	assert.Empty(t, slices.DeleteFunc(slices.Clone(want), func(tag string) bool { return have[tag] }), because...)
}

// anonymous is a Client that asks for one page after the other, of one size: for
// tests that count requests. It knows no credentials.
func anonymous(network http.RoundTripper) *ocitags.Client {
	return withCredentials(network, ocitags.Anonymous)
}

func withCredentials(network http.RoundTripper, credentials ocitags.CredentialFunc) *ocitags.Client {
	return &ocitags.Client{Transport: network, Credentials: credentials, Concurrency: 1, PageSize: 1000}
}

// stableLog is a Logger of all but what would be different in each run, and the
// repository.
func stableLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains([]string{slog.TimeKey, "repository", "duration", "wait"}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
}

// isJSON reports whether a request went to quay's own API.
func isJSON(url string) bool { return strings.HasPrefix(url, "/api/v1/repository/") }

// packages are tags as a cache of many packages has them.
func packages(n int) (tags []string) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for p := 0; len(tags) < n; p++ {
		name := fmt.Sprintf("%c%c-pkg%d", 'a'+byte(p%26), 'a'+byte(p/26%26), p)
		for range min(n-len(tags), 1+rnd.IntN(20)) {
			tags = append(tags, fmt.Sprintf("%s-%d.%d-%07x.spack", name, rnd.IntN(9), rnd.IntN(30), rnd.IntN(1<<28)))
		}
	}
	return tags
}

// tagsIn collects a range, and checks that nothing comes twice.
func tagsIn(t *testing.T, c *ocitags.Client, ctx context.Context, ref string, r ocitags.Range) ([]string, error) {
	t.Helper()
	tags := []string{}
	for tag, err := range c.TagsIn(ctx, ref, r) {
		if err != nil {
			return tags, err
		}
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	assert.Len(t, slices.Compact(slices.Clone(tags)), len(tags), "nothing comes twice")
	return tags, nil
}

// in are those of some tags, sorted, that are in a range.
func in(tags []string, r ocitags.Range) []string {
	some := []string{}
	for _, tag := range tags {
		if tag > r.After && strings.HasPrefix(tag, r.Prefix) {
			some = append(some, tag)
		}
	}
	return some
}

// root is the top of the repository.
const root = "../.."

// faultAt makes request k go wrong.
func faultAt(k int, fault regtest.Fault) func(int, *http.Request) regtest.Fault {
	return func(n int, _ *http.Request) regtest.Fault {
		if n == k {
			return fault
		}
		return regtest.Fault{}
	}
}

// faultOver is a fault of each request from the k-th on that asks for more than
// limit tags.
func faultOver(limit, k int, fault regtest.Fault) func(int, *http.Request) regtest.Fault {
	return func(i int, req *http.Request) regtest.Fault {
		if n, _ := strconv.Atoi(req.URL.Query().Get("n")); i >= k && n > limit {
			return fault
		}
		return regtest.Fault{}
	}
}

// requests are the queries that r was asked, without its one path.
func requests(r *regtest.Registry) (queries []string) {
	for _, u := range r.URLs() {
		_, query, _ := strings.Cut(u, "?")
		queries = append(queries, query)
	}
	return queries
}

// mustList lists ref completely.
func mustList(t *testing.T, c *ocitags.Client, ref string, r *regtest.Registry, name string) []string {
	t.Helper()
	tags, err := c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, want(r, name), tags)
	return tags
}

// html is what stands in front of a registry that is down.
var html = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<html>Sorry</html>")
})

// passing are the faults that one more try gets over, by name.
func passing(random func(n int) int) map[string]regtest.Fault {
	return map[string]regtest.Fault{
		"drop":     {Drop: true},
		"cut":      {Cut: 1 + random(12_000)},
		"silence":  {Delay: 2 * time.Minute},
		"pause":    {Delay: 30 * time.Second},
		"429":      {Status: 429, Header: http.Header{"Retry-After": {fmt.Sprint(random(30))}}},
		"500":      {Status: 500},
		"503":      {Status: 503},
		"504":      {Status: 504},
		"slow cut": {Delay: 20 * time.Second, Cut: 1 + random(12_000)},
		"cut end":  {CutEnd: 1 + random(5)}, // all tags have come, but who knows
	}
}

// inBubble is a test in which waiting takes no time.
func inBubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}
