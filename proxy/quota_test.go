package proxy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// withKeys is a setup with a file of API keys.
func withKeys(t testing.TB, file string) func(*setup) {
	t.Helper()
	keys, err := config.ParseKeys("keys", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return func(s *setup) { s.opt.Keys, s.noKey = keys, true }
}

const (
	alice = "Authorization: Bearer sk-CANARY-alice"
	bob   = "Authorization: Bearer sk-CANARY-bob"
	carol = "Authorization: Bearer sk-CANARY-carol"
)

func TestQuotaRequests(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), withKeys(t, "alice sk-CANARY-alice requests_per_minute=3\nbob sk-CANARY-bob\n"))
	for i := range 3 {
		got := r.post(plain, alice)
		got.want(t, 200, "")
		if left := got.header.Get("X-Ratelimit-Remaining-Requests"); left != fmt.Sprint(2-i) || got.header.Get("X-Ratelimit-Limit-Requests") != "3" {
			t.Errorf("request %d: %q left", i, left)
		}
	}
	got := r.post(plain, alice)
	got.want(t, 429, "rate_limit_exceeded")
	if wait := got.header.Get("Retry-After"); wait != "20" && wait != "19" {
		t.Errorf("retry after %q", wait)
	}
	if !strings.Contains(string(got.body), "Limit 3, Used 3, Requested 1. Please try again in ") {
		t.Errorf("%s", got.body)
	}
	r.do("POST", "/v1/chat/completions", `{"model":"m","messages":[]}`, alice).want(t, 429, "rate_limit_exceeded")
	if n := up.Count(); n != 3 {
		t.Errorf("the upstream got %d requests", n)
	}
	// What is stored can be read, and others are not touched.
	r.do("GET", "/v1/responses/resp_0", "", alice).want(t, 404, "")
	r.post(plain, bob).want(t, 200, "")
	if r.metric("antiphon_over_quota_total") != 2 {
		t.Error("the metric does not count")
	}
}

func TestQuotaTokens(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, `json 200 {"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":70,"completion_tokens":50,"total_tokens":120}}`)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Tenant.TokensPerMinute = 100 })
	got := r.post(plain)
	got.want(t, 200, "")
	if left := got.header.Get("X-Ratelimit-Remaining-Tokens"); left != "100" {
		t.Errorf("%q left before", left)
	}
	got = r.post(plain)
	got.want(t, 429, "rate_limit_exceeded")
	if !strings.Contains(string(got.body), `"tokens"`) || got.header.Get("X-Ratelimit-Remaining-Tokens") != "0" {
		t.Errorf("%v %s", got.header, got.body)
	}
	r.post(plain, "Authorization: Bearer sk-CANARY-other").want(t, 200, "") // a tenant of its own
}

func TestQuotaConcurrency(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "gate go\njson 200 {\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"finish_reason\":\"stop\"}]}")
	r := newRig(t, up.URL(), withKeys(t, "alice sk-CANARY-alice concurrency=2\n"))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { r.post(plain, alice).want(t, 200, "") })
	}
	r.until("two requests", func() bool { return up.Count() == 2 })
	r.post(plain, alice).want(t, 429, "rate_limit_exceeded")
	up.Release("go")
	wg.Wait()
	for range 3 { // given back: by answers, and by refusals
		r.post(`{"model":`, alice).want(t, 400, "")
	}
	r.post(plain, alice).want(t, 200, "")
}

func TestAllowedModels(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.HasPrefix(req.URI, "/v1/models") {
			return `json 200 {"object":"list","data":[{"id":"m-1","object":"model"},{"id":"secret","object":"model"},{"id":"x","object":"model"}]}`
		}
		return echoes(req)
	})
	r := newRig(t, up.URL(), withKeys(t, "alice sk-CANARY-alice models=m-*,x\nbob sk-CANARY-bob\n"))
	ask := func(model, key string) *reply { return r.post(`{"model":"`+model+`","input":"hi"}`, key) }
	ask("m-1", alice).want(t, 200, "")
	ask("x", alice).want(t, 200, "")
	ask("secret", bob).want(t, 200, "")
	asked := up.Count()
	ask("secret", alice).want(t, 400, "model_not_found")
	for _, body := range []string{`{"model":"secret"}`, `{}`, `{"model":["m-1"]}`} {
		r.do("POST", "/v1/chat/completions", body, alice).want(t, 404, "model_not_found")
	}
	r.do("POST", "/v1/chat/completions", `{"model":"m-1","model":"secret"}`, alice).want(t, 400, "")
	r.do("POST", "/v1/audio/transcriptions", "a form", alice, "Content-Type: multipart/form-data; boundary=x").want(t, 403, "model_not_readable")
	r.do("GET", "/v1/models/secret", "", alice).want(t, 404, "model_not_found")
	if up.Count() != asked {
		t.Error("the upstream was asked")
	}
	r.do("POST", "/v1/chat/completions", `{"model":"m-1"}`, alice).want(t, 200, "")
	if got := r.do("GET", "/v1/models", "", alice); string(got.body) != `{"object":"list","data":[{"id":"m-1","object":"model"},{"id":"x","object":"model"}]}` {
		t.Errorf("%s", got.body)
	}
	if got := r.do("GET", "/v1/models", "", bob); !strings.Contains(string(got.body), "secret") {
		t.Errorf("%s", got.body)
	}
}

func TestReloadedKeys(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL(), withKeys(t, "alice sk-CANARY-alice\nbob sk-CANARY-bob\n"))
	id := r.post(plain, alice).responseID(t)
	keys, err := config.ParseKeys("keys", []byte("alice sk-CANARY-carol\n"))
	r.srv.ReloadedKeys(keys, err)
	r.post(plain, alice).want(t, 401, "invalid_api_key")
	r.post(plain, bob).want(t, 401, "invalid_api_key")
	// The principal is the tenant, whatever its key.
	r.do("GET", "/v1/responses/"+id, "", carol).want(t, 200, "")
	r.srv.ReloadedKeys(nil, errors.New("bad file"))
	r.post(plain, carol).want(t, 200, "")
	if r.metric(`antiphon_key_reloads_total{result="ok"}`) != 1 || r.metric(`antiphon_key_reloads_total{result="refused"}`) != 1 {
		t.Error("the metrics do not count")
	}
}

func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bucket
		b.settle(60, time.Now())
		if b.left != 60 {
			t.Fatalf("%v left at first", b.left)
		}
		b.left = 0
		if wait := b.until(1); wait != time.Second {
			t.Errorf("%v until the next", wait)
		}
		time.Sleep(1500 * time.Millisecond)
		b.settle(60, time.Now())
		if b.left != 1.5 {
			t.Errorf("%v left after 1.5 s", b.left)
		}
		time.Sleep(time.Hour)
		b.settle(60, time.Now())
		if b.left != 60 {
			t.Errorf("%v left after an hour", b.left)
		}
		b.settle(10, time.Now()) // another key of the tenant
		if b.left != 10 {
			t.Errorf("%v left of 10", b.left)
		}
	})
}

// TestQuotasAreBounded: strangers cannot fill the memory with quotas.
func TestQuotasAreBounded(t *testing.T) {
	var qs quotas
	busy := qs.take("busy")
	busy.running = 1
	for i := range 100_000 {
		qs.take(fmt.Sprint(i))
	}
	if len(qs.of) > 5000 || qs.take("busy") != busy {
		t.Errorf("%d quotas", len(qs.of))
	}
}
