package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// storeDamage is a store that logs what it finds damaged. Such a thing is there and
// cannot be read, which clients are told as an error of this server and never as
// absence (storeError); where it is, only the log says.
type storeDamage struct {
	store.Store
	log    *zap.Logger
	logged atomic.Int64 // when the last line was written, in nanoseconds of Unix time
}

// damageEvery is the time between two lines: whoever asks for a damaged thing again
// and again does not fill the log.
const damageEvery = time.Second

// note logs err if it is about damage, and returns it.
func (s *storeDamage) note(err error) error {
	if err == nil || !errors.Is(err, store.ErrDamaged) {
		return err
	}
	now, last := time.Now().UnixNano(), s.logged.Load()
	if now-last >= int64(damageEvery) && s.logged.CompareAndSwap(last, now) {
		s.log.Error("stored data is damaged", zap.Error(err))
	}
	return err
}

func (s *storeDamage) Put(ctx context.Context, rec *store.Record) error {
	return s.note(s.Store.Put(ctx, rec))
}

func (s *storeDamage) Get(ctx context.Context, tenant, id string) (*store.Record, error) {
	rec, err := s.Store.Get(ctx, tenant, id)
	return rec, s.note(err)
}

func (s *storeDamage) Chain(ctx context.Context, tenant, id string) ([]*store.Record, error) {
	chain, err := s.Store.Chain(ctx, tenant, id)
	return chain, s.note(err)
}

func (s *storeDamage) Item(ctx context.Context, tenant, itemID string) (*store.Record, error) {
	rec, err := s.Store.Item(ctx, tenant, itemID)
	return rec, s.note(err)
}

func (s *storeDamage) Delete(ctx context.Context, tenant, id string) error {
	return s.note(s.Store.Delete(ctx, tenant, id))
}

func (s *storeDamage) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	return s.note(s.Store.Commit(ctx, tenant, b))
}

func (s *storeDamage) Doc(ctx context.Context, tenant, kind, key string) (*store.Doc, error) {
	doc, err := s.Store.Doc(ctx, tenant, kind, key)
	return doc, s.note(err)
}

func (s *storeDamage) Docs(ctx context.Context, tenant, kind string, page store.Page) ([]*store.Doc, bool, error) {
	docs, more, err := s.Store.Docs(ctx, tenant, kind, page)
	return docs, more, s.note(err)
}

func (s *storeDamage) Entry(ctx context.Context, tenant, log, key string) (*store.Entry, error) {
	entry, err := s.Store.Entry(ctx, tenant, log, key)
	return entry, s.note(err)
}

func (s *storeDamage) Entries(ctx context.Context, tenant, log string, page store.Page) ([]store.Entry, bool, error) {
	entries, more, err := s.Store.Entries(ctx, tenant, log, page)
	return entries, more, s.note(err)
}
