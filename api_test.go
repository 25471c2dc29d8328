package ocitags

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
		"":                         "bound challenge dedup dockerconfig ocierr order origin reference retry span split taglist token weblink wire",
		"/bound":                   "",
		"/challenge":               "field",
		"/dedup":                   "",
		"/dockerconfig":            "bound",
		"/dockerconfig/configtest": "",
		"/field":                   "",
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
				assert.Contains(t, []string{"", "/regtest", "/wire"}, name, "net/http")
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
	golden(t, "api.txt", strings.Join(decls, "\n\n")+"\n")
}
