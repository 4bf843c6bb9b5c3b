package store

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestEpochsAreBounded: however many tenants delete, few are remembered, and
// no tenant ever falls back.
func TestEpochsAreBounded(t *testing.T) {
	const limit, tenants = 8, 1000
	e := newEpochs(7, limit)
	last := make(map[string]uint64)
	for i := range tenants {
		last[strconv.Itoa(i)] = 7
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	spurious := 0
	for range 20_000 {
		tenant := strconv.Itoa(rnd.IntN(tenants))
		if rnd.IntN(4) == 0 {
			tenant = strconv.Itoa(rnd.IntN(3)) // some delete all the time
		}
		if got := e.Of(tenant); got < last[tenant] {
			t.Fatalf("tenant %s fell back from %d to %d", tenant, last[tenant], got)
		} else if got != last[tenant] {
			spurious++
		}
		before := e.Of(tenant)
		e.Bump(tenant)
		if last[tenant] = e.Of(tenant); last[tenant] <= before {
			t.Fatalf("a deletion took tenant %s from %d to %d", tenant, before, last[tenant])
		}
		if n := len(e.young) + len(e.old); n > 2*limit {
			t.Fatalf("%d tenants are remembered", n)
		}
	}
	if spurious == 0 {
		t.Error("nobody was forgotten: this proves nothing")
	}
}
