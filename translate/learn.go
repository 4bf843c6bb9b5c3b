package translate

import (
	"bytes"
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Learn finds out from a backend's refusal (a status of 400, 422, 500 or 501, with its body)
// what it does not take of the request chat that it was sent, and how to say the
// same to it. It returns the fact by which the dialect has to be changed for
// that, or false if there is none.
//
// What a client got wrong teaches nothing: a value that is out of range, a schema
// that is broken, a model that is not there. So a refusal counts only if it names
// something that was sent and says that the backend does not know it or does not
// take it, and if the dialect has another way.
func Learn(d *Dialect, status int, body, chat []byte) (fact Fact, ok bool) {
	switch status {
	case 400, 422, 500, 501: // llama.cpp says 500 of what it does not support
	default:
		return Fact{}, false
	}
	r := refusal{text: refusalText(body)}
	if r.text == "" || r.doc.Parse(chat, upstreamLimits) != nil || r.doc.Kind(jsonx.Root) != jsonx.Object {
		return Fact{}, false
	}
	r.unsupported = containsAny(r.text, unsupportedPhrases)
	for _, l := range lessons {
		fact, told := l(&r, d)
		if !told {
			continue
		}
		if _, changes := d.With(fact); changes {
			return fact, true
		}
	}
	return Fact{}, false
}

// refusal is an error of a backend beside the request that it is about.
type refusal struct {
	text        string // all strings of the error, in lower case
	unsupported bool   // it says that something is not known or not taken
	doc         jsonx.Doc
}

// unsupportedPhrases are how servers say that they do not know or do not take
// something. Evidence: docs/BACKENDS.md §2, captures llama-* and ollama-*.
var unsupportedPhrases = []string{
	"unrecognized", "unknown param", "unknown field", "unknown argument", "unknown name", "unknown key", "unknown property",
	"unsupported", "not supported", "not support", "n't support", "extra inputs are not permitted", "extra_forbidden",
	"extra fields not permitted", "additional properties", "unexpected keyword", "unexpected property", "unexpected field",
	"not a valid parameter", "not a recognized", "not recognized", "cannot find field", "no longer supported", "not permitted",
	"not allowed", "is not available", "only the default", "incompatible", "cannot be used",
	"is allowed for this model", // Kimi: "invalid temperature: only 1 is allowed for this model"
}

// refusalText collects the strings of an error body, in lower case.
func refusalText(body []byte) string {
	const most = 8 << 10
	body = body[:min(len(body), most)]
	var d jsonx.Doc
	if d.Parse(body, upstreamLimits) != nil {
		return strings.ToLower(strings.ToValidUTF8(string(bytes.TrimSpace(body)), "\ufffd"))
	}
	var b strings.Builder
	collectStrings(&b, &d, jsonx.Root)
	return strings.ToLower(b.String())
}

func collectStrings(b *strings.Builder, d *jsonx.Doc, n uint32) {
	switch d.Kind(n) {
	case jsonx.String:
		b.WriteString(d.Text(n))
		b.WriteByte('\n')
	case jsonx.Array:
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			collectStrings(b, d, v)
		}
	case jsonx.Object:
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			// "input" is where validators repeat what they were sent.
			if !bytes.Equal(d.Str(k), []byte("input")) {
				collectStrings(b, d, k+1)
			}
		}
	}
}

func containsAny(text string, phrases []string) bool {
	for _, p := range phrases {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// names reports whether the refusal names one of these words.
func (r *refusal) names(words ...string) bool {
	for _, w := range words {
		for from := 0; ; {
			i := strings.Index(r.text[from:], w)
			if i < 0 {
				break
			}
			i += from
			end := i + len(w)
			if (i == 0 || !wordByte(r.text[i-1])) && (end == len(r.text) || !wordByte(r.text[end])) {
				return true
			}
			from = end
		}
	}
	return false
}

func wordByte(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// sent is the value of a key of the request, or 0.
func (r *refusal) sent(key string) uint32 { return r.doc.Get(jsonx.Root, key) }

// message reports whether a message of the request is as ok says.
func (r *refusal) message(ok func(d *jsonx.Doc, m uint32) bool) bool {
	d := &r.doc
	list := r.sent("messages")
	if d.Kind(list) != jsonx.Array {
		return false
	}
	for m, end := d.First(list), d.End(list); m < end; m = d.Next(m) {
		if ok(d, m) {
			return true
		}
	}
	return false
}

func (r *refusal) sentRole(role string) bool {
	return r.message(func(d *jsonx.Doc, m uint32) bool { return d.Is(d.Get(m, "role"), role) })
}

func (r *refusal) sentMember(key string) bool {
	return r.message(func(d *jsonx.Doc, m uint32) bool { return d.Get(m, key) != 0 })
}

// sentPart reports whether a message has a content part of that type.
func (r *refusal) sentPart(typ string) bool {
	return r.message(func(d *jsonx.Doc, m uint32) bool {
		content := d.Get(m, "content")
		if d.Kind(content) != jsonx.Array {
			return false
		}
		for v, end := d.First(content), d.End(content); v < end; v = d.Next(v) {
			if d.Is(d.Get(v, "type"), typ) {
				return true
			}
		}
		return false
	})
}

// lessons are what refusals can teach, the more particular before the more general.
var lessons = []func(r *refusal, d *Dialect) (Fact, bool){
	learnMaxTokens, learnRoles, learnSingleCalls, learnReasoningReplay, learnSignature, learnStreamOnly, learnCallIDs, learnToolChoice, learnStructured, learnEffort,
	learnParts, learnContent, learnStrict, learnStreamUsage, learnParams, learnExtraParams, learnInserted,
}

func learnMaxTokens(r *refusal, _ *Dialect) (Fact, bool) {
	const old, current = "max_tokens", "max_completion_tokens"
	switch {
	case r.sent(old) != 0 && r.names(current) && (r.unsupported || r.names("use", "instead")):
		return Fact{"max_tokens_field", current}, true
	case r.sent(current) != 0 && r.unsupported && r.names(current):
		return Fact{"max_tokens_field", old}, true
	case r.sent(old) != 0 && r.unsupported && r.names(old):
		return Fact{"max_tokens_field", current}, true
	}
	return Fact{}, false
}

func learnRoles(r *refusal, d *Dialect) (Fact, bool) {
	switch {
	case r.sentRole("developer") && r.names("developer", "role", "roles"):
		// "developer is not one of ['system', 'assistant', …]", "Incorrect role
		// information" (GLM), "Unexpected role" (vLLM's templates).
		return Fact{"developer_role", "false"}, true
	case r.sentRole("system") && containsAny(r.text, []string{
		"system message must be at the beginning", "system message must be the first", "only one system message",
		"multiple system messages", "system role must be first", "system message should be the first", "system messages must come first",
	}):
		return Fact{"system_messages", string(SystemHead)}, true
	case r.sentRole("system") && containsAny(r.text, []string{
		"system role not supported", "system role is not supported", "system messages are not supported", "does not support system",
	}):
		return Fact{"system_messages", string(SystemUser)}, true
	case r.sentRole("system") && strings.Contains(r.text, "roles are supported, got system"): // opencode#5034: at the head there may be one
		if d.SystemMessages == SystemAnywhere {
			return Fact{"system_messages", string(SystemHead)}, true
		}
		return Fact{"system_messages", string(SystemUser)}, true
	case containsAny(r.text, []string{"roles must alternate", "alternate user/assistant", "alternating user and assistant", "must alternate between"}):
		if d.AlternateRoles { // for templates that do not count messages with calls, a user after a result is one too many
			return Fact{"assistant_after_tool", "true"}, true
		}
		return Fact{"alternate_roles", "true"}, true
	case containsAny(r.text, []string{"unexpected role 'user' after role 'tool'", "unexpected role \"user\" after role \"tool\""}):
		return Fact{"assistant_after_tool", "true"}, true
	}
	return Fact{}, false
}

// learnSingleCalls: templates such as Llama 3.1's raise where a message has more than
// one call ("This model only supports single tool-calls at once!").
func learnSingleCalls(r *refusal, _ *Dialect) (Fact, bool) {
	several := r.message(func(d *jsonx.Doc, m uint32) bool { return d.Len(d.Get(m, "tool_calls")) > 1 })
	if several && containsAny(r.text, []string{"single tool-call", "single tool call", "one tool call at a time", "only one tool call"}) {
		return Fact{"tools.single_calls", "true"}, true
	}
	return Fact{}, false
}

func learnReasoningReplay(r *refusal, d *Dialect) (Fact, bool) {
	field := d.Reasoning.replayField()
	const details = "reasoning_details"
	switch {
	case d.Reasoning.Details && r.sentMember(details) && r.unsupported && r.names(details):
		return Fact{"reasoning.details", "false"}, true
	case r.sentMember(field) && r.unsupported && r.names(field):
		return Fact{"reasoning.replay", string(ReplayNone)}, true
	case r.sentMember("tool_calls") && r.names(field) && !r.unsupported &&
		containsAny(r.text, []string{"missing", "must be", "required", "passed back", "is not provided"}):
		// First that of the tool loop, then all of it; and where there is none to be
		// had, such as for the calls of another model, something in its place.
		switch {
		case d.Reasoning.replay() == ReplayNone:
			return Fact{"reasoning.replay", string(ReplayLoop)}, true
		case d.Reasoning.Replay == ReplayLoop:
			return Fact{"reasoning.replay", string(ReplayAll)}, true
		case d.Reasoning.Placeholder == "":
			return Fact{"reasoning.placeholder", " "}, true
		}
	}
	return Fact{}, false
}

// learnSignature: Gemini wants a signature with the calls of a turn, also with those
// that it has not made.
func learnSignature(r *refusal, _ *Dialect) (Fact, bool) {
	if r.sentMember("tool_calls") && containsAny(r.text, []string{"missing a thought_signature", "missing a `thought_signature`"}) {
		return Fact{"tools.call_placeholder", signaturePlaceholder}, true
	}
	return Fact{}, false
}

// learnStreamOnly: Qwen's open models only think in streams.
func learnStreamOnly(r *refusal, d *Dialect) (Fact, bool) {
	if r.sent("stream") == 0 && d.Reasoning.EffortForm == EffortEnable && containsAny(r.text, []string{"must be set to false for non-streaming"}) {
		return Fact{"reasoning.stream_only", "true"}, true
	}
	return Fact{}, false
}

func learnCallIDs(r *refusal, _ *Dialect) (Fact, bool) {
	if r.sentMember("tool_calls") && containsAny(r.text, []string{"a-z, a-z, 0-9, with a length of 9", "^[a-za-z0-9]{9}$"}) {
		return Fact{"tools.call_ids", string(CallIDsAlnum9)}, true
	}
	return Fact{}, false
}

func learnToolChoice(r *refusal, d *Dialect) (Fact, bool) {
	choice := r.sent("tool_choice")
	if choice == 0 || !r.names("tool_choice", "tool choice", "toolchoice") {
		return Fact{}, false
	}
	form := ""
	switch {
	case containsAny(r.text, []string{"unrecognized request argument", "unknown parameter", "unknown name", "extra inputs", "unknown field", "property 'tool_choice'"}) &&
		!r.names("allowed_tools", "required", "none", "auto", "any", "function"):
		return Fact{"tools.choices", "false"}, true // the key as such
	case r.doc.Is(choice, "none"):
		form = "none"
	case r.doc.Is(choice, "required") && strings.Contains(r.text, "'any'"): // Mistral's word for it
		return Fact{"tools.required_word", "any"}, true
	case r.doc.Is(choice, d.Tools.RequiredWord) && r.doc.Kind(choice) == jsonx.String:
		form = "required"
	case r.doc.Kind(choice) == jsonx.Object && r.doc.Is(r.doc.Get(choice, "type"), "allowed_tools"):
		form = "allowed_tools"
	case r.doc.Kind(choice) == jsonx.Object:
		form = "named"
	}
	// A tool that is not among the tools is the client's affair.
	if form == "" || containsAny(r.text, []string{"not found", "does not match any", "no tool named"}) {
		return Fact{}, false
	}
	if r.unsupported || containsAny(r.text, []string{"must be", "should be", "invalid", "not one of", "input should"}) {
		return Fact{"tools.choices." + form, "false"}, true
	}
	return Fact{}, false
}

func learnStructured(r *refusal, d *Dialect) (Fact, bool) {
	format := r.sent("response_format")
	if format == 0 || !r.names("response_format", "json_schema", "json_object", "structured", "json mode", "response format") {
		return Fact{}, false
	}
	if !r.unsupported && !containsAny(r.text, []string{"not one of", "input should be", "must be", "unavailable"}) {
		return Fact{}, false
	}
	if containsAny(r.text, []string{"invalid schema", "in context", "additionalproperties", "unresolv"}) { // the schema is at fault
		return Fact{}, false
	}
	if r.doc.Is(r.doc.Get(format, "type"), "json_schema") && d.Structured == StructuredSchema {
		return Fact{"structured_output", string(StructuredObject)}, true
	}
	return Fact{"structured_output", string(StructuredNone)}, true
}

// efforts are the words of reasoning efforts in order.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

func learnEffort(r *refusal, _ *Dialect) (Fact, bool) {
	sent := r.sent("reasoning_effort")
	if sent == 0 || !r.names("reasoning_effort", "reasoning effort", "reasoning value", "think value", "not support thinking", "reasoningeffort") {
		return Fact{}, false
	}
	asked := r.doc.Text(sent)
	at := -1
	for i, e := range efforts {
		if e == asked {
			at = i
		}
	}
	// The nearest of the words that the refusal names is meant to be the way out.
	best, distance := "", len(efforts)
	for i, e := range slices.Backward(efforts) { // of two as near, the larger
		if at < 0 || i == at || !r.names(e) {
			continue
		}
		if n := max(i-at, at-i); n < distance {
			best, distance = e, n
		}
	}
	switch {
	case best != "" && (r.unsupported || containsAny(r.text, []string{"must be", "should be", "not one of", "invalid", "supported values", "expected"})):
		return Fact{"reasoning.efforts." + asked, best}, true
	case r.unsupported:
		return Fact{"reasoning.effort_form", string(EffortUnknown)}, true
	}
	return Fact{}, false
}

func learnParts(r *refusal, _ *Dialect) (Fact, bool) {
	for _, p := range []struct {
		part, key string
		words     []string
	}{
		{"image_url", "images", []string{"image_url", "image", "images", "multimodal", "vision", "mmproj"}},
		{"input_audio", "audio", []string{"input_audio", "audio"}},
		{"file", "files", []string{"file", "files"}},
	} {
		if r.sentPart(p.part) && r.names(p.words...) &&
			(r.unsupported || containsAny(r.text, []string{"not a multimodal", "unknown variant", "invalid content type", "unknown part"})) {
			return Fact{p.key, "false"}, true
		}
	}
	return Fact{}, false
}

func learnContent(r *refusal, d *Dialect) (Fact, bool) {
	parts := r.message(func(d *jsonx.Doc, m uint32) bool { return d.Kind(d.Get(m, "content")) == jsonx.Array })
	if parts && strings.Contains(r.text, "invalid type: sequence, expected a string") {
		return Fact{"join_text", "true"}, true // serde (DeepSeek) names the message, or only the place in the body
	}
	if parts && r.names("content") && containsAny(r.text, []string{"must be a string", "valid string", "expected a string", "str type expected", "string_type", "expected string", "'array' not in 'string'", "content to be a string", "content as a string", "cannot unmarshal array", "invalid type: sequence, expected a string", "not of type 'string'", "is not of type string", "got array", "type mismatch"}) {
		return Fact{"join_text", "true"}, true
	}
	null := r.message(func(d *jsonx.Doc, m uint32) bool {
		return d.Get(m, "tool_calls") != 0 && d.Kind(d.Get(m, "content")) == jsonx.Null
	})
	if null && d.CallContent == CallContentNull && r.names("content") &&
		containsAny(r.text, []string{"null", "none", "must be a string", "valid string", "missing", "required", "expected a string"}) {
		return Fact{"call_content", string(CallContentEmpty)}, true
	}
	return Fact{}, false
}

func learnStrict(r *refusal, _ *Dialect) (Fact, bool) {
	d, tools := &r.doc, r.sent("tools")
	if d.Kind(tools) != jsonx.Array || !r.unsupported || !r.names("strict") {
		return Fact{}, false
	}
	for v, end := d.First(tools), d.End(tools); v < end; v = d.Next(v) {
		if d.Get(d.Get(v, "function"), "strict") != 0 {
			return Fact{"accepts.tool_strict", "false"}, true
		}
	}
	return Fact{}, false
}

func learnStreamUsage(r *refusal, _ *Dialect) (Fact, bool) {
	if r.sent("stream_options") != 0 && r.unsupported && r.names("stream_options", "include_usage") {
		return Fact{"accepts.stream_usage", "false"}, true
	}
	return Fact{}, false
}

func learnParams(r *refusal, _ *Dialect) (Fact, bool) {
	if !r.unsupported {
		return Fact{}, false
	}
	for _, name := range ParamNames {
		named := r.names(name, strings.ReplaceAll(name, "_", "")) // xAI: presencePenalty
		if name == "logprobs" {
			named = named || r.names("top_logprobs")
		}
		if named && r.sent(name) != 0 {
			return Fact{"accepts." + name, "false"}, true
		}
	}
	return Fact{}, false
}

func learnExtraParams(r *refusal, d *Dialect) (Fact, bool) {
	if !r.unsupported {
		return Fact{}, false
	}
	for _, name := range d.ExtraParams {
		if r.sent(name) != 0 && r.names(strings.ToLower(name)) {
			return Fact{"extra_params." + name, "false"}, true
		}
	}
	return Fact{}, false
}
