package redis

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
	"github.com/antiphon-proxy/antiphon/proxy/store/storetest"
)

// cluster is n nodes, of which the first has all slots.
func cluster(t *testing.T, n int) (nodes []*redistest.Server) {
	t.Helper()
	for range n {
		nodes = append(nodes, own(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"))
	}
	do(t, nodes[0], "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for _, node := range nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		do(t, nodes[0], "CLUSTER", "MEET", host, port)
	}
	for _, node := range nodes {
		for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			info := do(t, node, "CLUSTER", "INFO")
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n)) &&
				strings.Contains(info, "cluster_slots_assigned:16384") {
				break
			}
			if time.Since(start) > 30*time.Second {
				t.Fatal(info)
			}
		}
	}
	return nodes
}

func do(t *testing.T, s *redistest.Server, args ...string) string {
	t.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// TestCluster: on a cluster no command and no script crosses slots, and all
// promises hold.
func TestCluster(t *testing.T) {
	server := cluster(t, 1)[0]
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	must(t, checks.Set("2"))
	defer checks.Set(before)
	storetest.Run(t,
		func(t *testing.T, clock *storetest.Clock) store.Store {
			o := options(server)
			o.Now = clock.Now
			o.Timeout = testTimeout
			return open(t, o)
		},
		storetest.Capabilities{Operations: 2000})
	s := open(t, options(server))
	defer s.Close()
	checkLongChain(t, s)
	if got := s.Stats(); got.Records == 0 || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
}

// TestSlotMoves: while a cluster moves a tenant's slot to another node, key by
// key, whoever asks gets what there is, or an error that says that the store
// cannot answer; and what was confirmed is on the other node in the end.
func TestSlotMoves(t *testing.T) {
	nodes := cluster(t, 2)
	from, to := nodes[0], nodes[1]
	o := options(from)
	s := open(t, o)
	defer s.Close()

	const count = 60
	var entries []store.Entry
	b := new(store.Batch)
	parent := ""
	for i := range count {
		rec := record(fmt.Sprintf("r%d", i), parent, 0)
		parent = rec.ID
		must(t, s.Put(t.Context(), rec))
		b.Put = append(b.Put, store.DocWrite{Doc: &store.Doc{Kind: "kind", Key: fmt.Sprintf("d%02d", i)}})
		entries = append(entries, store.Entry{Key: fmt.Sprintf("e%d", i)})
	}
	b.Append = []store.LogAppend{{Log: "log", Entries: entries}}
	must(t, s.Commit(t.Context(), tenant, b))

	// all asks for everything that is there. What must not be is an answer that
	// is wrong.
	var refused, answered atomic.Int64
	check := func(what string, err error, right bool) {
		switch {
		case err == nil && !right:
			t.Errorf("%s: wrong", what)
		case err == nil:
			answered.Add(1)
		default:
			outage(t, err)
			if errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
			refused.Add(1)
		}
	}
	all := func() {
		chain, err := s.Chain(t.Context(), tenant, parent)
		check("Chain", err, len(chain) == count)
		docs, more, err := s.Docs(t.Context(), tenant, "kind", store.Page{Limit: count + 1})
		check("Docs", err, len(docs) == count && !more)
		log, more, err := s.Entries(t.Context(), tenant, "log", store.Page{Limit: count})
		check("Entries", err, len(log) == count && !more)
		for i := 0; i < count; i += 7 {
			rec, err := s.Get(t.Context(), tenant, fmt.Sprintf("r%d", i))
			check("Get", err, rec != nil)
			rec, err = s.Item(t.Context(), tenant, fmt.Sprintf("item_of_r%d", i))
			check("Item", err, rec != nil && rec.ID == fmt.Sprintf("r%d", i))
			doc, err := s.Doc(t.Context(), tenant, "kind", fmt.Sprintf("d%02d", i))
			check("Doc", err, doc != nil)
			e, err := s.Entry(t.Context(), tenant, "log", fmt.Sprintf("e%d", i))
			check("Entry", err, e != nil && e.Seq == uint64(i))
		}
	}

	slot := do(t, from, "CLUSTER", "KEYSLOT", metaKey(s.tenantPrefix(tenant)))
	fromID, toID := do(t, from, "CLUSTER", "MYID"), do(t, to, "CLUSTER", "MYID")
	host, port, _ := net.SplitHostPort(to.Addr)

	var stop atomic.Bool
	var work sync.WaitGroup
	var confirmed []string
	work.Go(func() {
		for n := 0; !stop.Load(); n++ {
			rec := record(fmt.Sprintf("new%d", n), "", 0)
			if err := s.Put(t.Context(), rec); err == nil {
				confirmed = append(confirmed, rec.ID)
			} else {
				outage(t, err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	work.Go(func() {
		for !stop.Load() {
			all()
		}
	})
	time.Sleep(50 * time.Millisecond)
	do(t, to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do(t, from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	for start := time.Now(); ; time.Sleep(3 * time.Millisecond) {
		keys := do(t, from, "CLUSTER", "GETKEYSINSLOT", slot, "5")
		if keys == "" {
			break
		}
		do(t, from, append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, strings.Split(keys, "\n")...)...)
		if time.Since(start) > 60*time.Second {
			t.Fatal("the slot does not get empty")
		}
	}
	do(t, to, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	do(t, from, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	t.Logf("while the slot moved: %d answers, %d refusals", answered.Load(), refused.Load())
	time.Sleep(50 * time.Millisecond)
	stop.Store(true)
	work.Wait()

	refused.Store(0)
	all()
	if refused.Load() != 0 {
		t.Errorf("%d refusals after the slot has moved", refused.Load())
	}
	for _, id := range confirmed {
		if _, err := s.Get(t.Context(), tenant, id); err != nil {
			t.Errorf("%s, which was confirmed: %v", id, err)
		}
	}
	t.Logf("%d writes confirmed", len(confirmed))
	if len(confirmed) < 10 || answered.Load() < 100 {
		t.Error("next to nothing was asked: this proves nothing")
	}
}

// TestFailover: sentinels make a replica the primary when the primary is gone.
// The store follows, and finds what it has stored.
func TestFailover(t *testing.T) {
	primary := own(t)
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica := own(t, "--replicaof", host+" "+port)
	sentinel, err := redistest.StartSentinel("main", primary)
	must(t, err)
	t.Cleanup(sentinel.Stop)
	await := func(what string, ok func() bool) {
		t.Helper()
		for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > 60*time.Second {
				t.Fatalf("%s has not come to be", what)
			}
		}
	}
	await("a replica in step", func() bool { return strings.Contains(do(t, replica, "INFO", "replication"), "master_link_status:up") })
	await("a sentinel that knows it", func() bool { return strings.Contains(do(t, sentinel, "SENTINEL", "REPLICAS", "main"), replica.Addr) })

	o := options(primary)
	o.URL = "redis://" + sentinel.Addr + "?master_set=main"
	s := open(t, o)
	defer s.Close()
	prepare(t, s)
	do(t, primary, "WAIT", "1", "5000") // replication is asynchronous: this test is not about that
	await("the replica's data", func() bool { return do(t, replica, "DBSIZE") == do(t, primary, "DBSIZE") })
	before, err := s.Doc(t.Context(), tenant, "kind", "there")
	must(t, err)

	primary.Kill()
	outage(t, everyWrite["Put"](t.Context(), s))
	await("a new primary", func() bool {
		role, err := replica.Do("INFO", "replication") // one that is promoted closes its connections
		return err == nil && strings.Contains(role, "role:master")
	})
	start := time.Now()
	await("the store's turn to it", func() bool { return everyWrite["Put"](t.Context(), s) == nil })
	t.Logf("written to again %v after the failover", time.Since(start).Round(time.Millisecond))
	eachWorks(t, s, everyRead, everyWrite)

	// Numbers go on where they were, although the new primary may lack the last.
	b := &store.Batch{Put: []store.DocWrite{{Doc: &store.Doc{Kind: "kind", Key: "there"}, If: before.Version}}}
	must(t, s.Commit(t.Context(), tenant, b))
	if b.Put[0].Version <= before.Version {
		t.Errorf("version %d after %d", b.Put[0].Version, before.Version)
	}
}
