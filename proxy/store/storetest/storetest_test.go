package storetest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const faultEnv = "STORETEST_FAULT"

func runNaive(t *testing.T, fault string, operations int) {
	Run(t,
		func(_ *testing.T, clock *Clock) store.Store { return newNaive(fault, clock, 0) },
		Capabilities{
			Budget: func(_ *testing.T, clock *Clock, maxBytes int64) store.Store {
				return newNaive(fault, clock, maxBytes)
			},
			ExactStats: true,
			Sweep:      func(s store.Store) { s.Stats() }, // any call makes time pass
			Operations: operations,
		})
}

// TestCorrectStorePasses: the suite asks for nothing that the contract does not
// promise, as far as a store shows that has nothing in common with the backends.
func TestCorrectStorePasses(t *testing.T) { runNaive(t, "", 20_000) }

// TestFaultyStore is what TestFaultsAreCaught runs in a process of its own.
func TestFaultyStore(t *testing.T) {
	fault := os.Getenv(faultEnv)
	if fault == "" {
		t.Skip("run by TestFaultsAreCaught")
	}
	waitLimit = 500 * time.Millisecond // who never wakes need not be waited for
	operations := 5_000
	if raceEnabled {
		operations *= 4 // to be caught takes as many as ever
	}
	runNaive(t, fault, operations)
}

// TestFaultsAreCaught: for each promise there is a store that breaks only this
// one, and the case that is there for it fails.
func TestFaultsAreCaught(t *testing.T) {
	for _, c := range []struct{ fault, by string }{
		{"a field is lost", "PutGet"},
		{"put replaces", "PutExists"},
		{"refused put leaves items", "PutExists"},
		{"second delete succeeds", "Delete"},
		{"delete keeps items", "Delete"},
		{"delete scribbles", "Shared"},

		{"get crosses tenants", "Tenants"},
		{"get crosses tenants", "Model"},
		{"chain crosses tenants", "Tenants"},
		{"item crosses tenants", "Tenants"},
		{"vain delete changes epoch", "Tenants"},
		{"names are joined", "TenantNames"},
		{"names are folded", "TenantNames"},

		{"chain upside down", "Chain"},
		{"broken chain cut short", "ChainBroken"},
		{"broken chain without a name", "ChainBroken"},
		{"broken chain names the leaf", "ChainBroken"},
		{"broken chain names the leaf", "ChainBranches"},
		{"delete takes children", "ChainBroken"},
		{"cycle has an end", "ChainCycle"},
		{"cycle has an end", "Model"},

		{"records and items are one name space", "Item"},
		{"oldest item wins", "Item"},
		{"latest created item wins", "Item"},
		{"no older item", "ItemFallback"},
		{"no older item", "Model"},

		{"expires late", "Expiry"},
		{"expires late", "Model"},
		{"expires in order of put", "ExpiryOrder"},
		{"expires in order of put", "ItemFallback"},
		{"zero time is never", "ExpiryFarAndPast"},

		{"epoch stands still", "Epoch"},
		{"epoch is one for all", "Epoch"},
		{"epoch comes back", "Epoch"},
		{"epoch before delete", "EpochRace"},

		{"stats count deleted", "Stats"},
		{"evicts newest", "Budget"},
		{"evicts the oldest of all", "BudgetShares"},
		{"evicts one too many", "ModelBudget"},
		{"budget is exceeded", "HammerBudget"},
		{"no record too large", "BudgetTooLarge"},
		{"too large evicts first", "BudgetTooLarge"},
		{"evicts live before expired", "BudgetExpired"},
		{"eviction keeps items", "BudgetItems"},
		{"eviction keeps items", "BudgetAtOnce"},
		{"eviction changes epoch", "BudgetItems"},

		{"records are mixed", "Hammer"},
		{"put in two steps", "History"},
		{"items go later", "History"},
		{"delete is forgotten", "History"},

		{"a document is cut", "Doc"},
		{"documents' names are folded", "Doc"},
		{"kinds are one", "Doc"},
		{"Commit tells no version", "DocVersions"},
		{"versions begin anew", "DocVersions"},
		{"versions begin anew", "DocModel"},
		{"Require is not checked", "DocConditions"},
		{"Put is not checked", "DocConditions"},
		{"Delete is not checked", "DocConditions"},
		{"Delete is not checked", "DocModel"},
		{"Doc crosses tenants", "DocTenants"},
		{"Docs crosses tenants", "DocTenants"},
		{"documents' names are joined", "DocTenants"},
		{"the zero time of a document is past", "DocExpiry"},
		{"a document loses its end", "DocExpiry"},
		{"more counts what has expired", "DocExpiry"},
		{"expires late", "DocExpiry"},
		{"expires late", "DocModel"},
		{"documents in order of writing", "DocList"},
		{"a cursor must be there", "DocList"},
		{"descending begins at the start", "DocList"},
		{"more is a guess", "DocList"},
		{"a page repeats its cursor", "DocList"},

		{"numbers begin at one", "Log"},
		{"the empty key is a key", "Log"},
		{"a page is the store's", "Log"},
		{"keys need not be unique", "LogKeys"},
		{"removing nothing succeeds", "LogRemove"},
		{"numbers are used again", "LogRemove"},
		{"a drop leaves entries", "LogDrop"},
		{"a drop keeps numbers", "LogDrop"},
		{"an append leaves the end", "LogExpiry"},
		{"expires late", "LogExpiry"},
		{"Entry crosses tenants", "LogTenants"},
		{"logs' names are joined", "LogTenants"},
		{"an append forgets another", "LogList"},
		{"a page begins at its cursor", "LogList"},
		{"descending without a cursor", "LogList"},
		{"more is always true backwards", "LogList"},

		{"a refused batch leaves records", "BatchAtomic"},
		{"a refused batch leaves documents", "BatchAtomic"},
		{"a refused batch leaves entries", "BatchAtomic"},
		{"a batch replaces records", "BatchAtomic"},
		{"nonsense is accepted", "BatchCheck"},
		{"a batch in two steps", "BatchAtOnce"},
		{"a batch in two steps", "DocHistory"},
		{"a condition is checked first", "BatchOnce"},
		{"a condition is checked first", "DocHistory"},

		{"nobody is woken", "Wait"},
		{"Wait does not look", "Wait"},
		{"Wait never waits", "Wait"},
		{"Wait is not cancelled", "Wait"},
		{"a cancelled Wait says nothing", "Wait"},
		{"Wait looks, then listens", "WaitNone"},

		{"documents are for free", "BudgetDocs"},
		{"eviction splits conversations", "BudgetDocs"},
		{"a write keeps its age", "BudgetDocs"},
		{"a write keeps its age", "DocModelBudget"},
		{"eviction takes leases", "BudgetKept"},
		{"the system's is pushed out", "BudgetKept"},
		{"full pushes out in vain", "BudgetKept"},
	} {
		t.Run(c.fault+"/"+c.by, func(t *testing.T) {
			t.Parallel()
			var out []byte
			for range 3 { // what is drawn at random may miss it once
				cmd := exec.Command(os.Args[0], "-test.run=^TestFaultyStore$/^"+c.by+"$",
					"-rapid.nofailfile", "-rapid.shrinktime=1ms")
				cmd.Env = append(os.Environ(), faultEnv+"="+c.fault)
				out, _ = cmd.CombinedOutput()
				if strings.Contains(string(out), "--- FAIL: TestFaultyStore/"+c.by) {
					return
				}
			}
			t.Errorf("case %s has not caught it:\n%s", c.by, out)
		})
	}
}
