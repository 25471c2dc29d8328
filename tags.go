// Package ocitags lists all tags of a repository in an OCI registry.
//
//	tags, err := ocitags.ListTags(ctx, "ghcr.io/org/name")
//
// [ListTags] returns the list, [Tags] streams it, and [Client.TagsIn] streams a part of
// it. A [Client] holds what can be set about them. They need only a reference.
//
// # All
//
// Every tag that exists for the whole of the listing is returned, or the call
// fails with an error that says why. A tag that is pushed or deleted meanwhile
// may be there or not. There is never a part of a list with a nil error.
//
// That needs some care, because the specification says little about pages
// (distribution-spec v1.1.1, "Listing Tags"). Registries cut their lists at 50,
// 100 or 1000 tags, or not at all; they announce the next page in a Link header
// (RFC 8288), or in one that leads nowhere, or not at all. The package follows
// the header, repairs the ones that are known to be broken, asks with n and
// last where there is none, and reads the JSON pages of quay.io. It ends a
// listing on evidence only: on a last page that says so, or on an answer that
// brought nothing new. [Client.Logger] is told which evidence it was.
//
// # Errors
//
// A page is asked for again after 408, 425, 429, 499, 500, 502, 503, 504, 522, a
// connection that broke or a body that was cut short, as often as
// [Client.MaxAttempts] says (twice where the connection is refused)
// and not before the registry's Retry-After. What then remains is an error:
// [ErrNotFound] and [ErrUnauthorized] are about the repository and the user,
// [ErrRateLimited] is about patience, [ErrInvalidResponse], [ErrLoop] and
// [ErrUnsafeLink] about a server that cannot be followed, and [ErrTooLarge]
// about a bound. An [*Error] has the status and the registry's own words. Errors
// of the network and of ctx are wrapped as they are. The text of an error is one
// line: what was asked of whom, what came back, and what to do; it holds no
// secret and no control characters.
//
// # Order and memory
//
// ListTags sorts, and holds the list. Tags yields in the order of the registry,
// which is alphabetical at most of them, by age at ghcr.io, and none at some; it
// yields nothing twice. While the order is that of sort.Strings it takes constant
// memory, apart from what is read ahead; otherwise it holds each tag, and 40 to
// 70 bytes more.
//
// # Concurrency
//
// A Client may be used by any number of goroutines. Each listing has up to
// [Client.Concurrency] requests in flight; it reads a long list from several
// places at once where the registry can begin a list anywhere, and yields it as
// if it had been read in a row. When a listing returns, or the loop over it is
// left, its requests are cancelled and its goroutines have ended. [Client.OnPage]
// is called by the goroutine that lists.
//
// # Credentials
//
// They are those that docker login and podman login have left
// ([DefaultCredentials]), or what [Client.Credentials] finds. They go to the
// registry that the reference names and to its own token server, over TLS unless
// plain HTTP was asked for, and never where a link, a redirect or another domain
// leads. Tokens are kept by the Client, and are for reading one repository.
//
// # Hostile servers
//
// What a server sends is not believed further than it can be checked. One answer
// may have 1 GiB, last 10 minutes and pause for 60 seconds; one value in it may
// have 1 MiB; a listing may have 10 million tags ([Client.MaxTags]). Strings that
// are no tags are skipped and never returned, so that a tag is fit for a file's
// name.
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
	"slices"
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

// ListTags is [Client.ListTags] on a zero Client.
func ListTags(ctx context.Context, ref string) ([]string, error) {
	return new(Client).ListTags(ctx, ref)
}

// Tags is [Client.Tags] on a zero Client.
func Tags(ctx context.Context, ref string) iter.Seq2[string, error] {
	return new(Client).Tags(ctx, ref)
}

// A Client lists tags. The zero value is ready to use. Its fields must not
// change after the first listing; it may then be used by several goroutines,
// and should be shared: it remembers tokens, and what each registry accepts.
type Client struct {
	// Transport sends the requests. nil: one of NewTransport, which all Clients
	// share. It must not add credentials or follow redirects by itself.
	//
	// Of the hosts that a public registry names, in redirects or as token servers,
	// the names are judged in any case: they must be public ones. Their addresses
	// are judged by NewTransport's DialContext only, when they are dialed. With
	// another one, or with a RoundTripper that is no *http.Transport, a public name
	// may lead to an address inside the user's network.
	Transport http.RoundTripper

	// Credentials finds the user's credential for a registry. nil:
	// DefaultCredentials, the files and helpers of Docker and Podman.
	// Anonymous: none.
	Credentials CredentialFunc

	// PlainHTTP says whether a registry is asked over http. host is as in the
	// reference, with its port. nil: loopback hosts only, which are localhost and
	// the names under it, 127.0.0.0/8 and ::1. A reference that begins with
	// http:// or https:// has its own say.
	PlainHTTP func(host string) bool

	// PageSize is the n that is asked for, in tags. 0: chosen by the Client,
	// 1000 at first, more where a registry honours that, and less where it
	// refuses. < 0: n is not sent, and the registry chooses; only where it does
	// not look at last without n is it asked with one.
	PageSize int

	// Concurrency is how many requests of one listing may be in flight.
	// 0: 4, and in a list of more than 20 pages up to 16, as long as answers come
	// as soon as before and none is refused. 1: strictly one after the other. Only
	// lists of several pages are read from several places at once, and only from
	// registries that can begin a list anywhere. Up to 64 MiB of what is read ahead
	// of its turn are kept.
	Concurrency int

	// MaxTags is how many tags one listing may bring; one more is ErrTooLarge.
	// 0: 10,000,000. < 0: unbounded.
	MaxTags int

	// MaxAttempts is how often one request is tried. 0: 5. 1: no retry.
	MaxAttempts int

	// UserAgent is sent with each request. "": ocitags/<version>.
	UserAgent string

	// AllowRealm says whether a token server may see the credential that the
	// user has for a registry, which is the host as in the reference. nil: it
	// may where it is at the registry's own host, at any port, or in its
	// registrable domain, and is asked over https, or over http where the
	// listing itself is; of a registry with no public name, where both are names
	// under one private domain, names of one label, or private addresses. Without
	// a credential any public https host may be asked for a token, and AllowRealm
	// about the others.
	AllowRealm func(registry string, realm *url.URL) bool

	// OnPage is called after each page, for progress and metrics. A listing
	// waits for it. Those of several listings may call it at once.
	OnPage func(Page)

	// Logger gets a Debug record for each request, for the dialect that was
	// found and for the evidence that ended a listing, and a Warn record for
	// what was repaired or skipped, but for null and digests among the tags,
	// which some registries always send. None holds a secret. Messages are for
	// people and may change; these attributes stay: repository; because; of a
	// request, url, status, tags, skipped, duration, error, and method unless it is
	// GET; of an entry that was skipped, entry; dialect, which names the registry's way
	// of paging. nil: silent.
	Logger *slog.Logger

	auth   token.Store
	pauses wire.Pauses
	habits listing.Habits
	mu     sync.Mutex
	pools  *wire.Pools
}

// A Page is what one answered request brought. One that was asked for ahead of
// its turn and turned out to be of no use brought nothing.
type Page struct {
	Repository string        // host/name, normalised
	Number     int           // 1, 2, …, in the order of arrival
	Tags       int           // new tags in this page
	Total      int           // new tags so far
	Skipped    int           // entries of this page that are no tags: null, digests, outside the grammar
	Duration   time.Duration // from the request to the end of the page, with retries and what the consumer took
	Attempts   int           // how often it was asked for; 1: the first try succeeded
}

// A Range is a part of the tags of a repository: those that are greater than After
// and begin with Prefix, compared bytewise as Go compares strings. The zero value is
// all tags.
type Range struct {
	After  string // not in the range itself; "": from the first tag on
	Prefix string // "": any
}

// ListTags returns all tags of the repository that ref names: sorted as by
// sort.Strings, without duplicates, never nil without an error. An empty
// repository has an empty list. On an error it returns nil and the error, which
// says what was asked and what came back, and is one of the Err variables or an
// [*Error] where one of them fits, or ctx's.
//
// ref is what people paste: ubuntu, ghcr.io/org/name, localhost:5000/a/b,
// [::1]:5000/a; with a :tag or @digest, which do not matter; with oci://,
// docker:// or https:// in front. http:// or oci+http:// in front asks for plain
// HTTP. Without a host it is a repository at Docker Hub, and ubuntu is
// docker.io/library/ubuntu.
//
// Tags outside the specification's grammar, [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127},
// which a registry may hold or a hostile one send, are skipped, counted in
// Page.Skipped and logged.
func (c *Client) ListTags(ctx context.Context, ref string) ([]string, error) {
	const chunk = 16384
	var full [][]string // so that a long list is copied once, and not each time that it grows
	tags := []string{}
	all := func() []string { return slices.Concat(append(full, tags)...) }
	for tag, err := range c.list(ctx, ref, nil, all) {
		if err != nil {
			return nil, err
		}
		if len(tags) == chunk {
			full = append(full, tags)
			tags = make([]string, 0, chunk)
		}
		tags = append(tags, tag)
	}
	if full != nil {
		tags = all()
	}
	slices.Sort(tags)
	return tags, nil
}

// Tags returns an iterator over the tags of the repository that ref names, as
// [Client.ListTags] describes it, in the registry's order, without duplicates,
// as they arrive. An error is yielded once, last, with an empty tag: then the
// tags before it are not all. Breaking out of the loop cancels what is in
// flight. Each range over the iterator lists anew.
func (c *Client) Tags(ctx context.Context, ref string) iter.Seq2[string, error] {
	return c.list(ctx, ref, nil, nil)
}

// TagsIn returns an iterator over the tags of the repository that ref names which are
// in the range: all of them, or an error, as with [Client.Tags], and in the
// registry's order.
//
// Where the registry shows, in this listing, that it sorts its tags in a known order
// and compares last with them, only that part of the list is read: a few requests
// for a prefix that few tags have. A Client remembers the question by which that is
// seen, so that the next range of the repository takes a request less. Everywhere
// else, and as soon as an answer contradicts it, the whole list is read. A [Page]
// counts the tags that were read, whether they are in the range or not.
//
// A listing that broke can be taken up again with After, the last tag that came, where
// the tags came in the order of sort.Strings. Where they did not, tags that are less
// than After may not have come. TagsIn keeps the tags of the range until it is known
// which part of the list is read, and until the end where it is not all of it: 40 to
// 70 bytes each, and the tag.
func (c *Client) TagsIn(ctx context.Context, ref string, r Range) iter.Seq2[string, error] {
	return c.list(ctx, ref, &r, nil)
}

// list is Tags, or TagsIn where there is a range. held, if not nil, returns the tags
// that the consumer has kept, which are all that it was given.
func (c *Client) list(ctx context.Context, ref string, within *Range, held func() []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		repo, err := reference.Parse(ref)
		if err != nil {
			instead := "host/name, such as ghcr.io/org/name"
			if errors.Is(err, reference.ErrUppercase) {
				instead = taglist.Quote(strings.ToLower(ref))
			}
			yield("", fmt.Errorf("listing tags of %s: %w: %w; write %s", taglist.Quote(ref), ErrInvalidReference, err, instead))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		l, auth := c.newListing(repo)
		if within != nil && !l.Within(span.Range(*within)) {
			return
		}
		stopped := false // whoever has enough may have cancelled, too: what then failed is not told
		err = l.Run(ctx, func(tag string) bool {
			stopped = stopped || !yield(tag, nil)
			return !stopped
		}, held)
		if err != nil && !stopped {
			yield("", auth.withHint(fmt.Errorf("listing tags of %s: %w", repo, err)))
		}
	}
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

// NewTransport returns a transport like that of a Client without one: HTTP/2,
// proxies from the environment, no more connections to a registry than a listing
// has requests in flight, at most 128 idle ones in all and 64 to a host, at most
// 1 MiB of response headers, and no way into a private network for the redirects
// and token servers of a public registry. It is there to be changed before its
// first use, with TLSClientConfig for an authority or a certificate of one's own,
// say, and then to be the Transport of a Client, or of several. The last of these
// goes with its DialContext.
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

// The errors of a listing. They are matched by errors.Is; the error itself
// names the registry, the page and what was found.
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
		return "try again later, or as a user, who may mostly ask more often: " + login
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
