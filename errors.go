package ocitags

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"encoding/json"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/retry"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// The errors of a listing. They are matched by errors.Is; the error itself
// names the registry, the page and what was found.
var (
	ErrInvalidReference = errors.New("invalid reference")  // ref cannot be parsed
	ErrNotFound         = errors.New("no such repository") // 404 on the first page
	ErrUnauthorized     = ocierr.ErrUnauthorized           // 401, 403
	ErrRateLimited      = ocierr.ErrRateLimited            // 429 after the last attempt
	ErrLoop             = errors.New("pagination loop")    // pages repeat, or keep bringing nothing new
	ErrUnsafeLink       = ocierr.ErrUnsafeLink             // a next link, a redirect or a token realm
	ErrInvalidResponse  = ocierr.ErrInvalidResponse        // HTML, {}, bad JSON, a body cut short after all attempts
	ErrTooLarge         = ocierr.ErrTooLarge               // MaxTags, or a bound on one response
)

// errUnneeded is why requests end that are in flight when a listing is over.
var errUnneeded = errors.New("no longer needed")

// errStopped is that the consumer has enough. It never leaves the package.
var errStopped = errors.New("the consumer stopped the listing")

// An Error is a refusal by a registry or by its token server. It also matches
// one of the Err variables where one fits its status.
type Error struct {
	StatusCode int           // of HTTP
	Codes      []ErrorCode   // what the body gave as reasons; may be empty
	RetryAfter time.Duration // how long the server asked to wait; 0: it did not
	URL        string        // what was asked, without credentials and query

	method         string // of HTTP; "": GET
	kind           error  // one of the Err variables, or nil
	hint           string // what else is known of it
	token          bool   // it was the token server, not the registry
	plainHTTPToTLS bool   // it was asked over http and speaks TLS
}

// An ErrorCode is one entry of an OCI error body (distribution-spec v1.1.1,
// "Error Codes"). Both fields are the server's, unchecked.
type ErrorCode struct {
	Code    string
	Message string
}

// Error gives the status, the reasons and a hint, on one line of printable text.
func (e *Error) Error() string {
	var b strings.Builder
	if e.token {
		b.WriteString("token server: ")
	}
	fmt.Fprintf(&b, "%s %s: %d %s", cmp.Or(e.method, "GET"), e.URL, e.StatusCode, http.StatusText(e.StatusCode))
	for _, c := range e.Codes {
		b.WriteString(":")
		if c.Code == "" {
			b.WriteString(" " + taglist.Quote(c.Message))
			continue
		}
		b.WriteString(" ")
		if len(c.Code) < 64 && strings.Trim(c.Code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
			b.WriteString(c.Code)
		} else {
			b.WriteString(taglist.Quote(c.Code))
		}
		if c.Message != "" {
			b.WriteString(" " + taglist.Quote(c.Message))
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; the server asks to wait %v", e.RetryAfter)
	}
	if e.hint != "" {
		b.WriteString("; " + e.hint)
	}
	return b.String()
}

// Unwrap returns the Err variable that fits, or nil.
func (e *Error) Unwrap() error { return e.kind }

// maxCodes bounds what an Error keeps of an error body.
const maxCodes = 10

// newError makes an Error of an answer with another status than 200. The
// authorizer knows what must not be told.
func (a *authorizer) newError(resp *http.Response, body []byte) *Error {
	e := &Error{StatusCode: resp.StatusCode, URL: origin.WithoutSecrets(resp.Request.URL), method: resp.Request.Method}
	for _, c := range reasons(body) {
		if a.repeatsSecret(resp.Request, c.Code+" "+c.Message) {
			c = ErrorCode{Message: "(not told: it repeats a credential)"}
		}
		e.Codes = append(e.Codes, c)
	}
	e.RetryAfter = retry.After(resp.Header.Get("Retry-After"), time.Now())
	for _, c := range e.Codes {
		e.RetryAfter = max(e.RetryAfter, retry.InMessage(c.Message))
	}
	return e
}

// reasons are those of an OCI error body, or what other servers have in their
// place: one text, in a field of JSON or as a line of plain text.
func reasons(body []byte) (codes []ErrorCode) {
	var oci struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &oci) == nil && len(oci.Errors) > 0 {
		for _, reason := range oci.Errors[:min(len(oci.Errors), maxCodes)] {
			codes = append(codes, ErrorCode(reason))
		}
		return codes
	}
	var fields map[string]any
	if json.Unmarshal(body, &fields) == nil {
		for _, name := range []string{"details", "detail", "message", "error_description", "error"} {
			if text, _ := fields[name].(string); strings.TrimSpace(text) != "" {
				return []ErrorCode{{Message: strings.TrimSpace(text)}}
			}
		}
		return nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line = strings.TrimSpace(line); line == "" || strings.ContainsAny(line[:1], "<{[\"") {
		return nil // markup, or JSON that we cannot read
	}
	return []ErrorCode{{Message: line}}
}

// repeatsSecret reports whether a server's text has something in it that it was
// sent and that nobody else should see.
func (a *authorizer) repeatsSecret(req *http.Request, text string) bool {
	_, header, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	secrets := []string{header}
	if a.known.Load() {
		secrets = append(secrets, a.cred.Password, a.cred.RefreshToken, a.cred.AccessToken, a.client.auth.RefreshToken(holderOf(a.cred), a.cred.RefreshToken))
		if len(a.cred.Username) > 2 {
			secrets = append(secrets, a.cred.Username)
		}
	}
	return slices.ContainsFunc(secrets, func(secret string) bool { return secret != "" && strings.Contains(text, secret) })
}

// refusal makes an error of an answer with another status than 200.
func (l *listing) refusal(resp *http.Response, body []byte, anonymous bool) *Error {
	e := l.auth.newError(resp, body)
	switch e.StatusCode {
	case http.StatusTooManyRequests:
		e.kind = ErrRateLimited
	case http.StatusNotFound:
		if !anonymous && l.auth.known.Load() {
			e.hint = l.credentialHint()
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		e.kind = ErrUnauthorized
		if anonymous {
			return e
		}
		e.hint = l.credentialHint()
		// The Hub gives a token for any name, and then turns it down.
		if l.repo.Host == "docker.io" && strings.Contains(strings.Join(resp.Header.Values("WWW-Authenticate"), ","), "insufficient_scope") {
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
	return e
}

// credentialHint says whether a credential was sent.
func (l *listing) credentialHint() string {
	switch {
	case l.auth.away.Load() != nil:
		return "the credential for " + l.repo.Host + " was not sent to " + taglist.Quote(*l.auth.away.Load()) + ", where a redirect led"
	case l.auth.sent.Load():
		return "the credential for " + l.repo.Host + " was sent"
	case l.auth.unfit.Load():
		return "the credential for " + l.repo.Host + " was not sent: it has no password, and Basic authentication is asked for"
	case l.auth.known.Load():
		return "the credential for " + l.repo.Host + " was not sent: the registry did not ask for one"
	case !l.auth.looked.Load():
		return "no credential was sent: the registry did not ask for one"
	case l.auth.missing.Load() != nil:
		return "no credential was sent: " + l.auth.missing.Load().Error()
	case l.client.Credentials == nil:
		return "no credential was sent: none is known for " + l.repo.Host
	default:
		return "no credential was sent: none was given for " + l.repo.Host
	}
}

// withHint adds to an error of this listing what to do about it, where there is
// more to do than to read it.
func (l *listing) withHint(err error) error {
	if advice := l.advice(err); advice != "" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

// advice says what the user can do about err; "": nothing that is known. What is
// particular comes before what is general.
func (l *listing) advice(err error) string {
	host := l.repo.Host
	lacks := l.auth.looked.Load() && !l.auth.sent.Load() // a credential
	refusal, _ := errors.AsType[*Error](err)
	notList, _ := errors.AsType[*taglist.Error](err)
	dial, _ := errors.AsType[*net.OpError](err)
	_, nameless := errors.AsType[*net.DNSError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	login := l.login()
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && refusal == nil:
		return ""
	case dial != nil && dial.Op == "proxyconnect":
		return "the proxy comes from HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
	case refusal != nil && refusal.plainHTTPToTLS:
		return "write https:// in front of the reference"
	case errors.Is(err, http.ErrSchemeMismatch), noTLS:
		return "if it speaks plain HTTP, write http:// in front of the reference"
	case unknownCA:
		return "if the authority is one of your own, add it to the system's, or to those of Client.Transport"
	case l.looksLikeHost() && (nameless || errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrNotFound)):
		return "a reference without a host is one at Docker Hub: for another registry write host/name"
	case nameless:
		return "check the name of the host, and the network"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the host and its port"
	case errors.Is(err, ErrRateLimited) && refusal != nil && refusal.RetryAfter > wire.MaxRetryAfter:
		return fmt.Sprintf("that is longer than the %v that a listing waits: try again then", wire.MaxRetryAfter)
	case errors.Is(err, ErrRateLimited) && lacks:
		return "try again later, or as a user, who may mostly ask more often: " + login
	case errors.Is(err, ErrNotFound) && lacks:
		return "check the name of the repository; if it is private: " + login
	case errors.Is(err, ErrNotFound) && l.auth.sent.Load():
		return "check the name of the repository, and whether the credential for " + host + " may read it"
	case errors.Is(err, ErrNotFound):
		return "check the name of the repository"
	case errors.Is(err, ErrUnauthorized) && lacks:
		return "if the repository is private: " + login
	case errors.Is(err, ErrUnauthorized) && l.auth.sent.Load():
		return "check whether it is still good, and may read this repository"
	case refusal != nil && (refusal.StatusCode >= 500 || errors.Is(err, ErrRateLimited)):
		return "try again later"
	case notList != nil && notList.Markup:
		return "check whether " + host + " is a registry, and whether a login page or a proxy stands before it"
	case errors.Is(err, wire.ErrCutShort), errors.Is(err, io.ErrUnexpectedEOF):
		return "try again, perhaps with smaller pages"
	case errors.Is(err, ErrLoop):
		return "this is a fault of the registry, which another page size may avoid"
	}
	return ""
}

// login says how to log in.
func (l *listing) login() string {
	switch {
	case l.client.Credentials != nil:
		return "a credential is needed"
	case l.repo.Host == "docker.io":
		return "docker login"
	}
	return "docker login " + l.repo.Host
}

// looksLikeHost reports whether the reference may have been meant for another
// registry than Docker Hub: ghcr.io alone is the name of an official image.
func (l *listing) looksLikeHost() bool {
	name, official := strings.CutPrefix(l.repo.String(), "docker.io/library/")
	return official && (name == "localhost" || strings.Contains(name, "."))
}
