package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// maxMend bounds how deep arguments are looked into.
const maxMend = 8

// mendedArguments holds a call's arguments against the types that the tool's schema
// declares, and mends what can only be meant in one way: 5.0 for an integer, "5" for a
// number, "true" for a boolean, an object or a list in a string, a number for a string,
// and all of it in a string once more. Servers that make calls out of what a model has
// written do that (Qwen's and GLM's XML parsers give strings). raw is the inside of a
// JSON string, and so is what comes back.
func (t *Turn) mendedArguments(it *outItem, raw []byte) []byte {
	out, changed := t.mend(it, raw)
	if !changed {
		return raw
	}
	t.lose(ruleReplyArgumentsMended, outputPath(it.index)+".arguments", string(it.said))
	return jsonx.AppendEscaped(nil, out)
}

// mend is mendedArguments without a report. What it returns is JSON itself, and good
// until the next call.
func (t *Turn) mend(it *outItem, raw []byte) (out []byte, changed bool) {
	if len(raw) == 0 {
		return nil, false
	}
	if last := raw[len(raw)-1]; last != '}' && last != '"' && last != 'n' && last != ' ' {
		return nil, false
	}
	tool, schema := t.declared(it)
	if schema == 0 {
		return nil, false
	}
	t.scratch = jsonx.AppendUnescaped(t.scratch[:0], raw)
	if t.args.Parse(t.scratch, upstreamLimits) != nil {
		return nil, false
	}
	m := mender{schema: tool.doc}
	t.plain = m.value(t.plain[:0], &t.args, jsonx.Root, schema, 0)
	return t.plain, m.changed
}

// declared is the tool of a function's call, and the schema of its arguments, or 0.
func (t *Turn) declared(it *outItem) (tool *tool, schema uint32) {
	if tool = it.tool; tool == nil {
		tool, _ = t.opt.Request.tools.called(it.said)
	}
	if tool == nil {
		return nil, 0
	}
	if schema = tool.doc.Get(tool.node, "parameters"); tool.doc.Kind(schema) != jsonx.Object {
		return tool, 0
	}
	return tool, schema
}

// holdsArguments reports whether a function's call is to be held back until its
// arguments are whole, because they may have to be mended.
func (t *Turn) holdsArguments(it *outItem) bool {
	if can := &t.opt.Dialect.Tools; !can.HoldArguments || !can.RepairArguments || it.form != formFunction {
		return false
	}
	_, schema := t.declared(it)
	return schema != 0
}

// closeHeldArguments announces and finishes a function's call that was held back, with
// its arguments mended.
func (t *Turn) closeHeldArguments(dst []byte, i int, status string) []byte {
	it := &t.items[i]
	t.holding--
	if len(it.half) > 0 {
		dst = t.endHalf(dst, it)
	}
	dst = t.settleArguments(dst, it, status)
	arguments := bytes.Clone(it.text)
	it.text = it.text[:0]
	dst = t.add(dst, i, prefixCall)
	it.head = itemPlace(it.head[:0], it)
	it.head = append(it.head, `,"delta":"`...)
	if status == "completed" {
		arguments = t.mendedArguments(it, arguments)
	}
	if len(arguments) > 0 {
		dst = t.emitArguments(dst, it, arguments)
	}
	return t.close(dst, i, status)
}

// checkArguments reports what is wrong with the arguments of a function's call that is
// done. They have gone out as they came, and what is done must say what the deltas said;
// but where they came in pieces, and would have been mended in one, it is noticed that
// such calls should be held.
func (t *Turn) checkArguments(it *outItem) {
	t.scratch = jsonx.AppendUnescaped(t.scratch[:0], it.text)
	if t.args.Parse(t.scratch, upstreamLimits) != nil || t.args.Kind(jsonx.Root) != jsonx.Object {
		t.lose(ruleReplyArgumentsBroken, outputPath(it.index)+".arguments", string(it.said))
		return
	}
	if it.pieces < 2 || t.given || !t.opt.Dialect.Tools.RepairArguments {
		return
	}
	if _, changed := t.mend(it, it.text); changed {
		t.noticed |= noticedTypes
		t.lose(ruleReplyArgumentsTypes, outputPath(it.index)+".arguments", string(it.said))
	}
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
