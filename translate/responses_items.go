package translate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// itemKind groups the types of input items by what becomes of them.
type itemKind uint8

const (
	kindUser        itemKind = iota // message of role user
	kindSystem                      // message of role system or developer
	kindAssistant                   // message of role assistant
	kindReasoning                   //
	kindCall                        // function_call, and other calls with a call_id
	kindHosted                      // a call that the API's own server has run, with what came of it: see hosted
	kindOutput                      // function_call_output, and the outputs of other calls
	kindReference                   // item_reference
	kindTools                       // additional_tools: more tools from here on
	kindConfig                      // configuration_update: another effort or format from here on
	kindCompaction                  // compaction that has not been opened: see openCompactions
	kindTrigger                     // compaction_trigger
	kindGone                        // what a compaction stands for
	kindUnsupported                 // known to the API, but of no use to a chat backend
)

// item is one input item: where its members stand in doc.
type item struct {
	doc  *jsonx.Doc
	node uint32 // the item's object; for input given as a string, that string
	at   int    // index in the input
	kind itemKind
	dev  bool // role developer
	// agent says that the message is an agent_message; hosted, that the item is a call
	// that only the API's server runs, or the output of one.
	agent, hosted bool
	again         bool // the history has it already: it is left out

	typ     uint32 // "type"; 0 for an easy message
	id      uint32
	role    uint32
	content uint32 // "content"
	callID  uint32 // "call_id"
	name    uint32 // "name"
	space   uint32 // "namespace"
	payload uint32 // of a call its arguments or the like, of an output its output
	summary uint32 // of reasoning
	sealed  uint32 // of reasoning and compaction, the encrypted_content
	phase   uint32 // of a message

	opened *summarized // of what stands for a compaction item
}

// isFunction reports whether the item is a plain function call or the output of
// one, rather than a relative of those that has to be dressed up as one.
func (it *item) isFunction() bool {
	return it.doc.Is(it.typ, "function_call") || it.doc.Is(it.typ, "function_call_output")
}

// itemTypes are the types of input items that the API knows (docs/PROTOCOL.md §3.3), with
// their kind and the member that carries a call's or output's payload.
var itemTypes = []struct {
	name    string
	kind    itemKind
	payload string
}{
	{"message", kindUser, ""},
	{"reasoning", kindReasoning, ""},
	{"function_call", kindCall, "arguments"},
	{"function_call_output", kindOutput, "output"},
	{"item_reference", kindReference, ""},
	{"custom_tool_call", kindCall, "input"},
	{"custom_tool_call_output", kindOutput, "output"},
	{"shell_call", kindCall, "action"},
	{"shell_call_output", kindOutput, "output"},
	{"local_shell_call", kindCall, "action"},
	{"local_shell_call_output", kindOutput, "output"},
	{"apply_patch_call", kindCall, "operation"},
	{"apply_patch_call_output", kindOutput, "output"},
	{"tool_search_call", kindCall, "arguments"},
	{"tool_search_output", kindOutput, "tools"},
	{"compaction", kindCompaction, ""},
	{"compaction_trigger", kindTrigger, ""},
	{"configuration_update", kindConfig, ""},
	{"additional_tools", kindTools, "tools"},
	{"context_compaction", kindCompaction, ""},
	{"agent_message", kindUser, ""},
	{"computer_call", kindCall, ""},
	{"computer_call_output", kindOutput, "output"},
	{"web_search_call", kindHosted, ""},
	{"file_search_call", kindHosted, ""},
	{"code_interpreter_call", kindHosted, ""},
	{"image_generation_call", kindHosted, ""},
	{"mcp_list_tools", kindHosted, ""},
	{"mcp_approval_request", kindCall, ""},
	{"mcp_approval_response", kindOutput, ""},
	{"mcp_call", kindHosted, ""},
	{"program", kindCall, ""},
	{"program_output", kindOutput, "result"},
	{"multi_agent_call", kindCall, ""},
	{"multi_agent_call_output", kindOutput, "output"},
}

func itemTypeNames() []string {
	names := make([]string, len(itemTypes))
	for i := range itemTypes {
		names[i] = itemTypes[i].name
	}
	slices.Sort(names)
	return names
}

// keyOf is the key at node k, unescaped.
func keyOf(d *jsonx.Doc, k uint32) []byte {
	if d.StrKind(k)&jsonx.HasEscape != 0 {
		return []byte(d.Text(k))
	}
	return d.Str(k)
}

func itemPath(i int) string { return "input[" + strconv.Itoa(i) + "]" }

// phaseValues are the phases of an assistant's message.
var phaseValues = []string{"commentary", "final_answer"}

var roleNames = []string{"assistant", "system", "developer", "user"}

// validateInput reads input into r.items.
func (r *Request) validateInput(n uint32, lim RequestLimits) *Error {
	d := &r.doc
	switch d.Kind(n) {
	case jsonx.String:
		if len(d.Str(n)) > maxInputText {
			if err := checkString(d, n, "input", maxInputText); err != nil {
				return err
			}
		}
		if len(d.Str(n)) > 0 {
			r.items = append(r.items, item{doc: d, node: n, kind: kindUser, content: n})
		}
		return nil
	case jsonx.Array:
	default:
		return errType("input", "one of a string or array of input items", got(d, n))
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if len(r.items) >= lim.Items {
			return errArrayTooLong("input", lim.Items, d.Len(n))
		}
		it, err := readItem(d, v, len(r.items))
		// A message of chat, whose calls would be lost. Its content may be null, which
		// would be the smaller complaint.
		if (err != nil || it.kind == kindAssistant) && d.Kind(v) == jsonx.Object && d.Is(d.Get(v, "role"), "assistant") && d.Len(d.Get(v, "tool_calls")) > 0 {
			err = errUnknown(itemPath(len(r.items)) + ".tool_calls")
			err.Message += " In the Responses API, each call of a tool is an item of the type 'function_call'."
		}
		if err != nil {
			return err
		}
		switch {
		case it.kind == kindReference:
			r.refs++
		case it.loads() != 0:
			r.loads = true
		}
		r.items = append(r.items, it)
	}
	for i := range r.items[:max(len(r.items)-1, 0)] {
		if r.items[i].kind == kindTrigger {
			return invalid("invalid_value", itemPath(i), "Invalid '"+itemPath(i)+"': a 'compaction_trigger' must be the last item of 'input'.")
		}
	}
	return duplicateID(r.items)
}

// readItem reads one input item and checks what every backend needs of it.
func readItem(d *jsonx.Doc, n uint32, i int) (it item, err *Error) {
	if d.Kind(n) != jsonx.Object {
		return it, errType(itemPath(i), "an input item", got(d, n))
	}
	it = item{doc: d, node: n, at: i}
	var arguments, output, input, action, operation, tools uint32
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v := k + 1
		if d.Kind(v) == jsonx.Null {
			continue
		}
		switch string(keyOf(d, k)) {
		case "type":
			it.typ = v
		case "id":
			it.id = v
		case "role":
			it.role = v
		case "content":
			it.content = v
		case "call_id":
			it.callID = v
		case "name":
			it.name = v
		case "namespace":
			it.space = v
		case "summary":
			it.summary = v
		case "encrypted_content":
			it.sealed = v
		case "phase":
			it.phase = v
		case "arguments":
			arguments = v
		case "output":
			output = v
		case "input":
			input = v
		case "action":
			action = v
		case "operation":
			operation = v
		case "tools":
			tools = v
		}
	}
	if it.id != 0 {
		if d.Kind(it.id) != jsonx.String {
			return it, errType(itemPath(i)+".id", "a string", got(d, it.id))
		}
		if len(d.Str(it.id)) == 0 { // says as little as none
			it.id = 0
		}
	}
	if it.typ == 0 {
		switch {
		case it.role != 0:
			return it, it.readMessage(i)
		case it.id != 0 && (d.Len(n) == 1 || d.Len(n) == 2 && d.Get(n, "type") != 0):
			it.kind = kindReference // the type may be left out, or null
			return it, nil
		}
		return it, errMissing(itemPath(i) + ".type")
	}
	if d.Kind(it.typ) != jsonx.String {
		return it, errType(itemPath(i)+".type", "a string", got(d, it.typ))
	}
	typ := d.Str(it.typ)
	if string(typ) == "message" {
		return it, it.readMessage(i)
	}
	t := slices.IndexFunc(itemTypes, func(t struct {
		name    string
		kind    itemKind
		payload string
	}) bool {
		return t.name == string(typ)
	})
	if t < 0 {
		if strings.Contains(string(typ), ":") { // an extension of Open Responses
			it.kind = kindUnsupported
			return it, nil
		}
		return it, errValue(itemPath(i), d.Text(it.typ), itemTypeNames()...)
	}
	it.kind = itemTypes[t].kind
	switch itemTypes[t].payload {
	case "arguments":
		it.payload = arguments
	case "output":
		it.payload = output
	case "input":
		it.payload = input
	case "action":
		it.payload = action
	case "operation":
		it.payload = operation
	case "tools":
		it.payload = tools
	case "result":
		it.payload = d.Get(n, "result")
	}
	if it.readHosted() {
		return it, nil
	}
	switch it.kind {
	case kindUser: // an agent_message: who has written it stands in it
		it.agent = true
		if k := d.Kind(it.content); k != jsonx.String && k != jsonx.Array {
			it.kind, it.agent = kindUnsupported, false
		}
	case kindCall:
		return it, it.checkCall(i, itemTypes[t].payload)
	case kindOutput:
		return it, it.checkOutput(i, itemTypes[t].payload)
	case kindReasoning:
		return it, it.checkReasoning(i)
	case kindTools:
		switch {
		case it.payload == 0:
			return it, errMissing(itemPath(i) + ".tools")
		case d.Kind(it.payload) != jsonx.Array:
			return it, errType(itemPath(i)+".tools", "an array of tools", got(d, it.payload))
		}
	case kindConfig:
		return it, it.checkConfig(i)
	case kindReference:
		if it.id == 0 {
			return it, errMissing(itemPath(i) + ".id")
		}
	case kindCompaction:
		return it, it.checkCompaction(i)
	}
	return it, nil
}

// readMessage settles the kind of a message, and checks its content.
func (it *item) readMessage(i int) *Error {
	d := it.doc
	switch {
	case it.role == 0:
		return errMissing(itemPath(i) + ".role")
	case d.Kind(it.role) != jsonx.String:
		return errType(itemPath(i)+".role", "one of "+list(roleNames, "or"), got(d, it.role))
	case d.Is(it.role, "user"):
		it.kind = kindUser
	case d.Is(it.role, "assistant"):
		it.kind = kindAssistant
	case d.Is(it.role, "system"):
		it.kind = kindSystem
	case d.Is(it.role, "developer"):
		it.kind, it.dev = kindSystem, true
	default:
		err := errValue(itemPath(i)+".role", d.Text(it.role), roleNames...)
		if d.Is(it.role, "tool") || d.Is(it.role, "function") {
			err.Message += " In the Responses API, the result of a tool is an item of the type 'function_call_output' with its 'call_id' and 'output'."
		}
		return err
	}
	if it.phase != 0 {
		if it.kind != kindAssistant {
			return errUnknown(itemPath(i) + ".phase")
		}
		if err := checkEnum(d, it.phase, itemPath(i)+".phase", phaseValues); err != nil {
			return err
		}
	}
	path := itemPath(i) + ".content"
	switch d.Kind(it.content) {
	case jsonx.String:
		return nil
	case jsonx.Array:
		return checkParts(d, it.content, path, it.kind)
	}
	if it.content == 0 {
		return errMissing(path)
	}
	return errType(path, "one of an array of objects or string", got(d, it.content))
}

func (it *item) checkCall(i int, payload string) *Error {
	d, path := it.doc, itemPath(i)
	if it.callID == 0 {
		if it.doc.Is(it.typ, "tool_search_call") { // its call_id may be null
			return nil
		}
		return errMissing(path + ".call_id")
	}
	if d.Kind(it.callID) != jsonx.String {
		return errType(path+".call_id", "a string", got(d, it.callID))
	}
	if len(d.Str(it.callID)) == 0 {
		return errEmptyString(path + ".call_id")
	}
	if it.payload == 0 {
		return errMissing(path + "." + payload)
	}
	if named := payload == "arguments" && it.isFunction() || payload == "input"; named {
		if d.Kind(it.payload) != jsonx.String {
			return errType(path+"."+payload, "a string", got(d, it.payload))
		}
		if it.name == 0 {
			return errMissing(path + ".name")
		}
		if d.Kind(it.name) != jsonx.String {
			return errType(path+".name", "a string", got(d, it.name))
		}
		if len(d.Str(it.name)) == 0 {
			return errEmptyString(path + ".name")
		}
		if it.space != 0 && d.Kind(it.space) != jsonx.String {
			return errType(path+".namespace", "a string", got(d, it.space))
		}
	}
	return nil
}

func (it *item) checkOutput(i int, payload string) *Error {
	d, path := it.doc, itemPath(i)
	if it.callID == 0 && it.id != 0 && !it.isFunction() && !d.Is(it.typ, "custom_tool_call_output") && !d.Is(it.typ, "tool_search_output") {
		it.callID, it.id = it.id, 0 // in the published types it is the id of the call
	}
	if it.callID == 0 {
		switch {
		case d.Is(it.typ, "tool_search_output"):
			return nil
		case d.Kind(it.name) == jsonx.String && len(d.Str(it.name)) > 0: // of a tool that nobody has called
			if it.payload == 0 {
				return errMissing(path + "." + payload)
			}
			return it.checkOutputValue(path + "." + payload)
		}
		return errMissing(path + ".call_id")
	}
	if d.Kind(it.callID) != jsonx.String {
		return errType(path+".call_id", "a string", got(d, it.callID))
	}
	if len(d.Str(it.callID)) == 0 {
		return errEmptyString(path + ".call_id")
	}
	if it.payload == 0 {
		if d.Is(it.typ, "apply_patch_call_output") { // its status says enough
			return nil
		}
		return errMissing(path + "." + payload)
	}
	return it.checkOutputValue(path + "." + payload)
}

// checkOutputValue checks what an output says.
func (it *item) checkOutputValue(path string) *Error {
	d := it.doc
	switch d.Kind(it.payload) {
	case jsonx.String:
	case jsonx.Array:
		if it.isFunction() || d.Is(it.typ, "custom_tool_call_output") {
			return checkParts(d, it.payload, path, kindOutput)
		}
	default:
		if it.isFunction() {
			return errType(path, "one of a string or array of objects", got(d, it.payload))
		}
	}
	return nil
}

func (it *item) checkReasoning(i int) *Error {
	d, path := it.doc, itemPath(i)
	if it.sealed != 0 && d.Kind(it.sealed) != jsonx.String {
		return errType(path+".encrypted_content", "a string", got(d, it.sealed))
	}
	for _, m := range []struct {
		name string
		node uint32
	}{{".summary", it.summary}, {".content", it.content}} {
		if m.node == 0 {
			continue
		}
		if d.Kind(m.node) != jsonx.Array {
			return errType(path+m.name, "an array of objects", got(d, m.node))
		}
		if err := checkParts(d, m.node, path+m.name, kindReasoning); err != nil {
			return err
		}
	}
	return nil
}

func (it *item) checkCompaction(i int) *Error {
	n, path := it.doc.Get(it.node, "encrypted_content"), itemPath(i)+".encrypted_content"
	switch {
	case !it.doc.Present(n) && it.doc.Is(it.typ, "context_compaction"): // it only says that there was one
		it.kind = kindGone
		return nil
	case !it.doc.Present(n):
		return errMissing(path)
	case it.doc.Kind(n) != jsonx.String:
		return errType(path, "a string", got(it.doc, n))
	}
	it.sealed = n
	return nil
}

// duplicateID refuses two items with one id, as the API does: a reference to it
// would be ambiguous.
func duplicateID(items []item) *Error {
	const few = 24
	var ids []string
	var seen map[string]struct{}
	for i := range items {
		it := &items[i]
		if it.id == 0 || it.kind == kindReference {
			continue
		}
		id := it.doc.Text(it.id)
		_, again := seen[id]
		if again || seen == nil && slices.Contains(ids, id) {
			return DuplicateItem(id)
		}
		if seen == nil {
			if ids = append(ids, id); len(ids) > few {
				seen = make(map[string]struct{}, len(items))
				for _, id := range ids {
					seen[id] = struct{}{}
				}
			}
			continue
		}
		seen[id] = struct{}{}
	}
	return nil
}

// DuplicateItem is the error for an item whose id is taken.
func DuplicateItem(id string) *Error {
	return invalid("", "input", "Duplicate item found with id "+brief(id)+". Remove duplicate items from your input and try again.")
}
