package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// chatParam numbers the parameters of POST /chat/completions in the order in
// which the live API reports faults in them (docs/PROTOCOL.md §6.1).
type chatParam uint8

const (
	cModel chatParam = iota
	cMessages
	cFunctions
	cFunctionCall
	cTools
	cToolChoice
	cParallelToolCalls
	cMaxCompletionTokens
	cN
	cTemperature
	cTopP
	cPresencePenalty
	cFrequencyPenalty
	cLogprobs
	cTopLogprobs
	cUser
	cSeed
	cModeration
	cSafetyIdentifier
	cPromptCacheOptions
	cPromptCacheKey
	cPromptCacheRetention
	cResponseFormat
	cServiceTier
	cMaxTokens
	cReasoningEffort
	cLogitBias
	cStop
	cStream
	cStreamOptions
	cStore
	cMetadata
	cPrediction
	cVerbosity
	cModalities
	cAudio
	cWebSearchOptions
	numChatParams
)

// chatParamNames are the wire names, by chatParam.
var chatParamNames = [numChatParams]string{
	"model", "messages", "functions", "function_call", "tools", "tool_choice", "parallel_tool_calls",
	"max_completion_tokens", "n", "temperature", "top_p", "presence_penalty", "frequency_penalty",
	"logprobs", "top_logprobs", "user", "seed", "moderation", "safety_identifier",
	"prompt_cache_options", "prompt_cache_key", "prompt_cache_retention", "response_format",
	"service_tier", "max_tokens", "reasoning_effort", "logit_bias", "stop", "stream",
	"stream_options", "store", "metadata", "prediction", "verbosity", "modalities", "audio",
	"web_search_options",
}

// chatParamByName looks a parameter up.
func chatParamByName(name []byte) chatParam {
	for p := range chatParamNames {
		if chatParamNames[p] == string(name) {
			return chatParam(p)
		}
	}
	return numChatParams
}

// ChatRequest is one POST /chat/completions for a backend that speaks Responses,
// read and validated. It is meant to be pooled: Parse starts over and keeps
// memory. Nothing in it outlives the body it was parsed from.
type ChatRequest struct {
	// Stream and Store are what the client asked for, or the API's default.
	Stream, Store bool
	// N is how many choices the client wants: as many requests are sent, because
	// the Responses API gives one.
	N int
	// IncludeUsage is stream_options.include_usage.
	IncludeUsage bool
	// Obfuscation is stream_options.include_obfuscation, when HasObfuscation.
	Obfuscation, HasObfuscation bool
	// Logprobs says that the client wants them.
	Logprobs bool
	// ParallelCalls is parallel_tool_calls.
	ParallelCalls bool
	// Legacy says that the client knows functions and function_call, and not
	// tools: a call is told in their form, and there is at most one.
	Legacy bool
	// Misplaced says that the client has sent a request of the Responses API, of which
	// this one was made: errors keep the names of that.
	Misplaced bool

	doc      jsonx.Doc
	params   [numChatParams]uint32 // node of each parameter's value; 0 where absent or null
	unknown  []uint32              // nodes of unknown keys
	messages []frontMessage
	calls    []frontCall // of all messages, in their order
	tools    chatTools
	stops    [][]byte // the stop sequences, decoded

	reasoning uint32 // node of the object reasoning, which is the Responses API's
	mixed     bool   // there are tools or parts in the form of the Responses API

	itemFrom []int  // by index of an input item: the message that it came from
	scratch  []byte // a decoded string
}

// maxChoices bounds n: each choice is a request of its own.
const maxChoices = 8

// maxStops is how many stop sequences the API takes.
const maxStops = 4

// Parse reads and validates a request body and returns what is wrong with it as
// the Chat Completions API would say it, or nil. The body must not change while
// the request is in use. Lone surrogate escapes in it are overwritten.
func (r *ChatRequest) Parse(body []byte, lim RequestLimits) *Error {
	r.reset()
	lim.Mend = true
	if err := r.doc.Parse(body, lim.Limits); err != nil {
		return badJSON(err)
	}
	if r.doc.Kind(jsonx.Root) != jsonx.Object {
		return invalid("invalid_type", "", "Invalid type for the request body: expected an object, but got "+got(&r.doc, jsonx.Root)+" instead.")
	}
	if lim.Items <= 0 {
		lim.Items = defaultItems
	}
	return r.validate(lim)
}

func (r *ChatRequest) reset() {
	const most = 4096
	r.doc.Reset()
	messages, calls, unknown, from, scratch := r.messages, r.calls, r.unknown, r.itemFrom, r.scratch
	if cap(messages) > most || cap(calls) > most || cap(unknown) > most || cap(scratch) > 16*most {
		messages, calls, unknown, from, scratch = nil, nil, nil, nil, nil
	}
	r.tools.reset()
	clear(r.stops)
	*r = ChatRequest{
		doc: r.doc, messages: messages[:0], calls: calls[:0], unknown: unknown[:0], tools: r.tools,
		stops: r.stops[:0], itemFrom: from[:0], scratch: scratch[:0], N: 1, ParallelCalls: true,
	}
}

// has reports whether a parameter is there and not null.
func (r *ChatRequest) has(p chatParam) bool { return r.params[p] != 0 }

// Model is the model name as the client gave it.
func (r *ChatRequest) Model() string { return r.doc.Text(r.params[cModel]) }

// PromptCacheKey is prompt_cache_key, or "".
func (r *ChatRequest) PromptCacheKey() string {
	if !r.has(cPromptCacheKey) {
		return ""
	}
	return r.doc.Text(r.params[cPromptCacheKey])
}

// validate goes through the stages of docs/PROTOCOL.md §6.1 as far as they need no backend.
func (r *ChatRequest) validate(lim RequestLimits) *Error {
	d := &r.doc
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch p := chatParamByName(keyOf(d, k)); {
		case d.Is(k, "reasoning") && d.Kind(k+1) == jsonx.Object:
			r.reasoning = k + 1
		case p == numChatParams:
			r.unknown = append(r.unknown, k)
		case d.Kind(k+1) != jsonx.Null:
			r.params[p] = k + 1
		}
	}
	model, messages := r.params[cModel], r.params[cMessages]
	switch {
	case model == 0, d.Kind(model) == jsonx.String && len(d.Str(model)) == 0:
		return invalid("", "", "you must provide a model parameter")
	case d.Kind(model) != jsonx.String:
		return errType("model", "a string", got(d, model))
	case messages == 0 && r.unknownKey("input") != 0:
		return invalid("missing_required_parameter", "messages", "Missing required parameter: 'messages'. "+
			"The body looks like one of the Responses API; send those to /v1/responses.")
	case messages == 0:
		return errMissing("messages")
	}
	for p := cMessages; p < numChatParams; p++ {
		if n := r.params[p]; n != 0 {
			if err := r.validateParam(p, n, lim); err != nil {
				return err
			}
		}
	}
	if err := r.readMixed(lim); err != nil {
		return err
	}
	return r.validateTogether()
}

// readMixed reads the parameters of the Responses API that stand in a body which has
// tools or parts of that API, too: Cursor mixes both. In others they are refused, with
// the name of the new place (responses_moved.go).
func (r *ChatRequest) readMixed(lim RequestLimits) *Error {
	if !r.mixed {
		return nil
	}
	d, rest := &r.doc, r.unknown[:0]
	for _, k := range r.unknown {
		switch verbosity := d.Get(k+1, "verbosity"); {
		case d.Is(k, "max_output_tokens") && !r.has(cMaxTokens) && !r.has(cMaxCompletionTokens) && d.Present(k+1):
			if err := checkInteger(d, k+1, "max_output_tokens", 1, 1<<53); err != nil {
				return err
			}
			r.params[cMaxTokens] = k + 1
		case d.Is(k, "text") && d.Len(k+1) == 1 && verbosity != 0 && !r.has(cVerbosity):
			if err := r.validateParam(cVerbosity, verbosity, lim); err != nil {
				return err
			}
			r.params[cVerbosity] = verbosity
		default:
			rest = append(rest, k)
		}
	}
	r.unknown = rest
	return nil
}

func (r *ChatRequest) unknownKey(name string) uint32 {
	for _, k := range r.unknown {
		if r.doc.Is(k, name) {
			return k
		}
	}
	return 0
}
