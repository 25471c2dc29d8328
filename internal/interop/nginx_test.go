package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
)

// Behind nginx the token server is the registry itself, over HTTP/1.1: the token
// must be had while a 401 has come, however few connections there may be.
func TestNginxWithTokensAtTheSameHost(t *testing.T) {
	nginx := program(t, "nginx")
	upstream := serve(t, distribution(t, ""), nil)
	addr, dir := freePort(t), t.TempDir()
	config := fmt.Sprintf(`
daemon off;
pid %[1]s/pid;
error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen %[2]s;
		location = /token {
			default_type application/json;
			return 200 '{"token":"good"}';
		}
		location /v2/ {
			error_page 401 @challenge;
			if ($http_authorization != "Bearer good") { return 401; }
			proxy_pass http://%[3]s;
			proxy_set_header Host $http_host;
		}
		location @challenge {
			add_header WWW-Authenticate 'Bearer realm="http://%[2]s/token",service="nginx",scope="repository:demo/many:pull"' always;
			return 401 '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}';
		}
	}
}
`, dir, addr, upstream.host)
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o666))
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, nginx, "-c", path, "-p", dir, "-e", "stderr")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its workers
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	reachable(t, addr)

	want := many(t)
	for _, concurrency := range []int{1, 2, 4, 8} {
		for _, pageSize := range []int{0, 100} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a hang, however slow the machine
			c := &ocitags.Client{Credentials: ocitags.Anonymous, Concurrency: concurrency, PageSize: pageSize, Transport: ocitags.NewTransport()}
			tags, err := c.ListTags(ctx, addr+"/"+repo)
			cancel()
			require.NoError(t, err)
			assert.True(t, slices.Equal(want, tags))
		}
	}
}
