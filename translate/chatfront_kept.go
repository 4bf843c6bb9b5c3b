package translate

import (
	"encoding/hex"
	"hash/fnv"

	"antiphon/translate/jsonx"
)

// Chat clients cannot send reasoning back, and reasoning models lose their chain
// of thought between tool calls without it (SPEC §6.5). So what led to a call, or
// to an answer, is kept under a key that the client does send back: the call's
// id, or a hash of the answer. ChatTurn.Kept says what to keep;
// ChatRequest.ReasoningKeys says what to look up, and AppendResponses puts it
// before the items that it led to.

// KeptReasoning is the reasoning that led to one call or answer.
type KeptReasoning struct {
	// Key is under what to keep it.
	Key string
	// Call is a hash of the call's name and payload: what is found under a key is
	// given back only for the same call.
	Call uint64
	// BeforeMessage and BeforeCall are reasoning items, ready to be sent: those
	// that came before the message of the turn, and those right before the call.
	BeforeMessage, BeforeCall [][]byte
}

// Size is how many bytes it holds, for whoever bounds what is kept.
func (k *KeptReasoning) Size() int {
	n := len(k.Key) + 64
	for _, items := range [][][]byte{k.BeforeMessage, k.BeforeCall} {
		for _, it := range items {
			n += len(it) + 24
		}
	}
	return n
}

// callSum is the hash of a call: of its name and payload, the insides of JSON
// strings, decoded.
func callSum(name, payload []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(jsonx.AppendUnescaped(nil, name))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(jsonx.AppendUnescaped(nil, payload))
	return h.Sum64()
}

// textKey is the key of an answer without calls.
func textKey(text []byte) string {
	h := fnv.New128a()
	_, _ = h.Write(text)
	return "text_" + hex.EncodeToString(h.Sum(nil))
}

// ReasoningKeys are the keys under which reasoning may have been kept for this
// conversation, in its order.
func (r *ChatRequest) ReasoningKeys() (keys []string) {
	for i := range r.messages {
		m := &r.messages[i]
		if m.role != byAssistant {
			continue
		}
		if m.calls == 0 {
			if key := r.answerKey(m); key != "" {
				keys = append(keys, key)
			}
		}
		for j := range m.calls {
			keys = append(keys, r.callKey(&r.calls[m.callsAt+j]))
		}
	}
	return keys
}

// callKey is the key of a call: its id as the client has it. The legacy form has
// no ids, so there it is a hash of the call.
func (r *ChatRequest) callKey(c *frontCall) string {
	if c.id != 0 {
		return r.doc.Text(c.id)
	}
	return legacyKey(r.doc.Str(c.name), r.doc.Str(c.payload))
}

func legacyKey(name, payload []byte) string {
	text := jsonx.AppendUnescaped([]byte("function_call "), name)
	text = append(text, 0)
	return textKey(jsonx.AppendUnescaped(text, payload))
}

// answerKey is the key of an answer that is one string, or "".
func (r *ChatRequest) answerKey(m *frontMessage) string {
	if r.doc.Kind(m.content) != jsonx.String || len(r.doc.Str(m.content)) == 0 {
		return ""
	}
	return textKey(jsonx.AppendUnescaped(nil, r.doc.Str(m.content)))
}

// kept is what was kept for a message: for its first call, or for its text.
func (w *inputWriter) kept(m *frontMessage) *KeptReasoning {
	if w.opt.Kept == nil {
		return nil
	}
	if m.calls > 0 {
		return w.keptOf(&w.r.calls[m.callsAt])
	}
	if key := w.r.answerKey(m); key != "" {
		return w.opt.Kept(key)
	}
	return nil
}

// keptOf is what was kept for a call, if it is still the same one.
func (w *inputWriter) keptOf(c *frontCall) *KeptReasoning {
	if w.opt.Kept == nil {
		return nil
	}
	k := w.opt.Kept(w.r.callKey(c))
	if k == nil || k.Call != callSum(w.d.Str(c.name), w.d.Str(c.payload)) {
		return nil
	}
	return k
}
