package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Turn makes a response out of what a chat backend sends: the events of a
// stream, and the final object, which is what the events add up to. It is one
// state machine for streams and whole messages:
//
//	idle ── Begin ──→ open ── Feed* ──→ (finishing) → (repairing) ── Finish, Abort or
//	      the upstream's own end ──→ ended ── Terminal ──→ done
//
//	idle       nothing has been said
//	open       created and in_progress are out; items come and go
//	finishing  the backend has said why it stopped; usage may still come
//	repairing  only where the options say so: a call waits to be made again
//	ended      every item is closed, the outcome is settled, and the terminal
//	           event waits for the store
//	done       the terminal event is out; every call is a no-op
//
// State changes in advance, and nowhere else. A Turn may be fed the stream's
// data in any pieces that are whole SSE events, and depends on nothing but them.
//
// A Turn is meant to be pooled: Reset starts over and keeps memory.
type Turn struct {
	opt    TurnOptions
	events bool // somebody reads them
	given  bool // the items are a Responses backend's: see ResponsesTurn
	state  turnState

	id       []byte
	echo     []byte
	sequence int

	doc   jsonx.Doc
	shape shape
	think thinkSplitter

	items []outItem
	count int   // items in use
	order []int // of those announced, by output_index
	cur   int   // the open message or reasoning item, or -1
	held  int   // bytes held in items, against opt.MaxBytes

	tagKind jsonx.StringKind // what the text that went through think was made of
	tokens  []byte           // logprobs of the text that think holds back
	late    []byte           // reasoning_details that came when their item was done (JSON with commas)
	args    jsonx.Doc        // scratch for arguments
	plain   []byte           // scratch for a custom tool's arguments
	holding int              // calls that are held back

	markup     markupReader
	channels   channelReader
	chunks     int    // chunks taken in, but for those that only repeat a shape
	completion bool   // a whole chat.completion is being taken in
	before     int    // items before the chunk
	choiceAt   int    // which choice is being taken in
	speaker    int8   // the choice that gives the text, counted from 1; 0: none has spoken
	thinker    int8   // the one that gives the reasoning
	others     uint64 // choices that are other answers, a bit each
	several    bool   // there was more than one
	toCall     bool   // one has said that it stopped to call tools

	chose    bool       // there was a choice
	finish   finishKind // why the backend stopped
	finished bool
	early    bool   // before anything was said, so that it may be no end
	heard    bool   // the choice at hand has said something
	mixed    bool   // in the chunk that said why the backend stopped
	talking  bool   // and in one after it: the backend says so all the time
	cutShort string // incomplete_details.reason
	stopped  bool   // somebody has cancelled it
	noticed  noticed
	// reasoningKey is the key of a message in which reasoning has come; "" is none.
	reasoningKey string
	earlier      []byte // output items of a turn that was taken up from another: see Resume
	failure      *Error
	usage        usage
	spent        usage // of an earlier try
	counted      bool  // usage has come with or after the finish
	compacts     bool  // a compaction is all that was asked for
	apart        bool  // it did not become part of the conversation it was made in
	tier         []byte
	upModel      []byte
	fingerprint  []byte // the backend's system_fingerprint

	sources []source // of the answer, that have come beside it

	scratch []byte
	prng    uint64

	// Where the last response object stands in the buffer it was appended to.
	responseAt, responseEnd, outputAt, outputEnd int
}

type turnState uint8

const (
	stateIdle turnState = iota
	stateOpen
	stateFinishing
	stateRepairing
	stateEnded
	stateDone
)

// advance is the only door through which the state changes. It never goes back.
func (t *Turn) advance(to turnState) {
	if to >= stateEnded && t.state < stateEnded {
		t.usage.plus(&t.spent)
	}
	if to > t.state {
		t.state = to
	}
}

// TurnOptions are what a Turn needs to know.
type TurnOptions struct {
	// Request that is being answered. It must stay as it is while the turn runs.
	Request *Request
	Dialect *Dialect
	// Upstream is the name of the backend, which says whose the things are that only
	// it can read; "" is none.
	Upstream string
	// Seed is the randomness of all ids.
	Seed Seed
	// Created is the Unix time of the response, in seconds.
	Created int64
	// Events asks for the events of a stream; without it Begin, Feed and the
	// others append nothing, and Response gives the final object.
	Events bool
	// MaxBytes bounds what is held of the output; 0 means 64 MiB. A reply that
	// passes it fails.
	MaxBytes int
	// OpenResponses uses the event names of Open Responses where they differ
	// from OpenAI's.
	OpenResponses bool
	// Obfuscate pads deltas with random letters, so that their sizes say less
	// to somebody who watches the encrypted connection.
	Obfuscate bool
	// Queued says that the events of Queue have been said already, maybe by
	// another process: the first event is in_progress then.
	Queued bool
	// Grammar says what is done about custom tools' grammars.
	Grammar GrammarPolicy
	// Losses receives what the reply loses.
	Losses *Losses
	// Checked says that the answer is to be held against text.format before
	// anybody sees it: each text is one delta, without a code fence around it.
	Checked bool
	// Spiller takes events between large ones; nil: all that a call makes are appended.
	Spiller Spiller
	// Sealer makes the encrypted_content of reasoning items; nil: there is none.
	Sealer Sealer
	// Compacts says that a compaction item comes before what the backend says: see
	// CloseCompaction.
	Compacts bool
	// Compaction is the encrypted_content of that item, where it is known from the
	// start. It must need no escape in a JSON string.
	Compaction []byte
	// Redact takes secrets out of what the backend says of a failure; nil: there are
	// none.
	Redact func(string) string
}

const defaultMaxBytes = 64 << 20

// maxItems bounds the output items of a response.
const maxItems = 1024

// Reset makes the turn ready for another response.
func (t *Turn) Reset(opt TurnOptions) {
	const most = 256 << 10
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = defaultMaxBytes
	}
	if t.held > most { // unusually large: let it go
		t.items, t.count, t.scratch, t.echo, t.late, t.plain = nil, 0, nil, nil, nil, nil
		t.think, t.markup, t.channels = thinkSplitter{}, markupReader{}, channelReader{}
	}
	for i := range t.items[:t.count] {
		t.items[i].reset()
	}
	doc, args, items := t.doc, t.args, t.items
	doc.Reset()
	*t = Turn{
		opt: opt, events: opt.Events, cur: -1, doc: doc, args: args, items: items,
		order: t.order[:0], id: t.id[:0], echo: t.echo[:0], scratch: t.scratch[:0], plain: t.plain[:0], tier: t.tier[:0], upModel: t.upModel[:0], fingerprint: t.fingerprint[:0],
		shape: t.shape, think: t.think, markup: t.markup, channels: t.channels, tokens: t.tokens[:0], late: t.late[:0],
	}
	t.shape.clear()
	t.think.reset(opt.Dialect.Reasoning.Tags)
	t.channels.reset()
	t.markup.reset(false)
	t.markup.on = t.looksForMarkup()
	t.id = opt.Seed.appendID(t.id, "resp_", responseNumber)
	t.echo = opt.Request.appendEcho(t.echo)
	for i, b := range opt.Seed {
		t.prng ^= uint64(b) << (i % 8 * 8)
	}
}

// ID is the response's id.
func (t *Turn) ID() string { return string(t.id) }

// IDBytes is the response's id. It is good until Reset.
func (t *Turn) IDBytes() []byte { return t.id }

// Begin appends the events that open a stream.
func (t *Turn) Begin(dst []byte) []byte {
	if t.state != stateIdle {
		return dst
	}
	t.advance(stateOpen)
	if !t.events {
		return t.lead(dst)
	}
	f := finalFields{status: "in_progress", stored: t.opt.Request.Store}
	if t.opt.Queued {
		t.sequence = queuedEvents
	} else {
		dst = t.lifecycle(dst, evCreated, f)
	}
	return t.lead(t.lifecycle(dst, evInProgress, f))
}

// Feed takes in the data of one event of a chat stream and appends the events
// that it makes. Data after the end is ignored.
func (t *Turn) Feed(dst, data []byte) []byte {
	if t.state >= stateRepairing {
		return dst
	}
	if t.state == stateIdle {
		dst = t.Begin(dst)
	}
	if len(data) < len("[DONE]")+4 {
		switch string(bytes.TrimSpace(data)) {
		case "": // a sign of life
			return dst
		case "[DONE]":
			return t.Done(dst)
		}
	}
	if t.shape.matches(data) {
		if next, ok := t.feedShape(dst, data); ok {
			return next
		}
	}
	return t.feedChunk(dst, data)
}

// FeedMessage takes in a whole chat.completion, and ends the turn.
func (t *Turn) FeedMessage(dst, body []byte) []byte {
	if t.state >= stateRepairing {
		return dst
	}
	if t.state == stateIdle {
		dst = t.Begin(dst)
	}
	t.completion = true
	dst = t.feedChunk(dst, body)
	if t.state >= stateRepairing {
		return dst
	}
	if !t.chose {
		return t.Abort(dst, &Error{
			Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginUpstream,
			Message: "The upstream's reply has no choices.",
		})
	}
	t.assumeStop()
	return t.end(dst)
}

// assumeStop makes up for a backend that never says why it stopped, though its
// reply is whole.
func (t *Turn) assumeStop() {
	if !t.finished {
		t.finished, t.finish = true, finishStop
		t.lose(ruleReplyFinish, "status", "")
	}
}

// Done takes in the marker [DONE]: the backend says that its stream is whole.
func (t *Turn) Done(dst []byte) []byte {
	if t.state >= stateRepairing {
		return dst
	}
	if (t.count > t.leading() || len(t.think.held)+len(t.markup.held)+len(t.channels.held) > 0) && t.callsWhole() {
		t.assumeStop()
	}
	return t.Finish(dst)
}

// Finish takes in the end of the upstream's data. Without a reason to stop
// before it, the reply was cut off, and the response fails.
func (t *Turn) Finish(dst []byte) []byte {
	if t.state >= stateRepairing {
		return dst
	}
	if t.state == stateIdle {
		dst = t.Begin(dst)
	}
	if !t.finished {
		return t.Abort(dst, &Error{
			Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginUpstream,
			Message: "The upstream closed the stream before the reply was complete.",
		})
	}
	return t.end(dst)
}

// Abort fails the response, because the upstream failed, was cut off or timed
// out, or because the server stops. What was said until then stays in the
// output; items that were not complete are marked so. When the backend had
// already said that it was done, the response is whole, and stays so.
func (t *Turn) Abort(dst []byte, err *Error) []byte {
	if t.state >= stateEnded {
		return dst
	}
	if t.state == stateIdle {
		dst = t.Begin(dst)
	}
	if t.state == stateRepairing {
		return t.giveRejected(dst)
	}
	if t.finished && !t.talking {
		return t.end(dst)
	}
	t.failure = err.Redacted(t.opt.Redact)
	t.advance(stateEnded)
	t.leaveOpen()
	return dst
}

// Ended reports whether the outcome is settled, so that the response can be
// stored and Terminal called.
func (t *Turn) Ended() bool { return t.state >= stateEnded }

// Silent reports whether the backend has said nothing so far that is part of an
// answer.
func (t *Turn) Silent() bool { return t.count <= t.leading() }

// Again starts over for another reply to the request, after a backend has said
// nothing but that it refuses it. Events go on with the next number: what was said
// until now stays as it is.
func (t *Turn) Again(d *Dialect) {
	sequence := t.sequence
	t.opt.Dialect = d
	t.Restart()
	t.sequence = sequence
}

// Fed reports whether the turn takes in nothing more of the backend's reply: it
// has ended, or waits for a call to be made again (see Rejected).
func (t *Turn) Fed() bool { return t.state >= stateRepairing }

// Failure is why the response failed, or nil.
func (t *Turn) Failure() *Error { return t.failure }

// Status is the response's status.
func (t *Turn) Status() string {
	switch {
	case t.state < stateEnded:
		return "in_progress"
	case t.stopped:
		return "cancelled"
	case t.failure != nil:
		return "failed"
	case t.cutShort != "":
		return "incomplete"
	}
	return "completed"
}

// Tokens are the numbers of input and output tokens, if the backend told.
func (t *Turn) Tokens() (input, output int64, ok bool) {
	return t.usage.input, t.usage.output, t.usage.known
}

// Items is the number of output items.
func (t *Turn) Items() int { return t.count }

// UpstreamModel is the backend's name for the model. It is good until Reset.
func (t *Turn) UpstreamModel() []byte { return t.upModel }

// Fingerprint is the backend's system_fingerprint, if it gave one. It is good until
// Reset.
func (t *Turn) Fingerprint() []byte { return t.fingerprint }

// Terminal appends the event that ends the stream: completed, incomplete, or
// error and failed. completedAt is the Unix time in seconds; stored says whether
// the response is in the store. It may be called again if the answer to that
// changes, as long as what it appended before is thrown away: give again as true
// then.
func (t *Turn) Terminal(dst []byte, completedAt int64, stored, again bool) []byte {
	if t.state < stateEnded || t.state == stateDone && !again || !t.events {
		return dst
	}
	if again {
		t.sequence--
		if t.failure != nil {
			t.sequence--
		}
	}
	t.advance(stateDone)
	f := t.final(completedAt, stored)
	switch f.status {
	case "failed":
		dst = t.errorEvent(dst)
		return t.lifecycle(dst, evFailed, f)
	case "incomplete":
		return t.lifecycle(dst, evIncomplete, f)
	case "cancelled": // the API has no event for that: the stream just ends
		return dst
	}
	return t.lifecycle(dst, evCompleted, f)
}

// Response appends the final response object.
func (t *Turn) Response(dst []byte, completedAt int64, stored bool) []byte {
	if t.state < stateEnded {
		return dst
	}
	t.advance(stateDone)
	return t.appendResponse(dst, t.final(completedAt, stored))
}

func (t *Turn) final(completedAt int64, stored bool) finalFields {
	f := finalFields{status: t.Status(), stored: stored}
	if f.status == "completed" {
		f.completedAt = max(completedAt, t.opt.Created) // the backend's clock may be ahead
	}
	return f
}

// LeaveConversation says that the response could not become part of its
// conversation. It is for a Terminal that is written again, or a Response.
func (t *Turn) LeaveConversation() { t.apart = true }

// Written is the response object that Terminal or Response appended last to dst,
// and where in it the output array stands.
func (t *Turn) Written(dst []byte) (response []byte, output [2]int) {
	return dst[t.responseAt:t.responseEnd], [2]int{t.outputAt - t.responseAt, t.outputEnd - t.responseAt}
}

// hold counts n more bytes of output, and fails the response when there are too
// many of them.
func (t *Turn) hold(n int) bool {
	t.held += n
	return t.held <= t.opt.MaxBytes
}

func (t *Turn) tooLarge(dst []byte) []byte {
	t.finished = false // whatever the backend said: there is more than we take
	return t.Abort(dst, &Error{
		Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginProxy,
		Message: "The upstream's reply is larger than this server is configured to take.",
	})
}

// FeedLast takes in what a stream ended with instead of a blank line: the last
// event, if it is whole, or a piece of it, which says nothing.
func (t *Turn) FeedLast(dst, data []byte) []byte {
	if t.state >= stateRepairing {
		return dst
	}
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		return t.Done(dst)
	}
	if t.doc.Parse(data, upstreamLimits) != nil || t.doc.Kind(jsonx.Root) != jsonx.Object {
		return dst
	}
	return t.Feed(dst, data)
}

// Swap exchanges the memory in which events are parsed for m: the turn needs it only
// while it is fed. Turns that wait most of the time can share one.
func (t *Turn) Swap(m *jsonx.Memory) { t.doc.Swap(m) }

// Heartbeat appends an event that only says that the stream is alive, for
// clients that count time from event to event.
func (t *Turn) Heartbeat(dst []byte) []byte {
	if t.state == stateIdle || t.state >= stateEnded || !t.events {
		return dst
	}
	dst = t.event(dst, evKeepalive)
	return append(dst, eventEnd...)
}
