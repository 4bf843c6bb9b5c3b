package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// Exchange is one request and its reply. The zero value is ready for Do; after
// Close it may be used again. All methods but Cancel belong to one goroutine.
type Exchange struct {
	// Header is the head of the reply, after Do has returned nil.
	Header fasthttp.ResponseHeader
	// NoBody says that the reply will have no body whatever its head says: that
	// is so for HEAD. It is for the next Do only.
	NoBody bool
	// Attempts is how many times the request was sent: 1, or 2 when a kept
	// connection turned out to be gone.
	Attempts int

	// Decode says that Read undoes the reply's Content-Encoding.
	Decode bool
	// Tap sees every piece of a reply's body that Read returns, if it is not nil.
	Tap func(p []byte)

	client   *Client
	body     body
	decoder  *decoder      // of a body that is encoded, or nil
	armed    time.Time     // when the read deadline was set last
	armedFor time.Duration // and to what

	mu       sync.Mutex
	conn     *conn              // being used; nil before and after
	stopDial context.CancelFunc // while connecting
	cause    error              // of Cancel
}

// StreamBody is a request body that is passed on as it comes.
type StreamBody struct {
	Reader  io.Reader
	Chunked bool // frame it in chunks; otherwise the request head has its length

	replay []byte // what was read of Reader, as long as that is not too much
	again  int    // how much of it is to be sent again, from its beginning
	lost   bool   // it was too much
}

// replayable is how many bytes of a streamed body are remembered so that it can be
// sent once more: a request of 1 MB and the image in it.
const replayable = 2 << 20

// Do sends a request and waits for the head of the reply. wire is the request
// as it goes over the wire, head and body; stream, if not nil, follows it. After
// an error there is nothing to close.
//
// A request is sent a second time, on a new connection, when a kept connection
// was used and it is certain that the backend has not read any of the request
// (see unread), or when its method is a safe one: two completions for one request
// would be paid for twice. Of a stream so much is remembered for that as
// replayable says.
func (x *Exchange) Do(c *Client, wire []byte, stream *StreamBody) error {
	x.client = c
	x.Attempts = 0
	if stream != nil {
		defer stream.forget()
	}
	for {
		x.Attempts++
		if err := x.acquire(x.Attempts > 1); err != nil {
			return x.fail(PhaseConnect, err)
		}
		cn := x.conn
		cn.before = cn.wire.written
		phase, err := PhaseWrite, x.send(wire, stream)
		began := false
		if err == nil {
			phase = PhaseHead
			began, err = x.readHead()
		}
		if err == nil {
			return nil
		}
		var client *ClientError
		lost := cn.reused && !began && x.Cancelled() == nil && !isTimeout(err) && !errors.As(err, &client)
		unread := lost && cn.unread(err)
		if unread {
			c.pool.lost(cn)
		}
		x.drop()
		if x.Attempts > 1 || !lost || !unread && !safeMethod(wire) || !stream.rewind() {
			return x.fail(phase, err)
		}
	}
}

// safeMethod reports whether a request only asks for something (RFC 9110 §9.2.1).
func safeMethod(wire []byte) bool {
	return bytes.HasPrefix(wire, []byte("GET ")) || bytes.HasPrefix(wire, []byte("HEAD ")) || bytes.HasPrefix(wire, []byte("OPTIONS "))
}

// acquire takes a connection out of the pool, or makes one; a fresh one in any
// case if fresh.
func (x *Exchange) acquire(fresh bool) error {
	c := x.client
	cn, err := c.pool.take(fresh)
	if err != nil {
		return err
	}
	// A kept connection gets a look whether it has been closed, but not when it
	// was used a moment ago: the look is a system call, and under load all
	// connections were.
	for cn != nil {
		age := time.Since(cn.idle)
		if age <= time.Millisecond {
			break
		}
		if cn.alive() {
			cn.open = age
			break
		}
		dead := cn
		cn = c.pool.takeAgain(dead)
		_ = dead.Close()
	}
	if cn == nil {
		ctx, stop := context.WithCancel(context.Background())
		x.mu.Lock()
		x.stopDial = stop
		if x.cause != nil {
			stop()
		}
		x.mu.Unlock()
		cn, err = c.dial(ctx)
		x.mu.Lock()
		x.stopDial = nil
		x.mu.Unlock()
		stop()
		if err != nil {
			c.pool.release(nil)
			return err
		}
	}
	x.mu.Lock()
	x.conn = cn
	cause := x.cause
	x.mu.Unlock()
	if cause != nil {
		x.drop()
		return cause
	}
	return nil
}

// deadline sets a deadline of the connection, unless the exchange is cancelled:
// then the deadline that Cancel has set must stay.
func (x *Exchange) deadline(set func(time.Time) error, after time.Duration) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause != nil {
		return x.cause
	}
	var t time.Time
	if after > 0 {
		t = time.Now().Add(after)
	}
	return set(t)
}

func (x *Exchange) send(wire []byte, stream *StreamBody) error {
	cn, limit := x.conn, x.client.opt.Write
	if err := x.deadline(cn.SetWriteDeadline, limit); err != nil {
		return err
	}
	if _, err := cn.Write(wire); err != nil {
		return err
	}
	if stream == nil {
		return nil
	}
	// Room for a chunk's size before the data and for the line end after it.
	const sizeRoom = 10
	buf := make([]byte, 32<<10)
	for {
		n, err := stream.next(buf[sizeRoom:len(buf)-2], cn.reused)
		if n > 0 {
			out := buf[sizeRoom : sizeRoom+n]
			if stream.Chunked {
				var size [sizeRoom]byte
				hex := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
				from := sizeRoom - len(hex)
				copy(buf[from:], hex)
				copy(buf[sizeRoom+n:], "\r\n")
				out = buf[from : sizeRoom+n+2]
			}
			if err := x.deadline(cn.SetWriteDeadline, limit); err != nil {
				return err
			}
			if _, err := cn.Write(out); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &ClientError{err}
		}
	}
	if stream.Chunked {
		if err := x.deadline(cn.SetWriteDeadline, limit); err != nil {
			return err
		}
		_, err := cn.Write([]byte("0\r\n\r\n"))
		return err
	}
	return nil
}

// next reads the next piece of the body. It is remembered if it may have to be
// sent again.
func (s *StreamBody) next(p []byte, remember bool) (int, error) {
	if s.again < len(s.replay) {
		n := copy(p, s.replay[s.again:])
		s.again += n
		return n, nil
	}
	n, err := s.Reader.Read(p)
	switch {
	case s.lost || n == 0:
	case !remember || len(s.replay)+n > replayable:
		s.forget()
	default:
		s.replay = append(s.replay, p[:n]...)
		s.again = len(s.replay)
	}
	return n, err
}

// rewind makes next begin with the beginning. It reports whether that is possible;
// a request without a stream can always be sent again.
func (s *StreamBody) rewind() bool {
	if s == nil {
		return true
	}
	s.again = 0
	return !s.lost
}

// forget lets go of what is remembered.
func (s *StreamBody) forget() { s.replay, s.again, s.lost = nil, 0, true }

// ClientError says that a StreamBody could not be read.
type ClientError struct{ Err error }

func (e *ClientError) Error() string { return "reading the client's request: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ClientError) Unwrap() error { return e.Err }

// readHead reads the head of the reply. began says whether any of it has come.
func (x *Exchange) readHead() (began bool, err error) {
	cn := x.conn
	if err := x.deadline(cn.SetReadDeadline, x.client.opt.FirstByte); err != nil {
		return false, err
	}
	for informational := 0; ; informational++ {
		if _, err := cn.br.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				err = errClosed
			}
			return informational > 0, err
		}
		err := x.Header.Read(cn.br)
		if small := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &small) && cn.widen() {
			err = x.Header.Read(cn.br)
		}
		if err != nil {
			switch {
			case isTimeout(err):
				return true, err
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
				return true, ErrTruncated
			}
			return true, ErrMalformed // never what fasthttp says: it quotes the head
		}
		status := x.Header.StatusCode()
		if status >= 200 {
			break
		}
		if status < 100 || status == http.StatusSwitchingProtocols || informational >= 8 {
			return true, ErrMalformed
		}
		x.Header.Reset()
	}
	cn.hint = keepAliveHint(x.Header.Peek("Keep-Alive"))
	x.body = body{}
	noBody := x.NoBody
	x.NoBody = false
	switch n := x.Header.ContentLength(); {
	case noBody, x.Header.StatusCode() == http.StatusNoContent, x.Header.StatusCode() == http.StatusNotModified, n == 0:
		x.body.ended = true
	case n > 0:
		x.body.framing, x.body.left = framedLength, int64(n)
	case n == -1:
		x.body.framing = framedChunks
	default:
		x.body.framing = framedClose
	}
	x.decode()
	x.armed = time.Time{}
	return true, nil
}

// Read returns the bytes of the body that are at hand, and waits for some if
// there are none: no longer than wait, if that is not 0. The bytes are good until
// the next call. io.EOF is the end of the body; after ErrTimeout Read may be
// called again.
func (x *Exchange) Read(wait time.Duration) ([]byte, error) {
	p, err := x.readPiece(wait)
	if err == nil && x.Tap != nil {
		x.Tap(p)
	}
	return p, err
}

func (x *Exchange) readPiece(wait time.Duration) ([]byte, error) {
	if x.decoder != nil {
		return x.readDecoded(wait)
	}
	return x.readRaw(wait)
}

// readRaw is Read of the body as it is.
func (x *Exchange) readRaw(wait time.Duration) ([]byte, error) {
	if !x.body.more(x.conn) && !x.body.ended {
		// Deadlines cost; one that is a little early does no harm.
		if now := time.Now(); wait != x.armedFor || now.Sub(x.armed) > wait/16 || wait < time.Second {
			if err := x.deadline(x.conn.SetReadDeadline, wait); err != nil {
				return nil, x.fail(PhaseBody, err)
			}
			x.armed, x.armedFor = now, wait
		}
	}
	p, err := x.body.next(x.conn, x.client.opt.MaxBody)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, io.EOF) && x.body.ended:
		return nil, io.EOF
	case errors.Is(err, io.EOF):
		err = ErrTruncated
	case isTimeout(err):
		x.armed = time.Time{}
	}
	return nil, x.fail(PhaseBody, err)
}

// More reports whether Read would return at once.
func (x *Exchange) More() bool { return x.conn != nil && x.body.more(x.conn) }

// Ended reports whether the body has been read to its end.
func (x *Exchange) Ended() bool {
	return x.body.ended && (x.decoder == nil || x.decoder.over)
}

// ReadAtMost appends the body to dst, up to its end, until it is longer than most, or
// until end. The error is nil at the end of the body, or when there is enough of it.
func (x *Exchange) ReadAtMost(dst []byte, most int, end time.Time) ([]byte, error) {
	for from := len(dst); len(dst)-from < most; {
		p, err := x.Read(max(time.Until(end), time.Millisecond))
		dst = append(dst, p...)
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// lingering is how long a connection may take to end a reply that nobody waits
// for any more, so that it can be kept: the last bytes of a stream come a moment
// after its end was understood.
const lingering = 500 * time.Millisecond

// Close ends the exchange. The connection is kept if the reply was read to its
// end. With linger that is also the case if the rest comes in a moment;
// otherwise the connection is closed, which tells the backend to stop.
func (x *Exchange) Close(linger bool) {
	cn := x.conn
	if cn == nil {
		return
	}
	if linger && !x.body.ended && x.body.framing != framedClose && x.Cancelled() == nil {
		for x.body.more(cn) {
			if _, err := x.body.next(cn, 0); err != nil {
				break
			}
		}
		if !x.body.ended && !x.Header.ConnectionClose() {
			c, b := x.client, x.body
			x.detach()
			go b.drain(c, cn)
			return
		}
	}
	keep := x.body.ended && x.body.framing != framedClose && !x.Header.ConnectionClose() && x.Header.IsHTTP11() &&
		cn.br.Buffered() == x.body.taken && x.Cancelled() == nil // what else is there would pass for the next reply
	if !keep {
		x.drop()
		return
	}
	_, _ = cn.br.Discard(x.body.taken)
	x.detach()
	x.client.pool.release(cn)
}

// drain reads what is left of a body, and keeps the connection if that ends in
// time.
func (b body) drain(c *Client, cn *conn) {
	const most = 64 << 10
	_ = cn.SetReadDeadline(time.Now().Add(lingering))
	for start := b.total; b.total-start < most; {
		if _, err := b.next(cn, 0); errors.Is(err, io.EOF) && b.ended {
			if b.framing == framedClose || cn.br.Buffered() > 0 {
				break
			}
			c.pool.release(cn)
			return
		} else if err != nil {
			break
		}
	}
	_ = cn.Close()
	c.pool.release(nil)
}

// detach lets go of the connection: Cancel cannot reach it any more.
func (x *Exchange) detach() {
	x.mu.Lock()
	x.conn = nil
	x.mu.Unlock()
	x.reset()
}

// drop closes the connection and gives its place back.
func (x *Exchange) drop() {
	cn := x.conn
	x.mu.Lock()
	x.conn = nil
	x.mu.Unlock()
	_ = cn.Close()
	x.client.pool.release(nil)
	x.body = body{ended: true}
}

func (x *Exchange) reset() {
	x.closeDecoder()
	x.body = body{ended: true}
}

// Reset forgets the exchange before: its cancellation, its head.
func (x *Exchange) Reset() {
	x.closeDecoder()
	x.Header.Reset()
	x.Tap, x.Decode = nil, false
	x.mu.Lock()
	x.cause = nil
	x.mu.Unlock()
	x.body = body{}
}

// Cancel ends the exchange from any goroutine, in whatever phase it is: Do and
// Read return an *Error with the cause. It has no effect after Close.
func (x *Exchange) Cancel(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause != nil {
		return
	}
	x.cause = cause
	if x.stopDial != nil {
		x.stopDial()
	}
	if x.conn != nil {
		_ = x.conn.SetDeadline(time.Unix(1, 0))
	}
}

// Cancelled returns the cause of Cancel, or nil.
func (x *Exchange) Cancelled() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cause
}

// fail makes an *Error. Whatever a cancelled exchange runs into, the cause is
// that it was cancelled.
func (x *Exchange) fail(phase Phase, err error) error {
	if cause := x.Cancelled(); cause != nil {
		return &Error{phase, cause}
	}
	var client *ClientError
	if isTimeout(err) && !errors.As(err, &client) {
		err = ErrTimeout
	}
	return &Error{phase, err}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
