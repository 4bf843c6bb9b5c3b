package translate

import (
	"strings"
	"testing"
)

// TestLearn: what refusals of real servers teach, and what they do not. The texts
// are those of the threads and captures in the project's survey.
func TestLearn(t *testing.T) {
	const (
		plain  = `{"model":"m","input":"x","temperature":0.5,"top_p":0.9,"max_output_tokens":99,"user":"u","parallel_tool_calls":false,"tools":[{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{},"required":[],"additionalProperties":false}}]}`
		choice = `{"model":"m","input":"x","tool_choice":"required","tools":[{"type":"function","name":"f"}]}`
		named  = `{"model":"m","input":"x","tool_choice":{"type":"function","name":"f"},"tools":[{"type":"function","name":"f"}]}`
		schema = `{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}}`
		object = `{"model":"m","input":"x","text":{"format":{"type":"json_object"}}}`
		effort = `{"model":"m","input":"x","reasoning":{"effort":"minimal"}}`
		image  = `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,AA=="}]}]}`
		parts  = `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]}]}`
		dev    = `{"model":"m","input":[{"role":"user","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"c"}]}`
		loop   = `{"model":"m","input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}]},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"r"}]}`
		over   = `{"model":"m","input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}]},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"r"},{"role":"user","content":"b"}]}`
		topK   = `{"model":"m","input":"x","top_k":3,"seed":4}`
		stream = `{"model":"m","input":"x","stream":true}`
	)
	for _, c := range []struct {
		name, dialect, request string
		status                 int
		body, want             string
	}{
		{"o-series", "generic", plain, 400, `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}`, "max_tokens_field=max_completion_tokens"},
		{"old server", "openai", plain, 400, `{"error":{"message":"Unrecognized request argument supplied: max_completion_tokens","type":"invalid_request_error","param":null,"code":null}}`, "max_tokens_field=max_tokens"},
		{"reasoning model", "openai", plain, 400, `{"error":{"message":"Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.","param":"temperature","code":"unsupported_value"}}`, "accepts.temperature=false"},
		{"unknown argument", "openai", plain, 400, `{"error":{"message":"Unrecognized request argument supplied: user"}}`, "accepts.user=false"},
		{"serde names the message", "generic", parts, 400, `{"error":{"message":"Failed to deserialize the JSON body into the target type: messages[0]: invalid type: sequence, expected a string at line 1 column 60"}}`, "join_text=true"},
		{"pydantic", "openai", plain, 422, `{"detail":[{"type":"extra_forbidden","loc":["body","user"],"msg":"Extra inputs are not permitted","input":"u"}]}`, "accepts.user=false"},
		{"groq", "openai", plain, 400, `{"error":{"message":"property 'user' is unsupported","type":"invalid_request_error"}}`, "accepts.user=false"},
		{"parallel", "generic", plain, 400, `{"error":{"message":"parallel_tool_calls is not supported by this model"}}`, "accepts.parallel_tool_calls=false"},
		{"strict", "generic", plain, 400, `{"error":{"message":"Unknown field: tools[0].function.strict"}}`, "accepts.tool_strict=false"},
		{"xai", "openai", plain, 400, `{"code":"Client specified an invalid argument","error":"Argument not supported on this model: top_p"}`, "accepts.top_p=false"},
		{"plain text", "openai", plain, 400, "Unknown parameter: user\n", "accepts.user=false"},
		{"developer", "openai", dev, 400, `{"error":{"message":"developer is not one of ['system', 'assistant', 'user', 'tool', 'function'] - 'messages.['1].role'"}}`, "developer_role=false"},
		{"glm", "openai", dev, 400, `{"error":{"code":"1214","message":"Incorrect role information"}}`, "developer_role=false"},
		{"second system", "azure", dev, 400, `{"error":{"message":"System message must be at the beginning."}}`, "system_messages=head"},
		{"no system", "generic", dev, 400, `{"error":{"message":"System role not supported"}}`, "system_messages=user"},
		{"alternation", "generic", dev, 400, `{"error":{"message":"Conversation roles must alternate user/assistant/user/assistant/..."}}`, "alternate_roles=true"},
		{"after tool", "generic", loop, 400, `{"error":{"message":"Unexpected role 'user' after role 'tool'"}}`, "assistant_after_tool=true"},
		{"reasoning refused", "vllm", loop, 400, `{"error":{"message":"'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]"}}`, "reasoning.replay=none"},
		{"reasoning refused, not named", "vllm", loop, 400, `{"error":{"message":"messages[1]: unknown field"}}`, "reasoning.replay=none"},
		{"pydantic, in a message", "vllm", loop, 422, `{"detail":[{"type":"extra_forbidden","loc":["body","messages",1,"assistant","reasoning_content"],"msg":"Extra inputs are not permitted","input":"Hm"}]}`, "reasoning.replay=none"},
		{"something of a message that was not sent", "generic", loop, 400, `{"error":{"message":"messages[1]: unknown field"}}`, ""},
		{"reasoning demanded", "generic", loop, 400, `{"error":{"message":"Missing 'reasoning_content' field in the assistant message at message index 1."}}`, "reasoning.replay=loop"},
		{"deepseek", "generic", loop, 400, "{\"error\":{\"message\":\"The `reasoning_content` in the thinking mode must be passed back to the API.\"}}", "reasoning.replay=loop"},
		{"call ids", "generic", loop, 400, `{"error":{"message":"Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.","code":"3280"}}`, "tools.call_ids=alnum9"},
		{"required", "generic", choice, 400, `{"error":{"message":"tool_choice 'required' is not supported in thinking mode"}}`, "tools.choices.required=false"},
		{"named", "generic", named, 422, `{"detail":[{"type":"literal_error","loc":["body","tool_choice"],"msg":"Input should be 'auto' or 'none'"}]}`, "tools.choices.named=false"},
		{"schema", "generic", schema, 400, `{"error":{"message":"'response_format.type' : value is not one of the allowed values ['text','json_object'], json_schema is not supported"}}`, "structured_output=json_object"},
		{"deepseek schema", "generic", schema, 400, `{"error":{"message":"This response_format type is unavailable now"}}`, "structured_output=json_object"},
		{"object", "deepseek", object, 400, `{"error":{"message":"json mode is not supported with thinking enabled: response_format"}}`, "structured_output=none"},
		{"effort word", "generic", effort, 400, `{"error":{"message":"invalid reasoning_effort: must be one of 'low', 'medium', 'high'"}}`, "reasoning.efforts.minimal=low"},
		{"ollama effort", "generic", effort, 400, `{"error":{"message":"invalid reasoning value: 'minimal' (must be \"high\", \"medium\", \"low\", or \"none\")","type":"invalid_request_error"}}`, "reasoning.efforts.minimal=low"},
		{"ollama, not gpt-oss", "ollama", effort, 400, `{"error":{"message":"think value \"low\" is not supported for this model","type":"api_error"}}`, "reasoning.effort_form=none"},
		{"ollama, does not think", "ollama", effort, 400, `{"error":{"message":"\"tiny\" does not support thinking","type":"api_error"}}`, "reasoning.effort_form=none"},
		{"no effort", "generic", effort, 400, `{"error":{"message":"reasoning_effort is not supported with this model"}}`, "reasoning.effort_form=none"},
		{"image", "generic", image, 400, `{"error":{"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"}}`, "images=false"},
		{"image variant", "generic", image, 400, "{\"error\":{\"message\":\"messages[0]: unknown variant `image_url`, expected `text`\"}}", "images=false"},
		{"joined", "generic", parts, 422, `{"detail":[{"type":"string_type","loc":["body","messages",0,"content"],"msg":"Input should be a valid string"}]}`, "join_text=true"},
		{"null content", "generic", loop, 400, `{"error":{"message":"messages[1].content: must not be null"}}`, "call_content=empty"},
		{"top_k", "vllm", topK, 400, `{"error":{"message":"Unrecognized request argument supplied: top_k"}}`, "extra_params.top_k=false"},
		{"usage", "generic", stream, 400, `{"error":{"message":"Unknown field: stream_options"}}`, "accepts.stream_usage=false"},
		{"reasoning demanded of old turns", "vllm", over, 400, `{"error":{"message":"thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"}}`, "reasoning.replay=all"},
		{"signature", "generic", loop, 400, "[{\"error\":{\"code\":400,\"message\":\"Function call is missing a thought_signature in functionCall parts.\"}}]", "tools.call_placeholder=" + signaturePlaceholder},
		{"signature given", "gemini", loop, 400, `{"error":{"message":"Function call is missing a thought_signature in functionCall parts."}}`, ""},
		{"mistral's word", "generic", choice, 422, `{"object":"error","message":{"detail":[{"loc":["body","tool_choice"],"msg":"Input should be 'auto', 'none' or 'any'"}]}}`, "tools.required_word=any"},
		{"no tool_choice", "generic", choice, 400, `{"error":{"message":"Unrecognized request argument supplied: tool_choice"}}`, "tools.choices=false"},
		{"kimi", "generic", plain, 400, `{"error":{"message":"invalid temperature: only 1 is allowed for this model"}}`, "accepts.temperature=false"},
		{"xai effort", "generic", effort, 400, `{"code":"Client specified an invalid argument","error":"Model grok-4.6 does not support parameter reasoningEffort."}`, "reasoning.effort_form=none"},
		{"llama.cpp image", "generic", image, 500, `{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}`, "images=false"},

		// The client's own mistakes, and what has nothing to do with dialects.
		{"range", "openai", plain, 400, `{"error":{"message":"Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 5 instead.","param":"temperature","code":"decimal_above_max_value"}}`, ""},
		{"type", "openai", plain, 422, `{"detail":[{"type":"float_parsing","loc":["body","temperature"],"msg":"Input should be a valid number"}]}`, ""},
		{"context", "openai", plain, 400, `{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","code":"context_length_exceeded"}}`, ""},
		{"no such tool", "generic", named, 400, `{"error":{"message":"tool_choice: tool 'f' not found in tools"}}`, ""},
		{"bad schema", "generic", schema, 400, `{"error":{"message":"Invalid schema for response_format 'n': In context=(), 'additionalProperties' is required to be supplied and to be false.","code":"invalid_json_schema"}}`, ""},
		{"not sent", "generic", stream, 400, `{"error":{"message":"Unsupported parameter: temperature"}}`, ""},
		{"model", "generic", plain, 404, `{"error":{"message":"model not supported: user"}}`, ""},
		{"server", "generic", plain, 500, `{"error":{"message":"user is not supported"}}`, ""},
		{"nothing", "generic", plain, 400, ``, ""},
		{"quoted input", "openai", plain, 422, `{"detail":[{"type":"x","loc":["body","model"],"msg":"Unsupported model","input":"temperature"}]}`, ""},
	} {
		d, ok := LookupDialect(c.dialect)
		if !ok {
			t.Fatal(c.dialect)
		}
		chat := func(d *Dialect) []byte {
			var r Request
			if err := r.Parse([]byte(c.request), RequestLimits{}); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			body, err := r.AppendChat(nil, ChatOptions{Dialect: d, Losses: new(Losses)})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			return body
		}
		sent := chat(&d)
		fact, ok := Learn(&d, c.status, []byte(c.body), sent)
		got := ""
		if ok {
			got = fact.String()
		}
		if got != c.want {
			t.Errorf("%s: learned %q, want %q, of %s\n%s", c.name, got, c.want, c.body, sent)
			continue
		}
		if !ok {
			continue
		}
		// The next request is another, and the same refusal teaches no more.
		changed, _ := d.With(fact)
		again := chat(&changed)
		if string(again) == string(sent) && !strings.HasPrefix(c.name, "after tool") {
			t.Errorf("%s: %s changes nothing of %s", c.name, fact, sent)
		}
		if next, ok := Learn(&changed, c.status, []byte(c.body), again); ok && next == fact {
			t.Errorf("%s: learns %s again and again", c.name, fact)
		}
	}
}

// TestFacts: a fact changes the dialect that it is put into, no other, and once.
func TestFacts(t *testing.T) {
	for _, f := range []Fact{
		{"developer_role", "true"}, {"images", "false"}, {"accepts.verbosity", "true"}, {"accepts.temperature", "false"},
		{"tools.choices.named", "false"}, {"extra_params.stop", "false"}, {"extra_params.top_k", "true"},
		{"system_messages", "user"}, {"max_tokens_field", "max_completion_tokens"}, {"structured_output", "none"},
		{"tools.call_ids", "alnum9"}, {"reasoning.replay", "all"}, {"reasoning.effort_form", "none"},
		{"reasoning.efforts.minimal", "low"}, {"tools.required_word", "any"}, {"reasoning.think_tags", "off"},
		{"call_content", "omit"}, {"reasoning.replay_field", "reasoning"},
	} {
		d := generic()
		before := d
		changed, ok := d.With(f)
		if !ok {
			t.Errorf("%s changes nothing", f)
		}
		if again, ok := changed.With(f); ok {
			t.Errorf("%s changes a second time: %+v", f, again)
		}
		if len(d.ExtraParams) != len(before.ExtraParams) || len(d.Reasoning.Efforts) != len(before.Reasoning.Efforts) || d.Accepts != before.Accepts {
			t.Errorf("%s changed the original", f)
		}
	}
	for _, f := range []Fact{
		{}, {"name", "x"}, {"developer_role", "yes"}, {"developer_role", "false"}, {"accepts.x", "true"}, {"accepts", "true"},
		{"tools.choices.", "true"}, {"extra_params.", "false"}, {"system_messages", "x"}, {"system_messages", ""}, {"reasoning.efforts.", "low"},
		{"reasoning.efforts.low", "low"}, {"tools.name_max", "9"},
	} {
		d := generic()
		if _, ok := d.With(f); ok {
			t.Errorf("%s is accepted", f)
		}
	}
}

func FuzzLearn(f *testing.F) {
	f.Add(`{"error":{"message":"Unknown parameter: user"}}`, `{"model":"m","messages":[{"role":"user","content":"x"}],"user":"u"}`)
	f.Add("developer", `{"messages":[{"role":"developer","content":[{"type":"image_url"}]}],"tool_choice":{},"tools":[1]}`)
	f.Add("unsupported strict", `{"tools":[{"function":{"strict":true}}],"response_format":3,"reasoning_effort":"x"}`)
	f.Fuzz(func(t *testing.T, body, chat string) {
		d := generic()
		fact, ok := Learn(&d, 400, []byte(body), []byte(chat))
		if !ok {
			return
		}
		if _, changes := d.With(fact); !changes {
			t.Fatalf("%s changes nothing", fact)
		}
	})
}

// TestLearnOnce: reasoning that another model has signed is no fact about the backend.
func TestLearnOnce(t *testing.T) {
	details := `{"messages":[{"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.text","signature":"s"}],"tool_calls":[]}]}`
	text := `{"messages":[{"role":"assistant","content":null,"reasoning_content":"Hm","tool_calls":[]}]}`
	for _, c := range []struct{ dialect, chat, message, want string }{
		{"openrouter", details, "messages.1.content.0: Invalid `signature` in `thinking` block", "reasoning.details=false"},
		{"openrouter", details, "The encrypted content could not be verified.", "reasoning.details=false"},
		{"openrouter", details, "Corrupted thought signature.", "reasoning.details=false"},
		{"vllm", text, "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified", "reasoning.replay=none"},
		{"openrouter", `{"messages":[{"role":"user","content":"x"}]}`, "Invalid signature", ""},
		{"openrouter", details, "Rate limit", ""},
	} {
		d, _ := LookupDialect(c.dialect)
		fact, ok := LearnOnce(&d, 400, []byte(`{"error":{"message":"`+c.message+`"}}`), []byte(c.chat))
		if got := fact.String(); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q %v", c.message, got, ok)
		}
	}
}
