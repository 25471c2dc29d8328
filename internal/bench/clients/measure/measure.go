// Package measure is what the clients of the benchmark have in common: each is
// a program that lists one repository and says what that took.
package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A Result is what one listing took.
type Result struct {
	Tags   int           // that came
	Failed string        // the error, "" for none
	Wall   time.Duration // of the listing alone
	CPU    time.Duration // of the process, user and system
	Allocs uint64        // of the listing, in number
	Peak   int64         // resident memory of the process at its most, in bytes
}

// Main lists the repository that the arguments name, and prints the Result as
// JSON on standard output.
func Main(list func(ctx context.Context, host, repository string) (tags int, err error)) {
	host, repository := os.Args[len(os.Args)-2], os.Args[len(os.Args)-1]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	tags, err := list(context.Background(), host, repository)
	r := Result{Tags: tags, Wall: time.Since(began)}
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
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
}

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
