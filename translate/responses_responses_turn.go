package translate

import (
	"bytes"
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// ResponsesTurn makes whole what a Responses backend says by halves, for clients
// that speak Responses: it reads the backend's stream or object with the eyes
// that ChatTurn has, and says it again with the mouth of Turn, so that numbers,
// indexes, the events that open and close items and parts, the members of the
// object and the end are all there. The backend's ids stay, where they can.
//
// It is for dialects whose Responses.Complete is false. What others say passes
// through as it is, byte by byte, and needs no turn.
//
// It has the methods and the states of Turn. Feed has the name of the event
// beside its data, and Begin waits: a response cannot begin before its id is
// known.
type ResponsesTurn struct {
	Turn
	in     reply
	ownIDs bool
}

// Swap is Turn.Swap.
func (t *ResponsesTurn) Swap(m *jsonx.Memory) { t.in.doc.Swap(m) }

// Reset makes the turn ready for another response. ownIDs says that the response
// and its items get ids of ours, because they are stored here; otherwise the
// backend's stay.
func (t *ResponsesTurn) Reset(opt TurnOptions, ownIDs bool) {
	t.Turn.Reset(opt)
	t.Turn.given = true
	t.in.reset(t, opt.Losses, ruleMendUTF8, opt.MaxBytes)
	t.ownIDs = ownIDs
}

// Again is Turn.Again, for another reply of such a backend.
func (t *ResponsesTurn) Again(d *Dialect) {
	t.Turn.Again(d)
	t.Turn.given = true
	t.in.reset(t, t.opt.Losses, ruleMendUTF8, t.opt.MaxBytes)
}

// Begin appends the events that open a stream, if the ids are ours.
func (t *ResponsesTurn) Begin(dst []byte) []byte {
	if t.ownIDs {
		return t.Turn.Begin(dst)
	}
	return dst
}

// Feed takes in the data of one event and appends the events that it makes. name
// is that of the event's line, which counts where the data has no type.
func (t *ResponsesTurn) Feed(dst, name, data []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.feed(dst, name, data))
}

// FeedLast takes in what a stream ended with instead of a blank line.
func (t *ResponsesTurn) FeedLast(dst, name, data []byte) []byte {
	if t.state >= stateEnded || string(bytes.TrimSpace(data)) != "[DONE]" && !jsonx.Valid(data) {
		return dst
	}
	return t.Feed(dst, name, data)
}

// FeedMessage takes in a whole response object, and ends the turn.
func (t *ResponsesTurn) FeedMessage(dst, body []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.message(dst, body))
}

// Done takes in the marker [DONE].
func (t *ResponsesTurn) Done(dst []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.done(dst))
}

// Finish takes in the end of the upstream's data.
func (t *ResponsesTurn) Finish(dst []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.finish(dst))
}

// Abort fails the response.
func (t *ResponsesTurn) Abort(dst []byte, err *Error) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.fail(dst, err))
}

// UpstreamModel is the backend's name for the model. It is good until Reset.
func (t *ResponsesTurn) UpstreamModel() []byte { return t.in.model }

// Tokens are the numbers of input and output tokens, if the backend told.
func (t *ResponsesTurn) Tokens() (input, output int64, ok bool) {
	return t.in.usage.input, t.in.usage.output, t.in.usage.known
}

// look settles the turn when the reply has ended.
func (t *ResponsesTurn) look(dst []byte) []byte {
	if !t.in.ended || t.state >= stateEnded {
		return dst
	}
	dst = t.begun(dst)
	if t.in.failure != nil {
		return t.Turn.Abort(dst, t.in.failure)
	}
	t.usage = t.in.usage
	t.tier = append(t.tier[:0], t.in.tier...)
	t.cutShort = t.in.cutShort
	if r := t.opt.Request; t.cutShort == "" && !t.opt.Dialect.Responses.LengthReported && r.has(pMaxOutputTokens) && t.usage.known {
		if most, ok := r.doc.Int(r.params[pMaxOutputTokens]); ok && t.usage.output >= most {
			t.cutShort = "max_output_tokens"
			t.lose(ruleMendLength, "status", "")
		}
	}
	for n, i := range t.order {
		status := "completed"
		if t.cutShort != "" && (n == len(t.order)-1 || t.items[i].torn) {
			status = "incomplete"
		}
		if dst = t.close(dst, i, status); t.state >= stateEnded {
			return dst
		}
	}
	t.advance(stateEnded)
	return dst
}

// The methods of replySink.

func (t *ResponsesTurn) begun(dst []byte) []byte {
	if t.state != stateIdle {
		return dst
	}
	if !t.ownIDs && ValidID(t.in.id) && bytes.HasPrefix(t.in.id, []byte("resp_")) {
		t.id = append(t.id[:0], t.in.id...)
	}
	if t.in.createdAt > 0 {
		t.opt.Created = t.in.createdAt
	}
	return t.Turn.Begin(dst)
}

// opened announces an item. The one before it is over: no backend goes back to a
// message. Calls may go on next to each other.
func (t *ResponsesTurn) opened(dst []byte, i int) []byte {
	if dst = t.begun(dst); t.state >= stateEnded {
		return dst
	}
	in := &t.in.items[i]
	if typ := itemTypeIn(in.json); in.kind == inOther && !t.opt.Dialect.Responses.Complete && !slices.Contains(itemTypeNames(), typ) {
		in.out = -1
		t.lose(ruleMendItem, "output["+string(appendInt(nil, len(t.order)))+"]", typ)
		return dst
	}
	if t.cur >= 0 {
		dst = t.close(dst, t.cur, "completed")
	}
	dst = t.closeWholeCalls(dst)
	kind, prefix := outMessage, prefixMessage
	switch in.kind {
	case inReasoning:
		kind, prefix = outReasoning, prefixReasoning
	case inFunction:
		kind, prefix = outCall, prefixCall
	case inCustom:
		kind, prefix = outCall, formPrefixes[formCustom]
	case inOther:
		kind, prefix = outOther, itemPrefix(itemTypeIn(in.json))
	}
	n := t.newItem(kind)
	if n < 0 {
		return t.tooLarge(dst)
	}
	in.out = n
	it := &t.items[n]
	if kind == outCall {
		var ok bool
		if dst, ok = t.foreignCall(dst, n, in); ok {
			return dst
		}
	}
	if id := in.id; !t.ownIDs && ValidID(id) && bytes.HasPrefix(id, []byte(prefix)) && !t.usedID(id) {
		it.givenID = append(it.givenID, id...)
	}
	switch kind {
	case outCall:
		if in.kind == inCustom {
			it.form, it.native = formCustom, true
		}
		it.name = append(it.name, in.name...)
		it.space = append(it.space, in.namespace...)
		it.callID = append(it.callID, in.callID...)
		if len(it.callID) == 0 || t.usedCallID(n) {
			t.lose(ruleMendCallID, "output["+string(appendInt(nil, len(t.order)))+"].call_id", string(it.callID))
			it.callID = t.opt.Seed.appendID(it.callID[:0], prefixCallID, firstOutput+len(t.order))
		}
	case outOther:
		it.learn(in.json)
	case outMessage:
		if phase := string(in.phase); phase == "commentary" || phase == "final_answer" {
			it.members = append(it.members, `,"phase":"`...)
			it.members = append(it.members, phase...)
			it.members = append(it.members, '"')
		}
	}
	dst = t.add(dst, n, prefix)
	if kind == outCall {
		it.head = itemPlace(it.head[:0], it)
		it.head = append(it.head, `,"delta":"`...)
	} else if kind != outOther {
		t.cur = n
	}
	return dst
}

// learn takes the members of an item that nobody here knows, but for its id and
// status.
func (it *outItem) learn(raw []byte) {
	var d jsonx.Doc
	if d.Parse(raw, upstreamLimits) != nil || d.Kind(jsonx.Root) != jsonx.Object {
		return
	}
	it.members, it.plain = it.members[:0], true
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch {
		case d.Is(k, "id"):
		case d.Is(k, "status"):
			it.plain = false
		default:
			it.members = append(it.members, ',')
			it.members = append(it.members, d.Raw(k)...)
			it.members = append(it.members, ':')
			it.members = append(it.members, d.Raw(k+1)...)
		}
	}
}

// usedID reports whether an item has that id already.
func (t *ResponsesTurn) usedID(id []byte) bool {
	for _, i := range t.order {
		if bytes.Equal(t.items[i].id, id) {
			return true
		}
	}
	return false
}

// said adds to a part of a message or of reasoning.
func (t *ResponsesTurn) said(dst []byte, i, part int, raw, logprobs []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	in := &t.in.items[i]
	kind := in.parts[part].kind
	if in.kind == inReasoning && kind != in.parts[0].kind {
		return dst // an item holds a summary or its text, whichever came first
	}
	if in.kind == inMessage && kind == thoughtPart {
		if len(raw) > 0 {
			t.lose(ruleMendPart, "output["+string(appendInt(nil, t.items[in.out].index))+"]", "reasoning_text")
		}
		return dst // a message has no place for it
	}
	if t.items[in.out].state != itemOpen { // late: it goes on in an item of its own
		if len(raw) == 0 && len(logprobs) == 0 {
			return dst
		}
		if dst = t.opened(dst, i); t.state >= stateEnded {
			return dst
		}
	}
	it := &t.items[in.out]
	if it.position != part {
		if it.position >= 0 {
			dst = t.closePart(dst, it, false)
		}
		it.position = part
		dst = t.openPart(dst, it, kind)
	}
	return t.delta(dst, it, raw, logprobs)
}

// called adds to a call.
func (t *ResponsesTurn) called(dst []byte, i int, raw []byte) []byte {
	it := &t.items[t.in.items[i].out]
	if t.state >= stateEnded || it.kind != outCall || it.state != itemOpen && it.state != itemHeld {
		return dst
	}
	return t.callDelta(dst, it, raw)
}

// contradicted reports that the backend says something else at the end: what was said
// stands, as the done events have to add up to the deltas.
func (t *ResponsesTurn) contradicted(i, _ int, _ []byte) (ok bool) {
	if in := &t.in.items[i]; in.out >= 0 {
		t.lose(ruleMendContradiction, "output["+string(appendInt(nil, t.items[in.out].index))+"]", "")
	}
	return false
}

// noted adds an annotation to the open part.
func (t *ResponsesTurn) noted(dst []byte, i, part int, d *jsonx.Doc, n uint32) []byte {
	it := &t.items[t.in.items[i].out]
	if t.state >= stateEnded || it.state != itemOpen || it.position != part || it.part != textPart || !knownAnnotation(d, n) {
		if t.state < stateEnded {
			t.lose(ruleMendPart, "output["+string(appendInt(nil, it.index))+"]", "annotation")
		}
		return dst
	}
	from := len(it.annotations)
	if from > 0 {
		it.annotations = append(it.annotations, ',')
		from++
	}
	it.annotations = jsonx.AppendCompact(it.annotations, d.Raw(n))
	return t.announceNote(dst, it, from)
}

// passed passes on the events of items that nobody here knows, such as the progress of
// a search, and from a backend with the whole API all that it says: over a WebSocket its
// clients get what they would get over HTTP.
func (t *ResponsesTurn) passed(dst []byte, i int, f *eventFields) []byte {
	if !t.events || t.state == stateIdle || t.state >= stateEnded {
		return dst
	}
	var it *outItem
	if i >= 0 {
		if t.in.items[i].out < 0 {
			return dst
		}
		it = &t.items[t.in.items[i].out]
		if it.state != itemOpen {
			return dst
		}
	}
	if !t.opt.Dialect.Responses.Complete && (it == nil || it.kind != outOther ||
		!bytes.HasPrefix(f.typ, []byte("response."+itemTypeIn(t.in.items[i].json)+"."))) {
		return dst // clients know events of the item's own only
	}
	dst = append(dst, "event: "...)
	dst = append(dst, f.typ...)
	dst = append(dst, "\ndata: {\"type\":\""...)
	dst = append(dst, f.typ...)
	dst = t.event(dst, `","sequence_number":`)
	if it != nil {
		dst = itemPlace(dst, it)
	}
	d := &t.in.doc
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch string(d.Str(k)) {
		case "type", "sequence_number", "item_id", "output_index", "obfuscation":
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = jsonx.AppendCompact(dst, d.Raw(k+1))
	}
	return append(dst, eventEnd...)
}

// knownAnnotation reports whether an annotation is one of the four that clients
// know, with the members that they need.
func knownAnnotation(d *jsonx.Doc, n uint32) bool {
	for _, a := range []struct {
		typ     string
		texts   []string
		numbers []string
	}{
		{"url_citation", []string{"url", "title"}, []string{"start_index", "end_index"}},
		{"file_citation", []string{"file_id", "filename"}, []string{"index"}},
		{"container_file_citation", []string{"container_id", "file_id", "filename"}, []string{"start_index", "end_index"}},
		{"file_path", []string{"file_id"}, []string{"index"}},
	} {
		if !d.Is(d.Get(n, "type"), a.typ) {
			continue
		}
		for _, key := range a.texts {
			if v := d.GetString(n, key); v == 0 || d.StrKind(v)&jsonx.HasSurrogate != 0 {
				return false
			}
		}
		for _, key := range a.numbers {
			if v := d.Get(n, key); d.Kind(v) != jsonx.Number || !d.IsInteger(v) {
				return false
			}
		}
		return true
	}
	return false
}

// closed finishes an item.
func (t *ResponsesTurn) closed(dst []byte, i int) []byte {
	in := &t.in.items[i]
	if in.out < 0 {
		return dst
	}
	it := &t.items[in.out]
	if t.state < stateEnded && it.state == itemHeld {
		status := "completed"
		if in.torn || t.in.cutShort != "" {
			status = "incomplete"
		}
		dst = t.closeHeld(dst, in.out, status)
		if it.state == itemHeld { // it does not hold to its grammar, and nobody asks again
			it.reason = ""
			dst = t.giveHeldInput(dst, in.out, status)
		}
		return dst
	}
	if t.state >= stateEnded || it.state != itemOpen {
		return dst
	}
	switch it.kind {
	case outReasoning:
		if sealed := jsonx.Lookup(in.json, "encrypted_content").Str; sealed != "" {
			it.sealed = jsonx.AppendEscaped(it.sealed[:0], sealed)
		}
	case outOther:
		it.learn(in.json)
	}
	if it.torn = in.torn; it.torn {
		return dst // it is closed at the end: an item of a response that fails must not be done by halves
	}
	return t.close(dst, in.out, "completed")
}
