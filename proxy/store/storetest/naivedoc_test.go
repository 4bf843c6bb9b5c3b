package storetest

import (
	"context"

	"antiphon/proxy/store"
)

func (n *naive) Commit(_ context.Context, tenant string, b *store.Batch) error {
	defer n.lock()()
	if wrong := n.o.commit(n.clock.Now(), tenant, b); wrong != nil {
		return wrong[0]
	}
	if n.grown != nil {
		close(n.grown)
	}
	n.grown = nil
	return nil
}

func (n *naive) Doc(_ context.Context, tenant, kind, key string) (*store.Doc, error) {
	defer n.lock()()
	d := n.o.doc(tenant, kind, key)
	if d == nil {
		return nil, store.ErrNotFound
	}
	doc := d.doc
	return &doc, nil
}

func (n *naive) Docs(_ context.Context, tenant, kind string, page store.Page) ([]*store.Doc, bool, error) {
	defer n.lock()()
	docs, more := n.o.list(tenant, kind, page)
	for i, d := range docs {
		doc := *d
		docs[i] = &doc
	}
	return docs, more, nil
}

func (n *naive) Entry(_ context.Context, tenant, log, key string) (*store.Entry, error) {
	defer n.lock()()
	if e := n.o.log(tenant, log).entry(key); e != nil {
		entry := *e
		return &entry, nil
	}
	return nil, store.ErrNotFound
}

func (n *naive) Entries(_ context.Context, tenant, log string, page store.Page) ([]store.Entry, bool, error) {
	defer n.lock()()
	entries, more := n.o.entries(tenant, log, page)
	return entries, more, nil
}

func (n *naive) Wait(ctx context.Context, tenant, log string, from uint64) error {
	unlock := n.lock()
	if l := n.o.log(tenant, log); l != nil && l.next > from {
		unlock()
		return nil
	}
	if n.grown == nil {
		n.grown = make(chan struct{})
	}
	grown := n.grown
	unlock()
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
