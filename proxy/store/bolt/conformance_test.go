package bolt

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"antiphon/proxy/store"
	"antiphon/proxy/store/storetest"
)

func TestMain(m *testing.M) {
	if child() {
		return
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
