package translate

// The rules, in the order of the table below.
const (
	ruleUnknownParam Rule = iota
	ruleUnknownForwarded
	ruleClientMetadata
	ruleSampling
	ruleHint
	ruleVerbosity
	ruleLogprobs
	ruleContextManagement
	ruleEffortDropped
	ruleEffortMapped
	ruleSummary
	ruleReasoningContext
	ruleReasoningMode
	ruleFormat
	ruleFormatWeaker
	ruleFormatChecked
	ruleFormatRepaired
	ruleTruncated
	ruleTokensEstimated
	ruleToolUnsupported
	ruleToolWebSearch
	ruleToolSearch
	ruleToolCustom
	ruleToolGrammar
	ruleToolEmulated
	ruleToolDeferred
	ruleToolRepeated
	ruleToolMember
	ruleToolStrict
	ruleChoiceNone
	ruleChoiceNamed
	ruleChoiceRequired
	ruleParallelCalls
	ruleItemUnsupported
	ruleItemEmulated
	ruleCompaction
	rulePartDropped
	ruleImageDetail
	rulePartFetched
	ruleOutputParts
	ruleReasoningAlone
	ruleReasoningForgotten
	ruleReasoningSealed
	ruleReasoningMissing
	ruleMessageName
	ruleMessagePhase
	ruleMessageEmpty
	ruleSystemMoved
	ruleAssistantAfterTool
	ruleUserFirst
	ruleSingleCalls
	ruleArguments
	ruleMissingOutput
	ruleAsyncOutput
	ruleOrphanOutput
	ruleOutputMoved
	ruleCallIDAgain
	ruleItemRepeated
	ruleSurrogates
	ruleReplyCallDropped
	ruleReplyCallForbidden
	ruleReplyChoice
	ruleReplyFormat
	ruleReplyCallID
	ruleReplyCallName
	ruleReplyCallRenamed
	ruleReplyInput
	ruleReplyGrammar
	ruleReplyGrammarRepaired
	ruleReplyArguments
	ruleReplyLateArguments
	ruleReplyArgumentsAgain
	ruleReplyTornCall
	ruleReplyArgumentsObject
	ruleReplyArgumentsMended
	ruleReplyArgumentsTypes
	ruleReplyArgumentsBroken
	ruleReplyFinish
	ruleReplyChoices
	ruleReplyAudio
	ruleReplyUTF8
	ruleReplyJSON
	ruleReplyTag
	ruleReplySources
	ruleReplyImage
	ruleReplyReasoningData
	ruleReplyUnsealed
	ruleReplyFence
	ruleReplyPart
	ruleReplyContentType
	ruleReplyCallText
	ruleReplyCallMarkup
	ruleReplyChannels
	numRules
)

// lossRules describes each rule. The ids are part of the product: users match
// on them, and docs/COMPATIBILITY.md lists them.
var lossRules = [numRules]RuleInfo{
	ruleUnknownParam:      {"param.unknown", Dropped, false, "A key that neither the Responses API nor the backend's dialect knows is not sent."},
	ruleUnknownForwarded:  {"param.unknown.forwarded", Forwarded, true, "A key that neither the Responses API nor the backend's dialect knows is sent as it is: unknown_params says so."},
	ruleClientMetadata:    {"param.client_metadata", Dropped, true, "Tracing data of the client's own (client_metadata, internal_…) is not sent."},
	ruleSampling:          {"param.sampling", Dropped, false, "The backend does not take this sampling parameter."},
	ruleHint:              {"param.hint", Dropped, true, "The backend does not take this hint about caching, billing or safety; the answer is the same without."},
	ruleVerbosity:         {"text.verbosity", Dropped, false, "The backend cannot be asked for longer or shorter answers."},
	ruleLogprobs:          {"include.logprobs", Dropped, false, "The backend gives no logprobs."},
	ruleContextManagement: {"param.context_management", Dropped, false, "Without a compact_threshold the context is never compacted on the way."},
	ruleEffortDropped:     {"reasoning.effort.dropped", Dropped, false, "The backend cannot be asked for a reasoning effort."},
	ruleEffortMapped:      {"reasoning.effort.mapped", Emulated, true, "The backend lacks this effort; the nearest one is asked for."},
	ruleSummary:           {"reasoning.summary", Emulated, true, "A chat backend writes no summaries: its reasoning itself is given as the summary."},
	ruleReasoningContext:  {"reasoning.context", Dropped, true, "Which earlier reasoning the backend sees is decided by its dialect."},
	ruleReasoningMode:     {"reasoning.mode", Dropped, false, "A chat backend has no other reasoning mode."},
	ruleFormat:            {"text.format.dropped", Dropped, false, "The backend cannot be held to JSON."},
	ruleFormatWeaker:      {"text.format.weaker", Emulated, false, "The backend can be held to JSON, but not to a schema."},
	ruleFormatChecked:     {"text.format.checked", Emulated, true, "The backend cannot be held to the format: it is told of it, and its answer is checked before the client gets to see it."},
	ruleFormatRepaired:    {"text.format.repaired", Repaired, true, "The answer did not have the format, and the backend was asked once more."},
	ruleTruncated:         {"truncation", Emulated, true, "The oldest turns were left out because the context was full, as truncation auto asks."},

	ruleTokensEstimated: {"input_tokens.estimated", Emulated, true, "The backend cannot be asked how many tokens the request takes, so they are estimated."},

	ruleToolUnsupported: {"tool.unsupported", Dropped, false, "A tool that only the live API can run is not offered to the backend."},
	ruleToolWebSearch:   {"tool.web_search", Dropped, true, "The search of the live API is not offered to the backend. Codex lists it in every request, so strict does not refuse it."},
	ruleToolSearch:      {"tool.search", Emulated, true, "The server's search for tools is not offered: the tools that it would find are all offered at once."},
	ruleToolCustom:      {"tool.custom", Emulated, true, "A custom tool is shown to the backend as a function with one string, which becomes the input of the call."},
	ruleToolGrammar:     {"tool.grammar", Emulated, false, "The backend cannot be held to a custom tool's grammar; it stands in the description."},
	ruleToolEmulated:    {"tool.emulated", Emulated, true, "A tool that the client runs (shell, local_shell, apply_patch, tool_search) is shown to the backend as a function."},
	ruleToolDeferred:    {"tool.deferred", Emulated, true, "A tool that a search is to load is not shown before the client's search has found it; where the client has no search, it is shown at once."},
	ruleToolRepeated:    {"tool.repeated", Repaired, true, "A tool was declared twice; the later declaration counts."},
	ruleToolMember:      {"tool.member", Dropped, true, "A chat function has no such member; the tool works without it."},
	ruleToolStrict:      {"tool.strict", Dropped, false, "The backend cannot be held to a function's schema."},
	ruleChoiceNone:      {"tool_choice.none", Emulated, true, "The backend cannot be told to call nothing, so it is not shown any tools."},
	ruleChoiceNamed:     {"tool_choice.named", Emulated, true, "The backend cannot be told to call a certain function, so it is only shown that one."},
	ruleChoiceRequired:  {"tool_choice.required", Emulated, false, "The backend cannot be made to call a function, so the model is told to. It may not."},
	ruleParallelCalls:   {"parallel_tool_calls", Emulated, true, "The backend cannot be told to make one call at a time; further calls of a reply are left out."},

	ruleItemUnsupported:    {"item.unsupported", Dropped, false, "An input item that a chat backend cannot make sense of is not sent."},
	ruleItemEmulated:       {"item.emulated", Emulated, true, "A call of a built-in or custom tool is shown to the backend as a function call."},
	ruleCompaction:         {"item.compaction", Emulated, true, "The summary in a compaction item is shown to the backend in place of what was said before it."},
	rulePartDropped:        {"part.dropped", Dropped, false, "The backend does not take this kind of content."},
	ruleImageDetail:        {"part.image_detail", Emulated, true, "The chat API has no image detail \"original\"; \"high\" is sent."},
	rulePartFetched:        {"part.fetched", Emulated, true, "The backend wants the bytes of what the client names by URL or file_id, so they were fetched for it."},
	ruleOutputParts:        {"part.tool_output", Emulated, true, "Images and files in a tool's output follow in a user message, because chat tool messages only hold text."},
	ruleReasoningAlone:     {"reasoning.alone", Dropped, true, "Reasoning that led to nothing is not sent."},
	ruleReasoningForgotten: {"reasoning.forgotten", Dropped, true, "The backend does not take earlier reasoning back, or only that of a tool loop that is still going on."},
	ruleReasoningSealed:    {"reasoning.encrypted", Dropped, false, "Encrypted reasoning that this server did not make for this client, or that was changed, is not sent."},
	ruleReasoningMissing:   {"reasoning.missing", Repaired, true, "The backend insists on reasoning beside a call. There is none, because the client did not send it or the model had none, so a placeholder was put there."},
	ruleMessageName:        {"message.name", Dropped, false, "A message of the Responses API has no name, so that of an input item is not sent."},
	ruleMessagePhase:       {"message.phase", Dropped, true, "A chat message has no phase."},
	ruleMessageEmpty:       {"message.empty", Dropped, true, "An earlier answer of which nothing is left is not sent: there is nothing in it, and backends refuse empty messages."},
	ruleSystemMoved:        {"message.system_moved", Repaired, true, "The backend takes one system message at the head, so a later one was moved there."},
	ruleAssistantAfterTool: {"message.assistant_after_tool", Repaired, true, "The backend wants the assistant to speak between a tool and the user, so a short message was put there."},
	ruleUserFirst:          {"message.user_first", Repaired, true, "The backend wants the user to speak first, so a short message was put there."},
	ruleSingleCalls:        {"call.single", Repaired, true, "The backend takes one call in a message, so further calls of a turn follow in messages of their own."},
	ruleArguments:          {"call.arguments", Repaired, false, "A call's arguments were no JSON object and have been wrapped in one."},
	ruleMissingOutput:      {"call.missing_output", Repaired, false, "A call without output was given one that says so."},
	ruleAsyncOutput:        {"call.async_output", Repaired, true, "The backend knows no calls that go on while it speaks: one without output yet was given one that says so."},
	ruleOrphanOutput:       {"call.orphan_output", Repaired, false, "An output without a call was given a call."},
	ruleOutputMoved:        {"call.output_moved", Repaired, true, "An output that came after something else was said was moved to its call, where chat backends insist on it."},
	ruleCallIDAgain:        {"call.id_again", Repaired, true, "A call had the id of an earlier call, and is sent with a number behind it; so is its result."},
	ruleItemRepeated:       {"item.repeated", Dropped, true, "An item that the history has already was sent again, and is left out."},
	ruleSurrogates:         {"text.surrogates", Repaired, true, "Half a character (a lone UTF-16 surrogate) was replaced by U+FFFD."},

	ruleReplyCallDropped:     {"reply.parallel_call", Dropped, true, "A further call was left out, because the request allows one at a time."},
	ruleReplyCallForbidden:   {"reply.forbidden_call", Dropped, true, "A call that tool_choice does not allow was left out."},
	ruleReplyChoice:          {"reply.tool_choice", Dropped, true, "The backend was told to call a tool and did not call it."},
	ruleReplyFormat:          {"reply.format", Dropped, true, "The backend was held to text.format, and its answer is no JSON."},
	ruleReplyCallID:          {"reply.call_id", Repaired, true, "A call had no id, or that of another call, and was given one."},
	ruleReplyCallName:        {"reply.call_name", Dropped, true, "A call without a name was left out."},
	ruleReplyCallRenamed:     {"reply.call_renamed", Repaired, true, "A call named a tool in a way that is not its name, but could mean no other."},
	ruleReplyInput:           {"reply.custom_input", Repaired, true, "The input of a custom tool's call was not the JSON that was asked for, and was made out of what came."},
	ruleReplyGrammar:         {"reply.grammar", Emulated, true, "The input of a custom tool's call does not match the tool's grammar."},
	ruleReplyGrammarRepaired: {"reply.grammar_repaired", Repaired, true, "The input of a custom tool's call did not match the tool's grammar; the backend was asked once more."},
	ruleReplyArguments:       {"reply.tool_arguments", Repaired, true, "The arguments of a client-run tool's call were not what its item can hold: they were mended, or the call is given as a function call."},
	ruleReplyLateArguments:   {"reply.late_arguments", Dropped, true, "Arguments that came after a call's JSON was complete were left out."},
	ruleReplyArgumentsAgain:  {"reply.arguments_repeated", Repaired, true, "A call's arguments came more than once; the last whole object counts."},
	ruleReplyTornCall:        {"reply.torn_call", Repaired, true, "The backend called a reply complete whose call was cut off in its arguments; it is incomplete."},
	ruleReplyArgumentsObject: {"reply.arguments_object", Repaired, true, "A call's arguments came as an object rather than a string."},
	ruleReplyArgumentsMended: {"reply.arguments_mended", Repaired, true, "A call's arguments did not have the types that the tool declares, and could only be meant in one way."},
	ruleReplyArgumentsTypes:  {"reply.arguments_types", Dropped, true, "A call's arguments did not have the types that the tool declares; they came in pieces and had gone out before that could be known."},
	ruleReplyArgumentsBroken: {"reply.arguments_broken", Dropped, true, "A call's arguments are no JSON object. They are given as they came."},
	ruleReplyFinish:          {"reply.finish", Defaulted, true, "The backend did not say why it stopped, though its reply was whole; \"stop\" is assumed."},
	ruleReplyChoices:         {"reply.choices", Dropped, true, "The backend sent more than one answer, or a part of one again in another choice; the first is given."},
	ruleReplyAudio:           {"reply.audio", Dropped, true, "Audio in a reply has no place in a response's output."},
	ruleReplyUTF8:            {"reply.utf8", Repaired, true, "Bytes that are not UTF-8 were replaced by U+FFFD."},
	ruleReplyJSON:            {"reply.json", Repaired, true, "The reply was JSON with a flaw (NaN, a comma too many, a raw line end in a string) and was read all the same."},
	ruleReplyTag:             {"reply.think_tag", Dropped, true, "A closing tag of reasoning stands in the text without an opening one: the model's template opens it. think_tags: implicit splits such text."},
	ruleReplySources:         {"reply.sources", Dropped, true, "Sources of the answer that the backend gave beside it had no text to be annotations of, or no address."},
	ruleReplyImage:           {"reply.image", Dropped, true, "An image in the reply could not be given as an image_generation_call item: it is not in the reply itself, but an address of it, or nothing."},
	ruleReplyReasoningData:   {"reply.reasoning_data", Dropped, true, "Encrypted or signed data of the backend was left out: its dialect does not take it back, or nobody can carry it."},
	ruleReplyUnsealed:        {"reply.not_sealed", Dropped, true, "Reasoning could not be encrypted for the client, because it is too large or the keys are out of reach."},
	ruleReplyFence:           {"reply.code_fence", Repaired, true, "The answer was JSON in a Markdown code fence, which was taken off."},
	ruleReplyCallText:        {"reply.call_text", Repaired, true, "A call stood in the text, in the markup of the model's chat template: it was made a call, or left out where the backend has made the call as well."},
	ruleReplyCallMarkup:      {"reply.call_markup", Dropped, true, "The text has something like a call in it, in the markup of a model's chat template. It is given as text."},
	ruleReplyChannels:        {"reply.channels", Repaired, true, "The channels of gpt-oss' chat format stood in the text, and were taken apart."},
	ruleReplyContentType:     {"reply.content_type", Repaired, true, "The text of a reply came as a number, a word or an object, and is given as it was written."},
	ruleReplyPart:            {"reply.part", Dropped, true, "A part or annotation of the reply that the Responses API has no place for was left out."},
}
