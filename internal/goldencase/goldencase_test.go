package goldencase

import (
	"reflect"
	"strings"
	"testing"
)

// What is not known is an error, not nothing.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"-- options --\nloss: strict\n", "no client.json"},
		{"-- client.json --\n{}\n-- options --\nlos: strict\n", `no option "los"`},
		{"-- client.json --\n{}\n-- options --\nloss: never\n", `"never" is not a value`},
		{"-- client.json --\n{}\n-- options --\nloss: warn\nloss: warn\n", "twice"},
		{"-- client.json --\n{}\n-- options --\nname_prefix: yes\n", `"yes" is not a value`},
		{"-- client.json --\n{}\n-- options --\nset: images\n", "not key=value"},
		{"-- client.json --\n{}\n-- options --\nset: =true\n", "not key=value"},
		{"-- client.json --\n{}\n-- options --\nmax_bytes: many\n", "not a number"},
		{"-- client.json --\n{}\n-- options --\nmodel:\n", "not a value"},
		{"-- client.json --\n{}\n-- options --\nnothing at all\n", "no option"},
		{"-- client.json --\n{}\n-- client.json --\n{}\n", "twice"},
		{"-- client.json --\n{}\n-- upstream.txt --\n", "not a file of a case"},
		{"-- client.json --\n{}\n-- upstream-1.sse --\n", "not a file of a case"},
		{"-- client.json --\n{}\n-- upstream.err --\nbad\n{}\n", "status"},
	} {
		if _, err := Parse("case.txtar", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// What is written is read as it was.
func TestFormat(t *testing.T) {
	want := Options{
		Dialect: "kimi", Set: []Setting{{"images", "false"}, {"reasoning.efforts.none", ""}}, Model: "m", Loss: "strict",
		NamePrefix: true, FinalOnly: true, Reasoning: true, Keep: true, MaxBytes: 7, OpenResponses: true, Obfuscate: true,
		Grammar: "repair", Compaction: "x", Unsealed: true, OwnIDs: true, ShowRequest: true, ShowEcho: true, ShowStored: true,
	}
	for i := range reflect.ValueOf(want).NumField() {
		if reflect.ValueOf(want).Field(i).IsZero() {
			t.Errorf("%s is not tried", reflect.TypeOf(want).Field(i).Name)
		}
	}
	c := &Case{Comment: []byte("A case.\n"), Files: []File{
		{Name: "options", Data: want.Format()}, {Name: "client.json", Data: []byte("{\"messages\":[]}\n")},
		{Name: "upstream.err", Data: []byte("429\n{}\n")}, {Name: "out/error.json", Data: []byte("{}\n")},
	}}
	got, err := Parse("x/chat_responses/one.txtar", c.Format())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Options, want) {
		t.Errorf("got  %+v\nwant %+v", got.Options, want)
	}
	status, body, err := got.UpstreamError()
	if got.Arrow != ChatResponses || got.Name != "one" || !got.Refused() || status != 429 || string(body) != "{}" || err != nil {
		t.Errorf("%s %v %d %s %v", got.Arrow, got.Refused(), status, body, err)
	}
	got.SetOutput([]File{{Name: "out/chunks"}})
	if len(got.Files) != 4 || got.File("out/error.json") != nil {
		t.Errorf("%v", got.Files)
	}
	if faults := got.Differences([]File{{Name: "out/chunks", Data: []byte("x")}}, func(want, got string) string { return want + "≠" + got }); len(faults) != 1 || faults[0] != "out/chunks:\n≠x" {
		t.Error(faults)
	}
	if faults := got.Differences(nil, nil); len(faults) != 1 {
		t.Error(faults)
	}
}

// A case outside the directories of golden cases tells its arrow itself.
func TestArrow(t *testing.T) {
	const responses, chat = "-- client.json --\n{\"input\":\"messages\"}\n", "-- client.json --\n{\"messages\":[]}\n"
	for _, c := range []struct{ path, text, arrow, dialect string }{
		{"x.txtar", responses, ResponsesChat, "generic"},
		{"x.txtar", chat, ChatResponses, "openai"},
		{"x.txtar", "Recorded as r, for testdata/cases/responses_responses.\n" + responses, ResponsesResponses, "llama.cpp"},
		{"cases/responses_chat/x.txtar", chat, ResponsesChat, "generic"},
	} {
		got, err := Parse(c.path, []byte(c.text))
		if err != nil || got.Arrow != c.arrow || got.Options.Dialect != c.dialect {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}
