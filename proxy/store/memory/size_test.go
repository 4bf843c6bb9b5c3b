package memory

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// raceEnabled is set by race_test.go. The race detector allocates on its own
// account, so what counts bytes or allocations cannot run under it.
var raceEnabled bool

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("counts memory")
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSizeIsHonest: what Record.Size counts is not less than what a record costs
// on the heap, and not far more: a budget of 1 GB is a heap of 1 GB.
func TestSizeIsHonest(t *testing.T) {
	skipUnderRace(t)
	for _, c := range []struct{ items, response, records int }{
		{0, 0, 30_000}, // the worst kind: all overhead
		{0, 64, 57_000}, {1, 64, 20_000}, {2, 2048, 20_000}, {5, 64, 20_000}, {20, 64, 5_000}, {100, 64, 1_500},
	} {
		for _, churn := range []int{1, 3} { // just filled; every place in it used again
			base := heapInUse()
			held := fill(c.items, c.response, c.records, churn)
			heap := heapInUse() - base
			bytes := held.Stats().Bytes
			if ratio := float64(heap) / float64(bytes); ratio > 1 || ratio < 0.6 {
				t.Errorf("%+v, churn %d: %d bytes of heap for %d bytes of budget (%.2f)", c, churn, heap, bytes, ratio)
			}
			if err := held.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// fill returns a store that holds n records of that shape, after churn times as
// many were put.
func fill(items, response, n, churn int) *Store {
	shape := func(i int) *store.Record {
		rec := &store.Record{
			Tenant: fmt.Sprintf("%032x", i), ID: fmt.Sprintf("resp_%050x", i),
			Expires: time.Now().Add(time.Hour), Response: make([]byte, response),
		}
		for j := range items {
			if rec.ItemIDs == nil {
				rec.ItemIDs = make([]string, items)
			}
			rec.ItemIDs[j] = fmt.Sprintf("i_%08x%08x", i, j)
		}
		return rec
	}
	s := New(Options{MaxBytes: int64(n * shape(0).Size())})
	for i := range churn * n {
		if err := s.Put(context.Background(), shape(i)); err != nil {
			panic(err)
		}
	}
	return s
}

// TestAllocations: a Put allocates the entry and its places, a read nothing but
// the slice it returns.
func TestAllocations(t *testing.T) {
	skipUnderRace(t)
	s := New(Options{MaxBytes: 1 << 20})
	defer s.Close()
	ctx := t.Context()
	var recs []*store.Record
	parent := ""
	for i := range 4000 {
		id := fmt.Sprintf("resp_%d", i)
		recs = append(recs, &store.Record{
			Tenant: "t", ID: id, Parent: parent, Expires: time.Now().Add(time.Hour),
			ItemIDs: []string{fmt.Sprintf("a_%d", i), fmt.Sprintf("b_%d", i)},
		})
		if parent = id; i%10 == 9 {
			parent = ""
		}
	}
	for _, rec := range recs[:2000] {
		if err := s.Put(ctx, rec); err != nil {
			t.Fatal(err)
		}
	}
	next := 2000
	for _, c := range []struct {
		what string
		most float64
		run  func()
	}{
		{"Put", 2.5, func() { // evictions included; the half is for maps that grow
			if err := s.Put(ctx, recs[next]); err != nil {
				t.Error(err)
			}
			next++
		}},
		{"Get", 0, func() {
			if _, err := s.Get(ctx, "t", recs[next-1].ID); err != nil {
				t.Error(err)
			}
		}},
		{"Item", 0, func() {
			if _, err := s.Item(ctx, "t", recs[next-1].ItemIDs[0]); err != nil {
				t.Error(err)
			}
		}},
		{"Chain", 1, func() {
			if chain, err := s.Chain(ctx, "t", recs[next/10*10-1].ID); err != nil || len(chain) != 10 {
				t.Error(len(chain), err)
			}
		}},
		{"Epoch", 0, func() { _, _ = s.Epoch(ctx, "t") }},
	} {
		if got := testing.AllocsPerRun(1000, c.run); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.what, got, c.most)
		}
	}
}
