package proxy

import (
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// A client that is refused may be sending still. Closing a connection with
// unread bytes in it makes the system reset it, and the reset overtakes the
// reply: the client sees a broken connection instead of the reason, and sends
// the same again. So such a connection is half closed, and what comes is thrown
// away until the client has read its reply and closes too.

// lingerTime bounds how long a refused client may go on sending.
const lingerTime = 2 * time.Second

// linger waits for the client to close a connection that lingers.
func (c *clientConn) linger() {
	if c.lingers.Swap(false) && c.from.ready.Load() && c.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = discard{}.ReadFrom(c.TCPConn)
	}
}

// discard throws away what it reads, without io.Discard's large buffers.
type discard struct{}

// ReadFrom reads to the end.
func (discard) ReadFrom(r io.Reader) (n int64, err error) {
	var buf [2 << 10]byte
	for {
		m, err := r.Read(buf[:])
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// linger says whether a connection lingers when it is closed.
func linger(conn net.Conn, yes bool) {
	if c, ok := conn.(*clientConn); ok {
		c.lingers.Store(yes)
	}
}

// lingerIfUnread makes the connection linger if it is going to be closed before
// the request has been read: because the reply says so, or because there is more
// to read than fasthttp would to keep the connection.
func lingerIfUnread(ctx *fasthttp.RequestCtx) {
	const readAnyway = 64 << 10
	if n := ctx.Request.Header.ContentLength(); n > readAnyway || n == -1 || ctx.Response.ConnectionClose() {
		linger(ctx.Conn(), true)
	}
}
