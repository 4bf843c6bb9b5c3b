package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

type completionObject struct {
	ID, Object, Model string
	Metadata          map[string]string
	Deleted           bool
	Choices           []struct {
		Index   int
		Finish  string `json:"finish_reason"`
		Message struct {
			Role, Content string
			Calls         []struct {
				ID, Type string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
	}
	Usage struct {
		Total int64 `json:"total_tokens"`
	}
}

type completions struct {
	Object string
	Data   []completionObject
	First  *string `json:"first_id"`
	Last   *string `json:"last_id"`
	More   bool    `json:"has_more"`
}

func keepsChats(s *setup) { s.cfg.Store.ChatCompletions = true }

func (r *rig) complete(body string, headers ...string) *reply {
	r.t.Helper()
	return r.do("POST", "/v1/chat/completions", body, headers...)
}

// properChat echoes as the reference API streams: the role first, the usage last.
func properChat(req *upstreamtest.Request) string {
	if !strings.Contains(string(req.Body), `"stream":true`) {
		return echoes(req)
	}
	var chat struct{ Messages []struct{ Content string } }
	_ = json.Unmarshal(req.Body, &chat)
	chunk := func(choices, usage string) string {
		return `chunk data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[` + choices + `],"usage":` + usage + "}\n"
	}
	return sseHead + chunk(`{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}`, "null") +
		chunk(`{"index":0,"delta":{"content":"echo of "},"logprobs":null,"finish_reason":null}`, "null") +
		chunk(`{"index":0,"delta":{"content":"`+chat.Messages[len(chat.Messages)-1].Content+`"},"logprobs":null,"finish_reason":null}`, "null") +
		chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`, "null") +
		chunk("", `{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`) + sseDone
}

func TestStoredChat(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, properChat)
	r := newRig(t, up.URL(), keepsChats)
	const url = "/v1/chat/completions"
	var ids []string
	for i := range 5 {
		p := r.complete(fmt.Sprintf(`{"model":"m%d","store":true,"stream":%v,"stream_options":{"include_usage":true},"metadata":{"n":"%d","all":"yes"},"messages":[{"role":"system","content":"S"},{"role":"user","content":"CANARY %d"}]}`,
			i%2, i%2 == 1, i, i), "Accept-Encoding: gzip")
		if p.status != 200 {
			t.Fatalf("%d %s", p.status, p.body)
		}
		req := up.Next()
		if strings.Contains(string(req.Body), "store") || strings.Contains(string(req.Body), "metadata") || req.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("sent %s %v", req.Body, req.Header)
		}
		var id string
		if i%2 == 1 {
			if bad := streamcheck.ChatStream(p.body, streamcheck.ChatOptions{Usage: true}); len(bad) > 0 {
				t.Errorf("%v in %s", bad, p.body)
			}
			for _, e := range eventsIn(p.body) {
				var chunk struct{ ID string }
				if e.data != "[DONE]" && (json.Unmarshal([]byte(e.data), &chunk) != nil || id != "" && chunk.ID != id) {
					t.Errorf("%s in %s", e.data, p.body)
				}
				if chunk.ID != "" {
					id = chunk.ID
				}
			}
			if !strings.HasSuffix(string(p.body), "data: [DONE]\n\n") {
				t.Errorf("ends %q", p.body)
			}
		} else {
			id = into[completionObject](t, p).ID
		}
		if !strings.HasPrefix(id, "chatcmpl-") || id == "chatcmpl-1" {
			t.Errorf("id %q", id)
		}
		ids = append(ids, id)
		got := into[completionObject](t, r.get(url+"/"+id))
		if got.ID != id || got.Object != "chat.completion" || got.Metadata["n"] != fmt.Sprint(i) || len(got.Choices) != 1 || got.Choices[0].Finish != "stop" ||
			got.Choices[0].Message.Content != fmt.Sprintf("echo of CANARY %d", i) || got.Choices[0].Message.Role != "assistant" || got.Usage.Total != 10 {
			t.Errorf("%d: %+v", i, got)
		}
		time.Sleep(2 * time.Millisecond) // ids sort by the millisecond
	}
	listing := func(query string, want ...int) completions {
		t.Helper()
		page := into[completions](t, r.get(url+query))
		var got []int
		for _, c := range page.Data {
			for i, id := range ids {
				if c.ID == id {
					got = append(got, i)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(want) > 0 && (*page.First != ids[want[0]] || *page.Last != ids[want[len(want)-1]]) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
		return page
	}
	listing("", 0, 1, 2, 3, 4)
	listing("?order=desc", 4, 3, 2, 1, 0)
	listing("?model=m1", 1, 3)
	listing("?model=up-model", 0, 1, 2, 3, 4)
	listing("?model=other")
	listing("?metadata%5Bn%5D=2", 2)
	listing("?metadata[n]=2&metadata[all]=yes", 2)
	listing("?metadata[n]=2&metadata[all]=no")
	if p := listing("?limit=2", 0, 1); !p.More {
		t.Error("there is more")
	}
	if p := listing("?limit=2&model=m1", 1, 3); p.More {
		t.Error("there is no more")
	}
	listing("?limit=2&after="+ids[1], 2, 3)
	listing("?order=desc&after="+ids[1], 0)
	r.get(url+"?limit=0").want(t, 400, "integer_below_min_value")

	type message struct {
		ID, Role string
		Content  *string
		Parts    []any `json:"content_parts"`
	}
	var messages struct {
		Data []message
		More bool `json:"has_more"`
	}
	p := r.get(url + "/" + ids[2] + "/messages")
	_ = json.Unmarshal(p.body, &messages)
	if m := messages.Data; len(m) != 2 || m[0].ID != ids[2]+"-0" || m[0].Role != "system" || m[1].Content == nil || *m[1].Content != "CANARY 2" || m[1].Parts != nil {
		t.Errorf("%s", p.body)
	}
	p = r.get(url + "/" + ids[2] + "/messages?limit=1&order=desc")
	if _ = json.Unmarshal(p.body, &messages); len(messages.Data) != 1 || messages.Data[0].ID != ids[2]+"-1" || !messages.More {
		t.Errorf("%s", p.body)
	}

	if got := into[completionObject](t, r.do("POST", url+"/"+ids[0], `{"metadata":{"new":"one"}}`)); len(got.Metadata) != 1 || got.Metadata["new"] != "one" || got.Choices == nil {
		t.Errorf("%+v", got)
	}
	listing("?metadata[new]=one", 0)
	r.do("POST", url+"/"+ids[0], `{}`).want(t, 400, "missing_required_parameter")

	// Nothing of it exists for anybody else, and not after it is deleted.
	for _, other := range []string{"Authorization: Bearer CANARY-other", "Authorization:"} {
		r.get(url+"/"+ids[0], other).want(t, 404, "")
		r.get(url+"/"+ids[0]+"/messages", other).want(t, 404, "")
		r.do("POST", url+"/"+ids[0], `{"metadata":{}}`, other).want(t, 404, "")
		r.do("DELETE", url+"/"+ids[0], "", other).want(t, 404, "")
		if p := into[completions](t, r.get(url, other)); len(p.Data) != 0 || p.First != nil {
			t.Errorf("%+v", p)
		}
	}
	if d := into[completionObject](t, r.do("DELETE", url+"/"+ids[0], "")); !d.Deleted || d.Object != "chat.completion.deleted" || d.ID != ids[0] {
		t.Errorf("%+v", d)
	}
	gone := r.do("DELETE", url+"/"+ids[0], "")
	gone.want(t, 404, "")
	if gone.err().Message != "Completion with id '"+ids[0]+"' not found." {
		t.Error(gone.err().Message)
	}
	listing("", 1, 2, 3, 4)
}

// What is not asked to be kept passes through byte for byte, and so does everything
// where nothing is kept.
func TestChatNotStored(t *testing.T) {
	t.Parallel()
	const reply = `{"id":"chatcmpl-1",  "choices":[], "object":"chat.completion"}`
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string { return "json 200 " + reply + "\n" })
	for _, keep := range []bool{false, true} {
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Store.ChatCompletions = keep })
		for _, body := range []string{`{"model":"m", "messages":[]}`, `{"model":"m", "store":false,"messages":[]}`, `{"model":"m", "store":null,"metadata":{"a":5}}`, `{"store":true`} {
			p := r.complete(body)
			if string(p.body) != reply || string(up.Next().Body) != body {
				t.Errorf("%s: %s", body, p.body)
			}
		}
		if keep {
			r.complete(`{"model":"m","store":true,"messages":[],"metadata":{"a":5}}`).want(t, 400, "invalid_type")
			continue
		}
		const stored = `{"model":"m", "store":true, "metadata":{"a":"b"}, "messages":[]}`
		if p := r.complete(stored); string(p.body) != reply || string(up.Next().Body) != stored {
			t.Errorf("%s", p.body)
		}
		for _, req := range []string{"GET ", "GET /chatcmpl-1", "GET /chatcmpl-1/messages", "DELETE /chatcmpl-1", "POST /chatcmpl-1"} {
			method, path, _ := strings.Cut(req, " ")
			if p := r.do(method, "/v1/chat/completions"+path+"?limit=1", ""); string(p.body) != reply {
				t.Errorf("%s: %s", req, p.body)
			}
			if got := up.Next(); got.Method != method || got.URI != "/v1/chat/completions"+path+"?limit=1" {
				t.Errorf("%s: %s %s", req, got.Method, got.URI)
			}
		}
	}
}

// What is translated for a backend that speaks Responses is kept as well.
func TestStoredChatOfResponses(t *testing.T) {
	t.Parallel()
	r, _ := fronts(t, newEcho(t), keepsChats)
	for _, stream := range []string{"", `"stream":true,`} {
		p := r.chat(`{` + stream + `"model":"m","store":true,"metadata":{"a":"b"},"messages":[{"role":"user","content":"CANARY"}]}`)
		p.want(t, 200, "")
		page := into[completions](t, r.get("/v1/chat/completions?order=desc&limit=1"))
		if len(page.Data) != 1 || page.Data[0].Choices[0].Message.Content != "echo of CANARY" || !strings.Contains(string(p.body), page.Data[0].ID) {
			t.Errorf("%s\nstored %+v", p.body, page)
		}
	}
	if page := into[completions](t, r.get("/v1/chat/completions?metadata[a]=b")); len(page.Data) != 2 {
		t.Errorf("%+v", page)
	}
}

// A stream that is cut off, an error, and what only looks like a completion are
// passed on and not kept. A store that fails costs nobody an answer.
func TestChatNotKept(t *testing.T) {
	t.Parallel()
	script := ""
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string { return script })
	st := newFaultyStore(t)
	r := newRig(t, up.URL(), keepsChats, func(s *setup) { s.opt.Store = st })
	const body = `{"model":"m","store":true,"stream":true,"messages":[{"role":"user","content":"x"}]}`
	for _, s := range []string{sseHead + delta("half") + "end", `json 429 {"error":{"message":"no"}}` + "\n", `json 200 {"error":{"message":"no"}}` + "\n", sseHead + "chunk data: {\"error\":{\"message\":\"no\"}}\n"} {
		script = s
		if p := r.complete(body); !strings.Contains(string(p.body), "no") && !strings.Contains(string(p.body), "half") {
			t.Errorf("%s: %d %s", s, p.status, p.body)
		}
	}
	st.set(func(string) error { return fmt.Errorf("down") })
	script = streams("whole")
	if p := r.complete(body); !strings.Contains(string(p.body), "whole") || !strings.HasSuffix(string(p.body), "[DONE]\n\n") {
		t.Errorf("%s", p.body)
	}
	r.get("/v1/chat/completions").want(t, 503, "server_error")
	r.get("/v1/chat/completions/chatcmpl-1").want(t, 503, "server_error")
	if r.metric("antiphon_store_errors_total") != 1 {
		t.Error("the error is not counted")
	}
	st.set(nil)
	if p := into[completions](t, r.get("/v1/chat/completions")); len(p.Data) != 0 {
		t.Errorf("%+v", p)
	}
}
