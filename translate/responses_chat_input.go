package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
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
// chat backends ask for (docs/PROTOCOL.md §3.6): what the assistant said, thought and called
// in one turn is one message; the results of calls follow at once and in order;
// where the dialect says so, roles take turns and system messages stand at the
// head.
type messages struct {
	dialect *Dialect
	losses  *Losses // nil when a history is made
	lost    ruleSet // what is lost then
	sealer  Sealer  // may be nil
	// upstream is ChatOptions.Upstream.
	upstream string
	fetched  map[string]FetchedFile // may be nil
	replay   Replay                 // which reasoning the backend gets: the dialect's, or less
	running  []asyncCall
	past     *History   // what goes before, for ids that come again
	calls    []pastCall // those that were written, when a history is made
	used     []uint64   // ids of calls that were written: see claim
	usedSet  map[uint64]struct{}
	uses     map[uint64]int // of ids that came again: how often
	sent     map[int]string // ids that were changed, by item
	tools    *toolSet       // those of the request; nil when a history is made
	dst      []byte

	// Of the segment at hand:
	items    []item
	outs     *outputIndex
	named    map[string]int // its calls, by call_id and by id; nil until calledBefore needs it
	lastUser int            // index of its last user message, or -1
	turn     []*item        // the assistant's items since the last message was written
	pictures []picture

	// Of all that was written:
	count     int    // messages
	last      role   // of the last message
	contentAt int    // where its content begins in dst, if it has any
	thoughts  []span // where dst has reasoning
	old       int    // how many of them stand before the last user message
	forgot    bool   // it was reported that reasoning is left out
	phased    bool   // it was reported that phases are left out

	memory    memory // of the turn's reasoning
	opened    []byte // what was in an envelope
	openedDoc jsonx.Doc

	scratch  []byte
	args     jsonx.Doc
	taken    []byte // the message that reopen took back
	takenDoc jsonx.Doc

	summaryAt span // where dst has the summary of a compaction as a message
}

// span is a part of a buffer: [from, to).
type span struct{ from, to int }

// segment writes the messages of one run of items: those of a request, or of a
// stored response. open are the calls before it that have no output yet. With
// keepOpen the calls of the last turn may stay without output, and are returned:
// the next request brings it.
func (m *messages) segment(items []item, outs *outputIndex, open []pastCall, keepOpen bool) []pastCall {
	outs.match(items, open)
	m.items, m.outs, m.named, m.lastUser = items, outs, nil, -1
	for i := range items {
		if items[i].kind == kindUser {
			m.lastUser = i
		}
	}
	behind := m.behind(0)
	for n := range open {
		m.moved(outs.open[n], behind)
		m.result([]byte(open[n].id), []byte(open[n].sent), output(items, outs.open[n]), -1)
	}
	m.illustrate()

	for i := range items {
		it := &items[i]
		if it.name != 0 && it.kind <= kindAssistant && !emptyString(it.doc, it.name) {
			m.lose(ruleMessageName, itemPath(i)+".name", it.doc.Text(it.name))
		}
		switch it.kind {
		case kindSystem:
			if m.dialect.SystemMessages == SystemAnywhere {
				m.flush(i, false)
				from := len(m.dst)
				if m.count > 0 {
					from++ // the comma
				}
				m.plain(it, systemRole(m.dialect, it.dev))
				if it.opened != nil {
					m.summaryAt = span{from, len(m.dst)}
				}
			}
			// Elsewhere head has written it already.
		case kindUser:
			m.flush(i, false)
			m.plain(it, "user")
			if i == m.lastUser {
				m.old = len(m.thoughts)
			}
		case kindAssistant:
			m.beginText(i)
			m.turn = append(m.turn, it)
			if it.phase != 0 && !m.phased {
				m.phased = true
				m.lose(ruleMessagePhase, itemPath(i)+".phase", it.doc.Text(it.phase))
			}
		case kindReasoning, kindCall, kindHosted:
			m.turn = append(m.turn, it)
		case kindOutput:
			m.flush(i, false)
			if outs.orphaned(i) {
				m.orphan(it)
			}
		case kindTools, kindConfig: // they say something about the request, not to the model
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
	text, hosted := -1, false
	for n, it := range m.turn {
		switch it.kind {
		case kindCall:
			return
		case kindHosted:
			hosted = true
		case kindAssistant:
			text = n
		}
	}
	if hosted { // it speaks of what came of the call
		m.flush(i, false)
		return
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
func (m *messages) flush(i int, keepOpen bool) (open []pastCall) {
	if !m.assistant(i > m.lastUser) {
		return nil
	}
	for _, it := range m.turn {
		keepOpen = keepOpen && (it.kind != kindCall || m.outs.calls[it.at] < 0)
	}
	behind := m.behind(i)
	for _, it := range m.turn {
		if it.kind == kindCall && m.outs.calls[it.at] < 0 {
			m.run(it)
		}
		switch {
		case it.kind == kindHosted:
			m.remember(it, m.wireID(it), nil)
			m.hostedResult(it)
		case it.kind != kindCall:
		case keepOpen:
			open = append(open, m.remember(it, m.wireID(it), nil))
		default:
			m.moved(m.outs.calls[it.at], behind)
			m.remember(it, m.wireID(it), nil)
			m.result(callID(it), m.wireID(it), output(m.items, m.outs.calls[it.at]), it.at)
		}
	}
	m.turn = m.turn[:0]
	m.illustrate()
	return open
}

// behind is the first item from i on that says or calls something: outputs of
// earlier calls that stand behind it have to be moved.
func (m *messages) behind(i int) int {
	for ; i < len(m.items); i++ {
		switch m.items[i].kind {
		case kindUser, kindAssistant, kindCall, kindHosted:
			return i
		case kindSystem:
			if m.dialect.SystemMessages == SystemAnywhere {
				return i
			}
		}
	}
	return i
}

// moved reports the output at index out, or -1, if it stands behind that item.
func (m *messages) moved(out int32, behind int) {
	if int(out) > behind {
		m.lose(ruleOutputMoved, itemPath(int(out)), "")
	}
}

func (m *messages) lose(rule Rule, path, detail string) {
	if m.losses != nil {
		m.losses.add(rule, path, detail)
		return
	}
	m.lost.add(rule)
}

// begin starts a message, up to the place where its next member comes.
func (m *messages) begin(name string) {
	r := roleOf(name)
	if m.dialect.AssistantAfterTool && r == roleUser && m.last == roleTool {
		m.begin("assistant")
		m.contentAt = len(m.dst) + len(`"content":`)
		m.dst = append(m.dst, `"content":"Done."}`...)
		m.lose(ruleAssistantAfterTool, "input", "")
	}
	if m.dialect.AlternateRoles && r == roleAssistant && (m.last == roleNone || m.last == roleSystem && m.count == 1) {
		m.begin("user")
		m.contentAt = len(m.dst) + len(`"content":`)
		m.dst = append(m.dst, `"content":"Go on."}`...)
		m.lose(ruleUserFirst, "input", "")
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
