package proxy

import (
	"errors"
	"strings"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// histories caches translated histories by tenant and response. It may forget
// any of them at any time: the store is the truth, and everything can be made
// again from it. nil caches nothing.
type histories struct {
	cache *ristretto.Cache[string, *cachedHistory]
}

type cachedHistory struct {
	tenant, id string
	dialect    *translate.Dialect // that it is translated for
	epoch      uint64             // of the tenant in the store: see store.Epoch; the version of a conversation
	until      time.Time          // when the first record of the chain expires
	history    *translate.History
	branches   bool   // more than one response continues it
	next       uint64 // of a conversation: the place in its log after what is in the history
}

// newHistories makes a cache of about so many bytes. It is never closed: a
// handler may still be about to use it (ristretto's Close races with Set).
func newHistories(bytes int64) (*histories, error) {
	if bytes <= 0 {
		return nil, nil
	}
	const typical = 4 << 10 // bytes of a history; ten counters for each are advised
	c, err := ristretto.NewCache(&ristretto.Config[string, *cachedHistory]{
		NumCounters:        max(10*bytes/typical, 1000),
		MaxCost:            bytes,
		BufferItems:        64,
		IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, err
	}
	return &histories{c}, nil
}

func (h *histories) get(tenant, id string, dialect *translate.Dialect, epoch uint64) *cachedHistory {
	if h == nil {
		return nil
	}
	c, ok := h.cache.Get(tenant + "\x00" + id)
	// Keys are hashes in there: check that it is the right one.
	if !ok || c.tenant != tenant || c.id != id || c.dialect != dialect || c.epoch != epoch || !time.Now().Before(c.until) {
		return nil
	}
	return c
}

// put keeps a history. It costs what it and all that it points to take, so that
// the budget is one of the heap.
func (h *histories) put(c *cachedHistory) {
	if h == nil {
		return
	}
	key := c.tenant + "\x00" + c.id
	// A full cache takes a newcomer only if it was asked for more often than what
	// would have to go; but the end of a conversation that goes on is what will be
	// asked for next.
	for range 3 {
		h.cache.Get(key)
	}
	h.cache.Set(key, c, int64(c.history.Size()+128))
}

// moved says that another history, which goes on where c ends, was put. Of a
// conversation only the end is kept, which points to all the rest: what was
// before it would be counted twice. Where a conversation branches both are.
func (h *histories) moved(c *cachedHistory) {
	if !c.branches {
		h.cache.Del(c.tenant + "\x00" + c.id)
	}
}

// history returns what previous_response_id stands for.
func (s *Server) history(x *exchange, id string) (*translate.History, *translate.Error) {
	if h, err := x.local.history(x, id); h != nil || err != nil {
		return h, err
	}
	return s.storedHistory(x, id)
}

// storedHistory is history without what a connection keeps.
func (s *Server) storedHistory(x *exchange, id string) (*translate.History, *translate.Error) {
	ctx := storeContext()
	epoch, err := s.store.Epoch(ctx, x.tenant)
	if err != nil {
		return nil, storeError(err)
	}
	if c := s.histories.get(x.tenant, id, x.dialect, epoch); c != nil {
		s.metrics.HistoryHits.Add(1)
		return c.history, nil
	}
	rec, err := s.store.Get(ctx, x.tenant, id)
	if err != nil {
		return nil, previousError(id, err)
	}
	// Most often the turn before was cached when this one was asked for.
	h, until := &translate.History{}, rec.Expires
	var chain []*store.Record
	var parent *cachedHistory
	switch {
	case rec.Parent == "":
		chain = []*store.Record{rec}
	default:
		if parent = s.histories.get(x.tenant, rec.Parent, x.dialect, epoch); parent != nil {
			s.metrics.HistoryHits.Add(1)
			h, until, chain = parent.history, parent.until, []*store.Record{rec}
			break
		}
		s.metrics.HistoryMisses.Add(1)
		if chain, err = s.store.Chain(ctx, x.tenant, id); err != nil {
			return nil, previousError(id, err)
		}
	}
	x.history.Sealer, x.history.Opener, x.history.Upstream = x, compactions{x}, x.backend.name
	for i, r := range chain {
		if i > 0 && i == len(chain)-1 {
			// Not being cached, the parent was continued before: a branch.
			s.histories.put(&cachedHistory{
				tenant: x.tenant, id: rec.Parent, dialect: x.dialect, epoch: epoch, until: until, history: h, branches: true,
			})
		}
		if r.Expires.Before(until) {
			until = r.Expires
		}
		x.history.Fetched = s.keptFetched(r)
		if h, err = x.history.Extend(h, r.Input, r.OutputItems(), x.dialect); err != nil {
			return nil, proxyError(500, "A stored response of this conversation cannot be read.")
		}
	}
	s.histories.put(&cachedHistory{tenant: x.tenant, id: id, dialect: x.dialect, epoch: epoch, until: until, history: h})
	if parent != nil {
		s.histories.moved(parent)
	}
	return h, nil
}

// references returns the stored items that item references name: those of stored
// responses, and of the conversation that the request is about, if there is one.
// path says where in the body of the request the n-th reference is.
func (s *Server) references(x *exchange, ids []string, conversation string, path func(n int) string) ([][]byte, *translate.Error) {
	items := make([][]byte, len(ids))
	var rec *store.Record
	for i, id := range ids {
		if rec != nil {
			items[i] = itemIn(rec, id)
		}
		if items[i] == nil {
			items[i] = x.local.item(id)
		}
		if items[i] != nil {
			continue
		}
		var err error
		rec, err = s.store.Item(storeContext(), x.tenant, translate.ItemKey(id))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, storeError(err)
		}
		if err == nil {
			items[i] = itemIn(rec, id)
		}
		if items[i] == nil && conversation != "" {
			e, err := s.store.Entry(storeContext(), x.tenant, conversationLog(conversation), id)
			if err != nil && !isNotFound(err) {
				return nil, storeError(err)
			}
			if err == nil {
				items[i] = e.Body
			}
		}
		if items[i] == nil {
			where := path(i)
			param, _, _ := strings.Cut(where, "[")
			return nil, clientError(404, "", param, "Item with id '"+clip(id)+"' not found. Items are not persisted when "+
				"`store` is set to false. Try again with `store` set to true, or remove this item from your input ("+where+").")
		}
	}
	return items, nil
}

func itemIn(rec *store.Record, id string) []byte {
	if item := translate.FindItem(rec.OutputItems(), id); item != nil {
		return item
	}
	input, err := translate.AppendListedInput(nil, rec.Input, rec.ID)
	if err != nil {
		return nil
	}
	return translate.FindItem(input, id)
}

func clip(id string) string {
	const most = 100
	if len(id) > most {
		return id[:most] + "..."
	}
	return id
}

// previousError is the API's answer when a response cannot be continued.
func previousError(id string, err error) *translate.Error {
	var broken *store.BrokenChainError
	switch {
	case errors.As(err, &broken):
		return clientError(400, "previous_response_not_found", "previous_response_id", "Previous response with id '"+clip(id)+
			"' cannot be continued: a response before it, '"+clip(broken.Missing)+"', was not found. It has expired or was deleted.")
	case !errors.Is(err, store.ErrNotFound):
		return storeError(err)
	}
	return clientError(400, "previous_response_not_found", "previous_response_id",
		"Previous response with id '"+clip(id)+"' not found.")
}

// storeError says that the store has not answered: an id may exist all the same.
func storeError(err error) *translate.Error {
	if errors.Is(err, store.ErrDamaged) { // storeDamage has logged where
		return proxyError(500, "What this server has stored of it is damaged and cannot be read. Whoever runs the server finds the place in its log.")
	}
	return storeDown()
}

// storeDown says that the store cannot be asked.
func storeDown() *translate.Error {
	e := proxyError(503, "The store of responses cannot be reached. Try again in a moment.")
	return e
}
