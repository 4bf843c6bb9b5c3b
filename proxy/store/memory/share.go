package memory

// share is what of a tenant may be evicted, in the order of the last Put. It is
// small, because a tenant may have one record.
type share struct {
	oldest, newest *held
	bytes          int64 // Σ size
	at             int   // index in shares.heap
}

// shares finds whose oldest is to go: of the tenant that has most. While the
// budget is overdrawn that tenant has more than the budget divided by the number
// of tenants, so one that keeps to this loses nothing to others, and one that is
// alone may have everything. Under Store.mu.
type shares struct {
	tenants map[string]*share // that have something to evict
	heap    []*share          // the heaviest first
	bytes   int64             // Σ bytes
	age     uint32            // of what came last
	spare   *share            // of a tenant that has nothing any more
}

// push makes h the newest of its tenant.
func (l *shares) push(h *held) {
	t := l.of(h.what.owner())
	l.age++
	h.age, h.share = l.age, t
	if h.older = t.newest; h.older != nil {
		h.older.newer = h
	} else {
		t.oldest = h
	}
	t.newest = h
	l.bytes += h.size
	l.weigh(t, h.size)
}

// remove undoes push.
func (l *shares) remove(h *held) {
	t := h.share
	if h.older != nil {
		h.older.newer = h.newer
	} else {
		t.oldest = h.newer
	}
	if h.newer != nil {
		h.newer.older = h.older
	} else {
		t.newest = h.older
	}
	h.older, h.newer, h.share = nil, nil, nil
	l.bytes -= h.size
	if t.oldest == nil {
		l.leave(h.what.owner(), t)
		return
	}
	l.weigh(t, -h.size)
}

// heaviest is the oldest of the tenant that has most.
func (l *shares) heaviest() *held { return l.heap[0].oldest }

// of is the tenant's share, which is new if it has nothing yet.
func (l *shares) of(tenant string) *share {
	if n := l.heap; len(n) > 0 && n[0].newest.what.owner() == tenant { // who writes much has much
		return n[0]
	}
	t := l.tenants[tenant]
	if t == nil {
		if t, l.spare = l.spare, nil; t == nil {
			t = new(share)
		}
		*t = share{at: len(l.heap)}
		l.tenants[tenant] = t
		l.heap = append(l.heap, t)
	}
	return t
}

func (l *shares) leave(tenant string, t *share) {
	delete(l.tenants, tenant)
	end := len(l.heap) - 1
	last := l.heap[end]
	l.heap[end] = nil
	l.heap = l.heap[:end]
	if last != t {
		l.heap[t.at], last.at = last, t.at
		l.place(last)
	}
	*t = share{}
	l.spare = t
}

// weigh adds to what a tenant has, and puts it where it belongs then.
func (l *shares) weigh(t *share, bytes int64) {
	t.bytes += bytes
	if len(l.heap) > 1 {
		l.place(t)
	}
}

// before is whether a loses something before b does. Of two that have the same
// it is the one whose oldest is older.
func (a *share) before(b *share) bool {
	return a.bytes > b.bytes || a.bytes == b.bytes && int32(a.oldest.age-b.oldest.age) < 0
}

func (l *shares) place(t *share) {
	at := t.at
	for at > 0 && t.before(l.heap[(at-1)/2]) {
		at = l.swap(at, (at-1)/2)
	}
	for {
		child := 2*at + 1
		if child+1 < len(l.heap) && l.heap[child+1].before(l.heap[child]) {
			child++
		}
		if child >= len(l.heap) || !l.heap[child].before(t) {
			return
		}
		at = l.swap(at, child)
	}
}

// swap exchanges two places of the heap, and returns the second.
func (l *shares) swap(a, b int) int {
	l.heap[a], l.heap[b] = l.heap[b], l.heap[a]
	l.heap[a].at, l.heap[b].at = a, b
	return b
}
