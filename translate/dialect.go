package translate

import "slices"

// Dialect describes how one family of Chat Completions servers differs from
// the reference API. It is data: translation never asks for a vendor's name,
// only for these facts. Presets are rows of the table in dialect_table.go, each
// with its evidence; the configuration may override any single field of a row
// (the yaml keys below).
//
// The zero value is not useful; start from Presets or LookupDialect.
type Dialect struct {
	// Name of the preset, such as "vllm". Not configurable.
	Name string `yaml:"-"`

	// DeveloperRole says whether the server knows the role "developer".
	// Otherwise such messages are sent with the role "system".
	DeveloperRole bool `yaml:"developer_role"`

	// SystemMessages says where system messages may stand.
	SystemMessages SystemPolicy `yaml:"system_messages"`

	// AlternateRoles says that user and assistant messages must take turns, and the
	// user begins: neighbours of one role are merged, and a short message is put before
	// an assistant's that would be the first.
	AlternateRoles bool `yaml:"alternate_roles"`

	// AssistantAfterTool says that a user message may not follow a tool
	// message directly; a short assistant message is put between them.
	AssistantAfterTool bool `yaml:"assistant_after_tool"`

	// JoinText says that message content made of text parts only must be one
	// string. Otherwise more than one part is sent as an array of parts.
	JoinText bool `yaml:"join_text"`

	// Images, Files and Audio say which input parts the server can take. A
	// part that it can't take is dropped and reported.
	Images bool `yaml:"images"`
	Files  bool `yaml:"files"`
	Audio  bool `yaml:"audio"`

	// ImageURLs says that the server fetches images from URLs itself. Otherwise
	// it takes data URLs only: what a URL names is fetched for it, where that is
	// configured, or dropped and reported.
	ImageURLs bool `yaml:"image_urls"`

	// FileIDs says that the server knows the file_id of a file part. Otherwise it
	// takes the bytes: they are got from its files endpoint, where that is
	// configured, or the part is dropped and reported. Images never have one.
	FileIDs bool `yaml:"file_ids"`

	// RefusalField says that assistant messages may carry "refusal".
	// Otherwise an earlier refusal is sent as text.
	RefusalField bool `yaml:"refusal_field"`

	// CallContent is what "content" shall be in an assistant message that has
	// tool calls and no text.
	CallContent CallContent `yaml:"call_content"`

	// MaxTokens is the request key that bounds the output.
	MaxTokens MaxTokensField `yaml:"max_tokens_field"`

	// Accepts is the set of optional request keys the server takes. A key that
	// it does not take is left out and reported.
	Accepts ParamSet `yaml:"accepts"`

	// ExtraParams are keys that no version of the Responses API knows, but that
	// this server takes: they are forwarded when a client sends them.
	ExtraParams []string `yaml:"extra_params"`

	// UnknownParams is what is done about a key that neither the Responses API knows
	// nor ExtraParams.
	UnknownParams UnknownParams `yaml:"unknown_params"`

	// Tools are the abilities around function calling.
	Tools ToolAbilities `yaml:"tools"`

	// Tokenizer is how the server can be asked how many tokens a request takes.
	Tokenizer Tokenizer `yaml:"tokenizer"`

	// Structured is the strictest response_format the server honours.
	Structured Structured `yaml:"structured_output"`

	// Fallback is what is done about a text.format that is stricter than
	// Structured.
	Fallback Fallback `yaml:"structured_fallback"`

	// VerifyOutput says that answers are held against text.format though the
	// server claims to honour it: some take response_format and ignore it.
	VerifyOutput bool `yaml:"verify_output"`

	// Reasoning says how reasoning goes in and comes out.
	Reasoning ReasoningHabits `yaml:"reasoning"`

	// Responses says what its own Responses API lacks, if it has one and is used
	// through it.
	Responses ResponsesHabits `yaml:"responses"`
}

// Bounds of ToolAbilities.NameMax, in bytes: a shortened name needs room for its mark.
const (
	MinToolName = 16
	MaxToolName = 1024
)

// ToolAbilities are a dialect's abilities around function calling.
type ToolAbilities struct {
	// Choices is the set of tool_choice forms that the server honours.
	Choices ChoiceSet `yaml:"choices"`

	// RequiredWord is how the server spells tool_choice "required".
	RequiredWord string `yaml:"required_word"`

	// NameMax is the longest function name in bytes; a longer one is
	// shortened, reversibly.
	NameMax int `yaml:"name_max"`

	// CallIDs is the form of tool call ids the server insists on.
	CallIDs CallIDForm `yaml:"call_ids"`

	// CallExtras are members of a tool call, beside those of the reference API,
	// that the server gives and wants back unchanged with the same call.
	CallExtras []string `yaml:"call_extras"`

	// ExcludesLogprobs says that a stream with tools is refused if it asks for
	// logprobs.
	ExcludesLogprobs bool `yaml:"excludes_logprobs"`

	// SingleCalls says that an assistant message may hold one call only: the further
	// ones of a turn follow in messages of their own, each with its result.
	SingleCalls bool `yaml:"single_calls"`

	// RepairArguments says that arguments are held against the types that the tool's
	// schema declares, and mended where they can only be meant in one way. Those that
	// come in pieces have gone out by then, unless HoldArguments is set: what is wrong
	// with them is reported.
	RepairArguments bool `yaml:"repair_arguments"`

	// HoldArguments says that arguments of declared functions which come in pieces wait
	// until they are whole, so that RepairArguments can mend them.
	HoldArguments bool `yaml:"hold_arguments"`

	// CallPlaceholder is what the first call of a message gets in their place where
	// there are none, because it was not made by this server: members of a JSON
	// object, for servers that refuse a call without them. "" is nothing.
	CallPlaceholder string `yaml:"call_placeholder"`

	// CallMarkup is what is done about calls that the server leaves in the text.
	CallMarkup CallMarkup `yaml:"call_markup"`

	// Custom is how custom tools are offered, and their calls written.
	Custom CustomTools `yaml:"custom"`
}

// ReasoningHabits say how a dialect takes and gives reasoning.
type ReasoningHabits struct {
	// Replay says which earlier reasoning is sent back to the server.
	Replay Replay `yaml:"replay"`

	// ReplayField is the key of an assistant message that carries it. "" is the one in
	// which the server gives it, and reasoning_content as long as that is not known.
	ReplayField string `yaml:"replay_field"`

	// Details says that the server gives reasoning_details and takes them back
	// unchanged. They go where Replay says, in place of ReplayField.
	Details bool `yaml:"details"`

	// Placeholder is what ReplayField says beside a call where Replay wants
	// reasoning and there is none, for servers that refuse a call without it. ""
	// leaves the key out.
	Placeholder string `yaml:"placeholder"`

	// EffortForm is how the request asks for an effort.
	EffortForm EffortForm `yaml:"effort_form"`

	// ExcludesFormat says that a request to think is refused beside a
	// response_format: EffortForm, a switch, then says no.
	ExcludesFormat bool `yaml:"excludes_format"`

	// StreamOnly says that the server only thinks in streams, and refuses a request
	// to think for a whole reply: EffortForm, a switch, then says no.
	StreamOnly bool `yaml:"stream_only"`

	// Efforts maps an effort of the Responses API to the server's word for it.
	// An effort that is not in the map is sent as it is, or, where EffortForm is
	// a switch, as "disabled" for none and "enabled" for all others. One that is
	// mapped to "" is left out and reported.
	Efforts map[string]string `yaml:"efforts"`

	// Tags says whether reasoning may stand between <think> and </think> in
	// the text.
	Tags ThinkTags `yaml:"think_tags"`
}

// SystemPolicy says where system messages may stand in a conversation.
type SystemPolicy string

// The values of SystemPolicy.
const (
	// SystemAnywhere leaves system messages where they are.
	SystemAnywhere SystemPolicy = "anywhere"
	// SystemHead joins all system messages, with blank lines between them, to
	// one message at the head.
	SystemHead SystemPolicy = "head"
	// SystemUser is SystemHead with the role "user".
	SystemUser SystemPolicy = "user"
)

// Values are its values as texts.
func (SystemPolicy) Values() []string {
	return words(SystemAnywhere, SystemHead, SystemUser)
}

// CallContent is the content of an assistant message that only has tool calls.
type CallContent string

// The values of CallContent.
const (
	CallContentNull  CallContent = "null"  // "content":null
	CallContentEmpty CallContent = "empty" // "content":""
	CallContentOmit  CallContent = "omit"  // no such key
)

// Values are its values as texts.
func (CallContent) Values() []string {
	return words(CallContentNull, CallContentEmpty, CallContentOmit)
}

// MaxTokensField is the request key that bounds the output.
type MaxTokensField string

// The values of MaxTokensField.
const (
	MaxCompletionTokens MaxTokensField = "max_completion_tokens"
	MaxTokens           MaxTokensField = "max_tokens"
)

// Values are its values as texts.
func (MaxTokensField) Values() []string {
	return words(MaxCompletionTokens, MaxTokens)
}

// Structured is a kind of response_format.
type Structured string

// The values of Structured, each including those after it.
const (
	StructuredSchema Structured = "json_schema"
	StructuredObject Structured = "json_object"
	StructuredNone   Structured = "none"
)

// Values are its values as texts.
func (Structured) Values() []string {
	return words(StructuredSchema, StructuredObject, StructuredNone)
}

// Tokenizer is how a server can be asked how many tokens a request takes.
type Tokenizer string

// The values of Tokenizer.
const (
	// TokenizerNone: it cannot be asked.
	TokenizerNone Tokenizer = "none"
	// TokenizerMessages is POST /tokenize, which takes messages and tools and
	// answers with {"count":N} (vLLM).
	TokenizerMessages Tokenizer = "messages"
	// TokenizerTemplate is POST /apply-template, which makes {"prompt":"…"} of
	// messages and tools, and then POST /tokenize, which takes {"content":"…"} and
	// answers with {"tokens":[…]} (llama.cpp).
	TokenizerTemplate Tokenizer = "template"
)

// Values are its values as texts.
func (Tokenizer) Values() []string {
	return words(TokenizerNone, TokenizerMessages, TokenizerTemplate)
}

// Fallback is what is done about a format that the server cannot be held to.
type Fallback string

// The values of Fallback.
const (
	// FallbackInstruct tells the model of the format, with the strictest
	// response_format that the server has, and holds the answer against it
	// before the client gets to see it. One that does not hold is repaired once.
	FallbackInstruct Fallback = "instruct"
	// FallbackNone sends the strictest response_format that the server has, or
	// none, and leaves the answer as it comes.
	FallbackNone Fallback = "none"
)

// Values are its values as texts.
func (Fallback) Values() []string {
	return words(FallbackInstruct, FallbackNone)
}

// UnknownParams is what is done about a request key that nobody knows.
type UnknownParams string

// The values of UnknownParams. Whatever is done is reported.
const (
	// UnknownDrop leaves it out.
	UnknownDrop UnknownParams = "drop"
	// UnknownForward sends it as it is, unless it is a key that translation writes
	// itself: then there would be two of them, and it is left out.
	UnknownForward UnknownParams = "forward"
	// UnknownRefuse refuses the request.
	UnknownRefuse UnknownParams = "refuse"
)

// Values are its values as texts.
func (UnknownParams) Values() []string {
	return words(UnknownDrop, UnknownForward, UnknownRefuse)
}

// OwnParams are the keys of a chat request that translation makes. To forward a
// client's beside them would make two of them.
var OwnParams = append([]string{
	"model", "messages", "stream", "stream_options", "n", "tools", "tool_choice", "functions",
	"function_call", "response_format", "max_tokens", "max_completion_tokens", "reasoning_effort",
	"reasoning", "top_logprobs",
}, slices.DeleteFunc(slices.Clone(ParamNames), func(name string) bool {
	return name == "tool_strict" || name == "stream_usage" // those are not keys of a request
})...)

// CallIDForm is a form of tool call ids.
type CallIDForm string

// The values of CallIDForm.
const (
	// CallIDsAny takes any string.
	CallIDsAny CallIDForm = "any"
	// CallIDsAlnum9 takes nine letters and digits (Mistral).
	CallIDsAlnum9 CallIDForm = "alnum9"
)

// Values are its values as texts.
func (CallIDForm) Values() []string {
	return words(CallIDsAny, CallIDsAlnum9)
}

// CustomTools is how a server takes custom (free-form) tools.
type CustomTools string

// The values of CustomTools.
const (
	// CustomFunction shows them as functions with one string, "input".
	CustomFunction CustomTools = "function"
	// CustomNative sends them as the chat API's own type "custom", grammars
	// included.
	CustomNative CustomTools = "native"
)

// Values are its values as texts.
func (CustomTools) Values() []string {
	return words(CustomFunction, CustomNative)
}

// CallMarkup says what is done about calls that a backend leaves in its text, in the
// markup of the model's chat template.
type CallMarkup string

// The values of CallMarkup.
const (
	// MarkupCalls makes calls of them: of text at the end of a reply that is nothing but
	// calls of tools that the request has. What only looks like that stays text, and is
	// reported.
	MarkupCalls CallMarkup = "calls"
	// MarkupReport leaves them in the text, and reports them.
	MarkupReport CallMarkup = "report"
	// MarkupOff does not look.
	MarkupOff CallMarkup = "off"
)

// Values are its values as texts.
func (CallMarkup) Values() []string {
	return words(MarkupCalls, MarkupReport, MarkupOff)
}

// Replay says which earlier reasoning goes back to the server.
type Replay string

// The values of Replay.
const (
	// ReplayAuto sends none back until the server has given reasoning in a field of its
	// own together with a call: from then on it is ReplayLoop, unless that is refused.
	ReplayAuto Replay = "auto"
	// ReplayNone sends none back.
	ReplayNone Replay = "none"
	// ReplayLoop sends back what came after the last user message: the
	// reasoning of a tool loop that is still going on.
	ReplayLoop Replay = "loop"
	// ReplayAll sends back all of it.
	ReplayAll Replay = "all"
)

// defaultReplayField is where most servers that take reasoning back read it.
const defaultReplayField = "reasoning_content"

// replayField is ReplayField, or what stands for it.
func (h *ReasoningHabits) replayField() string {
	if h.ReplayField == "" {
		return defaultReplayField
	}
	return h.ReplayField
}

// replay is Replay as it is for now.
func (h *ReasoningHabits) replay() Replay {
	if h.Replay == ReplayAuto {
		return ReplayNone
	}
	return h.Replay
}

// Values are its values as texts.
func (Replay) Values() []string {
	return words(ReplayAuto, ReplayNone, ReplayLoop, ReplayAll)
}

// EffortForm is how a chat request asks for reasoning effort.
type EffortForm string

// The values of EffortForm.
const (
	// EffortField is "reasoning_effort":"low".
	EffortField EffortForm = "reasoning_effort"
	// EffortObject is "reasoning":{"effort":"low"} (OpenRouter).
	EffortObject EffortForm = "reasoning"
	// EffortEnabled is "reasoning":{"enabled":true}, a switch (Together).
	EffortEnabled EffortForm = "reasoning_enabled"
	// EffortThinking is "thinking":{"type":"enabled"}, a switch (GLM, Kimi).
	EffortThinking EffortForm = "thinking"
	// EffortThinkingField is the switch "thinking" with "reasoning_effort" beside
	// it when it is on (DeepSeek). The word "disabled" turns it off.
	EffortThinkingField EffortForm = "thinking_and_effort"
	// EffortEnable is "enable_thinking":true, a switch (Qwen's own API).
	EffortEnable EffortForm = "enable_thinking"
	// EffortTemplate is "chat_template_kwargs":{"enable_thinking":true}, a switch
	// of the chat template (Qwen, GLM and others on vLLM, SGLang, llama.cpp).
	EffortTemplate EffortForm = "chat_template_kwargs"
	// EffortUnknown leaves it out, and reports it.
	EffortUnknown EffortForm = "none"
)

// Values are its values as texts.
func (EffortForm) Values() []string {
	return words(EffortField, EffortObject, EffortEnabled, EffortThinking, EffortThinkingField, EffortEnable, EffortTemplate, EffortUnknown)
}

// ThinkTags says how to treat <think> in the text of a reply.
type ThinkTags string

// The values of ThinkTags.
const (
	// TagsOff leaves the text alone.
	TagsOff ThinkTags = "off"
	// TagsAuto splits off reasoning when the text begins with <think>.
	TagsAuto ThinkTags = "auto"
	// TagsImplicit takes all text up to </think> for reasoning, for templates
	// that have opened the tag in the prompt.
	TagsImplicit ThinkTags = "implicit"
)

// Values are its values as texts.
func (ThinkTags) Values() []string {
	return words(TagsOff, TagsAuto, TagsImplicit)
}

// ParamSet is a set of optional request keys of the Chat Completions API.
type ParamSet uint32

// The optional request keys that dialects differ in. ParamNames has their names.
const (
	ParamTemperature ParamSet = 1 << iota
	ParamTopP
	ParamPresencePenalty
	ParamFrequencyPenalty
	ParamLogprobs
	ParamParallelToolCalls
	ParamToolStrict
	ParamVerbosity
	ParamServiceTier
	ParamUser
	ParamSafetyIdentifier
	ParamPromptCacheKey
	ParamPromptCacheRetention
	ParamModeration
	ParamStreamUsage
)

// ParamNames are the configuration's names of the ParamSet bits, lowest first.
var ParamNames = []string{
	"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs",
	"parallel_tool_calls", "tool_strict", "verbosity", "service_tier", "user",
	"safety_identifier", "prompt_cache_key", "prompt_cache_retention", "moderation",
	"stream_usage",
}

// Names are the names of the set's bits, lowest first.
func (ParamSet) Names() []string { return ParamNames }

// Has reports whether all of p is in the set.
func (s ParamSet) Has(p ParamSet) bool { return s&p == p }

// ChoiceSet is a set of tool_choice forms.
type ChoiceSet uint8

// The forms of tool_choice. "auto" needs no bit: every server has it, as its default.
const (
	ChoiceNone     ChoiceSet = 1 << iota // "none"
	ChoiceRequired                       // "required"
	ChoiceNamed                          // one function by name
	ChoiceAllowed                        // {"type":"allowed_tools"}
)

// ChoiceNames are the configuration's names of the ChoiceSet bits, lowest first.
var ChoiceNames = []string{"none", "required", "named", "allowed_tools"}

// Names are the names of the set's bits, lowest first.
func (ChoiceSet) Names() []string { return ChoiceNames }

// Has reports whether all of c is in the set.
func (s ChoiceSet) Has(c ChoiceSet) bool { return s&c == c }
