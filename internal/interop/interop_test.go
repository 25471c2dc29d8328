package interop

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

const repo = "demo/many"

// TestMain keeps the servers quiet.
func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// many are 2,500 mixed tags: packages, versions, hashes, case twins.
func many(t *testing.T) (tags []string) {
	t.Helper()
	all, err := regtest.Transcript(filepath.Join("..", "..", "testdata", "transcripts", "distribution3"))
	require.NoError(t, err)
	for _, rec := range all {
		if strings.HasPrefix(rec.Name, "15b-walk1000") {
			tags = append(tags, rec.Tags()...)
		}
	}
	require.Len(t, tags, 2500)
	slices.Sort(tags)
	return tags
}

// A server is a real registry on loopback with all tags in demo/many.
type server struct {
	host string // with its port
	user *url.Userinfo
}

// serve starts h, and pushes the tags into it.
func serve(t *testing.T, h http.Handler, user *url.Userinfo) server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	srv := server{strings.TrimPrefix(s.URL, "http://"), user}
	srv.push(t, many(t))
	return srv
}

// push tags one empty image again and again.
func (s server) push(t *testing.T, tags []string) {
	t.Helper()
	require.NoError(t, regtest.PushTo(t.Context(), &url.URL{Scheme: "http", Host: s.host, User: s.user}, repo, tags))
}

// The versions that are told are those of go.mod, or of the package.
func TestVersions(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	for profile, module := range map[string]string{
		"dist312": "distribution/distribution/v3", "ggcr": "google/go-containerregistry",
		"cuelabs": "cuelabs.dev/go/oci/ociregistry", "cuelabs-max": "cuelabs.dev/go/oci/ociregistry",
	} {
		assert.Regexp(t, regexp.QuoteMeta(module)+` v\S*`+regexp.QuoteMeta(regtest.Real[profile]), string(text))
	}
	if binary, err := exec.LookPath("docker-registry"); err == nil {
		out, err := exec.CommandContext(t.Context(), binary, "--version").Output()
		require.NoError(t, err)
		assert.Contains(t, string(out), strings.TrimPrefix(regtest.Real["dist28"], "Debian's "))
	}
}

// lists checks that all tags come, whatever the page size, and how many
// requests that takes by default: as many as the profile that stands for it.
func (s server) lists(t *testing.T, profile string, want []string, pages int) {
	t.Helper()
	assert.Contains(t, regtest.Real, profile)
	mock := regtest.New(regtest.ByName(profile)).Push(repo, want...)
	tags, err := (&ocitags.Client{Transport: new(regtest.Network).Handle("registry.example", mock), Concurrency: 1}).ListTags(t.Context(), "registry.example/"+repo)
	require.NoError(t, err)
	require.Equal(t, want, tags)
	answered := 0
	for _, req := range mock.Requests() {
		if req.Status == http.StatusOK {
			answered++
		}
	}
	assert.Equal(t, pages, answered, "pages of the mock")
	for _, size := range []int{0, -1, 100, 250, 999, 1250, 2499, 2500, 2501} {
		t.Run(fmt.Sprintf("page size %d", size), func(t *testing.T) {
			for _, concurrency := range []int{1, 0, 8} {
				n := 0
				c := &ocitags.Client{PageSize: size, Concurrency: concurrency, Credentials: ocitags.Anonymous, OnPage: func(ocitags.Page) { n++ }}
				if s.user != nil {
					password, _ := s.user.Password()
					c.Credentials = ocitags.StaticCredential(s.host, ocitags.Credential{Username: s.user.Username(), Password: password})
				}
				tags, err := c.ListTags(t.Context(), s.host+"/"+repo)
				require.NoError(t, err)
				require.Equal(t, want, tags)
				if size == 0 && concurrency == 1 {
					assert.Equal(t, pages, n, "pages")
				}
			}
		})
	}
	_, err = (&ocitags.Client{Credentials: ocitags.Anonymous}).ListTags(t.Context(), s.host+"/no/such")
	if s.user != nil {
		require.ErrorIs(t, err, ocitags.ErrUnauthorized)
	} else {
		require.ErrorIs(t, err, ocitags.ErrNotFound)
	}
}

func distribution(t *testing.T, auth string) http.Handler {
	t.Helper()
	config, err := configuration.Parse(strings.NewReader(fmt.Sprintf(`
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {secret: interop}
%s`, t.TempDir(), auth)))
	require.NoError(t, err)
	app := handlers.NewApp(context.Background(), config)
	t.Cleanup(func() { _ = app.Shutdown() })
	return app
}

func TestDistribution312(t *testing.T) {
	s := serve(t, distribution(t, ""), nil)
	s.lists(t, "dist312", many(t), 3)
	t.Run("command", func(t *testing.T) { s.command(t) })
}

// command runs the command as a user would, and counts its lines.
func (s server) command(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", "github.com/ocitags/ocitags/cmd/ocitags", "-plain-http", s.host+"/"+repo)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	slices.Sort(lines)
	assert.Equal(t, many(t), lines)
}

func TestDistribution312WithBasicAuth(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "htpasswd")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "bob:%s\n", hash), 0o600))
	s := serve(t, distribution(t, fmt.Sprintf("auth: {htpasswd: {realm: interop, path: %q}}", file)), url.UserPassword("bob", "s3cret"))
	s.lists(t, "dist312", many(t), 3)

	_, err = (&ocitags.Client{Credentials: ocitags.StaticCredential(s.host, ocitags.Credential{Username: "bob", Password: "wrong"})}).ListTags(t.Context(), s.host+"/"+repo)
	require.ErrorIs(t, err, ocitags.ErrUnauthorized)
	assert.Contains(t, err.Error(), "was sent")
}

// Debian's package of distribution 2.8.2 ignores n, and lists in the order of
// the directory.
func TestDebianDockerRegistry(t *testing.T) {
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has to install docker-registry")
		}
		t.Skip("docker-registry is not installed: apt-get install docker-registry")
	}
	// It does not tell which port it was given, so one that was free a moment ago.
	probe := httptest.NewServer(nil)
	host := strings.TrimPrefix(probe.URL, "http://")
	probe.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), host), 0o600))
	cmd := exec.CommandContext(t.Context(), binary, "serve", file)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)

	s := server{host: host}
	s.push(t, many(t))
	s.lists(t, "dist28", many(t), 1) // 2,500 at once, which is more than was asked for
}

func TestGoContainerRegistry(t *testing.T) {
	s := serve(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))), nil)
	s.lists(t, "ggcr", many(t), 3) // no Link: two full pages, and the list without n
}

func TestCuelabs(t *testing.T) {
	s := serve(t, ociserver.New(ocimem.New(), nil), nil)
	s.lists(t, "cuelabs", many(t), 3) // it honours 10,000, and is asked what comes after that
}

func TestCuelabsWithMaxListPageSize(t *testing.T) {
	s := serve(t, ociserver.New(ocimem.New(), &ociserver.Options{MaxListPageSize: 100}), nil)
	s.lists(t, "cuelabs-max", many(t), 3) // two pages, and the list without n, which has no limit
}
