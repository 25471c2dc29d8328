// Package measure is what the clients of the benchmark have in common: each is
// a program that lists one repository and says what that took.
package measure

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A Result is what one listing took.
type Result struct {
	Tags   int           // that came, or entries that are none
	Each   int           // of them, that are tags, each counted once
	Failed string        // the error, "" for none
	Wall   time.Duration // of the listing alone
	CPU    time.Duration // of the process, user and system
	Allocs uint64        // of the listing, in number
	Peak   int64         // resident memory of the process at its most, in bytes
}

// Main lists the repository that the arguments name, and prints the Result as
// JSON on standard output. The tags may be nil where they are not kept.
func Main(list func(ctx context.Context, host, repository string) (tags []string, n int, err error)) {
	flag.Parse()
	host, repository := flag.Arg(0), flag.Arg(1)
	if *again {
		if _, _, err := list(context.Background(), host, repository); err != nil {
			panic(err)
		}
		resp, err := http.Get("http://" + host + Forget)
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	tags, n, err := all(list, host, repository)
	r := Result{Tags: n, Wall: time.Since(began)}
	runtime.ReadMemStats(&after)
	r.Allocs = after.Mallocs - before.Mallocs
	if err != nil {
		r.Failed = err.Error()
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		r.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	r.Peak = peak()
	seen := make(map[string]bool)
	for _, tag := range tags {
		if grammar.MatchString(tag) && !seen[tag] {
			seen[tag] = true
			r.Each++
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
}

// Forget is where a server is asked to count anew.
const Forget = "/bench/forget"

var again = flag.Bool("again", false, "list twice, and measure the second time")

var many = flag.Int("many", 0, "list from so many repositories, below the one of the arguments")

// all lists from one repository, or from many, one after the other.
func all(list func(ctx context.Context, host, repository string) ([]string, int, error), host, repository string) (tags []string, n int, err error) {
	ctx := context.Background()
	if *many == 0 {
		return list(ctx, host, repository)
	}
	for i := range *many {
		_, more, err := list(ctx, host, fmt.Sprintf("%s/%d", repository, i))
		if n += more; err != nil {
			return nil, n, err
		}
	}
	return nil, n, nil
}

// grammar is that of tags (distribution-spec v1.1.1, "Pulling manifests").
var grammar = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// peak reads what Linux knows of this process alone; ru_maxrss would have that
// of the one which started it in it. Elsewhere it is 0.
func peak() (bytes int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	if _, line, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(line, &bytes)
	}
	return bytes << 10
}
