package translate

import (
	"bytes"

	"antiphon/translate/jsonx"
)

func systemRole(dialect *Dialect, developer bool) string {
	if developer && dialect.DeveloperRole {
		return "developer"
	}
	return "system"
}

func roleOf(name string) role {
	switch name {
	case "user":
		return roleUser
	case "assistant":
		return roleAssistant
	case "tool":
		return roleTool
	}
	return roleSystem
}

// plain writes a user or system message.
func (m *messages) plain(it *item, name string) {
	d := it.doc
	if m.merges(roleOf(name)) {
		m.mergeInto(it)
		return
	}
	m.begin(name)
	m.dst = append(m.dst, `"content":`...)
	m.contentAt = len(m.dst)
	if d.Kind(it.content) == jsonx.String {
		m.dst = append(m.dst, d.Raw(it.content)...)
	} else {
		m.parts(it)
	}
	m.dst = append(m.dst, '}')
}

// parts writes the content of a user or system message that is made of parts: a
// string for a single text, an array otherwise.
func (m *messages) parts(it *item) {
	d := it.doc
	texts, others, only := 0, 0, uint32(0)
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		if isText(d, v) {
			texts++
			only = d.Get(v, "text")
		} else {
			others++
		}
	}
	switch {
	case texts == 1 && others == 0:
		m.dst = append(m.dst, d.Raw(only)...)
	case others == 0 && (m.dialect.JoinText || texts == 0):
		m.dst = append(m.dst, '"')
		m.dst = appendTexts(m.dst, d, it.content, `\n`)
		m.dst = append(m.dst, '"')
	default:
		m.dst = append(m.dst, '[')
		m.dst, _ = m.appendParts(m.dst, it, 0)
		m.dst = append(m.dst, ']')
	}
}

// isText reports whether a content part is plain text for a chat backend.
func isText(d *jsonx.Doc, part uint32) bool {
	typ := d.Get(part, "type")
	return d.Kind(typ) == jsonx.String && partKindOf(d.Str(typ)) == partText
}

// appendTexts appends the text parts of an array, escaped, with sep between them.
func appendTexts(dst []byte, d *jsonx.Doc, array uint32, sep string) []byte {
	first := true
	for v, end := d.First(array), d.End(array); v < end; v = d.Next(v) {
		if !isText(d, v) {
			continue
		}
		if !first {
			dst = append(dst, sep...)
		}
		first = false
		dst = append(dst, d.Str(d.Get(v, "text"))...)
	}
	return dst
}

// appendParts appends content parts in the chat form, after count others. A
// part that the dialect cannot take is left out and reported.
func (m *messages) appendParts(dst []byte, it *item, count int) ([]byte, int) {
	d := it.doc
	array := it.content
	path := ".content"
	if it.kind == kindOutput {
		array, path = it.payload, ".output"
	}
	i := -1
	for v, end := d.First(array), d.End(array); v < end; v = d.Next(v) {
		i++
		before := len(dst)
		if count > 0 {
			dst = append(dst, ',')
		}
		mark := len(dst)
		dst = m.appendPart(dst, d, v, func() string { return partPath(it.at, path, i) })
		if len(dst) == mark {
			dst = dst[:before]
			continue
		}
		count++
	}
	if count == 0 { // nothing is left: an empty text is legal everywhere
		dst = append(dst, `{"type":"text","text":""}`...)
		count++
	}
	return dst, count
}

func (m *messages) appendPart(dst []byte, d *jsonx.Doc, v uint32, path func() string) []byte {
	typ := d.Get(v, "type")
	switch partKindOf(d.Str(typ)) {
	case partText:
		dst = append(dst, `{"type":"text","text":`...)
		dst = append(dst, d.Raw(d.Get(v, "text"))...)
		return append(dst, '}')
	case partImage:
		return m.appendImage(dst, d, v, path)
	case partFile:
		return m.appendFile(dst, d, v, path)
	case partAudio:
		if !m.dialect.Audio {
			m.lose(rulePartDropped, path(), "input_audio")
			return dst
		}
		dst = append(dst, `{"type":"input_audio","input_audio":`...)
		dst = append(dst, d.Raw(d.Get(v, "input_audio"))...)
		return append(dst, '}')
	case partRefusal:
		dst = append(dst, `{"type":"text","text":`...)
		dst = append(dst, d.Raw(d.Get(v, "refusal"))...)
		return append(dst, '}')
	}
	m.lose(rulePartDropped, path(), d.Text(typ))
	return dst
}

func (m *messages) appendImage(dst []byte, d *jsonx.Doc, v uint32, path func() string) []byte {
	url := d.Get(v, "image_url")
	if !m.dialect.Images || !d.Present(url) {
		detail := "input_image"
		if m.dialect.Images {
			detail = "input_image with a file_id"
		}
		m.lose(rulePartDropped, path(), detail)
		return dst
	}
	dst = append(dst, `{"type":"image_url","image_url":{"url":`...)
	dst = append(dst, d.Raw(url)...)
	switch detail := d.Get(v, "detail"); {
	case d.Is(detail, "original"): // the chat API stops at high
		m.lose(ruleImageDetail, path()+".detail", "original → high")
		dst = append(dst, `,"detail":"high"`...)
	case d.Present(detail):
		dst = append(dst, `,"detail":`...)
		dst = append(dst, d.Raw(detail)...)
	}
	return append(dst, "}}"...)
}

func (m *messages) appendFile(dst []byte, d *jsonx.Doc, v uint32, path func() string) []byte {
	data, id, name := d.Get(v, "file_data"), d.Get(v, "file_id"), d.Get(v, "filename")
	if !m.dialect.Files || !d.Present(data) && !d.Present(id) {
		detail := "input_file"
		if m.dialect.Files {
			detail = "input_file with a file_url"
		}
		m.lose(rulePartDropped, path(), detail)
		return dst
	}
	dst = append(dst, `{"type":"file","file":{`...)
	if d.Present(data) {
		dst = append(dst, `"file_data":`...)
		dst = append(dst, d.Raw(data)...)
	} else {
		dst = append(dst, `"file_id":`...)
		dst = append(dst, d.Raw(id)...)
	}
	if d.Present(name) {
		dst = append(dst, `,"filename":`...)
		dst = append(dst, d.Raw(name)...)
	}
	return append(dst, "}}"...)
}

// merges reports whether a message of that role has to be merged into the last
// one, because roles must take turns.
func (m *messages) merges(r role) bool {
	return m.dialect.AlternateRoles && r == roleUser && m.last == roleUser
}

// mergeInto adds the content of a user message to that of the last message.
func (m *messages) mergeInto(it *item) {
	d := it.doc
	text := d.Kind(it.content) == jsonx.String
	if !text {
		text = true
		for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
			text = text && isText(d, v)
		}
	}
	m.dst = m.dst[:len(m.dst)-1] // the message's brace
	if m.dst[m.contentAt] == '"' && text {
		m.dst = append(m.dst[:len(m.dst)-1], `\n\n`...)
		if d.Kind(it.content) == jsonx.String {
			m.dst = append(m.dst, d.Str(it.content)...)
		} else {
			m.dst = appendTexts(m.dst, d, it.content, `\n`)
		}
		m.dst = append(m.dst, `"}`...)
		return
	}
	if m.dst[m.contentAt] == '"' { // becomes the first part of an array
		m.scratch = append(m.scratch[:0], m.dst[m.contentAt:]...)
		m.dst = append(m.dst[:m.contentAt], `[{"type":"text","text":`...)
		m.dst = append(m.dst, m.scratch...)
		m.dst = append(m.dst, "}]"...)
	}
	m.dst = m.dst[:len(m.dst)-1] // the array's bracket
	if d.Kind(it.content) == jsonx.String {
		m.dst = append(m.dst, `,{"type":"text","text":`...)
		m.dst = append(m.dst, d.Raw(it.content)...)
		m.dst = append(m.dst, '}')
	} else {
		m.dst, _ = m.appendParts(m.dst, it, 1)
	}
	m.dst = append(m.dst, "]}"...)
}

// assistant writes the turn as one message: text, then reasoning, then calls. It
// reports whether there was a turn. current says that no user message follows it.
func (m *messages) assistant(current bool) bool {
	if len(m.turn) == 0 {
		return false
	}
	var hasText, hasCalls, hasThoughts bool
	var refusal *item
	for _, it := range m.turn {
		switch it.kind {
		case kindAssistant:
			hasText = true
			if m.dialect.RefusalField && isRefusal(it) {
				refusal = it
			}
		case kindCall:
			hasCalls = true
		case kindReasoning:
			hasThoughts = true
		}
	}
	if !hasText && !hasCalls {
		m.lose(ruleReasoningAlone, itemPath(m.turn[0].at), "")
		m.turn = m.turn[:0]
		return false
	}
	m.begin("assistant")
	switch {
	case refusal != nil:
		m.dst = append(m.dst, `"content":null,"refusal":"`...)
		m.dst = appendRefusal(m.dst, refusal)
		m.dst = append(m.dst, '"')
	case hasText:
		m.dst = append(m.dst, `"content":"`...)
		start := len(m.dst)
		for _, it := range m.turn {
			if it.kind == kindAssistant {
				if len(m.dst) > start {
					m.dst = append(m.dst, `\n\n`...)
				}
				m.dst = m.appendSaid(m.dst, it)
			}
		}
		m.dst = append(m.dst, '"')
	default:
		switch m.dialect.CallContent {
		case CallContentEmpty:
			m.dst = append(m.dst, `"content":""`...)
		case CallContentOmit:
		default:
			m.dst = append(m.dst, `"content":null`...)
		}
	}
	if hasThoughts && (m.dialect.Reasoning.Replay == ReplayAll || current && m.dialect.Reasoning.Replay == ReplayLoop) {
		m.appendThoughts()
	}
	if hasCalls {
		m.appendCalls()
	}
	m.dst = append(m.dst, '}')
	return true
}

// separate appends a comma if the message already has a member after its role.
func (m *messages) separate() {
	if m.dst[len(m.dst)-1] != ',' {
		m.dst = append(m.dst, ',')
	}
}

// isRefusal reports whether a message of the assistant is a refusal and nothing
// else.
func isRefusal(it *item) bool {
	d := it.doc
	if d.Kind(it.content) != jsonx.Array || d.Len(it.content) == 0 {
		return false
	}
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		if !d.Is(d.Get(v, "type"), "refusal") {
			return false
		}
	}
	return true
}

func appendRefusal(dst []byte, it *item) []byte {
	d := it.doc
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		dst = append(dst, d.Str(d.Get(v, "refusal"))...)
	}
	return dst
}

// appendSaid appends the text of an assistant's message, escaped.
func (m *messages) appendSaid(dst []byte, it *item) []byte {
	d := it.doc
	if d.Kind(it.content) == jsonx.String {
		return append(dst, d.Str(it.content)...)
	}
	i := 0
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		typ := d.Get(v, "type")
		switch partKindOf(d.Str(typ)) {
		case partText:
			dst = append(dst, d.Str(d.Get(v, "text"))...)
		case partRefusal:
			dst = append(dst, d.Str(d.Get(v, "refusal"))...)
		default:
			m.lose(rulePartDropped, partPath(it.at, ".content", i), d.Text(typ))
		}
		i++
	}
	return dst
}

// appendThoughts appends the turn's reasoning under the dialect's key.
func (m *messages) appendThoughts() {
	from := len(m.dst)
	m.separate()
	first := len(m.dst) == from // nothing stands between it and the role
	m.dst = jsonx.AppendString(m.dst, m.dialect.Reasoning.ReplayField)
	m.dst = append(m.dst, `:"`...)
	start := len(m.dst)
	for _, it := range m.turn {
		if it.kind != kindReasoning {
			continue
		}
		d := it.doc
		// The reasoning itself, if there is any; else its summary, which is how
		// a client that asked for one got it.
		array := it.content
		if array == 0 || !hasTexts(d, array) {
			array = it.summary
		}
		if array == 0 || !hasTexts(d, array) {
			continue
		}
		if len(m.dst) > start {
			m.dst = append(m.dst, `\n\n`...)
		}
		m.dst = appendTexts(m.dst, d, array, `\n\n`)
	}
	if len(m.dst) == start {
		m.dst = m.dst[:from]
		return
	}
	m.dst = append(m.dst, '"')
	if first { // so that the span can be cut out, comma and all
		m.dst = append(m.dst, ',')
	}
	m.thoughts = append(m.thoughts, span{from, len(m.dst)})
}

func hasTexts(d *jsonx.Doc, array uint32) bool {
	for v, end := d.First(array), d.End(array); v < end; v = d.Next(v) {
		if isText(d, v) && len(d.Str(d.Get(v, "text"))) > 0 {
			return true
		}
	}
	return false
}

func (m *messages) appendCalls() {
	m.separate()
	m.dst = append(m.dst, `"tool_calls":[`...)
	first := true
	for _, it := range m.turn {
		if it.kind != kindCall {
			continue
		}
		if !first {
			m.dst = append(m.dst, ',')
		}
		first = false
		m.dst = append(m.dst, `{"id":`...)
		m.dst = m.appendCallID(m.dst, m.callID(it))
		m.dst = append(m.dst, `,"type":"function","function":{"name":`...)
		m.dst = m.appendCallName(m.dst, it)
		m.dst = append(m.dst, `,"arguments":`...)
		m.dst = m.appendArguments(m.dst, it)
		m.dst = append(m.dst, "}}"...)
	}
	m.dst = append(m.dst, ']')
}

// callID is the call's id, unescaped. It may alias the document.
func (m *messages) callID(it *item) []byte {
	if it.callID == 0 {
		return nil
	}
	raw := it.doc.Str(it.callID)
	if it.doc.StrKind(it.callID)&jsonx.HasEscape != 0 {
		return jsonx.AppendUnescaped(nil, raw)
	}
	return raw
}

// appendCallID appends an id in the form that the dialect takes.
func (m *messages) appendCallID(dst, id []byte) []byte {
	if m.dialect.Tools.CallIDs == CallIDsAlnum9 {
		short := alnum9(id)
		return jsonx.AppendString(dst, short[:])
	}
	if len(id) == 0 {
		return append(dst, `"call_0"`...)
	}
	return jsonx.AppendString(dst, id)
}

// appendCallName appends the function's name. Calls of tools that are no
// functions are named after their type.
func (m *messages) appendCallName(dst []byte, it *item) []byte {
	d := it.doc
	n := it.name
	if n == 0 || d.Kind(n) != jsonx.String {
		typ := bytes.TrimSuffix(d.Str(it.typ), []byte("_call"))
		return jsonx.AppendString(dst, typ)
	}
	if raw := d.Str(n); plainName(raw, m.dialect.Tools.NameMax) {
		return append(dst, d.Raw(n)...)
	}
	return jsonx.AppendString(dst, shortName(d.Text(n), m.dialect.Tools.NameMax))
}

// appendArguments appends the arguments as a JSON string that holds a JSON
// object, which is what backends parse. What is no object is wrapped in one.
func (m *messages) appendArguments(dst []byte, it *item) []byte {
	d, n := it.doc, it.payload
	if !it.isFunction() {
		m.lose(ruleItemEmulated, itemPath(it.at), d.Text(it.typ))
		if d.Kind(n) == jsonx.Object {
			return jsonx.AppendString(dst, d.Raw(n))
		}
		return m.appendWrapped(dst, d.Raw(n))
	}
	raw := d.Str(n)
	if d.StrKind(n)&jsonx.HasEscape == 0 {
		if string(raw) == "{}" {
			return append(dst, d.Raw(n)...)
		}
		m.scratch = append(m.scratch[:0], raw...)
	} else {
		m.scratch = jsonx.AppendUnescaped(m.scratch[:0], raw)
	}
	err := m.args.Parse(m.scratch, jsonx.Limits{})
	if err == nil && m.args.Kind(jsonx.Root) == jsonx.Object || err != nil && err.Reason == jsonx.DuplicateKey {
		return append(dst, d.Raw(n)...)
	}
	m.lose(ruleArguments, itemPath(it.at)+".arguments", "")
	if len(bytes.TrimSpace(m.scratch)) == 0 {
		return append(dst, `"{}"`...)
	}
	return m.appendWrapped(dst, d.Raw(n))
}

// appendWrapped appends {"input":value} as a JSON string. value is JSON.
func (m *messages) appendWrapped(dst, value []byte) []byte {
	wrapped := make([]byte, 0, len(value)+12)
	wrapped = append(wrapped, `{"input":`...)
	wrapped = append(wrapped, value...)
	wrapped = append(wrapped, '}')
	return jsonx.AppendString(dst, wrapped)
}

// picture is a tool's output whose images must follow in a user message.
type picture struct {
	it *item
	id []byte
}

// result writes the tool message for a call. Without an output there is one
// that says so. call is the index of the call, or -1 when it is in the history.
func (m *messages) result(id []byte, out *item, call int) {
	m.begin("tool")
	m.dst = append(m.dst, `"tool_call_id":`...)
	m.dst = m.appendCallID(m.dst, id)
	m.dst = append(m.dst, `,"content":`...)
	m.contentAt = len(m.dst)
	if out == nil {
		path := "previous_response_id"
		if call >= 0 {
			path = itemPath(call)
		}
		m.lose(ruleMissingOutput, path, string(id))
		m.dst = append(m.dst, `"(no output)"}`...)
		return
	}
	m.appendOutput(out)
	m.dst = append(m.dst, '}')
	if d := out.doc; d.Kind(out.payload) == jsonx.Array && hasPictures(out) {
		m.pictures = append(m.pictures, picture{out, id})
	}
}

func (m *messages) appendOutput(out *item) {
	d, n := out.doc, out.payload
	known := out.isFunction() || d.Is(out.typ, "custom_tool_call_output")
	switch {
	case n == 0: // apply_patch_call_output, whose status says enough
		m.dst = append(m.dst, '"')
		if status := d.GetString(out.node, "status"); status != 0 {
			m.dst = append(m.dst, d.Str(status)...)
		}
		m.dst = append(m.dst, '"')
	case d.Kind(n) == jsonx.String:
		m.dst = append(m.dst, d.Raw(n)...)
	case known:
		m.dst = append(m.dst, '"')
		m.dst = appendTexts(m.dst, d, n, `\n`)
		if !hasTexts(d, n) && hasPictures(out) {
			m.dst = append(m.dst, "(see the next message)"...)
		}
		m.dst = append(m.dst, '"')
	default:
		m.dst = jsonx.AppendString(m.dst, d.Raw(n))
	}
}

// hasPictures reports whether a tool's output has parts other than text.
func hasPictures(out *item) bool {
	d := out.doc
	if !out.isFunction() && !d.Is(out.typ, "custom_tool_call_output") {
		return false
	}
	for v, end := d.First(out.payload), d.End(out.payload); v < end; v = d.Next(v) {
		if !isText(d, v) {
			return true
		}
	}
	return false
}

// illustrate writes a user message with what tool messages cannot hold, after
// the whole block of them.
func (m *messages) illustrate() {
	if len(m.pictures) == 0 {
		return
	}
	m.begin("user")
	m.dst = append(m.dst, `"content":`...)
	m.contentAt = len(m.dst)
	m.dst = append(m.dst, '[')
	count := 0
	for _, p := range m.pictures {
		if count > 0 {
			m.dst = append(m.dst, ',')
		}
		m.dst = append(m.dst, `{"type":"text","text":`...)
		m.dst = jsonx.AppendString(m.dst, "Output of tool call "+string(p.id)+":")
		m.dst = append(m.dst, '}')
		count++
		d, i := p.it.doc, -1
		for v, end := d.First(p.it.payload), d.End(p.it.payload); v < end; v = d.Next(v) {
			i++
			if isText(d, v) {
				continue
			}
			mark := len(m.dst)
			m.dst = append(m.dst, ',')
			m.dst = m.appendPart(m.dst, d, v, func() string { return partPath(p.it.at, ".output", i) })
			if len(m.dst) == mark+1 {
				m.dst = m.dst[:mark]
				continue
			}
			count++
		}
		m.lose(ruleOutputParts, itemPath(p.it.at)+".output", "")
	}
	m.dst = append(m.dst, "]}"...)
	clear(m.pictures)
	m.pictures = m.pictures[:0]
}

// orphan writes an output that belongs to no call: as the result of a call that
// is made up for it, so that what the tool said is not lost.
func (m *messages) orphan(it *item) {
	m.lose(ruleOrphanOutput, itemPath(it.at), callIDOf(it))
	id := m.callID(it)
	m.begin("assistant")
	switch m.dialect.CallContent {
	case CallContentEmpty:
		m.dst = append(m.dst, `"content":"",`...)
	case CallContentNull:
		m.dst = append(m.dst, `"content":null,`...)
	}
	m.dst = append(m.dst, `"tool_calls":[{"id":`...)
	m.dst = m.appendCallID(m.dst, id)
	m.dst = append(m.dst, `,"type":"function","function":{"name":`...)
	if it.name != 0 && it.doc.Kind(it.name) == jsonx.String && len(it.doc.Str(it.name)) > 0 {
		m.dst = m.appendCallName(m.dst, it)
	} else {
		m.dst = append(m.dst, `"unknown_tool"`...)
	}
	m.dst = append(m.dst, `,"arguments":"{}"}}]}`...)
	m.result(id, it, it.at)
	m.illustrate()
}
