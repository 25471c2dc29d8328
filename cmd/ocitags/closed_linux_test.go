package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// /dev/null open for writing only is what a shell makes of >/dev/null, and open
// for both what the runtime puts in place of a stream that is closed.
func TestIsClosed(t *testing.T) {
	for flag, want := range map[int]bool{os.O_WRONLY: false, os.O_RDWR: true} {
		f, err := os.OpenFile(os.DevNull, flag, 0)
		require.NoError(t, err)
		assert.Equal(t, want, isFullNull(f))
		require.NoError(t, f.Close())
		assert.False(t, isFullNull(f), "no file any more")
	}
	f, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	assert.False(t, isClosed(f))
	require.NoError(t, f.Close())
	_, err = closedOutput{}.Write(nil)
	require.ErrorContains(t, err, "standard output is closed")
}
