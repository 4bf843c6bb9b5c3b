package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// A server that stops loses nothing that ends in time, and says so to the rest.

// TestDrainFinishes: streams and answers that are being served come to their
// end, and then the server is gone at once.
func TestDrainFinishes(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte(`"stream":true`)) {
			return sseHead + delta("a") + "gate go\n" + delta("b") + finishChunk("stop") + sseDone
		}
		return "gate go\n" + answers("whole")
	})
	r := newRig(t, up.URL())
	idle := r.dial()
	idle.request("GET", "/readyz", "")
	if resp := idle.head(); resp.StatusCode != 200 {
		t.Errorf("ready: %d", resp.StatusCode)
	}
	var streams []*live
	for range 20 {
		l := r.open(streamed)
		l.until("response.output_text.delta")
		streams = append(streams, l)
	}
	whole := r.dial()
	whole.request("POST", "/v1/responses", plain)
	passed := r.dial()
	passed.request("POST", "/v1/chat/completions", streamed)
	passed.head()
	r.until("all requests", func() bool { return up.Count() == 22 })

	r.srv.Drain()
	if got := r.get("/readyz"); got.status != 503 {
		t.Errorf("readiness is %d while draining", got.status)
	}
	if got := r.get("/healthz"); got.status != 200 {
		t.Errorf("health is %d while draining", got.status)
	}
	if got := r.get("/v1/responses/resp_x"); got.status != 404 {
		t.Errorf("requests are answered with %d before the listener closes", got.status)
	}

	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() { stopped <- r.srv.Shutdown(ctx) }()
	r.until("the listener to close", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if !idle.closed() {
		t.Error("an idle connection stays open")
	}
	select {
	case err := <-stopped:
		t.Fatalf("it stopped while requests were being served: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	up.Release("go")
	for _, l := range streams {
		if v := l.rest().response(t); v.Status != "completed" || v.text() != "ab" {
			t.Errorf("%s", v.raw)
		}
	}
	released := time.Now()
	whole.head()
	if v := whole.rest().response(t); v.text() != "whole" {
		t.Errorf("%s", v.raw)
	}
	if whole.resp.Header.Get("Connection") != "close" && !whole.resp.Close {
		t.Error("the client is not told that the connection ends")
	}
	if b := passed.rest().body; !bytes.HasSuffix(b, []byte("data: [DONE]\n\n")) {
		t.Errorf("passed on: %s", b)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if took := time.Since(released); took > 2*time.Second {
		t.Errorf("it took %v after the last stream", took)
	}
	r.once.Do(func() {}) // it has been stopped
	<-r.served
}

// TestDrainDeadline: what is still going on at the deadline is ended with an
// error that a client understands, and it is stored like that.
func TestDrainDeadline(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte("before the head")) {
			return "hold-head"
		}
		return sseHead + delta("a") + "stall"
	})
	r := newRig(t, up.URL())
	mid := r.open(streamed)
	mid.until("response.output_text.delta")
	before := r.dial()
	before.request("POST", "/v1/responses", `{"model":"m","stream":true,"input":"before the head"}`)
	whole := r.dial()
	whole.request("POST", "/v1/responses", `{"model":"m","input":"before the head"}`)
	passed := r.dial()
	passed.request("POST", "/v1/chat/completions", streamed)
	passed.head()
	r.until("all requests", func() bool { return up.Count() == 4 })

	const drain = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	began := time.Now()
	if err := r.srv.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if took := time.Since(began); took < drain || took > drain+2*time.Second {
		t.Errorf("it took %v", took)
	}
	r.once.Do(func() {})
	<-r.served

	v := mid.rest().response(t)
	if v.Status != "failed" || v.text() != "a" || !strings.Contains(v.Error.Message, "shutting down") {
		t.Errorf("the stream ends with %s", v.raw)
	}
	rec, err := r.opt.Store.Get(context.Background(), r.srv.tenants.of([]byte("sk-CANARY-1")), v.ID)
	if err != nil || string(rec.Response) != string(v.raw) {
		t.Errorf("stored: %+v %v", rec, err)
	}
	for _, l := range []*live{before, whole} {
		l.head()
		l.rest().want(t, 503, "server_error")
	}
	if _, err := io.ReadAll(passed.resp.Body); err == nil {
		t.Error("what is passed on ends as if it were whole")
	}
	for _, req := range up.Requests() {
		<-req.Gone
	}
}

// TestDrainSlowClient: a client that does not take what it gets, or does not
// send what it began to, cannot keep the server from stopping.
func TestDrainSlowClient(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+"repeat 10000000 "+delta(strings.Repeat("x", 5000)))
	r := newRig(t, up.URL())
	deaf := r.dial()
	_ = deaf.conn.SetReadBuffer(4096)
	deaf.request("POST", "/v1/responses", streamed)
	mute := r.dial()
	mute.write("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat(" ", 10000))
	silent := r.dial()
	r.until("both", func() bool { return r.srv.InFlight() == 2 })
	up.Next()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_ = r.srv.Shutdown(ctx) // it says that connections are open, and so they are
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, l := range []*live{deaf, mute, silent} {
		_ = l.conn.Close()
	}
	r.once.Do(func() {})
	<-r.served
	r.until("the exchanges to be over", func() bool { return r.srv.InFlight() == 0 })
}

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "antiphon-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "antiphon")
	out, err := exec.Command("go", "build", "-o", path, "github.com/antiphon-proxy/antiphon/cmd/antiphon").CombinedOutput()
	if err != nil {
		err = &buildError{string(out)}
	}
	return path, err
})

type buildError struct{ out string }

func (e *buildError) Error() string { return e.out }

// process is the real program.
type process struct {
	*exec.Cmd
	t      *testing.T
	lines  chan map[string]any
	exited chan error
	addr   string
	admin  string
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, lines: make(chan map[string]any, 1000), exited: make(chan error, 1)}
	p.Cmd = exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s := bufio.NewScanner(out)
		for s.Scan() {
			var m map[string]any
			if json.Unmarshal(s.Bytes(), &m) == nil {
				p.lines <- m
			}
		}
	}()
	go func() { <-read; p.exited <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill(); <-read })
	line := p.line("started")
	p.addr, p.admin = line["listen"].(string), line["admin"].(string)
	return p
}

func (p *process) line(msg string) map[string]any {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-p.lines:
			if m["msg"] == msg {
				return m
			}
		case <-timeout:
			p.t.Fatalf("the program does not say %q", msg)
		}
	}
}

func (p *process) get(addr, path string) int {
	resp, err := http.Get("http://" + addr + path) // a test
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// stream opens a stream and reads its first line.
func (p *process) stream() *bufio.Reader {
	p.t.Helper()
	resp, err := http.Post("http://"+p.addr+"/v1/responses", "application/json", strings.NewReader(streamed)) // a test
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	br := bufio.NewReader(resp.Body)
	if _, err := br.ReadString('\n'); err != nil {
		p.t.Fatal(err)
	}
	return br
}

// TestSignals: the real program. On SIGTERM it is not ready any more, but goes
// on for the delay; then it takes no more connections, lets streams finish, and
// exits. A second signal ends it at once.
func TestSignals(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program")
	}
	config := func(t *testing.T, url, drain string) string {
		path := filepath.Join(t.TempDir(), "c.yaml")
		text := "upstream:\n  url: " + url + "\nshutdown:\n  delay: 2s\n  drain: " + drain + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	defer http.DefaultClient.CloseIdleConnections()

	t.Run("order", func(t *testing.T) {
		up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop")+sseDone)
		p := startProcess(t, "--config", config(t, up.URL(), "10s"))
		if p.get(p.addr, "/readyz") != 200 || p.get(p.admin, "/readyz") != 200 {
			t.Error("not ready")
		}
		br := p.stream()
		_ = p.Process.Signal(syscall.SIGTERM)
		p.line("stopping")
		if p.get(p.addr, "/readyz") != 503 || p.get(p.admin, "/readyz") != 503 || p.get(p.addr, "/healthz") != 200 {
			t.Error("still ready, or not healthy")
		}
		if p.get(p.addr, "/v1/responses/x") != 404 {
			t.Error("requests are not served during the delay")
		}
		for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				break
			}
			_ = c.Close()
			if time.Now().After(limit) {
				t.Fatal("the listener does not close")
			}
		}
		if p.get(p.admin, "/readyz") != 503 {
			t.Error("the admin listener is gone while streams go on")
		}
		up.Release("go")
		rest, err := io.ReadAll(br)
		if err != nil || !bytes.Contains(rest, []byte("event: response.completed")) {
			t.Errorf("the stream was lost: %v %s", err, rest)
		}
		p.line("stopped")
		ended := time.Now()
		if err := <-p.exited; err != nil || time.Since(ended) > time.Second {
			t.Errorf("exit after %v: %v", time.Since(ended), err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		up := upstreamtest.New(t, sseHead+delta("a")+"stall")
		p := startProcess(t, "--config", config(t, up.URL(), "300ms"))
		br := p.stream()
		_ = p.Process.Signal(syscall.SIGTERM)
		began := time.Now()
		rest, err := io.ReadAll(br)
		if err != nil || bytes.Count(rest, []byte("event: response.failed")) != 1 {
			t.Errorf("%v %s", err, rest)
		}
		if err := <-p.exited; err != nil || time.Since(began) > 4*time.Second {
			t.Errorf("exit after %v: %v", time.Since(began), err)
		}
	})
	for name, wait := range map[string]time.Duration{"second signal in the delay": 0, "second signal in the drain": time.Second} {
		t.Run(name, func(t *testing.T) {
			up := upstreamtest.New(t, sseHead+delta("a")+"stall")
			p := startProcess(t, "--config", config(t, up.URL(), "1h"))
			p.stream()
			_ = p.Process.Signal(syscall.SIGTERM)
			p.line("stopping")
			time.Sleep(wait)
			_ = p.Process.Signal(syscall.SIGTERM)
			again := time.Now()
			select {
			case <-p.exited:
				if took := time.Since(again); took > time.Second {
					t.Errorf("it took %v", took)
				}
			case <-time.After(patience):
				t.Error("it does not exit")
			}
		})
	}
}

// TestDrainClosesConnections: while the server is about to stop it answers as
// usual, and every answer says that the connection is not to be used again.
func TestDrainClosesConnections(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte(`"stream":true`)) {
			return sseHead + delta("a") + finishChunk("stop") + sseDone
		}
		return answers("whole")
	})
	r := newRig(t, up.URL())
	for _, draining := range []bool{false, true} {
		if draining {
			r.srv.Drain()
		}
		for _, ask := range [][3]string{
			{"POST", "/v1/responses", plain}, {"POST", "/v1/responses", streamed}, {"POST", "/v1/chat/completions", plain},
			{"GET", "/v1/responses/resp_x", ""}, {"GET", "/healthz", ""}, {"GET", "/nowhere", ""},
		} {
			l := r.dial()
			l.request(ask[0], ask[1], ask[2])
			if resp := l.head(); resp.Close != draining || resp.StatusCode >= 500 {
				t.Errorf("%s %s: status %d, close %v, while draining: %v", ask[0], ask[1], resp.StatusCode, resp.Close, draining)
			}
			_, _ = io.Copy(io.Discard, l.sse)
			if draining && !l.closed() {
				t.Errorf("%s %s: the connection stays open", ask[0], ask[1])
			}
		}
	}
}
