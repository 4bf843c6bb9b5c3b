package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Completion appends the final chat.completion object. After a failure there is
// none: Failure says what to answer.
func (t *ChatTurn) Completion(dst []byte) []byte {
	if t.state < stateEnded || t.in.failure != nil {
		return dst
	}
	t.advance(stateDone)
	dst = t.completionHead(dst)
	dst = t.appendChoice(dst)
	return t.completionTail(dst, &t.in.usage, nil)
}

// completionHead appends the object up to the first choice.
func (t *ChatTurn) completionHead(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, t.id...)
	dst = append(dst, `","object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, t.created(), 10)
	dst = append(dst, `,"model":`...)
	dst = append(dst, t.opt.Request.doc.Raw(t.opt.Request.params[cModel])...)
	return append(dst, `,"choices":[`...)
}

// completionTail appends what comes after the last choice; others are the turns of
// further choices.
func (t *ChatTurn) completionTail(dst []byte, u *usage, others []ChatTurn) []byte {
	dst = append(dst, `],"usage":`...)
	if u.known {
		dst = u.appendChat(dst)
	} else {
		dst = append(dst, "null"...)
	}
	dst = t.appendTier(dst)
	dst = append(dst, `,"system_fingerprint":null`...)
	dst = appendModeration(dst, t, others)
	if r := t.opt.Request; r.Store {
		dst = append(dst, `,"metadata":`...)
		if n := r.params[cMetadata]; n != 0 {
			dst = r.doc.AppendMultiline(dst, n)
		} else {
			dst = append(dst, "{}"...)
		}
	}
	return append(dst, '}')
}

// appendChoice appends the choice.
func (t *ChatTurn) appendChoice(dst []byte) []byte {
	r := t.opt.Request
	dst = append(dst, `{"index":`...)
	dst = appendInt(dst, t.opt.Choice)
	dst = append(dst, `,"message":{"role":"assistant","content":`...)
	if len(t.content) == 0 && (len(t.calls) > 0 || len(t.refusal) > 0) {
		dst = append(dst, "null"...)
	} else {
		dst = appendQuoted(dst, t.content)
	}
	if t.opt.Reasoning && len(t.reasoning) > 0 {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendQuoted(dst, t.reasoning)
	}
	dst = append(dst, `,"refusal":`...)
	if len(t.refusal) > 0 {
		dst = appendQuoted(dst, t.refusal)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"annotations":[`...)
	dst = append(dst, t.annotations...)
	dst = append(dst, ']')
	switch {
	case len(t.calls) == 0:
	case r.Legacy:
		it := &t.in.items[t.calls[0]]
		dst = append(dst, `,"function_call":{"name":`...)
		dst = appendQuoted(dst, it.name)
		dst = append(dst, `,"arguments":`...)
		dst = appendQuoted(dst, it.text)
		dst = append(dst, '}')
	default:
		dst = append(dst, `,"tool_calls":[`...)
		for n, i := range t.calls {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = appendChatCall(dst, &t.in.items[i], -1, t.in.items[i].text)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, '}')
	if len(t.logprobs) > 0 && r.Logprobs {
		dst = append(dst, `,"logprobs":{"content":[`...)
		dst = append(dst, t.logprobs...)
		dst = append(dst, `],"refusal":null}`...)
	} else {
		dst = append(dst, `,"logprobs":null`...)
	}
	dst = append(dst, `,"finish_reason":"`...)
	dst = append(dst, t.FinishReason()...)
	return append(dst, `"}`...)
}

// appendQuoted appends the inside of a JSON string with its quotes.
func appendQuoted(dst, raw []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, raw...)
	return append(dst, '"')
}

// appendChat appends the usage object of the Chat API, with every detail that
// the live API has.
func (u *usage) appendChat(dst []byte) []byte {
	dst = append(dst, `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, u.input, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, u.output, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.total, 10)
	dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.cached, 10)
	dst = append(dst, `,"cache_write_tokens":`...)
	dst = strconv.AppendInt(dst, u.cacheWrites, 10)
	dst = append(dst, `,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.reasoning, 10)
	return append(dst, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}

// Kept is the reasoning that has to be kept for this reply's calls, or for its
// answer, so that it can be given back: see KeptReasoning. It is nil when there
// is none, and does not alias the turn.
func (t *ChatTurn) Kept() (kept []KeptReasoning) {
	if t.state < stateEnded || t.in.failure != nil {
		return nil
	}
	var before, run [][]byte
	spoken := false
	for i := range t.in.items[:t.in.count] {
		switch it := &t.in.items[i]; it.kind {
		case inReasoning:
			if item := replayable(it.json); item != nil {
				run = append(run, item)
			}
		case inMessage:
			before, run = append(before, run...), nil
			spoken = true
		case inFunction, inCustom:
			if it.out < 0 || len(before)+len(run) == 0 {
				continue
			}
			key := string(jsonx.AppendUnescaped(nil, it.callID))
			if t.opt.Request.Legacy {
				key = string(legacyKey(it.name, it.text))
			}
			kept = append(kept, KeptReasoning{Key: key, Call: callSum(it.name, it.text), BeforeMessage: before, BeforeCall: run})
			before, run = nil, nil
		}
	}
	if len(t.calls) == 0 && len(before) > 0 && spoken && len(t.content) > 0 {
		key := string(jsonx.AppendUnescaped(nil, t.content))
		kept = append(kept, KeptReasoning{Key: key, BeforeMessage: before})
	}
	return kept
}

// replayable is a reasoning item as it can be sent again, or nil for one that
// holds nothing which a backend could read. Its id is left out: it would be
// looked up among stored items.
func replayable(raw []byte) []byte {
	var d jsonx.Doc
	if d.Parse(raw, upstreamLimits) != nil || d.Kind(jsonx.Root) != jsonx.Object {
		return nil
	}
	encrypted, content := d.GetString(jsonx.Root, "encrypted_content"), d.Get(jsonx.Root, "content")
	sealed := encrypted != 0 && len(d.Str(encrypted)) > 0
	open := d.Kind(content) == jsonx.Array && d.Len(content) > 0
	if !sealed && !open {
		return nil
	}
	out := []byte(`{"type":"reasoning","summary":`)
	if s := d.Get(jsonx.Root, "summary"); d.Kind(s) == jsonx.Array {
		out = append(out, d.Raw(s)...)
	} else {
		out = append(out, "[]"...)
	}
	if open {
		out = append(out, `,"content":`...)
		out = append(out, d.Raw(content)...)
	}
	if sealed {
		out = append(out, `,"encrypted_content":`...)
		out = append(out, d.Raw(encrypted)...)
	}
	return append(out, '}')
}
