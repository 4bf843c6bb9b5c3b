package zoo

import (
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Server is a member of the zoo that listens.
type Server struct {
	*httptest.Server
	Family *Family
	// Late says that refusals come with status 200: as the whole reply, or as the first
	// event of a stream.
	Late bool

	mu      sync.Mutex
	asked   []*Request
	refused []*Refused
}

// New starts a member for the time of the test.
func New(t testing.TB, f *Family) *Server {
	s := Start(f)
	t.Cleanup(s.Close)
	return s
}

// Start starts a member, for whoever closes it.
func Start(f *Family) *Server {
	s := &Server{Family: f}
	s.Server = httptest.NewServer(s)
	return s
}

// Base is the base URL that clients are given.
func (s *Server) Base() string { return s.URL + "/v1" }

// Asked are the chat requests so far, Refused the refusals of those.
func (s *Server) Asked() (asked []*Request, refused []*Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.refused
}

// Forget forgets the requests so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.refused = nil, nil
}

// ServeHTTP answers as the family does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s.Family
	if name := f.Signs.Header[0]; name != "" {
		w.Header().Set(name, f.Signs.Header[1])
	}
	if body, ok := f.Signs.Paths[r.URL.Path]; ok && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
		return
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/v1/models":
		s.json(w, 200, toJSON(object{"object": "list", "data": []object{{"id": f.Model(), "object": "model", "created": created, "owned_by": f.Signs.Owner}}}))
	case r.Method == http.MethodPost && r.URL.Path == "/v1/chat/completions":
		s.chat(w, r)
	default:
		s.json(w, 404, errorObject(Error{Type: "not_found_error"}, "Not Found"))
	}
}

// Model is the name of the model that it lists.
func (f *Family) Model() string {
	if f.Signs.Model != "" {
		return f.Signs.Model
	}
	return "zoo-1"
}

func (s *Server) json(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (s *Server) chat(w http.ResponseWriter, hr *http.Request) {
	f := s.Family
	body, err := io.ReadAll(io.LimitReader(hr.Body, 16<<20))
	if err != nil {
		return
	}
	r, err := Read(body)
	if err != nil {
		s.json(w, 400, f.Errors(Error{}, "We could not parse the JSON body of your request. ("+err.Error()+")"))
		return
	}
	refused := f.Check(r)
	s.mu.Lock()
	s.asked = append(s.asked, r)
	reply := len(s.asked)
	if refused != nil {
		s.refused = append(s.refused, refused)
	}
	s.mu.Unlock()
	if refused != nil {
		status, body := f.Refuse(refused)
		s.refuse(w, r, status, body)
		return
	}
	if strings.Contains(r.said(), "OVERFLOW") {
		e, form := f.overflow()
		s.refuse(w, r, e.status(), form(e, e.Message))
		return
	}
	breaks := strings.Contains(r.said(), "FAIL")
	t, model := f.say(r), r.word("model")
	if breaks && !r.Stream {
		s.json(w, 500, errorObject(Error{Type: "server_error"}, "The model has failed."))
		return
	}
	if !r.Stream {
		s.json(w, 200, f.whole(t, model, reply))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	frames := f.stream(t, model, reply, r.StreamOptions.IncludeUsage)
	if breaks {
		fault := f.Fault
		if fault == "" {
			fault = `{"error":{"message":"The model has failed.","type":"server_error","param":null,"code":null}}`
		}
		frames = append(frames[:len(f.Habits.Comments)+1], "data: "+fault+"\n\n")
	}
	for _, frame := range frames {
		if _, err := io.WriteString(w, frame); err != nil {
			return
		}
		_ = rc.Flush()
	}
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *Request, status int, body []byte) {
	switch {
	case !s.Late:
		s.json(w, status, body)
	case !r.Stream:
		s.json(w, 200, body)
	default:
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": PROCESSING\n\n")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "data: "+string(body)+"\n\ndata: [DONE]\n\n")
	}
}

// Refuse is the answer to a request that the family refuses.
func (f *Family) Refuse(r *Refused) (status int, body []byte) {
	e, form := r.Rule.Error, f.Errors
	if e.Form != nil {
		form = e.Form
	}
	if strings.Contains(e.Param, "%s") {
		e.Param = strings.ReplaceAll(e.Param, "%s", r.Detail)
	}
	return e.status(), form(e, r.message())
}

// overflow is what the family says when the context is full.
func (f *Family) overflow() (Error, ErrorForm) {
	e := f.Overflow
	if e.Message == "" {
		e = invalid("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.").
			with("", "context_length_exceeded", "messages")
	}
	if e.Form != nil {
		return e, e.Form
	}
	return e, f.Errors
}

// Named finds a family.
func Named(name string) *Family {
	for i := range Families {
		if Families[i].Name == name {
			return &Families[i]
		}
	}
	panic(fmt.Sprintf("zoo: there is no family %q", name))
}

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
