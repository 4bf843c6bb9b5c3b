package memory

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"antiphon/proxy/store"
)

// shardCount is a power of two, well above the number of cores that anyone
// runs a proxy on, so that two readers seldom touch the same lock.
const shardCount = 128

// entry is a record and its places in the index. Fields without a word on
// locking never change. What a reader needs comes first, in one cache line.
type entry struct {
	self    place // where it is found by id
	expires int64 // Unix nanoseconds

	// live is whether the record is there, for every reader at the same
	// instant. It goes up once and down once.
	live atomic.Bool

	slot int32 // index in the due heap; Store.mu
	rec  *store.Record

	items        []place // where it is found by item, one for each of rec.ItemIDs
	size         int64
	older, newer *entry // age list; Store.mu
}

// place is one name of a record in the index. Records that hold the same item
// have places in one list, the newest first.
type place struct {
	entry        *entry
	name         string
	older, newer *place // the lock of the shard
	hash         uint64
}

func (e *entry) expired(now int64) bool { return e.expires <= now }

// seen is whether a reader may have the record.
func (e *entry) seen(now int64) bool { return e.live.Load() && !e.expired(now) }

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
//
// Its maps have hashes for keys, and every place remembers its own. With the
// names as keys each step in a map would have to fetch strings from all over
// the heap, which is most of what a Put costs; so an eviction reads none at
// all. Two names with the same hash share a list, and readers compare.
type index struct {
	records, items maphash.Seed // apart, so that item ids cannot crowd record ids
	mask           uint64       // all ones; tests narrow it to make names collide
	shards         [shardCount]shard
}

// shard is a part of the index. Only a holder of Store.mu changes it, and takes
// the shard's lock as well to do so. Hence a writer may read without it.
type shard struct {
	sync.RWMutex
	places map[uint64]*place // the newest

	_ [64 - 32]byte // a cache line each
}

func (x *index) init() {
	x.records, x.items = maphash.MakeSeed(), maphash.MakeSeed()
	x.mask = math.MaxUint64
	for i := range x.shards {
		x.shards[i].places = make(map[uint64]*place)
	}
}

func (x *index) shard(hash uint64) *shard { return &x.shards[hash%shardCount] }

// newEntry makes an entry that is in the index nowhere yet.
func (x *index) newEntry(rec *store.Record) *entry {
	e := &entry{rec: rec, size: int64(rec.Size()), expires: unixNano(rec.Expires)}
	e.self = place{entry: e, name: rec.ID, hash: x.recordHash(key{rec.Tenant, rec.ID})}
	if len(rec.ItemIDs) > 0 {
		e.items = make([]place, len(rec.ItemIDs))
	}
	for i, id := range rec.ItemIDs {
		e.items[i] = place{entry: e, name: id, hash: x.itemHash(key{rec.Tenant, id})}
	}
	return e
}

func (x *index) recordHash(k key) uint64 { return maphash.Comparable(x.records, k) & x.mask }
func (x *index) itemHash(k key) uint64   { return maphash.Comparable(x.items, k) & x.mask }

// record is the entry with that id, which may be dead or expired.
func (x *index) record(k key) *entry { return x.hashed(x.recordHash(k), k) }

func (x *index) hashed(hash uint64, k key) *entry {
	sh := x.shard(hash)
	sh.RLock()
	p := sh.places[hash]
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
	for p := sh.places[hash]; p != nil; p = p.older {
		if p.ofItem() && p.entry.seen(now) && p.is(k) {
			return p.entry.rec
		}
	}
	return nil
}

// add makes an entry findable by all its names.
func (x *index) add(e *entry) {
	x.shard(e.self.hash).add(&e.self)
	for i := range e.items {
		x.shard(e.items[i].hash).add(&e.items[i])
	}
}

func (x *index) remove(e *entry) {
	x.shard(e.self.hash).remove(&e.self)
	for i := range e.items {
		x.shard(e.items[i].hash).remove(&e.items[i])
	}
}

// add puts p before all others of its hash.
func (sh *shard) add(p *place) {
	sh.Lock()
	defer sh.Unlock()
	if p.older = sh.places[p.hash]; p.older != nil {
		p.older.newer = p
	}
	sh.places[p.hash] = p
}

// remove takes p out of its list, wherever in it it is.
func (sh *shard) remove(p *place) {
	sh.Lock()
	defer sh.Unlock()
	if p.older != nil {
		p.older.newer = p.newer
	}
	switch {
	case p.newer != nil:
		p.newer.older = p.older
	case p.older != nil:
		sh.places[p.hash] = p.older
	default:
		delete(sh.places, p.hash)
	}
}
