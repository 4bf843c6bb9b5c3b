// Package store keeps what the stateful side of the Responses API needs: one
// Record for each stored response, owned by a tenant; and beside them documents
// and logs, for what changes.
//
// The interface is small on purpose: a backend holds immutable records under
// (tenant, id) and knows how to walk from a record to its ancestors, and it
// applies batches of changes to documents with versions. What is in
// them is the business of package translate; how it is shown, of package
// proxy.
//
// # What every backend promises
//
// Each of these has a case in package storetest, the suite that every backend
// must pass.
//
//   - A record is whole or absent. Put and Delete take effect at one instant,
//     the same for Get, Chain and Item: what one of them shows, the others show.
//     Operations on one record are linearizable.
//   - Put never replaces. An id can be used again only when its record was
//     deleted, has expired or was evicted.
//   - A tenant sees its own records and nothing else, whatever bytes are in the
//     names. For the id of another tenant every method answers as it does for an
//     id that never was.
//   - From the instant Expires on, a record is absent, whether or not its memory
//     was freed by then. Its id is free and its items are gone.
//   - A parent is a name that is looked up when a chain is read, not when the
//     record is put. Deleting, expiring or evicting a record breaks the chains of
//     its descendants, and never shortens them in silence.
//   - A batch (Commit) happens whole, at one instant for every method, or not at
//     all. Batches are linearizable, with each other and with Put and Delete.
//   - A document's version is never used again, not even when its key was deleted
//     in between: who holds a version knows the content. The entries of a log are
//     numbered without gaps from 0, and the numbers are never given twice.
//   - What derived data may outlive is told by Epoch; see there for the order in
//     which to call.
//
// # What depends on the backend
//
// Whether anything survives a restart, and whether the store forgets under
// pressure: package memory has a byte budget and pushes the oldest out, the
// others refuse with ErrFull.
//
// # Where is …?
//
//	the interface, the record, the errors      store.go
//	documents, logs, batches                   documents.go
//	the walk along Parent, cycles included     chain.go
//	epochs and waits, for backends to share    epoch.go, waits.go
//	the in-memory backend                      memory/
//	the suite and the benchmarks               storetest/
package store
