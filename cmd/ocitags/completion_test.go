package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bash completes flags, the values that are known, and files.
func TestBashCompletion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	script, _, status := command(t, "-completion", "bash")
	require.Equal(t, 0, status)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/ca.pem", nil, 0o600))
	for words, want := range map[string]string{
		"ocitags -om":           "-omit-digest-tags",
		"ocitags -pa":           "-password-stdin",
		"ocitags ref -f":        "-full-ref",
		"ocitags -completion z": "zsh",
		"ocitags -cacert ca":    "ca.pem",
		"ocitags -limit c":      "",
		"ocitags c":             "",
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-c", script+`
COMP_WORDS=(`+words+`)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_ocitags
printf '%s\n' "${COMPREPLY[@]}"`)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, want, strings.TrimSpace(string(out)), words)
	}
}

// Each shell completes each flag.
func TestCompletions(t *testing.T) {
	for shell, before := range map[string]string{"bash": "-", "zsh": "-", "fish": "-o "} {
		script, _, status := command(t, "-completion", shell)
		assert.Equal(t, 0, status)
		for _, f := range completedFlags() {
			assert.Contains(t, script, before+f.name, shell)
		}
	}
	_, stderr, status := command(t, "-completion", "csh")
	assert.Equal(t, 2, status)
	assert.NotEmpty(t, stderr)
}

// docs/ocitags.1 is the manual page.
func TestManual(t *testing.T) {
	const file = "../../docs/ocitags.1"
	page, _, status := command(t, "-man")
	assert.Equal(t, 0, status)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(page), 0o666))
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(text), page, "run go test -update, and read the difference")
}
