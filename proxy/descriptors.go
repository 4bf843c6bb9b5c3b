package proxy

import (
	"fmt"

	"github.com/antiphon-proxy/antiphon/config"
)

// Every client's connection may need one to an upstream, so that at most half of
// the descriptors that the process may have are for clients, less what the store,
// the log and the responses made in the background take.

// mostRefusing is how many connections are being refused at a time, at most.
const mostRefusing = 64

// fewClients is less than a system gives to a process by itself (1,024 descriptors
// on most), so that somebody has to know of it.
const fewClients = 400

// reservedDescriptors is what is kept free of limit descriptors.
func reservedDescriptors(cfg *config.Config, limit int) int {
	const own = 64 // listeners, log, store
	return min(own+mostRefusing+cfg.Background.Workers, limit/3)
}

// connectionsFor is how the connections of clients are bounded if the process may
// have limit descriptors; 0 is no limit.
func connectionsFor(cfg *config.Config, limit int) connectionBounds {
	// Beyond the requests that are served at a time, connections may wait.
	b := connectionBounds{all: 4*cfg.Limits.Concurrency + 64, perAddress: cfg.Limits.ConnectionsPerAddress, refusing: mostRefusing}
	if limit > 0 {
		b.refusing = min(b.refusing, reservedDescriptors(cfg, limit)/4)
	}
	switch {
	case cfg.Limits.Connections > 0:
		b.all = cfg.Limits.Connections
	case limit > 0:
		b.all = max(min(b.all, (limit-reservedDescriptors(cfg, limit))/2), 1)
	}
	if b.perAddress == 0 {
		b.perAddress = max(b.all*3/4, 1)
	}
	return b
}

// descriptorWarnings says what is configured that limit descriptors cannot hold.
func descriptorWarnings(cfg *config.Config, limit int) (list []string) {
	if limit <= 0 {
		return nil
	}
	spare := reservedDescriptors(cfg, limit)
	room := max((limit-spare)/2, 1)
	if n := cfg.Limits.Connections; n > room {
		list = append(list, fmt.Sprintf("limits.connections: %d clients and as many connections to upstreams need %d file descriptors, and the process may have %d (ulimit -n): raise that, or lower the key to %d",
			n, 2*n+spare, limit, room))
	}
	// The default is what a large machine holds: a smaller one is no mistake of
	// whoever runs it, unless it holds few.
	if n := cfg.Limits.Concurrency; n > room && (n != config.DefaultConcurrency || room < fewClients) {
		list = append(list, fmt.Sprintf("limits.concurrency: %d requests at a time need %d file descriptors, and the process may have %d (ulimit -n): raise that, or lower the key to %d; until then %d clients are served, and others get 503",
			n, 2*n+spare, limit, room, room))
	}
	return list
}

// Warnings says what is configured that the system does not give the process, for
// the log. Each begins with the key that it is about.
func (s *Server) Warnings() []string { return descriptorWarnings(&s.cfg, s.descriptors) }
