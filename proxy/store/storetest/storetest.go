// Package storetest is the suite that every backend of package store must pass,
// and the benchmarks they are compared by. A backend runs it in a test of its
// own:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, clock *storetest.Clock) store.Store {
//			return mybackend.New(…, clock.Now)
//		}, storetest.Capabilities{})
//	}
//
// Every case opens its own, empty store and closes it. The suite itself is
// tested by storetest_test.go: for each property it has a store that breaks
// this one, and demands that the case named for it fails.
//
// This is test support: it imports testing, rapid and porcupine, and nothing
// but tests imports it.
//
// # Where is …?
//
//	the list of cases, what a backend may differ in   storetest.go
//	records to put, and how they are compared         record.go
//	put, get, delete, sharing                         basic.go
//	tenants                                           tenant.go
//	chains, branches, cycles                          chain.go
//	item lookups                                      item.go
//	expiry, epochs                                    expiry.go, epoch.go
//	the byte budget, statistics                       budget.go
//	many goroutines                                   hammer.go
//	documents                                         document.go
//	logs, waiting for them                            log.go, wait.go
//	batches                                           batch.go
//	the byte budget with documents                    budgetdoc.go
//	recorded histories, linearizability               history.go, dochistory.go
//	random operations against an oracle               model.go, docmodel.go, oracle.go, docoracle.go
//	benchmarks                                        bench.go
package storetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// OpenFunc opens an empty store whose expiry follows the clock.
type OpenFunc func(t *testing.T, clock *Clock) store.Store

// Capabilities are what backends may differ in. The zero value is a backend
// without a budget whose Stats are estimates.
type Capabilities struct {
	// Budget opens an empty store that holds at most maxBytes, as Record.Size
	// counts, frees the expired and then the oldest when a Put needs room, and
	// counts its evictions. Nil: the backend does not evict.
	Budget func(t *testing.T, clock *Clock, maxBytes int64) store.Store

	// ExactStats says that Stats().Records and Bytes are exact.
	ExactStats bool

	// Sweep makes a store free all that has expired. Nil: it cannot be asked to.
	Sweep func(s store.Store)

	// Operations is how many operations the history case records. Default
	// 100 000; a backend that writes to disk may want fewer in short runs. Under
	// the race detector, which slows all of them down, it is a quarter of that.
	Operations int
}

// Clock is the time that a store under test goes by. It moves only by Advance.
type Clock struct{ ns atomic.Int64 }

// NewClock starts a clock at a fixed date.
func NewClock() *Clock {
	c := new(Clock)
	c.ns.Store(time.Date(2026, 11, 22, 20, 26, 0, 123456789, time.UTC).UnixNano())
	return c
}

// Now is the time, in UTC.
func (c *Clock) Now() time.Time { return time.Unix(0, c.ns.Load()).UTC() }

// Advance lets d pass at once.
func (c *Clock) Advance(d time.Duration) { c.ns.Add(int64(d)) }

// env is what a case has to work with.
type env struct {
	t      *testing.T
	ctx    context.Context
	clock  *Clock
	store  store.Store
	caps   Capabilities
	reopen func() store.Store // another empty store on the same clock; the case closes it
	serial *atomic.Int64      // makes the content of every record different
}

type testCase struct {
	name string
	run  func(*env)
	skip func(Capabilities) bool
}

func noBudget(c Capabilities) bool { return c.Budget == nil }
func noStats(c Capabilities) bool  { return !c.ExactStats }

var cases = []testCase{
	{"PutGet", putGet, nil},
	{"PutExists", putExists, nil},
	{"NotFound", notFound, nil},
	{"Delete", deleteRecord, nil},
	{"Shared", shared, nil},
	{"Tenants", tenants, nil},
	{"TenantNames", tenantNames, nil},
	{"Chain", chains, nil},
	{"ChainBranches", chainBranches, nil},
	{"ChainBroken", chainBroken, nil},
	{"ChainCycle", chainCycle, nil},
	{"Item", items, nil},
	{"ItemFallback", itemFallback, nil},
	{"Expiry", expiry, nil},
	{"ExpiryOrder", expiryOrder, nil},
	{"ExpiryFarAndPast", expiryFarAndPast, nil},
	{"Epoch", epoch, nil},
	{"EpochRace", epochRace, nil},
	{"Stats", stats, noStats},
	{"Budget", budget, noBudget},
	{"BudgetTooLarge", budgetTooLarge, noBudget},
	{"BudgetExpired", budgetExpired, noBudget},
	{"BudgetShares", budgetShares, noBudget},
	{"BudgetItems", budgetItems, noBudget},
	{"BudgetAtOnce", budgetAtOnce, noBudget},
	{"Hammer", hammer, nil},
	{"HammerBudget", hammerBudget, noBudget},
	{"History", history, nil},
	{"Model", model, nil},
	{"ModelBudget", modelBudget, noBudget},
	{"Doc", docPutGet, nil},
	{"DocVersions", docVersions, nil},
	{"DocConditions", docConditions, nil},
	{"DocTenants", docOwners, nil},
	{"DocExpiry", docExpiry, nil},
	{"DocList", docList, nil},
	{"Log", logs, nil},
	{"LogKeys", logKeys, nil},
	{"LogRemove", logRemove, nil},
	{"LogDrop", logDrop, nil},
	{"LogExpiry", logExpiry, nil},
	{"LogTenants", logTenants, nil},
	{"LogList", logList, nil},
	{"BatchAtomic", batchAtomic, nil},
	{"BatchCheck", batchCheck, nil},
	{"BatchAtOnce", batchAtOnce, nil},
	{"BatchOnce", batchOnce, nil},
	{"Wait", waits, nil},
	{"WaitNone", waitNone, nil},
	{"BudgetDocs", budgetDocs, noBudget},
	{"BudgetKept", budgetKept, noBudget},
	{"DocHistory", docHistory, nil},
	{"DocModel", docModel, nil},
	{"DocModelBudget", docModelBudget, noBudget},
}

// Run runs the suite.
func Run(t *testing.T, open func(t *testing.T, clock *Clock) store.Store, caps Capabilities) {
	if caps.Operations == 0 {
		caps.Operations = 100_000
	}
	if raceEnabled {
		caps.Operations /= 4
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.skip != nil && c.skip(caps) {
				t.Skip("not a capability of this backend")
			}
			clock := NewClock()
			e := &env{
				t: t, ctx: t.Context(), clock: clock, caps: caps,
				store: open(t, clock), serial: new(atomic.Int64),
				reopen: func() store.Store { return open(t, clock) },
			}
			// Through e, because a case may replace its store.
			defer func() { e.close() }()
			c.run(e)
		})
	}
}

// with is the env for another store, or for part of a case.
func (e *env) with(s store.Store) *env {
	c := *e
	c.store = s
	return &c
}

func (e *env) close() {
	if err := e.store.Close(); err != nil {
		e.t.Errorf("Close: %v", err)
	}
}
