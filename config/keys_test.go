package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sumOf(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }

func TestKeys(t *testing.T) {
	file := "# keys\n\nalice sk-alice\r\n\t alice\tsha256:" + sumOf("second") + "  # rotated in\n" +
		"B.o_b-2 sk#with$odd:chars\nbob sha256:" + strings.ToUpper(sumOf("third"))
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	f := func(key, want string) {
		t.Helper()
		if got, ok := k.Lookup([]byte(key)); ok != (want != "") || ok && got.Principal != want {
			t.Errorf("%q: got %v, %v", key, got, ok)
		}
	}
	f("sk-alice", "alice")
	f("second", "alice")
	f("sk#with$odd:chars", "B.o_b-2")
	f("third", "bob")
	f("", "")
	f("alice", "")
	f("sk-alice ", "")
	f("sk-alic", "")
	f("sha256:"+sumOf("second"), "")
	f(sumOf("second"), "")
	if k.Len() != 4 {
		t.Errorf("%d keys", k.Len())
	}
	if got := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(got, "map") {
		t.Errorf("hashes in %s", got)
	}
	if _, err := LoadKeys(path + "x"); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("got %v", err)
	}
}

func TestGrants(t *testing.T) {
	k, err := ParseKeys("keys", []byte("a k1\na k2 models=gpt-*,llama3 concurrency=4 tokens_per_minute=1000 # bounded\n"))
	if err != nil {
		t.Fatal(err)
	}
	free, _ := k.Lookup([]byte("k1"))
	bounded, _ := k.Lookup([]byte("k2"))
	for model, want := range map[string]bool{"gpt-9": true, "gpt-": true, "gpt": false, "llama3": true, "llama3.1": false, "": false} {
		if bounded.Allows(model) != want || !free.Allows(model) || !(*Grant)(nil).Allows(model) {
			t.Errorf("%q: %v", model, !want)
		}
	}
	got := bounded.Or(Quota{RequestsPerMinute: 5, TokensPerMinute: 6, Concurrency: 7})
	if got != (Quota{RequestsPerMinute: 5, TokensPerMinute: 1000, Concurrency: 4}) {
		t.Errorf("%+v", got)
	}
}

func TestKeysRefused(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		k, err := ParseKeys("keys", []byte(file))
		if err == nil || k != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: got %v, want %s", file, err, want)
		}
	}
	f("", "keys:1: there is no key in the file")
	f("# nothing\n\n", "keys:2: there is no key in the file")
	f("a x\n"+canary+"\n", "keys:2: write two words")
	f("a "+canary+" y\n", "keys:1: more than two words")
	f("a\n b\n", "keys:2: write two words")
	f("a/b "+canary, "keys:1: a principal consists of")
	f(strings.Repeat("a", 65)+" "+canary, "keys:1: a principal consists of")
	f("a "+canary+"\nb "+canary, "keys:2: this key is in line 1 already")
	f("a "+canary+"\na sha256:"+sumOf(canary), "keys:2: this key is in line 1 already")
	f("a sha256:", "keys:1: after sha256: must stand 64 hex digits, not 0 characters")
	f("a sha256:"+sumOf("x")+"0", "keys:1: after sha256: must stand 64 hex digits, not 65 characters")
	f("a sha256:"+strings.Repeat("g", 64), "keys:1: after sha256: must stand 64 hex digits (0-9")
	f("a "+canary+"é", "keys:1: a key consists of printable ASCII")
	f("a "+canary+"\x00", "keys:1: a key consists of printable ASCII")
	f("a "+strings.Repeat("k", maxKey+1), "keys:1: the key is longer than 1024 bytes")
	f("\ufeffa k", "keys:1: a principal consists of")
	f("a k models=", "keys:1: models= must be followed by")
	f("a k models=x,,y", "keys:1: models= must be followed by")
	f("a k models=x models=y", "keys:1: models= stands twice")
	f("a k concurrency=0", "keys:1: concurrency= must be followed by a number from 1")
	f("a k requests_per_minute=many", "keys:1: requests_per_minute= must be")
	f("a k tokens_per_minute=1 tokens_per_minute=2", "keys:1: tokens_per_minute= stands twice")
	f("a k budget=1", "keys:1: more than two words")
	f(strings.Repeat("x\n", 1000), "… and ")
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("alice sk-1\nbob sha256:" + sumOf("x") + " # c\n\n#"))
	f.Add([]byte("a b c\r\n\x00 \xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := string(data)
		k, err := ParseKeys("f", data)
		if (k == nil) == (err == nil) {
			t.Fatal("neither keys nor an error, or both")
		}
		if string(data) != kept {
			t.Fatal("the data was changed")
		}
		if err != nil {
			return
		}
		for line := range strings.Lines(kept) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0][0] == '#' || strings.HasPrefix(words[1], "sha256:") {
				continue
			}
			if got, ok := k.Lookup([]byte(words[1])); !ok || got.Principal != words[0] {
				t.Fatalf("%q: got %v, %v", line, got, ok)
			}
		}
	})
}
