package main

import (
	"bytes"
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
