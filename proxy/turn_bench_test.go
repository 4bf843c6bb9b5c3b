package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/bolt"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/store/redis"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
)

// turnText is what each side says in a turn.
var turnText = strings.Repeat("some words of a conversation ", 18)[:500]

// BenchmarkTurn is the next turn of a chain, from the client's request to the
// stored answer, over real connections, with a backend that answers at once. At a
// replica that knows the chain, and at one that has to read and translate it.
func BenchmarkTurn(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, completion(turnText))
	}))
	defer up.Close()
	for _, kind := range []struct {
		name string
		open func(b *testing.B) (store.Store, error)
	}{
		{"memory", func(*testing.B) (store.Store, error) { return memory.New(memory.Options{}), nil }},
		{"bolt", func(b *testing.B) (store.Store, error) {
			return bolt.Open(bolt.Options{Path: filepath.Join(b.TempDir(), "state.db")})
		}},
		{"redis", func(b *testing.B) (store.Store, error) {
			server, err := redistest.Start()
			if err != nil {
				return nil, err
			}
			b.Cleanup(server.Stop)
			return redis.Open(redis.Options{URL: server.URL()})
		}},
	} {
		st, err := kind.open(b)
		if err != nil {
			b.Fatal(err)
		}
		at := func(cache int64) *rig {
			return newRig(b, up.URL, func(s *setup) {
				s.opt.Store, s.opt.Log, s.talks = st, zap.NewNop(), true
				if cache == 0 {
					s.cfg.Store.HistoryCacheBytes = 0
				}
			})
		}
		knows, reads := at(1), at(0)
		turn := func(r *rig, tip string) string {
			previous := ""
			if tip != "" {
				previous = `,"previous_response_id":"` + tip + `"`
			}
			resp, err := r.http.Post("http://"+r.addr+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"`+turnText+`"`+previous+`}`))
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `"store":true`) {
				b.Fatalf("%v %d %.300s", err, resp.StatusCode, body)
			}
			return string(body[7 : 7+strings.IndexByte(string(body[7:]), '"')])
		}
		tip, made := "", 0
		for _, depth := range []int{1, 10, 100, 1000} {
			for ; made < depth-1; made++ { // the turn that is measured is the last
				tip = turn(knows, tip)
			}
			for _, r := range []*rig{knows, reads} {
				name := "known"
				if r == reads {
					name = "read"
				}
				b.Run(fmt.Sprintf("%s/depth=%d/%s", kind.name, depth, name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						turn(r, tip)
					}
				})
			}
		}
		knows.stop()
		reads.stop()
		_ = st.Close()
	}
}
