package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/readme"
)

// All clients build and list, and ours are complete.
func TestShort(t *testing.T) {
	var out bytes.Buffer
	b := &bench{ctx: t.Context(), out: &out, runs: 1, scale: 100}
	require.NoError(t, b.run(t.TempDir()))
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

// docs/performance.md and the README show what was measured, with the clients of
// go.mod and lists of this release.
func TestPublished(t *testing.T) {
	versions, err := versions(t.Context())
	require.NoError(t, err)
	for file, name := range map[readme.File]string{results: "bench", root: "clients"} {
		part, err := file.Part(name)
		require.NoError(t, err)
		assert.Contains(t, part, versions, "another version is measured anew: go run .")
		if name == "bench" {
			assert.Contains(t, part, fmt.Sprintf("lists of seed %d", seed))
		}
		for _, c := range append([]client{ours}, peers...) {
			assert.Contains(t, part, "| "+c.name+" |")
		}
	}
}
