package translate

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/internal/goldencase"
)

// plainSealer makes envelopes that can be read.
type plainSealer = goldencase.Sealer

// codeSealer makes envelopes of anything, that a client cannot read at a glance.
type codeSealer struct{}

func (codeSealer) Seal(dst, plain []byte) ([]byte, bool) {
	return base64.RawURLEncoding.AppendEncode(dst, plain), true
}

func (codeSealer) Open(dst, sealed []byte) ([]byte, bool) {
	out, err := base64.RawURLEncoding.AppendDecode(dst, sealed)
	return out, err == nil
}

func TestMergedDetails(t *testing.T) {
	for _, c := range []struct{ elements, want string }{
		{`{"type":"reasoning.text","text":"Let ","index":0},{"type":"reasoning.text","text":"me.","index":0}`,
			`{"type":"reasoning.text","text":"Let me.","index":0}`},
		{`{"type":"reasoning.text","text":"a","signature":null,"index":0},{"type":"reasoning.text","text":"","signature":"S","index":0}`,
			`{"type":"reasoning.text","text":"a","signature":"S","index":0}`},
		{`{"type":"reasoning.text","text":"a","format":"f","index":0},{"type":"reasoning.encrypted","data":"D","index":1},{"type":"reasoning.text","text":"b","index":0}`,
			`{"type":"reasoning.text","text":"ab","format":"f","index":0},{"type":"reasoning.encrypted","data":"D","index":1}`},
		{`{"type":"reasoning.summary","summary":"a"},{"type":"reasoning.summary","summary":"b"}`,
			`{"type":"reasoning.summary","summary":"ab"}`},
		{`{"type":"reasoning.encrypted","data":"A"},{"type":"reasoning.encrypted","data":"B"}`,
			`{"type":"reasoning.encrypted","data":"A"},{"type":"reasoning.encrypted","data":"B"}`},
		{`{"type":"reasoning.encrypted","id":"c1","data":"A","index":0},{"type":"reasoning.encrypted","id":"c2","data":"B","index":0}`,
			`{"type":"reasoning.encrypted","id":"c1","data":"A","index":0},{"type":"reasoning.encrypted","id":"c2","data":"B","index":0}`},
		{`{"type":"reasoning.text","text":"\ud83d","index":0},{"type":"reasoning.text","text":"\ude00","index":0}`,
			`{"type":"reasoning.text","text":"\ud83d\ude00","index":0}`},
		{`{"type":"reasoning.text","text":"\ud83d","index":0}`, `{"type":"reasoning.text","text":"\ufffd","index":0}`},
		{`{"type":"x","text":{"deep":[1]}},7,null`, `{"type":"x","text":{"deep":[1]}}`},
	} {
		merged := func(elements string) string {
			dst, plain := appendMergedDetails(nil, []byte(elements))
			signed := strings.Contains(c.want, `"data"`) || strings.Contains(c.want, `"signature"`) || strings.Contains(c.want, "deep")
			if plain == signed {
				t.Errorf("%s: plain is %v", elements, plain)
			}
			return string(dst)
		}
		got := merged(c.elements)
		if !strings.EqualFold(got, c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.elements, got, c.want)
		}
		if again := merged(got); again != got {
			t.Errorf("merged twice: %s, then %s", got, again)
		}
	}
}
