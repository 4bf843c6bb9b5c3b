package proxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

const misplacedCustom = `"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"Mend it."}]},` +
	`{"id":"rs_7","type":"reasoning","summary":[],"encrypted_content":"enc"},` +
	`{"type":"custom_tool_call","call_id":"k1","name":"edit","input":"one"},{"type":"custom_tool_call_output","call_id":"k1","output":"done"}],` +
	`"tools":[{"type":"custom","name":"edit"},{"type":"function","name":"read","parameters":{"type":"object"}}],"reasoning":{"effort":"medium","summary":"auto"}`

// toolCalls are the calls of a chat answer, streamed or not.
func toolCalls(t testing.TB, got *reply) string {
	t.Helper()
	type call struct {
		Type     string
		Custom   struct{ Name, Input string }
		Function struct{ Name, Arguments string }
	}
	var calls []call
	take := func(list []call, streamed bool) {
		for _, c := range list {
			if c.Type != "" || !streamed {
				calls = append(calls, c)
				continue
			}
			last := &calls[len(calls)-1]
			last.Custom.Input += c.Custom.Input
			last.Function.Arguments += c.Function.Arguments
		}
	}
	var m struct {
		Choices []struct {
			Message, Delta struct {
				ToolCalls []call `json:"tool_calls"`
			}
		}
	}
	for line := range strings.SplitSeq(string(got.body), "\n") {
		data, streamed := strings.CutPrefix(line, "data: ")
		if json.Unmarshal([]byte(data), &m) != nil {
			continue
		}
		for _, c := range m.Choices {
			take(c.Message.ToolCalls, streamed)
			take(c.Delta.ToolCalls, streamed)
		}
		m.Choices = nil
	}
	b, _ := json.Marshal(calls)
	return string(b)
}

// TestMisplacedForResponses: a Responses body on the chat path goes to a Responses
// backend as it is, and the reply becomes a completion.
func TestMisplacedForResponses(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{`"stream":true,`, ``} {
		up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
			if strings.Contains(string(req.Body), "Fail") {
				return `json 400 {"error":{"message":"Invalid 'input[0]': no.","type":"invalid_request_error","param":"input[0]","code":"invalid_value"}}`
			}
			if stream != "" {
				return "head 200 text/event-stream\n" +
					`chunk data: {"type":"response.created","response":{"id":"resp_up","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}` + "\n" +
					`chunk data: {"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","id":"ctc_1","call_id":"c1","name":"edit","input":""}}` + "\n" +
					`chunk data: {"type":"response.custom_tool_call_input.delta","output_index":0,"item_id":"ctc_1","delta":"line 2"}` + "\n" +
					`chunk data: {"type":"response.completed","response":{"id":"resp_up","object":"response","status":"completed","output":[{"type":"custom_tool_call","id":"ctc_1","call_id":"c1","name":"edit","input":"line 2"}]}}`
			}
			return `json 200 {"id":"resp_up","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"custom_tool_call","id":"ctc_1","call_id":"c1","name":"edit","input":"line 2"}]}`
		})
		r := newRig(t, up.URL(), speaksResponses)
		body := `{` + stream + misplacedCustom + `}`
		got := r.do("POST", "/v1/chat/completions", body)
		got.want(t, 200, "")
		if sent := up.Next(); sent.URI != "/v1/responses" || string(sent.Body) != body {
			t.Errorf("%s %s", sent.URI, sent.Body)
		}
		if calls := toolCalls(t, got); calls != `[{"Type":"custom","Custom":{"Name":"edit","Input":"line 2"},"Function":{"Name":"","Arguments":""}}]` {
			t.Errorf("%s\n%s", calls, got.body)
		}
		if loss := got.header.Get("Antiphon-Loss"); loss != "" {
			t.Errorf("nothing is lost: %s", loss)
		}
		failed := r.do("POST", "/v1/chat/completions", `{`+stream+`"model":"m","input":"Fail"}`)
		failed.want(t, 400, "invalid_value")
		if !strings.Contains(string(failed.body), `"param":"input[0]"`) {
			t.Errorf("the client's own names: %s", failed.body)
		}
	}
}

// TestMisplacedCustomForChat: a chat backend is shown the custom tool as a function, and
// the client gets its call as that of a custom tool.
func TestMisplacedCustomForChat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, reply string }{
		{``, `json 200 {"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,` +
			`"tool_calls":[{"id":"c1","type":"function","function":{"name":"edit","arguments":"{\"input\":\"line 2\"}"}},` +
			`{"id":"c2","type":"function","function":{"name":"read","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}]}`},
		{`"stream":true,`, "head 200 text/event-stream\n" +
			`chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"edit","arguments":"{\"input\":\"li"}}]}}]}` + "\n" +
			`chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ne 2\"}"}}]}}]}` + "\n" +
			`chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"read","arguments":"{\"a\":1}"}}]}}]}` + "\n" +
			`chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n" +
			`chunk data: [DONE]`},
		{`"stream":true,`, "head 200 text/event-stream\n" + `chunk data: {"error":{"message":"The lamp is out."}}`},
		{``, `json 500 {"error":{"message":"The lamp is out."}}`},
	} {
		up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return c.reply })
		r := newRig(t, up.URL())
		got := r.do("POST", "/v1/chat/completions", `{`+c.stream+misplacedCustom+`}`)
		if sent := up.Next(); sent.URI != "/v1/chat/completions" || !strings.Contains(string(sent.Body), `"type":"function","function":{"name":"edit"`) {
			t.Errorf("%s %s", sent.URI, sent.Body)
		}
		if strings.Contains(c.reply, "The lamp") {
			if !strings.Contains(string(got.body), "The lamp is out.") {
				t.Errorf("%d %s", got.status, got.body)
			}
			continue
		}
		got.want(t, 200, "")
		want := `[{"Type":"custom","Custom":{"Name":"edit","Input":"line 2"},"Function":{"Name":"","Arguments":""}},` +
			`{"Type":"function","Custom":{"Name":"","Input":""},"Function":{"Name":"read","Arguments":"{\"a\":1}"}}]`
		if calls := toolCalls(t, got); calls != want {
			t.Errorf("%s\n%s", calls, got.body)
		}
		if !strings.Contains(got.header.Get("Antiphon-Loss"), "tool.custom") {
			t.Errorf("%v", got.header)
		}
	}
}

// TestSocketCompactionOfTheUpstream: a compaction item that the backend has made goes to
// it over a WebSocket, too, and one that nobody has made is refused elsewhere.
func TestSocketCompactionOfTheUpstream(t *testing.T) {
	t.Parallel()
	const input = `"store":false,"input":[{"type":"compaction","encrypted_content":"b3BhcXVl"},{"type":"message","role":"user","content":"Go on."}]`
	up := upstreamtest.NewFunc(t, 0, ownResponses)
	p := newRig(t, up.URL(), speaksResponses).socket()
	p.create(input)
	p.until("", "response.completed")
	if sent := string(up.Next().Body); !strings.Contains(sent, `{"type":"compaction","encrypted_content":"b3BhcXVl"}`) {
		t.Errorf("%s", sent)
	}
	chat := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return answers("a") })
	p = newRig(t, chat.URL()).socket()
	p.create(input)
	if f := p.until("", "error"); f.Status != 400 {
		t.Errorf("%s", f.raw)
	}
}
