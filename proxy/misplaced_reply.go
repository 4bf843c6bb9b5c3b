package proxy

import (
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// A Responses request that came to /chat/completions (chat_misplaced.go) is answered by
// way of chatFront, which makes chat completions of responses, where that matters:
//
//   - A backend that speaks Responses gets the request as it is.
//   - A chat backend gets its translation. If that shows custom tools as functions, its
//     reply becomes a response, in which they are custom tools, and that a completion.
//
// Other chat backends answer themselves, as if the client had sent the translation.

// misplacedRequest is such a request.
type misplacedRequest struct {
	body    []byte // as the client has sent it; the exchange's is its translation
	history *translate.History
}

// answersMisplaced makes the misplaced request in x.req one that chatFront answers, if it
// matters. What is in x.body from then on is what reads the reply goes by.
func (x *exchange) answersMisplaced(history *translate.History) (dialect *translate.Dialect, ok bool) {
	if x.backend.cfg.API != config.APIResponses && !x.req.CustomTools() {
		return x.dialect, false
	}
	x.front = chatFronts.Get().(*chatFront) // the pool's only type
	x.front.x, x.front.misplaced = x, &misplacedRequest{x.body, history}
	x.chat.History = history
	face := *x.dialect
	face.Tools.Custom = translate.CustomNative
	return &face, true
}

// passes reports whether the upstream answers the request itself, as it stands in the
// exchange.
func (f *chatFront) passes() bool {
	return f.x.backend.passes(chatPath) && (f.misplaced == nil || !f.x.req.CustomTools())
}

// toMisplaced translates the misplaced request for the upstream, into x.wire.
func (x *exchange) toMisplaced() (err *translate.Error) {
	f := x.front
	m := f.misplaced
	f.req.Misplaced = true
	switch {
	case x.backend.wholeResponses():
		body := x.backend.renameModel(m.body)
		x.wire = append(grow(x.wire, headReserve+len(body)), x.server.headRoom[:]...)
		x.wire = append(x.wire, body...)
		return nil
	case x.backend.cfg.API == config.APIResponses:
		return x.toOwnResponses()
	}
	x.wire = append(grow(x.wire, headReserve+len(m.body)+len(m.body)/4), x.server.headRoom[:]...)
	x.wire, err = x.req.AppendChat(x.wire, translate.ChatOptions{
		Dialect: x.dialect, Model: x.backend.modelName(x.req.Model()), History: m.history, Losses: &x.losses, Sealer: x,
		Upstream: x.backend.name, Fetched: x.fetchRemote(), Misplaced: true,
	})
	return err
}

// misplacedReply takes in the reply of a chat backend to a misplaced request: it makes a
// response of it, which the choice makes a completion of.
type misplacedReply struct {
	*choiceReply
	turn   translate.Turn
	events sse.Decoder
	buf    []byte // events of the response
}

// misplacedReplyOf is the reader for the only reply to a misplaced request.
func (x *exchange) misplacedReplyOf(r *choiceReply) retryReader {
	m := &misplacedReply{choiceReply: r}
	m.start(x.dialect)
	return m
}

func (m *misplacedReply) start(d *translate.Dialect) {
	x := m.front.x
	m.turn.Reset(translate.TurnOptions{
		Request: &x.req, Dialect: d, Upstream: x.backend.name, Seed: x.seed, Created: x.start.Unix(), Events: true,
		MaxBytes: int(x.backend.cfg.MaxResponseBytes), Losses: &x.losses,
	})
	m.events.Reset()
	m.buf = m.turn.Begin(m.buf[:0])
}

// Again implements retryReader.
func (m *misplacedReply) Again(d *translate.Dialect) {
	m.choiceReply.Again(d)
	m.start(d)
}

// pass gives the events of the response to the choice.
func (m *misplacedReply) pass(dst []byte) []byte {
	if m.turn.Ended() {
		m.buf = m.turn.Terminal(m.buf, time.Now().Unix(), false, false)
	}
	m.events.Feed(m.buf)
	m.buf = m.buf[:0]
	for e, ok := m.events.Next(); ok; e, ok = m.events.Next() {
		dst = m.choiceReply.Feed(dst, e.Name, e.Data)
	}
	return dst
}

func (m *misplacedReply) Feed(dst, _, data []byte) []byte {
	m.buf = m.turn.Feed(m.buf, data)
	return m.pass(dst)
}

func (m *misplacedReply) FeedLast(dst, _, data []byte) []byte {
	m.buf = m.turn.FeedLast(m.buf, data)
	return m.pass(dst)
}

func (m *misplacedReply) FeedMessage(dst, body []byte) []byte {
	m.buf = m.turn.FeedMessage(m.buf, body)
	return m.pass(dst)
}

func (m *misplacedReply) Finish(dst []byte) []byte {
	m.buf = m.turn.Finish(m.buf)
	return m.pass(dst)
}

func (m *misplacedReply) Abort(dst []byte, err *translate.Error) []byte {
	return m.choiceReply.Abort(dst, err)
}

func (m *misplacedReply) Fed() bool            { return m.choiceReply.Fed() }
func (m *misplacedReply) Finishing() bool      { return m.turn.Finishing() }
func (m *misplacedReply) Silent() bool         { return m.turn.Silent() }
func (m *misplacedReply) Swap(d *jsonx.Memory) { m.turn.Swap(d) }
