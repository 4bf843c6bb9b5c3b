package translate

import (
	"strings"
	"testing"
)

// TestFormatRepair: the demand for a better answer follows the answer, and keeps
// the order of roles.
func TestFormatRepair(t *testing.T) {
	for _, c := range []struct{ chat, answer, want string }{
		{`{"model":"m","messages":[{"role":"user","content":"U]"}],"x":[1]}`, `{"a":"\"`, `{"model":"m","messages":[{"role":"user","content":"U]"},` +
			`{"role":"assistant","content":"{\"a\":\"\\\""},{"role":"user","content":"…"}],"x":[1]}`},
		{`{"messages":[{"role":"tool","content":"O"}]}`, " \n", `{"messages":[{"role":"tool","content":"O"},{"role":"user","content":"…"}]}`},
		{`{"messages":[{"role":"assistant","content":"A"}]}`, "x", `{"messages":[{"role":"assistant","content":"A"},{"role":"user","content":"…"}]}`},
	} {
		var losses Losses
		got := string(AppendFormatRepair(nil, []byte(c.chat), []byte(c.answer), "at $: wrong", &losses))
		from, to := strings.Index(got, "This answer"), strings.Index(got, "no other text.")+len("no other text.")
		if from < 0 || !strings.Contains(got[from:to], "at $: wrong") || got[:from]+"…"+got[to:] != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
		if len(losses.Entries) != 1 || losses.Entries[0].Rule != ruleFormatRepaired {
			t.Errorf("%+v", losses)
		}
	}
}

// TestRestart: a second try is as if the first had not been, but for what it
// cost.
func TestRestart(t *testing.T) {
	d, _ := LookupDialect("deepseek")
	r := parsed(t, `{"model":"m","input":"Hi","stream":true,"text":{"format":{"type":"json_object"}}}`)
	bad := `{"choices":[{"message":{"content":"no","reasoning_content":"Hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	good := strings.Replace(bad, `"no"`, `"{}"`, 1)
	opt := TurnOptions{Request: r, Dialect: &d, Seed: testSeed, Created: testCreated, Events: true, Losses: new(Losses), Checked: true, Sealer: codeSealer{}}
	var once, twice Turn
	once.Reset(opt)
	want := once.FeedMessage(once.Begin(nil), []byte(good))
	twice.Reset(opt)
	got := twice.Begin(nil)
	twice.FeedMessage(nil, []byte(bad))
	if answer, ok := twice.Answer(); !ok || string(answer) != "no" {
		t.Errorf("%q %v", answer, ok)
	}
	twice.Restart()
	got = twice.FeedMessage(got, []byte(good))
	if string(got) != string(want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if in, out, ok := twice.Tokens(); in != 6 || out != 4 || !ok {
		t.Errorf("%d input and %d output tokens", in, out)
	}
}
