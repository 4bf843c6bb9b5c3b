package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// TestReopen: all of it is there again, versions and numbers go on, and no epoch
// comes back.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	clock := storetest.NewClock()
	ctx := t.Context()
	var (
		lastVersion, lastEpoch uint64
		counts                 store.Stats
	)
	for round := range 4 {
		s := open(t, Options{Path: path, Now: clock.Now, SweepEvery: time.Hour})
		if got := s.Stats(); got != counts {
			t.Errorf("round %d: %+v, want %+v", round, got, counts)
		}
		if e, err := s.Epoch(ctx, "t"); err != nil || e <= lastEpoch && round > 0 {
			t.Errorf("round %d: epoch %d after %d, %v", round, e, lastEpoch, err)
		}
		for i := range round {
			if got, err := s.Get(ctx, "t", "r"+strconv.Itoa(i)); err != nil || !equal(got, noise(clock, "r"+strconv.Itoa(i), 3000, time.Hour)) {
				t.Errorf("round %d: record %d: %v", round, i, err)
			}
			if _, err := s.Item(ctx, "t", "ir"+strconv.Itoa(i)); err != nil {
				t.Errorf("round %d: item %d: %v", round, i, err)
			}
		}
		b := &store.Batch{
			Records: []*store.Record{noise(clock, "r"+strconv.Itoa(round), 3000, time.Hour)},
			Put:     []store.DocWrite{{Doc: &store.Doc{Kind: "k", Key: "d", Body: []byte(strconv.Itoa(round))}, If: lastVersion}},
			Append:  []store.LogAppend{{Log: "l", Entries: []store.Entry{{Key: "e" + strconv.Itoa(round)}}}},
		}
		if err := s.Commit(ctx, "t", b); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if b.Put[0].Version <= lastVersion {
			t.Errorf("round %d: version %d after %d", round, b.Put[0].Version, lastVersion)
		}
		lastVersion = b.Put[0].Version
		entries, _, err := s.Entries(ctx, "t", "l", store.Page{Limit: 100})
		if err != nil || len(entries) != round+1 || entries[round].Seq != uint64(round) {
			t.Errorf("round %d: %v, %v", round, entries, err)
		}
		if err := errors.Join(s.Put(ctx, noise(clock, "gone", 10, time.Hour)), s.Delete(ctx, "t", "gone")); err != nil {
			t.Fatal(err)
		}
		lastEpoch, _ = s.Epoch(ctx, "t")
		counts = s.Stats()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			if _, _, err := Compact(path); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := Check(path); err != nil || len(r.Problems) > 0 || r.Counts != counts {
			t.Errorf("round %d: %v, %+v", round, err, r)
		}
	}
}

// TestJanitor: what has expired or was dropped leaves nothing in the file, a few
// keys at a time, without any call.
func TestJanitor(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, Options{Now: clock.Now, SweepEvery: 2 * time.Millisecond})
	defer s.Close()
	ctx := t.Context()
	var entries []store.Entry
	for i := range 3 * sweepMost {
		entries = append(entries, store.Entry{Key: strconv.Itoa(i)})
	}
	ends := clock.Now().Add(time.Minute)
	for i := range 3 {
		b := &store.Batch{
			Records: []*store.Record{noise(clock, strconv.Itoa(i), 100, time.Minute)},
			Put:     []store.DocWrite{{Doc: &store.Doc{Kind: "k", Key: strconv.Itoa(i), Expires: ends}, If: store.Absent}},
			Append:  []store.LogAppend{{Log: strconv.Itoa(i), Expires: ends, Entries: entries}},
		}
		if err := s.Commit(ctx, "t", b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(ctx, "t", &store.Batch{Drop: []string{"0"}}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	left := ""
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		left = ""
		_ = s.db.View(func(tx *bbolt.Tx) error {
			for _, name := range buckets[1:] {
				if k, _ := tx.Bucket(name).Cursor().First(); k != nil {
					left += fmt.Sprintf(" %s %q", name, k)
				}
			}
			return nil
		})
		if left == "" || time.Since(start) > 20*time.Second {
			break
		}
	}
	if left != "" {
		t.Errorf("the file has%s", left)
	}
	if got, want := s.Stats(), (store.Stats{Expired: 8}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestChurn: a file whose content comes and goes does not grow.
func TestChurn(t *testing.T) {
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, Options{Path: path, Now: clock.Now, SweepEvery: time.Hour})
	defer s.Close()
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	var after int64
	for round := range 10 {
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if err := s.Put(t.Context(), noise(clock, fmt.Sprintf("%d_%d", round, i), 4000, time.Minute)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		clock.Advance(time.Minute)
		if err := s.sweep(); err != nil {
			t.Fatal(err)
		}
		if round == 2 {
			after = size()
		}
	}
	if got := size(); got > after*5/4 {
		t.Errorf("%d bytes after 10 rounds, %d after 3", got, after)
	}
}

// TestGroups: those who write at the same time share transactions.
func TestGroups(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, Options{Now: clock.Now, SweepEvery: time.Hour})
	defer s.Close()
	transaction := func() (id int) {
		_ = s.db.View(func(tx *bbolt.Tx) error {
			id = tx.ID()
			return nil
		})
		return id
	}
	stuck, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	before := transaction()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := s.Put(t.Context(), noise(clock, strconv.Itoa(i), 10, time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	for start := time.Now(); len(s.ops) < n-1 && time.Since(start) < 20*time.Second; time.Sleep(time.Millisecond) {
	}
	if err := stuck.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if got := transaction() - before; got > 3 {
		t.Errorf("%d writes took %d transactions", n, got)
	}
}

// TestClose: it ends those who wait, and what comes later is told so.
func TestClose(t *testing.T) {
	s := open(t, Options{})
	done := make(chan error)
	for range 2 {
		go func() { done <- s.Wait(context.Background(), "t", "l", 0) }()
	}
	time.Sleep(10 * time.Millisecond)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-done; !errors.Is(err, store.ErrClosed) {
			t.Errorf("Wait: %v", err)
		}
	}
	rec := noise(storetest.NewClock(), "r", 10, time.Hour)
	if err := s.Put(context.Background(), rec); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Get(context.Background(), "t", "r"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get: %v", err)
	}
}
