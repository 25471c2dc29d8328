package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/regtest"
)

// commandWith is command with a standard input.
func commandWith(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), status
}

func TestFilters(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	sig := "sha256-" + strings.Repeat("0a", 32) + ".sig"
	r.Push("a/b", "latest", sig, "sha256-notes", "sha512-"+strings.Repeat("0a", 32))
	for want, args := range map[string][]string{
		"v010 v011 v012 v013 v014 v015 v016 v017 v018 v019": {"-prefix", "v01"},
		"v015 v016 v017 v018 v019":                          {"-prefix", "v01", "-after", "v014"},
		"v248 v249":                                         {"-after", "v247"},
		"v007 v077":                                         {"-include", "^v0.?7$", "-exclude", "[1-689]"},
		"latest v000":                                       {"-include", "est$", "-include", "^v000$"},
		"latest sha256-notes":                               {"-omit-digest-tags", "-exclude", "^v"},
		"latest":                                            {"-limit", "1"},
		host + "/a/b:v249":                                  {"-full-ref", "-after", "v248"},
		"":                                                  {"-prefix", "none"},
	} {
		stdout, stderr, status := command(t, append([]string{host + "/a/b"}, args...)...)
		assert.Equal(t, 0, status, "%v", args)
		assert.Empty(t, stderr, "%v", args)
		assert.Equal(t, want, strings.Join(strings.Fields(stdout), " "), "%v", args)
	}
}

// -limit takes no more requests than one at a time would, and says with -json that it
// has ended the list.
func TestLimit(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	for limit, requests := range map[string]int{"1": 1, "100": 1, "101": 2, "249": 3} {
		r.Forget()
		stdout, _, status := command(t, "-n", "100", "-limit", limit, host+"/a/b")
		assert.Equal(t, 0, status)
		assert.Len(t, lines(stdout), map[string]int{"1": 1, "100": 100, "101": 101, "249": 249}[limit])
		assert.Len(t, r.Requests(), requests, limit)
	}
	stdout, _, _ := command(t, "-json", "-limit", "1", host+"/a/b")
	assert.Equal(t, []string{`{"tag":"v000"}`, `{"complete":false,"tags":1,"limited":true}`}, lines(stdout))
	stdout, _, _ = command(t, "-json", "-limit", "251", host+"/a/b")
	assert.Equal(t, `{"complete":true,"tags":250}`, lines(stdout)[250], "the list ended before")
}

// Several references are listed one after the other, each tag behind the name of its
// repository; one that fails does not keep the others from it.
func TestSeveralReferences(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	r.Push("c/d", "x", "y")
	r.Push("e/f", "z")
	one, two, none := host+"/c/d", host+"/e/f", host+"/no/such"
	want := []string{one + ":x", one + ":y", two + ":z"}
	for name, run := range map[string]func() (string, string, int){
		"arguments":               func() (string, string, int) { return command(t, one+":tag", two) },
		"with flags behind":       func() (string, string, int) { return command(t, one, two, "-anonymous", "-c", "1") },
		"on standard input":       func() (string, string, int) { return commandWith(t, one+"\n\n  "+two+" \n", "-") },
		"both":                    func() (string, string, int) { return commandWith(t, two, one, "-") },
		"behind the end of flags": func() (string, string, int) { return command(t, "-c", "1", "--", one, two) },
	} {
		stdout, stderr, status := run()
		assert.Equal(t, 0, status, name)
		assert.Empty(t, stderr, name)
		assert.Equal(t, want, lines(stdout), name)
	}

	stdout, stderr, status := command(t, one, none, two)
	assert.Equal(t, 1, status)
	assert.Equal(t, want, lines(stdout))
	assert.Len(t, lines(stderr), 1)
	assert.Contains(t, stderr, "listing tags of "+none+": ")

	stdout, _, status = command(t, "-json", one, none)
	assert.Equal(t, 1, status)
	records := lines(stdout)
	require.Len(t, records, 4)
	assert.Equal(t, fmt.Sprintf(`{"repository":%q,"tag":"x"}`, one), records[0])
	assert.Equal(t, fmt.Sprintf(`{"repository":%q,"complete":true,"tags":2}`, one), records[2])
	var last record
	require.NoError(t, json.Unmarshal([]byte(records[3]), &last))
	assert.Equal(t, none, last.Repository)
	assert.False(t, *last.Complete)
	assert.Contains(t, last.Error, "NAME_UNKNOWN")

	stdout, _, status = command(t, "-count", one, two)
	assert.Equal(t, 0, status)
	assert.Equal(t, []string{"2 " + one, "1 " + two}, lines(stdout))

	before := len(r.Requests())
	stdout, stderr, status = command(t, one, "x.test/UPPER", two)
	assert.Equal(t, 2, status)
	assert.Empty(t, stdout, "nothing is asked where a reference is wrong")
	assert.Contains(t, stderr, `write "x.test/upper"`)
	assert.Len(t, r.Requests(), before)
	stdout, stderr, status = commandWith(t, one+"\na//b\n"+two, "-")
	assert.Equal(t, 2, status)
	assert.Equal(t, want, lines(stdout))
	assert.Contains(t, stderr, "a//b")
}

// -o replaces a file by a complete list, and by nothing else.
func TestOutputFile(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	var failing atomic.Bool // the server may still see a request of a command that has ended
	r.Fault = func(_ int, req *http.Request) regtest.Fault {
		if failing.Load() && req.URL.Query().Has("last") {
			return regtest.Fault{Status: 400}
		}
		return regtest.Fault{}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "tags")
	content := func() string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	stdout, stderr, status := command(t, "-o", path, host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Empty(t, stdout+stderr)
	assert.Equal(t, r.Tags("a/b"), lines(content()))

	require.NoError(t, os.WriteFile(path, []byte("before\n"), 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("tags", link))
	failing.Store(true)
	_, stderr, status = command(t, "-n", "100", "-o", path, host+"/a/b")
	assert.Equal(t, 1, status)
	assert.NotEmpty(t, stderr)
	assert.Equal(t, "before\n", content())
	failing.Store(false)
	_, _, status = command(t, "-o", path, host+"/a/b", host+"/no/such")
	assert.Equal(t, 1, status)
	assert.Equal(t, "before\n", content())
	_, _, status = command(t, "-o", link, "-count", host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Equal(t, "250\n", content(), "a link is followed")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "nothing else is left")

	for _, wrong := range []string{dir, "/dev/null", filepath.Join(dir, "none", "tags")} {
		_, stderr, status = command(t, "-o", wrong, host+"/a/b")
		assert.Equal(t, 2, status, wrong)
		assert.Contains(t, stderr, "-o", wrong)
	}
}

func TestUser(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	r.Auth = &regtest.Auth{Username: "bob", Password: "s3cret"}
	stdout, stderr, status := commandWith(t, "s3cret\n", "-v", "-u", "bob", "-password-stdin", "-count", host+"/a/b")
	assert.Equal(t, 0, status, stderr)
	assert.Equal(t, "250\n", stdout)
	assert.NotContains(t, stderr, "s3cret")
	_, stderr, status = commandWith(t, "wrong\n", "-u", "bob", "-password-stdin", host+"/a/b")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "401")
	_, stderr, status = commandWith(t, "\n", "-u", "bob", "-password-stdin", host+"/a/b")
	assert.Equal(t, 2, status)
	assert.Contains(t, stderr, "standard input is empty")

	file := filepath.Join(t.TempDir(), "auth.json")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"auths":{%q:{"username":"bob","password":"s3cret"}}}`, host), 0o600))
	stdout, _, status = command(t, "-authfile", file, "-count", host+"/a/b")
	assert.Equal(t, 0, status)
	assert.Equal(t, "250\n", stdout)
	_, stderr, status = command(t, "-authfile", file+".none", host+"/a/b")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "auth.json.none")
}

// A registry with a certificate of its own, which asks for one.
func TestCertificates(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", "x")
	server := httptest.NewTLSServer(r)
	defer server.Close()
	ref := "https://" + strings.TrimPrefix(server.URL, "https://") + "/a/b"
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	_, stderr, status := command(t, ref)
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "certificate")
	for _, args := range [][]string{{"-cacert", ca}, {"-insecure"}} {
		stdout, stderr, status := command(t, append(args, ref)...)
		assert.Equal(t, 0, status, stderr)
		assert.Equal(t, "x\n", stdout)
	}
	for _, args := range [][]string{{"-cacert", ca + ".none"}, {"-cacert", os.Args[0]}, {"-cert", ca, "-key", ca}} {
		_, stderr, status := command(t, append(args, ref)...)
		assert.Equal(t, 2, status, "%v", args)
		assert.Contains(t, stderr, args[0], "%v", args)
	}
}

// -allow-realm lets token servers in other domains see the credential, beside those
// that may see it anyway.
func TestAllowRealm(t *testing.T) {
	o, err := parse([]string{"-allow-realm", "Auth.Example", "-allow-realm", "other.test:8443", "registry.example/a"})
	require.NoError(t, err)
	c, err := newClient(o, nil)
	require.NoError(t, err)
	for realm, want := range map[string]bool{
		"https://auth.example/token":           true,
		"https://other.test:8443/token":        true,
		"https://other.test/token":             false,
		"https://auth.registry.example/token":  true,
		"https://registry.example:9000/token":  true,
		"https://somewhere.else.test/token":    false,
		"http://auth.example/token":            false,
		"http://registry.example/token":        false,
		"https://auth.example.evil.test/token": false,
	} {
		u, err := url.Parse(realm)
		require.NoError(t, err)
		assert.Equal(t, want, c.AllowRealm("registry.example", u), realm)
	}
	assert.Equal(t, "x; use -allow-realm HOST to send it credentials", inFlags.Replace("x; set Client.AllowRealm to send it credentials"))
}

// Bad usage says what to write instead.
func TestWhatToWrite(t *testing.T) {
	for args, says := range map[string]string{
		"":                                  "or - to read them",
		"-prefx v1 a":                       "did you mean -prefix?",
		"-jsn a":                            "did you mean -json?",
		"-omit a":                           "did you mean -omit-digest-tags?",
		"-quiet a":                          "ocitags -h lists them",
		"-n x a":                            "write -n N: page size: N tags",
		"-timeout 5 a":                      "write -timeout TIME: give up",
		"-limit":                            "write -limit N: stop after",
		"-include [ a":                      "write -include RE: only tags",
		"-c -1 a":                           "write -c 0",
		"-limit -1 a":                       "write -limit 0",
		"-timeout -1s a":                    "write -timeout 0",
		"-u bob a":                          "write -password-stdin",
		"-password-stdin a":                 "write -u USER",
		"-u bob -password-stdin -":          "write the references as arguments",
		"-u bob -password-stdin a x.test/b": "-u is for one registry",
		"-anonymous -authfile x a":          "exclude each other",
		"-cert x a":                         "-cert and -key need each other",
		"-count -limit 1 a":                 "leave out -limit",
		"-completion csh":                   "bash, zsh or fish",
		"-version a":                        "take no reference",
		"-allow-realm https://x/ a":         "a host name",
		"a//b":                              "write host/name",
	} {
		stdout, stderr, status := command(t, strings.Fields(args)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, stdout, args)
		assert.Contains(t, stderr, says, args)
		assert.Len(t, lines(stderr), 1, args)
	}
}

// Each flag is in one group, and so in the usage, the manual and the completions.
func TestFlagsAreInGroups(t *testing.T) {
	var grouped, all []string
	for _, group := range groups {
		grouped = append(grouped, group.flags...)
	}
	for _, f := range completedFlags() {
		all = append(all, f.name)
	}
	assert.Equal(t, grouped, all)
	defined := 0
	newFlags(new(options)).VisitAll(func(*flag.Flag) { defined++ })
	assert.Equal(t, defined, len(all))
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(all))), len(all))
}
