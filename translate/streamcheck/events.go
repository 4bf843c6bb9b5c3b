package streamcheck

import "strings"

// Event types that the code refers to. The rest exist only in the table below.
const (
	typeCreated    = "response.created"
	typeQueued     = "response.queued"
	typeInProgress = "response.in_progress"
	typeCompleted  = "response.completed"
	typeIncomplete = "response.incomplete"
	typeFailed     = "response.failed"
	typeError      = "error"
)

// action says which part of the checker follows an event.
type action uint8

const (
	actNone action = iota // known, but outside the ladder
	actLifecycle
	actTerminal
	actError
	actItemAdded
	actItemDone
	actPartAdded // content or summary part, by eventSpec.summary
	actPartDone
	actTextDelta // value of a part
	actTextDone
	actAnnotation
	actValueDelta // value of an item: arguments, input, code
	actValueDone
	actProgress
	actCommandAdded
	actCommandDelta
	actCommandDone
)

// eventSpec is one row of the event table.
type eventSpec struct {
	act     action
	members []member
	item    string // the type of item the event belongs to; "" when the part decides
	part    string // the type of part
	field   string // the member of a done event, and of the part or item, that holds the value
	summary bool   // the part is in summary, found by summary_index, not in content
	rank    int    // progress events of one item never decrease
	last    bool   // a progress event that ends the tool's work, so it comes once
}

var (
	ofResponse = []member{{"response", object}}
	ofItem     = []member{{"item_id", text}, {"output_index", integer}}
	ofContent  = with(ofItem, member{"content_index", integer})
	ofSummary  = with(ofItem, member{"summary_index", integer})
	ofCommand  = []member{{"output_index", integer}, {"command_index", integer}}
)

func with(base []member, more ...member) []member {
	return append(append([]member(nil), base...), more...)
}

// eventTable lists every event type the SDKs know, except the response.steer.* of WebSocket connections, which are no
// part of a response's stream. An event that no client knows ends openai-node's stream helper, so a type that is not here
// is a violation; that includes keepalive and apply_patch_call_operation_diff, which the live service sends.
var eventTable = map[string]eventSpec{
	typeCreated:    {act: actLifecycle, members: ofResponse},
	typeQueued:     {act: actLifecycle, members: ofResponse},
	typeInProgress: {act: actLifecycle, members: ofResponse},
	typeCompleted:  {act: actTerminal, members: ofResponse},
	typeIncomplete: {act: actTerminal, members: ofResponse},
	typeFailed:     {act: actTerminal, members: ofResponse},
	typeError:      {act: actError},

	"response.output_item.added": {act: actItemAdded, members: []member{{"output_index", integer}, {"item", object}}},
	"response.output_item.done":  {act: actItemDone, members: []member{{"output_index", integer}, {"item", object}}},

	"response.content_part.added": {act: actPartAdded, members: with(ofContent, member{"part", object})},
	"response.content_part.done":  {act: actPartDone, members: with(ofContent, member{"part", object})},
	"response.output_text.delta": {act: actTextDelta, item: "message", part: "output_text",
		members: with(ofContent, member{"delta", text}, member{"logprobs", array})},
	"response.output_text.done": {act: actTextDone, item: "message", part: "output_text", field: "text",
		members: with(ofContent, member{"text", text}, member{"logprobs", array})},
	"response.output_text.annotation.added": {act: actAnnotation, item: "message", part: "output_text",
		members: with(ofContent, member{"annotation_index", integer}, member{"annotation", object})},
	"response.refusal.delta": {act: actTextDelta, item: "message", part: "refusal", members: with(ofContent, member{"delta", text})},
	"response.refusal.done": {act: actTextDone, item: "message", part: "refusal", field: "refusal",
		members: with(ofContent, member{"refusal", text})},

	"response.reasoning_text.delta": reasoningDelta,
	"response.reasoning_text.done":  reasoningDone,
	"response.reasoning_summary_part.added": {act: actPartAdded, item: "reasoning", summary: true,
		members: with(ofSummary, member{"part", object})},
	"response.reasoning_summary_part.done": {act: actPartDone, item: "reasoning", summary: true,
		members: with(ofSummary, member{"part", object})},
	"response.reasoning_summary_text.delta": {act: actTextDelta, item: "reasoning", part: "summary_text", summary: true,
		members: with(ofSummary, member{"delta", text})},
	"response.reasoning_summary_text.done": {act: actTextDone, item: "reasoning", part: "summary_text", summary: true,
		field: "text", members: with(ofSummary, member{"text", text})},

	"response.function_call_arguments.delta":      valueDelta("function_call"),
	"response.function_call_arguments.done":       valueDone("function_call", "arguments"),
	"response.custom_tool_call_input.delta":       valueDelta("custom_tool_call"),
	"response.custom_tool_call_input.done":        valueDone("custom_tool_call", "input"),
	"response.mcp_call_arguments.delta":           valueDelta("mcp_call"),
	"response.mcp_call_arguments.done":            valueDone("mcp_call", "arguments"),
	"response.code_interpreter_call_code.delta":   valueDelta("code_interpreter_call"),
	"response.code_interpreter_call_code.done":    valueDone("code_interpreter_call", "code"),
	"response.web_search_call.in_progress":        progress("web_search_call", 1),
	"response.web_search_call.searching":          progress("web_search_call", 2),
	"response.web_search_call.completed":          progress("web_search_call", 3).ending(),
	"response.file_search_call.in_progress":       progress("file_search_call", 1),
	"response.file_search_call.searching":         progress("file_search_call", 2),
	"response.file_search_call.completed":         progress("file_search_call", 3).ending(),
	"response.code_interpreter_call.in_progress":  progress("code_interpreter_call", 1),
	"response.code_interpreter_call.interpreting": progress("code_interpreter_call", 2),
	"response.code_interpreter_call.completed":    progress("code_interpreter_call", 3).ending(),
	"response.image_generation_call.in_progress":  progress("image_generation_call", 1),
	"response.image_generation_call.generating":   progress("image_generation_call", 2),
	"response.image_generation_call.partial_image": progress("image_generation_call", 2,
		member{"partial_image_index", integer}, member{"partial_image_b64", text}),
	"response.image_generation_call.completed": progress("image_generation_call", 3).ending(),
	"response.mcp_list_tools.in_progress":      progress("mcp_list_tools", 1),
	"response.mcp_list_tools.completed":        progress("mcp_list_tools", 2).ending(),
	"response.mcp_list_tools.failed":           progress("mcp_list_tools", 2).ending(),
	"response.mcp_call.in_progress":            progress("mcp_call", 1),
	"response.mcp_call.completed":              progress("mcp_call", 2).ending(),
	"response.mcp_call.failed":                 progress("mcp_call", 2).ending(),
	"response.compaction.compacting":           progress("compaction", 1),

	// These three are the only events of an item that do not name it by item_id.
	"response.shell_call_command.added": {act: actCommandAdded, item: "shell_call", field: "command", members: with(ofCommand, member{"command", text})},
	"response.shell_call_command.delta": {act: actCommandDelta, item: "shell_call", members: with(ofCommand, member{"delta", text})},
	"response.shell_call_command.done":  {act: actCommandDone, item: "shell_call", field: "command", members: with(ofCommand, member{"command", text})},
	"response.shell_call_output_content.delta": progress("shell_call_output", 0,
		member{"command_index", integer}, member{"delta", object}),
	"response.shell_call_output_content.done": progress("shell_call_output", 0,
		member{"command_index", integer}, member{"output", array}),

	"response.audio.delta":            {members: []member{{"delta", text}}},
	"response.audio.done":             {},
	"response.audio.transcript.delta": {members: []member{{"delta", text}}},
	"response.audio.transcript.done":  {},
}

// openResponsesTable holds the names Open Responses uses for raw reasoning; the OpenAI names are unknown to it.
var openResponsesTable = map[string]eventSpec{
	"response.reasoning.delta": reasoningDelta,
	"response.reasoning.done":  reasoningDone,
}

var (
	reasoningDelta = eventSpec{act: actTextDelta, item: "reasoning", part: "reasoning_text", members: with(ofContent, member{"delta", text})}
	reasoningDone  = eventSpec{act: actTextDone, item: "reasoning", part: "reasoning_text", field: "text",
		members: with(ofContent, member{"text", text})}
)

func valueDelta(item string) eventSpec {
	return eventSpec{act: actValueDelta, item: item, members: with(ofItem, member{"delta", text})}
}

func valueDone(item, field string) eventSpec {
	return eventSpec{act: actValueDone, item: item, field: field, members: with(ofItem, member{field, text})}
}

func progress(item string, rank int, more ...member) eventSpec {
	return eventSpec{act: actProgress, item: item, rank: rank, members: with(ofItem, more...)}
}

func (s eventSpec) ending() eventSpec {
	s.last = true
	return s
}

// lookup finds the row of a type in the dialect of the stream.
func (c *checker) lookup(typ string) (eventSpec, bool) {
	if c.opt.OpenResponses {
		if spec, ok := openResponsesTable[typ]; ok {
			return spec, true
		}
		if strings.HasPrefix(typ, "response.reasoning_text.") {
			return eventSpec{}, false
		}
	}
	spec, ok := eventTable[typ]
	return spec, ok
}

// generatedInEvent: everything in an event is the server's own text, except what a response object echoes.
func generatedInEvent(path string) bool {
	return !strings.HasPrefix(path, "response.") || strings.HasPrefix(path, "response.output[")
}

// event checks one event; name is its event: line, "" when it has none.
func (c *checker) event(name string, data []byte) {
	defer func() { c.index++ }()
	c.typ = name
	v := c.parse(data, generatedInEvent)
	if v == nil {
		// Its number is lost with it; the next event should not be blamed.
		c.sequence++
		return
	}
	typ := v.string("type")
	c.checkName(name, typ)
	if typ != "" {
		c.typ = typ
	}
	c.checkSequence(v)
	if c.done {
		c.fail(SSEDone, "an event follows data: [DONE]")
	}
	if c.phase == ended {
		c.fail(TerminalAfter, "nothing may follow the terminal event")
		return
	}
	spec, known := c.lookup(typ)
	if !known {
		c.fail(EventType, "clients do not know the event type %s", clipText(typ))
		return
	}
	if typ != typeError && v.get("error") != nil {
		c.fail(EventErrorKey, "only an error event may have a top-level key error: openai-go ends the stream on it, even when it is null")
	}
	c.checkObfuscation(typ, v)
	c.members(EventMember, "the event", v, spec.members)
	c.advance(typ, v)
	c.act(spec, v)
}

func (c *checker) checkSequence(v *value) {
	n, ok := v.int("sequence_number")
	if !ok {
		c.fail(EventSequence, "sequence_number must be the integer %d, it is %s", c.sequence, clip(v.get("sequence_number")))
		c.sequence++
		return
	}
	if n != c.sequence {
		c.fail(EventSequence, "sequence_number must be %d, it is %d", c.sequence, n)
	}
	c.sequence = n + 1
}

func (c *checker) checkObfuscation(typ string, v *value) {
	o := v.get("obfuscation")
	if o == nil {
		return
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	switch {
	case !strings.HasSuffix(typ, ".delta"):
		c.fail(EventObfuscation, "only delta events carry obfuscation")
	case !o.is(text) || strings.Trim(o.str, alphabet) != "":
		c.fail(EventObfuscation, "obfuscation must be a string of letters and digits, it is %s", clip(o))
	}
}

// act hands the event to the part of the checker that follows it.
func (c *checker) act(spec eventSpec, v *value) {
	switch spec.act {
	case actNone:
	case actLifecycle:
		c.lifecycle(v.get("response"))
	case actTerminal:
		c.terminal(v.get("response"))
	case actError:
		c.errorEvent(v)
	case actItemAdded:
		c.itemAdded(v)
	case actItemDone:
		c.itemDone(v)
	case actPartAdded:
		c.partAdded(spec, v)
	case actPartDone:
		c.partDone(spec, v)
	case actTextDelta:
		c.textDelta(spec, v)
	case actTextDone:
		c.textDone(spec, v)
	case actAnnotation:
		c.annotation(spec, v)
	case actValueDelta:
		c.valueDelta(spec, v)
	case actValueDone:
		c.valueDone(spec, v)
	case actProgress:
		c.progress(spec, v)
	case actCommandAdded:
		c.commandAdded(spec, v)
	case actCommandDelta:
		c.commandDelta(spec, v)
	case actCommandDone:
		c.commandDone(spec, v)
	}
}
