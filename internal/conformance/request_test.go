package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/wire"
)

// Whatever breaks a page once is mended by asking again, and the stream shows
// nothing of it.
func TestPagesAreRetried(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]regtest.Fault{
		"408": {Status: 408}, "425": {Status: 425}, "429": {Status: 429}, "500": {Status: 500}, "502": {Status: 502}, "503": {Status: 503}, "504": {Status: 504},
		"dropped": {Drop: true}, "cut in its first tags": {Cut: 60}, "cut in the middle": {Cut: 3000}, "cut later": {Cut: 6000},
	} {
		for k := 1; k <= 3; k++ {
			t.Run(fmt.Sprint(name, " at request ", k), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for profile, requested := range map[string]int{"gitlab-c": 6, "gitlab": 6, "ecr": 4} { // in order, in another, in none
						ref, r, network := newRegistry(t, profile, "a/b", 2500)
						r.Fault = faultAt(k, fault)
						var streamed []string
						for tag, err := range anonymous(network).Tags(t.Context(), ref) {
							require.NoError(t, err)
							streamed = append(streamed, tag)
						}
						assert.Equal(t, r.Tags("a/b"), streamed, profile)
						assert.Equal(t, requested, len(r.Requests()), "%v", requests(r))
					}
				})
			})
		}
	}
}

// What asking again does not mend is asked once.
func TestRefusalsAreNotRetried(t *testing.T) {
	for _, status := range []int{201, 202, 204, 206, 226, 304, 400, 403, 405, 406, 410, 418, 451, 501, 505} {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 2500)
		r.Fault = faultAt(2, regtest.Fault{Status: status})
		_, err := anonymous(network).ListTags(t.Context(), ref)
		var refusal *ocitags.Error
		require.ErrorAs(t, err, &refusal, "%d", status)
		assert.Equal(t, status, refusal.StatusCode)
		assert.Equal(t, "https://registry.example/v2/a/b/tags/list", refusal.URL, "no query")
		assert.Equal(t, 2, len(r.Requests()), "%d", status)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	for maxAttempts, want := range map[int]int{0: 5, 1: 1, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			ref, r, network := newRegistry(t, "gitlab", "a/b", 1)
			r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Status: 503} }
			c := anonymous(network)
			c.MaxAttempts = maxAttempts
			_, err := c.ListTags(t.Context(), ref)
			var refusal *ocitags.Error
			require.ErrorAs(t, err, &refusal)
			assert.Len(t, r.Requests(), want)
			if want > 1 {
				assert.Contains(t, err.Error(), fmt.Sprintf("(tried %d times)", want))
			}
		})
	}
}

func TestCutBodyAfterAllAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 1000)
		r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Cut: 500} }
		tags, err := anonymous(network).ListTags(t.Context(), ref)
		require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Contains(t, err.Error(), "cut short")
		assert.Nil(t, tags)
		assert.Len(t, r.Requests(), 5)
	})
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name   string
		header string
		least  time.Duration // of the wait
		most   time.Duration
	}{
		{"seconds", "2", 2 * time.Second, 2500 * time.Millisecond},
		{"a date", "Sat, 01 Jan 2000 00:00:30 GMT", 30 * time.Second, 31 * time.Second}, // the bubble's clock begins at midnight
		{"a minute, the most", "60", time.Minute, 61 * time.Second},
		{"zero: our own", "0", 0, 500 * time.Millisecond},
		{"past: our own", "Fri, 31 Dec 1999 23:59:00 GMT", 0, 500 * time.Millisecond},
		{"nonsense: our own", "soon", 0, 500 * time.Millisecond},
		{"a fraction: our own", "1.5", 0, 500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ref, r, network := newRegistry(t, "gitlab", "a/b", 10)
				r.Fault = faultAt(1, regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {test.header}}})
				began := time.Now()
				mustList(t, anonymous(network), ref, r, "a/b")
				assert.GreaterOrEqual(t, time.Since(began), test.least)
				assert.LessOrEqual(t, time.Since(began), test.most)
			})
		})
	}
}

// Nobody waits longer than a minute unasked: the error says how long.
func TestRetryAfterBeyondTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, header := range []string{"61", "86400", "9999999999", "99999999999999999999"} {
			ref, r, network := newRegistry(t, "gitlab", "a/b", 10)
			r.Fault = faultAt(1, regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {header}}})
			began := time.Now()
			_, err := anonymous(network).ListTags(t.Context(), ref)
			require.ErrorIs(t, err, ocitags.ErrRateLimited)
			var refusal *ocitags.Error
			require.ErrorAs(t, err, &refusal)
			assert.Greater(t, refusal.RetryAfter, time.Minute)
			assert.Zero(t, time.Since(began))
			assert.Contains(t, err.Error(), "asks to wait "+refusal.RetryAfter.String())
			assert.Len(t, r.Requests(), 1)
		}
	})
}

// A wait that the context does not allow is not begun; the error has both facts.
func TestRetryAfterBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 10)
		r.Fault = faultAt(1, regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := anonymous(network).ListTags(ctx, ref)
		require.ErrorIs(t, err, ocitags.ErrRateLimited)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, time.Since(began))
	})
}

// Listings of one Client share what the registry asked for: after its first
// 429 nobody asks, and then they do not all ask at once.
func TestListingsShareARetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 10)
		began := time.Now()
		var times []time.Duration
		r.Fault = func(k int, _ *http.Request) regtest.Fault {
			times = append(times, time.Since(began))
			if time.Since(began) < 20*time.Second {
				return regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}}
			}
			return regtest.Fault{}
		}
		c := anonymous(network)
		_, err := (&ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, MaxAttempts: 1}).ListTags(t.Context(), ref)
		require.ErrorIs(t, err, ocitags.ErrRateLimited)
		done := make(chan error)
		go func() { _, err := c.ListTags(t.Context(), ref); done <- err }()
		synctest.Wait()
		for range 15 {
			go func() { _, err := c.ListTags(t.Context(), ref); done <- err }()
		}
		for range 16 {
			require.NoError(t, <-done)
		}
		require.Equal(t, 1+1+2*16, len(times), "the others did not have to be told")
		assert.Less(t, times[2], times[33], "they are spread")

		// And where there is no time to wait, it is not begun.
		r.Fault = faultAt(len(times)+1, regtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"30"}}})
		go func() { _, err := c.ListTags(t.Context(), ref); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = c.ListTags(ctx, ref)
		require.ErrorIs(t, err, ocitags.ErrRateLimited)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, <-done)
	})
}

// ghcr.io writes how long to wait into the text.
func TestGhcrRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "ghcr", "a/b", 10)
		r.Fault = faultAt(1, regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			_, _ = fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 7s, allowed: 44000/minute"}]}`)
		})})
		began := time.Now()
		mustList(t, anonymous(network), ref, r, "a/b")
		assert.InDelta(t, 7.25, time.Since(began).Seconds(), 0.25)
	})
}

// A server that says nothing for a minute is given up, again and again.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, r, network := newRegistry(t, "gitlab", "a/b", 10)
		r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: 24 * time.Hour} }
		began := time.Now()
		_, err := anonymous(network).ListTags(t.Context(), ref)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "the server sent nothing for 1m0s")
		assert.Less(t, time.Since(began), 6*time.Minute)
	})
}

// A server that trickles is given up, too.
func TestTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			for req.Context().Err() == nil {
				_, _ = fmt.Fprint(w, " ")
				select {
				case <-time.After(30 * time.Second):
				case <-req.Context().Done():
				}
			}
		})
		c := anonymous(testNetwork(t).Handle("registry.example", handler))
		c.MaxAttempts = 1
		began := time.Now()
		_, err := c.ListTags(t.Context(), "registry.example/a/b")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "more than 10m0s over one answer")
		assert.Less(t, time.Since(began), 11*time.Minute)
	})
}

// Bodies that no tag list is in; the error says where and what.
func TestNoTagList(t *testing.T) {
	for name, test := range map[string]struct {
		header http.Header
		body   string
		says   string
	}{
		"HTML":                 {http.Header{"Content-Type": {"text/html"}}, "<html>\x1b[31m", `found markup (HTML or XML): "<html>\x1b[31m" (Content-Type "text/html")`},
		"{}":                   {nil, `{}`, `found a JSON object without "tags"`},
		"error body under 200": {nil, `{"errors":[{"code":"DENIED"}]}`, "found an error body"},
		"a number":             {nil, `{"tags":["a",1]}`, "found tags[1] that is not a tag but a number"},
		"br unasked":           {http.Header{"Content-Encoding": {"br"}}, "\x0b", `found Content-Encoding "br"`},
		"gzip unasked":         {http.Header{"Content-Encoding": {"gzip"}}, "\x1f\x8b", `found Content-Encoding "gzip"`},
	} {
		t.Run(name, func(t *testing.T) {
			ref, r, network := newRegistry(t, "gitlab", "a/b", 1500)
			r.Fault = faultAt(2, regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for key, values := range test.header {
					w.Header()[key] = values
				}
				_, _ = io.WriteString(w, test.body)
			})})
			tags, err := anonymous(network).ListTags(t.Context(), ref)
			require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
			assert.Nil(t, tags)
			assert.Contains(t, err.Error(), "listing tags of registry.example/a/b: page 2: ")
			assert.Contains(t, err.Error(), "GET https://registry.example/v2/a/b/tags/list: ")
			assert.Contains(t, err.Error(), test.says)
			assert.NotContains(t, err.Error(), "\x1b")
			assert.NotContains(t, err.Error(), "last=")
		})
	}
}

// The encoding that the transport asked for and undid is none of ours.
func TestGzipOverTheWire(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, `{"tags":["1","2"]}`)
	require.NoError(t, z.Close())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}))
	defer server.Close()
	c := withCredentials(server.Client().Transport, ocitags.Anonymous)
	tags, err := c.ListTags(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/a/b")
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2"}, tags)
}

// Bodies are read to their end, so that one connection does for all pages.
func TestOneConnection(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab")).Push("a/b", makeTags(20_000)...)
	opened := 0
	server := httptest.NewUnstartedServer(r)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened++
		}
	}
	server.Start()
	defer server.Close()
	c := &ocitags.Client{Transport: server.Client().Transport, Credentials: ocitags.Anonymous, PageSize: 100, Concurrency: 1}
	mustList(t, c, strings.TrimPrefix(server.URL, "http://")+"/a/b", r, "a/b")
	assert.GreaterOrEqual(t, len(r.Requests()), 200)
	assert.Equal(t, 1, opened)
}

// A header beyond the bound is an error that names it, over any transport.
func TestHeaderBound(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab", "a/b", 1)
	r.Fault = faultAt(1, regtest.Fault{Header: http.Header{"X-Large": {strings.Repeat("x", wire.MaxHeader)}}})
	_, err := anonymous(network).ListTags(t.Context(), ref)
	require.ErrorIs(t, err, ocitags.ErrTooLarge)
	assert.Contains(t, err.Error(), "response headers of more than 1048576 bytes")
	assert.Len(t, r.Requests(), 1)
}

// Over the package's own transport the header is not even read to its end.
func TestHeaderBoundOnTheWire(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 64 {
			w.Header().Set(fmt.Sprint("X-Large-", i), strings.Repeat("x", 64<<10))
		}
	}))
	defer server.Close()
	_, err := (&ocitags.Client{Credentials: ocitags.Anonymous}).ListTags(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/a/b")
	require.ErrorIs(t, err, ocitags.ErrTooLarge)
	assert.Contains(t, err.Error(), "response headers of more than 1048576 bytes")
}

// An error body of any length makes a short error.
func TestErrorBodyBound(t *testing.T) {
	ref, r, network := newRegistry(t, "gitlab", "a/b", 1)
	r.Fault = faultAt(1, regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(403)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}`, strings.Repeat("x", 10_000))
		for range 3 {
			_, _ = fmt.Fprint(w, strings.Repeat(`,{"code":"DENIED","message":"again"}`, 100))
		}
		_, _ = fmt.Fprint(w, `]}`)
	})})
	_, err := anonymous(network).ListTags(t.Context(), ref)
	var refusal *ocitags.Error
	require.ErrorAs(t, err, &refusal)
	assert.Len(t, refusal.Codes, ocierr.MaxReasons)
	assert.Less(t, len(err.Error()), 1000)
}

// What a broken HTTP server says does not reach the terminal raw.
func TestErrorsArePrintable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nbad\x1b[31mheader\r\n\r\n")
			_ = conn.Close()
		}
	}))
	defer server.Close()
	c := &ocitags.Client{Transport: server.Client().Transport, Credentials: ocitags.Anonymous, MaxAttempts: 1}
	_, err := c.ListTags(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/a/b")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "\x1b")
}

// TLS that does not hold is an error at once, and never a reason for plain HTTP.
func TestTLSErrors(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	c := &ocitags.Client{Transport: &http.Transport{DisableKeepAlives: true}, Credentials: ocitags.Anonymous}
	_, err := c.ListTags(t.Context(), "https://"+host+"/a/b")
	require.ErrorContains(t, err, "certificate")
	assert.NotContains(t, err.Error(), "tried")

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	_, err = c.ListTags(t.Context(), "https://"+strings.TrimPrefix(plain.URL, "http://")+"/a/b")
	require.ErrorContains(t, err, "HTTP response to HTTPS client")
	assert.NotContains(t, err.Error(), "tried")
}

// The log tells of requests, repairs and what was skipped, and no secret.
func TestLogger(t *testing.T) {
	r, network := registryWithAuth(t, "ghcr", &regtest.Auth{Username: "bob", Password: secret})
	r.Push("a/b", "-\x1b[31m")
	var log strings.Builder
	c := &ocitags.Client{
		Transport: network, Credentials: ocitags.StaticCredential("registry.example", user),
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	_, err := c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	text := log.String()
	for _, part := range []string{
		`msg=request repository=registry.example/a/b url="https://registry.example/v2/a/b/tags/list?n=1000" status=200 tags=1000 skipped=0`,
		`msg="authorization is asked for" repository=registry.example/a/b scheme=bearer as="user name, password"`,
		`msg="asking for a token" repository=registry.example/a/b scope=repository:a/b:pull`,
		`msg="token request" repository=registry.example/a/b method=GET url=https://registry.example/token status=200`,
		`level=WARN msg="skipped an entry that is not a tag"`, `level=DEBUG msg=complete`, `because="the last page has no Link,`,
	} {
		assert.Contains(t, text, part)
	}
	for _, part := range []string{secret, "token-1", "\x1b"} {
		assert.NotContains(t, text, part)
	}
}

// A consumer that panics leaves nothing behind; its panic goes on.
func TestConsumerPanics(t *testing.T) {
	ref, _, network := newRegistry(t, "gitlab", "a/b", 2500)
	assert.PanicsWithValue(t, "enough", func() {
		for range anonymous(network).Tags(t.Context(), ref) {
			panic("enough")
		}
	})
	assert.Error(t, network.Sent()[0].Context().Err(), "its request is cancelled")
}

// A server that sends nothing but rubbish does not fill the log with it.
func TestSkippedEntriesAreLoggedUpToABound(t *testing.T) {
	ref, _, network := newRegistry(t, "gitlab", "a/b", 0)
	tags := []string{`"good"`}
	for i := range 1000 {
		tags = append(tags, fmt.Sprintf(`"-%d"`, i), "null")
	}
	network.Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprintf(w, `{"tags":[%s]}`, strings.Join(tags, ","))
	}))
	var log strings.Builder
	skipped := 0
	c := anonymous(network)
	c.Logger, c.OnPage = stableLog(&log), func(p ocitags.Page) { skipped += p.Skipped }
	got, err := c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, []string{"good"}, got)
	assert.Equal(t, 2000, skipped)
	assert.Equal(t, 2*10, strings.Count(log.String(), "skipped an entry"))
	assert.Equal(t, 2, strings.Count(log.String(), "skipping more entries"))
}

// A registry out there does not make us knock at doors inside: a redirect leads
// to its own domain, or to a public name at a public address.
func TestRedirectsDoNotLeadInside(t *testing.T) {
	for _, test := range []struct {
		from, to string
		judged   bool // the address of to, when it is dialed
		refused  bool
	}{
		{"registry.example", "https://10.0.0.1/v2/a/b/tags/list", false, true},
		{"registry.example", "https://[::1]:5000/v2/a/b/tags/list", false, true},
		{"registry.example", "https://169.254.169.254/", false, true},
		{"registry.example", "https://localhost/v2/a/b/tags/list", false, true},
		{"registry.example", "https://metadata.internal/", false, true},
		{"registry.example", "https://elsewhere.test/v2/a/b/tags/list", true, false},
		{"registry.example", "https://node.registry.example/v2/a/b/tags/list", true, false},
		{"mirror.internal", "https://node.internal/v2/a/b/tags/list", false, false},
		{"10.0.0.1:5000", "https://10.0.0.2:5000/v2/a/b/tags/list", false, false},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			var hosts []string
			c := &ocitags.Client{Credentials: ocitags.Anonymous, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				hosts = append(hosts, req.URL.Host)
				w := httptest.NewRecorder()
				if req.URL.Host == test.from {
					w.Header().Set("Location", test.to)
					w.WriteHeader(http.StatusTemporaryRedirect)
				} else {
					assert.Equal(t, test.judged, wire.IsJudged(req.Context(), req.URL.Hostname()))
					_, _ = w.WriteString(`{"tags":["a"]}`)
				}
				resp := w.Result()
				resp.Request = req
				return resp, nil
			})}
			_, err := c.ListTags(t.Context(), test.from+"/a/b")
			if test.refused {
				require.ErrorIs(t, err, ocitags.ErrUnsafeLink)
				assert.Len(t, hosts, 1)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []string{test.from, hosts[1], hosts[1]}, hosts, "what comes after the page is asked where it came from")
		})
	}
}
