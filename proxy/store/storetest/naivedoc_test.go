package storetest

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Commit takes a copy of the batch, so that a fault can change it.
func (n *naive) Commit(_ context.Context, tenant string, given *store.Batch) error {
	b := *given
	b.Put, b.Append = slices.Clone(given.Put), slices.Clone(given.Append)
	if n.fault == "a batch in two steps" && len(b.Append) > 0 && len(b.Put) > 0 {
		first := b
		first.Append = nil
		if err := n.commit(tenant, &first); err != nil {
			return err
		}
		runtime.Gosched()
		b = store.Batch{Append: b.Append}
		copy(given.Put, first.Put)
		return n.commit(tenant, &b)
	}
	if n.fault == "a condition is checked first" && len(b.Put) > 0 {
		unlock := n.lock()
		wrong := n.o.refusals(tenant, &b)
		unlock()
		if wrong != nil {
			return wrong[0]
		}
		runtime.Gosched()
		b.Put[0].If = store.AnyVersion
	}
	err := n.commit(tenant, &b)
	for i := range b.Put {
		given.Put[i].Version = b.Put[i].Version
	}
	return err
}

func (n *naive) commit(tenant string, b *store.Batch) error {
	defer n.lock()()
	now := n.clock.Now()
	n.spoil(tenant, b)
	before := n.o.clone()
	wrong := n.o.commit(now, tenant, b)
	if wrong != nil {
		switch n.fault {
		case "a refused batch leaves records":
			n.o.recs = append(n.o.recs, b.Records...)
		case "a refused batch leaves documents":
			part := &store.Batch{Put: b.Put[:min(1, len(b.Put))]}
			n.o.commit(now, tenant, part)
		case "a refused batch leaves entries":
			part := &store.Batch{Remove: b.Remove[:min(1, len(b.Remove))]}
			n.o.commit(now, tenant, part)
		case "full pushes out in vain":
			n.o.recs = n.o.recs[:max(len(n.o.recs)-1, 0)]
		case "nonsense is accepted":
			if b.Check(tenant) != nil {
				return nil
			}
		}
		return wrong[0]
	}
	n.derail(tenant, b, before)
	if n.fault == "nobody is woken" {
		return nil
	}
	if n.grown != nil {
		close(n.grown)
	}
	n.grown = nil
	return nil
}

// spoil changes a batch before it is applied.
func (n *naive) spoil(tenant string, b *store.Batch) {
	switch n.fault {
	case "Require is not checked":
		b.Require = nil
	case "Put is not checked":
		for i := range b.Put {
			b.Put[i].If = store.AnyVersion
		}
	case "Delete is not checked":
		b.Delete = slices.Clone(b.Delete)
		for i := range b.Delete {
			b.Delete[i].Version = store.AnyVersion
		}
	case "a batch replaces records":
		for _, rec := range b.Records {
			n.o.delete(tenant, rec.ID)
		}
	case "keys need not be unique":
		for i := range b.Append {
			entries := slices.Clone(b.Append[i].Entries)
			for j := range entries {
				if n.o.log(tenant, b.Append[i].Log).entry(entries[j].Key) != nil {
					entries[j].Key = ""
				}
			}
			b.Append[i].Entries = entries
		}
	case "removing nothing succeeds":
		b.Remove = slices.DeleteFunc(slices.Clone(b.Remove), func(r store.EntryRef) bool {
			return n.o.log(tenant, r.Log).entry(r.Key) == nil
		})
	case "the zero time of a document is past":
		b.Put = slices.DeleteFunc(b.Put, func(w store.DocWrite) bool { return w.Doc.Expires.IsZero() && w.Doc.Kind == "k" })
	case "eviction splits conversations":
		for i := range b.Put {
			b.Put[i].Log = ""
		}
	case "eviction takes leases":
		for i := range b.Put {
			b.Put[i].Keep = false
		}
	case "an append leaves the end":
		for i := range b.Append {
			if l := n.o.log(tenant, b.Append[i].Log); l != nil {
				b.Append[i].Expires = l.expires
			}
		}
	}
}

// derail changes what a batch has done.
func (n *naive) derail(tenant string, b *store.Batch, before *oracle) {
	for i := range b.Put {
		d := n.o.doc(tenant, b.Put[i].Doc.Kind, b.Put[i].Doc.Key)
		if d == nil {
			continue
		}
		old := before.doc(tenant, d.doc.Kind, d.doc.Key)
		switch n.fault {
		case "versions begin anew":
			if d.doc.Version = 1; old != nil {
				d.doc.Version = old.doc.Version + 1
			}
			b.Put[i].Version = d.doc.Version
		case "Commit tells no version":
			b.Put[i].Version = 0
		case "a document loses its end":
			if old != nil && !old.doc.Expires.IsZero() && d.doc.Expires.IsZero() {
				d.doc.Expires = old.doc.Expires
			}
		case "a document is cut":
			if len(d.doc.Body) > 1<<19 {
				d.doc.Body = d.doc.Body[:1<<19]
			}
		case "a write keeps its age":
			if old != nil {
				d.age = old.age
				if l := n.o.log(tenant, d.log); l != nil {
					l.age = old.age
				}
			}
		}
	}
	for _, r := range b.Remove {
		if l := n.o.log(tenant, r.Log); n.fault == "numbers are used again" && l != nil && len(l.entries) > 0 {
			l.next = l.entries[len(l.entries)-1].Seq + 1
		}
	}
	for _, a := range b.Append {
		l := n.o.log(tenant, a.Log)
		if l == nil {
			continue
		}
		switch old := before.log(tenant, a.Log); n.fault {
		case "numbers begin at one":
			if old == nil {
				l.next++
				for i := range l.entries {
					l.entries[i].Seq++
				}
			}
		case "an append forgets another":
			if old != nil && l.next > 300 {
				l.entries = l.entries[1:]
			}
		}
	}
	for _, name := range b.Drop {
		if l := before.log(tenant, name); l != nil {
			switch n.fault {
			case "a drop leaves entries":
				if len(l.entries) > 1000 {
					l.entries = l.entries[:len(l.entries)-1000]
					n.o.logs = append(n.o.logs, l)
				}
			case "a drop keeps numbers":
				if n.o.log(tenant, name) == nil {
					l.entries = nil
					n.o.logs = append(n.o.logs, l)
				}
			}
		}
	}
	if n.fault == "documents are for free" && n.o.max > 0 {
		n.o.max += n.o.bytes() - before.bytes()
	}
	if n.fault == "the system's is pushed out" {
		n.o.docs = slices.DeleteFunc(n.o.docs, func(d *oracleDoc) bool {
			return n.o.max > 0 && n.o.evictions > 5 && d.tenant == store.SystemTenant
		})
	}
}

func (n *naive) Doc(_ context.Context, tenant, kind, key string) (*store.Doc, error) {
	defer n.lock()()
	d := n.o.doc(tenant, kind, key)
	if d == nil {
		for _, other := range n.o.docs {
			switch {
			case n.fault == "Doc crosses tenants" && other.doc.Kind == kind && other.doc.Key == key,
				n.fault == "kinds are one" && other.tenant == tenant && other.doc.Key == key,
				n.fault == "documents' names are joined" && other.tenant+other.doc.Kind+other.doc.Key == tenant+kind+key,
				n.fault == "documents' names are folded" && other.tenant == tenant && other.doc.Kind == kind && strings.EqualFold(other.doc.Key, key):
				d = other
			}
		}
	}
	if d == nil {
		return nil, store.ErrNotFound
	}
	doc := d.doc
	return &doc, nil
}

func (n *naive) Docs(_ context.Context, tenant, kind string, page store.Page) ([]*store.Doc, bool, error) {
	defer n.lock()()
	given := page
	switch n.fault {
	case "a cursor must be there":
		if page.After != "" && n.o.doc(tenant, kind, page.After) == nil {
			return nil, false, nil
		}
	case "descending begins at the start":
		page.Descending = page.Descending && page.After != ""
	}
	docs, more := n.o.list(tenant, kind, page)
	for i, d := range docs {
		doc := *d
		docs[i] = &doc
	}
	switch n.fault {
	case "Docs crosses tenants":
		if len(docs) == 0 {
			docs, more = n.o.list("a", kind, page)
		}
	case "more is a guess":
		more = len(docs) == given.Limit
	case "more counts what has expired":
		more = more || n.o.expired > 0
	case "a page repeats its cursor":
		if d := n.o.doc(tenant, kind, page.After); d != nil && page.Limit > 1 {
			docs = append([]*store.Doc{&d.doc}, docs...)
		}
	case "documents in order of writing":
		slices.SortFunc(docs, func(a, b *store.Doc) int { return int(a.Version) - int(b.Version) })
	}
	return docs, more, nil
}

func (n *naive) Entry(_ context.Context, tenant, log, key string) (*store.Entry, error) {
	defer n.lock()()
	e := n.o.log(tenant, log).entry(key)
	for _, l := range n.o.logs {
		if e == nil && (n.fault == "Entry crosses tenants" && l.name == log || n.fault == "logs' names are joined" && l.tenant+l.name == tenant+log) {
			e = l.entry(key)
		}
	}
	if e == nil && n.fault == "the empty key is a key" && n.o.log(tenant, log) != nil {
		e = new(store.Entry)
	}
	if e == nil {
		return nil, store.ErrNotFound
	}
	entry := *e
	return &entry, nil
}

func (n *naive) Entries(_ context.Context, tenant, log string, page store.Page) ([]store.Entry, bool, error) {
	defer n.lock()()
	if n.fault == "a page begins at its cursor" && page.AfterSeq != nil && *page.AfterSeq > 0 && !page.Descending {
		before := *page.AfterSeq - 1
		page.AfterSeq = &before
	}
	if n.fault == "descending without a cursor" {
		page.Descending = page.Descending && page.AfterSeq != nil
	}
	entries, more := n.o.entries(tenant, log, page)
	if l := n.o.log(tenant, log); n.fault == "a page is the store's" && l != nil && len(entries) == len(l.entries) && !page.Descending {
		return l.entries, more, nil
	}
	if n.fault == "more is always true backwards" && page.Descending {
		more = true
	}
	return entries, more, nil
}

func (n *naive) Wait(ctx context.Context, tenant, log string, from uint64) error {
	unlock := n.lock()
	l := n.o.log(tenant, log)
	switch {
	case n.fault == "Wait never waits":
		unlock()
		return nil
	case l != nil && l.next > from && n.fault != "Wait does not look":
		unlock()
		return nil
	}
	if n.fault == "Wait looks, then listens" {
		unlock()
		time.Sleep(time.Millisecond)
		unlock = n.lock()
	}
	if n.grown == nil {
		n.grown = make(chan struct{})
	}
	grown := n.grown
	unlock()
	if n.fault == "Wait is not cancelled" {
		<-grown
		return nil
	}
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		if n.fault == "a cancelled Wait says nothing" {
			return nil
		}
		return ctx.Err()
	}
}
