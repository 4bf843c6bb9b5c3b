package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Clients that have been moved from one API to the other bring parameters of the old
// one. They mean what these say: to answer without them would be silence, and so they
// are refused, as the live API refuses them, with the name of the new place.

// movedParam is a parameter that the other API has in another place.
type movedParam struct {
	name  string
	place string // where it is now, as one writes it; "" is nowhere
	how   string // a sentence about it, or ""
}

// movedToResponses are parameters of Chat Completions that POST /responses has elsewhere.
// "messages" is looked at before all else: see Request.validate.
var movedToResponses = []movedParam{
	{"max_tokens", "max_output_tokens", ""},
	{"max_completion_tokens", "max_output_tokens", ""},
	{"response_format", "text.format", "The members of 'json_schema' stand in 'text.format' itself."},
	{"reasoning_effort", "reasoning.effort", ""},
	{"verbosity", "text.verbosity", ""},
	{"functions", "tools", "Each function is a tool of the type 'function'."},
	{"function_call", "tool_choice", ""},
	{"logprobs", "include", "Include 'message.output_text.logprobs'."},
	{"web_search_options", "tools", "Searching the web is a tool of the type 'web_search'."},
	{"n", "", "A response is one answer; send the request once for each."},
	{"modalities", "", "A response is text."},
	{"audio", "", "A response is text."},
	{"prediction", "", ""},
}

// movedToChat are parameters of POST /responses that Chat Completions has elsewhere.
var movedToChat = []movedParam{
	{"input", "messages", ""},
	{"instructions", "messages", "Instructions are a message of the role 'system' or 'developer'."},
	{"max_output_tokens", "max_completion_tokens", ""},
	{"text", "response_format", "'text.verbosity' is 'verbosity'."},
	{"previous_response_id", "messages", "The messages of earlier turns are sent with each request."},
	{"conversation", "messages", "The messages of earlier turns are sent with each request."},
	{"include", "", "Log probabilities are asked for with 'logprobs'."},
	{"truncation", "", "The messages that fit are the client's choice."},
	{"background", "", "Background work needs POST /v1/responses."},
	{"max_tool_calls", "", ""},
	{"prompt", "", ""},
	{"context_management", "", ""},
}

// movedError is the error for the first of the unknown keys, given by their nodes, that
// has moved to the API of that name; or nil.
func movedError(d *jsonx.Doc, unknown []uint32, table []movedParam, api string) *Error {
	for _, k := range unknown {
		for i := range table {
			if m := &table[i]; d.Is(k, m.name) && !m.neutral(d, k+1) {
				return m.refusal(api)
			}
		}
	}
	return nil
}

// neutral reports whether a value asks for nothing that would not be so without it.
func (m *movedParam) neutral(d *jsonx.Doc, v uint32) bool {
	switch d.Kind(v) {
	case jsonx.Null:
		return true
	case jsonx.False:
		return m.name == "logprobs" || m.name == "background"
	case jsonx.Array:
		return d.Len(v) == 0 || m.name == "modalities" && d.Len(v) == 1 && d.Is(d.First(v), "text")
	case jsonx.Object:
		return d.Len(v) == 0
	case jsonx.Number:
		return m.name == "n" && string(d.Raw(v)) == "1"
	case jsonx.String:
		return len(d.Str(v)) == 0 || m.name == "truncation" && d.Is(v, "disabled")
	}
	return false
}

func (m *movedParam) refusal(api string) *Error {
	text := "Unsupported parameter: '" + m.name + "'. In " + api + ", "
	if m.place != "" {
		text += "this parameter has moved to '" + m.place + "'."
	} else {
		text += "there is no such parameter."
	}
	if m.how != "" {
		text += " " + m.how
	}
	return invalid("unsupported_parameter", m.name, text)
}
