package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// What happens over a long time: hostile sizes, pooled memory, steady states.

// TestHostileSizes: requests that are large in every way a list can be take time
// in proportion.
func TestHostileSizes(t *testing.T) {
	d, _ := LookupDialect("generic")
	call := func(id string) string {
		return `{"type":"function_call","call_id":"` + id + `","name":"f","arguments":"{}"}`
	}
	result := func(id string) string { return `{"type":"function_call_output","call_id":"` + id + `","output":"x"}` }
	inputs := func(n int) map[string][]string {
		var same, apart, orphans, before []string
		for i := range n {
			id := fmt.Sprint("c", i)
			same, apart = append(same, call("c")), append(apart, call(id))
			orphans, before = append(orphans, result(id)), append(before, result(id))
		}
		for i := range n {
			id := fmt.Sprint("c", n-i)
			same, apart, before = append(same, result("c")), append(apart, result(id)), append(before, call(id))
		}
		return map[string][]string{"same id": same, "ids apart": apart, "orphans": orphans, "outputs first": before}
	}
	var tools []string
	for i := range maxTools {
		tools = append(tools, fmt.Sprintf(`{"type":"function","name":"a name that is long and has spaces and so on and on %d"}`, i))
	}
	const most = 9_000
	sized := map[int]map[string][]string{most / 32: inputs(most / 32), most: inputs(most)}
	for name := range sized[most] {
		var chat []byte
		proportional(t, name, most, func(n int) {
			input := strings.Join(sized[n][name], ",")
			r := parsed(t, `{"model":"m","input":[`+input+`],"tools":[`+strings.Join(tools[:n*len(tools)/most], ",")+`]}`)
			var bad *Error
			if chat, bad = r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); bad != nil {
				t.Fatal(name, bad)
			}
			if _, err := (&History{}).Extend([]byte(`[`+input+`]`), []byte(`[]`), &d); err != nil {
				t.Fatal(name, err)
			}
		})
		if faults := legal(chat, &d); len(faults) > 0 {
			t.Errorf("%s: %s", name, faults[0])
		}
	}
}

// TestHostileReplies: a backend that never comes to an end is cut off, and what
// is held of it stays within the bound.
func TestHostileReplies(t *testing.T) {
	d, _ := LookupDialect("generic")
	r := parsed(t, `{"model":"m","input":"Hi","stream":true,"tools":[{"type":"function","name":"f"}]}`)
	for name, chunk := range map[string]string{
		"text":        `{"choices":[{"delta":{"content":"some text that goes on"}}]}`,
		"spaces":      `{"choices":[{"delta":{"content":"          "}}]}`,
		"name":        `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"%d"}}]}}]}`,
		"arguments":   `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"%d"}}]}}]}`,
		"nameless":    `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"xxxx"}}]}}]}`,
		"calls":       `{"choices":[{"delta":{"tool_calls":[{"id":"c%d","function":{"name":"f"}}]}}]}`,
		"annotations": `{"choices":[{"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"u"}}]}}]}`,
		"items":       `{"choices":[{"delta":{"reasoning":"r","content":"c"}}]}`,
		"think":       `{"choices":[{"delta":{"content":"<think>   "}}]}`,
	} {
		var turn Turn
		turn.Reset(TurnOptions{Request: r, Dialect: &d, Seed: testSeed, Created: 1, Events: true, MaxBytes: 64 << 10, Losses: new(Losses)})
		var out []byte
		n := 0
		for ; !turn.Ended() && n < 200_000; n++ {
			data := chunk
			if strings.Contains(chunk, "%d") {
				data = fmt.Sprintf(chunk, n)
			}
			out = turn.Feed(out[:0], []byte(data))
			if len(turn.think.held)+len(turn.tokens) > 64<<10 {
				t.Fatalf("%s: %d bytes held", name, len(turn.think.held))
			}
		}
		if !turn.Ended() || turn.Failure() == nil || turn.Failure().Origin != OriginProxy {
			t.Errorf("%s: %s after %d chunks", name, turn.Status(), n)
		}
	}
}

// TestReuse: a pooled request and turn, used for a thousand cases in random
// order, say what fresh ones say, also after one that was unusually large.
func TestReuse(t *testing.T) {
	type done struct {
		c    *goldenCase
		want string
	}
	var cases []done
	for _, c := range goldenCases(t) {
		cases = append(cases, done{c, c.outcome(t)})
	}
	big := `{"choices":[{"message":{"content":"` + strings.Repeat("large ", 100_000) + `"},"finish_reason":"stop"}]}`
	var r Request
	var turn Turn
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 1000 {
		c := cases[rnd.IntN(len(cases))]
		if got := c.c.reused(t, &r, &turn); got != c.want {
			t.Fatalf("case %s, the %dth: %s", c.c.Name, i, diffLines(c.want, got))
		}
		if i%100 == 99 {
			d, _ := LookupDialect("generic")
			turn.Reset(TurnOptions{Request: parsed(t, `{"model":"m","input":"Hi"}`), Dialect: &d})
			turn.FeedMessage(nil, []byte(big))
			if turn.Status() != "completed" || turn.held < 500_000 {
				t.Fatal(turn.Status(), turn.held)
			}
		}
	}
}

// reused is outcome with a request and a turn that have been used before.
func (c *goldenCase) reused(t *testing.T, r *Request, turn *Turn) string {
	var losses Losses
	if err := r.Parse(bytes.TrimSpace(bytes.Clone(c.File("client.json"))), RequestLimits{}); err != nil {
		return err.Error()
	}
	x := c.start(t) // for the history
	if refs := c.File("references.json"); refs != nil {
		var items []json.RawMessage
		if err := json.Unmarshal(refs, &items); err != nil {
			t.Fatal(err)
		}
		raw := make([][]byte, len(items))
		for i := range items {
			raw[i] = items[i]
		}
		if err := r.Resolve(raw); err != nil {
			return err.Error()
		}
	}
	if err := r.EmptyInput(); err != nil {
		return err.Error()
	}
	if err := r.OpenCompactions(plainSealer{}); err != nil {
		return err.Error()
	}
	chat, err := r.AppendChat(nil, ChatOptions{Dialect: &c.dialect, Model: c.Options.Model, History: x.history, Losses: &losses, Sealer: x.options.Sealer, Fetched: x.fetched})
	out := string(chat)
	if err == nil && c.Options.Loss == "strict" {
		err = losses.Refusal()
	}
	if err != nil {
		return out + err.Error()
	}
	for _, l := range losses.Entries {
		out += fmt.Sprintln(l.Rule.Info().ID, l.Path, l.Detail)
	}
	opt := x.options
	opt.Request, opt.Losses = r, &losses
	turn.Reset(opt)
	switch {
	case c.File("upstream.sse") != nil:
		out += string(streamThrough(turn, c.upstreamSSE()))
	case c.File("upstream.json") != nil:
		out += string(turn.FeedMessage(nil, bytes.TrimSpace(c.File("upstream.json"))))
	}
	for _, f := range turn.Noticed() {
		out += f.String()
	}
	return out
}

// TestSteadyStateAllocatesNothing: a delta costs no allocation, whether its
// chunk has the shape of the one before or not.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	d, _ := LookupDialect("generic")
	r := parsed(t, `{"model":"m","input":"Hi","stream":true,"tools":[{"type":"function","name":"f"},{"type":"custom","name":"p"}]}`)
	if _, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
		t.Fatal(err)
	}
	f := func(name, first string, next ...string) {
		t.Helper()
		var turn Turn
		turn.Reset(TurnOptions{Request: r, Dialect: &d, Seed: testSeed, Created: 1, Events: true, Losses: new(Losses)})
		out := make([]byte, 0, 64<<10)
		var data [][]byte
		for _, n := range next {
			data = append(data, []byte(n))
		}
		out = turn.Feed(out[:0], []byte(first))
		for i := range 2000 {
			out = turn.Feed(out[:0], data[i%len(data)])
		}
		if len(out) == 0 {
			t.Fatalf("%s: it says nothing", name)
		}
		if quick := turn.shape.to != shapeNone; quick == strings.Contains(name, "tags") {
			t.Errorf("%s: the shape is remembered: %v", name, quick)
		}
		i := 0
		// The text itself grows, now and then.
		if n := testing.AllocsPerRun(2000, func() {
			out = turn.Feed(out[:0], data[i%len(data)])
			i++
		}); n > 0.01 {
			t.Errorf("%s: %v allocations a delta", name, n)
		}
	}
	f("text", `{"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}`, `{"id":"1","choices":[{"index":0,"delta":{"content":"b"}}]}`)
	f("text, chunks differ", `{"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}`,
		`{"id":"1","choices":[{"index":0,"delta":{"content":"b"}}]}`, `{"id":"2","choices":[{"index":0,"delta":{"content":"c"}}]}`)
	f("empty members", `{"choices":[{"delta":{"content":"a","tool_calls":[]}}]}`, `{"choices":[{"delta":{"content":"b","tool_calls":[]}}]}`)
	f("reasoning", `{"choices":[{"delta":{"reasoning_content":"a"}}]}`, `{"choices":[{"delta":{"reasoning_content":"b"}}]}`)
	f("tags", `{"choices":[{"delta":{"content":"<think>"}}]}`, `{"choices":[{"delta":{"content":"b c\n"}}]}`)
	f("arguments", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"b"}}]}}]}`)
	f("input", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"p","arguments":"{\"input\":\""}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"say \\\"hi\\\"\\n\\ud83d"}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\ude00\\"}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"n and so on"}}]}}]}`)
	f("input that is raw", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"p","arguments":"raw"}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"say \"hi\"\n"}}]}}]}`)
	f("input, native", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","custom":{"name":"p","input":"raw"}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"input":"say \"hi\"\n"}}]}}]}`)
	f("arguments, chunks differ", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}}]}`,
		`{"id":"1","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"b"}}]}}]}`,
		`{"id":"2","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"b"}}]}}]}`)
}

// TestTerminalAgain: when the store fails, the terminal event is made again, in
// the place of the first.
func TestTerminalAgain(t *testing.T) {
	d, _ := LookupDialect("generic")
	for _, end := range []string{`{"choices":[{"delta":{},"finish_reason":"stop"}]}`, `{"error":{"message":"x"}}`} {
		var turn Turn
		turn.Reset(TurnOptions{Request: parsed(t, `{"model":"m","input":"Hi","stream":true}`), Dialect: &d, Seed: testSeed, Created: 1, Events: true})
		out := turn.Feed(turn.Begin(nil), []byte(`{"choices":[{"delta":{"content":"Hi"}}]}`))
		out = turn.Done(turn.Feed(out, []byte(end)))
		mark := len(out)
		first := string(turn.Terminal(bytes.Clone(out), 2, true, false)[mark:])
		again := turn.Terminal(out, 2, false, true)
		if got := string(again[mark:]); got != strings.Replace(first, `"store":true`, `"store":false`, 1) {
			t.Errorf("first\n%s\nagain\n%s", first, got)
		}
		response, output := turn.Written(again)
		if !json.Valid(response) || !json.Valid(response[output[0]:output[1]]) || response[output[0]] != '[' {
			t.Errorf("%s %d", response, output)
		}
		checkStream(t, nil, again)
		if len(turn.Terminal(nil, 2, true, false)) > 0 || len(turn.Finish(nil)) > 0 || len(turn.Abort(nil, &Error{})) > 0 {
			t.Error("there is life after the end")
		}
	}
}
