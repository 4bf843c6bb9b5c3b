package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// param numbers the parameters of POST /responses in the order in which the
// live API reports faults in them (docs/PROTOCOL.md §2.1).
type param uint8

const (
	pModel param = iota
	pInput
	pPreviousResponseID
	pPrompt
	pModeration
	pInclude
	pTools
	pToolChoice
	pMetadata
	pText
	pTemperature
	pTopP
	pPresencePenalty
	pFrequencyPenalty
	pParallelToolCalls
	pStream
	pStreamOptions
	pBackground
	pMaxOutputTokens
	pMaxToolCalls
	pReasoning
	pUser
	pSafetyIdentifier
	pPromptCacheOptions
	pPromptCacheKey
	pPromptCacheRetention
	pTruncation
	pInstructions
	pStore
	pServiceTier
	pTopLogprobs
	pContextManagement
	pConversation
	pAccessPrograms
	pImage
	pMultiAgent
	pLog
	numParams
	pUnknown = numParams
)

// paramNames are the wire names, by param.
var paramNames = [numParams]string{
	"model", "input", "previous_response_id", "prompt", "moderation", "include", "tools", "tool_choice",
	"metadata", "text", "temperature", "top_p", "presence_penalty", "frequency_penalty",
	"parallel_tool_calls", "stream", "stream_options", "background", "max_output_tokens",
	"max_tool_calls", "reasoning", "user", "safety_identifier", "prompt_cache_options",
	"prompt_cache_key", "prompt_cache_retention", "truncation", "instructions", "store",
	"service_tier", "top_logprobs", "context_management", "conversation", "access_programs",
	"image", "multi_agent", "log",
}

// paramByName looks a parameter up. The compiler turns the switch into a search
// by length and bytes.
func paramByName(name []byte) param {
	switch string(name) {
	case "model":
		return pModel
	case "input":
		return pInput
	case "previous_response_id":
		return pPreviousResponseID
	case "prompt":
		return pPrompt
	case "moderation":
		return pModeration
	case "include":
		return pInclude
	case "tools":
		return pTools
	case "tool_choice":
		return pToolChoice
	case "metadata":
		return pMetadata
	case "text":
		return pText
	case "temperature":
		return pTemperature
	case "top_p":
		return pTopP
	case "presence_penalty":
		return pPresencePenalty
	case "frequency_penalty":
		return pFrequencyPenalty
	case "parallel_tool_calls":
		return pParallelToolCalls
	case "stream":
		return pStream
	case "stream_options":
		return pStreamOptions
	case "background":
		return pBackground
	case "max_output_tokens":
		return pMaxOutputTokens
	case "max_tool_calls":
		return pMaxToolCalls
	case "reasoning":
		return pReasoning
	case "user":
		return pUser
	case "safety_identifier":
		return pSafetyIdentifier
	case "prompt_cache_options":
		return pPromptCacheOptions
	case "prompt_cache_key":
		return pPromptCacheKey
	case "prompt_cache_retention":
		return pPromptCacheRetention
	case "truncation":
		return pTruncation
	case "instructions":
		return pInstructions
	case "store":
		return pStore
	case "service_tier":
		return pServiceTier
	case "top_logprobs":
		return pTopLogprobs
	case "context_management":
		return pContextManagement
	case "conversation":
		return pConversation
	case "access_programs":
		return pAccessPrograms
	case "image":
		return pImage
	case "multi_agent":
		return pMultiAgent
	case "log":
		return pLog
	}
	return pUnknown
}

// RequestForm says which endpoint a request is for: they take the same
// parameters, but do not ask for the same ones.
type RequestForm uint8

// The values of RequestForm.
const (
	FormCreate  RequestForm = iota // POST /responses: model and input
	FormCount                      // POST /responses/input_tokens: nothing in particular
	FormCompact                    // POST /responses/compact: model
)

// RequestLimits bound one request body.
type RequestLimits struct {
	jsonx.Limits
	Items int // input items; 0 means 20,000
}

const defaultItems = 20_000

// Request is one POST /responses, read and validated. It is meant to be pooled:
// Parse starts over and keeps memory. Nothing in it outlives the body it was
// parsed from.
type Request struct {
	// Stream, Store and Background are what the client asked for, or the API's
	// default.
	Stream, Store, Background bool
	// IncludeLogprobs says that include asks for message.output_text.logprobs.
	IncludeLogprobs bool
	// IncludeEncrypted says that include asks for reasoning.encrypted_content.
	IncludeEncrypted bool
	// Obfuscation is stream_options.include_obfuscation, when HasObfuscation.
	Obfuscation, HasObfuscation bool
	// SummaryWanted says that reasoning.summary is not null.
	SummaryWanted bool
	// ParallelCalls is parallel_tool_calls.
	ParallelCalls bool
	// TruncateAuto says that truncation is "auto".
	TruncateAuto bool
	// Trace is the parameter log: the client wants this exchange traced.
	Trace bool

	doc     jsonx.Doc
	params  [numParams]uint32 // node of each parameter's value; 0 where absent or null
	unknown []uint32          // nodes of unknown keys
	items   []item
	refs    int  // item references among items
	loads   bool // an item brings tools
	config  configuration

	compacted bool // compaction items were opened, or added
	added     int  // items at the end that Compacted has put there

	form         RequestForm
	conversation uint32 // node of the conversation's id; 0 without

	tools    toolSet
	outs     outputIndex
	messages messages
	refDoc   jsonx.Doc
	tmp      []byte

	instruction []byte // what the model is told of text.format: the inside of a JSON string
}

// Parse reads and validates a request body and returns what is wrong with it as
// the API would say it (docs/PROTOCOL.md §2.1, §5.6), or nil. The body must not change while
// the request is in use. Lone surrogate escapes in it are overwritten.
func (r *Request) Parse(body []byte, lim RequestLimits) *Error {
	return r.ParseForm(body, FormCreate, lim)
}

// ParseForm is Parse for any of the endpoints.
func (r *Request) ParseForm(body []byte, form RequestForm, lim RequestLimits) *Error {
	r.reset()
	r.form = form
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

func (r *Request) reset() {
	const most = 4096
	items, unknown := r.items, r.unknown
	if cap(items) > most {
		items = nil
	}
	if cap(unknown) > most {
		unknown = nil
	}
	r.doc.Reset()
	r.refDoc.Reset()
	r.tools.reset()
	r.outs.reset()
	doc, refDoc, tools, outs, m, tmp := r.doc, r.refDoc, r.tools, r.outs, r.messages, r.tmp
	if cap(tmp) > most {
		tmp = nil
	}
	*r = Request{
		doc: doc, refDoc: refDoc, tools: tools, outs: outs, messages: m, tmp: tmp[:0],
		items: items[:0], unknown: unknown[:0],
		Store: true, ParallelCalls: true,
	}
}

// badJSON is the error for a body that is no JSON, or over a limit.
func badJSON(err *jsonx.SyntaxError) *Error {
	switch err.Reason {
	case jsonx.DuplicateKey:
		return invalid("", "", "We could not parse the JSON body of your request: "+err.Error()+
			". An object must not have a key twice, because readers disagree on which one counts.")
	case jsonx.TooDeep, jsonx.TooMany, jsonx.TooLong:
		return invalid("", "", "The JSON body of your request is over a limit of this server: "+err.Error()+".")
	}
	return invalid("", "", "We could not parse the JSON body of your request: "+err.Error()+
		". The API expects a JSON payload; check that the body is valid JSON and UTF-8.")
}

// has reports whether a parameter is there and not null.
func (r *Request) has(p param) bool { return r.params[p] != 0 }

// Model is the model name as the client gave it, or "" where it need not.
func (r *Request) Model() string {
	if !r.has(pModel) {
		return ""
	}
	return r.doc.Text(r.params[pModel])
}

// HasCredentials reports whether the request has credentials of tools.
func (r *Request) HasCredentials() bool { return hasCredentials(&r.doc, jsonx.Root, scopeItem) }

// PreviousResponseID is the id of the response to continue, or "".
func (r *Request) PreviousResponseID() string {
	if !r.has(pPreviousResponseID) {
		return ""
	}
	return r.doc.Text(r.params[pPreviousResponseID])
}

// ConversationID is the id of the conversation that the response is part of, or "".
func (r *Request) ConversationID() string {
	if r.conversation == 0 {
		return ""
	}
	return r.doc.Text(r.conversation)
}

// PromptCacheKey is prompt_cache_key, or nil. It aliases the body.
func (r *Request) PromptCacheKey() []byte {
	if !r.has(pPromptCacheKey) {
		return nil
	}
	return r.doc.Str(r.params[pPromptCacheKey])
}

// References are the ids of the input's item references, in their order.
func (r *Request) References() []string { return references(r.items, r.refs) }

func references(items []item, refs int) []string {
	if refs == 0 {
		return nil
	}
	ids := make([]string, 0, refs)
	for i := range items {
		if it := &items[i]; it.kind == kindReference {
			ids = append(ids, it.doc.Text(it.id))
		}
	}
	return ids
}

// GivenIDs are the ids of the input's items that have one: those that the client
// gave, and those of resolved references.
func (r *Request) GivenIDs() (ids []string) {
	for _, it := range r.given() {
		if it.id != 0 && it.kind != kindReference {
			ids = append(ids, it.doc.Text(it.id))
		}
	}
	return ids
}

// ReferencePath is the path of the n-th item reference, such as "input[2]".
func (r *Request) ReferencePath(n int) string { return referencePath(r.items, n) }

func referencePath(items []item, n int) string {
	for i := range items {
		if items[i].kind == kindReference {
			if n == 0 {
				return itemPath(i)
			}
			n--
		}
	}
	return "input"
}

// Multiline reports whether the body has line ends between its values.
func (r *Request) Multiline() bool { return r.doc.Multiline }
