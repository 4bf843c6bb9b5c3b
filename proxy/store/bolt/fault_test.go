package bolt

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// noise is a record that cannot be compressed.
func noise(clock *storetest.Clock, id string, size int, life time.Duration) *store.Record {
	rnd := rand.New(rand.NewPCG(uint64(len(id)), uint64(size)))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return &store.Record{Tenant: "t", ID: id, Created: clock.Now(), Expires: clock.Now().Add(life), Response: b, ItemIDs: []string{"i" + id}}
}

// TestBudget: the file stays within it, what was acknowledged stays, what has no
// room is refused, and deleting or expiring makes room again.
func TestBudget(t *testing.T) {
	const budget = 2 << 20
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, Options{Path: path, MaxBytes: budget, Now: clock.Now, SweepEvery: 5 * time.Millisecond})
	defer s.Close()
	ctx := t.Context()
	put := func(n int) error {
		return s.Put(ctx, noise(clock, strconv.Itoa(n), 5000+n%7*3000, time.Hour))
	}
	n := 0
	fill := func() (added int) {
		t.Helper()
		for ; ; n, added = n+1, added+1 {
			if err := put(n); err != nil {
				if !errors.Is(err, store.ErrFull) {
					t.Fatal(err)
				}
				return added
			}
		}
	}
	first := fill()
	if first < budget/14_000/2 {
		t.Errorf("%d records fill %d bytes", first, budget)
	}
	for i := range first {
		if _, err := s.Get(ctx, "t", strconv.Itoa(i)); err != nil {
			t.Fatalf("record %d of %d: %v", i, first, err)
		}
	}
	if err := s.Commit(ctx, "t", &store.Batch{Append: []store.LogAppend{{Log: "l", Entries: []store.Entry{{Body: make([]byte, 200)}, {Body: noise(clock, "x", 300_000, 0).Response}}}}}); !errors.Is(err, store.ErrFull) {
		t.Errorf("Commit in a full store: %v", err)
	}
	if err := s.Put(ctx, noise(clock, "large", budget, time.Hour)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a record over the budget: %v", err)
	}

	// In a full store everything can be deleted.
	for i := range first {
		if err := s.Delete(ctx, "t", strconv.Itoa(i)); err != nil {
			t.Fatalf("deleting record %d: %v", i, err)
		}
	}
	if added := fill(); added < first*8/10 {
		t.Errorf("after all was deleted %d records fit, and %d at first", added, first)
	}
	clock.Advance(time.Hour)
	for start := time.Now(); s.Stats().Records > 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%+v after all has expired", s.Stats())
		}
	}
	if added := fill(); added < first*8/10 {
		t.Errorf("after all has expired %d records fit, and %d at first", added, first)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > budget {
		t.Errorf("the file has %d bytes, its budget is %d; %v", info.Size(), budget, err)
	}
}

// TestOpenRefuses: what is no state file, or not to be had, is refused in words
// that help, and left as it is.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bolted := func(name string, f func(tx *bbolt.Tx) error) string {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(f), db.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	held := open(t, Options{Path: filepath.Join(dir, "held.db")})
	defer held.Close()
	for _, c := range []struct{ what, path, want string }{
		{"no name", "", "no file is given"},
		{"no directory", filepath.Join(dir, "not", "state.db"), "no such file or directory"},
		{"a directory", dir, "this is no regular file"},
		{"a text", file("text", strings.Repeat("this is a text, and no database\n", 1000)), "this is no state file, or its beginning is damaged"},
		{"another database", bolted("other.db", func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("cats"))
			return err
		}), "this is not a state file of antiphon"},
		{"a later format", bolted("later.db", func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(bMeta)
			if err != nil {
				return err
			}
			return b.Put(kFormat, []byte("antiphon state 2"))
		}), "this state file has format 2, and this program knows only format 1"},
		{"a held file", filepath.Join(dir, "held.db"), "is in use by another process"},
	} {
		before, _ := os.ReadFile(c.path)
		s, err := Open(Options{Path: c.path})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if after, _ := os.ReadFile(c.path); !bytes.Equal(after, before) {
			t.Errorf("%s: the file was changed", c.what)
		}
		if c.what == "a held file" || c.path == "" {
			continue
		}
		if _, _, err := Compact(c.path); err == nil {
			t.Errorf("%s: Compact takes it", c.what)
		}
		if _, err := Check(c.path); err == nil {
			t.Errorf("%s: Check takes it", c.what)
		}
	}
	s := open(t, Options{Path: file("empty.db", "")}) // made with touch
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestDamageIsSeen: no byte of a record, a document or an entry can change and
// be read as if nothing were, or be taken for absent.
func TestDamageIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, Options{Path: path, SweepEvery: time.Hour})
	defer func() { _ = s.Close() }()
	ctx := t.Context()
	rec := killRecord(1)
	rec.Response, rec.Output = []byte("MARK-RECORD the content of a record"), [2]int{0, 4}
	rec.Input = nil
	if err := s.Commit(ctx, rec.Tenant, &store.Batch{
		Records: []*store.Record{rec},
		Put:     []store.DocWrite{{Doc: &store.Doc{Kind: "k", Key: "doc", Body: []byte("MARK-DOC")}, If: store.AnyVersion}},
		Append:  []store.LogAppend{{Log: "log", Entries: []store.Entry{{Key: "e", Body: []byte("MARK-ENTRY")}}}},
	}); err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() error{
		"rec": func() error {
			_, err := s.Get(ctx, rec.Tenant, rec.ID)
			if _, chainErr := s.Chain(ctx, rec.Tenant, rec.ID); (chainErr == nil) != (err == nil) {
				t.Errorf("Get: %v; Chain: %v", err, chainErr)
			}
			if _, itemErr := s.Item(ctx, rec.Tenant, rec.ItemIDs[0]); (itemErr == nil) != (err == nil) {
				t.Errorf("Get: %v; Item: %v", err, itemErr)
			}
			return err
		},
		"doc": func() error {
			_, err := s.Doc(ctx, rec.Tenant, "k", "doc")
			if _, _, listErr := s.Docs(ctx, rec.Tenant, "k", store.Page{Limit: 1}); (listErr == nil) != (err == nil) {
				t.Errorf("Doc: %v; Docs: %v", err, listErr)
			}
			return err
		},
		"entry": func() error {
			_, err := s.Entry(ctx, rec.Tenant, "log", "e")
			if _, _, listErr := s.Entries(ctx, rec.Tenant, "log", store.Page{Limit: 1}); (listErr == nil) != (err == nil) {
				t.Errorf("Entry: %v; Entries: %v", err, listErr)
			}
			return err
		},
		"log": func() error {
			_, _, err := s.Entries(ctx, rec.Tenant, "log", store.Page{Limit: 1})
			return err
		},
	}
	for bucket, read := range reads {
		if err := read(); err != nil {
			t.Fatal(err)
		}
		var k, good []byte
		change := func(v []byte) {
			if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(k, v) }); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.db.View(func(tx *bbolt.Tx) error {
			at, v := tx.Bucket([]byte(bucket)).Cursor().First()
			k, good = bytes.Clone(at), bytes.Clone(v)
			return nil
		})
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 0x10
			change(bad)
			var corrupt *CorruptError
			err := read()
			if !errors.As(err, &corrupt) {
				t.Errorf("%s, byte %d of %d: %v", bucket, i, len(good), err)
			}
			change(good[:i])
			if err := read(); !errors.As(err, &corrupt) {
				t.Errorf("%s, cut at %d of %d: %v", bucket, i, len(good), err)
			}
		}
		change(append([]byte{frameVersion + 1}, good[1:]...))
		if err := read(); err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("%s of a later version: %v", bucket, err)
		}
		change(good)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := Check(path); err != nil || len(r.Problems) > 0 {
		t.Errorf("%v, %q", err, r.Problems)
	}
}

// goodFile is a file with n batches and no page that is not in use.
func goodFile(t *testing.T, dir string, n int) []byte {
	path := filepath.Join(dir, "state.db")
	s := open(t, Options{Path: path, SweepEvery: time.Hour})
	for i := range n {
		if err := s.Commit(t.Context(), "b", killBatch(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return good
}

// brokenFiles is how many files TestBrokenFile breaks: fewer when every access
// to memory is watched, and many in make chaos.
func brokenFiles() int {
	switch n := killCycles(); {
	case n > killCyclesShort:
		return 10 * n
	case raceEnabled:
		return 60
	}
	return 150
}

// seenByBbolt is whether it was bbolt that found a fault when it opened a file.
// By then it is too late: see pages.go.
func seenByBbolt(err error) bool { return err != nil && strings.Contains(err.Error(), "freepages") }

// TestBrokenOrder: keys out of order, on whatever page, are seen before bbolt
// sees them.
func TestBrokenOrder(t *testing.T) {
	dir := t.TempDir()
	good := goodFile(t, dir, 60)
	refused := 0
	pageSize := os.Getpagesize()
	for page := 2; (page+1)*pageSize <= len(good); page++ {
		bad := bytes.Clone(good)
		b := bad[page*pageSize:]
		flags, count := native.Uint16(b[8:]), native.Uint16(b[10:])
		offset := native.Uint32(b[pageHeader:])
		if flags == pageLeaf {
			offset = native.Uint32(b[pageHeader+4:])
		}
		if flags != pageBranch && flags != pageLeaf || count < 2 || int(offset) >= pageSize-pageHeader {
			continue // nothing that can be out of order, or no page's beginning
		}
		b[pageHeader+offset] = 0xff // of the first key
		name := filepath.Join(dir, "bad.db")
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Path: name, SweepEvery: time.Hour})
		var corrupt *CorruptError
		switch {
		case err == nil:
			t.Errorf("page %d (flags %d, %d elements): nothing is seen", page, flags, count)
			_ = s.Close()
		case !errors.As(err, &corrupt) || seenByBbolt(err):
			t.Errorf("page %d (flags %d, %d elements): %v", page, flags, count, err)
		}
		refused++
	}
	if t.Logf("%d pages", refused); refused < 5 {
		t.Error("next to nothing was broken: this proves nothing")
	}
}

// TestBrokenFile: whatever byte of the file is changed, and wherever it is cut
// off, the process lives; and what Check calls good is good.
func TestBrokenFile(t *testing.T) {
	const n = 60
	dir, ctx := t.TempDir(), t.Context()
	good := goodFile(t, dir, n)
	rnd := rand.New(rand.NewPCG(7, 8))
	broken, refused := 0, 0
	for round := range brokenFiles() {
		bad := bytes.Clone(good)
		if round%5 == 0 {
			bad = bad[:rnd.IntN(len(bad))]
		} else {
			bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
		}
		name := filepath.Join(dir, "bad.db")
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Check(name)
		if err != nil {
			refused++
			continue
		}
		if len(r.Problems) > 0 {
			broken++
		}
		s, err := Open(Options{Path: name, SweepEvery: time.Millisecond})
		if err != nil {
			if seenByBbolt(err) {
				t.Errorf("round %d: %v", round, err)
			}
			continue
		}
		lost := false
		for i := range n {
			d, err := s.Doc(ctx, "b", "pair", "a"+strconv.Itoa(i))
			lost = lost || err != nil || string(d.Body) != strconv.Itoa(i)
			rec, err := s.Get(ctx, "b", "resp_b"+strconv.Itoa(i))
			lost = lost || err != nil || !equal(rec, killBatch(i).Records[0])
			_, _, _ = s.Entries(ctx, "b", strconv.Itoa(i%killWriters), store.Page{Limit: 100})
		}
		_ = s.Put(ctx, killRecord(1))
		_ = s.sweep()
		_ = s.Close()
		if lost && len(r.Problems) == 0 {
			t.Errorf("round %d: something is lost, and Check says that all is well", round)
		}
	}
	if t.Logf("%d broken, %d refused", broken, refused); broken+refused < 15 {
		t.Error("next to nothing was broken: this proves nothing")
	}
}

// TestSlowDisk: whoever waits for a disk that does not answer waits no longer
// than its context allows; what it asked for may still come to be.
func TestSlowDisk(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, Options{Now: clock.Now, SweepEvery: time.Hour})
	defer s.Close()
	stuck, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for i := range 1500 { // more than the queue holds
		all.Go(func() {
			if err := s.Put(ctx, noise(clock, strconv.Itoa(i), 10, time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if err := stuck.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), noise(clock, "next", 10, time.Hour)); err != nil {
		t.Errorf("when the disk is back: %v", err)
	}
}
