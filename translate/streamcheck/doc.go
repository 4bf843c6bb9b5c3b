// Package streamcheck is the independent grammar checker for Responses API event streams and response objects. Every
// stream that a test, a fuzz run, an end-to-end run or a soak produces goes through it.
//
// It is written from the specification and from what the SDKs were seen to throw on, not from our encoder, and it shares
// no code with it: the two must not make the same mistake. It has no state between calls, imports only the standard
// library, never panics on any input, and does not need package testing, so that tools may link it.
//
//	for _, v := range streamcheck.Stream(body, streamcheck.Options{}) {
//		t.Error(v)
//	}
//
// # Where is …?
//
//	what is called from outside            streamcheck.go
//	the names of the rules                 rules.go
//	how the bytes are cut into events      sse.go
//	strict JSON, surrogates, duplicates    json.go, equal.go
//	which events exist and what they need  events.go
//	created … in_progress, echo, error     lifecycle.go
//	items and their single values          ladder.go
//	parts, deltas, annotations, logprobs   parts.go
//	the terminal output                    terminal.go
//	which items exist and what they need   items.go, content.go
//	the response object                    response.go
//	replaying a stream                     fold.go
//	chat completion streams                chat.go, chat_rules.go
//	chat completion objects, and folding   chat_object.go
//
// # Rules
//
// Framing of the byte stream:
//
//   - sse.line: a line is exactly "event: …", "data: …", a comment (":…") or blank; no id, no retry, nothing else.
//   - sse.cr: lines end with a line feed alone.
//   - sse.event_line: every event has one event: line, before its data; data: [DONE] has none.
//   - sse.data_line: every event has one data: line.
//   - sse.blank_line: one blank line ends an event, and one may end a block of comments; no other blank lines.
//   - sse.comment: comments stand between events, not inside one.
//   - sse.truncated: the stream ends on an event boundary; SSE clients discard an event without its blank line.
//   - sse.done: data: [DONE] comes once, after the terminal event, where the options permit it; the Open Responses
//     dialect requires it.
//   - sse.name: the event: line equals the type member.
//
// The JSON text of an event or object:
//
//   - json.utf8: the bytes are UTF-8.
//   - json.syntax: the text is one JSON object.
//   - json.duplicate_key: no object has a key twice.
//   - json.lone_surrogate: every string the server made decodes on its own; no delta ends in half a surrogate pair. The
//     echo of the request is exempt, there the client's own text returns.
//
// Members of events:
//
//   - event.type: the SDKs know the type, in the dialect of the stream.
//   - event.member: the required members are there and have their type; an error event is nested or flat, and whole.
//   - event.error_key: only an error event has a top-level key error, null included.
//   - event.obfuscation: obfuscation is on delta events only, letters and digits.
//   - event.sequence: sequence_number is an integer, from 0 (or Options.First), one more each time.
//
// Lifecycle events:
//
//   - lifecycle.created_first: the first event is response.created.
//   - lifecycle.order: created, in_progress; in the background created, queued, in_progress; each once, before everything
//     else. Only a failure may come straight out of the queue.
//   - lifecycle.status: the response's status is that of the event; a background response is created queued.
//   - lifecycle.response_id: the response id stays.
//   - lifecycle.echo: everything in the response object stays, except status; the terminal one may also differ in output,
//     usage, completed_at, error, incomplete_details, service_tier, store, moderation, tool_usage,
//     prompt_cache_diagnostics and input_transformations.
//
// The end:
//
//   - terminal.missing: the stream has a completed, incomplete or failed event, unless Options.Unfinished.
//   - terminal.after: nothing follows it.
//   - terminal.error_event: an error event comes once, directly before response.failed.
//   - terminal.output: the terminal output has as many items as the stream.
//   - terminal.item: each equals the item of its output_item.done, member by member; one without it has its id and type.
//   - terminal.open_item: an item without output_item.done exists only in a failed response, listed as incomplete.
//   - terminal.half_done: a failed response has closed no item as incomplete: Codex keeps what is done for its retry.
//
// The ladder. Items may interleave; the parts of one list may not:
//
//   - ladder.item_not_added: an item's events come after its output_item.added.
//   - ladder.item_closed: none comes after its output_item.done, which comes once.
//   - ladder.item_id: item_id is that of the item at output_index.
//   - ladder.item_kind: the event belongs to items of that type.
//   - ladder.item_changed: id, type, call_id, name, namespace, role, execution, server_label, container_id and an announced
//     phase are the same in added and done.
//   - ladder.output_index: added items count 0, 1, 2, …
//   - ladder.part_not_added: a part's events come after its part added event.
//   - ladder.part_index: added parts of a list count 0, 1, 2, …
//   - ladder.part_kind: the event, and the part that is done, have the type of the part that was added.
//   - ladder.part_open: a part is done before the next of its list is added and before its item is done.
//   - ladder.part_closed: nothing happens to a part after it is done.
//   - ladder.value_open: the done event of a text, refusal, argument string or input comes before that of its part or item.
//   - ladder.value_closed: no delta and no second done event comes after it.
//   - ladder.progress: the status events of a hosted tool do not run backwards, and the last comes once.
//   - ladder.annotation_index: annotations of a part count 0, 1, 2, …
//   - ladder.command_index: commands of a shell call count 0, 1, 2, … and are added first.
//   - ladder.command_open: a command is done before the next is added and before its item is done.
//
// What it all adds up to:
//
//   - value.text: a done value is exactly its decoded deltas, one after the other; without deltas it is empty.
//   - value.part: the part that is done holds that value.
//   - value.item: the item that is done holds its parts and values; an unfinished one holds what the deltas brought.
//   - value.logprobs: the tokens of the deltas, of the done event and of the part are the same.
//   - value.annotations: the part holds the annotations that were announced, in order.
//
// Items and parts:
//
//   - item.type: the SDKs know the type.
//   - item.id: the id has the prefix of its type and more.
//   - item.id_repeated: no two items of a response share an id.
//   - item.call_id_repeated: no two calls of a response share a call_id.
//   - item.member: the required members are there, have their type, and are not empty where they identify something.
//   - item.status: status is in_progress (or the like) when added, completed or incomplete (or the like) when done.
//   - item.null_member: phase, encrypted_content and namespace are left out rather than null.
//   - item.phase: phase is commentary or final_answer, and only on a message.
//   - item.not_empty: content, summary, arguments, input, code and outputs are empty when the item is added.
//   - part.type: a message holds output_text and refusal, a reasoning item reasoning_text and summary_text.
//   - part.member: the members are there; an output_text always has its annotations and logprobs arrays.
//   - part.not_empty: a part is empty when it is added.
//   - logprob.member: a token has token, logprob and top_logprobs; in a part also bytes.
//   - annotation.member: the annotation is one of the four types, flat, with its members.
//
// The response object:
//
//   - response.member: all members of every response are there, in the narrowest type that all clients accept.
//   - response.foreign: include, stream, stream_options, context_management, input and output_text are not.
//   - response.id: the id is resp_ and then letters, digits, _ or -.
//   - response.status: status is one of the six; only a background response is queued.
//   - response.unfinished: output is [] and usage null while the response runs.
//   - response.error: error is an object with code, message and type when the response failed, else null.
//   - response.incomplete: incomplete_details has a known reason when the response is incomplete, else is null.
//   - response.completed_at: completed_at is set when the response is completed, not before created_at, else null.
//   - response.items: no item of a completed response is incomplete.
//   - response.usage: usage is null or whole, not negative, and adds up.
//   - response.tools: every tool has a type, a custom tool or namespace its name, a function also description, parameters
//     and strict.
//
// Chat completion streams have rules of their own, which chat_rules.go lists; framing and JSON have those above, except
// that a chat stream has no event: lines and ends with data: [DONE], after an error too.
package streamcheck
