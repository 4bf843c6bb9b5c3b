package proxy

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// What a client names is never fetched from inside, switched on or not: the part
// is left out and reported, and the request goes on.
func TestFetchedFromInside(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		inside := upstreamtest.NewFunc(t, 0, answer("secret"))
		up := upstreamtest.NewFunc(t, 0, answer("hello"))
		r := newRig(t, up.URL(), withDialect("ollama"), func(s *setup) { s.cfg.Fetch.Enabled = on })
		for _, url := range []string{inside.URL() + "/x.png", "https://" + inside.Addr + "/x.png", "https://169.254.169.254/latest", "https://[::1]/x"} {
			got := r.post(`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"What?"},{"type":"input_image","image_url":"` + url + `"}]}]}`)
			if got.status != 200 || !strings.Contains(got.header.Get("Antiphon-Loss"), "part.dropped") {
				t.Errorf("%s: %d %v", url, got.status, got.header)
			}
		}
		if inside.Count() != 0 {
			t.Errorf("the inside was asked %d times", inside.Count())
		}
		if sent := string(up.Requests()[0].Body); strings.Contains(sent, "x.png") {
			t.Errorf("the URL was passed on: %s", sent)
		}
	}
}

// Uploaded files come from the upstream's own endpoint, with the client's
// credential or the configured one, and within bounds.
func TestFetchedByID(t *testing.T) {
	t.Parallel()
	const png = "\x89PNG\r\n\x1a\nCANARY"
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		id, ok := strings.CutPrefix(req.URI, "/v1/files/")
		if !ok {
			return answers("I see")
		}
		switch strings.TrimSuffix(id, "/content") {
		case "file-png":
			return "head 200 application/octet-stream\nchunk-raw " + strconv.Quote(png)
		case "file-pdf":
			return "header Content-Disposition: attachment; filename=\"a b.pdf\"\nhead 200 application/pdf\nchunk-raw \"%PDF-1.7\""
		case "file-large":
			return "head 200 image/png\nfill 3000000 \"x\""
		case "file-slow":
			return "stall"
		case "file-program":
			return "head 200 application/octet-stream\nchunk-raw \"\\x7fELF\\x00\\x01\""
		case "file-cut":
			return "head 200 image/png\nchunk-raw \"x\"\nrst"
		}
		return `json 404 {"error":{"message":"No such File object"}}`
	})
	on := func(s *setup) {
		s.cfg.Fetch.FileIDs, s.cfg.Fetch.MaxBytes, s.cfg.Fetch.Timeout = true, config.MiB, config.Duration(500*time.Millisecond)
	}
	body := func(part string) string {
		return `{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"input_text","text":"What?"},` + part + `]}]}`
	}
	r := newRig(t, up.URL(), withDialect("openrouter"), on)
	last := func() string { all := up.Requests(); return string(all[len(all)-1].Body) }
	for part, want := range map[string]string{
		`{"type":"input_image","file_id":"file-png"}`: `"url":"data:image/png;base64,` + base64.StdEncoding.EncodeToString([]byte(png)) + `"`,
		`{"type":"input_file","file_id":"file-pdf"}`:  `"file_data":"data:application/pdf;base64,JVBERi0xLjc=","filename":"a b.pdf"`,
	} {
		got := r.post(body(part))
		if told := got.header.Get("Antiphon-Loss"); got.status != 200 || !strings.Contains(told, "part.fetched") || !strings.Contains(last(), want) {
			t.Errorf("%s: %d %s %s", part, got.status, told, last())
		}
	}
	for _, id := range []string{"file-none", "file-large", "file-slow", "file-program", "file-cut", "../models", "a?b", "a%2fb"} {
		got := r.post(body(`{"type":"input_image","file_id":"` + id + `"}`))
		if told := got.header.Get("Antiphon-Loss"); got.status != 200 || !strings.Contains(told, "part.dropped") {
			t.Errorf("%s: %d %s", id, got.status, told)
		}
	}
	asked := 0
	for _, req := range up.Requests() {
		if !strings.HasPrefix(req.URI, "/v1/files/") {
			continue
		}
		asked++
		if req.Method != "GET" || req.Header.Get("Authorization") != canaryKey || req.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s %v", req.Method, req.URI, req.Header)
		}
	}
	if asked != 7 {
		t.Errorf("%d files were asked for, want 7: no id leads elsewhere", asked)
	}

	own := newRig(t, up.URL(), withDialect("openrouter"), on, func(s *setup) { s.cfg.Upstream.Key = config.NewSecret("sk-CANARY-own") })
	own.post(body(`{"type":"input_image","file_id":"file-png"}`)).want(t, 200, "")
	all := up.Requests()
	if got := all[len(all)-2]; got.URI != "/v1/files/file-png/content" || got.Header.Get("Authorization") != "Bearer sk-CANARY-own" {
		t.Errorf("%s %v", got.URI, got.Header)
	}

	// Where the upstream knows ids, or nobody has asked for it, nothing is fetched.
	before := up.Count()
	knows := newRig(t, up.URL(), withDialect("openai"), on)
	knows.post(body(`{"type":"input_file","file_id":"file-pdf"}`)).want(t, 200, "")
	if !strings.Contains(last(), `"file_id":"file-pdf"`) {
		t.Errorf("%s", last())
	}
	off := newRig(t, up.URL(), withDialect("openrouter"))
	got := off.post(body(`{"type":"input_image","file_id":"file-png"}`))
	if !strings.Contains(got.header.Get("Antiphon-Loss"), "part.dropped") || up.Count() != before+2 {
		t.Errorf("%v after %d requests", got.header, up.Count()-before)
	}
}

// What was fetched stays with the turn: later turns send it though its server does
// not give it any more, whatever the cache holds, and it goes with the response.
func TestFetchedIsKept(t *testing.T) {
	t.Parallel()
	const image = `"input":[{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]`
	for _, cache := range []config.ByteSize{0, config.MiB} {
		given := make(map[string]bool) // by the text of the credential: a file is given once
		var mu sync.Mutex
		up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
			if !strings.HasPrefix(req.URI, "/v1/files/") {
				if strings.Contains(string(req.Body), `"stream":true`) {
					return streams("a")
				}
				return answers("a")
			}
			mu.Lock()
			defer mu.Unlock()
			if given[req.Header.Get("Authorization")] {
				return "json 404 {}"
			}
			given[req.Header.Get("Authorization")] = true
			return "head 200 image/png\nchunk-raw \"CANARY\""
		})
		r := newRig(t, up.URL(), func(s *setup) {
			s.cfg.Fetch.FileIDs, s.cfg.Store.HistoryCacheBytes = true, cache
		})
		sent := func(how string) {
			all := up.Requests()
			if last := string(all[len(all)-1].Body); !strings.Contains(last, "data:image/png;base64,Q0FOQVJZ") {
				t.Errorf("%s, cache %d: %s", how, cache, last)
			}
		}
		key := func(name string) string { return "Authorization: Bearer sk-CANARY-" + name }

		first := r.post(`{"model":"m",`+image+`}`, key("1")).responseID(t)
		sent("the first turn")
		id := first
		for range 2 {
			got := r.post(`{"model":"m","input":"And?","previous_response_id":"`+id+`"}`, key("1"))
			id = got.responseID(t)
			sent("a later turn")
			if told := got.header.Get("Antiphon-Loss"); strings.Contains(told, "dropped") {
				t.Errorf("%s", told)
			}
		}
		listed := r.get("/v1/responses/"+first+"/input_items", key("1"))
		if !strings.Contains(string(listed.body), "file-1") || strings.Contains(string(listed.body), "base64") {
			t.Errorf("%s", listed.body)
		}
		tenant := r.srv.tenants.of(bearer([]byte("Bearer sk-CANARY-1")))
		kept := func() int {
			docs, _, err := r.opt.Store.Docs(context.Background(), tenant, kindFetched, store.Page{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			return len(docs)
		}
		if n := kept(); n != 1 {
			t.Errorf("%d are kept", n)
		}
		r.do("DELETE", "/v1/responses/"+first, "", key("1")).want(t, 200, "")
		if n := kept(); n != 0 {
			t.Errorf("%d are kept after the response", n)
		}

		made := r.post(`{"model":"m","background":true,`+image+`}`, key("2")).response(t)
		r.until("the response to end", func() bool {
			return r.get("/v1/responses/"+made.ID, key("2")).response(t).Status == "completed"
		})
		r.post(`{"model":"m","input":"And?","previous_response_id":"`+made.ID+`"}`, key("2")).want(t, 200, "")
		sent("after a background response")

		p := r.socket(key("3"))
		local := p.turn(`"store":false,` + image)
		p.turn(`"store":false,"input":"And?","previous_response_id":"` + local.ID + `"`)
		sent("on a connection")

		// A conversation keeps items, and no bytes beside them: it says so.
		conversation := r.newConversation(`{}`, key("4")).ID
		r.post(`{"model":"m","conversation":"`+conversation+`",`+image+`}`, key("4")).want(t, 200, "")
		sent("the first turn of a conversation")
		told := r.post(`{"model":"m","conversation":"`+conversation+`","input":"And?"}`, key("4")).header.Get("Antiphon-Loss")
		if !strings.Contains(told, `part.dropped;action=dropped;path="conversation"`) {
			t.Errorf("%q", told)
		}
	}
}
