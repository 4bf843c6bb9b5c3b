package proxy

import "testing"

func TestSizeClass(t *testing.T) {
	last := -1
	for n := smallBuffer + 1; n <= largestBuffer; n += 509 {
		class, size := sizeClass(n)
		if size < n || size > n+n/4+1 || class < 0 || class >= len(bufferPools) {
			t.Fatalf("%d bytes: class %d of %d bytes", n, class, size)
		}
		if class < last || class > last+1 {
			t.Fatalf("%d bytes: class %d after %d", n, class, last)
		}
		last = class
		if again, same := sizeClass(size); again != class || same != size {
			t.Fatalf("a buffer of %d bytes is of class %d, not %d", size, again, class)
		}
	}
	if class, size := sizeClass(largestBuffer); size != largestBuffer {
		t.Errorf("class %d of %d bytes for the largest", class, size)
	}
}

func TestGrow(t *testing.T) {
	for _, n := range []int{1, smallBuffer, smallBuffer + 1, 66_000, largestBuffer, largestBuffer + 1} {
		b := grow(nil, n)
		if cap(b) < n || len(b) != 0 {
			t.Errorf("room for %d: %d of %d", n, len(b), cap(b))
		}
		kept := release(b)
		if (kept != nil) != (cap(b) <= smallBuffer) {
			t.Errorf("%d bytes: kept %v", n, kept != nil)
		}
		if again := grow(nil, n); cap(again) < n {
			t.Errorf("room for %d the second time: %d", n, cap(again))
		}
	}
	// What append has made must not be taken for more than it is.
	odd := make([]byte, 0, 20_000)
	release(odd)
	if b := grow(nil, 20_480); cap(b) < 20_480 {
		t.Errorf("a buffer of %d bytes for 20480", cap(b))
	}
}

func TestRoom(t *testing.T) {
	b := append(room(nil, 10), "begun"...)
	for _, n := range []int{1, 5000, smallBuffer, 3 * smallBuffer, largestBuffer} {
		was := cap(b)
		if b = room(b, n); cap(b)-len(b) < n || string(b) != "begun" {
			t.Errorf("room for %d: %d of %d, %q", n, len(b), cap(b), b)
		}
		if cap(b) != was && cap(b) < 2*was {
			t.Errorf("%d bytes became %d", was, cap(b))
		}
		if same := room(b, cap(b)-len(b)); &same[0] != &b[0] {
			t.Errorf("what has room was moved")
		}
	}
}

// TestLend: what was lent is used again, by those who need no more than it has.
func TestLend(t *testing.T) {
	if lend(nil) != nil {
		t.Error("something became of nothing")
	}
	b := append(make([]byte, 0, 3000), "old"...)
	if lend(b) != nil {
		t.Error("what is lent is still there")
	}
	if c := grow(nil, 2000); cap(c) < 2000 || len(c) != 0 {
		t.Errorf("room for 2000: %d of %d", len(c), cap(c))
	}
	lend(make([]byte, 0, 100))
	if c := grow(nil, 200); cap(c) < 200 {
		t.Errorf("room for 200: %d", cap(c))
	}
	lend(make([]byte, 0, 2*smallBuffer)) // has its own pool
}
