package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ocitags/ocitags"
)

// A progress is a line on a terminal that says how far a listing is, and that
// it lives. Elsewhere it is nothing.
type progress struct {
	w    io.Writer // nil: nowhere
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	began time.Time
	pages int
	tags  int
	shown bool
}

const (
	// progressDelay is how long nothing is shown: what is over by then needs
	// none.
	progressDelay = 300 * time.Millisecond

	// progressTick is how often the line is drawn. More would flicker.
	progressTick = 200 * time.Millisecond

	// clearLine empties the line from here on (ECMA-48 EL).
	clearLine = "\x1b[K"
)

// showsProgress says whether there is a terminal for progress, and no tags on
// their way to the same one: stdout may be a file, but not a terminal, nor a
// pipe, whose other end may well be this terminal. A count is printed last, and
// in nobody's way.
func showsProgress(o options, stdout, stderr io.Writer) bool {
	if o.verbose || mode(stderr)&os.ModeCharDevice == 0 {
		return false
	}
	return o.count || mode(stdout)&(os.ModeCharDevice|os.ModeNamedPipe|os.ModeSocket) == 0
}

// mode is that of a file which is not the null device; of anything else it is a
// pipe's.
func mode(w io.Writer) os.FileMode {
	file, ok := w.(*os.File)
	if !ok {
		return os.ModeNamedPipe
	}
	info, err := file.Stat()
	if err != nil {
		return os.ModeNamedPipe
	}
	if file.Name() == os.DevNull {
		return 0
	}
	return info.Mode()
}

// newProgress draws on w, until clear.
func newProgress(w io.Writer) *progress {
	p := &progress{w: w, began: time.Now(), stop: make(chan struct{})}
	p.done.Go(func() {
		ticker := time.NewTicker(progressTick)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.draw()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// page takes note of a page that came.
func (p *progress) page(page ocitags.Page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages, p.tags = page.Number, page.Total
}

// draw writes over what is on the line, and then clears its rest: cleared first,
// it would flicker. It is short, as a line that wraps cannot be written over.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := time.Since(p.began); took >= progressDelay {
		p.shown = true
		_, _ = fmt.Fprintf(p.w, "\r%d tags, page %d, %v"+clearLine, p.tags, p.pages, took.Truncate(time.Second))
	}
}

// wipe takes the line off.
func (p *progress) wipe() {
	if p.shown {
		p.shown = false
		_, _ = io.WriteString(p.w, "\r"+clearLine)
	}
}

// clear ends the progress, and leaves nothing of it.
func (p *progress) clear() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.done.Wait()
	p.stop = nil
	p.wipe()
}

// under is w for lines that are not to mix with the progress.
func (p *progress) under(w io.Writer) io.Writer { return cleared{p, w} }

type cleared struct {
	p *progress
	w io.Writer
}

func (c cleared) Write(b []byte) (int, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.wipe()
	return c.w.Write(b)
}
