package translate

import (
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// LearnResponses is Learn for a backend that speaks Responses and has refused
// what a chat request was translated to. It is about what the translation has
// added, or what a chat client may take for granted; what else the client asked
// for, it asked of this backend.
func LearnResponses(d *Dialect, status int, body, sent []byte) (fact Fact, ok bool) {
	if status != 400 && status != 422 {
		return Fact{}, false
	}
	r := refusal{text: refusalText(body)}
	if r.doc.Parse(sent, upstreamLimits) != nil || r.doc.Kind(jsonx.Root) != jsonx.Object {
		return Fact{}, false
	}
	if fact, ok := learnDemand(&r, d); ok {
		return fact, true
	}
	if !containsAny(r.text, unsupportedPhrases) {
		return Fact{}, false
	}
	doc := &r.doc
	has := func(list uint32, ok func(v uint32) bool) bool {
		if doc.Kind(list) != jsonx.Array {
			return false
		}
		for v, end := doc.First(list), doc.End(list); v < end; v = doc.Next(v) {
			if ok(v) {
				return true
			}
		}
		return false
	}
	for _, l := range []struct {
		key  string
		told bool
	}{
		// Models that do not reason: "Encrypted content is not supported with this model."
		{"responses.encrypted_reasoning", r.names("encrypted", "encrypted_content", "include") &&
			has(r.sent("include"), func(v uint32) bool { return doc.Is(v, "reasoning.encrypted_content") })},
		{"responses.logprobs", r.names("logprobs", "message.output_text.logprobs", "top_logprobs", "include") &&
			has(r.sent("include"), func(v uint32) bool { return doc.Is(v, "message.output_text.logprobs") }) &&
			!has(r.sent("include"), func(v uint32) bool { return doc.Is(v, "reasoning.encrypted_content") })},
		{"responses.penalties", r.names("presence_penalty", "presencepenalty") && r.sent("presence_penalty") != 0 ||
			r.names("frequency_penalty", "frequencypenalty") && r.sent("frequency_penalty") != 0},
		{"responses.developer_role", r.names("developer") &&
			has(r.sent("input"), func(v uint32) bool { return doc.Is(doc.Get(v, "role"), "developer") })},
	} {
		fact := Fact{l.key, "false"}
		if _, changes := d.With(fact); l.told && changes {
			return fact, true
		}
	}
	return learnRefused(&r, d, body)
}

// learnDemand finds out what the backend insists on: streams, or instructions.
func learnDemand(r *refusal, d *Dialect) (fact Fact, ok bool) {
	doc := &r.doc
	demands := containsAny(r.text, []string{"must be", "required", "only support", "missing", "have to"})
	for _, l := range []struct {
		key  string
		told bool
	}{
		// "Stream must be set to true" (backends of coding agents), "stream is required".
		{"responses.stream_only", demands && r.names("stream", "streaming") && doc.Kind(r.sent("stream")) != jsonx.True &&
			!containsAny(r.text, []string{"set to false", "must be false"})},
		{"responses.instructions", demands && r.names("instructions") && !doc.Present(r.sent("instructions"))},
	} {
		fact = Fact{l.key, "true"}
		if _, changes := d.With(fact); l.told && changes {
			return fact, true
		}
	}
	return Fact{}, false
}

// refusable are the parameters that a backend may be asked again without: what chat
// clients always send, or what the translation adds. What an answer depends on is not
// among them. The ones with a dot stand before what they are in.
var refusable = []string{
	"reasoning.summary", "reasoning.generate_summary", "reasoning.effort", "reasoning", "text.verbosity", "temperature", "top_p", "max_output_tokens",
	"parallel_tool_calls", "service_tier", "user", "safety_identifier",
	"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "moderation", "metadata", "store",
	"stream_options", "top_logprobs",
}

// learnRefused finds the parameter that a refusal is about: the one that its param
// names, or that its words name as such.
func learnRefused(r *refusal, d *Dialect, body []byte) (fact Fact, ok bool) {
	param := jsonx.Lookup(body, "error", "param").Str
	if jsonx.Lookup(body, "error", "code").Str == "unsupported_value" && containsAny(r.text, []string{"supported values are"}) {
		return Fact{}, false // the client chose it, and has others to choose from
	}
	for _, name := range refusable {
		outer, inner, nested := strings.Cut(name, ".")
		n := r.sent(outer)
		if nested {
			n = r.doc.Get(n, inner)
		}
		if n == 0 {
			continue
		}
		told := param == name || param == "" && r.namesParam(name) || nested && (r.namesParam(inner) && (param == "" || param == outer))
		if fact = (Fact{"responses.refuses." + name, "true"}); told {
			if _, changes := d.With(fact); changes {
				return fact, true
			}
		}
	}
	return Fact{}, false
}

// namesParam reports whether the refusal names a parameter. Many are ordinary words, so
// they have to stand in quotes, alone, or after a word such as "parameter".
func (r *refusal) namesParam(name string) bool {
	if strings.Contains(name, "_") {
		return r.names(name)
	}
	for _, before := range []string{"'", "\"", "`", "parameter: ", "parameter ", "param: ", "argument: ", "argument ", "field ", "supplied: ", "key: ", "name: "} {
		for from := 0; ; {
			i := strings.Index(r.text[from:], before+name)
			if i < 0 {
				break
			}
			from += i + len(before) + len(name)
			if from == len(r.text) || !wordByte(r.text[from]) && r.text[from] != '.' {
				return true
			}
		}
	}
	return strings.Contains("\n"+r.text+"\n", "\n"+name+"\n")
}

// RefusesReasoning reports whether a refusal is about reasoning that was sent again: its
// encrypted content cannot be read or verified any more, or its item is not known.
func RefusesReasoning(status int, body []byte) bool {
	if status != 400 && status != 404 && status != 422 {
		return false
	}
	r := refusal{text: refusalText(body)}
	if containsAny(r.text, []string{"invalid_encrypted_content"}) {
		return true
	}
	about := containsAny(r.text, []string{"encrypted content", "encrypted_content", "reasoning item", "reasoning content", "type 'reasoning'", "thinking signature",
		"thinking block", "item 'rs_", "item with id 'rs_", "item rs_"})
	return about && (containsAny(r.text, unsupportedPhrases) || containsAny(r.text, []string{"could not be", "cannot be", "can't be", "can not be",
		"invalid", "not found", "failed to", "expired", "malformed", "without its required", "not belong", "mismatch"}))
}

// NoteKeptRefused reports that reasoning which was kept has been left out.
func NoteKeptRefused(losses *Losses) { losses.add(ruleChatKeptRefused, "messages", "") }
