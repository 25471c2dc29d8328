package dockerconfig

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/dockerconfig/configtest"
)

const secret = "hunter2-SECRET"

// entry is an auths entry for a password.
func entry(key, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, base64.StdEncoding.EncodeToString([]byte("bob:"+password)))
}

func TestCredentialHidesItsSecrets(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		assert.NotContains(t, fmt.Sprintf(verb, Credential{Username: secret, Password: secret}), secret, verb)
	}
}

func TestFind(t *testing.T) {
	password := func(t *testing.T, host, repository string) string {
		cred, err := Find(t.Context(), host, repository)
		require.NoError(t, err)
		return cred.Password
	}
	t.Run("nothing there", func(t *testing.T) {
		configtest.Home(t, nil)
		assert.Empty(t, password(t, "ghcr.io", "a/b"))
	})
	t.Run("the order of the files", func(t *testing.T) {
		home := configtest.Home(t, map[string]string{
			"explicit.json":                entry("ghcr.io", "1"),
			"docker/config.json":           entry("ghcr.io", "2"),
			".docker/config.json":          entry("ghcr.io", "3"),
			"run/containers/auth.json":     entry("ghcr.io", "4"),
			".config/containers/auth.json": entry("ghcr.io", "5"),
		})
		t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "explicit.json"))
		t.Setenv("DOCKER_CONFIG", filepath.Join(home, "docker"))
		t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
		for _, test := range []struct{ remove, want string }{
			{"", "1"}, {"explicit.json", "2"}, {"docker/config.json", "4"}, {"run/containers/auth.json", "5"}, {".config/containers/auth.json", ""},
		} {
			if test.remove != "" {
				require.NoError(t, os.Remove(filepath.Join(home, test.remove)))
			}
			assert.Equal(t, test.want, password(t, "ghcr.io", "a/b"))
		}
		t.Setenv("DOCKER_CONFIG", "")
		assert.Equal(t, "3", password(t, "ghcr.io", "a/b"))
	})
	t.Run("the next file if one has no entry", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": entry("other.example", "x"), ".config/containers/auth.json": entry("ghcr.io", "5")})
		assert.Equal(t, "5", password(t, "ghcr.io", "a/b"))
	})
	t.Run("namespaces", func(t *testing.T) {
		all := func(keys ...string) string {
			var entries []string
			for _, key := range keys {
				entries = append(entries, strings.TrimSuffix(strings.TrimPrefix(entry(key, key), `{"auths":{`), "}}"))
			}
			return `{"auths":{` + strings.Join(entries, ",") + `}}`
		}
		configtest.Home(t, map[string]string{".config/containers/auth.json": all("reg.example", "reg.example/a", "reg.example/a/b", "reg.example:5000")})
		for repository, want := range map[string]string{"a/b": "reg.example/a/b", "a/c": "reg.example/a", "a/b/c": "reg.example/a/b", "x/y": "reg.example", "ab": "reg.example"} {
			assert.Equal(t, want, password(t, "reg.example", repository), repository)
		}
		assert.Equal(t, "reg.example:5000", password(t, "reg.example:5000", "a/b"), "a port is part of the host")
		assert.Empty(t, password(t, "reg.example:5001", "a/b"))
	})
	t.Run("Docker Hub", func(t *testing.T) {
		for _, key := range []string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"} {
			configtest.Home(t, map[string]string{".docker/config.json": entry(key, "hub")})
			assert.Equal(t, "hub", password(t, "docker.io", "library/ubuntu"), key)
			assert.Empty(t, password(t, "ghcr.io", "library/ubuntu"))
		}
	})
	t.Run("keys written as URLs", func(t *testing.T) {
		for _, key := range []string{"https://ghcr.io", "https://ghcr.io/", "https://ghcr.io/v1/", "https://GHCR.io/v2/", "http://ghcr.io", "GHCR.IO"} {
			configtest.Home(t, map[string]string{".docker/config.json": entry(key, "x")})
			assert.Equal(t, "x", password(t, "ghcr.io", "a/b"), key)
		}
	})
	t.Run("two entries for one host", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": `{"auths":{"https://ghcr.io/v1/":{"username":"a"},"http://ghcr.io":{"username":"b"}}}`})
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.ErrorContains(t, err, "more than one entry")
		configtest.Home(t, map[string]string{".docker/config.json": `{"auths":{"https://ghcr.io/v1/":{"username":"a"},"ghcr.io":{"username":"b"}}}`})
		cred, err := Find(t.Context(), "ghcr.io", "a/b")
		require.NoError(t, err, "the plain one is meant")
		assert.Equal(t, Credential{Username: "b"}, cred)
	})
	t.Run("an empty file", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": " \n", ".config/containers/auth.json": entry("ghcr.io", "5")})
		assert.Equal(t, "5", password(t, "ghcr.io", "a/b"))
	})
	t.Run("a directory, as Kubernetes makes of an optional secret", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json/x": "", ".config/containers/auth.json": entry("ghcr.io", "5")})
		assert.Equal(t, "5", password(t, "ghcr.io", "a/b"))
	})
	t.Run("no file", func(t *testing.T) {
		t.Setenv("REGISTRY_AUTH_FILE", os.DevNull)
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.ErrorContains(t, err, "not a readable file")
	})
	t.Run("where podman looks", func(t *testing.T) {
		home := configtest.Home(t, map[string]string{
			"containers/" + strconv.Itoa(os.Getuid()) + "/auth.json": entry("ghcr.io", "run"), "xdg/containers/auth.json": entry("ghcr.io", "xdg"), ".config/containers/auth.json": entry("ghcr.io", "home"),
		})
		assert.Equal(t, "home", password(t, "ghcr.io", "a/b"))
		t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "xdg"))
		assert.Equal(t, "xdg", password(t, "ghcr.io", "a/b"))
		t.Setenv("XDG_RUNTIME_DIR", "")
		before := runContainers
		t.Cleanup(func() { runContainers = before })
		runContainers = filepath.Join(home, "containers")
		assert.Equal(t, "run", password(t, "ghcr.io", "a/b"))
		t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "nowhere"))
		assert.Equal(t, "xdg", password(t, "ghcr.io", "a/b"), "which is another place then")
	})
	t.Run("the content in a variable", func(t *testing.T) {
		home := configtest.Home(t, map[string]string{"explicit.json": entry("ghcr.io", "1"), ".docker/config.json": entry("ghcr.io", "3")})
		t.Setenv("DOCKER_AUTH_CONFIG", entry("ghcr.io", "2"))
		assert.Equal(t, "2", password(t, "ghcr.io", "a/b"))
		t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "explicit.json"))
		assert.Equal(t, "1", password(t, "ghcr.io", "a/b"))
		t.Setenv("REGISTRY_AUTH_FILE", "")
		t.Setenv("DOCKER_AUTH_CONFIG", `{"auths":"`+secret+`"}`)
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.ErrorContains(t, err, "$DOCKER_AUTH_CONFIG is not the JSON of a credential file")
		assert.NotContains(t, err.Error(), secret)
	})
	t.Run("docker.io before index.docker.io", func(t *testing.T) {
		two := func(other string) string {
			return strings.TrimSuffix(entry("docker.io", "docker.io"), "}}") + "," + strings.TrimPrefix(entry(other, other), `{"auths":{`)
		}
		for _, other := range []string{"index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"} {
			configtest.Home(t, map[string]string{".docker/config.json": two(other)})
			assert.Equal(t, "docker.io", password(t, "docker.io", "library/ubuntu"), other)
		}
	})
	t.Run("a URL with a path counts for its host, after namespaces", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": entry("https://reg.example/some/path", "x")})
		assert.Equal(t, "x", password(t, "reg.example", "a/b"))
		assert.Empty(t, password(t, "other.example", "some/path"))
		configtest.Home(t, map[string]string{".docker/config.json": strings.TrimSuffix(entry("https://reg.example/some/path", "x"), "}}") + "," + strings.TrimPrefix(entry("reg.example/a", "a"), `{"auths":{`)})
		assert.Equal(t, "a", password(t, "reg.example", "a/b"))
		assert.Equal(t, "x", password(t, "reg.example", "c/d"))
		configtest.Home(t, map[string]string{".docker/config.json": entry("reg.example/other", "x")})
		assert.Empty(t, password(t, "reg.example", "a/b"), "a namespace is no host")
	})
	t.Run("NULs after a password", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": entry("ghcr.io", "pw\x00\x00")})
		assert.Equal(t, "pw", password(t, "ghcr.io", "a/b"))
	})
	t.Run("a helper without a name stands for the file", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": `{"credHelpers":{"ghcr.io":""},"credsStore":"none","auths":{"ghcr.io":{"username":"u","password":"p"}}}`})
		cred, err := Find(t.Context(), "ghcr.io", "a/b")
		require.NoError(t, err)
		assert.Equal(t, Credential{Username: "u", Password: "p"}, cred)
	})
	t.Run("a helper that is not installed", func(t *testing.T) {
		for _, text := range []string{`{"credsStore":"is-not-there"}`, `{"credHelpers":{"https://REGISTRY.example/":"is-not-there"}}`} {
			configtest.Home(t, map[string]string{".docker/config.json": text})
			_, err := Find(t.Context(), "registry.example", "a/b")
			require.ErrorContains(t, err, "docker-credential-is-not-there")
			require.ErrorContains(t, err, "is not installed")

			configtest.Home(t, map[string]string{".docker/config.json": text, ".config/containers/auth.json": entry("registry.example", "5")})
			assert.Equal(t, "5", password(t, "registry.example", "a/b"), "another file has it")
		}
	})
	t.Run("a huge file", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": strings.Repeat(" ", MaxFile+1)})
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.ErrorContains(t, err, "1048576")
	})
	t.Run("tokens", func(t *testing.T) {
		configtest.Home(t, map[string]string{".docker/config.json": `{"auths":{"ghcr.io":{"identitytoken":"i","registrytoken":"r"}}}`})
		cred, err := Find(t.Context(), "ghcr.io", "a/b")
		require.NoError(t, err)
		assert.Equal(t, Credential{RefreshToken: "i", AccessToken: "r"}, cred)
	})
	t.Run("what cannot be read", func(t *testing.T) {
		for name, text := range map[string]string{"not JSON": secret, "an array": `["` + secret + `"]`, "no base64": `{"auths":{"ghcr.io":{"auth":"!` + secret + `"}}}`,
			"no colon": `{"auths":{"ghcr.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(secret)) + `"}}}`} {
			configtest.Home(t, map[string]string{".docker/config.json": text})
			_, err := Find(t.Context(), "ghcr.io", "a/b")
			require.Error(t, err, name)
			assert.NotContains(t, err.Error(), secret, name)
			assert.Contains(t, err.Error(), "config.json", name)
		}
	})
}

func TestHelpers(t *testing.T) {
	helper := func(t *testing.T, config, script string) {
		home := configtest.Home(t, map[string]string{".docker/config.json": config, "bin/docker-credential-test": "#!/bin/sh\n" + script})
		t.Setenv("PATH", filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	const forHost = `{"credHelpers":{"ghcr.io":"test"}}`
	t.Run("for a host", func(t *testing.T) {
		helper(t, forHost, `read host; echo "{\"ServerURL\":\"$host\",\"Username\":\"bob\",\"Secret\":\"for $host\"}"`)
		cred, err := Find(t.Context(), "ghcr.io", "a/b")
		require.NoError(t, err)
		assert.Equal(t, Credential{Username: "bob", Password: "for ghcr.io"}, cred)
		cred, err = Find(t.Context(), "quay.io", "a/b")
		require.NoError(t, err)
		assert.Equal(t, Credential{}, cred)
	})
	t.Run("for all hosts, once and by the host alone", func(t *testing.T) {
		helper(t, `{"auths":{"ghcr.io":{}},"credsStore":"test"}`, `read host; echo "$host" >>"$HOME/asked"; echo '{"Username":"bob","Secret":"s"}'`)
		cred, err := Find(t.Context(), "ghcr.io", "a/b/c")
		require.NoError(t, err)
		assert.Equal(t, Credential{Username: "bob", Password: "s"}, cred)
		_, err = Find(t.Context(), "docker.io", "library/ubuntu")
		require.NoError(t, err)
		asked, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), "asked"))
		require.NoError(t, err)
		assert.Equal(t, "ghcr.io\nhttps://index.docker.io/v1/\n", string(asked))
	})
	t.Run("with a name that is none", func(t *testing.T) {
		for _, name := range []string{"../test", "a b", "x;rm", "/bin/true", ".."} {
			helper(t, fmt.Sprintf(`{"credHelpers":{"ghcr.io":%q}}`, name), "echo '{}'")
			_, err := Find(t.Context(), "ghcr.io", "a/b")
			require.ErrorContains(t, err, "not a plain word", name)
		}
	})
	t.Run("an identity token", func(t *testing.T) {
		helper(t, forHost, `echo '{"Username":"<token>","Secret":"i"}'`)
		cred, err := Find(t.Context(), "ghcr.io", "a/b")
		require.NoError(t, err)
		assert.Equal(t, Credential{RefreshToken: "i"}, cred)
	})
	t.Run("knows none", func(t *testing.T) {
		helper(t, forHost, `echo "credentials not found in native keychain"; exit 1`)
		cred, err := Find(t.Context(), "ghcr.io", "a/b")
		require.NoError(t, err)
		assert.Equal(t, Credential{}, cred)
	})
	t.Run("fails", func(t *testing.T) {
		helper(t, forHost, `echo "`+secret+`"; exit 1`)
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.Error(t, err)
		assert.NotContains(t, err.Error(), secret)
	})
	t.Run("is missing", func(t *testing.T) {
		helper(t, `{"credHelpers":{"ghcr.io":"missing"}}`, "")
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.Error(t, err)
	})
	t.Run("hangs", func(t *testing.T) {
		helper(t, forHost, `exec sleep 600`)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := Find(ctx, "ghcr.io", "a/b")
		require.ErrorIs(t, err, context.DeadlineExceeded)

		_, err = runHelper(t.Context(), 50*time.Millisecond, "config.json", "test", "ghcr.io")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "gave no answer within 50ms; try: echo ghcr.io | docker-credential-test get")
	})
	t.Run("prints too much", func(t *testing.T) {
		helper(t, forHost, `yes | head -c 70000`)
		_, err := Find(t.Context(), "ghcr.io", "a/b")
		require.ErrorContains(t, err, "printed more than 65536 bytes")
	})
}

// A credential file of any content gives a credential or an error, and the
// error holds nothing of it.
func FuzzFile(f *testing.F) {
	for _, text := range []string{
		entry("ghcr.io", secret), `{"auths":{"https://ghcr.io/v1/":{"identitytoken":"` + secret + `"}}}`, `{"auths":{"ghcr.io":{"auth":"!` + secret + `"}}}`,
		`{"auths":{"ghcr.io/a":{"registrytoken":"` + secret + `"},"GHCR.IO":null}}`, `{"auths":[]}`, `{"auths":{"ghcr.io":"` + secret + `"}}`, ``, `null`, "\ufeff{}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "config.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		source := fileSource(path)
		file, err := source.read()
		if err != nil || len(file.CredHelpers) > 0 || file.CredsStore != "" {
			return // helpers are programs: not here
		}
		cred, err := source.credential(t.Context(), "ghcr.io", "a/b")
		if err != nil {
			require.Equal(t, Credential{}, cred)
			require.NotContains(t, err.Error(), secret)
		}
		if !strings.Contains(text, `\`) && !strings.Contains(strings.ToLower(text), "ghcr.io") {
			require.Equal(t, Credential{}, cred, "an entry for another host")
		}
	})
}
