package config

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Target is an upstream URL taken apart. The path of an endpoint follows
// BasePath, and the query follows that:
//
//	POST <BasePath>/chat/completions?<Query> HTTP/1.1
//	Host: <Host>
type Target struct {
	Scheme   string // "http" or "https"
	Addr     string // host:port to dial; the port is always there, an IPv6 address has brackets
	Host     string // value of the Host header: without the scheme's own port
	Hostname string // host without port or brackets, for TLS
	TLS      bool
	BasePath string // such as "/v1": no slash at the end; empty for the root
	Query    string // raw, without the question mark
}

// Target takes URL apart. These are the rules for BasePath:
//
//   - a path with a version in it is used as it is: /v1, /api/paas/v4,
//     /v1beta/openai, /v1/projects/p/locations/l/endpoints/openapi;
//   - so is an Azure deployment, /openai/deployments/x;
//   - a path that ends in /chat/completions is used without that, so that the
//     whole URL of an endpoint always works, also where there is no version;
//   - any other path is a prefix and gets /v1, so that a bare host does.
func (u *Upstream) Target() (Target, error) {
	t, err := u.target()
	if err != nil {
		return Target{}, err
	}
	return t, nil
}

func (u *Upstream) target() (Target, *Error) {
	t, problem := parseTarget(u.URL)
	if problem != "" {
		return Target{}, complaint(place{}, "upstream.url", "%s", problem)
	}
	return t, nil
}

// parseTarget returns what is wrong without repeating the URL: it may have a
// password in it.
func parseTarget(raw string) (t Target, problem string) {
	const example = ", such as " + DefaultUpstreamURL
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f {
			return t, "a URL must not contain spaces, control or non-ASCII characters; percent-encode them"
		}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	t.Scheme = strings.ToLower(scheme)
	if !ok || t.Scheme != "http" && t.Scheme != "https" {
		return t, "must begin with http:// or https://" + example
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	u, err := url.Parse(t.Scheme + "://" + rest)
	switch {
	case strings.Contains(authority, "@"):
		return t, "must not have a user or password in it; put the credential into upstream.key"
	case err != nil:
		return t, "not a URL; write scheme://host[:port][/path]" + example
	case strings.Contains(raw, "#"):
		return t, "must not have a fragment (#…)"
	}
	if t.Hostname, problem = checkHost(strings.ToLower(u.Hostname())); problem != "" {
		return t, problem + example
	}
	host := t.Hostname
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	t.TLS = t.Scheme == "https"
	ownPort := "80"
	if t.TLS {
		ownPort = "443"
	}
	port := u.Port()
	if port == "" {
		port = ownPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return t, "the port must be from 1 to 65535" + example
	}
	port = strconv.FormatUint(n, 10)
	t.Addr, t.Host = host+":"+port, host
	if port != ownPort {
		t.Host = t.Addr
	}
	t.Query = u.RawQuery
	t.BasePath, problem = basePath(u.EscapedPath())
	return t, problem
}

// basePath makes the base path of a URL's path.
func basePath(path string) (base, problem string) {
	var segments []string
	versioned := false
	for s := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(s)
		if err != nil || plain == "." || plain == ".." {
			return "", "the path must not contain . or .. segments"
		}
		if s == "" {
			continue // doubled slashes, and the one at the end
		}
		segments = append(segments, s)
		versioned = versioned || isVersion(s) || s == "deployments"
	}
	n := len(segments)
	switch {
	case n >= 2 && segments[n-2] == "chat" && segments[n-1] == "completions":
		segments = segments[:n-2]
	case !versioned:
		segments = append(segments, "v1")
	}
	if len(segments) == 0 {
		return "", ""
	}
	return "/" + strings.Join(segments, "/"), ""
}

// isVersion reports whether a path segment is an API version, such as v1,
// v1beta or v1alpha2.
func isVersion(s string) bool {
	digits := func(s string) string { return strings.TrimLeft(s, "0123456789") }
	if len(s) < 2 || s[0] != 'v' && s[0] != 'V' || digits(s[1:]) == s[1:] {
		return false
	}
	rest := digits(s[1:])
	for _, stage := range []string{"alpha", "beta", "preview"} {
		if after, ok := strings.CutPrefix(rest, stage); ok {
			rest = digits(after)
			break
		}
	}
	return rest == ""
}

// checkHost returns the host as it is dialled, or what is wrong with it.
func checkHost(host string) (dialled, problem string) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", "an IPv6 zone is not supported"
		}
		return ip.String(), ""
	}
	for _, c := range []byte(host) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return "", "the host must be a name or an IP address (an IPv6 address in brackets)"
		}
	}
	if host == "" || len(host) > 253 || strings.HasPrefix(host, ".") || strings.Contains(host, "..") {
		return "", "the host must be a name or an IP address (an IPv6 address in brackets)"
	}
	return host, ""
}

// AuthHeader returns the header that carries Key to the upstream, and whether
// there is one. The value is a secret.
func (u *Upstream) AuthHeader() (name string, value Secret, ok bool) {
	switch {
	case u.Key.IsZero():
		return "", Secret{}, false
	case u.KeyHeader != "":
		return u.KeyHeader, u.Key, true
	}
	return "Authorization", NewSecret("Bearer " + u.Key.Reveal()), true
}
