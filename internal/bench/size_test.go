package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stripped program that calls ListTags is not much larger than one with net/http
// alone.
func TestSize(t *testing.T) {
	const most = 1_960_000
	built := func(name, imports, call string) int64 {
		dir, err := os.MkdirTemp(".", "size-") // where the modules of this one are found
		require.NoError(t, err)
		defer func() { _ = os.RemoveAll(dir) }()
		source := "package main\n\nimport (\n" + imports + ")\n\nfunc main() { println(" + call + ") }\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
		binary := filepath.Join(t.TempDir(), name)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./"+dir)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		info, err := os.Stat(binary)
		require.NoError(t, err)
		return info.Size()
	}
	ours := built("ocitags", "\t\"context\"\n\t\"github.com/ocitags/ocitags\"\n", `ocitags.ListTags(context.Background(), "x/y")`)
	bare := built("bare", "\t\"net/http\"\n", `http.Get("https://x/y")`)
	t.Logf("a program with ListTags is %d bytes larger than one with net/http", ours-bare)
	assert.LessOrEqual(t, ours-bare, int64(most))
}
