package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Answers of backends that cannot be held to a schema are checked before the
// client gets to see them.

const format = `"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}`

func says(text string) string {
	quoted, _ := json.Marshal(text)
	return `json 200 {"choices":[{"message":{"role":"assistant","content":` + string(quoted) + `},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}`
}

func streamOf(texts ...string) string {
	script := "head 200 text/event-stream\n"
	for _, text := range texts {
		quoted, _ := json.Marshal(text)
		script += `chunk data: {"choices":[{"delta":{"content":` + string(quoted) + "}}]}\n"
	}
	return script + `chunk data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}` +
		"\nchunk data: [DONE]"
}

func checkedBody(stream bool) string {
	if stream {
		return `{"model":"m","stream":true,"input":"Hi",` + format + `}`
	}
	return `{"model":"m","input":"Hi",` + format + `}`
}

// finalOf is the final response object of a reply.
func finalOf(t *testing.T, got *reply) (r struct {
	Status string
	Error  struct{ Message string }
	Output []struct{ Content []struct{ Text string } }
	Usage  struct {
		Total int `json:"total_tokens"`
	}
}) {
	t.Helper()
	body := got.body
	if strings.HasPrefix(got.header.Get("Content-Type"), "text/event-stream") {
		last := ""
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				last = data
			}
		}
		var event struct{ Response json.RawMessage }
		if err := json.Unmarshal([]byte(last), &event); err != nil {
			t.Fatal(err)
		}
		body = event.Response
	}
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return r
}

func TestCheckedAnswer(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		reply := func(text string) string {
			if stream {
				return streamOf(text[:len(text)/2], text[len(text)/2:])
			}
			return says(text)
		}
		for name, c := range map[string]struct {
			replies []string
			want    string // the text; "" for a failure
			asked   int
			usage   int
		}{
			"valid":                 {[]string{reply(`{"a":1}`)}, `{"a":1}`, 1, 12},
			"fenced":                {[]string{reply("```json\n{\"a\":1}\n```")}, `{"a":1}`, 1, 12},
			"invalid, then valid":   {[]string{reply(`{"a":"CANARY"}`), reply(`{"a":2}`)}, `{"a":2}`, 2, 24},
			"no JSON, then valid":   {[]string{reply(`Of course! CANARY`), reply(`{"a":2}`)}, `{"a":2}`, 2, 24},
			"nothing, then valid":   {[]string{reply(` `), reply(`{"a":2}`)}, `{"a":2}`, 2, 24},
			"invalid twice":         {[]string{reply(`{"b":"CANARY"}`), reply(`{"c":"CANARY"}`)}, "", 2, 24},
			"invalid, then refused": {[]string{reply(`{"b":"CANARY"}`), `json 429 {"error":{"message":"slow down","code":"rate_limit_exceeded"}}`}, "", 2, 12},
			"invalid, then gone":    {[]string{reply(`{"b":"CANARY"}`), "close"}, "", 2, 12},
		} {
			up := upstreamtest.New(t, c.replies...)
			r := newRig(t, up.URL(), withDialect("deepseek"))
			got := r.post(checkedBody(stream))
			if up.Count() != c.asked {
				t.Errorf("%s, stream %v: asked %d times, want %d", name, stream, up.Count(), c.asked)
			}
			if strings.Contains(string(got.body), "CANARY") {
				t.Errorf("%s, stream %v: an invalid answer was shown: %s", name, stream, got.body)
			}
			if c.want == "" && !stream {
				if got.status < 400 {
					t.Errorf("%s: %d %s", name, got.status, got.body)
				}
				continue
			}
			final := finalOf(t, got)
			if c.want == "" {
				if final.Status != "failed" || len(final.Output) != 0 {
					t.Errorf("%s: %+v", name, final)
				}
				continue
			}
			if final.Status != "completed" || len(final.Output) != 1 || final.Output[0].Content[0].Text != c.want || final.Usage.Total != c.usage {
				t.Errorf("%s, stream %v: %+v", name, stream, final)
			}
			if repaired := strings.Contains(string(got.body)+got.header.Get("Antiphon-Loss"), "text.format.repaired"); repaired != (c.asked > 1) {
				t.Errorf("%s, stream %v: reported %v", name, stream, repaired)
			}
		}
	}
}

// The second request has the first answer and what is wrong with it.
func TestRepairRequest(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, says(`{"a":"x"}`), says(`{"a":1}`))
	r := newRig(t, up.URL(), withDialect("deepseek"))
	r.post(checkedBody(false)).want(t, 200, "")
	var first, second struct {
		Messages []struct{ Role, Content string }
	}
	for i, into := range []any{&first, &second} {
		if err := json.Unmarshal(up.Requests()[i].Body, into); err != nil {
			t.Fatal(err)
		}
	}
	if len(second.Messages) != len(first.Messages)+2 {
		t.Fatalf("%+v", second)
	}
	said, demand := second.Messages[len(first.Messages)], second.Messages[len(first.Messages)+1]
	if said.Role != "assistant" || said.Content != `{"a":"x"}` || demand.Role != "user" || !strings.Contains(demand.Content, "at $.a: got string, want integer") {
		t.Errorf("%+v %+v", said, demand)
	}
}

// What is not an answer is not checked: calls, refusals, what was cut short. And
// a backend that can be held to a schema is trusted, unless it is not.
func TestNotChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ dialect, reply, want string }{
		"a call":    {"deepseek", thinkAndCall, "completed"},
		"a refusal": {"deepseek", `json 200 {"choices":[{"message":{"role":"assistant","content":null,"refusal":"No."},"finish_reason":"stop"}]}`, "completed"},
		"cut short": {"deepseek", `json 200 {"choices":[{"message":{"role":"assistant","content":"{\"a\""},"finish_reason":"length"}]}`, "incomplete"},
		"trusted":   {"openai", says("no JSON"), "completed"},
	} {
		up := upstreamtest.New(t, c.reply)
		r := newRig(t, up.URL(), withDialect(c.dialect))
		got := r.post(`{"model":"m","input":"Hi",` + tools + `,` + format + `}`)
		if final := finalOf(t, got); final.Status != c.want || up.Count() != 1 {
			t.Errorf("%s: %s after %d requests", name, final.Status, up.Count())
		}
	}
}

// A schema that refers to elsewhere loads nothing from there, and cannot be checked.
func TestCheckedSchemaElsewhere(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, says(`{}`))
	r := newRig(t, up.URL(), withDialect("deepseek"))
	r.post(`{"model":"m","input":"Hi","text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object","$ref":"file:///etc/passwd"}}}}`).want(t, 400, "invalid_json_schema")
	if up.Count() != 0 {
		t.Error("the request went up")
	}
}

// While an answer is held, a stream shows that it lives, in whatever style.
func TestCheckedHeartbeats(t *testing.T) {
	t.Parallel()
	slow := "head 200 text/event-stream\n" + `chunk data: {"choices":[{"delta":{"content":"{"}}]}` + "\nwait 120ms\n" +
		`chunk data: {"choices":[{"delta":{"content":"}"}}]}` + "\nwait 120ms\n" +
		`chunk data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\nchunk data: [DONE]"
	for _, style := range []config.HeartbeatStyle{config.HeartbeatComment, config.HeartbeatEvent} {
		up := upstreamtest.New(t, slow, "wait 120ms\n"+streamOf(`{"a":1}`))
		r := newRig(t, up.URL(), withDialect("deepseek"), func(s *setup) {
			s.cfg.Stream.Heartbeat, s.cfg.Stream.HeartbeatStyle = config.Duration(30*time.Millisecond), style
		})
		got := r.post(checkedBody(true))
		if final := finalOf(t, got); final.Status != "completed" {
			t.Errorf("%+v", final)
		}
		if n := strings.Count(string(got.body), ": keep-alive"); n < 5 {
			t.Errorf("%s: %d keep-alives in\n%s", style, n, got.body)
		}
	}
}

// TestRepairKept: what is learned while an answer is repaired changes the request that
// asks for the better answer, and does not undo it. An error with status 200 teaches as
// one with another does.
func TestRepairKept(t *testing.T) {
	t.Parallel()
	const refused = `{"error":{"message":"Unsupported parameter: 'temperature' is not supported with this model.","type":"invalid_request_error","param":"temperature","code":"unsupported_parameter"}}`
	for name, refusal := range map[string]string{"refused": "json 400 " + refused, "in-band": "json 200 " + refused, "in-band event": "head 200 text/event-stream\nchunk data: " + refused} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				t.Parallel()
				repairs := 0
				up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
					body := string(req.Body)
					reply := says
					if stream {
						reply = func(text string) string { return streamOf(text) }
					}
					switch {
					case !strings.Contains(body, "required format"):
						return reply(`{"a":"CANARY"}`)
					case strings.Contains(body, `"temperature"`):
						return refusal
					}
					repairs++
					return reply(`{"a":2}`)
				})
				r := newRig(t, up.URL(), withDialect("deepseek"))
				final := finalOf(t, r.post(strings.Replace(checkedBody(stream), `"input"`, `"temperature":0.5,"input"`, 1)))
				if final.Status != "completed" || final.Output[0].Content[0].Text != `{"a":2}` || repairs != 1 || up.Count() != 3 {
					t.Errorf("%d requests, %d for a better answer: %+v", up.Count(), repairs, final)
				}
				if learned := strings.Join(learnedFacts(r), " "); !strings.Contains(learned, "temperature") {
					t.Errorf("learned %q", learned)
				}
			})
		}
	}
}
