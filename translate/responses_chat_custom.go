package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A custom tool takes any text, perhaps within a grammar. A backend that has
// only functions is shown one with a single string, and its grammar in words;
// chat_responses_custom.go takes the text out of the call again.

// customSchema is what a custom tool's function takes.
const customSchema = `{"type":"object","properties":{"input":{"type":"string","description":"The input of the tool, as plain text."}},` +
	`"required":["input"],"additionalProperties":false}`

// Remarks before a grammar, by its syntax. They stand inside a JSON string.
const (
	remarkLark  = `The input must match this grammar, which is written for Lark:\n\n`
	remarkRegex = `The input must match this regular expression as a whole:\n\n`
)

// grammar is the grammar of a custom tool: the nodes of its syntax and of its
// definition, or 0 when the input is free.
func (t *tool) grammar() (syntax, definition uint32) {
	d := t.doc
	f := d.Get(t.node, "format")
	if t.form != formCustom || !d.Is(d.Get(f, "type"), "grammar") {
		return 0, 0
	}
	return d.Get(f, "syntax"), d.Get(f, "definition")
}

// appendCustom appends a custom tool: in the chat API's own form where the
// dialect has it, else as a function.
func (t *tool) appendCustom(dst []byte, dialect *Dialect, losses *Losses, spaceToo bool) []byte {
	d := t.doc
	var description uint32
	for k, end := d.First(t.node), d.End(t.node); k < end; k = d.Next(k + 1) {
		switch string(keyOf(d, k)) {
		case "type", "name", "format":
		case "description":
			description = k + 1
		default:
			t.loseMember(losses, k)
		}
	}
	syntax, definition := t.grammar()
	if dialect.Tools.Custom == CustomNative {
		dst = append(dst, `{"type":"custom","custom":{"name":`...)
		dst = t.appendSentName(dst)
		dst = t.appendDescription(dst, description, spaceToo, "", 0)
		if syntax != 0 {
			dst = append(dst, `,"format":{"type":"grammar","grammar":{"syntax":`...)
			dst = append(dst, d.Raw(syntax)...)
			dst = append(dst, `,"definition":`...)
			dst = append(dst, d.Raw(definition)...)
			dst = append(dst, "}}"...)
		}
		return append(dst, "}}"...)
	}
	losses.add(ruleToolCustom, t.at.String(), t.title())
	dst = append(dst, `{"type":"function","function":{"name":`...)
	dst = t.appendSentName(dst)
	remark := ""
	if syntax != 0 {
		losses.add(ruleToolGrammar, t.at.String()+".format", d.Text(syntax))
		if remark = remarkLark; d.Is(syntax, "regex") {
			remark = remarkRegex
		}
	}
	dst = t.appendDescription(dst, description, spaceToo, remark, definition)
	dst = append(dst, `,"parameters":`...)
	dst = append(dst, customSchema...)
	return append(dst, "}}"...)
}

// appendCustomCall appends what an earlier call of a custom tool has besides its
// id, as the model would write it.
func (m *messages) appendCustomCall(it *item) {
	d := it.doc
	if m.dialect.Tools.Custom == CustomNative {
		m.dst = append(m.dst, `,"type":"custom","custom":{"name":`...)
		m.dst = m.appendCallName(m.dst, it)
		m.dst = append(m.dst, `,"input":`...)
		m.dst = append(m.dst, d.Raw(it.payload)...)
		m.dst = append(m.dst, '}')
		return
	}
	m.lose(ruleItemEmulated, itemPath(it.at), d.Text(it.typ))
	m.dst = append(m.dst, `,"type":"function","function":{"name":`...)
	m.dst = m.appendCallName(m.dst, it)
	m.dst = append(m.dst, `,"arguments":"{\"input\":`...)
	m.dst = jsonx.AppendEscaped(m.dst, d.Raw(it.payload))
	m.dst = append(m.dst, `}"}`...)
}
