package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Store is a store.Store on a Redis or Valkey server. Make one with Open.
type Store struct {
	prefix  string
	timeout time.Duration
	now     func() time.Time
	guard   guard
	calls   chan struct{}
	waits   waits
	samples samples

	firstLook time.Duration // of Wait; longer in a test
}

var _ store.Store = (*Store)(nil)

// Open returns the store on the server that Options.URL names, and an error only
// if the options make no sense. A server that cannot be reached is no error: the
// store then fails every call until it can. Open waits for it no longer than a
// call would.
func Open(o Options) (*Store, error) {
	o.setDefaults()
	opt, err := o.client()
	if err != nil {
		return nil, err
	}
	s := &Store{
		prefix: o.Prefix, timeout: o.Timeout, now: o.Now,
		calls: make(chan struct{}, maxCalls),
		guard: guard{opt: opt, timeout: o.Timeout, log: o.Log},

		firstLook: firstLook,
	}
	s.guard.start()
	return s, nil
}

// Close ends the connections and every Wait.
func (s *Store) Close() error {
	s.guard.close()
	return nil
}

var (
	//go:embed lua/chain.lua
	chainLua string
	//go:embed lua/item.lua
	itemLua string

	chainScript = valkey.NewLuaScript(chainLua)
	itemScript  = valkey.NewLuaScript(itemLua)
)

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, rec *store.Record) error {
	w := s.newWrite(rec.Tenant)
	if err := w.putRecord(rec); err != nil {
		return err
	}
	_, err := s.write(ctx, w)
	return err
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, tenant, id string) error {
	w := s.newWrite(tenant)
	w.deleteRecord(id)
	_, err := s.write(ctx, w)
	return err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, tenant, id string) (*store.Record, error) {
	value, err := s.get(ctx, recordKey(s.tenantPrefix(tenant), id))
	if err != nil {
		return nil, err
	}
	return s.live(tenant, id, value, s.now())
}

// get is the value of a key, or nil.
func (s *Store) get(ctx context.Context, key string) (value []byte, err error) {
	err = s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		reply := c.Do(ctx, c.B().Get().Key(key).Build())
		var err error
		value, err = reply.AsBytes()
		return err
	})
	return value, err
}

// live is the record with that value, if it is there and has not expired.
func (s *Store) live(tenant, id string, value []byte, now time.Time) (*store.Record, error) {
	if value == nil {
		return nil, store.ErrNotFound
	}
	rec, err := parseRecord(tenant, id, value)
	if err == nil && !rec.Expires.After(now) {
		return nil, store.ErrNotFound
	}
	return rec, err
}

// Item implements store.Store.
func (s *Store) Item(ctx context.Context, tenant, itemID string) (*store.Record, error) {
	p, now := s.tenantPrefix(tenant), s.now()
	var found []valkey.ValkeyMessage
	err := s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		found, err = itemScript.Exec(ctx, c, []string{itemKey(p, itemID)}, []string{p, formatTime(now)}).ToArray()
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(found) != 2 {
		return s.itemInCluster(ctx, tenant, itemID)
	}
	id, err := found[0].ToString()
	if err != nil {
		return nil, err
	}
	value, err := found[1].AsBytes()
	if err != nil {
		return nil, err
	}
	return s.live(tenant, id, value, now)
}

// itemInCluster looks for an item that the script has not found, by commands that
// are sent to where each key is; see missing.
func (s *Store) itemInCluster(ctx context.Context, tenant, itemID string) (*store.Record, error) {
	if c := s.guard.client.Load(); c == nil || c.Mode() != valkey.ClientModeCluster {
		return nil, store.ErrNotFound
	}
	var holders []string
	key := itemKey(s.tenantPrefix(tenant), itemID)
	err := s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		holders, err = c.Do(ctx, c.B().Zrange().Key(key).Min("0").Max("-1").Rev().Build()).AsStrSlice()
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range holders {
		rec, err := s.Get(ctx, tenant, id)
		if err == nil && slices.Contains(rec.ItemIDs, itemID) {
			return rec, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return nil, store.ErrNotFound
}

// Epoch implements store.Store.
func (s *Store) Epoch(ctx context.Context, tenant string) (uint64, error) {
	key, epoch := metaKey(s.tenantPrefix(tenant)), ""
	err := s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		epoch, err = c.Do(ctx, c.B().Hget().Key(key).Field("e").Build()).ToString()
		return err
	})
	if err != nil || epoch == "" {
		return 0, err
	}
	return strconv.ParseUint(epoch, 10, 64)
}

// newName is a name that no other write has.
func newName() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // it cannot fail
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	var name [12]byte
	for i := range name {
		bit := i * 6
		v := uint16(b[bit/8]) << 8
		if bit/8+1 < len(b) {
			v |= uint16(b[bit/8+1])
		}
		name[i] = digits[v>>(10-bit%8)&63]
	}
	return string(name[:])
}

// errValue says that a script has returned what it does not return.
var errValue = errors.New("store: redis: unexpected reply of a script")

// maxValue is the longest value that is written: a server takes 512 MB.
const maxValue = 256 << 20

func tooLarge(what string, n int) error {
	return fmt.Errorf("%w: %s of %d bytes", store.ErrTooLarge, what, n)
}
