package store

import (
	"errors"
	"strconv"
	"testing"
)

// TestWalkChainPassesFaultsOn: only an absent ancestor breaks a chain. When the
// backend fails in the middle of it, that is what the caller must learn, or an
// outage would look like a deletion.
func TestWalkChainPassesFaultsOn(t *testing.T) {
	down := errors.New("backend is down")
	for _, failing := range []string{"c", "b", "a"} {
		chain, err := WalkChain("c", func(id string) (*Record, error) {
			if id == failing {
				return nil, down
			}
			return &Record{ID: id, Parent: map[string]string{"c": "b", "b": "a"}[id]}, nil
		})
		var broken *BrokenChainError
		if chain != nil || !errors.Is(err, down) || errors.As(err, &broken) {
			t.Errorf("failing at %s: %v, %v", failing, chain, err)
		}
	}
}

// TestWalkChainCost: finding cycles costs a walk of n records no more than a
// few times n lookups, and one without a cycle exactly n.
func TestWalkChainCost(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 1000, 100_000} {
		lookups := 0
		ids := make(map[string]*Record)
		name := strconv.Itoa
		for i := range n {
			ids[name(i)] = &Record{ID: name(i), Parent: name(i + 1)}
		}
		get := func(id string) (*Record, error) {
			lookups++
			return ids[id], nil
		}
		last := ids[name(n-1)]

		last.Parent = ""
		if chain, err := WalkChain(name(0), get); err != nil || len(chain) != n || lookups != n {
			t.Errorf("%d records: chain of %d, %v, %d lookups", n, len(chain), err, lookups)
		}
		for _, to := range []int{0, n / 2, n - 1} {
			lookups = 0
			last.Parent = name(to)
			_, err := WalkChain(name(0), get)
			var broken *BrokenChainError
			if !errors.As(err, &broken) || broken.Missing != name(to) || lookups > 4*n {
				t.Errorf("%d records, back to %d: %v, %d lookups", n, to, err, lookups)
			}
		}
	}
}
