package main

import (
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy"
)

// keysEvery is how often the file of API keys is looked at.
const keysEvery = 2 * time.Second

// watchKeys reads the file of API keys again when it has changed, and on SIGHUP,
// so that keys are added, rotated and revoked without a restart. A file that
// cannot be read changes nothing: the keys that were there stay.
func watchKeys(path string, srv *proxy.Server, log *zap.Logger, now <-chan os.Signal, ended <-chan struct{}) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	last := stampOf(path)
	for {
		forced := false
		select {
		case <-ended:
			return
		case <-now:
			forced = true
		case <-tick.C:
		}
		stamp := stampOf(path)
		if stamp == last && !forced {
			continue
		}
		last = stamp
		keys, err := config.LoadKeys(path)
		srv.ReloadedKeys(keys, err)
		if err != nil {
			log.Error("the API keys were not read again; those that were there stay", zap.Error(err))
			continue
		}
		log.Info("read the API keys again", zap.Int("keys", keys.Len()))
	}
}

// stamp tells one state of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}
