package translate

import (
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
	if !containsAny(r.text, unsupportedPhrases) || r.doc.Parse(sent, upstreamLimits) != nil || r.doc.Kind(jsonx.Root) != jsonx.Object {
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
	return Fact{}, false
}
