package ollama

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// open begins a stream of the endless model and reads until it has some deltas.
func begin(ctx context.Context, t *testing.T, request body) (resp *http.Response, from *bufio.Reader, read []byte) {
	t.Helper()
	resp = send(ctx, t, "POST", byName.url+"/v1/responses", with(request, body{"stream": true}))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	from = bufio.NewReader(resp.Body)
	for deltas := 0; deltas < 10; {
		line, err := from.ReadBytes('\n')
		read = append(read, line...)
		if err != nil {
			t.Fatalf("the stream ends with %v:\n%s", err, tail(read))
		}
		if strings.HasPrefix(string(line), "event: response.output_text.delta") {
			deltas++
		}
	}
	return resp, from, read
}

// stops fails the test unless ollama ends the exchange that is running, soon, and is there for the next. ollama runs one
// request at a time for each model; left alone, the endless one would take minutes.
func stops(t *testing.T, leave func()) {
	t.Helper()
	from := ollama.out.count()
	left := time.Now()
	leave()
	line, _, err := ollama.await(from, `"/v1/chat/completions"`) // written when the exchange is over
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(left)
	t.Logf("ollama stopped after %v: %s", took.Round(time.Millisecond), line)
	if took > 5*time.Second {
		t.Errorf("ollama went on for %v after the client had left", took)
	}
	ask(t, byName, with(greedy(endless, "Hello"), body{"max_output_tokens": 16}))
}

func TestClientLeaves(t *testing.T) {
	t.Run("stream", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin(ctx, t, greedy(endless, "Hello"))
		stops(t, cancel)
	})
	t.Run("json", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := leaver(ctx, t, greedy(endless, "Hello"))
		time.Sleep(500 * time.Millisecond) // long enough for ollama to be in the middle of it
		stops(t, cancel)
		<-done
	})
	t.Run("before the first byte", func(t *testing.T) {
		// The model is busy with another request, so this one waits.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin(ctx, t, greedy(endless, "Hello"))
		queued, leave := context.WithCancel(t.Context())
		defer leave()
		done := leaver(queued, t, with(greedy(endless, "Hello"), body{"stream": true}))
		time.Sleep(300 * time.Millisecond)
		from := ollama.out.count()
		leave()
		<-done
		if _, _, err := ollama.await(from, `"/v1/chat/completions"`); err != nil {
			t.Error(err)
		}
		stops(t, cancel)
	})
}

// leaver sends a request whose answer nobody will read.
func leaver(ctx context.Context, t *testing.T, request body) (done chan struct{}) {
	t.Helper()
	raw, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", byName.url+"/v1/responses", strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	return done
}

// TestRunnerKilled: ollama's runner dies in the middle of an answer. ollama ends its stream as if all were well, only
// without a finish; the client must be told.
func TestRunnerKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, from, read := begin(ctx, t, greedy(endless, "Hello"))
	kill(t)
	rest, err := io.ReadAll(from)
	if err != nil {
		t.Fatalf("the stream is cut off: %v", err)
	}
	raw := append(read, rest...)
	r := streamed(t, raw, resp.Header)
	if r.Status != "failed" || r.Error == nil || r.Error.code() != "server_error" || r.Error.Type == "" {
		t.Errorf("the response is %s, error %+v", r.Status, r.Error)
	}
	terminals := 0
	for _, typ := range []string{"completed", "failed", "incomplete"} {
		terminals += r.count("response." + typ)
	}
	if terminals != 1 || r.count("response.failed") != 1 || r.count("error") != 1 {
		t.Errorf("%d terminal events, %d error events:\n%s", terminals, r.count("error"), tail(raw))
	}
	if !strings.HasPrefix(r.text(), sentence[:20]) {
		t.Errorf("what had been said is %.60q", r.text())
	}
	if v := streamcheck.Stream(raw, streamcheck.Options{}); v != nil {
		t.Errorf("%v", v)
	}
	// The next request gets a new runner, and the failed response cannot be gone on from unnoticed.
	next := stream(t, byName, with(greedy(endless, "Hello"), body{"max_output_tokens": 16}))
	next.want(t, "incomplete", "message")
}

// TestRunnerKilledJSON: the same without a stream is an error of the server.
func TestRunnerKilledJSON(t *testing.T) {
	before := ollama.out.count()
	type reply struct {
		status int
		header http.Header
		raw    []byte
	}
	done := make(chan reply, 1)
	go func() {
		status, header, raw := fetch(t, "POST", byName.url+"/v1/responses", greedy(endless, "Hello"))
		done <- reply{status, header, raw}
	}()
	time.Sleep(500 * time.Millisecond)
	kill(t)
	r := <-done
	e := readError(t, r.status, r.header, r.raw, http.StatusInternalServerError)
	if e.Type != "server_error" {
		t.Errorf("the error is %q, %s", e.Message, e.Type)
	}
	if _, _, err := ollama.await(before, `"/v1/chat/completions"`); err != nil {
		t.Error(err)
	}
	ask(t, byName, with(greedy(endless, "Hello"), body{"max_output_tokens": 16})).want(t, "incomplete", "message")
}

// kill kills all runners: which one has which model is ollama's affair.
func kill(t *testing.T) {
	t.Helper()
	pids := runners()
	if len(pids) == 0 {
		t.Fatal("ollama has no runner")
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("kill %d: %v", pid, err)
		}
	}
}
