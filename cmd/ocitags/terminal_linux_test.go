package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/regtest"
)

// openTerminal opens a pseudo-terminal (pty(7)): what is written to the terminal
// is read from its master.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there is no /dev/ptmx: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	control := func(request uintptr, value *int32) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value)))
		require.Zero(t, errno)
	}
	var locked, number int32
	control(syscall.TIOCSPTLCK, &locked)
	control(syscall.TIOCGPTN, &number)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return master, terminal
}

// On a terminal progress is seen while a registry takes its time, and nothing of
// it afterwards.
func TestProgressOnATerminal(t *testing.T) {
	master, terminal := openTerminal(t)
	seen := make(chan struct{})
	r, host := serveWith(t, "gitlab-c", func(k int, req *http.Request) regtest.Fault {
		if k == 2 { // until progress has been seen
			select {
			case <-seen:
			case <-req.Context().Done():
			}
		}
		return regtest.Fault{}
	})
	file, err := os.Create(t.TempDir() + "/tags")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	cmd, _ := process(t, "-n", "100", "-c", "1", host+"/a/b")
	cmd.Stdout, cmd.Stderr = file, terminal
	require.NoError(t, cmd.Start())

	var shown strings.Builder
	read := func(until string) {
		for buf := make([]byte, 1024); !strings.Contains(shown.String(), until); {
			n, err := master.Read(buf)
			require.NoError(t, err)
			shown.Write(buf[:n])
		}
	}
	read("100 tags, page 1, ")
	close(seen)
	require.NoError(t, cmd.Wait())
	_, err = terminal.WriteString("the end")
	require.NoError(t, err)
	read("the end")
	last := shown.String()[strings.LastIndex(shown.String(), "\r"):]
	assert.Equal(t, "\r"+clearLine+"the end", last)
	assert.NotContains(t, shown.String(), "\n")
	tags, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.Equal(t, r.Tags("a/b"), lines(string(tags)))
}

// What is wrong is red on a terminal, unless the user wants no colours or the terminal
// has none.
func TestColours(t *testing.T) {
	for env, want := range map[string]string{"TERM=xterm": "\x1b[31mocitags:\x1b[0m ", "TERM=dumb": "ocitags: ", "NO_COLOR=1": "ocitags: "} {
		master, terminal := openTerminal(t)
		t.Setenv("TERM", "xterm")
		t.Setenv("NO_COLOR", "")
		name, value, _ := strings.Cut(env, "=")
		t.Setenv(name, value)
		assert.Equal(t, 2, run(t.Context(), []string{"a//b"}, nil, terminal, terminal))
		buf := make([]byte, 1024)
		n, err := master.Read(buf)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(buf[:n]), want+`"a//b" is not a reference`), "%s: %q", env, buf[:n])
	}
}
