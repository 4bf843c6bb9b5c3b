package jsonx

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// StringKind tells what ScanString found in a string.
type StringKind uint8

// The bits of StringKind. Zero is a string of printable ASCII and no escapes.
const (
	HasEscape    StringKind = 1 << iota // a backslash
	HasUnicode                          // bytes over 0x7f, valid UTF-8
	HasSurrogate                        // a \ud800 to \udfff escape, paired or not
	BadUTF8                             // bytes that are not UTF-8
)

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, in the top bit of each byte, the bytes of w that end a run of
// plain string bytes: control characters, '"', '\\' and anything over 0x7f. The
// lowest mark is exact; those above it may be false.
func special(w uint64) uint64 {
	return ((w - 0x20*lows) | ((w ^ '"'*lows) - lows) | ((w ^ '\\'*lows) - lows) | w) & highs
}

// window is how far plainRun looks ahead at once in a long string. It bounds
// what is looked at twice when escapes are close together.
const window = 1024

// plainRun returns the index of the first byte from i on that is not a plain
// string byte, or len(b). Short strings are the rule: 64 bytes are tried by
// eights first. What is longer is text, where the assembly behind IndexByte
// finds quotes and backslashes many times faster.
func plainRun(b []byte, i int) int {
	short := min(i+64, len(b))
	for i+8 <= short {
		if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i+8 <= len(b) {
		w := b[i:min(i+window, len(b))]
		if q := bytes.IndexByte(w, '"'); q >= 0 {
			w = w[:q]
		}
		if q := bytes.IndexByte(w, '\\'); q >= 0 {
			w = w[:q]
		}
		n := printableRun(w)
		i += n
		if n < window {
			return i
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// printableRun returns the index of the first byte of b that is a control
// character or over 0x7f, or len(b).
func printableRun(b []byte) int {
	i := 0
	for i+32 <= len(b) {
		w0 := binary.LittleEndian.Uint64(b[i:])
		w1 := binary.LittleEndian.Uint64(b[i+8:])
		w2 := binary.LittleEndian.Uint64(b[i+16:])
		w3 := binary.LittleEndian.Uint64(b[i+24:])
		if ((w0-0x20*lows)|w0|(w1-0x20*lows)|w1|(w2-0x20*lows)|w2|(w3-0x20*lows)|w3)&highs != 0 {
			break
		}
		i += 32
	}
	for i < len(b) && b[i]-0x20 < utf8.RuneSelf-0x20 {
		i++
	}
	return i
}

// ScanString finds the end of a JSON string whose content begins at b[i], just
// after the opening quote. It returns the index of the closing quote and what
// kind of string it is. At a control character, a bad escape or the end of b it
// returns ok false and where that is. Bytes that are not UTF-8 are reported in
// kind only: the caller decides.
func ScanString(b []byte, i int) (end int, kind StringKind, ok bool) {
	for {
		i = plainRun(b, i)
		if i >= len(b) {
			return i, kind, false
		}
		switch c := b[i]; {
		case c == '"':
			return i, kind, true
		case c == '\\':
			kind |= HasEscape
			if i+1 >= len(b) {
				return i, kind, false
			}
			switch b[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				r, hexOK := hex4(b, i+2)
				if !hexOK {
					return i, kind, false
				}
				if r >= 0xd800 && r < 0xe000 {
					kind |= HasSurrogate
				}
				i += 6
			default:
				return i, kind, false
			}
		case c >= utf8.RuneSelf:
			n, valid := runeRun(b[i:])
			i += n
			kind |= HasUnicode
			if !valid {
				kind |= BadUTF8
				i++
			}
		default:
			return i, kind, false
		}
	}
}

// runeRun measures a run of text that begins with a multi-byte character: such
// characters and the plain ASCII between them, up to 16 in a row, from where
// plainRun is faster. valid is false when the run ends at a bad byte.
func runeRun(b []byte) (n int, valid bool) {
	for ascii := 0; n < len(b); {
		c := b[n]
		switch {
		case c < utf8.RuneSelf:
			if ascii++; ascii > 16 || c < 0x20 || c == '"' || c == '\\' {
				return n, true
			}
			n++
			continue
		case c >= 0xc2 && c < 0xe0 && n+1 < len(b) && b[n+1]&0xc0 == 0x80:
			n += 2
		case c > 0xe0 && c < 0xed && n+2 < len(b) && b[n+1]&0xc0 == 0x80 && b[n+2]&0xc0 == 0x80:
			n += 3
		default:
			r, size := utf8.DecodeRune(b[n:])
			if r == utf8.RuneError && size == 1 {
				return n, false
			}
			n += size
		}
		ascii = 0
	}
	return n, true
}

// hex4 reads the four hex digits of a \u escape at b[i].
func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// isHigh and isLow tell the halves of a surrogate pair.
func isHigh(r rune) bool { return r >= 0xd800 && r < 0xdc00 }
func isLow(r rune) bool  { return r >= 0xdc00 && r < 0xe000 }

// MendSurrogates overwrites each surrogate escape of raw (the inside of a valid
// JSON string) that has no other half with \ufffd, which has the same length,
// and reports how many it mended. Decoders disagree on such escapes: some
// refuse the whole document.
func MendSurrogates(raw []byte) (mended int) {
	for i := 0; i+1 < len(raw); {
		if raw[i] != '\\' {
			i++
			continue
		}
		if raw[i+1] != 'u' {
			i += 2
			continue
		}
		r, _ := hex4(raw, i+2)
		switch {
		case isHigh(r) && i+12 <= len(raw) && raw[i+6] == '\\' && raw[i+7] == 'u':
			if low, _ := hex4(raw, i+8); isLow(low) {
				i += 12
				continue
			}
			fallthrough
		case isHigh(r), isLow(r):
			copy(raw[i+2:], "fffd")
			mended++
		}
		i += 6
	}
	return mended
}

// SplitsSurrogate reports whether raw (the inside of a valid JSON string) ends
// with the first half of a surrogate pair, and where that half begins. A stream
// may cut a pair in two.
func SplitsSurrogate(raw []byte) (at int, ok bool) {
	at = len(raw) - 6
	if at < 0 || raw[at] != '\\' || raw[at+1] != 'u' {
		return 0, false
	}
	if r, valid := hex4(raw, at+2); !valid || !isHigh(r) {
		return 0, false
	}
	// An odd number of backslashes before it would make ours an escaped one.
	n := 0
	for at-n > 0 && raw[at-n-1] == '\\' {
		n++
	}
	return at, n%2 == 0
}
