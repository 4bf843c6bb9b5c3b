package translate

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// FuzzParseMarkup: whatever a text is, the calls that are read out of it have names, and
// arguments that are one JSON object; markup that is cut off or has text around it has none.
func FuzzParseMarkup(f *testing.F) {
	for _, c := range goldenCases(f) {
		for line := range bytes.SplitSeq(c.File("upstream.json"), []byte("\n")) {
			if text := jsonx.Lookup(line, "choices").Get("0.message.content").Str; text != "" {
				f.Add(text)
			}
		}
	}
	for _, text := range []string{
		`<tool_call>{"name":"f","arguments":{"a":1}}</tool_call>`, "<function=f>\n<parameter=a>\n1\n</parameter>\n</function>",
		`<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>`, `[TOOL_CALLS]f[ARGS]{}`, `[f(a=[1,'x',{"b":None}]), g()]`,
		`<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}<|tool_call_end|>`, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```",
		`<｜DSML｜invoke name="f"><｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter></｜DSML｜invoke>`, `f{`, `<invoke name="`, `{"tool_calls":[{"function":{"name":"f"}}]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		calls, ok := parseMarkup([]byte(text))
		if !ok {
			return
		}
		if len(calls) == 0 {
			t.Error("no calls")
		}
		for _, c := range calls {
			var arguments any
			if err := json.Unmarshal(c.arguments, &arguments); err != nil {
				t.Errorf("%s is called with %q: %v", c.name, c.arguments, err)
			} else if _, isObject := arguments.(map[string]any); !isObject && len(c.arguments) > 0 && c.arguments[0] != '[' {
				t.Errorf("%s is called with %q", c.name, c.arguments)
			}
			if len(bytes.TrimSpace(c.name)) == 0 {
				t.Error("a call without a name")
			}
		}
	})
}
