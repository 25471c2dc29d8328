// Package dockerconfig finds credentials where docker login and podman login keep
// them: in files, and with the credential helpers that these name.
package dockerconfig

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"encoding/json"

	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/ocitags/ocitags/internal/bound"
)

const (
	// HelperTimeout bounds one credential helper: it may ask the user, or a
	// cloud's metadata server.
	HelperTimeout = 30 * time.Second

	// helperPatience is how long a helper's children may hold its output open
	// after it has ended.
	helperPatience = 100 * time.Millisecond

	// MaxHelperOutput bounds what a helper prints: a name and a token.
	MaxHelperOutput = 64 << 10

	// MaxFile bounds a credential file; each entry has some 100 bytes.
	MaxFile = 1 << 20
)

// A Credential is what an entry or a helper gives. The zero value is none. It
// prints as one word.
type Credential struct {
	Username, Password string
	RefreshToken       string
	AccessToken        string
}

// Format keeps the secrets out of whatever is printed, by any verb.
func (Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "credential") }

// Find returns the credential of the first source that has an entry for a
// repository at host, which is docker.io for Docker Hub. Where there is none but
// a helper that is not installed might have one, the error is a NotInstalledError.
// No error holds anything of what a file or a helper said.
func Find(ctx context.Context, host, repository string) (Credential, error) {
	var missing error
	for _, source := range sources() {
		cred, err := source.credential(ctx, host, repository)
		if notInstalled, ok := errors.AsType[NotInstalledError](err); ok {
			missing = cmp.Or(missing, error(notInstalled))
			continue
		}
		if err != nil || cred != (Credential{}) {
			return cred, err
		}
	}
	return Credential{}, missing
}

// FindIn is like Find, for one file, which has to exist.
func FindIn(ctx context.Context, path, host, repository string) (Credential, error) {
	if _, err := os.Stat(path); err != nil {
		return Credential{}, fmt.Errorf("credential file %q: %w", path, errors.Unwrap(err))
	}
	return fileSource(path).credential(ctx, host, repository)
}

// A NotInstalledError says that a credential helper is not installed.
type NotInstalledError struct{ error }

// A source is a file of credentials, or the content of one.
type source struct {
	name string // as errors call it
	path string // "": there is only the content
	text string
}

// sources returns the files in the order of containers-auth.json(5), with Docker's before
// Podman's defaults.
func sources() []source {
	var all []source
	add := func(dir string, elem ...string) {
		if dir != "" {
			path := filepath.Join(append([]string{dir}, elem...)...)
			all = append(all, fileSource(path))
		}
	}
	home, _ := os.UserHomeDir()
	add(os.Getenv("REGISTRY_AUTH_FILE"))
	if text := os.Getenv("DOCKER_AUTH_CONFIG"); strings.TrimSpace(text) != "" {
		all = append(all, source{name: "$DOCKER_AUTH_CONFIG", text: text})
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(filepath.Join(runContainers, strconv.Itoa(os.Getuid())), "auth.json")
	}
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return all
}

func fileSource(path string) source {
	return source{name: "credential file " + strconv.Quote(path), path: path}
}

// runContainers is another one in tests.
var runContainers = "/run/containers"

// A file is what is read of a file to choose the entry, or the helper,
// that is then asked for a credential.
type file struct {
	Auths       map[string]json.RawMessage `json:"auths"`
	CredHelpers map[string]string          `json:"credHelpers"`
	CredsStore  string                     `json:"credsStore"`
}

// hubKeys are the names of Docker Hub in such files. The one that docker login
// writes is also what helpers know it by.
var hubKeys = []string{"docker.io", hubServer, "index.docker.io", "registry-1.docker.io"}

const hubServer = "https://index.docker.io/v1/"

// credential asks one source, and through it the helpers that it names. An error
// may be made of what was decoded, so only our own words go on.
func (s source) credential(ctx context.Context, host, repository string) (Credential, error) {
	broken := func(what string) error { return fmt.Errorf("%s %s", s.name, what) }
	f, err := s.read()
	if err != nil {
		return Credential{}, broken(err.Error())
	}
	keys, server := []string{host}, host
	if host == "docker.io" {
		keys, server = hubKeys, hubServer
	}
	helper, at, ok := f.helper(keys)
	if ok && helper != "" {
		if at == "docker.io" {
			at = server
		}
		return runHelper(ctx, HelperTimeout, s.name, helper, at)
	}
	key, err := f.find(keys, host+"/"+repository)
	if err != nil {
		return Credential{}, broken(err.Error())
	}
	if key != "" {
		cred, err := decodeEntry(ctx, f.Auths[key])
		if err != nil {
			return Credential{}, broken("has a broken entry for " + strconv.Quote(key))
		}
		if cred != (Credential{}) {
			return cred, nil
		}
	}
	if f.CredsStore != "" && !ok {
		return runHelper(ctx, HelperTimeout, s.name, f.CredsStore, server)
	}
	return Credential{}, nil
}

// decodeEntry decodes one entry of auths.
func decodeEntry(ctx context.Context, text json.RawMessage) (Credential, error) {
	const key = "x"
	store, err := credentials.NewMemoryStoreFromDockerConfig(fmt.Appendf(nil, `{"auths":{%q:%s}}`, key, text))
	if err != nil {
		return Credential{}, err
	}
	cred, err := store.Get(ctx, key)
	if err != nil {
		return Credential{}, err
	}
	c := Credential(cred)
	c.Password = strings.TrimRight(c.Password, "\x00") // as Docker cuts it
	return c, nil
}

// read reads a file of a reasonable size, and nothing that is not a file: a pipe
// would not end. Its errors continue the source's name.
func (s source) read() (f file, err error) {
	text := []byte(s.text)
	if s.path != "" {
		info, err := os.Stat(s.path)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && info.IsDir(): // what Kubernetes makes of an optional secret
			return f, nil
		case err != nil || !info.Mode().IsRegular():
			return f, errors.New("is not a readable file")
		case info.Size() > MaxFile:
			return f, fmt.Errorf("has more than %d bytes", MaxFile)
		}
		if text, err = os.ReadFile(s.path); err != nil {
			return f, errors.New("is not a readable file")
		}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, errors.New("is not the JSON of a credential file")
	}
	return f, nil
}

// helper returns the helper of credHelpers for a registry, by any of its keys, and
// the key. Its name may be empty.
func (f file) helper(keys []string) (name, at string, ok bool) {
	for _, key := range keys {
		if name, ok := f.CredHelpers[key]; ok {
			return name, key, true
		}
	}
	for _, key := range keys {
		for _, written := range slices.Sorted(maps.Keys(f.CredHelpers)) {
			if plainKey(written) == plainKey(key) {
				return f.CredHelpers[written], key, true
			}
		}
	}
	return "", "", false
}

// find returns the key of auths that is best for a repository: the longest
// part of its name, then the host by any of its names, and then a URL at the
// host, whose path Docker does not look at. Keys may be written as URLs, as docker
// login once did.
func (f file) find(hosts []string, repository string) (string, error) {
	var wanted []string
	for name := repository; strings.Contains(name, "/"); name = name[:strings.LastIndexByte(name, '/')] {
		wanted = append(wanted, name)
	}
	for _, name := range append(wanted, hosts...) {
		if _, ok := f.Auths[name]; ok {
			return name, nil
		}
		key, err := f.only(name, plainKey)
		if err != nil || key != "" {
			return key, err
		}
	}
	for _, host := range hosts {
		key, err := f.only(host, hostOfURL)
		if err != nil || key != "" {
			return key, err
		}
	}
	return "", nil
}

// only returns the one key of auths that means name.
func (f file) only(name string, meaning func(key string) string) (string, error) {
	var found []string
	for key := range f.Auths {
		if meaning(key) == plainKey(name) {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("has more than one entry for %s", strconv.Quote(name))
}

// hostOfURL returns the host of a key that is a URL; "": it is not one.
func hostOfURL(key string) string {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return strings.ToLower(host)
}

// plainKey returns a key of auths without a scheme, the /v1/ of the old registry
// protocol, and upper case in its host.
func plainKey(key string) string {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		rest = key
	}
	rest = strings.TrimSuffix(rest, "/")
	if ok {
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, "/v1"), "/v2")
	}
	host, name, _ := strings.Cut(rest, "/")
	return strings.TrimSuffix(strings.ToLower(host)+"/"+name, "/")
}

// runHelper asks docker-credential-<helper> for a host's credential: the host on
// its standard input, JSON on its standard output (docker-credential-helpers).
// What it prints is bounded, its standard error goes nowhere, and what it has
// left running is not waited for.
func runHelper(parent context.Context, within time.Duration, source, helper, host string) (Credential, error) {
	if strings.Trim(helper, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || helper == "" {
		return Credential{}, fmt.Errorf("%s names a helper whose name is not a plain word", source)
	}
	name := "docker-credential-" + helper
	failed := func(how string) error {
		return fmt.Errorf("%s, which %s names, %s; try: echo %s | %s get", name, source, how, host, name)
	}
	ctx, cancel := context.WithTimeout(parent, within)
	defer cancel()
	var out output
	cmd := exec.CommandContext(ctx, name, "get")
	cmd.Stdin, cmd.Stdout = strings.NewReader(host), &out
	cmd.WaitDelay = helperPatience
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return Credential{}, NotInstalledError{fmt.Errorf("%s, which %s names, is not installed", name, source)}
	case parent.Err() != nil:
		return Credential{}, fmt.Errorf("while %s was asked: %w", name, bound.Ended(parent))
	case ctx.Err() != nil:
		return Credential{}, fmt.Errorf("%w: %w", failed(fmt.Sprintf("gave no answer within %v", within)), ctx.Err())
	case out.over:
		return Credential{}, failed(fmt.Sprintf("printed more than %d bytes", MaxHelperOutput))
	case err != nil && string(bytes.TrimSpace(out.text)) == "credentials not found in native keychain":
		return Credential{}, nil
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // which left a child behind, but answered
		return Credential{}, failed("failed")
	}
	var answer struct {
		Username string `json:"Username"`
		Secret   string `json:"Secret"`
	}
	if json.Unmarshal(out.text, &answer) != nil {
		return Credential{}, failed("printed no credential")
	}
	if answer.Username == "<token>" { // an identity token, by convention
		return Credential{RefreshToken: answer.Secret}, nil
	}
	return Credential{Username: answer.Username, Password: strings.TrimRight(answer.Secret, "\x00")}, nil
}

// output holds what a helper prints, up to MaxHelperOutput.
type output struct {
	text []byte
	over bool
}

func (o *output) Write(p []byte) (int, error) {
	if len(o.text)+len(p) > MaxHelperOutput {
		o.over = true
		return 0, errors.New("too much")
	}
	o.text = append(o.text, p...)
	return len(p), nil
}
