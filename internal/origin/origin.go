// Package origin says of hosts what may be trusted: which are the same, which
// belong together, and which are out there on the internet.
package origin

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Of returns the ASCII serialisation of an origin (RFC 6454, section 6.2), always with
// its port.
func Of(u *url.URL) string {
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + Port(u)
}

// Same reports whether two URLs have one origin.
func Same(a, b *url.URL) bool { return Of(a) == Of(b) }

// Port returns the port of u, also where it is the default of its scheme.
func Port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// SameHost reports whether two host names are the same.
func SameHost(a, b string) bool { return plain(a) == plain(b) }

// SameSite reports whether two hosts are the same, or have the same registrable
// domain. Addresses and private names have none.
func SameSite(a, b string) bool {
	a, b = plain(a), plain(b)
	if a == b {
		return true
	}
	if !Public(a) || !Public(b) {
		return false
	}
	da, erra := publicsuffix.EffectiveTLDPlusOne(a)
	db, errb := publicsuffix.EffectiveTLDPlusOne(b)
	return erra == nil && errb == nil && da == db
}

// SamePrivateSite reports whether two hosts belong together inside one network:
// private names of one parent domain (registry.corp.internal and
// gitlab.corp.internal, registry.lan and auth.lan), two names of one label, as in
// docker compose, and two hosts of which each is this machine or has a private
// address.
func SamePrivateSite(a, b string) bool {
	a, b = plain(a), plain(b)
	switch {
	case isPrivateHost(a) && isPrivateHost(b):
		return true
	case isAddress(a) || isAddress(b) || Public(a) || Public(b) || Loopback(a) != Loopback(b):
		return false
	}
	_, parentA, _ := strings.Cut(a, ".")
	_, parentB, _ := strings.Cut(b, ".")
	return parentA == parentB
}

// isPrivateHost reports whether host is this machine, or a private address.
func isPrivateHost(host string) bool {
	if Loopback(host) {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && !PublicAddress(a)
}

func isAddress(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Contains(host, ":") || last == "" || '0' <= last[0] && last[0] <= '9'
}

// Loopback reports whether host is localhost, a name under it (RFC 6761 section
// 6.3) or a loopback address.
func Loopback(host string) bool {
	host = plain(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}

// reserved are the top-level domains for documentation and tests (RFC 2606). No
// network has them, so that they stand for public ones.
var reserved = []string{"example", "test", "invalid"}

// Public reports whether host is a registrable DNS name, as opposed to an IP address in any
// notation that resolvers read (127.0.0.1, 2130706433, 0x7f.1, [::1]), a single label, or
// a name that is not under one of ICANN's suffixes in the public suffix list (.internal,
// .lan, .corp, .local).
func Public(host string) bool {
	host = plain(host)
	if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return false // also every IPv6 address
	}
	labels := strings.Split(host, ".")
	top := labels[len(labels)-1]
	if len(labels) < 2 || slices.Contains(labels, "") || '0' <= top[0] && top[0] <= '9' || top == "arpa" {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	return icann || strings.Contains(suffix, ".") || slices.Contains(reserved, top)
}

func plain(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// notPublic are the ranges that are not for everybody, beside those that
// net/netip knows: of IANA's special-purpose registries, of translations from
// IPv6 to IPv4, which lead to whatever address they have inside, and the address
// of Azure's platform.
var notPublic = prefixes(
	"0.0.0.0/8",        // RFC 791: this network
	"100.64.0.0/10",    // RFC 6598: shared
	"168.63.129.16/32", // Azure
	"192.0.0.0/24",     // RFC 6890
	"192.0.2.0/24",     // RFC 5737: documentation
	"192.88.99.0/24",   // RFC 7526: 6to4 relays
	"198.18.0.0/15",    // RFC 2544: benchmarks
	"198.51.100.0/24",  // RFC 5737
	"203.0.113.0/24",   // RFC 5737
	"240.0.0.0/4",      // RFC 1112: reserved
	"::/96",            // RFC 4291: IPv4-compatible
	"64:ff9b::/96",     // RFC 6052: NAT64
	"64:ff9b:1::/48",   // RFC 8215: NAT64
	"100::/64",         // RFC 6666: discard
	"2001::/32",        // RFC 4380: Teredo
	"2001:db8::/32",    // RFC 3849: documentation
	"2002::/16",        // RFC 3056: 6to4
	"3fff::/20",        // RFC 9637: documentation
	"5f00::/16",        // RFC 9602: segment routing
	"fec0::/10",        // RFC 3879: site-local
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// PublicAddress reports whether an address is one that everybody reaches.
func PublicAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() &&
		!slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// SamePlace reports whether two URLs differ in their query at most.
func SamePlace(a, b *url.URL) bool { return Same(a, b) && a.EscapedPath() == b.EscapedPath() }

// WithoutSecrets returns u without the parts that may be secret.
func WithoutSecrets(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// Upgrades reports whether to is the https of an http origin: at the same port, or
// both at the scheme's own.
func Upgrades(from, to *url.URL) bool {
	return from.Scheme == "http" && to.Scheme == "https" && SameHost(from.Hostname(), to.Hostname()) &&
		(Port(from) == Port(to) || Port(from) == "80" && Port(to) == "443")
}
