package translate

import (
	"strconv"
	"strings"
	"testing"
)

// TestRefusals are the faults that are too small for a golden case each: the
// right param and code. X stands for what the member under test is set to.
func TestRefusals(t *testing.T) {
	f := func(template, param, code string, values ...string) {
		t.Helper()
		for _, v := range values {
			var r Request
			body := strings.ReplaceAll(template, "X", v)
			err := r.Parse([]byte(body), RequestLimits{})
			if err == nil || err.Status != 400 || err.Param != param || err.Code != code || err.Type != TypeInvalidRequest {
				t.Errorf("%s: %+v", body, err)
			}
		}
	}
	top := func(member, code string, values ...string) {
		t.Helper()
		f(`{"model":"m","input":"x","`+member+`":X}`, member, code, values...)
	}
	item := func(rest, param, code string, values ...string) {
		t.Helper()
		if param != "" {
			param = "." + param
		}
		f(`{"model":"m","input":[`+rest+`]}`, "input[0]"+param, code, values...)
	}
	const notString = "invalid_type"
	for _, m := range []string{"prompt", "moderation", "prompt_cache_options", "access_programs", "image", "text", "reasoning", "metadata"} {
		top(m, notString, `"x"`, `5`, `[]`, `true`)
	}
	for _, m := range []string{"user", "safety_identifier", "prompt_cache_key", "instructions", "previous_response_id"} {
		top(m, notString, `5`, `{}`, `[]`, `false`, `1.5`)
	}
	for _, m := range []string{"parallel_tool_calls", "background", "store", "log", "stream"} {
		top(m, notString, `0`, `"true"`, `{}`)
	}
	top("conversation", notString, `5`, `[]`)
	top("include", notString, `"x"`, `{}`)
	top("tool_choice", notString, `5`, `[]`)
	top("prompt_cache_retention", "invalid_value", `"1h"`)
	top("user", "string_above_max_length", `"`+strings.Repeat("x", maxHint+1)+`"`)
	top("previous_response_id", "invalid_value", `""`, `"`+strings.Repeat("x", 200)+`"`, `"a b"`)
	top("context_management", notString, `{}`)
	f(`{"model":"m","input":"x","prompt":{}}`, "prompt.id", "missing_required_parameter", "")
	f(`{"model":"m","input":"x","context_management":[X]}`, "context_management[0]", notString, `5`)
	f(`{"model":"m","input":"x","context_management":[X]}`, "context_management[0].type", "missing_required_parameter", `{}`)
	f(`{"model":"m","input":"x","context_management":[{"type":X}]}`, "context_management[0].type", "invalid_value", `"x"`)
	f(`{"model":"m","input":"x","text":{"format":X}}`, "text.format", notString, `5`, `"text"`)
	f(`{"model":"m","input":"x","text":{"format":X}}`, "text.format.type", "missing_required_parameter", `{}`, `{"type":null}`)
	f(`{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":X,"schema":{}}}}`, "text.format.name", notString, `5`)
	f(`{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":X,"schema":{}}}}`, "text.format.name", "string_above_max_length",
		`"`+strings.Repeat("x", 65)+`"`)
	f(`{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n","schema":X}}}`, "text.format.schema", notString, `5`, `[]`)
	f(`{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n","schema":{},"strict":X}}}`, "text.format.strict", notString, `1`)
	f(`{"model":"m","input":"x","stream":true,"stream_options":X}`, "stream_options", notString, `5`)
	f(`{"model":"m","input":"x","stream":true,"stream_options":{"include_obfuscation":X}}`, "stream_options.include_obfuscation", notString, `1`)
	f(`{"model":"m","input":"x","reasoning":{"summary":X}}`, "reasoning.summary", "invalid_value", `"long"`)

	f(`{"model":"m","input":"x","tools":[X]}`, "tools[0]", notString, `5`, `"web_search"`, `null`)
	f(`{"model":"m","input":"x","tools":[{"type":X}]}`, "tools[0].type", notString, `5`)
	f(`{"model":"m","input":"x","tools":[{"type":"function","name":"f","description":X}]}`, "tools[0].description", notString, `5`)
	f(`{"model":"m","input":"x","tools":[{"type":"function","name":"f","strict":X}]}`, "tools[0].strict", notString, `"true"`)
	const withTool = `{"model":"m","input":"x","tools":[{"type":"function","name":"f"}],"tool_choice":X}`
	f(withTool, "tool_choice.type", "missing_required_parameter", `{}`)
	f(withTool, "tool_choice.name", notString, `{"type":"function","name":5}`)
	f(withTool, "tool_choice.mode", "invalid_value", `{"type":"allowed_tools","mode":"none","tools":[]}`)
	f(withTool, "tool_choice.tools", "missing_required_parameter", `{"type":"allowed_tools","mode":"auto"}`)
	f(withTool, "tool_choice.tools", notString, `{"type":"allowed_tools","tools":{}}`)
	f(withTool, "tool_choice.tools[0]", notString, `{"type":"allowed_tools","tools":["f"]}`)
	f(withTool, "tool_choice.tools[0].name", "missing_required_parameter", `{"type":"allowed_tools","tools":[{"type":"function"}]}`)
	f(withTool, "tool_choice.tools[0].name", notString, `{"type":"allowed_tools","tools":[{"type":"function","name":5}]}`)
	f(withTool, "tool_choice", "unsupported_parameter", `{"type":"allowed_tools","mode":"required","tools":[{"type":"web_search"}]}`)

	item(`{"type":X,"id":"a","x":1}`, "type", notString, `5`, `{}`)
	item(`{"role":"user","content":"x","id":X}`, "id", notString, `5`)
	item(`{"type":"item_reference","id":X}`, "id", "missing_required_parameter", `null`, `""`)
	item(`{"type":"message","content":"x"}`, "role", "missing_required_parameter", ``)
	item(`{"role":X,"content":"x"}`, "role", notString, `5`)
	item(`{"type":"function_call","name":"f","arguments":"{}","call_id":X}`, "call_id", notString, `5`)
	item(`{"type":"function_call","call_id":"c","name":"f"}`, "arguments", "missing_required_parameter", ``)
	item(`{"type":"function_call","call_id":"c","arguments":"{}","name":X}`, "name", notString, `5`)
	item(`{"type":"function_call","call_id":"c","arguments":"{}","name":X}`, "name", "empty_string", `""`)
	item(`{"type":"custom_tool_call","call_id":"c","name":"f","input":X}`, "input", notString, `{}`)
	item(`{"type":"function_call_output","output":"x"}`, "call_id", "missing_required_parameter", ``)
	item(`{"type":"function_call_output","output":"x","call_id":X}`, "call_id", notString, `5`)
	item(`{"type":"function_call_output","output":"x","call_id":X}`, "call_id", "empty_string", `""`)
	item(`{"type":"reasoning","summary":X}`, "summary", notString, `"x"`, `{}`)
	item(`{"type":"reasoning","summary":[X]}`, "summary[0].text", "missing_required_parameter", `{"type":"summary_text"}`)
	item(`{"role":"user","content":[X]}`, "content[0]", notString, `"x"`)
	item(`{"role":"user","content":[X]}`, "content[0].type", "missing_required_parameter", `{}`)
	item(`{"role":"user","content":[X]}`, "content[0].type", notString, `{"type":5}`)
	item(`{"role":"user","content":[X]}`, "content[0].text", notString, `{"type":"input_text","text":5}`)
	item(`{"role":"user","content":[X]}`, "content[0].image_url", notString, `{"type":"input_image","image_url":{"url":"x"}}`)
	item(`{"role":"user","content":[X]}`, "content[0].file_data", notString, `{"type":"input_file","file_data":5}`)
	item(`{"role":"user","content":[X]}`, "content[0].input_audio", "missing_required_parameter", `{"type":"input_audio"}`)
	item(`{"role":"user","content":[X]}`, "content[0].input_audio", notString, `{"type":"input_audio","input_audio":"x"}`)

	// The same id twice among many items.
	var many []string
	for i := range 40 {
		many = append(many, `{"role":"user","content":"x","id":"i`+strconv.Itoa(i)+`"}`)
	}
	f(`{"model":"m","input":[`+strings.Join(many, ",")+`,X]}`, "input", "", many[0], many[39], strings.Replace(many[30], `"id":"i`, `"id":"\u0069`, 1))
}

// TestStreamErrorStatus: an error that comes inside a stream has the status that
// its words stand for, for those who answer without a stream.
func TestStreamErrorStatus(t *testing.T) {
	d, _ := LookupDialect("generic")
	for data, want := range map[string]int{
		`{"error":{"message":"x","type":"invalid_request_error"}}`: 400,
		`{"error":{"message":"x","type":"BadRequestError"}}`:       400,
		`{"error":{"message":"x","type":"authentication_error"}}`:  401,
		`{"error":{"message":"x","type":"permission_error"}}`:      403,
		`{"error":{"message":"x","type":"not_found_error"}}`:       404,
		`{"error":{"message":"x","type":"requests"}}`:              429,
		`{"error":{"message":"x","type":"insufficient_quota"}}`:    429,
		`{"error":{"message":"x","code":"rate_limit_exceeded"}}`:   429,
		`{"error":{"message":"x","code":503}}`:                     503,
		`{"error":{"message":"x","code":"model_not_found"}}`:       400,
		`{"error":{"message":"x","code":"None","param":"None"}}`:   502,
		`{"error":{}}`:                       502,
		`{"error":true}`:                     502,
		`{"message":"x","code":200}`:         502,
		`"a string"`:                         502,
		`{"error":{"message":"x","code":1}}`: 502,
	} {
		var turn Turn
		turn.Reset(TurnOptions{Request: parsed(t, `{"model":"m","input":"Hi"}`), Dialect: &d, Seed: testSeed})
		turn.Feed(nil, []byte(data))
		e := turn.Failure()
		if e == nil || e.Status != want || e.Message == "" || e.Type == "" || e.Code == "" && e.Status >= 429 {
			t.Errorf("%s: %+v", data, e)
		}
		checkResponse(t, turn.Response(nil, 1, true))
	}
}

func TestResponsesParam(t *testing.T) {
	for chat, want := range map[string]string{
		"": "", "None": "", "null": "", "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens",
		"reasoning_effort": "reasoning.effort", "verbosity": "text.verbosity", "tool_choice.function.name": "tool_choice.name",
		"messages": "input", "messages[0].content": "input", "messages.[1].role": "input", "response_format": "text.format",
		"response_format.json_schema.name": "text.format.name", "tools[0].function.name": "tools[0].name", "tools": "tools",
		"temperature": "temperature",
	} {
		if got := responsesParam(chat); got != want {
			t.Errorf("%s: %q, want %q", chat, got, want)
		}
	}
}

// TestItemPrefixes: an id tells what it is of (docs/PROTOCOL.md §3.1).
func TestItemPrefixes(t *testing.T) {
	d, _ := LookupDialect("generic")
	for typ, prefix := range map[string]string{
		"reasoning": "rs_", "function_call": "fc_", "function_call_output": "fco_", "custom_tool_call": "ctc_", "custom_tool_call_output": "ctco_",
		"tool_search_call": "tsc_", "tool_search_output": "tso_", "shell_call": "sh_", "shell_call_output": "sho_", "apply_patch_call": "apc_",
		"local_shell_call": "lsh_", "web_search_call": "ws_", "file_search_call": "fs_", "code_interpreter_call": "ci_",
		"image_generation_call": "ig_", "mcp_list_tools": "mcpl_", "mcp_approval_request": "mcpr_", "mcp_call": "mcp_", "program": "item_",
	} {
		r := parsed(t, `{"model":"m","input":[{"role":"user","content":"x"},{"type":"`+typ+`","call_id":"c","name":"n","arguments":"{}","input":"i","output":"o","action":{},"operation":{},"tools":[]}]}`)
		stored := r.AppendStoredInput(nil, &testSeed)
		n := 0
		EachItem(stored, func(id string, item []byte) bool {
			if n++; n == 2 && (!strings.HasPrefix(id, prefix) || ItemKey(id) != testSeed.sharedKey()) {
				t.Errorf("%s has the id %s", typ, id)
			}
			return true
		})
		if _, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
			t.Error(typ, err)
		}
	}
	if itemPrefix("message") != "msg_" || itemPrefix("compaction") != "cmp_" {
		t.Error("messages and compactions")
	}
}
