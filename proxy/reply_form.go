package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// replyForm is the form of a reply: what its first bytes are decides, because not every
// upstream does what it was asked for, and some of them, or what is in between, name
// the type of the content wrongly.
type replyForm uint8

const (
	formUnknown replyForm = iota // not enough of it has come
	formEvents                   // server-sent events
	formWhole                    // one object, or a page that is no answer at all
)

// formOf is the form of a reply that begins with first.
func formOf(h *fasthttp.ResponseHeader, first []byte) replyForm {
	first = bytes.TrimLeft(first, " \t\r\n")
	const mark = "\xef\xbb\xbf" // of byte order
	if len(first) < len(mark) && mark[:len(first)] == string(first) {
		return formUnknown
	}
	first = bytes.TrimLeft(bytes.TrimPrefix(first, []byte(mark)), " \t\r\n")
	if len(first) == 0 {
		return formUnknown
	}
	events := isEventStream(h)
	switch first[0] {
	case '<':
		return formWhole
	case '{', '[':
		if !events && !hasType(h, "application/x-ndjson") && !hasType(h, "application/ndjson") && !hasType(h, "application/jsonl") {
			return formWhole
		}
		return formEvents // an error in a line of its own, as servers do that stumble
	case ':':
		return formEvents
	}
	for _, field := range [...]string{"data:", "event:", "id:", "retry:"} {
		switch {
		case bytes.HasPrefix(first, []byte(field)):
			return formEvents
		case len(first) < len(field) && field[:len(first)] == string(first):
			return formUnknown
		}
	}
	if hasType(h, "application/json") || hasType(h, "text/html") {
		return formWhole
	}
	return formEvents
}

// isEventStream reports whether a reply says that it is a stream of events.
func isEventStream(h *fasthttp.ResponseHeader) bool { return hasType(h, "text/event-stream") }

// hasType reports whether a reply says that its content is of that type, which is in
// small letters.
func hasType(h *fasthttp.ResponseHeader, name string) bool {
	kind := h.ContentType()
	return len(kind) >= len(name) && bytes.EqualFold(kind[:len(name)], []byte(name))
}

// feedWhole takes in the whole body of a reply that begins like JSON. There may be
// several objects in it, each in lines of its own, or a marker after the only one.
func (x *exchange) feedWhole(in *inbound, body []byte) {
	switch in.reader.(type) {
	case *gatherer, *storedReader: // which take it as it is
		x.feedMessage(in, body)
		return
	}
	if isOneText(body) {
		x.feedMessage(in, body)
		return
	}
	if x.feedEvents(in, body); !in.reader.Fed() {
		x.endOfEvents(in)
	}
}

// isOneText reports whether body is clearly a single JSON object, as nearly every whole
// reply is: it has no line ends inside, so that nothing can follow it.
func isOneText(body []byte) bool {
	body = bytes.TrimRight(body, " \r\n")
	return len(body) == 0 || body[0] == '{' && body[len(body)-1] == '}' && bytes.IndexByte(body, '\n') < 0
}
