package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// fronts is a server for chat clients in front of one that speaks Responses, which
// is a server of ours too, in front of a chat backend: whoever asks the first asks
// through both directions.
func fronts(t testing.TB, up *upstreamtest.Server, options ...func(*setup)) (front, back *rig) {
	t.Helper()
	back = newRig(t, up.URL())
	front = newRig(t, "http://"+back.addr, append([]func(*setup){func(s *setup) { s.cfg.Upstream.API = config.APIResponses }}, options...)...)
	return front, back
}

// chat sends a chat request, and checks a stream or a completion that comes back.
func (r *rig) chat(body string, headers ...string) *reply {
	r.t.Helper()
	got := r.do("POST", "/v1/chat/completions", body, headers...)
	if got.status != 200 {
		return got
	}
	n := 1
	if strings.Contains(body, `"n":3`) {
		n = 3
	}
	opt := streamcheck.ChatOptions{Choices: n, Usage: strings.Contains(body, "include_usage")}
	var faults []streamcheck.Violation
	if strings.HasPrefix(got.header.Get("Content-Type"), "text/event-stream") {
		faults = streamcheck.ChatStream(got.body, opt)
	} else {
		faults = streamcheck.ChatCompletion(got.body, opt)
	}
	for _, f := range faults {
		r.t.Errorf("%s\n%s", f, got.body)
	}
	return got
}

// streamedID is the id of a response that was streamed.
func streamedID(t testing.TB, got *reply) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(got.body), `"response":{"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if !ok || id == "" {
		t.Fatalf("no response: %s", got.body)
	}
	return id
}

// chatText is what a completion or a stream of chunks says, choice by choice.
func chatText(t testing.TB, got *reply) (texts []string) {
	t.Helper()
	add := func(i int, s string) {
		for len(texts) <= i {
			texts = append(texts, "")
		}
		texts[i] += s
	}
	type choices struct {
		Choices []struct {
			Index          int
			Message, Delta struct{ Content *string }
		}
	}
	read := func(raw []byte) {
		var c choices
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		for _, ch := range c.Choices {
			for _, s := range []*string{ch.Message.Content, ch.Delta.Content} {
				if s != nil {
					add(ch.Index, *s)
				}
			}
		}
	}
	if !strings.HasPrefix(got.header.Get("Content-Type"), "text/event-stream") {
		read(got.body)
		return texts
	}
	for line := range strings.Lines(string(got.body)) {
		if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: {"); ok {
			read([]byte("{" + data))
		}
	}
	return texts
}

func TestChatFront(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	front, _ := fronts(t, up)
	for _, stream := range []string{"", `"stream":true,`} {
		got := front.chat(`{` + stream + `"model":"m","max_tokens":50,"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"}]}`)
		got.want(t, 200, "")
		if texts := chatText(t, got); len(texts) != 1 || texts[0] != "echo of hi" {
			t.Errorf("%q: %s", texts, got.body)
		}
		req := string(up.Next().Body)
		if !strings.Contains(req, `{"role":"system","content":"S"},{"role":"user","content":"hi"}`) || !strings.Contains(req, `"max_tokens":50`) {
			t.Errorf("%s", req)
		}
	}
	// With usage when it is wanted.
	got := front.chat(`{"stream":true,"stream_options":{"include_usage":true},"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	if !strings.Contains(string(got.body), `"prompt_tokens":7`) {
		t.Errorf("%s", got.body)
	}
	if line := front.logged(0); line["route"] != "chat.completions" || line["outcome"] != "ok" {
		t.Errorf("%v", line)
	}
	if front.metric(`antiphon_tokens_total{direction="output"}`) != 9 {
		t.Error("tokens are not counted")
	}
}

func TestChatFrontChoices(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string { return answer("x")(req) })
	front, _ := fronts(t, up)
	for _, stream := range []string{"", `"stream":true,"stream_options":{"include_usage":true},`} {
		asked := up.Count()
		got := front.chat(`{` + stream + `"model":"m","n":3,"messages":[{"role":"user","content":"hi"}]}`)
		got.want(t, 200, "")
		if texts := chatText(t, got); fmt.Sprint(texts) != "[x x x]" {
			t.Errorf("%q: %s", texts, got.body)
		}
		if up.Count() != asked+3 {
			t.Errorf("%d requests", up.Count()-asked)
		}
		if !strings.Contains(string(got.body), `"completion_tokens":9`) {
			t.Errorf("%s", got.body)
		}
	}
}

func TestChatFrontTools(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+callChunk(0)+callChunk(1)+finishChunk("tool_calls")+sseDone)
	front, _ := fronts(t, up)
	got := front.chat(`{"stream":true,"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`)
	got.want(t, 200, "")
	body := string(got.body)
	if !strings.Contains(body, `"index":1`) || !strings.Contains(body, `"id":"call_1"`) || !strings.Contains(body, `"finish_reason":"tool_calls"`) {
		t.Errorf("%s", body)
	}
	// Not strict, as the Chat API has it (docs/PROTOCOL.md §0.2).
	if req := string(up.Next().Body); strings.Contains(req, `"strict":true`) {
		t.Errorf("%s", req)
	}
}

func TestChatFrontErrors(t *testing.T) {
	t.Parallel()
	up := picky(t, `"temperature"`, `{"error":{"message":"Invalid 'temperature': decimal above maximum value.","type":"invalid_request_error","param":"temperature","code":"decimal_above_max_value"}}`)
	front, _ := fronts(t, up)
	asked := func() int { return up.Count() }
	front.chat(`{"model":"m"}`).want(t, 400, "missing_required_parameter")
	front.chat(`{"messages":[]}`).want(t, 400, "")
	front.chat(`{"model":"m","messages":[{"role":"user"}]}`).want(t, 400, "")
	front.chat(`{"model":"m",`).want(t, 400, "")
	front.chat(`{"model":"m","n":99,"messages":[{"role":"user","content":"x"}]}`).want(t, 400, "integer_above_max_value")
	if n := asked(); n != 0 {
		t.Errorf("%d requests went on", n)
	}
	got := front.chat(`{"model":"m","temperature":1.5,"messages":[{"role":"user","content":"x"}]}`)
	got.want(t, 400, "decimal_above_max_value")
}

// TestChatFrontCut: a stream that breaks off is an error for the client, whatever
// had been said, and never looks whole.
func TestChatFrontCut(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+delta("b")+"close\n")
	front, _ := fronts(t, up)
	got := front.chat(`{"stream":true,"model":"m","messages":[{"role":"user","content":"x"}]}`)
	if got.status != 200 || strings.Contains(string(got.body), "finish_reason\":\"stop") || !strings.Contains(string(got.body), `{"error":`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := front.chat(`{"model":"m","messages":[{"role":"user","content":"x"}]}`); got.status < 500 {
		t.Errorf("%d %s", got.status, got.body)
	}
	// The server behind is away.
	lonely := newRig(t, deadURL(t), func(s *setup) { s.cfg.Upstream.API = config.APIResponses })
	lonely.chat(`{"model":"m","messages":[{"role":"user","content":"x"}]}`).want(t, 502, "server_error")
	lonely.chat(`{"model":"m","n":3,"messages":[{"role":"user","content":"x"}]}`).want(t, 502, "server_error")
}

// TestChatFrontGone: a client that leaves stops the upstream, for all choices.
func TestChatFrontGone(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"stall\n")
	front, _ := fronts(t, up)
	for _, n := range []string{"1", "3"} {
		before := len(up.Requests())
		l := front.dial()
		l.request("POST", "/v1/chat/completions", `{"stream":true,"n":`+n+`,"model":"m","messages":[{"role":"user","content":"x"}]}`)
		l.head()
		front.until("the requests", func() bool { return fmt.Sprint(len(up.Requests())-before) == n })
		time.Sleep(20 * time.Millisecond)
		_ = l.conn.Close()
		for _, req := range up.Requests()[before:] {
			select {
			case <-req.Gone:
			case <-time.After(patience):
				t.Fatal("the upstream goes on")
			}
		}
	}
}

// TestChatFrontReasoning: what the model thought before a call goes back to it
// with the call's result, though the chat client cannot carry it.
func TestChatFrontReasoning(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), `"role":"tool"`) {
			return echoes(req)
		}
		return `json 200 {"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"I should look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
	})
	back := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Dialect = "vllm" })
	front := newRig(t, "http://"+back.addr, func(s *setup) { s.cfg.Upstream.API = config.APIResponses })
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`
	got := front.chat(`{"model":"m","messages":[{"role":"user","content":"q"}],` + tools + `}`)
	got.want(t, 200, "")
	if !strings.Contains(string(got.body), `"reasoning_content":"I should look."`) {
		t.Errorf("%s", got.body)
	}
	up.Next()
	next := `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"r"}],` + tools + `}`
	front.chat(next).want(t, 200, "")
	if req := string(up.Next().Body); !strings.Contains(req, `"reasoning_content":"I should look."`) {
		t.Errorf("%s", req)
	}
	// Not for somebody else.
	front.chat(next, "Authorization: Bearer sk-CANARY-other").want(t, 200, "")
	if req := string(up.Next().Body); strings.Contains(req, "I should look.") {
		t.Errorf("%s", req)
	}
}

// TestChatFrontSettings: names before texts, and answers without commentary, where
// that is wanted.
func TestChatFrontSettings(t *testing.T) {
	t.Parallel()
	said := func(phase, text string) string {
		return `{"id":"msg_` + phase + `","type":"message","role":"assistant","status":"completed","phase":"` + phase + `","content":[{"type":"output_text","text":"` + text + `","annotations":[],"logprobs":[]}]}`
	}
	up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string {
		return `json 200 {"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[` +
			said("commentary", "I look.") + `,` + said("final_answer", "Rain.") + `]}`
	})
	for _, c := range []struct {
		set               func(*setup)
		sent, text, names string
	}{
		{func(*setup) {}, `"content":"Hello"`, "I look.\n\nRain.", `chat.message.name;action=dropped;path="messages[0].name"`},
		{func(s *setup) { s.cfg.Upstream.NamePrefix, s.cfg.Stream.ChatCommentary = true, false }, `"content":"Ada: Hello"`, "Rain.", ""},
	} {
		front := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.API = config.APIResponses }, c.set)
		got := front.chat(`{"model":"m","messages":[{"role":"user","name":"Ada","content":"Hello"}]}`)
		got.want(t, 200, "")
		if texts := chatText(t, got); len(texts) != 1 || texts[0] != c.text {
			t.Errorf("%q instead of %q", texts, c.text)
		}
		if sent := string(up.Next().Body); !strings.Contains(sent, c.sent) {
			t.Errorf("%s is not in %s", c.sent, sent)
		}
		if names := got.header.Get("Antiphon-Loss"); names != c.names {
			t.Errorf("lost %q instead of %q", names, c.names)
		}
	}
}

// TestChatFrontFallback: a chat backend stands in for a Responses one.
func TestChatFrontFallback(t *testing.T) {
	t.Parallel()
	spare := newEcho(t)
	r := newRig(t, deadURL(t), func(s *setup) { s.cfg.Upstream.API, s.cfg.Upstream.Fallback = config.APIResponses, []string{"spare"} },
		also("spare", spare.URL(), nil))
	got := r.do("POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	got.want(t, 200, "")
	if req := string(spare.Next().Body); req != `{"model":"m","messages":[{"role":"user","content":"hi"}]}` {
		t.Errorf("%s", req)
	}
}

// TestResponsesUpstream: Responses clients of a backend that has the whole API
// get its answers byte by byte, and its state.
func TestResponsesUpstream(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	front, back := fronts(t, up)
	id := front.post(plain).responseID(t)
	if got := back.get("/v1/responses/" + id); got.status != 200 {
		t.Errorf("the backend does not have it: %d", got.status)
	}
	front.get("/v1/responses/"+id).want(t, 200, "")
	front.post(`{"model":"m","stream":true,"input":"next","previous_response_id":"`+id+`"}`).want(t, 200, "")
	if req := string(up.Requests()[1].Body); !strings.Contains(req, "CANARY question") {
		t.Errorf("%s", req)
	}
	front.get("/v1/responses/"+id+"/input_items").want(t, 200, "")
	conv := front.do("POST", "/v1/conversations", `{}`)
	conv.want(t, 200, "")
	front.do("DELETE", "/v1/responses/"+id, "").want(t, 200, "")
	back.get("/v1/responses/"+id).want(t, 404, "")
	front.get("/v1/responses/"+id).want(t, 404, "")
}

// TestHalfBuiltResponsesUpstream: behind a backend that speaks Responses by halves
// clients get the whole API, with state kept here.
func TestHalfBuiltResponsesUpstream(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	front, back := fronts(t, up, func(s *setup) { s.cfg.Upstream.Dialect = "ollama" })
	previous := ""
	for turn := range 4 {
		body := fmt.Sprintf(`{"model":"m","input":"turn %d"`, turn)
		if turn%2 == 1 {
			body += `,"stream":true`
		}
		if previous != "" {
			body += `,"previous_response_id":"` + previous + `"`
		}
		got := front.post(body + "}")
		got.want(t, 200, "")
		if turn%2 == 0 {
			previous = got.responseID(t)
		} else {
			previous = streamedID(t, got)
		}
		if texts := said(t, up); len(texts) != 2*turn+1 || texts[2*turn] != fmt.Sprintf("user:turn %d", turn) {
			t.Fatalf("turn %d: %q", turn, texts)
		}
		front.get("/v1/responses/"+previous).want(t, 200, "")
		back.get("/v1/responses/"+previous).want(t, 404, "")
	}
	front.post(`{"model":"m","input":"x","previous_response_id":"resp_nope"}`).want(t, 400, "previous_response_not_found")
}

// TestMixedUpstreams: every model is there for both kinds of clients, whatever its
// upstream speaks.
func TestMixedUpstreams(t *testing.T) {
	t.Parallel()
	chatty, responsive := newEcho(t), newEcho(t)
	back := newRig(t, responsive.URL())
	r := newRig(t, chatty.URL(), also("responsive", "http://"+back.addr, func(u *config.Upstream) {
		u.API, u.Serves = config.APIResponses, []string{"r-*"}
	}))
	for _, model := range []string{"c-1", "r-1"} {
		for _, stream := range []string{"", `"stream":true,`} {
			ask := r.chat
			if model == "c-1" { // its own words pass through
				ask = func(body string, headers ...string) *reply {
					return r.do("POST", "/v1/chat/completions", body, headers...)
				}
			}
			ask(`{`+stream+`"model":"`+model+`","messages":[{"role":"user","content":"hi"}]}`).want(t, 200, "")
			r.post(`{`+stream+`"model":"`+model+`","input":"hi"}`).want(t, 200, "")
		}
	}
	if chatty.Count() != 4 || responsive.Count() != 4 {
		t.Errorf("%d and %d requests", chatty.Count(), responsive.Count())
	}
}

// TestChatFrontLearns: what a chat request is translated to is more than some
// models take. The refusal teaches that, once for each model.
func TestChatFrontLearns(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch body := string(req.Body); {
		case strings.Contains(body, "reasoning.encrypted_content"):
			return `json 400 {"error":{"message":"Encrypted content is not supported with this model.","type":"invalid_request_error","param":"include","code":null}}`
		case strings.Contains(body, "presence_penalty"):
			return `json 400 {"error":{"message":"Unsupported parameter: 'presence_penalty'.","type":"invalid_request_error","param":"presence_penalty","code":"unsupported_parameter"}}`
		}
		return `json 200 {"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]}]}`
	})
	for loss, status := range map[config.LossPolicy]int{config.LossWarn: 200, config.LossStrict: 400} {
		r := newRig(t, up.URL(), func(s *setup) {
			s.cfg.Upstream.API, s.cfg.Upstream.Dialect, s.cfg.Loss = config.APIResponses, "openai", loss
		})
		asked := up.Count()
		for i, want := range []int{2, 1} { // requests
			r.chat(`{"model":"m","messages":[{"role":"user","content":"q"}]}`).want(t, 200, "")
			if got := up.Count() - asked; got != want {
				t.Errorf("%s: request %d was sent %d times", loss, i, got)
			}
			asked = up.Count()
		}
		got := r.chat(`{"model":"m","presence_penalty":1,"messages":[{"role":"user","content":"q"}]}`)
		if got.status != status || status == 400 && got.err().Param != "presence_penalty" {
			t.Errorf("%s: %d %s", loss, got.status, got.body)
		}
		if loss == config.LossWarn && !strings.Contains(got.header.Get("Antiphon-Loss"), "chat.param.penalty") {
			t.Errorf("%v", got.header)
		}
		n := r.metric("antiphon_lessons_total")
		if want := map[int]float64{200: 2, 400: 1}[status]; n != want {
			t.Errorf("%s: %v lessons", loss, n)
		}
		// Another model may be another one.
		asked = up.Count()
		r.chat(`{"model":"m2","n":3,"messages":[{"role":"user","content":"q"}]}`).want(t, 200, "")
		if got := up.Count() - asked; got != 6 {
			t.Errorf("three choices were asked for %d times", got)
		}
	}
}
