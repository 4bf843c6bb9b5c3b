package store

import "sync"

// epochTenants is how many tenants' epochs a generation has. Two generations
// of names with their numbers are some ten megabytes.
const epochTenants = 32 << 10

// Epochs counts deletions, for each tenant, in bounded memory: what Store.Epoch
// tells, for the backends of which only one process uses the data. Make one with
// NewEpochs.
//
// All epochs come from one counter: a tenant's epoch is the count at its last
// deletion. Tenants come and go (one may be no more than a credential that was
// tried once), so the names cannot be kept for ever; and a forgotten tenant
// must not fall back to an epoch that it had before a deletion. Hence a floor:
// the epoch of everyone who is not remembered, raised to the highest epoch that
// is being forgotten. For a tenant who did not delete, this is a change without
// a reason: it costs a derivation made again, once in epochTenants tenants that
// delete, and is safe.
//
// Names are forgotten a generation at a time: who deleted is in young; a full
// young becomes old, and the old before it is forgotten.
type Epochs struct {
	mu         sync.RWMutex
	limit      int    // names in a generation
	count      uint64 // deletions so far
	young, old map[string]uint64
	oldMax     uint64 // no epoch in old is higher
	floor      uint64 // who is in neither
}

// NewEpochs returns epochs in which nobody has deleted yet, and all epochs are
// at least from. A backend whose data survives the process must choose it above
// all epochs that it has told before.
func NewEpochs(from uint64) *Epochs { return newEpochs(from, epochTenants) }

func newEpochs(from uint64, limit int) *Epochs {
	return &Epochs{limit: limit, count: from, floor: from, oldMax: from, young: make(map[string]uint64)}
}

// Of is the tenant's epoch.
func (e *Epochs) Of(tenant string) uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if n, ok := e.young[tenant]; ok {
		return n
	}
	if n, ok := e.old[tenant]; ok {
		return n
	}
	return e.floor
}

// Bump gives the tenant an epoch that nobody had. It keeps the string.
func (e *Epochs) Bump(tenant string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	e.young[tenant] = e.count
	if len(e.young) < e.limit {
		return
	}
	e.floor = e.oldMax
	e.old, e.oldMax = e.young, e.count
	e.young = make(map[string]uint64)
}
