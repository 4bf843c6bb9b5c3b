package streamcheck

// Rules of chat completion streams and objects (chat.go, chat_object.go). Framing
// and JSON have the rules that Responses streams have.
const (
	ChatEventLine  Rule = "chat.event_line"  // an event: line, which chat streams do not have
	ChatObject     Rule = "chat.object"      // object is not the word for it
	ChatMember     Rule = "chat.member"      // a required member is missing or of the wrong type
	ChatSame       Rule = "chat.same"        // id, created, model or system_fingerprint change
	ChatErrorKey   Rule = "chat.error_key"   // a chunk has a key error, null included
	ChatError      Rule = "chat.error"       // an error without its four members
	ChatAfterError Rule = "chat.after_error" // something other than [DONE] follows an error
	ChatAfterDone  Rule = "chat.after_done"  // something follows [DONE]
	ChatDone       Rule = "chat.done"        // no [DONE], or two

	ChoiceIndex  Rule = "choice.index"  // an index out of range, or twice in a chunk
	ChoiceMember Rule = "choice.member" // delta or message, or finish_reason missing or of the wrong type
	ChoiceRole   Rule = "choice.role"   // no role in the first delta, another than assistant, or again later
	ChoiceClosed Rule = "choice.closed" // a choice goes on after its finish_reason
	ChoiceFinish Rule = "choice.finish" // no finish_reason, an unknown one, or one that contradicts the calls
	ChoiceDelta  Rule = "choice.delta"  // a member of a delta of the wrong type
	ChoiceTokens Rule = "choice.tokens" // logprobs without token, logprob, bytes and top_logprobs
	ChoiceNote   Rule = "choice.note"   // an annotation that is no url_citation, nested, with its members

	CallIndex    Rule = "call.index"    // a call does not count from 0, or beyond 127
	CallBegin    Rule = "call.begin"    // a call begins without id, type and name
	CallRepeat   Rule = "call.repeat"   // id, type or name come again, or change
	CallID       Rule = "call.id"       // two calls with one id
	CallPayload  Rule = "call.payload"  // a fragment of the wrong kind
	CallContents Rule = "call.contents" // tool_calls and function_call together, or an empty list

	ChatUsageNull  Rule = "usage.null"  // no usage:null in a chunk of a stream with include_usage, or one without
	ChatUsagePlace Rule = "usage.place" // the usage stands before a finish, beside choices, or twice
	ChatUsage      Rule = "usage.whole" // usage incomplete, negative, or with a wrong total

	ChatObfuscation Rule = "chat.obfuscation" // obfuscation is not of letters and digits
	ChatEmpty       Rule = "chat.empty"       // a delta that says nothing, and is no end
)
