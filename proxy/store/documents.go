package store

import (
	"context"
	"errors"
	"fmt"
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
	// '_' and '-'. Key is a name within it, of any bytes, but not empty.
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
//
// Logs change in the order Drop, Remove, Append: one batch can replace a log, or
// an entry by another of that key. Nothing may be named twice where the outcome
// would depend on an order; see Check.
type Batch struct {
	// Require are conditions on documents that the batch does not write itself.
	Require []Condition
	// Records are added as by Put. Their Tenant must be that of the batch.
	Records []*Record
	// Put writes documents; Doc.Version is ignored. One whose Expires has passed
	// is written and gone.
	Put []DocWrite
	// Delete removes documents. One that is absent under AnyVersion is no error.
	Delete []Condition
	// Append adds to logs. A log comes to be with its first entry.
	Append []LogAppend
	// Remove takes single entries out of logs; ErrNotFound if one is absent. A
	// log keeps its numbering when its last entry is removed.
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

	// Version is set by a Commit that returns nil: the version that the document
	// has now, for the next write of who wrote it.
	Version uint64

	// What a backend that forgets under pressure (package memory) must know. It
	// is no part of the document, and no read returns it.

	// Log names a log that goes with the document, as the items of a conversation
	// do: the two are pushed out together, and an append to the log keeps both
	// young. It does not tie their expiry, nor their deletion.
	Log string
	// Keep says that the document, and with it the log, must not be pushed out:
	// a lease, work that is under way. Documents and logs of SystemTenant never
	// are.
	Keep bool
}

// LogAppend adds entries at the end of a log. Entry.Seq is ignored.
type LogAppend struct {
	Log     string
	Entries []Entry
	// Expires is when the whole log is gone; each append sets it anew, also one
	// without entries if the log is there. The zero time is never.
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
	// ErrTooLarge; ErrFull; *BatchError. Where several apply, any of them.
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
	// or with ctx.Err() when ctx is done. It may return nil early, for one when
	// the log is dropped: callers look again. It holds no connection and no lock
	// while it waits.
	Wait(ctx context.Context, tenant, log string, from uint64) error
}

// BatchError says that a batch makes no sense: a mistake of the caller.
type BatchError struct{ Reason string }

func (e *BatchError) Error() string { return "store: batch: " + e.Reason }

// Check returns a *BatchError if the batch breaks a rule that needs no look at
// the store: a document that is written or deleted twice, a record, an append to
// a log or a removed entry that is there twice, an entry removed from a log that
// is dropped, a record of another tenant, a kind or key that is none. Backends
// call it first.
func (b *Batch) Check(tenant string) error {
	var seen names
	for i := range b.Put {
		if d := b.Put[i].Doc; !validDoc(d.Kind, d.Key) {
			return batchErrorf("%q, %q is no name of a document", d.Kind, d.Key)
		} else if seen.again('d', d.Kind, d.Key) {
			return batchErrorf("document %q, %q is changed twice", d.Kind, d.Key)
		}
	}
	for _, c := range b.Delete {
		if seen.again('d', c.Kind, c.Key) {
			return batchErrorf("document %q, %q is changed twice", c.Kind, c.Key)
		}
	}
	for _, rec := range b.Records {
		if rec.Tenant != tenant {
			return batchErrorf("record %q is of another tenant", rec.ID)
		} else if seen.again('r', rec.ID, "") {
			return batchErrorf("record %q is there twice", rec.ID)
		}
	}
	for i := range b.Append {
		if seen.again('a', b.Append[i].Log, "") {
			return batchErrorf("log %q is appended to twice", b.Append[i].Log)
		}
	}
	for _, ref := range b.Remove {
		if seen.again('e', ref.Log, ref.Key) {
			return batchErrorf("entry %q of log %q is removed twice", ref.Key, ref.Log)
		}
		for _, log := range b.Drop {
			if log == ref.Log {
				return batchErrorf("log %q is dropped, and loses an entry", log)
			}
		}
	}
	return nil
}

func batchErrorf(format string, args ...any) error { return &BatchError{fmt.Sprintf(format, args...)} }

// validDoc is whether a document can have that name.
func validDoc(kind, key string) bool {
	for i := range len(kind) {
		if c := kind[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return kind != "" && key != ""
}

// names remembers names, at no allocation for the few that most batches have.
type names struct {
	few  [8]name
	n    int
	many map[name]struct{}
}

type name struct {
	of   byte
	a, b string
}

// again is whether the name was there before.
func (s *names) again(of byte, a, b string) bool {
	k := name{of, a, b}
	if s.many == nil {
		for i := range s.n {
			if s.few[i] == k {
				return true
			}
		}
		if s.n < len(s.few) {
			s.few[s.n] = k
			s.n++
			return false
		}
		s.many = make(map[name]struct{})
		for _, k := range s.few {
			s.many[k] = struct{}{}
		}
	}
	_, there := s.many[k]
	s.many[k] = struct{}{}
	return there
}

// Size is what a document counts against a byte budget; see Record.Size.
func (d *Doc) Size() int { return 576 + len(d.Kind) + len(d.Key) + cap(d.Body) }

// Size is what an entry counts against a byte budget; see Record.Size.
func (e *Entry) Size() int {
	n := 112 + len(e.Key) + cap(e.Body)
	if e.Key != "" {
		n += 64
	}
	return n
}

// LogSize is what a log counts against a byte budget beside its entries.
func LogSize(name string) int { return 512 + len(name) }
