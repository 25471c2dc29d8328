// Package reference reads references to repositories as people paste them.
package reference

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"

	distribution "github.com/distribution/reference"

	"github.com/ocitags/ocitags/internal/origin"
)

// Scheme is what stood in front of a reference.
type Scheme int

const (
	Unsaid Scheme = iota // nothing, or oci:// or docker://
	HTTPS
	HTTP
)

// A Repository is a registry's host and the name of a repository there.
type Repository struct {
	Host   string // lower case, with its port if one was given; docker.io for the Hub
	Name   string // org/name
	Scheme Scheme
}

// String returns host/name.
func (r Repository) String() string { return r.Host + "/" + r.Name }

// Address returns the host at which the registry is reached. docker.io answers with a
// website; its registry has another name.
func (r Repository) Address() string {
	if r.Host == "docker.io" {
		return "registry-1.docker.io"
	}
	return r.Host
}

// Loopback reports whether host, with or without a port, is this machine:
// localhost and the names under it, 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return origin.Loopback(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// wholeDomain is distribution's grammar of a host and port, for all of a string.
var wholeDomain = regexp.MustCompile("^(?:" + distribution.DomainRegexp.String() + ")$")

// Parse reads ref: host/name, or a name at Docker Hub; with :tag or @digest,
// which are checked and dropped; with oci://, docker://, https:// or http:// in
// front. The grammar is that of github.com/distribution/reference, which is
// Docker's; ports are 1 to 65535.
func Parse(ref string) (Repository, error) {
	repo, rest := Repository{}, ref
	if before, after, ok := strings.Cut(ref, "://"); ok {
		switch strings.ToLower(before) {
		case "oci", "docker":
		case "https", "oci+https":
			repo.Scheme = HTTPS
		case "http", "oci+http":
			repo.Scheme = HTTP
		default:
			return Repository{}, errors.New("the scheme is none of oci, docker, https, http, oci+https, oci+http")
		}
		rest = after
	}
	if len(rest) > 1024 { // a host, a name of 255, a tag of 128 and a digest are shorter
		return Repository{}, errors.New("longer than 1024 bytes")
	}

	// Behind http:// and https:// the first component is a host whatever it
	// looks like, so it is taken off before distribution guesses.
	if repo.Scheme != Unsaid {
		host, name, _ := strings.Cut(rest, "/")
		if !wholeDomain.MatchString(host) {
			return Repository{}, errFormat
		}
		repo.Host, rest = host, "host.invalid/"+name
	} else if host, name, ok := strings.Cut(rest, "/"); ok && strings.Contains(host, ".") {
		rest = hostOf(host) + "/" + name // distribution takes no dot at the end
	}
	named, err := distribution.ParseNormalizedNamed(rest)
	if err != nil {
		return Repository{}, cause(err)
	}
	if repo.Host == "" {
		repo.Host = distribution.Domain(named)
	}
	if repo.Host == "" { // a_b.c/d, whose host cannot be one
		return Repository{}, errFormat
	}
	repo.Host, repo.Name = hostOf(repo.Host), distribution.Path(named)
	if hub[repo.Host] {
		if repo.Host = "docker.io"; !strings.Contains(repo.Name, "/") {
			repo.Name = "library/" + repo.Name
		}
	}
	if err := checkAddress(repo.Host); err != nil {
		return Repository{}, err
	}
	if err := checkPort(repo.Host); err != nil {
		return Repository{}, err
	}
	return repo, nil
}

// hub are the names of Docker Hub.
var hub = map[string]bool{"docker.io": true, "index.docker.io": true, "registry-1.docker.io": true, "registry.hub.docker.com": true}

// hostOf returns a host as requests name it: in lower case, and without the final dot of
// an absolute name.
func hostOf(host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil || strings.HasPrefix(host, "[") {
		return strings.ToLower(strings.TrimSuffix(host, "."))
	}
	return strings.ToLower(strings.TrimSuffix(name, ".")) + ":" + port
}

// checkAddress finds what looks like an IPv6 address and is none.
func checkAddress(host string) error {
	if !strings.HasPrefix(host, "[") {
		return nil
	}
	if _, err := netip.ParseAddr(host[1:strings.IndexByte(host, ']')]); err != nil {
		return errors.New("the text in brackets is not an IPv6 address")
	}
	return nil
}

func checkPort(host string) error {
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil // no port
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("port %s is not in 1 to 65535", port)
	}
	return nil
}

// ErrUppercase is that a name has capitals, which no repository has.
var ErrUppercase = distribution.ErrNameContainsUppercase

// cause keeps the reasons that distribution gives a name for; its other texts
// repeat the reference unquoted.
func cause(err error) error {
	for _, known := range []error{
		distribution.ErrTagInvalidFormat, distribution.ErrDigestInvalidFormat,
		ErrUppercase, distribution.ErrNameEmpty, distribution.ErrNameTooLong,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	if strings.Contains(err.Error(), "must be lowercase") {
		return ErrUppercase
	}
	return errFormat
}

// errFormat is distribution's ErrReferenceInvalidFormat, whose text says no more
// than that it is invalid.
var errFormat = errors.New("it cannot be parsed")

// Listed returns the name of the repository whose tags are listed at a path. A redirect
// within a registry may lead to the same name in another place (Docker Hub's and Harbor's
// library/), and a token must then be for that one; any other path counts as ours.
func Listed(at, ours string) string {
	name, ok := strings.CutPrefix(at, "/v2/")
	if name, ok2 := strings.CutSuffix(name, "/tags/list"); ok && ok2 && path.Base(name) == path.Base(ours) {
		if _, err := Parse("host.invalid/" + name); err == nil {
			return name
		}
	}
	return ours
}
