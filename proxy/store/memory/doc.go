// Package memory is the store that lives in the process: it forgets on restart,
// and under pressure it pushes out the oldest of the tenant that has most. Package store says what else it
// promises.
//
// # What is pushed out
//
// A record is as old as its Put, a document or a log as what was written to it
// last. Of the tenant that has most the oldest goes first, and whole:
//
//   - What a tenant has is what of it may be pushed out, and for the one that
//     writes also what it brings. A tenant that has no more than its share of that,
//     which is as much as all others at the most, loses nothing to them. One
//     that is alone may fill the store.
//   - A document and the log that goes with it (store.DocWrite.Log) are of one
//     age, that of the younger, and go together. A conversation that is in use
//     stays, and one that is gone is gone with all its items.
//   - A log that goes with nothing goes alone.
//   - A document with store.DocWrite.Keep never goes, nor its log, nor anything
//     of store.SystemTenant: a lease that vanished would let two replicas do the
//     same work. When nothing else is left a write fails with store.ErrFull, and
//     nothing was pushed out for it.
//   - What a batch names is not pushed out to make room for that batch.
//
// # How it is built
//
// Readers and writers meet in two places only. A record is found through a
// shard of the index, under that shard's read lock; and whether it is there is
// one atomic number of its entry: the time until which it is. Put sets it after
// everything is linked, Delete and eviction clear it before anything is
// unlinked. So a record comes and goes at one instant for Get, Chain and Item
// alike, although its links are in many shards.
//
// All documents and logs of a tenant are in one table, under that table's lock.
// A batch changes them within one hold of the lock, and lets its records be seen
// within as well, those of several shards under the locks of all of them. So
// whoever sees one change of a batch sees all.
//
// Writers go one at a time, behind Store.mu. The budget and the order of tenants are
// global, so a writer needs a global lock in any case; holding it throughout
// makes every invariant below a sequential one, and a Put still costs about
// a microsecond. A writer takes a shard's lock only around the changes in that
// shard, so readers never wait for an eviction run.
//
//	bytes == Σ size of entries ≤ MaxBytes            (also during Put)
//	every entry is in: its shard, its tenant's age list, the due heap, and with each of
//	its items in that item's list of holders, newest first
//	every document and log is in: its table, its tenant's age list if it may be evicted,
//	the due heap if it ends
//
// Values are never copied: Get returns the pointer that was put.
//
// # What it costs
//
// MaxBytes bounds what the Size methods of package store count, which is measured
// to cover the heap that a record, a document, an entry takes, index included. On
// top of it come the epochs (at most
// 2·epochTenants names) and the slack of the garbage collector.
//
// # Where is …?
//
//	options, the methods of store.Store     memory.go
//	entries and their names                 index.go
//	the hash tables                         shard.go
//	reading documents and logs              documents.go
//	batches                                 commit.go
//	documents and logs by name, in order    table.go, doclist.go
//	age order by tenant, who has most       share.go
//	expiry order                            order.go
//	budget, sweeping, the janitor           room.go
package memory
