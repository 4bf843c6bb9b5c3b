package proxy

import (
	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/schema"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// Where the backend cannot be held to text.format, or is not trusted to keep it,
// the answer is held back until it was checked (translate.Request.CheckedFormat).
// One that does not hold goes back to the backend once, with what is wrong; if
// the next does not hold either, the response fails. A client never gets to see
// text that turns out to be invalid. In the meantime a stream only has its first
// two events, and comments as keep-alives: the events that are held have their
// numbers already, so that no event can go before them.

// maxRepairs is how often a backend is asked for a better answer.
const maxRepairs = 1

// prepareCheck settles against what the answer has to be held, for the dialect
// that the request was translated for.
func (x *exchange) prepareCheck() *translate.Error {
	x.check = nil
	format := x.req.CheckedFormat(x.dialect)
	if format == nil || x.backend.cfg.API == config.APIResponses {
		return nil
	}
	check, err := schema.Parse(format)
	if err != nil {
		return clientError(400, "invalid_json_schema", "text.format.schema", "Invalid schema for response_format: "+err.Error()+".")
	}
	x.check = check
	return nil
}

// releaseRequest gives the memory of the request to the upstream back, unless it
// may have to be sent again.
func (x *exchange) releaseRequest() {
	if x.check == nil && !x.mayAskCallAgain() {
		x.wire = lend(x.wire)
	}
	x.parts = lend(x.parts)
}

// settle checks the answer of a turn that has ended, and has another one taken in if
// it does not hold.
func (x *exchange) settle() error {
	check := x.check
	for try := 0; ; try++ {
		answer, ok := x.turn.Answer()
		if !ok {
			break
		}
		problem := check.Check(answer)
		if problem == "" {
			break
		}
		x.up.Close(true)
		x.held, x.out = x.held[:0], x.out[:0]
		x.turn.Restart()
		if try == maxRepairs {
			x.errText = "the answer does not have the format that was asked for"
			x.out = x.turn.Abort(x.out, translate.Unfit(problem))
			break
		}
		if err := x.repair(answer, problem); err != nil {
			x.out = x.turn.Abort(x.out, err)
			break
		}
		if err := x.take(); err != nil {
			return err
		}
	}
	x.letGo()
	return nil
}

// letGo puts the events that were held before those in x.out.
func (x *exchange) letGo() {
	if x.holding {
		x.holding = false
		x.held = append(x.held, x.out...)
		x.held, x.out = x.out[:0], x.held
	}
}

// repair asks the same upstream for a better answer. A stream that waits for it gets
// keep-alives.
func (x *exchange) repair(answer []byte, problem string) *translate.Error {
	x.keepCandidates(nobody)
	return x.alive(func() *translate.Error {
		if err := x.built(); err != nil {
			return err
		}
		x.amend(func(dst, body []byte, losses *translate.Losses) []byte {
			return translate.AppendFormatRepair(dst, body, answer, problem, losses)
		})
		return x.send()
	})
}

// takeChecked is take for a stream whose answer is held until it was checked.
func (x *exchange) takeChecked() error {
	if err := x.flush(); err != nil {
		return err
	}
	x.holding = true
	if err := x.take(); err != nil {
		return err
	}
	return x.settle()
}

// passHeld writes a keep-alive past the events that are held.
func (x *exchange) passHeld() error {
	x.held = append(x.held, x.out...)
	x.out = sse.AppendComment(x.out[:0], "keep-alive")
	x.holding = false
	err := x.flush()
	x.holding = true
	return err
}

// hold keeps what would be written. What is held is bounded like the reply.
func (x *exchange) hold() {
	x.held = append(x.held, x.out...)
	x.out = x.out[:0]
	if most := int(x.backend.cfg.MaxResponseBytes); len(x.held) > 2*most && !x.turn.Ended() {
		x.outcome = metrics.OutcomeFailed
		x.held = x.turn.Abort(x.held, proxyError(502, "The upstream's reply is larger than this server is configured to hold."))
	}
}
