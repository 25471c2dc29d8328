package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/dockerconfig"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/reference"
)

// list prints the tags of each reference, and returns the exit status.
func list(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer, tell func(error)) (status int) {
	client, err := newClient(o, stdin)
	if err != nil {
		tell(err)
		return misused
	}
	out := stdout
	var file *replacement
	if o.output != "" {
		if file, err = replace(o.output); err != nil {
			tell(err)
			return misused
		}
		defer file.abandon()
		out = file
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := &lister{options: o, client: client, out: newPrinter(out, o), progress: &progress{}}
	if showsProgress(o, stdout, stderr) {
		l.progress = newProgress(stderr, o.prefix != "" || o.after != "")
	}
	defer l.progress.clear()
	client.Logger = slog.New(story{w: l.progress.under(stderr), verbose: o.verbose, colours: coloursOf(stderr)})
	client.OnPage = func(page ocitags.Page) {
		l.progress.page(page)
		err := l.out.flush()
		if file, ok := stdout.(*os.File); ok && err == nil && page.Number == 1 && awaitReader(file) {
			err = syscall.EPIPE
		}
		if err != nil { // nobody reads, so that no other page is asked for
			l.out.err = err
			cancel(err)
		}
	}
	for ref, err := range references(o.refs, stdin) {
		if err == nil {
			err = l.list(ctx, ref)
		}
		if err == nil {
			continue
		}
		l.progress.clear()
		tell(err)
		status = max(status, statusOf(err))
		if ctx.Err() != nil || l.out.err != nil {
			break
		}
	}
	if err := l.out.flush(); err == nil && status == complete && file != nil {
		if err := file.commit(); err != nil {
			tell(err)
			status = failed
		}
	}
	return status
}

func statusOf(err error) int {
	if errors.Is(err, ocitags.ErrInvalidReference) {
		return misused
	}
	return failed
}

// references yields the references among the arguments, and for - those on standard
// input.
func references(args []string, stdin io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, ref := range args {
			if ref != "-" {
				if !yield(ref, nil) {
					return
				}
				continue
			}
			lines := bufio.NewScanner(stdin)
			for lines.Scan() {
				if ref := strings.TrimSpace(lines.Text()); ref != "" && !yield(ref, nil) {
					return
				}
			}
			if err := lines.Err(); err != nil && !yield("", fmt.Errorf("reading references: %w", err)) {
				return
			}
		}
	}
}

// A lister lists one reference after the other.
type lister struct {
	options
	client   *ocitags.Client
	out      *printer
	progress *progress
}

// list prints the tags of one reference.
func (l *lister) list(ctx context.Context, ref string) error {
	repo, err := reference.Parse(ref)
	if err == nil {
		l.out.begin(repo.String())
	} else {
		l.out.begin(ref)
	}
	l.progress.begin()
	for tag, err := range l.client.TagsIn(ctx, ref, ocitags.Range{After: l.after, Prefix: l.prefix}) {
		if err != nil {
			return errors.Join(err, l.out.failed(err)) // what has come so far is printed, too
		}
		l.progress.tag()
		if !l.wants(tag) {
			continue
		}
		if err := l.out.tag(tag); err != nil {
			return err
		}
		if l.limit > 0 && l.out.n == l.limit {
			return l.out.limited()
		}
	}
	return l.out.complete()
}

// digestTag is a tag that names a digest, or what belongs to one: cosign's, and the
// fallback of the referrers API, which ends a digest after 64 digits
// (distribution-spec v1.1.1, "Referrers Tag Schema").
var digestTag = regexp.MustCompile(`^sha(256|384|512)-[0-9a-f]{64}(\.[a-zA-Z0-9_.-]+)?$`)

// wants reports whether a tag is to be printed.
func (l *lister) wants(tag string) bool {
	return !(l.omitDigestTags && digestTag.MatchString(tag)) &&
		(l.include == nil || l.include.match(tag)) && !l.exclude.match(tag)
}

// newClient returns the Client that the flags ask for.
func newClient(o options, stdin io.Reader) (*ocitags.Client, error) {
	c := &ocitags.Client{PageSize: o.n, Concurrency: o.concurrency}
	if o.limit > 0 && o.concurrency == 0 {
		c.Concurrency = 1 // so that no page is asked for that is not printed
	}
	if o.plainHTTP {
		c.PlainHTTP = func(string) bool { return true }
	}
	switch {
	case o.anonymous:
		c.Credentials = ocitags.Anonymous
	case o.authFile != "":
		c.Credentials = func(ctx context.Context, host, repository string) (ocitags.Credential, error) {
			cred, err := dockerconfig.FindIn(ctx, o.authFile, host, repository)
			return ocitags.Credential(cred), err
		}
	case o.passwordStdin:
		cred, err := credential(o, stdin)
		if err != nil {
			return nil, err
		}
		c.Credentials = cred
	}
	if o.allowRealm != nil {
		c.AllowRealm = o.mayAsk
	}
	return c, withTLS(c, o)
}

// mayAsk is a Client.AllowRealm. It allows what the default does, and the hosts of
// -allow-realm.
func (o options) mayAsk(registry string, realm *url.URL) bool {
	if realm.Scheme != "https" && !o.plainHTTP && !reference.Loopback(registry) {
		return false
	}
	home, there := (&url.URL{Host: registry}).Hostname(), realm.Hostname()
	return slices.Contains(o.allowRealm, strings.ToLower(realm.Host)) || origin.SameSite(home, there) || origin.SamePrivateSite(home, there)
}

// maxPassword is how many bytes a password may have.
const maxPassword = 64 << 10

// credential reads the password of the user.
func credential(o options, stdin io.Reader) (ocitags.CredentialFunc, error) {
	password, err := io.ReadAll(io.LimitReader(stdin, maxPassword+1))
	switch text := strings.TrimRight(string(password), "\r\n"); {
	case err != nil:
		return nil, fmt.Errorf("-password-stdin: %w", err)
	case text == "":
		return nil, errors.New("-password-stdin: standard input is empty; write ocitags … <FILE, or send it through a pipe")
	case len(password) > maxPassword:
		return nil, fmt.Errorf("-password-stdin: more than %d bytes", maxPassword)
	default:
		repo, err := parseReference(o.refs[0])
		return ocitags.StaticCredential(repo.Host, ocitags.Credential{Username: o.user, Password: text}), err
	}
}

// withTLS gives the Client a transport for what the flags say of certificates.
func withTLS(c *ocitags.Client, o options) error {
	if o.caCert == "" && o.cert == "" && !o.insecure {
		return nil
	}
	config := &tls.Config{InsecureSkipVerify: o.insecure} // as the user has asked for
	if o.caCert != "" {
		text, err := os.ReadFile(o.caCert)
		if err != nil {
			return fmt.Errorf("-cacert: %w", err)
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("-cacert: there is no certificate in %q; it has to be PEM, with BEGIN CERTIFICATE", o.caCert)
		}
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("-cert and -key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := ocitags.NewTransport()
	transport.TLSClientConfig = config
	c.Transport = transport
	return nil
}
