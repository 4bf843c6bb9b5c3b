package translate

import (
	"bytes"
	"strings"
)

// finishKind is what a finish_reason comes down to.
type finishKind uint8

const (
	finishStop finishKind = iota
	finishLength
	finishContext // the context is full
	finishFilter
	finishFailed
)

// finishWords are what a word for the end of a reply has in it, in lower case and
// without anything but letters, and what that means. The first that fits counts.
//
// The words are those of the APIs of OpenAI, Anthropic (docs.anthropic.com, stop_reason),
// Google (ai.google.dev/api/generate-content, FinishReason), Mistral, Cohere, DeepSeek, GLM,
// Bedrock, and of vLLM, SGLang, TGI and llama.cpp.
var finishWords = []struct {
	word string
	kind finishKind
}{
	{"contextwindow", finishContext}, {"contextlength", finishContext}, {"contextsize", finishContext},
	{"contextfull", finishContext}, {"exceedcontext", finishContext}, {"contextexceed", finishContext}, {"contextlimit", finishContext},
	{"contentfilter", finishFilter}, {"safety", finishFilter}, {"recitation", finishFilter}, {"prohibited", finishFilter},
	{"blocklist", finishFilter}, {"spii", finishFilter}, {"sensitive", finishFilter}, {"moderation", finishFilter},
	{"guardrail", finishFilter}, {"refusal", finishFilter}, {"toxic", finishFilter}, {"contentblocked", finishFilter}, {"contentpolicy", finishFilter},
	{"length", finishLength}, {"maxtoken", finishLength}, {"maxoutput", finishLength}, {"maxnewtoken", finishLength}, {"maxcompletion", finishLength},
	{"tokenlimit", finishLength}, {"budget", finishLength}, {"errorlimit", finishLength}, {"truncat", finishLength}, {"repetition", finishLength},
	{"malformed", finishFailed}, {"unexpectedtoolcall", finishFailed}, {"toomanytoolcalls", finishFailed},
	{"missingthoughtsignature", finishFailed}, {"error", finishFailed}, {"abort", finishFailed}, {"cancel", finishFailed},
	{"timeout", finishFailed}, {"timedout", finishFailed}, {"insufficient", finishFailed}, {"fail", finishFailed},
	{"overload", finishFailed}, {"unavailable", finishFailed}, {"interrupt", finishFailed}, {"disconnect", finishFailed},
	{"preempt", finishFailed}, {"timelimit", finishFailed}, {"deadline", finishFailed}, {"evict", finishFailed}, {"exception", finishFailed},
}

// finishKindOf reads a finish_reason. Words that nobody knows mean that the backend
// stopped of its own accord: what it said counts.
func finishKindOf(word []byte) finishKind {
	switch string(word) {
	case "stop", "tool_calls", "function_call", "end_turn", "tool_use", "eos", "STOP":
		return finishStop
	case "length":
		return finishLength
	}
	word = bytes.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r
		case r >= 'A' && r <= 'Z':
			return r | 0x20
		}
		return -1
	}, word[:min(len(word), 128)])
	for _, w := range finishWords {
		if strings.Contains(string(word), w.word) {
			return w.kind
		}
	}
	return finishStop
}

// sayFinish takes in why the backend stopped, as a choice says it; an empty word says
// nothing. A backend may say so before it has said anything, or with every piece: while
// pieces go on to come, it has not stopped.
func (t *Turn) sayFinish(dst, word []byte) []byte {
	if t.finished && t.heard {
		t.early, t.talking, t.counted = false, true, false
	}
	if len(word) == 0 {
		return dst
	}
	t.shape.clear()
	kind := finishKindOf(word)
	if kind == finishFailed {
		t.finished = false
		return t.Abort(dst, &Error{
			Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginUpstream,
			Message: "The upstream gave up on the reply (finish_reason '" + brief(string(word)) + "').",
		})
	}
	if !t.finished || t.early || t.heard || t.talking {
		t.finish = kind
	}
	t.talking = t.talking && t.heard
	t.mixed = t.heard
	t.early = t.Silent() && len(t.think.held) == 0
	t.finished = true
	return dst
}

// maybeEnd ends the turn after a chunk, if the backend has said why it stopped and has
// counted its tokens. alone says that the chunk had no choice: nothing comes after its count.
// A backend that says so in a chunk that says something else, too, may do so in every
// chunk: it is waited for the end of its stream then.
func (t *Turn) maybeEnd(dst []byte, alone bool) []byte {
	switch {
	case !t.finished || t.state >= stateEnded:
		return dst
	case t.counted && (alone || !t.early && !t.mixed && !t.talking):
		return t.end(dst)
	case !t.early || t.counted && alone:
		t.advance(stateFinishing)
	}
	return dst
}

// Finishing reports whether the backend has said why it stopped, and only the
// count of tokens may still come.
func (t *Turn) Finishing() bool { return t.state == stateFinishing && !t.talking }

// contextFull is the failure of a turn in which nothing was said because the context
// is full.
func contextFull() *Error {
	return &Error{
		Status: 400, Type: TypeInvalidRequest, Code: "context_length_exceeded", Param: "input", Origin: OriginUpstream,
		Message: "The input fills the context window of the model: the upstream had no room for an answer.",
	}
}
