package config

import (
	"strings"
	"testing"
)

func TestStoreRedacted(t *testing.T) {
	for kind, want := range map[string]string{
		"memory":                                "memory",
		"redis://localhost":                     "redis://localhost",
		"redis://user@localhost/1":              "redis://user@localhost/1",
		"redis://:hunter2@localhost":            "redis://:<secret>@localhost",
		"rediss://u:hunter2@h:1/2?addr=u@other": "rediss://u:<secret>@h:1/2?addr=u@other",
		"redis://u:hunt@er2@h":                  "redis://u:<secret>@h",
	} {
		s := Store{Kind: kind}
		if got := s.Redacted(); got != want || strings.Contains(got, "hunt") {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}

func TestStoreWarnings(t *testing.T) {
	for kind, want := range map[string]bool{
		"memory": false, "redis://localhost": false, "redis://10.0.0.1": false, "rediss://redis.example.com": false,
		"redis://:hunter2@redis.example.com": true,
	} {
		c := Default()
		c.Store.Kind = kind
		got := false
		for _, w := range c.Warnings() {
			got = got || strings.Contains(w, "clear text to redis.example.com")
			if strings.Contains(w, "hunter2") {
				t.Errorf("%s: the warning has the password: %s", kind, w)
			}
		}
		if got != want {
			t.Errorf("%s: warned: %v", kind, got)
		}
	}
}

// TestNotes: what clients carry ends with a process that has no keys of its own.
func TestNotes(t *testing.T) {
	for kind, want := range map[string]int{"memory": 1, "redis://localhost": 0} {
		c := Default()
		c.Store.Kind = kind
		if got := c.Notes(); len(got) != want {
			t.Errorf("%s: %q", kind, got)
		}
	}
	if got := parseTest(t, "f", `{seal: {keys: [seal-secret-seal-secret-seal-secret-1]}}`).Notes(); got != nil {
		t.Errorf("with a key: %q", got)
	}
}
