package memory

import (
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// entry is a record and its places in the index. Fields without a word on
// locking never change. What readers compare comes first, in one cache line.
type entry struct {
	self place // where it is found by id

	// until is when the record ends (Unix nanoseconds) while it is in the store,
	// and absent before and after. Readers need no more than this to know
	// whether it is there, and all of them learn of a change at once.
	until atomic.Int64

	rec   *store.Record
	items []place // where it is found by item, one for each of rec.ItemIDs

	held // Store.mu
}

const absent = math.MinInt64

// seen is whether the record is there, as of now.
func (e *entry) seen(now int64) bool { return now < e.until.Load() }

// place is one name of a record in the index. Places whose names have the same
// hash are in one list, the newest first: those of an item that several records
// hold, and, once in an age, names that have nothing in common.
type place struct {
	entry        *entry
	name         string
	hash         uint64
	older, newer *place // the lock of the shard
}

// key names a record or an item. Two fields instead of one joined string: no
// separator can be forged, and looking up allocates nothing.
type key struct{ tenant, name string }

func (p *place) is(k key) bool { return p.name == k.name && p.entry.rec.Tenant == k.tenant }

// ofItem is whether this is the place of an item, not of the record's own id.
func (p *place) ofItem() bool { return p != &p.entry.self }

// unixNano is t.UnixNano where that is defined and else as far as it goes: the
// zero time is long past, and the year 9999 far off.
func unixNano(t time.Time) int64 {
	const second = int64(time.Second)
	switch sec := t.Unix(); {
	case sec >= math.MaxInt64/second:
		return math.MaxInt64
	case sec <= math.MinInt64/second:
		return math.MinInt64
	}
	return t.UnixNano()
}

// index finds places by name.
type index struct {
	records, items maphash.Seed // apart, so that item ids cannot crowd record ids
	mask           uint64       // all ones; tests narrow it to make names collide
	shards         [shardCount]shard
}

func (x *index) init() {
	x.records, x.items = maphash.MakeSeed(), maphash.MakeSeed()
	x.mask = math.MaxUint64
	for i := range x.shards {
		x.shards[i].init()
	}
}

func (x *index) shard(hash uint64) *shard { return &x.shards[hash%shardCount] }

func (x *index) recordHash(k key) uint64 { return maphash.Comparable(x.records, k) & x.mask }
func (x *index) itemHash(k key) uint64   { return maphash.Comparable(x.items, k) & x.mask }

// newEntry makes an entry that is in the index nowhere yet.
func (x *index) newEntry(rec *store.Record) *entry {
	e := &entry{rec: rec, held: held{slot: -1, size: int64(rec.Size())}}
	e.what = e
	e.until.Store(absent)
	e.self = place{entry: e, name: rec.ID, hash: x.recordHash(key{rec.Tenant, rec.ID})}
	if len(rec.ItemIDs) > 0 {
		e.items = make([]place, len(rec.ItemIDs))
	}
	for i, id := range rec.ItemIDs {
		e.items[i] = place{entry: e, name: id, hash: x.itemHash(key{rec.Tenant, id})}
	}
	return e
}

// record is the entry with that id, whether or not it is to be seen.
func (x *index) record(k key) *entry { return x.hashed(x.recordHash(k), k) }

func (x *index) hashed(hash uint64, k key) *entry {
	sh := x.shard(hash)
	sh.RLock()
	p := sh.newest(hash)
	for p != nil && (p.ofItem() || !p.is(k)) {
		p = p.older
	}
	sh.RUnlock()
	if p == nil {
		return nil
	}
	return p.entry
}

// holder is the newest record with that item, among those to be seen.
func (x *index) holder(k key, now int64) *store.Record {
	hash := x.itemHash(k)
	sh := x.shard(hash)
	sh.RLock()
	defer sh.RUnlock()
	for p := sh.newest(hash); p != nil; p = p.older {
		if p.ofItem() && p.entry.seen(now) && p.is(k) {
			return p.entry.rec
		}
	}
	return nil
}

// add makes an entry findable by all its names, once it is to be seen. Under
// Store.mu, like remove.
func (x *index) add(e *entry) {
	x.shard(e.self.hash).add(&e.self)
	for i := range e.items {
		x.shard(e.items[i].hash).add(&e.items[i])
	}
}

// show lets readers see entries that were added, all at one instant: as long as
// one of them is not to be seen, none can be looked up. Under Store.mu.
func (x *index) show(entries []*entry, until func(*entry) int64) {
	if len(entries) == 1 {
		entries[0].until.Store(until(entries[0]))
		return
	}
	var locks [shardCount]bool
	for _, e := range entries {
		locks[e.self.hash%shardCount] = true
		for i := range e.items {
			locks[e.items[i].hash%shardCount] = true
		}
	}
	for i, lock := range locks {
		if lock {
			x.shards[i].Lock()
		}
	}
	for _, e := range entries {
		e.until.Store(until(e))
	}
	for i, lock := range locks {
		if lock {
			x.shards[i].Unlock()
		}
	}
}

// remove undoes add.
func (x *index) remove(e *entry) {
	x.shard(e.self.hash).remove(&e.self)
	for i := range e.items {
		x.shard(e.items[i].hash).remove(&e.items[i])
	}
}
