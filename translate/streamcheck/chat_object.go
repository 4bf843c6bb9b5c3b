package streamcheck

import (
	"fmt"
	"strconv"
	"strings"
)

// ChatCompletion checks a chat.completion object on its own.
func ChatCompletion(raw []byte, opt ChatOptions) []Violation {
	r := &report{index: -1}
	v := r.parse(raw, func(path string) bool { return strings.HasPrefix(path, "choices[") })
	if v == nil {
		return r.violations
	}
	r.members(ChatMember, "the completion", v, append([]member{{"usage", object | null}}, chunkMembers...))
	if v.string("object") != "chat.completion" {
		r.fail(ChatObject, "object must be chat.completion, it is %s", clip(v.get("object")))
	}
	if u := v.get("usage"); u.is(object) {
		r.usageWhole(u)
	}
	choices := v.list("choices")
	if n := max(opt.Choices, 1); len(choices) != n {
		r.fail(ChoiceIndex, "there must be %d choices, there are %d", n, len(choices))
	}
	for i, ch := range choices {
		if index, ok := ch.int("index"); !ok || index != int64(i) {
			r.fail(ChoiceIndex, "choice %d has the index %s", i, clip(ch.get("index")))
		}
		r.wholeChoice(ch, opt)
	}
	return r.violations
}

func (r *report) wholeChoice(ch *value, opt ChatOptions) {
	r.members(ChoiceMember, "the choice", ch, []member{{"message", object}, {"finish_reason", text}})
	m := ch.get("message")
	if m.string("role") != "assistant" {
		r.fail(ChoiceRole, "the role must be assistant, it is %s", clip(m.get("role")))
	}
	r.members(ChoiceMember, "the message", m, []member{{"content", text | null}, {"refusal", text | null}, {"annotations", array}})
	for _, note := range m.list("annotations") {
		r.note(note)
	}
	calls := m.get("tool_calls")
	ids := map[string]bool{}
	if calls != nil && len(calls.elems) == 0 {
		r.fail(CallContents, "tool_calls must be left out rather than empty")
	}
	for _, call := range m.list("tool_calls") {
		typ, key := call.string("type"), "arguments"
		if typ == "custom" {
			key = "input"
		}
		if id := call.string("id"); id == "" || call.get(typ).string("name") == "" || typ != "function" && typ != "custom" {
			r.fail(CallBegin, "a call must have id, type and name")
		} else if ids[id] {
			r.fail(CallID, "two calls have the id %s", clipText(id))
		} else {
			ids[id] = true
		}
		if !call.get(typ).get(key).is(text) {
			r.fail(CallPayload, "a call must have %s, a string", key)
		}
	}
	legacy := m.get("function_call")
	if legacy != nil {
		r.members(CallPayload, "function_call", legacy, []member{{"name", text}, {"arguments", text}})
	}
	if lp := ch.get("logprobs"); lp.is(object) {
		r.tokenList(lp)
	} else if opt.Logprobs && lp == nil {
		r.fail(ChoiceTokens, "a choice must have logprobs, null if there are none: they were asked for")
	}
	if f := ch.get("finish_reason"); f.is(text) {
		r.finishFits(f.str, calls != nil, legacy != nil)
	}
}

// ChatFolded is what a chat stream adds up to.
type ChatFolded struct {
	// Error is the error that ended the stream, or nil.
	Error []byte
	// Completion is the chat.completion that a client arrives at.
	Completion []byte
}

// FoldChat replays a whole chat stream. It fails when the chunks cannot be put
// together: ChatStream tells more about why.
func FoldChat(raw []byte, opt ChatOptions) (ChatFolded, error) {
	c := runChat(raw, opt)
	if len(c.violations) > 0 {
		return ChatFolded{}, fmt.Errorf("fold: %v", c.violations[0])
	}
	if c.err != nil {
		return ChatFolded{Error: c.err.raw}, nil
	}
	w := objectWriter{}
	for _, key := range []string{"id", "created", "model", "system_fingerprint"} {
		if v := c.first.get(key); v != nil {
			w.member(key, v.raw)
		}
	}
	w.member("object", quote("chat.completion"))
	choices := make([][]byte, len(c.choices))
	for i := range c.choices {
		choices[i] = c.choices[i].fold(i)
	}
	w.member("choices", foldArray(choices))
	if c.tier != nil {
		w.member("service_tier", c.tier.raw)
	}
	if c.verdict != nil {
		w.member("moderation", c.verdict.raw)
	}
	if c.usage != nil {
		w.member("usage", c.usage.raw)
	} else {
		w.member("usage", []byte("null"))
	}
	return ChatFolded{Completion: w.end()}, nil
}

func (st *chatChoice) fold(index int) []byte {
	m := objectWriter{}
	m.member("role", quote("assistant"))
	said := func(key string) string {
		if b := st.text[key]; b != nil {
			return b.String()
		}
		return ""
	}
	refusal := said("refusal")
	if content := said("content"); content == "" && (len(st.calls) > 0 || st.legacy != nil || refusal != "") {
		m.member("content", []byte("null"))
	} else {
		m.member("content", quote(content))
	}
	if thoughts := said("reasoning_content"); thoughts != "" {
		m.member("reasoning_content", quote(thoughts))
	}
	if refusal == "" {
		m.member("refusal", []byte("null"))
	} else {
		m.member("refusal", quote(refusal))
	}
	m.member("annotations", foldValues(st.notes))
	if st.legacy != nil {
		f := objectWriter{}
		f.member("name", quote(st.legacy.name))
		f.member("arguments", quote(st.legacy.payload.String()))
		m.member("function_call", f.end())
	}
	if len(st.calls) > 0 {
		calls := make([][]byte, len(st.calls))
		for i, s := range st.calls {
			calls[i] = s.fold()
		}
		m.member("tool_calls", foldArray(calls))
	}
	w := objectWriter{}
	w.member("index", []byte(strconv.Itoa(index)))
	w.member("message", m.end())
	if st.tokenSet {
		lp := objectWriter{}
		lp.member("content", foldValues(st.tokens))
		lp.member("refusal", []byte("null"))
		w.member("logprobs", lp.end())
	} else {
		w.member("logprobs", []byte("null"))
	}
	w.member("finish_reason", quote(st.finish))
	return w.end()
}

func (s *chatCallState) fold() []byte {
	key := "arguments"
	if s.typ == "custom" {
		key = "input"
	}
	inner := objectWriter{}
	inner.member("name", quote(s.name))
	inner.member(key, quote(s.payload.String()))
	w := objectWriter{}
	w.member("id", quote(s.id))
	w.member("type", quote(s.typ))
	w.member(s.typ, inner.end())
	return w.end()
}
