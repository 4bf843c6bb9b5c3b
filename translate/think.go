package translate

import (
	"bytes"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// thinkSplitter parts text in which reasoning stands between <think> and
// </think>, or the tags of another family of models, as chat templates write it when the
// server does not. The tags may come in any pieces, and with any of their characters
// escaped. White space around the tags belongs to the template and is left out.
//
// Reasoning comes first. After a block in tags another one may follow, at the beginning
// of a line; tags elsewhere, or in a fenced piece of code, are what the text is about.
type thinkSplitter struct {
	state  thinkState
	tag    thinkTag // of the block at hand, or the last one
	tagged bool     // there was an opening tag
	line   lineState
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
	thinkWatch                    // in text after a block: another one may come
)

// thinkTag is a pair of tags between which models reason.
type thinkTag struct{ open, close string }

// thinkTags are those of chat templates: of Qwen, DeepSeek, GLM and many more, of Gemma
// and Gemini, of models that were told to use <thinking> or <reasoning>, MiniMax, Seed, Kimi
// and Magistral.
var thinkTags = [...]thinkTag{
	{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"}, {"<thoughts>", "</thoughts>"},
	{"<reasoning>", "</reasoning>"}, {"<mm:think>", "</mm:think>"}, {"<seed:think>", "</seed:think>"},
	{"◁think▷", "◁/think▷"}, {"[THINK]", "[/THINK]"},
}

// lineState is where in a line of text the splitter is, and whether in code.
type lineState struct {
	begun  bool // something stands in the line already
	fenced bool // between two lines that begin with ```
}

func (s *thinkSplitter) reset(tags ThinkTags) {
	s.held, s.tagged, s.long = s.held[:0], false, false
	s.tag, s.line = thinkTags[0], lineState{}
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
		tag, n, part := anyTag(rest[i:])
		switch {
		case count > maxHeldSpace || n == 0 && !part:
			s.state = thinkOff
			return nil, rest
		case n == 0: // it may still become one
			s.held = append(s.held, rest...)
			return nil, nil
		case tag.open == "": // a closing tag: the template has opened the block, or it was in another field
			s.state = thinkAfter
		default:
			s.state, s.tagged, s.tag = thinkTrim, true, tag
		}
		rest = rest[i+n:]
	}
	return s.splitOn(rest)
}

// splitOn goes on after the beginning.
func (s *thinkSplitter) splitOn(rest []byte) (thought, text []byte) {
	if s.state == thinkTrim {
		rest = skipSpace(rest)
		// With an implicit opening the model may write the tag all the same.
		if !s.tagged {
			switch tag, n, part := anyTag(rest); {
			case n > 0 && tag.open != "":
				s.tagged, s.tag = true, tag
				rest = skipSpace(rest[n:])
			case part:
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
		s.state, s.line = thinkOff, lineState{}
		if s.tagged {
			s.state = thinkWatch
		}
	}
	if s.state == thinkWatch {
		rest = s.watch(rest)
	}
	return thought, rest
}

// watch looks in the text after a block for another one, which begins in a line of its
// own. What it returns ends before that; the block waits to be split with what comes next:
// see again.
func (s *thinkSplitter) watch(raw []byte) (text []byte) {
	for i := 0; i < len(raw); {
		r, size := character(raw[i:])
		switch {
		case r == '\n':
			s.line.begun = false
		case s.line.begun || isSpace(r):
		case r == '`':
			n, whole := tagPrefix(raw[i:], "```")
			if !whole && i+n == len(raw) {
				s.held = append(s.held, raw[i:]...)
				return raw[:i]
			}
			s.line.begun = true
			if whole {
				s.line.fenced = !s.line.fenced
				size = n
			}
		case s.line.fenced:
			s.line.begun = true
		default:
			tag, n, part := anyTag(raw[i:])
			if n > 0 && tag.open != "" || n == 0 && part {
				s.held = append(s.held, raw[i:]...)
				if n > 0 {
					s.state = thinkProbe
				}
				return raw[:i]
			}
			s.line.begun = true
		}
		i += size
	}
	return raw
}

// again reports whether what is held is another block, which split takes in with
// nothing more.
func (s *thinkSplitter) again() bool { return s.tagged && s.state == thinkProbe && len(s.held) > 0 }

// plain reports whether a piece of the text after a block cannot have anything to do
// with another one.
func (s *thinkSplitter) plain(raw []byte) bool {
	if s.state == thinkOff {
		return true
	}
	return s.state == thinkWatch && s.line.begun && len(s.held) == 0 && bytes.IndexByte(raw, '\\') < 0
}

// anyTag finds the opening or closing tag that raw begins with, in n bytes of it. Of a
// closing tag the pair has no opening one. part says that raw may be the beginning of a tag.
func anyTag(raw []byte) (tag thinkTag, n int, part bool) {
	if len(raw) == 0 {
		return tag, 0, true
	}
	if r, _ := character(raw); r != '<' && r != '[' && raw[0] < 0x80 && r != '\u25c1' {
		return tag, 0, false
	}
	for _, tag := range thinkTags {
		size, whole := tagPrefix(raw, tag.open)
		if whole {
			return tag, size, false
		}
		part = part || size > 0 && size == len(raw)
		if size, whole = tagPrefix(raw, tag.close); whole {
			return thinkTag{close: tag.close}, size, false
		}
		part = part || size > 0 && size == len(raw)
	}
	return tag, 0, part
}

// inside looks for the closing tag. What may be the beginning of it, and white
// space that may stand before it, is held back.
func (s *thinkSplitter) inside(raw []byte) (thought, rest []byte, closed bool) {
	space, count := -1, 0 // where a run of white space begins that reaches up to here
	for i := 0; i < len(raw); {
		n, whole := tagPrefix(raw[i:], s.tag.close)
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
	case thinkWatch:
		return nil, s.out
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
	for _, want := range tag {
		if n == len(raw) {
			return n, false
		}
		r, size := character(raw[n:])
		if r >= 0x80 && raw[n] != '\\' {
			r, size = utf8.DecodeRune(raw[n:])
		}
		if r != want {
			return 0, false
		}
		n += size
	}
	return n, true
}
