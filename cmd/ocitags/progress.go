package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ocitags/ocitags"
)

// A progress is a line on a terminal that says how far a listing is, and that
// it lives. Elsewhere it is nothing.
type progress struct {
	w    io.Writer // nil: nowhere
	part bool      // of the list is wanted
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	began time.Time
	pages int // of this list
	tags  int // of this list that were handed out
	read  int // of this list
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

// showsProgress says whether there is a terminal for progress, which can write over a
// line, and no tags on their way to the same one. A count is printed last, and in
// nobody's way.
func showsProgress(o options, stdout, stderr io.Writer) bool {
	if o.verbose || !isTerminal(stderr) || isDumb() {
		return false
	}
	return o.count || o.output != "" || !isSameTerminal(stdout, stderr)
}

// newProgress draws on w, until clear.
func newProgress(w io.Writer, part bool) *progress {
	p := &progress{w: w, part: part, began: time.Now(), stop: make(chan struct{})}
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
	p.pages, p.read = page.Number, page.Total
}

// begin begins another list.
func (p *progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages, p.tags, p.read = 0, 0, 0
}

// tag takes note of a tag that was handed out.
func (p *progress) tag() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags++
}

// line says how far it is: tags that were handed out, and what was read besides.
func (p *progress) line(took time.Duration) string {
	text := fmt.Sprintf("%d tags", p.tags)
	switch {
	case p.part:
		text += fmt.Sprintf(" of %d read", max(p.read, p.tags))
	case p.read > p.tags:
		text += fmt.Sprintf(", %d read ahead", p.read-p.tags)
	}
	text += fmt.Sprintf(", page %d, %v", p.pages, took.Truncate(time.Second))
	return text[:min(len(text), columns(p.w)-1)]
}

// draw writes over what is on the line, and then clears its rest: cleared first,
// it would flicker. It is short, as a line that wraps cannot be written over.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := time.Since(p.began); took >= progressDelay {
		p.shown = true
		_, _ = io.WriteString(p.w, "\r"+p.line(took)+clearLine)
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

// under returns a writer to w for lines that must not mix with the progress.
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
