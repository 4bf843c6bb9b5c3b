package translate

import (
	"bytes"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Backends that search by themselves give the sources of an answer beside it: lists of
// addresses or of results, in the chunk, the message, or what a tool of theirs has found.
// They become url_citation annotations of the text: at the marks [1], [2] … that name
// them, or at its end.

// source is one of them: what stands inside JSON strings.
type source struct{ url, title []byte }

// maxSources bounds them.
const maxSources = 64

// sourceLists are the members in which lists of sources stand, and under what in them.
var sourceLists = map[string][]string{
	"citations": nil, "search_results": nil, "searchResults": nil, "references": nil, "sources": nil, "web_search": nil, "web_search_results": nil,
	"grounding_metadata": {"grounding_chunks"}, "groundingMetadata": {"groundingChunks"},
	"search_info": {"search_results"}, "context": {"citations"},
}

// takeSources takes in what the member k says of sources, and reports whether it is one
// that does.
func (t *Turn) takeSources(d *jsonx.Doc, k uint32) bool {
	v := k + 1
	if d.Is(k, "executed_tools") {
		return t.takeExecuted(d, v)
	}
	path, ok := sourceLists[string(d.Str(k))]
	if !ok || !d.Present(v) {
		return false
	}
	for _, key := range path {
		v = d.Get(v, key)
	}
	if d.Kind(v) == jsonx.Object { // of results
		v = d.Get(v, "results")
	}
	if d.Kind(v) != jsonx.Array {
		return false
	}
	for s, end := d.First(v), d.End(v); s < end; s = d.Next(s) {
		t.takeSource(d, s)
	}
	return true
}

// takeExecuted takes in tools that the backend has run (Groq): what a search found are
// sources; the output of others is not part of the answer.
func (t *Turn) takeExecuted(d *jsonx.Doc, list uint32) bool {
	if d.Kind(list) != jsonx.Array || d.Len(list) == 0 {
		return false
	}
	for v, end := d.First(list), d.End(list); v < end; v = d.Next(v) {
		results := d.Get(v, "search_results")
		if d.Kind(results) == jsonx.Object {
			results = d.Get(results, "results")
		}
		if d.Kind(results) != jsonx.Array {
			t.lose(ruleReplyPart, "output", "executed_tools")
			continue
		}
		for s, end := d.First(results), d.End(results); s < end; s = d.Next(s) {
			t.takeSource(d, s)
		}
	}
	return true
}

func (t *Turn) takeSource(d *jsonx.Doc, n uint32) {
	at := n
	if d.Kind(n) == jsonx.Object {
		for _, key := range [...]string{"web", "document", "source", "retrievedContext"} {
			if v := d.Get(n, key); d.Kind(v) == jsonx.Object {
				at = v
				break
			}
		}
	}
	url, title := at, uint32(0)
	if d.Kind(at) == jsonx.Object {
		url = firstString(d, at, "url", "uri", "link", "href", "source_url", "source")
		title = firstString(d, at, "title", "name")
	}
	var raw []byte
	if d.Kind(url) == jsonx.String {
		raw = d.Str(url)
	}
	if len(raw) == 0 || d.StrKind(url)&jsonx.HasSurrogate != 0 || !bytes.Contains(raw[:min(len(raw), 16)], []byte(":")) {
		t.lose(ruleReplySources, "output", "")
		return
	}
	var name []byte
	if title != 0 && d.StrKind(title)&jsonx.HasSurrogate == 0 {
		name = d.Str(title)
	}
	for i := range t.sources {
		if bytes.Equal(t.sources[i].url, raw) {
			if len(t.sources[i].title) == 0 {
				t.sources[i].title = bytes.Clone(name)
			}
			return
		}
	}
	if len(t.sources) >= maxSources || !t.hold(len(raw)+len(name)) {
		t.lose(ruleReplySources, "output", "")
		return
	}
	t.sources = append(t.sources, source{bytes.Clone(raw), bytes.Clone(name)})
}

// cite makes annotations of the sources, of the text that is about to be done. Where
// the backend has made some itself, those count.
func (t *Turn) cite(dst []byte, it *outItem) []byte {
	if len(t.sources) == 0 || len(it.text) == 0 {
		return dst
	}
	sources := t.sources
	t.sources = nil
	if it.notes > 0 {
		return dst
	}
	var marked uint64 // of maxSources
	characters := 0
	for i := 0; i < len(it.text); characters++ {
		if it.text[i] == '[' {
			if n, size := mark(it.text[i:]); n > 0 && n <= len(sources) {
				marked |= 1 << (n - 1)
				dst = t.citeAt(dst, it, &sources[n-1], characters, characters+size)
			}
		}
		i += characterSize(it.text[i:])
	}
	for i := range sources {
		if marked>>i&1 == 0 {
			dst = t.citeAt(dst, it, &sources[i], characters, characters)
		}
	}
	return dst
}

// mark reads a mark such as [12].
func mark(text []byte) (n, size int) {
	for i := 1; i < min(len(text), 5); i++ {
		switch c := text[i]; {
		case c == ']' && i > 1:
			return n, i + 1
		case c < '0' || c > '9':
			return 0, 0
		default:
			n = 10*n + int(c-'0')
		}
	}
	return 0, 0
}

// characterSize is how many bytes of the inside of a JSON string the first character
// takes. Two escapes of a surrogate pair are one.
func characterSize(raw []byte) int {
	if raw[0] == '\\' {
		r, size := jsonx.Escape(raw)
		if r >= 0xd800 && r < 0xdc00 && size < len(raw) && raw[size] == '\\' {
			_, more := jsonx.Escape(raw[size:])
			size += more
		}
		return max(size, 1)
	}
	_, size := utf8.DecodeRune(raw)
	return size
}

func (t *Turn) citeAt(dst []byte, it *outItem, s *source, start, end int) []byte {
	if t.state >= stateEnded {
		return dst
	}
	from := len(it.annotations)
	if from > 0 {
		it.annotations = append(it.annotations, ',')
		from++
	}
	it.annotations = append(it.annotations, `{"type":"url_citation","start_index":`...)
	it.annotations = appendInt(it.annotations, start)
	it.annotations = append(it.annotations, `,"end_index":`...)
	it.annotations = appendInt(it.annotations, end)
	it.annotations = append(it.annotations, `,"url":"`...)
	it.annotations = append(it.annotations, s.url...)
	it.annotations = append(it.annotations, `","title":"`...)
	it.annotations = append(it.annotations, s.title...)
	it.annotations = append(it.annotations, `"}`...)
	return t.announceNote(dst, it, from)
}

// reportLeft reports, at the end of the turn, sources without a text, and a closing tag
// of reasoning that stands in a text.
func (t *Turn) reportLeft() {
	if len(t.sources) > 0 {
		t.lose(ruleReplySources, "output", "")
	}
}

// seeLoneTag reports a closing tag of reasoning in a text that has no opening one
// before it: not one that the text talks of, in a sentence or as code.
func (t *Turn) seeLoneTag(it *outItem) {
	for _, tag := range thinkTags {
		before, _, found := bytes.Cut(it.text, []byte(tag.close))
		if !found || bytes.Contains(before, []byte(tag.open)) || len(before) == 0 || bytes.Contains(before, []byte("```")) {
			continue
		}
		switch before[len(before)-1] {
		case ' ', '`', '\'', '"', '(', '*', '/':
			continue
		}
		t.lose(ruleReplyTag, "output["+string(appendInt(nil, it.index))+"]", tag.close)
		return
	}
}
