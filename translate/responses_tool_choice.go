package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// hostedChoices are the types in tool_choice that force a tool which only the
// live API can run.
var hostedChoices = []string{
	"file_search", "web_search", "web_search_preview", "web_search_preview_2025_03_11", "computer",
	"computer_use_preview", "computer_use", "code_interpreter", "image_generation", "mcp",
	"programmatic_tool_calling",
}

// choiceForms are the types in tool_choice that name a tool which a chat backend
// can be shown.
var choiceForms = []struct {
	typ   string
	form  toolForm
	named bool // it needs a name
}{
	{"function", formFunction, true},
	{"custom", formCustom, true},
	{"apply_patch", formPatch, false},
	{"shell", formShell, false},
	{"local_shell", formLocalShell, false},
	{"tool_search", formSearch, false},
}

func choiceTypes() []string {
	names := []string{"function", "allowed_tools"}
	for _, c := range choiceForms[1:] {
		names = append(names, c.typ)
	}
	return append(names, hostedChoices...)
}

// validateToolChoice reads tool_choice. What it names is looked for as soon as
// all tools are known: here, if nothing has to be fetched first.
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
	case jsonx.Object:
		if err := r.validateChoiceObject(n); err != nil {
			return err
		}
	default:
		return errType("tool_choice", "one of a string or an object", got(d, n))
	}
	if r.toolsLater() {
		return nil
	}
	return r.resolveChoice()
}

// toolsLater reports whether tools may come from elsewhere than the request.
func (r *Request) toolsLater() bool {
	return r.has(pPreviousResponseID) || r.has(pConversation) || r.refs > 0
}

func (r *Request) validateChoiceObject(n uint32) *Error {
	d, s := &r.doc, &r.tools
	typ := d.Get(n, "type")
	if !d.Present(typ) {
		return errMissing("tool_choice.type")
	}
	s.asked = n
	if d.Is(typ, "allowed_tools") {
		return r.validateAllowedTools(n)
	}
	for _, c := range choiceForms {
		if !d.Is(typ, c.typ) {
			continue
		}
		s.choice = choiceNamed
		if !c.named {
			return nil
		}
		name := d.Get(n, "name")
		if !d.Present(name) {
			return errMissing("tool_choice.name")
		}
		if d.Kind(name) != jsonx.String {
			return errType("tool_choice.name", "a string", got(d, name))
		}
		return nil
	}
	for _, h := range hostedChoices {
		if d.Is(typ, h) {
			return invalid("unsupported_parameter", "tool_choice", "Tool choice '"+h+
				"' cannot be honoured: this server has no such tool for a Chat Completions backend.")
		}
	}
	return errValue("tool_choice.type", d.Text(typ), choiceTypes()...)
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
		if name := d.Get(v, "name"); d.Present(name) && d.Kind(name) != jsonx.String {
			return errType(path+".name", "a string", got(d, name))
		}
		if c := allowedForm(d, v); c.named && !d.Present(d.Get(v, "name")) {
			return errMissing(path + ".name")
		}
	}
	return nil
}

// allowedRef is what an entry of allowed_tools refers to.
type allowedRef struct {
	form   toolForm
	any    bool // whatever the form: the entry has no type
	named  bool // by name
	space  bool // all tools of a namespace
	hosted bool // left out, like the tool itself
}

func allowedForm(d *jsonx.Doc, v uint32) allowedRef {
	typ := d.Get(v, "type")
	if !d.Present(typ) {
		return allowedRef{any: true, named: true}
	}
	if d.Is(typ, "namespace") {
		return allowedRef{named: true, space: true}
	}
	for _, c := range choiceForms {
		if d.Is(typ, c.typ) {
			return allowedRef{form: c.form, named: c.named}
		}
	}
	return allowedRef{hosted: true}
}

// resolveChoice finds the tools that tool_choice names among those there are.
func (r *Request) resolveChoice() *Error {
	d, s := &r.doc, &r.tools
	switch {
	case s.choice == choiceNamed:
		typ := d.Text(d.Get(s.asked, "type"))
		for _, c := range choiceForms {
			if c.typ == typ {
				s.named = s.find(allowedRef{form: c.form, named: c.named}, d, s.asked)
			}
		}
		if s.named < 0 {
			return invalid("invalid_value", "tool_choice", "Tool choice '"+typ+"' not found in 'tools' parameter.")
		}
		return nil
	case s.isAllowed:
		for i := range s.tools {
			s.tools[i].allowed = false
		}
		tools := d.Get(s.asked, "tools")
		for v, end := d.First(tools), d.End(tools); v < end; v = d.Next(v) {
			ref := allowedForm(d, v)
			if ref.hosted {
				continue
			}
			found := false
			for i := range s.tools {
				if s.tools[i].matches(ref, d, v) {
					s.tools[i].allowed, found = true, true
				}
			}
			if !found {
				what := d.Text(d.Get(v, "type"))
				if ref.named {
					what = d.Text(d.Get(v, "name"))
				}
				return invalid("invalid_value", "tool_choice", "Tool choice '"+brief(what)+"' not found in 'tools' parameter.")
			}
		}
	}
	return r.forcible()
}

// find returns the index of the tool that is meant, or -1. A name without a
// namespace may mean a tool inside one, if it means no other.
func (s *toolSet) find(ref allowedRef, d *jsonx.Doc, v uint32) int {
	best, inside := -1, 0
	for i := range s.tools {
		t := &s.tools[i]
		switch {
		case !t.matches(ref, d, v):
		case t.space == 0 || d.Present(d.Get(v, "namespace")):
			return i
		case best < 0 || !s.tools[best].same(t):
			best = i
			inside++
		}
	}
	if inside > 1 {
		return -1
	}
	return best
}

// matches reports whether the reference v in d means the tool.
func (t *tool) matches(ref allowedRef, d *jsonx.Doc, v uint32) bool {
	if !ref.any && !ref.space && ref.form != t.form {
		return false
	}
	if ref.space {
		n := t.spaceName()
		return n != 0 && t.doc.SameStr(n, d, d.Get(v, "name"))
	}
	if !ref.named {
		return true
	}
	if t.name == 0 || !t.doc.SameStr(t.name, d, d.Get(v, "name")) {
		return false
	}
	if space := d.Get(v, "namespace"); d.Kind(space) == jsonx.String {
		n := t.spaceName()
		return n != 0 && t.doc.SameStr(n, d, space)
	}
	return true
}

// forcible refuses tool_choice "required" where no tool could be called.
func (r *Request) forcible() *Error {
	s := &r.tools
	if s.choice != choiceRequired {
		return nil
	}
	if s.given == 0 {
		return invalid("invalid_value", "tool_choice", "Tool choice 'required' must be specified with 'tools' parameter.")
	}
	for i := range s.tools {
		if s.offered(&s.tools[i]) {
			return nil
		}
	}
	return invalid("unsupported_parameter", "tool_choice", "Tool choice 'required' cannot be honoured: none of the "+
		"tools in 'tools' can be offered to a Chat Completions backend.")
}

// offered reports whether the model is shown the tool.
func (s *toolSet) offered(t *tool) bool {
	return !t.gone && (!s.isAllowed || t.allowed) && !s.withheld(t)
}

// permits reports whether the model may call the tool that it named, which is
// nil if there is none of that name: tool_choice "none" and allowed_tools are
// hard constraints, whatever the backend makes of them.
func (s *toolSet) permits(t *tool) bool {
	switch {
	case s.choice == choiceNone:
		return false
	case s.isAllowed:
		return t != nil && t.allowed
	}
	return true
}
