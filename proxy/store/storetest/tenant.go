package storetest

import (
	"errors"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// tenants: two tenants with the same names never meet.
func tenants(e *env) {
	// Only a has these.
	rootA := e.record("a", "resp_root", "", "item_a")
	// Both have these, b's with a parent that only a has.
	sameA := e.record("a", "resp_same", "resp_root", "item_same")
	sameB := e.record("b", "resp_same", "resp_root", "item_same")
	ownB := e.record("b", "resp_own", "", "item_same", "item_b")
	e.put(rootA, sameA, sameB, ownB)

	e.wantGet(sameA)
	e.wantGet(sameB)
	e.wantGone("b", "resp_root")
	e.wantGone("a", "resp_own")
	e.wantGone("c", "resp_same")

	e.wantChain(rootA, sameA)
	e.wantBroken("b", "resp_same", "resp_root")

	e.wantItem("item_same", sameA)
	e.wantItem("item_same", ownB) // b's newest, not a's
	e.wantNoItem("a", "item_b")
	e.wantNoItem("b", "item_a")
	e.wantNoItem("c", "item_same")

	epochA, epochB := e.epochOf("a"), e.epochOf("b")
	for _, tenant := range []string{"b", "c", ""} {
		if err := e.store.Delete(e.ctx, tenant, "resp_root"); !errors.Is(err, store.ErrNotFound) {
			e.t.Errorf("Delete of a's record by %q: %v, want ErrNotFound", tenant, err)
		}
	}
	e.wantGet(rootA)
	if e.epochOf("a") != epochA || e.epochOf("b") != epochB {
		e.t.Error("a Delete that found nothing has changed an epoch")
	}

	e.delete("b", "resp_same")
	e.wantGone("b", "resp_same")
	e.wantChain(rootA, sameA)
	e.wantItem("item_same", sameA)
	if e.epochOf("a") != epochA {
		e.t.Error("b's Delete has changed a's epoch")
	}
	if e.epochOf("b") == epochB {
		e.t.Error("b's Delete has not changed b's epoch")
	}
}

// tenantNames: names that would be the same key if a backend joined them, with
// whatever separator or length prefix.
func tenantNames(e *env) {
	pairs := [][2]string{
		{"", "abc"}, {"a", "bc"}, {"ab", "c"}, {"abc", ""},
		{"n", "o"}, {"n\x00o", "p"}, {"n", "o\x00p"}, {"n\x00", "p"}, {"n", "\x00p"},
		{"n:o", "p"}, {"n", "o:p"}, {"n/o", "p"}, {"n", "o/p"}, {"n|o", "p"}, {"n", "o|p"},
		{"{n}o", "p"}, {"{n}", "op"}, {"n\xff", "o"}, {"n\xff\xff", "o"}, {"N", "o"},
		{"rec:n", "o"}, {"item:n", "o"}, {"*", "o"}, {"n*", "o"}, {"n?", "o"}, {"../n", "o"},
	}
	var recs []*store.Record
	for _, p := range pairs {
		recs = append(recs, e.record(p[0], p[1], "", "item"+p[1], p[1]))
	}
	e.put(recs...)
	for _, rec := range recs {
		e.wantGet(rec)
		e.wantItem("item"+rec.ID, rec)
		e.wantItem(rec.ID, rec) // items and records are separate name spaces
		e.wantChain(rec)
	}
	for i, rec := range recs {
		e.delete(rec.Tenant, rec.ID)
		e.wantGone(rec.Tenant, rec.ID)
		e.wantNoItem(rec.Tenant, "item"+rec.ID)
		for _, other := range recs[i+1:] {
			e.wantGet(other)
			e.wantItem("item"+other.ID, other)
		}
	}
}
