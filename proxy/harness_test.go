package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// What all tests of this package do without saying so:
//
//   - every stream that comes back goes through streamcheck, and every response
//     object too;
//   - what is said in bodies and credentials holds the word CANARY, and at the end
//     neither the log (at debug) nor the metrics may hold it;
//   - at the end nothing is in flight, all connections to the upstream have been
//     given back, and the server stops in time;
//   - after the last test no goroutine is left.

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A cache is never closed: see newHistories.
		goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2.(*Cache[...]).processItems"),
		goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2.(*defaultPolicy[...]).processItems"),
		// One for the process: the date header.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.init.0.func1"),
		// It sleeps for ten seconds before it notices that its server is gone.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

const (
	canary    = "CANARY"
	canaryKey = "Bearer sk-CANARY-1"
	patience  = 15 * time.Second // for what should happen at once
)

// setup is what a rig is made of, for options to change.
type setup struct {
	cfg   *config.Config
	opt   Options
	noKey bool // requests have no Authorization of their own
	talks bool // the log may hold what was said
}

// rig is a server that listens, in front of some upstream.
type rig struct {
	*setup
	t      testing.TB
	srv    *Server
	addr   string
	log    *logBuffer
	http   *http.Client
	served chan error
	once   sync.Once
}

func newRig(t testing.TB, upstreamURL string, options ...func(*setup)) *rig {
	t.Helper()
	cfg := config.Default()
	cfg.Upstream.URL = upstreamURL
	cfg.Upstream.Detect = false                    // tests count requests
	cfg.AllowedHosts = []string{"proxy", "x", "h"} // as tests call it that write their requests themselves
	r := &rig{t: t, log: &logBuffer{}, served: make(chan error, 1), setup: &setup{cfg: cfg}}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	r.opt = Options{Config: cfg, Version: "test", Log: zap.New(zapcore.NewCore(enc, zapcore.AddSync(r.log), zap.DebugLevel))}
	for _, o := range options {
		o(r.setup)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if r.opt.Store == nil {
		st := memory.New(memory.Options{MaxBytes: int64(cfg.Store.MaxBytes)})
		r.opt.Store = st
		t.Cleanup(func() { _ = st.Close() })
	}
	var err error
	if r.srv, err = New(r.opt); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.http = &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	go func() { r.served <- r.srv.Serve(ln) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the server, and looks for what it should not have left.
func (r *rig) stop() {
	r.once.Do(func() {
		// A server that is stopped before it has begun to serve never stops serving.
		if resp, err := r.http.Get("http://" + r.addr + "/healthz"); err == nil {
			_ = resp.Body.Close()
		}
		r.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			r.t.Errorf("shutdown: %v", err)
		}
		select {
		case err := <-r.served:
			if err != nil {
				r.t.Errorf("serve: %v", err)
			}
		case <-time.After(patience):
			r.t.Error("Serve does not return")
		}
		r.until("all exchanges to be over", func() bool {
			active, _ := r.srv.router.stats()
			return active == 0 && r.srv.InFlight() == 0 && r.srv.metrics.InFlight.Load() == 0 && r.srv.metrics.Streams.Load() == 0 && r.srv.memory.used.Load() == 0
		})
		if r.talks {
			return
		}
		for _, line := range r.log.lines() {
			if strings.Contains(strings.ToUpper(line), canary) {
				r.t.Errorf("the log holds what was said: %s", line)
			}
		}
		if m := r.metrics(); strings.Contains(strings.ToUpper(m), canary) {
			r.t.Error("the metrics hold what was said")
		}
	})
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			r.t.Errorf("waiting for %s in vain", what)
			return
		}
	}
}

// metrics is what a scrape gets.
func (r *rig) metrics() string {
	rec := httptest.NewRecorder()
	r.srv.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

// metric is the value of one sample, such as antiphon_panics_total.
func (r *rig) metric(sample string) float64 {
	r.t.Helper()
	for line := range strings.Lines(r.metrics()) {
		if v, ok := strings.CutPrefix(line, sample+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return f
		}
	}
	return 0
}

// logBuffer is a log that tests can read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.buf.String()), "\n")
}

// logged waits for the n-th line about an exchange, from 0, and returns it.
func (r *rig) logged(n int) (line map[string]any) {
	r.t.Helper()
	r.until("a line in the log", func() bool {
		i := 0
		for _, text := range r.log.lines() {
			var m map[string]any
			if json.Unmarshal([]byte(text), &m) == nil && m["msg"] == "exchange" {
				if i == n {
					line = m
				}
				i++
			}
		}
		return line != nil
	})
	return line
}

// reply is what a client got.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads the reply to its end. headers are "Name: value".
func (r *rig) do(method, path, body string, headers ...string) *reply {
	r.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	return r.send(method, path, rd, headers...)
}

func (r *rig) send(method, path string, body io.Reader, headers ...string) *reply {
	r.t.Helper()
	got, err := r.try(method, path, body, headers...)
	if err != nil {
		r.t.Errorf("%s %s: %v", method, path, err)
		return &reply{header: http.Header{}}
	}
	return got
}

func (r *rig) try(method, path string, body io.Reader, headers ...string) (*reply, error) {
	req, err := http.NewRequest(method, "http://"+r.addr+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if !r.noKey {
		req.Header.Set("Authorization", canaryKey)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if value = strings.TrimSpace(value); value == "" {
			req.Header.Del(name)
			continue
		}
		req.Header.Set(name, value)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := &reply{status: resp.StatusCode, header: resp.Header}
	if out.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	check(r.t, r.checkOptions(), resp, out.body)
	return out, nil
}

func (r *rig) post(body string, headers ...string) *reply {
	r.t.Helper()
	return r.do("POST", "/v1/responses", body, headers...)
}

func (r *rig) get(path string, headers ...string) *reply {
	r.t.Helper()
	return r.do("GET", path, "", headers...)
}

func (r *rig) checkOptions() streamcheck.Options {
	return streamcheck.Options{OpenResponses: r.cfg.Stream.OpenResponsesNames, AllowDone: r.cfg.Stream.DoneMarker}
}

// ownPath reports whether a path is answered by the server itself.
func ownPath(path string) bool {
	return strings.Contains(path, "/responses") || strings.Contains(path, "/conversations")
}

// check holds a reply against the grammar of the API.
func check(t testing.TB, opt streamcheck.Options, resp *http.Response, body []byte) {
	t.Helper()
	if resp.Request != nil && !ownPath(resp.Request.URL.Path) {
		return
	}
	if resp.StatusCode == 200 && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		if resp.Request != nil {
			if after := resp.Request.URL.Query().Get("starting_after"); after != "" {
				n, _ := strconv.ParseInt(after, 10, 64)
				opt.First = n + 1
				opt.Unfinished = opt.Unfinished || len(body) == 0 // there may be none left
			}
		}
		checkStream(t, opt, body)
		return
	}
	if resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
	var kind struct {
		Object string          `json:"object"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		t.Errorf("status %d: no JSON: %v: %.200q", resp.StatusCode, err, body)
	}
	if kind.Object == "response" && !bytes.Contains(body, []byte(`"deleted":true`)) {
		for _, v := range streamcheck.Response(body) {
			t.Error(v)
		}
	}
	if resp.StatusCode >= 400 {
		checkError(t, body)
	}
	if resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("status %d: no X-Request-Id", resp.StatusCode)
	}
}

func checkStream(t testing.TB, opt streamcheck.Options, body []byte) {
	t.Helper()
	bad := streamcheck.Stream(body, opt)
	for _, v := range bad {
		// An event that only says that the stream lives is not the grammar's, but
		// clients take it, and an operator has asked for it.
		if v.Type != "keepalive" || v.Rule != streamcheck.EventType {
			t.Error(v)
		}
	}
	if len(bad) > 0 || opt.Unfinished || opt.First > 0 {
		return
	}
	f, err := streamcheck.Fold(body, opt)
	if err != nil {
		t.Errorf("fold: %v", err)
		return
	}
	var a, b any
	_ = json.Unmarshal(f.Response, &a)
	_ = json.Unmarshal(f.Terminal, &b)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the events add up to another response:\n%s\n%s", f.Response, f.Terminal)
	}
}

// checkError holds an error body against its shape: four keys, all there.
func checkError(t testing.TB, body []byte) {
	t.Helper()
	var env map[string]map[string]any
	if err := json.Unmarshal(body, &env); err != nil || len(env) != 1 || len(env["error"]) != 4 {
		t.Errorf("not an error of the API: %.300s", body)
		return
	}
	for _, key := range []string{"message", "type", "param", "code"} {
		v, ok := env["error"][key]
		if _, isString := v.(string); !ok || !isString && (v != nil || key == "message" || key == "type") {
			t.Errorf("error.%s is %v in %.300s", key, v, body)
		}
	}
}

// apiError is an error body.
type apiError struct{ Message, Type, Param, Code string }

func (p *reply) err() (e apiError) {
	var env struct{ Error apiError }
	_ = json.Unmarshal(p.body, &env)
	return env.Error
}

// want checks the status, and the code of an error ("" is null).
func (p *reply) want(t testing.TB, status int, code string) {
	t.Helper()
	if p.status != status || p.err().Code != code {
		t.Errorf("got %d %q, want %d %q: %.400s", p.status, p.err().Code, status, code, p.body)
	}
}

// response is a response object, as far as tests look at it.
type response struct {
	ID       string
	Status   string
	Store    bool
	Previous string `json:"previous_response_id"`
	Error    *apiError
	Details  *struct{ Reason string } `json:"incomplete_details"`
	Output   []struct {
		ID, Type, Status, Name, Arguments string
		CallID                            string `json:"call_id"`
		Content                           []struct{ Type, Text string }
	}
	Usage *struct {
		Input  int64 `json:"input_tokens"`
		Output int64 `json:"output_tokens"`
	}
	raw []byte
}

func (v *response) text() string {
	var b strings.Builder
	for _, item := range v.Output {
		for _, part := range item.Content {
			b.WriteString(part.Text)
		}
	}
	return b.String()
}

// response is the response in a reply: its body, or that of its last event.
func (p *reply) response(t testing.TB) (v response) {
	t.Helper()
	v.raw = p.body
	if strings.HasPrefix(p.header.Get("Content-Type"), "text/event-stream") {
		v.raw = nil
		for _, e := range eventsIn(p.body) {
			var wrapped struct{ Response json.RawMessage }
			if _ = json.Unmarshal([]byte(e.data), &wrapped); wrapped.Response != nil {
				v.raw = wrapped.Response
			}
		}
	}
	raw := v.raw
	if err := json.Unmarshal(v.raw, &v); err != nil || v.ID == "" {
		t.Fatalf("no response: %d %v: %.400s", p.status, err, p.body)
	}
	v.raw = raw
	return v
}

type event struct{ name, data string }

func eventsIn(stream []byte) (events []event) {
	var e event
	for line := range strings.Lines(string(stream)) {
		line = strings.TrimSuffix(line, "\n")
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			e.name = v
		} else if v, ok := strings.CutPrefix(line, "data: "); ok {
			e.data = v
		} else if line == "" && e.data != "" {
			events = append(events, e)
			e = event{}
		}
	}
	return events
}

func names(events []event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(strings.TrimPrefix(e.name, "response."))
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

// live is an exchange over a connection of its own, read bit by bit.
type live struct {
	r    *rig
	t    testing.TB
	conn *net.TCPConn
	br   *bufio.Reader
	resp *http.Response
	seen bytes.Buffer
	sse  *bufio.Reader
	path string
}

// dial connects without saying anything yet.
func (r *rig) dial() *live {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(4 * patience))
	return &live{r: r, t: r.t, conn: nc.(*net.TCPConn), br: bufio.NewReader(nc)}
}

func (l *live) write(s string) {
	l.t.Helper()
	if _, err := io.WriteString(l.conn, s); err != nil {
		l.t.Errorf("writing: %v", err)
	}
}

// request writes a request with a body.
func (l *live) request(method, path, body string, headers ...string) {
	l.t.Helper()
	h := ""
	for _, line := range headers {
		h += line + "\r\n"
	}
	l.path = path
	l.write(method + " " + path + " HTTP/1.1\r\nHost: proxy\r\nAuthorization: " + canaryKey + "\r\nContent-Type: application/json\r\n" + h +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// head reads the head of the reply.
func (l *live) head() *http.Response {
	l.t.Helper()
	resp, err := http.ReadResponse(l.br, nil)
	if err != nil {
		l.t.Fatalf("reading the head: %v", err)
	}
	l.resp = resp
	l.sse = bufio.NewReader(io.TeeReader(resp.Body, &l.seen))
	return resp
}

// open posts a request to /responses, and reads the head of the reply.
func (r *rig) open(body string, headers ...string) *live {
	r.t.Helper()
	l := r.dial()
	l.request("POST", "/v1/responses", body, headers...)
	l.head()
	if l.resp.StatusCode != 200 {
		b, _ := io.ReadAll(l.resp.Body)
		r.t.Fatalf("status %d: %s", l.resp.StatusCode, b)
	}
	return l
}

// next reads the next event, or comment.
func (l *live) next() (e event) {
	l.t.Helper()
	for {
		line, err := l.sse.ReadString('\n')
		if err != nil {
			l.t.Fatalf("the stream ends: %v after %s", err, l.seen.Bytes())
		}
		line = strings.TrimSuffix(line, "\n")
		switch v, comment := strings.CutPrefix(line, ":"); {
		case comment:
			return event{name: ":", data: v}
		case line == "" && e.data != "":
			return e
		}
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			e.name = v
		} else if v, ok := strings.CutPrefix(line, "data: "); ok {
			e.data = v
		}
	}
}

// until reads up to an event with that name.
func (l *live) until(name string) (e event) {
	l.t.Helper()
	for e.name != name {
		e = l.next()
	}
	return e
}

// rest reads to the end, and checks the whole.
func (l *live) rest() *reply {
	l.t.Helper()
	if _, err := io.Copy(io.Discard, l.sse); err != nil {
		l.t.Errorf("reading to the end: %v", err)
	}
	if strings.Contains(l.path, "/responses") {
		check(l.t, l.r.checkOptions(), l.resp, l.seen.Bytes())
	}
	return &reply{status: l.resp.StatusCode, header: l.resp.Header, body: l.seen.Bytes()}
}

// partly checks what has come so far of a stream that will not be read further.
func (l *live) partly() {
	l.t.Helper()
	opt := l.r.checkOptions()
	opt.Unfinished = true
	whole := l.seen.Bytes()
	if i := bytes.LastIndex(whole, []byte("\n\n")); i >= 0 {
		checkStream(l.t, opt, whole[:i+2])
	}
}

// closed reports whether the server has closed the connection, waiting for it.
func (l *live) closed() bool {
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, l.br)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

// Scripts for the upstream.

const (
	sseHead = "head 200 text/event-stream\n"
	sseDone = "chunk data: [DONE]\n"
)

// delta is a chunk of text.
func delta(text string) string {
	b, _ := json.Marshal(text)
	return `chunk data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[{"index":0,"delta":{"content":` +
		string(b) + `},"finish_reason":null}]}` + "\n"
}

// callChunk is a chunk with a whole tool call of some index.
func callChunk(index int) string {
	return fmt.Sprintf(`chunk data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"call_%d","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":null}]}`+"\n", index, index)
}

// finishChunk is the chunk that ends a reply, with usage.
func finishChunk(reason string) string {
	return `chunk data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[{"index":0,"delta":{},"finish_reason":"` +
		reason + `"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}` + "\n"
}

// streams is the script of a whole stream.
func streams(words ...string) string {
	s := sseHead
	for _, w := range words {
		s += delta(w)
	}
	return s + finishChunk("stop") + sseDone
}

// completion is a whole answer.
func completion(text string) string {
	b, _ := json.Marshal(text)
	return `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"up-model","choices":[{"index":0,"message":{"role":"assistant","content":` +
		string(b) + `},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`
}

func answers(text string) string { return "json 200 " + completion(text) + "\n" }

// answer answers as the request asks: a stream or not.
func answer(text string) func(*upstreamtest.Request) string {
	return func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte(`"stream":true`)) {
			return streams(text)
		}
		return answers(text)
	}
}

// echoes answers with the last message of the request.
func echoes(req *upstreamtest.Request) string {
	var chat struct{ Messages []struct{ Content any } }
	_ = json.Unmarshal(req.Body, &chat)
	text := "nothing"
	if n := len(chat.Messages); n > 0 {
		text = fmt.Sprint(chat.Messages[n-1].Content)
	}
	return answer("echo of " + text)(req)
}

func newEcho(t testing.TB) *upstreamtest.Server { return upstreamtest.NewFunc(t, 0, echoes) }

const (
	streamed = `{"model":"m","stream":true,"input":"CANARY question"}`
	plain    = `{"model":"m","input":"CANARY question"}`
)

// faultyStore is a store that fails, blocks or panics when told to.
type faultyStore struct {
	store.Store
	mu    sync.Mutex
	fault func(op string) error // nil: none
}

func (f *faultyStore) set(fault func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *faultyStore) check(op string) error {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op)
}

func (f *faultyStore) Put(ctx context.Context, rec *store.Record) error {
	if err := f.check("put"); err != nil {
		return err
	}
	return f.Store.Put(ctx, rec)
}

func (f *faultyStore) Get(ctx context.Context, tenant, id string) (*store.Record, error) {
	if err := f.check("get"); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, tenant, id)
}

func (f *faultyStore) Chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	if err := f.check("chain"); err != nil {
		return nil, err
	}
	return f.Store.Chain(ctx, tenant, id)
}

func (f *faultyStore) Item(ctx context.Context, tenant, id string) (*store.Record, error) {
	if err := f.check("item"); err != nil {
		return nil, err
	}
	return f.Store.Item(ctx, tenant, id)
}

func (f *faultyStore) Delete(ctx context.Context, tenant, id string) error {
	if err := f.check("delete"); err != nil {
		return err
	}
	return f.Store.Delete(ctx, tenant, id)
}

func (f *faultyStore) Epoch(ctx context.Context, tenant string) (uint64, error) {
	if err := f.check("epoch"); err != nil {
		return 0, err
	}
	return f.Store.Epoch(ctx, tenant)
}

func (f *faultyStore) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	if err := f.check("commit"); err != nil {
		return err
	}
	return f.Store.Commit(ctx, tenant, b)
}

func (f *faultyStore) Doc(ctx context.Context, tenant, kind, key string) (*store.Doc, error) {
	if err := f.check("doc"); err != nil {
		return nil, err
	}
	return f.Store.Doc(ctx, tenant, kind, key)
}

func (f *faultyStore) Docs(ctx context.Context, tenant, kind string, page store.Page) ([]*store.Doc, bool, error) {
	if err := f.check("docs"); err != nil {
		return nil, false, err
	}
	return f.Store.Docs(ctx, tenant, kind, page)
}

func (f *faultyStore) Entry(ctx context.Context, tenant, log, key string) (*store.Entry, error) {
	if err := f.check("entry"); err != nil {
		return nil, err
	}
	return f.Store.Entry(ctx, tenant, log, key)
}

func (f *faultyStore) Entries(ctx context.Context, tenant, log string, page store.Page) ([]store.Entry, bool, error) {
	if err := f.check("entries"); err != nil {
		return nil, false, err
	}
	return f.Store.Entries(ctx, tenant, log, page)
}

func newFaultyStore(t testing.TB) *faultyStore {
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	return &faultyStore{Store: st}
}
