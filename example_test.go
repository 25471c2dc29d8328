package ocitags_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// cache is a registry on loopback, as GitLab is one: 100 tags a page. It holds
// a binary cache, one tag for each package, and its index.
func cache() (host string, stop func()) {
	r := regtest.New(regtest.ByName("gitlab-c"))
	for i := range 250 {
		r.Push("group/cache", fmt.Sprintf("zlib-1.3.1-%04d.spack", i))
	}
	r.Push("group/cache", "index")
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

// OnPage is for progress and metrics.
func ExampleClient_progress() {
	host, stop := cache()
	defer stop()

	client := &ocitags.Client{
		PageSize:    100,
		Concurrency: 1, // otherwise pages come in no order
		OnPage: func(p ocitags.Page) {
			fmt.Fprintf(os.Stdout, "page %d: %d tags, %d so far\n", p.Number, p.Tags, p.Total)
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
