package proxy

import (
	"crypto/rand"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// newSealer makes the keeper of what clients carry for us: with the keys that
// are configured, else with those that the replicas of the store agree on.
func newSealer(cfg *config.Seal, st store.Store) (*seal.Sealer, error) {
	if len(cfg.Keys) > 0 {
		secrets := make([][]byte, len(cfg.Keys))
		for i, k := range cfg.Keys {
			secrets[i] = []byte(k.Reveal())
		}
		return seal.New(secrets...)
	}
	if docs, ok := st.(store.Documents); ok {
		return seal.Stored(docs), nil
	}
	secret := make([]byte, seal.MinSecret)
	_, _ = rand.Read(secret) // never fails
	return seal.New(secret)
}

// An exchange seals and opens the reasoning of its tenant.
var _ translate.Sealer = (*exchange)(nil)

// Seal implements translate.Sealer.
func (x *exchange) Seal(dst, plain []byte) ([]byte, bool) {
	out, err := x.server.sealer.Seal(dst, x.tenant, seal.Reasoning, plain)
	return out, err == nil
}

// Open implements translate.Sealer.
func (x *exchange) Open(dst, sealed []byte) ([]byte, bool) {
	out, err := x.server.sealer.Open(dst, x.tenant, seal.Reasoning, sealed)
	return out, err == nil
}
