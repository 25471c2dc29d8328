package tokenserver

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
)

// MaxRealm bounds the URL of a token server, in bytes.
const MaxRealm = 8 << 10

// Realm returns the URL of the token server that a challenge names as its realm, or an
// error if that must not be asked. from is the URL whose answer has the challenge, and
// secret says that a credential would be sent. Where Realm would refuse, and wherever a
// credential would be sent, allow decides instead, unless it is nil; allowed says that it
// did.
//
// Without a credential nothing can leak, and some registries have their token server
// elsewhere (that of lscr.io is at ghcr.io); but a registry must not make the library
// send requests inside the user's network.
func Realm(text string, from *url.URL, secret bool, allow func(*url.URL) bool) (realm *url.URL, allowed bool, err error) {
	refuse := func(why string) error {
		shown, _, _ := strings.Cut(text, "?")
		return fmt.Errorf("%w: the token server %s that %s names %s", ocierr.ErrUnsafeLink, taglist.Quote(shown), from.Host, why)
	}
	if len(text) > MaxRealm {
		return nil, false, refuse(fmt.Sprintf("has a URL of more than %d bytes", MaxRealm))
	}
	realm, err = url.Parse(text)
	switch {
	case text == "":
		return nil, false, refuse("is empty")
	case err != nil:
		return nil, false, refuse("cannot be parsed")
	}
	realm = from.ResolveReference(realm)
	switch {
	case realm.Scheme != "https" && realm.Scheme != "http" || realm.Hostname() == "" || realm.Opaque != "":
		return nil, false, refuse("is not an http or https URL with a host")
	case realm.User != nil || strings.Contains(text, "#"):
		return nil, false, refuse("has user-info or a fragment")
	}
	here, there := from.Hostname(), realm.Hostname()
	ours := origin.SameSite(here, there) || origin.SamePrivateSite(here, there)
	var why string
	switch {
	case realm.Scheme == "http" && from.Scheme != "http":
		why = "would be asked in clear text"
	case ours:
	case secret:
		why = "is in a different domain; set Client.AllowRealm to send it credentials"
	case !origin.Public(there):
		why = "is neither at the registry nor at a public name; set Client.AllowRealm to ask it"
	}
	if allow != nil && (secret || why != "") {
		if why = ""; !allow(realm) {
			why = "is refused by Client.AllowRealm"
		}
		allowed = true
	}
	if why != "" {
		return nil, false, refuse(why)
	}
	return realm, allowed, nil
}
