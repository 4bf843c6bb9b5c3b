package proxy

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// A response that is made in a conversation holds a lock from before the items
// are read until its own have been added: the items do not change under it, and
// a second one is told to come back. The lock is a lease. Should the process die,
// it ends by itself: soon, because clients are waiting, but not before a store has
// failed over to a replica, which the renewals have to survive. If it ends too
// early nothing goes wrong but for the response itself: the commit at the end
// demands the lock.
const (
	conversationLease = 15 * time.Second
	conversationRenew = conversationLease / 3
	// conversationWait is how long a background response waits for a lock: longer
	// than the dead hold theirs.
	conversationWait = 2 * conversationLease
)

// place is the place of a response in a conversation, while it is being made.
// The zero value is none.
type place struct {
	server *Server
	tenant string
	id     string // of the conversation

	mu      sync.Mutex
	version uint64 // of the lock that is held; 0 is none
	renewal *time.Timer
}

// held reports whether there is a place.
func (p *place) held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.version != 0
}

// take locks a conversation. It returns the conversation as it is from then on.
func (p *place) take(s *Server, x *exchange, id string) (*store.Doc, *translate.Error) {
	var token [16]byte
	x.entropy(token[:])
	var doc *store.Doc
	err := s.changeConversation(x, id, true, func(d *store.Doc) *store.Batch {
		doc = d
		return &store.Batch{
			Require: []store.Condition{{Kind: kindConversation, Key: id, Version: d.Version}},
			Put:     []store.DocWrite{p.lease(id, token[:], store.Absent)},
		}
	})
	if err != nil {
		return nil, err
	}
	p.server, p.tenant, p.id = s, x.tenant, id
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.confirm(token[:]) {
		return nil, storeDown()
	}
	p.renewal = time.AfterFunc(conversationRenew, func() { p.renew(bytes.Clone(token[:])) })
	return doc, nil
}

func (p *place) lease(id string, token []byte, version uint64) store.DocWrite {
	return store.DocWrite{
		Doc: &store.Doc{
			Kind: kindConversationLock, Key: id, Body: bytes.Clone(token),
			Expires: time.Now().Add(conversationLease),
		},
		If: version, Keep: true,
	}
}

// confirm learns the version of the lock that was just written.
func (p *place) confirm(token []byte) bool {
	lock, err := p.server.store.Doc(storeContext(), p.tenant, kindConversationLock, p.id)
	if err != nil || !bytes.Equal(lock.Body, token) {
		return false
	}
	p.version = lock.Version
	return true
}

// renew makes the lock last longer. A store that cannot be reached is asked again
// as long as the lock may still be there.
func (p *place) renew(token []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version == 0 {
		return
	}
	err := p.server.store.Commit(storeContext(), p.tenant, &store.Batch{
		Put: []store.DocWrite{p.lease(p.id, token, p.version)},
	})
	again := conversationRenew
	switch {
	case err == nil:
		p.confirm(token)
	case errors.Is(err, store.ErrConflict):
		// A renewal before this one may have been made without our hearing of it.
		if !p.confirm(token) {
			return // somebody else has it; the commit at the end will say so
		}
		again = time.Second
	default:
		again = time.Second
	}
	p.renewal.Reset(again)
}

// end stops the renewals, and returns the version of the lock, or 0.
func (p *place) end() (version uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	version, p.version = p.version, 0
	if p.renewal != nil {
		p.renewal.Stop()
		p.renewal = nil
	}
	return version
}

// leave gives the lock back, if there is one. If the store does not hear of it,
// the lock ends by itself.
func (p *place) leave() {
	version := p.end()
	if version == 0 {
		return
	}
	_ = p.server.store.Commit(storeContext(), p.tenant, &store.Batch{
		Delete: []store.Condition{{Kind: kindConversationLock, Key: p.id, Version: version}},
	})
}

// conversationFor returns what was said in the request's conversation. With enter
// the request takes a place in it first.
func (s *Server) conversationFor(x *exchange, id string, enter bool) (history *translate.History, err *translate.Error) {
	var doc *store.Doc
	if enter {
		x.place = new(place)
		doc, err = x.place.take(s, x, id)
	} else {
		doc, err = s.conversation(x, id)
	}
	if err != nil {
		return nil, err
	}
	x.conversation = doc.Version
	return s.conversationHistory(x, id, doc.Version)
}

// conversationHistory returns the history of a conversation, which is in that
// version. Only what was added since it was last asked for is translated.
func (s *Server) conversationHistory(x *exchange, id string, version uint64) (*translate.History, *translate.Error) {
	h, next := &translate.History{}, uint64(0)
	if c := s.histories.get(x.tenant, id, x.dialect, version); c != nil {
		s.metrics.HistoryHits.Add(1)
		h, next = c.history, c.next
	} else {
		s.metrics.HistoryMisses.Add(1)
	}
	items, next, err := s.itemsFrom(x, id, next)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return h, nil
	}
	if h.Size() > 0 && translate.HasCompaction(items) {
		// What it leaves of the items before it depends on all of them.
		if items, next, err = s.itemsFrom(x, id, 0); err != nil {
			return nil, err
		}
		h = &translate.History{}
	}
	x.history.Sealer, x.history.Opener, x.history.Upstream = x, compactions{x}, x.backend.name
	h, bad := x.history.Extend(h, items, noItems, x.dialect)
	if bad != nil {
		return nil, proxyError(500, "A stored item of this conversation cannot be read.")
	}
	s.histories.put(&cachedHistory{
		tenant: x.tenant, id: id, dialect: x.dialect, epoch: version, until: forever, history: h, next: next,
	})
	return h, nil
}

var noItems = []byte("[]")

// itemsFrom reads the items of a conversation from a place in its log on, as one
// JSON array, or nothing if there are none. next is the place after them.
func (s *Server) itemsFrom(x *exchange, id string, from uint64) (items []byte, next uint64, err *translate.Error) {
	const some = 500
	next = from
	for {
		q := store.Page{Limit: some}
		if next > 0 {
			after := next - 1
			q.AfterSeq = &after
		}
		entries, more, err := s.store.Entries(storeContext(), x.tenant, conversationLog(id), q)
		if err != nil {
			return nil, from, storeError(err)
		}
		for _, e := range entries {
			if items == nil {
				items = append(items, '[')
			} else {
				items = append(items, ',')
			}
			items = append(items, e.Body...)
			next = e.Seq + 1
		}
		if !more || len(entries) == 0 {
			break
		}
	}
	if items != nil {
		items = append(items, ']')
	}
	return items, next, nil
}

// checkConversationIDs refuses input items that are in the conversation already:
// they would be in it twice.
func (s *Server) checkConversationIDs(x *exchange, id string) *translate.Error {
	for _, item := range x.req.GivenIDs() {
		switch _, err := s.store.Entry(storeContext(), x.tenant, conversationLog(id), item); {
		case err == nil:
			return translate.DuplicateItem(item)
		case !isNotFound(err):
			return storeError(err)
		}
	}
	return nil
}

// joins reports whether the response, which has ended, is to become part of a
// conversation. One that failed adds nothing.
func (x *exchange) joins() bool {
	return x.place != nil && x.place.held() && x.turn.Status() != "failed"
}

// join adds the items of a turn to the conversation and, if the client wants it
// stored, the response to the store: both or neither. The lock is given back in
// the same step, so that nobody else can have had it in between.
func (x *exchange) join(rec *store.Record) error {
	batch, version, err := x.joinBatch(rec)
	if err != nil {
		return err
	}
	if x.req.Store {
		batch.Records = []*store.Record{rec}
	}
	if err := x.server.store.Commit(storeContext(), x.tenant, batch); err != nil {
		x.place.restore(version) // it may still be there, and finish should give it back
		return err
	}
	return nil
}

// restore takes back an end.
func (p *place) restore(version uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version = version
}

// joinBatch is what adds the items of a turn to the conversation and gives the
// lock back, which has the version that is returned. There are no renewals from
// now on.
func (x *exchange) joinBatch(rec *store.Record) (batch *store.Batch, version uint64, err error) {
	listed, err := translate.AppendListedInput(nil, rec.Input, rec.ID)
	if err != nil {
		return nil, 0, err
	}
	items := append(translate.ListItems(listed), translate.ListItems(rec.OutputItems())...)
	for i := range items {
		items[i].JSON = slices.Clip(items[i].JSON)
	}
	p := x.place
	version = p.end()
	batch = &store.Batch{
		Append: []store.LogAppend{{Log: conversationLog(p.id), Entries: entriesOf(items)}},
		Delete: []store.Condition{{Kind: kindConversationLock, Key: p.id, Version: version}},
	}
	return batch, version, nil
}
