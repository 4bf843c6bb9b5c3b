package proxy

import (
	"bytes"
	"errors"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// The end of a response: it is stored, and then the client hears of it.

// commit stores the response if the client wants that, and appends its final
// form: the object, or the event that carries it. Only when the store has it is
// the client told that it is complete. If the store cannot take it, the answer is
// not lost, but it says so: "store":false.
func (x *exchange) commit(dst []byte) []byte {
	now := time.Now()
	write := func(stored, again bool) {
		if x.req.Stream {
			dst = x.turn.Terminal(dst, now.Unix(), stored, again)
		} else {
			dst = x.turn.Response(dst, now.Unix(), stored)
		}
	}
	mark := len(dst)
	write(x.req.Store, false)
	if x.local != nil { // before it is stored, for that may be refused
		response, output := x.turn.Written(dst)
		x.local.keep(x, response[output[0]:output[1]])
	}
	joins := x.joins()
	if !x.req.Store && !joins || errors.Is(x.up.Cancelled(), errClientGone) {
		return dst
	}
	rec := x.record(dst, now)
	var err error
	if joins {
		err = x.join(rec)
	} else {
		err = x.put(rec)
	}
	if err == nil {
		return dst
	}
	if joins {
		x.turn.LeaveConversation()
		if errors.Is(err, store.ErrConflict) && x.req.Store {
			// The conversation was deleted, or the lock was lost: what was made in
			// it is a response of its own.
			dst = dst[:mark]
			write(true, true)
			if err := x.put(x.record(dst, now)); err == nil {
				return dst
			}
		}
	}
	x.storeFailed = true
	x.errText = err.Error()
	x.server.metrics.StoreErrors.Add(1)
	dst = dst[:mark]
	write(false, true)
	return dst
}

// record is what the store gets of the response that was written last to dst.
func (x *exchange) record(dst []byte, now time.Time) *store.Record {
	response, output := x.turn.Written(dst)
	return &store.Record{
		Tenant:   x.tenant,
		ID:       x.turn.ID(),
		Parent:   x.req.PreviousResponseID(),
		Created:  now,
		Expires:  now.Add(x.server.cfg.Store.TTL.Std()),
		Response: bytes.Clone(response),
		Output:   output,
		Input:    x.storableInput(),
		ItemIDs:  x.req.StoredKeys(&x.seed),
	}
}

// storableInput is the request's own input, in memory that the store may keep.
// If most of the body is input, the store gets the body itself: a copy of a long
// history costs more than all of its translation.
func (x *exchange) storableInput() []byte {
	input, own := x.req.StorableInput()
	switch {
	case !own:
		return input
	case len(input) > smallBuffer && len(input) > cap(x.body)*3/4:
		x.body = nil // never to be used again
		return input
	}
	return bytes.Clone(input)
}

// put stores a response. A store that panics has failed, and no more than that.
func (x *exchange) put(rec *store.Record) (err error) {
	defer func() {
		if r := recover(); r != nil {
			x.server.logFault(x, r)
			err = errors.New("the store panicked")
		}
	}()
	x.keepFetched(rec.ID, rec.Expires)
	return x.server.store.Put(storeContext(), rec)
}
