package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/regtest"
)

// asCommand makes the test's own program the command, as a process of its own.
const asCommand = "OCITAGS_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command with its arguments, not yet started.
func process(t *testing.T, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd, stderr = exec.CommandContext(t.Context(), program, args...), new(bytes.Buffer)
	cmd.Env = []string{asCommand + "=1", "HOME=" + t.TempDir(), "GOCOVERDIR=" + t.TempDir()} // the last for go test -cover
	cmd.Stderr = stderr
	return cmd, stderr
}

// hanging serves a registry whose second page does not come. asked is closed
// when it is asked for.
func hanging(t *testing.T) (host string, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	_, host = serveWith(t, "gitlab-c", func(k int, _ *http.Request) regtest.Fault {
		if k == 1 {
			return regtest.Fault{}
		}
		return regtest.Fault{Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			once()
			<-req.Context().Done()
		})}
	})
	return host, asked
}

// Ctrl-C ends it at once, and it says so.
func TestInterrupt(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		host, asked := hanging(t)
		cmd, stderr := process(t, "-n", "100", host+"/a/b")
		require.NoError(t, cmd.Start())
		<-asked
		require.NoError(t, cmd.Process.Signal(sig))
		_ = cmd.Wait()
		assert.Equal(t, 1, cmd.ProcessState.ExitCode())
		assert.Len(t, lines(stderr.String()), 1)
		assert.Contains(t, stderr.String(), "page 2: ")
		assert.Contains(t, stderr.String(), "context canceled: "+sig.String()+" signal received")
	}
}

// ocitags … | head: whoever reads goes away, which is no error to tell of.
func TestPipeThatIsClosed(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	cmd, stderr := process(t, host+"/a/b")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	cmd.Stdout = w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	_ = cmd.Wait()
	assert.Equal(t, 1, cmd.ProcessState.ExitCode(), "and not killed by SIGPIPE")
	assert.Empty(t, stderr.String())
}

// FAULTS 125: ocitags … >&-, a standard output that is closed, is an error.
func TestStandardOutputThatIsClosed(t *testing.T) {
	_, host := serve(t, "gitlab-c")
	for _, args := range [][]string{{host + "/a/b"}, {"-json", host + "/a/b"}, {"-count", host + "/a/b"}, {"-version"}, {"-demo"}} {
		inner, stderr := process(t, args...)
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `exec "$0" "$@" >&-`}, inner.Args...)...)
		cmd.Env, cmd.Stderr = inner.Env, stderr
		_ = cmd.Run()
		assert.Equal(t, 1, cmd.ProcessState.ExitCode(), "%v", args)
		assert.Len(t, lines(stderr.String()), 1, "%v", args)
		assert.Contains(t, stderr.String(), "ocitags: ", "%v", args)
	}
}

// The process itself: references on standard input, the list in a file, and nothing on
// standard output.
func TestFiles(t *testing.T) {
	r, host := serve(t, "gitlab-c")
	path := t.TempDir() + "/tags"
	cmd, stderr := process(t, "-", "-anonymous", "-o", path)
	cmd.Stdin = strings.NewReader(host + "/a/b\n")
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Empty(t, string(out)+stderr.String())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, lines(string(text)), 250)
	for i, line := range lines(string(text)) {
		assert.Equal(t, host+"/a/b:"+r.Tags("a/b")[i], line)
	}
}
