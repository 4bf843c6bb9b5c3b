package proxy

import (
	"bytes"
	"errors"

	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// A reply of an upstream with the whole Responses API passes through as it is. An
// error that comes with status 200 in place of a response (a whole reply, or the first
// event of a stream) is none: the beginning of the reply is looked at before the
// client gets anything of it, and such an error gets the status that it should have had.
// Another upstream may answer then. A response that has begun is the upstream's, which
// may keep it: what becomes of it is for the client to hear, also if it fails at once.

// maxPeek bounds how much of a reply waits until it is known what it is.
const maxPeek = 16 << 10

// inBandInPassing looks whether the reply with status 200 that is to be passed on is an
// in-band error. What was read of it for that is in x.replyStart.
func (x *exchange) inBandInPassing() *translate.Error {
	x.replyStart, x.replyErr = x.replyStart[:0], nil
	if len(x.up.Header.ContentEncoding()) > 0 {
		return nil
	}
	first := x.peekBody
	if isEventStream(&x.up.Header) {
		first = x.peekEvent
	}
	data := first()
	if data == nil || translate.ReadResponsesRefusal(data) != translate.RefusalInPlace {
		return nil
	}
	return translate.UpstreamError(0, data).Redacted(x.server.redactText) // it came without a status
}

// peek reads on, and reports whether there is more to come. An upstream that is silent
// for as long as clients are to wait for a keep-alive is not waited for.
func (x *exchange) peek() (piece []byte, more bool) {
	wait := x.backend.cfg.Timeouts.Idle.Std()
	if beat := x.server.cfg.Stream.Heartbeat.Std(); beat > 0 {
		wait = min(wait, beat)
	}
	p, err := x.up.Read(wait)
	x.replyStart = append(x.replyStart, p...)
	if !errors.Is(err, upstream.ErrTimeout) {
		x.replyErr = err
	}
	return p, err == nil && len(x.replyStart) < maxPeek
}

// peekEvent is the data of the first event, or nil.
func (x *exchange) peekEvent() []byte {
	x.in.begin(&x.up, nil)
	defer x.in.events.Reset()
	for {
		p, more := x.peek()
		x.in.events.Feed(p)
		for e, ok := x.in.events.Next(); ok; e, ok = x.in.events.Next() {
			switch {
			case bytes.HasPrefix(e.Data, []byte(`{"type":"response.`)): // a response, as it begins nearly always
				return nil
			case len(bytes.TrimSpace(e.Data)) > 0:
				return bytes.Clone(e.Data)
			}
		}
		if !more {
			return nil
		}
	}
}

// peekBody is the whole reply if it could be an error, or nil.
func (x *exchange) peekBody() []byte {
	for more := true; more; {
		_, more = x.peek()
		if bytes.Contains(x.replyStart, []byte(`"output"`)) {
			return nil
		}
	}
	if !x.up.Ended() {
		return nil
	}
	return x.replyStart
}

// readPassing reads on in a reply that is passed on.
func (x *exchange) readPassing() ([]byte, error) {
	if len(x.replyStart) > 0 {
		p := x.replyStart
		x.replyStart = x.replyStart[:0]
		return p, nil
	}
	if x.replyErr != nil {
		return nil, x.replyErr
	}
	return x.up.Read(x.backend.cfg.Timeouts.Idle.Std())
}
