package memory

// ageList has the entries in order of Put, for eviction.
type ageList struct{ oldest, newest *entry }

func (l *ageList) push(e *entry) {
	if e.older = l.newest; e.older != nil {
		e.older.newer = e
	} else {
		l.oldest = e
	}
	l.newest = e
}

func (l *ageList) remove(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		l.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		l.newest = e.older
	}
	e.older, e.newer = nil, nil
}

// dueHeap has the entries by expiry, the next one first. Age order is not
// enough: records choose their own end, and one long-lived record at the head
// of a queue would keep thousands of expired ones in memory.
//
// It is a heap of four children. With one TTL for all, as usual, push compares
// once and stops, and the time is kept beside the pointer so that moving down
// touches no entry that it does not move.
type dueHeap []dueSlot

type dueSlot struct {
	until int64
	entry *entry
}

const dueChildren = 4

func (h *dueHeap) push(e *entry, until int64) {
	*h = append(*h, dueSlot{})
	h.up(len(*h)-1, dueSlot{until, e})
}

func (h *dueHeap) remove(e *entry) {
	at, end := e.slot, len(*h)-1
	last := (*h)[end]
	(*h)[end] = dueSlot{} // or the array keeps the entry alive
	*h = (*h)[:end]
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
	s.entry.slot = at
}
