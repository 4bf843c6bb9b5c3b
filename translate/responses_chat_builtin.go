package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Some tools of the Responses API have no schema of their own, because the
// model was trained on them: shell, local_shell, apply_patch, and the search for
// tools that the client runs. The client runs all of them, so any model can use
// them if it is told how: they are shown as functions with these schemas, whose
// arguments are what the items of the API carry. chat_responses_builtin.go makes
// the items.

// builtinTools describe the forms without a schema of their own: description
// and parameters, as JSON.
var builtinTools = [...]struct{ description, parameters string }{
	formSearch: {
		`"Searches for tools that can be called from then on. Use it when none of the tools that are there fits."`,
		`{"type":"object","properties":{"query":{"type":"string","description":"What the tool should be able to do."}},` +
			`"required":["query"],"additionalProperties":false}`,
	},
	formShell: {
		`"Runs shell commands on the user's machine and returns what each prints and how it ends. ` +
			`Commands of one call run in their order, each in a shell of its own."`,
		`{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":"The commands, each a whole command line."},` +
			`"timeout_ms":{"type":"integer","description":"Milliseconds after which a command is stopped."},` +
			`"max_output_length":{"type":"integer","description":"The most characters of output to return."}},` +
			`"required":["commands"],"additionalProperties":false}`,
	},
	formLocalShell: {
		`"Runs one command on the user's machine and returns what it prints."`,
		`{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},` +
			`"description":"The program and its arguments, such as [\"bash\",\"-lc\",\"ls | wc -l\"]."},` +
			`"working_directory":{"type":"string","description":"Where to run it."},` +
			`"timeout_ms":{"type":"integer","description":"Milliseconds after which it is stopped."},` +
			`"env":{"type":"object","additionalProperties":{"type":"string"},"description":"Environment variables to set."},` +
			`"user":{"type":"string","description":"The user to run it as."}},` +
			`"required":["command"],"additionalProperties":false}`,
	},
	formPatch: {
		`"Creates, changes or deletes one file. A diff is in the V4A format: no line numbers and no file headers; lines that begin with ` +
			`\"+\" are added, with \"-\" removed, with a space stay as context. Each hunk of an update begins with a line \"@@\", which may name ` +
			`the function or class around it, and has about three lines of context on both sides. Every line of a new file begins with \"+\"."`,
		`{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},` +
			`"path":{"type":"string","description":"The file, relative to the workspace."},` +
			`"diff":{"type":"string","description":"The V4A diff. Required for create_file and update_file."}},` +
			`"required":["type","path"],"additionalProperties":false}`,
	},
}

// appendBuiltin appends a tool without a schema of its own as a function.
func (t *tool) appendBuiltin(dst []byte, losses *Losses) []byte {
	d, is := t.doc, builtinTools[t.form]
	losses.add(ruleToolEmulated, t.at.String(), d.Text(d.Get(t.node, "type")))
	dst = append(dst, `{"type":"function","function":{"name":`...)
	dst = t.appendSentName(dst)
	dst = append(dst, `,"description":`...)
	description, parameters := uint32(0), uint32(0)
	for k, end := d.First(t.node), d.End(t.node); k < end; k = d.Next(k + 1) {
		switch key := string(keyOf(d, k)); {
		case key == "type", key == "environment", key == "execution":
		case key == "description" && t.form == formSearch:
			description = k + 1
		case key == "parameters" && t.form == formSearch:
			parameters = k + 1
		default:
			t.loseMember(losses, k)
		}
	}
	if d.Kind(description) == jsonx.String && len(d.Str(description)) > 0 {
		dst = append(dst, d.Raw(description)...)
	} else {
		dst = append(dst, is.description...)
	}
	dst = append(dst, `,"parameters":`...)
	if d.Present(parameters) {
		dst = appendSchema(dst, d, parameters)
	} else {
		dst = append(dst, is.parameters...)
	}
	return append(dst, "}}"...)
}

// callForm is the form of the tool that an earlier call is one of.
func (it *item) callForm() toolForm {
	switch string(it.doc.Str(it.typ)) {
	case "custom_tool_call":
		return formCustom
	case "tool_search_call":
		return formSearch
	case "shell_call":
		return formShell
	case "local_shell_call":
		return formLocalShell
	case "apply_patch_call":
		return formPatch
	}
	return formFunction
}

// appendBuiltinArguments appends the arguments of an earlier call of such a
// tool, as the model would write them.
func (m *messages) appendBuiltinArguments(dst []byte, it *item, form toolForm) []byte {
	d, n := it.doc, it.payload
	m.lose(ruleItemEmulated, itemPath(it.at), d.Text(it.typ))
	switch d.Kind(n) {
	case jsonx.Missing, jsonx.Null: // a search that the server ran
		return append(dst, `"{}"`...)
	case jsonx.String: // arguments as a string, as a function has them
		m.scratch = jsonx.AppendUnescaped(m.scratch[:0], d.Str(n))
		if isObject(&m.args, m.scratch) {
			return append(dst, d.Raw(n)...)
		}
	case jsonx.Object:
		if form != formLocalShell || d.Get(n, "type") == 0 {
			return jsonx.AppendString(dst, d.Raw(n))
		}
		action := []byte{'{'}
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			if d.Is(k, "type") { // always exec: the function has no such parameter
				continue
			}
			if len(action) > 1 {
				action = append(action, ',')
			}
			action = append(action, d.Raw(k)...)
			action = append(action, ':')
			action = append(action, d.Raw(k+1)...)
		}
		return jsonx.AppendString(dst, append(action, '}'))
	}
	return m.appendWrapped(dst, d.Raw(n))
}

// appendFoundTools appends what a search found, for the model: the names that it
// can call now. What those tools are stands among the request's tools.
func (m *messages) appendFoundTools(out *item) {
	d, n := out.doc, out.payload
	switch d.Kind(n) {
	case jsonx.Array:
	case jsonx.String:
		m.dst = append(m.dst, d.Raw(n)...)
		return
	default:
		m.dst = append(m.dst, `"No tools were found."`...)
		return
	}
	m.dst = append(m.dst, '"')
	start := len(m.dst)
	found := func(space, name uint32) {
		if len(m.dst) == start {
			m.dst = append(m.dst, "These tools can be called now: "...)
		} else {
			m.dst = append(m.dst, ", "...)
		}
		m.dst = jsonx.AppendEscaped(m.dst, m.calledName(d, space, name, formFunction))
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		name, inside := d.GetString(v, "name"), d.Get(v, "tools")
		switch {
		case name == 0:
		case d.Is(d.Get(v, "type"), "namespace") && d.Kind(inside) == jsonx.Array:
			for u, end := d.First(inside), d.End(inside); u < end; u = d.Next(u) {
				if tool := d.GetString(u, "name"); tool != 0 {
					found(name, tool)
				}
			}
		default:
			found(0, name)
		}
	}
	if len(m.dst) == start {
		m.dst = append(m.dst, "No tools were found."...)
	}
	m.dst = append(m.dst, '"')
}

// appendPatchResult appends how a patch went: the client's words, and before
// them that it failed.
func (m *messages) appendPatchResult(out *item) {
	d, n := out.doc, out.payload
	status := d.GetString(out.node, "status")
	text := d.Kind(n) == jsonx.String && len(bytes.TrimSpace(d.Str(n))) > 0
	switch {
	case !text && status != 0:
		m.dst = append(m.dst, d.Raw(status)...)
	case !text:
		m.dst = append(m.dst, `"completed"`...)
	case d.Is(status, "failed"):
		m.dst = append(m.dst, `"failed: `...)
		m.dst = append(m.dst, d.Str(n)...)
		m.dst = append(m.dst, '"')
	default:
		m.dst = append(m.dst, d.Raw(n)...)
	}
}

// calledName is the name under which the model knows a tool of the client's, or
// would know it: names are made in the same way every time.
func (m *messages) calledName(d *jsonx.Doc, space, name uint32, form toolForm) string {
	most := m.dialect.Tools.NameMax
	if m.tools != nil && m.tools.clashes {
		for i := range m.tools.tools {
			t := &m.tools.tools[i]
			if t.gone || t.form != form || t.name == 0 || !t.doc.SameStr(t.name, d, name) || (t.space == 0) != (space == 0) {
				continue
			}
			if space == 0 || t.doc.SameStr(t.spaceName(), d, space) {
				return t.known()
			}
		}
	}
	if space == 0 {
		return sentName(d.Text(name), most)
	}
	return joinedName(d.Text(space), d.Text(name), most)
}
