package config

import (
	"strings"
	"testing"
)

func TestTarget(t *testing.T) {
	f := func(url, scheme, addr, host, base, query string) {
		t.Helper()
		got, err := (&Upstream{URL: url}).Target()
		want := Target{scheme, addr, host, got.Hostname, scheme == "https", base, query}
		if err != nil || got != want {
			t.Errorf("%s:\n got %+v (%v)\nwant %+v", url, got, err, want)
		}
		if name := strings.Trim(strings.TrimSuffix(addr, addr[strings.LastIndexByte(addr, ':'):]), "[]"); got.Hostname != name {
			t.Errorf("%s: host name %s, want %s", url, got.Hostname, name)
		}
	}
	// A bare host, and one with /v1, mean the same.
	f("http://127.0.0.1:8000", "http", "127.0.0.1:8000", "127.0.0.1:8000", "/v1", "")
	f("http://127.0.0.1:8000/", "http", "127.0.0.1:8000", "127.0.0.1:8000", "/v1", "")
	f("http://127.0.0.1:8000/v1", "http", "127.0.0.1:8000", "127.0.0.1:8000", "/v1", "")
	f("http://127.0.0.1:8000//v1//", "http", "127.0.0.1:8000", "127.0.0.1:8000", "/v1", "")
	f("https://api.openai.com", "https", "api.openai.com:443", "api.openai.com", "/v1", "")
	f("HTTPS://API.OpenAI.com:443/v1/", "https", "api.openai.com:443", "api.openai.com", "/v1", "")
	f("http://host:80", "http", "host:80", "host", "/v1", "")
	f("http://host:", "http", "host:80", "host", "/v1", "")
	f("https://host:80", "https", "host:80", "host:80", "/v1", "")
	f("http://host:0080", "http", "host:80", "host", "/v1", "")
	f("http://[::1]:11434", "http", "[::1]:11434", "[::1]:11434", "/v1", "")
	f("http://[0:0::1]", "http", "[::1]:80", "[::1]", "/v1", "")
	f("http://my_host.svc", "http", "my_host.svc:80", "my_host.svc", "/v1", "")
	// A prefix gets /v1.
	f("https://api.groq.com/openai", "https", "api.groq.com:443", "api.groq.com", "/openai/v1", "")
	f("https://api.groq.com/openai/v1", "https", "api.groq.com:443", "api.groq.com", "/openai/v1", "")
	f("https://openrouter.ai/api", "https", "openrouter.ai:443", "openrouter.ai", "/api/v1", "")
	f("http://gw/llm%2Fa/", "http", "gw:80", "gw", "/llm%2Fa/v1", "")
	f("http://gw/vision", "http", "gw:80", "gw", "/vision/v1", "")
	f("http://gw/v8engine", "http", "gw:80", "gw", "/v8engine/v1", "")
	// Other API paths are used as they are.
	f("https://x.openai.azure.com/openai/deployments/gpt-5?api-version=2024-10-21", "https", "x.openai.azure.com:443",
		"x.openai.azure.com", "/openai/deployments/gpt-5", "api-version=2024-10-21")
	f("https://generativelanguage.googleapis.com/v1beta/openai/", "https", "generativelanguage.googleapis.com:443",
		"generativelanguage.googleapis.com", "/v1beta/openai", "")
	f("https://open.bigmodel.cn/api/paas/v4", "https", "open.bigmodel.cn:443", "open.bigmodel.cn", "/api/paas/v4", "")
	f("https://api.deepinfra.com/v1/openai", "https", "api.deepinfra.com:443", "api.deepinfra.com", "/v1/openai", "")
	f("http://h/v1alpha2/x", "http", "h:80", "h", "/v1alpha2/x", "")
	// So is what comes before an endpoint.
	f("https://api.perplexity.ai/chat/completions", "https", "api.perplexity.ai:443", "api.perplexity.ai", "", "")
	f("http://h:1/v1/chat/completions?a=b&c", "http", "h:1", "h:1", "/v1", "a=b&c")
	f("http://h/inference/chat/completions/", "http", "h:80", "h", "/inference", "")
}

func TestTargetRefused(t *testing.T) {
	for _, url := range []string{
		"", "localhost", "localhost:8000", "//localhost", "ftp://h", "http:/h", "http://", "http://:80", "http:///v1",
		"http://u@h", "http://u:" + canary + "@h", "http://h:" + canary, "http://h:0", "http://h:65536", "http://h:-1",
		"http://h/%zz", "http://h/../v1", "http://h/a/./b", "http://h/#x", "http://h#", "http://h/a b", "http://h\n",
		"http://hé", "http://[fe80::1%25eth0]", "http://[::1", "http://::1", "http://a..b", "http://.a", "http://a,b",
		"http://" + strings.Repeat("a", 254), "http://h\\@x", "unix:///x", "http://%41",
	} {
		got, err := (&Upstream{URL: url}).Target()
		if err == nil {
			t.Errorf("%q is taken for %+v", url, got)
		} else if strings.Contains(err.Error(), canary) || !strings.HasPrefix(err.Error(), "upstream.url: ") {
			t.Errorf("%q: %v", url, err)
		}
	}
	// An @ behind the host is no credential.
	if _, err := (&Upstream{URL: "http://h/a@b?c@d"}).Target(); err != nil {
		t.Error(err)
	}
}
