package proxy

import (
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestOwnHeaders: answers carry the headers that the live API's do, also errors
// and streams; what is passed through has the upstream's.
func TestOwnHeaders(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "header OpenAI-Organization: org-1\nwait 30ms\n"+answers("a"), streams("a"), "json 400 {}", "header openai-processing-ms: 7\njson 200 {}", "json 200 {}")
	r := newRig(t, up.URL())
	whole := r.post(plain)
	ms, err := strconv.Atoi(whole.header.Get("openai-processing-ms"))
	if err != nil || ms < 30 || ms > 10_000 || whole.header.Get("openai-organization") != "org-1" {
		t.Errorf("%v", whole.header)
	}
	for _, got := range []*reply{whole, r.post(streamed), r.post(plain), r.get("/v1/responses/" + whole.responseID(t)), r.get("/v1/responses/resp_none")} {
		if got.header.Get("openai-version") != "2020-10-01" || got.header.Get("openai-processing-ms") == "" || got.header.Get("x-request-id") == "" {
			t.Errorf("%d %v", got.status, got.header)
		}
	}
	for _, want := range []string{"7", ""} {
		if got := r.do("POST", "/v1/embeddings", `{}`); strings.Join(got.header.Values("openai-processing-ms"), ",") != want || got.header.Get("openai-version") != "" {
			t.Errorf("%v, want %q", got.header, want)
		}
	}
}

// TestAlphaSearch: Codex learns that there is no search, in words.
func TestAlphaSearch(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, "json 200 {}")
	r := newRig(t, up.URL())
	for _, path := range []string{"/v1/alpha/search", "/alpha/search"} {
		got := r.do("POST", path, `{"query":"CANARY"}`)
		got.want(t, 404, "not_found")
		if !strings.Contains(got.err().Message, "web search") {
			t.Errorf("%s", got.body)
		}
	}
	r.do("GET", "/v1/alpha/search", "").want(t, 405, "method_not_supported")
	if up.Count() != 0 {
		t.Error("the upstream was asked")
	}
	whole := newRig(t, up.URL(), withDialect("openai"), func(s *setup) { s.cfg.Upstream.API = "responses" })
	whole.do("POST", "/v1/alpha/search", `{"query":"CANARY"}`).want(t, 200, "")
	if up.Count() != 1 {
		t.Error("the upstream was not asked")
	}
}
