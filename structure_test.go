package antiphon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goFiles parses the files of a directory and those below it, but not tests.
func goFiles(t *testing.T, root string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files[filepath.ToSlash(path)] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestStructs: a struct that has more fields than one can keep in mind is divided into
// parts.
func TestStructs(t *testing.T) {
	t.Parallel()
	const most = 25
	larger := []string{
		"proxy/metrics/metrics.go Metrics", // one field for each metric
		"proxy/zoo/habits.go Habits",       // test support: one for each habit
		"proxy/server.go Server",
	}
	for path, f := range goFiles(t, "proxy") {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, _ := n.(*ast.TypeSpec)
			if spec == nil {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				fields := 0
				for _, field := range s.Fields.List {
					fields += max(1, len(field.Names))
				}
				if name := path + " " + spec.Name.Name; fields > most && !slices.Contains(larger, name) {
					t.Errorf("%s has %d fields, more than %d", name, fields, most)
				}
			}
			return true
		})
	}
}

// TestOneReadLoop: the replies of upstreams are read by the pump (proxy/pump.go) and its
// sources. What is passed on unread has a loop of its own.
func TestOneReadLoop(t *testing.T) {
	t.Parallel()
	readers := []string{"proxy/pump.go", "proxy/chat_choices.go", "proxy/inband_passing.go"}
	for path, f := range goFiles(t, "proxy") {
		if strings.HasPrefix(path, "proxy/upstream") || slices.Contains(readers, path) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, _ := n.(*ast.CallExpr)
			if call == nil {
				return true
			}
			read, _ := call.Fun.(*ast.SelectorExpr)
			if read == nil || read.Sel.Name != "Read" {
				return true
			}
			of, name := read.X, ""
			switch of := of.(type) {
			case *ast.Ident:
				name = of.Name
			case *ast.SelectorExpr:
				name = of.Sel.Name
			}
			if name == "up" {
				t.Errorf("%s reads an upstream: that is the pump's to do", path)
			}
			return true
		})
	}
}
