package main

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
)

// A screen is a terminal's line, and what scrolled off it.
type screen struct {
	mu   sync.Mutex
	all  strings.Builder
	line string
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(b)
	for _, part := range strings.SplitAfter(string(b), "\n") {
		s.line += part
		if i := strings.LastIndexByte(s.line, '\r'); i >= 0 {
			s.line = s.line[i+1:]
		}
		if strings.HasSuffix(part, "\n") {
			s.line = ""
		}
	}
	return len(b), nil
}

func (s *screen) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSuffix(s.line, clearLine)
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{}
		p := newProgress(s, false)
		take := func(tags int) {
			for range tags {
				p.tag()
			}
		}
		take(1000)
		p.page(ocitags.Page{Number: 1, Total: 1000})
		time.Sleep(progressDelay - time.Millisecond)
		assert.Empty(t, s.now(), "what is over at once needs none")
		time.Sleep(progressTick)
		assert.Equal(t, "1000 tags, page 1, 0s", s.now())
		time.Sleep(30 * time.Second)
		assert.Equal(t, "1000 tags, page 1, 30s", s.now(), "it shows that it lives")

		_, _ = io.WriteString(p.under(s), "a line\n")
		assert.Empty(t, s.now())
		assert.Contains(t, s.all.String(), "\r"+clearLine+"a line\n", "which stands alone")
		take(19_000)
		p.page(ocitags.Page{Number: 20, Total: 20000})
		time.Sleep(progressTick)
		assert.Equal(t, "20000 tags, page 20, 30s", s.now())
		p.clear()
		assert.Empty(t, s.now())
		p.clear()
		assert.Less(t, strings.Count(s.all.String(), "\r"), 170, "five a second do not flicker")
	})
}

// Progress goes to a terminal, and not where it would mix with tags.
func TestShowsProgress(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there is no /dev/ptmx: ", err)
	}
	defer func() { _ = terminal.Close() }()
	file, err := os.Create(t.TempDir() + "/tags")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer func() { _ = null.Close() }()
	r, pipe, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _ = r.Close(); _ = pipe.Close() }()
	for _, test := range []struct {
		name           string
		o              options
		stdout, stderr io.Writer
		want           bool
	}{
		{"into a file", options{}, file, terminal, true},
		{"to nowhere", options{}, null, terminal, true},
		{"a count", options{count: true}, terminal, terminal, true},
		{"a count into a pipe", options{count: true}, pipe, terminal, true},
		{"tags on the terminal", options{}, terminal, terminal, false},
		{"tags into a pipe", options{}, pipe, terminal, true},
		{"tags into a file of -o", options{output: "x"}, terminal, terminal, true},
		{"with a story", options{verbose: true}, file, terminal, false},
		{"errors into a file", options{}, file, file, false},
		{"errors into a pipe", options{}, file, pipe, false},
		{"errors to nowhere", options{}, file, null, false},
		{"no files", options{}, &strings.Builder{}, &strings.Builder{}, false},
	} {
		assert.Equal(t, test.want, showsProgress(test.o, test.stdout, test.stderr), test.name)
	}
}

// The line says what was handed out, and what was read besides. It is no longer than
// the terminal is wide.
func TestProgressLine(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for want, p := range map[string]*progress{
		"1000 tags, page 2, 3s":                  {tags: 1000, read: 1000, pages: 2},
		"1000 tags, 3000 read ahead, page 4, 3s": {tags: 1000, read: 4000, pages: 4},
		"10 tags of 4000 read, page 4, 3s":       {tags: 10, read: 4000, pages: 4, part: true},
		"1500 tags, page 1, 3s":                  {tags: 1500, read: 1000, pages: 1},
	} {
		p.w = &strings.Builder{}
		assert.Equal(t, want, p.line(3*time.Second))
	}
	t.Setenv("COLUMNS", "12")
	p := &progress{w: &strings.Builder{}, tags: 1000, read: 1000, pages: 2}
	assert.Equal(t, "1000 tags, ", p.line(time.Second))
}
