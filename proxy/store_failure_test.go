package proxy

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/store/redis"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

// TestStoreFailure is the table of how stores fail, over all that needs one: an
// answer comes, in time, and says whether it is stored; what only the store can
// answer is 503, and never 404; and the next request after it is as always.
func TestStoreFailure(t *testing.T) {
	t.Parallel()
	writes := []string{"put", "commit", "delete"}
	onWrites := func(err error) func(op string) error {
		return func(op string) error {
			if slices.Contains(writes, op) {
				return err
			}
			return nil
		}
	}
	faults := []struct {
		name            string
		fault           func(op string) error
		stores, answers bool // new responses are stored; reads are answered
	}{
		{"slow", func(string) error { time.Sleep(storeTime / 10); return nil }, true, true},
		{"dead", func(string) error { return errors.New("connection refused") }, false, false},
		{"frozen", func(string) error { time.Sleep(storeTime); return context.DeadlineExceeded }, false, false},
		{"full", onWrites(store.ErrFull), false, true},
		{"read-only", onWrites(errors.New("read-only file system")), false, true},
	}
	for name, open := range everyStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &faultyStore{Store: open(t)}
			t.Cleanup(func() { _ = st.Store.Close() })
			// Nothing is known from memory: each read is the store's.
			r := newRig(t, newEcho(t).URL(), keepsChats, func(s *setup) { s.opt.Store, s.cfg.Store.HistoryCacheBytes = st, 0 })
			known := r.post(plain).response(t)
			conv := r.newConversation(`{"items":[{"role":"user","content":"x"}]}`).ID
			item := r.items(conv)[0].ID
			chat := into[completionObject](t, r.complete(`{"model":"m","store":true,"messages":[{"role":"user","content":"x"}]}`)).ID
			reads := []string{
				"/responses/" + known.ID, "/responses/" + known.ID + "/input_items", "/conversations/" + conv,
				"/conversations/" + conv + "/items", "/conversations/" + conv + "/items/" + item,
				"/chat/completions/" + chat, "/chat/completions/" + chat + "/messages", "/chat/completions",
			}
			changes := [][3]string{
				{"POST", "/responses", `{"model":"m","background":true,"input":"x"}`},
				{"POST", "/conversations", `{}`}, {"POST", "/conversations/" + conv, `{"metadata":{}}`},
				{"POST", "/conversations/" + conv + "/items", `{"items":[{"role":"user","content":"y"}]}`},
				{"POST", "/responses", `{"model":"m","input":"x","conversation":"` + conv + `"}`},
				{"POST", "/chat/completions/" + chat, `{"metadata":{}}`},
				{"DELETE", "/responses/" + known.ID, ""}, {"DELETE", "/conversations/" + conv, ""}, {"DELETE", "/chat/completions/" + chat, ""},
			}
			for _, f := range faults {
				r.withFault(st, f.name, f.fault, f.stores, f.answers, known.ID, reads, changes)
			}
		})
	}
}

func (r *rig) withFault(st *faultyStore, name string, fault func(string) error, stores, answers bool, known string, reads []string, changes [][3]string) {
	t := r.t
	t.Helper()
	st.set(fault)
	defer st.set(nil)
	answer := func(what string, p *reply) {
		t.Helper()
		if v := p.response(t); v.Status != "completed" || v.Store != stores || !strings.HasPrefix(v.text(), "echo of ") {
			t.Errorf("%s: %s says %s", name, what, v.raw)
		}
	}
	const slack = time.Second // of a busy machine
	for _, body := range []string{plain, streamed} {
		start := time.Now()
		answer(body, r.post(body))
		if took := time.Since(start); took > storeTime+slack {
			t.Errorf("%s: %s takes %v", name, body, took)
		}
	}
	p := r.socket()
	if v := p.turn(`"input":"CANARY question"`); v.Store != stores {
		t.Errorf("%s: over a socket: %s", name, v.raw)
	}
	if p := r.complete(`{"model":"m","store":true,"messages":[{"role":"user","content":"x"}]}`); p.status != 200 || !strings.Contains(string(p.body), "echo of x") {
		t.Errorf("%s: a completion: %d %s", name, p.status, p.body)
	}
	want := 200
	if !answers {
		want = 503
	}
	for _, path := range reads {
		if p := r.get("/v1" + path); p.status != want {
			t.Errorf("%s: GET %s: %d %s", name, path, p.status, p.body)
		}
	}
	next := fmt.Sprintf(`{"model":"m","input":"y","previous_response_id":"%s"}`, known)
	if p := r.post(next); p.status != want {
		t.Errorf("%s: a response that continues another: %d %s", name, p.status, p.body)
	}
	p.create(`"input":"y","previous_response_id":"` + known + `"`)
	if v := p.result(""); (v.fault == nil) != answers || v.fault != nil && v.status != want {
		t.Errorf("%s: a socket's turn that continues another: %d %+v", name, v.status, v.fault)
	}
	// What is not there is not there, if that can be known.
	missing := 404
	if !answers {
		missing = 503
	}
	for _, path := range []string{"/responses/resp_none", "/conversations/conv_none", "/chat/completions/chatcmpl-none"} {
		if p := r.get("/v1" + path); p.status != missing {
			t.Errorf("%s: GET %s: %d %s", name, path, p.status, p.body)
		}
	}
	if stores {
		return // it is only slow
	}
	for _, c := range changes {
		if p := r.do(c[0], "/v1"+c[1], c[2]); p.status != 503 {
			t.Errorf("%s: %s %s %s: %d %s", name, c[0], c[1], c[2], p.status, p.body)
		}
	}
	st.set(nil)
	if v := r.post(next).response(t); !v.Store {
		t.Errorf("%s, and back: %s", name, v.raw)
	}
	for _, path := range reads { // nothing of what was refused has happened
		if p := r.get("/v1" + path); p.status != 200 {
			t.Errorf("%s, and back: GET %s: %d %s", name, path, p.status, p.body)
		}
	}
}

// everyStore opens a new store of each kind. Who does closes it.
var everyStore = map[string]func(t *testing.T) store.Store{
	"memory": func(*testing.T) store.Store { return memory.New(memory.Options{}) },
	"bolt":   func(t *testing.T) store.Store { return openFile(t, filepath.Join(t.TempDir(), "state.db"), 0) },
	"redis": func(t *testing.T) store.Store {
		server, err := redistest.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		st, err := redis.Open(redis.Options{URL: server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		return st
	},
}
