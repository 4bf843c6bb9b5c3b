package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Tool calls come in fragments that servers number in many ways (docs/ARCHITECTURE.md):
// the index may be missing, always 0, or used again; the id may come once, in every
// fragment, late, or never; the name may be repeated, or come in pieces. Which call a
// fragment belongs to is told in chat_responses_fragment.go. A call is announced when
// its name is known: with its first arguments, or at its end.

// call takes in one element of tool_calls, or a legacy function_call.
func (t *Turn) call(dst []byte, d *jsonx.Doc, n uint32, legacy bool) []byte {
	if d.Kind(n) != jsonx.Object || t.state >= stateEnded {
		return dst
	}
	f := t.readFragment(d, n, legacy)
	if len(t.opt.Dialect.Tools.CallExtras) > 0 {
		if dst = t.callExtras(dst, d, n, f.id); t.state >= stateEnded {
			return dst
		}
	}
	i := t.callFor(&f)
	if i < 0 {
		if dst = t.markupBeforeCall(dst, f.name); t.state >= stateEnded {
			return dst
		}
		if dst, i = t.newCall(dst, f.position, f.id); i < 0 {
			return dst
		}
	}
	it := &t.items[i]
	if it.state == itemIgnored {
		return dst
	}
	it.native = it.native || f.native
	if len(it.upstreamID) == 0 {
		it.upstreamID = append(it.upstreamID, f.id...)
	}
	if len(f.name) > 0 && it.state == itemPending {
		if !t.hold(len(f.name)) {
			return t.tooLarge(dst)
		}
		t.opt.Request.tools.addName(it, f.name)
	}
	return t.arguments(dst, i, d, f.arguments)
}

func emptyString(d *jsonx.Doc, n uint32) bool {
	return d.Kind(n) == jsonx.String && len(d.Str(n)) == 0
}

func emptyArray(d *jsonx.Doc, n uint32) bool {
	return d.Kind(n) == jsonx.Array && d.End(n) == n+1
}

// newCall begins a call. Those before it whose arguments are complete are over.
func (t *Turn) newCall(dst []byte, position int, id []byte) ([]byte, int) {
	if dst = t.releaseMarkup(t.flushTags(t.flushChannels(dst))); t.state >= stateEnded {
		return dst, -1
	}
	if t.cur >= 0 {
		dst = t.close(dst, t.cur, "completed")
	}
	calls := 0
	for i := range t.count {
		it := &t.items[i]
		// Its name is complete now, so it can be announced, and keeps its place.
		if it.kind == outCall && it.state == itemPending && len(it.said) > 0 {
			if dst = t.announce(dst, i); t.state >= stateEnded {
				return dst, -1
			}
		}
		if it.kind == outCall && it.state != itemIgnored {
			calls++
		}
	}
	dst = t.closeWholeCalls(dst)
	i := t.newItem(outCall)
	if i < 0 {
		return t.tooLarge(dst), -1
	}
	it := &t.items[i]
	it.position, it.chunk, it.choice = position, t.chunks, t.choiceAt
	it.upstreamID = append(it.upstreamID, id...)
	if calls > 0 && !t.opt.Request.ParallelCalls {
		it.state = itemIgnored
		t.lose(ruleReplyCallDropped, "output["+string(appendInt(nil, len(t.order)))+"]", "")
	}
	return dst, i
}

// arguments takes in a fragment of a call's arguments.
func (t *Turn) arguments(dst []byte, i int, d *jsonx.Doc, n uint32) []byte {
	if !d.Present(n) {
		return dst
	}
	var raw []byte
	var kind jsonx.StringKind
	if d.Kind(n) == jsonx.String {
		raw, kind = d.Str(n), d.StrKind(n)
	} else { // an object, where the API wants a string that holds one
		t.lose(ruleReplyArgumentsObject, "output["+string(appendInt(nil, len(t.order)))+"].arguments", "")
		raw = jsonx.AppendEscaped(nil, jsonx.AppendCompact(nil, d.Raw(n)))
		kind = jsonx.HasEscape | d.StrKind(n)
	}
	if len(raw) == 0 {
		return dst
	}
	it := &t.items[i]
	switch it.state {
	case itemPending:
		if len(it.said) == 0 || t.opt.Request.tools.begins(it.said) { // kept until the name comes
			it.text = append(it.text, raw...)
			if !t.hold(len(raw)) {
				return t.tooLarge(dst)
			}
			return dst
		}
		if dst = t.announce(dst, i); it.state != itemOpen && it.state != itemHeld {
			return dst
		}
	case itemDone:
		t.lose(ruleReplyLateArguments, "output["+string(appendInt(nil, it.index))+"].arguments", "")
		return dst
	}
	return t.callDelta(dst, it, t.whole(it, raw, kind))
}

// callDelta adds to what is announced or held of a call. raw is the inside of a
// JSON string that stands on its own.
func (t *Turn) callDelta(dst []byte, it *outItem, raw []byte) []byte {
	switch {
	case it.form == formCustom:
		return t.customDelta(dst, it, raw)
	case t.given:
		return t.argumentsDelta(dst, it, raw)
	}
	return t.takeArguments(dst, it, raw)
}

func (t *Turn) argumentsDelta(dst []byte, it *outItem, raw []byte) []byte {
	if len(raw) == 0 {
		return dst
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	return t.giveArguments(dst, it, raw)
}

// emitArguments is argumentsDelta without a look at the bound.
func (t *Turn) emitArguments(dst []byte, it *outItem, raw []byte) []byte {
	it.text = append(it.text, raw...)
	it.pieces++
	if !t.events {
		return dst
	}
	dst = t.event(dst, evArgumentsDelta)
	dst = append(dst, it.head...)
	dst = append(dst, raw...)
	dst = append(dst, '"')
	if t.opt.Obfuscate {
		dst = t.obfuscate(dst, len(raw))
	}
	return append(dst, eventEnd...)
}

// announce opens a call whose name is known: from now on its id and name are
// settled. What came of its arguments before is the first delta.
func (t *Turn) announce(dst []byte, i int) []byte {
	it := &t.items[i]
	it.name = append(it.name[:0], it.said...)
	if !t.identify(it) {
		it.state = itemIgnored
		if t.opt.Request.tools.choice == choiceNone {
			t.noticed |= noticedNone
		}
		t.lose(ruleReplyCallForbidden, outputPath(len(t.order)), string(it.name))
		return dst
	}
	it.callID = append(it.callID[:0], it.upstreamID...)
	jsonx.MendSurrogates(it.callID)
	if len(it.callID) == 0 || t.usedCallID(i) {
		t.lose(ruleReplyCallID, outputPath(len(t.order))+".call_id", string(it.callID))
		it.callID = t.opt.Seed.appendID(it.callID[:0], prefixCallID, firstOutput+i)
	}
	it.patch = it.form == formCustom && it.takesPatches()
	early := append([]byte(nil), it.text...)
	it.text = it.text[:0]
	if it.builtin() || t.holdsInput(it) || t.holdsArguments(it) {
		it.state = itemHeld
		t.holding++
	} else {
		dst = t.add(dst, i, formPrefixes[it.form])
		it.head = itemPlace(it.head[:0], it)
		it.head = append(it.head, `,"delta":"`...)
	}
	if len(early) > 0 {
		t.held -= len(early)
		dst = t.callDelta(dst, it, t.whole(it, early, jsonx.HasSurrogate))
	}
	return dst
}

// identify finds the tool that a call names: what the item is, and what the
// client calls the tool. It reports whether the model may call it.
func (t *Turn) identify(it *outItem) bool {
	s := &t.opt.Request.tools
	if it.native {
		it.form = formCustom
	}
	tool, exact := s.called(it.name)
	if !s.permits(tool) {
		return false
	}
	if tool == nil || it.native && tool.form != formCustom {
		jsonx.MendSurrogates(it.name)
		return true
	}
	if exact && s.simple { // it has the name, and is a function
		return true
	}
	if !exact {
		t.lose(ruleReplyCallRenamed, outputPath(len(t.order))+".name", string(it.name))
	}
	it.form, it.tool = tool.form, tool
	if tool.name != 0 {
		it.name = append(it.name[:0], tool.doc.Str(tool.name)...)
	}
	if n := tool.spaceName(); n != 0 {
		it.space = append(it.space[:0], tool.doc.Str(n)...)
	}
	return true
}

// usedCallID reports whether another call of this response has the same call_id.
func (t *Turn) usedCallID(i int) bool {
	for _, j := range t.order {
		if j != i && t.items[j].kind == outCall && string(t.items[j].callID) == string(t.items[i].callID) {
			return true
		}
	}
	if t.holding > 0 {
		for j := range t.count {
			if j != i && t.items[j].state == itemHeld && string(t.items[j].callID) == string(t.items[i].callID) {
				return true
			}
		}
	}
	return false
}

// closeArguments finishes the arguments of a call that is about to be done.
func (t *Turn) closeArguments(dst []byte, it *outItem, status string) []byte {
	if len(it.half) > 0 { // the other half never came
		dst = t.endHalf(dst, it)
	}
	dst = t.settleArguments(dst, it, status)
	if len(it.text) == 0 && status == "completed" { // a function without parameters
		dst = t.emitArguments(dst, it, []byte("{}"))
	}
	if status == "completed" {
		t.checkArguments(it)
	}
	if !t.events {
		return dst
	}
	dst = t.event(dst, evArgumentsDone)
	dst = itemPlace(dst, it)
	dst = append(dst, `,"name":"`...)
	dst = append(dst, it.name...)
	dst = append(dst, `","arguments":"`...)
	dst = append(dst, it.text...)
	dst = append(dst, '"')
	return append(dst, eventEnd...)
}

// closeWholeCalls finishes the open calls whose arguments are complete: nothing
// can follow them. The others may still be going on next to each other.
func (t *Turn) closeWholeCalls(dst []byte) []byte {
	for _, i := range t.order {
		it := &t.items[i]
		if it.kind == outCall && it.state == itemOpen && t.wholeArguments(it) {
			dst = t.close(dst, i, "completed")
		}
	}
	if t.holding == 0 {
		return dst
	}
	for i := range t.count {
		if it := &t.items[i]; it.state == itemHeld && it.reason == "" && t.wholeArguments(it) {
			dst = t.closeHeld(dst, i, "completed")
		}
	}
	return dst
}

// wholeArguments reports whether a call's arguments are a complete JSON value.
// It is asked where a call may end, not for every fragment.
func (t *Turn) wholeArguments(it *outItem) bool {
	switch {
	case len(it.half) > 0:
		return false
	case it.form == formCustom:
		return !it.native && it.input.state == inputOver
	case it.state == itemPending || t.given: // they wait for the name, or are nobody's pieces
		if len(it.text) == 0 {
			return false
		}
		t.scratch = jsonx.AppendUnescaped(t.scratch[:0], it.text)
		return isWhole(&t.args, t.scratch)
	}
	return it.args.whole()
}

// torn reports whether a call that is going on has been cut off, as far as can be
// told: free text may end anywhere.
func (t *Turn) torn(it *outItem) bool {
	switch {
	case it.kind != outCall || it.state != itemOpen && it.state != itemPending && it.state != itemHeld:
		return false
	case it.form == formCustom:
		return !it.native && it.input.state != inputStart && !it.input.whole()
	case it.state == itemPending:
		return len(it.text) > 0 && !t.wholeArguments(it) || len(it.text) == 0 && t.needsArguments(it)
	}
	return it.args.torn() || len(it.half) > 0 || it.args.none() && t.needsArguments(it)
}

// cutCall reports whether a call has been cut off in its arguments, though the backend
// has said that it was done: no client must run it.
func (t *Turn) cutCall() bool {
	for i := range t.count {
		it := &t.items[i]
		if it.kind != outCall || it.state != itemOpen && it.state != itemHeld {
			continue
		}
		cut := it.args.torn()
		if it.form == formCustom {
			cut = !it.native && it.input.state == inputText
		}
		if cut {
			t.lose(ruleReplyTornCall, outputPath(i), string(it.said))
			return true
		}
	}
	return false
}

// callsWhole reports whether no call has been cut off in its arguments.
func (t *Turn) callsWhole() bool {
	for i := range t.count {
		if t.torn(&t.items[i]) {
			return false
		}
	}
	return true
}
