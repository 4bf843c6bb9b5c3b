package proxy

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// waitingRun is a background response that waits, as far as this process knows.
type waitingRun struct {
	tenant string
	since  time.Time
}

// mayWait reports whether one more response of a tenant may wait: no tenant fills
// more of the queue than its share, so that there is a place for others. Under
// rs.mu.
func (rs *runs) mayWait(tenant string, room int) bool {
	own := rs.reservedBy[tenant]
	for _, w := range rs.waiting {
		if w.tenant == tenant {
			own++
		}
	}
	share := rs.server.cfg.Background.TenantShare
	return own < (room*share+99)/100
}

// fairly puts jobs in the order in which they are to be begun: a tenant's in the
// order in which they came, and of different tenants' the one whose tenant has
// fewer that are being made or come before; of equals, that of the tenant whose
// turn was longer ago.
func (rs *runs) fairly(jobs []*job) {
	rs.mu.Lock()
	turn := make(map[string]int, len(rs.active))
	for _, r := range rs.active {
		turn[r.tenant]++
	}
	last := make(map[string]uint64, len(rs.begun))
	for _, j := range jobs {
		if at, ok := rs.begun[j.Tenant]; ok {
			last[j.Tenant] = at
		}
	}
	rs.begun = last // of tenants that wait for nothing, nothing is kept
	order := maps.Clone(last)
	rs.mu.Unlock()
	place := make(map[*job]int, len(jobs))
	for _, j := range jobs { // oldest first
		place[j] = turn[j.Tenant]
		turn[j.Tenant]++
	}
	slices.SortStableFunc(jobs, func(a, b *job) int {
		return cmp.Or(place[a]-place[b], cmp.Compare(order[a.Tenant], order[b.Tenant]))
	})
}

// begins notes that a tenant has its turn. Under rs.mu.
func (rs *runs) begins(tenant string) {
	rs.turn++
	rs.begun[tenant] = rs.turn
}
