package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// spyStore looks for a credential in what is written.
type spyStore struct {
	store.Store
	mu   sync.Mutex
	seen int
	leak string
}

func (s *spyStore) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	s.mu.Lock()
	look := func(what string, body []byte) {
		s.seen++
		if bytes.Contains(body, []byte(canaryKey)) || bytes.Contains(body, []byte("sk-CANARY")) {
			s.leak = fmt.Sprintf("%s: %s", what, body)
		}
	}
	look("tenant", []byte(tenant))
	for _, w := range b.Put {
		look(w.Doc.Kind, w.Doc.Body)
	}
	for _, a := range b.Append {
		for _, e := range a.Entries {
			look(a.Log, e.Body)
		}
	}
	for _, r := range b.Records {
		look("record", r.Response)
	}
	s.mu.Unlock()
	return s.Store.Commit(ctx, tenant, b)
}

// cutStore is a store that a server can lose: from then on every call fails, or
// does what a test wants.
type cutStore struct {
	store.Store
	mu    sync.Mutex
	fault func(op string, b *store.Batch) error
}

func (c *cutStore) set(fault func(op string, b *store.Batch) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = fault
}

// cut is a fault: the store is out of reach.
func cut(string, *store.Batch) error { return errors.New("out of reach") }

func (c *cutStore) check(op string, b *store.Batch) error {
	c.mu.Lock()
	fault := c.fault
	c.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op, b)
}

func (c *cutStore) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	if err := c.check("commit", b); err != nil {
		return err
	}
	return c.Store.Commit(ctx, tenant, b)
}

func (c *cutStore) Doc(ctx context.Context, tenant, kind, key string) (*store.Doc, error) {
	if err := c.check("doc", nil); err != nil {
		return nil, err
	}
	return c.Store.Doc(ctx, tenant, kind, key)
}

func (c *cutStore) Docs(ctx context.Context, tenant, kind string, page store.Page) ([]*store.Doc, bool, error) {
	if err := c.check("docs", nil); err != nil {
		return nil, false, err
	}
	return c.Store.Docs(ctx, tenant, kind, page)
}

func (c *cutStore) Entries(ctx context.Context, tenant, log string, page store.Page) ([]store.Entry, bool, error) {
	if err := c.check("entries", nil); err != nil {
		return nil, false, err
	}
	return c.Store.Entries(ctx, tenant, log, page)
}

func (c *cutStore) Wait(ctx context.Context, tenant, log string, from uint64) error {
	if err := c.check("wait", nil); err != nil {
		return err
	}
	return c.Store.Wait(ctx, tenant, log, from)
}

func (c *cutStore) Get(ctx context.Context, tenant, id string) (*store.Record, error) {
	if err := c.check("get", nil); err != nil {
		return nil, err
	}
	return c.Store.Get(ctx, tenant, id)
}

func (c *cutStore) Put(ctx context.Context, rec *store.Record) error {
	if err := c.check("put", nil); err != nil {
		return err
	}
	return c.Store.Put(ctx, rec)
}
