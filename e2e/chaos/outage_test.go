package chaos

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

const (
	storeDeadline = 250 * time.Millisecond // what a store that does not answer costs a request at most
	comesBack     = 2 * time.Second        // after this the store is in use again
	noise         = 250 * time.Millisecond // what a busy machine adds
)

// TestStoreUnderLoad: the server of the store freezes, dies, fills up and becomes
// a replica while clients are at work at two replicas. Answers stream all the
// time and say whether they are stored, nothing that was stored is ever said not
// to be there, all is well soon after, and in the end nothing was lost.
func TestStoreUnderLoad(t *testing.T) {
	server, err := redistest.Start(redistest.Durable...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	f := newFleet(t, 2, server.URL())
	l := newLoad(t, f)
	do := func(act func() error) {
		t.Helper()
		if err := act(); err != nil {
			t.Fatal(err)
		}
	}
	for _, outage := range []struct {
		name       string
		begin, end func() error
		reads      int // the status of a read of what is stored
	}{
		{"frozen", func() error { server.Freeze(); return nil }, func() error { server.Thaw(); return nil }, 503},
		{"killed", func() error { server.Kill(); return nil }, server.Restart, 503},
		{"full", server.Fill, server.Drain, 200},
		{"a replica", server.ReadOnly, server.Promote, 200},
	} {
		l.work(func() {
			before := l.probes(true, 200)
			do(outage.begin)
			during := l.probes(false, outage.reads)
			do(outage.end)
			took := l.recovers()
			t.Logf("%s: an answer takes %v, then %v (at most %v); stored again after %v",
				outage.name, median(before), median(during), slices.Max(during), took)
			if limit := median(before) + storeDeadline + noise; median(during) > limit {
				t.Errorf("%s: an answer takes %v, before it was %v", outage.name, median(during), median(before))
			}
			if took > comesBack+noise {
				t.Errorf("%s: stored again after %v", outage.name, took)
			}
		})
		l.verify(false)
		if t.Failed() {
			t.Fatal(outage.name)
		}
	}
	l.settle()
	l.verify(true)
	t.Logf("%d answers, %d of them not stored, %d background, %d conversations; %d requests refused for the store; %d looks, 0 lost",
		l.answers.Load(), l.unstored.Load(), len(l.runs), len(l.talks), l.down.Load(), l.verified.Load())
	if l.cut.Load() > 0 {
		t.Errorf("%d requests were cut, though no replica ended", l.cut.Load())
	}
	if l.unstored.Load() == 0 || l.down.Load() == 0 || len(l.responses) == 0 {
		t.Error("next to nothing was at stake: this proves nothing")
	}
}

// probes asks each replica in turn, and returns how long the answers took.
func (l *load) probes(stored bool, reads int) (took []time.Duration) {
	l.t.Helper()
	if stored {
		l.known = ""
	}
	for n := range 10 {
		addr := l.fleet.replicas[n%len(l.fleet.replicas)].Addr
		text := fmt.Sprintf("number %d of all", l.number.Add(1))
		start := time.Now()
		a := l.call(addr, http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","stream":true,"input":"%s"}`, quick, text))
		took = append(took, time.Since(start))
		_, final := l.stream(a)
		if a.status != http.StatusOK || final == nil {
			l.t.Errorf("no answer: %d %v %s", a.status, a.err, a.body)
			continue
		}
		o := l.keep(final, text, 0)
		if stored {
			if o.Store { // a busy machine may be too slow for the store's deadline
				l.known = o.ID // nobody continues or deletes it
			}
			continue
		}
		if o.Store && !l.roomy {
			l.t.Errorf("the answer says that it is stored: %s", final)
		}
		if a := l.call(addr, http.MethodGet, "/responses/"+l.known, ""); a.err != nil || a.status != reads {
			l.t.Errorf("a read of what is stored: %d %v %s, not %d", a.status, a.err, a.body, reads)
		}
	}
	return took
}

// recovers waits until every replica stores again, and returns how long that took.
func (l *load) recovers() time.Duration {
	start := time.Now()
	for i := range l.fleet.replicas {
		for {
			text := fmt.Sprintf("number %d of all", l.number.Add(1))
			a := l.call(l.fleet.replicas[i].Addr, http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","input":"%s"}`, quick, text))
			if a.status == http.StatusOK && l.keep(a.body, text, 0).Store {
				break
			}
			if time.Since(start) > patience {
				l.t.Fatal("nothing is stored any more")
			}
		}
	}
	return time.Since(start)
}

func median(list []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
