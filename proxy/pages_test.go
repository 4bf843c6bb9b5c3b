package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
)

func TestWhichHostsAndOriginsMayComeIn(t *testing.T) {
	const listener = "127.0.0.1:8080"
	for _, test := range []struct {
		name          string
		host          string
		headers       string // Name: value, separated by |
		loopback      bool
		keys          bool
		hosts, origin string // that are configured
		code          string // of the refusal
	}{
		{name: "address", host: listener, loopback: true},
		{name: "another port", host: "127.0.0.1:9999", loopback: true},
		{name: "no port", host: "localhost", loopback: true},
		{name: "upper case", host: "LocalHost:1", loopback: true},
		{name: "dot", host: "localhost.:1", loopback: true},
		{name: "IPv6", host: "[::1]:8080", loopback: true},
		{name: "IPv6 without a port", host: "[::1]", loopback: true},
		{name: "all of 127/8", host: "127.1.2.3", loopback: true},
		{name: "no host", host: "", loopback: true},
		{name: "rebound", host: "evil.example", loopback: true, code: "host_not_allowed"},
		{name: "rebound with the port", host: "evil.example:8080", loopback: true, code: "host_not_allowed"},
		{name: "like localhost", host: "localhost.evil.example", loopback: true, code: "host_not_allowed"},
		{name: "like an address", host: "127.0.0.1.evil.example:8080", loopback: true, code: "host_not_allowed"},
		{name: "address of the network", host: "192.168.1.2", loopback: true, code: "host_not_allowed"},
		{name: "user in the host", host: "localhost@evil.example", loopback: true, code: "host_not_allowed"},
		{name: "configured", host: "Antiphon.internal:80", loopback: true, hosts: "antiphon.internal"},
		{name: "elsewhere any", host: "api.example"},
		{name: "elsewhere configured", host: "api.example", hosts: "api.example"},
		{name: "elsewhere rebound", host: "evil.example", hosts: "api.example", code: "host_not_allowed"},
		{name: "elsewhere by its address", host: "192.168.1.2:80", hosts: "api.example"},

		{name: "foreign origin", host: listener, headers: "Origin: https://evil.example", loopback: true, code: "origin_not_allowed"},
		{name: "null", host: listener, headers: "Origin: null", loopback: true, code: "origin_not_allowed"},
		{name: "another port of localhost", host: "localhost:8080", headers: "Origin: http://localhost:3000", loopback: true, code: "origin_not_allowed"},
		{name: "localhost is not 127.0.0.1", host: listener, headers: "Origin: http://localhost:8080", loopback: true, code: "origin_not_allowed"},
		{name: "an extension", host: listener, headers: "Origin: chrome-extension://abc", loopback: true, code: "origin_not_allowed"},
		{name: "its own page", host: listener, headers: "Origin: http://127.0.0.1:8080", loopback: true},
		{name: "configured page", host: listener, headers: "Origin: https://App.example", loopback: true, origin: "https://app.example"},
		{name: "begins like one", host: listener, headers: "Origin: https://app.example.evil", loopback: true, origin: "https://app.example", code: "origin_not_allowed"},
		{name: "pattern", host: listener, headers: "Origin: http://localhost:3000", loopback: true, origin: "http://localhost:*"},
		{name: "all", host: listener, headers: "Origin: null", loopback: true, origin: "*"},
		{name: "null configured", host: listener, headers: "Origin: null", loopback: true, origin: "null"},
		{name: "with keys on loopback", host: listener, headers: "Origin: https://evil.example", loopback: true, keys: true, code: "origin_not_allowed"},
		{name: "with keys elsewhere", host: "api.example", headers: "Origin: https://app.example", keys: true},
		{name: "without keys elsewhere", host: "api.example", headers: "Origin: https://app.example", code: "origin_not_allowed"},

		{name: "an image of another page", host: listener, headers: "Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: no-cors", loopback: true, code: "origin_not_allowed"},
		{name: "of another port", host: listener, headers: "Sec-Fetch-Site: same-site|Sec-Fetch-Mode: no-cors", loopback: true, code: "origin_not_allowed"},
		{name: "a link", host: listener, headers: "Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate", loopback: true},
		{name: "typed", host: listener, headers: "Sec-Fetch-Site: none|Sec-Fetch-Mode: navigate", loopback: true},
	} {
		cfg := config.Default()
		if test.hosts != "" {
			cfg.AllowedHosts = []string{test.hosts}
		}
		if test.origin != "" {
			cfg.AllowedOrigins = []string{test.origin}
		}
		address := "0.0.0.0:8080"
		if test.loopback {
			address = listener
		}
		p := newPages(cfg, address, test.keys)
		h := http.Header{}
		for line := range strings.SplitSeq(test.headers, "|") {
			name, value, _ := strings.Cut(line, ": ")
			h.Set(name, value)
		}
		code := ""
		if err := p.refuse(test.host, h.Get("Origin"), h.Get("Sec-Fetch-Site"), h.Get("Sec-Fetch-Mode")); err != nil {
			code = err.Code
		}
		if code != test.code {
			t.Errorf("%s: got %q, want %q", test.name, code, test.code)
		}
	}
}

// TestPagesReachNothing: every route of both listeners asks, and nothing reaches the
// upstream.
func TestPagesReachNothing(t *testing.T) {
	up := newEcho(t)
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Admin = "127.0.0.1:9090" })
	for _, bad := range []string{"Host: evil.example", "Origin: https://evil.example", "Origin: null"} {
		for _, route := range []string{
			"GET /healthz", "GET /readyz", "GET /v1/models", "POST /v1/responses", "GET /v1/responses/resp_1", "DELETE /v1/responses/resp_1",
			"POST /v1/chat/completions", "POST /v1/embeddings", "POST /v1/conversations", "OPTIONS /v1/responses", "POST /anything",
		} {
			method, path, _ := strings.Cut(route, " ")
			for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", ""} {
				l := r.dial()
				head := method + " " + path + " HTTP/1.1\r\n" + bad + "\r\n"
				if !strings.HasPrefix(bad, "Host") {
					head += "Host: " + r.addr + "\r\n"
				}
				if kind != "" {
					head += "Content-Type: " + kind + "\r\n"
				}
				l.write(head + "Content-Length: 25\r\nConnection: close\r\n\r\n" + `{"model":"m","input":"x"}`)
				if got := l.head(); got.StatusCode != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s, %s, %s: %d", bad, route, kind, got.StatusCode)
				}
			}
		}
		name, value, _ := strings.Cut(bad, ": ")
		for _, path := range []string{"/metrics", "/healthz", "/dialects", "/debug/pprof/", "/debug/pprof/heap"} {
			req := httptest.NewRequest("GET", "http://127.0.0.1:9090"+path, nil)
			if name == "Host" {
				req.Host = value
			} else {
				req.Header.Set(name, value)
			}
			rec := httptest.NewRecorder()
			r.srv.Admin().ServeHTTP(rec, req)
			if rec.Code != 403 || !strings.Contains(rec.Body.String(), `"error"`) {
				t.Errorf("%s, admin %s: %d", bad, path, rec.Code)
			}
		}
		if _, resp, err := r.upgrade(bad); err == nil || resp == nil || resp.StatusCode != 403 {
			if name != "Host" { // which that client sets itself
				t.Errorf("%s: an upgrade: %v, %v", bad, resp, err)
			}
		}
	}
	rec := httptest.NewRecorder()
	r.srv.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost:9090/metrics", nil))
	if rec.Code != 200 {
		t.Errorf("metrics: %d", rec.Code)
	}
	l := r.dial()
	l.write("GET http://evil.example/v1/models HTTP/1.1\r\nHost: " + r.addr + "\r\nConnection: close\r\n\r\n")
	if got := l.head(); got.StatusCode != 403 {
		t.Errorf("a whole URL: %d", got.StatusCode)
	}
	l = r.dial()
	l.write("GET /v1/models HTTP/1.1\r\nHost: " + r.addr + "\r\nOrigin: http://" + r.addr + "\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n")
	if got := l.head(); got.StatusCode != 403 {
		t.Errorf("two origins: %d", got.StatusCode)
	}
	if n := len(up.Requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func TestContentTypesOfJSON(t *testing.T) {
	r := newRig(t, newEcho(t).URL(), func(s *setup) { s.cfg.AllowedOrigins = []string{"https://app.example"} })
	for _, test := range []struct {
		kind   string
		origin bool
		status int
	}{
		{"application/json", false, 200}, {"application/json; charset=utf-8", true, 200}, {"APPLICATION/JSON", false, 200},
		{"application/x-www-form-urlencoded", false, 200}, {"", false, 200}, // curl -d
		{"application/x-www-form-urlencoded", true, 415}, {"", true, 415},
		{"text/plain", false, 415}, {"text/plain;charset=UTF-8", true, 415}, {"multipart/form-data; boundary=x", false, 415},
	} {
		headers := []string{"Content-Type: " + test.kind}
		if test.kind == "" {
			headers = []string{"Content-Type:"}
		}
		if test.origin {
			headers = append(headers, "Origin: https://app.example")
		}
		if got := r.post(`{"model":"m","input":"x"}`, headers...); got.status != test.status {
			t.Errorf("%q, from a page %v: %d %s", test.kind, test.origin, got.status, got.body)
		}
	}
}
