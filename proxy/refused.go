package proxy

import (
	"errors"
	"io"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Some backends refuse a request with status 200: the error is the whole reply
// (MiniMax), or the first event of a stream, once the router in between has found
// somebody to ask (OpenRouter). As long as nothing of an answer has been said, such
// a refusal is like any other: it may teach something, a full context may be made to
// fit, and another upstream may be asked. The client's stream may have begun by
// then; it has not been told anything that another reply could contradict.
//
// Backends that speak Responses do it with an error in place of a response, with the
// event "error", or with a response that fails before it has an item: that comes first,
// or after response.created and response.in_progress, which the client has not been
// given as they are.

// noteInBand looks whether what has just ended a reply is an error in place of an
// answer.
func (x *exchange) noteInBand(in *inbound, body []byte) {
	if in.reader.Failure() != nil && in.reader.Silent() && x.refuses(body) {
		in.inBand = append(in.inBand[:0], body...)
	}
}

// refuses reports whether body, a whole reply with status 200 or the data of an event,
// is an error of the upstream's API.
func (x *exchange) refuses(body []byte) bool {
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

// askRefused asks again for a reply, if the turn has ended in a refusal. w is where
// keep-alives go, or nil. again says that there is another reply to take in; if
// there is none the turn has ended.
func (x *exchange) askRefused(w io.Writer) (again bool, err error) {
	if len(x.in.inBand) == 0 {
		if x.turn.Failure() == nil || !x.turn.Silent() {
			x.accepted()
		}
		return false, nil
	}
	if w != nil {
		if err := x.flush(w); err != nil {
			return false, err
		}
	}
	o := x.inBandFailure(x.turn.Failure(), x.in.inBand)
	x.up.Close(true)
	x.keepTurn()
	x.reader.Again(x.dialect)
	failure := x.alive(w, func() *translate.Error { return x.sendAfter(o) })
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone) && w != nil:
		return false, errStop
	case errors.Is(x.up.Cancelled(), errClientGone):
		return false, errClientGone
	case failure != nil:
		x.out = x.reader.Abort(x.out, failure)
		return false, nil
	}
	x.reader.Again(x.dialect)
	return true, nil
}
