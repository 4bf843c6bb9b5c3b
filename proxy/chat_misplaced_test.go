package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Responses bodies that come to /chat/completions, as from Cursor, get chat
// answers.
func TestMisplacedResponses(t *testing.T) {
	t.Parallel()
	const tools = `"tools":[{"type":"function","name":"read","parameters":{"type":"object"}}],"tool_choice":"auto"`
	long := strings.Repeat("CANARY ", 8<<10)
	for name, body := range map[string]string{
		"short":                 `{"model":"m","input":[{"role":"system","content":"S"},{"role":"user","content":"U"}],` + tools + `}`,
		"long":                  `{"model":"m","user":"u","input":[{"role":"system","content":"S"},{"role":"user","content":"` + long + `"}],` + tools + `}`,
		"long, the tools first": `{"tools":[{"type":"function","name":"read","description":"` + long + `","parameters":{"type":"object"}}],"model":"m","input":"U"}`,
	} {
		for _, stream := range []bool{false, true} {
			if stream {
				body = `{"stream":true,` + body[1:]
			}
			up := upstreamtest.New(t, streams("a"), streams("a"))
			r := newRig(t, up.URL())
			for _, send := range []func() *reply{
				func() *reply { return r.do("POST", "/v1/chat/completions", body) },
				func() *reply { // in chunks, of a length that nobody tells
					return r.send("POST", "/v1/chat/completions", io.MultiReader(strings.NewReader(body)))
				},
			} {
				if got := send(); got.status != 200 {
					t.Errorf("%s: %d %s", name, got.status, got.body)
				}
				var sent struct {
					Model    string
					Stream   bool
					Input    json.RawMessage
					Messages []struct{ Role, Content string }
				}
				if err := json.Unmarshal(up.Next().Body, &sent); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(name, "long, the") && len(sent.Messages) == 0 {
					continue // see peekChat: nobody reads without a bound for it
				}
				if sent.Model != "m" || sent.Stream != stream || sent.Input != nil || len(sent.Messages) == 0 || sent.Messages[len(sent.Messages)-1].Role != "user" {
					t.Errorf("%s: %+v", name, sent)
				}
			}
		}
	}
}

// What is a chat request stays as it is, long or short, wherever its messages are.
func TestNotMisplaced(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("CANARY ", 8<<10)
	up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return "json 200 {}" })
	r := newRig(t, up.URL())
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"U"}]}`,
		`{"model":"m","input":"x","messages":[{"role":"user","content":"U"}]}`,
		`{"model":"m","input":"x","messages":[{"role":"user","content":"` + long + `"}]}`,
		`{"model":"m","tools":[{"description":"` + long + `"}],"messages":[{"role":"user","content":"U"}]}`,
		`{"model":"m"}`, `{"x":"` + long + `"}`, `[`, "no JSON " + long,
	} {
		if got := r.do("POST", "/v1/chat/completions", body); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if sent := string(up.Next().Body); sent != body {
			t.Errorf("%.100s became %.100s", body, sent)
		}
	}
	body := `{"model":"m","input":"x"}`
	r.do("POST", "/v1/embeddings", body).want(t, 200, "")
	if sent := string(up.Next().Body); sent != body {
		t.Errorf("%s", sent)
	}
}

// Wrong ones are answered as by the API that they are for; what needs that API
// says so; losses are told, and with strict refused; a stored response can be gone
// on from; and a Responses backend gets them by way of chat.
func TestMisplacedResponsesDetails(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if req.URI == "/v1/responses" {
			return `json 200 {"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"a"}]}]}`
		}
		return answers("a")
	})
	r := newRig(t, up.URL())
	ask := func(r *rig, members string) *reply {
		return r.do("POST", "/v1/chat/completions", `{"model":"m",`+members+`}`)
	}
	ask(r, `"input":7`).want(t, 400, "invalid_type")
	ask(r, `"input":"x","background":true`).want(t, 400, "unsupported_parameter")
	ask(r, `"input":"x","conversation":"conv_1"`).want(t, 400, "unsupported_parameter")
	ask(r, `"input":"x","previous_response_id":"resp_none"`).want(t, 400, "previous_response_not_found")
	const search = `"input":"x","tools":[{"type":"file_search","vector_store_ids":["v"]}]`
	if told := ask(r, search).header.Get("Antiphon-Loss"); !strings.Contains(told, "tool.unsupported") {
		t.Errorf("%q", told)
	}
	strict := newRig(t, up.URL(), func(s *setup) { s.cfg.Loss = config.LossStrict })
	ask(strict, search).want(t, 400, "unsupported_parameter")

	id := r.post(`{"model":"m","input":"CANARY first"}`).responseID(t)
	ask(r, `"input":"x","previous_response_id":"`+id+`"`).want(t, 200, "")
	all := up.Requests()
	if sent := string(all[len(all)-1].Body); !strings.Contains(sent, "first") || strings.Contains(sent, "previous_response_id") {
		t.Errorf("%s", sent)
	}

	whole := newRig(t, up.URL(), withDialect("openai"), func(s *setup) { s.cfg.Upstream.API = config.APIResponses })
	got := ask(whole, `"input":[{"role":"user","content":"x"}]`)
	var completion struct{ Object string }
	if err := json.Unmarshal(got.body, &completion); err != nil || completion.Object != "chat.completion" {
		t.Errorf("%v %s", err, fmt.Sprint(string(got.body)))
	}
}
