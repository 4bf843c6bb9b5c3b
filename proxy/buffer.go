package proxy

import (
	"math/bits"
	"sync"
)

// Buffers for request and reply bodies. Small ones stay with their exchange;
// large ones are shared by all exchanges, by size, so that a server that sees a
// large body now and then does not keep one for each connection, and one that
// sees many does not make a new one for each.

const (
	// smallBuffer is what an exchange may keep for its next request.
	smallBuffer = 16 << 10
	// largestClass is the largest buffer that is kept at all: 8 MiB.
	largestClass = 23
	classes      = largestClass + 1
)

var bufferPools [classes]sync.Pool

// grow returns a buffer with room for n bytes: b if it has it, else one from the
// pool. The bytes of b are not kept.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:0]
	}
	release(b)
	if n <= smallBuffer {
		return make([]byte, 0, max(n, 1<<10))
	}
	class := bits.Len(uint(n - 1)) //nolint:gosec // n is over 16 KiB
	if class >= classes {
		return make([]byte, 0, n)
	}
	if p, ok := bufferPools[class].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// release gives a large buffer back. It returns what the owner may keep: b if it
// is small, else nil.
func release(b []byte) []byte {
	if cap(b) <= smallBuffer {
		return b[:0]
	}
	if class := bits.Len(uint(cap(b))) - 1; class < classes { //nolint:gosec // a capacity is not negative
		b = b[:0]
		bufferPools[class].Put(&b)
	}
	return nil
}
