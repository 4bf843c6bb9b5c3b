package proxy

import (
	"errors"
	"io"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// A custom tool's input that does not match the tool's grammar is asked for once
// more, where upstream.grammar says so: see translate.Turn.Rejected. The request
// is the first one, which goes on with the call and with what is wrong with it.
// Whatever goes wrong, the client gets the first attempt, and a report of it.

// grammar is what the turn does about grammars.
func (x *exchange) grammar() translate.GrammarPolicy {
	if x.backend.cfg.API == config.APIResponses {
		return translate.GrammarFree // it has custom tools itself
	}
	switch x.backend.cfg.Grammar {
	case config.GrammarReport:
		return translate.GrammarReport
	case config.GrammarRepair:
		return translate.GrammarRepair
	case config.GrammarOff:
	}
	return translate.GrammarFree
}

// mayAskCallAgain reports whether the turn may come to wait for a call.
func (x *exchange) mayAskCallAgain() bool {
	return x.grammar() == translate.GrammarRepair && x.req.ChecksInput(x.dialect)
}

// askCallAgain asks for the call for which the turn waits, if it does. w is where
// keep-alives go, or nil. An error says that the client has left.
func (x *exchange) askCallAgain(w io.Writer) error {
	rejected, ok := x.turn.Rejected()
	if !ok {
		return nil
	}
	if w != nil {
		if err := x.flush(w); err != nil {
			return err
		}
	}
	x.up.Close(true)
	room := append(grow(x.parts, len(x.wire)+len(rejected.Input)+1<<10), x.server.headRoom[:]...)
	again, ok := translate.AppendRepair(room, x.chatBody(), x.dialect, rejected)
	if !ok {
		x.parts = room
		x.out = x.turn.Repaired(x.out, nil)
		return nil
	}
	x.parts, x.wire = x.wire, again
	var reply []byte
	err := x.alive(w, func() (e *translate.Error) {
		reply, e = x.askWhole()
		return e
	})
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone) && w != nil:
		return errStop
	case errors.Is(x.up.Cancelled(), errClientGone):
		return errClientGone
	case err != nil:
		reply = nil
	}
	x.out = x.turn.Repaired(x.out, reply)
	return nil
}

// askWhole sends the request in x.wire, and reads the whole reply. It is asked
// once, and of the same upstream: there is an answer already.
func (x *exchange) askWhole() ([]byte, *translate.Error) {
	x.tap()
	err := x.up.Do(x.backend.client, x.composeTo(x.backend.chatHead, false), nil)
	x.attempts += x.up.Attempts
	if err != nil {
		x.noteReply(err, 0)
		return nil, upstreamFailure(err)
	}
	status := x.up.Header.StatusCode()
	x.noteReply(nil, status)
	if status != 200 {
		return nil, x.readError()
	}
	return x.readReply()
}
