package memory

import (
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

const (
	// sweepPerPut is how many expired things a Put frees: more than it adds,
	// so that under load garbage shrinks without the janitor, and few enough
	// that no Put pays for the idle hours before it.
	sweepPerPut = 2

	// sweepBatch is how many the janitor frees before it lets writers in.
	sweepBatch = 256
)

// link adds an entry everywhere. Readers see it when its until is set. Under
// s.mu.
func (s *Store) link(e *entry, until int64) {
	s.index.add(e)
	s.hold(&e.held, until)
	s.age.push(&e.held)
	s.stats.Records++
}

// drop hides an entry from readers, then removes it everywhere. Under s.mu.
func (e *entry) drop(s *Store) {
	e.until.Store(absent)
	s.index.remove(e)
	s.release(&e.held)
	s.stats.Records--
}

func (e *entry) owner() string { return e.rec.Tenant }

func (e *entry) evict(s *Store) { e.drop(s) }

// hold takes a thing into the accounts, without a place in the age order.
func (s *Store) hold(h *held, until int64) {
	s.stats.Bytes += h.size
	if until != never {
		s.due.push(h, until)
	}
}

// release undoes hold, and takes the thing out of the age order.
func (s *Store) release(h *held) {
	if h.share != nil {
		s.age.remove(h)
	}
	if h.slot >= 0 {
		s.due.remove(h)
	}
	s.stats.Bytes -= h.size
	h.what = nil
}

// change gives a thing another size and another end, and takes it out of the
// age order if it is there.
func (s *Store) change(h *held, size, until int64) {
	what := h.what
	s.release(h)
	h.size, h.what = size, what
	s.hold(h, until)
}

// settle puts a thing where the age order has it that was changed just now.
func (s *Store) settle(h *held, evictable bool) {
	if h.share != nil {
		s.age.remove(h)
	}
	if evictable {
		s.age.push(h)
	}
}

// makeRoom frees what it takes for size more bytes of a tenant to fit, and a
// little of what has expired in any case; or says that no eviction can help, and
// evicts nothing. Things in pinned, which are the tenant's, stay, and count as
// its own like what it brings. Under s.mu; size may be negative.
func (s *Store) makeRoom(tenant string, size, now int64, pinned ...*held) error {
	s.sweep(now, sweepPerPut)
	// Dead weight first: nobody misses it.
	for s.stats.Bytes+size > s.max && s.sweep(now, 1) > 0 {
	}
	stays := int64(0)
	for _, h := range pinned {
		if h.share != nil {
			stays += h.size
		}
	}
	if s.stats.Bytes+size-(s.age.bytes-stays) > s.max {
		return store.ErrFull
	}
	for _, h := range pinned {
		s.settle(h, false)
	}
	if s.stats.Bytes+size <= s.max {
		return nil
	}
	writer := s.age.tenants[tenant]
	if writer != nil {
		s.age.weigh(writer, stays+size)
	}
	for s.stats.Bytes+size > s.max {
		s.stats.Evictions++
		s.age.heaviest().what.evict(s)
	}
	if writer != nil && s.age.tenants[tenant] == writer {
		s.age.weigh(writer, -stays-size)
	}
	return nil
}

// sweep frees up to limit expired things and returns how many. Under s.mu.
func (s *Store) sweep(now int64, limit int) int {
	for n := range limit {
		if len(s.due) == 0 || s.due[0].until > now {
			return n
		}
		s.expire(s.due[0].held.what)
	}
	return limit
}

// expire frees an expired thing. Under s.mu.
func (s *Store) expire(t thing) {
	s.stats.Expired++
	t.drop(s)
}

// sweepAll frees everything that has expired.
func (s *Store) sweepAll() {
	now := s.now().UnixNano()
	for freed := sweepBatch; freed == sweepBatch; {
		s.mu.Lock()
		freed = s.sweep(now, sweepBatch)
		s.mu.Unlock()
	}
}

// sweepEvery is the janitor.
func (s *Store) sweepEvery(pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			s.sweepAll()
		}
	}
}
