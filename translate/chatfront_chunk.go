package translate

import (
	"bytes"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The methods of replySink: what a reply says becomes chunks.

func (t *ChatTurn) begun(dst []byte) []byte { return dst }

// opened announces a call. Messages and reasoning have no beginning in a chat
// stream; other items have no place in it.
func (t *ChatTurn) opened(dst []byte, i int) []byte {
	it := &t.in.items[i]
	it.out = -1
	switch it.kind {
	case inOther:
		t.lose(ruleChatReplyItem, "output["+string(appendInt(nil, i))+"]", itemTypeIn(it.json))
		return dst
	case inFunction, inCustom:
	default:
		return dst
	}
	if t.stopped {
		return dst
	}
	r := t.opt.Request
	path := "output[" + string(appendInt(nil, i)) + "]"
	switch {
	case it.kind == inCustom && !r.tools.custom, len(t.calls) == maxChatCalls:
		t.lose(ruleChatReplyCall, path, string(it.name))
		return dst
	case !r.tools.permits(&r.doc, it.name):
		t.lose(ruleChatReplyForbidden, path, string(it.name))
		return dst
	case len(t.calls) > 0 && (!r.ParallelCalls || r.Legacy):
		t.lose(ruleChatReplyParallel, path, string(it.name))
		return dst
	}
	dst = t.releaseHeld(dst)
	if t.stopped {
		return dst
	}
	if len(it.namespace) > 0 { // the Chat API has none: it becomes part of the name
		it.name = append(append(append([]byte(nil), it.namespace...), "__"...), it.name...)
		it.namespace = it.namespace[:0]
	}
	if len(it.callID) == 0 || t.usedCallID(it.callID) {
		t.lose(ruleChatReplyCallID, path+".call_id", string(it.callID))
		it.callID = t.opt.Seed.appendID(it.callID[:0], prefixCallID, firstOutput+i)
	}
	it.out = len(t.calls)
	t.calls = append(t.calls, i)
	if !t.events {
		return dst
	}
	dst = t.chunk(dst, true)
	switch {
	case r.Legacy:
		dst = append(dst, `"function_call":{"name":"`...)
		dst = append(dst, it.name...)
		dst = append(dst, `","arguments":""}`...)
	default:
		dst = append(dst, `"tool_calls":[`...)
		dst = appendChatCall(dst, it, it.out, nil)
		dst = append(dst, ']')
	}
	return t.endChunk(dst, nil, 0)
}

// appendChatCall appends an element of tool_calls with the text of its payload.
// index is left out when it is negative.
func appendChatCall(dst []byte, it *inItem, index int, payload []byte) []byte {
	dst = append(dst, '{')
	if index >= 0 {
		dst = append(dst, `"index":`...)
		dst = appendInt(dst, index)
		dst = append(dst, ',')
	}
	kind, key := "function", "arguments"
	if it.kind == inCustom {
		kind, key = "custom", "input"
	}
	dst = append(dst, `"id":"`...)
	dst = append(dst, it.callID...)
	dst = append(dst, `","type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","`...)
	dst = append(dst, kind...)
	dst = append(dst, `":{"name":"`...)
	dst = append(dst, it.name...)
	dst = append(dst, `","`...)
	dst = append(dst, key...)
	dst = append(dst, `":"`...)
	dst = append(dst, payload...)
	return append(dst, `"}}`...)
}

func itemTypeIn(raw []byte) string { return brief(jsonx.Lookup(raw, "type").String()) }

func (t *ChatTurn) usedCallID(id []byte) bool {
	for _, i := range t.calls {
		if bytes.Equal(t.in.items[i].callID, id) {
			return true
		}
	}
	return false
}

// called adds to a call.
func (t *ChatTurn) called(dst []byte, i int, raw []byte) []byte {
	it := &t.in.items[i]
	if it.out < 0 || !t.events || t.stopped {
		return dst
	}
	dst = append(dst, t.head...)
	switch {
	case t.opt.Request.Legacy:
		dst = append(dst, `"function_call":{"arguments":"`...)
		dst = append(dst, raw...)
		dst = append(dst, `"}`...)
	case it.kind == inCustom:
		dst = append(dst, `"tool_calls":[{"index":`...)
		dst = appendInt(dst, it.out)
		dst = append(dst, `,"custom":{"input":"`...)
		dst = append(dst, raw...)
		dst = append(dst, `"}}]`...)
	default:
		dst = append(dst, `"tool_calls":[{"index":`...)
		dst = appendInt(dst, it.out)
		dst = append(dst, `,"function":{"arguments":"`...)
		dst = append(dst, raw...)
		dst = append(dst, `"}}]`...)
	}
	return t.endChunk(dst, nil, len(raw))
}

// closed finishes an item. The arguments of a call may still come with the response as
// a whole, so calls end with it: see endCalls.
func (t *ChatTurn) closed(dst []byte, _ int) []byte { return dst }

// endCalls finishes the calls: a function that takes nothing is called with {}.
func (t *ChatTurn) endCalls(dst []byte) []byte {
	for _, i := range t.calls {
		it := &t.in.items[i]
		switch {
		case it.kind != inFunction || it.torn || t.in.cutShort != "":
		case len(it.text) == 0:
			it.text = append(it.text, "{}"...)
			dst = t.called(dst, i, it.text)
		case !validArguments(it.text):
			t.lose(ruleChatReplyArguments, "output["+string(appendInt(nil, i))+"].arguments", string(it.name))
		}
	}
	return dst
}

// contradicted lets what the backend says at the end count, where no chunk has told the
// client anything else.
func (t *ChatTurn) contradicted(i, part int, raw []byte) (ok bool) {
	it := &t.in.items[i]
	path := "output[" + string(appendInt(nil, i)) + "]"
	if part < 0 {
		if it.out < 0 || !t.events {
			return true
		}
		t.lose(ruleChatReplyContradiction, path, string(it.name))
		return false
	}
	p, here := &it.parts[part], textPlace{i + 1, part + 1}
	to, last := &t.content, t.lastText == here && len(t.stop.stops) == 0 && !t.muted
	switch {
	case it.kind != inReasoning && t.opt.FinalOnly && string(it.phase) == "commentary":
		return true
	case p.kind == refusalPart:
		to, last = &t.refusal, true
	case p.kind != textPart && p.kind != it.parts[0].kind && it.kind == inReasoning:
		return true
	case p.kind != textPart:
		to, last = &t.reasoning, t.lastThought == here
	}
	if t.events || !last || !bytes.HasSuffix(*to, p.text) {
		t.lose(ruleChatReplyContradiction, path, "")
		return false
	}
	*to = append((*to)[:len(*to)-len(p.text)], raw...)
	if to == &t.content {
		t.logprobs = t.logprobs[:0] // they are those of other words
	}
	return true
}

// passed leaves out what a chat stream has no place for: the item itself is reported.
func (t *ChatTurn) passed(dst []byte, _ int, _ *eventFields) []byte { return dst }

// said adds to a message or to reasoning.
func (t *ChatTurn) said(dst []byte, i, part int, raw, logprobs []byte) []byte {
	it := &t.in.items[i]
	p := &it.parts[part]
	if len(raw) == 0 && len(logprobs) == 0 || t.stopped {
		return dst
	}
	if it.kind == inReasoning || p.kind == thoughtPart {
		return t.thought(dst, i, part, raw)
	}
	if t.muted || t.opt.FinalOnly && string(it.phase) == "commentary" {
		return dst
	}
	here := textPlace{i + 1, part + 1}
	if p.kind == refusalPart {
		dst = t.releaseHeld(dst)
		t.refusal = append(t.refusal, raw...)
		if !t.events || t.stopped {
			return dst
		}
		dst = t.chunk(dst, false)
		dst = append(dst, `"refusal":"`...)
		dst = append(dst, raw...)
		dst = append(dst, '"')
		return t.endChunk(dst, nil, len(raw))
	}
	if t.lastText != here {
		if t.lastText.item != 0 && t.lastText.item != here.item && len(t.content)+len(t.stop.held) > 0 {
			// Two messages are two paragraphs. That is ours: no stop sequence.
			dst = t.emitText(t.releaseHeld(dst), []byte(`\n\n`), nil)
		}
		t.lastText = here
		p.base = len(t.content) + len(t.stop.held)
	}
	return t.text(dst, raw, logprobs)
}

// text adds to the content, up to a stop sequence.
func (t *ChatTurn) text(dst, raw, logprobs []byte) []byte {
	if len(t.stop.stops) > 0 {
		var hit bool
		raw, logprobs, hit = t.stop.feed(raw, logprobs)
		t.muted = hit
		t.stopped = hit && len(t.calls) == 0 // calls go on to their end
		if len(raw) == 0 && len(logprobs) == 0 {
			return dst
		}
	}
	return t.emitText(dst, raw, logprobs)
}

func (t *ChatTurn) emitText(dst, raw, logprobs []byte) []byte {
	t.content = append(t.content, raw...)
	if !t.opt.Request.Logprobs {
		logprobs = nil
	}
	if len(logprobs) > 0 {
		if len(t.logprobs) > 0 {
			t.logprobs = append(t.logprobs, ',')
		}
		t.logprobs = append(t.logprobs, logprobs...)
	}
	if !t.events || len(raw) == 0 && len(logprobs) == 0 {
		return dst
	}
	dst = t.chunk(dst, false)
	dst = append(dst, `"content":"`...)
	dst = append(dst, raw...)
	dst = append(dst, '"')
	return t.endChunk(dst, logprobs, len(raw))
}

// releaseHeld gives out text that was held back for a stop sequence that has not
// come.
func (t *ChatTurn) releaseHeld(dst []byte) []byte {
	raw, logprobs := t.stop.finish()
	if len(raw) == 0 && len(logprobs) == 0 {
		return dst
	}
	return t.emitText(dst, raw, logprobs)
}

// thought adds to the reasoning. Of an item that has both a summary and its
// text, the one that came first is given.
func (t *ChatTurn) thought(dst []byte, i, part int, raw []byte) []byte {
	it := &t.in.items[i]
	if it.kind == inReasoning && it.parts[part].kind != it.parts[0].kind {
		return dst
	}
	here := textPlace{i + 1, part + 1}
	gap := t.lastThought != here && len(t.reasoning) > 0
	t.lastThought = here
	if gap {
		t.reasoning = append(t.reasoning, `\n\n`...)
	}
	t.reasoning = append(t.reasoning, raw...)
	if !t.events || !t.opt.Reasoning {
		return dst
	}
	dst = t.chunk(dst, false)
	dst = append(dst, `"reasoning_content":"`...)
	if gap {
		dst = append(dst, `\n\n`...)
	}
	dst = append(dst, raw...)
	dst = append(dst, '"')
	return t.endChunk(dst, nil, len(raw))
}

// noted gives an annotation, with its places counted in the whole content.
func (t *ChatTurn) noted(dst []byte, i, part int, d *jsonx.Doc, n uint32) []byte {
	it := &t.in.items[i]
	if t.muted || t.opt.FinalOnly && string(it.phase) == "commentary" {
		return dst
	}
	if !d.Is(d.Get(n, "type"), "url_citation") {
		t.lose(ruleChatReplyAnnotation, "output["+string(appendInt(nil, i))+"]", brief(d.Text(d.GetString(n, "type"))))
		return dst
	}
	shift := 0
	if p := &it.parts[part]; p.base > 0 && p.base <= len(t.content) {
		shift = utf8.RuneCount(jsonx.AppendUnescaped(nil, t.content[:p.base]))
	}
	if t.notes++; len(t.annotations) > 0 {
		t.annotations = append(t.annotations, ',')
	}
	from := len(t.annotations)
	t.annotations = append(t.annotations, `{"type":"url_citation","url_citation":{"start_index":`...)
	t.annotations = appendInt(t.annotations, int(firstCount(d, n, "start_index"))+shift)
	t.annotations = append(t.annotations, `,"end_index":`...)
	t.annotations = appendInt(t.annotations, int(firstCount(d, n, "end_index"))+shift)
	for _, key := range []string{"url", "title"} {
		t.annotations = append(t.annotations, ',', '"')
		t.annotations = append(t.annotations, key...)
		t.annotations = append(t.annotations, `":`...)
		if v := d.GetString(n, key); v != 0 && d.StrKind(v)&jsonx.HasSurrogate == 0 {
			t.annotations = append(t.annotations, d.Raw(v)...)
		} else {
			t.annotations = append(t.annotations, `""`...)
		}
	}
	t.annotations = append(t.annotations, "}}"...)
	if !t.events {
		return dst
	}
	dst = t.chunk(dst, false)
	dst = append(dst, `"annotations":[`...)
	dst = append(dst, t.annotations[from:]...)
	dst = append(dst, ']')
	return t.endChunk(dst, nil, 0)
}
