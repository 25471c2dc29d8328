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

// newProgress shows progress on w if that is a terminal, and if it is wanted.
func newProgress(w io.Writer, wanted bool) *progress {
	if file, ok := w.(*os.File); ok && wanted {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w: w}
		}
	}
	return &progress{}
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
