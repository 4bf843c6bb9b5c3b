package translate

import (
	"strings"
	"testing"
)

// TestSingleCalls: where a message may have one call only, the calls of a turn stand
// one after the other, each with its result, also those of a stored response.
func TestSingleCalls(t *testing.T) {
	d, _ := LookupDialect("vllm")
	d.Tools.SingleCalls = true
	const call = `{"type":"function_call","call_id":"c%","name":"f","arguments":"{}"}`
	calls := strings.ReplaceAll(call, "%", "1") + "," + strings.ReplaceAll(call, "%", "2")
	const results = `{"type":"function_call_output","call_id":"c2","output":"two"},{"type":"function_call_output","call_id":"c1","output":"one"},{"role":"user","content":"w"}`
	const question, said = `{"role":"user","content":"q"}`, `{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]}`
	tool := func(n string) string {
		return `"tool_calls":[{"id":"c` + n + `","type":"function","function":{"name":"f","arguments":"{}"}}]`
	}
	want := `"messages":[` + question + `,{"role":"assistant","content":"I look.",` + tool("1") + `},{"role":"tool","tool_call_id":"c1","content":"one"},` +
		`{"role":"assistant","content":null,` + tool("2") + `},{"role":"tool","tool_call_id":"c2","content":"two"},{"role":"user","content":"w"}]`
	for name, past := range map[string]bool{"in the input": false, "stored": true} {
		h, input := &History{}, question+","+said+","+calls+","+results
		if past {
			var err error
			if h, err = h.Extend([]byte(`[`+question+`]`), []byte(`[`+said+`,`+calls+`]`), &d); err != nil {
				t.Fatal(err)
			}
			input = results
		}
		var losses Losses
		chat, err := parsed(t, `{"model":"m","input":[`+input+`]}`).AppendChat(nil, ChatOptions{Dialect: &d, History: h, Losses: &losses})
		if err != nil || !strings.Contains(string(chat), want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, chat, want)
		}
		if got := string(lossLines(&losses)); !strings.Contains(got, "call.single repaired") {
			t.Errorf("%s: losses %s", name, got)
		}
	}
}
