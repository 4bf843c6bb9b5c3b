package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

type tokenCount struct {
	Object string
	Tokens int64 `json:"input_tokens"`
}

func (r *rig) count(body string) (tokenCount, *reply) {
	r.t.Helper()
	p := r.do("POST", "/v1/responses/input_tokens", body)
	return into[tokenCount](r.t, p), p
}

// Where the upstream has a tokenizer, it counts: what would be sent, history and
// all.
func TestInputTokensCounted(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch req.URI {
		case "/tokenize":
			if strings.Contains(string(req.Body), `"content":"<s>[PROMPT]"`) {
				return `json 200 {"tokens":[1,2,3,4,5]}` + "\n"
			}
			return `json 200 {"count":42,"max_model_len":4096,"tokens":[1,2]}` + "\n"
		case "/apply-template":
			return `json 200 {"prompt":"<s>[PROMPT]"}` + "\n"
		}
		return echoes(req)
	})
	for dialect, want := range map[string]int64{"vllm": 42, "llama.cpp": 5} {
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Dialect = dialect })
		first := r.post(`{"model":"m","input":"CANARY one"}`).response(t)
		up.Next()
		got, p := r.count(`{"model":"m","previous_response_id":"` + first.ID + `","input":"two","instructions":"be kind",` +
			`"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"personality":"friendly"}`)
		if got.Tokens != want || got.Object != "response.input_tokens" || strings.Contains(p.header.Get("Antiphon-Loss"), "estimated") {
			t.Errorf("%s: %+v %v", dialect, got, p.header)
		}
		req := up.Next()
		if got := sent(t, req); got != "system:be kind user:CANARY one assistant:echo of CANARY one user:two" {
			t.Errorf("%s: asked for %s", dialect, got)
		}
		for _, part := range []string{`"model":"m"`, `"tools":[{`, `"add_generation_prompt":true`} {
			if !strings.Contains(string(req.Body), part) {
				t.Errorf("%s: no %s in %s", dialect, part, req.Body)
			}
		}
		if dialect == "llama.cpp" {
			up.Next()
		}
		c := r.newConversation(`{"items":[{"role":"user","content":"zero"}]}`)
		if got, _ := r.count(`{"conversation":"` + c.ID + `"}`); got.Tokens != want {
			t.Errorf("%s: %+v", dialect, got)
		}
		if got := sent(t, up.Next()); got != "user:zero" {
			t.Errorf("%s: asked for %s", dialect, got)
		}
		if dialect == "llama.cpp" {
			up.Next()
		}
	}
}

// Elsewhere, and when the tokenizer is not there, the answer is an estimate that
// says so, also where losses are refused.
func TestInputTokensEstimated(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return `json 404 {"error":"nothing here"}` + "\n" })
	for _, dialect := range []string{"generic", "vllm", "llama.cpp"} {
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Dialect, s.cfg.Loss = dialect, "strict" })
		text := strings.Repeat("CANARY the quick brown fox jumps over the lazy dog. ", 50)
		got, p := r.count(fmt.Sprintf(`{"input":%q}`, text))
		// 11 or 12 tokens a sentence.
		if got.Tokens < 500 || got.Tokens > 700 {
			t.Errorf("%s: %d tokens", dialect, got.Tokens)
		}
		if loss := p.header.Get("Antiphon-Loss"); !strings.Contains(loss, `input_tokens.estimated;action=emulated;path="input_tokens"`) {
			t.Errorf("%s: losses %q", dialect, loss)
		}
	}
}

func TestInputTokensRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	for body, code := range map[string]string{
		`{}`: "missing_required_parameter", `{"input":""}`: "missing_required_parameter", `{"input":5}`: "invalid_type",
		`{"model":5,"input":"x"}`: "invalid_type", `{"input":"x","previous_response_id":"resp_none"}`: "previous_response_not_found",
		`{"input":"x","previous_response_id":"resp_1","conversation":"conv_1"}`: "mutually_exclusive_parameters",
	} {
		r.do("POST", "/v1/responses/input_tokens", body).want(t, 400, code)
	}
	r.do("POST", "/v1/responses/input_tokens", `{"input":"x","conversation":"conv_1"}`).want(t, 404, "")
}

// A tokenizer that is not there is not asked for again at once, but another model's
// is, which the server may have.
func TestInputTokensAbsent(t *testing.T) {
	t.Parallel()
	for status, times := range map[int]int{404: 1, 405: 1, 501: 1, 400: 3, 500: 3} {
		up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return fmt.Sprintf("json %d {}\n", status) })
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Dialect = "vllm" })
		for range 3 {
			r.count(`{"model":"a","input":"x"}`)
		}
		if n := up.Count(); n != times {
			t.Errorf("after %d: asked %d times, want %d", status, n, times)
		}
		r.count(`{"model":"b","input":"x"}`)
		if n := up.Count(); n != times+1 {
			t.Errorf("after %d: asked %d times, another model's included, want %d", status, n, times+1)
		}
	}
}

func TestAbsences(t *testing.T) {
	t.Parallel()
	var a absences
	now := time.Unix(1000, 0)
	if a.holds("m", now) {
		t.Error("absent from the start")
	}
	a.note("m", now)
	if !a.holds("m", now.Add(absentFor-1)) || a.holds("m", now.Add(absentFor)) || a.holds("n", now) {
		t.Error("an absence is to be believed for its time, and of its model")
	}
	for i := range 10 * maxAbsences {
		a.note(fmt.Sprint(i), now)
	}
	if len(a.until) > maxAbsences {
		t.Errorf("%d absences are remembered", len(a.until))
	}
}
