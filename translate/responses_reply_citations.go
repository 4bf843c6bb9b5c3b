package translate

import "github.com/antiphon-proxy/antiphon/translate/jsonx"

// Some servers give the sources of an answer beside it, as a list of URLs or of objects
// with one (docs.x.ai/docs/guides/live-search). They become annotations of the last text,
// of no place in it, unless the answer has annotations of its own.

// citations takes in the sources that the response n has beside its output.
func (r *reply) citations(dst []byte, n uint32) []byte {
	d := &r.doc
	list := d.Get(n, "citations")
	if d.Kind(list) != jsonx.Array || d.Len(list) == 0 {
		return dst
	}
	item, part := -1, -1
	for i := range r.items[:r.count] {
		it := &r.items[i]
		for p := range it.parts[:it.partCount] {
			switch {
			case it.parts[p].notes > 0:
				return dst
			case it.kind == inMessage && it.parts[p].kind == textPart:
				item, part = i, p
			}
		}
	}
	if item < 0 {
		return dst
	}
	for v, end := d.First(list), d.End(list); v < end && !r.ended; v = d.Next(v) {
		url, title := v, uint32(0)
		if d.Kind(v) == jsonx.Object {
			url, title = d.GetString(v, "url"), d.GetString(v, "title")
		}
		if d.Kind(url) != jsonx.String || len(d.Str(url)) == 0 || d.StrKind(url)&jsonx.HasSurrogate != 0 {
			continue
		}
		note := append([]byte(`{"type":"url_citation","start_index":0,"end_index":0,"url":`), d.Raw(url)...)
		note = append(note, `,"title":`...)
		if title != 0 && d.StrKind(title)&jsonx.HasSurrogate == 0 {
			note = append(note, d.Raw(title)...)
		} else {
			note = append(note, d.Raw(url)...)
		}
		var own jsonx.Doc
		if own.Parse(append(note, '}'), upstreamLimits) == nil && r.hold(len(note)) {
			r.items[item].parts[part].notes++
			dst = r.sink.noted(dst, item, part, &own, jsonx.Root)
		}
	}
	return dst
}
