package zoo

import "regexp"

// templates are servers whose manners are those of the model's chat template: vLLM
// answers with 400 what the template raises, llama.cpp with 500 (later builds with
// 400), and where in the template.
var templates = []Family{
	{
		Name: "vllm, Qwen3.5", Preset: "vllm",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse(ruleSystem, laterSystem, invalid("System message must be at the beginning."), "vllm#41114, Qwen3.8#244, dynamo#10206")),
			ofModel(refuse(RuleNoUser, not(role("user")), invalid("No user query found in messages."), "dify#33152")),
			ofModel(refuse("roles", roleBeside("system", "user", "assistant", "tool"), invalid("Unexpected message role."), "its chat_template.jinja, as quoted in dify#33152")),
		},
		Habits: Habits{First: FirstEmpty, Thinks: ThinksReasoning, IDs: IDsEmpty, Usage: UsageAsked, Off: [][2]string{{"chat_template_kwargs.enable_thinking", "false"}}},
		Signs:  Signs{Header: [2]string{"Server", "uvicorn"}, Paths: map[string]string{"/version": `{"version":"0.21.0"}`}, Owner: "vllm", Model: "Qwen/Qwen3.5-27B"},
	},
	{
		Name: "llama.cpp, Qwen3.5", Preset: "llama.cpp",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse(ruleSystem, laterSystem, jinja("System message must be at the beginning."), "SillyTavern#5276, Qwen3.8#244")),
			ofModel(refuse(ruleArguments, noJSONArguments, jinja("Unknown (built-in) filter 'items' for type String"), "llama.cpp#19905")),
		},
		Habits: Habits{IgnoresNamed: true, First: FirstNull, Thinks: ThinksContent, IDs: IDsBare, Usage: UsageAsked, Timings: true, ContentWithCalls: `""`,
			Off: [][2]string{{"chat_template_kwargs.enable_thinking", "false"}}},
		Signs: Signs{Header: [2]string{"Server", "llama.cpp"}, Paths: map[string]string{"/props": `{"default_generation_settings":{"n_ctx":4096},"build_info":"b8058"}`}, Owner: "llamacpp", Model: "Qwen3.5-35B-A3B-Q4_K_M"},
	},
	{
		Name: "llama.cpp, Devstral", Preset: "llama.cpp",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse(ruleSystem, laterSystem, jinja("Only user, assistant and tool roles are supported, got system."), "opencode#5034")),
			ofModel(refuse(ruleAlternate, outOfTurn, jinja("After the optional system message, conversation roles must alternate user and assistant roles except for tool calls and results."), "mistral-vibe#1006, opencode#5034")),
		},
		Habits: Habits{IgnoresNamed: true, First: FirstNull, IDs: IDsBare, Usage: UsageAsked, Timings: true, ContentWithCalls: `""`},
		Signs:  Signs{Header: [2]string{"Server", "llama.cpp"}, Paths: map[string]string{"/props": `{"default_generation_settings":{"n_ctx":4096},"build_info":"b0"}`}, Owner: "llamacpp", Model: "Devstral-Small-2-24B"},
	},
	{
		Name: "vllm, Mistral", Preset: "vllm",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse(ruleSystem, laterSystem, invalid("Only user, assistant and tool roles are supported, got system."), "opencode#5034: the template of Ministral 3")),
			ofModel(refuse(ruleCallIDs, callIDNot(regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)), invalid("Tool call IDs should be alphanumeric strings with length 9! Tool call id was %s but must be a-z, A-Z, 0-9, with a length of 9."), "langchain#24668; opencode#1680, langchain#24668, gptel#1203: ids must be 9 alphanumerics")),
			ofModel(refuse(ruleAlternate, outOfTurn, invalid("After the optional system message, conversation roles must alternate user/assistant/user/assistant/..."), "autogen#1037, vllm#16774")),
		},
		Habits: Habits{First: FirstEmpty, IDs: IDsAlnum9, Usage: UsageAsked},
		Signs:  Signs{Header: [2]string{"Server", "uvicorn"}, Paths: map[string]string{"/version": `{"version":"0.21.0"}`}, Owner: "vllm", Model: "mistralai/Mistral-Small-3.2"},
	},
	{
		Name: "vllm, Llama 3.1", Preset: "vllm",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse("parallel calls", severalCalls, invalid("This model only supports single tool-calls at once!"), "vllm#12937, vllm PR#12938")),
		},
		Habits: Habits{First: FirstEmpty, IDs: IDsCall, Usage: UsageAsked, HidesLaterSystem: true},
		Signs:  Signs{Header: [2]string{"Server", "uvicorn"}, Paths: map[string]string{"/version": `{"version":"0.21.0"}`}, Owner: "vllm", Model: "meta-llama/Llama-3.1-8B-Instruct"},
	},
	{
		Name: "llama.cpp, Gemma", Preset: "llama.cpp",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse("system role", role("system"), jinja("System role not supported"), "dynamo#10206: Gemma-2 rejects any system message")),
			ofModel(refuse(ruleAlternate, outOfTurn, jinja("Conversation roles must alternate user/assistant/user/assistant/..."), "raycast-openai-translator#34")),
		},
		NoTools: "its template has none",
		Habits:  Habits{First: FirstNull, Usage: UsageAsked, Timings: true},
		Signs:   Signs{Header: [2]string{"Server", "llama.cpp"}, Paths: map[string]string{"/props": `{"default_generation_settings":{"n_ctx":4096},"build_info":"b0"}`}, Owner: "llamacpp", Model: "gemma-2-9b-it"},
	},
	{
		Name: "vllm, gpt-oss", Preset: "vllm",
		Errors: errorNumber,
		Rules: []Rule{
			ofModel(refuse(ruleEffort, keyNotOf("reasoning_effort", "low", "medium", "high"), invalid("reasoning_effort='%s' is not supported by Harmony: expected 'low', 'medium' or 'high'"), "openai-harmony: ReasoningEffort has three values")),
		},
		Habits:   Habits{First: FirstEmpty, Thinks: ThinksReasoning, Usage: UsageAsked, HidesLaterSystem: true, IgnoresNamed: true},
		Signs:    Signs{Header: [2]string{"Server", "uvicorn"}, Paths: map[string]string{"/version": `{"version":"0.21.0"}`}, Owner: "vllm", Model: "openai/gpt-oss-20b"},
		Evidence: "dynamo#10206: drops later system messages; vllm: named tool_choice is not constrained in Harmony",
	},
}

// jinja is what llama.cpp says when a template raises.
func jinja(message string) Error {
	return invalid("\n------------\nWhile executing CallExpression at line 85, column 32 in source:\n...            {{- raise_exception('…\n                                           ^\nError: Jinja Exception: "+message).
		with("server_error", "", "").as(500, nil)
}

// outOfTurn finds a message that is out of turn as templates count it: after a system
// message at the head the user begins, and messages with calls, and results, do not
// count.
var outOfTurn = When(func(r *Request) (string, bool) {
	n := 0
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Role != "user" && (m.Role != "assistant" || len(m.ToolCalls) > 0) {
			continue
		}
		if (m.Role == "user") != (n%2 == 0) {
			return m.Role, true
		}
		n++
	}
	return "", false
})

// severalCalls finds a message with more than one call.
var severalCalls = eachMessage(func(_ *Request, _ int, m *Message) (string, bool) { return "", len(m.ToolCalls) > 1 })
