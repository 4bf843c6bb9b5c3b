package storetest

import (
	"slices"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// oracle is a store that is too simple to be wrong: a list in order of Put, and
// loops over it. What has expired leaves it when time passes. What it does with
// documents is in docoracle.go.
type oracle struct {
	max       int64 // 0: no budget
	recs      []*store.Record
	docs      []*oracleDoc
	logs      []*oracleLog
	ages      map[*store.Record]int64
	age       int64  // of what was put or written last
	version   uint64 // of the last write of a document
	expired   int64
	evictions int64
	deletions map[string]int
}

func newOracle(maxBytes int64) *oracle {
	return &oracle{max: maxBytes, deletions: make(map[string]int), ages: make(map[*store.Record]int64)}
}

func (o *oracle) advanceTo(now time.Time) {
	o.recs = slices.DeleteFunc(o.recs, func(r *store.Record) bool {
		gone := !r.Expires.After(now)
		if gone {
			o.expired++
		}
		return gone
	})
	o.docs = slices.DeleteFunc(o.docs, func(d *oracleDoc) bool { return o.past(d.doc.Expires, now) })
	o.logs = slices.DeleteFunc(o.logs, func(l *oracleLog) bool { return o.past(l.expires, now) })
}

func (o *oracle) put(now time.Time, rec *store.Record) error {
	switch {
	case o.max > 0 && int64(rec.Size()) > o.max:
		return store.ErrTooLarge
	case o.get(rec.Tenant, rec.ID) != nil:
		return store.ErrExists
	case !rec.Expires.After(now):
		o.expired++
		return nil
	}
	if !o.makeRoom(rec.Tenant, int64(rec.Size()), nil) {
		return store.ErrFull
	}
	o.add(rec)
	return nil
}

func (o *oracle) add(rec *store.Record) {
	o.age++
	o.ages[rec] = o.age
	o.recs = append(o.recs, rec)
}

func (o *oracle) bytes() (n int64) {
	for _, r := range o.recs {
		n += int64(r.Size())
	}
	for _, d := range o.docs {
		n += int64(d.doc.Size())
	}
	for _, l := range o.logs {
		n += l.bytes()
	}
	return n
}

// get is the record, or nil.
func (o *oracle) get(tenant, id string) *store.Record {
	for _, r := range o.recs {
		if r.Tenant == tenant && r.ID == id {
			return r
		}
	}
	return nil
}

// item is the newest record with that item, or nil.
func (o *oracle) item(tenant, item string) *store.Record {
	for _, r := range slices.Backward(o.recs) {
		if r.Tenant == tenant && slices.Contains(r.ItemIDs, item) {
			return r
		}
	}
	return nil
}

// chain is the chain, or else the id that is missing.
func (o *oracle) chain(tenant, id string) (chain []*store.Record, missing string) {
	for at := id; ; {
		r := o.get(tenant, at)
		if r == nil || slices.Contains(chain, r) {
			return nil, at
		}
		chain = append(chain, r)
		if r.Parent == "" {
			slices.Reverse(chain)
			return chain, ""
		}
		at = r.Parent
	}
}

// delete says whether there was something to delete.
func (o *oracle) delete(tenant, id string) bool {
	r := o.get(tenant, id)
	if r == nil {
		return false
	}
	o.recs = slices.DeleteFunc(o.recs, func(other *store.Record) bool { return other == r })
	o.deletions[tenant]++
	return true
}
