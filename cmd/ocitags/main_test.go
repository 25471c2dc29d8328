package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/regtest"
)

// serve starts a registry with 250 tags in a/b, and returns it and its host.
func serve(t *testing.T, profile string) (*regtest.Registry, string) {
	t.Helper()
	r := regtest.New(regtest.ByName(profile))
	for i := range 250 {
		r.Push("a/b", fmt.Sprintf("v%03d", i))
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, strings.TrimPrefix(server.URL, "http://")
}

// command runs the command, and returns what it printed and its exit status.
func command(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	t.Setenv("HOME", t.TempDir()) // no credentials of whoever runs the tests
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), status
}

// lines are the lines of text.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

func TestTagsOneALine(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	stdout, stderr, status := command(t, host+"/a/b:tag")
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr, "a complete list needs no words, and a pipe no progress")
	assert.Equal(t, r.Tags("a/b"), lines(stdout))
}

func TestCount(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	stdout, _, status := command(t, "-count", host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Equal(t, "250\n", stdout)
}

func TestJSON(t *testing.T) {
	r, host := serve(t, "ghcr")
	stdout, _, status := command(t, "-json", host+"/a/b")
	assert.Equal(t, 0, status)
	var tags []string
	records := lines(stdout)
	for _, line := range records[:len(records)-1] {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		require.Len(t, record, 1)
		tags = append(tags, record["tag"].(string))
	}
	assert.Equal(t, r.Tags("a/b"), tags)
	assert.JSONEq(t, `{"complete":true,"tags":250}`, records[len(records)-1])
}

func TestEmptyRepository(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	r.Push("a/empty")
	stdout, stderr, status := command(t, host+"/a/empty")
	assert.Equal(t, 0, status)
	assert.Empty(t, stdout+stderr)
	stdout, _, _ = command(t, "-count", host+"/a/empty")
	assert.Equal(t, "0\n", stdout)
}

func TestPageSize(t *testing.T) {
	for n, want := range map[string]string{"50": "n=50", "0": "n=1000", "-1": ""} {
		r, host := serve(t, "gitlab-c")
		_, _, status := command(t, "-n", n, "-c", "1", host+"/a/b")
		assert.Equal(t, 0, status)
		_, query, _ := strings.Cut(r.URLs()[0], "?")
		assert.Equal(t, want, query)
	}
}

// What failed is said last, in one line, and what was printed before is not
// taken for all.
func TestFailures(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no such repository":  {[]string{host + "/no/such"}, "NAME_UNKNOWN"},
		"nobody there":        {[]string{"-timeout", "50ms", "127.0.0.1:1/a"}, "127.0.0.1:1"},
		"TLS at an http port": {[]string{"https://" + host + "/a/b"}, "HTTP response to HTTPS client"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := command(t, test.args...)
			assert.Equal(t, 1, status)
			assert.Empty(t, stdout)
			assert.Len(t, lines(stderr), 1, stderr)
			assert.True(t, strings.HasPrefix(stderr, "ocitags: listing tags of "), stderr)
			assert.Contains(t, stderr, test.says)
		})
	}
	t.Run("in the middle", func(t *testing.T) {
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Query().Has("last") {
				return regtest.Fault{Status: 400}
			}
			return regtest.Fault{}
		}
		for _, flag := range []string{"-json", "-count", "-v=false"} {
			stdout, stderr, status := command(t, flag, "-n", "100", host+"/a/b")
			assert.Equal(t, 1, status)
			assert.NotContains(t, stdout, "complete")
			assert.Contains(t, stderr, "page 2: ")
			switch flag {
			case "-count":
				assert.Empty(t, stdout, "no number that could be taken for the count")
			default:
				assert.Len(t, lines(stdout), 100)
			}
		}
	})
}

func TestUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing": {}, "two": {"a", "b"}, "unknown flag": {"-x", "a"}, "bad number": {"-n", "x", "a"}, "bad time": {"-timeout", "-1s", "a"},
		"bad concurrency": {"-c", "-1", "a"}, "demo and a reference": {"-demo", "a"}, "bad reference": {"a//b"},
	} {
		stdout, stderr, status := command(t, args...)
		assert.Equal(t, 2, status, name)
		assert.Empty(t, stdout, name)
		assert.NotEmpty(t, stderr, name)
	}
	_, stderr, status := command(t, "-h")
	assert.Equal(t, 0, status)
	for _, flag := range []string{"-json", "-count", "-v", "-c int", "-n int", "-plain-http", "-anonymous", "-timeout", "-demo"} {
		assert.Contains(t, stderr, "  "+flag)
	}
}

func TestPlainHTTP(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	port := host[strings.LastIndex(host, ":"):]
	// A name that is not known to be loopback.
	t.Setenv("HTTPS_PROXY", "")
	_, stderr, status := command(t, "-timeout", "2s", "ip6-localhost.invalid"+port+"/a/b")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "https://")
	_, stderr, status = command(t, "-plain-http", "-timeout", "2s", "ip6-localhost.invalid"+port+"/a/b")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "http://")
	stdout, _, status := command(t, "-plain-http", "-count", host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Equal(t, "250\n", stdout)
}

func TestCredentials(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	r.Auth = &regtest.Auth{Username: "bob", Password: "s3cret"}
	config := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(config, "auth.json"), fmt.Appendf(nil, `{"auths":{%q:{"username":"bob","password":"s3cret"}}}`, host), 0o600))
	with := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(config, "auth.json"))
		status := run(t.Context(), args, &out, &errs)
		return out.String(), errs.String(), status
	}
	stdout, stderr, status := with("-v", "-count", host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Equal(t, "250\n", stdout)
	assert.NotContains(t, stderr, "s3cret")
	_, stderr, status = with("-anonymous", host+"/a/b")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "401 Unauthorized")
}

// -v tells of each request, of repairs, and why the list is complete.
func TestVerbose(t *testing.T) {
	r, host := serve(t, "quay311")
	r.Push("a/b", "-not-a-tag")
	_, stderr, status := command(t, "-v", host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Equal(t, len(r.Requests()), strings.Count(stderr, "ocitags: request "))
	assert.Contains(t, stderr, "url=http://"+host+"/v2/a/b/tags/list n=1000 status=200 entries=50")
	assert.Contains(t, stderr, `skipped an entry that is no tag entry="-not-a-tag"`)
	last := lines(stderr)[len(lines(stderr))-1]
	assert.Contains(t, last, "ocitags: complete tags=250 pages=")
	assert.Contains(t, last, "because=")

	// Without it, only what was repaired or skipped.
	_, stderr, _ = command(t, host+"/a/b")
	assert.Len(t, lines(stderr), 1)
}

func TestCancel(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	assert.Equal(t, 1, run(ctx, []string{host + "/a/b"}, &out, &errs))
	assert.Contains(t, errs.String(), "context canceled")
}

// broken is a pipe that nobody reads any more.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestClosedPipe(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	var errs bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{host + "/a/b"}, broken{}, &errs))
	assert.Empty(t, errs.String())
}

func TestDemo(t *testing.T) {
	stdout, stderr, status := command(t, "-demo")
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr)
	rows := lines(stdout)
	require.Len(t, rows, 1+len(demos))
	assert.Equal(t, "DIALECT REFERENCE TAGS REQUESTS TIME HOW", strings.Join(strings.Fields(rows[0]), " "))
	for i, d := range demos {
		assert.True(t, strings.HasPrefix(rows[i+1], d.dialect), rows[i+1])
		assert.Contains(t, rows[i+1], fmt.Sprint(" ", demoTags, " "))
	}
}
