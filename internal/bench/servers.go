package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
	"github.com/ocitags/ocitags/internal/regtest"
)

const repository = "group/cache"

// A server is a registry on loopback that counts.
type server struct {
	*httptest.Server
	host string

	mu          sync.Mutex
	requests    int
	connections int
}

// serve starts a registry that takes delay for each request.
func serve(h http.Handler, delay time.Duration) *server {
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == measure.Forget {
			s.counts()
			return
		}
		s.mu.Lock()
		s.requests++
		s.mu.Unlock()
		time.Sleep(delay)
		if req.URL.Path == "/v2/" { // some ask for that first
			if r, ok := h.(*regtest.Registry); !ok || r.Auth == nil {
				return // an empty answer does
			}
			req.URL.Path = "/v2/" + repository + "/0/tags/list" // which has the challenge
		}
		h.ServeHTTP(w, req)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would stand among the results
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if state == http.StateNew {
			s.connections++
		}
	}
	s.Start()
	s.host = strings.TrimPrefix(s.URL, "http://")
	return s
}

// counts returns the requests and connections since it was last called.
func (s *server) counts() (requests, connections int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, connections = s.requests, s.connections
	s.requests, s.connections = 0, 0
	return requests, connections
}

// seed is that of the lists. It is another one in each release, so that they are none
// that the library was tuned on.
const seed = 20261127

func packages(n int) []string { return regtest.Packages(seed, n) }

// small serves many repositories behind anonymous tokens.
func small(repositories, tags int) http.Handler {
	r := regtest.New(regtest.ByName("gitlab"))
	r.Auth = &regtest.Auth{}
	list := packages(tags)
	for i := range repositories {
		r.Push(fmt.Sprintf("%s/%d", repository, i), list...)
	}
	return r
}

// mock serves tags like distribution 3.1.2, with at most so many in a page, or like
// another profile.
func mock(profile string, most int, tags []string) http.Handler {
	p := regtest.ByName(profile)
	if most > 0 {
		p.Max, p.DefaultN = most, most
		p.Over = regtest.Rule{What: regtest.Clamp}
	}
	return regtest.New(p).Push(repository, tags...)
}

// body answers with all tags, from memory, and has none after any.
func body(tags []string) http.Handler {
	text, err := json.Marshal(map[string]any{"name": repository, "tags": tags})
	if err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if req.URL.Query().Has("last") {
			_, _ = io.WriteString(w, `{"name":"`+repository+`","tags":[]}`)
			return
		}
		_, _ = w.Write(text)
	})
}

// real serves tags by distribution 3.1.2 on the file system, stored as it stores them.
func real(ctx context.Context, dir string, tags []string) (http.Handler, error) {
	at := filepath.Join(dir, "docker", "registry", "v2", "repositories", filepath.FromSlash(repository), "_manifests", "tags")
	for _, tag := range tags {
		if err := os.MkdirAll(filepath.Join(at, tag, "current"), 0o777); err != nil {
			return nil, err
		}
		link := filepath.Join(at, tag, "current", "link")
		if err := os.WriteFile(link, []byte("sha256:"+strings.Repeat("0", 64)), 0o666); err != nil {
			return nil, err
		}
	}
	config := &configuration.Configuration{}
	config.Storage = configuration.Storage{"filesystem": {"rootdirectory": dir}}
	return handlers.NewApp(ctx, config), nil
}
