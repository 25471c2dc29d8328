// Package tokenserver asks a registry's token server for a token, with the retries and
// the bounds of a page, and says which token server may be asked.
package tokenserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/token"
	"github.com/ocitags/ocitags/internal/wire"
)

// MaxAnswer bounds an answer, in bytes. Tokens have some KiB, those of registries that
// list each permission up to 64.
const MaxAnswer = 128 << 10

// clientID is what token servers know this library by.
const clientID = "ocitags"

// A Client asks token servers.
type Client struct {
	Wire   *wire.Client
	Log    *slog.Logger
	Tokens *token.Store                                        // which keeps the refresh tokens that servers send
	Refuse func(resp *http.Response, body []byte) wire.Refused // what an answer with another status than 200 is
}

// A Request is what a token is asked for with.
type Request struct {
	Realm          *url.URL // of the token server
	Scope, Service string   // Service "": the challenge named none
	User           *url.Userinfo
	RefreshToken   string // the credential's own; "": there is none, and User is sent
}

// Ask asks for a token with the credential of its holder, by its refresh token if it has
// one. A server that does not know how (404, 405) is asked with User. A refresh token of
// the answer replaces the one that was sent; where that is refused then, the credential's
// own is sent again.
func (c *Client) Ask(ctx context.Context, r Request, by token.Holder) (token.Answer, error) {
	own := r.RefreshToken
	r.RefreshToken = c.Tokens.RefreshToken(by, own)
	answer, status, err := c.request(ctx, r)
	if err != nil && r.RefreshToken != own && status/100 == 4 {
		c.Tokens.Rotate(by, "")
		r.RefreshToken = own
		answer, status, err = c.request(ctx, r)
	}
	if r.RefreshToken != "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		r.RefreshToken = ""
		answer, _, err = c.request(ctx, r)
	}
	if err == nil && r.RefreshToken != "" && answer.RefreshToken != "" && answer.RefreshToken != r.RefreshToken {
		c.Tokens.Rotate(by, answer.RefreshToken)
	}
	return answer, err
}

// request asks for a token: by POST with a refresh token ("OAuth2 Token Authentication" of
// distribution), or else by GET with User, if that is not nil ("Token Authentication
// Specification"). status is that of the last answer; 0: none came.
func (c *Client) request(ctx context.Context, r Request) (answer token.Answer, status int, err error) {
	form := url.Values{"scope": {r.Scope}, "client_id": {clientID}}
	if r.Service != "" {
		form.Set("service", r.Service)
	}
	u := *r.Realm
	query := u.Query()
	query.Del("scope") // the registry's, which might be more than ours
	method, body := http.MethodGet, ""
	if r.RefreshToken != "" {
		post := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.RefreshToken}}
		maps.Copy(post, form)
		method, body = http.MethodPost, post.Encode()
	} else {
		maps.Copy(query, form)
		if query.Del("account"); r.User != nil && r.User.Username() != "" {
			query.Set("account", r.User.Username())
		}
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return answer, 0, fmt.Errorf("%w: the token server's URL cannot be asked", ocierr.ErrUnsafeLink)
	}
	switch {
	case method == http.MethodPost:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case r.User != nil:
		password, _ := r.User.Password()
		req.SetBasicAuth(r.User.Username(), password)
	}
	req.Header.Set("User-Agent", c.Wire.UserAgent)
	return c.ask(req, r.Scope)
}

// ask sends a request, again where that may help.
func (c *Client) ask(req *http.Request, scope string) (answer token.Answer, status int, err error) {
	ctx := req.Context()
	for attempts := c.Wire.Attempts(); ; {
		answer, status, err = c.askOnce(req, scope)
		if err == nil {
			return answer, status, nil
		}
		if ctx.Err() != nil {
			return answer, status, fmt.Errorf("asking the token server %s: %w", taglist.Quote(req.URL.Host), bound.Ended(ctx))
		}
		if again, err := attempts.Next(ctx, err); !again {
			return answer, status, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return answer, 0, err
			}
		}
	}
}

// askOnce is like ask, without retries. Redirects are followed within the origin only, as
// they would carry the credential elsewhere, and ask for no other scope.
func (c *Client) askOnce(req *http.Request, scope string) (answer token.Answer, status int, err error) {
	client := &http.Client{
		Transport: c.Wire.Carrier,
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
		return answer, 0, failed(err)
	}
	defer wire.Discard(resp)
	c.Log.DebugContext(ctx, "token request", "method", req.Method, "url", origin.WithoutSecrets(req.URL), "status", resp.StatusCode, "duration", time.Since(began))
	body, err := io.ReadAll(&bound.Body{R: io.LimitReader(resp.Body, MaxAnswer+1), Watch: watch, Max: MaxAnswer + 1})
	switch {
	case err != nil:
		return answer, resp.StatusCode, failed(err)
	case resp.StatusCode != http.StatusOK:
		return answer, resp.StatusCode, c.Refuse(resp, body)
	case len(body) > MaxAnswer:
		return answer, 0, wire.Permanent{Err: fmt.Errorf("%w: the token server %s sent more than %d bytes", ocierr.ErrTooLarge, req.URL.Host, MaxAnswer)}
	}
	if answer, err = token.Decode(body); err != nil || answer.Token() == "" {
		return answer, 0, wire.Permanent{Err: fmt.Errorf("%w: the token server %s sent no token", ocierr.ErrInvalidResponse, req.URL.Host)}
	}
	return answer, resp.StatusCode, nil
}
