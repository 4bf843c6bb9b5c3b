package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestReasoningReplay: what a backend of which nothing is known gives with its first
// call it gets back in the same member, by every way in which a client goes on, from a
// stream and from a whole reply.
func TestReasoningReplay(t *testing.T) {
	t.Parallel()
	const call = `"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]`
	const output = `{"type":"function_call_output","call_id":"call_1","output":"O"}`
	fields := []struct{ gives, back string }{
		{`"reasoning_content":"Hm."`, `"reasoning_content":"Hm."`},
		{`"reasoning":"Hm."`, `"reasoning":"Hm."`},
		{`"thinking":"Hm."`, `"thinking":"Hm."`},
		{`"reasoning":"Hm.","reasoning_details":[{"type":"reasoning.text","text":"Hm.","signature":"SIG","index":0}]`, `"signature":"SIG"`},
		{`"reasoning_details":[{"type":"reasoning.encrypted","data":"SECRET","id":"r1","index":0}]`, `"data":"SECRET"`},
		{`"reasoning_details":[{"type":"reasoning.summary","summary":"Hm.","index":0}]`, `"summary":"Hm."`},
	}
	ways := []struct {
		name string
		ask  func(t *testing.T, r *rig, stream string)
	}{
		{"previous_response_id", func(t *testing.T, r *rig, stream string) {
			first := r.post(`{"model":"m","input":"Hi",` + stream + tools + `}`)
			r.post(`{"model":"m","previous_response_id":"`+first.response(t).ID+`","input":[`+output+`],`+tools+`}`).want(t, 200, "")
		}},
		{"items", func(t *testing.T, r *rig, stream string) {
			first := r.post(`{"model":"m","store":false,"input":"Hi",` + stream + tools + `}`)
			var whole struct{ Output json.RawMessage }
			if err := json.Unmarshal(first.response(t).raw, &whole); err != nil {
				t.Fatal(err)
			}
			items := strings.Trim(string(whole.Output), "[]")
			r.post(`{"model":"m","store":false,"input":[{"role":"user","content":"Hi"},`+items+`,`+output+`],`+tools+`}`).want(t, 200, "")
		}},
		{"encrypted_content", func(t *testing.T, r *rig, stream string) {
			first := r.post(`{"model":"m","store":false,"include":["reasoning.encrypted_content"],"input":"Hi",` + stream + tools + `}`)
			items, sealed := sparseOutput(t, first.response(t).raw)
			if sealed == "" {
				t.Error("nothing is sealed")
			}
			r.post(`{"model":"m","store":false,"input":[{"role":"user","content":"Hi"},`+items+output+`],`+tools+`}`).want(t, 200, "")
		}},
		{"conversation", func(t *testing.T, r *rig, stream string) {
			in := `"conversation":"` + r.newConversation(`{}`).ID + `",`
			r.post(`{"model":"m","input":"Hi",`+in+stream+tools+`}`).want(t, 200, "")
			r.post(`{"model":"m","input":[`+output+`],`+in+tools+`}`).want(t, 200, "")
		}},
		{"WebSocket", func(t *testing.T, r *rig, _ string) {
			p := r.socket()
			first := p.turn(`"store":false,"input":"Hi",` + tools)
			p.turn(`"store":false,"previous_response_id":"` + first.ID + `","input":[` + output + `],` + tools)
		}},
	}
	for _, f := range fields {
		for _, way := range ways {
			for _, stream := range []string{"", `"stream":true,`} {
				t.Run(fmt.Sprint(way.name, " ", f.gives[:12], " ", stream != ""), func(t *testing.T) {
					t.Parallel()
					up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
						message := `"role":"assistant","content":null,` + f.gives + `,` + call
						switch {
						case strings.Contains(string(req.Body), `"role":"tool"`):
							message = `"role":"assistant","content":"Done."`
						case strings.Contains(string(req.Body), `"stream":true`):
							return "head 200 text/event-stream\nchunk data: " + `{"choices":[{"index":0,"delta":{"role":"assistant",` + f.gives + `}}]}` +
								"\nchunk data: " + `{"choices":[{"index":0,"delta":{` + call + `},"finish_reason":"tool_calls"}]}` + "\nchunk data: [DONE]"
						}
						if strings.Contains(string(req.Body), `"stream":true`) {
							return streams("Done.")
						}
						return `json 200 {"choices":[{"index":0,"message":{` + message + `},"finish_reason":"stop"}]}`
					})
					r := newRig(t, up.URL())
					way.ask(t, r, stream)
					if up.Count() != 2 {
						t.Fatalf("%d requests", up.Count())
					}
					if got := assistantMessage(t, up.Requests()[1].Body); !strings.Contains(got, f.back) {
						t.Errorf("the backend got %s", got)
					}
				})
			}
		}
	}
}

// TestReasoningOfAnotherModel: details that a backend refuses because another model has
// signed them are left out of this conversation, and reported; those of others still go.
func TestReasoningOfAnotherModel(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch body := string(req.Body); {
		case strings.Contains(body, "reasoning_details") && strings.Contains(body, "stale"):
			return `json 400 {"error":{"message":"messages.1: Invalid signature in thinking block"}}`
		case strings.Contains(body, `"role":"tool"`):
			return done
		}
		return `json 200 {"choices":[{"index":0,"message":{"reasoning_details":[{"type":"reasoning.encrypted","data":"SECRET"}],` +
			`"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
	})
	r := newRig(t, up.URL())
	for _, c := range []struct {
		input string
		asked int
		back  bool
	}{{"fresh", 2, true}, {"stale", 3, false}, {"fresh", 2, true}} {
		before := up.Count()
		first := r.post(`{"model":"m","input":"` + c.input + `",` + tools + `}`)
		got := r.post(`{"model":"m","previous_response_id":"` + first.response(t).ID + `","input":[{"type":"function_call_output","call_id":"call_1","output":"O"}],` + tools + `}`)
		got.want(t, 200, "")
		if up.Count()-before != c.asked {
			t.Errorf("%s: %d requests", c.input, up.Count()-before)
		}
		last := assistantMessage(t, up.Requests()[up.Count()-1].Body)
		if strings.Contains(last, "SECRET") != c.back {
			t.Errorf("%s: %s", c.input, last)
		}
		if lost := strings.Contains(got.header.Get("Antiphon-Loss"), "reasoning.encrypted"); lost == c.back {
			t.Errorf("%s: losses %q", c.input, got.header.Get("Antiphon-Loss"))
		}
	}
}
