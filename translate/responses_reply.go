package translate

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// reply reads what a Responses backend sends: the events of a stream, or a whole
// response object. It is the common half of ChatTurn and ResponsesTurn, and knows
// nothing of what they make of it: that is the sink's.
//
// Backends keep the promises of the API by halves (captures llama-R*, ollama-R*):
// numbers, indexes, "added" and "done" events may be missing, parallel items may
// share an index, a terminal event may be sparse, the end may be missing. So
// items are told apart by id first and index second, what a "done" says beyond
// the deltas is taken as one more delta, and what was never announced is announced
// when something comes of it.
type reply struct {
	sink     replySink
	losses   *Losses
	ruleUTF8 Rule
	most     int // bytes that may be held

	doc   jsonx.Doc
	shape replyShape

	items []inItem
	count int
	held  int

	id, model, tier []byte
	moderation      [2][]byte // of the input and of the output, as they came
	createdAt       int64
	usage           usage

	pass     int    // of fillParts: parts are matched once in each
	ended    bool   // the outcome is known
	cutShort string // incomplete_details.reason
	failure  *Error
	scratch  []byte
}

// replySink is told what a reply says, in the order in which it says it. Items
// are named by their place in reply.items, and parts by theirs in inItem.parts.
type replySink interface {
	// begun: the response has an id. It may come late, or never.
	begun(dst []byte) []byte
	// opened: a new item. Of a call, its id and name are known.
	opened(dst []byte, i int) []byte
	// said: raw, the inside of a JSON string that stands on its own, was added to
	// a part, with the tokens in logprobs. Both may be empty when the part is new.
	said(dst []byte, i, part int, raw, logprobs []byte) []byte
	// called: raw was added to a call's arguments or input.
	called(dst []byte, i int, raw []byte) []byte
	// contradicted: what the backend says at its end of a part, or with part -1 of a
	// call, is raw, and what was said of it before is no beginning of that. ok reports
	// whether raw could take its place.
	contradicted(i, part int, raw []byte) (ok bool)
	// noted: a part has an annotation.
	noted(dst []byte, i, part int, d *jsonx.Doc, n uint32) []byte
	// closed: nothing more comes of the item.
	closed(dst []byte, i int) []byte
	// passed: an event of a type that nothing is known of but its name, about item i,
	// or about none where i is -1.
	passed(dst []byte, i int, f *eventFields) []byte
}

// inKind is the kind of an item of the backend.
type inKind uint8

const (
	inMessage inKind = iota
	inReasoning
	inFunction
	inCustom
	inOther
)

// inItem is an item as the backend tells it. Its texts are the insides of JSON
// strings.
type inItem struct {
	kind    inKind
	index   int  // the backend's output_index, or -1
	open    bool // not done
	told    bool // the sink knows of it
	matched bool // it was found in the terminal output
	torn    bool // its status is incomplete
	held    bool // arguments that do not begin as an object wait for the call's end

	id, alias               []byte // alias is another id that events have for it
	callID, name, namespace []byte
	phase                   []byte
	parts                   []inPart
	partCount               int
	text                    []byte // a call's arguments or input
	half                    []byte // half of a surrogate pair at its end
	json                    []byte // of reasoning and other items: the whole item, as far as it has come

	out int // for the sink
}

// inPart is a part of a message or of reasoning.
type inPart struct {
	kind  openPart
	index int // content_index or summary_index
	text  []byte
	half  []byte
	notes int  // annotations
	done  bool // a done event has told all of it
	pass  int  // the last pass of fillParts that has matched it
	base  int  // for the sink
}

func (it *inItem) reset() {
	parts := it.parts
	for i := range parts {
		parts[i] = inPart{text: parts[i].text[:0], half: parts[i].half[:0]}
	}
	*it = inItem{
		id: it.id[:0], alias: it.alias[:0], callID: it.callID[:0], name: it.name[:0], namespace: it.namespace[:0], phase: it.phase[:0],
		parts: parts, text: it.text[:0], half: it.half[:0], json: it.json[:0],
	}
}

func (r *reply) reset(sink replySink, losses *Losses, ruleUTF8 Rule, most int) {
	const keep = 256 << 10
	if r.held > keep {
		r.items, r.count, r.scratch = nil, 0, nil
	}
	for i := range r.items[:r.count] {
		r.items[i].reset()
	}
	if most <= 0 {
		most = defaultMaxBytes
	}
	r.doc.Reset()
	r.shape.clear()
	*r = reply{
		sink: sink, losses: losses, ruleUTF8: ruleUTF8, most: most, doc: r.doc, shape: r.shape, items: r.items,
		id: r.id[:0], model: r.model[:0], tier: r.tier[:0], scratch: r.scratch[:0],
		moderation: [2][]byte{r.moderation[0][:0], r.moderation[1][:0]},
	}
}

// feed takes in the data of one event. name is that of its event line, which
// counts where the data has no type.
func (r *reply) feed(dst, name, data []byte) []byte {
	if r.ended {
		return dst
	}
	if r.shape.valid {
		if out, ok := r.feedShape(dst, data); ok {
			return out
		}
	}
	if len(data) < len("[DONE]")+4 {
		switch string(bytes.TrimSpace(data)) {
		case "":
			return dst
		case "[DONE]":
			return r.done(dst)
		}
	}
	r.shape.clear()
	if !r.parse(data) || r.doc.Kind(jsonx.Root) != jsonx.Object {
		return r.fail(dst, malformed(data))
	}
	return r.event(dst, name)
}

// parse parses data, mending what is not UTF-8.
func (r *reply) parse(data []byte) bool {
	err := r.doc.Parse(data, upstreamLimits)
	if err != nil && err.Reason == jsonx.InvalidUTF8 {
		if r.losses != nil {
			r.losses.once(r.ruleUTF8, "output", "")
		}
		err = r.doc.Parse(jsonx.AppendMended(nil, data), upstreamLimits)
	}
	return err == nil
}

// eventFields are the members of an event.
type eventFields struct {
	typ                                  []byte
	itemID, outputIndex, partIndex       uint32
	delta, text, item, part              uint32
	response, annotation, logprobs       uint32
	arguments, input, refusal, errorNode uint32
	object, detail, message              uint32
}

func (r *reply) event(dst, name []byte) []byte {
	d := &r.doc
	f := eventFields{typ: name}
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		v := k + 1
		if d.Kind(v) == jsonx.Null {
			continue
		}
		switch string(d.Str(k)) {
		case "type":
			if d.Kind(v) == jsonx.String {
				f.typ = d.Str(v)
			}
		case "item_id":
			f.itemID = v
		case "output_index":
			f.outputIndex = v
		case "content_index", "summary_index":
			f.partIndex = v
		case "delta":
			f.delta = v
		case "text":
			f.text = v
		case "item":
			f.item = v
		case "part":
			f.part = v
		case "response":
			f.response = v
		case "annotation":
			f.annotation = v
		case "logprobs":
			f.logprobs = v
		case "arguments":
			f.arguments = v
		case "input":
			f.input = v
		case "refusal":
			f.refusal = v
		case "error":
			f.errorNode = v
		case "object":
			f.object = v
		case "detail":
			f.detail = v
		case "message":
			f.message = v
		}
	}
	switch string(f.typ) {
	case "response.output_text.delta":
		return r.partDelta(dst, &f, textPart, f.delta)
	case "response.output_text.done":
		return r.partDone(dst, &f, textPart, f.text)
	case "response.refusal.delta":
		return r.partDelta(dst, &f, refusalPart, f.delta)
	case "response.refusal.done":
		return r.partDone(dst, &f, refusalPart, f.refusal)
	case "response.reasoning_text.delta", "response.reasoning.delta":
		return r.partDelta(dst, &f, thoughtPart, f.delta)
	case "response.reasoning_text.done", "response.reasoning.done":
		return r.partDone(dst, &f, thoughtPart, f.text)
	case "response.reasoning_summary_text.delta", "response.reasoning_summary.delta":
		return r.partDelta(dst, &f, summaryPart, f.delta)
	case "response.reasoning_summary_text.done", "response.reasoning_summary.done":
		return r.partDone(dst, &f, summaryPart, f.text)
	case "response.function_call_arguments.delta":
		return r.callDelta(dst, &f, inFunction)
	case "response.function_call_arguments.done":
		return r.callDone(dst, &f, inFunction, f.arguments)
	case "response.custom_tool_call_input.delta":
		return r.callDelta(dst, &f, inCustom)
	case "response.custom_tool_call_input.done":
		return r.callDone(dst, &f, inCustom, f.input)
	case "response.output_item.added":
		if d.Kind(f.item) == jsonx.Object {
			dst, _ = r.addItem(dst, f.item, f.outputIndex)
		}
		return dst
	case "response.output_item.done":
		return r.itemDone(dst, &f)
	case "response.content_part.added", "response.content_part.done", "response.reasoning_summary_part.added",
		"response.reasoning_summary_part.done", "response.reasoning_part.added", "response.reasoning_part.done":
		return r.wholePart(dst, &f)
	case "response.output_text.annotation.added":
		return r.annotation(dst, &f)
	case "response.created", "response.queued", "response.in_progress":
		r.header(f.response)
		return r.sink.begun(dst)
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.canceled", "response.done":
		if f.response == 0 && (d.Present(d.Get(jsonx.Root, "output")) || d.Present(d.Get(jsonx.Root, "status"))) {
			f.response = jsonx.Root // the object itself
		}
		return r.terminal(dst, f.response, f.typ[len("response."):])
	case "error", "response.error":
		return r.fail(dst, eventError(d, f.response))
	}
	switch {
	case f.errorNode != 0 && d.Kind(f.errorNode) != jsonx.False && !emptyString(d, f.errorNode):
		return r.fail(dst, eventError(d, f.response)) // outside the protocol, as llama.cpp does it
	case d.Is(f.object, "response"):
		return r.terminal(dst, jsonx.Root, nil) // the backend does not stream
	case !bytes.HasPrefix(f.typ, []byte("response.")) && f.response|f.item|f.part|f.delta == 0 &&
		(f.detail != 0 || d.Kind(f.message) == jsonx.String && (len(f.typ) == 0 || bytes.Contains(f.typ, []byte("error")))):
		return r.fail(dst, eventError(d, 0)) // FastAPI's form, and errors that are no event of the API
	}
	if isEventName(f.typ) {
		return r.sink.passed(dst, r.about(&f), &f)
	}
	return dst
}

// isEventName reports whether a type is one that an event of the API could have.
func isEventName(typ []byte) bool {
	rest, ok := bytes.CutPrefix(typ, []byte("response."))
	return ok && len(rest) > 0 && len(rest) <= 128 && len(bytes.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789._-")) == 0
}

// about is the item that an event is about, of any kind, or -1.
func (r *reply) about(f *eventFields) int {
	d, at := &r.doc, r.position(f.outputIndex)
	named := d.Kind(f.itemID) == jsonx.String && len(d.Str(f.itemID)) > 0
	for i := r.count - 1; i >= 0; i-- {
		if it := &r.items[i]; named && bytes.Equal(it.id, d.Str(f.itemID)) || !named && at >= 0 && it.index == at {
			return i
		}
	}
	return -1
}

// message takes in a whole response object.
func (r *reply) message(dst, body []byte) []byte {
	if r.ended {
		return dst
	}
	r.shape.clear()
	if !r.parse(body) {
		return r.fail(dst, malformed(body))
	}
	d := &r.doc
	for _, key := range []string{"response", "data", "result"} { // an envelope around it
		if n := d.Get(jsonx.Root, key); d.Kind(d.Get(jsonx.Root, "output")) != jsonx.Array && d.Kind(d.Get(n, "output")) == jsonx.Array {
			return r.terminal(dst, n, nil)
		}
	}
	if e := d.Get(jsonx.Root, "error"); d.Kind(d.Get(jsonx.Root, "output")) != jsonx.Array &&
		(!d.Is(d.Get(jsonx.Root, "object"), "response") || d.Present(e)) {
		if d.Kind(jsonx.Root) == jsonx.Object && (d.Present(e) || d.Present(d.Get(jsonx.Root, "message")) || d.Present(d.Get(jsonx.Root, "detail"))) {
			return r.fail(dst, eventError(d, 0))
		}
		return r.fail(dst, brokenOff("The upstream's reply is no response object: it has no output."))
	}
	return r.terminal(dst, jsonx.Root, nil)
}

// brokenOff is the failure of a reply that is not whole.
func brokenOff(message string) *Error {
	return &Error{Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginUpstream, Message: message}
}

// header reads what lifecycle events say about the response.
func (r *reply) header(n uint32) {
	d := &r.doc
	if id := d.GetString(n, "id"); id != 0 && len(r.id) == 0 {
		r.id = append(r.id, d.Str(id)...)
	}
	if model := d.GetString(n, "model"); model != 0 && len(r.model) == 0 {
		r.model = append(r.model, d.Str(model)...)
	}
	if at := firstCount(d, n, "created_at"); at > 0 && r.createdAt == 0 {
		r.createdAt = at
	}
	if tier := d.Get(n, "service_tier"); tierKnown(d, tier) {
		r.tier = append(r.tier[:0], d.Str(tier)...)
	}
	if m := d.Get(n, "moderation"); d.Kind(m) == jsonx.Object {
		for i, side := range [...]string{"input", "output"} {
			if v := d.Get(m, side); d.Kind(v) == jsonx.Object {
				r.moderation[i] = jsonx.AppendCompact(r.moderation[i][:0], d.Raw(v))
			}
		}
	}
}

// terminal takes in the whole response: what it holds beyond the events, and how
// it ended. name is what the event calls the end.
func (r *reply) terminal(dst []byte, n uint32, name []byte) []byte {
	d := &r.doc
	r.header(n)
	dst = r.sink.begun(dst)
	word := r.outcome(n, name)
	failed := word == "failed" || word == "cancelled"
	if output := d.Get(n, "output"); d.Kind(output) == jsonx.Array {
		at := 0
		for v, end := d.First(output), d.End(output); v < end && !r.ended; v = d.Next(v) {
			if d.Kind(v) == jsonx.Object {
				dst = r.finalItem(dst, v, at, failed)
				at++
			}
		}
	}
	if dst = r.citations(dst, n); r.ended { // too much of it
		return dst
	}
	if u := d.Get(n, "usage"); d.Kind(u) == jsonx.Object {
		r.usage.read(d, u)
	}
	switch word {
	case "failed":
		return r.fail(dst, responseError(d, n))
	case "cancelled":
		return r.fail(dst, brokenOff("The upstream cancelled the response."))
	case "queued", "in_progress":
		return r.fail(dst, brokenOff("The upstream answered with a response that is still running."))
	case "incomplete":
		r.cutShort = "max_output_tokens"
		if reason := d.GetString(d.Get(n, "incomplete_details"), "reason"); reason != 0 {
			r.cutShort = knownReason(d.Str(reason))
		}
	}
	return r.settle(dst)
}

// outcome is how a response ended. Its status decides, whatever the event with it is
// called: some servers end every stream with response.completed
// (https://github.com/vllm-project/vllm/issues/45386). What is still running by its
// status has ended all the same if the event says so.
func (r *reply) outcome(n uint32, name []byte) string {
	d := &r.doc
	if s := d.GetString(n, "status"); s != 0 {
		switch word := string(d.Str(s)); word {
		case "failed", "incomplete", "cancelled":
			return word
		case "canceled":
			return "cancelled"
		case "completed":
		default:
			if len(name) == 0 {
				return word
			}
		}
	}
	switch string(name) {
	case "failed", "incomplete", "cancelled":
		return string(name)
	case "canceled":
		return "cancelled"
	}
	switch {
	case filled(d, d.Get(n, "error")) && !filled(d, d.Get(n, "output")), n != jsonx.Root && filled(d, d.Get(jsonx.Root, "error")):
		return "failed"
	case d.GetString(d.Get(n, "incomplete_details"), "reason") != 0:
		return "incomplete"
	}
	return "completed"
}

// filled reports whether n is an object or an array with something in it.
func filled(d *jsonx.Doc, n uint32) bool {
	return (d.Kind(n) == jsonx.Object || d.Kind(n) == jsonx.Array) && d.Len(n) > 0
}

// knownReason keeps the reasons that clients know; anything else that made a
// response incomplete comes down to the bound of the output.
func knownReason(word []byte) string {
	for _, known := range []string{"max_output_tokens", "content_filter", "max_messages", "steered"} {
		if string(word) == known {
			return known
		}
	}
	return "max_output_tokens"
}

// settle ends a reply that is whole: what is still open is closed.
func (r *reply) settle(dst []byte) []byte {
	for i := range r.count {
		if dst = r.close(dst, i); r.ended {
			return dst
		}
	}
	r.ended = true
	return dst
}

// done takes in the marker [DONE]. It comes after the end; without one it only
// counts when everything that was said is whole.
func (r *reply) done(dst []byte) []byte {
	if r.ended {
		return dst
	}
	whole := r.count > 0
	for i := range r.count {
		whole = whole && !r.items[i].open
	}
	if whole {
		return r.settle(dst)
	}
	return r.finish(dst)
}

// finish takes in the end of the upstream's data.
func (r *reply) finish(dst []byte) []byte {
	if r.ended {
		return dst
	}
	return r.fail(dst, brokenOff("The upstream closed the stream before the reply was complete."))
}

// fail ends the reply with an error.
func (r *reply) fail(dst []byte, e *Error) []byte {
	if !r.ended {
		r.ended, r.failure = true, e
		r.shape.clear()
	}
	return dst
}

// responseError reads the error of a failed response: in the object n, or beside it in
// the event.
func responseError(d *jsonx.Doc, n uint32) *Error {
	e := toldError(d, n)
	if e == nil {
		return unexplained()
	}
	switch e.Code {
	case "rate_limit_exceeded", "insufficient_quota":
		e.Status = 429
	case "invalid_prompt", "data_residency_mismatch", "bio_policy", "misalignment_policy_violation", "invalid_image",
		"invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small",
		"image_parse_error", "image_content_policy_violation", "invalid_image_mode", "image_file_too_large",
		"unsupported_image_media_type", "empty_image_file", "failed_to_download_image", "image_file_not_found":
		e.Status = 400
		if e.Type == TypeServer {
			e.Type = TypeInvalidRequest
		}
	case "server_error", "vector_store_timeout":
		e.Status = 500
	}
	return e
}

// hold counts n more bytes, and fails the reply when there are too many.
func (r *reply) hold(n int) bool {
	if r.held += n; r.held <= r.most {
		return true
	}
	r.fail(nil, &Error{Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginProxy,
		Message: "The upstream's reply is larger than this server is configured to take."})
	return false
}

// errorPlaces are where an error stands: in the object itself, or below it. The last
// one is the Realtime API's.
var errorPlaces = [][]string{{}, {"status_details"}, {"last_error"}}

// eventError is the error of an event that is one.
func eventError(d *jsonx.Doc, response uint32) *Error {
	if e := toldError(d, response); e != nil {
		return e
	}
	return unexplained()
}

func unexplained() *Error { return brokenOff("The upstream failed, and did not say why.") }

// toldError reads the error of an event: in its response, which may be 0, or in the
// event itself; nil if there is none. Errors without a message are told by what else
// they have.
func toldError(d *jsonx.Doc, response uint32) *Error {
	for _, root := range []uint32{response, errorRoot(d)} {
		if d.Kind(root) != jsonx.Object {
			continue
		}
		for _, place := range errorPlaces {
			n := root
			for _, key := range place {
				n = d.Get(n, key)
			}
			if !saysError(d, n) {
				continue
			}
			if inner := d.Get(n, "error"); d.Kind(inner) == jsonx.Object && d.Kind(d.Get(inner, "error")) == jsonx.Object {
				n = inner // an error within an error
			}
			return withWords(upstreamErrorAt(d, n, 0))
		}
	}
	return nil
}

// saysError reports whether an object has something that tells of an error.
func saysError(d *jsonx.Doc, n uint32) bool {
	if d.Kind(n) != jsonx.Object {
		return false
	}
	if e := d.Get(n, "error"); d.Present(e) && d.Kind(e) != jsonx.False && !emptyString(d, e) {
		return true
	}
	for _, key := range []string{"message", "detail", "code"} {
		if v := d.Get(n, key); d.Present(v) && !emptyString(d, v) {
			return true
		}
	}
	return false
}

// withWords gives an error without a message the words that it has: its code or type.
func withWords(e *Error) *Error {
	if !strings.HasPrefix(e.Message, noMessage) {
		return e
	}
	for _, word := range []string{e.Code, e.Type} {
		if word != "" && word != "server_error" {
			e.Message = "The upstream reported the error " + strconv.Quote(brief(word)) + " without a message."
			break
		}
	}
	return e
}
