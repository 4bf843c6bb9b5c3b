package proxy

import (
	"errors"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Some backends answer with an error in-band, with status 200: it is the whole reply
// (MiniMax), or the first event of a stream, once the router in between has found
// somebody to ask (OpenRouter). As long as nothing of an answer has been said, such an
// error is like any other: it may teach something, a full context may be made to fit,
// and another upstream may be asked. The client's stream may have begun by then; it has
// been told nothing that another reply could contradict.
//
// Backends that speak Responses do it with an error in place of a response, with the
// event "error", or with a response that fails before it has an item: that comes first,
// or after response.created and response.in_progress, which the client has not been
// given as they are.
//
// Requests for several choices are not sent again: their replies come at the same time.

// retryReader is a replyReader that can begin again.
type retryReader interface {
	replyReader
	// Again starts over for another reply, in that dialect. What the client was told
	// stays.
	Again(d *translate.Dialect)
}

// takeReply takes in the reply that x.up has, and another one in place of an in-band
// error. An error says that the client has left.
func (x *exchange) takeReply(in *inbound, reader retryReader) error {
	for {
		in.begin(&x.up, reader)
		if err := x.pump(in); err != nil {
			return err
		}
		if len(in.inBand) == 0 {
			if reader.Failure() == nil || !reader.Silent() {
				x.accepted()
			}
			return nil
		}
		if err := x.flush(); err != nil {
			return err
		}
		o := x.inBandFailure(reader.Failure(), in.inBand)
		x.up.Close(true)
		x.keepTurn()
		reader.Again(x.dialect) // keep-alives are the turn's to make
		failure := x.alive(func() *translate.Error { return x.sendAfter(o) })
		switch {
		case errors.Is(x.up.Cancelled(), errClientGone):
			return errStop
		case failure != nil:
			x.out = reader.Abort(x.out, failure)
			return nil
		}
		reader.Again(x.dialect)
	}
}

// noteInBand looks whether what has just ended a reply is an error in place of an
// answer.
func (x *exchange) noteInBand(in *inbound, body []byte) {
	failure := in.reader.Failure() // a full context may be said by the word for the end, too
	if failure != nil && in.reader.Silent() && (failure.ContextOverflow() && failure.Origin == translate.OriginUpstream || x.isInBandError(body)) {
		in.inBand = append(in.inBand[:0], body...)
	}
}

// isInBandError reports whether body, a whole reply with status 200 or the data of an
// event, is an error of the upstream's API.
func (x *exchange) isInBandError(body []byte) bool {
	if x.backend.cfg.API == config.APIResponses {
		return translate.ReadResponsesRefusal(body) != translate.NoRefusal
	}
	return translate.IsRefusal(body)
}

// inBandFailure is the outcome of a request that was answered with such an error.
func (x *exchange) inBandFailure(e *translate.Error, body []byte) outcome {
	o := outcome{err: e, status: e.Status, body: body, retryable: x.noteReply(nil, e.Status)}
	if o.status == 502 { // it does not say which
		o.status = 400
	}
	return o
}
