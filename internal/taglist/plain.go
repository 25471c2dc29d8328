package taglist

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// plain reads the array as long as it is what nearly all arrays are to their
// end: tags in quotes, without escapes, with a comma and no space between them.
// That needs no more than to look for the first byte after each that no tag has,
// which is more than twice as fast as jsontext. It leaves the last element, and
// all from the first one on that is anything else, to jsontext, which goes on as
// if it had read the body up to there.
func (d *decoder) plain() error {
	if len(d.names) > maxNames {
		return nil
	}
	buf := buffers.Get().(*[plainBuffer]byte)
	defer buffers.Put(buf)
	d.in.consumed = func() int64 { return d.in.read } // it holds no more than buf
	const longest = len(`"",`) + MaxTag + 8           // an element with its comma, and a word more
	start, from, to := 0, 0, copy(buf[:], d.dec.UnreadBuffer())
	rest := d.dec.UnreadBuffer()[to:] // what the buffer has no room for
	for {
		var before []byte
		for {
			n := element(buf[from:to], before)
			if n == 0 {
				break
			}
			d.passed++
			d.sum.Entries++
			before = buf[from : from+n]
			from += n
			d.ends = append(d.ends, from-start)
			if from-start >= BatchBytes {
				if err := d.hand(buf[start:from]); err != nil {
					return err
				}
				start = from
			}
		}
		if to-from >= longest || len(rest) > 0 {
			break // there is an element, and it is another one
		}
		if len(buf)-to < plainBuffer/4 {
			from, to, start = from-start, copy(buf[:], buf[start:to]), 0
		}
		n, err := d.in.Read(buf[to:])
		to += n
		if err != nil { // jsontext meets it again
			break
		}
	}
	if err := d.hand(buf[start:from]); err != nil {
		return err
	}
	d.resume(append(bytes.Clone(buf[from:to]), rest...))
	return nil
}

// hand hands out the tags of some plain elements, cut from one string, of which d.ends has
// the ends.
func (d *decoder) hand(elements []byte) error {
	if len(d.ends) == 0 {
		return nil
	}
	all, from := string(elements), 0
	d.waiting = slices.Grow(d.waiting[:0], len(d.ends))
	for _, to := range d.ends {
		d.waiting = append(d.waiting, all[from+len(`"`):to-len(`",`)])
		from = to
	}
	d.ends = d.ends[:0]
	return d.h.Tags(d.waiting)
}

const (
	// maxNames is after how many other members the array is left to jsontext.
	maxNames = 16

	plainBuffer = 64 << 10
)

var buffers = sync.Pool{New: func() any { return new([plainBuffer]byte) }}

// element returns the length of the plain element that b begins with, with its comma. It
// returns 0 if b begins with another element, or ends too early to tell. before is the plain
// element before it: in a sorted list both begin alike, and what is alike needs no second check.
func element(b, before []byte) int {
	i, alike := 0, min(len(b), len(before)-len(`",`))
	for i+8 <= alike && binary.LittleEndian.Uint64(b[i:]) == binary.LittleEndian.Uint64(before[i:]) {
		i += 8
	}
	if i == 0 {
		if len(b) < 2 || b[0] != '"' || b[1] == '.' || b[1] == '-' {
			return 0
		}
		i = 1
	}
	for {
		if i+8 > len(b) || i > len(`"`)+MaxTag {
			return 0
		}
		if others := notOfTags(binary.LittleEndian.Uint64(b[i:])); others != 0 {
			i += bits.TrailingZeros64(others) / 8
			break
		}
		i += 8
	}
	if i == 1 || i > len(`"`)+MaxTag || i+1 >= len(b) || b[i] != '"' || b[i+1] != ',' {
		return 0
	}
	return i + len(`",`)
}

// notOfTags returns a word whose lowest bit is in the first of the eight bytes of x, from
// the lowest on, that is not the character of a tag. It is 0 if all are.
//
// A constant is added to each byte, so that its high bit shows whether the byte is at least
// a certain character. From the first byte that is not ASCII on, the sums may be wrong.
func notOfTags(x uint64) uint64 {
	const each, high = 0x0101010101010101, 0x80 * 0x0101010101010101
	lower := x | 0x20*each // upper case as lower case, and others that are no letters as others
	letters := (lower + (0x80-'a')*each) &^ (lower + (0x7f-'z')*each)
	fromDashTo9 := (x + (0x80-'-')*each) &^ (x + (0x7f-'9')*each)
	notSlash := (x ^ '/'*each) + 0x7f*each
	notLine := (x ^ '_'*each) + 0x7f*each
	return (x | ^(letters | fromDashTo9&notSlash | ^notLine)) & high
}

// resume lets jsontext go on with an element of the array, of which ahead has
// been read.
func (d *decoder) resume(ahead []byte) {
	var start strings.Builder
	start.WriteByte('{')
	for i, name := range d.names {
		if i > 0 {
			start.WriteString("null,")
		}
		quoted, _ := jsontext.AppendQuote(nil, name) // it came from jsontext
		start.Write(quoted)
		start.WriteByte(':')
	}
	start.WriteByte('[')
	tokens := 2*len(d.names) + 1
	if d.passed > 0 {
		start.WriteString("null,") // the comma has been read
		tokens++
	}
	d.continueFrom(io.MultiReader(strings.NewReader(start.String()), bytes.NewReader(ahead), d.in), int64(start.Len()+len(ahead)))
	for range tokens {
		_, _ = d.dec.ReadToken() // they are ours
	}
}

// continueFrom reads from r, of whose bytes the first ones did not come from the
// input just now.
func (d *decoder) continueFrom(r io.Reader, first int64) {
	read := d.in.read
	d.moved = read - first
	dec := jsontext.NewDecoder(r)
	d.dec, d.in.consumed = dec, func() int64 { return dec.InputOffset() + read - first }
}

// located corrects where an error is, after resume.
func (d *decoder) located(err jsontext.SyntacticError) *jsontext.SyntacticError {
	err.ByteOffset += d.moved
	if at, ok := strings.CutPrefix(string(err.JSONPointer), "/tags/"); ok && d.passed > 0 {
		index, below, deep := strings.Cut(at, "/")
		if i, perr := strconv.Atoi(index); perr == nil {
			at = strconv.Itoa(i + d.passed - 1)
			if deep {
				at += "/" + below
			}
			err.JSONPointer = jsontext.Pointer("/tags/" + at)
		}
	}
	return &err
}
