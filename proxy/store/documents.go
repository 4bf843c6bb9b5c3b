package store

import (
	"context"
	"errors"
	"time"
)

// Beside immutable records a store holds what changes: documents with versions
// (a conversation, a background run, its lease, a stored chat completion), and
// logs of entries (the items of a conversation, the events of a run). Both are
// dumb bytes here; what they mean is the business of package proxy.

// SystemTenant owns what belongs to no client: keys of the deployment, the queue
// of background work, facts learned about upstreams. No credential maps to it.
const SystemTenant = "\x00antiphon"

// Doc is a document. Callers and backends share its slices and must not write to
// them.
type Doc struct {
	// Kind is a namespace, such as "conversation": lower-case letters, digits,
	// '_' and '-'. Key is a name within it, of any bytes.
	Kind, Key string
	// Version is the store's: at least 1, and larger after every write of the
	// key. A key that was deleted or has expired and is written again never
	// comes back with a version it had.
	Version uint64
	// Expires is when the document is gone; the zero time is never.
	Expires time.Time
	Body    []byte
}

// Entry is one entry of a log.
type Entry struct {
	// Seq is the entry's place, from 0. The next entry of a log gets the next
	// number, also when entries before it were removed.
	Seq uint64
	// Key is a name by which the entry can be found or removed; it may be empty.
	// Within a log a key that is not empty must be unique among what is there.
	Key  string
	Body []byte
}

// Batch is a set of changes for one tenant that happen together or not at all.
// What it refers to is kept: see Store.Put.
type Batch struct {
	// Require are conditions on documents that the batch does not write itself.
	Require []Condition
	// Records are added as by Put.
	Records []*Record
	// Put writes documents; Doc.Version is ignored.
	Put []DocWrite
	// Delete removes documents. One that is absent under AnyVersion is no error.
	Delete []Condition
	// Append adds to logs. A log comes to be with its first entry.
	Append []LogAppend
	// Remove takes single entries out of logs; ErrNotFound if one is absent.
	Remove []EntryRef
	// Drop removes whole logs, with their numbering. One that is absent is no error.
	Drop []string
}

// Versions of a Condition that are no version.
const (
	// Absent demands that there is no such document.
	Absent uint64 = 0
	// AnyVersion demands nothing.
	AnyVersion = ^uint64(0)
)

// Condition demands that a document has a version, or is absent.
type Condition struct {
	Kind, Key string
	Version   uint64
}

// DocWrite writes a document if the one that is there has the version If (or
// there is none, with Absent).
type DocWrite struct {
	Doc *Doc
	If  uint64
}

// LogAppend adds entries at the end of a log. Entry.Seq is ignored.
type LogAppend struct {
	Log     string
	Entries []Entry
	// Expires is when the whole log is gone; each append sets it anew. The zero
	// time is never.
	Expires time.Time
}

// EntryRef names an entry of a log.
type EntryRef struct{ Log, Key string }

// Page is a part of a list.
type Page struct {
	// After is the place behind which the page begins; nothing begins at the
	// start, or with Descending at the end. Documents: a key. Entries: AfterSeq.
	After    string
	AfterSeq *uint64
	// Descending lists from the end.
	Descending bool
	// Limit is how many at most; at least 1.
	Limit int
}

// ErrConflict is returned by Commit when a condition does not hold: somebody
// else was first. Nothing was changed.
var ErrConflict = errors.New("store: conflict")

// Documents is the part of a Store that holds what changes. The rules of Store
// hold: any number of goroutines, nothing of one tenant visible to another, what
// has expired is absent, and other errors than the named ones mean that the
// backend is out of reach.
type Documents interface {
	// Commit makes the changes of a batch, all at one instant and as durable as
	// the backend ever makes anything, or none. ErrConflict; ErrExists for a
	// record or an entry's key that is there; ErrNotFound for an entry to remove;
	// ErrTooLarge.
	Commit(ctx context.Context, tenant string, b *Batch) error

	// Doc returns a document. ErrNotFound.
	Doc(ctx context.Context, tenant, kind, key string) (*Doc, error)

	// Docs lists the documents of a kind, in the order of the bytes of their
	// keys. more says that there are others after the page.
	Docs(ctx context.Context, tenant, kind string, page Page) (docs []*Doc, more bool, err error)

	// Entry returns the entry with that key. ErrNotFound.
	Entry(ctx context.Context, tenant, log, key string) (*Entry, error)

	// Entries lists a log. A log that is not there is empty.
	Entries(ctx context.Context, tenant, log string, page Page) (entries []Entry, more bool, err error)

	// Wait returns when the log may have an entry with a Seq of at least from,
	// or when ctx is done. It may return early: callers look again. It holds no
	// connection and no lock while it waits.
	Wait(ctx context.Context, tenant, log string, from uint64) error
}
