package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// demoTags is how many tags each repository of the demo holds: some pages, one of
// which ends where distribution on S3 loses a tag.
const demoTags = 2399

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
	{"Cloudflare", "cloudflare.example", "cloudflare", nil, "Link without brackets, which begins anew"},
	{"go-containerregistry", "ggcr.example", "ggcr", nil, "cut at n, and no Link"},
}

// demo starts the registries on loopback and lists a repository from each.
func demo(ctx context.Context, stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "DIALECT\tREFERENCE\tTAGS\tREQUESTS\tTIME\tONE PAGE\tONLY LINK\tHOW")
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
		took, requests := time.Since(began).Round(time.Millisecond), len(r.Requests())
		page, links := readPlainly(r)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%v\t%s\t%s\t%s\n", d.dialect, reference, len(tags), requests, took, page, links, d.remark)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(stdout, "\nONE PAGE: the tags that a client gets with one request. ONLY LINK: those that one gets which sends\nn=1000, follows Link headers as they are, and takes a page without one for the last.\n")
	return err
}

// readPlainly returns what two other clients would get from a registry: page is the list
// of one that makes one request, and links that of one that asks for n=1000 and follows
// Link headers to the end, or until one cannot be followed.
func readPlainly(r *regtest.Registry) (page, links string) {
	r.Auth = nil // which is not what they differ in
	next := &url.URL{Scheme: "http", Host: "registry.example", Path: "/v2/demo/many/tags/list"}
	tags, _, _ := readPage(r, next)
	page = strconv.Itoa(len(tags))
	next.RawQuery = "n=1000"
	seen, asked := map[string]bool{}, map[string]bool{}
	for !asked[next.String()] {
		asked[next.String()] = true
		tags, link, status := readPage(r, next)
		for _, tag := range tags {
			seen[tag] = true
		}
		if status != http.StatusOK {
			return page, fmt.Sprintf("%d, then %d", len(seen), status)
		}
		if link == "" {
			return page, strconv.Itoa(len(seen))
		}
		target, err := next.Parse(link)
		if err != nil {
			return page, fmt.Sprintf("%d, then a bad link", len(seen))
		}
		next = target
	}
	return page, fmt.Sprintf("%d, then a loop", len(seen))
}

// readPage asks for a page, and returns what it has and the next link; "": none.
func readPage(r *regtest.Registry, at *url.URL) (tags []string, link string, status int) {
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, at.String(), nil))
	var list struct{ Tags []string }
	_ = json.Unmarshal(answer.Body.Bytes(), &list)
	if found := linkTarget.FindStringSubmatch(answer.Header().Get("Link")); found != nil {
		link = found[1]
	}
	return list.Tags, link, answer.Code
}

var linkTarget = regexp.MustCompile(`<([^>]*)>; *rel="?next"?`)

// demoList returns tags as a binary cache has them, and some others.
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
