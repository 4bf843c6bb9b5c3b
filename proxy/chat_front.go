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
	"github.com/antiphon-proxy/antiphon/translate/sse"
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
	lookup func(key []byte) *translate.KeptReasoning // keptFor, made once
}

// choiceReply is the upstream's reply for one choice.
type choiceReply struct {
	up     *upstream.Exchange
	own    upstream.Exchange
	err    error // of the request
	events sse.Reply

	refusal []byte // what the upstream has said instead of an answer, with status 200
}

var chatFronts = sync.Pool{New: func() any {
	f := new(chatFront)
	f.lookup = func(key []byte) *translate.KeptReasoning { return f.keptScope().get(key) }
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
	x.front.x, x.front.scope = x, keptScope{}
	x.route = metrics.RouteChat
	if err := x.front.req.Parse(x.body, x.server.requestLimits); err != nil {
		return err
	}
	x.dialect = x.server.dialectFor(x.backend, x.front.req.Model(), x.start)
	return x.toResponses()
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
	for err == nil {
		var elsewhere bool
		if elsewhere, err = x.askResponses(); err == nil || !elsewhere {
			break
		}
		ok, refused := x.standIn(func() *translate.Error {
			if x.backend.passes(chatPath) {
				return nil
			}
			return x.prepareChat()
		})
		switch {
		case !ok:
			err = unreplaced(err, refused)
		case x.backend.passes(chatPath):
			x.leaveChat()
			return x.passBody(chatPath)
		default:
			err = nil
			continue
		}
		break
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
	}
}

// toResponses translates the request for the backend, into x.wire.
func (x *exchange) toResponses() (err *translate.Error) {
	f, s := x.front, x.server
	model := f.req.Model()
	x.wire = append(grow(x.wire, headReserve+len(x.body)+len(x.body)/4), s.headRoom[:]...)
	x.wire, err = f.req.AppendResponses(x.wire, translate.ResponsesOptions{
		Dialect: x.dialect, Model: x.backend.modelName(model), Losses: &x.losses,
		KeepReasoning: x.dialect.Responses.EncryptedReasoning,
		Kept:          f.lookup,
		NamePrefix:    x.backend.cfg.NamePrefix,
	})
	if err == nil && s.cfg.Loss == config.LossStrict {
		err = x.losses.Refusal()
	}
	return err
}

// askResponses sends a request for each choice, all at once, and waits for the
// heads of all replies. elsewhere says that another upstream may be asked: none of
// the requests has been answered. From a refusal the dialect may learn, and then
// the same upstream is asked again.
func (x *exchange) askResponses() (elsewhere bool, e *translate.Error) {
	f := x.front
	n := f.req.N
	for len(f.replies) < n {
		f.replies = append(f.replies, &choiceReply{})
	}
	wire := x.composeTo(x.backend.responsesHead, f.req.Stream)
	x.tap()
	f.send(n, wire)
	x.firstByte = time.Since(x.start)
	if f.replies[0].err == nil {
		x.see()
	}
	elsewhere, again := true, false
	for i, r := range f.replies[:n] {
		x.attempts += r.up.Attempts
		status := 0
		if r.err == nil {
			status = r.up.Header.StatusCode()
		}
		if !x.noteReply(r.err, status) {
			elsewhere = false
		}
		switch {
		case e != nil:
		case r.err != nil:
			if !errors.Is(x.up.Cancelled(), errClientGone) {
				x.errText = r.err.Error()
			}
			e = upstreamFailure(r.err)
		case status != fasthttp.StatusOK:
			body, _ := readAtMost(r.up, maxErrorBody, time.Now().Add(10*time.Second))
			if i == 0 {
				x.passHeaders()
			}
			e = translate.ChatUpstreamError(status, body, &f.req)
			again = x.learn(status, body)
		}
	}
	if e == nil {
		x.errText = ""
		return false, nil
	}
	f.close()
	if again && x.up.Cancelled() == nil {
		x.losses.Reset()
		if err := x.toResponses(); err != nil {
			return false, err
		}
		return x.askResponses()
	}
	return elsewhere, e
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
		r.up = &r.own
		others.Go(func() { r.err = r.up.Do(x.backend.client, wire, nil) })
	}
	f.replies[0].err = x.up.Do(x.backend.client, wire, nil)
	if x.up.Cancelled() != nil {
		f.cancel(x.up.Cancelled())
	}
	others.Wait()
}

// maxErrorBody bounds what is read of an upstream's error.
const maxErrorBody = 64 << 10

// readAtMost reads a reply to its end, but no more than so much, for so long.
func readAtMost(up *upstream.Exchange, most int, end time.Time) (body []byte, err error) {
	for len(body) < most {
		var p []byte
		p, err = up.Read(max(time.Until(end), time.Millisecond))
		body = append(body, p...)
		if err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return body, err
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
		r.up = nil
		r.events.Reset()
		r.refusal, r.err = release(r.refusal), nil
	}
	f.x, f.scope = nil, keptScope{}
	chatFronts.Put(f)
}

// piece is what one of the replies has brought.
type piece struct {
	choice int
	data   []byte
	err    error
}

// carry feeds the replies to their turns until all have ended. out is called
// after each piece, with the chunks in x.out; an error of it ends the whole. w is
// where signs of life go, or nil.
func (x *exchange) carry(w io.Writer, out func() error) error {
	f := x.front
	for again := f.req.N == 1; again; {
		err := x.carryOne(out)
		if err == nil {
			again, err = x.askChatRefused(w)
		}
		if err != nil {
			return err
		}
		if !again {
			return out()
		}
	}
	pieces := make(chan piece)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	defer readers.Wait()
	defer close(stop)
	idle := x.backend.cfg.Timeouts.Idle.Std()
	for i, r := range f.replies[:f.req.N] {
		readers.Go(func() {
			for {
				p, err := r.up.Read(idle)
				select {
				case pieces <- piece{i, append([]byte(nil), p...), err}:
				case <-stop:
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	watch := time.NewTicker(250 * time.Millisecond) // the client's leaving shows in the first exchange only
	defer watch.Stop()
	beat := time.Now()
	for !f.choices.Ended() {
		select {
		case p := <-pieces:
			x.feedChoice(p.choice, p.data, p.err)
			if len(x.out) > 0 {
				beat = time.Now()
			}
		case <-watch.C:
			if every := x.server.cfg.Stream.Heartbeat.Std(); every > 0 && f.req.Stream && time.Since(beat) >= every {
				beat = time.Now()
				x.server.metrics.Heartbeats.Add(1)
				x.out = sse.AppendComment(x.out, "keep-alive")
			}
		}
		err := x.up.Cancelled()
		if errors.Is(err, errClientGone) {
			f.cancel(err)
			return errStop
		}
		if err != nil {
			f.cancel(err)
			x.abortChoices(err)
		}
		if err := out(); err != nil {
			f.cancel(errClientGone)
			return err
		}
	}
	f.cancel(errStop) // what is still being read is not wanted any more
	return nil
}

func (x *exchange) carryOne(out func() error) error {
	turn, cfg := x.front.choices.Turn(0), &x.server.cfg
	idle, beat := x.backend.cfg.Timeouts.Idle.Std(), cfg.Stream.Heartbeat.Std()
	last := time.Now()
	for !turn.Ended() {
		wait := idle
		if beat > 0 && beat < wait && x.front.req.Stream {
			wait = beat
		}
		if !x.up.More() {
			if err := out(); err != nil {
				return err
			}
			x.rest()
		}
		p, err := x.up.Read(wait)
		if errors.Is(err, upstream.ErrTimeout) && x.up.Cancelled() == nil && time.Since(last) < idle {
			x.server.metrics.Heartbeats.Add(1)
			x.out = sse.AppendComment(x.out, "keep-alive")
			continue
		}
		if errors.Is(err, errClientGone) {
			return errStop
		}
		last = time.Now()
		x.feedChoice(0, p, err)
		if len(x.out) >= flushAt {
			if err := out(); err != nil {
				return err
			}
		}
	}
	return out()
}

// feedChoice takes in a piece of the reply for one choice, or its end.
func (x *exchange) feedChoice(i int, data []byte, err error) {
	f := x.front
	r, turn := f.replies[i], f.choices.Turn(i)
	if turn.Ended() {
		return
	}
	x.wake(chunkRoom(data))
	r.events.Feed(data)
	for e, ok := r.events.Next(); ok && !turn.Ended(); e, ok = r.events.Next() {
		if x.out = turn.Feed(x.out, e.Name, e.Data); turn.Ended() {
			x.seeChoiceRefusal(r, turn, e.Data)
		}
	}
	if len(x.lessons) > 0 && !turn.Silent() {
		x.accepted()
	}
	switch {
	case turn.Ended():
	case r.events.Err() != nil:
		x.errText = r.events.Err().Error()
		x.out = turn.Abort(x.out, &translate.Error{
			Status: 502, Type: translate.TypeServer, Code: "server_error", Origin: translate.OriginUpstream,
			Message: "The upstream sent an event that is larger than this server takes.",
		})
	case errors.Is(err, io.EOF):
		switch e, ok := r.events.Finish(); {
		case ok && e.Whole:
			x.out = turn.FeedMessage(x.out, e.Data)
			x.seeChoiceRefusal(r, turn, e.Data)
			r.up.Close(true)
		case ok:
			x.out = turn.FeedLast(x.out, e.Name, e.Data)
			x.seeChoiceRefusal(r, turn, e.Data)
		}
		x.out = turn.Finish(x.out)
	case err != nil:
		x.errText = err.Error()
		x.out = turn.Abort(x.out, upstreamFailure(err))
	}
	x.endChoice(turn)
}

// endChoice says the end of a choice that has ended, where it is not the end of
// all.
func (x *exchange) endChoice(turn *translate.ChatTurn) {
	if x.front.req.N > 1 && turn.Ended() {
		x.out = turn.Terminal(x.out)
	}
}

func (x *exchange) abortChoices(err error) {
	x.errText = err.Error()
	for i := range x.front.req.N {
		x.out = x.front.choices.Turn(i).Abort(x.out, upstreamFailure(err))
	}
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
	err := x.carry(nil, func() error { x.out = x.out[:0]; return nil })
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
	err = x.carry(w, func() error { x.keepChunks(); return x.flush(w) })
	f := x.front
	if err == nil {
		x.settleChat()
		if x.out = x.lossComment(x.out); x.kept != nil {
			err = x.flush(w)
		}
		x.out = f.choices.Terminal(x.out)
		x.keepChunks()
		if err == nil {
			err = x.flush(w)
		}
	}
	if err != nil {
		f.cancel(errClientGone)
		x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
		return 0, err
	}
	f.close()
	return 0, nil
}
