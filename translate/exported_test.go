package translate

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportedIsDocumented: whoever reads go doc finds a sentence about everything.
// A field may share that of the one on the line before.
func TestExportedIsDocumented(t *testing.T) {
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	check := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		count++
		for _, doc := range docs {
			if doc != nil {
				return
			}
		}
		t.Errorf("%s: %s has no comment", set.Position(name.Pos()), name.Name)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || receives(d.Recv).IsExported() {
					check(d.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range s.Names {
							check(name, d.Doc, s.Doc, s.Comment)
						}
					case *ast.TypeSpec:
						check(s.Name, d.Doc, s.Doc)
						fields, ok := s.Type.(*ast.StructType)
						if !ok || !s.Name.IsExported() {
							continue
						}
						var before *ast.Field
						for _, f := range fields.Fields.List {
							if before != nil && set.Position(before.End()).Line+1 == set.Position(f.Pos()).Line && f.Doc == nil && f.Comment == nil {
								f.Doc = before.Doc
							}
							for _, name := range f.Names {
								check(name, f.Doc, f.Comment)
							}
							before = f
						}
					}
				}
			}
		}
	}
	if count < 300 {
		t.Errorf("only %d are looked at", count)
	}
}

// receives is the name of a receiver's type.
func receives(list *ast.FieldList) *ast.Ident {
	typ := list.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if of, ok := typ.(*ast.IndexExpr); ok {
		typ = of.X
	}
	name, ok := typ.(*ast.Ident)
	if !ok {
		return ast.NewIdent("_")
	}
	return name
}
