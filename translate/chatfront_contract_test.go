package translate

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// chatDeviations are complaints of the description about chat completions and
// requests that are its own fault, with the reason to disagree.
var chatDeviations = []struct{ complaint, why string }{
	{"missing property 'logprobs'", "the live API leaves it out when nobody asked for it (docs/PROTOCOL.md §6.3)"},
	{"tool_calls/0/type': value must be 'function'", "the description knows no custom calls in chunks; the types do (docs/PROTOCOL.md §6.4)"},
	{"system_fingerprint': got null, want string", "the live API sends null (docs/PROTOCOL.md §6.4)"},
}

func chatDeviates(complaint string) bool {
	for _, d := range chatDeviations {
		if strings.Contains(complaint, d.complaint) {
			return true
		}
	}
	return deviates(complaint)
}

// TestFrontContract holds what the reverse direction says, to the client and to
// the backend, against OpenAI's own description of the two APIs.
func TestFrontContract(t *testing.T) {
	c := loadContract(t)
	if c == nil {
		t.Log("the description of the API does not lie beside the project: nothing to compare with")
		return
	}
	requests, chunks, objects := 0, 0, 0
	for _, fc := range frontCases(t) {
		t.Run(fc.Name, func(t *testing.T) {
			x := fc.start(t)
			if x.err != nil {
				return
			}
			requests++
			c.check(t, "CreateResponse", withoutInput(t, x.body))
			raw := fc.File("upstream.sse")
			if raw == nil || x.req.N > 1 {
				return
			}
			var turn ChatTurn
			for line := range bytes.SplitSeq(x.run(&turn, raw), []byte("\n")) {
				data, ok := bytes.CutPrefix(line, []byte("data: "))
				if !ok || string(data) == "[DONE]" || bytes.HasPrefix(data, []byte(`{"error"`)) {
					continue
				}
				chunks++
				c.check(t, "CreateChatCompletionStreamResponse", data)
			}
			if whole := turn.Completion(nil); whole != nil {
				objects++
				c.check(t, "CreateChatCompletionResponse", whole)
			}
		})
	}
	if requests < 100 || chunks < 200 || objects < 50 {
		t.Errorf("only %d requests, %d chunks, %d completions", requests, chunks, objects)
	}
}

// withoutInput is a request with input left out: the description wants ids on
// what the assistant said, which are only there for what the backend has stored
// (docs/PROTOCOL.md §3.1). TestRandomRequests and lawful look at input.
func withoutInput(t *testing.T, body []byte) []byte {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	m["input"] = json.RawMessage(`"x"`)
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
