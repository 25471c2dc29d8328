package origin

import (
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSame(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"https://a.example/x", "https://A.example:443/y", true},
		{"http://a.example:80", "http://a.example", true},
		{"http://a.example", "https://a.example", false},
		{"https://a.example:5000", "https://a.example", false},
		{"https://a.example", "https://b.example", false},
	} {
		a, err := url.Parse(test.a)
		require.NoError(t, err)
		b, err := url.Parse(test.b)
		require.NoError(t, err)
		assert.Equal(t, test.want, Same(a, b), "%s %s", a, b)
		assert.Equal(t, test.want, Same(b, a), "%s %s", b, a)
	}
}

// FAULTS 117: names are public under ICANN's suffixes only.
func TestPublic(t *testing.T) {
	for host, want := range map[string]bool{
		"ghcr.io": true, "GHCR.io.": true, "a.b.co.uk": true, "me.github.io": true, "registry.example": true, "xn--bcher-kva.de": true,
		"localhost": false, "a.localhost": false, "registry": false, "": false, ".": false, "a..io": false, "router.lan": false, "x.local": false,
		"metadata.google.internal": false, "git.corp": false, "nas.home": false, "nas.home.arpa": false, "db.cluster.svc": false, "x.intranet": false,
		"127.0.0.1": false, "2130706433": false, "0x7f.1": false, "::1": false, "[::1]": false, "8.8.8.8": false, "1.2": false, "büch.de": false,
	} {
		assert.Equal(t, want, Public(host), "%q", host)
	}
}

// FAULTS 117: addresses that are not for everybody, also inside others.
func TestPublicAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "168.63.129.15": true, "192.0.1.1": true, "198.17.0.1": true, "198.20.0.1": true, "239.0.0.1": false,
		"2001:4860:4860::8888": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "198.19.255.255": false,
		"192.0.0.170": false, "192.88.99.1": false, "168.63.129.16": false, "192.0.2.1": false, "203.0.113.7": false, "198.51.100.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "fc00::1": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "::8.8.8.8": false, "fd00:ec2::254": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::a00:1": false, "2002:7f00:1::": false, "2001:0:53aa::1": false, "2001:db8::1": false, "100::1": false,
	} {
		assert.Equal(t, want, PublicAddress(netip.MustParseAddr(text)), text)
	}
}

func TestSites(t *testing.T) {
	for _, test := range []struct {
		a, b          string
		site, private bool
	}{
		{"registry.example", "registry.example", true, false},
		{"registry.corp.com", "auth.corp.com", true, false},
		{"registry.a.co.uk", "auth.a.co.uk", true, false},
		{"a.co.uk", "b.co.uk", false, false},            // two registrable domains
		{"me.github.io", "you.github.io", false, false}, // two tenants under one public suffix
		{"registry.corp.internal", "gitlab.corp.internal", false, true},
		{"registry.corp.internal", "gitlab.other.internal", false, false},
		{"registry.corp.internal", "corp.internal", false, false},
		{"registry.lan", "auth.lan", false, true},
		{"registry.lan", "auth.local", false, false},
		{"registry", "auth", false, true},
		{"registry", "auth.lan", false, false},
		{"registry", "auth.corp.com", false, false},
		{"registry.corp.com", "auth", false, false},
		{"10.0.0.1", "10.0.0.2", false, true},
		{"10.0.0.1", "8.8.8.8", false, false},
		{"8.8.8.8", "9.9.9.9", false, false},
		{"10.0.0.1", "auth.lan", false, false},
		{"localhost", "127.0.0.1", false, true},
		{"::1", "localhost", false, true},
		{"registry.localhost", "localhost", false, true},
		{"registry", "localhost", false, false},
	} {
		assert.Equal(t, test.site, SameSite(test.a, test.b), "%s %s", test.a, test.b)
		assert.Equal(t, test.site, SameSite(test.b, test.a), "%s %s", test.b, test.a)
		if test.a != test.b {
			assert.Equal(t, test.private, SamePrivateSite(test.a, test.b), "%s %s", test.a, test.b)
			assert.Equal(t, test.private, SamePrivateSite(test.b, test.a), "%s %s", test.b, test.a)
		}
	}
}
