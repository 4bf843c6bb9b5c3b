package translate

import "bytes"

// Obfuscation pads a delta with random letters, so that the size of its event
// says less about it to somebody who watches the encrypted connection (docs/PROTOCOL.md
// §4.3). It is the last member of the event, so that it can be put there, and
// taken away, when a stored event is read again.

const obfuscationKey = `,"obfuscation":"`

// AppendObfuscated appends an event of a Turn, as it was kept, with padding or
// without. Events that are no deltas never have any.
func AppendObfuscated(dst, event []byte, padded bool) []byte {
	line, _, _ := bytes.Cut(event, []byte{'\n'})
	body, whole := bytes.CutSuffix(event, []byte(eventEnd))
	if !whole || !bytes.HasSuffix(line, []byte(".delta")) {
		return append(dst, event...)
	}
	// Within a string the quotes of the key would be escaped.
	at := -1
	if n := len(body); n > 0 && body[n-1] == '"' {
		i := n - 1
		for i > 0 && isAlnum(body[i-1]) {
			i--
		}
		if bytes.HasSuffix(body[:i], []byte(obfuscationKey)) {
			at = i - len(obfuscationKey)
		}
	}
	switch {
	case padded == (at >= 0):
		return append(dst, event...)
	case !padded:
		dst = append(dst, body[:at]...)
	default:
		prng := uint64(len(body))*0x9e3779b97f4a7c15 | 1 // a length
		dst = appendPadding(append(dst, body...), &prng, len(body))
	}
	return append(dst, eventEnd...)
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
