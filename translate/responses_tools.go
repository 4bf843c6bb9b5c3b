package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Tools come into a conversation from three places: the request's own tools,
// and the items additional_tools and tool_search_output of its input and of
// earlier turns. toolSet holds all that the model may call now, whatever their
// type: how each is shown to a chat backend is in responses_chat_tools.go, what
// its calls become in chat_responses_call.go.

// toolForm is what a tool is for the client: which item a call of it becomes.
type toolForm uint8

const (
	formFunction   toolForm = iota // function_call
	formCustom                     // custom_tool_call
	formSearch                     // tool_search_call
	formShell                      // shell_call
	formLocalShell                 // local_shell_call
	formPatch                      // apply_patch_call
)

// tool is one function, custom tool or client-run tool.
type tool struct {
	doc   *jsonx.Doc
	node  uint32 // the tool's object
	name  uint32 // node of its name; 0 where the type is the name
	space uint32 // node of the namespace's object; 0 without
	form  toolForm

	deferred bool // a search may load it
	gone     bool // a later declaration has taken the place of this one
	repeated bool // and both stand in the request's tools
	allowed  bool // tool_choice allowed_tools has it
	plain    bool // a backend knows it by the name that stands at name
	sent     string

	at toolPlace
}

// toolPlace is where a tool was given.
type toolPlace struct {
	item  int // index of an input item; or one of the two below
	index int // in tools
	sub   int // in a namespace's tools; -1 without
}

const (
	inTools   = -1 // the request's tools
	inHistory = -2 // an earlier turn
)

func toolPath(i int) string { return "tools[" + strconv.Itoa(i) + "]" }

func (p toolPlace) String() string {
	path := toolPath(p.index)
	switch {
	case p.item == inHistory:
		return "previous_response_id"
	case p.item >= 0:
		path = itemPath(p.item) + "." + path
	}
	if p.sub >= 0 {
		path += ".tools[" + strconv.Itoa(p.sub) + "]"
	}
	return path
}

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
	tools  []tool
	others []tool // those that a chat backend cannot have
	given  int    // tools in all
	search bool   // one of tools is the client's search

	choice    toolChoice
	named     int    // index of the one that choiceNamed means
	isAllowed bool   // tool_choice is allowed_tools
	asked     uint32 // node of a tool_choice that is an object

	// Once assign has named the tools:
	assigned bool
	simple   bool // no name differs between the client and the backend, and all are functions
	clashes  bool // some have another name than they would have without the others
	index    nameIndex

	sent bool // appendTools sent some
}

func (s *toolSet) reset() {
	const most = 1024
	keep := func(t []tool) []tool {
		clear(t)
		if cap(t) > most {
			return nil
		}
		return t[:0]
	}
	*s = toolSet{tools: keep(s.tools), others: keep(s.others), index: s.index, simple: true}
}

// maxTools bounds the tools of a request.
const maxTools = 2048

// maxToolName bounds a function name. The live API says 128; clients that put
// servers' names in front of tools' names get longer.
const maxToolName = 512

// collectTools fills the set: with the request's tools, those that the
// conversation h has loaded, and those in the request's items.
func (r *Request) collectTools(h *History) *Error {
	s := &r.tools
	s.tools, s.others, s.given, s.search, s.assigned = s.tools[:0], s.others[:0], 0, false, false
	if n := r.params[pTools]; n != 0 {
		if err := s.read(&r.doc, n, inTools); err != nil {
			return err
		}
	}
	if h != nil && h.loaded != nil {
		_ = s.read(&h.loaded.doc, jsonx.Root, inHistory) // was checked when it came
	}
	if !r.loads {
		return nil
	}
	for i := range r.items {
		it := &r.items[i]
		if n := it.loads(); n != 0 {
			if err := s.read(it.doc, n, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// loads is the array of the tools that an item brings, or 0.
func (it *item) loads() uint32 {
	switch {
	case it.kind != kindTools && it.kind != kindOutput:
		return 0
	case it.kind == kindOutput && !it.doc.Is(it.typ, "tool_search_output"):
		return 0
	case it.doc.Kind(it.payload) != jsonx.Array:
		return 0
	}
	return it.payload
}

// read adds an array of tools.
func (s *toolSet) read(d *jsonx.Doc, n uint32, item int) *Error {
	at := toolPlace{item: item, sub: -1}
	if d.Kind(n) != jsonx.Array {
		return errType("tools", "an array of tools", got(d, n))
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if s.given >= maxTools {
			path := "tools"
			if item >= 0 {
				path = itemPath(item) + ".tools"
			}
			return errArrayTooLong(path, maxTools, max(d.Len(n), maxTools+1))
		}
		if err := s.add(d, v, 0, at); err != nil {
			return err
		}
		at.index++
	}
	return nil
}

// add adds one tool; space is the namespace that it stands in, or 0.
func (s *toolSet) add(d *jsonx.Doc, v, space uint32, at toolPlace) *Error {
	if d.Kind(v) != jsonx.Object {
		return errType(at.String(), "an object", got(d, v))
	}
	typ := d.Get(v, "type")
	switch {
	case !d.Present(typ):
		return errMissing(at.String() + ".type")
	case d.Kind(typ) != jsonx.String:
		return errType(at.String()+".type", "a string", got(d, typ))
	}
	t := tool{doc: d, node: v, space: space, at: at}
	var err *Error
	word := d.Str(typ)
	switch {
	case string(word) == "function":
		if t.name, err = checkFunction(d, v, at); err != nil {
			return err
		}
	case string(word) == "custom":
		t.form = formCustom
		if t.name, err = checkToolName(d, v, at); err != nil {
			return err
		}
		if err = checkFormat(d, v, at); err != nil {
			return err
		}
	case space != 0:
		return s.addOther(t)
	case string(word) == "namespace":
		return s.addNamespace(t)
	case string(word) == "tool_search":
		if !d.Is(d.Get(v, "execution"), "client") {
			return s.addOther(t)
		}
		if n := d.Get(v, "parameters"); d.Present(n) && d.Kind(n) != jsonx.Object {
			return errType(at.String()+".parameters", "an object", got(d, n))
		}
		t.form, s.search = formSearch, true
	case string(word) == "shell":
		env := d.Get(v, "environment")
		if d.Present(env) && !d.Is(d.Get(env, "type"), "local") {
			return s.addOther(t)
		}
		t.form = formShell
	case string(word) == "local_shell":
		t.form = formLocalShell
	case string(word) == "apply_patch":
		t.form = formPatch
	default:
		return s.addOther(t)
	}
	if n := d.Get(v, "description"); d.Present(n) && d.Kind(n) != jsonx.String {
		return errType(at.String()+".description", "a string", got(d, n))
	}
	if onlyPrograms(d, d.Get(v, "allowed_callers")) {
		return s.addOther(t)
	}
	// What an item brings has been loaded, and is there from then on.
	t.deferred = d.Kind(d.Get(v, "defer_loading")) == jsonx.True && at.item == inTools
	s.given++
	s.tools = append(s.tools, t)
	return nil
}

func (s *toolSet) addOther(t tool) *Error {
	s.given++
	s.others = append(s.others, t)
	return nil
}

// onlyPrograms reports whether a tool may be called by programs that the live
// API runs, and by nobody else.
func onlyPrograms(d *jsonx.Doc, n uint32) bool {
	return d.Kind(n) == jsonx.Array && d.Len(n) == 1 && d.Is(d.First(n), "programmatic")
}

// addNamespace adds the tools of a namespace.
func (s *toolSet) addNamespace(t tool) *Error {
	d, at := t.doc, t.at
	if _, err := checkToolName(d, t.node, at); err != nil {
		return err
	}
	if n := d.Get(t.node, "description"); d.Present(n) && d.Kind(n) != jsonx.String {
		return errType(at.String()+".description", "a string", got(d, n))
	}
	tools := d.Get(t.node, "tools")
	if !d.Present(tools) {
		return errMissing(at.String() + ".tools")
	}
	if d.Kind(tools) != jsonx.Array {
		return errType(at.String()+".tools", "an array of tools", got(d, tools))
	}
	if d.Len(tools) == 0 {
		return s.addOther(t) // there is nothing in it to call
	}
	at.sub = 0
	for v, end := d.First(tools), d.End(tools); v < end; v = d.Next(v) {
		if s.given >= maxTools {
			return errArrayTooLong(at.String(), maxTools, maxTools+1)
		}
		if err := s.add(d, v, t.node, at); err != nil {
			return err
		}
		at.sub++
	}
	return nil
}

// checkToolName returns the node of a tool's name.
func checkToolName(d *jsonx.Doc, v uint32, at toolPlace) (name uint32, err *Error) {
	name = d.Get(v, "name")
	if !d.Present(name) {
		return 0, errMissing(at.String() + ".name")
	}
	if d.Kind(name) == jsonx.String {
		if n := len(d.Str(name)); n > 0 && n <= maxToolName {
			return name, nil
		}
	}
	path := at.String() + ".name"
	if err := checkString(d, name, path, maxToolName); err != nil {
		return 0, err
	}
	if len(d.Str(name)) == 0 {
		return 0, errEmptyString(path)
	}
	return name, nil
}

func checkFunction(d *jsonx.Doc, v uint32, at toolPlace) (name uint32, err *Error) {
	if name, err = checkToolName(d, v, at); err != nil {
		return 0, err
	}
	if n := d.Get(v, "parameters"); d.Present(n) && d.Kind(n) != jsonx.Object {
		return 0, errType(at.String()+".parameters", "an object", got(d, n))
	}
	if n := d.Get(v, "strict"); d.Present(n) && d.Kind(n) != jsonx.True && d.Kind(n) != jsonx.False {
		return 0, errType(at.String()+".strict", "a boolean", got(d, n))
	}
	return name, nil
}

// checkFormat checks the format of a custom tool's input.
func checkFormat(d *jsonx.Doc, v uint32, at toolPlace) *Error {
	f := d.Get(v, "format")
	if !d.Present(f) {
		return nil
	}
	path := at.String() + ".format"
	if d.Kind(f) != jsonx.Object {
		return errType(path, "an object", got(d, f))
	}
	typ := d.Get(f, "type")
	switch {
	case !d.Present(typ):
		return errMissing(path + ".type")
	case d.Is(typ, "text"):
		return nil
	case !d.Is(typ, "grammar"):
		if d.Kind(typ) != jsonx.String {
			return errType(path+".type", "a string", got(d, typ))
		}
		return errValue(path+".type", d.Text(typ), "text", "grammar")
	}
	syntax := d.Get(f, "syntax")
	if !d.Present(syntax) {
		return errMissing(path + ".syntax")
	}
	if err := checkEnum(d, syntax, path+".syntax", []string{"lark", "regex"}); err != nil {
		return err
	}
	definition := d.Get(f, "definition")
	if !d.Present(definition) {
		return errMissing(path + ".definition")
	}
	if d.Kind(definition) != jsonx.String {
		return errType(path+".definition", "a string", got(d, definition))
	}
	return nil
}

// spaceName is the node of the name of a tool's namespace, or 0.
func (t *tool) spaceName() uint32 {
	if t.space == 0 {
		return 0
	}
	return t.doc.Get(t.space, "name")
}

// builtinNames are the names under which the forms without one are shown.
var builtinNames = [...]string{
	formSearch: "tool_search", formShell: "shell", formLocalShell: "local_shell", formPatch: "apply_patch",
}

// title is the tool's own name.
func (t *tool) title() string {
	if t.name == 0 {
		return builtinNames[t.form]
	}
	return t.doc.Text(t.name)
}

// withheld reports whether the model is not to see the tool before the client's
// search has loaded it.
func (s *toolSet) withheld(t *tool) bool { return t.deferred && s.search }

// CustomTools reports whether a custom tool is among the tools of the request.
func (r *Request) CustomTools() bool {
	for i := range r.tools.tools {
		if r.tools.tools[i].form == formCustom {
			return true
		}
	}
	return false
}
