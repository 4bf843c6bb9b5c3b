package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// What a reply of an upstream is, is decided by its first bytes (sse.Reply), not by its
// Content-Type: gateways call streams application/json, JSON text/event-stream, and
// leave the type out. Every path reads replies through sse.Reply, so that a client that
// asked for a stream gets one of a whole reply, and the other way round.

// feedReply takes in the upstream's whole reply, for a client that did not ask for a
// stream.
func (x *exchange) feedReply(body []byte) {
	if isOneText(body) {
		x.reader.FeedMessage(nil, body)
		x.seeRefusal(body)
		return
	}
	x.feedPiece(body)
	x.out = x.out[:0]
	if !x.turn.Fed() {
		x.endOfEvents()
		x.out = x.out[:0]
	}
}

// isOneText reports whether body is clearly a single JSON object, as nearly every whole
// reply is: it has no line ends inside, so that nothing can follow it.
func isOneText(body []byte) bool {
	body = bytes.TrimRight(body, " \r\n")
	return len(body) > 1 && body[0] == '{' && body[len(body)-1] == '}' && bytes.IndexByte(body, '\n') < 0
}

// isEventStream reports whether a reply is one of server-sent events: by the beginning of
// its body, or by its head if that says nothing.
func isEventStream(h *fasthttp.ResponseHeader, beginning []byte) bool {
	beginning = bytes.TrimLeft(beginning, " \t\r\n\xef\xbb\xbf")
	for _, name := range [...]string{"data:", "event:", "id:", "retry:", ":"} {
		if bytes.HasPrefix(beginning, []byte(name)) {
			return true
		}
	}
	if len(beginning) > 0 && (beginning[0] == '{' || beginning[0] == '[' || beginning[0] == '<') {
		return false
	}
	kind := h.ContentType()
	const events = "text/event-stream"
	return len(kind) >= len(events) && bytes.EqualFold(kind[:len(events)], []byte(events))
}
