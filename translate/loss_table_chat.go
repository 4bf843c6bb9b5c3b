package translate

// Direction says which way a rule's exchange goes.
type Direction uint8

// The values of Direction.
const (
	// ResponsesToChat: the client speaks Responses, the backend Chat Completions.
	ResponsesToChat Direction = iota
	// ChatToResponses: the client speaks Chat Completions, the backend Responses.
	ChatToResponses
	// ResponsesToResponses: both speak Responses, and the backend by halves.
	ResponsesToResponses
)

// String is the direction as the documentation writes it, such as "chat→responses".
func (d Direction) String() string {
	return [...]string{"responses→chat", "chat→responses", "responses→responses"}[d]
}

// The rules of the other directions, in the order of their table.
const (
	ruleChatUnknownParam Rule = numRules + iota
	ruleChatForwarded
	ruleChatSeed
	ruleChatLogitBias
	ruleChatPrediction
	ruleChatStop
	ruleChatMaxTokens
	ruleChatAudioParam
	ruleChatLogprobs
	ruleChatPenalty
	ruleChatRefused
	ruleChatHint
	ruleChatFormat
	ruleChatFormatSchema
	ruleChatChoices
	ruleChatStoreChoices
	ruleChatToolMember
	ruleChatCustomTool
	ruleChatWebSearch
	ruleChatHostedTool
	ruleChatDeveloper
	ruleChatName
	ruleChatMessageMember
	ruleChatReasoning
	ruleChatKeptRefused
	ruleChatAudio
	ruleChatPart
	ruleChatOutputParts
	ruleChatCallID
	ruleChatCustomCall
	ruleChatCallOpen
	ruleChatSurrogates
	ruleChatReplyItem
	ruleChatReplyCall
	ruleChatReplyParallel
	ruleChatReplyForbidden
	ruleChatReplyCallID
	ruleChatReplyUTF8
	ruleChatReplyLength
	ruleChatReplyAnnotation
	ruleChatReplyContradiction
	ruleChatReplyArguments
	ruleMendLength
	ruleMendCallID
	ruleMendUTF8
	ruleMendItem
	ruleMendPart
	ruleMendContradiction
	ruleMendReasoning
	ruleMendNamespace
	ruleMendRefused
	numAllRules
)

// chatLossRules describes the rules of the other directions. Their ids begin
// with the kind of client (chat) or with what is done (mend).
var chatLossRules = [numAllRules - numRules]RuleInfo{
	ruleChatUnknownParam - numRules: {"chat.param.unknown", Dropped, false, "A key that the Responses API does not know, or that the Chat API does not, is not sent."},
	ruleChatForwarded - numRules:    {"chat.param.forwarded", Forwarded, true, "A key that no API knows is sent as it is: unknown_params or extra_params says so."},
	ruleChatSeed - numRules:         {"chat.param.seed", Dropped, true, "The Responses API has no seed; replies were never promised to repeat."},
	ruleChatLogitBias - numRules:    {"chat.param.logit_bias", Dropped, false, "The Responses API has no logit_bias."},
	ruleChatPrediction - numRules:   {"chat.param.prediction", Dropped, true, "The Responses API takes no predicted output; the reply is the same, later."},
	ruleChatStop - numRules:         {"chat.param.stop", Emulated, true, "The Responses API has no stop sequences: the text is cut at the first one here, and the backend stopped."},
	ruleChatMaxTokens - numRules:    {"chat.param.max_tokens", Defaulted, true, "The Responses API's smallest max_output_tokens is 16; a smaller bound is raised to it."},
	ruleChatAudioParam - numRules:   {"chat.param.audio", Dropped, true, "The parameter audio says nothing when modalities does not ask for audio."},
	ruleChatLogprobs - numRules:     {"chat.param.logprobs", Dropped, false, "The backend gives no logprobs."},
	ruleChatPenalty - numRules:      {"chat.param.penalty", Dropped, false, "The backend takes no presence_penalty and frequency_penalty."},
	ruleChatRefused - numRules:      {"chat.param.refused", Dropped, false, "The backend does not take this parameter, as configured or as it has said itself."},
	ruleChatHint - numRules:         {"chat.param.hint", Dropped, true, "The backend does not take this hint about caching, billing, safety or length; the answer is the same without, or nearly so."},
	ruleChatFormat - numRules:       {"chat.response_format.dropped", Dropped, false, "The backend cannot be held to JSON."},
	ruleChatFormatSchema - numRules: {"chat.response_format.schema", Defaulted, true, "The Responses API needs a schema; one that allows any object stands in."},
	ruleChatChoices - numRules:      {"chat.param.n", Emulated, true, "The Responses API gives one answer: as many requests are sent as choices are wanted."},
	ruleChatStoreChoices - numRules: {"chat.param.store", Dropped, true, "With several choices the backend stores none of them: the completion is kept as a whole or not at all."},

	ruleChatToolMember - numRules: {"chat.tool.member", Dropped, true, "A tool of the Responses API has no such member; the tool works without it."},
	ruleChatCustomTool - numRules: {"chat.tool.custom", Dropped, false, "The backend has no custom tools, so it is not offered this one."},
	ruleChatWebSearch - numRules:  {"chat.web_search_options", Dropped, false, "The backend has no web search."},
	ruleChatHostedTool - numRules: {"chat.tool.hosted", Dropped, false, "The backend has no tools of its own, so it is not offered this one of the Responses API."},

	ruleChatDeveloper - numRules:     {"chat.message.developer", Emulated, true, "The backend does not know the role developer; system is sent."},
	ruleChatName - numRules:          {"chat.message.name", Dropped, false, "A message of the Responses API has no name."},
	ruleChatMessageMember - numRules: {"chat.message.member", Dropped, true, "A message of the Chat API has no such member."},
	ruleChatReasoning - numRules:     {"chat.message.reasoning", Dropped, true, "Reasoning that a chat client sends back cannot be given to the backend; it gets what was kept for it, if anything was."},
	ruleChatKeptRefused - numRules:   {"chat.reasoning.refused", Dropped, true, "Reasoning that was kept for the calls of earlier turns was refused by the backend, and left out."},
	ruleChatAudio - numRules:         {"chat.message.audio", Dropped, false, "Earlier audio answers cannot be sent to a Responses backend."},
	ruleChatPart - numRules:          {"chat.part.dropped", Dropped, false, "The backend does not take this kind of content."},
	ruleChatOutputParts - numRules:   {"chat.part.tool_output", Emulated, true, "The backend takes a tool's answer as one string, so its parts were joined, and what is no text left out."},
	ruleChatCallID - numRules:        {"chat.call_id", Repaired, true, "A call id that the Responses API does not take, or that an earlier call has, was replaced, always by the same one."},
	ruleChatCustomCall - numRules:    {"chat.call.custom", Emulated, true, "The backend has no custom tools; a call of one is shown to it as a function call."},
	ruleChatCallOpen - numRules:      {"chat.call.unanswered", Repaired, true, "A function_call that no message answers was given an empty answer, without which the Responses API refuses it."},
	ruleChatSurrogates - numRules:    {"chat.text.surrogates", Repaired, true, "Half a character (a lone UTF-16 surrogate) was replaced by U+FFFD."},

	ruleChatReplyItem - numRules:          {"chat.reply.item", Dropped, true, "An output item that a chat completion has no place for was left out."},
	ruleChatReplyCall - numRules:          {"chat.reply.call", Dropped, true, "A call without a name, or beyond the 128 that a completion holds, was left out."},
	ruleChatReplyParallel - numRules:      {"chat.reply.parallel_call", Dropped, true, "A further call was left out, because the request allows one at a time."},
	ruleChatReplyForbidden - numRules:     {"chat.reply.forbidden_call", Dropped, true, "A call that tool_choice does not allow was left out."},
	ruleChatReplyCallID - numRules:        {"chat.reply.call_id", Repaired, true, "A call had no id, or that of another call, and was given one."},
	ruleChatReplyUTF8 - numRules:          {"chat.reply.utf8", Repaired, true, "Bytes that are not UTF-8 were replaced by U+FFFD."},
	ruleChatReplyLength - numRules:        {"chat.reply.length", Repaired, true, "The backend called a reply complete that had used up its tokens; finish_reason is length."},
	ruleChatReplyAnnotation - numRules:    {"chat.reply.annotation", Dropped, true, "The Chat API knows no annotations but url_citation."},
	ruleChatReplyContradiction - numRules: {"chat.reply.contradiction", Dropped, true, "What the backend said of a text or call at its end was not what it had sent of it before. The client had been given that, so it stands; a reply that is not streamed has what was said at the end."},
	ruleChatReplyArguments - numRules:     {"chat.reply.arguments", Dropped, true, "A call's arguments are no JSON object. They are given as they came."},

	ruleMendLength - numRules:        {"mend.length", Repaired, true, "The backend called a response completed that had used up its tokens; it is incomplete."},
	ruleMendCallID - numRules:        {"mend.call_id", Repaired, true, "A call had no id, or that of another call, and was given one."},
	ruleMendUTF8 - numRules:          {"mend.utf8", Repaired, true, "Bytes that are not UTF-8 were replaced by U+FFFD."},
	ruleMendItem - numRules:          {"mend.item", Dropped, true, "An output item of a type that no client knows, and that many break on, was left out."},
	ruleMendPart - numRules:          {"mend.part", Dropped, true, "A part or annotation that has no place in its item, or came when that was done, was left out."},
	ruleMendContradiction - numRules: {"mend.contradiction", Dropped, true, "What the backend said of a text or call at its end was not what it had sent of it before; that stands."},
	ruleMendReasoning - numRules:     {"mend.reasoning", Dropped, true, "Earlier reasoning of another backend is not sent: a backend with the whole Responses API stands in, and refuses what it has not encrypted itself."},
	ruleMendNamespace - numRules:     {"mend.namespace", Emulated, true, "The backend knows no namespaces: the tools of one are shown to it as functions with both names, and their calls given back as what they are."},
	ruleMendRefused - numRules:       {"mend.param", Dropped, false, "The backend does not take this parameter, as configured or as it has said itself."},
}

// Direction is the way of the exchanges that the rule is about.
func (r Rule) Direction() Direction {
	switch {
	case r < numRules:
		return ResponsesToChat
	case r < ruleMendLength:
		return ChatToResponses
	}
	return ResponsesToResponses
}
