package storetest

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// waitLimit is when a Wait that does not return is given up.
var waitLimit = 20 * time.Second

// waiting starts a Wait, whose answer ended gets.
func (e *env) waiting(ctx context.Context, tenant, log string, from uint64) <-chan error {
	done := make(chan error, 1)
	go func() { done <- e.store.Wait(ctx, tenant, log, from) }()
	return done
}

func (e *env) ended(what string, done <-chan error) error {
	e.t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(waitLimit):
		e.t.Fatalf("%s: Wait does not return", what)
		return nil
	}
}

func waits(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	woken := func(what string, done <-chan error) {
		e.t.Helper()
		if err := e.ended(what, done); err != nil {
			e.t.Errorf("%s: %v", what, err)
		}
	}

	// What is there already.
	e.append("t", "l", time.Time{}, 0, "a", "b")
	woken("an entry that is there", e.waiting(ctx, "t", "l", 0))
	woken("the last entry", e.waiting(ctx, "t", "l", 1))

	// What comes: for many who wait, each of them.
	var all []<-chan error
	for range 5 {
		all = append(all, e.waiting(ctx, "t", "l", 2), e.waiting(ctx, "t", "not yet", 0))
	}
	time.Sleep(10 * time.Millisecond) // so that they are at it
	e.append("t", "l", time.Time{}, 2, "")
	e.append("t", "not yet", time.Time{}, 0, "")
	for _, done := range all {
		woken("an entry that comes", done)
	}

	// Cancelled: before, and while it waits.
	stopped, stop := context.WithCancel(ctx)
	done := e.waiting(stopped, "t", "l", 3)
	select {
	case err := <-done:
		// Early is allowed, but a Wait that always is would be a busy loop.
		e.t.Errorf("Wait for what is not there: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	stop()
	for _, done := range []<-chan error{done, e.waiting(stopped, "t", "l", 3), e.waiting(stopped, "t", "nothing", 0)} {
		if err := e.ended("cancelled", done); !errors.Is(err, context.Canceled) {
			e.t.Errorf("cancelled: %v", err)
		}
	}
	deadline, stop := context.WithTimeout(ctx, 10*time.Millisecond)
	defer stop()
	if err := e.ended("a deadline", e.waiting(deadline, "t", "l", 3)); !errors.Is(err, context.DeadlineExceeded) {
		e.t.Errorf("a deadline: %v", err)
	}

	// A log that is dropped.
	done = e.waiting(ctx, "t", "l", 3)
	time.Sleep(10 * time.Millisecond)
	e.commit("t", &store.Batch{Drop: []string{"l"}})
	e.append("t", "l", time.Time{}, 0, "a", "b", "c", "d")
	woken("a log that begins anew", done)
}

// waitNone: nobody who follows a log misses an entry, whatever the timing. Every
// few entries the writer waits for all who follow: a call that was missed then
// is not made good by the next one.
func waitNone(e *env) {
	const readers = 4
	n := uint64(max(e.caps.Operations/50, 200))
	ctx, cancel := context.WithCancel(e.ctx)
	var (
		all  sync.WaitGroup
		read [readers]atomic.Uint64
	)
	defer all.Wait()
	defer cancel()
	for r := range readers {
		all.Go(func() {
			defer cancel() // or the writer waits for one who is gone
			for next := uint64(0); next < n; read[r].Store(next) {
				wait, stop := context.WithTimeout(ctx, waitLimit)
				err := e.store.Wait(wait, "t", "l", next)
				stop()
				if err != nil {
					if ctx.Err() == nil {
						e.t.Errorf("waiting for entry %d: %v", next, err)
					}
					return
				}
				page := store.Page{Limit: 16}
				if next > 0 {
					last := next - 1
					page.AfterSeq = &last
				}
				entries, _, err := e.store.Entries(e.ctx, "t", "l", page)
				if err != nil {
					e.t.Error(err)
					return
				}
				for _, entry := range entries {
					if entry.Seq != next || string(entry.Body) != strconv.FormatUint(next, 10) {
						e.t.Errorf("entry %d with %q, want %d", entry.Seq, entry.Body, next)
						return
					}
					next++
				}
			}
			read[r].Store(n)
			<-ctx.Done() // the others may not have read all
		})
	}
	for i := range n {
		e.commit("t", &store.Batch{Append: []store.LogAppend{{Log: "l", Entries: []store.Entry{{Body: []byte(strconv.FormatUint(i, 10))}}}}})
		if i%4 != 0 && i != n-1 {
			continue
		}
		for r := range read {
			for read[r].Load() <= i {
				if ctx.Err() != nil {
					return
				}
				runtime.Gosched()
			}
		}
	}
}
