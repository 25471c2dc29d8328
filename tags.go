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
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/dedup"
	"github.com/ocitags/ocitags/internal/reference"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/token"
	"github.com/ocitags/ocitags/internal/wire"
)

// maxIdlePages is how many pages in a row may bring no new tag while another is
// announced.
const maxIdlePages = 3

const (
	defaultPageSize    = 1000   // the most that no known server refuses at first
	smallPageSize      = 100    // the next try: quay's and GitLab's own
	smallestPageSize   = 50     // the last one: Cloudflare's
	largePageSize      = 10_000 // what is tried once more is known to come; the most that Google's answers
	defaultMaxTags     = 10_000_000
	defaultConcurrency = 4
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
	mu     sync.Mutex
	hosts  map[string]habits
	pools  *wire.Pools

	// For tests, which have no time for large ones.
	bodyBound  int64 // in place of wire.MaxBody
	aheadBound int   // in place of maxAhead
}

// habits is what a Client remembers of a registry.
type habits struct {
	pageSize int  // the n that it accepted after it refused another; 0: nothing known, < 0: none
	sized    bool // a larger n than at first was tried
	largest  int  // and honoured
	without  wholeness
	slow     bool       // it took too long for a page of that size
	linear   bool       // its list can be read in one way only, from the start
	crowded  bool       // it refused pages when more than the usual number were asked for at once
	proof    *partProof // of one repository: what shows how it compares; nil: nothing known
}

// A wholeness is what a registry sends where n is absent.
type wholeness int

const (
	unknown wholeness = iota
	everything
	pagesOnly
)

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
		l := c.newListing(repo)
		l.held = held
		stopped := false // whoever has enough may have cancelled, too: what then failed is not told
		l.yield = func(tag string) bool {
			stopped = stopped || !yield(tag, nil)
			return !stopped
		}
		if within != nil {
			if l.part = newPart(*within); l.part.IsEmpty() {
				return
			}
			l.yield = l.part.only(l.yield)
		}
		if err := l.run(ctx); err != nil && !stopped {
			yield("", l.withHint(fmt.Errorf("listing tags of %s: %w", repo, err)))
		}
	}
}

func (c *Client) newListing(repo reference.Repository) *listing {
	plain := repo.Scheme == reference.HTTP
	if repo.Scheme == reference.Unsaid {
		if c.PlainHTTP != nil {
			plain = c.PlainHTTP(repo.Host)
		} else {
			plain = reference.Loopback(repo.Host)
		}
	}
	home := &url.URL{Scheme: "https", Host: repo.Address(), Path: "/v2/" + repo.Name + "/tags/list"}
	if plain {
		home.Scheme = "http"
	}
	l := &listing{
		client: c, repo: repo, home: home, onPage: c.OnPage, slots: c.Concurrency,
		warned: map[string]bool{},
	}
	if l.slots == 0 {
		l.slots, l.mostSlots = defaultConcurrency, maxConcurrency
	}
	l.slots = max(1, l.slots)
	l.carrier = wire.NewCarrier(home, c.transports(), l.slots)
	l.auth = &authorizer{listing: l}
	l.wire = &wire.Client{
		Home: home, Authorized: l.auth, Carrier: l.carrier, UserAgent: c.userAgent(),
		MaxAttempts: cmp.Or(c.MaxAttempts, defaultMaxAttempts), MaxBody: c.bodyBound,
		Pauses: &c.pauses, Log: l.log(),
		Refuse: func(resp *http.Response, body []byte, anonymous bool) (time.Duration, error) {
			err := l.refusal(resp, body, anonymous)
			return err.RetryAfter, err
		},
	}
	return l
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

func (c *Client) habits(host string) habits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hosts[host]
}

func (c *Client) learn(host string, change func(*habits)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hosts == nil {
		c.hosts = make(map[string]habits)
	}
	h := c.hosts[host]
	change(&h)
	c.hosts[host] = h
}

// A listing is one call of ListTags or one range over Tags. It is the sink of
// the tags: it drops duplicates, keeps the bounds and reports the pages.
type listing struct {
	client *Client
	repo   reference.Repository
	home   *url.URL // of the repository's tag list
	wire   *wire.Client
	auth   *authorizer
	onPage func(Page)
	slots  int // requests that may be in flight, at first

	mostSlots int // later; 0: no more than at first

	carrier     *wire.Carrier
	foreign     token.Store // of hosts that redirects led to
	filter      dedup.Filter
	held        func() []string // nil: nobody keeps what was yielded
	yield       func(tag string) bool
	part        *part           // nil: all tags are wanted
	apart       int             // tags that were read in a part
	within      string          // all tags that are wanted begin with it
	number      int             // pages so far
	total       int             // tags so far
	redelivered int             // tags that tries handed out which were cut short
	owed        map[string]bool // tags that parts have read which were dropped
	dialect     string          // what was logged of it

	wg     sync.WaitGroup // of what reads ahead
	mu     sync.Mutex
	warned map[string]bool
}

// run lists the repository.
func (l *listing) run(ctx context.Context) error {
	why, err := l.readAll(ctx)
	if err == nil {
		l.log().DebugContext(ctx, "complete", "tags", l.total+l.apart, "pages", l.number, "because", why)
	}
	return err
}

// readAll reads page after page, and says how it is known that these were all.
func (l *listing) readAll(ctx context.Context) (why string, err error) {
	return l.readFrom(ctx, func(ctx context.Context) (source, error) { return jsonPages(ctx, l, newTagsList(l)) })
}

// readFrom is readAll for a source.
func (l *listing) readFrom(ctx context.Context, open func(context.Context) (source, error)) (why string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(errUnneeded)
		l.wg.Wait()
	}()
	src, err := open(ctx)
	if err != nil {
		return "", err
	}
	f := &foreground{listing: l, src: src}
	switch err := f.run(ctx); {
	case err == errStopped:
		return "", err
	case err != nil:
		return "", fmt.Errorf("page %d: %w", l.number+1, err)
	}
	return f.why, nil
}

// owe notes a tag that was read ahead and dropped: it exists, so that a list
// without it is not complete.
func (l *listing) owe(tag string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owed == nil {
		l.owed = make(map[string]bool)
	}
	l.owed[tag] = true
}

// owes reports whether such a tag has not come since.
func (l *listing) owes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tag := range l.owed {
		if l.filter.Knows(tag) {
			delete(l.owed, tag)
		}
	}
	return len(l.owed) > 0
}

// errForgotten is that a tag cannot be told from those that were handed out, and
// not kept. Nothing is asked before the answer that holds it has let go of its
// connection.
var errForgotten = errors.New("the order breaks late")

// deliver takes some tags of a page, and returns how many are news: new, or handed
// out already by a try that was cut short, from which the listing goes on.
func (l *listing) deliver(ctx context.Context, batch []string) (news int, err error) {
	limit := cmp.Or(l.client.MaxTags, defaultMaxTags)
	for _, tag := range batch {
		if ctx.Err() != nil { // a page in hand is not a reason to go on
			return news, bound.Ended(ctx)
		}
		fresh, ok := l.filter.Admit(tag)
		if !ok {
			if l.held == nil {
				return news, errForgotten
			}
			l.filter.Set(l.held())
			fresh, _ = l.filter.Admit(tag)
		}
		switch {
		case !fresh && l.redelivered > 0:
			l.redelivered--
			news++
			continue
		case !fresh:
			continue
		case limit > 0 && l.total == limit:
			return news, fmt.Errorf("%w: more than %d tags (Client.MaxTags)", ErrTooLarge, limit)
		}
		l.total++
		news++
		if !l.yield(tag) {
			return news, errStopped
		}
	}
	return news, nil
}

// read asks for one page and hands its tags to a sink as they arrive. Where one
// cannot be told from those that were handed out, it asks again with what it knows
// then.
func (l *listing) read(ctx context.Context, req wire.Request, to sink) (wire.Response, error) {
	req.Ahead = func() bool { return !to.leads() }
	for {
		rep, err := l.wire.Get(ctx, req, wireSink{to})
		if err != errForgotten {
			return rep, err
		}
		if err := l.recall(ctx); err != nil {
			return rep, err
		}
		req.Tries = rep.Attempts - 1
	}
}

// wireSink is a sink of which nobody asks what was news.
type wireSink struct{ sink }

func (s wireSink) Begin(try int) { s.begin(try) }

func (s wireSink) Tags(ctx context.Context, batch []string) error {
	_, err := s.tags(ctx, batch)
	return err
}

// recall gives the filter back the tags that were handed out and not kept,
// because they ascended: the registry still has them, and its list is read again
// up to where its order broke.
func (l *listing) recall(ctx context.Context) error {
	const tries = 3
	for range tries {
		l.log().DebugContext(ctx, "the order breaks late: reading the list again up to there", "tags", l.total)
		tags, err := l.replay(ctx)
		if err != nil {
			return fmt.Errorf("reading the list again: %w", err)
		}
		if l.filter.Restore(tags) {
			return nil
		}
	}
	return fmt.Errorf("%w: the list is in no order and changes while it is read, so that it cannot be told which of its tags have come; list it at once", ErrInvalidResponse)
}

// replay reads the list up to the last tag before its order broke.
func (l *listing) replay(ctx context.Context) (tags []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	again := l.client.newListing(l.repo)
	again.onPage = nil
	again.slots, again.mostSlots = 1, 0
	again.filter.Set(nil)
	last, prev := l.filter.Max(), ""
	again.yield = func(tag string) bool {
		if tag > last || tag < prev {
			return false
		}
		prev = tag
		tags = append(tags, tag)
		return tag != last
	}
	if _, err := again.readAll(ctx); err != nil && err != errStopped {
		return nil, err
	}
	return tags, nil
}

func (l *listing) log() *slog.Logger {
	if l.client.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l.client.Logger.With("repository", l.repo.String())
}

// tellDialect logs in which way the registry sends its pages, when that is
// another than before.
func (l *listing) tellDialect(ctx context.Context, dialect, because string) {
	if dialect != l.dialect {
		l.dialect = dialect
		l.log().DebugContext(ctx, "dialect", "dialect", dialect, "because", because)
	}
}

// warn logs a repair, each kind once in a listing.
func (l *listing) warn(ctx context.Context, what string, args ...any) {
	l.mu.Lock()
	known := l.warned[what]
	l.warned[what] = true
	l.mu.Unlock()
	if known {
		return
	}
	l.log().WarnContext(ctx, what, args...)
}
