package translate

import (
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// chatTools is what a chat request says about tools.
type chatTools struct {
	functions []chatTool // tools and functions, in their order
	choice    toolChoice
	named     uint32   // node of the name that is forced
	namedKind bool     // it is a custom tool
	allowed   []uint32 // nodes of the names in allowed_tools
	isAllowed bool
	custom    bool // there are custom tools
}

// chatTool is one tool of the request.
type chatTool struct {
	node   uint32 // the object with the name in it: function, custom or an element of functions
	name   uint32
	custom bool
	legacy bool // an element of functions
	flat   bool // it has the form of the Responses API
	hosted bool // it is one that only the Responses API has
	index  int
}

func (s *chatTools) reset() {
	functions, allowed := s.functions, s.allowed
	if cap(functions) > 1024 {
		functions = nil
	}
	*s = chatTools{functions: functions[:0], allowed: allowed[:0]}
}

// path is where the tool stands in the request.
func (t *chatTool) path() string {
	switch i := strconv.Itoa(t.index); {
	case t.legacy:
		return "functions[" + i + "]"
	case t.flat:
		return toolPath(t.index)
	case t.custom:
		return "tools[" + i + "].custom"
	default:
		return "tools[" + i + "].function"
	}
}

func (r *ChatRequest) validateTools(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("tools", "an array of objects", got(d, n))
	}
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		path := toolPath(i)
		switch {
		case i == maxTools:
			return errArrayTooLong("tools", maxTools, d.Len(n))
		case d.Kind(v) != jsonx.Object:
			return errType(path, "an object", got(d, v))
		}
		typ := d.Get(v, "type")
		if !d.Present(typ) {
			return errMissing(path + ".type")
		}
		if hostedTool(d, typ) { // it can only mean one thing
			r.tools.functions = append(r.tools.functions, chatTool{node: v, name: typ, flat: true, hosted: true, index: i})
			r.mixed = true
			i++
			continue
		}
		if err := checkEnum(d, typ, path+".type", []string{"function", "custom"}); err != nil {
			return err
		}
		t := chatTool{node: d.Get(v, d.Text(typ)), custom: d.Is(typ, "custom"), index: i}
		if !d.Present(t.node) && d.Present(d.Get(v, "name")) { // as the Responses API has it
			t.node, t.flat, r.mixed = v, true, true
		}
		if !d.Present(t.node) {
			return errMissing(t.path())
		}
		if err := r.addTool(t); err != nil {
			return err
		}
		i++
	}
	return nil
}

// hostedToolTypes are how the types of tools begin that only the Responses API has, and that
// clients list among those of chat.
var hostedToolTypes = []string{"web_search", "file_search", "code_interpreter", "image_generation", "computer_use", "computer", "mcp"}

func hostedTool(d *jsonx.Doc, typ uint32) bool {
	if d.Kind(typ) != jsonx.String {
		return false
	}
	word := d.Text(typ)
	for _, known := range hostedToolTypes {
		if word == known || strings.HasPrefix(word, known+"_preview") || word == "web_search_2025_08_26" {
			return true
		}
	}
	return false
}

func (r *ChatRequest) validateFunctions(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("functions", "an array of objects", got(d, n))
	}
	if d.Len(n) == 0 {
		return errEmptyArray("functions")
	}
	r.Legacy = true
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if i == maxTools {
			return errArrayTooLong("functions", maxTools, d.Len(n))
		}
		if err := r.addTool(chatTool{node: v, legacy: true, index: i}); err != nil {
			return err
		}
		i++
	}
	return nil
}

// maxChatToolName bounds a tool's name. The Chat API says 64, the Responses API 128.
const maxChatToolName = 128

func (r *ChatRequest) addTool(t chatTool) *Error {
	d, path := &r.doc, t.path()
	if d.Kind(t.node) != jsonx.Object {
		return errType(path, "an object", got(d, t.node))
	}
	t.name = d.Get(t.node, "name")
	if !d.Present(t.name) {
		return errMissing(path + ".name")
	}
	if err := checkString(d, t.name, path+".name", maxChatToolName); err != nil {
		return err
	}
	if len(d.Str(t.name)) == 0 {
		return errEmptyString(path + ".name")
	}
	if !ValidID(d.Text(t.name)) {
		return errPattern(path + ".name")
	}
	if v := d.Get(t.node, "description"); d.Present(v) && d.Kind(v) != jsonx.String {
		return errType(path+".description", "a string", got(d, v))
	}
	if t.custom {
		r.tools.custom = true
		if err := checkCustomFormat(d, d.Get(t.node, "format"), path+".format"); err != nil {
			return err
		}
	} else {
		if v := d.Get(t.node, "parameters"); d.Present(v) && d.Kind(v) != jsonx.Object {
			return errType(path+".parameters", "an object", got(d, v))
		}
		if v := d.Get(t.node, "strict"); d.Present(v) {
			var b bool
			if err := checkBool(d, v, path+".strict", &b); err != nil {
				return err
			}
		}
	}
	r.tools.functions = append(r.tools.functions, t)
	return nil
}

// checkCustomFormat checks the format of a custom tool: text, or a grammar.
func checkCustomFormat(d *jsonx.Doc, n uint32, path string) *Error {
	switch {
	case !d.Present(n):
		return nil
	case d.Kind(n) != jsonx.Object:
		return errType(path, "an object", got(d, n))
	}
	typ := d.Get(n, "type")
	if !d.Present(typ) {
		return errMissing(path + ".type")
	}
	if err := checkEnum(d, typ, path+".type", []string{"text", "grammar"}); err != nil || d.Is(typ, "text") {
		return err
	}
	g := d.Get(n, "grammar")
	if !d.Present(g) && d.Present(d.Get(n, "definition")) { // as the Responses API has it
		g = n
	}
	if !d.Present(g) {
		return errMissing(path + ".grammar")
	}
	if d.Kind(g) != jsonx.Object {
		return errType(path+".grammar", "an object", got(d, g))
	}
	syntax, definition := d.Get(g, "syntax"), d.Get(g, "definition")
	if !d.Present(syntax) {
		return errMissing(path + ".grammar.syntax")
	}
	if err := checkEnum(d, syntax, path+".grammar.syntax", []string{"lark", "regex"}); err != nil {
		return err
	}
	if !d.Present(definition) {
		return errMissing(path + ".grammar.definition")
	}
	if d.Kind(definition) != jsonx.String {
		return errType(path+".grammar.definition", "a string", got(d, definition))
	}
	return nil
}

func (r *ChatRequest) validateFunctionCall(n uint32) *Error {
	d, s := &r.doc, &r.tools
	r.Legacy = true
	switch d.Kind(n) {
	case jsonx.String:
		if err := checkEnum(d, n, "function_call", []string{"none", "auto"}); err != nil {
			return err
		}
		if d.Is(n, "none") {
			s.choice = choiceNone
		}
		return nil
	case jsonx.Object:
	default:
		return errType("function_call", "one of a string or an object", got(d, n))
	}
	name := d.Get(n, "name")
	switch {
	case !d.Present(name):
		return errMissing("function_call.name")
	case d.Kind(name) != jsonx.String:
		return errType("function_call.name", "a string", got(d, name))
	}
	s.choice, s.named = choiceNamed, name
	return nil
}

func (r *ChatRequest) validateToolChoice(n uint32) *Error {
	d, s := &r.doc, &r.tools
	switch d.Kind(n) {
	case jsonx.String:
		if err := checkEnum(d, n, "tool_choice", []string{"none", "auto", "required"}); err != nil {
			return err
		}
		switch {
		case d.Is(n, "none"):
			s.choice = choiceNone
		case d.Is(n, "required"):
			s.choice = choiceRequired
		}
		return nil
	case jsonx.Object:
	default:
		return errType("tool_choice", "one of a string or an object", got(d, n))
	}
	typ := d.Get(n, "type")
	if !d.Present(typ) {
		return errMissing("tool_choice.type")
	}
	if err := checkEnum(d, typ, "tool_choice.type", []string{"function", "custom", "allowed_tools"}); err != nil {
		return err
	}
	if d.Is(typ, "allowed_tools") {
		return r.validateAllowed(d.Get(n, "allowed_tools"))
	}
	name, err := choiceName(d, n, d.Text(typ), "tool_choice")
	if err != nil {
		return err
	}
	s.choice, s.named, s.namedKind = choiceNamed, name, d.Is(typ, "custom")
	return nil
}

// choiceName reads {"type":kind,kind:{"name":…}}.
func choiceName(d *jsonx.Doc, n uint32, kind, path string) (name uint32, err *Error) {
	f := d.Get(n, kind)
	if d.Kind(d.Get(n, "name")) == jsonx.String && !d.Present(f) { // as the Responses API has it
		return d.Get(n, "name"), nil
	}
	switch {
	case !d.Present(f):
		return 0, errMissing(path + "." + kind)
	case d.Kind(f) != jsonx.Object:
		return 0, errType(path+"."+kind, "an object", got(d, f))
	}
	name = d.Get(f, "name")
	switch {
	case !d.Present(name):
		return 0, errMissing(path + "." + kind + ".name")
	case d.Kind(name) != jsonx.String:
		return 0, errType(path+"."+kind+".name", "a string", got(d, name))
	}
	return name, nil
}

func (r *ChatRequest) validateAllowed(n uint32) *Error {
	d, s := &r.doc, &r.tools
	const path = "tool_choice.allowed_tools"
	switch {
	case !d.Present(n):
		return errMissing(path)
	case d.Kind(n) != jsonx.Object:
		return errType(path, "an object", got(d, n))
	}
	mode, tools := d.Get(n, "mode"), d.Get(n, "tools")
	if !d.Present(mode) {
		return errMissing(path + ".mode")
	}
	if err := checkEnum(d, mode, path+".mode", []string{"auto", "required"}); err != nil {
		return err
	}
	switch {
	case !d.Present(tools):
		return errMissing(path + ".tools")
	case d.Kind(tools) != jsonx.Array:
		return errType(path+".tools", "an array of objects", got(d, tools))
	case d.Len(tools) > maxTools:
		return errArrayTooLong(path+".tools", maxTools, d.Len(tools))
	case d.Is(mode, "required"):
		s.choice = choiceRequired
	}
	s.isAllowed = true
	i := 0
	for v, end := d.First(tools), d.End(tools); v < end; v = d.Next(v) {
		at := path + ".tools[" + strconv.Itoa(i) + "]"
		i++
		if d.Kind(v) != jsonx.Object {
			return errType(at, "an object", got(d, v))
		}
		kind := "function"
		if typ := d.Get(v, "type"); d.Present(typ) {
			if err := checkEnum(d, typ, at+".type", []string{"function", "custom"}); err != nil {
				return err
			}
			kind = d.Text(typ)
		}
		name, err := choiceName(d, v, kind, at)
		if err != nil {
			return err
		}
		s.allowed = append(s.allowed, name)
	}
	return nil
}

// settle checks what only all parameters together tell.
func (s *chatTools) settle(r *ChatRequest) *Error {
	d := &r.doc
	switch {
	case r.has(cFunctions) && r.has(cTools):
		return invalid("", "functions", "Invalid parameter: 'functions' and 'tools' may not both be given. 'functions' is deprecated; use 'tools'.")
	case r.has(cFunctionCall) && !r.has(cFunctions):
		return invalid("", "function_call", "Invalid value for 'function_call': 'function_call' is only allowed when 'functions' are specified.")
	case len(s.functions) == 0 && (s.choice == choiceRequired || s.choice == choiceNamed):
		return invalid("", "tool_choice", "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
	}
	if s.named != 0 && s.find(d, s.named) < 0 {
		param := "tool_choice"
		if r.Legacy {
			param = "function_call"
		}
		return invalid("invalid_value", param, "Invalid value for '"+param+"': the function '"+brief(d.Text(s.named))+"' is not among the tools.")
	}
	for _, name := range s.allowed {
		if s.find(d, name) < 0 {
			return invalid("invalid_value", "tool_choice", "Tool choice '"+brief(d.Text(name))+"' not found in 'tools' parameter.")
		}
	}
	return nil
}

// find is the index of the tool with that name, or -1.
func (s *chatTools) find(d *jsonx.Doc, name uint32) int {
	for i := range s.functions {
		if !s.functions[i].hosted && d.SameStr(s.functions[i].name, d, name) {
			return i
		}
	}
	return -1
}

// permits reports whether the model may call a tool of that name, the inside of
// a JSON string: "none" and allowed_tools are hard constraints.
func (s *chatTools) permits(d *jsonx.Doc, name []byte) bool {
	if s.choice == choiceNone {
		return false
	}
	if !s.isAllowed {
		return true
	}
	called := string(jsonx.AppendUnescaped(nil, name))
	for _, n := range s.allowed {
		if d.Is(n, called) {
			return true
		}
	}
	return false
}

// appendTools appends tools, tool_choice and parallel_tool_calls in the form of
// the Responses API, which is flat.
func (r *ChatRequest) appendTools(dst []byte, opt *ResponsesOptions) []byte {
	d, s, habits := &r.doc, &r.tools, &opt.Dialect.Responses
	start := len(dst)
	dst = append(dst, `,"tools":[`...)
	count := 0
	for i := range s.functions {
		t := &s.functions[i]
		if t.custom && !habits.CustomTools {
			opt.Losses.add(ruleChatCustomTool, t.path(), d.Text(t.name))
			continue
		}
		if t.hosted && !habits.HostedTools {
			opt.Losses.add(ruleChatHostedTool, t.path(), d.Text(t.name))
			continue
		}
		if count > 0 {
			dst = append(dst, ',')
		}
		if t.hosted {
			dst = append(dst, d.Raw(t.node)...)
			count++
			continue
		}
		if t.custom {
			dst = r.appendCustom(dst, t, opt)
		} else {
			dst = r.appendFunction(dst, t, opt)
		}
		count++
	}
	if n := r.params[cWebSearchOptions]; n != 0 {
		if habits.HostedTools {
			if count > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendWebSearch(dst, n, opt)
			count++
		} else {
			opt.Losses.add(ruleChatWebSearch, "web_search_options", "")
		}
	}
	if count == 0 {
		return dst[:start]
	}
	dst = append(dst, ']')
	named := func(name uint32) {
		kind := "function"
		if s.functions[s.find(d, name)].custom {
			kind = "custom"
		}
		dst = append(dst, `{"type":"`...)
		dst = append(dst, kind...)
		dst = append(dst, `","name":`...)
		dst = append(dst, d.Raw(name)...)
		dst = append(dst, '}')
	}
	switch {
	case s.isAllowed:
		dst = append(dst, `,"tool_choice":{"type":"allowed_tools","mode":"`...)
		if s.choice == choiceRequired {
			dst = append(dst, "required"...)
		} else {
			dst = append(dst, "auto"...)
		}
		dst = append(dst, `","tools":[`...)
		for i, name := range s.allowed {
			if i > 0 {
				dst = append(dst, ',')
			}
			named(name)
		}
		dst = append(dst, "]}"...)
	case s.choice == choiceNamed:
		dst = append(dst, `,"tool_choice":`...)
		named(s.named)
	case s.choice == choiceRequired:
		dst = append(dst, `,"tool_choice":"required"`...)
	case s.choice == choiceNone:
		dst = append(dst, `,"tool_choice":"none"`...)
	case r.has(cToolChoice), r.has(cFunctionCall):
		dst = append(dst, `,"tool_choice":"auto"`...)
	}
	switch {
	case !habits.Takes("parallel_tool_calls"):
		if r.Legacy || r.has(cParallelToolCalls) && !r.ParallelCalls {
			opt.Losses.add(ruleChatHint, "parallel_tool_calls", "") // further calls of a reply are left out
		}
	case r.Legacy: // its answer has room for one call
		dst = append(dst, `,"parallel_tool_calls":false`...)
	case r.has(cParallelToolCalls):
		dst = append(dst, `,"parallel_tool_calls":`...)
		dst = strconv.AppendBool(dst, r.ParallelCalls)
	}
	return dst
}

// appendFunction appends a function. The Responses API makes a function strict
// that does not say, so the Chat API's default is written out (docs/PROTOCOL.md §0.2.12).
func (r *ChatRequest) appendFunction(dst []byte, t *chatTool, opt *ResponsesOptions) []byte {
	d := &r.doc
	var description, parameters, strict uint32
	for k, end := d.First(t.node), d.End(t.node); k < end; k = d.Next(k + 1) {
		switch v := k + 1; string(keyOf(d, k)) {
		case "name":
		case "type":
			if !t.flat && d.Present(v) {
				opt.Losses.add(ruleChatToolMember, t.path()+".type", "")
			}
		case "description":
			description = v
		case "parameters":
			parameters = v
		case "strict":
			strict = v
		default:
			if d.Present(v) {
				opt.Losses.add(ruleChatToolMember, t.path()+"."+brief(d.Text(k)), "")
			}
		}
	}
	dst = append(dst, `{"type":"function","name":`...)
	dst = append(dst, d.Raw(t.name)...)
	if d.Present(description) {
		dst = append(dst, `,"description":`...)
		dst = append(dst, d.Raw(description)...)
	}
	dst = append(dst, `,"parameters":`...)
	dst = appendSchema(dst, d, parameters)
	dst = append(dst, `,"strict":`...)
	dst = strconv.AppendBool(dst, d.Kind(strict) == jsonx.True)
	return append(dst, '}')
}

// appendCustom appends a custom tool, whose grammar is not nested here.
func (r *ChatRequest) appendCustom(dst []byte, t *chatTool, opt *ResponsesOptions) []byte {
	d := &r.doc
	for k, end := d.First(t.node), d.End(t.node); k < end; k = d.Next(k + 1) {
		switch string(keyOf(d, k)) {
		case "name", "description", "format":
		default:
			if d.Present(k+1) && !(t.flat && d.Is(k, "type")) {
				opt.Losses.add(ruleChatToolMember, t.path()+"."+brief(d.Text(k)), "")
			}
		}
	}
	dst = append(dst, `{"type":"custom","name":`...)
	dst = append(dst, d.Raw(t.name)...)
	if v := d.Get(t.node, "description"); d.Present(v) {
		dst = append(dst, `,"description":`...)
		dst = append(dst, d.Raw(v)...)
	}
	if f := d.Get(t.node, "format"); d.Present(f) {
		dst = append(dst, `,"format":{"type":`...)
		dst = append(dst, d.Raw(d.Get(f, "type"))...)
		if g := d.Get(f, "grammar"); d.Is(d.Get(f, "type"), "grammar") {
			if !d.Present(g) {
				g = f
			}
			dst = append(dst, `,"syntax":`...)
			dst = append(dst, d.Raw(d.Get(g, "syntax"))...)
			dst = append(dst, `,"definition":`...)
			dst = append(dst, d.Raw(d.Get(g, "definition"))...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendWebSearch appends web_search_options as the tool that it is there.
func (r *ChatRequest) appendWebSearch(dst []byte, n uint32, opt *ResponsesOptions) []byte {
	d := &r.doc
	dst = append(dst, `{"type":"web_search"`...)
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v := k + 1
		switch {
		case !d.Present(v):
		case d.Is(k, "search_context_size"):
			dst = append(dst, `,"search_context_size":`...)
			dst = append(dst, d.Raw(v)...)
		case d.Is(k, "user_location"):
			dst = append(dst, `,"user_location":{"type":"approximate"`...)
			a := d.Get(v, "approximate")
			for m, mend := d.First(a), d.End(a); m < mend; m = d.Next(m + 1) {
				if d.Is(m, "type") {
					continue
				}
				dst = append(dst, ',')
				dst = append(dst, d.Raw(m)...)
				dst = append(dst, ':')
				dst = append(dst, d.Raw(m+1)...)
			}
			dst = append(dst, '}')
		default:
			opt.Losses.add(ruleChatUnknownParam, "web_search_options."+brief(d.Text(k)), "")
		}
	}
	return append(dst, '}')
}
