package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Most events of a stream are the event before with another text, another
// sequence number and other padding. replyShape remembers the bytes around those
// three: an event that agrees in them says the same, and needs no parsing.
type replyShape struct {
	valid bool
	segs  [maxHoles + 1][]byte
	holes [maxHoles]shapeHole
	n     int // holes
	item  int
	part  int // -1 for a call's arguments or input
}

const maxHoles = 3

// shapeHole is what changes from event to event.
type shapeHole uint8

const (
	holeNumber shapeHole = iota // sequence_number
	holeText                    // delta
	holeString                  // obfuscation
)

func (s *replyShape) clear() { s.valid = false }

// learn remembers the shape of the event that was just taken in, whose delta is
// at node delta.
func (r *reply) learn(delta uint32, item, part int) {
	d, s := &r.doc, &r.shape
	if d.Multiline {
		return
	}
	src, from := d.Bytes(), 0
	s.n = 0
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		v := k + 1
		var hole shapeHole
		inside := 1 // quotes
		switch {
		case v == delta:
			hole = holeText
		case d.Kind(v) == jsonx.Number && d.Is(k, "sequence_number"):
			hole, inside = holeNumber, 0
		case d.Kind(v) == jsonx.String && d.Is(k, "obfuscation"):
			hole = holeString
		default:
			continue
		}
		if s.n == maxHoles {
			return
		}
		start, stop := d.Span(v)
		s.segs[s.n] = append(s.segs[s.n][:0], src[from:start+inside]...)
		s.holes[s.n] = hole
		s.n++
		from = stop - inside
	}
	s.segs[s.n] = append(s.segs[s.n][:0], src[from:]...)
	s.item, s.part, s.valid = item, part, true
}

// feedShape takes in an event of the remembered shape. ok is false if it has
// another: nothing has been done then.
func (r *reply) feedShape(dst, data []byte) (out []byte, ok bool) {
	s := &r.shape
	at, from, to, kind := 0, 0, 0, jsonx.StringKind(0)
	for h := range s.n {
		if !bytes.HasPrefix(data[at:], s.segs[h]) {
			return dst, false
		}
		at += len(s.segs[h])
		if s.holes[h] == holeNumber {
			start := at
			for at < len(data) && data[at]-'0' <= 9 {
				at++
			}
			if at == start || data[start] == '0' && at > start+1 {
				return dst, false
			}
			continue
		}
		end, k, whole := jsonx.ScanString(data, at)
		if !whole || k&jsonx.BadUTF8 != 0 {
			return dst, false
		}
		if s.holes[h] == holeText {
			from, to, kind = at, end, k
		}
		at = end
	}
	if !bytes.Equal(data[at:], s.segs[s.n]) {
		return dst, false
	}
	raw := data[from:to]
	if len(raw) == 0 {
		return dst, true
	}
	it := &r.items[s.item]
	if s.part < 0 {
		return r.call(dst, s.item, whole(&it.half, raw, kind)), true
	}
	return r.say(dst, s.item, s.part, whole(&it.parts[s.part].half, raw, kind), nil), true
}

// whole makes a fragment of a JSON string stand on its own: half of a surrogate
// pair at its end waits in half for the next fragment, and one that nobody
// completes becomes U+FFFD.
func whole(half *[]byte, raw []byte, kind jsonx.StringKind) []byte {
	if kind&jsonx.HasSurrogate == 0 && len(*half) == 0 {
		return raw
	}
	out := append(bytes.Clone(*half), raw...)
	*half = (*half)[:0]
	if at, ok := jsonx.SplitsSurrogate(out); ok {
		*half = append(*half, out[at:]...)
		out = out[:at]
	}
	jsonx.MendSurrogates(out)
	return out
}
