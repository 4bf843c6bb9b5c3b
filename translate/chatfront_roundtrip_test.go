package translate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
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
func ofChat(body []byte) []string {
	all, _ := sentOfChat(body, false)
	return all
}

// sentOfChat is the conversation in a chat request, as a Responses backend has to
// be told it, and what has to be in the loss report ("rule path"): names, unless
// they are put before the text, and what is made up for legacy calls that nobody
// answers. A legacy call and its answer have no id, so they get a number.
func sentOfChat(body []byte, prefix bool) (all, lost []string) {
	var req struct {
		Messages []struct {
			Role, Name string
			Content    json.RawMessage
			Refusal    string
			CallID     string                            `json:"tool_call_id"`
			Legacy     *struct{ Name, Arguments string } `json:"function_call"`
			ToolCalls  []struct {
				ID       string
				Function *struct{ Name, Arguments string }
				Custom   *struct{ Name, Input string }
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	type open struct{ name, id, path string }
	var legacy []open // calls that wait for their answers
	count := 0
	names := map[string]string{} // of what is called, by id
	for i, m := range req.Messages {
		path := fmt.Sprintf("messages[%d]", i)
		result := strings.ReplaceAll(strings.Join(partsOf(m.Content), ""), "text ", "")
		switch m.Role {
		case "tool":
			all = append(all, saidBy("answer", m.CallID, result))
			if m.Name != "" && m.Name != names[m.CallID] {
				lost = append(lost, "chat.message.member "+path+".name")
			}
			continue
		case "function":
			for j := len(legacy) - 1; j >= 0; j-- {
				if legacy[j].name == m.Name {
					all = append(all, saidBy("answer", legacy[j].id, result))
					legacy = slices.Delete(legacy, j, j+1)
					break
				}
			}
			continue
		}
		parts := partsOf(m.Content)
		if m.Refusal != "" {
			parts = append(parts, "refusal "+m.Refusal)
		}
		if m.Name != "" {
			at := slices.IndexFunc(parts, func(s string) bool { return strings.HasPrefix(s, "text ") })
			if prefix && at >= 0 {
				parts[at] = "text " + m.Name + ": " + parts[at][len("text "):]
			} else {
				lost = append(lost, "chat.message.name "+path+".name")
			}
		}
		for _, p := range parts {
			all = append(all, saidBy(m.Role, p))
		}
		for _, c := range m.ToolCalls {
			if c.Custom != nil {
				all, names[c.ID] = append(all, saidBy("custom", c.ID, c.Custom.Name, c.Custom.Input)), c.Custom.Name
			} else {
				all, names[c.ID] = append(all, saidBy("call", c.ID, c.Function.Name, c.Function.Arguments)), c.Function.Name
			}
		}
		if c := m.Legacy; c != nil {
			id := fmt.Sprintf("legacy_%d", count)
			count++
			all = append(all, saidBy("call", id, c.Name, c.Arguments))
			legacy = append(legacy, open{c.Name, id, path})
		}
	}
	for _, c := range legacy {
		lost = append(lost, "chat.call.unanswered "+c.path+".function_call")
		at := slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, "call: "+c.id+" ") })
		all = slices.Insert(all, at+1, saidBy("answer", c.id, ""))
	}
	slices.Sort(lost)
	return numbered(all), lost
}

var madeUpID = regexp.MustCompile(`^(call|answer): (call_[0-9a-f]{32}) `)

// numbered gives ids that were made up for legacy calls the numbers that
// sentOfChat gives them.
func numbered(all []string) []string {
	ids := map[string]string{}
	for i, s := range all {
		if m := madeUpID.FindStringSubmatch(s); m != nil {
			if m[1] == "call" { // a second one of the same id is another
				ids[m[2]] = fmt.Sprintf("legacy_%d", len(ids))
			}
			all[i] = strings.Replace(s, m[2], ids[m[2]], 1)
		}
	}
	return all
}

// inOrder is a conversation whose answers follow their calls at once, which chat
// backends insist on, and how many had to be moved for that.
func inOrder(all []string) (moved []string, late int) {
	moved = slices.Clone(all)
	for i := 0; i < len(moved); i++ {
		rest, ok := strings.CutPrefix(moved[i], "answer: ")
		if !ok {
			continue
		}
		id, _, _ := strings.Cut(rest, " ")
		to := i
		for !strings.HasPrefix(moved[to-1], "call: "+id+" ") && !strings.HasPrefix(moved[to-1], "custom: "+id+" ") {
			to--
		}
		for to < i && (strings.HasPrefix(moved[to], "call: ") || strings.HasPrefix(moved[to], "custom: ") || strings.HasPrefix(moved[to], "answer: ")) {
			to++ // of the same turn
		}
		if to < i {
			late++
			s := moved[i]
			moved = slices.Insert(slices.Delete(moved, i, i+1), to, s)
		}
	}
	return moved, late
}

// lostOf is a loss report in the form of sentOfChat.
func lostOf(l *Losses) (lost []string) {
	for _, e := range l.Entries {
		lost = append(lost, e.Rule.Info().ID+" "+e.Path)
	}
	slices.Sort(lost)
	return lost
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
	return numbered(all)
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

// name draws the name of a message, which most have not.
func (h *chatHistory) name() string {
	return h.pick("name", ``, ``, ``, `,"name":"ada"`, `,"name":"\u00e9 \"x"`, `,"name":""`, `,"name":null`)
}

// legacy draws a call in the form that has no id, and its answer, if there is one.
func (h *chatHistory) legacy() (all []string) {
	name := h.pick("function", "f", "h")
	all = append(all, `{"role":"assistant","content":`+h.pick("with", `null`, `""`, `"I look."`)+h.name()+
		`,"function_call":{"name":"`+name+`","arguments":`+h.pick("arguments", `"{}"`, `"{\"a\":\"b\\n\"}"`)+`}}`)
	answer := `{"role":"function","name":"` + name + `","content":` + h.pick("answer", `null`, h.text(), `[{"type":"text","text":`+h.text()+`}]`) + `}`
	switch h.pick("answered", "at once", "at once", "later", "never") {
	case "later":
		all = append(all, `{"role":"user","content":"Wait."}`, answer)
	case "at once":
		all = append(all, answer)
	}
	return all
}

func (h *chatHistory) messages() string {
	var all []string
	for range rapid.IntRange(1, 7).Draw(h.t, "messages") {
		switch h.pick("role", "user", "user", "assistant", "calls", "legacy", "system", "developer") {
		case "legacy":
			all = append(all, h.legacy()...)
		case "assistant":
			all = append(all, `{"role":"assistant","content":`+h.pick("answer", h.text(), `[{"type":"text","text":"x"},{"type":"refusal","refusal":"no"}]`,
				`null,"refusal":"no"`)+h.name()+`}`)
		case "calls":
			var calls, answers []string
			for range rapid.IntRange(1, 3).Draw(h.t, "calls") {
				h.calls++
				id := fmt.Sprintf("call_%d", h.calls)
				calls = append(calls, h.pick("call",
					`{"id":"`+id+`","type":"function","function":{"name":"f","arguments":`+h.pick("arguments", `"{}"`, `"{\"a\":\"b\\n\"}"`)+`}}`,
					`{"id":"`+id+`","type":"custom","custom":{"name":"g","input":`+h.text()+`}}`))
				answers = append(answers, `{"role":"tool","tool_call_id":"`+id+`","content":`+h.pick("answer", h.text(), `[{"type":"text","text":`+h.text()+`}]`)+
					h.pick("of", ``, ``, `,"name":"f"`, `,"name":"g"`, `,"name":""`)+`}`)
			}
			all = append(all, `{"role":"assistant","content":`+h.pick("with", `null`, `""`, `"I look."`)+h.name()+`,"tool_calls":[`+strings.Join(calls, ",")+`]}`)
			all = append(all, answers...)
		default:
			role := h.pick("who", "user", "user", "system", "developer")
			all = append(all, `{"role":"`+role+`","content":`+h.content(role == "user")+h.name()+`}`)
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
	`"functions":[{"name":"f","description":"d","parameters":{"type":"object","properties":{}}},{"name":"h"}]`,
	`"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"function_call":{"name":"f"}`,
	`"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"function_call":"none"`,
	`"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"function_call":"auto"`,
}

// withTools says in the form with tools what roundTripParams say in the form with
// functions: that one does not come back from the other side.
func withTools(params map[string]any) map[string]any {
	functions, ok := params["functions"].([]any)
	if !ok {
		return params
	}
	var tools []any
	for _, f := range functions {
		f := f.(map[string]any)
		if f["parameters"] == nil { // the Responses API insists
			f["parameters"] = map[string]any{"type": "object", "properties": map[string]any{}}
		}
		tools = append(tools, map[string]any{"type": "function", "function": f})
	}
	out := map[string]any{"tools": tools, "parallel_tool_calls": false}
	switch choice := params["function_call"].(type) {
	case string:
		out["tool_choice"] = choice
	case map[string]any:
		out["tool_choice"] = map[string]any{"type": "function", "function": choice}
	}
	return out
}

// TestRoundTripChat: chat → responses → chat keeps what was said, and every
// parameter that both have; what it does not keep, and nothing else, is in the
// loss report.
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
		prefix := rapid.Bool().Draw(t, "prefix")
		said, lost := sentOfChat([]byte(body), prefix)
		up, err := chat.AppendResponses(nil, ResponsesOptions{Dialect: &openai, NamePrefix: prefix, Losses: &losses})
		if err != nil {
			if len(said) > 0 {
				t.Fatal(err, body)
			}
			return
		}
		if is := lostOf(&losses); !slices.Equal(is, lost) {
			t.Fatalf("lost %q, reported %q of\n%s", lost, is, body)
		}
		if faults := lawful(up); len(faults) > 0 {
			t.Fatalf("%s\n%s", faults, up)
		}
		if is := ofResponses(up); !slices.Equal(said, is) {
			t.Fatalf("chat\n%q\nresponses\n%q\n%s", said, is, up)
		}
		losses = Losses{}
		var r Request
		if err := r.Parse(slices.Clone(up), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		back, err := r.AppendChat(nil, ChatOptions{Dialect: &openai, Losses: &losses})
		if err != nil {
			if strings.HasPrefix(err.Message, "Nothing in") { // nothing but empty answers
				return
			}
			t.Fatal(err)
		}
		losses.Entries = slices.DeleteFunc(losses.Entries, func(l Loss) bool { return l.Rule == ruleMessageEmpty })
		// The first direction gives audio and files back as they are, and joins
		// answers' texts.
		moved, late := inOrder(said)
		if is := ofChat(back); !slices.Equal(moved, is) || len(losses.Entries) != late || late > 0 && losses.Entries[0].Rule != ruleOutputMoved {
			t.Fatalf("there\n%q\nback\n%q\n%s\nlost %s", moved, is, back, lossLines(&losses))
		}
		var was, is map[string]any
		if json.Unmarshal([]byte(`{`+param+`}`), &was) != nil || json.Unmarshal(back, &is) != nil {
			t.Fatal("not JSON")
		}
		for key, want := range withTools(was) {
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
		var losses Losses
		down, err := r.AppendChat(nil, ChatOptions{Dialect: &openai, Losses: &losses})
		if err != nil {
			if strings.HasPrefix(err.Message, "Nothing in") {
				return
			}
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
		losses.Entries = slices.DeleteFunc(losses.Entries, func(l Loss) bool { return l.Rule == ruleMessageEmpty })
		said, late := inOrder(ofResponses(first))
		if len(losses.Entries) != late || late > 0 && losses.Entries[0].Rule != ruleOutputMoved {
			t.Fatalf("%d outputs are late in\n%s\nlost %s", late, first, lossLines(&losses))
		}
		if a, b := said, ofResponses(second); !slices.Equal(a, b) {
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
		tools := `"tools":[{"type":"function","function":{"name":"f"}}]`
		var lost []string
		legacy := rapid.Bool().Draw(t, "legacy")
		if legacy { // one call, without an id
			tools = `"functions":[{"name":"f"}]`
			if finish == "tool_calls" {
				finish = "function_call"
			}
			if len(calls) > 1 {
				at := 0 // in the output
				if thought != "" {
					at++
				}
				if len(strings.Join(texts, "")) > 0 {
					at++
				}
				for i := range calls[1:] {
					lost = append(lost, fmt.Sprintf("chat.reply.parallel_call output[%d]", at+i+1))
				}
				calls = calls[:1]
			}
			for i := range calls {
				calls[i] = strings.TrimPrefix(calls[i], fmt.Sprintf("call_%d", i))
			}
		}
		if err := outer.Parse([]byte(`{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}],`+tools+`}`), RequestLimits{}); err != nil {
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
		var losses Losses
		back.Reset(ChatTurnOptions{Request: &outer, Dialect: &openai, Seed: testSeed, Created: 1, Events: true, Reasoning: true, Losses: &losses})
		out := back.Terminal(chatPieces(nil, &back, events))
		if is := lostOf(&losses); !slices.Equal(is, lost) {
			t.Fatalf("lost %q, reported %q of\n%s", lost, is, events)
		}
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
					Reasoning        string                            `json:"reasoning_content"`
					Legacy           *struct{ Name, Arguments string } `json:"function_call"`
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
		if call := c.Message.Legacy; call != nil {
			is = append(is, " "+call.Name+" "+call.Arguments)
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
