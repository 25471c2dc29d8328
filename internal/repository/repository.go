// Package repository reads references to repositories as people paste them.
package repository

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"
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

// String is host/name.
func (r Repository) String() string { return r.Host + "/" + r.Name }

// Address is the host where the registry is reached: docker.io is a name that
// answers with a website, its registry lives next door.
func (r Repository) Address() string {
	if r.Host == "docker.io" {
		return "registry-1.docker.io"
	}
	return r.Host
}

// Loopback reports whether host, with or without a port, is this machine:
// localhost, 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// wholeDomain is distribution's grammar of a host and port, for all of a string.
var wholeDomain = regexp.MustCompile("^(?:" + reference.DomainRegexp.String() + ")$")

// Parse reads ref: host/name, or a name at Docker Hub; with :tag or @digest,
// which are checked and dropped; with oci://, docker://, https:// or http:// in
// front. The grammar is that of github.com/distribution/reference, which is
// Docker's; ports are 1 to 65535.
func Parse(ref string) (Repository, error) {
	repo, rest := Repository{}, ref
	if before, after, ok := strings.Cut(ref, "://"); ok {
		switch strings.ToLower(before) {
		case "oci", "docker":
		case "https":
			repo.Scheme = HTTPS
		case "http":
			repo.Scheme = HTTP
		default:
			return Repository{}, errors.New("the scheme is none of oci, docker, https, http")
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
	}
	named, err := reference.ParseNormalizedNamed(rest)
	if err != nil {
		return Repository{}, cause(err)
	}
	if repo.Host == "" {
		repo.Host = reference.Domain(named)
	}
	repo.Host, repo.Name = strings.ToLower(repo.Host), reference.Path(named)
	if repo.Host == "index.docker.io" || repo.Host == "registry-1.docker.io" {
		repo.Host = "docker.io"
	}
	if err := checkPort(repo.Host); err != nil {
		return Repository{}, err
	}
	return repo, nil
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

// cause keeps the reasons that distribution gives a name for; its other texts
// repeat the reference unquoted.
func cause(err error) error {
	for _, known := range []error{
		reference.ErrTagInvalidFormat, reference.ErrDigestInvalidFormat,
		reference.ErrNameContainsUppercase, reference.ErrNameEmpty, reference.ErrNameTooLong,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	if strings.Contains(err.Error(), "must be lowercase") {
		return reference.ErrNameContainsUppercase
	}
	return errFormat
}

// errFormat is distribution's ErrReferenceInvalidFormat, whose text says no more
// than that it is invalid.
var errFormat = errors.New("it cannot be parsed")
