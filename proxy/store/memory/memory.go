package memory

import (
	"context"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Defaults of Options.
const (
	DefaultMaxBytes   = 256 << 20
	DefaultSweepEvery = 10 * time.Second
)

// Options are what New can be told. The zero value is usable.
type Options struct {
	// MaxBytes is the budget for all that the store holds, as the Size methods
	// of package store and LogSize count. Default DefaultMaxBytes.
	MaxBytes int64

	// Now is the clock that decides what has expired. Default time.Now.
	Now func() time.Time

	// SweepEvery is the pause between two runs of the janitor, which frees
	// expired records while there are no Puts to do it. It has nothing to do
	// with what is visible. It is real time, whatever Now says. Default
	// DefaultSweepEvery.
	SweepEvery time.Duration
}

// Store is a store.Store in memory. Make one with New.
type Store struct {
	now func() time.Time
	max int64

	index  index
	tables tables
	epochs *store.Epochs
	waits  store.Waits

	// bumping lets a test hold a Delete back before the epoch changes.
	bumping sync.Mutex

	// mu is held by whoever changes anything. What follows is only touched
	// under it.
	mu    sync.Mutex
	age   shares
	due   dueHeap
	stats store.Stats
	// version is of the last write of a document. One count for all, so that
	// no document comes back with a version that it had.
	version uint64

	closing   chan struct{}
	closeOnce sync.Once
	janitor   sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// New returns an empty store, whose janitor runs until Close.
func New(opts Options) *Store {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.SweepEvery <= 0 {
		opts.SweepEvery = DefaultSweepEvery
	}
	s := &Store{
		now:     opts.Now,
		max:     opts.MaxBytes,
		epochs:  store.NewEpochs(0),
		closing: make(chan struct{}),
	}
	s.age.tenants = make(map[string]*share)
	s.index.init()
	s.tables.init()
	s.janitor.Go(func() { s.sweepEvery(opts.SweepEvery) })
	return s
}

// Put implements store.Store. What must go for the new record to fit goes first,
// the expired first, and then the oldest of the tenant that has most.
func (s *Store) Put(_ context.Context, rec *store.Record) error {
	e := s.index.newEntry(rec)
	if e.size > s.max {
		return store.ErrTooLarge
	}
	now, until := s.now().UnixNano(), unixNano(rec.Expires)

	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.index.hashed(e.self.hash, key{rec.Tenant, rec.ID}); old != nil {
		if old.seen(now) {
			return store.ErrExists
		}
		s.expire(old)
	}
	if until <= now {
		s.stats.Expired++
		return nil
	}
	if err := s.makeRoom(rec.Tenant, e.size, now); err != nil {
		return err
	}
	s.link(e, until)
	e.until.Store(until)
	return nil
}

// Get implements store.Store.
func (s *Store) Get(_ context.Context, tenant, id string) (*store.Record, error) {
	e := s.index.record(key{tenant, id})
	if e == nil || !e.seen(s.now().UnixNano()) {
		return nil, store.ErrNotFound
	}
	return e.rec, nil
}

// Chain implements store.Store. All of the chain is judged by one reading of
// the clock.
func (s *Store) Chain(_ context.Context, tenant, id string) ([]*store.Record, error) {
	now := s.now().UnixNano()
	return store.WalkChain(id, func(id string) (*store.Record, error) {
		e := s.index.record(key{tenant, id})
		if e == nil || !e.seen(now) {
			return nil, store.ErrNotFound
		}
		return e.rec, nil
	})
}

// Item implements store.Store.
func (s *Store) Item(_ context.Context, tenant, itemID string) (*store.Record, error) {
	if rec := s.index.holder(key{tenant, itemID}, s.now().UnixNano()); rec != nil {
		return rec, nil
	}
	return nil, store.ErrNotFound
}

// Delete implements store.Store.
func (s *Store) Delete(_ context.Context, tenant, id string) error {
	now := s.now().UnixNano()

	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index.record(key{tenant, id})
	if e == nil || !e.seen(now) {
		return store.ErrNotFound
	}
	// In this order, or a chain that was read in between would pass for one of
	// the new epoch. The record's own tenant, because the caller's string may
	// be part of a request buffer and the epochs keep it.
	e.until.Store(absent)
	s.bumping.Lock()
	s.epochs.Bump(e.rec.Tenant)
	s.bumping.Unlock()
	e.drop(s)
	return nil
}

// Epoch implements store.Store.
func (s *Store) Epoch(_ context.Context, tenant string) (uint64, error) {
	return s.epochs.Of(tenant), nil
}

// Stats implements store.Store.
func (s *Store) Stats() store.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close stops the janitor and waits for it, and ends every Wait. The records go
// when the Store does.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { close(s.closing) })
	s.janitor.Wait()
	return nil
}
