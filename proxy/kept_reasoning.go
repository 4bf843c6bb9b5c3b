package proxy

import (
	"hash/maphash"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/antiphon-proxy/antiphon/translate"
)

// keptReasoning caches the reasoning that chat clients cannot carry, so that a
// Responses backend gets it back with the calls that it led to (docs/PROTOCOL.md §6.5). It is
// for quality only: the model does worse without, but it does. So it may forget,
// and it is this process's own.
type keptReasoning struct {
	seed  maphash.Seed
	cache *ristretto.Cache[uint64, *keptEntry]
}

type keptEntry struct {
	scope string
	kept  *translate.KeptReasoning
}

const (
	keptBytes = 32 << 20
	keptFor   = 6 * time.Hour // longer than anybody takes to run a tool
)

// newKeptReasoning makes the cache. Like histories it is never closed.
func newKeptReasoning() (*keptReasoning, error) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *keptEntry]{
		NumCounters: 10 * keptBytes / (4 << 10), MaxCost: keptBytes, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, err
	}
	return &keptReasoning{maphash.MakeSeed(), c}, nil
}

// keptScope is one client's part of what is kept, for one backend and model.
type keptScope struct {
	*keptReasoning
	name string
	sum  uint64
}

func (k *keptReasoning) in(tenant, backend, model string) keptScope {
	name := tenant + "\x00" + backend + "\x00" + model
	return keptScope{k, name, maphash.String(k.seed, name)}
}

// get looks for what is kept under a key, which may be a whole answer: each answer
// of a conversation is looked for with each request, so the hash has to be fast.
func (k keptScope) get(key []byte) *translate.KeptReasoning {
	e, ok := k.cache.Get(k.sum ^ maphash.Bytes(k.seed, key))
	if !ok || e.scope != k.name || e.kept.Key != string(key) {
		return nil
	}
	return e.kept
}

func (k keptScope) put(kept *translate.KeptReasoning) {
	sum := k.sum ^ maphash.String(k.seed, kept.Key)
	for range 3 { // see histories.put
		k.cache.Get(sum)
	}
	k.cache.SetWithTTL(sum, &keptEntry{k.name, kept}, int64(kept.Size()+len(k.name)+64), keptFor)
}
