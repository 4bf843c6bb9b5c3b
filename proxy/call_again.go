package proxy

import (
	"errors"

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

// askCallAgain asks for the call for which the turn waits, if it does. An error says
// that the client has left.
func (x *exchange) askCallAgain() error {
	rejected, ok := x.turn.Rejected()
	if !ok {
		return nil
	}
	if err := x.flush(); err != nil {
		return err
	}
	x.up.Close(true)
	x.keepCandidates(nobody)
	main := x.losses // what is lost on this way is not lost of the answer that there is
	x.losses = translate.Losses{}
	var reply []byte
	err := x.alive(func() (e *translate.Error) {
		reply, e = x.askCall(rejected)
		return e
	})
	x.losses = main
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		return errStop
	case err != nil:
		reply = nil
	}
	x.out = x.turn.Repaired(x.out, reply)
	return nil
}

// askCall asks for the rejected call again, and returns the whole reply; nil if the
// request has no place for that.
func (x *exchange) askCall(rejected translate.Rejected) ([]byte, *translate.Error) {
	if err := x.built(); err != nil {
		return nil, err
	}
	ok := x.amend(func(dst, body []byte, _ *translate.Losses) []byte {
		again, ok := translate.AppendRepair(dst, body, x.dialect, rejected)
		if !ok {
			return nil
		}
		return again
	})
	if !ok {
		return nil, nil
	}
	x.unstreamed = true
	if err := x.send(); err != nil {
		return nil, err
	}
	return x.readReply()
}
