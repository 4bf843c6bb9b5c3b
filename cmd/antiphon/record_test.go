package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

const (
	recordedStream = `head 200 text/event-stream
chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"The secret is 8642097531"},"finish_reason":null}]}
chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"city\":\"Par"}}]},"finish_reason":null}]}
chunk data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"is\",\"ok\":true}"}}]},"finish_reason":"tool_calls"}]}
chunk data: [DONE]
`
	recordedWhole = `json 200 {"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello Ada"},"finish_reason":"stop"}]}`
)

// TestRecordReplay: what was exchanged is in a file without any credential, and
// comes out of it again: offline as it was, and against a backend anew.
func TestRecordReplay(t *testing.T) {
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		switch {
		case strings.Contains(string(req.Body), `"stream":true`):
			return recordedStream
		case strings.Contains(string(req.Body), "too much"):
			return `json 413 {"error":{"message":"too large"}}`
		}
		return recordedWhole
	})
	for _, redact := range []bool{false, true} {
		dir := t.TempDir()
		cfg := config.Default()
		cfg.Listen, cfg.Upstream.URL = "127.0.0.1:0", up.URL()
		cfg.Upstream.Models = map[string]string{"small": "m"}
		var err error
		if cfg.Upstream.Overrides, err = config.ParseOverrides("test", "max_tokens_field: max_completion_tokens"); err != nil {
			t.Fatal(err)
		}
		stop, started := make(chan os.Signal, 1), make(chan net.Addr, 1)
		ended := make(chan error, 1)
		go func() {
			ended <- serve(cfg, io.Discard, stop, func(a net.Addr) { started <- a }, func(r *proxy.Recording) {
				if redact {
					redactRecording(r)
				}
				if err := os.WriteFile(filepath.Join(dir, r.RequestID+".txtar"), formatRecording(r), 0o600); err != nil {
					t.Error(err)
				}
			})
		}()
		base := "http://" + (<-started).String()
		ask := func(id, path, body string) string {
			req, _ := http.NewRequest("POST", base+path, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer sk-SECRET")
			req.Header.Set("X-Request-Id", id)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			out, _ := io.ReadAll(resp.Body)
			return string(out)
		}
		first := ask("one", "/v1/responses", `{"model":"small","input":"My name is Ada","max_output_tokens":50}`)
		var made struct{ ID string }
		if err := json.Unmarshal([]byte(first), &made); err != nil {
			t.Fatal(err)
		}
		streamed := ask("two", "/v1/responses", `{"model":"small","stream":true,"input":"And where?","previous_response_id":"`+made.ID+`","tools":[{"type":"function","name":"f"}]}`)
		ask("three", "/v1/responses", `{"model":"m","input":"too much"}`)
		stop <- syscall.SIGTERM
		if err := <-ended; err != nil {
			t.Fatal(err)
		}

		for _, name := range []string{"one", "two", "three"} {
			path := filepath.Join(dir, name+".txtar")
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(file, []byte("SECRET")) {
				t.Errorf("%s has the key", name)
			}
			for _, said := range []string{"Ada", "secret", "Paris", "8642097531", "where"} {
				if redact && bytes.Contains(file, []byte(said)) {
					t.Errorf("%s has %q:\n%s", name, said, file)
				}
			}
			var out, errs bytes.Buffer
			if code := run([]string{"replay", path}, &out, &errs); code != exitOK {
				t.Errorf("%s: exit %d: %s", name, code, errs.String())
			}
			switch name {
			case "one":
				if !strings.Contains(out.String(), `"max_completion_tokens": 50`) || !strings.Contains(out.String(), `"model": "m"`) {
					t.Errorf("%s:\n%s", name, out.String())
				}
			case "two":
				// The conversation is there, and the calls arguments are JSON.
				if strings.Count(out.String(), `"role": "user"`) != 2 || !strings.Contains(out.String(), "event: response.completed") {
					t.Errorf("%s:\n%s", name, out.String())
				}
				want := `{\"city\":\"Paris\",\"ok\":true}`
				if redact {
					want = `{\"xxxx\":\"xxxxx\",\"xx\":true}`
				}
				if !strings.Contains(out.String(), want) || !redact && !strings.Contains(streamed, want) {
					t.Errorf("%s: no %s in\n%s", name, want, out.String())
				}
			case "three":
				if !strings.Contains(out.String(), "413") {
					t.Errorf("%s:\n%s", name, out.String())
				}
			}
		}
		for _, path := range []string{"", "/v1", "/v1/chat/completions"} {
			var out, errs bytes.Buffer
			asked := up.Count()
			if code := run([]string{"replay", "--against", up.URL() + path, filepath.Join(dir, "one.txtar")}, &out, &errs); code != exitOK || up.Count() != asked+1 {
				t.Errorf("%s: exit %d: %s", path, code, errs.String())
			}
			if !strings.Contains(out.String(), "Hello Ada") {
				t.Errorf("%s", out.String())
			}
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{"replay"}, &out, &errs); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	if code := run([]string{"replay", "record_test.go"}, &out, &errs); code != exitError {
		t.Errorf("exit %d", code)
	}
}

// TestRedactNames: who speaks is nobody's business, what is called is needed.
func TestRedactNames(t *testing.T) {
	r := &proxy.Recording{Chat: true, Client: []byte(`{"model":"m","messages":[{"name":"Ada","role":"user","content":"Hi"},` +
		`{"role":"assistant","content":null,"function_call":{"name":"look","arguments":"{}"}},{"role":"function","name":"look","content":"1"}]}`)}
	redactRecording(r)
	want := `{"model":"m","messages":[{"name":"xxx","role":"user","content":"xx"},` +
		`{"role":"assistant","content":null,"function_call":{"name":"look","arguments":"{}"}},{"role":"function","name":"look","content":"0"}]}`
	if string(r.Client) != want {
		t.Errorf("%s", r.Client)
	}
}
