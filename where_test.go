package antiphon

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fileName finds names of Go files in a package comment, with * for a part of one.
var fileName = regexp.MustCompile(`[a-z0-9_*]+\.go`)

// TestWhereIs: the list "Where is …?" of a package's doc.go has every file of the
// package, and no file that is gone. A package of three files needs none.
func TestWhereIs(t *testing.T) {
	docs, err := filepath.Glob("*/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*/*/doc.go", "*/*/*/doc.go"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, more...)
	}
	if len(docs) < 10 {
		t.Fatalf("only %d doc.go", len(docs))
	}
	for _, doc := range docs {
		if strings.HasPrefix(doc, "e2e/") {
			continue
		}
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{} // and whether there is such a file
		for _, name := range fileName.FindAllString(string(text), -1) {
			named[name] = false
		}
		files, err := filepath.Glob(filepath.Join(filepath.Dir(doc), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		var count int
		var missing []string
		for _, file := range files {
			base := filepath.Base(file)
			if base == "doc.go" || strings.HasSuffix(base, "_test.go") {
				continue
			}
			count++
			found := false
			for name := range named {
				if ok, _ := path.Match(name, base); ok {
					named[name], found = true, true
				}
			}
			if !found {
				missing = append(missing, base)
			}
		}
		if count > 3 && len(missing) > 0 {
			t.Errorf("%s does not say where these are: %s", doc, strings.Join(missing, " "))
		}
		for name, there := range named {
			if !there && strings.Contains(name, ".go") && !strings.Contains(name, "_test") {
				t.Errorf("%s names %s, which is gone", doc, name)
			}
		}
	}
}
