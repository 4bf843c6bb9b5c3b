package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A half-built Responses API knows functions and no other tools, or leaves the others out
// in silence (https://github.com/ollama/ollama/blob/main/openai/responses.go). So it is
// shown namespaces, custom tools and tools that the client runs as the functions that a
// chat backend is shown, in the flat form, and so are their earlier calls. Their calls
// in the reply are given back as what they are: see ResponsesTurn.opened.

// PrepareOwn settles how the tools of the request are shown to a backend of that dialect,
// which speaks Responses by halves. h is the conversation that the request continues, or
// nil. It comes before AppendOwnResponses with the same dialect.
func (r *Request) PrepareOwn(h *History, dialect *Dialect) *Error {
	if h == nil {
		h = &noHistory
	}
	return r.prepareTools(h, dialect)
}

// flattens reports whether the backend knows less of tools and parameters than the API.
func (o *OwnResponsesOptions) flattens() bool {
	return o.Dialect != nil && !o.Dialect.Responses.Complete
}

// ownDialect is the dialect by which tools are shown: what is said of chat says nothing.
func (o *OwnResponsesOptions) ownDialect() *Dialect {
	d := *o.Dialect
	d.Tools.Custom = CustomFunction
	d.Accepts |= ParamToolStrict
	return &d
}

// appendOwnTools appends tools and tool_choice in the form that the backend knows. It
// appends nothing and reports false if they can go up as they are.
func (r *Request) appendOwnTools(dst []byte, opt *OwnResponsesOptions) ([]byte, bool) {
	s, habits := &r.tools, &opt.Dialect.Responses
	losses := opt.Losses
	if losses == nil {
		losses = new(Losses)
	}
	if s.simple && (len(s.others) == 0 || habits.HostedTools) && !r.loads {
		return dst, false
	}
	dialect := opt.ownDialect()
	start := len(dst)
	dst = append(dst, `,"tools":[`...)
	first := len(dst)
	next := func() {
		if len(dst) > first {
			dst = append(dst, ',')
		}
	}
	for i := range s.others {
		if t := &s.others[i]; habits.HostedTools && t.space == 0 && !t.doc.Is(t.doc.Get(t.node, "type"), "tool_search") {
			next()
			dst = append(dst, t.doc.Raw(t.node)...)
		} else {
			t.lose(losses)
		}
	}
	var space *tool // the one whose namespace has been described last
	for i := range s.tools {
		t := &s.tools[i]
		s.report(t, losses)
		if t.gone || s.withheld(t) {
			continue
		}
		next()
		ofSpace := t.space != 0 && (space == nil || space.doc != t.doc || space.space != t.space)
		if ofSpace {
			space = t
			losses.add(ruleMendNamespace, t.at.String(), t.doc.Text(t.spaceName()))
		}
		if t.form == formCustom && habits.CustomTools && t.plain || t.form == formFunction && t.plain {
			dst = append(dst, t.doc.Raw(t.node)...)
			continue
		}
		dst = appendFlat(dst, t.append(nil, dialect, losses, ofSpace))
	}
	if len(dst) == first {
		return dst[:start], true
	}
	dst = append(dst, ']')
	reference := func(t *tool) {
		dst = append(dst, `{"type":"function","name":`...)
		dst = t.appendSentName(dst)
		dst = append(dst, '}')
	}
	switch n := r.params[pToolChoice]; {
	case n == 0:
	case s.isAllowed:
		dst = append(dst, `,"tool_choice":{"type":"allowed_tools","mode":`...)
		if s.choice == choiceRequired {
			dst = append(dst, `"required","tools":[`...)
		} else {
			dst = append(dst, `"auto","tools":[`...)
		}
		from := len(dst)
		for i := range s.tools {
			if t := &s.tools[i]; t.allowed && s.offered(t) {
				if len(dst) > from {
					dst = append(dst, ',')
				}
				reference(t)
			}
		}
		dst = append(dst, "]}"...)
	case s.choice == choiceNamed && s.named >= 0 && s.named < len(s.tools):
		dst = append(dst, `,"tool_choice":`...)
		reference(&s.tools[s.named])
	case r.doc.Kind(n) == jsonx.String:
		dst = append(dst, `,"tool_choice":`...)
		dst = append(dst, r.doc.Raw(n)...)
	}
	return dst, true
}

// appendFlat appends a chat function in the flat form of the Responses API.
func appendFlat(dst, nested []byte) []byte {
	const head = `{"type":"function","function":{`
	inside := bytes.TrimSuffix(bytes.TrimPrefix(nested, []byte(head)), []byte("}}"))
	dst = append(dst, `{"type":"function",`...)
	dst = append(dst, inside...)
	return append(dst, '}')
}

// appendOwnItem appends an input item as the backend knows it. ok is false for one that
// says nothing to it.
func (m *messages) appendOwnItem(dst []byte, it *item, habits *ResponsesHabits) (out []byte, ok bool) {
	d := it.doc
	form := it.callForm()
	native := it.kind == kindCall && form == formCustom && habits.CustomTools
	switch {
	case it.kind == kindTools:
		return dst, false // what it brings is among the tools
	case it.kind == kindCall && form == formFunction && it.space == 0 && (!m.tools.clashes), native:
	case it.kind == kindCall:
		m.dst = append(m.dst[:0], `{"type":"function_call","call_id":`...)
		m.dst = jsonx.AppendString(m.dst, callID(it))
		m.dst = append(m.dst, `,"name":`...)
		m.dst = m.appendCallName(m.dst, it)
		m.dst = append(m.dst, `,"arguments":`...)
		switch form {
		case formFunction:
			m.dst = m.appendArguments(m.dst, it)
		case formCustom:
			m.lose(ruleItemEmulated, itemPath(it.at), d.Text(it.typ))
			m.dst = m.appendWrapped(m.dst, d.Raw(it.payload))
		default:
			m.dst = m.appendBuiltinArguments(m.dst, it, form)
		}
		return append(append(dst, m.dst...), '}'), true
	case it.kind == kindOutput && !d.Is(it.typ, "function_call_output") && !(habits.CustomTools && d.Is(it.typ, "custom_tool_call_output")):
		m.dst = append(m.dst[:0], `{"type":"function_call_output","call_id":`...)
		m.dst = jsonx.AppendString(m.dst, callID(it))
		m.dst = append(m.dst, `,"output":`...)
		if n := it.payload; d.Kind(n) == jsonx.Array && habits.OutputParts && d.Is(it.typ, "custom_tool_call_output") {
			m.dst = append(m.dst, d.Raw(n)...)
		} else {
			m.appendOutput(it, callID(it))
		}
		m.pictures = m.pictures[:0]
		return append(append(dst, m.dst...), '}'), true
	}
	return append(dst, d.Raw(it.node)...), true
}

// dressedItems are words in items that a half-built API does not know.
var dressedItems = [][]byte{
	[]byte(`"namespace"`), []byte(`"custom_tool_call`), []byte(`"tool_search`), []byte(`"shell_call`), []byte(`"local_shell_call`),
	[]byte(`"apply_patch_call`), []byte(`"additional_tools"`),
}

// hasDressed reports whether there may be such items.
func hasDressed(items []byte) bool {
	for _, word := range dressedItems {
		if bytes.Contains(items, word) {
			return true
		}
	}
	return false
}

// foreignCall settles what a call in the reply of a half-built backend is: one of a tool
// that it was shown as a function.
func (t *ResponsesTurn) foreignCall(dst []byte, n int, in *inItem) (out []byte, ok bool) {
	s := &t.opt.Request.tools
	if in.kind != inFunction || t.opt.Dialect.Responses.Complete || !s.assigned || s.simple || len(in.namespace) > 0 {
		return dst, false
	}
	if tool, _ := s.called(in.name); tool == nil || tool.form == formFunction && tool.space == 0 && tool.plain {
		return dst, false
	}
	it := &t.items[n]
	it.said = append(it.said, in.name...)
	it.upstreamID = append(it.upstreamID, in.callID...)
	return t.announce(dst, n), true
}
