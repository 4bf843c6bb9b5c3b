package memory

import "sync"

// shardCount is a power of two, well above the number of cores that anyone
// runs a proxy on, so that two readers seldom touch the same lock.
const (
	shardBits  = 7
	shardCount = 1 << shardBits
)

// shard is a part of the index: a hash table with linear probing.
//
// It does what a map[uint64]*place does, at half the price: the place knows its
// hash, which is random already, and a new name is looked for and put at the
// same slot. Put and eviction are little else than adding and removing places;
// it is what keeps them within a microsecond.
//
// Only a holder of Store.mu changes a shard, and takes the shard's lock as well
// to do so. Hence a writer may read without it.
type shard struct {
	sync.RWMutex
	slots []slot // a power of two, never full
	used  int

	_ [64 - 56]byte // a cache line each
}

// slot has the list of places with that hash, the newest first. The hash is
// here too because a probe that had to ask the place would wait for memory.
type slot struct {
	hash   uint64
	newest *place // nil: a free slot
}

func (sh *shard) init() { sh.slots = make([]slot, 4) }

// home is where a hash would like to be. The low bits have chosen the shard.
func (sh *shard) home(hash uint64) int { return int(hash>>shardBits) & (len(sh.slots) - 1) }

func (sh *shard) after(i int) int { return (i + 1) & (len(sh.slots) - 1) }

// find is the slot of a hash, or else the free one where it belongs.
func (sh *shard) find(hash uint64) *slot {
	i := sh.home(hash)
	for sh.slots[i].newest != nil && sh.slots[i].hash != hash {
		i = sh.after(i)
	}
	return &sh.slots[i]
}

// newest is the first of the list of that hash, or nil.
func (sh *shard) newest(hash uint64) *place { return sh.find(hash).newest }

// add puts p before all others of its hash.
func (sh *shard) add(p *place) {
	sh.Lock()
	defer sh.Unlock()
	at := sh.find(p.hash)
	if at.newest != nil {
		p.older, at.newest.newer = at.newest, p
		at.newest = p
		return
	}
	*at = slot{p.hash, p}
	if sh.used++; sh.used > len(sh.slots)/4*3 {
		sh.grow()
	}
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
		sh.find(p.hash).newest = p.older
	default:
		sh.free(p.hash)
	}
}

// free frees the slot of a hash, and moves up those behind it that would not be
// found any more.
func (sh *shard) free(hash uint64) {
	mask := len(sh.slots) - 1
	hole := sh.home(hash)
	for sh.slots[hole].hash != hash {
		hole = sh.after(hole)
	}
	for i := sh.after(hole); sh.slots[i].newest != nil; i = sh.after(i) {
		// Only one whose home is not between the hole and itself.
		if (i-sh.home(sh.slots[i].hash))&mask >= (i-hole)&mask {
			sh.slots[hole] = sh.slots[i]
			hole = i
		}
	}
	sh.slots[hole] = slot{}
	sh.used--
}

// grow doubles the slots. They never shrink: what they can come to is bounded
// by the budget, like the records.
func (sh *shard) grow() {
	old := sh.slots
	sh.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.newest != nil {
			*sh.find(s.hash) = s
		}
	}
}
