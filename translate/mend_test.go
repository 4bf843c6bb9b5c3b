package translate

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestMendedArguments: arguments that came in one piece have the types that the tool
// declares, if they can only be meant so; others stay as they are, byte by byte.
func TestMendedArguments(t *testing.T) {
	const schema = `{"type":"object","properties":{"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},"s":{"type":"string"},` +
		`"l":{"type":"array","items":{"type":"integer"}},"o":{"type":"object","properties":{"i":{"type":"integer"}}},"any":{},"either":{"type":["string","integer"]}}}`
	for given, want := range map[string]string{
		`{"i":5.0}`:                        `{"i":5}`,
		`{"i":"5"}`:                        `{"i":5}`,
		`{"i":"5.00","n":"-1.5e3"}`:        `{"i":5,"n":-1.5e3}`,
		`{"b":"true","s":7}`:               `{"b":true,"s":"7"}`,
		`{"s":false}`:                      `{"s":"false"}`,
		`{"l":"[1, 2.0]"}`:                 `{"l":[1,2]}`,
		`{"o":"{\"i\":\"3\"}"}`:            `{"o":{"i":3}}`,
		`"{\"i\": 1}"`:                     `{"i":1}`,
		`{"i":5.5}`:                        "",
		`{"i":"five"}`:                     "",
		`{"i":"1e2"}`:                      "",
		`{"i":null,"b":1,"n":"","l":"x"}`:  "",
		`{"any":"5","either":"5"}`:         "",
		`{"unknown":"5", "s" : "5"}`:       "",
		`{"o":[1],"l":{"a":1}, "s":["x"]}`: "",
		`{"i":5.0`:                         "",
		`not JSON`:                         "",
	} {
		for _, off := range []bool{false, true} {
			d, _ := LookupDialect("vllm")
			d.Tools.RepairArguments = !off
			r := parsed(t, `{"model":"m","input":"x","tools":[{"type":"function","name":"f","parameters":`+schema+`}]}`)
			if _, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
				t.Fatal(err)
			}
			quoted, _ := json.Marshal(given)
			var losses Losses
			var turn Turn
			turn.Reset(TurnOptions{Request: r, Dialect: &d, Losses: &losses})
			turn.FeedMessage(nil, []byte(`{"choices":[{"message":{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":`+string(quoted)+`}}]},"finish_reason":"tool_calls"}]}`))
			var got struct{ Output []struct{ Arguments string } }
			if err := json.Unmarshal(turn.Response(nil, 0, false), &got); err != nil || len(got.Output) != 1 {
				t.Fatal(err, got)
			}
			mended := want
			if want == "" || off {
				mended = given
			}
			if got.Output[0].Arguments != mended {
				t.Errorf("%s became %s, not %s", given, got.Output[0].Arguments, mended)
			}
			if reported := strings.Contains(string(lossLines(&losses)), "reply.arguments_mended"); reported != (mended != given) {
				t.Errorf("%s: losses %s", given, lossLines(&losses))
			}
		}
	}
}
