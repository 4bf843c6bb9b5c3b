package translate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"antiphon/translate/streamcheck"
)

// The round trips: what goes through both directions means what it meant. A
// conversation is compared as a list of what was said, called and answered, in
// order: how that is cut into messages and items is each API's own affair.

// saidBy is one thing of a conversation.
func saidBy(who, what string, more ...string) string {
	return who + ": " + what + " " + strings.Join(more, " ")
}

// partsOf are the texts and other parts of content, in either API's form.
func partsOf(raw json.RawMessage) (all []string) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if s != "" {
			return []string{"text " + s}
		}
		return nil
	}
	var parts []map[string]json.RawMessage
	_ = json.Unmarshal(raw, &parts)
	for _, p := range parts {
		str := func(key string) (s string) { _ = json.Unmarshal(p[key], &s); return s }
		var inner map[string]string
		switch typ := str("type"); typ {
		case "text", "input_text", "output_text":
			if s := str("text"); s != "" {
				all = append(all, "text "+s)
			}
		case "refusal":
			if s := str("refusal"); s != "" {
				all = append(all, "refusal "+s)
			}
		case "image_url":
			_ = json.Unmarshal(p["image_url"], &inner)
			detail := inner["detail"]
			if detail == "" {
				detail = "auto"
			}
			all = append(all, "image "+inner["url"]+" "+detail)
		case "input_image":
			all = append(all, "image "+str("image_url")+" "+str("detail"))
		case "file":
			_ = json.Unmarshal(p["file"], &inner)
			all = append(all, "file "+inner["file_data"]+inner["file_id"]+" "+inner["filename"])
		case "input_file":
			all = append(all, "file "+str("file_data")+str("file_id")+" "+str("filename"))
		case "input_audio":
			_ = json.Unmarshal(p["input_audio"], &inner)
			all = append(all, "audio "+inner["data"]+" "+inner["format"])
		}
	}
	return all
}

// ofChat is the conversation in a chat request.
func ofChat(body []byte) (all []string) {
	var req struct {
		Messages []struct {
			Role      string
			Content   json.RawMessage
			Refusal   string
			CallID    string `json:"tool_call_id"`
			ToolCalls []struct {
				ID       string
				Function *struct{ Name, Arguments string }
				Custom   *struct{ Name, Input string }
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	for _, m := range req.Messages {
		if m.Role == "tool" {
			all = append(all, saidBy("answer", m.CallID, strings.ReplaceAll(strings.Join(partsOf(m.Content), ""), "text ", "")))
			continue
		}
		for _, p := range partsOf(m.Content) {
			all = append(all, saidBy(m.Role, p))
		}
		if m.Refusal != "" {
			all = append(all, saidBy(m.Role, "refusal "+m.Refusal))
		}
		for _, c := range m.ToolCalls {
			if c.Custom != nil {
				all = append(all, saidBy("custom", c.ID, c.Custom.Name, c.Custom.Input))
			} else {
				all = append(all, saidBy("call", c.ID, c.Function.Name, c.Function.Arguments))
			}
		}
	}
	return all
}

// ofResponses is the conversation in a Responses request.
func ofResponses(body []byte) (all []string) {
	var req struct {
		Input []struct {
			Type, Role, Name, Arguments string
			Content, Output             json.RawMessage
			Input                       string
			CallID                      string `json:"call_id"`
		}
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	for _, it := range req.Input {
		switch it.Type {
		case "function_call":
			all = append(all, saidBy("call", it.CallID, it.Name, it.Arguments))
		case "custom_tool_call":
			all = append(all, saidBy("custom", it.CallID, it.Name, it.Input))
		case "function_call_output", "custom_tool_call_output":
			all = append(all, saidBy("answer", it.CallID, strings.ReplaceAll(strings.Join(partsOf(it.Output), ""), "text ", "")))
		case "message", "":
			for _, p := range partsOf(it.Content) {
				all = append(all, saidBy(it.Role, p))
			}
		}
	}
	return all
}

// chatHistory draws chat conversations.
type chatHistory struct {
	t     *rapid.T
	calls int
}

func (h *chatHistory) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(h.t, label)
}

func (h *chatHistory) text() string {
	return h.pick("text", `"A"`, `"Hello, world"`, `""`, `"line\nend"`, `"\u00e9 \"x\" \\"`, `"\ud83d\ude00"`, `"<b>"`)
}

func (h *chatHistory) content(user bool) string {
	if h.pick("form", "string", "parts") == "string" {
		return h.text()
	}
	var parts []string
	for range rapid.IntRange(1, 3).Draw(h.t, "parts") {
		kinds := []string{`{"type":"text","text":` + h.text() + `}`}
		if user {
			kinds = append(kinds, `{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}`,
				`{"type":"image_url","image_url":{"url":"https://example.com/a","detail":"low"}}`,
				`{"type":"file","file":{"file_data":"data:x;base64,AA","filename":"a"}}`, `{"type":"file","file":{"file_id":"f"}}`,
				`{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}`)
		}
		parts = append(parts, h.pick("part", kinds...))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func (h *chatHistory) messages() string {
	var all []string
	for range rapid.IntRange(1, 7).Draw(h.t, "messages") {
		switch h.pick("role", "user", "user", "assistant", "calls", "system", "developer") {
		case "assistant":
			all = append(all, `{"role":"assistant","content":`+h.pick("answer", h.text(), `[{"type":"text","text":"x"},{"type":"refusal","refusal":"no"}]`)+`}`)
		case "calls":
			var calls, answers []string
			for range rapid.IntRange(1, 3).Draw(h.t, "calls") {
				h.calls++
				id := fmt.Sprintf("call_%d", h.calls)
				calls = append(calls, h.pick("call",
					`{"id":"`+id+`","type":"function","function":{"name":"f","arguments":`+h.pick("arguments", `"{}"`, `"{\"a\":\"b\\n\"}"`)+`}}`,
					`{"id":"`+id+`","type":"custom","custom":{"name":"g","input":`+h.text()+`}}`))
				answers = append(answers, `{"role":"tool","tool_call_id":"`+id+`","content":`+h.pick("answer", h.text(), `[{"type":"text","text":`+h.text()+`}]`)+`}`)
			}
			all = append(all, `{"role":"assistant","content":`+h.pick("with", `null`, `""`, `"I look."`)+`,"tool_calls":[`+strings.Join(calls, ",")+`]}`)
			all = append(all, answers...)
		default:
			role := h.pick("who", "user", "user", "system", "developer")
			all = append(all, `{"role":"`+role+`","content":`+h.content(role == "user")+`}`)
		}
	}
	return strings.Join(all, ",")
}

// roundTripParams are parameters that both APIs have, with what they are in the
// Chat API.
var roundTripParams = []string{
	`"temperature":0.5`, `"top_p":0.25`, `"presence_penalty":-1`, `"frequency_penalty":1.5`, `"max_completion_tokens":77`,
	`"reasoning_effort":"high"`, `"verbosity":"low"`, `"response_format":{"type":"json_object"}`,
	`"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"type":"object","properties":{}},"strict":true}}`,
	`"user":"u"`, `"safety_identifier":"s"`, `"prompt_cache_key":"k"`, `"service_tier":"flex"`, `"logprobs":true,"top_logprobs":3`,
	`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}},"strict":true}},{"type":"custom","custom":{"name":"g"}}],"tool_choice":"required","parallel_tool_calls":false`,
	`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"f"}}`,
	`"stream":true,"stream_options":{"include_usage":true}`,
}

// TestRoundTripChat: chat → responses → chat keeps what was said, and every
// parameter that both have.
func TestRoundTripChat(t *testing.T) {
	checks(t, 1500)
	openai, _ := LookupDialect("openai")
	rapid.Check(t, func(t *rapid.T) {
		h := &chatHistory{t: t}
		param := rapid.SampledFrom(roundTripParams).Draw(t, "param")
		body := `{"model":"m","messages":[` + h.messages() + `],` + param + `}`
		var chat ChatRequest
		if err := chat.Parse([]byte(body), RequestLimits{}); err != nil {
			t.Fatal(err, body)
		}
		var losses Losses
		up, err := chat.AppendResponses(nil, ResponsesOptions{Dialect: &openai, Losses: &losses})
		if err != nil {
			if len(ofChat([]byte(body))) > 0 {
				t.Fatal(err, body)
			}
			return
		}
		if !losses.Empty() {
			t.Fatalf("lost %s of\n%s", lossLines(&losses), body)
		}
		if faults := lawful(up); len(faults) > 0 {
			t.Fatalf("%s\n%s", faults, up)
		}
		if a, b := ofChat([]byte(body)), ofResponses(up); !slices.Equal(a, b) {
			t.Fatalf("chat\n%q\nresponses\n%q\n%s", a, b, up)
		}
		var r Request
		if err := r.Parse(slices.Clone(up), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		back, err := r.AppendChat(nil, ChatOptions{Dialect: &openai, Losses: &losses})
		if err != nil {
			t.Fatal(err)
		}
		// The first direction gives audio and files back as they are, and joins
		// answers' texts.
		if a, b := ofChat([]byte(body)), ofChat(back); !slices.Equal(a, b) {
			t.Fatalf("there\n%q\nback\n%q\n%s", a, b, back)
		}
		var was, is map[string]any
		if json.Unmarshal([]byte(`{`+param+`}`), &was) != nil || json.Unmarshal(back, &is) != nil {
			t.Fatal("not JSON")
		}
		for key, want := range was {
			if got := is[key]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s was %v and is %v\n%s\n%s", key, want, got, up, back)
			}
		}
	})
}

// TestRoundTripResponses: responses → chat → responses keeps what was said.
func TestRoundTripResponses(t *testing.T) {
	checks(t, 1500)
	openai, _ := LookupDialect("openai")
	rapid.Check(t, func(t *rapid.T) {
		h := &chatHistory{t: t}
		// Items are drawn as messages, and written down as a client of the
		// Responses API has them.
		var seed ChatRequest
		body := `{"model":"m","messages":[` + h.messages() + `],"temperature":0.5,"max_completion_tokens":99}`
		if err := seed.Parse([]byte(body), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		first, err := seed.AppendResponses(nil, ResponsesOptions{Dialect: &openai, Losses: new(Losses)})
		if err != nil {
			return
		}
		var r Request
		if err := r.Parse(slices.Clone(first), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		down, err := r.AppendChat(nil, ChatOptions{Dialect: &openai, Losses: new(Losses)})
		if err != nil {
			t.Fatal(err)
		}
		var chat ChatRequest
		if err := chat.Parse(slices.Clone(down), RequestLimits{}); err != nil {
			t.Fatalf("%v\n%s", err, down)
		}
		second, err := chat.AppendResponses(nil, ResponsesOptions{Dialect: &openai, Losses: new(Losses)})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := ofResponses(first), ofResponses(second); !slices.Equal(a, b) {
			t.Fatalf("there\n%q\nback\n%q\n%s", a, b, down)
		}
		// From here on nothing changes any more.
		var again Request
		if err := again.Parse(slices.Clone(second), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		third, err := again.AppendChat(nil, ChatOptions{Dialect: &openai, Losses: new(Losses)})
		if err != nil || !slices.Equal(ofChat(third), ofChat(down)) {
			t.Fatalf("%v: not the same the second time\n%s\n%s", err, down, third)
		}
	})
}

// TestRoundTripReply: a chat backend's stream, told as a response and told again
// as a chat completion, adds up to what it was: two proxies in a row are as good
// as none.
func TestRoundTripReply(t *testing.T) {
	checks(t, 1500)
	openai, _ := LookupDialect("openai")
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
		var texts []string
		for range rapid.IntRange(0, 4).Draw(t, "texts") {
			texts = append(texts, pick("text", "a", "Hello ", "\n", "é😀", `"\`))
		}
		refuses := rapid.Bool().Draw(t, "refuses")
		thought := pick("thought", "", "Hm")
		var chunks []string
		chunk := func(delta, finish string) {
			chunks = append(chunks, `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":`+delta+`,"finish_reason":`+finish+`}]}`)
		}
		chunk(`{"role":"assistant","content":""}`, "null")
		if thought != "" {
			chunk(`{"reasoning_content":`+quote(thought)+`}`, "null")
		}
		key := "content"
		if refuses {
			key = "refusal"
		}
		for _, s := range texts {
			chunk(`{"`+key+`":`+quote(s)+`}`, "null")
		}
		finish := pick("finish", "stop", "length", "content_filter")
		var calls []string
		for i := range rapid.IntRange(0, 3).Draw(t, "calls") {
			arguments := pick("arguments", "{}", `{"a":"b\n"}`)
			chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":"call_%d","type":"function","function":{"name":"f","arguments":""}}]}`, i, i), "null")
			for _, half := range []string{arguments[:1], arguments[1:]} {
				chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, i, quote(half)), "null")
			}
			calls = append(calls, fmt.Sprintf(`call_%d f %s`, i, arguments))
		}
		if len(calls) > 0 && finish == "stop" {
			finish = "tool_calls"
		}
		chunk(`{}`, quote(finish))
		chunks = append(chunks, `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}`)

		var inner Request
		var outer ChatRequest
		if err := inner.Parse([]byte(`{"model":"m","input":"x","stream":true,"tools":[{"type":"function","name":"f"}]}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		if err := outer.Parse([]byte(`{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		var turn Turn
		turn.Reset(TurnOptions{Request: &inner, Dialect: &openai, Seed: testSeed, Created: 1, Events: true, Losses: new(Losses)})
		events := turn.Begin(nil)
		for _, c := range chunks {
			events = turn.Feed(events, []byte(c))
		}
		events = turn.Terminal(turn.Done(events), 2, false, false)
		var back ChatTurn
		back.Reset(ChatTurnOptions{Request: &outer, Dialect: &openai, Seed: testSeed, Created: 1, Events: true, Reasoning: true, Losses: new(Losses)})
		out := back.Terminal(chatPieces(nil, &back, events))
		f, err := streamcheck.FoldChat(out, streamcheck.ChatOptions{Usage: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var whole ChatTurn
		whole.Reset(ChatTurnOptions{Request: &outer, Dialect: &openai, Seed: testSeed, Created: 1, Reasoning: true, Losses: new(Losses)})
		whole.FeedMessage(nil, turn.Response(nil, 2, false))
		if !sameJSON(f.Completion, whole.Completion(nil)) {
			t.Fatalf("streamed\n%s\nwhole\n%s", f.Completion, whole.Completion(nil))
		}
		var got struct {
			Choices []struct {
				Message struct {
					Content, Refusal *string
					Reasoning        string `json:"reasoning_content"`
					ToolCalls        []struct {
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				Finish string `json:"finish_reason"`
			}
			Usage struct {
				Prompt     int `json:"prompt_tokens"`
				Completion int `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal(f.Completion, &got); err != nil {
			t.Fatal(err)
		}
		c := got.Choices[0]
		said := c.Message.Content
		if refuses {
			said = c.Message.Refusal
		}
		want := strings.Join(texts, "")
		if said == nil && want != "" || said != nil && *said != want || c.Message.Reasoning != thought || c.Finish != finish ||
			got.Usage.Prompt != 7 || got.Usage.Completion != 5 {
			t.Fatalf("%q %q %s became\n%s", want, thought, finish, f.Completion)
		}
		var is []string
		for _, call := range c.Message.ToolCalls {
			is = append(is, call.ID+" "+call.Function.Name+" "+call.Function.Arguments)
		}
		if !slices.Equal(is, calls) {
			t.Fatalf("%q became %q", calls, is)
		}
	})
}

// TestRoundTripReasoning: what ChatTurn says to keep comes back in the place that
// it had, when the same history returns.
func TestRoundTripReasoning(t *testing.T) {
	checks(t, 500)
	openai, _ := LookupDialect("openai")
	rapid.Check(t, func(t *rapid.T) {
		var output, want []string
		var calls, answers []string
		text := ""
		number := 0
		reasoning := func() {
			if rapid.Bool().Draw(t, "reasons") {
				number++
				output = append(output, fmt.Sprintf(`{"id":"rs_%d","type":"reasoning","summary":[],"encrypted_content":"sealed %d"}`, number, number))
				want = append(want, fmt.Sprintf("sealed %d", number))
			}
		}
		reasoning()
		if rapid.Bool().Draw(t, "speaks") {
			text = "I look."
			output = append(output, `{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[],"logprobs":[]}]}`)
			want = append(want, "message")
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "calls") {
			reasoning()
			output = append(output, fmt.Sprintf(`{"id":"fc_%d","type":"function_call","status":"completed","call_id":"call_%d","name":"f","arguments":"{}"}`, i, i))
			want = append(want, fmt.Sprintf("call_%d", i))
			calls = append(calls, fmt.Sprintf(`{"id":"call_%d","type":"function","function":{"name":"f","arguments":"{}"}}`, i))
			answers = append(answers, fmt.Sprintf(`{"role":"tool","tool_call_id":"call_%d","content":"1"}`, i))
		}
		if text == "" && len(calls) == 0 {
			return
		}
		var ask ChatRequest
		if err := ask.Parse([]byte(`{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		var turn ChatTurn
		turn.Reset(ChatTurnOptions{Request: &ask, Dialect: &openai, Seed: testSeed, Created: 1})
		turn.FeedMessage(nil, []byte(`{"object":"response","status":"completed","output":[`+strings.Join(output, ",")+`]}`))
		kept := map[string]*KeptReasoning{}
		for _, k := range turn.Kept() {
			if k.Size() < len(k.Key) {
				t.Fatal("size")
			}
			kept[k.Key] = &k
		}
		message := `{"role":"assistant","content":` + quote(text)
		if len(calls) > 0 {
			message += `,"tool_calls":[` + strings.Join(calls, ",") + `]`
		}
		history := append([]string{`{"role":"user","content":"x"}`, message + `}`}, answers...)
		var next ChatRequest
		if err := next.Parse([]byte(`{"model":"m","messages":[`+strings.Join(history, ",")+`,{"role":"user","content":"y"}]}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		var asked []string
		body, err := next.AppendResponses(nil, ResponsesOptions{
			Dialect: &openai, KeepReasoning: true, Losses: new(Losses), Kept: func(key []byte) *KeptReasoning {
				asked = append(asked, string(key))
				return kept[string(key)]
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for key := range kept {
			if !slices.Contains(asked, key) {
				t.Fatalf("%s is not asked for: %q", key, asked)
			}
		}
		var got struct {
			Input []struct {
				Type, Role string
				CallID     string `json:"call_id"`
				Sealed     string `json:"encrypted_content"`
			}
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		var is []string
		for _, it := range got.Input {
			switch {
			case it.Type == "reasoning":
				is = append(is, it.Sealed)
			case it.Role == "assistant":
				is = append(is, "message")
			case it.Type == "function_call":
				is = append(is, it.CallID)
			}
		}
		if text != "" && len(calls) == 0 && len(want) > 0 && want[len(want)-1] != "message" {
			want = want[:len(want)-1] // reasoning that led to nothing
		}
		if !slices.Equal(is, want) {
			t.Fatalf("%q came back as %q\n%s", want, is, body)
		}
	})
}
