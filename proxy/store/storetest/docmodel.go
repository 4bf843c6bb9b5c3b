package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

var (
	docTenants = []string{"a", "b", store.SystemTenant}
	docKinds   = []string{"conversation", "lease"}
	docKeys    = []string{"k0", "k1", "k\x00", "é"}
	docLogs    = []string{"", "l0", "l1", "l2"}
	docEntries = []string{"", "", "e0", "e1", "e2"}
	docLives   = []time.Duration{-time.Second, 1, time.Second, 5 * time.Second, 0, 0, 0, ttl}
)

// docModel: random batches of several tenants give what the oracle gives, and
// after each of them everything that can be asked is answered the same.
func docModel(e *env) {
	rapid.Check(e.t, func(rt *rapid.T) { runDocModel(e, rt, e.reopen(), 0) })
}

// docModelBudget is the same with a budget for a few documents. A batch writes
// one document and its log only: which of several goes first is not promised.
func docModelBudget(e *env) {
	const maxBytes = 8000
	rapid.Check(e.t, func(rt *rapid.T) {
		runDocModel(e, rt, e.caps.Budget(e.t, e.clock, maxBytes), maxBytes)
	})
}

type docModelRun struct {
	*env
	oracle  *oracle
	version map[uint64]uint64 // the oracle's versions → the store's
	seen    map[uint64]bool   // versions of the store
}

func runDocModel(e *env, rt *rapid.T, s store.Store, maxBytes int64) {
	m := &docModelRun{
		env: e.with(s), oracle: newOracle(maxBytes),
		version: make(map[uint64]uint64), seen: make(map[uint64]bool),
	}
	m.oracle.advanceTo(m.clock.Now())
	defer m.close()
	commit := m.commit
	if maxBytes > 0 {
		commit = m.commitUnit
	}
	actions := map[string]func(*rapid.T){
		"":        m.check,
		"commit":  commit,
		"commit2": commit,
		"put":     m.put,
		"advance": m.advance,
	}
	if e.caps.Sweep != nil {
		actions["sweep"] = func(*rapid.T) { e.caps.Sweep(s) }
	}
	rt.Repeat(actions)
}

func (m *docModelRun) advance(rt *rapid.T) {
	m.clock.Advance(rapid.SampledFrom([]time.Duration{1, time.Second, 5 * time.Second}).Draw(rt, "by"))
	m.oracle.advanceTo(m.clock.Now())
}

// put puts a record, to be in the way of batches.
func (m *docModelRun) put(rt *rapid.T) {
	rec := m.record("a", rapid.SampledFrom(modelIDs).Draw(rt, "id"), "", "i0")
	got, want := m.store.Put(m.ctx, clone(rec)), m.oracle.put(m.clock.Now(), rec)
	if !errors.Is(got, want) {
		rt.Fatalf("Put: %v, want %v", got, want)
	}
}

// life is a random end.
func (m *docModelRun) life(rt *rapid.T) time.Time {
	if d := rapid.SampledFrom(docLives).Draw(rt, "life"); d != 0 {
		return m.clock.Now().Add(d)
	}
	return time.Time{}
}

func draw[T any](rt *rapid.T, from []T, what string) T { return rapid.SampledFrom(from).Draw(rt, what) }

// drawVersion is a condition in the oracle's versions: mostly one that holds.
func (m *docModelRun) drawVersion(rt *rapid.T, tenant, kind, key string) uint64 {
	now := store.Absent
	if d := m.oracle.doc(tenant, kind, key); d != nil {
		now = d.doc.Version
	}
	return draw(rt, []uint64{now, now, now, store.AnyVersion, store.AnyVersion, store.Absent, m.oracle.version}, "if")
}

func (m *docModelRun) drawWrite(rt *rapid.T, tenant string) store.DocWrite {
	kind, key := draw(rt, docKinds, "kind"), draw(rt, docKeys, "key")
	return store.DocWrite{
		Doc: &store.Doc{Kind: kind, Key: key, Expires: m.life(rt), Body: m.body(rt)},
		If:  m.drawVersion(rt, tenant, kind, key),
	}
}

func (m *docModelRun) body(rt *rapid.T) []byte {
	body := fmt.Appendf(nil, "body %d", m.serial.Add(1))
	if m.oracle.max > 0 {
		body = append(body, make([]byte, draw(rt, []int{0, 0, 500, 2000, 9000}, "pad"))...)
	}
	return slices.Clip(body)
}

func (m *docModelRun) drawEntries(rt *rapid.T) (entries []store.Entry) {
	for range rapid.IntRange(0, 3).Draw(rt, "entries") {
		entries = append(entries, store.Entry{Seq: 99, Key: draw(rt, docEntries, "entry"), Body: m.body(rt)})
	}
	return entries
}

// some calls f a few times at most.
func some(rt *rapid.T, what string, f func()) {
	for range draw(rt, []int{0, 0, 1, 1, 2}, what) {
		f()
	}
}

func (m *docModelRun) commit(rt *rapid.T) {
	tenant := draw(rt, docTenants, "tenant")
	b := new(store.Batch)
	some(rt, "require", func() {
		kind, key := draw(rt, docKinds, "kind"), draw(rt, docKeys, "key")
		b.Require = append(b.Require, store.Condition{Kind: kind, Key: key, Version: m.drawVersion(rt, tenant, kind, key)})
	})
	some(rt, "put", func() { b.Put = append(b.Put, m.drawWrite(rt, tenant)) })
	some(rt, "delete", func() {
		kind, key := draw(rt, docKinds, "kind"), draw(rt, docKeys, "key")
		b.Delete = append(b.Delete, store.Condition{Kind: kind, Key: key, Version: m.drawVersion(rt, tenant, kind, key)})
	})
	some(rt, "append", func() {
		b.Append = append(b.Append, store.LogAppend{Log: draw(rt, docLogs, "log"), Entries: m.drawEntries(rt), Expires: m.life(rt)})
	})
	if rapid.Bool().Draw(rt, "remove") {
		log := draw(rt, docLogs, "log")
		if l := m.oracle.log(tenant, log); l != nil && len(l.entries) > 0 {
			b.Remove = append(b.Remove, store.EntryRef{Log: log, Key: draw(rt, l.entries, "entry").Key})
		} else {
			b.Remove = append(b.Remove, store.EntryRef{Log: log, Key: draw(rt, docEntries, "entry")})
		}
	}
	if draw(rt, []bool{false, false, false, true}, "drop") {
		b.Drop = append(b.Drop, draw(rt, docLogs, "log"))
	}
	some(rt, "record", func() {
		rec := m.record(tenant, draw(rt, modelIDs, "id"), "", "i0")
		if rapid.Bool().Draw(rt, "short") {
			until(rec, rec.Created.Add(time.Second))
		}
		b.Records = append(b.Records, rec)
	})
	m.try(rt, tenant, b)
}

// commitUnit writes one document, its log, or both.
func (m *docModelRun) commitUnit(rt *rapid.T) {
	tenant := draw(rt, docTenants, "tenant")
	b := new(store.Batch)
	w := m.drawWrite(rt, tenant)
	log := "log of " + w.Doc.Key // of one kind only
	if w.Doc.Kind == docKinds[0] {
		w.Log = log
	}
	if w.Keep = draw(rt, []bool{false, false, false, true}, "keep"); w.Keep {
		w.Doc.Expires = time.Time{} // how young its log is after that is not promised
	}
	switch draw(rt, []string{"put", "put", "append", "both", "both", "delete", "drop"}, "what") {
	case "put":
		b.Put = append(b.Put, w)
	case "append":
		b.Append = append(b.Append, store.LogAppend{Log: log, Entries: m.drawEntries(rt), Expires: m.life(rt)})
	case "both":
		w.Doc.Kind, w.Log = docKinds[0], log
		b.Put = append(b.Put, w)
		b.Append = append(b.Append, store.LogAppend{Log: log, Entries: m.drawEntries(rt), Expires: m.life(rt)})
	case "delete":
		b.Delete = append(b.Delete, store.Condition{Kind: w.Doc.Kind, Key: w.Doc.Key, Version: store.AnyVersion})
	case "drop":
		b.Drop = append(b.Drop, log)
	}
	m.try(rt, tenant, b)
}

// try gives a batch to the store and to the oracle.
func (m *docModelRun) try(rt *rapid.T, tenant string, b *store.Batch) {
	actual := m.translated(b)
	err := m.store.Commit(m.ctx, tenant, actual)
	want := m.oracle.commit(m.clock.Now(), tenant, b)
	if len(want) == 0 {
		if err != nil {
			rt.Fatalf("Commit: %v", err)
		}
		for i := range b.Put {
			m.learn(rt, b.Put[i].Version, actual.Put[i].Version)
		}
		return
	}
	var bad *store.BatchError
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) || errors.As(w, &bad) && errors.As(err, &bad) }) {
		rt.Fatalf("Commit: %v, want %v", err, want)
	}
}

// translated is the batch in the store's versions, and shares nothing with the
// oracle's.
func (m *docModelRun) translated(b *store.Batch) *store.Batch {
	version := func(v uint64) uint64 {
		if v == store.Absent || v == store.AnyVersion {
			return v
		}
		return m.version[v]
	}
	actual := *b
	actual.Require, actual.Delete, actual.Put = slices.Clone(b.Require), slices.Clone(b.Delete), slices.Clone(b.Put)
	for i := range actual.Require {
		actual.Require[i].Version = version(actual.Require[i].Version)
	}
	for i := range actual.Delete {
		actual.Delete[i].Version = version(actual.Delete[i].Version)
	}
	for i := range actual.Put {
		doc := *actual.Put[i].Doc
		actual.Put[i].Doc, actual.Put[i].If = &doc, version(actual.Put[i].If)
	}
	actual.Records = nil
	for _, rec := range b.Records {
		actual.Records = append(actual.Records, clone(rec))
	}
	return &actual
}

// learn notes which of the store's versions is which of the oracle's.
func (m *docModelRun) learn(rt *rapid.T, oracle, actual uint64) {
	if actual == store.Absent || actual == store.AnyVersion || m.seen[actual] && m.version[oracle] != actual {
		rt.Fatalf("a document got version %d, which is none or was there before", actual)
	}
	m.version[oracle], m.seen[actual] = actual, true
}

// check asks for everything.
func (m *docModelRun) check(rt *rapid.T) {
	for _, tenant := range docTenants {
		for _, kind := range docKinds {
			for _, key := range docKeys {
				got, err := m.store.Doc(m.ctx, tenant, kind, key)
				if want := m.oracle.doc(tenant, kind, key); want == nil {
					if !errors.Is(err, store.ErrNotFound) {
						rt.Fatalf("Doc(%q, %q, %q) = %v, %v; want ErrNotFound", tenant, kind, key, got, err)
					}
				} else if err != nil {
					rt.Fatalf("Doc(%q, %q, %q): %v", tenant, kind, key, err)
				} else {
					m.compareDoc(rt, got, &want.doc)
				}
			}
			m.checkDocs(rt, tenant, kind)
		}
		for _, log := range docLogs {
			m.checkLog(rt, tenant, log)
		}
	}
	for _, id := range modelIDs {
		for _, tenant := range docTenants {
			_, err := m.store.Get(m.ctx, tenant, id)
			if (err == nil) != (m.oracle.get(tenant, id) != nil) {
				rt.Fatalf("Get(%q, %q): %v", tenant, id, err)
			}
		}
	}
	got := m.store.Stats()
	if m.oracle.max > 0 && (got.Evictions != m.oracle.evictions || got.Bytes > m.oracle.max) {
		rt.Fatalf("%+v, want %d evictions and at most %d bytes", got, m.oracle.evictions, m.oracle.max)
	}
	if m.caps.ExactStats && m.caps.Sweep != nil {
		m.caps.Sweep(m.store)
		got := m.store.Stats()
		want := store.Stats{
			Records: int64(len(m.oracle.recs)), Documents: int64(len(m.oracle.docs)), Entries: m.oracle.entryCount(),
			Bytes: m.oracle.bytes(), Evictions: m.oracle.evictions, Expired: m.oracle.expired,
		}
		if got != want {
			rt.Fatalf("%+v, want %+v", got, want)
		}
	}
}

func (m *docModelRun) compareDoc(rt *rapid.T, got, want *store.Doc) {
	translated := *want
	translated.Version = m.version[want.Version]
	if d := diffDoc(got, &translated); d != "" {
		rt.Fatalf("document %q, %q: %s", want.Kind, want.Key, d)
	}
}

// checkDocs reads the list in all ways.
func (m *docModelRun) checkDocs(rt *rapid.T, tenant, kind string) {
	for _, page := range pages() {
		for _, after := range append(docKeys, "", "k", "zz") {
			page.After = after
			got, more, err := m.store.Docs(m.ctx, tenant, kind, page)
			want, wantMore := m.oracle.list(tenant, kind, page)
			if err != nil || len(got) != len(want) || more != wantMore {
				rt.Fatalf("Docs(%q, %q, %+v): %d, more: %v, %v; want %d, %v", tenant, kind, page, len(got), more, err, len(want), wantMore)
			}
			for i := range want {
				m.compareDoc(rt, got[i], want[i])
			}
		}
	}
}

func pages() []store.Page {
	return []store.Page{{Limit: 1}, {Limit: 2}, {Limit: 100}, {Limit: 1, Descending: true}, {Limit: 2, Descending: true}, {Limit: 100, Descending: true}}
}

func (m *docModelRun) checkLog(rt *rapid.T, tenant, log string) {
	for _, key := range docEntries {
		got, err := m.store.Entry(m.ctx, tenant, log, key)
		want := m.oracle.log(tenant, log).entry(key)
		switch {
		case want == nil && !errors.Is(err, store.ErrNotFound):
			rt.Fatalf("Entry(%q, %q, %q) = %v, %v; want ErrNotFound", tenant, log, key, got, err)
		case want != nil && err != nil:
			rt.Fatalf("Entry(%q, %q, %q): %v", tenant, log, key, err)
		case want != nil && diffEntry(got, want) != "":
			rt.Fatalf("Entry(%q, %q, %q): %s", tenant, log, key, diffEntry(got, want))
		}
	}
	var last uint64
	if l := m.oracle.log(tenant, log); l != nil {
		last = l.next
	}
	for _, page := range pages() {
		m.checkEntries(rt, tenant, log, page)
		for after := range last + 2 {
			page.AfterSeq = &after
			m.checkEntries(rt, tenant, log, page)
		}
	}
}

func (m *docModelRun) checkEntries(rt *rapid.T, tenant, log string, page store.Page) {
	got, more, err := m.store.Entries(m.ctx, tenant, log, page)
	want, wantMore := m.oracle.entries(tenant, log, page)
	if err != nil || len(got) != len(want) || more != wantMore {
		rt.Fatalf("Entries(%q, %q, %+v): %d, more: %v, %v; want %d, %v", tenant, log, page, len(got), more, err, len(want), wantMore)
	}
	for i := range want {
		if d := diffEntry(&got[i], &want[i]); d != "" {
			rt.Fatalf("Entries(%q, %q, %+v)[%d]: %s", tenant, log, page, i, d)
		}
	}
}
