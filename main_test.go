package ocitags

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/wire"
)

// TestMain lets the default transport lead to the mock registry for the hosts of the
// examples, and fails the tests if one of them leaves a goroutine behind. Nobody's own
// credentials are read for these hosts: the file that is named here is the first.
func TestMain(m *testing.M) {
	_ = os.Setenv("REGISTRY_AUTH_FILE", filepath.Join("testdata", "credentials.json"))
	real := defaultTransports()
	pools := wire.Pools{Own: exampleHosts{examples(), real.Own}, Elsewhere: exampleHosts{examples(), real.Elsewhere}}
	defaultTransports = func() wire.Pools { return pools }
	goleak.VerifyTestMain(m)
}

// exampleHosts is a transport for which some hosts are the mock registry.
type exampleHosts struct {
	*regtest.Network
	others http.RoundTripper
}

func (t exampleHosts) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.URL.Host {
	case "registry.gitlab.com", "registry.example":
		return t.Network.RoundTrip(req)
	}
	return t.others.RoundTrip(req)
}

// examples are the registries of the examples: a cache at GitLab with a tag for each
// package, and its index; and one behind a password.
func examples() *regtest.Network {
	cache := regtest.New(regtest.ByName("gitlab-c"))
	for i := range 250 {
		cache.Push("group/cache", fmt.Sprintf("zlib-1.3.1-%04d.spack", i))
	}
	cache.Push("group/cache", "index").Push("group/empty")
	private := regtest.New(regtest.ByName("gitlab-c")).Push("private/app", "1.0", "1.1")
	private.Auth = &regtest.Auth{Username: "robot", Password: "s3cret"}
	return new(regtest.Network).Handle("registry.gitlab.com", cache).Handle("registry.example", private)
}
