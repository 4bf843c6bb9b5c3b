package translate

import (
	"slices"
	"strconv"

	"antiphon/translate/jsonx"
)

// role is the role of a chat message.
type role uint8

const (
	roleNone role = iota
	roleSystem
	roleUser
	roleAssistant
	roleTool
)

// messages writes chat messages from input items, so that they satisfy what
// chat backends ask for (SPEC §3.6): what the assistant said, thought and called
// in one turn is one message; the results of calls follow at once and in order;
// where the dialect says so, roles take turns and system messages stand at the
// head.
type messages struct {
	dialect *Dialect
	losses  *Losses // may be nil
	dst     []byte

	// Of the segment at hand:
	items    []item
	outs     *outputIndex
	lastUser int     // index of its last user message, or -1
	turn     []*item // the assistant's items since the last message was written
	pictures []picture

	// Of all that was written:
	count     int    // messages
	last      role   // of the last message
	contentAt int    // where its content begins in dst
	thoughts  []span // where dst has reasoning that goes once the user speaks again

	scratch []byte
	args    jsonx.Doc
}

// span is a part of a buffer: [from, to).
type span struct{ from, to int }

// outputIndex finds the output of a call among the items of a segment.
type outputIndex struct {
	at     []int // indexes of output items
	used   []bool
	byCall map[string][]int // indexes into at; made when there are many
}

// manyOutputs is from where on a map is worth it.
const manyOutputs = 32

func (x *outputIndex) reset() {
	clear(x.byCall)
	x.at, x.used = x.at[:0], x.used[:0]
}

func (x *outputIndex) index(items []item) {
	x.reset()
	for i := range items {
		if items[i].kind == kindOutput {
			x.at = append(x.at, i)
			x.used = append(x.used, false)
		}
	}
	if len(x.at) < manyOutputs {
		return
	}
	if x.byCall == nil {
		x.byCall = make(map[string][]int, len(x.at))
	}
	for n, i := range x.at {
		id := callIDOf(&items[i])
		x.byCall[id] = append(x.byCall[id], n)
	}
}

func callIDOf(it *item) string {
	if it.callID == 0 {
		return ""
	}
	return it.doc.Text(it.callID)
}

// take returns the output of the call with that id which stands next after the
// item at index from, else the first there is, and marks it as used. Ids that
// come again in later turns thus find their own outputs.
func (x *outputIndex) take(items []item, call []byte, from int) *item {
	best := -1
	consider := func(n int) bool {
		if x.used[n] {
			return false
		}
		if x.at[n] > from {
			best = n
			return true
		}
		if best < 0 {
			best = n
		}
		return false
	}
	if len(x.at) >= manyOutputs {
		for _, n := range x.byCall[string(call)] {
			if consider(n) {
				break
			}
		}
	} else {
		for n, i := range x.at {
			if answers(&items[i], call) && consider(n) {
				break
			}
		}
	}
	if best < 0 {
		return nil
	}
	x.used[best] = true
	return &items[x.at[best]]
}

// has reports whether the call has an output that take would find.
func (x *outputIndex) has(items []item, call []byte) bool {
	for n, i := range x.at {
		if !x.used[n] && answers(&items[i], call) {
			return true
		}
	}
	return false
}

// spent reports whether the output item at index i was taken. Otherwise it is
// marked now: nobody else will take it.
func (x *outputIndex) spent(i int) bool {
	n, _ := slices.BinarySearch(x.at, i)
	was := x.used[n]
	x.used[n] = true
	return was
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

// segment writes the messages of one run of items: those of a request, or of a
// stored response. open are the calls before it that have no output yet. With
// keepOpen the calls of the last turn may stay without output, and are returned:
// the next request brings it.
func (m *messages) segment(items []item, outs *outputIndex, open []string, keepOpen bool) []string {
	outs.index(items)
	m.items, m.outs, m.lastUser = items, outs, -1
	for i := range items {
		if items[i].kind == kindUser {
			m.lastUser = i
		}
	}
	for _, id := range open {
		m.result([]byte(id), outs.take(items, []byte(id), -1), -1)
	}
	m.illustrate()

	for i := range items {
		it := &items[i]
		switch it.kind {
		case kindSystem:
			if m.dialect.SystemMessages == SystemAnywhere {
				m.flush(i, false)
				m.plain(it, systemRole(m.dialect, it.dev))
			}
			// Elsewhere head has written it already.
		case kindUser:
			m.flush(i, false)
			m.plain(it, "user")
		case kindAssistant:
			m.beginText(i)
			m.turn = append(m.turn, it)
		case kindReasoning, kindCall:
			m.turn = append(m.turn, it)
		case kindOutput:
			m.flush(i, false)
			if !outs.spent(i) {
				m.orphan(it)
			}
		case kindUnsupported:
			m.lose(ruleItemUnsupported, itemPath(i), it.doc.Text(it.typ))
		}
	}
	return m.flush(len(items), keepOpen)
}

// beginText makes room for a message of the assistant in the turn: a turn that
// already has text and no calls is over, and what was thought since then belongs
// to the new one. Where roles must take turns, all goes into one.
func (m *messages) beginText(i int) {
	if m.dialect.AlternateRoles {
		return
	}
	text := -1
	for n, it := range m.turn {
		switch it.kind {
		case kindCall:
			return
		case kindAssistant:
			text = n
		}
	}
	if text < 0 {
		return
	}
	var rest [8]*item
	after := append(rest[:0], m.turn[text+1:]...)
	m.turn = m.turn[:text+1]
	m.flush(i, false)
	m.turn = append(m.turn, after...)
}

// flush writes the turn, which the item at index i ends, as an assistant
// message, and the results of its calls after it. With keepOpen, and if none of
// the calls has an output, they stay open and are returned.
func (m *messages) flush(i int, keepOpen bool) (open []string) {
	if !m.assistant(i > m.lastUser) {
		return nil
	}
	if keepOpen {
		for _, it := range m.turn {
			if it.kind == kindCall {
				id := m.callID(it)
				if m.outs.has(m.items, id) {
					open, keepOpen = nil, false
					break
				}
				open = append(open, string(id))
			}
		}
	}
	if !keepOpen {
		for _, it := range m.turn {
			if it.kind == kindCall {
				id := m.callID(it)
				m.result(id, m.outs.take(m.items, id, it.at), it.at)
			}
		}
	}
	m.turn = m.turn[:0]
	m.illustrate()
	return open
}

func (m *messages) lose(rule Rule, path, detail string) {
	if m.losses != nil {
		m.losses.add(rule, path, detail)
	}
}

// begin starts a message, up to the place where its next member comes.
func (m *messages) begin(name string) {
	r := roleOf(name)
	if m.dialect.AssistantAfterTool && r == roleUser && m.last == roleTool {
		m.begin("assistant")
		m.dst = append(m.dst, `"content":"Done."}`...)
		m.lose(ruleAssistantAfterTool, "input", "")
	}
	if m.count > 0 {
		m.dst = append(m.dst, ',')
	}
	m.count++
	m.last = r
	m.dst = append(m.dst, `{"role":"`...)
	m.dst = append(m.dst, name...)
	m.dst = append(m.dst, `",`...)
}

func partPath(i int, member string, part int) string {
	return itemPath(i) + member + "[" + strconv.Itoa(part) + "]"
}
