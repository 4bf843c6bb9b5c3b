package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// padded is a write of a document of exactly that Size.
func (e *env) padded(size int, kind, key string) store.DocWrite {
	d := &store.Doc{Kind: kind, Key: key}
	d.Body = make([]byte, size-d.Size())
	return store.DocWrite{Doc: d, If: store.AnyVersion}
}

// conversation writes a document with a log, of exactly that size together.
func (e *env) conversation(size int, tenant, key string) {
	e.t.Helper()
	w := e.padded(size/2, "conversation", key)
	w.Log = "items of " + key
	entry := store.Entry{Key: "item", Body: []byte{}}
	entry.Body = make([]byte, size-size/2-store.LogSize(w.Log)-entry.Size())
	e.commit(tenant, &store.Batch{
		Put:    []store.DocWrite{w},
		Append: []store.LogAppend{{Log: w.Log, Entries: []store.Entry{entry}}},
	})
}

// wantConversation demands that a conversation is there as a whole, or not at
// all.
func (e *env) wantConversation(tenant, key string, there bool) {
	e.t.Helper()
	_, err := e.store.Doc(e.ctx, tenant, "conversation", key)
	entries, _, listErr := e.store.Entries(e.ctx, tenant, "items of "+key, store.Page{Limit: 9})
	if listErr != nil || (err == nil) != there || (len(entries) > 0) != there {
		e.t.Errorf("conversation %q of %q: %v, %d items, %v; want it there: %v", key, tenant, err, len(entries), listErr, there)
	}
}

// budgetDocs: the budget is one for records, documents and logs; the oldest of
// the tenant that has most goes first, a conversation with its items.
func budgetDocs(e *env) {
	const size, fit = 4000, 4
	e = e.budgetEnv(size * fit)
	rec := e.sized(size, "a", "resp_1", "")
	e.conversation(size, "a", "1")
	e.put(rec)
	e.conversation(size, "b", "2")
	e.conversation(size, "a", "3")
	if got := e.store.Stats(); got.Evictions != 0 || got.Bytes != size*fit {
		e.t.Errorf("%+v, want %d bytes and no evictions", got, size*fit)
	}
	evictions := e.store.Stats().Evictions
	evicted := func(n int64) {
		e.t.Helper()
		if got := e.store.Stats(); got.Evictions != evictions+n || got.Bytes > size*fit {
			e.t.Errorf("%+v, want %d evictions and at most %d bytes", got, evictions+n, size*fit)
		}
		evictions += n
	}
	e.conversation(size, "a", "4")
	e.wantConversation("a", "1", false)
	e.wantGet(rec)
	evicted(1)

	// An append keeps a conversation young, and so does a write of its document.
	e.commit("b", &store.Batch{Remove: []store.EntryRef{{Log: "items of 2", Key: "item"}}})
	e.append("b", "items of 2", time.Time{}, 1, "x")
	e.put(e.sized(size, "a", "resp_2", ""))
	e.wantGone("a", "resp_1")
	e.wantConversation("a", "3", true)
	w := e.padded(size/2, "conversation", "3")
	w.Log = "items of 3"
	e.writeDoc("a", w)
	evicted(1)
	e.conversation(size, "b", "5")
	e.wantConversation("a", "4", false)
	e.wantConversation("b", "2", true)
	e.wantConversation("a", "3", true)
	evicted(1)

	// A document alone, and a log that goes with nothing. With conversations 2,
	// 3 and 5 and resp_2 the store is full but for what 2 has lost.
	e.writeDoc("b", e.padded(size/2, "note", "n"))
	e.append("b", "loose", time.Time{}, 0, "x")
	e.put(e.sized(size, "b", "resp_10", ""))
	if _, err := e.store.Doc(e.ctx, "b", "note", "n"); err != nil {
		e.t.Errorf("the note is younger than what had to go: %v", err)
	}
	e.put(e.sized(2*size, "b", "resp_20", ""))
	e.wantNoDoc("b", "note", "n")
	e.wantLog("b", "loose", nil, "x")
	for _, key := range []string{"2", "5"} {
		e.wantConversation("b", key, false)
	}
	e.wantConversation("a", "3", true) // half of the budget is a's share
}

// budgetKept: leases and what is the system's are never pushed out; when nothing
// else is left a write is refused, and pushes nothing out in vain.
func budgetKept(e *env) {
	const size, fit = 4000, 4
	e = e.budgetEnv(size * fit)
	lease := e.padded(size/2, "lease", "l")
	lease.Keep, lease.Log = true, "events"
	e.commit("a", &store.Batch{
		Put:    []store.DocWrite{lease},
		Append: []store.LogAppend{{Log: "events", Entries: []store.Entry{{Key: "x", Body: make([]byte, 200)}}}},
	})
	queue := e.writeDoc(store.SystemTenant, e.padded(size, "queue", "q"))
	e.append(store.SystemTenant, "queue", time.Time{}, 0, "x")
	kept := func() {
		e.t.Helper()
		e.wantDoc(store.SystemTenant, queue)
		for tenant, log := range map[string]string{"a": "events", store.SystemTenant: "queue"} {
			if _, err := e.store.Entry(e.ctx, tenant, log, "x"); err != nil {
				e.t.Errorf("log %q: %v", log, err)
			}
		}
		if _, err := e.store.Doc(e.ctx, "a", "lease", "l"); err != nil {
			e.t.Errorf("the lease: %v", err)
		}
	}
	for i := range 10 {
		e.put(e.sized(size, "a", fmt.Sprintf("resp_%d", i), ""))
	}
	kept()

	last := e.record("a", "resp_last", "")
	e.put(last)
	evictions := e.store.Stats().Evictions
	for what, err := range map[string]error{
		"Put":    e.store.Put(e.ctx, e.sized(3*size, "a", "resp_big", "")),
		"Commit": e.store.Commit(e.ctx, "a", &store.Batch{Put: []store.DocWrite{e.padded(3*size, "note", "n")}}),
	} {
		if !errors.Is(err, store.ErrFull) {
			e.t.Errorf("%s with no room: %v, want ErrFull", what, err)
		}
	}
	e.refused("a", &store.Batch{Put: []store.DocWrite{e.padded(size*fit+1, "note", "n")}}, store.ErrTooLarge)
	e.wantGet(last)
	kept()
	if n := e.store.Stats().Evictions; n != evictions {
		e.t.Errorf("%d evictions for what was refused", n-evictions)
	}

	// What is not kept any more can go; what a batch names stays for its sake.
	lease.Keep, lease.Doc = false, e.padded(size/2, "lease", "l").Doc
	e.writeDoc("a", lease)
	more := &store.Batch{Append: []store.LogAppend{{Log: "events", Entries: []store.Entry{{Key: "y", Body: make([]byte, size)}}}}}
	e.commit("a", more)
	if entries, _, err := e.store.Entries(e.ctx, "a", "events", store.Page{Limit: 9}); err != nil || len(entries) != 2 {
		e.t.Errorf("events: %d, %v", len(entries), err)
	}
	e.put(e.sized(2*size, "a", "resp_end", ""))
	e.wantNoDoc("a", "lease", "l")
	e.wantLog("a", "events", nil, "x", "y")
	e.wantDoc(store.SystemTenant, queue)
}
