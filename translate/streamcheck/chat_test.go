package streamcheck

import (
	"bytes"
	"encoding/json"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// chatGood are streams as the live API sends them, by name.
var chatGood = map[string]struct {
	opt  ChatOptions
	text string
}{
	"text": {ChatOptions{Usage: true}, chatLines(
		chatChunk(`{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}`, `,"usage":null`),
		chatChunk(`{"index":0,"delta":{"content":"Hé"},"finish_reason":null}`, `,"usage":null,"obfuscation":"aB3"`),
		chatChunk(`{"index":0,"delta":{"content":"llo"},"finish_reason":null}`, `,"usage":null`),
		chatChunk(`{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":2,"url":"u","title":"t"}}]},"finish_reason":null}`, `,"usage":null`),
		chatChunk(`{"index":0,"delta":{},"finish_reason":"stop"}`, `,"usage":null`),
		chatChunk(``, `,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`),
	)},
	"calls": {ChatOptions{}, chatLines(
		chatChunk(`{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c1","type":"custom","custom":{"name":"g","input":"x"}}]},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{},"finish_reason":"tool_calls"}`, ``),
	)},
	"legacy": {ChatOptions{}, chatLines(
		chatChunk(`{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"function_call":{"name":"f","arguments":""}},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"function_call":{"arguments":"{}"}},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{},"finish_reason":"function_call"}`, ``),
	)},
	"logprobs": {ChatOptions{Logprobs: true, Choices: 2}, chatLines(
		chatChunk(`{"index":1,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-1,"bytes":null}]}],"refusal":null},"finish_reason":null}`, ``),
		chatChunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"},{"index":1,"delta":{"refusal":"no"},"logprobs":null,"finish_reason":"content_filter"}`, ``),
	)},
	"error": {ChatOptions{}, chatLines(
		chatChunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, ``),
		`data: {"error":{"message":"m","type":"server_error","param":null,"code":null}}`,
	)},
}

func chatChunk(choices, more string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":null,"choices":[` +
		choices + `]` + more + `}`
}

func chatLines(lines ...string) string {
	return strings.Join(append(lines, "data: [DONE]"), "\n\n") + "\n\n"
}

// chatMutations damage a good stream in one place: old becomes new, the first
// time it occurs. The rule must be reported, and first.
var chatMutations = []struct {
	rule             Rule
	stream, old, new string
}{
	{SSELine, "text", "data: {", "id: 1\ndata: {"},
	{SSELine, "text", "data: {", "data:{"},
	{SSECR, "text", "\n\n", "\r\n\r\n"},
	{SSEBlankLine, "text", "\n\ndata", "\n\n\ndata"},
	{SSEDataLine, "text", "\n\ndata", "\ndata"},
	{SSEComment, "text", "}\n\ndata", "}\n: hi\n\ndata"},
	{SSETruncated, "text", "[DONE]\n\n", "[DONE]\n"},
	{SSETruncated, "text", "[DONE]\n\n", "[DONE]"},
	{ChatEventLine, "text", "data: {", "event: x\ndata: {"},
	{JSONSyntax, "text", `"created":1,`, `"created":1,,`},
	{JSONUTF8, "text", "é", "\xc3"},
	{JSONDuplicate, "text", `"model":"m"`, `"model":"m","model":"m"`},
	{JSONSurrogate, "text", `"llo"`, `"l\ud83d"`},
	{ChatObject, "text", "chat.completion.chunk", "chat.completion"},
	{ChatMember, "text", `"created":1`, `"created":"1"`},
	{ChatMember, "text", `"id":"chatcmpl-1"`, `"id":""`},
	{ChatMember, "text", `,"model":"m"`, ``},
	{ChatMember, "calls", "data: [DONE]", chatChunk("", "") + "\n\ndata: [DONE]"},
	{ChatSame, "calls", `"id":"chatcmpl-1"`, `"id":"chatcmpl-2"`},
	{ChatSame, "calls", `"created":1`, `"created":2`},
	{ChatSame, "calls", `"model":"m"`, `"model":"n"`},
	{ChatErrorKey, "text", `"object"`, `"error":null,"object"`},
	{ChatError, "error", `,"param":null`, ``},
	{ChatError, "error", `"message":"m"`, `"message":""`},
	{ChatError, "error", `"code":null`, `"code":5`},
	{ChatAfterError, "error", "data: [DONE]", chatChunk(`{"index":0,"delta":{},"finish_reason":"stop"}`, ``) + "\n\ndata: [DONE]"},
	{ChatAfterDone, "calls", "data: {", "data: [DONE]\n\ndata: {"},
	{ChatDone, "text", "data: [DONE]\n\n", ""},
	{ChatDone, "text", "data: [DONE]", "data: [DONE]\n\ndata: [DONE]"},
	{ChoiceIndex, "text", `"index":0`, `"index":1`},
	{ChoiceIndex, "text", `"index":0`, `"index":"0"`},
	{ChoiceIndex, "logprobs", `},{"index":1`, `},{"index":0`},
	{ChoiceMember, "text", `,"finish_reason":null`, ``},
	{ChoiceMember, "text", `"delta":{"content":"llo"}`, `"delta":null`},
	{ChoiceRole, "text", `"role":"assistant",`, ``},
	{ChoiceRole, "text", `"role":"assistant"`, `"role":"user"`},
	{ChoiceRole, "text", `{"content":"llo"}`, `{"role":"assistant","content":"llo"}`},
	{ChoiceClosed, "calls", `{"role":"assistant","content":null},"finish_reason":null`, `{"role":"assistant","content":null},"finish_reason":"length"`},
	{ChoiceFinish, "text", `"finish_reason":"stop"`, `"finish_reason":"eos"`},
	{ChoiceFinish, "text", `"finish_reason":"stop"`, `"finish_reason":"tool_calls"`},
	{ChoiceFinish, "calls", `"finish_reason":"tool_calls"`, `"finish_reason":"stop"`},
	{ChoiceFinish, "legacy", `"finish_reason":"function_call"`, `"finish_reason":"tool_calls"`},
	{ChoiceFinish, "calls", `"delta":{},"finish_reason":"tool_calls"`, `"delta":{"content":""},"finish_reason":null`},
	{ChoiceDelta, "text", `"content":"llo"`, `"content":5`},
	{ChoiceDelta, "text", `"content":"llo"`, `"text":"llo"`},
	{ChoiceTokens, "logprobs", `"logprobs":null,`, ``},
	{ChoiceTokens, "logprobs", `"token":"a",`, ``},
	{ChoiceTokens, "logprobs", `"bytes":null`, `"bytes":"a"`},
	{ChoiceTokens, "logprobs", `,"refusal":null},"finish`, `},"finish`},
	{ChoiceTokens, "logprobs", `"logprobs":null`, `"logprobs":5`},
	{ChoiceNote, "text", `"type":"url_citation"`, `"type":"file_citation"`},
	{ChoiceNote, "text", `,"title":"t"`, ``},
	{CallIndex, "calls", `"tool_calls":[{"index":0`, `"tool_calls":[{"index":1`},
	{CallIndex, "calls", `[{"index":1`, `[{"index":128`},
	{CallIndex, "calls", `[{"index":0,"function"`, `[{"function"`},
	{CallBegin, "calls", `"id":"c0",`, ``},
	{CallBegin, "calls", `"type":"function"`, `"type":"tool"`},
	{CallBegin, "calls", `"name":"f"`, `"name":""`},
	{CallBegin, "legacy", `"name":"f",`, ``},
	{CallRepeat, "calls", `[{"index":0,"function"`, `[{"index":0,"id":"c0","function"`},
	{CallRepeat, "calls", `"function":{"arguments"`, `"function":{"name":"f","arguments"`},
	{CallRepeat, "legacy", `{"arguments":"{}"}`, `{"name":"f","arguments":"{}"}`},
	{CallID, "calls", `"c1"`, `"c0"`},
	{CallPayload, "calls", `"arguments":"{}"`, `"arguments":{}`},
	{CallPayload, "calls", `"input":"x"`, `"arguments":"x"`},
	{CallPayload, "legacy", `"arguments":"{}"`, `"arguments":{}`},
	{CallContents, "calls", `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, `{"tool_calls":[]}`},
	{CallContents, "calls", `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, `{"function_call":{"name":"f","arguments":""}}`},
	{ChatUsageNull, "text", `,"usage":null`, ``},
	{ChatUsageNull, "calls", `}]}` + "\n", `}],"usage":null}` + "\n"},
	{ChatUsagePlace, "text", `}],"usage":null}`, `}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`},
	{ChatUsage, "text", `"total_tokens":5`, `"total_tokens":6`},
	{ChatUsage, "text", `"completion_tokens":2`, `"completion_tokens":-2`},
	{ChatUsage, "text", `"cached_tokens":0`, `"cached":0`},
	{ChatObfuscation, "text", `"aB3"`, `"a-3"`},
	{ChatEmpty, "text", `{"content":"llo"}`, `{}`},
}

func TestChatGood(t *testing.T) {
	for name, s := range chatGood {
		for _, v := range ChatStream([]byte(s.text), s.opt) {
			t.Errorf("%s: %s", name, v)
		}
	}
	with := strings.Replace(chatGood["text"].text, "\n\n", "\n\n: alive\n\n", 1)
	for _, v := range ChatStream([]byte(with), chatGood["text"].opt) {
		t.Errorf("a comment: %s", v)
	}
}

func TestChatMutations(t *testing.T) {
	tested := map[Rule]bool{}
	for _, m := range chatMutations {
		s := chatGood[m.stream]
		bad := strings.Replace(s.text, m.old, m.new, 1)
		name := string(m.rule) + "/" + m.stream + "/" + m.old + "→" + m.new
		if bad == s.text {
			t.Errorf("%s: the mutation changed nothing", name)
			continue
		}
		got := ChatStream([]byte(bad), s.opt)
		if len(got) == 0 || got[0].Rule != m.rule {
			t.Errorf("%s: reported as %v", name, got)
		}
		tested[m.rule] = true
	}
	file, err := goparser.ParseFile(token.NewFileSet(), "chat_rules.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, _ := strconv.Unquote(lit.Value); !tested[Rule(s)] {
				t.Errorf("no mutation for %s", s)
			}
		}
		return true
	})
}

const chatObjectGood = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",
"content":null,"refusal":null,"annotations":[],"tool_calls":[{"id":"c0","type":"function","function":{"name":"f","arguments":"{}"}},
{"id":"c1","type":"custom","custom":{"name":"g","input":"x"}}]},"finish_reason":"tool_calls"}],
"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`

func TestChatCompletion(t *testing.T) {
	if got := ChatCompletion([]byte(chatObjectGood), ChatOptions{}); len(got) > 0 {
		t.Fatal(got)
	}
	for _, m := range []struct {
		rule     Rule
		old, new string
	}{
		{JSONSyntax, `"id"`, `id`},
		{ChatObject, "chat.completion", "chat.completion.chunk"},
		{ChatMember, `"created":1,`, ``},
		{ChatUsage, `"total_tokens":5`, `"total_tokens":4`},
		{ChoiceIndex, `"index":0`, `"index":1`},
		{ChoiceRole, `"assistant"`, `"user"`},
		{ChoiceMember, `"refusal":null,`, ``},
		{ChoiceFinish, `"finish_reason":"tool_calls"`, `"finish_reason":"stop"`},
		{CallBegin, `"id":"c0",`, ``},
		{CallID, `"c1"`, `"c0"`},
		{CallPayload, `"input":"x"`, `"input":null`},
		{CallContents, `"tool_calls":[`, `"tool_calls":[],"odd":[`},
		{ChoiceNote, `"annotations":[]`, `"annotations":[{}]`},
		{CallPayload, `"tool_calls":[`, `"function_call":{"name":"f"},"tool_calls":[`},
		{ChoiceTokens, `"finish_reason"`, `"logprobs":{},"finish_reason"`},
	} {
		bad := strings.Replace(chatObjectGood, m.old, m.new, 1)
		if got := ChatCompletion([]byte(bad), ChatOptions{}); len(got) == 0 || got[0].Rule != m.rule {
			t.Errorf("%s → %s: %v", m.old, m.new, got)
		}
	}
	if got := ChatCompletion([]byte(chatObjectGood), ChatOptions{Choices: 2, Logprobs: true}); len(got) != 2 {
		t.Error(got)
	}
}

func TestFoldChat(t *testing.T) {
	for name, want := range map[string]string{
		"text": `{"id":"chatcmpl-1","created":1,"model":"m","system_fingerprint":null,"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
			"content":"Héllo","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":2,"url":"u","title":"t"}}]},"logprobs":null,"finish_reason":"stop"}],
			"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`,
		"calls": `{"id":"chatcmpl-1","created":1,"model":"m","system_fingerprint":null,"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
			"content":null,"refusal":null,"annotations":[],"tool_calls":[{"id":"c0","type":"function","function":{"name":"f","arguments":"{}"}},
			{"id":"c1","type":"custom","custom":{"name":"g","input":"x"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null}`,
	} {
		s := chatGood[name]
		f, err := FoldChat([]byte(s.text), s.opt)
		var a, b any
		if err != nil || json.Unmarshal(f.Completion, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v\n%s", name, err, f.Completion)
		}
		if got := ChatCompletion(f.Completion, s.opt); len(got) > 0 {
			t.Error(name, got)
		}
	}
	if f, err := FoldChat([]byte(chatGood["error"].text), ChatOptions{}); err != nil || !bytes.Contains(f.Error, []byte("server_error")) {
		t.Error(err)
	}
	if _, err := FoldChat([]byte("data: x\n\n"), ChatOptions{}); err == nil {
		t.Error("a broken stream folds")
	}
}

func FuzzChatStream(f *testing.F) {
	for _, s := range chatGood {
		f.Add([]byte(s.text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		opt := ChatOptions{Choices: 2, Usage: true}
		_ = ChatStream(raw, opt)
		_, _ = FoldChat(raw, opt)
		_ = ChatCompletion(raw, opt)
	})
}
