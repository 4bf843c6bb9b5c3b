package proxy

import (
	"crypto/sha1" // RFC 6455 wants it; it protects nothing
	"encoding/base64"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/translate"
)

// WebSocket mode (docs/PROTOCOL.md §1.10): a client upgrades GET /responses, and creates
// responses with messages on that connection. Each of them is an exchange like
// those of HTTP, run by the same code; only what reads the request and what
// writes the events is another.
//
//	the upgrade, and all connections of the server   websocket.go
//	one connection: frames in, messages out          websocket_conn.go
//	lanes, and one response                          websocket_lane.go
//	what only the connection can continue            websocket_state.go

// connect answers GET /responses.
func (s *Server) connect(x *exchange, _ string) bool {
	h := x.header
	switch {
	case !h.ConnectionUpgrade() || !strings.EqualFold(string(h.Peek("Upgrade")), "websocket"):
		x.respondError(x.ctx, clientError(405, "method_not_supported", "", "Not allowed to GET on "+string(x.ctx.Path())+"."))
		return false
	case !s.cfg.WebSocket.Enabled:
		// At 426 clients go on with HTTP at once.
		x.respondError(x.ctx, clientError(fasthttp.StatusUpgradeRequired, "websocket_not_supported", "",
			"WebSocket mode is switched off on this server. Use HTTP."))
		return false
	case string(h.Peek("Sec-Websocket-Version")) != "13":
		x.ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		x.respondError(x.ctx, clientError(fasthttp.StatusUpgradeRequired, "websocket_not_supported", "",
			"This server speaks version 13 of the WebSocket protocol only."))
		return false
	}
	key := h.Peek("Sec-Websocket-Key")
	if raw, err := base64.StdEncoding.DecodeString(string(key)); err != nil || len(raw) != 16 || !h.IsHTTP11() {
		x.respondError(x.ctx, clientError(400, "", "", "The request is not a proper WebSocket upgrade (RFC 6455 §4.1)."))
		return false
	}
	if !sameOrigin(string(h.Peek("Origin")), string(h.Host())) {
		x.respondError(x.ctx, &translate.Error{
			Status: 403, Type: translate.TypePermission, Code: "origin_not_allowed",
			Message: "A page of another origin may not open a WebSocket here.",
		})
		return false
	}
	if s.sockets.count.Load() >= int64(s.cfg.Limits.Concurrency) {
		s.metrics.Rejected.Add(1)
		x.ctx.Response.Header.Set("Retry-After", "1")
		x.respondError(x.ctx, errBusy())
		return false
	}
	sum := sha1.Sum(append(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)) // see above
	out := &x.ctx.Response.Header
	x.ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols)
	out.Set("Upgrade", "websocket")
	out.Set("Connection", "Upgrade")
	out.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	out.SetNoDefaultContentType(true)
	c := s.newSocket(x)
	x.ctx.Hijack(func(conn net.Conn) { c.serve(conn) })
	return false
}

// sameOrigin reports whether a request is from no web page at all, or from one of
// this server. A page of another origin could use a server that its visitor can
// reach and it cannot: browsers do not keep WebSockets apart.
func sameOrigin(origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}

// sockets are all WebSocket connections of the server. fasthttp does not wait for
// connections that it has given away.
type sockets struct {
	count    atomic.Int64
	mu       sync.Mutex
	open     map[*socket]struct{}
	draining bool
}

// add says that a connection is served now. ok is false when the server stops.
func (ss *sockets) add(c *socket) (ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.draining {
		return false
	}
	if ss.open == nil {
		ss.open = map[*socket]struct{}{}
	}
	ss.open[c] = struct{}{}
	ss.count.Add(1)
	return true
}

func (ss *sockets) remove(c *socket) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, ok := ss.open[c]; ok {
		delete(ss.open, c)
		ss.count.Add(-1)
	}
}

// each calls f for every connection.
func (ss *sockets) each(f func(*socket)) {
	ss.mu.Lock()
	all := make([]*socket, 0, len(ss.open))
	for c := range ss.open {
		all = append(all, c)
	}
	ss.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// drain lets every connection end once nothing is under way on it, and waits.
func (ss *sockets) drain() {
	ss.mu.Lock()
	ss.draining = true
	ss.mu.Unlock()
	ss.each((*socket).drain)
	for ss.count.Load() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

// errLimit is an error of one connection's limits.
func errLimit(status int, code, message string) *translate.Error {
	e := clientError(status, code, "", message)
	if status == fasthttp.StatusTooManyRequests {
		e.Type = translate.TypeRateLimit
	}
	return e
}

func errTooManyLanes(most int) *translate.Error {
	return errLimit(400, "websocket_stream_limit_reached", "A connection can have "+strconv.Itoa(most)+
		" named lanes. Use one of those that there are, or another connection.")
}

func errTooManyInFlight(most int) *translate.Error {
	return errLimit(429, "rate_limit_exceeded", "A connection can have "+strconv.Itoa(most)+
		" responses in flight. Wait for one of them to end.")
}

func errTooMuchWaiting(most int64) *translate.Error {
	return errLimit(429, "rate_limit_exceeded", "More than "+strconv.FormatInt(most, 10)+
		" bytes of requests are waiting on this connection. Wait for a response to end.")
}

func errConnectionTooOld(after time.Duration) *translate.Error {
	return errLimit(400, "websocket_connection_limit_reached", "A connection lasts "+after.String()+
		" at most. Open another one to go on.")
}
