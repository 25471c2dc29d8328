package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/readme"
	"github.com/ocitags/ocitags/internal/regtest"
)

// serve starts a registry with 250 tags in a/b, and returns it and its host.
func serve(t *testing.T, profile string) (*regtest.Registry, string) {
	t.Helper()
	return serveWith(t, profile, nil)
}

// serveWith is serve for what other processes ask: its faults are there first.
func serveWith(t *testing.T, profile string, fault func(k int, req *http.Request) regtest.Fault) (*regtest.Registry, string) {
	t.Helper()
	r := regtest.New(regtest.ByName(profile))
	r.Fault = fault
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
	status = run(t.Context(), args, strings.NewReader(""), &out, &errs)
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
	_, host := serve(t, "gitlab-c")
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
		r, host := serve(t, "gitlab-c")
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Query().Has("last") {
				return regtest.Fault{Status: 400}
			}
			return regtest.Fault{}
		}
		for _, flag := range []string{"-json", "-count", "-v=false"} {
			stdout, stderr, status := command(t, flag, "-n", "100", host+"/a/b")
			assert.Equal(t, 1, status)
			assert.NotContains(t, stdout, `"complete":true`)
			assert.Contains(t, stderr, "page 2: ")
			switch flag {
			case "-count":
				assert.Empty(t, stdout, "no number that could be taken for the count")
			case "-json":
				records := lines(stdout)
				require.Len(t, records, 101)
				assert.Contains(t, records[100], `{"complete":false,"error":"listing tags of `+host+`/a/b: page 2: `)
			default:
				assert.Len(t, lines(stdout), 100)
			}
		}
	})
}

func TestUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing": {}, "unknown flag": {"-x", "a"}, "bad number": {"-n", "x", "a"}, "bad time": {"-timeout", "-1s", "a"},
		"bad concurrency": {"-c", "-1", "a"}, "demo and a reference": {"-demo", "a"}, "version and a reference": {"-version", "a"}, "bad reference": {"a//b"},
	} {
		stdout, stderr, status := command(t, args...)
		assert.Equal(t, 2, status, name)
		assert.Empty(t, stdout, name)
		assert.NotEmpty(t, stderr, name)
	}
	stdout, stderr, status := command(t, "-h")
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr, "it was asked for")
	newFlags(new(options)).VisitAll(func(fl *flag.Flag) {
		assert.Contains(t, stdout, "\n  "+synopsis(fl)+"\n")
	})
}

var update = flag.Bool("update", false, "rewrite the README's part")

// docs/command.md shows the usage.
func TestReadmeUsage(t *testing.T) {
	stdout, _, _ := command(t, "-h")
	want := "```\n" + stdout + "```\n"
	const file = readme.File("../../docs/command.md")
	if *update {
		require.NoError(t, file.Replace("usage", want))
	}
	part, err := file.Part("usage")
	require.NoError(t, err)
	assert.Equal(t, part, want, "run go test -update, and read the difference")
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	require.Len(t, demos, 13)
	assert.Contains(t, string(text), "-demo     # lists tags from thirteen kinds of registry")
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
		status := run(t.Context(), args, strings.NewReader(""), &out, &errs)
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

// -v tells of each request, of the dialect, of repairs, and why the list is
// complete.
func TestVerbose(t *testing.T) {
	r, host := serve(t, "quay311")
	r.Push("a/b", "-not-a-tag")
	_, stderr, status := command(t, "-v", "-c", "1", host+"/a/b")
	assert.Equal(t, 0, status)
	told := regexp.MustCompile(`[0-9.]+[µm]?s\n`).ReplaceAllString(strings.ReplaceAll(stderr, host, "HOST"), "TIME\n")
	const page = "ocitags: GET http://HOST/v2/a/b/tags/list?n=50&next_page=(opaque): 200, 50 tags, TIME\n"
	assert.Equal(t, "ocitags: GET http://HOST/v2/a/b/tags/list?n=1000: 200, 50 tags, TIME\n"+
		"ocitags: dialect: Link, whose cursor is the registry's own: it does not name the last tag of the page\n"+
		page+"ocitags: GET http://HOST/v2/a/b/tags/list: 200, 50 tags, TIME\n"+page+page+page+
		`ocitags: skipped an entry that is not a tag: outside the grammar for tags (entry "-not-a-tag")`+"\n"+
		"ocitags: GET http://HOST/v2/a/b/tags/list?n=50&next_page=(opaque): 200, 0 tags, 1 skipped, TIME\n"+
		"ocitags: complete: the last page has no Link (tags 250, pages 6)\n", told)
	assert.Equal(t, len(r.Requests()), strings.Count(stderr, ": GET "))

	// Without it, only what was repaired or skipped.
	_, stderr, _ = command(t, host+"/a/b")
	assert.Len(t, lines(stderr), 1)
}

// The story of a registry that wants a token, redirects and fails at first.
func TestVerboseTrouble(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	r.Auth = &regtest.Auth{}
	r.Push("library/b", r.Tags("a/b")...)
	r.Fault = func(k int, req *http.Request) regtest.Fault {
		if k == 1 {
			return regtest.Fault{Drop: true}
		}
		return regtest.Fault{}
	}
	r.Profile.Redirect = func(req *http.Request) (int, string) {
		if strings.Contains(req.URL.Path, "/a/b/") {
			return 307, strings.Replace(req.URL.Path, "/a/b/", "/library/b/", 1)
		}
		return 0, ""
	}
	_, stderr, status := command(t, "-v", "-c", "1", host+"/a/b")
	assert.Equal(t, 0, status)
	for _, line := range []string{
		"/v2/a/b/tags/list?n=1000: EOF, ",
		"ocitags: trying again: GET http://" + host + "/v2/a/b/tags/list: EOF (wait ",
		"ocitags: authorization is asked for (scheme bearer, as anonymous)\n",
		"ocitags: asking for a token (scope repository:a/b:pull)\n",
		"ocitags: GET http://" + host + "/token: 200, ",
		"200, 250 tags, redirected to http://" + host + "/v2/library/b/tags/list?n=1000, ",
	} {
		assert.Contains(t, stderr, line)
	}
}

func TestCancel(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	assert.Equal(t, 1, run(ctx, []string{host + "/a/b"}, nil, &out, &errs))
	assert.Contains(t, errs.String(), "context canceled")
}

func TestTimeout(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Delay: time.Hour} }
	_, stderr, status := command(t, "-timeout", "10ms", host+"/a/b")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, ": context deadline exceeded: -timeout 10ms has passed\n")
}

// broken is a pipe that nobody reads any more.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestClosedPipe(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	var errs bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{host + "/a/b"}, nil, broken{}, &errs))
	assert.Empty(t, errs.String())
}

func TestVersion(t *testing.T) {
	stdout, stderr, status := command(t, "-version")
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr)
	assert.Regexp(t, `^ocitags \S+ go1\.\S+\n$`, stdout)
}

func TestDemo(t *testing.T) {
	stdout, stderr, status := command(t, "-demo")
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr)
	rows := lines(stdout)
	require.Len(t, rows, 1+len(demos)+3)
	assert.Equal(t, "DIALECT REFERENCE TAGS REQUESTS TIME ONE PAGE ONLY LINK HOW", strings.Join(strings.Fields(rows[0]), " "))
	for i, d := range demos {
		assert.True(t, strings.HasPrefix(rows[i+1], d.dialect), rows[i+1])
		assert.Contains(t, rows[i+1], fmt.Sprint(" ", demoTags, " "))
	}
}
