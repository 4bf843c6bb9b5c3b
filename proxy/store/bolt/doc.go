// Package bolt is the store in a file: one process, no other service, and what
// was acknowledged survives a kill and a power cut. Package store says what else
// it promises; docs/STORES.md says what that costs.
//
// # How it is built
//
// The file is a B+tree of go.etcd.io/bbolt. A transaction copies the pages that
// it changes and is there when its root is, so the file is whole at every
// instant. Reading is a short transaction that sees one state of all; what it
// finds is copied out and decoded after it, because pages that a transaction can
// see are not used again before it ends.
//
// One goroutine writes (writer.go). It takes all that wait and commits them
// together: two fsyncs for a group, which is as large as the load makes it, and
// nobody waits for a group to form.
//
// # What is in the file
//
// Buckets by kind of thing (bolt.go), keys of names with their lengths (keys.go),
// values in frames with a version, an end and a checksum of key and content
// (frame.go), compressed above 1 KB (package codec). The index of ends has one key
// for all that ends, in the order of time; the janitor works on its head
// (sweep.go), a thousand keys a transaction. A log has a head with a number, and
// its entries are under that number: dropping or expiring a log of any length is
// one key, and the janitor frees the rest.
//
// A value that is not as it was written is a CorruptError and never ErrNotFound;
// a file or value of a version that is not known is refused by name.
//
// # The budget
//
// MaxBytes bounds the file. What adds is refused with store.ErrFull when the
// pages in use come near it; a sixteenth is kept for deletions, which need new
// pages before they free old ones. The file does not shrink: Compact does that.
//
// # Where is …?
//
//	options, opening, records            bolt.go
//	documents and logs                   documents.go
//	batches                              commit.go
//	the one who writes, faults of disks  writer.go
//	the janitor                          sweep.go
//	pages that are damaged               pages.go
//	files on networks                    fs_linux.go, fs_other.go
//	keys, values                         keys.go, frame.go, record.go
//	is what is not found really absent?  absence.go
//	check, compact, statistics           tools.go
package bolt
