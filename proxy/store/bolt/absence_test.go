package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// keyed is a store with so much in each bucket that there are branches, and how
// each thing in it is found.
type keyed struct {
	s     *Store
	path  string
	finds map[string]func() error // by bucket and key
}

func newKeyed(t *testing.T, n int) *keyed {
	t.Helper()
	k := &keyed{path: filepath.Join(t.TempDir(), "state.db"), finds: map[string]func() error{}}
	k.s = open(t, Options{Path: k.path, SweepEvery: time.Hour})
	t.Cleanup(func() { _ = k.s.Close() })
	ctx, s := t.Context(), k.s
	for i := range n {
		tenant, id := fmt.Sprintf("tenant%d", i%7), fmt.Sprintf("resp_%08x", i*2654435761%0xffffffff)
		item, name, log := "msg_"+id, "name_"+id, fmt.Sprintf("log%d", i)
		if err := s.Commit(ctx, tenant, &store.Batch{
			Records: []*store.Record{{
				Tenant: tenant, ID: id, ItemIDs: []string{item}, Created: time.Now(), Expires: time.Now().Add(time.Hour),
				Response: bytes.Repeat([]byte{byte(i)}, 100+i%3*300), Output: [2]int{0, 1},
			}},
			Put: []store.DocWrite{{Doc: &store.Doc{Kind: "kind", Key: "doc_" + id, Body: []byte(id)}, If: store.AnyVersion}},
			Append: []store.LogAppend{
				{Log: log, Entries: []store.Entry{{Body: []byte(id)}}},
				{Log: "shared" + tenant, Entries: []store.Entry{{Key: name, Body: []byte(id)}}},
			},
		}); err != nil {
			t.Fatal(err)
		}
		add := func(bucket, key []byte, find func() error) { k.finds[string(bucket)+string(key)] = find }
		add(bRec, key2(tenant, id), func() error {
			rec, err := s.Get(ctx, tenant, id)
			if err == nil && rec.Response[0] != byte(i) {
				return errors.New("another response")
			}
			return err
		})
		add(bDoc, key3(tenant, "kind", []byte("doc_"+id)), func() error {
			_, err := s.Doc(ctx, tenant, "kind", "doc_"+id)
			_, _, listErr := s.Docs(ctx, tenant, "kind", store.Page{Limit: n})
			if err == nil && listErr == nil {
				docs, _, err := s.Docs(ctx, tenant, "kind", store.Page{Limit: n, Descending: true})
				if err == nil && !slices.ContainsFunc(docs, func(d *store.Doc) bool { return d.Key == "doc_"+id }) {
					return store.ErrNotFound
				}
				listErr = err
			}
			return errors.Join(err, listErr)
		})
		add(bLog, key2(tenant, log), func() error {
			entries, _, err := s.Entries(ctx, tenant, log, store.Page{Limit: 10})
			if err == nil && len(entries) == 0 {
				return store.ErrNotFound
			}
			return err
		})
		_ = s.db.View(func(tx *bbolt.Tx) error {
			h, err := s.readHead(tx, key2(tenant, "shared"+tenant), stamp(time.Now()))
			if err != nil {
				t.Fatal(err)
			}
			own, err := s.readHead(tx, key2(tenant, log), stamp(time.Now()))
			if err != nil {
				t.Fatal(err)
			}
			find := func() error { _, err := s.Entry(ctx, tenant, "shared"+tenant, name); return err }
			add(bName, numbered(h.number, []byte(name)), find)
			add(bEntry, numbered(h.number, be64(h.next-1)), func() error {
				all := 0
				for next := (*uint64)(nil); ; {
					entries, more, err := s.Entries(ctx, tenant, "shared"+tenant, store.Page{Limit: 40, AfterSeq: next})
					if err != nil {
						return err
					}
					if all += len(entries); !more {
						break
					}
					next = &entries[len(entries)-1].Seq
				}
				if want := (n - i%7 + 6) / 7; all != want {
					return fmt.Errorf("%d entries of %d: %w", all, want, store.ErrNotFound)
				}
				return find()
			})
			add(bEntry, numbered(own.number, be64(0)), k.finds[string(bLog)+string(key2(tenant, log))])
			v := tx.Bucket(bRec).Get(key2(tenant, id))
			add(bItem, append(key3(tenant, item, nil), be64(newestFirst(number(v)))...), func() error { _, err := s.Item(ctx, tenant, item); return err })
			return nil
		})
	}
	return k
}

// pages are all pages of a bucket that are not a part of another one.
func (k *keyed) pages(t *testing.T, bucket []byte) (ids []uint64, w pageWalk) {
	t.Helper()
	if err := k.s.db.View(func(tx *bbolt.Tx) error {
		size := uint64(k.s.db.Info().PageSize)
		w = pageWalk{f: k.s.file, pageSize: size, high: uint64(tx.Size()) / size}
		queue := []uint64{uint64(tx.Bucket(bucket).Root())}
		for len(queue) > 0 {
			id := queue[0]
			queue, ids = queue[1:], append(ids, id)
			p, err := w.read(id)
			if err != nil {
				return err
			}
			for _, e := range p.elements {
				if p.flags == pageBranch {
					queue = append(queue, e.child)
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids, w
}

// TestDamagedKey: whatever bit of a key changes, on a leaf or a branch, while the
// file is open, what is stored under it is not taken for absent, and neither is
// what a search passes by it for.
func TestDamagedKey(t *testing.T) {
	n := 200
	if raceEnabled {
		n = 150
	}
	k := newKeyed(t, n)
	for name, find := range k.finds {
		if err := find(); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	file, err := os.OpenFile(k.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, bucket := range [][]byte{bRec, bItem, bDoc, bLog, bEntry, bName} {
		ids, w := k.pages(t, bucket)
		branches, tried, seen := 0, 0, 0
		for _, id := range ids {
			p, err := w.read(id)
			if err != nil {
				t.Fatal(err)
			}
			if p.flags == pageBranch {
				branches++
			}
			for i, e := range p.elements {
				at := w.keyAt(t, id, i)
				for j := range e.key {
					if every := 17; p.flags == pageLeaf && (i*7+j)%every != 0 || raceEnabled && j%5 != 0 { // each byte of some keys, some bytes of each
						continue
					}
					bit := byte(1) << ((i + j) % 8)
					flip := func() {
						b := []byte{e.key[j]}
						if _, err := file.ReadAt(b, at+int64(j)); err != nil {
							t.Fatal(err)
						}
						b[0] ^= bit
						if _, err := file.WriteAt(b, at+int64(j)); err != nil {
							t.Fatal(err)
						}
					}
					flip()
					tried++
					for _, find := range k.around(t, &w, bucket, p, i) {
						err := find()
						if _, ok := errors.AsType[*CorruptError](err); ok {
							seen++
						} else if err != nil {
							t.Errorf("%s: byte %d of the key of element %d of page %d (flags %d): %v", bucket, j, i, id, p.flags, err)
						}
					}
					flip()
				}
			}
		}
		if t.Logf("%s: %d pages, %d of them branches; %d keys changed, seen %d times", bucket, len(ids), branches, tried, seen); seen < tried/2 || branches == 0 {
			t.Errorf("%s: this proves little", bucket)
		}
	}
}

// around is how the things are found whose keys are at an element of a page or beside
// it; below it and the one before, if it is of a branch.
func (k *keyed) around(t *testing.T, w *pageWalk, bucket []byte, p pageContent, i int) (finds []func() error) {
	add := func(elements []pageEntry) {
		for _, e := range elements {
			if find := k.finds[string(bucket)+string(e.key)]; find != nil {
				finds = append(finds, find)
			}
		}
	}
	if p.flags == pageLeaf {
		add(p.elements[max(0, i-1):min(len(p.elements), i+2)])
		return finds
	}
	for _, e := range p.elements[max(0, i-1) : i+1] {
		child, err := w.read(e.child)
		if err != nil {
			t.Fatal(err)
		}
		if all := child.elements; e.child == p.elements[i].child {
			add(all[:min(8, len(all))])
		} else {
			add(all[max(0, len(all)-8):])
		}
	}
	return finds
}

// keyAt is where the key of an element is in the file.
func (w *pageWalk) keyAt(t *testing.T, id uint64, i int) int64 {
	b := make([]byte, pageElement)
	from := id*w.pageSize + pageHeader + uint64(i)*pageElement
	head := make([]byte, pageHeader)
	if _, err := w.f.ReadAt(head, int64(id*w.pageSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.f.ReadAt(b, int64(from)); err != nil {
		t.Fatal(err)
	}
	if native.Uint16(head[8:]) == pageBranch {
		return int64(from + uint64(native.Uint32(b)))
	}
	return int64(from + uint64(native.Uint32(b[4:])))
}

// TestDamagedBucketName: a bucket whose name has changed is not taken for one that
// is to be made.
func TestDamagedBucketName(t *testing.T) {
	for _, name := range append(slices.Clone(buckets), kFormat, kOpens, kCounts) {
		path := filepath.Join(t.TempDir(), "state.db")
		s := open(t, Options{Path: path})
		if err := s.Put(t.Context(), killRecord(1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := 0
		for i := range content { // the last letter, so that keys are in order still
			if bytes.HasPrefix(content[i:], name) {
				content[i+len(name)-1] ^= 1
				changed++
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err = Open(Options{Path: path})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s, changed %d times: the file opens", name, changed)
		}
	}
}

// What is not there is not there: an absence is proved, not refused.
func TestAbsence(t *testing.T) {
	k := newKeyed(t, 120)
	ctx := t.Context()
	for i := range 200 {
		tenant, id := fmt.Sprintf("tenant%d", i%9), fmt.Sprintf("resp_%x", i*i)
		_, getErr := k.s.Get(ctx, tenant, id)
		_, chainErr := k.s.Chain(ctx, tenant, id)
		_, itemErr := k.s.Item(ctx, tenant, id)
		_, docErr := k.s.Doc(ctx, tenant, "kind", id)
		_, entryErr := k.s.Entry(ctx, tenant, "shared"+tenant, id)
		for what, err := range map[string]error{"Get": getErr, "Chain": chainErr, "Item": itemErr, "Doc": docErr, "Entry": entryErr, "Delete": k.s.Delete(ctx, tenant, id)} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s %s %s: %v", what, tenant, id, err)
			}
		}
		if docs, more, err := k.s.Docs(ctx, tenant, "other", store.Page{Limit: 9}); len(docs) > 0 || more || err != nil {
			t.Errorf("Docs: %d, %v, %v", len(docs), more, err)
		}
	}
}

func BenchmarkAbsent(b *testing.B) {
	s := open(b, Options{Path: filepath.Join(b.TempDir(), "state.db"), SweepEvery: time.Hour})
	defer s.Close()
	for i := range 5000 {
		if err := s.Put(b.Context(), killRecord(i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), killRecord(1).Tenant, "resp_none"); !errors.Is(err, store.ErrNotFound) {
			b.Fatal(err)
		}
	}
}
