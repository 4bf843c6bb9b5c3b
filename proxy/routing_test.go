package proxy

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// also adds an upstream to a setup; change makes it what it shall be.
func also(name, url string, change func(u *config.Upstream)) func(*setup) {
	return func(s *setup) {
		u := config.Default().Upstream
		u.URL = url
		u.Detect = false
		if change != nil {
			change(&u)
		}
		if s.cfg.Upstreams == nil {
			s.cfg.Upstreams = map[string]config.Upstream{}
		}
		s.cfg.Upstreams[name] = u
	}
}

func serves(models ...string) func(*config.Upstream) {
	return func(u *config.Upstream) { u.Serves = models }
}

// deadURL is where nobody listens.
func deadURL(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

func TestRouting(t *testing.T) {
	t.Parallel()
	one, two, three := newEcho(t), newEcho(t), newEcho(t)
	r := newRig(t, one.URL(),
		also("two", two.URL(), func(u *config.Upstream) {
			u.Serves, u.Models = []string{"llama-*"}, map[string]string{"small": "llama-1b"}
		}),
		also("three", three.URL(), serves("llama-3*", "llama-2")))
	for model, up := range map[string]*upstreamtest.Server{
		"gpt": one, "llama": one, "": nil, "llama-1": two, "small": two, "llama-3": three, "llama-30": three, "llama-2": three, "llama-20": two,
	} {
		if up == nil {
			continue
		}
		sent := model
		if model == "small" {
			sent = "llama-1b"
		}
		for _, path := range []string{"/v1/responses", "/v1/chat/completions"} {
			body := `{"model":"` + model + `","input":"x"}`
			if path != "/v1/responses" {
				body = `{"model":"` + model + `","messages":[{"role":"user","content":"x"}]}`
			}
			before := up.Count()
			r.do("POST", path, body).want(t, 200, "")
			if up.Count() != before+1 {
				t.Fatalf("%s of %s went elsewhere", path, model)
			}
			if got := up.Next(); !strings.Contains(string(got.Body), `"model":"`+sent+`"`) {
				t.Errorf("%s of %s: %s", path, model, got.Body)
			}
		}
	}
	r.do("GET", "/v1/models/llama-3", "").want(t, 200, "")
	if req := three.Next(); req.URI != "/v1/models/llama-3" {
		t.Errorf("%s", req.URI)
	}
	r.do("GET", "/v1/models/small", "").want(t, 200, "")
	if req := two.Next(); req.URI != "/v1/models/llama-1b" {
		t.Errorf("%s", req.URI)
	}
}

func TestRoutingShares(t *testing.T) {
	t.Parallel()
	a, b := newEcho(t), newEcho(t)
	r := newRig(t, deadURL(t), also("a", a.URL(), serves("m*")), also("b", b.URL(), serves("m*")))
	for range 10 {
		r.post(plain).want(t, 200, "")
	}
	if a.Count() != 5 || b.Count() != 5 {
		t.Errorf("%d and %d requests", a.Count(), b.Count())
	}
	// The same cache key stays where it was, by either API, and different ones spread.
	for key := range 40 {
		before := [2]int{a.Count(), b.Count()}
		r.post(fmt.Sprintf(`{"model":"m","input":"x","prompt_cache_key":"key-%d"}`, key)).want(t, 200, "")
		for range 2 {
			r.do("POST", "/v1/chat/completions", fmt.Sprintf(
				`{"model":"m","messages":[{"role":"user","content":"x"}],"prompt_cache_key":"key-%d"}`, key)).want(t, 200, "")
		}
		if d := [2]int{a.Count() - before[0], b.Count() - before[1]}; d != [2]int{3, 0} && d != [2]int{0, 3} {
			t.Fatalf("key %d went to %v", key, d)
		}
	}
	if a.Count() < 30 || b.Count() < 30 {
		t.Errorf("%d and %d requests", a.Count(), b.Count())
	}
}

// TestFallback: another upstream answers when the first cannot, and only then.
func TestFallback(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"429": "header Retry-After: 7\nheader X-Ratelimit-Remaining-Requests: 0\njson 429 {\"error\":{\"message\":\"slow down\"}}",
		"500": `json 500 {"error":{"message":"boom"}}`,
		"503": `json 503 {"error":{"message":"Loading model"}}`,
		"":    "",
	} {
		for _, body := range []string{
			`{"model":"m","input":"q","instructions":"I","max_output_tokens":99,"tools":[{"type":"function","name":"f"}]}`,
			`{"model":"m","input":"q","instructions":"I","max_output_tokens":99,"tools":[{"type":"function","name":"f"}],"stream":true}`,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				spare := newEcho(t)
				url := deadURL(t)
				if script != "" {
					url = upstreamtest.New(t, script).URL()
				}
				r := newRig(t, url, func(s *setup) { s.cfg.Upstream.Fallback = []string{"spare"} },
					also("spare", spare.URL(), func(u *config.Upstream) { u.Dialect = "openai" }))
				got := r.post(body)
				got.want(t, 200, "")
				if got.header.Get("Retry-After") != "" || got.header.Get("X-Ratelimit-Remaining-Requests") != "" {
					t.Errorf("the first upstream's headers: %v", got.header)
				}
				// In the dialect of the one that answers.
				req := spare.Next()
				if !strings.Contains(string(req.Body), `"max_completion_tokens":99`) || strings.Count(string(req.Body), `"name":"f"`) != 1 {
					t.Errorf("%s", req.Body)
				}
				if line := r.logged(0); line["upstream"] != "spare" || line["attempts"] != 2.0 || line["outcome"] != "ok" || line["error"] != nil {
					t.Errorf("%v", line)
				}
				r.do("POST", "/v1/chat/completions", `{"model":"m","messages":[]}`).want(t, 200, "")
				if n := r.metric("antiphon_fallbacks_total"); n < 1 {
					t.Error("the metric does not count")
				}
				// What belongs to an upstream, such as its files, is not another's.
				if asked := spare.Count(); r.do("GET", "/v1/files", "").status == 200 || spare.Count() != asked {
					t.Error("another upstream's files")
				}
			})
		}
	}
}

func TestNoFallback(t *testing.T) {
	t.Parallel()
	for script, status := range map[string]int{
		`json 400 {"error":{"message":"bad"}}`: 400,
		`json 404 {"error":{"message":"no"}}`:  404,
		"close":                                502, // it may have done the work
	} {
		spare := newEcho(t)
		r := newRig(t, upstreamtest.New(t, script).URL(), func(s *setup) { s.cfg.Upstream.Fallback = []string{"spare"} },
			also("spare", spare.URL(), nil))
		if got := r.post(plain); got.status != status {
			t.Errorf("%s: %d %s", script, got.status, got.body)
		}
		if spare.Count() != 0 {
			t.Errorf("%s: the other upstream was asked", script)
		}
	}
	// When none can, the client hears of the last.
	r := newRig(t, deadURL(t), func(s *setup) { s.cfg.Upstream.Fallback = []string{"spare"} },
		also("spare", upstreamtest.New(t, "header Retry-After: 9\njson 429 {\"error\":{\"message\":\"full\",\"code\":\"rate_limit_exceeded\"}}").URL(), nil))
	got := r.post(plain)
	got.want(t, 429, "rate_limit_exceeded")
	if got.header.Get("Retry-After") != "9" {
		t.Errorf("%v", got.header)
	}
}

// TestHealth: an upstream that keeps failing is left alone, and taken up again.
func TestHealth(t *testing.T) {
	t.Parallel()
	const pause = 2 * time.Second
	healthy := func(s *setup) {
		s.cfg.Upstream.Health = config.Health{Failures: 3, Pause: config.Duration(pause)}
	}
	script := always(`json 500 {"error":{"message":"boom"}}`)
	inBubble(t, script, []func(*setup){healthy, withSpare}, func(t *testing.T, r *rig, bad *upstreamtest.Server) {
		for range 10 {
			r.post(plain).want(t, 200, "")
		}
		if n := bad.Count(); n != 3 {
			t.Errorf("it was asked %d times", n)
		}
		if r.metric(`antiphon_upstream_well{upstream="default"}`) != 0 || r.metric(`antiphon_upstream_well{upstream="spare"}`) != 1 {
			t.Error("the metric does not tell")
		}
		time.Sleep(pause - 1)
		r.post(plain).want(t, 200, "")
		if n := bad.Count(); n != 3 {
			t.Errorf("before the end of the pause it was asked %d times", n)
		}
		time.Sleep(1 * time.Nanosecond)
		r.post(plain).want(t, 200, "")
		r.post(plain).want(t, 200, "")
		if n := bad.Count(); n != 4 {
			t.Errorf("after the pause it was asked %d times", n-3)
		}
	})
}

// TestChainsAcrossUpstreams: a conversation goes on with another model on another
// upstream, in that one's dialect.
func TestChainsAcrossUpstreams(t *testing.T) {
	t.Parallel()
	one, two := newEcho(t), newEcho(t)
	r := newRig(t, one.URL(), also("two", two.URL(), func(u *config.Upstream) { u.Serves, u.Dialect = []string{"other"}, "mistral" }))
	id, model := "", "m"
	for turn := range 8 {
		body := `{"model":"` + model + `","input":"turn"`
		if id != "" {
			body += `,"previous_response_id":"` + id + `"`
		}
		id = r.post(body + "}").responseID(t)
		up := one
		if model == "other" {
			up = two
		}
		if texts := said(t, up); len(texts) != 2*turn+1 {
			t.Fatalf("turn %d with %s: %q", turn, model, texts)
		}
		if turn%2 == 1 {
			model = map[string]string{"m": "other", "other": "m"}[model]
		}
	}
}

func TestUpstreamKeys(t *testing.T) {
	t.Parallel()
	one, two := newEcho(t), newEcho(t)
	r := newRig(t, one.URL(), also("two", two.URL(), func(u *config.Upstream) {
		u.Serves, u.Key, u.Headers = []string{"m2"}, config.NewSecret("sk-two"), map[string]config.Secret{"X-Team": config.NewSecret("t")}
	}))
	r.post(plain).want(t, 200, "")
	r.post(`{"model":"m2","input":"x"}`).want(t, 200, "")
	if got := one.Next().Header.Get("Authorization"); got != canaryKey {
		t.Errorf("one got %q", got)
	}
	if req := two.Next(); req.Header.Get("Authorization") != "Bearer sk-two" || req.Header.Get("X-Team") != "t" {
		t.Errorf("two got %v", req.Header)
	}
}

func TestMergedModels(t *testing.T) {
	t.Parallel()
	lists := func(ids ...string) *upstreamtest.Server {
		var data []string
		for _, id := range ids {
			data = append(data, `{"id":"`+id+`","object":"model","created":1,"owned_by":"x"}`)
		}
		return upstreamtest.New(t, `json 200 {"object":"list","data":[`+strings.Join(data, ",")+`]}`)
	}
	r := newRig(t, lists("a", "b").URL(),
		also("two", lists("b", "c").URL(), func(u *config.Upstream) { u.Models = map[string]string{"alias": "c"} }),
		also("broken", upstreamtest.New(t, `json 500 {"error":"x"}`).URL(), serves("z")),
		also("dead", deadURL(t), serves("y")))
	got := r.do("GET", "/v1/models", "")
	got.want(t, 200, "")
	var list struct {
		Object string
		Data   []struct{ ID, Object string }
		Models *[]any
	}
	if err := json.Unmarshal(got.body, &list); err != nil || list.Object != "list" || list.Models != nil {
		t.Fatalf("%v %s", err, got.body)
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	if fmt.Sprint(ids) != "[a b alias c]" {
		t.Errorf("%v", ids)
	}
	// Codex asks so, and wants its own key.
	got = r.do("GET", "/v1/models?client_version=0.169.0", "")
	if err := json.Unmarshal(got.body, &list); err != nil || list.Models == nil || len(list.Data) != 4 {
		t.Errorf("%s", got.body)
	}
	// All are out of reach.
	r = newRig(t, deadURL(t), also("dead", deadURL(t), serves("y")))
	if got := r.do("GET", "/v1/models", ""); got.status != http.StatusBadGateway {
		t.Errorf("%d %s", got.status, got.body)
	}
}
