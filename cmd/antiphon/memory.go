package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/config"
)

// gcPercent is how much the heap may grow between two collections, in percent of
// what is in use. Most of that is stored responses, which hold no pointers and
// cost the collector little, while each new page costs the system more than the
// collection that would have saved it: less than Go's 100 is cheaper here, and
// takes a third less memory.
const gcPercent = 50

// limitMemory makes the process keep to the memory that its container has, and
// warns if that cannot be enough. GOGC and GOMEMLIMIT of the environment go first. It
// returns the limit; math.MaxInt64 is none.
func limitMemory(cfg *config.Config, log *zap.Logger, container memlimit.Provider) int64 {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	limit, err := memlimit.Set(memlimit.WithProvider(container))
	if err != nil {
		log.Warn("the memory limit of the container cannot be read", zap.Error(err))
	}
	if limit == math.MaxInt64 {
		return debug.SetMemoryLimit(-1) // the environment's
	}
	if need := memoryNeeded(cfg); need > limit {
		log.Warn("the memory limit leaves too little room: lower store.max_bytes or store.history_cache_bytes, or raise the limit",
			zap.Int64("limit", limit), zap.Int64("needed", need))
	}
	return limit
}

// requestMemory is what requests in flight may hold if limits.memory does not say:
// half of what the budgets leave of the limit, or of the machine's memory. The other
// half is for what the collector has not freed yet.
func requestMemory(cfg *config.Config, limit int64) int64 {
	const least = 64 << 20
	if limit == math.MaxInt64 {
		limit = machineMemory() / 10 * 9
	}
	return max((limit-memoryNeeded(cfg))/2, least)
}

// machineMemory is how much memory the machine has.
func machineMemory() int64 {
	const unknown = 4 << 30
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return unknown // not Linux
	}
	for line := range strings.Lines(string(info)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			if kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return unknown
}

// memoryNeeded is what the process comes to when its budgets are spent and few
// requests are in flight, in bytes.
func memoryNeeded(cfg *config.Config) int64 {
	const rest = 64 << 20 // the program, kept reasoning, buffers
	budgets := int64(cfg.Store.HistoryCacheBytes)
	if cfg.Store.Backend() == config.StoreMemory {
		budgets += int64(cfg.Store.MaxBytes)
	}
	return budgets + rest
}
