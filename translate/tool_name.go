package translate

import (
	"encoding/base32"
	"hash/fnv"

	"antiphon/translate/jsonx"
)

// Chat backends take function names of letters, digits, "_" and "-", mostly up
// to 64 bytes. The Responses API and its clients use longer ones and others, so
// such a name is replaced by a beginning of it and a hash: always by the same
// one, so that history and new calls agree, and so that only names of this
// request have to be remembered to undo it.

// renamed is a function name that was replaced.
type renamed struct {
	short string // what the backend sees
	long  string // what the client sees
}

// hashedChars is the length of the hash in a short name: 40 bits in base32,
// after an underscore.
const hashedChars = 8

var nameHash = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// plainName reports whether raw, the inside of a JSON string, can be sent as a
// function name as it is.
func plainName(raw []byte, most int) bool {
	if len(raw) == 0 || len(raw) > most {
		return false
	}
	for _, c := range raw {
		if !nameByte(c) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// shortName makes a function name that a backend takes out of one that it does
// not take.
func shortName(name string, most int) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum64()
	sum ^= sum >> 40 // fold all 64 bits into the 40 that are used
	hash := nameHash.EncodeToString([]byte{byte(sum >> 32), byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	keep := max(most-hashedChars-1, 0)
	out := make([]byte, 0, most)
	for _, c := range []byte(name) {
		if len(out) == keep {
			break
		}
		if !nameByte(c) {
			// One "_" for each character, not for each of its bytes.
			if c >= 0x80 && c < 0xc0 {
				continue
			}
			c = '_'
		}
		out = append(out, c)
	}
	out = append(out, '_')
	return string(append(out, hash...))
}

// appendName appends the name that stands at node n as the backend takes it,
// with its quotes, and remembers it if it had to be replaced.
func (s *toolSet) appendName(dst []byte, d *jsonx.Doc, n uint32, most int) []byte {
	if raw := d.Str(n); plainName(raw, most) {
		return append(dst, d.Raw(n)...)
	}
	return jsonx.AppendString(dst, s.shorten(d.Text(n), most))
}

// sentName is the name under which a backend knows a function.
func sentName(name string, most int) string {
	if plainName([]byte(name), most) { // it was written with escapes
		return name
	}
	return shortName(name, most)
}

// shorten returns the name that a backend takes, and remembers the original.
func (s *toolSet) shorten(name string, most int) string {
	for i := range s.renamed {
		if s.renamed[i].long == name {
			return s.renamed[i].short
		}
	}
	short := sentName(name, most)
	if short == name {
		return name
	}
	s.renamed = append(s.renamed, renamed{short, name})
	return short
}

// original returns the client's name for what a backend calls a function: raw
// is the inside of a JSON string, and so is the result.
func (s *toolSet) original(raw []byte) []byte {
	for i := range s.renamed {
		if s.renamed[i].short == string(raw) {
			return jsonx.AppendEscaped(nil, s.renamed[i].long)
		}
	}
	return raw
}

// alnum9 makes an id of nine letters and digits out of any other, always the
// same one. An id that has this form already stays as it is.
func alnum9(id []byte) [9]byte {
	var out [9]byte
	if len(id) == len(out) && alnum(id) {
		copy(out[:], id)
		return out
	}
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	h := fnv.New64a()
	_, _ = h.Write(id)
	sum := h.Sum64()
	for i := range out {
		out[i] = digits[sum%62]
		sum /= 62
	}
	return out
}

func alnum(b []byte) bool {
	for _, c := range b {
		if !nameByte(c) || c == '_' || c == '-' {
			return false
		}
	}
	return true
}
