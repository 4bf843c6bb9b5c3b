package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/grammar"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// GrammarPolicy says what is done about the input of a custom tool's call that
// does not match the tool's grammar, where the backend is not held to it.
type GrammarPolicy string

// The values of GrammarPolicy.
const (
	// GrammarFree does not look: the input comes while it is written.
	GrammarFree GrammarPolicy = ""
	// GrammarReport looks when the input is whole, and reports what it finds.
	GrammarReport GrammarPolicy = "report"
	// GrammarRepair holds such a call back until it is whole. If it does not
	// match, the turn waits for another attempt: see Turn.Rejected.
	GrammarRepair GrammarPolicy = "repair"
)

// Rejected is a custom tool's call whose input does not match the tool's grammar.
type Rejected struct {
	Tool   string // the backend's name for the tool
	CallID string // as the backend gave it, or made up
	Input  string // that does not match
	Reason string // what does not match, in words for the model
}

// Rejected returns the call that waits to be made again. There can be one with
// GrammarRepair, once the backend is done: the turn has not ended then, and takes
// in nothing but Repaired and Abort. Whoever drives the turn sends the request
// that AppendRepair makes, not streamed, and gives the reply to Repaired; or
// calls Repaired without one.
func (t *Turn) Rejected() (r Rejected, ok bool) {
	if t.state != stateRepairing {
		return r, false
	}
	it := t.rejected()
	return Rejected{
		Tool: it.tool.known(), CallID: string(jsonx.AppendUnescaped(nil, it.callID)),
		Input: string(jsonx.AppendUnescaped(nil, it.text)), Reason: it.reason,
	}, true
}

// rejected is the first of the items that wait.
func (t *Turn) rejected() *outItem {
	for i := range t.count {
		if it := &t.items[i]; it.state == itemHeld && it.reason != "" {
			return it
		}
	}
	return nil
}

// Repaired takes in the reply, a chat.completion, to the request that asked for
// the rejected call again, and ends the turn. If the call in it is no better, or
// reply is no such thing, the first attempt is given, and reported.
func (t *Turn) Repaired(dst, reply []byte) []byte {
	if t.state != stateRepairing {
		return dst
	}
	d, it := &t.doc, t.rejected()
	if len(reply) > 0 && d.Parse(reply, upstreamLimits) == nil && d.Kind(jsonx.Root) == jsonx.Object {
		t.usage.add(d, d.Get(jsonx.Root, "usage"))
		if input, ok := t.secondAttempt(d, it); ok && t.hold(len(input)) {
			it.text, it.reason = append(it.text[:0], input...), ""
			t.lose(ruleReplyGrammarRepaired, outputPath(len(t.order))+".input", string(it.name))
		}
	}
	return t.giveRejected(dst)
}

// secondAttempt is the input of the call in a reply, as it stands inside a JSON
// string, if it is one of the rejected call's tool and matches.
func (t *Turn) secondAttempt(d *jsonx.Doc, it *outItem) (input []byte, ok bool) {
	choices := d.Get(jsonx.Root, "choices")
	if d.Kind(choices) != jsonx.Array || d.Len(choices) == 0 {
		return nil, false
	}
	calls := d.Get(d.Get(d.First(choices), "message"), "tool_calls")
	if d.Kind(calls) != jsonx.Array {
		return nil, false
	}
	for v, end := d.First(calls), d.End(calls); v < end; v = d.Next(v) {
		function := d.Get(v, "function")
		arguments := d.GetString(function, "arguments")
		if arguments == 0 || !d.Is(d.Get(function, "name"), it.tool.known()) {
			continue
		}
		var c customInput
		input = c.finish(c.feed(nil, []byte(d.Text(arguments))), false)
		return input, it.mismatch(input) == ""
	}
	return nil, false
}

// giveRejected gives the calls that wait as they are, and ends the turn.
func (t *Turn) giveRejected(dst []byte) []byte {
	for i := range t.count {
		if t.items[i].state == itemHeld {
			dst = t.giveHeldInput(dst, i, "completed")
		}
	}
	return t.settled(dst)
}

// mismatch says how an input, as it stands inside a JSON string, does not match
// the grammar of the call's tool, or is empty.
func (it *outItem) mismatch(input []byte) string {
	if it.tool == nil || it.native {
		return ""
	}
	syntax, definition := it.tool.grammar()
	if syntax == 0 {
		return ""
	}
	g, ok := grammar.Compile(it.tool.doc.Text(syntax), it.tool.doc.Text(definition))
	if !ok {
		return ""
	}
	return g.Check(string(jsonx.AppendUnescaped(nil, input)))
}

// ChecksInput reports whether the request has custom tools with a grammar that a
// backend is not held to, so that calls of theirs may be rejected.
func (r *Request) ChecksInput(dialect *Dialect) bool {
	if dialect.Tools.Custom == CustomNative {
		return false
	}
	for i := range r.tools.tools {
		if t := &r.tools.tools[i]; t.form == formCustom && !t.gone {
			if syntax, _ := t.grammar(); syntax != 0 {
				return true
			}
		}
	}
	return false
}

// holdsInput reports whether a custom tool's call is to be held back until its
// input has been checked.
func (t *Turn) holdsInput(it *outItem) bool {
	if t.opt.Grammar != GrammarRepair || it.form != formCustom || it.native || it.tool == nil {
		return false
	}
	syntax, _ := it.tool.grammar()
	return syntax != 0
}

// closeHeldInput settles a custom tool's call that was held back: it is given, or
// waits to be made again.
func (t *Turn) closeHeldInput(dst []byte, i int, status string) []byte {
	it := &t.items[i]
	t.finishInput(it, status)
	if status == "completed" {
		if it.reason = it.mismatch(it.text); it.reason != "" {
			return dst
		}
	}
	return t.giveHeldInput(dst, i, status)
}

// giveHeldInput announces and finishes a custom tool's call that was held back.
func (t *Turn) giveHeldInput(dst []byte, i int, status string) []byte {
	it := &t.items[i]
	t.holding--
	dst = t.add(dst, i, formPrefixes[formCustom])
	it.head = itemPlace(it.head[:0], it)
	it.head = append(it.head, `,"delta":"`...)
	dst = t.emitInput(dst, it, len(it.text))
	return t.close(dst, i, status)
}

// AppendRepair appends the request that asks a backend to make a rejected call
// again: chat, the request that it has answered, goes on with the call and with
// what is wrong with it, and the tool is forced where the dialect can. ok is
// false if chat cannot go on so.
func AppendRepair(dst, chat []byte, dialect *Dialect, rejected Rejected) (out []byte, ok bool) {
	var d jsonx.Doc
	if d.Parse(chat, storedLimits) != nil || d.Kind(jsonx.Root) != jsonx.Object {
		return dst, false
	}
	messages := d.Get(jsonx.Root, "messages")
	if d.Kind(messages) != jsonx.Array || d.Len(messages) == 0 {
		return dst, false
	}
	last := uint32(0)
	for v, end := d.First(messages), d.End(messages); v < end; v = d.Next(v) {
		last = v
	}
	if dialect.AlternateRoles && d.Is(d.Get(last, "role"), "assistant") {
		return dst, false
	}
	dst = append(dst, '{')
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch string(d.Str(k)) {
		case "stream", "stream_options", "tool_choice":
			continue
		case "messages":
			dst = append(dst, `"messages":`...)
			raw := d.Raw(messages)
			dst = append(dst, raw[:len(raw)-1]...)
			dst = rejected.appendMessages(dst, dialect)
			dst = append(dst, ']', ',')
			continue
		}
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
		dst = append(dst, ',')
	}
	switch can := dialect.Tools.Choices; {
	case can.Has(ChoiceNamed):
		dst = append(dst, `"tool_choice":{"type":"function","function":{"name":`...)
		dst = jsonx.AppendString(dst, rejected.Tool)
		dst = append(dst, "}},"...)
	case can.Has(ChoiceRequired):
		dst = append(dst, `"tool_choice":`...)
		dst = jsonx.AppendString(dst, dialect.Tools.RequiredWord)
		dst = append(dst, ',')
	}
	dst[len(dst)-1] = '}'
	return dst, true
}

// appendMessages appends the call, and a result that says what is wrong with it.
func (r *Rejected) appendMessages(dst []byte, dialect *Dialect) []byte {
	m := messages{dialect: dialect}
	content := map[CallContent]string{CallContentNull: `"content":null,`, CallContentEmpty: `"content":"",`}[dialect.CallContent]
	dst = append(dst, `,{"role":"assistant",`...)
	dst = append(dst, content...)
	dst = append(dst, `"tool_calls":[{"id":`...)
	dst = m.appendCallID(dst, []byte(r.CallID))
	dst = append(dst, `,"type":"function","function":{"name":`...)
	dst = jsonx.AppendString(dst, r.Tool)
	dst = append(dst, `,"arguments":"{\"input\":`...)
	dst = jsonx.AppendEscaped(dst, jsonx.AppendString(nil, r.Input))
	dst = append(dst, `}"}}]},{"role":"tool","tool_call_id":`...)
	dst = m.appendCallID(dst, []byte(r.CallID))
	dst = append(dst, `,"content":`...)
	dst = jsonx.AppendString(dst, "The tool was not run, because the input does not match its grammar: "+r.Reason+
		". Call it again, with an input that does.")
	return append(dst, '}')
}
