package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// What becomes of text.format: response_format where the backend can be held to
// it. Where it cannot, the model is told of the format, its answer is checked
// before the client gets to see any of it, and one that does not hold is sent
// back once with what is wrong. The check and the second request are the
// proxy's: see CheckedFormat, Turn.Answer and AppendFormatRepair.

// format is the text.format that counts: the request's own, or the one that the
// conversation has set since. It is 0 where there is none.
func (r *Request) format() (d *jsonx.Doc, f uint32) {
	if r.config.format != nil {
		return r.config.format, r.config.node
	}
	return &r.doc, r.doc.Get(r.params[pText], "format")
}

// fallsBack reports whether the format is stricter than the backend can be held
// to, and made up for.
func (r *Request) fallsBack(dialect *Dialect) bool {
	if dialect.Fallback != FallbackInstruct {
		return false
	}
	d, f := r.format()
	kind := d.Get(f, "type")
	switch dialect.Structured {
	case StructuredSchema:
		return false
	case StructuredObject:
		return d.Is(kind, "json_schema")
	}
	return d.Is(kind, "json_schema") || d.Is(kind, "json_object")
}

// anyObject is the schema of text.format json_object.
var anyObject = []byte(`{"type":"object"}`)

// CheckedFormat is the JSON Schema that the answer has to be held against before
// the client gets to see it, or nil if nothing is to be checked. It is known when
// AppendChat has been called, and aliases the request's body.
func (r *Request) CheckedFormat(dialect *Dialect) []byte {
	if !dialect.VerifyOutput && !r.fallsBack(dialect) {
		return nil
	}
	d, f := r.format()
	switch kind := d.Get(f, "type"); {
	case d.Is(kind, "json_schema"):
		if schema := d.Get(f, "schema"); d.Present(schema) {
			return d.Raw(schema)
		}
	case d.Is(kind, "json_object"):
		return anyObject
	}
	return nil
}

// appendFormat appends text.format as response_format, as far as the dialect
// goes.
func (r *Request) appendFormat(dst []byte, dialect *Dialect, losses *Losses) []byte {
	d, f := r.format()
	kind := d.Get(f, "type")
	const object = `,"response_format":{"type":"json_object"}`
	schema := d.Is(kind, "json_schema")
	if !schema && !d.Is(kind, "json_object") {
		return dst
	}
	checked := r.fallsBack(dialect)
	if checked {
		losses.add(ruleFormatChecked, "text.format", d.Text(kind))
	}
	switch {
	case dialect.Structured == StructuredNone:
		if !checked {
			losses.add(ruleFormat, "text.format", d.Text(kind))
		}
		return dst
	case !schema:
		return append(dst, object...)
	case dialect.Structured == StructuredObject:
		if !checked {
			losses.add(ruleFormatWeaker, "text.format", "json_schema → json_object")
		}
		if schemaIsObject(d, d.Get(f, "schema")) {
			dst = append(dst, object...)
		}
		return dst
	}
	dst = append(dst, `,"response_format":{"type":"json_schema","json_schema":{`...)
	first := true
	for _, key := range formatMembers[1:] {
		v := d.Get(f, key)
		if !d.Present(v) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, key...)
		dst = append(dst, '"', ':')
		dst = append(dst, d.Raw(v)...)
	}
	return append(dst, "}}"...)
}

// schemaIsObject reports whether an answer that satisfies a schema may be an
// object, as json_object demands. Only a schema that says otherwise is taken at
// its word.
func schemaIsObject(d *jsonx.Doc, schema uint32) bool {
	typ := d.Get(schema, "type")
	return d.Kind(typ) != jsonx.String || d.Is(typ, "object")
}

// appendInstruction appends what the model is told of a format that the backend
// cannot be held to, escaped. The word JSON is in it: DeepSeek and others refuse
// json_object without.
func (r *Request) appendInstruction(dst []byte, dialect *Dialect) []byte {
	if !r.fallsBack(dialect) {
		return dst
	}
	d, f := r.format()
	if d.Is(d.Get(f, "type"), "json_object") {
		return append(dst, "Give your final answer as one JSON object, with no other text and no code fence around it."...)
	}
	dst = append(dst, "Give your final answer as JSON, with no other text and no code fence around it."...)
	if description := d.GetString(f, "description"); description != 0 && len(d.Str(description)) > 0 {
		dst = append(dst, `\nWhat it is: `...)
		dst = append(dst, d.Str(description)...)
	}
	schema := d.Get(f, "schema")
	if !d.Present(schema) {
		return dst
	}
	dst = append(dst, `\nIt must be valid against this JSON Schema:\n`...)
	return jsonx.AppendEscaped(dst, jsonx.AppendCompact(nil, d.Raw(schema)))
}

// Answer is what a complete response says, unescaped: what text.format is about.
// ok is false if there is no such answer: the response failed or was cut short,
// or it calls tools, or refuses.
func (t *Turn) Answer() (text []byte, ok bool) {
	if t.state < stateEnded || t.Status() != "completed" {
		return nil, false
	}
	var d jsonx.Doc
	for _, i := range t.order {
		it := &t.items[i]
		switch it.kind {
		case outReasoning, outCompaction:
			continue
		case outMessage:
		default:
			return nil, false
		}
		if d.Parse(it.json, upstreamLimits) != nil {
			return nil, false
		}
		parts := d.Get(jsonx.Root, "content")
		for v, end := d.First(parts), d.End(parts); v < end; v = d.Next(v) {
			if d.Is(d.Get(v, "type"), "refusal") {
				return nil, false
			}
			text = jsonx.AppendUnescaped(text, d.Str(d.Get(v, "text")))
		}
	}
	return text, true
}

// Restart forgets all that the backend has said, for another try. What was
// announced of the response stays: the events of Begin, and nothing else may
// have gone out. What the first try has cost is counted.
func (t *Turn) Restart() {
	spent, sealed := t.usage, []byte(nil)
	if t.opt.Compacts && t.count > 0 && t.items[0].state == itemDone {
		sealed = bytes.Clone(t.items[0].sealed)
	}
	t.Reset(t.opt)
	t.Begin(nil)
	if sealed != nil { // the compaction before the answer is done, and stays
		t.CloseCompaction(nil, sealed)
	}
	t.spent = spent
}

// AppendFormatRepair appends a chat request with an answer to it that does not have
// the format, and the demand for a better one. chat is what AppendChat wrote.
func AppendFormatRepair(dst, chat, answer []byte, problem string, losses *Losses) []byte {
	var d jsonx.Doc
	if d.Parse(chat, storedLimits) != nil { // cannot be: it is our own
		return append(dst, chat...)
	}
	messages := d.Get(jsonx.Root, "messages")
	_, end := d.Span(messages)
	end-- // before the bracket
	spoke := false
	for v, e := d.First(messages), d.End(messages); v < e; v = d.Next(v) {
		spoke = d.Is(d.Get(v, "role"), "assistant")
	}
	dst = append(dst, chat[:end]...)
	if !spoke && len(bytes.TrimSpace(answer)) > 0 { // else it would speak twice in a row, or say nothing
		dst = append(dst, `,{"role":"assistant","content":`...)
		dst = jsonx.AppendString(dst, answer)
		dst = append(dst, '}')
	}
	dst = append(dst, `,{"role":"user","content":`...)
	dst = jsonx.AppendString(dst, "This answer does not have the required format: "+problem+
		". Give the whole answer again, corrected, as JSON and with no other text.")
	dst = append(dst, '}')
	losses.add(ruleFormatRepaired, "text.format", problem)
	return append(dst, chat[end:]...)
}

// Unfit is the failure of a response whose answer did not have the format in the
// end.
func Unfit(problem string) *Error {
	return &Error{
		Status: 502, Type: TypeServer, Code: "server_error", Origin: OriginUpstream,
		Message: "The backend's answer does not have the format that text.format asks for, also not when asked again: " + problem + ".",
	}
}

// appendUnfenced appends an escaped text without the Markdown code fence around
// it, if it is nothing but that.
func appendUnfenced(dst, raw []byte) (out []byte, fenced bool) {
	text := bytes.TrimSpace(jsonx.AppendUnescaped(nil, raw))
	inner, opened := bytes.CutPrefix(text, []byte("```"))
	inner, closed := bytes.CutSuffix(inner, []byte("```"))
	word, rest, line := bytes.Cut(inner, []byte("\n"))
	if word = bytes.TrimSpace(word); !opened || !closed || !line || len(word) > 0 && !bytes.EqualFold(word, []byte("json")) {
		return append(dst, raw...), false
	}
	return jsonx.AppendEscaped(dst, bytes.TrimSpace(rest)), true
}
