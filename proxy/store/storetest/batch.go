package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// everything is a batch that changes something of every kind.
func (e *env) everything(n int, version uint64) *store.Batch {
	name := strconv.Itoa(n)
	return &store.Batch{
		Records: []*store.Record{e.record("t", "resp_"+name, "", "item_"+name), e.record("t", "resp_b"+name, "resp_"+name)},
		Put: []store.DocWrite{
			{Doc: &store.Doc{Kind: "k", Key: "written", Body: []byte(name)}, If: version},
			{Doc: &store.Doc{Kind: "k", Key: "new_" + name, Body: []byte(name)}, If: store.Absent},
		},
		Delete: []store.Condition{{Kind: "k", Key: "deleted", Version: store.AnyVersion}},
		Append: []store.LogAppend{{Log: "grows", Entries: []store.Entry{{Key: "e_" + name, Body: []byte(name)}, {Body: []byte(name)}}}},
		Remove: []store.EntryRef{{Log: "shrinks", Key: "removed"}},
		Drop:   []string{"dropped"},
	}
}

// batchAtomic: a batch that cannot be applied leaves no trace, for whatever
// reason and whatever else is in it; and one that can leaves all.
func batchAtomic(e *env) {
	written, deleted := e.write("t", "k", "written", time.Time{}), e.write("t", "k", "deleted", time.Time{})
	grows := e.append("t", "grows", time.Time{}, 0, "there")
	shrinks := e.append("t", "shrinks", time.Time{}, 0, "removed", "stays")
	dropped := e.append("t", "dropped", time.Time{}, 0, "x")
	there := e.record("t", "resp_there", "", "item_there")
	e.put(there)
	before := e.store.Stats()

	for what, fault := range map[string]struct {
		spoil func(*store.Batch)
		err   error
	}{
		"a condition of Require": {func(b *store.Batch) {
			b.Require = []store.Condition{{Kind: "k", Key: "deleted", Version: deleted.Version + 1}}
		}, store.ErrConflict},
		"a condition of Put": {func(b *store.Batch) { b.Put[1].If = 7 }, store.ErrConflict},
		"a condition of Delete": {func(b *store.Batch) {
			b.Delete = append(b.Delete, store.Condition{Kind: "k", Key: "x", Version: 7})
		}, store.ErrConflict},
		"a record": {func(b *store.Batch) { b.Records = append(b.Records, e.record("t", "resp_there", "")) }, store.ErrExists},
		"an entry": {func(b *store.Batch) {
			b.Append[0].Entries = append(b.Append[0].Entries, store.Entry{Key: "there"})
		}, store.ErrExists},
		"another log": {func(b *store.Batch) {
			b.Append = append(b.Append, store.LogAppend{Log: "shrinks", Entries: []store.Entry{{Key: "stays"}}})
		}, store.ErrExists},
		"a removal": {func(b *store.Batch) {
			b.Remove = append(b.Remove, store.EntryRef{Log: "shrinks", Key: "x"})
		}, store.ErrNotFound},
	} {
		e.t.Log(what)
		b := e.everything(1, written.Version)
		fault.spoil(b)
		e.refused("t", b, fault.err)
		e.wantDoc("t", written)
		e.wantDoc("t", deleted)
		e.wantNoDoc("t", "k", "new_1")
		e.wantLog("t", "grows", grows, "e_1")
		e.wantLog("t", "shrinks", shrinks)
		e.wantLog("t", "dropped", dropped)
		e.wantGone("t", "resp_1")
		e.wantGone("t", "resp_b1")
		e.wantNoItem("t", "item_1")
		if after := e.store.Stats(); e.caps.ExactStats && after != before {
			e.t.Errorf("%+v, want %+v", after, before)
		}
	}

	b := e.everything(1, written.Version)
	recs := []*store.Record{clone(b.Records[0]), clone(b.Records[1])}
	e.commit("t", b)
	for i := range b.Put {
		d := *b.Put[i].Doc
		d.Version = b.Put[i].Version
		e.wantDoc("t", &d)
	}
	e.wantNoDoc("t", "k", "deleted")
	e.wantLog("t", "grows", append(grows, store.Entry{Seq: 1, Key: "e_1", Body: []byte("1")}, store.Entry{Seq: 2, Body: []byte("1")}))
	e.wantLog("t", "shrinks", shrinks[1:], "removed")
	e.wantLog("t", "dropped", nil, "x")
	e.wantGet(recs[0])
	e.wantChain(recs...)
	e.wantItem("item_1", recs[0])
	e.commit("t", new(store.Batch)) // nothing is a batch
}

// batchCheck: what makes no sense is refused as such, and nothing is changed.
func batchCheck(e *env) {
	doc := func(kind, key string) store.DocWrite {
		return store.DocWrite{Doc: &store.Doc{Kind: kind, Key: key}, If: store.AnyVersion}
	}
	e.append("t", "l", time.Time{}, 0, "a")
	for what, b := range map[string]*store.Batch{
		"a document twice":            {Put: []store.DocWrite{doc("k", "a"), doc("k", "b"), doc("k", "a")}},
		"written and deleted":         {Put: []store.DocWrite{doc("k", "a")}, Delete: []store.Condition{{Kind: "k", Key: "a", Version: store.AnyVersion}}},
		"a record twice":              {Records: []*store.Record{e.record("t", "resp_1", ""), e.record("t", "resp_1", "")}},
		"another's record":            {Records: []*store.Record{e.record("u", "resp_1", "")}},
		"a log twice":                 {Append: []store.LogAppend{{Log: "m", Entries: []store.Entry{{}}}, {Log: "m", Entries: []store.Entry{{}}}}},
		"an entry removed twice":      {Remove: []store.EntryRef{{Log: "l", Key: "a"}, {Log: "l", Key: "a"}}},
		"a removal from a gone log":   {Remove: []store.EntryRef{{Log: "l", Key: "a"}}, Drop: []string{"l"}},
		"a kind of no letters":        {Put: []store.DocWrite{doc("", "a")}},
		"a kind of other letters":     {Put: []store.DocWrite{doc("K", "a")}},
		"a key of nothing":            {Put: []store.DocWrite{doc("k", "")}},
		"many documents, one of them": {Put: append(manyDocs(20), doc("k", "doc_7"))},
	} {
		var bad *store.BatchError
		if err := e.store.Commit(e.ctx, "t", b); !errors.As(err, &bad) || bad.Reason == "" {
			e.t.Errorf("%s: %v, want a BatchError", what, err)
		}
	}
	e.wantDocs("t", "k", store.Page{Limit: 9}, false)
	e.wantGone("t", "resp_1")
	e.wantGone("u", "resp_1")
	e.wantLog("t", "m", nil)
	e.wantLog("t", "l", []store.Entry{{Key: "a", Body: []byte("entry 1")}})
	e.commit("t", &store.Batch{Put: manyDocs(20)})
}

func manyDocs(n int) (docs []store.DocWrite) {
	for i := range n {
		docs = append(docs, store.DocWrite{Doc: &store.Doc{Kind: "k", Key: fmt.Sprintf("doc_%d", i)}, If: store.AnyVersion})
	}
	return docs
}

// batchAtOnce: batches change two documents, a log and two records while others
// read: whoever has seen one change of a batch sees the others.
func batchAtOnce(e *env) {
	rounds := max(e.caps.Operations/20, 100)
	type look struct {
		what string
		see  func(e *env) int // the latest batch of which this change is seen
	}
	doc := func(key string) func(e *env) int {
		return func(e *env) int {
			d, err := e.store.Doc(e.ctx, "t", "k", key)
			if err != nil {
				return 0
			}
			n, _ := strconv.Atoi(string(d.Body))
			return n
		}
	}
	looks := []look{
		{"Doc a", doc("a")}, {"Doc b", doc("b")},
		{"Docs", func(e *env) int {
			docs, _, err := e.store.Docs(e.ctx, "t", "k", store.Page{Limit: 9})
			if err != nil || len(docs) != 2 {
				return 0
			}
			if string(docs[0].Body) != string(docs[1].Body) {
				e.t.Errorf("Docs shows a of batch %s and b of batch %s", docs[0].Body, docs[1].Body)
			}
			n, _ := strconv.Atoi(string(docs[0].Body))
			return n
		}},
		{"Entries", func(e *env) int {
			entries, _, err := e.store.Entries(e.ctx, "t", "l", store.Page{Limit: 1, Descending: true})
			if err != nil || len(entries) == 0 {
				return 0
			}
			return int(entries[0].Seq) + 1
		}},
	}
	var put atomic.Int64 // the batch that is being raced for; there is none before 1
	put.Store(1)
	for _, prefix := range []string{"resp_a", "resp_b"} {
		looks = append(looks, look{"Get " + prefix, func(e *env) int {
			n := int(put.Load())
			if _, err := e.store.Get(e.ctx, "t", prefix+strconv.Itoa(n)); err != nil {
				return n - 1
			}
			return n
		}})
	}

	var (
		stop    atomic.Bool
		readers sync.WaitGroup
		looked  sync.WaitGroup // every pair, before the first batch
	)
	defer readers.Wait()
	defer stop.Store(true)
	for r := range 3 {
		looked.Add(1)
		readers.Go(func() {
			ready := sync.OnceFunc(looked.Done)
			defer ready()
			for i := r; !stop.Load(); i++ {
				if i-r == len(looks)*len(looks) {
					ready()
				}
				// Every pair comes up, in both orders.
				first, second := looks[i%len(looks)], looks[(i/len(looks))%len(looks)]
				a := first.see(e)
				if b := second.see(e); b < a && !stop.Load() {
					e.t.Errorf("%s shows batch %d, then %s shows batch %d", first.what, a, second.what, b)
					return
				}
				if i%16 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	looked.Wait()
	for i := 1; i <= rounds && !e.t.Failed(); i++ {
		name := strconv.Itoa(i)
		put.Store(int64(i))
		e.commit("t", &store.Batch{
			Records: []*store.Record{e.record("t", "resp_a"+name, ""), e.record("t", "resp_b"+name, "")},
			Put: []store.DocWrite{
				{Doc: &store.Doc{Kind: "k", Key: "a", Body: []byte(name)}, If: store.AnyVersion},
				{Doc: &store.Doc{Kind: "k", Key: "b", Body: []byte(name)}, If: store.AnyVersion},
			},
			Append: []store.LogAppend{{Log: "l", Entries: []store.Entry{{Body: []byte(name)}}}},
		})
	}
}

// batchOnce: of many who want to write on one version only one does. It is what
// leases are made of.
func batchOnce(e *env) {
	const claimants = 8
	rounds := max(e.caps.Operations/500, 50)
	d := e.write("t", "lease", "key", time.Time{})
	for round := range rounds {
		var (
			all  sync.WaitGroup
			wins atomic.Int64
			next atomic.Uint64
		)
		for c := range claimants {
			all.Go(func() {
				b := &store.Batch{
					Put:    []store.DocWrite{{Doc: &store.Doc{Kind: "lease", Key: "key", Body: []byte{byte(c)}}, If: d.Version}},
					Append: []store.LogAppend{{Log: "won", Entries: []store.Entry{{Body: []byte{byte(c)}}}}},
				}
				switch err := e.store.Commit(e.ctx, "t", b); {
				case err == nil:
					wins.Add(1)
					next.Store(b.Put[0].Version)
				case !errors.Is(err, store.ErrConflict):
					e.t.Error(err)
				}
			})
		}
		all.Wait()
		if n := wins.Load(); n != 1 {
			e.t.Fatalf("round %d: %d of %d have won", round, n, claimants)
		}
		got, err := e.store.Doc(e.ctx, "t", "lease", "key")
		entries, _, entriesErr := e.store.Entries(e.ctx, "t", "won", store.Page{Limit: 1, Descending: true})
		if err != nil || entriesErr != nil || got.Version != next.Load() || len(entries) != 1 || entries[0].Seq != uint64(round) ||
			string(entries[0].Body) != string(got.Body) {
			e.t.Fatalf("round %d: %v, %v; %v, %v", round, got, err, entries, entriesErr)
		}
		d = got
	}
}
