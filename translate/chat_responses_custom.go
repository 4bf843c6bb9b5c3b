package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The call of a custom tool becomes a custom_tool_call, whose input comes in
// deltas like a function's arguments. Where the backend knows custom tools it
// sends the text itself; else customInput takes it out of the arguments.

// customDelta takes in a fragment of a custom tool's call. raw is the inside of a
// JSON string that stands on its own.
func (t *Turn) customDelta(dst []byte, it *outItem, raw []byte) []byte {
	if len(raw) == 0 {
		return dst
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	if it.native {
		it.text = append(it.text, raw...)
	} else {
		if bytes.IndexByte(raw, '\\') >= 0 {
			t.plain = jsonx.AppendUnescaped(t.plain[:0], raw)
			raw = t.plain
		}
		if it.input.state == inputOver && !t.given && bytes.HasPrefix(skipSpace(raw), []byte("{")) { // the arguments once more
			if it.input.found || it.shown > 0 {
				t.lateArguments(it, raw)
				return dst
			}
			t.lose(ruleReplyArgumentsAgain, t.argumentsPath(it), string(it.said))
			it.input = customInput{seen: it.input.seen[:0]}
		}
		it.text = it.input.feed(it.text, raw)
	}
	if it.state == itemHeld {
		return dst
	}
	return t.emitInput(dst, it, it.showable())
}

// emitInput says a custom tool's input up to that length, but for what has been said.
func (t *Turn) emitInput(dst []byte, it *outItem, to int) []byte {
	from := it.shown
	if it.shown = max(to, from); to <= from || !t.events {
		return dst
	}
	dst = t.event(dst, evInputDelta)
	dst = append(dst, it.head...)
	dst = append(dst, it.text[from:to]...)
	dst = append(dst, '"')
	if t.opt.Obfuscate {
		dst = t.obfuscate(dst, to-from)
	}
	return append(dst, eventEnd...)
}

// closeInput finishes the input of a custom tool's call that is about to be done.
func (t *Turn) closeInput(dst []byte, it *outItem, status string) []byte {
	t.finishInput(it, status)
	if t.opt.Grammar == GrammarReport && status == "completed" {
		it.reason = it.mismatch(it.text)
	}
	if it.reason != "" {
		t.lose(ruleReplyGrammar, outputPath(it.index)+".input", it.reason)
	}
	dst = t.emitInput(dst, it, len(it.text))
	if !t.events {
		return dst
	}
	dst = t.event(dst, evInputDone)
	dst = itemPlace(dst, it)
	dst = append(dst, `,"input":"`...)
	dst = append(dst, it.text...)
	dst = append(dst, '"')
	return append(dst, eventEnd...)
}

// finishInput takes in that no more of a custom tool's input will come.
func (t *Turn) finishInput(it *outItem, status string) {
	if it.finished {
		return
	}
	it.finished = true
	if len(it.half) > 0 { // the other half never came
		it.half = it.half[:0]
		if it.native {
			it.text = append(it.text, `\ufffd`...)
		} else {
			it.text = it.input.feed(it.text, []byte("\ufffd"))
		}
	}
	if !it.native {
		it.text = it.input.finish(it.text, status != "completed")
		if status == "completed" && it.unwrapInput() {
			it.input.repaired = true
		}
		if it.input.repaired {
			at := it.index
			if it.state == itemHeld {
				at = len(t.order)
			}
			t.lose(ruleReplyInput, outputPath(at)+".input", string(it.name))
		}
	}
}

// outputPath is the path of an output item in reports.
func outputPath(index int) string { return "output[" + string(appendInt(nil, index)) + "]" }
