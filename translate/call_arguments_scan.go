package translate

import "github.com/antiphon-proxy/antiphon/translate/jsonx"

// argumentScan follows the arguments of a call while they come, and knows at any
// byte whether they are one whole JSON value, the beginning of one, or none. It is
// lenient inside strings, where models write line ends that should be escaped: what
// matters is where the value ends. The zero value stands before the value.
type argumentScan struct {
	state scanState
	stack uint64 // what is open, innermost lowest: 1 an object, 0 an array
	depth uint8
	word  uint8 // which of scanWords is being read
	at    uint8 // and how much of it; in a string, how much of an escape is to come
	root  byte  // the first character
	some  bool  // the root has a member or an element
}

type scanState uint8

const (
	scanValue  scanState = iota // before a value
	scanFirst                   // behind an opening bracket
	scanKey                     // before a key
	scanInKey                   // in a key
	scanColon                   // behind a key
	scanString                  // in a string
	scanNumber                  // in a number
	scanWord                    // in true, false or null
	scanAfter                   // behind a value inside another
	scanWhole                   // behind the root
	scanBroken                  // it is no JSON
)

var scanWords = [...]string{"true", "false", "null"}

// maxScanDepth bounds the brackets that are told apart; what is deeper is not judged.
const maxScanDepth = 64

// feed takes in raw, the inside of a JSON string that stands on its own, up to the end
// of the value. It returns how much that was.
func (s *argumentScan) feed(raw []byte) int {
	for i := 0; i < len(raw); {
		if s.state >= scanWhole {
			if s.state == scanBroken {
				return len(raw)
			}
			return i
		}
		c, n := raw[i], 1
		if c == '\\' {
			var r rune
			if r, n = jsonx.Escape(raw[i:]); r < 0x80 {
				c = byte(r)
			} else {
				c = 0x80
			}
		} else if s.state == scanString && s.at == 0 { // most of what comes
			for i < len(raw) && raw[i] != '\\' && raw[i] != '"' {
				i++
			}
			continue
		}
		if s.state == scanNumber && !numberByte(c) {
			s.value() // the number has ended before this byte
			if s.state == scanWhole {
				return i
			}
		}
		s.step(c)
		i += n
	}
	return len(raw)
}

func numberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

// value takes in that a value has ended.
func (s *argumentScan) value() {
	if s.state = scanAfter; s.depth == 0 {
		s.state = scanWhole
	}
}

func (s *argumentScan) open(object uint64) {
	if s.depth == maxScanDepth {
		s.state = scanBroken
		return
	}
	s.stack = s.stack<<1 | object
	s.depth++
	s.state = scanFirst
}

func (s *argumentScan) close(object uint64) {
	if s.stack&1 != object {
		s.state = scanBroken
		return
	}
	s.stack >>= 1
	s.depth--
	s.value()
}

// step takes in one character; any that is not ASCII is 0x80.
func (s *argumentScan) step(c byte) {
	space := c == ' ' || c == '\n' || c == '\t' || c == '\r'
	switch s.state {
	case scanString, scanInKey:
		switch {
		case s.at > 0:
			s.at--
			if c == 'u' && s.at == 0 && s.word == 1 { // four digits follow
				s.at = 4
			}
			s.word = 0
		case c == '\\':
			s.at, s.word = 1, 1
		case c == '"' && s.state == scanInKey:
			s.state = scanColon
		case c == '"':
			s.value()
		}
	case scanWord:
		if word := scanWords[s.word]; c != word[s.at] {
			s.state = scanBroken
		} else if s.at++; int(s.at) == len(word) {
			s.at = 0
			s.value()
		}
	case scanNumber:
	case scanColon:
		switch {
		case c == ':':
			s.state = scanValue
		case !space:
			s.state = scanBroken
		}
	case scanAfter:
		switch {
		case space:
		case c == ',' && s.stack&1 == 1:
			s.state = scanKey
		case c == ',':
			s.state = scanValue
		case c == '}':
			s.close(1)
		case c == ']':
			s.close(0)
		default:
			s.state = scanBroken
		}
	case scanKey, scanFirst:
		switch {
		case space:
			return
		case c == '}' && s.stack&1 == 1 && s.state == scanFirst:
			s.close(1)
			return
		case c == ']' && s.stack&1 == 0:
			s.close(0)
			return
		case s.stack&1 == 1 && c == '"':
			s.state, s.at, s.some = scanInKey, 0, true
			return
		case s.stack&1 == 1:
			s.state = scanBroken
			return
		}
		s.begin(c)
	case scanValue:
		if !space {
			s.begin(c)
		}
	}
}

// begin takes in the first character of a value.
func (s *argumentScan) begin(c byte) {
	if s.root == 0 {
		s.root = c
	} else {
		s.some = true
	}
	switch {
	case c == '{':
		s.open(1)
	case c == '[':
		s.open(0)
	case c == '"':
		s.state, s.at = scanString, 0
	case c == '-' || c >= '0' && c <= '9':
		s.state = scanNumber
	case c == 't' || c == 'f' || c == 'n':
		s.state, s.at, s.word = scanWord, 1, 0
		for i := range scanWords {
			if scanWords[i][0] == c {
				s.word = uint8(i)
			}
		}
	default:
		s.state = scanBroken
	}
}

// begun reports whether the value has begun.
func (s *argumentScan) begun() bool { return s.root != 0 }

// whole reports whether the value may be over: a number has no end of its own.
func (s *argumentScan) whole() bool {
	return s.state == scanWhole || s.state == scanNumber && s.depth == 0
}

// torn reports whether it is the beginning of a JSON value and no more.
func (s *argumentScan) torn() bool { return s.begun() && !s.whole() && s.state != scanBroken }
