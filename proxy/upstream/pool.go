package upstream

import (
	"bufio"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is a connection to the backend with its reader.
type conn struct {
	net.Conn
	br     *bufio.Reader
	most   int             // what br may grow to
	raw    syscall.RawConn // of the TCP connection, also below TLS; nil if there is none
	idle   time.Time       // since when it has not been in use
	reused bool            // it has carried an exchange before
}

// pool keeps connections that may carry another request: the last one used is
// the first one used again, so that the others can expire.
type pool struct {
	max, maxIdle int
	expire       time.Duration

	mu      sync.Mutex
	idle    []*conn // oldest first
	active  int
	closed  bool
	sweeper *time.Timer
}

func (p *pool) init(opt Options) {
	p.max, p.maxIdle, p.expire = opt.MaxConns, opt.MaxIdle, opt.IdleExpire
}

// take reserves a place and returns a kept connection, or nil when a new one has
// to be made. After ErrBusy there is no place.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.max > 0 && p.active >= p.max {
		return nil, ErrBusy
	}
	p.active++
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c, nil
}

// takeAgain exchanges a connection that turned out dead for another one.
func (p *pool) takeAgain() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// release gives a place back, and keeps its connection if c is not nil.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	p.active--
	if c == nil {
		p.mu.Unlock()
		return
	}
	if p.closed || p.expire <= 0 || len(p.idle) >= p.maxIdle {
		p.mu.Unlock()
		_ = c.Close()
		return
	}
	c.idle, c.reused = time.Now(), true
	p.idle = append(p.idle, c)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.expire, p.sweep)
	}
	p.mu.Unlock()
}

// sweep closes what has been kept for too long.
func (p *pool) sweep() {
	p.mu.Lock()
	old := time.Now().Add(-p.expire)
	n := 0
	for n < len(p.idle) && !p.idle[n].idle.After(old) {
		n++
	}
	expired := append([]*conn(nil), p.idle[:n]...)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	switch {
	case p.closed, len(p.idle) == 0:
		p.sweeper = nil
	default:
		p.sweeper.Reset(max(time.Until(p.idle[0].idle.Add(p.expire)), time.Millisecond))
	}
	p.mu.Unlock()
	for _, c := range expired {
		_ = c.Close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

func (p *pool) stats() (active, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.active, len(p.idle)
}
