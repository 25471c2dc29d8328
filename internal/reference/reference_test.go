package reference

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	for ref, want := range map[string]Repository{
		"ubuntu":                                        {"docker.io", "library/ubuntu", Unsaid},
		"ubuntu:24.04":                                  {"docker.io", "library/ubuntu", Unsaid},
		"ubuntu:24.04" + digest:                         {"docker.io", "library/ubuntu", Unsaid},
		"grafana/grafana":                               {"docker.io", "grafana/grafana", Unsaid},
		"docker.io/ubuntu":                              {"docker.io", "library/ubuntu", Unsaid},
		"index.docker.io/ubuntu":                        {"docker.io", "library/ubuntu", Unsaid},
		"registry-1.docker.io/library/ubuntu":           {"docker.io", "library/ubuntu", Unsaid},
		"ghcr.io/org/name":                              {"ghcr.io", "org/name", Unsaid},
		"GHCR.io/org/name":                              {"ghcr.io", "org/name", Unsaid},
		"ghcr.io/org/name" + digest:                     {"ghcr.io", "org/name", Unsaid},
		"localhost/a":                                   {"localhost", "a", Unsaid},
		"localhost:5000/a/b":                            {"localhost:5000", "a/b", Unsaid},
		"127.0.0.1:5000/a":                              {"127.0.0.1:5000", "a", Unsaid},
		"[::1]:5000/a":                                  {"[::1]:5000", "a", Unsaid},
		"[::1]/a:tag":                                   {"[::1]", "a", Unsaid},
		"oci://ghcr.io/org/name":                        {"ghcr.io", "org/name", Unsaid},
		"docker://ubuntu":                               {"docker.io", "library/ubuntu", Unsaid},
		"OCI://ghcr.io/org/name:1":                      {"ghcr.io", "org/name", Unsaid},
		"https://docker.io/nginx":                       {"docker.io", "library/nginx", HTTPS},
		"https://docker.io/org/name:1":                  {"docker.io", "org/name", HTTPS},
		"registry.hub.docker.com/nginx":                 {"docker.io", "library/nginx", Unsaid},
		"https://registry.hub.docker.com/library/nginx": {"docker.io", "library/nginx", HTTPS},
		"oci://index.docker.io/nginx":                   {"docker.io", "library/nginx", Unsaid},
		"oci+http://registry.lan:5000/a":                {"registry.lan:5000", "a", HTTP},
		"oci+https://registry.lan/a":                    {"registry.lan", "a", HTTPS},
		"ghcr.io./org/name":                             {"ghcr.io", "org/name", Unsaid},
		"registry.lan.:5000/a":                          {"registry.lan:5000", "a", Unsaid},
		"https://ghcr.io/org/name":                      {"ghcr.io", "org/name", HTTPS},
		"http://localhost:5000/a":                       {"localhost:5000", "a", HTTP},
		"http://registry/a:1":                           {"registry", "a", HTTP},
		"http://[::1]:5000/a":                           {"[::1]:5000", "a", HTTP},
		"host:65535/a__b/c-d/e.f":                       {"host:65535", "a__b/c-d/e.f", Unsaid},
		"registry.example/" + strings.Repeat("a", 255):  {"registry.example", strings.Repeat("a", 255), Unsaid},
	} {
		got, err := Parse(ref)
		require.NoError(t, err, "Parse(%q)", ref)
		assert.Equal(t, want, got, "Parse(%q)", ref)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, ref := range []string{
		"", " ", "/", "a/", "/a", "ghcr.io/", "ghcr.io//a", "ghcr.io/a//b", "ghcr.io/a/", "ghcr.io/../a", "ghcr.io/a/..", "ghcr.io/./a",
		"ghcr.io/%2e%2e/a", "ghcr.io/a?n=1", "ghcr.io/a#x", "ghcr.io/a b", "ghcr.io/a\r\nb", "ghcr.io/a\x00", "ghcr.io/A/b", "UBUNTU",
		"ghcr.io/a@", "ghcr.io/a:", "ghcr.io/a:b:c", "ghcr.io/a@sha256:0", "ghcr.io/a@md5:" + strings.Repeat("0", 32),
		"ghcr.io/" + strings.Repeat("a", 256), "host:0/a", "host:65536/a", "host:99999/a", "host:/a", "host:x/a",
		"bob:pw@ghcr.io/a", "bob@ghcr.io/a", "https://bob:pw@ghcr.io/a", "ftp://ghcr.io/a", "file:///etc/passwd", "//ghcr.io/a",
		"https://ubuntu", "http://", "https:///a", "https://ghcr.io/a?x=1", "http://http://ghcr.io/a", "gһcr.io/a", "[::1%25eth0]/a", "[::1%eth0]:5000/a",
		"http://host:0/a", "[1::2::3]/a", "[::1::2]:5000/a", "[1::2::3]:80/a", "ghcr.io../a", "https://ghcr.io/../a", "http://-host/a", "a_b.c/d", strings.Repeat("a/", 1000) + "a",
	} {
		_, err := Parse(ref)
		require.Error(t, err, "Parse(%q)", ref)
		assert.NotContains(t, err.Error(), "pw", "Parse(%q)", ref)
	}
}

func TestAddress(t *testing.T) {
	assert.Equal(t, "registry-1.docker.io", Repository{Host: "docker.io"}.Address())
	assert.Equal(t, "ghcr.io", Repository{Host: "ghcr.io"}.Address())
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.1.2.3:80": true, "[::1]": true, "[::1]:5000": true, "::1": true, "[::ffff:127.0.0.1]": true,
		"localhost.example": false, "128.0.0.1": false, "0.0.0.0": false, "2130706433": false, "[::2]": false, "": false, "10.0.0.1:5000": false,
	} {
		assert.Equal(t, want, Loopback(host), "Loopback(%q)", host)
	}
}

// What is accepted has a host and a name that can stand in a URL as they are,
// and reads as itself again.
func FuzzParse(f *testing.F) {
	for _, ref := range []string{"ubuntu", "ghcr.io/org/name:1", "http://[::1]:5000/a", "localhost:5000/a@sha256:0", "a//b", "h:0/a", "x://y/z", "0_0.o/o"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		repo, err := Parse(ref)
		if err != nil {
			return
		}
		require.NotEmpty(t, repo.Host)
		require.NotEmpty(t, repo.Name)
		require.Empty(t, strings.Trim(repo.Name, "abcdefghijklmnopqrstuvwxyz0123456789._-/"))
		require.Empty(t, strings.Trim(repo.Host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]"))
		require.NotContains(t, repo.Name, "//")
		require.NotContains(t, "/"+repo.Name+"/", "/../")
		again, err := Parse("https://" + repo.String())
		require.NoError(t, err, "%q", repo)
		require.Equal(t, repo.String(), again.String())
	})
}
