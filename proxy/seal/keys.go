package seal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// MinSecret is the fewest bytes that a secret may have.
const MinSecret = 32

// ErrNoKeys is wrapped by errors of a Sealer whose keys are in a store that
// cannot be reached, and that has never got them.
var ErrNoKeys = errors.New("seal: keys are not available")

// Sealer seals and opens envelopes. Make one with New or Stored; any number of
// goroutines may use it.
type Sealer struct {
	ring atomic.Pointer[[]key] // the first seals, all open

	docs store.Documents // nil: the keys are given
	mu   sync.Mutex      // one asks the store, the others wait for it
	next time.Time       // when to ask again after a failure
	last error
}

// New makes a Sealer with the secrets that are given, of at least MinSecret
// bytes each: the first seals, all open. To rotate, put a new one before the old
// ones, and take an old one away when nobody needs its envelopes any more. With
// several replicas, append the new one everywhere before it goes first anywhere.
func New(secrets ...[]byte) (*Sealer, error) {
	ring, err := newRing(secrets)
	if err != nil {
		return nil, err
	}
	s := new(Sealer)
	s.ring.Store(&ring)
	return s, nil
}

func newRing(secrets [][]byte) ([]key, error) {
	if len(secrets) == 0 {
		return nil, errors.New("seal: no secret")
	}
	ring := make([]key, 0, len(secrets))
	for i, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("seal: secret %d has %d bytes; it must have at least %d", i+1, len(secret), MinSecret)
		}
		k := newKey(secret)
		for _, other := range ring {
			if other.id == k.id {
				return nil, fmt.Errorf("seal: secret %d is given twice", i+1)
			}
		}
		ring = append(ring, k)
	}
	return ring, nil
}

// Stored makes a Sealer with the keys of a store, which are made when there are
// none: all replicas on the store have the same, and they last as long as it
// does. The store is asked when the first envelope is needed, so that it may be
// out of reach at the start.
func Stored(docs store.Documents) *Sealer { return &Sealer{docs: docs} }

// How long to wait for a store, and between two tries.
const (
	askFor   = 2 * time.Second
	askAgain = time.Second
)

func (s *Sealer) keys() ([]key, error) {
	if ring := s.ring.Load(); ring != nil {
		return *ring, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ring := s.ring.Load(); ring != nil {
		return *ring, nil
	}
	if time.Now().Before(s.next) {
		return nil, s.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	secrets, err := Agreed(ctx, s.docs, docName)
	var ring []key
	if err == nil {
		ring, err = newRing(secrets)
	}
	if err != nil {
		s.last, s.next = fmt.Errorf("%w: %w", ErrNoKeys, err), time.Now().Add(askAgain)
		return nil, s.last
	}
	s.ring.Store(&ring)
	return ring, nil
}

// Where the keys are in a store, under store.SystemTenant.
const (
	docKind = "key"
	docName = "seal"
)

// stored is the document.
type stored struct {
	Keys [][]byte `json:"keys"` // base64; the first seals, all open
}

// Agreed returns the secrets of that name that all replicas on the store agree on:
// those that are there, else a new one of MinSecret bytes if they are the first.
func Agreed(ctx context.Context, docs store.Documents, name string) ([][]byte, error) {
	for {
		doc, err := docs.Doc(ctx, store.SystemTenant, docKind, name)
		if err == nil {
			var have stored
			if err := json.Unmarshal(doc.Body, &have); err != nil {
				return nil, fmt.Errorf("seal: the keys in the store cannot be read: %w", err)
			}
			return have.Keys, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		fresh := make([]byte, MinSecret)
		_, _ = rand.Read(fresh) // never fails
		body, err := json.Marshal(stored{Keys: [][]byte{fresh}})
		if err != nil {
			return nil, err
		}
		err = docs.Commit(ctx, store.SystemTenant, &store.Batch{Put: []store.DocWrite{{
			Doc: &store.Doc{Kind: docKind, Key: name, Body: body}, If: store.Absent,
		}}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
		// Read back what is there, in either case: a write that succeeded may have
		// been answered by one side of a store that is about to fail over.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}
