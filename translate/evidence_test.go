package translate

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// evidence is a comment that says where something is known from: a page, an issue, a
// file, a capture or the survey, or that it is not.
var evidence = regexp.MustCompile(`[a-z0-9-]+\.(com|ai|io|dev|cn|net|pm|rs)(/|\))|#\d|(PEERS|SPEC) §|UPSTREAMS|captures? (llama|ollama)-|\.(py|go|cpp|ts|mdx?|json|yaml)\b|not documented`)

// presetEvidence reads the table of presets: the evidence beside each field, by preset
// and by the field's configuration key. Each field is to be set on its own, with its own
// comment above it.
func presetEvidence(t *testing.T) map[string]map[string]string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "dialect_table.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	above := map[int]string{} // by the line under it
	for _, group := range file.Comments {
		above[fset.Position(group.End()).Line+1] = strings.Join(strings.Fields(group.Text()), " ")
	}
	all := map[string]map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		name, isName := call.Args[0].(*ast.BasicLit)
		change, isChange := call.Args[1].(*ast.FuncLit)
		if fun, isIdent := call.Fun.(*ast.Ident); !isIdent || fun.Name != "preset" || !isName || !isChange {
			return true
		}
		fields := map[string]string{}
		for _, stmt := range change.Body.List {
			place := fset.Position(stmt.Pos())
			assign, ok := stmt.(*ast.AssignStmt)
			if !ok || len(assign.Lhs) != 1 {
				t.Errorf("%s: one field at a time", place)
				continue
			}
			var path []string
			for x := assign.Lhs[0]; ; {
				field, ok := x.(*ast.SelectorExpr)
				if !ok {
					break
				}
				path, x = append(path, field.Sel.Name), field.X
			}
			slices.Reverse(path)
			why := above[place.Line]
			if !evidence.MatchString(why) {
				t.Errorf("%s: no evidence for %s above it: %q", place, strings.Join(path, "."), why)
			}
			fields[strings.Join(path, ".")] = why
		}
		all[strings.Trim(name.Value, `"`)] = fields
		return false
	})
	return all
}

// TestEveryFieldHasEvidence: what a preset says otherwise than generic has evidence of
// its own beside it, and there is none for what it does not say.
func TestEveryFieldHasEvidence(t *testing.T) {
	known := presetEvidence(t)
	if len(known) != len(presets)-1 {
		t.Errorf("evidence of %d presets of %d", len(known), len(presets)-1)
	}
	plain := preset("", func(*Dialect) {})
	assumed := map[string]string{}
	for _, f := range presetFields(t, &plain) {
		assumed[f.name] = f.json
	}
	for i := range presets[1:] {
		d := &presets[1+i]
		fields := map[string]string{}
		for path, why := range known[d.Name] {
			fields[fieldKey(path)] = why
		}
		for _, f := range presetFields(t, d) {
			_, has := fields[f.name]
			if differs := f.json != assumed[f.name]; differs != has {
				t.Errorf("%s: %s is %q, and %q in generic; evidence: %v", d.Name, f.name, f.json, assumed[f.name], has)
			}
			delete(fields, f.name)
		}
		if len(fields) > 0 {
			t.Errorf("%s: no such fields: %v", d.Name, slices.Sorted(maps.Keys(fields)))
		}
	}
}

// fieldKey is the configuration's key of a field, as presetFields writes it.
func fieldKey(path string) string {
	names := strings.Split(path, ".")
	for i := range names {
		names[i] = snake(names[i])
	}
	return strings.Join(names, ".")
}

// evidenceTable has a row for each field that a preset says otherwise than generic.
func evidenceTable(t *testing.T, b *bytes.Buffer) {
	t.Helper()
	known := presetEvidence(t)
	b.WriteString("| preset | field | where that is known from |\n|---|---|---|\n")
	for i := range presets {
		why := map[string]string{}
		for path, text := range known[presets[i].Name] {
			why[fieldKey(path)] = text
		}
		for _, f := range presetFields(t, &presets[i]) {
			if text, ok := why[f.name]; ok {
				fmt.Fprintf(b, "| %s | `%s` | %s |\n", presets[i].Name, f.name, strings.ReplaceAll(text, "|", `\|`))
			}
		}
	}
}
