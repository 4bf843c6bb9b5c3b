package proxy

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Responses clients in front of a backend that speaks Responses itself. One that
// has the whole API gets their requests as they are, and keeps their state. Others
// say things by halves and keep nothing: their replies are completed on the way,
// and state is kept here, as for chat backends.
//
// Upstreams of all kinds stand in for each other (routing.go). Who is asked first
// says where the state is: what another upstream has made in the place of one that
// has the whole API is kept here, and so is what is made in the place of a chat
// backend. A request that goes on with what is kept here brings it all with it.

// turnReader is the turn of a response as the reader of replies: translate.Turn, which
// reads chat, by way of chatReader, or translate.ResponsesTurn.
type turnReader interface {
	retryReader
	Begin(dst []byte) []byte
}

type chatReader struct{ *translate.Turn }

func (r chatReader) Feed(dst, _, data []byte) []byte     { return r.Turn.Feed(dst, data) }
func (r chatReader) FeedLast(dst, _, data []byte) []byte { return r.Turn.FeedLast(dst, data) }

var responsesTurns = sync.Pool{New: func() any { return new(translate.ResponsesTurn) }}

// passesResponses reports whether a request goes to a backend that has the whole
// API, and does not go on with what is kept here. The body has been read.
func (s *Server) passesResponses(x *exchange) bool {
	if !s.router.responses {
		return false
	}
	x.passByBody()
	switch s.keptWhere(x) {
	case keptHere: // the upstream cannot know it: another one has made it
		return false
	case keptElsewhere: // also one that is left alone now: no other can know it
		if i := slices.IndexFunc(x.candidates, (*backend).wholeResponses); i >= 0 {
			x.bound = true
			x.use(x.candidates[i])
			x.candidates = slices.Insert(slices.Delete(x.candidates, i, i+1), 0, x.backend)
		}
	case keptNowhere:
	}
	return x.backend.wholeResponses()
}

// whereKept says where that is kept which a request goes on with.
type whereKept uint8

const (
	keptNowhere whereKept = iota // it begins anew
	keptHere
	keptElsewhere
)

// keptWhere finds out where that is kept which the request in x.body goes on with.
func (s *Server) keptWhere(x *exchange) (where whereKept) {
	if len(x.candidates) == 0 && !s.router.keeps {
		return keptNowhere // there is one upstream, and it keeps everything
	}
	named := func(key string) bool { return bytes.Contains(x.body, []byte(`"`+key+`"`)) } // cheap, and rarely wrong
	if named("previous_response_id") {
		if id := jsonx.Lookup(x.body, "previous_response_id").String(); id != "" {
			if where = keptElsewhere; s.isHere(x, id) {
				return keptHere
			}
		}
	}
	if named("conversation") {
		id := jsonx.Lookup(x.body, "conversation", "id").String()
		if id == "" {
			id = jsonx.Lookup(x.body, "conversation").String()
		}
		if id != "" {
			if where = keptElsewhere; s.isHere(x, id) {
				return keptHere
			}
		}
	}
	if named("item_reference") && x.req.Parse(x.body, s.requestLimits) == nil {
		for _, id := range x.req.References() {
			where = keptElsewhere
			if _, err := s.store.Item(storeContext(), x.tenant, translate.ItemKey(id)); !errors.Is(err, store.ErrNotFound) {
				return keptHere
			}
		}
	}
	return where
}

// wholeResponses reports whether the backend has the whole Responses API, as far as
// is known: one that was taken for whole may show itself to be of a family that is
// not (detect.go).
func (b *backend) wholeResponses() bool {
	return b.cfg.API == config.APIResponses && b.base().Responses.Complete
}

// passes reports whether the backend answers a POST to that path itself, so that
// the request is passed on to it and not translated.
func (b *backend) passes(path string) bool {
	switch path {
	case "/responses", "/responses/compact", "/responses/input_tokens":
		return b.wholeResponses()
	case chatPath:
		return b.cfg.API != config.APIResponses
	}
	return true
}

// passResponses passes such a request on.
func (s *Server) passResponses(x *exchange, path string) (streaming bool) {
	if err := x.mayPass(x.body); err != nil {
		err.Status, err.Param = 400, "model" // as this API says it
		x.respondError(x.ctx, err)
		return false
	}
	if err := x.ownsBody(); err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	return x.passBody(path)
}

// toOwnResponses translates the request for a backend that speaks Responses but
// keeps no state, into x.wire.
func (x *exchange) toOwnResponses() *translate.Error {
	opt := translate.OwnResponsesOptions{
		Model: x.backend.modelName(x.req.Model()), Opener: compactions{x}, Summarize: x.chat.Summarize, Losses: &x.losses,
	}
	if x.backend.wholeResponses() {
		opt.Sealer = x
	} else {
		opt.Dialect = x.dialect
		if err := x.req.PrepareOwn(x.chat.History, x.dialect); err != nil {
			return err
		}
	}
	x.check = nil // the backend holds itself to the format
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
	if s.separates() && id != "" {
		mine, err := s.owns(x, id)
		if err != nil {
			x.respondError(x.ctx, err)
			return false, true
		}
		if !mine {
			return false, false // it is answered here, where it does not exist either
		}
	}
	x.mine = true
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

// isHere reports whether the store has a response, finished or not, or a
// conversation of that id, or may have it.
func (s *Server) isHere(x *exchange, id string) bool {
	_, err := s.store.Get(storeContext(), x.tenant, id)
	for _, kind := range [...]string{kindConversation, kindRun} {
		if !isNotFound(err) {
			return true
		}
		_, err = s.store.Doc(storeContext(), x.tenant, kind, id)
	}
	return !isNotFound(err)
}
