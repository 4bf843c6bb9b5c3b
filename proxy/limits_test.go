package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Every limit has an error of the API, and what is over it does not reach the
// upstream.

func chunkedBody(body string) io.Reader { return struct{ io.Reader }{strings.NewReader(body)} }

func TestLimitBody(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body = 64 * config.KiB })
	body := func(size int) string {
		const frame = `{"model":"m","input":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	r.post(body(64<<10)).want(t, 200, "")
	r.send("POST", "/v1/responses", chunkedBody(body(64<<10))).want(t, 200, "")
	asked := up.Count()
	r.post(body(64<<10+1)).want(t, 413, "")
	r.send("POST", "/v1/responses", chunkedBody(body(64<<10+1))).want(t, 413, "")

	// A length that was only announced is refused without waiting for it.
	l := r.dial()
	l.write("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("x", 10000))
	if resp := l.head(); resp.StatusCode != 413 || !resp.Close {
		t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
	}
	l.rest().want(t, 413, "")
	if !l.closed() {
		t.Error("the connection stays open")
	}
	if up.Count() != asked {
		t.Error("the upstream was asked")
	}
}

func TestLimitUpload(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "json 200 {}")
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body, s.cfg.Limits.Upload = 16*config.KiB, 64*config.KiB })
	for _, size := range []int{1000, 16 << 10, 17 << 10, 64 << 10} {
		for _, body := range []io.Reader{strings.NewReader(strings.Repeat("x", size)), chunkedBody(strings.Repeat("x", size))} {
			if got := r.send("POST", "/v1/files", body); got.status != 200 {
				t.Errorf("%d bytes: %d %s", size, got.status, got.body)
			}
			if req := up.Next(); len(req.Body) != size {
				t.Errorf("the upstream got %d bytes of %d", len(req.Body), size)
			}
		}
	}
	r.send("POST", "/v1/files", strings.NewReader(strings.Repeat("x", 64<<10+1))).want(t, 413, "")
	r.send("POST", "/v1/files", chunkedBody(strings.Repeat("x", 64<<10+1))).want(t, 413, "")
	if n := up.Count(); n != 8 {
		t.Errorf("the upstream has read %d requests", n)
	}
}

func TestLimitHeader(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Header = 8 * config.KiB })
	r.post(plain, "X-Long: "+strings.Repeat("x", 6000)).want(t, 200, "")
	r.post(plain, "Authorization: Bearer CANARY"+strings.Repeat("x", 6000)).want(t, 200, "")
	asked := up.Count()
	r.post(plain, "X-Long: "+strings.Repeat("x", 9000)).want(t, 431, "")
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("X-Many-%d: 1", i)
	}
	r.post(plain, many...).want(t, 431, "")
	r.do("GET", "/v1/models?"+strings.Repeat("x", 9000), "").want(t, 431, "")
	if up.Count() != asked {
		t.Error("the upstream was asked")
	}
	if line := r.logged(2); line["status"] != 431.0 || line["outcome"] != "refused" {
		t.Errorf("log: %v", line)
	}
}

// TestLimitSlow: whoever sends in drops gets a 408 when the time is over, and
// the connection is closed.
func TestLimitSlow(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	const timeout = 400 * time.Millisecond
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.Limits.ReadTimeout = config.Duration(timeout)
		s.cfg.Limits.IdleTimeout = config.Duration(timeout)
	})
	head := "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, begin := range map[string]string{
		"header":               "POST /v1/responses HTTP/1.1\r\nHos",
		"header drop by drop":  "POST /v1/responses HTTP/1.1\r\nX: ",
		"small body":           head + "Content-Length: 100\r\n\r\n{",
		"large body":           head + "Content-Length: 100000\r\n\r\n" + strings.Repeat(" ", 20000),
		"chunk":                head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
		"chunk size":           head + "Transfer-Encoding: chunked\r\n\r\n5",
		"passed on":            strings.Replace(head, "responses", "files", 1) + "Content-Length: 100\r\n\r\n{",
		"passed on and large":  strings.Replace(head, "responses", "files", 1) + "Content-Length: 100000\r\n\r\n" + strings.Repeat(" ", 20000),
		"passed on, in chunks": strings.Replace(head, "responses", "files", 1) + "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
		"nothing":              "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := r.dial()
			began := time.Now()
			l.path = "/responses"
			l.write(begin)
			if strings.Contains(name, "drop by drop") {
				go func() {
					for range 20 {
						_, _ = io.WriteString(l.conn, "x")
						time.Sleep(50 * time.Millisecond)
					}
				}()
			}
			if l.head().StatusCode != 408 {
				t.Errorf("status %d", l.resp.StatusCode)
			}
			l.rest().want(t, 408, "")
			if !l.closed() {
				t.Error("the connection stays open")
			}
			if took := time.Since(began); took < timeout-50*time.Millisecond || took > 10*timeout {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		l := r.dial()
		l.request("GET", "/v1/responses/resp_x", "")
		l.head()
		l.rest().want(t, 404, "")
		if !l.closed() {
			t.Error("an idle connection stays open")
		}
	})
	t.Cleanup(func() {
		if up.Count() != 0 {
			t.Error("the upstream was asked")
		}
	})
}

// TestLimitSlowReader: a client that does not take its stream is given up, and
// its upstream is told to stop.
func TestLimitSlowReader(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/responses", "/v1/chat/completions"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, sseHead+"repeat 10000000 "+delta(strings.Repeat("x", 5000)))
			const timeout = 500 * time.Millisecond
			r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.WriteTimeout = config.Duration(timeout) })
			l := r.dial()
			_ = l.conn.SetReadBuffer(4096)
			l.request("POST", path, streamed)
			req := up.Next()
			began := time.Now()
			select {
			case <-req.Gone:
			case <-time.After(patience):
				t.Fatal("the upstream goes on")
			}
			if took := time.Since(began); took < timeout/2 {
				t.Errorf("given up after %v already", took)
			}
			if line := r.logged(0); line["outcome"] != "client_gone" || line["status"] != 499.0 {
				t.Errorf("log: %v", line)
			}
		})
	}
}

// TestLimitLongStream: the time for a write is not that for a stream.
func TestLimitLongStream(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+strings.Repeat(delta("x")+"wait 60ms\n", 15)+finishChunk("stop"))
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.Limits.WriteTimeout = config.Duration(300 * time.Millisecond)
		s.cfg.Limits.ReadTimeout = config.Duration(300 * time.Millisecond)
		s.cfg.Upstream.Timeouts.FirstByte = config.Duration(300 * time.Millisecond)
		s.cfg.Upstream.Timeouts.Idle = config.Duration(400 * time.Millisecond)
	})
	if v := r.post(streamed).response(t); v.Status != "completed" || v.text() != strings.Repeat("x", 15) {
		t.Errorf("%s", v.raw)
	}
}

func TestLimitJSON(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.Limits.Depth, s.cfg.Limits.Values, s.cfg.Limits.Items = 16, 1000, 10
	})
	nested := func(n int) string {
		return `{"model":"m","input":"x","metadata":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	items := func(n int) string {
		return `{"model":"m","input":[` + strings.TrimSuffix(strings.Repeat(`{"role":"user","content":"x"},`, n), ",") + `]}`
	}
	values := func(n int) string {
		return `{"model":"m","input":"x","tools":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}`
	}
	r.post(items(10)).want(t, 200, "")
	asked := up.Count()
	for name, body := range map[string]string{
		"depth": nested(17), "values": values(2000), "items": items(11),
	} {
		got := r.post(body)
		if got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	r.post(items(11)).want(t, 400, "array_above_max_length")
	if up.Count() != asked {
		t.Error("the upstream was asked")
	}
}

func TestLimitConcurrency(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Concurrency = 3 })
	var streams []*live
	for range 3 {
		l := r.open(streamed)
		l.until("response.output_text.delta")
		streams = append(streams, l)
	}
	for _, path := range []string{"/v1/responses", "/v1/chat/completions"} {
		got := r.do("POST", path, streamed)
		got.want(t, 429, "rate_limit_exceeded")
		if got.err().Type != "rate_limit_error" || got.header.Get("Retry-After") != "1" || got.header.Get("X-Request-Id") == "" {
			t.Errorf("%+v %v", got.err(), got.header)
		}
	}
	if r.get("/healthz").status != 200 {
		t.Error("a busy server is not healthy")
	}
	if n := r.metric("antiphon_rejected_total"); n != 2 {
		t.Errorf("%v rejections are counted", n)
	}
	up.Release("go")
	for _, l := range streams {
		l.rest()
	}
	r.until("the streams to be over", func() bool { return r.srv.InFlight() == 0 })
	r.post(streamed).want(t, 200, "")
	if up.Count() != 4 {
		t.Errorf("the upstream was asked %d times", up.Count())
	}
}

// TestLimitUpstreamConnections: when all connections to the upstream are in use.
func TestLimitUpstreamConnections(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Connections.Max = 1 })
	l := r.open(streamed)
	l.until("response.output_text.delta")
	got := r.post(plain)
	got.want(t, 503, "server_error")
	if !strings.Contains(got.err().Message, "in use") {
		t.Error(got.err().Message)
	}
	up.Release("go")
	l.rest()
	r.until("the connection", func() bool { active, _ := r.srv.router.stats(); return active == 0 })
	r.post(streamed).want(t, 200, "")
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, answers("hello"))
	r := newRig(t, up.URL())
	r.post(plain, "Content-Encoding: identity").want(t, 200, "")
	for _, enc := range []string{"br", "deflate", "gzip, identity", "identity, gzip", "gzip, gzip", "x"} {
		got := r.post(plain, "Content-Encoding: "+enc)
		got.want(t, 415, "unsupported_content_encoding")
		if accepted := got.header.Get("Accept-Encoding"); accepted != "gzip, zstd" {
			t.Errorf("%s: told to try %q", enc, accepted)
		}
	}
	// What is passed on is the upstream's business.
	up.Next()
	if got := r.do("POST", "/v1/embeddings", "\x1f\x8b", "Content-Encoding: gzip"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if req := up.Next(); string(req.Body) != "\x1f\x8b" || req.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v", req.Body, req.Header)
	}
}
