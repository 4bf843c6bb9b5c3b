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
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// outSize is what a stream writes at once, nearly always: flushAt, and what comes
// of the piece that goes beyond it.
const outSize = 80 << 10

// wake gives x.out room for n more bytes, and the stream a desk.
func (x *exchange) wake(n int) {
	if x.desk == nil {
		x.desk = desks.Get().(*desk) // the pool's only type
		if x.out == nil {
			x.out, x.desk.out = x.desk.out, nil
		}
		x.swapDesk()
	}
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
	x.swapDesk()
	if cap(x.out) == outSize {
		x.desk.out = x.out
	} else {
		lend(x.out)
	}
	x.out = nil
	desks.Put(x.desk)
	x.desk = nil
}

// swapDesk exchanges the memory of what reads the upstream for that of the desk.
func (x *exchange) swapDesk() {
	if f := x.front; f != nil {
		f.choices.Turn(0).Swap(&x.desk.memory)
		f.replies[0].events.Swap(&x.desk.scratch)
		return
	}
	x.reader.Swap(&x.desk.memory)
	x.events.Swap(&x.desk.scratch)
}
