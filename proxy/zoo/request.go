package zoo

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Request is a chat request as a server reads it.
type Request struct {
	Body       []byte
	Keys       map[string]json.RawMessage
	Messages   []Message
	Tools      []Tool
	ToolChoice json.RawMessage `json:"tool_choice"`
	Format     struct {
		Type       string
		JSONSchema struct{ Schema json.RawMessage } `json:"json_schema"`
	} `json:"response_format"`
	Stream        bool
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int `json:"max_tokens"`
	MaxCompletionTokens int `json:"max_completion_tokens"`
}

// Message is one of its messages.
type Message struct {
	Role       string
	Content    json.RawMessage
	ToolCallID string `json:"tool_call_id"`
	ToolCalls  []Call `json:"tool_calls"`

	Keys  map[string]json.RawMessage `json:"-"`
	Text  string                     `json:"-"` // of all its text parts
	Parts []string                   `json:"-"` // types, if the content is an array
}

// Call is a tool call of an assistant message.
type Call struct {
	ID, Type string
	Function struct {
		Name      string
		Arguments json.RawMessage // a string, as a rule
	}
	Custom struct{ Name, Input string }
	Extra  struct {
		Google struct {
			Signature string `json:"thought_signature"`
		}
	} `json:"extra_content"`
}

// Tool is one of the tools.
type Tool struct {
	Type     string
	Keys     map[string]json.RawMessage `json:"-"`
	Function struct {
		Name       string
		Strict     *bool
		Parameters json.RawMessage
	}
	Custom struct{ Name string }
}

func (t *Tool) name() string { return t.Function.Name + t.Custom.Name }

// Read reads a request. What cannot be read at all is an error.
func Read(body []byte) (*Request, error) {
	r := &Request{Body: body}
	if err := json.Unmarshal(body, &r.Keys); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, err
	}
	var messages, tools []json.RawMessage
	_ = json.Unmarshal(r.Keys["messages"], &messages)
	for i := range r.Messages {
		m := &r.Messages[i]
		_ = json.Unmarshal(messages[i], &m.Keys)
		m.read()
	}
	_ = json.Unmarshal(r.Keys["tools"], &tools)
	for i := range r.Tools {
		_ = json.Unmarshal(tools[i], &r.Tools[i].Keys)
	}
	return r, nil
}

func (m *Message) read() {
	if json.Unmarshal(m.Content, &m.Text) == nil {
		return
	}
	var parts []struct{ Type, Text string }
	_ = json.Unmarshal(m.Content, &parts)
	var texts []string
	for _, p := range parts {
		m.Parts = append(m.Parts, p.Type)
		if p.Type == "text" {
			texts = append(texts, p.Text)
		}
	}
	m.Text = strings.Join(texts, "\n")
}

// has reports whether a key of the request is there and not null.
func (r *Request) has(key string) bool { return present(r.Keys[key]) }

func present(v json.RawMessage) bool {
	v = bytes.TrimSpace(v)
	return len(v) > 0 && string(v) != "null"
}

// choice is the form of tool_choice: "", auto, none, required, any, named,
// allowed_tools, or another word; and the names in it.
func (r *Request) choice() (form string, names []string) {
	var word string
	if json.Unmarshal(r.ToolChoice, &word) == nil {
		return word, nil
	}
	var object struct {
		Tool
		Allowed struct {
			Mode  string
			Tools []Tool
		} `json:"allowed_tools"`
	}
	if !present(r.ToolChoice) || json.Unmarshal(r.ToolChoice, &object) != nil {
		return "", nil
	}
	if object.Type != "allowed_tools" {
		return "named", []string{object.name()}
	}
	for i := range object.Allowed.Tools {
		names = append(names, object.Allowed.Tools[i].name())
	}
	return object.Type + " " + object.Allowed.Mode, names
}

// word is a key of the request that holds a string, or a member of an object that
// is its value ("thinking.type").
func (r *Request) word(path string) string {
	key, member, nested := strings.Cut(path, ".")
	v := r.Keys[key]
	if nested {
		var object map[string]json.RawMessage
		_ = json.Unmarshal(v, &object)
		v = object[member]
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// last is the last message, or an empty one.
func (r *Request) last() *Message {
	if len(r.Messages) == 0 {
		return &Message{}
	}
	return &r.Messages[len(r.Messages)-1]
}

// lastUser is the index of the last user message, or -1.
func (r *Request) lastUser() int {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == "user" {
			return i
		}
	}
	return -1
}

// arguments is the text of a call's arguments.
func (c *Call) arguments() (text string, isString bool) {
	isString = json.Unmarshal(c.Function.Arguments, &text) == nil
	return text, isString
}
