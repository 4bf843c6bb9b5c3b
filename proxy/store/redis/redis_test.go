package redis

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// server is what all tests share that do not harm it.
var server *redistest.Server

func TestMain(m *testing.M) {
	if args := os.Getenv(chaosEnv); args != "" {
		writeUntilKilled(args)
		return
	}
	// After each step of a model everything is asked for: by default fewer runs
	// than where a question takes a microsecond.
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("5")
	}
	var err error
	if server, err = redistest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/antiphon-proxy/antiphon/proxy/store/redistest.(*Server).run.func1"),
			goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait")); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	server.Stop()
	os.Exit(code)
}

// outageTimeout is that of a call in tests of outages: long beside what a busy
// machine, or a slow disk, adds to each.
const outageTimeout = time.Second

// testTimeout leaves tests that are not about time alone.
const testTimeout = 20 * time.Second

var stores atomic.Int64

// options are those of an empty store on that server.
func options(s *redistest.Server) Options {
	return Options{URL: s.URL(), Prefix: fmt.Sprintf("test%d:", stores.Add(1)), Timeout: outageTimeout}
}

func open(tb testing.TB, o Options) *Store {
	tb.Helper()
	s, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t,
		func(t *testing.T, clock *storetest.Clock) store.Store {
			o := options(server)
			o.Now = clock.Now
			o.Timeout = testTimeout
			return open(t, o)
		},
		storetest.Capabilities{Operations: 5_000})
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, 5000, func(b *testing.B) store.Store {
		o := options(server)
		o.Timeout = testTimeout
		return open(b, o)
	})
}

// BenchmarkDurable is what a write costs when the server syncs each to disk.
func BenchmarkDurable(b *testing.B) {
	durable, err := redistest.Start(redistest.Durable...)
	if err != nil {
		b.Fatal(err)
	}
	defer durable.Stop()
	o := options(durable)
	o.Timeout = testTimeout
	s := open(b, o)
	defer s.Close()
	put := func(b *testing.B, n int64) {
		if err := s.Put(b.Context(), record(fmt.Sprintf("%s_%d", b.Name(), n), "", 2000)); err != nil {
			b.Error(err)
		}
	}
	b.Run("Put", func(b *testing.B) {
		for b.Loop() {
			put(b, stores.Add(1))
		}
	})
	b.Run("PutParallel", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				put(b, stores.Add(1))
			}
		})
	})
}
