package translate

import (
	"bytes"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A chat backend knows functions by one name each. assign gives every tool such
// a name, all different, and the way back is the index of those names. Whatever
// can keep its own name does; a tool of a namespace gets both names joined; and
// what would clash with another gets a hash of all that tells it apart.

// assign names the tools for a dialect.
func (s *toolSet) assign(dialect *Dialect) {
	most := dialect.Tools.NameMax
	s.assigned = true
	s.index.reset(len(s.tools))
	s.simple, s.clashes = true, false
	for i := range s.tools { // first those that a clash must not rename
		t := &s.tools[i]
		t.sent, t.gone = "", false
		t.plain = t.space == 0 && t.name != 0 && plainName(t.doc.Str(t.name), most)
		s.simple = s.simple && t.plain && t.form == formFunction
		if t.plain {
			s.place(i, most)
		}
	}
	if s.simple {
		return
	}
	for i := range s.tools {
		t := &s.tools[i]
		if t.plain || t.gone {
			continue
		}
		t.sent = t.natural(most)
		s.place(i, most)
	}
}

// natural is the name of a tool that clashes with none.
func (t *tool) natural(most int) string {
	switch {
	case t.name == 0:
		return builtinNames[t.form]
	case t.space != 0:
		return joinedName(t.doc.Text(t.spaceName()), t.title(), most)
	}
	return sentName(t.title(), most)
}

// taken is slot for the name of a tool.
func (s *toolSet) taken(t *tool) (slot, other int) {
	if t.plain {
		return s.slot(t.doc.Str(t.name))
	}
	return s.slot([]byte(t.sent))
}

// place puts a tool into the index, under another name if its own is taken. Of
// two declarations of one tool the later counts, in the place of the earlier.
func (s *toolSet) place(i, most int) {
	t := &s.tools[i]
	slot, other := s.taken(t)
	for salt := 0; other >= 0; salt++ {
		if o := &s.tools[other]; o.same(t) {
			t.gone, t.repeated = true, o.at.item == inTools && t.at.item == inTools
			o.doc, o.node, o.name, o.space, o.at, t.at = t.doc, t.node, t.name, t.space, t.at, o.at
			o.deferred = o.deferred && t.deferred
			o.allowed = o.allowed || t.allowed
			if s.named == i {
				s.named = other
			}
			return
		}
		key := t.title()
		if n := t.spaceName(); n != 0 {
			key = t.doc.Text(n) + "\x00" + key
		}
		key += "\x00" + strconv.Itoa(int(t.form)) + "\x00" + strconv.Itoa(salt)
		name := t.natural(most)
		t.sent, t.plain = shortName(name, key, min(most, len(name)+1+hashedChars)), false
		s.simple, s.clashes = false, true
		slot, other = s.taken(t)
	}
	s.index.slots[slot] = int32(i + 1)
}

// same reports whether two tools are one for the client.
func (t *tool) same(o *tool) bool {
	if t.form != o.form || (t.name == 0) != (o.name == 0) || (t.space == 0) != (o.space == 0) {
		return false
	}
	if t.name != 0 && !t.doc.SameStr(t.name, o.doc, o.name) {
		return false
	}
	return t.space == 0 || t.doc.SameStr(t.spaceName(), o.doc, o.spaceName())
}

// appendSentName appends the name that the backend knows the tool by, with its
// quotes.
func (t *tool) appendSentName(dst []byte) []byte {
	if t.plain {
		return append(dst, t.doc.Raw(t.name)...)
	}
	return jsonx.AppendString(dst, t.sent)
}

// meant reports whether a name is that of the tool without its namespace, or
// joined to it in another way than ours, or the original of a shortened one.
func (t *tool) meant(name []byte) bool {
	if t.plain {
		return false
	}
	own := t.title()
	rest, ok := bytes.CutSuffix(name, []byte(own))
	if !ok {
		return false
	}
	if len(rest) == 0 {
		return true
	}
	if t.space == 0 {
		return false
	}
	between, ok := bytes.CutPrefix(rest, bytes.TrimRight([]byte(t.doc.Text(t.spaceName())), "_"))
	return ok && len(between) > 0 && len(bytes.Trim(between, "_.:/-")) == 0
}
