package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"antiphon/config"
	"antiphon/proxy/upstreamtest"
)

// A silent stream shows signs of life, so that what is in between keeps it open;
// but they do not stand for the upstream: not before its head, and not for
// longer than it may be silent.

const beat = 100 * time.Millisecond

func beating(style config.HeartbeatStyle) func(*setup) {
	return func(s *setup) {
		s.cfg.Stream.Heartbeat, s.cfg.Stream.HeartbeatStyle = config.Duration(beat), style
	}
}

func signsOfLife(body []byte) (comments, events int) {
	return bytes.Count(body, []byte(": keep-alive\n")), bytes.Count(body, []byte("event: keepalive\n"))
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	const (
		silent = "wait 450ms\n"
		busy   = "repeat 45 chunk : still thinking\nwait 10ms\n"
	)
	slow := ""
	for range 45 {
		slow += "chunk : PROCESSING\nwait 10ms\n"
	}
	for name, c := range map[string]struct {
		style config.HeartbeatStyle
		pause string
	}{
		"comment":                      {config.HeartbeatComment, silent},
		"event":                        {config.HeartbeatEvent, silent},
		"the upstream's own, comments": {config.HeartbeatComment, slow},
		"the upstream's own, events":   {config.HeartbeatEvent, slow},
		"empty chunks":                 {config.HeartbeatComment, strings.ReplaceAll(slow, ": PROCESSING", `data: {"choices":[]}`)},
		"half an event":                {config.HeartbeatComment, "chunk-raw \"data: {\"\n" + silent + `chunk-raw "}\n\n"` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, sseHead+delta("a")+c.pause+delta("b")+finishChunk("stop"))
			r := newRig(t, up.URL(), beating(c.style))
			began := time.Now()
			got := r.post(streamed)
			took := time.Since(began) // more than 450 ms on a busy machine
			if v := got.response(t); v.text() != "ab" || v.Status != "completed" {
				t.Errorf("%s", v.raw)
			}
			comments, events := signsOfLife(got.body)
			n := comments
			if c.style == config.HeartbeatEvent {
				n = events
			}
			if n < 2 || n > int(took/beat)+2 || comments+events != n {
				t.Errorf("%d comments and %d events in %v", comments, events, took)
			}
			if m := r.metric("antiphon_heartbeats_total"); m != float64(n) {
				t.Errorf("%v are counted, there are %d", m, n)
			}
			// They stand where the silence was.
			if i, j := bytes.Index(got.body, []byte("alive")), bytes.Index(got.body, []byte(`"delta":"b"`)); i > j {
				t.Error("they come too late")
			}
		})
	}
}

// TestHeartbeatByClient: Codex gets events, because comments do not count for it,
// over SSE and WebSocket; others get comments, unless something else is configured.
func TestHeartbeatByClient(t *testing.T) {
	t.Parallel()
	const codex = "User-Agent: codex_exec/0.169.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.169.0)"
	for name, c := range map[string]struct {
		style  config.HeartbeatStyle
		client string
		events bool
	}{
		"codex":             {config.HeartbeatAuto, codex, true},
		"node":              {config.HeartbeatAuto, "User-Agent: OpenAI/JS 7.57.0", false},
		"nobody":            {config.HeartbeatAuto, "User-Agent:", false},
		"codex, overruled":  {config.HeartbeatComment, codex, false},
		"others, overruled": {config.HeartbeatEvent, "User-Agent: curl/8", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string {
				return sseHead + delta("a") + "wait 450ms\n" + delta("b") + finishChunk("stop")
			})
			r := newRig(t, up.URL(), beating(c.style))
			comments, events := signsOfLife(r.post(streamed, c.client).body)
			if c.events && (events < 2 || comments > 0) || !c.events && (comments < 2 || events > 0) {
				t.Errorf("%d comments, %d events", comments, events)
			}
			if !c.events || c.client != codex {
				return
			}
			p := r.socket(c.client)
			if v := p.turn(`"input":"Hi"`); !bytes.Contains(v.stream, []byte("event: keepalive\n")) {
				t.Errorf("no sign of life in\n%s", v.stream)
			}
		})
	}
	if config.Default().Stream.HeartbeatStyle != config.HeartbeatAuto {
		t.Error("nobody gets what it needs unasked")
	}
}

// TestHeartbeatNotBeforeHead: whether there will be a stream is for the upstream
// to say, and an error must be able to have its status.
func TestHeartbeatNotBeforeHead(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "wait 350ms\n"+streams("a"), "wait 350ms\njson 429 {}")
	r := newRig(t, up.URL(), beating(config.HeartbeatComment))
	l := r.dial()
	began := time.Now()
	l.request("POST", "/v1/responses", streamed)
	if _, err := l.br.Peek(1); err != nil || time.Since(began) < 300*time.Millisecond {
		t.Errorf("the first byte comes after %v: %v", time.Since(began), err)
	}
	l.head()
	if comments, _ := signsOfLife(l.rest().body); comments != 0 {
		t.Errorf("%d comments", comments)
	}
	r.post(streamed).want(t, 429, "rate_limit_exceeded")
}

// TestHeartbeatDoesNotProlong: signs of life do not make a dead upstream live.
func TestHeartbeatDoesNotProlong(t *testing.T) {
	t.Parallel()
	for name, beats := range map[string]time.Duration{"frequent": 60 * time.Millisecond, "rarer than the time": time.Hour, "none": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, sseHead+delta("a")+"stall")
			r := newRig(t, up.URL(), func(s *setup) {
				s.cfg.Stream.Heartbeat = config.Duration(beats)
				s.cfg.Upstream.Timeouts.Idle = config.Duration(400 * time.Millisecond)
			})
			began := time.Now()
			got := r.post(streamed)
			took := time.Since(began)
			if v := got.response(t); v.Status != "failed" || took < 350*time.Millisecond || took > 2*time.Second {
				t.Errorf("%s after %v", v.Status, took)
			}
			if comments, _ := signsOfLife(got.body); (comments > 1) != (name == "frequent") {
				t.Errorf("%d comments", comments)
			}
		})
	}
}

// TestHeartbeatNotWhenBusy: a stream that goes on needs none.
func TestHeartbeatNotWhenBusy(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+strings.Repeat(delta("x")+"wait 20ms\n", 20)+finishChunk("stop"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Stream.Heartbeat = config.Duration(300 * time.Millisecond) })
	if comments, events := signsOfLife(r.post(streamed).body); comments+events != 0 {
		t.Errorf("%d comments and %d events", comments, events)
	}
}

// TestUsageGrace: how long to wait for a count of tokens that comes late, or
// never, does not depend on the other times, and not on other signs of life.
func TestUsageGrace(t *testing.T) {
	t.Parallel()
	finish := `chunk data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n"
	usage := `chunk data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}` + "\n"
	slow := ""
	for range 100 {
		slow += "chunk : still counting\nwait 20ms\n"
	}
	for name, c := range map[string]struct {
		script string
		usage  bool
		least  time.Duration
	}{
		"late":          {finish + "wait 150ms\n" + usage, true, 100 * time.Millisecond},
		"never":         {finish + "stall", false, 250 * time.Millisecond},
		"never, but []": {finish + slow, false, 250 * time.Millisecond},
		"too late":      {finish + "wait 2s\n" + usage, false, 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, sseHead+delta("a")+c.script)
			r := newRig(t, up.URL(), func(s *setup) { s.cfg.Stream.UsageGrace = config.Duration(300 * time.Millisecond) })
			began := time.Now()
			v := r.post(streamed).response(t)
			took := time.Since(began)
			if v.Status != "completed" || (v.Usage != nil && v.Usage.Input == 7) != c.usage {
				t.Errorf("%s", v.raw)
			}
			if took < c.least || took > 1200*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		})
	}
}
