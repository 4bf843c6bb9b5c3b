package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

func TestFailuresOfUpstreamsAreWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		status float64
		words  string
	}{
		"5xx":     {`json 500 {"error":{"message":"The boiler is cold."}}`, 500, "The boiler is cold."},
		"401":     {`json 401 {"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnop"}}`, 401, "Incorrect API key provided: <secret>"},
		"own key": {`json 403 {"error":{"message":"sk-CANARY-1 may not do that"}}`, 403, "may not do that"},
		"4xx":     {`json 400 {"error":{"message":"temperature is too hot for 'CANARY question'"}}`, 400, "temperature is too hot for"},
	} {
		for path, said := range map[string]string{
			"/v1/responses": `"input":"CANARY question"`, "/v1/chat/completions": `"messages":[{"role":"user","content":"CANARY question"}]`,
		} {
			r := newRig(t, upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return test.script }).URL())
			r.do("POST", path, `{"model":"m","temperature":1,`+said+`}`)
			line := r.logged(0)
			if line["level"] != "warn" || line["upstream_status"] != test.status || !strings.Contains(fmt.Sprint(line["upstream_error"]), test.words) ||
				line["upstream_address"] == nil || line["request_id"] == nil {
				t.Errorf("%s, %s: %v", name, path, line)
			}
			r.stop()
		}
	}
	r := newRig(t, "http://127.0.0.1:9")
	for range warnedFailures + 5 {
		r.post(`{"model":"m","input":"x"}`)
	}
	if line := r.logged(0); line["level"] != "warn" || line["upstream_phase"] != "connecting" || line["upstream_address"] != "127.0.0.1:9" {
		t.Errorf("nobody there: %v", line)
	}
	if line := r.logged(warnedFailures + 4); line["level"] != "info" {
		t.Errorf("one of many: %v", line)
	}
	r.get("/v1/nowhere/at/all")
	r.get("/nothing")
	if line := r.logged(warnedFailures + 6); line["path"] != "/nothing" || line["method"] != "GET" {
		t.Errorf("404: %v", line)
	}
	r.post(`{"model":"m","input":"x","temperature":"hot"}`)
	if line := r.logged(warnedFailures + 7); line["param"] != "temperature" {
		t.Errorf("400: %v", line)
	}
	k := newRig(t, "http://127.0.0.1:9", withKeys(t, "alice sk-CANARY-alice\n"))
	k.post(`{}`).want(t, 401, "")
	if line := k.logged(0); !strings.HasPrefix(fmt.Sprint(line["peer"]), "127.0.0.1:") {
		t.Errorf("401: %v", line)
	}
}

func TestWhatTheRequestSaysIsNotLogged(t *testing.T) {
	request := []byte(`{"model":"qwen3-8b","temperature":1,"messages":[{"role":"user","content":"Call Ada at 555-0199 about the boiler room, it is cold today"}]}`)
	for text, want := range map[string]string{
		"The boiler is cold.":                      "The boiler is cold.",
		"cannot parse 'Call Ada at 555-0199'":      "cannot parse '… … at …'",
		"no boiler room here":                      "no … … here",
		"temperature must be at most 2":            "temperature must be at most 2",
		"unknown model qwen3-8b":                   "unknown model qwen3-8b",
		"Context of 8192 tokens is exceeded (Ada)": "Context of 8192 tokens is exceeded (…)",
	} {
		if got := withoutSaid(text, request); got != want {
			t.Errorf("%s became %s, not %s", text, got, want)
		}
	}
}
