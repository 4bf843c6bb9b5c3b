package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Defaults of Options.
const (
	DefaultMaxBytes   = 8 << 30
	DefaultSweepEvery = 10 * time.Second
)

// MinBytes is the least budget with which a store is of use: an empty file with
// its reserve is half of it.
const MinBytes = 1 << 20

// lockTimeout is how long Open waits for another process to let go of the file:
// long enough for the predecessor to end in a restart.
const lockTimeout = 2 * time.Second

// Options are what Open can be told.
type Options struct {
	// Path is the file. Open makes it if it is not there, but not its directory.
	Path string

	// MaxBytes is the budget on disk: the file never grows beyond it. Default
	// DefaultMaxBytes, at least MinBytes. A file that is larger already stays as
	// it is, and takes nothing new until enough has gone.
	MaxBytes int64

	// Now is the clock that decides what has expired. Default time.Now.
	Now func() time.Time

	// SweepEvery is the pause between two runs of the janitor, which frees what
	// has expired or was dropped. It has nothing to do with what is visible. It
	// is real time, whatever Now says. Default DefaultSweepEvery.
	SweepEvery time.Duration

	// Warn is told, in a sentence, what the operator should know: a network
	// filesystem, damage that the janitor came upon. Default: nobody.
	Warn func(string)
}

// Store is a store.Store in a file. Make one with Open.
type Store struct {
	path  string
	now   func() time.Time
	warn  func(string)
	max   int64 // of the file, for deletions
	limit int64 // of the file and of what is in use in it, for what adds

	db     *bbolt.DB
	file   *os.File // the same, for looks at its pages
	epochs *store.Epochs
	waits  store.Waits

	ops    chan *op
	counts atomic.Pointer[counts] // as of the last transaction

	closing   chan struct{} // Close has begun
	stop      chan struct{} // nothing comes any more: the writer is to end
	stopped   chan struct{} // it has
	closeOnce sync.Once
	closeErr  error
	janitor   sync.WaitGroup
	sweepNow  chan struct{}
}

var _ store.Store = (*Store)(nil)

// The buckets. docs/STORES.md describes the format.
var (
	bMeta  = []byte("meta")  // format, opens, counts
	bRec   = []byte("rec")   // (tenant, id) → record
	bItem  = []byte("item")  // (tenant, item, newest first) → id
	bDoc   = []byte("doc")   // (tenant, kind, key) → document
	bLog   = []byte("log")   // (tenant, name) → head of the log
	bEntry = []byte("entry") // (log number, seq) → entry
	bName  = []byte("name")  // (log number, key) → seq
	bExp   = []byte("exp")   // (end, kind of thing, its key) → nothing
	bTrash = []byte("trash") // number of a log that is gone → nothing

	buckets = [][]byte{bMeta, bRec, bItem, bDoc, bLog, bEntry, bName, bExp, bTrash}

	kFormat = []byte("format")
	kOpens  = []byte("opens")
	kCounts = []byte("counts")
)

// format is the version of what is in the file.
const format = 1

// FormatError says that the file is of a version that this program does not
// know, or that it is something else.
type FormatError struct{ Path, Reason string }

func (e *FormatError) Error() string { return fmt.Sprintf("store: %s: %s", e.Path, e.Reason) }

// CorruptError says that something in the file is not as it was written. It is
// not ErrNotFound: what is damaged is not absent.
type CorruptError struct{ Path, What string }

func (e *CorruptError) Error() string {
	return fmt.Sprintf("store: %s is damaged: %s; antiphon state check lists all damage", e.Path, e.What)
}

// Unwrap makes errors.Is(err, store.ErrDamaged) true.
func (e *CorruptError) Unwrap() error { return store.ErrDamaged }

// Open opens or makes the file, and starts the writer and the janitor, which run
// until Close.
func Open(opts Options) (*Store, error) {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	opts.MaxBytes = max(opts.MaxBytes, MinBytes)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.SweepEvery <= 0 {
		opts.SweepEvery = DefaultSweepEvery
	}
	if opts.Warn == nil {
		opts.Warn = func(string) {}
	}
	db, err := openFile(opts.Path, false)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(opts.Path)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if fs := networkFilesystem(opts.Path); fs != "" {
		opts.Warn(fmt.Sprintf("the store %s is on %s: locks and memory maps of network filesystems are not to be relied on", opts.Path, fs))
	}
	s := &Store{
		path: opts.Path, now: opts.Now, warn: opts.Warn,
		max: opts.MaxBytes, limit: opts.MaxBytes - opts.MaxBytes/16 - 256<<10,
		db: db, file: file, ops: make(chan *op, 1024),
		closing: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
		sweepNow: make(chan struct{}, 1),
	}
	// The file grows in steps, and a step may not lead beyond the budget. MaxSize
	// is no option of Open, which would refuse a file that is larger already.
	db.AllocSize = int(max(min(16<<20, opts.MaxBytes/64), 64<<10))
	if err := s.init(); err != nil {
		return nil, errors.Join(err, file.Close(), db.Close())
	}
	go s.write()
	s.janitor.Go(func() { s.sweepEvery(opts.SweepEvery) })
	return s, nil
}

// openFile opens a database, and puts what can go wrong into words.
func openFile(path string, readOnly bool) (*bbolt.DB, error) {
	if path == "" {
		return nil, errors.New("store: no file is given")
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, &FormatError{path, "this is no regular file"}
	}
	if err == nil && info.Size() > 0 && !readOnly {
		// Under a lock, and before bbolt sees more than the first pages: see
		// pages.go.
		db, err := openFile(path, true)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(checkPages(path), db.Close()); err != nil {
			return nil, err
		}
	}
	var file *os.File
	var db *bbolt.DB
	err = guarded(path, func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, ReadOnly: readOnly,
			OpenFile: func(name string, flag int, perm os.FileMode) (f *os.File, err error) {
				file, err = os.OpenFile(name, flag, perm)
				return file, err
			},
		})
		return err
	})
	var corrupt *CorruptError
	switch {
	case errors.As(err, &corrupt):
		return nil, errors.Join(err, file.Close()) // and with it the lock
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("store: %s is in use by another process; a file is for one process, several replicas need a redis:// or valkey:// store", path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("store: %s cannot be written by this user: %w", path, err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, &FormatError{path, "this is no state file, or its beginning is damaged (" + err.Error() + ")"}
	case err != nil:
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	// compact puts another file in this one's place. Who waited for the lock
	// meanwhile has it on a file that has no name any more.
	named, err := os.Stat(path)
	if err == nil {
		var opened os.FileInfo
		if opened, err = file.Stat(); err == nil && os.SameFile(opened, named) {
			return db, nil
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return openFile(path, readOnly)
}

// init checks the format, or writes it into a new file, and reads what must be
// known at once.
func (s *Store) init() error {
	err := guarded(s.path, func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			if err := checkFormat(s.path, tx, true); err != nil {
				return err
			}
			isNew := tx.Bucket(bMeta) == nil
			for _, name := range buckets {
				if !isNew && tx.Bucket(name) == nil {
					return &CorruptError{s.path, fmt.Sprintf("bucket %q is missing", name)}
				}
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			meta := tx.Bucket(bMeta)
			if isNew {
				if err := meta.Put(kFormat, fmt.Appendf(nil, "antiphon state %d", format)); err != nil {
					return err
				}
			}
			// Epochs are kept in memory, as what is derived is. Each opening
			// begins above all that were told before.
			opens := uint64(1)
			if v := meta.Get(kOpens); len(v) == 8 {
				opens = binary.BigEndian.Uint64(v) + 1
			}
			s.epochs = store.NewEpochs(opens << 40)
			c, err := readCounts(meta)
			if !isNew && (meta.Get(kOpens) == nil || meta.Get(kCounts) == nil) {
				err = errors.New("its counts are missing")
			}
			if err == nil && isNew {
				err = meta.Put(kCounts, c.encode())
			}
			if err != nil {
				return &CorruptError{s.path, err.Error()}
			}
			s.counts.Store(&c)
			return meta.Put(kOpens, binary.BigEndian.AppendUint64(nil, opens))
		})
	})
	if err != nil {
		return s.wrap(err)
	}
	return nil
}

// checkFormat refuses a file that is not ours, or of another version.
func checkFormat(path string, tx *bbolt.Tx, mayBeNew bool) error {
	meta := tx.Bucket(bMeta)
	if meta == nil {
		if k, _ := tx.Cursor().First(); k == nil && mayBeNew {
			return nil
		}
		return &FormatError{path, "this is not a state file of antiphon"}
	}
	v := string(meta.Get(kFormat))
	var version int
	if _, err := fmt.Sscanf(v, "antiphon state %d", &version); err != nil {
		return &FormatError{path, "this is not a state file of antiphon"}
	}
	if version != format {
		return &FormatError{path, fmt.Sprintf("this state file has format %d, and this program knows only format %d; use the version of antiphon that wrote it", version, format)}
	}
	return nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, rec *store.Record) error {
	p, err := newPut(rec)
	if err != nil {
		return err
	}
	return s.do(ctx, &op{adds: p.size(), run: func(w *writing) error {
		if err := p.check(w); err != nil {
			return err
		}
		return p.apply(w)
	}})
}

// Get implements store.Store.
func (s *Store) Get(_ context.Context, tenant, id string) (*store.Record, error) {
	k := key2(tenant, id)
	raw, err := s.get(bRec, k)
	if err != nil {
		return nil, err
	}
	return s.record(tenant, id, k, raw)
}

// get copies a value that is live. ErrNotFound.
func (s *Store) get(bucket, k []byte) (raw []byte, err error) {
	now := stamp(s.now())
	err = s.view(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucket).Get(k)
		if err := s.there(tx, bucket, k, v, now); err != nil {
			return err
		}
		raw = append([]byte(nil), v...)
		return nil
	})
	return raw, err
}

// there is nil for a value that is there and has not ended, and else
// ErrNotFound. That it has ended is believed only if the value is whole, and that
// it is not there only if nothing is damaged where it would be.
func (s *Store) there(tx *bbolt.Tx, bucket, k, v []byte, now stamped) error {
	if v == nil {
		return s.absent(tx, bucket, k)
	}
	if live(v, now) {
		return nil
	}
	if _, err := payload(k, v); err != nil {
		return s.corrupt(bucket, k, err)
	}
	return store.ErrNotFound
}

// Chain implements store.Store, in one transaction. What it reads is copied out
// and decoded after it.
func (s *Store) Chain(_ context.Context, tenant, id string) (chain []*store.Record, err error) {
	now := stamp(s.now())
	var keys, raws [][]byte // of the walk, the record asked for first
	err = s.view(func(tx *bbolt.Tx) error {
		keys, raws = keys[:0], raws[:0]
		rec := tx.Bucket(bRec)
		chain, err = store.WalkChain(id, func(id string) (*store.Record, error) {
			k := key2(tenant, id)
			v := rec.Get(k)
			if err := s.there(tx, bRec, k, v, now); err != nil {
				return nil, err
			}
			parent, err := parentOf(v)
			if err != nil {
				return nil, s.corrupt(bRec, k, err)
			}
			keys, raws = append(keys, k), append(raws, append([]byte(nil), v...))
			return &store.Record{ID: id, Parent: parent}, nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range chain {
		up := len(chain) - 1 - i
		if chain[i], err = s.record(tenant, chain[i].ID, keys[up], raws[up]); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// Item implements store.Store.
func (s *Store) Item(_ context.Context, tenant, itemID string) (*store.Record, error) {
	now := stamp(s.now())
	prefix := key3(tenant, itemID, nil)
	var id string
	var k, raw []byte
	err := s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bItem).Cursor()
		at, v := c.Seek(prefix)
		for ; at != nil && hasPrefix(at, prefix); at, v = c.Next() {
			id = string(v)
			k = key2(tenant, id)
			r := tx.Bucket(bRec).Get(k)
			if r == nil { // the two are written and dropped together
				if err := s.absent(tx, bRec, k); !errors.Is(err, store.ErrNotFound) {
					return err
				}
				return s.corrupt(bItem, at, errMissing)
			}
			switch err := s.there(tx, bRec, k, r, now); {
			case err == nil:
				raw = append([]byte(nil), r...)
				return nil
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
		}
		if at != nil { // the key that ended the search may have been one of them
			if err := s.genuineValue(tx, bItem, at, v); err != nil {
				return s.corrupt(bItem, prefix, err)
			}
		}
		return s.absent(tx, bItem, prefix)
	})
	if err != nil {
		return nil, err
	}
	return s.record(tenant, id, k, raw)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, tenant, id string) error {
	tenant = strings.Clone(tenant) // the operation may outlive the call
	k := key2(tenant, id)
	err := s.do(ctx, &op{run: func(w *writing) error {
		v := w.bucket(bRec).Get(k)
		if err := s.there(w.tx, bRec, k, v, w.now); err != nil {
			return err
		}
		return w.dropRecord(k, v)
	}, after: func() { s.epochs.Bump(tenant) }})
	return err
}

// Epoch implements store.Store.
func (s *Store) Epoch(_ context.Context, tenant string) (uint64, error) {
	return s.epochs.Of(tenant), nil
}

// Stats implements store.Store.
func (s *Store) Stats() store.Stats {
	c := s.counts.Load()
	return store.Stats{Records: c.Records, Documents: c.Documents, Entries: c.Entries, Bytes: c.Bytes, Expired: c.expired}
}

// Close ends every Wait, writes what was begun, and lets go of the file.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.janitor.Wait()
		close(s.stop)
		<-s.stopped
		s.closeErr = errors.Join(s.db.Close(), s.file.Close())
	})
	return s.closeErr
}
