package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/dockerconfig/configtest"
	"github.com/ocitags/ocitags/internal/regtest"
)

// The promise: a listing is complete, or an error; no secret leaves its origin;
// memory, requests and time are bounded for any server; a cancel is prompt; no
// goroutine stays. TestFaults has a case for each way in which a server, a wire
// or a machine is known to break it, or names the test that shows it. The wire of
// all of them watches for secrets, TestMain for goroutines.
func TestFaults(t *testing.T) {
	cases := []struct {
		number int
		what   string
		test   func(t *testing.T)
	}{
		{1, "a Link to another host", links(`<https://evil.example/steal?last=b>; rel="next"`, ocitags.ErrUnsafeLink, `<https://evil.example/v2/a/b/tags/list?last=b>; rel="next"`, nil)},
		{2, "a Link to another host in disguise", links(
			`<//evil.example/x>; rel="next"`, ocitags.ErrUnsafeLink, `<\\evil.example>; rel="next"`, ocitags.ErrUnsafeLink, `<https:/evil.example>; rel="next"`, ocitags.ErrUnsafeLink,
			"<https://evil.example\t/>; rel=\"next\"", ocitags.ErrUnsafeLink, `<//evil.example/v2/a/b/tags/list?last=b>; rel="next"`, nil)},
		{3, "a Link from https to http", links(`<http://registry.example/v2/a/b/tags/list?last=b>; rel="next"`, nil)},
		{4, "a Link that would be glued to the host name", links(
			`<@evil.example/x>; rel="next"`, ocitags.ErrUnsafeLink, `<.evil.example/x>; rel="next"`, ocitags.ErrUnsafeLink, `<:80@evil.example/x>; rel="next"`, ocitags.ErrUnsafeLink)},
		{5, "a Link with user-info", links(`<https://eve:pw@registry.example/v2/a/b/tags/list?last=b>; rel="next"`, nil)},
		{6, "a Link to another port", links(`<https://registry.example:8443/v2/a/b/tags/list?last=b>; rel="next"`, nil)},
		{7, "a Link to another repository", links(`</v2/other/repo/tags/list?last=b>; rel="next"`, nil)},
		{8, "a Link to a strange path", links(
			`</../../admin>; rel="next"`, ocitags.ErrUnsafeLink, `</v2/%2e%2e/admin>; rel="next"`, ocitags.ErrUnsafeLink, `<//>; rel="next"`, ocitags.ErrLoop,
			"</v2/\x00>; rel=\"next\"", ocitags.ErrUnsafeLink, "</"+strings.Repeat("x", 64<<10)+`>; rel="next"`, ocitags.ErrUnsafeLink)},
		{9, "Links that are not next", noNext(`<?last=b>; rel="prev"`, `<?last=b>; rel="first"`, `<?n=2>`)},
		{10, "a next Link in any dress", links(
			`</x>; rel="last", <?last=b>; rel="next"`, nil, "</x>; rel=\"last\"\n<?last=b>; rel=\"next\"", nil, `<?last=b>; rel=next`, nil, `<?last=b>; rel="prev next"`, nil,
			`<?last=b>; REL=NEXT`, nil, `<?last=b>; title="a, b; c"; hreflang=en; rel="next"`, nil, `<?x=1>2,3&last=b>; rel="next"`, nil, `</x>; title="<?last=z>; rel=next, y", <?last=b>; rel=next`, nil)},
		{11, "two different next Links", links(`<?last=b>; rel="next", <?last=c>; rel="next"`, ocitags.ErrInvalidResponse)},
		{12, "a malformed Link", links(`<`, ocitags.ErrInvalidResponse, `<?last=b; rel="next"`, ocitags.ErrInvalidResponse, `<>; rel="next"`, ocitags.ErrInvalidResponse)},
		{13, "a Link to itself", hostile("self-link", ocitags.ErrLoop, 2)},
		{14, "a circle of Links", hostile("circle", ocitags.ErrLoop, 3)},
		{15, "fresh cursors for ever, and the same tags", hostile("moving-cursor", ocitags.ErrLoop, 4)},
		{16, "fresh cursors for ever, and empty pages", hostile("empty-pages", ocitags.ErrLoop, 4)},
		{17, "ever-new tags", hostile("endless", ocitags.ErrTooLarge, 101)},
		{18, "a short page with a Link", func(t *testing.T) {
			p := regtest.ByName("dist312")
			p.Max = 7
			r := regtest.New(p).Push("a/b", makeTags(50)...)
			mustList(t, anonymous(testNetwork(t).Handle("registry.example", r)), ref, r, "a/b")
		}},
		{19, "just n tags and no Link", func(t *testing.T) {
			for _, profile := range []string{"ggcr", "dist28", "ecr", "zot", "gitlab-c"} {
				r, network := registryWithAuth(t, profile, nil)
				r.Push("a/c", makeTags(1000)...)
				mustList(t, anonymous(network), "registry.example/a/c", r, "a/c")
			}
		}},
		{20, "Links of the same origin in any form", links(
			`<?last=b>; rel="next"`, nil, `<list?last=b>; rel="next"`, nil, `</v2/a/b/tags/list?last=b>; rel="next"`, nil,
			`<https://registry.example/v2/a/b/tags/list?last=b>; rel="next"`, nil, `<https://REGISTRY.example:443/v2/a/b/tags/list?last=b>; rel="next"`, nil)},
		{21, "cursors with any bytes", shownBy("TestCursorsAreOpaque")},
		{22, "a Link header of 4 MiB", shownBy("TestHeaderBoundOnTheWire")},
		{23, "a redirect to another host", both(shownBy("TestRedirects"), shownBy("TestForeignChallenges"))},
		{24, "a redirect from https to http", shownBy("TestRedirects")},
		{25, "a redirect to another port or a sub-domain", shownBy("TestRedirects")},
		{26, "redirects that come back", shownBy("TestRedirects")},
		{27, "redirects without an end or a place", both(shownBy("TestRedirects"), shownBy("TestRedirectWithoutLocation"))},
		{28, "a redirect to library/", shownBy("TestRedirects")},
		{29, "a foreign token server, and a password", both(shownBy("TestRealms"), shownBy("TestAllowRealm"))},
		{30, "a foreign token server, and a refresh token", shownBy("TestRealms")},
		{31, "a token server in clear text", shownBy("TestRealms")},
		{32, "a token server inside the network", both(shownBy("TestRealms"), shownBy("internal/wire.TestDialJudges"))},
		{33, "a token server that is no URL", shownBy("TestRealms")},
		{34, "a token server that redirects", shownBy("TestTokenServerRedirects")},
		{35, "hosts of one label", shownBy("TestRealms")},
		{36, "scopes of others", shownBy("internal/token.TestReadScope")},
		{37, "challenges that inject", func(t *testing.T) {
			const service = `a&b=c#d"e,f` + "\\"
			r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
			r.Profile.Challenge = func(realm, name string) []string {
				return []string{`Bearer realm="` + realm + `",service="a&b=c#d\"e,f\\",scope="repository:` + name + `:pull,push"`}
			}
			mustList(t, anonymous(network), ref, r, "a/b")
			_, query, _ := strings.Cut(r.URLs()[1], "?")
			values, err := url.ParseQuery(query)
			require.NoError(t, err)
			assert.Equal(t, url.Values{"service": {service}, "scope": {"repository:a/b:pull"}, "client_id": {"ocitags"}}, values)
		}},
		{38, "several challenges in one header", shownBy("internal/challenge.TestParse")},
		{39, "only challenges that are not known", shownBy("TestUnauthorized")},
		{40, "401 without a challenge", shownBy("TestUnauthorized")},
		{41, "401 for ever, with good tokens", shownBy("TestUnauthorized")},
		{42, "a token server that refuses for ever", both(shownBy("TestTokenServerRefusals"), shownBy("TestTokenServerWithoutPOST"), func(t *testing.T) {
			for _, status := range []int{429, 500, 503} {
				synctest.Test(t, func(t *testing.T) {
					r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
					r.Fault = func(_ int, req *http.Request) regtest.Fault {
						if req.URL.Path == "/token" {
							return regtest.Fault{Status: status}
						}
						return regtest.Fault{}
					}
					_, err := anonymous(network).ListTags(t.Context(), ref)
					var refusal *ocitags.Error
					require.ErrorAs(t, err, &refusal)
					assert.Equal(t, status, refusal.StatusCode)
					assert.Contains(t, err.Error(), "token server: ")
					assert.LessOrEqual(t, len(r.Requests()), 10)
				})
			}
		})},
		{43, "a token answer without a token", both(shownBy("TestTokenAnswers"), func(t *testing.T) {
			var bomb bytes.Buffer
			z := gzip.NewWriter(&bomb)
			_, _ = z.Write(bytes.Repeat([]byte(" "), 64<<20))
			require.NoError(t, z.Close())
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/token" {
					w.Header().Set("Content-Encoding", "gzip")
					_, _ = w.Write(bomb.Bytes())
					return
				}
				realm("http://"+req.Host+"/token").ServeHTTP(w, req)
			}))
			defer server.Close()
			_, err := onLoopback(server).ListTags(t.Context(), hostOf(server)+"/a/b")
			require.ErrorIs(t, err, ocitags.ErrTooLarge)
		})},
		{44, "token, access_token or both", shownBy("TestTokens")},
		{45, "a token that no header can carry", shownBy("TestTokenAnswers")},
		{46, "any expires_in", shownBy("TestTokenExpiry")},
		{47, "a token that ends in the middle", shownBy("TestTokenIsRevokedInTheMiddle")},
		{48, "many that need one token", both(shownBy("TestOneTokenRequestAtATime"), shownBy("TestTokenFailureIsShared"))},
		{49, "two clients", shownBy("TestTokensBelongToTheirClient")},
		{50, "a basic challenge at a foreign host", shownBy("TestForeignChallenges")},
		{51, "a refresh token from the server", func(t *testing.T) {
			r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
			r.Profile.Token = func(token string) map[string]any {
				return map[string]any{"token": token, "refresh_token": "given-" + token, "expires_in": 1}
			}
			mustList(t, anonymous(network), ref, r, "a/b")
			for _, req := range r.Requests() {
				assert.NotContains(t, fmt.Sprint(req), "given-")
			}
		}},
		{52, "bodies that are cut short", func(t *testing.T) { cutBodies(t) }},
		{53, "200, and no tag list", both(shownBy("TestNoTagList"), func(t *testing.T) {
			for _, body := range []string{"", "<html>", "null", "[]", `"x"`, "{}", `{"errors":[{"code":"DENIED"}]}`} {
				assertBody(t, body, ocitags.ErrInvalidResponse, nil)
			}
		})},
		{54, "no tags", func(t *testing.T) {
			assertBody(t, `{"tags":null}`, nil, []string{})
			assertBody(t, `{"tags":[]}`, nil, []string{})
		}},
		{55, "elements that are no strings", func(t *testing.T) {
			assertBody(t, `{"tags":["a",null,{"name":"b"}]}`, nil, []string{"a", "b"})
			for _, element := range []string{"1", "[]", "{}", "true", `{"name":1}`} {
				err := assertBody(t, `{"tags":["a",`+element+`]}`, ocitags.ErrInvalidResponse, nil)
				assert.Contains(t, err.Error(), "page 1: ")
				assert.Contains(t, err.Error(), "tags[1]")
			}
		}},
		{56, "empty strings and digests", func(t *testing.T) {
			assertBody(t, `{"tags":["a","","sha256:`+strings.Repeat("0", 64)+`"]}`, nil, []string{"a"})
		}},
		{57, "names that are not tags", func(t *testing.T) {
			var log strings.Builder
			var first ocitags.Page
			c := answering(t, `{"tags":["a","../x","`+strings.Repeat("x", 129)+`","a\r\nb","a\u0000","\u001b[31m","\u202ex"]}`)
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.OnPage = func(p ocitags.Page) {
				if p.Number == 1 {
					first = p
				}
			}
			tags, err := c.ListTags(t.Context(), ref)
			require.NoError(t, err)
			assert.Equal(t, []string{"a"}, tags)
			assert.Equal(t, 6, first.Skipped)
			assert.Equal(t, 6, strings.Count(log.String(), "level=WARN"))
			assert.Empty(t, strings.Trim(log.String(), printableASCII+"\n"))
		}},
		{58, "JSON that two parsers read in two ways", func(t *testing.T) {
			for _, body := range []string{
				`{"tags":["a"],"tags":["b"]}`, `{"TAGS":["a"]}`, "\ufeff" + `{"tags":[]}`, `{"tags":[]}{"tags":["a"]}`, "{\"tags\":[\"\xff\"]}", `{"tags":["\ud800"]}`, `{"tags":[],}`,
			} {
				assertBody(t, body, ocitags.ErrInvalidResponse, nil)
			}
			assertBody(t, `{"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,"tags":["a"]}`, ocitags.ErrTooLarge, nil)
			assertBody(t, `{"x":`+strings.Repeat("[", 60)+strings.Repeat("]", 60)+`,"n":1e999,"tags":["a"]}`, nil, []string{"a"})
		}},
		{59, "the same tag again", func(t *testing.T) {
			assertBody(t, `{"tags":["a","a","b","a","c","b"]}`, nil, []string{"a", "b", "c"})
		}},
		{60, "pages in no order", func(t *testing.T) {
			for _, profile := range []string{"ecr", "ghcr", "quay311"} {
				r, network := registryWithAuth(t, profile, nil)
				mustList(t, anonymous(network), ref, r, "a/b")
			}
		}},
		{61, "the name of another repository", func(t *testing.T) { assertBody(t, `{"name":"other/repo","tags":["a"]}`, nil, []string{"a"}) }},
		{62, "any Content-Type", both(shownBy("TestNoTagList"), func(t *testing.T) {
			for _, contentType := range []string{"", "text/html", "text/plain", "application/octet-stream", "\x7f"} {
				c := anonymous(testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Content-Type"] = []string{contentType}
					_, _ = io.WriteString(w, `{"tags":["a"]}`)
				})))
				tags, err := c.ListTags(t.Context(), ref)
				require.NoError(t, err)
				assert.Equal(t, []string{"a"}, tags)
			}
		})},
		{63, "encodings that were not asked for, and bombs", func(t *testing.T) { encodings(t) }},
		{64, "a million tags in one body", both(shownBy("TestMillionTagsInOneBody"), shownBy("TestStreamHoldsNothing"), shownBy("internal/wire.TestBodyBound"))},
		{65, "statuses that bring no list", shownBy("TestRefusalsAreNotRetried")},
		{66, "a server that trickles", both(shownBy("TestSilence"), shownBy("TestTrickle"))},
		{67, "headers without an end", func(t *testing.T) { endlessHeaders(t) }},
		{68, "connections that break", both(shownBy("TestPagesAreRetried"), func(t *testing.T) { brokenHTTP2(t) })},
		{69, "TLS that does not hold", both(shownBy("TestTLSErrors"), func(t *testing.T) { badCertificates(t) })},
		{70, "http where https is, and the reverse", both(shownBy("TestTLSErrors"), func(t *testing.T) {
			server := httptest.NewTLSServer(http.NotFoundHandler())
			defer server.Close()
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			_, err := onLoopback(server).ListTags(t.Context(), "http://"+hostOf(server)+"/a/b")
			var refusal *ocitags.Error
			require.ErrorAs(t, err, &refusal, "Go's servers tell that the client speaks HTTP")
			assert.Equal(t, 400, refusal.StatusCode)
		})},
		{71, "cookies", func(t *testing.T) {
			r, network := registryWithAuth(t, "gitlab", nil)
			r.Fault = func(int, *http.Request) regtest.Fault {
				return regtest.Fault{Header: http.Header{"Set-Cookie": {"session=" + secret}}}
			}
			mustList(t, anonymous(network), ref, r, "a/b")
			for _, req := range r.Requests() {
				assert.Empty(t, req.Header.Values("Cookie"))
			}
		}},
		{72, "429 with any Retry-After", shownBy("TestRetryAfter")},
		{73, "429 with a Retry-After that nobody waits for", shownBy("TestRetryAfterBeyondTheBound")},
		{74, "a Retry-After beyond the deadline", shownBy("TestRetryAfterBeyondTheDeadline")},
		{75, "statuses that may pass, and others", both(shownBy("TestPagesAreRetried"), shownBy("TestRefusalsAreNotRetried"), shownBy("TestAttemptsAreBounded"))},
		{76, "429 for many at once", shownBy("TestListingsShareARetryAfter")},
		{77, "a made-up last that is refused", shownBy("TestRoundPages")},
		{78, "servers that ignore n or last, or count otherwise", func(t *testing.T) { oddCounts(t) }},
		{79, "tags that come and go", both(churn, shownBy("TestQuayPagesMove"))},
		{80, "a cancel in every phase", func(t *testing.T) { cancels(t) }},
		{81, "a consumer that stops, or panics", both(shownBy("TestStopEarly"), shownBy("TestStopAndCancel"), shownBy("TestConsumerPanics"))},
		{82, "a slow consumer", func(t *testing.T) { slowConsumer(t) }},
		{83, "64 listings on one client", func(t *testing.T) {
			r, network := registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: secret})
			c := withCredentials(network, ocitags.StaticCredential("registry.example", user))
			together(t, c, 64, ref, 2500)
			assert.Equal(t, 2500, len(r.Tags("a/b")))
		}},
		{84, "credential files that are none", both(shownBy("internal/dockerconfig.TestFind"), func(t *testing.T) { oddCredentialFiles(t) })},
		{85, "entries that cannot be decoded", shownBy("internal/dockerconfig.TestFind")},
		{86, "helpers with names that are none", shownBy("internal/dockerconfig.TestHelpers")},
		{87, "helpers that misbehave", both(shownBy("internal/dockerconfig.TestHelpers"), func(t *testing.T) { badHelpers(t) })},
		{88, "the names of Docker Hub, and two entries for one host", shownBy("internal/dockerconfig.TestFind")},
		{89, "hosts with and without a port", both(shownBy("TestStaticCredential"), shownBy("internal/dockerconfig.TestFind"))},
		{90, "references that are none", func(t *testing.T) {
			network := testNetwork(t)
			for _, ref := range []string{"a/../b", "h.example//a", "h.example/%2e/a", "h.example/a?x", "h.example/a#x", "h.example/a@", "h.example/a b", "h.example/a\r\nb", "h.example/A",
				"h.example/" + strings.Repeat("a", 256), "h.example:0/a", "h.example:99999/a", "eve:pw@h.example/a", "ftp://h.example/a", "gһcr.io/a", "[::1%25eth0]/a"} {
				_, err := anonymous(network).ListTags(t.Context(), ref)
				require.ErrorIs(t, err, ocitags.ErrInvalidReference, ref)
				assert.Empty(t, strings.Trim(err.Error(), printableASCII+"…"))
			}
			assert.Empty(t, network.Sent())
		}},
		{91, "quay's API without an end, or broken", both(shownBy("TestQuayAlwaysHasMore"), shownBy("TestQuayFallsBack"), shownBy("TestQuayHistory"), shownBy("TestQuayCredentialsDoNotGoToTheAPI"))},
	}
	for i, c := range cases {
		require.Equal(t, i+1, c.number, "none is left out")
		t.Run(fmt.Sprintf("%02d %s", c.number, c.what), c.test)
	}
}

const printableASCII = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

// shownBy is the case of a fault that a test of its own shows. It runs that test no
// second time, but fails where there is none of that name. A test of another
// package is named with its directory.
func shownBy(name string) func(*testing.T) {
	return func(t *testing.T) {
		dir, test, ok := strings.Cut(name, ".")
		if !ok {
			dir, test = "internal/conformance", name
		}
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			if bytes.Contains(text, []byte("\nfunc "+test+"(t *testing.T) {")) {
				return
			}
		}
		t.Errorf("no test is called %s", name)
	}
}

// both are several tests of one fault.
func both(tests ...func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		for _, test := range tests {
			test(t)
		}
	}
}

// noNext are Link headers of an only page.
func noNext(headers ...string) func(*testing.T) {
	return func(t *testing.T) {
		for _, header := range headers {
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Link", header)
				_, _ = io.WriteString(w, `{"tags":["a","b"]}`)
			}))
			tags, err := anonymous(network).ListTags(t.Context(), ref)
			require.NoError(t, err, header)
			assert.Equal(t, []string{"a", "b"}, tags)
			for _, req := range network.Sent() {
				assert.NotEqual(t, "b", req.URL.Query().Get("last"), header)
			}
		}
	}
}

// hostile is a listing from one of regtest's hostile servers.
func hostile(name string, want error, requests int) func(*testing.T) {
	return func(t *testing.T) {
		network := testNetwork(t).Handle("registry.example", regtest.Hostile[name])
		c := anonymous(network)
		c.MaxTags = 100
		tags, err := c.ListTags(t.Context(), ref)
		require.ErrorIs(t, err, want)
		assert.Nil(t, tags)
		assert.LessOrEqual(t, len(network.Sent()), requests)
		if want == ocitags.ErrTooLarge {
			assert.Contains(t, err.Error(), "Client.MaxTags")
		}
	}
}

// answering is a client of a registry that always answers with body.
func answering(t *testing.T, body string) *ocitags.Client {
	return anonymous(testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })))
}

// assertBody lists from an answer with that body.
func assertBody(t *testing.T, body string, want error, tags []string) error {
	t.Helper()
	got, err := answering(t, body).ListTags(t.Context(), ref)
	require.ErrorIs(t, err, want, "%q", body[:min(len(body), 80)])
	assert.Equal(t, tags, got, "%q", body[:min(len(body), 80)])
	return err
}

// onLoopback is a client of a server on loopback.
func onLoopback(server *httptest.Server) *ocitags.Client {
	return withCredentials(server.Client().Transport, ocitags.Anonymous)
}

// rawServer answers each connection with bytes, as they are, and hangs up.
func rawServer(t *testing.T, answer func(w io.Writer)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func cutBodies(t *testing.T) {
	const whole = `{"tags":["a","b"]}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, whole)
	require.NoError(t, z.Close())
	broken := bytes.Clone(packed.Bytes())
	broken[len(broken)-6] ^= 1 // in its checksum
	for name, answer := range map[string]string{
		"in a string":                "Content-Length: 18\r\n\r\n" + `{"tags":["a","b`,
		"after the array":            "Content-Length: 18\r\n\r\n" + `{"tags":["a","b"]`,
		"after the object":           "Content-Length: 20\r\n\r\n" + whole,
		"without a length":           "\r\n" + `{"tags":["a","b"`,
		"in a chunk":                 "Transfer-Encoding: chunked\r\n\r\n12\r\n" + `{"tags":["a"`,
		"before the last chunk":      "Transfer-Encoding: chunked\r\n\r\n12\r\n" + whole + "\r\n",
		"a bad chunk":                "Transfer-Encoding: chunked\r\n\r\n12\r\n" + whole + "\r\nxyz\r\n",
		"gzip without its end":       "Content-Encoding: gzip\r\n\r\n" + string(packed.Bytes()[:packed.Len()-9]),
		"gzip with a wrong checksum": "Content-Encoding: gzip\r\n\r\n" + string(broken),
	} {
		host := rawServer(t, func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nConnection: close\r\n"+answer) })
		tags, err := alone(t).ListTags(t.Context(), host+"/a/b")
		require.ErrorIs(t, err, ocitags.ErrInvalidResponse, name)
		assert.Nil(t, tags, name)
	}
	host := rawServer(t, func(w io.Writer) {
		_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"+packed.String())
	})
	tags, err := alone(t).ListTags(t.Context(), host+"/a/b")
	require.NoError(t, err, "and whole")
	assert.Equal(t, []string{"a", "b"}, tags)
}

func encodings(t *testing.T) {
	packed := func(text []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(text)
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	list := []byte(`{"tags":["a"]}`)
	bomb := packed(append([]byte(`{"tags":["`), bytes.Repeat([]byte("a"), 32<<20)...))
	require.Less(t, len(bomb), 64<<10)
	for _, test := range []struct {
		name, encoding string
		body           []byte
		want           error
	}{
		{"gzip", "gzip", packed(list), nil},
		{"identity", "identity", list, nil},
		{"gzip twice", "gzip, gzip", packed(packed(list)), ocitags.ErrInvalidResponse},
		{"br", "br", list, ocitags.ErrInvalidResponse},
		{"zstd", "zstd", list, ocitags.ErrInvalidResponse},
		{"a bomb", "gzip", bomb, ocitags.ErrTooLarge},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", test.encoding)
			_, _ = w.Write(test.body)
		}))
		_, err := onLoopback(server).ListTags(t.Context(), hostOf(server)+"/a/b")
		require.ErrorIs(t, err, test.want, test.name)
		server.Close()
	}
}

func endlessHeaders(t *testing.T) {
	for name, answer := range map[string]func(w io.Writer) error{
		"headers": func(w io.Writer) error {
			_, err := io.WriteString(w, "X: "+strings.Repeat("x", 64<<10)+"\r\n")
			return err
		},
		"1xx": func(w io.Writer) error {
			_, err := io.WriteString(w, "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
			return err
		},
	} {
		host := rawServer(t, func(w io.Writer) {
			if name == "headers" {
				_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n")
			}
			for range 100_000 {
				if answer(w) != nil {
					return
				}
			}
		})
		_, err := alone(t).ListTags(t.Context(), host+"/a/b")
		require.Error(t, err, name)
	}
	host := rawServer(t, func(w io.Writer) {
		_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\ne\r\n"+`{"tags":["a"]}`+"\r\n0\r\n")
		for range 10_000 {
			if _, err := io.WriteString(w, "X: "+strings.Repeat("x", 1<<10)+"\r\n"); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, "\r\n")
	})
	_, err := alone(t).ListTags(t.Context(), host+"/a/b")
	require.Error(t, err, "trailers")
}

// brokenHTTP2 resets streams and sends GOAWAY in the middle of a listing.
func brokenHTTP2(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab")).Push("a/b", makeTags(5000)...)
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		switch k {
		case 2:
			return regtest.Fault{Drop: true} // RST_STREAM before the headers
		case 4:
			return regtest.Fault{Cut: 9000} // RST_STREAM in the body
		case 5:
			return regtest.Fault{Header: http.Header{"Connection": {"close"}}} // GOAWAY
		}
		return regtest.Fault{}
	}
	server := httptest.NewUnstartedServer(r)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	mustList(t, onLoopback(server), "https://"+hostOf(server)+"/a/b", r, "a/b")
}

// badCertificates are refused at once.
func badCertificates(t *testing.T) {
	now := time.Now()
	for name, template := range map[string]*x509.Certificate{
		"another name": {DNSNames: []string{"other.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)},
		"expired":      {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)},
		"not yet":      {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)},
		"unknown":      {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)},
		"SHA-1":        {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), SignatureAlgorithm: x509.ECDSAWithSHA1},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
		parent, signer := template, key
		if name == "SHA-1" { // a root's own signature is not looked at, so one that signs
			signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			require.NoError(t, err)
			parent = &x509.Certificate{
				SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
				IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		require.NoError(t, err)
		cert, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		switch name {
		case "unknown":
		case "SHA-1":
			der, err := x509.CreateCertificate(rand.Reader, parent, parent, &signer.PublicKey, signer)
			require.NoError(t, err)
			root, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			pool.AddCert(root)
		default:
			pool.AddCert(cert)
		}
		asked := 0
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		server.StartTLS()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		c := withCredentials(transport, ocitags.StaticCredential(hostOf(server), user))
		_, err = c.ListTags(t.Context(), "https://"+hostOf(server)+"/a/b")
		require.ErrorContains(t, err, "certificate", name)
		if name == "SHA-1" {
			require.ErrorContains(t, err, "SHA1")
		}
		assert.NotContains(t, err.Error(), "tried", name)
		assert.Zero(t, asked, name)
		server.Close()
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	c := onLoopback(old)
	c.MaxAttempts = 1
	_, err := c.ListTags(t.Context(), "https://"+hostOf(old)+"/a/b")
	require.ErrorContains(t, err, "tls: ")
}

// oddCounts are registries that count otherwise than they are asked.
func oddCounts(t *testing.T) {
	for name, change := range map[string]func(*regtest.Profile){
		"ignores last": func(p *regtest.Profile) {
			p.Cursor.Rest = func(list []string, _ string) ([]string, *regtest.Refusal) { return list, nil }
		},
		"ignores n":            func(p *regtest.Profile) { p.IgnoreN = true },
		"caps at 50":           func(p *regtest.Profile) { p.Max, p.Over = 50, regtest.Rule{What: regtest.Clamp} },
		"takes last inclusive": func(p *regtest.Profile) { p.Cursor.Rest = inclusive },
		"one more than n":      func(p *regtest.Profile) { p.OneMore = true },
	} {
		for _, profile := range []string{"dist312", "ggcr"} { // with a Link, and without
			for _, n := range []int{49, 50, 51, 100, 999, 1000, 1001, 2000, 2500} {
				p := regtest.ByName(profile)
				if change(&p); name == "ignores last" && profile == "dist312" && n >= 1000 {
					continue // a Link that names last and last that is ignored: a circle
				}
				r := regtest.New(p).Push("a/b", makeTags(n)...)
				network := testNetwork(t).Handle("registry.example", r)
				tags, err := anonymous(network).ListTags(t.Context(), ref)
				require.NoError(t, err, "%s, %s, %d", name, profile, n)
				require.Equal(t, want(r, "a/b"), tags, "%s, %s, %d", name, profile, n)
				most := n/49 + 4
				if name == "ignores last" {
					most += 3 // with a Link or without, each way of asking is tried once
				}
				assert.LessOrEqual(t, len(network.Sent()), most, "%s, %s, %d", name, profile, n)
			}
		}
	}
}

func inclusive(list []string, last string) ([]string, *regtest.Refusal) {
	i, _ := slices.BinarySearch(list, last)
	return list[i:], nil
}

// cancels ends listings in each phase.
func cancels(t *testing.T) {
	TestCancel(t)
	assertPrompt := func(t *testing.T, list func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		err := list(ctx)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, time.Second, time.Since(began), "in virtual time")
	}
	t.Run("before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		network := testNetwork(t)
		_, err := anonymous(network).ListTags(ctx, ref)
		require.ErrorIs(t, err, context.Canceled)
	})
	for name, at := range map[string]struct {
		auth  *regtest.Auth
		fault func(k int, req *http.Request) regtest.Fault
	}{
		"headers": {nil, func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: time.Hour} }},
		"token": {&regtest.Auth{}, func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Path == "/token" {
				return regtest.Fault{Delay: time.Hour}
			}
			return regtest.Fault{}
		}},
		"back-off": {nil, func(int, *http.Request) regtest.Fault {
			return regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"50"}}}
		}},
		"body": {nil, func(int, *http.Request) regtest.Fault {
			return regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.WriteString(w, `{"tags":["a",`)
				<-req.Context().Done()
			})}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, network := registryWithAuth(t, "gitlab", at.auth)
				r.Fault = at.fault
				assertPrompt(t, func(ctx context.Context) error {
					_, err := anonymous(network).ListTags(ctx, ref)
					return err
				})
			})
		})
	}
	t.Run("helper", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
			c := &ocitags.Client{Transport: network, Credentials: func(ctx context.Context, _, _ string) (ocitags.Credential, error) {
				<-ctx.Done()
				return ocitags.Credential{}, ctx.Err()
			}}
			assertPrompt(t, func(ctx context.Context) error { _, err := c.ListTags(ctx, ref); return err })
		})
	})
	t.Run("connect and TLS", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
		require.NoError(t, err)
		defer func() { _ = l.Close() }()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		c := withCredentials(transport, ocitags.Anonymous)
		for _, scheme := range []string{"http://", "https://"} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			began := time.Now()
			_, err = c.ListTags(ctx, scheme+l.Addr().String()+"/a/b")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Less(t, time.Since(began), 10*time.Second, "not the 60 s that a silent server has")
			cancel()
		}
	})
	t.Run("the consumer's own code", func(t *testing.T) {
		_, network := registryWithAuth(t, "gitlab", nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		n := 0
		for _, err := range anonymous(network).Tags(ctx, ref) {
			if n++; n == 10 {
				cancel()
			}
			last = err
		}
		require.ErrorIs(t, last, context.Canceled)
		assert.Equal(t, 11, n, "ten tags, and the error")
	})
}

// slowConsumer does not make the listing read ahead.
func slowConsumer(t *testing.T) {
	var sent atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tags":["tag-00000000"`)
		for i := 1; i < 1_000_000; i++ {
			n, err := fmt.Fprintf(w, `,"tag-%08d"`, i)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	for _, err := range anonymous(testNetwork(t).Handle("registry.example", handler)).Tags(t.Context(), ref) {
		require.NoError(t, err)
		break
	}
	runtime.Gosched()
	assert.Less(t, sent.Load(), int64(1<<20), "bytes that were read for the first tag")
}

func oddCredentialFiles(t *testing.T) {
	home := configtest.Home(t, map[string]string{"bom.json": "\ufeff{}", "binary.json": "\x00\xff" + secret})
	for _, name := range []string{"bom.json", "binary.json"} {
		t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, name))
		_, err := ocitags.DefaultCredentials(t.Context(), "ghcr.io", "a/b")
		require.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), secret)
	}
	if os.Getuid() != 0 { // whom nothing is unreadable to
		require.NoError(t, os.Chmod(filepath.Join(home, "bom.json"), 0))
		t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "bom.json"))
		_, err := ocitags.DefaultCredentials(t.Context(), "ghcr.io", "a/b")
		require.Error(t, err)
	}
	require.NoError(t, exec.Command("mkfifo", filepath.Join(home, "pipe")).Run())
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "pipe"))
	_, err := ocitags.DefaultCredentials(t.Context(), "ghcr.io", "a/b")
	require.ErrorContains(t, err, "not a readable file")
}

// badHelpers print what they should not, too much, or hold on to their output.
func badHelpers(t *testing.T) {
	for name, script := range map[string]string{
		"secrets on both outputs": `echo ` + secret + `; echo ` + secret + ` >&2; exit 1`,
		"no JSON":                 `echo ` + secret,
		"300 MB":                  `yes ` + secret + ` | head -c 300000000`,
		"a grandchild":            `sleep 2 & echo '` + secret + `'; exit 0`,
		"hangs":                   `exec sleep 600`,
	} {
		home := configtest.Home(t, map[string]string{".docker/config.json": `{"credHelpers":{"registry.example":"bad"}}`, "bin/docker-credential-bad": "#!/bin/sh\n" + script})
		t.Setenv("PATH", filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
		_, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
		patience := time.Minute
		if name == "hangs" {
			patience = 100 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		began := time.Now()
		var log strings.Builder
		c := &ocitags.Client{Transport: network, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		_, err := c.ListTags(ctx, ref)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error()+log.String(), secret, name)
		assert.Less(t, len(err.Error()), 1000, name)
		assert.Less(t, time.Since(began), time.Minute/2, name)
		assert.False(t, errors.Is(err, ocitags.ErrUnauthorized), "%s: a helper that fails is not a refusal", name)
	}
}
