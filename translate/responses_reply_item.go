package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

func kindOfItem(d *jsonx.Doc, typ uint32) inKind {
	switch {
	case d.Is(typ, "message"):
		return inMessage
	case d.Is(typ, "reasoning"):
		return inReasoning
	case d.Is(typ, "function_call"):
		return inFunction
	case d.Is(typ, "custom_tool_call"):
		return inCustom
	}
	return inOther
}

// newItem takes an item from the pool, or fails the reply.
func (r *reply) newItem(kind inKind, index int) int {
	if r.count >= maxItems {
		r.hold(r.most + 1)
		return -1
	}
	if r.count == len(r.items) {
		r.items = append(r.items, inItem{})
	}
	it := &r.items[r.count]
	it.kind, it.index, it.open, it.out = kind, index, true, -1 // the sink has none until it is announced
	r.count++
	return r.count - 1
}

// position is an output_index, or -1.
func (r *reply) position(n uint32) int {
	if v, ok := r.doc.Int(n); ok && v >= 0 && v < 1<<20 {
		return int(v)
	}
	return -1
}

// addItem takes in an item that is announced, and returns its number, or -1.
func (r *reply) addItem(dst []byte, n, index uint32) ([]byte, int) {
	d := &r.doc
	kind := kindOfItem(d, d.Get(n, "type"))
	if id := d.GetString(n, "id"); id != 0 && len(d.Str(id)) > 0 {
		if i := r.find(id, 0, kind); i >= 0 && r.items[i].open && bytes.Equal(r.items[i].id, d.Str(id)) {
			return dst, i // announced twice
		}
	}
	i := r.newItem(kind, r.position(index))
	if i < 0 {
		return dst, -1
	}
	it := &r.items[i]
	if id := d.GetString(n, "id"); id != 0 {
		it.id = append(it.id, d.Str(id)...)
	}
	r.learnItem(it, n)
	return r.tell(dst, i), i
}

// learnItem reads what an item says about itself, besides its texts.
func (r *reply) learnItem(it *inItem, n uint32) {
	d := &r.doc
	take := func(to *[]byte, key string) {
		if v := d.GetString(n, key); v != 0 && len(*to) == 0 {
			*to = append(*to, d.Str(v)...)
			if d.StrKind(v)&jsonx.HasSurrogate != 0 {
				jsonx.MendSurrogates(*to)
			}
		}
	}
	switch it.kind {
	case inFunction, inCustom:
		take(&it.callID, "call_id")
		take(&it.name, "name")
		take(&it.namespace, "namespace")
	case inMessage:
		take(&it.phase, "phase")
	default:
		if it.kind == inOther && len(it.json) > 0 && itemTypeIn(it.json) != brief(d.Text(d.GetString(n, "type"))) {
			return // another item under the same name: the first stands
		}
		it.json = jsonx.AppendCompact(it.json[:0], d.Raw(n))
		r.hold(len(it.json))
	}
	if d.Is(d.Get(n, "status"), "incomplete") {
		it.torn = true
	}
}

// tell makes an item known to the sink, unless it is a call whose name is not.
func (r *reply) tell(dst []byte, i int) []byte {
	it := &r.items[i]
	call := it.kind == inFunction || it.kind == inCustom
	if it.told || call && len(it.name) == 0 {
		return dst
	}
	it.told = true
	dst = r.sink.opened(dst, i)
	if call && len(it.text) > 0 && !it.held {
		dst = r.sink.called(dst, i, it.text)
	}
	return dst
}

// itemFor finds the item of a part event, or makes it.
func (r *reply) itemFor(dst []byte, f *eventFields, kind inKind) ([]byte, int) {
	i := r.find(f.itemID, f.outputIndex, kind)
	if i >= 0 && r.items[i].open {
		return dst, i
	}
	if i < 0 {
		if i = r.misnamed(f.itemID, f.outputIndex, kind); i >= 0 {
			return dst, i
		}
	}
	if i = r.newItem(kind, r.position(f.outputIndex)); i < 0 {
		return dst, -1
	}
	if d := &r.doc; d.Kind(f.itemID) == jsonx.String && len(r.items[i].id) == 0 {
		r.items[i].id = append(r.items[i].id, d.Str(f.itemID)...)
	}
	return r.tell(dst, i), i
}

func itemKindOf(part openPart) inKind {
	if part == thoughtPart || part == summaryPart {
		return inReasoning
	}
	return inMessage
}

// partOverhead is what a part counts for even when it is empty.
const partOverhead = 64

// partDelta takes in text of a part.
func (r *reply) partDelta(dst []byte, f *eventFields, kind openPart, n uint32) []byte {
	d := &r.doc
	if d.Kind(n) != jsonx.String {
		return dst
	}
	kind = r.partKind(f, kind)
	dst, i := r.itemFor(dst, f, itemKindOf(kind))
	if i < 0 || r.ended {
		return dst
	}
	dst, p := r.deltaPart(dst, i, kind, r.position(f.partIndex))
	if p < 0 {
		return dst
	}
	r.scratch = r.tokens(r.scratch[:0], f.logprobs)
	hasTokens := len(r.scratch) > 0
	if len(d.Str(n)) == 0 && !hasTokens {
		return dst
	}
	part := &r.items[i].parts[p]
	raw := whole(&part.half, d.Str(n), d.StrKind(n))
	var tokens []byte
	if hasTokens {
		tokens = append([]byte(nil), r.scratch...)
	}
	dst = r.say(dst, i, p, raw, tokens)
	if !hasTokens && !r.ended {
		r.learn(n, i, p)
	}
	return dst
}

// tokens appends logprobs in the form that both APIs have.
func (r *reply) tokens(dst []byte, n uint32) []byte {
	if r.doc.Kind(n) != jsonx.Array || r.doc.Len(n) == 0 {
		return dst
	}
	return appendTokens(dst, &r.doc, n)
}

// say adds raw to a part and tells the sink.
func (r *reply) say(dst []byte, i, p int, raw, tokens []byte) []byte {
	if len(raw) == 0 && len(tokens) == 0 || !r.hold(len(raw)+len(tokens)) {
		return dst
	}
	part := &r.items[i].parts[p]
	part.text = append(part.text, raw...)
	return r.sink.said(dst, i, p, raw, tokens)
}

// partDone takes in what a done event says of a part: what the deltas left out.
func (r *reply) partDone(dst []byte, f *eventFields, kind openPart, n uint32) []byte {
	d := &r.doc
	kind = r.partKind(f, kind)
	if i := r.find(f.itemID, f.outputIndex, itemKindOf(kind)); i >= 0 && !r.items[i].open {
		return dst
	}
	dst, i := r.itemFor(dst, f, itemKindOf(kind))
	if i < 0 || d.Kind(n) != jsonx.String {
		return dst
	}
	dst, p := r.donePart(dst, i, kind, r.position(f.partIndex), n)
	if p < 0 {
		return dst
	}
	r.items[i].parts[p].done = true
	return r.rest(dst, i, p, n, f.logprobs)
}

// rest adds what the string n, the whole text of a part, has beyond the deltas.
func (r *reply) rest(dst []byte, i, p int, n, logprobs uint32) []byte {
	part := &r.items[i].parts[p]
	raw, ok := r.beyond(part.text, n)
	if !ok {
		if raw = r.sound(n); len(raw) > 0 && !sameWords(part.text, raw) && r.sink.contradicted(i, p, raw) {
			part.text, part.half = append(part.text[:0], raw...), part.half[:0]
		}
		return dst
	}
	if len(raw) == 0 {
		return dst
	}
	part.half = part.half[:0]
	var tokens []byte
	if len(part.text) == 0 {
		tokens = r.tokens(nil, logprobs)
	}
	return r.say(dst, i, p, raw, tokens)
}

// wholePart takes in an event that carries a part.
func (r *reply) wholePart(dst []byte, f *eventFields) []byte {
	kind := partOf(&r.doc, f.part)
	if kind == noPart {
		return dst
	}
	kind = r.partKind(f, kind)
	if i := r.find(f.itemID, f.outputIndex, itemKindOf(kind)); i >= 0 && !r.items[i].open {
		return dst
	}
	dst, i := r.itemFor(dst, f, itemKindOf(kind))
	if i < 0 {
		return dst
	}
	index := r.position(f.partIndex)
	var p int
	if bytes.HasSuffix(f.typ, []byte(".added")) {
		if it := &r.items[i]; index < 0 {
			index = it.partCount // without a number it is the next one
		}
		dst, p = r.part(dst, i, kind, index)
	} else if dst, p = r.donePart(dst, i, kind, index, textOfPart(&r.doc, f.part)); p >= 0 {
		r.items[i].parts[p].done = true
	}
	return r.fillPart(dst, i, p, f.part)
}

// partOf is the kind of a part.
func partOf(d *jsonx.Doc, n uint32) openPart {
	switch typ := d.Get(n, "type"); {
	case d.Is(typ, "output_text"), d.Is(typ, "text"):
		return textPart
	case d.Is(typ, "refusal"):
		return refusalPart
	case d.Is(typ, "reasoning_text"), d.Is(typ, "thinking"), d.Is(typ, "reasoning"):
		return thoughtPart
	case d.Is(typ, "summary_text"):
		return summaryPart
	}
	return noPart
}

// textOfPart is the text of a part, or 0.
func textOfPart(d *jsonx.Doc, n uint32) uint32 {
	for _, key := range []string{"text", "refusal", "thinking", "reasoning"} {
		if v := d.GetString(n, key); v != 0 {
			return v
		}
	}
	return 0
}

// fillPart takes in what a whole part has beyond what came before it.
func (r *reply) fillPart(dst []byte, i, p int, n uint32) []byte {
	if p < 0 {
		return dst
	}
	d := &r.doc
	if text := textOfPart(d, n); text != 0 {
		dst = r.rest(dst, i, p, text, d.Get(n, "logprobs"))
	}
	if list := d.Get(n, "annotations"); d.Kind(list) == jsonx.Array && r.items[i].parts[p].kind == textPart {
		seen := r.items[i].parts[p].notes
		for v, end := d.First(list), d.End(list); v < end && !r.ended; v = d.Next(v) {
			if seen--; seen < 0 {
				dst = r.note(dst, i, p, v)
			}
		}
	}
	return dst
}

func (r *reply) note(dst []byte, i, p int, n uint32) []byte {
	if r.doc.Kind(n) != jsonx.Object || !r.hold(len(r.doc.Raw(n))) {
		return dst
	}
	r.items[i].parts[p].notes++
	return r.sink.noted(dst, i, p, &r.doc, n)
}

func (r *reply) annotation(dst []byte, f *eventFields) []byte {
	dst, i := r.itemFor(dst, f, inMessage)
	if i < 0 {
		return dst
	}
	dst, p := r.part(dst, i, textPart, r.position(f.partIndex))
	if p < 0 {
		return dst
	}
	return r.note(dst, i, p, f.annotation)
}

// callDelta takes in a fragment of a call's arguments or input.
func (r *reply) callDelta(dst []byte, f *eventFields, kind inKind) []byte {
	d := &r.doc
	if d.Kind(f.delta) != jsonx.String {
		return dst
	}
	i := r.find(f.itemID, f.outputIndex, kind)
	if i >= 0 && !r.items[i].open {
		return dst // nothing follows a call that is done
	}
	if i < 0 {
		if dst, i = r.itemFor(dst, f, kind); i < 0 {
			return dst
		}
	}
	it := &r.items[i]
	dst = r.call(dst, i, whole(&it.half, d.Str(f.delta), d.StrKind(f.delta)))
	if it.told && !r.ended && len(d.Str(f.delta)) > 0 {
		r.learn(f.delta, i, -1)
	}
	return dst
}

// call adds raw to a call, and tells the sink if that knows of it.
func (r *reply) call(dst []byte, i int, raw []byte) []byte {
	if len(raw) == 0 || !r.hold(len(raw)) {
		return dst
	}
	it := &r.items[i]
	if len(it.text) == 0 && it.kind == inFunction {
		it.held = !beginsObject(raw)
	}
	it.text = append(it.text, raw...)
	if !it.told || it.held {
		return dst
	}
	return r.sink.called(dst, i, raw)
}

// beginsObject reports whether raw, the inside of a JSON string, begins as the
// arguments of a function have to. What does not, such as ciphertext
// (https://github.com/lidge-jun/opencodex/issues/995), waits for what the backend
// says at the call's end.
func beginsObject(raw []byte) bool { return raw[0] == '{' || raw[0] == ' ' || raw[0] == '\\' }

func (r *reply) callDone(dst []byte, f *eventFields, kind inKind, n uint32) []byte {
	i := r.find(f.itemID, f.outputIndex, kind)
	if i < 0 {
		dst, i = r.itemFor(dst, f, kind)
	}
	if i < 0 || !r.items[i].open {
		return dst
	}
	if name := r.doc.GetString(jsonx.Root, "name"); name != 0 && len(r.items[i].name) == 0 {
		r.items[i].name = append(r.items[i].name, r.doc.Str(name)...)
		dst = r.tell(dst, i)
	}
	return r.callRest(dst, i, n)
}

// callRest adds what the whole arguments or input have beyond the deltas.
func (r *reply) callRest(dst []byte, i int, n uint32) []byte {
	d, it := &r.doc, &r.items[i]
	switch d.Kind(n) {
	case jsonx.String:
		raw, ok := r.beyond(it.text, n)
		if ok {
			if len(raw) > 0 {
				it.half = it.half[:0]
				return r.call(dst, i, raw)
			}
			return dst
		}
		if raw = r.sound(n); len(raw) == 0 || it.kind == inFunction && sameArguments(it.text, raw) {
			return dst
		}
		switch {
		case it.held || !it.told: // nobody has heard of it
			it.text, it.half, it.held = it.text[:0], it.half[:0], false
			return r.call(dst, i, raw)
		case r.sink.contradicted(i, -1, raw):
			it.text, it.half = append(it.text[:0], raw...), it.half[:0]
		}
	case jsonx.Object: // where the API wants a string that holds one
		if len(it.text) == 0 {
			return r.call(dst, i, jsonx.AppendEscaped(nil, jsonx.AppendCompact(nil, d.Raw(n))))
		}
	}
	return dst
}

// itemDone takes in an item that is done.
func (r *reply) itemDone(dst []byte, f *eventFields) []byte {
	d := &r.doc
	if d.Kind(f.item) != jsonx.Object {
		return dst
	}
	kind := kindOfItem(d, d.Get(f.item, "type"))
	i := r.find(d.Get(f.item, "id"), f.outputIndex, kind)
	if i < 0 { // under another id and place
		i = r.alike(f.item, kind, func(it *inItem) bool { return it.open })
	}
	if i >= 0 && !r.items[i].open {
		return dst
	}
	if i < 0 {
		if dst, i = r.addItem(dst, f.item, f.outputIndex); i < 0 {
			return dst
		}
	}
	dst = r.fill(dst, i, f.item)
	if it := &r.items[i]; r.ended || it.kind == inFunction && len(it.text) == 0 && !it.torn {
		return dst // its arguments may stand in the response only
	}
	return r.close(dst, i)
}

// finalItem takes in an item of the terminal output: the at-th of it.
func (r *reply) finalItem(dst []byte, n uint32, at int, failed bool) []byte {
	d := &r.doc
	kind := kindOfItem(d, d.Get(n, "type"))
	i := r.match(n, kind, at)
	if i < 0 {
		if dst, i = r.addItem(dst, n, 0); i < 0 {
			return dst
		}
	}
	r.items[i].matched = true
	if !r.items[i].open {
		return r.late(dst, i, n)
	}
	dst = r.fill(dst, i, n)
	if failed || r.ended { // what is left open in a failed response was never done
		return dst
	}
	return r.close(dst, i)
}

// fill takes in what a whole item has beyond what came before it.
func (r *reply) fill(dst []byte, i int, n uint32) []byte {
	d := &r.doc
	it := &r.items[i]
	r.learnItem(it, n)
	if dst = r.tell(dst, i); r.ended {
		return dst
	}
	switch it.kind {
	case inFunction:
		return r.callRest(dst, i, d.Get(n, "arguments"))
	case inCustom:
		return r.callRest(dst, i, d.Get(n, "input"))
	case inMessage:
		return r.fillParts(dst, i, d.Get(n, "content"), textPart)
	case inReasoning:
		dst = r.fillParts(dst, i, d.Get(n, "summary"), summaryPart)
		return r.fillParts(dst, i, d.Get(n, "content"), thoughtPart)
	}
	return dst
}

// fillParts takes in the parts of a whole item: a list of them, or one text, which is
// of the kind plain.
func (r *reply) fillParts(dst []byte, i int, list uint32, plain openPart) []byte {
	d := &r.doc
	text := func(n uint32, index int) {
		var p int
		if dst, p = r.donePart(dst, i, plain, index, n); p >= 0 {
			dst = r.rest(dst, i, p, n, 0)
		}
	}
	switch d.Kind(list) {
	case jsonx.String:
		if len(d.Str(list)) > 0 || plain == textPart {
			text(list, 0)
		}
		return dst
	case jsonx.Array:
	default:
		return dst
	}
	r.pass++
	index := 0
	for v, end := d.First(list), d.End(list); v < end && !r.ended; v = d.Next(v) {
		kind := partOf(d, v)
		if r.items[i].kind == inReasoning && kind == textPart { // whatever they are called
			kind = thoughtPart
		}
		switch {
		case d.Kind(v) == jsonx.String:
			text(v, index)
		case kind == noPart:
		case itemKindOf(kind) == r.items[i].kind, kind == thoughtPart:
			var p int
			dst, p = r.matchPart(dst, i, kind, index, v, list)
			dst = r.fillPart(dst, i, p, v)
		}
		index++
	}
	return dst
}

// close closes an item: halves of characters that nobody completed become U+FFFD.
func (r *reply) close(dst []byte, i int) []byte {
	it := &r.items[i]
	if !it.open {
		return dst
	}
	r.shape.clear()
	for p := range it.parts[:it.partCount] {
		if part := &it.parts[p]; len(part.half) > 0 {
			part.half = part.half[:0]
			dst = r.say(dst, i, p, []byte(`\ufffd`), nil)
		}
	}
	if len(it.half) > 0 {
		it.half = it.half[:0]
		dst = r.call(dst, i, []byte(`\ufffd`))
	}
	if it.held && it.told && len(it.text) > 0 {
		dst = r.sink.called(dst, i, it.text)
	}
	it.held = false
	if r.ended {
		return dst
	}
	it.open = false
	if !it.told {
		return dst // a call without a name
	}
	return r.sink.closed(dst, i)
}
