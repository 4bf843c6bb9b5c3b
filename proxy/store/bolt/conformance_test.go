package bolt

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// raceEnabled is set by race_test.go.
var raceEnabled bool

func TestMain(m *testing.M) {
	if child() {
		return
	}
	// After each step of a model everything is asked for, and each of them waits
	// for the disk: fewer runs where the asking is slow as well.
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); raceEnabled && checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("15")
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Path == "" {
		opts.Path = filepath.Join(t.TempDir(), "state.db")
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t,
		func(t *testing.T, clock *storetest.Clock) store.Store {
			// The janitor runs as often as it can, to be in the way.
			return open(t, Options{Now: clock.Now, SweepEvery: 5 * time.Millisecond})
		},
		storetest.Capabilities{
			ExactStats: true,
			Sweep: func(s store.Store) {
				if err := s.(*Store).sweep(); err != nil {
					t.Error(err)
				}
			},
			Operations: 5_000,
		})
}

// BenchmarkStore is a store in use, on the disk that holds temporary files.
func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, 5000, func(b *testing.B) store.Store { return open(b, Options{}) })
}

func BenchmarkFootprint(b *testing.B) {
	storetest.BenchFootprint(b, 20_480, func(b *testing.B) (store.Store, func() int64) {
		s := open(b, Options{})
		return s, func() (used int64) {
			_ = s.db.View(func(tx *bbolt.Tx) error {
				used = s.used(tx)
				return nil
			})
			return used
		}
	})
}
