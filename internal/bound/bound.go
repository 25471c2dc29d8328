// Package bound keeps a server from taking more time or memory than it may.
package bound

import (
	"context"
	"fmt"
	"io"
	"time"
)

// An Error names the bound that was run into.
type Error struct {
	Bound string
	Err   error // context.DeadlineExceeded for a bound of time, else nil
}

func (e *Error) Error() string { return e.Bound }
func (e *Error) Unwrap() error { return e.Err }

// A Watch ends a request during which nothing arrives for Idle, or which
// spends more than Total in waiting for the server. The consumer's own time
// does not count. It is for one goroutine.
type Watch struct {
	Idle, Total time.Duration
	Cancel      context.CancelCauseFunc // of the request's context

	timer    *time.Timer
	spent    time.Duration
	excepted time.Duration // of the Wait that runs
}

// Wait runs f, which waits for the server.
func (w *Watch) Wait(f func()) error {
	began := time.Now()
	if w.timer == nil {
		w.timer = time.AfterFunc(w.Idle, func() { w.Cancel(w.idle()) })
	} else {
		w.timer.Reset(w.Idle)
	}
	defer func() { w.timer.Stop() }()
	w.excepted = 0
	f()
	if w.spent += time.Since(began) - w.excepted; w.spent > w.Total {
		err := &Error{fmt.Sprintf("the server took more than %v over one answer", w.Total), context.DeadlineExceeded}
		w.Cancel(err)
		return err
	}
	return nil
}

// Except runs f, within the function of a Wait, and does not count its time:
// what f waits for is not the server.
func (w *Watch) Except(f func()) {
	began := time.Now()
	w.timer.Stop()
	f()
	w.excepted += time.Since(began)
	w.timer.Reset(w.Idle)
}

func (w *Watch) idle() error {
	return &Error{fmt.Sprintf("the server sent nothing for %v", w.Idle), context.DeadlineExceeded}
}

// A Body is a response body under a Watch, of at most Max bytes.
type Body struct {
	R     io.Reader
	Watch *Watch
	Max   int64

	read int64
}

func (b *Body) Read(p []byte) (n int, err error) {
	werr := b.Watch.Wait(func() { n, err = b.R.Read(p) })
	switch b.read += int64(n); {
	case b.read > b.Max:
		return 0, &Error{Bound: fmt.Sprintf("one answer of more than %d bytes", b.Max)}
	case werr != nil:
		return 0, werr
	}
	return n, err
}

// Ended returns why ctx ended: its error, and the cause where there is another.
func Ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}
