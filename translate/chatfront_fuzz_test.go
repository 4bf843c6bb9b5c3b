package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/translate/sse"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// frontCheck holds what a Responses backend sends against all that is promised of
// ChatTurn and ResponsesTurn. It is reused, so that pooled turns are what is
// tested.
type frontCheck struct {
	loud, quiet, slow, split ChatTurn
	mend, mendQuiet          ResponsesTurn
	chats                    []ChatRequest
	requests                 []Request
	dialects                 []Dialect
}

// frontRequests are chat requests that ask different things of a reply.
var frontRequests = []string{
	`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"stream_options":{"include_usage":true}}`,
	`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"stop":["END","\n\n"],"logprobs":true}`,
	`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"g"}}],"parallel_tool_calls":false}`,
	`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"functions":[{"name":"f"}],"max_tokens":17}`,
	`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],` +
		`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}}`,
	`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"custom","custom":{"name":"g"}}]}`,
}

func newFrontCheck(tb testing.TB) *frontCheck {
	c := &frontCheck{chats: make([]ChatRequest, len(frontRequests)), requests: make([]Request, len(turnRequests))}
	for i, body := range frontRequests {
		if err := c.chats[i].Parse([]byte(body), RequestLimits{}); err != nil {
			tb.Fatal(err)
		}
	}
	for i, body := range turnRequests {
		if err := c.requests[i].Parse([]byte(body), RequestLimits{}); err != nil {
			tb.Fatal(err)
		}
	}
	for _, name := range []string{"openai", "llama.cpp"} {
		d, _ := LookupDialect(name)
		c.dialects = append(c.dialects, d)
	}
	return c
}

func (c *frontCheck) options(n uint) (ChatTurnOptions, streamcheck.ChatOptions) {
	r := &c.chats[n%6]
	opt := ChatTurnOptions{
		Request: r, Dialect: &c.dialects[n/6%2], Seed: testSeed, Created: testCreated, Events: true,
		Reasoning: n/12%2 == 0, FinalOnly: n/24%4 == 3, Obfuscate: n/96%2 == 1, Losses: new(Losses),
	}
	switch n / 192 % 4 {
	case 2:
		opt.MaxBytes = 200
	case 3:
		opt.MaxBytes = 1
	}
	return opt, streamcheck.ChatOptions{Usage: r.IncludeUsage, Logprobs: r.Logprobs}
}

// check runs one stream of upstream bytes in all ways.
func (c *frontCheck) check(fail func(format string, args ...any), upstream []byte, variant uint, cutSeed uint64) {
	opt, checked := c.options(variant)
	c.loud.Reset(opt)
	want := c.loud.Terminal(chatPieces(nil, &c.loud, upstream))
	for _, v := range streamcheck.ChatStream(want, checked) {
		fail("%s", v)
	}
	if most := 60*len(upstream) + 20_000; len(want) > most {
		fail("%d bytes of chunks for %d of upstream", len(want), len(upstream))
	}
	if again := c.loud.Feed(nil, nil, []byte(`{"type":"response.output_text.delta","delta":"x"}`)); len(again) > 0 || len(c.loud.Terminal(nil)) > 0 {
		fail("there is life after the end: %s", again)
	}
	whole := c.loud.Completion(nil)
	if (c.loud.Failure() == nil) != (len(whole) > 0) {
		fail("failure %v, completion %s", c.loud.Failure(), whole)
	}
	_ = c.loud.Kept()

	quiet := opt
	quiet.Events, quiet.Losses = false, nil
	c.quiet.Reset(quiet)
	if out := c.quiet.Terminal(chatPieces(nil, &c.quiet, upstream)); len(out) > 0 {
		fail("a quiet turn says %s", out)
	}
	if b := c.quiet.Completion(nil); !bytes.Equal(whole, b) && !contradicted(opt.Losses) {
		fail("the quiet turn: %s", diffLines(string(whole), string(b)))
	}
	if len(whole) > 0 {
		for _, v := range streamcheck.ChatCompletion(whole, checked) {
			fail("%s", v)
		}
		if f, err := streamcheck.FoldChat(want, checked); err != nil || !sameCompletion(f.Completion, whole) {
			fail("the chunks add up to (%v)\n%s\nthe completion is\n%s", err, f.Completion, whole)
		}
	}

	opt.Losses = new(Losses)
	c.slow.Reset(opt)
	var out []byte
	var dec sse.Decoder
	dec.Feed(upstream)
	for e, ok := dec.Next(); ok; e, ok = dec.Next() {
		c.slow.in.shape.clear()
		out = c.slow.Feed(out, e.Name, e.Data)
	}
	c.slow.in.shape.clear()
	if e, ok := dec.Finish(); ok {
		out = c.slow.FeedLast(out, e.Name, e.Data)
	}
	if out = c.slow.Terminal(c.slow.Finish(out)); !bytes.Equal(out, want) {
		fail("the slow path: %s", diffLines(string(want), string(out)))
	}

	r := rand.New(rand.NewPCG(cutSeed, 1))
	var cuts []int
	for at := 1 + r.IntN(40); at < len(upstream); at += 1 + r.IntN(40) {
		cuts = append(cuts, at)
	}
	opt.Losses = new(Losses)
	c.split.Reset(opt)
	if got := c.split.Terminal(chatPieces(nil, &c.split, upstream, cuts...)); !bytes.Equal(got, want) {
		fail("in pieces %v: %s", cuts, diffLines(string(want), string(got)))
	}
	c.checkMend(fail, upstream, variant, cuts, opt.MaxBytes)
}

// checkMend is check for a client that speaks Responses.
func (c *frontCheck) checkMend(fail func(format string, args ...any), upstream []byte, variant uint, cuts []int, most int) {
	opt := TurnOptions{
		Request: &c.requests[variant%6], Dialect: &c.dialects[1], Seed: testSeed, Created: testCreated, Events: true,
		MaxBytes: most, Obfuscate: variant/96%2 == 1, Losses: new(Losses),
	}
	own := variant/24%2 == 1
	c.mend.Reset(opt, own)
	want := mendPieces(&c.mend, upstream)
	// Items of hosted tools are handed on as they are: whether they are whole is
	// not looked at.
	others := slices.ContainsFunc(c.mend.in.items[:c.mend.in.count], func(it inItem) bool { return it.kind == inOther })
	for _, v := range streamcheck.Stream(want, streamcheck.Options{}) {
		if !others {
			fail("mended: %s", v)
		}
	}
	if n := terminals(want); n != 1 {
		fail("%d terminal events", n)
	}
	if f, err := streamcheck.Fold(want, streamcheck.Options{}); !others && (err != nil || !sameJSON(f.Response, f.Terminal)) {
		fail("mended events add up to another response: %v\n%s\n%s", err, f.Response, f.Terminal)
	}
	a := c.mend.Response(nil, testCreated+1, false)
	opt.Losses = new(Losses)
	c.mend.Reset(opt, own)
	if got := mendPieces(&c.mend, upstream, cuts...); !bytes.Equal(got, want) {
		fail("mended in pieces %v: %s", cuts, diffLines(string(want), string(got)))
	}
	opt.Events, opt.Losses = false, nil
	c.mendQuiet.Reset(opt, own)
	if out := mendPieces(&c.mendQuiet, upstream); len(out) > 0 {
		fail("a quiet mended turn says %s", out)
	}
	if b := c.mendQuiet.Response(nil, testCreated+1, false); !bytes.Equal(a, b) {
		fail("the quiet mended turn: %s", diffLines(string(a), string(b)))
	}
}

// sameCompletion compares two completions but for the usage, which a stream
// carries only when it was asked for.
func sameCompletion(a, b []byte) bool {
	var x, y map[string]any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	delete(x, "usage")
	delete(y, "usage")
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// FuzzChatTurn: whatever a Responses backend streams, chunks and events are
// grammatical, end once, and depend on nothing but the data. Each line of data is
// the data of one event.
func FuzzChatTurn(f *testing.F) {
	for i, s := range frontStreams(f) {
		if len(s.sse) > 16<<10 {
			continue
		}
		var lines [][]byte
		for line := range bytes.SplitSeq(s.sse, []byte("\n")) {
			if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: ")); ok {
				lines = append(lines, data)
			}
		}
		f.Add(bytes.Join(lines, []byte("\n")), uint(i), uint64(i))
	}
	c := newFrontCheck(f)
	var upstream []byte
	f.Fuzz(func(t *testing.T, data []byte, variant uint, cutSeed uint64) {
		if len(data) > 32<<10 {
			return
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

// replies draws what a Responses backend streams.
type replies struct{ t *rapid.T }

func (g replies) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

func (g replies) text() string {
	return g.pick("text", `""`, `"a"`, `"Hello "`, `"\n"`, `"E"`, `"ND"`, `"\ud83d"`, `"\ude00"`, `"é"`, `"\\"`, `"\u003c"`, `"x\u0000"`, "\"\xff\"", `null`, `7`)
}

func (g replies) id() string {
	return g.pick("id", "", `"i0",`, `"i1",`, `"msg_1",`, `"rs_1",`, `"fc_1",`, `"",`, `null,`)
}

func (g replies) item() string {
	id := g.id()
	if id != "" {
		id = `"id":` + id
	}
	switch g.pick("kind", "message", "message", "message", "reasoning", "call", "call", "call", "custom", "other") {
	case "message":
		return `{` + id + g.pick("phase", "", "", `"phase":"commentary",`, `"phase":"final_answer",`, `"phase":"odd",`) + `"type":"message","role":"assistant","content":` +
			g.pick("content", `[]`, `[]`, `[{"type":"output_text","text":"Hello"}]`, `[{"type":"output_text","text":"a","annotations":[{"type":"url_citation","start_index":0,"end_index":1,"url":"u","title":"t"}]},{"type":"refusal","refusal":"No"}]`, `"Hello "`, `null`) + g.status() + `}`
	case "reasoning":
		return `{` + id + `"type":"reasoning"` + g.pick("summary", ``, `,"summary":[]`, `,"summary":[{"type":"summary_text","text":"S"}]`) +
			g.pick("thoughts", ``, `,"content":[{"type":"reasoning_text","text":"Hm"}]`, `,"content":[{"type":"output_text","text":"Hm"}]`, `,"content":"Hm"`) + g.pick("sealed", ``, `,"encrypted_content":"gAAA"`, `,"encrypted_content":""`) + `}`
	case "call":
		return `{` + id + `"type":"function_call"` + g.pick("call", ``, `,"call_id":"c0"`, `,"call_id":"c1"`, `,"call_id":""`) +
			g.pick("name", ``, `,"name":"f"`, `,"name":"f"`, `,"name":"h"`, `,"name":"f","namespace":"ns"`) + g.pick("arguments", `,"arguments":""`, `,"arguments":"{}"`, `,"arguments":"{\"a\":1}"`, `,"arguments":{"a":1}`, ``) + g.status() + `}`
	case "custom":
		return `{` + id + `"type":"custom_tool_call","call_id":` + g.pick("custom", `"c2"`, `"c0"`) + `,"name":"g","input":` + g.text() + `}`
	}
	return g.pick("other", `{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}`, `{"type":"compaction","id":"cmp_1","encrypted_content":"x"}`)
}

func (g replies) status() string {
	return g.pick("status", "", "", `,"status":"completed"`, `,"status":"incomplete"`, `,"status":"in_progress"`)
}

func (g replies) place() string {
	s := ""
	if id := g.id(); id != "" {
		s += `,"item_id":` + strings.TrimSuffix(id, ",")
	}
	return s + g.pick("index", "", `,"output_index":0`, `,"output_index":1`, `,"output_index":-1`, `,"output_index":4`) + g.pick("part", "", `,"content_index":0`, `,"content_index":1`, `,"content_index":2`, `,"summary_index":0`)
}

func (g replies) event() string {
	number := g.pick("number", "", `,"sequence_number":5`, `,"sequence_number":12`)
	e := func(typ string) string { return `{"type":"response.` + typ + `"` + number }
	switch g.pick("event", "delta", "delta", "delta", "delta", "call", "call", "item", "item", "done", "item done", "part", "end", "odd") {
	case "delta":
		return e(g.pick("delta", "output_text", "output_text", "output_text", "refusal", "reasoning_text", "reasoning_summary_text")+".delta") + g.place() + `,"delta":` + g.text() +
			g.pick("logprobs", "", `,"logprobs":[]`, `,"logprobs":[{"token":"t","logprob":-1,"bytes":null,"top_logprobs":[]}]`) + g.pick("padding", "", `,"obfuscation":"aB"`) + `}`
	case "call":
		return e(g.pick("input", "function_call_arguments", "function_call_arguments", "custom_tool_call_input")+".delta") + g.place() + `,"delta":` + g.pick("fragment", `"{"`, `"\"a\":1"`, `"}"`, `"{}"`, `"\ud83d"`, `"gAAA"`) + `}`
	case "item":
		return e("output_item.added") + g.pick("index", "", `,"output_index":0`, `,"output_index":1`) + `,"item":` + g.item() + `}`
	case "item done":
		return e("output_item.done") + g.pick("index", "", `,"output_index":0`, `,"output_index":1`) + `,"item":` + g.item() + `}`
	case "done":
		return e(g.pick("done", "output_text", "reasoning_summary_text", "reasoning_text")+".done") + g.place() + `,"text":` + g.text() + `}`
	case "part":
		return g.pick("part event", e("content_part.done")+g.place()+`,"part":{"type":"output_text","text":"Hello a"}}`, e("content_part.added")+g.place()+`,"part":{"type":"output_text","text":""}}`,
			e("output_text.annotation.added")+g.place()+`,"annotation":{"type":"url_citation","start_index":0,"end_index":1,"url":"u","title":"t"}}`,
			e("function_call_arguments.done")+g.place()+`,"arguments":"{\"a\":1}"}`)
	case "end":
		return g.pick("end", e("completed")+`,"response":{"id":"resp_1","status":"completed","output":[`+g.item()+`],"usage":{"input_tokens":5,"output_tokens":20,"total_tokens":25}}}`,
			e("incomplete")+`,"response":{"id":"resp_1","incomplete_details":{"reason":"content_filter"}}}`,
			e("failed")+`,"response":{"status":"failed","output":[`+g.item()+`],"error":{"code":"server_error","message":"m"}}}`, e("completed")+`,"response":{"output":[`+g.item()+`,`+g.item()+`]}}`,
			e("completed")+`,"response":{"id":"resp_1","status":"incomplete","output":[`+g.item()+`]}}`, e("completed")+`,"response":{"id":"resp_1","status":"failed","output":[`+g.item()+`]}}`,
			e("completed")+`,"response":{"id":"resp_1","status":"completed","citations":["u",{"url":"v"}],"output":[`+g.item()+`]}}`, e("failed")+`,"error":{"code":"c"}}`)
	}
	return g.pick("odd", `{}`, ``, `[DONE]`, `{"error":{"message":"boom"}}`, `not json`, e("created")+`,"response":{"id":"resp_1","created_at":1690000000}}`, `{"type":"error","code":"x","message":"m"}`,
		`{"type":"keepalive"}`, `[1]`, `{"detail":"d"}`, e("web_search_call.searching")+g.place()+`,"x":[1]}`)
}

// TestRandomReplies is FuzzChatTurn with streams that make more sense.
func TestRandomReplies(t *testing.T) {
	checks(t, 3000)
	c := newFrontCheck(t)
	rapid.Check(t, func(t *rapid.T) {
		g := replies{t}
		var upstream []byte
		last := ""
		for range rapid.IntRange(0, 14).Draw(t, "events") {
			if last == "" || g.pick("again", "no", "no", "yes") == "no" {
				last = g.event()
			}
			upstream = fmt.Appendf(upstream, "data: %s\n\n", last)
		}
		variant := uint(rapid.IntRange(0, 767).Draw(t, "variant"))
		failed := false
		c.check(func(format string, args ...any) {
			if !failed {
				t.Logf("%s", upstream)
			}
			failed = true
			t.Errorf(format, args...)
		}, upstream, variant, uint64(variant))
		if failed {
			t.Fatalf("variant %d", variant)
		}
	})
}

// lawful checks a request to a Responses backend: what the API itself would
// refuse, and what the translation promises.
func lawful(body []byte) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var r Request
	if err := r.Parse(bytes.Clone(body), RequestLimits{Items: 1 << 20}); err != nil {
		fault("our own reader refuses it: %v", err)
		return faults
	}
	var v struct {
		Store           *bool
		MaxOutputTokens *int64 `json:"max_output_tokens"`
		Input           []struct {
			ID     *string `json:"id"`
			Type   string
			Role   string
			CallID string `json:"call_id"`
		}
		Tools []struct {
			Type   string
			Strict *bool
		}
	}
	if err := json.Unmarshal(body, &v); err != nil {
		fault("%v", err)
	}
	if v.Store == nil {
		fault("store is not written out")
	}
	if v.MaxOutputTokens != nil && *v.MaxOutputTokens < 16 {
		fault("max_output_tokens is %d", *v.MaxOutputTokens)
	}
	for _, t := range v.Tools {
		if t.Type == "function" && t.Strict == nil {
			fault("strict is not written out")
		}
	}
	var open []string
	for i, it := range v.Input {
		if it.ID != nil || it.Type == "" {
			fault("input[%d] has an id, or no type", i)
		}
		switch it.Type {
		case "function_call", "custom_tool_call":
			if len([]rune(it.CallID)) > 64 || it.CallID == "" {
				fault("input[%d] has the call_id %q", i, it.CallID)
			}
			if slices.Contains(open, it.CallID) {
				fault("input[%d] has the call_id %q again", i, it.CallID)
			}
			open = append(open, it.CallID)
		case "function_call_output", "custom_tool_call_output":
			at := slices.Index(open, it.CallID)
			if at < 0 {
				fault("input[%d] answers no call", i)
			}
		}
	}
	return faults
}

// FuzzChatRequest: what is accepted becomes a request that a Responses backend
// accepts, always the same one, and nothing is accepted that is no chat request.
func FuzzChatRequest(f *testing.F) {
	for _, c := range frontCases(f) {
		f.Add(bytes.TrimSpace(c.File("client.json")), uint(len(c.Name)))
	}
	var dialects []Dialect
	for _, name := range DialectNames() {
		d, _ := LookupDialect(name)
		dialects = append(dialects, d)
	}
	var r ChatRequest
	f.Fuzz(func(t *testing.T, body []byte, n uint) {
		if len(body) > 64<<10 {
			return
		}
		body = bytes.Clone(body)
		if err := r.Parse(body, RequestLimits{}); err != nil {
			if err.Status != 400 || err.Message == "" || err.Type != TypeInvalidRequest {
				t.Fatalf("%+v", err)
			}
			return
		}
		var losses Losses
		dialect := dialects[n%uint(len(dialects))]
		dialect.Responses.Instructions = n/32%2 == 1
		opt := ResponsesOptions{
			Dialect: &dialect, KeepReasoning: n/16%2 == 0,
			NamePrefix: n/64%2 == 1, Losses: &losses, Kept: func([]byte) *KeptReasoning { return nil },
		}
		got, err := r.AppendResponses(nil, opt)
		if err != nil {
			if err.Param != "messages" && err.Code != "unsupported_parameter" {
				t.Fatal(err)
			}
			return
		}
		for _, fault := range lawful(got) {
			if !strings.Contains(fault, "unknown_parameter") {
				t.Errorf("%s\n%s\n%s", fault, body, got)
			}
		}
		losses.Reset()
		if again, _ := r.AppendResponses(nil, opt); !bytes.Equal(got, again) {
			t.Errorf("not the same again:\n%s\n%s", got, again)
		}
		for _, p := range []string{"input[0]", "input[1].content[0].text", "tools[0].name", "max_output_tokens", "text.format.schema"} {
			_ = r.Error(invalid("", p, "'"+p+"'"))
		}
	})
}
