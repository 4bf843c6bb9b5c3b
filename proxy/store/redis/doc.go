// Package redis is the store that several replicas share: a Redis or Valkey
// server, alone, with sentinels, or a cluster. Package store says what it
// promises; docs/STORES.md how to run it.
//
// # How it is built
//
// Every write is one run of one script, lua/commit.lua, which checks everything
// and then changes everything: one step of the server, and so for all readers.
// Reads are single commands, or scripts where one command does not do. Scripts
// take the caller's time; what has expired is absent by that clock, whatever the
// server has freed by then.
//
// All keys of a tenant are in one slot (keys.go). So a batch, and a chain of any
// depth, is one call to one node of a cluster; and a tenant is never larger than
// a node. Tenants are what spreads over the nodes.
//
// Numbers (versions, epochs, the order of items) come from one counter for each
// tenant, which is never behind the server's clock in microseconds: a number that
// was lost with the last writes before a failover is not given again.
//
// # When the server fails
//
// A call takes no longer than Options.Timeout. One whose connection breaks is
// made again, once: each write has a name, and the server remembers for ten
// seconds which it has carried out. A write that was not answered in time may be
// carried out later; conditions on versions are what keeps such a one from doing
// harm. What guard.go calls down costs no time at all.
//
// # Where is …?
//
//	options, URLs                             options.go
//	records                                   redis.go, chain.go
//	documents, logs                           documents.go
//	batches, and every other write            commit.go, lua/commit.lua
//	waiting for entries                       wait.go
//	names of keys                             keys.go
//	how values are written                    encode.go
//	deadlines, repetitions, errors            call.go
//	whether the server is up                  guard.go
//	the server's own figures                  stats.go
package redis
