package proxy

import (
	crand "crypto/rand"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"antiphon/proxy/metrics"
	"antiphon/proxy/upstream"
	"antiphon/translate"
	"antiphon/translate/sse"
)

// exchange is one request of a client and all that it takes to answer it. Its
// memory is used again for the next request: nothing in it may be kept beyond
// finish, and nothing of fasthttp's is kept in it beyond the handler, but for
// streams, whose body is written before fasthttp lets go of the request.
type exchange struct {
	server *Server
	client *client
	ctx    *fasthttp.RequestCtx

	start     time.Time
	route     metrics.Route
	requestID []byte
	tenant    string
	principal string

	body    []byte // the request's body
	wire    []byte // the request to the upstream: room for a head, then the body
	head    []byte
	out     []byte // what goes to the client
	reply   []byte // an upstream's reply that came in several pieces
	events  sse.Decoder
	req     translate.Request
	turn    translate.Turn
	losses  translate.Losses
	history translate.HistoryBuilder
	seed    translate.Seed
	up      upstream.Exchange

	streaming bool
	finished  bool
	turnUsed  bool
	reported  int       // losses that the client was told of in the header
	lastOut   time.Time // when something was written to the client last

	// For the log and the metrics.
	outcome     metrics.Outcome
	status      int
	errCode     string
	errType     string
	errText     string // of the proxy or the upstream; never the client's own words
	bytesIn     int64
	bytesOut    int64
	firstByte   time.Duration // of the upstream's reply
	firstOut    time.Duration // of a stream to the client
	attempts    int
	storeFailed bool

	random [512]byte // unused randomness
	left   int       // how much of it, from the end
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// begin takes an exchange for a request.
func (s *Server) begin(ctx *fasthttp.RequestCtx) *exchange {
	x := exchanges.Get().(*exchange) //nolint:forcetypeassert // the pool's only type
	x.server, x.ctx = s, ctx
	x.start = time.Now()
	x.requestID = x.appendRequestID(x.requestID[:0], ctx)
	x.client = s.clients.of(ctx.Conn())
	x.client.begin(x)
	s.metrics.InFlight.Add(1)
	return x
}

// finish ends an exchange: it is logged, counted, and goes back to the pool. It
// is called once, when everything has been written.
func (x *exchange) finish() {
	if x.finished {
		return
	}
	x.finished = true
	x.client.end()
	x.up.Close(false)
	s := x.server
	if x.streaming {
		s.metrics.Streams.Add(-1)
	}
	s.metrics.InFlight.Add(-1)
	s.inFlight.Add(-1)
	x.account()
	x.recycle()
}

// recycle empties the exchange and puts it back.
func (x *exchange) recycle() {
	x.up.Reset()
	x.events.Reset()
	x.losses.Reset()
	x.body, x.wire, x.head, x.out, x.reply = release(x.body), release(x.wire), release(x.head), release(x.out), release(x.reply)
	x.server, x.client, x.ctx = nil, nil, nil
	x.tenant, x.principal, x.reported = "", "", 0
	x.streaming, x.finished, x.turnUsed, x.storeFailed = false, false, false, false
	x.req.Trace = false
	x.outcome, x.status, x.attempts = metrics.OutcomeOK, 0, 0
	x.errCode, x.errType, x.errText = "", "", ""
	x.bytesIn, x.bytesOut, x.firstByte, x.firstOut = 0, 0, 0, 0
	exchanges.Put(x)
}

// entropy fills b with randomness that nobody can guess. It is fetched from the
// system for many requests at a time.
func (x *exchange) entropy(b []byte) {
	for len(b) > 0 {
		if x.left == 0 {
			_, _ = crand.Read(x.random[:]) // never fails
			x.left = len(x.random)
		}
		from := len(x.random) - x.left
		n := copy(b, x.random[from:])
		clear(x.random[from : from+n]) // nothing is used twice
		x.left -= n
		b = b[n:]
	}
}

// appendRequestID appends the id of the exchange: the client's own, if it gave
// one that can be passed on, else a new one.
func (x *exchange) appendRequestID(dst []byte, ctx *fasthttp.RequestCtx) []byte {
	if id := ctx.Request.Header.Peek("X-Request-Id"); translate.ValidID(id) {
		return append(dst, id...)
	}
	var b [12]byte
	x.entropy(b[:])
	const hex = "0123456789abcdef"
	dst = append(dst, "req_"...)
	for _, c := range b {
		dst = append(dst, hex[c>>4], hex[c&15])
	}
	return dst
}
