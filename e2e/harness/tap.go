package harness

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
)

// Tap is a TCP proxy that keeps what goes through it, in both directions. It
// passes bytes on before it takes more, so that a reader that is slow on one
// side is slow on the other too; and closes and resets as it is closed.
type Tap struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns []*tapped
	open  sync.WaitGroup
}

// tapped is one connection.
type tapped struct {
	mu          sync.Mutex
	toServer    bytes.Buffer
	toClient    bytes.Buffer
	serverEnded bool // the server has closed its side
	clientLeft  bool // the client has closed, and before the server did

	client, server net.Conn
}

// NewTap starts a tap in front of an address.
func NewTap(target string) (*Tap, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tap{listener: ln, target: target}
	go t.accept()
	return t, nil
}

// Addr is where clients connect to.
func (t *Tap) Addr() string { return t.listener.Addr().String() }

// Close closes the tap and all connections, and waits until they are closed.
func (t *Tap) Close() {
	_ = t.listener.Close()
	t.mu.Lock()
	for _, c := range t.conns {
		_ = c.client.Close()
		_ = c.server.Close()
	}
	t.mu.Unlock()
	t.open.Wait()
}

func (t *Tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", t.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &tapped{client: client, server: server}
		t.mu.Lock()
		t.conns = append(t.conns, c)
		t.mu.Unlock()
		t.open.Add(1)
		go func() {
			defer t.open.Done()
			c.run()
		}()
	}
}

func (c *tapped) run() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := c.copy(c.server, c.client, &c.toServer)
		c.mu.Lock()
		c.clientLeft = !c.serverEnded
		c.mu.Unlock()
		hangUp(c.server, err) // the server hears of it at once
	}()
	ended, err := c.copy(c.client, c.server, &c.toClient)
	c.mu.Lock()
	c.serverEnded = ended
	c.mu.Unlock()
	hangUp(c.client, err)
	_ = c.client.Close()
	<-done
	_ = c.server.Close()
}

// copy carries bytes from src to dst and keeps them, until src has ended or dst
// does not take them any more.
func (c *tapped) copy(dst, src net.Conn, keep *bytes.Buffer) (ended bool, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			c.mu.Lock()
			keep.Write(buf[:n])
			c.mu.Unlock()
			if _, err := dst.Write(buf[:n]); err != nil {
				return false, err
			}
		}
		if err != nil {
			return true, err
		}
	}
}

// hangUp ends the writing side of a connection: properly after io.EOF, else with
// a reset.
func hangUp(conn net.Conn, err error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if errors.Is(err, io.EOF) {
		_ = tcp.CloseWrite()
		return
	}
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

// Exchanges returns what has gone through the tap so far, in the order of
// connections and then of time.
func (t *Tap) Exchanges() (list []Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		c.mu.Lock()
		list = append(list, exchanges(c.toServer.Bytes(), c.toClient.Bytes(), c.clientLeft)...)
		c.mu.Unlock()
	}
	return list
}
