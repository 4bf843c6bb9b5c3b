package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// chatBody is a request to a chat backend as an independent reader sees it.
type chatBody struct {
	Messages []chatMessage
	Tools    []struct {
		Type     string
		Function struct {
			Name       string
			Parameters json.RawMessage
		}
		Custom struct {
			Name   string
			Format *struct {
				Type    string
				Grammar struct{ Syntax, Definition string }
			}
		}
	}
	ToolChoice json.RawMessage `json:"tool_choice"`
}

type chatMessage struct {
	Role       string
	Content    json.RawMessage
	Refusal    *string
	ToolCallID *string    `json:"tool_call_id"`
	ToolCalls  []chatCall `json:"tool_calls"`

	keys  map[string]json.RawMessage
	text  string   // of its text parts, one after the other
	parts []string // types of its parts, if content is an array
}

type chatCall struct {
	ID, Type string
	Function struct{ Name, Arguments string }
	Extra    json.RawMessage `json:"extra_content"`
	Custom   *struct{ Name, Input string }
}

// ownChatKeys are the keys that translation writes itself, besides the dialect's
// extra ones.
var ownChatKeys = []string{
	"model", "messages", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "presence_penalty",
	"frequency_penalty", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "max_tokens",
	"max_completion_tokens", "logprobs", "top_logprobs", "verbosity", "response_format", "reasoning", "reasoning_effort",
	"service_tier", "moderation", "stream", "stream_options",
}

// readChat reads a chat request and checks what any JSON reader would mind.
func readChat(chat []byte, d *Dialect) (body chatBody, faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(chat, &keys); err != nil {
		fault("not an object: %v", err)
		return body, faults
	}
	for k := range keys {
		if !slices.Contains(ownChatKeys, k) && !slices.Contains(d.ExtraParams, k) && k != d.Reasoning.EffortForm.key() {
			fault("key %q", k)
		}
	}
	if err := json.Unmarshal(chat, &body); err != nil {
		fault("%v", err)
		return body, faults
	}
	var raw []json.RawMessage
	_ = json.Unmarshal(keys["messages"], &raw)
	for i := range body.Messages {
		m := &body.Messages[i]
		_ = json.Unmarshal(raw[i], &m.keys)
		m.read(fault)
	}
	return body, faults
}

func (m *chatMessage) read(fault func(string, ...any)) {
	switch {
	case len(m.Content) == 0 || string(m.Content) == "null":
	case m.Content[0] == '"':
		_ = json.Unmarshal(m.Content, &m.text)
	default:
		var parts []map[string]any
		if err := json.Unmarshal(m.Content, &parts); err != nil || len(parts) == 0 {
			fault("content %s", m.Content)
			return
		}
		for _, p := range parts {
			typ, _ := p["type"].(string)
			m.parts = append(m.parts, typ)
			switch typ {
			case "text":
				text, ok := p["text"].(string)
				if !ok {
					fault("text part %v", p)
				}
				m.text += text + "\n"
			case "image_url":
				if image, _ := p["image_url"].(map[string]any); image["url"] == nil || image["detail"] == "original" {
					fault("image part %v", p)
				}
			case "file":
				if file, _ := p["file"].(map[string]any); file["file_data"] == nil && file["file_id"] == nil {
					fault("file part %v", p)
				}
			case "input_audio":
				if _, ok := p["input_audio"].(map[string]any); !ok {
					fault("audio part %v", p)
				}
			default:
				fault("part type %q", typ)
			}
		}
	}
}

// legal says what a chat backend of that dialect would mind in a request.
func legal(chat []byte, d *Dialect) (faults []string) {
	body, faults := readChat(chat, d)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if len(body.Messages) == 0 {
		fault("no messages")
	}
	if len(body.ToolChoice) > 0 && len(body.Tools) == 0 {
		fault("tool_choice without tools")
	}
	names := map[string]bool{}
	for _, t := range body.Tools {
		name := t.Function.Name
		switch {
		case t.Type == "function":
			if p := bytes.TrimSpace(t.Function.Parameters); len(p) == 0 || p[0] != '{' {
				fault("parameters %s", p)
			}
		case t.Type == "custom" && d.Tools.Custom == CustomNative:
			name = t.Custom.Name
			if f := t.Custom.Format; f != nil && (f.Type != "grammar" || f.Grammar.Syntax != "lark" && f.Grammar.Syntax != "regex") {
				fault("format %v", f)
			}
		default:
			fault("tool type %q", t.Type)
		}
		if !plainName(name, d.Tools.NameMax) {
			fault("tool name %q", name)
		}
		if names[name] {
			fault("two tools are called %q", name)
		}
		names[name] = true
	}
	called := map[string]bool{}
	var waiting []string // call ids whose results come next
	last := ""
	for i := range body.Messages {
		m := &body.Messages[i]
		bad := func(format string, args ...any) {
			fault("messages[%d] (%s): %s", i, m.Role, fmt.Sprintf(format, args...))
		}
		if len(waiting) > 0 && (m.Role != "tool" || m.ToolCallID == nil || *m.ToolCallID != waiting[0]) {
			bad("the result of %q was to come", waiting[0])
			waiting = nil
		}
		keys := []string{"role", "content"}
		switch m.Role {
		case "system", "developer":
			m.legalSystem(d, i, bad)
		case "user":
			if d.AssistantAfterTool && last == "tool" {
				bad("follows a tool")
			}
			m.legalParts(d, bad)
		case "tool":
			if keys = append(keys, "tool_call_id"); len(waiting) > 0 {
				waiting = waiting[1:]
			} else {
				bad("answers no call")
			}
			if len(m.Content) == 0 || m.Content[0] != '"' {
				bad("content %s", m.Content)
			}
		case "assistant":
			keys = append(keys, "tool_calls", "refusal", d.Reasoning.replayField(), detailsKey)
			waiting = m.legalAssistant(d, bad)
			for _, id := range waiting {
				if called[id] {
					bad("another call with the id %q", id)
				}
				called[id] = true
			}
		default:
			bad("role")
		}
		for k := range m.keys {
			if !slices.Contains(keys, k) {
				bad("key %q", k)
			}
		}
		if d.AlternateRoles && m.Role == last && (last == "user" || last == "assistant") {
			bad("two in a row")
		}
		last = m.Role
	}
	if len(waiting) > 0 {
		fault("the result of %q never comes", waiting[0])
	}
	if d.Reasoning.Replay == ReplayLoop {
		spoke := false
		for i, m := range slices.Backward(body.Messages) {
			if spoke && m.keys[d.Reasoning.replayField()] != nil && m.Role == "assistant" {
				fault("messages[%d]: reasoning of a loop that is over", i)
			}
			spoke = spoke || m.Role == "user" && !strings.HasPrefix(m.text, outputOf)
		}
	}
	return faults
}

func (m *chatMessage) legalSystem(d *Dialect, i int, bad func(string, ...any)) {
	if m.Role == "developer" && !d.DeveloperRole {
		bad("unknown role")
	}
	switch {
	case d.SystemMessages == SystemAnywhere:
		m.legalParts(d, bad)
	case d.SystemMessages == SystemUser:
		bad("system messages are not known")
	case i > 0:
		bad("not at the head")
	case len(m.Content) == 0 || m.Content[0] != '"':
		bad("content %s", m.Content)
	}
}

func (m *chatMessage) legalParts(d *Dialect, bad func(string, ...any)) {
	if len(m.Content) == 0 || string(m.Content) == "null" {
		bad("no content")
	}
	texts := 0
	for _, typ := range m.parts {
		switch {
		case typ == "text":
			texts++
		case typ == "image_url" && !d.Images, typ == "file" && !d.Files, typ == "input_audio" && !d.Audio:
			bad("part %q", typ)
		}
	}
	if d.JoinText && texts > 0 && texts == len(m.parts) {
		bad("text parts that are not joined")
	}
}

func (m *chatMessage) legalAssistant(d *Dialect, bad func(string, ...any)) (ids []string) {
	if m.Refusal != nil && !d.RefusalField {
		bad("refusal")
	}
	if m.keys[d.Reasoning.replayField()] != nil && d.Reasoning.replay() == ReplayNone {
		bad("reasoning")
	}
	if len(m.ToolCalls) > 0 && d.Reasoning.Replay == ReplayAll && d.Reasoning.Placeholder != "" &&
		m.keys[d.Reasoning.replayField()] == nil && m.keys[detailsKey] == nil {
		bad("a call without reasoning")
	}
	if len(m.parts) > 0 {
		bad("content parts")
	}
	content := string(m.keys["content"])
	switch {
	case len(m.ToolCalls) == 0:
		if m.keys["tool_calls"] != nil {
			bad("empty tool_calls")
		}
		if !strings.HasPrefix(content, `"`) && m.Refusal == nil {
			bad("content %s", content)
		}
		var text string
		if _ = json.Unmarshal([]byte(content), &text); strings.TrimSpace(text) == "" && m.Refusal == nil {
			bad("it says nothing")
		}
	case content == "null" && m.Refusal == nil && d.CallContent != CallContentNull,
		content == "" && d.CallContent != CallContentOmit:
		bad("content %s beside calls", content)
	}
	for _, c := range m.ToolCalls {
		if c.Type == "custom" && c.Custom != nil && d.Tools.Custom == CustomNative {
			c.Type, c.Function.Name, c.Function.Arguments = "function", c.Custom.Name, "{}"
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(c.Function.Arguments), &object); err != nil || object == nil {
			bad("arguments %q", c.Function.Arguments)
		}
		if c.Type != "function" || c.ID == "" || !plainName([]byte(c.Function.Name), d.Tools.NameMax) {
			bad("call %+v", c)
		}
		if d.Tools.CallIDs == CallIDsAlnum9 && (len(c.ID) != 9 || !alnum([]byte(c.ID))) {
			bad("call id %q", c.ID)
		}
		ids = append(ids, c.ID)
	}
	return ids
}

// testDialects are the presets, and some that no server has yet but the
// configuration can make.
func testDialects() []Dialect {
	all := slices.Clone(presets)
	odd := func(name string, change func(*Dialect)) { all = append(all, preset(name, change)) }
	odd("alternating, system as user, strings", func(d *Dialect) {
		d.AlternateRoles, d.SystemMessages, d.JoinText, d.Images = true, SystemUser, true, false
	})
	odd("alternating, everything replayed", func(d *Dialect) {
		d.AlternateRoles, d.CallContent, d.Reasoning.Replay, d.RefusalField = true, CallContentOmit, ReplayAll, true
	})
	odd("alternating, system anywhere", func(d *Dialect) {
		d.AlternateRoles, d.SystemMessages, d.Reasoning.Replay = true, SystemAnywhere, ReplayLoop
	})
	odd("alternating, assistant after tool, loop", func(d *Dialect) {
		d.AlternateRoles, d.AssistantAfterTool, d.SystemMessages, d.Reasoning.Replay = true, true, SystemUser, ReplayLoop
		d.CallContent = CallContentOmit
	})
	odd("short names, nothing but text", func(d *Dialect) {
		d.Tools.NameMax, d.Images, d.Files, d.Audio, d.Accepts, d.Tools.Choices = 16, false, false, false, 0, 0
		d.Structured, d.Reasoning.EffortForm, d.ExtraParams = StructuredNone, EffortUnknown, nil
	})
	return all
}
