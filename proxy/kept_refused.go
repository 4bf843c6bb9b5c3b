package proxy

import (
	"hash/maphash"

	"github.com/antiphon-proxy/antiphon/translate"
)

// Reasoning that was kept for chat clients may be refused: it was encrypted under
// another account, by another replica of the backend, or too long ago. The client knows
// nothing of it, so the request is made again without, and what was refused is forgotten
// (https://github.com/BerriAI/litellm/issues/40364).

// giveKept is what is kept under a key for the request at hand, unless it was refused.
func (f *chatFront) giveKept(key []byte) *translate.KeptReasoning {
	if f.refusedBy == f.x.backend {
		return nil
	}
	k := f.keptScope().get(key)
	if k != nil {
		f.given = append(f.given, k.Key)
	}
	return k
}

// dropKept forgets the reasoning that the request has, if the upstream's refusal in body
// is about that. The request has to be translated again then.
func (x *exchange) dropKept(status int, body []byte) bool {
	f := x.front
	if f == nil || len(f.given) == 0 || f.refusedBy == x.backend || !translate.RefusesReasoning(status, body) {
		return false
	}
	for _, key := range f.given {
		f.keptScope().forget(key)
	}
	f.refusedBy = x.backend
	return true
}

// forget removes what is kept under a key.
func (k keptScope) forget(key string) {
	k.cache.Del(k.sum ^ maphash.String(k.seed, key))
}
