// Package memory is the store that lives in the process: it forgets on restart,
// and under pressure it pushes the oldest records out. Package store says what
// else it promises.
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
// Writers go one at a time, behind Store.mu. The budget and the age order are
// global, so a writer needs a global lock in any case; holding it throughout
// makes every invariant below a sequential one, and a Put still costs about
// a microsecond. A writer takes a shard's lock only around the changes in that
// shard, so readers never wait for an eviction run.
//
//	bytes == Σ size of entries ≤ MaxBytes            (also during Put)
//	every entry is in: its shard, the age list, the due heap, and with each of
//	its items in that item's list of holders, newest first
//
// Values are never copied: Get returns the pointer that was put.
//
// # What it costs
//
// MaxBytes bounds what Record.Size counts, which is measured to cover the heap
// that a record takes, index included. On top of it come the epochs (at most
// 2·epochTenants names) and the slack of the garbage collector.
//
// # Where is …?
//
//	options, the methods of store.Store     memory.go
//	entries and their names                 index.go
//	the hash tables                         shard.go
//	age order, expiry order                 order.go
//	budget, sweeping, the janitor           room.go
//	the epochs, and why they stay bounded   epoch.go
package memory
