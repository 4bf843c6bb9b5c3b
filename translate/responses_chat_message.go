package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
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
	if it.agent {
		m.agentMessage(it, name)
		return
	}
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
// string where one text is left of them, or where the dialect wants texts
// joined; an array otherwise.
func (m *messages) parts(it *item) {
	d := it.doc
	texts, others, only := m.count3(it)
	switch {
	case others > 0 || texts > 1 && !m.dialect.JoinText:
		m.dst = append(m.dst, '[')
		m.dst = m.appendParts(m.dst, it, 0)
		m.dst = append(m.dst, ']')
		return
	case texts == 1 && len(d.Str(only)) > 0:
		m.dst = append(m.dst, d.Raw(only)...)
	default:
		m.dst = append(m.dst, '"')
		m.dst = m.appendTextsOrNote(m.dst, it)
		m.dst = append(m.dst, '"')
	}
	m.dropOthers(it, it.content, ".content")
}

// appendTextsOrNote appends the texts of a message, or where nothing is left of it
// because the backend does not take its parts, a note that says so: a question that has
// become empty is answered by guessing.
func (m *messages) appendTextsOrNote(dst []byte, it *item) []byte {
	d, from := it.doc, len(dst)
	dst = appendTexts(dst, d, it.content, `\n`)
	if len(dst) > from {
		return dst
	}
	var named [3]bool
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		what := -1
		switch partKindOf(d.Str(d.Get(v, "type"))) {
		case partText:
		case partImage:
			what = 0
		case partFile:
			what = 1
		default:
			what = 2
		}
		if what < 0 || named[what] {
			continue
		}
		if len(dst) > from {
			dst = append(dst, `\n`...)
		}
		named[what] = true
		dst = append(dst, [...]string{
			"(an image was here, which could not be passed on)", "(a file was here, which could not be passed on)",
			"(something was here that is no text, and could not be passed on)",
		}[what]...)
	}
	return dst
}

// count3 counts the parts of a message that are text, and the others that the
// dialect takes; only is the text of the last text.
func (m *messages) count3(it *item) (texts, others int, only uint32) {
	d := it.doc
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		switch {
		case isText(d, v):
			texts++
			only = d.Get(v, "text")
		case m.takes(d, v):
			others++
		}
	}
	return texts, others, only
}

// dropOthers reports the parts of an array that are no text, where only text is
// sent.
func (m *messages) dropOthers(it *item, array uint32, member string) {
	d, i := it.doc, 0
	for v, end := d.First(array), d.End(array); v < end; v = d.Next(v) {
		if !isText(d, v) {
			m.lose(rulePartDropped, partPath(it.at, member, i), m.dropped(d, v))
		}
		i++
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
func (m *messages) appendParts(dst []byte, it *item, count int) []byte {
	d := it.doc
	i := -1
	for v, end := d.First(it.content), d.End(it.content); v < end; v = d.Next(v) {
		i++
		if !m.takes(d, v) {
			m.lose(rulePartDropped, partPath(it.at, ".content", i), m.dropped(d, v))
			continue
		}
		if count > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendPart(dst, d, v, func() string { return partPath(it.at, ".content", i) })
		count++
	}
	return dst
}

// takes reports whether a content part can be sent.
func (m *messages) takes(d *jsonx.Doc, v uint32) bool {
	switch partKindOf(d.Str(d.Get(v, "type"))) {
	case partText:
		return true
	case partImage:
		url := d.Get(v, "image_url")
		return m.dialect.Images && (d.Present(url) && (m.dialect.ImageURLs || !isRemote(d, url)) || m.fetchedImage(d, v) != nil)
	case partFile:
		return m.dialect.Files && (d.Present(d.Get(v, "file_data")) || m.dialect.FileIDs && d.Present(d.Get(v, "file_id")) ||
			m.fetchedFile(d, v).Data != nil)
	case partAudio:
		return m.dialect.Audio
	}
	return false
}

// dropped says of a part that is not sent what it is.
func (m *messages) dropped(d *jsonx.Doc, v uint32) string {
	typ := d.Get(v, "type")
	switch partKindOf(d.Str(typ)) {
	case partImage:
		if m.dialect.Images && !d.Present(d.Get(v, "image_url")) {
			return "input_image with a file_id"
		}
		if m.dialect.Images && !m.dialect.ImageURLs && isRemote(d, d.Get(v, "image_url")) {
			return "input_image with a URL, which the backend does not fetch"
		}
	case partFile:
		if m.dialect.Files && d.Present(d.Get(v, "file_url")) {
			return "input_file with a file_url"
		}
		if m.dialect.Files {
			return "input_file with a file_id"
		}
	}
	return d.Text(typ)
}

// appendPart appends a content part that the dialect takes, in the chat form.
func (m *messages) appendPart(dst []byte, d *jsonx.Doc, v uint32, path func() string) []byte {
	switch partKindOf(d.Str(d.Get(v, "type"))) {
	case partImage:
		return m.appendImage(dst, d, v, path)
	case partFile:
		return m.appendFile(dst, d, v, path)
	case partAudio:
		dst = append(dst, `{"type":"input_audio","input_audio":`...)
		dst = append(dst, d.Raw(d.Get(v, "input_audio"))...)
		return append(dst, '}')
	}
	dst = append(dst, `{"type":"text","text":`...)
	dst = append(dst, d.Raw(d.Get(v, "text"))...)
	return append(dst, '}')
}

func (m *messages) appendImage(dst []byte, d *jsonx.Doc, v uint32, path func() string) []byte {
	dst = append(dst, `{"type":"image_url","image_url":{"url":`...)
	if url := d.Get(v, "image_url"); d.Present(url) && (m.dialect.ImageURLs || !isRemote(d, url)) {
		dst = append(dst, d.Raw(url)...)
	} else {
		m.lose(rulePartFetched, path()+named(d, v, "image_url"), "")
		dst = jsonx.AppendString(dst, m.fetchedImage(d, v))
	}
	switch detail := d.Get(v, "detail"); {
	case d.Is(detail, "original"): // the chat API stops at high
		m.lose(ruleImageDetail, path()+".detail", "original → high")
		dst = append(dst, `,"detail":"high"`...)
	case d.Is(detail, "auto"): // which is the default, and stands in what is listed
	case d.Present(detail):
		dst = append(dst, `,"detail":`...)
		dst = append(dst, d.Raw(detail)...)
	}
	return append(dst, "}}"...)
}

func (m *messages) appendFile(dst []byte, d *jsonx.Doc, v uint32, path func() string) []byte {
	dst = append(dst, `{"type":"file","file":{`...)
	if data := d.Get(v, "file_data"); d.Present(data) {
		dst = append(dst, `"file_data":`...)
		dst = append(dst, d.Raw(data)...)
	} else if file := m.fetchedFile(d, v); file.Data != nil {
		m.lose(rulePartFetched, path()+named(d, v, "file_url"), "")
		dst = append(dst, `"file_data":`...)
		dst = jsonx.AppendString(dst, file.Data)
		if file.Name != "" && !d.Present(d.Get(v, "filename")) {
			dst = append(dst, `,"filename":`...)
			dst = jsonx.AppendString(dst, file.Name)
		}
	} else {
		dst = append(dst, `"file_id":`...)
		dst = append(dst, d.Raw(d.Get(v, "file_id"))...)
	}
	if name := d.Get(v, "filename"); d.Present(name) {
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
		_, others, _ := m.count3(it)
		text = others == 0
	}
	m.dst = m.dst[:len(m.dst)-1] // the message's brace
	if m.dst[m.contentAt] == '"' && text {
		m.dst = append(m.dst[:len(m.dst)-1], `\n\n`...)
		if d.Kind(it.content) == jsonx.String {
			m.dst = append(m.dst, d.Str(it.content)...)
		} else {
			m.dst = m.appendTextsOrNote(m.dst, it)
			m.dropOthers(it, it.content, ".content")
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
		m.dst = m.appendParts(m.dst, it, 1)
	}
	m.dst = append(m.dst, "]}"...)
}
