package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The Responses API has no n: a backend is asked for one answer. Some give it in
// several choices all the same, the text in one and the calls in others (Copilot), with
// indexes or without: they are put together. Where two choices have a text each, they
// are alternatives, and the one that spoke first is the answer.

// maxSplit bounds the choices that are told apart.
const maxSplit = 64

// choicesOf takes in the choices of a chunk or completion, the first one before the
// others. usageNode is the chunk's usage, or 0 where only a choice may have one.
func (t *Turn) choicesOf(dst []byte, d *jsonx.Doc, choices, usageNode uint32) (out []byte, usage uint32) {
	t.before = t.count
	others := false
	for pass := range 2 {
		at, had := -1, false // a choice 0
		for c, end := d.First(choices), d.End(choices); c < end; c = d.Next(c) {
			at++
			t.choiceAt = callPosition(d, d.Get(c, "index"))
			if t.choiceAt < 0 || t.choiceAt == 0 && had { // each entry of a list is a choice of its own
				t.choiceAt = at
			}
			had = had || t.choiceAt == 0
			if t.choiceAt >= maxSplit {
				t.lose(ruleReplyChoices, "output", "")
				continue
			}
			if first := t.choiceAt == 0; first != (pass == 0) {
				others = others || !first
				continue
			}
			dst = t.choice(dst, d, c)
			t.several = t.several || t.choiceAt > 0
			t.toCall = t.toCall || calledTools(d, c) && !t.alternative()
			if usageNode == 0 {
				usageNode = d.Get(c, "usage")
			}
			if t.state >= stateEnded {
				return dst, usageNode
			}
		}
		if !others {
			break
		}
	}
	t.choiceAt = 0
	if t.several && t.toCall && t.finished { // of the words of several choices the one about calls counts
		t.finish = finishStop
	}
	return dst, usageNode
}

// calledTools reports whether a choice says that it has stopped to call tools.
func calledTools(d *jsonx.Doc, c uint32) bool {
	finish := d.Get(c, "finish_reason")
	return d.Is(finish, "tool_calls") || d.Is(finish, "function_call")
}

// alternative reports whether the choice at hand is another answer than the one that is
// given.
func (t *Turn) alternative() bool { return t.others>>t.choiceAt&1 == 1 }

// ofOneAnswer keeps of a delta or message what belongs to the answer: it clears what
// does not. It reports whether anything was left out.
func (t *Turn) ofOneAnswer(d *jsonx.Doc, f *choiceFields) (less bool) {
	says := hasText(d, f.content) || hasText(d, f.refusal)
	thinks := hasText(d, f.reasoningContent) || hasText(d, f.reasoning) || hasText(d, f.thinking) || hasText(d, f.reasoningDetails)
	me := int8(t.choiceAt + 1)
	if says && t.speaker == 0 {
		t.speaker = me
	}
	if thinks && t.thinker == 0 {
		t.thinker = me
	}
	if !t.alternative() {
		switch {
		case t.speaker == me || !says:
		case t.saysAgain(d, f.content):
			f.content, less = 0, true
		default:
			t.others |= 1 << t.choiceAt
		}
	}
	if t.alternative() {
		*f, less = choiceFields{}, true
	}
	if thinks && t.thinker != me && !less {
		f.reasoningContent, f.reasoning, f.thinking, f.reasoningDetails = 0, 0, 0, 0
		less = true
	}
	if less {
		t.lose(ruleReplyChoices, "output", "")
	}
	return less
}

// hasText reports whether a value says something.
func hasText(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) == jsonx.String {
		return len(skipSpace(d.Str(n))) > 0
	}
	return d.Present(n) && !emptyArray(d, n)
}

// saysAgain reports whether content is the text that another choice has said already.
func (t *Turn) saysAgain(d *jsonx.Doc, content uint32) bool {
	if d.Kind(content) != jsonx.String {
		return false
	}
	for i := range t.count {
		if it := &t.items[i]; it.kind == outMessage && it.parts == 0 && bytes.Equal(it.text, d.Str(content)) {
			return true
		}
	}
	return false
}

// callAgain reports whether a call of a further choice is one that another has made.
func (t *Turn) callAgain(d *jsonx.Doc, n uint32) bool {
	f := t.readFragment(d, n, false)
	if len(f.name) == 0 || d.Kind(f.arguments) != jsonx.String {
		return false
	}
	var whole argumentScan
	if whole.feed(d.Str(f.arguments)); !whole.whole() {
		return false
	}
	for i := range t.count {
		it := &t.items[i]
		arguments := it.text
		if len(it.args.kept) > 0 {
			arguments = it.args.kept
		}
		if it.kind == outCall && it.choice != t.choiceAt && string(it.said) == string(f.name) && bytes.Equal(arguments, d.Str(f.arguments)) {
			return true
		}
	}
	return false
}

// utterance takes in what a choice says: its delta, or its message. In chunks a message
// beside the delta says the same again, and counts only for what has not been said; in
// a completion the message counts.
func (t *Turn) utterance(dst []byte, d *jsonx.Doc, delta, message, finish, logprobs uint32) []byte {
	hasDelta, hasMessage := d.Kind(delta) == jsonx.Object, d.Kind(message) == jsonx.Object
	switch {
	case hasMessage && t.completion && (!hasDelta || saysAnything(d, message)):
		return t.delta1(dst, d, message, logprobs)
	case hasMessage && !hasDelta:
		if t.before == t.leading() { // after deltas it would be all of them again
			dst = t.delta1(dst, d, message, logprobs)
		}
		return dst
	case hasDelta:
		dst = t.delta1(dst, d, delta, logprobs)
	}
	if !hasMessage || d.Kind(finish) != jsonx.String || len(d.Str(finish)) == 0 || t.state >= stateEnded {
		return dst
	}
	switch {
	case t.count == t.leading():
		dst = t.delta1(dst, d, message, logprobs)
	case !t.called(func(*outItem) bool { return true }):
		dst = t.callsOf(dst, d, d.Get(message, "tool_calls"), d.Get(message, "function_call"))
	}
	return dst
}

// besideDelta takes in calls that stand in the choice itself, and the text of servers
// that have neither a delta nor a message.
func (t *Turn) besideDelta(dst []byte, d *jsonx.Doc, calls, legacy, text uint32, spoke bool) []byte {
	f := choiceFields{toolCalls: calls, functionCall: legacy}
	if !spoke {
		f.content = text
	}
	if t.ofOneAnswer(d, &f); f.content != 0 {
		dst = t.content(dst, d, f.content, 0)
	}
	dst = t.callsOf(dst, d, f.toolCalls, f.functionCall)
	t.shape.clear()
	return dst
}

// saysAnything reports whether a delta or message has a member that says something.
func saysAnything(d *jsonx.Doc, n uint32) bool {
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		if v := k + 1; !d.Is(k, "role") && d.Present(v) && !emptyString(d, v) && !emptyArray(d, v) {
			return true
		}
	}
	return false
}

// callsOf takes in the calls of a delta, message or choice: a list of them, one alone,
// or an object of them by their index. legacy is the function_call of older servers,
// which some send beside the list with the same call.
func (t *Turn) callsOf(dst []byte, d *jsonx.Doc, calls, legacy uint32) []byte {
	one := func(v uint32) {
		if t.choiceAt > 0 && t.callAgain(d, v) {
			t.lose(ruleReplyChoices, "output", "")
			return
		}
		dst = t.call(dst, d, v, false)
	}
	some := false
	switch d.Kind(calls) {
	case jsonx.Array:
		for v, end := d.First(calls), d.End(calls); v < end; v = d.Next(v) {
			one(v)
			some = true
		}
	case jsonx.Object:
		if some = isCall(d, calls); some {
			one(calls)
			break
		}
		for k, end := d.First(calls), d.End(calls); k < end; k = d.Next(k + 1) {
			if isCall(d, k+1) {
				one(k + 1)
				some = true
			} else {
				t.losePart(d, calls)
			}
		}
	}
	if legacy != 0 && !some {
		dst = t.call(dst, d, legacy, true)
	}
	return dst
}

// isCall reports whether an object is a call, or a piece of one.
func isCall(d *jsonx.Doc, n uint32) bool {
	for _, key := range [...]string{"function", "custom", "name", "arguments"} {
		if d.Present(d.Get(n, key)) {
			return true
		}
	}
	return false
}
