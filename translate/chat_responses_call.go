package translate

import (
	"antiphon/translate/jsonx"
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
	name, arguments := d.GetString(function, "name"), d.Get(function, "arguments")
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
	if len(it.upstreamID) == 0 {
		it.upstreamID = append(it.upstreamID, idText...)
	}
	if len(nameText) > 0 && it.state == itemPending && string(it.name) != string(nameText) {
		if !t.hold(len(nameText)) {
			return t.tooLarge(dst)
		}
		it.name = append(it.name, nameText...)
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
	if len(name) > 0 && it.state != itemIgnored && (hasArguments || string(it.name) != string(name)) &&
		len(it.text) > 0 && t.wholeArguments(it) {
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
		if it.kind == outCall && it.state == itemPending && len(it.name) > 0 {
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
	kind := jsonx.StringKind(0)
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
		if len(it.name) == 0 { // kept until the name comes
			it.text = append(it.text, raw...)
			if !t.hold(len(raw)) {
				return t.tooLarge(dst)
			}
			return dst
		}
		if dst = t.announce(dst, i); it.state != itemOpen {
			return dst
		}
	case itemDone:
		t.lose(ruleReplyLateArguments, "output["+string(appendInt(nil, it.index))+"].arguments", "")
		return dst
	}
	return t.argumentsDelta(dst, it, t.whole(it, raw, kind))
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
	it.name = append(it.name[:0], t.opt.Request.tools.original(it.name)...)
	if !t.opt.Request.permits(it.name) {
		it.state = itemIgnored
		t.lose(ruleReplyCallForbidden, "output["+string(appendInt(nil, len(t.order)))+"]", string(it.name))
		return dst
	}
	jsonx.MendSurrogates(it.name)
	it.callID = append(it.callID[:0], it.upstreamID...)
	jsonx.MendSurrogates(it.callID)
	if len(it.callID) == 0 || t.usedCallID(i) {
		path := "output[" + string(appendInt(nil, len(t.order))) + "].call_id"
		t.lose(ruleReplyCallID, path, string(it.callID))
		it.callID = t.opt.Seed.appendID(it.callID[:0], prefixCallID, firstOutput+len(t.order))
	}
	early := append([]byte(nil), it.text...)
	it.text = it.text[:0]
	dst = t.add(dst, i, prefixCall)
	it.head = itemPlace(it.head[:0], it)
	it.head = append(it.head, `,"delta":"`...)
	if len(early) > 0 {
		t.held -= len(early)
		dst = t.argumentsDelta(dst, it, t.whole(it, early, jsonx.HasSurrogate))
	}
	return dst
}

// usedCallID reports whether another call of this response has the same call_id.
func (t *Turn) usedCallID(i int) bool {
	for _, j := range t.order {
		if j != i && t.items[j].kind == outCall && string(t.items[j].callID) == string(t.items[i].callID) {
			return true
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
	if !t.events {
		return dst
	}
	dst = t.event(dst, evArgumentsDone)
	dst = itemPlace(dst, it)
	dst = append(dst, `,"arguments":"`...)
	dst = append(dst, it.text...)
	dst = append(dst, '"')
	return append(dst, eventEnd...)
}

// closeWholeCalls finishes the open calls whose arguments are complete: nothing
// can follow them. The others may still be going on next to each other.
func (t *Turn) closeWholeCalls(dst []byte) []byte {
	for _, i := range t.order {
		it := &t.items[i]
		if it.kind == outCall && it.state == itemOpen && len(it.text) > 0 && t.wholeArguments(it) {
			dst = t.close(dst, i, "completed")
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
	last := it.text[len(it.text)-1]
	if last != '}' && last != ' ' && last != 'n' { // an object, perhaps with \n after it
		return false
	}
	t.scratch = jsonx.AppendUnescaped(t.scratch[:0], it.text)
	return isWhole(&t.args, t.scratch)
}

// callsWhole reports whether no call has been cut off in its arguments.
func (t *Turn) callsWhole() bool {
	for i := range t.count {
		it := &t.items[i]
		if it.kind == outCall && (it.state == itemOpen || it.state == itemPending) &&
			len(it.text) > 0 && !t.wholeArguments(it) {
			return false
		}
	}
	return true
}
