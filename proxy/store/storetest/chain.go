package storetest

import (
	"fmt"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// line puts a chain of n records and returns it, root first.
func (e *env) line(tenant, prefix string, n int) []*store.Record {
	e.t.Helper()
	recs := make([]*store.Record, n)
	parent := ""
	for i := range recs {
		recs[i] = e.record(tenant, fmt.Sprintf("%s_%d", prefix, i), parent)
		parent = recs[i].ID
	}
	e.put(recs...)
	return recs
}

func chains(e *env) {
	for _, n := range []int{1, 2, 3, 63, 64, 65, 1000} {
		recs := e.line("t", fmt.Sprintf("resp_%d", n), n)
		e.wantChain(recs...)
		e.wantChain(recs[:1]...)
		e.wantChain(recs[:(n+1)/2]...)
	}

	// A parent is looked up when the chain is read.
	late := e.record("t", "resp_late", "resp_later")
	e.put(late)
	e.wantBroken("t", "resp_late", "resp_later")
	later := e.record("t", "resp_later", "")
	e.put(later)
	e.wantChain(later, late)
}

func chainBranches(e *env) {
	trunk := e.line("t", "resp_trunk", 3)
	fork := trunk[2].ID
	left := []*store.Record{e.record("t", "resp_l1", fork), e.record("t", "resp_l2", "resp_l1")}
	right := []*store.Record{e.record("t", "resp_r1", fork), e.record("t", "resp_r2", "resp_r1")}
	e.put(left[0], right[0], right[1], left[1])

	path := func(parts ...[]*store.Record) (all []*store.Record) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	e.wantChain(path(trunk, left)...)
	e.wantChain(path(trunk, right)...)

	e.delete("t", "resp_l1")
	e.wantBroken("t", "resp_l2", "resp_l1")
	e.wantChain(path(trunk, right)...)
	e.wantChain(trunk...)
}

func chainBroken(e *env) {
	// The parent, an inner record, the root.
	for i, at := range []int{8, 4, 0} {
		recs := e.line("t", fmt.Sprintf("resp_%d", i), 10)
		e.delete("t", recs[at].ID)
		e.wantBroken("t", recs[9].ID, recs[at].ID)
		e.wantBroken("t", recs[at+1].ID, recs[at].ID)
		e.wantGone("t", recs[at].ID)
		e.wantGet(recs[9]) // descendants stay
		if at > 0 {
			e.wantChain(recs[:at]...)
		}
		// With two gone it is the nearest that is named.
		if at == 4 {
			e.delete("t", recs[1].ID)
			e.wantBroken("t", recs[9].ID, recs[4].ID)
			e.wantBroken("t", recs[3].ID, recs[1].ID)
		}
	}

	// A parent that never was.
	e.put(e.record("t", "resp_orphan", "resp_never"))
	e.wantBroken("t", "resp_orphan", "resp_never")

	// An expired ancestor is gone like a deleted one.
	now := e.clock.Now()
	root := until(e.record("t", "resp_root", ""), now.Add(time.Minute))
	child := until(e.record("t", "resp_child", "resp_root"), now.Add(time.Hour))
	leaf := until(e.record("t", "resp_leaf", "resp_child"), now.Add(time.Hour))
	e.put(root, child, leaf)
	e.wantChain(root, child, leaf)
	e.clock.Advance(time.Minute)
	e.wantBroken("t", "resp_leaf", "resp_root")
	e.clock.Advance(time.Hour)
	e.wantGone("t", "resp_leaf")
}

// chainCycle: records whose ancestors lead back to them cannot hang a request.
// The parent that closes the cycle counts as missing.
func chainCycle(e *env) {
	self := e.record("t", "resp_self", "resp_self")
	onSelf := e.record("t", "resp_on_self", "resp_self")
	e.put(self, onSelf)

	for _, n := range []int{2, 3, 7, 64, 100} {
		for i := range n {
			e.put(e.record("t", fmt.Sprintf("resp_%d_%d", n, i), fmt.Sprintf("resp_%d_%d", n, (i+1)%n)))
		}
		// A tail that leads into the cycle.
		parent := fmt.Sprintf("resp_%d_0", n)
		for i := range 5 {
			id := fmt.Sprintf("resp_%d_tail%d", n, i)
			e.put(e.record("t", id, parent))
			parent = id
		}
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		e.wantBroken("t", "resp_self", "resp_self")
		e.wantBroken("t", "resp_on_self", "resp_self")
		for _, n := range []int{2, 3, 7, 64, 100} {
			for _, i := range []int{0, 1, n - 1} {
				id := fmt.Sprintf("resp_%d_%d", n, i)
				e.wantBroken("t", id, id)
			}
			e.wantBroken("t", fmt.Sprintf("resp_%d_tail4", n), fmt.Sprintf("resp_%d_0", n))
		}
	}()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		// Not Fatal: the walk goes on in its goroutine, and eats memory.
		panic("storetest: Chain does not return from a cycle")
	}
}
