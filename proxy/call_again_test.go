package proxy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Inputs of custom tools are held against the tool's grammar, and asked for once
// more if they do not match.

const dated = `"input":"When?","tools":[{"type":"custom","name":"date","format":{"type":"grammar","syntax":"regex","definition":"\\d{4}-\\d\\d"}}]`

func withGrammar(g config.GrammarCheck) func(*setup) {
	return func(s *setup) { s.cfg.Upstream.Grammar = g }
}

// calls is a reply that calls the tool date, whole or as a stream.
func calls(input string, stream bool) string {
	arguments, _ := json.Marshal(map[string]string{"input": input})
	quoted, _ := json.Marshal(string(arguments))
	call := `"id":"call_1","type":"function","function":{"name":"date","arguments":` + string(quoted) + `}`
	usage := `"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}`
	if !stream {
		return `json 200 {"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{` + call + `}]},"finish_reason":"tool_calls"}],` + usage + `}`
	}
	return "head 200 text/event-stream\n" + `chunk data: {"choices":[{"delta":{"content":"Let me see."}}]}` + "\n" +
		`chunk data: {"choices":[{"delta":{"tool_calls":[{"index":0,` + call + `}]}}]}` + "\n" +
		`chunk data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}],` + usage + "}\nchunk data: [DONE]"
}

// called is the input of the only custom call of a response.
func called(t *testing.T, raw []byte) (input string, usage int) {
	t.Helper()
	var r struct {
		Status string
		Output []struct{ Type, Input string }
		Usage  struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if r.Status != "completed" {
		t.Errorf("%s: %s", r.Status, raw)
	}
	for _, it := range r.Output {
		if it.Type == "custom_tool_call" {
			return it.Input, r.Usage.Total
		}
	}
	t.Errorf("no call: %s", raw)
	return "", 0
}

// overEach makes a response in every way there is, and returns the object with
// whatever the client was told of losses.
func overEach(r *rig) map[string]func(t *testing.T) (raw []byte, told string) {
	return map[string]func(t *testing.T) ([]byte, string){
		"JSON": func(t *testing.T) ([]byte, string) {
			got := r.post(`{"model":"m",` + dated + `}`)
			return got.body, got.header.Get("Antiphon-Loss")
		},
		"SSE": func(t *testing.T) ([]byte, string) {
			got := r.post(`{"model":"m","stream":true,` + dated + `}`)
			events := eventsIn(got.body)
			var last struct{ Response json.RawMessage }
			if err := json.Unmarshal([]byte(events[len(events)-1].data), &last); err != nil {
				t.Fatal(err)
			}
			return last.Response, got.header.Get("Antiphon-Loss") + string(got.body)
		},
		"WebSocket": func(t *testing.T) ([]byte, string) { return r.socket().turn(dated).raw, "" },
		"background": func(t *testing.T) ([]byte, string) {
			return r.poll(r.post(`{"model":"m","background":true,` + dated + `}`).response(t).ID).raw, ""
		},
		"background stream": func(t *testing.T) ([]byte, string) {
			got := r.post(`{"model":"m","background":true,"stream":true,` + dated + `}`)
			var first struct{ Response struct{ ID string } }
			if err := json.Unmarshal([]byte(eventsIn(got.body)[0].data), &first); err != nil {
				t.Fatal(err)
			}
			return r.poll(first.Response.ID).raw, ""
		},
	}
}

// TestCallAgainLearns: what the request for a better call teaches is kept to, and the
// call is asked for all the same.
func TestCallAgainLearns(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch body := string(req.Body); {
		case !strings.Contains(body, "does not match"):
			return calls("CANARY soon", strings.Contains(body, `"stream":true`))
		case strings.Contains(body, `"tool_choice":{`):
			return `json 400 {"error":{"message":"tool_choice is not supported"}}`
		}
		return calls("2026-11", false)
	})
	r := newRig(t, up.URL(), withGrammar(config.GrammarRepair))
	for way, respond := range overEach(r) {
		raw, _ := respond(t)
		if input, _ := called(t, raw); input != "2026-11" {
			t.Errorf("%s: %s", way, input)
		}
	}
}

func TestCallAgain(t *testing.T) {
	t.Parallel()
	const bad, good, worse = "CANARY soon", "2026-11", "CANARY never"
	for name, c := range map[string]struct {
		grammar config.GrammarCheck
		second  string // the reply to the second request
		want    string
		usage   int
		rule    string // that is reported
	}{
		"off":                  {config.GrammarOff, "", bad, 12, ""},
		"report":               {config.GrammarReport, "", bad, 12, "reply.grammar"},
		"repaired":             {config.GrammarRepair, calls(good, false), good, 24, "reply.grammar_repaired"},
		"wrong twice":          {config.GrammarRepair, calls(worse, false), bad, 24, "reply.grammar"},
		"no call":              {config.GrammarRepair, says("No."), bad, 24, "reply.grammar"},
		"refused":              {config.GrammarRepair, `json 400 {"error":{"message":"The tool is out of order.","code":"x"}}`, bad, 12, "reply.grammar"},
		"gone":                 {config.GrammarRepair, "close", bad, 12, "reply.grammar"},
		"no JSON":              {config.GrammarRepair, "json 200 {", bad, 12, "reply.grammar"},
		"streams all the same": {config.GrammarRepair, calls(good, true), bad, 12, "reply.grammar"},
	} {
		up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
			if strings.Contains(string(req.Body), "does not match") {
				return c.second
			}
			return calls(bad, strings.Contains(string(req.Body), `"stream":true`))
		})
		r := newRig(t, up.URL(), withGrammar(c.grammar))
		asked := 1
		if c.second != "" {
			asked = 2
		}
		for way, respond := range overEach(r) {
			before := up.Count()
			raw, told := respond(t)
			input, usage := called(t, raw)
			if input != c.want || usage != c.usage || up.Count()-before != asked {
				t.Errorf("%s over %s: %q, %d tokens, asked %d times; want %q, %d, %d", name, way, input, usage, up.Count()-before, c.want, c.usage, asked)
			}
			if told != "" && c.rule != "" && !strings.Contains(told, c.rule) {
				t.Errorf("%s over %s: %s is not reported: %s", name, way, c.rule, told)
			}
		}
	}
}

// The second request goes on with the call and with what is wrong, is not
// streamed, and forces the tool.
func TestCallAgainRequest(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, calls("soon", true), calls("2026-11", false))
	r := newRig(t, up.URL(), withGrammar(config.GrammarRepair))
	r.post(`{"model":"m","stream":true,`+dated+`}`).want(t, 200, "")
	var sent struct {
		Stream   bool
		Choice   json.RawMessage `json:"tool_choice"`
		Messages []struct {
			Role, Content string
			Calls         []struct{ ID string } `json:"tool_calls"`
			CallID        string                `json:"tool_call_id"`
		}
	}
	if err := json.Unmarshal(up.Requests()[1].Body, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Stream || !strings.Contains(string(sent.Choice), `"date"`) || len(sent.Messages) != 3 {
		t.Fatalf("%+v", sent)
	}
	said, result := sent.Messages[1], sent.Messages[2]
	if said.Role != "assistant" || len(said.Calls) != 1 || result.CallID != said.Calls[0].ID || !strings.Contains(result.Content, "does not match") {
		t.Errorf("%+v %+v", said, result)
	}
}

// A stream that waits for the second attempt shows that it lives, and a client
// that leaves meanwhile is noticed.
func TestCallAgainSlowly(t *testing.T) {
	t.Parallel()
	for _, style := range []config.HeartbeatStyle{config.HeartbeatComment, config.HeartbeatEvent} {
		up := upstreamtest.New(t, calls("soon", true), "wait 450ms\n"+calls("2026-11", false))
		r := newRig(t, up.URL(), withGrammar(config.GrammarRepair), beating(style))
		got := string(r.post(`{"model":"m","stream":true,` + dated + `}`).body)
		if n := strings.Count(got, "keep-alive") + strings.Count(got, "event: keepalive"); n < 2 {
			t.Errorf("%s: %d keep-alives in\n%s", style, n, got)
		}
	}
	up := upstreamtest.New(t, calls("soon", true), "stall")
	r := newRig(t, up.URL(), withGrammar(config.GrammarRepair))
	s := r.open(`{"model":"m","stream":true,` + dated + `}`)
	r.until("the second request", func() bool { return up.Count() == 2 })
	_ = s.conn.Close()
	r.until("the upstream to be let go", func() bool { return r.srv.InFlight() == 0 })
	select {
	case <-up.Requests()[1].Gone:
	case <-time.After(patience):
		t.Error("the upstream still works for a client that has left")
	}
}
