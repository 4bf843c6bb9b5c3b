package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

const tenant = "tenant"

// own is a server that the test may harm.
func own(t *testing.T, options ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(id, parent string, size int) *store.Record {
	now := time.Now().UTC()
	return &store.Record{
		Tenant: tenant, ID: id, Parent: parent, Created: now, Expires: now.Add(time.Hour),
		Response: []byte(`{"id":"` + id + `","output":[]}` + strings.Repeat(" ", size)), Output: [2]int{len(id) + 17, len(id) + 19},
		Input: []byte(`"Hello"`), ItemIDs: []string{"item_of_" + id},
	}
}

// outage demands that an error is that of a server that cannot be asked: not
// one that says something about what it holds.
func outage(t *testing.T, err error) {
	t.Helper()
	for _, not := range []error{nil, store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrTooLarge} {
		if errors.Is(err, not) {
			t.Errorf("%v, want an error that says the server is out of reach", err)
		}
	}
}

// everyRead asks by all methods that read, everyWrite by all that write. They
// expect a record "there", and none else.
var everyRead = map[string]func(context.Context, *Store) error{
	"Get":   func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, tenant, "there"); return err },
	"Chain": func(ctx context.Context, s *Store) error { _, err := s.Chain(ctx, tenant, "there"); return err },
	"Item":  func(ctx context.Context, s *Store) error { _, err := s.Item(ctx, tenant, "item_of_there"); return err },
	"Epoch": func(ctx context.Context, s *Store) error { _, err := s.Epoch(ctx, tenant); return err },
	"Doc":   func(ctx context.Context, s *Store) error { _, err := s.Doc(ctx, tenant, "kind", "there"); return err },
	"Docs": func(ctx context.Context, s *Store) error {
		_, _, err := s.Docs(ctx, tenant, "kind", store.Page{Limit: 9})
		return err
	},
	"Entry": func(ctx context.Context, s *Store) error { _, err := s.Entry(ctx, tenant, "log", "there"); return err },
	"Entries": func(ctx context.Context, s *Store) error {
		_, _, err := s.Entries(ctx, tenant, "log", store.Page{Limit: 9})
		return err
	},
	"Wait": func(ctx context.Context, s *Store) error { return s.Wait(ctx, tenant, "log", 0) },
}

var everyWrite = map[string]func(context.Context, *Store) error{
	"Put": func(ctx context.Context, s *Store) error { return s.Put(ctx, record("new_"+newName(), "", 0)) },
	"Commit": func(ctx context.Context, s *Store) error {
		return s.Commit(ctx, tenant, &store.Batch{
			Put:    []store.DocWrite{{Doc: &store.Doc{Kind: "kind", Key: "new"}, If: store.AnyVersion}},
			Append: []store.LogAppend{{Log: "log", Entries: []store.Entry{{Body: []byte("new")}}}},
		})
	},
}

func prepare(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.Put(t.Context(), record("there", "", 0)))
	must(t, s.Commit(t.Context(), tenant, &store.Batch{
		Put:    []store.DocWrite{{Doc: &store.Doc{Kind: "kind", Key: "there"}, If: store.Absent}},
		Append: []store.LogAppend{{Log: "log", Entries: []store.Entry{{Key: "there", Body: []byte("entry")}}}},
	}))
}

// eachWorks demands that all methods do.
func eachWorks(t *testing.T, s *Store, methods ...map[string]func(context.Context, *Store) error) {
	t.Helper()
	for _, m := range methods {
		for name, f := range m {
			if err := f(t.Context(), s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// soon is when a proxy of a busy machine has noticed what it should notice.
const soon = 5 * time.Second

// back demands that the server is asked again soon after its return.
func back(t *testing.T, s *Store) {
	t.Helper()
	start := time.Now()
	for everyRead["Get"](t.Context(), s) != nil {
		if time.Since(start) > soon {
			t.Fatal("not asked again after the server's return")
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("asked again after %v", time.Since(start).Round(time.Millisecond))
}

// slack is what a busy machine may add to a deadline.
const slack = outageTimeout / 2

// eachFails demands that all methods fail as in an outage, within the deadline.
func eachFails(t *testing.T, s *Store, most time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for _, m := range []map[string]func(context.Context, *Store) error{everyRead, everyWrite} {
		for name, f := range m {
			all.Go(func() {
				start := time.Now()
				outage(t, f(t.Context(), s))
				if took := time.Since(start); took > most+slack {
					t.Errorf("%s has failed after %v, allowed: %v", name, took, most)
				}
			})
		}
	}
	all.Wait()
}

// failsAtOnce demands that a call to a server that is known to be down takes
// next to no time.
func failsAtOnce(t *testing.T, s *Store) {
	t.Helper()
	for start := time.Now(); s.guard.phase.Load().down == nil; time.Sleep(time.Millisecond) {
		if time.Since(start) > soon {
			t.Fatal("the server is not taken for down")
		}
	}
	var took []time.Duration
	for range 101 {
		start := time.Now()
		_, err := s.Get(t.Context(), tenant, "there")
		took = append(took, time.Since(start))
		if _, ok := errors.AsType[*DownError](err); !ok {
			t.Errorf("%v, want a DownError", err)
		}
	}
	slices.Sort(took)
	t.Logf("a call to a server that is down: %v", took[50])
	if took[50] > time.Millisecond {
		t.Errorf("a call to a server that is down takes %v", took[50])
	}
}

// TestFrozen: a server that stops to answer costs a deadline, once, and loses
// nothing.
func TestFrozen(t *testing.T) {
	server := own(t)
	s := open(t, options(server))
	defer s.Close()
	prepare(t, s)
	for range 2 {
		server.Freeze()
		eachFails(t, s, s.timeout)
		failsAtOnce(t, s)
		server.Thaw()
		back(t, s)
		eachWorks(t, s, everyRead, everyWrite)
	}
}

// TestFrozenUnderLoad: the calls of a moment wait, those that come later do not.
func TestFrozenUnderLoad(t *testing.T) {
	server := own(t)
	s := open(t, options(server))
	defer s.Close()
	prepare(t, s)

	const workers = 300 // more than are let through at once
	var slow, longest [workers]time.Duration
	var stop atomic.Bool
	var all sync.WaitGroup
	for g := range workers {
		all.Go(func() {
			for !stop.Load() {
				start := time.Now()
				err := everyRead["Get"](t.Context(), s)
				took := time.Since(start)
				if err != nil {
					outage(t, err)
					slow[g] += took
					longest[g] = max(longest[g], took)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	server.Freeze()
	time.Sleep(5 * time.Second)
	server.Thaw()
	back(t, s)
	stop.Store(true)
	all.Wait()
	t.Logf("in an outage of 5s a caller waited %v at most, for one call %v", slices.Max(slow[:]), slices.Max(longest[:]))
	if slices.Max(longest[:]) > s.timeout+slack {
		t.Errorf("a call took %v", slices.Max(longest[:]))
	}
	// One that failed by its deadline, and one that was begun before the server
	// was found to be down.
	if slices.Max(slow[:]) > s.timeout+s.timeout/suspectPart+3*slack {
		t.Errorf("a caller has waited %v in all", slices.Max(slow[:]))
	}
}

// TestKilled: a server that dies is noticed at once, and so is its return, with
// all that it has confirmed.
func TestKilled(t *testing.T) {
	server := own(t, redistest.Durable...)
	var mu sync.Mutex
	var told []string
	o := options(server)
	o.Log = func(message string, _ error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, message)
	}
	s := open(t, o)
	defer s.Close()
	prepare(t, s)
	for range 2 {
		server.Kill()
		eachFails(t, s, s.timeout/2)
		failsAtOnce(t, s)
		must(t, server.Restart())
		back(t, s)
		eachWorks(t, s, everyRead, everyWrite)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(told, ", "); got != strings.TrimSuffix(strings.Repeat("the store is out of reach, the store is back, ", 2), ", ") {
		t.Errorf("told: %s", got)
	}
}

// TestRestartedUnnoticed: connections that broke while nobody used them cost
// nobody an error.
func TestRestartedUnnoticed(t *testing.T) {
	server := own(t, redistest.Durable...)
	s := open(t, options(server))
	defer s.Close()
	prepare(t, s)
	server.Kill()
	must(t, server.Restart())
	eachWorks(t, s, everyWrite, everyRead)
}

// TestStartsWithoutServer: a store can be opened before its server.
func TestStartsWithoutServer(t *testing.T) {
	server := own(t)
	server.Kill()
	start := time.Now()
	s := open(t, options(server))
	defer s.Close()
	if took := time.Since(start); took > s.timeout+slack {
		t.Errorf("Open took %v", took)
	}
	eachFails(t, s, 0)
	failsAtOnce(t, s)
	must(t, server.Restart())
	start = time.Now()
	for {
		_, err := s.Epoch(t.Context(), tenant)
		if err == nil {
			break
		}
		if time.Since(start) > soon {
			t.Fatal(err)
		}
	}
	prepare(t, s)
	eachWorks(t, s, everyRead, everyWrite)

	frozen := own(t)
	frozen.Freeze()
	start = time.Now()
	other := open(t, options(frozen))
	if took := time.Since(start); took > s.timeout+slack {
		t.Errorf("Open of a frozen server took %v", took)
	}
	eachFails(t, other, 0)
	frozen.Thaw()
	time.Sleep(time.Second)
	prepare(t, other)
	frozen.Freeze()
	start = time.Now()
	must(t, other.Close())
	if took := time.Since(start); took > 2*time.Second+slack { // a second for each connection
		t.Errorf("Close with a frozen server took %v", took)
	}
}

// TestFull: a server without memory is read and deleted from, and takes all of a
// batch or nothing.
func TestFull(t *testing.T) {
	server := own(t)
	s := open(t, options(server))
	defer s.Close()
	prepare(t, s)
	must(t, s.Put(t.Context(), record("other", "", 0)))
	must(t, server.Fill())
	for name, write := range everyWrite {
		if err := write(t.Context(), s); !errors.Is(err, store.ErrFull) {
			t.Errorf("%s: %v, want ErrFull", name, err)
		}
	}
	// Nothing of such a batch may stay, whichever of its parts comes first.
	for i, b := range []*store.Batch{
		{Append: []store.LogAppend{{Log: "log", Entries: []store.Entry{{Body: []byte("new")}}}}, Records: []*store.Record{record("new", "", 0)}},
		{Put: []store.DocWrite{{Doc: &store.Doc{Kind: "kind", Key: "new"}}}, Records: []*store.Record{record("new", "", 0)}},
	} {
		if err := s.Commit(t.Context(), tenant, b); !errors.Is(err, store.ErrFull) {
			t.Errorf("batch %d: %v, want ErrFull", i, err)
		}
	}
	eachWorks(t, s, everyRead)
	entries, _, err := s.Entries(t.Context(), tenant, "log", store.Page{Limit: 9})
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	for _, err := range []error{
		func() error { _, err := s.Get(t.Context(), tenant, "new"); return err }(),
		func() error { _, err := s.Doc(t.Context(), tenant, "kind", "new"); return err }(),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a refused batch something is there: %v", err)
		}
	}
	// Deleting must work, or there is no way out.
	before, _ := s.Epoch(t.Context(), tenant)
	must(t, s.Delete(t.Context(), tenant, "other"))
	if after, _ := s.Epoch(t.Context(), tenant); after == before {
		t.Error("the epoch has not changed")
	}
	must(t, s.Commit(t.Context(), tenant, &store.Batch{Delete: []store.Condition{{Kind: "kind", Key: "there", Version: store.AnyVersion}}}))
	if s.guard.phase.Load().down != nil {
		t.Error("a full server is taken for down")
	}
	must(t, server.Drain())
	eachWorks(t, s, everyWrite)
}

// TestReadOnly: a primary that became a replica is read from. When there is a
// primary again, it is written to without a restart.
func TestReadOnly(t *testing.T) {
	server := own(t)
	s := open(t, options(server))
	defer s.Close()
	prepare(t, s)
	must(t, server.ReadOnly())
	for name, write := range everyWrite {
		err := write(t.Context(), s)
		outage(t, err)
		if !strings.Contains(err.Error(), "READONLY") {
			t.Errorf("%s: %v", name, err)
		}
	}
	outage(t, s.Delete(t.Context(), tenant, "there"))
	eachWorks(t, s, everyRead)
	must(t, server.Promote())
	start := time.Now()
	for everyWrite["Put"](t.Context(), s) != nil {
		if time.Since(start) > soon {
			t.Fatal("not written to after the promotion")
		}
		time.Sleep(time.Millisecond)
	}
	eachWorks(t, s, everyRead, everyWrite)
}

// TestShortDeadline: a caller who has no time left learns nothing of the server,
// and does not turn it down for others.
func TestShortDeadline(t *testing.T) {
	s := open(t, options(server))
	defer s.Close()
	prepare(t, s)
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Microsecond)
		if _, err := s.Get(ctx, tenant, "there"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(cancelled, tenant, "there"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eachWorks(t, s, everyRead, everyWrite)
	if s.guard.phase.Load().down != nil {
		t.Error("the server is taken for down")
	}
}

// TestNothingTwiceNothingLost: while the server is frozen, killed, filled and
// cut off, what was confirmed is there once, and what was not, at most once.
func TestNothingTwiceNothingLost(t *testing.T) {
	server := own(t, redistest.Durable...)
	o := options(server)
	o.Timeout = 0 // the default, which the pauses below exceed
	s := open(t, o)
	defer s.Close()

	const workers = 16
	var stop atomic.Bool
	var all sync.WaitGroup
	var acked, tried [workers]int
	var counted atomic.Int64
	for g := range workers {
		all.Go(func() {
			log := fmt.Sprintf("log%d", g)
			for n := 0; !stop.Load(); n++ {
				tried[g]++
				err := s.Commit(context.Background(), tenant, &store.Batch{
					Append: []store.LogAppend{{Log: log, Entries: []store.Entry{{Body: fmt.Appendf(nil, "%d", n)}}}},
				})
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				acked[g]++
				// A counter that all share, by its version.
				doc, err := s.Doc(context.Background(), tenant, "counter", "c")
				write := store.DocWrite{Doc: &store.Doc{Kind: "counter", Key: "c", Body: []byte("x")}, If: store.Absent}
				if err == nil {
					write.Doc.Body = append(slices.Clone(doc.Body), 'x')
					write.If = doc.Version
				} else if !errors.Is(err, store.ErrNotFound) {
					continue
				}
				if s.Commit(context.Background(), tenant, &store.Batch{Put: []store.DocWrite{write}}) == nil {
					counted.Add(1)
				}
			}
		})
	}
	for round := range 3 {
		pause := time.Duration(100+50*round) * time.Millisecond
		time.Sleep(pause)
		_, err := server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		must(t, err)
		time.Sleep(pause)
		server.Freeze()
		time.Sleep(2*pause + 100*time.Millisecond)
		server.Thaw()
		time.Sleep(pause)
		must(t, server.Fill())
		time.Sleep(pause)
		must(t, server.Drain())
		server.Kill()
		time.Sleep(pause)
		must(t, server.Restart())
		time.Sleep(2 * pause)
	}
	stop.Store(true)
	all.Wait()

	total := 0
	for g := range workers {
		var seen []string
		var after *uint64
		for {
			entries, more, err := s.Entries(t.Context(), tenant, fmt.Sprintf("log%d", g), store.Page{AfterSeq: after, Limit: 1000})
			must(t, err)
			for _, e := range entries {
				seen = append(seen, string(e.Body))
				after = &e.Seq
			}
			if !more {
				break
			}
		}
		if sorted := slices.Compact(slices.Sorted(slices.Values(seen))); len(sorted) != len(seen) {
			t.Errorf("log%d has entries twice", g)
		}
		if len(seen) < acked[g] || len(seen) > tried[g] {
			t.Errorf("log%d: %d entries, %d confirmed, %d tried", g, len(seen), acked[g], tried[g])
		}
		total += len(seen)
	}
	doc, err := s.Doc(t.Context(), tenant, "counter", "c")
	must(t, err)
	if int64(len(doc.Body)) < counted.Load() {
		t.Errorf("the counter is at %d, %d were confirmed", len(doc.Body), counted.Load())
	}
	t.Logf("%d entries, counter at %d of %d confirmed", total, len(doc.Body), counted.Load())
	if total < 100 {
		t.Error("next to nothing was written: this proves nothing")
	}
}
