package streamcheck

import (
	"bytes"
	"testing"
)

// A resumed stream knows less, but what it knows it checks.
func TestResumedViolations(t *testing.T) {
	f := func(rule Rule, stream string, from int, change func(d *draft)) {
		t.Helper()
		d := &draft{story: good(stream)}
		d.events = d.events[from:]
		change(d)
		d.opt.First = int64(from)
		raw := append(bytes.Join(frames(d.events, d.opt.First), nil), d.suffix...)
		if got := Stream(raw, d.opt); !has(got, rule) {
			t.Errorf("%s from %d: not reported as %s, but %v", stream, from, rule, got)
		}
	}
	nothing := func(*draft) {}
	f(LifecycleOrder, "text", 1, func(d *draft) { d.before("item.added", "response.created", good("text").events[0].body) })
	f(LifecycleOrder, "text", 3, func(d *draft) { d.before("text.done", "response.in_progress", good("text").events[1].body) })
	f(EventSequence, "text", 4, func(d *draft) { d.events[0].body["sequence_number"] = 0 })

	// text: 4, 5 and 6 are the deltas, 7 text done, 8 part done, 9 item done.
	f(ValueText, "text", 5, func(d *draft) { d.set("text.delta", "delta", "la") })
	f(ValueText, "text", 5, func(d *draft) { d.set("text.done", "text", "lo") })
	f(LadderItemID, "text", 5, func(d *draft) { d.set("text.done", "item_id", "msg_9") })
	f(LadderItemKind, "text", 5, func(d *draft) {
		d.before("text.done", "response.function_call_arguments.delta", at("msg_0", 0, obj{"delta": "{"}))
	})
	f(LadderPartKind, "text", 5, func(d *draft) {
		d.before("text.done", "response.refusal.delta", at("msg_0", 0, obj{"delta": "{", "content_index": 0}))
	})
	f(LadderPartOpen, "text", 5, func(d *draft) { d.drop("part.done") })
	f(LadderValueOpen, "text", 5, func(d *draft) {
		d.before("part.done", "response.output_text.delta", good("text").events[4].body)
		d.drop("text.done")
	})
	f(ValuePart, "text", 5, func(d *draft) { d.set("part.done", "part.text", "x") })
	f(ValueItem, "text", 5, func(d *draft) { d.set("item.done", "item.content.0.text", "x") })
	f(ValueItem, "text", 8, func(d *draft) { d.set("item.done", "item.content", list{}) })
	f(LadderItemChanged, "text", 5, func(d *draft) { d.set("item.done", "item.id", "msg_9") })
	f(TerminalItem, "text", 9, func(d *draft) { d.last("response.output.0.content.0.text", "x") })
	f(TerminalOutput, "text", 9, func(d *draft) { d.last("response.output", list{}) })
	f(TerminalOpenItem, "text", 5, func(d *draft) { d.drop("item.done") })
	f(ItemStatus, "text", 10, func(d *draft) { d.last("response.output.0.status", "in_progress") })
	f(ResponseMember, "text", 10, func(d *draft) { d.last("response.tools", gone{}) })
	f(TerminalMissing, "text", 11, nothing)

	f(LadderOutputIndex, "text, call, text", 9, func(d *draft) { d.setNth("item.added", 0, "output_index", 0) })
	f(LadderOutputIndex, "text, call, text", 8, func(d *draft) { d.setNth("item.added", 1, "output_index", 3) })
	f(LadderItemNotAdded, "text, call, text", 9, func(d *draft) { d.setNth("part.added", 0, "output_index", 7) })
	f(TerminalOutput, "text, call, text", 9, func(d *draft) { d.last("response.output", d.output[:2]) })

	f(ValueText, "function call", 4, func(d *draft) { d.set("arguments.delta", "delta", "x") })
	f(ValueItem, "function call", 4, func(d *draft) { d.both("arguments", "{}") })
	f(LadderCommandIndex, "shell call and output", 4, func(d *draft) { d.set("command.delta", "command_index", -1) })
	f(ValueLogprobs, "logprobs", 5, func(d *draft) { d.set("text.done", "logprobs.1.token", "x") })
	f(ValueAnnotations, "annotations", 6, func(d *draft) { d.set("part.done", "part.annotations.3.file_id", "x") })
	f(LadderPartIndex, "text then refusal", 5, func(d *draft) { d.set("part.added", "content_index", 0) })
}

func TestResumedBeyondTheEnd(t *testing.T) {
	if got := Stream(nil, Options{First: 100, Unfinished: true}); got != nil {
		t.Errorf("nothing left to resume: %v", got)
	}
}
