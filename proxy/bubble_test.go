package proxy

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// inBubble runs a test in which time passes at once and only when everybody waits
// (testing/synctest), so that it can say to the nanosecond what happens when. The
// server is a real one; what it is connected to, on both sides, are pipes. With
// spare there is a second upstream of that name, which answers with echoes.
//
// Only what the test calls is in the bubble, not what New starts: caches, and the
// janitor of the store.
func inBubble(t *testing.T, script func(*upstreamtest.Request) string, options []func(*setup), test func(t *testing.T, r *rig, up *upstreamtest.Server)) {
	t.Helper()
	up, spare := upstreamtest.NewPiped(t, script), upstreamtest.NewPiped(t, echoes)
	options = append(options, func(s *setup) {
		s.opt.Dial = func(network, addr string, timeout time.Duration) (net.Conn, error) {
			if addr == "spare.test:80" {
				return spare.Dial(network, addr, timeout)
			}
			return up.Dial(network, addr, timeout)
		}
	})
	r := newRig(t, up.URL(), options...)
	r.get("/healthz") // what fasthttp starts once for the process is not in the bubble
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		outside, client := r.t, r.http
		transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _ = r.srv.http.ServeConn(far) }()
			return near, nil
		}}
		r.t, r.http = t, &http.Client{Transport: transport}
		defer func() {
			r.t, r.http = outside, client
			transport.CloseIdleConnections()
			r.srv.router.close()
			time.Sleep(time.Minute) // time stands still when this ends: let the rest end before
		}()
		test(t, r, up)
	})
}

// always is the script of an upstream that does the same with every request.
func always(script string) func(*upstreamtest.Request) string {
	return func(*upstreamtest.Request) string { return script }
}

// withSpare makes the second upstream of a bubble one that stands in.
func withSpare(s *setup) {
	s.cfg.Upstream.Fallback = []string{"spare"}
	also("spare", "http://spare.test", func(*config.Upstream) {})(s)
}
