package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/ocierr"
)

// A script answers one request after the other; the last answer comes again.
type script []answer

type answer struct {
	status int
	body   string
	err    error
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	next := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	if next.err != nil {
		return nil, next.err
	}
	return &http.Response{StatusCode: next.status, Header: http.Header{"Link": {"<x>"}}, Body: io.NopCloser(strings.NewReader(next.body)), Request: req}, nil
}

const list = `{"tags":["a","b"]}`

func TestGet(t *testing.T) {
	var final = Final{errors.New("no token")}
	for name, test := range map[string]struct {
		script script
		req    Request
		tries  []int
		tags   []string
		err    error
	}{
		"a page":                       {script{{status: 200, body: list}}, Request{}, []int{1}, []string{"a", "b"}, nil},
		"tried again":                  {script{{status: 503}, {status: 200, body: list}}, Request{}, []int{1, 2}, []string{"a", "b"}, nil},
		"tried as often as may be":     {script{{status: 503}}, Request{}, []int{1, 2}, nil, errRefused},
		"once":                         {script{{status: 503}}, Request{Once: true}, []int{1}, nil, errRefused},
		"tried before":                 {script{{status: 503}}, Request{Tries: 1}, []int{2}, nil, errRefused},
		"a refusal that stays":         {script{{status: 403}}, Request{}, []int{1}, nil, errRefused},
		"cut short, and whole":         {script{{status: 200, body: list[:12]}, {status: 200, body: list}}, Request{}, []int{1, 2}, []string{"a", "b"}, nil},
		"cut short":                    {script{{status: 200, body: list[:12]}}, Request{}, []int{1, 2}, []string{"a"}, io.ErrUnexpectedEOF},
		"no list":                      {script{{status: 200, body: "<html>"}}, Request{}, []int{1}, nil, ocierr.ErrInvalidResponse},
		"a connection that broke":      {script{{err: io.ErrUnexpectedEOF}, {status: 200, body: list}}, Request{}, []int{1, 2}, []string{"a", "b"}, nil},
		"no authorization":             {script{{err: final}}, Request{}, []int{1}, nil, final},
		"what another try cannot mend": {script{{err: Permanent{io.EOF}}}, Request{}, []int{1}, nil, io.EOF},
		"a 429 ahead of its turn":      {script{{status: 429}}, Request{Ahead: func() bool { return true }}, []int{1}, nil, errRefused},
		"a 429 whose turn it is":       {script{{status: 429}}, Request{Ahead: func() bool { return false }}, []int{1, 2}, nil, errRefused},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.req.URL = home
				sink := new(kept)
				resp, err := client(t, &test.script).Get(t.Context(), test.req, sink)
				require.ErrorIs(t, err, test.err)
				assert.Equal(t, test.tries, sink.tries)
				assert.Equal(t, test.tags, sink.tags)
				assert.Equal(t, test.tries[len(test.tries)-1], resp.Attempts)
				assert.NotNil(t, resp.Asked)
				if err == nil {
					assert.Equal(t, []string{"<x>"}, resp.Links)
					assert.Equal(t, 2, resp.Entries)
				}
			})
		})
	}
}

// Where a host has asked for a longer pause than there is time, nothing is sent, and the
// response has the URL all the same: errors name it.
func TestNoTimeForAPause(t *testing.T) {
	c := client(t, &script{})
	c.Pauses.pause(home.Host, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sink := new(kept)
	resp, err := c.Get(ctx, Request{URL: home}, sink)
	require.ErrorIs(t, err, ocierr.ErrRateLimited)
	assert.Equal(t, home, resp.Asked)
	assert.Empty(t, sink.tries)
}

// The error of a sink ends the page, and comes back as it is.
func TestErrorsOfASinkAreFinal(t *testing.T) {
	sink := &kept{err: io.ErrUnexpectedEOF} // which a connection may have, too
	_, err := client(t, &script{{status: 200, body: list}}).Get(t.Context(), Request{URL: home}, sink)
	assert.Equal(t, io.ErrUnexpectedEOF, err)
	assert.Equal(t, []int{1}, sink.tries)
}

func TestLogURL(t *testing.T) {
	for query, want := range map[string]string{
		"":                   "",
		"n=100&last=v1.0":    "?n=100&last=v1.0",
		"n=x":                "?n=(opaque)",
		"last=a/b":           "?last=(opaque)",
		"next_page=gAAAAABo": "?next_page=(opaque)",
		"%22=1":              "?(opaque)=(opaque)",
	} {
		u := *home
		u.RawQuery = query
		assert.Equal(t, home.String()+want, logURL(&u))
	}
}

// redirecting is a registry of which some paths and queries lead elsewhere.
type redirecting map[string]string

func (r redirecting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(list)), Request: req}
	if to, ok := r[req.URL.RequestURI()]; ok {
		resp.StatusCode, resp.Header["Location"] = 307, []string{to}
	}
	return resp, nil
}

// An answer is to what was asked of the URL that gave it.
func TestRedirectsAndWhatWasAsked(t *testing.T) {
	const asked = "/v2/a/b/tags/list?n=1000&last=x"
	for name, test := range map[string]struct {
		redirects redirecting
		by, query string // what answered, and the query that its answer is to
	}{
		"none":                     {nil, asked, "n=1000&last=x"},
		"that keeps the query":     {redirecting{asked: "/v2/c/tags/list?n=1000&last=x"}, "/v2/c/tags/list?n=1000&last=x", "n=1000&last=x"},
		"that drops it":            {redirecting{asked: "/v2/c/tags/list"}, "/v2/c/tags/list?n=1000&last=x", "n=1000&last=x"},
		"twice":                    {redirecting{asked: "/v2/c/tags/list", "/v2/c/tags/list?n=1000&last=x": "/v2/d/tags/list"}, "/v2/d/tags/list?n=1000&last=x", "n=1000&last=x"},
		"to itself, to drop it":    {redirecting{asked: "/v2/a/b/tags/list"}, "/v2/a/b/tags/list", ""},
		"with another n":           {redirecting{asked: "/v2/c/tags/list?n=100&last=x"}, "/v2/c/tags/list?n=100&last=x", "n=100&last=x"},
		"to what is not that path": {redirecting{asked: "/signed?token=1"}, "/signed?token=1", "n=1000&last=x"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := home.Parse(asked)
			require.NoError(t, err)
			resp, err := client(t, test.redirects).Get(t.Context(), Request{URL: u}, new(kept))
			require.NoError(t, err)
			assert.Equal(t, test.by, resp.URL.RequestURI())
			assert.Equal(t, test.query, resp.Asked.RawQuery)
		})
	}
}
