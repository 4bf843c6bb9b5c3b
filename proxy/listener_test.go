package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// failingListener fails with each error in turn, and then waits to be closed.
type failingListener struct {
	net.Listener
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

func bareListener(t *testing.T, bounds connectionBounds, errs ...error) *listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{metrics: metrics.New(nil), log: zap.NewNop()}
	s.ready.Store(true)
	l := s.newListener(&failingListener{ln, errs}, bounds, time.Second)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestListenerGoesOn: what is short passes, and a listener that waits for it can be
// closed. Only one that is broken ends.
func TestListenerGoesOn(t *testing.T) {
	t.Parallel()
	l := bareListener(t, connectionBounds{}, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED, syscall.EPROTO)
	address := l.Addr().String()
	go func() {
		if c, err := net.Dial("tcp", address); err == nil {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if n := l.metrics.AcceptErrors.Load(); n != 6 {
		t.Errorf("%d errors are counted", n)
	}
	if n := l.metrics.Connections.Load(); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
	_, _ = c.Close(), c.Close()
	if n, open := l.metrics.Connections.Load(), l.open.Load(); n != 0 || open != 0 {
		t.Errorf("%d connections are counted, %d are open", n, open)
	}

	many := make([]error, 1000)
	for i := range many {
		many[i] = syscall.EMFILE
	}
	l = bareListener(t, connectionBounds{}, many...)
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	_ = l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}

	l = bareListener(t, connectionBounds{}, syscall.EBADF)
	if _, err := l.Accept(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("broken: %v", err)
	}
}

// TestLimitConnections: connections beyond the bound get a reply that clients can
// act on, whether or not they have sent something, and many of them harm nobody.
func TestLimitConnections(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, answers("hello"))
	const most = 8
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Connections = most })
	var held []net.Conn
	for range most {
		l := r.dial()
		l.request("GET", "/v1/responses/resp_x", "")
		l.head()
		held = append(held, l.conn)
	}
	l := r.dial()
	l.request("POST", "/v1/responses", plain)
	resp := l.head()
	body := l.rest()
	body.want(t, 503, "server_overloaded")
	if resp.Header.Get("Retry-After") != "1" || !resp.Close || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", resp.Header)
	}
	if !l.closed() {
		t.Error("the connection stays open")
	}

	silent := r.dial()
	if got, _ := io.ReadAll(silent.conn); !strings.HasPrefix(string(got), "HTTP/1.1 503 ") {
		t.Errorf("one that sends nothing gets %q", got)
	}

	var flood sync.WaitGroup
	for range 300 {
		flood.Go(func() {
			if c, err := net.Dial("tcp", r.addr); err == nil {
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
				got, _ := io.ReadAll(c) // or it is reset
				if len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 503 ") {
					t.Errorf("%q", got)
				}
				_ = c.Close()
			}
		})
	}
	flood.Wait()
	if n := r.metric(`antiphon_connections_refused_total{bound="all"}`); n != 302 {
		t.Errorf("%v are counted", n)
	}
	if up.Count() != 0 {
		t.Error("the upstream was asked")
	}
	for _, c := range held[:4] {
		_ = c.Close()
	}
	r.until("places", func() bool { return r.metric("antiphon_client_connections") <= most-4 })
	r.post(plain).want(t, 200, "")
}

// TestLimitConnectionsPerAddress: an address, or the /64 of one, has a share; this
// machine has all.
func TestLimitConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	l := bareListener(t, connectionBounds{all: 100, perAddress: 2})
	var conns []*clientConn
	enter := func(address string) bool {
		c := &clientConn{from: l}
		l.open.Add(1)
		ok := l.enter(c, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		conns = append(conns, c)
		return ok
	}
	for _, third := range []string{"10.0.0.1:3", "[::ffff:10.0.0.1]:3", "[2001:db8::3]:1", "[fe80::3%eth0]:1"} {
		first := strings.Replace(third, "3", "1", 1)
		for range 2 {
			if !enter(first) {
				t.Fatalf("%s has no share", first)
			}
		}
		if enter(third) {
			t.Errorf("%s has more than its share", third)
		}
		for _, c := range conns {
			l.leave(c)
		}
		conns = nil
		if len(l.addresses) != 0 {
			t.Fatalf("%v are counted still", l.addresses)
		}
	}
	for _, other := range []string{"10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1"} {
		for range 2 {
			if !enter(other) {
				t.Errorf("%s has no share of its own", other)
			}
		}
	}
	for range 10 {
		if !enter("127.0.0.1:1") || !enter("[::1]:1") {
			t.Error("this machine has a share")
		}
	}
}

// TestConnectionsFor: as many clients as there are descriptors for, with one for an
// upstream each.
func TestConnectionsFor(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for _, limit := range []int{64, 120, 256, 1024, 20000, 1 << 20} {
		b := connectionsFor(cfg, limit)
		if b.all < 1 || 2*b.all+reservedDescriptors(cfg, limit) > max(limit, 2) || b.perAddress < 1 || b.perAddress > b.all {
			t.Errorf("%d: %+v", limit, b)
		}
		if warned := len(descriptorWarnings(cfg, limit)) > 0; warned != (limit < 1024) {
			t.Errorf("%d: warned %v", limit, warned)
		}
	}
	cfg.Limits.Concurrency = 5000
	if w := descriptorWarnings(cfg, 1024); len(w) != 1 || !strings.HasPrefix(w[0], "limits.concurrency: ") {
		t.Error(w)
	}
	cfg.Limits.Connections, cfg.Limits.ConnectionsPerAddress = 10, 5
	if b := connectionsFor(cfg, 1024); b.all != 10 || b.perAddress != 5 {
		t.Errorf("%+v", b)
	}
	cfg.Limits.Connections, cfg.Limits.Concurrency = 5000, 10
	if w := descriptorWarnings(cfg, 1024); len(w) != 1 || !strings.HasPrefix(w[0], "limits.connections: ") {
		t.Error(w)
	}
	e := upstreamFailure(&upstream.Error{Phase: upstream.PhaseConnect, Err: os.NewSyscallError("socket", syscall.EMFILE)})
	if e.Status != 503 || e.Code != codeOverloaded {
		t.Errorf("without a descriptor for the upstream: %+v", e)
	}
	if descriptorWarnings(cfg, 0) != nil {
		t.Error("a warning without a limit")
	}
}

// TestAdminListenerBounded: idle connections to the admin listener are bounded too.
func TestAdminListenerBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, "http://127.0.0.1:1")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := &http.Server{Handler: r.srv.Admin()}
	go func() { _ = admin.Serve(r.srv.AdminListener(ln)) }()
	defer admin.Close()
	refused := 0
	for range 80 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		var status [12]byte
		if _, _ = io.ReadFull(c, status[:]); string(status[:]) != "HTTP/1.1 200" {
			refused++
		}
	}
	if refused != 16 {
		t.Errorf("%d of 80 were refused", refused)
	}
}
