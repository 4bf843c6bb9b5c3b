package memory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// TestRecordsAreShared: what is put is what is got, not a copy.
func TestRecordsAreShared(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	rec := &store.Record{Tenant: "t", ID: "r", ItemIDs: []string{"i"}, Expires: time.Now().Add(time.Hour)}
	if err := s.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "t", "r")
	item, itemErr := s.Item(t.Context(), "t", "i")
	chain, chainErr := s.Chain(t.Context(), "t", "r")
	if err := errors.Join(err, itemErr, chainErr); err != nil {
		t.Fatal(err)
	}
	if got != rec || item != rec || chain[0] != rec {
		t.Error("a copy was made")
	}
}

// TestInvariants does random things and then looks at every link.
func TestInvariants(t *testing.T) {
	clock := storetest.NewClock()
	s := New(Options{MaxBytes: 60_000, Now: clock.Now, SweepEvery: time.Hour})
	defer s.Close()
	s.index.mask = 0x1f83 // four shards with 64 hashes each: collisions, and tables that fill up
	rnd := rand.New(rand.NewPCG(1, 2))
	name := func(prefix string, n int) string { return prefix + strconv.Itoa(rnd.IntN(n)) }
	ctx := t.Context()
	for step := range 20_000 {
		switch rnd.IntN(10) {
		case 0, 1:
			_ = s.Delete(ctx, name("t", 3), name("r", 60))
		case 2:
			clock.Advance(time.Duration(rnd.IntN(1000)) * time.Millisecond)
		case 3:
			if rnd.IntN(10) == 0 {
				s.sweepAll()
			}
		case 4, 5:
			err := s.Commit(ctx, name("t", 3), randomBatch(rnd, clock.Now(), name))
			if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
		default:
			rec := &store.Record{
				Tenant: name("t", 3), ID: name("r", 60),
				Expires:  clock.Now().Add(time.Duration(rnd.IntN(20_000)) * time.Millisecond),
				Response: make([]byte, rnd.IntN(2000)),
			}
			for range rnd.IntN(4) {
				rec.ItemIDs = append(rec.ItemIDs, name("i", 10))
			}
			if err := s.Put(ctx, rec); err != nil && !errors.Is(err, store.ErrExists) {
				t.Fatal(err)
			}
		}
		if step%50 == 0 {
			checkLinks(t, s)
		}
	}
	if st := s.Stats(); st.Evictions == 0 || st.Expired == 0 {
		t.Errorf("%+v: not all was exercised", st)
	}
	clock.Advance(time.Hour)
	s.sweepAll()
	checkLinks(t, s)
	if st := s.Stats(); st.Records+st.Documents+st.Entries+st.Bytes != 0 {
		t.Errorf("%+v in an empty store", st)
	}
	for i := range s.index.shards {
		if n := s.index.shards[i].used; n != 0 {
			t.Errorf("shard %d has %d names in an empty store", i, n)
		}
	}
}

// randomBatch is a batch of a document, its log or another, and a removal. All of
// it ends within the hour.
func randomBatch(rnd *rand.Rand, now time.Time, name func(string, int) string) *store.Batch {
	ends := func() time.Time { return now.Add(time.Duration(rnd.IntN(20_000)) * time.Millisecond) }
	doc := &store.Doc{Kind: name("k", 2), Key: name("d", 30), Expires: ends(), Body: make([]byte, rnd.IntN(1000))}
	w := store.DocWrite{Doc: doc, If: store.AnyVersion, Log: name("l", 10), Keep: rnd.IntN(8) == 0}
	b := &store.Batch{Append: []store.LogAppend{{Log: name("l", 10), Expires: ends(), Entries: []store.Entry{{}, {Key: name("e", 100)}}}}}
	switch rnd.IntN(8) {
	case 0:
		b.Drop = []string{name("l", 10)}
	case 1:
		b.Remove = []store.EntryRef{{Log: name("l", 10), Key: name("e", 100)}}
	case 2:
		b.Delete = []store.Condition{{Kind: doc.Kind, Key: doc.Key, Version: store.AnyVersion}}
		return b
	}
	b.Put = []store.DocWrite{w}
	return b
}

// TestExpiredNamesake: an expired record gives up its id to a new one and is
// freed on the spot, not left beside it. If the clock were set back, it would
// be there again.
func TestExpiredNamesake(t *testing.T) {
	clock := storetest.NewClock()
	s := New(Options{Now: clock.Now, SweepEvery: time.Hour})
	defer s.Close()
	put := func(id string, life time.Duration) {
		if err := s.Put(t.Context(), &store.Record{Tenant: "t", ID: id, Expires: clock.Now().Add(life)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sweepPerPut + 1 { // more than the Put below frees in passing
		put(strconv.Itoa(i), time.Second)
	}
	put("r", 2*time.Second)
	clock.Advance(3 * time.Second)
	put("r", time.Hour)
	if got := s.Stats(); got.Records != 2 || got.Expired != sweepPerPut+1 {
		t.Errorf("%+v, want one expired record and one live one", got)
	}
	checkLinks(t, s)
}

// checkLinks: every entry is where it must be, once, and nothing else is.
func checkLinks(t *testing.T, s *Store) {
	t.Helper()
	var aged, bytes, due int64
	places := 0
	count := func(h *held, until int64) {
		t.Helper()
		if bytes += h.size; until == never {
			return
		}
		due++
		if s.due[h.slot].held != h || s.due[h.slot].until != until {
			t.Fatalf("%T is not in the heap where it says", h.what)
		}
	}
	records := int64(0)
	for i, share := range s.age.heap {
		var before *held
		has := int64(0)
		for h := share.oldest; h != nil; before, h = h, h.newer {
			has += h.size
			if h.older != before || h.share != share || s.age.tenants[h.what.owner()] != share {
				t.Fatal("the age list is broken")
			}
			if e, ok := h.what.(*entry); ok {
				records++
				places += 1 + len(e.items)
				count(h, e.until.Load())
			}
		}
		if share.newest != before || share.bytes != has || has == 0 {
			t.Fatal("the age list ends elsewhere, or does not know its size")
		}
		if share.at != i || i > 0 && share.before(s.age.heap[(i-1)/2]) {
			t.Fatalf("the share of %q is out of place", share.oldest.what.owner())
		}
		aged += has
	}
	if s.age.bytes != aged || len(s.age.tenants) != len(s.age.heap) {
		t.Fatal("the shares do not add up")
	}
	docs, entries := checkTables(t, s, count)
	if st := s.stats; st.Records != records || st.Documents != docs || st.Entries != entries || st.Bytes != bytes ||
		int64(len(s.due)) != due || bytes > s.max {
		t.Fatalf("%+v, %d in the heap; there are %d records, %d documents, %d entries, %d bytes, %d that end",
			st, len(s.due), records, docs, entries, bytes, due)
	}
	for i := range s.due {
		if parent := (i - 1) / dueChildren; i > 0 && s.due[parent].until > s.due[i].until {
			t.Fatalf("the heap is out of order at %d", i)
		}
	}
	for i := range s.index.shards {
		sh, used := &s.index.shards[i], 0
		for at := range sh.slots {
			newest := sh.slots[at].newest
			if newest == nil {
				continue
			}
			used++
			hash := sh.slots[at].hash
			if newest.newer != nil || s.index.shard(hash) != sh || sh.find(hash) != &sh.slots[at] {
				t.Fatalf("the list of %q starts at the wrong place", newest.name)
			}
			records := make(map[key]bool)
			for p := newest; p != nil; p = p.older {
				places--
				if k := (key{p.entry.rec.Tenant, p.name}); !p.ofItem() {
					if records[k] {
						t.Fatalf("%q is there twice", p.name)
					}
					records[k] = true
				}
				if p.hash != hash || p.entry.until.Load() == absent || p.older != nil && p.older.newer != p {
					t.Fatalf("%q of %q is not linked well", p.name, p.entry.rec.ID)
				}
			}
		}
		if used != sh.used || used > len(sh.slots)*3/4 {
			t.Fatalf("shard %d says %d of %d slots are used, not %d", i, sh.used, len(sh.slots), used)
		}
	}
	if places != 0 {
		t.Fatalf("the index has %d places too few", places)
	}
}

// checkTables is checkLinks for documents and logs.
func checkTables(t *testing.T, s *Store, count func(*held, int64)) (docs, entries int64) {
	t.Helper()
	for i := range s.tables.tables {
		tab := &s.tables.tables[i]
		for k, l := range tab.kinds {
			last := ""
			for d := range l.after("") {
				docs++
				count(&d.held, d.until)
				if d.doc.Key <= last || d.tenant != k.tenant || d.doc.Kind != k.name || l.get(d.doc.Key) != d || (d.share != nil) != d.evictable() {
					t.Fatalf("document %q of %q is not where it belongs", d.doc.Key, d.tenant)
				}
				last = d.doc.Key
			}
			if last == "" {
				t.Fatalf("an empty list of %q", k.name)
			}
		}
		for k, j := range tab.logs {
			entries += int64(len(j.entries))
			count(&j.held, j.until)
			size, keys := int64(store.LogSize(j.name)), 0
			for at := range j.entries {
				e := &j.entries[at]
				size += entrySize(e)
				if e.Key != "" {
					keys++
				}
				if at > 0 && e.Seq <= j.entries[at-1].Seq || e.Seq >= j.next || e.Key != "" && j.keys[e.Key] != e.Seq {
					t.Fatalf("entry %d of log %q is out of place", e.Seq, j.name)
				}
			}
			if (key{j.tenant, j.name}) != k || size != j.size || keys != len(j.keys) || (j.share != nil) != tab.evictable(j) {
				t.Fatalf("log %q of %q does not add up", j.name, j.tenant)
			}
		}
		for k, d := range tab.owners {
			if (key{d.tenant, d.log}) != k || d.what == nil {
				t.Fatalf("log %q goes with a document that is not there", k.name)
			}
		}
	}
	return docs, entries
}

// TestCollisions runs the whole suite with one hash for all. Nothing but
// the comparison of names tells records apart then.
func TestCollisions(t *testing.T) {
	open := func(clock *storetest.Clock, maxBytes int64) store.Store {
		s := New(Options{Now: clock.Now, MaxBytes: maxBytes})
		s.index.mask = 0
		return s
	}
	storetest.Run(t,
		func(_ *testing.T, clock *storetest.Clock) store.Store { return open(clock, 0) },
		storetest.Capabilities{
			Budget: func(_ *testing.T, clock *storetest.Clock, maxBytes int64) store.Store {
				return open(clock, maxBytes)
			},
			Operations: 10_000,
		})
}

// TestDeleteHidesBeforeEpoch: the order that Store.Epoch promises, with the
// epoch held back for as long as it takes to look.
func TestDeleteHidesBeforeEpoch(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	ctx := t.Context()
	if err := s.Put(ctx, &store.Record{Tenant: "t", ID: "r", ItemIDs: []string{"i"}, Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s.bumping.Lock()
	deleted := make(chan error)
	go func() { deleted <- s.Delete(ctx, "t", "r") }()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		_, err := s.Get(ctx, "t", "r")
		_, itemErr := s.Item(ctx, "t", "i")
		if err != nil && itemErr != nil {
			break
		}
		if time.Since(start) > 30*time.Second {
			t.Error("the record is there until the epoch changes")
			break
		}
	}
	s.bumping.Unlock()
	if err := <-deleted; err != nil {
		t.Error(err)
	}
}

// TestJanitor: expired records are freed without any call, and by Puts without
// the janitor, a few at a time.
func TestJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{SweepEvery: time.Minute})
		fillShort(t, s, 1000)
		time.Sleep(30 * time.Second) // all have expired, the janitor has not come
		if got := s.Stats(); got.Records != 1000 {
			t.Errorf("before the janitor: %+v", got)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := s.Stats(); got.Records != 0 || got.Bytes != 0 || got.Expired != 1000 || got.Evictions != 0 {
			t.Errorf("after the janitor: %+v", got)
		}

		fillShort(t, s, 1000)
		time.Sleep(2 * time.Second)
		for i := range 500 {
			put(t, s, fmt.Sprintf("long_%d", i), time.Hour)
			if got := s.Stats().Expired; got != 1000+int64((i+1)*sweepPerPut) {
				t.Fatalf("after %d Puts %d were freed", i+1, got)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		// synctest fails the test if the janitor is still there.
	})
}

func put(t *testing.T, s *Store, id string, life time.Duration) {
	t.Helper()
	if err := s.Put(context.Background(), &store.Record{Tenant: "t", ID: id, Expires: time.Now().Add(life)}); err != nil {
		t.Fatal(err)
	}
}

func fillShort(t *testing.T, s *Store, n int) {
	for i := range n {
		put(t, s, fmt.Sprintf("short_%d", i), time.Second)
	}
}

func TestUnixNano(t *testing.T) {
	for _, c := range []struct {
		in   time.Time
		want int64
	}{
		{time.Time{}, math.MinInt64},
		{time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), math.MinInt64},
		{time.Unix(0, 0), 0},
		{time.Unix(-1, 1), -1e9 + 1},
		{time.Unix(1795000000, 123456789), 1795000000123456789},
		{time.Date(2262, 4, 11, 23, 47, 15, 0, time.UTC), 9223372035000000000},
		{time.Date(2262, 4, 11, 23, 47, 17, 0, time.UTC), math.MaxInt64},
		{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), math.MaxInt64},
	} {
		if got := unixNano(c.in); got != c.want {
			t.Errorf("%v: %d, want %d", c.in, got, c.want)
		}
	}
}
