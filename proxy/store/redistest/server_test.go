package redistest

import (
	"strings"
	"testing"
	"time"
)

// TestServer: the server fails in the ways that the methods name, and comes
// back with what it should have kept.
func TestServer(t *testing.T) {
	s, err := Start(Durable...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	do := func(want string, args ...string) {
		t.Helper()
		got, err := s.Do(args...)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do("OK", "SET", "k", "v")
	do("k", "KEYS", "*")

	s.Freeze()
	thawed := time.AfterFunc(50*time.Millisecond, s.Thaw)
	start := time.Now()
	do("v", "GET", "k")
	if time.Since(start) < 40*time.Millisecond || thawed.Stop() {
		t.Error("the frozen server has answered")
	}

	must(s.Fill())
	do("OOM", "SET", "k", "w")
	must(s.Drain())
	must(s.ReadOnly())
	do("READONLY", "SET", "k", "w")
	do("v", "GET", "k")
	must(s.Promote())
	do("OK", "SET", "k", "w")

	s.Kill()
	if _, err := s.Do("PING"); err == nil {
		t.Error("the killed server has answered")
	}
	must(s.Restart())
	do("w", "GET", "k")
}
