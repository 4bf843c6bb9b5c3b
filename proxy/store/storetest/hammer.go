package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

const (
	hammerGoroutines = 64
	hammerIDs        = 24
	hammerItems      = 12
)

var hammerTenants = []string{"a", "b", "c", "d"}

// hammer: 64 goroutines do everything at once to few records, while time passes.
// Whatever comes back must be whole and the caller's own, and once all is quiet
// the methods must agree with each other. Run it with -race.
func hammer(e *env) {
	e.hammer()
	e.checkQuiet()
	if !e.caps.ExactStats || e.caps.Sweep == nil {
		return
	}
	e.clock.Advance(2 * ttl)
	e.caps.Sweep(e.store)
	if got := e.store.Stats(); got.Records != 0 || got.Bytes != 0 || got.Evictions != 0 {
		e.t.Errorf("after everything has expired: %+v", got)
	}
}

// hammerBudget is the same with evictions going on.
func hammerBudget(e *env) {
	const maxBytes = 30_000
	e = e.budgetEnv(maxBytes)
	e.hammer()
	e.checkQuiet()
	got := e.store.Stats()
	if got.Evictions == 0 {
		e.t.Error("nothing was evicted: this proves nothing")
	}
	if got.Bytes > maxBytes {
		e.t.Errorf("%d bytes are held, %d allowed", got.Bytes, maxBytes)
	}
}

func (e *env) hammer() {
	var all sync.WaitGroup
	for g := range hammerGoroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for range max(e.caps.Operations/2/hammerGoroutines, 50) {
				e.hammerOne(rnd)
			}
		})
	}
	all.Wait()
}

func (e *env) hammerOne(rnd *rand.Rand) {
	tenant := hammerTenants[rnd.IntN(len(hammerTenants))]
	id := func() string { return fmt.Sprintf("resp_%d", rnd.IntN(hammerIDs)) }
	item := func() string { return fmt.Sprintf("item_%d", rnd.IntN(hammerItems)) }
	var err error
	switch op := rnd.IntN(100); {
	case op < 30:
		rec := e.record(tenant, id(), id(), item(), item())
		if rnd.IntN(3) == 0 {
			until(rec, rec.Created.Add(time.Duration(rnd.IntN(20))*time.Millisecond))
		}
		if err = e.store.Put(e.ctx, rec); errors.Is(err, store.ErrExists) {
			err = nil
		}
	case op < 45:
		err = e.store.Delete(e.ctx, tenant, id())
	case op < 65:
		var rec *store.Record
		want := id()
		if rec, err = e.store.Get(e.ctx, tenant, want); err == nil {
			e.checkWhole(rec, tenant, want)
		}
	case op < 80:
		var rec *store.Record
		if rec, err = e.store.Item(e.ctx, tenant, item()); err == nil {
			e.checkWhole(rec, tenant, rec.ID)
		}
	case op < 92:
		var chain []*store.Record
		want := id()
		if chain, err = e.store.Chain(e.ctx, tenant, want); err == nil {
			for _, c := range slices.Backward(chain) {
				e.checkWhole(c, tenant, want)
				want = c.Parent
			}
			if want != "" {
				e.t.Errorf("a chain without its root: %s", ids(chain))
			}
		}
	case op < 96:
		_, err = e.store.Epoch(e.ctx, tenant)
	case op < 98:
		if s := e.store.Stats(); s.Records < 0 || s.Bytes < 0 {
			e.t.Errorf("Stats: %+v", s)
		}
	default:
		e.clock.Advance(time.Millisecond)
		if e.caps.Sweep != nil {
			e.caps.Sweep(e.store)
		}
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		e.t.Error(err)
	}
}

// checkWhole: everything in a record is of the same making. The content tells
// its serial number, and that tells all the rest.
func (e *env) checkWhole(rec *store.Record, tenant, id string) {
	var serial int64
	_, tail, _ := bytes.Cut(rec.Response, []byte(`"serial":`))
	if _, err := fmt.Sscanf(string(tail), "%d", &serial); err != nil {
		e.t.Errorf("no serial number in %q", rec.Response)
		return
	}
	want := makeRecord(rec.Created, serial, tenant, id, rec.Parent, rec.ItemIDs...)
	want.Expires = rec.Expires
	if d := diff(rec, want); d != "" {
		e.t.Errorf("asked for (%q, %q): %s", tenant, id, d)
	}
}

// checkQuiet: with nobody else at work, Get, Item and Stats tell the same story.
func (e *env) checkQuiet() {
	var held store.Stats
	if e.caps.Sweep != nil {
		e.caps.Sweep(e.store)
	}
	for _, tenant := range hammerTenants {
		holders := make(map[string]bool) // items that must be found
		for i := range hammerIDs {
			rec, err := e.store.Get(e.ctx, tenant, fmt.Sprintf("resp_%d", i))
			if err != nil {
				continue
			}
			held.Records++
			held.Bytes += int64(rec.Size())
			for _, item := range rec.ItemIDs {
				holders[item] = true
			}
		}
		for i := range hammerItems {
			item := fmt.Sprintf("item_%d", i)
			if !holders[item] {
				e.wantNoItem(tenant, item)
				continue
			}
			rec, err := e.store.Item(e.ctx, tenant, item)
			if err != nil {
				e.t.Errorf("Item(%q, %q): %v, although a record holds it", tenant, item, err)
				continue
			}
			e.wantGet(rec)
		}
	}
	got := e.store.Stats()
	if e.caps.ExactStats && e.caps.Sweep != nil && (got.Records != held.Records || got.Bytes != held.Bytes) {
		e.t.Errorf("%+v, but %d records of %d bytes are there", got, held.Records, held.Bytes)
	}
}
