package proxy

import (
	"bufio"
	be "encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// rawSocket upgrades a connection by hand, to say on it what no library would.
func (r *rig) rawSocket() *live {
	r.t.Helper()
	l := r.dial()
	l.request("GET", "/v1/responses", "", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	resp := l.head()
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		r.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return l
}

// masked is a frame as a client sends it.
func masked(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = be.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = be.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x5a, 0, 0xff, 0x13}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

// frame reads a frame of the server.
func (l *live) frame() (first byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(l.br, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(l.br, b[:])
		n = uint64(be.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(l.br, b[:])
		n = be.BigEndian.Uint64(b[:])
	}
	if err != nil || h[1]&0x80 != 0 {
		return 0, nil, errors.Join(err, errors.New("masked"))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(l.br, payload)
	return h[0], payload, err
}

// closeCode reads up to the close frame, and then to the end of the connection.
func (l *live) closeCode() int {
	l.t.Helper()
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		first, payload, err := l.frame()
		if err != nil {
			l.t.Errorf("no close frame: %v", err)
			return 0
		}
		if first != 0x88 {
			continue
		}
		if _, err := l.br.ReadByte(); err != io.EOF && !isReset(err) {
			l.t.Errorf("after the close frame: %v", err)
		}
		return int(be.BigEndian.Uint16(payload))
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

// TestSocketBadFrames: what breaks the protocol ends the connection with the
// right code, and no more than the connection.
func TestSocketBadFrames(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body = 1 << 20 })
	create := `{"type":"response.create","model":"m","input":"CANARY"}`
	for name, c := range map[string]struct {
		bytes string
		code  int
	}{
		"not masked":               {"\x81\x02{}", 1002},
		"reserved bit":             {masked(0xc1, "{}"), 1002},
		"reserved opcode":          {masked(0x83, "{}"), 1002},
		"reserved control":         {masked(0x8b, ""), 1002},
		"nothing to continue":      {masked(0x80, "{}"), 1002},
		"two beginnings":           {masked(0x01, "{") + masked(0x81, "}"), 1002},
		"fragmented ping":          {masked(0x09, "a"), 1002},
		"long ping":                {masked(0x89, strings.Repeat("x", 126)), 1002},
		"binary":                   {masked(0x82, create), 1003},
		"not UTF-8":                {masked(0x81, "{\"type\":\"\xff\"}"), 1007},
		"half a rune":              {masked(0x01, "{\"type\":\"\xe2\x82") + masked(0x80, "\"}"), 1007},
		"surrogate in UTF-8":       {masked(0x81, "\xed\xa0\x80"), 1007},
		"announces too much":       {"\x81\xff\x00\x00\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00", 1009},
		"announces the impossible": {"\x81\xff\x80\x00\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00", 1002},
		"too much in pieces":       {masked(0x01, strings.Repeat("x", 1<<19)) + masked(0x00, strings.Repeat("x", 1<<19)) + masked(0x00, "x"), 1009},
		"close":                    {masked(0x88, "\x03\xe8bye"), 1000},
		"close without a code":     {masked(0x88, ""), 1000},
		"close with half a code":   {masked(0x88, "\x03"), 1002},
		"close with a bad code":    {masked(0x88, "\x03\xed"), 1002},
		"close not in UTF-8":       {masked(0x88, "\x03\xe8\xff"), 1002},
		"going away":               {masked(0x88, "\x03\xe9"), 1001},
	} {
		t.Run(name, func(t *testing.T) {
			l := r.rawSocket()
			l.t = t
			l.write(c.bytes)
			if code := l.closeCode(); code != c.code {
				t.Errorf("closed with %d, want %d", code, c.code)
			}
		})
	}
	if up.Count() != 0 {
		t.Errorf("%d requests", up.Count())
	}
	// Pieces, with a ping in between, and a byte at a time.
	l := r.rawSocket()
	for _, b := range []byte(masked(0x01, create[:10]) + masked(0x89, "are you there") + masked(0x00, "") + masked(0x80, create[10:])) {
		l.write(string([]byte{b}))
	}
	first, payload, err := l.frame()
	if first != 0x8a || string(payload) != "are you there" || err != nil {
		t.Errorf("pong: %x %s %v", first, payload, err)
	}
	for !strings.Contains(string(payload), "response.completed") {
		if first, payload, err = l.frame(); err != nil || first != 0x81 {
			t.Fatalf("%x %s %v", first, payload, err)
		}
	}
}

// TestSocketFloods: many messages and pings at once take bounded memory and are
// all answered, or the connection ends.
func TestSocketFloods(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop")+sseDone)
	r := newRig(t, up.URL())
	l := r.rawSocket()
	go func() {
		flood := strings.Repeat(masked(0x81, `{"type":"response.create","model":"m","input":"x"}`), 1000) + strings.Repeat(masked(0x89, "p"), 1000)
		_, _ = l.conn.Write([]byte(flood))
	}()
	refused, pongs := 0, 0
	for refused < 1000-r.cfg.WebSocket.InFlight || pongs < 1000 {
		first, payload, err := l.frame()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case first == 0x8a:
			pongs++
		case strings.Contains(string(payload), "rate_limit_exceeded"):
			refused++
		}
	}
	r.until("the first request", func() bool { return up.Count() > 0 })
	if up.Count() != 1 {
		t.Errorf("%d requests of one lane at once", up.Count())
	}
	up.Release("go")
}

// TestSocketHalfOpen: a client that gives no sign of life is given up, one that
// only answers pings is not.
func TestSocketHalfOpen(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"stall")
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.WebSocket.Ping = config.Duration(300 * time.Millisecond) })
	alive := r.rawSocket()
	dead := r.rawSocket()
	dead.write(masked(0x81, `{"type":"response.create","model":"m","input":"x"}`))
	r.until("the request", func() bool { return up.Count() == 1 })
	began := time.Now()
	answered := make(chan int)
	go func() {
		n := 0
		for time.Since(began) < 1800*time.Millisecond {
			_ = alive.conn.SetReadDeadline(time.Now().Add(time.Second))
			first, _, err := alive.frame()
			if err != nil {
				break
			}
			if first == 0x89 {
				n++
				_, _ = alive.conn.Write([]byte(masked(0x8a, "")))
			}
		}
		answered <- n
	}()
	r.until("the dead connection to be given up", func() bool {
		active, _ := r.srv.router.stats()
		return active == 0 && r.srv.sockets.count.Load() == 1
	})
	if took := time.Since(began); took < 450*time.Millisecond || took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := <-answered; n < 3 {
		t.Errorf("%d pings", n)
	}
}

// TestSocketSlowReader: a client that does not read ends its connection after
// write_timeout, and the upstream is left.
func TestSocketSlowReader(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+strings.Repeat(delta(strings.Repeat("x", 8<<10)), 4000)+finishChunk("stop")+sseDone)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.WriteTimeout = config.Duration(300 * time.Millisecond) })
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	l := &live{r: r, t: t, conn: nc.(*net.TCPConn), br: bufio.NewReader(nc)}
	l.request("GET", "/v1/responses", "", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	l.head()
	l.write(masked(0x81, `{"type":"response.create","model":"m","input":"x"}`))
	r.until("the request", func() bool { return up.Count() == 1 })
	r.until("the connection to be given up", func() bool {
		active, _ := r.srv.router.stats()
		return active == 0 && r.srv.sockets.count.Load() == 0
	})
}
