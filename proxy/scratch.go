package proxy

import (
	"sync"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// scratch is the memory that a stream works in when its upstream has said something.
// Streams wait nearly all the time, and nearly all of them at the same time, so that
// a thousand of them need a handful.
type scratch struct {
	out    []byte       // in which events for the client are made
	memory jsonx.Memory // in which those of the upstream are parsed
	events sse.Scratch  // in which those are put together that come in pieces

	to     *inbound    // what has the memory and the scratch now, or nil
	reader replyReader // that of to when they were given
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

// outSize is what a stream writes at once, nearly always: flushAt, and what comes
// of the piece that goes beyond it.
const outSize = 80 << 10

// acquireScratch gives x.out room for n more bytes, and what reads a reply scratch buffers.
func (x *exchange) acquireScratch(in *inbound, n int) {
	if x.scratch == nil {
		x.scratch = scratchPool.Get().(*scratch) // the pool's only type
		if x.out == nil {
			x.out, x.scratch.out = x.scratch.out, nil
		}
	}
	x.scratch.give(in)
	switch {
	case cap(x.out)-len(x.out) >= n:
	case x.out == nil && n <= outSize:
		x.out = make([]byte, 0, outSize)
	default:
		x.out = room(x.out, n)
	}
}

// releaseScratch leaves the scratch buffers to other streams until the upstream has something at hand,
// unless there is something in them for the client.
func (x *exchange) releaseScratch() {
	if x.scratch == nil || len(x.out) > 0 {
		return
	}
	x.scratch.give(nil)
	if cap(x.out) == outSize {
		x.scratch.out = x.out
	} else {
		lend(x.out)
	}
	x.out = nil
	scratchPool.Put(x.scratch)
	x.scratch = nil
}

// give takes the memory back from whom it was given to, and gives it to in, or to
// nobody.
func (d *scratch) give(in *inbound) {
	if in == d.to {
		return
	}
	if d.to != nil {
		d.reader.Swap(&d.memory)
		d.to.events.Swap(&d.events)
	}
	if d.to, d.reader = in, nil; in != nil {
		d.reader = in.reader
		d.reader.Swap(&d.memory)
		in.events.Swap(&d.events)
	}
}
