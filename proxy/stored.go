package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// storeTime is how long an exchange waits for the store. One that cannot answer
// in time has failed: the client should not wait for it in vain as well.
const storeTime = 250 * time.Millisecond

// storeDeadline is a context that ends at a time. Its timer only runs when
// somebody waits for it, which a store in memory never does.
type storeDeadline struct {
	context.Context
	end  time.Time
	once sync.Once
	done chan struct{}
}

func storeContext() context.Context {
	return &storeDeadline{Context: context.Background(), end: time.Now().Add(storeTime)}
}

func (c *storeDeadline) Deadline() (time.Time, bool) { return c.end, true }

func (c *storeDeadline) Done() <-chan struct{} {
	c.once.Do(func() {
		c.done = make(chan struct{})
		time.AfterFunc(time.Until(c.end), func() { close(c.done) })
	})
	return c.done
}

func (c *storeDeadline) Err() error {
	if time.Now().Before(c.end) {
		return nil
	}
	return context.DeadlineExceeded
}

// stored returns the tenant's response with that id. One of another tenant does
// not exist.
func (s *Server) stored(x *exchange, id string) (*store.Record, *translate.Error) {
	rec, err := s.store.Get(storeContext(), x.tenant, id)
	switch {
	case err == nil:
		return rec, nil
	case errors.Is(err, store.ErrNotFound):
		return nil, errNoResponse(id)
	}
	return nil, storeError(err)
}

func errNoResponse(id string) *translate.Error {
	return clientError(404, "", "", "Response with id '"+clip(id)+"' not found.")
}

// retrieve answers GET /responses/{id} with the object that the client got when
// the response was complete, byte for byte; or for a background response with how
// it stands, or its stream.
func (s *Server) retrieve(x *exchange, id string) (streaming bool) {
	q, err := x.retrieval()
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	rec, recErr := s.store.Get(storeContext(), x.tenant, id)
	if recErr == nil && !q.stream {
		x.respondJSON(rec.Response)
		return false
	}
	if recErr != nil && !isNotFound(recErr) {
		x.respondError(x.ctx, storeError(recErr))
		return false
	}
	state, stateErr := s.run(x.tenant, id)
	switch {
	case isNotFound(stateErr) && recErr == nil:
		x.respondError(x.ctx, clientError(400, "", "",
			"This response cannot be streamed because it was not created with background=true."))
	case isNotFound(stateErr):
		x.respondError(x.ctx, errNoResponse(id))
	case stateErr != nil:
		x.respondError(x.ctx, storeError(stateErr))
	case q.stream:
		return s.resume(x, id, state, &q)
	default:
		response, err := s.runResponse(x, id, state)
		if err != nil {
			x.respondError(x.ctx, err)
			return false
		}
		x.respondJSON(response)
	}
	return false
}

// remove answers DELETE /responses/{id}.
func (s *Server) remove(x *exchange, id string) bool {
	there, refusal := s.removeRun(x, id)
	if refusal != nil {
		x.respondError(x.ctx, refusal)
		return false
	}
	err := s.store.Delete(storeContext(), x.tenant, id)
	if err == nil {
		s.dropFetched(x.tenant, id)
	}
	switch {
	case errors.Is(err, store.ErrNotFound) && !there:
		x.respondError(x.ctx, errNoResponse(id))
	case err != nil && !errors.Is(err, store.ErrNotFound):
		x.respondError(x.ctx, storeError(err))
	default:
		body := append(x.out[:0], `{"id":`...)
		body = jsonx.AppendString(body, id)
		x.out = append(body, `,"object":"response","deleted":true}`...)
		x.respondJSON(x.out)
	}
	return false
}

// inputItems answers GET /responses/{id}/input_items: the items of the request
// itself, newest first unless asked otherwise (docs/PROTOCOL.md §1.5).
func (s *Server) inputItems(x *exchange, id string) bool {
	rec, err := s.stored(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	page, err := x.page(true)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	listed, badRecord := translate.AppendListedInput(nil, rec.Input, rec.ID)
	if badRecord != nil {
		x.respondError(x.ctx, proxyError(500, "The stored input of this response cannot be read."))
		return false
	}
	items, more, ok := page.of(translate.ListItems(listed))
	if !ok {
		x.respondError(x.ctx, errNoCursor(page.after))
		return false
	}
	x.respondList(items, more)
	return false
}

// respondJSON answers with a JSON body, which is copied.
func (x *exchange) respondJSON(body []byte) {
	x.ctx.Response.Header.SetContentType("application/json")
	x.ctx.SetStatusCode(fasthttp.StatusOK)
	x.ctx.SetBody(body)
	x.bytesOut += int64(len(body))
}
