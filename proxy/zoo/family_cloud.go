package zoo

// openaiKeys are the keys of the reference API.
var openaiKeys = []string{
	"model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
	"metadata", "modalities", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort",
	"response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools",
	"top_logprobs", "top_p", "user", "verbosity", "web_search_options",
}

// clouds are the APIs of those who run models, and the reference.
var clouds = []Family{
	{
		Name:   "openai",
		Errors: errorObject,
		Rules: join([]Rule{
			refuse(ruleKeys, keysBeside(openaiKeys...), invalid("Unknown parameter: '%s'.").with("", "unknown_parameter", "%s"), "PEERS §4.2: strict unknown-param 400"),
			refuse(ruleMembers, memberBeside(messageKeys...), invalid("Unknown parameter: '%s'.").with("", "unknown_parameter", "%s"), "the same for members of messages"),
			ofModel(refuse(ruleMaxTokens, key("max_tokens"), invalid("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.").with("", "unsupported_parameter", "max_tokens"), "pydantic-ai#974")),
			ofModel(refuse(ruleSampling, keyIsNot("temperature", "1"), invalid("Unsupported value: 'temperature' does not support %s with this model. Only the default (1) value is supported.").with("", "unsupported_value", "temperature"), "copilot-api#164, PEERS §4.2: reasoning models, no temperature")),
			refuse(ruleNames, toolNameNot(openaiName), invalid("Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.").with("", "invalid_value", "tools[0].function.name"), "cline#11885"),
			refuse(ruleNoTools, both(key("tool_choice"), noTools), invalid("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.").with("", "", "tool_choice"), "the reference"),
			refuse(ruleContent, emptyMessage, invalid("Invalid value for 'content': expected a string, got null.").with("", "", "messages.[%s].content"), "the reference"),
		}, paired("the reference")),
		Habits:   Habits{First: FirstEmpty, Usage: UsageAsked, CachedPath: "prompt_tokens_details.cached_tokens"},
		Signs:    Signs{Header: [2]string{"Openai-Version", "2020-10-01"}, Owner: "openai", Model: "gpt-5.6"},
		Evidence: "the reference",
	},
	{
		Name:   "azure",
		Errors: errorObject,
		Rules: join([]Rule{
			refuse(ruleDeveloper, role("developer"), invalid("Unsupported value: 'messages[%s].role' does not support 'developer' with this model.").with("", "unsupported_value", "messages[%s].role"), "agno#1770: older versions reject developer"),
			refuse(ruleKeys, keysBeside(without(openaiKeys, "safety_identifier", "prompt_cache_retention", "service_tier", "moderation")...),
				invalid("Unrecognized request argument supplied: %s"), "PEERS §4.2: api versions; autogen#6465"),
			refuse(ruleMembers, memberBeside(messageKeys...), invalid("Additional properties are not allowed ('%s' was unexpected)"), "the same for members of messages"),
			ofModel(refuse(ruleMaxTokens, key("max_tokens"), invalid("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.").with("", "unsupported_parameter", "max_tokens"), "PEERS §4.2: max_completion_tokens for o and gpt-5")),
			refuse(ruleNames, toolNameNot(openaiName), invalid("Invalid 'tools[0].function.name': string does not match pattern."), "the reference"),
		}, paired("the reference")),
		Habits:   Habits{First: FirstNoChoices, Usage: UsageAsked, CachedPath: "prompt_tokens_details.cached_tokens"},
		Signs:    Signs{Header: [2]string{"Apim-Request-Id", "abc"}, Owner: "azure-openai", Model: "gpt-5-mini"},
		Evidence: "mentat#429, meilisearch#6477: a first chunk without choices",
	},
	{
		Name:   "groq",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleKeys, keysBeside("model", "messages", "temperature", "top_p", "n", "stream", "stream_options", "stop", "max_tokens", "max_completion_tokens",
				"presence_penalty", "frequency_penalty", "logit_bias", "user", "tools", "tool_choice", "parallel_tool_calls", "response_format", "seed", "service_tier",
				"reasoning_format", "reasoning_effort", "include_reasoning", "search_settings", "documents"),
				invalid("property '%s' is unsupported"), "jan#8136, Kai#265, gptel#774"),
			refuse(ruleMembers, memberBeside("role", "content", "name", "tool_calls", "tool_call_id"), invalid("'messages' : property '%s' is unsupported"), "jan#8136: reasoning_content"),
			refuse(ruleEffort, keyNotOf("reasoning_effort", "low", "medium", "high"), invalid("`reasoning_effort` must be one of `low`, `medium`, or `high`").with("", "", "reasoning_effort"), "chatbot#21, PEERS §4.2"),
			refuse(ruleChoice, choiceOf("allowed_tools"), invalid("'tool_choice' : value must be one of none, auto, required or a function; allowed_tools is not supported"), "console.groq.com/docs/api-reference: its forms"),
			refuse(ruleTypes, otherTool, invalid("'tools.0.type' : value must be function"), "new-api#7192"),
		},
		Habits:   Habits{First: FirstXGroq, Thinks: ThinksReasoning, WholeCalls: true, Usage: UsageXGroq},
		Signs:    Signs{Header: [2]string{"X-Groq-Region", "fra"}, Owner: "Groq", Model: "openai/gpt-oss-20b"},
		Evidence: "PEERS §4.2: usage in x_groq, whole calls",
	},
	{
		Name:   "together",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleDeveloper, roleBeside("system", "user", "assistant", "tool"), invalid("Input validation error: role '%s' is not supported"), "pi-ai's table: no developer"),
		},
		Habits:   Habits{Role: RoleEvery, Thinks: ThinksReasoning, Off: [][2]string{{"reasoning.enabled", "false"}}, Usage: UsageFinish},
		Signs:    Signs{Owner: "together", Model: "zai-org/GLM-4.6"},
		Evidence: "pi-ai's table",
	},
	{
		Name:   "fireworks",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleSystem, laterSystem, invalid("System message must be the first message"), "litellm#39852"),
			refuse(ruleDeveloper, roleBeside("system", "user", "assistant", "tool"), invalid("Unexpected role: '%s'"), "litellm#39852"),
		},
		Habits:   Habits{First: FirstEmpty, Thinks: ThinksContent, Usage: UsageFinish},
		Signs:    Signs{Header: [2]string{"Fireworks-Prompt-Tokens", "7"}, Owner: "fireworks", Model: "accounts/fireworks/models/glm-4p6"},
		Evidence: "PEERS §4.2: plain",
	},
	{
		Name:   "openrouter",
		Errors: errorRouter,
		Rules: []Rule{
			refuse(ruleDeveloper, role("developer"), invalid("Provider returned error: unexpected role 'developer'"), "PEERS §4.2: developer only for anthropic/ and openai/ models"),
			refuse(ruleTypes, otherTool, invalid("No endpoints found that support tool type %s").as(404, nil), "codex#32318"),
		},
		Habits: Habits{
			Role: RoleEvery, Comments: []string{"OPENROUTER PROCESSING", "OPENROUTER PROCESSING"}, Thinks: ThinksDetails, Off: [][2]string{{"reasoning.effort", "none"}}, Usage: UsageAsked,
			CachedPath: "prompt_tokens_details.cached_tokens",
		},
		Overflow: invalid("This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens."),
		Fault:    `{"id":"gen-1","object":"chat.completion.chunk","created":1700000000,"model":"m","provider":"x","error":{"code":502,"message":"Provider disconnected unexpectedly"},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"error"}]}`,
		Signs:    Signs{Paths: map[string]string{"/v1/key": `{"data":{"label":"x","usage":0}}`}, Owner: "openrouter", Model: "z-ai/glm-4.6:free"},
		Evidence: "openai-go#227: comments; PEERS §4.2: reasoning and reasoning_details",
	},
	{
		Name:   "cerebras",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleKeys, keysBeside("model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stream", "stream_options", "stop", "seed", "n",
				"logprobs", "top_logprobs", "logit_bias", "response_format", "tools", "tool_choice", "parallel_tool_calls", "user", "reasoning_effort", "disable_reasoning"),
				invalid("body.%s: property 'body.%s' is unsupported").with("", "wrong_api_format", "validation_error"), "pi#1578: no store; its documented keys"),
			refuse(ruleDeveloper, roleBeside("system", "user", "assistant", "tool"), invalid("body.messages.0.role: role '%s' is unsupported").with("", "wrong_api_format", "validation_error"), "pi#1578: no developer"),
			refuse(ruleChoice, choiceOf("allowed_tools"), invalid("body.tool_choice: allowed_tools is not supported").with("", "wrong_api_format", "validation_error"), "inference-docs.cerebras.ai: its forms"),
			refuse(ruleImages, part("image_url", "file", "input_audio"), invalid("body.messages.%s.content.0: content of type image_url is not supported").with("", "wrong_api_format", "validation_error"), "its models take text"),
			refuse(ruleEffort, keyNotOf("reasoning_effort", "low", "medium", "high"), invalid("body.reasoning_effort: Input should be 'low', 'medium' or 'high'").with("", "wrong_api_format", "validation_error"), "inference-docs.cerebras.ai"),
		},
		Habits:   Habits{First: FirstEmpty, Thinks: ThinksReasoning, Usage: UsageFinish},
		Signs:    Signs{Owner: "Cerebras", Model: "gpt-oss-120b"},
		Evidence: "PEERS §4.2",
	},
	{
		Name:   "nvidia",
		Errors: errorDetail,
		Rules: []Rule{
			refuse(ruleDeveloper, roleBeside("system", "user", "assistant", "tool"), invalid("unexpected role %s").with("value_error", "", "messages"), "pi-ai's table: no developer"),
		},
		Habits:   Habits{First: FirstEmpty, Thinks: ThinksContent, Off: [][2]string{{"chat_template_kwargs.enable_thinking", "false"}}, Usage: UsageAsked},
		Signs:    Signs{Header: [2]string{"Nvcf-Reqid", "abc"}, Owner: "nvidia", Model: "nvidia/nemotron-3"},
		Evidence: "pi-ai's table",
	},
	{
		Name:   "deepinfra",
		Errors: errorDetail,
		Rules: []Rule{
			refuse(ruleDeveloper, roleBeside("system", "user", "assistant", "tool"), invalid("unexpected value; permitted: 'system', 'user', 'assistant', 'tool' as role").with("value_error.const", "", "messages").as(422, nil), "pi#1578"),
		},
		Habits:   Habits{Role: RoleEvery, Thinks: ThinksContent, Usage: UsageAlways},
		Signs:    Signs{Owner: "deepinfra", Model: "deepseek-ai/DeepSeek-V3.2"},
		Evidence: "PEERS §4.2",
	},
	{
		Name:   "8080",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleKeys, keysBeside("model", "messages", "frequency_penalty", "logit_bias", "max_completion_tokens", "n", "presence_penalty", "reasoning_effort", "seed", "stop",
				"stream", "stream_options", "temperature", "top_p", "tools"),
				invalid("Unrecognized request argument supplied: %s").with("", "", "%s"), "docs.8080.io: the documented parameters (SPEC §1.13), taken at their word"),
		},
		Habits:   Habits{First: FirstEmpty, Usage: UsageAsked},
		Signs:    Signs{Owner: "8080", Model: "8080/taalas/llama3.1-8b-instruct"},
		Evidence: "SPEC §1.13",
	},
}
