package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

const (
	inBackground = `{"model":"m","background":true,"input":"CANARY question"}`
	bgStreamed   = `{"model":"m","background":true,"stream":true,"input":"CANARY question"}`
)

// gated is a backend that says "a", waits for a gate, says "b" and is done.
func gated(t testing.TB) *upstreamtest.Server {
	return upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if bytes.Contains(req.Body, []byte(`"stream":true`)) {
			return sseHead + delta("a") + "gate go\n" + delta("b") + finishChunk("stop") + sseDone
		}
		return "gate go\n" + answers("ab")
	})
}

// poll fetches a background response until it has ended.
func (r *rig) poll(id string) response {
	r.t.Helper()
	var v response
	r.until("the response to end", func() bool {
		v = r.get("/v1/responses/" + id).response(r.t)
		return v.Status != statusQueued && v.Status != statusInProgress
	})
	return v
}

// waitFor polls until the response has a status.
func (r *rig) waitFor(id, status string) {
	r.t.Helper()
	r.until("the status "+status, func() bool { return r.get("/v1/responses/"+id).response(r.t).Status == status })
}

// replay reads the stream of a response from the beginning to the end.
func (r *rig) replay(id, query string) []event {
	r.t.Helper()
	return eventsIn(r.get("/v1/responses/" + id + "?stream=true" + query).body)
}

// sharedStore is a store for several servers.
func sharedStore(t testing.TB) func(*setup) {
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	return func(s *setup) { s.opt.Store = st }
}

func lease(d time.Duration) func(*setup) {
	return func(s *setup) { s.cfg.Background.Lease = config.Duration(d) }
}

func TestBackgroundPolled(t *testing.T) {
	t.Parallel()
	up := gated(t)
	r := newRig(t, up.URL())
	queued := r.post(inBackground).response(t)
	if queued.Status != statusQueued || len(queued.Output) != 0 || !bytes.Contains(queued.raw, []byte(`"background":true`)) {
		t.Errorf("%s", queued.raw)
	}
	r.waitFor(queued.ID, statusInProgress)
	r.do("DELETE", "/v1/responses/"+queued.ID, "").want(t, 400, "")
	up.Release("go")
	v := r.poll(queued.ID)
	if v.Status != "completed" || v.text() != "ab" || v.Usage == nil || !v.Store {
		t.Errorf("%s", v.raw)
	}
	// It can be continued, and is listed like any other.
	next := r.post(`{"model":"m","input":"more","previous_response_id":"` + v.ID + `"}`).response(t)
	if next.text() != "ab" || !bytes.Contains(up.Requests()[1].Body, []byte(`CANARY question`)) {
		t.Errorf("%s: %s", next.raw, up.Requests()[1].Body)
	}
	if got := r.get("/v1/responses/" + v.ID + "/input_items"); got.status != 200 || !bytes.Contains(got.body, []byte("CANARY question")) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.get("/v1/responses/" + v.ID + "?stream=true"); got.err().Message != "This response cannot be streamed because it was not created with stream=true." {
		t.Errorf("%s", got.body)
	}
	if got := r.get("/v1/responses/" + next.ID + "?stream=true"); got.err().Message != "This response cannot be streamed because it was not created with background=true." {
		t.Errorf("%s", got.body)
	}
	// A finished one that was not streamed: cancelling returns it.
	if c := r.do("POST", "/v1/responses/"+v.ID+"/cancel", "").response(t); c.Status != "completed" || c.ID != v.ID {
		t.Errorf("%s", c.raw)
	}
	if got := r.do("POST", "/v1/responses/"+next.ID+"/cancel", ""); got.status != 400 || got.err().Message != "Cannot cancel a synchronous response." {
		t.Errorf("%s", got.body)
	}
	r.do("POST", "/v1/responses/resp_x/cancel", "").want(t, 404, "")
	if got := r.do("DELETE", "/v1/responses/"+v.ID, ""); got.status != 200 {
		t.Errorf("%s", got.body)
	}
	r.get("/v1/responses/"+v.ID).want(t, 404, "")
	r.do("DELETE", "/v1/responses/"+v.ID, "").want(t, 404, "")
}

func TestBackgroundUnstored(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	v := r.post(`{"model":"m","background":true,"store":false,"input":"x"}`).response(t)
	v = r.poll(v.ID)
	if v.Status != "completed" || v.Store || v.text() != "echo of x" {
		t.Errorf("%s", v.raw)
	}
	r.post(`{"model":"m","input":"y","previous_response_id":"`+v.ID+`"}`).want(t, 400, "previous_response_not_found")
	if got := r.do("DELETE", "/v1/responses/"+v.ID, ""); got.status != 200 {
		t.Errorf("%s", got.body)
	}
	r.get("/v1/responses/"+v.ID).want(t, 404, "")
}

// TestBackgroundStreamed: the stream comes as it is made, a client that leaves
// does not end it, and it can be read again, from any event on.
func TestBackgroundStreamed(t *testing.T) {
	t.Parallel()
	up := gated(t)
	r := newRig(t, up.URL())
	l := r.open(bgStreamed)
	first := l.until("response.output_text.delta")
	if got := names(eventsIn(l.seen.Bytes())); got != "created queued in_progress output_item.added content_part.added output_text.delta" {
		t.Errorf("%s", got)
	}
	if !strings.Contains(first.data, `"sequence_number":5`) {
		t.Errorf("%s", first.data)
	}
	l.partly()
	_ = l.conn.Close()
	var created struct{ Response struct{ ID string } }
	_ = json.Unmarshal([]byte(eventsIn(l.seen.Bytes())[0].data), &created)
	id := created.Response.ID
	follow := r.dial()
	follow.request("GET", "/v1/responses/"+id+"?stream=true", "")
	follow.head()
	follow.until("response.output_text.delta")
	time.Sleep(20 * time.Millisecond)
	up.Release("go")
	whole := follow.rest()
	if v := whole.response(t); v.Status != "completed" || v.text() != "ab" {
		t.Errorf("%s", v.raw)
	}
	all := eventsIn(whole.body)
	if !bytes.HasPrefix(whole.body, l.seen.Bytes()) {
		t.Errorf("another stream than the first client had:\n%s\n%s", l.seen.Bytes(), whole.body)
	}
	for n := range all {
		if got := r.replay(id, fmt.Sprintf("&starting_after=%d", n)); fmt.Sprint(got) != fmt.Sprint(all[n+1:]) {
			if n+1 < len(all) || len(got) > 0 {
				t.Errorf("after %d: %s", n, names(got))
			}
		}
	}
	// As openai-go asks for it.
	if got := eventsIn(r.do("GET", "/v1/responses/"+id+"?starting_after=3", `{"stream":true}`).body); fmt.Sprint(got) != fmt.Sprint(all[4:]) {
		t.Errorf("%s", names(got))
	}
	body := r.dial()
	body.request("GET", "/v1/responses/"+id, `{"stream":true,"starting_after":3}`, "Connection: close")
	body.path = "" // its check does not know where it begins
	body.head()
	if got := eventsIn(body.rest().body); fmt.Sprint(got) != fmt.Sprint(all[4:]) {
		t.Errorf("%s", names(got))
	}
	if got := r.get("/v1/responses/" + id + "?stream=true&include_obfuscation=true"); bytes.Count(got.body, []byte(`"obfuscation":"`)) != 2 {
		t.Errorf("%s", got.body)
	}
	if v := r.get("/v1/responses/" + id).response(t); v.Status != "completed" || !bytes.Equal(v.raw, whole.response(t).raw) {
		t.Errorf("%s", v.raw)
	}
	for query, code := range map[string]string{
		"stream=7": "invalid_type", "stream=true&starting_after=x": "invalid_type",
		"stream=true&starting_after=-1": "integer_below_min_value", "include_obfuscation=2": "invalid_type",
	} {
		r.get("/v1/responses/"+id+"?"+query).want(t, 400, code)
	}
	if got := r.do("POST", "/v1/responses/"+id+"/cancel", ""); got.status != 400 || got.err().Message != "Cannot cancel a completed response" {
		t.Errorf("%s", got.body)
	}
}

func TestBackgroundTooLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL(), func(s *setup) { s.cfg.Background.ResumeFor = config.Duration(time.Second) })
	v := r.post(bgStreamed).response(t)
	r.replay(v.ID, "")
	time.Sleep(1100 * time.Millisecond)
	if got := r.get("/v1/responses/" + v.ID + "?stream=true"); got.status != 400 || got.err().Message != "Response can no longer be streamed, it is more than 1 seconds old." {
		t.Errorf("%s", got.body)
	}
	if spellAge(5*time.Minute) != "5 minutes" {
		t.Error("the API says it otherwise")
	}
}

// TestBackgroundCancelled: cancelling stops the backend at once, from any server,
// as often as one likes.
func TestBackgroundCancelled(t *testing.T) {
	t.Parallel()
	for _, body := range []string{bgStreamed, inBackground} {
		for _, from := range []string{"its own server", "another server"} {
			t.Run(from, func(t *testing.T) {
				t.Parallel()
				up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
					if bytes.Contains(req.Body, []byte(`"stream":true`)) {
						return sseHead + delta("said") + "stall"
					}
					return "stall"
				})
				shared := sharedStore(t)
				r := newRig(t, up.URL(), shared)
				other := newRig(t, up.URL(), shared, func(s *setup) { s.cfg.Background.Workers = 1 })
				if from == "its own server" {
					other = r
				}
				var id string
				var l *live
				if body == bgStreamed {
					l = r.open(body)
					l.until("response.output_text.delta")
					var e struct{ Response struct{ ID string } }
					_ = json.Unmarshal([]byte(eventsIn(l.seen.Bytes())[0].data), &e)
					id = e.Response.ID
					time.Sleep(3 * logDelay) // what was said has to be on record
				} else {
					id = r.post(body).response(t).ID
					r.until("the request", func() bool { return up.Count() == 1 })
				}
				began := time.Now()
				v := other.do("POST", "/v1/responses/"+id+"/cancel", "").response(t)
				if v.Status != statusCancelled || v.Error != nil {
					t.Errorf("%s", v.raw)
				}
				if l != nil && (len(v.Output) != 1 || v.text() != "said" || v.Output[0].Status != "incomplete") {
					t.Errorf("%s", v.raw)
				}
				r.until("the upstream to be left", func() bool { active, _ := r.srv.router.stats(); return active == 0 })
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if again := r.do("POST", "/v1/responses/"+id+"/cancel", "").response(t); !bytes.Equal(again.raw, v.raw) {
					t.Errorf("%s", again.raw)
				}
				if got := other.get("/v1/responses/" + id).response(t); !bytes.Equal(got.raw, v.raw) {
					t.Errorf("%s", got.raw)
				}
				if l == nil {
					return
				}
				// The stream just ends.
				for {
					line, err := l.sse.ReadString('\n')
					if err != nil {
						break
					}
					if strings.HasPrefix(line, "event: ") {
						t.Errorf("after the end: %s", line)
					}
				}
				l.partly()
				resp, err := r.http.Do(must(http.NewRequest("GET", "http://"+r.addr+"/v1/responses/"+id+"?stream=true", nil)))
				if err == nil {
					_ = resp.Body.Close()
				}
			})
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestBackgroundQueue: what waits is bounded, begins in its order, and can be
// cancelled.
func TestBackgroundQueue(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string { return "gate go\n" + answers("x") })
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Background.Workers, s.cfg.Background.Queue = 2, 3 })
	var ids []string
	for i := range 5 {
		got := r.post(fmt.Sprintf(`{"model":"m","background":true,"input":"number %d"}`, i))
		if got.status != 200 {
			t.Fatalf("%d: %s", i, got.body)
		}
		ids = append(ids, got.response(t).ID)
	}
	r.until("the workers to be busy", func() bool { return up.Count() == 2 })
	full := r.post(inBackground)
	full.want(t, 429, "rate_limit_exceeded")
	if full.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if v := r.get("/v1/responses/" + ids[4]).response(t); v.Status != statusQueued {
		t.Errorf("%s", v.raw)
	}
	if n := r.metric(`antiphon_background_responses{state="waiting"}`); n != 3 {
		t.Errorf("%v are waiting", n)
	}
	if v := r.do("POST", "/v1/responses/"+ids[3]+"/cancel", "").response(t); v.Status != statusCancelled || len(v.Output) != 0 {
		t.Errorf("%s", v.raw)
	}
	up.Release("go")
	for i, id := range ids {
		if v := r.poll(id); (v.Status != "completed") != (i == 3) {
			t.Errorf("%s", v.raw)
		}
	}
	if up.Count() != 4 {
		t.Errorf("%d requests", up.Count())
	}
	off := newRig(t, up.URL(), func(s *setup) { s.cfg.Background.Workers = 0 })
	off.post(inBackground).want(t, 400, "unsupported_parameter")
}

// TestBackgroundFails: what goes wrong is the end of the response, with what was
// said until then.
func TestBackgroundFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, code, text string }{
		{"refused", `json 429 {"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}`, "rate_limit_exceeded", ""},
		{"refused in a web page", "head 502 text/html\nchunk-raw \"<html>\"\n", "server_error", ""},
		{"cut off", sseHead + delta("a") + "rst", "server_error", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, upstreamtest.New(t, c.script).URL())
			got := r.post(bgStreamed)
			v := got.response(t)
			if v.Status != "failed" || v.Error == nil || v.Error.Code != c.code || v.text() != c.text {
				t.Errorf("%s", got.body)
			}
			if stored := r.get("/v1/responses/" + v.ID).response(t); !bytes.Equal(stored.raw, v.raw) {
				t.Errorf("%s", stored.raw)
			}
			if c.name == "cut off" {
				return
			}
			v = r.poll(r.post(inBackground).response(t).ID)
			if v.Status != "failed" || v.Error.Code != c.code {
				t.Errorf("%s", v.raw)
			}
		})
	}
	r := newRig(t, newEcho(t).URL())
	r.post(`{"model":"m","background":true,"input":7}`).want(t, 400, "invalid_type")
	r.post(`{"model":"m","background":true,"input":"x","previous_response_id":"resp_x"}`).want(t, 400, "previous_response_not_found")
}

// TestBackgroundCredential: the upstream gets the client's credential from
// whoever makes the response, and the store never has it in clear.
func TestBackgroundCredential(t *testing.T) {
	t.Parallel()
	up := gated(t)
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	spy := &spyStore{Store: st}
	r := newRig(t, up.URL(), func(s *setup) { s.opt.Store = spy })
	v := r.post(`{"model":"m","background":true,"input":"x"}`, "OpenAI-Project: p1").response(t)
	req := up.Next()
	if req.Header.Get("Authorization") != canaryKey || req.Header.Get("OpenAI-Project") != "p1" {
		t.Errorf("the backend got %v", req.Header)
	}
	up.Release("go")
	r.poll(v.ID)
	spy.mu.Lock()
	defer spy.mu.Unlock()
	if spy.seen == 0 {
		t.Error("nothing was written")
	}
	if spy.leak != "" {
		t.Errorf("the store has the credential: %s", spy.leak)
	}
}

// TestBackgroundConversation: it becomes part of its conversation.
func TestBackgroundConversation(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	var conv struct{ ID string }
	_ = json.Unmarshal(r.do("POST", "/v1/conversations", `{}`).body, &conv)
	for _, stream := range []string{"true", "false"} {
		got := r.post(`{"model":"m","background":true,"stream":` + stream + `,"input":"hi","conversation":"` + conv.ID + `"}`)
		if v := r.poll(got.response(t).ID); v.Status != "completed" {
			t.Errorf("%s", v.raw)
		}
	}
	items := r.do("GET", "/v1/conversations/"+conv.ID+"/items", "")
	if n := bytes.Count(items.body, []byte(`"type":"message"`)); n != 4 {
		t.Errorf("%d items: %s", n, items.body)
	}
}

func TestBackgroundObfuscation(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	got := r.post(`{"model":"m","background":true,"stream":true,"input":"x","stream_options":{"include_obfuscation":true}}`)
	if !bytes.Contains(got.body, []byte(`"obfuscation":"`)) {
		t.Errorf("%s", got.body)
	}
	plain := r.get("/v1/responses/" + got.response(t).ID + "?stream=true&include_obfuscation=false")
	if bytes.Contains(plain.body, []byte(`"obfuscation":"`)) {
		t.Errorf("%s", plain.body)
	}
}
