package fakemodel

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// whole answers with one JSON object.
func (x *exchange) whole() (state string) {
	r := &x.reply
	message := map[string]any{"role": "assistant", "content": nil, "refusal": nil}
	if r.Text != "" {
		message["content"] = r.Text
	}
	if r.Refusal != "" {
		message["refusal"] = r.Refusal
	}
	if r.Reasoning != "" {
		message[r.reasoningField()] = r.Reasoning
	}
	if r.Annotations != nil {
		message["annotations"] = r.Annotations
	}
	if x.speaks() {
		message["audio"] = map[string]any{"id": audioID, "data": SoundOf(r.Audio), "expires_at": 1700003600, "transcript": r.Audio}
	}
	switch {
	case len(r.Calls) > 0 && x.legacy():
		message["function_call"] = map[string]any{"name": r.Calls[0].Name, "arguments": r.Calls[0].Arguments}
	case len(r.Calls) > 0:
		calls := []any{}
		for i := range r.Calls {
			c := &r.Calls[i]
			calls = append(calls, map[string]any{
				"id": c.id(i), "type": "function",
				"function": map[string]any{"name": c.Name, "arguments": c.Arguments},
			})
		}
		message["tool_calls"] = calls
	}
	var probabilities any
	if x.chat.Logprobs {
		probabilities = map[string]any{"content": logprobs(r.pieces(r.Text), x.chat.TopLogprobs), "refusal": nil}
	}
	choices := []any{}
	for i := range x.chat.choices() {
		choices = append(choices, map[string]any{
			"index": i, "message": message, "finish_reason": x.finish(), "logprobs": probabilities,
		})
	}
	body := map[string]any{
		"id": completionID, "object": "chat.completion", "created": 1700000000, "model": x.chat.Model,
		"choices": choices,
	}
	if !r.NoUsage {
		body["usage"] = x.usage()
	}
	raw, _ := json.Marshal(body)
	if r.Break.How != "" {
		return x.breakWhole(raw)
	}
	x.w.Header().Set("Content-Type", "application/json")
	if _, err := x.w.Write(raw); err != nil {
		return Left
	}
	return Answered
}

const completionID = "chatcmpl-fake"

func (r *Reply) reasoningField() string {
	if r.ReasoningIn == "" {
		return "reasoning_content"
	}
	return r.ReasoningIn
}

func (x *exchange) finish() string {
	r := &x.reply
	switch {
	case r.Finish != "":
		return r.Finish
	case len(r.Calls) > 0 && x.legacy():
		return "function_call"
	case len(r.Calls) > 0:
		return "tool_calls"
	}
	return "stop"
}

// legacy reports whether the request knows functions, and no tools: the answer
// then has room for one call.
func (x *exchange) legacy() bool { return len(x.chat.Functions) > 0 }

// speaks reports whether the answer has audio.
func (x *exchange) speaks() bool {
	return x.reply.Audio != "" && slices.Contains(x.chat.Modalities, "audio")
}

const audioID = "audio_fake"

// SoundOf is the sound of a text: no sound at all, but the same every time.
func SoundOf(text string) string {
	return base64.StdEncoding.EncodeToString([]byte("sound of " + text))
}

func (c *Call) id(i int) string {
	if c.ID != "" {
		return c.ID
	}
	return fmt.Sprintf("call_%s_%d", c.Name, i+1)
}

// pieces cuts a text into what one delta each brings.
func (r *Reply) pieces(text string) (list []string) {
	size := r.Piece
	if size == 0 {
		size = 4
	}
	for text != "" {
		end := 0
		for n := 0; n < size && end < len(text); n++ {
			_, width := utf8.DecodeRuneInString(text[end:])
			end += width
		}
		list = append(list, text[:end])
		text = text[end:]
	}
	return list
}

// usage counts tokens in the manner of a model whose tokens are four characters.
func (x *exchange) usage() map[string]any {
	r := &x.reply
	in := len(x.rec.Body)/4 + 1
	thought := len(r.pieces(r.Reasoning))
	out := thought + len(r.pieces(r.Text)) + len(r.pieces(r.Refusal))
	for _, c := range r.Calls {
		out += len(r.pieces(c.Arguments)) + 1
	}
	return map[string]any{
		"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out,
		"prompt_tokens_details":     map[string]any{"cached_tokens": 1},
		"completion_tokens_details": map[string]any{"reasoning_tokens": thought},
	}
}

// logprobs makes up probabilities: each piece is a token.
func logprobs(tokens []string, top int) []any {
	list := []any{}
	for i, token := range tokens {
		entry := func(token string, p float64) map[string]any {
			bytes := []int{}
			for _, b := range []byte(token) {
				bytes = append(bytes, int(b))
			}
			return map[string]any{"token": token, "logprob": p, "bytes": bytes}
		}
		p := -math.Round(1000/float64(i+2)) / 1000
		e := entry(token, p)
		others := []any{}
		for j := range top {
			others = append(others, entry(token+strings.Repeat("?", j), p-float64(j)))
		}
		e["top_logprobs"] = others
		list = append(list, e)
	}
	return list
}
