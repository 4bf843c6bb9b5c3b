package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// customInput takes the text out of the arguments of a function that stands for
// a custom tool, {"input":"…"}, while they come: what stands between the quotes
// is JSON-escaped already, as it has to be in the events, so it is copied.
//
// Models do not always write what they are asked for. What is not JSON is taken
// for the text itself; another key for the one that was meant; quotes, line ends
// and backslashes that should have been escaped are. All of that is noted.
type customInput struct {
	state inputState
	// held is an escape that is not complete.
	held     [12]byte
	heldLen  int
	repaired bool // it was not as it should be

	found  bool // state is at or behind the text
	wanted bool // the key that was read last is "input"
	deep   int  // brackets that are open in a value that is passed over
	inText bool // that value is in a string
	escape bool // and that string after a backslash

	// seen is what came and has not been given: all up to the text; after its
	// closing quote what came since, in case that quote belongs to the text.
	seen []byte
	key  int // where in seen the key begins that is being read
}

// inputState is where in the arguments a customInput is.
type inputState uint8

const (
	inputStart   inputState = iota // before the brace
	inputKey                       // before a key
	inputKeyText                   // in a key
	inputColon                     // behind a key
	inputValue                     // before a value
	inputSkip                      // in a value that is not wanted
	inputText                      // in the text
	inputAfter                     // behind a value
	inputOver                      // behind the last brace
	inputRaw                       // it is not JSON: all of it is text
	inputQuoted                    // it may be one JSON string, or text that begins with a quote
)

// maxReopen bounds what is read again when a quote turns out to belong to the
// text.
const maxReopen = 4 << 10

// feed takes in more of the arguments and appends what of the text is known now,
// as it stands inside a JSON string. What it appends decodes on its own.
func (c *customInput) feed(dst, args []byte) []byte {
	for i := 0; i < len(args); {
		switch c.state {
		case inputText:
			var n int
			dst, n = c.text(dst, args[i:])
			i += n
		case inputRaw:
			return jsonx.AppendEscaped(dst, args[i:])
		case inputQuoted:
			c.seen = append(c.seen, args[i:]...)
			return dst
		default:
			dst = c.structure(dst, args[i])
			i++
		}
	}
	return dst
}

// text copies text up to its closing quote, which it takes as well.
func (c *customInput) text(dst, args []byte) (out []byte, n int) {
	for i := 0; i < len(args); {
		if c.heldLen > 0 {
			dst = c.escaped(dst, args[i])
			i++
			if c.state != inputText { // it was the closing quote after all
				return dst, i
			}
			continue
		}
		from := i
		for i < len(args) && args[i] >= 0x20 && args[i] != '"' && args[i] != '\\' {
			i++
		}
		if dst = append(dst, args[from:i]...); i == len(args) {
			break
		}
		switch b := args[i]; b {
		case '"':
			c.state, c.seen = inputAfter, append(c.seen[:0], b)
			return dst, i + 1
		case '\\':
			c.hold(b)
		default: // a line end, most often
			c.repaired = true
			dst = jsonx.AppendEscaped(dst, args[i:i+1])
		}
		i++
	}
	return dst, len(args)
}

func (c *customInput) hold(b byte) {
	c.held[c.heldLen] = b
	c.heldLen++
}

// escaped takes in a byte of an escape.
func (c *customInput) escaped(dst []byte, b byte) []byte {
	switch n := c.heldLen; {
	case n == 1 && b == 'u', n > 1 && n < 6 && isHexDigit(b), n == 6 && b == '\\', n == 7 && b == 'u', n > 7 && isHexDigit(b):
		c.hold(b)
	case n == 1 && bytes.IndexByte([]byte(`"\/bfnrt`), b) >= 0:
		c.heldLen = 0
		return append(dst, '\\', b)
	case n == 1 && b == '\'': // as in JavaScript
		c.heldLen, c.repaired = 0, true
		return append(dst, b)
	case n > 6: // the first is half a character, and what follows is something else
		return c.resume(c.half(dst), b)
	default: // no escape after all
		return c.resume(c.unheld(dst), b)
	}
	switch {
	case c.heldLen == 6 && !isSurrogate(c.held[:6]), c.heldLen == len(c.held) && pairs(c.held[:]):
		dst = append(dst, c.held[:c.heldLen]...)
		c.heldLen = 0
	case c.heldLen == 6 && isLowSurrogate(c.held[:6]):
		return c.unheld(dst)
	case c.heldLen == len(c.held): // two first halves, or a first half and a whole character
		return c.half(dst)
	}
	return dst
}

// half gives up on the first half of a character, and takes in anew what was
// held after it.
func (c *customInput) half(dst []byte) []byte {
	held, n := c.held, c.heldLen
	c.heldLen, c.repaired = 0, true
	dst = append(dst, `\ufffd`...)
	for _, b := range held[6:n] {
		dst = c.resume(dst, b)
	}
	return dst
}

// resume is what text does with one byte.
func (c *customInput) resume(dst []byte, b byte) []byte {
	if c.heldLen > 0 {
		return c.escaped(dst, b)
	}
	dst, _ = c.text(dst, []byte{b})
	return dst
}

// unheld gives up on an escape: a backslash that begins none stands for itself,
// half a character for U+FFFD.
func (c *customInput) unheld(dst []byte) []byte {
	held, n := c.held, c.heldLen
	c.heldLen, c.repaired = 0, true
	switch {
	case n == 0:
		return dst
	case n < 6:
		dst = append(dst, '\\', '\\')
		return append(dst, held[1:n]...)
	}
	dst = append(dst, `\ufffd`...)
	if n == 6 {
		return dst
	}
	dst = append(dst, '\\', '\\')
	return append(dst, held[7:n]...)
}

func isHexDigit(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f'
}

// isSurrogate, isLowSurrogate and pairs look at \uXXXX escapes.
func isSurrogate(e []byte) bool {
	return e[2]|0x20 == 'd' && (e[3]|0x20 >= 'a' || e[3] >= '8' && e[3] <= '9')
}

func isLowSurrogate(e []byte) bool { return isSurrogate(e) && e[3]|0x20 >= 'c' && e[3] > '9' }

func pairs(e []byte) bool {
	return isSurrogate(e[:6]) && !isLowSurrogate(e[:6]) && isLowSurrogate(e[6:])
}

// structure takes in a byte outside the text.
func (c *customInput) structure(dst []byte, b byte) []byte {
	c.seen = append(c.seen, b)
	space := b == ' ' || b == '\n' || b == '\t' || b == '\r'
	switch c.state {
	case inputStart:
		switch {
		case space:
		case b == '{':
			c.state = inputKey
		case b == '"', b == '[':
			c.state = inputQuoted
		default:
			return c.broken(dst)
		}
	case inputKey:
		switch {
		case space:
		case b == '"':
			c.state, c.key, c.escape = inputKeyText, len(c.seen), false
		case b == '}': // after a comma it should not be there
			c.state, c.repaired = inputOver, c.repaired || c.found
		default:
			return c.broken(dst)
		}
	case inputKeyText:
		switch {
		case c.escape:
			c.escape = false
		case b == '\\':
			c.escape = true
		case b == '"':
			c.state, c.wanted = inputColon, string(c.seen[c.key:len(c.seen)-1]) == "input"
		}
	case inputColon:
		switch {
		case space:
		case b == ':':
			c.state = inputValue
		default:
			return c.broken(dst)
		}
	case inputValue:
		switch {
		case space:
		case b == '"' && c.wanted && !c.found:
			// Nothing that came before it is needed any more.
			c.repaired = c.repaired || len(bytes.TrimLeft(c.seen[:max(c.key-1, 0)], " \t\r\n{")) > 0
			c.state, c.found, c.seen = inputText, true, c.seen[:0]
		case b == '}' || b == ']' || b == ',' || b == ':':
			return c.broken(dst)
		default:
			c.state, c.deep, c.escape = inputSkip, 0, false
			c.inText = b == '"'
			if b == '{' || b == '[' {
				c.deep = 1
			}
		}
	case inputSkip:
		switch {
		case c.inText:
			switch {
			case c.escape:
				c.escape = false
			case b == '\\':
				c.escape = true
			case b == '"':
				c.inText = false
			}
		case b == '"':
			c.inText = true
		case b == '{' || b == '[':
			c.deep++
		case (b == '}' || b == ']') && c.deep > 0:
			c.deep--
		case b == ',' && c.deep == 0:
			c.state = inputKey
		case b == '}' && c.deep == 0:
			c.state = inputOver
		}
	case inputAfter:
		switch {
		case space:
		case b == ',':
			c.state = inputKey
		case b == '}':
			c.state = inputOver
		default:
			return c.broken(dst)
		}
	case inputOver:
		if !space {
			return c.broken(dst)
		}
	}
	return dst
}

// broken takes in that the arguments are no JSON at the byte that came last.
// Before the text that makes all of them the text. After it, the quote that
// seemed to close it was part of it.
func (c *customInput) broken(dst []byte) []byte {
	c.repaired = true
	if !c.found {
		c.state = inputRaw
		dst = jsonx.AppendEscaped(dst, c.seen)
		c.seen = c.seen[:0]
		return dst
	}
	if len(c.seen) > maxReopen { // the rest of it is lost
		c.state, c.seen = inputSkip, c.seen[:0]
		c.deep, c.inText = 1<<30, false
		return dst
	}
	again := bytes.Clone(c.seen[1:])
	c.state, c.seen = inputText, c.seen[:0]
	return c.feed(append(dst, '\\', '"'), again)
}

// finish takes in the end of the arguments and appends what is left of the text.
// torn says that they were cut off.
func (c *customInput) finish(dst []byte, torn bool) []byte {
	switch c.state {
	case inputText:
		c.repaired = c.repaired || !torn
		if c.heldLen > 0 && !torn {
			dst = c.unheld(dst)
		}
		c.heldLen = 0
		return dst
	case inputRaw:
		return dst
	case inputAfter, inputOver, inputSkip, inputKey, inputKeyText, inputColon, inputValue:
		if c.found {
			// Another member than the text has no place in the item.
			c.repaired = c.repaired || c.state != inputOver || bytes.IndexByte(c.seen, ',') >= 0
			return dst
		}
	}
	if len(c.seen) == 0 || torn && c.state != inputOver && c.state != inputQuoted {
		return dst
	}
	c.repaired = true
	return jsonx.AppendEscaped(dst, meantInput(c.seen))
}

// whole reports whether the arguments may be complete.
func (c *customInput) whole() bool {
	return c.state == inputOver || c.state == inputRaw || c.state == inputQuoted
}
