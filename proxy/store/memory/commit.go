package memory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Commit implements store.Documents. What must go for the batch to fit goes
// first, as in Put, but nothing that the batch names.
func (s *Store) Commit(_ context.Context, tenant string, b *store.Batch) error {
	if err := b.Check(tenant); err != nil {
		return err
	}
	c := commit{s: s, t: s.tables.of(tenant), tenant: tenant, b: b, now: s.now().UnixNano()}
	for _, rec := range b.Records {
		c.records = append(c.records, s.index.newEntry(rec))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	c.expire()
	if err := c.check(); err != nil {
		return err
	}
	if c.adds > s.max {
		return store.ErrTooLarge
	}
	if err := s.makeRoom(tenant, c.grows, c.now, c.pinned...); err != nil {
		return err
	}
	c.apply()
	return nil
}

// commit is a batch on its way. All of it happens under Store.mu, so what check
// has found is still so when apply comes to it.
type commit struct {
	s       *Store
	t       *table
	tenant  string
	b       *store.Batch
	now     int64
	records []*entry

	adds   int64   // the bytes that the batch brings …
	grows  int64   // … and what the store has more of after it
	pinned []*held // what the batch changes, and what goes with it
}

// expire frees what the batch names and has expired, so that to what follows it
// is not there.
func (c *commit) expire() {
	doc := func(kind, name string) {
		if d := c.t.doc(c.tenant, kind, name); d != nil && !d.seen(c.now) {
			c.s.expire(d)
		}
	}
	log := func(name string) {
		if j := c.log(name); j != nil && !j.seen(c.now) {
			c.s.expire(j)
		}
	}
	for _, r := range c.b.Require {
		doc(r.Kind, r.Key)
	}
	for _, w := range c.b.Put {
		doc(w.Doc.Kind, w.Doc.Key)
	}
	for _, d := range c.b.Delete {
		doc(d.Kind, d.Key)
	}
	for i := range c.b.Append {
		log(c.b.Append[i].Log)
	}
	for _, r := range c.b.Remove {
		log(r.Log)
	}
	for _, name := range c.b.Drop {
		log(name)
	}
	for _, e := range c.records {
		if old := c.record(e); old != nil && !old.seen(c.now) {
			c.s.expire(old)
		}
	}
}

func (c *commit) log(name string) *journal { return c.t.logs[key{c.tenant, name}] }

// record is the entry that is where e wants to be, or nil.
func (c *commit) record(e *entry) *entry {
	return c.s.index.hashed(e.self.hash, key{c.tenant, e.rec.ID})
}

// check says whether the batch can be applied, and what that takes.
func (c *commit) check() error {
	for _, r := range c.b.Require {
		if !holds(c.t.doc(c.tenant, r.Kind, r.Key), r.Version) {
			return store.ErrConflict
		}
	}
	for _, w := range c.b.Put {
		d := c.t.doc(c.tenant, w.Doc.Kind, w.Doc.Key)
		if !holds(d, w.If) {
			return store.ErrConflict
		}
		c.add(docSize(w.Doc), ends(w.Doc.Expires))
		c.touchDoc(d)
		if j := c.log(w.Log); w.Log != "" && j != nil {
			c.touch(&j.held)
		}
	}
	for _, r := range c.b.Delete {
		d := c.t.doc(c.tenant, r.Kind, r.Key)
		if !holds(d, r.Version) {
			return store.ErrConflict
		}
		c.touchDoc(d)
	}
	for _, e := range c.records {
		if c.record(e) != nil {
			return store.ErrExists
		}
		c.add(e.size, unixNano(e.rec.Expires))
	}
	for _, r := range c.b.Remove {
		j := c.log(r.Log)
		if j == nil {
			return store.ErrNotFound
		}
		seq, ok := j.keys[r.Key]
		if !ok {
			return store.ErrNotFound
		}
		if !c.goes(r.Log) {
			c.grows -= entrySize(&j.entries[j.find(seq)])
		}
		c.touchLog(j)
	}
	for i, name := range c.b.Drop {
		if j := c.log(name); j != nil && !slices.Contains(c.b.Drop[:i], name) {
			c.grows -= j.size
			c.touchLog(j)
		}
	}
	return c.checkAppends()
}

func (c *commit) checkAppends() error {
	for i := range c.b.Append {
		a := &c.b.Append[i]
		j := c.log(a.Log)
		if j != nil {
			c.touchLog(j)
		} else if d := c.t.owners[key{c.tenant, a.Log}]; d != nil && len(a.Entries) > 0 {
			c.touch(&d.held)
		}
		if slices.Contains(c.b.Drop, a.Log) {
			j = nil
		}
		until := ends(a.Expires)
		if j != nil && c.goes(a.Log) {
			c.grows -= j.size
		}
		if j == nil && len(a.Entries) > 0 {
			c.add(int64(store.LogSize(a.Log)), until)
		}
		var own map[string]bool // keys of these entries
		for n := range a.Entries {
			e := &a.Entries[n]
			c.add(entrySize(e), until)
			if e.Key == "" {
				continue
			}
			if j != nil {
				if _, there := j.keys[e.Key]; there && !slices.Contains(c.b.Remove, store.EntryRef{Log: a.Log, Key: e.Key}) {
					return store.ErrExists
				}
			}
			if own[e.Key] {
				return store.ErrExists
			}
			if own == nil && n+1 < len(a.Entries) {
				own = make(map[string]bool, len(a.Entries))
			}
			if own != nil {
				own[e.Key] = true
			}
		}
	}
	return nil
}

// holds is whether a document that is to be seen, or nil, is of that version.
func holds(d *document, version uint64) bool {
	switch {
	case version == store.AnyVersion:
		return true
	case d == nil:
		return version == store.Absent
	}
	return d.doc.Version == version
}

// add notes that the batch brings so much, until then. What has ended already
// takes no room.
func (c *commit) add(size, until int64) {
	if c.adds += size; c.lasts(until) {
		c.grows += size
	}
}

func (c *commit) lasts(until int64) bool { return until == never || until > c.now }

// goes is whether the batch ends a log, by an append that has expired.
func (c *commit) goes(log string) bool {
	for i := range c.b.Append {
		if a := &c.b.Append[i]; a.Log == log {
			return !c.lasts(ends(a.Expires))
		}
	}
	return false
}

// touchDoc notes that the document changes; it may be nil.
func (c *commit) touchDoc(d *document) {
	if d == nil {
		return
	}
	c.grows -= d.size
	c.touch(&d.held)
	if j := c.t.partner(d); j != nil {
		c.touch(&j.held)
	}
}

// touchLog notes that the log changes.
func (c *commit) touchLog(j *journal) {
	c.touch(&j.held)
	if d := c.t.owner(j); d != nil {
		c.touch(&d.held)
	}
}

func (c *commit) touch(h *held) {
	if !slices.Contains(c.pinned, h) {
		c.pinned = append(c.pinned, h)
	}
}

// apply makes the changes. Nothing can go wrong any more. Whoever sees one of
// them, by whatever method, sees all: documents and logs change under the
// table's lock, and records come to be seen within.
func (c *commit) apply() {
	c.tenant = strings.Clone(c.tenant) // the tables keep it
	c.t.Lock()
	for _, r := range c.b.Delete {
		if d := c.t.doc(c.tenant, r.Kind, r.Key); d != nil {
			c.t.remove(d)
			c.s.releaseDoc(d)
		}
	}
	for _, name := range c.b.Drop {
		if j := c.log(name); j != nil {
			c.t.removeLog(j)
			c.s.releaseLog(j)
		}
	}
	for _, r := range c.b.Remove {
		c.remove(r)
	}
	for i := range c.b.Put {
		c.put(&c.b.Put[i])
	}
	for i := range c.b.Append {
		c.append(&c.b.Append[i])
	}
	c.show()
	c.t.Unlock()

	for _, h := range c.pinned {
		switch t := h.what.(type) { // nil: it is gone
		case *document:
			c.s.settle(h, t.evictable())
		case *journal:
			c.s.settle(h, c.t.evictable(t))
		}
	}
}

func (c *commit) remove(r store.EntryRef) {
	j := c.log(r.Log)
	at := j.find(j.keys[r.Key])
	size := entrySize(&j.entries[at])
	delete(j.keys, r.Key)
	j.entries = slices.Delete(j.entries, at, at+1)
	c.s.change(&j.held, j.size-size, j.until)
	c.s.stats.Entries--
}

func (c *commit) put(w *store.DocWrite) {
	s := c.s
	s.version++
	doc := *w.Doc
	doc.Version, w.Version = s.version, s.version
	until := ends(doc.Expires)
	d := c.t.doc(c.tenant, doc.Kind, doc.Key)
	if !c.lasts(until) { // written and gone
		if s.stats.Expired++; d != nil {
			c.t.remove(d)
			s.releaseDoc(d)
		}
		return
	}
	size := docSize(&doc)
	if d == nil {
		d = &document{tenant: c.tenant, doc: &doc, until: until, log: w.Log, keep: w.Keep, held: held{slot: -1, size: size}}
		d.what = d
		c.t.add(d)
		s.hold(&d.held, until)
		s.stats.Documents++
		c.touch(&d.held)
		return
	}
	c.t.disown(d)
	d.doc, d.until, d.log, d.keep = &doc, until, w.Log, w.Keep
	c.t.own(d)
	s.change(&d.held, size, until)
}

func (c *commit) append(a *store.LogAppend) {
	s := c.s
	until := ends(a.Expires)
	j := c.log(a.Log)
	if j == nil && len(a.Entries) == 0 {
		return
	}
	if !c.lasts(until) { // written and gone
		if s.stats.Expired++; j != nil {
			c.t.removeLog(j)
			s.releaseLog(j)
		}
		return
	}
	if j == nil {
		j = &journal{tenant: c.tenant, name: a.Log, held: held{slot: -1, size: int64(store.LogSize(a.Log))}}
		j.what = j
		c.t.logs[key{c.tenant, a.Log}] = j
		s.hold(&j.held, until)
		c.touch(&j.held)
	}
	size := j.size
	for i := range a.Entries {
		e := a.Entries[i]
		e.Seq = j.next
		j.next++
		j.entries = append(j.entries, e)
		size += entrySize(&e)
		if e.Key != "" {
			if j.keys == nil {
				j.keys = make(map[string]uint64)
			}
			j.keys[e.Key] = e.Seq
		}
	}
	j.until = until
	s.change(&j.held, size, until)
	s.stats.Entries += int64(len(a.Entries))
	if len(a.Entries) > 0 {
		c.s.waits.Wake(c.tenant, a.Log)
	}
}

// show links the records and lets readers see them.
func (c *commit) show() {
	live := c.records[:0]
	for _, e := range c.records {
		if until := unixNano(e.rec.Expires); until <= c.now {
			c.s.stats.Expired++
		} else {
			c.s.link(e, until)
			live = append(live, e)
		}
	}
	if len(live) > 0 {
		c.s.index.show(live, func(e *entry) int64 { return unixNano(e.rec.Expires) })
	}
}

// ends is the end of a document or a log.
func ends(expires time.Time) int64 {
	if expires.IsZero() {
		return never
	}
	// never is also the end of what ended before the year 1677.
	return max(unixNano(expires), never+1)
}

func docSize(d *store.Doc) int64     { return int64(d.Size()) }
func entrySize(e *store.Entry) int64 { return int64(e.Size()) }
