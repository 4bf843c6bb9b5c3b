package proxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// What a model thinks beside a call comes back to its backend in the next turn,
// whoever keeps the conversation.

const thinkAndCall = `json 200 {"choices":[{"message":{"role":"assistant","content":null,"reasoning_content":"I think CANARY.",` +
	`"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`

const thinkAndCallStream = `head 200 text/event-stream
chunk data: {"choices":[{"delta":{"reasoning_content":"I think"}}]}
chunk data: {"choices":[{"delta":{"reasoning_content":" CANARY."}}]}
chunk data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}
chunk data: [DONE]`

const signedCall = `json 200 {"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",` +
	`"extra_content":{"google":{"thought_signature":"SIG"}},"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}`

const done = `json 200 {"choices":[{"message":{"role":"assistant","content":"Done."},"finish_reason":"stop"}]}`

const tools = `"tools":[{"type":"function","name":"f"}]`

func withDialect(name string) func(*setup) {
	return func(s *setup) { s.cfg.Upstream.Dialect = name }
}

// sparseOutput is a response's output: its reasoning item with only what a client
// like opencode keeps of it, and the other items as they are.
func sparseOutput(t *testing.T, response []byte) (items string, sealed string) {
	t.Helper()
	var r struct{ Output []map[string]any }
	if err := json.Unmarshal(response, &r); err != nil {
		t.Fatal(err)
	}
	for _, it := range r.Output {
		if it["type"] == "reasoning" {
			sealed, _ = it["encrypted_content"].(string)
			it = map[string]any{"type": "reasoning", "summary": []any{}, "content": nil, "encrypted_content": sealed}
		}
		raw, err := json.Marshal(it)
		if err != nil {
			t.Fatal(err)
		}
		items += string(raw) + ","
	}
	return items, sealed
}

// second asks the second question of a tool loop and returns the assistant's
// message that the upstream got.
func (r *rig) second(up *upstreamtest.Server, items string, headers ...string) (message string, got *reply) {
	r.t.Helper()
	got = r.post(`{"model":"m","store":false,"include":["reasoning.encrypted_content"],"input":[{"role":"user","content":"Hi"},`+
		items+`{"type":"function_call_output","call_id":"call_1","output":"O"}],`+tools+`}`, headers...)
	if got.status != 200 {
		return "", got
	}
	return assistantMessage(r.t, up.Requests()[up.Count()-1].Body), got
}

func assistantMessage(t testing.TB, chat []byte) string {
	t.Helper()
	var body struct {
		Messages []json.RawMessage
	}
	if err := json.Unmarshal(chat, &body); err != nil {
		t.Fatal(err)
	}
	for _, m := range body.Messages {
		if strings.Contains(string(m), `"role":"assistant"`) {
			return string(m)
		}
	}
	t.Fatalf("no assistant's message in %s", chat)
	return ""
}

func TestReasoningOfStatelessClient(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, thinkAndCall, done, done, done, done)
	r := newRig(t, up.URL(), withDialect("deepseek"))
	first := r.post(`{"model":"m","store":false,"include":["reasoning.encrypted_content"],"input":"Hi",` + tools + `}`)
	items, sealed := sparseOutput(t, first.body)
	if !strings.HasPrefix(sealed, "antiphon1.") || strings.Contains(sealed, "think") {
		t.Fatalf("encrypted_content %q of %s", sealed, first.body)
	}

	message, _ := r.second(up, items)
	if !strings.Contains(message, `"reasoning_content":"I think CANARY."`) {
		t.Errorf("the reasoning does not come back: %s", message)
	}
	middle, other := len(sealed)/2, "x"
	if sealed[middle] == 'x' {
		other = "y"
	}
	for name, c := range map[string]struct{ items, header string }{
		"another tenant's": {items, "Authorization: Bearer sk-CANARY-2"},
		"a changed one":    {strings.Replace(items, sealed, sealed[:middle]+other+sealed[middle+1:], 1), ""},
		"a foreign one":    {strings.Replace(items, sealed, "gAAAAABoCANARY", 1), ""},
	} {
		header := c.header
		if header == "" {
			header = "Authorization: " + canaryKey
		}
		message, got := r.second(up, c.items, header)
		if strings.Contains(message, "think") || !strings.Contains(message, `"reasoning_content":" "`) {
			t.Errorf("%s envelope: %s", name, message)
		}
		if loss := got.header.Get("Antiphon-Loss"); !strings.Contains(loss, "reasoning.encrypted") {
			t.Errorf("%s envelope is not reported: %q", name, loss)
		}
	}
}

func TestReasoningRefusedByStrict(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t)
	r := newRig(t, up.URL(), withDialect("deepseek"), func(s *setup) { s.cfg.Loss = config.LossStrict })
	_, got := r.second(up, `{"type":"reasoning","summary":[],"encrypted_content":"gAAAAABo"},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},`)
	if got.status != 400 || !strings.Contains(string(got.body), `"code":"invalid_encrypted_content"`) || up.Count() != 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A stream says what the whole response says, and seals once: the item that is
// done is the one in the final object.
func TestReasoningSealedInStream(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, thinkAndCallStream)
	r := newRig(t, up.URL(), withDialect("deepseek"))
	got := r.post(`{"model":"m","stream":true,"store":false,"include":["reasoning.encrypted_content"],"input":"Hi",` + tools + `}`)
	seen := map[string]int{}
	for line := range strings.Lines(string(got.body)) {
		if _, rest, ok := strings.Cut(line, `"encrypted_content":"`); ok {
			envelope, _, _ := strings.Cut(rest, `"`)
			seen[envelope]++
			if !strings.Contains(line, "response.output_item.done") && !strings.Contains(line, "response.completed") {
				t.Errorf("an envelope in %.90s", line)
			}
		}
	}
	if len(seen) != 1 {
		t.Fatalf("%d envelopes in %s", len(seen), got.body)
	}
	for _, n := range seen {
		if n != 2 {
			t.Errorf("the envelope is said %d times", n)
		}
	}
}

// What a backend signs comes back with its call: from the store, by reference,
// and from the client, also after a restart with the same keys.
func TestCallSignatures(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, signedCall, done, done, done, done)
	st := memory.New(memory.Options{MaxBytes: 1 << 20})
	t.Cleanup(func() { _ = st.Close() })
	keys := func(s *setup) {
		s.opt.Store = st
		s.cfg.Seal.Keys = []config.Secret{config.NewSecret("0123456789abcdef0123456789abcdef")}
	}
	r := newRig(t, up.URL(), withDialect("gemini"), keys)
	first := r.post(`{"model":"m","input":"Hi",` + tools + `}`)
	var response struct {
		ID     string
		Output []struct{ ID string }
	}
	if err := json.Unmarshal(first.body, &response); err != nil || len(response.Output) != 2 {
		t.Fatalf("%v: %s", err, first.body)
	}
	const signature = `"extra_content":{"google":{"thought_signature":"SIG"}}`
	signed := func(how, message string) {
		t.Helper()
		if !strings.Contains(message, signature) {
			t.Errorf("%s: no signature in %s", how, message)
		}
	}
	output := `{"type":"function_call_output","call_id":"call_1","output":"O"}`

	r.post(`{"model":"m","previous_response_id":"` + response.ID + `","input":[` + output + `],` + tools + `}`)
	signed("chained", assistantMessage(t, up.Requests()[1].Body))

	r.post(`{"model":"m","input":[{"role":"user","content":"Hi"},{"type":"item_reference","id":"` + response.Output[0].ID + `"},` +
		`{"type":"item_reference","id":"` + response.Output[1].ID + `"},` + output + `],` + tools + `}`)
	signed("by reference", assistantMessage(t, up.Requests()[2].Body))

	items, _ := sparseOutput(t, first.body)
	message, _ := r.second(up, items)
	signed("stateless", message)

	r.stop()
	again := newRig(t, up.URL(), withDialect("gemini"), keys)
	again.post(`{"model":"m","previous_response_id":"` + response.ID + `","input":[` + output + `],` + tools + `}`)
	signed("after a restart", assistantMessage(t, up.Requests()[4].Body))
}
