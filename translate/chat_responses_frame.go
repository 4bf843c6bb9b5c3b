package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// What stands in the data of an event, or in the body of a whole reply, is not always
// a chunk or a completion: gateways put keep-alives there, wrap the answer in an object
// or a list of their own, and write JSON with flaws that only strict readers mind.

// lenientLimits are upstreamLimits for JSON that others read without complaint.
var lenientLimits = jsonx.Limits{Depth: upstreamLimits.Depth, Values: upstreamLimits.Values, Duplicates: true}

// parseFlawed parses data into t.doc that Parse has refused with err, if the flaw
// leaves no doubt about what is said.
func (t *Turn) parseFlawed(data []byte, err *jsonx.SyntaxError) bool {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("\xef\xbb\xbf"))
	if err.Reason == jsonx.InvalidUTF8 {
		t.lose(ruleReplyUTF8, "output", "")
		data = jsonx.AppendMended(nil, data)
	}
	if t.doc.Parse(data, lenientLimits) == nil {
		return true
	}
	if t.doc.Parse(jsonx.AppendStrict(nil, data), lenientLimits) != nil {
		return false
	}
	t.lose(ruleReplyJSON, "output", "")
	return true
}

// withoutField drops what gateways put in front of data that is an event's field already:
// "data: data: {…}".
func withoutField(data []byte) []byte {
	for range 2 {
		data = bytes.TrimSpace(data)
		data = bytes.TrimPrefix(data, []byte("data:"))
	}
	if data = bytes.TrimSpace(data); string(data) == "[DONE]" {
		return nil // the end of the stream says so, too
	}
	return data
}

// keepAliveWords are how data begins that only says that the connection lives: lower
// case.
var keepAliveWords = []string{":", "ping", "pong", "keep-alive", "keepalive", "keep alive", "heartbeat", "heart-beat", "processing", "waiting", "queued"}

// isKeepAlive reports whether data that is no JSON object is a keep-alive: a comment
// that has got into a data line, or a word for it.
func isKeepAlive(data []byte) bool {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return true
	}
	if len(data) > 64 && data[0] != ':' {
		return false
	}
	if data[0] != '{' {
		if data = bytes.TrimLeft(data, "[(<*.-_#!= "); len(data) == 0 {
			return true
		}
	}
	head := bytes.ToLower(data[:min(len(data), 16)])
	for _, word := range keepAliveWords {
		if bytes.HasPrefix(head, []byte(word)) {
			return true
		}
	}
	return false
}

// envelopeKeys are the members in which gateways wrap an answer.
var envelopeKeys = []string{"data", "result", "response", "body", "payload", "output", "completion", "chunk"}

// envelope finds the answer in an object that wraps it: in a member that has choices,
// or in a list with one such object. inner is 0 if there is none. packed is the answer
// as a JSON string.
func envelope(d *jsonx.Doc, root uint32) (inner uint32, packed []byte) {
	if d.Present(d.Get(root, "choices")) {
		return 0, nil
	}
	for _, key := range envelopeKeys {
		n := d.Get(root, key)
		if d.Kind(n) == jsonx.Array && d.Len(n) == 1 {
			n = d.First(n)
		}
		switch d.Kind(n) {
		case jsonx.Object:
			if d.Kind(d.Get(n, "choices")) == jsonx.Array {
				return n, nil
			}
		case jsonx.String:
			if raw := bytes.TrimSpace(d.Str(n)); len(raw) > 0 && raw[0] == '{' && bytes.Contains(raw, []byte(`choices`)) {
				return 0, []byte(d.Text(n))
			}
		}
	}
	return 0, nil
}

// feedPacked takes in a chunk or completion that stood in a string.
func (t *Turn) feedPacked(dst, packed []byte) []byte {
	d := &t.doc
	if err := d.Parse(packed, upstreamLimits); err != nil && !t.parseFlawed(packed, err) || d.Kind(jsonx.Root) != jsonx.Object {
		return t.Abort(dst, malformed(packed))
	}
	if inner, more := envelope(d, jsonx.Root); inner != 0 || more != nil { // once is enough
		return t.Abort(dst, malformed(packed))
	}
	return t.feedObject(dst, jsonx.Root)
}

// feedList takes in a list of chunks, or with one completion or error.
func (t *Turn) feedList(dst []byte) []byte {
	d := &t.doc
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end && t.state < stateRepairing; v = d.Next(v) {
		if d.Kind(v) != jsonx.Object {
			return t.Abort(dst, malformed(d.Bytes()))
		}
		if _, packed := envelope(d, v); packed != nil {
			return t.feedPacked(dst, packed)
		}
		dst = t.feedObject(dst, v)
	}
	return dst
}

// isFault reports whether the value of a member called "error" says that there is one.
func isFault(d *jsonx.Doc, n uint32) bool {
	switch d.Kind(n) {
	case jsonx.Missing, jsonx.Null, jsonx.False:
		return false
	case jsonx.String:
		return len(d.Str(n)) > 0
	case jsonx.Array:
		return d.End(n) > n+1
	case jsonx.Number:
		return d.Float(n) != 0
	}
	return true
}

// oddMember reports whether the key k, in an object without choices and usage, is one
// that only errors have.
func oddMember(d *jsonx.Doc, k uint32) bool {
	switch string(d.Str(k)) {
	case "detail", "message", "code", "msg", "errors", "error_type", "error_message", "error_msg", "error_code", "errorMessage", "errorCode", "fault":
		return isFault(d, k+1)
	case "status":
		return d.Is(k+1, "error") || d.Is(k+1, "failed")
	case "data", "result", "response", "body", "payload": // an envelope around an error
		return d.Kind(k+1) == jsonx.Object && isFault(d, d.Get(k+1, "error"))
	}
	return false
}

// choiceFault finds the error of a choice: in it, or in its delta or message. 0 if there
// is none.
func choiceFault(d *jsonx.Doc, choice, delta, message uint32) uint32 {
	for _, n := range [...]uint32{choice, delta, message} {
		if d.Kind(n) == jsonx.Object && isFault(d, d.Get(n, "error")) {
			return n
		}
	}
	return 0
}

// malformed is the failure for data that is no JSON: its words, if there are any.
func malformed(data []byte) *Error {
	e := UpstreamError(0, data)
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) && !bytes.Contains(bytes.ToLower(data[:min(len(data), 64)]), []byte("error")) {
		e.Message = "The upstream sent a reply that is not JSON."
	}
	return e
}

// isThought reports whether a part of content is reasoning.
func isThought(d *jsonx.Doc, part uint32) bool {
	switch typ := d.Get(part, "type"); {
	case d.Kind(typ) != jsonx.String:
	case d.Is(typ, "thinking"), d.Is(typ, "reasoning"), d.Is(typ, "reasoning_content"), d.Is(typ, "reasoning_text"), d.Is(typ, "thought"):
		return true
	}
	return d.Kind(d.Get(part, "thought")) == jsonx.True // Google's mark
}

// thoughtKeys are the members in which parts have their reasoning.
var thoughtKeys = []string{"thinking", "reasoning", "reasoning_content", "reasoning_text", "thought", "summary", "content", "text"}

// thinkingPart takes in a part of content that is reasoning: a text, or a list of parts
// with texts.
func (t *Turn) thinkingPart(dst []byte, d *jsonx.Doc, part uint32) []byte {
	for _, key := range thoughtKeys {
		switch n := d.Get(part, key); d.Kind(n) {
		case jsonx.String:
			return t.thought(dst, d.Str(n), d.StrKind(n))
		case jsonx.Array:
			for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
				text := v
				if d.Kind(v) != jsonx.String {
					text = d.GetString(v, "text")
				}
				if text != 0 {
					dst = t.thought(dst, d.Str(text), d.StrKind(text))
				}
			}
			return dst
		}
	}
	return dst
}
