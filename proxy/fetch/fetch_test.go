package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// refusedURLs are ways to ask for what a client has no business with. All are
// refused, and none is connected to.
var refusedURLs = strings.Fields(`
http://example.com/a.png http://127.0.0.1/ ftp://example.com/x file:///etc/passwd gopher://example.com/ data:text/plain,x
javascript:alert(1) https:// https:///x https://user@example.com/ https://user:pw@example.com/ //example.com/x example.com/x
https://example.com:80/ https://example.com:8443/ https://example.com:22/ https://example.com:0/ https://example.com:65536/
unix:///var/run/docker.sock dict://127.0.0.1:11211/ ldap://127.0.0.1/ jar:https://example.com!/ view-source:https://example.com
https://127.0.0.1/ https://127.1.2.3/ https://127.0.0.1:443/ https://localhost/ https://LOCALHOST/ https://localhost./
https://127.1/ https://127.0.1/ https://2130706433/ https://0x7f000001/ https://0x7f.0.0.1/ https://0177.0.0.1/
https://017700000001/ https://0/ https://0.0.0.0/ https://0.1.2.3/ https://10.0.0.1/ https://10.255.255.255/
https://172.16.0.1/ https://172.31.255.254/ https://192.168.0.1/ https://192.168.255.255/ https://169.254.169.254/latest/meta-data/
https://169.254.170.2/ https://100.64.0.1/ https://100.100.100.200/ https://100.127.255.254/ https://168.63.129.16/
https://192.0.0.1/ https://192.0.0.192/ https://192.0.2.1/ https://198.18.0.1/ https://198.19.255.255/ https://198.51.100.7/
https://203.0.113.9/ https://224.0.0.1/ https://239.255.255.250/ https://240.0.0.1/ https://255.255.255.255/ https://192.88.99.1/
https://[::1]/ https://[::]/ https://[::1]:443/ https://[0:0:0:0:0:0:0:1]/ https://[::ffff:127.0.0.1]/ https://[::ffff:7f00:1]/
https://[::ffff:10.0.0.1]/ https://[::ffff:169.254.169.254]/ https://[::127.0.0.1]/ https://[::7f00:1]/ https://[64:ff9b::7f00:1]/
https://[64:ff9b::169.254.169.254]/ https://[64:ff9b:1::1]/ https://[2002:7f00:1::]/ https://[2002:a9fe:a9fe::1]/
https://[2001:0:7f00:1::]/ https://[2001:db8::1]/ https://[2001:10::1]/ https://[fc00::1]/ https://[fd00:ec2::254]/
https://[fe80::1]/ https://[fe80::1%25lo]/ https://[fec0::1]/ https://[ff02::1]/ https://[100::1]/ https://[3fff::1]/ https://[5f00::1]/
https://[::1%25lo]/ https://[::ffff:0:127.0.0.1]/ https://127.0.0.1%2f@example.com/ https://example.com\@127.0.0.1/ https://[::1 https://exa%00mple/
`)

func TestRefused(t *testing.T) {
	if len(refusedURLs) < 80 {
		t.Fatalf("only %d URLs", len(refusedURLs))
	}
	c := New(Options{MaxBytes: 1 << 20, Timeout: 5 * time.Second})
	for _, u := range refusedURLs {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		out, err := c.DataURL(ctx, nil, u)
		cancel()
		// A name that only looks like an address may fail in its lookup.
		lookup := strings.HasPrefix(u, "https://0") || strings.HasPrefix(u, "https://2130706433") || strings.HasPrefix(u, "https://127.") ||
			strings.HasPrefix(u, "https://exa%00") || strings.HasPrefix(u, "https://localhost.")
		if err == nil || out != nil || !errors.Is(err, ErrURL) && !lookup {
			t.Errorf("%s: %q, %v", u, out, err)
		}
	}
}

func TestPublic(t *testing.T) {
	for ip, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "100.128.0.0": true,
		"169.253.255.255": true, "198.20.0.0": true, "223.255.255.255": true, "2606:4700::1111": true, "2a00:1450::1": true,
		"::ffff:8.8.8.8": true, "168.63.129.17": true,
		"9.255.255.255": true, "10.0.0.0": false, "224.0.0.0": false, "2001:4860::1": true, "4000::1": false, "1fff::1": false,
	} {
		if got := Public(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestFetch(t *testing.T) {
	var referer, auth string
	mux := http.NewServeMux()
	serve := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			referer, auth = r.Header.Get("Referer"), r.Header.Get("Authorization")+r.Header.Get("Cookie")
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		})
	}
	serve("/ok.png", "image/png", "PNG")
	serve("/doc", "Application/PDF; x=y", "PDF")
	serve("/html", "text/html", "<html>")
	serve("/odd", `image/png",x`, "x")
	serve("/large", "image/png", strings.Repeat("x", 2000))
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		for range 20 {
			fmt.Fprint(w, strings.Repeat("x", 100))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	redirect := func(path, to string) { mux.Handle(path, http.RedirectHandler(to, http.StatusFound)) }
	redirect("/once", "/ok.png")
	redirect("/plain", "http://example.com/x")
	redirect("/file", "file:///etc/passwd")
	redirect("/loop", "/loop")
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	redirect("/inside", "https://127.0.0.9:1/")
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	home := netip.MustParseAddrPort(srv.Listener.Addr().String())
	c := New(Options{MaxBytes: 1000, Timeout: 300 * time.Millisecond, TLS: &tls.Config{RootCAs: roots},
		Allow: func(at netip.AddrPort) bool { return at == home }})
	for path, want := range map[string]string{
		"/ok.png": "data:image/png;base64,UE5H", "/doc": "data:application/pdf;base64,UERG", "/once": "data:image/png;base64,UE5H",
		"/html": "", "/odd": "", "/large": "", "/chunks": "", "/slow": "", "/plain": "", "/file": "", "/loop": "", "/inside": "", "/none": "",
	} {
		got, err := c.DataURL(context.Background(), nil, srv.URL+path)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s tells an address: %v", path, err)
		}
	}
	if referer != "" || auth != "" {
		t.Errorf("sent along: %q %q", referer, auth)
	}
}
