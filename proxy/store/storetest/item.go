package storetest

import "time"

func items(e *env) {
	first := e.record("t", "resp_1", "", "item_1", "item_both")
	second := e.record("t", "resp_2", "resp_1", "item_both", "item_2")
	bare := e.record("t", "resp_3", "resp_2")
	e.put(first)
	e.wantItem("item_both", first)
	e.put(second, bare)

	e.wantItem("item_1", first)
	e.wantItem("item_2", second)
	e.wantItem("item_both", second) // the newest wins
	e.wantNoItem("t", "item_3")

	// Records and items are separate name spaces.
	named := e.record("t", "resp_named", "", "resp_absent", "resp_1")
	e.put(named)
	e.wantGone("t", "resp_absent")
	e.wantGet(first)
	e.wantItem("resp_1", named)
	e.wantNoItem("t", "resp_named")
	e.wantNoItem("t", "resp_2")

	// Newest is the last put, whatever the records say of their creation.
	older := e.record("t", "resp_4", "", "item_1")
	older.Created = older.Created.Add(-time.Hour)
	e.put(older)
	e.wantItem("item_1", older)
}

// itemFallback: when a holder goes, by whatever way, the next newest is found.
func itemFallback(e *env) {
	now := e.clock.Now()
	a := e.record("t", "resp_a", "", "item")
	b := until(e.record("t", "resp_b", "", "item", "item"), now.Add(3*time.Minute))
	c := e.record("t", "resp_c", "", "item")
	d := until(e.record("t", "resp_d", "", "item"), now.Add(time.Minute))
	f := e.record("t", "resp_f", "", "item")
	e.put(a, b, c, d, f)
	e.wantItem("item", f)

	e.delete("t", "resp_f")
	e.wantItem("item", d)
	e.clock.Advance(time.Minute) // d ends
	e.wantItem("item", c)
	e.delete("t", "resp_a") // one that was not visible
	e.wantItem("item", c)
	e.delete("t", "resp_c")
	e.wantItem("item", b)

	again := e.record("t", "resp_a", "", "item")
	e.put(again)
	e.wantItem("item", again)
	e.clock.Advance(2 * time.Minute) // b ends, in the middle
	e.wantItem("item", again)
	e.delete("t", "resp_a")
	e.wantNoItem("t", "item")
}
