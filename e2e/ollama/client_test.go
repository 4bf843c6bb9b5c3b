package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// body is a request's JSON, list an array in it.
type (
	body = map[string]any
	list = []any
)

// with is a request with more members.
func with(base body, more body) body {
	out := body{}
	for _, m := range []body{base, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// response is a response object, with what came with it.
type response struct {
	ID                 string
	Status             string
	Model              string
	Store              bool
	PreviousResponseID *string `json:"previous_response_id"`
	Output             []item
	Usage              *struct {
		Input   int `json:"input_tokens"`
		Output  int `json:"output_tokens"`
		Total   int `json:"total_tokens"`
		Details struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
	}
	Error      *apiError
	Incomplete *struct{ Reason string } `json:"incomplete_details"`

	raw    []byte
	header http.Header
	events []event // of a stream
}

type item struct {
	ID, Type, Status, Role, Name, Arguments string
	CallID                                  string `json:"call_id"`
	Content, Summary                        []part

	raw json.RawMessage
}

func (i *item) UnmarshalJSON(raw []byte) error {
	type plain item
	i.raw = bytes.Clone(raw)
	return json.Unmarshal(raw, (*plain)(i))
}

type part struct {
	Type, Text string
	Logprobs   []struct {
		Token   string
		Logprob float64
		Bytes   []int
		Top     []struct {
			Token   string
			Logprob float64
		} `json:"top_logprobs"`
	}
}

type apiError struct {
	Message, Type string
	Param, Code   *string

	status int
}

type event struct {
	Type  string
	Delta string
	raw   []byte
}

// text is what the response says, as the SDKs' output_text.
func (r *response) text() string {
	var b strings.Builder
	for _, i := range r.Output {
		if i.Type == "message" {
			b.WriteString(join(i.Content))
		}
	}
	return b.String()
}

func join(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// items are the items of a type.
func (r *response) items(typ string) (found []item) {
	for _, i := range r.Output {
		if i.Type == typ {
			found = append(found, i)
		}
	}
	return found
}

// types are the types of the items.
func (r *response) types() (list []string) {
	for _, i := range r.Output {
		list = append(list, i.Type)
	}
	return list
}

// replay are the output items as input of the next request.
func (r *response) replay() (input list) {
	for _, i := range r.Output {
		input = append(input, i.raw)
	}
	return input
}

// count is the number of events of a type.
func (r *response) count(typ string) (n int) {
	for _, e := range r.events {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// loss is the antiphon-loss header.
func (r *response) loss() string { return r.header.Get("Antiphon-Loss") }

// send sends a request and returns the reply, whose body the caller reads. A nil request has no body.
func send(ctx context.Context, t *testing.T, method, url string, request any) *http.Response {
	t.Helper()
	var from io.Reader
	if request != nil {
		raw, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		from = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, from)
	if err != nil {
		t.Fatal(err)
	}
	if request != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// fetch sends a request and reads the whole reply.
func fetch(t *testing.T, method, url string, request any) (status int, header http.Header, raw []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp := send(ctx, t, method, url, request)
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the reply: %v\n%s", method, url, err, tail(raw))
	}
	return resp.StatusCode, resp.Header, raw
}

// ask creates a response without a stream.
func ask(t *testing.T, p proxy, request body) *response {
	t.Helper()
	status, header, raw := fetch(t, "POST", p.url+"/v1/responses", request)
	if status != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", status, raw)
	}
	return object(t, raw, header)
}

// object reads a response object, and checks it.
func object(t *testing.T, raw []byte, header http.Header) *response {
	t.Helper()
	for _, v := range streamcheck.Response(raw) {
		t.Errorf("the response object: %v", v)
	}
	r := &response{raw: raw, header: header}
	if err := json.Unmarshal(raw, r); err != nil {
		t.Fatalf("the response object: %v\n%s", err, raw)
	}
	return r
}

// stream creates a response with a stream.
func stream(t *testing.T, p proxy, request body) *response {
	t.Helper()
	status, header, raw := fetch(t, "POST", p.url+"/v1/responses", with(request, body{"stream": true}))
	if status != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", status, raw)
	}
	return streamed(t, raw, header)
}

// streamed reads a whole event stream, and checks it.
func streamed(t *testing.T, raw []byte, header http.Header) *response {
	t.Helper()
	if got := header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Errorf("the stream's content type is %q", got)
	}
	violations := streamcheck.Stream(raw, streamcheck.Options{})
	for _, v := range violations {
		t.Error(v)
	}
	if violations != nil {
		t.Fatalf("the stream:\n%s", tail(raw))
	}
	folded, err := streamcheck.Fold(raw, streamcheck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !same(t, folded.Response, folded.Terminal) {
		t.Errorf("the events add up to\n%s\nand the last one says\n%s", folded.Response, folded.Terminal)
	}
	r := object(t, folded.Terminal, header)
	r.events = events(t, raw)
	return r
}

// events are the events of a stream that has been checked.
func events(t *testing.T, raw []byte) (list []event) {
	t.Helper()
	for line := range bytes.Lines(raw) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		e := event{raw: bytes.TrimSpace(data)}
		_ = json.Unmarshal(data, &e) // a delta may be an object
		list = append(list, e)
	}
	return list
}

// refuse sends a request that must get an error.
func refuse(t *testing.T, p proxy, request body, status int) apiError {
	t.Helper()
	got, header, raw := fetch(t, "POST", p.url+"/v1/responses", request)
	return readError(t, got, header, raw, status)
}

func readError(t *testing.T, got int, header http.Header, raw []byte, status int) apiError {
	t.Helper()
	if got != status {
		t.Fatalf("status %d, want %d: %s", got, status, tail(raw))
	}
	if typ := header.Get("Content-Type"); typ != "application/json" {
		t.Errorf("the error's content type is %q", typ)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatalf("the error: %v\n%s", err, raw)
	}
	for _, key := range []string{"message", "type", "param", "code"} {
		if _, ok := all["error"][key]; !ok {
			t.Errorf("the error has no %s: %s", key, raw)
		}
	}
	var e struct{ Error apiError }
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	e.Error.status = got
	return e.Error
}

// code is an error's code, "" for null.
func (e apiError) code() string {
	if e.Code == nil {
		return ""
	}
	return *e.Code
}

// param is an error's param, "" for null.
func (e apiError) param() string {
	if e.Param == nil {
		return ""
	}
	return *e.Param
}

// chat asks ollama itself, without antiphon.
func chat(t *testing.T, request body) (text string, promptTokens int) {
	t.Helper()
	status, _, raw := fetch(t, "POST", direct+"/v1/chat/completions", request)
	var reply struct {
		Choices []struct{ Message struct{ Content string } }
		Usage   struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	if err := json.Unmarshal(raw, &reply); err != nil || status != http.StatusOK || len(reply.Choices) == 0 {
		t.Fatalf("ollama itself: status %d, %v: %s", status, err, raw)
	}
	return reply.Choices[0].Message.Content, reply.Usage.Prompt
}

// same reports whether two JSON texts mean the same.
func same(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("%v: %s", err, a)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return reflect.DeepEqual(x, y)
}

func tail(raw []byte) string {
	const most = 3000
	if len(raw) > most {
		return "…" + string(raw[len(raw)-most:])
	}
	return string(raw)
}

// both runs a test without and with a stream: what holds for one must hold for the other.
func both(t *testing.T, f func(t *testing.T, create func(*testing.T, proxy, body) *response)) {
	t.Helper()
	t.Run("json", func(t *testing.T) { f(t, ask) })
	t.Run("stream", func(t *testing.T) { f(t, stream) })
}

// want fails the test when a response has not ended like this.
func (r *response) want(t *testing.T, status string, types ...string) {
	t.Helper()
	if r.Status != status {
		t.Fatalf("the response is %s, want %s: %s", r.Status, status, r.raw)
	}
	if got := r.types(); !slices.Equal(got, types) {
		t.Fatalf("the items are %v, want %v: %s", got, types, r.raw)
	}
}

// greedy is a request whose answer is always the same.
func greedy(model string, input any) body {
	return body{"model": model, "input": input, "temperature": 0}
}

// user is a message of the user, as an item and as a message of the chat API.
func user(text string) body { return body{"role": "user", "content": text} }

// page is a list of items.
type page struct {
	Object  string
	Data    []item
	FirstID string `json:"first_id"`
	LastID  string `json:"last_id"`
	HasMore bool   `json:"has_more"`
}

func inputItems(t *testing.T, url string) (p page) {
	t.Helper()
	status, _, raw := fetch(t, "GET", url, nil)
	if err := json.Unmarshal(raw, &p); err != nil || status != http.StatusOK || p.Object != "list" {
		t.Fatalf("%s: status %d, %v: %s", url, status, err, raw)
	}
	if n := len(p.Data); n > 0 && (p.FirstID != p.Data[0].ID || p.LastID != p.Data[n-1].ID) {
		t.Errorf("%s: first_id and last_id are not those of the items: %s", url, raw)
	}
	return p
}
