package proxy

import (
	"sync"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// desk is the memory that a stream works in when its upstream has said something.
// Streams wait nearly all the time, and nearly all of them at the same time, so that
// a thousand of them need a handful.
type desk struct {
	out     []byte       // in which events for the client are made
	memory  jsonx.Memory // in which those of the upstream are parsed
	scratch sse.Scratch  // in which those are put together that come in pieces

	to     *inbound    // what has the memory and the scratch now, or nil
	reader replyReader // that of to when they were given
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// outSize is what a stream writes at once, nearly always: flushAt, and what comes
// of the piece that goes beyond it.
const outSize = 80 << 10

// wake gives x.out room for n more bytes, and what reads a reply a desk.
func (x *exchange) wake(in *inbound, n int) {
	if x.desk == nil {
		x.desk = desks.Get().(*desk) // the pool's only type
		if x.out == nil {
			x.out, x.desk.out = x.desk.out, nil
		}
	}
	x.desk.give(in)
	switch {
	case cap(x.out)-len(x.out) >= n:
	case x.out == nil && n <= outSize:
		x.out = make([]byte, 0, outSize)
	default:
		x.out = room(x.out, n)
	}
}

// rest leaves the desk to other streams until the upstream has something at hand,
// unless there is something on it for the client.
func (x *exchange) rest() {
	if x.desk == nil || len(x.out) > 0 {
		return
	}
	x.desk.give(nil)
	if cap(x.out) == outSize {
		x.desk.out = x.out
	} else {
		lend(x.out)
	}
	x.out = nil
	desks.Put(x.desk)
	x.desk = nil
}

// give takes the memory back from whom it was given to, and gives it to in, or to
// nobody.
func (d *desk) give(in *inbound) {
	if in == d.to {
		return
	}
	if d.to != nil {
		d.reader.Swap(&d.memory)
		d.to.events.Swap(&d.scratch)
	}
	if d.to, d.reader = in, nil; in != nil {
		d.reader = in.reader
		d.reader.Swap(&d.memory)
		in.events.Swap(&d.scratch)
	}
}
