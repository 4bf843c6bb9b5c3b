package translate

import (
	"hash/fnv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Chat clients cannot send reasoning back, and reasoning models lose their chain
// of thought between tool calls without it (docs/PROTOCOL.md §6.5). So what led to a call, or
// to an answer, is kept under a key that the client does send back: the call's
// id, or the answer itself. ChatTurn.Kept says what to keep; AppendResponses asks
// for it by its key, and puts it before the items that it led to.

// KeptReasoning is the reasoning that led to one call or answer.
type KeptReasoning struct {
	// Key is under what to keep it: a call's id, or a whole answer, of any length.
	Key string
	// Call is a hash of the call's name and payload: what is found under a key is
	// given back only for the same call. It is 0 for an answer.
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

// callSum is the hash of a call: of its name, and of what its payload means; both are
// the insides of JSON strings. Clients parse a call and write it again with other spaces
// and another order. It is never 0.
func callSum(name, payload []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(jsonx.AppendUnescaped(nil, name))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(appendMeaning(nil, payload))
	return max(h.Sum64(), 1)
}

// callKey is the key of a call: its id as the client has it. The legacy form has
// no ids, so there it is the call itself. It may alias the request.
func (r *ChatRequest) callKey(c *frontCall) []byte {
	if c.id != 0 {
		return r.decoded(c.id)
	}
	return legacyKey(r.doc.Str(c.name), r.doc.Str(c.payload))
}

func legacyKey(name, payload []byte) []byte {
	key := jsonx.AppendUnescaped([]byte("function_call "), name)
	return appendMeaning(append(key, 0), payload)
}

// answerKey is the key of an answer that is one string, in a text part or not, or nil.
// It may alias the request.
func (r *ChatRequest) answerKey(m *frontMessage) []byte {
	d, text := &r.doc, m.content
	if d.Kind(text) == jsonx.Array && d.Len(text) == 1 {
		text = d.Get(d.First(text), "text")
	}
	if d.Kind(text) != jsonx.String || len(d.Str(text)) == 0 {
		return nil
	}
	return r.decoded(text)
}

// decoded is the string n without escapes. It aliases the request, or what decoded
// gave before.
func (r *ChatRequest) decoded(n uint32) []byte {
	raw := r.doc.Str(n)
	if r.doc.StrKind(n)&jsonx.HasEscape == 0 {
		return raw
	}
	r.scratch = jsonx.AppendUnescaped(r.scratch[:0], raw)
	return r.scratch
}

// kept is what was kept for a message: for its first call, or for its text.
func (w *inputWriter) kept(m *frontMessage) *KeptReasoning {
	if w.opt.Kept == nil {
		return nil
	}
	if m.calls > 0 {
		return w.keptOf(&w.r.calls[m.callsAt])
	}
	if key := w.r.answerKey(m); key != nil {
		if k := w.opt.Kept(key); k != nil && k.Call == 0 {
			return k
		}
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
