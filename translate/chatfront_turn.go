package translate

import (
	"bytes"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// ChatTurn is the mirror of Turn: it makes a chat completion out of what a
// Responses backend sends, as chunks of a stream and as the final object. It has
// the states of a Turn:
//
//	idle ── Feed* or FeedMessage ──→ open ── the upstream's end, Finish or
//	      Abort ──→ ended ── Terminal ──→ done
//
// After the end every call is a no-op. A ChatTurn may be fed the events of the
// stream in any pieces that are whole events, and depends on nothing but them.
//
// It is meant to be pooled: Reset starts over and keeps memory.
type ChatTurn struct {
	opt    ChatTurnOptions
	events bool
	state  turnState
	in     reply

	id      []byte
	made    int64  // the Unix time of the completion; 0 before it is settled
	head    []byte // of every chunk, up to its delta
	tail    []byte // of every chunk but the last ones, from after the delta
	started bool   // the role has been told

	content, refusal, reasoning []byte // the insides of JSON strings
	logprobs, annotations       []byte // JSON with commas
	lastText, lastThought       textPlace
	notes                       int
	calls                       []int // items, by the index of their call
	stop                        stopScanner
	muted                       bool // a stop sequence has ended the text
	stopped                     bool // and with it the reply

	prng uint64
}

// textPlace is where text came from: an item and a part of it, plus one.
type textPlace struct{ item, part int }

// ChatTurnOptions are what a ChatTurn needs to know.
type ChatTurnOptions struct {
	// Request that is being answered. It must stay as it is while the turn runs.
	Request *ChatRequest
	// Dialect of the backend.
	Dialect *Dialect
	// Seed is the randomness of the completion's id and of ids of calls.
	Seed Seed
	// Created is the Unix time of the completion in seconds, where the backend
	// gives none.
	Created int64
	// Events asks for the chunks of a stream; without it nothing is appended, and
	// Completion gives the final object.
	Events bool
	// Choice is the index of this turn's choice, and Several says that there are
	// others, so that the stream's end is not this turn's: see ChatChoices.
	Choice  int
	Several bool
	// Reasoning gives the model's reasoning as reasoning_content, which is not of
	// the Chat API but known to many clients.
	Reasoning bool
	// FinalOnly leaves out what the model says before its final answer (messages
	// with the phase "commentary"); of a reply that has nothing else, the text is
	// empty. The setting stream.chat_commentary turned off.
	FinalOnly bool
	// Obfuscate pads chunks with random letters.
	Obfuscate bool
	// MaxBytes bounds what is held of the reply; 0 means 64 MiB.
	MaxBytes int
	// Losses receives what the reply loses.
	Losses *Losses
	// Redact takes secrets out of what the backend says of a failure; nil: there are
	// none.
	Redact func(string) string
}

// maxChatCalls is how many calls a completion holds: clients check the index.
const maxChatCalls = 128

// Swap is Turn.Swap.
func (t *ChatTurn) Swap(m *jsonx.Memory) { t.in.doc.Swap(m) }

// Reset makes the turn ready for another completion.
func (t *ChatTurn) Reset(opt ChatTurnOptions) {
	const most = 256 << 10
	keep := func(b []byte) []byte {
		if cap(b) > most {
			return nil
		}
		return b[:0]
	}
	t.in.reset(t, opt.Losses, ruleChatReplyUTF8, opt.MaxBytes)
	t.stop.reset(opt.Request.stops)
	*t = ChatTurn{
		opt: opt, events: opt.Events, in: t.in, id: t.id[:0], head: t.head[:0], tail: t.tail[:0],
		content: keep(t.content), refusal: keep(t.refusal), reasoning: keep(t.reasoning), logprobs: keep(t.logprobs),
		annotations: keep(t.annotations), calls: t.calls[:0], stop: t.stop,
	}
	t.id = opt.Seed.appendID(t.id, "chatcmpl-", responseNumber)
	for i, b := range opt.Seed {
		t.prng ^= uint64(b) << (i % 8 * 8)
	}
	t.prng += uint64(opt.Choice)
}

// ID is the completion's id.
func (t *ChatTurn) ID() string { return string(t.id) }

// Feed takes in the data of one event of a Responses stream and appends the
// chunks that it makes. name is that of the event's line, which counts where the
// data has no type; it may be nil. Data after the end is ignored.
func (t *ChatTurn) Feed(dst, name, data []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	t.advance(stateOpen)
	return t.look(t.in.feed(dst, name, data))
}

// FeedLast takes in what a stream ended with instead of a blank line: the last
// event, if it is whole, or a piece of it, which says nothing.
func (t *ChatTurn) FeedLast(dst, name, data []byte) []byte {
	if t.state >= stateEnded || string(bytes.TrimSpace(data)) != "[DONE]" && !jsonx.Valid(data) {
		return dst
	}
	return t.Feed(dst, name, data)
}

// FeedMessage takes in a whole response object, and ends the turn.
func (t *ChatTurn) FeedMessage(dst, body []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	t.advance(stateOpen)
	return t.look(t.in.message(dst, body))
}

// Done takes in the marker [DONE].
func (t *ChatTurn) Done(dst []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.done(dst))
}

// Finish takes in the end of the upstream's data. Without a terminal event
// before it the reply was cut off, and the completion fails.
func (t *ChatTurn) Finish(dst []byte) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.finish(dst))
}

// Abort fails the completion, because the upstream failed, was cut off or timed
// out, or because the server stops.
func (t *ChatTurn) Abort(dst []byte, err *Error) []byte {
	if t.state >= stateEnded {
		return dst
	}
	return t.look(t.in.fail(dst, err))
}

// look settles the turn when the reply has ended, or was stopped.
func (t *ChatTurn) look(dst []byte) []byte {
	if t.made == 0 && (len(t.in.id) > 0 || t.in.count > 0) {
		t.created()
	}
	if !t.in.ended && !t.stopped || t.state >= stateEnded {
		return dst
	}
	if t.in.failure == nil || t.stopped {
		dst = t.releaseHeld(dst)
	}
	if t.in.failure == nil {
		dst = t.endCalls(dst)
	}
	if t.stopped {
		t.in.failure, t.in.ended = nil, true
	}
	t.countLength()
	t.advance(stateEnded)
	return dst
}

// countLength finds out that max_output_tokens cut the reply off, for backends
// that do not say so.
func (t *ChatTurn) countLength() {
	most, n := t.opt.Request.maxTokens()
	if t.in.failure != nil || t.in.cutShort != "" || t.stopped || t.opt.Dialect.Responses.LengthReported ||
		n == 0 || !t.in.usage.known || t.in.usage.output < max(most, minOutputTokens) {
		return
	}
	t.in.cutShort = "max_output_tokens"
	t.lose(ruleChatReplyLength, "choices[0].finish_reason", "")
}

func (t *ChatTurn) advance(to turnState) {
	if to > t.state {
		t.state = to
	}
}

// Ended reports whether the outcome is settled, so that the completion can be
// stored and Terminal called.
func (t *ChatTurn) Ended() bool { return t.state >= stateEnded }

// Silent reports whether the backend has said nothing so far that is part of an
// answer.
func (t *ChatTurn) Silent() bool { return t.in.count == 0 && !t.started }

// Stopped reports whether the turn ended at one of the request's stop sequences:
// the upstream goes on, and should be closed.
func (t *ChatTurn) Stopped() bool { return t.stopped }

// Failure is why the completion failed, in the words of the Chat API, or nil. Its
// Status is that of an answer which is not streamed.
func (t *ChatTurn) Failure() *Error { return t.opt.Request.Error(t.in.failure.Redacted(t.opt.Redact)) }

// Tokens are the numbers of input and output tokens, if the backend told.
func (t *ChatTurn) Tokens() (input, output int64, ok bool) {
	return t.in.usage.input, t.in.usage.output, t.in.usage.known
}

// UpstreamID is the backend's id of the response. It is good until Reset.
func (t *ChatTurn) UpstreamID() []byte { return t.in.id }

// UpstreamModel is the backend's name for the model. It is good until Reset.
func (t *ChatTurn) UpstreamModel() []byte { return t.in.model }

// FinishReason is why the model stopped, in the words of the Chat API: "" before
// the end and after a failure.
func (t *ChatTurn) FinishReason() string {
	switch {
	case t.state < stateEnded, t.in.failure != nil:
		return ""
	case t.stopped:
		return "stop"
	}
	switch t.in.cutShort {
	case "max_output_tokens", "max_messages":
		return "length"
	case "content_filter":
		return "content_filter"
	}
	switch {
	case len(t.calls) == 0:
		return "stop"
	case t.opt.Request.Legacy:
		return "function_call"
	}
	return "tool_calls"
}

// Terminal appends what ends the stream: the chunk with the reason, the chunk
// with the usage if the client wants it, and [DONE]; or the error, and [DONE].
func (t *ChatTurn) Terminal(dst []byte) []byte {
	if t.state != stateEnded {
		return dst
	}
	t.advance(stateDone)
	if !t.events {
		return dst
	}
	if t.in.failure != nil {
		if t.opt.Several { // whoever holds the others says it, once
			return dst
		}
		return appendChatFailure(dst, t.Failure())
	}
	dst = t.role(dst, false)
	dst = append(dst, t.head...)
	dst = append(dst, `},`...)
	if t.opt.Request.Logprobs {
		dst = append(dst, `"logprobs":null,`...)
	}
	dst = append(dst, `"finish_reason":"`...)
	dst = append(dst, t.FinishReason()...)
	dst = append(dst, `"}]`...)
	dst = t.appendTier(dst)
	if t.opt.Request.IncludeUsage {
		dst = append(dst, `,"usage":null`...)
	}
	dst = t.pad(dst, 0)
	dst = append(dst, eventEnd...)
	if t.opt.Several {
		return dst
	}
	dst = t.moderationChunk(dst, nil)
	if t.opt.Request.IncludeUsage && t.in.usage.known {
		dst = t.usageChunk(dst, &t.in.usage)
	}
	return appendDone(dst)
}

// appendChatFailure appends the end of a stream that failed.
func appendChatFailure(dst []byte, e *Error) []byte {
	dst = append(dst, "data: "...)
	dst = e.AppendBody(dst)
	dst = append(dst, "\n\n"...)
	return appendDone(dst)
}

func appendDone(dst []byte) []byte { return append(dst, "data: [DONE]\n\n"...) }

func (t *ChatTurn) appendTier(dst []byte) []byte {
	if len(t.in.tier) == 0 || string(t.in.tier) == "auto" {
		return dst
	}
	dst = append(dst, `,"service_tier":"`...)
	dst = append(dst, t.in.tier...)
	return append(dst, '"')
}

// usageChunk appends the chunk that only has the usage.
func (t *ChatTurn) usageChunk(dst []byte, u *usage) []byte {
	dst = t.emptyChunk(dst)
	dst = append(dst, `,"usage":`...)
	dst = u.appendChat(dst)
	dst = t.pad(dst, 0)
	return append(dst, eventEnd...)
}

// emptyChunk begins a chunk without a choice.
func (t *ChatTurn) emptyChunk(dst []byte) []byte {
	t.prepare()
	dst = append(dst, t.head[:bytes.LastIndex(t.head, []byte(`{"index":`))]...)
	dst = append(dst, ']')
	return t.appendTier(dst)
}

// created is the Unix time of the completion: the backend's, if it is told before
// anything else. Several choices come from several responses, and have to agree.
func (t *ChatTurn) created() int64 {
	if t.made == 0 {
		t.made = t.opt.Created
		if t.in.createdAt > 0 && !t.opt.Several {
			t.made = t.in.createdAt
		}
	}
	return t.made
}

// prepare writes the bytes that all chunks have in common.
func (t *ChatTurn) prepare() {
	if len(t.head) > 0 {
		return
	}
	h := append(t.head, `data: {"id":"`...)
	h = append(h, t.id...)
	h = append(h, `","object":"chat.completion.chunk","created":`...)
	h = strconv.AppendInt(h, t.created(), 10)
	h = append(h, `,"model":`...)
	h = append(h, t.opt.Request.doc.Raw(t.opt.Request.params[cModel])...)
	h = append(h, `,"system_fingerprint":null,"choices":[{"index":`...)
	h = appendInt(h, t.opt.Choice)
	t.head = append(h, `,"delta":{`...)
	t.tail = append(t.tail[:0], `"finish_reason":null}]`...)
	if t.opt.Request.IncludeUsage {
		t.tail = append(t.tail, `,"usage":null`...)
	}
}

// role appends the chunk that says who speaks, once: before the first text with
// empty content, before a call with none.
func (t *ChatTurn) role(dst []byte, call bool) []byte {
	if t.started || !t.events {
		return dst
	}
	t.started = true
	t.prepare()
	dst = append(dst, t.head...)
	if call {
		dst = append(dst, `"role":"assistant","content":null`...)
	} else {
		dst = append(dst, `"role":"assistant","content":"","refusal":null`...)
	}
	return t.endChunk(dst, nil, 0)
}

// chunk begins a chunk: the members of its delta come next, and then endChunk.
func (t *ChatTurn) chunk(dst []byte, call bool) []byte {
	dst = t.role(dst, call)
	return append(dst, t.head...)
}

// endChunk ends a chunk whose delta has n bytes of text, with the tokens of it.
func (t *ChatTurn) endChunk(dst, logprobs []byte, n int) []byte {
	dst = append(dst, '}', ',')
	if t.opt.Request.Logprobs {
		if len(logprobs) > 0 {
			dst = append(dst, `"logprobs":{"content":[`...)
			dst = append(dst, logprobs...)
			dst = append(dst, `],"refusal":null},`...)
		} else {
			dst = append(dst, `"logprobs":null,`...)
		}
	}
	dst = append(dst, t.tail...)
	dst = t.pad(dst, n)
	return append(dst, eventEnd...)
}

// pad obfuscates the size of a chunk with n bytes of text.
func (t *ChatTurn) pad(dst []byte, n int) []byte {
	if !t.opt.Obfuscate {
		return dst
	}
	return appendPadding(dst, &t.prng, n)
}

// lose reports a loss once for each rule and path.
func (t *ChatTurn) lose(rule Rule, path, detail string) {
	if t.opt.Losses != nil {
		t.opt.Losses.once(rule, path, detail)
	}
}
