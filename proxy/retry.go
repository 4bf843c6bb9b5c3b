package proxy

import (
	"errors"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/translate"
)

// A request is sent again in one loop, send, for whatever reason: another upstream may
// answer for one that is busy or down (failover), a refusal has taught what the upstream
// does not take, the context was full. An error that comes with status 200 (inband.go)
// is treated as if it had come with the status that it should have had.

// outcome is what came of sending a request once.
type outcome struct {
	err    *translate.Error // nil: there is a reply worth reading
	status int              // of the error that the upstream has answered with; 0 if it has not answered
	body   []byte           // of that error
	// retryable says that another upstream may be asked: this one has certainly not done
	// the work.
	retryable bool
}

// send sends the request until there is a reply worth reading. A client that has left
// shows in x.up.Cancelled.
func (x *exchange) send() *translate.Error {
	if err := x.built(); err != nil {
		return err
	}
	for {
		o := x.caller().ask()
		if o.err == nil {
			return nil
		}
		if err := x.retry(&o); err != nil {
			return err
		}
	}
}

// sendAfter is send after a failure that came with status 200.
func (x *exchange) sendAfter(o outcome) *translate.Error {
	if x.built() != nil {
		return o.err
	}
	if err := x.retry(&o); err != nil {
		return err
	}
	return x.send()
}

// retry makes the request ready to be sent once more after a failure: changed for the
// same upstream, or for another one. The error is why it is not sent any more.
func (x *exchange) retry(o *outcome) *translate.Error {
	if x.up.Cancelled() != nil {
		return o.err
	}
	if o.status != 0 {
		if again, err := x.adapt(o); again || err != nil {
			return err
		}
	}
	if !o.retryable {
		return o.err
	}
	ok, refused := x.failover(func() *translate.Error {
		x.dialect = x.server.dialectFor(x.backend, x.model(), x.start)
		return x.rebuild()
	})
	if !ok {
		return unreplaced(o.err, refused)
	}
	return nil
}

// adapt changes the request by what the upstream's error says, if that is a reason to
// ask the same one again. An error is why nobody is to be asked.
func (x *exchange) adapt(o *outcome) (again bool, err *translate.Error) {
	if !o.err.ContextOverflow() {
		if !x.learn(o.status, o.body) {
			return false, nil
		}
		return true, x.rebuild()
	}
	if !x.caller().shortens() || x.shortened >= maxTruncations {
		return false, nil
	}
	overflow := o.err
	ok := x.amend(func(dst, body []byte, losses *translate.Losses) []byte {
		shorter, dropped := translate.Truncate(dst, body, overflow)
		if dropped == 0 {
			return nil
		}
		translate.NoteTruncation(losses, dropped)
		return shorter
	})
	if !ok {
		return false, overflow
	}
	x.shortened++
	x.server.metrics.Truncations.Add(1)
	return true, nil
}

// maxTruncations bounds how often a request is made shorter because the upstream's
// context is full.
const maxTruncations = 4

// failover turns to the next upstream that can be asked for the same, if there is one:
// ready makes the request anew for x.backend, which may speak another API than the one
// before. refused is why the last of them cannot be asked; then everything is as if
// there were none.
func (x *exchange) failover(ready func() *translate.Error) (ok bool, refused *translate.Error) {
	was := x.attempt
	for b := x.next(); b != nil; b = x.next() {
		x.attempt.begin(b, b.base())
		if refused = ready(); refused != nil {
			continue
		}
		x.server.metrics.Fallbacks.Add(1)
		x.warnFailover(was.backend, x.fault)
		// What the one before has said of itself is not true of this one.
		for _, name := range []string{"Retry-After", "Retry-After-Ms", "X-Should-Retry"} {
			x.reply.Del(name)
		}
		if x.quota == nil {
			dropRateLimits(x.reply)
		}
		return true, nil
	}
	was.wire = x.wire[:0]
	x.attempt = was
	return false, refused
}

// next is the upstream that may be asked after the present one, or nil.
func (x *exchange) next() *backend {
	if i := slices.Index(x.candidates, x.backend); i >= 0 && i+1 < len(x.candidates) {
		return x.candidates[i+1]
	}
	return nil
}

// unreplaced is the failure of an upstream for which no other can answer, and why.
func unreplaced(failure, refused *translate.Error) *translate.Error {
	if refused == nil {
		return failure
	}
	e := *failure
	e.Message += " No other upstream can stand in for it: "
	if refused.Code == "previous_response_not_found" || refused.Status == fasthttp.StatusNotFound {
		e.Message += "what the request goes on with is kept by that one. "
	}
	e.Message += refused.Message
	return &e
}

// sendOnce sends a request with x.up, and waits for the head of the reply.
func (x *exchange) sendOnce(request []byte) outcome {
	x.tap()
	err := x.up.Do(x.backend.client, request, nil)
	x.attempts += x.up.Attempts
	if x.up.Attempts > 1 {
		x.server.metrics.UpstreamRetries.Add(1)
	}
	x.firstByte = time.Since(x.start)
	if err != nil {
		if !errors.Is(x.up.Cancelled(), errClientGone) {
			x.errText = err.Error()
		}
		return outcome{err: upstreamFailure(err), retryable: x.noteReply(err, 0)}
	}
	x.see()
	status := x.up.Header.StatusCode()
	o := outcome{status: status, retryable: x.noteReply(nil, status)}
	if status == fasthttp.StatusOK {
		x.errText = ""
		return o
	}
	o.err = x.readError()
	o.body = x.parts
	return o
}
