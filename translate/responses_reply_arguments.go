package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A call's arguments are JSON within a string. Whether two are the same is a question
// of their meaning: clients and servers parse them and write them again.

// appendMeaning appends what the arguments in raw, the inside of a JSON string, mean,
// in one form for all ways of writing it: see jsonx.Doc.AppendCanonical. Nothing is an
// empty object. What is no JSON stands for itself.
func appendMeaning(dst, raw []byte) []byte {
	text := jsonx.AppendUnescaped(nil, raw)
	if len(bytes.TrimSpace(text)) == 0 {
		return append(dst, "{}"...)
	}
	var d jsonx.Doc
	if d.Parse(text, upstreamLimits) != nil {
		return append(dst, text...)
	}
	return d.AppendCanonical(dst, jsonx.Root)
}

// sameArguments reports whether two arguments mean the same.
func sameArguments(a, b []byte) bool {
	return bytes.Equal(a, b) || bytes.Equal(appendMeaning(nil, a), appendMeaning(nil, b))
}

// validArguments reports whether arguments are the JSON object that they should be.
func validArguments(raw []byte) bool {
	var d jsonx.Doc
	return d.Parse(jsonx.AppendUnescaped(nil, raw), upstreamLimits) == nil && d.Kind(jsonx.Root) == jsonx.Object
}

// sameWords reports whether two texts, the insides of JSON strings, differ in no more
// than spaces at their ends: some servers trim the text that they give as a whole.
func sameWords(a, b []byte) bool {
	return bytes.Equal(bytes.TrimSpace(jsonx.AppendUnescaped(nil, a)), bytes.TrimSpace(jsonx.AppendUnescaped(nil, b)))
}
