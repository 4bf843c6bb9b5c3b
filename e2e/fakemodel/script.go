// Package fakemodel is a chat-completions server that says what a script tells
// it to: text, calls, reasoning, refusals, errors, and all the ways in which a
// connection can break. It writes down what it was asked, and it is strict: a
// request that OpenAI's own API would refuse is refused, and remembered.
//
//	what a script can say                  script.go
//	the server and its record              server.go
//	replies: whole, streamed, broken       whole.go, stream.go, break.go
//	which requests are legal               legal.go, legal_messages.go
//	scripts over HTTP, for other languages control.go
package fakemodel

import (
	"encoding/json"
	"strings"
)

// Script is the part that a model plays. Scripts are chosen by model name.
//
// Which reply is given depends on the conversation: it is Replies[n] when the
// request holds n assistant messages, or the last one when there are fewer. So a
// tool loop is two replies, and a request whose history was lost on the way gets
// an answer that gives it away.
type Script struct {
	// First is what the first requests get, each one, whatever they hold: for
	// errors that go away when they are tried again.
	First []Reply `json:"first,omitempty"`

	Replies []Reply `json:"replies"`
}

// Says is a script of one text.
func Says(text string) Script { return Script{Replies: []Reply{{Text: text}}} }

// Fails is a script of one error.
func Fails(status int) Script { return Script{Replies: []Reply{{Status: status}}} }

// Reply is one answer of the model. Text may hold {{user}}, {{tools}} and
// {{system}}: the text of the last user message, of the tool messages at the
// end, and of all system and developer messages.
type Reply struct {
	Reasoning string `json:"reasoning,omitempty"`
	Text      string `json:"text,omitempty"`
	Refusal   string `json:"refusal,omitempty"`
	Calls     []Call `json:"calls,omitempty"`

	// ReasoningIn is where the reasoning goes: reasoning_content (default),
	// reasoning, or think for <think> tags in the text.
	ReasoningIn string `json:"reasoning_in,omitempty"`

	// Audio is what is said in the audio of a reply, if audio is asked for; its
	// sound is SoundOf(Audio).
	Audio string `json:"audio,omitempty"`

	// Annotations are put into the message, or into the last delta.
	Annotations json.RawMessage `json:"annotations,omitempty"`

	// Finish is the finish_reason; empty: stop or tool_calls, as it is due.
	Finish string `json:"finish,omitempty"`

	// NoUsage leaves the count of tokens away.
	NoUsage bool `json:"no_usage,omitempty"`

	// Piece is how many characters a delta has; 0 is 4.
	Piece int `json:"piece,omitempty"`

	// Interleave sends the arguments of several calls in turns.
	Interleave bool `json:"interleave,omitempty"`

	// Whole answers with JSON although a stream was asked for.
	Whole bool `json:"whole,omitempty"`

	// DelayMS is the silence before the first byte, GapMS that between chunks.
	DelayMS int `json:"delay_ms,omitempty"`
	GapMS   int `json:"gap_ms,omitempty"`

	// Status makes the reply an error with that status and Body, or a body that
	// fits the status.
	Status int             `json:"status,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`

	// Headers are added to the reply.
	Headers map[string]string `json:"headers,omitempty"`

	// Break is how the reply breaks off.
	Break Break `json:"break,omitzero"`
}

// Call is a tool call. An empty ID is made up.
type Call struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// Break is how a reply breaks off.
type Break struct {
	How How `json:"how"`

	// After is how many chunks of a stream come before; a whole reply breaks in
	// the middle of its body, or before its header if After is 0.
	After int `json:"after"`
}

// How a reply breaks off.
type How string

// The ways in which a reply breaks off.
const (
	WithError How = "error" // an error in the stream, which then ends properly
	Silently  How = "end"   // the stream ends properly, without finish_reason and [DONE]
	ByCut     How = "cut"   // the connection is closed
	ByReset   How = "reset" // the connection is reset
	ByStall   How = "stall" // nothing more comes, until the other side leaves
)

func (s *Script) reply(attempt int, c *chat) Reply {
	var r Reply
	switch {
	case attempt < len(s.First):
		r = s.First[attempt]
	case len(s.Replies) == 0:
		r = Reply{Text: "I have nothing to say."}
	default:
		r = s.Replies[min(c.turns(), len(s.Replies)-1)]
	}
	r.Text = strings.NewReplacer("{{user}}", c.lastUser(), "{{tools}}", c.toolResults(), "{{system}}", c.system()).Replace(r.Text)
	if r.ReasoningIn == "think" {
		r.Text, r.Reasoning = "<think>"+r.Reasoning+"</think>"+r.Text, ""
	}
	return r
}

// chat is as much of a request as the model needs to understand.
type chat struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Functions     []any     `json:"functions"`
	Modalities    []string  `json:"modalities"`
	Stream        bool      `json:"stream"`
	N             int       `json:"n"`
	Logprobs      bool      `json:"logprobs"`
	TopLogprobs   int       `json:"top_logprobs"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// text is what a message says: a string, or the texts of its parts.
func (m *message) text() string {
	var s string
	if json.Unmarshal(m.Content, &s) == nil {
		return s
	}
	var parts []struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(m.Content, &parts)
	for _, p := range parts {
		s += p.Text
	}
	return s
}

// choices is how many choices are wanted. They are all the same.
func (c *chat) choices() int { return max(c.N, 1) }

func (c *chat) turns() (n int) {
	for i := range c.Messages {
		if c.Messages[i].Role == "assistant" {
			n++
		}
	}
	return n
}

func (c *chat) lastUser() string {
	for i := len(c.Messages) - 1; i >= 0; i-- {
		if c.Messages[i].Role == "user" {
			return c.Messages[i].text()
		}
	}
	return ""
}

func (c *chat) toolResults() string {
	var texts []string
	for i := range c.Messages {
		switch c.Messages[i].Role {
		case "tool", "function":
			texts = append(texts, c.Messages[i].text())
		case "assistant":
			texts = nil
		}
	}
	return strings.Join(texts, " and ")
}

func (c *chat) system() string {
	var texts []string
	for i := range c.Messages {
		if role := c.Messages[i].Role; role == "system" || role == "developer" {
			texts = append(texts, c.Messages[i].text())
		}
	}
	return strings.Join(texts, " ")
}
