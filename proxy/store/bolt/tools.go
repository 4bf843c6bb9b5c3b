package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Report is what a state file holds, for people and scripts.
type Report struct {
	Format    int
	FileBytes int64 // the length of the file
	UsedBytes int64 // of it, what is in use; the rest is used again before the file grows
	Counts    store.Stats

	// Problems are what Check has found, one sentence each. None is good.
	Problems []string
}

// problemsMost bounds what Check lists.
const problemsMost = 100

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < problemsMost {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Inspect describes a file that no process has open.
func Inspect(path string) (*Report, error) { return inspect(path, nil) }

// Check reads all of a file that no process has open: each page, each value with
// its checksum, and that the indexes agree with what they are about. What it
// finds is in the report; an error is that it could not be read at all.
func Check(path string) (*Report, error) { return inspect(path, (*checker).run) }

func inspect(path string, more func(*checker)) (*Report, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := openFile(path, true)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, db: db}
	r := new(Report)
	err = guarded(path, func() error {
		if err := checkPages(path); err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			if err := checkFormat(path, tx, false); err != nil {
				return err
			}
			r.Format = format
			c := &checker{s: s, tx: tx, r: r}
			return c.summary(more)
		})
	})
	if info, statErr := os.Stat(path); statErr == nil {
		r.FileBytes = info.Size()
	}
	var corrupt *CorruptError
	if errors.As(err, &corrupt) && more != nil { // a fault that stops the reading
		r.problem("%s", corrupt.What)
		err = nil
	}
	if err != nil {
		err = s.wrap(err)
	}
	return r, errors.Join(err, db.Close())
}

// checker is a Check at work.
type checker struct {
	s  *Store
	tx *bbolt.Tx
	r  *Report

	seen counts
}

func (c *checker) summary(more func(*checker)) error {
	for _, name := range buckets {
		if c.tx.Bucket(name) == nil {
			return &CorruptError{c.s.path, fmt.Sprintf("bucket %q is missing", name)}
		}
	}
	n, err := readCounts(c.tx.Bucket(bMeta))
	if err != nil {
		c.r.problem("%v", err)
	}
	c.r.Counts = store.Stats{Records: n.Records, Documents: n.Documents, Entries: n.Entries, Bytes: n.Bytes}
	page := int64(c.s.db.Info().PageSize)
	for _, name := range buckets {
		st := c.tx.Bucket(name).Stats()
		c.r.UsedBytes += int64(st.BranchPageN+st.BranchOverflowN+st.LeafPageN+st.LeafOverflowN) * page
	}
	if more == nil {
		return nil
	}
	if more(c); len(c.r.Problems) == 0 && c.seen != n { // else it would repeat them
		c.r.problem("there are %d records, %d documents, %d entries of %d bytes, but the file says %d, %d, %d of %d",
			c.seen.Records, c.seen.Documents, c.seen.Entries, c.seen.Bytes, n.Records, n.Documents, n.Entries, n.Bytes)
	}
	return nil
}

func (c *checker) each(bucket []byte, f func(k, v []byte) error) {
	_ = c.tx.Bucket(bucket).ForEach(func(k, v []byte) error {
		if err := f(k, v); err != nil {
			c.r.problem("%s %q: %v", bucket, k, err)
		}
		return nil
	})
}

// demand is an error if a key is not in a bucket.
func (c *checker) demand(bucket, k []byte) error {
	if !c.has(bucket, k) {
		return fmt.Errorf("is not in the index %q", bucket)
	}
	return nil
}

// has is whether a key is there; its value may be empty.
func (c *checker) has(bucket, k []byte) bool {
	at, _ := c.tx.Bucket(bucket).Cursor().Seek(k)
	return bytes.Equal(at, k)
}

func (c *checker) run() {
	c.each(bRec, c.checkRecord)
	c.each(bDoc, c.checkDoc)
	logs := make(map[uint64]*head)
	c.each(bLog, func(k, v []byte) error {
		h, err := c.s.decodeHead(k, v)
		if err != nil {
			return err
		}
		logs[h.number] = h
		c.seen.Entries += h.count
		c.seen.Bytes += h.size
		return c.checkEnd('l', k, h.end)
	})
	c.checkEntries(logs)
	c.each(bItem, func(k, v []byte) error {
		tenant, ok := firstName(k)
		rest, _ := afterName(k)
		item, isItem := firstName(rest)
		if !ok || !isItem || len(k) < 8 {
			return errPayload
		}
		r := c.tx.Bucket(bRec).Get(key2(tenant, string(v)))
		if r == nil || newestFirst(number(r)) != binary.BigEndian.Uint64(k[len(k)-8:]) {
			return fmt.Errorf("item %q is said to be in %q, which is not there", item, v)
		}
		return nil
	})
	c.each(bExp, func(k, _ []byte) error {
		if len(k) <= stampLen+1 {
			return errPayload
		}
		bucket := map[byte][]byte{'r': bRec, 'd': bDoc, 'l': bLog}[k[stampLen]]
		if bucket == nil {
			return errPayload
		}
		if v := c.tx.Bucket(bucket).Get(k[stampLen+1:]); v == nil || end(v) != stamped(k[:stampLen]) {
			return errors.New("is the end of what is not there")
		}
		return nil
	})
}

func (c *checker) checkRecord(k, v []byte) error {
	tenant, ok := firstName(k)
	id, _ := afterName(k)
	if !ok {
		return errPayload
	}
	rec, err := decodeRecord(tenant, string(id), k, v)
	if err != nil {
		return err
	}
	c.seen.Records++
	p, _ := payload(k, v)
	r := reader{b: p}
	c.seen.Bytes += int64(r.uvarint())
	for _, item := range rec.ItemIDs {
		if err := c.demand(bItem, binary.BigEndian.AppendUint64(key3(tenant, item, nil), newestFirst(number(v)))); err != nil {
			return err
		}
	}
	return c.checkEnd('r', k, end(v))
}

func (c *checker) checkDoc(k, v []byte) error {
	_, size, err := decodeDoc(k, v)
	if err != nil {
		return err
	}
	c.seen.Documents++
	c.seen.Bytes += size
	return c.checkEnd('d', k, end(v))
}

func (c *checker) checkEnd(what byte, k []byte, e stamped) error {
	if e == never {
		return nil
	}
	if !c.has(bExp, expKey(e, what, k)) {
		return errors.New("is not in the index of ends")
	}
	return nil
}

// checkEntries: every log has its entries, and every entry and name its log, or
// one that was dropped.
func (c *checker) checkEntries(logs map[uint64]*head) {
	count := make(map[uint64]int64)
	c.each(bEntry, func(k, v []byte) error {
		e, _, err := decodeEntry(k, v)
		if err != nil {
			return err
		}
		n := binary.BigEndian.Uint64(k)
		h := logs[n]
		if h == nil {
			return c.trashed(n)
		}
		count[n]++
		if e.Seq >= h.next {
			return errors.New("is after the end of its log")
		}
		if e.Key != "" && !bytes.Equal(c.tx.Bucket(bName).Get(numbered(n, []byte(e.Key))), k[8:]) {
			return fmt.Errorf("is not found by its key %q", e.Key)
		}
		return nil
	})
	for n, h := range logs {
		if count[n] != h.count {
			c.r.problem("log %d has %d entries, and says %d", n, count[n], h.count)
		}
	}
	c.each(bName, func(k, v []byte) error {
		if len(k) < 8 {
			return errPayload
		}
		n := binary.BigEndian.Uint64(k)
		if logs[n] == nil {
			return c.trashed(n)
		}
		if c.tx.Bucket(bEntry).Get(numbered(n, v)) == nil {
			return errors.New("is the key of an entry that is not there")
		}
		return nil
	})
}

func (c *checker) trashed(log uint64) error {
	if !c.has(bTrash, be64(log)) {
		return fmt.Errorf("belongs to log %d, which is not there", log)
	}
	return nil
}

// Compact writes the content of a file that no process has open into a new one
// and puts that in its place. It needs room for both, and returns their sizes. A
// fault leaves the file as it was.
func Compact(path string) (before, after int64, err error) {
	if _, err := os.Stat(path); err != nil {
		return 0, 0, fmt.Errorf("store: %w", err)
	}
	src, err := openFile(path, false) // alone, until the new file is in place
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	s := &Store{path: path, db: src}
	if err := guarded(path, func() error {
		return src.View(func(tx *bbolt.Tx) error { return checkFormat(path, tx, false) })
	}); err != nil {
		return 0, 0, s.wrap(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	temp := path + ".compact"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	defer os.Remove(temp)
	if err := guarded(path, func() error { return copyTo(temp, src) }); err != nil {
		return 0, 0, s.wrap(err)
	}
	done, err := os.Stat(temp)
	if err != nil {
		return 0, 0, err
	}
	if err := os.Chmod(temp, info.Mode().Perm()); err != nil {
		return 0, 0, err
	}
	if err := os.Rename(temp, path); err != nil {
		return 0, 0, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return 0, 0, err
	}
	return info.Size(), done.Size(), errors.Join(dir.Sync(), dir.Close())
}

func copyTo(path string, src *bbolt.DB) (err error) {
	dst, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	dst.AllocSize = 1 << 20 // no more than it needs
	if err := bbolt.Compact(dst, src, 16<<20); err != nil {
		return err
	}
	return dst.Sync()
}
