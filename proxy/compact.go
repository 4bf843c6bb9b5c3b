package proxy

import (
	"errors"
	"strconv"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/translate"
)

// A compaction is a summary that the backend itself writes of a conversation, in
// an envelope that only this deployment opens, for the tenant that it was made
// for. translate/compaction.go says what becomes of it when it comes back.

// compactions opens the envelopes of compaction items.
type compactions struct{ *exchange }

// Open implements translate.Opener.
func (c compactions) Open(dst, sealed []byte) ([]byte, bool) {
	out, err := c.server.sealer.Open(dst, c.tenant, seal.Compaction, sealed)
	return out, err == nil
}

// PassesForeign implements translate.ForeignOpener: a backend with the whole Responses
// API makes compaction items of its own.
func (c compactions) PassesForeign() bool { return c.backend.wholeResponses() }

// summary is a summary that was made, and what it took.
type summary struct {
	turn   *translate.Turn // that made it
	reader turnReader      // and what reads for it
	plain  []byte          // what is in the envelope
	sealed []byte          // the envelope
}

// summarize lets the upstream write a summary of the request, and seals it. A
// client whose stream has begun gets keep-alives meanwhile.
func (x *exchange) summarize(history *translate.History, keep translate.Keep) (*summary, *translate.Error) {
	s := x.server
	main := x.attempt // the request itself
	defer func() {
		main.backend, main.dialect, main.wire = x.backend, x.dialect, x.wire[:0] // who has answered goes on
		x.attempt = main
	}()
	x.attempt.begin(x.backend, x.dialect)
	x.chat = translate.ChatOptions{Dialect: x.dialect, History: history, Summarize: true}
	if err := x.sendAlive(); err != nil {
		return nil, err
	}
	sum := new(summary)
	opt := translate.TurnOptions{
		Request: &x.req, Dialect: x.dialect, Created: x.start.Unix(), MaxBytes: int(x.backend.cfg.MaxResponseBytes),
		Losses: new(translate.Losses),
	}
	if x.backend.cfg.API == config.APIResponses {
		mend := new(translate.ResponsesTurn)
		mend.Reset(opt, true)
		sum.turn, sum.reader = &mend.Turn, mend
	} else {
		sum.turn = new(translate.Turn)
		sum.turn.Reset(opt)
		sum.reader = chatReader{sum.turn}
	}
	if err := x.readSummary(sum); err != nil {
		return nil, err
	}
	text := sum.turn.Text()
	if len(text) == 0 {
		e := proxyError(502, "The upstream gave no summary of the conversation.")
		e.Origin = translate.OriginUpstream
		return nil, e
	}
	if in, out, ok := sum.turn.Tokens(); ok {
		s.metrics.InputTokens.Add(in)
		s.metrics.OutputTokens.Add(out)
		x.spend(in + out)
	}
	s.metrics.Compactions.Add(1)
	sum.plain = translate.AppendCompaction(nil, keep, x.req.Model(), text)
	var err error
	if sum.sealed, err = s.sealer.Seal(nil, x.tenant, seal.Compaction, sum.plain); err != nil {
		x.errText = err.Error()
		return nil, proxyError(503, "The summary of the conversation cannot be sealed now. Try again in a moment.")
	}
	return sum, nil
}

// sendAlive is send, with keep-alives for a client whose stream has begun.
func (x *exchange) sendAlive() *translate.Error { return x.alive(x.send) }

// alive asks the upstream, with keep-alives for a client whose stream has begun.
func (x *exchange) alive(ask func() *translate.Error) *translate.Error {
	beat := x.server.cfg.Stream.Heartbeat.Std()
	if x.sink.keepAlive() == noKeepAlive || beat <= 0 {
		return ask()
	}
	sent := make(chan *translate.Error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				x.server.logFault(x, r)
				sent <- proxyError(500, "This server has made a mistake. It has been logged as request "+string(x.requestID)+".")
			}
		}()
		sent <- ask()
	}()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case err := <-sent:
			return err
		case <-tick.C:
			if x.heartbeat() != nil {
				x.up.Cancel(errClientGone)
				return <-sent
			}
		}
	}
}

// readSummary feeds the upstream's reply to the turn of a summary.
func (x *exchange) readSummary(sum *summary) *translate.Error {
	var in inbound
	if x.takeReply(&in, sum.reader) != nil {
		x.up.Cancel(errClientGone)
		return upstreamFailure(errClientGone)
	}
	x.releaseScratch()
	x.up.Close(true)
	return sum.turn.Failure()
}

// mustCompact says whether the context has to be compacted before the answer, and
// what that leaves: because the client asks for that with a compaction_trigger, or
// because the context has grown over the threshold of context_management.
func (x *exchange) mustCompact() translate.Keep {
	if x.req.Triggered() {
		return translate.KeepAll
	}
	threshold := x.req.CompactThreshold()
	switch {
	case threshold == 0:
		return ""
	case !x.req.Compactable(x.chat.History) || x.contextTokens(threshold) <= threshold:
		return ""
	}
	return translate.KeepLast
}

// compactFirst compacts the context before the answer, and leaves the shorter
// request in x.wire, unless a compaction is all that is asked for.
func (x *exchange) compactFirst() (err *translate.Error) {
	history, translatedFor := x.chat.History, x.chat.Dialect
	if x.summary, err = x.summarize(history, x.compacts); err != nil || x.compactsOnly() {
		return err
	}
	if err := x.req.Compacted(x.summary.plain); err != nil {
		return err
	}
	x.chat = translate.ChatOptions{Dialect: translatedFor, History: history}
	return x.rebuild()
}

// compactInStream compacts the context of a stream that has begun, which says so,
// and sends the request for the answer. What goes wrong ends the turn. An error says
// that the client has left.
func (x *exchange) compactInStream() error {
	if err := x.flush(); err != nil {
		return err
	}
	failure := x.compactFirst()
	if failure == nil {
		x.out = x.turn.CloseCompaction(x.out, x.summary.sealed)
		if err := x.flush(); err != nil {
			return err
		}
		if !x.compactsOnly() {
			failure = x.sendAlive()
		}
	}
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		return errStop
	case failure != nil:
		x.out = x.reader.Abort(x.out, failure)
	}
	return nil
}

// contextTokens is how many tokens the request in x.wire takes. The upstream's
// tokenizer is only asked where an estimate could be on the wrong side of bound.
func (x *exchange) contextTokens(bound int64) int64 {
	n := translate.EstimateTokens(x.wireBody())
	if n > bound/2 && n < 2*bound && x.hasTokenizer() {
		if exact, ok := x.askTokenizer(); ok {
			return exact
		}
	}
	return n
}

// compaction is the envelope for the turn's compaction item, or nil.
func (x *exchange) compaction() []byte {
	if x.summary == nil {
		return nil
	}
	return x.summary.sealed
}

// compactsOnly reports whether a compaction is all that the client has asked for.
func (x *exchange) compactsOnly() bool { return x.compacts != "" && x.req.Triggered() }

// compact answers POST /responses/compact: the user's messages as they are, and
// one compaction item for all the rest. Nothing is stored.
func (s *Server) compact(x *exchange, _ string) (streaming bool) {
	err := x.admit()
	if err == nil {
		err = x.readBody()
	}
	if err == nil && s.passesResponses(x) {
		x.keepCandidates((*backend).wholeResponses)
		return s.passResponses(x, "/responses/compact")
	}
	var out []byte
	if err == nil {
		out, err = x.compactRequest()
	}
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		x.gone()
	case err != nil:
		x.respondError(x.ctx, err)
	default:
		x.reportLosses()
		x.out = out
		x.respondJSON(x.out)
	}
	return false
}

func (x *exchange) compactRequest() ([]byte, *translate.Error) {
	if err := x.req.ParseForm(x.body, translate.FormCompact, x.server.requestLimits); err != nil {
		return nil, err
	}
	if err := x.allowed(); err != nil {
		return nil, err
	}
	x.routeTo(x.req.Model(), x.req.PromptCacheKey())
	x.req.Stream, x.req.Store = false, false
	history, err := x.recall(false)
	if err != nil {
		return nil, err
	}
	if err := x.req.EmptyInput(); err != nil {
		return nil, err
	}
	users, err := x.usersSaid()
	if err != nil {
		return nil, err
	}
	sum, err := x.summarize(history, translate.KeepAll)
	if err != nil {
		return nil, err
	}
	x.entropy(x.seed[:])
	users = append(users, x.req.UserMessages(&x.seed)...)
	out := append(x.out[:0], `{"id":"`...)
	out = append(out, x.seed.ResponseID()...)
	out = append(out, `","object":"response.compaction","created_at":`...)
	out = strconv.AppendInt(out, time.Now().Unix(), 10)
	out = append(out, `,"output":[`...)
	for _, it := range users {
		out = append(out, it.JSON...)
		out = append(out, ',')
	}
	out = append(out, `{"id":"`...)
	out = append(out, x.seed.ItemID("cmp_", len(users))...)
	out = append(out, `","type":"compaction","encrypted_content":"`...)
	out = append(out, sum.sealed...)
	out = append(out, `"}],"usage":`...)
	out = sum.turn.AppendUsage(out)
	return append(out, '}'), nil
}

// usersSaid returns the user's messages of what the request continues.
func (x *exchange) usersSaid() ([]translate.ListedItem, *translate.Error) {
	s := x.server
	if id := x.req.ConversationID(); id != "" {
		items, _, err := s.itemsFrom(x, id, 0)
		if err != nil || items == nil {
			return nil, err
		}
		return translate.UserItems(items, noItems), nil
	}
	id := x.req.PreviousResponseID()
	if id == "" {
		return nil, nil
	}
	chain, err := s.store.Chain(storeContext(), x.tenant, id)
	if err != nil {
		return nil, previousError(id, err)
	}
	var users []translate.ListedItem
	for _, rec := range chain {
		listed, err := translate.AppendListedInput(nil, rec.Input, rec.ID)
		if err != nil {
			return nil, proxyError(500, "A stored response of this conversation cannot be read.")
		}
		own := translate.UserItems(listed, rec.OutputItems())
		if translate.HasCompaction(listed) || translate.HasCompaction(rec.OutputItems()) {
			users = nil // what was said before it is in its summary
		}
		users = append(users, own...)
	}
	return users, nil
}
