package translate

import "github.com/antiphon-proxy/antiphon/translate/jsonx"

// What was put into a request here, and not by the client, must not end a conversation:
// if the backend refuses it, it goes up without.

// learnInserted: a refusal of members of a message that names none of them means those
// that nobody but us has put there.
func learnInserted(r *refusal, d *Dialect) (Fact, bool) {
	if !r.unsupported || !r.names("messages", "message") {
		return Fact{}, false
	}
	switch {
	case d.Reasoning.Details && r.sentMember(detailsKey):
		return Fact{"reasoning.details", "false"}, true
	case r.sentMember(d.Reasoning.replayField()):
		return Fact{"reasoning.replay", string(ReplayNone)}, true
	}
	return Fact{}, false
}

// damagedPhrases are how servers say that what they have sealed or signed themselves is
// not what it was, or was made for another model: OpenRouter and what is behind it.
var damagedPhrases = []string{
	"invalid signature", "invalid `signature`", "signature is invalid", "signature is not valid", "signature verification", "corrupted thought signature",
	"could not be verified", "could not be decrypted", "failed to decrypt", "invalid encrypted", "invalid_encrypted_content",
	"thinking blocks", "thinking block", "cannot be modified", "not match the original",
}

// LearnOnce is Learn for what is wrong with this conversation only, such as reasoning
// that another model has signed: the fact holds for the request, and is not to be
// remembered of the backend.
func LearnOnce(d *Dialect, status int, body, chat []byte) (fact Fact, ok bool) {
	if status != 400 && status != 422 {
		return Fact{}, false
	}
	r := refusal{text: refusalText(body)}
	if !containsAny(r.text, damagedPhrases) || r.doc.Parse(chat, upstreamLimits) != nil || r.doc.Kind(jsonx.Root) != jsonx.Object {
		return Fact{}, false
	}
	switch {
	case d.Reasoning.Details && r.sentMember(detailsKey):
		return Fact{"reasoning.details", "false"}, true
	case d.Reasoning.replay() != ReplayNone && r.sentMember(d.Reasoning.replayField()):
		return Fact{"reasoning.replay", string(ReplayNone)}, true
	}
	return Fact{}, false
}
