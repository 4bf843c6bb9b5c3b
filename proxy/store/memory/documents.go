package memory

import (
	"context"
	"slices"
	"sort"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Doc implements store.Documents.
func (s *Store) Doc(_ context.Context, tenant, kind, name string) (*store.Doc, error) {
	now := s.now().UnixNano()
	t := s.tables.of(tenant)
	t.RLock()
	defer t.RUnlock()
	if d := t.doc(tenant, kind, name); d != nil && d.seen(now) {
		return d.doc, nil
	}
	return nil, store.ErrNotFound
}

// Docs implements store.Documents.
func (s *Store) Docs(_ context.Context, tenant, kind string, page store.Page) (docs []*store.Doc, more bool, err error) {
	now := s.now().UnixNano()
	t := s.tables.of(tenant)
	t.RLock()
	defer t.RUnlock()
	l := t.kinds[key{tenant, kind}]
	if l == nil {
		return nil, false, nil
	}
	list := l.after
	if page.Descending {
		list = l.before
	}
	for d := range list(page.After) {
		if !d.seen(now) {
			continue
		}
		if len(docs) >= page.Limit {
			return docs, true, nil
		}
		docs = append(docs, d.doc)
	}
	return docs, false, nil
}

// Entry implements store.Documents.
func (s *Store) Entry(_ context.Context, tenant, log, name string) (*store.Entry, error) {
	now := s.now().UnixNano()
	t := s.tables.of(tenant)
	t.RLock()
	defer t.RUnlock()
	if j := t.logs[key{tenant, log}]; j != nil && j.seen(now) {
		if seq, ok := j.keys[name]; ok {
			e := j.entries[j.find(seq)]
			return &e, nil
		}
	}
	return nil, store.ErrNotFound
}

// Entries implements store.Documents.
func (s *Store) Entries(_ context.Context, tenant, log string, page store.Page) (entries []store.Entry, more bool, err error) {
	now := s.now().UnixNano()
	t := s.tables.of(tenant)
	t.RLock()
	defer t.RUnlock()
	j := t.logs[key{tenant, log}]
	if j == nil || !j.seen(now) {
		return nil, false, nil
	}
	all := j.entries
	if page.Descending {
		if page.AfterSeq != nil {
			all = all[:j.find(*page.AfterSeq)]
		}
		n := min(page.Limit, len(all))
		entries = slices.Clone(all[len(all)-n:])
		slices.Reverse(entries)
		return entries, n < len(all), nil
	}
	if page.AfterSeq != nil {
		at := j.find(*page.AfterSeq)
		if at < len(all) && all[at].Seq == *page.AfterSeq {
			at++
		}
		all = all[at:]
	}
	n := min(page.Limit, len(all))
	return slices.Clone(all[:n]), n < len(all), nil
}

// find is the index of the first entry with at least that number.
func (j *journal) find(seq uint64) int {
	return sort.Search(len(j.entries), func(i int) bool { return j.entries[i].Seq >= seq })
}

// Wait implements store.Documents.
func (s *Store) Wait(ctx context.Context, tenant, log string, from uint64) error {
	return s.waits.Wait(ctx, s.closing, tenant, log, func() (bool, error) {
		now := s.now().UnixNano()
		t := s.tables.of(tenant)
		t.RLock()
		defer t.RUnlock()
		j := t.logs[key{tenant, log}]
		return j != nil && j.seen(now) && j.next > from, nil
	})
}
