package proxy

import (
	"io"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// A client that leaves stops the upstream within a second, whatever its exchange
// is waiting for, and the log says 499 at debug (Caddy's promise, and ours).

// leaves is how a client goes away.
var leaves = map[string]func(l *live){
	"close":      func(l *live) { _ = l.conn.Close() },
	"half close": func(l *live) { _ = l.conn.CloseWrite() },
	"reset":      func(l *live) { _ = l.conn.SetLinger(0); _ = l.conn.Close() },
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	phases := []struct {
		name   string
		script string
		body   string
		wait   func(l *live) // until the exchange is in the phase
	}{
		{"before the head of a stream", "hold-head", streamed, func(*live) {}},
		{"before the first event", sseHead + "stall", streamed, func(l *live) { l.head(); l.until("response.in_progress") }},
		{"in the middle of a stream", sseHead + delta("a") + delta("b") + "stall", streamed, func(l *live) {
			l.head()
			l.until("response.output_text.delta")
		}},
		{"in the middle of events that keep coming", sseHead + "repeat 100000 " + delta("a"), streamed, func(l *live) {
			l.head()
			l.until("response.output_text.delta")
		}},
		{"before the head of a whole answer", "hold-head", plain, func(*live) {}},
		{"in the middle of a whole answer", "head 200 application/json\nchunk {\nstall", plain, func(*live) {}},
		{"in the middle of an upstream's error", "head 500 application/json\nchunk {\nstall", plain, func(*live) {}},
		{"while waiting for usage", sseHead + delta("a") +
			`chunk data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\nstall", streamed, func(l *live) {
			l.head()
			l.until("response.output_text.delta")
		}},
	}
	for _, phase := range phases {
		for how, leave := range leaves {
			t.Run(phase.name+"/"+how, func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.New(t, phase.script)
				r := newRig(t, up.URL(), func(s *setup) {
					s.cfg.Stream.UsageGrace = config.Duration(time.Minute)
				})
				l := r.dial()
				l.request("POST", "/v1/responses", phase.body)
				req := up.Next()
				phase.wait(l)
				left := time.Now()
				leave(l)
				wantGone(t, req, left)
				line := r.logged(0)
				if line["status"] != 499.0 || line["outcome"] != "client_gone" || line["level"] != "debug" {
					t.Errorf("log: %v", line)
				}
				if n := r.metric(`antiphon_exchanges_total{route="responses.create",outcome="client_gone"}`); n != 1 {
					t.Errorf("%v exchanges are counted", n)
				}
				if n := r.metric("antiphon_store_records"); n != 0 {
					t.Errorf("%v responses were stored", n)
				}
				l.partly()
				if how == "half close" && l.resp == nil {
					if got, _ := io.ReadAll(l.br); len(got) > 0 {
						t.Errorf("a client that has left is told %q", got)
					}
				}
			})
		}
	}
}

func wantGone(t *testing.T, req *upstreamtest.Request, left time.Time) {
	t.Helper()
	select {
	case <-req.Gone:
		if took := time.Since(left); took > time.Second {
			t.Errorf("the upstream learns of it after %v", took)
		}
	case <-time.After(patience):
		t.Fatal("the upstream never learns that the client has left")
	}
}

// TestClientGonePassthrough is the same for what is passed on as it is.
func TestClientGonePassthrough(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"before the head": "hold-head",
		"mid-stream":      sseHead + "chunk data: 1\nstall",
		"fixed length":    "head 200 text/plain length=1000000\nchunk x\nstall",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, script)
			r := newRig(t, up.URL())
			l := r.dial()
			l.request("POST", "/v1/chat/completions", plain)
			req := up.Next()
			if name == "mid-stream" {
				l.head()
			}
			left := time.Now()
			_ = l.conn.Close()
			wantGone(t, req, left)
			if line := r.logged(0); line["status"] != 499.0 || line["outcome"] != "client_gone" {
				t.Errorf("log: %v", line)
			}
		})
	}
}

// TestClientGoneWhileConnecting: the upstream does not accept, because its queue
// is full or its packets are lost.
func TestClientGoneWhileConnecting(t *testing.T) {
	t.Parallel()
	r := newRig(t, "http://"+upstreamtest.Deaf(t))
	l := r.dial()
	l.request("POST", "/v1/responses", plain)
	r.until("the exchange", func() bool { active, _ := r.srv.router.stats(); return active == 1 })
	_ = l.conn.Close()
	left := time.Now()
	if line := r.logged(0); line["outcome"] != "client_gone" || time.Since(left) > time.Second {
		t.Errorf("after %v: %v", time.Since(left), line)
	}
}

// TestOthersGoOn: the connection of the client that left is
// not that of others, and neither is the upstream's.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"stall", sseHead+delta("b")+"gate on\n"+finishChunk("stop")+sseDone)
	r := newRig(t, up.URL())
	leaver := r.open(streamed)
	leaver.until("response.output_text.delta")
	stayer := r.open(streamed)
	stayer.until("response.output_text.delta")
	_ = leaver.conn.Close()
	<-up.Next().Gone
	up.Release("on")
	if v := stayer.rest().response(t); v.Status != "completed" || v.text() != "b" {
		t.Errorf("the other client got %s", v.raw)
	}
}
