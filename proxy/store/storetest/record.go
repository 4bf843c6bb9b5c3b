package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// ttl is the lifetime of records that no case lets expire by accident.
const ttl = 30 * 24 * time.Hour

// record makes a record whose content no other record has.
func (e *env) record(tenant, id, parent string, items ...string) *store.Record {
	return makeRecord(e.clock.Now(), e.serial.Add(1), tenant, id, parent, items...)
}

func makeRecord(now time.Time, serial int64, tenant, id, parent string, items ...string) *store.Record {
	head := fmt.Sprintf(`{"id":%q,"serial":%d,"output":`, id, serial)
	output := fmt.Sprintf(`[{"tenant":%q,"serial":%d}]`, tenant, serial)
	return &store.Record{
		Tenant: tenant, ID: id, Parent: parent,
		Created: now, Expires: now.Add(ttl),
		Response: []byte(head + output + "}"),
		Output:   [2]int{len(head), len(head) + len(output)},
		Input:    slices.Clip(fmt.Appendf(nil, `[{"for":%q,"serial":%d}]`, id, serial)),
		ItemIDs:  items,
	}
}

// until is rec with another lifetime.
func until(rec *store.Record, expires time.Time) *store.Record {
	rec.Expires = expires
	return rec
}

// clone copies a record and everything it refers to.
func clone(rec *store.Record) *store.Record {
	c := *rec
	c.Response = bytes.Clone(rec.Response)
	c.Input = slices.Clip(bytes.Clone(rec.Input)) // its capacity counts
	c.ItemIDs = slices.Clone(rec.ItemIDs)
	return &c
}

// diff says how got differs from want, or "". Times are equal as instants: a
// backend may lose the monotonic reading, but not a nanosecond.
func diff(got, want *store.Record) string {
	switch {
	case got == nil:
		return "is nil"
	case got.Tenant != want.Tenant:
		return fmt.Sprintf("Tenant %q, want %q", got.Tenant, want.Tenant)
	case got.ID != want.ID:
		return fmt.Sprintf("ID %q, want %q", got.ID, want.ID)
	case got.Parent != want.Parent:
		return fmt.Sprintf("Parent %q, want %q", got.Parent, want.Parent)
	case !got.Created.Equal(want.Created):
		return fmt.Sprintf("Created %v, want %v", got.Created, want.Created)
	case !got.Expires.Equal(want.Expires):
		return fmt.Sprintf("Expires %v, want %v", got.Expires, want.Expires)
	case got.Created.Location() != time.UTC || got.Expires.Location() != time.UTC:
		return "times are not UTC"
	case !bytes.Equal(got.Response, want.Response):
		return fmt.Sprintf("Response %.80q, want %.80q", got.Response, want.Response)
	case got.Output != want.Output:
		return fmt.Sprintf("Output %v, want %v", got.Output, want.Output)
	case !bytes.Equal(got.OutputItems(), want.OutputItems()):
		return "OutputItems"
	case !bytes.Equal(got.Input, want.Input):
		return fmt.Sprintf("Input %.80q, want %.80q", got.Input, want.Input)
	case !slices.Equal(got.ItemIDs, want.ItemIDs):
		return fmt.Sprintf("ItemIDs %q, want %q", got.ItemIDs, want.ItemIDs)
	}
	return ""
}

// put puts records that must be accepted.
func (e *env) put(recs ...*store.Record) {
	e.t.Helper()
	for _, rec := range recs {
		if err := e.store.Put(e.ctx, rec); err != nil {
			e.t.Fatalf("Put(%q, %q): %v", rec.Tenant, rec.ID, err)
		}
	}
}

func (e *env) delete(tenant, id string) {
	e.t.Helper()
	if err := e.store.Delete(e.ctx, tenant, id); err != nil {
		e.t.Fatalf("Delete(%q, %q): %v", tenant, id, err)
	}
}

// wantGet demands that want is there by Get.
func (e *env) wantGet(want *store.Record) {
	e.t.Helper()
	got, err := e.store.Get(e.ctx, want.Tenant, want.ID)
	if err != nil {
		e.t.Errorf("Get(%q, %q): %v", want.Tenant, want.ID, err)
	} else if d := diff(got, want); d != "" {
		e.t.Errorf("Get(%q, %q): %s", want.Tenant, want.ID, d)
	}
}

// wantGone demands that a record is absent, by every method that reads ids.
func (e *env) wantGone(tenant, id string) {
	e.t.Helper()
	rec, err := e.store.Get(e.ctx, tenant, id)
	if rec != nil || !errors.Is(err, store.ErrNotFound) {
		e.t.Errorf("Get(%q, %q) = %v, %v; want ErrNotFound", tenant, id, rec, err)
	}
	chain, err := e.store.Chain(e.ctx, tenant, id)
	var broken *store.BrokenChainError
	if chain != nil || !errors.Is(err, store.ErrNotFound) || errors.As(err, &broken) {
		e.t.Errorf("Chain(%q, %q) = %d records, %v; want plain ErrNotFound", tenant, id, len(chain), err)
	}
}

// wantItem demands that the item is found in want.
func (e *env) wantItem(item string, want *store.Record) {
	e.t.Helper()
	got, err := e.store.Item(e.ctx, want.Tenant, item)
	if err != nil {
		e.t.Errorf("Item(%q, %q): %v", want.Tenant, item, err)
	} else if d := diff(got, want); d != "" {
		e.t.Errorf("Item(%q, %q): %s", want.Tenant, item, d)
	}
}

func (e *env) wantNoItem(tenant, item string) {
	e.t.Helper()
	if rec, err := e.store.Item(e.ctx, tenant, item); rec != nil || !errors.Is(err, store.ErrNotFound) {
		e.t.Errorf("Item(%q, %q) = %v, %v; want ErrNotFound", tenant, item, rec, err)
	}
}

// wantChain demands that the chain of the last record is exactly want.
func (e *env) wantChain(want ...*store.Record) {
	e.t.Helper()
	last := want[len(want)-1]
	got, err := e.store.Chain(e.ctx, last.Tenant, last.ID)
	if err != nil {
		e.t.Errorf("Chain(%q, %q): %v", last.Tenant, last.ID, err)
		return
	}
	if len(got) != len(want) {
		e.t.Errorf("Chain(%q, %q): %d records (%s), want %d", last.Tenant, last.ID, len(got), ids(got), len(want))
		return
	}
	for i := range want {
		if d := diff(got[i], want[i]); d != "" {
			e.t.Errorf("Chain(%q, %q)[%d]: %s", last.Tenant, last.ID, i, d)
			return
		}
	}
}

// wantBroken demands that the chain is reported as broken, at missing.
func (e *env) wantBroken(tenant, id, missing string) {
	e.t.Helper()
	chain, err := e.store.Chain(e.ctx, tenant, id)
	var broken *store.BrokenChainError
	if chain != nil || !errors.As(err, &broken) || !errors.Is(err, store.ErrNotFound) {
		e.t.Errorf("Chain(%q, %q) = (%s), %v; want a BrokenChainError", tenant, id, ids(chain), err)
	} else if broken.Missing != missing {
		e.t.Errorf("Chain(%q, %q): missing %q, want %q", tenant, id, broken.Missing, missing)
	}
}

func (e *env) epochOf(tenant string) uint64 {
	e.t.Helper()
	n, err := e.store.Epoch(e.ctx, tenant)
	if err != nil {
		e.t.Fatalf("Epoch(%q): %v", tenant, err)
	}
	return n
}

func ids(recs []*store.Record) string {
	var b strings.Builder
	for i, rec := range recs {
		if i == 10 {
			b.WriteString(" …")
			break
		}
		fmt.Fprintf(&b, " %s", rec.ID)
	}
	return strings.TrimSpace(b.String())
}
