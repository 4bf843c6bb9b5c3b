package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The content of a reply is a string. Some servers send parts, as requests have them;
// some a part alone, or lists within lists; some numbers and words, where a serializer
// has taken a token for one; and some the object that they have decoded out of a JSON
// answer. What has a text is text; what has none is reported.

// maxPartDepth bounds how deep content is looked into.
const maxPartDepth = 8

// content takes in the content of a delta or message.
func (t *Turn) content(dst []byte, d *jsonx.Doc, n, logprobs uint32) []byte {
	if d.Kind(n) == jsonx.String {
		var tokens []byte
		if t.opt.Request.IncludeLogprobs && d.Present(logprobs) {
			tokens = appendLogprobs(nil, d, logprobs)
		}
		return t.contentText(dst, d.Str(n), d.StrKind(n), tokens)
	}
	if d.Kind(n) == jsonx.Object && !t.isPart(d, n) || d.Kind(n) == jsonx.Array && t.isList(d, n) {
		return t.writtenText(dst, d, n)
	}
	return t.part(dst, d, n, 0)
}

// writtenText takes in a value as the text that it is written as.
func (t *Turn) writtenText(dst []byte, d *jsonx.Doc, n uint32) []byte {
	t.lose(ruleReplyContentType, outputPath(len(t.order)), "")
	return t.contentText(dst, jsonx.AppendEscaped(nil, d.Raw(n)), jsonx.HasEscape|d.StrKind(n)|jsonx.HasSurrogate, nil)
}

// isPart reports whether an object is a part of a message, rather than an answer that
// somebody has decoded.
func (t *Turn) isPart(d *jsonx.Doc, n uint32) bool {
	if d.GetString(n, "type") != 0 && t.partText(d, n) != 0 {
		return true
	}
	asked := t.asksJSON()
	if asked && d.GetString(n, "type") == 0 {
		return false
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		switch d.Text(k) {
		case "type", "text", "content", "value", "annotations", "id", "index", "parts", "role", "logprobs", "refusal", "cache_control":
		default:
			return d.GetString(n, "type") != 0 && !asked
		}
	}
	return d.Len(n) > 0
}

// isList reports whether a list is an answer that somebody has decoded.
func (t *Turn) isList(d *jsonx.Doc, n uint32) bool {
	if !t.asksJSON() || d.Len(n) == 0 {
		return false
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if d.GetString(v, "type") != 0 {
			return false
		}
	}
	return true
}

// asksJSON reports whether the answer is to be JSON.
func (t *Turn) asksJSON() bool {
	d, format := t.opt.Request.format()
	return d.Is(d.Get(format, "type"), "json_object") || d.Is(d.Get(format, "type"), "json_schema")
}

// partText finds the text of a part, a string or what holds one; or 0.
func (t *Turn) partText(d *jsonx.Doc, n uint32) uint32 {
	for _, key := range [...]string{"text", "content", "value", "parts", "output_text"} {
		switch v := d.Get(n, key); d.Kind(v) {
		case jsonx.String, jsonx.Array, jsonx.Object, jsonx.Number:
			return v
		}
	}
	return 0
}

// part takes in a part of content, or whatever stands in the place of one.
func (t *Turn) part(dst []byte, d *jsonx.Doc, n uint32, depth int) []byte {
	if t.state >= stateEnded {
		return dst
	}
	switch d.Kind(n) {
	case jsonx.String:
		return t.contentText(dst, d.Str(n), d.StrKind(n), nil)
	case jsonx.Number, jsonx.True, jsonx.False:
		return t.writtenText(dst, d, n)
	case jsonx.Array:
		if depth == maxPartDepth {
			t.losePart(d, n)
			return dst
		}
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			dst = t.part(dst, d, v, depth+1)
		}
	case jsonx.Object:
		return t.partObject(dst, d, n, depth)
	}
	return dst
}

func (t *Turn) partObject(dst []byte, d *jsonx.Doc, n uint32, depth int) []byte {
	typ := d.Get(n, "type")
	switch text := t.partText(d, n); {
	case isThought(d, n):
		return t.thinkingPart(dst, d, n)
	case isImage(d, n):
		return t.image(dst, d, n)
	case d.Is(typ, "tool_use"), d.Is(typ, "tool_call"), d.Is(typ, "function_call"), d.Is(typ, "function"):
		if isCall(d, n) {
			return t.call(dst, d, n, false)
		}
		t.losePart(d, n)
	case d.GetString(n, "refusal") != 0:
		v := d.GetString(n, "refusal")
		return t.refusal(dst, d.Str(v), d.StrKind(v))
	case text != 0 && depth < maxPartDepth:
		return t.part(dst, d, text, depth+1)
	default:
		t.losePart(d, n)
	}
	return dst
}
