package streamcheck

import "slices"

import "strings"

// stage is when an item is seen.
type stage uint8

const (
	opened stage = iota // in output_item.added
	final               // in output_item.done, a finished output, a stored response
	cut                 // in the output of a failed response, without an output_item.done
	unseen              // in the output of a response that broke off, when it is unknown which of the two it is
)

// itemSpec is one row of the item table.
type itemSpec struct {
	prefix    string   // of the id; "" when none is established
	early     []member // required from the start
	members   []member // required at the end, besides early
	running   []string // status values in output_item.added; nil means any of final as well
	final     []string // status values at the end; nil means the type has no status
	optional  bool     // status may be absent
	call      bool     // its call_id opens a call, so it is unique
	empty     []string // must be empty in output_item.added: the content comes in events
	container bool     // has content parts
}

var (
	inProgress = []string{"in_progress"}
	ends       = []string{"completed", "incomplete"}
	endsFailed = []string{"completed", "incomplete", "failed"}
	callID     = member{"call_id", text}
)

// itemTable lists every item type that may stand in an output. AI SDK's non-stream parsing fails on any other.
var itemTable = map[string]itemSpec{
	"message": {prefix: "msg_", early: []member{{"role", text}, {"content", array}}, running: inProgress, final: ends,
		empty: []string{"content"}, container: true},
	"reasoning": {prefix: "rs_", early: []member{{"summary", array}}, running: inProgress, final: ends, optional: true,
		empty: []string{"summary", "content"}, container: true},
	"function_call": {prefix: "fc_", early: []member{callID, {"name", text}, {"arguments", text}}, running: inProgress, final: ends,
		call: true, empty: []string{"arguments"}},
	"custom_tool_call": {prefix: "ctc_", early: []member{callID, {"name", text}, {"input", text}}, running: inProgress, final: ends,
		call: true, empty: []string{"input"}},
	"function_call_output":    {prefix: "fco_", members: []member{{"output", text | array}}, final: ends},
	"custom_tool_call_output": {prefix: "ctco_", early: []member{callID}, members: []member{{"output", text | array}}, final: ends},
	"compaction":              {prefix: "cmp_", members: []member{{"encrypted_content", text}}},
	"additional_tools":        {early: []member{{"role", text}}, members: []member{{"tools", array}}},
	"tool_search_call": {prefix: "tsc_", early: []member{{"call_id", text | null}, {"execution", text}},
		members: []member{{"arguments", object}}, running: inProgress, final: ends, call: true},
	"tool_search_output": {prefix: "tso_", early: []member{{"call_id", text | null}, {"execution", text}},
		members: []member{{"tools", array}}, final: ends},
	"shell_call": {prefix: "sh_", early: []member{callID}, members: []member{{"action", object}, {"environment", object | null}},
		running: inProgress, final: ends, call: true},
	"shell_call_output": {prefix: "sho_", early: []member{callID},
		members: []member{{"output", array}, {"max_output_length", integer | null}}, final: ends},
	"apply_patch_call": {prefix: "apc_", early: []member{callID}, members: []member{{"operation", object}},
		running: inProgress, final: []string{"completed"}, call: true},
	"apply_patch_call_output": {early: []member{callID}, final: []string{"completed", "failed"}},
	"local_shell_call": {prefix: "lsh_", early: []member{callID}, members: []member{{"action", object}},
		running: inProgress, final: ends, call: true},
	"local_shell_call_output": {members: []member{{"output", text}}, final: ends, optional: true},
	"computer_call": {prefix: "cu_", early: []member{callID}, members: []member{{"pending_safety_checks", array}},
		running: inProgress, final: ends, call: true},
	"computer_call_output": {early: []member{callID}, members: []member{{"output", object}}, final: ends},
	"web_search_call": {prefix: "ws_", members: []member{{"action", object}}, running: []string{"in_progress", "searching"},
		final: endsFailed},
	"file_search_call": {prefix: "fs_", members: []member{{"queries", array}}, running: []string{"in_progress", "searching"},
		final: endsFailed},
	"code_interpreter_call": {prefix: "ci_", early: []member{{"container_id", text}},
		members: []member{{"code", text | null}, {"outputs", array | null}}, running: []string{"in_progress", "interpreting"},
		final: endsFailed, empty: []string{"code", "outputs"}},
	"image_generation_call": {prefix: "ig_", members: []member{{"result", text | null}},
		running: []string{"in_progress", "generating"}, final: []string{"completed", "failed"}},
	"mcp_list_tools":        {prefix: "mcpl_", early: []member{{"server_label", text}}, members: []member{{"tools", array}}},
	"mcp_approval_request":  {prefix: "mcpr_", early: []member{{"server_label", text}, {"name", text}}, members: []member{{"arguments", text}}},
	"mcp_approval_response": {early: []member{{"approval_request_id", text}}, members: []member{{"approve", boolean}}},
	"mcp_call": {prefix: "mcp_", early: []member{{"server_label", text}, {"name", text}, {"arguments", text}},
		running: []string{"in_progress", "calling"}, final: endsFailed, optional: true, empty: []string{"arguments"}},
	"program":        {prefix: "cm_", early: []member{callID}, members: []member{{"code", text}, {"fingerprint", text}}, call: true},
	"program_output": {prefix: "cmo_", early: []member{callID}, members: []member{{"result", text}}, final: ends},
}

// constantMembers of an item do not change between added and done; type and id are checked by name.
var constantMembers = []string{"call_id", "name", "namespace", "role", "execution", "server_label", "container_id"}

// mustNotBeEmpty lists strings that identify or join; an empty one is as bad as none.
var mustNotBeEmpty = []string{"call_id", "name", "namespace", "server_label", "container_id", "approval_request_id"}

// neverNull are the members a server has to leave out instead of sending null: Open Responses' schema refuses null.
var neverNull = []string{"phase", "encrypted_content", "namespace"}

// item checks one output item on its own.
func (r *report) item(v *value, at stage) {
	typ := v.string("type")
	spec, known := itemTable[typ]
	if !known {
		r.fail(ItemType, "clients do not know the item type %s", clipText(typ))
		return
	}
	if id := v.string("id"); id == "" || !strings.HasPrefix(id, spec.prefix) || len(id) == len(spec.prefix) {
		r.fail(ItemID, "the id of a %s must begin with %q and go on, it is %s", typ, spec.prefix, clip(v.get("id")))
	}
	r.members(ItemMember, typ, v, spec.early)
	if at == opened {
		r.optional(ItemMember, typ, v, spec.members)
	} else {
		r.members(ItemMember, typ, v, spec.members)
	}
	r.optional(ItemMember, typ, v, []member{{"namespace", text | null}, {"async", boolean}, {"created_by", text}, {"caller", object | null}})
	for _, name := range mustNotBeEmpty {
		if m := v.get(name); m.is(text) && m.str == "" {
			r.fail(ItemMember, "%s.%s must not be empty", typ, name)
		}
	}
	for _, name := range neverNull {
		if v.get(name).is(null) {
			r.fail(ItemNull, "%s.%s must be left out rather than null", typ, name)
		}
	}
	r.itemStatus(v, typ, spec, at)
	r.itemPhase(v, typ)
	if at == opened {
		r.itemEmpty(v, typ, spec)
	}
	switch typ {
	case "message":
		if role := v.string("role"); role != "assistant" {
			r.fail(ItemMember, "an output message must have the role assistant, it is %s", clipText(role))
		}
		r.parts(v, "content")
	case "reasoning":
		r.optional(ItemMember, typ, v, []member{{"content", array}, {"encrypted_content", text | null}})
		r.parts(v, "content")
		r.parts(v, "summary")
	default:
		r.itemInner(v, typ)
	}
}

// itemInner checks what client-executed tools read inside their call. The arguments of a tool_search_call are an object,
// in contrast to those of a function_call; that is in the table.
func (r *report) itemInner(v *value, typ string) {
	switch typ {
	case "tool_search_call", "tool_search_output":
		if e := v.get("execution"); e.is(text) && e.str != "server" && e.str != "client" {
			r.fail(ItemMember, "%s.execution must be server or client, it is %s", typ, clip(e))
		}
	case "shell_call":
		if action := v.get("action"); action.is(object) {
			r.members(ItemMember, "shell_call.action", action, []member{
				{"commands", array}, {"max_output_length", integer | null}, {"timeout_ms", integer | null}})
			r.strings("shell_call.action.commands", action.list("commands"))
		}
	case "local_shell_call":
		if action := v.get("action"); action.is(object) {
			r.members(ItemMember, "local_shell_call.action", action, []member{{"type", text}, {"command", array}, {"env", object}})
			r.strings("local_shell_call.action.command", action.list("command"))
		}
	case "apply_patch_call":
		operation := v.get("operation")
		if !operation.is(object) {
			return
		}
		r.members(ItemMember, "apply_patch_call.operation", operation, []member{{"path", text}})
		switch kind := operation.get("type"); operation.string("type") {
		case "delete_file":
		case "create_file", "update_file":
			r.members(ItemMember, "apply_patch_call.operation", operation, []member{{"diff", text}})
		default:
			r.fail(ItemMember, "apply_patch_call.operation.type %s is unknown", clip(kind))
		}
	}
}

func (r *report) strings(where string, list []*value) {
	for _, v := range list {
		if !v.is(text) {
			r.fail(ItemMember, "%s must hold strings, one is %s", where, clip(v))
		}
	}
}

func (r *report) itemStatus(v *value, typ string, spec itemSpec, at stage) {
	s := v.get("status")
	if spec.final == nil {
		return
	}
	if at == cut && contains(spec.final, "incomplete") {
		if !s.is(text) || s.str != "incomplete" {
			r.fail(TerminalOpenItem, "a %s that was not finished must be listed as incomplete, its status is %s", typ, clip(s))
		}
		return
	}
	if spec.optional && s == nil {
		return
	}
	if !s.is(text) {
		r.fail(ItemStatus, "%s.status must be a string, it is %s", typ, clip(s))
		return
	}
	legal := contains(spec.final, s.str)
	if at == cut || at == unseen && !contains(spec.final, "incomplete") {
		// An apply_patch_call has no word for being cut, so it may be listed as it was.
		legal = legal || contains(spec.running, s.str)
	}
	switch {
	case at == opened && spec.running == nil:
		if !legal && s.str != "in_progress" {
			r.fail(ItemStatus, "%s.status %s is unknown", typ, clipText(s.str))
		}
	case at == opened && !contains(spec.running, s.str):
		r.fail(ItemStatus, "%s.status must be %s when it is added, it is %s", typ, strings.Join(spec.running, " or "), clipText(s.str))
	case at != opened && !legal:
		r.fail(ItemStatus, "%s.status must be %s at the end, it is %s", typ, strings.Join(spec.final, " or "), clipText(s.str))
	}
}

func (r *report) itemPhase(v *value, typ string) {
	p := v.get("phase")
	switch {
	case p == nil || p.is(null):
	case typ != "message":
		r.fail(ItemPhase, "only a message has a phase")
	case p.str != "commentary" && p.str != "final_answer":
		r.fail(ItemPhase, "phase must be commentary or final_answer, it is %s", clip(p))
	}
}

func (r *report) itemEmpty(v *value, typ string, spec itemSpec) {
	for _, name := range spec.empty {
		if m := v.get(name); m.is(array) && len(m.elems) > 0 || m.is(text) && m.str != "" {
			r.fail(ItemNotEmpty, "%s.%s must be empty when the item is added, it is %s", typ, name, clip(m))
		}
	}
}

// unique notes the ids of an item and reports one that was seen before. Outputs repeat the call_id of their call.
func (r *report) unique(item *value, ids, calls map[string]bool) {
	if id := item.string("id"); id != "" {
		if ids[id] {
			r.fail(ItemIDRepeated, "the item id %s is used twice", clipText(id))
		}
		ids[id] = true
	}
	if call := item.string("call_id"); call != "" && itemTable[item.string("type")].call {
		if calls[call] {
			r.fail(ItemCallIDReused, "the call_id %s is used twice", clipText(call))
		}
		calls[call] = true
	}
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}
