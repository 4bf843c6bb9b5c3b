package translate

import (
	"bytes"
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
	if h == nil {
		return 0
	}
	n := 160 + cap(h.messages) + cap(h.system) + 16*cap(h.thoughts)
	for _, id := range h.open {
		n += 16 + len(id)
	}
	return n
}

// ErrBadRecord says that a stored record cannot be read.
var ErrBadRecord = errors.New("translate: stored items cannot be read")

// Extend is HistoryBuilder.Extend for a single use.
func (h *History) Extend(input, output []byte, dialect *Dialect) (*History, error) {
	var b HistoryBuilder
	return b.Extend(h, input, output, dialect)
}

// HistoryBuilder makes histories, and keeps memory from one to the next.
type HistoryBuilder struct {
	input, output jsonx.Doc
	items         []item
	outs          outputIndex
	messages      messages
}

// storedLimits are those of what was within a client's limits once.
var storedLimits = jsonx.Limits{Depth: 1 << 10, Values: 1 << 30}

// Extend returns the history after one more stored response: its own input (see
// AppendListedInput) and its output items, a JSON array.
func (b *HistoryBuilder) Extend(h *History, input, output []byte, dialect *Dialect) (*History, error) {
	clear(b.items)
	b.items = b.items[:0]
	for _, part := range [...]struct {
		doc  *jsonx.Doc
		json []byte
	}{{&b.input, input}, {&b.output, output}} {
		var err error
		if b.items, err = readItems(b.items, part.doc, part.json); err != nil {
			return nil, err
		}
	}
	items := b.items
	spoke := slices.ContainsFunc(items, func(it item) bool { return it.kind == kindUser })

	m := &b.messages
	m.reset(dialect, nil, make([]byte, 0, len(h.messages)+len(input)+len(output)))
	m.start(h, spoke)
	system := slices.Clone(h.system)
	if dialect.SystemMessages != SystemAnywhere {
		for i := range items {
			if items[i].kind == kindSystem {
				system = appendSystemText(system, &items[i], 0)
			}
		}
	}
	open := m.segment(items, &b.outs, h.open, true)
	next := &History{
		messages: slices.Clip(m.dst), system: system, open: open,
		count: m.count, last: m.last, contentAt: m.contentAt,
	}
	if dialect.Reasoning.Replay == ReplayLoop {
		next.thoughts = slices.Clone(m.thoughts)
	}
	m.dst = nil
	return next, nil
}

// readItems appends the items of a stored input or output.
func readItems(items []item, d *jsonx.Doc, stored []byte) ([]item, error) {
	if d.Parse(stored, storedLimits) != nil {
		return nil, ErrBadRecord
	}
	switch d.Kind(jsonx.Root) {
	case jsonx.String:
		if len(d.Str(jsonx.Root)) == 0 {
			return items, nil
		}
		return append(items, item{doc: d, node: jsonx.Root, at: len(items), kind: kindUser, content: jsonx.Root}), nil
	case jsonx.Array:
	default:
		return nil, ErrBadRecord
	}
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		it, err := readItem(d, v, len(items))
		if err != nil || it.kind == kindReference {
			return nil, ErrBadRecord
		}
		items = append(items, it)
	}
	return items, nil
}

// start copies a history behind the head. If the user has spoken since, the
// reasoning of the loop before is left out.
func (m *messages) start(h *History, spoke bool) {
	if h.count == 0 {
		return
	}
	skip := m.joinHead(h)
	base := len(m.dst) - skip
	m.count += h.count
	m.last = h.last
	if h.contentAt >= skip {
		m.contentAt = base + h.contentAt
	}
	if !spoke || len(h.thoughts) == 0 {
		m.dst = append(m.dst, h.messages[skip:]...)
		for _, t := range h.thoughts {
			m.thoughts = append(m.thoughts, span{base + t.from, base + t.to})
		}
		return
	}
	from, cut := skip, 0
	for _, t := range h.thoughts {
		m.dst = append(m.dst, h.messages[from:t.from]...)
		if t.to <= h.contentAt {
			cut += t.to - t.from
		}
		from = t.to
	}
	m.dst = append(m.dst, h.messages[from:]...)
	if h.contentAt >= skip {
		m.contentAt -= cut
	}
}

// joinHead makes the head ready for the history behind it, and returns how much
// of the history is to be left out: where roles must take turns and both are the
// user's, the first message of the history goes on with the head's content.
func (m *messages) joinHead(h *History) (skip int) {
	const user = `{"role":"user","content":`
	if m.count == 0 {
		return 0
	}
	if !m.merges(roleUser) || !bytes.HasPrefix(h.messages, []byte(user)) {
		m.dst = append(m.dst, ',')
		return 0
	}
	m.count--
	m.dst = m.dst[:len(m.dst)-len(`"}`)]
	if h.messages[len(user)] == '"' {
		m.dst = append(m.dst, `\n\n`...)
	} else { // an array of parts, of which the head becomes the first
		m.scratch = append(m.scratch[:0], m.dst[m.contentAt:]...)
		m.dst = append(m.dst[:m.contentAt], `[{"type":"text","text":`...)
		m.dst = append(m.dst, m.scratch...)
		m.dst = append(m.dst, `"},`...)
	}
	return len(user) + 1
}

// appendSystemText appends the text of a system message, escaped, to those that
// stand in dst from start on, with a blank line between them.
func appendSystemText(dst []byte, it *item, start int) []byte {
	d, mark := it.doc, len(dst)
	if mark > start {
		dst = append(dst, `\n\n`...)
	}
	from := len(dst)
	if d.Kind(it.content) == jsonx.String {
		dst = append(dst, d.Str(it.content)...)
	} else {
		dst = appendTexts(dst, d, it.content, `\n`)
	}
	if len(dst) == from {
		return dst[:mark]
	}
	return dst
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
		m.dst = appendSystemText(m.dst, it, start)
		if d := it.doc; d.Kind(it.content) == jsonx.Array {
			m.dropOthers(it, it.content, ".content")
		}
	}
	if len(m.dst) == start { // empty instructions
		m.dst = m.dst[:mark]
		m.count, m.last = 0, roleNone
		return
	}
	m.dst = append(m.dst, `"}`...)
}
