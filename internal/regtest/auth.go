package regtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Auth makes a Registry ask who is there. Its token server is at /token of the
// Registry itself.
type Auth struct {
	Username, Password string // who may read; both empty: anybody, with a token
	RefreshToken       string // also lets one read; "": none does
	Basic              bool   // no tokens: the password goes to the registry
	Realm              string // the token server's URL; "": http or https at the registry's host

	mu     sync.Mutex
	issued int
	valid  map[string]string // token to scope
}

// Revoke makes all tokens invalid.
func (a *Auth) Revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.valid = nil
}

// allowed lets a request through, or answers it with 401 and the challenge of
// the profile.
func (r *Registry) allowed(w http.ResponseWriter, req *http.Request, name string) bool {
	a := r.Auth
	if a.Basic {
		if user, password, ok := req.BasicAuth(); ok && user == a.Username && password == a.Password {
			return true
		}
	} else if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		a.mu.Lock()
		scope, known := a.valid[token]
		a.mu.Unlock()
		if known && strings.HasPrefix(scope, "repository:"+name+":") {
			return true
		}
	}
	realm := a.Realm
	if realm == "" {
		realm = scheme(req) + "://" + req.Host + "/token"
	}
	challenges := []string{fmt.Sprintf(`Bearer realm="%s",service="%s",scope="repository:%s:pull"`, realm, req.Host, name)}
	if r.Profile.Challenge != nil {
		challenges = r.Profile.Challenge(realm, name)
	} else if a.Basic {
		challenges = []string{`Basic realm="Registry"`}
	}
	for _, c := range challenges {
		w.Header().Add("WWW-Authenticate", c)
	}
	Refusal{Status: 401, Body: `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}`}.write(w, name)
	return false
}

func scheme(req *http.Request) string {
	if req.TLS != nil || req.URL.Scheme == "https" {
		return "https"
	}
	return "http"
}

// serveToken gives a token for the scope that is asked for, to whom it knows.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	a := r.Auth
	user, password, _ := req.BasicAuth()
	known := a.Username == "" && a.Password == "" || user == a.Username && password == a.Password
	if req.Method == http.MethodPost {
		known = a.RefreshToken != "" && req.PostFormValue("grant_type") == "refresh_token" && req.PostFormValue("refresh_token") == a.RefreshToken
	}
	if !known {
		Refusal{Status: 401, Body: `{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}`}.write(w, "")
		return
	}
	a.mu.Lock()
	a.issued++
	token := fmt.Sprintf("token-%d", a.issued)
	if a.valid == nil {
		a.valid = make(map[string]string)
	}
	a.valid[token] = req.FormValue("scope")
	a.mu.Unlock()
	answer := map[string]any{"token": token}
	if r.Profile.Token != nil {
		answer = r.Profile.Token(token)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}
