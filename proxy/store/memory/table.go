package memory

import (
	"hash/maphash"
	"sync"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// tables find documents and logs. All that a tenant has is in one of them, under
// one lock: a batch changes it at one instant by holding that lock.
//
// Only a holder of Store.mu changes a table's documents and logs, and takes the
// table's lock as well to do so. Hence a writer may read without it.
type tables struct {
	seed   maphash.Seed
	tables [tableCount]table
}

const tableCount = 64

type table struct {
	sync.RWMutex
	kinds  map[key]*docList  // by tenant and kind
	logs   map[key]*journal  // by tenant and name
	owners map[key]*document // by tenant and name of a log: what the log goes with
}

func (t *tables) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.tables {
		t.tables[i] = table{
			kinds: make(map[key]*docList), logs: make(map[key]*journal),
			owners: make(map[key]*document),
		}
	}
}

func (t *tables) of(tenant string) *table {
	return &t.tables[maphash.String(t.seed, tenant)%tableCount]
}

// never is the end of what has none.
const never = absent

// document is a document in its table. What changes does so under the table's
// lock.
type document struct {
	tenant string
	doc    *store.Doc // replaced, never written to
	until  int64
	log    string // the log that goes with it
	keep   bool

	held // Store.mu
}

// journal is a log in its table, likewise.
type journal struct {
	tenant, name string
	until        int64
	next         uint64        // the number of the next entry
	entries      []store.Entry // by Seq
	keys         map[string]uint64

	held // Store.mu
}

func (d *document) owner() string { return d.tenant }
func (j *journal) owner() string  { return j.tenant }

func (d *document) seen(now int64) bool { return d.until == never || now < d.until }
func (j *journal) seen(now int64) bool  { return j.until == never || now < j.until }

// doc is the document with that name, whether or not it is to be seen.
func (t *table) doc(tenant, kind, name string) *document {
	l := t.kinds[key{tenant, kind}]
	if l == nil {
		return nil
	}
	return l.get(name)
}

// add puts a document in. tenant must be a string that stays.
func (t *table) add(d *document) {
	k := key{d.tenant, d.doc.Kind}
	l := t.kinds[k]
	if l == nil {
		l = new(docList)
		t.kinds[k] = l
	}
	l.insert(d)
	t.own(d)
}

func (t *table) remove(d *document) {
	k := key{d.tenant, d.doc.Kind}
	l := t.kinds[k]
	l.remove(d.doc.Key)
	if len(l.blocks) == 0 {
		delete(t.kinds, k)
	}
	t.disown(d)
}

// own makes the document the one that its log goes with.
func (t *table) own(d *document) {
	if d.log != "" {
		t.owners[key{d.tenant, d.log}] = d
	}
}

func (t *table) disown(d *document) {
	if k := (key{d.tenant, d.log}); t.owners[k] == d {
		delete(t.owners, k)
	}
}

// partner is the log that goes with a document, or nil.
func (t *table) partner(d *document) *journal {
	if k := (key{d.tenant, d.log}); t.owners[k] == d {
		return t.logs[k]
	}
	return nil
}

// owner is the document that a log goes with, or nil.
func (t *table) owner(j *journal) *document { return t.owners[key{j.tenant, j.name}] }

// evictable is whether a document may be pushed out, and the log with it.
func (d *document) evictable() bool { return !d.keep && d.tenant != store.SystemTenant }

func (t *table) evictable(j *journal) bool {
	if d := t.owner(j); d != nil {
		return d.evictable()
	}
	return j.tenant != store.SystemTenant
}

// drop takes a document out of the store. Its log stays.
func (d *document) drop(s *Store) {
	t := s.tables.of(d.tenant)
	j := t.partner(d)
	t.Lock()
	t.remove(d)
	t.Unlock()
	s.releaseDoc(d)
	if j != nil && j.share == nil {
		s.settle(&j.held, t.evictable(j)) // the document has kept it
	}
}

// evict drops a document with its log: of a conversation nothing may stay that
// pretends to be all of it.
func (d *document) evict(s *Store) {
	t := s.tables.of(d.tenant)
	j := t.partner(d)
	t.Lock()
	t.remove(d)
	if j != nil {
		t.removeLog(j)
	}
	t.Unlock()
	if j != nil {
		s.releaseLog(j)
	}
	s.releaseDoc(d)
}

// drop takes a log out of the store.
func (j *journal) drop(s *Store) {
	t := s.tables.of(j.tenant)
	t.Lock()
	t.removeLog(j)
	t.Unlock()
	s.releaseLog(j)
}

// evict drops a log with the document that it goes with.
func (j *journal) evict(s *Store) {
	if d := s.tables.of(j.tenant).owner(j); d != nil {
		d.evict(s)
		return
	}
	j.drop(s)
}

func (t *table) removeLog(j *journal) { delete(t.logs, key{j.tenant, j.name}) }

func (s *Store) releaseDoc(d *document) {
	s.release(&d.held)
	s.stats.Documents--
}

// releaseLog also wakes those who wait for the log: they will see that it is
// gone.
func (s *Store) releaseLog(j *journal) {
	s.waits.Wake(j.tenant, j.name)
	s.release(&j.held)
	s.stats.Entries -= int64(len(j.entries))
}
