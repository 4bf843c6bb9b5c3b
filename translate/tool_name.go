package translate

import (
	"encoding/base32"
	"hash/fnv"
)

// Chat backends take function names of letters, digits, "_" and "-", mostly up
// to 64 bytes. The Responses API and its clients use longer ones and others, so
// such a name is replaced by a beginning of it and a hash: always by the same
// one, so that history and new calls agree.

// hashedChars is the length of the hash in a short name: 40 bits in base32,
// after an underscore.
const hashedChars = 8

var nameHash = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// plainName reports whether raw, the inside of a JSON string, can be sent as a
// function name as it is.
func plainName[T string | []byte](raw T, most int) bool {
	if len(raw) == 0 || len(raw) > most {
		return false
	}
	for i := range len(raw) {
		if !nameByte(raw[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// shortName makes a function name that a backend takes out of one that it does
// not take. key is what the hash is made of: the name, and what else tells it
// from others that begin alike.
func shortName(name, key string, most int) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
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

// sentName is the name under which a backend knows a function.
func sentName(name string, most int) string {
	if plainName(name, most) {
		return name
	}
	return shortName(name, name, most)
}

// joinedName is the name under which a backend knows a function of a namespace,
// such as mcp__demo__echo for the tool echo of mcp__demo.
func joinedName(space, name string, most int) string {
	joined := joinNames(space, name)
	if plainName(joined, most) {
		return joined
	}
	return shortName(joined, space+"\x00"+name, most)
}

func joinNames(space, name string) string { return space + joint(space) + name }

// joint is what stands between a namespace and a name.
func joint[T string | []byte](space T) string {
	if n := len(space); n > 2 && space[n-2] == '_' && space[n-1] == '_' {
		return ""
	}
	return "__"
}

// appendJoined appends a joined name with its quotes, if it can be sent as it is:
// joinedName without its cost. space and name are the insides of JSON strings.
func appendJoined(dst, space, name []byte, most int) ([]byte, bool) {
	start := len(dst)
	dst = append(dst, '"')
	dst = append(dst, space...)
	dst = append(dst, joint(space)...)
	dst = append(dst, name...)
	if !plainName(dst[start+1:], most) {
		return dst[:start], false
	}
	return append(dst, '"'), true
}

// nameIndex finds tools by the name that a backend knows them by: a table with
// open addressing over indexes into the set's tools.
type nameIndex struct {
	slots []int32 // index + 1; 0 where free
}

// reset makes room for n names.
func (x *nameIndex) reset(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	if size > cap(x.slots) {
		x.slots = make([]int32, size)
		return
	}
	x.slots = x.slots[:size]
	clear(x.slots)
}

// hashName is FNV-1a.
func hashName[T string | []byte](name T) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// slot returns the slot where a name stands in the index, and the tool; or the
// free one where it can be put, and -1.
func (s *toolSet) slot(name []byte) (slot, tool int) {
	mask := uint32(len(s.index.slots) - 1)
	for h := hashName(name) & mask; ; h = (h + 1) & mask {
		i := int(s.index.slots[h]) - 1
		if i < 0 {
			return int(h), -1
		}
		if s.tools[i].knownAs(name) {
			return int(h), i
		}
	}
}

// knownAs reports whether the backend knows the tool by that name.
func (t *tool) knownAs(name []byte) bool {
	if t.plain {
		return string(t.doc.Str(t.name)) == string(name)
	}
	return t.sent == string(name)
}

// known is the name that the backend knows the tool by.
func (t *tool) known() string {
	if t.plain {
		return string(t.doc.Str(t.name))
	}
	return t.sent
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
