package main

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/antiphon-proxy/antiphon/config"
)

// TestLimitMemory: the container's limit holds, but for what the environment says,
// and a limit that the budgets do not fit into is told of.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	percent := debug.SetGCPercent(100)
	defer func() {
		debug.SetMemoryLimit(before)
		debug.SetGCPercent(percent)
	}()
	none := func() (uint64, error) { return 0, memlimit.ErrNoLimit }
	large := func(c *config.Config) { c.Store.MaxBytes = 1 << 30 }
	for _, c := range []struct {
		name      string
		container memlimit.Provider
		env       string
		change    func(*config.Config)
		limit     int64
		warns     bool
	}{
		{"no limit", none, "", large, math.MaxInt64, false},
		{"room", memlimit.Limit(2 << 30), "", large, (2 << 30) * 9 / 10, false},
		{"no room", memlimit.Limit(1 << 30), "", large, (1 << 30) * 9 / 10, true},
		{"a store elsewhere", memlimit.Limit(1 << 30), "", func(c *config.Config) { large(c); c.Store.Kind = "redis://x" }, (1 << 30) * 9 / 10, false},
		{"the environment", memlimit.Limit(1 << 30), "4GiB", large, math.MaxInt64, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			debug.SetMemoryLimit(math.MaxInt64)
			if c.env != "" { // the runtime has read it when the process began
				t.Setenv("GOMEMLIMIT", c.env)
			}
			cfg := config.Default()
			c.change(cfg)
			core, logged := observer.New(zap.WarnLevel)
			limitMemory(cfg, zap.New(core), c.container)
			if got := debug.SetMemoryLimit(-1); got/1024 != c.limit/1024 {
				t.Errorf("limit %d, want %d", got, c.limit)
			}
			if warned := logged.Len() > 0; warned != c.warns {
				t.Errorf("warned %v: %v", warned, logged.All())
			}
		})
	}
	if got := debug.SetGCPercent(100); got != gcPercent {
		t.Errorf("GC percent %d", got)
	}
}

// TestRequestMemory: what requests may hold fits into the limit together with the
// budgets of the stores, and half of the rest is left for the collector.
func TestRequestMemory(t *testing.T) {
	cfg := config.Default()
	for _, limit := range []int64{512 << 20, 1 << 30, 16 << 30} {
		got := requestMemory(cfg, limit)
		if got < 64<<20 || 2*got+memoryNeeded(cfg) > limit {
			t.Errorf("%d of %d", got, limit)
		}
	}
	if got := requestMemory(cfg, 1<<20); got != 64<<20 {
		t.Errorf("%d of next to nothing", got)
	}
	if got := requestMemory(cfg, math.MaxInt64); got <= 64<<20 || got >= machineMemory() {
		t.Errorf("%d of the machine's %d", got, machineMemory())
	}
}
