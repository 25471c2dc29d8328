// Credentials, the challenges of registries, and which token server may be asked for
// what. The authorizer is the RoundTripper of one listing.

package ocitags

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
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

// maxRealm bounds the URL of a token server.
const maxRealm = 8 << 10

// readActions are the actions that reading a tag list can need: pull, and what
// Azure asks for instead.
var readActions = []string{"pull", "metadata_read", "content_read"}

// readScope reduces the scope that a challenge names to reading name: a
// registry must not make us ask for a token that could write, or that opens
// another repository. Scopes are separated by spaces; a comma separates
// actions. Nothing left, or Gitea's "*", means pulling name.
func readScope(scope, name string) string {
	var actions []string
	for _, s := range strings.Fields(scope) {
		rest, ok := strings.CutPrefix(s, "repository:"+name+":")
		if !ok {
			continue
		}
		for _, action := range strings.Split(rest, ",") {
			if slices.Contains(readActions, action) && !slices.Contains(actions, action) {
				actions = append(actions, action)
			}
		}
	}
	if actions == nil {
		actions = []string{"pull"}
	}
	return "repository:" + name + ":" + strings.Join(actions, ",")
}

// checkRealm says whether a token server may be asked at all, and whether it
// may see the credential; from is the URL whose answer names it. allowed is that
// the user has said so.
//
// Without a credential nothing can leak, and some registries do have their
// token server elsewhere (lscr.io sends one to ghcr.io); but a registry must
// not make us knock at doors inside the user's network.
func (a *authorizer) checkRealm(text string, from *url.URL, cred Credential) (realm *url.URL, allowed bool, err error) {
	refuse := func(why string) error {
		return fmt.Errorf("%w: the token server %s that %s names %s", ErrUnsafeLink, taglist.Quote(withoutQuery(text)), from.Host, why)
	}
	if len(text) > maxRealm {
		return nil, false, refuse(fmt.Sprintf("has a URL of more than %d bytes", maxRealm))
	}
	realm, err = url.Parse(text)
	switch {
	case text == "":
		return nil, false, refuse("is empty")
	case err != nil:
		return nil, false, refuse("cannot be parsed")
	}
	realm = from.ResolveReference(realm)
	switch {
	case realm.Scheme != "https" && realm.Scheme != "http" || realm.Hostname() == "" || realm.Opaque != "":
		return nil, false, refuse("is no http or https URL with a host")
	case realm.User != nil || strings.Contains(text, "#"):
		return nil, false, refuse("has user-info or a fragment")
	}
	secret, allow := cred != (Credential{}), a.client.AllowRealm
	here, there := from.Hostname(), realm.Hostname()
	ours := origin.SameSite(here, there) || origin.SamePrivateSite(here, there)
	var why string
	switch {
	case realm.Scheme == "http" && from.Scheme != "http":
		why = "would be asked in clear text"
	case ours:
	case secret:
		why = "is in a different domain; set Client.AllowRealm to send it credentials"
	case !origin.Public(there):
		why = "is neither at the registry nor at a public name; set Client.AllowRealm to ask it"
	}
	if allow != nil && (secret || why != "") {
		if why = ""; !allow(a.repo.Host, realm) {
			why = "is refused by Client.AllowRealm"
		}
		allowed = true
	}
	if why != "" {
		return nil, false, refuse(why)
	}
	return realm, allowed, nil
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
		// Nobody has asked for it here: a stranger may be let in.
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
		// What a foreign origin is told must not be what the registry is told,
		// even if a redirect leads back: it gets its own.
		v.all = &a.foreign
	}
	return v
}

// authorization is what is known of the authorization there. Elsewhere than at home
// it is without the credential.
func (v *visit) authorization() (*token.Authorization, error) {
	var cred Credential
	var err error
	if v.home {
		cred, err = v.credential(v.req.Context())
	}
	return v.all.At(v.at, holderOf(cred)), err
}

// header is the Authorization to send at first; "": none.
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
	asked, unknown := chooseChallenge(challenges)
	auth, err := v.authorization() // looked for in any case, so that a refusal can tell what became of it
	switch {
	case err != nil:
		return "", err
	case unknown != nil && v.hasCredential():
		return "", fmt.Errorf("%w; the credential for %s was not sent", unknown, v.repo.Host)
	case unknown != nil:
		return "", fmt.Errorf("%w; no credential was sent", unknown)
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
// and the answer hides what a stranger may not see without asking for it: a 403
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

// renew is auth.Renew, whose time is not the registry's.
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
		if !origin.Same(req.URL, a.home) && !upgrades(a.home, req.URL) {
			return false
		}
		if req.Response == nil || req.Response.Request == nil {
			return true
		}
	}
}

// upgrades reports whether to is the https of an http origin: at the same port, or
// both at the scheme's own.
func upgrades(from, to *url.URL) bool {
	return from.Scheme == "http" && to.Scheme == "https" && origin.SameHost(from.Hostname(), to.Hostname()) &&
		(origin.Port(from) == origin.Port(to) || origin.Port(from) == "80" && origin.Port(to) == "443")
}

func withAuthorization(req *http.Request, header string) *http.Request {
	clone := req.Clone(req.Context())
	if clone.Header.Del("Authorization"); header != "" {
		clone.Header.Set("Authorization", header)
	}
	return clone
}

// chooseChallenge picks Bearer before Basic. No challenge at all is none; only
// others (Negotiate, Digest) are an error.
func chooseChallenge(headers []string) (challenge.Challenge, error) {
	all := challenge.Parse(headers)
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.Scheme == scheme {
				return c, nil
			}
		}
	}
	if len(all) == 0 {
		return challenge.Challenge{}, nil
	}
	return challenge.Challenge{}, fmt.Errorf("%w: the registry asks for %s authentication; only Bearer and Basic are supported",
		ErrUnauthorized, taglist.Quote(all[0].Scheme))
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

// holderOf is what stands for a credential where tokens are kept.
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
		return basic(cred), time.Time{}, nil
	case cred.AccessToken != "":
		header, err := bearer(cred.AccessToken)
		return header, time.Time{}, err
	}
	realm, allowed, err := a.checkRealm(asked.Params["realm"], req.URL, cred)
	if err != nil {
		return "", time.Time{}, err
	}
	if allowed {
		ctx = wire.Allow(ctx, realm.Hostname())
	}
	scope := readScope(asked.Params["scope"], repositoryOf(req.URL, a.repo.Name))
	a.log.DebugContext(ctx, "asking for a token", "scope", scope)
	return a.askToken(ctx, tokenserver.Request{Realm: realm, Scope: scope, Service: asked.Params["service"]}, cred)
}

// repositoryOf is the repository that u lists. Within a registry a redirect may
// lead to the same name in another place (Docker Hub's and Harbor's library/),
// and the token must then be for that; any other path counts as ours.
func repositoryOf(u *url.URL, ours string) string {
	name, ok := strings.CutPrefix(u.Path, "/v2/")
	if name, ok2 := strings.CutSuffix(name, "/tags/list"); ok && ok2 && path.Base(name) == path.Base(ours) {
		if _, err := reference.Parse("host.invalid/" + name); err == nil {
			return name
		}
	}
	return ours
}

func basic(cred Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))
}

// bearer makes a header of a token, which must be visible ASCII: RFC 6750 §2.1
// allows less, some servers use more.
func bearer(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= 0x20 || r >= 0x7f }) {
		return "", wire.Permanent{Err: fmt.Errorf("%w: the token holds characters that no header can carry", ErrUnauthorized)}
	}
	return "Bearer " + text, nil
}

// askToken asks a token server, with a refresh token if there is one. A server that does
// not know how (404, 405) is asked with the password. A refresh token of its answer
// replaces the one that was sent; where that is refused then, the user's own is.
func (a *authorizer) askToken(ctx context.Context, r tokenserver.Request, cred Credential) (string, time.Time, error) {
	server := tokenserver.Client{Wire: a.wire, Log: a.log, Refuse: a.refusalOfToken}
	r.RefreshToken = a.client.auth.RefreshToken(holderOf(cred), cred.RefreshToken)
	if cred.Username != "" || cred.Password != "" {
		r.User = url.UserPassword(cred.Username, cred.Password)
	}
	answer, status, err := server.Ask(ctx, r)
	switch {
	case err != nil && r.RefreshToken != cred.RefreshToken && status/100 == 4:
		a.client.auth.Rotate(holderOf(cred), "")
		return a.askToken(ctx, r, cred)
	case r.RefreshToken != "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		cred.RefreshToken = ""
		return a.askToken(ctx, r, cred)
	case err != nil:
		return "", time.Time{}, err
	}
	if r.RefreshToken != "" && answer.RefreshToken != "" && answer.RefreshToken != r.RefreshToken {
		a.client.auth.Rotate(holderOf(cred), answer.RefreshToken)
	}
	header, err := bearer(answer.Token())
	return header, time.Now().Add(answer.Life()), err
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

// refusalOfToken is refusal for an answer of a token server.
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
