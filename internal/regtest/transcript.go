package regtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Recorded is one recorded answer of a real registry, and its request.
type Recorded struct {
	Name   string
	URL    string // path and query
	Status int    // 0: the connection was dropped
	Header http.Header
	Body   []byte
}

// Transcript reads the answers in a folder, in the order of its REQUESTS.tsv.
func Transcript(dir string) ([]Recorded, error) {
	list, err := os.ReadFile(filepath.Join(dir, "REQUESTS.tsv"))
	if err != nil {
		return nil, err
	}
	var all []Recorded
	for line := range strings.Lines(string(list)) {
		name, request, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		_, url, _ := strings.Cut(request, " ")
		text, err := os.ReadFile(filepath.Join(dir, name+".http"))
		if err != nil {
			return nil, err
		}
		rec, err := parseRecorded(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		rec.Name, rec.URL = name, url
		all = append(all, rec)
	}
	return all, nil
}

// parseRecorded reads what curl -i printed. Bodies are joined already, so their
// framing is not looked at.
func parseRecorded(text []byte) (Recorded, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return Recorded{}, nil
	}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	line, err := r.ReadLine()
	if err != nil {
		return Recorded{}, err
	}
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return Recorded{}, fmt.Errorf("status line %q", line)
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		return Recorded{}, err
	}
	header, err := r.ReadMIMEHeader()
	if err != nil {
		return Recorded{}, err
	}
	body, err := io.ReadAll(r.R)
	return Recorded{Status: status, Header: http.Header(header), Body: body}, err
}

// Tags returns the tags in the body; nil for null.
func (rec Recorded) Tags() []string {
	var list struct{ Tags []string }
	_ = json.Unmarshal(rec.Body, &list)
	return list.Tags
}

// ServeHTTP answers as recorded.
func (rec Recorded) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if rec.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range rec.Header {
		if name != "Transfer-Encoding" && name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(rec.Status)
	_, _ = w.Write(rec.Body)
}
