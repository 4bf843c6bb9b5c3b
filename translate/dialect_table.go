package translate

import (
	"maps"
	"slices"
	"strings"
)

// Sets of request keys that several presets share.
const (
	samplingParams = ParamTemperature | ParamTopP | ParamPresencePenalty | ParamFrequencyPenalty
	hintParams     = ParamVerbosity | ParamServiceTier | ParamUser | ParamSafetyIdentifier |
		ParamPromptCacheKey | ParamPromptCacheRetention | ParamModeration
	commonParams = samplingParams | ParamLogprobs | ParamParallelToolCalls | ParamToolStrict | ParamStreamUsage
)

// Request keys that open-source servers take beyond the reference API.
var (
	chatOnlyParams = []string{"stop", "seed", "logit_bias"}
	vllmParams     = []string{
		"stop", "seed", "logit_bias", "top_k", "min_p", "repetition_penalty", "length_penalty",
		"min_tokens", "stop_token_ids", "allowed_token_ids", "ignore_eos", "bad_words",
		"include_stop_str_in_output", "skip_special_tokens", "spaces_between_special_tokens",
		"truncate_prompt_tokens", "truncation_side", "use_beam_search", "add_generation_prompt",
		"continue_final_message", "add_special_tokens", "documents", "chat_template",
		"chat_template_kwargs", "media_io_kwargs", "mm_processor_kwargs", "structured_outputs",
		"thinking_token_budget", "repetition_detection", "priority", "session_id", "cache_salt",
		"kv_transfer_params", "vllm_xargs",
	}
	sglangParams = []string{
		"stop", "seed", "logit_bias", "top_k", "min_p", "min_tokens", "regex", "ebnf",
		"repetition_penalty", "stop_token_ids", "stop_regex", "no_stop_trim", "ignore_eos",
		"continue_final_message", "skip_special_tokens", "lora_path", "session_id", "session_params",
		"separate_reasoning", "stream_reasoning", "chat_template_kwargs", "custom_logit_processor",
		"custom_params", "rid", "extra_key", "cache_salt", "priority",
	}
	llamaParams = []string{
		"stop", "seed", "logit_bias", "top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n",
		"dynatemp_range", "dynatemp_exponent", "xtc_probability", "xtc_threshold", "mirostat",
		"mirostat_tau", "mirostat_eta", "dry_multiplier", "dry_base", "dry_allowed_length",
		"dry_penalty_last_n", "dry_sequence_breakers", "samplers", "grammar", "json_schema", "n_probs",
		"min_keep", "cache_prompt", "id_slot", "ignore_eos", "timings_per_token", "post_sampling_probs",
		"lora", "chat_template_kwargs", "reasoning_format", "parse_tool_calls", "thinking_budget_tokens",
		"n_keep", "n_cache_reuse", "t_max_predict_ms",
	}
)

// generic is what is assumed of a server that nothing is known of. It sends
// what the reference API has always had, keeps one system message at the head
// (of 30 surveyed chat templates, many drop or refuse a later one: PEERS §4.2),
// and leaves out hints that do not change the answer, because servers that
// refuse unknown keys (Groq, Mistral, Cerebras) refuse those.
func generic() Dialect {
	return Dialect{
		Name:           "generic",
		SystemMessages: SystemHead,
		Images:         true,
		ImageURLs:      true,
		Files:          true,
		FileIDs:        true,
		Audio:          true,
		CallContent:    CallContentNull,
		MaxTokens:      MaxTokens,
		Accepts:        commonParams,
		ExtraParams:    chatOnlyParams,
		UnknownParams:  UnknownDrop,
		Tools: ToolAbilities{
			Choices:         ChoiceNone | ChoiceRequired | ChoiceNamed,
			RequiredWord:    "required",
			NameMax:         64,
			CallIDs:         CallIDsAny,
			CallExtras:      []string{"extra_content"}, // who gives it wants it back (Gemini, and proxies before it)
			Custom:          CustomFunction,
			CallMarkup:      MarkupCalls,
			RepairArguments: true, // who made calls out of text gives strings (PEERS, A: repair against the declared schema)
		},
		Tokenizer:  TokenizerNone,
		Structured: StructuredSchema,
		Fallback:   FallbackInstruct,
		Reasoning: ReasoningHabits{
			Replay:     ReplayAuto,
			EffortForm: EffortField,
			Tags:       TagsAuto,
		},
		Responses: wholeResponses,
	}
}

// signaturePlaceholder is for calls that Gemini has not made: its page on thought
// signatures has the word for them.
const signaturePlaceholder = `"extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}`

// preset is generic with changes.
func preset(name string, change func(d *Dialect)) Dialect {
	d := generic()
	d.Name = name
	d.Tools.CallExtras = []string{}
	change(&d)
	return d
}

// lowToHigh maps the efforts that a server with three steps lacks.
var lowToHigh = map[string]string{"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}

// presets is the table of known dialects. What a preset says otherwise than generic
// has its evidence beside it, field by field: a page, an issue, a file with what is
// found in it, a capture, or PEERS and UPSTREAMS, the project's survey of servers
// and its own captures. A test holds that none is without, and puts them into
// docs/COMPATIBILITY.md. "Not documented" means that nothing was found that says so, and
// that the field says what does least harm.
var presets = []Dialect{
	generic(),

	// https://developers.openai.com/api/reference is the reference itself.
	preset("openai", func(d *Dialect) {
		// developers.openai.com/api/reference/resources/chat: developer messages take the place of system messages
		d.DeveloperRole = true
		// developers.openai.com/api/reference/resources/chat: messages of all roles in any order
		d.SystemMessages = SystemAnywhere
		// developers.openai.com/api/reference/resources/chat: refusal of an assistant message
		d.RefusalField = true
		// developers.openai.com/api/reference/resources/chat: max_tokens is deprecated; pydantic-ai#974: reasoning models refuse it
		d.MaxTokens = MaxCompletionTokens
		// developers.openai.com/api/reference/resources/chat: the keys of the request
		d.Accepts = commonParams | hintParams
		// developers.openai.com/api/reference/resources/chat: tool_choice allowed_tools
		d.Tools.Choices |= ChoiceAllowed
		// developers.openai.com/api/reference/resources/chat: tools of the type custom
		d.Tools.Custom = CustomNative
		// developers.openai.com/api/docs/guides/function-calling: strict holds arguments to the schema
		d.Tools.RepairArguments = false
		// developers.openai.com/api/docs/guides/reasoning: the chat API does not show thoughts
	}),
	preset("azure", func(d *Dialect) {
		// learn.microsoft.com/azure/foundry/reference/rest/chat-create-chat-completion: the same messages; but developer
		// is refused by older API versions (agno#1770), so that it stays system
		d.SystemMessages = SystemAnywhere
		// learn.microsoft.com/azure/foundry/reference/rest/chat-create-chat-completion: refusal of an assistant message
		d.RefusalField = true
		// PEERS §4.2: max_completion_tokens for o and gpt-5
		d.MaxTokens = MaxCompletionTokens
		// learn.microsoft.com/azure/foundry/reference/rest/chat-create-chat-completion has safety_identifier and more, but
		// older API versions refuse what they do not know (autogen#6465)
		d.Accepts = commonParams | ParamUser | ParamVerbosity | ParamPromptCacheKey
		// PEERS §4.2: the models of openai
		d.Tools.RepairArguments = false
		// PEERS §4.2: the models of openai
	}),
	// Many templates refuse or drop a second system message (PEERS §4.2), so the head
	// policy of generic stays.
	preset("vllm", func(d *Dialect) {
		// vllm/entrypoints/chat_utils.py, MM_PARSER_MAP: image_url and input_audio, but no file
		d.Files = false
		// vllm/entrypoints/openai/chat_completion/protocol.py, ChatCompletionRequest: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// vllm/entrypoints/openai/chat_completion/protocol.py, ChatCompletionRequest: its sampling and extra parameters.
		// Others are taken and ignored (OpenAIBaseModel), guided_json and the like since there is structured_outputs
		d.ExtraParams = vllmParams
		// vllm/entrypoints/serve/tokenize/protocol.py: TokenizeChatRequest, TokenizeResponse.count
		d.Tokenizer = TokenizerMessages
		// vllm/entrypoints/openai/chat_completion/protocol.py, _normalize_messages_before: reasoning_content is read as
		// reasoning; templates for interleaved thinking use it
		d.Reasoning.Replay = ReplayLoop
	}),
	// The templates are those of vLLM (dynamo#10206), so the head policy of generic stays.
	preset("sglang", func(d *Dialect) {
		// python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionMessageContentPart: no file
		d.Files = false
		// python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionMessageContentPart: audio_url, but no input_audio
		d.Audio = false
		// python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionRequest: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionRequest: user
		d.Accepts = commonParams | ParamUser
		// python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionRequest: its extra parameters
		d.ExtraParams = sglangParams
		// python/sglang/srt/entrypoints/openai/protocol.py, ChatCompletionMessageGenericParam.reasoning_content
		d.Reasoning.Replay = ReplayLoop
	}),
	preset("llama.cpp", func(d *Dialect) {
		// tools/server/README.md, POST /v1/chat/completions: what the reference API has; capture llama-29: others are ignored
		d.Accepts = commonParams | ParamUser
		// tools/server/README.md, POST /completion and POST /v1/chat/completions; parse_tool_calls
		// (deepwiki.com/ggml-org/llama.cpp/7.1-chat-templates-and-tool-calling) and thinking_budget_tokens are not documented
		d.ExtraParams = llamaParams
		// tools/server/README.md, POST /apply-template and POST /tokenize
		d.Tokenizer = TokenizerTemplate
		// capture llama-27d; tools/server/server-common.cpp, oaicompat_chat_params_parse: text, image_url and input_audio
		d.Files = false
		// capture llama-18
		d.Tools.ExcludesLogprobs = true
		// capture llama-09: a named tool_choice silently becomes auto
		d.Tools.Choices = ChoiceNone | ChoiceRequired
		// capture llama-33j: reasoning_content of the history reaches the template
		d.Reasoning.Replay = ReplayLoop
		// captures llama-R*: no indexes, no sequence numbers, no echo of the request
		d.Responses.Complete = false
		// capture llama-R10: a length stop is "completed"
		d.Responses.LengthReported = false
		// capture llama-R06
		d.Responses.TextFormat = false
		// capture llama-R12: 400 for top_logprobs
		d.Responses.Logprobs = false
		// capture llama-R13b: 400 for input_file
		d.Responses.Files = false
		// not documented; UPSTREAMS has no capture of input_audio
		d.Responses.Audio = false
		// capture llama-R15e: 400 for parts in a call's output
		d.Responses.OutputParts = false
		// capture llama-R14: ignored
		d.Responses.CustomTools = false
		// capture llama-R14: ignored
		d.Responses.HostedTools = false
		// UPSTREAMS: reasoning items have content, and nothing that is encrypted
		d.Responses.EncryptedReasoning = false
	}),
	preset("ollama", func(d *Dialect) {
		// capture ollama-27d; openai/openai.go, FromChatRequest: text, image_url and input_audio
		d.Files = false
		// capture ollama-31: v0.17.4 refuses it; later ones take input_audio (openai/openai.go, FromChatRequest)
		d.Audio = false
		// openai/openai.go, decodeImageURL: data URLs only
		d.ImageURLs = false
		// openai/openai.go, FromChatRequest: each part of a content becomes a message of its own
		d.JoinText = true
		// openai/openai.go, ChatCompletionRequest: no user, parallel_tool_calls or strict
		d.Accepts = samplingParams | ParamLogprobs | ParamStreamUsage
		// openai/openai.go, ChatCompletionRequest: no logit_bias
		d.ExtraParams = []string{"stop", "seed"}
		// captures ollama-09, 10; docs/api/openai-compatibility.mdx: no tool_choice
		d.Tools.Choices = 0
		// capture ollama-33j; openai/openai.go, FromChatRequest: Message.Reasoning becomes Thinking
		d.Reasoning.Replay = ReplayLoop
		// openai/openai.go, Message.Reasoning
		d.Reasoning.ReplayField = "reasoning"
		// capture ollama-33g: v0.17.4 takes high, medium, low and none; later ones map the others themselves
		// (openai/openai.go, thinkFromReasoningEffort). A model that does not think refuses all, which is learned
		d.Reasoning.Efforts = map[string]string{"minimal": "low", "xhigh": "high", "max": "high"}
		// capture ollama-R05b: parallel calls share an output_index; R70: a reply that breaks off has no end
		d.Responses.Complete = false
		// capture ollama-R10: a length stop is "completed"
		d.Responses.LengthReported = false
		// capture ollama-R12
		d.Responses.Logprobs = false
		// capture ollama-R13b: 400 for input_file
		d.Responses.Files = false
		// not documented; UPSTREAMS has no capture of input_audio
		d.Responses.Audio = false
		// capture ollama-R15e: 400 for parts in a call's output
		d.Responses.OutputParts = false
		// capture ollama-R14: ignored
		d.Responses.CustomTools = false
		// capture ollama-R14: ignored
		d.Responses.HostedTools = false
		// UPSTREAMS: encrypted_content is the plain thoughts
		d.Responses.EncryptedReasoning = false
	}),
	preset("deepseek", func(d *Dialect) {
		// PEERS §4.2; api-docs.deepseek.com/api/create-chat-completion: content is a string
		d.JoinText = true
		// api-docs.deepseek.com/api/create-chat-completion: text only. One model of the list sees (deepseek-v4-flash-vision-exp,
		// docs.rs/deepseek-sdk/0.4.0): the override images is for it
		d.Images = false
		// api-docs.deepseek.com/api/create-chat-completion: text only
		d.Files = false
		// api-docs.deepseek.com/api/create-chat-completion: text only
		d.Audio = false
		// api-docs.deepseek.com/api/create-chat-completion: its keys
		d.Accepts = samplingParams | ParamLogprobs | ParamStreamUsage
		// api-docs.deepseek.com/api/create-chat-completion: its keys
		d.ExtraParams = []string{"stop", "thinking", "user_id"}
		// api-docs.deepseek.com/guides/json_mode: json_object
		d.Structured = StructuredObject
		// api-docs.deepseek.com/guides/thinking_mode: what was thought before a call must come back in all later requests,
		// else 400 (CLIProxyAPI#3451, codex#24500, pi#3636); what was thought before an answer may, and is ignored
		d.Reasoning.Replay = ReplayAll
		// CLIProxyAPI#3451: the key must be there for calls that others have made
		d.Reasoning.Placeholder = " "
		// api-docs.deepseek.com/guides/thinking_mode: a switch, with an effort beside it
		d.Reasoning.EffortForm = EffortThinkingField
		// api-docs.deepseek.com/guides/thinking_mode: low, high and max, and what it makes of the others
		d.Reasoning.Efforts = map[string]string{
			"none": effortOff, "minimal": "low", "medium": "high", "xhigh": "high",
		}
		// api-docs.deepseek.com/guides/thinking_mode: thoughts are in reasoning_content
	}),
	preset("kimi", func(d *Dialect) {
		// PEERS §4.2: a forced tool_choice is refused while it thinks; kimi-k3 takes it, the K2 models do not
		// (pkg.go.dev/github.com/firebase/genkit/go/plugins/compat_oai/kimi)
		d.Tools.Choices = ChoiceNone
		// platform.moonshot.ai/docs/api/chat: parts are text, image_url and video_url
		d.Files = false
		// platform.moonshot.ai/docs/api/chat: parts are text, image_url and video_url
		d.Audio = false
		// platform.moonshot.ai/docs/api/chat: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// platform.moonshot.ai/docs/api/chat (api-evangelist/kimi-moonshot, openapi/kimi-moonshot-chat-api-openapi.yml): its keys,
		// and strict of a function, which is true unless it is said
		d.Accepts = samplingParams | ParamToolStrict | ParamStreamUsage | ParamPromptCacheKey | ParamSafetyIdentifier
		// platform.moonshot.ai/docs/api/chat: its keys
		d.ExtraParams = []string{"stop", "thinking"}
		// mastra#12592, opencode#16318: reasoning_content has to be in every assistant message with calls while it thinks
		d.Reasoning.Replay = ReplayAll
		// obsidian-yolo#243 fills it in
		d.Reasoning.Placeholder = " "
		// platform.moonshot.ai/docs/api/chat: thinking; PEERS §4.2: reasoning_effort beside it is refused
		d.Reasoning.EffortForm = EffortThinking
		// platform.moonshot.ai/docs/api/chat: thoughts are in reasoning_content
	}),
	// Role developer is error 1214 (PI-Desktop#30).
	preset("glm", func(d *Dialect) {
		// docs.z.ai/api-reference/llm/chat-completion: files are file_url parts
		d.Files = false
		// docs.z.ai/api-reference/llm/chat-completion: no input_audio parts
		d.Audio = false
		// docs.z.ai/api-reference/llm/chat-completion has temperature and top_p, and no penalties; stream_options is not
		// documented, but sent by others (pi, packages/ai/src/providers/openai-completions.ts, supportsUsageInStreaming)
		d.Accepts = ParamTemperature | ParamTopP | ParamStreamUsage
		// docs.z.ai/api-reference/llm/chat-completion: its keys
		d.ExtraParams = []string{"stop", "thinking", "do_sample", "tool_stream", "request_id", "user_id"}
		// docs.z.ai/api-reference/llm/chat-completion: response_format is text or json_object
		d.Structured = StructuredObject
		// docs.z.ai/api-reference/llm/chat-completion: tool_choice only supports auto
		d.Tools.Choices = 0
		// docs.z.ai/guides/capabilities/thinking-mode: thoughts of a tool loop must come back; older ones are cleared
		// unless clear_thinking is false
		d.Reasoning.Replay = ReplayLoop
		// docs.z.ai/guides/capabilities/thinking: thinking.type. GLM-5.2 and later have reasoning_effort beside it, which others
		// ignore without a word (hermes-webui, exp-v0.52.105; java.agentscope.io/v2/en/integration/model/glm)
		d.Reasoning.EffortForm = EffortThinking
		// docs.z.ai/api-reference/llm/chat-completion: thoughts are in reasoning_content
	}),
	// A second system message is error 2013 (oh-my-pi#954).
	preset("minimax", func(d *Dialect) {
		// platform.minimax.io/docs/api-reference/text-chat-openai: text, image and video
		d.Files = false
		// platform.minimax.io/docs/api-reference/text-chat-openai: text, image and video
		d.Audio = false
		// java.agentscope.io/v2/en/integration/model/minimax: its API marks max_tokens as deprecated
		d.MaxTokens = MaxCompletionTokens
		// platform.minimax.io/docs/api-reference/text-chat: temperature and top_p; stream_options is not documented, but
		// PEERS §4.2 has usage at the end
		d.Accepts = ParamTemperature | ParamTopP | ParamStreamUsage
		// platform.minimax.io/docs/api-reference/text-openai-api: reasoning_split; text-chat-openai: thinking, adaptive or disabled
		d.ExtraParams = []string{"stop", "reasoning_split", "thinking"}
		// platform.minimax.io/docs/guides/text-m2-function-call: whole messages are to be sent back
		d.Reasoning.Replay = ReplayAll
		// platform.minimax.io/docs/api-reference/text-openai-api: with reasoning_split, thoughts are reasoning_details
		d.Reasoning.Details = true
		// platform.minimax.io/docs/api-reference/text-chat-openai: thinking has other words, and only MiniMax-M3 has it
		d.Reasoning.EffortForm = EffortUnknown
	}),
	// Alibaba's own API. Role developer is refused (BrainPilot#549), a second system
	// message raises in the template (dynamo#10206).
	preset("qwen", func(d *Dialect) {
		// docs.qwencloud.com/api-reference/chat/openai-chat: file parts are not documented
		d.Files = false
		// docs.qwencloud.com/api-reference/chat/openai-chat has presence_penalty, logprobs and parallel_tool_calls, and
		// ignores what it does not list; so do frequency_penalty (vercel/ai, packages/alibaba, warns of it) and strict
		d.Accepts = ParamTemperature | ParamTopP | ParamPresencePenalty | ParamLogprobs | ParamParallelToolCalls | ParamStreamUsage
		// docs.qwencloud.com/api-reference/chat/openai-chat: its keys; deep-thinking: enable_thinking, thinking_budget
		d.ExtraParams = []string{"stop", "seed", "top_k", "enable_thinking", "thinking_budget", "enable_search", "search_options"}
		// www.alibabacloud.com/help/en/model-studio/deep-thinking: enable_thinking
		d.Reasoning.EffortForm = EffortEnable
		// PEERS §4.2: "Json mode response is not supported when enable_thinking is true"
		d.Reasoning.ExcludesFormat = true
		// langchain4j#3974: "must be set to false for non-streaming calls"
		d.Reasoning.StreamOnly = true
		// www.alibabacloud.com/help/en/model-studio/deep-thinking: thoughts are in reasoning_content
	}),
	// Unknown keys are 422 (PEERS §4.2).
	preset("mistral", func(d *Dialect) {
		// PEERS §4.2: roles alternate
		d.AlternateRoles = true
		// opencode#5034: no user message after a tool message
		d.AssistantAfterTool = true
		// not documented; its own replies with calls have content "" (vercel/ai, packages/mistral/src/__fixtures__/mistral-incremental-tool-call.chunks.txt),
		// and null is legal (mistralai/client-python, models/assistantmessage.py)
		d.CallContent = CallContentEmpty
		// mistralai/client-python, models/filechunk.py: a file part has a file_id of its own API, and no data
		d.Files = false
		// mistralai/client-python, models/audiochunk.py: input_audio is a string, where others have an object
		d.Audio = false
		// mistralai/client-python, models/chatcompletionrequest.py, function.py: its keys, and strict
		d.Accepts = samplingParams | ParamParallelToolCalls | ParamToolStrict | ParamPromptCacheKey
		// mistralai/client-python, models/chatcompletionrequest.py: its keys
		d.ExtraParams = []string{"stop", "random_seed", "safe_prompt", "prompt_mode", "guardrails"}
		// mistralai/client-python, models/chatcompletionrequest.py: any; required is newer
		d.Tools.RequiredWord = "any"
		// opencode#1680, langchain#24668: nine letters and digits, else code 3280
		d.Tools.CallIDs = CallIDsAlnum9
		// mistralai/client-python, models/reasoningeffort.py: from none to xhigh
		d.Reasoning.Efforts = map[string]string{"max": "xhigh"}
	}),
	// Unknown properties are 400 (jan#8136, gptel#774).
	preset("groq", func(d *Dialect) {
		// groq/groq-python, types/chat/completion_create_params.py: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// groq/groq-python, types/chat/chat_completion_content_part_param.py: text, image_url and document
		d.Files = false
		// groq/groq-python, types/chat/chat_completion_content_part_param.py: text, image_url and document
		d.Audio = false
		// groq/groq-python, types/chat/completion_create_params.py: its keys, and that no model has logprobs;
		// shared_params/function_definition.py: strict. stream_options is not documented there, but sent by others (pi,
		// packages/ai/src/providers/openai-completions.ts, supportsUsageInStreaming)
		d.Accepts = samplingParams | ParamParallelToolCalls | ParamToolStrict | ParamStreamUsage |
			ParamServiceTier | ParamUser
		// groq/groq-python, types/chat/completion_create_params.py: its keys; no model has logit_bias
		d.ExtraParams = []string{
			"stop", "seed", "reasoning_format", "include_reasoning", "search_settings", "documents", "citation_options",
			"compound_custom", "disable_tool_validation",
		}
		// groq/groq-python, types/chat/completion_create_params.py: low, medium and high of gpt-oss; other models have
		// none and default (chatbot#21), which is learned
		d.Reasoning.Efforts = lowToHigh
		// jan#8136: a message with its reasoning is refused
		d.Reasoning.Replay = ReplayNone
	}),
	preset("openrouter", func(d *Dialect) {
		// openrouter.ai/docs/sdks/python/api-reference/components/chatrequest: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// openrouter.ai/docs/api-reference/parameters: verbosity and parallel_tool_calls; other hints reach the provider
		// behind it where it has them
		d.Accepts = commonParams | ParamUser | ParamVerbosity
		// openrouter.ai/docs/api-reference/parameters, openrouter.ai/docs/sdks/python/api-reference/components/chatrequest: its keys
		d.ExtraParams = []string{
			"stop", "seed", "logit_bias", "top_k", "top_a", "min_p", "repetition_penalty", "models",
			"route", "provider", "plugins", "transforms", "web_search_options", "prediction", "image_config", "cache_control", "session_id", "trace",
		}
		// openrouter.ai/docs/features/multimodal/pdfs: data or URLs
		d.FileIDs = false
		// openrouter.ai/docs/guides/best-practices/reasoning-tokens: thoughts must come back while tools are being called
		d.Reasoning.Replay = ReplayLoop
		// openrouter.ai/docs/guides/best-practices/reasoning-tokens: reasoning of a message
		d.Reasoning.ReplayField = "reasoning"
		// openrouter.ai/docs/guides/best-practices/reasoning-tokens: reasoning_details, signatures and all, unchanged
		d.Reasoning.Details = true
		// openrouter.ai/docs/guides/best-practices/reasoning-tokens: reasoning.effort
		d.Reasoning.EffortForm = EffortObject
		// openrouter.ai/docs/guides/best-practices/reasoning-tokens: it takes the tags out itself
	}),
	// Finish "stop" on tool turns and missing indexes are for the reader.
	preset("gemini", func(d *Dialect) {
		// ai.google.dev/gemini-api/docs/thought-signatures: extra_content must come back with its call, else 400
		d.Tools.CallExtras = []string{"extra_content"}
		// ai.google.dev/gemini-api/docs/thought-signatures: the word for calls that it has not made
		d.Tools.CallPlaceholder = signaturePlaceholder
		// ai.google.dev/gemini-api/docs/openai: image_url and input_audio; files are not documented
		d.Files = false
		// ai.google.dev/api/compatibility, ChatCompletionsRequest: maxCompletionTokens, and maxTokens
		d.MaxTokens = MaxCompletionTokens
		// PEERS §4.2; ai.google.dev/gemini-api/docs/openai documents few keys, and unknown ones are 400
		d.Accepts = ParamTemperature | ParamTopP | ParamParallelToolCalls | ParamStreamUsage
		// ai.google.dev/gemini-api/docs/openai: extra_body
		d.ExtraParams = []string{"stop", "extra_body"}
		// ai.google.dev/gemini-api/docs/openai: from none to high
		d.Reasoning.Efforts = map[string]string{"xhigh": "high", "max": "high"}
		// ai.google.dev/gemini-api/docs/openai: thoughts only come when extra_body asks for them
	}),
	preset("lmstudio", func(d *Dialect) {
		// lmstudio.ai/docs/developer/openai-compat: text and images
		d.Files = false
		// lmstudio.ai/docs/developer/openai-compat: text and images
		d.Audio = false
		// lmstudio.ai/docs/developer/openai-compat/chat-completions: the list of its parameters
		d.Accepts = samplingParams | ParamStreamUsage
		// lmstudio.ai/docs/developer/openai-compat/chat-completions: the list of its parameters;
		// lmstudio.ai/docs/developer/core/ttl-and-auto-evict: ttl
		d.ExtraParams = []string{"stop", "seed", "logit_bias", "top_k", "repeat_penalty", "ttl", "draft_model"}
		// lmstudio-bug-tracker#670, lmstudio-ai/docs#177: "Supported string values: none, auto, required"
		d.Tools.Choices = ChoiceNone | ChoiceRequired
		// lmstudio.ai/docs/developer/api-changelog: reasoning.effort for gpt-oss in /v1/responses; lmstudio-bug-tracker#1250 asks for more
		d.Reasoning.EffortForm = EffortUnknown
	}),
	preset("together", func(d *Dialect) {
		// togethercomputer/together-python, types/chat_completions.py, ChatCompletionMessageContentType: no file
		d.Files = false
		// togethercomputer/together-python, types/chat_completions.py, ChatCompletionMessageContentType: audio_url only
		d.Audio = false
		// togethercomputer/together-python, types/chat_completions.py, and togethercomputer/openapi, openapi.yaml,
		// ChatCompletionRequest: no user, parallel_tool_calls or strict, and logprobs is a number; docs.together.ai/docs/glm-5.3-quickstart: a last chunk with usage
		d.Accepts = samplingParams | ParamStreamUsage
		// togethercomputer/openapi, openapi.yaml, ChatCompletionRequest: its keys
		d.ExtraParams = []string{
			"stop", "seed", "logit_bias", "top_k", "min_p", "repetition_penalty", "safety_model", "context_length_exceeded_behavior",
			"chat_template_kwargs",
		}
		// docs.together.ai/docs/inference/chat/reasoning: reasoning.enabled of hybrid models, which most are
		d.Reasoning.EffortForm = EffortEnabled
	}),
	// The system message must come first (litellm#39852). Unknown keys are 400
	// (docs.fireworks.ai/tools-sdks/nim-compatibility).
	preset("fireworks", func(d *Dialect) {
		// fw-ai-external/python-sdk, types/shared_params/chat_message.py: text, image_url and video_url
		d.Files = false
		// fw-ai-external/python-sdk, types/shared_params/chat_message.py: text, image_url and video_url
		d.Audio = false
		// fw-ai-external/python-sdk, types/chat/completion_create_params.py: its keys. stream_options is not documented, and was
		// refused once (Flowise#2866); others send it now (models.dev, providers/fireworks-ai/provider.toml), and a refusal is learned
		d.Accepts = commonParams | ParamUser | ParamPromptCacheKey | ParamServiceTier
		// fw-ai-external/python-sdk, types/chat/completion_create_params.py: its keys. thinking is not among them: it
		// excludes reasoning_effort
		d.ExtraParams = []string{
			"stop", "seed", "logit_bias", "top_k", "min_p", "typical_p", "repetition_penalty", "mirostat_lr", "mirostat_target",
			"ignore_eos", "context_length_exceeded_behavior", "prompt_truncate_len", "prompt_cache_isolation_key", "prediction",
			"speculation", "reasoning_history", "safe_tokenization",
		}
		// fw-ai-external/python-sdk, types/chat/completion_create_params.py, reasoning_history: thoughts after the last user
		// message are kept, and with some models all
		d.Reasoning.Replay = ReplayLoop
		// fw-ai-external/python-sdk, types/chat/completion_create_params.py, reasoning_effort: low, medium, high and none
		d.Reasoning.Efforts = map[string]string{"minimal": "low", "xhigh": "high", "max": "high"}
	}),
	preset("xai", func(d *Dialect) {
		// docs.x.ai/docs/api-reference: text and images; file parts are not documented
		d.Files = false
		// docs.x.ai/docs/api-reference: text and images
		d.Audio = false
		// vercel/ai, packages/xai/src/xai-chat-language-model.ts; docs.x.ai/docs/api-reference: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// docs.x.ai/developers/model-capabilities/text/reasoning: reasoning models, which all new ones are, refuse penalties
		d.Accepts = ParamTemperature | ParamTopP | ParamLogprobs | ParamParallelToolCalls | ParamToolStrict | ParamStreamUsage | ParamUser
		// docs.x.ai/docs/api-reference: its keys; stop is refused by reasoning models (opencodex#5278), which is learned;
		// search_parameters is an error now (vercel/ai, packages/xai/src/xai-chat-language-model-options.ts)
		d.ExtraParams = []string{"stop", "seed", "deferred"}
		// docs.x.ai/developers/model-capabilities/text/reasoning: none, low, medium and high; grok-4.6 has xhigh, and some
		// models take none of them, which is learned
		d.Reasoning.Efforts = map[string]string{"minimal": "low", "xhigh": "high", "max": "high"}
		// docs.x.ai/docs/guides/reasoning: reasoning_content, or nothing
	}),
	// System messages are moved to the head. Results must follow their calls directly
	// (cc-switch#4185).
	preset("anthropic", func(d *Dialect) {
		// docs.anthropic.com/en/api/openai-sdk: file parts are not documented
		d.Files = false
		// docs.anthropic.com/en/api/openai-sdk: audio input is stripped
		d.Audio = false
		// docs.anthropic.com/en/api/openai-sdk: both names
		d.MaxTokens = MaxCompletionTokens
		// docs.anthropic.com/en/api/openai-sdk: the list of what is ignored has penalties, logprobs, user, service_tier, strict
		d.Accepts = ParamTemperature | ParamTopP | ParamParallelToolCalls | ParamStreamUsage
		// docs.anthropic.com/en/api/openai-sdk: stop; thinking is a key of its own; seed and logit_bias are ignored
		d.ExtraParams = []string{"stop", "thinking"}
		// docs.anthropic.com/en/api/openai-sdk: response_format is ignored
		d.Structured = StructuredNone
		// docs.anthropic.com/en/api/openai-sdk: reasoning_effort is ignored
		d.Reasoning.EffortForm = EffortUnknown
		// docs.anthropic.com/en/api/openai-sdk: thoughts are not shown
	}),
	// No store, no developer role (pi#1578).
	preset("cerebras", func(d *Dialect) {
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: text and image_url
		d.Files = false
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: text and image_url
		d.Audio = false
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: max_tokens is deprecated
		d.MaxTokens = MaxCompletionTokens
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: its keys, and strict; penalties were
		// refused once (hexdocs.pm/req_llm/cerebras.html)
		d.Accepts = commonParams | ParamUser | ParamServiceTier
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: its keys
		d.ExtraParams = []string{
			"stop", "seed", "logit_bias", "disable_reasoning", "reasoning_format", "clear_thinking", "min_tokens",
			"min_completion_tokens", "prediction",
		}
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: reasoning of an assistant message;
		// clear_thinking takes what is before the last user message
		d.Reasoning.Replay = ReplayLoop
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: reasoning of an assistant message
		d.Reasoning.ReplayField = "reasoning"
		// Cerebras/cerebras-cloud-sdk-python, types/chat/completion_create_params.py: low, medium and high
		d.Reasoning.Efforts = map[string]string{"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
	}),
	// NIM is vLLM, SGLang or TensorRT-LLM behind a gateway; no store, no developer role,
	// max_tokens (pi-ai's table, PEERS §4.2).
	preset("nvidia", func(d *Dialect) {
		// api-evangelist/nvidia-nim, json-schema/nvidia-nim-chat-completion-schema.json: text and image_url
		d.Files = false
		// api-evangelist/nvidia-nim, json-schema/nvidia-nim-chat-completion-schema.json: text and image_url
		d.Audio = false
		// docs.nvidia.com/nim/large-language-models/latest/api-reference: those of vLLM; opencode#13584: chat_template_kwargs;
		// which more there are differs by model (docs.api.nvidia.com/nim/reference/llm-apis)
		d.ExtraParams = []string{"stop", "seed", "logit_bias", "chat_template_kwargs", "nvext"}
		// opencode#13584, docs.api.nvidia.com/nim/reference/llm-apis: enable_thinking of the template
		d.Reasoning.EffortForm = EffortTemplate
	}),
	// Role developer is 422 (pi#1578).
	preset("deepinfra", func(d *Dialect) {
		// docs.deepinfra.com/chat/overview: files are not documented
		d.Files = false
		// docs.deepinfra.com/chat/overview: audio is not documented
		d.Audio = false
		// docs.deepinfra.com/api-reference/openai-chat-completions-1: its keys, without parallel_tool_calls and strict;
		// docs.deepinfra.com/chat/overview: service_tier
		d.Accepts = samplingParams | ParamLogprobs | ParamStreamUsage | ParamUser | ParamPromptCacheKey | ParamServiceTier
		// docs.deepinfra.com/api-reference/openai-chat-completions-1: its keys, without logit_bias
		d.ExtraParams = []string{"stop", "seed", "top_k", "min_p", "repetition_penalty", "chat_template_kwargs"}
		// docs.deepinfra.com/chat/reasoning: none, low, medium, high and xhigh (models.dev, providers/deepinfra/provider.toml)
		d.Reasoning.Efforts = map[string]string{"minimal": "low", "max": "xhigh"}
	}),
	preset("8080", func(d *Dialect) {
		// SPEC §1.13 (docs.8080.io): files are not documented
		d.Files = false
		// SPEC §1.13 (docs.8080.io): audio is not documented
		d.Audio = false
		// SPEC §1.13 (docs.8080.io): max_completion_tokens
		d.MaxTokens = MaxCompletionTokens
		// SPEC §1.13 (docs.8080.io): the documented parameters, and no others
		d.Accepts = samplingParams | ParamStreamUsage
		// SPEC §1.13 (docs.8080.io): tools, but no tool_choice
		d.Tools.Choices = 0
		// SPEC §1.13 (docs.8080.io): no response_format
		d.Structured = StructuredNone
	}),
}

// hostDialects names the preset for a host, or for a host:port, or for all
// hosts below a domain where the entry begins with a dot.
var hostDialects = []struct{ host, dialect string }{
	{"api.openai.com", "openai"},  // developers.openai.com/api/reference
	{".api.openai.com", "openai"}, // developers.openai.com/api/docs/guides/data-residency: us, eu and other regions
	{".openai.azure.com", "azure"},
	{".services.ai.azure.com", "azure"}, // learn.microsoft.com/azure/foundry/reference/rest/chat-create-chat-completion
	{".cognitiveservices.azure.com", "azure"},
	{"api.deepseek.com", "deepseek"}, // api-docs.deepseek.com
	{"api.moonshot.ai", "kimi"},      // platform.moonshot.ai/docs/api/chat
	{"api.moonshot.cn", "kimi"},
	{"api.kimi.com", "kimi"}, // models.dev, providers/kimi-for-coding: /coding/v1
	{"api.z.ai", "glm"},      // docs.z.ai/api-reference/llm/chat-completion
	{"open.bigmodel.cn", "glm"},
	{"api.minimax.io", "minimax"}, // platform.minimax.io/docs/api-reference/text-openai-api
	{"api.minimaxi.com", "minimax"},
	{"api.minimax.chat", "minimax"},    // its host before
	{"dashscope.aliyuncs.com", "qwen"}, // www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope
	{"dashscope-intl.aliyuncs.com", "qwen"},
	{"dashscope-us.aliyuncs.com", "qwen"},
	{".dashscope.aliyuncs.com", "qwen"}, // models.dev, providers/alibaba-coding-plan: coding and coding-intl
	{".maas.aliyuncs.com", "qwen"},      // models.dev, providers/alibaba-token-plan
	{"api.mistral.ai", "mistral"},       // docs.mistral.ai/api
	{"api.eu.mistral.ai", "mistral"},    // docs.mistral.ai/studio-api/regional-inference
	{"api.us.mistral.ai", "mistral"},
	{"codestral.mistral.ai", "mistral"},
	{"api.groq.com", "groq"},        // console.groq.com/docs/api-reference
	{"openrouter.ai", "openrouter"}, // openrouter.ai/docs/api-reference/overview
	{".openrouter.ai", "openrouter"},
	{"generativelanguage.googleapis.com", "gemini"}, // ai.google.dev/gemini-api/docs/openai
	{"api.together.xyz", "together"},
	{"api.together.ai", "together"},   // docs.together.ai/reference/chat-completions
	{"api.fireworks.ai", "fireworks"}, // docs.fireworks.ai/tools-sdks/openai-compatibility
	{"api.x.ai", "xai"},               // docs.x.ai/docs/api-reference
	{".api.x.ai", "xai"},              // docs.x.ai/developers/regions: us and others
	{"api.anthropic.com", "anthropic"},
	{"api.cerebras.ai", "cerebras"},        // inference-docs.cerebras.ai/resources/openai
	{"integrate.api.nvidia.com", "nvidia"}, // docs.api.nvidia.com/nim/reference/llm-apis
	{".api.nvidia.com", "nvidia"},
	{"api.deepinfra.com", "deepinfra"}, // docs.deepinfra.com/chat/overview
	{"api.8080.io", "8080"},
	{"localhost:1234", "lmstudio"}, // the port that only LM Studio has as its default
	{"127.0.0.1:1234", "lmstudio"},
	{"[::1]:1234", "lmstudio"},
	{"ollama.com", "ollama"},      // models.dev, providers/ollama-cloud
	{"localhost:11434", "ollama"}, // the port that only ollama has as its default
	{"127.0.0.1:11434", "ollama"},
	{"[::1]:11434", "ollama"},
}

// DialectNames lists the presets, generic first.
func DialectNames() []string {
	names := make([]string, len(presets))
	for i := range presets {
		names[i] = presets[i].Name
	}
	return names
}

// LookupDialect returns a copy of the preset of that name.
func LookupDialect(name string) (Dialect, bool) {
	i := slices.IndexFunc(presets, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return Dialect{}, false
	}
	d := presets[i]
	d.ExtraParams = slices.Clone(d.ExtraParams)
	d.Tools.CallExtras = slices.Clone(d.Tools.CallExtras)
	d.Reasoning.Efforts = maps.Clone(d.Reasoning.Efforts)
	return d, true
}

// DialectForHost returns the name of the preset for an upstream's host, which
// may have a port, and "generic" for one that is not known.
func DialectForHost(hostport string) string {
	hostport = strings.ToLower(hostport)
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	for _, h := range hostDialects {
		if h.host == hostport || h.host == host || h.host[0] == '.' && strings.HasSuffix(host, h.host) {
			return h.dialect
		}
	}
	return "generic"
}
