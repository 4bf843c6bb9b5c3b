package storetest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Bench runs the benchmarks. Open opens an empty store on the real clock; those
// that read hold that many records (at least 100) and read all of them, in an
// order that is as good as random. With many, the figures are those of memory,
// or of the disk; with few, those of the code.
//
// Records look like those of a chat: 2 KB and two items. Their content is one
// shared slice, so that what is measured is the store and not the making of
// records.
func Bench(b *testing.B, held int, open func(b *testing.B) store.Store) {
	for _, bench := range []struct {
		name string
		run  func(*testing.B, store.Store, int)
	}{
		{"Put", benchPut},
		{"PutParallel", benchPutParallel},
		{"PutDelete", benchPutDelete},
		{"Get", benchGet},
		{"GetParallel", benchGetParallel},
		{"GetWhilePutting", benchGetWhilePutting},
		{"Item", benchItem},
		{"Epoch", benchEpoch},
		{"PutLatency", benchPutLatency},
		{"GetLatency", benchGetLatency},
		{"Commit", benchCommit},
		{"CommitParallel", benchCommitParallel},
		{"Chain1", func(b *testing.B, s store.Store, held int) { benchChain(b, s, held, 1) }},
		{"Chain1000", func(b *testing.B, s store.Store, held int) { benchChain(b, s, held, min(held, 1000)) }},
		{"Turn1", func(b *testing.B, s store.Store, held int) { benchTurn(b, s, held, 1) }},
		{"Turn10", func(b *testing.B, s store.Store, held int) { benchTurn(b, s, held, 10) }},
		{"Turn100", func(b *testing.B, s store.Store, held int) { benchTurn(b, s, held, 100) }},
		{"Turn1000", func(b *testing.B, s store.Store, held int) { benchTurn(b, s, held, min(held, 1000)) }},
		{"Chain10", func(b *testing.B, s store.Store, held int) { benchChain(b, s, held, 10) }},
		{"Chain100", func(b *testing.B, s store.Store, held int) { benchChain(b, s, held, 100) }},
		{"Chain10Parallel", func(b *testing.B, s store.Store, held int) { benchChainParallel(b, s, held, 10) }},
		{"Chain100Parallel", func(b *testing.B, s store.Store, held int) { benchChainParallel(b, s, held, 100) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := open(b)
			defer s.Close()
			b.ReportAllocs()
			bench.run(b, s, held)
		})
	}
}

const benchTenant = "0123456789abcdef0123456789abcdef"

var benchContent = []byte(strings.Repeat("0123456789abcdef", 128))

// benchName is as long as a real id: a prefix, 50 hexadecimal digits.
func benchName(prefix string, n int) string {
	const zeros = "00000000000000000000000000000000000000000000000000"
	digits := strconv.FormatInt(int64(n), 16)
	return prefix + zeros[len(digits):] + digits
}

func benchRecord(now time.Time, n int, parent string) *store.Record {
	// Created when the request came, put when it was over: the expiries are not
	// quite in the order of Put.
	now = now.Add(time.Duration(n)*time.Millisecond - time.Duration(n*7919%10_000)*time.Millisecond)
	return &store.Record{
		Tenant: benchTenant, ID: benchName("resp_", n), Parent: parent,
		Created: now, Expires: now.Add(ttl),
		Response: benchContent, Output: [2]int{16, 1024}, Input: benchContent[:256],
		ItemIDs: []string{benchName("msg_", n), benchName("rs_", n)},
	}
}

// benchFill puts n records without parents and returns their ids.
func benchFill(b *testing.B, s store.Store, n int) []string {
	b.Helper()
	now, names, recs := time.Now().UTC(), make([]string, n), make([]*store.Record, n)
	for i := range names {
		recs[i] = benchRecord(now, i, "")
		names[i] = recs[i].ID
	}
	benchPutAll(b, s, recs)
	return names
}

// benchPutAll puts records, many at a time: a backend that writes to a disk would
// take long one by one.
func benchPutAll(b *testing.B, s store.Store, recs []*store.Record) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(recs) {
					return
				}
				if err := s.Put(context.Background(), recs[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func benchMust(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// benchPut puts records that are made while the clock stands, but not long
// before: a real one has just been made, too, and is in the processor's caches.
func benchPut(b *testing.B, s store.Store, _ int) {
	ctx := b.Context()
	batch := make([]*store.Record, 256)
	for i := range b.N {
		if i%len(batch) == 0 {
			b.StopTimer()
			now := time.Now().UTC()
			for j := range batch {
				batch[j] = benchRecord(now, i+j, "")
			}
			b.StartTimer()
		}
		benchMust(b, s.Put(ctx, batch[i%len(batch)]))
	}
}

// benchPutParallel includes the making of the records.
func benchPutParallel(b *testing.B, s store.Store, _ int) {
	var n atomic.Int64
	now := time.Now().UTC()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Put(context.Background(), benchRecord(now, int(n.Add(1)), "")); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchGet(b *testing.B, s store.Store, held int) {
	ctx, names := b.Context(), benchFill(b, s, held)
	i := 0
	for b.Loop() {
		_, err := s.Get(ctx, benchTenant, names[i%len(names)])
		benchMust(b, err)
		i += 7919
	}
}

func benchGetParallel(b *testing.B, s store.Store, held int) {
	names := benchFill(b, s, held)
	b.ResetTimer()
	benchGets(b, s, names)
}

func benchGets(b *testing.B, s store.Store, names []string) {
	var start atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		i := int(start.Add(1)) * 104729
		for pb.Next() {
			if _, err := s.Get(context.Background(), benchTenant, names[i%len(names)]); err != nil {
				b.Error(err)
			}
			i += 7919
		}
	})
}

// benchGetWhilePutting reads beside one writer that never rests.
func benchGetWhilePutting(b *testing.B, s store.Store, held int) {
	names := benchFill(b, s, held)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		now := time.Now().UTC()
		for i := held; ; i++ {
			select {
			case <-stop:
				return
			default:
				rec := benchRecord(now, i, "")
				if s.Put(context.Background(), rec) != nil || s.Delete(context.Background(), rec.Tenant, rec.ID) != nil {
					b.Error("Put or Delete failed")
					return
				}
			}
		}
	}()
	b.ResetTimer()
	benchGets(b, s, names)
	b.StopTimer()
	close(stop)
	<-stopped
}

func benchItem(b *testing.B, s store.Store, held int) {
	ctx := b.Context()
	benchFill(b, s, held)
	names := make([]string, held)
	for i := range names {
		names[i] = benchName("msg_", i)
	}
	i := 0
	for b.Loop() {
		_, err := s.Item(ctx, benchTenant, names[i%len(names)])
		benchMust(b, err)
		i += 7919
	}
}

func benchEpoch(b *testing.B, s store.Store, _ int) {
	ctx := b.Context()
	benchMust(b, s.Delete(ctx, benchTenant, benchFill(b, s, 1)[0]))
	for b.Loop() {
		_, err := s.Epoch(ctx, benchTenant)
		benchMust(b, err)
	}
}

// benchLines puts chains of that depth, many, so that not all is in the
// processor's caches, and returns their ends.
func benchLines(b *testing.B, s store.Store, held, depth int) []string {
	b.Helper()
	now := time.Now().UTC()
	ends := make([]string, held/depth)
	recs := make([]*store.Record, held/depth*depth)
	for i := range recs {
		// Turn by turn, as conversations that go on at the same time.
		line, turn := i%len(ends), i/len(ends)
		recs[i] = benchRecord(now, line*depth+turn, ends[line])
		ends[line] = recs[i].ID
	}
	benchPutAll(b, s, recs)
	return ends
}

func benchChain(b *testing.B, s store.Store, held, depth int) {
	ctx, ends := b.Context(), benchLines(b, s, held, depth)
	i := 0
	for b.Loop() {
		chain, err := s.Chain(ctx, benchTenant, ends[i%len(ends)])
		if err != nil || len(chain) != depth {
			b.Fatal(len(chain), err)
		}
		i++
	}
}

func benchChainParallel(b *testing.B, s store.Store, held, depth int) {
	ends := benchLines(b, s, held, depth)
	var start atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(start.Add(1)) * 31
		for pb.Next() {
			chain, err := s.Chain(context.Background(), benchTenant, ends[i%len(ends)])
			if err != nil || len(chain) != depth {
				b.Error(fmt.Sprint(len(chain), err))
			}
			i++
		}
	})
}

func benchPutDelete(b *testing.B, s store.Store, held int) {
	ctx := b.Context()
	benchFill(b, s, held)
	rec := benchRecord(time.Now().UTC(), held, "")
	for b.Loop() {
		benchMust(b, s.Put(ctx, rec))
		benchMust(b, s.Delete(ctx, rec.Tenant, rec.ID))
	}
}
