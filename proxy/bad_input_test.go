package proxy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// badInput is a body of POST /responses that is no request, and the error that
// says so. Faults of single members, which are many, have their tests in package
// translate; here is what might hurt a server.
type badInput struct {
	name   string
	body   string
	status int
	code   string // "" is null
	param  string // "" is null
}

func badInputs() []badInput {
	const valid = `{"model":"m","input":"x"}`
	with := func(member string) string { return valid[:len(valid)-1] + "," + member + "}" }
	input := func(items string) string { return `{"model":"m","input":` + items + `}` }
	deep := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	numbered := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	syntax := func(name, body string) badInput { return badInput{name, body, 400, "", ""} }
	fault := func(name, body, code, param string) badInput { return badInput{name, body, 400, code, param} }
	return []badInput{
		// No JSON.
		syntax("nothing", ""),
		syntax("blanks", " \r\n\t "),
		syntax("half an object", `{"model":"m","input":"x"`),
		syntax("half a string", `{"model":"m","input":"x`),
		syntax("half an escape", `{"model":"m","input":"\u12"}`),
		syntax("an unknown escape", `{"model":"m","input":"\x41"}`),
		syntax("a control character", "{\"model\":\"m\",\"input\":\"a\x01b\"}"),
		syntax("a line break in a string", "{\"model\":\"m\",\"input\":\"a\nb\"}"),
		syntax("a null byte", "{\"model\":\"m\",\"input\":\"x\"}\x00"),
		syntax("a byte order mark", "\ufeff"+valid),
		syntax("two documents", valid+valid),
		syntax("something after it", valid+"x"),
		syntax("a comma at the end", `{"model":"m","input":"x",}`),
		syntax("two commas", `{"model":"m",,"input":"x"}`),
		syntax("no colon", `{"model" "m","input":"x"}`),
		syntax("a key without quotes", `{model:"m","input":"x"}`),
		syntax("single quotes", `{'model':'m','input':'x'}`),
		syntax("a comment", `{"model":"m",/* */"input":"x"}`),
		syntax("a wrong bracket", `{"model":"m","input":["x"}`),
		syntax("a half word", with(`"store":tru`)),
		syntax("NaN", with(`"temperature":NaN`)),
		syntax("a number with a zero before it", with(`"top_logprobs":01`)),
		syntax("a number with a plus", with(`"temperature":+1`)),
		syntax("a number without digits", with(`"temperature":.5`)),
		syntax("a number with half an exponent", with(`"temperature":1e`)),
		syntax("bytes that are not UTF-8", "{\"model\":\"m\",\"input\":\"a\xff\xfeb\"}"),
		syntax("UTF-8 that is too long", "{\"model\":\"m\",\"input\":\"\xc0\xaf\"}"),
		syntax("surrogates as UTF-8", "{\"model\":\"m\",\"input\":\"\xed\xa0\x80\"}"),
		syntax("UTF-16", "{\x00}\x00"),
		syntax("a form", "model=m&input=x"),

		// JSON, but not that of a request.
		fault("an array", `[`+valid+`]`, "invalid_type", ""),
		fault("a string", `"model"`, "invalid_type", ""),
		fault("null", `null`, "invalid_type", ""),
		fault("a number", `42`, "invalid_type", ""),

		// The same key twice: one parser takes the first, another the last.
		syntax("a key twice", `{"model":"m","model":"other","input":"x"}`),
		syntax("a key twice, once escaped", `{"model":"m","\u006dodel":"other","input":"x"}`),
		syntax("a key twice, deep inside", input(`[{"role":"user","content":"a","content":"b"}]`)),
		syntax("a key twice, among many", with(`"metadata":{`+numbered(5000, `"k%d":"v"`)+`,"k7":"w"}`)),

		// Deep, long and many.
		syntax("8 million arrays", deep("[", "]", 8_000_000)),
		syntax("8 million arrays that do not end", input(strings.Repeat("[", 8_000_000))),
		syntax("objects, deep", input("["+strings.Repeat(`{"a":`, 1_000_000))),
		syntax("deep where nobody looks", with(`"unknown":`+deep("[", "]", 100_000))),
		syntax("a number of 10,000 digits", with(`"temperature":`+strings.Repeat("9", 10_000))),
		syntax("a million keys", with(`"metadata":{`+numbered(1_000_000, `"k%d":1`)+`}`)),
		fault("30,000 items", input("["+strings.TrimSuffix(strings.Repeat(`{"role":"user","content":"x"},`, 30_000), ",")+"]"),
			"array_above_max_length", "input"),
		fault("17 metadata", with(`"metadata":{`+numbered(17, `"k%d":"v"`)+`}`), "object_above_max_properties", "metadata"),
		fault("a long name of a function", with(`"tools":[{"type":"function","name":"`+strings.Repeat("f", 100_000)+`"}]`),
			"string_above_max_length", "tools[0].name"),
		{"a body over the limit", input(`"` + strings.Repeat("x", 40<<20) + `"`), 413, "", ""},

		// Numbers that do not fit.
		fault("a huge integer", with(`"max_output_tokens":99999999999999999999`), "integer_above_max_value", "max_output_tokens"),
		fault("a huge decimal", with(`"temperature":1e999`), "decimal_above_max_value", "temperature"),
		fault("a small one", with(`"temperature":-0.001`), "decimal_below_min_value", "temperature"),

		// Members that are something else.
		fault("no model", `{"input":"x"}`, "missing_required_parameter", "model"),
		fault("no input", `{"model":"m"}`, "missing_required_parameter", "input"),
		fault("model is an object", `{"model":{},"input":"x"}`, "invalid_type", "model"),
		fault("input is a number", input(`5`), "invalid_type", "input"),
		fault("an item is a string", input(`["x"]`), "invalid_type", "input[0]"),
		fault("an item of no type", input(`[{"type":"nonsense"}]`), "invalid_value", "input[0]"),
		fault("an unknown role", input(`[{"role":"root","content":"x"}]`), "invalid_value", "input[0].role"),
		fault("stream is a string", with(`"stream":"true"`), "invalid_type", "stream"),
		fault("tools is an object", with(`"tools":{}`), "invalid_type", "tools"),
		fault("the chat API's request", `{"model":"m","messages":[{"role":"user","content":"x"}]}`, "unsupported_parameter", ""),
		fault("both APIs' requests", with(`"messages":[]`), "unsupported_parameter", ""),
		fault("an id of another kind", with(`"previous_response_id":"../../etc/passwd"`), "invalid_value", "previous_response_id"),
		fault("an id that nobody has", with(`"previous_response_id":"resp_0123456789abcdef0123456789abcdef"`),
			"previous_response_not_found", "previous_response_id"),
		{"a reference that leads nowhere", input(`[{"type":"item_reference","id":"msg_0123456789abcdef"}]`), 404, "", "input"},
	}
}

// TestBadInput: the right error, nothing for the upstream, and no more time and
// memory than the size of the body is worth.
func TestBadInput(t *testing.T) {
	up := upstreamtest.NewFunc(t, 0, answer("hello"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body, s.cfg.Limits.Upload = 32*config.MiB, 64*config.MiB })
	for _, c := range badInputs() {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			before := allocated()
			began := time.Now()
			got := r.post(c.body)
			took, grown := time.Since(began), allocated()-before
			e := got.err()
			if got.status != c.status || e.Code != c.code || e.Param != c.param {
				t.Errorf("got %d, code %q, param %q, want %d, %q, %q: %.300s", got.status, e.Code, e.Param, c.status, c.code, c.param, got.body)
			}
			if e.Message == "" || len(got.body) > 2000 {
				t.Errorf("%d bytes say %.300s", len(got.body), got.body)
			}
			if limit := 2*time.Second + time.Duration(len(c.body)>>20)*500*time.Millisecond; took > limit {
				t.Errorf("%d bytes took %v", len(c.body), took)
			}
			// All that was allocated, the client's part and what is garbage by now
			// included.
			if most := uint64(20*len(c.body) + 8<<20); grown > most {
				t.Errorf("%d bytes cost %d of memory", len(c.body), grown)
			}
		})
	}
	r.t = t
	if n := up.Count(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
	r.post(plain).want(t, 200, "")
}

// allocated is how much memory has been allocated since the program began.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestHeaderInjection: what a client or the upstream says does not become header
// lines on the other side.
func TestHeaderInjection(t *testing.T) {
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		return "header Retry-After: 3\nheader X-Ratelimit-Remaining-Requests: 5\n" + answer("hello")(req)
	})
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Loss = config.LossWarn })
	const evil = `a\r\nX-Evil: 1\r\n\r\n\u0000\u00e9`
	for name, body := range map[string]string{
		"an unknown key":   `{"model":"m","input":"x","` + evil + `":1}`,
		"a nested key":     `{"model":"m","input":"x","reasoning":{"` + evil + `":1}}`,
		"a tool's type":    `{"model":"m","input":"x","tools":[{"type":"` + evil + `"}]}`,
		"an item's type":   `{"model":"m","input":[{"role":"user","content":"x"},{"type":"` + evil + `"}]}`,
		"the model":        `{"model":"` + evil + `","input":"x"}`,
		"metadata":         `{"model":"m","input":"x","metadata":{"` + evil + `":"` + evil + `"}}`,
		"a tool's name":    `{"model":"m","input":"x","tools":[{"type":"function","name":"` + evil + `"}]}`,
		"the previous id":  `{"model":"m","input":"x","previous_response_id":"` + evil + `"}`,
		"the conversation": `{"model":"m","input":"x","conversation":"` + evil + `"}`,
		"a reference":      `{"model":"m","input":[{"type":"item_reference","id":"` + evil + `"}]}`,
		"the cache key":    `{"model":"m","input":"x","prompt_cache_key":"` + evil + `"}`,
		"the user":         `{"model":"m","input":"x","user":"` + evil + `"}`,
		"the service tier": `{"model":"m","input":"x","service_tier":"` + evil + `"}`,
		"stream":           `{"model":"` + evil + `","input":"x","stream":true,"` + evil + `":1}`,
	} {
		got := r.post(body)
		for k, values := range got.header {
			for _, v := range values {
				if strings.EqualFold(k, "X-Evil") || strings.ContainsAny(v, "\r\n\x00") || strings.ContainsFunc(v, func(c rune) bool { return c > '~' }) {
					t.Errorf("%s: the reply has the header %q: %q", name, k, v)
				}
			}
		}
	}
	for _, id := range []string{"x\ty", strings.Repeat("x", 10_000), "é", `"; drop`, "ok-1"} {
		got := r.post(plain, "X-Request-Id: "+id)
		if v := got.header.Get("X-Request-Id"); v == "" || len(v) > 200 || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.Errorf("the id %.20q has come back as %.40q", id, v)
		}
	}
	for _, req := range up.Requests() {
		if req.Header.Get("X-Evil") != "" {
			t.Errorf("the upstream has seen %v", req.Header)
		}
		for k, values := range req.Header {
			if strings.Contains(strings.Join(values, ""), "X-Evil") {
				t.Errorf("the upstream has seen the header %q: %q", k, values)
			}
		}
	}
}

// TestRefusedWhileSending: a client that is still sending its request gets to
// read why it is refused.
func TestRefusedWhileSending(t *testing.T) {
	up := newEcho(t)
	keys, err := config.ParseKeys("keys", []byte("alice sk-alice\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, up.URL(), func(s *setup) {
		s.opt.Keys, s.noKey = keys, true
		s.cfg.Auth.Passthrough = []string{"POST /files"}
		s.cfg.Limits.Body, s.cfg.Limits.Upload = config.MiB, 2*config.MiB
	})
	const key = "Authorization: Bearer sk-alice"
	large := `{"model":"m","input":"` + strings.Repeat("x", 24<<20) + `"}`
	for range 20 {
		r.post(large, key).want(t, 413, "")
		r.post(large).want(t, 401, "")
		r.do("POST", "/v1/files", large, key).want(t, 413, "")
		r.do("POST", "/v1/responses", large[:1500<<10], key).want(t, 413, "")
		r.do("POST", "/v1/responses", large[:1500<<10]).want(t, 401, "")
		r.do("POST", "/nowhere", large[:1500<<10], key).want(t, 404, "")
		r.send("POST", "/v1/responses", chunkedBody(large), key).want(t, 413, "")
	}
	if up.Count() != 0 {
		t.Error("the upstream was asked")
	}
}
