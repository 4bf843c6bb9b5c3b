package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/redis"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

// TestBackgroundOnRedis: two servers that share nothing but a Redis server.
func TestBackgroundOnRedis(t *testing.T) {
	t.Parallel()
	server, err := redistest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	open := func() store.Store {
		st, err := redis.Open(redis.Options{URL: server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	const ttl = 1500 * time.Millisecond
	two := func(t *testing.T, up string) (a, b *rig, link *cutStore) {
		link = &cutStore{Store: open()}
		one, other := open(), lease(ttl)
		a = newRig(t, up, other, func(s *setup) { s.opt.Store = link })
		b = newRig(t, up, other, func(s *setup) { s.opt.Store = one })
		return a, b, link
	}
	t.Run("followed and cancelled", func(t *testing.T) {
		up := gated(t)
		a, b, _ := two(t, up.URL())
		_, id := a.begun()
		follow := b.dial()
		follow.path = ""
		follow.request("GET", "/v1/responses/"+id+"?stream=true&starting_after=4", "")
		follow.head()
		if e := follow.until("response.output_text.delta"); !strings.Contains(e.data, `"sequence_number":5`) {
			t.Errorf("%s", e.data)
		}
		began := time.Now()
		v := b.do("POST", "/v1/responses/"+id+"/cancel", "").response(t)
		if v.Status != statusCancelled || v.text() != "a" {
			t.Errorf("%s", v.raw)
		}
		a.until("the upstream to be left", func() bool { active, _ := a.srv.router.stats(); return active == 0 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		up.Release("go")
		whole := b.post(bgStreamed)
		if got := a.replay(whole.response(t).ID, ""); fmt.Sprint(got) != fmt.Sprint(eventsIn(whole.body)) {
			t.Errorf("%s", names(got))
		}
	})
	t.Run("owner lost", func(t *testing.T) {
		up := gated(t)
		a, b, link := two(t, up.URL())
		_, id := a.begun()
		time.Sleep(3 * logDelay)
		link.set(cut)
		v := b.poll(id)
		if v.Status != "failed" || v.text() != "a" {
			t.Errorf("%s", v.raw)
		}
		link.set(nil)
		up.Release("go")
		time.Sleep(100 * time.Millisecond)
		if got := a.get("/v1/responses/" + id).response(t); !bytes.Equal(got.raw, v.raw) {
			t.Errorf("%s", got.raw)
		}
	})
}
