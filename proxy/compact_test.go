package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

const handOver = "Write down, under these headings" // is in the prompt for a summary

// summarizes answers a request for a summary with one, and others with an echo.
func summarizes(summary string) func(*upstreamtest.Request) string {
	return func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), handOver) {
			return answers(summary)
		}
		return echoes(req)
	}
}

type compacted struct {
	ID, Object string
	Created    int64             `json:"created_at"`
	Output     []json.RawMessage `json:"output"`
	Usage      *struct {
		Input  int64 `json:"input_tokens"`
		Output int64 `json:"output_tokens"`
		Total  int64 `json:"total_tokens"`
	}
}

func (r *rig) compact(body string, headers ...string) compacted {
	r.t.Helper()
	return into[compacted](r.t, r.do("POST", "/v1/responses/compact", body, headers...))
}

func (c *compacted) input(more string) string {
	all := ""
	for _, it := range c.Output {
		all += string(it) + ","
	}
	return `[` + all + more + `]`
}

func TestCompact(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, summarizes("They spoke of CANARIES."))
	r := newRig(t, up.URL())
	const input = `[{"role":"developer","content":"D"},{"role":"user","content":"CANARY one","id":"msg_mine"},{"role":"assistant","content":"two"},
		{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"three"},
		{"role":"user","content":[{"type":"input_text","text":"four"}]}]`
	c := r.compact(`{"model":"m","input":` + input + `}`)
	asked := up.Next()
	if got := sent(t, asked); !strings.HasPrefix(got, "system:D user:CANARY one assistant:two tool:three user:four user:The context of this conversation is nearly full.") {
		t.Errorf("asked %s", got)
	}
	if strings.Contains(string(asked.Body), `"tools"`) || strings.Contains(string(asked.Body), `"stream"`) {
		t.Errorf("asked %s", asked.Body)
	}
	if !strings.HasPrefix(c.ID, "resp_") || c.Object != "response.compaction" || c.Created == 0 || len(c.Output) != 3 {
		t.Fatalf("%+v", c)
	}
	if u := c.Usage; u == nil || u.Input != 7 || u.Output != 3 || u.Total != 10 {
		t.Errorf("usage %+v", u)
	}
	kept := make([]listed, 3)
	for i := range kept {
		if err := json.Unmarshal(c.Output[i], &kept[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(kept[:2]); got != "userm:CANARY one userm:four" || kept[0].ID != "msg_mine" || !strings.HasPrefix(kept[1].ID, "msg_") {
		t.Errorf("%+v", kept)
	}
	var item struct {
		ID, Type string
		Sealed   string `json:"encrypted_content"`
	}
	_ = json.Unmarshal(c.Output[2], &item)
	if item.Type != "compaction" || !strings.HasPrefix(item.ID, "cmp_") || !strings.HasPrefix(item.Sealed, "antiphon1.") {
		t.Errorf("%s", c.Output[2])
	}

	// It comes back, and the backend is shown the summary.
	v := r.post(`{"model":"m","input":` + c.input(`{"role":"user","content":"five"}`) + `}`).response(t)
	got := sent(t, up.Next())
	if !strings.HasPrefix(got, "system:What was said earlier") || !strings.Contains(got, "They spoke of CANARIES.\n</hand_over> user:CANARY one user:four user:five") {
		t.Errorf("sent %s", got)
	}
	r.post(`{"model":"m","input":"six","previous_response_id":"`+v.ID+`"}`).want(t, 200, "")
	if got := sent(t, up.Next()); !strings.HasSuffix(got, "user:five assistant:echo of five user:six") || !strings.Contains(got, "They spoke of CANARIES.") {
		t.Errorf("sent %s", got)
	}
	if items := into[list](t, r.get("/v1/responses/"+v.ID+"/input_items?order=asc")); len(items.Data) != 4 || items.Data[2].ID != item.ID {
		t.Errorf("input items %+v", items)
	}
	if got, _ := r.count(`{"input":` + c.input(`{"role":"user","content":"five"}`) + `}`); got.Tokens < 50 {
		t.Errorf("%+v", got)
	}

	// Of what continues a stored response, the user's messages are those of all of it.
	c = r.compact(`{"model":"m","previous_response_id":"` + v.ID + `","input":"seven"}`)
	up.Next()
	if len(c.Output) != 5 || !strings.Contains(string(c.Output[2]), "five") || !strings.Contains(string(c.Output[3]), "seven") {
		t.Errorf("%s", c.Output)
	}
	conv := r.newConversation(`{"items":` + c.input(`{"role":"assistant","content":"X"}`) + `}`)
	c = r.compact(`{"model":"m","conversation":"` + conv.ID + `"}`)
	if len(c.Output) != 5 {
		t.Errorf("%s", c.Output)
	}
}

// An envelope that was changed, or is somebody else's, opens for nobody.
func TestCompactionSealed(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, summarizes("a secret"))
	r := newRig(t, up.URL())
	c := r.compact(`{"model":"m","input":"one"}`)
	up.Next()
	input := c.input(`{"role":"user","content":"two"}`)
	refused := func(p *reply, param string) {
		t.Helper()
		p.want(t, 400, "invalid_value")
		if p.err().Param != param || !strings.Contains(p.err().Message, "not made by this server") {
			t.Errorf("%+v", p.err())
		}
	}
	for _, other := range []string{"Authorization: Bearer CANARY-other", "Authorization:"} {
		refused(r.post(`{"model":"m","input":`+input+`}`, other), "input[1].encrypted_content")
		refused(r.do("POST", "/v1/conversations", `{"items":`+input+`}`, other), "items[1].encrypted_content")
		refused(r.do("POST", "/v1/responses/compact", `{"model":"m","input":`+input+`}`, other), "input[1].encrypted_content")
		refused(r.do("POST", "/v1/responses/input_tokens", `{"model":"m","input":`+input+`}`, other), "input[1].encrypted_content")
	}
	at := strings.Index(input, "antiphon1.") + 30
	flipped := input[:at] + string(input[at]^1) + input[at+1:]
	refused(r.post(`{"model":"m","input":`+flipped+`}`), "input[1].encrypted_content")
	// One of reasoning is no compaction.
	x := &exchange{server: r.srv}
	x.tenant = r.tenant()
	sealed, _ := x.Seal(nil, []byte(`{"v":1,"keep":"all","model":"m","summary":"s"}`))
	refused(r.post(fmt.Sprintf(`{"model":"m","input":[{"type":"compaction","encrypted_content":"%s"}]}`, sealed)), "input[0].encrypted_content")
	if up.Count() != 1 {
		t.Error("the upstream was asked")
	}
}

func TestCompactRefusals(t *testing.T) {
	t.Parallel()
	fails := ""
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string { return fails })
	r := newRig(t, up.URL())
	for body, code := range map[string]string{
		`{"input":"x"}`: "missing_required_parameter", `{"model":"m"}`: "missing_required_parameter",
		`{"model":"m","input":[]}`: "missing_required_parameter", `{"model":"m","input":"x","previous_response_id":"resp_none"}`: "previous_response_not_found",
	} {
		r.do("POST", "/v1/responses/compact", body).want(t, 400, code)
	}
	if up.Count() != 0 {
		t.Error("the upstream was asked")
	}
	fails = answers("")
	r.do("POST", "/v1/responses/compact", `{"model":"m","input":"x"}`).want(t, 502, "server_error")
	fails = `json 429 {"error":{"message":"slow down","code":"rate_limit_exceeded"}}` + "\n"
	r.do("POST", "/v1/responses/compact", `{"model":"m","input":"x"}`).want(t, 429, "rate_limit_exceeded")
	fails = sseHead + delta("half") + "rst"
	r.do("POST", "/v1/responses/compact", `{"model":"m","input":"x"}`).want(t, 502, "server_error")
	fails = streams("a ", "summary") // though nobody asked for a stream
	if c := r.compact(`{"model":"m","input":"x"}`); len(c.Output) != 2 {
		t.Errorf("%+v", c)
	}
}

// What is more than the context is summarized all the same, but for its oldest part.
func TestCompactOverflow(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), "oldest") {
			return `json 400 {"error":{"code":"context_length_exceeded","message":"This model's maximum context length is 100 tokens. However, your messages resulted in 120 tokens."}}` + "\n"
		}
		return answers("the rest")
	})
	r := newRig(t, up.URL())
	c := r.compact(`{"model":"m","input":[{"role":"user","content":"oldest ` + strings.Repeat("x", 300) + `"},{"role":"assistant","content":"a"},{"role":"user","content":"newest"}]}`)
	if len(c.Output) != 3 || up.Count() != 2 {
		t.Errorf("%d requests, %+v", up.Count(), c)
	}
}

// With context_management the context is compacted before the answer once it is
// over the threshold, and the conversation begins there from then on.
func TestContextManagement(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		for _, how := range []string{"previous", "conversation"} {
			t.Run(fmt.Sprint(how, stream), func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.NewFunc(t, 0, summarizes("They counted."))
				r := newRig(t, up.URL())
				long := strings.Repeat("CANARY words and words. ", 120) // some 700 tokens
				context := ""
				conv := ""
				if how == "conversation" {
					conv = r.newConversation("").ID
					context = `"conversation":"` + conv + `",`
				}
				turn := func(text string) response {
					t.Helper()
					p := r.post(fmt.Sprintf(`{"model":"m",%s"stream":%v,"input":[{"role":"user","content":"%s"}],"instructions":"I","context_management":[{"type":"compaction","compact_threshold":1000}]}`,
						context, stream, text))
					if p.status != 200 {
						t.Fatalf("%d %s", p.status, p.body)
					}
					if stream && strings.Contains(string(p.body), "cmp_") {
						if got := names(eventsIn(p.body)); !strings.HasPrefix(got, "created in_progress output_item.added compaction.compacting output_item.done output_item.added content_part.added") {
							t.Errorf("events %s", got)
						}
					}
					v := p.response(t)
					if how == "previous" {
						context = `"previous_response_id":"` + v.ID + `",`
					}
					return v
				}
				if v := turn(long); len(v.Output) != 1 {
					t.Errorf("%s", v.raw)
				}
				up.Next()
				v := turn("last of all")
				if len(v.Output) != 2 || v.Output[0].Type != "compaction" || v.text() != "echo of last of all" {
					t.Fatalf("%s", v.raw)
				}
				if v.Usage == nil || v.Usage.Input != 7 {
					t.Errorf("usage %+v", v.Usage)
				}
				if got := sent(t, up.Next()); !strings.Contains(got, "user:last of all user:The context of this conversation") || !strings.Contains(got, "CANARY words") {
					t.Errorf("summary of %s", got)
				}
				got := sent(t, up.Next())
				if strings.Contains(got, "CANARY words") || !strings.HasPrefix(got, "system:I\n\nWhat was said earlier") || !strings.HasSuffix(got, "They counted.\n</hand_over> user:last of all") {
					t.Errorf("sent %s", got)
				}
				if v := turn("again"); len(v.Output) != 1 {
					t.Errorf("%s", v.raw)
				}
				if got := sent(t, up.Next()); strings.Contains(got, "CANARY words") || !strings.HasSuffix(got, "They counted.\n</hand_over> user:last of all assistant:echo of last of all user:again") {
					t.Errorf("sent %s", got)
				}
				if conv != "" {
					if got := len(r.items(conv)); got != 7 {
						t.Errorf("%d items", got)
					}
				}
				if n := r.metric("antiphon_compactions_total"); n != 1 {
					t.Errorf("%v compactions", n)
				}
			})
		}
	}
}

// A compaction_trigger asks for a compaction, and for nothing else.
func TestCompactionTrigger(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, summarizes("All of it."))
	r := newRig(t, up.URL())
	for _, stream := range []bool{false, true} {
		v := r.post(fmt.Sprintf(`{"model":"m","stream":%v,"input":[{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"type":"compaction_trigger"}]}`, stream)).response(t)
		if v.Status != "completed" || len(v.Output) != 1 || v.Output[0].Type != "compaction" || v.Usage == nil || v.Usage.Output != 3 {
			t.Errorf("%s", v.raw)
		}
		up.Next()
		r.post(`{"model":"m","input":"three","previous_response_id":"`+v.ID+`"}`).want(t, 200, "")
		if got := sent(t, up.Next()); !strings.HasSuffix(got, "All of it.\n</hand_over> user:one user:three") {
			t.Errorf("sent %s", got)
		}
	}
	p := r.post(`{"model":"m","input":[{"type":"compaction_trigger"},{"role":"user","content":"one"}]}`)
	p.want(t, 400, "invalid_value")
	if p.err().Param != "input[0]" {
		t.Errorf("%+v", p.err())
	}
}

// A stream begins before its context is compacted: it says what is going on, stays
// alive, ends properly when that fails, and stops when its client leaves.
func TestCompactionInStream(t *testing.T) {
	t.Parallel()
	const trigger = `{"model":"m","stream":true,"input":[{"role":"user","content":"one"},{"type":"compaction_trigger"}]}`
	for _, before := range []string{"gate go\n" + sseHead, sseHead + "gate go\n"} { // silent before the head, or after it
		up := upstreamtest.New(t, before+delta("All.")+finishChunk("stop")+sseDone)
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Stream.Heartbeat = config.Duration(20 * time.Millisecond) })
		l := r.open(trigger)
		l.until("response.compaction.compacting")
		l.until(":")
		l.until(":")
		up.Release("go")
		if v := l.rest().response(t); v.Status != "completed" || len(v.Output) != 1 {
			t.Errorf("%s", v.raw)
		}
	}
	for _, script := range []string{`json 500 {"error":{"message":"no"}}` + "\n", sseHead + delta("half") + "rst", streams("")} {
		up := upstreamtest.New(t, script, answers("fine"))
		r := newRig(t, up.URL())
		v := r.post(trigger).response(t)
		if v.Status != "failed" || len(v.Output) != 1 || v.Output[0].Type != "compaction" {
			t.Errorf("%s", v.raw)
		}
		r.post(`{"model":"m","input":"go on","previous_response_id":"`+v.ID+`"}`).want(t, 200, "")
	}
	up := upstreamtest.New(t, "stall")
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Stream.Heartbeat = config.Duration(20 * time.Millisecond) })
	l := r.open(trigger)
	l.until("response.compaction.compacting")
	req := up.Next()
	l.partly()
	_ = l.conn.Close()
	select {
	case <-req.Gone:
	case <-time.After(patience):
		t.Error("the upstream goes on for a client that has left")
	}
}

// A backend that speaks Responses but keeps nothing writes the summary too, and
// never sees an envelope that it could not read.
func TestCompactionOfResponses(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), handOver) {
			return answer("They counted.")(req)
		}
		return echoes(req)
	})
	back := newRig(t, up.URL())
	for _, stream := range []bool{false, true} {
		r := newRig(t, "http://"+back.addr, func(s *setup) {
			s.cfg.Upstream.API, s.cfg.Upstream.Dialect = config.APIResponses, "ollama"
		})
		c := r.compact(`{"model":"m","input":[{"role":"user","content":"CANARY one"},{"role":"assistant","content":"two"}]}`)
		if got := sent(t, up.Next()); !strings.Contains(got, "assistant:two user:The context of this conversation") {
			t.Errorf("asked %s", got)
		}
		if len(c.Output) != 2 || c.Usage == nil || c.Usage.Total != 10 {
			t.Fatalf("%+v", c)
		}
		p := r.post(fmt.Sprintf(`{"model":"m","stream":%v,"input":%s}`, stream, c.input(`{"role":"user","content":"three"}`)))
		v := p.response(t)
		if got := sent(t, up.Next()); !strings.Contains(got, "They counted.") || !strings.Contains(got, "user:CANARY one") || !strings.Contains(got, "user:three") || strings.Contains(got, "antiphon1.") {
			t.Errorf("sent %s", got)
		}
		p = r.post(fmt.Sprintf(`{"model":"m","stream":%v,"previous_response_id":"%s","input":"%s","context_management":[{"type":"compaction","compact_threshold":1000}]}`,
			stream, v.ID, strings.Repeat("so many words ", 600)))
		if v = p.response(t); len(v.Output) != 2 || v.Output[0].Type != "compaction" {
			t.Fatalf("%d %.600s", p.status, p.body)
		}
		up.Next()
		if got := sent(t, up.Next()); strings.Contains(got, "three") || !strings.Contains(got, "They counted.") {
			t.Errorf("sent %.300s", got)
		}
		r.post(`{"model":"m","previous_response_id":"`+v.ID+`","input":"last"}`).want(t, 200, "")
		if got := sent(t, up.Next()); strings.Contains(got, "three") || !strings.HasSuffix(got, "user:last") {
			t.Errorf("sent %s", got)
		}
	}
	// One that has the whole API is asked itself.
	r := newRig(t, "http://"+back.addr, func(s *setup) { s.cfg.Upstream.API = config.APIResponses })
	c := r.compact(`{"model":"m","input":"one"}`)
	up.Next()
	r.post(`{"model":"m","input":`+c.input(`{"role":"user","content":"two"}`)+`}`).want(t, 200, "")
	if got := sent(t, up.Next()); !strings.Contains(got, "They counted.") {
		t.Errorf("sent %s", got)
	}
	if got, p := r.count(`{"model":"m","input":"some words"}`); got.Tokens == 0 || back.metric(`antiphon_exchanges_total{route="responses.input_tokens",outcome="ok"}`) != 1 {
		t.Errorf("%s", p.body)
	}
}
