// Command ocitags lists all tags of a repository in an OCI registry.
//
//	ocitags [flags] REFERENCE
//
// It prints one tag a line, as they come, in the registry's order. Progress
// goes to standard error when that is a terminal and the tags go to a file. The
// exit status is 0 when the list is complete, 1 when it is not, whatever was
// printed, and 2 for wrong usage. -h lists the flags.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/ocitags/ocitags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second one ends it even where nobody reads what it writes
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of Write, after which there is still to be cleaned up
	var stdout io.Writer = os.Stdout
	if isClosed(os.Stdout) {
		stdout = closedOutput{}
	}
	os.Exit(run(ctx, os.Args[1:], stdout, os.Stderr))
}

// closedOutput is a standard output that is closed.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) {
	return 0, errors.New("standard output is closed; to print nothing, write >/dev/null")
}

const usage = `usage: ocitags [flags] REFERENCE

Lists all tags of a repository: ubuntu, ghcr.io/org/name, localhost:5000/a.
Exit status: 0 all tags were printed, 1 something failed, 2 wrong usage.

`

// options are the flags.
type options struct {
	json, count, verbose bool
	concurrency, n       int
	plainHTTP, anonymous bool
	timeout              time.Duration
	demo, version        bool
	ref                  string
}

// parse reads the arguments. It has told the user what is wrong with them when
// it returns an error.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("ocitags", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = io.WriteString(stderr, usage)
		flags.PrintDefaults()
	}
	flags.BoolVar(&o.json, "json", false, `print a JSON object a line: {"tag":…}, and {"complete":…} last`)
	flags.BoolVar(&o.count, "count", false, "print only how many tags there are")
	flags.BoolVar(&o.verbose, "v", false, "tell of each request, each repair, and why the list is complete")
	flags.IntVar(&o.concurrency, "c", 0, "requests in flight; 0: 4, and up to 16 in long lists")
	flags.IntVar(&o.n, "n", 0, "tags a page; 0: chosen and adapted, below 0: the registry's own")
	flags.BoolVar(&o.plainHTTP, "plain-http", false, "ask by http; loopback hosts are anyway")
	flags.BoolVar(&o.anonymous, "anonymous", false, "do not look for credentials")
	flags.DurationVar(&o.timeout, "timeout", 0, "give up after this time, such as 30s; 0: never")
	flags.BoolVar(&o.demo, "demo", false, "list from registries that it starts itself, and needs no network for")
	flags.BoolVar(&o.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	wrong := func(format string, args ...any) error {
		err := fmt.Errorf(format, args...)
		_, _ = fmt.Fprintln(stderr, "ocitags:", err)
		flags.Usage()
		return err
	}
	switch {
	case (o.demo || o.version) && flags.NArg() > 0:
		return o, wrong("-demo and -version take no reference")
	case !o.demo && !o.version && flags.NArg() != 1:
		return o, wrong("one reference is needed, not %d", flags.NArg())
	case o.concurrency < 0:
		return o, wrong("-c %d: not below 0", o.concurrency)
	case o.timeout < 0:
		return o, wrong("-timeout %v: not below 0", o.timeout)
	}
	o.ref = flags.Arg(0)
	return o, nil
}

// run is the command, and returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("-timeout %v is over", o.timeout))
		defer cancel()
	}
	switch {
	case o.version:
		err = printVersion(stdout)
	case o.demo:
		err = demo(ctx, stdout)
	default:
		err = list(ctx, o, stdout, stderr)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ocitags.ErrInvalidReference):
		_, _ = fmt.Fprintln(stderr, "ocitags:", err)
		return 2
	case errors.Is(err, syscall.EPIPE): // ocitags … | head: whoever reads has enough
		return 1
	default:
		_, _ = fmt.Fprintln(stderr, "ocitags:", err)
		return 1
	}
}

func printVersion(stdout io.Writer) error {
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(stdout, "ocitags", version, runtime.Version())
	return err
}

// list prints the tags of o.ref.
func list(ctx context.Context, o options, stdout, stderr io.Writer) error {
	client := &ocitags.Client{PageSize: o.n, Concurrency: o.concurrency}
	if o.anonymous {
		client.Credentials = ocitags.Anonymous
	}
	if o.plainHTTP {
		client.PlainHTTP = func(string) bool { return true }
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	progress := &progress{}
	if showsProgress(o, stdout, stderr) {
		progress = newProgress(stderr)
	}
	defer progress.clear()
	client.Logger = slog.New(story{progress.under(stderr), level})
	client.OnPage = progress.page

	out := newPrinter(stdout, o)
	for tag, err := range client.Tags(ctx, o.ref) {
		if err != nil {
			progress.clear()
			return errors.Join(err, out.flush()) // what has come so far is printed, too
		}
		if err := out.tag(tag); err != nil {
			return err
		}
	}
	progress.clear()
	return out.complete()
}

// A printer writes tags as the flags want them, and sees to it that they are
// out soon: in a pipe by the page, on a terminal by the line.
type printer struct {
	w    *bufio.Writer
	json bool
	only bool // the count
	n    int
	due  time.Time // when what is buffered has to go out
}

func newPrinter(w io.Writer, o options) *printer {
	return &printer{w: bufio.NewWriterSize(w, 64<<10), json: o.json, only: o.count}
}

// The records of -json, one a line. The last one is the only that says
// complete; a list without it is not all.
type (
	tagRecord struct {
		Tag string `json:"tag"`
	}
	completeRecord struct {
		Complete bool `json:"complete"`
		Tags     int  `json:"tags"`
	}
)

func (p *printer) tag(tag string) error {
	p.n++
	if p.only {
		return nil
	}
	line := tag
	if p.json {
		text, err := json.Marshal(tagRecord{tag})
		if err != nil {
			return err
		}
		line = string(text)
	}
	if _, err := p.w.WriteString(line + "\n"); err != nil {
		return err
	}
	if now := time.Now(); now.After(p.due) {
		p.due = now.Add(100 * time.Millisecond)
		return p.w.Flush()
	}
	return nil
}

func (p *printer) complete() error {
	switch {
	case p.json:
		text, err := json.Marshal(completeRecord{true, p.n})
		if err != nil {
			return err
		}
		_, _ = p.w.WriteString(string(text) + "\n")
	case p.only:
		_, _ = fmt.Fprintln(p.w, p.n)
	}
	return p.flush()
}

func (p *printer) flush() error { return p.w.Flush() }
