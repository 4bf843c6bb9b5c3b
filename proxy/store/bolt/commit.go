package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

// Commit implements store.Documents.
func (s *Store) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	if err := b.Check(tenant); err != nil {
		return err
	}
	c, err := newCommit(s, strings.Clone(tenant), b)
	if err != nil {
		return err
	}
	err = s.do(ctx, &op{adds: c.adds, run: c.run, after: c.wake})
	if err == nil {
		for i := range b.Put {
			b.Put[i].Version = c.docs[i].version
		}
	}
	return err
}

// commit is a batch on its way. What is expensive is done before the
// transaction.
type commit struct {
	s      *Store
	tenant string
	b      *store.Batch
	adds   int64

	docs    []docPut
	logs    []logPut
	records []*put
}

type docPut struct {
	key     []byte
	size    int64
	end     stamped
	frame   frame
	version uint64 // set by run
}

type logPut struct {
	key  []byte
	end  stamped
	size int64 // of the entries
	body [][]byte
	head *head // of the log that is there; set by check
}

func newCommit(s *Store, tenant string, b *store.Batch) (*commit, error) {
	c := &commit{s: s, tenant: tenant, b: b}
	for i := range b.Put {
		d := b.Put[i].Doc
		if err := fits(tenant, d.Kind, d.Key); err != nil {
			return nil, err
		}
		p := docPut{key: key3(tenant, d.Kind, []byte(d.Key)), size: int64(d.Size()), end: stamp(d.Expires)}
		p.frame = newFrame(p.key, p.end, len(d.Body)+16, func(v []byte) []byte {
			return codec.Append(binary.AppendUvarint(v, uint64(p.size)), d.Body)
		})
		c.adds += int64(len(p.frame.value) + 2*len(p.key) + 64)
		c.docs = append(c.docs, p)
	}
	for i := range b.Append {
		a := &b.Append[i]
		if err := fits(tenant, a.Log); err != nil {
			return nil, err
		}
		p := logPut{key: key2(tenant, a.Log), end: stamp(a.Expires)}
		c.adds += int64(2*len(p.key) + 128)
		for j := range a.Entries {
			e := &a.Entries[j]
			if err := fits(e.Key); err != nil {
				return nil, err
			}
			// The key of the entry is known in the transaction only.
			v := binary.AppendUvarint(nil, uint64(e.Size()))
			v = codec.Append(appendName(v, e.Key), e.Body)
			p.size += int64(e.Size())
			p.body = append(p.body, v)
			c.adds += int64(len(v) + len(e.Key) + 128)
		}
		c.logs = append(c.logs, p)
	}
	for _, rec := range b.Records {
		p, err := newPut(rec)
		if err != nil {
			return nil, err
		}
		c.adds += p.size()
		c.records = append(c.records, p)
	}
	return c, nil
}

// run drops what has expired of what the batch names, checks, and changes.
func (c *commit) run(w *writing) error {
	if err := c.expire(w); err != nil {
		return err
	}
	if err := c.check(w); err != nil {
		return err
	}
	return c.apply(w)
}

func (c *commit) expire(w *writing) error {
	doc := func(kind, name string) error {
		k := key3(c.tenant, kind, []byte(name))
		if v := w.bucket(bDoc).Get(k); v != nil && !live(v, w.now) {
			w.counts.expired++
			return w.dropDoc(k, v)
		}
		return nil
	}
	log := func(name string) error {
		k := key2(c.tenant, name)
		if v := w.bucket(bLog).Get(k); v != nil && !live(v, w.now) {
			w.counts.expired++
			return w.dropLog(k, v)
		}
		return nil
	}
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, r := range c.b.Require {
		keep(doc(r.Kind, r.Key))
	}
	for _, p := range c.b.Put {
		keep(doc(p.Doc.Kind, p.Doc.Key))
	}
	for _, d := range c.b.Delete {
		keep(doc(d.Kind, d.Key))
	}
	for i := range c.b.Append {
		keep(log(c.b.Append[i].Log))
	}
	for _, r := range c.b.Remove {
		keep(log(r.Log))
	}
	for _, name := range c.b.Drop {
		keep(log(name))
	}
	return first
}

// check is whether the batch can be applied.
func (c *commit) check(w *writing) error {
	docs := w.bucket(bDoc)
	holds := func(kind, name string, version uint64) error {
		if version == store.AnyVersion {
			return nil
		}
		have, k := store.Absent, key3(c.tenant, kind, []byte(name))
		if v := docs.Get(k); v != nil {
			have = number(v)
		} else if err := c.s.absent(w.tx, bDoc, k); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if have != version {
			return store.ErrConflict
		}
		return nil
	}
	for _, r := range c.b.Require {
		if err := holds(r.Kind, r.Key, r.Version); err != nil {
			return err
		}
	}
	for _, p := range c.b.Put {
		if err := holds(p.Doc.Kind, p.Doc.Key, p.If); err != nil {
			return err
		}
	}
	for _, d := range c.b.Delete {
		if err := holds(d.Kind, d.Key, d.Version); err != nil {
			return err
		}
	}
	for _, p := range c.records {
		if err := p.check(w); err != nil {
			return err
		}
	}
	names := w.bucket(bName)
	for _, r := range c.b.Remove {
		h, err := c.s.readHead(w.tx, key2(c.tenant, r.Log), w.now)
		if err != nil {
			return err
		}
		if h == nil || r.Key == "" {
			return store.ErrNotFound
		}
		if k := numbered(h.number, []byte(r.Key)); names.Get(k) == nil {
			return c.s.absent(w.tx, bName, k)
		}
	}
	for i := range c.logs {
		if err := c.checkAppend(w, &c.logs[i], &c.b.Append[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *commit) checkAppend(w *writing, p *logPut, a *store.LogAppend) (err error) {
	if p.head = nil; !slices.Contains(c.b.Drop, a.Log) {
		if p.head, err = c.s.readHead(w.tx, p.key, w.now); err != nil {
			return err
		}
	}
	var own map[string]bool
	for i := range a.Entries {
		key := a.Entries[i].Key
		if key == "" {
			continue
		}
		if own[key] {
			return store.ErrExists
		}
		if own == nil {
			own = make(map[string]bool)
		}
		own[key] = true
		if p.head != nil && w.bucket(bName).Get(numbered(p.head.number, []byte(key))) != nil &&
			!slices.Contains(c.b.Remove, store.EntryRef{Log: a.Log, Key: key}) {
			return store.ErrExists
		}
	}
	return nil
}

// apply makes the changes. What can go wrong now is a fault of the file.
func (c *commit) apply(w *writing) error {
	for _, d := range c.b.Delete {
		k := key3(c.tenant, d.Kind, []byte(d.Key))
		if v := w.bucket(bDoc).Get(k); v != nil {
			if err := w.dropDoc(k, v); err != nil {
				return err
			}
		}
	}
	for _, name := range c.b.Drop {
		k := key2(c.tenant, name)
		if v := w.bucket(bLog).Get(k); v != nil {
			if err := w.dropLog(k, v); err != nil {
				return err
			}
		}
	}
	for _, r := range c.b.Remove {
		if err := c.remove(w, r); err != nil {
			return err
		}
	}
	for i := range c.docs {
		if err := c.putDoc(w, &c.docs[i]); err != nil {
			return err
		}
	}
	for i := range c.logs {
		if err := c.append(w, &c.logs[i], &c.b.Append[i]); err != nil {
			return err
		}
	}
	for _, p := range c.records {
		if err := p.apply(w); err != nil {
			return err
		}
	}
	return w.err
}

func (c *commit) putDoc(w *writing, p *docPut) error {
	if v := w.bucket(bDoc).Get(p.key); v != nil {
		if err := w.dropDoc(p.key, v); err != nil {
			return err
		}
	}
	var err error
	if p.version, err = w.bucket(bDoc).NextSequence(); err != nil {
		return err
	}
	if p.end.ended(w.now) { // written and gone
		w.counts.expired++
		return nil
	}
	w.put(bDoc, p.key, p.frame.seal(p.version))
	if p.end != never {
		w.put(bExp, expKey(p.end, 'd', p.key), nil)
	}
	w.counts.Documents++
	w.counts.Bytes += p.size
	return w.err
}

func (c *commit) remove(w *writing, r store.EntryRef) error {
	hk := key2(c.tenant, r.Log)
	h, err := c.s.readHead(w.tx, hk, w.now)
	if err != nil {
		return err
	}
	nk := numbered(h.number, []byte(r.Key))
	k := numbered(h.number, w.bucket(bName).Get(nk))
	v := w.bucket(bEntry).Get(k)
	if v == nil {
		return c.s.corrupt(bEntry, k, errMissing)
	}
	_, size, err := decodeEntry(k, v)
	if err != nil {
		return c.s.corrupt(bEntry, k, err)
	}
	w.delete(bName, nk)
	w.delete(bEntry, k)
	h.count--
	h.size -= size
	w.counts.Entries--
	w.counts.Bytes -= size
	w.put(bLog, hk, h.encode(hk))
	return w.err
}

func (c *commit) append(w *writing, p *logPut, a *store.LogAppend) (err error) {
	h := p.head
	if h != nil { // Remove may have changed it
		if h, err = c.s.readHead(w.tx, p.key, w.now); err != nil {
			return err
		}
	}
	if h == nil && len(a.Entries) == 0 {
		return nil
	}
	if p.end.ended(w.now) { // written and gone
		w.counts.expired++
		if h == nil {
			return nil
		}
		return w.dropLog(p.key, w.bucket(bLog).Get(p.key))
	}
	if h == nil {
		h = &head{size: int64(store.LogSize(a.Log)), end: p.end}
		if h.number, err = w.bucket(bLog).NextSequence(); err != nil {
			return err
		}
		w.counts.Bytes += h.size
		if h.end != never {
			w.put(bExp, expKey(h.end, 'l', p.key), nil)
		}
	} else if h.end != p.end {
		if h.end != never {
			w.delete(bExp, expKey(h.end, 'l', p.key))
		}
		if h.end = p.end; h.end != never {
			w.put(bExp, expKey(h.end, 'l', p.key), nil)
		}
	}
	for i := range a.Entries {
		k := numbered(h.number, be64(h.next))
		f := newFrame(k, never, len(p.body[i]), func(v []byte) []byte { return append(v, p.body[i]...) })
		w.put(bEntry, k, f.seal(0))
		if key := a.Entries[i].Key; key != "" {
			w.put(bName, numbered(h.number, []byte(key)), be64(h.next))
		}
		h.next++
	}
	n := int64(len(a.Entries))
	h.count += n
	h.size += p.size
	w.counts.Entries += n
	w.counts.Bytes += p.size
	w.put(bLog, p.key, h.encode(p.key))
	return w.err
}

// wake wakes those who wait for what the batch has changed.
func (c *commit) wake() {
	for i := range c.b.Append {
		c.s.waits.Wake(c.tenant, c.b.Append[i].Log)
	}
	for _, name := range c.b.Drop {
		c.s.waits.Wake(c.tenant, name)
	}
}

// dropDoc takes a document out.
func (w *writing) dropDoc(k, v []byte) error {
	p, err := payload(k, v)
	if err != nil {
		return w.s.corrupt(bDoc, k, err)
	}
	r := reader{b: p}
	size := r.uvarint()
	if r.bad {
		return w.s.corrupt(bDoc, k, errPayload)
	}
	if e := end(v); e != never {
		w.delete(bExp, expKey(e, 'd', k))
	}
	w.delete(bDoc, slices.Clone(k))
	w.counts.Documents--
	w.counts.Bytes -= int64(size)
	return w.err
}

// dropLog takes a log out. Its entries, which may be many, are out of sight with
// its head; the janitor frees them a few at a time.
func (w *writing) dropLog(k, v []byte) error {
	h, err := w.s.decodeHead(k, v)
	if err != nil {
		return err
	}
	if h.end != never {
		w.delete(bExp, expKey(h.end, 'l', k))
	}
	w.delete(bLog, slices.Clone(k))
	w.put(bTrash, be64(h.number), nil)
	w.counts.Entries -= h.count
	w.counts.Bytes -= h.size
	return w.err
}
