package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Histories that come from elsewhere have calls that only the live API's own server
// runs: searches, code, MCP, a computer. What they asked and what came of it is part of
// the conversation, so a chat backend gets to see it as calls and results of functions,
// which nobody can call now. Those that have their results within (kindHosted) are a
// call and its result in one; the others are answered by an item of their own.

// hostedTools are those types: the function's name, and the members of the item that
// are its arguments.
var hostedTools = []struct {
	typ, name string
	members   []string
}{
	{"web_search_call", "web_search", []string{"action"}},
	{"file_search_call", "file_search", []string{"queries"}},
	{"code_interpreter_call", "code_interpreter", []string{"code"}},
	{"image_generation_call", "image_generation", []string{"revised_prompt", "size"}},
	{"mcp_list_tools", "mcp_list_tools", []string{"server_label"}},
	{"mcp_call", "", []string{"arguments"}},
	{"mcp_approval_request", "mcp_approval_request", []string{"server_label", "name", "arguments"}},
	{"computer_call", "computer", []string{"action", "actions"}},
	{"program", "program", []string{"code"}},
	{"multi_agent_call", "multi_agent", []string{"action", "name", "arguments"}},
}

// isCall reports whether the item is a call.
func (it *item) isCall() bool { return it.kind == kindCall || it.kind == kindHosted }

// hostedFirst orders the items of a turn so that those which have their results within
// come first.
func hostedFirst(it *item) int {
	if it.kind == kindHosted {
		return 0
	}
	return 1
}

// readHosted settles what an item of such a tool is, and reports whether it is one.
// Nothing of them is refused: what cannot be told is left out, and reported.
func (it *item) readHosted() bool {
	d := it.doc
	switch string(d.Str(it.typ)) {
	case "computer_call_output", "program_output", "multi_agent_call_output":
	case "mcp_approval_response":
		it.callID = d.GetString(it.node, "approval_request_id")
	case "mcp_approval_request":
		it.callID = it.id
	default:
		if it.hostedTool() < 0 {
			return false
		}
		if it.kind == kindHosted {
			it.callID = it.id
		}
	}
	it.hosted = true
	if it.kind != kindHosted && (d.Kind(it.callID) != jsonx.String || len(d.Str(it.callID)) == 0) {
		it.kind, it.hosted, it.callID = kindUnsupported, false, 0
	}
	return true
}

// hostedTool is the index of the item's tool in hostedTools, or -1.
func (it *item) hostedTool() int {
	for i := range hostedTools {
		if it.doc.Is(it.typ, hostedTools[i].typ) {
			return i
		}
	}
	return -1
}

// appendHostedCall appends what stands in a call after its id.
func (m *messages) appendHostedCall(it *item) {
	d, tool := it.doc, &hostedTools[it.hostedTool()]
	m.lose(ruleItemEmulated, itemPath(it.at), d.Text(it.typ))
	m.dst = append(m.dst, `,"type":"function","function":{"name":`...)
	switch {
	case tool.name != "":
		m.dst = jsonx.AppendString(m.dst, sentName(tool.name, m.dialect.Tools.NameMax))
	case d.Kind(it.name) == jsonx.String && len(d.Str(it.name)) > 0:
		label := d.GetString(it.node, "server_label")
		if label != 0 && len(d.Str(label)) == 0 {
			label = 0
		}
		m.dst = jsonx.AppendString(m.dst, m.calledName(d, label, it.name, formFunction))
	default:
		m.dst = append(m.dst, `"mcp_call"`...)
	}
	m.dst = append(m.dst, `,"arguments":`...)
	m.dst = m.appendHostedArguments(m.dst, it, tool.members)
	m.dst = append(m.dst, '}')
}

// appendHostedArguments appends those members of an item as a JSON string with one
// object: a member that is an object, or such a string, is all of it.
func (m *messages) appendHostedArguments(dst []byte, it *item, members []string) []byte {
	d := it.doc
	args := []byte{'{'}
	for _, key := range members {
		v := d.Get(it.node, key)
		if !d.Present(v) {
			continue
		}
		if len(members) == 1 || key == "action" {
			if d.Kind(v) == jsonx.Object {
				return jsonx.AppendString(dst, d.Raw(v))
			}
			if d.Kind(v) == jsonx.String && isObject(&m.args, []byte(d.Text(v))) {
				return append(dst, d.Raw(v)...)
			}
		}
		if len(args) > 1 {
			args = append(args, ',')
		}
		args = jsonx.AppendString(args, key)
		args = append(args, ':')
		args = append(args, d.Raw(v)...)
	}
	return jsonx.AppendString(dst, append(args, '}'))
}

// hostedResult writes the tool message for a call that has its result within.
func (m *messages) hostedResult(it *item) {
	m.begin("tool")
	m.dst = append(m.dst, `"tool_call_id":`...)
	m.dst = m.appendCallID(m.dst, m.wireID(it))
	m.dst = append(m.dst, `,"content":`...)
	m.contentAt = len(m.dst)
	m.dst = append(m.dst, '"')
	from := len(m.dst)
	m.appendHostedText(it)
	if len(m.dst) == from {
		m.dst = append(m.dst, "(done; what came of it stands in what was said after it)"...)
	}
	m.dst = append(m.dst, `"}`...)
}

// appendHostedText appends what came of a call, escaped.
func (m *messages) appendHostedText(it *item) {
	d := it.doc
	from := len(m.dst)
	line := func(n uint32) {
		if d.Kind(n) != jsonx.String || len(d.Str(n)) == 0 {
			return
		}
		if len(m.dst) > from {
			m.dst = append(m.dst, `\n`...)
		}
		m.dst = append(m.dst, d.Str(n)...)
	}
	if e := d.Get(it.node, "error"); d.Present(e) {
		m.dst = append(m.dst, "Error: "...)
		if d.Kind(e) == jsonx.String {
			m.dst = append(m.dst, d.Str(e)...)
		} else {
			m.dst = jsonx.AppendEscaped(m.dst, string(d.Raw(e)))
		}
		return
	}
	switch string(d.Str(it.typ)) {
	case "web_search_call":
		sources := d.Get(d.Get(it.node, "action"), "sources")
		for v, end := d.First(sources), d.End(sources); v < end; v = d.Next(v) {
			line(d.Get(v, "url"))
		}
		results := d.Get(it.node, "results")
		for v, end := d.First(results), d.End(results); v < end; v = d.Next(v) {
			line(d.Get(v, "title"))
			line(d.Get(v, "url"))
			line(d.Get(v, "text"))
		}
	case "file_search_call":
		results := d.Get(it.node, "results")
		for v, end := d.First(results), d.End(results); v < end; v = d.Next(v) {
			line(d.Get(v, "filename"))
			line(d.Get(v, "text"))
		}
	case "code_interpreter_call":
		outputs := d.Get(it.node, "outputs")
		for v, end := d.First(outputs), d.End(outputs); v < end; v = d.Next(v) {
			if line(d.Get(v, "logs")); d.Is(d.Get(v, "type"), "image") {
				m.lose(rulePartDropped, itemPath(it.at)+".outputs", "image")
			}
		}
	case "image_generation_call":
		if d.Present(d.Get(it.node, "result")) {
			m.dst = append(m.dst, "(an image was made, and shown to the user)"...)
			m.lose(rulePartDropped, itemPath(it.at)+".result", "image")
		}
	case "mcp_list_tools":
		tools := d.Get(it.node, "tools")
		for v, end := d.First(tools), d.End(tools); v < end; v = d.Next(v) {
			line(d.Get(v, "name"))
			if about := d.GetString(v, "description"); about != 0 && len(d.Str(about)) > 0 {
				m.dst = append(append(m.dst, ": "...), d.Str(about)...)
			}
		}
	case "mcp_call":
		line(d.Get(it.node, "output"))
	}
	if len(m.dst) == from && d.Is(d.Get(it.node, "status"), "failed") {
		m.dst = append(m.dst, "(it failed)"...)
	}
}

// appendHostedOutput appends the output of a call that another item has made, as a JSON
// string. id is that of the call, as the backend knows it.
func (m *messages) appendHostedOutput(out *item, id []byte) {
	d, n := out.doc, out.payload
	switch {
	case d.Is(out.typ, "mcp_approval_response"):
		m.dst = append(m.dst, '"')
		if d.Kind(d.Get(out.node, "approve")) == jsonx.True {
			m.dst = append(m.dst, "approved"...)
		} else {
			m.dst = append(m.dst, "not approved"...)
		}
		if why := d.GetString(out.node, "reason"); why != 0 && len(d.Str(why)) > 0 {
			m.dst = append(append(m.dst, ": "...), d.Str(why)...)
		}
		m.dst = append(m.dst, '"')
	case d.Kind(n) == jsonx.Object && d.Is(d.Get(n, "type"), "computer_screenshot"):
		if m.takes(d, n) {
			m.dst = append(m.dst, `"(a screenshot: see the next message)"`...)
			m.pictures = append(m.pictures, picture{out, bytes.Clone(id)})
			return
		}
		m.lose(rulePartDropped, itemPath(out.at)+".output", "computer_screenshot")
		m.dst = append(m.dst, `"(a screenshot, which could not be passed on)"`...)
	case d.Kind(n) == jsonx.String:
		m.dst = append(m.dst, d.Raw(n)...)
	case d.Kind(n) == jsonx.Array && hasTexts(d, n):
		m.dst = append(m.dst, '"')
		m.dst = appendTexts(m.dst, d, n, `\n`)
		m.dst = append(m.dst, '"')
	case d.Present(n):
		m.dst = jsonx.AppendString(m.dst, d.Raw(n))
	default:
		m.dst = append(m.dst, `"completed"`...)
	}
}
