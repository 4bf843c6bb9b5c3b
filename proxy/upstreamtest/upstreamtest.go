// Package upstreamtest is a backend that does as it is told, for tests of what
// the proxy makes of it. It writes HTTP/1.1 by hand onto a TCP connection, so
// that it can also do what no HTTP server would.
//
// What it does with a request is a script (script.go), one step a line:
//
//	header Retry-After: 3            a header line for the next head or json
//	head 200 text/event-stream       a head; the body comes in chunks
//	head 200 text/plain close        … or until the connection closes
//	head 200 text/plain length=12    … or is so long
//	chunk data: {"a":1}              an event: the text and an empty line
//	chunk-raw "\x1f half an event"   a piece of the body, quoted as in Go
//	fill 1000000 "x"                 a body of so many bytes, as long as somebody reads
//	json 429 {"error":{…}}           a whole reply
//	raw "HTTP/1.1 100 \r\n\r\n"      bytes onto the wire
//	repeat 100 raw "…"               a step so many times
//	wait 50ms                        nothing, for so long
//	gate name                        nothing, until Server.Release(name)
//	stall                            nothing, until the proxy hangs up; hold-head is the same
//	endless-header                   a head without end
//	end                              the last chunk, which also comes by itself
//	close                            FIN
//	rst                              RST
//
// A script that begins with "unread" is played when a request begins to arrive,
// and none of it is read. Lines that begin with # are comments. A script ends
// early when the proxy hangs up.
package upstreamtest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Request is one request that the server has read.
type Request struct {
	Conn   int // the connection it came on, from 0
	Method string
	URI    string // path and query as they were on the wire
	Host   string
	Header http.Header
	Body   []byte

	// Gone is closed when the connection has ended, Played when the script has.
	Gone, Played chan struct{}

	number int // among all that have come
}

// Server is the backend.
type Server struct {
	Addr string // host:port

	answer    func(number int, r *Request) string // nil for a request that is not read yet
	keepAlive time.Duration
	ln        net.Listener
	t         testing.TB
	wg        sync.WaitGroup
	received  atomic.Int64

	mu       sync.Mutex
	requests []*Request
	taken    int // of requests, by Next
	unread   int
	conns    map[net.Conn]bool
	total    int // connections ever
	gates    map[string]chan struct{}
	closed   bool
}

// New starts a server for the time of the test. The n-th request is answered by
// the n-th script, those beyond by the last one.
func New(t testing.TB, scripts ...string) *Server {
	return start(t, 0, func(n int, _ *Request) string { return scripts[min(n, len(scripts)-1)] })
}

// NewFunc starts a server that asks for the script of each request. With a
// keepAlive that is not 0 it closes connections that are not used for so long.
func NewFunc(t testing.TB, keepAlive time.Duration, answer func(*Request) string) *Server {
	return start(t, keepAlive, func(_ int, r *Request) string {
		if r == nil {
			return ""
		}
		return answer(r)
	})
}

func newServer(t testing.TB, answer func(int, *Request) string) *Server {
	return &Server{answer: answer, t: t, conns: map[net.Conn]bool{}, gates: map[string]chan struct{}{}}
}

func start(t testing.TB, keepAlive time.Duration, answer func(int, *Request) string) *Server {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, answer)
	s.Addr, s.keepAlive, s.ln = ln.Addr().String(), keepAlive, ln
	s.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.serve(nc)
		}
	})
	t.Cleanup(s.Close)
	return s
}

// NewPiped makes a server that listens nowhere: Dial connects to it, in memory.
// It may be used with a fake clock (testing/synctest), and then ends with its
// connections.
func NewPiped(t testing.TB, answer func(*Request) string) *Server {
	s := newServer(t, func(_ int, r *Request) string {
		if r == nil {
			return ""
		}
		return answer(r)
	})
	s.Addr = "upstream.test:80"
	return s
}

// Dial connects to a server that NewPiped has made.
func (s *Server) Dial(_, _ string, _ time.Duration) (net.Conn, error) {
	near, far := net.Pipe()
	s.serve(far)
	return near, nil
}

// serve serves a connection.
func (s *Server) serve(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &conn{Conn: nc, s: s, number: s.total}
	s.total++
	s.conns[nc] = true
	if s.closed {
		_ = nc.Close()
	}
	s.wg.Go(c.serve)
}

// Close ends the server with all its connections.
func (s *Server) Close() {
	_ = s.ln.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Deaf is the address of a server that accepts no connection and refuses none,
// as one behind a lossy network: its queue is full.
func Deaf(t testing.TB) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("the queue of a listener does not fill up on this system")
	return ""
}

// URL is the server's address for a configuration.
func (s *Server) URL() string { return "http://" + s.Addr }

// Counts are how many requests have been read, and how many of those to be left
// unread have begun to arrive; how many connections there have been, and are.
func (s *Server) Counts() (read, unread, conns, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests), s.unread, s.total, len(s.conns)
}

// Count is how many requests have been read.
func (s *Server) Count() int { n, _, _, _ := s.Counts(); return n }

// Received is how many bytes have come, on all connections.
func (s *Server) Received() int64 { return s.received.Load() }

// Requests are all requests so far.
func (s *Server) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Request(nil), s.requests...)
}

// Next waits for the next request that Next has not returned before.
func (s *Server) Next() (r *Request) {
	s.t.Helper()
	for timeout := time.Now().Add(15 * time.Second); r == nil; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		if s.taken < len(s.requests) {
			r = s.requests[s.taken]
			s.taken++
		}
		s.mu.Unlock()
		if time.Now().After(timeout) {
			s.t.Fatal("the upstream waits for a request in vain")
		}
	}
	return r
}

// Release opens a gate, for now and for all time.
func (s *Server) Release(gate string) { close(s.gate(gate)) }

func (s *Server) gate(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates[name] == nil {
		s.gates[name] = make(chan struct{})
	}
	return s.gates[name]
}

// conn is one connection. Reading goes on while a script is played: that is how
// it is noticed that the proxy hangs up.
type conn struct {
	net.Conn
	s       *Server
	number  int
	header  string // lines for the next head
	chunked bool   // a body in chunks has begun and not ended
	begun   *Request
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.received.Add(int64(n))
	return n, err
}

func (c *conn) serve() {
	arrived, gone := make(chan *Request), make(chan struct{})
	c.s.wg.Go(func() { c.read(arrived, gone) })
	defer func() {
		_ = c.Close()
		for range arrived { // until read has noticed
		}
		c.s.mu.Lock()
		delete(c.s.conns, c.Conn)
		c.s.mu.Unlock()
	}()
	for r := range arrived {
		if !c.play(r) {
			return
		}
		c.idle(r)
	}
}

// idle lets the connection end if no request follows r.
func (c *conn) idle(r *Request) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.keepAlive > 0 && c.begun == r {
		_ = c.SetReadDeadline(time.Now().Add(c.s.keepAlive))
	}
}

// begin says that r is coming.
func (c *conn) begin(r *Request) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.begun = r
	_ = c.SetReadDeadline(time.Time{})
}

// read reads one request after the other, until the connection ends.
func (c *conn) read(arrived chan<- *Request, gone chan struct{}) {
	defer close(arrived)
	defer close(gone)
	br := bufio.NewReader(c)
	for {
		if br.Buffered() == 0 && !c.readable(br) {
			_ = c.Close() // at once: what arrives from now on is not read
			return
		}
		r := &Request{Conn: c.number, Gone: gone, Played: make(chan struct{})}
		c.begin(r)
		c.s.mu.Lock()
		r.number = len(c.s.requests) + c.s.unread
		if strings.HasPrefix(strings.TrimSpace(c.s.answer(r.number, nil)), "unread") {
			c.s.unread++
			c.s.mu.Unlock()
			arrived <- r
			return
		}
		c.s.mu.Unlock()
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		r.Method, r.URI, r.Header, r.Host = req.Method, req.RequestURI, req.Header, req.Host
		if r.Body, err = io.ReadAll(req.Body); err != nil {
			return
		}
		c.s.mu.Lock()
		r.number = len(c.s.requests) + c.s.unread
		c.s.requests = append(c.s.requests, r)
		c.s.mu.Unlock()
		arrived <- r
	}
}

// readable waits for a byte without reading it, but for a pipe, where br may.
func (c *conn) readable(br *bufio.Reader) bool {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		_, err := br.Peek(1)
		return err == nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	var b [1]byte
	peek := func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	}
	if raw.Read(peek) != nil { // it was idle for too long, but perhaps is no more
		_ = raw.Control(func(fd uintptr) { peek(fd) })
	}
	return err == nil && n > 0
}
