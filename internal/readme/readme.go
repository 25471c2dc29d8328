// Package readme keeps the generated parts of the README what their generators
// say. A part stands between <!-- name --> and <!-- /name -->.
package readme

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A File is a README.
type File string

// Part returns the part of that name, without its marks.
func (f File) Part(name string) (string, error) {
	_, part, _, err := f.split(name)
	return part, err
}

// Replace writes the part anew.
func (f File) Replace(name, part string) error {
	before, _, after, err := f.split(name)
	if err != nil {
		return err
	}
	return os.WriteFile(string(f), []byte(before+part+after), 0o666)
}

func (f File) split(name string) (before, part, after string, err error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return "", "", "", err
	}
	opening, closing := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, ok := strings.Cut(string(text), opening)
	part, after, ok2 := strings.Cut(rest, closing)
	if !ok || !ok2 {
		return "", "", "", fmt.Errorf("%s has no part %q", f, name)
	}
	return before + opening, part, closing + after, nil
}

// Thousands writes n in groups of three digits.
func Thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
