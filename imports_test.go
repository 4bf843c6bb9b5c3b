// Package antiphon has no code. Its test holds the packages to the rules of
// docs/ARCHITECTURE.md on who may import whom.
package antiphon

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rules say what a package may import besides the standard library: packages of
// this module without "github.com/antiphon-proxy/antiphon/", and other modules by their path. A package
// that is not listed must be added: that is a decision.
var rules = map[string][]string{
	"translate/jsonx":       {"github.com/tidwall/gjson", "github.com/tidwall/sjson"},
	"translate/sse":         {},
	"translate/streamcheck": {},
	"translate/grammar":     {},
	"translate":             {"translate/grammar", "translate/jsonx", "translate/sse"},
	"translate/schema":      {"translate/jsonx", "github.com/santhosh-tekuri/jsonschema/v6", "github.com/dlclark/regexp2/v2", "golang.org/x/text"},
	"config":                {"translate", "go.yaml.in/yaml/v3"},
	"proxy/store":           {},
	"proxy/store/memory":    {"proxy/store"},
	"proxy/store/bolt":      {"proxy/store", "proxy/store/codec", "go.etcd.io/bbolt"},
	"proxy/store/codec":     {"proxy/store", "github.com/klauspost/compress"},
	"proxy/store/redis":     {"proxy/store", "proxy/store/codec", "github.com/valkey-io/valkey-go"},
	"proxy/store/redistest": {},                                                                         // test support
	"proxy/store/storetest": {"proxy/store", "github.com/anishathalye/porcupine", "pgregory.net/rapid"}, // test support
	"proxy/fetch":           {},
	"proxy/seal":            {"proxy/store"},
	"proxy/redact":          {},
	"proxy/upstream":        {"github.com/valyala/fasthttp", "config", "github.com/klauspost/compress", "golang.org/x/sys/unix"},
	"proxy/upstreamtest":    {}, // test support
	"proxy/zoo":             {}, // test support
	"proxy/metrics":         {},
	"proxy": {
		"config", "translate", "translate/jsonx", "translate/schema", "translate/sse", "proxy/fetch", "proxy/redact", "proxy/seal", "proxy/store", "proxy/upstream", "proxy/metrics",
		"github.com/valyala/fasthttp", "github.com/gobwas/ws", "go.uber.org/zap", "github.com/dgraph-io/ristretto/v2",
		"github.com/klauspost/compress", "golang.org/x/sys/unix",
	},
	"internal/goldencase": {"github.com/rogpeppe/go-internal/txtar"},
	"probe":               {"config", "translate", "translate/sse"},
	"cmd/antiphon":        {"github.com/KimMachineGun/automemlimit/memlimit", "config", "probe", "translate", "translate/jsonx", "translate/sse", "github.com/rogpeppe/go-internal/diff", "internal/goldencase", "proxy", "proxy/redact", "proxy/store", "proxy/store/bolt", "proxy/store/memory", "proxy/store/redis", "go.uber.org/zap"},
}

// pure are packages that touch nothing but their arguments: ids and clocks are
// given to them.
var pure = []string{"translate", "translate/grammar", "translate/jsonx", "translate/sse", "translate/streamcheck"}

var impure = []string{"net", "net/http", "os", "time", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "context", "sync"}

func TestImports(t *testing.T) {
	const module = "github.com/antiphon-proxy/antiphon/"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Module", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		if p.ImportPath == strings.TrimSuffix(module, "/") {
			continue
		}
		allowed, known := rules[name]
		if !known {
			t.Errorf("%s is not in the table of import rules", name)
			continue
		}
		for _, imp := range p.Imports {
			if rest, ours := strings.CutPrefix(imp, module); ours {
				if !slices.Contains(allowed, rest) {
					t.Errorf("%s may not import %s", name, rest)
				}
				continue
			}
			if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
				if !slices.ContainsFunc(allowed, func(a string) bool { return imp == a || strings.HasPrefix(imp, a+"/") }) {
					t.Errorf("%s may not import %s", name, imp)
				}
				continue
			}
			if slices.Contains(pure, name) && slices.Contains(impure, imp) {
				t.Errorf("%s is pure and may not import %s", name, imp)
			}
		}
	}
}
