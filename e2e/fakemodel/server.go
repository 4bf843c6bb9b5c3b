package fakemodel

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Server is the model's server. Make one with Start.
type Server struct {
	URL string // without /v1

	http     http.Server
	listener net.Listener

	mu       sync.Mutex
	scripts  map[string]Script
	attempts map[string]int
	requests []*Request
	illegal  []string
	changed  chan struct{} // closed when requests grows or one of them ends
}

// Request is what the model was asked.
type Request struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Header http.Header     `json:"header"`
	Model  string          `json:"model"`
	Body   json.RawMessage `json:"body"`

	// State is open, answered, broken (as the script wanted) or left: the other
	// side has closed the connection before the reply was complete.
	State string `json:"state"`
}

// The states of a request.
const (
	Open     = "open"
	Answered = "answered"
	Broken   = "broken"
	Left     = "left"
)

// Start starts a model on a free port.
func Start() (*Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fake model: %w", err)
	}
	s := &Server{
		URL: "http://" + ln.Addr().String(), listener: ln,
		scripts: map[string]Script{}, attempts: map[string]int{}, changed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", s.completions)
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("/v1/", s.echo)
	s.control(mux)
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(ln) }()
	return s, nil
}

// Close stops the model and breaks off what it is saying.
func (s *Server) Close() { _ = s.http.Close() }

// Addr is the address that the model listens at.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Play sets the script for a model name.
func (s *Server) Play(model string, script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[model] = script
	s.attempts[model] = 0
}

// Requests returns what was asked of a model, oldest first; "" is all.
func (s *Server) Requests(model string) (list []Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if model == "" || r.Model == model {
			list = append(list, *r)
		}
	}
	return list
}

// Illegal returns why requests were refused that should not have been sent.
func (s *Server) Illegal() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.illegal)
}

// Await waits until what was asked of a model satisfies ok, and returns whether
// it did in time.
func (s *Server) Await(model string, timeout time.Duration, ok func([]Request) bool) bool {
	late := time.After(timeout)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok(s.Requests(model)) {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return false
		}
	}
}

// AwaitState waits until the last request for a model has a state.
func (s *Server) AwaitState(model, state string, timeout time.Duration) bool {
	return s.Await(model, timeout, func(list []Request) bool {
		return len(list) > 0 && list[len(list)-1].State == state
	})
}

func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) record(r *http.Request, model string, body []byte) *Request {
	rec := &Request{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Model: model, State: Open}
	if json.Valid(body) {
		rec.Body = body
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, rec)
	s.notify()
	return rec
}

func (s *Server) end(rec *Request, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec.State == Open {
		rec.State = state
		s.notify()
	}
}

func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // half a request gets no answer
	}
	var c chat
	if err := json.Unmarshal(body, &c); err != nil {
		s.refuse(w, s.record(r, "", body), "the body is not a chat request: "+err.Error())
		return
	}
	rec := s.record(r, c.Model, body)
	if fault := illegal(body); fault != "" {
		s.refuse(w, rec, fault)
		return
	}
	s.mu.Lock()
	script, known := s.scripts[c.Model]
	attempt := s.attempts[c.Model]
	s.attempts[c.Model]++
	s.mu.Unlock()
	if !known {
		writeError(w, 404, nil, "The model `"+c.Model+"` does not exist.")
		s.end(rec, Answered)
		return
	}
	x := exchange{server: s, w: w, r: r, rec: rec, chat: c, reply: script.reply(attempt, &c)}
	s.end(rec, x.answer())
}

// exchange is one request being answered.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	rec    *Request
	chat   chat
	reply  Reply
}

// answer gives the reply, and returns what became of the request.
func (x *exchange) answer() (state string) {
	if !x.pause(x.reply.DelayMS) {
		return Left
	}
	for name, value := range x.reply.Headers {
		x.w.Header().Set(name, value)
	}
	switch {
	case x.reply.Status >= 400:
		writeError(x.w, x.reply.Status, x.reply.Body, "The script says so.")
		return Answered
	case x.chat.Stream && !x.reply.Whole:
		return x.stream()
	}
	return x.whole()
}

// pause waits. It returns false when the other side has left meanwhile.
func (x *exchange) pause(ms int) bool {
	if ms == 0 {
		return x.r.Context().Err() == nil
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return true
	case <-x.r.Context().Done():
		return false
	}
}

func (s *Server) refuse(w http.ResponseWriter, rec *Request, fault string) {
	s.mu.Lock()
	s.illegal = append(s.illegal, fault)
	s.mu.Unlock()
	writeError(w, 400, nil, "Illegal request: "+fault)
	s.end(rec, Answered)
}

// models lists the scripts.
func (s *Server) models(w http.ResponseWriter, r *http.Request) {
	rec := s.record(r, "", nil)
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int    `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	list := []model{}
	s.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(s.scripts)) {
		list = append(list, model{name, "model", 1700000000, "fake"})
	}
	s.mu.Unlock()
	writeJSON(w, 200, map[string]any{"object": "list", "data": list})
	s.end(rec, Answered)
}

// echo answers every other path of the API with what was asked.
func (s *Server) echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	rec := s.record(r, "", body)
	writeJSON(w, 200, map[string]any{"object": "echo", "method": r.Method, "path": r.URL.RequestURI(), "body": string(body)})
	s.end(rec, Answered)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// writeError answers with an error in the form of the API.
func writeError(w http.ResponseWriter, status int, body json.RawMessage, text string) {
	if body != nil {
		writeJSON(w, status, body)
		return
	}
	kind, code := "invalid_request_error", any(nil)
	switch {
	case status == 401:
		code = "invalid_api_key"
	case status == 404:
		code = "model_not_found"
	case status == 429:
		kind, code = "requests", "rate_limit_exceeded"
	case status >= 500:
		kind = "server_error"
	}
	writeJSON(w, status, map[string]any{"error": map[string]any{"message": text, "type": kind, "param": nil, "code": code}})
}
