package proxy

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// The kinds of upstreams, by what clients of each API get from them.
var upstreamKinds = map[string]func(*config.Upstream){
	"chat":      func(u *config.Upstream) { u.Dialect = "openai" },
	"responses": func(u *config.Upstream) { u.Dialect, u.API = "openai", config.APIResponses },
	"half":      func(u *config.Upstream) { u.Dialect, u.API = "ollama", config.APIResponses },
}

// ofKind makes the default upstream one of a kind, with a stand-in of another.
func ofKind(first, second, spareURL string) func(*setup) {
	return func(s *setup) {
		upstreamKinds[first](&s.cfg.Upstream)
		s.cfg.Upstream.Fallback = []string{"spare"}
		also("spare", spareURL, upstreamKinds[second])(s)
	}
}

// TestStandIn: whatever two upstreams speak, one stands in for the other, for
// clients of both APIs.
func TestStandIn(t *testing.T) {
	t.Parallel()
	const busy = "header Retry-After: 7\nheader X-Ratelimit-Remaining-Requests: 0\n"
	failures := map[string]string{
		"dead": "",
		"429":  busy + `json 429 {"error":{"message":"slow down"}}`,
		"503":  `json 503 {"error":{"message":"Loading model"}}`,
	}
	requests := map[string]string{
		"/v1/responses":        `"input":"q","max_output_tokens":99`,
		"/v1/chat/completions": `"messages":[{"role":"user","content":"q"}],"max_completion_tokens":99`,
	}
	for first := range upstreamKinds {
		for second := range upstreamKinds {
			for why, script := range failures {
				t.Run(first+" "+why+" "+second, func(t *testing.T) {
					t.Parallel()
					echo := newEcho(t)
					spare := echo.URL()
					if second != "chat" {
						spare = "http://" + newRig(t, spare, func(s *setup) { s.cfg.Upstream.Dialect = "openai" }).addr
					}
					url := deadURL(t)
					if script != "" {
						url = upstreamtest.New(t, script).URL()
					}
					r := newRig(t, url, ofKind(first, second, spare), func(s *setup) { s.cfg.Upstream.Health.Failures = 0 })
					asked := 0
					for path, request := range requests {
						for _, stream := range []string{"", `"stream":true,`} {
							r.srv.router.all[0].health.until.Store(0) // as if its Retry-After were over
							got := r.do("POST", path, `{`+stream+`"model":"m",`+request+`}`)
							if got.status != 200 {
								t.Fatalf("%s: %d %s", path, got.status, got.body)
							}
							if path == "/v1/responses" {
								if v := got.response(t); v.text() != "echo of q" || v.Status != "completed" {
									t.Errorf("%s", got.body)
								}
							} else if texts := chatText(t, got); len(texts) != 1 || texts[0] != "echo of q" {
								t.Errorf("%s", got.body)
							}
							if got.header.Get("Retry-After") != "" || got.header.Get("X-Ratelimit-Remaining-Requests") != "" {
								t.Errorf("the first upstream's headers: %v", got.header)
							}
							if req := string(echo.Next().Body); !strings.Contains(req, `"max_completion_tokens":99`) || strings.Count(req, `"q"`) != 1 {
								t.Errorf("the model was sent %s", req)
							}
							line := r.logged(asked)
							asked++
							if line["upstream"] != "spare" || line["attempts"] != 2.0 || line["outcome"] != "ok" || line["error"] != nil {
								t.Errorf("%v", line)
							}
							want := map[bool]string{true: "passthrough", false: "chat.completions"}[second == "chat"]
							if path == "/v1/responses" {
								want = "responses.create"
							}
							if line["route"] != want {
								t.Errorf("counted as %v, not %s", line["route"], want)
							}
						}
					}
					if n := r.metric("antiphon_fallbacks_total"); n != 4 {
						t.Errorf("the metric says %v", n)
					}
				})
			}
		}
	}
}

// switched is an upstream with the whole Responses API that can be switched off.
// All that it says is "from theirs", as resp_theirs, for which a chat backend needs
// no more than to be asked once.
func switched(t testing.TB, off *atomic.Bool) *upstreamtest.Server {
	model := newRig(t, upstreamtest.NewFunc(t, 0, answer("from theirs")).URL())
	v := model.post(`{"model":"m","input":"x"}`).response(t)
	object := strings.ReplaceAll(string(v.raw), v.ID, "resp_theirs")
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch {
		case off.Load():
			return "header Retry-After: 9\njson 429 {\"error\":{\"message\":\"Too busy.\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\",\"param\":null}}"
		case strings.Contains(string(req.Body), "_unknown"):
			return `json 400 {"error":{"message":"Previous response with id 'resp_unknown' not found.","type":"invalid_request_error","code":"previous_response_not_found","param":"previous_response_id"}}`
		case strings.Contains(string(req.Body), `"stream":true`):
			return "head 200 text/event-stream\nchunk data: {\"type\":\"response.completed\",\"response\":" + object + "}\nend"
		}
		return "json 200 " + object
	})
}

// TestStandInState: what another upstream has made in the place of one that keeps
// its own state is kept here, and goes on with either.
func TestStandInState(t *testing.T) {
	t.Parallel()
	var off atomic.Bool
	off.Store(true)
	theirs, spare := switched(t, &off), newEcho(t)
	r := newRig(t, theirs.URL(), ofKind("responses", "chat", spare.URL()), func(s *setup) { s.cfg.Upstream.Health.Failures = 0 })
	first := r.post(`{"model":"m","input":"one"}`).response(t)
	if !first.Store || first.ID == "resp_theirs" {
		t.Errorf("%s", first.raw)
	}
	r.get("/v1/responses/"+first.ID).want(t, 200, "")
	r.post(`{"model":"m","input":"two","previous_response_id":"`+first.ID+`"}`).want(t, 200, "")
	spare.Next()
	if texts := said(t, spare); len(texts) != 3 || texts[1] != "assistant:echo of one" {
		t.Errorf("%q", texts)
	}
	// The first is back. It has never heard of the response: it is told all of it.
	off.Store(false)
	r.srv.router.all[0].health.until.Store(0)
	for i, body := range []string{
		`{"model":"m","input":"two","previous_response_id":"` + first.ID + `"}`,
		`{"model":"m","stream":true,"input":"two","previous_response_id":"` + first.ID + `"}`,
		`{"model":"m","input":[{"type":"item_reference","id":"` + first.Output[0].ID + `"},{"role":"user","content":"two"}]}`,
	} {
		v := r.post(body).response(t)
		if v.text() != "from theirs" || v.ID == "resp_theirs" {
			t.Errorf("%d: %s", i, v.raw)
		}
		reqs := theirs.Requests()
		req := string(reqs[len(reqs)-1].Body)
		if strings.Contains(req, "previous_response_id") || strings.Contains(req, "item_reference") || !strings.Contains(req, `"store":false`) ||
			!strings.Contains(req, "echo of one") || strings.Contains(req, `"one"`) != (i < 2) {
			t.Errorf("%d: the first upstream was sent %s", i, req)
		}
		r.get("/v1/responses/"+v.ID).want(t, 200, "")
	}
	// What it has made itself stays with it.
	if v := r.post(`{"model":"m","input":"one"}`).response(t); v.ID != "resp_theirs" {
		t.Errorf("%s", v.raw)
	}
	r.post(`{"model":"m","input":"two","previous_response_id":"resp_theirs"}`).want(t, 200, "")
	if reqs := theirs.Requests(); !strings.Contains(string(reqs[len(reqs)-1].Body), `"previous_response_id":"resp_theirs"`) {
		t.Errorf("%s", reqs[len(reqs)-1].Body)
	}
}

// TestNoStandIn: when only the upstream that fails has what the request goes on
// with, its failure is told, and that there is no other for it.
func TestNoStandIn(t *testing.T) {
	t.Parallel()
	var off atomic.Bool
	off.Store(true)
	theirs := switched(t, &off)
	for first, url := range map[string]string{"busy": theirs.URL(), "dead": deadURL(t)} {
		for _, second := range []string{"chat", "half"} {
			spare := newEcho(t)
			r := newRig(t, url, ofKind("responses", second, spare.URL()), func(s *setup) { s.cfg.Upstream.Health.Failures = 0 })
			asked := 0
			for _, state := range []string{
				`"previous_response_id":"resp_theirs","input":"x"`, `"conversation":"conv_theirs","input":"x"`,
				`"input":[{"type":"item_reference","id":"msg_theirs"}]`,
			} {
				for _, stream := range []string{"", `,"stream":true`} {
					got := r.post(`{"model":"m",` + state + stream + `}`)
					status, code, words := 429, "rate_limit_exceeded", "Too busy."
					if first == "dead" {
						status, code, words = 502, "server_error", "could not be reached"
					}
					got.want(t, status, code)
					if m := got.err().Message; !strings.Contains(m, words) || !strings.Contains(m, "kept by that one") || !strings.Contains(m, "_theirs") {
						t.Errorf("%s: %s", state, m)
					}
					if first == "busy" && got.header.Get("Retry-After") != "9" {
						t.Errorf("%v", got.header)
					}
					line := r.logged(asked)
					if asked++; line["upstream"] != "default" || line["attempts"] != 1.0 {
						t.Errorf("%v", line)
					}
				}
			}
			if n := r.metric("antiphon_fallbacks_total") + float64(spare.Count()); n != 0 {
				t.Errorf("another was asked %v times", n)
			}
			r.srv.router.all[0].health.until.Store(0)
		}
	}
	// Another one with the whole API may know it, or may not.
	off.Store(false)
	r := newRig(t, deadURL(t), ofKind("responses", "responses", theirs.URL()))
	r.post(`{"model":"m","input":"x","previous_response_id":"resp_theirs"}`).want(t, 200, "")
	got := r.post(`{"model":"m","input":"x","previous_response_id":"resp_unknown"}`)
	got.want(t, 502, "server_error")
	if m := got.err().Message; !strings.Contains(m, "could not be reached") || !strings.Contains(m, "kept by that one") || !strings.Contains(m, "resp_unknown") {
		t.Error(m)
	}
	// One that cannot be told is passed over, and the next one is asked.
	last := newEcho(t)
	r = newRig(t, deadURL(t), func(s *setup) {
		s.cfg.Loss, s.cfg.Upstream.Dialect = config.LossStrict, "openai"
		s.cfg.Upstream.Fallback = []string{"b", "c"}
		also("b", newEcho(t).URL(), func(u *config.Upstream) { u.Dialect = "groq" })(s)
		also("c", last.URL(), func(u *config.Upstream) { u.Dialect = "openai" })(s)
	})
	r.post(`{"model":"m","input":"x","text":{"verbosity":"low"}}`).want(t, 200, "")
	if last.Count() != 1 {
		t.Error("the last upstream was not asked")
	}
}

// TestStandInChoices: a request for several choices goes elsewhere as a whole, and
// only when none of them was begun.
func TestStandInChoices(t *testing.T) {
	t.Parallel()
	for begun := range 3 {
		var count atomic.Int32
		first := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string {
			if int(count.Add(1)) <= begun {
				return `json 200 {"object":"response","status":"completed","output":[]}`
			}
			return `json 429 {"error":{"message":"slow down"}}`
		})
		spare := newEcho(t)
		r := newRig(t, first.URL(), ofKind("responses", "chat", spare.URL()))
		got := r.do("POST", "/v1/chat/completions", `{"model":"m","n":2,"messages":[{"role":"user","content":"q"}]}`)
		want := map[int]int{0: 200, 1: 429, 2: 200}[begun]
		if asked := map[int]int{0: 1}[begun]; got.status != want || spare.Count() != asked {
			t.Errorf("%d begun: %d, the other was asked %d times: %s", begun, got.status, spare.Count(), got.body)
		}
	}
}

// TestStandInLosses: the loss report is that of the upstream that answers.
func TestStandInLosses(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"chat", "responses"} {
		second := map[string]string{"chat": "responses", "responses": "chat"}[first]
		spare := newEcho(t).URL()
		if second == "responses" {
			spare = "http://" + newRig(t, spare).addr
		}
		r := newRig(t, deadURL(t), ofKind(first, second, spare))
		got := r.do("POST", "/v1/chat/completions", `{"model":"m","seed":1,"messages":[{"role":"user","content":"q"}]}`)
		got.want(t, 200, "")
		if loss := got.header.Get("Antiphon-Loss"); strings.Contains(loss, "chat.param.seed") != (second == "responses") {
			t.Errorf("chat, %s: %q", second, loss)
		}
		if n := r.metric(`antiphon_losses_total{rule="chat.param.seed"}`); n != map[string]float64{"responses": 1}[second] {
			t.Errorf("chat, %s: the metric says %v", second, n)
		}
		got = r.post(`{"model":"m","input":"q","tools":[{"type":"web_search"}]}`)
		got.want(t, 200, "")
		if loss := got.header.Get("Antiphon-Loss"); strings.Contains(loss, "tool.web_search") != (second == "chat") {
			t.Errorf("responses, %s: %q", second, loss)
		}
	}
}

// TestStandInReasoning: reasoning that a chat backend gave is not sent to a
// Responses backend that would refuse it.
func TestStandInReasoning(t *testing.T) {
	t.Parallel()
	var off atomic.Bool
	theirs := switched(t, &off)
	thinks := upstreamtest.New(t,
		`json 200 {"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a","reasoning_content":"CANARY thought"},"finish_reason":"stop"}]}`,
		`json 503 {"error":{"message":"gone"}}`)
	r := newRig(t, thinks.URL(), ofKind("chat", "responses", theirs.URL()), func(s *setup) { s.cfg.Upstream.Dialect = "vllm" })
	first := r.post(`{"model":"m","input":"one","include":["reasoning.encrypted_content"]}`).response(t)
	got := r.post(`{"model":"m","input":"two","previous_response_id":"` + first.ID + `"}`)
	got.want(t, 200, "")
	if req := string(theirs.Next().Body); strings.Contains(req, "reasoning") || !strings.Contains(req, `"one"`) || !strings.Contains(req, `"a"`) {
		t.Errorf("%s", req)
	}
	if loss := got.header.Get("Antiphon-Loss"); !strings.Contains(loss, "mend.reasoning") {
		t.Errorf("%q", loss)
	}
}

// TestStandInBackground: in the background, and over a WebSocket, too.
func TestStandInBackground(t *testing.T) {
	t.Parallel()
	for first, second := range map[string]string{"chat": "half", "half": "chat", "responses": "chat"} {
		for _, stream := range []string{"", `"stream":true,`} {
			echo := newEcho(t)
			spare := echo.URL()
			if second != "chat" {
				spare = "http://" + newRig(t, spare).addr
			}
			r := newRig(t, deadURL(t), ofKind(first, second, spare))
			v := r.post(`{` + stream + `"model":"m","background":true,"input":"q"}`).response(t)
			r.until("an end", func() bool {
				got := r.get("/v1/responses/" + v.ID)
				return !strings.Contains(string(got.body), `"status":"queued"`) && !strings.Contains(string(got.body), `"status":"in_progress"`)
			})
			if got := r.get("/v1/responses/" + v.ID).response(t); got.Status != "completed" || got.text() != "echo of q" {
				t.Errorf("%s, %s: %s", first, second, got.raw)
			}
			if stream == "" {
				continue
			}
			p := r.socket()
			id := p.turn(`"store":false,"input":"one"`).response.ID
			if got := p.turn(`"store":false,"previous_response_id":"` + id + `","input":"two"`); !strings.Contains(string(got.stream), "echo of two") {
				t.Errorf("%s, %s: %s", first, second, got.stream)
			}
			if reqs := echo.Requests(); !strings.Contains(string(reqs[len(reqs)-1].Body), "echo of one") {
				t.Errorf("%s, %s: %s", first, second, reqs[len(reqs)-1].Body)
			}
		}
	}
}

// TestTurnsOfUpstreams: with a Responses upstream among them too, upstreams of one
// pattern take turns.
func TestTurnsOfUpstreams(t *testing.T) {
	t.Parallel()
	a, b := newEcho(t), newEcho(t)
	r := newRig(t, deadURL(t), func(s *setup) { s.cfg.Upstream.API = config.APIResponses },
		also("a", a.URL(), serves("m")), also("b", b.URL(), serves("m")))
	for i := range 6 {
		r.post(fmt.Sprintf(`{"model":"m","input":"%d"}`, i)).want(t, 200, "")
	}
	if a.Count() != 3 || b.Count() != 3 {
		t.Errorf("%d and %d requests", a.Count(), b.Count())
	}
}

// TestStandInBackgroundMeanwhile: a background response that is being made here
// is asked for here, and cancelled here, though its upstream keeps responses.
func TestStandInBackgroundMeanwhile(t *testing.T) {
	t.Parallel()
	spare := upstreamtest.New(t, sseHead+delta("a")+"stall")
	r := newRig(t, deadURL(t), ofKind("responses", "chat", spare.URL()))
	v := r.post(`{"model":"m","background":true,"stream":false,"store":false,"input":"q"}`).response(t)
	spare.Next()
	if got := r.get("/v1/responses/" + v.ID).response(t); got.Status != "in_progress" {
		t.Errorf("%s", got.raw)
	}
	if got := r.do("POST", "/v1/responses/"+v.ID+"/cancel", "").response(t); got.Status != "cancelled" {
		t.Errorf("%s", got.raw)
	}
}
