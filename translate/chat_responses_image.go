package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Chat backends that draw give their pictures in images, beside the text, or as parts of
// it. Those that are in the reply itself, as data URLs or base64, become
// image_generation_call items.

// images takes in the list of pictures of a delta or message.
func (t *Turn) images(dst []byte, d *jsonx.Doc, n uint32) []byte {
	switch d.Kind(n) {
	case jsonx.Array:
	case jsonx.Null:
		return dst
	case jsonx.Object, jsonx.String: // one
		return t.image(dst, d, n)
	default:
		t.lose(ruleReplyImage, "output", "")
		return dst
	}
	for v, end := d.First(n), d.End(n); v < end && t.state < stateEnded; v = d.Next(v) {
		dst = t.image(dst, d, v)
	}
	return dst
}

// isImage reports whether a part of content is a picture.
func isImage(d *jsonx.Doc, part uint32) bool {
	typ := d.Get(part, "type")
	return d.Is(typ, "image_url") || d.Is(typ, "output_image") || d.Is(typ, "image") || d.Kind(d.Get(part, "inline_data")) == jsonx.Object
}

// image takes in one picture.
func (t *Turn) image(dst []byte, d *jsonx.Doc, n uint32) []byte {
	data, embedded := imageData(d, n)
	if !embedded {
		t.lose(ruleReplyImage, "output["+string(appendInt(nil, len(t.order)))+"]", string(data[:min(len(data), 100)]))
		return dst
	}
	for i := range t.count { // some say it again in the last chunk
		if it := &t.items[i]; it.kind == outOther && bytes.HasSuffix(it.members[:len(it.members)-1], data) {
			return dst
		}
	}
	if dst = t.flushTags(dst); t.state >= stateEnded {
		return dst
	}
	if t.cur >= 0 {
		dst = t.close(dst, t.cur, "completed")
	}
	i := t.newItem(outOther)
	if i < 0 || !t.hold(len(data)) {
		return t.tooLarge(dst)
	}
	const kind = "image_generation_call"
	it := &t.items[i]
	it.members = append(it.members[:0], `,"type":"`+kind+`","result":null`...)
	dst = t.add(dst, i, itemPrefix(kind))
	it = &t.items[i]
	it.members = append(it.members[:0], `,"type":"`+kind+`","result":"`...)
	it.members = append(it.members, data...)
	it.members = append(it.members, '"')
	return t.close(dst, i, "completed")
}

// imageData is the base64 of a picture that is in the reply, or its address.
func imageData(d *jsonx.Doc, n uint32) (data []byte, embedded bool) {
	url := n
	for range 3 { // {"image_url":{"url":"…"}}, {"image":{"url":…}}, "…"
		if d.Kind(url) != jsonx.Object {
			break
		}
		inner := uint32(0)
		for _, key := range [...]string{"image_url", "url", "image", "b64_json", "inline_data", "inlineData", "data", "source"} {
			if v := d.Get(url, key); d.Present(v) {
				if inner = v; key == "b64_json" || key == "data" {
					embedded = true
				}
				break
			}
		}
		url = inner
	}
	if d.Kind(url) != jsonx.String {
		return nil, false
	}
	data = d.Str(url)
	if bytes.HasPrefix(data, []byte("data:")) {
		_, data, embedded = bytes.Cut(data, []byte(";base64,"))
	}
	for _, c := range data { // it goes out as it is
		if c == '\\' && embedded {
			data = bytes.ReplaceAll(jsonx.AppendUnescaped(nil, data), []byte{'\n'}, nil)
			break
		}
	}
	if embedded && !isBase64(data) {
		return nil, false
	}
	return data, embedded && len(data) > 0
}

func isBase64(data []byte) bool {
	for _, c := range data {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if (c < '0' || c > '9') && c != '+' && c != '/' && c != '=' && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
