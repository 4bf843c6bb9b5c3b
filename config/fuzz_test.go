package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzLoad: any text is refused with places, or is a valid configuration that
// says the same when it is printed and read again.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob(corpus + "/*.yml")
	if err != nil || len(files) == 0 {
		f.Fatal("no corpus")
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	placed := regexp.MustCompile(`^f:[1-9]\d*: `)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("f", data, nil, testEnv)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !placed.MatchString(line) && !strings.HasPrefix(line, "… and ") {
					t.Fatalf("no place: %q", line)
				}
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("loaded, but not valid: %v", err)
		}
		if _, err := c.Upstream.Target(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Upstream.EffectiveDialect(); err != nil {
			t.Fatal(err)
		}
		_ = c.Warnings()
		printed := c.Redacted()
		again, err := parse("g", []byte(unhidden(printed)), nil, testEnv)
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		if again.Redacted() != printed {
			t.Fatalf("printed:\n%s\nread back:\n%s", printed, again.Redacted())
		}
	})
}

// FuzzOverride: any value for any key is refused, or survives printing.
func FuzzOverride(f *testing.F) {
	keys := allKeys(reflect.TypeFor[Config](), "")
	keys = append(keys, "upstream.models.a.b", "upstream.headers.X-Foo", "upstream.overrides.reasoning.efforts.low")
	values := []string{"", "x", "30s", "64MiB", "true", "null", "~", "${PORT}", "$${X}", "a: b", "- a", "#", "'", "\"", "{}",
		"http://h/v1?a=${OPENAI_API_KEY}", "127.0.0.1:1", "\u00a0", "\u2028", "0x1f", "1_0", "<<", "=", "!!str", "|", "2024-01-01", "é\U0001f600"}
	for i := range keys {
		f.Add(uint8(i), values[i%len(values)])
	}
	for i, key := range keys {
		if slices.Contains([]string{"upstream.models.a.b", "upstream.url", "upstream.key"}, key) {
			for _, value := range values {
				f.Add(uint8(i), value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, value string) {
		key := keys[int(i)%len(keys)]
		c, err := parse("", nil, []Override{{key, value, "--set"}}, testEnv)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "--set: ") {
				t.Fatal(err)
			}
			return
		}
		printed := c.Redacted()
		again, err := parse("g", []byte(unhidden(printed)), nil, testEnv)
		if err != nil {
			t.Fatalf("%s=%q: %v\n%s", key, value, err, printed)
		}
		if again.Redacted() != printed {
			t.Fatalf("printed:\n%s\nread back:\n%s", printed, again.Redacted())
		}
		if key == "upstream.models.a.b" && again.Upstream.Models["a.b"] != c.Upstream.Models["a.b"] {
			t.Fatalf("%q became %q", c.Upstream.Models["a.b"], again.Upstream.Models["a.b"])
		}
	})
}
