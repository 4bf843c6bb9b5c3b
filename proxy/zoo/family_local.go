package zoo

// local are servers that people run themselves.
var local = []Family{
	{
		Name:   "vllm",
		Errors: errorNumber,
		Rules: []Rule{
			refuse(ruleSystem, laterSystem, invalid("System message must be at the beginning."),
				"dynamo#10206: the template of Qwen3.5 raises; docs/BACKENDS.md §2: templates may reject a 2nd system message"),
			refuse(ruleDeveloper, role("developer"), invalid("Unexpected message role."), "dynamo#10206: templates know four roles"),
			refuse(ruleNoTools, both(key("tool_choice"), noTools), invalid("When using `tool_choice`, `tools` must be set."), "docs/BACKENDS.md §2: rejects tool_choice without tools"),
			refuse("logprobs null", memberIsNull("logprobs"), invalid("Input should be a valid dictionary"), "docs/BACKENDS.md §2: replayed logprobs:null is 400"),
			refuse(ruleFiles, part("file"), invalid("Unknown part type: file"), "vllm/entrypoints/chat_utils.py, MM_PARSER_MAP"),
			ofModel(refuse(ruleEffort, keyNotOf("reasoning_effort", "none", "low", "medium", "high"),
				invalid("[{'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be 'none', 'low', 'medium' or 'high'\", 'input': '%s'}]"),
				"vllm/entrypoints/openai/protocol.py, ChatCompletionRequest.reasoning_effort, of older versions; the newer chat_completion/protocol.py has all seven")),
		},
		Habits: Habits{
			First: FirstEmpty, Thinks: ThinksReasoning, IDs: IDsEmpty, Usage: UsageAsked, CachedPath: "prompt_tokens_details.cached_tokens",
			Off: [][2]string{{"chat_template_kwargs.enable_thinking", "false"}},
		},
		Overflow: invalid("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens in the messages. Please reduce the length of the messages."),
		Fault:    `{"error":{"object":"error","message":"The engine died.","type":"InternalServerError","param":null,"code":500}}`,
		Signs:    Signs{Header: [2]string{"Server", "uvicorn"}, Paths: map[string]string{"/version": `{"version":"0.11.2"}`}, Owner: "vllm"},
		Evidence: "vllm PR#27752, #33402: reasoning; litellm#17246: id \"\" in later chunks; usage only with include_usage",
	},
	{
		Name:   "sglang",
		Errors: errorFlat,
		Rules: []Rule{
			refuse(ruleSystem, laterSystem, invalid("System message must be at the beginning.").with("BadRequestError", "", ""), "dynamo#10206: the same templates as vLLM"),
			refuse(ruleFiles, part("file", "input_audio"), invalid("Input tag does not match any of the expected tags: 'text', 'image_url', 'video_url', 'audio_url'").with("BadRequestError", "", ""),
				"python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionMessageContentPart"),
		},
		Habits: Habits{
			First: FirstReasoning0, Thinks: ThinksContent, IDs: IDsRepeated, Index: IndexZero, WholeCalls: true, Usage: UsageAsked,
			Off: [][2]string{{"chat_template_kwargs.enable_thinking", "false"}},
		},
		Overflow: invalid("The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
		Fault:    `{"error":{"object":"error","message":"The engine died.","type":"InternalServerError","param":null,"code":500}}`,
		Signs: Signs{Header: [2]string{"Server", "uvicorn"}, Owner: "sglang", Paths: map[string]string{
			"/get_model_info": `{"model_path":"zoo-1","is_generation":true}`, "/get_server_info": `{"version":"0.5.4"}`}},
		Evidence: "lmdeploy#3412: index 0 for every call; sglang#34214",
	},
	{
		Name:   "llama.cpp",
		Errors: errorNumber,
		Rules: []Rule{
			refuse("custom tool", otherTool, invalid("Unsupported tool type: %s").with("server_error", "", "").as(500, nil), "docs/BACKENDS.md §3: a custom tool is 500"),
			ofModel(refuse(ruleImages, part("image_url"), invalid("image input is not supported - hint: if this is unexpected, you may need to provide the mmproj").with("server_error", "", "").as(500, nil),
				"capture llama-27: image input is 500 without an mmproj")),
			refuse(ruleFiles, part("file", "refusal"), invalid("unsupported content[].type").with("invalid_request_error", "", ""), "capture llama-27d, 27g"),
			refuse("logprobs with tools", both(both(keyIs("logprobs", "true"), keyIs("stream", "true")), not(noTools)), invalid("logprobs is not supported with tools + stream").with("invalid_request_error", "", ""), "capture llama-18"),
		},
		Habits: Habits{IgnoresNamed: true,
			First: FirstNull, Thinks: ThinksContent, IDs: IDsBare, Usage: UsageAsked, Timings: true, ContentWithCalls: `""`, CachedPath: "prompt_tokens_details.cached_tokens",
			Off: [][2]string{{"chat_template_kwargs.enable_thinking", "false"}},
		},
		Overflow: invalid("the request exceeds the available context size, try increasing it").with("exceed_context_size_error", "", ""),
		Fault:    `{"error":{"code":500,"message":"Failed to parse the output","type":"server_error"}}`,
		Signs:    Signs{Header: [2]string{"Server", "llama.cpp"}, Paths: map[string]string{"/props": `{"default_generation_settings":{"n_ctx":4096},"build_info":"b0"}`}, Owner: "llamacpp"},
		Evidence: "docs/BACKENDS.md §3, captures llama-*",
	},
	{
		Name:   "ollama",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleArguments, noJSONArguments, invalid("invalid tool call arguments"), "ollama openai/openai.go: the arguments of a history must be JSON (docs/BACKENDS.md §2)"),
			refuse(ruleFiles, part("file", "input_audio"), invalid("invalid message format"), "captures ollama-27d, 31"),
			ofModel(refuse(ruleEffort, keyNotOf("reasoning_effort", "none"), invalid("\"zoo-1\" does not support thinking"), "the preset's evidence: all models but those that think")),
		},
		Habits: Habits{
			Role: RoleEvery, IDs: IDsCall, Index: IndexZero, WholeCalls: true, ToolFinish: "stop", Usage: UsageAsked, ContentWithCalls: `""`,
			IgnoresChoice: true, IgnoresMaxCompletionTokens: true,
		},
		Signs:    Signs{Paths: map[string]string{"/api/version": `{"version":"0.17.4"}`, "/": `"Ollama is running"`}, Owner: "library"},
		Evidence: "docs/BACKENDS.md §3, captures ollama-*; litellm#37792: index 0; ollama#17118: finish stop on tool turns",
	},
	{
		Name:   "lmstudio",
		Errors: errorObject,
		Rules: []Rule{
			refuse(ruleChoice, choiceOf("named", "allowed_tools"), invalid("Invalid tool_choice type: 'object'. Supported string values: none, auto, required"), "lmstudio-bug-tracker#670"),
			ofModel(refuse(ruleEffort, key("reasoning_effort"), invalid("reasoning_effort is not supported by this model"), "docs/BACKENDS.md §2: reasoning_effort only for gpt-oss (blog 0.3.29)")),
		},
		Habits:   Habits{NoLogprobs: true, First: FirstEmpty, Thinks: ThinksTags, IDs: IDsBare, Usage: UsageAsked},
		Overflow: invalid("Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 8192 tokens, which is not enough."),
		Signs:    Signs{Paths: map[string]string{"/api/v0/models": `{"object":"list","data":[{"id":"zoo-1","state":"loaded"}]}`}, Owner: "organization_owner"},
		Evidence: "lmstudio#649: <think> split over deltas",
	},
}
