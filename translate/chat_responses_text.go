package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// text takes in a fragment of what the assistant says.
func (t *Turn) text(dst, raw []byte, kind jsonx.StringKind, logprobs []byte) []byte {
	if t.markup.on && t.state < stateEnded && len(raw) > 0 {
		return t.markedText(dst, raw, kind, logprobs, false)
	}
	return t.sayText(dst, raw, kind, logprobs)
}

// sayText says a fragment of text.
func (t *Turn) sayText(dst, raw []byte, kind jsonx.StringKind, logprobs []byte) []byte {
	if len(raw) == 0 && len(logprobs) == 0 || t.state >= stateEnded {
		return dst
	}
	dst = t.message(dst, textPart)
	if t.cur < 0 {
		return dst
	}
	it := &t.items[t.cur]
	return t.delta(dst, it, t.whole(it, raw, kind), logprobs)
}

// refusal takes in a fragment of a refusal.
func (t *Turn) refusal(dst, raw []byte, kind jsonx.StringKind) []byte {
	if len(raw) == 0 || t.state >= stateEnded {
		return dst
	}
	dst = t.message(t.releaseMarkup(dst), refusalPart)
	if t.cur < 0 {
		return dst
	}
	it := &t.items[t.cur]
	return t.delta(dst, it, t.whole(it, raw, kind), nil)
}

// message sees to it that a message is open, with a part of that kind.
func (t *Turn) message(dst []byte, part openPart) []byte {
	if t.cur >= 0 && t.items[t.cur].kind != outMessage {
		dst = t.close(dst, t.cur, "completed")
	}
	if t.cur < 0 {
		dst = t.closeWholeCalls(dst)
		i := t.newItem(outMessage)
		if i < 0 {
			return t.tooLarge(dst)
		}
		dst = t.add(dst, i, prefixMessage)
		t.cur = i
	}
	it := &t.items[t.cur]
	if it.part == part {
		return dst
	}
	dst = t.closePart(dst, it, false)
	return t.openPart(dst, it, part)
}

// annotation takes in an annotation of the chat API, a url_citation with its
// members nested, and gives it flat.
func (t *Turn) annotation(dst []byte, d *jsonx.Doc, n uint32) []byte {
	citation := d.Get(n, "url_citation")
	if t.state >= stateEnded {
		return dst
	}
	if !d.Is(d.Get(n, "type"), "url_citation") || d.Kind(citation) != jsonx.Object {
		t.losePart(d, n)
		return dst
	}
	dst = t.message(dst, textPart)
	if t.cur < 0 {
		return dst
	}
	it := &t.items[t.cur]
	from := len(it.annotations)
	if from > 0 {
		it.annotations = append(it.annotations, ',')
		from++
	}
	it.annotations = append(it.annotations, `{"type":"url_citation"`...)
	for _, key := range []string{"start_index", "end_index", "url", "title"} {
		it.annotations = append(it.annotations, ',', '"')
		it.annotations = append(it.annotations, key...)
		it.annotations = append(it.annotations, '"', ':')
		v := d.Get(citation, key)
		switch {
		case key[0] == 'u' || key[0] == 't':
			if d.Kind(v) == jsonx.String && d.StrKind(v)&jsonx.HasSurrogate == 0 {
				it.annotations = append(it.annotations, d.Raw(v)...)
			} else {
				it.annotations = append(it.annotations, `""`...)
			}
		default:
			it.annotations = appendInt(it.annotations, int(firstCount(d, citation, key)))
		}
	}
	it.annotations = append(it.annotations, '}')
	return t.announceNote(dst, it, from)
}

// announceNote announces the annotation of the open part that stands in
// it.annotations from there on.
func (t *Turn) announceNote(dst []byte, it *outItem, from int) []byte {
	if !t.hold(len(it.annotations) - from) {
		it.annotations = it.annotations[:max(from-1, 0)] // it was never announced
		return t.tooLarge(dst)
	}
	if !t.events {
		it.notes++
		return dst
	}
	dst = t.event(dst, evAnnotation)
	dst = partPlace(dst, it, "content_index")
	dst = append(dst, `,"annotation_index":`...)
	dst = appendInt(dst, it.notes)
	dst = append(dst, `,"annotation":`...)
	dst = append(dst, it.annotations[from:]...)
	it.notes++
	return append(dst, eventEnd...)
}

// losePart reports a part or annotation that has no place in a response.
func (t *Turn) losePart(d *jsonx.Doc, n uint32) {
	detail := ""
	if typ := d.GetString(n, "type"); typ != 0 {
		detail = brief(d.Text(typ))
	}
	t.lose(ruleReplyPart, "output["+string(appendInt(nil, len(t.order)))+"]", detail)
}

// appendLogprobs appends the tokens of a choice's logprobs in the form of the
// Responses API, with commas: token, logprob, bytes and top_logprobs, and
// nothing else that a server may add.
func appendLogprobs(dst []byte, d *jsonx.Doc, logprobs uint32) []byte {
	tokens := d.Get(logprobs, "content")
	if d.Kind(tokens) != jsonx.Array {
		return dst
	}
	return appendTokens(dst, d, tokens)
}

// appendTokens appends the tokens of an array, with commas. Both APIs have them
// in this form.
func appendTokens(dst []byte, d *jsonx.Doc, tokens uint32) []byte {
	start := len(dst)
	for v, end := d.First(tokens), d.End(tokens); v < end; v = d.Next(v) {
		if d.Kind(v) != jsonx.Object {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = appendToken(dst, d, v)
		dst = append(dst, `,"top_logprobs":[`...)
		if top := d.Get(v, "top_logprobs"); d.Kind(top) == jsonx.Array {
			first := true
			for w, wend := d.First(top), d.End(top); w < wend; w = d.Next(w) {
				if d.Kind(w) != jsonx.Object {
					continue
				}
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = append(appendToken(dst, d, w), '}')
			}
		}
		dst = append(dst, "]}"...)
	}
	return dst
}

// appendToken appends a token's object without its closing brace.
func appendToken(dst []byte, d *jsonx.Doc, n uint32) []byte {
	dst = append(dst, `{"token":"`...)
	if v := d.Get(n, "token"); d.Kind(v) == jsonx.String {
		from := len(dst)
		dst = append(dst, d.Str(v)...)
		if d.StrKind(v)&jsonx.HasSurrogate != 0 {
			jsonx.MendSurrogates(dst[from:])
		}
	}
	dst = append(dst, `","logprob":`...)
	if v := d.Get(n, "logprob"); d.Kind(v) == jsonx.Number {
		dst = append(dst, d.Raw(v)...)
	} else {
		dst = append(dst, "-9999.0"...) // the API's own word for "very unlikely"
	}
	dst = append(dst, `,"bytes":[`...)
	if v := d.Get(n, "bytes"); d.Kind(v) == jsonx.Array {
		first := true
		for b, end := d.First(v), d.End(v); b < end; b = d.Next(b) {
			if x, ok := d.Int(b); ok && x >= 0 && x < 256 {
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = appendInt(dst, int(x))
			}
		}
	}
	return append(dst, ']')
}
