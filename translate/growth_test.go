package translate

import (
	"testing"
	"time"
)

// proportional demands that f takes time in proportion to n: what looks at all
// things for each of them takes a thousand times as long for 32 times as many. Only the
// two are compared, so that it does not matter how fast the machine is, and what is
// in the way for a moment gets out of it.
func proportional(t *testing.T, what string, n int, f func(n int)) {
	t.Helper()
	var few, many time.Duration
	for range 3 {
		start := time.Now()
		f(n / 32)
		few = max(time.Since(start), 100*time.Microsecond)
		start = time.Now()
		f(n)
		if many = time.Since(start); many < 200*few {
			return
		}
	}
	t.Errorf("%s: %v for %d, but %v for %d", what, few, n/32, many, n)
}
