package fakemodel

import (
	"encoding/json"
	"net/http"
)

// stream answers with chunks. Each is written and flushed by itself.
func (x *exchange) stream() (state string) {
	h := x.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	chunks := x.chunks()
	for i, chunk := range chunks {
		if x.reply.Break.How != "" && i == x.reply.Break.After {
			return x.breakStream()
		}
		if i > 0 && !x.pause(x.reply.GapMS) {
			return Left
		}
		if !x.send(chunk) {
			return Left
		}
	}
	if x.reply.Break.How != "" {
		return x.breakStream()
	}
	if !x.send([]byte("[DONE]")) {
		return Left
	}
	return Answered
}

// send writes the data of one event.
func (x *exchange) send(data []byte) bool {
	if _, err := x.w.Write(append(append([]byte("data: "), data...), "\n\n"...)); err != nil {
		return false
	}
	return http.NewResponseController(x.w).Flush() == nil && x.r.Context().Err() == nil
}

// chunks are the chunks of the reply, from the role to the count of tokens.
func (x *exchange) chunks() (list [][]byte) {
	r := &x.reply
	add := func(delta map[string]any, more map[string]any) {
		choice := map[string]any{"index": 0, "delta": delta, "finish_reason": nil, "logprobs": nil}
		for k, v := range more {
			choice[k] = v
		}
		for i := range x.chat.choices() {
			choice["index"] = i
			list = append(list, x.chunk([]any{choice}, nil))
		}
	}
	add(map[string]any{"role": "assistant", "content": ""}, nil)
	for _, p := range r.pieces(r.Reasoning) {
		add(map[string]any{r.reasoningField(): p}, nil)
	}
	for _, p := range r.pieces(r.Text) {
		var more map[string]any
		if x.chat.Logprobs {
			more = map[string]any{"logprobs": map[string]any{"content": logprobs([]string{p}, x.chat.TopLogprobs), "refusal": nil}}
		}
		add(map[string]any{"content": p}, more)
	}
	for _, p := range r.pieces(r.Refusal) {
		add(map[string]any{"refusal": p}, nil)
	}
	if r.Annotations != nil {
		add(map[string]any{"annotations": r.Annotations}, nil)
	}
	if x.speaks() {
		add(map[string]any{"audio": map[string]any{"id": audioID}}, nil)
		for _, p := range r.pieces(r.Audio) {
			add(map[string]any{"audio": map[string]any{"transcript": p}}, nil)
		}
		add(map[string]any{"audio": map[string]any{"data": SoundOf(r.Audio)}}, nil)
		add(map[string]any{"audio": map[string]any{"expires_at": 1700003600}}, nil)
	}
	switch {
	case len(r.Calls) > 0 && x.legacy():
		add(map[string]any{"function_call": map[string]any{"name": r.Calls[0].Name, "arguments": ""}}, nil)
		for _, p := range r.pieces(r.Calls[0].Arguments) {
			add(map[string]any{"function_call": map[string]any{"arguments": p}}, nil)
		}
	default:
		for _, calls := range r.callDeltas() {
			add(map[string]any{"tool_calls": calls}, nil)
		}
	}
	add(map[string]any{}, map[string]any{"finish_reason": x.finish()})
	if x.chat.StreamOptions.IncludeUsage && !r.NoUsage {
		list = append(list, x.chunk([]any{}, x.usage()))
	}
	return list
}

func (x *exchange) chunk(choices []any, usage any) []byte {
	chunk := map[string]any{
		"id": completionID, "object": "chat.completion.chunk", "created": 1700000000, "model": x.chat.Model,
		"choices": choices,
	}
	if x.chat.StreamOptions.IncludeUsage {
		chunk["usage"] = usage
	}
	raw, _ := json.Marshal(chunk)
	return raw
}

// callDeltas are the deltas of the calls: each call by itself, or in turns.
func (r *Reply) callDeltas() (deltas [][]any) {
	type call = map[string]any
	perCall := make([][]any, len(r.Calls))
	longest := 0
	for i := range r.Calls {
		c := &r.Calls[i]
		perCall[i] = append(perCall[i], call{
			"index": i, "id": c.id(i), "type": "function", "function": call{"name": c.Name, "arguments": ""},
		})
		for _, p := range r.pieces(c.Arguments) {
			perCall[i] = append(perCall[i], call{"index": i, "function": call{"arguments": p}})
		}
		longest = max(longest, len(perCall[i]))
	}
	if !r.Interleave {
		for _, list := range perCall {
			for _, d := range list {
				deltas = append(deltas, []any{d})
			}
		}
		return deltas
	}
	for n := range longest {
		for _, list := range perCall {
			if n < len(list) {
				deltas = append(deltas, []any{list[n]})
			}
		}
	}
	return deltas
}
