package translate

import (
	"bytes"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// stopScanner looks for stop sequences in text that comes in fragments of JSON
// strings, and holds back what may be the beginning of one.
type stopScanner struct {
	stops [][]byte
	held  []byte // raw text that may begin a stop sequence
	marks []byte // its tokens
	out   []byte
}

func (s *stopScanner) reset(stops [][]byte) {
	*s = stopScanner{stops: stops, held: s.held[:0], marks: s.marks[:0], out: s.out[:0]}
}

// feed takes in a fragment and its tokens, and returns what may be given out,
// and whether it ends before a stop sequence. The results are good until the
// next call.
func (s *stopScanner) feed(raw, tokens []byte) (text, marks []byte, hit bool) {
	s.out = append(append(s.out[:0], s.held...), raw...)
	s.held = s.held[:0]
	if len(tokens) > 0 {
		if len(s.marks) > 0 {
			s.marks = append(s.marks, ',')
		}
		s.marks = append(s.marks, tokens...)
	}
	for i := 0; i < len(s.out); {
		whole, begun := s.at(s.out[i:])
		if whole {
			text = s.out[:i]
			if i > 0 { // the tokens cannot be cut: those of the text's end go with it
				marks = s.marks
			}
			s.marks = nil
			return text, marks, true
		}
		if begun {
			s.held = append(s.held, s.out[i:]...)
			text = s.out[:i]
			if i == 0 {
				return nil, nil, false
			}
			marks, s.marks = s.marks, nil
			return text, marks, false
		}
		_, size := rawRune(s.out[i:])
		i += size
	}
	marks, s.marks = s.marks, nil
	return s.out, marks, false
}

// at reports whether a stop sequence begins raw, or may begin there.
func (s *stopScanner) at(raw []byte) (whole, begun bool) {
	for _, stop := range s.stops {
		rest, n := stop, 0
		for len(rest) > 0 && n < len(raw) {
			r, size := rawRune(raw[n:])
			want, width := utf8.DecodeRune(rest)
			if r != want {
				break
			}
			rest, n = rest[width:], n+size
		}
		switch {
		case len(rest) == 0:
			return true, false
		case n == len(raw):
			begun = true
		}
	}
	return false, begun
}

// finish returns what is still held.
func (s *stopScanner) finish() (text, marks []byte) {
	text, marks = bytes.Clone(s.held), s.marks
	s.held, s.marks = s.held[:0], nil
	return text, marks
}

// rawRune reads the first character of raw, the inside of a JSON string.
func rawRune(raw []byte) (r rune, size int) {
	if raw[0] == '\\' && len(raw) > 1 {
		return jsonx.Escape(raw)
	}
	return utf8.DecodeRune(raw)
}
