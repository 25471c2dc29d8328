// Package taglist decodes the body of a tag list as it streams.
//
// It reads the answer of GET /v2/<name>/tags/list (distribution-spec v1.1.1,
// "Listing Tags") and the JSON pages of quay's own API, which differ only in
// what stands in the array. It is as strict as RFC 8259 and I-JSON (RFC 7493)
// allow: a body that two parsers could read differently is an error.
package taglist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxDepth bounds the nesting of values that are skipped. Google's
	// "manifest" maps, the deepest seen, have 4 levels.
	MaxDepth = 64

	// MaxValue bounds what the decoder must hold at once, one string or
	// number. A tag has at most 128 bytes; the rest is for values to skip.
	MaxValue = 1 << 20

	// MaxTag is how many bytes a tag may have.
	MaxTag = 128
)

// BatchBytes is how many bytes of tags are cut from one string: a tag that is kept keeps at
// most this much alive. It is a variable for tests, whose pages are shorter.
var BatchBytes = 16 << 10

// ErrTooLarge is wrapped by the errors about a value or a nesting beyond the
// bounds of this package.
var ErrTooLarge = errors.New("over a bound")

// An Error says why a body is not a tag list, and what was found instead.
type Error struct {
	Found  string // for people: foreign text in it is quoted and capped
	Markup bool   // it was HTML or XML
	Err    error  // what the JSON decoder said, if it was that
}

func (e *Error) Error() string { return e.Found }
func (e *Error) Unwrap() error { return e.Err }

// A Reason tells why an element of "tags" is not handed out.
type Reason int

const (
	Null    Reason = iota // null, as Nexus 3.58 sends
	Empty                 // ""
	Digest                // a digest, as Artifactory mixes in
	Dead                  // a quay entry whose end lies in the past
	Invalid               // outside the grammar for tags
)

func (r Reason) String() string {
	return [...]string{"null", "an empty string", "a digest", "no longer active", "outside the grammar for tags"}[r]
}

// A Handler receives what stands in the array, in its order.
type Handler struct {
	// Tags takes valid tags: those of some 16 KiB of the body, or the rest. The
	// slice is valid during the call. An error ends the decoding and is returned
	// as it is.
	Tags func(tags []string) error

	// Skip receives an element that is not a tag: at most 256 bytes of it,
	// unescaped but otherwise raw. nil: they are only counted.
	Skip func(reason Reason, text string)

	// Now is the server's time, by which quay's end_ts is judged. Zero: every
	// entry is active.
	Now time.Time
}

// A Summary is what else the body said.
type Summary struct {
	Name    string // the "name" field, which proxies get wrong
	Entries int    // elements of "tags", valid or not
	Skipped int    // those that are not tags
	More    *bool  // quay's "has_additional"; nil: not there
	Page    string // quay's "page", as it was written; "": not there
	Tail    string // the last element, if it is not a tag but a string that could be a cursor; "": it is not
}

// HasMore reports whether the body said that there is more.
func (s *Summary) HasMore() bool { return s.More != nil && *s.More }

// Decode reads one tag list from r, to the end of r. The tags that it hands
// out before an error are good, but then they are not all.
//
// Errors are an *Error where the body is not a tag list (one that ends too
// early also wraps io.ErrUnexpectedEOF), ErrTooLarge, what h.Tags returned, or
// what r returned.
func Decode(r io.Reader, h Handler) (Summary, error) { return decodeList(r, h, true) }

// decodeList is Decode. plainly allows it to use plain, which changes its speed only.
func decodeList(r io.Reader, h Handler, plainly bool) (Summary, error) {
	d := decoder{in: &input{r: r}, h: h, plainly: plainly}
	d.continueFrom(d.in, 0)
	err := d.body()
	if ferr := d.flush(); ferr != nil {
		return d.sum, ferr // the consumer's word goes first
	}
	return d.sum, err
}

// input counts what the decoder took in, and refuses to let one value grow
// beyond MaxValue: jsontext itself buffers a value whatever its length.
type input struct {
	r        io.Reader
	consumed func() int64
	read     int64
	head     []byte // the first bytes, to say what was found
	err      error
}

func (in *input) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	if in.read-in.consumed() > MaxValue {
		in.err = fmt.Errorf("one JSON value of more than %d bytes: %w", MaxValue, ErrTooLarge)
		return 0, in.err
	}
	n, err := in.r.Read(p)
	if room := 64 - len(in.head); room > 0 {
		in.head = append(in.head, p[:min(n, room)]...)
	}
	in.read += int64(n)
	if err != nil && err != io.EOF {
		in.err = err
	}
	return n, err
}

type decoder struct {
	dec *jsontext.Decoder
	in  *input
	h   Handler
	sum Summary

	plainly bool
	names   []string // of the members before the array
	passed  int      // entries that plain has read
	moved   int64    // how far dec's offsets are behind those of the body

	batch   strings.Builder // the bytes of the tags that wait
	ends    []int           // where in batch each of them ends
	waiting []string        // they themselves, when they are handed out
	scratch []byte          // an unescaped string
}

// body reads the whole answer: one object with "tags", and nothing after it.
func (d *decoder) body() error {
	if kind := d.dec.PeekKind(); kind != '{' {
		return d.notAnObject(kind)
	}
	var tags bool
	var refusal, complaint string
	err := d.object(func(name string) (err error) {
		if !tags {
			d.names = append(d.names, name)
		}
		switch name {
		case "tags":
			tags = true
			err = d.tags()
		case "name":
			d.sum.Name, err = d.text()
		case "has_additional":
			err = d.more()
		case "page":
			d.sum.Page, err = d.scalar()
		case "errors":
			refusal, err = d.refusal()
		case "error", "message":
			var text string
			if text, err = d.refusal(); text != "" && text != Quote(`""`) && complaint == "" {
				complaint = name + " " + text
			}
		default:
			if strings.EqualFold(name, "tags") {
				return &Error{Found: "found " + Quote(name) + ", which some take for tags"}
			}
			err = d.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	switch _, err := d.dec.ReadToken(); {
	case err == nil:
		return &Error{Found: "found more after the end of the JSON object"}
	case err != io.EOF:
		return d.syntax(err)
	case refusal != "":
		return &Error{Found: "found an error body: " + refusal}
	case complaint != "" && d.sum.Entries == 0:
		return &Error{Found: "found no tags, and " + complaint}
	case !tags:
		return &Error{Found: `found a JSON object without "tags"`}
	}
	return nil
}

// notAnObject says what stands where the object should begin.
func (d *decoder) notAnObject(kind jsontext.Kind) error {
	head := bytes.TrimLeft(d.in.head, " \t\r\n")
	switch {
	case d.in.err != nil:
		return d.in.err
	case len(head) == 0:
		return &Error{Found: "found an empty body"}
	case head[0] == '<':
		return &Error{Found: "found markup (HTML or XML): " + Quote(string(head)), Markup: true}
	case kind == '[':
		return &Error{Found: "found a JSON array"}
	case kind == 'n', kind == 't', kind == 'f', kind == '"', kind == '0':
		return &Error{Found: "found the JSON value " + Quote(string(head))}
	default:
		return &Error{Found: "found no JSON: " + Quote(string(head))}
	}
}

// syntax turns what the JSON decoder says into an error of this package.
func (d *decoder) syntax(err error) error {
	switch {
	case d.in.err != nil:
		return d.in.err
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return &Error{Found: fmt.Sprintf("the body ends early, after %d bytes", d.in.read), Err: io.ErrUnexpectedEOF}
	default:
		if found, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			err = d.located(*found)
		}
		// jsontext quotes the pointer and the offending character itself, but
		// a pointer can be as long as the names in it.
		return &Error{Found: "found bad JSON: " + Quote(err.Error()), Err: err}
	}
}

// tags reads the array. null is an empty one (GitLab, distribution up to
// 3.1.1, cuelabs).
func (d *decoder) tags() error {
	switch d.dec.PeekKind() {
	case 'n', '[':
	case 0:
		return d.skip() // bad syntax: let the decoder say it
	default:
		return &Error{Found: `found "tags" that is neither an array nor null`}
	}
	tok, err := d.dec.ReadToken()
	if err != nil {
		return d.syntax(err)
	}
	if tok.Kind() == 'n' {
		return nil
	}
	if d.plainly {
		if err := d.plain(); err != nil {
			return err
		}
	}
	for {
		switch kind := d.dec.PeekKind(); kind {
		case ']':
			_, err := d.dec.ReadToken()
			return err
		case '"':
			err = d.tag()
		case 'n':
			if _, err := d.dec.ReadToken(); err != nil {
				return d.syntax(err)
			}
			d.count(Null, nil)
		case '{':
			err = d.entry()
		default:
			if kind == 0 { // bad syntax: let the decoder say it
				return d.skip()
			}
			return &Error{Found: fmt.Sprintf("found tags[%d] that is not a tag but %s", d.sum.Entries, kindName(kind))}
		}
		if err != nil {
			return err
		}
		d.sum.Entries++
	}
}

// tag reads one string of the array.
func (d *decoder) tag() error {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return d.syntax(err)
	}
	text, err := d.unquote(raw)
	if err != nil {
		return err
	}
	return d.offer(text)
}

// entry reads one object of the array: quay's {"name": …, "end_ts": …}.
func (d *decoder) entry() error {
	var name []byte
	var end int64
	err := d.object(func(key string) error {
		switch key {
		case "name":
			if d.dec.PeekKind() != '"' {
				return &Error{Found: fmt.Sprintf("found tags[%d] whose name is not a string", d.sum.Entries)}
			}
			raw, err := d.dec.ReadValue()
			if err != nil {
				return d.syntax(err)
			}
			text, err := d.unquote(raw)
			name = append([]byte{}, text...) // the decoder's buffer moves on
			return err
		case "end_ts":
			text, err := d.scalar()
			end, _ = strconv.ParseInt(text, 10, 64) // anything else: no end
			return err
		default:
			return d.skip()
		}
	})
	if err != nil {
		return err
	}
	switch {
	case name == nil:
		return &Error{Found: fmt.Sprintf("found tags[%d] that is an object without a name", d.sum.Entries)}
	case end > 0 && !d.h.Now.IsZero() && end <= d.h.Now.Unix():
		d.count(Dead, name)
		return nil
	}
	return d.offer(name)
}

// object reads an object, and lets field read the value of each name in it.
func (d *decoder) object(field func(name string) error) error {
	if _, err := d.dec.ReadToken(); err != nil { // the opening brace
		return d.syntax(err)
	}
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadToken()
		if err != nil {
			return d.syntax(err)
		}
		if err := field(name.String()); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.syntax(err)
	}
	return nil
}

// offer takes an element's text and queues it if it is a tag.
func (d *decoder) offer(text []byte) error {
	switch d.sum.Tail = ""; {
	case valid(text):
		return d.queue(text)
	case len(text) == 0:
		d.count(Empty, nil)
	case isDigest(text):
		d.count(Digest, text)
	default:
		d.count(Invalid, text)
	}
	return nil
}

// queue appends a tag to those that wait.
func (d *decoder) queue(tag []byte) error {
	d.batch.Write(tag)
	d.ends = append(d.ends, d.batch.Len())
	if d.batch.Len() < BatchBytes {
		return nil
	}
	err := d.flush()
	d.batch.Grow(BatchBytes + MaxTag) // there are many more
	return err
}

// flush hands out the tags that wait, all cut from one string.
func (d *decoder) flush() error {
	if len(d.ends) == 0 {
		return nil
	}
	all, from := d.batch.String(), 0
	d.batch.Reset()
	d.waiting = d.waiting[:0]
	for _, to := range d.ends {
		d.waiting = append(d.waiting, all[from:to])
		from = to
	}
	d.ends = d.ends[:0]
	return d.h.Tags(d.waiting)
}

func (d *decoder) count(reason Reason, text []byte) {
	d.sum.Skipped++
	if d.sum.Tail = ""; len(text) <= MaxTag { // it may serve as a cursor
		d.sum.Tail = string(text)
	}
	if d.h.Skip != nil {
		d.h.Skip(reason, string(text[:min(len(text), 256)]))
	}
}

// more reads quay's has_additional.
func (d *decoder) more() error {
	text, err := d.scalar()
	if err != nil {
		return err
	}
	if text != "true" && text != "false" {
		return &Error{Found: "found has_additional that is not a boolean"}
	}
	more := text == "true"
	d.sum.More = &more
	return nil
}

// refusal reads the errors of an error body, {"errors":[{"code":…,"message":…}]}.
func (d *decoder) refusal() (string, error) {
	if kind := d.dec.PeekKind(); kind == '{' || kind == '[' {
		// Held in memory, so only up to the bound that input sets.
		raw, err := d.dec.ReadValue()
		if err != nil {
			return "", d.syntax(err)
		}
		if text := string(raw); text != "[]" && text != "{}" {
			return Quote(text), nil
		}
		return "", nil
	}
	text, err := d.scalar()
	if text == "null" {
		return "", err
	}
	return Quote(text), err
}

// text reads a string, and skips anything else.
func (d *decoder) text() (string, error) {
	if d.dec.PeekKind() != '"' {
		return "", d.skip()
	}
	raw, err := d.dec.ReadValue()
	if err != nil {
		return "", d.syntax(err)
	}
	b, err := d.unquote(raw)
	return string(b), err
}

// scalar reads a value that is neither object nor array, as it is written.
func (d *decoder) scalar() (string, error) {
	if kind := d.dec.PeekKind(); kind == '{' || kind == '[' {
		return kindName(kind), d.skip()
	}
	raw, err := d.dec.ReadValue()
	if err != nil {
		return "", d.syntax(err)
	}
	return string(raw), nil
}

// skip passes over a value without holding it, but not deeper than MaxDepth.
func (d *decoder) skip() error {
	depth := d.dec.StackDepth()
	for {
		if _, err := d.dec.ReadToken(); err != nil {
			return d.syntax(err)
		}
		switch now := d.dec.StackDepth(); {
		case now > MaxDepth:
			return fmt.Errorf("JSON nested deeper than %d: %w", MaxDepth, ErrTooLarge)
		case now <= depth:
			return nil
		}
	}
}

// unquote returns the text of a JSON string, valid until the next read.
func (d *decoder) unquote(raw jsontext.Value) ([]byte, error) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var err error
	if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], raw); err != nil {
		return nil, d.syntax(err)
	}
	return d.scratch, nil
}

func kindName(kind jsontext.Kind) string {
	switch kind {
	case 't', 'f':
		return "a boolean"
	case '0':
		return "a number"
	case '[':
		return "an array"
	case '{':
		return "an object"
	default:
		return "something else"
	}
}

// Valid reports whether text is a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
// (distribution-spec v1.1.1, "Pulling manifests").
func Valid(text string) bool { return valid([]byte(text)) }

func valid(text []byte) bool {
	if len(text) == 0 || len(text) > MaxTag || text[0] == '.' || text[0] == '-' {
		return false
	}
	for _, c := range text {
		if !tagByte[c] {
			return false
		}
	}
	return true
}

var tagByte = func() (ok [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-" {
		ok[c] = true
	}
	return ok
}()

// isDigest reports whether text has the shape algorithm:hex.
func isDigest(text []byte) bool {
	algorithm, hex, ok := bytes.Cut(text, []byte(":"))
	if !ok || len(algorithm) == 0 || len(hex) < 32 {
		return false
	}
	for _, c := range hex {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// Quote makes foreign text fit for a message: at most 200 bytes of it, in Go's
// quotes, with everything but printable ASCII escaped.
func Quote(text string) string {
	if len(text) > 200 {
		return strconv.QuoteToASCII(text[:200]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
