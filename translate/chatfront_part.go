package translate

import "github.com/antiphon-proxy/antiphon/translate/jsonx"

// Parts of a chat message that are named as the Responses API names them. Cursor and
// others send them among parts of chat: they can only mean one thing, and it is what the
// backend takes.

// chatPart is a part of a message, by its name in the Chat API.
type chatPart struct {
	kind  string // text, refusal, image_url, file or input_audio; "" for another
	inner uint32 // its text, or the object with its members
	flat  bool   // it is named as the Responses API does, and has its members itself
}

// readChatPart reads the part v.
func readChatPart(d *jsonx.Doc, v uint32) chatPart {
	switch typ := d.Text(d.GetString(v, "type")); typ {
	case "text", "image_url", "file", "input_audio", "refusal":
		return chatPart{kind: typ, inner: d.Get(v, typ)}
	case "input_text", "output_text":
		return chatPart{kind: "text", inner: d.Get(v, "text"), flat: true}
	case "input_image":
		return chatPart{kind: "image_url", inner: v, flat: true}
	case "input_file":
		return chatPart{kind: "file", inner: v, flat: true}
	}
	return chatPart{}
}

// url is the node of an image's URL, or 0.
func (p *chatPart) url(d *jsonx.Doc) uint32 {
	if !p.flat {
		return d.Get(p.inner, "url")
	}
	n := d.Get(p.inner, "image_url")
	if d.Kind(n) == jsonx.Object {
		n = d.Get(n, "url")
	}
	return n
}

// checkFlatPart checks a part that is named as the Responses API does.
func checkFlatPart(d *jsonx.Doc, p *chatPart, path string) *Error {
	text := func(key string, n uint32) *Error {
		if d.Present(n) && d.Kind(n) != jsonx.String {
			return errType(path+"."+key, "a string", got(d, n))
		}
		return nil
	}
	switch p.kind {
	case "text":
		if !d.Present(p.inner) {
			return errMissing(path + ".text")
		}
		return text("text", p.inner)
	case "image_url":
		if !d.Present(p.url(d)) && !d.Present(d.Get(p.inner, "file_id")) {
			return errMissing(path + ".image_url")
		}
		if err := text("image_url", p.url(d)); err != nil {
			return err
		}
		return text("file_id", d.Get(p.inner, "file_id"))
	}
	found := false
	for _, key := range []string{"file_data", "file_id", "file_url", "filename"} {
		n := d.Get(p.inner, key)
		if err := text(key, n); err != nil {
			return err
		}
		found = found || d.Present(n) && key != "filename"
	}
	if !found {
		return errMissing(path + ".file_id")
	}
	return nil
}

// appendImage appends the members of an input_image that an image has.
func (p *chatPart) appendImage(dst []byte, d *jsonx.Doc) []byte {
	dst = append(dst, `{"type":"input_image"`...)
	if url := p.url(d); d.Present(url) {
		dst = append(dst, `,"image_url":`...)
		dst = append(dst, d.Raw(url)...)
	} else if id := d.Get(p.inner, "file_id"); d.Present(id) {
		dst = append(dst, `,"file_id":`...)
		dst = append(dst, d.Raw(id)...)
	}
	dst = append(dst, `,"detail":`...)
	detail := d.Get(p.inner, "detail")
	if inner := d.Get(p.inner, "image_url"); p.flat && d.Kind(inner) == jsonx.Object && !d.Present(detail) {
		detail = d.Get(inner, "detail")
	}
	if d.Kind(detail) == jsonx.String {
		return append(dst, d.Raw(detail)...)
	}
	return append(dst, `"auto"`...)
}
