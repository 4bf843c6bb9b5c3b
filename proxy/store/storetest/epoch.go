package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func epoch(e *env) {
	names := []string{"a", "b", "c", ""}
	seen := make(map[string]map[uint64]bool)
	for _, tenant := range names {
		seen[tenant] = map[uint64]bool{e.epochOf(tenant): true}
	}
	for round := range 20 {
		deleter := names[round%len(names)]
		before := make(map[string]uint64)
		for _, tenant := range names {
			before[tenant] = e.epochOf(tenant)
		}
		id := fmt.Sprintf("resp_%d", round)
		for _, tenant := range names {
			e.put(e.record(tenant, id, "", "item"))
		}
		if _, err := e.store.Get(e.ctx, deleter, id); err != nil {
			e.t.Error(err)
		}
		for _, tenant := range names {
			if got := e.epochOf(tenant); got != before[tenant] {
				e.t.Errorf("the epoch of %q changed without a Delete", tenant)
			}
		}

		e.delete(deleter, id)
		for _, tenant := range names {
			got := e.epochOf(tenant)
			switch {
			case tenant != deleter && got != before[tenant]:
				e.t.Errorf("a Delete by %q changed the epoch of %q", deleter, tenant)
			case tenant == deleter && seen[tenant][got]:
				e.t.Errorf("after a Delete %q has epoch %d, which it had before", tenant, got)
			}
			seen[tenant][got] = true
		}
	}

	// Expiry is no deletion.
	before := e.epochOf("a")
	e.put(until(e.record("a", "resp_short", ""), e.clock.Now().Add(time.Second)))
	e.clock.Advance(time.Second)
	if e.caps.Sweep != nil {
		e.caps.Sweep(e.store)
	}
	if e.epochOf("a") != before {
		e.t.Error("expiry has changed the epoch")
	}
}

// epochRace: who reads the epoch, then the record, and finds it, has an epoch
// that is not current any more once the record is deleted. It is what callers
// build their caches on.
func epochRace(e *env) {
	rounds := max(e.caps.Operations/100, 200)
	var (
		round  atomic.Int64 // the record that is being raced for
		seen   atomic.Int64 // the last one that a reader has found
		stop   atomic.Bool
		mu     sync.Mutex
		sawAt  = make(map[string]map[uint64]bool) // id → epochs under which it was seen
		closed sync.WaitGroup
	)
	for range 3 {
		closed.Go(func() {
			for ; !stop.Load(); runtime.Gosched() {
				now := round.Load()
				id := fmt.Sprintf("resp_%d", now)
				epoch, err := e.store.Epoch(e.ctx, "t")
				if err != nil {
					e.t.Error(err)
					return
				}
				if _, err := e.store.Chain(e.ctx, "t", id); err == nil {
					mu.Lock()
					if sawAt[id] == nil {
						sawAt[id] = make(map[uint64]bool)
					}
					sawAt[id][epoch] = true
					mu.Unlock()
					seen.Store(now)
				}
			}
		})
	}
	defer closed.Wait()
	defer stop.Store(true)
	// Many items, so that a Delete that is not one step takes its time.
	var items []string
	for i := range 30 {
		items = append(items, fmt.Sprintf("item_%d", i))
	}
	after := make([]uint64, rounds)
	for i := range rounds {
		id := fmt.Sprintf("resp_%d", i)
		e.put(e.record("t", id, "", items...))
		round.Store(int64(i))
		// So that the readers are at it.
		for start := time.Now(); seen.Load() < int64(i); runtime.Gosched() {
			if time.Since(start) > 20*time.Second {
				e.t.Fatalf("%s was put and no reader sees it", id)
			}
		}
		e.delete("t", id)
		after[i] = e.epochOf("t")
	}
	stop.Store(true)
	closed.Wait()
	for i, epoch := range after {
		id := fmt.Sprintf("resp_%d", i)
		if sawAt[id][epoch] {
			e.t.Errorf("%s was read under epoch %d, which is the epoch after its deletion", id, epoch)
		}
	}
}
