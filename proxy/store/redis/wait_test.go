package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	"antiphon/proxy/store"
)

// TestWait: an entry is seen at once by the process that adds it, and soon by
// another; nothing is left of those who have waited.
func TestWait(t *testing.T) {
	o := options(server)
	here, there := open(t, o), open(t, o)
	defer here.Close()
	defer there.Close()

	add := func() {
		must(t, here.Commit(t.Context(), tenant, &store.Batch{
			Append: []store.LogAppend{{Log: "log", Entries: []store.Entry{{Body: []byte("x")}}}},
		}))
	}
	waited := func(s *Store, from uint64) <-chan time.Duration {
		done, start := make(chan time.Duration, 1), time.Now()
		go func() {
			if err := s.Wait(t.Context(), tenant, "log", from); err != nil {
				t.Error(err)
			}
			done <- time.Since(start)
		}()
		return done
	}
	for from := range uint64(3) {
		a, b := waited(here, from), waited(there, from)
		time.Sleep(400 * time.Millisecond) // until they look seldom
		start := time.Now()
		add()
		<-a
		if took := time.Since(start); took > 50*time.Millisecond+slack {
			t.Errorf("the same process sees it after %v", took)
		}
		<-b
		if took := time.Since(start); took > lastLook+50*time.Millisecond+slack {
			t.Errorf("another process sees it after %v", took)
		}
	}
	// What is there already.
	for _, s := range []*Store{here, there} {
		if took := <-waited(s, 2); took > 50*time.Millisecond+slack {
			t.Errorf("waited %v for what was there", took)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := here.Wait(ctx, tenant, "log", 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's error", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- there.Wait(context.Background(), tenant, "log", 3) }()
	time.Sleep(20 * time.Millisecond)
	must(t, there.Close())
	if err := <-closed; err == nil {
		t.Error("Wait has ended with Close, and without an error")
	}
	here.waits.mu.Lock()
	defer here.waits.mu.Unlock()
	if n := len(here.waits.logs); n != 0 {
		t.Errorf("%d logs are still waited for", n)
	}
}
