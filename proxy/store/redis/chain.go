package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/valkey-io/valkey-go"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

const (
	// chainRoom is how many bytes of records the walk returns by itself: those of
	// most chains. The server serves nobody else while it walks, so what is
	// longer is fetched in pieces.
	chainRoom = 256 << 10
	// chainPiece is how many records are in a piece.
	chainPiece = 64
)

// Chain implements store.Store: one round trip finds the ids of a chain and the
// records at its end, and if these are not all, a second one fetches the rest.
func (s *Store) Chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	chain, err := s.chain(ctx, tenant, id)
	if !errors.Is(err, errChanging) {
		return chain, err
	}
	// Step by step, what one command says is so.
	return store.WalkChain(id, func(id string) (*store.Record, error) { return s.Get(ctx, tenant, id) })
}

// errChanging says that what a script has seen may not be all there is, or was
// changed after it.
var errChanging = errors.New("store: redis: changed while it was read")

func (s *Store) chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	p, now := s.tenantPrefix(tenant), s.now()
	w, err := s.walk(ctx, p, id, formatTime(now))
	switch {
	case err != nil:
		return nil, err
	case !w.whole:
		if !slices.Contains(w.ids, w.missing) {
			if err := s.missing(ctx, recordKey(p, w.missing)); err != nil {
				return nil, err
			}
		}
		if len(w.ids) == 0 {
			return nil, store.ErrNotFound
		}
		return nil, &store.BrokenChainError{Missing: w.missing}
	}
	values := w.values
	if len(values) < len(w.ids) {
		rest, err := s.fetch(ctx, p, w.ids[len(values):])
		if err != nil {
			return nil, err
		}
		values = append(values, rest...)
	}
	chain := make([]*store.Record, len(w.ids))
	for i, value := range values {
		rec, err := s.live(tenant, w.ids[i], value, now)
		switch {
		case errors.Is(err, store.ErrNotFound) && i > 0:
			return nil, &store.BrokenChainError{Missing: w.ids[i]}
		case err != nil:
			return nil, err
		}
		parent := ""
		if i+1 < len(w.ids) {
			parent = w.ids[i+1]
		}
		if rec.Parent != parent {
			return nil, errChanging // deleted in between, and put again
		}
		chain[len(chain)-1-i] = rec
	}
	return chain, nil
}

// missing makes sure that keys which a script has not found are not there:
// errChanging if one is. While a cluster moves a slot, a script sees those of its
// keys that are on the node where it runs; a command with the key is sent to
// where the key is. Elsewhere a script has seen everything.
func (s *Store) missing(ctx context.Context, keys ...string) error {
	if c := s.guard.client.Load(); len(keys) == 0 || c == nil || c.Mode() != valkey.ClientModeCluster {
		return nil
	}
	return s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		cmds := make([]valkey.Completed, len(keys))
		for i, key := range keys {
			cmds[i] = c.B().Exists().Key(key).Build()
		}
		for _, reply := range c.DoMulti(ctx, cmds...) {
			if there, err := reply.AsBool(); err != nil {
				return err
			} else if there {
				return errChanging
			}
		}
		return nil
	})
}

// walk is what chain.lua has found, from the record asked for to the root.
type walk struct {
	whole   bool
	missing string // if not whole
	ids     []string
	values  [][]byte // of the first ids
}

func (s *Store) walk(ctx context.Context, p, id, now string) (w walk, err error) {
	keys, args := []string{recordKey(p, id)}, []string{p, now, id, strconv.Itoa(chainRoom)}
	var reply []valkey.ValkeyMessage
	err = s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		reply, err = chainScript.Exec(ctx, c, keys, args).ToArray()
		return err
	})
	if err != nil {
		return w, err
	}
	if len(reply) < 2 {
		return w, errValue
	}
	if w.missing, err = reply[0].ToString(); err != nil {
		return w, err
	}
	if w.ids, err = reply[1].AsStrSlice(); err != nil || len(reply) == 2 {
		return w, err
	}
	w.whole = true
	values, err := reply[2].ToArray()
	w.values = make([][]byte, len(values), len(w.ids))
	for i := range values {
		if w.values[i], err = values[i].AsBytes(); err != nil {
			return w, err
		}
	}
	return w, err
}

// fetch is the values of records, nil for one that is not there, in one round
// trip.
func (s *Store) fetch(ctx context.Context, p string, ids []string) (values [][]byte, err error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = recordKey(p, id)
	}
	err = s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		values = make([][]byte, 0, len(ids))
		var pieces []valkey.Completed
		for piece := range slices.Chunk(keys, chainPiece) {
			pieces = append(pieces, c.B().Mget().Key(piece...).Build())
		}
		for _, reply := range c.DoMulti(ctx, pieces...) {
			piece, err := reply.ToArray()
			if err != nil {
				return err
			}
			for i := range piece {
				value, err := piece[i].AsBytes()
				if err != nil && !valkey.IsValkeyNil(err) {
					return err
				}
				values = append(values, value)
			}
		}
		return nil
	})
	if err == nil && len(values) != len(ids) {
		err = errValue
	}
	return values, err
}
