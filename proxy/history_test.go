package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
	"github.com/antiphon-proxy/antiphon/translate"
)

// responseID is the id of a response that was answered whole.
func (r *reply) responseID(t testing.TB) string {
	t.Helper()
	var body struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil || body.ID == "" {
		t.Fatalf("status %d: no response: %s", r.status, r.body)
	}
	return body.ID
}

// said is what the last request to the upstream said, text by text.
func said(t testing.TB, up *upstreamtest.Server) (texts []string) {
	t.Helper()
	var body struct {
		Messages []struct {
			Role    string `json:"role"`
			Content any    `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(up.Next().Body, &body); err != nil {
		t.Fatal(err)
	}
	for _, m := range body.Messages {
		texts = append(texts, fmt.Sprint(m.Role, ":", m.Content))
	}
	return texts
}

// TestChains: a conversation is rebuilt to its root whatever the cache holds, in
// every dialect, with branches, and not through a response that was deleted.
func TestChains(t *testing.T) {
	t.Parallel()
	for _, dialect := range translate.DialectNames() {
		for _, cache := range []config.ByteSize{0, 64 * config.KiB, 64 * config.MiB} {
			t.Run(fmt.Sprintf("%s/%d", dialect, cache), func(t *testing.T) {
				t.Parallel()
				up := newEcho(t)
				r := newRig(t, up.URL(), func(s *setup) {
					s.cfg.Upstream.Dialect, s.cfg.Store.HistoryCacheBytes = dialect, cache
				})
				ask := func(previous, text string) (id string, texts []string) {
					body := `{"model":"m","input":"` + text + `"`
					if previous != "" {
						body += `,"previous_response_id":"` + previous + `"`
					}
					id = r.post(body + `}`).responseID(t)
					return id, said(t, up)
				}
				var ids []string
				previous := ""
				for turn := range 12 {
					id, texts := ask(previous, fmt.Sprintf("turn %d", turn))
					if len(texts) != 2*turn+1 || texts[0] != "user:turn 0" || texts[2*turn] != fmt.Sprintf("user:turn %d", turn) {
						t.Fatalf("turn %d: %q", turn, texts)
					}
					ids, previous = append(ids, id), id
				}
				for branch := range 3 { // from the middle, each going on
					id, texts := ask(ids[5], fmt.Sprintf("branch %d", branch))
					if len(texts) != 13 || texts[12] != fmt.Sprintf("user:branch %d", branch) || texts[10] != "user:turn 5" {
						t.Fatalf("branch %d: %q", branch, texts)
					}
					if _, texts = ask(id, "on"); len(texts) != 15 || texts[12] != fmt.Sprintf("user:branch %d", branch) {
						t.Fatalf("branch %d goes on: %q", branch, texts)
					}
				}
				if got := r.do("DELETE", "/v1/responses/"+ids[3], ""); got.status != 200 {
					t.Fatalf("%d %s", got.status, got.body)
				}
				r.post(`{"model":"m","input":"x","previous_response_id":"`+ids[11]+`"}`).want(t, 400, "previous_response_not_found")
			})
		}
	}
}

// TestHistoryLosses: what an earlier turn loses on the way is reported by every
// turn that sends it, cached or not, and strict refuses the turn for it.
func TestHistoryLosses(t *testing.T) {
	t.Parallel()
	const image = `[{"role":"user","content":[{"type":"input_text","text":"What?"},{"type":"input_image","image_url":"https://example.com/a.png"}]}]`
	up := upstreamtest.NewFunc(t, 0, answer("a cat"))
	r := newRig(t, up.URL(), withDialect("ollama"))
	id := r.post(`{"model":"m","input":` + image + `}`).responseID(t)
	first := id
	for range 3 {
		got := r.post(`{"model":"m","input":"Sure?","previous_response_id":"` + id + `"}`)
		if told := got.header.Get("Antiphon-Loss"); !strings.Contains(told, `part.dropped;action=dropped;path="previous_response_id"`) {
			t.Errorf("%q", told)
		}
		id = got.responseID(t)
	}
	conversation := r.newConversation(`{"items":` + image + `}`).ID
	for range 2 {
		got := r.post(`{"model":"m","input":"Sure?","conversation":"` + conversation + `"}`)
		if told := got.header.Get("Antiphon-Loss"); !strings.Contains(told, `part.dropped;action=dropped;path="conversation"`) {
			t.Errorf("%q", told)
		}
	}

	strict := newRig(t, up.URL(), withDialect("ollama"), func(s *setup) { s.cfg.Loss, s.opt.Store = config.LossStrict, r.opt.Store })
	got := strict.post(`{"model":"m","input":"Sure?","previous_response_id":"` + first + `"}`)
	got.want(t, 400, "unsupported_parameter")
	if got.err().Param != "previous_response_id" {
		t.Errorf("%s", got.body)
	}
}
