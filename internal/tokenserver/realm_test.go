package tokenserver

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/ocierr"
)

func TestRealm(t *testing.T) {
	yes, no := func(*url.URL) bool { return true }, func(*url.URL) bool { return false }
	const registry = "https://registry.example.com/v2/a/b/tags/list"
	for _, test := range []struct {
		realm, from string
		secret      bool
		allow       func(*url.URL) bool
		refused     string // why; "": it is not
		allowed     bool
	}{
		{realm: "https://registry.example.com/token", from: registry, secret: true},
		{realm: "/token?a=b", from: registry, secret: true}, // relative, as RFC 3986 has it
		{realm: "https://auth.example.com/token", from: registry, secret: true},
		{realm: "https://auth.example.net/token", from: registry},
		{realm: "https://auth.example.net/token", from: registry, secret: true, refused: "is in a different domain"},
		{realm: "https://auth.example.net/token", from: registry, secret: true, allow: yes, allowed: true},
		{realm: "https://auth.example.com/token", from: registry, secret: true, allow: no, refused: "is refused by Client.AllowRealm"},
		{realm: "https://auth.example.com/token", from: registry, allow: no}, // it is not asked
		{realm: "https://192.0.2.1/token", from: registry, refused: "is neither at the registry nor at a public name"},
		{realm: "https://localhost/token", from: registry, refused: "is neither at the registry nor at a public name"},
		{realm: "https://192.0.2.1/token", from: registry, allow: yes, allowed: true},
		{realm: "http://registry.example.com/token", from: registry, refused: "would be asked in clear text"},
		{realm: "http://registry.example.com/token", from: registry, allow: yes, allowed: true},
		{realm: "http://localhost:5001/token", from: "http://localhost:5000/v2/", secret: true},
		{realm: "", from: registry, refused: "is empty"},
		{realm: "https://%zz", from: registry, refused: "cannot be parsed"},
		{realm: "ftp://registry.example.com/", from: registry, allow: yes, refused: "is not an http or https URL with a host"},
		{realm: "https:///token", from: registry, allow: yes, refused: "is not an http or https URL with a host"},
		{realm: "https://user@registry.example.com/token", from: registry, allow: yes, refused: "has user-info or a fragment"},
		{realm: "https://registry.example.com/token#", from: registry, allow: yes, refused: "has user-info or a fragment"},
		{realm: "/" + strings.Repeat("a", MaxRealm), from: registry, allow: yes, refused: "has a URL of more than 8192 bytes"},
	} {
		from, err := url.Parse(test.from)
		require.NoError(t, err)
		realm, allowed, err := Realm(test.realm, from, test.secret, test.allow)
		assert.Equal(t, test.allowed, allowed, "%q", test.realm)
		if test.refused == "" {
			if assert.NoError(t, err, "%q", test.realm) {
				assert.True(t, realm.IsAbs(), "%q", test.realm)
			}
			continue
		}
		require.ErrorIs(t, err, ocierr.ErrUnsafeLink, "%q", test.realm)
		assert.ErrorContains(t, err, test.refused)
		assert.NotContains(t, err.Error(), "?")
	}
}
