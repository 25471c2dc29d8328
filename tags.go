// Package ocitags lists all tags of a repository in an OCI registry.
//
//	tags, err := ocitags.ListTags(ctx, "ghcr.io/org/name")
//
// [ListTags] returns the list, [Tags] streams it, and [Client.TagsIn] streams part of
// it. A [Client] holds the settings; its zero value is ready to use.
//
// # What "all" means
//
// ListTags returns every tag that exists for the whole of the listing, or an error
// that says why it cannot. A tag that is pushed or deleted in the meantime may or may
// not be returned. ListTags never returns part of a list with a nil error.
//
// The specification says little about paging (distribution-spec v1.1.1, "Listing
// Tags"). Registries cut their lists at 50, 100 or 1000 tags, or not at all; they
// announce the next page in a Link header (RFC 8288), in one that leads nowhere, or
// not at all. The package follows the header, repairs those that are known to be
// broken, asks with n and last where there is none, and reads quay.io's JSON pages.
// It ends a listing only on evidence: a last page that says so, or an answer that
// brings nothing new. [Client.Logger] receives that evidence.
//
// # Errors
//
// A request is retried after status 408, 425, 429, 499, 500, 502, 503, 504 or 522, a
// broken connection or a body that is cut short: up to [Client.MaxAttempts] times in
// all (twice if the connection is refused), and not before the registry's Retry-After.
// After that it is an error. [ErrNotFound] concerns the repository, [ErrUnauthorized] the
// user, and [ErrRateLimited] the number of requests; [ErrInvalidResponse], [ErrLoop] and
// [ErrUnsafeLink] mean that the server cannot be followed, and [ErrTooLarge] that a limit
// was exceeded. An [*Error] has the status and the registry's own words. Errors of the
// network and of ctx are wrapped unchanged. The text of an error is one line: what was
// asked of whom, what came back, and what to do. It holds no secrets and no control
// characters.
//
// # Order and memory
//
// ListTags sorts the list and holds all of it. Tags yields in the order of the
// registry, which is alphabetical at most of them, by age at ghcr.io, and arbitrary at
// some; it never yields a tag twice. As long as that order is the order of
// sort.Strings, Tags takes constant memory, apart from pages that are read ahead;
// otherwise it holds 20 to 45 bytes for each tag.
//
// # Concurrency
//
// A Client may be used by any number of goroutines. Each listing has up to
// [Client.Concurrency] requests in flight: where a registry can begin a list anywhere,
// several parts of a long list are read concurrently and yielded in order. When a
// listing returns, or its loop is left, its requests have been cancelled and its
// goroutines have ended. [Client.OnPage] is called by the goroutine that lists.
//
// # Credentials
//
// Credentials are those that docker login and podman login have stored
// ([DefaultCredentials]), or what [Client.Credentials] returns. They are sent to the
// registry that the reference names and to its own token server, over TLS unless plain
// HTTP was asked for, and never to where a link, a redirect or another domain leads.
// The Client caches tokens; each is valid for reading one repository.
//
// # Hostile servers
//
// Nothing that a server sends is trusted further than it can be checked. One answer
// may be 1 GiB long, be awaited for 10 minutes and pause for 60 seconds; one value in it
// may be 1 MiB long; a listing may have 10 million tags ([Client.MaxTags]). Strings that are not
// valid tags are skipped and never returned, so a tag is safe to use as a file name.
package ocitags

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ocitags/ocitags/internal/listing"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/reference"
	"github.com/ocitags/ocitags/internal/span"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/token"
	"github.com/ocitags/ocitags/internal/wire"
)

const (
	defaultMaxTags     = 10_000_000
	defaultMaxAttempts = 5
)

// ListTags calls [Client.ListTags] of a zero Client.
func ListTags(ctx context.Context, ref string) ([]string, error) {
	return new(Client).ListTags(ctx, ref)
}

// Tags calls [Client.Tags] of a zero Client.
func Tags(ctx context.Context, ref string) iter.Seq2[string, error] {
	return new(Client).Tags(ctx, ref)
}

// A Client lists tags. The zero value is ready to use. Its fields must not be changed
// after the first listing. A Client is safe for concurrent use and should be shared: it
// caches tokens, and remembers what each registry accepts.
type Client struct {
	// Transport sends the requests. If nil, a transport made by NewTransport is used,
	// which all Clients share. A Transport must not add credentials or follow
	// redirects.
	//
	// Hosts that a public registry names, in redirects or as token servers, must have
	// public names, whatever the Transport. The DialContext of NewTransport also checks,
	// when it dials them, that their addresses are public; with another one, or with a
	// RoundTripper that is not an *http.Transport, a public name may lead to an address
	// inside the user's network.
	Transport http.RoundTripper

	// Credentials finds the user's credential for a registry. If nil,
	// DefaultCredentials is used, which reads the files and runs the helpers of Docker
	// and Podman. Anonymous finds none.
	Credentials CredentialFunc

	// PlainHTTP reports whether a registry is asked over http. host is as in the
	// reference, including its port. If nil, only loopback hosts are: localhost and
	// its subdomains, 127.0.0.0/8 and ::1. A reference that begins with http:// or
	// https:// overrides it.
	PlainHTTP func(host string) bool

	// PageSize is the n to ask for, in tags. If 0, the Client chooses: 1000 at first,
	// more where a registry honours it, and less where it refuses. If negative, n is
	// not sent and the registry chooses. In any case, another n or none is asked for
	// where the pages do not show that they have all tags.
	PageSize int

	// Concurrency limits the requests of one listing that are in flight. If 0, it is
	// 4, and up to 16 in a list of more than 20 pages, as long as answers come as
	// quickly as before and none is refused. If 1, requests are sent strictly one
	// after the other. Only lists of several pages are read concurrently, and only
	// where the registry can begin a list anywhere. At most 64 MiB of tags that are
	// read ahead are held.
	Concurrency int

	// MaxTags limits the tags of one listing; one more is ErrTooLarge. 0 means
	// 10,000,000, and a negative value means no limit.
	MaxTags int

	// MaxAttempts limits how often one request is tried. 0 means 5, and 1 means that
	// nothing is retried.
	MaxAttempts int

	// UserAgent is sent with each request. If empty, it is ocitags/<version>.
	UserAgent string

	// AllowRealm reports whether a token server may see the user's credential for a
	// registry, which is the host as in the reference. If nil, a token server may if
	// it is at the registry's own host, at any port, or in its registrable domain,
	// and is asked over https, or over http where the registry is. For a registry
	// without a public name, both must be names in one private domain, names of a
	// single label, or private addresses. Without a credential, any public https host
	// may be asked for a token, and AllowRealm is called for all others.
	AllowRealm func(registry string, realm *url.URL) bool

	// OnPage is called after each page, for progress and metrics. The listing waits
	// for it. Concurrent listings may call it at the same time.
	OnPage func(Page)

	// Logger receives a Debug record for each request, for the dialect that was
	// detected and for the evidence that ended a listing, and a Warn record for
	// whatever was repaired or skipped, except for null and digests among the tags,
	// which some registries always send. Records hold no secrets. Messages are for
	// people and may change; these attributes will stay: repository; because; of a
	// request, url, status, tags, skipped, duration, error, and method unless it is
	// GET; of an entry that was skipped, entry; and dialect, which names the
	// registry's way of paging. If nil, nothing is logged.
	Logger *slog.Logger

	auth   token.Store
	pauses wire.Pauses
	habits listing.Habits
	mu     sync.Mutex
	pools  *wire.Pools
}

// A Page describes one answered request. A page that was read ahead and discarded
// reports no tags.
type Page struct {
	Repository string        // host/name, normalised
	Number     int           // 1, 2, …, in the order of arrival
	Tags       int           // new tags in this page
	Total      int           // new tags so far
	Skipped    int           // entries of this page that are not tags: null, digests, outside the grammar
	Duration   time.Duration // from the request to the end of the page, including retries and the consumer's time
	Attempts   int           // how often it was requested; 1: the first attempt succeeded
}

// A Range selects tags: those that are greater than After and begin with Prefix,
// compared bytewise, as Go compares strings. The zero value selects all tags.
type Range struct {
	After  string // itself excluded; "": from the first tag on
	Prefix string // "": any
}

// ListTags returns all tags of the repository that ref names, sorted as by
// sort.Strings, without duplicates. For an empty repository it returns an empty list,
// which is not nil. On an error it returns nil and the error, which says what was asked
// and what came back, and wraps one of the Err variables, an [*Error] or ctx's error
// where one of them fits.
//
// ref is what people paste: ubuntu, ghcr.io/org/name, localhost:5000/a/b or
// [::1]:5000/a. It may begin with oci://, docker:// or https://, or with http:// or
// oci+http:// for plain HTTP; a :tag or @digest at its end is ignored. Without a host it
// names a repository at Docker Hub, and ubuntu is docker.io/library/ubuntu.
//
// Entries outside the specification's grammar, [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127},
// are skipped, counted in Page.Skipped and logged.
func (c *Client) ListTags(ctx context.Context, ref string) ([]string, error) {
	l, explain, err := c.open(ref)
	if err != nil {
		return nil, err
	}
	tags, err := l.All(ctx)
	if err != nil {
		return nil, explain(err)
	}
	return tags, nil
}

// Tags returns an iterator over the tags of the repository that ref names, as described
// at [Client.ListTags], in the registry's order, without duplicates, as they arrive. An
// error is yielded once, at the end, with an empty tag; the tags before it are then
// incomplete. Breaking out of the loop cancels the requests in flight. Each range over
// the iterator lists anew.
//
// While the tags ascend, in the order of sort.Strings, Tags remembers the last 12,000 to
// 18,000 of them. A tag that sorts before these may have come already: then the list is
// read again up to there, once, and all tags are remembered from then on. If the list has
// changed by then, that is an error; ListTags, which has all tags anyway, goes on.
func (c *Client) Tags(ctx context.Context, ref string) iter.Seq2[string, error] {
	return c.list(ctx, ref, nil)
}

// TagsIn returns an iterator over those tags of the repository that are in the range:
// all of them, or an error, as with [Client.Tags], and in the registry's order.
//
// Where the registry shows, in this listing, that it sorts its tags in a known order
// and compares them with last, only that part of the list is read, which takes a few
// requests for a prefix that few tags have. A Client remembers the question that showed
// it, so that the next range of the repository takes one request less. Otherwise,
// and as soon as an answer contradicts it, the whole list is read. A [Page] counts the
// tags that were read, in the range or not.
//
// A listing that failed can be resumed with the last tag as After, if its tags came in
// the order of sort.Strings. If they did not, tags less than After may be missing.
// TagsIn holds the tags of the range until it is known whether the list is read as a whole,
// and to the end if it is not: 40 to 70 bytes for each, besides the tag itself.
func (c *Client) TagsIn(ctx context.Context, ref string, r Range) iter.Seq2[string, error] {
	return c.list(ctx, ref, &r)
}

// list is Tags, or TagsIn where there is a range.
func (c *Client) list(ctx context.Context, ref string, within *Range) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		l, explain, err := c.open(ref)
		if err != nil {
			yield("", err)
			return
		}
		if within != nil && !l.Within(span.Range(*within)) {
			return
		}
		stopped := false // a consumer that has enough may also have cancelled: its errors are not reported
		err = l.Run(ctx, func(tag string) bool {
			stopped = stopped || !yield(tag, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield("", explain(err))
		}
	}
}

// open makes a listing of the repository that ref names. explain adds to an error of it what
// was listed, and what to do.
func (c *Client) open(ref string) (l *listing.Listing, explain func(error) error, err error) {
	repo, err := reference.Parse(ref)
	if err != nil {
		instead := "host/name, such as ghcr.io/org/name"
		if errors.Is(err, reference.ErrUppercase) {
			instead = taglist.Quote(strings.ToLower(ref))
		}
		return nil, nil, fmt.Errorf("listing tags of %s: %w: %w; write %s", taglist.Quote(ref), ErrInvalidReference, err, instead)
	}
	l, auth := c.newListing(repo)
	return l, func(err error) error {
		return auth.withHint(fmt.Errorf("listing tags of %s: %w", repo, err))
	}, nil
}

// newListing makes a listing of a repository, and the authorizer of its requests.
func (c *Client) newListing(repo reference.Repository) (*listing.Listing, *authorizer) {
	home := &url.URL{Scheme: "https", Host: repo.Address(), Path: "/v2/" + repo.Name + "/tags/list"}
	if c.isPlain(repo) {
		home.Scheme = "http"
	}
	o := listing.Options{
		Repository: repo, Home: home, Registry: registryOf(repo.Host), Habits: &c.habits, Log: slog.New(slog.DiscardHandler),
		PageSize: c.PageSize, MaxTags: cmp.Or(c.MaxTags, defaultMaxTags), Slots: max(1, c.Concurrency),
		Another: func() *listing.Listing { l, _ := c.newListing(repo); return l },
	}
	if c.Concurrency == 0 {
		o.Slots, o.MostSlots = listing.DefaultConcurrency, listing.MaxConcurrency
	}
	if c.OnPage != nil {
		o.OnPage = func(p listing.Page) { c.OnPage(Page(p)) }
	}
	if c.Logger != nil {
		o.Log = c.Logger.With("repository", repo.String())
	}
	carrier := wire.NewCarrier(home, c.transports(), o.Slots)
	auth := &authorizer{client: c, repo: repo, home: home, carrier: carrier, log: o.Log}
	o.Wire = &wire.Client{
		Home: home, Authorized: auth, Carrier: carrier, UserAgent: c.userAgent(), Refuse: auth.refusal,
		MaxAttempts: cmp.Or(c.MaxAttempts, defaultMaxAttempts), Pauses: &c.pauses, Log: o.Log,
	}
	auth.wire = o.Wire
	o.Front = func(ctx context.Context, l *listing.Listing, ordinary listing.Source) (listing.Source, error) {
		return jsonPages(ctx, l, ordinary, auth)
	}
	return listing.New(o), auth
}

// isPlain reports whether a registry is asked over http.
func (c *Client) isPlain(repo reference.Repository) bool {
	switch {
	case repo.Scheme != reference.Unsaid:
		return repo.Scheme == reference.HTTP
	case c.PlainHTTP != nil:
		return c.PlainHTTP(repo.Host)
	}
	return reference.Loopback(repo.Host)
}

// NewTransport returns the transport that a Client uses by default: HTTP/2, proxies from
// the environment, no more connections to a registry than a listing has requests in
// flight, at most 128 idle ones in all and 64 per host, and at most 1 MiB of response
// headers. Its DialContext lets no redirect or token server of a public registry lead into
// a private network. Callers may modify the transport before its first use, for example to
// set TLSClientConfig for a private CA, and share it among Clients.
func NewTransport() *http.Transport { return wire.NewTransport() }

// defaultTransports are shared, so that the package-level functions reuse
// connections too.
var defaultTransports = sync.OnceValue(func() wire.Pools {
	return wire.Pools{Own: NewTransport(), Elsewhere: NewTransport()}
})

// transports are made of Client.Transport, once. What is no *http.Transport keeps
// its connections as it likes.
func (c *Client) transports() wire.Pools {
	if c.Transport == nil {
		return defaultTransports()
	}
	own, ok := c.Transport.(*http.Transport)
	if !ok {
		return wire.Pools{Own: c.Transport, Elsewhere: c.Transport}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pools == nil || c.pools.Own != own {
		c.pools = &wire.Pools{Own: own, Elsewhere: own.Clone()}
	}
	return *c.pools
}

func (c *Client) userAgent() string {
	if c.UserAgent != "" {
		return c.UserAgent
	}
	return "ocitags/" + version()
}

// version is that of this module in the running program.
var version = sync.OnceValue(func() string {
	const path = "github.com/ocitags/ocitags"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if v := strings.Trim(m.Version, "()"); m.Path == path && v != "" {
				return v
			}
		}
	}
	return "devel"
})

// The errors of a listing, to be matched by errors.Is. The error itself names the
// registry, the page and what was found.
var (
	ErrInvalidReference = errors.New("invalid reference")  // ref cannot be parsed
	ErrNotFound         = errors.New("no such repository") // 404 on the first page
	ErrUnauthorized     = ocierr.ErrUnauthorized           // 401, 403
	ErrRateLimited      = ocierr.ErrRateLimited            // 429 after the last attempt
	ErrLoop             = ocierr.ErrLoop                   // pages repeat, or keep bringing nothing new
	ErrUnsafeLink       = ocierr.ErrUnsafeLink             // a next link, a redirect or a token realm
	ErrInvalidResponse  = ocierr.ErrInvalidResponse        // HTML, {}, bad JSON, a body cut short after all attempts
	ErrTooLarge         = ocierr.ErrTooLarge               // MaxTags, or a bound on one response
)

// An Error is a refusal by a registry or by its token server. It also matches
// one of the Err variables where one fits its status.
type Error struct {
	StatusCode int           // the HTTP status
	Codes      []ErrorCode   // the errors in the body; may be empty
	RetryAfter time.Duration // how long the server asked to wait; 0: it did not
	URL        string        // what was requested, without credentials and query

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
	text := fmt.Sprintf("%s %s: %d %s", cmp.Or(e.method, "GET"), e.URL, e.StatusCode, http.StatusText(e.StatusCode))
	if e.token {
		text = "token server: " + text
	}
	for _, c := range e.Codes {
		code, message := c.Code, taglist.Quote(c.Message)
		if len(code) >= 64 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			code = taglist.Quote(code)
		}
		switch {
		case code == "":
			code = message
		case c.Message != "":
			code += " " + message
		}
		text += ": " + code
	}
	if e.RetryAfter > 0 {
		text += fmt.Sprintf("; the server asks to wait %v", e.RetryAfter)
	}
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

// Unwrap returns the Err variable that fits, or nil.
func (e *Error) Unwrap() error { return e.kind }

// withHint adds to an error of this listing what to do about it, where there is
// more to do than to read it.
func (a *authorizer) withHint(err error) error {
	if advice := a.advice(err); advice != "" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

// advice says what the user can do about err; "": nothing that is known. What is
// particular comes before what is general.
func (a *authorizer) advice(err error) string {
	host := a.repo.Host
	use := a.credentialUse()
	lacks := use != notLookedFor && use != sent // a credential
	refusal, _ := errors.AsType[*Error](err)
	notList, _ := errors.AsType[*taglist.Error](err)
	dial, _ := errors.AsType[*net.OpError](err)
	_, nameless := errors.AsType[*net.DNSError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	login := a.login()
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
	case a.looksLikeHost() && (nameless || errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrNotFound)):
		return "a reference without a host is one at Docker Hub: for another registry write host/name"
	case nameless:
		return "check the name of the host, and the network"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the host and its port"
	case errors.Is(err, ErrRateLimited) && refusal != nil && refusal.RetryAfter > wire.MaxRetryAfter:
		return fmt.Sprintf("that is longer than the %v that a listing waits: try again then", wire.MaxRetryAfter)
	case errors.Is(err, ErrRateLimited) && lacks:
		return "try again later, or log in, which often raises the limit: " + login
	case errors.Is(err, ErrNotFound) && lacks:
		return "check the name of the repository; if it is private: " + login
	case errors.Is(err, ErrNotFound) && use == sent:
		return "check the name of the repository, and whether the credential for " + host + " may read it"
	case errors.Is(err, ErrNotFound):
		return "check the name of the repository"
	case errors.Is(err, ErrUnauthorized) && lacks:
		return "if the repository is private: " + login
	case errors.Is(err, ErrUnauthorized) && use == sent:
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
func (a *authorizer) login() string {
	switch {
	case a.client.Credentials != nil:
		return "a credential is needed"
	case a.repo.Host == "docker.io":
		return "docker login"
	}
	return "docker login " + a.repo.Host
}

// looksLikeHost reports whether the reference may have been meant for another
// registry than Docker Hub: ghcr.io alone is the name of an official image.
func (a *authorizer) looksLikeHost() bool {
	name, official := strings.CutPrefix(a.repo.String(), "docker.io/library/")
	return official && (name == "localhost" || strings.Contains(name, "."))
}
