package ocitags

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/ocitags/ocitags/internal/dockerconfig"
)

// A Credential is what a registry knows a user by. The zero value is nobody.
// Where more than one is set, an AccessToken goes before a RefreshToken, and
// that before Username and Password. It prints without its secrets.
type Credential struct {
	Username, Password string
	RefreshToken       string // an identity token, for the token server: OAuth2's grant_type=refresh_token
	AccessToken        string // a registry token, sent to the registry itself as it is
}

// String names the parts that are set, and shows none of them: the user name may
// be a secret too (DigitalOcean has a token there).
func (c Credential) String() string {
	var parts []string
	if c.Username != "" {
		parts = append(parts, "user name")
	}
	if c.Password != "" {
		parts = append(parts, "password")
	}
	if c.RefreshToken != "" {
		parts = append(parts, "refresh token")
	}
	if c.AccessToken != "" {
		parts = append(parts, "access token")
	}
	if parts == nil {
		return "anonymous"
	}
	return strings.Join(parts, ", ")
}

// Format prints String for each verb, and so for a value that holds a Credential
// in an exported field, a slice or a map. It is not asked about unexported fields,
// nor for %p and %w, which go vet finds.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// GoString is String, for %#v of what is no fmt.Formatter's.
func (c Credential) GoString() string { return c.String() }

// MarshalText is String, so that JSON and the like hide the secrets too.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue is String, so that a log record hides the secrets too.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A CredentialFunc finds the credential for a repository. host is the registry
// as in the reference, with its port if one was given (docker.io for Docker
// Hub), repository the name there. The zero Credential stands for none; an
// error ends the listing. It is called at most once for each listing, when the
// registry asks, and must be safe for concurrent use.
//
// The key chains of other libraries make one in ten lines: those of
// go-containerregistry and oras-go are examples in internal/interop.
type CredentialFunc func(ctx context.Context, host, repository string) (Credential, error)

// Anonymous is the CredentialFunc that knows no credential.
func Anonymous(ctx context.Context, host, repository string) (Credential, error) {
	return Credential{}, nil
}

// StaticCredential gives cred for the registry host, and none for any other.
// The case of host does not matter, its port does: a credential for
// registry.example is not one for registry.example:5000. For Docker Hub host is
// docker.io.
func StaticCredential(host string, cred Credential) CredentialFunc {
	return func(_ context.Context, h, _ string) (Credential, error) {
		if strings.EqualFold(h, host) {
			return cred, nil
		}
		return Credential{}, nil
	}
}

// DefaultCredentials reads the files that docker login and podman login write
// and runs the credential helpers that they name, by the first of these that
// has an entry:
//
//   - $REGISTRY_AUTH_FILE
//   - $DOCKER_AUTH_CONFIG, which is the content of such a file
//   - $DOCKER_CONFIG/config.json, or ~/.docker/config.json
//   - $XDG_RUNTIME_DIR/containers/auth.json, or without that variable
//     /run/containers/<uid>/auth.json
//   - $XDG_CONFIG_HOME/containers/auth.json, or ~/.config/containers/auth.json
//
// In each a helper for the host (credHelpers) comes first, then an entry
// (auths), of which the longest key wins, host/org/name, host/org or host, then
// the helper for all hosts (credsStore). A helper whose name is empty stands for
// the file. The entry for Docker Hub may be called docker.io, index.docker.io,
// registry-1.docker.io or, as docker login does, https://index.docker.io/v1/.
// Files that do not exist, are empty or are directories are passed over, those
// that cannot be read are errors. A helper is given 30 seconds. One that is not
// installed is an error where nothing else has an entry; a listing goes on as a
// stranger then, and tells of it if that is refused. Errors hold nothing of what
// a file or a helper said.
func DefaultCredentials(ctx context.Context, host, repository string) (Credential, error) {
	cred, err := dockerconfig.Find(ctx, host, repository)
	return Credential(cred), err
}
