package proxy

import (
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"antiphon/translate"
)

// keptReasoning caches the reasoning that chat clients cannot carry, so that a
// Responses backend gets it back with the calls that it led to (SPEC §6.5). It is
// for quality only: the model does worse without, but it does. So it may forget,
// and it is this process's own.
type keptReasoning struct {
	cache *ristretto.Cache[string, *keptEntry]
}

type keptEntry struct {
	key  string
	kept *translate.KeptReasoning
}

const (
	keptBytes = 32 << 20
	keptFor   = 6 * time.Hour // longer than anybody takes to run a tool
)

// newKeptReasoning makes the cache. Like histories it is never closed.
func newKeptReasoning() (*keptReasoning, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, *keptEntry]{
		NumCounters: 10 * keptBytes / (4 << 10), MaxCost: keptBytes, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, err
	}
	return &keptReasoning{c}, nil
}

func (k *keptReasoning) get(key string) *translate.KeptReasoning {
	e, ok := k.cache.Get(key)
	if !ok || e.key != key { // keys are hashes in there
		return nil
	}
	return e.kept
}

func (k *keptReasoning) put(key string, kept *translate.KeptReasoning) {
	for range 3 { // see histories.put
		k.cache.Get(key)
	}
	k.cache.SetWithTTL(key, &keptEntry{key, kept}, int64(kept.Size()+len(key)+64), keptFor)
}
