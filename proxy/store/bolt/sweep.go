package bolt

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// sweepMost is how many keys a transaction of the janitor frees, so that those
// who write do not wait long for it.
const sweepMost = 1000

// sweepEvery is the janitor. Besides its time it comes when something found no
// room, but not more often than its pause divided by ten.
func (s *Store) sweepEvery(pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		case <-s.sweepNow:
			if time.Since(last) < pause/10 {
				continue
			}
		}
		last = time.Now()
		if err := s.sweep(); err != nil && !errors.Is(err, store.ErrClosed) {
			s.warn("freeing what has expired: " + err.Error())
		}
	}
}

// sweep frees all that has expired or was dropped.
func (s *Store) sweep() error {
	for {
		freed := 0
		o := &op{run: func(w *writing) (err error) {
			freed, err = w.sweep(sweepMost)
			return err
		}}
		if err := s.do(context.Background(), o); err != nil {
			return err
		}
		if freed < sweepMost {
			return nil
		}
	}
}

// sweep frees up to about that many keys, and returns how many.
func (w *writing) sweep(most int) (freed int, err error) {
	var due [][]byte
	c := w.bucket(bExp).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) <= stampLen || !stamped(k[:stampLen]).ended(w.now) || len(due) >= most {
			break
		}
		due = append(due, bytes.Clone(k))
	}
	for _, k := range due {
		freed++
		if err := w.expire(k); err != nil {
			return freed, err
		}
	}
	for freed < most {
		k, _ := w.bucket(bTrash).Cursor().First()
		if k == nil {
			break
		}
		log := bytes.Clone(k)
		n := w.empty(log, most-freed)
		if freed += n; n == 0 || freed < most {
			w.delete(bTrash, log)
			freed++
		}
		if w.err != nil {
			return freed, w.err
		}
	}
	return freed, w.err
}

// empty deletes up to that many keys of the parts of a log.
func (w *writing) empty(log []byte, most int) (freed int) {
	for _, bucket := range [][]byte{bEntry, bName} {
		c := w.bucket(bucket).Cursor()
		var keys [][]byte
		for k, _ := c.Seek(log); k != nil && hasPrefix(k, log) && freed+len(keys) < most; k, _ = c.Next() {
			keys = append(keys, bytes.Clone(k))
		}
		for _, k := range keys {
			w.delete(bucket, k)
		}
		freed += len(keys)
	}
	return freed
}

// expire frees what a key of the index of ends is about.
func (w *writing) expire(k []byte) error {
	what, key := k[stampLen], k[stampLen+1:]
	bucket, drop := bRec, w.dropRecord
	switch what {
	case 'd':
		bucket, drop = bDoc, w.dropDoc
	case 'l':
		bucket, drop = bLog, w.dropLog
	}
	v := w.bucket(bucket).Get(key)
	if e := stamped(k[:stampLen]); v == nil || end(v) != e {
		if v == nil {
			if err := w.s.absent(w.tx, bucket, key); !errors.Is(err, store.ErrNotFound) {
				w.s.warn(err.Error())
			}
		}
		w.delete(bExp, k) // about nothing, or about what ends at another time
		return w.err
	}
	err := drop(key, v)
	if _, ok := errors.AsType[*CorruptError](err); ok {
		// It stays, for who wants to look into it, and is reported by whoever
		// reads it. The janitor must not come by it for ever.
		w.s.warn(err.Error())
		w.delete(bExp, k)
		return w.err
	}
	if err == nil {
		w.counts.expired++
	}
	return err
}
