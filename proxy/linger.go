package proxy

import (
	"io"
	"net"
	"sync/atomic"
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

// lingerListener is a listener whose connections can linger.
type lingerListener struct {
	net.Listener
	ready *atomic.Bool // false: the server is about to stop, and waits for nobody
}

func (l lingerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &lingerConn{TCPConn: tcp, ready: l.ready}, nil
	}
	return c, nil
}

type lingerConn struct {
	*net.TCPConn
	ready   *atomic.Bool
	lingers atomic.Bool
}

// Close closes the connection, at once or when the client has.
func (c *lingerConn) Close() error {
	if c.lingers.Swap(false) && c.ready.Load() && c.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(discard{}, c.TCPConn)
	}
	return c.TCPConn.Close()
}

// discard is io.Discard without its large buffers, which nobody needs here.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// linger says whether a connection lingers when it is closed.
func linger(conn net.Conn, yes bool) {
	if c, ok := conn.(*lingerConn); ok {
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
