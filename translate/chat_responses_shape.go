package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Most chunks of a stream are the chunk before with another text in one place.
// shape remembers what stood around that place: a chunk with the same bytes
// before and after it says the same, and needs no parsing. Whatever else happens
// in the turn forgets the shape.
type shape struct {
	before []byte // up to and with the quote that opens the text
	after  []byte // from the quote that closes it
	to     shapeTarget
	item   int // for a call's arguments
}

// shapeTarget is what the text of a shape is.
type shapeTarget uint8

const (
	shapeNone shapeTarget = iota
	shapeText
	shapeThought
	shapeArguments
)

func (s *shape) clear() { s.to = shapeNone }

// matches reports whether data may have the shape.
func (s *shape) matches(data []byte) bool {
	return s.to != shapeNone && bytes.HasPrefix(data, s.before)
}

// feedShape takes in a chunk that begins like the shape. ok is false if it goes
// on differently: nothing has been done then.
func (t *Turn) feedShape(dst, data []byte) (out []byte, ok bool) {
	s := &t.shape
	from := len(s.before)
	to, kind, whole := jsonx.ScanString(data, from)
	if !whole || kind&jsonx.BadUTF8 != 0 || !bytes.Equal(data[to:], s.after) {
		return dst, false
	}
	raw := data[from:to]
	if len(raw) == 0 {
		return dst, true
	}
	if s.to == shapeArguments {
		it := &t.items[s.item]
		return t.callDelta(dst, it, t.whole(it, raw, kind)), true
	}
	if t.markup.suspicious(raw) || s.to == shapeText && !t.think.plain(raw) {
		return dst, false
	}
	it := &t.items[t.cur]
	return t.delta(dst, it, t.whole(it, raw, kind), nil), true
}

// learn remembers the shape of the chunk that was just taken in, whose delta had
// one member that said something, if the next one like it would only add to what
// is open now.
func (t *Turn) learn(d *jsonx.Doc, f *choiceFields) {
	if t.finished || t.opt.Request.IncludeLogprobs || len(t.markup.held) > 0 || len(t.channels.held) > 0 {
		return
	}
	var n uint32
	to, item := shapeText, 0
	switch {
	case d.Kind(f.content) == jsonx.String && len(d.Str(f.content)) > 0:
		if t.think.state != thinkOff && t.think.state != thinkWatch || t.channels.state != channelsOff || t.cur < 0 || t.items[t.cur].part != textPart {
			return
		}
		n = f.content
	case d.Kind(f.reasoningContent) == jsonx.String && len(d.Str(f.reasoningContent)) > 0:
		n, to = f.reasoningContent, shapeThought
	case d.Kind(f.reasoning) == jsonx.String && len(d.Str(f.reasoning)) > 0:
		n, to = f.reasoning, shapeThought
	case d.Kind(f.toolCalls) == jsonx.Array && d.Len(f.toolCalls) == 1:
		if n, item = t.learnCall(d, d.First(f.toolCalls)); n == 0 {
			return
		}
		to = shapeArguments
	default:
		return
	}
	if to == shapeThought && (t.cur < 0 || t.items[t.cur].kind != outReasoning) {
		return
	}
	if !t.plainAround(d) {
		return
	}
	start, end := d.Span(n)
	src := d.Bytes()
	s := &t.shape
	s.before = append(s.before[:0], src[:start+1]...)
	s.after = append(s.after[:0], src[end-1:]...)
	s.to, s.item = to, item
}

// learnCall finds the arguments in a fragment of a call that does nothing but
// add to them: there is exactly one call open, and the fragment does not name it
// anew.
func (t *Turn) learnCall(d *jsonx.Doc, n uint32) (arguments uint32, item int) {
	function := d.Get(n, "function")
	if arguments = d.GetString(function, "arguments"); function == 0 {
		function = d.Get(n, "custom")
		arguments = d.GetString(function, "input")
	}
	if arguments == 0 || len(d.Str(arguments)) == 0 {
		return 0, 0
	}
	if name := d.Get(function, "name"); d.Present(name) && !emptyString(d, name) {
		return 0, 0
	}
	id := d.Get(n, "id")
	item = -1
	for i := range t.count {
		if t.items[i].kind == outCall && t.items[i].state == itemOpen {
			if item >= 0 {
				return 0, 0
			}
			item = i
		}
	}
	if item < 0 || item != t.count-1 {
		return 0, 0
	}
	it := &t.items[item]
	if d.Present(id) && !emptyString(d, id) && !d.Is(id, string(it.upstreamID)) {
		return 0, 0
	}
	if index, ok := d.Int(d.Get(n, "index")); ok && it.position >= 0 && int64(it.position) != index {
		return 0, 0
	}
	return arguments, item
}

// plainAround reports whether nothing else in the chunk asks to be looked at
// again when it comes once more: no usage, no finish, no logprobs.
func (t *Turn) plainAround(d *jsonx.Doc) bool {
	root := uint32(jsonx.Root)
	if d.Present(d.Get(root, "usage")) || d.Present(d.Get(root, "x_groq")) || d.Multiline {
		return false
	}
	choices := d.Get(root, "choices")
	if d.Len(choices) != 1 {
		return false
	}
	c := d.First(choices)
	finish := d.Get(c, "finish_reason")
	return !d.Present(d.Get(c, "usage")) && (!d.Present(finish) || emptyString(d, finish))
}
