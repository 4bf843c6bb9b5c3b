package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Tool calls come in fragments that servers number in many ways (PEERS §4.1):
// the index may be missing, always 0, or used again; the id may come once, in
// every fragment, late, or never; the name may be repeated, or come in pieces.
// Fragments are told apart by id and index and by what they hold, and a call is
// announced when its name is known: with its first arguments, or at its end.

// call takes in one element of tool_calls, or a legacy function_call.
func (t *Turn) call(dst []byte, d *jsonx.Doc, n uint32, legacy bool) []byte {
	if d.Kind(n) != jsonx.Object || t.state >= stateEnded {
		return dst
	}
	var id, function, index uint32
	if legacy {
		function = n
	} else {
		id, function, index = d.GetString(n, "id"), d.Get(n, "function"), d.Get(n, "index")
	}
	arguments, native := d.Get(function, "arguments"), false
	if custom := d.Get(n, "custom"); function == 0 && !legacy && d.Kind(custom) == jsonx.Object {
		function, arguments, native = custom, d.Get(custom, "input"), true
	}
	name := d.GetString(function, "name")
	position := -1
	if v, ok := d.Int(index); ok && v >= 0 && v < maxItems {
		position = int(v)
	}
	var idText, nameText []byte
	if id != 0 {
		idText = d.Str(id)
	}
	if name != 0 {
		nameText = d.Str(name)
	}
	if len(t.opt.Dialect.Tools.CallExtras) > 0 {
		if dst = t.callExtras(dst, d, n, idText); t.state >= stateEnded {
			return dst
		}
	}
	i := t.callFor(position, idText, nameText, d.Present(arguments) && !emptyString(d, arguments))
	if i < 0 {
		if dst, i = t.newCall(dst, position, idText); i < 0 {
			return dst
		}
	}
	it := &t.items[i]
	if it.state == itemIgnored {
		return dst
	}
	it.native = it.native || native
	if len(it.upstreamID) == 0 {
		it.upstreamID = append(it.upstreamID, idText...)
	}
	if len(nameText) > 0 && it.state == itemPending && string(it.said) != string(nameText) {
		if !t.hold(len(nameText)) {
			return t.tooLarge(dst)
		}
		it.said = append(it.said, nameText...)
	}
	return t.arguments(dst, i, d, arguments)
}

func emptyString(d *jsonx.Doc, n uint32) bool {
	return d.Kind(n) == jsonx.String && len(d.Str(n)) == 0
}

func emptyArray(d *jsonx.Doc, n uint32) bool {
	return d.Kind(n) == jsonx.Array && d.End(n) == n+1
}

// callFor finds the call that a fragment belongs to, or returns -1 for a new one.
func (t *Turn) callFor(position int, id, name []byte, hasArguments bool) int {
	last := -1 // the last call, or the last one at this position
	for i := t.count - 1; i >= 0; i-- {
		it := &t.items[i]
		if it.kind != outCall {
			continue
		}
		here := position < 0 || it.position < 0 || it.position == position
		if len(id) > 0 && here && string(it.upstreamID) == string(id) {
			return i
		}
		if last < 0 && here {
			last = i
		}
	}
	if last < 0 {
		return -1
	}
	it := &t.items[last]
	if len(id) > 0 {
		// Another id is another call, unless this one has only waited for its own.
		if len(it.upstreamID) > 0 || len(name) > 0 && it.state != itemPending {
			return -1
		}
		return last
	}
	// Without an id: a name after complete arguments begins another call, but
	// for a server that repeats the name in a last, empty fragment.
	if len(name) > 0 && it.state != itemIgnored && (hasArguments || string(it.said) != string(name)) && t.wholeArguments(it) {
		return -1
	}
	return last
}

// newCall begins a call. Those before it whose arguments are complete are over.
func (t *Turn) newCall(dst []byte, position int, id []byte) ([]byte, int) {
	if dst = t.flushTags(dst); t.state >= stateEnded {
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
	it.position = position
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
		if len(it.said) == 0 { // kept until the name comes
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
	if t.opt.Dialect.Tools.RepairArguments && it.form == formFunction && it.state == itemOpen && len(it.text) == 0 {
		raw = t.mendedArguments(it, raw)
	}
	return t.callDelta(dst, it, t.whole(it, raw, kind))
}

// callDelta adds to what is announced or held of a call. raw is the inside of a
// JSON string that stands on its own.
func (t *Turn) callDelta(dst []byte, it *outItem, raw []byte) []byte {
	switch {
	case it.form == formFunction && it.state != itemHeld:
		return t.argumentsDelta(dst, it, raw)
	case it.form == formCustom:
		return t.customDelta(dst, it, raw)
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	it.text = append(it.text, raw...)
	return dst
}

func (t *Turn) argumentsDelta(dst []byte, it *outItem, raw []byte) []byte {
	if len(raw) == 0 {
		return dst
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	return t.emitArguments(dst, it, raw)
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
	if !s.simple || s.isAllowed {
		tool, exact := s.called(it.name)
		if !s.permits(tool) {
			return false
		}
		if tool != nil && (!it.native || tool.form == formCustom) {
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
	} else if s.choice == choiceNone {
		return false
	}
	jsonx.MendSurrogates(it.name)
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
		it.half = it.half[:0]
		dst = t.emitArguments(dst, it, []byte(`\ufffd`))
	}
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
	if len(it.half) > 0 {
		return false
	}
	if it.form == formCustom {
		return !it.native && it.input.state == inputOver
	}
	if len(it.text) == 0 {
		return false
	}
	last := it.text[len(it.text)-1]
	if last != '}' && last != ' ' && last != 'n' { // an object, perhaps with \n after it
		return false
	}
	t.scratch = jsonx.AppendUnescaped(t.scratch[:0], it.text)
	return isWhole(&t.args, t.scratch)
}

// torn reports whether a call that is going on has been cut off, as far as can be
// told: free text may end anywhere.
func (t *Turn) torn(it *outItem) bool {
	switch {
	case it.kind != outCall || it.state != itemOpen && it.state != itemPending && it.state != itemHeld:
		return false
	case it.form == formCustom:
		return !it.native && it.input.state != inputStart && !it.input.whole()
	}
	return len(it.text) > 0 && !t.wholeArguments(it)
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
