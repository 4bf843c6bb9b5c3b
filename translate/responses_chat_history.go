package translate

import (
	"bytes"
	"errors"
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// History is the beginning of a conversation, ready to be sent: the messages of
// a stored response and all its ancestors in one dialect. It never changes once
// it is made, so it can be cached and shared. The zero value is the history
// before the first response.
//
// A history is a chain of segments, one a response: what came before is not
// copied, but pointed to. Only where roles must take turns, so that a later turn
// may have to change the last message of an earlier one, is it all in one piece.
type History struct {
	before   *History // the segments before this one, or nil
	messages []byte   // this segment's chat messages with commas between them
	thoughts []span   // in messages: reasoning, which a request may have to leave out
	old      int      // how many of thoughts stand before the last user message
	spoke    bool     // the user speaks in this segment: what was thought before it is old

	loaded *loadedTools  // tools that the items of all segments have brought
	config configuration // what they have set

	lost ruleSet // by translating all segments

	running []asyncCall // calls of all segments that were said to be running

	system    []byte     // of all segments: system messages that a head message has to join, escaped
	summary   []byte     // of all segments: that of the last compaction, likewise
	summaryAt span       // in messages: the same where it is a message of its own
	open      []pastCall // calls that have no output yet
	calls     []pastCall // calls of this segment, or of all where it is in one piece
	ids       []string   // of this segment's items, likewise
	count     int        // messages of all segments
	bytes     int        // of the messages of all segments
	size      int        // see Size
	last      role
	contentAt int // only where roles must take turns
}

// Size is about how many bytes the history takes in memory, with all that it
// points to.
func (h *History) Size() int {
	if h == nil {
		return 0
	}
	return h.size
}

// Bytes is how many bytes the history takes in a request.
func (h *History) Bytes() int {
	if h == nil {
		return 0
	}
	return h.bytes + h.loaded.bytes() + len(h.system) + len(h.summary)
}

// measure settles what follows from the other members.
func (h *History) measure() {
	h.bytes, h.size = len(h.messages)+1, 264+cap(h.messages)+cap(h.system)+cap(h.summary)+16*cap(h.thoughts)
	for i := range h.calls {
		h.size += h.calls[i].size()
	}
	for _, id := range h.ids {
		h.size += 16 + len(id)
	}
	h.size += 64 * len(h.open)
	for _, c := range h.running {
		h.size += 32 + len(c.id) + len(c.name)
	}
	if h.before != nil {
		h.bytes += h.before.bytes
		h.size += h.before.size
	}
	if h.before == nil || h.loaded != h.before.loaded {
		h.size += h.loaded.size()
	}
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
	// Sealer opens the encrypted_content of reasoning items; nil: none opens.
	Sealer Sealer
	// Upstream is ChatOptions.Upstream.
	Upstream string
	// Opener opens compaction items; nil: none opens, and what has one is a bad
	// record.
	Opener Opener
	// Fetched is ChatOptions.Fetched of the turn that the next Extend is about; it is
	// forgotten with that.
	Fetched map[string]FetchedFile

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
	return b.extend(h, input, output, dialect, dialect.AlternateRoles)
}

// extend is Extend; flat puts everything in one piece.
func (b *HistoryBuilder) extend(h *History, input, output []byte, dialect *Dialect, flat bool) (*History, error) {
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
	if openCompactions(items, b.Opener) >= 0 {
		return nil, ErrBadRecord
	}
	var ids []string
	for i := range items {
		if it := &items[i]; it.id != 0 && it.opened == nil {
			ids = append(ids, it.doc.Text(it.id))
		}
	}
	m := &b.messages
	m.reset(dialect, nil, nil)
	m.dropRepeated(items, &b.output, h)
	repeated := m.lost
	past := h
	kept := slices.Clone(items)
	compacted := supersede(items) >= 0
	if compacted {
		h = h.standing(dialect)
	}
	spoke := slices.ContainsFunc(items, func(it item) bool { return it.kind == kindUser })

	defer func() { m.running, m.fetched, m.past, m.calls = nil, nil, nil, nil }()
	fetched := b.Fetched
	b.Fetched = nil
	next := &History{system: h.system, summary: h.summary, loaded: loadTools(h.loaded, items), config: h.config}
	for i := range items {
		next.config.update(&items[i])
	}
	next.config.keep(h.config.format)
	if flat {
		m.reset(dialect, nil, make([]byte, 0, h.bytes+len(input)+len(output)))
		m.sealer, m.fetched, m.upstream = b.Sealer, fetched, b.Upstream
		m.start(h, spoke)
	} else {
		m.reset(dialect, nil, make([]byte, 0, len(input)+len(output)+len(output)/4))
		m.sealer, m.fetched, m.upstream = b.Sealer, fetched, b.Upstream
		m.last = h.last
		if h.count > 0 {
			next.before, next.spoke = h, spoke
		}
	}
	if dialect.SystemMessages != SystemAnywhere {
		next.system = slices.Clip(next.system) // shared: to be copied before it grows
		talked := h.count > 0
		for i := range items {
			it := &items[i]
			switch {
			case it.kind != kindSystem:
				talked = true
			case it.opened != nil:
				next.summary = appendSystemText(nil, it, 0)
			default:
				if talked {
					m.lose(ruleSystemMoved, "", "")
				}
				next.system = appendSystemText(next.system, it, 0)
				if it.doc.Kind(it.content) == jsonx.Array {
					m.dropOthers(it, it.content, "")
				}
			}
		}
	}
	m.running, m.past = slices.Clip(h.running), past
	next.open = m.segment(items, &b.outs, h.open, true)
	next.messages, next.count, next.last, next.contentAt = clipBuffer(m.dst), m.count, m.last, m.contentAt
	if next.before != nil {
		next.count += h.count
	}
	next.summaryAt, next.running = m.summaryAt, m.running
	next.calls, next.ids = m.calls, ids
	if compacted {
		for i := range items {
			if kept[i].isCall() && items[i].kind == kindGone {
				m.remember(&kept[i], callID(&kept[i]), nil)
			}
		}
		next.calls = m.calls
	}
	if next.before == nil { // nothing else points to what was before
		next.calls, next.ids = append(past.allCalls(), next.calls...), append(past.allIDs(), ids...)
	}
	next.lost = m.lost
	next.lost.addAll(repeated)
	next.lost.addAll(h.lost)
	if compacted {
		next.lost.add(ruleCompaction)
	}
	if dialect.Reasoning.replay() != ReplayNone {
		next.thoughts, next.old = slices.Clone(m.thoughts), m.old
	}
	m.dst = nil
	next.measure()
	return next, nil
}

// clipBuffer takes what is to spare off a buffer, if that is much.
func clipBuffer(b []byte) []byte {
	if cap(b)-len(b) > len(b)/8+64 {
		return slices.Clone(b)
	}
	return b
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

// start copies a history behind the head. Where the backend only gets the
// reasoning of the turn that is going on, that of the turns before is left out;
// spoke says that the user has spoken since.
func (m *messages) start(h *History, spoke bool) {
	if h.count == 0 {
		return
	}
	skip := m.joinHead(h)
	m.count += h.count
	m.last = h.last
	if h.before == nil {
		m.contentAt = m.appendSegment(h, skip, m.forgets(h, spoke))
		return
	}
	// From the last to the first, and then the other way round.
	var few [64]*History
	segments := few[:0]
	for ; h != nil; h = h.before {
		segments = append(segments, h)
	}
	forgotten := 0 // how many of the segments, from the first on, only hold old reasoning
	if spoke {
		forgotten = len(segments)
	} else {
		for i, h := range segments {
			if h.spoke {
				forgotten = len(segments) - 1 - i
				break
			}
		}
	}
	written := false
	for i := range segments {
		h := segments[len(segments)-1-i]
		if len(h.messages) == 0 {
			continue
		}
		if written {
			m.dst = append(m.dst, ',')
		}
		written = true
		m.appendSegment(h, 0, m.forgets(h, i < forgotten))
	}
}

// forgets is how many thoughts of a segment are left out, from its first on; old
// says that all of it is old.
func (m *messages) forgets(h *History, old bool) int {
	switch {
	case m.replay != ReplayLoop:
		return 0
	case old:
		return len(h.thoughts)
	}
	return h.old
}

// appendSegment appends the messages of a segment but for the first skip bytes,
// and without its first thoughts. It returns where the content of the last
// message is.
func (m *messages) appendSegment(h *History, skip, forget int) (contentAt int) {
	base := len(m.dst) - skip
	contentAt = m.contentAt
	if h.contentAt >= skip {
		contentAt = base + h.contentAt
	}
	from := skip
	for _, t := range h.thoughts[:forget] {
		m.dst = append(m.dst, h.messages[from:t.from]...)
		base -= t.to - t.from
		if h.contentAt >= skip && t.to <= h.contentAt {
			contentAt -= t.to - t.from
		}
		from = t.to
	}
	m.dst = append(m.dst, h.messages[from:]...)
	for _, t := range h.thoughts[forget:] {
		m.thoughts = append(m.thoughts, span{base + t.from, base + t.to})
	}
	m.old = max(h.old-forget, 0)
	return contentAt
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

// reportHistory reports what translating the history has lost, in this turn as in
// every one that sends it: each rule once, because a history does not know any more
// which of the client's requests an item came in.
func (r *Request) reportHistory(h *History, losses *Losses) {
	if h.lost == (ruleSet{}) || losses == nil {
		return
	}
	path := "previous_response_id"
	if r.ConversationID() != "" {
		path = "conversation"
	}
	for rule := range numAllRules {
		if h.lost.has(rule) {
			losses.once(rule, path, "")
		}
	}
}

// hasSystem reports whether there is anything for a system message at the head.
func (r *Request) hasSystem(h *History) bool {
	if r.has(pInstructions) || len(h.system) > 0 || len(h.summary) > 0 || len(r.instruction) > 0 {
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
		if len(r.instruction) > 0 {
			m.begin(systemRole(m.dialect, true))
			m.dst = append(m.dst, `"content":"`...)
			m.dst = append(m.dst, r.instruction...)
			m.dst = append(m.dst, `"}`...)
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
	for _, text := range [...][]byte{h.system, h.summary} {
		if len(text) == 0 {
			continue
		}
		if len(m.dst) > start {
			m.dst = append(m.dst, `\n\n`...)
		}
		m.dst = append(m.dst, text...)
	}
	talked := h.count > 0
	for i := range r.items {
		it := &r.items[i]
		if it.kind != kindSystem {
			talked = true
			continue
		}
		if talked && it.opened == nil {
			m.lose(ruleSystemMoved, itemPath(i), "")
		}
		m.dst = appendSystemText(m.dst, it, start)
		if d := it.doc; d.Kind(it.content) == jsonx.Array {
			m.dropOthers(it, it.content, ".content")
		}
	}
	if len(r.instruction) > 0 {
		if len(m.dst) > start {
			m.dst = append(m.dst, `\n\n`...)
		}
		m.dst = append(m.dst, r.instruction...)
	}
	if len(m.dst) == start { // empty instructions
		m.dst = m.dst[:mark]
		m.count, m.last = 0, roleNone
		return
	}
	m.dst = append(m.dst, `"}`...)
}
