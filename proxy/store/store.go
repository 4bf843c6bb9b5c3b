package store

import (
	"context"
	"errors"
	"time"
)

// Record is one stored response. It never changes once it is put: callers and
// backends share its slices and must not write to them.
type Record struct {
	// Tenant owns the record; ids of another tenant do not exist.
	Tenant string
	// ID is the response's id, such as "resp_0123…".
	ID string
	// Parent is the id of the response that this one continues, or "".
	Parent string

	// Created and Expires are UTC; a record is gone from Expires on. The zero
	// time is long past, not never.
	Created, Expires time.Time

	// Response is the response object as the client got it (JSON).
	Response []byte
	// Output is the span [from, to) of Response that is the output array.
	Output [2]int
	// Input is this request's own input as JSON, as the client sent it, with
	// referenced items in place of references: a string, or an array of items that
	// need not have ids (translate.AppendListedInput adds them). Inherited items
	// are in the ancestors. It may lie in a larger buffer, which it keeps alive:
	// its capacity counts.
	Input []byte

	// ItemIDs are the ids of items in Input and Output that a client can refer
	// to (item_reference).
	ItemIDs []string
}

// Size is what a record counts against a byte budget: its bytes, and what the
// in-memory backend spends on keeping and indexing it (measured there by
// TestSizeIsHonest, so that a budget bounds the heap and not only the payload).
func (r *Record) Size() int {
	n := 512 + len(r.Tenant) + len(r.ID) + len(r.Parent) + len(r.Response) + cap(r.Input)
	for _, id := range r.ItemIDs {
		n += 128 + len(id)
	}
	return n
}

// OutputItems is the output array of the response (JSON). It aliases Response.
func (r *Record) OutputItems() []byte { return r.Response[r.Output[0]:r.Output[1]] }

// Errors of a Store. Anything else that a method returns means that the
// backend cannot be reached or is broken: reads become 503, and a response that
// could not be put says "store":false.
var (
	// ErrNotFound: there is no such record for this tenant, or no more.
	ErrNotFound = errors.New("store: not found")
	// ErrExists: a record with that id is there already.
	ErrExists = errors.New("store: exists")
	// ErrTooLarge: the record, or the batch, is over what the backend can ever
	// hold.
	ErrTooLarge = errors.New("store: record too large")
	// ErrFull: there is no room, and the backend pushes nothing out for it. What
	// is there can be read and deleted; expiry and deletion make room.
	ErrFull = errors.New("store: full")
	// ErrDamaged: it is there, and is not as it was written. It is never taken for
	// absent. Backends wrap it in an error that says where.
	ErrDamaged = errors.New("store: damaged")
	// ErrClosed: the store was closed during the call.
	ErrClosed = errors.New("store: closed")
)

// BrokenChainError is returned by Chain when an ancestor is gone.
type BrokenChainError struct {
	// Missing is the id of the ancestor.
	Missing string
}

func (e *BrokenChainError) Error() string { return "store: ancestor " + e.Missing + " not found" }

// Unwrap makes errors.Is(err, ErrNotFound) true.
func (e *BrokenChainError) Unwrap() error { return ErrNotFound }

// Store holds records, and Documents beside them. All methods may be called by
// any number of goroutines. The names that are passed in are not kept; the
// records are.
type Store interface {
	Documents

	// Put adds a record. When it returns nil the record is as durable as the
	// backend ever makes it, and every later Get finds it until it expires, is
	// deleted, or is evicted where the backend has a budget. A record that has
	// expired already is accepted and never seen. ErrExists, ErrTooLarge, ErrFull.
	//
	// Put keeps rec and all it refers to: none of it may be part of a buffer
	// that is used again, and slices with much spare capacity waste memory that
	// Size does not see.
	Put(ctx context.Context, rec *Record) error

	// Get returns the record with that id. ErrNotFound.
	Get(ctx context.Context, tenant, id string) (*Record, error)

	// Chain returns the records from the root of the conversation to the one
	// with that id, which is the last. ErrNotFound for the id itself,
	// *BrokenChainError for an ancestor that is absent or that would close a
	// cycle. The slice is the caller's.
	//
	// It is not a snapshot: of records that are deleted during the call some may
	// be seen as deleted and others not.
	Chain(ctx context.Context, tenant, id string) ([]*Record, error)

	// Item returns the record that holds the item with that id. When several do,
	// it is the one that was put last of those that are still there.
	// ErrNotFound.
	Item(ctx context.Context, tenant, itemID string) (*Record, error)

	// Delete removes a record. ErrNotFound. Its descendants stay, but their
	// chains are broken.
	Delete(ctx context.Context, tenant, id string) error

	// Epoch changes, for a tenant, whenever a record of that tenant was
	// deleted, and never goes back to a value it had: what was derived from a
	// chain under another epoch may hold content that is gone by now.
	//
	// Ask for the epoch before the chain, and keep what is derived under that
	// epoch. A deleted record is out of sight before the epoch changes, and the
	// epoch has changed before Delete returns; so no derivation that saw the
	// record carries the new epoch. Expiry and eviction leave the epoch alone:
	// what is derived must end with the earliest Expires of its chain.
	Epoch(ctx context.Context, tenant string) (uint64, error)

	// Stats describes the present state, for metrics.
	Stats() Stats

	// Close releases what the store holds. No method may be called after it.
	Close() error
}

// Stats describes a store's present state.
type Stats struct {
	Records   int64 // records held, expired ones that are not freed yet included
	Documents int64 // documents held, likewise
	Entries   int64 // entries of logs held, likewise
	Bytes     int64 // the size of all of it, as the Size methods and LogSize count
	Evictions int64 // live records, documents (each with its log) and logs pushed out by the budget, since the start
	Expired   int64 // records, documents and logs that reached their end and were freed, since the start
}
