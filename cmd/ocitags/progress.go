package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ocitags/ocitags"
)

// A progress is a line on a terminal that says how far a listing is. Elsewhere
// it is nothing.
type progress struct {
	w     io.Writer // nil: nowhere
	shown bool
	next  time.Time // not before
}

// newProgress shows progress on stderr if that is a terminal; not if stdout is
// one too, where the tags themselves are seen to come.
func newProgress(stdout, stderr io.Writer) *progress {
	if isTerminal(stderr) && !isTerminal(stdout) {
		return &progress{w: stderr}
	}
	return &progress{}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}

// clearLine returns to the start of the line and empties it (ECMA-48 EL).
const clearLine = "\r\x1b[K"

// page shows a page that came, a few times a second: more would flicker.
func (p *progress) page(page ocitags.Page) {
	now := time.Now()
	if p.w == nil || now.Before(p.next) {
		return
	}
	p.next = now.Add(100 * time.Millisecond)
	p.shown = true
	_, _ = fmt.Fprintf(p.w, "%s%s: page %d, %d tags", clearLine, page.Repository, page.Number, page.Total)
}

func (p *progress) clear() {
	if p.shown {
		p.shown = false
		_, _ = io.WriteString(p.w, clearLine)
	}
}

// under is w for lines that are not to mix with the progress.
func (p *progress) under(w io.Writer) io.Writer { return cleared{p, w} }

type cleared struct {
	p *progress
	w io.Writer
}

func (c cleared) Write(b []byte) (int, error) {
	c.p.clear()
	return c.w.Write(b)
}
