package translate

import "testing"

// TestLearnResponses: a refusal of what the translation has added is a lesson, and
// one of what the client got wrong is none.
func TestLearnResponses(t *testing.T) {
	openai, _ := LookupDialect("openai")
	const sent = `{"model":"gpt-4o","input":[{"type":"message","role":"developer","content":"S"}],"presence_penalty":1,"temperature":0.2,"max_output_tokens":300,"user":"u","metadata":{},"reasoning":{"effort":"low","summary":"auto"},"text":{"verbosity":"low"},` +
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
		{400, say("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", "unsupported_parameter"), "responses.refuses.temperature=true"},
		{400, say("Unsupported parameter: 'top_p' is not supported with this model.", "top_p", "unsupported_parameter"), ""},
		{400, say("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.", "temperature", "unsupported_value"), "responses.refuses.temperature=true"},
		{400, say("Invalid 'temperature': 1.9 is above the greatest value of 1.", "temperature", "decimal_above_max_value"), ""},
		{400, say("Unsupported value: 'low' is not supported with this model. Supported values are: 'medium' and 'high'.", "reasoning.effort", "unsupported_value"), ""},
		{400, say("Unsupported parameter: 'reasoning.effort' is not supported with this model.", "reasoning.effort", "unsupported_parameter"), "responses.refuses.reasoning.effort=true"},
		{400, say("Unsupported parameter: 'reasoning.summary' is not supported.", "reasoning.summary", "unsupported_parameter"), "responses.refuses.reasoning.summary=true"},
		{400, say("Unknown parameter: 'text.verbosity'.", "text.verbosity", "unknown_parameter"), "responses.refuses.text.verbosity=true"},
		{400, `{"detail":"Unsupported parameter: max_output_tokens"}`, "responses.refuses.max_output_tokens=true"},
		{400, `{"detail":"Unsupported parameter: metadata"}`, "responses.refuses.metadata=true"},
		{422, `{"detail":[{"type":"extra_forbidden","loc":["body","user"],"msg":"Extra inputs are not permitted","input":"u"}]}`, "responses.refuses.user=true"},
		{400, `{"error":"json: unknown field \"store\""}`, "responses.refuses.store=true"},
		{400, `{"error":"The user has no access: this model is not supported for your plan."}`, ""},
		{400, `{"detail":"Stream must be set to true"}`, "responses.stream_only=true"},
		{400, say("stream is required for this model", "stream", ""), "responses.stream_only=true"},
		{400, `{"detail":"Instructions are required"}`, "responses.instructions=true"},
		{400, say("Missing required parameter: 'input'.", "input", "missing_required_parameter"), ""},
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
