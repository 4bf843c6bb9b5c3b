package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Doc implements store.Documents.
func (s *Store) Doc(_ context.Context, tenant, kind, name string) (*store.Doc, error) {
	k := key3(tenant, kind, []byte(name))
	raw, err := s.get(bDoc, k)
	if err != nil {
		return nil, err
	}
	return s.doc(k, raw)
}

// Docs implements store.Documents.
func (s *Store) Docs(_ context.Context, tenant, kind string, page store.Page) (docs []*store.Doc, more bool, err error) {
	now := stamp(s.now())
	prefix := key3(tenant, kind, nil)
	var keys, raws [][]byte
	err = s.view(func(tx *bbolt.Tx) error {
		var scanned error
		keys, raws, more = nil, nil, false
		for k, v := range s.scan(tx, bDoc, prefix, []byte(page.After), page.After != "", page.Descending, &scanned) {
			switch err := s.there(tx, bDoc, k, v, now); {
			case errors.Is(err, store.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			if more = len(keys) >= page.Limit; more {
				break
			}
			keys, raws = append(keys, slices.Clone(k)), append(raws, slices.Clone(v))
		}
		return scanned
	})
	if err != nil {
		return nil, false, err
	}
	docs, err = decoded(keys, raws, s.doc)
	return docs, more && err == nil, err
}

// decoded is what some pairs hold. It is found out when the transaction is over.
func decoded[T any](keys, raws [][]byte, decode func(k, v []byte) (T, error)) ([]T, error) {
	list := make([]T, 0, len(keys))
	for i := range keys {
		one, err := decode(keys[i], raws[i])
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// scan is the pairs whose keys begin with prefix, from behind prefix+after on if
// there is one. So that no damaged key is left out in silence, the way to the
// first is checked, and so is the key that ends the scan. What is wrong is in
// fault.
func (s *Store) scan(tx *bbolt.Tx, bucket, prefix, after []byte, isAfter, descending bool, fault *error) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		c := tx.Bucket(bucket).Cursor()
		from := append(slices.Clone(prefix), after...)
		first := from
		if descending && !isAfter {
			first = behind(prefix)
		}
		if err := s.wayTo(tx, bucket, first); err != nil {
			*fault = s.corrupt(bucket, prefix, err)
			return
		}
		var k, v []byte
		switch {
		case !descending:
			k, v = c.Seek(from)
			if isAfter && string(k) == string(from) {
				k, v = c.Next()
			}
		case isAfter:
			if k, _ = c.Seek(from); k == nil {
				k, v = c.Last()
			} else {
				k, v = c.Prev()
			}
		default:
			k, v = lastOf(c, prefix)
		}
		for k != nil && hasPrefix(k, prefix) {
			if !yield(k, v) {
				return
			}
			if descending {
				k, v = c.Prev()
			} else {
				k, v = c.Next()
			}
		}
		if k != nil {
			if err := s.genuineValue(tx, bucket, k, v); err != nil {
				*fault = s.corrupt(bucket, prefix, err)
			}
		}
	}
}

// behind is the first key behind all that begin with prefix, or nothing if there can
// be none.
func behind(prefix []byte) []byte {
	next := slices.Clone(prefix)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next[:i+1]
		}
	}
	return nil
}

// lastOf is the last pair whose key begins with prefix, or one before them.
func lastOf(c *bbolt.Cursor, prefix []byte) (k, v []byte) {
	if next := behind(prefix); next != nil {
		if k, _ = c.Seek(next); k != nil {
			return c.Prev()
		}
	}
	return c.Last()
}

// Entry implements store.Documents.
func (s *Store) Entry(_ context.Context, tenant, log, name string) (*store.Entry, error) {
	now := stamp(s.now())
	var k, raw []byte
	err := s.view(func(tx *bbolt.Tx) error {
		h, err := s.readHead(tx, key2(tenant, log), now)
		if err != nil {
			return err
		}
		if h == nil || name == "" {
			return store.ErrNotFound
		}
		seq := tx.Bucket(bName).Get(numbered(h.number, []byte(name)))
		if seq == nil {
			return s.absent(tx, bName, numbered(h.number, []byte(name)))
		}
		k = numbered(h.number, seq)
		v := tx.Bucket(bEntry).Get(k)
		if v == nil {
			return s.corrupt(bEntry, k, errMissing)
		}
		raw = slices.Clone(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	e, err := s.entry(k, raw)
	if err != nil {
		return nil, err
	}
	return &e, nil
}

// Entries implements store.Documents.
func (s *Store) Entries(_ context.Context, tenant, log string, page store.Page) (entries []store.Entry, more bool, err error) {
	now := stamp(s.now())
	var keys, raws [][]byte
	err = s.view(func(tx *bbolt.Tx) error {
		var scanned error
		keys, raws, more = nil, nil, false
		h, err := s.readHead(tx, key2(tenant, log), now)
		if err != nil || h == nil {
			return err
		}
		var after []byte
		if page.AfterSeq != nil {
			after = be64(*page.AfterSeq)
		}
		for k, v := range s.scan(tx, bEntry, be64(h.number), after, after != nil, page.Descending, &scanned) {
			if more = len(keys) >= page.Limit; more {
				break
			}
			keys, raws = append(keys, slices.Clone(k)), append(raws, slices.Clone(v))
		}
		return scanned
	})
	if err != nil {
		return nil, false, err
	}
	entries, err = decoded(keys, raws, s.entry)
	return entries, more && err == nil, err
}

// Wait implements store.Documents.
func (s *Store) Wait(ctx context.Context, tenant, log string, from uint64) error {
	k := key2(tenant, log)
	return s.waits.Wait(ctx, s.closing, tenant, log, func() (there bool, err error) {
		err = s.view(func(tx *bbolt.Tx) error {
			h, err := s.readHead(tx, k, stamp(s.now()))
			there = err == nil && h != nil && h.next > from
			return err
		})
		return there, err
	})
}

// head is what is known of a log beside its entries.
type head struct {
	number uint64 // its own, in the file
	end    stamped
	next   uint64 // the Seq of the next entry
	count  int64  // of the entries that are there
	size   int64  // of all of it, as the Size methods and LogSize count
}

// readHead is the head of a log that is there, or nil.
func (s *Store) readHead(tx *bbolt.Tx, k []byte, now stamped) (*head, error) {
	v := tx.Bucket(bLog).Get(k)
	switch err := s.there(tx, bLog, k, v, now); {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil // there is none
	case err != nil:
		return nil, err
	}
	return s.decodeHead(k, v)
}

func (s *Store) decodeHead(k, v []byte) (*head, error) {
	p, err := payload(k, v)
	if err != nil {
		return nil, s.corrupt(bLog, k, err)
	}
	r := reader{b: p}
	h := &head{number: number(v), end: end(v), next: r.uvarint(), count: int64(r.uvarint()), size: int64(r.uvarint())}
	if r.bad {
		return nil, s.corrupt(bLog, k, errPayload)
	}
	return h, nil
}

func (h *head) encode(k []byte) []byte {
	f := newFrame(k, h.end, 32, func(v []byte) []byte {
		v = binary.AppendUvarint(v, h.next)
		v = binary.AppendUvarint(v, uint64(h.count))
		return binary.AppendUvarint(v, uint64(h.size))
	})
	return f.seal(h.number)
}

// doc decodes a document that was copied out of the file.
func (s *Store) doc(k, v []byte) (*store.Doc, error) {
	d, _, err := decodeDoc(k, v)
	if err != nil {
		return nil, s.corrupt(bDoc, k, err)
	}
	return d, nil
}

func decodeDoc(k, v []byte) (d *store.Doc, size int64, err error) {
	p, err := payload(k, v)
	if err != nil {
		return nil, 0, err
	}
	r := reader{b: p}
	size = int64(r.uvarint())
	body, err := r.content()
	if err != nil {
		return nil, 0, err
	}
	rest, ok := afterName(k)
	kind, isKind := firstName(rest)
	name, isName := afterName(rest)
	if !ok || !isKind || !isName {
		return nil, 0, errPayload
	}
	return &store.Doc{Kind: kind, Key: string(name), Version: number(v), Expires: end(v).time(), Body: body}, size, nil
}

// entry decodes an entry that was copied out of the file.
func (s *Store) entry(k, v []byte) (store.Entry, error) {
	e, _, err := decodeEntry(k, v)
	if err != nil {
		return e, s.corrupt(bEntry, k, err)
	}
	return e, nil
}

func decodeEntry(k, v []byte) (e store.Entry, size int64, err error) {
	p, err := payload(k, v)
	if err != nil {
		return e, 0, err
	}
	r := reader{b: p}
	size = int64(r.uvarint())
	e.Key = string(r.bytes())
	if e.Body, err = r.content(); err != nil {
		return e, 0, err
	}
	if len(k) != 16 {
		return e, 0, errPayload
	}
	e.Seq = binary.BigEndian.Uint64(k[8:])
	return e, size, nil
}
