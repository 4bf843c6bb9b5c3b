package openaigo

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestVersionsOfClients: docs/CLIENTS.md names the versions that are run.
func TestVersionsOfClients(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	doc, _, _ := strings.Cut(read("../../docs/CLIENTS.md"), "\n## ")
	want := map[string]string{}
	for _, dir := range []string{"node", "codex", "opencode"} {
		var pkg struct{ Dependencies map[string]string }
		if err := json.Unmarshal([]byte(read("../"+dir+"/package.json")), &pkg); err != nil {
			t.Fatal(err)
		}
		for name, version := range pkg.Dependencies {
			want[name] = version
		}
	}
	delete(want, "zod")             // no client
	delete(want, "@langchain/core") // part of one
	sdk := regexp.MustCompile(`openai-go/v3 v([0-9.]+)`).FindStringSubmatch(read("../go.mod"))
	if sdk == nil {
		t.Fatal("go.mod has no openai-go")
	}
	want["openai-go"] = sdk[1]
	for name, version := range want {
		found := false
		for line := range strings.Lines(doc) {
			found = found || strings.Contains(line, strings.TrimPrefix(name, "@")) && strings.Contains(line, version)
		}
		if !found {
			t.Errorf("docs/CLIENTS.md has no line with %s %s", name, version)
		}
	}
}
