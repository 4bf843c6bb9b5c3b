package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// backend accepts connections and counts what it reads on them.
type backend struct {
	addr  string
	reads sync.Map // of a request's X-Id: how often it was read (*atomic.Int32)
	conns atomic.Int32
}

// serveEach starts a backend that gives each connection, counted from 1, to serve.
func serveEach(t *testing.T, serve func(b *backend, n int, nc *net.TCPConn)) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	b := &backend{addr: ln.Addr().String()}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(b, int(b.conns.Add(1)), nc.(*net.TCPConn))
		}
	}()
	return b
}

// answer reads one request and answers it.
func (b *backend) answer(br *bufio.Reader, nc net.Conn, headers string) error {
	if err := b.read(br); err != nil {
		return err
	}
	_, err := io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"+headers+"\r\nok")
	return err
}

func (b *backend) read(br *bufio.Reader) error {
	req, err := http.ReadRequest(br)
	if err != nil {
		return err
	}
	n, _ := b.reads.LoadOrStore(req.Header.Get("X-Id"), new(atomic.Int32))
	n.(*atomic.Int32).Add(1) // begun is as good as done
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

// count is how often the backend has read a request.
func (b *backend) count(id string) int32 {
	n, ok := b.reads.Load(id)
	if !ok {
		return 0
	}
	return n.(*atomic.Int32).Load()
}

func request(method, id string, body int) []byte {
	return fmt.Appendf(nil, "%s / HTTP/1.1\r\nHost: x\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", method, id, body, strings.Repeat("x", body))
}

// ask sends a request. As a stream its body comes apart from its head.
func ask(c *Client, wire []byte, streamed bool) (attempts int, err error) {
	var x Exchange
	var stream *StreamBody
	if i := bytes.Index(wire, []byte("\r\n\r\n")) + 4; streamed {
		stream = &StreamBody{Reader: bytes.NewReader(wire[i:])}
		wire = wire[:i]
	}
	if err := x.Do(c, wire, stream); err != nil {
		return x.Attempts, err
	}
	_, err = x.ReadAtMost(nil, 1<<20, time.Now().Add(5*time.Second))
	x.Close(false)
	return x.Attempts, err
}

// unchecked makes the next request use the kept connection without a look at it,
// as it does when the connection ends a moment after the look.
func (c *Client) unchecked() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.sweeper.Stop()
	for _, cn := range c.pool.idle {
		cn.idle = time.Now().Add(time.Minute)
	}
}

// arrived waits for a byte without reading it.
func arrived(nc *net.TCPConn) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
}

// A backend's way to end a kept connection decides whether the request that was
// sent on it may be sent again.
func TestRetry(t *testing.T) {
	t.Parallel()
	reset := func(nc *net.TCPConn) { _ = nc.SetLinger(0); _ = nc.Close() }
	wait := func() { time.Sleep(30 * time.Millisecond) }
	for _, c := range []struct {
		name  string
		end   func(b *backend, br *bufio.Reader, nc *net.TCPConn)
		again bool
	}{
		{"closed before", func(_ *backend, _ *bufio.Reader, nc *net.TCPConn) { _ = nc.Close() }, true},
		{"reset before", func(_ *backend, _ *bufio.Reader, nc *net.TCPConn) { reset(nc) }, true},
		{"read and reset at once", func(b *backend, br *bufio.Reader, nc *net.TCPConn) { _ = b.read(br); reset(nc) }, false},
		{"read and closed at once", func(b *backend, br *bufio.Reader, nc *net.TCPConn) { _ = b.read(br); _ = nc.Close() }, false},
		{"read and reset later", func(b *backend, br *bufio.Reader, nc *net.TCPConn) {
			_ = b.read(br)
			wait()
			reset(nc)
		}, false},
		{"read in part and reset", func(b *backend, br *bufio.Reader, nc *net.TCPConn) {
			_, _ = br.ReadByte()
			reset(nc)
		}, false},
		{"read in part and closed", func(b *backend, br *bufio.Reader, nc *net.TCPConn) {
			_, _ = br.ReadByte()
			_ = nc.Close()
		}, false},
		// Nobody can tell this from one that was read.
		{"arrived and reset", func(_ *backend, _ *bufio.Reader, nc *net.TCPConn) { arrived(nc); reset(nc) }, false},
	} {
		for _, size := range []int{1, 60_000, 1 << 20} {
			for _, streamed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", c.name, size, streamed), func(t *testing.T) {
					t.Parallel()
					ready, ended := make(chan struct{}), make(chan struct{})
					b := serveEach(t, func(b *backend, n int, nc *net.TCPConn) {
						br := bufio.NewReader(nc)
						if b.answer(br, nc, "") != nil {
							return
						}
						if n > 1 {
							_ = b.answer(br, nc, "")
							return
						}
						<-ready
						c.end(b, br, nc)
						close(ended)
					})
					client := New(Options{Addr: b.addr, MaxIdle: 1, IdleExpire: time.Minute, FirstByte: 5 * time.Second})
					defer client.Close()
					if _, err := ask(client, request("POST", "first", 1), false); err != nil {
						t.Fatal(err)
					}
					client.unchecked()
					close(ready)
					if c.again {
						<-ended
					}
					attempts, err := ask(client, request("POST", "second", size), streamed)
					if again := attempts == 2; again != c.again || (err == nil) != c.again {
						t.Errorf("%d attempts, %v", attempts, err)
					}
					if n := b.count("second"); n > 1 || c.again && n != 1 {
						t.Errorf("it was read %d times", n)
					}
				})
			}
		}
	}
}

// A request that only asks for something is sent again in any case, once.
func TestRetrySafeMethod(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "DELETE": 1, "GETS": 1} {
		b := serveEach(t, func(b *backend, n int, nc *net.TCPConn) {
			br := bufio.NewReader(nc)
			if n == 1 {
				_ = b.answer(br, nc, "")
			}
			_ = b.read(br)
			_ = nc.SetLinger(0)
			_ = nc.Close()
		})
		client := New(Options{Addr: b.addr, MaxIdle: 1, IdleExpire: time.Minute})
		if _, err := ask(client, request("POST", "first", 1), false); err != nil {
			t.Fatal(err)
		}
		attempts, err := ask(client, request(method, "second", 0), false)
		if attempts != want || err == nil {
			t.Errorf("%s: %d attempts, %v", method, attempts, err)
		}
		client.Close()
	}
}

// TestRetryAtIdleBoundary sends requests of all sizes at the very moment in which
// the backend closes connections that are not in use, which it does in the worst
// way: with a reset if something has arrived that it has not read.
func TestRetryAtIdleBoundary(t *testing.T) {
	for _, hint := range []bool{false, true} {
		t.Run(fmt.Sprintf("hint=%v", hint), func(t *testing.T) {
			idle, workers, posts := 200*time.Millisecond, 50, 8
			if *long {
				workers, posts = 100, 100
			}
			headers := ""
			if hint {
				idle, headers = time.Second, "Keep-Alive: timeout=1\r\n"
				posts = max(3, posts/5)
			}
			b := serveEach(t, func(b *backend, _ int, nc *net.TCPConn) {
				defer nc.Close()
				br := bufio.NewReader(nc)
				for {
					_ = nc.SetReadDeadline(time.Now().Add(idle))
					if _, err := br.Peek(1); err != nil {
						return
					}
					_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
					if b.answer(br, nc, headers) != nil {
						return
					}
				}
			})
			client := New(Options{Addr: b.addr, MaxIdle: 1000, IdleExpire: 4 * time.Second, FirstByte: 10 * time.Second, Write: 10 * time.Second})
			defer client.Close()
			var wg sync.WaitGroup
			var lost, again atomic.Int32
			for w := range workers {
				wg.Go(func() {
					for i := range posts {
						if i > 0 {
							time.Sleep(idle + time.Duration(rand.Int64N(int64(idle/4))) - idle/8)
						}
						size := 1 << rand.IntN(21)
						id := fmt.Sprintf("%d-%d", w, i)
						attempts, err := ask(client, request("POST", id, size), w%2 == 0)
						if attempts > 1 {
							again.Add(1)
						}
						if err != nil {
							lost.Add(1)
							t.Logf("%s of %d bytes: %d attempts, %v", id, size, attempts, err)
						}
						if n := b.count(id); n > 1 || err == nil && n != 1 {
							t.Errorf("%s was read %d times", id, n)
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%d requests on %d connections, %d sent again, %d lost", workers*posts, b.conns.Load(), again.Load(), lost.Load())
			if lost.Load() > 0 {
				t.Errorf("%d requests were lost", lost.Load())
			}
		})
	}
}
