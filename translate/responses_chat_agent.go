package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Agents write to each other in agent_message items: the task of a sub-agent, and its
// answer. For the one that reads it, it is what a user says. The part encrypted_content
// holds what a model has written as an argument of a call; a chat backend has written it
// in plain words, because nobody has encrypted it.

// agentMessage writes an agent_message as a message of that role.
func (m *messages) agentMessage(it *item, role string) {
	d := it.doc
	m.lose(ruleItemEmulated, itemPath(it.at), d.Text(it.typ))
	text := m.agentText(nil, it)
	if !m.merges(roleOf(role)) {
		m.begin(role)
		m.dst = append(m.dst, `"content":`...)
		m.contentAt = len(m.dst)
		m.dst = append(m.dst, '"')
		m.dst = append(m.dst, text...)
		m.dst = append(m.dst, `"}`...)
		return
	}
	m.dst = m.dst[:len(m.dst)-1] // the brace of the last message
	if m.dst[m.contentAt] == '"' {
		m.dst = append(m.dst[:len(m.dst)-1], `\n\n`...)
		m.dst = append(m.dst, text...)
		m.dst = append(m.dst, `"}`...)
		return
	}
	m.dst = append(m.dst[:len(m.dst)-1], `,{"type":"text","text":"`...) // its bracket
	m.dst = append(m.dst, text...)
	m.dst = append(m.dst, `"}]}`...)
}

// agentText appends what an agent_message says, escaped, after who has written it.
func (m *messages) agentText(dst []byte, it *item) []byte {
	d := it.doc
	if author := d.GetString(it.node, "author"); author != 0 && len(d.Str(author)) > 0 {
		dst = append(append(dst, "Message from "...), d.Str(author)...)
		if to := d.GetString(it.node, "recipient"); to != 0 && len(d.Str(to)) > 0 {
			dst = append(append(dst, " to "...), d.Str(to)...)
		}
		dst = append(dst, `:\n`...)
	}
	if d.Kind(it.content) == jsonx.String {
		return append(dst, d.Str(it.content)...)
	}
	first, i := true, -1
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		i++
		n := d.GetString(v, "text")
		if n == 0 {
			n = d.GetString(v, "encrypted_content")
		}
		if n == 0 {
			m.lose(rulePartDropped, partPath(it.at, ".content", i), d.Text(d.Get(v, "type")))
			continue
		}
		if !first {
			dst = append(dst, `\n`...)
		}
		first = false
		dst = append(dst, d.Str(n)...)
	}
	return dst
}
