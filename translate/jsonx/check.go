package jsonx

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"unicode/utf8"
)

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds of JSON values. Missing is the kind of a node that is not there.
const (
	Missing Kind = iota
	Null
	False
	True
	Number
	String
	Object
	Array
)

// Limits bound what Parse accepts. Zero means the default.
type Limits struct {
	Depth  int // nesting of objects and arrays; default 128
	Values int // values and keys in all; default 1,000,000

	// Mend allows Parse to overwrite lone surrogate escapes in place: see
	// MendSurrogates. Doc.Mended counts them.
	Mend bool

	// Duplicates allows a key twice in one object: Get finds the first.
	Duplicates bool
}

// Defaults of Limits, and limits that nobody needs to set.
const (
	DefaultDepth  = 128
	DefaultValues = 1_000_000
	maxNumber     = 1000 // bytes of a number; longer ones only serve to hurt parsers
)

// Reason says what kind of fault a SyntaxError is.
type Reason uint8

// The values of Reason.
const (
	Malformed    Reason = iota // not JSON (RFC 8259)
	TooDeep                    // over Limits.Depth
	TooMany                    // over Limits.Values
	DuplicateKey               // a key twice in one object
	InvalidUTF8                // bytes that are not UTF-8
	TooLong                    // over 4 GiB, or a number over 1000 bytes
)

// SyntaxError is why Parse refused a document.
type SyntaxError struct {
	Reason Reason
	Offset int    // of the byte where it became clear
	What   string // such as "unexpected '}'"; never quotes the document at length
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.What, e.Offset)
}

// node is one value or key of a document.
type node struct {
	start, end uint32 // span in src; of a string with its quotes
	next       uint32 // index of the node after this one and all inside it
	kind       Kind
	str        StringKind
}

// Doc is a parsed document. The zero value is ready for Parse, and a Doc may be
// parsed again and again: it keeps its memory. Methods on node numbers are in
// walk.go. All slices it hands out alias the parsed bytes.
type Doc struct {
	src []byte
	memory

	// Multiline says that there are line ends between values: spans of the
	// document must be compacted before they go into an SSE event.
	Multiline bool
	// Mended counts the lone surrogate escapes that were overwritten.
	Mended int
}

// Memory is what a Doc works in: Parse makes it, and keeps it for the next time. The
// zero value is none. Docs that are seldom used at the same time can share one: see
// Doc.Swap.
type Memory struct{ memory }

type memory struct {
	nodes []node
	stack []uint32
	table []uint32 // of wideDuplicate
}

// maxKept bounds the nodes a Doc keeps from one Parse to the next (1 MiB).
const maxKept = 1 << 16

// Reset forgets the document, and its memory if it was unusually large.
func (d *Doc) Reset() {
	d.src = nil
	if cap(d.nodes) > maxKept {
		d.nodes = nil
	}
	d.nodes = d.nodes[:0]
	d.Multiline, d.Mended = false, 0
}

// Swap forgets the document, and exchanges the memory of the Doc for m.
func (d *Doc) Swap(m *Memory) {
	d.Reset()
	d.memory, m.memory = m.memory, d.memory
}

// Root is the node of a document's outermost value.
const Root = 1

// Parse reads src, which must hold exactly one JSON value, and keeps it: src
// must not change until the next Parse or Reset. It is iterative, takes time
// and memory linear in len(src), and refuses what other parsers read in
// different ways: duplicate keys and bytes that are not UTF-8.
func (d *Doc) Parse(src []byte, lim Limits) *SyntaxError {
	if lim.Depth <= 0 {
		lim.Depth = DefaultDepth
	}
	if lim.Values <= 0 {
		lim.Values = DefaultValues
	}
	d.Reset()
	d.src = src
	d.stack = d.stack[:0]
	if len(src) > math.MaxUint32-16 {
		return &SyntaxError{TooLong, 0, "document over 4 GiB"}
	}
	var err *SyntaxError
	d.nodes = append(d.nodes, node{}) // node 0 is "not there"
	d.nodes, d.stack, err = d.parse(src, lim, d.nodes, d.stack)
	if err != nil {
		d.src, d.nodes = nil, d.nodes[:0]
	}
	return err
}

// parse is one flat loop over four places in the grammar: before a value, after
// a value, before a key, and at the end of a container. The nodes and the stack
// go in and out by value, which keeps them in registers.
func (d *Doc) parse(src []byte, lim Limits, nodes []node, stack []uint32) ([]node, []uint32, *SyntaxError) {
	i := 0
	inObject := false // what the innermost open container is

value:
	if i < len(src) && src[i] <= ' ' {
		i = d.space(src, i)
	}
	if i >= len(src) {
		return nodes, stack, unexpected(src, i)
	}
	if len(nodes) > lim.Values {
		return nodes, stack, &SyntaxError{TooMany, i, fmt.Sprintf("more than %d values", lim.Values)}
	}
	switch c := src[i]; c {
	case '"':
		end, kind, ok := ScanString(src, i+1)
		if !ok || kind&BadUTF8 != 0 {
			return nodes, stack, badString(src, i, end, kind)
		}
		if kind&HasSurrogate != 0 && lim.Mend {
			d.Mended += MendSurrogates(src[i+1 : end])
		}
		nodes = append(nodes, node{uint32(i), uint32(end + 1), uint32(len(nodes) + 1), String, kind})
		i = end + 1
	case '{', '[':
		if len(stack) >= lim.Depth {
			return nodes, stack, &SyntaxError{TooDeep, i, fmt.Sprintf("nested deeper than %d levels", lim.Depth)}
		}
		stack = append(stack, uint32(len(nodes)))
		kind := Object
		if inObject = c == '{'; !inObject {
			kind = Array
		}
		nodes = append(nodes, node{start: uint32(i), kind: kind})
		if i++; i < len(src) && src[i] <= ' ' {
			i = d.space(src, i)
		}
		if i < len(src) && src[i] == c+2 { // '}' and ']' are two after '{' and '['
			goto close
		}
		if inObject {
			goto key
		}
		goto value
	case 't', 'f', 'n':
		word, kind := "true", True
		switch c {
		case 'f':
			word, kind = "false", False
		case 'n':
			word, kind = "null", Null
		}
		if len(src)-i < len(word) || string(src[i:i+len(word)]) != word {
			return nodes, stack, unexpected(src, i)
		}
		nodes = append(nodes, node{uint32(i), uint32(i + len(word)), uint32(len(nodes) + 1), kind, 0})
		i += len(word)
	default:
		end, ok := number(src, i)
		if !ok {
			return nodes, stack, unexpected(src, end)
		}
		if end-i > maxNumber {
			return nodes, stack, &SyntaxError{TooLong, i, fmt.Sprintf("number longer than %d bytes", maxNumber)}
		}
		nodes = append(nodes, node{uint32(i), uint32(end), uint32(len(nodes) + 1), Number, 0})
		i = end
	}

after:
	if i < len(src) && src[i] <= ' ' {
		i = d.space(src, i)
	}
	if len(stack) == 0 {
		if i < len(src) {
			return nodes, stack, &SyntaxError{Malformed, i, "unexpected bytes after the value"}
		}
		return nodes, stack, nil
	}
	if i >= len(src) {
		return nodes, stack, unexpected(src, i)
	}
	switch c := src[i]; {
	case c == ',':
		i++
		if inObject {
			goto key
		}
		goto value
	case c == '}' && inObject, c == ']' && !inObject:
		goto close
	}
	return nodes, stack, unexpected(src, i)

key:
	if i < len(src) && src[i] <= ' ' {
		i = d.space(src, i)
	}
	if i >= len(src) || src[i] != '"' {
		return nodes, stack, unexpected(src, i)
	}
	{
		end, kind, ok := ScanString(src, i+1)
		if !ok || kind&BadUTF8 != 0 {
			return nodes, stack, badString(src, i, end, kind)
		}
		if kind&HasSurrogate != 0 && lim.Mend {
			d.Mended += MendSurrogates(src[i+1 : end])
		}
		nodes = append(nodes, node{uint32(i), uint32(end + 1), uint32(len(nodes) + 1), String, kind})
		if i = end + 1; i < len(src) && src[i] <= ' ' {
			i = d.space(src, i)
		}
	}
	if i >= len(src) || src[i] != ':' {
		return nodes, stack, unexpected(src, i)
	}
	i++
	goto value

close:
	{
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		i++
		nodes[top].end, nodes[top].next = uint32(i), uint32(len(nodes))
		if inObject && !lim.Duplicates {
			if at := d.duplicate(nodes, top); at != 0 {
				d.nodes = nodes
				return nodes, stack, &SyntaxError{DuplicateKey, int(nodes[at].start), "duplicate key " + excerpt(d.Raw(at))}
			}
		}
		inObject = len(stack) > 0 && nodes[stack[len(stack)-1]].kind == Object
	}
	goto after
}

// space skips white space.
func (d *Doc) space(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' {
		switch src[i] {
		case '\n', '\r':
			d.Multiline = true
		case ' ', '\t':
		default:
			return i
		}
		i++
	}
	return i
}

// number finds the end of the number at src[i] (RFC 8259 §6).
func number(src []byte, i int) (end int, ok bool) {
	if src[i] == '-' {
		i++
	}
	from := i
	if i = digits(src, i); i == from || src[from] == '0' && i > from+1 {
		return i, false
	}
	if i < len(src) && src[i] == '.' {
		from = i + 1
		if i = digits(src, from); i == from {
			return i, false
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		from = i
		if i = digits(src, from); i == from {
			return i, false
		}
	}
	return i, true
}

func digits(src []byte, i int) int {
	for i < len(src) && src[i]-'0' <= 9 {
		i++
	}
	return i
}

// narrow is how many members are still compared each with each.
const narrow = 12

// duplicate returns the node of a key that stands twice in the object, or 0.
func (d *Doc) duplicate(nodes []node, object uint32) uint32 {
	var keys [narrow]uint32
	n, escapes := 0, StringKind(0)
	end := nodes[object].next
	for k := object + 1; k < end; k = nodes[k+1].next {
		if n == narrow {
			return d.wideDuplicate(nodes, object)
		}
		keys[n] = k
		n++
		escapes |= nodes[k].str
	}
	if escapes&HasEscape != 0 {
		return d.wideDuplicate(nodes, object)
	}
	for i := 1; i < n; i++ {
		a := nodes[keys[i]]
		for _, k := range keys[:i] {
			b := nodes[k]
			if a.end-a.start == b.end-b.start &&
				string(d.src[a.start:a.end]) == string(d.src[b.start:b.end]) {
				return keys[i]
			}
		}
	}
	return 0
}

// keySeed makes the hashes of keys unpredictable, so that nobody can choose
// keys that collide.
var keySeed = maphash.MakeSeed()

// wideDuplicate is duplicate for objects with many members, or with escapes in
// keys ("a" and "\u0061" are one key). It has a table of the keys by their hashes,
// at most half full.
func (d *Doc) wideDuplicate(nodes []node, object uint32) uint32 {
	d.nodes = nodes
	end, count := nodes[object].next, 0
	for k := object + 1; k < end; k = nodes[k+1].next {
		count++
	}
	size := 1 << bits.Len(uint(2*count)) // count is not negative
	table := d.table
	if cap(table) < size {
		table = make([]uint32, size)
	}
	if table = table[:size]; size <= maxKept {
		d.table = table
	}
	clear(table)
	mask := uint64(size - 1)
	var scratch []byte
	for k := object + 1; k < end; k = nodes[k+1].next {
		text := d.Str(k)
		if nodes[k].str&HasEscape != 0 {
			scratch = AppendUnescaped(scratch[:0], text)
			text = scratch
		}
		at := maphash.Bytes(keySeed, text) & mask
		for ; table[at] != 0; at = (at + 1) & mask {
			if d.sameKey(table[at], text) {
				return k
			}
		}
		table[at] = k
	}
	return 0
}

// sameKey reports whether the key k, unescaped, is text.
func (d *Doc) sameKey(k uint32, text []byte) bool {
	if d.nodes[k].str&HasEscape == 0 {
		return string(d.Str(k)) == string(text)
	}
	return d.Text(k) == string(text)
}

func unexpected(src []byte, i int) *SyntaxError {
	if i >= len(src) {
		return &SyntaxError{Malformed, len(src), "unexpected end"}
	}
	return &SyntaxError{Malformed, i, "unexpected " + quoteByte(src[i])}
}

func badString(src []byte, start, at int, kind StringKind) *SyntaxError {
	switch {
	case at >= len(src):
		return &SyntaxError{Malformed, len(src), "unexpected end in a string"}
	case src[at] == '\\':
		return &SyntaxError{Malformed, at, "bad escape in a string"}
	case src[at] < 0x20:
		return &SyntaxError{Malformed, at, "control character in a string"}
	case kind&BadUTF8 != 0:
		for at = start; at < len(src); {
			r, n := utf8.DecodeRune(src[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return &SyntaxError{InvalidUTF8, at, "bytes that are not UTF-8"}
	}
	return unexpected(src, at)
}

func quoteByte(c byte) string {
	if c > ' ' && c < 0x7f {
		return "'" + string(rune(c)) + "'"
	}
	return fmt.Sprintf("byte 0x%02x", c)
}

// excerpt shortens what goes into a message.
func excerpt(b []byte) string {
	const most = 40
	if len(b) <= most {
		return string(b)
	}
	n := most
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "…"
}
