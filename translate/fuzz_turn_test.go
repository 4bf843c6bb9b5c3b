package translate

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// turnCheck holds what a backend sends against all that is promised of a turn.
// It is reused, so that pooled turns are what is tested.
type turnCheck struct {
	loud, quiet, slow, split Turn
	requests                 []Request
	dialects                 []Dialect

	// Most inputs of a fuzzer make events that were seen before.
	hash maphash.Hash
	seen map[uint64]struct{}
}

// turnRequests are requests that ask different things of a reply.
var turnRequests = []string{
	`{"model":"m","input":"Hi","stream":true}`,
	`{"model":"m","input":"Hi","stream":true,"reasoning":{"summary":"auto"},"include":["reasoning.encrypted_content"]}`,
	`{"model":"m","input":"Hi","stream":true,"include":["message.output_text.logprobs"]}`,
	`{"model":"m","input":"Hi","stream":true,"tools":[{"type":"function","name":"f"},{"type":"function","name":"g h"}],"parallel_tool_calls":false}`,
	`{"model":"m","input":"Hi","stream":true,"tools":[{"type":"function","name":"f"},{"type":"function","name":"g h"}],` +
		`"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g h"}]}}`,
	`{"model":"m","input":"Hi","stream":true,"tools":[{"type":"function","name":"f"}],"tool_choice":"none"}`,
	`{"model":"m","input":"Hi","stream":true,"tools":[{"type":"custom","name":"f",` +
		`"format":{"type":"grammar","syntax":"regex","definition":"a|an"}},{"type":"custom","name":"apply_patch"},{"type":"function","name":"g h"}]}`,
	`{"model":"m","input":"Hi","stream":true,"tools":[{"type":"shell"},{"type":"local_shell"},{"type":"apply_patch"},` +
		`{"type":"tool_search","execution":"client"},{"type":"function","name":"f"}]}`,
	`{"model":"m","input":"Hi","stream":true,"parallel_tool_calls":false,"tools":[{"type":"shell"},{"type":"custom","name":"f"},` +
		`{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"},{"type":"custom","name":"apply_patch"}]}],` +
		`"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"shell"},{"type":"custom","name":"f"},{"type":"namespace","name":"n"}]}}`,
}

func newTurnCheck(tb testing.TB) *turnCheck {
	c := &turnCheck{requests: make([]Request, len(turnRequests)), seen: map[uint64]struct{}{}}
	for _, tags := range []ThinkTags{TagsAuto, TagsOff, TagsImplicit} {
		c.dialects = append(c.dialects, preset("generic", func(d *Dialect) {
			d.Reasoning.Tags = tags
			d.Reasoning.Details, d.Tools.CallExtras = tags != TagsImplicit, []string{"extra_content"}
		}))
	}
	for i, body := range turnRequests {
		if err := c.requests[i].Parse([]byte(body), RequestLimits{}); err != nil {
			tb.Fatal(err)
		}
		if _, err := c.requests[i].AppendChat(nil, ChatOptions{Dialect: &c.dialects[0], Losses: new(Losses)}); err != nil {
			tb.Fatal(err)
		}
	}
	return c
}

// options makes a variant out of a number.
func (c *turnCheck) options(n uint) TurnOptions {
	kinds := uint(len(c.requests))
	request := &c.requests[n%kinds]
	n /= kinds
	opt := TurnOptions{
		Request: request, Dialect: &c.dialects[n%3], Seed: testSeed, Created: testCreated, Events: true,
		Obfuscate: n/3%2 == 1, OpenResponses: n/6%2 == 1, Losses: new(Losses),
		Sealer: codeSealer{},
	}
	opt.Grammar = [...]GrammarPolicy{GrammarFree, GrammarReport, GrammarRepair}[n/48%3]
	switch n / 12 % 4 {
	case 2:
		opt.MaxBytes = 20
	case 3:
		opt.MaxBytes = 1
	}
	return opt
}

// check runs one stream of upstream bytes in all ways.
func (c *turnCheck) check(fail func(format string, args ...any), upstream []byte, variant uint, cutSeed uint64) {
	opt := c.options(variant)
	c.loud.Reset(opt)
	want := streamThrough(&c.loud, upstream)

	c.grammar(fail, want, opt.OpenResponses)
	if n := terminals(want); n != 1 {
		fail("%d terminal events", n)
	}
	if most := 40*len(upstream) + 20_000; len(want) > most {
		fail("%d bytes of events for %d of upstream", len(want), len(upstream))
	}
	if opt.MaxBytes > 0 && c.loud.held > opt.MaxBytes && c.loud.Status() != "failed" {
		fail("%d bytes held of %d, and %s", c.loud.held, opt.MaxBytes, c.loud.Status())
	}
	if again := c.loud.Feed(nil, []byte(`{"choices":[{"delta":{"content":"x"}}]}`)); len(again) > 0 {
		fail("there is life after the end: %s", again)
	}

	quiet := opt
	quiet.Events, quiet.Losses = false, nil
	c.quiet.Reset(quiet)
	if out := streamThrough(&c.quiet, upstream); len(out) > 0 {
		fail("a quiet turn says %s", out)
	}
	a, b := c.loud.Response(nil, testCreated, true), c.quiet.Response(nil, testCreated, true)
	if !bytes.Equal(a, b) {
		fail("the quiet turn: %s", diffLines(string(a), string(b)))
	}

	opt.Losses = new(Losses)
	c.slow.Reset(opt)
	p := pump{turn: &c.slow, out: c.slow.Begin(nil)}
	p.dec.Feed(upstream)
	for e, ok := p.dec.Next(); ok; e, ok = p.dec.Next() {
		c.slow.shape.clear()
		p.event(e)
	}
	c.slow.shape.clear()
	p.finish()
	if !bytes.Equal(p.out, want) {
		fail("the slow path: %s", diffLines(string(want), string(p.out)))
	}

	r := rand.New(rand.NewPCG(cutSeed, 1))
	var cuts []int
	for at := 0; ; {
		if at += 1 + r.IntN(40); at >= len(upstream) {
			break
		}
		cuts = append(cuts, at)
	}
	opt.Losses = new(Losses)
	c.split.Reset(opt)
	if got := inPieces(&c.split, upstream, cuts...); !bytes.Equal(got, want) {
		fail("in pieces %v: %s", cuts, diffLines(string(want), string(got)))
	}
}

// grammar checks the events, and what they add up to.
func (c *turnCheck) grammar(fail func(format string, args ...any), events []byte, open bool) {
	c.hash.Reset()
	_, _ = c.hash.Write(events)
	key := c.hash.Sum64()
	if _, before := c.seen[key]; before {
		return
	}
	good := true
	opt := streamcheck.Options{OpenResponses: open, AllowDone: true}
	if open {
		events = append(bytes.Clone(events), "data: [DONE]\n\n"...)
	}
	for _, v := range streamcheck.Stream(events, opt) {
		good = false
		fail("%s", v)
	}
	if f, err := streamcheck.Fold(events, opt); err != nil || !sameJSON(f.Response, f.Terminal) {
		good = false
		fail("the events add up to another response: %v\n%s\n%s", err, f.Response, f.Terminal)
	}
	if len(c.seen) > 1<<20 {
		clear(c.seen)
	}
	if good {
		c.seen[key] = struct{}{}
	}
}

// FuzzTurn: whatever a backend streams, the events are grammatical, end once,
// and depend on nothing but the data. Each line of data is the data of one event.
func FuzzTurn(f *testing.F) {
	for i, c := range goldenCases(f) {
		var lines [][]byte
		for line := range bytes.SplitSeq(c.File("upstream.sse"), []byte("\n")) {
			if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: ")); ok {
				lines = append(lines, data)
			}
		}
		if body := bytes.TrimSpace(c.File("upstream.json")); len(lines) == 0 && len(body) > 0 {
			lines = [][]byte{body}
		}
		if len(lines) > 0 {
			f.Add(bytes.Join(lines, []byte("\n")), uint(i), uint64(i))
		}
	}
	c := newTurnCheck(f)
	var upstream []byte
	f.Fuzz(func(t *testing.T, data []byte, variant uint, cutSeed uint64) {
		if len(data) > 64<<10 {
			t.Skip("long")
		}
		upstream = upstream[:0]
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			upstream = append(append(append(upstream, "data: "...), line...), "\n\n"...)
		}
		c.check(t.Errorf, upstream, variant, cutSeed)
		if t.Failed() {
			t.Logf("upstream:\n%s", upstream)
		}
	})
}

// chunks draws what a backend streams.
type chunks struct{ t *rapid.T }

func (g chunks) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

func (g chunks) text() string {
	return g.pick("text", `""`, `"a"`, `"Hello "`, `"\n"`, `" "`, `"<think>"`, `"</think>"`, `"<th"`, `"ink>"`, `"</"`, `"\u003c"`,
		`"\ud83d"`, `"\ude00"`, `"é"`, `"\\"`, `"x\u0000"`, "\"\xff\"", "null", `"<tool_call>"`, `"<tool_call>\n{\"name\":\"f\","`, `"\"arguments\":{}}\n</tool_call>"`, `"</tool"`, `"_call>"`,
		`"[f("`, `"a=1)]"`, `"{\"name\":"`, `"\"f\"}"`, `"[TOOL_CALLS]f{}"`, `"<|channel|>analysis<|message|>"`, `"<|end|>"`, `"<|start|>assistant<|channel|>final<|message|>"`,
		`"<|channel|>commentary to=functions.f<|message|>{}<|call|>"`, `"<｜tool▁calls▁begin｜>"`, `"<function=f>"`, `"</function>"`, "\"`\"")
}

func (g chunks) call() string {
	return `{` + g.pick("index", "", `"index":0,`, `"index":0,`, `"index":1,`, `"index":2,`, `"index":-1,`, `"index":null,`, `"index":"1",`, `"index":1.0,`) +
		g.pick("id", "", `"id":"c0",`, `"id":"c1",`, `"id":"c2",`, `"id":"",`, `"id":null,`, `"id":7,`, `"id":"null",`) +
		g.pick("custom", "", "", "", "", `"custom":{"name":"f","input":"x\n"},`) + `"function":` + g.pick("function", `null`, `{}`, `{"name":"f"}`, `{"name":"g_h_3hq2mvei"}`, `{"name":""}`, `{"name":"f","arguments":""}`,
		`{"name":"f","arguments":"{}"}`, `{"name":"f","arguments":"{\"input\":\"a\\"}`, `{"arguments":"n\\ud83d"}`, `{"arguments":"\\ude00\"} "}`,
		`{"name":"shell","arguments":"{\"commands\":[\"ls\"]}"}`, `{"name":"apply_patch","arguments":"{\"type\":\"delete_file\",\"path\":\"a\"}"}`,
		`{"name":"tool_search","arguments":"q"}`, `{"name":"n__f","arguments":"{}"}`, `{"name":"n.f"}`, `{"name":"local_shell","arguments":"{\"command\":"}`,
		`{"name":"g h","arguments":"{\"a\":"}`, `{"arguments":"{\"a\":"}`, `{"arguments":"1}"}`, `{"arguments":"\"\ud83d"}`,
		`{"arguments":"\ude00\"}"}`, `{"name":"f","arguments":{"a":1}}`, `{"arguments":null}`, `"f"`, `{"name":"null","arguments":"{\"a\":"}`, `{"name":"functions.f","parameters":{}}`,
		`{"name":"f<|channel|>x","arguments":"[]"}`, `{"name":"g"}`, `{"arguments":"{\"a\":1}"}`, `{"arguments":"{}"}`, `{"arguments":"{\"a\":1"}`, `{"arguments":"{\"b\":[\"\\\"\",{}]}}"}`,
		`{"arguments":"\"{}\""}`, `{"arguments":"None"}`, `{"arguments":" \n"}`, `{"name":"apply_patch","arguments":"null"}`) + `}`
}

func (g chunks) member() string {
	switch g.pick("member", "content", "content", "content", "reasoning", "call", "call", "calls", "refusal", "other") {
	case "reasoning":
		return g.pick("key", `"reasoning_content":`, `"reasoning":`, `"thinking":`) + g.text()
	case "call":
		return `"tool_calls":[` + g.call() + `]`
	case "calls":
		return `"tool_calls":[` + g.call() + `,` + g.call() + `]`
	case "refusal":
		return `"refusal":` + g.text()
	case "other":
		return g.pick("other", `"role":"assistant"`, `"function_call":{"name":"f","arguments":"{"}`, `"function_call":{"arguments":"}"}`,
			`"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t"}}]`, `"annotations":[{"type":"odd"}]`,
			`"reasoning_details":[{"text":"r"},{"data":"x"}]`, `"audio":{}`, `"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"u"}]`,
			`"tool_calls":[]`, `"content":[]`, `"reasoning":{"text":"o"}`, `"content":7`, `"content":{"text":"p"}`, `"content":{"a":1}`, `"content":[["a",{"text":{"value":"b"}}],true]`,
			`"content":[{"type":"tool_use","id":"c9","name":"f","input":{}}]`, `"tool_calls":{"0":`+g.call()+`}`, `"tool_calls":`+g.call())
	}
	return `"content":` + g.text()
}

func (g chunks) chunk() string {
	const usage = `"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":9}`
	switch g.pick("chunk", "delta", "delta", "delta", "delta", "delta", "delta", "delta", "finish", "usage", "odd") {
	case "finish":
		return `{"choices":[{"index":0,"delta":{},"finish_reason":` +
			g.pick("finish", `"stop"`, `"stop"`, `"tool_calls"`, `"length"`, `"content_filter"`, `"error"`, `""`, `"odd"`) + `}]}`
	case "usage":
		return g.pick("usage", `{"choices":[],`+usage+`}`, `{`+usage+`}`, `{"choices":[],"usage":null}`)
	case "odd":
		return g.pick("odd", `{}`, ``, `[DONE]`, `{"choices":[]}`, `{"choices":[{"index":1,"delta":{"content":"z"}}]}`, `{"error":{"message":"boom"}}`,
			`{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}`, `{"choices":[{"index":0,"delta":{"content":"y"}},{"index":1,"delta":{"content":"z"}}]}`,
			`{"choices":[{"index":1,"delta":{"tool_calls":[`+g.call()+`]}}]}`, `{"choices":[{"index":0,"delta":{},"message":{"tool_calls":[`+g.call()+`]},"finish_reason":"stop"}]}`,
			`{"choices":[{"text":"t","tool_calls":[`+g.call()+`]}]}`, `not json`, `{"detail":"d"}`)
	}
	keys := map[string]bool{}
	var members []string
	for range rapid.IntRange(1, 3).Draw(g.t, "members") {
		m := g.member()
		if key, _, _ := strings.Cut(m, ":"); !keys[key] {
			keys[key] = true
			members = append(members, m)
		}
	}
	logprobs := g.pick("logprobs", "", "", `"logprobs":{"content":[{"token":"t","logprob":-1,"bytes":null,"top_logprobs":[{"token":"\ud83d","logprob":-2}]}]},`)
	return `{"choices":[{"index":0,` + logprobs + `"delta":{` + strings.Join(members, ",") + `}` + g.pick("end", "", "", "", `,"finish_reason":"stop"`) + `}]}`
}

// TestRandomTurns is FuzzTurn with streams that make more sense.
func TestRandomTurns(t *testing.T) {
	checks(t, 3000)
	c := newTurnCheck(t)
	rapid.Check(t, func(t *rapid.T) {
		g := chunks{t}
		var upstream []byte
		last := ""
		for range rapid.IntRange(0, 14).Draw(t, "chunks") {
			if last == "" || g.pick("again", "no", "no", "yes") == "no" { // fast paths need repetition
				last = g.chunk()
			}
			upstream = fmt.Appendf(upstream, "data: %s\n\n", last)
		}
		variant := uint(rapid.IntRange(0, 144*len(turnRequests)-1).Draw(t, "variant"))
		failed := false
		c.check(func(format string, args ...any) {
			failed = true
			t.Errorf(format, args...)
		}, upstream, variant, uint64(variant))
		if failed {
			t.Fatalf("variant %s of\n%s", strconv.Itoa(int(variant)), upstream)
		}
	})
}
