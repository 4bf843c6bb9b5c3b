package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// A silent stream shows keep-alives, so that what is in between keeps it open;
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
	const silent = "wait 450ms\n"
	slow := strings.Repeat("chunk : PROCESSING\nwait 10ms\n", 45)
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
			script := always(sseHead + delta("a") + c.pause + delta("b") + finishChunk("stop"))
			inBubble(t, script, []func(*setup){beating(c.style)}, func(t *testing.T, r *rig, _ *upstreamtest.Server) {
				got := r.post(streamed)
				if v := got.response(t); v.text() != "ab" || v.Status != "completed" {
					t.Errorf("%s", v.raw)
				}
				comments, events := signsOfLife(got.body)
				if c.style == config.HeartbeatEvent {
					comments, events = events, comments
				}
				if comments != 4 || events != 0 {
					t.Errorf("%d keep-alives of the right kind, %d of the other", comments, events)
				}
				if m := r.metric("antiphon_heartbeats_total"); m != 4 {
					t.Errorf("%v are counted", m)
				}
				// They stand where the silence was.
				if i, j := bytes.LastIndex(got.body, []byte("alive")), bytes.Index(got.body, []byte(`"delta":"b"`)); i > j {
					t.Error("they come too late")
				}
			})
		})
	}
}

const codexAgent = "User-Agent: codex_exec/0.169.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.169.0)"

// TestHeartbeatByClient: Codex gets events, because comments do not count for it;
// others get comments, unless something else is configured.
func TestHeartbeatByClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		style  config.HeartbeatStyle
		client string
		events bool
	}{
		"codex":             {config.HeartbeatAuto, codexAgent, true},
		"node":              {config.HeartbeatAuto, "User-Agent: OpenAI/JS 7.57.0", false},
		"nobody":            {config.HeartbeatAuto, "User-Agent:", false},
		"codex, overruled":  {config.HeartbeatComment, codexAgent, false},
		"others, overruled": {config.HeartbeatEvent, "User-Agent: curl/8", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := always(sseHead + delta("a") + "wait 250ms\n" + delta("b") + finishChunk("stop"))
			inBubble(t, script, []func(*setup){beating(c.style)}, func(t *testing.T, r *rig, _ *upstreamtest.Server) {
				comments, events := signsOfLife(r.post(streamed, c.client).body)
				if c.events {
					comments, events = events, comments
				}
				if comments != 2 || events != 0 {
					t.Errorf("%d keep-alives of the right kind, %d of the other", comments, events)
				}
			})
		})
	}
	if config.Default().Stream.HeartbeatStyle != config.HeartbeatAuto {
		t.Error("nobody gets what it needs unasked")
	}
}

// TestHeartbeatOverSocket: on a WebSocket they are messages. The upstream says
// nothing until one has come.
func TestHeartbeatOverSocket(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+delta("b")+finishChunk("stop"))
	r := newRig(t, up.URL(), beating(config.HeartbeatAuto))
	p := r.socket(codexAgent)
	p.create(`"input":"Hi"`)
	p.until("", "keepalive")
	up.Release("go")
	p.until("", "response.completed")
}

// TestHeartbeatNotBeforeHead: whether there will be a stream is for the upstream
// to say, and an error must be able to have its status.
func TestHeartbeatNotBeforeHead(t *testing.T) {
	t.Parallel()
	script := func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), "refuse") {
			return "wait 350ms\njson 429 {}"
		}
		return "wait 350ms\n" + streams("a")
	}
	inBubble(t, script, []func(*setup){beating(config.HeartbeatComment)}, func(t *testing.T, r *rig, _ *upstreamtest.Server) {
		if comments, events := signsOfLife(r.post(streamed).body); comments+events != 0 {
			t.Errorf("%d comments and %d events", comments, events)
		}
		r.post(strings.Replace(streamed, "question", "refuse", 1)).want(t, 429, "rate_limit_exceeded")
	})
}

// TestHeartbeatDoesNotProlong: keep-alives do not make a dead upstream live.
func TestHeartbeatDoesNotProlong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		beat time.Duration
		want int
	}{"frequent": {60 * time.Millisecond, 6}, "rarer than the time": {time.Hour, 0}, "none": {0, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const idle = 400 * time.Millisecond
			impatient := func(s *setup) {
				s.cfg.Stream.Heartbeat, s.cfg.Upstream.Timeouts.Idle = config.Duration(c.beat), config.Duration(idle)
			}
			inBubble(t, always(sseHead+delta("a")+"stall"), []func(*setup){impatient}, func(t *testing.T, r *rig, _ *upstreamtest.Server) {
				began := time.Now()
				got := r.post(streamed)
				if v, took := got.response(t), time.Since(began); v.Status != "failed" || took != idle {
					t.Errorf("%s after %v", v.Status, took)
				}
				if comments, events := signsOfLife(got.body); comments != c.want || events != 0 {
					t.Errorf("%d comments and %d events", comments, events)
				}
			})
		})
	}
}

// TestHeartbeatNotWhenBusy: a stream that goes on needs none.
func TestHeartbeatNotWhenBusy(t *testing.T) {
	t.Parallel()
	script := always(sseHead + strings.Repeat(delta("x")+"wait 99ms\n", 20) + finishChunk("stop"))
	inBubble(t, script, []func(*setup){beating(config.HeartbeatComment)}, func(t *testing.T, r *rig, _ *upstreamtest.Server) {
		if comments, events := signsOfLife(r.post(streamed).body); comments+events != 0 {
			t.Errorf("%d comments and %d events", comments, events)
		}
	})
}

// TestUsageGrace: how long to wait for a count of tokens that comes late, or
// never, does not depend on the other times, and not on other keep-alives.
func TestUsageGrace(t *testing.T) {
	t.Parallel()
	finish := `chunk data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n"
	usage := `chunk data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}` + "\n"
	slow := ""
	for range 100 {
		slow += "chunk : still counting\nwait 21ms\n"
	}
	const grace = 300 * time.Millisecond
	for name, c := range map[string]struct {
		script string
		usage  bool
		took   time.Duration
	}{
		"late":          {finish + "wait 150ms\n" + usage, true, 150 * time.Millisecond},
		"never":         {finish + "stall", false, grace},
		"never, but []": {finish + slow, false, grace},
		"too late":      {finish + "wait 2s\n" + usage, false, grace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patient := func(s *setup) { s.cfg.Stream.UsageGrace = config.Duration(grace) }
			inBubble(t, always(sseHead+delta("a")+c.script), []func(*setup){patient}, func(t *testing.T, r *rig, _ *upstreamtest.Server) {
				began := time.Now()
				v := r.post(streamed).response(t)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v", took)
				}
				if v.Status != "completed" || (v.Usage != nil && v.Usage.Input == 7) != c.usage {
					t.Errorf("%s", v.raw)
				}
			})
		})
	}
}
