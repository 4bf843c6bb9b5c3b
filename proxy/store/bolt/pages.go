package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The pages of a bbolt file have no checksums, and bbolt ends the process when
// they contradict each other: it walks over all of them when it opens a file, in
// a goroutine of its own, where nobody can recover. So they are walked over here
// before, in the same way but without trust: every page is what its parent says,
// belongs to one parent only, what it says of its content lies within it, and
// keys are in order. It must refuse all that bbolt would: when bbolt's goroutine
// reports a fault, Open panics, and what is left of the walk races with the
// clean-up or waits forever.
//
// A page begins with its number (8 bytes), flags, count (2 each) and how many
// more pages belong to it (4). Then come count elements:
//
//	branch  offset (4) and length (4) of a key, number of the child (8)
//	leaf    flags, offset, length of the key, length of the value (4 each)
//
// Offsets are from the element on; the value follows the key. In a leaf of
// buckets a value is the number of the bucket's first page (8), a sequence (8),
// and, if that number is 0, a leaf in the place.
const (
	pageHeader  = 16
	pageElement = 16
	pageBranch  = 0x01
	pageLeaf    = 0x02
	leafBucket  = 0x01

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // with the checksum of the 56 bytes before
	depthMost   = 64
)

var native = binary.NativeEndian

// pageWalk is a walk over all pages.
type pageWalk struct {
	f        io.ReaderAt
	pageSize uint64
	high     uint64   // no page has this number or a higher one
	seen     []uint64 // a bit for each page

	// bufs has, for each depth, memory for the page that is looked at there: at
	// most one is at a time, and what outlives it is copied. Memory of its own for
	// each page was 40 % of the time.
	bufs [][]byte
}

// checkPages walks over all pages of a file that nobody writes, and reads all
// keys.
func checkPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w := &pageWalk{f: f}
	root, err := w.meta(uint64(info.Size()))
	if err == nil {
		w.seen = make([]uint64, w.high/64+1)
		w.bufs = make([][]byte, depthMost+1)
		err = w.page(root, nil, nil, 0)
	}
	if err != nil {
		return &CorruptError{path, err.Error()}
	}
	return nil
}

// meta reads the root of the newest transaction. There are two, written in turn.
func (w *pageWalk) meta(size uint64) (root uint64, err error) {
	var newest uint64
	found := false
	for _, pageSize := range []uint64{0, 4096, 8192, 16384, 32768, 65536, 1024, 2048} { // 0: the first
		b := make([]byte, pageHeader+metaSize)
		if _, err := w.f.ReadAt(b, int64(pageSize)); err != nil {
			continue
		}
		m := b[pageHeader:]
		sum := fnv.New64a()
		_, _ = sum.Write(m[:56])
		if native.Uint32(m) != metaMagic || native.Uint32(m[4:]) != metaVersion || native.Uint64(m[56:]) != sum.Sum64() {
			continue
		}
		own, txid := uint64(native.Uint32(m[8:])), native.Uint64(m[48:])
		if found && txid <= newest || pageSize != 0 && pageSize != own || own < 1024 {
			continue
		}
		found, newest = true, txid
		w.pageSize, root, w.high = own, native.Uint64(m[16:]), native.Uint64(m[40:])
	}
	switch {
	case !found:
		return 0, errors.New("its first pages are damaged")
	case w.high > size/w.pageSize:
		return 0, fmt.Errorf("it has %d bytes, and is cut off: %d are in use", size, w.high*w.pageSize)
	}
	return root, nil
}

// page checks a page, and those below it. Keys are at least low, and below high
// if there is one.
func (w *pageWalk) page(id uint64, low, high []byte, depth int) error {
	if id < 2 || id >= w.high || depth > depthMost {
		return fmt.Errorf("page %d cannot be", id)
	}
	if w.bufs[depth] == nil {
		w.bufs[depth] = make([]byte, w.pageSize)
	}
	b := w.bufs[depth]
	if _, err := w.f.ReadAt(b, int64(id*w.pageSize)); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	own, overflow := native.Uint64(b), uint64(native.Uint32(b[12:]))
	if own != id || id+overflow >= w.high {
		return fmt.Errorf("page %d says that it is page %d with %d more", id, own, overflow)
	}
	for p := id; p <= id+overflow; p++ {
		if w.seen[p/64]&(1<<(p%64)) != 0 {
			return fmt.Errorf("page %d is used twice", p)
		}
		w.seen[p/64] |= 1 << (p % 64)
	}
	need := uint64(pageHeader) + uint64(native.Uint16(b[10:]))*pageElement
	if overflow > 0 && need > w.pageSize {
		b = make([]byte, (overflow+1)*w.pageSize)
		if _, err := w.f.ReadAt(b, int64(id*w.pageSize)); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	run := (overflow + 1) * w.pageSize
	at := func(from, n uint64) ([]byte, error) { // a part that may not be read yet
		if from+n <= uint64(len(b)) {
			return b[from : from+n], nil
		}
		part := make([]byte, n)
		_, err := w.f.ReadAt(part, int64(id*w.pageSize+from))
		return part, err
	}
	if err := w.elements(b, run, at, low, high, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements checks what is in a page of that length.
func (w *pageWalk) elements(b []byte, length uint64, at func(from, n uint64) ([]byte, error), low, high []byte, depth int) error {
	if length < pageHeader || uint64(len(b)) < pageHeader {
		return errShort
	}
	flags, count := native.Uint16(b[8:]), uint64(native.Uint16(b[10:]))
	if flags != pageBranch && flags != pageLeaf || flags == pageBranch && count == 0 {
		return fmt.Errorf("it is of no kind (%#x, %d elements)", flags, count)
	}
	if need := pageHeader + count*pageElement; need > length || need > uint64(len(b)) {
		return fmt.Errorf("%d elements have no room in it", count)
	}
	type child struct {
		id  uint64
		key []byte
	}
	var children []child
	last := low
	for i := range count {
		from := pageHeader + i*pageElement
		e := b[from:]
		var offset, key, value uint64
		isBucket := false
		if flags == pageBranch {
			offset, key = uint64(native.Uint32(e)), uint64(native.Uint32(e[4:]))
		} else {
			isBucket = native.Uint32(e)&leafBucket != 0
			offset, key, value = uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
		}
		if from+offset+key+value > length {
			return fmt.Errorf("element %d leads out of it", i)
		}
		k, err := at(from+offset, key)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(k, last) <= 0 || i == 0 && bytes.Compare(k, low) < 0 || high != nil && bytes.Compare(k, high) >= 0 {
			return fmt.Errorf("the key of element %d is not in order", i)
		}
		last = k
		if flags == pageBranch {
			children = append(children, child{native.Uint64(e[8:]), bytes.Clone(k)})
		} else if isBucket {
			v, err := at(from+offset+key, value)
			if err != nil {
				return err
			}
			if err := w.bucket(v, depth); err != nil {
				return fmt.Errorf("bucket in element %d: %w", i, err)
			}
		}
	}
	for i, c := range children {
		next := high
		if i+1 < len(children) {
			next = children[i+1].key
		}
		if err := w.page(c.id, c.key, next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a value that is a bucket.
func (w *pageWalk) bucket(v []byte, depth int) error {
	if len(v) < 16 {
		return errShort
	}
	if root := native.Uint64(v); root != 0 {
		return w.page(root, nil, nil, depth+1)
	}
	in := v[16:]
	if len(in) < pageHeader || native.Uint16(in[8:]) != pageLeaf {
		return errors.New("it has no leaf")
	}
	return w.elements(in, uint64(len(in)), func(from, n uint64) ([]byte, error) { return in[from : from+n], nil }, nil, nil, depth+1)
}
