package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// TestWait: an entry is seen at once by the process that adds it, and soon by
// another; nothing is left of those who have waited.
func TestWait(t *testing.T) {
	o := options(server)
	o.Timeout = testTimeout
	here, there := open(t, o), open(t, o)
	defer here.Close()
	defer there.Close()
	here.firstLook = time.Hour // it has to be woken

	add := func() {
		must(t, here.Commit(t.Context(), tenant, &store.Batch{
			Append: []store.LogAppend{{Log: "log", Entries: []store.Entry{{Body: []byte("x")}}}},
		}))
	}
	waited := func(s *Store, from uint64) <-chan error {
		done := make(chan error, 1)
		go func() { done <- s.Wait(t.Context(), tenant, "log", from) }()
		return done
	}
	ends := func(who string, done <-chan error) {
		t.Helper()
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(soon):
			t.Fatalf("%s does not see it", who)
		}
	}
	for from := range uint64(3) {
		a, b := waited(here, from), waited(there, from)
		time.Sleep(400 * time.Millisecond) // until they look seldom
		add()
		ends("the same process", a)
		ends("another process", b)
	}
	there.firstLook = time.Hour
	ends("who comes late", waited(here, 2))
	ends("who comes late, elsewhere,", waited(there, 2))
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
