package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
	"github.com/ocitags/ocitags/internal/readme"
	"github.com/ocitags/ocitags/internal/regtest"
)

const (
	// listTags is how many tags the repository has from which each client lists.
	listTags = 2500

	// clientTime is how long a client may take for them. None of those that end
	// takes a second.
	clientTime = 10 * time.Second
)

// A listed is a server from which the clients list.
type listed struct {
	name string
	real bool
	host string
}

// compareClients lists the same tags from many servers by each client, and prints how
// many it returned, for the servers where not all are alike.
func (b *bench) compareClients(dir string) error {
	servers, stop, err := b.startServers(dir)
	defer stop()
	if err != nil {
		return err
	}
	clients := append([]client{ours}, peers...)
	var alike []string
	_, _ = fmt.Fprintf(b.out, "\n## What clients return of %s tags\n\n| server |", readme.Thousands(listTags))
	for _, c := range clients {
		_, _ = fmt.Fprintf(b.out, " %s |", c.name)
	}
	_, _ = fmt.Fprintf(b.out, "\n|---|%s\n", strings.Repeat("--:|", len(clients)))
	for _, s := range servers {
		line, all := "| "+s.name, true
		for _, c := range clients {
			cell := b.returned(c, s.host)
			all = all && cell == readme.Thousands(listTags)
			line += " | " + cell
		}
		if all {
			alike = append(alike, s.name)
		} else {
			_, _ = fmt.Fprintln(b.out, line+" |")
		}
	}
	_, _ = fmt.Fprintf(b.out, "\nServers in *italics* are real; the mock registry imitates the others. All six return all tags of: %s.\n", strings.Join(alike, "; "))
	return nil
}

// returned describes what a client returns.
func (b *bench) returned(c client, host string) string {
	ctx, cancel := context.WithTimeout(b.ctx, clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, c.args[0]), host, repository)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+b.bin, "GOMEMLIMIT=1GiB")
	out, err := cmd.Output()
	var r measure.Result
	switch {
	case ctx.Err() != nil:
		return "does not end"
	case err != nil || json.Unmarshal(out, &r) != nil:
		return "ends in a panic"
	case r.Failed != "":
		return "error"
	case r.Each < listTags:
		return "**" + readme.Thousands(r.Each) + "**"
	case r.Tags > r.Each:
		return fmt.Sprintf("%s, %d too many", readme.Thousands(r.Each), r.Tags-r.Each)
	}
	return readme.Thousands(r.Each)
}

// startServers starts the real ones, as far as they are installed, and the mock in the
// manner of all others that a client can reach on loopback.
func (b *bench) startServers(dir string) (all []listed, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	tags := regtest.MixedTags(listTags)
	start := func(name string, real bool, h http.Handler) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if real || req.URL.Path != "/v2/" { // some ask for that first, and an empty answer does
				h.ServeHTTP(w, req)
			}
		}))
		stops = append(stops, s.Close)
		host := strings.TrimPrefix(s.URL, "http://")
		if real {
			name = "*" + name + "*"
		}
		all = append(all, listed{name, real, host})
		return host
	}
	dist, err := real(b.ctx, dir, tags)
	if err != nil {
		return nil, stop, err
	}
	start("distribution 3.1.2", true, dist)
	for _, server := range []struct {
		name string
		http.Handler
	}{
		{"go-containerregistry's registry", registry.New(registry.Logger(log.New(io.Discard, "", 0)))},
		{"cuelabs ociserver", ociserver.New(ocimem.New(), nil)},
		{"cuelabs with MaxListPageSize 100", ociserver.New(ocimem.New(), &ociserver.Options{MaxListPageSize: 100})},
	} {
		host := start(server.name, true, server)
		if err := regtest.PushTo(b.ctx, &url.URL{Scheme: "http", Host: host}, repository, tags); err != nil {
			return nil, stop, fmt.Errorf("%s: %w", server.name, err)
		}
	}
	if binary, err := exec.LookPath("docker-registry"); err == nil {
		host, end, err := b.debian(binary, dir)
		if err != nil {
			return nil, stop, err
		}
		stops = append(stops, end)
		all = append(all, listed{"*distribution 2.8.2 (Debian's)*", true, host})
	}
	realToo := map[string]bool{"dist312": true, "ggcr": true, "cuelabs": true, "cuelabs-max": true}
	elsewhere := map[string]bool{"quayjson": true, "harbor-proxy": true, "k8sredirect": true} // they need their own names
	for _, p := range regtest.Profiles() {
		if !realToo[p.Name] && !elsewhere[p.Name] && !(p.Name == "dist28" && len(all) == 5) {
			start(p.Server, false, regtest.New(p).Push(repository, tags...))
		}
	}
	return all, stop, nil
}

// debian starts Debian's registry on what another one has stored.
func (b *bench) debian(binary, dir string) (host string, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it does not tell which port it was given, so one that was free a moment ago
	if err != nil {
		return "", nil, err
	}
	host = l.Addr().String()
	if err := l.Close(); err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "debian.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, host), 0o600); err != nil {
		return "", nil, err
	}
	var told bytes.Buffer
	cmd := exec.CommandContext(b.ctx, binary, "serve", config)
	cmd.Stderr = &told
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 500 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			_ = resp.Body.Close()
			return host, end, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	end()
	return "", nil, errors.New("docker-registry does not answer: " + told.String())
}
