package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/token"
	"github.com/ocitags/ocitags/internal/tokenserver"
	"github.com/ocitags/ocitags/internal/wire"
)

// methods tells a conversation in brief.
func methods(r *regtest.Registry) (talk []string) {
	for _, req := range r.Requests() {
		path, _, _ := strings.Cut(req.URL, "?")
		auth, _, _ := strings.Cut(req.Header.Get("Authorization"), " ")
		talk = append(talk, strings.TrimSpace(fmt.Sprintf("%d %s %s %s", req.Status, req.Method, path, auth)))
	}
	return talk
}

// The list has upper case at the end of a page, so that one more request asks how
// the registry compares.
func TestTokens(t *testing.T) {
	const list = "/v2/a/b/tags/list"
	for _, test := range []struct {
		name, profile string
		auth          *regtest.Auth
		cred          ocitags.Credential
		want          []string
	}{
		{"anybody, with a token", "gitlab", &regtest.Auth{}, ocitags.Credential{},
			[]string{"401 GET " + list, "200 GET /token", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}},
		{"password for a token", "gitlab", &regtest.Auth{Username: "bob", Password: secret}, user,
			[]string{"401 GET " + list, "200 GET /token Basic", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}},
		{"refresh token by POST", "gitlab", &regtest.Auth{Username: "bob", Password: "x", RefreshToken: secret}, ocitags.Credential{RefreshToken: secret},
			[]string{"401 GET " + list, "200 POST /token", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}},
		{"Basic", "dist312", &regtest.Auth{Username: "bob", Password: secret, Basic: true}, user,
			[]string{"401 GET " + list, "200 GET " + list + " Basic", "200 GET " + list + " Basic", "200 GET " + list + " Basic", "200 GET " + list + " Basic"}},
		{"Harbor's empty access_token", "harbor", &regtest.Auth{}, ocitags.Credential{},
			[]string{"401 GET " + list, "200 GET /token", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}},
		{"Azure's access_token alone, and metadata_read", "acr", &regtest.Auth{}, ocitags.Credential{},
			[]string{"401 GET " + list, "200 GET /token", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}},
		{"Gitea's two challenges, and scope *", "gitea", &regtest.Auth{}, ocitags.Credential{},
			[]string{"401 GET " + list, "200 GET /token", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, network := registryWithAuth(t, test.profile, test.auth)
			c := withCredentials(network, ocitags.StaticCredential("registry.example", test.cred))
			mustList(t, c, ref, r, "a/b")
			assert.Equal(t, test.want, methods(r))
			for _, req := range r.Requests() {
				assert.NotContains(t, req.URL, secret)
			}

			r.Forget()
			mustList(t, c, ref, r, "a/b")
			assert.NotContains(t, strings.Join(methods(r), "\n"), "401", "the next listing knows its token")
			assert.NotContains(t, strings.Join(methods(r), "\n"), "/token")
		})
	}
}

func TestTokenRequest(t *testing.T) {
	r, network := registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: secret, Realm: "https://registry.example/token?account=x&x=y&scope=repository:a/b:push"})
	c := &ocitags.Client{Transport: network, Credentials: ocitags.StaticCredential("registry.example", user), UserAgent: "tester/1"}
	mustList(t, c, ref, r, "a/b")
	req := r.Requests()[1]
	u, err := url.Parse(req.URL)
	require.NoError(t, err)
	assert.Equal(t, url.Values{"account": {"bob"}, "client_id": {"ocitags"}, "service": {"registry.example"}, "scope": {"repository:a/b:pull"}, "x": {"y"}}, u.Query())
	assert.Equal(t, "tester/1", req.Header.Get("User-Agent"))

	r, network = registryWithAuth(t, "gitlab", &regtest.Auth{Username: "x", RefreshToken: secret})
	c = withCredentials(network, ocitags.StaticCredential("registry.example", ocitags.Credential{RefreshToken: secret}))
	mustList(t, c, ref, r, "a/b")
	req = r.Requests()[1]
	form, err := url.ParseQuery(req.Body)
	require.NoError(t, err)
	assert.Equal(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {secret}, "client_id": {"ocitags"}, "service": {"registry.example"}, "scope": {"repository:a/b:pull"}}, form)
}

// A token server that knows no POST is asked by GET, once.
func TestTokenServerWithoutPOST(t *testing.T) {
	for _, status := range []int{404, 405} {
		r, network := registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: secret})
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.Method == http.MethodPost {
				return regtest.Fault{Status: status}
			}
			return regtest.Fault{}
		}
		cred := user
		cred.RefreshToken = "other"
		c := withCredentials(network, ocitags.StaticCredential("registry.example", cred))
		mustList(t, c, ref, r, "a/b")
		assert.Equal(t, []string{fmt.Sprint(status, " POST /token"), "200 GET /token Basic"}, methods(r)[1:3])
	}
}

// An access token goes to the registry itself, when it asks.
func TestAccessToken(t *testing.T) {
	var seen []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen = append(seen, req.Header.Get("Authorization"))
		if seen[len(seen)-1] != "Bearer "+secret {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://registry.example/token"`)
			w.WriteHeader(401)
			return
		}
		_, _ = fmt.Fprint(w, `{"tags":["1"]}`)
	})
	c := withCredentials(testNetwork(t).Handle("registry.example", handler), ocitags.StaticCredential("registry.example", ocitags.Credential{AccessToken: secret}))
	_, err := c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, []string{"", "Bearer " + secret, "Bearer " + secret}, seen, "and once for what comes after the only page")
}

// A token that ends between two pages is replaced once, and nothing is lost.
func TestTokenIsRevokedInTheMiddle(t *testing.T) {
	r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		if k == 4 {
			r.Auth.Revoke()
		}
		return regtest.Fault{}
	}
	mustList(t, withCredentials(network, ocitags.Anonymous), ref, r, "a/b")
	const list = "GET /v2/a/b/tags/list"
	assert.Equal(t, []string{"401 " + list, "200 GET /token", "200 " + list + " Bearer", "401 " + list + " Bearer", "200 GET /token", "200 " + list + " Bearer", "200 " + list + " Bearer", "200 " + list + " Bearer", "200 " + list + " Bearer"}, methods(r))
}

// A token is not used up to its last second, and one without expires_in for a
// minute.
func TestTokenExpiry(t *testing.T) {
	for _, test := range []struct {
		expires string // the value of expires_in
		life    time.Duration
	}{
		{`300`, 300 * time.Second}, {`"300"`, 300 * time.Second}, {``, time.Minute}, {`0`, time.Minute}, {`-5`, time.Minute}, {`null`, time.Minute},
		{`"soon"`, time.Minute}, {`{}`, time.Minute}, {`1e18`, 24 * time.Hour}, {`99999999999999999999`, 24 * time.Hour}, {`30`, 30 * time.Second}, {`1`, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
			r.Profile.Token = func(token string) map[string]any {
				answer := map[string]any{"token": token, "issued_at": "1999-01-01T00:00:00Z"} // a clock of its own
				if test.expires != "" {
					answer["expires_in"] = json.RawMessage(test.expires)
				}
				return answer
			}
			c := withCredentials(network, ocitags.Anonymous)
			tokens := func() (n int) {
				mustList(t, c, ref, r, "a/b")
				for _, line := range methods(r) {
					n += strings.Count(line, "/token")
				}
				return n
			}
			before := tokens()
			assert.Equal(t, 1, before, test.expires)
			time.Sleep(max(test.life, 2*token.Margin) - token.Margin - time.Second)
			assert.Equal(t, 1, tokens(), "%s: still good", test.expires)
			time.Sleep(2 * time.Second)
			assert.Equal(t, 2, tokens(), "%s: fetched before it is refused", test.expires)
			assert.Equal(t, 1, strings.Count(strings.Join(methods(r), "\n"), "401"), test.expires)
		})
	}
}

// One token request for all that wait; one that is cancelled fails nobody else.
func TestOneTokenRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Path == "/token" {
				return regtest.Fault{Delay: time.Second}
			}
			return regtest.Fault{}
		}
		c := withCredentials(network, ocitags.Anonymous)
		leader, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { _, err := c.ListTags(leader, ref); failed <- err }()
		synctest.Wait()
		done := make(chan error)
		for range 31 {
			go func() { _, err := c.ListTags(t.Context(), ref); done <- err }()
		}
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		for range 31 {
			require.NoError(t, <-done)
		}
		assert.Equal(t, 2, strings.Count(strings.Join(methods(r), "\n"), "/token"), "the leader's, and one for all others")
	})
}

// A failure wakes all that wait, and each has it.
func TestTokenFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, network := registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: "other"})
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Path == "/token" {
				return regtest.Fault{Delay: time.Second}
			}
			return regtest.Fault{}
		}
		c := withCredentials(network, ocitags.Anonymous)
		done := make(chan error)
		for range 32 {
			go func() { _, err := c.ListTags(t.Context(), ref); done <- err }()
		}
		for range 32 {
			err := <-done
			require.ErrorIs(t, err, ocitags.ErrUnauthorized)
			assert.Contains(t, err.Error(), "token server: GET https://registry.example/token: 401 Unauthorized: UNAUTHORIZED")
		}
		assert.Equal(t, 1, strings.Count(strings.Join(methods(r), "\n"), "/token"))
	})
}

// What the error says when nothing helps: whether a credential was sent.
func TestUnauthorized(t *testing.T) {
	always := func(challenges ...string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/token" {
				_, _ = fmt.Fprint(w, `{"token":"t"}`)
				return
			}
			for _, c := range challenges {
				w.Header().Add("WWW-Authenticate", c)
			}
			w.WriteHeader(401)
			_, _ = fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"go\u001b away"}]}`)
		})
	}
	const bearer = `Bearer realm="https://registry.example/token",service="s"`
	for _, test := range []struct {
		name     string
		handler  http.Handler
		cred     ocitags.Credential
		says     string
		requests int
	}{
		{"Negotiate only", always("Negotiate", "Digest realm=x"), user, `asks for "negotiate" authentication`, 1},
		{"no challenge", always(), user, "the credential for registry.example was not sent: the registry did not ask for one", 1},
		{"good tokens for ever", always(bearer), user, "the credential for registry.example was sent", 3},
		{"an anonymous token", always(bearer), ocitags.Credential{}, "no credential was sent", 3},
		{"Basic, with a password", always("Basic realm=x"), user, "the credential for registry.example was sent", 2},
		{"Basic, with none", always("Basic realm=x"), ocitags.Credential{}, "no credential was sent", 1},
		{"Basic, with an identity token", always("Basic realm=x"), ocitags.Credential{RefreshToken: secret}, "the credential for registry.example was not sent: it has no password, and Basic authentication is asked for", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			network := testNetwork(t).Handle("registry.example", test.handler)
			c := withCredentials(network, ocitags.StaticCredential("registry.example", test.cred))
			_, err := c.ListTags(t.Context(), ref)
			require.ErrorIs(t, err, ocitags.ErrUnauthorized)
			assert.Contains(t, err.Error(), test.says)
			assert.NotContains(t, err.Error(), secret)
			assert.NotContains(t, err.Error(), "\x1b")
			assert.Len(t, network.Sent(), test.requests)
			if !strings.Contains(test.says, "negotiate") && test.name != "no challenge" {
				var refusal *ocitags.Error
				require.ErrorAs(t, err, &refusal)
				assert.Equal(t, []ocitags.ErrorCode{{Code: "UNAUTHORIZED", Message: "go\x1b away"}}, refusal.Codes)
			}
		})
	}
}

// Docker Hub gives a token for any name, and then says insufficient_scope.
func TestDockerHubInsufficientScope(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		challenge := `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nope:pull"`
		if req.Header.Get("Authorization") != "" {
			challenge += `,error="insufficient_scope"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(401)
		_, _ = fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	})
	tokens := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"token":"t"}`) })
	network := testNetwork(t).Handle("registry-1.docker.io", handler).Handle("auth.docker.io", tokens)
	_, err := anonymous(network).ListTags(t.Context(), "nope")
	require.ErrorIs(t, err, ocitags.ErrUnauthorized)
	assert.Contains(t, err.Error(), "does not exist, is private, or is an official image without library/ in front")
}

func TestForbidden(t *testing.T) {
	r, network := registryWithAuth(t, "gitlab", nil)
	r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Status: 403} }
	_, err := anonymous(network).ListTags(t.Context(), ref)
	require.ErrorIs(t, err, ocitags.ErrUnauthorized)
	assert.Contains(t, err.Error(), "403 Forbidden")
}

// everywhere answers at all hosts but the registry's, with a token.
type everywhere struct {
	registry http.Handler
	visited  []*http.Request
}

func (e *everywhere) RoundTrip(req *http.Request) (*http.Response, error) {
	h := e.registry
	if req.URL.Path != "/v2/a/b/tags/list" {
		e.visited = append(e.visited, req)
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"token":"t"}`) })
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func TestRealms(t *testing.T) {
	refresh := ocitags.Credential{RefreshToken: secret}
	none := ocitags.Credential{}
	for _, test := range []struct {
		name, ref, realm string
		cred             ocitags.Credential
		ok               bool
	}{
		{"own host", ref, "https://registry.example/token", user, true},
		{"own host, other port", ref, "https://registry.example:8443/token", user, true},
		{"own host in upper case", ref, "https://Registry.Example/token", user, true},
		{"same domain", "registry.gitlab.com/a/b", "https://gitlab.com/jwt/auth", user, true},
		{"same domain in co.uk", "reg.shop.co.uk/a/b", "https://auth.shop.co.uk/t", user, true},
		{"only co.uk in common", "reg.shop.co.uk/a/b", "https://auth.evil.co.uk/t", user, false},
		{"only github.io in common", "a.github.io/a/b", "https://evil.github.io/t", user, false},
		{"plain HTTP where the listing is", "http://registry.example/a/b", "http://registry.example/token", user, true},
		{"TLS where the listing is plain", "http://registry.example/a/b", "https://registry.example/token", user, true},
		{"foreign domain, password", ref, "https://evil.test.example2.com/t", user, false},
		{"foreign domain, refresh token", ref, "https://evil.example2.com/t", refresh, false},
		{"clear text", ref, "http://registry.example/token", user, false},
		{"clear text, anonymous", ref, "http://registry.example/token", none, false},
		{"lscr.io's tokens come from ghcr.io", "lscr.io/a/b", "https://ghcr.io/token", none, true},
		{"lscr.io, with a credential", "lscr.io/a/b", "https://ghcr.io/token", user, false},
		{"metadata", ref, "https://169.254.169.254/t", none, false},
		{"mapped", ref, "https://[::ffff:169.254.169.254]/t", none, false},
		{"decimal", ref, "https://2130706433/t", none, false},
		{"hexadecimal", ref, "https://0x7f.1/t", none, false},
		{"localhost", ref, "https://localhost/t", none, false},
		{"localhost with a dot", ref, "https://localhost./t", none, false},
		{"below localhost", ref, "https://x.localhost/t", none, false},
		{"inside", ref, "https://vault.internal/t", none, false},
		{"ftp", ref, "ftp://registry.example/t", none, false},
		{"file", ref, "file:///etc/passwd", none, false},
		{"relative", ref, "/token", user, true},
		{"without a scheme", ref, "//registry.example/token", user, true},
		{"relative, and elsewhere", ref, "//evil.example2.com/token", user, false},
		{"empty", ref, "", none, false},
		{"user-info", ref, "https://bob:x@registry.example/t", none, false},
		{"fragment", ref, "https://registry.example/t#x", none, false},
		{"opaque", ref, "https:registry.example/t", none, false},
		{"long", ref, "https://registry.example/" + strings.Repeat("x", 1<<20), none, false},
		{"single labels", "http://registry:5000/a/b", "http://auth:5001/t", user, true},
		{"single labels, in clear text", "https://registry:5000/a/b", "http://auth:5001/t", user, false},
		{"private domain", "registry.corp.internal/a/b", "https://gitlab.corp.internal/jwt/auth", user, true},
		{"another private domain", "registry.corp.internal/a/b", "https://gitlab.other.internal/jwt/auth", user, false},
		{"private and public", "registry.corp.internal/a/b", "https://auth.corp.com/t", user, false},
		{"a name of the local network", "registry.lan/a/b", "https://auth.lan/t", user, true},
		{"this machine by its name and its address", "localhost:5000/a/b", "http://127.0.0.1:5001/t", user, true},
		{"single label of its own", "http://registry:5000/a/b", "http://registry:5001/t", user, true},
		{"an address of its own", "http://10.0.0.5:5000/a/b", "http://10.0.0.5/t", user, true},
		{"another private address", "http://10.0.0.5:5000/a/b", "http://10.0.0.6/t", user, true},
		{"another public address", "http://8.8.8.8/a/b", "http://9.9.9.9/t", user, false},
		{"homograph", ref, "https://registry.ex\u0430mple/t", none, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &everywhere{registry: realm(test.realm)}
			c := &ocitags.Client{Transport: e, Credentials: func(context.Context, string, string) (ocitags.Credential, error) { return test.cred, nil }}
			tags, err := c.ListTags(t.Context(), test.ref)
			if test.ok {
				require.NoError(t, err)
				assert.Equal(t, []string{"1"}, tags)
				assert.Len(t, e.visited, 1)
				return
			}
			require.ErrorIs(t, err, ocitags.ErrUnsafeLink)
			assert.Empty(t, e.visited)
			assert.NotContains(t, err.Error(), secret)
			assert.Less(t, len(err.Error()), 1000)
			if strings.Contains(test.name, "foreign domain") {
				assert.Contains(t, err.Error(), "Client.AllowRealm")
			}
		})
	}
}

func TestAllowRealm(t *testing.T) {
	e := &everywhere{registry: realm("https://auth.example2.com/t")}
	var asked []string
	allow := false
	c := &ocitags.Client{Transport: e, Credentials: ocitags.StaticCredential("registry.example", user), AllowRealm: func(registry string, realm *url.URL) bool {
		asked = append(asked, registry+" "+realm.Host)
		return allow
	}}
	_, err := c.ListTags(t.Context(), ref)
	require.ErrorIs(t, err, ocitags.ErrUnsafeLink)
	assert.Empty(t, e.visited)
	allow = true
	_, err = c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, []string{"registry.example auth.example2.com", "registry.example auth.example2.com"}, asked)

	// Without a credential it is asked only about what is refused else.
	asked = nil
	c = &ocitags.Client{Transport: c.Transport, Credentials: ocitags.Anonymous, AllowRealm: c.AllowRealm}
	_, err = c.ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Empty(t, asked)
}

// Token servers do not send credentials on.
func TestTokenServerRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		for _, cred := range []ocitags.Credential{user, {RefreshToken: secret}} {
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/token" {
					w.Header().Set("Location", "https://evil.example2.com/")
					w.WriteHeader(status)
					return
				}
				realm("https://registry.example/token").ServeHTTP(w, req)
			}))
			c := withCredentials(network, ocitags.StaticCredential("registry.example", cred))
			_, err := c.ListTags(t.Context(), ref)
			var refusal *ocitags.Error
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, status, refusal.StatusCode)
			assert.Len(t, network.Sent(), 2)
		}
	}
}

// Answers of token servers that hold no token are errors without their text
// .
func TestTokenAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"{}":             {200, `{}`, ocitags.ErrInvalidResponse},
		"empty":          {200, `{"token":""}`, ocitags.ErrInvalidResponse},
		"a number":       {200, `{"token":123}`, ocitags.ErrInvalidResponse},
		"null":           {200, `null`, ocitags.ErrInvalidResponse},
		"HTML":           {200, `<html>` + secret, ocitags.ErrInvalidResponse},
		"nothing":        {200, ``, ocitags.ErrInvalidResponse},
		"duplicate keys": {200, `{"token":"` + secret + `","token":"b"}`, ocitags.ErrInvalidResponse},
		"large":          {200, `{"token":"` + strings.Repeat("x", tokenserver.MaxAnswer) + `"}`, ocitags.ErrTooLarge},
		"CR LF":          {200, `{"token":"a\r\nX: y"}`, ocitags.ErrUnauthorized},
		"space":          {200, `{"token":"a b"}`, ocitags.ErrUnauthorized},
		"401":            {401, `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`, ocitags.ErrUnauthorized},
		"403":            {403, ``, ocitags.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/token" {
					w.WriteHeader(test.status)
					_, _ = fmt.Fprint(w, test.body)
					return
				}
				realm("https://registry.example/token").ServeHTTP(w, req)
			}))
			_, err := anonymous(network).ListTags(t.Context(), ref)
			require.ErrorIs(t, err, test.want)
			assert.NotContains(t, err.Error(), secret)
			assert.Contains(t, err.Error(), "token")
			assert.Len(t, network.Sent(), 2, "no second try")
		})
	}
}

// What a token server refuses says nothing about the list: not that it is not
// there, not that a smaller page would do, and above all not that a page whose
// successor was asked for has none.
func TestTokenServerRefusals(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 405, 413, 501} {
		r, network := registryWithAuth(t, "ggcr", &regtest.Auth{})
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Query().Has("last") {
				r.Auth.Revoke()
			}
			if req.URL.Path == "/token" && len(r.Requests()) > 3 {
				return regtest.Fault{Status: status}
			}
			return regtest.Fault{}
		}
		_, err := anonymous(network).ListTags(t.Context(), ref)
		var refusal *ocitags.Error
		require.ErrorAs(t, err, &refusal, "%d", status)
		assert.Equal(t, status, refusal.StatusCode)
		assert.Equal(t, "https://registry.example/token", refusal.URL)
		assert.Contains(t, err.Error(), "page 2: ")
		require.NotErrorIs(t, err, ocitags.ErrNotFound)
		assert.Equal(t, "n=1000&last=", requests(r)[3][:12], "asked once, at one page size")
		assert.Equal(t, 5, len(r.Requests()))

		r.Forget()
		r.Fault = faultAt(2, regtest.Fault{Status: status})
		_, err = anonymous(network).ListTags(t.Context(), ref)
		require.ErrorAs(t, err, &refusal, "%d", status)
		require.NotErrorIs(t, err, ocitags.ErrNotFound)
		assert.Equal(t, 2, len(r.Requests()))
	}
}

// Redirects of the list itself.
func TestRedirects(t *testing.T) {
	// hop is a registry that redirects, and answers what arrives at its end.
	for _, test := range []struct {
		name     string
		location map[string]string // from host and path to where
		want     error
		secrets  []string // the hosts that see the password
	}{
		{"foreign host", map[string]string{"registry.example/v2/a/b/tags/list": "https://mirror.example2.com/v2/m/b/tags/list"}, nil, []string{"registry.example"}},
		{"to clear text", map[string]string{"registry.example/v2/a/b/tags/list": "http://registry.example/v2/a/b/tags/list"}, ocitags.ErrUnsafeLink, []string{"registry.example"}},
		{"other port", map[string]string{"registry.example/v2/a/b/tags/list": "https://registry.example:8443/v2/a/b/tags/list"}, nil, []string{"registry.example"}},
		{"sub-domain", map[string]string{"registry.example/v2/a/b/tags/list": "https://cdn.registry.example/v2/a/b/tags/list"}, nil, []string{"registry.example"}},
		{"there and back", map[string]string{
			"registry.example/v2/a/b/tags/list":    "https://mirror.example2.com/v2/a/b/tags/list",
			"mirror.example2.com/v2/a/b/tags/list": "https://registry.example/v2/x/b/tags/list",
		}, ocitags.ErrUnauthorized, []string{"registry.example"}},
		{"loop", map[string]string{"registry.example/v2/a/b/tags/list": "/v2/a/b/tags/list"}, ocitags.ErrInvalidResponse, []string{"registry.example"}},
		{"user-info", map[string]string{"registry.example/v2/a/b/tags/list": "https://bob:x@registry.example/v2/a/b/tags/list"}, ocitags.ErrUnsafeLink, []string{"registry.example"}},
		{"library", map[string]string{"registry.example/v2/a/b/tags/list": "/v2/a/library/b/tags/list"}, nil, []string{"registry.example"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen := map[string]bool{}
			backs := 0
			handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Authorization") != "" {
					seen[req.Host] = true
					assert.Equal(t, "registry.example", req.Host)
				}
				assert.Empty(t, req.Header.Get("Cookie"))
				assert.Empty(t, req.Header.Get("Referer"))
				if req.Host == "registry.example" && req.Header.Get("Authorization") == "" {
					if req.URL.Path == "/v2/x/b/tags/list" {
						backs++
					}
					w.Header().Set("WWW-Authenticate", "Basic realm=x")
					w.WriteHeader(401)
					return
				}
				http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
				if to := test.location[req.Host+req.URL.Path]; to != "" {
					w.Header().Set("Location", to)
					w.WriteHeader(307)
					return
				}
				if req.Host == "mirror.example2.com" && !req.URL.Query().Has("last") {
					w.Header().Set("Link", `</v2/m/b/tags/list?last=1>; rel="next"`)
					_, _ = fmt.Fprint(w, `{"tags":["1"]}`)
					return
				}
				_, _ = fmt.Fprint(w, `{"tags":["2"]}`)
			})
			network := testNetwork(t)
			for _, host := range []string{"registry.example", "registry.example:8443", "cdn.registry.example", "mirror.example2.com"} {
				network.Handle(host, handler)
			}
			c := withCredentials(network, ocitags.StaticCredential("registry.example", user))
			tags, err := c.ListTags(t.Context(), ref)
			require.ErrorIs(t, err, test.want)
			if test.want == nil {
				assert.NotEmpty(t, tags)
			}
			if test.name == "foreign host" {
				assert.Equal(t, []string{"1", "2"}, tags, "its Link is resolved there")
			}
			assert.LessOrEqual(t, len(network.Sent()), 2*(wire.MaxRedirects+2))
			for _, host := range test.secrets {
				assert.True(t, seen[host])
			}
			assert.Len(t, seen, len(test.secrets))
			assert.LessOrEqual(t, backs, 1)
		})
	}
}

// registry.k8s.io and proxy projects of Harbor redirect to another list and drop the
// query. The answer has to be to what was asked, and not to another question.
func TestRedirectsThatDropTheQuery(t *testing.T) {
	for _, page := range []int{100, 1000} {
		r := regtest.New(regtest.ByName("nexus-group")).Push("a/b", makeTags(2*page+50)...)
		r.Profile.Max, r.Profile.Over = page, regtest.Rule{What: regtest.Clamp}
		network := testNetwork(t).Handle("mirror.example2.com", r)
		network.Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Location", "https://mirror.example2.com"+req.URL.Path)
			w.WriteHeader(307)
		}))
		mustList(t, anonymous(network), ref, r, "a/b")
		assert.Equal(t, "/v2/a/b/tags/list?n=1000", r.URLs()[0])
	}

	// Nor is it to n where a registry gets rid of the query by a redirect to itself.
	for _, n := range []int{50, 1000, 1500} {
		asked := 0
		network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if asked++; req.URL.RawQuery != "" {
				w.Header().Set("Location", req.URL.Path)
				w.WriteHeader(307)
				return
			}
			_, _ = fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(makeTags(n), `","`))
		}))
		tags, err := anonymous(network).ListTags(t.Context(), ref)
		require.NoError(t, err)
		assert.Len(t, tags, n)
		assert.LessOrEqual(t, asked, 12)
	}
}

func TestRedirectWithoutLocation(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		r, network := registryWithAuth(t, "gitlab", nil)
		r.Fault = func(int, *http.Request) regtest.Fault { return regtest.Fault{Status: status} }
		c := anonymous(network)
		c.MaxAttempts = 1
		_, err := c.ListTags(t.Context(), ref)
		require.Error(t, err)
	}
}

// A mirror that a redirect leads to may ask for an anonymous token, which stays
// there; a basic challenge gets nothing.
func TestForeignChallenges(t *testing.T) {
	for _, basic := range []bool{false, true} {
		mirror := regtest.New(regtest.ByName("dist312")).Push("a/b", makeTags(2500)...)
		mirror.Auth = &regtest.Auth{Basic: basic}
		home := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Location", "https://mirror.example2.com"+req.URL.RequestURI())
			w.WriteHeader(307)
		})
		network := testNetwork(t).Handle("registry.example", home).Handle("mirror.example2.com", mirror)
		c := withCredentials(network, ocitags.StaticCredential("registry.example", user))
		tags, err := c.ListTags(t.Context(), ref)
		if basic {
			require.ErrorIs(t, err, ocitags.ErrUnauthorized)
		} else {
			require.NoError(t, err)
			assert.Len(t, tags, 2500)
		}
		for _, req := range mirror.Requests() {
			assert.NotContains(t, req.Header.Get("Authorization"), "Basic")
		}
	}
}

// Two clients share nothing.
func TestTokensBelongToTheirClient(t *testing.T) {
	r, network := registryWithAuth(t, "gitlab", &regtest.Auth{Username: "bob", Password: secret})
	mustList(t, withCredentials(network, ocitags.StaticCredential("registry.example", user)), ref, r, "a/b")
	_, err := anonymous(network).ListTags(t.Context(), ref)
	require.ErrorIs(t, err, ocitags.ErrUnauthorized)
}

func TestCredentialError(t *testing.T) {
	r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
	boom := errors.New("no key chain")
	calls := 0
	c := &ocitags.Client{Transport: network, Credentials: func(_ context.Context, host, repository string) (ocitags.Credential, error) {
		calls++
		assert.Equal(t, "registry.example", host)
		assert.Equal(t, "a/b", repository)
		return ocitags.Credential{}, boom
	}}
	_, err := c.ListTags(t.Context(), ref)
	require.ErrorIs(t, err, boom)
	assert.Equal(t, 1, calls)
	assert.Len(t, r.Requests(), 1)
}

// Where the token server is the registry itself (Gitea, Forgejo, Keppel, Harbor,
// ghcr.io over HTTP/1.1), a 401 that still holds its connection must not keep the
// token request from getting one: whatever its body, however many requests there
// may be at once, at the first page and in mid-listing.
func TestTokenServerIsTheRegistry(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, concurrency := range []int{1, 2, 4, 8} {
			for _, length := range []int{0, 62, 1 << 20} {
				for _, revoke := range []int{0, 3, 5} { // the request at which all tokens end; 0: none
					t.Run(fmt.Sprintf("TLS %v, %d at once, a body of %d bytes, revoked at %d", secure, concurrency, length, revoke), func(t *testing.T) {
						t.Parallel()
						listAtOwnTokenServer(t, secure, concurrency, length, revoke)
					})
				}
			}
		}
	}
}

func listAtOwnTokenServer(t *testing.T, secure bool, concurrency, length, revoke int) {
	r := regtest.New(regtest.ByName("dist312")).Push("a/b", makeTags(2000)...)
	r.Auth = &regtest.Auth{}
	var pages atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/v2/") && pages.Add(1) == int32(revoke) {
			r.Auth.Revoke()
		}
		r.ServeHTTP(&longRefusal{ResponseWriter: w, length: length}, req)
	}))
	transport, scheme := ocitags.NewTransport(), "http://"
	if secure {
		server.StartTLS() // HTTP/1.1, as EnableHTTP2 is not set
		transport.TLSClientConfig, scheme = server.Client().Transport.(*http.Transport).TLSClientConfig, "https://"
	} else {
		server.Start()
	}
	defer server.Close()
	defer transport.CloseIdleConnections()
	c := &ocitags.Client{Transport: transport, Credentials: ocitags.Anonymous, PageSize: 200, Concurrency: concurrency}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a hang, however slow the machine
	defer cancel()
	tags, err := c.ListTags(ctx, scheme+server.Listener.Addr().String()+"/a/b")
	require.NoError(t, err)
	assert.True(t, slices.Equal(want(r, "a/b"), tags))
}

// A longRefusal has a body of that length where it is a 401.
type longRefusal struct {
	http.ResponseWriter
	length  int
	refused bool
}

func (w *longRefusal) WriteHeader(status int) {
	w.refused = status == http.StatusUnauthorized
	w.ResponseWriter.WriteHeader(status)
	if w.refused {
		_, _ = io.WriteString(w.ResponseWriter, strings.Repeat("x", w.length))
	}
}

func (w *longRefusal) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// A listing that waits for its token server says so, and asks that one again,
// not the registry.
func TestTokenServerIsBlamed(t *testing.T) {
	const list = "/v2/a/b/tags/list"
	for name, test := range map[string]struct {
		fault   regtest.Fault
		timeout time.Duration
		target  error
	}{
		"a deadline of the user": {regtest.Fault{Delay: time.Hour}, 10 * time.Second, context.DeadlineExceeded},
		"silence":                {regtest.Fault{Delay: time.Hour}, 24 * time.Hour, context.DeadlineExceeded},
		"500":                    {regtest.Fault{Status: 500}, 24 * time.Hour, nil},
		"a dropped connection":   {regtest.Fault{Drop: true}, 24 * time.Hour, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
				r.Fault = func(_ int, req *http.Request) regtest.Fault {
					if req.URL.Path == "/token" {
						return test.fault
					}
					return regtest.Fault{}
				}
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				defer cancel()
				_, err := anonymous(network).ListTags(ctx, ref)
				require.Error(t, err)
				if test.target != nil {
					require.ErrorIs(t, err, test.target)
				}
				assert.Contains(t, err.Error(), "token server")
				assert.NotContains(t, err.Error(), list, "the list is not to blame")
				asked := map[string]int{}
				for _, req := range r.Requests() {
					path, _, _ := strings.Cut(req.URL, "?")
					asked[path]++
				}
				assert.Equal(t, 1, asked[list], "the registry is not asked again")
				if name == "a deadline of the user" {
					assert.Equal(t, 1, asked["/token"])
				} else {
					assert.Equal(t, 5, asked["/token"])
				}
			})
		})
	}
	t.Run("500 once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, network := registryWithAuth(t, "gitlab", &regtest.Auth{})
			r.Fault = faultAt(2, regtest.Fault{Status: 500})
			mustList(t, anonymous(network), ref, r, "a/b")
			assert.Equal(t, []string{"401 GET " + list, "500 GET /token", "200 GET /token", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer", "200 GET " + list + " Bearer"}, methods(r))
		})
	})
}

// At a registry that has asked for a token for one repository, another one is asked for
// with its own token at once: two requests for a small list, and not three.
func TestChallengesAreForeseen(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", "1.0").Push("a/c", "1.0", "1.1").Push("a/d", "1.0", "1.1")
	r.Auth = &regtest.Auth{Username: "bob", Password: secret}
	network := testNetwork(t).Handle("registry.example", r)
	c := withCredentials(network, ocitags.StaticCredential("registry.example", ocitags.Credential{Username: "bob", Password: secret}))
	_, err := c.ListTags(t.Context(), "registry.example/a/b")
	require.NoError(t, err)

	r.Forget()
	_, err = c.ListTags(t.Context(), "registry.example/a/c")
	require.NoError(t, err)
	var asked []string
	for _, req := range r.Requests() {
		asked = append(asked, fmt.Sprint(req.Status, " ", strings.Split(req.URL, "?")[0]))
	}
	assert.Equal(t, []string{"200 /token", "200 /v2/a/c/tags/list", "200 /v2/a/c/tags/list"}, asked)

	// A token that is not wanted there is left out, and one that cannot be had is done without.
	for tokens, sent := range map[int]bool{http.StatusOK: true, http.StatusUnauthorized: false} {
		refused := false
		fault := func(_ int, req *http.Request) regtest.Fault {
			switch with := req.Header.Get("Authorization") != ""; {
			case req.URL.Path == "/token" && tokens == http.StatusOK:
				return regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"t"}`) })}
			case req.URL.Path == "/token":
				return regtest.Fault{Status: tokens}
			case with:
				refused = true
				return regtest.Fault{Status: http.StatusForbidden}
			}
			return regtest.Fault{}
		}
		c := withCredentials(network, ocitags.StaticCredential("registry.example", ocitags.Credential{Username: "bob", Password: secret}))
		r.Auth, r.Fault = &regtest.Auth{Username: "bob", Password: secret}, nil
		_, err := c.ListTags(t.Context(), "registry.example/a/b")
		require.NoError(t, err, "the challenge is known")
		r.Auth, r.Fault = nil, fault // the other list is for all
		tags, err := c.ListTags(t.Context(), "registry.example/a/d")
		require.NoError(t, err, tokens)
		assert.Len(t, tags, 2)
		assert.Equal(t, sent, refused)
	}
}
