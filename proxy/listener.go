package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
)

// A listener never ends because the system is short of something, and it bounds
// the connections that are open: so that there are descriptors left for upstreams
// and the store, and so that one address does not take all of them. A connection
// beyond that gets a 503 that costs next to nothing, or is closed.

// listener is a listener whose connections are bounded and can linger.
type listener struct {
	net.Listener
	bounds  connectionBounds
	slow    time.Duration // how long a client may take nothing; 0 is for ever
	ready   *atomic.Bool  // false: the server is about to stop, and waits for nobody
	metrics *metrics.Metrics
	log     *zap.Logger

	open     atomic.Int64
	refusing chan struct{} // one for each that is being refused
	closed   chan struct{}
	close    sync.Once
	lastWarn time.Time // of Accept, which one goroutine calls

	mu        sync.Mutex
	addresses map[netip.Prefix]int
}

// connectionBounds are how many connections may be open. 0 is no bound.
type connectionBounds struct {
	all, perAddress int

	// refusing is how many connections are refused at a time so that the client gets
	// to read it. Further ones are closed with what fits into their buffer.
	refusing int
}

func (s *Server) newListener(ln net.Listener, bounds connectionBounds, slow time.Duration) *listener {
	return &listener{
		Listener: ln, bounds: bounds, slow: slow, ready: &s.ready, metrics: s.metrics, log: s.log,
		refusing: make(chan struct{}, bounds.refusing), closed: make(chan struct{}), addresses: map[netip.Prefix]int{},
	}
}

// Close stops listening. A second call does nothing.
func (l *listener) Close() (err error) {
	l.close.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
	})
	return err
}

// Accept waits for a connection that may be served. It fails only when the
// listener is closed, or broken for good.
func (l *listener) Accept() (net.Conn, error) {
	var pause time.Duration
	for failures := 0; ; failures++ {
		c, err := l.Listener.Accept()
		if err == nil {
			pause, failures = 0, 0
			if conn := l.admit(c); conn != nil {
				return conn, nil
			}
			continue
		}
		short, passes := shortage(err)
		if !short && !passes {
			return nil, err
		}
		l.metrics.AcceptErrors.Add(1)
		if now := time.Now(); now.Sub(l.lastWarn) > time.Minute {
			l.lastWarn = now
			l.log.Warn("a connection could not be accepted; the listener goes on", zap.Error(err), zap.Int64("connections", l.open.Load()))
		}
		const few = 10
		if !short && failures < few {
			continue // it was about one connection
		}
		const longest = time.Second
		pause = min(max(2*pause, 5*time.Millisecond), longest)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// shortage reports whether accept has failed because the system is short of
// something, or for a reason that passes at once (accept(2)).
func shortage(err error) (short, passes bool) {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return false, false
	}
	switch no {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS:
		return true, false
	case syscall.EPERM: // of a firewall
		return false, true
	case syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EAGAIN, syscall.EPROTO, syscall.ETIMEDOUT,
		syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH:
		return false, true
	}
	return false, false
}

// isShortage reports whether the system was short of something that it has for all
// of the process, such as descriptors.
func isShortage(err error) bool {
	short, _ := shortage(err)
	return short
}

// admit returns the connection as one of the server's, or refuses it.
func (l *listener) admit(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	conn := &clientConn{TCPConn: tcp, from: l}
	open := l.open.Add(1)
	if n := l.bounds.all; n > 0 && open > int64(n) {
		l.open.Add(-1)
		l.metrics.ConnectionsRefused[metrics.RefusedAll].Add(1)
		l.refuse(tcp)
		return nil
	}
	if !l.enter(conn, c.RemoteAddr()) {
		l.open.Add(-1)
		l.metrics.ConnectionsRefused[metrics.RefusedAddress].Add(1)
		l.refuse(tcp)
		return nil
	}
	l.metrics.Connections.Add(1)
	boundUnsent(tcp)
	return conn
}

// enter counts a connection among those of its address.
func (l *listener) enter(c *clientConn, remote net.Addr) bool {
	if l.bounds.perAddress == 0 {
		return true
	}
	address, ok := addressOf(remote)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[address] >= l.bounds.perAddress {
		return false
	}
	l.addresses[address]++
	c.address = address
	return true
}

// addressOf is what connections are counted by: an IPv4 address, or the /64 of an
// IPv6 address, which one host has all of. ok is false for this machine.
func addressOf(a net.Addr) (p netip.Prefix, ok bool) {
	tcp, isTCP := a.(*net.TCPAddr)
	if !isTCP {
		return p, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() || ip.IsLoopback() {
		return p, false
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

// leave is called when a connection is closed.
func (l *listener) leave(c *clientConn) {
	l.open.Add(-1)
	l.metrics.Connections.Add(-1)
	if !c.address.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[c.address]--; l.addresses[c.address] <= 0 {
		delete(l.addresses, c.address)
	}
}

// refusal is what a client is told whose connection is one too many.
func refusal() []byte {
	e := errOverloaded("This server has as many connections as it can serve. Try again in a moment.")
	body := e.AppendBody(nil)
	const head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nX-Request-Id: "
	return append([]byte(head+newRequestID()+"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)
}

// refuse tells a client to come again, and closes its connection. It does not
// keep the listener waiting.
func (l *listener) refuse(c *net.TCPConn) {
	select {
	case l.refusing <- struct{}{}:
		go func() {
			defer func() { <-l.refusing }()
			defer c.Close()
			// A reply before the request puzzles clients, and closing with the request
			// unread resets the connection before they have read it.
			_ = c.SetReadDeadline(time.Now().Add(lingerTime / 2))
			var request [1]byte
			if _, err := c.Read(request[:]); errors.Is(err, io.EOF) {
				return
			}
			_ = c.SetDeadline(time.Now().Add(lingerTime))
			if _, err := c.Write(refusal()); err == nil && c.CloseWrite() == nil {
				_, _ = discard{}.ReadFrom(c)
			}
		}()
	default:
		_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond)) // the buffer of a new connection is empty
		_, _ = c.Write(refusal())
		_ = c.Close()
	}
}

// clientConn is the connection of a client. See linger.go and slow_writer.go for
// what it does when it is closed, and when the client does not read.
type clientConn struct {
	*net.TCPConn
	from    *listener
	address netip.Prefix // that it is counted by; zero if it is not
	lingers atomic.Bool
	left    atomic.Bool
	pace    writePace
}

// Close closes the connection, at once or when the client has.
func (c *clientConn) Close() error {
	c.linger()
	err := c.TCPConn.Close()
	if !c.left.Swap(true) {
		c.from.leave(c)
	}
	return err
}
