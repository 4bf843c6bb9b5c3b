package storetest

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// naive is the oracle behind a lock: a correct store, and, with a fault, one
// that breaks a single promise.
type naive struct {
	fault string
	clock *Clock

	mu       sync.Mutex
	o        *oracle
	deletes  uint64
	leftover []*store.Record             // records that went, for faults that keep them findable
	refused  map[[2]string]*store.Record // items of records that were refused, likewise
	grown    chan struct{}               // closed by the next Commit
}

func newNaive(fault string, clock *Clock, maxBytes int64) *naive {
	return &naive{
		fault: fault, clock: clock, o: newOracle(maxBytes),
		refused: make(map[[2]string]*store.Record),
	}
}

// lock locks, lets time pass for the oracle, and returns the unlocking.
func (n *naive) lock() func() {
	n.mu.Lock()
	now := n.clock.Now()
	switch n.fault {
	case "expires late":
		now = now.Add(-1)
	case "expires in order of put":
		// As a queue does that looks at its head only.
		for len(n.o.recs) > 0 && !n.o.recs[0].Expires.After(now) {
			n.o.recs = n.o.recs[1:]
		}
		return n.mu.Unlock
	case "evicts live before expired":
		if n.o.max > 0 {
			return n.mu.Unlock // see put
		}
	}
	n.o.advanceTo(now)
	return n.mu.Unlock
}

func (n *naive) Put(_ context.Context, rec *store.Record) error {
	if n.fault == "put in two steps" {
		unlock := n.lock()
		there := n.o.get(rec.Tenant, rec.ID) != nil
		unlock()
		runtime.Gosched()
		defer n.lock()()
		if there {
			return store.ErrExists
		}
		n.o.delete(rec.Tenant, rec.ID)
		return n.o.put(n.clock.Now(), rec)
	}
	defer n.lock()()
	now := n.clock.Now()
	switch n.fault {
	case "put replaces":
		n.o.delete(rec.Tenant, rec.ID)
	case "names are joined":
		joined := *rec
		joined.Tenant, joined.ID = "", rec.Tenant+":"+rec.ID
		if n.o.get("", joined.ID) != nil {
			return store.ErrExists
		}
	case "refused put leaves items":
		for _, item := range rec.ItemIDs {
			n.refused[[2]string{rec.Tenant, item}] = rec
		}
	case "zero time is never":
		if rec.Expires.IsZero() {
			rec.Expires = now.Add(ttl)
		}
	case "no record too large":
		if n.o.max > 0 && int64(rec.Size()) > n.o.max {
			return nil
		}
	case "too large evicts first":
		if n.o.max > 0 && int64(rec.Size()) > n.o.max {
			n.o.recs = nil
		}
	case "evicts newest":
		for n.o.max > 0 && n.o.bytes()+int64(rec.Size()) > n.o.max && len(n.o.recs) > 0 {
			n.o.recs = n.o.recs[:len(n.o.recs)-1]
			n.o.evictions++
		}
	case "evicts the oldest of all":
		for n.o.max > 0 && n.o.bytes()+int64(rec.Size()) > n.o.max && len(n.o.recs) > 0 {
			n.o.recs = n.o.recs[1:]
			n.o.evictions++
		}
	case "evicts one too many":
		if n.o.max > 0 && n.o.bytes()+int64(rec.Size()) > n.o.max && len(n.o.recs) > 2 {
			n.o.recs = n.o.recs[1:]
			n.o.evictions++
		}
	case "eviction keeps items":
		n.leftover = slices.Clone(n.o.recs)
	}
	before := n.o.evictions
	err := n.o.put(now, rec)
	if n.fault == "eviction changes epoch" && n.o.evictions != before {
		n.o.deletions[rec.Tenant]++
	}
	return err
}

func (n *naive) Get(_ context.Context, tenant, id string) (*store.Record, error) {
	defer n.lock()()
	rec := n.o.get(tenant, id)
	switch n.fault {
	case "get crosses tenants":
		for _, r := range n.o.recs {
			if r.ID == id && rec == nil {
				rec = r
			}
		}
	case "names are joined":
		for _, r := range n.o.recs {
			if r.Tenant+":"+r.ID == tenant+":"+id && rec == nil {
				rec = r
			}
		}
	case "records and items are one name space":
		if item := n.o.item(tenant, id); rec == nil {
			rec = item
		}
	case "names are folded":
		for _, r := range n.o.recs {
			if strings.EqualFold(r.Tenant, tenant) && r.ID == id {
				rec = r
				break
			}
		}
	case "records are mixed":
		if rec != nil && len(n.o.recs) > 1 {
			c := *rec
			c.Input = n.o.recs[0].Input
			rec = &c
		}
	case "a field is lost":
		if rec != nil {
			c := *rec
			c.Created = c.Created.Truncate(time.Microsecond)
			rec = &c
		}
	case "evicts live before expired":
		if rec != nil && !rec.Expires.After(n.clock.Now()) {
			rec = nil
		}
	}
	return found(rec)
}

func found(rec *store.Record) (*store.Record, error) {
	if rec == nil {
		return nil, store.ErrNotFound
	}
	return rec, nil
}

func (n *naive) Chain(_ context.Context, tenant, id string) ([]*store.Record, error) {
	defer n.lock()()
	chain, missing := n.o.chain(tenant, id)
	switch {
	case chain != nil:
		if n.fault == "chain upside down" {
			slices.Reverse(chain)
		}
		return chain, nil
	case missing == id && n.o.get(tenant, id) == nil:
		return nil, store.ErrNotFound
	}
	switch n.fault {
	case "broken chain cut short":
		for at := n.o.get(tenant, id); at != nil && !slices.Contains(chain, at); at = n.o.get(tenant, at.Parent) {
			chain = append(chain, at)
		}
		slices.Reverse(chain)
		return chain, nil
	case "cycle has an end":
		if n.o.get(tenant, missing) != nil {
			return []*store.Record{n.o.get(tenant, id)}, nil
		}
	case "broken chain without a name":
		return nil, store.ErrNotFound
	case "broken chain names the leaf":
		missing = id
	case "chain crosses tenants":
		for _, r := range n.o.recs {
			if r.ID == missing {
				return []*store.Record{r, n.o.get(tenant, id)}, nil
			}
		}
	}
	return nil, &store.BrokenChainError{Missing: missing}
}

func (n *naive) Item(_ context.Context, tenant, item string) (*store.Record, error) {
	defer n.lock()()
	rec := n.o.item(tenant, item)
	switch n.fault {
	case "oldest item wins":
		for _, r := range n.o.recs {
			if r.Tenant == tenant && slices.Contains(r.ItemIDs, item) {
				return r, nil
			}
		}
	case "latest created item wins":
		for _, r := range n.o.recs {
			if rec != nil && r.Tenant == tenant && slices.Contains(r.ItemIDs, item) && r.Created.After(rec.Created) {
				rec = r
			}
		}
	case "no older item":
		for _, r := range n.o.recs { // as an index that remembers one holder only
			if rec == nil || slices.Contains(r.ItemIDs, item) && r.Tenant == tenant && r != rec {
				rec = nil
				break
			}
		}
	case "item crosses tenants":
		for _, r := range n.o.recs {
			if rec == nil && slices.Contains(r.ItemIDs, item) {
				rec = r
			}
		}
	case "refused put leaves items":
		if rec == nil {
			rec = n.refused[[2]string{tenant, item}]
		}
	case "delete keeps items", "eviction keeps items", "items go later":
		for _, r := range n.leftover {
			if rec == nil && r.Tenant == tenant && slices.Contains(r.ItemIDs, item) {
				rec = r
			}
		}
	}
	return found(rec)
}

func (n *naive) Delete(_ context.Context, tenant, id string) error {
	if n.fault == "epoch before delete" {
		unlock := n.lock()
		n.o.deletions[tenant]++
		unlock()
		time.Sleep(10 * time.Microsecond) // as a backend with a round trip in between
		defer func() {
			n.mu.Lock()
			n.o.deletions[tenant]--
			n.mu.Unlock()
		}()
	}
	if n.fault == "items go later" {
		defer func() {
			runtime.Gosched()
			n.mu.Lock()
			n.leftover = nil
			n.mu.Unlock()
		}()
	}
	defer n.lock()()
	rec := n.o.get(tenant, id)
	if rec == nil {
		if n.fault == "second delete succeeds" {
			return nil
		}
		if n.fault == "vain delete changes epoch" {
			n.o.deletions["a"]++
		}
		return store.ErrNotFound
	}
	n.o.delete(tenant, id)
	n.deletes++
	switch n.fault {
	case "delete keeps items", "items go later":
		n.leftover = append(n.leftover, rec)
	case "delete takes children":
		for _, r := range slices.Clone(n.o.recs) {
			if r.Tenant == tenant && r.Parent == id {
				n.o.delete(tenant, r.ID)
			}
		}
	case "delete scribbles":
		clear(rec.Response)
	case "delete is forgotten":
		if n.deletes%50 == 0 {
			n.o.recs = append(n.o.recs, rec)
		}
	}
	return nil
}

func (n *naive) Epoch(_ context.Context, tenant string) (uint64, error) {
	defer n.lock()()
	switch n.fault {
	case "epoch stands still":
		return 0, nil
	case "epoch is one for all":
		return n.deletes, nil
	case "epoch comes back":
		return uint64(n.o.deletions[tenant] % 2), nil
	}
	return uint64(n.o.deletions[tenant]), nil
}

func (n *naive) Stats() store.Stats {
	defer n.lock()()
	s := store.Stats{
		Records: int64(len(n.o.recs)), Documents: int64(len(n.o.docs)), Entries: n.o.entryCount(), Bytes: n.o.bytes(),
		Evictions: n.o.evictions, Expired: n.o.expired,
	}
	switch n.fault {
	case "stats count deleted":
		s.Records += int64(n.deletes)
	case "budget is exceeded":
		if n.o.max > 0 {
			s.Bytes += n.o.max
		}
	}
	return s
}

func (n *naive) Close() error { return nil }
