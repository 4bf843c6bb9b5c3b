package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// op is a change that waits to be written. One goroutine takes all that wait and
// writes them in one transaction, so that they share its two fsyncs: under load
// groups form by themselves, and who is alone does not wait for others.
type op struct {
	// run makes the change. It checks before it writes: when it returns one of
	// the errors of package store it has written nothing that the others of its
	// group must not see. After any other error the transaction is rolled back
	// and the group is tried again one by one; so it may run twice.
	run func(*writing) error
	// after is called once the change can be seen, or may have come to be seen.
	after func()
	// adds is about how many bytes it adds to the file.
	adds int64

	done chan error
}

// writing is a transaction that writes.
type writing struct {
	s      *Store
	tx     *bbolt.Tx
	now    stamped
	counts counts
	err    error // the first of put and delete
}

// counts are kept in the file, as of its last transaction.
type counts struct {
	Records, Documents, Entries, Bytes int64

	expired int64 // since the start
}

func readCounts(meta *bbolt.Bucket) (c counts, err error) {
	v := meta.Get(kCounts)
	if v == nil {
		return c, nil
	}
	for _, n := range []*int64{&c.Records, &c.Documents, &c.Entries, &c.Bytes} {
		u, used := binary.Varint(v)
		if used <= 0 {
			return c, errors.New("its counts make no sense")
		}
		*n, v = u, v[used:]
	}
	return c, nil
}

func (c *counts) encode() (v []byte) {
	for _, n := range []int64{c.Records, c.Documents, c.Entries, c.Bytes} {
		v = binary.AppendVarint(v, n)
	}
	return v
}

func (w *writing) bucket(name []byte) *bbolt.Bucket { return w.tx.Bucket(name) }

func (w *writing) put(bucket, k, v []byte) {
	if err := w.bucket(bucket).Put(k, v); err != nil && w.err == nil {
		w.err = err
	}
}

func (w *writing) delete(bucket, k []byte) {
	if err := w.bucket(bucket).Delete(k); err != nil && w.err == nil {
		w.err = err
	}
}

// do hands an operation to the writer and waits until it is on disk. When ctx is
// done first, the change may still be made.
func (s *Store) do(ctx context.Context, o *op) error {
	o.done = make(chan error, 1)
	select {
	case s.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return store.ErrClosed
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
	}
	select {
	case err := <-o.done: // it was the last
		return err
	default:
		return store.ErrClosed
	}
}

// groupMost bounds a group, and so how long a transaction takes.
const groupMost = 512

// write is the writer. When told to stop it writes what waits, and ends.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		var group []*op
		select {
		case o := <-s.ops:
			group = append(group, o)
		case <-s.stop:
			select {
			case o := <-s.ops:
				group = append(group, o)
			default:
				return
			}
		}
	more:
		for len(group) < groupMost {
			select {
			case o := <-s.ops:
				group = append(group, o)
			default:
				break more
			}
		}
		s.commitGroup(group)
	}
}

// commitGroup writes a group, and answers all who wait for it.
func (s *Store) commitGroup(group []*op) {
	results := make([]error, len(group))
	if err := s.update(group, results); err != nil {
		// One by one only where that can help: one may be guilty, or what is
		// smaller may have room. A disk that fails would fail as often.
		var corrupt *CorruptError
		alone := len(group) > 1 && (errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTooLarge) || errors.As(err, &corrupt))
		for i := range group {
			if results[i] = err; alone {
				results[i] = s.updateOne(group[i])
			}
		}
	}
	for i, o := range group {
		if o.after != nil && !soft(results[i]) {
			o.after()
		}
		o.done <- results[i]
	}
}

func (s *Store) updateOne(o *op) error {
	result := make([]error, 1)
	if err := s.update([]*op{o}, result); err != nil {
		return err
	}
	return result[0]
}

// soft is whether an error says that nothing was changed, and why.
func soft(err error) bool {
	var batch *store.BatchError
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) ||
		errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrFull) || errors.As(err, &batch)
}

// update runs operations in one transaction. It returns an error if none of them
// was made.
func (s *Store) update(group []*op, results []error) error {
	var after counts
	// Deletions may use what is kept for them: they need pages before they free
	// others.
	s.db.MaxSize = int(s.max)
	for _, o := range group {
		if o.adds > 0 {
			s.db.MaxSize = int(s.limit)
		}
	}
	err := guarded(s.path, func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			w := &writing{s: s, tx: tx, now: stamp(s.now()), counts: *s.counts.Load()}
			room := s.limit - s.used(tx)
			for i, o := range group {
				if o.adds > s.limit {
					results[i] = store.ErrTooLarge
					continue
				}
				if o.adds > 0 && o.adds > room {
					results[i] = store.ErrFull
					continue
				}
				err := o.run(w)
				if err == nil {
					err = w.err
				}
				if results[i] = err; err != nil && !soft(err) {
					return err
				}
				if err == nil {
					room -= o.adds
				}
			}
			after = w.counts
			return tx.Bucket(bMeta).Put(kCounts, w.counts.encode())
		})
	})
	if err != nil {
		return s.wrap(err)
	}
	s.counts.Store(&after)
	for _, err := range results {
		if errors.Is(err, store.ErrFull) {
			select {
			case s.sweepNow <- struct{}{}:
			default:
			}
			break
		}
	}
	return nil
}

// used is how much of the file is in use, in bytes.
func (s *Store) used(tx *bbolt.Tx) int64 {
	stats := s.db.Stats()
	return tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(s.db.Info().PageSize)
}

// view reads in one transaction. It must be short, and what it finds must be
// copied: pages that it sees cannot be used again before it ends.
func (s *Store) view(f func(*bbolt.Tx) error) error {
	err := guarded(s.path, func() error { return s.db.View(f) })
	if err == nil || soft(err) {
		return err
	}
	return s.wrap(err)
}

// guarded turns what a damaged file can do to bbolt into an error: it panics
// where pages contradict each other, and a map that is longer than the file, or
// a disk that cannot be read, is a fault of memory.
func guarded(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &CorruptError{path, fmt.Sprint(p)}
		}
	}()
	return f()
}

// wrap gives an error of the file its name, and makes a want of room ErrFull.
func (s *Store) wrap(err error) error {
	var corrupt *CorruptError
	var form *FormatError
	switch {
	case errors.As(err, &corrupt), errors.As(err, &form):
		return err
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("%w: %s has reached its budget of %d bytes", store.ErrFull, s.path, s.max)
	case errors.Is(err, berrors.ErrKeyTooLarge), errors.Is(err, berrors.ErrValueTooLarge):
		return store.ErrTooLarge
	case noSpace(err):
		return fmt.Errorf("%w: %s: %w", store.ErrFull, s.path, err)
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	}
	return fmt.Errorf("store: %s: %w", s.path, err)
}

// noSpace is whether the disk is full, or a quota or limit reached. bbolt does
// not keep the cause where the file grows.
func noSpace(err error) bool {
	for _, no := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, no) || strings.HasSuffix(err.Error(), no.Error()) {
			return true
		}
	}
	return false
}

func (s *Store) corrupt(bucket, k []byte, err error) error {
	return &CorruptError{s.path, fmt.Sprintf("%s %q: %v", bucket, k, err)}
}
