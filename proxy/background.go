package proxy

import (
	"bytes"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// A background response ("background":true) is held by the store from the moment
// that its client hears of it, and any replica makes it, shows it, lets its
// stream be followed, or cancels it.
//
//	accepting one                               background.go
//	what is kept of one in the store            run_store.go
//	finding work, and doing it                  run_worker.go
//	the lease of who does it, and lost ones     run_lease.go
//	its events, on their way into the store     run_log.go
//	following its stream                        run_resume.go
//	cancelling and deleting it                  run_cancel.go
//
// Its state is one document, and changes three times: queued when it is accepted,
// in progress when a worker takes it, and its end. Each change demands the
// version before it. So the version that a worker has written when it began is
// its right to write anything at all: all of its batches demand it. Whoever ends
// the response in its place, because it was cancelled or the worker is lost,
// writes the document, and from then on the worker can write nothing. There is
// one end, whatever happens.

// accept takes in a background response and answers that it is queued, or with
// its stream. The request has been prepared: it is one that can be made.
func (s *Server) accept(x *exchange) (streaming bool) {
	if err := s.enqueue(x); err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.reportLosses()
	if x.req.Stream {
		return s.follow(x, x.turn.ID(), 0, asStored)
	}
	x.out = x.turn.Snapshot(x.out[:0], true)
	x.respondJSON(x.out)
	return false
}

// enqueue writes down a background response and puts it into the queue.
func (s *Server) enqueue(x *exchange) *translate.Error {
	cfg := &s.cfg.Background
	if cfg.Workers == 0 {
		return clientError(400, "unsupported_parameter", "background",
			"Unsupported parameter: 'background' is switched off on this server.")
	}
	if !s.runs.reserve(x.tenant) {
		s.metrics.Rejected.Add(1)
		x.reply.Set("Retry-After", "5")
		return &translate.Error{
			Status: fasthttp.StatusTooManyRequests, Type: translate.TypeRateLimit, Code: "rate_limit_exceeded", Origin: translate.OriginProxy,
			Message: "As many background responses are waiting as this server is configured to hold. Try again in a moment.",
		}
	}
	defer s.runs.unreserve(x.tenant)
	x.beginTurn()
	events := splitEvents(nil, x.turn.Queue(x.out[:0]))
	now := time.Now()
	id := x.turn.ID()
	state := &runState{
		Status: statusQueued, Stream: x.req.Stream, Store: x.req.Store, Created: x.start,
		Response: x.turn.Snapshot(nil, true),
	}
	request, err := s.packRequest(x)
	if err != nil {
		return storeError(err)
	}
	expires := now.Add(s.runTTL())
	x.keepFetched(id, expires)
	// The worker takes these for itself.
	x.releaseQuota()
	if x.place != nil {
		x.place.leave()
		x.place = nil
	}
	batch := &store.Batch{Put: []store.DocWrite{
		state.write(id, store.Absent, expires),
		{Doc: &store.Doc{Kind: kindRunRequest, Key: id, Expires: expires, Body: request}, Keep: true},
	}}
	if len(events) > 0 {
		batch.Append = []store.LogAppend{{Log: runLog(id), Entries: events, Expires: expires}}
	}
	err = s.store.Commit(storeContext(), x.tenant, batch)
	if err == nil {
		j := job{Tenant: x.tenant, ID: id, key: jobKey(x.start, id)}
		if err = s.putJob(&j, store.Absent); err == nil {
			s.runs.offer(&j)
			return nil
		}
		// Nobody will make it, and nobody has heard of it.
		_ = s.store.Commit(storeContext(), x.tenant, &store.Batch{Drop: []string{runLog(id)}, Delete: []store.Condition{
			{Kind: kindRun, Key: id, Version: store.AnyVersion}, {Kind: kindRunRequest, Key: id, Version: store.AnyVersion},
		}})
	}
	x.errText = err.Error()
	s.metrics.StoreErrors.Add(1)
	if errors.Is(err, store.ErrTooLarge) {
		return clientError(fasthttp.StatusRequestEntityTooLarge, "", "", "The request is larger than the store takes, where a background response waits.")
	}
	return storeError(err)
}

// splitEvents makes entries of the events of a piece of a stream. What is no
// event, such as a comment, is left out.
func splitEvents(entries []store.Entry, piece []byte) []store.Entry {
	for len(piece) > 0 {
		event := piece
		if i := bytes.Index(piece, []byte("\n\n")); i >= 0 {
			event = piece[:i+2]
		}
		piece = piece[len(event):]
		if bytes.HasPrefix(event, []byte("event: ")) {
			entries = append(entries, store.Entry{Body: bytes.Clone(event)})
		}
	}
	return entries
}

// runCredentials are the headers of a client that are sealed while its response
// waits: the upstream wants them from whoever makes it.
var runCredentials = passedUp[:credentialHeaders]

// packRequest is the document of the request: what the worker needs of it, on
// one line, and the body as it came.
func (s *Server) packRequest(x *exchange) ([]byte, error) {
	r := runRequest{Seed: x.seed[:], Principal: x.principal, RequestID: string(x.requestID)}
	keep := func(to *[]string, name string) {
		if v := x.header.Peek(name); len(v) > 0 {
			*to = append(*to, name, string(v))
		}
	}
	for _, name := range passedUp[credentialHeaders:] {
		keep(&r.Headers, name)
	}
	if !x.backend.ownKey && s.keys.Load() == nil {
		var secret []string
		for _, name := range runCredentials {
			keep(&secret, name)
		}
		if len(secret) > 0 {
			var err error
			if r.Sealed, err = s.sealer.Seal(nil, x.tenant, seal.Credential, mustJSON(secret)); err != nil {
				return nil, err
			}
		}
	}
	if !x.req.HasCredentials() {
		return r.pack(x.body), nil
	}
	r.SealedBody = true
	body, err := s.sealBody(x.tenant, x.body)
	return r.pack(body), err
}
