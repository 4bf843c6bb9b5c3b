// Package faultproxy is a TCP proxy that breaks connections: it cuts, resets,
// stalls, delays and throttles them, at a byte that is given.
package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Action is what happens to a connection at a byte.
type Action string

// The actions.
const (
	Pass  Action = ""      // nothing
	Cut   Action = "cut"   // no byte follows: the direction ends properly
	Reset Action = "reset" // the connection is reset, on both sides
	Stall Action = "stall" // no byte follows, and none is read
)

// Fault is what happens to one direction of a connection.
type Fault struct {
	Do Action
	// After is how many bytes pass before it is done, right after the last of
	// them. With 0 it is done when the first byte comes, and in its place: what
	// the other direction carries has got through by then.
	After int64
	Delay time.Duration // before the first byte
	Rate  int           // bytes a second; 0 is as fast as it goes
}

// Plan is what happens to a connection.
type Plan struct {
	Request  Fault // from the client to the server
	Response Fault // from the server to the client
}

// Proxy passes connections on to a server. Make one with Start.
type Proxy struct {
	listener net.Listener
	target   string
	open     sync.WaitGroup

	mu     sync.Mutex
	plan   Plan
	conns  map[*conn]bool
	last   *conn
	opened int
}

// conn is a connection and the one that was made for it.
type conn struct {
	client, server *net.TCPConn
	once           sync.Once
	ended          chan struct{} // closed when a direction has ended

	mu                sync.Mutex
	request, response int64 // bytes that have passed
}

// Start starts a proxy in front of an address.
func Start(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: ln, target: target, conns: map[*conn]bool{}}
	go p.accept()
	return p, nil
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set makes the plan for the connections that are opened from now on.
func (p *Proxy) Set(plan Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// Opened is how many connections there have been.
func (p *Proxy) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Passed is how many bytes have passed through the connection that was opened
// last.
func (p *Proxy) Passed() (request, response int64) {
	p.mu.Lock()
	c := p.last
	p.mu.Unlock()
	if c == nil {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.request, c.response
}

// AwaitEnd waits until a direction of the connection that was opened last has
// ended, and returns whether it has in time.
func (p *Proxy) AwaitEnd(timeout time.Duration) bool {
	p.mu.Lock()
	c := p.last
	p.mu.Unlock()
	if c == nil {
		return true
	}
	select {
	case <-c.ended:
		return true
	case <-time.After(timeout):
		return false
	}
}

// HangUp closes the connections that are open, as a server that restarts does.
func (p *Proxy) HangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.close()
	}
}

// Close closes the proxy and its connections, and waits until they are closed.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.close()
	}
	p.mu.Unlock()
	p.open.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &conn{client: client.(*net.TCPConn), server: server.(*net.TCPConn), ended: make(chan struct{})}
		p.mu.Lock()
		plan := p.plan
		p.conns[c], p.last = true, c
		p.opened++
		p.mu.Unlock()
		p.open.Add(1)
		go func() {
			defer p.open.Done()
			c.run(plan)
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
		}()
	}
}

// run carries both directions to their ends.
func (c *conn) run(plan Plan) {
	defer c.close()
	if plan.Response.Do == Stall {
		_ = c.server.SetReadBuffer(4 << 10) // so that the server soon notices
	}
	var both sync.WaitGroup
	both.Go(func() { c.direction(c.server, c.client, plan.Request, &c.request) })
	both.Go(func() { c.direction(c.client, c.server, plan.Response, &c.response) })
	both.Wait()
}

// direction carries bytes until the fault, or the end.
func (c *conn) direction(dst, src *net.TCPConn, fault Fault, passed *int64) {
	err := c.pass(dst, src, fault, passed)
	switch {
	case errors.Is(err, errFault) && fault.Do == Stall:
		<-c.ended // of the other direction: somebody has left
		c.close()
	case errors.Is(err, errFault) && fault.Do == Cut, errors.Is(err, io.EOF):
		_ = dst.CloseWrite()
	default: // a reset, on either side or by plan
		_ = c.client.SetLinger(0)
		_ = c.server.SetLinger(0)
		c.close()
	}
	c.once.Do(func() { close(c.ended) })
}

// errFault is the end of a direction according to plan.
var errFault = errors.New("fault")

func (c *conn) pass(dst, src *net.TCPConn, fault Fault, passed *int64) error {
	size := 32 << 10
	const tick = 10 * time.Millisecond
	if fault.Rate > 0 {
		size = max(fault.Rate*int(tick)/int(time.Second), 1)
	}
	buf := make([]byte, size)
	for left := fault.After; ; {
		if fault.Do != Pass && fault.After > 0 && left == 0 {
			return errFault
		}
		p := buf
		if fault.Do != Pass && left > 0 && int64(len(p)) > left {
			p = p[:left]
		}
		n, err := src.Read(p)
		if n > 0 && fault.Do != Pass && fault.After == 0 {
			return errFault
		}
		if n > 0 {
			c.sleep(fault.Delay)
			fault.Delay = 0
			if fault.Rate > 0 {
				c.sleep(tick)
			}
			if _, err := dst.Write(p[:n]); err != nil {
				return err
			}
			left -= int64(n)
			c.mu.Lock()
			*passed += int64(n)
			c.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
}

// sleep waits, but not for a connection that has ended.
func (c *conn) sleep(d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-c.ended:
	}
}

func (c *conn) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}
