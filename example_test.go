package ocitags_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
	"golang.org/x/sync/errgroup"
)

// cache is a registry on loopback, as GitLab is one: 100 tags a page. It holds
// a binary cache, one tag for each package, and its index.
func cache() (host string, stop func()) {
	r := regtest.New(regtest.ByName("gitlab-c"))
	for i := range 250 {
		r.Push("group/cache", fmt.Sprintf("zlib-1.3.1-%04d.spack", i))
	}
	r.Push("group/cache", "index").Push("group/empty")
	server := httptest.NewServer(r)
	return strings.TrimPrefix(server.URL, "http://"), server.Close
}

func ExampleListTags() {
	host, stop := cache() // registry.gitlab.com, say
	defer stop()

	tags, err := ocitags.ListTags(context.Background(), host+"/group/cache")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(tags), tags[0], tags[250])
	// Output: 251 index zlib-1.3.1-0249.spack
}

// packages lists what an index builder wants of a cache.
func packages(ctx context.Context, cache string) ([]string, error) {
	var index []string
	for tag, err := range ocitags.Tags(ctx, cache) {
		if err != nil {
			return nil, err // what is in index is not all
		}
		if strings.HasSuffix(tag, ".spack") {
			index = append(index, tag)
		}
	}
	return index, nil
}

func Example() {
	host, stop := cache()
	defer stop()

	index, err := packages(context.Background(), host+"/group/cache")
	fmt.Println(len(index), err)
	// Output: 250 <nil>
}

// The index of a binary cache: a tag for each package, and some that are none.
// The packages are written as they come, and however many there are, they are not
// held. If the listing fails the index is not all, and must not replace the one
// before it.
func Example_buildCacheIndex() {
	host, stop := cache() // registry.gitlab.com, say
	defer stop()

	client := &ocitags.Client{
		OnPage: func(p ocitags.Page) { fmt.Fprintf(os.Stderr, "\r%s: %d tags", p.Repository, p.Total) },
	}
	build := func(w io.Writer) (packages int, err error) {
		for tag, err := range client.Tags(context.Background(), host+"/group/cache") {
			if err != nil {
				return 0, err
			}
			spec, ok := strings.CutSuffix(tag, ".spack")
			if !ok {
				continue // the index itself, signatures
			}
			if _, err := fmt.Fprintln(w, spec); err != nil {
				return 0, err
			}
			packages++
		}
		return packages, nil
	}

	var index bytes.Buffer // or a temporary file, renamed when all is in it
	packages, err := build(&index)
	if err != nil {
		log.Fatal(err)
	}
	first, _ := index.ReadString('\n')
	fmt.Print(packages, " packages from ", first)
	// Output: 250 packages from zlib-1.3.1-0000
}

// Many repositories are listed at once by one Client, which keeps what it learns
// of a registry and the tokens.
func Example_manyRepositories() {
	host, stop := cache()
	defer stop()
	repositories := []string{host + "/group/cache", host + "/group/empty"}

	client := new(ocitags.Client)
	lists := make([][]string, len(repositories))
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(8) // listings, each with up to Client.Concurrency requests
	for i, repository := range repositories {
		group.Go(func() (err error) {
			lists[i], err = client.ListTags(ctx, repository)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(lists[0]), len(lists[1]))
	// Output: 251 0
}

// Tags come as they are read. Breaking out of the loop ends the listing.
func ExampleTags() {
	host, stop := cache()
	defer stop()

	var index []string
	for tag, err := range ocitags.Tags(context.Background(), host+"/group/cache") {
		if err != nil {
			log.Fatal(err) // what is in index is not all
		}
		if strings.HasSuffix(tag, ".spack") {
			index = append(index, tag)
		}
		if len(index) == 3 {
			break
		}
	}
	fmt.Println(index)
	// Output: [zlib-1.3.1-0000.spack zlib-1.3.1-0001.spack zlib-1.3.1-0002.spack]
}

// A credential of the program's own, in place of those of docker login.
func ExampleStaticCredential() {
	r := regtest.New(regtest.ByName("gitlab-c")).Push("group/cache", "1.0", "1.1")
	r.Auth = &regtest.Auth{Username: "robot", Password: "s3cret"}
	server := httptest.NewServer(r)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	client := &ocitags.Client{
		Credentials: ocitags.StaticCredential(host, ocitags.Credential{Username: "robot", Password: "s3cret"}),
	}
	tags, err := client.ListTags(context.Background(), host+"/group/cache")
	fmt.Println(tags, err)

	client = &ocitags.Client{Credentials: ocitags.Anonymous}
	_, err = client.ListTags(context.Background(), host+"/group/cache")
	fmt.Println(errors.Is(err, ocitags.ErrUnauthorized))
	// Output:
	// [1.0 1.1] <nil>
	// true
}

// A registry whose certificate is from an authority of one's own.
func ExampleNewTransport() {
	registry := httptest.NewTLSServer(regtest.New(regtest.ByName("harbor")).Push("group/cache", "1.0"))
	defer registry.Close()
	authority := registry.Certificate() // x509.ParseCertificate of a file, say

	roots, err := x509.SystemCertPool()
	if err != nil {
		log.Fatal(err)
	}
	roots.AddCert(authority)
	transport := ocitags.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	defer transport.CloseIdleConnections()

	client := &ocitags.Client{Transport: transport}
	fmt.Println(client.ListTags(context.Background(), registry.URL+"/group/cache"))
	// Output: [1.0] <nil>
}

// OnPage is for metrics: how many pages and tags came, how often pages had to be
// asked for again, what was skipped.
func ExampleClient_metrics() {
	host, stop := cache()
	defer stop()

	metrics := new(expvar.Map) // or expvar.NewMap("ocitags"), to be served
	client := &ocitags.Client{
		OnPage: func(p ocitags.Page) { // by several goroutines, if there are several listings
			metrics.Add("pages", 1)
			metrics.Add("tags", int64(p.Tags))
			metrics.Add("retries", int64(p.Attempts-1))
			metrics.Add("skipped", int64(p.Skipped))
			metrics.AddFloat("seconds", p.Duration.Seconds())
		},
	}
	if _, err := client.ListTags(context.Background(), host+"/group/cache"); err != nil {
		log.Fatal(err)
	}
	metrics.Delete("seconds") // another in each run
	fmt.Println(metrics)
	// Output: {"pages": 2, "retries": 0, "skipped": 0, "tags": 251}
}

// Progress is OnPage's, too. Pages come in no order where several are asked for at once.
func ExampleClient_progress() {
	host, stop := cache()
	defer stop()

	client := &ocitags.Client{
		PageSize:    100,
		Concurrency: 1, // for the sake of this output
		OnPage: func(p ocitags.Page) {
			fmt.Printf("page %d: %d tags, %d so far\n", p.Number, p.Tags, p.Total)
		},
	}
	if _, err := client.ListTags(context.Background(), host+"/group/cache"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// page 1: 100 tags, 100 so far
	// page 2: 100 tags, 200 so far
	// page 3: 51 tags, 251 so far
}

// At level Warn a Logger is told what was repaired or skipped; at level Debug of
// each request, too, of the dialect that was found, and why the list is complete.
func ExampleClient_logging() {
	host, stop := cache()
	defer stop()

	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "repository", "url", "duration":
				return slog.Attr{} // another in each run
			}
			return a
		},
	})
	client := &ocitags.Client{Logger: slog.New(handler), PageSize: 200}
	if _, err := client.ListTags(context.Background(), host+"/group/cache"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg=request status=200 tags=200 skipped=0
	// level=DEBUG msg=dialect dialect="Link, whose cursor is a tag" because="it names the last tag of the page"
	// level=DEBUG msg="reading several parts of the list at once" because="its tags are sorted, and the cursor is one of them" order="by bytes"
	// level=DEBUG msg=request status=200 tags=51 skipped=0
	// level=DEBUG msg="asking for the list without n" because="the pages do not show whether they are continued in the order in which they are sorted"
	// level=DEBUG msg=request status=200 tags=100 skipped=0
	// level=DEBUG msg=complete tags=251 pages=2 because="the last page has no Link"
}

// What went wrong is matched by errors.Is, and the registry's own words are in
// an *Error.
func ExampleError() {
	host, stop := cache()
	defer stop()

	_, err := ocitags.ListTags(context.Background(), host+"/group/nothing")
	var refusal *ocitags.Error
	if errors.Is(err, ocitags.ErrNotFound) && errors.As(err, &refusal) {
		fmt.Println(refusal.StatusCode, refusal.Codes[0].Code, refusal.Codes[0].Message)
	}
	// Output: 404 NAME_UNKNOWN repository name not known to registry
}
