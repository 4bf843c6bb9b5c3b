package openaigo

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

// inBackground makes the parameters of a background response.
func inBackground(text string) responses.ResponseNewParams {
	params := ask(text)
	params.Background = openai.Bool(true)
	return params
}

// ended polls until a response has ended.
func ended(t *testing.T, c openai.Client, id string) *responses.Response {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		r, err := c.Responses.Get(within(t), id, responses.ResponseGetParams{})
		if err != nil {
			t.Fatal(explain(err))
		}
		if r.Status != responses.ResponseStatusQueued && r.Status != responses.ResponseStatusInProgress {
			return r
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("it is still %s", r.Status)
		}
	}
}

// slowly is a model that takes its time.
func slowly(replies int) (script fakemodel.Script) {
	for range replies {
		script.Replies = append(script.Replies, fakemodel.Reply{Text: "one two three four five six seven", GapMS: 60})
	}
	return script
}

// some reads so many events of a stream and leaves it.
func some(t *testing.T, s *ssestream.Stream[responses.ResponseStreamEventUnion], n int) (id string, last int64) {
	t.Helper()
	for range n {
		if !s.Next() {
			t.Fatal("the stream ends: ", s.Err())
		}
		e := s.Current()
		last = e.SequenceNumber
		if e.Response.ID != "" {
			id = e.Response.ID
		}
	}
	_ = s.Close()
	return id, last
}

func TestBackground(t *testing.T) {
	_, c := play(t, slowly(3))
	r := create(t, c, inBackground("poll"))
	if r.Status != responses.ResponseStatusQueued {
		t.Errorf("it is %s", r.Status)
	}
	if r = ended(t, c, r.ID); r.OutputText() != "one two three four five six seven" {
		t.Errorf("%s", r.RawJSON())
	}

	id, last := some(t, c.Responses.NewStreaming(within(t), inBackground("stream")), 7)
	rest := mustEndFrom(t, c.Responses.GetStreaming(within(t), id, responses.ResponseGetParams{StartingAfter: openai.Int(last)}), last+1)
	if rest != "one two three four five six seven" {
		t.Errorf("it ends with %q", rest)
	}

	id, _ = some(t, c.Responses.NewStreaming(within(t), inBackground("cancel")), 7)
	cancelled, err := c.Responses.Cancel(within(t), id)
	if err != nil {
		t.Fatal(explain(err))
	}
	if cancelled.Status != responses.ResponseStatusCancelled {
		t.Errorf("it is %s", cancelled.Status)
	}
	if again, err := c.Responses.Cancel(within(t), id); err != nil || again.RawJSON() != cancelled.RawJSON() {
		t.Errorf("again: %v", err)
	}
}

// mustEndFrom reads a stream that begins at some event to its end, and returns
// the text of the response.
func mustEndFrom(t *testing.T, s *ssestream.Stream[responses.ResponseStreamEventUnion], first int64) (text string) {
	t.Helper()
	for s.Next() {
		e := s.Current()
		if e.SequenceNumber != first {
			t.Fatalf("event %d is %d", first, e.SequenceNumber)
		}
		first++
		if e.Type == "response.completed" {
			text = e.Response.OutputText()
		}
	}
	if s.Err() != nil {
		t.Fatal(explain(s.Err()))
	}
	return text
}

// TestBackgroundOwnerKilled: whatever was being made by a process that is killed
// ends as failed, once, for every replica; what it had queued is made by another.
func TestBackgroundOwnerKilled(t *testing.T) {
	server := redisServer(t)
	config := filepath.Join(t.TempDir(), "antiphon.yml")
	if err := os.WriteFile(config, []byte("background:\n  lease: 1s\n  workers: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const cycles = 4
	s, c := play(t, slowly(3*cycles), "--store", server.URL(), "--config", config)
	for n := range cycles {
		p, err := harness.StartProcess(s.Model.URL, nil, "--store", server.URL(), "--config", config)
		if err != nil {
			t.Fatal(err)
		}
		other := newClient(t, "http://"+p.Addr+"/v1", option.WithMaxRetries(0))
		id, last := some(t, other.Responses.NewStreaming(within(t), inBackground("lost")), 6+n)
		waits := create(t, other, inBackground("waits")).ID
		p.Kill()
		began := time.Now()
		r := ended(t, c, id)
		if took := time.Since(began); r.Status != responses.ResponseStatusFailed || took > 10*time.Second {
			t.Errorf("after %v it is %s", took, r.RawJSON())
		}
		if r.Error.Code != "server_error" {
			t.Errorf("the error is %s", r.RawJSON())
		}
		// Whoever was there is told, wherever it goes on.
		rest := c.Responses.GetStreaming(within(t), id, responses.ResponseGetParams{StartingAfter: openai.Int(last)})
		told := false
		for rest.Next() {
			if rest.Current().Type == "response.completed" {
				t.Error("it was completed")
			}
			told = told || rest.Current().Type == "response.failed"
		}
		var failed *ssestream.StreamError // of the error event before it
		if !told && !errors.As(rest.Err(), &failed) {
			t.Errorf("the stream ends with %v", rest.Err())
		}
		if r := ended(t, c, waits); r.Status != responses.ResponseStatusCompleted {
			t.Errorf("what waited is %s", r.RawJSON())
		}
		if again := ended(t, c, id); again.RawJSON() != r.RawJSON() {
			t.Errorf("it was\n%s\nand is\n%s", r.RawJSON(), again.RawJSON())
		}
	}
}

// TestBackgroundRestart: a process that is killed and started again on its file
// has all that it had: what was queued is made, what was being made has failed,
// and what was completed can be read, and its stream too.
func TestBackgroundRestart(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "antiphon.yml")
	if err := os.WriteFile(config, []byte("background:\n  lease: 1s\n  workers: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--store", "bolt:" + filepath.Join(dir, "state.db"), "--config", config}
	s, _ := play(t, slowly(4))
	start := func() (*harness.Process, openai.Client) {
		p, err := harness.StartProcess(s.Model.URL, nil, flags...)
		if err != nil {
			t.Fatal(err)
		}
		return p, newClient(t, "http://"+p.Addr+"/v1", option.WithMaxRetries(0))
	}
	p, c := start()
	done := mustEnd(t, c.Responses.NewStreaming(within(t), inBackground("done"))).final
	lost, _ := some(t, c.Responses.NewStreaming(within(t), inBackground("lost")), 7)
	waits := create(t, c, inBackground("waits")).ID
	p.Kill()
	p, c = start()
	defer func() {
		for _, fault := range p.Stop() {
			t.Error(fault)
		}
	}()
	if r := ended(t, c, done.ID); r.RawJSON() != done.RawJSON() {
		t.Errorf("it was\n%s\nand is\n%s", done.RawJSON(), r.RawJSON())
	}
	if text := mustEndFrom(t, c.Responses.GetStreaming(within(t), done.ID, responses.ResponseGetParams{}), 0); text != done.OutputText() {
		t.Errorf("the stream ends with %q", text)
	}
	if r := ended(t, c, waits); r.Status != responses.ResponseStatusCompleted {
		t.Errorf("what waited is %s", r.RawJSON())
	}
	if r := ended(t, c, lost); r.Status != responses.ResponseStatusFailed {
		t.Errorf("what was being made is %s", r.RawJSON())
	}
}
