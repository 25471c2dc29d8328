// Command bench lists the same repositories by this library and by five others,
// and says what that took: each client is a program of its own, against
// registries on loopback which this one starts.
//
//	go run .                  # ten minutes; writes docs/performance.md, its charts and the README's table of clients
//	go run . -tables=false    # the charts alone
//	go run . -short           # prints tables of small lists, to see that it works
//	go run . -compare         # what each client returns of the tags of many servers, alone
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
	"github.com/ocitags/ocitags/internal/readme"
)

// A client is a program and its arguments.
type client struct {
	name string
	args []string
}

var (
	ours     = client{"ocitags", []string{"ocitags"}}
	ours8    = client{"ocitags, 8 at once", []string{"ocitags", "-c", "8"}}
	ours1    = client{"ocitags, 1 at once", []string{"ocitags", "-c", "1"}}
	streamed = client{"ocitags, Tags", []string{"ocitags", "-stream"}}
	peers    = []client{
		{"go-containerregistry", []string{"ggcr"}},
		{"oras-go", []string{"oras"}},
		{"regclient", []string{"regclient"}},
		{"podman image", []string{"podman"}},
		{"cuelabs", []string{"cuelabs"}},
	}
	raw = client{"reading and counting quotes", []string{"rawread"}}
)

// A bench is what all cases need.
type bench struct {
	ctx    context.Context
	out    io.Writer
	bin    string // where the clients are
	runs   int    // of each client; the median counts
	charts string // where they go; "": nowhere
	quick  bool   // without tables

	compare bool // only what clients return
	scale   int  // by which the lists are shorter
}

func main() {
	short := flag.Bool("short", false, "a hundredth of the tags, one run, and nothing is written")
	tables := flag.Bool("tables", true, "measure what the tables have")
	compare := flag.Bool("compare", false, "print what each client returns, and nothing else")
	flag.Parse()
	var results bytes.Buffer
	b := &bench{ctx: context.Background(), out: io.MultiWriter(os.Stdout, &results), runs: 5, scale: 1, charts: "../../docs", quick: !*tables}
	if *short {
		b.runs, b.scale, b.charts = 1, 100, ""
	}
	if b.compare = *compare; b.compare {
		*tables, b.charts = false, ""
	}
	dir, err := os.MkdirTemp("", "ocitags-bench")
	if err != nil {
		log.Fatal(err)
	}
	err = b.run(dir)
	if err == nil && *tables && !*short {
		err = publish(results.String())
	}
	if err == nil && b.charts != "" {
		err = b.drawAll()
	}
	_ = os.RemoveAll(dir)
	if err != nil {
		log.Fatal(err)
	}
}

// results is where the tables go, and root where what clients return.
const (
	results = readme.File("../../docs/performance.md")
	root    = readme.File("../../README.md")
)

// publish writes the tables, and what clients return.
func publish(text string) error {
	before, text, _ := strings.Cut(text, "\n## ")
	_, versions, _ := strings.Cut(before, "Versions: ")
	compared, tables, _ := strings.Cut(text, "\n## ")
	_, compared, _ = strings.Cut(compared, "\n\n")
	if err := results.Replace("bench", before+"\n## "+tables); err != nil {
		return err
	}
	return root.Replace("clients", "Versions: "+versions+"\n"+compared)
}

// run builds the clients in a directory, and measures all cases.
func (b *bench) run(dir string) error {
	logrus.SetOutput(io.Discard) // the real server's
	b.bin = dir
	build := exec.CommandContext(b.ctx, "go", "build", "-tags", "containers_image_openpgp", "-o", dir+string(os.PathSeparator), "./clients/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the clients: %w", err)
	}
	versions, err := versions(b.ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "%s, %d CPUs, each client in a process of its own; medians of %d runs, single runs where one takes half a minute; lists of seed %d. %s\n", runtime.Version(), runtime.NumCPU(), b.runs, seed, versions)
	if b.compare || !b.quick {
		if err := b.compareClients(filepath.Join(dir, "compared")); err != nil || b.compare {
			return err
		}
	}
	if !b.quick {
		if err := b.cases(filepath.Join(dir, "registry")); err != nil {
			return err
		}
	}
	return nil
}

// drawAll draws the charts.
func (b *bench) drawAll() error {
	if err := b.draw("capped", "1000 a page", 1000, []int{1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000}, b.runs); err != nil {
		return err
	}
	// Who asks for no number gets 100 tags a page.
	return b.draw("large", "pages of any size", 0, []int{1000, 2000, 5000, 10_000, 20_000}, 1)
}

// versions returns the versions of the clients.
func versions(ctx context.Context) (string, error) {
	paths := []string{
		"github.com/google/go-containerregistry", "oras.land/oras-go/v2", "github.com/regclient/regclient",
		"go.podman.io/image/v5", "cuelabs.dev/go/oci/ociregistry",
	}
	out, err := exec.CommandContext(ctx, "go", append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, paths...)...).Output()
	if err != nil {
		return "", fmt.Errorf("asking for versions: %w", err)
	}
	return "Versions: " + strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), ", ") + ".", nil
}

// cases measures all tables.
func (b *bench) cases(dir string) error {
	const delay = 20 * time.Millisecond
	n := func(tags int) int { return tags / b.scale }
	all := append([]client{ours, ours8, ours1}, peers...)
	million, hundred := packages(n(1_000_000)), packages(n(100_000))
	some := hundred[len(hundred)/2]
	some = some[:strings.LastIndex(some, "-")] // the builds of a version
	builds := 0
	for _, tag := range hundred {
		if strings.HasPrefix(tag, some) {
			builds++
		}
	}
	dist, err := real(b.ctx, dir, packages(n(20_000)))
	if err != nil {
		return err
	}
	for _, c := range []struct {
		title   string
		handler http.Handler
		delay   time.Duration
		tags    int
		clients []client
	}{
		{"%s tags, 1000 a page, 20 ms a request", mock("dist312", 1000, hundred), delay, n(100_000), all},
		{"%s tags, 1000 a page, 20 ms a request", mock("dist312", 1000, million), delay, n(1_000_000), append([]client{ours, ours8}, peers...)},
		{"%s tags, 1000 a page, 20 ms a request", mock("dist312", 1000, packages(12_000)), delay, 12_000, append([]client{ours}, peers...)},
		{"%s tags, 1000 a page, 20 ms a request", mock("dist312", 1000, packages(5000)), delay, 5000, append([]client{ours}, peers...)},
		{"%s tags, one page, 20 ms a request", mock("dist312", 0, packages(251)), delay, 251, append([]client{ours}, peers...)},
		{"%s tags in one answer", body(million), 0, n(1_000_000), append([]client{ours, streamed, raw}, peers...)},
		{"%s tags in one answer", body(hundred), 0, n(100_000), []client{ours, streamed, raw}},
		{"%s tags, 100 a page", mock("dist312", 100, packages(n(20_000))), 0, n(20_000), []client{ours1, ours, ours8}},
		{"%s tags by age, as ghcr.io sends them, 20 ms a request", mock("ghcr", 0, packages(n(20_000))), delay, n(20_000), append([]client{ours}, peers...)},
		{"%s tags of quay's JSON pages, 20 ms a request", mock("quayjson", 0, packages(n(20_000))), delay, n(20_000), []client{
			{ours.name, append(ours.args, "-as", "quay.io")}, {ours1.name, append(ours1.args, "-as", "quay.io")},
		}},
		{"%s tags, distribution 3.1.2 on its file system", dist, 0, n(20_000), all},
		{"%s tags in " + strconv.Itoa(500/b.scale) + " repositories of 300, each behind a token, one after the other, 20 ms a request", small(500/b.scale, 300), delay, 300 * (500 / b.scale), []client{
			{ours.name, append(ours.args, "-many", strconv.Itoa(500/b.scale))},
			{"go-containerregistry", []string{"ggcr", "-many", strconv.Itoa(500 / b.scale)}},
			{"oras-go", []string{"oras", "-many", strconv.Itoa(500 / b.scale)}},
		}},
		{"The %s tags with a prefix, of " + readme.Thousands(n(100_000)) + ", 1000 a page, 20 ms a request", mock("dist312", 1000, hundred), delay, builds, []client{
			{"ocitags, TagsIn", append(ours.args, "-prefix", some)},
			{"ocitags, TagsIn again", append(ours.args, "-prefix", some, "-again")},
		}},
	} {
		runs := b.runs
		if c.tags > n(100_000) && c.delay > 0 {
			runs = 1 // as one takes half a minute
		}
		rows, err := b.measure(c.handler, c.delay, c.tags, c.clients, runs)
		if err != nil {
			return err
		}
		b.table(fmt.Sprintf(c.title, readme.Thousands(c.tags)), rows)
	}
	return nil
}

// A row is what one client took.
type row struct {
	client
	measure.Result
	complete              bool
	requests, connections int
}

// measure lets each client list from a server, one after the other and some
// times, and keeps of each the run of median time.
func (b *bench) measure(h http.Handler, delay time.Duration, tags int, clients []client, times int) ([]row, error) {
	s := serve(h, delay)
	defer s.Close()
	runs := make([][]row, len(clients))
	for range times {
		for i, c := range clients {
			s.counts()
			var stdout, stderr bytes.Buffer
			args := append(slices.Clone(c.args[1:]), s.host, repository)
			ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
			cmd := exec.CommandContext(ctx, filepath.Join(b.bin, c.args[0]), args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+b.bin) // nobody's credentials
			r := row{client: c}
			err := cmd.Run()
			cancel()
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", c.name, err, stderr.String())
			}
			if err := json.Unmarshal(stdout.Bytes(), &r.Result); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			r.Failed = strings.ReplaceAll(r.Failed, s.URL, "") // another in each run
			r.requests, r.connections = s.counts()
			r.complete = r.Failed == "" && r.Tags == tags
			runs[i] = append(runs[i], r)
		}
	}
	var rows []row
	for _, rs := range runs {
		slices.SortFunc(rs, func(a, b row) int { return cmp.Compare(a.Wall, b.Wall) })
		rows = append(rows, rs[len(rs)/2])
	}
	return rows, nil
}

// table prints rows as Markdown does it.
func (b *bench) table(title string, rows []row) {
	_, _ = fmt.Fprintf(b.out, "\n## %s\n\n| client | complete | time | CPU | requests | connections | allocations | peak memory |\n|---|---|--:|--:|--:|--:|--:|--:|\n", title)
	for _, r := range rows {
		complete := "yes"
		switch {
		case r.Failed != "":
			complete = "error: " + strings.ReplaceAll(r.Failed[:min(160, len(r.Failed))], "|", "/")
		case !r.complete:
			complete = fmt.Sprintf("**%d tags**", r.Tags)
		}
		_, _ = fmt.Fprintf(b.out, "| %s | %s | %v | %v | %d | %d | %d | %.1f MiB |\n", r.name, complete,
			r.Wall.Round(100*time.Microsecond), r.CPU.Round(time.Millisecond), r.requests, r.connections, r.Allocs, float64(r.Peak)/(1<<20))
	}
}
