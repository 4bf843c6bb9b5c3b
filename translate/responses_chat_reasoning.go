package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// detailsKey is the key of an assistant message for reasoning_details.
const detailsKey = "reasoning_details"

// memory is what the reasoning items of one turn say to the backend.
type memory struct {
	text    []byte      // the reasoning: what stands inside a JSON string
	details []byte      // reasoning_details (JSON with commas)
	extras  []callExtra // members of calls
	raw     []byte      // what extras point into
}

// callExtra are members for the call with that id.
type callExtra struct{ id, members span }

func (r *memory) reset() {
	r.text, r.details, r.extras, r.raw = r.text[:0], r.details[:0], r.extras[:0], r.raw[:0]
}

// extrasOf are the members that a call gets back: JSON with a comma before each.
func (r *memory) extrasOf(call *item) []byte {
	for _, x := range r.extras {
		if call.isFunction() && string(r.raw[x.id.from:x.id.to]) == string(call.doc.Str(call.callID)) {
			return r.raw[x.members.from:x.members.to]
		}
	}
	return nil
}

// recall reads the reasoning items of the turn into m.memory, and opens the
// envelopes of those that have something to say. wanted says that the backend is
// to get the reasoning; if it is not, that is reported, once in a request.
func (m *messages) recall(some, wanted bool) {
	m.memory.reset()
	if !some {
		return
	}
	extras := len(m.dialect.Tools.CallExtras) > 0
	for _, it := range m.turn {
		if it.kind != kindReasoning {
			continue
		}
		d := it.doc
		plain := it.content != 0 && hasTexts(d, it.content)
		inside := it.sealed != 0 && (extras || wanted && (m.dialect.Reasoning.Details || !plain))
		text, sealed := []byte(nil), it.sealed != 0 // of the envelope; that there is reasoning in it
		if inside {
			var ok bool
			if text, sealed, ok = m.open(it, wanted); !ok {
				m.lose(ruleReasoningSealed, itemPath(it.at)+".encrypted_content", "")
			}
		}
		if !wanted {
			if !m.forgot && (plain || sealed || it.summary != 0 && hasTexts(d, it.summary)) {
				m.forgot = m.losses != nil
				m.lose(ruleReasoningForgotten, itemPath(it.at), "")
			}
			continue
		}
		r := &m.memory
		mark := len(r.text)
		if mark > 0 {
			r.text = append(r.text, `\n\n`...)
		}
		from := len(r.text)
		switch {
		case plain:
			r.text = appendTexts(r.text, d, it.content, `\n\n`)
		case len(text) > 0:
			r.text = append(r.text, text...)
		case it.summary != 0: // how a client that asked for one got the reasoning
			r.text = appendTexts(r.text, d, it.summary, `\n\n`)
		}
		if len(r.text) == from {
			r.text = r.text[:mark]
		}
	}
}

// open opens an item's envelope. The text is good until the next call; some says
// that there is reasoning in it, in this or another form.
func (m *messages) open(it *item, wanted bool) (text []byte, some, ok bool) {
	if m.sealer == nil {
		return nil, false, false
	}
	sealed := it.doc.Str(it.sealed)
	if it.doc.StrKind(it.sealed)&jsonx.HasEscape != 0 {
		sealed = jsonx.AppendUnescaped(nil, sealed)
	}
	m.opened, ok = m.sealer.Open(m.opened[:0], sealed)
	d := &m.openedDoc
	if !ok || d.Parse(m.opened, storedLimits) != nil {
		return nil, false, false
	}
	if v, _ := d.Int(d.Get(jsonx.Root, "v")); v != sealVersion {
		return nil, false, false
	}
	if n := d.GetString(jsonx.Root, "text"); n != 0 {
		text = d.Str(n)
	}
	n := d.Get(jsonx.Root, "details")
	some = len(text) > 0 || n != 0
	if !d.Is(d.Get(jsonx.Root, "from"), m.dialect.Name) && (m.upstream == "" || !d.Is(d.Get(jsonx.Root, "at"), m.upstream)) {
		return text, some, true
	}
	r := &m.memory
	if wanted && m.dialect.Reasoning.Details && d.Kind(n) == jsonx.Array && d.Len(n) > 0 {
		if len(r.details) > 0 {
			r.details = append(r.details, ',')
		}
		r.details = append(r.details, bytes.Trim(d.Raw(n), "[]")...)
	} else if wanted && n != 0 {
		m.lose(ruleReasoningSealed, itemPath(it.at)+".encrypted_content", detailsKey)
	}
	if n := d.Get(jsonx.Root, "calls"); d.Kind(n) == jsonx.Array {
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			m.openExtras(d, v)
		}
	}
	return text, some, true
}

// openExtras keeps the members of one call that the dialect takes back.
func (m *messages) openExtras(d *jsonx.Doc, call uint32) {
	id, r := d.GetString(call, "id"), &m.memory
	if id == 0 {
		return
	}
	var x callExtra
	x.id.from = len(r.raw)
	r.raw = append(r.raw, d.Str(id)...)
	x.id.to = len(r.raw)
	for _, key := range m.dialect.Tools.CallExtras {
		if v := d.Get(call, key); d.Present(v) {
			r.raw = append(r.raw, ',')
			r.raw = jsonx.AppendString(r.raw, key)
			r.raw = append(r.raw, ':')
			r.raw = append(r.raw, d.Raw(v)...)
		}
	}
	x.members = span{x.id.to, len(r.raw)}
	r.extras = append(r.extras, x)
}

// appendThoughts appends the reasoning of the turn in the dialect's form, after
// what was in the same message before. calling says that the backend wants
// reasoning and that the message has calls, which some refuse without; at is the
// item that the message begins with.
func (m *messages) appendThoughts(before lastSaid, calling bool, at int) {
	r, habits := &m.memory, &m.dialect.Reasoning
	from := len(m.dst)
	m.separate()
	first := len(m.dst) == from // nothing stands between it and the role
	if details := joined(before.details, r.details, ","); len(details) > 0 {
		m.dst = append(m.dst, `"`+detailsKey+`":[`...)
		m.dst, _ = appendMergedDetails(m.dst, details)
		m.dst = append(m.dst, ']')
	} else {
		text := joined(before.thoughts, r.text, `\n\n`)
		if len(text) == 0 && calling && habits.Placeholder != "" {
			text = jsonx.AppendEscaped(text, habits.Placeholder)
			m.lose(ruleReasoningMissing, itemPath(at), "")
		}
		if len(text) == 0 {
			m.dst = m.dst[:from]
			return
		}
		m.dst = jsonx.AppendString(m.dst, habits.replayField())
		m.dst = append(m.dst, `:"`...)
		m.dst = append(m.dst, text...)
		m.dst = append(m.dst, '"')
	}
	if first { // so that the span can be cut out, comma and all
		m.dst = append(m.dst, ',')
	}
	m.thoughts = append(m.thoughts, span{from, len(m.dst)})
}

// joined is a and b with sep between them, if both are there.
func joined(a, b []byte, sep string) []byte {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	all := make([]byte, 0, len(a)+len(sep)+len(b))
	all = append(all, a...)
	all = append(all, sep...)
	return append(all, b...)
}

func hasTexts(d *jsonx.Doc, array uint32) bool {
	for v, end := d.First(array), d.End(array); v < end; v = d.Next(v) {
		if isText(d, v) && len(d.Str(d.Get(v, "text"))) > 0 {
			return true
		}
	}
	return false
}
