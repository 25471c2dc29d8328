// Package configtest lays out home directories for tests of credential files.
package configtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Home makes a home directory with files of these contents, by their paths in it,
// and returns it. For the rest of the test HOME leads there, and none of the
// variables that lead elsewhere does.
func Home(t testing.TB, contents map[string]string) string {
	t.Helper()
	home := t.TempDir()
	for name, text := range contents {
		path := filepath.Join(home, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o700)) // helpers are programs
	}
	for _, name := range []string{"REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG", "DOCKER_CONFIG", "XDG_CONFIG_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run")) // without it the machine's /run is read
	t.Setenv("HOME", home)
	return home
}
