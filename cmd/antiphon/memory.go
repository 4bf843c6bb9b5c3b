package main

import (
	"math"
	"os"
	"runtime/debug"

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
// warns if that cannot be enough. GOGC and GOMEMLIMIT of the environment go first.
func limitMemory(cfg *config.Config, log *zap.Logger, container memlimit.Provider) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	limit, err := memlimit.Set(memlimit.WithProvider(container))
	if err != nil {
		log.Warn("the memory limit of the container cannot be read", zap.Error(err))
	}
	if limit == math.MaxInt64 {
		return
	}
	if need := memoryNeeded(cfg); need > limit {
		log.Warn("the memory limit leaves too little room: lower store.max_bytes or store.history_cache_bytes, or raise the limit",
			zap.Int64("limit", limit), zap.Int64("needed", need))
	}
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
