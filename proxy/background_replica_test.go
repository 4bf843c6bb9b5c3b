package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// Two servers on one store.

// pair makes two servers, of which the first can lose the store.
func pair(t testing.TB, one, two string, options ...func(*setup)) (a, b *rig, link *cutStore) {
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	link = &cutStore{Store: st}
	a = newRig(t, one, append([]func(*setup){func(s *setup) { s.opt.Store = link }}, options...)...)
	b = newRig(t, two, append([]func(*setup){func(s *setup) { s.opt.Store = st }}, options...)...)
	return a, b, link
}

// begun opens a streamed background response and reads up to some text.
func (r *rig) begun() (l *live, id string) {
	r.t.Helper()
	l = r.open(bgStreamed)
	l.until("response.output_text.delta")
	var e struct{ Response struct{ ID string } }
	_ = json.Unmarshal([]byte(eventsIn(l.seen.Bytes())[0].data), &e)
	return l, e.Response.ID
}

func TestBackgroundAcrossReplicas(t *testing.T) {
	t.Parallel()
	up := gated(t)
	nobody := upstreamtest.New(t, "stall")
	a, b, _ := pair(t, up.URL(), nobody.URL())
	l, id := a.begun()
	if v := b.get("/v1/responses/" + id).response(t); v.Status != statusInProgress || !strings.Contains(string(v.raw), `"background":true`) {
		t.Errorf("%s", v.raw)
	}
	follow := b.dial()
	follow.request("GET", "/v1/responses/"+id+"?stream=true", "")
	follow.head()
	follow.until("response.output_text.delta")
	late := b.dial()
	late.path = "" // checked as a part of the whole
	late.request("GET", "/v1/responses/"+id+"?stream=true&starting_after=4", "")
	late.head()
	late.path = ""
	if e := late.until("response.output_text.delta"); !strings.Contains(e.data, `"sequence_number":5`) {
		t.Errorf("%s", e.data)
	}
	up.Release("go")
	whole, here := follow.rest(), l.rest()
	if !bytes.Equal(whole.body, here.body) {
		t.Errorf("one client got\n%s\nand another\n%s", here.body, whole.body)
	}
	if got, all := eventsIn(late.rest().body), eventsIn(whole.body); fmt.Sprint(got) != fmt.Sprint(all[5:]) {
		t.Errorf("%s", names(got))
	}
	a.stop()
	if got := b.replay(id, ""); fmt.Sprint(got) != fmt.Sprint(eventsIn(whole.body)) {
		t.Errorf("%s", names(got))
	}
	if v := b.get("/v1/responses/" + id).response(t); !bytes.Equal(v.raw, whole.response(t).raw) {
		t.Errorf("%s", v.raw)
	}
	if nobody.Count() != 0 {
		t.Error("the response was made twice")
	}
}

// TestBackgroundOwnerLost: a server that loses the store loses the response:
// another ends it as failed, and the first can write nothing any more.
func TestBackgroundOwnerLost(t *testing.T) {
	t.Parallel()
	const ttl = 600 * time.Millisecond
	up := gated(t)
	a, b, link := pair(t, up.URL(), up.URL(), lease(ttl))
	l, id := a.begun()
	follow := b.dial()
	follow.request("GET", "/v1/responses/"+id+"?stream=true", "")
	follow.head()
	follow.until("response.output_text.delta")
	link.set(cut)
	lost := time.Now()
	rest := follow.rest()
	if took := time.Since(lost); took > ttl+ttl/3+time.Second {
		t.Errorf("it took %v", took)
	}
	v := rest.response(t)
	if v.Status != "failed" || v.Error == nil || v.Error.Code != "server_error" || v.text() != "a" || v.Output[0].Status != "incomplete" {
		t.Errorf("%s", v.raw)
	}
	if b.metric("antiphon_background_orphans_total") != 1 {
		t.Error("not counted")
	}
	a.until("the upstream to be left", func() bool { active, _ := a.srv.router.stats(); return active == 0 })
	link.set(nil)
	// The client of the server that was lost sees the end too, of the same stream.
	if got := l.rest(); !bytes.Equal(got.body, rest.body) {
		t.Errorf("%s", got.body)
	}
	up.Release("go")
	if got := a.get("/v1/responses/" + id).response(t); !bytes.Equal(got.raw, v.raw) {
		t.Errorf("%s", got.raw)
	}
	b.until("the queue to be empty", func() bool { return queued(t, b) == 0 })
}

// queued is how many jobs there are in the store, at whatever stage.
func queued(t testing.TB, r *rig) (n int) {
	t.Helper()
	if err := r.srv.jobs(func(*job) { n++ }); err != nil {
		t.Error(err)
	}
	return n
}

// TestBackgroundFenced: a server that was taken for lost and comes back at the
// worst moment, with the end of the response in its hands, writes none of it.
func TestBackgroundFenced(t *testing.T) {
	t.Parallel()
	const ttl = 400 * time.Millisecond
	up := gated(t)
	a, b, link := pair(t, up.URL(), up.URL(), lease(ttl))
	l, id := a.begun()
	held := make(chan struct{})
	link.set(func(op string, batch *store.Batch) error {
		if op != "commit" || batch == nil || len(batch.Records) == 0 {
			if op == "commit" {
				return fmt.Errorf("out of reach") // no renewals
			}
			return nil
		}
		<-held // its batch of the end is on its way for a long time
		return nil
	})
	time.Sleep(3 * logDelay)
	up.Release("go")
	v := b.poll(id)
	if v.Status != "failed" {
		t.Errorf("%s", v.raw)
	}
	close(held)
	link.set(nil)
	// Its client has seen more than is on record, and hears of the end all the same.
	l.until("response.failed")
	time.Sleep(100 * time.Millisecond)
	for _, r := range []*rig{a, b} {
		if got := r.get("/v1/responses/" + id).response(t); !bytes.Equal(got.raw, v.raw) {
			t.Errorf("%s", got.raw)
		}
	}
}

// TestBackgroundRerun: a lost response that has said nothing is made again, if
// that is configured; one that has said something is not.
func TestBackgroundRerun(t *testing.T) {
	t.Parallel()
	rerun := func(s *setup) { s.cfg.Background.Rerun = true }
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint(stream), func(t *testing.T) {
			t.Parallel()
			slow := upstreamtest.New(t, "stall")
			up := upstreamtest.NewFunc(t, 0, answer("again"))
			a, b, link := pair(t, slow.URL(), up.URL(), lease(400*time.Millisecond), rerun)
			var id string
			if stream {
				l := a.open(bgStreamed)
				l.until("response.in_progress")
				var e struct{ Response struct{ ID string } }
				_ = json.Unmarshal([]byte(eventsIn(l.seen.Bytes())[0].data), &e)
				id = e.Response.ID
				_ = l.conn.Close()
			} else {
				id = a.post(inBackground).response(t).ID
			}
			a.until("the request", func() bool { return slow.Count() == 1 })
			time.Sleep(3 * logDelay)
			link.set(cut)
			if v := b.poll(id); v.Status != "completed" || v.text() != "again" {
				t.Errorf("%s", v.raw)
			}
			if stream {
				if got := names(b.replay(id, "")); !strings.HasPrefix(got, "created queued in_progress output_item.added ") {
					t.Errorf("%s", got)
				}
			}
			if b.metric("antiphon_background_reruns_total") != 1 {
				t.Error("not counted")
			}
			link.set(nil)
		})
	}
	t.Run("not with output", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		a, b, link := pair(t, up.URL(), up.URL(), lease(400*time.Millisecond), rerun)
		_, id := a.begun()
		link.set(cut)
		if v := b.poll(id); v.Status != "failed" {
			t.Errorf("%s", v.raw)
		}
		link.set(nil)
		if up.Count() != 1 {
			t.Errorf("%d requests", up.Count())
		}
	})
}

// TestBackgroundShared: what waits at a busy server is made by another.
func TestBackgroundShared(t *testing.T) {
	t.Parallel()
	busy, free := gated(t), upstreamtest.NewFunc(t, 0, answer("elsewhere"))
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	share := func(s *setup) { s.opt.Store, s.cfg.Background.Workers = st, 1 }
	a := newRig(t, busy.URL(), share)
	first := a.post(inBackground).response(t).ID
	a.until("the request", func() bool { return busy.Count() == 1 })
	second := a.post(inBackground).response(t).ID
	b := newRig(t, free.URL(), share)
	if v := b.poll(second); v.text() != "elsewhere" {
		t.Errorf("%s", v.raw)
	}
	busy.Release("go")
	if v := b.poll(first); v.text() != "ab" {
		t.Errorf("%s", v.raw)
	}
}

// TestBackgroundDrain: a server that stops lets its responses end; what does not
// end in time has failed, or is given back; and what waits is made by the next.
func TestBackgroundDrain(t *testing.T) {
	t.Parallel()
	stop := func(t *testing.T, r *rig, after time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), after)
		defer cancel()
		began := time.Now()
		if err := r.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if took := time.Since(began); took > after+2*time.Second {
			t.Errorf("it took %v", took)
		}
		r.once.Do(func() {})
		<-r.served
	}
	t.Run("ends in time", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		a, b, _ := pair(t, up.URL(), up.URL())
		l, id := a.begun()
		_ = l.conn.Close()
		time.AfterFunc(100*time.Millisecond, func() { up.Release("go") })
		stop(t, a, patience)
		if v := b.get("/v1/responses/" + id).response(t); v.Status != "completed" {
			t.Errorf("%s", v.raw)
		}
	})
	t.Run("does not", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		a, b, _ := pair(t, up.URL(), up.URL())
		l, id := a.begun()
		stop(t, a, 200*time.Millisecond)
		if v := b.get("/v1/responses/" + id).response(t); v.Status != "failed" || !strings.Contains(v.Error.Message, "shutting down") || v.text() != "a" {
			t.Errorf("%s", v.raw)
		}
		_ = l
		if n := queued(t, b); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
	t.Run("is given back", func(t *testing.T) {
		t.Parallel()
		slow, up := upstreamtest.New(t, "stall"), upstreamtest.NewFunc(t, 0, answer("again"))
		st := memory.New(memory.Options{})
		t.Cleanup(func() { _ = st.Close() })
		share := func(s *setup) { s.opt.Store, s.cfg.Background.Rerun = st, true }
		a := newRig(t, slow.URL(), share)
		id := a.post(inBackground).response(t).ID
		a.until("the request", func() bool { return slow.Count() == 1 })
		stop(t, a, 200*time.Millisecond)
		b := newRig(t, up.URL(), share) // long before a lease would have ended
		began := time.Now()
		if v := b.poll(id); v.text() != "again" || time.Since(began) > 5*time.Second {
			t.Errorf("%s", v.raw)
		}
	})
	t.Run("waits for the next", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		st := memory.New(memory.Options{})
		t.Cleanup(func() { _ = st.Close() })
		share := func(s *setup) { s.opt.Store, s.cfg.Background.Workers = st, 1 }
		a := newRig(t, up.URL(), share)
		first := a.post(inBackground).response(t).ID
		second := a.post(bgQueuedOnly).response(t).ID
		a.until("the request", func() bool { return up.Count() == 1 })
		stop(t, a, 200*time.Millisecond)
		b := newRig(t, up.URL(), share)
		up.Release("go")
		if v := b.poll(first); v.Status != "failed" {
			t.Errorf("%s", v.raw)
		}
		if v := b.poll(second); v.Status != "completed" || v.text() != "ab" {
			t.Errorf("%s", v.raw)
		}
		for range 2 {
			if up.Next().Header.Get("Authorization") != canaryKey {
				t.Error("the credential was lost")
			}
		}
	})
}

const bgQueuedOnly = `{"model":"m","background":true,"input":"second"}`

// TestBackgroundStoreFails: a store that is out of reach for a while delays the
// end of a response, and loses nothing of it; one that takes no more is the end.
func TestBackgroundStoreFails(t *testing.T) {
	t.Parallel()
	t.Run("for a while", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		a, b, link := pair(t, up.URL(), up.URL(), lease(20*time.Second))
		l, id := a.begun()
		link.set(cut)
		a.post(inBackground).want(t, 503, "server_error")
		a.get("/v1/responses/"+id).want(t, 503, "server_error")
		a.do("POST", "/v1/responses/"+id+"/cancel", "").want(t, 503, "server_error")
		up.Release("go")
		l.until("response.output_text.delta")
		time.Sleep(400 * time.Millisecond)
		l.partly() // and no end
		link.set(nil)
		if v := l.rest().response(t); v.Status != "completed" || v.text() != "ab" {
			t.Errorf("%s", v.raw)
		}
		if got := b.replay(id, ""); len(got) != len(eventsIn(l.seen.Bytes())) {
			t.Errorf("%s", names(got))
		}
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		a, _, link := pair(t, up.URL(), up.URL())
		l, _ := a.begun()
		link.set(func(op string, b *store.Batch) error {
			if op == "commit" && b != nil && len(b.Records) > 0 && bytes.Contains(b.Records[0].Response, []byte(`"status":"completed","completed_at"`)) {
				return store.ErrTooLarge
			}
			return nil
		})
		up.Release("go")
		if v := l.rest().response(t); v.Status != "failed" || !strings.Contains(v.Error.Message, "stored") || v.text() != "ab" {
			t.Errorf("%s", v.raw)
		}
	})
	t.Run("too large to wait", func(t *testing.T) {
		t.Parallel()
		up := newEcho(t)
		a, b, link := pair(t, up.URL(), up.URL())
		b.get("/v1/responses/resp_x").want(t, 404, "")
		link.set(func(op string, b *store.Batch) error {
			if op == "commit" && b.Put != nil && b.Put[0].Doc.Kind == kindRun {
				return store.ErrTooLarge
			}
			return nil
		})
		a.post(inBackground).want(t, 413, "")
		link.set(nil)
	})
	t.Run("it panics", func(t *testing.T) {
		t.Parallel()
		up := gated(t)
		a, b, link := pair(t, up.URL(), up.URL())
		l, id := a.begun()
		link.set(func(op string, batch *store.Batch) error {
			if op == "commit" && batch != nil && len(batch.Records) > 0 {
				link.set(nil)
				panic("CANARY")
			}
			return nil
		})
		up.Release("go")
		if v := l.rest().response(t); v.Status != "failed" || v.text() != "ab" {
			t.Errorf("%s", v.raw)
		}
		b.get("/v1/responses/" + id)
	})
}
