package translate

import (
	"bytes"
	"testing"
)

// TestObfuscationComesOff: padding can be taken off stored events and put on
// again, whatever is said in them.
func TestObfuscationComesOff(t *testing.T) {
	for _, text := range []string{"", "a", `\",\"obfuscation\":\"abc`, `x\\\",\"obfuscation\":\"`, "0123456789abcdef", `\u0041`} {
		plain := []byte("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"" + text + "\"}\n\n")
		padded := AppendObfuscated(nil, plain, true)
		if len(padded) == len(plain) || !bytes.Equal(AppendObfuscated(nil, padded, true), padded) {
			t.Errorf("%s", padded)
		}
		if got := AppendObfuscated(nil, padded, false); !bytes.Equal(got, plain) {
			t.Errorf("%s becomes %s", padded, got)
		}
		if got := AppendObfuscated(nil, plain, false); !bytes.Equal(got, plain) {
			t.Errorf("%s becomes %s", plain, got)
		}
	}
	for _, other := range []string{"event: response.output_text.done\ndata: {\"text\":\"x\"}\n\n", ": comment\n\n", "event: x.delta\n", ""} {
		if got := AppendObfuscated(nil, []byte(other), true); string(got) != other {
			t.Errorf("%q becomes %q", other, got)
		}
	}
}
