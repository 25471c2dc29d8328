package regtest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
)

// A Profile is one server's way to list tags. What it leaves out is what most
// do: all tags where n is absent, any n as it is, bytewise order, last as a
// value to compare with, a Link while there is more.
type Profile struct {
	Name   string // short, for tests
	Server string // what it stands for, with its version where one was seen

	Order func(pushed []string) []string // the order of listing
	Fold  bool                           // tags are stored in lower case

	DefaultN int  // tags in a page where n is absent; 0: all
	IgnoreN  bool // n is not looked at
	Max      int  // the largest n; 0: any
	OneMore  bool // a page has one tag more than was asked for
	Over     Rule // for a larger one
	Zero     Rule // for n=0
	Negative Rule // for n<0
	Junk     Rule // for an n that is not a number

	Cursor Cursor
	Links  Links
	Link   func(Next) string // the header; nil: never one

	Null        Null    // when an empty page is null, not []
	Unknown     Refusal // of a repository that is not there; Status 0: an empty list
	EmptyByZero bool    // n=0 is answered before the repository is looked up
	EmptyByLast bool    // so is last
	EmptyFirst  bool    // and so is any other unknown repository, before n is looked at

	ContentType string // of a list; "": application/json
	Header      map[string]string
	Elements    func([]any) []any                               // what stands in the array besides
	Extra       func(map[string]any, []string)                  // what stands beside it
	Redirect    func(req *http.Request) (status int, to string) // to "": none
	JSONPages   bool                                            // quay's own API is served too
	Challenge   func(realm, name string) []string               // the WWW-Authenticate headers; nil: the usual Bearer
	Token       func(token string) map[string]any               // the token server's answer; nil: {"token":…}
}

// A Rule is what becomes of an n that is not taken as it is.
type Rule struct {
	What    What
	Refusal Refusal
}

// What a Rule does.
type What int

const (
	None    What = iota // no tags
	Clamp               // to Max
	All                 // tags
	Default             // as if n were absent
	Refuse              // by the Rule's Refusal
	Drop                // the connection
)

func refuse(status int, body string) Rule {
	return Rule{Refuse, Refusal{Status: status, Body: body}}
}

// Null says when an empty page is null.
type Null int

const (
	NullNever Null = iota
	NullPage       // always
	NullList       // if the whole list is empty
)

// Links says when a page has one.
type Links int

const (
	LinkMore   Links = iota // there is more
	LinkFull                // it has as many tags as were asked for
	LinkAlways              // it is not empty
	LinkNever
)

// A Next is what a Link is made of.
type Next struct {
	Host, Path string
	N          int        // the size of the page; < 0: all
	Sent       url.Values // the query that was sent
	Last       string     // the cursor
}

// A Cursor is how a server goes on from a page.
type Cursor struct {
	Param string // "last" but for a few

	// Rest is the list after the cursor.
	Rest func(list []string, cursor string) ([]string, *Refusal)

	// Name is the cursor for the page that begins at list[from], after tag.
	Name func(list []string, from int, tag string) string
}

func byName(_ []string, _ int, tag string) string { return tag }

// byValue compares: what is greater than last comes.
func byValue(compare func(a, b string) int) Cursor {
	var sorted atomic.Pointer[string] // the first tag of a list that is so, which is searched
	return Cursor{"last", func(list []string, last string) ([]string, *Refusal) {
		if len(list) > 0 && sorted.Load() != &list[0] && slices.IsSortedFunc(list, compare) {
			sorted.Store(&list[0])
		}
		if len(list) > 0 && sorted.Load() == &list[0] {
			from := sort.Search(len(list), func(i int) bool { return compare(list[i], last) > 0 })
			return list[from:], nil
		}
		var rest []string
		for _, tag := range list {
			if compare(tag, last) > 0 {
				rest = append(rest, tag)
			}
		}
		return rest, nil
	}, byName}
}

// byPlace looks for last in the list; unknown says what if it is not there.
func byPlace(unknown func(list []string, last string) ([]string, *Refusal)) Cursor {
	return Cursor{"last", func(list []string, last string) ([]string, *Refusal) {
		if i := slices.Index(list, last); i >= 0 {
			return list[i+1:], nil
		}
		return unknown(list, last)
	}, byName}
}

// opaque encodes the place, and answers a cursor that it did not make as
// unknown says.
func opaque(param string, unknown func(list []string, last string) ([]string, *Refusal)) Cursor {
	return Cursor{param, func(list []string, cursor string) ([]string, *Refusal) {
		text, err := base64.URLEncoding.DecodeString(cursor)
		place, ok := strings.CutPrefix(string(text), "an opaque token, long enough that nobody takes it for a tag, place ")
		i, nerr := strconv.Atoi(place)
		if err != nil || !ok || nerr != nil || i > len(list) {
			return unknown(list, cursor)
		}
		return list[i:], nil
	}, func(_ []string, from int, _ string) string {
		return base64.URLEncoding.EncodeToString([]byte("an opaque token, long enough that nobody takes it for a tag, place " + strconv.Itoa(from)))
	}}
}

func restart(list []string, _ string) ([]string, *Refusal) { return list, nil }

func sorted(key func(tag string) string, compare func(a, b string) int) func([]string) []string {
	return func(tags []string) []string { return Sorted(tags, key, compare) }
}

// Bytewise returns the tags in the order of their bytes.
func Bytewise(tags []string) []string {
	list := slices.Clone(tags)
	slices.Sort(list)
	return list
}

// Sorted returns the tags in the order of their keys, and those with the same key in that
// of compare. Those that compare as equal stay as they were.
func Sorted(tags []string, key func(tag string) string, compare func(a, b string) int) []string {
	type placed struct {
		key, tag string
		place    int
	}
	all := make([]placed, len(tags)) // sooner sorted than by slices.SortStableFunc, in place
	for i, tag := range tags {
		all[i] = placed{key(tag), tag, i}
	}
	slices.SortFunc(all, func(a, b placed) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Or(compare(a.tag, b.tag), a.place-b.place)
	})
	list := make([]string, len(tags))
	for i, tag := range all {
		list[i] = tag.tag
	}
	return list
}

func asPushed(tags []string) []string { return slices.Clone(tags) }

// scattered puts tags into an order that has no rule, but is always the same.
func scattered(tags []string) []string {
	hash := func(s string) string { h := fnv.New64a(); _, _ = h.Write([]byte(s)); return string(h.Sum(nil)) }
	return Sorted(tags, hash, strings.Compare)
}

// byKeys returns a comparison of tags by their keys. The key of a tag has key[c] for each of
// its bytes c, and then end. No key is made, as servers compare each tag with last in each
// request.
func byKeys(key [256]byte, end int) func(a, b string) int {
	at := func(tag string, i int) int {
		if i < len(tag) {
			return int(key[tag[i]])
		}
		return end
	}
	return func(a, b string) int {
		for i := range max(len(a), len(b)) {
			if c := at(a, i) - at(b, i); c != 0 || i == len(a) || i == len(b) {
				return c
			}
		}
		return 0
	}
}

// bytesOf returns what each byte is in a key.
func bytesOf(key func(tag string) string) (of [256]byte) {
	for c := range of {
		of[c] = key(string([]byte{byte(c)}))[0]
	}
	return of
}

// fold compares tags without looking at case.
var fold = byKeys(bytesOf(strings.ToLower), -1)

// s3Keys compares tags as the object keys <tag>/current/link.
var s3Keys = byKeys(bytesOf(s3Key), '/')

func s3Key(tag string) string { return tag + "/" }

// Collate compares tags as PostgreSQL does under ICU's en-US, as seen at a GitLab
// registry: punctuation, digits, letters; case decides last, lower before upper.
func Collate(a, b string) int {
	return cmp.Or(collate(a, b), -strings.Compare(a, b)) // bytewise upper goes first
}

var collate = byKeys(bytesOf(CollateKey), -1)

// CollateKey returns a key by whose bytes Collate compares, but for case.
func CollateKey(tag string) string {
	key := []byte(strings.ToLower(tag))
	for i, c := range key {
		if at := strings.IndexByte("_-.~", c); at >= 0 {
			key[i] = byte(at)
		}
	}
	return string(key)
}

// The forms of a Link.

func lastN(next Next) string {
	return fmt.Sprintf(`<%s?last=%s&n=%d>; rel="next"`, next.Path, url.QueryEscape(next.Last), next.N)
}

func nLast(next Next) string {
	return fmt.Sprintf(`<%s?n=%d&last=%s>; rel="next"`, next.Path, next.N, next.Last)
}

// sent repeats what was sent, n only if it was.
func sent(format string) func(Next) string {
	return func(next Next) string {
		q := url.Values{}
		for key, values := range next.Sent {
			q[key] = values
		}
		q.Set("last", next.Last)
		if next.N > 0 && q.Has("n") {
			q.Set("n", strconv.Itoa(next.N))
		} else {
			q.Del("n")
		}
		return fmt.Sprintf(format, next.Path+"?"+q.Encode())
	}
}

const apiVersion = "Docker-Distribution-Api-Version"

var distributionHeader = map[string]string{apiVersion: "registry/2.0"}

var unknownName = Refusal{Status: 404, Body: `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"$name"}}]}`}

func paginationInvalid(detail string) Rule {
	return refuse(400, `{"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"invalid number of results requested","detail":{"n":`+detail+`}}]}`)
}

// distribution returns what distribution's 3.x releases have in common.
func distribution(name, server string) Profile {
	return Profile{
		Name: name, Server: server,
		Order: Bytewise, Cursor: byValue(strings.Compare), Link: lastN,
		Negative: paginationInvalid("$n"), Junk: paginationInvalid("$n"),
		Unknown: unknownName, EmptyByZero: true, Header: distributionHeader,
	}
}

func with(p Profile, change func(*Profile)) Profile {
	change(&p)
	return p
}

// Profiles returns all profiles, in a fixed order.
func Profiles() []Profile {
	dist310 := with(distribution("dist310", "distribution 3.1.0, filesystem"), func(p *Profile) {
		p.Max, p.Over = 1000, paginationInvalid("$n")
		p.Links, p.Null, p.EmptyByLast = LinkFull, NullPage, true
	})
	dist312 := with(dist310, func(p *Profile) {
		p.Name, p.Server = "dist312", "distribution 3.1.2, filesystem"
		p.Over, p.Null = Rule{What: Clamp}, NullNever
	})
	gitlab := Profile{
		Name: "gitlab", Server: "GitLab 4.39.0 on PostgreSQL, ICU collation",
		Order: sorted(CollateKey, Collate), Cursor: byValue(Collate), Link: lastN,
		DefaultN: 100, Zero: Rule{What: Default}, Negative: Rule{What: Default}, Junk: Rule{What: Default},
		Null: NullPage, Unknown: unknownName,
		Header: map[string]string{apiVersion: "registry/2.0", "RateLimit": "limit=100, remaining=99, reset=1"},
	}
	ghcr := Profile{
		Name: "ghcr", Server: "ghcr.io",
		Order: asPushed, Cursor: byPlace(restart),
		Link: func(next Next) string {
			if !next.Sent.Has("n") {
				next.N = 0 // its own default
			}
			return lastN(next)
		},
		DefaultN: 100, Max: 1000, Over: Rule{What: Clamp}, Zero: Rule{What: Default}, Negative: Rule{What: Default}, Junk: Rule{What: Default},
		Unknown: Refusal{Status: 404, Body: `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}`},
		Header:  distributionHeader,
	}
	quay := Profile{
		Name: "quay", Server: "quay.io, Quay 3.12 and later",
		Order: sorted(CollateKey, Collate), Cursor: byValue(Collate),
		Link: func(next Next) string {
			return fmt.Sprintf(`<%s?n=%d&last=%s>; rel="next"`, next.Path, next.N, url.QueryEscape(next.Last))
		},
		DefaultN: 100, Max: 100, Over: Rule{What: Clamp}, Negative: Rule{What: Default}, Junk: Rule{What: Default},
		Unknown: Refusal{Status: 401, Body: `{"errors":[{"code":"UNAUTHORIZED","detail":{},"message":"access to the requested resource is not authorized"}]}`},
	}
	ecrRefusal := func(message string) Refusal {
		return Refusal{Status: 405, ContentType: "text/plain; charset=utf-8", Body: `{"errors":[{"code":"UNSUPPORTED","message":"` + message + `"}]}`}
	}
	harbor := Profile{
		Name: "harbor", Server: "Harbor 2",
		Order: Bytewise, Cursor: byValue(strings.Compare), Link: lastN,
		Negative: refuse(400, `{"errors":[{"code":"BAD_REQUEST","message":"the N must be a positive int type"}]}`),
		Junk:     refuse(400, `{"errors":[{"code":"BAD_REQUEST","message":"strconv.ParseInt: parsing \"n\": invalid syntax"}]}`),
		Unknown:  Refusal{Status: 404, Body: `{"errors":[{"code":"NOT_FOUND","message":"repository $name not found"}]}`}, EmptyByZero: true,
		Token: func(token string) map[string]any {
			return map[string]any{"token": token, "access_token": "", "expires_in": 1800, "issued_at": "2026-11-23T10:00:00Z"}
		},
	}
	nexus := Profile{
		Name: "nexus", Server: "Sonatype Nexus behind a connector port",
		Order: Bytewise, Cursor: byPlace(restart),
		Link: func(next Next) string {
			return fmt.Sprintf(`<http://%s/repository/docker%s?n=%d&last=%s>; rel="next"`, next.Host, next.Path, next.N, url.QueryEscape(next.Last))
		},
		Elements: func(tags []any) []any { return append(tags, nil) },
		Unknown:  unknownName,
	}
	return []Profile{
		{
			Name: "dist28", Server: "distribution 2.8.3 (and GitLab without a database)",
			Order: scattered, IgnoreN: true, Cursor: Cursor{"last", restart, byName}, Null: NullPage,
			ContentType: "application/json; charset=utf-8", Header: distributionHeader,
			Unknown: Refusal{404, "application/json; charset=utf-8", unknownName.Body},
		},
		with(distribution("dist300", "distribution 3.0.0"), func(p *Profile) {
			p.Cursor = Cursor{"last", func(list []string, last string) ([]string, *Refusal) {
				// sort.SearchStrings(tags, last)+1: an unknown last takes the
				// first greater tag with it.
				return list[min(sort.SearchStrings(list, last)+1, len(list)):], nil
			}, byName}
		}),
		dist310,
		dist312,
		with(dist312, func(p *Profile) {
			p.Name, p.Server = "dist312s3", "distribution 3.1.2, S3"
			p.Order, p.Unknown = sorted(s3Key, s3Keys), Refusal{}
		}),
		gitlab,
		with(gitlab, func(p *Profile) {
			p.Name, p.Server = "gitlab-c", "GitLab 4.39.0 on PostgreSQL, collation C"
			p.Order, p.Cursor = Bytewise, byValue(strings.Compare)
		}),
		ghcr,
		with(ghcr, func(p *Profile) {
			p.Name, p.Server = "ghcr-nolink", "ghcr.io as some have seen it: no Link on a page of 1000"
			link := p.Link
			p.Link = func(next Next) string {
				if next.N >= 1000 {
					return ""
				}
				return link(next)
			}
		}),
		with(distribution("hub", "Docker Hub"), func(p *Profile) {
			p.Token = func(token string) map[string]any {
				return map[string]any{"token": token, "access_token": token, "expires_in": 300, "issued_at": "2026-11-23T10:00:00Z"}
			}
		}),
		quay,
		{
			Name: "quay311", Server: "Quay up to 3.11",
			Order: asPushed, Cursor: opaque("next_page", restart),
			Link: func(next Next) string {
				return fmt.Sprintf(`<%s?n=%d&next_page=%s>; rel="next"`, next.Path, next.N, url.QueryEscape(next.Last))
			},
			DefaultN: 50, Max: 50, Over: Rule{What: Clamp}, Zero: Rule{What: Default}, Negative: Rule{What: Default}, Junk: Rule{What: Default},
			Unknown: quay.Unknown,
		},
		with(quay, func(p *Profile) {
			p.Name, p.Server, p.JSONPages = "quayjson", "quay.io with its own API", true
		}),
		{
			Name: "ecr", Server: "AWS ECR",
			Order: scattered, DefaultN: 100, Max: 1000,
			Over: Rule{Refuse, ecrRefusal("Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'")},
			Cursor: opaque("last", func([]string, string) ([]string, *Refusal) {
				refusal := ecrRefusal("Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'")
				return nil, &refusal
			}),
			Link: func(next Next) string {
				link := fmt.Sprintf("<https://%s%s?last=%s", next.Host, next.Path, url.QueryEscape(next.Last))
				if next.Sent.Has("n") {
					link += "&n=" + strconv.Itoa(next.N)
				}
				return link + `>; rel="next"`
			},
			ContentType: "text/plain; charset=utf-8", Unknown: unknownName,
			Challenge: func(realm, _ string) []string {
				return []string{`Basic realm="` + realm + `",service="ecr.amazonaws.com"`}
			},
		},
		{
			Name: "gcr", Server: "Google Container Registry",
			Order: Bytewise, IgnoreN: true, Cursor: Cursor{"last", restart, byName},
			Extra: func(body map[string]any, page []string) {
				manifests := make(map[string]gcrManifest, len(page))
				for i, tag := range page {
					manifests[fmt.Sprintf("sha256:%064x", i)] = gcrManifest{
						"1234", "", "application/vnd.oci.image.manifest.v1+json", []string{tag}, "1700000000000", "1700000000000",
					}
				}
				body["child"], body["manifest"] = []string{}, manifests
			},
		},
		with(distribution("k8sredirect", "registry.k8s.io"), func(p *Profile) {
			p.Redirect = func(req *http.Request) (int, string) {
				if req.Host == "us-west1-docker.pkg.dev" {
					return 0, ""
				}
				return 307, "https://us-west1-docker.pkg.dev" + req.URL.Path // the query is dropped
			}
			p.DefaultN = 1000
		}),
		{
			Name: "acr", Server: "Azure Container Registry",
			Order: Bytewise, DefaultN: 100, Max: 1000, Over: Rule{What: Clamp}, Cursor: byValue(strings.Compare),
			Link: func(next Next) string {
				return fmt.Sprintf(`<%s?last=%s&n=%d&orderby=>; rel="next"`, next.Path, url.QueryEscape(next.Last), next.N)
			},
			Unknown: unknownName,
			Challenge: func(realm, name string) []string {
				return []string{`Bearer realm="` + realm + `",service="mock.azurecr.io",scope="repository:` + name + `:metadata_read",error="invalid_token"`}
			},
			Token: func(token string) map[string]any { return map[string]any{"access_token": token} },
		},
		harbor,
		with(harbor, func(p *Profile) {
			p.Name, p.Server = "harbor-proxy", "a proxy project of Harbor for Docker Hub"
			p.Redirect = func(req *http.Request) (int, string) {
				if strings.Contains(req.URL.Path, "/library/") || !strings.HasPrefix(req.URL.Path, "/v2/proxy/") {
					return 0, ""
				}
				return 301, strings.Replace(req.URL.Path, "/v2/proxy/", "/v2/proxy/library/", 1) // the query is dropped
			}
		}),
		{
			Name: "artifactory-old", Server: "JFrog Artifactory up to 7.46, a virtual repository",
			Order: Bytewise, Zero: Rule{What: All},
			Cursor: Cursor{"last", func(list []string, last string) ([]string, *Refusal) {
				i, _ := strconv.Atoi(last) // what is not a number is 0
				return list[min(max(i, 0), len(list)):], nil
			}, func(_ []string, from int, _ string) string { return strconv.Itoa(from) }},
			Link: func(next Next) string {
				_, path, _ := strings.Cut(strings.TrimPrefix(next.Path, "/v2/"), "/")
				next.Path = "/v2/" + path // without the virtual repository
				return lastN(next)
			},
			Elements: func(tags []any) []any {
				return append(tags, "sha256:"+strings.Repeat("ab", 32))
			},
			ContentType: "application/json;charset=ISO-8859-1",
			Unknown:     Refusal{Status: 404, Body: `{"errors":[{"status":404,"message":"Not Found"}]}`},
			Header:      map[string]string{"X-Jfrog-Version": "Artifactory/7.46.0"},
		},
		nexus,
		with(nexus, func(p *Profile) {
			p.Name, p.Server = "nexus-group", "a group repository of Nexus: cut at n, without a Link"
			p.Link, p.Elements = nil, nil
		}),
		{
			Name: "zot", Server: "zot 2.1.20",
			Order: Bytewise, Link: nLast,
			Cursor:   byPlace(func([]string, string) ([]string, *Refusal) { return nil, &Refusal{Status: 404} }),
			Negative: refuse(400, ""), Junk: refuse(400, ""),
			Unknown: Refusal{Status: 404, Body: `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"$name"}}]}`},
		},
		{
			Name: "gitea", Server: "Gitea 1.27.3",
			Fold: true, Order: Bytewise, Links: LinkAlways, Link: sent(`<%s>; rel="next"`),
			Cursor:   byValue(func(a, b string) int { return strings.Compare(a, strings.ToLower(b)) }),
			Negative: Rule{What: All},
			Unknown:  Refusal{Status: 404, Body: `{"errors":[{"code":"NAME_UNKNOWN","message":""}]}`}, Header: distributionHeader,
			Challenge: func(realm, _ string) []string {
				return []string{`Bearer realm="` + realm + `",service="container_registry",scope="*"`, `Basic realm="Gitea Container Registry"`}
			},
		},
		{
			Name: "pulp", Server: "Pulp behind a proxy that ends TLS",
			Order: sorted(CollateKey, Collate), DefaultN: 100, Max: 1000, Over: Rule{What: Clamp}, Cursor: byValue(Collate), Links: LinkFull,
			Link: func(next Next) string {
				return fmt.Sprintf(`<http://%s%s?last=%s&n=%d>; rel="next"`, next.Host, next.Path, url.QueryEscape(next.Last), next.N)
			},
			Unknown: unknownName,
		},
		{
			Name: "cloudflare", Server: "Cloudflare serverless-registry 5f97b0ec",
			Order: Bytewise, DefaultN: 50, Max: 1000, Cursor: byValue(strings.Compare),
			Over: Rule{Refuse, Refusal{500, "application/json;charset=UTF-8", `{"errors":[{"code":"INTERNAL_ERROR","message":"internal error","detail":null}]}`}},
			Zero: badN, Negative: badN, Junk: badN,
			Link: func(next Next) string {
				q := "n=" + strconv.Itoa(next.N) + "&last=" + url.QueryEscape(next.Last)
				if next.Sent.Has("last") && !next.Sent.Has("n") {
					q = "last=" + url.QueryEscape(next.Last) + "&n=" + strconv.Itoa(next.N)
				}
				return fmt.Sprintf("http://%s%s?%s; rel=next", next.Host, next.Path, q)
			},
		},
		{
			Name: "olareg", Server: "olareg 79de6b47",
			Order: Bytewise, Cursor: byValue(strings.Compare), Link: sent(`<%s>; rel=next`),
			Zero: Rule{What: Drop}, Negative: Rule{What: Drop}, Junk: Rule{What: All}, EmptyFirst: true, Header: distributionHeader,
		},
		{
			Name: "ggcr", Server: "go-containerregistry 0.22.1",
			Order: Bytewise, Links: LinkNever,
			Cursor: Cursor{"last", func(list []string, last string) ([]string, *Refusal) {
				i := sort.SearchStrings(list, last)
				if i < len(list) && list[i] == last {
					i++
				}
				if i == len(list) {
					i = 0 // past the end it begins anew
				}
				return list[i:], nil
			}, byName},
			Negative: Rule{What: Drop},
			Junk:     Rule{Refuse, Refusal{400, plain, `{"errors":[{"code":"BAD_REQUEST","message":"parsing n: strconv.Atoi: parsing \"abc\": invalid syntax"}]}`}},
			Null:     NullList, ContentType: plain,
			Unknown: Refusal{404, plain, `{"errors":[{"code":"NAME_UNKNOWN","message":"Unknown name"}]}`},
		},
		cuelabs,
		with(cuelabs, func(p *Profile) {
			p.Name, p.Server = "cuelabs-max", "cuelabs ociserver 2025-12-12 with MaxListPageSize"
			p.Max = 100
			p.Over = refuse(400, `{"errors":[{"code":"UNSUPPORTED","message":"query parameter n is too large (n=$n, max=100)"}]}`)
		}),
		{
			Name: "trow", Server: "Trow",
			Order: sorted(strings.ToLower, fold), Cursor: byValue(fold), Links: LinkNever,
		},
	}
}

const plain = "text/plain; charset=utf-8"

var badN = Rule{Refuse, Refusal{400, "application/json;charset=UTF-8", `{"errors":[{"code":"SERVER_ERROR","message":"invalid 'n' parameter","detail":null}]}`}}

var cuelabs = Profile{
	Name: "cuelabs", Server: "cuelabs ociserver 2025-12-12",
	Order: Bytewise, Cursor: byValue(strings.Compare), Link: sent(`<%s>;rel="next"`),
	Zero: Rule{What: All}, Negative: Rule{What: All},
	Junk: refuse(400, `{"errors":[{"code":"UNKNOWN","message":"query parameter n is not a valid integer"}]}`),
	Null: NullPage, ContentType: plain,
	Unknown: Refusal{Status: 404, Body: `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}`},
}

// ByName returns the profile of that name, and panics if there is none.
func ByName(name string) Profile {
	for _, p := range Profiles() {
		if p.Name == name {
			return p
		}
	}
	panic("regtest: no profile " + name)
}

// A gcrManifest is what gcr.io tells of an image beside the list of tags.
type gcrManifest struct {
	ImageSize    string   `json:"imageSizeBytes"`
	LayerID      string   `json:"layerId"`
	MediaType    string   `json:"mediaType"`
	Tag          []string `json:"tag"`
	TimeCreated  string   `json:"timeCreatedMs"`
	TimeUploaded string   `json:"timeUploadedMs"`
}
