package main

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is in a pipe is waited for, and so is a reader that ends with it.
func TestAwaitReader(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _ = w.Close() }()
	_, err = w.WriteString("v1\nv2\n")
	require.NoError(t, err)
	assert.Equal(t, 6, unread(w))
	assert.False(t, hasNoReader(w, 0))
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		_, _ = r.Read(make([]byte, 10))
		_ = r.Close()
	}()
	awaitReader(w) // whether it has gone by then is a matter of time
	<-taken
	assert.True(t, awaitReader(w))

	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	assert.False(t, awaitReader(file))
}

// ocitags … | head takes no more requests than it has read pages, however many there
// may be at once.
func TestHead(t *testing.T) {
	defer func(before time.Duration) { headWait = before }(headWait)
	headWait = time.Minute // so that the test waits for its reader, and not the other way round
	server, host := serve(t, "gitlab-c")
	for _, c := range []string{"1", "0", "8"} {
		server.Forget()
		r, w, err := os.Pipe()
		require.NoError(t, err)
		go func() {
			_, _ = io.ReadFull(r, make([]byte, len("v000\nv001\nv002\n")))
			_ = r.Close()
		}()
		var stderr bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), []string{"-n", "50", "-c", c, host + "/a/b"}, nil, w, &stderr))
		assert.Empty(t, stderr.String())
		assert.Len(t, server.Requests(), 1, "-c %s", c)
		require.NoError(t, w.Close())
	}
}
