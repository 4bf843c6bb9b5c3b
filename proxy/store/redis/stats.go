package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// sampleTime is how old the figures of Stats may be.
const sampleTime = 5 * time.Second

// samples are the server's figures as of a while ago.
type samples struct {
	mu    sync.Mutex
	taken time.Time
	stats store.Stats
}

// Stats implements store.Store. The server does not count for us, so these are
// its own figures, of all that it holds: Records is how many keys there are in
// the database, and Bytes the memory in use; Documents and Entries are among
// them; Expired and Evictions count keys since the server's start. Evictions must be 0: a server that evicts loses what
// clients were promised. They are a few seconds old, or older while the server
// is out of reach.
func (s *Store) Stats() store.Stats {
	s.samples.mu.Lock()
	defer s.samples.mu.Unlock()
	if time.Since(s.samples.taken) >= sampleTime {
		s.samples.taken = time.Now()
		if stats, err := s.sample(); err == nil {
			s.samples.stats = stats
		}
	}
	return s.samples.stats
}

func (s *Store) sample() (sum store.Stats, err error) {
	err = s.call(context.Background(), func(ctx context.Context, c valkey.Client) error {
		sum = store.Stats{}
		for _, node := range c.Nodes() {
			info, err := node.Do(ctx, node.B().Info().Build()).ToString()
			if err != nil {
				return err
			}
			s.addInfo(&sum, info)
		}
		return nil
	})
	return sum, err
}

// addInfo adds the figures of a server, unless it is a replica, whose figures
// are those of its primary.
func (s *Store) addInfo(sum *store.Stats, info string) {
	fields := make(map[string]string)
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	if fields["role"] != "master" {
		return
	}
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64) // 0 is what is not known
		return n
	}
	sum.Bytes += number(fields["used_memory"])
	sum.Expired += number(fields["expired_keys"])
	sum.Evictions += number(fields["evicted_keys"])
	// keys=12,expires=3,avg_ttl=0
	keys, _, _ := strings.Cut(fields["db"+strconv.Itoa(s.guard.opt.SelectDB)], ",")
	sum.Records += number(strings.TrimPrefix(keys, "keys="))
}
