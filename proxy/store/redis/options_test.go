package redis

import (
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct{ url, prefix, want string }{
		{"redis://localhost", "", ""},
		{"valkey://user:pass@[::1]:7000/3", "p:", ""},
		{"rediss://:pass@host:6380/0?addr=other:6380&addr=third:6380", "", ""},
		{"valkeys://host?skip_verify=true&db=2", "", ""},
		{"redis://one:26379?master_set=mymaster&addr=two:26379", "", ""},

		{"", "", "unknown scheme"},
		{"localhost:6379", "", "unknown scheme"},
		{"http://secret@host", "", `unknown scheme "http"`},
		{"redis:///0", "", "no host"},
		{"redis://user:se%zzcret@host", "", "cannot be read"},
		{"redis://user:se#secret@host", "", ""}, // no host before the '#', or a '#': either is said
		{"redis://host/one", "", "database number"},
		{"redis://host?database=1", "", `unknown parameter "database"`},
		{"redis://host", "a{b}", "braces"},
	} {
		o := Options{URL: c.url, Prefix: c.prefix}
		err := o.Check()
		bad := c.want != "" || strings.Contains(c.url, "#")
		switch {
		case bad && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		case !bad && err != nil:
			t.Errorf("%s: %v", c.url, err)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error has the password: %v", c.url, err)
		}
		if !bad {
			continue
		}
		if _, err := Open(o); err == nil {
			t.Errorf("%s: opened", c.url)
		}
	}
}

func TestTenantPrefix(t *testing.T) {
	s := &Store{prefix: "antiphon:"}
	seen := make(map[string]string)
	for _, tenant := range []string{"", "a", "A", "a}", "a%7D", "{a", "a:b", "\x00antiphon", "ä", "a b", "*", "a*"} {
		p := s.tenantPrefix(tenant)
		if other, there := seen[p]; there {
			t.Errorf("%q and %q have the prefix %q", tenant, other, p)
		}
		seen[p] = tenant
		// The hash tag is what is between the first braces, and must not be empty.
		_, tag, _ := strings.Cut(p, "{")
		tag, rest, _ := strings.Cut(tag, "}")
		if tag == "" || rest != "" || strings.ContainsAny(tag, "*?[] {") {
			t.Errorf("%q has the prefix %q", tenant, p)
		}
	}
	if got := s.tenantPrefix("acme@eu-1"); got != "antiphon:{t:acme@eu-1}" {
		t.Error(got)
	}
}

func TestNewName(t *testing.T) {
	seen := make(map[string]bool)
	digits := make(map[rune]bool)
	for range 10_000 {
		name := newName()
		if len(name) != 12 || seen[name] {
			t.Fatalf("%q", name)
		}
		seen[name] = true
		for _, d := range name {
			digits[d] = true
		}
	}
	if len(digits) != 64 {
		t.Errorf("%d digits", len(digits))
	}
}
