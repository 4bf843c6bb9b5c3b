package streamcheck

var ladderMutations = []mutation{
	{LadderItemNotAdded, "text", "item never added", func(d *draft) { d.drop("item.added") }},
	{LadderItemNotAdded, "function call", "delta before the item", func(d *draft) { d.swap("item.added", "arguments.delta") }},
	{LadderItemNotAdded, "no items", "done without added", func(d *draft) {
		d.before("response.completed", "response.output_item.done", obj{"output_index": 0, "item": good("text").output[0]})
	}},
	{LadderItemNotAdded, "text", "delta for the next item", func(d *draft) { d.set("text.delta", "output_index", 1) }},
	{LadderItemNotAdded, "text", "negative output_index", func(d *draft) { d.set("text.delta", "output_index", -1) }},
	{LadderItemNotAdded, "web search", "progress before the item", func(d *draft) { d.swap("item.added", "call.in_progress") }},

	{LadderItemClosed, "text", "delta after item done", func(d *draft) { d.before("response.completed", "response.output_text.delta", d.events[4].body) }},
	{LadderItemClosed, "text", "item done twice", func(d *draft) { d.double("item.done") }},
	{LadderItemClosed, "text", "part done after item done", func(d *draft) {
		d.before("response.completed", "response.content_part.done", nth(d.events, "part.done", 0).body)
	}},
	{LadderItemClosed, "text, call, text", "first text goes on after the call", func(d *draft) {
		d.before("response.completed", "response.output_text.delta", nth(d.events, "text.delta", 0).body)
	}},
	{LadderItemClosed, "function call", "arguments after item done", func(d *draft) {
		d.before("response.completed", "response.function_call_arguments.done", nth(d.events, "arguments.done", 0).body)
	}},
	{LadderItemClosed, "web search", "progress after item done", func(d *draft) {
		d.before("response.completed", "response.web_search_call.completed", nth(d.events, "call.completed", 0).body)
	}},

	{LadderItemID, "text", "delta with another item_id", func(d *draft) { d.set("text.delta", "item_id", "msg_9") }},
	{LadderItemID, "text", "done with another item_id", func(d *draft) { d.set("text.done", "item_id", "msg_9") }},
	{LadderItemID, "text", "empty item_id", func(d *draft) { d.set("part.added", "item_id", "") }},
	{LadderItemID, "interleaved calls", "ids crossed", func(d *draft) { d.set("arguments.delta", "item_id", "fc_1") }},
	{LadderItemID, "reasoning summary", "id rotates", func(d *draft) { d.set("summary_text.delta", "item_id", "rs_9") }},

	{LadderItemKind, "text", "arguments on a message", func(d *draft) {
		d.before("text.done", "response.function_call_arguments.delta", at("msg_0", 0, obj{"delta": "{"}))
	}},
	{LadderItemKind, "function call", "text on a call", func(d *draft) {
		d.before("arguments.done", "response.output_text.delta", at("fc_0", 0, obj{"delta": "a", "content_index": 0, "logprobs": list{}}))
	}},
	{LadderItemKind, "function call", "part on a call", func(d *draft) {
		d.before("arguments.done", "response.content_part.added", at("fc_0", 0, obj{"content_index": 0, "part": obj{"type": "refusal", "refusal": ""}}))
	}},
	{LadderItemKind, "custom call", "arguments on a custom call", func(d *draft) { d.set("input.delta", "type", "response.function_call_arguments.delta") }},
	{LadderItemKind, "reasoning summary", "summary part on a message", func(d *draft) {
		d.before("output_text.done", "response.reasoning_summary_part.added", at("msg_1", 1, obj{"summary_index": 0, "part": obj{"type": "summary_text", "text": ""}}))
	}},
	{LadderItemKind, "web search", "progress of another tool", func(d *draft) { d.set("call.in_progress", "type", "response.file_search_call.in_progress") }},

	{LadderItemChanged, "text", "done with another id", func(d *draft) { d.set("item.done", "item.id", "msg_9") }},
	{LadderItemChanged, "function call", "call_id regenerated", func(d *draft) { d.both("call_id", "call_9") }},
	{LadderItemChanged, "function call", "another name", func(d *draft) { d.both("name", "h") }},
	{LadderItemChanged, "namespaced custom call", "namespace known at the end only", func(d *draft) { d.del("item.added", "item.namespace") }},
	{LadderItemChanged, "namespaced custom call", "name joined at the end", func(d *draft) { d.set("item.done", "item.name", "functions__g") }},
	{LadderItemChanged, "tool search", "run by the server at the end", func(d *draft) { d.both("execution", "server") }},
	{LadderItemChanged, "namespaced call", "namespace lost", func(d *draft) { d.both("namespace", gone{}) }},
	{LadderItemChanged, "function call", "namespace only at the end", func(d *draft) { d.both("namespace", "n") }},
	{LadderItemChanged, "phase", "another phase", func(d *draft) { d.both("phase", "final_answer") }},
	{LadderItemChanged, "phase", "phase lost", func(d *draft) { d.both("phase", gone{}) }},
	{LadderItemChanged, "function call", "becomes a custom call", func(d *draft) {
		d.set("item.done", "item", obj{"id": "ctc_0", "type": "custom_tool_call", "status": "completed", "call_id": "call_0", "name": "f", "input": ""})
	}},
	{LadderItemChanged, "failed in a call", "call_id regenerated in the failure", func(d *draft) { d.last("response.output.0.call_id", "call_9") }},

	{LadderOutputIndex, "text", "begins with 1", func(d *draft) { d.set("item.added", "output_index", 1) }},
	{LadderOutputIndex, "text, call, text", "an index left out", func(d *draft) { d.setNth("item.added", 1, "output_index", 2) }},
	{LadderOutputIndex, "parallel calls", "all calls at index 0", func(d *draft) { d.setNth("item.added", 1, "output_index", 0) }},
	{LadderOutputIndex, "interleaved calls", "added in the wrong order", func(d *draft) { d.events[2], d.events[3] = d.events[3], d.events[2] }},

	{LadderPartNotAdded, "text", "part never added", func(d *draft) { d.drop("part.added") }},
	{LadderPartNotAdded, "text", "delta before the part", func(d *draft) { d.swap("part.added", "text.delta") }},
	{LadderPartNotAdded, "text", "delta for the next part", func(d *draft) { d.set("text.delta", "content_index", 1) }},
	{LadderPartNotAdded, "refusal", "part never added", func(d *draft) { d.drop("part.added") }},
	{LadderPartNotAdded, "reasoning raw", "part never added", func(d *draft) { d.drop("part.added") }},
	{LadderPartNotAdded, "reasoning summary", "summary part never added", func(d *draft) { d.drop("summary_part.added") }},
	{LadderPartNotAdded, "reasoning summary", "delta for a later summary part", func(d *draft) { d.set("summary_text.delta", "summary_index", 3) }},
	{LadderPartNotAdded, "annotations", "annotation for the next part", func(d *draft) { d.set("annotation.added", "content_index", 1) }},

	{LadderPartIndex, "text", "begins with 1", func(d *draft) { d.set("part.added", "content_index", 1) }},
	{LadderPartIndex, "text then refusal", "two parts at 0", func(d *draft) { d.setNth("part.added", 1, "content_index", 0) }},
	{LadderPartIndex, "reasoning summary", "summary_index left out", func(d *draft) { d.setNth("summary_part.added", 1, "summary_index", 2) }},

	{LadderPartKind, "text", "refusal on an output_text part", func(d *draft) {
		d.before("text.done", "response.refusal.delta", at("msg_0", 0, obj{"content_index": 0, "delta": "no"}))
	}},
	{LadderPartKind, "refusal", "text on a refusal part", func(d *draft) {
		d.before("refusal.done", "response.output_text.delta", at("msg_0", 0, obj{"content_index": 0, "delta": "no", "logprobs": list{}}))
	}},
	{LadderPartKind, "refusal", "closed as output_text", func(d *draft) {
		d.set("part.done", "part", obj{"type": "output_text", "text": "", "annotations": list{}, "logprobs": list{}})
	}},
	{LadderPartKind, "refusal", "annotation on a refusal", func(d *draft) {
		d.before("refusal.done", "response.output_text.annotation.added", at("msg_0", 0, obj{"content_index": 0, "annotation_index": 0, "annotation": urlCitation("u")}))
	}},

	{LadderPartOpen, "text", "part never done", func(d *draft) { d.drop("part.done") }},
	{LadderPartOpen, "text", "part done after item done", func(d *draft) { d.swap("part.done", "item.done") }},
	{LadderPartOpen, "text then refusal", "next part before the first is done", func(d *draft) {
		d.dropNth("part.done", 0)
	}},
	{LadderPartOpen, "reasoning summary", "summary part never done", func(d *draft) { d.dropNth("summary_part.done", 1) }},
	{LadderPartOpen, "reasoning raw", "part never done", func(d *draft) { d.drop("part.done") }},

	{LadderPartClosed, "text", "delta after part done", func(d *draft) { d.before("item.done", "response.output_text.delta", d.events[4].body) }},
	{LadderPartClosed, "text", "part done twice", func(d *draft) { d.double("part.done") }},
	{LadderPartClosed, "text", "text done after part done", func(d *draft) { d.before("item.done", "response.output_text.done", nth(d.events, "text.done", 0).body) }},
	{LadderPartClosed, "annotations", "annotation after part done", func(d *draft) {
		d.before("item.done", "response.output_text.annotation.added", nth(d.events, "annotation.added", 0).body)
	}},

	{LadderValueOpen, "text", "no text done", func(d *draft) { d.drop("text.done") }},
	{LadderValueOpen, "text", "text done after part done", func(d *draft) { d.swap("text.done", "part.done") }},
	{LadderValueOpen, "refusal", "no refusal done", func(d *draft) { d.drop("refusal.done") }},
	{LadderValueOpen, "reasoning raw", "no text done", func(d *draft) { d.drop("reasoning_text.done") }},
	{LadderValueOpen, "reasoning summary", "no text done", func(d *draft) { d.drop("summary_text.done") }},
	{LadderValueOpen, "function call", "no arguments done", func(d *draft) { d.drop("arguments.done") }},
	{LadderValueOpen, "function call without arguments", "no arguments done", func(d *draft) { d.drop("arguments.done") }},
	{LadderValueOpen, "custom call", "no input done", func(d *draft) { d.drop("input.done") }},
	{LadderValueOpen, "mcp call", "deltas without done", func(d *draft) { d.drop("arguments.done") }},
	{LadderValueOpen, "code interpreter", "deltas without done", func(d *draft) { d.drop("code.done") }},

	{LadderValueClosed, "text", "delta after text done", func(d *draft) { d.before("part.done", "response.output_text.delta", d.events[4].body) }},
	{LadderValueClosed, "text", "text done twice", func(d *draft) { d.double("text.done") }},
	{LadderValueClosed, "function call", "delta after arguments done", func(d *draft) {
		d.before("item.done", "response.function_call_arguments.delta", nth(d.events, "arguments.delta", 0).body)
	}},
	{LadderValueClosed, "function call", "arguments done twice", func(d *draft) { d.double("arguments.done") }},
	{LadderValueClosed, "shell call and output", "command done twice", func(d *draft) { d.double("command.done") }},

	{LadderProgress, "web search", "completed before searching", func(d *draft) { d.swap("call.searching", "call.completed") }},
	{LadderProgress, "web search", "completed twice", func(d *draft) { d.double("call.completed") }},
	{LadderProgress, "mcp list tools", "completed and failed", func(d *draft) {
		d.before("item.done", "response.mcp_list_tools.failed", at("mcpl_0", 0, nil))
	}},

	{LadderAnnotation, "annotations", "begins with 1", func(d *draft) { d.set("annotation.added", "annotation_index", 1) }},
	{LadderAnnotation, "annotations", "repeated", func(d *draft) { d.setNth("annotation.added", 2, "annotation_index", 1) }},

	{LadderCommandIndex, "shell call and output", "begins with 1", func(d *draft) { d.set("command.added", "command_index", 1) }},
	{LadderCommandIndex, "shell call and output", "never added", func(d *draft) { d.dropNth("command.added", 1) }},
	{LadderCommandOpen, "shell call and output", "never done", func(d *draft) { d.dropNth("command.done", 1) }},
	{LadderCommandOpen, "shell call and output", "two open", func(d *draft) { d.dropNth("command.done", 0) }},

	{ValueText, "text", "a delta lost", func(d *draft) { d.dropNth("text.delta", 1) }},
	{ValueText, "text", "a delta repeated", func(d *draft) { d.double("text.delta") }},
	{ValueText, "text", "deltas swapped", func(d *draft) { d.events[4], d.events[5] = d.events[5], d.events[4] }},
	{ValueText, "text", "done trimmed", func(d *draft) { d.set("text.done", "text", "Hello") }},
	{ValueText, "empty answer", "text without a delta", func(d *draft) { d.set("text.done", "text", "Hi") }},
	{ValueText, "refusal", "a delta lost", func(d *draft) { d.drop("refusal.delta") }},
	{ValueText, "reasoning raw", "a delta lost", func(d *draft) { d.drop("reasoning_text.delta") }},
	{ValueText, "reasoning summary", "a delta lost", func(d *draft) { d.drop("summary_text.delta") }},
	{ValueText, "function call", "a delta lost", func(d *draft) { d.drop("arguments.delta") }},
	{ValueText, "function call without arguments", "made up at the end", func(d *draft) { d.set("arguments.done", "arguments", "{}") }},
	{ValueText, "function call", "arguments escaped twice", func(d *draft) { d.set("arguments.delta", "delta", `{\"a\"`) }},
	{ValueText, "interleaved calls", "deltas crossed", func(d *draft) {
		for i, n := range []int{0, 1} {
			d.setNth("arguments.delta", n, "output_index", 1-i)
			d.setNth("arguments.delta", n, "item_id", []string{"fc_1", "fc_0"}[i])
		}
	}},
	{ValueText, "namespaced custom call", "a delta with the JSON around it", func(d *draft) { d.set("input.delta", "delta", `{"input":"text(`) }},
	{ValueText, "custom call", "a delta lost", func(d *draft) { d.drop("input.delta") }},
	{ValueText, "mcp call", "a delta lost", func(d *draft) { d.drop("arguments.delta") }},
	{ValueText, "shell call and output", "a delta lost", func(d *draft) { d.drop("command.delta") }},

	{ValuePart, "text", "part with other text", func(d *draft) { d.set("part.done", "part.text", "Hello") }},
	{ValuePart, "refusal", "part with other text", func(d *draft) { d.set("part.done", "part.refusal", "") }},
	{ValuePart, "reasoning summary", "part with other text", func(d *draft) { d.set("summary_part.done", "part.text", "x") }},

	{ValueItem, "text", "item without its part", func(d *draft) { d.set("item.done", "item.content", list{}) }},
	{ValueItem, "text", "item with other text", func(d *draft) { d.set("item.done", "item.content.0.text", "Hello") }},
	{ValueItem, "text then refusal", "parts in the wrong order", func(d *draft) {
		c := nth(d.events, "item.done", 0).body["item"].(obj)["content"].(list)
		c[0], c[1] = c[1], c[0]
	}},
	{ValueItem, "message without parts", "text out of nowhere", func(d *draft) {
		d.set("item.done", "item.content", list{obj{"type": "output_text", "text": "a", "annotations": list{}, "logprobs": list{}}})
	}},
	{ValueItem, "reasoning summary", "summary lost", func(d *draft) { d.set("item.done", "item.summary", list{}) }},
	{ValueItem, "reasoning raw", "content lost", func(d *draft) { d.del("item.done", "item.content") }},
	{ValueItem, "function call", "arguments lost", func(d *draft) { d.set("item.done", "item.arguments", "") }},
	{ValueItem, "failed in a custom call", "input lost", func(d *draft) { d.last("response.output.0.input", "") }},
	{ValueItem, "custom call", "input lost", func(d *draft) { d.set("item.done", "item.input", "") }},
	{ValueItem, "shell call and output", "other command", func(d *draft) { d.set("item.done", "item.action.commands.1", "rm") }},
	{ValueItem, "shell call and output", "command lost", func(d *draft) { d.set("item.done", "item.action.commands", list{"ls"}) }},
	{ValueItem, "failed in a text", "deltas lost", func(d *draft) { d.last("response.output.1.content.0.text", "ha") }},
	{ValueItem, "failed in a text", "part lost", func(d *draft) { d.last("response.output.1.content", list{}) }},
	{ValueItem, "failed in a call", "deltas lost", func(d *draft) { d.last("response.output.0.arguments", "{}") }},
	{ValueItem, "failed in a reasoning", "summary lost", func(d *draft) { d.last("response.output.0.summary", list{}) }},

	{ValueLogprobs, "logprobs", "token lost in done", func(d *draft) { d.set("text.done", "logprobs", list{tok("A", 65)}) }},
	{ValueLogprobs, "logprobs", "another token in done", func(d *draft) { d.set("text.done", "logprobs.1.token", "C") }},
	{ValueLogprobs, "logprobs", "another value in done", func(d *draft) { d.set("text.done", "logprobs.1.logprob", -1) }},
	{ValueLogprobs, "logprobs", "alternatives lost in done", func(d *draft) { d.set("text.done", "logprobs.1.top_logprobs", list{}) }},
	{ValueLogprobs, "logprobs", "another alternative in done", func(d *draft) { d.set("text.done", "logprobs.1.top_logprobs.0.token", "C") }},
	{ValueLogprobs, "logprobs", "lost in the part", func(d *draft) { d.set("part.done", "part.logprobs", list{}) }},
	{ValueLogprobs, "logprobs", "other bytes in the part", func(d *draft) { d.set("part.done", "part.logprobs.0.bytes", list{66}) }},
	{ValueLogprobs, "logprobs", "lost in a delta", func(d *draft) { d.set("text.delta", "logprobs", list{}) }},

	{ValueAnnotations, "annotations", "lost in the part", func(d *draft) { d.set("part.done", "part.annotations", list{}) }},
	{ValueAnnotations, "annotations", "changed in the part", func(d *draft) { d.set("part.done", "part.annotations.0.url", "https://b") }},
	{ValueAnnotations, "annotations", "never announced", func(d *draft) {
		for range 4 {
			d.drop("annotation.added")
		}
	}},

	{TerminalOutput, "text", "output empty", func(d *draft) { d.last("response.output", list{}) }},
	{TerminalOutput, "text, call, text", "last item missing", func(d *draft) {
		d.last("response.output", d.output[:2])
	}},
	{TerminalOutput, "text", "an item more", func(d *draft) {
		d.last("response.output", append(d.output, obj{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": list{}}))
	}},
	{TerminalOutput, "failed in a call", "open item missing", func(d *draft) { d.last("response.output", list{}) }},
	{TerminalOutput, "no items", "an item that was never streamed", func(d *draft) {
		d.last("response.output", good("text").output)
	}},

	{TerminalItem, "text", "another id", func(d *draft) { d.last("response.output.0.id", "msg_9") }},
	{TerminalItem, "text", "another text", func(d *draft) { d.last("response.output.0.content.0.text", "") }},
	{TerminalItem, "text", "a member more", func(d *draft) { d.last("response.output.0.phase", "final_answer") }},
	{TerminalItem, "logprobs", "logprobs lost", func(d *draft) { d.last("response.output.0.content.0.logprobs", list{}) }},
	{TerminalItem, "function call", "another call_id", func(d *draft) { d.last("response.output.0.call_id", "call_9") }},
	{TerminalItem, "reasoning raw", "encrypted_content lost", func(d *draft) { d.last("response.output.0.encrypted_content", gone{}) }},
	{TerminalItem, "reasoning raw", "another encrypted_content", func(d *draft) { d.last("response.output.0.encrypted_content", "v2") }},
	{TerminalItem, "parallel calls", "order changed", func(d *draft) { d.last("response.output", list{d.output[1], d.output[0]}) }},
	{TerminalItem, "failed in a call", "another id", func(d *draft) { d.last("response.output.0.id", "fc_9") }},

	{TerminalOpenItem, "text", "item never done", func(d *draft) { d.drop("item.done") }},
	{TerminalOpenItem, "incomplete in a call", "call never done", func(d *draft) { d.dropNth("item.done", 1) }},
	{TerminalOpenItem, "failed in a call", "listed as in_progress", func(d *draft) { d.last("response.output.0.status", "in_progress") }},
	{TerminalOpenItem, "failed in a call", "listed as completed", func(d *draft) { d.last("response.output.0.status", "completed") }},
	{TerminalOpenItem, "failed in a reasoning", "listed without status", func(d *draft) { d.last("response.output.0.status", gone{}) }},

	{TerminalHalfDone, "incomplete in a call", "incomplete item in a failed response", func(d *draft) {
		d.events = d.events[:len(d.events)-1]
		delete(d.resp, "usage")
		d.resp["usage"], d.resp["incomplete_details"] = nil, nil
		d.failed(nil)
	}},
}
