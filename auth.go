package ocitags

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/challenge"
	"github.com/ocitags/ocitags/internal/dockerconfig"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/reference"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/token"
	"github.com/ocitags/ocitags/internal/wire"
)

const (
	// maxTokenAnswer bounds a token server's answer. Tokens have some KiB,
	// those of registries that list each permission up to 64.
	maxTokenAnswer = 128 << 10

	// maxRealm bounds the URL of a token server.
	maxRealm = 8 << 10
)

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
func (l *listing) checkRealm(text string, from *url.URL, cred Credential) (realm *url.URL, allowed bool, err error) {
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
	secret, allow := cred != (Credential{}), l.client.AllowRealm
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
		if why = ""; !allow(l.repo.Host, realm) {
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
	*listing

	once   sync.Once
	cred   Credential
	err    error
	looked atomic.Bool // for a credential
	known  atomic.Bool // there is one
	sent   atomic.Bool // one was used
	unfit  atomic.Bool // one was known, and could not be
	probed atomic.Bool // it was asked whether it wants one

	missing atomic.Pointer[dockerconfig.NotInstalledError] // a helper is not installed that might know one
	away    atomic.Pointer[string]                         // the host where a redirect led, which did not get one; nil: none
}

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
		v.log().DebugContext(v.req.Context(), "asking without a token", "because", err.Error())
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
	case unknown != nil && v.known.Load():
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
	a.log().DebugContext(ctx, "asking for a challenge", "because", "the list is hidden, and a credential is known", "status", hidden.StatusCode)
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
		a.looked.Store(true)
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
		a.known.Store(a.cred != (Credential{}))
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
	if cred != (Credential{}) {
		a.sent.Store(!useless)
		a.unfit.Store(useless)
	}
	a.log().DebugContext(ctx, "authorization is asked for", "scheme", asked.Scheme, "as", cred.String())
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
	form := url.Values{"scope": {readScope(asked.Params["scope"], repositoryOf(req.URL, a.repo.Name))}}
	if service := asked.Params["service"]; service != "" {
		form.Set("service", service)
	}
	a.log().DebugContext(ctx, "asking for a token", "scope", form.Get("scope"))
	return a.askToken(ctx, realm, form, cred)
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

// clientID is what token servers know this library by.
const clientID = "ocitags"

// askToken asks a token server: by GET with the password if there is one
// (distribution's "Token Authentication Specification"), by POST with a refresh
// token ("OAuth2 Token Authentication"). A server that does not know the POST
// (404, 405) is asked by GET. A refresh token of its answer replaces the one that
// was sent; where that is refused then, the user's own is.
func (a *authorizer) askToken(ctx context.Context, realm *url.URL, form url.Values, cred Credential) (string, time.Time, error) {
	form.Set("client_id", clientID)
	u := *realm
	query := u.Query()
	query.Del("scope") // the registry's, which might be more than ours
	method, body := http.MethodGet, ""
	refresh := a.client.auth.RefreshToken(holderOf(cred), cred.RefreshToken)
	if refresh != "" {
		post := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
		maps.Copy(post, form)
		method, body = http.MethodPost, post.Encode()
	} else {
		maps.Copy(query, form)
		if query.Del("account"); cred.Username != "" {
			query.Set("account", cred.Username)
		}
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("%w: the token server's URL cannot be asked", ErrUnsafeLink)
	}
	switch {
	case method == http.MethodPost:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case cred.Username != "" || cred.Password != "":
		req.Header.Set("Authorization", basic(cred))
	}
	req.Header.Set("User-Agent", a.client.userAgent())

	var answer token.Answer
	status, err := a.ask(req, form.Get("scope"), &answer)
	switch {
	case err != nil && refresh != cred.RefreshToken && status/100 == 4:
		a.client.auth.Rotate(holderOf(cred), "")
		return a.askToken(ctx, realm, form, cred)
	case refresh != "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		cred.RefreshToken = ""
		return a.askToken(ctx, realm, form, cred)
	case err != nil:
		return "", time.Time{}, err
	}
	if refresh != "" && answer.RefreshToken != "" && answer.RefreshToken != refresh {
		a.client.auth.Rotate(holderOf(cred), answer.RefreshToken)
	}
	header, err := bearer(answer.Token())
	return header, time.Now().Add(answer.Life()), err
}

// ask sends a request to a token server and reads its answer, with the retries
// and the bounds of a page.
func (a *authorizer) ask(req *http.Request, scope string, answer *token.Answer) (status int, err error) {
	ctx := req.Context()
	host := taglist.Quote(req.URL.Host)
	for attempts := a.wire.Attempts(); ; {
		status, err = a.askOnce(req, scope, answer)
		if err == nil {
			return status, nil
		}
		if ctx.Err() != nil {
			return status, fmt.Errorf("asking the token server %s: %w", host, bound.Ended(ctx))
		}
		if again, err := attempts.Next(ctx, err); !again {
			return status, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return 0, err
			}
		}
	}
}

// askOnce is ask without retries. Redirects are followed within the origin only,
// as they would carry the credential on, and ask for no other scope.
func (a *authorizer) askOnce(req *http.Request, scope string, answer *token.Answer) (status int, err error) {
	client := &http.Client{
		Transport: a.carrier,
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if !origin.Same(to.URL, via[0].URL) || to.URL.User != nil || to.Method != via[0].Method || len(via) > wire.MaxRedirects {
				return http.ErrUseLastResponse
			}
			query := to.URL.Query()
			if query.Del("scope"); to.Method == http.MethodGet {
				query.Set("scope", scope)
			}
			to.URL.RawQuery = query.Encode()
			to.Header.Del("Referer")
			return nil
		},
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	watch := &bound.Watch{Idle: wire.MaxIdle, Total: wire.MaxAnswerTime, Cancel: cancel}
	failed := func(err error) error {
		if b, ok := errors.AsType[*bound.Error](context.Cause(ctx)); ok {
			err = b
		}
		return fmt.Errorf("asking the token server %s: %w", taglist.Quote(req.URL.Host), wire.StripURL(err))
	}
	began := time.Now()
	var resp *http.Response
	werr := watch.Wait(func() { resp, err = client.Do(req.WithContext(ctx)) })
	if err == nil && werr != nil {
		_ = resp.Body.Close()
		err = werr
	}
	if err != nil {
		return 0, failed(err)
	}
	defer wire.Discard(resp)
	a.log().DebugContext(ctx, "token request", "method", req.Method, "url", origin.WithoutSecrets(req.URL), "status", resp.StatusCode, "duration", time.Since(began))
	body, err := io.ReadAll(&bound.Body{R: io.LimitReader(resp.Body, maxTokenAnswer+1), Watch: watch, Max: maxTokenAnswer + 1})
	switch {
	case err != nil:
		return resp.StatusCode, failed(err)
	case resp.StatusCode != http.StatusOK:
		e := a.newError(resp, body)
		e.token = true
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			e.kind, e.hint = ErrUnauthorized, a.credentialHint()
		}
		return resp.StatusCode, wire.NewRefused(e, e.StatusCode, e.RetryAfter)
	case len(body) > maxTokenAnswer:
		return 0, wire.Permanent{Err: fmt.Errorf("%w: the token server %s sent more than %d bytes", ErrTooLarge, req.URL.Host, maxTokenAnswer)}
	}
	if *answer, err = token.Decode(body); err != nil || answer.Token() == "" {
		return 0, wire.Permanent{Err: fmt.Errorf("%w: the token server %s sent no token", ErrInvalidResponse, req.URL.Host)}
	}
	return resp.StatusCode, nil
}
