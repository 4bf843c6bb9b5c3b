package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// stats: Records and Bytes follow Put and Delete exactly, Expired follows the
// sweep.
func stats(e *env) {
	check := func(when string, want store.Stats) {
		e.t.Helper()
		if got := e.store.Stats(); got != want {
			e.t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	var want store.Stats
	check("empty", want)
	short := until(e.record("t", "resp_short", ""), e.clock.Now().Add(time.Second))
	for _, rec := range []*store.Record{e.record("a", "resp_1", "", "item"), e.record("b", "resp_1", "resp_0"), short} {
		e.put(rec)
		want.Records++
		want.Bytes += int64(rec.Size())
		check("after Put", want)
	}
	if err := e.store.Put(e.ctx, e.record("a", "resp_1", "")); !errors.Is(err, store.ErrExists) {
		e.t.Error(err)
	}
	check("after a Put that was refused", want)

	gone, _ := e.store.Get(e.ctx, "a", "resp_1")
	e.delete("a", "resp_1")
	want.Records--
	want.Bytes -= int64(gone.Size())
	check("after Delete", want)

	if e.caps.Sweep == nil {
		return
	}
	e.clock.Advance(time.Second)
	e.caps.Sweep(e.store)
	want.Records--
	want.Bytes -= int64(short.Size())
	want.Expired++
	check("after a sweep", want)
}

// budgetEnv replaces the case's store by one with a budget.
func (e *env) budgetEnv(maxBytes int64) *env {
	b := e.with(e.caps.Budget(e.t, e.clock, maxBytes))
	e.t.Cleanup(b.close)
	return b
}

// sized is a record of exactly that Size.
func (e *env) sized(size int, tenant, id, parent string, items ...string) *store.Record {
	rec := e.record(tenant, id, parent, items...)
	if rec.Size() > size {
		e.t.Fatalf("a record of %d bytes does not fit in %d", rec.Size(), size)
	}
	rec.Response = append(rec.Response, make([]byte, size-rec.Size())...)
	return rec
}

func budget(e *env) {
	const size, fit = 2000, 10
	e = e.budgetEnv(size * fit)
	var recs []*store.Record
	for i := range 3 * fit {
		// Tenants in turn, who have the same: the oldest of all is the next to go.
		recs = append(recs, e.sized(size, []string{"a", "b"}[i%2], fmt.Sprintf("resp_%d", i), ""))
	}
	e.put(recs[:fit]...)
	for _, rec := range recs[:fit] {
		e.wantGet(rec) // exactly full is not over, and reading refreshes nothing
	}
	if n := e.store.Stats().Evictions; n != 0 {
		e.t.Errorf("%d evictions in a store that is exactly full", n)
	}
	for i, rec := range recs[fit:] {
		e.put(rec)
		e.wantGone(recs[i].Tenant, recs[i].ID)
		e.wantGet(recs[i+1])
		e.wantGet(rec)
		if n := e.store.Stats().Evictions; n != int64(i+1) {
			e.t.Errorf("after %d records over the budget: %d evictions", i+1, n)
		}
		if b := e.store.Stats().Bytes; b > size*fit {
			e.t.Errorf("%d bytes are held, %d allowed", b, size*fit)
		}
	}
	for _, rec := range recs[:2*fit] {
		e.wantGone(rec.Tenant, rec.ID)
	}

	// One big record takes the place of several, of its own tenant, and of no more than needed.
	e.put(e.sized(size*7/2, "a", "resp_big", ""))
	for i, rec := range recs[2*fit:] {
		if i < 8 && i%2 == 0 {
			e.wantGone(rec.Tenant, rec.ID)
		} else {
			e.wantGet(rec)
		}
	}
	// What was deleted makes room.
	evictions := e.store.Stats().Evictions
	e.delete("a", "resp_big")
	e.put(e.sized(size, "b", "resp_last", ""))
	if n := e.store.Stats().Evictions; n != evictions {
		e.t.Errorf("%d evictions although there was room", n-evictions)
	}
	// An id that was evicted can be put again.
	e.put(recs[0])
	e.wantGet(recs[0])
}

func budgetTooLarge(e *env) {
	const size, fit = 2000, 10
	e = e.budgetEnv(size * fit)
	recs := make([]*store.Record, fit)
	for i := range recs {
		recs[i] = e.sized(size, "t", fmt.Sprintf("resp_%d", i), "")
	}
	e.put(recs...)
	if err := e.store.Put(e.ctx, e.sized(size*fit+1, "t", "resp_large", "", "item")); !errors.Is(err, store.ErrTooLarge) {
		e.t.Errorf("Put over the budget: %v, want ErrTooLarge", err)
	}
	e.wantGone("t", "resp_large")
	e.wantNoItem("t", "item")
	for _, rec := range recs {
		e.wantGet(rec) // nobody had to go for it
	}
	full := e.sized(size*fit, "t", "resp_full", "")
	e.put(full)
	e.wantGet(full)
	for _, rec := range recs {
		e.wantGone("t", rec.ID)
	}
}

// budgetExpired: what has expired goes before anything that is live, and is no
// eviction.
func budgetExpired(e *env) {
	const size, fit = 2000, 10
	e = e.budgetEnv(size * fit)
	var live, short []*store.Record
	for i := range fit {
		rec := e.sized(size, "t", fmt.Sprintf("resp_%d", i), "")
		if i%2 == 1 { // newer than a live one, so age order alone would be wrong
			short = append(short, until(rec, rec.Created.Add(time.Minute)))
		} else {
			live = append(live, rec)
		}
		e.put(rec)
	}
	e.clock.Advance(time.Minute)
	big := e.sized(size*len(short), "t", "resp_big", "") // in the place of all of them
	e.put(big)
	live = append(live, big)
	for _, rec := range live {
		e.wantGet(rec)
	}
	if got := e.store.Stats(); got.Evictions != 0 || got.Expired != int64(len(short)) {
		e.t.Errorf("%+v, want %d expired and no evictions", got, len(short))
	}
	e.put(e.sized(size, "t", "resp_over", ""))
	e.wantGone("t", live[0].ID)
	if n := e.store.Stats().Evictions; n != 1 {
		e.t.Errorf("%d evictions, want 1", n)
	}
}

// budgetShares: a tenant that writes ten times the budget pushes out what is its
// own, not what another has below its share. Alone it may use everything.
func budgetShares(e *env) {
	const size, fit = 2000, 300
	for _, greedy := range []string{"a", "z"} { // before and after the other by name
		e := e.budgetEnv(size * fit)
		var modest []*store.Record
		for i := range 100 {
			modest = append(modest, e.sized(size, "modest", fmt.Sprintf("resp_%d", i), ""))
		}
		for i := range fit {
			e.put(e.sized(size, greedy, fmt.Sprintf("resp_alone_%d", i), ""))
		}
		if got := e.store.Stats(); got.Evictions != 0 || got.Records != fit {
			e.t.Errorf("%+v, want all of the budget for a tenant that is alone", got)
		}
		e.put(modest...)
		note := e.writeDoc("modest", e.padded(size, "k", "note"))
		for i := range 10 * fit {
			if i%2 == 0 {
				e.put(e.sized(size, greedy, fmt.Sprintf("resp_%d", i), ""))
			} else {
				e.writeDoc(greedy, e.padded(size, "k", fmt.Sprint(i)))
			}
		}
		for _, rec := range modest {
			e.wantGet(rec)
		}
		e.wantDoc("modest", note)
		if got := e.store.Stats(); got.Bytes != size*fit {
			e.t.Errorf("%+v, want a full store", got)
		}
	}
}

// budgetItems: an eviction takes its items along, breaks chains, and leaves
// epochs alone.
func budgetItems(e *env) {
	const size, fit = 2000, 3
	e = e.budgetEnv(size * fit)
	root := e.sized(size, "t", "resp_root", "", "item_root", "item_both")
	child := e.sized(size, "t", "resp_child", "resp_root", "item_both", "item_child")
	leaf := e.sized(size, "t", "resp_leaf", "resp_child", "item_both")
	e.put(root, child, leaf)
	before := e.epochOf("t")

	next := e.sized(size, "t", "resp_next", "resp_leaf", "item_next")
	e.put(next)
	e.wantNoItem("t", "item_root")
	e.wantItem("item_both", leaf)
	e.wantBroken("t", "resp_next", "resp_root")
	e.delete("t", "resp_leaf")
	e.wantItem("item_both", child)
	before2 := e.epochOf("t")
	if before2 == before {
		e.t.Error("the epoch has not changed by Delete")
	}
	e.put(e.sized(2*size, "t", "resp_x", ""))
	e.wantNoItem("t", "item_both")
	e.wantNoItem("t", "item_child")
	e.wantItem("item_next", next)
	if e.epochOf("t") != before2 {
		e.t.Error("an eviction has changed the epoch")
	}
}

// budgetAtOnce: an evicted record goes for all methods at the same instant.
func budgetAtOnce(e *env) {
	const size, fit = 8000, 4
	e = e.budgetEnv(size * fit)
	var items []string // many, so that an eviction that is not one step takes its time
	for i := range 30 {
		items = append(items, fmt.Sprintf("item_%d_", i))
	}
	rounds := max(e.caps.Operations/50, 200)
	last := func(round int) string { return items[len(items)-1] + fmt.Sprint(round) }

	var put, checked atomic.Int64 // records put so far, and those that were seen to go
	var stop atomic.Bool
	var reader sync.WaitGroup
	defer reader.Wait()
	defer stop.Store(true)
	reader.Go(func() {
		for next := range rounds {
			for gone := false; !gone; runtime.Gosched() {
				if stop.Load() {
					return
				}
				if int(put.Load()) > next {
					_, err := e.store.Get(e.ctx, "t", fmt.Sprintf("resp_%d", next))
					gone = err != nil
				}
			}
			e.wantNoItem("t", last(next))
			checked.Add(1)
		}
	})
	for round := range rounds {
		own := make([]string, len(items))
		for i := range items {
			own[i] = items[i] + fmt.Sprint(round)
		}
		e.put(e.sized(size, "t", fmt.Sprintf("resp_%d", round), "", own...))
		put.Add(1)
		// With this Put the record before the last few had to go: the reader is
		// to see it before the next one goes.
		for start := time.Now(); int(checked.Load()) <= round-fit; runtime.Gosched() {
			if time.Since(start) > 20*time.Second {
				e.t.Fatalf("resp_%d is not evicted", round-fit)
			}
		}
	}
}
