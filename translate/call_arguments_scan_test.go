package translate

import (
	"encoding/json"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// TestArgumentScan: of every beginning of arguments the scan knows whether it is whole,
// the beginning of JSON, or none, however they are cut.
func TestArgumentScan(t *testing.T) {
	for _, args := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":{"b":[1,2,{"c":null}]},"d":"}{\"\\"}`, `{"a":-1.5e+3,"b":true,"c":false}`,
		`{"a":"é\u00e9\ud83d\ude00"}`, `[1,[],{"a":[]}]`, `"text"`, `null`, "{\n\"a\"\t:\r1}",
	} {
		for n := 1; n <= len(args); n++ {
			for cut := range n {
				var s argumentScan
				s.feed(jsonx.AppendEscaped(nil, args[:cut]))
				s.feed(jsonx.AppendEscaped(nil, args[cut:n]))
				if whole := json.Valid([]byte(args[:n])); s.whole() != whole {
					t.Errorf("%q cut at %d: whole %v", args[:n], cut, s.whole())
				}
				if s.state == scanBroken {
					t.Errorf("%q cut at %d is broken", args[:n], cut)
				}
			}
		}
	}
	for _, args := range []string{`{a:1}`, `{'a':1}`, `{"a" 1}`, `{"a":1,}`, `{"a":1]`, `{{`, `nul1`, `{"a":tru}`, `x`, `[1 2]`, `{,}`} {
		var s argumentScan
		if s.feed(jsonx.AppendEscaped(nil, args)); s.state != scanBroken {
			t.Errorf("%q is not broken: %d", args, s.state)
		}
	}
	for args, n := range map[string]int{`{"a":1}}`: 7, `{}{`: 2, `{"a":"}"} x`: 9} {
		var s argumentScan
		if got := s.feed(jsonx.AppendEscaped(nil, args)); got != len(jsonx.AppendEscaped(nil, args[:n])) {
			t.Errorf("of %q %d bytes were taken", args, got)
		}
	}
}
