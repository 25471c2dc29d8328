// What registries say about the next page: their Link headers, the repairs that these
// need, and what is known of a registry by its name.

package ocitags

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/ocitags/ocitags/internal/listing"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/weblink"
)

// maxLink bounds one Link target. The longest cursors seen are ECR's, of some
// 500 bytes; servers commonly refuse request lines of more than 8 KiB.
const maxLink = 8 << 10

// nextLink finds the link to the next page among the values of an answer's Link
// headers (RFC 8288, which replaced RFC 5988) and says where it leads from at,
// the URL that answered; nil where there is none. Its errors are ErrUnsafeLink,
// or ErrInvalidResponse for links that cannot be read or that contradict each
// other: a next page that cannot be found must not look like the end.
//
// What it returns is always at with another query. A registry names the next
// page by a cursor in the query; the rest of the target can only be what we
// know already, or wrong. Artifactory and Nexus lose or add a prefix of the
// path, Pulp and others behind proxies write http:// or an inner host name, and
// a hostile server may write anything. oddity says what is wrong with a link that
// is followed all the same; "": nothing.
//
// A link to our own list that has a cursor and no relation, or one that cannot be
// read, counts as next: whoever wrote it meant something by it, and a list that
// ends there would be short.
func nextLink(values []string, at *url.URL) (next *url.URL, oddity string, err error) {
	var unread *url.URL
	for _, value := range values {
		links, err := weblink.Parse(value)
		if err != nil {
			return nil, "", fmt.Errorf("%w: Link header %s: %w", ErrInvalidResponse, taglist.Quote(withoutQuery(value)), err)
		}
		for _, link := range links {
			if !link.IsNext() {
				if u, err := resolveNext(link.Target, at); err == nil && !link.HasRelation() && listing.HasCursor(u.Query()) && u.RawQuery != at.RawQuery {
					unread = queryOf(u, at)
				}
				continue
			}
			u, err := resolveNext(link.Target, at)
			if err != nil {
				return nil, "", err
			}
			if !origin.SamePlace(u, at) {
				oddity = "it leads to " + origin.WithoutSecrets(u) + ": only its query is followed"
			}
			there := queryOf(u, at)
			if next != nil && next.RawQuery != there.RawQuery {
				return nil, "", fmt.Errorf("%w: two Link headers name different next pages", ErrInvalidResponse)
			}
			next = there
		}
	}
	if next == nil && unread != nil {
		return unread, "its relation is missing or cannot be read", nil
	}
	return next, oddity, nil
}

// queryOf returns at with the query of u, byte for byte, as cursors may be opaque. Only a
// space is escaped: it would end the request line.
func queryOf(u, at *url.URL) *url.URL {
	there := *at
	there.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20")
	return &there
}

// resolveNext reads the target of a next link, which must be a tag list.
func resolveNext(target string, at *url.URL) (*url.URL, error) {
	unsafe := func(why string) error {
		return fmt.Errorf("%w: the next page at %s %s", ErrUnsafeLink, taglist.Quote(withoutQuery(target)), why)
	}
	if len(target) > maxLink {
		return nil, unsafe(fmt.Sprintf("is longer than %d bytes", maxLink))
	}
	ref, err := url.Parse(target)
	if err != nil {
		return nil, unsafe("cannot be parsed") // url's errors repeat the URL, query and all
	}
	u := at.ResolveReference(ref)
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, unsafe("is not at an http or https host")
	}
	if !origin.SamePlace(u, at) && !strings.HasSuffix(u.Path, "/tags/list") {
		return nil, unsafe("is not a tag list")
	}
	return u, nil
}

// withoutQuery cuts a URL, well-formed or not, before its query.
func withoutQuery(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

// repairLink mends the query of a next link. asked is the n of the page that has it, and
// wrong what was wrong with it; "": nothing. It returns nil for one that leads to the
// start of the list.
func repairLink(link *url.URL, asked int) (mended *url.URL, wrong string) {
	q := link.Query()
	if q.Has("last") && !listing.HasCursor(q) {
		// Cloudflare's serverless-registry: after the end it names the start.
		return nil, "ignored a next link with an empty last"
	}
	if q.Get("n") == "0" && asked > 0 {
		// ghcr.io: n=0 stands for its default there, and for an empty page in
		// the specification.
		return listing.WithParam(link, "n", strconv.Itoa(asked)), "replaced n=0 in a next link by the n that was asked for"
	}
	return link, ""
}

// quaySlots is how many requests quay.io takes at once for ordinary lists:
// one, and a burst of 2 (quay conf/nginx/rate-limiting.conf.jnj).
const quaySlots = 3

// registryOf returns what is known of a registry by its host.
func registryOf(host string) listing.Registry {
	r := listing.Registry{NextLink: nextLink, Repair: repairLink}
	switch {
	case host == "docker.io":
		r.Announces = true
	case host == "ghcr.io":
		// It lists by age, which a first page in alphabetical order would hide, and
		// nothing is known of what it makes of a last that is not a tag.
		r.ByAge, r.Announces, r.PagesOnly = true, true, true
	case host == "registry.gitlab.com", host == "public.ecr.aws":
		r.Announces, r.PagesOnly = true, true
	case host == "quay.io":
		r.PagesOnly, r.Slots = true, quaySlots
	case strings.HasSuffix(host, ".amazonaws.com"):
		r.Announces, r.PagesOnly = strings.Contains(host, ".dkr.ecr."), true
	case strings.HasSuffix(host, "gcr.io"), strings.HasSuffix(host, ".pkg.dev"):
		r.PagesOnly = true
	}
	return r
}
