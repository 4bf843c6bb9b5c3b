package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

type oracleDoc struct {
	tenant string
	doc    store.Doc
	log    string
	keep   bool
	age    int64
}

type oracleLog struct {
	tenant, name string
	expires      time.Time
	next         uint64
	entries      []store.Entry
	age          int64
}

func (l *oracleLog) bytes() int64 {
	n := store.LogSize(l.name)
	for i := range l.entries {
		n += l.entries[i].Size()
	}
	return int64(n)
}

// past is whether a document or a log has ended; it counts those that have.
func (o *oracle) past(expires, now time.Time) bool {
	gone := !expires.IsZero() && !expires.After(now)
	if gone {
		o.expired++
	}
	return gone
}

func (o *oracle) doc(tenant, kind, key string) *oracleDoc {
	for _, d := range o.docs {
		if d.tenant == tenant && d.doc.Kind == kind && d.doc.Key == key {
			return d
		}
	}
	return nil
}

func (o *oracle) log(tenant, name string) *oracleLog {
	for _, l := range o.logs {
		if l.tenant == tenant && l.name == name {
			return l
		}
	}
	return nil
}

func (l *oracleLog) entry(key string) *store.Entry {
	if l == nil || key == "" {
		return nil
	}
	for i := range l.entries {
		if l.entries[i].Key == key {
			return &l.entries[i]
		}
	}
	return nil
}

func (o *oracle) owner(l *oracleLog) *oracleDoc {
	for _, d := range o.docs {
		if d.tenant == l.tenant && d.log == l.name {
			return d
		}
	}
	return nil
}

// commit applies a batch and returns nothing, or the errors that are right.
func (o *oracle) commit(now time.Time, tenant string, b *store.Batch) []error {
	if err := b.Check(tenant); err != nil {
		return []error{err}
	}
	wrong := o.refusals(tenant, b)
	if o.max > 0 && o.adds(tenant, b) > o.max {
		wrong = append(wrong, store.ErrTooLarge)
	}
	if wrong != nil {
		return wrong
	}
	trial := o.clone()
	trial.apply(now, tenant, b)
	trial.advanceTo(now) // what was written with an end in the past takes no room
	named := o.named(tenant, b)
	if !o.makeRoom(tenant, trial.bytes()-o.bytes(), named) {
		return []error{store.ErrFull}
	}
	o.apply(now, tenant, b)
	for n := range named {
		switch n := n.(type) {
		case *oracleDoc:
			n.age = o.age
		case *oracleLog:
			n.age = o.age
		}
	}
	for i := range b.Put {
		b.Put[i].Version = o.doc(tenant, b.Put[i].Doc.Kind, b.Put[i].Doc.Key).doc.Version
	}
	o.advanceTo(now)
	return nil
}

func (o *oracle) clone() *oracle {
	c := *o
	c.recs = slices.Clone(o.recs)
	c.docs, c.logs = nil, nil
	for _, d := range o.docs {
		copied := *d
		c.docs = append(c.docs, &copied)
	}
	for _, l := range o.logs {
		copied := *l
		copied.entries = slices.Clone(l.entries)
		c.logs = append(c.logs, &copied)
	}
	return &c
}

// refusals are the reasons against a batch, size apart.
func (o *oracle) refusals(tenant string, b *store.Batch) (wrong []error) {
	conflict := func(kind, key string, version uint64) {
		have := store.Absent
		if d := o.doc(tenant, kind, key); d != nil {
			have = d.doc.Version
		}
		if version != store.AnyVersion && version != have {
			wrong = append(wrong, store.ErrConflict)
		}
	}
	for _, c := range b.Require {
		conflict(c.Kind, c.Key, c.Version)
	}
	for _, w := range b.Put {
		conflict(w.Doc.Kind, w.Doc.Key, w.If)
	}
	for _, c := range b.Delete {
		conflict(c.Kind, c.Key, c.Version)
	}
	for _, rec := range b.Records {
		if o.get(tenant, rec.ID) != nil {
			wrong = append(wrong, store.ErrExists)
		}
	}
	for _, r := range b.Remove {
		if o.log(tenant, r.Log).entry(r.Key) == nil {
			wrong = append(wrong, store.ErrNotFound)
		}
	}
	for _, a := range b.Append {
		for i, e := range a.Entries {
			there := o.log(tenant, a.Log).entry(e.Key) != nil && !slices.Contains(b.Drop, a.Log) &&
				!slices.Contains(b.Remove, store.EntryRef{Log: a.Log, Key: e.Key})
			again := slices.ContainsFunc(a.Entries[:i], func(f store.Entry) bool { return f.Key == e.Key })
			if e.Key != "" && (there || again) {
				wrong = append(wrong, store.ErrExists)
			}
		}
	}
	return wrong
}

// apply makes the changes of a batch that can be made.
func (o *oracle) apply(now time.Time, tenant string, b *store.Batch) {
	o.age++
	for _, c := range b.Delete {
		o.docs = slices.DeleteFunc(o.docs, func(d *oracleDoc) bool {
			return d.tenant == tenant && d.doc.Kind == c.Kind && d.doc.Key == c.Key
		})
	}
	for _, name := range b.Drop {
		o.logs = slices.DeleteFunc(o.logs, func(l *oracleLog) bool { return l.tenant == tenant && l.name == name })
	}
	for _, r := range b.Remove {
		if l := o.log(tenant, r.Log); l != nil {
			l.entries = slices.DeleteFunc(l.entries, func(e store.Entry) bool { return e.Key == r.Key })
		}
	}
	for _, w := range b.Put {
		d := o.doc(tenant, w.Doc.Kind, w.Doc.Key)
		if d == nil {
			d = &oracleDoc{tenant: tenant}
			o.docs = append(o.docs, d)
		}
		o.version++
		d.doc = *w.Doc
		d.doc.Version, d.log, d.keep, d.age = o.version, w.Log, w.Keep, o.age
	}
	for _, a := range b.Append {
		l := o.log(tenant, a.Log)
		if l == nil {
			if len(a.Entries) == 0 {
				continue
			}
			l = &oracleLog{tenant: tenant, name: a.Log, age: o.age}
			o.logs = append(o.logs, l)
		}
		l.expires = a.Expires
		for _, e := range a.Entries {
			e.Seq = l.next
			l.next++
			l.entries = append(l.entries, e)
		}
	}
	for _, rec := range b.Records {
		if rec.Expires.After(now) {
			o.add(rec)
		} else {
			o.expired++
		}
	}
}

// adds is what a batch brings, whatever it frees.
func (o *oracle) adds(tenant string, b *store.Batch) (n int64) {
	for _, rec := range b.Records {
		n += int64(rec.Size())
	}
	for _, w := range b.Put {
		n += int64(w.Doc.Size())
	}
	for _, a := range b.Append {
		if len(a.Entries) > 0 && (o.log(tenant, a.Log) == nil || slices.Contains(b.Drop, a.Log)) {
			n += int64(store.LogSize(a.Log))
		}
		for i := range a.Entries {
			n += int64(a.Entries[i].Size())
		}
	}
	return n
}

// named is what a batch names, and what goes with it.
func (o *oracle) named(tenant string, b *store.Batch) map[any]bool {
	named := make(map[any]bool)
	doc := func(kind, key string) {
		if d := o.doc(tenant, kind, key); d != nil {
			named[d] = true
			if l := o.log(tenant, d.log); l != nil {
				named[l] = true
			}
		}
	}
	log := func(name string) {
		for _, d := range o.docs {
			if d.tenant == tenant && d.log == name {
				named[d] = true
			}
		}
		if l := o.log(tenant, name); l != nil {
			named[l] = true
		}
	}
	for _, w := range b.Put {
		doc(w.Doc.Kind, w.Doc.Key)
		if w.Log != "" {
			log(w.Log)
		}
	}
	for _, c := range b.Delete {
		doc(c.Kind, c.Key)
	}
	for _, a := range b.Append {
		if len(a.Entries) > 0 || o.log(tenant, a.Log) != nil {
			log(a.Log)
		}
	}
	for _, r := range b.Remove {
		log(r.Log)
	}
	for _, name := range b.Drop {
		if o.log(tenant, name) != nil {
			log(name)
		}
	}
	return named
}

// unit is what is evicted together.
type unit struct {
	rec   *store.Record
	doc   *oracleDoc
	log   *oracleLog
	age   int64
	bytes int64
}

// units are what may be evicted, but nothing that is named.
func (o *oracle) units(named map[any]bool) (all []unit) {
	for _, r := range o.recs {
		all = append(all, unit{rec: r, age: o.ages[r], bytes: int64(r.Size())})
	}
	for _, d := range o.docs {
		if d.keep || d.tenant == store.SystemTenant || named[d] {
			continue
		}
		u := unit{doc: d, log: o.log(d.tenant, d.log), age: d.age, bytes: int64(d.doc.Size())}
		if d.log == "" {
			u.log = nil
		}
		if u.log != nil {
			u.bytes += u.log.bytes()
		}
		all = append(all, u)
	}
	for _, l := range o.logs {
		if o.owner(l) == nil && l.tenant != store.SystemTenant && !named[l] {
			all = append(all, unit{log: l, age: l.age, bytes: l.bytes()})
		}
	}
	return all
}

func (u *unit) tenant() string {
	switch {
	case u.rec != nil:
		return u.rec.Tenant
	case u.doc != nil:
		return u.doc.tenant
	}
	return u.log.tenant
}

// makeRoom evicts until size more bytes of a tenant fit, or nothing if that
// cannot help. The oldest of the tenant that has most goes, and what the writer
// brings and changes is part of what it has.
func (o *oracle) makeRoom(writer string, size int64, named map[any]bool) bool {
	if o.max == 0 {
		return true
	}
	has := map[string]int64{writer: size}
	for _, u := range o.units(nil) {
		has[u.tenant()] += u.bytes
	}
	units := o.units(named)
	fixed := o.bytes() + size
	for _, u := range units {
		fixed -= u.bytes
	}
	if fixed > o.max {
		return false
	}
	slices.SortStableFunc(units, func(a, b unit) int { return int(a.age - b.age) })
	for o.bytes()+size > o.max {
		next := 0
		for i := range units {
			if has[units[i].tenant()] > has[units[next].tenant()] {
				next = i
			}
		}
		u := units[next]
		units = slices.Delete(units, next, next+1)
		has[u.tenant()] -= u.bytes
		o.recs = slices.DeleteFunc(o.recs, func(r *store.Record) bool { return r == u.rec })
		o.docs = slices.DeleteFunc(o.docs, func(d *oracleDoc) bool { return d == u.doc })
		o.logs = slices.DeleteFunc(o.logs, func(l *oracleLog) bool { return l == u.log })
		o.evictions++
	}
	return true
}

// list is the documents of a kind by key.
func (o *oracle) list(tenant, kind string, page store.Page) (docs []*store.Doc, more bool) {
	for _, d := range o.docs {
		if d.tenant == tenant && d.doc.Kind == kind &&
			(page.After == "" || page.Descending == (d.doc.Key < page.After) && d.doc.Key != page.After) {
			docs = append(docs, &d.doc)
		}
	}
	slices.SortFunc(docs, func(a, b *store.Doc) int { return strings.Compare(a.Key, b.Key) })
	if page.Descending {
		slices.Reverse(docs)
	}
	n := min(page.Limit, len(docs))
	return docs[:n], n < len(docs)
}

// entries is a page of a log.
func (o *oracle) entries(tenant, log string, page store.Page) (entries []store.Entry, more bool) {
	l := o.log(tenant, log)
	if l == nil {
		return nil, false
	}
	for _, e := range l.entries {
		if page.AfterSeq == nil || page.Descending == (e.Seq < *page.AfterSeq) && e.Seq != *page.AfterSeq {
			entries = append(entries, e)
		}
	}
	if page.Descending {
		slices.Reverse(entries)
	}
	n := min(page.Limit, len(entries))
	return entries[:n], n < len(entries)
}

func (o *oracle) entryCount() (n int64) {
	for _, l := range o.logs {
		n += int64(len(l.entries))
	}
	return n
}
