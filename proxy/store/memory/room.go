package memory

import "time"

const (
	// sweepPerPut is how many expired records a Put frees: more than it adds,
	// so that under load garbage shrinks without the janitor, and few enough
	// that no Put pays for the idle hours before it.
	sweepPerPut = 2

	// sweepBatch is how many the janitor frees before it lets writers in.
	sweepBatch = 256
)

// link adds an entry everywhere, then lets readers see it. Under s.mu.
func (s *Store) link(e *entry, until int64) {
	s.index.add(e)
	s.age.push(e)
	s.due.push(e, until)
	s.stats.Records++
	s.stats.Bytes += e.size
	e.until.Store(until)
}

// unlink hides an entry from readers, then removes it everywhere. Under s.mu.
func (s *Store) unlink(e *entry) {
	e.until.Store(absent)
	s.index.remove(e)
	s.age.remove(e)
	s.due.remove(e)
	s.stats.Records--
	s.stats.Bytes -= e.size
}

// makeRoom frees what it takes for size more bytes to fit, and a little of what
// has expired in any case. Under s.mu; size is at most s.max.
func (s *Store) makeRoom(size, now int64) {
	s.sweep(now, sweepPerPut)
	for s.stats.Bytes+size > s.max {
		// Dead weight first: nobody misses it.
		if s.sweep(now, 1) == 0 {
			s.stats.Evictions++
			s.unlink(s.age.oldest)
		}
	}
}

// sweep frees up to limit expired records and returns how many. Under s.mu.
func (s *Store) sweep(now int64, limit int) int {
	for n := range limit {
		if len(s.due) == 0 || s.due[0].until > now {
			return n
		}
		s.expire(s.due[0].entry)
	}
	return limit
}

// expire frees an expired record. Under s.mu.
func (s *Store) expire(e *entry) {
	s.stats.Expired++
	s.unlink(e)
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
