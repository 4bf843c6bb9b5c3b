package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// inPlace reports whether an upstream that refuses that way gives no response at all.
func inPlace(way string) bool { return way == "whole" || way == "event" || way == "bare" }

// TestPassingRefusal: an error with status 200 in place of a response gets the status
// that it should have had, though replies pass through otherwise; a response that fails
// at once is passed on as it came.
func TestPassingRefusal(t *testing.T) {
	t.Parallel()
	for way, script := range lateResponses {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			script := strings.ReplaceAll(script, "%s", `{"code":"rate_limit_exceeded","message":"Slow down."}`)
			up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return script })
			other := upstreamtest.NewFunc(t, 0, ownResponses)
			request := fmt.Sprintf(`{"model":"m","stream":%v,"input":"q"}`, wayStreams(way))

			alone := newRig(t, up.URL(), speaksResponses)
			got := alone.unchecked("/v1/responses", request)
			if !inPlace(way) {
				if got.status != 200 || !strings.Contains(string(got.body), `"status":"failed"`) {
					t.Errorf("%d %s", got.status, got.body)
				}
			} else if e := got.err(); got.status != 429 || e.Code != "rate_limit_exceeded" || e.Message != "Slow down." {
				t.Errorf("%d %s", got.status, got.body)
			}
			if alone.metric("antiphon_lessons_total") != 0 {
				t.Error("it has learned from what a client has asked for")
			}

			both := newRig(t, up.URL(), ofKind("responses", "responses", other.URL()))
			got = both.unchecked("/v1/responses", request)
			if got.status != 200 || strings.Contains(string(got.body), "hi") != inPlace(way) {
				t.Errorf("with another: %d %s", got.status, got.body)
			}
		})
	}
}

// TestPassingWhole: what is looked at passes through byte by byte, in whatever pieces
// it comes.
func TestPassingWhole(t *testing.T) {
	t.Parallel()
	const event = `data: {"type":"response.created","response":{"id":"resp_1"}}`
	large := `{"id":"resp_1","output_later":"` + strings.Repeat("x", 3*maxPeek) + `"}`
	for name, c := range map[string]struct{ script, want string }{
		"a stream":        {"head 200 text/event-stream\nchunk " + event + "\nchunk data: x", event + "\n\ndata: x\n\n"},
		"in pieces":       {"head 200 text/event-stream\nchunk-raw \"data: {\\\"typ\"\nwait 20ms\nchunk-raw \"e\\\":1}\"\nwait 20ms\nchunk-raw \"\\n\\ndata: y\\n\\n\"", "data: {\"type\":1}\n\ndata: y\n\n"},
		"nothing":         {"head 200 text/event-stream\nend", ""},
		"no JSON":         {"json 200 <html>", "<html>"},
		"no body":         {"raw \"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 0\\r\\n\\r\\n\"", ""},
		"large":           {"json 200 " + large, large},
		"an error inside": {`json 200 {"id":"resp_1","object":"response","status":"incomplete","error":{"message":"x"},"output":[]}`, `{"id":"resp_1","object":"response","status":"incomplete","error":{"message":"x"},"output":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return c.script })
			r := newRig(t, up.URL(), speaksResponses)
			if got := string(r.unchecked("/v1/responses", plain).body); got != c.want {
				t.Errorf("%.300q\nwant %.300q", got, c.want)
			}
		})
	}
}

// TestPassingSilence: a client does not wait for long until an upstream has said what
// its reply is.
func TestPassingSilence(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "head 200 text/event-stream\nchunk : hello\ngate go\nchunk data: {}")
	r := newRig(t, up.URL(), speaksResponses, func(s *setup) { s.cfg.Stream.Heartbeat = config.Duration(50 * time.Millisecond) })
	l := r.open(streamed) // the head is there
	up.Release("go")
	if e := l.next(); e.name != ":" || strings.TrimSpace(e.data) != "hello" {
		t.Errorf("%+v", e)
	}
	if e := l.next(); e.data != "{}" {
		t.Errorf("%+v", e)
	}
}
