package ocitags

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

const (
	// helperTimeout bounds one credential helper: it may ask the user, or a
	// cloud's metadata server.
	helperTimeout = 30 * time.Second

	// helperPatience is how long a helper's children may hold its output open
	// after it has ended.
	helperPatience = 100 * time.Millisecond

	// maxHelperOutput bounds what a helper prints: a name and a token.
	maxHelperOutput = 64 << 10

	// maxCredentialFile bounds a credential file; each entry has some 100 bytes.
	maxCredentialFile = 1 << 20
)

// A Credential is what a registry knows a user by. The zero value is nobody.
// Where more than one is set, an AccessToken goes before a RefreshToken, and
// that before Username and Password. It prints without its secrets.
type Credential struct {
	Username, Password string
	RefreshToken       string // an identity token, for the token server: OAuth2's grant_type=refresh_token
	AccessToken        string // a registry token, sent to the registry itself as it is
}

// String names the parts that are set, and shows none of them: the user name may
// be a secret too (DigitalOcean has a token there).
func (c Credential) String() string {
	var parts []string
	if c.Username != "" {
		parts = append(parts, "user name")
	}
	if c.Password != "" {
		parts = append(parts, "password")
	}
	if c.RefreshToken != "" {
		parts = append(parts, "refresh token")
	}
	if c.AccessToken != "" {
		parts = append(parts, "access token")
	}
	if parts == nil {
		return "anonymous"
	}
	return strings.Join(parts, ", ")
}

// Format prints String for each verb, and so for a value that holds a Credential
// in an exported field, a slice or a map. It is not asked about unexported fields,
// nor for %p and %w, which go vet finds.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// GoString is String, for %#v of what is no fmt.Formatter's.
func (c Credential) GoString() string { return c.String() }

// MarshalText is String, so that JSON and the like hide the secrets too.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue is String, so that a log record hides the secrets too.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A CredentialFunc finds the credential for a repository. host is the registry
// as in the reference, with its port if one was given (docker.io for Docker
// Hub), repository the name there. The zero Credential stands for none; an
// error ends the listing. It is called at most once for each listing, when the
// registry asks, and must be safe for concurrent use.
//
// The key chains of other libraries make one in ten lines: those of
// go-containerregistry and oras-go are examples in internal/interop.
type CredentialFunc func(ctx context.Context, host, repository string) (Credential, error)

// Anonymous is the CredentialFunc that knows no credential.
func Anonymous(ctx context.Context, host, repository string) (Credential, error) {
	return Credential{}, nil
}

// StaticCredential gives cred for the registry host, and none for any other.
// The case of host does not matter, its port does: a credential for
// registry.example is not one for registry.example:5000. For Docker Hub host is
// docker.io.
func StaticCredential(host string, cred Credential) CredentialFunc {
	return func(_ context.Context, h, _ string) (Credential, error) {
		if strings.EqualFold(h, host) {
			return cred, nil
		}
		return Credential{}, nil
	}
}

// DefaultCredentials reads the files that docker login and podman login write
// and runs the credential helpers that they name, by the first of these that
// has an entry:
//
//   - $REGISTRY_AUTH_FILE
//   - $DOCKER_AUTH_CONFIG, which is the content of such a file
//   - $DOCKER_CONFIG/config.json, or ~/.docker/config.json
//   - $XDG_RUNTIME_DIR/containers/auth.json, or without that variable
//     /run/containers/<uid>/auth.json
//   - $XDG_CONFIG_HOME/containers/auth.json, or ~/.config/containers/auth.json
//
// In each a helper for the host (credHelpers) comes first, then an entry
// (auths), of which the longest key wins, host/org/name, host/org or host, then
// the helper for all hosts (credsStore). A helper whose name is empty stands for
// the file. The entry for Docker Hub may be called docker.io, index.docker.io,
// registry-1.docker.io or, as docker login does, https://index.docker.io/v1/.
// Files that do not exist, are empty or are directories are passed over, those
// that cannot be read are errors. A helper is given 30 seconds. One that is not
// installed is an error where nothing else has an entry; a listing goes on as a
// stranger then, and tells of it if that is refused. Errors hold nothing of what
// a file or a helper said.
func DefaultCredentials(ctx context.Context, host, repository string) (Credential, error) {
	var missing error
	for _, source := range credentialSources() {
		cred, err := source.credential(ctx, host, repository)
		if notInstalled, ok := errors.AsType[missingHelperError](err); ok {
			missing = cmp.Or(missing, error(notInstalled))
			continue
		}
		if err != nil || cred != (Credential{}) {
			return cred, err
		}
	}
	return Credential{}, missing
}

// A missingHelperError is that a credential helper is not installed.
type missingHelperError struct{ error }

// A credentialSource is a file of credentials, or the content of one.
type credentialSource struct {
	name string // as errors call it
	path string // "": there is only the content
	text string
}

// credentialSources is the order of containers-auth.json(5), with Docker's before
// Podman's defaults.
func credentialSources() []credentialSource {
	var sources []credentialSource
	add := func(dir string, elem ...string) {
		if dir != "" {
			path := filepath.Join(append([]string{dir}, elem...)...)
			sources = append(sources, fileSource(path))
		}
	}
	home, _ := os.UserHomeDir()
	add(os.Getenv("REGISTRY_AUTH_FILE"))
	if text := os.Getenv("DOCKER_AUTH_CONFIG"); strings.TrimSpace(text) != "" {
		sources = append(sources, credentialSource{name: "$DOCKER_AUTH_CONFIG", text: text})
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
	return sources
}

func fileSource(path string) credentialSource {
	return credentialSource{name: "credential file " + strconv.Quote(path), path: path}
}

// runContainers is another one in tests.
var runContainers = "/run/containers"

// A credentialFile is what is read of a file to choose the entry, or the helper,
// that is then asked for a credential.
type credentialFile struct {
	Auths       map[string]jsontext.Value `json:"auths"`
	CredHelpers map[string]string         `json:"credHelpers"`
	CredsStore  string                    `json:"credsStore"`
}

// hubKeys are the names of Docker Hub in such files. The one that docker login
// writes is also what helpers know it by.
var hubKeys = []string{"docker.io", hubServer, "index.docker.io", "registry-1.docker.io"}

const hubServer = "https://index.docker.io/v1/"

// credential asks one source, and through it the helpers that it names. An error
// may be made of what was decoded, so only our own words go on.
func (s credentialSource) credential(ctx context.Context, host, repository string) (Credential, error) {
	broken := func(what string) error { return fmt.Errorf("%s %s", s.name, what) }
	file, err := s.read()
	if err != nil {
		return Credential{}, broken(err.Error())
	}
	keys, server := []string{host}, host
	if host == "docker.io" {
		keys, server = hubKeys, hubServer
	}
	helper, at, ok := file.helper(keys)
	if ok && helper != "" {
		if at == "docker.io" {
			at = server
		}
		return runHelper(ctx, helperTimeout, s.name, helper, at)
	}
	key, err := file.find(keys, host+"/"+repository)
	if err != nil {
		return Credential{}, broken(err.Error())
	}
	if key != "" {
		cred, err := decodeEntry(ctx, file.Auths[key])
		if err != nil {
			return Credential{}, broken("has a broken entry for " + strconv.Quote(key))
		}
		if cred != (Credential{}) {
			return cred, nil
		}
	}
	if file.CredsStore != "" && !ok {
		return runHelper(ctx, helperTimeout, s.name, file.CredsStore, server)
	}
	return Credential{}, nil
}

// decodeEntry decodes one entry of auths.
func decodeEntry(ctx context.Context, text jsontext.Value) (Credential, error) {
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

// read reads a file of a reasonable size, and nothing that is no file: a pipe
// would not end. Its errors continue the source's name.
func (s credentialSource) read() (file credentialFile, err error) {
	text := []byte(s.text)
	if s.path != "" {
		info, err := os.Stat(s.path)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && info.IsDir(): // what Kubernetes makes of an optional secret
			return file, nil
		case err != nil || !info.Mode().IsRegular():
			return file, errors.New("is no readable file")
		case info.Size() > maxCredentialFile:
			return file, fmt.Errorf("has more than %d bytes", maxCredentialFile)
		}
		if text, err = os.ReadFile(s.path); err != nil {
			return file, errors.New("is no readable file")
		}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return file, nil
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return file, errors.New("is not the JSON of a credential file")
	}
	return file, nil
}

// helper returns the helper of credHelpers for a registry, by any of its keys, and
// the key. Its name may be empty.
func (f credentialFile) helper(keys []string) (name, at string, ok bool) {
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
func (f credentialFile) find(hosts []string, repository string) (string, error) {
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
func (f credentialFile) only(name string, meaning func(key string) string) (string, error) {
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

// hostOfURL is the host of a key that is a URL; "": it is none.
func hostOfURL(key string) string {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return strings.ToLower(host)
}

// plainKey is a key of auths without what it may be dressed in: a scheme, the
// /v1/ of the registry protocol before this one, upper case in its host.
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
		return Credential{}, fmt.Errorf("%s names a helper that is no plain word", source)
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
		return Credential{}, missingHelperError{fmt.Errorf("%s, which %s names, is not installed", name, source)}
	case parent.Err() != nil:
		return Credential{}, fmt.Errorf("while %s was asked: %w", name, ended(parent))
	case ctx.Err() != nil:
		return Credential{}, fmt.Errorf("%w: %w", failed(fmt.Sprintf("gave no answer within %v", within)), ctx.Err())
	case out.over:
		return Credential{}, failed(fmt.Sprintf("printed more than %d bytes", maxHelperOutput))
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

// output holds what a helper prints, up to maxHelperOutput.
type output struct {
	text []byte
	over bool
}

func (o *output) Write(p []byte) (int, error) {
	if len(o.text)+len(p) > maxHelperOutput {
		o.over = true
		return 0, errors.New("too much")
	}
	o.text = append(o.text, p...)
	return len(p), nil
}
