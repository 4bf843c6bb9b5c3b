package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// served makes a client of a backend that answers every request with reply.
func served(t *testing.T, reply string) *Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				b := make([]byte, 1024)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
					if _, err := io.WriteString(c, reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	return New(Options{Addr: ln.Addr().String(), MaxConns: 1, MaxIdle: 1, IdleExpire: time.Minute})
}

// exchanged is the body of one exchange, and the largest piece of it.
func exchanged(c *Client) (body []byte, largest int, err error) {
	var x Exchange
	if err := x.Do(c, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), nil); err != nil {
		return nil, 0, err
	}
	defer x.Close(true)
	for {
		p, err := x.Read(0)
		if errors.Is(err, io.EOF) {
			return body, largest, nil
		}
		if err != nil {
			return nil, 0, err
		}
		body, largest = append(body, p...), max(largest, len(p))
	}
}

// A reader begins small and grows with what comes: with a long head, with a long
// line, and with a body that comes faster than it is read. Nothing is lost then.
func TestReaderWidens(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB
	chunk := func(extension, data string) string {
		return fmt.Sprintf("%x%s\r\n%s\r\n", len(data), extension, data)
	}
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name, reply, want string
		wide              bool
	}{
		{"small", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false},
		{"long beginning", chunked + chunk("", long[:5<<10]) + "0\r\n\r\n", long[:5<<10], false},
		{"long head", "HTTP/1.1 200 OK\r\nX-Long: " + long[:9<<10] + "\r\nContent-Length: 2\r\n\r\nhi", "hi", true},
		{"long extension", chunked + chunk(";x="+long[:9<<10], "hi") + "0\r\n\r\n", "hi", true},
		{"long body", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), long, true},
		{"one long chunk", chunked + chunk("", long) + "0\r\n\r\n", long, true},
		{"many short chunks", chunked + strings.Repeat(chunk("", long[:100]), 300) + "0\r\n\r\n", strings.Repeat(long[:100], 300), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := served(t, c.reply)
			for range 3 { // the connection is kept
				body, largest, err := exchanged(client)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(body, []byte(c.want)) {
					t.Fatalf("%d bytes came, not the %d that were sent", len(body), len(c.want))
				}
				if !c.wide && largest > firstReader {
					t.Errorf("a piece has %d bytes", largest)
				}
			}
			client.pool.mu.Lock()
			cn := client.pool.freshest()
			client.pool.mu.Unlock()
			if cn == nil {
				t.Fatal("the connection was not kept")
			}
			if got := cn.br.Size() > firstReader; got != c.wide {
				t.Errorf("the reader has %d bytes", cn.br.Size())
			}
		})
	}
}

// A head may be as long as Options.MaxHeader says, and no longer.
func TestReaderHasLimit(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 17<<10) + "\r\nContent-Length: 0\r\n\r\n"
	if _, _, err := exchanged(served(t, head)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a head that is too long: %v", err)
	}
}
