package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/translate"
)

// create answers POST /responses.
func (s *Server) create(x *exchange, _ string) (streaming bool) {
	err := x.admit()
	if err == nil {
		err = x.readBody()
	}
	if err == nil && s.passesResponses(x) {
		return s.passResponses(x, responsesPath)
	}
	if err == nil {
		err = x.prepare()
	}
	return s.answerPrepared(x, err)
}

// answerPrepared answers POST /responses with what comes of the prepared request,
// or with err.
func (s *Server) answerPrepared(x *exchange, err *translate.Error) (streaming bool) {
	if err == nil && x.req.Background {
		return s.accept(x)
	}
	if err == nil {
		err = x.ask()
	}
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		x.gone()
	case err != nil:
		x.respondError(x.ctx, err)
	case x.req.Stream:
		x.stream()
		return true
	default:
		x.whole()
	}
	return false
}

func (s *Server) obfuscates(r *translate.Request) bool {
	switch s.cfg.Stream.Obfuscation {
	case config.ObfuscationAlways:
		return !r.HasObfuscation || r.Obfuscation
	case config.ObfuscationNever:
		return false
	}
	return r.HasObfuscation && r.Obfuscation
}

// prepare checks and translates the request in x.body, up to the body for the
// upstream in x.wire.
func (x *exchange) prepare() *translate.Error {
	s := x.server
	if x.local != nil && s.memory.full() { // others were asked at the door
		return s.memory.spent(memoryRequest)
	}
	if err := x.roomForBody(len(x.body)); err != nil { // what goes to the upstream is as long
		return err
	}
	if err := x.req.Parse(x.body, s.requestLimits); err != nil {
		return err
	}
	if err := x.allowed(); err != nil {
		return err
	}
	x.routeTo(x.req.Model(), x.req.PromptCacheKey())
	history, err := x.recall(true)
	if err != nil {
		return err
	}
	if err := x.req.EmptyInput(); err != nil && !x.mayBeEmpty {
		return err
	}
	x.chat = translate.ChatOptions{Dialect: x.dialect, History: history, Unsent: x.mayBeEmpty}
	return x.rebuild()
}

// allowed refuses a model that the client's key is not for.
func (x *exchange) allowed() *translate.Error {
	if model := x.req.Model(); model != "" && !x.grant.Allows(model) {
		return clientError(400, "model_not_found", "model", "The requested model '"+clip(model)+"' does not exist.")
	}
	return nil
}

// recall finds what the request refers to in the store: the responses or the
// conversation that it continues, and the items that stand for references. With
// enter the request takes a place in its conversation.
func (x *exchange) recall(enter bool) (history *translate.History, err *translate.Error) {
	s := x.server
	if id := x.req.PreviousResponseID(); id != "" {
		if history, err = s.history(x, id); err != nil {
			return nil, err
		}
	}
	conversation := x.req.ConversationID()
	if conversation != "" {
		if history, err = s.conversationFor(x, conversation, enter); err != nil {
			return nil, err
		}
	}
	if ids := x.req.References(); ids != nil {
		items, err := s.references(x, ids, conversation, x.req.ReferencePath)
		if err != nil {
			return nil, err
		}
		if err := x.req.Resolve(items); err != nil {
			return nil, err
		}
	}
	if conversation != "" {
		if err := s.checkConversationIDs(x, conversation); err != nil {
			return nil, err
		}
	}
	return history, x.req.OpenCompactions(compactions{x})
}

// toChat translates the request for a chat backend, into x.wire.
func (x *exchange) toChat() (err *translate.Error) {
	opt := &x.chat
	opt.Dialect, opt.Model, opt.Losses, opt.Sealer = x.dialect, x.backend.modelName(x.req.Model()), &x.losses, x
	if opt.Fetched == nil {
		opt.Fetched = x.fetchRemote()
	}
	// Chat messages say the same in fewer bytes, but for tools, whose schemas
	// are wrapped once more.
	x.wire = append(grow(x.wire, headReserve+len(x.body)+len(x.body)/8+opt.History.Bytes()), x.server.headRoom[:]...)
	if x.wire, err = x.req.AppendChat(x.wire, *opt); err != nil {
		return err
	}
	return x.prepareCheck()
}

// readAll reads the request's body as it is into x.body.
func (x *exchange) readAll(limit int64) *translate.Error {
	ctx := x.ctx
	length := int64(ctx.Request.Header.ContentLength())
	if length > limit {
		x.refuseBody()
		return errBodyTooLarge(limit)
	}
	body := append(grow(x.body, int(min(max(length, 0), 1<<20))), x.peeked...)
	stream := ctx.RequestBodyStream()
	if stream == nil {
		x.body = append(body, ctx.Request.Body()...)
		x.bytesIn = int64(len(x.body))
		return nil
	}
	r := x.beginUpload(stream, false)
	for {
		if len(body) == cap(body) {
			if int64(len(body)) == length {
				break
			}
			size := 2 * max(len(body), 512)
			if length >= int64(len(body)) { // no more than was announced, and with few copies
				size = int(min(int64(8*len(body)), length))
			}
			if err := x.roomForBody(size); err != nil {
				x.refuseBody()
				x.body = body
				return err
			}
			more := grow(nil, size)
			more = append(more, body...)
			release(body)
			body = more
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if int64(len(body)) > limit {
			x.refuseBody()
			x.body = body
			return errBodyTooLarge(limit)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			x.body = body
			ctx.SetConnectionClose()
			return errBodyCutOff(err)
		}
	}
	x.body = body
	x.bytesIn = int64(len(body))
	return nil
}

// ask sends the translated request, and when there is a reply worth reading
// begins the turn that it makes. A client that has left shows in x.up.Cancelled.
func (x *exchange) ask() *translate.Error {
	x.compacts = x.mustCompact()
	if x.compacts != "" && x.req.Stream { // the stream begins, and run goes on from there
		x.keepTurn()
		x.reportLosses()
		x.beginTurn()
		return nil
	}
	if err := x.askUpstream(); err != nil {
		return err
	}
	x.reportLosses()
	x.passHeaders()
	x.beginTurn()
	return nil
}

// askUpstream sends the request, and before it the one for a summary if the
// context is to be compacted.
func (x *exchange) askUpstream() *translate.Error {
	if x.compacts != "" {
		if err := x.compactFirst(); err != nil || x.compactsOnly() {
			return err
		}
	}
	return x.send()
}

// beginTurn makes the turn ready. What was known before, as for a response that
// has waited for its turn, stays as it is.
func (x *exchange) beginTurn() {
	s := x.server
	created := x.created
	if !x.seeded {
		x.entropy(x.seed[:])
		created = x.start
	}
	x.turnUsed = true
	opt := translate.TurnOptions{
		Sealer:        x,
		Upstream:      x.backend.name,
		Request:       &x.req,
		Dialect:       x.dialect,
		Seed:          x.seed,
		Created:       created.Unix(),
		Queued:        x.seeded,
		Events:        x.req.Stream,
		MaxBytes:      int(x.backend.cfg.MaxResponseBytes),
		Spiller:       x,
		OpenResponses: s.cfg.Stream.OpenResponsesNames,
		Obfuscate:     s.obfuscates(&x.req),
		Losses:        &x.losses,
		Compacts:      x.compacts != "",
		Compaction:    x.compaction(),
		Checked:       x.check != nil,
		Grammar:       x.grammar(),
		Redact:        s.redactText,
	}
	if x.backend.cfg.API == config.APIResponses {
		if x.mend == nil {
			x.mend = responsesTurns.Get().(*translate.ResponsesTurn) // the pool's only type
		}
		x.mend.Reset(opt, true)
		x.turn, x.reader = &x.mend.Turn, x.mend
		return
	}
	x.ownTurn.Reset(opt)
	x.turn, x.reader = &x.ownTurn, chatReader{&x.ownTurn}
}

// keepTurn leaves those upstreams that the turn which is about to begin can read.
func (x *exchange) keepTurn() {
	api := x.backend.cfg.API
	x.keepCandidates(func(b *backend) bool { return b.cfg.API == api })
}

// maxErrorBody bounds what is read of an upstream's error, and errorTime for how long:
// it may come in drops.
const (
	maxErrorBody = 64 << 10
	errorTime    = 10 * time.Second
)

// readError reads an error of the upstream.
func (x *exchange) readError() *translate.Error {
	x.passHeaders()
	x.parts, _ = x.up.ReadAtMost(x.parts[:0], maxErrorBody, time.Now().Add(errorTime))
	x.parts = x.server.redact.JSON(x.parts)
	e := translate.UpstreamError(x.up.Header.StatusCode(), x.parts)
	x.up.Close(true)
	return e
}

// whole answers with the response as one object.
func (x *exchange) whole() {
	if x.compactsOnly() {
		x.turn.FinishWith(nil, x.summary.turn)
	} else if !x.wholeReply() {
		return
	}
	x.notice()
	x.reportLosses()
	x.out = x.commit(x.out[:0])
	x.countTurn()
	ctx := x.ctx
	ctx.Response.Header.SetContentType("application/json")
	x.bytesOut += int64(len(x.out))
	// The response takes our buffer and gives its own: nothing is copied.
	x.out = ctx.Response.SwapBody(x.out)
}

// wholeReply feeds the turn with the upstream's whole reply, or answers why that
// cannot be.
func (x *exchange) wholeReply() (ok bool) {
	switch err := x.readWhole(); {
	case err != nil, errors.Is(x.up.Cancelled(), errClientGone):
		x.gone()
		return false
	}
	if failure := x.turn.Failure(); failure != nil {
		x.respondError(x.ctx, failure)
		return false
	}
	return true
}

// readWhole reads the upstream's whole reply, and ends the turn with it.
func (x *exchange) readWhole() error {
	err := x.take()
	if err == nil && x.check != nil {
		err = x.settle()
	}
	if err != nil {
		return err
	}
	x.up.Close(true)
	return nil
}

// countTurn notes how the response went.
func (x *exchange) countTurn() {
	switch x.turn.Status() {
	case "incomplete":
		x.outcome = metrics.OutcomeIncomplete
	case "failed":
		x.outcome = metrics.OutcomeFailed
		x.noteError(x.turn.Failure())
	}
	if in, out, ok := x.turn.Tokens(); ok {
		x.server.metrics.InputTokens.Add(in)
		x.server.metrics.OutputTokens.Add(out)
		x.spend(in + out)
	}
}

// gone notes that the client has left. Nobody reads what is answered now.
func (x *exchange) gone() {
	x.outcome = metrics.OutcomeClientGone
	x.ctx.SetStatusCode(statusClientGone)
	x.ctx.SetConnectionClose()
	x.client.abort()
}

// statusClientGone is what logs say for a client that left, as with nginx. It
// never goes over the wire.
const statusClientGone = 499

var _ io.Reader = (*exchange)(nil) // fasthttp wants one, though it uses WriteTo
