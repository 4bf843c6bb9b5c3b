package proxy

import (
	crand "crypto/rand"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// exchange is one request of a client and all that it takes to answer it. Its
// memory is used again for the next request: nothing in it may be kept beyond
// finish, and nothing of fasthttp's is kept in it beyond the handler, but for
// streams, whose body is written before fasthttp lets go of the request.
//
// A request does not have to come over HTTP: frames of a WebSocket and work in
// the background are exchanges too, made with Server.detached. They have no ctx;
// what they read and write is header, reply, and the writer that run is given.
type exchange struct {
	server    *Server
	client    *client
	ctx       *fasthttp.RequestCtx // nil when detached
	front     *chatFront           // for chat clients of a Responses backend
	recording *Recording           // of this exchange, if somebody records

	identity
	routing
	attempt                  // the request as it goes to an upstream
	earlier []translate.Loss // what the request had lost before it was translated for one
	continuation
	passing
	responder
	outbox
	tally

	body    []byte // the request's body
	head    []byte // scratch for heads and headers
	parts   []byte // scratch for the request and errors
	req     translate.Request
	history translate.HistoryBuilder
	up      upstream.Exchange
	in      inbound // the upstream's reply

	finished bool

	random [512]byte // unused randomness
	left   int       // how much of it, from the end
}

// identity is whose request it is, and what is known of it before it is read.
type identity struct {
	header *fasthttp.RequestHeader  // of the request, for what goes on to the upstream
	reply  *fasthttp.ResponseHeader // of the reply, for what comes from the upstream and the loss report

	start     time.Time
	route     metrics.Route
	requestID []byte
	tenant    string
	principal string
	grant     *config.Grant // what the client's key gives; nil without a file of keys
	quota     *quota        // of the tenant, while it has been admitted
}

// routing is where the request may go.
type routing struct {
	candidates []*backend   // for the model, if there are several upstreams
	routed     bool         // it is settled which upstreams it may go to
	bound      bool         // it goes on with what an upstream keeps
	mine       bool         // what it names at the upstream is the tenant's
	owning     *upstreamIDs // the ids in the reply are to be written down as the tenant's; nil: they are not
}

// continuation is what the request goes on with, and what goes on with its response.
type continuation struct {
	conversation uint64 // version of the conversation that was read
	place        *place // in a conversation; nil without
	continued    *localResponse
	local        *wsState // responses that only this connection can continue; nil for HTTP
	lane         string   // of a WebSocket

	seed       translate.Seed
	seeded     bool      // seed and created were known before: the response has waited
	created    time.Time // of a response that has waited
	acceptedID string    // of a background response that is made: what it names by URL was fetched when it was accepted

	summary    *summary       // of what was compacted for this response; nil without
	compacts   translate.Keep // the context is compacted before the answer, and what that leaves; "" for not
	mayBeEmpty bool           // the request need not have any input
}

// passing is what is known of a request or a reply that is passed on.
type passing struct {
	peeked     []byte    // the beginning of the request's body, where that was looked at before the rest came
	replyStart []byte    // the beginning of the reply, where that was looked at
	replyErr   error     // that came after it
	keepChats  bool      // chat completions with store:true are kept
	kept       *keptChat // a chat completion that is kept on its way; nil for others
}

// responder is the turn that makes the response.
type responder struct {
	ownTurn  translate.Turn
	mend     *translate.ResponsesTurn // for a backend that speaks Responses by halves
	turn     *translate.Turn          // that of the response: ownTurn, or that of mend
	reader   turnReader               // what the upstream says goes to it
	turnUsed bool
}

// outbox is what goes to the client.
type outbox struct {
	sink      sink           // where it goes
	http      storedChatSink // the sink of an HTTP stream, of which a part may be used
	out       []byte         // what has not gone there yet
	scratch   *scratch       // while the stream has something to do
	holding   bool           // events are held back
	held      []byte         // those events
	streaming bool
	reported  []translate.Loss // that the client was told of in the header
	lastOut   time.Time        // when something was written last
}

// reset empties the outbox for the next request, and keeps its memory.
func (o *outbox) reset() {
	*o = outbox{out: release(o.out), held: release(o.held), reported: o.reported[:0], http: storedChatSink{out: release(o.http.out)}}
}

// tally is what the log and the metrics get.
type tally struct {
	outcome     metrics.Outcome
	status      int
	errCode     string
	errType     string
	errText     string // of the proxy or the upstream; never the client's own words
	bytesIn     int64
	bytesOut    int64
	firstByte   time.Duration // of the upstream's reply
	firstOut    time.Duration // of a stream to the client
	tokenIn     time.Duration // the first token of a stream came from the upstream, and
	tokenOut    time.Duration // went to the client
	attempts    int
	storeFailed bool
	errParam    string
	fault       upstreamFault // of the last request to the upstream
	repeated    int           // failures before it that were no warnings
	shared      int64         // of the memory budget
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// begin takes an exchange for a request.
func (s *Server) begin(ctx *fasthttp.RequestCtx) *exchange {
	x := exchanges.Get().(*exchange) // the pool's only type
	x.server, x.ctx = s, ctx
	x.header, x.reply = &ctx.Request.Header, &ctx.Response.Header
	x.use(s.router.all[0])
	x.start = time.Now()
	x.requestID = x.appendRequestID(x.requestID[:0], ctx.Request.Header.Peek("X-Request-Id"))
	linger(ctx.Conn(), false)
	x.turn, x.reader = &x.ownTurn, chatReader{&x.ownTurn}
	x.sink = objectSink{x}
	x.client = s.clients.of(ctx.Conn())
	x.client.begin(x)
	s.metrics.InFlight.Add(1)
	x.beginShare()
	return x
}

// detached takes an exchange for a request that is not a request of HTTP. header
// and reply must stay as they are until finish; body is copied. The caller sets
// the route, counts the exchange in inFlight if it is to be limited, and calls
// prepare, ask, run (which gives events if the request asks for a stream) and finish.
func (s *Server) detached(header *fasthttp.RequestHeader, reply *fasthttp.ResponseHeader, tenant, principal string, body []byte) *exchange {
	x := exchanges.Get().(*exchange) // the pool's only type
	x.server = s
	x.header, x.reply = header, reply
	x.use(s.router.all[0])
	x.start = time.Now()
	x.requestID = x.appendRequestID(x.requestID[:0], nil)
	x.tenant, x.principal = tenant, principal
	x.turn, x.reader = &x.ownTurn, chatReader{&x.ownTurn}
	x.sink = objectSink{x}
	x.client = &client{}
	x.client.begin(x)
	x.body = append(grow(x.body, len(body)), body...)
	x.bytesIn = int64(len(body))
	s.inFlight.Add(1)
	s.metrics.InFlight.Add(1)
	x.beginShare()
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
	x.recorded()
	x.up.Close(false)
	if x.place != nil {
		x.place.leave()
	}
	x.out = x.out[:0]
	x.releaseScratch()
	if x.front != nil {
		x.front.recycle()
		x.front = nil
	}
	x.releaseQuota()
	x.unshare()
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
	if x.mend != nil {
		responsesTurns.Put(x.mend)
		x.mend = nil
	}
	x.up.Reset()
	x.in.recycle()
	x.losses.Reset()
	x.req.Trace = false
	// Each part is emptied whole, but for memory that it keeps: a field cannot be
	// forgotten.
	x.server, x.client, x.ctx, x.earlier, x.finished = nil, nil, nil, nil, false
	x.body, x.head, x.parts = release(x.body), release(x.head), release(x.parts)
	x.identity = identity{requestID: x.requestID[:0]}
	x.routing = routing{candidates: x.candidates[:0]}
	x.attempt = attempt{wire: release(x.wire), losses: x.losses}
	x.continuation = continuation{}
	x.passing = passing{peeked: x.peeked[:0], replyStart: release(x.replyStart)}
	x.turn, x.reader, x.turnUsed = nil, nil, false
	x.outbox.reset()
	x.tally = tally{}
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
func (x *exchange) appendRequestID(dst, id []byte) []byte {
	if translate.ValidID(id) {
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
