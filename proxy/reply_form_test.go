package proxy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

const (
	chunkOf     = `{"choices":[{"index":0,"delta":{"content":%q}}]}`
	formWholeOf = `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}`
	formEnd     = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}`
)

// TestReplyForms: what the first bytes of a reply say counts, for clients that stream
// and for those that do not, and its content encoding is undone.
func TestReplyForms(t *testing.T) {
	t.Parallel()
	one, two := fmt.Sprintf(chunkOf, "Hel"), fmt.Sprintf(chunkOf, "lo")
	stream := "data: " + one + "\n\ndata: " + two + "\n\ndata: " + formEnd + "\n\ndata: [DONE]\n\n"
	pretty := strings.ReplaceAll(formWholeOf, ",", ",\n  ") + "\n"
	packed := func(encode func(w io.Writer) io.WriteCloser, body string) string {
		var b bytes.Buffer
		w := encode(&b)
		_, _ = io.WriteString(w, body)
		_ = w.Close()
		return b.String()
	}
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zl := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	zs := func(w io.Writer) io.WriteCloser { e, _ := zstd.NewWriter(w); return e }
	for _, c := range []struct{ name, kind, encoding, body string }{
		{"a stream called JSON", "application/json", "", stream},
		{"a stream called JSON with a charset", "Application/JSON; charset=utf-8", "", stream},
		{"a stream called text", "text/plain", "", stream},
		{"a stream with CR alone", "text/event-stream", "", strings.ReplaceAll(stream, "\n", "\r")},
		{"a stream without spaces", "TEXT/Event-Stream;charset=UTF-8", "", strings.ReplaceAll(stream, "data: ", "data:")},
		{"a stream behind a mark", "text/event-stream", "", "\ufeff" + stream},
		{"JSON called a stream", "text/event-stream", "", formWholeOf},
		{"JSON in lines called a stream", "text/event-stream", "", pretty},
		{"JSON in lines", "application/json", "", pretty},
		{"JSON behind a mark", "application/json", "", "\ufeff\r\n" + formWholeOf},
		{"JSON and then DONE", "text/event-stream", "", formWholeOf + "\n\ndata: [DONE]\n\n"},
		{"JSON called JSON and then DONE", "application/json", "", formWholeOf + "\ndata: [DONE]\n\n"},
		{"JSON called text", "text/plain", "", formWholeOf},
		{"a line for each chunk", "application/x-ndjson", "", one + "\n" + two + "\n" + formEnd + "\n"},
		{"a line for each chunk, called JSON", "application/json", "", one + "\n" + two + "\n" + formEnd + "\n[DONE]\n"},
		{"a list with JSON", "application/json", "", "[" + formWholeOf + "]"},
		{"an envelope", "application/json", "", `{"code":0,"message":"ok","data":` + formWholeOf + "}"},
		{"gzip", "application/json", "gzip", packed(gz, formWholeOf)},
		{"a stream in gzip", "text/event-stream", "GZIP", packed(gz, stream)},
		{"deflate", "application/json", "deflate", packed(zl, formWholeOf)},
		{"a stream in zstd", "text/event-stream", "zstd", packed(zs, stream)},
		{"text called gzip", "text/event-stream", "gzip", stream},
	} {
		for _, request := range []string{plain, streamed} {
			t.Run(c.name+map[bool]string{true: "/stream"}[request == streamed], func(t *testing.T) {
				t.Parallel()
				head := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: " + c.kind + "\r\n"
				if c.encoding != "" {
					head += "Content-Encoding: " + c.encoding + "\r\n"
				}
				script := fmt.Sprintf("raw %q\n", head+"\r\n")
				for rest := c.body; rest != ""; { // in pieces that end anywhere
					n := min(len(rest), 37)
					script += fmt.Sprintf("raw %+q\n", rest[:n])
					rest = rest[n:]
				}
				up := upstreamtest.New(t, script+"close")
				r := newRig(t, up.URL(), func(s *setup) {
					s.cfg.Upstream.Timeouts.Idle = config.Duration(2 * time.Second)
				})
				v := r.post(request).response(t)
				if v.Status != "completed" || v.text() != "Hello" {
					t.Errorf("%s %q, %+v", v.Status, v.text(), v.Error)
				}
				if enc := up.Next().Header.Get("Accept-Encoding"); enc != "identity" {
					t.Errorf("Accept-Encoding: %s", enc)
				}
			})
		}
	}
}

// TestFinishSaysContextFull: a backend that says that the context is full in place of an
// answer is asked again with less, if the client allows it.
func TestFinishSaysContextFull(t *testing.T) {
	t.Parallel()
	full := `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"model_context_window_exceeded"}]}`
	for _, stream := range []string{"false", "true"} {
		up := upstreamtest.New(t, "json 200 "+full, "json 200 "+completion("a"))
		r := newRig(t, up.URL())
		v := r.post(`{"model":"m","truncation":"auto","stream":` + stream + `,"input":[{"role":"user","content":"one"},{"role":"assistant","content":"1"},{"role":"user","content":"two"},{"role":"assistant","content":"2"},{"role":"user","content":"three"}]}`).response(t)
		if v.Status != "completed" || v.text() != "a" || up.Count() != 2 {
			t.Errorf("stream %s: %s %q after %d requests, %+v", stream, v.Status, v.text(), up.Count(), v.Error)
		}
		first, second := up.Next(), up.Next()
		if len(second.Body) >= len(first.Body) {
			t.Errorf("stream %s: the second request is not shorter: %s", stream, second.Body)
		}
	}
}
