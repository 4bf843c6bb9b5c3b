package storetest

import (
	"errors"
	"time"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

var (
	modelTenants = []string{"a", "b", "c"}
	modelIDs     = []string{"r0", "r1", "r2", "r3", "r4", "r5"}
	modelItems   = []string{"i0", "i1", "i2", "i3"}
	modelLives   = []time.Duration{-time.Second, 1, time.Second, 3 * time.Second, 10 * time.Second, ttl, ttl, ttl}
)

// model: random operations of several tenants give what the oracle gives, and
// after each of them everything that can be asked is answered the same.
func model(e *env) {
	rapid.Check(e.t, func(rt *rapid.T) { runModel(e, rt, e.reopen(), 0) })
}

// modelBudget is the same with a budget of a few records.
func modelBudget(e *env) {
	const maxBytes = 6000
	rapid.Check(e.t, func(rt *rapid.T) {
		runModel(e, rt, e.caps.Budget(e.t, e.clock, maxBytes), maxBytes)
	})
}

type modelRun struct {
	*env
	rt     *rapid.T
	oracle *oracle
	epochs map[string]uint64 // as of the last look
	counts map[string]int    // deletions as of then
}

func runModel(e *env, rt *rapid.T, s store.Store, maxBytes int64) {
	m := &modelRun{
		env: e.with(s), rt: rt, oracle: newOracle(maxBytes),
		epochs: make(map[string]uint64), counts: make(map[string]int),
	}
	defer m.close()
	actions := map[string]func(*rapid.T){
		"":        m.check,
		"put":     m.put,
		"put2":    m.put, // twice as often
		"delete":  m.delete,
		"advance": m.advance,
	}
	if e.caps.Sweep != nil {
		actions["sweep"] = func(*rapid.T) { e.caps.Sweep(s) }
	}
	rt.Repeat(actions)
}

func (m *modelRun) put(rt *rapid.T) {
	rec := m.record(
		rapid.SampledFrom(modelTenants).Draw(rt, "tenant"),
		rapid.SampledFrom(modelIDs).Draw(rt, "id"),
		rapid.SampledFrom(append(modelIDs, "")).Draw(rt, "parent"),
		rapid.SliceOfN(rapid.SampledFrom(modelItems), 0, 3).Draw(rt, "items")...,
	)
	now := m.clock.Now()
	until(rec, now.Add(rapid.SampledFrom(modelLives).Draw(rt, "life")))
	if m.oracle.max > 0 {
		pad := rapid.SampledFrom([]int{0, 0, 500, 2000, 6000}).Draw(rt, "pad")
		rec.Response = append(rec.Response, make([]byte, pad)...)
	}
	// The store gets a copy: whatever it does to it, the oracle's is intact.
	got, want := m.store.Put(m.ctx, clone(rec)), m.oracle.put(now, rec)
	if !errors.Is(got, want) {
		rt.Fatalf("Put: %v, want %v", got, want)
	}
}

func (m *modelRun) delete(rt *rapid.T) {
	tenant := rapid.SampledFrom(modelTenants).Draw(rt, "tenant")
	id := rapid.SampledFrom(modelIDs).Draw(rt, "id")
	err := m.store.Delete(m.ctx, tenant, id)
	if found := m.oracle.delete(tenant, id); found != (err == nil) || err != nil && !errors.Is(err, store.ErrNotFound) {
		rt.Fatalf("Delete: %v, found by the oracle: %v", err, found)
	}
}

func (m *modelRun) advance(rt *rapid.T) {
	m.clock.Advance(rapid.SampledFrom([]time.Duration{1, 500 * time.Millisecond, time.Second, 5 * time.Second}).Draw(rt, "by"))
	m.oracle.advanceTo(m.clock.Now())
}

// check asks for everything.
func (m *modelRun) check(rt *rapid.T) {
	for _, tenant := range modelTenants {
		for _, id := range modelIDs {
			got, err := m.store.Get(m.ctx, tenant, id)
			m.compare(rt, "Get", tenant, id, got, err, m.oracle.get(tenant, id))
			m.compareChain(rt, tenant, id)
		}
		for _, item := range modelItems {
			got, err := m.store.Item(m.ctx, tenant, item)
			m.compare(rt, "Item", tenant, item, got, err, m.oracle.item(tenant, item))
		}

		epoch, err := m.store.Epoch(m.ctx, tenant)
		if err != nil {
			rt.Fatal(err)
		}
		last, looked := m.epochs[tenant]
		deleted := m.oracle.deletions[tenant] != m.counts[tenant]
		if looked && deleted != (epoch != last) {
			rt.Fatalf("epoch of %q was %d, is %d; deleted in between: %v", tenant, last, epoch, deleted)
		}
		m.epochs[tenant], m.counts[tenant] = epoch, m.oracle.deletions[tenant]
	}

	got := m.store.Stats()
	if m.oracle.max > 0 {
		if got.Evictions != m.oracle.evictions {
			rt.Fatalf("%+v, want %d evictions", got, m.oracle.evictions)
		}
		if got.Bytes > m.oracle.max {
			rt.Fatalf("%+v with a budget of %d bytes", got, m.oracle.max)
		}
	}
	// What has expired may be held a while longer, but is counted once.
	if held := int64(len(m.oracle.recs)); m.caps.ExactStats &&
		(got.Records < held || got.Bytes < m.oracle.bytes() || got.Records+got.Expired != held+m.oracle.expired) {
		rt.Fatalf("%+v, want %d records of %d bytes and %d expired", got, held, m.oracle.bytes(), m.oracle.expired)
	}
}

func (m *modelRun) compare(rt *rapid.T, method, tenant, name string, got *store.Record, err error, want *store.Record) {
	switch {
	case want == nil:
		if got != nil || !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("%s(%q, %q) = %v, %v; want ErrNotFound", method, tenant, name, got, err)
		}
	case err != nil:
		rt.Fatalf("%s(%q, %q): %v", method, tenant, name, err)
	default:
		if d := diff(got, want); d != "" {
			rt.Fatalf("%s(%q, %q): %s", method, tenant, name, d)
		}
	}
}

func (m *modelRun) compareChain(rt *rapid.T, tenant, id string) {
	got, err := m.store.Chain(m.ctx, tenant, id)
	want, missing := m.oracle.chain(tenant, id)
	if want == nil {
		var broken *store.BrokenChainError
		switch {
		case got != nil || !errors.Is(err, store.ErrNotFound):
			rt.Fatalf("Chain(%q, %q) = (%s), %v; want %q missing", tenant, id, ids(got), err, missing)
		case errors.As(err, &broken) != (m.oracle.get(tenant, id) != nil):
			// A BrokenChainError is for ancestors, not for the id itself.
			rt.Fatalf("Chain(%q, %q): %v; want %q missing", tenant, id, err, missing)
		case broken != nil && broken.Missing != missing:
			rt.Fatalf("Chain(%q, %q): %v; want %q missing", tenant, id, err, missing)
		}
		return
	}
	if err != nil || len(got) != len(want) {
		rt.Fatalf("Chain(%q, %q) = (%s), %v; want (%s)", tenant, id, ids(got), err, ids(want))
	}
	for i := range want {
		m.compare(rt, "Chain", tenant, id, got[i], nil, want[i])
	}
}
