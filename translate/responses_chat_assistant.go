package translate

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// assistant writes the turn as one message: text, refusal, reasoning, calls. It
// reports whether there was a turn. current says that no user message follows it.
func (m *messages) assistant(current bool) bool {
	if len(m.turn) == 0 {
		return false
	}
	var hasText, hasCalls, hosted, hasThoughts bool
	for _, it := range m.turn {
		switch it.kind {
		case kindAssistant:
			hasText = true
		case kindHosted: // their results are there: they come before those that may be waited for
			hasCalls, hosted = true, true
		case kindCall:
			hasCalls = true
		case kindReasoning:
			hasThoughts = true
		}
	}
	if hasText && !hasCalls && !m.speaks() {
		m.lose(ruleMessageEmpty, itemPath(m.turn[0].at), "")
		m.turn = m.turn[:0]
		return false
	}
	if !hasText && !hasCalls {
		m.lose(ruleReasoningAlone, itemPath(m.turn[0].at), "")
		m.turn = m.turn[:0]
		return false
	}
	if hosted {
		slices.SortStableFunc(m.turn, func(a, b *item) int { return hostedFirst(a) - hostedFirst(b) })
	}
	before := m.reopen()
	m.begin("assistant")
	m.appendSaid(before, hasText)
	wanted := m.replay == ReplayAll || current && m.replay == ReplayLoop
	m.recall(hasThoughts, wanted)
	m.appendThoughts(before, wanted && hasCalls, m.turn[0].at)
	if hasCalls {
		m.appendCalls()
	}
	m.dst = append(m.dst, '}')
	return true
}

// speaks reports whether a message of the turn says anything but white space: backends
// refuse one that does not, which would end the conversation for good.
func (m *messages) speaks() bool {
	for _, it := range m.turn {
		if it.kind != kindAssistant {
			continue
		}
		d := it.doc
		if d.Kind(it.content) == jsonx.String {
			if !blank(d, it.content) {
				return true
			}
			continue
		}
		for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
			if !blank(d, d.Get(v, "text")) || !blank(d, d.Get(v, "refusal")) {
				return true
			}
		}
	}
	return false
}

// blank reports whether a value is no string, or one of white space.
func blank(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) != jsonx.String {
		return true
	}
	if d.StrKind(n)&jsonx.HasEscape != 0 {
		return len(strings.TrimSpace(d.Text(n))) == 0
	}
	return len(bytes.TrimSpace(d.Str(n))) == 0
}

// lastSaid is what the last message holds, if it is the assistant's: the insides
// of JSON strings, and of the array of reasoning_details.
type lastSaid struct{ text, refusal, thoughts, details []byte }

// reopen takes the last message back if it is the assistant's and roles must
// take turns: it becomes the beginning of the next one.
func (m *messages) reopen() (said lastSaid) {
	const head = `{"role":"assistant","content":`
	if !m.dialect.AlternateRoles || m.last != roleAssistant {
		return said
	}
	start := m.contentAt - len(head)
	m.taken = append(m.taken[:0], m.dst[start:]...)
	d := &m.takenDoc
	if d.Parse(m.taken, jsonx.Limits{}) != nil { // cannot be: it is our own
		return said
	}
	inside := func(key string) []byte {
		if n := d.GetString(jsonx.Root, key); n != 0 {
			return d.Str(n)
		}
		return nil
	}
	said = lastSaid{inside("content"), inside("refusal"), inside(m.dialect.Reasoning.replayField()), nil}
	if n := d.Get(jsonx.Root, detailsKey); d.Kind(n) == jsonx.Array {
		said.details = bytes.Trim(d.Raw(n), "[]")
	}
	if n := len(m.thoughts); n > 0 && m.thoughts[n-1].from > start {
		m.thoughts = m.thoughts[:n-1]
	}
	m.count--
	if m.count > 0 {
		start-- // the comma
	}
	m.dst = m.dst[:start]
	return said
}

// appendSaid appends content and refusal: what the assistant said in the turn,
// after what was said before it in the same message.
func (m *messages) appendSaid(before lastSaid, hasText bool) {
	if !hasText && len(before.text) == 0 && len(before.refusal) == 0 {
		switch m.dialect.CallContent {
		case CallContentEmpty:
			m.dst = append(m.dst, `"content":""`...)
		case CallContentOmit:
		default:
			m.dst = append(m.dst, `"content":null`...)
		}
		return
	}
	m.contentAt = len(m.dst) + len(`"content":`)
	m.dst = append(m.dst, `"content":"`...)
	text := m.appendTexts(before.text, false)
	m.dst = append(m.dst, '"')
	if !m.dialect.RefusalField {
		return
	}
	mark := len(m.dst)
	m.dst = append(m.dst, `,"refusal":"`...)
	if m.appendTexts(before.refusal, true) == 0 {
		m.dst = m.dst[:mark]
		return
	}
	m.dst = append(m.dst, '"')
	if text == 0 {
		m.dst = append(m.dst[:m.contentAt], "null"...)
		m.dst = append(m.dst, `,"refusal":"`...)
		m.appendTexts(before.refusal, true)
		m.dst = append(m.dst, '"')
	}
}

// appendTexts appends the texts of the turn's messages, or their refusals, after
// what was there before, and returns how many bytes they have.
func (m *messages) appendTexts(before []byte, refusals bool) int {
	start := len(m.dst)
	m.dst = append(m.dst, before...)
	for _, it := range m.turn {
		if it.kind != kindAssistant {
			continue
		}
		mark := len(m.dst)
		if mark > start {
			m.dst = append(m.dst, `\n\n`...)
		}
		from := len(m.dst)
		m.dst = m.appendSpoken(m.dst, it, refusals)
		if len(m.dst) == from {
			m.dst = m.dst[:mark]
		}
	}
	return len(m.dst) - start
}

// appendSpoken appends the text of an assistant's message, escaped, or its
// refusal. Where the dialect has no field for refusals, they are text.
func (m *messages) appendSpoken(dst []byte, it *item, refusals bool) []byte {
	d := it.doc
	if d.Kind(it.content) == jsonx.String {
		if refusals {
			return dst
		}
		return append(dst, d.Str(it.content)...)
	}
	i := -1
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		i++
		typ := d.Get(v, "type")
		switch kind := partKindOf(d.Str(typ)); {
		case kind == partRefusal:
			if refusals == m.dialect.RefusalField {
				dst = append(dst, d.Str(d.Get(v, "refusal"))...)
			}
		case refusals:
		case kind == partText:
			dst = append(dst, d.Str(d.Get(v, "text"))...)
		default:
			m.lose(rulePartDropped, partPath(it.at, ".content", i), d.Text(typ))
		}
	}
	return dst
}

// separate appends a comma if the message already has a member after its role.
func (m *messages) separate() {
	if m.dst[len(m.dst)-1] != ',' {
		m.dst = append(m.dst, ',')
	}
}

func (m *messages) appendCalls() {
	m.separate()
	m.dst = append(m.dst, `"tool_calls":[`...)
	first := true
	for _, it := range m.turn {
		if !it.isCall() {
			continue
		}
		if !first {
			m.dst = append(m.dst, ',')
		}
		m.dst = append(m.dst, `{"id":`...)
		m.dst = m.appendCallID(m.dst, m.claim(it))
		switch form := it.callForm(); {
		case it.hosted:
			m.appendHostedCall(it)
		case form == formCustom:
			m.appendCustomCall(it)
		default:
			m.dst = append(m.dst, `,"type":"function","function":{"name":`...)
			m.dst = m.appendCallName(m.dst, it)
			m.dst = append(m.dst, `,"arguments":`...)
			if form == formFunction {
				m.dst = m.appendArguments(m.dst, it)
			} else {
				m.dst = m.appendBuiltinArguments(m.dst, it, form)
			}
			m.dst = append(m.dst, '}')
		}
		extras := m.memory.extrasOf(it)
		m.dst = append(m.dst, extras...)
		if first && len(extras) == 0 {
			m.appendCallPlaceholder()
		}
		first = false
		m.dst = append(m.dst, '}')
	}
	m.dst = append(m.dst, ']')
}

// appendCallPlaceholder appends what the dialect wants of a call that the backend
// has not made.
func (m *messages) appendCallPlaceholder() {
	if p := m.dialect.Tools.CallPlaceholder; p != "" {
		m.dst = append(append(m.dst, ','), p...)
	}
}

// sentID is a call id in the form that the dialect takes.
func (m *messages) sentID(id []byte) []byte {
	if m.dialect.Tools.CallIDs == CallIDsAlnum9 {
		short := alnum9(id)
		return short[:]
	}
	if len(id) == 0 {
		return []byte("call_0")
	}
	return id
}

func (m *messages) appendCallID(dst, id []byte) []byte {
	return jsonx.AppendString(dst, m.sentID(id))
}

// appendCallName appends the function's name. Calls of tools that are no
// functions are named after their type.
func (m *messages) appendCallName(dst []byte, it *item) []byte {
	d := it.doc
	n := it.name
	if n == 0 || d.Kind(n) != jsonx.String || len(d.Str(n)) == 0 {
		typ := bytes.TrimSuffix(d.Str(it.typ), []byte("_call"))
		return jsonx.AppendString(dst, typ)
	}
	if it.space == 0 && (m.tools == nil || !m.tools.clashes) {
		if raw := d.Str(n); plainName(raw, m.dialect.Tools.NameMax) {
			return append(dst, d.Raw(n)...)
		}
	}
	space := it.space
	if space != 0 && (d.Kind(space) != jsonx.String || len(d.Str(space)) == 0) {
		space = 0
	}
	if space != 0 && (m.tools == nil || !m.tools.clashes) {
		if out, ok := appendJoined(dst, d.Str(space), d.Str(n), m.dialect.Tools.NameMax); ok {
			return out
		}
	}
	return jsonx.AppendString(dst, m.calledName(d, space, n, it.callForm()))
}

// appendArguments appends the arguments as a JSON string that holds a JSON
// object, which is what backends parse. What is no object is wrapped in one.
func (m *messages) appendArguments(dst []byte, it *item) []byte {
	d, n := it.doc, it.payload
	raw := d.Str(n)
	if d.StrKind(n)&jsonx.HasEscape == 0 {
		if string(raw) == "{}" {
			return append(dst, d.Raw(n)...)
		}
		m.scratch = append(m.scratch[:0], raw...)
	} else {
		m.scratch = jsonx.AppendUnescaped(m.scratch[:0], raw)
	}
	if isObject(&m.args, m.scratch) {
		return append(dst, d.Raw(n)...)
	}
	m.lose(ruleArguments, itemPath(it.at)+".arguments", "")
	if noArguments(m.scratch) {
		return append(dst, `"{}"`...)
	}
	if object := m.objectIn(raw); object != nil {
		return jsonx.AppendString(dst, object)
	}
	return m.appendWrapped(dst, d.Raw(n))
}

// objectIn finds the object of arguments that have something around it: those that are
// a string, or a list of one, or have more behind them. m.scratch is what they say, raw
// how it is written in a JSON string. It is nil where there is none.
func (m *messages) objectIn(raw []byte) []byte {
	var scan argumentScan
	if n := scan.feed(raw); scan.whole() && scan.root == '{' && n < len(raw) {
		return jsonx.AppendUnescaped(nil, raw[:n])
	}
	d := &m.args
	if d.Parse(m.scratch, jsonx.Limits{}) != nil {
		return nil
	}
	switch d.Kind(jsonx.Root) {
	case jsonx.String:
		if text := []byte(d.Text(jsonx.Root)); isObject(d, text) {
			return text
		}
	case jsonx.Array:
		if first := d.First(jsonx.Root); d.Len(jsonx.Root) == 1 && d.Kind(first) == jsonx.Object {
			return d.Raw(first)
		}
	}
	return nil
}

// isObject reports whether text is one whole JSON object. What it says twice is
// its own affair: models do that, and backends read it.
func isObject(d *jsonx.Doc, text []byte) bool {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return false
	}
	return isWhole(d, text)
}

// isWhole reports whether text is one whole JSON value.
func isWhole(d *jsonx.Doc, text []byte) bool {
	err := d.Parse(text, jsonx.Limits{})
	// Parse stops at what only we mind; the rest may still be broken.
	return err == nil || err.Reason != jsonx.Malformed && err.Reason != jsonx.InvalidUTF8 && json.Valid(text)
}

// appendWrapped appends {"input":value} as a JSON string. value is JSON.
func (m *messages) appendWrapped(dst, value []byte) []byte {
	wrapped := make([]byte, 0, len(value)+12)
	wrapped = append(wrapped, `{"input":`...)
	wrapped = append(wrapped, value...)
	wrapped = append(wrapped, '}')
	return jsonx.AppendString(dst, wrapped)
}
