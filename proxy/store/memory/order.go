package memory

// held is what the budget and the clock know of what the store holds: a record,
// a document, a log. Under Store.mu.
type held struct {
	older, newer *held  // age list of the share
	share        *share // what it may be evicted from; nil: it may not be now
	slot         int32  // index in the due heap; -1: it never expires
	age          uint32 // when it came into the age list; it may wrap around
	size         int64
	what         thing // nil once it is out of the store
}

// thing is what a held is part of.
type thing interface {
	// owner is the tenant, a string that stays.
	owner() string
	// drop takes the thing out of the store.
	drop(s *Store)
	// evict drops it, and what must not stay behind without it.
	evict(s *Store)
}

// dueHeap has what can expire, the next one first. Age order is not
// enough: records choose their own end, and one long-lived record at the head
// of a queue would keep thousands of expired ones in memory.
//
// It is a heap of four children. With one TTL for all, as usual, push compares
// once and stops, and the time is kept beside the pointer so that moving down
// touches no entry that it does not move.
type dueHeap []dueSlot

type dueSlot struct {
	until int64
	held  *held
}

const dueChildren = 4

func (h *dueHeap) push(e *held, until int64) {
	*h = append(*h, dueSlot{})
	h.up(len(*h)-1, dueSlot{until, e})
}

func (h *dueHeap) remove(e *held) {
	at, end := int(e.slot), len(*h)-1
	last := (*h)[end]
	(*h)[end] = dueSlot{} // or the array keeps it alive
	*h = (*h)[:end]
	e.slot = -1
	if at == end {
		return
	}
	if at > 0 && last.until < (*h)[(at-1)/dueChildren].until {
		h.up(at, last)
	} else {
		h.down(at, last)
	}
}

// up puts s at index at or, as long as the parent is later, above.
func (h dueHeap) up(at int, s dueSlot) {
	for at > 0 {
		parent := (at - 1) / dueChildren
		if h[parent].until <= s.until {
			break
		}
		h.set(at, h[parent])
		at = parent
	}
	h.set(at, s)
}

// down puts s at index at or, as long as a child is sooner, below.
func (h dueHeap) down(at int, s dueSlot) {
	for {
		child := dueChildren*at + 1
		if child >= len(h) {
			break
		}
		for c := child + 1; c < min(dueChildren*at+1+dueChildren, len(h)); c++ {
			if h[c].until < h[child].until {
				child = c
			}
		}
		if h[child].until >= s.until {
			break
		}
		h.set(at, h[child])
		at = child
	}
	h.set(at, s)
}

func (h dueHeap) set(at int, s dueSlot) {
	h[at] = s
	s.held.slot = int32(at)
}
