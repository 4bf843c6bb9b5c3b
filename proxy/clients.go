package proxy

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Causes for which an exchange is cancelled.
var (
	errClientGone = errors.New("the client has left")
	errDraining   = errors.New("the server is shutting down")
)

// client is one connection of a client. fasthttp tells nobody when a client
// leaves while its request is being served, so each connection is watched (see
// gone_linux.go), and the exchange that it is being served with is cancelled.
type client struct {
	conn net.Conn // nil when detached

	mu      sync.Mutex
	cur     *exchange
	gone    bool
	streams bool   // cur is writing a stream
	wake    func() // of what waits for something else than the upstream
}

// begin says that x is what the connection waits for now.
func (c *client) begin(x *exchange) {
	c.mu.Lock()
	c.cur = x
	gone := c.gone
	c.mu.Unlock()
	if gone {
		x.up.Cancel(errClientGone)
	}
}

// end says that the exchange is over. After it the connection's fate does not
// touch x any more.
func (c *client) end() {
	c.mu.Lock()
	c.cur, c.wake, c.streams = nil, nil, false
	c.mu.Unlock()
}

// streaming says that the exchange is about to write a stream. When the client
// leaves, that ends also where writing waits for it to read: one that has only
// closed its half of the connection may never read again.
func (c *client) streaming() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = true
	if c.gone {
		c.abort()
	}
}

// abort makes sure that nothing more is written: whatever is answered to a client
// that has left is for the log.
func (c *client) abort() {
	if c.conn != nil {
		_ = c.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

func (c *client) cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(cause, errClientGone) {
		c.gone = true
		if c.streams {
			c.abort()
		}
	}
	if c.cur != nil {
		c.cur.up.Cancel(cause)
		if c.wake != nil {
			c.wake()
		}
	}
}

// onCancel has f called when the exchange is cancelled, also if it is already.
func (c *client) onCancel(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = f
	if c.cur == nil || c.cur.up.Cancelled() != nil {
		f()
	}
}

// clients are all connections of the server.
type clients struct {
	watcher *watcher // nil where there is none
	byConn  sync.Map // net.Conn → *client
}

// state follows fasthttp's connections.
func (cs *clients) state(conn net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		c := &client{conn: conn}
		cs.byConn.Store(conn, c)
		if cs.watcher != nil {
			cs.watcher.add(conn, c)
		}
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		if v, ok := cs.byConn.LoadAndDelete(conn); ok && cs.watcher != nil {
			cs.watcher.remove(v.(*client))
		}
	}
}

// of returns the client behind a connection.
func (cs *clients) of(conn net.Conn) *client {
	if v, ok := cs.byConn.Load(conn); ok {
		return v.(*client)
	}
	return &client{} // a connection that fasthttp did not announce: tests
}

// cancelAll ends whatever is still going on.
func (cs *clients) cancelAll(cause error) {
	cs.byConn.Range(func(_, v any) bool {
		v.(*client).cancel(cause)
		return true
	})
}
