package proxy

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
)

var update = flag.Bool("update", false, "write what the code says into the docs")

const operationsFile = "../docs/OPERATIONS.md"

// between returns what stands between a comment that begins with mark and the
// next one.
func between(t *testing.T, page []byte, mark string) (before, inside, after []byte) {
	t.Helper()
	i := bytes.Index(page, []byte("<!-- "+mark))
	if i < 0 {
		t.Fatalf("docs/OPERATIONS.md has no comment %q", mark)
	}
	i += bytes.IndexByte(page[i:], '\n') + 1
	n := bytes.Index(page[i:], []byte("<!-- end -->"))
	return page[:i], page[i : i+n], page[i+n:]
}

// TestDocsMetrics: the page has every metric, as the table of package metrics
// describes it.
func TestDocsMetrics(t *testing.T) {
	page, err := os.ReadFile(operationsFile)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	want.WriteString("\n| metric | labels | |\n|---|---|---|\n")
	metrics.Describe(&want)
	want.WriteByte('\n')
	before, inside, after := between(t, page, "metrics:")
	switch {
	case bytes.Equal(inside, want.Bytes()):
	case *update:
		if err := os.WriteFile(operationsFile, slices.Concat(before, want.Bytes(), after), 0o644); err != nil { // a page to read
			t.Fatal(err)
		}
	default:
		t.Errorf("the metrics of docs/OPERATIONS.md are out of date (make docs); want\n%s", want.Bytes())
	}
}

// TestDocsLog: the page has every field of an exchange's line in the log, and no
// other.
func TestDocsLog(t *testing.T) {
	page, err := os.ReadFile(operationsFile)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("accesslog.go")
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, m := range regexp.MustCompile(`enc\.Add\w+\("(\w+)"`).FindAllSubmatch(source, -1) {
		fields = append(fields, string(m[1]))
	}
	_, inside, _ := between(t, page, "log fields")
	var described []string
	for line := range strings.Lines(string(inside)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			described = append(described, m[1])
		}
	}
	for _, f := range fields {
		if !slices.Contains(described, f) {
			t.Errorf("docs/OPERATIONS.md does not say what %s is in the log", f)
		}
	}
	for _, f := range described {
		if !slices.Contains(fields, f) {
			t.Errorf("docs/OPERATIONS.md has the log field %s, which there is not", f)
		}
	}
	if len(fields) < 20 {
		t.Errorf("only %d fields were found", len(fields))
	}
}

// TestDocsLimits: the keys that the page talks of are keys of the configuration.
func TestDocsLimits(t *testing.T) {
	page, err := os.ReadFile(operationsFile)
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile("../testdata/config/good-full.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`((?:limits|upstream|shutdown|stream)\\.[a-z_.]+)`").FindAllSubmatch(page, -1) {
		key := string(m[1][bytes.LastIndexByte(m[1], '.')+1:])
		if key != "" && !regexp.MustCompile(`(?m)^\s*#?\s*`+key+`:`).Match(full) {
			t.Errorf("docs/OPERATIONS.md talks of %s, which is no key", m[1])
		}
	}
}
