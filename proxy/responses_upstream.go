package proxy

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"antiphon/config"
	"antiphon/proxy/metrics"
	"antiphon/proxy/store"
	"antiphon/translate"
)

// Responses clients in front of a backend that speaks Responses itself. One that
// has the whole API gets their requests as they are, and keeps their state. Others
// say things by halves and keep nothing: their replies are completed on the way,
// and state is kept here, as for chat backends.

// turnReader takes in what the upstream says: translate.Turn, which reads chat, by
// way of chatReader, or translate.ResponsesTurn.
type turnReader interface {
	Begin(dst []byte) []byte
	Feed(dst, name, data []byte) []byte
	FeedLast(dst, name, data []byte) []byte
	FeedMessage(dst, body []byte) []byte
	Done(dst []byte) []byte
	Finish(dst []byte) []byte
	Abort(dst []byte, err *translate.Error) []byte
}

type chatReader struct{ *translate.Turn }

func (r chatReader) Feed(dst, _, data []byte) []byte     { return r.Turn.Feed(dst, data) }
func (r chatReader) FeedLast(dst, _, data []byte) []byte { return r.Turn.FeedLast(dst, data) }

var responsesTurns = sync.Pool{New: func() any { return new(translate.ResponsesTurn) }}

// passesResponses reports whether a request for a response goes to a backend that
// has the whole API. The body has been read.
func (s *Server) passesResponses(x *exchange) bool {
	if !s.router.responses {
		return false
	}
	x.passByBody()
	x.keepCandidates()
	return x.backend.wholeResponses()
}

// wholeResponses reports whether the backend has the whole Responses API.
func (b *backend) wholeResponses() bool {
	return b.cfg.API == config.APIResponses && b.dialect.Responses.Complete
}

// passResponses passes such a request on.
func (s *Server) passResponses(x *exchange, path string) (streaming bool) {
	if err := x.mayPass(x.body); err != nil {
		err.Status, err.Param = 400, "model" // as this API says it
		x.respondError(x.ctx, err)
		return false
	}
	return x.passBody(path)
}

// keepCandidates leaves those upstreams that can be asked in the same way as the
// first one.
func (x *exchange) keepCandidates() {
	kept := x.candidates[:0]
	for _, b := range x.candidates {
		if b.cfg.API == x.backend.cfg.API && b.wholeResponses() == x.backend.wholeResponses() {
			kept = append(kept, b)
		}
	}
	x.candidates = kept
}

// toOwnResponses translates the request for a backend that speaks Responses but
// keeps no state, into x.wire.
func (x *exchange) toOwnResponses() *translate.Error {
	opt := translate.OwnResponsesOptions{
		Model: x.backend.modelName(x.req.Model()), Opener: compactions{x}, Summarize: x.chat.Summarize,
	}
	size := len(x.body)
	var err *translate.Error
	if opt.Past, err = x.pastItems(); err != nil {
		return err
	}
	for _, items := range opt.Past {
		size += len(items)
	}
	x.wire = append(grow(x.wire, headReserve+size+size/8+256), x.server.headRoom[:]...)
	var bad error
	if x.wire, bad = x.req.AppendOwnResponses(x.wire, opt); bad != nil {
		return proxyError(500, "A stored response of this conversation cannot be read.")
	}
	return nil
}

// pastItems are the items of what the request continues, as they are stored.
func (x *exchange) pastItems() ([][]byte, *translate.Error) {
	s := x.server
	if id := x.req.ConversationID(); id != "" {
		items, _, err := s.itemsFrom(x, id, 0)
		return [][]byte{items}, err
	}
	id := x.req.PreviousResponseID()
	var local [][]byte // of a WebSocket, the last first
	for r := x.continued; r != nil; r = r.parent {
		local = append(local, r.output, r.input)
		id = r.parentID
	}
	slices.Reverse(local)
	if id == "" {
		return local, nil
	}
	chain, err := s.store.Chain(storeContext(), x.tenant, id)
	if err != nil {
		return nil, previousError(id, err)
	}
	past := make([][]byte, 0, 2*len(chain)+len(local))
	for _, rec := range chain {
		past = append(past, rec.Input, rec.OutputItems())
	}
	return append(past, local...), nil
}

// elsewhere answers a request about stored state from the default upstream, if
// that has the whole API, and so keeps state of its own, and nothing by that id is
// here.
func (s *Server) elsewhere(x *exchange, path, id string) (streaming, answered bool) {
	stateful := strings.HasPrefix(path, "/conversations") || strings.HasPrefix(path, "/responses/") && id != ""
	if !stateful || !s.router.all[0].wholeResponses() || id != "" && s.isHere(x, id) {
		return false, false
	}
	return s.passThrough(x, path), true
}

// alphaSearch answers POST /alpha/search, which Codex asks when its web search is
// set to live: a chat backend has nothing to search with.
func (s *Server) alphaSearch(x *exchange, _ string) (streaming bool) {
	if x.backend.wholeResponses() {
		x.route = metrics.RoutePassthrough
		return s.passThrough(x, "/alpha/search")
	}
	x.respondError(x.ctx, clientError(404, "not_found", "", "There is no web search behind this server. "+
		"Switch the client's web search off, or give it a search of its own, as with MCP."))
	return false
}

// isHere reports whether the store has a response or conversation of that id, or
// may have it.
func (s *Server) isHere(x *exchange, id string) bool {
	_, err := s.store.Get(storeContext(), x.tenant, id)
	if !errors.Is(err, store.ErrNotFound) {
		return true
	}
	_, err = s.store.Doc(storeContext(), x.tenant, kindConversation, id)
	return !errors.Is(err, store.ErrNotFound)
}
