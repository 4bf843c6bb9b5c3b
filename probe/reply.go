package probe

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// said is what a reply says, however it says it.
type said struct {
	text, thought string
	calls         []call
	finish        string
	usage         struct{ Prompt, Completion int }
	logprobs      bool
	parsed        bool // there was a message

	habits habits
}

type call struct{ id, name, arguments string }

// habits are things about a reply that the translation copes with.
type habits struct {
	reasoning []string // keys of reasoning
	tags      bool
	parts     bool // content was an array
	role      int  // chunks with a role
	chunks    int
	usage     string
	done      bool
	comments  bool
	crlf      bool
	index     string
	pieces    int // chunks that a call took
	objects   bool
	cached    string
	extras    []string // members of calls that the reference does not have
	events    [][]byte
}

func (h *habits) see(list *[]string, what string) {
	if !slices.Contains(*list, what) && len(*list) < 8 {
		*list = append(*list, what)
	}
}

// failure reports whether a reply with status 200 is an error.
func (r *reply) failure() bool {
	var body struct {
		Error    json.RawMessage
		BaseResp struct {
			Code int `json:"status_code"`
		} `json:"base_resp"`
	}
	_ = json.Unmarshal(r.body, &body)
	return !r.parsed && (len(body.Error) > 0 || body.BaseResp.Code != 0)
}

// read reads the body.
func (r *reply) read() {
	if r.status != 200 {
		return
	}
	if !r.stream || json.Valid(r.body) {
		r.take(r.body)
		return
	}
	h := &r.habits
	h.crlf = bytes.Contains(r.body, []byte("\r\n"))
	for line := range bytes.Lines(r.body) {
		h.comments = h.comments || line[0] == ':'
	}
	var d sse.Decoder
	d.Feed(r.body)
	for e, ok := d.Next(); ok; e, ok = d.Next() {
		if string(e.Data) == "[DONE]" {
			h.done = true
			continue
		}
		h.events = append(h.events, bytes.Clone(e.Data))
		h.chunks++
		r.take(e.Data)
	}
}

// take takes in a completion, or a chunk of one.
func (r *reply) take(data []byte) {
	var c struct {
		Choices []struct {
			Message, Delta map[string]json.RawMessage
			Finish         *string `json:"finish_reason"`
			Logprobs       json.RawMessage
			Usage          json.RawMessage
		}
		Usage json.RawMessage
		XGroq struct{ Usage json.RawMessage } `json:"x_groq"`
	}
	if json.Unmarshal(data, &c) != nil {
		return
	}
	h := &r.habits
	place := func(name string, usage json.RawMessage) {
		if len(usage) == 0 || string(usage) == "null" {
			return
		}
		h.usage = name
		r.takeUsage(usage)
	}
	for i := range c.Choices {
		ch := &c.Choices[i]
		m := ch.Delta
		if m == nil {
			m = ch.Message
		}
		if m == nil {
			continue
		}
		r.parsed = true
		r.takeMessage(m)
		if ch.Finish != nil && *ch.Finish != "" {
			r.finish = *ch.Finish
		}
		r.logprobs = r.logprobs || len(ch.Logprobs) > 0 && string(ch.Logprobs) != "null"
		place("in the choice", ch.Usage)
		if i == 0 && len(c.Usage) > 0 {
			place("with the choices", c.Usage)
		}
	}
	if len(c.Choices) == 0 {
		place("in a chunk of its own", c.Usage)
	}
	place("in x_groq", c.XGroq.Usage)
}

func (r *reply) takeUsage(usage json.RawMessage) {
	var u struct {
		Prompt     int  `json:"prompt_tokens"`
		Completion int  `json:"completion_tokens"`
		Cached     *int `json:"cached_tokens"`
		Hit        *int `json:"prompt_cache_hit_tokens"`
		Details    struct {
			Cached *int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
	if json.Unmarshal(usage, &u) != nil || u.Prompt < 0 || u.Completion < 0 {
		return
	}
	r.usage.Prompt, r.usage.Completion = u.Prompt, u.Completion
	switch {
	case u.Details.Cached != nil:
		r.habits.cached = "prompt_tokens_details.cached_tokens"
	case u.Hit != nil:
		r.habits.cached = "prompt_cache_hit_tokens"
	case u.Cached != nil:
		r.habits.cached = "cached_tokens"
	}
}

func (r *reply) takeMessage(m map[string]json.RawMessage) {
	h := &r.habits
	if m["role"] != nil {
		h.role++
	}
	text := func(v json.RawMessage) string {
		var s string
		_ = json.Unmarshal(v, &s)
		return s
	}
	r.text += text(m["content"])
	if c := bytes.TrimSpace(m["content"]); len(c) > 0 && c[0] == '[' {
		h.parts = true
		var parts []struct {
			Text     string
			Thinking json.RawMessage
		}
		_ = json.Unmarshal(c, &parts)
		for _, p := range parts {
			r.text += p.Text
			if p.Thinking != nil {
				r.thought += string(p.Thinking)
				h.see(&h.reasoning, "parts of the content")
			}
		}
	}
	for _, key := range []string{"reasoning_content", "reasoning", "reasoning_details", "thinking"} {
		if v := m[key]; len(v) > 0 && string(v) != "null" && string(v) != `""` && string(v) != "[]" {
			h.see(&h.reasoning, key)
			r.thought += text(v)
		}
	}
	if strings.HasPrefix(strings.TrimLeft(r.text, " \n\r\t"), "<think>") {
		h.tags = true
	}
	var calls []map[string]json.RawMessage
	_ = json.Unmarshal(m["tool_calls"], &calls)
	for i, c := range calls {
		r.takeCall(c, i, text)
	}
}

func (r *reply) takeCall(c map[string]json.RawMessage, at int, text func(json.RawMessage) string) {
	h := &r.habits
	for key := range c {
		if !slices.Contains([]string{"id", "type", "index", "function", "custom"}, key) {
			h.see(&h.extras, key)
		}
	}
	var f struct{ Name, Arguments json.RawMessage }
	_ = json.Unmarshal(c["function"], &f)
	h.pieces++
	h.objects = h.objects || len(f.Arguments) > 0 && bytes.TrimSpace(f.Arguments)[0] == '{'
	if r.stream {
		var index *int
		_ = json.Unmarshal(c["index"], &index)
		switch {
		case index == nil:
			h.index = "missing"
		case *index == 0 && len(r.calls) > 0 && text(f.Name) != "" && h.index == "":
			h.index = "always 0"
		case *index > 0:
			h.index = "right"
		}
	} else if at >= 0 {
		h.index = ""
	}
	if name := text(f.Name); name != "" && len(r.calls) < 16 {
		r.calls = append(r.calls, call{text(c["id"]), name, ""})
	}
	if n := len(r.calls); n > 0 {
		r.calls[n-1].arguments += text(f.Arguments)
	}
}

// visible is the text without what stands in <think>.
func (r *reply) visible() string {
	if !r.habits.tags {
		return r.text
	}
	_, after, _ := strings.Cut(r.text, "</think>")
	return after
}

// thought reports whether there were thoughts.
func (r *reply) thinks() bool { return r.thought != "" || r.habits.tags }

// output is the reply as items of the Responses API: what a client would send back.
func (r *reply) output(request fields) ([]any, bool) {
	var req translate.Request
	if req.Parse(toJSON(request), translate.RequestLimits{}) != nil {
		return nil, false
	}
	// Names of tools are settled when a request is translated.
	if _, err := req.AppendChat(nil, translate.ChatOptions{Dialect: &r.dialect, Losses: new(translate.Losses)}); err != nil {
		return nil, false
	}
	var turn translate.Turn
	turn.Reset(translate.TurnOptions{Request: &req, Dialect: &r.dialect, Losses: new(translate.Losses), Sealer: open{}, MaxBytes: 1 << 20})
	if r.stream {
		for _, e := range r.habits.events {
			turn.Feed(nil, e)
		}
		turn.Finish(nil)
	} else {
		turn.FeedMessage(nil, r.body)
	}
	if turn.Failure() != nil {
		return nil, false
	}
	var response struct{ Output []any }
	if json.Unmarshal(turn.Response(nil, 0, false), &response) != nil {
		return nil, false
	}
	return response.Output, len(response.Output) > 0
}
