package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSecretsAreAllOfTheOperators(t *testing.T) {
	c, err := Parse("f", []byte(`
upstream: {url: "https://h.example/v1?api-version=2024-06-01&code=query%2Dsecret-1", key: key-secret-1, headers: {X-Token: Bearer head-secret-1, X-Short: "on"}}
upstreams: {other: {url: "https://o.example", serves: [m], key: key-secret-2}}
seal: {keys: [seal-secret-seal-secret-seal-secret-1]}
store: {kind: "redis://user:pass%40word-1@db.example:6379/0"}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Secrets()
	for _, want := range []string{
		"key-secret-1", "key-secret-2", "Bearer head-secret-1", "head-secret-1", "query%2Dsecret-1", "query-secret-1",
		"seal-secret-seal-secret-seal-secret-1", "pass@word-1", "pass%40word-1", "redis://user:pass%40word-1@db.example:6379/0",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among the secrets", want)
		}
	}
	for _, no := range []string{"on", "2024-06-01", "user", ""} {
		if slices.Contains(got, no) {
			t.Errorf("%q is taken for a secret", no)
		}
	}
	if got := Default().Secrets(); len(got) > 0 {
		t.Errorf("the defaults have secrets: %q", got)
	}
}

func TestStoreIsRedacted(t *testing.T) {
	for kind, want := range map[string]string{
		"memory":                   "memory",
		"bolt:/var/a@b:c":          "bolt:/var/a@b:c",
		"redis://localhost:6379/1": "redis://localhost:6379/1",
		"redis://u:pw@h/1":         "redis://u:<secret>@h/1",
		"valkeys://:p@w@h?addr=h2:1&password=x&token": "valkeys://:<secret>@h?addr=h2:1&password=<secret>&token",
		"redis://u:@h": "redis://u:@h",
	} {
		s := Store{Kind: kind}
		if got := s.Redacted(); got != want {
			t.Errorf("%s is shown as %s, not %s", kind, got, want)
		}
		if s.HasPassword() != (kind != want) {
			t.Errorf("%s: HasPassword is %v", kind, s.HasPassword())
		}
	}
}

func TestSecretsOnTheCommandLineAreWarnedOf(t *testing.T) {
	t.Setenv("ANTIPHON_TEST_STORE", "redis://:hunter2@127.0.0.1")
	file := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(file, []byte("redis://:hunter2@127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		key  string // that is warned of
	}{
		{[]string{"--store", "redis://:hunter2@127.0.0.1"}, "store.kind"},
		{[]string{"--set", "store.kind=redis://:hunter2@127.0.0.1"}, "store.kind"},
		{[]string{"--set", "upstream.key=hunter2"}, "upstream.key"},
		{[]string{"--set", "upstream.headers.X-Key=hunter2"}, "upstream.headers.X-Key"},
		{[]string{"--upstream", "https://h.example/v1?key=hunter2"}, "upstream.url"},
		{[]string{"--set", "seal.keys=hunter2hunter2hunter2hunter2hunter2"}, "seal.keys"},
		{[]string{"--store", "redis://127.0.0.1"}, ""},
		{[]string{"--store-env", "ANTIPHON_TEST_STORE"}, ""},
		{[]string{"--store-file", file}, ""},
		{[]string{"--set", "upstream.key=${ANTIPHON_TEST_STORE}"}, ""},
	} {
		f, err := parseFlags(t, test.args...)
		if err != nil {
			t.Fatal(test.args, err)
		}
		c, err := f.Load()
		if err != nil {
			t.Fatal(test.args, err)
		}
		warned := ""
		for _, w := range c.Warnings() {
			if key, _, ok := strings.Cut(w, ": the secret stands on the command line"); ok {
				warned = key
			}
			if strings.Contains(w, "hunter2") {
				t.Errorf("%q: the warning has the secret: %s", test.args, w)
			}
		}
		if warned != test.key {
			t.Errorf("%q: warned of %q", test.args, warned)
		}
		if strings.Contains(test.args[0], "store-") && !c.Store.HasPassword() {
			t.Errorf("%q: the store is %s", test.args, c.Store.Redacted())
		}
	}
	for _, args := range [][]string{{"--store-env", "redis://:hunter2@h"}, {"--store-file", file + "-none"}, {"--store-file", os.DevNull}} {
		if _, err := parseFlags(t, args...); err == nil || strings.Contains(err.Error(), "hunter2") && !strings.Contains(args[1], "hunter2") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
