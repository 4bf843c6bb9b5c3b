package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// A connection that the upstream has closed meanwhile is no reason for an error,
// and no request is executed twice.

// TestRetryStaleKeepAlive sends at the very moment in which the upstream closes
// connections that are not in use.
func TestRetryStaleKeepAlive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		idle           time.Duration
		workers, posts int
	}{
		{3 * time.Millisecond, 16, 160},
		{270 * time.Millisecond, 64, 10},
	} {
		t.Run(c.idle.String(), func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.NewFunc(t, c.idle, answer("hello"))
			r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Connections.Idle = config.Duration(time.Hour) })
			var wg sync.WaitGroup
			var lost atomic.Int64
			for w := range c.workers {
				wg.Go(func() {
					body := plain
					if w%2 == 1 {
						body = streamed
					}
					path := "/v1/responses"
					if w%4 == 3 {
						path = "/v1/chat/completions"
					}
					for i := range c.posts {
						time.Sleep(c.idle + time.Duration(rand.Int64N(int64(c.idle/4))) - c.idle/8)
						got, err := r.try("POST", path, strings.NewReader(body), fmt.Sprintf("X-Request-Id: w%d-%d", w, i))
						switch {
						case err != nil:
							t.Errorf("worker %d, post %d: %v", w, i, err)
						case got.status == 502 && got.err().Code == codeConnectionLost: // it has arrived, and nobody can tell whether it was read
							lost.Add(1)
						case got.status != 200:
							t.Errorf("worker %d, post %d: status %d", w, i, got.status)
						}
					}
				})
			}
			wg.Wait()
			wantOnce(t, up, c.workers*c.posts, int(lost.Load()))
			if n := lost.Load(); n > int64(c.workers*c.posts/200) {
				t.Errorf("%d requests were not answered", n)
			}
			_, _, conns, _ := up.Counts()
			t.Logf("%d requests on %d connections, %v were sent again", up.Count(), conns, r.metric("antiphon_upstream_retries_total"))
		})
	}
}

// wantOnce: the upstream has read n requests, but for a few, and each of them
// once.
func wantOnce(t *testing.T, up *upstreamtest.Server, n, few int) {
	t.Helper()
	seen := map[string]int{}
	for _, req := range up.Requests() {
		id := req.Header.Get("X-Request-Id")
		if seen[id]++; seen[id] > 1 {
			t.Errorf("the upstream was asked %s %d times", id, seen[id])
		}
	}
	if len(seen) > n || len(seen) < n-few {
		t.Errorf("the upstream was asked %d things, want %d", len(seen), n)
	}
}

// TestRetryNotWhenRead: a backend that has read the request may have begun with
// it, however it then ends the connection.
func TestRetryNotWhenRead(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"closes":                   "close",
		"closes later":             "wait 100ms\nclose",
		"resets at once":           "rst",
		"resets in a moment":       "wait 5ms\nrst",
		"resets later":             "wait 100ms\nrst",
		"closes after half a head": `raw "HTTP/1.1 20"` + "\nclose",
		"resets after half a head": `raw "HTTP/1.1 20"` + "\nwait 5ms\nrst",
		"closes after a 1xx":       `raw "HTTP/1.1 102 Processing\r\n\r\n"` + "\nclose",
		"says nothing":             "stall",
	} {
		for _, body := range []string{plain, streamed} {
			t.Run(name+map[bool]string{true: "/stream"}[body == streamed], func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
					if req.Header.Get("X-Request-Id") == "first" {
						return answers("hello")
					}
					return script
				})
				r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Timeouts.FirstByte = config.Duration(300 * time.Millisecond) })
				r.post(plain, "X-Request-Id: first").want(t, 200, "")
				got := r.post(body, "X-Request-Id: second")
				if got.status != 502 && got.status != 504 {
					t.Errorf("status %d", got.status)
				}
				wantOnce(t, up, 2, 0)
				if _, _, conns, _ := up.Counts(); conns != 1 {
					t.Logf("%d connections: the machine was too busy for a kept one", conns)
				}
				if n := r.metric("antiphon_upstream_retries_total"); n != 0 {
					t.Errorf("%v retries", n)
				}
			})
		}
	}
}

// TestRetryNotWhenArrived: a request that has arrived on a kept connection may
// have been read, though this backend has not: nothing tells the two apart.
func TestRetryNotWhenArrived(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		scripts []string
		status  int
		unread  int
	}{
		{"reset", []string{answers("first"), "unread\nrst", answers("never")}, 502, 1},
		{"closed", []string{answers("first"), "unread\nclose", answers("never")}, 502, 1},
		{"closed right after the reply", []string{answers("first") + "close", answers("second")}, 200, 0},
		{"reset right after the reply", []string{answers("first") + "wait 5ms\nrst", answers("second")}, 200, 0},
	} {
		for _, path := range []string{"/v1/responses", "/v1/chat/completions"} {
			t.Run(c.name+path, func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.New(t, c.scripts...)
				r := newRig(t, up.URL())
				r.post(plain).want(t, 200, "")
				if c.unread == 0 {
					<-up.Next().Gone
				}
				got := r.do("POST", path, plain)
				if got.status != c.status || c.status == 502 && got.err().Code != codeConnectionLost {
					t.Errorf("status %d: %s", got.status, got.body)
				}
				if _, unread, _, _ := up.Counts(); unread != c.unread {
					t.Errorf("%d requests were left unread", unread)
				}
				if n := r.metric("antiphon_upstream_retries_total"); n != 0 {
					t.Errorf("%v retries", n)
				}
			})
		}
	}
}

// TestRetryNotOnFirstUse: a new connection that is reset says something about
// the backend, not about the connection.
func TestRetryNotOnFirstUse(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "unread\nrst", answers("never"))
	r := newRig(t, up.URL())
	r.post(plain).want(t, 502, codeConnectionLost)
	if read, unread, conns, _ := up.Counts(); read != 0 || unread != 1 || conns != 1 {
		t.Errorf("%d read, %d unread, %d connections", read, unread, conns)
	}
}
