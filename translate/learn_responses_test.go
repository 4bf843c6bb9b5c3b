package translate

import "testing"

// TestLearnResponses: a refusal of what the translation has added is a lesson, and
// one of what the client got wrong is none.
func TestLearnResponses(t *testing.T) {
	openai, _ := LookupDialect("openai")
	const sent = `{"model":"gpt-4o","input":[{"type":"message","role":"developer","content":"S"}],"presence_penalty":1,` +
		`"include":["message.output_text.logprobs","reasoning.encrypted_content"],"store":false}`
	say := func(message, param, code string) string {
		return `{"error":{"message":"` + message + `","type":"invalid_request_error","param":"` + param + `","code":"` + code + `"}}`
	}
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{400, say("Encrypted content is not supported with this model.", "include", ""), "responses.encrypted_reasoning=false"},
		{400, say("Unsupported parameter: 'presence_penalty' is not supported with this model.", "presence_penalty", "unsupported_parameter"), "responses.penalties=false"},
		{422, `{"detail":[{"type":"extra_forbidden","loc":["body","presence_penalty"],"msg":"Extra inputs are not permitted","input":1}]}`, "responses.penalties=false"},
		{400, say("Unsupported value: the role 'developer' is not supported.", "input[0].role", "unsupported_value"), "responses.developer_role=false"},
		{400, say("Invalid 'presence_penalty': decimal above maximum value.", "presence_penalty", "decimal_above_max_value"), ""},
		{400, say("Unsupported parameter: 'frequency_penalty' is not supported.", "frequency_penalty", "unsupported_parameter"), ""},
		{400, say("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", "unsupported_parameter"), ""},
		{500, say("Encrypted content is not supported with this model.", "include", ""), ""},
		{400, "no", ""},
	} {
		fact, ok := LearnResponses(&openai, c.status, []byte(c.body), []byte(sent))
		if got := fact.String(); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %v %s", c.body, ok, got)
		}
		if !ok {
			continue
		}
		// It is learned once.
		changed, _ := openai.With(fact)
		if again, ok := LearnResponses(&changed, c.status, []byte(c.body), []byte(sent)); ok {
			t.Errorf("again: %s", again)
		}
	}
}
