package token

import (
	"encoding/base64"
	"slices"
	"strings"
)

// readActions are the actions that reading a tag list can need: pull, and what
// Azure asks for instead.
var readActions = []string{"pull", "metadata_read", "content_read"}

// ReadScope reduces the scope that a challenge names to reading name: a
// registry must not make us ask for a token that could write, or that opens
// another repository. Scopes are separated by spaces; a comma separates
// actions. Nothing left, or Gitea's "*", means pulling name.
func ReadScope(scope, name string) string {
	var actions []string
	for _, s := range strings.Fields(scope) {
		rest, ok := strings.CutPrefix(s, "repository:"+name+":")
		if !ok {
			continue
		}
		for _, action := range strings.Split(rest, ",") {
			if slices.Contains(readActions, action) && !slices.Contains(actions, action) {
				actions = append(actions, action)
			}
		}
	}
	if actions == nil {
		actions = []string{"pull"}
	}
	return "repository:" + name + ":" + strings.Join(actions, ",")
}

// Basic returns the Authorization header of a name and a password (RFC 7617).
func Basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// Bearer returns the Authorization header of a token. ok is false unless the token is
// visible ASCII. RFC 6750, section 2.1, allows fewer characters, but some servers use
// more.
func Bearer(text string) (header string, ok bool) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= 0x20 || r >= 0x7f }) {
		return "", false
	}
	return "Bearer " + text, true
}
