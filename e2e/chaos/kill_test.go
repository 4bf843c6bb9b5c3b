package chaos

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/e2e/harness"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

// cycles is how often TestKilled kills, for each store.
func cycles() int {
	if n, err := strconv.Atoi(os.Getenv("ANTIPHON_CHAOS_CYCLES")); err == nil {
		return n
	}
	return 25
}

// TestKilled kills antiphon at a random moment, again and again.
func TestKilled(t *testing.T) {
	t.Run("bolt", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state.db")
		t.Cleanup(func() { // after the fleet has stopped
			binary, err := harness.Binary()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(binary, "state", "check", "--store", "bolt:"+file).CombinedOutput(); err != nil {
				t.Errorf("state check: %v\n%s", err, out)
			}
		})
		killed(t, newFleet(t, 1, "bolt:"+file))
	})
	// Two replicas, of which one goes on: what the other was told is known to it.
	t.Run("redis", func(t *testing.T) {
		server, err := redistest.Start(redistest.Durable...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		killed(t, newFleet(t, 2, server.URL()))
	})
}

func killed(t *testing.T, f *fleet) {
	l := newLoad(t, f)
	n := cycles()
	for cycle := range n {
		victim := cycle % len(f.replicas)
		l.work(func() {
			time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
			f.kill(victim)
			if len(f.replicas) > 1 {
				time.Sleep(50 * time.Millisecond)
			}
		})
		f.start(victim)
		l.verify(false)
		if t.Failed() {
			t.Fatalf("in cycle %d of %d", cycle, n)
		}
	}
	l.settle()
	l.verify(true)
	t.Logf("%d cycles: %d answers, %d of them not stored, %d background, %d conversations; %d requests cut, %d refused for the store; %d looks, 0 lost",
		n, l.answers.Load(), l.unstored.Load(), len(l.runs), len(l.talks), l.cut.Load(), l.down.Load(), l.verified.Load())
	if len(l.responses) < 2*n || len(l.runs) == 0 || len(l.talks) == 0 || l.cut.Load() == 0 {
		t.Error("next to nothing was at stake: this proves nothing")
	}
}
