package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const corpus = "../testdata/config"

// canary is a secret: no test output may contain it.
const canary = "sk-canary-1234"

// testEnv is the environment of the corpus.
func testEnv(name string) (string, bool) {
	value, ok := map[string]string{
		"OPENAI_API_KEY": canary,
		"SEAL_KEY":       canary + "-0123456789abcdef0123456789abcdef",
		"SEAL_KEY_OLD":   canary + "-fedcba9876543210fedcba9876543210",
		"HOST":           "localhost",
		"PORT":           "8123",
		"MODEL":          "a ${PORT} b",
		"NUMBER":         "77",
		"EMPTY":          "",
		"NEWLINE":        "x\n",
		"BINARY":         "\xff\xfe",
	}[name]
	return value, ok
}

func parseTest(t *testing.T, name, text string, overrides ...Override) *Config {
	t.Helper()
	c, err := parse(name, []byte(text), overrides, testEnv)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	return c
}

// reload reads a redacted configuration back, with some secret for each that is
// hidden in it.
func reload(t *testing.T, c *Config) *Config {
	t.Helper()
	return parseTest(t, "redacted", unhidden(c.Redacted()))
}

// unhidden puts a secret of its own in place of each that is hidden.
func unhidden(text string) string {
	for i := 0; strings.Contains(text, hidden); i++ {
		text = strings.Replace(text, hidden, fmt.Sprintf("another-secret-%032d", i), 1)
	}
	return text
}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(corpus + "/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	good, bad := 0, 0
	for _, path := range files {
		name := filepath.Base(path)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(name, data, nil, testEnv)
		if strings.HasPrefix(name, "good-") {
			good++
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			if strings.Contains(c.Redacted(), canary) {
				t.Errorf("%s: a secret in %s", name, c.Redacted())
			}
			if again := reload(t, c); again.Redacted() != c.Redacted() {
				t.Errorf("%s: the redacted view changes when it is loaded:\n%s\n---\n%s", name, c.Redacted(), again.Redacted())
			}
			continue
		}
		bad++
		first, _, _ := bytes.Cut(data, []byte("\n"))
		want, ok := strings.CutPrefix(string(first), "# error: ")
		switch {
		case !ok:
			t.Errorf("%s: the first line must be # error: …", name)
		case err == nil:
			t.Errorf("%s: accepted; want error %q", name, want)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%s:\n got %v\nwant %s", name, err, want)
		case !regexp.MustCompile(`^` + regexp.QuoteMeta(name) + `:\d+: `).MatchString(err.Error()):
			t.Errorf("%s: no file and line in %q", name, err)
		case strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "sk-live"):
			t.Errorf("%s: a secret in %q", name, err)
		}
	}
	if good < 12 || bad < 40 {
		t.Errorf("corpus has %d good and %d bad files", good, bad)
	}
}

func TestGoodValues(t *testing.T) {
	load := func(name string) *Config {
		t.Helper()
		data, err := os.ReadFile(corpus + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return parseTest(t, name, string(data))
	}
	c := load("good-units.yml")
	if c.Limits.Body != 1_500_000 || c.Limits.Upload != 3_000_000_000 || c.Limits.ReadTimeout.String() != "1m30s" ||
		c.Store.MaxBytes != 3*GiB/2 || c.Store.HistoryCacheBytes != 0 || c.Stream.Heartbeat != 0 || c.Shutdown.Delay.String() != "5s" {
		t.Errorf("good-units: %v", c)
	}
	u := load("good-env.yml").Upstream
	if u.URL != "http://localhost:8123/v1" || u.Headers["X-Token"].Reveal() != "Bearer "+canary ||
		u.Headers["X-Literal"].Reveal() != "${PORT} $PORT $" || u.Models["big"] != "a ${PORT} b" || u.Models["dollar"] != "${MODEL}" {
		t.Errorf("good-env: %+v", u)
	}
	if c := load("good-crlf.yml"); c.Listen != "127.0.0.1:1" || c.Log.Level != LogWarn {
		t.Errorf("good-crlf: %v", c)
	}
	for _, name := range []string{"good-empty.yml", "good-zero-bytes.yml", "good-sections-without-keys.yml"} {
		if got, want := load(name).Redacted(), Default().Redacted(); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
	u = load("good-overrides.yml").Upstream
	d, err := u.EffectiveDialect()
	if err != nil || d.Name != "fireworks" || strings.Join(d.ExtraParams, " ") != "guided_json stop" || d.Tools.NameMax != 128 ||
		d.Reasoning.Efforts["minimal"] != "" || d.Reasoning.Efforts["ultra"] != "high" || d.Reasoning.Efforts["max"] != "high" {
		t.Errorf("good-overrides: %+v (%v)", d, err)
	}
}

func TestSeveralErrorsInOrder(t *testing.T) {
	_, err := parse("f", []byte("loss: x\nfoo: {a: 1, b: 2}\nlisten: [a]\n"), nil, testEnv)
	got := regexp.MustCompile(`(?m)^f:\d+: \w+`).FindAllString(err.Error(), -1)
	if want := []string{"f:1: loss", "f:2: foo", "f:3: listen"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v\n%v", got, want, err)
	}
	_, err = parse("f", []byte(strings.Repeat("? [a]\n", 1000)), nil, testEnv)
	if n := strings.Count(err.Error(), "\n"); n > maxErrors {
		t.Errorf("%d lines of errors", n)
	}
}

// The reference mentions every key, and what it doesn't call an example is the
// default.
func TestReference(t *testing.T) {
	data, err := os.ReadFile(corpus + "/good-full.yml")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	keys := allKeys(reflect.TypeFor[Config](), "")
	for f := range fields(reflect.TypeFor[overridable]()) {
		keys = append(keys, bitPaths(f.typ, "upstream.overrides."+f.key+".")...)
	}
	if len(keys) < 100 {
		t.Fatalf("only %d keys found", len(keys))
	}
	for _, key := range keys {
		var here any = document
		for part := range strings.SplitSeq(key, ".") {
			section, _ := here.(map[string]any)
			value, ok := section[part]
			if !ok {
				t.Errorf("good-full.yml does not have %s", key)
				break
			}
			here = value
		}
	}
	for i, line := range strings.Split(string(data), "\n") {
		scalar := regexp.MustCompile(`^\s*[\w-]+: *[^\s#]`).MatchString(line)
		if scalar && !strings.Contains(line, "#") && !commented(string(data), i) {
			t.Errorf("good-full.yml:%d: no comment: %s", i+1, line)
		}
	}

	c := parseTest(t, "good-full.yml", string(data))
	got, err := c.Upstream.EffectiveDialect()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := Default().Upstream.EffectiveDialect()
	want.ExtraParams = append(want.ExtraParams, "top_k")
	want.Reasoning.Efforts = map[string]string{"minimal": "low"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("overrides of the reference are not the generic preset:\n got %+v\nwant %+v", got, want)
	}
	u := &c.Upstream
	u.Key, u.Headers, u.Models, u.Overrides, u.Fallback = Secret{}, nil, nil, Overrides{}, nil
	if spare := c.Upstreams["spare"]; spare.URL != "http://127.0.0.1:8001" || len(spare.Serves) != 2 || spare.Timeouts != Default().Upstream.Timeouts {
		t.Errorf("the further upstream: %+v", spare)
	}
	c.Upstreams = nil
	if len(c.Seal.Keys) != 2 || c.Seal.Keys[0].Reveal() == c.Seal.Keys[1].Reveal() {
		t.Error("the keys of seal are not the two of the reference")
	}
	c.Seal.Keys = nil
	if got, want := c.Redacted(), Default().Redacted(); got != want {
		t.Errorf("the reference does not show the defaults:\n got %s\nwant %s", got, want)
	}
}

// bitPaths lists the names of all bits in and below a type.
func bitPaths(typ reflect.Type, prefix string) []string {
	var paths []string
	for _, name := range bitNames(typ) {
		paths = append(paths, prefix+name)
	}
	if isSection(typ) {
		for f := range fields(typ) {
			paths = append(paths, bitPaths(f.typ, prefix+f.key+".")...)
		}
	}
	return paths
}

// commented reports whether a comment stands above line i, or on a line above
// of the same block of lines.
func commented(text string, i int) bool {
	lines := strings.Split(text, "\n")
	for ; i >= 0 && strings.TrimSpace(lines[i]) != ""; i-- {
		if strings.HasPrefix(strings.TrimSpace(lines[i]), "#") {
			return true
		}
	}
	return false
}

func TestDefault(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if w := c.Warnings(); w != nil {
		t.Errorf("warnings about the defaults: %q", w)
	}
	if c.Admin != "" {
		t.Error("the admin listener must be off by default")
	}
	empty, err := Load("")
	if err != nil || empty.Redacted() != c.Redacted() {
		t.Errorf("Load of nothing: %v", err)
	}
}

func TestValidateOfProgram(t *testing.T) {
	f := func(want string, change func(c *Config)) {
		t.Helper()
		c := Default()
		change(c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	f("loss: unknown value", func(c *Config) { c.Loss = "" })
	f("stream.obfuscation: unknown", func(c *Config) { c.Stream.Obfuscation = "x" })
	f("upstream.key: must consist", func(c *Config) { c.Upstream.Key = NewSecret("a\r\nb") })
	f("upstream.headers.X: the value", func(c *Config) { c.Upstream.Headers = map[string]Secret{"X": NewSecret("a\nb")} })
	f("limits.body: 0 is out of range", func(c *Config) { c.Limits.Body = 0 })
	f("upstream.dialect: unknown dialect", func(c *Config) { c.Upstream.Dialect = "x" })
}

func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	if err := os.WriteFile(path, []byte("listen: 127.0.0.1:1\nloss: strict\nlog: {level: debug}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, Override{"listen", "127.0.0.1:2", "--listen"}, Override{"listen", "127.0.0.1:3", "--listen"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:3" || c.Loss != LossStrict || c.Log.Level != LogDebug || c.Log.Format != DefaultLogFormat {
		t.Errorf("got %v", c)
	}
	if _, err := Load(path + "x"); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder was loaded")
	}
}

func TestLargeFile(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("#\n", maxFileSize)))
	if err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("got %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, problem := expand(text, testEnv)
		if problem != "" || got != want {
			t.Errorf("%q: got %q (%s), want %q", text, got, problem, want)
		}
		if back, problem := expand(escapeReferences(want), testEnv); back != want || problem != "" {
			t.Errorf("%q escaped reads back as %q", want, back)
		}
	}
	f("", "")
	f("plain $PORT $ $$ }{", "plain $PORT $ $$ }{")
	f("${PORT}", "8123")
	f("a${PORT}b${PORT}c", "a8123b8123c")
	f("$${PORT}", "${PORT}")
	f("$$${PORT}", "$${PORT}")
	f("$${${PORT}", "${8123")
	f("${MODEL}", "a ${PORT} b") // once only
	f("${EMPTY}", "")

	c := parseTest(t, "good-env", `{listen: "0.0.0.0:${PORT}", upstream: {key: "${OPENAI_API_KEY}"}, limits: {items: "${NUMBER}"}}`)
	if c.Listen != "0.0.0.0:8123" || c.Upstream.Key.Reveal() != canary || c.Limits.Items != 77 {
		t.Errorf("got %v", c)
	}
	t.Setenv("ANTIPHON_TEST_KEY", canary)
	c, err := Parse("f", []byte("upstream: {key: '${ANTIPHON_TEST_KEY}'}"))
	if err != nil || c.Upstream.Key.Reveal() != canary {
		t.Errorf("the process's environment is not used: %v", err)
	}
}

func TestRedactedAndDigest(t *testing.T) {
	const file = `
upstream:
  url: https://example.com/v1?api-version=2024&key=%s&%s
  key: %[1]s
  headers: {X-Token: %[1]s}
`
	c := parseTest(t, "a", fmt.Sprintf(file, canary, canary))
	other := parseTest(t, "b", fmt.Sprintf(file, "other", "other"))
	for _, text := range []string{
		c.Redacted(), fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, c, *c, c, *c),
	} {
		if strings.Contains(text, canary) {
			t.Errorf("a secret in %s", text)
		}
	}
	encoded, err := yaml.Marshal(c)
	if err != nil || bytes.Contains(encoded, []byte(canary)) {
		t.Errorf("a secret in %s (%v)", encoded, err)
	}
	if !strings.Contains(c.Redacted(), "url: https://example.com/v1?api-version=2024&key=<secret>&<secret>\n") {
		t.Errorf("got %s", c.Redacted())
	}
	if c.Digest() != other.Digest() || len(c.Digest()) != 2*digestSize {
		t.Errorf("digests %s and %s", c.Digest(), other.Digest())
	}
	if c.Digest() == Default().Digest() {
		t.Error("different configurations have one digest")
	}
	if _, err := Parse("f", []byte(c.Redacted())); err == nil || !strings.Contains(err.Error(), "placeholder") {
		t.Errorf("redacted secrets are taken for real ones: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got := parseTest(t, "f", text).Warnings()
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
			return
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: got %q, want %q", text, got[i], want[i])
			}
		}
	}
	f(`{listen: "0.0.0.0:80"}`, "listen: anyone who can reach 0.0.0.0:80 can use")
	f(`{listen: ":80", upstream: {key: x}}`, "listen: anyone who can reach :80 spends upstream.key")
	f(`{listen: ":80", upstream: {key: x}, auth: {api_keys_file: k}}`)
	f(`{listen: "localhost:80", upstream: {key: x}}`)
	f(`{listen: "[::1]:80"}`)
	f(`{auth: {api_keys_file: k}, upstream: {url: "https://example.com"}}`, "upstream.key: not set")
	f(`{auth: {api_keys_file: k}}`)
	f(`{admin: ":9090"}`, "admin: metrics and profiles")
	f(`{upstream: {url: "http://example.com", key: x}}`, "upstream.url: upstream.key travels in clear")
	f(`{upstream: {name_prefix: true}}`, "upstream.name_prefix: says nothing")
	f(`{upstream: {api: responses, name_prefix: true}}`)
	f(`{upstream: {url: "http://10.1.2.3", key: x}}`)
	f(`{upstream: {url: "http://vllm:8000", key: x}}`)
	f(`{upstream: {url: "https://x", tls: {insecure_skip_verify: true}}}`, "upstream.tls.insecure_skip_verify")
	f(`{upstream: {url: "https://x.openai.azure.com"}}`, "upstream.url: Azure's path")
	f(`{upstream: {overrides: {reasoning: {efforts: {minmal: low, high: max}}}}}`, `upstream.overrides.reasoning.efforts: "minmal"`)
	f(`{upstream: {connections: {max: 10}}}`, "upstream.connections.max")
	f(`{store: {kind: "bolt:x", max_bytes: 32MiB, max_disk_bytes: 100MiB}}`, "store.max_disk_bytes: smaller than twice limits.body")
	f(`{store: {max_bytes: 32MiB}}`, "store.max_bytes: smaller than limits.body", "store.max_bytes: smaller than upstream")
}

func TestHeaderAndKey(t *testing.T) {
	f := func(text, name, value string) {
		t.Helper()
		c := parseTest(t, "f", text)
		gotName, gotValue, ok := c.Upstream.AuthHeader()
		if ok != (name != "") || gotName != name || gotValue.Reveal() != value {
			t.Errorf("%s: got %s: %s", text, gotName, gotValue.Reveal())
		}
	}
	f("{}", "", "")
	f("upstream: {key: k}", "Authorization", "Bearer k")
	f("upstream: {key: k, key_header: api-key}", "api-key", "k")
	f("upstream: {key: Basic x, key_header: Authorization}", "Authorization", "Basic x")
}
