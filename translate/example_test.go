package translate_test

import (
	"fmt"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// A request of the Responses API, for a chat backend.
func ExampleRequest() {
	body := []byte(`{"model":"m","instructions":"Be brief.","input":"Hi","max_output_tokens":100,"prompt_cache_key":"k"}`)
	var req translate.Request
	if err := req.Parse(body, translate.RequestLimits{}); err != nil {
		fmt.Println(err)
		return
	}
	dialect, _ := translate.LookupDialect("generic")
	var losses translate.Losses
	chat, err := req.AppendChat(nil, translate.ChatOptions{Dialect: &dialect, Losses: &losses})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(chat))
	for _, l := range losses.Entries {
		fmt.Println("lost:", l.Rule.Info().ID, l.Path)
	}
	// Output:
	// {"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],"max_tokens":100}
	// lost: param.hint prompt_cache_key
}

// A whole chat completion, for a client that speaks Responses.
func ExampleTurn_FeedMessage() {
	var req translate.Request
	if err := req.Parse([]byte(`{"model":"m","input":"Hi"}`), translate.RequestLimits{}); err != nil {
		fmt.Println(err)
		return
	}
	dialect, _ := translate.LookupDialect("generic")
	var turn translate.Turn
	turn.Reset(translate.TurnOptions{Request: &req, Dialect: &dialect, Created: 1})
	turn.FeedMessage(nil, []byte(`{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}`))
	response := turn.Response(nil, 2, false)
	fmt.Println(turn.Status(), strings.Contains(string(response), `"text":"Hello"`))
	// Output:
	// completed true
}

// A request of the Chat API, for a backend that speaks Responses.
func ExampleChatRequest() {
	body := []byte(`{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],
		"max_tokens":100,"seed":7,"tools":[{"type":"function","function":{"name":"now"}}]}`)
	var req translate.ChatRequest
	if err := req.Parse(body, translate.RequestLimits{}); err != nil {
		fmt.Println(err)
		return
	}
	dialect, _ := translate.LookupDialect("openai")
	var losses translate.Losses
	responses, err := req.AppendResponses(nil, translate.ResponsesOptions{Dialect: &dialect, Losses: &losses})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, member := range strings.SplitAfter(string(responses), "],") {
		fmt.Println(member)
	}
	for _, l := range losses.Entries {
		fmt.Println("lost:", l.Rule.Info().ID, l.Path)
	}
	// Output:
	// {"model":"m","input":[{"type":"message","role":"system","content":"Be brief."},{"type":"message","role":"user","content":"Hi"}],
	// "tools":[{"type":"function","name":"now","parameters":{"type":"object","properties":{}},"strict":false}],
	// "max_output_tokens":100,"store":false}
	// lost: chat.param.seed seed
}

// A stream of a Responses backend, for a chat client. The backend may send it in
// any pieces.
func ExampleChatTurn() {
	var req translate.ChatRequest
	if err := req.Parse([]byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}`), translate.RequestLimits{}); err != nil {
		fmt.Println(err)
		return
	}
	dialect, _ := translate.LookupDialect("openai")
	var turn translate.ChatTurn
	turn.Reset(translate.ChatTurnOptions{Request: &req, Dialect: &dialect, Created: 1, Events: true})
	var out []byte
	var events sse.Decoder
	for _, piece := range []string{
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,\"content_in",
		"dex\":0,\"delta\":\"Hello\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}\n\n",
	} {
		events.Feed([]byte(piece))
		for e, ok := events.Next(); ok; e, ok = events.Next() {
			out = turn.Feed(out, e.Name, e.Data)
		}
	}
	out = turn.Terminal(turn.Finish(out))
	for line := range strings.SplitSeq(string(out), "\n\n") {
		if _, delta, ok := strings.Cut(line, `"choices":`); ok {
			fmt.Println(delta)
		} else if line != "" {
			fmt.Println(line)
		}
	}
	// Output:
	// [{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}
	// [{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}
	// [{"index":0,"delta":{},"finish_reason":"stop"}]}
	// data: [DONE]
}

// A whole response object, for a chat client.
func ExampleChatTurn_FeedMessage() {
	var req translate.ChatRequest
	if err := req.Parse([]byte(`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`), translate.RequestLimits{}); err != nil {
		fmt.Println(err)
		return
	}
	dialect, _ := translate.LookupDialect("openai")
	var turn translate.ChatTurn
	turn.Reset(translate.ChatTurnOptions{Request: &req, Dialect: &dialect, Created: 1})
	turn.FeedMessage(nil, []byte(`{"object":"response","status":"completed","output":[
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}]}`))
	_, choices, _ := strings.Cut(string(turn.Completion(nil)), `"choices":`)
	fmt.Println(choices)
	// Output:
	// [{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":null,"system_fingerprint":null}
}

// A stream of a backend that leaves out numbers, indexes and the events that open
// and close, for a client that speaks Responses.
func ExampleResponsesTurn() {
	var req translate.Request
	if err := req.Parse([]byte(`{"model":"m","input":"Hi","stream":true}`), translate.RequestLimits{}); err != nil {
		fmt.Println(err)
		return
	}
	dialect, _ := translate.LookupDialect("llama.cpp")
	var turn translate.ResponsesTurn
	turn.Reset(translate.TurnOptions{Request: &req, Dialect: &dialect, Created: 1, Events: true}, false)
	out := turn.Feed(nil, nil, []byte(`{"type":"response.created","response":{"id":"resp_1"}}`))
	out = turn.Feed(out, nil, []byte(`{"type":"response.output_text.delta","item_id":"msg_1","delta":"Hello"}`))
	out = turn.Feed(out, nil, []byte(`{"type":"response.completed","response":{"status":"completed"}}`))
	out = turn.Terminal(out, 2, false, false)
	for line := range strings.SplitSeq(string(out), "\n") {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			fmt.Println(name)
		}
	}
	// Output:
	// response.created
	// response.in_progress
	// response.output_item.added
	// response.content_part.added
	// response.output_text.delta
	// response.output_text.done
	// response.content_part.done
	// response.output_item.done
	// response.completed
}
