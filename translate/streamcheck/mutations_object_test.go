package streamcheck

var itemMutations = []mutation{
	{ItemType, "text", "unknown", func(d *draft) { d.set("item.added", "item.type", "msg") }},
	{ItemType, "text", "an input item", func(d *draft) { d.set("item.added", "item.type", "item_reference") }},
	{ItemType, "text", "missing", func(d *draft) { d.del("item.added", "item.type") }},
	{ItemType, "text", "vendor item", func(d *draft) { d.set("item.added", "item.type", "acme:thought") }},

	{ItemID, "text", "missing", func(d *draft) { d.del("item.added", "item.id") }},
	{ItemID, "text", "empty", func(d *draft) { d.set("item.added", "item.id", "") }},
	{ItemID, "text", "null", func(d *draft) { d.set("item.added", "item.id", nil) }},
	{ItemID, "text", "only the prefix", func(d *draft) { d.set("item.added", "item.id", "msg_") }},
	{ItemID, "text", "the backend's", func(d *draft) { d.set("item.added", "item.id", "chatcmpl-1") }},
	{ItemID, "function call", "the call_id", func(d *draft) { d.set("item.added", "item.id", "call_0") }},
	{ItemID, "custom call", "prefix of a function call", func(d *draft) { d.set("item.added", "item.id", "fc_0") }},
	{ItemID, "reasoning summary", "missing", func(d *draft) { d.del("item.added", "item.id") }},
	{ItemID, "mcp call", "prefix of a list", func(d *draft) { d.set("item.added", "item.id", "mcpl_0") }},

	{ItemIDRepeated, "parallel calls", "second call with the first id", func(d *draft) { d.setNth("item.added", 1, "item.id", "fc_0") }},
	{ItemIDRepeated, "text, call, text", "second text with the first id", func(d *draft) { d.setNth("item.added", 2, "item.id", "msg_0") }},

	{ItemCallIDReused, "parallel calls", "one call_id for both", func(d *draft) { d.setNth("item.added", 1, "item.call_id", "call_0") }},

	{ItemMember, "text", "no role", func(d *draft) { d.del("item.added", "item.role") }},
	{ItemMember, "text", "role user", func(d *draft) { d.set("item.added", "item.role", "user") }},
	{ItemMember, "text", "no content", func(d *draft) { d.del("item.added", "item.content") }},
	{ItemMember, "text", "content null", func(d *draft) { d.set("item.added", "item.content", nil) }},
	{ItemMember, "text", "content is a string", func(d *draft) { d.set("item.done", "item.content", "Hi") }},
	{ItemMember, "reasoning summary", "no summary", func(d *draft) { d.del("item.added", "item.summary") }},
	{ItemMember, "reasoning summary", "summary null", func(d *draft) { d.set("item.done", "item.summary", nil) }},
	{ItemMember, "reasoning raw", "content null", func(d *draft) { d.set("item.added", "item.content", nil) }},
	{ItemMember, "function call", "no arguments at added", func(d *draft) { d.del("item.added", "item.arguments") }},
	{ItemMember, "function call", "no name at added", func(d *draft) { d.del("item.added", "item.name") }},
	{ItemMember, "function call", "empty name at added", func(d *draft) { d.set("item.added", "item.name", "") }},
	{ItemMember, "function call", "no call_id at added", func(d *draft) { d.del("item.added", "item.call_id") }},
	{ItemMember, "function call", "empty call_id at added", func(d *draft) { d.set("item.added", "item.call_id", "") }},
	{ItemMember, "function call", "arguments are an object at done", func(d *draft) { d.set("item.done", "item.arguments", obj{"a": 1}) }},
	{ItemMember, "namespaced call", "empty namespace", func(d *draft) { d.set("item.added", "item.namespace", "") }},
	{ItemMember, "custom call", "no input at added", func(d *draft) { d.del("item.added", "item.input") }},
	{ItemMember, "tool search", "arguments are a string", func(d *draft) { d.both("arguments", "{}") }},
	{ItemMember, "tool search", "arguments are a string at added", func(d *draft) { d.set("item.added", "item.arguments", "") }},
	{ItemMember, "tool search", "unknown execution", func(d *draft) { d.set("item.added", "item.execution", "local") }},
	{ItemMember, "tool search output", "no tools", func(d *draft) { d.both("tools", gone{}) }},
	{ItemMember, "apply patch", "no operation", func(d *draft) { d.both("operation", gone{}) }},
	{ItemMember, "apply patch", "update without diff", func(d *draft) { d.both("operation.type", "update_file") }},
	{ItemMember, "apply patch", "unknown operation", func(d *draft) { d.both("operation.type", "move_file") }},
	{ItemMember, "local shell", "command is a string", func(d *draft) { d.both("action.command", "ls") }},
	{ItemMember, "shell call and output", "no environment", func(d *draft) { d.both("environment", gone{}) }},
	{ItemMember, "shell call and output", "a command is no string", func(d *draft) { d.both("action.commands.0", 1) }},
	{ItemMember, "compaction", "no encrypted_content", func(d *draft) { d.both("encrypted_content", gone{}) }},

	{ItemStatus, "text", "none at added", func(d *draft) { d.del("item.added", "item.status") }},
	{ItemStatus, "text", "completed at added", func(d *draft) { d.set("item.added", "item.status", "completed") }},
	{ItemStatus, "text", "in_progress at done", func(d *draft) { d.set("item.done", "item.status", "in_progress") }},
	{ItemStatus, "text", "none at done", func(d *draft) { d.del("item.done", "item.status") }},
	{ItemStatus, "text", "failed at done", func(d *draft) { d.set("item.done", "item.status", "failed") }},
	{ItemStatus, "function call", "none at done", func(d *draft) { d.del("item.done", "item.status") }},
	{ItemStatus, "function call", "null at done", func(d *draft) { d.set("item.done", "item.status", nil) }},
	{ItemStatus, "custom call", "none at done", func(d *draft) { d.del("item.done", "item.status") }},
	{ItemStatus, "custom call", "none at added", func(d *draft) { d.del("item.added", "item.status") }},
	{ItemStatus, "reasoning raw", "null at added", func(d *draft) { d.set("item.added", "item.status", nil) }},
	{ItemStatus, "web search", "unknown at done", func(d *draft) { d.both("status", "searching") }},
	{ItemStatus, "apply patch", "incomplete", func(d *draft) { d.both("status", "incomplete") }},
	{ItemStatus, "failed in a patch", "incomplete", func(d *draft) { d.last("response.output.0.status", "incomplete") }},

	{ItemNull, "phase", "phase null at added", func(d *draft) { d.set("item.added", "item.phase", nil) }},
	{ItemNull, "text", "phase null at done", func(d *draft) { d.both("phase", nil) }},
	{ItemNull, "reasoning summary", "encrypted_content null", func(d *draft) { d.both("encrypted_content", nil) }},
	{ItemNull, "function call", "namespace null", func(d *draft) { d.set("item.added", "item.namespace", nil) }},

	{ItemPhase, "phase", "unknown", func(d *draft) { d.set("item.added", "item.phase", "analysis") }},
	{ItemPhase, "function call", "on a call", func(d *draft) { d.both("phase", "commentary") }},

	{ItemNotEmpty, "text", "content at added", func(d *draft) {
		d.set("item.added", "item.content", list{obj{"type": "output_text", "text": "", "annotations": list{}, "logprobs": list{}}})
	}},
	{ItemNotEmpty, "function call", "arguments at added", func(d *draft) { d.set("item.added", "item.arguments", "{}") }},
	{ItemNotEmpty, "custom call", "input at added", func(d *draft) { d.set("item.added", "item.input", "SELECT") }},
	{ItemNotEmpty, "reasoning summary", "summary at added", func(d *draft) {
		d.set("item.added", "item.summary", list{obj{"type": "summary_text", "text": ""}})
	}},

	{PartType, "text", "unknown part", func(d *draft) { d.set("part.added", "part.type", "text") }},
	{PartType, "text", "input part", func(d *draft) { d.set("part.added", "part.type", "input_text") }},
	{PartType, "text", "reasoning in a message", func(d *draft) { d.set("part.added", "part", obj{"type": "reasoning_text", "text": ""}) }},
	{PartType, "reasoning raw", "output_text in a reasoning", func(d *draft) {
		d.set("part.added", "part", obj{"type": "output_text", "text": "", "annotations": list{}, "logprobs": list{}})
	}},
	{PartType, "reasoning summary", "reasoning_text in a summary", func(d *draft) { d.set("summary_part.added", "part.type", "reasoning_text") }},
	{PartType, "text", "no type", func(d *draft) { d.del("part.added", "part.type") }},

	{PartMember, "text", "no annotations at added", func(d *draft) { d.del("part.added", "part.annotations") }},
	{PartMember, "text", "no logprobs at added", func(d *draft) { d.del("part.added", "part.logprobs") }},
	{PartMember, "text", "annotations null at done", func(d *draft) { d.set("part.done", "part.annotations", nil) }},
	{PartMember, "text", "no annotations in the item", func(d *draft) { d.both("content.0.annotations", gone{}) }},
	{PartMember, "text", "no logprobs in the item", func(d *draft) { d.both("content.0.logprobs", gone{}) }},
	{PartMember, "text", "no text at added", func(d *draft) { d.del("part.added", "part.text") }},
	{PartMember, "refusal", "no refusal at added", func(d *draft) { d.del("part.added", "part.refusal") }},
	{PartMember, "reasoning summary", "text null at added", func(d *draft) { d.set("summary_part.added", "part.text", nil) }},

	{PartNotEmpty, "text", "text at added", func(d *draft) { d.set("part.added", "part.text", "Hel") }},
	{PartNotEmpty, "refusal", "refusal at added", func(d *draft) { d.set("part.added", "part.refusal", "I") }},
	{PartNotEmpty, "annotations", "annotations at added", func(d *draft) { d.set("part.added", "part.annotations", list{urlCitation("u")}) }},

	{LogprobMember, "logprobs", "no top_logprobs", func(d *draft) { d.del("text.delta", "logprobs.0.top_logprobs") }},
	{LogprobMember, "logprobs", "top_logprobs null", func(d *draft) { d.set("text.done", "logprobs.0.top_logprobs", nil) }},
	{LogprobMember, "logprobs", "logprob null", func(d *draft) { d.set("text.delta", "logprobs.0.logprob", nil) }},
	{LogprobMember, "logprobs", "no token", func(d *draft) { d.del("text.delta", "logprobs.0.token") }},
	{LogprobMember, "logprobs", "bytes null in a delta", func(d *draft) { d.set("text.delta", "logprobs.0.bytes", nil) }},
	{LogprobMember, "logprobs", "no bytes in the part", func(d *draft) { d.del("part.done", "part.logprobs.0.bytes") }},
	{LogprobMember, "logprobs", "bytes are strings", func(d *draft) { d.set("text.delta", "logprobs.0.bytes", list{"A"}) }},
	{LogprobMember, "logprobs", "alternative without logprob", func(d *draft) { d.del("text.delta", "logprobs.0.top_logprobs.0.logprob") }},

	{AnnotationMember, "annotations", "Chat's nested form", func(d *draft) {
		d.set("annotation.added", "annotation", obj{"type": "url_citation", "url_citation": urlCitation("u")})
	}},
	{AnnotationMember, "annotations", "unknown type", func(d *draft) { d.set("annotation.added", "annotation.type", "quote") }},
	{AnnotationMember, "annotations", "no title", func(d *draft) { d.del("annotation.added", "annotation.title") }},
	{AnnotationMember, "annotations", "no url in the part", func(d *draft) { d.del("part.done", "part.annotations.0.url") }},
	{AnnotationMember, "annotations", "file without filename", func(d *draft) { d.setNth("annotation.added", 1, "annotation.filename", gone{}) }},
}

var responseMutations = []mutation{
	{ResponseMember, "text", "no output in created", func(d *draft) { d.del("response.created", "response.output") }},
	{ResponseMember, "text", "output null", func(d *draft) { d.last("response.output", nil) }},
	{ResponseMember, "text", "no object", func(d *draft) { d.everywhere("object", gone{}) }},
	{ResponseMember, "text", "object is chat.completion", func(d *draft) { d.everywhere("object", "chat.completion") }},
	{ResponseMember, "text", "created_at is a fraction", func(d *draft) { d.everywhere("created_at", 1795000000.5) }},
	{ResponseMember, "text", "created_at is negative", func(d *draft) { d.everywhere("created_at", -5) }},
	{ResponseMember, "text", "empty model", func(d *draft) { d.everywhere("model", "") }},
	{ResponseMember, "text", "service_tier null", func(d *draft) { d.everywhere("service_tier", nil) }},
	{ResponseMember, "text", "temperature null", func(d *draft) { d.everywhere("temperature", nil) }},
	{ResponseMember, "text", "no presence_penalty", func(d *draft) { d.everywhere("presence_penalty", gone{}) }},
	{ResponseMember, "text", "no access_programs", func(d *draft) { d.everywhere("access_programs", gone{}) }},
	{ResponseMember, "text", "no user", func(d *draft) { d.everywhere("user", gone{}) }},
	{ResponseMember, "text", "no completed_at", func(d *draft) { d.everywhere("completed_at", gone{}) }},
	{ResponseMember, "text", "metadata null", func(d *draft) { d.everywhere("metadata", nil) }},
	{ResponseMember, "text", "metadata with a number", func(d *draft) { d.everywhere("metadata", obj{"a": 1}) }},
	{ResponseMember, "text", "reasoning without summary", func(d *draft) { d.everywhere("reasoning", obj{"effort": nil}) }},
	{ResponseMember, "text", "text empty", func(d *draft) { d.everywhere("text", obj{}) }},
	{ResponseMember, "text", "format without type", func(d *draft) { d.everywhere("text.format", obj{}) }},
	{ResponseMember, "text", "tool_choice null", func(d *draft) { d.everywhere("tool_choice", nil) }},
	{ResponseMember, "text", "unknown tool_choice", func(d *draft) { d.everywhere("tool_choice", "any") }},
	{ResponseMember, "text", "tool_choice in Chat's form", func(d *draft) { d.everywhere("tool_choice", obj{"function": obj{"name": "f"}}) }},
	{ResponseMember, "text", "unknown truncation", func(d *draft) { d.everywhere("truncation", "none") }},
	{ResponseMember, "text", "truncation null", func(d *draft) { d.everywhere("truncation", nil) }},
	{ResponseMember, "text", "tools null", func(d *draft) { d.everywhere("tools", nil) }},
	{ResponseMember, "text", "store is a string", func(d *draft) { d.everywhere("store", "true") }},
	{ResponseMember, "text", "conversation is a string", func(d *draft) { d.everywhere("conversation", "conv_1") }},

	{ResponseForeign, "text", "output_text", func(d *draft) { d.last("response.output_text", "Hello") }},
	{ResponseForeign, "text", "stream", func(d *draft) { d.everywhere("stream", true) }},
	{ResponseForeign, "text", "input", func(d *draft) { d.everywhere("input", "Hi") }},

	{ResponseID, "text", "the backend's", func(d *draft) { d.everywhere("id", "chatcmpl-1") }},
	{ResponseID, "text", "empty", func(d *draft) { d.everywhere("id", "") }},
	{ResponseID, "text", "foreign character", func(d *draft) { d.everywhere("id", "resp_a/b") }},

	{ResponseStatus, "text", "unknown", func(d *draft) { d.last("response.status", "done") }},
	{ResponseStatus, "background", "queued in the foreground", func(d *draft) { d.set("response.queued", "response.background", false) }},

	{ResponseUnfinished, "text", "usage in in_progress", func(d *draft) { d.set("response.in_progress", "response.usage", decode(someUsage)) }},
	{ResponseUnfinished, "text", "output in created", func(d *draft) { d.set("response.created", "response.output", list{obj{}}) }},

	{ResponseError, "text", "error in completed", func(d *draft) { d.last("response.error", obj{"code": "a", "message": "b", "type": "c"}) }},
	{ResponseError, "text", "error in created", func(d *draft) {
		d.set("response.created", "response.error", obj{"code": "a", "message": "b", "type": "c"})
	}},
	{ResponseError, "failed without error event", "null", func(d *draft) { d.last("response.error", nil) }},
	{ResponseError, "failed without error event", "no type", func(d *draft) { d.last("response.error.type", gone{}) }},
	{ResponseError, "failed without error event", "no code", func(d *draft) { d.last("response.error.code", gone{}) }},
	{ResponseError, "failed without error event", "code null", func(d *draft) { d.last("response.error.code", nil) }},
	{ResponseError, "failed without error event", "code is a number", func(d *draft) { d.last("response.error.code", 500) }},
	{ResponseError, "failed without error event", "empty message", func(d *draft) { d.last("response.error.message", "") }},

	{ResponseIncomplete, "incomplete by length", "null", func(d *draft) { d.last("response.incomplete_details", nil) }},
	{ResponseIncomplete, "incomplete by length", "no reason", func(d *draft) { d.last("response.incomplete_details", obj{}) }},
	{ResponseIncomplete, "incomplete by length", "Chat's reason", func(d *draft) { d.last("response.incomplete_details.reason", "length") }},
	{ResponseIncomplete, "text", "in completed", func(d *draft) { d.last("response.incomplete_details", obj{"reason": "steered"}) }},
	{ResponseIncomplete, "failed without error event", "in failed", func(d *draft) { d.last("response.incomplete_details", obj{"reason": "steered"}) }},

	{ResponseCompletedAt, "text", "null in completed", func(d *draft) { d.last("response.completed_at", nil) }},
	{ResponseCompletedAt, "text", "before created_at", func(d *draft) { d.last("response.completed_at", 1794999999) }},
	{ResponseCompletedAt, "text", "in created", func(d *draft) { d.set("response.created", "response.completed_at", 1795000000) }},
	{ResponseCompletedAt, "incomplete by length", "in incomplete", func(d *draft) { d.last("response.completed_at", 1795000002) }},
	{ResponseCompletedAt, "failed without error event", "in failed", func(d *draft) { d.last("response.completed_at", 1795000002) }},

	{ResponseItems, "text", "truncated but completed", func(d *draft) { d.both("status", "incomplete") }},
	{ResponseItems, "function call", "truncated but completed", func(d *draft) { d.both("status", "incomplete") }},

	{ResponseUsage, "text", "no output_tokens", func(d *draft) { d.last("response.usage.output_tokens", gone{}) }},
	{ResponseUsage, "text", "no details", func(d *draft) { d.last("response.usage.input_tokens_details", gone{}) }},
	{ResponseUsage, "text", "details null", func(d *draft) { d.last("response.usage.output_tokens_details", nil) }},
	{ResponseUsage, "text", "no cache_write_tokens", func(d *draft) { d.last("response.usage.input_tokens_details.cache_write_tokens", gone{}) }},
	{ResponseUsage, "text", "cached_tokens null", func(d *draft) { d.last("response.usage.input_tokens_details.cached_tokens", nil) }},
	{ResponseUsage, "text", "no reasoning_tokens", func(d *draft) { d.last("response.usage.output_tokens_details", obj{}) }},
	{ResponseUsage, "text", "wrong total", func(d *draft) { d.last("response.usage.total_tokens", 13) }},
	{ResponseUsage, "text", "negative", func(d *draft) {
		d.last("response.usage.input_tokens", -7)
		d.last("response.usage.total_tokens", -2)
	}},
	{ResponseUsage, "text", "fraction", func(d *draft) { d.last("response.usage.total_tokens", 12.5) }},
	{ResponseUsage, "text", "Chat's names", func(d *draft) {
		d.last("response.usage", obj{"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12})
	}},
	{ResponseUsage, "incomplete by length", "empty object", func(d *draft) { d.last("response.usage", obj{}) }},

	{ResponseTools, "text", "function without strict", func(d *draft) { d.everywhere("tools.0.strict", gone{}) }},
	{ResponseTools, "text", "function without description", func(d *draft) { d.everywhere("tools.0.description", gone{}) }},
	{ResponseTools, "text", "Chat's nested form", func(d *draft) { d.everywhere("tools.0", obj{"type": "function", "function": obj{"name": "f"}}) }},
	{ResponseTools, "text", "no type", func(d *draft) { d.everywhere("tools.1.type", gone{}) }},
}
