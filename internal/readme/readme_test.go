package readme

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPart(t *testing.T) {
	f := File(filepath.Join(t.TempDir(), "README.md"))
	_, err := f.Part("a")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, f.Replace("a", ""), os.ErrNotExist)

	require.NoError(t, os.WriteFile(string(f), []byte("x\n<!-- a -->\none\n<!-- /a -->\ny\n<!-- b -->\n"), 0o600))
	part, err := f.Part("a")
	require.NoError(t, err)
	assert.Equal(t, "one\n", part)
	_, err = f.Part("b")
	require.ErrorContains(t, err, `no part "b"`)

	require.NoError(t, f.Replace("a", "two\nthree\n"))
	text, err := os.ReadFile(string(f))
	require.NoError(t, err)
	assert.Equal(t, "x\n<!-- a -->\ntwo\nthree\n<!-- /a -->\ny\n<!-- b -->\n", string(text))
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 10_000_000: "10,000,000"} {
		assert.Equal(t, want, Thousands(n))
	}
}
