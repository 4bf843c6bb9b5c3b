package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// demoBackend is a small chat-completions server with a scripted model: enough
// of one to see everything that the proxy does, without a key or a network. It
// knows nothing of the Responses API.
//
// Its model echoes what it hears, remembers the name that somebody gave in the
// conversation, calls a function when one is offered and the user asks for
// something, answers with the result of a call, fills in JSON schemas, and
// thinks aloud under the name demo-thinking.
type demoBackend struct {
	pace time.Duration // between the words of a stream

	mu   sync.Mutex
	last []byte // the body of the last chat request
	n    int
}

// lastRequest is what the backend was sent last.
func (b *demoBackend) lastRequest() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

func (b *demoBackend) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", b.chat)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"object": "list", "data": []any{demoModel("demo"), demoModel("demo-thinking")}})
	})
	mux.HandleFunc("GET /v1/models/{id}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, 200, demoModel(r.PathValue("id")))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		demoError(w, 404, "The demo backend has no "+r.Method+" "+r.URL.Path+".")
	})
	return mux
}

func demoModel(id string) map[string]any {
	return map[string]any{"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "antiphon-demo"}
}

// chatRequest is what the demo model looks at.
type chatRequest struct {
	Model    string        `json:"model"`
	Messages []chatMessage `json:"messages"`
	Stream   bool          `json:"stream"`
	Tools    []struct {
		Function struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
	ResponseFormat struct {
		Type   string `json:"type"`
		Schema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type chatMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// text is a message's text, whether it is a string or made of parts.
func (m chatMessage) text() string {
	var s string
	if json.Unmarshal(m.Content, &s) == nil {
		return s
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(m.Content, &parts)
	var all []string
	for _, p := range parts {
		all = append(all, p.Text)
	}
	return strings.Join(all, " ")
}

// demoReply is what the model has decided to say.
type demoReply struct {
	thought, text  string
	call, callArgs string
}

func (b *demoBackend) chat(w http.ResponseWriter, r *http.Request) {
	var req chatRequest
	var body json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil || json.Unmarshal(body, &req) != nil {
		demoError(w, 400, "The request body is not a chat request.")
		return
	}
	b.mu.Lock()
	b.last = body
	b.n++
	id := fmt.Sprintf("chatcmpl-demo-%d", b.n)
	b.mu.Unlock()
	if len(req.Messages) == 0 {
		demoError(w, 400, "There are no messages.")
		return
	}
	reply := think(&req)
	words := 0
	for _, m := range req.Messages {
		words += len(strings.Fields(m.text()))
	}
	out := len(strings.Fields(reply.text+" "+reply.callArgs)) + 1
	usage := map[string]any{"prompt_tokens": words, "completion_tokens": out, "total_tokens": words + out}
	if req.Stream {
		b.stream(w, &req, id, reply, usage)
		return
	}
	message := map[string]any{"role": "assistant", "content": reply.text}
	if reply.thought != "" {
		message["reasoning_content"] = reply.thought
	}
	if reply.call != "" {
		message["content"] = nil
		message["tool_calls"] = []any{demoCall(id, reply, reply.callArgs)}
	}
	writeJSON(w, 200, map[string]any{
		"id": id, "object": "chat.completion", "created": time.Now().Unix(), "model": req.Model, "usage": usage,
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": reply.finish()}},
	})
}

func (r demoReply) finish() string {
	if r.call != "" {
		return "tool_calls"
	}
	return "stop"
}

func demoCall(id string, r demoReply, args string) map[string]any {
	return map[string]any{
		"index": 0, "id": "call_" + strings.TrimPrefix(id, "chatcmpl-"), "type": "function",
		"function": map[string]any{"name": r.call, "arguments": args},
	}
}

// stream sends a reply word by word.
func (b *demoBackend) stream(w http.ResponseWriter, req *chatRequest, id string, reply demoReply, usage any) {
	w.Header().Set("Content-Type", "text/event-stream")
	created := time.Now().Unix()
	send := func(choices []any, usage any) {
		chunk := map[string]any{"id": id, "object": "chat.completion.chunk", "created": created, "model": req.Model, "choices": choices}
		if usage != nil {
			chunk["usage"] = usage
		}
		raw, _ := json.Marshal(chunk)
		_, _ = fmt.Fprintf(w, "data: %s\n\n", raw)
		_ = http.NewResponseController(w).Flush()
	}
	delta := func(d map[string]any, finish any) {
		send([]any{map[string]any{"index": 0, "delta": d, "finish_reason": finish}}, nil)
		time.Sleep(b.pace)
	}
	delta(map[string]any{"role": "assistant", "content": ""}, nil)
	for _, word := range strings.SplitAfter(reply.thought, " ") {
		if word != "" {
			delta(map[string]any{"reasoning_content": word}, nil)
		}
	}
	if reply.call != "" {
		call := demoCall(id, reply, "")
		delta(map[string]any{"tool_calls": []any{call}}, nil)
		for _, piece := range pieces(reply.callArgs, 6) {
			delta(map[string]any{"tool_calls": []any{map[string]any{"index": 0, "function": map[string]any{"arguments": piece}}}}, nil)
		}
	} else {
		for _, word := range strings.SplitAfter(reply.text, " ") {
			delta(map[string]any{"content": word}, nil)
		}
	}
	delta(map[string]any{}, reply.finish())
	if req.StreamOptions.IncludeUsage {
		send([]any{}, usage)
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

func pieces(s string, n int) (out []string) {
	for runes := []rune(s); len(runes) > 0; {
		k := min(n, len(runes))
		out, runes = append(out, string(runes[:k])), runes[k:]
	}
	return out
}

var nameGiven = regexp.MustCompile(`(?i)\bmy name is (\pL+)`)

// think decides what to say. It is no model, but it only knows what it is sent,
// which is the point: what it remembers, the proxy has put before it.
func think(req *chatRequest) (r demoReply) {
	last := req.Messages[len(req.Messages)-1]
	asked := last.text()
	if strings.Contains(req.Model, "think") {
		r.thought = "The user wants an answer to: " + asked
	}
	if last.Role == "tool" {
		r.text = "The tool says: " + asked
		return r
	}
	if req.ResponseFormat.Type == "json_schema" {
		raw, _ := json.Marshal(example(req.ResponseFormat.Schema.Schema))
		r.text = string(raw)
		return r
	}
	if len(req.Tools) > 0 && last.Role == "user" {
		f := req.Tools[0].Function
		args, _ := json.Marshal(example(f.Parameters))
		r.call, r.callArgs = f.Name, string(args)
		return r
	}
	name := ""
	for _, m := range req.Messages {
		if found := nameGiven.FindStringSubmatch(m.text()); found != nil && m.Role == "user" {
			name = found[1]
		}
	}
	switch {
	case name != "" && strings.Contains(strings.ToLower(asked), "my name") && strings.Contains(asked, "?"):
		r.text = "Your name is " + name + "."
	case name != "":
		r.text = "Nice to meet you, " + name + "!"
	case strings.Contains(strings.ToLower(asked), "my name"):
		r.text = "You have not told me your name."
	default:
		r.text = "You said: " + asked
	}
	return r
}

// example makes a value that fits a JSON schema.
func example(schema json.RawMessage) any {
	var s struct {
		Type       any                        `json:"type"`
		Enum       []any                      `json:"enum"`
		Const      any                        `json:"const"`
		Properties map[string]json.RawMessage `json:"properties"`
		Items      json.RawMessage            `json:"items"`
		AnyOf      []json.RawMessage          `json:"anyOf"`
	}
	_ = json.Unmarshal(schema, &s)
	kind, _ := s.Type.(string)
	if kinds, ok := s.Type.([]any); ok && len(kinds) > 0 {
		kind, _ = kinds[0].(string)
	}
	switch {
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AnyOf) > 0:
		return example(s.AnyOf[0])
	}
	switch kind {
	case "object", "":
		out := map[string]any{}
		for name, p := range s.Properties {
			out[name] = example(p)
			if name == "city" || name == "location" {
				out[name] = "Lisbon"
			}
		}
		return out
	case "array":
		return []any{example(s.Items)}
	case "integer", "number":
		return 7
	case "boolean":
		return true
	case "null":
		return nil
	}
	return "example"
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func demoError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"message": message, "type": "invalid_request_error", "param": nil, "code": nil,
	}})
}

// sideBySide puts two texts next to each other.
func sideBySide(left, right []string, width int) (out []string) {
	for i := range max(len(left), len(right)) {
		l, r := "", ""
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		out = append(out, fmt.Sprintf("  %-*s │ %s", width, clipTo(l, width), clipTo(r, width)))
	}
	return slices.Clip(out)
}

func clipTo(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
