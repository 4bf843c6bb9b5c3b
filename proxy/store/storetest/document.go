package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// diffDoc says how got differs from want, or "".
func diffDoc(got, want *store.Doc) string {
	switch {
	case got == nil:
		return "is nil"
	case got.Kind != want.Kind || got.Key != want.Key:
		return fmt.Sprintf("is %q, %q", got.Kind, got.Key)
	case got.Version != want.Version:
		return fmt.Sprintf("Version %d, want %d", got.Version, want.Version)
	case !got.Expires.Equal(want.Expires) || got.Expires.Location() != time.UTC:
		return fmt.Sprintf("Expires %v, want %v", got.Expires, want.Expires)
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Sprintf("Body %.80q, want %.80q", got.Body, want.Body)
	}
	return ""
}

func diffEntry(got, want *store.Entry) string {
	switch {
	case got == nil:
		return "is nil"
	case got.Seq != want.Seq:
		return fmt.Sprintf("Seq %d, want %d", got.Seq, want.Seq)
	case got.Key != want.Key:
		return fmt.Sprintf("Key %q, want %q", got.Key, want.Key)
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Sprintf("Body %.80q, want %.80q", got.Body, want.Body)
	}
	return ""
}

// commit commits a batch that must be accepted.
func (e *env) commit(tenant string, b *store.Batch) {
	e.t.Helper()
	if err := e.store.Commit(e.ctx, tenant, b); err != nil {
		e.t.Fatalf("Commit(%q): %v", tenant, err)
	}
}

// refused demands that a batch is refused with one of these errors.
func (e *env) refused(tenant string, b *store.Batch, why ...error) {
	e.t.Helper()
	err := e.store.Commit(e.ctx, tenant, b)
	for _, w := range why {
		if errors.Is(err, w) {
			return
		}
	}
	e.t.Errorf("Commit(%q): %v, want %v", tenant, err, why)
}

// write writes a document under any version and returns it as it must be read.
func (e *env) write(tenant, kind, key string, expires time.Time) *store.Doc {
	e.t.Helper()
	d := &store.Doc{Kind: kind, Key: key, Expires: expires, Body: fmt.Appendf(nil, "%q, write %d", key, e.serial.Add(1))}
	return e.writeDoc(tenant, store.DocWrite{Doc: d, If: store.AnyVersion})
}

func (e *env) writeDoc(tenant string, w store.DocWrite) *store.Doc {
	e.t.Helper()
	want := *w.Doc
	b := &store.Batch{Put: []store.DocWrite{w}}
	e.commit(tenant, b)
	want.Version = b.Put[0].Version
	return &want
}

// unwrite deletes a document, whatever its version.
func (e *env) unwrite(tenant, kind, key string) {
	e.t.Helper()
	e.commit(tenant, &store.Batch{Delete: []store.Condition{{Kind: kind, Key: key, Version: store.AnyVersion}}})
}

func (e *env) wantDoc(tenant string, want *store.Doc) {
	e.t.Helper()
	got, err := e.store.Doc(e.ctx, tenant, want.Kind, want.Key)
	if err != nil {
		e.t.Errorf("Doc(%q, %q, %q): %v", tenant, want.Kind, want.Key, err)
	} else if d := diffDoc(got, want); d != "" {
		e.t.Errorf("Doc(%q, %q, %q): %s", tenant, want.Kind, want.Key, d)
	}
}

func (e *env) wantNoDoc(tenant, kind, key string) {
	e.t.Helper()
	if d, err := e.store.Doc(e.ctx, tenant, kind, key); d != nil || !errors.Is(err, store.ErrNotFound) {
		e.t.Errorf("Doc(%q, %q, %q) = %v, %v; want ErrNotFound", tenant, kind, key, d, err)
	}
}

// wantDocs demands that a page has exactly these documents.
func (e *env) wantDocs(tenant, kind string, page store.Page, more bool, want ...*store.Doc) {
	e.t.Helper()
	got, gotMore, err := e.store.Docs(e.ctx, tenant, kind, page)
	if err != nil || len(got) != len(want) || gotMore != more {
		e.t.Errorf("Docs(%q, %q, %+v): %d, more: %v, %v; want %d, %v", tenant, kind, page, len(got), gotMore, err, len(want), more)
		return
	}
	for i := range want {
		if d := diffDoc(got[i], want[i]); d != "" {
			e.t.Errorf("Docs(%q, %q, %+v)[%d]: %s", tenant, kind, page, i, d)
		}
	}
}

func docPutGet(e *env) {
	big := &store.Doc{Kind: "conversation", Key: "big", Body: []byte(strings.Repeat("0123456789abcdef", 1<<16))}
	all := []*store.Doc{
		{Kind: "conversation", Key: "conv_1", Body: []byte(`{"id":"conv_1"}`)},
		{Kind: "conversation", Key: "conv_1\x00"},
		{Kind: "conversation", Key: "\xff\xff"},
		{Kind: "conversation", Key: strings.Repeat("k", 300), Body: []byte{0, 0xff}},
		{Kind: "lease", Key: "conv_1", Expires: e.clock.Now().Add(123456789)},
		{Kind: "a-b_0", Key: "conv_1", Expires: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		big,
	}
	for i, d := range all {
		all[i] = e.writeDoc("t", store.DocWrite{Doc: d, If: store.Absent, Log: "l", Keep: i%2 == 0})
		e.wantDoc("t", all[i])
	}
	for _, d := range all {
		e.wantDoc("t", d) // and later writes leave it alone
	}
	for _, name := range [][2]string{{"conversation", "conv_2"}, {"conversation", "conv_"}, {"conversation", "CONV_1"}, {"lease", "big"}, {"", "conv_1"}, {"conversation", ""}} {
		e.wantNoDoc("t", name[0], name[1])
	}

	// What is read is not changed by a write or a deletion.
	got, err := e.store.Doc(e.ctx, "t", "lease", "conv_1")
	if err != nil {
		e.t.Fatal(err)
	}
	e.wantDoc("t", e.write("t", "lease", "conv_1", time.Time{}))
	if d := diffDoc(got, all[4]); d != "" {
		e.t.Errorf("what Doc returned has changed: %s", d)
	}
	e.unwrite("t", "conversation", "conv_1")
	e.wantNoDoc("t", "conversation", "conv_1")
	e.wantDoc("t", all[1])
	e.unwrite("t", "conversation", "conv_1") // absent is no error
}

// docVersions: a version grows with every write of a key and never comes back.
func docVersions(e *env) {
	last := uint64(0)
	check := func(how string, d *store.Doc) {
		e.t.Helper()
		if d.Version <= last || d.Version == store.AnyVersion {
			e.t.Errorf("%s: version %d after %d", how, d.Version, last)
		}
		e.wantDoc("t", d)
		last = d.Version
	}
	for range 3 {
		check("written", e.write("t", "k", "key", time.Time{}))
		e.write("t", "k", "other", time.Time{})
		e.write("u", "k", "key", time.Time{})
	}
	e.unwrite("t", "k", "key")
	check("after a deletion", e.write("t", "k", "key", e.clock.Now().Add(time.Second)))
	e.clock.Advance(time.Second)
	check("after its end", e.write("t", "k", "key", e.clock.Now().Add(time.Second)))
	e.clock.Advance(time.Hour)
	if e.caps.Sweep != nil {
		e.caps.Sweep(e.store)
	}
	check("after a sweep", e.write("t", "k", "key", time.Time{}))
	e.writeDoc("t", store.DocWrite{Doc: &store.Doc{Kind: "k", Key: "key", Expires: e.clock.Now()}, If: last})
	e.wantNoDoc("t", "k", "key") // written and gone
	check("after it was written with an end in the past", e.write("t", "k", "key", time.Time{}))
}

// docConditions: each of the three lists is held to its conditions.
func docConditions(e *env) {
	d := e.write("t", "k", "key", time.Time{})
	old := d.Version
	d = e.write("t", "k", "key", time.Time{})
	other := &store.Doc{Kind: "k", Key: "other"}

	holds := map[string]uint64{"its version": d.Version, "any": store.AnyVersion}
	fails := map[string]uint64{"an old version": old, "a version to come": d.Version + 1000, "absent": store.Absent}
	batch := func(how string, version uint64) *store.Batch {
		c := store.Condition{Kind: "k", Key: "key", Version: version}
		switch how {
		case "Require":
			return &store.Batch{Require: []store.Condition{c}, Put: []store.DocWrite{{Doc: other, If: store.AnyVersion}}}
		case "Delete":
			return &store.Batch{Delete: []store.Condition{c}}
		}
		return &store.Batch{Put: []store.DocWrite{{Doc: &store.Doc{Kind: "k", Key: "key", Body: []byte("new")}, If: version}}}
	}
	for _, how := range []string{"Require", "Delete", "Put"} {
		for what, version := range fails {
			e.t.Log(how, what)
			e.refused("t", batch(how, version), store.ErrConflict)
			e.wantDoc("t", d)
		}
		for what, version := range holds {
			e.t.Log(how, what)
			e.commit("t", batch(how, version))
			if how != "Require" {
				d = e.write("t", "k", "key", time.Time{})
				holds["its version"] = d.Version
			}
		}
	}

	// Of what is not there, or no more, only absence can be demanded.
	e.unwrite("t", "k", "key")
	for range 2 {
		for _, how := range []string{"Require", "Delete", "Put"} {
			e.refused("t", batch(how, d.Version), store.ErrConflict)
			e.commit("t", batch(how, store.Absent))
			e.unwrite("t", "k", "key")
			e.commit("t", batch(how, store.AnyVersion))
			e.unwrite("t", "k", "key")
		}
		d = e.write("t", "k", "key", e.clock.Now().Add(time.Second))
		e.clock.Advance(time.Second)
	}
}

func docOwners(e *env) {
	a, b := e.write("a", "k", "key", time.Time{}), e.write("b", "k", "key", time.Time{})
	onlyA := e.write("a", "k", "only", time.Time{})
	system := e.write(store.SystemTenant, "k", "key", time.Time{})
	e.wantDoc("a", a)
	e.wantDoc("b", b)
	e.wantNoDoc("b", "k", "only")
	e.wantNoDoc("", "k", "key")
	e.wantDocs("b", "k", store.Page{Limit: 9}, false, b)
	e.wantDocs("c", "k", store.Page{Limit: 9}, false)
	e.refused("b", &store.Batch{Put: []store.DocWrite{{Doc: &store.Doc{Kind: "k", Key: "only"}, If: onlyA.Version}}}, store.ErrConflict)
	e.commit("b", &store.Batch{Require: []store.Condition{{Kind: "k", Key: "only", Version: store.Absent}}})
	for _, key := range []string{"key", "only"} {
		e.unwrite("b", "k", key)
	}
	e.wantDoc("a", a)
	e.wantDoc("a", onlyA)
	e.wantDoc(store.SystemTenant, system)

	// Names that would be one if a backend joined them.
	var docs []*store.Doc
	names := [][3]string{
		{"", "a", "bc"}, {"n", "o", "p"}, {"n\x00o", "o", "p"}, {"n", "o", "o\x00p"}, {"n", "oo", "p"}, {"no", "o", "p"},
		{"n:o", "o", "p"}, {"n", "o", "o:p"}, {"n/o", "o", "p"}, {"n", "o", "o/p"}, {"{n}", "o", "p"}, {"n*", "o", "p"}, {"N", "o", "p"}, {"n", "o", "P"},
	}
	for _, n := range names {
		docs = append(docs, e.write(n[0], n[1], n[2], time.Time{}))
	}
	for i, n := range names {
		e.wantDoc(n[0], docs[i])
		e.unwrite(n[0], n[1], n[2])
		e.wantNoDoc(n[0], n[1], n[2])
		for j := i + 1; j < len(names); j++ {
			e.wantDoc(names[j][0], docs[j])
		}
	}
}

func docExpiry(e *env) {
	forever := e.write("t", "k", "forever", time.Time{})
	for _, life := range []time.Duration{1, time.Second, ttl} {
		d := e.write("t", "k", "key", e.clock.Now().Add(life))
		e.clock.Advance(life - 1)
		e.wantDoc("t", d)
		e.wantDocs("t", "k", store.Page{Limit: 1}, true, forever)
		e.clock.Advance(1)
		e.wantNoDoc("t", "k", "key")
		e.wantDocs("t", "k", store.Page{Limit: 1}, false, forever)
	}
	// A write sets the end anew, sooner or later or never.
	end := e.clock.Now().Add(time.Second)
	e.write("t", "k", "later", end)
	e.write("t", "k", "never", end)
	e.write("t", "k", "sooner", end.Add(time.Hour))
	later, never := e.write("t", "k", "later", end.Add(1)), e.write("t", "k", "never", time.Time{})
	e.write("t", "k", "sooner", end)
	e.clock.Advance(time.Second)
	if e.caps.Sweep != nil {
		e.caps.Sweep(e.store)
	}
	e.wantDoc("t", later)
	e.wantDoc("t", never)
	e.wantNoDoc("t", "k", "sooner")
	e.clock.Advance(200 * 365 * 24 * time.Hour)
	if e.caps.Sweep != nil {
		e.caps.Sweep(e.store)
	}
	e.wantDoc("t", forever)
	e.wantDoc("t", never)
	e.wantNoDoc("t", "k", "later")
}

// docList: pages in the order of the bytes, both ways, with cursors that are
// there and such that are not.
func docList(e *env) {
	const n = 1000 // more than one page of any backend
	var docs []*store.Doc
	for i := range n {
		docs = append(docs, e.write("t", "k", fmt.Sprintf("key_%04d", i*7919%n), time.Time{}))
	}
	docs = append(docs, e.write("t", "k", "\xff", time.Time{}), e.write("t", "k", "\x00", time.Time{}), e.write("t", "k", "key_0500\x00", time.Time{}))
	e.write("t", "k2", "key_0000", time.Time{})
	e.write("t", "j", "key_9999", time.Time{})
	slices.SortFunc(docs, func(a, b *store.Doc) int { return strings.Compare(a.Key, b.Key) })
	reversed := slices.Clone(docs)
	slices.Reverse(reversed)

	e.wantDocs("t", "k", store.Page{Limit: 2 * n}, false, docs...)
	e.wantDocs("t", "k", store.Page{Limit: len(docs)}, false, docs...)
	for _, limit := range []int{1, 7, 100, len(docs) - 1} {
		for _, page := range []store.Page{{Limit: limit}, {Limit: limit, Descending: true}} {
			all := docs
			if page.Descending {
				all = reversed
			}
			if limit == 1 {
				all = all[:20]
			}
			for at := 0; at < len(all); at += limit {
				end := min(at+limit, len(all))
				e.wantDocs("t", "k", page, end < len(docs), all[at:end]...)
				page.After = all[end-1].Key
			}
		}
	}
	// A cursor is a place, whether or not a document is there.
	e.unwrite("t", "k", docs[10].Key)
	e.wantDocs("t", "k", store.Page{After: docs[10].Key, Limit: 1}, true, docs[11])
	e.wantDocs("t", "k", store.Page{After: docs[10].Key, Limit: 1, Descending: true}, true, docs[9])
	e.wantDocs("t", "k", store.Page{After: "key_", Limit: 1}, true, docs[1])
	e.wantDocs("t", "k", store.Page{After: "zzz", Limit: 1}, false, docs[len(docs)-1])
	e.wantDocs("t", "k", store.Page{After: "\xff", Limit: 1}, false)
	e.wantDocs("t", "k", store.Page{After: "\xff\xff", Limit: 1, Descending: true}, true, docs[len(docs)-1])
	e.wantDocs("t", "k", store.Page{After: "\x00", Limit: 1, Descending: true}, false)
	e.wantDocs("t", "nothing", store.Page{Limit: 1}, false)
}
