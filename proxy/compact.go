package proxy

import (
	"strconv"
	"time"

	"antiphon/config"
	"antiphon/proxy/seal"
	"antiphon/translate"
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

// summary is a summary that was made, and what it took.
type summary struct {
	turn   translate.Turn // that made it
	plain  []byte         // what is in the envelope
	sealed []byte         // the envelope
}

// maxSummaryTruncations bounds how often what is to be summarized is made shorter
// because it is more than the upstream's context.
const maxSummaryTruncations = 4

// summarize lets the upstream write a summary of the request, and seals it.
// What x.wire held is gone after it.
func (x *exchange) summarize(history *translate.History, keep translate.Keep) (*summary, *translate.Error) {
	s := x.server
	losses := x.losses // those of the request itself
	x.losses = translate.Losses{}
	stream, truncate := x.req.Stream, x.req.TruncateAuto
	x.req.Stream, x.req.TruncateAuto = false, true
	defer func() {
		x.losses = losses
		x.req.Stream, x.req.TruncateAuto = stream, truncate
	}()
	if err := x.toChat(translate.ChatOptions{History: history, Summarize: true}); err != nil {
		return nil, err
	}
	if err := x.send(); err != nil {
		return nil, err
	}
	x.passHeaders()
	body, err := x.readReply()
	if err != nil {
		x.errText = err.Error()
		return nil, upstreamFailure(err)
	}
	sum := new(summary)
	sum.turn.Reset(translate.TurnOptions{
		Request: &x.req, Dialect: x.dialect, Created: x.start.Unix(), MaxBytes: int(x.backend.cfg.MaxResponseBytes),
		Losses: new(translate.Losses),
	})
	if isEventStream(&x.up.Header) {
		x.events.Feed(body)
		for e, ok := x.events.Next(); ok; e, ok = x.events.Next() {
			sum.turn.Feed(nil, e.Data)
		}
		sum.turn.Finish(nil)
		x.events.Reset()
	} else {
		sum.turn.FeedMessage(nil, body)
	}
	x.up.Close(true)
	if failure := sum.turn.Failure(); failure != nil {
		return nil, failure
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
	if sum.sealed, err = s.sealer.Seal(nil, x.tenant, seal.Compaction, sum.plain); err != nil {
		x.errText = err.Error()
		return nil, proxyError(503, "The summary of the conversation cannot be sealed now. Try again in a moment.")
	}
	return sum, nil
}

// compactFirst compacts the context before the answer, if the client wants that:
// by a compaction_trigger, or because the context has grown over the threshold of
// context_management. It leaves the shorter request in x.wire.
func (x *exchange) compactFirst() *translate.Error {
	history, losses := x.chat.History, x.losses
	if x.req.Triggered() {
		sum, err := x.summarize(history, translate.KeepAll)
		x.summary = sum
		return err
	}
	threshold := x.req.CompactThreshold()
	if threshold == 0 || !x.req.Compactable(history) || x.contextTokens(threshold) <= threshold {
		return nil
	}
	sum, err := x.summarize(history, translate.KeepLast)
	if err == nil {
		err = x.req.Compacted(sum.plain)
	}
	if err != nil {
		return err
	}
	x.summary = sum
	losses.Reset()
	x.losses = losses
	if err := x.toChat(translate.ChatOptions{History: history}); err != nil {
		return err
	}
	if x.server.cfg.Loss == config.LossStrict {
		return x.losses.Refusal()
	}
	return nil
}

// contextTokens is how many tokens the request in x.wire takes. The upstream's
// tokenizer is only asked where an estimate could be on the wrong side of bound.
func (x *exchange) contextTokens(bound int64) int64 {
	n := translate.EstimateTokens(x.chatBody())
	if len(x.backend.tokenizerHeads) > 0 && n > bound/2 && n < 2*bound {
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
func (x *exchange) compactsOnly() bool { return x.summary != nil && x.req.Triggered() }

// compact answers POST /responses/compact: the user's messages as they are, and
// one compaction item for all the rest. Nothing is stored.
func (s *Server) compact(x *exchange, _ string) bool {
	out, err := x.compactRequest()
	switch {
	case x.up.Cancelled() == errClientGone:
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
	if err := x.admit(); err != nil {
		return nil, err
	}
	if err := x.readBody(); err != nil {
		return nil, err
	}
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
