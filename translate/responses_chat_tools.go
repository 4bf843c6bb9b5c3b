package translate

import (
	"slices"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// prepareTools settles which tools the model may call, and what the backend
// calls them. It comes before the messages, in which calls have those names.
func (r *Request) prepareTools(h *History, dialect *Dialect) *Error {
	s := &r.tools
	if r.refs > 0 { // what they refer to is known by now
		r.loads = slices.ContainsFunc(r.items, func(it item) bool { return it.loads() != 0 })
	}
	again := s.assigned || h.loaded != nil || r.refs > 0 && r.loads
	if again {
		if err := r.collectTools(h); err != nil {
			return err
		}
	}
	if (again || r.toolsLater()) && r.has(pToolChoice) {
		if err := r.resolveChoice(); err != nil {
			return err
		}
	}
	s.assign(dialect)
	return nil
}

// appendTools appends tools, tool_choice and parallel_tool_calls.
func (r *Request) appendTools(dst []byte, dialect *Dialect, losses *Losses) []byte {
	d, s := &r.doc, &r.tools
	for i := range s.others {
		s.others[i].lose(losses)
	}
	can := dialect.Tools.Choices
	choice := s.choice
	if choice == choiceNone && !can.Has(ChoiceNone) && len(s.tools) > 0 {
		losses.add(ruleChoiceNone, "tool_choice", "")
		return dst
	}
	only := -1 // the one tool that is left
	if choice == choiceNamed && !can.Has(ChoiceNamed) {
		losses.add(ruleChoiceNamed, "tool_choice", "")
		only, choice = s.named, choiceRequired
	}
	if choice == choiceRequired && !can.Has(ChoiceRequired) {
		losses.add(ruleChoiceRequired, "tool_choice", "")
		choice = choiceAuto
	}
	nativeAllowed := s.isAllowed && can.Has(ChoiceAllowed) && s.anyAllowed()

	start := len(dst)
	dst = append(dst, `,"tools":[`...)
	count := 0
	var space *tool // the one whose namespace has been described last
	for i := range s.tools {
		t := &s.tools[i]
		s.report(t, losses)
		switch {
		case t.gone, s.withheld(t), only >= 0 && only != i:
			continue
		case s.isAllowed && !t.allowed && !nativeAllowed:
			continue
		}
		if count > 0 {
			dst = append(dst, ',')
		}
		count++
		first := t.space != 0 && (space == nil || space.doc != t.doc || space.space != t.space)
		if first {
			space = t
		}
		dst = t.append(dst, dialect, losses, first)
	}
	if count == 0 {
		return dst[:start]
	}
	dst = append(dst, ']')
	s.sent = true

	switch {
	case nativeAllowed:
		dst = append(dst, `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"`...)
		dst = append(dst, map[bool]string{true: "required", false: "auto"}[choice == choiceRequired]...)
		dst = append(dst, `","tools":[`...)
		for i := range s.tools {
			if t := &s.tools[i]; t.allowed && s.offered(t) {
				if dst[len(dst)-1] != '[' {
					dst = append(dst, ',')
				}
				dst = t.appendReference(dst, dialect)
			}
		}
		dst = append(dst, "]}}"...)
	case choice == choiceNamed:
		dst = append(dst, `,"tool_choice":`...)
		dst = s.tools[s.named].appendReference(dst, dialect)
	case choice == choiceRequired:
		dst = append(dst, `,"tool_choice":`...)
		dst = jsonx.AppendString(dst, dialect.Tools.RequiredWord)
	case choice == choiceNone:
		dst = append(dst, `,"tool_choice":"none"`...)
	case can != 0 && r.has(pToolChoice) && d.Is(r.params[pToolChoice], "auto"):
		dst = append(dst, `,"tool_choice":"auto"`...)
	}

	if r.has(pParallelToolCalls) {
		switch {
		case dialect.Accepts.Has(ParamParallelToolCalls):
			dst = append(dst, `,"parallel_tool_calls":`...)
			dst = strconv.AppendBool(dst, r.ParallelCalls)
		case !r.ParallelCalls:
			losses.add(ruleParallelCalls, "parallel_tool_calls", "")
		}
	}
	return dst
}

// appendInstruction appends what the model is told of a tool_choice that the backend
// cannot be held to, escaped, after what it is told besides.
func (s *toolSet) appendInstruction(dst []byte, dialect *Dialect) []byte {
	can := dialect.Tools.Choices
	forced := s.choice == choiceRequired || s.choice == choiceNamed && !can.Has(ChoiceNamed)
	if !forced || can.Has(ChoiceRequired) {
		return dst
	}
	if len(dst) > 0 {
		dst = append(dst, `\n\n`...)
	}
	if s.choice == choiceNamed {
		return append(dst, "Your next message must call the function that you have. Do not answer with text alone."...)
	}
	return append(dst, "Your next message must call at least one of the functions that you have. Do not answer with text alone."...)
}

func (s *toolSet) anyAllowed() bool {
	for i := range s.tools {
		if t := &s.tools[i]; t.allowed && s.offered(t) {
			return true
		}
	}
	return false
}

// lose reports a tool that a chat backend cannot have.
func (t *tool) lose(losses *Losses) {
	typ := t.doc.Text(t.doc.Get(t.node, "type"))
	rule := ruleToolUnsupported
	switch typ {
	case "tool_search":
		rule = ruleToolSearch
	case "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11":
		rule = ruleToolWebSearch
	case "shell":
		typ = "shell in a container"
	}
	losses.add(rule, t.at.String(), typ)
}

// report reports what is not as the client would have it, but for what append
// says.
func (s *toolSet) report(t *tool, losses *Losses) {
	switch {
	case t.gone:
		if t.repeated {
			losses.add(ruleToolRepeated, t.at.String(), t.title())
		}
	case s.withheld(t):
		losses.add(ruleToolDeferred, t.at.String(), "until a search loads it")
	case t.deferred:
		losses.add(ruleToolDeferred, t.at.String(), "offered at once")
	}
}

// append appends the tool in the chat form. spaceToo says that it is the first
// of its namespace, whose description it carries.
func (t *tool) append(dst []byte, dialect *Dialect, losses *Losses, spaceToo bool) []byte {
	switch t.form {
	case formCustom:
		return t.appendCustom(dst, dialect, losses, spaceToo)
	case formSearch, formShell, formLocalShell, formPatch:
		return t.appendBuiltin(dst, losses)
	}
	return t.appendFunction(dst, dialect, losses, spaceToo)
}

// appendReference appends the tool as tool_choice names it.
func (t *tool) appendReference(dst []byte, dialect *Dialect) []byte {
	if t.form == formCustom && dialect.Tools.Custom == CustomNative {
		dst = append(dst, `{"type":"custom","custom":{"name":`...)
	} else {
		dst = append(dst, `{"type":"function","function":{"name":`...)
	}
	dst = t.appendSentName(dst)
	return append(dst, "}}"...)
}

// loseMembers reports the members of a tool that have no place in a chat
// function. The tool works without them.
func (t *tool) loseMember(losses *Losses, k uint32) {
	d, v := t.doc, k+1
	if d.Present(v) && d.Kind(v) != jsonx.False && !d.Is(k, "defer_loading") {
		losses.add(ruleToolMember, t.at.String()+"."+brief(d.Text(k)), "")
	}
}

// appendFunction appends a function tool.
func (t *tool) appendFunction(dst []byte, dialect *Dialect, losses *Losses, spaceToo bool) []byte {
	d := t.doc
	var description, parameters, strict uint32
	for k, end := d.First(t.node), d.End(t.node); k < end; k = d.Next(k + 1) {
		v := k + 1
		switch string(keyOf(d, k)) {
		case "type", "name":
		case "description":
			description = v
		case "parameters":
			parameters = v
		case "strict":
			strict = v
		default:
			t.loseMember(losses, k)
		}
	}
	dst = append(dst, `{"type":"function","function":{"name":`...)
	dst = t.appendSentName(dst)
	if spaceToo {
		dst = t.appendDescription(dst, description, true, "", 0)
	} else if d.Present(description) {
		dst = append(dst, `,"description":`...)
		dst = append(dst, d.Raw(description)...)
	}
	dst = append(dst, `,"parameters":`...)
	dst = appendSchema(dst, d, parameters)
	if d.Kind(strict) == jsonx.True {
		if dialect.Accepts.Has(ParamToolStrict) {
			dst = append(dst, `,"strict":true`...)
		} else {
			losses.add(ruleToolStrict, t.at.String()+".strict", "")
		}
	}
	return append(dst, "}}"...)
}

// appendDescription appends ,"description": and what there is of the
// namespace's description, the tool's own, a remark (as it stands inside a JSON
// string) and the text at node more, with blank lines between them.
func (t *tool) appendDescription(dst []byte, own uint32, spaceToo bool, remark string, more uint32) []byte {
	d := t.doc
	mark := len(dst)
	dst = append(dst, `,"description":"`...)
	start := len(dst)
	add := func(text []byte) {
		if len(text) == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, `\n\n`...)
		}
		dst = append(dst, text...)
	}
	if spaceToo {
		if n := d.GetString(t.space, "description"); n != 0 {
			add(d.Str(n))
		}
	}
	if d.Kind(own) == jsonx.String {
		add(d.Str(own))
	}
	if remark != "" {
		if len(dst) > start {
			dst = append(dst, `\n\n`...)
		}
		dst = append(dst, remark...)
		if d.Kind(more) == jsonx.String {
			dst = append(dst, d.Str(more)...)
		}
	}
	if len(dst) == start {
		return dst[:mark]
	}
	return append(dst, '"')
}

// appendSchema appends the schema of a function's parameters. No schema means
// no parameters; a root without a type is given the one that all backends ask
// for, which says the same: arguments are always an object.
func appendSchema(dst []byte, d *jsonx.Doc, n uint32) []byte {
	if !d.Present(n) {
		return append(dst, `{"type":"object","properties":{}}`...)
	}
	clean := !hasEncrypted(d, n)
	if d.Present(d.Get(n, "type")) {
		if clean {
			return append(dst, d.Raw(n)...)
		}
		return appendDecrypted(dst, d, n, false)
	}
	dst = append(dst, `{"type":"object"`...)
	if d.Get(n, "properties") == 0 {
		dst = append(dst, `,"properties":{}`...)
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		if d.Is(k, "type") || !clean && isEncrypted(d, k) {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		if clean {
			dst = append(dst, d.Raw(k+1)...)
		} else {
			dst = appendDecrypted(dst, d, k+1, mapsNames(d, k))
		}
	}
	return append(dst, '}')
}

// Codex marks parameters that the live API shall encrypt with "encrypted":true
// in their schema. Backends that check schemas refuse the keyword, and to the
// others it says nothing.

// hasEncrypted reports whether there is such a mark in a schema.
func hasEncrypted(d *jsonx.Doc, n uint32) bool {
	for v, end := d.First(n), d.End(n); v < end; v++ {
		if isEncrypted(d, v) {
			return true
		}
	}
	return false
}

// marksEncrypted reports whether there is such a mark in the parameters of a function.
// Where there is, the client has to be told that nothing is encrypted in a call: it
// takes the arguments for sealed, and gives them to others as such.
func (t *tool) marksEncrypted() bool {
	schema := t.doc.Get(t.node, "parameters")
	return t.doc.Kind(schema) == jsonx.Object && hasEncrypted(t.doc, schema)
}

// isEncrypted reports whether the string k is a key that marks what it stands in.
func isEncrypted(d *jsonx.Doc, k uint32) bool {
	return d.Kind(k) == jsonx.String && string(d.Str(k)) == "encrypted" && (d.Kind(k+1) == jsonx.True || d.Kind(k+1) == jsonx.False)
}

// mapsNames reports whether the members of a keyword's value are names of the
// user's own rather than keywords.
func mapsNames(d *jsonx.Doc, k uint32) bool {
	switch string(d.Str(k)) {
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
		return true
	}
	return false
}

// appendDecrypted appends a schema without such marks. names says that its keys
// are names.
func appendDecrypted(dst []byte, d *jsonx.Doc, n uint32, names bool) []byte {
	switch d.Kind(n) {
	case jsonx.Object:
		dst = append(dst, '{')
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			if !names && isEncrypted(d, k) {
				continue
			}
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(dst, d.Raw(k)...)
			dst = append(dst, ':')
			switch {
			case !names && (d.Is(k, "default") || d.Is(k, "const") || d.Is(k, "enum") || d.Is(k, "examples")):
				dst = append(dst, d.Raw(k+1)...) // values, not schemas
			default:
				dst = appendDecrypted(dst, d, k+1, !names && mapsNames(d, k))
			}
		}
		return append(dst, '}')
	case jsonx.Array:
		dst = append(dst, '[')
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = appendDecrypted(dst, d, v, false)
		}
		return append(dst, ']')
	}
	return append(dst, d.Raw(n)...)
}
