package store

import (
	"context"
	"strings"
	"sync"
)

// Waits is Documents.Wait for backends of which only one process uses the data:
// who appends to a log wakes those who wait for it. The zero value is ready.
type Waits struct {
	mu   sync.Mutex
	logs map[logName]*wait
}

type logName struct{ tenant, log string }

// wait is what those have in common who wait for a log.
type wait struct {
	grown chan struct{} // closed by Wake
	n     int           // how many wait
}

// Wait returns nil when there says that the entry is there, or after Wake;
// ctx.Err() when ctx is done, ErrClosed when closing is closed, and what there
// returns as an error. It looks after it has begun to listen, so that nothing
// can come in between.
func (w *Waits) Wait(ctx context.Context, closing <-chan struct{}, tenant, log string, there func() (bool, error)) error {
	k := logName{tenant, log}
	own := w.join(k)
	if ok, err := there(); ok || err != nil {
		w.leave(k, own)
		return err
	}
	select {
	case <-own.grown:
		return nil
	case <-ctx.Done():
	case <-closing:
	}
	w.leave(k, own)
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// Wake wakes all who wait for a log. Call it when the change can be seen.
func (w *Waits) Wake(tenant, log string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := logName{tenant, log}
	if own := w.logs[k]; own != nil {
		close(own.grown)
		delete(w.logs, k)
	}
}

func (w *Waits) join(k logName) *wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	own := w.logs[k]
	if own == nil {
		if w.logs == nil {
			w.logs = make(map[logName]*wait)
		}
		// The names may be part of a request that ends before another's wait.
		own = &wait{grown: make(chan struct{})}
		w.logs[logName{strings.Clone(k.tenant), strings.Clone(k.log)}] = own
	}
	own.n++
	return own
}

// leave ends the wait of one who was not woken.
func (w *Waits) leave(k logName, own *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if own.n--; own.n == 0 && w.logs[k] == own {
		delete(w.logs, k)
	}
}
