package translate

import (
	"fmt"
	"strings"
	"testing"
)

// functionTools are so many plain function tools, of the size that coding agents send.
func functionTools(n int) string {
	var tools []string
	for i := range n {
		tools = append(tools, fmt.Sprintf(`{"type":"function","name":"tool_%d","description":"%s","strict":false,`+
			`"parameters":{"type":"object","properties":{"cmd":{"type":"string","description":"%s"},"timeout_ms":{"type":"number"}},`+
			`"required":["cmd"],"additionalProperties":false}}`, i, strings.Repeat("What it does. ", 20), strings.Repeat("Which one. ", 10)))
	}
	return "[" + strings.Join(tools, ",") + "]"
}

// toolLoop is a history of so many function calls and their outputs.
func toolLoop(n int) string {
	var b strings.Builder
	b.WriteString(`[{"type":"message","role":"user","content":[{"type":"input_text","text":"Go"}]}`)
	for i := range n {
		fmt.Fprintf(&b, `,{"type":"function_call","id":"fc_%d","call_id":"call_%d","name":"tool_1","arguments":"{\"cmd\":\"ls -l\"}","status":"completed"}`+
			`,{"type":"function_call_output","call_id":"call_%d","output":"%s"}`, i, i, i, strings.Repeat(`a line of output\n`, 20))
	}
	b.WriteString("]")
	return b.String()
}

func benchRequest(b *testing.B, dialect, body string) {
	d, _ := LookupDialect(dialect)
	var r Request
	var losses Losses
	raw := []byte(body)
	dst := make([]byte, 0, 2*len(raw))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		losses.Reset()
		if err := r.Parse(raw, RequestLimits{}); err != nil {
			b.Fatal(err)
		}
		var err *Error
		if dst, err = r.AppendChat(dst[:0], ChatOptions{Dialect: &d, Losses: &losses}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequestFunctions is a turn of an agent that has plain functions only.
func BenchmarkRequestFunctions(b *testing.B) {
	benchRequest(b, "generic", `{"model":"m","stream":true,"store":false,"tool_choice":"auto","input":`+toolLoop(20)+`,"tools":`+functionTools(15)+`}`)
}

// BenchmarkRequest64KB is a conversation of 64 messages of 1 KB.
func BenchmarkRequest64KB(b *testing.B) {
	var items []string
	for i := range 64 {
		role := "user"
		if i%2 == 1 {
			role = "assistant"
		}
		items = append(items, `{"role":"`+role+`","content":"`+strings.Repeat("All work and no play ", 48)+`"}`)
	}
	benchRequest(b, "generic", `{"model":"m","input":[`+strings.Join(items, ",")+`]}`)
}

// BenchmarkTextDelta is a delta of a streamed answer.
func BenchmarkTextDelta(b *testing.B) {
	chunk := func(text string) string {
		return `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}`
	}
	benchDeltas(b, "generic", "[]", chunk("Hello"), chunk(" world"), chunk(" and more"))
}

// BenchmarkRequestCodex is Codex' request: functions, a namespace, a hosted tool.
func BenchmarkRequestCodex(b *testing.B) { benchRequest(b, "generic", codexRequest) }

// benchDeltas feeds a turn its first chunk and then the next ones for ever.
func benchDeltas(b *testing.B, dialect, tools string, first string, next ...string) {
	d, _ := LookupDialect(dialect)
	var r Request
	if err := r.Parse([]byte(`{"model":"m","input":"Hi","stream":true,"tools":`+tools+`}`), RequestLimits{}); err != nil {
		b.Fatal(err)
	}
	if _, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
		b.Fatal(err)
	}
	var turn Turn
	opt := TurnOptions{Request: &r, Dialect: &d, Seed: testSeed, Created: 1, Events: true, Losses: new(Losses), MaxBytes: 1 << 20}
	var data [][]byte
	for _, n := range next {
		data = append(data, []byte(n))
	}
	out := make([]byte, 0, 64<<10)
	begin := func() {
		turn.Reset(opt)
		out = turn.Feed(out[:0], []byte(first))
	}
	begin()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if out = turn.Feed(out[:0], data[i%len(data)]); turn.Ended() {
			b.StopTimer()
			begin()
			b.StartTimer()
		}
		i++
	}
}

func callChunk(id, name, arguments string) string {
	return `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,` +
		id + `"function":{` + name + `"arguments":"` + arguments + `"}}]},"finish_reason":null}]}`
}

func BenchmarkArgumentsDelta(b *testing.B) {
	benchDeltas(b, "generic", functionTools(15), callChunk(`"id":"c1","type":"function",`, `"name":"tool_1",`, `{\"cmd\":\"`), callChunk("", "", `word `))
}

const customTool = `[{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: /x/"}}]`

// BenchmarkCustomDelta is a delta of a custom tool's input: a word, or a line with escapes.
func BenchmarkCustomDelta(b *testing.B) {
	first := callChunk(`"id":"c1","type":"function",`, `"name":"apply_patch",`, `{\"input\":\"`)
	b.Run("word", func(b *testing.B) { benchDeltas(b, "generic", customTool, first, callChunk("", "", `word `)) })
	b.Run("escapes", func(b *testing.B) {
		benchDeltas(b, "generic", customTool, first, callChunk("", "", `+say(\\\"hi\\\")\\n`))
	})
	b.Run("native", func(b *testing.B) {
		native := strings.NewReplacer(`"function":{"name"`, `"custom":{"name"`, `"function":{"arguments"`, `"custom":{"input"`, `,"arguments"`, `,"input"`)
		benchDeltas(b, "openai", customTool, native.Replace(callChunk(`"id":"c1","type":"custom",`, `"name":"apply_patch",`, ``)),
			native.Replace(callChunk("", "", `+say(\"hi\")\n`)))
	})
}

// BenchmarkRequestNamespaces is a turn of an agent with MCP servers: as many functions as BenchmarkRequestFunctions, in namespaces.
func BenchmarkRequestNamespaces(b *testing.B) {
	tools := functionTools(15)
	benchRequest(b, "generic", `{"model":"m","stream":true,"store":false,"tool_choice":"auto","input":`+strings.ReplaceAll(toolLoop(20), `"name":"tool_1"`, `"name":"tool_1","namespace":"mcp__a"`)+
		`,"tools":[{"type":"namespace","name":"mcp__a","description":"A.","tools":`+tools+`},`+strings.TrimPrefix(customTool, "[")+`}`)
}
