package bolt

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

// The payload of a record is, before what is compressed, what can be needed
// without the content:
//
//	size (as Record.Size counts, with the length of the input), parent, ids of items, creation, span of the output
//	compressed: length of input, input, response

// put is a record on its way into the file.
type put struct {
	rec   *store.Record
	key   []byte
	items [][]byte // keys without number, each once
	bytes int64
	frame frame
}

func newPut(rec *store.Record) (*put, error) {
	if err := fits(rec.Tenant, rec.ID); err != nil {
		return nil, err
	}
	p := &put{rec: rec, key: key2(rec.Tenant, rec.ID)}
	// What a buffer around the input costs in memory costs nothing here.
	p.bytes = int64(rec.Size() - cap(rec.Input) + len(rec.Input))
	own := make(map[string]bool, len(rec.ItemIDs))
	for _, id := range rec.ItemIDs {
		if err := fits(rec.Tenant, id); err != nil {
			return nil, err
		}
		if !own[id] {
			own[id] = true
			p.items = append(p.items, key3(rec.Tenant, id, nil))
		}
	}
	content := make([]byte, 0, 10+len(rec.Input)+len(rec.Response))
	content = binary.AppendUvarint(content, uint64(len(rec.Input)))
	content = append(append(content, rec.Input...), rec.Response...)
	p.frame = newFrame(p.key, stamp(rec.Expires), len(content)/2+256, func(v []byte) []byte {
		v = binary.AppendUvarint(v, uint64(p.bytes))
		v = appendName(v, rec.Parent)
		v = binary.AppendUvarint(v, uint64(len(rec.ItemIDs)))
		for _, id := range rec.ItemIDs {
			v = appendName(v, id)
		}
		created := stamp(rec.Created)
		v = append(v, created[:]...)
		v = binary.AppendUvarint(v, uint64(rec.Output[0]))
		v = binary.AppendUvarint(v, uint64(rec.Output[1]))
		return codec.Append(v, content)
	})
	return p, nil
}

// size is about what the record takes in the file.
func (p *put) size() int64 {
	n := len(p.frame.value) + 2*len(p.key) + 64
	for _, k := range p.items {
		n += len(k) + len(p.rec.ID) + 32
	}
	return int64(n)
}

// check is whether the id is free. What has expired is dropped for it.
func (p *put) check(w *writing) error {
	v := w.bucket(bRec).Get(p.key)
	switch {
	case v == nil:
		return nil
	case live(v, w.now):
		return store.ErrExists
	}
	w.counts.expired++
	return w.dropRecord(p.key, v)
}

// apply adds the record, whose id is free.
func (p *put) apply(w *writing) error {
	if e := stamp(p.rec.Expires); e == never || e.ended(w.now) {
		w.counts.expired++
		return nil
	}
	seq, err := w.bucket(bRec).NextSequence()
	if err != nil {
		return err
	}
	w.put(bRec, p.key, p.frame.seal(seq))
	for _, k := range p.items {
		w.put(bItem, binary.BigEndian.AppendUint64(bytes.Clone(k), newestFirst(seq)), []byte(p.rec.ID))
	}
	w.put(bExp, expKey(stamp(p.rec.Expires), 'r', p.key), nil)
	w.counts.Records++
	w.counts.Bytes += p.bytes
	return w.err
}

// expKey is the key of the index of ends.
func expKey(end stamped, what byte, key []byte) []byte {
	return append(append(append(make([]byte, 0, stampLen+1+len(key)), end[:]...), what), key...)
}

// dropRecord takes a record out, with its items.
func (w *writing) dropRecord(k, v []byte) error {
	p, err := payload(k, v)
	if err != nil {
		return w.s.corrupt(bRec, k, err)
	}
	r := reader{b: p}
	size := r.uvarint()
	r.bytes() // parent
	n := r.uvarint()
	tenant, ok := firstName(k)
	if r.bad || !ok || n > uint64(len(r.b)) {
		return w.s.corrupt(bRec, k, errPayload)
	}
	seq := newestFirst(number(v))
	var items [][]byte
	for range n {
		items = append(items, binary.BigEndian.AppendUint64(key3(tenant, string(r.bytes()), nil), seq))
	}
	if r.bad {
		return w.s.corrupt(bRec, k, errPayload)
	}
	e := end(v)
	k = bytes.Clone(k) // it may be the file's
	for _, item := range items {
		w.delete(bItem, item)
	}
	w.delete(bExp, expKey(e, 'r', k))
	w.delete(bRec, k)
	w.counts.Records--
	w.counts.Bytes -= int64(size)
	return w.err
}

// parentOf reads the parent alone. The rest is checked when the record is
// decoded.
func parentOf(v []byte) (string, error) {
	if len(v) < frameHead+frameCheck {
		return "", errShort
	}
	r := reader{b: v[frameHead:]}
	r.uvarint()
	parent := string(r.bytes())
	if r.bad {
		return "", errPayload
	}
	return parent, nil
}

// record decodes a value that was copied out of the file.
func (s *Store) record(tenant, id string, k, v []byte) (*store.Record, error) {
	rec, err := decodeRecord(tenant, id, k, v)
	if err != nil {
		return nil, s.corrupt(bRec, k, err)
	}
	return rec, nil
}

func decodeRecord(tenant, id string, k, v []byte) (*store.Record, error) {
	p, err := payload(k, v)
	if err != nil {
		return nil, err
	}
	r := reader{b: p}
	r.uvarint() // size
	// The caller's strings may be part of a request, and the record outlives it.
	name := string(append([]byte(tenant), id...))
	rec := &store.Record{
		Tenant: name[:len(tenant)], ID: name[len(tenant):],
		Parent: string(r.bytes()), Expires: end(v).time(),
	}
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		return nil, errPayload
	}
	for range n {
		rec.ItemIDs = append(rec.ItemIDs, string(r.bytes()))
	}
	rec.Created = r.time()
	rec.Output = [2]int{int(r.uvarint()), int(r.uvarint())}
	content, err := r.content()
	if err != nil {
		return nil, err
	}
	c := reader{b: content}
	if in := c.bytes(); len(in) > 0 {
		rec.Input = in
	}
	if len(c.b) > 0 {
		rec.Response = slices.Clip(c.b)
	}
	if c.bad || rec.Output[0] < 0 || rec.Output[0] > rec.Output[1] || rec.Output[1] > len(rec.Response) {
		return nil, errPayload
	}
	return rec, nil
}
