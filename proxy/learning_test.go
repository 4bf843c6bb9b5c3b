package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// picky is an upstream that refuses requests by what is in them, and answers
// others. refusals are alternately a text that must not be in the body, and the
// error that it gets.
func picky(t testing.TB, refusals ...string) *upstreamtest.Server {
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		for i := 0; i < len(refusals); i += 2 {
			if strings.Contains(string(req.Body), refusals[i]) {
				return "json 400 " + refusals[i+1]
			}
		}
		return echoes(req)
	})
}

func unsupported(name string) string {
	return `{"error":{"message":"Unsupported parameter: '` + name + `' is not supported with this model.","type":"invalid_request_error","param":"` + name + `"}}`
}

const tuned = `{"model":"m","input":"x","temperature":0.5,"max_output_tokens":99}`

// TestLearning: a refusal is answered by another request, and remembered: for the
// model, across replicas and restarts, until it is forgotten.
func TestLearning(t *testing.T) {
	t.Parallel()
	up := picky(t, `"max_tokens"`, unsupported("max_tokens"), `"temperature"`, unsupported("temperature"))
	st := memory.New(memory.Options{})
	defer st.Close()
	r := newRig(t, up.URL(), onStore(st))
	got := r.post(tuned)
	got.want(t, 200, "")
	if up.Count() != 3 || !strings.Contains(got.header.Get("Antiphon-Loss"), `path="temperature"`) {
		t.Errorf("%d requests, losses %q", up.Count(), got.header.Get("Antiphon-Loss"))
	}
	last := up.Requests()[2].Body
	if !strings.Contains(string(last), `"max_completion_tokens":99`) || strings.Contains(string(last), "temperature") {
		t.Errorf("%s", last)
	}
	r.post(tuned).want(t, 200, "")
	if up.Count() != 4 {
		t.Errorf("it was not remembered: %d requests", up.Count())
	}
	if r.metric("antiphon_lessons_total") != 2 {
		t.Error("the metric does not count")
	}
	// Another model has to be learned by itself.
	r.post(strings.Replace(tuned, `"m"`, `"n"`, 1)).want(t, 200, "")
	if up.Count() != 7 {
		t.Errorf("another model: %d requests", up.Count()-4)
	}
	// Streams too, and a replica knows it.
	other := newRig(t, up.URL(), onStore(st))
	other.post(strings.Replace(tuned, `{`, `{"stream":true,`, 1)).want(t, 200, "")
	if up.Count() != 8 {
		t.Errorf("a replica: %d requests", up.Count()-7)
	}
	var known []struct {
		Upstream, Dialect string
		Learns            bool
		Learned           []struct{ Model, Key, Value string }
	}
	rec := httptest.NewRecorder()
	other.srv.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "/dialects", nil))
	if err := json.Unmarshal(rec.Body.Bytes(), &known); err != nil || len(known) != 1 || !known[0].Learns ||
		fmt.Sprint(known[0].Learned) != "[{m max_tokens_field max_completion_tokens} {m accepts.temperature false} {n max_tokens_field max_completion_tokens} {n accepts.temperature false}]" {
		t.Errorf("%v %s", err, rec.Body)
	}
	rec = httptest.NewRecorder()
	other.srv.Admin().ServeHTTP(rec, httptest.NewRequest("DELETE", "/dialects?upstream=default&model=m", nil))
	if rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	other.post(tuned).want(t, 200, "")
	if up.Count() != 11 {
		t.Errorf("after it was forgotten: %d requests", up.Count()-8)
	}
}

// TestLearningKeepsWhatIsRight: what does not help, what the client got wrong and
// what the configuration says teaches nothing.
func TestLearningKeepsWhatIsRight(t *testing.T) {
	t.Parallel()
	t.Run("in vain", func(t *testing.T) {
		t.Parallel()
		up := picky(t, `"model"`, unsupported("temperature")) // whatever is sent
		r := newRig(t, up.URL())
		r.post(tuned).want(t, 400, "")
		r.post(tuned).want(t, 400, "")
		if up.Count() != 4 || r.metric("antiphon_lessons_total") != 0 {
			t.Errorf("%d requests, %v lessons", up.Count(), r.metric("antiphon_lessons_total"))
		}
	})
	t.Run("never loops", func(t *testing.T) {
		t.Parallel()
		var refusals []string
		for _, name := range []string{"temperature", "top_p", "presence_penalty", "frequency_penalty", "parallel_tool_calls"} {
			refusals = append(refusals, `"`+name+`"`, unsupported(name))
		}
		up := picky(t, refusals...)
		r := newRig(t, up.URL())
		r.post(`{"model":"m","input":"x","temperature":0.1,"top_p":0.2,"presence_penalty":0.3,"frequency_penalty":0.4,"parallel_tool_calls":false,"tools":[{"type":"function","name":"f"}]}`).want(t, 400, "")
		if up.Count() != 1+maxLessons {
			t.Errorf("%d requests", up.Count())
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		t.Parallel()
		up := picky(t, `0.5`, `{"error":{"message":"Invalid 'temperature': decimal above maximum value. Expected a value <= 0.1, but got 0.5 instead."}}`)
		r := newRig(t, up.URL())
		r.post(tuned).want(t, 400, "")
		if up.Count() != 1 {
			t.Errorf("%d requests", up.Count())
		}
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		up := picky(t, `"temperature"`, unsupported("temperature"))
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Learn = false })
		r.post(tuned).want(t, 400, "")
		if up.Count() != 1 {
			t.Errorf("%d requests", up.Count())
		}
	})
	t.Run("pinned", func(t *testing.T) {
		t.Parallel()
		up := picky(t, `"temperature"`, unsupported("temperature"))
		r := newRig(t, up.URL(), func(s *setup) {
			var err error
			if s.cfg.Upstream.Overrides, err = config.ParseOverrides("test", "accepts: {temperature: true}"); err != nil {
				t.Fatal(err)
			}
		})
		r.post(tuned).want(t, 400, "")
		if up.Count() != 1 {
			t.Errorf("%d requests", up.Count())
		}
	})
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		up := picky(t, `"temperature"`, unsupported("temperature"))
		r := newRig(t, up.URL(), func(s *setup) { s.cfg.Loss = config.LossStrict })
		got := r.post(tuned)
		got.want(t, 400, "unsupported_parameter")
		if up.Count() != 1 || !strings.Contains(string(got.body), `"param":"temperature"`) {
			t.Errorf("%d requests: %s", up.Count(), got.body)
		}
	})
}

// TestLearningWithoutStore: what is learned is of use though it cannot be kept.
func TestLearningWithoutStore(t *testing.T) {
	t.Parallel()
	up := picky(t, `"temperature"`, unsupported("temperature"))
	st := newFaultyStore(t)
	r := newRig(t, up.URL(), func(s *setup) { s.opt.Store = st })
	r.post(plain).want(t, 200, "") // the key of tenants' names
	st.set(func(op string) error {
		if op == "commit" {
			return errors.New("down")
		}
		return nil
	})
	asked := up.Count()
	for range 3 {
		r.post(tuned).want(t, 200, "")
	}
	if n := up.Count() - asked; n != 4 {
		t.Errorf("%d requests", n)
	}
}

// TestLearningAtOnce: many learn the same at the same time, with made-up models
// besides.
func TestLearningAtOnce(t *testing.T) {
	t.Parallel()
	up := picky(t, `"temperature"`, unsupported("temperature"), `"max_tokens"`, unsupported("max_tokens"))
	r := newRig(t, up.URL())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				r.post(tuned).want(t, 200, "")
				r.post(fmt.Sprintf(`{"model":"made-up-%d","input":"x"}`, i)).want(t, 200, "")
			}
		})
	}
	wg.Wait()
	asked := up.Count()
	r.post(tuned).want(t, 200, "")
	if up.Count() != asked+1 {
		t.Error("it was not remembered")
	}
}

// TestNoticing: what a backend takes and does not keep to is reported, and learned
// where there is another way.
func TestNoticing(t *testing.T) {
	t.Parallel()
	const (
		schema = `"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}`
		tools  = `"tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}]`
	)
	reply := func(message string) string {
		return `json 200 {"choices":[{"index":0,"message":` + message + `,"finish_reason":"stop"}]}`
	}
	text := reply(`{"content":"Well, no."}`)
	call := reply(`{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}`)
	details := reply(`{"content":"x","reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r","signature":"s"}]}`)
	for _, c := range []struct{ name, ask, answer, loss, learned string }{
		{"schema", schema, text, "reply.format", "structured_output=json_object"},
		{"object", `"text":{"format":{"type":"json_object"}}`, text, "reply.format", "structured_output=none"},
		{"a fence", schema, reply("{\"content\":\"```json\\n{}\\n```\"}"), "reply.format", "structured_output=json_object"},
		{"JSON that does not hold", schema, reply(`{"content":"{}"}`), "", ""},
		{"cut off", schema, strings.Replace(text, `"stop"`, `"length"`, 1), "", ""},
		{"refused", schema, reply(`{"refusal":"No."}`), "", ""},
		{"named", tools + `,"tool_choice":{"type":"function","name":"g"}`, call, "reply.tool_choice", "tools.choices.named=false"},
		{"named, kept", tools + `,"tool_choice":{"type":"function","name":"f"}`, call, "", ""},
		{"required", tools + `,"tool_choice":"required"`, text, "reply.tool_choice", ""},
		{"required, kept", tools + `,"tool_choice":"required"`, call, "", ""},
		{"none", tools + `,"tool_choice":"none"`, call, "reply.forbidden_call", "tools.choices.none=false"},
		{"auto", tools, text, "", ""},
		{"details", `"store":false`, details, "", "reasoning.details=true reasoning.replay=loop"},
	} {
		for _, off := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return c.answer })
				r := newRig(t, up.URL(), func(s *setup) { s.cfg.Upstream.Learn = !off })
				got := r.post(`{"model":"m","input":"x",` + c.ask + `}`)
				got.want(t, 200, "")
				if loss := got.header.Get("Antiphon-Loss"); c.loss != "" && !strings.Contains(loss, c.loss) || c.loss == "" && strings.Contains(loss, "reply.") {
					t.Errorf("losses %q", loss)
				}
				want := c.learned
				if off {
					want = ""
				}
				if learned := strings.Join(learnedFacts(r), " "); learned != want || r.metric("antiphon_lessons_total") != float64(len(strings.Fields(want))) {
					t.Errorf("learned %q", learned)
				}
			})
		}
	}
}

// TestNoticingDetails: reasoning_details that are refused when they come back are not
// sent again, whatever the backend gives.
func TestNoticingDetails(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), "reasoning_details") {
			return `json 400 {"error":{"message":"property 'messages.1.reasoning_details' is unsupported"}}`
		}
		return `json 200 {"choices":[{"index":0,"message":{"reasoning_details":[{"type":"reasoning.encrypted","data":"s"}],` +
			`"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
	})
	r := newRig(t, up.URL())
	const f = `"tools":[{"type":"function","name":"f"}]`
	r.post(`{"model":"m","input":"x",`+f+`}`).want(t, 200, "")
	for range 3 {
		got := r.post(`{"model":"m","input":"x",` + f + `}`)
		got.want(t, 200, "")
		r.post(`{"model":"m","previous_response_id":"`+got.responseID(t)+`","input":[{"type":"function_call_output","call_id":"c","output":"o"}],`+f+`}`).want(t, 200, "")
	}
	if learned := strings.Join(learnedFacts(r), " "); learned != "reasoning.details=false reasoning.replay=loop" {
		t.Errorf("learned %q", learned)
	}
	if up.Count() != 8 {
		t.Errorf("%d requests", up.Count())
	}
}

// TestNoticingTypes: arguments that came in pieces, and would have had to be mended,
// are given as they came and reported; from then on such calls wait until they are whole.
func TestNoticingTypes(t *testing.T) {
	t.Parallel()
	const (
		tools = `"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"n":{"type":"integer"}}}}]`
		first = "head 200 text/event-stream\n" +
			`chunk data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"n\":"}}]}}]}` + "\nwait 5ms\n"
		last = "\n" + `chunk data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\nchunk data: [DONE]"
	)
	rest := func(text string) string {
		return `chunk data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"` + text + `"}}]}}]}`
	}
	for _, c := range []struct{ name, rest, learned, loss, before, after string }{
		{"types", rest(`\"5\"}`), "tools.hold_arguments=true", "reply.arguments_types", `{\"n\":\"5\"}`, `{\"n\":5}`},
		{"sound", rest(`5}`), "", "", `{\"n\":5}`, `{\"n\":5}`},
		{"broken", rest(`oops`), "", "reply.arguments_broken", `{\"n\":oops`, `{\"n\":oops`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return first + c.rest + last })
			r := newRig(t, up.URL())
			for i, want := range []string{c.before, c.after} {
				body := string(r.post(`{"model":"m","stream":true,"input":"x",` + tools + `}`).body)
				if !strings.Contains(body, `"arguments":"`+want+`"`) {
					t.Errorf("%d: %s", i+1, body)
				}
				if i == 0 && c.loss != "" && !strings.Contains(body, c.loss) || c.loss == "" && strings.Contains(body, "antiphon-loss") {
					t.Errorf("losses: %s", body)
				}
				streamed := strings.Count(body, "event: response.function_call_arguments.delta") == 2
				if held := i == 1 && c.learned != ""; streamed == held {
					t.Errorf("%d: streamed %v", i+1, streamed)
				}
			}
			if learned := strings.Join(learnedFacts(r), " "); learned != c.learned {
				t.Errorf("learned %q", learned)
			}
		})
	}
}

// learnedFacts are the facts that a rig's server has learned of the model m.
func learnedFacts(r *rig) (facts []string) {
	rec := httptest.NewRecorder()
	r.srv.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "/dialects", nil))
	var known []struct{ Learned []struct{ Key, Value string } }
	_ = json.Unmarshal(rec.Body.Bytes(), &known)
	for _, u := range known {
		for _, f := range u.Learned {
			value := f.Value
			if len(value) > 40 {
				value = "…"
			}
			facts = append(facts, f.Key+"="+value)
		}
	}
	slices.Sort(facts)
	return facts
}
