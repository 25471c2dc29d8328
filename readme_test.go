package ocitags

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/dockerconfig"
	"github.com/ocitags/ocitags/internal/readme"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/wire"
)

// readmePart compares a generated part of the README, or writes it with -update.
func readmePart(t *testing.T, name, got string) {
	t.Helper()
	const file = readme.File("README.md")
	if *update {
		require.NoError(t, file.Replace(name, got))
		return
	}
	part, err := file.Part(name)
	require.NoError(t, err)
	assert.Equal(t, part, got, "run go test -update, and read the difference")
}

// The README's code is that of an example.
func TestReadmeCode(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(text), "```go\n")[1:]
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		code = strings.ReplaceAll(code, `"registry.gitlab.com/group/cache"`, "cache") // a host that is there for all to see
		for line := range strings.Lines(code) {
			require.Contains(t, string(examples), strings.TrimPrefix(line, "import "))
		}
		if !strings.HasPrefix(code, "import") {
			indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(code, "\n"), "\n", "\n\t")
			require.Contains(t, string(examples), indented)
		}
	}
}

// The README's table of registries: each profile, how it is known to be like its
// server, and what the log says of a listing.
func TestReadmeRegistries(t *testing.T) {
	var table strings.Builder
	table.WriteString("| registry | tested | its pages | requests for 4,321 tags |\n|---|---|---|--:|\n")
	for _, p := range regtest.Profiles() {
		var tested []string
		if version := regtest.Real[p.Name]; version != "" {
			tested = append(tested, "real ("+version+")")
		}
		for folder, profile := range regtest.Transcripts {
			if profile == p.Name {
				tested = append(tested, "[recorded](testdata/transcripts/"+folder+")")
			}
		}
		if p.Name == "ghcr" || tested == nil { // of which one answer is recorded
			tested = append(tested, "modelled")
		}
		ref, r, network := mock(t, p.Name, "proxy/app", 4321)
		var log strings.Builder
		c := &Client{Transport: network, Credentials: Anonymous, Concurrency: 1, Logger: told(&log)}
		mustList(t, c, ref, r, "proxy/app")
		pages := "all at once"
		if m := regexp.MustCompile(`msg=dialect dialect=("[^"]*")`).FindAllStringSubmatch(log.String(), -1); m != nil {
			pages, _ = strconv.Unquote(m[len(m)-1][1])
		}
		fmt.Fprintf(&table, "| %s | %s | %s | [%d](testdata/conversations/%s.txt) |\n", p.Server, strings.Join(tested, ", "), pages, len(r.Requests()), p.Name)
	}
	readmePart(t, "registries", table.String())
}

// The README's table of bounds: the numbers are those of the code.
func TestReadmeLimits(t *testing.T) {
	var table strings.Builder
	table.WriteString("| what | bound |\n|---|---|\n")
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&table, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("tags of one listing", "`Client.MaxTags`, %s", readme.Thousands(defaultMaxTags))
	row("one answer", "%s, %s of waiting for it, %s without a byte", size(wire.MaxBody), spanOf(wire.MaxAnswerTime), spanOf(wire.MaxIdle))
	row("response header, error body, token answer", "%s, %s, %s", size(wire.MaxHeader), size(wire.MaxErrorBody), size(maxTokenAnswer))
	row("one JSON value, nesting", "%s, %d", size(taglist.MaxValue), taglist.MaxDepth)
	row("redirects", "%d", wire.MaxRedirects)
	row("a next link, the URL of a token server", "%s, %s", size(maxLink), size(maxRealm))
	row("what is read ahead of its turn", "%s; `Client.Concurrency`, %d, and up to %d in long lists: 1 reads nothing ahead", size(maxAhead), defaultConcurrency, maxConcurrency)
	row("attempts of one request", "`Client.MaxAttempts`, %d; a `Retry-After` over %s is an error at once", defaultMaxAttempts, spanOf(wire.MaxRetryAfter))
	row("pages in a row without a new tag", "%d", maxIdlePages)
	row("a credential file, a helper's answer and time", "%s, %s, %s", size(dockerconfig.MaxFile), size(dockerconfig.MaxHelperOutput), spanOf(dockerconfig.HelperTimeout))
	readmePart(t, "limits", table.String())
}

func size(bytes int) string {
	for _, unit := range []string{"bytes", "KiB", "MiB"} {
		if bytes < 1024 {
			return fmt.Sprint(bytes, " ", unit)
		}
		bytes /= 1024
	}
	return fmt.Sprint(bytes, " GiB")
}

func spanOf(d time.Duration) string {
	if d > time.Minute {
		return fmt.Sprint(d.Minutes(), " minutes")
	}
	return fmt.Sprint(d.Seconds(), " s")
}

// What the README says of the module is so: its version of Go, and the modules
// that an importer's program is linked with.
func TestReadmeModule(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", ".").Output()
	require.NoError(t, err)
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	var list strings.Builder
	for _, path := range slices.Compact(modules) {
		fmt.Fprintf(&list, "    %s\n", path)
	}
	readmePart(t, "modules", list.String())

	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(string(text))
	require.NotNil(t, version)
	text, err = os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(text), "Go "+version[1])
}

// Tests, files and fields that the README names are there.
func TestReadmeNames(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var code strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") {
			source, rerr := os.ReadFile(path)
			require.NoError(t, rerr)
			code.Write(source)
		}
		return err
	}))
	names := regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, names)
	for _, m := range names {
		assert.True(t, strings.Contains(code.String(), "func "+m[1]+"("), m[1])
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
		_, err := os.Stat(filepath.FromSlash(m[1]))
		assert.NoError(t, err)
	}
	api, err := os.ReadFile("testdata/api.txt")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("`Client\\.(\\w+)").FindAllStringSubmatch(string(text), -1) {
		assert.True(t, regexp.MustCompile(`(?m)^\t`+m[1]+`\t|\) `+m[1]+`\(`).Match(api), m[1])
	}
}
