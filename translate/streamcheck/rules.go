package streamcheck

// Rule names one promise of the protocol. The text is stable: tests assert it, soak tools count by it.
type Rule string

// Framing of the byte stream (sse.go).
const (
	SSELine      Rule = "sse.line"       // a line has none of the permitted forms
	SSECR        Rule = "sse.cr"         // a carriage return is in the stream
	SSEEventLine Rule = "sse.event_line" // an event has no event: line, or two
	SSEDataLine  Rule = "sse.data_line"  // an event has no data: line, or two
	SSEBlankLine Rule = "sse.blank_line" // the blank line after an event is missing, or there is one too many
	SSEComment   Rule = "sse.comment"    // a comment stands inside an event
	SSETruncated Rule = "sse.truncated"  // the stream does not end on an event boundary
	SSEDone      Rule = "sse.done"       // data: [DONE] where it is not legal, or missing where it is required
	SSEName      Rule = "sse.name"       // the event: line and the type member disagree
)

// The JSON text of one event or object (json.go).
const (
	JSONUTF8      Rule = "json.utf8"           // bytes are not UTF-8
	JSONSyntax    Rule = "json.syntax"         // not one JSON object
	JSONDuplicate Rule = "json.duplicate_key"  // an object has a key twice
	JSONSurrogate Rule = "json.lone_surrogate" // a generated string has half of a surrogate pair
)

// Members every event, or one kind of event, has (events.go).
const (
	EventType        Rule = "event.type"        // no client knows this event type
	EventMember      Rule = "event.member"      // a required member is missing or of the wrong type
	EventErrorKey    Rule = "event.error_key"   // top-level key error outside an error event
	EventObfuscation Rule = "event.obfuscation" // obfuscation outside a delta event, or not letters and digits
	EventSequence    Rule = "event.sequence"    // sequence_number is missing or not the next one
)

// The order of lifecycle events and what their response objects share (lifecycle.go).
const (
	LifecycleCreatedFirst Rule = "lifecycle.created_first" // the first event is not response.created
	LifecycleOrder        Rule = "lifecycle.order"         // created, (queued,) in_progress, items, terminal
	LifecycleStatus       Rule = "lifecycle.status"        // the response's status contradicts the event's type
	LifecycleResponseID   Rule = "lifecycle.response_id"   // the response id changed
	LifecycleEcho         Rule = "lifecycle.echo"          // an echoed request value changed during the stream
)

// The end of the stream (terminal.go, lifecycle.go).
const (
	TerminalMissing  Rule = "terminal.missing"     // the stream ended without completed, incomplete or failed
	TerminalAfter    Rule = "terminal.after"       // an event follows the terminal one
	TerminalError    Rule = "terminal.error_event" // an error event not directly before response.failed
	TerminalOutput   Rule = "terminal.output"      // the terminal output lists other items than the stream
	TerminalItem     Rule = "terminal.item"        // an item of the terminal output differs from its output_item.done
	TerminalOpenItem Rule = "terminal.open_item"   // an item without done: not a failure, or not listed as incomplete
	TerminalHalfDone Rule = "terminal.half_done"   // a failed response closed an item as incomplete
)

// The open/close ladder of items and parts (ladder.go, parts.go).
const (
	LadderItemNotAdded Rule = "ladder.item_not_added"   // an event of an item that was never added
	LadderItemClosed   Rule = "ladder.item_closed"      // an event of an item after its done
	LadderItemID       Rule = "ladder.item_id"          // item_id differs from the item at that output_index
	LadderItemKind     Rule = "ladder.item_kind"        // an event that items of this type do not have
	LadderItemChanged  Rule = "ladder.item_changed"     // done has another id, type, name or call_id than added
	LadderOutputIndex  Rule = "ladder.output_index"     // output_index is not the next free one
	LadderPartNotAdded Rule = "ladder.part_not_added"   // an event of a part that was never added
	LadderPartIndex    Rule = "ladder.part_index"       // content_index or summary_index is not the next free one
	LadderPartKind     Rule = "ladder.part_kind"        // an event or item does not match the type of the part
	LadderPartOpen     Rule = "ladder.part_open"        // a part is still open when the next opens or the item closes
	LadderPartClosed   Rule = "ladder.part_closed"      // an event of a part after its done
	LadderValueOpen    Rule = "ladder.value_open"       // a part or item closes before the done event of its value
	LadderValueClosed  Rule = "ladder.value_closed"     // a delta or second done after the done event of a value
	LadderProgress     Rule = "ladder.progress"         // the progress events of a hosted tool run backwards or end twice
	LadderAnnotation   Rule = "ladder.annotation_index" // annotation_index is not the next free one
	LadderCommandIndex Rule = "ladder.command_index"    // command_index is not the next free one, or not opened
	LadderCommandOpen  Rule = "ladder.command_open"     // a shell command is still open when the next opens or its item closes
)

// What deltas, done events, parts, items add up to (ladder.go, parts.go, terminal.go).
const (
	ValueText        Rule = "value.text"        // a done value differs from its concatenated deltas
	ValuePart        Rule = "value.part"        // content_part.done differs from the value it closes
	ValueItem        Rule = "value.item"        // an item differs from the parts or values it closes
	ValueLogprobs    Rule = "value.logprobs"    // logprobs differ between deltas, done and part
	ValueAnnotations Rule = "value.annotations" // annotations of the part differ from the annotation events
)

// Items and parts on their own (items.go, content.go).
const (
	ItemType         Rule = "item.type"             // no client knows this item type
	ItemID           Rule = "item.id"               // id missing, or without the prefix of its type
	ItemIDRepeated   Rule = "item.id_repeated"      // two items share an id
	ItemCallIDReused Rule = "item.call_id_repeated" // two calls share a call_id
	ItemMember       Rule = "item.member"           // a required member is missing or of the wrong type
	ItemStatus       Rule = "item.status"           // status missing, unknown or not legal at this point
	ItemNull         Rule = "item.null_member"      // a member that must be left out rather than null
	ItemPhase        Rule = "item.phase"            // phase is unknown, or not on a message
	ItemNotEmpty     Rule = "item.not_empty"        // an item is added with content already in it
	PartType         Rule = "part.type"             // a part no client knows, or in the wrong list
	PartMember       Rule = "part.member"           // a required member is missing or of the wrong type
	PartNotEmpty     Rule = "part.not_empty"        // a part is added with content already in it
	LogprobMember    Rule = "logprob.member"        // a token without token, logprob, top_logprobs (or bytes in a part)
	AnnotationMember Rule = "annotation.member"     // an annotation of unknown type or without its members
)

// The response object (response.go).
const (
	ResponseMember      Rule = "response.member"       // a required member is missing or of the wrong type
	ResponseForeign     Rule = "response.foreign"      // a request-only or SDK-computed member is in the object
	ResponseID          Rule = "response.id"           // id without the prefix resp_ or with foreign characters
	ResponseStatus      Rule = "response.status"       // status is none of the six
	ResponseUnfinished  Rule = "response.unfinished"   // output, usage … of a response that still runs
	ResponseError       Rule = "response.error"        // error contradicts status, or lacks code, message, type
	ResponseIncomplete  Rule = "response.incomplete"   // incomplete_details contradicts status, or reason unknown
	ResponseCompletedAt Rule = "response.completed_at" // completed_at contradicts status
	ResponseItems       Rule = "response.items"        // an item's status contradicts the response's
	ResponseUsage       Rule = "response.usage"        // usage incomplete, negative, or with a wrong total
	ResponseTools       Rule = "response.tools"        // a tool echo without its members
)
