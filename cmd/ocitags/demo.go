package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// demoTags is how many tags each repository of the demo holds: as many as make
// a client that stops early look silly.
const demoTags = 2345

// demos are the registries of the demo, each in the manner of the one that
// stands at its host name.
var demos = []struct {
	dialect, host, profile string
	auth                   *regtest.Auth
	remark                 string
}{
	{"GitLab", "registry.gitlab.com", "gitlab", &regtest.Auth{}, "Link, behind an anonymous token"},
	{"ghcr", "ghcr.io", "ghcr", &regtest.Auth{}, "Link, in the order of age"},
	{"Docker Hub", "docker.io", "hub", &regtest.Auth{Username: "demo", Password: "demo"}, "Link, behind a password and a token"},
	{"quay", "quay.io", "quayjson", nil, "JSON pages of its own"},
	{"ECR", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr", &regtest.Auth{Basic: true, Username: "AWS", Password: "demo"}, "Link with opaque cursors, in no order"},
	{"distribution 3", "registry.example", "dist312", nil, "plain OCI: Link"},
	{"distribution 2", "old.example", "dist28", nil, "all at once, in no order"},
	{"distribution 3 on S3", "s3.example", "dist312s3", nil, "pages that lose tags, so all at once"},
	{"Nexus group", "nexus.example", "nexus-group", nil, "cut at n, and no Link"},
	{"zot", "zot.example", "zot", nil, "Link"},
	{"Gitea", "gitea.example", "gitea", &regtest.Auth{}, "Link on every page"},
}

// demo starts the registries on loopback and lists a repository from each.
func demo(ctx context.Context, stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "DIALECT\tREFERENCE\tTAGS\tREQUESTS\tTIME\tHOW")
	for _, d := range demos {
		reference := d.host + "/demo/many"
		r := regtest.New(regtest.ByName(d.profile)).Push("demo/many", demoList()...)
		r.Auth = d.auth
		began := time.Now()
		tags, err := listDemo(ctx, r, reference)
		if err != nil {
			return err
		}
		want := slices.Compact(slices.Sorted(slices.Values(r.Tags("demo/many"))))
		if !slices.Equal(tags, want) {
			return fmt.Errorf("%s: %d tags listed of %d", reference, len(tags), len(want))
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%v\t%s\n", d.dialect, reference, len(tags), len(r.Requests()), time.Since(began).Round(time.Millisecond), d.remark)
	}
	return table.Flush()
}

// demoList are tags as a binary cache has them, and some others.
func demoList() (tags []string) {
	for i := 0; len(tags) < demoTags; i++ {
		v := (i*7919 + 13) % 100003
		for _, format := range []string{"zlib-1.3.%d-x86_64.spack", "v1.%d", "v1.%d-alpine", "%d"} {
			if len(tags) < demoTags {
				tags = append(tags, fmt.Sprintf(format, v))
			}
		}
	}
	return tags
}

// listDemo lists from r, which is served on loopback in place of whatever host
// the reference names.
func listDemo(ctx context.Context, r *regtest.Registry, reference string) ([]string, error) {
	server := httptest.NewServer(r)
	defer server.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server.URL, "http://"))
	}}
	defer transport.CloseIdleConnections()
	client := &ocitags.Client{
		Transport:   transport,
		Credentials: ocitags.Anonymous,
		PlainHTTP:   func(string) bool { return true },
	}
	if r.Auth != nil && r.Auth.Username != "" {
		client.Credentials = func(context.Context, string, string) (ocitags.Credential, error) {
			return ocitags.Credential{Username: r.Auth.Username, Password: r.Auth.Password}, nil
		}
	}
	return client.ListTags(ctx, reference)
}
