// Package codec is how the durable backends write values: as they are, or
// compressed with zstd when they are longer than 1 KB and it helps.
//
// A value is one byte that says which, and the content. Both come from us, but
// they come back from a disk or over a network: Decode trusts nothing.
package codec

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// What the first byte says.
const (
	plain      = 0
	compressed = 1
)

const (
	// threshold is the length from which on compression is tried. Shorter values
	// gain little and would pay the frame's header and the time.
	threshold = 1 << 10
	// maxDecoded bounds what a damaged or forged value can make us allocate. It
	// is what Redis allows for a value, and more than any limit on bodies.
	maxDecoded = 512 << 20
)

// ErrCorrupt is returned by Decode for what Append has not written.
var ErrCorrupt = fmt.Errorf("%w: a stored value is not as it was written", store.ErrDamaged)

// Both are made when first needed, keep no goroutines, and may be used by any
// number of callers. Frames carry a checksum.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // the options are constant
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDecoded), zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// Append appends the value p to dst.
func Append(dst, p []byte) []byte {
	if len(p) > threshold {
		from := len(dst)
		dst = encoder().EncodeAll(p, append(dst, compressed))
		if len(dst)-from <= len(p) {
			return dst
		}
		dst = dst[:from]
	}
	return append(append(dst, plain), p...)
}

// Decode is the value that Append has written. It aliases b if the value is not
// compressed. ErrCorrupt.
func Decode(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
		return nil, ErrCorrupt
	case b[0] == plain:
		return b[1:], nil
	case b[0] != compressed || len(b) == 1: // zstd takes nothing for a value of nothing
		return nil, ErrCorrupt
	}
	p, err := decoder().DecodeAll(b[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}
