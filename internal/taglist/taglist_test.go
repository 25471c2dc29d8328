package taglist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decode returns what a body holds.
func decode(r io.Reader, now time.Time) (tags []string, skipped []string, sum Summary, err error) {
	sum, err = Decode(r, Handler{
		Tags: func(batch []string) error { tags = append(tags, batch...); return nil },
		Skip: func(reason Reason, text string) { skipped = append(skipped, reason.String()+": "+text) },
		Now:  now,
	})
	return tags, skipped, sum, err
}

func TestDecode(t *testing.T) {
	yes, no := true, false
	now := time.Unix(1_000_000, 0)
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, test := range []struct {
		name, body string
		tags       []string
		skipped    []string
		more       *bool
	}{
		{name: "as the specification has it", body: `{"name":"a/b","tags":["1","2"]}`, tags: []string{"1", "2"}},
		{name: "empty", body: `{"name":"a/b","tags":[]}`},
		{name: "null, as GitLab", body: `{"name":"a/b","tags":null}`},
		{name: "without a name, spaced", body: " {\n\"tags\" : [ \"1\" ,\t\"2\" ] } \r\n", tags: []string{"1", "2"}},
		{name: "a name that is no string", body: `{"name":{"a":1},"tags":["1"]}`, tags: []string{"1"}},
		{name: "escapes", body: `{"tags":["\u0031\u002e0"]}`, tags: []string{"1.0"}},
		{name: "other fields, as Google", body: `{"child":["x"],"manifest":{"sha256:0":{"tag":["1"],"n":1e3,"x":null}},"tags":["1"]}`, tags: []string{"1"}},
		{name: "null element, as Nexus", body: `{"tags":["1",null,"2"]}`, tags: []string{"1", "2"}, skipped: []string{"null: "}},
		{name: "empty string", body: `{"tags":["1",""]}`, tags: []string{"1"}, skipped: []string{"an empty string: "}},
		{name: "digest, as Artifactory", body: `{"tags":["1","` + digest + `"]}`, tags: []string{"1"}, skipped: []string{"a digest: " + digest}},
		{name: "quay's objects", body: `{"tags":[{"name":"1","start_ts":1,"x":{"y":[]}},{"start_ts":1,"name":"2"}],"page":3,"has_additional":true}`, tags: []string{"1", "2"}, more: &yes},
		{name: "has_additional false", body: `{"has_additional":false,"tags":["1"]}`, tags: []string{"1"}, more: &no},
		{name: "quay's dead", body: `{"tags":[{"name":"old","end_ts":999999},{"name":"late","end_ts":1000001},{"name":"x","end_ts":null}]}`, tags: []string{"late", "x"}, skipped: []string{"no longer active: old"}},
		{name: "errors that are none", body: `{"errors":[],"tags":["1"]}`, tags: []string{"1"}},
		{name: "errors null", body: `{"errors":null,"tags":["1"]}`, tags: []string{"1"}},
		{name: "climbing", body: `{"tags":["../x","1"]}`, tags: []string{"1"}, skipped: []string{"outside the grammar for tags: ../x"}},
		{name: "begins with a dash, as ECR Public", body: `{"tags":["-ot-beta-jmx","1"]}`, tags: []string{"1"}, skipped: []string{"outside the grammar for tags: -ot-beta-jmx"}},
		{name: "control characters", body: `{"tags":["a\r\nb","a\u0000","\u001b[31m","\u202ex","é","a b"]}`, skipped: []string{
			"outside the grammar for tags: a\r\nb", "outside the grammar for tags: a\x00", "outside the grammar for tags: \x1b[31m",
			"outside the grammar for tags: \u202ex", "outside the grammar for tags: é", "outside the grammar for tags: a b",
		}},
		{
			name: "128 and 129 bytes", body: `{"tags":["` + strings.Repeat("a", 128) + `","` + strings.Repeat("b", 129) + `"]}`,
			tags: []string{strings.Repeat("a", 128)}, skipped: []string{"outside the grammar for tags: " + strings.Repeat("b", 129)},
		},
		{
			name: "a long string is not a tag, and is told of briefly", body: `{"tags":["` + strings.Repeat("c", 100_000) + `"]}`,
			skipped: []string{"outside the grammar for tags: " + strings.Repeat("c", 256)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			tags, skipped, sum, err := decode(strings.NewReader(test.body), now)
			require.NoError(t, err)
			assert.Equal(t, test.tags, tags)
			assert.Equal(t, test.skipped, skipped)
			assert.Equal(t, len(tags)+len(skipped), sum.Entries)
			assert.Equal(t, len(skipped), sum.Skipped)
			assert.Equal(t, test.more, sum.More)

			again, _, _, err := decode(iotest.OneByteReader(strings.NewReader(test.body)), now)
			require.NoError(t, err, "one byte at a time")
			assert.Equal(t, tags, again)
		})
	}
}

func TestDecodeSummary(t *testing.T) {
	_, _, sum, err := decode(strings.NewReader(`{"name":"a/b","tags":[{"name":"1"}],"page":7,"has_additional":false}`), time.Time{})
	require.NoError(t, err)
	assert.Equal(t, "a/b", sum.Name)
	assert.Equal(t, "7", sum.Page)

	_, _, sum, err = decode(strings.NewReader(`{"tags":[],"page":"7"}`), time.Time{})
	require.NoError(t, err)
	assert.Equal(t, `"7"`, sum.Page, "a string is told from a number")
}

// What is not a tag list is an error that says what was found instead.
func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ name, body, found string }{
		{"nothing", "", "an empty body"},
		{"spaces", " \n ", "an empty body"},
		{"HTML", "\n<!DOCTYPE html><html>", "markup (HTML or XML)"},
		{"text", "Not Authorized", "no JSON"},
		{"null", "null", "the JSON value \"null\""},
		{"array", `["1"]`, "a JSON array"},
		{"string", `"x"`, "the JSON value"},
		{"number", `12`, "the JSON value"},
		{"empty object", `{}`, `without "tags"`},
		{"TAGS", `{"TAGS":["1"]}`, `found "TAGS", which some take for tags`},
		{"tags and Tags", `{"tags":[],"Tags":["a"]}`, `found "Tags", which some take for tags`},
		{"an error beside no tags", `{"tags":null,"error":"backend timeout"}`, `found no tags, and error "\"backend timeout\""`},
		{"a message beside no tags", `{"message":"rate limited","tags":[]}`, `found no tags, and message`},
		{"error body", `{"errors":[{"code":"DENIED","message":"no\u001b"}]}`, `an error body: "[{\"code\":\"DENIED\"`},
		{"tags and errors", `{"tags":["1"],"errors":[{"code":"DENIED"}]}`, "an error body"},
		{"tags a string", `{"tags":"1"}`, "neither an array nor null"},
		{"tags an object", `{"tags":{"1":1}}`, "neither an array nor null"},
		{"a number", `{"tags":["1",2]}`, "tags[1] that is not a tag but a number"},
		{"a boolean", `{"tags":[true]}`, "tags[0] that is not a tag but a boolean"},
		{"an array", `{"tags":[["1"]]}`, "tags[0] that is not a tag but an array"},
		{"an object without a name", `{"tags":[{"tag":"1"}]}`, "tags[0] that is an object without a name"},
		{"a name that is no string", `{"tags":[{"name":1}]}`, "tags[0] whose name is not a string"},
		{"has_additional a string", `{"tags":[],"has_additional":"true"}`, "has_additional that is not a boolean"},
		{"twice tags", `{"tags":["1"],"tags":["2"]}`, "bad JSON"},
		{"twice a name in an entry", `{"tags":[{"name":"1","name":"2"}]}`, "bad JSON"},
		{"byte order mark", "\ufeff{\"tags\":[]}", "no JSON"},
		{"a second document", `{"tags":["1"]}{"tags":["2"]}`, "more after the end"},
		{"text after", `{"tags":["1"]}x`, "bad JSON"},
		{"not UTF-8", "{\"tags\":[\"\xff\"]}", "bad JSON"},
		{"lone surrogate", `{"tags":["\ud800"]}`, "bad JSON"},
		{"raw control character", "{\"tags\":[\"a\nb\"]}", "bad JSON"},
		{"trailing comma", `{"tags":["1",]}`, "bad JSON"},
		{"missing comma", `{"tags":["1" "2"]}`, "bad JSON"},
		{"single quotes", `{'tags':[]}`, "bad JSON"},
		{"comment", `{"tags":[]/**/}`, "bad JSON"},
		{"ends in a string", `{"tags":["on`, "ends early"},
		{"ends after a string", `{"tags":["one"`, "ends early"},
		{"ends after the array", `{"tags":["one"]`, "ends early"},
		{"ends in a skipped value", `{"manifest":{"a":[1,`, "ends early"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, _, err := decode(strings.NewReader(test.body), time.Time{})
			var not *Error
			require.ErrorAs(t, err, &not)
			assert.Contains(t, err.Error(), test.found)
			assert.NotContains(t, err.Error(), "\x1b")
			assert.Equal(t, strings.Contains(test.found, "ends early"), errors.Is(err, io.ErrUnexpectedEOF))
		})
	}
}

func TestDecodeBounds(t *testing.T) {
	t.Run("nesting", func(t *testing.T) {
		deep := func(n int) string {
			return `{"x":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `,"tags":["1"]}`
		}
		_, _, _, err := decode(strings.NewReader(deep(MaxDepth-1)), time.Time{})
		require.NoError(t, err)
		_, _, _, err = decode(strings.NewReader(deep(MaxDepth)), time.Time{})
		require.ErrorIs(t, err, ErrTooLarge)
		assert.Contains(t, err.Error(), "64")
	})
	t.Run("one string", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader(`{"tags":["`), &endless{'a', 1 << 30})
		_, _, _, err := decode(body, time.Time{})
		require.ErrorIs(t, err, ErrTooLarge)
		assert.Contains(t, err.Error(), "1048576")
	})
	t.Run("spaces", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader(`{"tags":[`), &endless{' ', 1 << 30})
		_, _, _, err := decode(body, time.Time{})
		require.ErrorIs(t, err, ErrTooLarge)
	})
}

// endless is left times the same byte.
type endless struct {
	c    byte
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = e.c
	}
	e.left -= n
	return n, nil
}

func TestDecodePassesErrorsOn(t *testing.T) {
	broken := errors.New("broken pipe")
	tags, _, _, err := decode(io.MultiReader(strings.NewReader(`{"tags":["1","2",`), iotest.ErrReader(broken)), time.Time{})
	require.ErrorIs(t, err, broken)
	assert.Equal(t, []string{"1", "2"}, tags, "those before it are handed out")

	stop := errors.New("stop")
	calls := 0
	_, err = Decode(strings.NewReader(`{"tags":["1","2"]}`), Handler{Tags: func([]string) error { calls++; return stop }})
	require.Equal(t, stop, err)
	assert.Equal(t, 1, calls)
}

// Each byte is judged the same wherever it stands, and whatever stands beside it.
func TestValidBytes(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			for _, other := range []byte("a-_.9Z") {
				tag := bytes.Repeat([]byte{other}, 20)
				tag[0], tag[at] = 'x', byte(c)
				want := tagByte[c] && (at > 0 || c != '.' && c != '-')
				require.Equal(t, want, Valid(string(tag)), "%q", tag)
				length := 0
				if want {
					length = len(tag) + 3
				}
				for _, same := range []int{0, 6, 7, 14, 15, 19, 20} { // as many bytes of the tag before it
					before := append(bytes.Repeat([]byte{'y'}, 24)[:same:same], "yyyyyyyy"...)
					if at >= same {
						copy(before, tag[:same])
						require.Equal(t, length, element(fmt.Appendf(nil, `"%s","next`, tag), fmt.Appendf(nil, `"%s",`, before)), "%q after %q", tag, before)
					}
				}
			}
		}
	}
}

// A plain element is one at every length that a tag may have, and none at others, after
// whichever element.
func TestElement(t *testing.T) {
	for n := range 140 {
		tag := strings.Repeat("a", n)
		want := n + 3
		if n == 0 || n > MaxTag {
			want = 0
		}
		for before := range MaxTag {
			list := fmt.Appendf(nil, `"%s","next"`, tag)
			require.Equal(t, want, element(list, fmt.Appendf(nil, `"%s",`, tag[:min(n, before)])), "%d bytes after %d", n, before)
		}
		for short := range n + 3 {
			require.Zero(t, element(fmt.Appendf(nil, `"%s",`, tag)[:short], nil), "%d bytes of %d", short, n+3)
		}
	}
}

// A decoded tag does not keep more than a batch alive.
func TestDecodeBatches(t *testing.T) {
	var body bytes.Buffer
	body.WriteString(`{"tags":["first"`)
	for i := range 50_000 {
		fmt.Fprintf(&body, `,"tag-%06d"`, i)
	}
	body.WriteString(`]}`)
	left := body.Len()
	r := readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p)
		left -= n
		return n, err
	})
	before := -1
	_, err := Decode(r, Handler{Tags: func([]string) error {
		if before < 0 {
			before = left
		}
		return nil
	}})
	require.NoError(t, err)
	assert.Greater(t, before, 400_000, "the first tag comes long before the body is read")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Whatever is decoded is what encoding/json finds; whatever it refuses is an
// error; and nothing that is not a tag is handed out as one.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"name":"a/b","tags":["1","2"]}`, `{"tags":null}`, `{"tags":[{"name":"x","end_ts":1}],"has_additional":true,"page":1}`,
		`{"tags":["\u0031",null,"","-x"],"manifest":{"a":[1e999,{}]}}`, `{"errors":[{"code":"X"}]}`, `[]`, `{"tags":["\ud800"]}`, "{\"tags\":[\"\xff\"]}",
		`{"tags":[1]}`, `{"tags":["a"],"tags":[]}`, `{"tags":["a"`, ` {"tags" : [ ] } `, `{"":{"":[[[[[]]]]]},"tags":[]}`,
	} {
		f.Add([]byte(body))
	}
	// After the kinds of cases that the JSON parsing test suites collect.
	for _, value := range []string{
		`-0`, `1e999`, `-1E+9999`, `0x1`, `01`, `.5`, `1.`, `+1`, `NaN`, `Infinity`, `tru`, `nul`, `"\x"`, `"\u00"`, `"\uD83D\uDE00"`, `"\ude00"`, "\"\x00\"", "\"\x7f\"",
		`"\/\b\f\n\r\t"`, "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", `[1,]`, `[,1]`, `[1 2]`, `{"a":1,}`, `{"a" 1}`, `{1:1}`, `{"a":1 "b":2}`, `[[[[[[[[[[]]]]]]]]]]`, `["a`, `{"a"`, `//`, `/**/1`, "\u00a01", "\u2028",
	} {
		f.Add([]byte(`{"x":` + value + `,"tags":["a"]}`))
		f.Add([]byte(`{"tags":["a",` + value + `]}`))
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		tags, skipped, sum, err := decode(bytes.NewReader(body), time.Time{})
		for _, tag := range tags {
			require.True(t, Valid(tag), "%q", tag)
		}
		if err != nil {
			return
		}
		require.Equal(t, sum.Entries, len(tags)+len(skipped))
		var doc struct{ Tags []json.RawMessage }
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &fields), "encoding/json refuses this")
		require.NoError(t, json.Unmarshal(fields["tags"], &doc.Tags))
		require.Len(t, doc.Tags, sum.Entries)
		var valid []string
		for _, raw := range doc.Tags {
			var text string
			if json.Unmarshal(raw, &text) != nil {
				var entry map[string]any
				require.NoError(t, json.Unmarshal(raw, &entry))
				text, _ = entry["name"].(string)
			}
			if Valid(text) {
				valid = append(valid, text)
			}
		}
		require.Equal(t, valid, tags)
	})
}

// A long list is bounded by nothing here.
func TestLongList(t *testing.T) {
	const n = 200_000
	body := `{"tags":[` + strings.Repeat(`"zlib-1.3.1-x.spack",`, n-2) + `"last",null]}`
	tags, skipped, sum, err := decode(strings.NewReader(body), time.Time{})
	require.NoError(t, err)
	assert.Len(t, tags, n-1)
	assert.Len(t, skipped, 1)
	assert.Equal(t, n, sum.Entries)
}

// A tag that is kept keeps its batch alive, and nothing else of its list.
func TestTagsPinLittle(t *testing.T) {
	const n = 500_000
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	body := strings.NewReader(`{"tags":[` + strings.Repeat(`"zlib-1.3.1-x.spack",`, n-1) + `"last"]}`)
	before, seen, kept := live(), 0, []string{}
	_, err := Decode(body, Handler{Tags: func(tags []string) error {
		for _, tag := range tags {
			if seen++; seen%(n/10) == 0 {
				kept = append(kept, tag)
			}
		}
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, n, seen)
	assert.Less(t, live()-before, int64(1<<20), "ten tags of a body of 10 MB")
	runtime.KeepAlive(kept)
	runtime.KeepAlive(body)
}

// A list is the same whether its plain part is read plainly or by jsontext, and
// in whatever pieces it arrives; so is what is said of a bad one.
func FuzzPlain(f *testing.F) {
	for _, list := range []string{
		`"a"`, `"a","b"`, `"a","b","c",`, `"a",,"b"`, `"a","b",null,"c"`, `"a", "b","c"`, `"a","\u0062","c"`, `"a","-x","b"`, `"a","b",1`, `"a","b",{"name":"c"},"d"`,
		`"a","b`, `"a","b"`, `"a","b",["c"]`, `"a","b",{"x":[}]}`, strings.Repeat(`"abcdefgh",`, 100) + `"z"`, `"` + strings.Repeat("a", 128) + `","` + strings.Repeat("b", 129) + `","c"`,
	} {
		for _, around := range []string{`{"tags":[%s]}`, `{"name":"x","tags":[%s],"name":1}`, `{"x":{"y":1},"":2,"tags":[%s],"has_additional":true}`, `{"tags":[%s]`, `{"tags":[%s]}x`, ` {"a\n":1,"tags":[%s],"tags":[]}`} {
			f.Add(strings.Replace(around, "%s", list, 1), 7, uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, body string, piece int, times uint16) {
		if i := strings.Index(body, `["`); i > 0 && times > 0 { // long enough that it comes in several pieces
			body = body[:i+1] + strings.Repeat(`"zlib-1.3.1-x.spack",`, int(times)) + body[i+1:]
		}
		type outcome struct {
			tags, skipped []string
			sum           Summary
			failed        bool
			at            string // where; how much of a body is quoted depends on what has come
		}
		read := func(r io.Reader, plainly bool) (o outcome) {
			var err error
			o.sum, err = decodeList(r, Handler{
				Tags: func(tags []string) error { o.tags = append(o.tags, tags...); return nil },
				Skip: func(reason Reason, text string) { o.skipped = append(o.skipped, reason.String()+text) },
			}, plainly)
			if o.failed = err != nil; o.failed {
				if i := strings.LastIndex(err.Error(), " after offset "); i >= 0 {
					o.at = err.Error()[i:]
				}
			}
			return o
		}
		want := read(strings.NewReader(body), false)
		require.Equal(t, want, read(strings.NewReader(body), true))
		require.Equal(t, want, read(&pieces{strings.NewReader(body), 1 + max(piece, -piece)%1000}, true))
	})
}

// pieces hands out so many bytes at most.
type pieces struct {
	r io.Reader
	n int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }

func BenchmarkDecode(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"name":"a/b","tags":["first"`)
	for i := range 100_000 {
		fmt.Fprintf(&body, `,"zlib-1.3.1-%032d.spack"`, i)
	}
	body.WriteString(`]}`)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(body.Len()))
		for b.Loop() {
			n := 0
			if _, err := Decode(bytes.NewReader(body.Bytes()), Handler{Tags: func(tags []string) error { n += len(tags); return nil }}); err != nil || n != 100_001 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("jsontext", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(body.Len()))
		for b.Loop() {
			if _, err := decodeList(bytes.NewReader(body.Bytes()), Handler{Tags: func([]string) error { return nil }}, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(body.Len()))
		for b.Loop() {
			var list struct{ Tags []string }
			if err := json.NewDecoder(bytes.NewReader(body.Bytes())).Decode(&list); err != nil || len(list.Tags) != 100_001 {
				b.Fatal(err)
			}
		}
	})
}
