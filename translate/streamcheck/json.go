package streamcheck

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding/json forgives what this package has to see: duplicate keys, invalid UTF-8 and lone surrogates all decode
// without an error. Hence a parser of our own, strict RFC 8259, that keeps the raw bytes of every value.

// kind is a bit set, so that a table can say "string or null" in one word.
type kind uint8

const (
	null kind = 1 << iota
	boolean
	integer  // a number without fraction and exponent
	fraction // any other number
	text
	array
	object

	number = integer | fraction
)

func (k kind) String() string {
	var names []string
	for i, name := range []string{"null", "boolean", "integer", "number", "string", "array", "object"} {
		if k&(1<<i) != 0 && !(1<<i == integer && k&fraction != 0) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// value is one decoded JSON value. A nil *value stands for an absent member, so lookups chain without checks.
type value struct {
	kind  kind
	raw   []byte // aliases the input
	str   string // a text, decoded
	elems []*value
	keys  []string // of an object; elems holds the members' values in the same order
}

func (v *value) is(k kind) bool { return v != nil && v.kind&k != 0 }

// get returns the member of that name, or nil. The last of several wins, as in most parsers.
func (v *value) get(name string) *value {
	if !v.is(object) {
		return nil
	}
	for i := len(v.keys) - 1; i >= 0; i-- {
		if v.keys[i] == name {
			return v.elems[i]
		}
	}
	return nil
}

// str returns the string member of that name, "" when there is none.
func (v *value) string(name string) string {
	if m := v.get(name); m.is(text) {
		return m.str
	}
	return ""
}

// int returns the integer member of that name. ok is false when there is none, or none that fits.
func (v *value) int(name string) (n int64, ok bool) {
	m := v.get(name)
	if !m.is(integer) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(m.raw), 10, 64)
	return n, err == nil
}

// list returns the elements of the array member of that name.
func (v *value) list(name string) []*value {
	if m := v.get(name); m.is(array) {
		return m.elems
	}
	return nil
}

// document is a parsed text and what is wrong with it although it parses. Paths look like a.b[2].
type document struct {
	root       *value
	duplicates []string
	surrogates []string
}

// maxDepth is the nesting encoding/json accepts; deeper text is an error instead of a deep stack.
const maxDepth = 10000

func parse(src []byte) (document, error) {
	p := parser{src: src}
	p.space()
	root, err := p.value()
	if err != nil {
		return document{}, fmt.Errorf("byte %d: %w", p.pos, err)
	}
	if p.space(); p.pos != len(src) {
		return document{}, fmt.Errorf("byte %d: more text after the value", p.pos)
	}
	p.doc.root = root
	return p.doc, nil
}

type parser struct {
	src  []byte
	pos  int
	path []segment
	doc  document
}

// segment is one step of a path: a key, or an index when key is empty and isKey false.
type segment struct {
	key   string
	index int
	isKey bool
}

func (p *parser) where() string {
	var b strings.Builder
	for _, s := range p.path {
		switch {
		case !s.isKey:
			fmt.Fprintf(&b, "[%d]", s.index)
		case b.Len() == 0:
			b.WriteString(s.key)
		default:
			b.WriteString("." + s.key)
		}
	}
	return b.String()
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) value() (*value, error) {
	if len(p.path) > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	start := p.pos
	v := &value{}
	var err error
	switch c := p.peek(); {
	case c == '{':
		v.kind, err = object, p.object(v)
	case c == '[':
		v.kind, err = array, p.array(v)
	case c == '"':
		v.kind = text
		v.str, err = p.text()
	case c == 't':
		v.kind, err = boolean, p.literal("true")
	case c == 'f':
		v.kind, err = boolean, p.literal("false")
	case c == 'n':
		v.kind, err = null, p.literal("null")
	case c == '-' || '0' <= c && c <= '9':
		v.kind, err = p.number()
	case p.pos >= len(p.src):
		err = errors.New("the text ends where a value should be")
	default:
		err = fmt.Errorf("%q starts no value", c)
	}
	v.raw = p.src[start:p.pos]
	return v, err
}

func (p *parser) literal(word string) error {
	if !strings.HasPrefix(string(p.src[p.pos:min(len(p.src), p.pos+len(word))]), word) {
		return fmt.Errorf("not the literal %s", word)
	}
	p.pos += len(word)
	return nil
}

func (p *parser) digits() bool {
	start := p.pos
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) number() (kind, error) {
	k := integer
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return 0, errors.New("a number without digits")
	}
	if p.peek() == '.' {
		k = fraction
		if p.pos++; !p.digits() {
			return 0, errors.New("a fraction without digits")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		k = fraction
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return 0, errors.New("an exponent without digits")
		}
	}
	return k, nil
}

func (p *parser) array(v *value) error {
	p.pos++
	if p.space(); p.peek() == ']' {
		p.pos++
		return nil
	}
	for i := 0; ; i++ {
		p.path = append(p.path, segment{index: i})
		p.space()
		elem, err := p.value()
		if err != nil {
			return err
		}
		p.path = p.path[:len(p.path)-1]
		v.elems = append(v.elems, elem)
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return nil
		default:
			return errors.New("an array element is followed by neither , nor ]")
		}
	}
}

func (p *parser) object(v *value) error {
	p.pos++
	if p.space(); p.peek() == '}' {
		p.pos++
		return nil
	}
	const few = 16 // keys that are compared faster than hashed
	var seen map[string]bool
	for {
		if p.space(); p.peek() != '"' {
			return errors.New("an object member does not start with a key")
		}
		p.path = append(p.path, segment{key: "(key)", isKey: true})
		key, err := p.text()
		if err != nil {
			return err
		}
		p.path[len(p.path)-1].key = key
		if len(v.keys) == few {
			seen = map[string]bool{}
			for _, k := range v.keys {
				seen[k] = true
			}
		}
		if seen[key] || seen == nil && contains(v.keys, key) {
			p.doc.duplicates = append(p.doc.duplicates, p.where())
		}
		if seen != nil {
			seen[key] = true
		}
		if p.space(); p.peek() != ':' {
			return errors.New("a key is not followed by :")
		}
		p.pos++
		p.space()
		member, err := p.value()
		if err != nil {
			return err
		}
		p.path = p.path[:len(p.path)-1]
		v.keys = append(v.keys, key)
		v.elems = append(v.elems, member)
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			return nil
		default:
			return errors.New("an object member is followed by neither , nor }")
		}
	}
}

// text decodes the string at pos. Half a surrogate pair becomes U+FFFD and is noted.
func (p *parser) text() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.src) && p.src[p.pos] != '"' && p.src[p.pos] != '\\' && p.src[p.pos] >= 0x20 {
		p.pos++
	}
	if p.peek() == '"' {
		p.pos++
		return string(p.src[start : p.pos-1]), nil
	}
	decoded := append([]byte(nil), p.src[start:p.pos]...)
	lone := false
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.pos++
			if lone {
				p.doc.surrogates = append(p.doc.surrogates, p.where())
			}
			return string(decoded), nil
		case c < 0x20:
			return "", errors.New("a control character in a string")
		case c != '\\':
			decoded = append(decoded, c)
			p.pos++
		default:
			r, ok := p.escape()
			if !ok {
				return "", errors.New("an unknown escape in a string")
			}
			if utf16.IsSurrogate(r) {
				lone, r = true, utf8.RuneError
			}
			decoded = utf8.AppendRune(decoded, r)
		}
	}
	return "", errors.New("the text ends inside a string")
}

// escape decodes the escape at pos, a surrogate pair as one rune. A surrogate in the result is a lone one.
func (p *parser) escape() (rune, bool) {
	p.pos++
	c := p.peek()
	p.pos++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 && c != 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), true
	}
	if c != 'u' {
		return 0, false
	}
	r, ok := p.hex(p.pos)
	if !ok {
		return 0, false
	}
	p.pos += 4
	if utf16.IsSurrogate(r) && p.pos+2 <= len(p.src) && p.src[p.pos] == '\\' && p.src[p.pos+1] == 'u' {
		if low, ok := p.hex(p.pos + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.pos += 6
				return pair, true
			}
		}
	}
	return r, true
}

func (p *parser) hex(at int) (rune, bool) {
	if at+4 > len(p.src) {
		return 0, false
	}
	var r rune
	for _, c := range p.src[at : at+4] {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}
