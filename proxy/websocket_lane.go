package proxy

import (
	"bytes"
	"errors"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/translate"
)

// lane is one of the queues of a connection: its responses come one after the
// other, those of different lanes at the same time.
type lane struct {
	name    string
	header  fasthttp.RequestHeader // a copy: reading one changes it
	queue   []creation
	busy    bool    // a goroutine works on the queue
	running *client // of the response that runs, to cancel it
}

// creation is a response.create that waits for its turn.
type creation struct {
	body     []byte
	previous string
	generate bool
	released bool // it is not counted as in flight any more
}

// drop empties the queue. The connection's lock is held.
func (l *lane) drop(c *socket) {
	for i := range l.queue {
		c.release(&l.queue[i])
	}
	l.queue = nil
}

// release counts a creation as over. It is called before its last message is
// written: a client that has seen that may begin another one. The connection's
// lock is held.
func (c *socket) release(w *creation) {
	if w.released {
		return
	}
	w.released = true
	c.waiting -= int64(len(w.body))
	c.inFlight--
}

func (c *socket) over(w *creation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release(w)
}

// message takes in a message of the client.
func (c *socket) message(message []byte) {
	s := c.server
	var f translate.Frame
	if err := f.Parse(nil, message, &c.doc, s.requestLimits); err != nil {
		c.refuse(err, f.StreamID, len(message))
		return
	}
	switch f.Type {
	case "response.create":
		if err := c.enqueue(&f); err != nil {
			c.refuse(err, f.StreamID, len(message))
		}
	case "response.steer":
		_ = c.send(ws.OpText, f.AppendSteerFailed(nil))
	default:
		c.refuse(clientError(400, "invalid_value", "type", "Invalid value: '"+clip(f.Type)+
			"'. Supported values are: 'response.create' and 'response.steer'."), f.StreamID, len(message))
	}
}

// refuse answers a message that does not become a response, and logs it.
func (c *socket) refuse(e *translate.Error, streamID string, size int) {
	var reply fasthttp.ResponseHeader
	x := c.server.detached(&c.header, &reply, c.tenant, c.principal, nil)
	x.route, x.status, x.bytesIn = metrics.RouteSocket, e.Status, int64(size)
	x.noteRefusal(e)
	if e.Status == fasthttp.StatusTooManyRequests {
		c.server.metrics.Rejected.Add(1)
	}
	c.fail(e, streamID)
	x.finish()
}

// enqueue puts a creation at the end of its lane.
func (c *socket) enqueue(f *translate.Frame) *translate.Error {
	cfg := &c.server.cfg
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return nil // the client learns from the close frame that nothing came of it
	}
	l := c.byName[f.StreamID]
	named := len(c.byName)
	if c.byName[""] != nil {
		named--
	}
	switch {
	case l == nil && f.StreamID != "" && named >= cfg.WebSocket.Lanes:
		return errTooManyLanes(cfg.WebSocket.Lanes)
	case c.inFlight >= cfg.WebSocket.InFlight:
		return errTooManyInFlight(cfg.WebSocket.InFlight)
	case c.waiting+int64(len(f.Body)) > max(int64(cfg.Limits.Body), 64<<10):
		return errTooMuchWaiting(int64(cfg.Limits.Body))
	}
	if l == nil {
		l = &lane{name: f.StreamID}
		c.header.CopyTo(&l.header)
		c.byName[f.StreamID] = l
	}
	c.inFlight++
	c.waiting += int64(len(f.Body))
	l.queue = append(l.queue, creation{body: f.Body, previous: f.Previous, generate: f.Generate})
	if !l.busy {
		l.busy = true
		c.lanes.Add(1)
		go c.work(l)
	}
	return nil
}

// work runs the responses of a lane until there are none.
func (c *socket) work(l *lane) {
	defer c.lanes.Done()
	for {
		c.mu.Lock()
		if len(l.queue) == 0 {
			l.busy = false
			over := c.ending
			c.mu.Unlock()
			if over {
				c.nudge()
			}
			return
		}
		w := l.queue[0]
		l.queue = l.queue[1:]
		c.mu.Unlock()
		c.run(l, &w)
		c.over(&w)
	}
}

// run makes one response.
func (c *socket) run(l *lane, w *creation) {
	s := c.server
	var reply fasthttp.ResponseHeader
	x := s.detached(&l.header, &reply, c.tenant, c.principal, w.body)
	x.route, x.status, x.local = metrics.RouteSocket, fasthttp.StatusOK, &c.state
	x.lane = l.name
	x.sink = &frameSink{c: c, x: x, w: w, lane: l.name}
	defer func() {
		if r := recover(); r != nil {
			x.errText = s.logFault(x, r)
			x.outcome, x.status = metrics.OutcomeError, fasthttp.StatusInternalServerError
			c.fail(proxyError(500, "This server has made a mistake. It has been logged as request "+string(x.requestID)+"."), l.name)
		}
		c.mu.Lock()
		l.running = nil
		c.mu.Unlock()
		x.finish()
	}()
	c.mu.Lock()
	l.running = x.client
	gone := c.gone
	c.mu.Unlock()
	if gone != nil {
		x.client.cancel(gone)
	}
	err := c.authorize(x)
	if err == nil && w.generate {
		err = x.admit()
	}
	if err == nil {
		x.mayBeEmpty = !w.generate
		err = x.prepare()
	}
	if err == nil && w.generate {
		err = x.ask()
	}
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
	case err != nil:
		x.noteRefusal(err)
		x.status = err.Status
		c.state.evict(w.previous)
		c.over(w)
		c.fail(err, l.name, passedHeaders(&reply)...)
	case !w.generate:
		x.beginTurn()
		x.out = x.sink.commit(x.turn.Skip(x.out[:0]))
		x.countTurn()
		_ = x.flush()
	default:
		x.streaming = true
		s.metrics.Streams.Add(1)
		x.releaseRequest()
		_ = x.run()
	}
}

// authorize finds out whether a response may begin. A key may have been withdrawn
// since the connection was made.
func (c *socket) authorize(x *exchange) *translate.Error {
	s := c.server
	if s.inFlight.Load() > int64(s.cfg.Limits.Concurrency) {
		s.metrics.Rejected.Add(1)
		x.reply.Set("Retry-After", "1")
		return errBusy()
	}
	if err := s.authenticate(x); err != nil {
		return err
	}
	if x.tenant != c.tenant { // what the connection holds is another's
		return authError("The API key of this connection has changed hands. Open another connection.", "invalid_api_key")
	}
	return nil
}

// passedHeaders are the headers that an error is told with: what the upstream
// says about rates and retries.
func passedHeaders(h *fasthttp.ResponseHeader) (pairs []string) {
	for k, v := range h.All() {
		if string(k) == "Retry-After" || string(k) == "Retry-After-Ms" || bytes.HasPrefix(k, []byte("X-Ratelimit-")) {
			pairs = append(pairs, string(bytes.ToLower(k)), string(v))
		}
	}
	return pairs
}

// frameSink writes the events of a stream as messages: each write is one write to the
// connection.
type frameSink struct {
	c    *socket
	x    *exchange
	w    *creation
	lane string
	buf  []byte
}

func (f *frameSink) live() bool                     { return true }
func (f *frameSink) keepAlive() keepAliveStyle      { return f.x.keepAliveStyle() }
func (f *frameSink) commit(dst []byte) []byte       { return f.x.commit(dst) }
func (f *frameSink) panicked(*translate.Error) bool { return false }

func (f *frameSink) write(events []byte) error {
	status := 0
	if failure := f.x.turn.Failure(); failure != nil {
		status = failure.Status
	}
	c := f.c
	if f.x.turn.Ended() {
		c.over(f.w)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out = c.out[:0]
	f.buf, _ = translate.EachFrame(f.buf, events, f.lane, status, func(message []byte) error {
		c.out = appendFrame(c.out, ws.OpText, message)
		return nil
	})
	if len(c.out) == 0 {
		return nil
	}
	return c.write()
}
