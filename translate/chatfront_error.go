package translate

import (
	"strconv"
	"strings"
)

// ChatUpstreamError makes the error for a chat client out of what a Responses
// backend answered with a status other than 200 (docs/PROTOCOL.md §6.6). r may be nil.
func ChatUpstreamError(status int, body []byte, r *ChatRequest) *Error {
	return r.Error(UpstreamError(status, body))
}

// Error gives an error of a Responses backend the names that a chat client
// knows: those of parameters, in param and in the message, and the status of
// cases that the two APIs tell in different ways. The receiver may be nil.
func (r *ChatRequest) Error(e *Error) *Error {
	if e == nil {
		return nil
	}
	out := *e
	switch {
	case e.Code == "model_not_found":
		out.Status, out.Param = 404, ""
		return &out
	case r != nil && r.Misplaced:
		return &out
	case e.ContextOverflow():
		out.Param = "messages"
		return &out
	}
	if to := r.chatName(e.Param); to != e.Param {
		out.Param = to
		out.Message = strings.ReplaceAll(e.Message, "'"+e.Param+"'", "'"+to+"'")
	}
	return &out
}

// chatName gives a path of the Responses API the name that it has in the Chat
// API.
func (r *ChatRequest) chatName(p string) string {
	switch p {
	case "input":
		return "messages"
	case "instructions":
		return "messages[0].content"
	case "max_output_tokens":
		if r != nil && r.has(cMaxTokens) && !r.has(cMaxCompletionTokens) {
			return "max_tokens"
		}
		return "max_completion_tokens"
	case "reasoning.effort", "reasoning":
		return "reasoning_effort"
	case "text.verbosity":
		return "verbosity"
	case "text.format", "text":
		return "response_format"
	case "tool_choice.name":
		return "tool_choice.function.name"
	case "include":
		return "logprobs"
	}
	if index, rest, ok := indexed(p, "input["); ok {
		if r == nil || index >= len(r.itemFrom) {
			return "messages"
		}
		return messagePath(r.itemFrom[index]) + chatMember(rest)
	}
	if index, rest, ok := indexed(p, "tools["); ok {
		return r.toolName(index, rest)
	}
	if rest, ok := strings.CutPrefix(p, "text.format."); ok {
		if rest == "type" {
			return "response_format.type"
		}
		return "response_format.json_schema." + rest
	}
	return p
}

// indexed cuts "input[3].content" into 3 and ".content".
func indexed(p, head string) (index int, rest string, ok bool) {
	s, ok := strings.CutPrefix(p, head)
	if !ok {
		return 0, "", false
	}
	number, rest, ok := strings.Cut(s, "]")
	index, err := strconv.Atoi(number)
	return index, rest, ok && err == nil && index >= 0
}

// chatMember names the member of a message that an item's member came from.
func chatMember(rest string) string {
	switch rest {
	case ".call_id":
		return ".tool_call_id"
	case ".output":
		return ".content"
	case ".name", ".arguments", ".input":
		return ".tool_calls"
	}
	if inner, ok := strings.CutPrefix(rest, ".output["); ok {
		return ".content[" + inner
	}
	return rest
}

// toolName names a tool, which is one of tools or of functions.
func (r *ChatRequest) toolName(index int, rest string) string {
	if r == nil {
		return "tools[" + strconv.Itoa(index) + "]" + rest
	}
	if index >= len(r.tools.functions) {
		if r.has(cWebSearchOptions) {
			return "web_search_options"
		}
		return "tools"
	}
	if rest == "" || rest == ".type" {
		t := r.tools.functions[index]
		if t.legacy {
			return t.path()
		}
		return toolPath(t.index) + rest
	}
	return r.tools.functions[index].path() + rest
}
