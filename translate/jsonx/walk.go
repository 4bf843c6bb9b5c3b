package jsonx

import "strconv"

// Nodes are numbered in the order in which they begin, from Root on. 0 stands for
// "not there", and its kind is Missing.
//
// To go over an object, step from key to key; the value is the node after it:
//
//	for k, end := d.First(obj), d.End(obj); k < end; k = d.Next(k + 1) {
//		key, value := d.Str(k), k+1
//	}
//
// and over an array, from element to element:
//
//	for v, end := d.First(arr), d.End(arr); v < end; v = d.Next(v) { … }

// Bytes are the parsed bytes.
func (d *Doc) Bytes() []byte { return d.src }

// Kind is the kind of node n.
func (d *Doc) Kind(n uint32) Kind {
	if int(n) >= len(d.nodes) {
		return Missing
	}
	return d.nodes[n].kind
}

// First is the first node inside n, an object or array.
func (d *Doc) First(n uint32) uint32 { return n + 1 }

// End is the node after the last one inside n.
func (d *Doc) End(n uint32) uint32 { return d.nodes[n].next }

// Next is the node after n and all inside it.
func (d *Doc) Next(n uint32) uint32 { return d.nodes[n].next }

// Len counts the elements of an array or the members of an object.
func (d *Doc) Len(n uint32) int {
	count, end := 0, d.nodes[n].next
	for v := n + 1; v < end; v = d.nodes[v].next {
		count++
	}
	if d.nodes[n].kind == Object {
		count /= 2
	}
	return count
}

// Raw is the text of node n. It aliases the document.
func (d *Doc) Raw(n uint32) []byte { return d.src[d.nodes[n].start:d.nodes[n].end] }

// Span is where the text of node n stands in the document.
func (d *Doc) Span(n uint32) (start, end int) {
	return int(d.nodes[n].start), int(d.nodes[n].end)
}

// Str is the inside of the string n, escapes and all. It aliases the document.
func (d *Doc) Str(n uint32) []byte { return d.src[d.nodes[n].start+1 : d.nodes[n].end-1] }

// StrKind says what kind of string n is.
func (d *Doc) StrKind(n uint32) StringKind { return d.nodes[n].str }

// Text is the string n unescaped.
func (d *Doc) Text(n uint32) string {
	if d.nodes[n].str&HasEscape == 0 {
		return string(d.Str(n))
	}
	return string(AppendUnescaped(nil, d.Str(n)))
}

// Is reports whether n is the string s. Escapes in n are understood.
func (d *Doc) Is(n uint32, s string) bool {
	if d.Kind(n) != String {
		return false
	}
	if d.nodes[n].str&HasEscape == 0 {
		return string(d.Str(n)) == s
	}
	return d.Text(n) == s
}

// SameStr reports whether the strings a of d and b of e are equal.
func (d *Doc) SameStr(a uint32, e *Doc, b uint32) bool {
	if (d.nodes[a].str|e.nodes[b].str)&HasEscape == 0 {
		return string(d.Str(a)) == string(e.Str(b))
	}
	return d.Text(a) == e.Text(b)
}

// Get returns the value of a member of the object n, or 0. It returns 0 too
// when n is not an object.
func (d *Doc) Get(n uint32, key string) uint32 {
	if d.Kind(n) != Object {
		return 0
	}
	for k, end := n+1, d.nodes[n].next; k < end; k = d.nodes[k+1].next {
		nd := d.nodes[k]
		if nd.str&HasEscape != 0 {
			if d.Text(k) == key {
				return k + 1
			}
			continue
		}
		if int(nd.end-nd.start) == len(key)+2 && string(d.src[nd.start+1:nd.end-1]) == key {
			return k + 1
		}
	}
	return 0
}

// GetString returns the value of a member that is a string, or 0.
func (d *Doc) GetString(n uint32, key string) uint32 {
	if v := d.Get(n, key); v != 0 && d.nodes[v].kind == String {
		return v
	}
	return 0
}

// Present reports whether n is there and is not null.
func (d *Doc) Present(n uint32) bool { return d.Kind(n) > Null }

// IsInteger reports whether the number n is written as an integer: digits with
// an optional minus.
func (d *Doc) IsInteger(n uint32) bool {
	for _, c := range d.Raw(n) {
		if c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Int is the integer n. ok is false for one that does not fit, or no integer.
func (d *Doc) Int(n uint32) (v int64, ok bool) {
	if d.Kind(n) != Number {
		return 0, false
	}
	v, err := strconv.ParseInt(string(d.Raw(n)), 10, 64)
	return v, err == nil
}

// Float is the number n. Numbers out of range become infinite.
func (d *Doc) Float(n uint32) float64 {
	f, _ := strconv.ParseFloat(string(d.Raw(n)), 64)
	return f
}
