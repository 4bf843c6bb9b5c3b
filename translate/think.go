package translate

import "github.com/antiphon-proxy/antiphon/translate/jsonx"

// thinkSplitter parts text in which reasoning stands between <think> and
// </think>, as chat templates write it when the server does not. The tags may
// come in any pieces, and with any of their characters escaped. White space
// around the tags belongs to the template and is left out.
type thinkSplitter struct {
	state  thinkState
	tagged bool   // there was an opening tag
	long   bool   // the white space at hand is too long to be a template's
	held   []byte // raw text that may be part of a tag, or white space before one
	out    []byte // scratch for held text together with new text
}

// maxHeldSpace bounds the white space that is held back, in characters. More of
// it is the model's own.
const maxHeldSpace = 256

type thinkState uint8

const (
	thinkOff    thinkState = iota // the text is plain
	thinkProbe                    // at the beginning: a tag may come
	thinkTrim                     // just after <think>: white space is skipped
	thinkInside                   // in the reasoning
	thinkAfter                    // just after </think>: white space is skipped
)

const (
	openTag  = "<think>"
	closeTag = "</think>"
)

func (s *thinkSplitter) reset(tags ThinkTags) {
	s.held, s.tagged, s.long = s.held[:0], false, false
	switch tags {
	case TagsAuto:
		s.state = thinkProbe
	case TagsImplicit:
		s.state = thinkTrim
	default:
		s.state = thinkOff
	}
}

// split takes in a fragment of a JSON string and returns what of it, and of
// what was held back before, is reasoning, and what comes after that is text.
// Both are good until the next call.
func (s *thinkSplitter) split(raw []byte) (thought, text []byte) {
	s.out = append(s.out[:0], s.held...)
	s.out = append(s.out, raw...)
	s.held = s.held[:0]
	rest := s.out
	if s.state == thinkProbe {
		i, count := spaces(rest)
		n, whole := tagPrefix(rest[i:], openTag)
		switch {
		case whole && count <= maxHeldSpace:
			s.state, s.tagged = thinkTrim, true
			rest = rest[i+n:]
		case i+n == len(rest) && count <= maxHeldSpace: // it may still become one
			s.held = append(s.held, rest...)
			return nil, nil
		default:
			s.state = thinkOff
			return nil, rest
		}
	}
	if s.state == thinkTrim {
		rest = skipSpace(rest)
		// With an implicit opening the model may write the tag all the same.
		if !s.tagged {
			n, whole := tagPrefix(rest, openTag)
			switch {
			case whole:
				s.tagged = true
				rest = skipSpace(rest[n:])
			case n == len(rest):
				s.held = append(s.held, rest...)
				return nil, nil
			}
		}
		if len(rest) == 0 {
			return nil, nil
		}
		s.state = thinkInside
	}
	if s.state == thinkInside {
		var closed bool
		thought, rest, closed = s.inside(rest)
		if !closed {
			return thought, nil
		}
		s.state = thinkAfter
	}
	if s.state == thinkAfter {
		rest = skipSpace(rest)
		if len(rest) == 0 {
			return thought, nil
		}
		s.state = thinkOff
	}
	return thought, rest
}

// inside looks for the closing tag. What may be the beginning of it, and white
// space that may stand before it, is held back.
func (s *thinkSplitter) inside(raw []byte) (thought, rest []byte, closed bool) {
	space, count := -1, 0 // where a run of white space begins that reaches up to here
	for i := 0; i < len(raw); {
		n, whole := tagPrefix(raw[i:], closeTag)
		from := i
		if space >= 0 {
			from = space
		}
		switch {
		case whole:
			return raw[:from], raw[i+n:], true
		case n > 0 && i+n == len(raw):
			s.held = append(s.held, raw[from:]...)
			return raw[:from], nil, false
		}
		r, size := character(raw[i:])
		switch {
		case !isSpace(r):
			space, s.long = -1, false
		case s.long:
		case space < 0:
			space, count = i, 1
		default:
			if count++; count > maxHeldSpace {
				space, s.long = -1, true
			}
		}
		i += size
	}
	if space >= 0 {
		s.held = append(s.held, raw[space:]...)
		raw = raw[:space]
	}
	return raw, nil, false
}

// finish returns what is still held at the end of the text.
func (s *thinkSplitter) finish() (thought, text []byte) {
	s.out = append(s.out[:0], s.held...)
	s.held = s.held[:0]
	switch s.state {
	case thinkProbe:
		if len(s.out) > 0 {
			s.state = thinkOff
		}
		return nil, s.out
	case thinkTrim, thinkInside:
		return s.out, nil
	}
	return nil, nil
}

// character reads the first character of raw, the inside of a JSON string, if
// it is ASCII; of any other, its first byte or escape.
func character(raw []byte) (r rune, size int) {
	if raw[0] != '\\' || len(raw) < 2 {
		return rune(raw[0]), 1
	}
	return jsonx.Escape(raw)
}

func isSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\r' || r == '\t' }

// spaces measures the white space that raw begins with, in bytes of raw and in
// characters.
func spaces(raw []byte) (i, count int) {
	for i < len(raw) {
		r, size := character(raw[i:])
		if !isSpace(r) {
			break
		}
		i += size
		count++
	}
	return i, count
}

func skipSpace(raw []byte) []byte {
	i, _ := spaces(raw)
	return raw[i:]
}

// tagPrefix measures how much of tag raw begins with, in bytes of raw, and
// whether that is the whole tag. n is 0 if raw does not begin with any of it,
// or stops agreeing with it.
func tagPrefix(raw []byte, tag string) (n int, whole bool) {
	for i := range len(tag) {
		if n == len(raw) {
			return n, false
		}
		r, size := character(raw[n:])
		if r != rune(tag[i]) {
			return 0, false
		}
		n += size
	}
	return n, true
}
