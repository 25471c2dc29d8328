package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

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
		s.mu.Lock()
		s.requests++
		s.mu.Unlock()
		time.Sleep(delay)
		if req.URL.Path != "/v2/" { // some ask for that first, and an empty answer does
			h.ServeHTTP(w, req)
		}
	}))
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

// counts are the requests and connections since it was last asked.
func (s *server) counts() (requests, connections int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, connections = s.requests, s.connections
	s.requests, s.connections = 0, 0
	return requests, connections
}

// packages are n tags of a binary cache, ascending: 20 builds of each version.
func packages(n int) []string {
	rnd := rand.New(rand.NewPCG(1, 1))
	const letters, digits = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz234567"
	word := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(b)
	}
	tags := make([]string, 0, n)
	for len(tags) < n {
		version := fmt.Sprintf("%s-%d.%d.%d", word(letters, 3+rnd.IntN(10)), rnd.IntN(10), rnd.IntN(20), rnd.IntN(10))
		if rnd.IntN(4) == 0 {
			version = "py-" + version
		}
		for range min(20, n-len(tags)) {
			tags = append(tags, version+"-"+word(digits, 32)+".spack")
		}
	}
	slices.Sort(tags)
	return tags
}

// mock is the mock registry in the manner of distribution 3.1.2, which caps its
// pages at most tags, or of another profile.
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

// real is a distribution server of version 3.1.2 on the file system, with the
// tags as it stores them.
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
