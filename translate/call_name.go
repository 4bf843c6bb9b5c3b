package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The name of a call may come in pieces, again with every fragment, or with something
// around it that cannot belong to it: tokens of the model's chat format, the name of
// the space that the format keeps its functions in, a number, quotes. What is declared
// decides what is meant.

// knows reports whether a name is one of a tool, as it stands.
func (s *toolSet) knows(name []byte) bool {
	if len(s.tools) == 0 || len(s.index.slots) == 0 {
		return false
	}
	_, i := s.slot(name)
	return i >= 0
}

// isName reports whether a tool's name is that, or begins with it.
func (s *toolSet) isName(beginning []byte) bool { return s.knows(beginning) || s.begins(beginning) }

// begins reports whether a name is no tool's, but the beginning of one's.
func (s *toolSet) begins(beginning []byte) bool {
	if len(s.tools) == 0 || len(s.index.slots) == 0 || s.knows(beginning) {
		return false
	}
	for i := range s.tools {
		if known := s.tools[i].known(); !s.tools[i].gone && len(known) > len(beginning) && known[:len(beginning)] == string(beginning) {
			return true
		}
	}
	return false
}

// nobody reports whether a name is a word for no value, and no tool's name nor the
// beginning of one.
func (s *toolSet) nobody(name []byte) bool {
	return nothingWord(name) && (len(name) == 0 || !s.isName(name))
}

// addName adds a piece to the name of a call that is not announced. Pieces that repeat
// what is there, all of it or more, count once; those that would make a tool's name
// one that nobody has are none.
func (s *toolSet) addName(it *outItem, piece []byte) {
	said := it.said
	joined := append(bytes.Clone(said), piece...)
	switch {
	case len(said) == 0:
		it.said = joined
	case s.isName(joined):
		it.said = joined
	case string(said) == string(piece):
	case bytes.HasPrefix(piece, said) && (s.isName(piece) || !s.knows(said)):
		it.said = append(it.said[:0], piece...)
	case s.knows(said), bytes.HasSuffix(said, piece) && s.isMeant(said):
	default:
		it.said = joined
	}
}

// isMeant reports whether a name means a tool.
func (s *toolSet) isMeant(name []byte) bool {
	t, _ := s.called(name)
	return t != nil
}

// called returns the tool that the backend means by a name, the inside of a JSON
// string, or nil. exact is false if it does not have that name, but no other
// tool can be meant.
func (s *toolSet) called(raw []byte) (t *tool, exact bool) {
	if len(s.tools) == 0 || len(s.index.slots) == 0 {
		return nil, false
	}
	name := raw
	if bytes.IndexByte(raw, '\\') >= 0 {
		name = jsonx.AppendUnescaped(nil, raw)
	}
	if _, i := s.slot(name); i >= 0 {
		return &s.tools[i], true
	}
	if t, ok := s.only(func(o *tool) bool { return !o.plain && o.meant(name) }); t != nil || !ok {
		return t, false
	}
	bare := bareName(name)
	if _, i := s.slot(bare); i >= 0 && s.offered(&s.tools[i]) {
		return &s.tools[i], false
	}
	t, _ = s.only(func(o *tool) bool {
		return !o.plain && o.meant(bare) || holdsName(bare, o.known())
	})
	return t, false
}

// only returns the one tool of those that are offered that fits, or nil; ok is false if
// there are several.
func (s *toolSet) only(fits func(o *tool) bool) (t *tool, ok bool) {
	for i := range s.tools {
		o := &s.tools[i]
		if !s.offered(o) || !fits(o) {
			continue
		}
		if t != nil {
			return nil, false
		}
		t = o
	}
	return t, true
}

// functionSpaces are the names of the spaces in which chat formats keep the functions
// that are declared to them.
var functionSpaces = [...]string{"functions", "function", "default_api", "tools", "tool", "api"}

// bareName is a name without what chat formats put around it.
func bareName(name []byte) []byte {
	for {
		name = bytes.Trim(name, " \t\r\n\"'`")
		from := bytes.IndexByte(name, '<')
		if from < 0 {
			break
		}
		if from > 0 { // a token behind it
			name = name[:from]
			continue
		}
		to := bytes.IndexByte(name, '>')
		if to < 0 {
			break
		}
		name = name[to+1:]
	}
	if i := bytes.LastIndex(name, []byte("to=")); i >= 0 { // a channel's header
		name, _, _ = bytes.Cut(bytes.TrimLeft(name[i+3:], " "), []byte(" "))
	}
	for _, space := range functionSpaces {
		rest, ok := bytes.CutPrefix(name, []byte(space))
		if short := bytes.TrimLeft(rest, "._:/"); ok && len(short) < len(rest) && len(short) > 0 {
			name = short
			break
		}
	}
	// The number of the call, and a word for nothing that has been joined to the name.
	if i := bytes.LastIndexByte(name, ':'); i > 0 && len(bytes.Trim(name[i+1:], "0123456789")) == 0 {
		name = name[:i]
	}
	for _, word := range [...]string{"null", "None", "undefined"} {
		for rest, ok := bytes.CutSuffix(name, []byte(word)); ok && len(rest) > 0; rest, ok = bytes.CutSuffix(name, []byte(word)) {
			name = rest
		}
	}
	return name
}

// holdsName reports whether a tool's name stands in another, with characters around it
// that no name has.
func holdsName(name []byte, own string) bool {
	for from := 0; ; {
		i := bytes.Index(name[from:], []byte(own))
		if i < 0 || own == "" {
			return false
		}
		from += i
		to := from + len(own)
		if (from == 0 || !nameByte(name[from-1])) && (to == len(name) || !nameByte(name[to])) {
			return true
		}
		from++
	}
}
