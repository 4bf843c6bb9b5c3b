package proxy

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Chat clients in front of a backend that speaks Responses: the mirror of
// create.go and stream.go. Nothing of it is stored.

// chatFront is what an exchange needs for that, beside what it has anyway.
type chatFront struct {
	req     translate.ChatRequest
	choices translate.ChatChoices
	replies []*choiceReply // by choice; those after the first have an exchange of their own

	x      *exchange
	scope  keptScope                                 // of x.backend; empty until something is asked for
	lookup func(key []byte) *translate.KeptReasoning // giveKept, made once
	given  []string                                  // keys of what was given to the upstream of what is kept

	refusedBy *backend          // the upstream that has refused that
	misplaced *misplacedRequest // the request came to the wrong place
}

// choiceReply is the upstream's reply for one choice, and what takes it in.
type choiceReply struct {
	inbound
	*translate.ChatTurn
	front *chatFront
	own   upstream.Exchange
	err   error // of the request
}

// Feed implements replyReader.
func (r *choiceReply) Feed(dst, name, data []byte) []byte {
	return r.end(r.ChatTurn.Feed(dst, name, data))
}

// FeedLast implements replyReader.
func (r *choiceReply) FeedLast(dst, name, data []byte) []byte {
	return r.end(r.ChatTurn.FeedLast(dst, name, data))
}

// FeedMessage implements replyReader.
func (r *choiceReply) FeedMessage(dst, body []byte) []byte {
	return r.end(r.ChatTurn.FeedMessage(dst, body))
}

// Finish implements replyReader.
func (r *choiceReply) Finish(dst []byte) []byte { return r.end(r.ChatTurn.Finish(dst)) }

// Abort implements replyReader.
func (r *choiceReply) Abort(dst []byte, err *translate.Error) []byte {
	return r.end(r.ChatTurn.Abort(dst, err))
}

// end says the end of a choice that has ended, where it is not the end of all.
func (r *choiceReply) end(dst []byte) []byte {
	if r.front.req.N > 1 && r.Ended() {
		return r.Terminal(dst)
	}
	return dst
}

// Again implements retryReader, for the only choice.
func (r *choiceReply) Again(*translate.Dialect) { r.front.choices.Reset(r.front.x.chatTurnOptions()) }

// Fed implements replyReader.
func (r *choiceReply) Fed() bool { return r.Ended() }

// Finishing implements replyReader: what ends a response has its count of tokens.
func (r *choiceReply) Finishing() bool { return false }

var chatFronts = sync.Pool{New: func() any {
	f := new(chatFront)
	f.lookup = f.giveKept
	return f
}}

// keptScope is where the reasoning is kept that this client, backend and model
// have in common.
func (f *chatFront) keptScope() *keptScope {
	if f.scope.keptReasoning == nil {
		f.scope = f.x.server.kept.in(f.x.tenant, f.x.backend.name, f.req.Model())
	}
	return &f.scope
}

// prepareChat reads and translates the chat request in x.body for a backend that
// speaks Responses.
func (x *exchange) prepareChat() *translate.Error {
	if x.front == nil {
		x.front = chatFronts.Get().(*chatFront) // the pool's only type
	}
	x.front.x = x
	x.route = metrics.RouteChat
	if err := x.roomForBody(len(x.body)); err != nil {
		return err
	}
	if err := x.front.req.Parse(x.body, x.server.requestLimits); err != nil {
		return err
	}
	x.dialect = x.server.dialectFor(x.backend, x.front.req.Model(), x.start)
	return x.rebuild()
}

// leaveChat forgets that the request was translated: it is passed on after all.
func (x *exchange) leaveChat() {
	x.front.recycle()
	x.front, x.recording, x.up.Tap = nil, nil, nil
	x.route = metrics.RoutePassthrough
}

// answerChat answers POST /chat/completions from a backend that speaks Responses,
// for which the request is prepared, or with err.
func (s *Server) answerChat(x *exchange, err *translate.Error) (streaming bool) {
	f := x.front
	if err == nil {
		if err = x.send(); err == nil && f.passes() {
			x.leaveChat()
			return x.passBody(chatPath)
		}
	}
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		x.gone()
		return false
	case err != nil:
		x.respondError(x.ctx, err)
		return false
	}
	x.reportLosses()
	x.passHeaders()
	x.entropy(x.seed[:])
	f.choices.Reset(x.chatTurnOptions())
	if !f.req.Stream {
		x.wholeChat()
		return false
	}
	h := &x.ctx.Response.Header
	h.SetContentType("text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	x.streaming = true
	s.metrics.Streams.Add(1)
	x.wire, x.parts = lend(x.wire), lend(x.parts)
	_ = x.ctx.SetWriteDeadline(time.Now().Add(s.cfg.Limits.WriteTimeout.Std()))
	x.ctx.SetBodyStream(chatReply{x}, -1)
	return true
}

// chatTurnOptions are those of the turns that answer the chat request.
func (x *exchange) chatTurnOptions() translate.ChatTurnOptions {
	f, s := x.front, x.server
	return translate.ChatTurnOptions{
		Request:   &f.req,
		Dialect:   x.dialect,
		Seed:      x.seed,
		Created:   x.start.Unix(),
		Events:    f.req.Stream,
		Reasoning: s.cfg.Stream.ChatReasoning,
		FinalOnly: !s.cfg.Stream.ChatCommentary,
		Obfuscate: f.req.HasObfuscation && f.req.Obfuscation && s.cfg.Stream.Obfuscation != config.ObfuscationNever ||
			s.cfg.Stream.Obfuscation == config.ObfuscationAlways && (!f.req.HasObfuscation || f.req.Obfuscation),
		MaxBytes: int(x.backend.cfg.MaxResponseBytes),
		Losses:   &x.losses,
		Redact:   s.redactText,
	}
}

// build implements caller. A request that another upstream takes as it is needs no
// translation.
func (f *chatFront) build() (err *translate.Error) {
	x := f.x
	f.given = f.given[:0]
	if f.passes() {
		return nil
	}
	if f.misplaced != nil {
		return x.toMisplaced()
	}
	f.scope = keptScope{}
	x.wire = append(grow(x.wire, headReserve+len(x.body)+len(x.body)/4), x.server.headRoom[:]...)
	x.wire, err = f.req.AppendResponses(x.wire, translate.ResponsesOptions{
		Dialect: x.dialect, Model: x.backend.modelName(f.req.Model()), Losses: &x.losses,
		KeepReasoning: x.dialect.Responses.EncryptedReasoning,
		Kept:          f.lookup,
		NamePrefix:    x.backend.cfg.NamePrefix,
		Summary:       x.backend.cfg.ReasoningSummary.Asks(),
	})
	if f.refusedBy == x.backend {
		translate.NoteKeptRefused(&x.losses)
	}
	return err
}

// shortens implements caller: chat clients have no way to ask for it.
func (f *chatFront) shortens() bool { return false }

// ask implements caller: it sends a request for each choice, all at once, and waits for
// the heads of all replies. Another upstream may be asked if none of them has been
// answered.
func (f *chatFront) ask() (o outcome) {
	x := f.x
	if f.passes() {
		return o
	}
	n := f.req.N
	for len(f.replies) < n {
		f.replies = append(f.replies, &choiceReply{})
	}
	head, stream := x.backend.responsesHead, f.req.Stream || x.dialect.Responses.StreamOnly
	if x.backend.cfg.API != config.APIResponses { // of a misplaced request
		head, stream = x.backend.chatHead, f.req.Stream
	}
	wire := x.composeTo(head, stream)
	x.tap()
	f.send(n, wire)
	x.firstByte = time.Since(x.start)
	if f.replies[0].err == nil {
		x.see()
	}
	o.retryable = true
	for i, r := range f.replies[:n] {
		x.attempts += r.up.Attempts
		status := 0
		if r.err == nil {
			status = r.up.Header.StatusCode()
		}
		if !x.noteReply(r.err, status) {
			o.retryable = false
		}
		switch {
		case o.err != nil:
		case r.err != nil:
			if !errors.Is(x.up.Cancelled(), errClientGone) {
				x.errText = r.err.Error()
			}
			o.err = upstreamFailure(r.err)
		case status != fasthttp.StatusOK:
			o.status = status
			o.body, _ = r.up.ReadAtMost(nil, maxErrorBody, time.Now().Add(errorTime))
			if i == 0 {
				x.passHeaders()
			}
			o.err = translate.ChatUpstreamError(status, o.body, &f.req).Redacted(x.server.redactText)
		}
	}
	if o.err == nil {
		x.errText = ""
		return outcome{}
	}
	f.close()
	return o
}

// send sends the request for each of n choices, and waits for the heads of the
// replies.
func (f *chatFront) send(n int, wire []byte) {
	x := f.x
	f.replies[0].up = &x.up
	if n == 1 {
		f.replies[0].err = x.up.Do(x.backend.client, wire, nil)
		return
	}
	var others sync.WaitGroup
	for _, r := range f.replies[1:n] {
		r.up, r.own.Decode = &r.own, true
		others.Go(func() { r.err = r.up.Do(x.backend.client, wire, nil) })
	}
	f.replies[0].err = x.up.Do(x.backend.client, wire, nil)
	if x.up.Cancelled() != nil {
		f.cancel(x.up.Cancelled())
	}
	others.Wait()
}

// cancel ends the exchanges with the upstream that the client's leaving does not.
func (f *chatFront) cancel(cause error) {
	for _, r := range f.replies {
		if r.up == &r.own {
			r.own.Cancel(cause)
		}
	}
}

// close gives the connections back.
func (f *chatFront) close() {
	for _, r := range f.replies {
		if r.up != nil {
			r.up.Close(true)
		}
	}
}

// recycle empties the front and puts it back.
func (f *chatFront) recycle() {
	for _, r := range f.replies {
		if r.up == &r.own {
			r.own.Close(false)
			r.own.Reset()
		}
		r.inbound.recycle()
		r.front, r.err = nil, nil
	}
	f.x, f.scope, f.misplaced, f.refusedBy = nil, keptScope{}, nil, nil
	chatFronts.Put(f)
}

// carry feeds the replies to their turns until all have ended. An error says that the
// client has left.
func (x *exchange) carry() error {
	f := x.front
	for i, r := range f.replies[:f.req.N] {
		r.front, r.ChatTurn = f, f.choices.Turn(i)
		r.begin(r.up, r)
	}
	if f.req.N > 1 {
		src := f.together(x.backend.cfg.Timeouts.Idle.Std())
		defer src.end()
		return x.pump(src)
	}
	if f.misplaced != nil && x.backend.cfg.API != config.APIResponses {
		return x.takeReply(&f.replies[0].inbound, x.misplacedReplyOf(f.replies[0]))
	}
	return x.takeReply(&f.replies[0].inbound, f.replies[0])
}

// settleChat keeps what has to be given back with the next request, and counts.
func (x *exchange) settleChat() {
	f, s := x.front, x.server
	for i := range f.req.N {
		turn := f.choices.Turn(i)
		for _, k := range turn.Kept() {
			f.keptScope().put(&k)
		}
		if in, out, ok := turn.Tokens(); ok {
			s.metrics.InputTokens.Add(in)
			s.metrics.OutputTokens.Add(out)
			x.spend(in + out)
		}
	}
	if e := f.choices.Failed(); e != nil {
		x.outcome = metrics.OutcomeFailed
		x.noteError(e)
		return
	}
	x.accepted()
}

// wholeChat answers with the completion as one object.
func (x *exchange) wholeChat() {
	err := x.carry()
	f := x.front
	f.close()
	if err != nil {
		x.gone()
		return
	}
	x.settleChat()
	x.reportLosses()
	if e := f.choices.Failed(); e != nil {
		x.respondError(x.ctx, e)
		return
	}
	x.out = f.choices.Completion(x.out[:0])
	if x.kept != nil {
		x.parts, _ = translate.AppendWithID(x.parts[:0], x.out, x.kept.id)
		x.out = append(x.out[:0], x.parts...)
		x.storeChat(bytes.Clone(x.out))
	}
	x.ctx.Response.Header.SetContentType("application/json")
	x.bytesOut += int64(len(x.out))
	x.out = x.ctx.Response.SwapBody(x.out)
}

// chatReply is a stream of chunks on its way to the client.
type chatReply struct{ *exchange }

// WriteTo writes the stream.
func (r chatReply) WriteTo(w io.Writer) (n int64, err error) {
	x := r.exchange
	defer func() {
		if p := recover(); p != nil {
			x.server.contain(x, p)
			err = errStop
		}
		n = x.bytesOut
	}()
	x.http.streamSink = streamSink{x, w}
	x.sink = &x.http.chatSink
	if x.kept != nil {
		x.sink = &x.http
	}
	x.out = x.out[:0]
	err = x.carry()
	f := x.front
	if err == nil {
		err = x.flush()
	}
	if err == nil {
		x.settleChat()
		x.out = x.lossComment(x.out)
		err = x.flush()
	}
	if err == nil {
		x.out = f.choices.Terminal(x.out)
		err = x.flush()
	}
	if err != nil {
		f.cancel(errClientGone)
		x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
		return 0, err
	}
	f.close()
	return 0, nil
}
