package proxy

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/translate"
)

// All requests in flight share one budget of memory, limits.memory: their bodies, what
// is sent to upstreams, replies, the text that a turn holds, and events that a client
// has not read. Each exchange holds a share of it, which it brings up to date when its
// buffers have grown by a large step: atomics are touched then, and not for each event.
//
// New requests are refused a little before the budget is spent, so that those that are
// being served can come to their end. One that grows beyond it ends with an error: a
// request with 503, a stream with its terminal event.

const (
	// shareBase is what any exchange counts for.
	shareBase = 16 << 10
	// shareStep is how much a share must be off before it is brought up to date.
	shareStep = 64 << 10
	// turnCopies is how many times the memory holds what a turn does by the time that
	// the response is stored: see translate.Turn.Held.
	turnCopies = 4
)

// memoryBudget is what all exchanges may hold. Its zero value has no bound.
type memoryBudget struct {
	most    int64
	used    atomic.Int64
	ending  atomic.Pointer[exchange] // whose reply is being ended, until it has given its share back
	warned  atomic.Int64             // when, in Unix seconds
	metrics *metrics.Metrics
	log     *zap.Logger
}

// full reports whether no new request is taken.
func (b *memoryBudget) full() bool {
	return b.most > 0 && b.used.Load() > b.most-b.most/8
}

// change adds to what is held. It fails if that would be more than the budget.
func (b *memoryBudget) change(by int64) bool {
	if used := b.used.Add(by); by > 0 && b.most > 0 && used > b.most {
		b.used.Add(-by)
		return false
	}
	return true
}

// Why something was refused for want of memory.
const (
	memoryRequest = metrics.MemoryRequest // before anything of it was taken in
	memoryBody    = metrics.MemoryBody    // while its body came or was translated
	memoryReply   = metrics.MemoryReply   // while it was answered
)

// spent counts and logs that something was refused, and returns what its client is told.
func (b *memoryBudget) spent(what int) *translate.Error {
	b.metrics.MemoryRefused[what].Add(1)
	now, last := time.Now().Unix(), b.warned.Load()
	if now-last >= 60 && b.warned.CompareAndSwap(last, now) {
		b.log.Warn("the memory for requests in flight is spent; some are refused or ended: raise limits.memory, or lower limits.concurrency, limits.body or upstream.max_response_bytes",
			zap.Int64("used", b.used.Load()), zap.Int64("limit", b.most))
	}
	e := errOverloaded("This server has no memory left for this request at the moment. Try again later, or send less at a time.")
	if what == memoryReply {
		e.Message = "This server has no memory left for the reply. Try again later, or ask for less at a time."
	}
	return e
}

// beginShare counts the exchange itself.
func (x *exchange) beginShare() {
	x.shared = shareBase
	x.server.memory.used.Add(shareBase)
}

// share brings what the exchange holds of the budget up to date, with extra bytes that
// it is about to take. It reports whether the budget has that; if not, the share stays
// what it was.
func (x *exchange) share(extra int, answering bool) bool {
	want := x.holds(answering) + int64(extra)
	by := want - x.shared
	if -shareStep < by && by < shareStep {
		return true
	}
	if !x.server.memory.change(by) {
		return false
	}
	x.shared = want
	return true
}

// holds is what the exchange's buffers come to.
func (x *exchange) holds(answering bool) int64 {
	n := shareBase + cap(x.body) + cap(x.wire) + cap(x.parts) + cap(x.held)
	if cap(x.out) > outSize { // others use it while the stream waits
		n += cap(x.out)
	}
	if !answering {
		return int64(n)
	}
	n += turnCopies * cap(x.in.held)
	if f := x.front; f != nil {
		n += turnCopies * f.choices.Held()
		for _, r := range f.replies {
			n += turnCopies * cap(r.held)
		}
		return int64(n)
	}
	if x.mend != nil {
		return int64(n + turnCopies*x.mend.Held())
	}
	if x.turnUsed {
		n += turnCopies * x.turn.Held()
	}
	return int64(n)
}

// unshare gives the exchange's share back.
func (x *exchange) unshare() {
	x.server.memory.change(-x.shared)
	x.shared = 0
	x.server.memory.ending.CompareAndSwap(x, nil)
}

// roomForBody says whether the budget has room for a body of n bytes, and for what is
// made of it.
func (x *exchange) roomForBody(n int) *translate.Error {
	if n <= shareStep || x.share(n, false) {
		return nil
	}
	return x.server.memory.spent(memoryBody)
}

// roomForReply ends a reply that the budget has no room for.
func (x *exchange) roomForReply(src source, piece int) bool {
	if x.share(piece, true) {
		return true
	}
	// Replies that grow together would all end at the same moment. One ends, and the
	// others, whose upstreams wait meanwhile, go on with what it gives back.
	const step, steps = 10 * time.Millisecond, 300
	b := &x.server.memory
	for i := 0; i < steps && !b.ending.CompareAndSwap(nil, x); i++ {
		if x.up.Cancelled() != nil {
			return true // the next read says why
		}
		time.Sleep(step)
		if x.share(piece, true) {
			return true
		}
	}
	e := x.server.memory.spent(memoryReply)
	x.errText = e.Message
	e.Code = "server_error" // the codes of a response's error are of the API
	x.out = src.abort(x.out, e)
	return false
}

// Spill implements translate.Spiller: what a turn has made so far goes to the client
// before it makes more.
func (x *exchange) Spill(dst []byte) []byte {
	if _, stream := x.sink.(*streamSink); !stream || x.holding {
		return dst
	}
	x.out = dst
	_ = x.flush() // if the client has left, the next flush will find out too
	return x.out
}
