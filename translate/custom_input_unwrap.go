package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Models put more around the input of a custom tool than the one member that they are
// asked for: another member, a command line, a list, a code fence, a sentence. It is
// taken off where what is left can be the only thing that is meant: a string in a JSON
// object that has no other, or a patch, for a tool that takes nothing else.

const (
	patchBegin = "*** Begin Patch"
	patchEnd   = "*** End Patch"
)

// maxUnwrap bounds the objects and lists around an input.
const maxUnwrap = 4

// meantInput is the text that arguments without an "input" that is a string are
// about: the only string in them, the JSON of their "input", or all of it.
func meantInput(args []byte) []byte {
	var d jsonx.Doc
	if d.Parse(bytes.TrimSpace(args), jsonx.Limits{}) != nil {
		return args
	}
	if n := d.Get(jsonx.Root, "input"); d.Present(n) {
		if v := onlyString(&d, n, 0); v != 0 {
			return []byte(d.Text(v))
		}
		return d.Raw(n)
	}
	if v := onlyString(&d, jsonx.Root, 0); v != 0 {
		return []byte(d.Text(v))
	}
	return args
}

// onlyString finds the string that a value is, or holds beside nothing else of its
// kind; or 0. In a command line it is what stands behind the command.
func onlyString(d *jsonx.Doc, n uint32, depth int) uint32 {
	only := uint32(0)
	switch d.Kind(n) {
	case jsonx.String:
		return n
	case jsonx.Array:
		first := d.First(n)
		switch {
		case d.Len(n) == 2 && d.Is(first, "apply_patch"):
			first = d.Next(first)
		case d.Len(n) != 1:
			return 0
		}
		if depth < maxUnwrap {
			return onlyString(d, first, depth+1)
		}
	case jsonx.Object:
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			v := k + 1
			if d.Kind(v) != jsonx.String {
				if depth == maxUnwrap || d.Kind(v) != jsonx.Object && d.Kind(v) != jsonx.Array {
					continue
				}
				if v = onlyString(d, v, depth+1); v == 0 {
					continue
				}
			}
			if only != 0 {
				return 0
			}
			only = v
		}
	}
	return only
}

// takesPatches reports whether a call's tool takes patches and nothing else.
func (it *outItem) takesPatches() bool {
	if it.tool == nil || it.native {
		return false
	}
	if it.tool.name != 0 && string(it.tool.doc.Str(it.tool.name)) == "apply_patch" {
		return true
	}
	_, definition := it.tool.grammar()
	return definition != 0 && bytes.Contains(it.tool.doc.Str(definition), []byte(patchBegin))
}

// showable is how much of a custom tool's input can be said, while more may come: of a
// patch, nothing while it is not clear that it begins as it should, and nothing behind
// its end.
func (it *outItem) showable() int {
	if !it.patch {
		return len(it.text)
	}
	if it.shown == 0 && wrapsPatch(it.text) {
		return 0
	}
	// The end may have begun in the last piece, or be what it ends with.
	from := max(it.shown-len(patchEnd), 0)
	if i := bytes.Index(it.text[from:], []byte(patchEnd)); i >= 0 {
		return max(it.shown, from+i+len(patchEnd))
	}
	return len(it.text)
}

// wrapsPatch reports whether a patch may still come after what an input, the inside of a
// JSON string, begins with.
func wrapsPatch(input []byte) bool {
	input = skipSpace(input)
	if len(input) == 0 || bytes.IndexByte([]byte("`'\"{[<\\"), input[0]) >= 0 {
		return true
	}
	for _, word := range [...]string{"apply_patch", "bash -", "cat <<", "*** Begin Patc"} {
		if n := min(len(input), len(word)); string(input[:n]) == word[:n] {
			return len(input) <= len(word) || word[0] != '*'
		}
	}
	return false
}

// unwrapInput takes off what is around a patch, once all of it is there. It reports
// whether there was anything.
func (it *outItem) unwrapInput() bool {
	if !it.patch {
		return false
	}
	if it.shown > 0 {
		// It began as it should: only what is behind its end can be too much.
		i := bytes.LastIndex(it.text, []byte(patchEnd))
		if i < 0 || i+len(patchEnd) < it.shown || !decoration(jsonx.AppendUnescaped(nil, it.text[i+len(patchEnd):])) {
			return false
		}
		rest := it.text[i+len(patchEnd):]
		keep := 0
		if bytes.HasPrefix(rest, []byte(`\n`)) {
			keep = 2
		}
		if len(bytes.TrimSpace(jsonx.AppendUnescaped(nil, rest))) == 0 {
			return false
		}
		it.text = it.text[:i+len(patchEnd)+keep]
		return true
	}
	text := jsonx.AppendUnescaped(nil, it.text)
	if bytes.HasPrefix(text, []byte(patchBegin)) {
		return false
	}
	if inner := bytes.TrimSpace(text); len(inner) > 0 && (inner[0] == '{' || inner[0] == '[' || inner[0] == '"') {
		var d jsonx.Doc
		if d.Parse(inner, jsonx.Limits{}) == nil {
			v, several := patchString(&d, jsonx.Root, 0)
			if v == 0 || several {
				return false
			}
			text = []byte(d.Text(v))
		}
	}
	from, to := bytes.Index(text, []byte(patchBegin)), bytes.LastIndex(text, []byte(patchEnd))
	if from < 0 || to < from || bytes.Count(text, []byte(patchBegin)) > 1 {
		return false
	}
	to += len(patchEnd)
	if to < len(text) && text[to] == '\n' {
		to++
	}
	it.text = jsonx.AppendEscaped(it.text[:0], text[from:to])
	return true
}

// patchString finds the string in a value that has a patch in it, or 0.
func patchString(d *jsonx.Doc, n uint32, depth int) (found uint32, several bool) {
	step := uint32(0)
	switch kind := d.Kind(n); {
	case kind == jsonx.String:
		if bytes.Contains(d.Str(n), []byte(patchBegin)) {
			return n, false
		}
		return 0, false
	case kind == jsonx.Object:
		step = 1
	case kind != jsonx.Array:
		return 0, false
	}
	if depth == maxUnwrap {
		return 0, false
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v + step) {
		switch inner, more := patchString(d, v+step, depth+1); {
		case more || inner != 0 && found != 0:
			return found, true
		case inner != 0:
			found = inner
		}
	}
	return found, false
}

// decoration reports whether text behind a patch is only the end of what stood around
// it: a fence, a here document, brackets and quotes.
func decoration(text []byte) bool {
	for word := range bytes.FieldsSeq(text) {
		switch string(bytes.Trim(word, "`'\"}])")) {
		case "", "EOF", "PATCH", "END":
		default:
			return false
		}
	}
	return true
}
