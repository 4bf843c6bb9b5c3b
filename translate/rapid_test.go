package translate

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

var nightly = flag.Bool("nightly", false, "run the random tests 100,000 times each")

// checks sets how many random cases the next rapid.Check makes: few under the race
// detector, which has little to find where nothing starts a goroutine.
func checks(t *testing.T, n int) {
	t.Helper()
	switch {
	case *nightly:
		n = 100_000
	case testing.Short(), raceEnabled:
		n /= 10
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		t.Fatal(err)
	}
}

func quote(s string) string { return string(jsonx.AppendString(nil, s)) }

// history draws the input items of valid requests.
type history struct {
	t   *rapid.T
	ids int
}

func (h *history) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(h.t, label)
}

func (h *history) list(label string, least, most int, one func() string) string {
	var all []string
	for range rapid.IntRange(least, most).Draw(h.t, label) {
		all = append(all, one())
	}
	return "[" + strings.Join(all, ",") + "]"
}

func (h *history) text() string {
	return h.pick("text", `"A"`, `"Hello, world"`, `""`, `"line\nend"`, `"\u00e9 \"x\" \\"`, `"\ud83d\ude00"`, `"\ud83d"`, `"Output of tool call x"`)
}

func (h *history) id() string {
	if h.ids++; rapid.Bool().Draw(h.t, "id") {
		return `"id":"i_` + strconv.Itoa(h.ids) + `",`
	}
	return h.pick("no id", "", `"id":null,`)
}

func (h *history) userPart() string {
	switch h.pick("part", "text", "text", "image", "file_id", "file", "file_url", "audio", "screenshot", "slug") {
	case "image":
		return `{"type":"input_image","image_url":"data:image/png;base64,AA","detail":` + h.pick("detail", `"low"`, `"original"`, `null`) + `}`
	case "file_id":
		return `{"type":"input_image","file_id":"f"}`
	case "file":
		return `{"type":"input_file","filename":"a","file_data":"data:x;base64,AA"}`
	case "file_url":
		return `{"type":"input_file","file_url":"https://example.com/a"}`
	case "audio":
		return `{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}`
	case "screenshot":
		return `{"type":"computer_screenshot"}`
	case "slug":
		return `{"type":"acme:x","text":"t"}`
	}
	return `{"type":"input_text","text":` + h.text() + `}`
}

func (h *history) content() string {
	if rapid.Bool().Draw(h.t, "string") {
		return h.text()
	}
	return h.list("parts", 0, 4, h.userPart)
}

func (h *history) message(role string) string {
	return `{` + h.id() + h.pick("typed", "", `"type":"message",`) + `"role":"` + role + `","content":` + h.content() + `}`
}

func (h *history) assistant() string {
	content := h.text()
	if rapid.Bool().Draw(h.t, "parts") {
		content = h.list("said", 0, 3, func() string {
			if h.pick("kind", "text", "refusal") == "refusal" {
				return `{"type":"refusal","refusal":` + h.text() + `}`
			}
			return `{"type":"output_text","text":` + h.text() + `,"annotations":[]}`
		})
	}
	return `{` + h.id() + `"type":"message","role":"assistant","content":` + content + `}`
}

func (h *history) reasoning() string {
	texts := func(typ string) string {
		return h.list(typ, 0, 2, func() string { return `{"type":"` + typ + `","text":` + h.text() + `}` })
	}
	return `{` + h.id() + `"type":"reasoning","summary":` + texts("summary_text") +
		h.pick("encrypted", "", `,"encrypted_content":"gAAA"`, `,"encrypted_content":null`) +
		`,"content":` + h.pick("content", "null", texts("reasoning_text")) + `}`
}

func (h *history) callID() string {
	return h.pick("call", `"c0"`, `"c1"`, `"c2"`, `"call_\u00e4"`, `"abcDEF123"`, `"a rather long call id that goes on and on and on and on and on"`)
}

func (h *history) functionCall() string {
	return `{` + h.id() + `"type":"function_call","call_id":` + h.callID() +
		`,"name":` + h.pick("name", `"f"`, `"get\u005fweather"`, `"w\u00e4tter.morgen"`, `"mcp__a_very_long_server_name_for_testing__and_a_tool_name_that_goes_on"`) +
		`,"arguments":` + h.pick("arguments", `"{}"`, `"{\"a\":1}"`, `""`, `"{\"a\":"`, `"[1]"`, `"{\"a\":1,\"a\":2}"`, `"{\"a\":{\"b\":1,\"b\":2},"`, `" {} "`, `"null"`) + `}`
}

func (h *history) functionOutput() string {
	return `{` + h.id() + `"type":"function_call_output","call_id":` + h.callID() + h.pick("named", "", `,"name":"f"`) + `,"output":` + h.content() + `}`
}

func (h *history) otherTool() string {
	id := h.callID()
	return h.pick("other",
		`{"type":"custom_tool_call","call_id":`+id+`,"name":"x","input":"raw"}`,
		`{"type":"custom_tool_call","call_id":`+id+`,"name":"x","namespace":"n","input":`+h.text()+`}`,
		`{"type":"function_call","call_id":`+id+`,"name":"b__c","namespace":"a","arguments":"{}","async":true}`,
		`{"type":"additional_tools","role":"developer","tools":`+h.tools()+`}`,
		`{"type":"tool_search_output","call_id":null,"tools":`+h.tools()+`}`,
		`{"type":"configuration_update","reasoning":{"effort":"low"},"text":{"format":{"type":"text"}}}`,
		`{"type":"custom_tool_call_output","call_id":`+id+`,"output":`+h.content()+`}`,
		`{"type":"shell_call","call_id":`+id+`,"action":{"commands":["ls"]}}`,
		`{"type":"shell_call_output","call_id":`+id+`,"output":[{"stdout":"x"}]}`,
		`{"type":"apply_patch_call","call_id":`+id+`,"operation":{"type":"delete_file","path":"x"}}`,
		`{"type":"apply_patch_call_output","call_id":`+id+`,"status":"completed"}`,
		`{"type":"tool_search_call","call_id":null,"arguments":{"q":1}}`,
		`{"type":"tool_search_call"}`,
		`{"type":"tool_search_output","call_id":null,"tools":[]}`,
		`{"type":"local_shell_call","call_id":`+id+`,"action":"odd"}`,
		`{"type":"web_search_call","status":"completed"}`,
		`{"type":"web_search_call",`+h.id()+`"status":"failed","action":{"type":"search","query":"q"}}`,
		`{"type":"mcp_call",`+h.id()+`"server_label":"s","name":"t","arguments":"{\"a\":1}","output":`+h.text()+`}`,
		`{"type":"code_interpreter_call",`+h.id()+`"code":"x","outputs":[{"type":"logs","logs":`+h.text()+`},{"type":"image","url":"u"}]}`,
		`{"type":"computer_call","call_id":`+id+`,"action":{"type":"screenshot"}}`,
		`{"type":"computer_call_output","call_id":`+id+`,"output":{"type":"computer_screenshot","image_url":"data:image/png;base64,AA"}}`,
		`{"type":"mcp_approval_request","id":`+id+`,"server_label":"s","name":"t","arguments":"{}"}`,
		`{"type":"mcp_approval_response","approval_request_id":`+id+`,"approve":true}`,
		`{"type":"agent_message",`+h.id()+`"author":"/a","recipient":"/","content":[{"type":"encrypted_content","encrypted_content":`+h.text()+`}]}`,
		`{"type":"function_call_output","name":"note","namespace":"n","output":`+h.text()+`}`,
		`{"type":"function_call_output","call_id":"i_`+strconv.Itoa(rapid.IntRange(1, 4).Draw(h.t, "item"))+`","output":"x"}`,
		`{"type":"context_compaction"}`,
		`{"type":"acme:item"}`,
	)
}

func (h *history) item() string {
	switch h.pick("item", "user", "user", "assistant", "assistant", "reasoning", "call", "call", "output", "output", "system", "developer", "other") {
	case "assistant":
		return h.assistant()
	case "reasoning":
		return h.reasoning()
	case "call":
		return h.functionCall()
	case "output":
		return h.functionOutput()
	case "system":
		return h.message("system")
	case "developer":
		return h.message("developer")
	case "other":
		return h.otherTool()
	}
	return h.message("user")
}

// tools draws tools of all kinds, some of which are the same, or look so.
func (h *history) tools() string {
	return h.list("tools", 0, 5, func() string {
		simple := h.pick("simple", `{"type":"function","name":"f","defer_loading":true}`, `{"type":"function","name":"a__b__c","parameters":{"encrypted":true}}`,
			`{"type":"custom","name":"f"}`, `{"type":"custom","name":"c","format":{"type":"grammar","syntax":"lark","definition":"start: \"x\""}}`,
			`{"type":"function","name":"b__c"}`, `{"type":"custom","name":"w\u00e4tter","allowed_callers":["programmatic"]}`)
		return h.pick("tool", simple, simple, `{"type":"namespace","name":"a","description":"A","tools":[`+simple+`]}`,
			`{"type":"namespace","name":"a__b","tools":[`+simple+`,{"type":"mcp"}]}`, `{"type":"shell"}`, `{"type":"local_shell"}`, `{"type":"apply_patch"}`,
			`{"type":"tool_search","execution":"client"}`, `{"type":"tool_search"}`, `{"type":"shell","environment":{"type":"container_auto"}}`, `{"type":"web_search"}`)
	})
}

// answer draws the output items of a stored response.
func (h *history) answer() string {
	return h.list("output", 0, 4, func() string {
		switch h.pick("answer", "text", "reasoning", "call", "refusal") {
		case "reasoning":
			return `{"id":"rs_1","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":` + h.text() + `}]}`
		case "call":
			return h.functionCall()
		case "refusal":
			return `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"refusal","refusal":` + h.text() + `}]}`
		}
		return `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":` + h.text() + `,"annotations":[],"logprobs":[]}]}`
	})
}

// TestRandomRequests: requests with random valid items, alone and after random
// stored responses, become requests that the backend can take.
func TestRandomRequests(t *testing.T) {
	checks(t, 2000)
	dialects := testDialects()
	var r Request
	var losses Losses
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(dialects).Draw(t, "dialect")
		h := &history{t: t}
		rest := h.pick("instructions", "", `,"instructions":"I"`, `,"instructions":""`) +
			h.pick("tools", "", `,"tools":[{"type":"function","name":"f"},{"type":"web_search"}]`, `,"tools":`+h.tools())
		input := h.list("items", 1, 9, h.item)
		p := requestCheck{t: t, d: &d, r: &r, losses: &losses}
		p.run([]byte(`{"model":"m","input":` + input + rest + `}`))

		past := &History{}
		for range rapid.IntRange(0, 3).Draw(t, "turns") {
			var err error
			if past, err = past.Extend([]byte(h.list("stored", 0, 4, h.item)), []byte(h.answer()), &d); err != nil {
				t.Fatal(err)
			}
		}
		losses.Reset()
		if err := r.Parse([]byte(`{"model":"m","previous_response_id":"resp_1","input":`+input+rest+`}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		chat, err := r.AppendChat(nil, ChatOptions{Dialect: &d, History: past, Losses: &losses})
		if err != nil {
			if err.Param != "input" || !strings.HasPrefix(err.Message, "Nothing in") && !strings.HasPrefix(err.Message, "No tool call found") {
				t.Fatal(err)
			}
			return
		}
		if faults := legal(chat, &d); len(faults) > 0 {
			t.Fatalf("%s: %s\n%s", d.Name, faults, chat)
		}
	})
}

// TestRoundTrip: what a reply holds comes back to the backend as it was: texts,
// and calls with their ids, names and arguments.
func TestRoundTrip(t *testing.T) {
	checks(t, 1500)
	dialects := testDialects()
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(dialects).Draw(t, "dialect")
		d.Reasoning.Tags = TagsOff
		text := rapid.SampledFrom([]string{"", "Hello", "a \"b\"\n", "é😀"}).Draw(t, "text")
		thought := rapid.SampledFrom([]string{"", "Hm\n", "it's \"^\\\" é😀"}).Draw(t, "thought")
		names := []string{"f", "mcp__a_very_long_server_name_for_testing__and_a_tool_name_that_goes_on", "w\u00e4tter.x"}
		type call struct{ id, name, arguments string }
		var calls []call
		for i := range rapid.IntRange(0, 3).Draw(t, "calls") {
			calls = append(calls, call{fmt.Sprintf("call_%d", i), rapid.SampledFrom(names).Draw(t, "name"),
				rapid.SampledFrom([]string{"{}", `{"a":"b\n"}`}).Draw(t, "arguments")})
		}
		var tools []string
		for _, n := range names {
			tools = append(tools, `{"type":"function","name":`+quote(n)+`}`)
		}

		var r Request
		if err := r.Parse([]byte(`{"model":"m","input":"Hi","include":["reasoning.encrypted_content"],"tools":[`+strings.Join(tools, ",")+`]}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
			t.Fatal(err)
		}
		message := `{"role":"assistant","content":` + quote(text) + `,"reasoning_content":` + quote(thought) + `,"tool_calls":[`
		for i, c := range calls {
			if i > 0 {
				message += ","
			}
			message += `{"id":` + quote(c.id) + `,"extra_content":{"n":` + strconv.Itoa(i) + `},"type":"function","function":{"name":` + quote(sentName(c.name, d.Tools.NameMax)) + `,"arguments":` + quote(c.arguments) + `}}`
		}
		var turn Turn
		turn.Reset(TurnOptions{Request: &r, Dialect: &d, Seed: testSeed, Created: testCreated, Losses: new(Losses), Sealer: codeSealer{}})
		turn.FeedMessage(nil, []byte(`{"choices":[{"message":`+message+`]},"finish_reason":"stop"}]}`))
		response := turn.Response(nil, testCreated, true)
		written, at := turn.Written(response)

		// Through the store, and through a client that keeps everything itself.
		output := string(written[at[0]:at[1]])
		builder := HistoryBuilder{Sealer: codeSealer{}}
		past, err := builder.Extend(&History{}, r.AppendStoredInput(nil, &testSeed), []byte(output), &d)
		if err != nil {
			t.Fatal(err)
		}
		items := strings.TrimSuffix(strings.TrimPrefix(output, "["), "]")
		if items != "" {
			items += ","
		}
		var outputs []string
		for _, c := range calls {
			outputs = append(outputs, `{"type":"function_call_output","call_id":`+quote(c.id)+`,"output":"1"}`)
		}
		slices.Reverse(outputs)
		next := strings.Join(append(outputs, `{"role":"user","content":"next"}`), ",")
		stored := follow(t, `{"model":"m","previous_response_id":"resp_1","input":[`+next+`]}`, &d, past)
		stateless := follow(t, `{"model":"m","input":[{"role":"user","content":"Hi"},`+items+next+`]}`, &d, nil)
		if stored != stateless {
			t.Fatalf("stored\n%s\nstateless\n%s", stored, stateless)
		}
		// And through one that keeps of reasoning only what is sealed, as opencode.
		sealed := follow(t, `{"model":"m","input":[{"role":"user","content":"Hi"},`+onlySealed(t, items)+next+`]}`, &d, nil)
		if stored != sealed {
			t.Fatalf("stored\n%s\nsealed\n%s", stored, sealed)
		}

		if strings.TrimSpace(text) == "" && len(calls) == 0 {
			return // an empty answer, or reasoning that led to nothing
		}
		body, _ := readChat([]byte(stored), &d)
		m := body.Messages[1]
		if m.Role != "assistant" || m.text != text {
			t.Fatalf("text %q became %+v", text, m)
		}
		if len(m.ToolCalls) != len(calls) {
			t.Fatalf("%d calls of %d", len(m.ToolCalls), len(calls))
		}
		for i, c := range calls {
			got := m.ToolCalls[i]
			if got.Function.Name != sentName(c.name, d.Tools.NameMax) || got.Function.Arguments != c.arguments ||
				d.Tools.CallIDs == CallIDsAny && got.ID != c.id {
				t.Fatalf("%+v became %+v", c, got)
			}
			if extra, want := string(got.Extra), len(d.Tools.CallExtras) > 0; want != (extra == `{"n":`+strconv.Itoa(i)+`}`) {
				t.Fatalf("call %d has the extra %q", i, extra)
			}
		}
		var replayed string
		if raw := m.keys[d.Reasoning.replayField()]; raw != nil {
			_ = json.Unmarshal(raw, &replayed)
		}
		want := ""
		if d.Reasoning.Replay == ReplayAll {
			want = thought
			if want == "" && len(calls) > 0 {
				want = d.Reasoning.Placeholder
			}
		}
		if replayed != want {
			t.Fatalf("reasoning %q, replayed %q", thought, replayed)
		}
	})
}

// follow translates a request and checks that it is legal.
func follow(t *rapid.T, body string, d *Dialect, past *History) string {
	var r Request
	if err := r.Parse([]byte(body), RequestLimits{}); err != nil {
		t.Fatal(err)
	}
	chat, err := r.AppendChat(nil, ChatOptions{Dialect: d, History: past, Losses: new(Losses), Sealer: codeSealer{}})
	if err != nil {
		t.Fatal(err)
	}
	if faults := legal(chat, d); len(faults) > 0 {
		t.Fatalf("%s: %s\n%s", d.Name, faults, chat)
	}
	return string(chat)
}

// onlySealed leaves nothing of reasoning items but what is sealed.
func onlySealed(t *rapid.T, items string) string {
	var list []map[string]any
	if err := json.Unmarshal([]byte("["+strings.TrimSuffix(items, ",")+"]"), &list); err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, it := range list {
		if it["type"] == "reasoning" {
			it = map[string]any{"type": "reasoning", "content": nil, "summary": []any{}, "encrypted_content": it["encrypted_content"]}
		}
		one, err := json.Marshal(it)
		if err != nil {
			t.Fatal(err)
		}
		out += string(one) + ","
	}
	return out
}
