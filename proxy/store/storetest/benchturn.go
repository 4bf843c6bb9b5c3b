package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// latencyCallers is how many call at the same time where latencies are taken.
const latencyCallers = 64

// benchLatency calls f from many goroutines and reports what a call takes, not
// how many calls there can be.
func benchLatency(b *testing.B, f func(n int) error) {
	var (
		next atomic.Int64
		all  sync.WaitGroup
		took [latencyCallers][]time.Duration
	)
	b.ResetTimer()
	for g := range latencyCallers {
		all.Go(func() {
			for n := int(next.Add(1)) - 1; n < b.N; n = int(next.Add(1)) - 1 {
				start := time.Now()
				if err := f(n); err != nil {
					b.Error(err)
					return
				}
				took[g] = append(took[g], time.Since(start))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	every := slices.Concat(took[:]...)
	if slices.Sort(every); len(every) == 0 {
		return
	}
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(every[(len(every)-1)*p/100].Nanoseconds())/1e3, fmt.Sprintf("p%d-µs", p))
	}
}

func benchPutLatency(b *testing.B, s store.Store, _ int) {
	now := time.Now().UTC()
	benchLatency(b, func(n int) error { return s.Put(context.Background(), benchRecord(now, n, "")) })
}

func benchGetLatency(b *testing.B, s store.Store, held int) {
	names := benchFill(b, s, held)
	benchLatency(b, func(n int) error {
		_, err := s.Get(context.Background(), benchTenant, names[n*7919%len(names)])
		return err
	})
}

// benchBatch is what a turn in a conversation commits: the response, its items,
// and the conversation's lock.
func benchBatch(now time.Time, n int) *store.Batch {
	name := benchName("conv_", n%100)
	return &store.Batch{
		Records: []*store.Record{benchRecord(now, n, "")},
		Put:     []store.DocWrite{{Doc: &store.Doc{Kind: "conversation", Key: name, Body: benchContent[:128]}, If: store.AnyVersion, Log: name}},
		Append: []store.LogAppend{{Log: name, Entries: []store.Entry{
			{Key: benchName("msg_", 2*n), Body: benchContent[:512]}, {Key: benchName("msg_", 2*n+1), Body: benchContent[:512]},
		}}},
	}
}

func benchCommit(b *testing.B, s store.Store, _ int) {
	now, n := time.Now().UTC(), 0
	for b.Loop() {
		benchMust(b, s.Commit(b.Context(), benchTenant, benchBatch(now, n)))
		n++
	}
}

func benchCommitParallel(b *testing.B, s store.Store, _ int) {
	now := time.Now().UTC()
	benchLatency(b, func(n int) error { return s.Commit(context.Background(), benchTenant, benchBatch(now, n)) })
}

// benchTurn is what a turn of a conversation of that depth asks of the store: the
// chain, and then the new record. While the clock stands the new ones are
// deleted, so that none of the chains is pushed out.
func benchTurn(b *testing.B, s store.Store, held, depth int) {
	ends := benchLines(b, s, held, depth)
	now := time.Now().UTC()
	var made []*store.Record
	b.ResetTimer()
	for i := range b.N {
		if len(made) == 256 {
			b.StopTimer()
			for _, rec := range made {
				benchMust(b, s.Delete(b.Context(), rec.Tenant, rec.ID))
			}
			made = made[:0]
			b.StartTimer()
		}
		n := held + i
		end := ends[n%len(ends)]
		chain, err := s.Chain(b.Context(), benchTenant, end)
		if err != nil || len(chain) != depth {
			b.Fatal(len(chain), err)
		}
		rec := benchRecord(now, n, end)
		benchMust(b, s.Put(b.Context(), rec))
		made = append(made, rec)
	}
}

// BenchFootprint measures what a stored turn takes: a record of 2 KB of text
// with two items, of many conversations. disk is how much of a disk, or of a
// server's memory, is in use; nil for none.
func BenchFootprint(b *testing.B, turns int, open func(b *testing.B) (s store.Store, disk func() int64)) {
	base := heapInUse()
	s, disk := open(b)
	defer s.Close()
	before := int64(0)
	if disk != nil {
		before = disk()
	}
	now := time.Now().UTC()
	recs := make([]*store.Record, 256)
	for i := 0; i < turns; i += len(recs) {
		for j := range recs {
			rec := benchRecord(now, i+j, "")
			if (i+j)%10 > 0 {
				rec.Parent = benchName("resp_", i+j-1)
			}
			rec.Response = benchText(i + j)
			rec.Output, rec.Input = [2]int{0, 1024}, rec.Response[1792:2048:2048]
			recs[j] = rec
		}
		benchPutAll(b, s, recs)
	}
	clear(recs)
	n := float64(s.Stats().Records)
	b.ReportMetric(float64(heapInUse()-base)/n, "heap-B/turn")
	if disk != nil {
		b.ReportMetric(float64(disk()-before)/n, "disk-B/turn")
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	runtime.KeepAlive(s)
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// benchText is 2 KB that compress about as answers of a model do.
func benchText(n int) []byte {
	words := strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have from or
		had an they which one you were all her she there would their we him been has when who will no more if out so up said
		what its about than into them can only other time new some could these two may first then do any like my now over such`)
	rnd := rand.New(rand.NewPCG(uint64(n), 9))
	b := []byte(`{"id":"resp_` + fmt.Sprint(n) + `","object":"response","output":[{"type":"message","content":[{"type":"output_text","text":"`)
	for len(b) < 2048 {
		b = append(append(b, words[rnd.IntN(len(words))]...), ' ')
	}
	return b[:2048:2048]
}
