package proxy

import (
	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/schema"
)

// attempt is a request as it goes to one upstream, and what that has lost. Whatever
// changes it (another upstream, a capability that was learned, a full context, an answer
// that does not have its format) is kept here, and rebuild makes the request of all of
// it. So nothing that was changed for one reason is forgotten when it is changed for
// another.
type attempt struct {
	backend *backend
	dialect *translate.Dialect // of the backend for this request, with what was learned; never changed in place
	chat    translate.ChatOptions
	check   *schema.Schema // against which the answer is held before the client gets to see it, or nil

	// wire is the request: room for a head, then the body. It is empty before the first
	// rebuild, and when a stream has given its memory away.
	wire       []byte
	amendments []amendment
	shortened  int // how many of them make it shorter
	losses     translate.Losses

	unstreamed bool // it does not ask for a stream, though the client does

	lessons []translate.Fact // what refusals of the request have taught, and is to be remembered if it helps
	changes int              // how often the request was changed by lessons
}

// amendment is a change of a request beyond its translation. It appends the changed
// body to dst, or returns nil if there is nothing to change. It is used again whenever
// the request is rebuilt.
type amendment func(dst, body []byte, losses *translate.Losses) []byte

// rebuild makes the request, for the backend and the dialect of the attempt.
func (x *exchange) rebuild() *translate.Error {
	amendments := x.amendments
	x.amendments = x.amendments[:0]
	x.losses.Reset()
	x.losses.Entries = append(x.losses.Entries, x.earlier...)
	if err := x.caller().build(); err != nil {
		return err
	}
	if x.server.cfg.Loss == config.LossStrict && !x.chat.Summarize {
		if err := x.losses.Refusal(); err != nil {
			return err
		}
	}
	for _, a := range amendments {
		x.amend(a)
	}
	return nil
}

// amend changes the request, and reports whether there was anything to change.
func (x *exchange) amend(a amendment) bool {
	dst := append(grow(x.parts, len(x.wire)+len(x.wire)/8+1<<10), x.server.headRoom[:]...)
	amended := a(dst, x.wireBody(), &x.losses)
	if amended == nil {
		x.parts = dst
		return false
	}
	x.parts, x.wire = x.wire, amended
	x.amendments = append(x.amendments, a)
	return true
}

// built makes sure that the request is there: a stream may have given it away.
func (x *exchange) built() *translate.Error {
	if len(x.wire) > 0 {
		return nil
	}
	return x.rebuild()
}

// wireBody is the body of the request.
func (x *exchange) wireBody() []byte { return x.wire[len(x.server.headRoom):] }

// begin makes the attempt one at a backend, in a dialect. The memory for the request
// stays.
func (a *attempt) begin(b *backend, d *translate.Dialect) {
	*a = attempt{backend: b, dialect: d, chat: a.chat, wire: a.wire[:0]}
}

// caller is the API of the client, and how its request is sent.
type caller interface {
	// build translates the request into x.wire.
	build() *translate.Error
	// ask sends the request once.
	ask() outcome
	// shortens reports whether the request may be made shorter if the context is full.
	shortens() bool
}

// caller is the API of the client.
func (x *exchange) caller() caller {
	if x.front != nil {
		return x.front
	}
	return responsesCaller{x}
}

// responsesCaller is a client that speaks Responses.
type responsesCaller struct{ *exchange }

func (c responsesCaller) build() (err *translate.Error) {
	x := c.exchange
	if x.backend.cfg.API == config.APIResponses { // it gets the items themselves
		return x.toOwnResponses()
	}
	if x.chat.Dialect != x.dialect { // what the request continues was translated for another
		if id := x.req.PreviousResponseID(); id != "" {
			x.chat.History, err = x.server.history(x, id)
		} else if id := x.req.ConversationID(); id != "" {
			x.chat.History, err = x.server.conversationHistory(x, id, x.conversation)
		}
		if err != nil {
			return err
		}
	}
	return x.toChat()
}

func (c responsesCaller) ask() outcome {
	return c.sendOnce(c.composeRequest(c.req.Stream && !c.unstreamed))
}

func (c responsesCaller) shortens() bool { return c.req.TruncateAuto || c.chat.Summarize }
