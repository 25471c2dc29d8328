// Credentials, the challenges of registries, and what is sent to whom. The authorizer is
// the RoundTripper of one listing.

package ocitags

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocitags/ocitags/internal/challenge"
	"github.com/ocitags/ocitags/internal/dockerconfig"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/reference"
	"github.com/ocitags/ocitags/internal/retry"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/token"
	"github.com/ocitags/ocitags/internal/tokenserver"
	"github.com/ocitags/ocitags/internal/wire"
)

// A Credential identifies a user at a registry. The zero value is an anonymous user.
// If several fields are set, AccessToken takes precedence over RefreshToken, and that
// over Username and Password. A Credential prints without its secrets.
type Credential struct {
	Username, Password string
	RefreshToken       string // an identity token, for the token server: OAuth2's grant_type=refresh_token
	AccessToken        string // a registry token, sent to the registry itself, unchanged
}

// String names the fields that are set, and shows none of them: the user name may be a
// secret, too (DigitalOcean has a token there).
func (c Credential) String() string {
	var parts []string
	for _, field := range [...][2]string{{"user name", c.Username}, {"password", c.Password}, {"refresh token", c.RefreshToken}, {"access token", c.AccessToken}} {
		if field[1] != "" {
			parts = append(parts, field[0])
		}
	}
	if parts == nil {
		return "anonymous"
	}
	return strings.Join(parts, ", ")
}

// Format implements fmt.Formatter. It prints String for each verb, and so hides the
// secrets also where a Credential is an exported field, or in a slice or a map. Package
// fmt does not call it for unexported fields, nor for %p and %w, which go vet reports.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// GoString implements fmt.GoStringer by String.
func (c Credential) GoString() string { return c.String() }

// MarshalText implements encoding.TextMarshaler by String, so that JSON hides the secrets.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue implements slog.LogValuer by String, so that log records hide the secrets.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A CredentialFunc finds the credential for a repository. host is the registry as in
// the reference, including its port (docker.io for Docker Hub), and repository is the
// name there. It returns the zero Credential if there is none; an error ends the
// listing. It is called at most once per listing, when the registry asks, and must be
// safe for concurrent use.
//
// The key chains of other libraries can be adapted in ten lines: docs/recipes.md has
// those of go-containerregistry and oras-go.
type CredentialFunc func(ctx context.Context, host, repository string) (Credential, error)

// Anonymous is a CredentialFunc that finds no credential.
func Anonymous(ctx context.Context, host, repository string) (Credential, error) {
	return Credential{}, nil
}

// StaticCredential returns a CredentialFunc that finds cred for the registry host, and
// none for any other. The case of host does not matter, but its port does: a credential
// for registry.example is not used for registry.example:5000. For Docker Hub, host is
// docker.io.
func StaticCredential(host string, cred Credential) CredentialFunc {
	return func(_ context.Context, h, _ string) (Credential, error) {
		if strings.EqualFold(h, host) {
			return cred, nil
		}
		return Credential{}, nil
	}
}

// DefaultCredentials reads the files that docker login and podman login write, and runs
// the credential helpers that they name. It returns what the first of these has:
//
//   - $REGISTRY_AUTH_FILE
//   - $DOCKER_AUTH_CONFIG, which is the content of such a file
//   - $DOCKER_CONFIG/config.json, or ~/.docker/config.json
//   - $XDG_RUNTIME_DIR/containers/auth.json, or without that variable
//     /run/containers/<uid>/auth.json
//   - $XDG_CONFIG_HOME/containers/auth.json, or ~/.config/containers/auth.json
//
// In each of them, a helper for the host (credHelpers) takes precedence over an entry
// (auths), of which the longest key wins (host/org/name, host/org or host), and that over
// the helper for all hosts (credsStore). A helper with an empty name stands for the file.
// The entry for Docker Hub may be called docker.io, index.docker.io,
// registry-1.docker.io or, as docker login does, https://index.docker.io/v1/.
//
// Files that do not exist, are empty or are directories are ignored; those that cannot
// be read are errors. A helper has 30 seconds. One that is not installed is an error if
// nothing else has an entry: a listing then goes on anonymously, and says so if it is
// refused. Errors hold nothing of what a file or a helper said.
func DefaultCredentials(ctx context.Context, host, repository string) (Credential, error) {
	cred, err := dockerconfig.Find(ctx, host, repository)
	return Credential(cred), err
}

// An authorizer is the RoundTripper of one listing: it answers the registry's
// challenges, and keeps what belongs to the registry at the registry.
type authorizer struct {
	client  *Client
	repo    reference.Repository
	home    *url.URL // of the repository's tag list
	wire    *wire.Client
	carrier *wire.Carrier
	foreign token.Store // of hosts that redirects led to
	log     *slog.Logger

	once   sync.Once
	cred   Credential
	err    error
	use    atomic.Int32 // of the credential: a credentialUse
	probed atomic.Bool  // the registry was asked whether it wants one

	missing atomic.Pointer[dockerconfig.NotInstalledError] // a helper is not installed that might know one
	away    atomic.Pointer[string]                         // the host where a redirect led, which did not get one; nil: none
}

// A credentialUse is what became of the user's credential in a listing.
type credentialUse int32

const (
	notLookedFor credentialUse = iota // the registry did not ask for one
	noneFound
	notSent  // there is one, and the registry has not asked for it
	unusable // it has no password, and Basic authentication is asked for
	sent
)

func (a *authorizer) credentialUse() credentialUse { return credentialUse(a.use.Load()) }

// hasCredential reports whether one was found.
func (a *authorizer) hasCredential() bool { return a.credentialUse() >= notSent }

// RoundTrip implements http.RoundTripper: it does not modify req, and closes
// its body (which a GET of ours has not) by leaving it to the carrier.
func (a *authorizer) RoundTrip(req *http.Request) (*http.Response, error) {
	v := a.visit(req)
	header, err := v.header()
	if err != nil {
		return nil, err
	}
	resp, err := a.carrier.RoundTrip(withAuthorization(req, header))
	if err == nil && resp.StatusCode == http.StatusForbidden && v.foreseen {
		// This repository has not asked for it, and may be public.
		wire.Release(resp)
		v.all.Forget(v.at)
		header = ""
		resp, err = a.carrier.RoundTrip(withAuthorization(req, header))
	}
	if err != nil {
		return nil, err
	}
	code := resp.StatusCode
	if !v.home && (code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound) {
		if cred, err := a.credential(req.Context()); err == nil && cred != (Credential{}) { // so that a refusal can tell of it
			a.away.Store(&req.URL.Host)
		}
	}
	challenges := resp.Header.Values("WWW-Authenticate")
	switch {
	case code == http.StatusUnauthorized:
	case (code == http.StatusForbidden || code == http.StatusNotFound) && v.home && header == "":
		if challenges, err = a.probe(req, resp); err != nil || challenges == nil {
			return resp, err
		}
	default:
		return resp, nil
	}
	// The token server may be the registry itself, and its request must not wait
	// for the connection that this answer holds.
	wire.Release(resp)
	renewed, err := v.meet(challenges, header)
	switch {
	case err != nil:
		return nil, err
	case renewed == "" || renewed == header:
		return resp, nil // nothing better to offer
	}
	// Once for each 401: a header that was just fetched and is refused again
	// goes to the caller.
	return a.carrier.RoundTrip(withAuthorization(req, renewed))
}

// A visit is a request, with what is known of the origin that it goes to.
type visit struct {
	*authorizer
	req  *http.Request
	home bool // it goes to the registry
	at   token.Place
	all  *token.Store

	foreseen bool // the first header was not asked for
}

func (a *authorizer) visit(req *http.Request) *visit {
	v := &visit{authorizer: a, req: req, home: a.toRegistry(req), at: token.Place{Origin: origin.Of(req.URL), Repository: a.repo.Name}, all: &a.client.auth}
	if !v.home {
		// A foreign origin gets tokens of its own, never those of the registry, even
		// if a redirect leads back.
		v.all = &a.foreign
	}
	return v
}

// authorization returns what is known of the authorization at the origin. The credential
// belongs to the home registry only; elsewhere there is none.
func (v *visit) authorization() (*token.Authorization, error) {
	var cred Credential
	var err error
	if v.home {
		cred, err = v.credential(v.req.Context())
	}
	return v.all.At(v.at, holderOf(cred)), err
}

// header returns the Authorization to send at first; "": none.
func (v *visit) header() (string, error) {
	if !v.all.Asks(v.at) {
		return v.foresee()
	}
	auth, err := v.authorization()
	if err != nil {
		return "", err
	}
	header, asked, stale := auth.Current()
	if stale {
		return v.renew(v.req.Context(), auth, "", asked, v.token)
	}
	return header, nil
}

// foresee returns the Authorization for the first request of a repository, where the
// registry has sent a challenge for another repository; "": none. It saves a request that
// would be refused. An error is not returned: the request is then sent without, and the
// registry's own challenge decides.
func (v *visit) foresee() (string, error) {
	asked, ok := v.all.Asking(v.at.Origin)
	if !ok || !v.home {
		return "", nil
	}
	auth, err := v.authorization()
	if err != nil {
		return "", err
	}
	header, err := v.renew(v.req.Context(), auth, "", asked, v.token)
	if err != nil && v.req.Context().Err() == nil {
		v.log.DebugContext(v.req.Context(), "asking without a token", "because", err.Error())
		v.all.Forget(v.at)
		return "", nil
	}
	v.foreseen = header != ""
	return header, err
}

// meet returns the Authorization that challenges ask for, after header was refused;
// "": there is none.
func (v *visit) meet(challenges []string, header string) (string, error) {
	asked, other := challenge.Choose(challenges)
	auth, err := v.authorization() // looked for in any case, so that a refusal can tell what became of it
	switch {
	case err != nil:
		return "", err
	case other != "":
		ours := "no credential was sent"
		if v.hasCredential() {
			ours = "the credential for " + v.repo.Host + " was not sent"
		}
		return "", fmt.Errorf("%w: the registry asks for %s authentication; only Bearer and Basic are supported; %s", ErrUnauthorized, taglist.Quote(other), ours)
	case asked.Scheme == "":
		return "", nil
	}
	renewed, err := v.renew(v.req.Context(), auth, header, asked, v.token)
	if err == nil && renewed != "" && v.home {
		v.all.Asked(v.at.Origin, asked)
	}
	return renewed, err
}

func (v *visit) token(ctx context.Context, asked challenge.Challenge) (string, time.Time, error) {
	return v.fetch(ctx, v.req, v.home, asked)
}

// probe asks the registry once for its challenge, where the user has a credential
// and the answer hides the list without asking for it: a 403
// or a 404. /v2/ is where a registry asks (distribution-spec v1.1.1, "Determining
// Support").
func (a *authorizer) probe(req *http.Request, hidden *http.Response) (challenges []string, err error) {
	ctx := req.Context()
	if cred, err := a.credential(ctx); err != nil || cred == (Credential{}) || !a.probed.CompareAndSwap(false, true) {
		return nil, err
	}
	wire.Release(hidden)
	ask := req.Clone(ctx)
	ask.URL = &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: "/v2/"}
	ask.Response = nil
	ask.Header.Del("Authorization")
	a.log.DebugContext(ctx, "asking for a challenge", "because", "the list is hidden, and a credential is known", "status", hidden.StatusCode)
	resp, err := a.carrier.RoundTrip(ask)
	if err != nil {
		return nil, nil // the answer that there is tells more
	}
	wire.Discard(resp)
	if resp.StatusCode != http.StatusUnauthorized {
		return nil, nil
	}
	return resp.Header.Values("WWW-Authenticate"), nil
}

// renew calls auth.Renew. The time that takes is not counted as the registry's.
func (a *authorizer) renew(ctx context.Context, auth *token.Authorization, refused string, asked challenge.Challenge, fetch token.Fetch) (header string, err error) {
	wire.Except(ctx, func() { header, err = auth.Renew(ctx, refused, asked, fetch) })
	if err != nil {
		err = wire.Final{Err: err}
	}
	return header, err
}

// toRegistry reports whether req goes to the registry that the user named, and has
// not left it on the way: a redirect chain that comes back from elsewhere gets
// nothing (RFC 9110 §15.4). One from http to https at the same host does not leave
// it.
func (a *authorizer) toRegistry(req *http.Request) bool {
	for ; ; req = req.Response.Request {
		if !origin.Same(req.URL, a.home) && !origin.Upgrades(a.home, req.URL) {
			return false
		}
		if req.Response == nil || req.Response.Request == nil {
			return true
		}
	}
}

func withAuthorization(req *http.Request, header string) *http.Request {
	clone := req.Clone(req.Context())
	if clone.Header.Del("Authorization"); header != "" {
		clone.Header.Set("Authorization", header)
	}
	return clone
}

// credential asks the CredentialFunc, once for this listing.
func (a *authorizer) credential(ctx context.Context) (Credential, error) {
	a.once.Do(func() {
		find := a.client.Credentials
		if find == nil {
			find = DefaultCredentials
		}
		a.cred, a.err = find(ctx, a.repo.Host, a.repo.Name)
		if missing, ok := errors.AsType[dockerconfig.NotInstalledError](a.err); ok {
			a.missing.Store(&missing)
			a.err = nil
		}
		if a.err != nil {
			a.err = wire.Permanent{Err: fmt.Errorf("finding the credential for %s: %w", a.repo.Host, a.err)}
		}
		if a.use.Store(int32(noneFound)); a.cred != (Credential{}) {
			a.use.Store(int32(notSent))
		}
	})
	return a.cred, a.err
}

// holderOf identifies a credential in the token cache.
func holderOf(cred Credential) token.Holder {
	return token.HolderOf(cred.Username, cred.Password, cred.RefreshToken, cred.AccessToken)
}

// fetch turns a challenge into an Authorization header and the time when it
// ends; "" where there is none to be had.
func (a *authorizer) fetch(ctx context.Context, req *http.Request, home bool, asked challenge.Challenge) (string, time.Time, error) {
	var cred Credential
	if home {
		var err error
		if cred, err = a.credential(ctx); err != nil {
			return "", time.Time{}, err
		}
	}
	useless := asked.Scheme == "basic" && cred.Username == "" && cred.Password == ""
	switch {
	case cred == (Credential{}):
	case useless:
		a.use.Store(int32(unusable))
	default:
		a.use.Store(int32(sent))
	}
	a.log.DebugContext(ctx, "authorization is asked for", "scheme", asked.Scheme, "as", cred.String())
	switch {
	case useless:
		return "", time.Time{}, nil
	case asked.Scheme == "basic":
		return token.Basic(cred.Username, cred.Password), time.Time{}, nil
	case cred.AccessToken != "":
		header, err := bearer(cred.AccessToken)
		return header, time.Time{}, err
	}
	var allow func(*url.URL) bool
	if a.client.AllowRealm != nil {
		allow = func(realm *url.URL) bool { return a.client.AllowRealm(a.repo.Host, realm) }
	}
	realm, allowed, err := tokenserver.Realm(asked.Params["realm"], req.URL, cred != (Credential{}), allow)
	if err != nil {
		return "", time.Time{}, err
	}
	if allowed {
		ctx = wire.Allow(ctx, realm.Hostname())
	}
	scope := token.ReadScope(asked.Params["scope"], reference.Listed(req.URL.Path, a.repo.Name))
	a.log.DebugContext(ctx, "asking for a token", "scope", scope)
	r := tokenserver.Request{Realm: realm, Scope: scope, Service: asked.Params["service"], RefreshToken: cred.RefreshToken}
	if cred.Username != "" || cred.Password != "" {
		r.User = url.UserPassword(cred.Username, cred.Password)
	}
	server := tokenserver.Client{Wire: a.wire, Log: a.log, Tokens: &a.client.auth, Refuse: a.refusalOfToken}
	answer, err := server.Ask(ctx, r, holderOf(cred))
	if err != nil {
		return "", time.Time{}, err
	}
	header, err := bearer(answer.Token())
	return header, time.Now().Add(answer.Life()), err
}

// bearer returns the Authorization header of a token.
func bearer(text string) (string, error) {
	header, ok := token.Bearer(text)
	if !ok {
		return "", wire.Permanent{Err: fmt.Errorf("%w: the token holds characters that no header can carry", ErrUnauthorized)}
	}
	return header, nil
}

// newError makes an Error of an answer with another status than 200. The
// authorizer knows what must not be told.
func (a *authorizer) newError(resp *http.Response, body []byte) *Error {
	e := &Error{StatusCode: resp.StatusCode, URL: origin.WithoutSecrets(resp.Request.URL), method: resp.Request.Method}
	for _, c := range ocierr.Reasons(body) {
		if a.repeatsSecret(resp.Request, c.Code+" "+c.Message) {
			c = ocierr.Reason{Message: "(not told: it repeats a credential)"}
		}
		e.Codes = append(e.Codes, ErrorCode(c))
	}
	e.RetryAfter = retry.After(resp.Header.Get("Retry-After"), time.Now())
	for _, c := range e.Codes {
		e.RetryAfter = max(e.RetryAfter, retry.InMessage(c.Message))
	}
	return e
}

// repeatsSecret reports whether a server's text has something in it that it was
// sent and that nobody else should see.
func (a *authorizer) repeatsSecret(req *http.Request, text string) bool {
	_, header, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	secrets := []string{header}
	if a.hasCredential() {
		secrets = append(secrets, a.cred.Password, a.cred.RefreshToken, a.cred.AccessToken, a.client.auth.RefreshToken(holderOf(a.cred), a.cred.RefreshToken))
		if len(a.cred.Username) > 2 {
			secrets = append(secrets, a.cred.Username)
		}
	}
	return slices.ContainsFunc(secrets, func(secret string) bool { return secret != "" && strings.Contains(text, secret) })
}

// refusal makes an error of an answer with another status than 200.
func (a *authorizer) refusal(resp *http.Response, body []byte, anonymous bool) wire.Refused {
	e := a.newError(resp, body)
	a.explain(e, resp, body, anonymous)
	return wire.Refused{
		Err: e, Status: e.StatusCode, RetryAfter: e.RetryAfter,
		NotTheList: e.plainHTTPToTLS || slices.ContainsFunc(e.Codes, func(c ErrorCode) bool { return strings.HasPrefix(c.Code, "NAME_") }),
		NotFound:   func() { e.kind = ErrNotFound },
	}
}

// refusalOfToken is like refusal, for an answer of a token server.
func (a *authorizer) refusalOfToken(resp *http.Response, body []byte) wire.Refused {
	e := a.newError(resp, body)
	e.token = true
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		e.kind, e.hint = ErrUnauthorized, a.credentialHint()
	}
	return wire.Refused{Err: e, Status: e.StatusCode, RetryAfter: e.RetryAfter, TokenServer: true}
}

// explain adds what is known of a refusal to its error.
func (a *authorizer) explain(e *Error, resp *http.Response, body []byte, anonymous bool) {
	switch e.StatusCode {
	case http.StatusTooManyRequests:
		e.kind = ErrRateLimited
	case http.StatusNotFound:
		if !anonymous && a.hasCredential() {
			e.hint = a.credentialHint()
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		e.kind = ErrUnauthorized
		if anonymous {
			return
		}
		e.hint = a.credentialHint()
		// The Hub gives a token for any name, and then turns it down.
		if a.repo.Host == "docker.io" && strings.Contains(strings.Join(resp.Header.Values("WWW-Authenticate"), ","), "insufficient_scope") {
			e.hint += "; at Docker Hub this means that the repository does not exist, is private, or is an official image without library/ in front"
		}
	case http.StatusBadRequest:
		// In the words of Go, nginx and Apache.
		if resp.Request.URL.Scheme == "http" && (bytes.Contains(body, []byte("HTTPS")) || bytes.Contains(body, []byte("SSL-enabled"))) {
			e.hint, e.plainHTTPToTLS = "this port speaks TLS", true
		}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" && e.Codes == nil && e.hint == "" {
		e.hint = "the answer is a web page"
	}
}

// credentialHint says whether a credential was sent.
func (a *authorizer) credentialHint() string {
	const no = "no credential was sent: "
	ours, use := "the credential for "+a.repo.Host+" was ", a.credentialUse()
	switch {
	case a.away.Load() != nil:
		return ours + "not sent to " + taglist.Quote(*a.away.Load()) + ", where a redirect led"
	case use == sent:
		return ours + "sent"
	case use == unusable:
		return ours + "not sent: it has no password, and Basic authentication is asked for"
	case use == notSent:
		return ours + "not sent: the registry did not ask for one"
	case use == notLookedFor:
		return no + "the registry did not ask for one"
	case a.missing.Load() != nil:
		return no + a.missing.Load().Error()
	case a.client.Credentials == nil:
		return no + "none is known for " + a.repo.Host
	default:
		return no + "none was given for " + a.repo.Host
	}
}
