package translate

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// maxCallID is the longest call id that the Responses API takes, in characters.
const maxCallID = 64

// appendInput appends instructions and input: the messages as items (docs/PROTOCOL.md §6.2).
func (r *ChatRequest) appendInput(dst []byte, opt *ResponsesOptions) ([]byte, *Error) {
	from := 0
	if opt.Dialect.Responses.Instructions {
		dst, from = r.appendInstructions(dst, opt)
	}
	dst = append(dst, `,"input":[`...)
	w := inputWriter{r: r, d: &r.doc, opt: opt, dst: dst, start: len(dst)}
	r.itemFrom = r.itemFrom[:0]
	for i := from; i < len(r.messages); i++ {
		w.message(i)
	}
	dst = append(w.dst, ']')
	if len(w.dst) == w.start && from == 0 {
		return dst, invalid("invalid_value", "messages", "Nothing in 'messages' can be sent to a Responses backend.")
	}
	return dst, nil
}

// appendInstructions sends the system messages at the head as instructions, when
// they are plain text.
func (r *ChatRequest) appendInstructions(dst []byte, opt *ResponsesOptions) (out []byte, from int) {
	d := &r.doc
	w := inputWriter{r: r, d: d, opt: opt}
	for from < len(r.messages) {
		m := &r.messages[from]
		if m.role > byDeveloper || d.Kind(m.content) != jsonx.String || w.speaks(m) {
			break
		}
		w.unknownMembers(m, from)
		if from == 0 {
			dst = append(dst, `,"instructions":"`...)
		} else {
			dst = append(dst, `\n\n`...)
		}
		dst = append(dst, d.Str(m.content)...)
		from++
	}
	if from > 0 {
		dst = append(dst, '"')
	}
	return dst, from
}

// inputWriter writes the items of input.
type inputWriter struct {
	r     *ChatRequest
	d     *jsonx.Doc
	opt   *ResponsesOptions
	dst   []byte
	start int
	named bool // the name of the message at hand has been put before its text
}

// item begins an item that comes from message i.
func (w *inputWriter) item(i int, head string) {
	if len(w.dst) > w.start {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(w.dst, head...)
	w.r.itemFrom = append(w.r.itemFrom, i)
}

func (w *inputWriter) message(i int) {
	m := &w.r.messages[i]
	w.unknownMembers(m, i)
	w.named = false
	switch m.role {
	case byAssistant:
		w.assistant(m, i)
	case byTool, byFunction:
		w.output(m, i)
	default:
		role := chatRoleNames[m.role]
		if m.role == byDeveloper && !w.opt.Dialect.Responses.Developer {
			w.opt.Losses.add(ruleChatDeveloper, messagePath(i), "")
			role = "system"
		}
		w.said(m, i, role)
	}
	if w.opt.NamePrefix && w.speaks(m) && !w.named { // it has no text
		w.opt.Losses.add(ruleChatName, messagePath(i)+".name", w.d.Text(m.name))
	}
}

// speaks reports whether a message has a name that says who speaks: that of a
// tool says what was called, as the call itself does.
func (w *inputWriter) speaks(m *frontMessage) bool {
	return m.name != 0 && m.role != byTool && m.role != byFunction && len(w.d.Str(m.name)) > 0
}

// messageMembers are the members of messages that have a fate of their own.
func (w *inputWriter) unknownMembers(m *frontMessage, i int) {
	d := w.d
	for k, end := d.First(m.node), d.End(m.node); k < end; k = d.Next(k + 1) {
		v := k + 1
		if !d.Present(v) {
			continue
		}
		switch string(keyOf(d, k)) {
		case "role", "content", "tool_calls", "function_call", "tool_call_id", "refusal":
		case "name":
			switch {
			case w.speaks(m):
				if !w.opt.NamePrefix {
					w.opt.Losses.add(ruleChatName, messagePath(i)+".name", d.Text(v))
				}
			case m.role == byTool && !emptyString(d, v) && !d.SameStr(v, d, w.r.calls[m.answered].name):
				w.opt.Losses.add(ruleChatMessageMember, messagePath(i)+".name", d.Text(v))
			}
		case "audio":
			if m.role == byAssistant {
				w.opt.Losses.add(ruleChatAudio, messagePath(i)+".audio", "")
			}
		case "reasoning_content", "reasoning", "reasoning_details", "thinking":
			if !emptyString(d, v) && !emptyArray(d, v) {
				w.opt.Losses.add(ruleChatReasoning, messagePath(i)+"."+d.Text(k), "")
			}
		default:
			if !emptyString(d, v) && !emptyArray(d, v) {
				w.opt.Losses.add(ruleChatMessageMember, messagePath(i)+"."+brief(d.Text(k)), "")
			}
		}
	}
}

// text writes the inside of a text that has been begun: the first of a message
// that is not empty after "name: ", if that is wanted.
func (w *inputWriter) text(m *frontMessage, raw []byte) {
	if w.opt.NamePrefix && !w.named && len(raw) > 0 && w.speaks(m) {
		w.named = true
		w.dst = append(w.dst, w.d.Str(m.name)...)
		w.dst = append(w.dst, ": "...)
	}
	w.dst = append(w.dst, raw...)
}

// said writes a message of anybody but the assistant.
func (w *inputWriter) said(m *frontMessage, i int, role string) {
	d := w.d
	mark, items := len(w.dst), len(w.r.itemFrom)
	w.item(i, `{"type":"message","role":"`)
	w.dst = append(w.dst, role...)
	w.dst = append(w.dst, `","content":`...)
	if d.Kind(m.content) == jsonx.String {
		w.dst = append(w.dst, '"')
		w.text(m, d.Str(m.content))
		w.dst = append(w.dst, `"}`...)
		return
	}
	w.dst = append(w.dst, '[')
	if n := w.parts(m, messagePath(i)+".content"); n == 0 { // nothing is left of it
		w.dst, w.r.itemFrom = w.dst[:mark], w.r.itemFrom[:items]
		return
	}
	w.dst = append(w.dst, "]}"...)
}

// parts writes the parts of a message or of a call's output, and counts them.
func (w *inputWriter) parts(m *frontMessage, path string) (count int) {
	d, habits := w.d, &w.opt.Dialect.Responses
	j := -1
	for v, end := d.First(m.content), d.End(m.content); v < end; v = d.Next(v) {
		j++
		part := readChatPart(d, v)
		inner := part.inner
		at := path + "[" + strconv.Itoa(j) + "]"
		lost := ""
		switch {
		case part.kind == "image_url" && !w.opt.Dialect.Images, part.kind == "file" && !habits.Files,
			part.kind == "input_audio" && !habits.Audio:
			lost = d.Text(d.Get(v, "type"))
		}
		if lost != "" {
			w.opt.Losses.add(ruleChatPart, at, lost)
			continue
		}
		if count > 0 {
			w.dst = append(w.dst, ',')
		}
		count++
		switch {
		case part.kind == "text":
			w.dst = append(w.dst, `{"type":"input_text","text":"`...)
			w.text(m, d.Str(inner))
			w.dst = append(w.dst, '"')
		case part.kind == "image_url":
			w.dst = part.appendImage(w.dst, d)
		case part.kind == "input_audio":
			w.dst = append(w.dst, `{"type":"input_audio","input_audio":`...)
			w.dst = append(w.dst, d.Raw(inner)...)
		default:
			w.dst = append(w.dst, `{"type":"input_file"`...)
			for _, key := range []string{"file_id", "file_data", "file_url", "filename"} {
				if n := d.Get(inner, key); d.Present(n) {
					w.dst = append(w.dst, ',', '"')
					w.dst = append(w.dst, key...)
					w.dst = append(w.dst, '"', ':')
					w.dst = append(w.dst, d.Raw(n)...)
				}
			}
		}
		if b := d.Get(v, "prompt_cache_breakpoint"); d.Present(b) {
			w.dst = append(w.dst, `,"prompt_cache_breakpoint":`...)
			w.dst = append(w.dst, d.Raw(b)...)
		}
		w.dst = append(w.dst, '}')
	}
	return count
}

// assistant writes what the assistant said, and its calls, with the reasoning
// that was kept of them.
func (w *inputWriter) assistant(m *frontMessage, i int) {
	d, kept := w.d, w.kept(m)
	if kept != nil {
		w.raw(i, kept.BeforeMessage)
	}
	w.answer(m, i)
	for j := range m.calls {
		c := &w.r.calls[m.callsAt+j]
		if k := w.keptOf(c); k != nil {
			if j > 0 {
				w.raw(i, k.BeforeMessage)
			}
			w.raw(i, k.BeforeCall)
		}
		w.call(c, i)
		if c.id == 0 && !c.answered { // the Responses API insists on answers
			w.opt.Losses.add(ruleChatCallOpen, messagePath(i)+".function_call", d.Text(c.name))
			w.item(i, `{"type":"function_call_output","call_id":`)
			w.callID(c, i)
			w.dst = append(w.dst, `,"output":""}`...)
		}
	}
}

// raw writes items that are JSON already, with commas between them.
func (w *inputWriter) raw(i int, items [][]byte) {
	for _, it := range items {
		w.item(i, "")
		w.dst = append(w.dst, it...)
	}
}

// answer writes the assistant's message, if it has text or a refusal.
func (w *inputWriter) answer(m *frontMessage, i int) {
	d := w.d
	mark, items := len(w.dst), len(w.r.itemFrom)
	w.item(i, `{"type":"message","role":"assistant","content":[`)
	count := 0
	part := func(kind, key string, n uint32) {
		if len(d.Str(n)) == 0 && (m.calls > 0 || kind == "refusal" || count > 0) {
			return // says nothing
		}
		if count > 0 {
			w.dst = append(w.dst, ',')
		}
		w.dst = append(w.dst, `{"type":"`...)
		w.dst = append(w.dst, kind...)
		w.dst = append(w.dst, `","`...)
		w.dst = append(w.dst, key...)
		w.dst = append(w.dst, `":"`...)
		if kind == "refusal" {
			w.dst = append(w.dst, d.Str(n)...)
		} else {
			w.text(m, d.Str(n))
		}
		w.dst = append(w.dst, '"')
		if kind == "output_text" {
			w.dst = append(w.dst, `,"annotations":[]`...)
		}
		w.dst = append(w.dst, '}')
		count++
	}
	switch d.Kind(m.content) {
	case jsonx.String:
		if len(d.Str(m.content)) > 0 || m.refusal == 0 {
			part("output_text", "text", m.content)
		}
	case jsonx.Array:
		for v, end := d.First(m.content), d.End(m.content); v < end; v = d.Next(v) {
			if n := d.Get(v, "refusal"); d.Is(d.Get(v, "type"), "refusal") {
				part("refusal", "refusal", n)
			} else {
				part("output_text", "text", d.Get(v, "text"))
			}
		}
	}
	if m.refusal != 0 {
		part("refusal", "refusal", m.refusal)
	}
	if count == 0 {
		w.dst, w.r.itemFrom = w.dst[:mark], w.r.itemFrom[:items]
		return
	}
	w.dst = append(w.dst, "]}"...)
}

// call writes one call.
func (w *inputWriter) call(c *frontCall, i int) {
	d := w.d
	custom := c.custom && w.opt.Dialect.Responses.CustomTools
	if custom {
		w.item(i, `{"type":"custom_tool_call","call_id":`)
	} else {
		w.item(i, `{"type":"function_call","call_id":`)
	}
	w.callID(c, i)
	w.dst = append(w.dst, `,"name":`...)
	w.dst = append(w.dst, d.Raw(c.name)...)
	switch {
	case custom:
		w.dst = append(w.dst, `,"input":`...)
		w.dst = append(w.dst, d.Raw(c.payload)...)
	case c.custom: // {"input":…} as a string
		w.opt.Losses.add(ruleChatCustomCall, messagePath(i)+".tool_calls", d.Text(c.name))
		w.dst = append(w.dst, `,"arguments":"{\"input\":`...)
		w.dst = jsonx.AppendEscaped(w.dst, d.Raw(c.payload))
		w.dst = append(w.dst, `}"`...)
	case len(d.Str(c.payload)) == 0: // a function that takes nothing
		w.dst = append(w.dst, `,"arguments":"{}"`...)
	default:
		w.dst = append(w.dst, `,"arguments":`...)
		w.dst = append(w.dst, d.Raw(c.payload)...)
	}
	w.dst = append(w.dst, '}')
}

// callID writes the id of a call, as the Responses API takes it: a legacy call
// is given one that depends on its place and name, a foreign one that is too long,
// empty or used again another that depends on it.
func (w *inputWriter) callID(c *frontCall, i int) {
	if c.id == 0 {
		w.dst = append(w.dst, '"')
		w.dst = append(w.dst, legacyCallID(c.number, w.d.Text(c.name))...)
		w.dst = append(w.dst, '"')
		return
	}
	id := w.d.Text(c.id)
	if c.repeats > 0 {
		w.opt.Losses.add(ruleChatCallID, messagePath(i), brief(id))
		w.dst = jsonx.AppendString(w.dst, hashedCallID(id+"\x00"+strconv.Itoa(c.repeats)))
		return
	}
	if n := characters(w.d, c.id); n > 0 && n <= maxCallID {
		w.dst = append(w.dst, w.d.Raw(c.id)...)
		return
	}
	w.opt.Losses.add(ruleChatCallID, messagePath(i), brief(id))
	w.dst = jsonx.AppendString(w.dst, hashedCallID(id))
}

// hashedCallID is the call id that stands for one which the API does not take.
func hashedCallID(id string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(id))
	return prefixCallID + hex.EncodeToString(h.Sum(nil))
}

// legacyCallID is the call id of the number-th legacy call of a conversation.
func legacyCallID(number int, name string) string {
	return hashedCallID("function_call " + strconv.Itoa(number) + " " + name)
}

// output writes the answer to a call.
func (w *inputWriter) output(m *frontMessage, i int) {
	d, c := w.d, &w.r.calls[m.answered]
	if c.custom && w.opt.Dialect.Responses.CustomTools {
		w.item(i, `{"type":"custom_tool_call_output","call_id":`)
	} else {
		w.item(i, `{"type":"function_call_output","call_id":`)
	}
	w.callID(c, i)
	w.dst = append(w.dst, `,"output":`...)
	switch {
	case d.Kind(m.content) == jsonx.String:
		w.dst = append(w.dst, d.Raw(m.content)...)
	case m.content == 0:
		w.dst = append(w.dst, `""`...)
	case !w.opt.Dialect.Responses.OutputParts:
		w.joined(m, i)
	default:
		w.dst = append(w.dst, '[')
		w.parts(m, messagePath(i)+".content")
		w.dst = append(w.dst, ']')
	}
	w.dst = append(w.dst, '}')
}

// joined writes the texts of parts as one string, a line each, as the first
// direction does.
func (w *inputWriter) joined(m *frontMessage, i int) {
	d, count, texts := w.d, 0, 0
	w.dst = append(w.dst, '"')
	for v, end := d.First(m.content), d.End(m.content); v < end; v = d.Next(v) {
		if part := readChatPart(d, v); part.kind == "text" {
			if texts++; texts > 1 {
				w.dst = append(w.dst, `\n`...)
			}
			w.dst = append(w.dst, d.Str(d.Get(v, "text"))...)
		} else {
			w.opt.Losses.add(ruleChatPart, messagePath(i)+".content["+strconv.Itoa(count)+"]", d.Text(d.Get(v, "type")))
		}
		count++
	}
	w.dst = append(w.dst, '"')
	if count > 1 {
		w.opt.Losses.add(ruleChatOutputParts, messagePath(i)+".content", "")
	}
}
