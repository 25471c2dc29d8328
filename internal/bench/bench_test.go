package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// All clients build and list, and ours are complete.
func TestShort(t *testing.T) {
	var out bytes.Buffer
	b := &bench{ctx: t.Context(), out: &out, runs: 1, scale: 100}
	require.NoError(t, b.run())
	t.Log(out.String())
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "| ocitags") {
			assert.Contains(t, line, "| yes |")
		}
	}
	for _, c := range peers {
		assert.Contains(t, out.String(), "| "+c.name+" |")
	}
}

// The README shows tables of results.md, which were measured with the clients of
// go.mod.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(results)
	require.NoError(t, err)
	part, err := root.Part("bench")
	require.NoError(t, err)
	for line := range strings.Lines(part) {
		assert.Contains(t, string(text), strings.TrimRight(line, ":\n"))
	}
	versions, err := versions(t.Context())
	require.NoError(t, err)
	assert.Contains(t, part, versions, "another version is measured anew: go run .")
	for _, c := range append([]client{ours}, peers...) {
		assert.Contains(t, part, "| "+c.name+" |")
	}
}
