package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// socket is one connection in WebSocket mode. One goroutine reads it, one keeps
// its time, and each lane on which something is to be done has one; whoever has
// something to say writes it, under a lock and with a deadline, so that a client
// that does not read ends its connection and holds nothing up.
type socket struct {
	server            *Server
	header            fasthttp.RequestHeader // of the upgrade, for what goes on to the upstream
	tenant, principal string
	requestID         string

	conn  net.Conn
	began time.Time
	lanes sync.WaitGroup // that run
	doc   jsonx.Doc      // of the message being read

	mu       sync.Mutex
	byName   map[string]*lane
	inFlight int       // responses that wait or run
	waiting  int64     // bytes of those that wait
	ending   bool      // no more responses are begun
	gone     error     // why the connection is of no use any more, or nil
	closeBy  time.Time // until when the client may answer the close frame
	wake     chan struct{}

	writing sync.Mutex
	out     []byte // frames for one write
	closed  bool   // the close frame is out: nothing may follow

	state wsState
}

func (s *Server) newSocket(x *exchange) *socket {
	c := &socket{
		server: s, tenant: x.tenant, principal: x.principal, requestID: string(x.requestID),
		byName: map[string]*lane{}, wake: make(chan struct{}, 1), began: time.Now(),
	}
	x.header.CopyTo(&c.header)
	c.state.budget = int64(s.cfg.WebSocket.Memory)
	return c
}

// serve serves the connection to its end.
func (c *socket) serve(conn net.Conn) {
	s := c.server
	c.conn = conn
	_ = conn.SetDeadline(time.Time{})
	if !s.sockets.add(c) {
		c.close(ws.StatusGoingAway, "The server is shutting down.")
		return
	}
	s.metrics.Sockets.Add(1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() {
		if r := recover(); r != nil {
			s.logPanic(r, []byte(c.requestID))
			c.close(ws.StatusInternalServerError, "")
		}
		c.end(errClientGone)
		c.lanes.Wait()
		close(stop)
		<-stopped
		s.metrics.Sockets.Add(-1)
		s.sockets.remove(c)
	}()
	go func() {
		defer close(stopped)
		c.keepTime(stop)
	}()
	code, reason := c.read()
	if code != 0 {
		c.close(code, reason)
	}
}

// Payloads of control frames.
const maxControl = 125

// protocolError ends a connection with a close frame.
type protocolError struct {
	code   ws.StatusCode
	reason string
}

func (e *protocolError) Error() string { return e.reason }

// read reads messages until the connection ends. code is what to close it with;
// 0 when there is nobody to tell.
func (c *socket) read() (code ws.StatusCode, reason string) {
	br := bufio.NewReaderSize(c.conn, 4<<10)
	var message []byte
	for {
		var err error
		message, err = c.readMessage(br, message[:0])
		var bad *protocolError
		switch {
		case errors.As(err, &bad):
			return bad.code, bad.reason
		case err != nil:
			return 0, ""
		}
		c.message(message)
		if cap(message) > smallBuffer {
			message = nil
		}
	}
}

// readMessage reads the frames of one message into dst, and answers control
// frames in between.
func (c *socket) readMessage(br *bufio.Reader, dst []byte) ([]byte, error) {
	cfg := &c.server.cfg
	limit := int64(cfg.Limits.Body)
	state := ws.StateServerSide
	silence := 2 * cfg.WebSocket.Ping.Std()
	var end time.Time // of the time for the message
	for {
		deadline := time.Now().Add(silence)
		if !end.IsZero() {
			deadline = end
		}
		c.readBy(deadline)
		h, err := ws.ReadHeader(br)
		if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
			return dst, &protocolError{ws.StatusProtocolError, "bad frame length"}
		}
		if err != nil {
			return dst, err
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return dst, &protocolError{ws.StatusProtocolError, err.Error()}
		}
		if h.OpCode.IsControl() {
			if err := c.control(br, h); err != nil {
				return dst, err
			}
			continue
		}
		if end.IsZero() {
			end = time.Now().Add(cfg.Limits.ReadTimeout.Std())
			c.readBy(end)
		}
		switch {
		case h.OpCode == ws.OpBinary:
			return dst, &protocolError{ws.StatusUnsupportedData, "messages are text"}
		case h.Length > limit-int64(len(dst)):
			return dst, &protocolError{ws.StatusMessageTooBig, "a message can have " + strconv.FormatInt(limit, 10) + " bytes"}
		}
		if dst, err = readPayload(br, dst, h); err != nil {
			return dst, err
		}
		if h.Fin {
			break
		}
		state = state.Set(ws.StateFragmented)
	}
	if !utf8.Valid(dst) {
		return dst, &protocolError{ws.StatusInvalidFramePayloadData, "text is UTF-8"}
	}
	return dst, nil
}

// readPayload appends a frame's payload. Memory is made as it arrives: what a
// header announces need not come.
func readPayload(br *bufio.Reader, dst []byte, h ws.Header) ([]byte, error) {
	const piece = 256 << 10
	for done := int64(0); done < h.Length; {
		n := int(min(h.Length-done, piece))
		from := len(dst)
		if cap(dst)-from < n {
			more := make([]byte, from, max(2*from, from+n))
			copy(more, dst)
			dst = more
		}
		dst = dst[:from+n]
		if _, err := io.ReadFull(br, dst[from:]); err != nil {
			return dst[:from], err
		}
		ws.Cipher(dst[from:], h.Mask, int(done))
		done += int64(n)
	}
	return dst, nil
}

// control answers a control frame.
func (c *socket) control(br *bufio.Reader, h ws.Header) error {
	payload, err := readPayload(br, make([]byte, 0, maxControl), h)
	if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return c.send(ws.OpPong, payload)
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		if code.Empty() && len(payload) == 0 {
			return &protocolError{ws.StatusNormalClosure, ""}
		}
		if err := ws.CheckCloseFrameData(code, reason); err != nil {
			return &protocolError{ws.StatusProtocolError, err.Error()}
		}
		return &protocolError{code, ""}
	}
	return nil // a pong
}

// appendFrame appends a frame that is whole and not masked.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n <= maxControl:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = append(dst, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, payload...)
}

var errSocketClosed = errors.New("the connection is closed")

// send writes one frame.
func (c *socket) send(op ws.OpCode, payload []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out = appendFrame(c.out[:0], op, payload)
	return c.write()
}

// write writes the frames in c.out in one go. The lock is held.
func (c *socket) write() error {
	if c.closed {
		return errSocketClosed
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.server.cfg.Limits.WriteTimeout.Std()))
	_, err := c.conn.Write(c.out)
	if cap(c.out) > smallBuffer {
		c.out = nil
	}
	if err != nil {
		c.closed = true // half a frame may be out
		c.expectClose(0)
	}
	return err
}

// fail tells the client of an error.
func (c *socket) fail(e *translate.Error, streamID string, headers ...string) {
	_ = c.send(ws.OpText, e.AppendFrame(nil, streamID, headers...))
}

// close writes the close frame and ends the reading.
func (c *socket) close(code ws.StatusCode, reason string) {
	if len(reason) > maxControl-2 {
		reason = reason[:maxControl-2]
	}
	if c.send(ws.OpClose, ws.NewCloseFrameBody(code, reason)) == nil {
		c.writing.Lock()
		c.closed = true
		c.writing.Unlock()
	}
	c.expectClose(closeTime)
}

// expectClose ends the reading after a while. The connection is closed then:
// fasthttp does so when serve returns.
func (c *socket) expectClose(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeBy = time.Now().Add(after)
	_ = c.conn.SetReadDeadline(c.closeBy)
}

// readBy sets the deadline of the reading, unless the connection is being closed.
func (c *socket) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeBy.IsZero() {
		_ = c.conn.SetReadDeadline(t)
	}
}

// closeTime is how long a client may take to close a connection that has been
// said good-bye to.
const closeTime = time.Second

// end says that the connection is of no use any more, and ends what runs.
func (c *socket) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	if c.gone == nil {
		c.gone = cause
	}
	for _, l := range c.byName {
		l.drop(c)
		if l.running != nil {
			l.running.cancel(cause)
		}
	}
}

// cancel ends what runs on the connection.
func (c *socket) cancel(cause error) { c.end(cause) }

// drain lets nothing more begin; once nothing runs, the connection is closed.
func (c *socket) drain() {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.nudge()
}

// nudge wakes the timekeeper.
func (c *socket) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// keepTime pings, and ends the connection when its time has come.
func (c *socket) keepTime(stop <-chan struct{}) {
	cfg := &c.server.cfg.WebSocket
	ping := time.NewTicker(cfg.Ping.Std())
	defer ping.Stop()
	old := time.NewTimer(cfg.Lifetime.Std())
	defer old.Stop()
	tooOld := false
	for {
		select {
		case <-stop:
			return
		case <-ping.C:
			_ = c.send(ws.OpPing, nil)
		case <-old.C:
			tooOld = true
			c.drain()
		case <-c.wake:
		}
		c.mu.Lock()
		over := c.ending
		for _, l := range c.byName {
			over = over && !l.busy
		}
		gone := c.gone
		c.mu.Unlock()
		switch {
		case !over || errors.Is(gone, errClientGone):
		case tooOld:
			c.fail(errConnectionTooOld(cfg.Lifetime.Std()), "")
			c.close(ws.StatusGoingAway, "websocket_connection_limit_reached")
		default:
			c.close(ws.StatusGoingAway, "The server is shutting down.")
		}
	}
}
