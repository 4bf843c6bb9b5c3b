package streamcheck

import (
	"bytes"
	"strings"
)

// ChatOptions say what a chat completion stream was asked for.
type ChatOptions struct {
	// Choices is n; 0 means 1.
	Choices int
	// Usage says that stream_options.include_usage was given.
	Usage bool
	// Logprobs says that logprobs were asked for.
	Logprobs bool
}

// ChatStream checks a whole stream of chat.completion.chunk events, as a client
// receives it: what the SDKs insist on, and what the live API keeps to. A stream
// ends with [DONE], after an error too.
func ChatStream(raw []byte, opt ChatOptions) []Violation {
	return runChat(raw, opt).violations
}

// chatChecker is the state of one pass over a chat stream.
type chatChecker struct {
	report
	opt     ChatOptions
	first   *value // the first chunk
	choices []chatChoice
	usage   *value
	tier    *value
	verdict *value // moderation
	err     *value
	done    bool
}

// chatChoice is what has come of a choice.
type chatChoice struct {
	begun    bool
	finish   string
	text     map[string]*strings.Builder // content, refusal, reasoning_content
	calls    []*chatCallState
	legacy   *chatCallState
	tokens   []*value
	notes    []*value
	tokenSet bool
}

type chatCallState struct {
	id, typ, name string
	payload       strings.Builder
}

func runChat(raw []byte, opt ChatOptions) *chatChecker {
	if opt.Choices == 0 {
		opt.Choices = 1
	}
	c := &chatChecker{opt: opt, choices: make([]chatChoice, opt.Choices)}
	for i := range c.choices {
		c.choices[i].text = map[string]*strings.Builder{}
	}
	c.frames(raw)
	c.index, c.typ = -1, ""
	if !c.done {
		c.fail(ChatDone, "the stream ends without data: [DONE]")
	}
	if c.err == nil {
		for i := range c.choices {
			if c.choices[i].finish == "" {
				c.fail(ChoiceFinish, "choice %d has no finish_reason", i)
			}
		}
	}
	return c
}

// frames cuts the stream into its events: one data: line and a blank line.
func (c *chatChecker) frames(raw []byte) {
	var data []byte
	filled, afterComment := false, false
	dispatch := func() {
		c.event(data)
		data, filled = nil, false
	}
	for len(raw) > 0 {
		line, rest, whole := bytes.Cut(raw, []byte("\n"))
		raw = rest
		if bytes.IndexByte(line, '\r') >= 0 {
			c.fail(SSECR, "lines must end with a single line feed, a carriage return was found")
			line = bytes.ReplaceAll(line, []byte("\r"), nil)
		}
		if !whole {
			c.fail(SSETruncated, "the stream ends in the middle of a line")
		}
		switch {
		case len(line) == 0 && filled:
			dispatch()
		case len(line) == 0 && afterComment:
			afterComment = false
		case len(line) == 0:
			c.fail(SSEBlankLine, "a blank line that ends nothing")
		case line[0] == ':':
			if filled {
				c.fail(SSEComment, "a comment must stand between events, not inside one")
			}
			afterComment = !filled
		case bytes.HasPrefix(line, []byte("data: ")):
			afterComment = false
			if filled {
				c.fail(SSEDataLine, "an event must have one data: line, and a blank line after it")
				dispatch()
			}
			data, filled = line[len("data: "):], true
		case bytes.HasPrefix(line, []byte("event:")):
			c.fail(ChatEventLine, "a chat stream has no event: lines")
		default:
			c.fail(SSELine, "a line must be %q, a comment or blank, it is %s", "data: …", clip(&value{raw: line}))
		}
	}
	if filled {
		c.fail(SSETruncated, "the stream ends inside an event: the last blank line is missing")
		dispatch()
	}
}

func (c *chatChecker) event(data []byte) {
	defer func() { c.index++ }()
	c.typ = "chunk"
	if string(data) == "[DONE]" {
		c.typ = "[DONE]"
		if c.done {
			c.fail(ChatDone, "data: [DONE] occurs twice")
		}
		c.done = true
		return
	}
	switch {
	case c.done:
		c.fail(ChatAfterDone, "data: [DONE] must be the last event")
	case c.err != nil:
		c.fail(ChatAfterError, "only data: [DONE] may follow an error")
	}
	v := c.parse(data, func(string) bool { return true })
	if v == nil {
		return
	}
	if e := v.get("error"); e != nil {
		c.typ = "error"
		if v.get("choices") != nil || !e.is(object) {
			c.fail(ChatErrorKey, "a chunk must not have a key error, null included")
		} else {
			c.err = e
			c.errorMembers(e)
		}
		return
	}
	c.chunk(v)
}

// errorMembers checks the error's four members.
func (r *report) errorMembers(e *value) {
	r.members(ChatError, "error", e, []member{{"message", text}, {"type", text}, {"param", text | null}, {"code", text | null}})
	for _, name := range []string{"message", "type"} {
		if m := e.get(name); m.is(text) && m.str == "" {
			r.fail(ChatError, "error.%s must not be empty", name)
		}
	}
}

var chunkMembers = []member{{"id", text}, {"object", text}, {"created", integer}, {"model", text}, {"choices", array}}

func (c *chatChecker) chunk(v *value) {
	c.members(ChatMember, "the chunk", v, chunkMembers)
	c.optional(ChatMember, "the chunk", v, []member{{"service_tier", text | null}, {"system_fingerprint", text | null}, {"usage", object | null}})
	if v.string("object") != "chat.completion.chunk" {
		c.fail(ChatObject, "object must be chat.completion.chunk, it is %s", clip(v.get("object")))
	}
	if id := v.get("id"); id.is(text) && id.str == "" {
		c.fail(ChatMember, "id must not be empty")
	}
	if o := v.get("obfuscation"); o != nil && (!o.is(text) || strings.Trim(o.str, alphanumeric) != "" || o.str == "") {
		c.fail(ChatObfuscation, "obfuscation must be letters and digits, it is %s", clip(o))
	}
	if c.first == nil {
		c.first = v
	} else {
		for _, name := range []string{"id", "created", "model", "system_fingerprint"} {
			if a, b := c.first.get(name), v.get(name); (a == nil) != (b == nil) || a != nil && !bytes.Equal(a.raw, b.raw) {
				c.fail(ChatSame, "%s must stay %s, it is %s", name, clip(a), clip(b))
			}
		}
	}
	if tier := v.get("service_tier"); tier != nil {
		c.tier = tier
	}
	if m := v.get("moderation"); m.is(object) {
		c.verdict = m
	}
	choices := v.list("choices")
	c.usageOf(v, len(choices))
	seen := map[int64]bool{}
	for _, ch := range choices {
		index, ok := ch.int("index")
		if !ok || index < 0 || index >= int64(c.opt.Choices) || seen[index] {
			c.fail(ChoiceIndex, "index must be one of the %d choices, each once in a chunk, it is %s", c.opt.Choices, clip(ch.get("index")))
			continue
		}
		seen[index] = true
		c.choice(&c.choices[index], ch)
	}
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// usageOf checks usage:null on every chunk but the last, when it was asked for.
func (c *chatChecker) usageOf(v *value, choices int) {
	u := v.get("usage")
	switch {
	case u.is(object):
		for i := range c.choices {
			if c.choices[i].finish == "" {
				c.fail(ChatUsagePlace, "the usage must come after the finish_reason of every choice")
				break
			}
		}
		switch {
		case c.usage != nil:
			c.fail(ChatUsagePlace, "the usage must come once")
		case choices > 0:
			c.fail(ChatUsagePlace, "the chunk with the usage must have no choices")
		case !c.opt.Usage:
			c.fail(ChatUsageNull, "nobody asked for the usage")
		}
		c.usage = u
		c.usageWhole(u)
	case choices == 0 && !v.get("moderation").is(object):
		c.fail(ChatMember, "a chunk without choices must have the usage, or what moderation has found")
	case c.opt.Usage && !u.is(null), !c.opt.Usage && u != nil:
		c.fail(ChatUsageNull, "usage must be null in chunks of a stream with include_usage, and not there in others, it is %s", clip(u))
	case c.usage != nil:
		c.fail(ChatUsagePlace, "nothing may follow the usage")
	}
}

// usageWhole checks a usage object.
func (r *report) usageWhole(u *value) {
	total := int64(0)
	for _, name := range []string{"prompt_tokens", "completion_tokens", "total_tokens"} {
		n, ok := u.int(name)
		if !ok || n < 0 {
			r.fail(ChatUsage, "usage.%s must be a count, it is %s", name, clip(u.get(name)))
			return
		}
		if name == "total_tokens" && n != total {
			r.fail(ChatUsage, "usage.total_tokens must be %d, it is %d", total, n)
		}
		total += n
	}
	for _, d := range []struct {
		name, count string
	}{{"prompt_tokens_details", "cached_tokens"}, {"completion_tokens_details", "reasoning_tokens"}} {
		if n, ok := u.get(d.name).int(d.count); !ok || n < 0 {
			r.fail(ChatUsage, "usage.%s must have the count %s", d.name, d.count)
		}
	}
}

var finishReasons = map[string]bool{"stop": true, "length": true, "tool_calls": true, "content_filter": true, "function_call": true}

func (c *chatChecker) choice(st *chatChoice, ch *value) {
	if st.finish != "" {
		c.fail(ChoiceClosed, "nothing may follow a finish_reason in its choice")
	}
	c.members(ChoiceMember, "the choice", ch, []member{{"delta", object}, {"finish_reason", text | null}})
	delta := ch.get("delta")
	finish := ch.get("finish_reason")
	if delta.is(object) {
		c.delta(st, delta, finish.is(text))
	}
	c.tokens(st, ch)
	if finish.is(text) {
		st.finish = finish.str
		c.finishFits(finish.str, len(st.calls) > 0, st.legacy != nil)
	}
}

// finishFits checks a finish_reason against what the choice holds.
func (r *report) finishFits(word string, calls, legacy bool) {
	switch {
	case !finishReasons[word]:
		r.fail(ChoiceFinish, "finish_reason %s is not known", clipText(word))
	case word == "tool_calls" && !calls, word == "function_call" && !legacy, word == "stop" && (calls || legacy):
		r.fail(ChoiceFinish, "finish_reason %s contradicts the calls", word)
	}
}

func (c *chatChecker) delta(st *chatChoice, delta *value, last bool) {
	if role := delta.get("role"); st.begun && role != nil || !st.begun && role == nil {
		c.fail(ChoiceRole, "the role must come once, in the first delta")
	} else if role != nil && (!role.is(text) || role.str != "assistant") {
		c.fail(ChoiceRole, "the role must be assistant, it is %s", clip(role))
	}
	if st.begun && !last && len(delta.keys) == 0 {
		c.fail(ChatEmpty, "a delta without members must end its choice")
	}
	st.begun = true
	for i, key := range delta.keys {
		v := delta.elems[i]
		switch key {
		case "role":
		case "content", "refusal", "reasoning_content":
			if !v.is(text | null) {
				c.fail(ChoiceDelta, "%s must be text or null, it is %s", key, clip(v))
				continue
			}
			if st.text[key] == nil {
				st.text[key] = &strings.Builder{}
			}
			st.text[key].WriteString(v.str)
		case "tool_calls":
			c.toolCalls(st, v)
		case "function_call":
			c.legacyCall(st, v)
		case "annotations":
			for _, note := range v.elems {
				c.note(note)
			}
			if !v.is(array) {
				c.fail(ChoiceDelta, "annotations must be an array")
			}
			st.notes = append(st.notes, v.elems...)
		default:
			c.fail(ChoiceDelta, "the member %s is not known", clipText(key))
		}
	}
}

func (c *chatChecker) toolCalls(st *chatChoice, v *value) {
	if !v.is(array) || len(v.elems) == 0 || st.legacy != nil {
		c.fail(CallContents, "tool_calls must be a list of calls, without a function_call beside it")
		return
	}
	for _, call := range v.elems {
		index, ok := call.int("index")
		if !ok || index < 0 || index > 127 || index > int64(len(st.calls)) {
			c.fail(CallIndex, "the index of a call must count from 0 to 127, it is %s", clip(call.get("index")))
			continue
		}
		if index == int64(len(st.calls)) {
			s := &chatCallState{id: call.string("id"), typ: call.string("type")}
			s.name = call.get(s.typ).string("name")
			if s.id == "" || s.name == "" || s.typ != "function" && s.typ != "custom" {
				c.fail(CallBegin, "call %d must begin with id, type and name", index)
			}
			for _, o := range st.calls {
				if o.id == s.id && s.id != "" {
					c.fail(CallID, "two calls have the id %s", clipText(s.id))
				}
			}
			st.calls = append(st.calls, s)
		} else if id, name := call.get("id"), call.get(st.calls[index].typ).get("name"); id != nil || name != nil || call.get("type") != nil {
			c.fail(CallRepeat, "id, type and name of a call come once, with its first fragment")
		}
		c.payload(st.calls[index], call.get(st.calls[index].typ), index)
	}
}

func (c *chatChecker) payload(s *chatCallState, inner *value, index int64) {
	key := "arguments"
	if s.typ == "custom" {
		key = "input"
	}
	p := inner.get(key)
	if !p.is(text) {
		c.fail(CallPayload, "call %d must have %s.%s, a string", index, s.typ, key)
		return
	}
	s.payload.WriteString(p.str)
}

func (c *chatChecker) legacyCall(st *chatChoice, v *value) {
	if !v.is(object) || len(st.calls) > 0 {
		c.fail(CallContents, "function_call must be an object, without tool_calls beside it")
		return
	}
	name := v.get("name")
	if st.legacy == nil {
		st.legacy = &chatCallState{name: v.string("name")}
		if st.legacy.name == "" {
			c.fail(CallBegin, "a function_call must begin with its name")
		}
	} else if name != nil {
		c.fail(CallRepeat, "the name of a function_call comes once")
	}
	if p := v.get("arguments"); p.is(text) {
		st.legacy.payload.WriteString(p.str)
	} else {
		c.fail(CallPayload, "function_call must have arguments, a string")
	}
}

// tokens checks a choice's logprobs, which are there when they were asked for.
func (c *chatChecker) tokens(st *chatChoice, ch *value) {
	lp := ch.get("logprobs")
	switch {
	case lp == nil && c.opt.Logprobs:
		c.fail(ChoiceTokens, "a choice must have logprobs, null if there are none: they were asked for")
	case lp.is(object):
		st.tokenSet = true
		st.tokens = append(st.tokens, c.tokenList(lp)...)
	case lp != nil && !lp.is(null):
		c.fail(ChoiceTokens, "logprobs must be an object or null")
	}
}

func (r *report) tokenList(lp *value) []*value {
	r.members(ChoiceTokens, "logprobs", lp, []member{{"content", array | null}, {"refusal", array | null}})
	for _, token := range lp.list("content") {
		r.members(ChoiceTokens, "the token", token, []member{{"token", text}, {"logprob", number}, {"bytes", array | null}, {"top_logprobs", array}})
		for _, top := range token.list("top_logprobs") {
			r.members(ChoiceTokens, "the alternative", top, []member{{"token", text}, {"logprob", number}, {"bytes", array | null}})
		}
	}
	return lp.list("content")
}

func (r *report) note(note *value) {
	cite := note.get("url_citation")
	if note.string("type") != "url_citation" || !cite.is(object) {
		r.fail(ChoiceNote, "an annotation must be a url_citation, it is %s", clip(note))
		return
	}
	r.members(ChoiceNote, "url_citation", cite, []member{{"start_index", integer}, {"end_index", integer}, {"url", text}, {"title", text}})
}
