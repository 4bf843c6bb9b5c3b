package translate

import (
	"strconv"

	"antiphon/translate/jsonx"
)

// toolChoice is what tool_choice asks for, with the forms that mean the same
// put together.
type toolChoice uint8

const (
	choiceAuto toolChoice = iota
	choiceNone
	choiceRequired
	choiceNamed
)

// toolSet is what a request says about tools.
type toolSet struct {
	functions []tool // the function tools, in their order
	others    []tool // tools that a chat backend cannot have
	given     int    // tools in all

	choice    toolChoice
	named     uint32   // node of the function's name, for choiceNamed
	allowed   []uint32 // nodes of the names in allowed_tools
	isAllowed bool     // tool_choice is allowed_tools

	renamed []renamed
	sent    bool // appendTools sent some
}

type tool struct {
	node  uint32
	name  uint32 // node of a function's name
	index int    // in tools
}

func (s *toolSet) reset() {
	const most = 1024
	keep := func(t []tool) []tool {
		if cap(t) > most {
			return nil
		}
		return t[:0]
	}
	clear(s.renamed)
	*s = toolSet{functions: keep(s.functions), others: keep(s.others), allowed: s.allowed[:0], renamed: s.renamed[:0]}
}

// maxTools bounds the tools of a request, and the subset in tool_choice: names
// are compared each with each.
const maxTools = 2048

// maxToolName bounds a function name. The live API says 128; clients that put
// servers' names in front of tools' names get longer.
const maxToolName = 512

func toolPath(i int) string { return "tools[" + strconv.Itoa(i) + "]" }

func (r *Request) validateTools(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("tools", "an array of tools", got(d, n))
	}
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if i == maxTools {
			return errArrayTooLong("tools", maxTools, d.Len(n))
		}
		path := toolPath(i)
		if d.Kind(v) != jsonx.Object {
			return errType(path, "an object", got(d, v))
		}
		typ := d.Get(v, "type")
		switch {
		case !d.Present(typ):
			return errMissing(path + ".type")
		case d.Kind(typ) != jsonx.String:
			return errType(path+".type", "a string", got(d, typ))
		case !d.Is(typ, "function"):
			if d.Is(typ, "custom") || d.Is(typ, "namespace") {
				if _, err := checkToolName(d, v, path); err != nil {
					return err
				}
			}
			r.tools.others = append(r.tools.others, tool{node: v, index: i})
		default:
			name, err := r.validateFunction(v, path)
			if err != nil {
				return err
			}
			r.tools.functions = append(r.tools.functions, tool{node: v, name: name, index: i})
		}
		i++
	}
	r.tools.given = i
	return nil
}

// checkToolName returns the node of a tool's name.
func checkToolName(d *jsonx.Doc, v uint32, path string) (name uint32, err *Error) {
	name = d.Get(v, "name")
	if !d.Present(name) {
		return 0, errMissing(path + ".name")
	}
	if err := checkString(d, name, path+".name", maxToolName); err != nil {
		return 0, err
	}
	if len(d.Str(name)) == 0 {
		return 0, errEmptyString(path + ".name")
	}
	return name, nil
}

func (r *Request) validateFunction(v uint32, path string) (name uint32, err *Error) {
	d := &r.doc
	if name, err = checkToolName(d, v, path); err != nil {
		return 0, err
	}
	if n := d.Get(v, "parameters"); d.Present(n) && d.Kind(n) != jsonx.Object {
		return 0, errType(path+".parameters", "an object", got(d, n))
	}
	if n := d.Get(v, "description"); d.Present(n) && d.Kind(n) != jsonx.String {
		return 0, errType(path+".description", "a string", got(d, n))
	}
	if n := d.Get(v, "strict"); d.Present(n) {
		var b bool
		return name, checkBool(d, n, path+".strict", &b)
	}
	return name, nil
}

// hostedChoices are the types in tool_choice that force a tool which only the
// live API can run.
var hostedChoices = []string{
	"file_search", "web_search", "web_search_preview", "web_search_preview_2025_03_11", "computer",
	"computer_use_preview", "computer_use", "code_interpreter", "image_generation", "mcp",
	"programmatic_tool_calling", "apply_patch", "shell", "custom",
}

func (r *Request) validateToolChoice(n uint32) *Error {
	d, s := &r.doc, &r.tools
	switch d.Kind(n) {
	case jsonx.String:
		switch {
		case d.Is(n, "auto"):
		case d.Is(n, "none"):
			s.choice = choiceNone
		case d.Is(n, "required"):
			s.choice = choiceRequired
		default:
			return errValue("tool_choice", d.Text(n), "none", "auto", "required")
		}
		return r.forcible()
	case jsonx.Object:
	default:
		return errType("tool_choice", "one of a string or an object", got(d, n))
	}
	typ := d.Get(n, "type")
	if !d.Present(typ) {
		return errMissing("tool_choice.type")
	}
	switch {
	case d.Is(typ, "function"):
		name := d.Get(n, "name")
		if !d.Present(name) {
			return errMissing("tool_choice.name")
		}
		if d.Kind(name) != jsonx.String {
			return errType("tool_choice.name", "a string", got(d, name))
		}
		if !s.declares(d, name) {
			return invalid("invalid_value", "tool_choice", "Tool choice 'function' not found in 'tools' parameter.")
		}
		s.choice, s.named = choiceNamed, name
		return nil
	case d.Is(typ, "allowed_tools"):
		return r.validateAllowedTools(n)
	}
	for _, h := range hostedChoices {
		if d.Is(typ, h) {
			return invalid("unsupported_parameter", "tool_choice", "Tool choice '"+h+
				"' cannot be honoured: this server has no such tool for a Chat Completions backend.")
		}
	}
	return errValue("tool_choice.type", d.Text(typ), append([]string{"function", "allowed_tools"}, hostedChoices...)...)
}

func (r *Request) validateAllowedTools(n uint32) *Error {
	d, s := &r.doc, &r.tools
	if mode := d.Get(n, "mode"); d.Present(mode) {
		if err := checkEnum(d, mode, "tool_choice.mode", []string{"auto", "required"}); err != nil {
			return err
		}
		if d.Is(mode, "required") {
			s.choice = choiceRequired
		}
	}
	tools := d.Get(n, "tools")
	if !d.Present(tools) {
		return errMissing("tool_choice.tools")
	}
	if d.Kind(tools) != jsonx.Array {
		return errType("tool_choice.tools", "an array of objects", got(d, tools))
	}
	s.isAllowed = true
	i := 0
	for v, end := d.First(tools), d.End(tools); v < end; v = d.Next(v) {
		if i == maxTools {
			return errArrayTooLong("tool_choice.tools", maxTools, d.Len(tools))
		}
		path := "tool_choice.tools[" + strconv.Itoa(i) + "]"
		i++
		if d.Kind(v) != jsonx.Object {
			return errType(path, "an object", got(d, v))
		}
		if typ := d.Get(v, "type"); d.Present(typ) && !d.Is(typ, "function") {
			continue // left out, like the tool itself
		}
		name := d.Get(v, "name")
		if !d.Present(name) {
			return errMissing(path + ".name")
		}
		if d.Kind(name) != jsonx.String {
			return errType(path+".name", "a string", got(d, name))
		}
		if !s.declares(d, name) {
			return invalid("invalid_value", "tool_choice", "Tool choice '"+brief(d.Text(name))+"' not found in 'tools' parameter.")
		}
		s.allowed = append(s.allowed, name)
	}
	return r.forcible()
}

// forcible refuses tool_choice "required" where no tool could be called.
func (r *Request) forcible() *Error {
	s := &r.tools
	if s.choice != choiceRequired {
		return nil
	}
	switch {
	case s.given == 0:
		return invalid("invalid_value", "tool_choice", "Tool choice 'required' must be specified with 'tools' parameter.")
	case len(s.functions) == 0, s.isAllowed && len(s.allowed) == 0:
		return invalid("unsupported_parameter", "tool_choice", "Tool choice 'required' cannot be honoured: none of the "+
			"tools in 'tools' can be offered to a Chat Completions backend.")
	}
	return nil
}

func (s *toolSet) declares(d *jsonx.Doc, name uint32) bool {
	for _, t := range s.functions {
		if d.SameStr(t.name, d, name) {
			return true
		}
	}
	return false
}

// offered reports whether a function is among those that tool_choice leaves.
func (s *toolSet) offered(d *jsonx.Doc, t tool) bool {
	if !s.isAllowed {
		return true
	}
	for _, name := range s.allowed {
		if d.SameStr(t.name, d, name) {
			return true
		}
	}
	return false
}

// permits reports whether the model may call the function that the client knows
// by this name (the inside of a JSON string): tool_choice "none" and
// allowed_tools are hard constraints, whatever the backend makes of them.
func (r *Request) permits(name []byte) bool {
	s := &r.tools
	if s.choice == choiceNone {
		return false
	}
	if !s.isAllowed {
		return true
	}
	called := string(jsonx.AppendUnescaped(nil, name))
	for _, n := range s.allowed {
		if r.doc.Is(n, called) {
			return true
		}
	}
	return false
}

// appendTools appends tools, tool_choice and parallel_tool_calls.
func (r *Request) appendTools(dst []byte, dialect *Dialect, losses *Losses) ([]byte, *Error) {
	d, s := &r.doc, &r.tools
	for _, t := range s.others {
		losses.add(ruleToolUnsupported, toolPath(t.index), d.Text(d.Get(t.node, "type")))
	}
	can := dialect.Tools.Choices
	choice := s.choice
	if choice == choiceNone && !can.Has(ChoiceNone) && len(s.functions) > 0 {
		losses.add(ruleChoiceNone, "tool_choice", "")
		return dst, nil
	}
	only := uint32(0) // the one function that is left
	if choice == choiceNamed && !can.Has(ChoiceNamed) {
		losses.add(ruleChoiceNamed, "tool_choice", "")
		only, choice = s.named, choiceRequired
	}
	if choice == choiceRequired && !can.Has(ChoiceRequired) {
		losses.add(ruleChoiceRequired, "tool_choice", "")
		choice = choiceAuto
	}
	nativeAllowed := s.isAllowed && len(s.allowed) > 0 && can.Has(ChoiceAllowed)

	start := len(dst)
	dst = append(dst, `,"tools":[`...)
	count := 0
	for _, t := range s.functions {
		if !nativeAllowed && !s.offered(d, t) || only != 0 && !d.SameStr(t.name, d, only) {
			continue
		}
		if count > 0 {
			dst = append(dst, ',')
		}
		dst = r.appendFunction(dst, t, dialect, losses)
		count++
	}
	if count == 0 {
		return dst[:start], nil
	}
	if err := s.collision(d); err != nil {
		return dst[:start], err
	}
	dst = append(dst, ']')
	s.sent = true

	switch {
	case nativeAllowed:
		dst = append(dst, `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"`...)
		dst = append(dst, map[bool]string{true: "required", false: "auto"}[choice == choiceRequired]...)
		dst = append(dst, `","tools":[`...)
		for i, name := range s.allowed {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"type":"function","function":{"name":`...)
			dst = s.appendName(dst, d, name, dialect.Tools.NameMax)
			dst = append(dst, "}}"...)
		}
		dst = append(dst, "]}}"...)
	case choice == choiceNamed:
		dst = append(dst, `,"tool_choice":{"type":"function","function":{"name":`...)
		dst = s.appendName(dst, d, s.named, dialect.Tools.NameMax)
		dst = append(dst, "}}"...)
	case choice == choiceRequired:
		dst = append(dst, `,"tool_choice":`...)
		dst = jsonx.AppendString(dst, dialect.Tools.RequiredWord)
	case choice == choiceNone:
		dst = append(dst, `,"tool_choice":"none"`...)
	case r.has(pToolChoice) && d.Is(r.params[pToolChoice], "auto"):
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
	return dst, nil
}

// appendFunction appends one function tool in the chat form.
func (r *Request) appendFunction(dst []byte, t tool, dialect *Dialect, losses *Losses) []byte {
	d := &r.doc
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
			// defer_loading, async, output_schema …: the tool works without.
			if d.Present(v) && d.Kind(v) != jsonx.False {
				losses.add(ruleToolMember, toolPath(t.index)+"."+brief(d.Text(k)), "")
			}
		}
	}
	dst = append(dst, `{"type":"function","function":{"name":`...)
	dst = r.tools.appendName(dst, d, t.name, dialect.Tools.NameMax)
	if d.Present(description) {
		dst = append(dst, `,"description":`...)
		dst = append(dst, d.Raw(description)...)
	}
	dst = append(dst, `,"parameters":`...)
	dst = appendSchema(dst, d, parameters)
	if d.Kind(strict) == jsonx.True {
		if dialect.Accepts.Has(ParamToolStrict) {
			dst = append(dst, `,"strict":true`...)
		} else {
			losses.add(ruleToolStrict, toolPath(t.index)+".strict", "")
		}
	}
	return append(dst, "}}"...)
}

// appendSchema appends the schema of a function's parameters. No schema means
// no parameters; a root without a type is given the one that all backends ask
// for, which says the same: arguments are always an object.
func appendSchema(dst []byte, d *jsonx.Doc, n uint32) []byte {
	if !d.Present(n) {
		return append(dst, `{"type":"object","properties":{}}`...)
	}
	if d.Present(d.Get(n, "type")) {
		return append(dst, d.Raw(n)...)
	}
	dst = append(dst, `{"type":"object"`...)
	if d.Get(n, "properties") == 0 {
		dst = append(dst, `,"properties":{}`...)
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		if d.Is(k, "type") {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
	}
	return append(dst, '}')
}

// collision refuses two functions that look the same to the backend.
func (s *toolSet) collision(d *jsonx.Doc) *Error {
	for i, a := range s.renamed {
		for _, b := range s.renamed[:i] {
			if a.short == b.short && a.long != b.long {
				return errCollision(a.long, b.long, a.short)
			}
		}
		for _, t := range s.functions {
			if d.Is(t.name, a.short) && a.long != a.short {
				return errCollision(a.long, a.short, a.short)
			}
		}
	}
	return nil
}

func errCollision(a, b, short string) *Error {
	return invalid("invalid_value", "tools", "The tools '"+brief(a)+"' and '"+brief(b)+
		"' would both be called '"+short+"' for this backend. Rename one of them.")
}
