package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

func putGet(e *env) {
	empty := e.record("t", "resp_empty", "")
	empty.Response, empty.Output, empty.Input = nil, [2]int{}, nil

	binary := e.record("t", "resp_binary", "", "item \x00\xff\"", "", "item")
	binary.Response = []byte("\x00\xff\xfe not JSON \r\n")
	binary.Output = [2]int{2, 5}

	big := e.record("t", "resp_big", "resp_binary")
	big.Response = []byte(strings.Repeat("0123456789abcdef", 1<<16))
	big.Output = [2]int{1 << 10, 1 << 19}

	many := e.record("t", "resp_many", "")
	for i := range 1000 {
		many.ItemIDs = append(many.ItemIDs, fmt.Sprintf("item_%d", i))
	}

	all := []*store.Record{
		e.record("t", "resp_1", ""), e.record("t", "resp_2", "resp_1", "item_a", "item_b"),
		e.record("", "resp_1", ""), // no tenant is a tenant
		empty, binary, big, many,
	}
	for _, rec := range all {
		want := clone(rec)
		e.put(rec)
		e.wantGet(want)
	}
	for _, rec := range all {
		e.wantGet(rec) // and later Puts leave it alone
	}
}

func putExists(e *env) {
	first := e.record("t", "resp_1", "", "item_1")
	second := e.record("t", "resp_1", "resp_0", "item_2")
	e.put(first)
	if err := e.store.Put(e.ctx, second); !errors.Is(err, store.ErrExists) {
		e.t.Errorf("second Put: %v, want ErrExists", err)
	}
	if err := e.store.Put(e.ctx, first); !errors.Is(err, store.ErrExists) {
		e.t.Errorf("the same record again: %v, want ErrExists", err)
	}
	e.wantGet(first)
	e.wantChain(first)
	e.wantItem("item_1", first)
	e.wantNoItem("t", "item_2") // nothing of the refused record stays
}

func notFound(e *env) {
	e.put(e.record("t", "resp_1", "", "item_1"))
	for _, id := range []string{"", "resp_", "resp_2", "resp_11", "RESP_1", "item_1"} {
		e.wantGone("t", id)
		if err := e.store.Delete(e.ctx, "t", id); !errors.Is(err, store.ErrNotFound) {
			e.t.Errorf("Delete(%q): %v, want ErrNotFound", id, err)
		}
	}
	e.wantNoItem("t", "")
	e.wantNoItem("t", "resp_1")
	e.wantNoItem("t", "item_")
}

func deleteRecord(e *env) {
	gone := e.record("t", "resp_1", "", "item_1", "item_2", "item_1") // an id twice is one item
	stays := e.record("t", "resp_2", "", "item_3")
	e.put(gone, stays)
	e.wantItem("item_1", gone)

	e.delete("t", "resp_1")
	e.wantGone("t", "resp_1")
	e.wantNoItem("t", "item_1")
	e.wantNoItem("t", "item_2")
	e.wantGet(stays)
	e.wantItem("item_3", stays)
	if err := e.store.Delete(e.ctx, "t", "resp_1"); !errors.Is(err, store.ErrNotFound) {
		e.t.Errorf("second Delete: %v, want ErrNotFound", err)
	}

	// The id is free, and nothing of the old record comes back with the new.
	again := e.record("t", "resp_1", "resp_2", "item_2")
	e.put(again)
	e.wantGet(again)
	e.wantChain(stays, again)
	e.wantItem("item_2", again)
	e.wantNoItem("t", "item_1")
}

// shared: records are handed out as they were put and nobody writes to them,
// through any method, also when they leave the store.
func shared(e *env) {
	root := e.record("t", "resp_1", "", "item_1")
	leaf := e.record("t", "resp_2", "resp_1", "item_1", "item_2")
	wantRoot, wantLeaf := clone(root), clone(leaf)
	e.put(root, leaf)

	got, err := e.store.Get(e.ctx, "t", "resp_2")
	if err != nil {
		e.t.Fatal(err)
	}
	chain, err := e.store.Chain(e.ctx, "t", "resp_2")
	if err != nil || len(chain) != 2 {
		e.t.Fatalf("Chain: %d records, %v", len(chain), err)
	}
	item, err := e.store.Item(e.ctx, "t", "item_1")
	if err != nil {
		e.t.Fatal(err)
	}
	// The slice that Chain returns is the caller's, the records are not.
	scratch, err := e.store.Chain(e.ctx, "t", "resp_2")
	if err != nil {
		e.t.Fatal(err)
	}
	clear(scratch)
	e.wantChain(wantRoot, wantLeaf)

	e.delete("t", "resp_2")
	e.delete("t", "resp_1")
	for i := range 100 {
		e.put(e.record("t", fmt.Sprintf("resp_x%d", i), ""))
	}
	for _, c := range []struct {
		what      string
		got, want *store.Record
	}{
		{"the root that was put", root, wantRoot}, {"the leaf that was put", leaf, wantLeaf},
		{"what Get returned", got, wantLeaf}, {"what Item returned", item, wantLeaf},
		{"the chain's root", chain[0], wantRoot}, {"the chain's leaf", chain[1], wantLeaf},
	} {
		if d := diff(c.got, c.want); d != "" {
			e.t.Errorf("%s has changed: %s", c.what, d)
		}
	}
}
