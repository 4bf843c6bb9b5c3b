package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// A key that was damaged is not found, and neither may be others that a search
// passes by it. So that this is not taken for absence, a key that is not found is
// looked for a second time, with a look at all that the search relies on:
//
//   - Every page on the way has its keys in order, and within the bounds that the
//     pages above it set: a damaged key does not lead the search astray inside of
//     a page unnoticed.
//   - The last key before the place and the first one behind it lie on their sides
//     of the key, also if they are on other pages: so a damaged key of a branch has
//     not led to the wrong page.
//   - Every key on the leaf is one that was written: the checksum of its value has
//     the key in it, and entries of the indexes item and name are what the records
//     and entries say that they are about. A damaged key stays on its page.
//
// That reads one leaf, with the values on it, for a key that is not there; what is
// found costs nothing more.

// absent is ErrNotFound for a key that is certainly not in a bucket, and a
// CorruptError if something is damaged where it would be.
func (s *Store) absent(tx *bbolt.Tx, bucket, k []byte) error {
	if !tx.Writable() {
		return s.proved(bucket, k, s.wayTo(tx, bucket, k))
	}
	// What is looked at is the file, which does not have this transaction's changes:
	// there the key may have been.
	return s.proved(bucket, k, s.db.View(func(before *bbolt.Tx) error {
		if before.Bucket(bucket).Get(k) != nil {
			return nil
		}
		return s.wayTo(before, bucket, k)
	}))
}

// proved is what absent returns, after a look that gave err.
func (s *Store) proved(bucket, k []byte, err error) error {
	if err != nil {
		return s.corrupt(bucket, k, fmt.Errorf("it is not found, and where it would be: %w", err))
	}
	return store.ErrNotFound
}

// wayTo checks all that the search for a key in a bucket relies on, be the key there
// or not.
func (s *Store) wayTo(tx *bbolt.Tx, bucket, k []byte) error {
	b := tx.Bucket(bucket)
	c := b.Cursor()
	next, _ := c.Seek(k)
	var before []byte
	if next == nil {
		before, _ = c.Last()
	} else {
		before, _ = c.Prev()
	}
	if next != nil && (bytes.Compare(next, k) < 0 || bytes.Equal(next, k) && !found(b, k)) || before != nil && bytes.Compare(before, k) >= 0 {
		return errors.New("keys are not in order")
	}
	root := uint64(b.Root())
	if root == 0 { // a small bucket, in one piece with the list of buckets
		return s.eachSmall(tx, bucket, b)
	}
	size := uint64(s.db.Info().PageSize)
	way := pageWalk{f: s.file, pageSize: size, high: uint64(tx.Size()) / size}
	return way.follow(root, k, func(e *pageEntry) error { return s.genuine(tx, bucket, e) })
}

// found is whether a search by the branches finds a key, which a cursor has come upon
// by going on from another page perhaps.
func found(b *bbolt.Bucket, k []byte) bool { return b.Get(k) != nil }

func (s *Store) eachSmall(tx *bbolt.Tx, bucket []byte, b *bbolt.Bucket) error {
	var last []byte
	return b.ForEach(func(k, v []byte) error {
		if last != nil && bytes.Compare(k, last) <= 0 {
			return errors.New("keys are not in order")
		}
		last = k
		return s.genuineValue(tx, bucket, k, v)
	})
}

// framed are the buckets whose values are frames.
var framed = [][]byte{bRec, bDoc, bLog, bEntry}

// genuine checks that a key is one that was written, by its value.
func (s *Store) genuine(tx *bbolt.Tx, bucket []byte, e *pageEntry) error {
	if e.value != nil || e.length == 0 {
		return s.genuineValue(tx, bucket, e.key, e.value)
	}
	if !slices.ContainsFunc(framed, func(f []byte) bool { return bytes.Equal(f, bucket) }) {
		return fmt.Errorf("%q: %w", e.key, errPayload) // of an index, and large
	}
	if err := checkFrame(e.key, s.file, int64(e.at), int64(e.length)); err != nil {
		return fmt.Errorf("%q: %w", e.key, err)
	}
	return nil
}

// genuineValue is genuine for a value that is at hand.
func (s *Store) genuineValue(tx *bbolt.Tx, bucket, k, v []byte) (err error) {
	switch {
	case bytes.Equal(bucket, bItem):
		err = s.genuineItem(tx, k, v)
	case bytes.Equal(bucket, bName):
		err = s.genuineName(tx, k, v)
	case slices.ContainsFunc(framed, func(f []byte) bool { return bytes.Equal(f, bucket) }):
		_, err = payload(k, v)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", k, err)
	}
	return nil
}

// genuineItem checks that the record which an entry of the index of items names
// has that item, in that place.
func (s *Store) genuineItem(tx *bbolt.Tx, k, v []byte) error {
	tenant, ok := firstName(k)
	rest, _ := afterName(k)
	item, isItem := firstName(rest)
	if !ok || !isItem || len(k) < 8 {
		return errPayload
	}
	rec := tx.Bucket(bRec).Get(key2(tenant, string(v)))
	if rec == nil || newestFirst(number(rec)) != binary.BigEndian.Uint64(k[len(k)-8:]) || len(rec) < frameHead+frameCheck {
		return errors.New("it is about a response that is not there")
	}
	r := reader{b: rec[frameHead : len(rec)-frameCheck]}
	r.uvarint() // size
	r.bytes()   // parent
	n := r.uvarint()
	for range min(n, uint64(len(rec))) {
		if string(r.bytes()) == item {
			return nil
		}
	}
	return errors.New("the response does not have that item")
}

// genuineName checks that the entry which an entry of the index of names is about
// has that name.
func (s *Store) genuineName(tx *bbolt.Tx, k, v []byte) error {
	if len(k) < 8 || len(v) != 8 {
		return errPayload
	}
	log := binary.BigEndian.Uint64(k)
	e := tx.Bucket(bEntry).Get(numbered(log, v))
	if e == nil {
		if at, _ := tx.Bucket(bTrash).Cursor().Seek(be64(log)); bytes.Equal(at, be64(log)) {
			return nil // it is being freed
		}
		return errors.New("it is about an entry that is not there")
	}
	if len(e) < frameHead+frameCheck {
		return errShort
	}
	r := reader{b: e[frameHead : len(e)-frameCheck]}
	r.uvarint() // size
	if name := r.bytes(); r.bad || !bytes.Equal(name, k[8:]) {
		return errors.New("the entry has another name")
	}
	return nil
}

// checkFrame checks a frame that is so many bytes at off, without holding more of
// it than a piece.
func checkFrame(key []byte, f io.ReaderAt, off, n int64) error {
	if n < frameHead+frameCheck {
		return errShort
	}
	var head [frameHead]byte
	var check [frameCheck]byte
	if _, err := f.ReadAt(head[:], off); err != nil {
		return err
	}
	if _, err := f.ReadAt(check[:], off+n-frameCheck); err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	_, _ = sum.Write(key)
	if _, err := io.Copy(sum, io.NewSectionReader(f, off+frameHead, n-frameHead-frameCheck)); err != nil {
		return err
	}
	_, _ = sum.Write(head[:])
	switch {
	case head[0] > frameVersion:
		return nil // it says so when it is read
	case sum.Sum32() != binary.BigEndian.Uint32(check[:]):
		return errCheck
	}
	return nil
}

// follow goes the way from a page to the leaf where a key would be, and checks
// each page on it, and each element of the leaf with f.
func (w *pageWalk) follow(root uint64, k []byte, f func(*pageEntry) error) error {
	var low, high []byte
	for id, depth := root, 0; ; depth++ {
		if id < 2 || id >= w.high || depth > depthMost {
			return fmt.Errorf("page %d cannot be", id)
		}
		p, err := w.read(id)
		if err != nil {
			return err
		}
		next := -1
		for i := range p.elements {
			key := p.elements[i].key
			if i > 0 && bytes.Compare(key, p.elements[i-1].key) <= 0 || i == 0 && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
				return fmt.Errorf("page %d: the key of element %d is not in order", id, i)
			}
			if p.flags == pageBranch && (i == 0 || bytes.Compare(key, k) <= 0) {
				next = i
			}
			if p.flags == pageLeaf {
				if err := f(&p.elements[i]); err != nil {
					return err
				}
			}
		}
		if p.flags == pageLeaf {
			return nil
		}
		id, low = p.elements[next].child, p.elements[next].key
		if next+1 < len(p.elements) {
			high = p.elements[next+1].key
		}
	}
}

// pageContent is a page with all its keys.
type pageContent struct {
	flags    uint16
	elements []pageEntry
}

type pageEntry struct {
	key        []byte
	child      uint64 // of a branch
	at, length uint64 // of a leaf: where the value is in the file
	value      []byte // the value, if the page is small
}

// smallPage is what is read of a page in one piece.
const smallPage = 64 << 10

// read reads a page. Values are left where they are, unless it is small.
func (w *pageWalk) read(id uint64) (p pageContent, err error) {
	fault := func(format string, args ...any) (pageContent, error) {
		return p, fmt.Errorf("page %d: "+format, append([]any{id}, args...)...)
	}
	start := id * w.pageSize
	head := make([]byte, w.pageSize)
	if _, err := w.f.ReadAt(head, int64(start)); err != nil {
		return fault("%w", err)
	}
	own, overflow := native.Uint64(head), uint64(native.Uint32(head[12:]))
	if own != id || id+overflow >= w.high {
		return fault("it says that it is page %d with %d more", own, overflow)
	}
	length := (overflow + 1) * w.pageSize
	flags, count := native.Uint16(head[8:]), uint64(native.Uint16(head[10:]))
	need := pageHeader + count*pageElement
	if flags != pageBranch && flags != pageLeaf || flags == pageBranch && count == 0 || need > length {
		return fault("it is of no kind (%#x, %d elements)", flags, count)
	}
	if length <= smallPage {
		need = length
	}
	if need > uint64(len(head)) {
		head = slices.Grow(head[:0], int(need))[:need]
		if _, err := w.f.ReadAt(head, int64(start)); err != nil {
			return fault("%w", err)
		}
	}
	p.flags, p.elements = flags, make([]pageEntry, count)
	for i := range count {
		from := pageHeader + i*pageElement
		e := head[from:]
		var one pageEntry
		var offset, key uint64
		if flags == pageBranch {
			offset, key, one.child = uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), native.Uint64(e[8:])
		} else {
			offset, key, one.length = uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
		}
		if from+offset+key+one.length > length {
			return fault("element %d leads out of it", i)
		}
		one.at = start + from + offset + key
		if end := from + offset + key; end <= uint64(len(head)) {
			one.key = head[from+offset : end]
			if end+one.length <= uint64(len(head)) {
				one.value = head[end : end+one.length : end+one.length]
			}
		} else {
			one.key = make([]byte, key)
			if _, err := w.f.ReadAt(one.key, int64(start+from+offset)); err != nil {
				return fault("%w", err)
			}
		}
		p.elements[i] = one
	}
	return p, nil
}
