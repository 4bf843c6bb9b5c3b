package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// standsAlone reports whether raw is the inside of a JSON string, with both halves
// of every character: for a lone one encoding/json puts a replacement character.
func standsAlone(raw []byte) bool {
	var text string
	if json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &text) != nil {
		return false
	}
	given := strings.Count(string(raw), "\ufffd") + strings.Count(strings.ToLower(string(raw)), `\ufffd`)
	return strings.Count(text, "\ufffd") <= given
}

// inputOf runs arguments through a customInput in pieces that end at the cuts.
// Each piece of text has to decode on its own.
func inputOf(t interface{ Errorf(string, ...any) }, args string, torn bool, cuts ...int) (text string, repaired bool) {
	var c customInput
	var out []byte
	from := 0
	piece := func(next []byte) {
		if !standsAlone(next[len(out):]) {
			t.Errorf("of %q the piece %q does not stand on its own", args, next[len(out):])
		}
		out = next
	}
	for _, cut := range append(cuts, len(args)) {
		piece(c.feed(out, []byte(args[from:cut])))
		from = cut
	}
	piece(c.finish(out, torn))
	if err := json.Unmarshal(append(append([]byte{'"'}, out...), '"'), &text); err != nil {
		t.Errorf("of %q came %q: %v", args, out, err)
	}
	return text, c.repaired
}

// checkInput holds customInput against encoding/json, and against itself in
// pieces.
func checkInput(t interface{ Errorf(string, ...any) }, args string, every bool) {
	for _, torn := range []bool{false, true} {
		want, repaired := inputOf(t, args, torn)
		var got struct {
			Input *string
			Other json.RawMessage `json:"-"`
		}
		var members map[string]json.RawMessage
		exact := json.Unmarshal([]byte(args), &members) == nil && len(members) == 1 && members["input"] != nil &&
			json.Unmarshal([]byte(args), &got) == nil && got.Input != nil && strings.Count(args, `"input"`) == 1
		if exact && want != *got.Input {
			t.Errorf("of %q came %q, not %q", args, want, *got.Input)
		}
		if exact && repaired && !strings.Contains(*got.Input, "\ufffd") {
			t.Errorf("%q needed no repair", args)
		}
		if !utf8.ValidString(want) {
			t.Errorf("of %q came %q", args, want)
		}
		same := func(cuts ...int) {
			if text, rep := inputOf(t, args, torn, cuts...); text != want || rep != repaired {
				t.Errorf("%q cut at %v: %q %v, not %q %v", args, cuts[:min(len(cuts), 4)], text, rep, want, repaired)
			}
		}
		var all []int
		for i := 1; i < len(args); i++ {
			if !utf8.RuneStart(args[i]) { // a JSON string's fragment holds whole characters
				continue
			}
			all = append(all, i)
			if every {
				same(i)
			}
		}
		same(all...)
	}
}

var customArguments = []string{
	``, ` `, `{}`, `{"input":""}`, `{"input":"a"}`, ` { "input" : "a\"b\\c\/d\be\ff\ng\rh\ti" } `, `{"input":"\u0000\u001f\u00e9\uFFFF"}`,
	`{"input":"\ud83d\ude00 \uD83D\uDE00"}`, `{"input":"\ud83d"}`, `{"input":"\ude00"}`, `{"input":"\ud83d\ud83d\ude00"}`, `{"input":"\ud83dx"}`,
	`{"input":"\ud83d\n"}`, `{"input":"\ud83d\u0041"}`, `{"input":"\ud83d\u00"}`, `{"input":"\ud83d\"}`, `{"input":"\ud83d\uzz"}`,
	`{"input":"é😀\u00e9"}`, `{"a":1,"input":"x"}`, `{"input":"x","a":[{"b":"}"}],"c":null}`, `{"a":{"input":"no"},"input":"yes"}`,
	`{"inp\u0075t":"x"}`, `{"input":5}`, `{"input":null}`, `{"input":["a"]}`, `{"patch":"x"}`, `{"patch":"x","mode":"y"}`, `["input"]`, `"input"`,
	`plain`, `{plain}`, `{"input"}`, `{"input":}`, `{"input":"x"`, `{"input":"x`, `{"input":"x"}}`, `{"input":"x"} y`, `{"input":"a"b"c"}`,
	`{"input":"a", "b" and "c"}`, `{"input":"a","b":"c" d"}`, `{"input":"\q\x\u1"}`, "{\"input\":\"a\nb\tc\"}", `{"input":"it\'s"}`, `{"input":"x",}`,
	"{\"input\":\"```\n{\\\"a\\\": 1}\n```\"}", `{"input":"x","input":"y"}`, `{"input":"` + strings.Repeat(`say \"hi\"\n`, 50) + `"}`,
}

// TestCustomInput: what a custom tool gets does not depend on how its call is
// cut, at whatever byte, and is what any JSON reader would read.
func TestCustomInput(t *testing.T) {
	for _, args := range customArguments {
		checkInput(t, args, true)
	}
}

func FuzzCustomInput(f *testing.F) {
	for _, args := range customArguments {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, args string) {
		if len(args) > 4<<10 || !utf8.ValidString(args) {
			t.Skip("not what a JSON string holds")
		}
		checkInput(t, args, len(args) < 200)
	})
}

// TestCustomInputOfAnything: every text survives the way to the backend's form
// and back.
func TestCustomInputOfAnything(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x3000) {
		all.WriteRune(r)
	}
	all.WriteString("😀\U0010ffff\ufffd")
	for _, text := range []string{all.String(), "", `{"input":"nested"}`, strings.Repeat(`\"`, 1000)} {
		quoted, _ := json.Marshal(map[string]string{"input": text})
		for _, args := range []string{string(quoted), string(jsonx.AppendString([]byte(`{"input":`), text)) + "}"} {
			got, repaired := inputOf(t, args, false)
			if got != text || repaired {
				t.Errorf("%.60q became %.60q, %v", text, got, repaired)
			}
		}
	}
}

// TestCustomInputTakesItsTime: arguments that are made to be read again and
// again take time in proportion.
func TestCustomInputTakesItsTime(t *testing.T) {
	units := 200_000
	if raceEnabled {
		units = 50_000
	}
	for name, unit := range map[string]string{
		"quotes": `" `, "members": `","a":"b`, "keys": `", "x`, "braces": `"}`, "halves": `\ud83d`, "values": `","k":[[[["`, "nothing": `","":"`,
	} {
		for _, tail := range []string{"", `" x`, `"} x`} {
			proportional(t, name, units, func(units int) {
				args := []byte(`{"input":"` + strings.Repeat(unit, units) + tail)
				var c customInput
				if out := c.finish(c.feed(nil, args), false); len(out) > 8*len(args) {
					t.Errorf("%s: %d bytes became %d", name, len(args), len(out))
				}
			})
		}
	}
}

// TestCustomCallSplits: the same for a whole stream, cut at every byte of a
// call's arguments into chunks: the input is the same, and its deltas stand on
// their own.
func TestCustomCallSplits(t *testing.T) {
	d, _ := LookupDialect("generic")
	r := parsed(t, `{"model":"m","input":"Hi","stream":true,"tools":[{"type":"custom","name":"p"}]}`)
	if _, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
		t.Fatal(err)
	}
	var turn Turn
	run := func(pieces ...string) (input string, events []byte) {
		turn.Reset(TurnOptions{Request: r, Dialect: &d, Seed: testSeed, Created: 1, Events: true, Losses: new(Losses)})
		out := turn.Begin(nil)
		name := `"name":"p",`
		for _, p := range pieces {
			// As a server would write it: a character may be an escape, half of one in each chunk.
			raw := bytes.ReplaceAll(jsonx.AppendEscaped(nil, p), []byte("😀"), []byte(`\ud83d\ude00`))
			out = turn.Feed(out, fmt.Appendf(nil, `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{%s"arguments":"%s"}}]}}]}`, name, raw))
			name = ""
		}
		out = turn.Feed(out, []byte(`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`))
		out = turn.Terminal(turn.Done(out), 2, true, false)
		var resp struct {
			Output []struct{ Type, Input, Status string }
		}
		if err := json.Unmarshal(turn.Response(nil, 2, true), &resp); err != nil || len(resp.Output) != 1 || resp.Output[0].Type != "custom_tool_call" {
			t.Fatal(err, resp)
		}
		return resp.Output[0].Input, out
	}
	for _, text := range []string{"*** Begin \"Patch\"\\\n+😀 é\t\u0001", "😀😀"} {
		for _, args := range []string{
			string(jsonx.AppendString([]byte(`{"input":`), text)) + "}",
			`{"input":"` + strings.ReplaceAll(string(jsonx.AppendEscaped(nil, text)), "😀", `\ud83d\ude00`) + `"}`,
		} {
			var every []string
			for i, c := range args {
				every = append(every, string(c))
				if i == 0 {
					continue
				}
				input, events := run(args[:i], args[i:])
				if input != text {
					t.Errorf("cut at %d: %q", i, input)
				}
				checkStream(t, nil, events)
			}
			input, events := run(every...)
			if input != text {
				t.Errorf("cut everywhere: %q", input)
			}
			checkStream(t, nil, events)
		}
	}
}
