package proxy

import (
	"context"
	"sync"
	"time"
)

// fetchRemote fetches what the upstream needs the bytes of and the client only
// names by URL. What cannot be fetched is left out, and the loss report says so.
func (x *exchange) fetchRemote() map[string][]byte {
	s := x.server
	if s.fetcher == nil {
		return nil
	}
	urls := x.req.Remote(x.dialect)
	if len(urls) == 0 {
		return nil
	}
	urls = urls[:min(len(urls), s.cfg.Fetch.MaxFiles)]
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Fetch.Timeout.Std()+time.Second)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := make(map[string][]byte, len(urls))
	for _, url := range urls {
		all.Go(func() {
			data, err := s.fetcher.DataURL(ctx, nil, url)
			if err == nil {
				mu.Lock()
				got[url] = data
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return got
}
