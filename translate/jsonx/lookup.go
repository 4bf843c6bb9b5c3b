package jsonx

import (
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// Lookup returns the value at a path of keys in a small document that is known
// to be valid JSON, or one that need not be: in bad JSON it may find nothing or
// something odd, but does no harm. For documents of clients use Doc.
//
// The keys are plain names: a dot or a star in them has no meaning.
func Lookup(doc []byte, keys ...string) gjson.Result {
	// GetBytes copies what it has found, and not the document as ParseBytes does.
	r := gjson.GetBytes(doc, gjson.Escape(keys[0]))
	for _, k := range keys[1:] {
		r = r.Get(gjson.Escape(k))
	}
	return r
}

// SetString returns doc, a JSON object, with one member set to a string. It
// copies the document, so it is for single edits of bodies that are otherwise
// passed on as they are.
func SetString(doc []byte, key, value string) ([]byte, error) {
	raw := AppendString(nil, value)
	return sjson.SetRawBytes(doc, gjson.Escape(key), raw)
}

// Valid reports whether doc is one valid JSON value within default limits.
func Valid(doc []byte) bool {
	var d Doc
	return d.Parse(doc, Limits{}) == nil
}

// FirstKey returns which of some names is the first key at the top level of a JSON
// object, of which only the beginning need be there, or "". Of what is no JSON it
// makes nothing or something odd, but does no harm. Keys with escapes are none of
// the names.
func FirstKey(beginning []byte, names ...string) string {
	depth, object, key := 0, false, false // key: a string would be one
	for i := 0; i < len(beginning); i++ {
		switch beginning[i] {
		case '{', '[':
			if depth++; depth == 1 {
				object = beginning[i] == '{'
			}
			key = depth == 1 && object
		case '}', ']':
			depth--
		case ',':
			key = depth == 1 && object
		case ':':
			key = false
		case '"':
			from := i + 1
			for i++; i < len(beginning) && beginning[i] != '"'; i++ {
				if beginning[i] == '\\' {
					i++
				}
			}
			if key && i < len(beginning) {
				for _, name := range names {
					if string(beginning[from:i]) == name {
						return name
					}
				}
			}
		}
	}
	return ""
}
