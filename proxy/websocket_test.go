package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// TestSocketSaysTheSame: the messages of a turn are the events of the same turn
// over HTTP.
func TestSocketSaysTheSame(t *testing.T) {
	t.Parallel()
	script := sseHead + delta("a") + delta("b") + callChunk(0) + callChunk(1) + finishChunk("tool_calls") + sseDone
	r := newRig(t, upstreamtest.New(t, script).URL())
	over := r.post(streamed)
	p := r.socket()
	got := p.turn(`"input":"CANARY question"`)
	a, err := streamcheck.Fold(over.body, streamcheck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := streamcheck.Fold(got.stream, streamcheck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mask := func(raw []byte) string {
		s := regexp.MustCompile(`_[0-9a-f]{50}`).ReplaceAllString(string(raw), "_ID")
		return regexp.MustCompile(`(created|completed)_at":\d+`).ReplaceAllString(s, "at")
	}
	if mask(a.Response) != mask(b.Response) {
		t.Errorf("HTTP:\n%s\nWebSocket:\n%s", a.Response, b.Response)
	}
	if h, w := mask(over.body), mask(got.stream); h != w {
		t.Errorf("HTTP:\n%s\nWebSocket:\n%s", h, w)
	}
	line := r.logged(2) // the HTTP request, the upgrade, the turn
	if line["route"] != "responses.websocket" || line["response_id"] != got.ID || line["status"] != 200.0 {
		t.Errorf("logged %v", line)
	}
}

// TestSocketContinues: with store false a response can be continued on its own
// connection, from any lane, and nowhere else.
func TestSocketContinues(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL())
	p := r.socket()
	first := p.turn(`"store":false,"input":"one"`)
	second := p.turn(`"store":false,"input":"two","previous_response_id":"` + first.ID + `"`)
	if second.Previous != first.ID || second.Store {
		t.Errorf("%s", second.raw)
	}
	requests := up.Requests()
	var chat struct {
		Messages []struct{ Role, Content string }
	}
	_ = json.Unmarshal(requests[len(requests)-1].Body, &chat)
	if got := fmt.Sprint(chat.Messages); got != "[{user one} {assistant echo of one} {user two}]" {
		t.Errorf("the backend was told %s", got)
	}
	// Another lane forks off; and the one before the most recent is gone.
	p.create(`"stream_id":"fork","store":false,"input":"three","previous_response_id":"` + second.ID + `"`)
	if v := p.result("fork"); v.Status != "completed" {
		t.Errorf("%+v", v.fault)
	}
	p.create(`"store":false,"input":"x","previous_response_id":"` + first.ID + `"`)
	v := p.result("")
	v.wantFault(t, 400, "previous_response_not_found")
	// Its items can be referred to.
	p.turn(`"store":false,"input":[{"type":"item_reference","id":"` + second.Output[0].ID + `"},{"role":"user","content":"x"}]`)

	r.get("/v1/responses/"+second.ID).want(t, 404, "")
	q := r.socket()
	q.create(`"input":"x","previous_response_id":"` + second.ID + `"`)
	v = q.result("")
	v.wantFault(t, 400, "previous_response_not_found")

	// What is stored can be continued from anywhere.
	stored := p.turn(`"input":"kept"`)
	if v := q.turn(`"input":"x","previous_response_id":"` + stored.ID + `"`); v.Previous != stored.ID {
		t.Errorf("%s", v.raw)
	}
	if got := r.get("/v1/responses/" + stored.ID).response(t); got.text() != stored.text() {
		t.Errorf("%s", got.raw)
	}
}

// TestSocketWarmUp: generate false builds up what another message continues, and
// the model is not asked.
func TestSocketWarmUp(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL())
	p := r.socket()
	warm := p.turn(`"store":false,"generate":false,"input":[{"role":"developer","content":"be brief"}]`)
	if warm.Status != "completed" || len(warm.Output) != 0 || up.Count() != 0 {
		t.Errorf("%s, %d requests", warm.raw, up.Count())
	}
	empty := p.turn(`"store":false,"generate":false,"input":[],"previous_response_id":"` + warm.ID + `"`)
	v := p.turn(`"store":false,"input":"hi","previous_response_id":"` + empty.ID + `"`)
	if v.text() != "echo of hi" || !bytes.Contains(up.Requests()[0].Body, []byte("be brief")) {
		t.Errorf("%s: %s", v.raw, up.Requests()[0].Body)
	}
	// Codex opens a connection so when all its instructions are items.
	nothing := p.turn(`"store":false,"generate":false,"input":[]`)
	if v := p.turn(`"store":false,"input":"hi","previous_response_id":"` + nothing.ID + `"`); v.text() != "echo of hi" {
		t.Errorf("%s", v.raw)
	}
	p.create(`"generate":false,"input":[{"type":"nonsense"}]`)
	v = p.result("")
	if v.fault == nil || v.status != 400 {
		t.Errorf("%s", v.raw)
	}
}

// TestSocketEvicts: a turn that fails takes with it what it tried to continue.
func TestSocketEvicts(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"refused":        `json 429 {"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}`,
		"in the stream":  sseHead + delta("a") + "rst",
		"of the request": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(t, streams("ok"), "header Retry-After: 7\n"+script, streams("again"))
			r := newRig(t, up.URL())
			p := r.socket()
			first := p.turn(`"store":false,"input":"one"`)
			continued := `"previous_response_id":"` + first.ID + `","store":false,"input":`
			if script == "" {
				p.create(continued + `7`)
			} else {
				p.create(continued + `"two"`)
			}
			v := p.result("")
			if v.fault == nil || v.status < 400 {
				t.Errorf("%d %+v", v.status, v.fault)
			}
			p.create(continued + `"three"`)
			v = p.result("")
			v.wantFault(t, 400, "previous_response_not_found")
		})
	}
}

func TestSocketLanes(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		for _, gate := range []string{"slow", "first"} {
			if bytes.Contains(req.Body, []byte(gate)) {
				return sseHead + delta(gate) + "gate " + gate + "\n" + finishChunk("stop") + sseDone
			}
		}
		return streams("at once")
	})
	r := newRig(t, up.URL())
	p := r.socket()
	p.create(`"stream_id":"a","input":"slow"`)
	p.until("a", "response.output_text.delta")
	p.create(`"stream_id":"a","input":"behind it"`)
	p.create(`"stream_id":"b.-_1","input":"beside it"`)
	if v := p.result("b.-_1"); v.text() != "at once" {
		t.Errorf("%s", v.raw)
	}
	if up.Count() != 2 {
		t.Errorf("%d requests: what is behind in a lane must wait", up.Count())
	}
	up.Release("slow")
	p.until("a", "response.completed")
	if v := p.result("a"); v.text() != "at once" {
		t.Errorf("%s", v.raw)
	}
	for _, id := range []string{`""`, `"a b"`, `"é"`, `7`, `"` + strings.Repeat("x", 257) + `"`} {
		p.create(`"stream_id":` + id + `,"input":"x"`)
		v := p.result("")
		if v.fault == nil || v.status != 400 || v.fault.Param != "stream_id" {
			t.Errorf("%s: %d %+v", id, v.status, v.fault)
		}
	}
}

func TestSocketLimits(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string {
		return sseHead + delta("a") + "gate go\n" + finishChunk("stop") + sseDone
	})
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.WebSocket.InFlight, s.cfg.WebSocket.Lanes = 4, 3
		s.cfg.WebSocket.Lifetime = config.Duration(700 * time.Millisecond)
		s.cfg.Limits.Body = 2048
	})
	p := r.socket()
	for i := range 3 {
		p.create(fmt.Sprintf(`"stream_id":"l%d","input":"x"`, i))
	}
	p.create(`"stream_id":"one-too-many","input":"x"`)
	v := p.result("one-too-many")
	v.wantFault(t, 400, "websocket_stream_limit_reached")
	p.create(`"input":"x"`) // the default lane is none of them
	p.create(`"stream_id":"l0","input":"x"`)
	v = result{}
	for v.fault == nil {
		if f := p.next("l0"); f.Type == "error" {
			v.fault, v.status = f.Error, f.Status
		}
	}
	v.wantFault(t, 429, "rate_limit_exceeded")
	time.Sleep(time.Until(time.Now().Add(800 * time.Millisecond)))
	up.Release("go")
	for _, lane := range []string{"l0", "l1", "l2", ""} {
		p.until(lane, "response.completed") // what runs may end, though the time is over
	}
	v = p.result("")
	v.wantFault(t, 400, "websocket_connection_limit_reached")
	if code := p.closed(); code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}

	q := r.socket()
	q.create(`"input":"` + strings.Repeat("x", 4096) + `"`)
	if code := q.closed(); code != websocket.StatusMessageTooBig {
		t.Errorf("closed with %d", code)
	}
}

// TestSocketWaiting: what waits on a connection is bounded by the size of a body.
func TestSocketWaiting(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop")+sseDone)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body = 100 << 10 })
	p := r.socket()
	big := `"input":"` + strings.Repeat("x", 60<<10) + `"`
	p.create(big)
	p.until("", "response.output_text.delta")
	p.create(`"stream_id":"b",` + big)
	v := p.result("b")
	v.wantFault(t, 429, "rate_limit_exceeded")
	up.Release("go")
	p.until("", "response.completed")
	p.turn(big)
}

func TestSocketErrors(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "header Retry-After: 7\n"+`json 429 {"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}`,
		sseHead+delta("a")+"rst")
	r := newRig(t, up.URL())
	p := r.socket()
	for _, c := range []struct {
		message string
		code    string
		param   string
	}{
		{`{`, "invalid_request_error", ""},
		{`[]`, "invalid_type", ""},
		{`{"type":7}`, "invalid_type", "type"},
		{`{}`, "missing_required_parameter", "type"},
		{`{"type":"response.inject"}`, "invalid_value", "type"},
		{`{"type":"response.create"}`, "missing_required_parameter", "model"},
		{`{"type":"response.create","model":"m","input":"x","generate":1}`, "invalid_type", "generate"},
		{`{"type":"response.create","model":"m","input":"x","previous_response_id":"resp_x"}`, "previous_response_not_found", "previous_response_id"},
	} {
		p.send(c.message)
		f := p.next("")
		if f.Type != "error" || f.Status != 400 || f.Error.Code != c.code || f.Error.Param != c.param {
			t.Errorf("%s: %s", c.message, f.raw)
		}
	}
	p.send(`{"type":"response.steer","stream_id":"l","previous_response_id":"resp_1","input":"stop"}`)
	if f := p.next("l"); f.Type != "response.steer.failed" || f.Error.Code != "steering_not_supported" ||
		!bytes.Contains(f.raw, []byte(`"steer":{"previous_response_id":"resp_1","input":"stop"}`)) {
		t.Errorf("%s", f.raw)
	}
	p.create(`"stream_id":"s","input":"x"`)
	f := p.next("s")
	if f.Status != 429 || !bytes.Contains(f.raw, []byte(`"headers":{"retry-after":"7"}`)) || f.StreamID != "s" {
		t.Errorf("%s", f.raw)
	}
	p.create(`"input":"x"`)
	if v := p.result(""); v.Status != "failed" || v.status != 502 {
		t.Errorf("%d %s", v.status, v.raw)
	}
}

func TestSocketUpgrade(t *testing.T) {
	t.Parallel()
	refused := func(r *rig, status int, code string, headers ...string) {
		t.Helper()
		_, resp, err := r.upgrade(headers...)
		if err == nil || resp == nil || resp.StatusCode != status {
			t.Errorf("%v: %v, %v, want %d", headers, resp, err, status)
			return
		}
		body := make([]byte, 1000)
		n, _ := resp.Body.Read(body)
		if p := (&reply{body: body[:n]}); p.err().Code != code {
			t.Errorf("%v: %s", headers, body[:n])
		}
	}
	up := newEcho(t)
	r := newRig(t, up.URL())
	refused(r, 403, "origin_not_allowed", "Origin: http://evil.example")
	refused(r, 403, "origin_not_allowed", "Origin: null")
	for _, h := range []string{"Origin: http://" + r.addr, "OpenAI-Beta: responses_websockets=2026-02-06"} {
		if v := r.socket(h).turn(`"input":"x"`); v.Status != "completed" {
			t.Errorf("%s", v.raw)
		}
	}
	r.get("/v1/responses").want(t, 405, "method_not_supported")
	up1 := "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for lines, status := range map[string]int{
		up1 + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==": 426,
		up1 + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short":                   400,
		up1 + "Sec-WebSocket-Version: 13":                                               400,
	} {
		l := r.dial()
		l.request("GET", "/v1/responses", "", strings.Split(lines, "\r\n")...)
		if resp := l.head(); resp.StatusCode != status {
			t.Errorf("%s: %d", lines, resp.StatusCode)
		}
	}
	off := newRig(t, up.URL(), func(s *setup) { s.cfg.WebSocket.Enabled = false })
	refused(off, 426, "websocket_not_supported")
	keys, err := config.ParseKeys("keys", []byte("alice sk-CANARY-1\n"))
	if err != nil {
		t.Fatal(err)
	}
	locked := newRig(t, up.URL(), func(s *setup) { s.opt.Keys = keys })
	refused(locked, 401, "invalid_api_key", "Authorization: Bearer wrong")
	locked.socket().turn(`"input":"x"`)
	if line := locked.logged(2); line["tenant"] != "p:alice" {
		t.Errorf("logged %v", line)
	}
}

// TestSocketClientGone: a client that leaves stops the upstream within a second.
func TestSocketClientGone(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"stall")
	r := newRig(t, up.URL())
	for _, leave := range []func(*websocket.Conn){
		func(c *websocket.Conn) { _ = c.CloseNow() },
		func(c *websocket.Conn) { _ = c.Close(websocket.StatusNormalClosure, "") },
	} {
		p := r.socket()
		p.create(`"input":"x"`)
		p.create(`"input":"y"`)
		p.until("", "response.output_text.delta")
		began := time.Now()
		leave(p.conn)
		r.until("the upstream to be left", func() bool { active, _ := r.srv.router.stats(); return active == 0 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}
	r.until("the connections to be over", func() bool { return r.srv.sockets.count.Load() == 0 })
	if up.Count() != 2 {
		t.Errorf("%d requests: what waits must not begin", up.Count())
	}
}

func TestSocketDrain(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte("never")) {
			return sseHead + delta("a") + "stall"
		}
		return sseHead + delta("a") + "gate go\n" + delta("b") + finishChunk("stop") + sseDone
	})
	r := newRig(t, up.URL())
	idle, busy, stuck := r.socket(), r.socket(), r.socket()
	idle.send(`{"type":"response.steer"}`)
	idle.next("")
	busy.create(`"input":"x"`)
	busy.until("", "response.output_text.delta")
	stuck.create(`"input":"never"`)
	stuck.until("", "response.output_text.delta")
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- r.srv.Shutdown(ctx) }()
	if code := idle.closed(); code != websocket.StatusGoingAway || time.Since(began) > 500*time.Millisecond {
		t.Errorf("an idle connection is closed with %d after %v", code, time.Since(began))
	}
	up.Release("go")
	busy.until("", "response.completed")
	if code := busy.closed(); code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	if f := stuck.until("", "response.failed"); !bytes.Contains(f.raw, []byte("shutting down")) {
		t.Errorf("%s", f.raw)
	}
	if code := stuck.closed(); code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2700*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	r.once.Do(func() {})
	<-r.served
}

// TestSocketMemory: what a connection keeps is bounded.
func TestSocketMemory(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.WebSocket.Memory = 64 << 10 })
	p := r.socket()
	big := strings.Repeat("x", 12<<10)
	ids := map[string]string{}
	for _, lane := range []string{"a", "b", "c"} {
		p.create(`"store":false,"stream_id":"` + lane + `","input":"` + big + `"`)
		v := p.result(lane)
		ids[lane] = v.ID
	}
	for lane, want := range map[string]bool{"a": false, "c": true} {
		p.create(`"store":false,"stream_id":"` + lane + `","generate":false,"input":"x","previous_response_id":"` + ids[lane] + `"`)
		if v := p.result(lane); (v.fault == nil) != want {
			t.Errorf("lane %s: %+v", lane, v.fault)
		}
	}
}

// TestSocketHeader: what goes on to the upstream does so with every turn.
func TestSocketHeader(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL())
	p := r.socket("OpenAI-Project: p1")
	p.turn(`"input":"x"`)
	p.turn(`"input":"y"`)
	for _, req := range up.Requests() {
		if req.Header.Get("Authorization") != canaryKey || req.Header.Get("OpenAI-Project") != "p1" {
			t.Errorf("the backend got %v", req.Header)
		}
	}
}

// TestSocketKeyWithdrawn: a key that is taken away ends what its connection may do.
func TestSocketKeyWithdrawn(t *testing.T) {
	t.Parallel()
	keys := func(text string) *config.Keys {
		k, err := config.ParseKeys("keys", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	r := newRig(t, newEcho(t).URL(), func(s *setup) { s.opt.Keys = keys("alice sk-CANARY-1\n") })
	p := r.socket()
	p.turn(`"input":"x"`)
	for _, text := range []string{"bob sk-other\n", "bob sk-CANARY-1\n"} {
		r.srv.keys.Store(keys(text))
		p.create(`"input":"x"`)
		v := p.result("")
		v.wantFault(t, 401, "invalid_api_key")
	}
}

// TestSocketForkOutlivesItsRoot: a fork goes on when the lane that it comes from
// has moved on in the meantime.
func TestSocketForkOutlivesItsRoot(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte(`"slow"}]`)) {
			return "gate go\n" + streams("slowly")
		}
		return streams("ok")
	})
	r := newRig(t, up.URL())
	p := r.socket()
	root := p.turn(`"store":false,"input":"root"`)
	p.create(`"stream_id":"fork","store":false,"input":"slow","previous_response_id":"` + root.ID + `"`)
	r.until("the fork to run", func() bool { return up.Count() == 2 })
	p.turn(`"store":false,"input":"on","previous_response_id":"` + root.ID + `"`)
	up.Release("go")
	fork := p.result("fork")
	p.create(`"stream_id":"fork","store":false,"input":"more","previous_response_id":"` + fork.ID + `"`)
	if v := p.result("fork"); v.fault != nil {
		t.Errorf("%+v", v.fault)
	}
	if last := up.Requests()[3].Body; !bytes.Contains(last, []byte("root")) || !bytes.Contains(last, []byte("slowly")) {
		t.Errorf("%s", last)
	}
}
