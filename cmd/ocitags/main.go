// Command ocitags lists all tags of repositories in OCI registries.
//
//	ocitags [flags] REFERENCE...
//
// It prints one tag a line, as they come, in the registry's order; behind the name of
// their repository where there is more than one. The exit status is 0 where each list
// is complete, 1 where one is not, whatever was printed, and 2 for wrong usage. -h
// lists the flags, and docs/command.md describes them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second one ends it even where nobody reads what it writes
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of Write, after which there is still to be cleaned up
	var stdout io.Writer = os.Stdout
	if isClosed(os.Stdout) {
		stdout = closedOutput{}
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdin, stdout, os.Stderr))
}

// closedOutput is a standard output that is closed.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) {
	return 0, errors.New("standard output is closed; to print nothing, write >/dev/null")
}

// inFlags puts what errors say of a Client's fields in terms of the flags.
var inFlags = strings.NewReplacer("set Client.AllowRealm", "use -allow-realm HOST", "to those of Client.Transport", "name it with -cacert FILE")

// The exit statuses.
const (
	complete = 0
	failed   = 1
	misused  = 2
)

// run runs the command, and returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	colours := coloursOf(stderr)
	tell := func(err error) {
		if !errors.Is(err, syscall.EPIPE) { // ocitags … | head: the reader has enough
			_, _ = fmt.Fprintln(stderr, colours.red("ocitags:"), inFlags.Replace(err.Error()))
		}
	}
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		err = printUsage(stdout)
	case err != nil:
		tell(err)
		return misused
	case o.version:
		err = printVersion(stdout)
	case o.man:
		err = printManual(stdout)
	case o.completion != "":
		err = printCompletion(stdout, o.completion)
	default:
		if o.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("-timeout %v has passed", o.timeout))
			defer cancel()
		}
		if !o.demo {
			return list(ctx, o, stdin, stdout, stderr, tell)
		}
		err = demo(ctx, stdout)
	}
	if err != nil {
		tell(err)
		return failed
	}
	return complete
}

func printVersion(stdout io.Writer) error {
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(stdout, "ocitags", version, runtime.Version())
	return err
}
