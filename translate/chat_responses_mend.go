package translate

import (
	"bytes"

	"antiphon/translate/jsonx"
)

// maxMend bounds how deep arguments are looked into.
const maxMend = 8

// mendedArguments holds a call's arguments, which came in one piece, against the
// types that the tool's schema declares, and mends what can only be meant in one way:
// 5.0 for an integer, "5" for a number, "true" for a boolean, an object or a list in
// a string, a number for a string, and all of it in a string once more. Servers that
// make calls out of what a model has written do that (Qwen's and GLM's XML parsers give
// strings). raw is the inside of a JSON string, and so is what comes back. What comes in
// pieces is given as it comes: it cannot be taken back.
func (t *Turn) mendedArguments(it *outItem, raw []byte) []byte {
	if last := raw[len(raw)-1]; last != '}' && last != '"' && last != 'n' && last != ' ' {
		return raw
	}
	tool := it.tool
	if tool == nil {
		tool, _ = t.opt.Request.tools.called(it.said)
	}
	if tool == nil {
		return raw
	}
	schema := tool.doc.Get(tool.node, "parameters")
	if tool.doc.Kind(schema) != jsonx.Object {
		return raw
	}
	t.scratch = jsonx.AppendUnescaped(t.scratch[:0], raw)
	if t.args.Parse(t.scratch, upstreamLimits) != nil {
		return raw
	}
	m := mender{schema: tool.doc}
	out := m.value(nil, &t.args, jsonx.Root, schema, 0)
	if !m.changed {
		return raw
	}
	t.lose(ruleReplyArgumentsMended, outputPath(it.index)+".arguments", string(it.said))
	return jsonx.AppendEscaped(nil, out)
}

// mender mends arguments.
type mender struct {
	schema  *jsonx.Doc
	changed bool
}

// value appends a value as the schema wants it.
func (m *mender) value(dst []byte, d *jsonx.Doc, n, schema uint32, depth int) []byte {
	s := m.schema
	if depth > maxMend || s.Kind(schema) != jsonx.Object {
		return append(dst, d.Raw(n)...)
	}
	typ := s.Get(schema, "type")
	is := func(name string) bool { return s.Is(typ, name) }
	switch d.Kind(n) {
	case jsonx.Number:
		raw := d.Raw(n)
		switch whole, zeros, found := bytes.Cut(raw, []byte(".")); {
		case is("integer") && found && len(bytes.Trim(zeros, "0")) == 0:
			m.changed = true
			return append(dst, whole...)
		case is("string"):
			m.changed = true
			return append(append(append(dst, '"'), raw...), '"')
		}
	case jsonx.True, jsonx.False:
		if is("string") {
			m.changed = true
			return append(append(append(dst, '"'), d.Raw(n)...), '"')
		}
	case jsonx.String:
		if depth == 0 && typ == 0 || is("integer") || is("number") || is("boolean") || is("object") || is("array") {
			return m.unquoted(dst, d, n, schema, depth)
		}
	case jsonx.Object:
		properties := s.Get(schema, "properties")
		if s.Kind(properties) != jsonx.Object {
			break
		}
		dst = append(dst, '{')
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			if k != d.First(n) {
				dst = append(dst, ',')
			}
			dst = append(append(dst, d.Raw(k)...), ':')
			dst = m.value(dst, d, k+1, s.Get(properties, d.Text(k)), depth+1)
		}
		return append(dst, '}')
	case jsonx.Array:
		items := s.Get(schema, "items")
		dst = append(dst, '[')
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			if v != d.First(n) {
				dst = append(dst, ',')
			}
			dst = m.value(dst, d, v, items, depth+1)
		}
		return append(dst, ']')
	}
	return append(dst, d.Raw(n)...)
}

// unquoted appends what stands in a string, if that is of the type that the schema
// wants.
func (m *mender) unquoted(dst []byte, d *jsonx.Doc, n, schema uint32, depth int) []byte {
	s := m.schema
	var inner jsonx.Doc
	if text := bytes.TrimSpace([]byte(d.Text(n))); len(text) == 0 || inner.Parse(text, upstreamLimits) != nil {
		return append(dst, d.Raw(n)...)
	}
	typ := s.Get(schema, "type")
	fits := false
	switch inner.Kind(jsonx.Root) {
	case jsonx.Number:
		_, zeros, fraction := bytes.Cut(inner.Raw(jsonx.Root), []byte("."))
		fits = s.Is(typ, "number") || s.Is(typ, "integer") && (!fraction || len(bytes.Trim(zeros, "0")) == 0) && !bytes.ContainsAny(inner.Raw(jsonx.Root), "eE")
	case jsonx.True, jsonx.False:
		fits = s.Is(typ, "boolean")
	case jsonx.Object:
		fits = s.Is(typ, "object") || typ == 0
	case jsonx.Array:
		fits = s.Is(typ, "array")
	}
	if !fits {
		return append(dst, d.Raw(n)...)
	}
	m.changed = true
	return m.value(dst, &inner, jsonx.Root, schema, depth+1)
}
