package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// tenantNames names the tenants of credentials by a hash, so that names that get
// into logs or stores say nothing about the credential. The hash is keyed; the
// key is in the store, where all replicas agree on it and it lasts as long as
// what is stored under the names.
//
// While a store that was out of reach at the start has not given the key,
// tenants get names under another one and have no state: what would be stored
// under such a name could not be found again.
type tenantNames struct {
	docs store.Documents

	macs   atomic.Pointer[sync.Pool] // of hash.Hash under the key; nil until it is known
	makedo sync.Pool                 // of hash.Hash, until then

	mu       sync.Mutex
	next     time.Time // when to ask for the key again
	fallback []byte
}

// tenantKeyAgain is how soon after a failure the key is asked for again.
const tenantKeyAgain = time.Second

// The kinds of tenants of credentials.
const (
	hashedTenant    = "c:"
	statelessTenant = "x:"
)

// of names the tenant of a credential.
func (t *tenantNames) of(credential []byte) string {
	kind, pool := hashedTenant, t.macs.Load()
	if pool == nil {
		if pool = t.learn(); pool == &t.makedo {
			kind = statelessTenant
		}
	}
	mac := pool.Get().(hash.Hash) // the pool's only type
	mac.Reset()
	_, _ = mac.Write(credential)
	var sum [sha256.Size]byte
	var digits [2 + 32]byte
	copy(digits[:], kind)
	hex.Encode(digits[2:], mac.Sum(sum[:0])[:16])
	pool.Put(mac)
	return string(digits[:])
}

// learn gets the key from the store, or makes do without.
func (t *tenantNames) learn() *sync.Pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if pool := t.macs.Load(); pool != nil {
		return pool
	}
	if time.Now().After(t.next) {
		ctx, cancel := context.WithTimeout(context.Background(), storeTime)
		secrets, err := seal.Agreed(ctx, t.docs, "tenant")
		cancel()
		if err == nil && len(secrets) > 0 {
			key := secrets[0]
			pool := &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
			t.macs.Store(pool)
			return pool
		}
		t.next = time.Now().Add(tenantKeyAgain)
	}
	if t.fallback == nil {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		t.fallback = key
		t.makedo.New = func() any { return hmac.New(sha256.New, key) }
	}
	return &t.makedo
}

// errStateless is why a tenant has no state.
var errStateless = errors.New("the key of tenants' names has not been read from the store yet")

// statefulOnly is a store that is out of reach for tenants without state.
type statefulOnly struct{ store.Store }

func stateless(tenant string) bool { return strings.HasPrefix(tenant, statelessTenant) }

func (s statefulOnly) Put(ctx context.Context, rec *store.Record) error {
	if stateless(rec.Tenant) {
		return errStateless
	}
	return s.Store.Put(ctx, rec)
}

func (s statefulOnly) Get(ctx context.Context, tenant, id string) (*store.Record, error) {
	if stateless(tenant) {
		return nil, errStateless
	}
	return s.Store.Get(ctx, tenant, id)
}

func (s statefulOnly) Chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	if stateless(tenant) {
		return nil, errStateless
	}
	return s.Store.Chain(ctx, tenant, id)
}

func (s statefulOnly) Item(ctx context.Context, tenant, itemID string) (*store.Record, error) {
	if stateless(tenant) {
		return nil, errStateless
	}
	return s.Store.Item(ctx, tenant, itemID)
}

func (s statefulOnly) Delete(ctx context.Context, tenant, id string) error {
	if stateless(tenant) {
		return errStateless
	}
	return s.Store.Delete(ctx, tenant, id)
}

func (s statefulOnly) Epoch(ctx context.Context, tenant string) (uint64, error) {
	if stateless(tenant) {
		return 0, errStateless
	}
	return s.Store.Epoch(ctx, tenant)
}

func (s statefulOnly) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	if stateless(tenant) {
		return errStateless
	}
	return s.Store.Commit(ctx, tenant, b)
}

func (s statefulOnly) Doc(ctx context.Context, tenant, kind, key string) (*store.Doc, error) {
	if stateless(tenant) {
		return nil, errStateless
	}
	return s.Store.Doc(ctx, tenant, kind, key)
}

func (s statefulOnly) Docs(ctx context.Context, tenant, kind string, page store.Page) ([]*store.Doc, bool, error) {
	if stateless(tenant) {
		return nil, false, errStateless
	}
	return s.Store.Docs(ctx, tenant, kind, page)
}

func (s statefulOnly) Entry(ctx context.Context, tenant, log, key string) (*store.Entry, error) {
	if stateless(tenant) {
		return nil, errStateless
	}
	return s.Store.Entry(ctx, tenant, log, key)
}

func (s statefulOnly) Entries(ctx context.Context, tenant, log string, page store.Page) ([]store.Entry, bool, error) {
	if stateless(tenant) {
		return nil, false, errStateless
	}
	return s.Store.Entries(ctx, tenant, log, page)
}
