package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/antiphon-proxy/antiphon/proxy"
)

// Redaction keeps the shape of an exchange and nothing of what was said in it:
// every letter becomes x and every digit 0, in every string but those that the two
// APIs are made of. Lengths in characters, white space, punctuation, ids and names
// of tools stay, because faults hang on them.

// structural are the keys whose strings say nothing of the user's.
var structural = map[string]bool{
	"type": true, "role": true, "id": true, "call_id": true, "tool_call_id": true, "item_id": true, "object": true, "model": true,
	"status": true, "finish_reason": true, "name": true, "tool_choice": true, "effort": true, "summary": false, "detail": true,
	"format": true, "service_tier": true, "previous_response_id": true, "conversation": true, "code": true, "param": true,
	"verbosity": true, "truncation": true, "include": true, "syntax": true, "mode": true, "reasoning_effort": true,
	"system_fingerprint": true, "phase": true, "namespace": true, "execution": true, "required": true,
}

// jsonText are the keys whose strings are JSON themselves, perhaps in fragments:
// only what stands in quotes inside is redacted, so that it stays JSON.
var jsonText = map[string]bool{"arguments": true}

// redactor remembers where in its JSON a text that comes in fragments is.
type redactor struct {
	quoted, escaped map[string]bool

	speakers map[string]bool // names of who speaks; those of what is called stay
}

func redactRecording(r *proxy.Recording) {
	red := &redactor{map[string]bool{}, map[string]bool{}, speakersOf(r.Client)}
	r.Client, r.History = red.document(r.Client), red.document(r.History)
	for i := range r.References {
		r.References[i] = red.document(r.References[i])
	}
	if !r.Stream {
		r.Reply = red.document(r.Reply)
		return
	}
	var out bytes.Buffer
	for line := range bytes.Lines(r.Reply) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
			out.Write(line)
			continue
		}
		out.WriteString("data: ")
		out.Write(red.document(bytes.TrimSpace(data)))
		out.WriteByte('\n')
	}
	r.Reply = out.Bytes()
}

// speakersOf are the names of the messages in a request that are not those of
// tools.
func speakersOf(request []byte) map[string]bool {
	type message struct{ Role, Name string }
	names := map[string]bool{}
	for _, key := range []string{"messages", "input"} {
		var members map[string]json.RawMessage
		var messages []message
		if json.Unmarshal(request, &members) != nil || json.Unmarshal(members[key], &messages) != nil {
			continue
		}
		for _, m := range messages {
			if m.Role != "" && m.Role != "tool" && m.Role != "function" {
				names[m.Name] = true
			}
		}
	}
	return names
}

// document redacts one JSON document; what is none becomes a word that says so.
func (red *redactor) document(doc []byte) []byte {
	if len(doc) == 0 {
		return doc
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var out bytes.Buffer
	if err := red.value(dec, &out, "", ""); err != nil {
		return []byte(`"redacted: this was no JSON"`)
	}
	return out.Bytes()
}

// value copies the next value of dec, redacted. It keeps the order of keys, which
// a map would not.
func (red *redactor) value(dec *json.Decoder, out *bytes.Buffer, key, path string) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch t := tok.(type) {
	case json.Delim:
		out.WriteString(t.String())
		for n := 0; dec.More(); n++ {
			if n > 0 {
				out.WriteByte(',')
			}
			inner, at := key, path
			if t == '{' {
				name, err := dec.Token()
				if err != nil {
					return err
				}
				inner, _ = name.(string)
				at += "." + inner
				writeToken(out, inner)
				out.WriteByte(':')
			} else if jsonText[key] || key == "tool_calls" || key == "choices" || key == "output" {
				at += "[" + string(rune('0'+n%10)) + "]"
			}
			if err := red.value(dec, out, inner, at); err != nil {
				return err
			}
		}
		end, err := dec.Token()
		if err != nil {
			return err
		}
		if d, ok := end.(json.Delim); ok {
			out.WriteString(d.String())
		}
	case string:
		switch {
		case key == "name" && (path == ".messages.name" || path == ".input.name") && red.speakers[t]:
			t = veil(t)
		case structural[key]:
		case jsonText[key]:
			t = red.insideQuotes(t, path)
		default:
			t = veil(t)
		}
		writeToken(out, t)
	default:
		writeToken(out, t)
	}
	return nil
}

func writeToken(out *bytes.Buffer, v any) {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // tokens of a decoder
	out.Truncate(out.Len() - 1)
}

// insideQuotes redacts what stands in quotes in a piece of JSON. Pieces of one
// text have one path.
func (red *redactor) insideQuotes(s, path string) string {
	quoted, escaped := red.quoted[path], red.escaped[path]
	out := strings.Map(func(c rune) rune {
		switch {
		case escaped:
			escaped = false
			return c
		case quoted && c == '\\':
			escaped = true
			return c
		case c == '"':
			quoted = !quoted
			return c
		case quoted:
			return veiled(c)
		}
		return c
	}, s)
	red.quoted[path], red.escaped[path] = quoted, escaped
	return out
}

func veil(s string) string {
	if strings.HasPrefix(s, "data:") { // a picture: only that there is one
		head, _, _ := strings.Cut(s, ",")
		return head + ",AAAA"
	}
	return strings.Map(veiled, s)
}

func veiled(c rune) rune {
	switch {
	case c >= '0' && c <= '9':
		return '0'
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c > 0x7f:
		return 'x'
	}
	return c
}
