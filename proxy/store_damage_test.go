package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
)

// TestStoreDamage: what is damaged is an error of the server wherever it is read, never
// absent and never "try again", and the log says where it is.
func TestStoreDamage(t *testing.T) {
	t.Parallel()
	st := &faultyStore{Store: memory.New(memory.Options{MaxBytes: 1 << 20})}
	t.Cleanup(func() { _ = st.Store.Close() })
	r := newRig(t, newEcho(t).URL(), keepsChats, func(s *setup) { s.opt.Store, s.cfg.Store.HistoryCacheBytes = st, 0 })
	known := r.post(plain).response(t)
	conv := r.newConversation(`{"items":[{"role":"user","content":"x"}]}`).ID
	item := r.items(conv)[0].ID
	chat := into[completionObject](t, r.complete(`{"model":"m","store":true,"messages":[{"role":"user","content":"x"}]}`)).ID
	st.set(func(op string) error {
		if op == "epoch" {
			return nil
		}
		return fmt.Errorf("page 7: %w", store.ErrDamaged)
	})
	for _, path := range []string{
		"/responses/" + known.ID, "/responses/" + known.ID + "/input_items", "/conversations/" + conv,
		"/conversations/" + conv + "/items", "/conversations/" + conv + "/items/" + item,
		"/chat/completions/" + chat, "/chat/completions",
	} {
		if got := r.get(path); got.status != 500 || !strings.Contains(string(got.body), "damaged") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, body := range []string{
		`{"model":"m","input":"x","previous_response_id":"` + known.ID + `"}`,
		`{"model":"m","input":"x","conversation":"` + conv + `"}`,
	} {
		if got := r.post(body); got.status != 500 || !strings.Contains(string(got.body), "damaged") {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	st.set(nil)
	if !strings.Contains(strings.Join(r.log.lines(), "\n"), "page 7") {
		t.Error("the log does not say where the damage is")
	}
}
