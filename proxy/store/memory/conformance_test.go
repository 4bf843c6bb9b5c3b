package memory

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	open := func(clock *storetest.Clock, maxBytes int64) store.Store {
		// The janitor runs as often as it can, to be in the way.
		return New(Options{Now: clock.Now, MaxBytes: maxBytes, SweepEvery: time.Millisecond})
	}
	storetest.Run(t,
		func(_ *testing.T, clock *storetest.Clock) store.Store { return open(clock, 0) },
		storetest.Capabilities{
			Budget: func(_ *testing.T, clock *storetest.Clock, maxBytes int64) store.Store {
				return open(clock, maxBytes)
			},
			ExactStats: true,
			Sweep:      func(s store.Store) { s.(*Store).sweepAll() },
		})
}

// BenchmarkStore is a store in use: 20 000 records for those that read, and
// 100 000 for Put, which evicts one each time. Most of what is touched is in no
// cache of the processor.
func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, 20_000, func(*testing.B) store.Store { return New(Options{}) })
}

// BenchmarkSmallStore is the same with a few hundred records.
func BenchmarkSmallStore(b *testing.B) {
	storetest.Bench(b, 500, func(*testing.B) store.Store { return New(Options{MaxBytes: 2 << 20}) })
}

func BenchmarkFootprint(b *testing.B) {
	storetest.BenchFootprint(b, 20_480, func(*testing.B) (store.Store, func() int64) { return New(Options{}), nil })
}
