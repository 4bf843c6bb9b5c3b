package zoo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// turn is what the model says.
type turn struct {
	thought string
	text    string
	calls   []spoken
	finish  string // stop, tool_calls or length
	logs    bool   // with logprobs
	prompt  int    // tokens, which are words
	tokens  int
}

// spoken is a call that the model makes.
type spoken struct {
	name, arguments string
	custom          bool // the arguments are free text
}

// say is what the model has to say to a request.
func (f *Family) say(r *Request) *turn {
	h, last := &f.Habits, r.last()
	t := &turn{finish: "stop", logs: !h.NoLogprobs && r.word("logprobs") == "true"}
	for i := range r.Messages {
		t.prompt += 4 + len(strings.Fields(r.Messages[i].Text))
	}
	said := r.said()
	if h.Thinks != ThinksNot && !f.off(r) && (r.Stream || !h.ThinksStreamed) {
		t.thought = "I was asked: " + said
	}
	t.calls = f.calls(r, last, said)
	form, schema := f.format(r), r.Format.JSONSchema.Schema
	if form != "json_schema" {
		schema = r.schemaSaid()
	}
	switch {
	case len(t.calls) > 0:
		t.finish = "tool_calls"
	case schema != nil:
		t.text = string(toJSON(example(schema, 0)))
	case form == "json_object", r.jsonSaid():
		t.text = string(toJSON(object{"echo": said}))
	case last.Role == "tool":
		t.text = "results: " + results(r)
	default:
		t.text = f.echo(r, said)
	}
	t.limit(f, r)
	return t
}

// said is what the user said last.
func (r *Request) said() string {
	if i := r.lastUser(); i >= 0 {
		return r.Messages[i].Text
	}
	return ""
}

// off reports whether the request keeps the model from thinking.
func (f *Family) off(r *Request) bool {
	return slices.ContainsFunc(f.Habits.Off, func(o [2]string) bool { return r.word(o[0]) == o[1] })
}

func (f *Family) format(r *Request) string {
	if f.Habits.IgnoresFormat || f.Habits.IgnoresSchema && r.Format.Type == "json_schema" {
		return ""
	}
	return r.Format.Type
}

// jsonSaid reports whether the messages ask the model for nothing but JSON.
func (r *Request) jsonSaid() bool {
	return slices.ContainsFunc(r.Messages, func(m Message) bool {
		return m.Role != "assistant" && strings.Contains(m.Text, "JSON") && strings.Contains(m.Text, "no other text")
	})
}

// schemaSaid is the schema that the messages ask the model to keep to, or nil.
func (r *Request) schemaSaid() (schema json.RawMessage) {
	for i := range r.Messages {
		text := r.Messages[i].Text
		if !strings.Contains(text, `"properties"`) {
			continue
		}
		if json.NewDecoder(strings.NewReader(text[strings.IndexByte(text, '{'):])).Decode(&schema) == nil {
			return schema
		}
	}
	return nil
}

// calls are the calls that the model was told to make.
func (f *Family) calls(r *Request, last *Message, said string) (calls []spoken) {
	form, names := r.choice()
	if f.Habits.IgnoresChoice || f.Habits.IgnoresNamed && form == "named" {
		form, names = "", nil
	}
	if form == "none" || len(r.Tools) == 0 || last.Role == "tool" {
		return nil
	}
	call := func(t *Tool) {
		calls = append(calls, spoken{t.name(), arguments(len(calls)), t.Type == "custom"})
	}
	may := func(t *Tool) bool { return names == nil || slices.Contains(names, t.name()) }
	if _, list, found := strings.Cut(said, "CALL "); found {
		for word := range strings.FieldsSeq(list) {
			for i := range r.Tools {
				if t := &r.Tools[i]; may(t) && (t.name() == word || strings.HasPrefix(t.name(), word+"_")) {
					call(t)
				}
			}
		}
	}
	if calls == nil && slices.Contains([]string{"required", "any", "named", "allowed_tools required"}, form) {
		if i := slices.IndexFunc(r.Tools, func(t Tool) bool { return may(&t) }); i >= 0 {
			call(&r.Tools[i])
		}
	}
	return calls
}

func arguments(n int) string { return fmt.Sprintf(`{"q":"a \"b\" é","n":%d}`, n) }

// results are what the tool messages at the end say, each behind its call or all
// behind all.
func results(r *Request) string {
	var all []string
	for i := len(r.Messages) - 1; i >= 0; i-- {
		m := &r.Messages[i]
		if m.Role != "tool" && (m.Role != "assistant" || len(m.ToolCalls) != 1) {
			break
		}
		if m.Role == "tool" {
			all = append(all, m.Text)
		}
	}
	slices.Reverse(all)
	return strings.Join(all, ", ")
}

func (f *Family) echo(r *Request, said string) string {
	var b strings.Builder
	b.WriteString("echo: " + said)
	images := 0
	for i, m := range r.Messages {
		if i == r.lastUser() {
			for _, p := range m.Parts {
				if p == "image_url" {
					images++
				}
			}
		}
		system := m.Role == "system" || m.Role == "developer" || m.Role == "user" && i == 0 && len(r.Messages) > 1 // where there is no such role
		if system && strings.Contains(said, "SYSTEM") && !(f.Habits.HidesLaterSystem && i > 0) {
			b.WriteString("; system: " + m.Text)
		}
	}
	if images > 0 {
		fmt.Fprintf(&b, "; %d images", images)
	}
	return b.String()
}

// limit cuts the turn off at the request's maximum. Thoughts count; a call is cut
// off within its arguments.
func (t *turn) limit(f *Family, r *Request) {
	most := r.MaxTokens
	if !f.Habits.IgnoresMaxCompletionTokens && r.MaxCompletionTokens > 0 {
		most = r.MaxCompletionTokens
	}
	left := most
	if most <= 0 {
		left = 1 << 20
	}
	cut := func(s string) string {
		words := strings.SplitAfter(s, " ")
		if s == "" {
			return s
		}
		if len(words) > left {
			words = words[:left]
			t.finish = "length"
		}
		left -= len(words)
		t.tokens += len(words)
		return strings.Join(words, "")
	}
	t.thought = cut(t.thought)
	t.text = cut(t.text)
	for i := range t.calls {
		if left <= 0 {
			t.calls, t.finish = t.calls[:i], "length"
			break
		}
		t.calls[i].arguments = cut(t.calls[i].arguments)
	}
}

// example is a value that a schema allows.
func example(schema json.RawMessage, depth int) any {
	var s struct {
		Type       any
		Properties map[string]json.RawMessage
		Items      json.RawMessage
		Enum       []any
	}
	_ = json.Unmarshal(schema, &s)
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	typ, _ := s.Type.(string)
	switch typ {
	case "string":
		return "x"
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	case "array":
		if depth > 8 || s.Items == nil {
			return []any{}
		}
		return []any{example(s.Items, depth+1)}
	}
	o := object{}
	for k, v := range s.Properties {
		if depth < 8 {
			o[k] = example(v, depth+1)
		}
	}
	return o
}
