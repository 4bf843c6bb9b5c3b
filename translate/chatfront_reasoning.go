package translate

import (
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// reasoningMembers are those of the Responses API's own object, which OpenRouter has made
// common among chat clients: it goes up as it is.
var reasoningMembers = []string{"effort", "summary", "generate_summary", "context", "mode"}

// appendReasoning appends what the client says about reasoning: reasoning_effort, or the
// object reasoning, of which OpenRouter knows more members than the Responses API.
func (r *ChatRequest) appendReasoning(dst []byte, opt *ResponsesOptions) []byte {
	d, habits, start := &r.doc, &opt.Dialect.Responses, len(dst)
	dst = append(dst, `,"reasoning":{`...)
	head := len(dst)
	member := func(key, path string, raw []byte) {
		if !habits.Takes("reasoning") || !habits.Takes("reasoning."+key) {
			opt.Losses.add(ruleChatRefused, path, "")
			return
		}
		if len(dst) > head {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, key...)
		dst = append(dst, '"', ':')
		dst = append(dst, raw...)
	}
	effort := r.params[cReasoningEffort]
	if effort != 0 {
		member("effort", "reasoning_effort", d.Raw(effort))
	}
	summary := false
	if n := r.reasoning; n != 0 {
		off := d.Kind(d.Get(n, "enabled")) == jsonx.False
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			key := d.Text(k)
			path := "reasoning." + brief(key)
			switch {
			case !d.Present(k + 1):
			case key == "effort" && effort != 0:
			case slices.Contains(reasoningMembers, key):
				summary = summary || key == "summary" || key == "generate_summary"
				if key == "effort" {
					effort = k + 1
				}
				member(key, path, d.Raw(k+1))
			case key == "enabled" || key == "exclude" && d.Kind(k+1) == jsonx.False: // says what is so anyway, or see below
			default:
				opt.Losses.add(ruleChatUnknownParam, path, "")
			}
		}
		if off && effort == 0 {
			member("effort", "reasoning.enabled", []byte(`"none"`))
			summary = true
		}
	}
	if opt.Summary != "" && !summary && habits.Takes("reasoning") && habits.Takes("reasoning.summary") {
		member("summary", "", jsonx.AppendString(nil, opt.Summary))
	}
	if len(dst) == head {
		return dst[:start]
	}
	return append(dst, '}')
}

// appendUnknown does with the keys that no chat API knows what the dialect says.
func (r *ChatRequest) appendUnknown(dst []byte, opt *ResponsesOptions) ([]byte, *Error) {
	d, dialect := &r.doc, opt.Dialect
	for _, k := range r.unknown {
		name := d.Text(k)
		switch {
		case !d.Present(k + 1):
		case slices.Contains(dialect.ExtraParams, name) && paramByName([]byte(name)) == numParams:
			dst = appendMember(dst, d, k)
			opt.Losses.add(ruleChatForwarded, brief(name), "")
		case dialect.UnknownParams == UnknownRefuse:
			return dst, errUnknown(brief(name))
		case dialect.UnknownParams == UnknownForward && !slices.Contains(ownResponsesParams, name):
			dst = appendMember(dst, d, k)
			opt.Losses.add(ruleChatForwarded, brief(name), "")
		default:
			opt.Losses.add(ruleChatUnknownParam, brief(name), "")
		}
	}
	return dst, nil
}

// ownResponsesParams are the keys that translation to a response writes itself.
var ownResponsesParams = []string{
	"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "text", "reasoning",
	"include", "top_logprobs", "store", "stream", "stream_options", "background", "conversation", "previous_response_id",
}
