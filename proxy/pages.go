package proxy

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Web pages reach whatever listens on the machine of the person who looks at them, and
// in that person's network. They cannot choose what the browser says of them in Host,
// Origin and Sec-Fetch-Site, so that decides, here and nowhere else, for both
// listeners:
//
//   - On a loopback address, Host is localhost, a loopback address or a configured
//     name: any other name has been made to lead here (DNS rebinding).
//   - A request with the Origin of another page is refused unless that is configured:
//     on loopback addresses always, and elsewhere where no API key is asked for, since
//     a page has none. "null" is another page, and so is another port of localhost.
//     A page that comes from the listener itself is none.
//   - A browser that asks for another page without an Origin (an image, a script) says
//     so in Sec-Fetch-Site. Following a link is allowed.
//   - Where a body is JSON, its Content-Type says so, or is missing or that of a form,
//     as curl -d sends it; with an Origin it says so.

// pages decides what pages may reach a listener.
type pages struct {
	loopback bool // the listener's address
	closed   bool // to pages that are not configured
	hosts    []string
	origins  []string
}

func newPages(cfg *config.Config, address string, keys bool) pages {
	p := pages{loopback: config.Loopback(address), origins: cfg.AllowedOrigins}
	p.closed = p.loopback || !keys
	for _, host := range cfg.AllowedHosts {
		p.hosts = append(p.hosts, strings.ToLower(host))
	}
	return p
}

// refuse returns why a request may not come in, or nil.
func (p *pages) refuse(host, origin, fetchSite, fetchMode string) *translate.Error {
	if !p.allowsHost(host) {
		return pageError("host_not_allowed", "This server is not called by that Host. If it is meant to be, allow the name: "+
			"allowed_hosts in its configuration.")
	}
	switch {
	case !p.closed:
	case origin != "":
		if !p.allowsOrigin(origin, host) {
			return pageError("origin_not_allowed", "This server takes no requests from pages of that Origin. If it is meant to, allow it: "+
				"allowed_origins in its configuration.")
		}
	case (fetchSite == "cross-site" || fetchSite == "same-site") && fetchMode != "navigate" && len(p.origins) == 0:
		return pageError("origin_not_allowed", "This server takes no requests from other pages.")
	}
	return nil
}

func pageError(code, message string) *translate.Error {
	return clientError(fasthttp.StatusForbidden, code, "", message)
}

func (p *pages) allowsHost(host string) bool {
	if host == "" || !p.loopback && len(p.hosts) == 0 { // browsers always send one
		return true
	}
	name := hostname(host)
	if ip, err := netip.ParseAddr(name); err == nil {
		return !p.loopback || ip.Unmap().IsLoopback() || slices.Contains(p.hosts, name)
	}
	return name == "localhost" || slices.Contains(p.hosts, name)
}

// hostname is a Host without its port, brackets, and dot at the end, in lower case.
func hostname(host string) string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		name = host[1 : len(host)-1]
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

func (p *pages) allowsOrigin(origin, host string) bool {
	if host != "" && (strings.EqualFold(origin, "http://"+host) || strings.EqualFold(origin, "https://"+host)) {
		return true
	}
	return slices.ContainsFunc(p.origins, func(allowed string) bool {
		if begin, ok := strings.CutSuffix(allowed, "*"); ok {
			return len(origin) >= len(begin) && strings.EqualFold(origin[:len(begin)], begin)
		}
		return strings.EqualFold(origin, allowed)
	})
}

// refusedPage returns why a request of the main listener may not come in, or nil.
func (s *Server) refusedPage(ctx *fasthttp.RequestCtx) *translate.Error {
	h := &ctx.Request.Header
	host := h.Host()
	origin, site := h.Peek("Origin"), h.Peek("Sec-Fetch-Site")
	if len(origin) == 0 && len(site) == 0 && !s.pages.loopback && len(s.pages.hosts) == 0 {
		return nil // nearly all, where it matters
	}
	if target, ok := absoluteHost(h.RequestURI()); ok && !s.pages.allowsHost(target) {
		host = []byte(target) // the target of the request counts before Host (RFC 9112 §3.2.2)
	}
	for k, v := range h.All() { // of several, none may be another page's
		if string(k) == "Origin" && !bytes.Equal(v, origin) {
			origin = []byte("several")
		}
	}
	return s.pages.refuse(string(host), string(origin), string(site), string(h.Peek("Sec-Fetch-Mode")))
}

// absoluteHost is the host of a request's target that is a whole URL.
func absoluteHost(target []byte) (host string, ok bool) {
	if len(target) == 0 || target[0] == '/' {
		return "", false
	}
	_, rest, ok := strings.Cut(string(target), "://")
	if !ok {
		return "", false
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:], true
}

// notJSON returns why the body of a request cannot be JSON, or nil.
func notJSON(ctx *fasthttp.RequestCtx) *translate.Error {
	h := &ctx.Request.Header
	if !ctx.IsPost() || h.ContentLength() == 0 {
		return nil
	}
	kind, _, _ := strings.Cut(string(h.ContentType()), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	page := len(h.Peek("Origin")) > 0
	switch {
	case kind == "application/json", strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
		return nil
	case !page && (kind == "" || kind == "application/x-www-form-urlencoded" || kind == "application/octet-stream"):
		return nil
	}
	return clientError(fasthttp.StatusUnsupportedMediaType, "unsupported_media_type", "",
		"The body of this request is JSON: send it with the header Content-Type: application/json.")
}

// guarded is the handler of the admin listener behind its pages.
func (s *Server) guarded(next http.Handler) http.Handler {
	if s.cfg.Admin == "" {
		return next
	}
	p := newPages(&s.cfg, s.cfg.Admin, false)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		if err := p.refuse(r.Host, strings.Join(h.Values("Origin"), " "), h.Get("Sec-Fetch-Site"), h.Get("Sec-Fetch-Mode")); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(err.Status)
			_, _ = w.Write(err.AppendBody(nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}
