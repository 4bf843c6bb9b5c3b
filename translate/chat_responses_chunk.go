package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// upstreamLimits bound the JSON of one chunk of an upstream.
var upstreamLimits = jsonx.Limits{Depth: 64, Values: 1_000_000}

// choiceFields are the members of a choice's delta or message.
type choiceFields struct {
	content, refusal, toolCalls, functionCall uint32
	reasoningContent, reasoning, thinking     uint32
	reasoningDetails                          uint32
	annotations, audio, images                uint32
}

// feedChunk takes in any chunk, or a whole chat.completion.
func (t *Turn) feedChunk(dst, data []byte) []byte {
	t.shape.clear()
	t.chunks++
	d := &t.doc
	if err := d.Parse(data, upstreamLimits); err != nil {
		data = withoutField(data)
		if isKeepAlive(data) {
			return dst
		}
		if !t.parseFlawed(data, err) {
			return t.Abort(dst, malformed(data))
		}
	}
	switch d.Kind(jsonx.Root) {
	case jsonx.Object:
		return t.feedObject(dst, jsonx.Root)
	case jsonx.Array:
		return t.feedList(dst)
	case jsonx.String:
		if !isKeepAlive(d.Str(jsonx.Root)) {
			return t.Abort(dst, UpstreamError(0, data))
		}
	}
	return dst // null says nothing
}

// feedObject takes in the chunk or completion at root.
func (t *Turn) feedObject(dst []byte, root uint32) []byte {
	d := &t.doc
	if inner, packed := envelope(d, root); packed != nil {
		return t.feedPacked(dst, packed)
	} else if inner != 0 {
		root = inner
	}
	var choices, usageNode, tier, model, fingerprint uint32
	odd := false // something that only an error has
	for k, end := d.First(root), d.End(root); k < end; k = d.Next(k + 1) {
		v := k + 1
		switch string(d.Str(k)) {
		case "choices":
			choices = v
		case "usage", "usage_metadata", "usageMetadata", "token_usage":
			if d.Kind(v) == jsonx.Object {
				usageNode = v
			}
		case "prompt_eval_count": // Ollama's own, beside the choices
			if usageNode == 0 {
				usageNode = root
			}
		case "service_tier":
			tier = v
		case "model":
			model = v
		case "system_fingerprint":
			fingerprint = v
		case "error":
			if isFault(d, v) {
				return t.Abort(dst, upstreamErrorAt(d, root, 0))
			}
		case "base_resp":
			if code, ok := d.Int(d.Get(v, "status_code")); ok && code != 0 {
				return t.Abort(dst, upstreamErrorAt(d, root, 0))
			}
		case "x_groq":
			if isFault(d, d.Get(v, "error")) {
				return t.Abort(dst, upstreamErrorAt(d, v, 0))
			}
			if usageNode == 0 {
				usageNode = d.Get(v, "usage")
			}
		case "id", "object", "created", "provider":
		default:
			odd = oddMember(d, k) || odd
			t.takeSources(d, k)
		}
	}
	if !d.Present(choices) && usageNode == 0 {
		if odd {
			return t.Abort(dst, upstreamErrorAt(d, root, 0))
		}
		return dst // a sign of life
	}
	if d.Kind(model) == jsonx.String && len(t.upModel) == 0 {
		t.upModel = append(t.upModel, d.Str(model)...)
	}
	if d.Kind(fingerprint) == jsonx.String && len(t.fingerprint) == 0 {
		t.fingerprint = append(t.fingerprint, d.Str(fingerprint)...)
	}
	if tierKnown(d, tier) {
		t.tier = append(t.tier[:0], d.Str(tier)...)
	}
	first := d.Kind(choices) == jsonx.Array
	if first {
		if dst, usageNode = t.choicesOf(dst, d, choices, usageNode); t.state >= stateEnded {
			return dst
		}
	}
	if d.Kind(usageNode) == jsonx.Object && t.usage.read(d, usageNode) {
		t.counted = t.finished
	}
	return t.maybeEnd(dst, d.Kind(choices) != jsonx.Array || d.Len(choices) == 0)
}

func tierKnown(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) != jsonx.String {
		return false
	}
	switch string(d.Str(n)) {
	case "default", "flex", "scale", "priority", "auto":
		return true
	}
	return false
}

// choice takes in one choice of a chunk or completion.
func (t *Turn) choice(dst []byte, d *jsonx.Doc, c uint32) []byte {
	if d.Kind(c) != jsonx.Object {
		return dst
	}
	t.chose = true
	var delta, message, finish, logprobs, calls, legacy, text uint32
	for k, end := d.First(c), d.End(c); k < end; k = d.Next(k + 1) {
		v := k + 1
		switch string(d.Str(k)) {
		case "delta":
			delta = v
		case "message":
			message = v
		case "finish_reason":
			finish = v
		case "logprobs":
			logprobs = v
		case "tool_calls":
			calls = v
		case "function_call":
			legacy = v
		case "text":
			text = v
		}
	}
	t.heard = false
	dst = t.utterance(dst, d, delta, message, finish, logprobs)
	if calls|legacy|text != 0 && t.state < stateEnded {
		dst = t.besideDelta(dst, d, calls, legacy, text, delta|message != 0)
	}
	if t.state >= stateEnded || t.alternative() {
		return dst
	}
	if fault := choiceFault(d, c, delta, message); fault != 0 {
		t.finished = false
		return t.Abort(dst, upstreamErrorAt(d, fault, 0))
	}
	if d.Kind(finish) != jsonx.String {
		finish = d.GetString(c, "stop_reason") // where there is no finish_reason
	}
	if d.Kind(finish) == jsonx.String {
		return t.sayFinish(dst, d.Str(finish))
	}
	t.sayFinish(dst, nil)
	return dst
}

// delta1 takes in a delta or message, in the order in which its parts belong:
// reasoning, text, refusal, calls.
func (t *Turn) delta1(dst []byte, d *jsonx.Doc, n, logprobs uint32) []byte {
	var f choiceFields
	busy := 0 // members that say something
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v := k + 1
		if d.Kind(v) == jsonx.Null {
			continue
		}
		switch string(d.Str(k)) {
		case "role":
			continue
		case "content":
			f.content = v
		case "refusal":
			f.refusal = v
		case "tool_calls":
			f.toolCalls = v
		case "function_call":
			f.functionCall = v
		case "reasoning_content":
			f.reasoningContent = v
		case "reasoning":
			f.reasoning = v
		case "thinking", "reasoning_text", "thoughts":
			if f.thinking == 0 {
				f.thinking = v
			}
		case "reasoning_opaque":
			t.lose(ruleReplyReasoningData, "output", "reasoning_opaque")
			continue
		case "reasoning_details":
			f.reasoningDetails = v
		case "annotations":
			f.annotations = v
		case "audio":
			f.audio = v
		case "images":
			f.images = v
		case "image":
			if f.images == 0 && d.Present(v) && !emptyString(d, v) {
				f.images = v
			}
		default:
			if !t.takeSources(d, k) {
				continue
			}
		}
		if !emptyString(d, v) && !emptyArray(d, v) {
			busy++
		}
	}
	t.heard = t.heard || busy > 0
	if t.ofOneAnswer(d, &f) {
		busy = 0
	}
	if f.reasoningContent|f.reasoning|f.thinking|f.reasoningDetails != 0 {
		dst = t.reasoning(dst, d, &f)
	}
	if f.content != 0 {
		dst = t.content(dst, d, f.content, logprobs)
	}
	if d.Kind(f.refusal) == jsonx.String {
		dst = t.refusal(dst, d.Str(f.refusal), d.StrKind(f.refusal))
	}
	if d.Kind(f.annotations) == jsonx.Array {
		for v, end := d.First(f.annotations), d.End(f.annotations); v < end; v = d.Next(v) {
			dst = t.annotation(dst, d, v)
		}
	}
	if f.images != 0 {
		dst = t.images(dst, d, f.images)
	}
	if f.toolCalls|f.functionCall != 0 {
		dst = t.callsOf(dst, d, f.toolCalls, f.functionCall)
	}
	if f.audio != 0 {
		t.lose(ruleReplyAudio, "output", "")
	}
	if busy == 1 && t.state < stateEnded {
		t.learn(d, &f)
	}
	return dst
}

// taggedText takes in text that may have <think> tags in it. The tokens of
// reasoning have no place in the API, so only those of plain text are given.
func (t *Turn) taggedText(dst, raw []byte, kind jsonx.StringKind, logprobs []byte) []byte {
	if t.think.state == thinkOff {
		return t.text(dst, raw, kind, logprobs)
	}
	if len(raw) == 0 {
		return dst
	}
	t.tagKind |= kind
	before := t.think.state
	thought, text := t.think.split(raw)
	switch {
	case before == thinkProbe && !t.think.tagged:
		if len(t.tokens) > 0 && len(logprobs) > 0 {
			t.tokens = append(t.tokens, ',')
		}
		t.tokens = append(t.tokens, logprobs...)
		if t.think.state == thinkProbe { // it waits for the rest of a tag
			return dst
		}
		logprobs = t.tokens
	case before != thinkAfter && before != thinkWatch:
		logprobs = nil
	}
	t.tokens = t.tokens[:0]
	if len(thought) > 0 {
		dst = t.thought(dst, thought, t.tagKind)
	}
	if len(text) > 0 {
		dst = t.text(dst, text, t.tagKind, logprobs)
	}
	if t.think.again() && t.state < stateEnded {
		return t.taggedMore(dst)
	}
	return dst
}

// taggedMore takes in another block of reasoning that has begun within the piece that
// was taken in.
func (t *Turn) taggedMore(dst []byte) []byte {
	for t.think.again() && t.state < stateEnded {
		thought, text := t.think.split(nil)
		if len(thought) > 0 {
			dst = t.thought(dst, thought, t.tagKind)
		}
		if len(text) > 0 {
			dst = t.text(dst, text, t.tagKind, nil)
		}
	}
	return dst
}

// flushTags gives up waiting for a tag.
func (t *Turn) flushTags(dst []byte) []byte {
	thought, text := t.think.finish()
	if len(thought) > 0 {
		return t.thought(dst, thought, t.tagKind)
	}
	if len(text) == 0 {
		return dst
	}
	tokens := t.tokens
	t.tokens = t.tokens[:0]
	return t.text(dst, text, t.tagKind, tokens)
}

// end settles a turn that the backend has ended: it closes every item.
func (t *Turn) end(dst []byte) []byte {
	dst = t.endMarkup(t.flushTags(t.flushChannels(dst)))
	if t.state >= stateEnded {
		return dst
	}
	for i := range t.count {
		it := &t.items[i]
		if it.kind != outCall || it.state != itemPending {
			continue
		}
		if len(it.said) == 0 {
			it.state = itemIgnored
			t.lose(ruleReplyCallName, "output["+string(appendInt(nil, len(t.order)))+"]", "")
			continue
		}
		if dst = t.announce(dst, i); t.state >= stateEnded {
			return dst
		}
	}
	switch {
	case t.finish == finishContext && len(t.order) == t.leading() && t.holding == 0:
		t.finished = false
		return t.Abort(dst, contextFull())
	case t.finish == finishLength, t.finish == finishContext:
		t.cutShort = "max_output_tokens"
	case t.finish == finishFilter:
		t.cutShort = "content_filter"
	}
	if t.cutShort == "" && t.cutCall() {
		t.cutShort = "max_output_tokens"
	}
	if t.finish == finishStop && len(t.order) == t.leading() && t.holding == 0 && !t.compacts {
		dst = t.message(dst, textPart) // an empty answer is an answer
	}
	for n, i := range t.order {
		it := &t.items[i]
		status := "completed"
		if t.cutShort != "" {
			last := n == len(t.order)-1 && t.holding == 0 && t.finish != finishStop
			if last || t.torn(it) {
				status = "incomplete"
			}
		}
		dst = t.close(dst, i, status)
	}
	if t.holding > 0 {
		dst = t.endHeld(dst)
	}
	switch {
	case t.holding == 0:
		return t.settled(dst)
	case t.cutShort != "":
		return t.giveRejected(dst)
	}
	t.advance(stateRepairing)
	return dst
}

// settled ends the turn, once all of its items are closed.
func (t *Turn) settled(dst []byte) []byte {
	dst = t.closeDetails(dst)
	t.advance(stateEnded)
	t.reportLeft()
	t.checkHonoured()
	return dst
}
