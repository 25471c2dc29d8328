package conformance

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/readme"
	"github.com/ocitags/ocitags/internal/regtest"
)

// documents are what there is to read.
var documents = []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/command.md", "docs/design.md", "docs/performance.md", "docs/recipes.md", "docs/registries.md"}

// readmePart compares a generated part of a document, or writes it with -update.
func readmePart(t *testing.T, file readme.File, name, got string) {
	t.Helper()
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
	t.Chdir(root)
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(text), "```go\n")[1:]
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		for line := range strings.Lines(code) {
			require.Contains(t, string(examples), line)
		}
		indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(code, "\n"), "\n", "\n\t")
		require.Contains(t, string(examples), indented)
	}
}

// The README's table of registries: each profile, how it is known to be like its
// server, and what the log says of a listing.
func TestReadmeRegistries(t *testing.T) {
	t.Chdir(root)
	var table strings.Builder
	table.WriteString("| registry | tested | its pages | requests for 4,321 tags |\n|---|---|---|--:|\n")
	for _, p := range regtest.Profiles() {
		var tested []string
		if version := regtest.Real[p.Name]; version != "" {
			tested = append(tested, "real ("+version+")")
		}
		for folder, profile := range regtest.Transcripts {
			if profile == p.Name {
				tested = append(tested, "[recorded](../testdata/transcripts/"+folder+")")
			}
		}
		if p.Name == "ghcr" || tested == nil { // of which one answer is recorded
			tested = append(tested, "modelled")
		}
		ref, r, network := newRegistry(t, p.Name, "proxy/app", 4321)
		var log strings.Builder
		c := &ocitags.Client{Transport: network, Credentials: ocitags.Anonymous, Concurrency: 1, Logger: stableLog(&log)}
		mustList(t, c, ref, r, "proxy/app")
		pages := "all at once"
		if m := regexp.MustCompile(`msg=dialect dialect=("[^"]*")`).FindAllStringSubmatch(log.String(), -1); m != nil {
			pages, _ = strconv.Unquote(m[len(m)-1][1])
		}
		fmt.Fprintf(&table, "| %s | %s | %s | [%d](../testdata/conversations/%s.txt) |\n", p.Server, strings.Join(tested, ", "), pages, len(r.Requests()), p.Name)
	}
	readmePart(t, "docs/registries.md", "registries", table.String())
}

// What the README says of the module is so: its version of Go, and the modules
// that an importer's program is linked with.
func TestReadmeModule(t *testing.T) {
	t.Chdir(root)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", ".").Output()
	require.NoError(t, err)
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	readmePart(t, "README.md", "modules", strings.Join(slices.Compact(modules), ", ")+".\n")

	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(string(text))
	require.NotNil(t, version)
	text, err = os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(text), "Go "+version[1])
}

// Tests, files, headings and fields that the documents name are there.
func TestReadmeNames(t *testing.T) {
	t.Chdir(root)
	var code strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") {
			source, rerr := os.ReadFile(path)
			require.NoError(t, rerr)
			code.Write(source)
		}
		return err
	}))
	api, err := os.ReadFile("testdata/api.txt")
	require.NoError(t, err)
	tests := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(string(text), -1) {
			assert.True(t, strings.Contains(code.String(), "func "+m[1]+"("), "%s: %s", document, m[1])
			tests++
		}
		for _, m := range regexp.MustCompile(`\]\(([^):#]*)(#[^)]+)?\)`).FindAllStringSubmatch(string(text), -1) {
			at := filepath.Join(filepath.Dir(document), filepath.FromSlash(m[1]))
			if m[1] == "" {
				at = document
			}
			_, err := os.Stat(at)
			assert.NoError(t, err, document)
			if m[2] != "" {
				there, err := os.ReadFile(at)
				require.NoError(t, err)
				assert.Contains(t, anchors(string(there)), m[2], document)
			}
		}
		for _, m := range regexp.MustCompile("`Client\\.(\\w+)").FindAllStringSubmatch(string(text), -1) {
			assert.True(t, regexp.MustCompile(`(?m)^\t`+m[1]+`\t|\) `+m[1]+`\(`).Match(api), "%s: %s", document, m[1])
		}
	}
	assert.Greater(t, tests, 15)
}

// anchors are those of the headings of a document.
func anchors(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, "#"+strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

// The README is read in a minute.
func TestReadmeIsShort(t *testing.T) {
	t.Chdir(root)
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.LessOrEqual(t, strings.Count(string(text), "\n"), 170)
}
