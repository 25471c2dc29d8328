package ocitags

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ocitags/ocitags/internal/dockerconfig"
	"github.com/ocitags/ocitags/internal/listing"
	"github.com/ocitags/ocitags/internal/readme"
	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/taglist"
	"github.com/ocitags/ocitags/internal/tokenserver"
	"github.com/ocitags/ocitags/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the default transport lead to the mock registry for the hosts of the
// examples, and fails the tests if one of them leaves a goroutine behind. Nobody's own
// credentials are read for these hosts: the file that is named here is the first.
func TestMain(m *testing.M) {
	_ = os.Setenv("REGISTRY_AUTH_FILE", filepath.Join("testdata", "credentials.json"))
	real := defaultTransports()
	pools := wire.Pools{Own: exampleHosts{examples(), real.Own}, Elsewhere: exampleHosts{examples(), real.Elsewhere}}
	defaultTransports = func() wire.Pools { return pools }
	goleak.VerifyTestMain(m)
}

// exampleHosts is a transport for which some hosts are the mock registry.
type exampleHosts struct {
	*regtest.Network
	others http.RoundTripper
}

func (t exampleHosts) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.URL.Host {
	case "registry.gitlab.com", "registry.example":
		return t.Network.RoundTrip(req)
	}
	return t.others.RoundTrip(req)
}

// examples are the registries of the examples: a cache at GitLab with a tag for each
// package, and its index; and one behind a password.
func examples() *regtest.Network {
	cache := regtest.New(regtest.ByName("gitlab-c"))
	for i := range 250 {
		cache.Push("group/cache", fmt.Sprintf("zlib-1.3.1-%04d.spack", i))
	}
	cache.Push("group/cache", "index").Push("group/empty")
	private := regtest.New(regtest.ByName("gitlab-c")).Push("private/app", "1.0", "1.1")
	private.Auth = &regtest.Auth{Username: "robot", Password: "s3cret"}
	return new(regtest.Network).Handle("registry.gitlab.com", cache).Handle("registry.example", private)
}

// quay.go hangs by one call: without the file only that does not compile.
func TestQuayHangsByOneCall(t *testing.T) {
	dir := t.TempDir()
	here, err := filepath.Abs("quay.go")
	require.NoError(t, err)
	without, overlay := filepath.Join(dir, "quay.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{here: without}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(without, []byte("package ocitags\n"), 0o600))
	require.NoError(t, os.WriteFile(overlay, text, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, ".").CombinedOutput()
	require.Error(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 2, "%s", out)
	assert.Equal(t, "# github.com/ocitags/ocitags", lines[0])
	assert.Contains(t, lines[1], "tags.go")
	assert.Contains(t, lines[1], "undefined: jsonPages")
}

// Each package knows only those below it, and what speaks HTTP is few.
func TestArrows(t *testing.T) {
	const module = "github.com/ocitags/ocitags"
	arrows := map[string]string{
		"":                         "bound challenge dockerconfig listing ocierr origin reference retry span taglist token tokenserver weblink wire",
		"/bound":                   "",
		"/challenge":               "field",
		"/conformance":             "",
		"/dedup":                   "",
		"/dockerconfig":            "bound",
		"/dockerconfig/configtest": "",
		"/field":                   "",
		"/listing":                 "bound dedup ocierr order origin reference span split taglist wire",
		"/ocierr":                  "",
		"/order":                   "",
		"/origin":                  "",
		"/readme":                  "",
		"/reference":               "origin",
		"/regtest":                 "",
		"/retry":                   "",
		"/span":                    "order",
		"/split":                   "order",
		"/taglist":                 "",
		"/token":                   "bound challenge",
		"/tokenserver":             "bound ocierr origin taglist token wire",
		"/weblink":                 "field",
		"/wire":                    "bound ocierr origin retry taglist",
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, ".", "./internal/...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		imports := strings.Fields(line)
		name := strings.TrimPrefix(strings.TrimPrefix(imports[0], module), "/internal")
		var own []string
		for _, path := range imports[1:] {
			if path, ok := strings.CutPrefix(path, module+"/internal/"); ok {
				own = append(own, path)
			}
			if path == "net/http" {
				assert.Contains(t, []string{"", "/regtest", "/tokenserver", "/wire"}, name, "net/http")
			}
		}
		want, known := arrows[name]
		assert.True(t, known, "%s is a package of its own: say what it may know", name)
		assert.Equal(t, want, strings.Join(own, " "), name)
	}
}

// A function does one thing, and is read without scrolling.
func TestFunctionsAreShort(t *testing.T) {
	long := map[string]bool{"Profiles": true} // a list
	require.NoError(t, filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"bench", "interop", "testdata"}, entry.Name())):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil || long[f.Name.Name] {
				continue
			}
			branches := 0
			ast.Inspect(f, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt, *ast.CaseClause, *ast.CommClause:
					branches++
				}
				return true
			})
			assert.LessOrEqual(t, fset.Position(f.End()).Line-fset.Position(f.Pos()).Line, 60, "%s: lines of %s", path, f.Name.Name)
			assert.LessOrEqual(t, branches, 20, "%s: branches of %s", path, f.Name.Name)
		}
		return nil
	}))
}

// TestAPI compares the exported declarations with testdata/api.txt: code
// elsewhere is written against them, so that none changes by accident.
func TestAPI(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var decls []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, entry.Name(), nil, parser.SkipObjectResolution) // without comments
		require.NoError(t, err)
		ast.FileExports(file)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				if f.Body = nil; f.Recv != nil && !ast.IsExported(strings.TrimPrefix(types.ExprString(f.Recv.List[0].Type), "*")) {
					continue // a method that an interface asks of a type of our own
				}
			}
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, spec := range g.Specs { // the names, and none of the texts
					spec.(*ast.ValueSpec).Values = nil
					spec.(*ast.ValueSpec).Type = ast.NewIdent("error")
				}
			}
			var b bytes.Buffer
			require.NoError(t, (&printer.Config{Mode: printer.TabIndent, Tabwidth: 8}).Fprint(&b, fset, decl))
			if text := b.String(); text != "" && !strings.HasPrefix(text, "import") {
				decls = append(decls, text)
			}
		}
	}
	slices.Sort(decls)
	const golden = "testdata/api.txt"
	got := strings.Join(decls, "\n\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o666))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run go test -update, and read the difference")
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
	row("response header, error body, token answer", "%s, %s, %s", size(wire.MaxHeader), size(wire.MaxErrorBody), size(tokenserver.MaxAnswer))
	row("one JSON value, nesting", "%s, %d", size(taglist.MaxValue), taglist.MaxDepth)
	row("redirects", "%d", wire.MaxRedirects)
	row("a next link, the URL of a token server", "%s, %s", size(maxLink), size(tokenserver.MaxRealm))
	row("what is read ahead of its turn", "%s; `Client.Concurrency`, %d, and up to %d in long lists: 1 reads nothing ahead", size(listing.MaxAhead), listing.DefaultConcurrency, listing.MaxConcurrency)
	row("attempts of one request", "`Client.MaxAttempts`, %d; a `Retry-After` over %s is an error at once", defaultMaxAttempts, spanOf(wire.MaxRetryAfter))
	row("pages in a row without a new tag", "%d", listing.MaxIdlePages)
	row("a credential file, a helper's answer and time", "%s, %s, %s", size(dockerconfig.MaxFile), size(dockerconfig.MaxHelperOutput), spanOf(dockerconfig.HelperTimeout))
	const file = readme.File("SECURITY.md")
	if *update {
		require.NoError(t, file.Replace("limits", table.String()))
	}
	part, err := file.Part("limits")
	require.NoError(t, err)
	assert.Equal(t, part, table.String(), "run go test -update, and read the difference")
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
