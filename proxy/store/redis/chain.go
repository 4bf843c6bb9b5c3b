package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/valkey-io/valkey-go"

	"antiphon/proxy/store"
)

const (
	// chainRoom is how many bytes of records the walk returns by itself: those of
	// most chains. The server serves nobody else while it walks, so what is
	// longer is fetched in pieces.
	chainRoom = 256 << 10
	// chainPiece is how many records are in a piece.
	chainPiece = 64
)

// errMoved says that the chain has changed between the two round trips, or that
// a cluster is moving it.
var errMoved = errors.New("store: redis: the chain changes while it is read")

// Chain implements store.Store: one round trip finds the ids of a chain and the
// records at its end, and if these are not all, a second one fetches the rest.
func (s *Store) Chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	for try := 0; ; try++ {
		chain, err := s.chain(ctx, tenant, id)
		if err != errMoved || try == 2 {
			return chain, err
		}
	}
}

func (s *Store) chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	p, now := s.tenantPrefix(tenant), s.now()
	w, err := s.walk(ctx, p, id, formatTime(now))
	switch {
	case err != nil:
		return nil, err
	case !w.whole:
		// While a cluster moves the tenant's keys, a script may not see all of
		// them; a command with the key is sent to where it is.
		if w.cluster && !slices.Contains(w.ids, w.missing) {
			if _, err := s.Get(ctx, tenant, w.missing); err == nil {
				return nil, errMoved
			} else if !errors.Is(err, store.ErrNotFound) {
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
			return nil, errMoved // deleted in between, and put again
		}
		chain[len(chain)-1-i] = rec
	}
	return chain, nil
}

// walk is what chain.lua has found, from the record asked for to the root.
type walk struct {
	whole   bool
	missing string // if not whole
	ids     []string
	values  [][]byte // of the first ids
	cluster bool
}

func (s *Store) walk(ctx context.Context, p, id, now string) (w walk, err error) {
	keys, args := []string{recordKey(p, id)}, []string{p, now, id, strconv.Itoa(chainRoom)}
	var reply []valkey.ValkeyMessage
	err = s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		w.cluster = c.Mode() == valkey.ClientModeCluster
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
