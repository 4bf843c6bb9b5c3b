package proxy

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
)

// maxLossHeader bounds the antiphon-loss header.
const maxLossHeader = 1024

// reportLosses tells the client what its request has lost on the way.
func (x *exchange) reportLosses() {
	x.reported = append(x.reported[:0], x.losses.Entries...)
	if x.losses.Empty() || x.server.cfg.Loss == config.LossAllow {
		return
	}
	x.head = x.losses.AppendHeader(x.head[:0], maxLossHeader)
	x.reply.SetBytesV("Antiphon-Loss", x.head)
}

// headReserve is the room before a request body for its head.
const headReserve = 2 << 10

// composeRequest writes the head of the request to the upstream right before the
// body in x.wire, so that both go out in one write, and returns the two.
func (x *exchange) composeRequest(stream bool) []byte {
	if x.backend.cfg.API == config.APIResponses {
		return x.composeTo(x.backend.responsesHead, stream)
	}
	return x.composeTo(x.backend.chatHead, stream)
}

// composeTo is composeRequest for a head, and a stream or not.
func (x *exchange) composeTo(head []byte, stream bool) []byte {
	room := len(x.server.headRoom)
	body := len(x.wire) - room
	x.up.Decode = true
	h := append(x.head[:0], head...)
	if stream {
		h = append(h, "Accept: text/event-stream\r\n"...)
	} else {
		h = append(h, "Accept: application/json\r\n"...)
	}
	h = x.passCredential(h)
	h = append(h, "X-Request-Id: "...)
	h = append(h, x.requestID...)
	h = append(h, "\r\nContent-Length: "...)
	h = strconv.AppendInt(h, int64(body), 10)
	h = append(h, "\r\n\r\n"...)
	x.head = h
	if len(h) > room { // unusually long
		return append(h, x.wire[room:]...)
	}
	from := room - len(h)
	copy(x.wire[from:], h)
	return x.wire[from:]
}

// passCredential appends the client's credential, where it is the upstream's to
// see, and the headers that go with every request.
func (x *exchange) passCredential(h []byte) []byte {
	names := passedUp[:]
	if x.backend.ownKey || x.server.keys.Load() != nil {
		names = names[credentialHeaders:]
	}
	var seen [len(passedUp)]bool // of several with one name the first counts, as for whose request it is
	for k, v := range x.header.All() {
		for i, name := range names {
			if string(k) != name {
				continue
			}
			if !seen[i] && len(v) > 0 && !(len(x.backend.overridden) > 0 && x.backend.overridden[strings.ToLower(name)]) {
				h = append(h, name...)
				h = append(h, ": "...)
				h = append(h, v...)
				h = append(h, "\r\n"...)
			}
			seen[i] = true
			break
		}
	}
	return h
}

// passedUp are the client's headers that go to the upstream with a translated
// request, in canonical form, the credentials first. Others are about the request
// that the client made, which is not the one that the upstream gets: some would
// change what it does (llama.cpp keeps generating for a client that has left when
// there is an X-Conversation-Id).
var passedUp = [...]string{
	"Authorization", "Api-Key", // the latter from Azure's clients
	"Openai-Organization", "Openai-Project", "Traceparent", "Tracestate",
}

const credentialHeaders = 2

// passHeaders gives the client what the upstream says about rates and retries.
func (x *exchange) passHeaders() {
	for k, v := range x.up.Header.All() {
		switch {
		case bytes.HasPrefix(k, []byte("X-Ratelimit-")) && x.quota == nil: // else the client's own limits are there
		case string(k) == "Openai-Organization":
		case string(k) == "Retry-After", string(k) == "Retry-After-Ms", string(k) == "X-Should-Retry":
		default:
			continue
		}
		x.reply.SetBytesKV(k, x.server.redact.JSON(v))
	}
}

// sayTime tells the client how long its answer has taken up to the head of the
// reply, where the live API says so and SDKs show it. What is passed through has
// the upstream's word, or none.
func (x *exchange) sayTime() {
	if x.route == metrics.RoutePassthrough || x.route == metrics.RouteOther {
		return
	}
	h := &x.ctx.Response.Header
	if len(h.Peek("Openai-Processing-Ms")) > 0 {
		return
	}
	x.head = strconv.AppendInt(x.head[:0], time.Since(x.start).Milliseconds(), 10)
	h.SetBytesV("Openai-Processing-Ms", x.head)
	h.Set("Openai-Version", apiVersion)
}

// apiVersion is what the live API calls itself.
const apiVersion = "2020-10-01"

// hopByHop are headers about one connection, not about the exchange.
func hopByHop(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect":
		return true
	}
	return false
}

// namedInConnection reports whether a Connection header names another header as
// being about the connection only.
func namedInConnection(connection, name []byte) bool {
	for part := range bytes.SplitSeq(connection, []byte{','}) {
		if bytes.EqualFold(bytes.TrimSpace(part), name) {
			return true
		}
	}
	return false
}
