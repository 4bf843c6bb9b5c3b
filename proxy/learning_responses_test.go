package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestResponsesParamsRefused: what a Responses backend refuses of a chat client's request
// is left out, reported and remembered, however it says so, one after the other.
func TestResponsesParamsRefused(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		body := string(req.Body)
		for key, refusal := range map[string]string{
			`"temperature"`:       `json 400 {"error":{"message":"Unsupported parameter: 'temperature' is not supported with this model.","type":"invalid_request_error","param":"temperature","code":null}}`,
			`"max_output_tokens"`: `json 400 {"detail":"Unsupported parameter: max_output_tokens"}`,
			`"top_p"`:             `json 422 {"detail":[{"type":"extra_forbidden","loc":["body","top_p"],"msg":"Extra inputs are not permitted","input":0.5}]}`,
			`"user":"u"`:          `json 400 {"error":"json: unknown field \"user\""}`,
			`"summary"`:           `json 400 {"error":{"message":"Unsupported parameter: 'reasoning.summary' is not supported with this model.","param":"reasoning.summary","code":"unsupported_parameter"}}`,
		} {
			if strings.Contains(body, key) {
				return refusal
			}
		}
		return ownResponses(req)
	})
	r := newRig(t, up.URL(), speaksResponses, func(s *setup) { s.cfg.Upstream.ReasoningSummary = config.SummaryAuto })
	for i, stream := range []bool{false, true, false} {
		got := r.chat(fmt.Sprintf(`{"stream":%v,"model":"m","temperature":0.2,"top_p":0.5,"max_tokens":300,"user":"u","messages":[{"role":"user","content":"q"}]}`, stream))
		got.want(t, 200, "")
		if n := up.Count(); n != 6+i {
			t.Errorf("%d requests after %d", n, i+1)
		}
		told := got.header.Get("Antiphon-Loss") + string(got.body)
		for _, want := range []string{"temperature", "top_p", "max_tokens", "user"} {
			if !strings.Contains(told, want) {
				t.Errorf("%s is not reported: %s", want, told)
			}
		}
	}
	if facts := learnedFacts(r); len(facts) != 5 {
		t.Errorf("learned %v", facts)
	}
}

// TestStreamOnlyBackend: a backend that only streams is asked again for a stream, which
// is put together, and that is remembered; for clients of both APIs.
func TestStreamOnlyBackend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, body, dialect string
	}{
		{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"q"}]}`, ""},
		{"/v1/chat/completions", `{"model":"m","n":2,"messages":[{"role":"user","content":"q"}]}`, ""},
		{"/v1/responses", `{"model":"m","input":"q"}`, "ollama"},
	} {
		up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
			if !strings.Contains(string(req.Body), `"stream":true`) {
				return `json 400 {"detail":"Stream must be set to true"}`
			}
			return ownResponses(req)
		})
		r := newRig(t, up.URL(), speaksResponses, func(s *setup) { s.cfg.Upstream.Dialect = c.dialect })
		asked := 0
		for i := range 2 {
			got := r.do("POST", c.path, c.body)
			got.want(t, 200, "")
			if !strings.Contains(string(got.body), `"hi"`) {
				t.Errorf("%s: %s", c.body, got.body)
			}
			choices := 1 + strings.Count(c.body, `"n":2`)
			if i == 0 {
				asked = choices
			}
			if asked += choices; up.Count() != asked {
				t.Errorf("%s: asked %d times, not %d", c.body, up.Count(), asked)
			}
		}
	}
}

// TestAcceptsOfResponses: what the configuration says of parameters counts for a
// Responses backend too, and what has no meaning there is refused at the start.
func TestAcceptsOfResponses(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, ownResponses)
	overrides := mustOverride(t, "accepts: {temperature: false, verbosity: false, user: true}\nresponses: {refuses: [top_p]}")
	r := newRig(t, up.URL(), speaksResponses, func(s *setup) { s.cfg.Upstream.Overrides = overrides })
	got := r.chat(`{"model":"m","temperature":0.2,"top_p":0.5,"verbosity":"low","user":"u","messages":[{"role":"user","content":"q"}]}`)
	got.want(t, 200, "")
	sent := string(up.Next().Body)
	for _, key := range []string{`"temperature"`, `"top_p"`, `"verbosity"`} {
		if strings.Contains(sent, key) || !strings.Contains(got.header.Get("Antiphon-Loss"), strings.Trim(key, `"`)) {
			t.Errorf("%s: %s %v", key, sent, got.header)
		}
	}
	if !strings.Contains(sent, `"user":"u"`) {
		t.Errorf("%s", sent)
	}
	if !overrides.Sets("responses.refuses.temperature") || overrides.Sets("responses.refuses.metadata") != true {
		t.Error("what is configured may be learned otherwise")
	}
	var u config.Upstream
	u.URL, u.API = up.URL(), config.APIResponses
	u.Overrides = mustOverride(t, "accepts: {stream_usage: false}")
	if _, err := u.EffectiveDialect(); err == nil || !strings.Contains(err.Error(), "accepts.stream_usage") {
		t.Errorf("%v", err)
	}
}

func mustOverride(t testing.TB, text string) config.Overrides {
	t.Helper()
	o, err := config.ParseOverrides("x", text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
