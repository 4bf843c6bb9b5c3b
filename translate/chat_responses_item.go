package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// outKind is the kind of an output item.
type outKind uint8

const (
	outMessage outKind = iota
	outReasoning
	outCall
	outOther // an item that a Responses backend made, and that nobody here knows
	outCompaction
)

// outState is where an output item is in its life.
type outState uint8

const (
	itemPending outState = iota // a call that is not announced yet
	itemHeld                    // a call that is announced when its arguments are whole
	itemOpen                    // added, not done
	itemDone                    // done: json is final
	itemIgnored                 // a call that the client does not get to see
)

// openPart is the kind of the part that an item has open.
type openPart uint8

const (
	noPart openPart = iota
	textPart
	refusalPart
	thoughtPart // reasoning_text
	summaryPart // summary_text
)

// outItem is an output item being made. Its text buffers hold JSON as it will
// be written: what stands inside the quotes.
type outItem struct {
	kind  outKind
	state outState
	index int    // output_index
	id    []byte // item id

	part    openPart
	parts   int    // parts that are finished: the open one's content_index
	content []byte // the finished parts (JSON with commas)
	text    []byte // of the open part; of a call its arguments
	half    []byte // half of a surrogate pair, kept back until the other comes
	head    []byte // members of a delta event up to the text
	json    []byte // the whole item, once it is done

	logprobs    []byte // of the open part (JSON with commas)
	annotations []byte // of the open part (JSON with commas)
	notes       int    // annotations

	details []byte // of reasoning: the backend's reasoning_details (JSON with commas)
	extras  []byte // of reasoning: members of calls after it (JSON with commas)
	sealed  []byte // of reasoning that is done: its encrypted_content

	form         toolForm // of a call: which item it becomes
	callID, name []byte   // of a call, as the client gets them
	said         []byte   // the backend's name for the call's tool
	space        []byte   // of a call: the namespace of its tool
	tool         *tool    // of a call, if it is one that is known
	reason       string   // of a call that waits to be made again: what is wrong with it
	native       bool     // the backend sends a custom tool's input as it is
	input        customInput
	finished     bool   // all of input has been taken in
	patch        bool   // of a custom tool's call: it takes nothing but patches
	shown        int    // how much of text has been said
	payload      []byte // of a client-run tool's call: what its item holds
	commandsAt   int    // where in payload the list of a shell's commands begins
	pieces       int    // of a function's call: how many its arguments came in
	args         callArguments
	chunk        int // of a call: number of the chunk in which it began
	choice       int // and the choice that made it

	givenID    []byte // the backend's id for the item, if it has one that can stay
	members    []byte // members that a Responses backend gave the item: ,"key":value…
	plain      bool   // of another item: it has no status
	torn       bool   // the backend calls it incomplete
	upstreamID []byte // the backend's id, by which its fragments are told apart
	position   int    // the backend's index, or -1
}

// reset empties the item and keeps its buffers.
func (it *outItem) reset() {
	*it = outItem{
		id: it.id[:0], content: it.content[:0], text: it.text[:0], half: it.half[:0], head: it.head[:0],
		json: it.json[:0], logprobs: it.logprobs[:0], annotations: it.annotations[:0],
		details: it.details[:0], extras: it.extras[:0], sealed: it.sealed[:0],
		callID: it.callID[:0], name: it.name[:0], upstreamID: it.upstreamID[:0],
		space: it.space[:0], said: it.said[:0], payload: it.payload[:0], input: customInput{seen: it.input.seen[:0]},
		givenID: it.givenID[:0], members: it.members[:0], args: callArguments{kept: it.args.kept[:0]},
	}
}

// newItem takes an item from the pool, or returns -1 when there are too many.
func (t *Turn) newItem(kind outKind) int {
	if t.count >= maxItems {
		return -1
	}
	if t.count == len(t.items) {
		t.items = append(t.items, outItem{})
	}
	it := &t.items[t.count]
	it.kind, it.position = kind, -1
	t.count++
	return t.count - 1
}

// add announces the item: it gets its output_index and its id.
func (t *Turn) add(dst []byte, i int, prefix string) []byte {
	it := &t.items[i]
	it.state = itemOpen
	it.index = len(t.order)
	t.order = append(t.order, i)
	if len(it.givenID) > 0 {
		it.id = append(it.id[:0], it.givenID...)
	} else {
		it.id = t.opt.Seed.appendID(it.id[:0], prefix, firstOutput+it.index)
	}
	if !t.events {
		return dst
	}
	dst = t.event(dst, evItemAdded)
	dst = appendIndexed(dst, it.index)
	dst = it.append(dst, "in_progress")
	return append(dst, eventEnd...)
}

// appendIndexed appends the members that come before an item.
func appendIndexed(dst []byte, index int) []byte {
	dst = append(dst, `,"output_index":`...)
	dst = appendInt(dst, index)
	return append(dst, `,"item":`...)
}

// append appends the item as it stands: the finished parts, and of an open one
// nothing.
func (it *outItem) append(dst []byte, status string) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, it.id...)
	switch it.kind {
	case outMessage:
		dst = append(dst, `","type":"message","status":"`...)
		dst = append(dst, status...)
		dst = append(dst, `","role":"assistant","content":[`...)
		dst = append(dst, it.content...)
		dst = append(dst, ']')
		dst = append(dst, it.members...)
	case outOther:
		dst = append(dst, '"')
		dst = append(dst, it.members...)
		if !it.plain {
			dst = append(dst, `,"status":"`...)
			dst = append(dst, status...)
			dst = append(dst, '"')
		}
	case outReasoning:
		// The live API gives reasoning no status, so only an unusual one is said.
		dst = append(dst, `","type":"reasoning","summary":[`...)
		if it.part == summaryPart {
			dst = append(dst, it.content...)
			dst = append(dst, `],"content":[`...)
		} else {
			dst = append(dst, `],"content":[`...)
			dst = append(dst, it.content...)
		}
		dst = append(dst, ']')
		if len(it.sealed) > 0 {
			dst = append(dst, `,"encrypted_content":"`...)
			dst = append(dst, it.sealed...)
			dst = append(dst, '"')
		}
		if status == "incomplete" {
			dst = append(dst, `,"status":"incomplete"`...)
		}
	case outCompaction:
		dst = append(dst, `","type":"compaction","encrypted_content":"`...)
		if status != "in_progress" {
			dst = append(dst, it.sealed...)
		}
		dst = append(dst, '"')
	case outCall:
		dst = append(dst, `","type":"`...)
		dst = append(dst, formTypes[it.form]...)
		dst = append(dst, `","status":"`...)
		dst = append(dst, status...)
		dst = append(dst, `","call_id":"`...)
		dst = append(dst, it.callID...)
		dst = append(dst, '"')
		if it.builtin() {
			dst = it.appendBuiltin(dst, status)
			break
		}
		dst = append(dst, `,"name":"`...)
		dst = append(dst, it.name...)
		if len(it.space) > 0 {
			dst = append(dst, `","namespace":"`...)
			dst = append(dst, it.space...)
		}
		if it.form == formCustom {
			dst = append(dst, `","input":"`...)
		} else {
			dst = append(dst, `","arguments":"`...)
		}
		if status != "in_progress" {
			dst = append(dst, it.text...)
		}
		dst = append(dst, '"')
		if it.form == formFunction && it.tool != nil && it.tool.marksEncrypted() {
			dst = append(dst, `,"encrypted_function_args":[]`...) // what the client hands on is plain
		}
	}
	return append(dst, '}')
}

// openPart announces a part of the item.
func (t *Turn) openPart(dst []byte, it *outItem, part openPart) []byte {
	it.part = part
	member := "content_index"
	if part == summaryPart {
		member = "summary_index"
	}
	it.head = partPlace(it.head[:0], it, member)
	it.head = append(it.head, `,"delta":"`...)
	it.text, it.half = it.text[:0], it.half[:0]
	it.logprobs, it.annotations, it.notes = it.logprobs[:0], it.annotations[:0], 0
	if !t.events {
		return dst
	}
	if part == summaryPart {
		dst = t.event(dst, evSummaryPartAdded)
	} else {
		dst = t.event(dst, evPartAdded)
	}
	dst = partPlace(dst, it, member)
	dst = append(dst, `,"part":`...)
	dst = it.appendPart(dst)
	return append(dst, eventEnd...)
}

// appendPart appends the open part with what it holds so far.
func (it *outItem) appendPart(dst []byte) []byte {
	switch it.part {
	case textPart:
		dst = append(dst, `{"type":"output_text","text":"`...)
		dst = append(dst, it.text...)
		dst = append(dst, `","annotations":[`...)
		dst = append(dst, it.annotations...)
		dst = append(dst, `],"logprobs":[`...)
		dst = append(dst, it.logprobs...)
		return append(dst, `]}`...)
	case refusalPart:
		dst = append(dst, `{"type":"refusal","refusal":"`...)
	case summaryPart:
		dst = append(dst, `{"type":"summary_text","text":"`...)
	default:
		dst = append(dst, `{"type":"reasoning_text","text":"`...)
	}
	dst = append(dst, it.text...)
	return append(dst, `"}`...)
}

// closePart finishes the open part. In a failed response nothing is announced
// any more: quiet.
func (t *Turn) closePart(dst []byte, it *outItem, quiet bool) []byte {
	if it.part == noPart {
		return dst
	}
	if len(it.half) > 0 && !quiet { // the other half never came
		it.half = it.half[:0]
		dst = t.emit(dst, it, []byte(`\ufffd`), nil)
	}
	if it.part == textPart && !quiet {
		dst = t.cite(dst, it)
		t.seeLoneTag(it)
	}
	if t.opt.Checked && quiet { // nobody was told of it
		it.text, it.logprobs = it.text[:0], it.logprobs[:0]
	}
	if t.opt.Checked && !quiet {
		if it.part == textPart {
			if text, fenced := appendUnfenced(nil, it.text); fenced {
				t.lose(ruleReplyFence, "output["+string(appendInt(nil, it.index))+"]", "")
				it.text, it.logprobs = append(it.text[:0], text...), it.logprobs[:0]
			}
		}
		if t.events && len(it.text) > 0 {
			dst = t.announceDelta(dst, it, it.text, it.logprobs)
		}
	}
	if t.events && !quiet {
		member, field, head := "content_index", `,"text":"`, evTextDone
		switch it.part {
		case refusalPart:
			field, head = `,"refusal":"`, evRefusalDone
		case thoughtPart:
			head = evReasoningDone
			if t.opt.OpenResponses {
				head = evOpenReasoningDone
			}
		case summaryPart:
			member, head = "summary_index", evSummaryTextDone
		}
		dst = t.event(dst, head)
		dst = partPlace(dst, it, member)
		dst = append(dst, field...)
		dst = append(dst, it.text...)
		dst = append(dst, '"')
		if it.part == textPart {
			dst = append(dst, `,"logprobs":[`...)
			dst = append(dst, it.logprobs...)
			dst = append(dst, ']')
		}
		dst = t.spill(append(dst, eventEnd...))
		if it.part == summaryPart {
			dst = t.event(dst, evSummaryPartDone)
		} else {
			dst = t.event(dst, evPartDone)
		}
		dst = partPlace(dst, it, member)
		dst = append(dst, `,"part":`...)
		dst = it.appendPart(dst)
		dst = append(dst, eventEnd...)
	}
	if len(it.content) > 0 {
		it.content = append(it.content, ',')
	}
	it.content = it.appendPart(it.content)
	it.parts++
	if it.part != summaryPart { // it decides where a reasoning item puts its parts
		it.part = noPart
	}
	return dst
}

// close finishes an open item.
func (t *Turn) close(dst []byte, i int, status string) []byte {
	it := &t.items[i]
	if it.state != itemOpen {
		return dst
	}
	t.shape.clear()
	if t.cur == i {
		t.cur = -1
	}
	switch {
	case it.kind != outCall:
		dst = t.closePart(dst, it, false)
	case it.form == formFunction:
		dst = t.closeArguments(dst, it, status)
	case it.form == formCustom:
		dst = t.closeInput(dst, it, status)
	}
	if it.kind == outReasoning && !t.given {
		t.seal(it)
	}
	it.json = it.append(it.json[:0], status)
	it.state = itemDone
	it.content = letGo(it.content)
	if cap(it.text) > spillAt && it.kind != outCall {
		it.text = nil
	}
	if !t.events {
		return dst
	}
	dst = t.event(t.spill(dst), evItemDone)
	dst = appendIndexed(dst, it.index)
	dst = append(dst, it.json...)
	return append(dst, eventEnd...)
}

// leaveOpen settles the items of a failed response without a word: those that
// were announced stand in its output, marked incomplete.
func (t *Turn) leaveOpen() {
	for _, i := range t.order {
		it := &t.items[i]
		if it.state != itemOpen {
			continue
		}
		if it.kind != outCall {
			t.closePart(nil, it, true)
		} else if it.form == formCustom { // the rest nobody was told of
			it.text = it.text[:it.shown]
		}
		it.json = it.append(it.json[:0], "incomplete")
		it.state = itemDone
	}
	t.cur = -1
}

// appendOutput appends the items of the output array.
func (t *Turn) appendOutput(dst []byte) []byte {
	dst = append(dst, t.earlier...)
	for n, i := range t.order {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, t.items[i].json...)
	}
	return dst
}

// delta appends text to the open part, and says so. raw is the inside of a JSON
// string that stands on its own: see whole.
func (t *Turn) delta(dst []byte, it *outItem, raw, logprobs []byte) []byte {
	if len(raw) == 0 && len(logprobs) == 0 {
		return dst
	}
	if !t.hold(len(raw) + len(logprobs)) {
		return t.tooLarge(dst)
	}
	return t.emit(dst, it, raw, logprobs)
}

// emit is delta without a look at the bound.
func (t *Turn) emit(dst []byte, it *outItem, raw, logprobs []byte) []byte {
	it.text = append(it.text, raw...)
	if len(logprobs) > 0 {
		if len(it.logprobs) > 0 {
			it.logprobs = append(it.logprobs, ',')
		}
		it.logprobs = append(it.logprobs, logprobs...)
	}
	if !t.events || t.opt.Checked {
		return dst // of a checked answer closePart says it
	}
	return t.announceDelta(dst, it, raw, logprobs)
}

// announceDelta appends the event of a delta.
func (t *Turn) announceDelta(dst []byte, it *outItem, raw, logprobs []byte) []byte {
	head := evTextDelta
	switch it.part {
	case refusalPart:
		head = evRefusalDelta
	case thoughtPart:
		head = evReasoningDelta
		if t.opt.OpenResponses {
			head = evOpenReasonDelta
		}
	case summaryPart:
		head = evSummaryTextDelta
	}
	dst = t.event(dst, head)
	dst = append(dst, it.head...)
	dst = append(dst, raw...)
	dst = append(dst, '"')
	if it.part == textPart {
		dst = append(dst, `,"logprobs":[`...)
		dst = append(dst, logprobs...)
		dst = append(dst, ']')
	}
	if t.opt.Obfuscate {
		dst = t.obfuscate(dst, len(raw))
	}
	return append(dst, eventEnd...)
}

// obfuscate pads a delta of n bytes to a multiple of 16, as the live API does.
func (t *Turn) obfuscate(dst []byte, n int) []byte { return appendPadding(dst, &t.prng, n) }

// appendPadding appends an obfuscation member that pads n bytes to a multiple of
// 16.
func appendPadding(dst []byte, prng *uint64, n int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab"
	dst = append(dst, `,"obfuscation":"`...)
	for range 16 - n%16 {
		// xorshift64: what it writes need not be secret, only its length matters.
		*prng ^= *prng << 13
		*prng ^= *prng >> 7
		*prng ^= *prng << 17
		dst = append(dst, letters[*prng>>58])
	}
	return append(dst, '"')
}

// whole makes a fragment of a JSON string stand on its own: half of a surrogate
// pair at its end waits for the next fragment, and one that nobody completes
// becomes U+FFFD. kind is what is known of raw. The result is good until the
// next call.
func (t *Turn) whole(it *outItem, raw []byte, kind jsonx.StringKind) []byte {
	if kind&jsonx.HasSurrogate == 0 && len(it.half) == 0 {
		return raw
	}
	t.scratch = append(t.scratch[:0], it.half...)
	t.scratch = append(t.scratch, raw...)
	it.half = it.half[:0]
	out := t.scratch
	if at, ok := jsonx.SplitsSurrogate(out); ok {
		it.half = append(it.half, out[at:]...)
		out = out[:at]
	}
	jsonx.MendSurrogates(out)
	return out
}
