package jsonx

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string, with its quotes. Bytes that are not
// UTF-8 become U+FFFD. Unlike encoding/json it leaves <, > and & alone.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = AppendEscaped(dst, s)
	return append(dst, '"')
}

// AppendEscaped appends s escaped for the inside of a JSON string.
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(dst, s[from:]...)
}

// AppendUnescaped appends what raw, the inside of a valid JSON string, stands
// for. Lone surrogates become U+FFFD.
func AppendUnescaped(dst, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 >= len(raw) {
			return append(dst, raw...)
		}
		r, n := Escape(raw[i:])
		dst = append(dst, raw[:i]...)
		dst = utf8.AppendRune(dst, r)
		raw = raw[i+n:]
	}
}

// Escape reads the escape that raw, the inside of a valid JSON string from a
// backslash on, begins with: the character and how many bytes it takes.
func Escape(raw []byte) (r rune, n int) {
	switch raw[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		r, _ = hex4(raw, 2)
		if isHigh(r) && len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
			if low, _ := hex4(raw, 8); isLow(low) {
				return utf16.DecodeRune(r, low), 12
			}
		}
		if isHigh(r) || isLow(r) {
			r = utf8.RuneError
		}
		return r, 6
	}
	return rune(raw[1]), 2
}

// AppendMended appends raw, the inside of a JSON string that may hold bytes
// that are not UTF-8, with U+FFFD for each of those.
func AppendMended(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, "\ufffd"...)
		} else {
			dst = append(dst, raw[i:i+n]...)
		}
		i += n
	}
	return dst
}

// AppendCompact appends raw, which must be valid JSON, without the white space
// between its values. What comes out has no line ends.
func AppendCompact(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end, _, ok := ScanString(raw, i+1)
			if !ok {
				return append(dst, raw[i:]...)
			}
			dst = append(dst, raw[i:end+1]...)
			i = end + 1
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// AppendMultiline is AppendCompact where a document has line ends between its
// values, and a plain copy where it has not.
func (d *Doc) AppendMultiline(dst []byte, n uint32) []byte {
	if d.Multiline {
		return AppendCompact(dst, d.Raw(n))
	}
	return append(dst, d.Raw(n)...)
}
