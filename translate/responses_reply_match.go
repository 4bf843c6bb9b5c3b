package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Which item, and which part of it, the backend means. Servers number and name the
// same things differently in the events of one stream, and again in the object at its
// end: a first part is 1 in the deltas and 0 at the end
// (https://github.com/vllm-project/vllm/issues/26480), or a call comes back under a new
// id in another place. What is told twice is recognised by what it says.

// find is the item that an event is about, or -1: by id, else by index, else the
// last one that is open. Where items share an index, the last one of that index
// is meant. An id that no item has is another item's, unless the index says that
// the backend has only called it by another name, or only one item is open that it
// could be, of which nothing has come yet.
func (r *reply) find(id, index uint32, kind inKind) int {
	d := &r.doc
	named := d.Kind(id) == jsonx.String && len(d.Str(id)) > 0
	if named {
		for i := r.count - 1; i >= 0; i-- {
			if !bytes.Equal(r.items[i].id, d.Str(id)) && !bytes.Equal(r.items[i].alias, d.Str(id)) {
				continue
			}
			if r.items[i].kind == kind {
				return i
			}
			named = false // of an item of another kind: it tells nothing
		}
	}
	at := r.position(index)
	for i := r.count - 1; i >= 0; i-- {
		it := &r.items[i]
		if !it.open || it.kind != kind || at >= 0 && it.index >= 0 && it.index != at {
			continue
		}
		if !named || len(it.id) == 0 || at >= 0 && it.index == at {
			return i
		}
	}
	return -1
}

// misnamed is the only open item of a kind, if nothing has come of it yet: a delta for
// an item that was never announced is for that one. Its name and place are remembered.
func (r *reply) misnamed(id, index uint32, kind inKind) int {
	found := -1
	for i := range r.items[:r.count] {
		if it := &r.items[i]; it.open && it.kind == kind {
			if found >= 0 || it.said() {
				return -1
			}
			found = i
		}
	}
	if found < 0 {
		return -1
	}
	it := &r.items[found]
	if d := &r.doc; d.Kind(id) == jsonx.String {
		it.alias = append(it.alias[:0], d.Str(id)...)
	}
	if at := r.position(index); at >= 0 {
		it.index = at
	}
	return found
}

// said reports whether anything has come of an item.
func (it *inItem) said() bool {
	for p := range it.parts[:it.partCount] {
		if len(it.parts[p].text) > 0 {
			return true
		}
	}
	return len(it.text) > 0
}

// match finds the item of the stream that an item of the terminal output is: the
// one with its id, or its call_id, or that says the same, or in its place.
func (r *reply) match(n uint32, kind inKind, at int) int {
	d := &r.doc
	for _, key := range []string{"id", "call_id"} {
		v := d.GetString(n, key)
		if v == 0 || len(d.Str(v)) == 0 {
			continue
		}
		for i := range r.count {
			it := &r.items[i]
			same := it.id
			if key == "call_id" {
				same = it.callID
			}
			if it.kind == kind && !it.matched && bytes.Equal(same, d.Str(v)) {
				return i
			}
		}
	}
	if i := r.alike(n, kind, func(it *inItem) bool { return !it.matched }); i >= 0 {
		return i
	}
	if at < r.count && r.items[at].kind == kind && !r.items[at].matched && !r.another(&r.items[at], n) {
		return at
	}
	return -1
}

// another reports whether a call at the end is another one than a call of the stream
// that is whole: it is of another tool, or has other arguments.
func (r *reply) another(it *inItem, n uint32) bool {
	if it.kind != inFunction && it.kind != inCustom || it.open {
		return false
	}
	name := r.doc.GetString(n, "name")
	return name != 0 && !bytes.Equal(it.name, r.doc.Str(name)) || len(it.text) > 0 && !r.sayTheSame(it, n)
}

// alike is the item, among those that ok allows, that says what the whole item n says,
// or -1: of the same tool the same arguments, of a message the same text.
func (r *reply) alike(n uint32, kind inKind, ok func(it *inItem) bool) int {
	for i := range r.items[:r.count] {
		if it := &r.items[i]; it.kind == kind && ok(it) && r.sayTheSame(it, n) {
			return i
		}
	}
	return -1
}

func (r *reply) sayTheSame(it *inItem, n uint32) bool {
	d := &r.doc
	switch it.kind {
	case inFunction, inCustom:
		name := d.GetString(n, "name")
		if name == 0 || !bytes.Equal(it.name, d.Str(name)) {
			return false
		}
		if it.kind == inCustom {
			input := d.GetString(n, "input")
			return input != 0 && r.agrees(it.text, input)
		}
		if arguments := d.GetString(n, "arguments"); arguments != 0 {
			return sameArguments(it.text, d.Str(arguments))
		}
	case inMessage:
		text := d.Get(n, "content")
		if list := text; d.Kind(list) == jsonx.Array {
			text = 0
			for v, end := d.First(list), d.End(list); v < end && text == 0; v = d.Next(v) {
				if partOf(d, v) == textPart {
					text = textOfPart(d, v)
				}
			}
		}
		for p := range it.parts[:it.partCount] {
			if part := &it.parts[p]; part.kind == textPart && len(part.text) > 0 {
				return r.agrees(part.text, text)
			}
		}
	}
	return false
}

// agrees reports whether the string n begins with a text, which is not empty.
func (r *reply) agrees(text []byte, n uint32) bool {
	if len(text) == 0 || r.doc.Kind(n) != jsonx.String {
		return false
	}
	_, ok := r.beyond(text, n)
	return ok
}

// beyond is what the string n has beyond a text that it should begin with. Where
// it does not begin with that, ok is false.
func (r *reply) beyond(text []byte, n uint32) (raw []byte, ok bool) {
	raw = r.sound(n)
	if bytes.HasPrefix(raw, text) && (len(text) == 0 || text[len(text)-1] != '\\') {
		return raw[len(text):], true
	}
	if r.doc.StrKind(n)&jsonx.HasEscape == 0 && bytes.IndexByte(text, '\\') < 0 {
		return nil, false
	}
	// The same text may be escaped in another way.
	whole, sofar := jsonx.AppendUnescaped(nil, raw), jsonx.AppendUnescaped(nil, text)
	if !bytes.HasPrefix(whole, sofar) {
		return nil, false
	}
	return jsonx.AppendEscaped(nil, whole[len(sofar):]), true
}

// sound is the inside of the string n, with halves of characters mended.
func (r *reply) sound(n uint32) []byte {
	raw := r.doc.Str(n)
	if r.doc.StrKind(n)&jsonx.HasSurrogate != 0 {
		raw = bytes.Clone(raw)
		jsonx.MendSurrogates(raw)
	}
	return raw
}

// partKind is the kind of a part by the item that it is of: servers give thoughts as
// output_text within a reasoning item.
func (r *reply) partKind(f *eventFields, kind openPart) openPart {
	if kind != textPart {
		return kind
	}
	d := &r.doc
	named := d.Kind(f.itemID) == jsonx.String && len(d.Str(f.itemID)) > 0
	at := r.position(f.outputIndex)
	for i := r.count - 1; i >= 0; i-- {
		it := &r.items[i]
		switch {
		case named && bytes.Equal(it.id, d.Str(f.itemID)), !named && it.open && at >= 0 && it.index == at:
			if it.kind == inReasoning {
				return thoughtPart
			}
			return kind
		}
	}
	return kind
}

// part is the number of a part of item i, which is made if it is new.
func (r *reply) part(dst []byte, i int, kind openPart, index int) ([]byte, int) {
	it := &r.items[i]
	for p := it.partCount - 1; p >= 0; p-- {
		if it.parts[p].kind == kind && (index < 0 || it.parts[p].index == index) {
			return dst, p
		}
	}
	return r.newPart(dst, i, kind, index)
}

func (r *reply) newPart(dst []byte, i int, kind openPart, index int) ([]byte, int) {
	it := &r.items[i]
	if it.partCount == len(it.parts) {
		it.parts = append(it.parts, inPart{})
	}
	if !r.hold(partOverhead) {
		return dst, -1
	}
	it.parts[it.partCount].kind, it.parts[it.partCount].index = kind, max(index, 0)
	it.partCount++
	return r.sink.said(dst, i, it.partCount-1, nil, nil), it.partCount - 1
}

// donePart is the number of the part that a done event with the text n is about: the
// one of its index, unless nothing has come of that, and another that is not done
// begins what the event says.
func (r *reply) donePart(dst []byte, i int, kind openPart, index int, n uint32) ([]byte, int) {
	it := &r.items[i]
	found := -1
	for p := it.partCount - 1; p >= 0; p-- {
		part := &it.parts[p]
		if part.kind != kind {
			continue
		}
		if index < 0 || part.index == index {
			if len(part.text) > 0 {
				return dst, p
			}
			found = p
		}
	}
	for p := range it.parts[:it.partCount] {
		if part := &it.parts[p]; part.kind == kind && !part.done && r.agrees(part.text, n) {
			if found < 0 {
				part.index = index // so the backend calls it from here on
			}
			return dst, p
		}
	}
	if found >= 0 {
		return dst, found
	}
	return r.newPart(dst, i, kind, index)
}

// deltaPart is the number of the part that a delta is of: the one of its index, or the
// only one that was announced, if nothing has come of that.
func (r *reply) deltaPart(dst []byte, i int, kind openPart, index int) ([]byte, int) {
	it := &r.items[i]
	only := -1
	for p := range it.parts[:it.partCount] {
		switch part := &it.parts[p]; {
		case part.kind != kind:
		case index < 0 || part.index == index, only >= 0, len(part.text) > 0 || part.done:
			return r.part(dst, i, kind, index)
		default:
			only = p
		}
	}
	if only < 0 {
		return r.newPart(dst, i, kind, index)
	}
	it.parts[only].index = index
	return dst, only
}

// matchPart is the number of the part that an element of a whole item's list is: the
// one of its index if it says the same, else any that says the same, else the one of
// its index, or, where the list has no more parts than came, the one in its place.
func (r *reply) matchPart(dst []byte, i int, kind openPart, index int, n, list uint32) ([]byte, int) {
	it := &r.items[i]
	text := textOfPart(&r.doc, n)
	exact, same, free, known := -1, -1, -1, 0
	for p := range it.parts[:it.partCount] {
		part := &it.parts[p]
		if part.kind != kind {
			continue
		}
		known++
		if part.pass == r.pass {
			continue
		}
		if part.index == index {
			exact = p
		}
		if r.agrees(part.text, text) && (same < 0 || p == exact) {
			same = p
		}
		if free < 0 {
			free = p
		}
	}
	p := same
	if p < 0 {
		p = exact
	}
	if p < 0 && r.doc.Len(list) <= known {
		p = free
	}
	if p < 0 {
		dst, p = r.newPart(dst, i, kind, index)
	}
	if p >= 0 {
		r.items[i].parts[p].pass = r.pass
	}
	return dst, p
}

// late takes in what the terminal output says of an item that is done already: a call
// whose arguments were none, or no JSON, may have them there.
func (r *reply) late(dst []byte, i int, n uint32) []byte {
	it, d := &r.items[i], &r.doc
	arguments := d.GetString(n, "arguments")
	if it.kind != inFunction || arguments == 0 || !it.told || validArguments(it.text) {
		return dst
	}
	raw := r.sound(arguments)
	switch {
	case !validArguments(raw):
	case len(it.text) == 0:
		return r.call(dst, i, raw)
	case r.sink.contradicted(i, -1, raw):
		it.text = append(it.text[:0], raw...)
	}
	return dst
}
