package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// shows is an upstream that lists models as the script says, and answers with what
// reply makes of a script.
func shows(t testing.TB, models string, reply func(script string) string) *upstreamtest.Server {
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if req.Method == "GET" {
			return models
		}
		return reply(echoes(req))
	})
}

func detecting(s *setup) { s.cfg.Upstream.Detect = true }

// looked waits until the upstream has been looked at.
func (r *rig) looked() {
	r.until("the upstream to have been looked at", func() bool { return r.srv.router.all[0].detection.look.Load() == math.MaxInt64 })
}

// lastChat is the body of the last chat request.
func lastChat(up *upstreamtest.Server) (body string, looks int) {
	for _, req := range up.Requests() {
		if req.Method == "GET" {
			looks++
		} else {
			body = string(req.Body)
		}
	}
	return body, looks
}

func ownedBy(owners ...string) string {
	var models []string
	for i, o := range owners {
		models = append(models, fmt.Sprintf(`{"id":"m%d","object":"model","owned_by":%q}`, i, o))
	}
	return `json 200 {"object":"list","data":[` + strings.Join(models, ",") + `]}`
}

// TestDetection: an upstream that nothing is configured about is recognised by its
// list of models, its headers or its fingerprint, if the sign is sure.
func TestDetection(t *testing.T) {
	t.Parallel()
	same := func(s string) string { return s }
	header := func(line string) func(string) string {
		return func(s string) string { return "header " + line + "\n" + s }
	}
	print := func(p string) func(string) string {
		return func(s string) string {
			return strings.ReplaceAll(s, `"choices"`, `"system_fingerprint":"`+p+`","choices"`)
		}
	}
	const none = `json 404 {"error":{"message":"Not Found"}}`
	for _, c := range []struct {
		name, models string
		reply        func(string) string
		dialect, how string
	}{
		{"vllm", ownedBy("vllm", "vllm"), same, "vllm", "by who owns its models: vllm"},
		{"sglang", ownedBy("sglang"), same, "sglang", "by who owns its models: sglang"},
		{"llama.cpp", ownedBy("llamacpp"), same, "llama.cpp", "by who owns its models: llamacpp"},
		{"ollama", ownedBy("library", "library"), same, "ollama", "by who owns its models: library"},
		{"a header of the list", "header Server: llama.cpp\n" + none, same, "llama.cpp", "by the header Server"},
		{"a header of replies", none, header("Msh-Request-Id: x"), "kimi", "by the header Msh-Request-Id"},
		{"ollama's fingerprint", none, print("fp_ollama"), "ollama", "by its system_fingerprint"},
		{"llama.cpp's fingerprint", none, print("b6543-1a2b3c4d"), "llama.cpp", "by its system_fingerprint"},
		{"a gateway", ownedBy("vllm", "openai"), same, "generic", "nothing tells what it is"},
		{"owned by who made it", ownedBy("moonshot"), same, "generic", "nothing tells what it is"},
		{"a copied header", ownedBy("openai"), header("Openai-Version: 2020-10-01"), "generic", "nothing tells what it is"},
		{"uvicorn", none, header("Server: uvicorn"), "generic", "nothing tells what it is"},
		{"a fingerprint", none, print("fp_44709d6fcb"), "generic", "nothing tells what it is"},
		{"no JSON", "json 200 <html>", same, "generic", "nothing tells what it is"},
	} {
		for _, body := range []string{plain, streamed} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				up := shows(t, c.models, c.reply)
				r := newRig(t, up.URL(), detecting)
				for range 3 {
					r.post(body).want(t, 200, "")
					r.looked()
				}
				if _, looks := lastChat(up); looks > 1 {
					t.Errorf("%d looks", looks)
				}
				var known []struct{ Dialect, How string }
				rec := httptest.NewRecorder()
				r.srv.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "/dialects", nil))
				if err := json.Unmarshal(rec.Body.Bytes(), &known); err != nil || len(known) != 1 || known[0].Dialect != c.dialect || known[0].How != c.how {
					t.Errorf("%v %s", err, rec.Body)
				}
				said := 0
				for _, line := range r.log.lines() {
					if strings.Contains(line, "recognised an upstream") && strings.Contains(line, `"dialect":"`+c.dialect+`"`) && strings.Contains(line, c.how) {
						said++
					}
				}
				if (said == 1) != (c.dialect != "generic") || said > 1 {
					t.Errorf("%d lines in the log", said)
				}
				if r.metric(`antiphon_upstream_dialect{upstream="default",dialect="`+c.dialect+`"}`) != 1 {
					t.Error("the metric does not say so")
				}
			})
		}
	}
}

// TestDetectionIsTold: who says what an upstream is is believed, and it is not asked.
func TestDetectionIsTold(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *setup){
		"configured": func(s *setup) { s.cfg.Upstream.Dialect = "generic" },
		"off":        func(s *setup) { s.cfg.Upstream.Detect = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := shows(t, ownedBy("vllm"), func(s string) string { return "header Server: llama.cpp\n" + s })
			r := newRig(t, up.URL(), detecting, change)
			for range 3 {
				r.post(`{"model":"deepseek-v3","input":"x","max_output_tokens":99}`)
			}
			if body, looks := lastChat(up); looks != 0 || r.srv.router.all[0].base().Name != "generic" {
				t.Errorf("%d looks: %s", looks, body)
			}
		})
	}
}

// TestDetectionKeeps: what is configured and what was learned stays as it is, and
// the client's key is not shown to whom it was not meant for.
func TestDetectionKeeps(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if req.Method == "GET" {
			if req.Header.Get("Authorization") != "" {
				t.Error("the client's key was sent with the look")
			}
			<-answered
			return ownedBy("vllm")
		}
		if strings.Contains(string(req.Body), `"temperature"`) {
			return `json 400 ` + unsupported("temperature")
		}
		return echoes(req)
	})
	r := newRig(t, up.URL(), detecting, func(s *setup) {
		var err error
		if s.cfg.Upstream.Overrides, err = config.ParseOverrides("test", "accepts: {user: false}"); err != nil {
			t.Fatal(err)
		}
	})
	const ask = `{"model":"m","input":"x","temperature":0.5,"max_output_tokens":99,"user":"u","top_k":4}`
	r.post(ask).want(t, 200, "")
	if body, _ := lastChat(up); !strings.Contains(body, `"max_tokens":99`) || strings.Contains(body, "top_k") || strings.Contains(body, "temperature") {
		t.Errorf("before: %s", body)
	}
	close(answered)
	r.looked()
	n := up.Count()
	r.post(ask).want(t, 200, "")
	if body, _ := lastChat(up); up.Count() != n+1 || !strings.Contains(body, `"max_completion_tokens":99`) || !strings.Contains(body, `"top_k":4`) ||
		strings.Contains(body, "temperature") || strings.Contains(body, `"user":"u"`) {
		t.Errorf("after %d requests: %s", up.Count()-n, body)
	}
}

// TestDetectionLater: an upstream that is down at first is looked at again, but not
// for ever.
func TestDetectionLater(t *testing.T) {
	t.Parallel()
	up := shows(t, `json 503 {"error":{"message":"Loading model"}}`, func(s string) string { return s })
	r := newRig(t, up.URL(), detecting)
	b := r.srv.router.all[0]
	for i := range 3 * maxLooks {
		r.post(plain).want(t, 200, "")
		r.until("a look", func() bool { _, looks := lastChat(up); return looks >= min(i+1, maxLooks) })
		r.post(plain).want(t, 200, "") // not at once
		if b.detection.look.Load() != math.MaxInt64 {
			b.detection.look.Store(0) // a minute later
		}
	}
	if _, looks := lastChat(up); looks != maxLooks {
		t.Errorf("%d looks", looks)
	}
}

// TestModelHints: what a model wants wherever it is served is done where nothing is
// configured, until that is refused.
func TestModelHints(t *testing.T) {
	t.Parallel()
	const loop = `,"tools":[{"type":"function","name":"f"}],"input":[{"role":"user","content":"q"},{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},` +
		`{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"o"}]}`
	strict := false
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch {
		case req.Method == "GET":
			return ownedBy("me")
		case strict && strings.Contains(string(req.Body), "reasoning_content"):
			return `json 400 {"error":{"message":"'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]"}}`
		}
		return echoes(req)
	})
	r := newRig(t, up.URL(), detecting, func(s *setup) { s.cfg.Upstream.Models = map[string]string{"alias": "zai-org/GLM-4.6-FP8"} })
	for model, want := range map[string]string{
		"deepseek-ai/DeepSeek-V3.2": `"reasoning_content":"hm"`, "alias": `"reasoning_content":"hm"`, "gpt-oss:20b": `"reasoning_content":"hm"`,
		"llama-3": `"id":"call_1"`,
	} {
		r.post(`{"model":"`+model+`"`+loop).want(t, 200, "")
		if body, _ := lastChat(up); !strings.Contains(body, want) || strings.Contains(body, "reasoning_content") != strings.Contains(want, "reasoning_content") {
			t.Errorf("%s: %s", model, body)
		}
	}
	r.post(`{"model":"mistralai/Mistral-Small-3.2"`+loop).want(t, 200, "")
	if body, _ := lastChat(up); strings.Contains(body, "call_1") {
		t.Errorf("%s", body)
	}
	strict = true
	for range 2 {
		r.post(`{"model":"gpt-oss:20b"`+loop).want(t, 200, "")
	}
	if body, _ := lastChat(up); strings.Contains(body, "reasoning_content") || r.metric("antiphon_lessons_total") != 1 {
		t.Errorf("%v lessons: %s", r.metric("antiphon_lessons_total"), body)
	}
}

// TestDetectionAtOnce: requests that are being answered while it happens keep to the
// dialect that they have begun with.
func TestDetectionAtOnce(t *testing.T) {
	t.Parallel()
	up := shows(t, ownedBy("vllm"), func(s string) string { return "header Server: llama.cpp\n" + s })
	r := newRig(t, up.URL(), detecting)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				r.post(fmt.Sprintf(`{"model":"m%d","input":"x","max_output_tokens":99,"stream":%v}`, i, i%2 == 0)).want(t, 200, "")
			}
		})
	}
	wg.Wait()
	r.looked()
	if name := r.srv.router.all[0].base().Name; name != "vllm" && name != "llama.cpp" {
		t.Error(name)
	}
}

// TestOwnerIn: only a list all of whose models have the same owner tells one.
func TestOwnerIn(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"data":[{"id":"a","owned_by":"vllm"},{"id":"b","owned_by":"VLLM"}]}`: "vllm",
		`{"data":[{"id":"a","owned_by":"vllm"},{"id":"b","owned_by":"me"}]}`:   "",
		`{"data":[{"id":"a","owned_by":"vllm"},{"id":"b"}]}`:                   "",
		`{"data":[{"id":"a"}]}`:                 "",
		`{"data":[{"id":"a","owned_by":7}]}`:    "",
		`{"data":[{"id":"a","owned_by":null}]}`: "",
		`{"data":["a",1,null,[]]}`:              "",
		`{"data":{}}`:                           "",
		`{"data":[]}`:                           "",
		`[]`:                                    "",
		``:                                      "",
	} {
		if got := ownerIn([]byte(body)); got != want {
			t.Errorf("%s: %q", body, got)
		}
	}
}

// ownResponses answers as llama.cpp's own Responses API does: by halves.
func ownResponses(req *upstreamtest.Request) string {
	if strings.Contains(string(req.Body), `"stream":true`) {
		return "head 200 text/event-stream\n" +
			`chunk data: {"type":"response.created","response":{"id":"resp_up","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}` + "\n" +
			`chunk data: {"type":"response.output_item.added","item":{"type":"message","id":"msg_up","role":"assistant","content":[],"status":"in_progress"}}` + "\n" +
			`chunk data: {"type":"response.output_text.delta","item_id":"msg_up","delta":"hi"}` + "\n" +
			`chunk data: {"type":"response.completed","response":{"id":"resp_up","object":"response","status":"completed","output":[{"type":"message","id":"msg_up","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi"}]}]}}`
	}
	return `json 200 {"id":"resp_up","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_up","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi"}]}]}`
}

// unchecked posts what may get the upstream's own half-built reply, and does not check
// its grammar.
func (r *rig) unchecked(path, body string) *reply {
	r.t.Helper()
	resp, err := r.http.Post("http://"+r.addr+path, "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	got := &reply{status: resp.StatusCode, header: resp.Header}
	if got.body, err = io.ReadAll(resp.Body); err != nil {
		r.t.Fatal(err)
	}
	return got
}

// TestDetectionOfResponses: an upstream that speaks Responses is recognised, too, by
// what clients of both APIs get from it, and what it says by halves is made whole from
// then on.
func TestDetectionOfResponses(t *testing.T) {
	t.Parallel()
	const none = `json 404 {"error":{"message":"Not Found"}}`
	requests := map[string]string{
		"/v1/responses":        `{"model":"m","input":"x","stream":%v}`,
		"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":"x"}],"stream":%v}`,
	}
	for _, c := range []struct{ name, models, header, dialect string }{
		{"its models", ownedBy("llamacpp"), "", "llama.cpp"},
		{"a header", none, "header Server: llama.cpp\n", "llama.cpp"},
		{"who has all of it", ownedBy("vllm"), "", "vllm"},
		{"a gateway", ownedBy("vllm", "llamacpp"), "", "generic"},
	} {
		for path, request := range requests {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprint(c.name, path, stream), func(t *testing.T) {
					t.Parallel()
					up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
						if req.Method == "GET" {
							return c.models
						}
						return c.header + ownResponses(req)
					})
					r := newRig(t, up.URL(), detecting, func(s *setup) { s.cfg.Upstream.API = config.APIResponses })
					b := r.srv.router.all[0]
					r.unchecked(path, fmt.Sprintf(request, stream)).want(t, 200, "")
					r.looked()
					if b.base().Name != c.dialect || b.wholeResponses() != (c.dialect != "llama.cpp") {
						t.Fatalf("recognised as %s, whole %v", b.base().Name, b.wholeResponses())
					}
					if b.wholeResponses() {
						return
					}
					got := r.post(fmt.Sprintf(requests["/v1/responses"], stream)) // its grammar is checked
					got.want(t, 200, "")
					_, rest, _ := strings.Cut(string(got.body), "resp_")
					id, _, _ := strings.Cut("resp_"+rest, `"`)
					next := r.post(`{"model":"m","input":"y","previous_response_id":"` + id + `"}`)
					next.want(t, 200, "")
					if body, looks := lastChat(up); looks > 1 || !strings.Contains(body, `"hi"`) || strings.Contains(body, "previous_response_id") {
						t.Errorf("%d looks, and the history is not sent: %s", looks, body)
					}
				})
			}
		}
	}
}

// TestDetectionOfResponsesKeeps: what is configured of a Responses API stays, whatever
// the upstream shows itself to be.
func TestDetectionOfResponsesKeeps(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if req.Method == "GET" {
			return ownedBy("llamacpp")
		}
		return ownResponses(req)
	})
	r := newRig(t, up.URL(), detecting, func(s *setup) {
		s.cfg.Upstream.API = config.APIResponses
		var err error
		if s.cfg.Upstream.Overrides, err = config.ParseOverrides("test", "responses: {complete: true}"); err != nil {
			t.Fatal(err)
		}
	})
	r.unchecked("/v1/responses", plain).want(t, 200, "")
	r.looked()
	if b := r.srv.router.all[0]; b.base().Name != "llama.cpp" || !b.wholeResponses() {
		t.Errorf("%s, whole %v", b.base().Name, b.wholeResponses())
	}
}
