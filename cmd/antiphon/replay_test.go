package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/internal/goldencase"
)

// TestReplayCorpus replays every golden case: none fails, and the request that goes
// to the backend is the one that the case has, with all its options.
func TestReplayCorpus(t *testing.T) {
	paths, _ := filepath.Glob("../../testdata/cases/*/*.txtar")
	if len(paths) < 1000 {
		t.Errorf("only %d cases", len(paths))
	}
	for _, path := range paths {
		c, err := goldencase.Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		var out, errs bytes.Buffer
		if code := run([]string{"replay", path}, &out, &errs); code != exitOK {
			t.Errorf("%s: exit %d: %s", path, code, errs.String())
			continue
		}
		if c.Arrow == goldencase.ResponsesResponses {
			continue // the request goes up as it is
		}
		if c.File("kept.json") != nil {
			if !strings.Contains(errs.String(), "kept.json is not replayed") {
				t.Errorf("%s: %s", path, errs.String())
			}
			continue
		}
		want := string(c.File("out/chat.json")) + string(c.File("out/responses.json"))
		_, got, ok := strings.Cut(out.String(), " request --\n")
		if got, _, _ = strings.Cut(got, "\n-- "); !ok || want == "" {
			if ok && want == "" || !ok && want != "" {
				t.Errorf("%s: a request is made: %v, recorded: %v", path, ok, want != "")
			}
			continue
		}
		if strings.TrimSpace(got) != strings.TrimSpace(want) && !strings.Contains(string(c.File("client.json")), "fetchable") {
			t.Errorf("%s: the request is\n%s\nthe case has\n%s", path, got, want)
		}
		if c.Options.Loss == "strict" || strings.Contains(string(c.File("client.json")), "fetchable") {
			continue
		}
		if lost := c.File("out/losses") != nil; lost == strings.Contains(errs.String(), "Nothing is lost.") {
			t.Errorf("%s: something is lost: %v; replay says %s", path, lost, errs.String())
		}
	}
}

// TestReplayRefuses: what a recording says and replay does not know is an error.
func TestReplayRefuses(t *testing.T) {
	const client = "-- client.json --\n{\"model\":\"m\",\"input\":\"x\"}\n"
	for _, c := range []struct{ text, want string }{
		{"-- options --\nset: imagse=false\n" + client, "imagse: there is no such field"},
		{"-- options --\nset: images=no\n" + client, "not true or false"},
		{"-- options --\nset: system_messages=nowhere\n" + client, "anywhere, head, user"},
		{"-- options --\nset: accepts.warmth=false\n" + client, "warmth"},
		{"-- options --\nset: responses.complete=maybe\n" + client, "not true or false"},
		{"-- options --\nfact: images=false\n" + client, `there is no option "fact"`},
		{"-- options --\ndialect: nobody\n" + client, "dialect"},
		{"-- options --\nloss: some\n" + client, "loss"},
		{"-- facts --\nimages=false\n" + client, "facts is not a file of a case"},
		{client + "-- upstream.err --\nteapot\n", "status"},
		{"-- client.json --\n{\"model\":\"m\"}\n", "input"}, // it is refused, and does not say so
	} {
		path := filepath.Join(t.TempDir(), "case.txtar")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := run([]string{"replay", path}, &out, &errs); code != exitError || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%q: exit %d, %s; want %s", c.text, code, errs.String(), c.want)
		}
	}
}

// TestReplaySet: what a recording sets has its effect.
func TestReplaySet(t *testing.T) {
	for _, c := range []struct{ set, client, without, with string }{
		{"accepts.temperature=false", `{"model":"m","input":"x","temperature":1}`, `"temperature"`, ``},
		{"accepts=temperature:false", `{"model":"m","input":"x","temperature":1}`, `"temperature"`, ``},
		{"max_tokens_field=max_completion_tokens", `{"model":"m","input":"x","max_output_tokens":99}`, ``, `"max_completion_tokens"`},
		{"extra_params=zz", `{"model":"m","input":"x","zz":1}`, ``, `"zz"`},
		{"extra_params.zz=true", `{"model":"m","input":"x","zz":1}`, ``, `"zz"`},
		{"reasoning.efforts=low:tiny", `{"model":"m","input":"x","reasoning":{"effort":"low"}}`, ``, `"tiny"`},
		{"responses.penalties=false", `{"model":"m","messages":[{"role":"user","content":"x"}],"presence_penalty":1}`, `"presence_penalty"`, ``},
	} {
		for _, set := range []bool{false, true} {
			text := "-- options --\nloss: warn\n"
			has, hasNot := c.without, c.with
			if set {
				text += "set: " + c.set + "\n"
				has, hasNot = hasNot, has
			}
			path := filepath.Join(t.TempDir(), "case.txtar")
			if err := os.WriteFile(path, []byte(text+"-- client.json --\n"+c.client+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := run([]string{"replay", path}, &out, &errs); code != exitOK {
				t.Errorf("%s: %s", c.set, errs.String())
			}
			if !strings.Contains(out.String(), has) || hasNot != "" && strings.Contains(out.String(), hasNot) {
				t.Errorf("%s, set %v:\n%s", c.set, set, out.String())
			}
		}
	}
}
