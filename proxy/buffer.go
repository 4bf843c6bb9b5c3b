package proxy

import (
	"math/bits"
	"sync"
)

// Buffers for request and reply bodies. Small ones stay with their exchange, but
// for a stream that waits, which lends them to others: a thousand streams wait
// nearly all the time. Large ones are shared by all exchanges, by size, so that a
// server that sees a large body now and then does not keep one for each
// connection, and one that sees many does not make a new one for each.

const (
	// smallBuffer is what an exchange may keep for its next request.
	smallBuffer = 16 << 10
	// largestBuffer is the largest that is kept at all.
	largestBuffer = 8 << 20
)

// Sizes go up in quarters of a power of two, so that a buffer is at most a
// quarter larger than what it was made for.
var bufferPools [4 * 16]bufferPool

// lent are the small buffers of requests that have been sent.
var lent bufferPool

// bufferPool is a pool of buffers.
type bufferPool struct{ pool sync.Pool }

// box is what a buffer is in while it is in a pool, so that its slice is not
// allocated each time.
type box struct{ b []byte }

var boxes = sync.Pool{New: func() any { return new(box) }}

func (p *bufferPool) put(b []byte) {
	full := boxes.Get().(*box) // the pool's only type
	full.b = b[:0]
	p.pool.Put(full)
}

// get returns an empty buffer, or nil.
func (p *bufferPool) get() []byte {
	full, ok := p.pool.Get().(*box)
	if !ok {
		return nil
	}
	b := full.b
	full.b = nil
	boxes.Put(full)
	return b
}

// sizeClass returns the smallest class whose buffers hold n bytes, and their
// size. n must be over smallBuffer and at most largestBuffer.
func sizeClass(n int) (class, size int) {
	power := bits.Len(uint(n-1)) - 1                // n is positive
	quarter := 1 << (power - 2)                     // n is over 1<<power
	steps := (n - 1<<power + quarter - 1) / quarter // 1 to 4
	return 4*(power-bits.Len(smallBuffer)+1) + steps - 1, 1<<power + steps*quarter
}

// grow returns a buffer with room for n bytes: b if it has it, else one from the
// pool. The bytes of b are not kept.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:0]
	}
	release(b)
	switch {
	case n <= smallBuffer:
		if b := lent.get(); cap(b) >= n {
			return b
		}
		return make([]byte, 0, max(n, 1<<10))
	case n > largestBuffer:
		return make([]byte, 0, n)
	}
	class, size := sizeClass(n)
	if b := bufferPools[class].get(); b != nil {
		return b
	}
	return make([]byte, 0, size)
}

// room returns b with room for n more bytes, and its contents. What append would
// throw away on its way to a large buffer comes from the pool, and goes back.
func room(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	more := append(grow(nil, max(len(b)+n, 2*cap(b))), b...)
	release(b)
	return more
}

// eventRoom is what the events for a piece of a reply take, nearly always.
func eventRoom(piece []byte) int { return 3*len(piece) + 1<<10 }

// release gives a large buffer back. It returns what the owner may keep: b if it
// is small, else nil.
func release(b []byte) []byte {
	switch {
	case cap(b) <= smallBuffer:
		return b[:0]
	case cap(b) > largestBuffer:
		return nil
	}
	// One that append has made may lie between two sizes: it serves the smaller.
	class, size := sizeClass(cap(b))
	if cap(b) < size {
		class--
	}
	if class >= 0 {
		bufferPools[class].put(b)
	}
	return nil
}

// lend gives any buffer away until grow or room are asked for one. It returns what
// the owner has left, which is nothing.
func lend(b []byte) []byte { //nolint:unparam // callers assign it, as they do with release
	if b = release(b); cap(b) > 0 {
		lent.put(b)
	}
	return nil
}
