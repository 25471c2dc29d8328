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
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ocitags/ocitags"
)

// The hosts of these examples are the mock registry: TestMain leads there.

func ExampleListTags() {
	tags, err := ocitags.ListTags(context.Background(), "registry.gitlab.com/group/cache")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(tags), tags[0], tags[250])
	// Output: 251 index zlib-1.3.1-0249.spack
}

// packages lists what an index builder wants of a cache.
func packages(ctx context.Context) ([]string, error) {
	var index []string
	for tag, err := range ocitags.Tags(ctx, "registry.gitlab.com/group/cache") {
		if err != nil {
			return nil, err // index is incomplete
		}
		if strings.HasSuffix(tag, ".spack") {
			index = append(index, tag)
		}
	}
	return index, nil
}

// cached lists a cache that only some may read.
func cached(ctx context.Context, user, token string) ([]string, error) {
	client := &ocitags.Client{
		Credentials: ocitags.StaticCredential("registry.gitlab.com", ocitags.Credential{Username: user, Password: token}),
		OnPage:      func(p ocitags.Page) { log.Printf("%s: %d tags", p.Repository, p.Total) },
	}
	tags, err := client.ListTags(ctx, "registry.gitlab.com/group/cache")
	switch {
	case errors.Is(err, ocitags.ErrNotFound):
		return nil, nil // a cache that nothing was pushed to
	case err != nil:
		return nil, err
	}
	return tags, nil
}

func Example() {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)

	index, err := packages(context.Background())
	fmt.Println(len(index), err)
	tags, err := cached(context.Background(), "robot", "s3cret")
	fmt.Println(len(tags), err)
	// Output:
	// 250 <nil>
	// 251 <nil>
}

// The index of a binary cache: a tag for each package, and some that are none.
// The packages are written as they come, and however many there are, they are not
// held. If the listing fails the index is not all, and must not replace the one
// before it.
func Example_buildCacheIndex() {
	client := &ocitags.Client{
		OnPage: func(p ocitags.Page) { fmt.Fprintf(os.Stderr, "\r%s: %d tags", p.Repository, p.Total) },
	}
	build := func(w io.Writer) (packages int, err error) {
		for tag, err := range client.Tags(context.Background(), "registry.gitlab.com/group/cache") {
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

// An index that is kept: only the packages that are new since the last run are read,
// and those that are gone are taken out. All tags are listed each time, as a tag may be
// pushed anywhere in the list; what is saved is what follows.
func Example_incrementalIndex() {
	index := map[string]string{"zlib-1.3.1-0000.spack": "a spec", "gone-1.0.spack": "another one"} // from the last run

	client := new(ocitags.Client)
	tags, err := client.ListTags(context.Background(), "registry.gitlab.com/group/cache")
	if err != nil {
		log.Fatal(err) // and the index stays as it is
	}
	var added, removed int
	there := make(map[string]bool, len(tags))
	for _, tag := range tags {
		there[tag] = true
		if _, known := index[tag]; !known && strings.HasSuffix(tag, ".spack") {
			index[tag] = "what its manifest says" // which is read now
			added++
		}
	}
	for tag := range index {
		if !there[tag] {
			delete(index, tag)
			removed++
		}
	}
	fmt.Println(added, "added,", removed, "removed,", len(index), "in the index")
	// Output: 249 added, 1 removed, 250 in the index
}

// Many repositories are listed at once by one Client, which keeps what it learns
// of a registry and the tokens: to mirror them, say.
func Example_manyRepositories() {
	repositories := []string{"registry.gitlab.com/group/cache", "registry.gitlab.com/group/empty"}

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
	var index []string
	for tag, err := range ocitags.Tags(context.Background(), "registry.gitlab.com/group/cache") {
		if err != nil {
			log.Fatal(err) // index is incomplete
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

// The tags of one version. Where the registry shows that it can begin a list anywhere,
// only those are read.
func ExampleClient_TagsIn() {
	client := new(ocitags.Client)
	var tags []string
	for tag, err := range client.TagsIn(context.Background(), "registry.gitlab.com/group/cache", ocitags.Range{Prefix: "zlib-1.3.1-01"}) {
		if err != nil {
			log.Fatal(err)
		}
		tags = append(tags, tag)
	}
	fmt.Println(len(tags), tags[0])
	// Output: 100 zlib-1.3.1-0100.spack
}

// A listing that broke is taken up again behind its last tag. That is right where the
// tags came in ascending order: else some that are less may be missing, and the list has
// to be read again.
func ExampleClient_TagsIn_resume() {
	client := new(ocitags.Client)
	var tags []string
	list := func(r ocitags.Range, most int) (ascending bool, err error) {
		ascending = true
		for tag, err := range client.TagsIn(context.Background(), "registry.gitlab.com/group/cache", r) {
			if err != nil {
				return ascending, err
			}
			ascending = ascending && (len(tags) == 0 || tags[len(tags)-1] < tag)
			if tags = append(tags, tag); len(tags) == most {
				return ascending, errors.New("the connection broke")
			}
		}
		return ascending, nil
	}

	ascending, err := list(ocitags.Range{}, 120)
	fmt.Println(len(tags), err)
	if err != nil && ascending {
		_, err = list(ocitags.Range{After: tags[len(tags)-1]}, 0)
	}
	fmt.Println(len(tags), err)
	// Output:
	// 120 the connection broke
	// 251 <nil>
}

// A credential of the program's own, in place of those of docker login.
func ExampleStaticCredential() {
	client := &ocitags.Client{
		Credentials: ocitags.StaticCredential("registry.example", ocitags.Credential{Username: "robot", Password: "s3cret"}),
	}
	tags, err := client.ListTags(context.Background(), "registry.example/private/app")
	fmt.Println(tags, err)

	client = &ocitags.Client{Credentials: ocitags.Anonymous}
	_, err = client.ListTags(context.Background(), "registry.example/private/app")
	fmt.Println(errors.Is(err, ocitags.ErrUnauthorized))
	// Output:
	// [1.0 1.1] <nil>
	// true
}

// A registry whose certificate is from a private authority.
func ExampleNewTransport() {
	authority, err := os.ReadFile("ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		log.Fatal(err)
	}
	if !roots.AppendCertsFromPEM(authority) {
		log.Fatal("there is no certificate in ca.pem")
	}
	transport := ocitags.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}

	client := &ocitags.Client{Transport: transport}
	fmt.Println(client.ListTags(context.Background(), "registry.corp.internal/group/cache"))
}

// OnPage is for metrics: how many pages and tags came, how often pages had to be
// asked for again, what was skipped.
func ExampleClient_metrics() {
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
	if _, err := client.ListTags(context.Background(), "registry.gitlab.com/group/cache"); err != nil {
		log.Fatal(err)
	}
	metrics.Delete("seconds") // another in each run
	fmt.Println(metrics)
	// Output: {"pages": 1, "retries": 0, "skipped": 0, "tags": 251}
}

// Progress is OnPage's, too. Pages come in no order where several are asked for at once.
func ExampleClient_progress() {
	client := &ocitags.Client{
		PageSize:    100,
		Concurrency: 1, // for the sake of this output
		OnPage: func(p ocitags.Page) {
			fmt.Printf("page %d: %d tags, %d so far\n", p.Number, p.Tags, p.Total)
		},
	}
	if _, err := client.ListTags(context.Background(), "registry.gitlab.com/group/cache"); err != nil {
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
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "duration": // another in each run
				return slog.Attr{}
			}
			return a
		},
	})
	client := &ocitags.Client{Logger: slog.New(handler)}
	if _, err := client.ListTags(context.Background(), "registry.gitlab.com/group/cache"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg=request repository=registry.gitlab.com/group/cache url="https://registry.gitlab.com/v2/group/cache/tags/list?n=1000" status=200 tags=251 skipped=0
	// level=DEBUG msg=complete repository=registry.gitlab.com/group/cache tags=251 pages=1 because="the only page has no Link, which this registry sends where there is more"
}

// What went wrong is matched by errors.Is, and the registry's own words are in
// an *Error.
func ExampleError() {
	_, err := ocitags.ListTags(context.Background(), "registry.gitlab.com/group/nothing")
	var refusal *ocitags.Error
	if errors.Is(err, ocitags.ErrNotFound) && errors.As(err, &refusal) {
		fmt.Println(refusal.StatusCode, refusal.Codes[0].Code, refusal.Codes[0].Message)
	}
	// Output: 404 NAME_UNKNOWN repository name not known to registry
}
