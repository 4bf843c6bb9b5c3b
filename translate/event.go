package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The events of a response stream (docs/PROTOCOL.md §4.4). Each constant is what an event
// begins with, up to its sequence number: the two lines of server-sent events
// and the type member. Only the code below it may write an event.
const (
	evCreated           = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":"
	evQueued            = "event: response.queued\ndata: {\"type\":\"response.queued\",\"sequence_number\":"
	evInProgress        = "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":"
	evCompleted         = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":"
	evIncomplete        = "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"sequence_number\":"
	evFailed            = "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":"
	evError             = "event: error\ndata: {\"type\":\"error\",\"sequence_number\":"
	evKeepalive         = "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":"
	evItemAdded         = "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":"
	evCompacting        = "event: response.compaction.compacting\ndata: {\"type\":\"response.compaction.compacting\",\"sequence_number\":"
	evItemDone          = "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":"
	evPartAdded         = "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",\"sequence_number\":"
	evPartDone          = "event: response.content_part.done\ndata: {\"type\":\"response.content_part.done\",\"sequence_number\":"
	evTextDelta         = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":"
	evTextDone          = "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"sequence_number\":"
	evAnnotation        = "event: response.output_text.annotation.added\ndata: {\"type\":\"response.output_text.annotation.added\",\"sequence_number\":"
	evRefusalDelta      = "event: response.refusal.delta\ndata: {\"type\":\"response.refusal.delta\",\"sequence_number\":"
	evRefusalDone       = "event: response.refusal.done\ndata: {\"type\":\"response.refusal.done\",\"sequence_number\":"
	evArgumentsDelta    = "event: response.function_call_arguments.delta\ndata: {\"type\":\"response.function_call_arguments.delta\",\"sequence_number\":"
	evArgumentsDone     = "event: response.function_call_arguments.done\ndata: {\"type\":\"response.function_call_arguments.done\",\"sequence_number\":"
	evInputDelta        = "event: response.custom_tool_call_input.delta\ndata: {\"type\":\"response.custom_tool_call_input.delta\",\"sequence_number\":"
	evInputDone         = "event: response.custom_tool_call_input.done\ndata: {\"type\":\"response.custom_tool_call_input.done\",\"sequence_number\":"
	evCommandAdded      = "event: response.shell_call_command.added\ndata: {\"type\":\"response.shell_call_command.added\",\"sequence_number\":"
	evCommandDelta      = "event: response.shell_call_command.delta\ndata: {\"type\":\"response.shell_call_command.delta\",\"sequence_number\":"
	evCommandDone       = "event: response.shell_call_command.done\ndata: {\"type\":\"response.shell_call_command.done\",\"sequence_number\":"
	evReasoningDelta    = "event: response.reasoning_text.delta\ndata: {\"type\":\"response.reasoning_text.delta\",\"sequence_number\":"
	evReasoningDone     = "event: response.reasoning_text.done\ndata: {\"type\":\"response.reasoning_text.done\",\"sequence_number\":"
	evSummaryPartAdded  = "event: response.reasoning_summary_part.added\ndata: {\"type\":\"response.reasoning_summary_part.added\",\"sequence_number\":"
	evSummaryPartDone   = "event: response.reasoning_summary_part.done\ndata: {\"type\":\"response.reasoning_summary_part.done\",\"sequence_number\":"
	evSummaryTextDelta  = "event: response.reasoning_summary_text.delta\ndata: {\"type\":\"response.reasoning_summary_text.delta\",\"sequence_number\":"
	evSummaryTextDone   = "event: response.reasoning_summary_text.done\ndata: {\"type\":\"response.reasoning_summary_text.done\",\"sequence_number\":"
	evOpenReasonDelta   = "event: response.reasoning.delta\ndata: {\"type\":\"response.reasoning.delta\",\"sequence_number\":"
	evOpenReasoningDone = "event: response.reasoning.done\ndata: {\"type\":\"response.reasoning.done\",\"sequence_number\":"
)

// eventEnd closes the JSON and the event.
const eventEnd = "}\n\n"

// event begins an event: what comes next is a comma and its members, and then
// eventEnd. Callers check t.events first: without a reader there are no events.
func (t *Turn) event(dst []byte, head string) []byte {
	dst = append(dst, head...)
	dst = strconv.AppendInt(dst, int64(t.sequence), 10)
	t.sequence++
	return dst
}

// itemPlace appends the members that say which item an event is about.
func itemPlace(dst []byte, it *outItem) []byte {
	dst = append(dst, `,"item_id":"`...)
	dst = append(dst, it.id...)
	dst = append(dst, `","output_index":`...)
	return strconv.AppendInt(dst, int64(it.index), 10)
}

// partPlace appends the members that say which part an event is about.
func partPlace(dst []byte, it *outItem, member string) []byte {
	dst = itemPlace(dst, it)
	dst = append(dst, `,"`...)
	dst = append(dst, member...)
	dst = append(dst, `":`...)
	return strconv.AppendInt(dst, int64(it.parts), 10)
}

// errorEvent appends the event of the failure. Clients of the published schema read
// code, message and param of the event itself; those that were made for the live API, and
// for Open Responses, read its member error: it has both.
func (t *Turn) errorEvent(dst []byte) []byte {
	e := t.failure
	dst = t.event(dst, evError)
	dst = append(dst, `,"code":`...)
	dst = jsonx.AppendString(dst, e.eventCode())
	dst = append(dst, `,"message":`...)
	dst = jsonx.AppendString(dst, e.Message)
	dst = append(dst, `,"param":`...)
	dst = appendStringOrNull(dst, e.Param)
	dst = append(dst, `,"error":`...)
	dst = t.appendFailure(dst)
	return append(dst, eventEnd...)
}

// eventCode is the code of the error, which a response never has as null.
func (e *Error) eventCode() string {
	if e.Code == "" {
		return "server_error"
	}
	return e.Code
}

// lifecycle appends an event that carries the whole response as it stands.
func (t *Turn) lifecycle(dst []byte, head string, final finalFields) []byte {
	dst = t.event(dst, head)
	dst = append(dst, `,"response":`...)
	dst = t.appendResponse(dst, final)
	return append(dst, eventEnd...)
}
