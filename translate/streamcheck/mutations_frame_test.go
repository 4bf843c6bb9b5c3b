package streamcheck

import (
	"bytes"
	"strings"
)

const loneHigh, loneLow = `\ud83d`, `\ude00`

var framingMutations = []mutation{
	{SSELine, "text", "id line", func(d *draft) { d.replace("data: ", "id: 1\ndata: ") }},
	{SSELine, "text", "retry line between events", func(d *draft) { d.replace("event: response.in_progress", "retry: 10\nevent: response.in_progress") }},
	{SSELine, "text", "no space after event:", func(d *draft) { d.replace("event: response.in_progress", "event:response.in_progress") }},
	{SSELine, "text", "no space after data:", func(d *draft) { d.replace("data: ", "data:") }},
	{SSELine, "text", "byte order mark", func(d *draft) { d.replace("event: response.created", "\ufeffevent: response.created") }},
	{SSELine, "text", "indented event", func(d *draft) { d.replace("event: response.in_progress", " event: response.in_progress") }},
	{SSELine, "text", "JSON over two lines", func(d *draft) { d.replace(`{"content_index":0,"delta"`, "{\n\"content_index\":0,\"delta\"") }},
	{SSELine, "text", "HTML error page", func(d *draft) {
		d.replace("event: response.output_item.added", "<html>502</html>\nevent: response.output_item.added")
	}},

	{SSECR, "text", "CRLF everywhere", func(d *draft) {
		d.rewrite = func(raw []byte) []byte { return bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")) }
	}},
	{SSECR, "text", "one CRLF", func(d *draft) { d.replace("event: response.in_progress\n", "event: response.in_progress\r\n") }},

	{SSEEventLine, "text", "no event line", func(d *draft) { d.replace("event: response.in_progress\n", "") }},
	{SSEEventLine, "text", "no event line in the first event", func(d *draft) { d.replace("event: response.created\n", "") }},
	{SSEEventLine, "text", "two event lines", func(d *draft) { d.replace("event: response.in_progress\n", "event: a\nevent: response.in_progress\n") }},
	{SSEEventLine, "done marker", "event line on [DONE]", func(d *draft) { d.suffix = "event: done\ndata: [DONE]\n\n" }},

	{SSEDataLine, "text", "event without data", func(d *draft) {
		d.replace("event: response.in_progress\n", "event: ping\n\nevent: response.in_progress\n")
	}},
	{SSEDataLine, "text", "two data lines", func(d *draft) {
		d.replace("\n\nevent: response.in_progress\n", "\ndata: {}\n\nevent: response.in_progress\n")
	}},

	{SSEBlankLine, "text", "missing blank line", func(d *draft) { d.replace("\n\nevent: response.in_progress\n", "\nevent: response.in_progress\n") }},
	{SSEBlankLine, "text", "two blank lines", func(d *draft) { d.replace("\n\nevent: response.in_progress\n", "\n\n\nevent: response.in_progress\n") }},
	{SSEBlankLine, "text", "blank line first", func(d *draft) { d.replace("event: response.created", "\nevent: response.created") }},
	{SSEBlankLine, "text", "blank line last", func(d *draft) { d.suffix = "\n" }},
	{SSEBlankLine, "text", "two blank lines after a comment", func(d *draft) { d.suffix = ": bye\n\n\n" }},

	{SSEComment, "text", "comment inside an event", func(d *draft) { d.replace("event: response.in_progress\n", "event: response.in_progress\n: hi\n") }},
	{SSEComment, "text", "comment before the blank line", func(d *draft) {
		d.replace("\n\nevent: response.in_progress\n", "\n: hi\n\nevent: response.in_progress\n")
	}},

	{SSETruncated, "text", "no final blank line", func(d *draft) { cutEnd(d, 1) }},
	{SSETruncated, "text", "no final line feed", func(d *draft) { cutEnd(d, 2) }},
	{SSETruncated, "text", "cut in the last event", func(d *draft) { cutEnd(d, 5) }},
	{SSETruncated, "text", "half an event more", func(d *draft) { d.suffix = "event: x\n" }},
	{SSETruncated, "text", "half a comment more", func(d *draft) { d.suffix = ": keep" }},

	{SSEDone, "text", "[DONE]", func(d *draft) { d.suffix = "data: [DONE]\n\n" }},
	{SSEDone, "done marker", "[DONE] twice", func(d *draft) { d.suffix += d.suffix }},
	{SSEDone, "open responses", "no [DONE]", func(d *draft) { d.suffix = "" }},
	{SSEDone, "done marker", "[DONE] instead of the terminal event", func(d *draft) { d.drop("response.completed") }},
	{SSEDone, "done marker", "event after [DONE]", func(d *draft) { d.suffix += string(frame(ev{body: obj{"type": "response.audio.done"}}, 9)) }},

	{SSEName, "text", "event line says message", func(d *draft) { d.events[3].name = "message" }},
	{SSEName, "text", "event line of another event", func(d *draft) { d.events[4].name = "response.output_text.done" }},
	{SSEName, "text", "no type member", func(d *draft) { d.events[4].name = "response.output_text.delta"; delete(d.events[4].body, "type") }},
	{SSEName, "text", "type is a number", func(d *draft) {
		d.events[4].name = "response.output_text.delta"
		d.events[4].body["type"] = 1
	}},
	{SSEName, "text", "space after the event name", func(d *draft) { d.replace("event: response.in_progress\n", "event: response.in_progress \n") }},

	{JSONUTF8, "text", "broken UTF-8 in a delta", func(d *draft) { d.replace(`"delta":"lo"`, "\"delta\":\"l\xff\"") }},
	{JSONUTF8, "text", "surrogate encoded in UTF-8", func(d *draft) { d.replace(`"delta":"lo"`, "\"delta\":\"l\xed\xa0\xbd\"") }},
	{JSONUTF8, "text", "half a character", func(d *draft) { d.replace("é", "\xc3") }},

	{JSONSyntax, "text", "missing brace", func(d *draft) { d.replace("}\n\nevent: response.in_progress", "\n\nevent: response.in_progress") }},
	{JSONSyntax, "text", "trailing comma", func(d *draft) { d.replace("}\n\nevent: response.in_progress", ",}\n\nevent: response.in_progress") }},
	{JSONSyntax, "text", "two values", func(d *draft) { d.replace("}\n\nevent: response.in_progress", "}{}\n\nevent: response.in_progress") }},
	{JSONSyntax, "text", "raw tab in a string", func(d *draft) { d.replace(`"delta":"lo"`, "\"delta\":\"l\to\"") }},
	{JSONSyntax, "text", "unknown escape", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"\x"`) }},
	{JSONSyntax, "text", "NaN", func(d *draft) { d.replace(`"top_p":0.98`, `"top_p":NaN`) }},
	{JSONSyntax, "text", "leading zero", func(d *draft) { d.replace(`"top_p":0.98`, `"top_p":00.98`) }},
	{JSONSyntax, "text", "array instead of object", func(d *draft) {
		d.rewrite = func(raw []byte) []byte {
			return append([]byte("event: response.created\ndata: []\n\n"), raw[strings.Index(string(raw), "event: response.in_progress"):]...)
		}
	}},

	{JSONDuplicate, "text", "delta twice", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"lo","delta":"lo"`) }},
	{JSONDuplicate, "text", "type twice", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"lo","type":"response.output_text.delta"`) }},
	{JSONDuplicate, "text", "key spelled differently", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"lo","d\u0065lta":"lo"`) }},
	{JSONDuplicate, "text", "inside a response", func(d *draft) { d.replace(`"usage":null`, `"usage":null,"usage":null`) }},

	{JSONSurrogate, "text", "pair split over two deltas", func(d *draft) {
		d.set("text.delta", "delta", "LONE1")
		d.setNth("text.delta", 1, "delta", "LONE2")
		d.rewrite = func(raw []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("LONE1"), []byte("Hel"+loneHigh)), []byte("LONE2"), []byte(loneLow+"lo"))
		}
	}},
	{JSONSurrogate, "text", "high alone", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"lo`+loneHigh+`"`) }},
	{JSONSurrogate, "text", "low alone", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"`+loneLow+`"`) }},
	{JSONSurrogate, "text", "pair the wrong way round", func(d *draft) { d.replace(`"delta":"lo"`, `"delta":"`+loneLow+loneHigh+`"`) }},
	{JSONSurrogate, "function call", "in arguments", func(d *draft) { d.replace(`"delta":" x\"}"`, `"delta":"`+loneHigh+` x\"}"`) }},
	{JSONSurrogate, "no items", "in the terminal output", func(d *draft) {
		d.rewrite = func(raw []byte) []byte {
			i := bytes.LastIndex(raw, []byte(`"output":[]`))
			return append(append(append([]byte(nil), raw[:i]...), `"output":["`+loneHigh+`"]`...), raw[i+len(`"output":[]`):]...)
		}
	}},
}

func cutEnd(d *draft, n int) {
	d.rewrite = func(raw []byte) []byte { return raw[:len(raw)-n] }
}

var eventMutations = []mutation{
	{EventType, "text", "unknown type", func(d *draft) { d.events[4].body["type"] = "response.output_text.delat" }},
	{EventType, "text", "keepalive", func(d *draft) { d.before("output_text.delta", "keepalive", obj{}) }},
	{EventType, "text", "ping", func(d *draft) { d.before("output_text.delta", "ping", obj{}) }},
	{EventType, "text", "vendor event", func(d *draft) { d.before("output_text.delta", "acme:progress", obj{}) }},
	{EventType, "text", "steer event", func(d *draft) { d.before("output_text.delta", "response.steer.accepted", obj{}) }},
	{EventType, "text", "cancelled", func(d *draft) { d.events[len(d.events)-1].body["type"] = "response.cancelled" }},
	{EventType, "apply patch", "diff event outside every union", func(d *draft) {
		d.before("output_item.done", "response.apply_patch_call_operation_diff.delta", at("apc_0", 0, obj{"delta": "+"}))
	}},
	{EventType, "reasoning raw", "the Open Responses name", func(d *draft) { d.set("reasoning_text.delta", "type", "response.reasoning.delta") }},
	{EventType, "open responses", "the OpenAI name", func(d *draft) { d.set("reasoning.delta", "type", "response.reasoning_text.delta") }},

	{EventMember, "text", "delta without item_id", func(d *draft) { d.del("text.delta", "item_id") }},
	{EventMember, "text", "delta without output_index", func(d *draft) { d.del("text.delta", "output_index") }},
	{EventMember, "text", "delta without content_index", func(d *draft) { d.del("text.delta", "content_index") }},
	{EventMember, "text", "delta without logprobs", func(d *draft) { d.del("text.delta", "logprobs") }},
	{EventMember, "text", "delta with logprobs null", func(d *draft) { d.set("text.delta", "logprobs", nil) }},
	{EventMember, "text", "delta is null", func(d *draft) { d.set("text.delta", "delta", nil) }},
	{EventMember, "text", "delta is an object", func(d *draft) { d.set("text.delta", "delta", obj{"text": "Hel"}) }},
	{EventMember, "text", "output_index is a string", func(d *draft) { d.set("text.delta", "output_index", "0") }},
	{EventMember, "text", "output_index is a fraction", func(d *draft) { d.replace(`"output_index":0`, `"output_index":0.0`) }},
	{EventMember, "text", "text done without text", func(d *draft) { d.del("text.done", "text") }},
	{EventMember, "text", "text done without logprobs", func(d *draft) { d.del("text.done", "logprobs") }},
	{EventMember, "text", "part added without part", func(d *draft) { d.del("part.added", "part") }},
	{EventMember, "text", "item added without item", func(d *draft) { d.del("item.added", "item") }},
	{EventMember, "text", "item done without output_index", func(d *draft) { d.del("item.done", "output_index") }},
	{EventMember, "text", "completed without response", func(d *draft) { d.del("response.completed", "response") }},
	{EventMember, "refusal", "refusal done without refusal", func(d *draft) { d.del("refusal.done", "refusal") }},
	{EventMember, "reasoning summary", "delta without summary_index", func(d *draft) { d.del("summary_text.delta", "summary_index") }},
	{EventMember, "reasoning raw", "delta without content_index", func(d *draft) { d.del("reasoning_text.delta", "content_index") }},
	{EventMember, "function call", "arguments are an object", func(d *draft) { d.set("arguments.done", "arguments", obj{"a": 1}) }},
	{EventMember, "custom call", "done without input", func(d *draft) { d.del("input.done", "input") }},
	{EventMember, "annotations", "without annotation_index", func(d *draft) { d.del("annotation.added", "annotation_index") }},
	{EventMember, "annotations", "annotation null", func(d *draft) { d.set("annotation.added", "annotation", nil) }},
	{EventMember, "web search", "without item_id", func(d *draft) { d.del("searching", "item_id") }},
	{EventMember, "shell call and output", "without command_index", func(d *draft) { d.del("command.delta", "command_index") }},
	{EventMember, "failed with nested error", "error without type", func(d *draft) { d.del("error", "error.type") }},
	{EventMember, "failed with nested error", "error without param", func(d *draft) { d.del("error", "error.param") }},
	{EventMember, "failed with nested error", "error without message", func(d *draft) { d.del("error", "error.message") }},
	{EventMember, "failed with nested error", "error is a string", func(d *draft) { d.set("error", "error", "boom") }},
	{EventMember, "failed with nested error", "numeric code", func(d *draft) { d.set("error", "error.code", 500) }},
	{EventMember, "failed with flat error", "without code", func(d *draft) { d.del("error", "code") }},
	{EventMember, "failed with flat error", "empty message", func(d *draft) { d.set("error", "message", "") }},
	{EventMember, "open responses failure", "flat error", func(d *draft) {
		d.events[d.find("error", 0)].body = obj{"type": "error", "code": "a", "message": "b", "param": nil}
	}},
	{EventMember, "summary part cut", "status of a part", func(d *draft) { d.set("summary_part.done", "status", "completed") }},

	{EventErrorKey, "text", "error null in a delta", func(d *draft) { d.set("text.delta", "error", nil) }},
	{EventErrorKey, "text", "error null in created", func(d *draft) { d.set("response.created", "error", nil) }},
	{EventErrorKey, "failed without error event", "error beside response", func(d *draft) { d.set("response.failed", "error", obj{"message": "a"}) }},

	{EventObfuscation, "text", "on a done event", func(d *draft) { d.set("text.done", "obfuscation", "abc") }},
	{EventObfuscation, "text", "on created", func(d *draft) { d.set("response.created", "obfuscation", "abc") }},
	{EventObfuscation, "text", "is null", func(d *draft) { d.set("text.delta", "obfuscation", nil) }},
	{EventObfuscation, "text", "other characters", func(d *draft) { d.set("text.delta", "obfuscation", "a b") }},

	{EventSequence, "text", "missing", func(d *draft) { d.events[4].noSeq = true }},
	{EventSequence, "text", "missing in the first event", func(d *draft) { d.events[0].noSeq = true }},
	{EventSequence, "text", "a string", func(d *draft) { d.events[4].body["sequence_number"] = "4" }},
	{EventSequence, "text", "a gap", func(d *draft) { d.events[4].body["sequence_number"] = 5 }},
	{EventSequence, "text", "repeated", func(d *draft) { d.events[4].body["sequence_number"] = 3 }},
	{EventSequence, "text", "begins with 1", func(d *draft) { d.replace(`"sequence_number":0`, `"sequence_number":1`) }},
	{EventSequence, "text", "an event lost on the way", func(d *draft) {
		d.rewrite = func(raw []byte) []byte {
			return bytes.Replace(raw, frame(d.events[5], 5), nil, 1)
		}
	}},
	{EventSequence, "text", "two events change places on the way", func(d *draft) {
		d.rewrite = func(raw []byte) []byte {
			a, b := frame(d.events[0], 0), frame(d.events[1], 1)
			return append(append(append([]byte(nil), b...), a...), raw[len(a)+len(b):]...)
		}
	}},

	{LifecycleCreatedFirst, "text", "no created", func(d *draft) { d.drop("response.created") }},
	{LifecycleCreatedFirst, "text", "in_progress first", func(d *draft) { d.swap("response.created", "response.in_progress") }},
	{LifecycleCreatedFirst, "background", "queued first", func(d *draft) { d.swap("response.created", "response.queued") }},
	{LifecycleCreatedFirst, "text", "neither created nor in_progress", func(d *draft) { d.events = d.events[2:] }},

	{LifecycleOrder, "text", "no in_progress", func(d *draft) { d.drop("response.in_progress") }},
	{LifecycleOrder, "text", "created twice", func(d *draft) { d.double("response.created") }},
	{LifecycleOrder, "text", "in_progress twice", func(d *draft) { d.double("response.in_progress") }},
	{LifecycleOrder, "text", "in_progress after the first item", func(d *draft) { d.swap("response.in_progress", "item.added") }},
	{LifecycleOrder, "background", "no queued", func(d *draft) { d.drop("response.queued") }},
	{LifecycleOrder, "background", "no in_progress", func(d *draft) { d.drop("response.in_progress") }},
	{LifecycleOrder, "background", "queued again", func(d *draft) { d.before("item.added", "response.queued", d.events[1].body) }},
	{LifecycleOrder, "failed with nested error", "error before in_progress", func(d *draft) { d.drop("response.in_progress") }},
	{LifecycleOrder, "no items", "completed before in_progress", func(d *draft) { d.drop("response.in_progress") }},

	{LifecycleStatus, "text", "created with completed", func(d *draft) { d.set("response.created", "response.status", "completed"); justify(d) }},
	{LifecycleStatus, "text", "completed with in_progress", func(d *draft) {
		d.last("response.status", "in_progress")
		d.last("response.completed_at", nil)
		d.last("response.usage", nil)
		d.last("response.output", list{})
	}},
	{LifecycleStatus, "no items", "completed with incomplete", func(d *draft) {
		d.last("response.status", "incomplete")
		d.last("response.completed_at", nil)
		d.last("response.incomplete_details", obj{"reason": "steered"})
	}},
	{LifecycleStatus, "background", "created in_progress in the background", func(d *draft) { d.set("response.created", "response.status", "in_progress") }},
	{LifecycleStatus, "background", "in_progress with queued", func(d *draft) { d.set("response.in_progress", "response.status", "queued") }},

	{LifecycleResponseID, "text", "completed with a new id", func(d *draft) { d.last("response.id", "resp_other") }},
	{LifecycleResponseID, "text", "in_progress with a new id", func(d *draft) { d.set("response.in_progress", "response.id", "resp_other") }},

	{LifecycleEcho, "text", "model resolved at the end", func(d *draft) { d.last("response.model", "m-2026") }},
	{LifecycleEcho, "text", "model in in_progress", func(d *draft) { d.set("response.in_progress", "response.model", "n") }},
	{LifecycleEcho, "text", "created_at moves", func(d *draft) { d.last("response.created_at", 1795000001) }},
	{LifecycleEcho, "text", "metadata lost", func(d *draft) { d.last("response.metadata", obj{}) }},
	{LifecycleEcho, "text", "tools lost", func(d *draft) { d.last("response.tools", list{}) }},
	{LifecycleEcho, "text", "temperature as 1.5", func(d *draft) { d.last("response.temperature", 1.5) }},
	{LifecycleEcho, "text", "conversation only at the end", func(d *draft) { d.last("response.conversation", obj{"id": "conv_1"}) }},
	{LifecycleEcho, "text", "service_tier resolved too early", func(d *draft) { d.set("response.in_progress", "response.service_tier", "default") }},
	{LifecycleEcho, "text", "store false too early", func(d *draft) { d.set("response.in_progress", "response.store", false) }},
	{LifecycleEcho, "failed with nested error", "instructions lost in failed", func(d *draft) { d.last("response.instructions", nil) }},

	{TerminalMissing, "text", "no terminal event", func(d *draft) { d.events = d.events[:len(d.events)-1] }},
	{TerminalMissing, "text", "stops in the text", func(d *draft) { d.events = d.events[:6] }},
	{TerminalMissing, "no items", "stops after in_progress", func(d *draft) { d.events = d.events[:2] }},
	{TerminalMissing, "text", "nothing at all", func(d *draft) { d.events = nil }},
	{TerminalMissing, "failed with nested error", "error without failed", func(d *draft) { d.drop("response.failed") }},

	{TerminalAfter, "text", "completed twice", func(d *draft) { d.double("response.completed") }},
	{TerminalAfter, "text", "failed after completed", func(d *draft) { d.end("response.failed", obj{"response": d.resp}) }},
	{TerminalAfter, "text", "incomplete after completed", func(d *draft) { d.end("response.incomplete", obj{"response": d.resp}) }},
	{TerminalAfter, "text", "delta after completed", func(d *draft) { d.end("response.output_text.delta", d.events[4].body) }},
	{TerminalAfter, "text", "error after completed", func(d *draft) { d.end("error", obj{"code": nil, "message": "late", "param": nil}) }},
	{TerminalAfter, "failed with nested error", "error after failed", func(d *draft) { d.swap("error", "response.failed") }},

	{TerminalError, "text", "error before completed", func(d *draft) {
		d.before("response.completed", "error", obj{"code": nil, "message": "a", "param": nil})
	}},
	{TerminalError, "text", "error in the middle", func(d *draft) { d.before("text.done", "error", obj{"code": nil, "message": "a", "param": nil}) }},
	{TerminalError, "failed with nested error", "two errors", func(d *draft) { d.double("error") }},
	{TerminalError, "failed in a text", "item closed after the error", func(d *draft) {
		d.before("response.failed", "response.output_item.done", obj{"output_index": 1, "item": d.output[1]})
	}},
}

// justify makes a created(completed) consistent with itself.
func justify(d *draft) { d.set("response.created", "response.completed_at", 1795000002) }
