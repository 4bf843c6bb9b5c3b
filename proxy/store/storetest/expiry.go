package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// expiry: a record is there until just before Expires and absent from Expires
// on, for every method.
func expiry(e *env) {
	for i, life := range []time.Duration{1, time.Microsecond, time.Second, 90 * time.Minute, ttl} {
		id, item := fmt.Sprintf("resp_%d", i), fmt.Sprintf("item_%d", i)
		rec := until(e.record("t", id, "", item), e.clock.Now().Add(life))
		e.put(rec)
		e.clock.Advance(life - 1)
		e.wantGet(rec)
		e.wantChain(rec)
		e.wantItem(item, rec)
		if err := e.store.Put(e.ctx, e.record("t", id, "")); !errors.Is(err, store.ErrExists) {
			e.t.Errorf("life %v: Put just before the end: %v, want ErrExists", life, err)
		}

		e.clock.Advance(1)
		e.wantGone("t", id)
		e.wantNoItem("t", item)
		if err := e.store.Delete(e.ctx, "t", id); !errors.Is(err, store.ErrNotFound) {
			e.t.Errorf("life %v: Delete after the end: %v, want ErrNotFound", life, err)
		}

		// The id is free, and the new record has its own life and items.
		again := e.record("t", id, "", "item_new")
		e.put(again)
		e.wantGet(again)
		e.wantNoItem("t", item)
		e.wantItem("item_new", again)
		e.delete("t", id)
	}
}

// expiryOrder: every record ends at its own time, in whatever order they were
// put, while others are put and swept.
func expiryOrder(e *env) {
	const n = 97
	start := e.clock.Now()
	recs := make([]*store.Record, n)
	life := func(i int) time.Duration { return time.Duration(i*37%n+1) * time.Second } // each second once
	for i := range recs {
		recs[i] = until(e.record("t", fmt.Sprintf("resp_%d", i), "", fmt.Sprintf("item_%d", i)), start.Add(life(i)))
	}
	e.put(recs...)
	for sec := range n + 2 {
		if e.t.Failed() {
			return // what follows would say the same, thousands of times
		}
		for i, rec := range recs {
			if life(i) > time.Duration(sec)*time.Second {
				e.wantGet(rec)
				e.wantItem(rec.ItemIDs[0], rec)
			} else {
				e.wantGone("t", rec.ID)
				e.wantNoItem("t", rec.ItemIDs[0])
			}
		}
		e.put(e.record("t", fmt.Sprintf("resp_other_%d", sec), ""))
		if e.caps.Sweep != nil && sec%3 == 0 {
			e.caps.Sweep(e.store)
		}
		e.clock.Advance(time.Second)
	}
}

func expiryFarAndPast(e *env) {
	now := e.clock.Now()
	far := until(e.record("t", "resp_far", "", "item_far"), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	e.put(far)
	e.clock.Advance(200 * 365 * 24 * time.Hour)
	e.wantGet(far)
	e.wantItem("item_far", far)

	for i, past := range []time.Time{now, e.clock.Now(), e.clock.Now().Add(-1), {}, time.Unix(0, 0).UTC()} {
		id := fmt.Sprintf("resp_past_%d", i)
		e.put(until(e.record("t", id, "", "item_past"), past))
		e.wantGone("t", id)
		e.wantNoItem("t", "item_past")
	}

	// Such a Put does not get around ErrExists either.
	if err := e.store.Put(e.ctx, until(e.record("t", "resp_far", ""), now)); !errors.Is(err, store.ErrExists) {
		e.t.Errorf("Put of an expired record over a live one: %v, want ErrExists", err)
	}
	e.wantGet(far)
}
