package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A printer writes tags as the flags want them, and sees to it that they are
// out soon: in a pipe by the page, on a terminal by the line.
type printer struct {
	w       *bufio.Writer
	json    bool
	only    bool // the count
	full    bool // with the repository
	several bool // lists

	repository string
	n          int       // tags of it
	due        time.Time // when what is buffered has to go out
	err        error     // of writing
}

func newPrinter(w io.Writer, o options) *printer {
	return &printer{w: bufio.NewWriterSize(w, 64<<10), json: o.json, only: o.count, full: o.fullRef || o.several(), several: o.several()}
}

// A record is a line of -json. One that says "complete" is the last of a repository,
// and only where it is true all tags have come.
type record struct {
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Complete   *bool  `json:"complete,omitempty"`
	Tags       *int   `json:"tags,omitempty"`
	Limited    bool   `json:"limited,omitempty"` // by -limit
	Error      string `json:"error,omitempty"`
}

// begin begins a list.
func (p *printer) begin(repository string) { p.repository, p.n = repository, 0 }

func (p *printer) tag(tag string) error {
	p.n++
	switch {
	case p.only:
		return nil
	case p.json:
		p.record(record{Tag: tag})
	case p.full:
		p.line(p.repository + ":" + tag)
	default:
		p.line(tag)
	}
	if now := time.Now(); now.After(p.due) {
		p.due = now.Add(100 * time.Millisecond)
		return p.flush()
	}
	return p.err
}

func (p *printer) line(text string) {
	if _, err := p.w.WriteString(text + "\n"); err != nil {
		p.err = err
	}
}

func (p *printer) record(r record) {
	if p.full {
		r.Repository = p.repository
	}
	text, err := json.Marshal(r)
	if err != nil {
		p.err = err
		return
	}
	p.line(string(text))
}

// complete ends a list of which all tags have come.
func (p *printer) complete() error {
	switch yes := true; {
	case p.json:
		p.record(record{Complete: &yes, Tags: &p.n})
	case p.only && p.several:
		p.line(fmt.Sprintf("%d %s", p.n, p.repository))
	case p.only:
		p.line(strconv.Itoa(p.n))
	}
	return p.flush()
}

// limited ends a list of which as many tags have come as were wanted.
func (p *printer) limited() error {
	if no := false; p.json {
		p.record(record{Complete: &no, Tags: &p.n, Limited: true})
	}
	return p.flush()
}

// failed ends a list that is not complete.
func (p *printer) failed(err error) error {
	if no := false; p.json {
		p.record(record{Complete: &no, Error: err.Error()})
	}
	return p.flush()
}

func (p *printer) flush() error {
	if err := p.w.Flush(); err != nil {
		p.err = err
	}
	return p.err
}
