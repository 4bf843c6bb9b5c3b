package proxy

import (
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// late is an upstream that refuses with status 200 what picky refuses with 400:
// script is the answer, in which %s is the error.
func late(t testing.TB, script string, refusals ...string) *upstreamtest.Server {
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		for i := 0; i < len(refusals); i += 2 {
			if strings.Contains(string(req.Body), refusals[i]) {
				return strings.ReplaceAll(script, "%s", refusals[i+1])
			}
		}
		return echoes(req)
	})
}

const (
	lateWhole = "json 200 %s"
	lateEvent = "head 200 text/event-stream\nchunk : OPENROUTER PROCESSING\nwait 5ms\nchunk data: %s\nchunk data: [DONE]"
	lateNamed = "head 200 text/event-stream\nchunk-raw \"event:error\\ndata:\"\nchunk %s"
)

func baseResp(code, message string) string {
	return `{"id":"0","choices":null,"created":0,"model":"","object":"","usage":null,"base_resp":{"status_code":` + code + `,"status_msg":"` + message + `"}}`
}

// TestRefusedWithSuccess: a refusal with status 200 teaches like any other, whole and
// in a stream that has begun, and is remembered once it has helped.
func TestRefusedWithSuccess(t *testing.T) {
	t.Parallel()
	const words = "Unsupported parameter: 'temperature' is not supported with this model."
	for _, c := range []struct{ name, script, refusal string }{
		{"MiniMax", lateWhole, baseResp("2013", words)},
		{"an error object", lateWhole, `{"error":{"message":"` + words + `","code":400}}`},
		{"OpenRouter", lateEvent, `{"id":"gen-1","object":"chat.completion.chunk","provider":"x","error":{"message":"` + words + `","code":400},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`},
		{"Gemini", lateEvent, `[{"error":{"code":400,"message":"` + words + `","status":"INVALID_ARGUMENT"}}]`},
		{"DashScope", lateNamed, `{"code":"InvalidParameter","message":"` + words + `","request_id":"r"}`},
		{"GLM", lateEvent, `{"error":{"code":"1214","message":"` + words + `"}}`},
	} {
		for _, stream := range []bool{false, true} {
			if !stream && c.script != lateWhole {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				up := late(t, c.script, `"temperature"`, c.refusal)
				r := newRig(t, up.URL())
				body := tuned
				if stream {
					body = strings.Replace(tuned, `{`, `{"stream":true,`, 1)
				}
				for i := range 2 {
					got := r.post(body)
					got.want(t, 200, "")
					if resp := got.response(t); !strings.Contains(string(resp.raw), `"status":"completed"`) {
						t.Errorf("%s", resp.raw)
					}
					if n := up.Count(); n != 2+i {
						t.Errorf("%d requests after %d", n, i+1)
					}
				}
				if r.metric("antiphon_lessons_total") != 1 {
					t.Errorf("%v lessons", r.metric("antiphon_lessons_total"))
				}
			})
		}
	}
}

// TestRefusedInVain: what does not help is not remembered, and the client gets the
// error with the status and the names that go with it.
func TestRefusedInVain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, refusal string
		status        int
		typ, code     string
		asked         int
	}{
		{"a lesson that does not help", baseResp("2013", "temperature is not supported"), 400, "invalid_request_error", "", 2},
		{"rate limit", baseResp("1002", "rate limit"), 429, "rate_limit_error", "rate_limit_exceeded", 1},
		{"balance", baseResp("1008", "insufficient balance"), 429, "rate_limit_error", "insufficient_quota", 1},
		{"key", baseResp("1004", "login fail"), 401, "authentication_error", "", 1},
		{"content", baseResp("1026", "input new_sensitive"), 400, "invalid_request_error", "", 1},
		{"context", baseResp("2013", "context window exceeds limit"), 400, "invalid_request_error", "context_length_exceeded", 1},
		{"system", baseResp("1000", "unknown error"), 502, "server_error", "server_error", 1},
		{"DashScope", `{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded","request_id":"r"}`, 429, "rate_limit_error", "Throttling.RateQuota", 1},
		{"Google", `[{"error":{"message":"No.","status":"PERMISSION_DENIED"}}]`, 403, "permission_error", "", 1},
		{"GLM", `{"error":{"code":"1302","message":"High concurrency usage"}}`, 429, "rate_limit_error", "rate_limit_exceeded", 1},
		{"MiniMax, as an object", `{"type":"error","error":{"type":"api_error","message":"No.","http_code":"400"}}`, 400, "invalid_request_error", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for script, stream := range map[string]bool{lateWhole: false, lateEvent: true} {
				up := late(t, script, `"model"`, c.refusal)
				r := newRig(t, up.URL())
				if stream {
					got := r.post(strings.Replace(tuned, `{`, `{"stream":true,`, 1))
					got.want(t, 200, "")
					if !strings.Contains(string(got.body), `"type":"response.failed"`) || !strings.Contains(string(got.body), `"type":"`+c.typ+`"`) {
						t.Errorf("%s", got.body)
					}
				} else {
					got := r.post(tuned)
					if e := got.err(); got.status != c.status || e.Type != c.typ || e.Code != c.code {
						t.Errorf("%d %+v", got.status, e)
					}
				}
				if up.Count() != c.asked || r.metric("antiphon_lessons_total") != 0 {
					t.Errorf("stream %v: %d requests, %v lessons", stream, up.Count(), r.metric("antiphon_lessons_total"))
				}
			}
		})
	}
}

// TestRefusedThenElsewhere: another upstream may answer a stream that has begun, as
// long as nothing has been said.
func TestRefusedThenElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		asked        int
		status       string
	}{
		{"at once", strings.ReplaceAll(lateEvent, "%s", `{"error":{"message":"Provider returned error","code":503}}`), 1, "completed"},
		{"whole", "json 200 " + baseResp("1000", "unknown error"), 1, "completed"},
		{"after a word", "head 200 text/event-stream\nchunk data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\nchunk data: {\"error\":{\"message\":\"Provider returned error\",\"code\":503}}", 0, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return c.script })
			other := upstreamtest.NewFunc(t, 0, echoes)
			r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Fallback = []string{"spare"} }, also("spare", other.URL(), nil))
			got := r.post(`{"model":"m","input":"x","stream":true}`)
			got.want(t, 200, "")
			if resp := got.response(t); !strings.Contains(string(resp.raw), `"status":"`+c.status+`"`) || other.Count() != c.asked {
				t.Errorf("%d requests to the other: %s", other.Count(), resp.raw)
			}
		})
	}
}
