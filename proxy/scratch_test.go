package proxy

import (
	"testing"
)

// TestScratch: a stream that waits has no scratch buffers, unless there is something in them.
func TestScratch(t *testing.T) {
	var x exchange
	x.in.begin(&x.up, chatReader{&x.ownTurn})
	x.releaseScratch()
	x.acquireScratch(&x.in, 10)
	if x.scratch == nil || cap(x.out) != outSize {
		t.Errorf("a buffer of %d bytes", cap(x.out))
	}
	x.out = append(x.out, "event"...)
	if x.releaseScratch(); string(x.out) != "event" || x.scratch == nil {
		t.Errorf("%q is left", x.out)
	}
	x.acquireScratch(&x.in, 2*outSize)
	if cap(x.out) < 2*outSize || string(x.out) != "event" {
		t.Errorf("room for %d: %d, %q", 2*outSize, cap(x.out), x.out)
	}
	x.out = x.out[:0]
	if x.releaseScratch(); x.out != nil || x.scratch != nil {
		t.Error("it is still there")
	}

	// What the upstream has begun to say stays.
	x.acquireScratch(&x.in, 10)
	x.in.events.Feed([]byte("data: half"))
	if _, ok := x.in.events.Next(); ok {
		t.Error("half an event is an event")
	}
	x.releaseScratch()
	var other exchange
	other.in.begin(&other.up, chatReader{&other.ownTurn})
	other.acquireScratch(&other.in, 10)
	other.in.events.Feed([]byte("data: another's"))
	_, _ = other.in.events.Next()
	x.acquireScratch(&x.in, 10)
	x.in.events.Feed([]byte(" and half\n\n"))
	if e, ok := x.in.events.Next(); !ok || string(e.Data) != "half and half" {
		t.Errorf("%q, %v", e.Data, ok)
	}
	x.releaseScratch()
	other.releaseScratch()
}
