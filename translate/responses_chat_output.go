package translate

import (
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// picture is a tool's output with parts that must follow in a user message.
type picture struct {
	it *item
	id []byte
}

// result writes the tool message for a call. Without an output there is one
// that says so. id is that of the call, and sent the one that the backend knows. call is
// the index of the call, or -1 when it is in the history.
func (m *messages) result(id, sent []byte, out *item, call int) {
	m.begin("tool")
	m.dst = append(m.dst, `"tool_call_id":`...)
	m.dst = m.appendCallID(m.dst, sent)
	m.dst = append(m.dst, `,"content":`...)
	m.contentAt = len(m.dst)
	if out == nil {
		path := "previous_response_id"
		if call >= 0 {
			path = itemPath(call)
		}
		if m.runs(id) >= 0 {
			m.lose(ruleAsyncOutput, path, string(id))
			m.dst = append(m.dst, `"(still running; the output comes later)"}`...)
			return
		}
		m.lose(ruleMissingOutput, path, string(id))
		m.dst = append(m.dst, `"(no output)"}`...)
		return
	}
	m.ran(m.runs(id))
	m.appendOutput(out, sent)
	m.dst = append(m.dst, '}')
}

func (m *messages) appendOutput(out *item, id []byte) {
	d, n := out.doc, out.payload
	switch {
	case out.hosted:
		m.appendHostedOutput(out, id)
	case d.Is(out.typ, "apply_patch_call_output"):
		m.appendPatchResult(out)
	case d.Is(out.typ, "tool_search_output"):
		m.appendFoundTools(out)
	case n == 0:
		m.dst = append(m.dst, `"completed"`...)
	case d.Kind(n) == jsonx.String:
		m.dst = append(m.dst, d.Raw(n)...)
	case d.Kind(n) == jsonx.Array && (out.isFunction() || d.Is(out.typ, "custom_tool_call_output")):
		m.appendOutputParts(out, id)
	default:
		m.dst = jsonx.AppendString(m.dst, d.Raw(n))
	}
}

// appendOutputParts appends the texts of an output made of parts. What else it
// has follows in a user message where the dialect takes it, and otherwise is
// left out: chat tool messages only hold text.
func (m *messages) appendOutputParts(out *item, id []byte) {
	d, n := out.doc, out.payload
	pictures, dropped := false, false
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		switch {
		case isText(d, v):
		case m.takes(d, v):
			pictures = true
		default:
			dropped = true
		}
	}
	m.dst = append(m.dst, '"')
	m.dst = appendTexts(m.dst, d, n, `\n`)
	switch {
	case hasTexts(d, n):
	case pictures:
		m.dst = append(m.dst, "(see the next message)"...)
	case dropped:
		m.dst = append(m.dst, "(the output is no text and could not be passed on)"...)
	}
	m.dst = append(m.dst, '"')
	switch {
	case pictures:
		m.pictures = append(m.pictures, picture{out, id})
	case dropped:
		m.dropOthers(out, n, ".output")
	}
}

// outputOf begins the text before the pictures of a tool's output.
const outputOf = "Output of tool call "

// illustrate writes a user message with what tool messages cannot hold, after
// the whole block of them.
func (m *messages) illustrate() {
	if len(m.pictures) == 0 {
		return
	}
	m.begin("user")
	m.dst = append(m.dst, `"content":`...)
	m.contentAt = len(m.dst)
	m.dst = append(m.dst, '[')
	for n, p := range m.pictures {
		if n > 0 {
			m.dst = append(m.dst, ',')
		}
		m.dst = append(m.dst, `{"type":"text","text":`...)
		m.dst = jsonx.AppendString(m.dst, outputOf+string(m.sentID(p.id))+":")
		m.dst = append(m.dst, '}')
		d, i := p.it.doc, -1
		if n := p.it.payload; d.Kind(n) == jsonx.Object { // a screenshot
			m.dst = append(m.dst, ',')
			m.dst = m.appendPart(m.dst, d, n, func() string { return itemPath(p.it.at) + ".output" })
			m.lose(ruleOutputParts, itemPath(p.it.at)+".output", "")
			continue
		}
		for v, end := d.First(p.it.payload), d.End(p.it.payload); v < end; v = d.Next(v) {
			i++
			switch {
			case isText(d, v):
			case m.takes(d, v):
				m.dst = append(m.dst, ',')
				m.dst = m.appendPart(m.dst, d, v, func() string { return partPath(p.it.at, ".output", i) })
			default:
				m.lose(rulePartDropped, partPath(p.it.at, ".output", i), m.dropped(d, v))
			}
		}
		m.lose(ruleOutputParts, itemPath(p.it.at)+".output", "")
	}
	m.dst = append(m.dst, "]}"...)
	clear(m.pictures)
	m.pictures = m.pictures[:0]
}

// asyncCall is a call that goes on while the conversation does.
type asyncCall struct {
	id   string
	name string // the backend's, as a JSON string
}

// run notes a call that may be answered any time.
func (m *messages) run(it *item) {
	if it.doc.Kind(it.doc.Get(it.node, "async")) == jsonx.True && m.runs(callID(it)) < 0 {
		m.running = append(m.running, asyncCall{string(callID(it)), string(m.appendCallName(nil, it))})
	}
}

// runs returns which of the calls that go on has that id, or -1.
func (m *messages) runs(id []byte) int {
	return slices.IndexFunc(m.running, func(c asyncCall) bool { return c.id == string(id) })
}

// ran forgets one of the calls that go on.
func (m *messages) ran(i int) {
	if i >= 0 {
		m.running = slices.Delete(slices.Clone(m.running), i, i+1) // a history may share them
	}
}

// orphan writes an output that belongs to no call: as the result of a call that
// is made up for it, so that what the tool said is not lost.
func (m *messages) orphan(it *item) {
	id := callID(it)
	running := m.runs(id)
	if running >= 0 { // the call is in the history, and was said to be running
		m.lose(ruleAsyncOutput, itemPath(it.at), string(id))
	} else {
		m.lose(ruleOrphanOutput, itemPath(it.at), string(id))
	}
	before := m.reopen()
	m.begin("assistant")
	m.appendSaid(before, false)
	m.memory.reset()
	m.appendThoughts(before, m.replay == ReplayAll || m.replay == ReplayLoop && it.at > m.lastUser, it.at)
	m.separate()
	m.dst = append(m.dst, `"tool_calls":[{"id":`...)
	sent := m.claim(it)
	m.dst = m.appendCallID(m.dst, sent)
	m.dst = append(m.dst, `,"type":"function","function":{"name":`...)
	from, known := len(m.dst), m.calledBefore(it)
	switch d := it.doc; {
	case running >= 0:
		m.dst = append(m.dst, m.running[running].name...)
		m.ran(running)
	case known != nil:
		m.dst = append(m.dst, known...)
	case d.Kind(it.name) == jsonx.String && len(d.Str(it.name)) > 0:
		m.dst = m.appendCallName(m.dst, it)
	default:
		m.dst = jsonx.AppendString(m.dst, orphanName(it.doc.Str(it.typ)))
	}
	m.remember(it, sent, m.dst[from:])
	m.dst = append(m.dst, `,"arguments":"{}"}`...)
	m.appendCallPlaceholder()
	m.dst = append(m.dst, `}]}`...)
	m.result(id, sent, it, it.at)
	m.illustrate()
}

// orphanName is the function that an output of that type is one of, as far as its
// type tells.
func orphanName(typ []byte) string {
	for form, name := range builtinNames {
		if name != "" && (string(typ) == formTypes[form]+"_output" || string(typ) == name+"_output") {
			return name
		}
	}
	return "unknown_tool"
}

// outputIndex finds the outputs of the calls among the items of a segment.
type outputIndex struct {
	calls  []int32          // by item: of a call, the index of its output; -1 without
	open   []int32          // the same, by open call of the history
	at     []int32          // the output items
	used   []bool           // by output item: it answers a call
	byCall map[string][]int // call id → indexes into at; made when there are many
}

// manyOutputs is from where on a map is worth it.
const manyOutputs = 32

func (x *outputIndex) reset() {
	const most = 4096
	clear(x.byCall)
	if cap(x.calls) > most {
		x.calls, x.at, x.used = nil, nil, nil
	}
	x.calls, x.open, x.at, x.used = x.calls[:0], x.open[:0], x.at[:0], x.used[:0]
}

// match gives every call its output: the next one after it that names it, else
// the first there is. Ids that come again in later turns thus find their own
// outputs. The open calls of the history come first. An output may name the call's item
// in place of the call.
func (x *outputIndex) match(items []item, open []pastCall) {
	x.reset()
	for i := range items {
		x.calls = append(x.calls, -1)
		if items[i].kind == kindOutput {
			x.at = append(x.at, int32(i))
			x.used = append(x.used, false)
		}
	}
	if len(x.at) >= manyOutputs {
		if x.byCall == nil {
			x.byCall = make(map[string][]int, len(x.at))
		}
		for n, i := range x.at {
			id := string(callID(&items[i]))
			x.byCall[id] = append(x.byCall[id], n)
		}
	}
	for i := range open {
		n := x.take(items, []byte(open[i].id), -1)
		if n < 0 && open[i].item != "" {
			n = x.take(items, []byte(open[i].item), -1)
		}
		x.open = append(x.open, n)
	}
	if len(x.at) == 0 {
		return
	}
	for i := range items {
		if items[i].kind == kindCall {
			x.calls[i] = x.take(items, callID(&items[i]), i)
		}
	}
	for i := range items {
		if it := &items[i]; it.kind == kindCall && x.calls[i] < 0 && it.id != 0 {
			x.calls[i] = x.take(items, []byte(it.doc.Text(it.id)), i)
		}
	}
}

// callID is the id of a call or output, unescaped. It may alias the document.
func callID(it *item) []byte {
	if it.callID == 0 {
		return nil
	}
	raw := it.doc.Str(it.callID)
	if it.doc.StrKind(it.callID)&jsonx.HasEscape != 0 {
		return jsonx.AppendUnescaped(nil, raw)
	}
	return raw
}

// take finds the output for one call, which stands at index from.
func (x *outputIndex) take(items []item, call []byte, from int) int32 {
	best := -1
	if len(x.at) >= manyOutputs {
		left := x.byCall[string(call)]
		if len(left) == 0 {
			return -1
		}
		n := slices.IndexFunc(left, func(n int) bool { return int(x.at[n]) > from })
		n = max(n, 0)
		best = left[n]
		x.byCall[string(call)] = slices.Delete(left, n, n+1)
	} else {
		for n, i := range x.at {
			if x.used[n] || !answers(&items[i], call) {
				continue
			}
			if best < 0 || int(i) > from {
				best = n
			}
			if int(i) > from {
				break
			}
		}
		if best < 0 {
			return -1
		}
	}
	x.used[best] = true
	return x.at[best]
}

// answers reports whether an output names that call. Calls of client-run
// searches may have no id, and then neither have their outputs.
func answers(out *item, call []byte) bool {
	d, n := out.doc, out.callID
	switch {
	case n == 0:
		return len(call) == 0
	case d.StrKind(n)&jsonx.HasEscape == 0:
		return string(d.Str(n)) == string(call)
	}
	return d.Text(n) == string(call)
}

// output returns the output item at that index, or nil for -1.
func output(items []item, i int32) *item {
	if i < 0 {
		return nil
	}
	return &items[i]
}

// orphaned reports whether no call has taken the output item at index i.
func (x *outputIndex) orphaned(i int) bool {
	n, found := slices.BinarySearch(x.at, int32(i))
	return found && !x.used[n]
}
