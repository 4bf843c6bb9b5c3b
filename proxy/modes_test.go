package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Every mode in which a reply of an upstream is read meets everything that an upstream
// may do, and makes the same of it: the same text, the same end, keep-alives while there
// is nothing to say, the head of the reply before that.

// The times of the matrix. A busy machine must not take a pause for a stall.
const (
	modeKeepAlive = 100 * time.Millisecond
	modePause     = time.Second // in which upstreams say nothing that counts
	modeIdle      = 3 * time.Second
	modeGrace     = time.Second
)

// What upstreams say: it has to be JSON for the mode in which answers are checked.
const modeFirst, modeSecond = `{"a":`, `1}`

// voice writes the script of an upstream of one API.
type voice struct {
	responses bool
	said      string
	script    strings.Builder
}

func (v *voice) chunk(format string, args ...any) *voice {
	fmt.Fprintf(&v.script, "chunk data: "+format+"\n", args...)
	return v
}

func (v *voice) step(s string) *voice {
	v.script.WriteString(s + "\n")
	return v
}

// head is the head of a stream, and for Responses what comes before the first text.
func (v *voice) head(contentType string) *voice {
	v.step("head 200 " + contentType)
	if v.responses {
		v.step(lateCreated)
	}
	return v
}

func (v *voice) text(s string) *voice {
	quoted, _ := json.Marshal(s)
	if !v.responses {
		v.said += s
		return v.chunk(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}`, quoted)
	}
	if v.said == "" {
		v.chunk(`{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"msg_up","role":"assistant","content":[],"status":"in_progress"}}`)
		v.chunk(`{"type":"response.content_part.added","output_index":0,"content_index":0,"item_id":"msg_up","part":{"type":"output_text","text":"","annotations":[]}}`)
	}
	v.said += s
	return v.chunk(`{"type":"response.output_text.delta","output_index":0,"content_index":0,"item_id":"msg_up","delta":%s}`, quoted)
}

// keepAlives fills the pause with what means nothing: comments, or events.
func (v *voice) keepAlives(events bool) *voice {
	what := "chunk : PROCESSING"
	switch {
	case events && v.responses:
		what = `chunk data: {"type":"keepalive","sequence_number":2}`
	case events:
		what = `chunk data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[]}`
	}
	const every = 50 * time.Millisecond
	for range modePause / every {
		v.step(what).step("wait " + every.String())
	}
	return v
}

const modeUsage = `{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}`

func (v *voice) object() string {
	quoted, _ := json.Marshal(v.said)
	if v.responses {
		return fmt.Sprintf(`{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_up","role":"assistant","status":"completed","content":[{"type":"output_text","text":%s,"annotations":[]}]}],"usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10}}`, quoted)
	}
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"up-model","choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],"usage":%s}`, quoted, modeUsage)
}

// end ends the reply, after a while for what may come late.
func (v *voice) end(late string) string {
	if v.responses {
		v.step(late).chunk(`{"type":"response.completed","response":%s}`, v.object())
		return v.script.String()
	}
	v.chunk(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
	v.step(late).chunk(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"up-model","choices":[],"usage":%s}`, modeUsage).step("chunk data: [DONE]")
	return v.script.String()
}

// whole is the reply as one object.
func (v *voice) whole(contentType string) string {
	v.said = modeFirst + modeSecond
	return "head 200 " + contentType + "\nchunk-raw " + fmt.Sprintf("%q", v.object()) + "\nend"
}

// behaviour is something that an upstream does.
type behaviour struct {
	name    string
	script  func(v *voice) string
	failure string // part of the error's message, or several with | between; "" for a reply that ends well
	slow    bool   // there is a pause before the first text
}

// behaviours are what upstreams do. A reply that ends well says modeFirst, modeSecond.
var behaviours = []behaviour{
	{name: "silent", slow: true, script: func(v *voice) string {
		return v.head("text/event-stream").step("gate heard").text(modeFirst).text(modeSecond).end("")
	}},
	{name: "comments", slow: true, script: func(v *voice) string {
		return v.head("text/event-stream").keepAlives(false).text(modeFirst).text(modeSecond).end("")
	}},
	{name: "keep-alive events", slow: true, script: func(v *voice) string {
		return v.head("text/event-stream").keepAlives(true).text(modeFirst).text(modeSecond).end("")
	}},
	{name: "cut", failure: "cut off", script: func(v *voice) string {
		return v.head("text/event-stream").text(modeFirst).step("close").script.String()
	}},
	{name: "stall", failure: "in time|stopped in the middle", script: func(v *voice) string {
		return v.head("text/event-stream").text(modeFirst).step("stall").script.String()
	}},
	{name: "late usage", script: func(v *voice) string {
		return v.head("text/event-stream").text(modeFirst).text(modeSecond).end("wait 100ms")
	}},
	{name: "whole reply", script: func(v *voice) string { return v.whole("application/json") }},
	{name: "in-band error", failure: "The GPU fell off.", script: func(v *voice) string {
		return v.step("head 200 text/event-stream").chunk(`{"error":{"message":"The GPU fell off.","type":"server_error","code":"server_error"}}`).script.String()
	}},
	{name: "stream as JSON", script: func(v *voice) string {
		return v.head("application/json").text(modeFirst).text(modeSecond).end("")
	}},
	{name: "stream as text", script: func(v *voice) string {
		return v.head("Text/Plain;charset=utf-8").text(modeFirst).text(modeSecond).end("")
	}},
	{name: "JSON as a stream", script: func(v *voice) string { return v.whole("text/event-stream;charset=utf-8") }},
	{name: "JSON as text", script: func(v *voice) string { return v.whole("text/plain") }},
}

// seen is what a client saw of a reply.
type seen struct {
	text, failure string
	usage         bool
	keepAlives    int
	alive         func() // called when there have been two keep-alives
	raw           []byte
}

// ask posts a request.
func (s *seen) ask(r *rig, path, body string) (contentType string) {
	req, err := http.NewRequest("POST", "http://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", canaryKey)
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	if s.raw, err = s.read(resp.Body); err != nil {
		s.failure = "the body is broken off: " + err.Error()
		return ""
	}
	if strings.Contains(path, "/responses") {
		check(r.t, r.checkOptions(), resp, s.raw)
	}
	if resp.StatusCode >= 400 {
		got := reply{body: s.raw}
		s.failure = got.err().Message
		return ""
	}
	comments, events := signsOfLife(s.raw)
	s.keepAlives = comments + events
	return resp.Header.Get("Content-Type")
}

// read reads a body to its end, and looks out for keep-alives.
func (s *seen) read(r io.Reader) (all []byte, err error) {
	piece := make([]byte, 4<<10)
	for err == nil {
		var n int
		n, err = r.Read(piece)
		all = append(all, piece[:n]...)
		if comments, events := signsOfLife(all); comments+events >= 2 {
			s.alive()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

func (s *seen) response(v response) {
	if v.Status == "failed" {
		s.failure = v.Error.Message
		return
	}
	s.text, s.usage = v.text(), v.Usage != nil && v.Usage.Output > 0
	for _, it := range v.Output {
		if it.Type == "compaction" {
			s.text += modeFirst + modeSecond // it is in the envelope
		}
	}
}

// overResponses asks for a response over HTTP.
func overResponses(members string) func(r *rig, cell string, s *seen) {
	return func(r *rig, cell string, s *seen) {
		if kind := s.ask(r, "/v1/responses", fmt.Sprintf(`{"model":"m",%s}`, strings.ReplaceAll(members, "CELL", cell))); kind != "" {
			got := reply{header: http.Header{"Content-Type": {kind}}, body: s.raw}
			s.response(got.response(r.t))
		}
	}
}

// overChat asks for a chat completion.
func overChat(members string, n int) func(r *rig, cell string, s *seen) {
	return func(r *rig, cell string, s *seen) {
		body := fmt.Sprintf(`{"model":"m",%s,"messages":[{"role":"user","content":"cell %s."}]}`, members, cell)
		if s.ask(r, "/v1/chat/completions", body) == "" {
			return
		}
		texts := make([]string, n)
		for data := range strings.SplitSeq("\n"+string(s.raw), "\n") {
			data = strings.TrimPrefix(data, "data: ")
			var c struct {
				Error *apiError
				Usage *struct {
					Completion int `json:"completion_tokens"`
				}
				Choices []struct {
					Index          int
					Delta, Message struct{ Content string }
				}
			}
			if json.Unmarshal([]byte(data), &c) != nil {
				continue
			}
			if c.Error != nil {
				s.failure = c.Error.Message
			}
			s.usage = s.usage || c.Usage != nil && c.Usage.Completion > 0
			if len(c.Choices) == 0 && c.Usage == nil {
				s.keepAlives++ // of the upstream, on their way through
			}
			for _, choice := range c.Choices {
				texts[choice.Index] += choice.Delta.Content + choice.Message.Content
			}
		}
		if s.text = texts[0]; slices.ContainsFunc(texts, func(text string) bool { return text != texts[0] }) {
			s.text = fmt.Sprintf("%q", texts)
		}
	}
}

// overSocket asks for a response on a WebSocket.
func overSocket(r *rig, cell string, s *seen) {
	p := r.socket()
	p.create(fmt.Sprintf(`"input":"cell %s."`, cell))
	var frames []frame
	for beats := 0; beats < 2; {
		f := p.next("")
		frames = append(frames, f)
		if f.Type == "keepalive" {
			beats++
		}
		if strings.HasPrefix(f.Type, "response.completed") || f.Type == "error" || f.Type == "response.failed" {
			break
		}
	}
	s.alive()
	p.held[""] = append(frames, p.held[""]...)
	v := p.result("")
	s.raw = v.stream
	_, s.keepAlives = signsOfLife(v.stream)
	if v.fault != nil {
		s.failure = v.fault.Message
	}
	if v.ID != "" {
		s.response(v.response)
	}
}

// mode is a way in which replies are read.
type mode struct {
	name  string
	setup func(s *setup)
	ask   func(r *rig, cell string, s *seen)
	// first answers a request that is not the one that the cell is about, or is nil.
	first func(req *upstreamtest.Request) string

	responses bool // the upstream speaks Responses
	plain     bool // the client does not ask for a stream
}

var modes = []mode{
	{name: "responses", ask: overResponses(`"stream":true,"input":"cell CELL."`)},
	{name: "responses, plain", ask: overResponses(`"input":"cell CELL."`), plain: true},
	{name: "partial responses", responses: true, ask: overResponses(`"stream":true,"input":"cell CELL."`)},
	{name: "partial responses, plain", responses: true, ask: overResponses(`"input":"cell CELL."`), plain: true},
	{name: "chat n=1", responses: true, ask: overChat(`"stream":true,"stream_options":{"include_usage":true}`, 1)},
	{name: "chat n=2", responses: true, ask: overChat(`"n":2,"stream":true,"stream_options":{"include_usage":true}`, 2)},
	{name: "chat, plain", responses: true, ask: overChat(`"stream":false`, 1), plain: true},
	{name: "stored chat", setup: keepsChats, ask: overChat(`"store":true,"stream":true,"stream_options":{"include_usage":true}`, 1)},
	{name: "stored chat, translated", setup: keepsChats, responses: true, ask: overChat(`"store":true,"stream":true,"stream_options":{"include_usage":true}`, 1)},
	{name: "summary", ask: overResponses(`"stream":true,"input":[{"role":"user","content":"cell CELL."},{"type":"compaction_trigger"}]`)},
	{name: "summary, partial responses", responses: true, ask: overResponses(`"stream":true,"input":[{"role":"user","content":"cell CELL."},{"type":"compaction_trigger"}]`)},
	{
		name: "repair", setup: withDialect("deepseek"),
		ask: overResponses(`"stream":true,"input":"cell CELL.",` + format),
		first: func(req *upstreamtest.Request) string {
			if bytes.Contains(req.Body, []byte("does not have the required format")) {
				return ""
			}
			return streams(`{"b":1}`)
		},
	},
	{name: "websocket", ask: overSocket},
	{name: "websocket, partial responses", responses: true, ask: overSocket},
	{name: "background", ask: overResponses(`"stream":true,"background":true,"input":"cell CELL."`)},
	{name: "background, partial responses", responses: true, ask: overResponses(`"stream":true,"background":true,"input":"cell CELL."`)},
}

// TestModes asks in all modes for all behaviours at the same time: most of it is waiting.
func TestModes(t *testing.T) {
	t.Parallel()
	got := make([][]*seen, len(modes))
	var asking sync.WaitGroup
	for i, m := range modes {
		got[i] = make([]*seen, len(behaviours))
		r, up := m.rig(t)
		release := sync.OnceFunc(func() { up.Release("heard") })
		if m.plain {
			release()
		}
		for j, b := range behaviours {
			got[i][j] = &seen{alive: func() {}}
			if b.name == "silent" {
				got[i][j].alive = release
			}
			asking.Go(func() { m.ask(r, b.name, got[i][j]) })
		}
	}
	asking.Wait()
	for i, m := range modes {
		for j, b := range behaviours {
			t.Run(m.name+"/"+b.name, func(t *testing.T) { b.judge(t, got[i][j], m.plain) })
		}
	}
}

// rig is a server in front of an upstream that behaves as the question says.
func (m *mode) rig(t *testing.T) (*rig, *upstreamtest.Server) {
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if m.first != nil {
			if script := m.first(req); script != "" {
				return script
			}
		}
		for _, b := range behaviours {
			if bytes.Contains(req.Body, []byte("cell "+b.name+".")) {
				return b.script(&voice{responses: m.responses})
			}
		}
		return "json 500 {}"
	})
	r := newRig(t, up.URL(), func(s *setup) {
		s.cfg.Upstream.Timeouts.Idle, s.cfg.Stream.UsageGrace = config.Duration(modeIdle), config.Duration(modeGrace)
		s.cfg.Stream.Heartbeat, s.cfg.Stream.HeartbeatStyle = config.Duration(modeKeepAlive), config.HeartbeatEvent
		s.cfg.Background.Workers = len(behaviours)
		if m.responses {
			upstreamKinds["half"](&s.cfg.Upstream)
		}
		if m.setup != nil {
			m.setup(s)
		}
	})
	return r, up
}

// judge compares what was seen with what should have been.
func (b *behaviour) judge(t *testing.T, s *seen, plain bool) {
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %.2000s", fmt.Sprintf(format, args...), s.raw)
	}
	switch {
	case b.failure == "" && (s.failure != "" || s.text != modeFirst+modeSecond):
		fault("got %q and the failure %q", s.text, s.failure)
	case b.failure == "" && !s.usage:
		fault("there is no usage")
	case b.failure != "" && !containsAny(s.failure, b.failure):
		fault("the failure is %q", s.failure)
	}
	if b.slow && !plain && s.keepAlives == 0 {
		fault("no keep-alives")
	}
}

// containsAny reports whether s contains one of the words, which | separates.
func containsAny(s, words string) bool {
	for word := range strings.SplitSeq(words, "|") {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
