package redis

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
)

// How often a Wait looks for entries that another process has added. An entry
// of this process is seen at once.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = 250 * time.Millisecond
)

// Wait implements store.Documents. While the server is out of reach it says so.
func (s *Store) Wait(ctx context.Context, tenant, log string, from uint64) error {
	w := s.waits.join(tenant, log)
	defer s.waits.leave(tenant, log, w)
	head, _ := logKeys(s.tenantPrefix(tenant), log)
	timer := time.NewTimer(s.firstLook)
	defer timer.Stop()
	for pause := s.firstLook; ; pause = min(pause*3/2, max(s.firstLook, lastLook)) {
		next, err := s.next(ctx, head)
		if err != nil || next > from {
			return err
		}
		timer.Reset(pause)
		select {
		case <-w.grown:
			return nil
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.guard.closing:
			return errClosed
		}
	}
}

// next is the number that the next entry of a log will get.
func (s *Store) next(ctx context.Context, head string) (next uint64, err error) {
	var fields []valkey.ValkeyMessage
	err = s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		fields, err = c.Do(ctx, c.B().Hmget().Key(head).Field("n", "x").Build()).ToArray()
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(fields) != 2 {
		return 0, errValue
	}
	n, err := fields[0].ToString()
	if valkey.IsValkeyNil(err) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if ends, err := fields[1].ToString(); err != nil || ends <= formatTime(s.now()) {
		return 0, err
	}
	return strconv.ParseUint(n, 10, 64)
}

// waits is who waits in this process for which log.
type waits struct {
	mu   sync.Mutex
	logs map[[2]string]*waiters
}

// waiters wait for the same log. grown is closed when it has grown.
type waiters struct {
	grown chan struct{}
	count int
}

func (w *waits) join(tenant, log string) *waiters {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := [2]string{tenant, log}
	l := w.logs[name]
	if l == nil {
		if w.logs == nil {
			w.logs = make(map[[2]string]*waiters)
		}
		l = &waiters{grown: make(chan struct{})}
		w.logs[name] = l
	}
	l.count++
	return l
}

func (w *waits) leave(tenant, log string, l *waiters) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := [2]string{tenant, log}
	if l.count--; l.count == 0 && w.logs[name] == l {
		delete(w.logs, name)
	}
}

// wake tells those who wait for a log of this process' that it has grown.
func (w *waits) wake(tenant, log string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := [2]string{tenant, log}
	if l := w.logs[name]; l != nil {
		close(l.grown)
		delete(w.logs, name)
	}
}
