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
	wire   *counter        // counts what is written, below TLS
	before int64           // bytes written before the request that is under way
	idle   time.Time       // since when it has not been in use
	open   time.Duration   // for how long it was not in use when it was seen open last
	hint   time.Duration   // for how long the backend keeps it, as its Keep-Alive header says; 0 if it does not say
	reused bool            // it has carried an exchange before
}

// pool keeps connections that may carry another request: the last one used is
// the first one used again, so that the others can expire, and show meanwhile for
// how long the backend keeps them.
type pool struct {
	max, maxIdle int
	expire       time.Duration

	mu      sync.Mutex
	idle    []*conn // oldest first
	limit   idleLimit
	active  int
	closed  bool
	sweeper *time.Timer
}

func (p *pool) init(opt Options) {
	p.max, p.maxIdle, p.expire = opt.MaxConns, opt.MaxIdle, opt.IdleExpire
}

// take reserves a place and returns a kept connection, or nil when a new one has
// to be made. After ErrBusy there is no place.
func (p *pool) take(fresh bool) (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.max > 0 && p.active >= p.max {
		return nil, ErrBusy
	}
	p.active++
	if fresh {
		return nil, nil
	}
	return p.freshest(), nil
}

// takeAgain exchanges a connection that turned out dead for another one.
func (p *pool) takeAgain(dead *conn) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sawClosed(dead, time.Now())
	return p.freshest()
}

// freshest takes the connection that was used last, unless even that is too old
// to be used.
func (p *pool) freshest() *conn {
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	if time.Since(c.idle) > p.limit.usable(c.hint) {
		return nil
	}
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// lost notes that the backend had closed a connection that was taken for open.
func (p *pool) lost(c *conn) {
	p.mu.Lock()
	p.limit.sawClosed(c.open, time.Now())
	p.mu.Unlock()
}

func (p *pool) sawClosed(c *conn, now time.Time) {
	age := now.Sub(c.idle)
	if since, ok := c.endedFor(); ok {
		age -= since
	} else {
		age = c.open
	}
	p.limit.sawClosed(min(max(age, c.open), now.Sub(c.idle)), now)
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
	c.idle, c.open, c.reused = time.Now(), 0, true
	p.idle = append(p.idle, c)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.interval(), p.sweep)
	}
	p.mu.Unlock()
}

// interval is the time between two looks at the connections: short while little
// is known about the backend, so that more is soon.
func (p *pool) interval() time.Duration {
	return min(max(p.limit.usable(0)/4, 10*time.Millisecond), time.Second, max(p.expire/4, time.Millisecond))
}

// sweep closes what has been kept for too long, and what the backend has closed.
func (p *pool) sweep() {
	p.mu.Lock()
	now := time.Now()
	var ended []*conn
	rest := p.idle[:0]
	tooOld := func(c *conn) bool { return now.Sub(c.idle) > p.limit.usable(c.hint) }
	old := 0
	for _, c := range p.idle {
		if tooOld(c) {
			old++
		}
	}
	for _, c := range p.idle {
		age := now.Sub(c.idle)
		switch {
		case !c.alive():
			p.sawClosed(c, now)
		case age >= p.expire:
			p.limit.sawOpen(age, now)
		case old > watched && (c.hint > 0 || p.limit.known()) && tooOld(c):
			old--
		default:
			c.open = age
			p.limit.sawOpen(age, now)
			rest = append(rest, c)
			continue
		}
		ended = append(ended, c)
	}
	clear(p.idle[len(rest):])
	p.idle = rest
	if p.closed || len(p.idle) == 0 {
		p.sweeper = nil
	} else {
		p.sweeper.Reset(p.interval())
	}
	p.mu.Unlock()
	for _, c := range ended {
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
