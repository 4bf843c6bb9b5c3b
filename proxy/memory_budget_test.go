package proxy

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

func withMemory(size config.ByteSize) func(*setup) {
	return func(s *setup) { s.cfg.Limits.Memory = size }
}

// bodyOf is a request of about so many bytes.
func bodyOf(size int) string {
	return strings.Replace(plain, "{", `{"metadata":{},"instructions":"`+strings.Repeat("x", size)+`",`, 1)
}

// TestMemoryBody: a body that the budget has no room for is refused before it is
// there, in whatever form it comes, and the budget is free again afterwards.
func TestMemoryBody(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), withMemory(4*config.MiB))
	r.post(bodyOf(1<<20)).want(t, 200, "")
	asked := up.Count()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	text := make([]byte, 5<<19)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text)
	_, _ = z.Write([]byte(strings.Replace(plain, "{", `{"instructions":"`+hex.EncodeToString(text)+`",`, 1)))
	_ = z.Close()
	for name, got := range map[string]*reply{
		"with a length": r.post(bodyOf(5 << 20)),
		"in chunks":     r.send("POST", "/v1/responses", chunkedBody(bodyOf(5<<20))),
		"translated":    r.post(bodyOf(3 << 20)), // the body fits, but not what is made of it
		"packed":        r.do("POST", "/v1/responses", packed.String(), "Content-Encoding: gzip"),
	} {
		got.want(t, 503, "server_overloaded")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	if up.Count() != asked {
		t.Error("the upstream was asked")
	}
	if n := r.metric(`antiphon_memory_refused_total{for="body"}`); n != 4 {
		t.Errorf("%v are counted", n)
	}
	if n := strings.Count(strings.Join(r.log.lines(), "\n"), "raise limits.memory"); n != 1 {
		t.Errorf("the log says %d times what to do", n)
	}
	r.post(bodyOf(1<<20)).want(t, 200, "")
}

// TestMemoryReply: a reply that grows beyond the budget ends with an error, a stream
// with its terminal event, whatever the upstream speaks and in whatever form it comes.
func TestMemoryReply(t *testing.T) {
	t.Parallel()
	piece := strings.Repeat("x", 30000)
	long := strings.Repeat(piece, 100)
	for name, script := range map[string]string{
		"a stream":    sseHead + "repeat 100 " + delta(piece) + finishChunk("stop") + sseDone,
		"a whole one": answers(long),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, script)
			r := newRig(t, up.URL(), withMemory(4*config.MiB))
			if v := r.post(streamed).response(t); v.Status != "failed" || v.Error == nil {
				t.Errorf("a stream ends as %s: %.300s", v.Status, v.raw)
			}
			got := r.post(plain)
			got.want(t, 503, "server_error")
			if got.header.Get("Retry-After") != "1" || !strings.Contains(got.err().Message, "no memory left for the reply") {
				t.Errorf("%+v %v", got.err(), got.header)
			}
			if n := r.metric(`antiphon_memory_refused_total{for="reply"}`); n != 2 {
				t.Errorf("%v are counted", n)
			}
		})
		t.Run(name+" with room", func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, script)
			r := newRig(t, up.URL(), withMemory(32*config.MiB))
			for _, body := range []string{streamed, plain} {
				if v := r.post(body).response(t); v.Status != "completed" || v.text() != long {
					t.Errorf("it ends as %s", v.Status)
				}
			}
		})
	}
}

// TestMemoryFull: while the budget is nearly spent new requests are refused at the
// door, those that are being served go on, and what needs no memory is answered.
func TestMemoryFull(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+"repeat 10 "+delta(strings.Repeat("x", 20000))+"gate go\n"+finishChunk("stop")+sseDone)
	r := newRig(t, up.URL(), withMemory(1*config.MiB))
	l := r.open(streamed)
	r.until("the stream to hold its share", func() bool { return r.metric(`antiphon_request_memory_bytes{of="used"}`) > 700<<10 })
	r.srv.memory.used.Add(512 << 10)
	for _, path := range []string{"/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/conversations"} {
		got := r.do("POST", path, plain)
		got.want(t, 503, "server_overloaded")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	r.get("/v1/responses/resp_x").want(t, 404, "")
	if r.get("/readyz").status != 200 {
		t.Error("not ready")
	}
	r.srv.memory.used.Add(-512 << 10)
	up.Release("go")
	if v := l.rest().response(t); v.Status != "completed" {
		t.Errorf("the stream ends as %s", v.Status)
	}
	r.post(streamed).want(t, 200, "")
}
