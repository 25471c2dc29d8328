package main

import (
	"io"
	"os"
	"strconv"
)

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool { return mode(w)&os.ModeCharDevice != 0 }

// isDumb reports whether a terminal can do no more than print.
func isDumb() bool { return os.Getenv("TERM") == "dumb" }

// isSameTerminal reports whether two are the same one.
func isSameTerminal(a, b io.Writer) bool {
	if !isTerminal(a) || !isTerminal(b) {
		return false
	}
	one, err := a.(*os.File).Stat()
	if err != nil {
		return true
	}
	other, err := b.(*os.File).Stat()
	return err != nil || os.SameFile(one, other)
}

// columns returns the width of a terminal.
func columns(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if n := terminalColumns(file); n > 0 {
			return n
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 80
}

// mode returns the mode of a file other than the null device. For anything else it
// returns that of a pipe.
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

// colours are those of a terminal (ECMA-48 SGR), or none.
type colours bool

// coloursOf follows https://no-color.org.
func coloursOf(w io.Writer) colours {
	return colours(isTerminal(w) && !isDumb() && os.Getenv("NO_COLOR") == "")
}

func (c colours) red(text string) string { return c.in("31", text) }

func (c colours) faint(text string) string { return c.in("2", text) }

func (c colours) in(code, text string) string {
	if !c {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
