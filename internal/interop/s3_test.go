package interop

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"

	"github.com/ocitags/ocitags"
)

// freePort is one of loopback that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// program is the path of a program, without which the test is skipped, but in CI.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(name + " is not installed")
	}
	require.NoError(t, err)
	return path
}

// reachable waits until a server listens.
func reachable(t *testing.T, addr string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
}

// onS3 is distribution on an S3 that keeps its objects in dir/registry.
func onS3(t *testing.T) (host, dir string, requests *int) {
	t.Helper()
	gateway, addr := program(t, "versitygw"), freePort(t)
	dir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "registry"), 0o777))
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, gateway, "--port", addr, "--iam-dir", t.TempDir(), "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=testtest")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	reachable(t, addr)
	config, err := configuration.Parse(strings.NewReader(fmt.Sprintf(`
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  s3: {accesskey: test, secretkey: testtest, region: us-east-1, regionendpoint: "http://%s", bucket: registry, forcepathstyle: true, secure: false}
http: {secret: interop}
`, addr)))
	require.NoError(t, err)
	app := handlers.NewApp(context.Background(), config)
	t.Cleanup(func() { _ = app.Shutdown() })
	counted := &counter{Handler: app}
	s := httptest.NewServer(counted)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), dir, &counted.requests
}

// distribution 3.1.2 on S3 sorts by object keys and goes on with what is greater
// than last, so that its pages lose tags: by any page size all of them come.
func TestDistribution312OnS3(t *testing.T) {
	host, dir, requests := onS3(t)
	hidden := []string{"u-1", "u"} // a disorder that no page shows
	for i := range 999 {
		hidden = append(hidden, fmt.Sprintf("t%04d", i))
	}
	for i := range 500 {
		hidden = append(hidden, fmt.Sprintf("v%04d", i))
	}
	for name, tags := range map[string][]string{
		"demo/small":  {"a", "a-1", "a-1-x", "a.1", "a0", "a_1"},
		"demo/hidden": hidden,
		"demo/many":   many(t),
	} {
		for _, tag := range tags {
			at := filepath.Join(dir, "registry", "docker", "registry", "v2", "repositories", filepath.FromSlash(name), "_manifests", "tags", tag, "current")
			require.NoError(t, os.MkdirAll(at, 0o777))
			require.NoError(t, os.WriteFile(filepath.Join(at, "link"), []byte("sha256:"+strings.Repeat("0", 64)), 0o666))
		}
		slices.Sort(tags)
		for _, pageSize := range []int{0, -1, 1, 2, 3, 50, 999, 1000, 1001} {
			if pageSize > 0 && len(tags)/pageSize > 60 {
				continue // a page takes this gateway as long as the whole list
			}
			for _, concurrency := range []int{0, 1} {
				c := &ocitags.Client{PageSize: pageSize, Concurrency: concurrency, Credentials: ocitags.Anonymous}
				*requests = 0
				got, err := c.ListTags(t.Context(), host+"/"+name)
				require.NoError(t, err)
				assert.True(t, slices.Equal(tags, got), "%s, PageSize %d, Concurrency %d: %d of %d tags", name, pageSize, concurrency, len(got), len(tags))
				if pageSize == 0 {
					assert.LessOrEqual(t, *requests, 3, name)
					*requests = 0
					got, err = c.ListTags(t.Context(), host+"/"+name)
					require.NoError(t, err)
					assert.True(t, slices.Equal(tags, got), name)
					assert.Equal(t, 1, *requests, "%s: it sends everything", name)
				}
			}
		}
	}
}
