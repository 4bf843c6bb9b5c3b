package proxy

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/store/bolt"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

func openFile(t *testing.T, path string, maxBytes int64) *bolt.Store {
	t.Helper()
	st, err := bolt.Open(bolt.Options{Path: path, MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// What was stored is there after a restart, byte for byte: responses, their
// chains, conversations with their items, for the same credential and no other.
func TestRestartOnFile(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	path := filepath.Join(t.TempDir(), "state.db")

	st := openFile(t, path, 0)
	r := newRig(t, up.URL(), func(s *setup) { s.opt.Store = st })
	first := r.post(plain).response(t)
	second := r.post(`{"model":"m","stream":true,"input":"two","previous_response_id":"` + first.ID + `"}`).response(t)
	c := r.newConversation("")
	r.post(`{"model":"m","input":"three","conversation":"`+c.ID+`"}`).want(t, 200, "")
	items := r.items(c.ID)
	kept := r.get("/v1/responses/" + second.ID).body
	r.stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = openFile(t, path, 0)
	defer st.Close()
	r = newRig(t, up.URL(), func(s *setup) { s.opt.Store = st })
	defer r.stop()
	if got := r.get("/v1/responses/" + second.ID); got.status != 200 || !bytes.Equal(got.body, kept) {
		t.Errorf("after a restart: %d %s, want %s", got.status, got.body, kept)
	}
	r.get("/v1/responses/"+second.ID, "Authorization", "Bearer another").want(t, 404, "")
	r.post(`{"model":"m","input":"four","previous_response_id":"`+second.ID+`"}`).want(t, 200, "")
	all := up.Requests()
	if seen := string(all[len(all)-1].Body); !strings.Contains(seen, "CANARY question") || !strings.Contains(seen, `"two"`) || !strings.Contains(seen, `"four"`) {
		t.Errorf("the upstream got %s", seen)
	}
	if got := r.items(c.ID); fmt.Sprint(got) != fmt.Sprint(items) || len(got) != 2 {
		t.Errorf("items %v, want %v", got, items)
	}
	r.post(`{"model":"m","input":"five","conversation":"`+c.ID+`"}`).want(t, 200, "")
	if got := r.items(c.ID); len(got) != 4 {
		t.Errorf("%d items after another turn", len(got))
	}
}

// When the file's budget is spent answers still come, and say so; what is stored
// can be read and deleted; and then there is room again, without a restart.
func TestFileFull(t *testing.T) {
	t.Parallel()
	noise := func(n int) string { // what zstd cannot make small
		var b strings.Builder
		for i := range 4000 {
			fmt.Fprintf(&b, "%x", (i*7919+n)*(i*104729+n*31)%1_000_003)
		}
		return b.String()
	}
	n := 0
	up := upstreamtest.NewFunc(t, 0, func(*upstreamtest.Request) string { return streams(noise(n)) })
	st := openFile(t, filepath.Join(t.TempDir(), "state.db"), bolt.MinBytes)
	defer st.Close()
	r := newRig(t, up.URL(), func(s *setup) { s.opt.Store = st })
	defer r.stop()
	stored := func() (id string, ok bool) {
		n++
		p := r.post(`{"model":"m","stream":true,"input":"x"}`)
		v := p.response(t)
		if v.Status != "completed" {
			t.Fatalf("%s", p.body)
		}
		return v.ID, v.Store
	}
	var ids []string
	for {
		id, ok := stored()
		if !ok {
			r.get("/v1/responses/"+id).want(t, 404, "")
			break
		}
		if ids = append(ids, id); len(ids) > 1000 {
			t.Fatal("the file is never full")
		}
	}
	for _, id := range ids {
		r.get("/v1/responses/"+id).want(t, 200, "")
	}
	for _, id := range ids[:len(ids)/2] {
		r.do("DELETE", "/v1/responses/"+id, "").want(t, 200, "")
	}
	if _, ok := stored(); !ok {
		t.Error("with room again the response is not stored")
	}
}
