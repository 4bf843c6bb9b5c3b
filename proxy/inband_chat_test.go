package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// The ways in which an upstream that speaks Responses refuses with status 200: %s is
// the error object.
var lateResponses = map[string]string{
	"whole":           `json 200 {"error":%s}`,
	"failed":          `json 200 {"id":"resp_1","object":"response","status":"failed","error":%s,"output":[]}`,
	"event":           "head 200 text/event-stream\nchunk-raw \"event: error\\n\"\n" + `chunk data: {"type":"error","error":%s,"sequence_number":0}`,
	"bare":            "head 200 text/event-stream\nchunk : PROCESSING\nwait 5ms\n" + `chunk data: {"error":%s}`,
	"at once":         "head 200 text/event-stream\n" + `chunk data: {"type":"response.failed","response":{"id":"resp_1","object":"response","status":"failed","error":%s,"output":[]}}`,
	"after its start": "head 200 text/event-stream\n" + lateCreated + "\nwait 5ms\n" + `chunk data: {"type":"response.failed","sequence_number":2,"response":{"id":"resp_1","object":"response","status":"failed","error":%s,"output":[]}}`,
}

const lateCreated = `chunk data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}` + "\n" +
	`chunk data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}`

// lateResponse is such an upstream: it refuses what has the word in it.
func lateResponse(t testing.TB, way, word, refusal string) *upstreamtest.Server {
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), word) {
			return strings.ReplaceAll(lateResponses[way], "%s", refusal)
		}
		return ownResponses(req)
	})
}

func speaksResponses(s *setup) { s.cfg.Upstream.API = config.APIResponses }

// wayStreams reports whether the client has to ask for a stream to be refused that way.
func wayStreams(way string) bool { return way != "whole" && way != "failed" }

// TestChatRefusedWithSuccess: what a Responses backend refuses with status 200 teaches
// what is learned from other refusals, and is remembered once it has helped.
func TestChatRefusedWithSuccess(t *testing.T) {
	t.Parallel()
	const refusal = `{"type":"invalid_request_error","code":"unsupported_parameter","message":"Unsupported parameter: 'presence_penalty' is not supported with this model."}`
	for way := range lateResponses {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			up := lateResponse(t, way, `"presence_penalty"`, refusal)
			r := newRig(t, up.URL(), speaksResponses)
			for i := range 2 {
				got := r.chat(fmt.Sprintf(`{"stream":%v,"model":"m","presence_penalty":0.5,"messages":[{"role":"user","content":"q"}]}`, wayStreams(way)))
				got.want(t, 200, "")
				if texts := chatText(t, got); len(texts) != 1 || texts[0] != "hi" {
					t.Errorf("%s", got.body)
				}
				if n := up.Count(); n != 2+i {
					t.Errorf("%d requests after %d", n, i+1)
				}
				if !strings.Contains(got.header.Get("Antiphon-Loss")+string(got.body), "presence_penalty") {
					t.Errorf("the loss is not reported: %v %s", got.header, got.body)
				}
			}
			if learned := strings.Join(learnedFacts(r), " "); learned != "responses.penalties=false" || r.metric("antiphon_lessons_total") != 1 {
				t.Errorf("learned %q", learned)
			}
		})
	}
}

// TestChatRefusedInVain: what does not help is not remembered, nothing is learned of
// what the client got wrong, and the client gets the error that there was.
func TestChatRefusedInVain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, refusal string
		status        int
		typ           string
		asked         int
	}{
		{"a lesson that does not help", `{"type":"invalid_request_error","message":"presence_penalty is not supported"}`, 400, "invalid_request_error", 2},
		{"a mistake", `{"type":"invalid_request_error","message":"Invalid 'presence_penalty': must be at most 2."}`, 400, "invalid_request_error", 1},
		{"rate limit", `{"code":"rate_limit_exceeded","message":"Slow down."}`, 429, "rate_limit_error", 1},
		{"a fault", `{"type":"server_error","code":"server_error","message":"It broke."}`, 500, "server_error", 1},
	} {
		for way := range lateResponses {
			t.Run(c.name+" "+way, func(t *testing.T) {
				t.Parallel()
				up := lateResponse(t, way, `"model"`, c.refusal)
				r := newRig(t, up.URL(), speaksResponses)
				got := r.chat(fmt.Sprintf(`{"stream":%v,"model":"m","presence_penalty":0.5,"messages":[{"role":"user","content":"q"}]}`, wayStreams(way)))
				if wayStreams(way) {
					got.want(t, 200, "")
					if !strings.Contains(string(got.body), `"type":"`+c.typ+`"`) || strings.Count(string(got.body), "[DONE]") != 1 {
						t.Errorf("%s", got.body)
					}
				} else if e := got.err(); got.status/100 != c.status/100 || e.Type != c.typ {
					t.Errorf("%d %+v", got.status, e)
				}
				if up.Count() != c.asked || r.metric("antiphon_lessons_total") != 0 {
					t.Errorf("%d requests, %v lessons", up.Count(), r.metric("antiphon_lessons_total"))
				}
			})
		}
	}
}

// TestResponsesRefusedThenElsewhere: another upstream answers for one that speaks
// Responses and fails with status 200, for clients of both APIs, as long as nothing
// has been said.
func TestResponsesRefusedThenElsewhere(t *testing.T) {
	t.Parallel()
	requests := map[string]string{
		"/v1/responses":        `{"model":"m","stream":%v,"input":"q"}`,
		"/v1/chat/completions": `{"model":"m","stream":%v,"messages":[{"role":"user","content":"q"}]}`,
	}
	const busy = `{"code":"server_error","message":"The server is overloaded."}`
	const word = lateCreated + "\n" +
		`chunk data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","content":[],"status":"in_progress"}}` + "\n" +
		`chunk data: {"type":"response.output_text.delta","sequence_number":3,"output_index":0,"content_index":0,"item_id":"msg_1","delta":"a"}`
	for path, request := range requests {
		for way, script := range lateResponses {
			t.Run(path+" "+way, func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return strings.ReplaceAll(script, "%s", busy) })
				other := upstreamtest.NewFunc(t, 0, ownResponses)
				r := newRig(t, up.URL(), ofKind("half", "half", other.URL()))
				got := r.do("POST", path, fmt.Sprintf(request, wayStreams(way)))
				if got.want(t, 200, ""); !strings.Contains(string(got.body), "hi") || strings.Contains(string(got.body), "overloaded") || other.Count() != 1 {
					t.Errorf("%d requests to the other: %s", other.Count(), got.body)
				}
			})
		}
		t.Run(path+" after a word", func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string {
				return "head 200 text/event-stream\n" + word + "\n" + `chunk data: {"type":"error","code":"server_error","message":"The server is overloaded."}`
			})
			other := upstreamtest.NewFunc(t, 0, ownResponses)
			r := newRig(t, up.URL(), ofKind("half", "half", other.URL()))
			if got := r.do("POST", path, fmt.Sprintf(request, true)); !strings.Contains(string(got.body), "overloaded") || other.Count() != 0 {
				t.Errorf("%d requests to the other: %s", other.Count(), got.body)
			}
		})
	}
}
