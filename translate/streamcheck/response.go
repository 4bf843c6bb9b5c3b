package streamcheck

import (
	"math/big"
	"strings"
)

// responseMembers are the members of every response object, running or finished. They are the union of what the OpenAI
// types, the AI SDK and Open Responses require, in the narrowest type that satisfies all three: the sampling numbers and
// service_tier are not nullable because Open Responses refuses null there.
var responseMembers = []member{
	{"id", text}, {"object", text}, {"created_at", integer}, {"completed_at", integer | null}, {"status", text},
	{"error", object | null}, {"incomplete_details", object | null}, {"instructions", text | array | null}, {"model", text},
	{"output", array}, {"parallel_tool_calls", boolean}, {"tool_choice", text | object}, {"tools", array},
	{"temperature", number}, {"top_p", number}, {"presence_penalty", number}, {"frequency_penalty", number},
	{"top_logprobs", integer}, {"previous_response_id", text | null}, {"reasoning", object | null}, {"text", object},
	{"truncation", text}, {"max_output_tokens", integer | null}, {"max_tool_calls", integer | null}, {"store", boolean},
	{"background", boolean}, {"service_tier", text}, {"metadata", object}, {"user", text | null},
	{"safety_identifier", text | null}, {"prompt_cache_key", text | null}, {"prompt_cache_retention", text | null},
	{"usage", object | null}, {"moderation", object | null}, {"access_programs", object | null},
}

var responseOptional = []member{
	{"billing", object}, {"tool_usage", object}, {"conversation", object | null}, {"prompt", object | null},
	{"prompt_cache_options", object | null}, {"prompt_cache_diagnostics", object | null}, {"input_transformations", array},
	{"image", object | null},
}

// foreignMembers are never echoed; output_text is computed by the SDKs.
var foreignMembers = []string{"include", "stream", "stream_options", "context_management", "input", "output_text"}

// reasons are the legal incomplete_details.reason values.
var reasons = map[string]bool{"max_output_tokens": true, "content_filter": true, "max_messages": true, "steered": true}

// response checks everything about a response object but its output items.
func (r *report) response(v *value) {
	r.members(ResponseMember, "response", v, responseMembers)
	r.optional(ResponseMember, "response", v, responseOptional)
	for _, name := range foreignMembers {
		if v.get(name) != nil {
			r.fail(ResponseForeign, "a response object has no member %s", name)
		}
	}
	if o := v.string("object"); o != "response" {
		r.fail(ResponseMember, "response.object must be \"response\", it is %s: SDKs compute no output_text without it", clipText(o))
	}
	for _, name := range []string{"model", "service_tier"} {
		if m := v.get(name); m.is(text) && m.str == "" {
			r.fail(ResponseMember, "response.%s must not be empty", name)
		}
	}
	if !isResponseID(v.string("id")) {
		r.fail(ResponseID, "response.id must be resp_ and then letters, digits, _ or -, it is %s", clipText(v.string("id")))
	}
	r.echoes(v)
	r.usage(v.get("usage"))
	r.outcome(v)
}

func isResponseID(id string) bool {
	rest, ok := strings.CutPrefix(id, "resp_")
	for _, c := range []byte(rest) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return ok && rest != ""
}

// echoes checks the inner form of the request values that clients look into.
func (r *report) echoes(v *value) {
	if reasoning := v.get("reasoning"); reasoning.is(object) {
		r.members(ResponseMember, "response.reasoning", reasoning, []member{{"effort", text | null}, {"summary", text | null}})
	}
	if t := v.get("truncation"); t.is(text) && t.str != "auto" && t.str != "disabled" {
		r.fail(ResponseMember, "response.truncation must be auto or disabled, it is %s", clip(t))
	}
	switch choice := v.get("tool_choice"); {
	case choice.is(text) && choice.str != "none" && choice.str != "auto" && choice.str != "required":
		r.fail(ResponseMember, "response.tool_choice must be none, auto, required or an object, it is %s", clip(choice))
	case choice.is(object) && choice.string("type") == "":
		r.fail(ResponseMember, "response.tool_choice must have a type, it is %s", clip(choice))
	}
	if metadata := v.get("metadata"); metadata.is(object) {
		for i, m := range metadata.elems {
			if !m.is(text) {
				r.fail(ResponseMember, "response.metadata.%s must be a string, it is %s", metadata.keys[i], clip(m))
			}
		}
	}
	if t := v.get("text"); t.is(object) {
		r.members(ResponseMember, "response.text", t, []member{{"format", object}, {"verbosity", text}})
		if format := t.get("format"); format.is(object) && format.string("type") == "" {
			r.fail(ResponseMember, "response.text.format must have a type, it is %s", clip(format))
		}
	}
	if conversation := v.get("conversation"); conversation.is(object) {
		r.members(ResponseMember, "response.conversation", conversation, []member{{"id", text}})
	}
	for i, tool := range v.list("tools") {
		if tool.string("type") == "" {
			r.fail(ResponseTools, "response.tools[%d] must be an object with a type", i)
			continue
		}
		switch tool.string("type") {
		case "function":
			r.members(ResponseTools, "a function in response.tools", tool, []member{
				{"name", text}, {"description", text | null}, {"parameters", object | null}, {"strict", boolean | null}})
		case "custom", "namespace":
			r.members(ResponseTools, "a named tool in response.tools", tool, []member{{"name", text}})
		}
	}
}

// usage must be whole or null: a half object breaks Codex and the AI SDK, null breaks nobody.
func (r *report) usage(u *value) {
	if !u.is(object) {
		return
	}
	r.members(ResponseUsage, "usage", u, []member{{"input_tokens", integer}, {"input_tokens_details", object},
		{"output_tokens", integer}, {"output_tokens_details", object}, {"total_tokens", integer}})
	input, output := u.get("input_tokens_details"), u.get("output_tokens_details")
	if input.is(object) {
		r.members(ResponseUsage, "usage.input_tokens_details", input, []member{{"cached_tokens", integer}, {"cache_write_tokens", integer}})
	}
	if output.is(object) {
		r.members(ResponseUsage, "usage.output_tokens_details", output, []member{{"reasoning_tokens", integer}})
	}
	for _, count := range []*value{u.get("input_tokens"), u.get("output_tokens"), u.get("total_tokens"),
		input.get("cached_tokens"), input.get("cache_write_tokens"), output.get("reasoning_tokens")} {
		if count.is(integer) && count.raw[0] == '-' {
			r.fail(ResponseUsage, "a token count must not be negative, one is %s", clip(count))
		}
	}
	in, out, total := bigInt(u.get("input_tokens")), bigInt(u.get("output_tokens")), bigInt(u.get("total_tokens"))
	if in != nil && out != nil && total != nil && total.Cmp(new(big.Int).Add(in, out)) != 0 {
		r.fail(ResponseUsage, "total_tokens must be input_tokens + output_tokens, it is %v and not %v + %v", total, in, out)
	}
}

// bigInt: an upstream may report any number, and a wrapped sum would look like a fault of ours.
func bigInt(v *value) *big.Int {
	const sane = 400 // digits; the conversion is quadratic
	if !v.is(integer) || len(v.raw) > sane {
		return nil
	}
	n, _ := new(big.Int).SetString(string(v.raw), 10)
	return n
}

// outcome checks that status, error, incomplete_details, completed_at, output and usage tell the same story.
func (r *report) outcome(v *value) {
	status := v.string("status")
	switch status {
	case "in_progress", "queued":
		if b := v.get("background"); status == "queued" && b.is(boolean) && string(b.raw) != "true" {
			r.fail(ResponseStatus, "only a background response can be queued")
		}
		if len(v.list("output")) > 0 {
			r.fail(ResponseUnfinished, "output must be [] before the end")
		}
		if v.get("usage").is(object) {
			r.fail(ResponseUnfinished, "usage must be null before the end")
		}
	case "completed", "incomplete", "failed", "cancelled":
	default:
		r.fail(ResponseStatus, "response.status %s is unknown", clipText(status))
		return
	}
	r.completedAt(v, status)

	e := v.get("error")
	switch {
	case status != "failed":
		if e.is(object) {
			r.fail(ResponseError, "error must be null when the status is %s", status)
		}
	case !e.is(object):
		r.fail(ResponseError, "a failed response must have an error object")
	default:
		for _, name := range []string{"code", "message", "type"} {
			if e.string(name) == "" {
				r.fail(ResponseError, "error.%s must be a string that is not empty, it is %s", name, clip(e.get(name)))
			}
		}
	}

	details := v.get("incomplete_details")
	switch {
	case status != "incomplete":
		if details.is(object) {
			r.fail(ResponseIncomplete, "incomplete_details must be null when the status is %s", status)
		}
	case !details.is(object):
		r.fail(ResponseIncomplete, "an incomplete response must have incomplete_details")
	case !reasons[details.string("reason")]:
		r.fail(ResponseIncomplete, "incomplete_details.reason %s is unknown", clip(details.get("reason")))
	}
}

func (r *report) completedAt(v *value, status string) {
	done, started := v.get("completed_at"), v.get("created_at")
	if started.is(integer) && started.raw[0] == '-' {
		r.fail(ResponseMember, "response.created_at must not be negative, it is %s", clip(started))
	}
	switch {
	case status != "completed":
		if done.is(integer) {
			r.fail(ResponseCompletedAt, "completed_at must be null when the status is %s", status)
		}
	case done.is(null):
		r.fail(ResponseCompletedAt, "completed_at must be set when the status is completed")
	default:
		if a, b := bigInt(started), bigInt(done); a != nil && b != nil && b.Cmp(a) < 0 {
			r.fail(ResponseCompletedAt, "completed_at %v is before created_at %v", b, a)
		}
	}
}

// outputItems checks every item of a finished output on its own, and the output as a whole.
func (r *report) outputItems(resp *value) {
	ids, calls := map[string]bool{}, map[string]bool{}
	at := final
	if s := resp.string("status"); s == "failed" || s == "cancelled" {
		at = unseen
	}
	for _, item := range resp.list("output") {
		r.item(item, at)
		r.unique(item, ids, calls)
	}
	r.itemsAgree(resp)
}

// itemsAgree checks the items' statuses against the response's.
func (r *report) itemsAgree(resp *value) {
	for i, item := range resp.list("output") {
		status := item.string("status")
		if spec := itemTable[item.string("type")]; !contains(spec.final, status) {
			continue // unknown, absent or still running: item.status says so
		}
		if resp.string("status") == "completed" && status == "incomplete" {
			r.fail(ResponseItems, "output[%d] is incomplete although the response is completed", i)
		}
	}
}
