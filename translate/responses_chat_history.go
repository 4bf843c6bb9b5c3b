package translate

import (
	"errors"
	"slices"

	"antiphon/translate/jsonx"
)

// History is the beginning of a conversation, ready to be sent: the messages of
// a stored response and all its ancestors in one dialect. It never changes once
// it is made, so it can be cached and shared. The zero value is the history
// before the first response.
type History struct {
	messages []byte   // chat messages with commas between them
	system   []byte   // system messages that a head message has to join, escaped
	open     []string // ids of calls that have no output yet
	thoughts []span   // in messages: reasoning that goes once the user speaks again

	count     int
	last      role
	contentAt int
}

// Size is about how many bytes the history takes in memory.
func (h *History) Size() int {
	n := 160 + cap(h.messages) + cap(h.system) + 16*cap(h.thoughts)
	for _, id := range h.open {
		n += 16 + len(id)
	}
	return n
}

// ErrBadRecord says that a stored record cannot be read.
var ErrBadRecord = errors.New("translate: stored items cannot be read")

// Extend returns the history after one more stored response: its own input
// items and its output items, both as JSON arrays.
func (h *History) Extend(input, output []byte, dialect *Dialect) (*History, error) {
	var inDoc, outDoc jsonx.Doc
	var items []item
	for _, part := range []struct {
		doc  *jsonx.Doc
		json []byte
	}{{&inDoc, input}, {&outDoc, output}} {
		d := part.doc
		if err := d.Parse(part.json, jsonx.Limits{Depth: 1 << 10, Values: 1 << 30}); err != nil || d.Kind(jsonx.Root) != jsonx.Array {
			return nil, ErrBadRecord
		}
		for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
			it, err := readItem(d, v, len(items))
			if err != nil || it.kind == kindReference {
				return nil, ErrBadRecord
			}
			items = append(items, it)
		}
	}
	spoke := slices.ContainsFunc(items, func(it item) bool { return it.kind == kindUser })

	m := messages{dialect: dialect, count: h.count, last: h.last}
	m.dst = make([]byte, 0, len(h.messages)+len(input)+len(output))
	m.start(h, spoke)
	system := slices.Clone(h.system)
	if dialect.SystemMessages != SystemAnywhere {
		for i := range items {
			if items[i].kind == kindSystem {
				system = appendSystemText(system, &items[i], len(system) == 0)
			}
		}
	}
	var outs outputIndex
	open := m.segment(items, &outs, h.open, true)
	next := &History{
		messages: slices.Clip(m.dst), system: system, open: open,
		count: m.count, last: m.last, contentAt: m.contentAt,
	}
	if dialect.Reasoning.Replay == ReplayLoop {
		next.thoughts = slices.Clone(m.thoughts)
	}
	return next, nil
}

// start copies a history to the beginning of the messages. If the user has
// spoken since, the reasoning of the loop before is left out.
func (m *messages) start(h *History, spoke bool) {
	base := len(m.dst)
	m.count, m.last = h.count, h.last
	if !spoke || len(h.thoughts) == 0 {
		m.dst = append(m.dst, h.messages...)
		m.contentAt = base + h.contentAt
		for _, t := range h.thoughts {
			m.thoughts = append(m.thoughts, span{base + t.from, base + t.to})
		}
		return
	}
	from, cut := 0, 0
	for _, t := range h.thoughts {
		m.dst = append(m.dst, h.messages[from:t.from]...)
		if t.to <= h.contentAt {
			cut += t.to - t.from
		}
		from = t.to
	}
	m.dst = append(m.dst, h.messages[from:]...)
	m.contentAt = base + h.contentAt - cut
}

// appendSystemText appends the text of a system message, escaped, for the
// message at the head.
func appendSystemText(dst []byte, it *item, first bool) []byte {
	d := it.doc
	if !first {
		dst = append(dst, `\n\n`...)
	}
	if d.Kind(it.content) == jsonx.String {
		return append(dst, d.Str(it.content)...)
	}
	return appendTexts(dst, d, it.content, `\n`)
}

// hasSystem reports whether there is anything for a system message at the head.
func (r *Request) hasSystem(h *History) bool {
	if r.has(pInstructions) || len(h.system) > 0 {
		return true
	}
	return slices.ContainsFunc(r.items, func(it item) bool { return it.kind == kindSystem })
}

// head writes what stands before the history: the instructions of this request
// (those of earlier ones are never inherited), and where the dialect wants all
// system messages there, those too.
func (r *Request) head(m *messages, h *History) {
	d, n := &r.doc, r.params[pInstructions]
	if m.dialect.SystemMessages == SystemAnywhere {
		if n != 0 && len(d.Str(n)) > 0 {
			m.begin(systemRole(m.dialect, true))
			m.dst = append(m.dst, `"content":`...)
			m.dst = append(m.dst, d.Raw(n)...)
			m.dst = append(m.dst, '}')
		}
		return
	}
	if !r.hasSystem(h) {
		return
	}
	mark := len(m.dst)
	if m.dialect.SystemMessages == SystemUser {
		m.begin("user")
	} else {
		m.begin("system")
	}
	m.dst = append(m.dst, `"content":"`...)
	m.contentAt = len(m.dst) - 1
	start := len(m.dst)
	if n != 0 {
		m.dst = append(m.dst, d.Str(n)...)
	}
	if len(h.system) > 0 {
		if len(m.dst) > start {
			m.dst = append(m.dst, `\n\n`...)
		}
		m.dst = append(m.dst, h.system...)
	}
	talked := h.count > 0
	for i := range r.items {
		it := &r.items[i]
		if it.kind != kindSystem {
			talked = true
			continue
		}
		if talked {
			m.lose(ruleSystemMoved, itemPath(i), "")
		}
		m.dst = appendSystemText(m.dst, it, len(m.dst) == start)
	}
	if len(m.dst) == start { // empty instructions
		m.dst = m.dst[:mark]
		m.count, m.last = 0, roleNone
		return
	}
	m.dst = append(m.dst, `"}`...)
}
