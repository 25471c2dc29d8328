package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/dockerconfig/configtest"
	"github.com/ocitags/ocitags/internal/regtest"
)

// Each error ends with what to do about it.
func TestErrorsGiveAdvice(t *testing.T) {
	alone := func(h http.Handler) *regtest.Network {
		return new(regtest.Network).Handle("registry.example", h).Handle("registry-1.docker.io", h)
	}
	registry := func(auth *regtest.Auth, fault regtest.Fault) *regtest.Network {
		r := regtest.New(regtest.ByName("gitlab")).Push("a/b", makeTags(10)...)
		r.Auth = auth
		r.Fault = func(_ int, req *http.Request) regtest.Fault {
			if req.URL.Path == "/token" || fault.Status == 429 && auth != nil && req.Header.Get("Authorization") == "" {
				return regtest.Fault{}
			}
			return fault
		}
		return alone(r)
	}
	status := func(status int) regtest.Fault { return regtest.Fault{Status: status} }
	answer := func(status int, contentType, body string) *regtest.Network {
		return alone(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
	}
	private := func() *regtest.Auth { return &regtest.Auth{Username: "bob", Password: secret} }
	basic := func() *regtest.Auth { return &regtest.Auth{Username: "bob", Password: secret, Basic: true} }
	wrong := ocitags.StaticCredential("registry.example", ocitags.Credential{Username: "bob", Password: "wrong"})
	right := ocitags.StaticCredential("registry.example", ocitags.Credential{Username: "bob", Password: secret})

	for _, test := range []struct {
		name    string
		ref     string // "": registry.example/a/b
		network *regtest.Network
		find    ocitags.CredentialFunc // nil: those of the user, who has none
		says    []string
	}{
		{"no reference", "Foo", alone(nil), nil, []string{"lowercase; write \"foo\""}},
		{"a private repository", "", registry(basic(), regtest.Fault{}), nil, []string{"none is known for registry.example; if the repository is private: docker login registry.example"}},
		{"a private repository, with tokens", "", registry(private(), regtest.Fault{}), nil, []string{"token server: ", "none is known for registry.example; if the repository is private: docker login registry.example"}},
		{"a private repository, and nobody", "", registry(private(), regtest.Fault{}), ocitags.Anonymous, []string{"none was given for registry.example; if the repository is private: a credential is needed"}},
		{"a wrong password", "", registry(private(), regtest.Fault{}), wrong, []string{"the credential for registry.example was sent; check whether it is still good, and may read this repository"}},
		{"a wrong password, without tokens", "", registry(basic(), regtest.Fault{}), wrong, []string{"the credential for registry.example was sent; check whether"}},
		{"not allowed", "", registry(private(), status(403)), right, []string{"403 Forbidden", "the credential for registry.example was not sent: the registry did not ask for one"}},
		{"no such repository", "registry.example/a/c", registry(nil, regtest.Fault{}), nil, []string{"NAME_UNKNOWN", "; check the name of the repository"}},
		{"no such repository for anybody", "registry.example/a/c", registry(&regtest.Auth{}, regtest.Fault{}), nil, []string{"; check the name of the repository; if it is private: docker login registry.example"}},
		{"no such repository for bob", "registry.example/a/c", registry(private(), regtest.Fault{}), right, []string{"; check the name of the repository, and whether the credential for registry.example may read it"}},
		{"no host", "ghcr.io", registry(nil, regtest.Fault{}), nil, []string{"docker.io/library/ghcr.io", "is one at Docker Hub: for another registry write host/name"}},
		{"a Docker Hub image", "nope", registry(&regtest.Auth{Realm: "https://registry-1.docker.io/token"}, regtest.Fault{}), nil, []string{"if it is private: docker login"}},
		{"a rate", "", registry(nil, status(429)), nil, []string{"429 Too Many Requests", "(tried 5 times); try again later"}},
		{"a rate for nobody", "", registry(&regtest.Auth{}, status(429)), nil, []string{"; try again later, or log in, which often raises the limit: docker login registry.example"}},
		{"a long wait", "", registry(nil, regtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"100"}}}), nil, []string{"asks to wait 1m40s; that is longer than the 1m0s that a listing waits: try again then"}},
		{"in trouble", "", registry(nil, status(503)), nil, []string{"503 Service Unavailable (tried 5 times); try again later"}},
		{"a login page", "", answer(200, "text/html", "<html>Sign in</html>"), nil, []string{"check whether registry.example is a registry, and whether a login page or a proxy stands before it"}},
		{"a website", "", answer(400, "text/html; charset=utf-8", "<html>What?</html>"), nil, []string{"the answer is a web page"}},
		{"TLS", "http://registry.example/a/b", answer(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n"), nil, []string{"this port speaks TLS; write https:// in front of the reference"}},
		{"cut short", "", registry(nil, regtest.Fault{Cut: 10}), nil, []string{"the answer was cut short", "(tried 5 times); try again, perhaps with smaller pages"}},
		{"a circle", "", alone(regtest.Hostile["circle"]), nil, []string{"pagination loop", "this is a fault of the registry, which another page size may avoid"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			configtest.Home(t, nil)
			synctest.Test(t, func(t *testing.T) {
				ref := test.ref
				if ref == "" {
					ref = "registry.example/a/b"
				}
				_, err := (&ocitags.Client{Transport: test.network, Credentials: test.find}).ListTags(t.Context(), ref)
				require.Error(t, err)
				for _, says := range test.says {
					assert.Contains(t, err.Error(), says)
				}
				assert.NotContains(t, err.Error(), secret)
				assert.NotContains(t, err.Error(), "\n")
			})
		})
	}
}

// The same for what goes wrong before a registry can answer.
func TestConnectionErrorsGiveAdvice(t *testing.T) {
	configtest.Home(t, nil)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	defer secure.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for ref, says := range map[string]string{
		strings.Replace(plain.URL, "http:", "https:", 1): "HTTP response to HTTPS client; if it speaks plain HTTP, write http:// in front of the reference",
		secure.URL: "unknown authority; if the authority is one of your own, add it to the system's, or to those of Client.Transport",
		strings.TrimPrefix(secure.URL, "https://"): "this port speaks TLS; write https:// in front of the reference",
		closed.URL: "connection refused; nothing listens there: check the host and its port",
	} {
		_, err := (&ocitags.Client{Transport: transport, MaxAttempts: 1}).ListTags(t.Context(), ref+"/a/b")
		require.Error(t, err)
		assert.Contains(t, err.Error(), says)
	}
	for says, failed := range map[string]error{
		"no such host; check the name of the host, and the network": &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Name: "registry.example", Err: "no such host", IsNotFound: true,
		}},
		"; the proxy comes from HTTPS_PROXY, HTTP_PROXY and NO_PROXY": &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{
			Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED,
		}},
		"if it speaks plain HTTP, write http:// in front of the reference": tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"},
	} {
		attempts := 0
		_, err := (&ocitags.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			attempts++
			return nil, failed
		}), MaxAttempts: 2}).ListTags(t.Context(), "registry.example/a/b")
		require.Error(t, err)
		assert.Contains(t, err.Error(), says)
		if !strings.Contains(says, "proxy") {
			assert.Equal(t, 1, attempts, "another would not mend it")
		}
	}
}

// A code that is no code, and messages, are quoted.
func TestErrorQuotes(t *testing.T) {
	e := &ocitags.Error{StatusCode: 400, URL: "https://registry.example/v2/a/b/tags/list", Codes: []ocitags.ErrorCode{
		{Code: "NAME_INVALID", Message: "no\n"}, {Code: "\x1b[31m"}, {Code: strings.Repeat("A", 64), Message: "long"},
	}}
	assert.Equal(t, `GET https://registry.example/v2/a/b/tags/list: 400 Bad Request: NAME_INVALID "no\n": "\x1b[31m": "`+strings.Repeat("A", 64)+`" "long"`, e.Error())
}

// Whoever ends a listing knows what to do.
func TestCancellationGetsNoAdvice(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	ref, _, network := newRegistry(t, "gitlab", "a/b", 1)
	_, err := anonymous(network).ListTags(ctx, ref)
	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, strings.HasSuffix(err.Error(), ": context canceled: enough"), err)
}
