package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
)

// TestHostile: whatever a server does, a run ends: in time, without more requests,
// bytes or tokens than it may take.
func TestHostile(t *testing.T) {
	t.Parallel()
	completion := func(content string) string {
		return `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + content + `"},"finish_reason":"stop"}]}`
	}
	for _, c := range []struct {
		name    string
		serve   http.HandlerFunc
		fails   string // what the error says; "" is none
		stopped string
	}{
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "nothing came within", ""},
		{"drips for ever", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		}, "does not answer a simple question", ""},
		{"pours", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "data: "+completion(strings.Repeat("x", 4096))+"\n\n"); err != nil {
					return
				}
			}
		}, "does not answer a simple question", ""},
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "does not answer", ""},
		{"wants a key", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":{"message":"no key"}}`, 401) }, "401", ""},
		{"has no such model", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"message":"The model does not exist"}}`, 404)
		}, "does not exist", ""},
		{"is limited", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":{"message":"slow down"}}`, 429) }, "429", ""},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "does not answer", ""},
		{"odd JSON", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"choices":[null,{"message":{"content":[1,{"text":2}],"tool_calls":[7,{"function":{"name":1,"arguments":[]}}]}},{"delta":null}],"usage":[]}`)
		}, "", ""},
		{"boasts", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.TrimSuffix(completion("OK"), "}")+`,"usage":{"prompt_tokens":100000,"completion_tokens":100000}}`)
		}, "", "the bound of tokens is reached"},
		{"refuses everything but the simplest", func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			if len(b) > 90 {
				http.Error(w, `{"error":{"message":"Unsupported parameter: everything is not supported"}}`, 400)
				return
			}
			_, _ = io.WriteString(w, completion("OK"))
		}, "", ""},
		{"refuses in riddles", func() http.HandlerFunc {
			var n atomic.Int64
			return func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				if n.Add(1)%2 == 0 {
					http.Error(w, fmt.Sprintf(`{"error":{"message":"%d: temperature top_p stop user max_tokens max_completion_tokens role developer tool_choice 'any' reasoning_content is missing and unsupported"}}`, len(b)), 400)
					return
				}
				_, _ = io.WriteString(w, completion("OK"))
			}
		}(), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				body, _ := io.ReadAll(r.Body) // only then does the server see that a client has left
				r.Body = io.NopCloser(bytes.NewReader(body))
				c.serve(w, r)
			}))
			defer s.Close()
			u := config.Default().Upstream
			u.URL, u.Dialect = s.URL, "generic"
			start := time.Now()
			r, err := Run(context.Background(), Options{Upstream: &u, Model: "m", Timeout: 300 * time.Millisecond, Deadline: 5 * time.Second, MaxTokens: 50_000})
			switch took := time.Since(start); {
			case took > 10*time.Second:
				t.Errorf("it took %s", took)
			case int(requests.Load()) > maxRequests || r.Requests > maxRequests:
				t.Errorf("%d requests", requests.Load())
			case (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails):
				t.Errorf("error %v", err)
			case r.Stopped != c.stopped:
				t.Errorf("stopped: %q", r.Stopped)
			}
			if _, err := config.ParseOverrides("probe", r.Overrides()); err != nil {
				t.Errorf("%v in %s", err, r.Config())
			}
		})
	}
}

// FuzzReply: whatever a server says, it is read, or not, but nothing else.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"choices":[{"message":{"content":"x","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`), 200, false)
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"<think>x\"}}]}\n\ndata: [DONE]\n\n"), 200, true)
	f.Add([]byte(`{"error":{"message":"Unsupported parameter: 'temperature'"}}`), 400, false)
	f.Add([]byte(`{"data":[{"id":"m","owned_by":"vllm"}]}`), 200, false)
	f.Fuzz(func(t *testing.T, body []byte, status int, stream bool) {
		r := &reply{status: status, body: body, stream: stream, header: http.Header{}}
		r.read()
		_ = r.failure()
		_ = r.visible()
		if msg := r.message(); strings.ContainsAny(msg, "\n\r\x1b") {
			t.Errorf("%q", msg)
		}
		_ = ownerOf(body, "m")
		_, _ = r.output(fields{"model": "m", "input": "x", "tools": tools})
	})
}
