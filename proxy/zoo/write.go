package zoo

import (
	"encoding/json"
	"fmt"
	"strings"
)

const created = 1700000000

// callID is the id of the n-th call of a reply.
func (h *Habits) callID(reply, n int, name string) string {
	switch h.IDs {
	case IDsBare:
		return fmt.Sprintf("%032d", reply*100+n)
	case IDsAlnum9:
		return fmt.Sprintf("Z%08d", reply*100+n)
	case IDsFunction:
		return fmt.Sprintf("functions.%s:%d", name, n)
	}
	return fmt.Sprintf("call_%d_%d", reply, n)
}

func (h *Habits) finish(t *turn) string {
	switch {
	case t.finish == "tool_calls" && h.ToolFinish != "":
		return h.ToolFinish
	case t.finish == "length" && h.LengthFinish != "":
		return h.LengthFinish
	}
	return t.finish
}

func (h *Habits) usage(t *turn) object {
	u := object{"prompt_tokens": t.prompt, "completion_tokens": t.tokens, "total_tokens": t.prompt + t.tokens}
	if key, name, nested := strings.Cut(h.CachedPath, "."); nested {
		u[key] = object{name: 1}
	} else if key != "" {
		u[key] = 1
	}
	return u
}

// arguments are a call's arguments as the family writes them: the whole.
func (h *Habits) arguments(c spoken) any {
	if h.ObjectArguments && json.Valid([]byte(c.arguments)) {
		return json.RawMessage(c.arguments)
	}
	return c.arguments
}

// whole is the answer to a request without stream.
func (f *Family) whole(t *turn, model string, reply int) []byte {
	h := &f.Habits
	m := object{"role": "assistant", "content": t.text}
	switch h.Thinks {
	case ThinksContent, ThinksReasoning:
		if t.thought != "" {
			m[string(h.Thinks)] = t.thought
		}
	case ThinksTags:
		if t.thought != "" {
			m["content"] = "<think>\n" + t.thought + "\n</think>\n\n" + t.text
		}
	case ThinksDetails:
		if t.thought != "" {
			m["reasoning"] = t.thought
			m["reasoning_details"] = []object{detail(t.thought)}
		}
	case ThinksParts:
		if t.thought != "" {
			m["content"] = append([]object{thinkingPart(t.thought)}, textPart(t.text)...)
		}
	}
	if len(t.calls) > 0 {
		if t.text == "" && m["content"] == "" {
			m["content"] = nil
			if h.ContentWithCalls != "" {
				m["content"] = json.RawMessage(h.ContentWithCalls)
			}
		}
		var calls []object
		for i, c := range t.calls {
			call := object{"id": h.callID(reply, i, c.name), "type": "function", "function": object{"name": c.name, "arguments": h.arguments(c)}}
			if c.custom {
				call = object{"id": call["id"], "type": "custom", "custom": object{"name": c.name, "input": c.arguments}}
			}
			h.sign(call, i)
			calls = append(calls, call)
		}
		m["tool_calls"] = calls
	}
	return toJSON(object{"id": fmt.Sprintf("chatcmpl-%d", reply), "object": "chat.completion", "created": created, "model": model,
		"choices": []object{{"index": 0, "message": m, "logprobs": logprobs(t, t.text), "finish_reason": h.finish(t)}}, "usage": h.usage(t)})
}

// logprobs are those of a text, one word a token.
func logprobs(t *turn, text string) any {
	if !t.logs {
		return nil
	}
	tokens := []object{}
	for w := range strings.SplitAfterSeq(text, " ") {
		tokens = append(tokens, object{"token": w, "logprob": -0.5, "bytes": nil, "top_logprobs": []object{}})
	}
	return object{"content": tokens}
}

func (h *Habits) sign(call object, n int) {
	if h.Signatures && n == 0 {
		call["extra_content"] = object{"google": object{"thought_signature": "c2lnbmVk"}}
	}
}

func detail(thought string) object {
	return object{"type": "reasoning.text", "text": thought, "format": "anthropic-claude-v1", "index": 0, "signature": "c2ln"}
}

func thinkingPart(thought string) object {
	return object{"type": "thinking", "thinking": []object{{"type": "text", "text": thought}}}
}

func textPart(text string) []object {
	if text == "" {
		return nil
	}
	return []object{{"type": "text", "text": text}}
}

// stream is the answer to a request with stream, as frames.
func (f *Family) stream(t *turn, model string, reply int, asked bool) (frames []string) {
	h := &f.Habits
	eol := "\n"
	if h.CRLF {
		eol = "\r\n"
	}
	data := func(v any) { frames = append(frames, "data: "+string(toJSON(v))+eol+eol) }
	first := true
	chunk := func(delta object, finish any) object {
		if h.Role == RoleEvery || first && h.Role == RoleFirst {
			delta["role"] = "assistant"
		}
		first = false
		c := object{"id": fmt.Sprintf("chatcmpl-%d", reply), "object": "chat.completion.chunk", "created": created, "model": model,
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}}}
		if h.Usage == UsageEvery {
			c["usage"] = h.usage(t)
		}
		return c
	}
	for _, c := range h.Comments {
		frames = append(frames, ": "+c+eol+eol)
	}
	switch h.First {
	case FirstNoChoices:
		data(object{"id": "", "object": "", "created": 0, "model": "", "choices": []object{}, "prompt_filter_results": []object{{"prompt_index": 0}}})
	case FirstNull:
		data(chunk(object{"content": nil}, nil))
	case FirstEmpty:
		data(chunk(object{"content": ""}, nil))
	case FirstReasoning0:
		data(chunk(object{"content": "", "reasoning_content": ""}, nil))
	case FirstXGroq:
		c := chunk(object{"content": ""}, nil)
		c["x_groq"] = object{"id": "req_1"}
		data(c)
	}
	for _, d := range h.deltas(t) {
		c := chunk(d, nil)
		if text, ok := d["content"].(string); ok && t.logs && text != "" {
			c["choices"].([]object)[0]["logprobs"] = logprobs(t, text)
		}
		data(c)
	}
	for i, c := range t.calls {
		for _, d := range h.callDeltas(c, reply, i) {
			data(chunk(object{"tool_calls": []object{d}}, nil))
		}
	}
	last := chunk(object{}, h.finish(t))
	switch h.Usage {
	case UsageFinish:
		last["usage"] = h.usage(t)
	case UsageChoice:
		last["choices"].([]object)[0]["usage"] = h.usage(t)
	case UsageXGroq:
		last["x_groq"] = object{"id": "req_1", "usage": h.usage(t)}
	}
	if h.Timings {
		last["timings"] = object{"predicted_n": t.tokens}
	}
	data(last)
	if h.Usage == UsageAlways || h.Usage == UsageAsked && asked {
		data(object{"id": fmt.Sprintf("chatcmpl-%d", reply), "object": "chat.completion.chunk", "created": created, "model": model,
			"choices": []object{}, "usage": h.usage(t)})
	}
	if !h.NoDone {
		frames = append(frames, "data: [DONE]"+eol+eol)
	}
	return frames
}

// deltas are the pieces of thoughts and text.
func (h *Habits) deltas(t *turn) (deltas []object) {
	say := func(key string, pieces []string) {
		for _, p := range pieces {
			deltas = append(deltas, object{key: p})
		}
	}
	words := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.SplitAfter(s, " ")
	}
	switch {
	case t.thought == "":
	case h.Thinks == ThinksTags:
		say("content", append(append([]string{"<th", "ink>", "\n"}, words(t.thought)...), "\n</", "think>\n\n"))
	case h.Thinks == ThinksDetails:
		for _, w := range words(t.thought) {
			d := detail(w)
			delete(d, "signature")
			deltas = append(deltas, object{"content": "", "reasoning": w, "reasoning_details": []object{d}})
		}
		deltas = append(deltas, object{"content": "", "reasoning_details": []object{{"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}}})
	case h.Thinks == ThinksParts:
		for _, w := range words(t.thought) {
			deltas = append(deltas, object{"content": []object{thinkingPart(w)}})
		}
	default:
		say(string(h.Thinks), words(t.thought))
	}
	say("content", words(t.text))
	return deltas
}

// callDeltas are the pieces of a call.
func (h *Habits) callDeltas(c spoken, reply, n int) (deltas []object) {
	id := h.callID(reply, n, c.name)
	with := func(d object, first bool) {
		switch {
		case first, h.IDs == IDsRepeated:
			d["id"] = id
		case h.IDs == IDsEmpty:
			d["id"] = ""
		}
		switch h.Index {
		case IndexRight:
			d["index"] = n
		case IndexZero:
			d["index"] = 0
		}
		if first {
			d["type"] = "function"
			h.sign(d, n)
		}
		deltas = append(deltas, d)
	}
	if c.custom {
		with(object{"custom": object{"name": c.name, "input": ""}}, true)
		deltas[0]["type"] = "custom"
		with(object{"custom": object{"input": c.arguments}}, false)
		return deltas
	}
	if h.WholeCalls {
		with(object{"function": object{"name": c.name, "arguments": h.arguments(c)}}, true)
		return deltas
	}
	with(object{"function": object{"name": c.name, "arguments": ""}}, true)
	for len(c.arguments) > 0 {
		n := min(5, len(c.arguments))
		for n < len(c.arguments) && c.arguments[n]&0xC0 == 0x80 {
			n++
		}
		f := object{"arguments": c.arguments[:n]}
		if h.IDs == IDsEmpty {
			f["name"] = ""
		}
		with(object{"function": f}, false)
		c.arguments = c.arguments[n:]
	}
	return deltas
}
