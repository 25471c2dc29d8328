package conformance

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/dockerconfig/configtest"
	"github.com/ocitags/ocitags/internal/regtest"
)

// FAULTS 120.
func TestCredentialHidesItsSecrets(t *testing.T) {
	c := ocitags.Credential{Username: "bob", Password: secret, RefreshToken: secret, AccessToken: secret}
	type holder struct {
		Name string
		Of   ocitags.Credential
		At   *ocitags.Credential
	}
	h := holder{"x", c, &c}
	values := []any{c, &c, h, &h, []ocitags.Credential{c}, map[string]ocitags.Credential{"k": c}, map[ocitags.Credential]int{c: 1}, [1]holder{h}, struct{ Any any }{c}}
	var texts []string
	for _, value := range values {
		// Not %p and %w, which are mistakes there: package fmt then prints what it
		// finds, and go vet says so.
		for _, verb := range "vdbcoqxXUeEfFgGst" {
			for _, flags := range []string{"", "+", "#", " ", "-40.60"} {
				texts = append(texts, fmt.Sprintf("%"+flags+string(verb), value))
			}
		}
		texts = append(texts, fmt.Sprint(value))
		if _, isMap := value.(map[ocitags.Credential]int); !isMap {
			text, err := json.Marshal(value)
			require.NoError(t, err)
			texts = append(texts, string(text))
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value, slog.Group("g", "value", value))
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value, slog.Group("g", "value", value))
		texts = append(texts, log.String())
	}
	texts = append(texts, fmt.Errorf("with %v", c).Error())
	for _, text := range texts {
		for _, hidden := range []string{secret, "bob", fmt.Sprintf("%x", secret), fmt.Sprintf("%x", "bob"), fmt.Sprintf("%X", "bob")} {
			assert.NotContains(t, text, hidden)
		}
	}
	assert.Equal(t, "user name, password, refresh token, access token", c.String())
	assert.Equal(t, "anonymous", ocitags.Credential{}.String())

	// What the Client keeps holds none either.
	r, network := registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: secret})
	client := withCredentials(network, ocitags.StaticCredential("registry.example", user))
	mustList(t, client, ref, r, "a/b")
	client.Transport = nil
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		text := fmt.Sprintf(verb, client)
		assert.NotContains(t, text, secret)
		assert.NotContains(t, text, "bob")
	}
}

func TestStaticCredential(t *testing.T) {
	find := ocitags.StaticCredential("Registry.example:5000", user)
	for host, want := range map[string]ocitags.Credential{
		"registry.example:5000": user, "REGISTRY.example:5000": user, "registry.example": {}, "registry.example:5001": {}, "sub.registry.example:5000": {},
	} {
		got, err := find(t.Context(), host, "a/b")
		require.NoError(t, err)
		assert.Equal(t, want, got, host)
	}
}

// A public list is read without a credential helper that is not installed, and a
// refusal names it.
func TestCredentialHelperIsMissing(t *testing.T) {
	for _, text := range []string{`{"credsStore":"is-not-there"}`, `{"credHelpers":{"https://REGISTRY.example/":"is-not-there"}}`} {
		configtest.Home(t, map[string]string{".docker/config.json": text})
		r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
		mustList(t, &ocitags.Client{Transport: network}, ref, r, "a/b")
		_, network = registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: secret})
		_, err := (&ocitags.Client{Transport: network}).ListTags(t.Context(), ref)
		require.ErrorIs(t, err, ocitags.ErrUnauthorized)
		require.ErrorContains(t, err, "docker-credential-is-not-there")
	}
}
