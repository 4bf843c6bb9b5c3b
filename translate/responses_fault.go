package translate

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The faults of a request, in the words of the live API (docs/PROTOCOL.md §5.6).

// got names what a value is.
func got(d *jsonx.Doc, n uint32) string {
	switch d.Kind(n) {
	case jsonx.Object:
		return "an object"
	case jsonx.Array:
		return "an array"
	case jsonx.String:
		return "a string"
	case jsonx.True, jsonx.False:
		return "a boolean"
	case jsonx.Number:
		if d.IsInteger(n) {
			return "an integer"
		}
		return "a decimal number"
	}
	return "null"
}

func errMissing(path string) *Error {
	return invalid("missing_required_parameter", path, "Missing required parameter: '"+path+"'.")
}

func errUnknown(path string) *Error {
	return invalid("unknown_parameter", path, "Unknown parameter: '"+path+"'.")
}

func errType(path, want, is string) *Error {
	return invalid("invalid_type", path, "Invalid type for '"+path+"': expected "+want+", but got "+is+" instead.")
}

func errValue(path, value string, supported ...string) *Error {
	return invalid("invalid_value", path, "Invalid value: '"+brief(value)+"'. Supported values are: "+list(supported, "and")+".")
}

func errUnsupported(path, why string) *Error {
	return invalid("unsupported_parameter", path, "Unsupported parameter: '"+path+"' "+why)
}

func errRange(path, noun, side, sign, bound, is string) *Error {
	return invalid(noun+"_"+side+"_"+map[string]string{"below": "min", "above": "max"}[side]+"_value", path,
		"Invalid '"+path+"': "+noun+" "+side+" "+map[string]string{"below": "minimum", "above": "maximum"}[side]+
			" value. Expected a value "+sign+" "+bound+", but got "+is+" instead.")
}

func errTooLong(path string, most, is int) *Error {
	return invalid("string_above_max_length", path, fmt.Sprintf(
		"Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.",
		path, most, is))
}

func errEmptyString(path string) *Error {
	return invalid("empty_string", path, "Invalid '"+path+
		"': empty string. Expected a string with minimum length 1, but got an empty string instead.")
}

func errArrayTooLong(path string, most, is int) *Error {
	return invalid("array_above_max_length", path, fmt.Sprintf(
		"Invalid '%s': array too long. Expected an array with maximum length %d, but got an array with length %d instead.",
		path, most, is))
}

func errEmptyArray(path string) *Error {
	return invalid("empty_array", path, "Invalid '"+path+
		"': empty array. Expected an array with minimum length 1, but got an empty array instead.")
}

// list joins quoted values: 'a', 'b', and 'c'; or 'a' and 'b'.
func list(values []string, word string) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return "'" + values[0] + "'"
	case 2:
		return "'" + values[0] + "' " + word + " '" + values[1] + "'"
	}
	last := len(values) - 1
	return "'" + strings.Join(values[:last], "', '") + "', " + word + " '" + values[last] + "'"
}

// brief bounds what of a client's value is said back to it.
func brief(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return clip(s, most) + "..."
}

// clip cuts a text to at most so many bytes, on the edge of a character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
