package memory

import "sync"

// epochTenants is how many tenants' epochs a generation has. Two generations
// of names with their numbers are some ten megabytes.
const epochTenants = 32 << 10

// epochs counts deletions, for each tenant, in bounded memory.
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
type epochs struct {
	mu         sync.RWMutex
	limit      int    // names in a generation
	count      uint64 // deletions so far
	young, old map[string]uint64
	oldMax     uint64 // no epoch in old is higher
	floor      uint64 // who is in neither
}

func (e *epochs) init(limit int) {
	e.limit = limit
	e.young = make(map[string]uint64)
}

// of is the tenant's epoch.
func (e *epochs) of(tenant string) uint64 {
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

// bump gives the tenant an epoch that nobody had. It keeps the string.
func (e *epochs) bump(tenant string) {
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
