package redis

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

// slowNetwork passes so many bytes a second of each connection to a server.
func slowNetwork(t *testing.T, server *redistest.Server, perSecond int) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var work sync.WaitGroup
	pass := func(dst, src net.Conn) {
		defer dst.Close()
		buf := make([]byte, 16<<10)
		for {
			n, err := src.Read(buf)
			if err != nil {
				return
			}
			if n > 1<<10 { // what is short passes in the gaps
				time.Sleep(time.Duration(n) * time.Second / time.Duration(perSecond))
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
			conn, err := net.Dial("tcp", server.Addr)
			if err != nil {
				_ = client.Close()
				continue
			}
			work.Go(func() { pass(conn, client) })
			work.Go(func() { pass(client, conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		work.Wait()
	})
	return ln.Addr().String()
}

// TestLongWrite: a record that takes longer than a call may keeps nobody else
// waiting, and does not make the server pass for down.
func TestLongWrite(t *testing.T) {
	o := options(server)
	o.URL = "redis://" + slowNetwork(t, server, 4<<20)
	s := open(t, o)
	defer s.Close()
	prepare(t, s)
	for start := time.Now(); s.guard.bulk.Load() == nil; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("there is no client for what is long")
		}
	}
	long := record("long", "", 0)
	long.Response = append(long.Response, noise(8<<20)...)
	done := make(chan error)
	go func() { done <- s.Put(t.Context(), long) }()
	asked := 0
	for {
		select {
		case err := <-done:
			outage(t, err)
			if asked < 10 {
				t.Errorf("%d calls in the meantime", asked)
			}
			eachWorks(t, s, everyRead, everyWrite)
			if s.guard.phase.Load().down != nil {
				t.Error("the server is taken for down")
			}
			return
		default:
			start := time.Now()
			must(t, everyRead["Get"](t.Context(), s))
			must(t, everyWrite["Put"](t.Context(), s))
			if took := time.Since(start); took > s.timeout {
				t.Errorf("others wait %v", took)
			}
			asked++
		}
	}
}
