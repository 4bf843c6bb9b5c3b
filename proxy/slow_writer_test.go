package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// slowPair is a connection of a server whose client reads only what the test does.
// Buffers are small, so that what is written has to be read.
func slowPair(t *testing.T, slow time.Duration) (server *clientConn, client *net.TCPConn) {
	l := bareListener(t, connectionBounds{})
	l.slow = slow
	dialed := make(chan net.Conn, 1)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
		}
		_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		dialed <- c
	}()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server, client = accepted.(*clientConn), (<-dialed).(*net.TCPConn)
	_ = server.SetWriteBuffer(16 << 10)
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return server, client
}

// TestSlowReaderIsServed: a reply of any length goes out in one Write, as long as
// the client takes something.
func TestSlowReaderIsServed(t *testing.T) {
	t.Parallel()
	const timeout, size = 400 * time.Millisecond, 1 << 20
	server, client := slowPair(t, timeout)
	got := make(chan int64)
	go func() {
		n := int64(0)
		for buf := make([]byte, 32<<10); n < size; {
			m, err := io.ReadFull(client, buf)
			n += int64(m)
			if err != nil {
				break
			}
			time.Sleep(60 * time.Millisecond) // 1.9 s for all of it, 120 ms for a slice
		}
		got <- n
	}()
	began := time.Now()
	_ = server.SetWriteDeadline(began.Add(timeout)) // as fasthttp does
	if n, err := server.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("%d of %d bytes: %v", n, size, err)
	}
	if took := time.Since(began); took < 2*timeout {
		t.Errorf("it took only %v: the test says nothing", took)
	}
	if n := <-got; n != size {
		t.Errorf("the client got %d bytes", n)
	}
}

// TestSlowReaderIsGivenUp: a client that takes nothing, or next to nothing, is given
// up on time, by however many writes.
func TestSlowReaderIsGivenUp(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	for name, drip := range map[string]time.Duration{"nothing": 0, "in drops": 100 * time.Millisecond} {
		for _, size := range []int{1000, 10 << 20} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				server, client := slowPair(t, timeout)
				if drip > 0 {
					go func() {
						for buf := make([]byte, 100); ; time.Sleep(drip) {
							if _, err := client.Read(buf); err != nil {
								return
							}
						}
					}()
				}
				var err error
				var blocked time.Time // since when
				for err == nil {
					began := time.Now()
					_, err = server.Write(make([]byte, size))
					if took := time.Since(began); took > timeout/20 && blocked.IsZero() {
						blocked = began
					}
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				if took := time.Since(blocked); took < timeout*9/10 || took > timeout*11/10 {
					t.Errorf("given up after %v, not %v", took, timeout)
				}
			})
		}
	}
}

// TestSlowWriteAborted: a deadline that has passed ends writing.
func TestSlowWriteAborted(t *testing.T) {
	t.Parallel()
	server, _ := slowPair(t, time.Hour)
	time.AfterFunc(50*time.Millisecond, func() { _ = server.SetDeadline(time.Unix(1, 0)) })
	began := time.Now()
	if _, err := server.Write(make([]byte, 10<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("afterwards: %v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
}

// TestLimitSlowReaderOfLongReply: an honest client gets a reply that it needs longer
// for than limits.write_timeout, to its end.
func TestLimitSlowReaderOfLongReply(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	for name, text := range map[string]string{
		"a stream":    strings.Repeat("x", 1<<20), // four times: the end of a stream says it again
		"a whole one": strings.Repeat("x", 4<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := sseHead + delta(text) + finishChunk("stop")
			if name == "a whole one" {
				script = answers(text)
			}
			up := upstreamtest.New(t, script)
			r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.WriteTimeout = config.Duration(timeout) })
			l := r.dial()
			_ = l.conn.SetReadBuffer(16 << 10)
			body := streamed
			if name == "a whole one" {
				body = plain
			}
			l.br = bufio.NewReaderSize(slowReader{l.conn}, 16<<10)
			began := time.Now()
			l.request("POST", "/v1/responses", body)
			l.head()
			if v := l.rest(); v.status != 200 || !strings.Contains(string(v.body), text) {
				t.Errorf("%d, %d bytes", v.status, len(v.body))
			}
			if took := time.Since(began); took < 2*timeout {
				t.Errorf("it took only %v: the test says nothing", took)
			}
		})
	}
}

// slowReader pauses before it reads.
type slowReader struct{ io.Reader }

func (s slowReader) Read(p []byte) (int, error) {
	time.Sleep(12 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 16<<10)])
}
