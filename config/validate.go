package config

import (
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Longest time span that makes sense for a phase of one request, and for
// keeping a record. Nothing is endless: what waits for ever is a leak.
const (
	maxPhase = Duration(24 * time.Hour)
	maxTTL   = Duration(10 * 365 * 24 * time.Hour)
	minPhase = Duration(time.Millisecond)
)

// Validate checks ranges and rules across keys. Load and Parse have done so.
func (c *Config) Validate() error { return joined(c.validate()) }

// validator collects complaints about a Config.
type validator struct {
	places map[string]place
	errs   []*Error
}

func (c *Config) validate() []*Error {
	v := &validator{places: c.places}
	v.enums(reflect.ValueOf(*c), "")
	v.listeners(c)
	v.upstreams(c)
	v.store(&c.Store)
	v.seal(&c.Seal)
	v.size("fetch.max_bytes", c.Fetch.MaxBytes, 1*KiB, 256*MiB)
	v.count("fetch.max_files", c.Fetch.MaxFiles, 1, 100)
	v.duration("fetch.timeout", c.Fetch.Timeout, minPhase, Duration(5*time.Minute))
	v.limits(&c.Limits)
	v.stream(&c.Stream)
	v.background(&c.Background)
	v.websocket(&c.WebSocket)
	v.duration("shutdown.delay", c.Shutdown.Delay, 0, Duration(time.Hour))
	v.duration("shutdown.drain", c.Shutdown.Drain, 0, maxPhase)
	return v.errs
}

func (v *validator) fail(key, format string, args ...any) {
	v.errs = append(v.errs, complaint(v.place(key), key, format, args...))
}

// place is where a key was set, or its section.
func (v *validator) place(key string) place {
	for {
		if at, ok := v.places[key]; ok {
			return at
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return place{}
		}
		key = key[:dot]
	}
}

func (v *validator) duration(key string, d, low, high Duration) {
	if d < low || d > high {
		v.fail(key, "%v is out of range; it must be from %v to %v", d, low, high)
	}
}

func (v *validator) size(key string, b, low, high ByteSize) {
	if b < low || b > high {
		v.fail(key, "%v is out of range; it must be from %v to %v", b, low, high)
	}
}

func (v *validator) count(key string, n, low, high int) {
	if n < low || n > high {
		v.fail(key, "%d is out of range; it must be from %d to %d", n, low, high)
	}
}

// enums checks all enumerations, for a Config that a program has made.
func (v *validator) enums(section reflect.Value, prefix string) {
	for f := range fields(section.Type()) {
		value := section.FieldByIndex(f.index)
		if f.typ.Kind() == reflect.Map && isSection(f.typ.Elem()) {
			for name, one := range value.Seq2() {
				v.enums(one, joinPath([]string{prefix + f.key, name.String()})+".")
			}
		} else if isSection(f.typ) {
			v.enums(value, prefix+f.key+".")
		} else if legal := legalValues(f.typ); legal != nil && !slices.Contains(legal, value.String()) {
			v.fail(prefix+f.key, "unknown value; it can be %s", orList(legal))
		}
	}
}

func (v *validator) listeners(c *Config) {
	for _, host := range c.AllowedHosts {
		if _, problem := checkHost(strings.ToLower(host)); problem != "" || strings.Contains(host, ":") {
			v.fail("allowed_hosts", "must be names of hosts without a port, such as antiphon.internal")
		}
	}
	for _, origin := range c.AllowedOrigins {
		scheme, rest, ok := strings.Cut(origin, "://")
		if origin != "null" && origin != "*" && (!ok || scheme == "" || rest == "" || strings.ContainsAny(rest, "/?# ")) {
			v.fail("allowed_origins", "must be what browsers send as Origin, such as https://app.example.com: scheme, host and port, without a path")
		}
	}
	host, port, ok := v.address("listen", c.Listen)
	if c.Admin == "" {
		return
	}
	adminHost, adminPort, adminOK := v.address("admin", c.Admin)
	if !ok || !adminOK || port != adminPort || port == 0 {
		return
	}
	if host == adminHost || everywhere(host) || everywhere(adminHost) {
		v.fail("admin", "must not be the address of listen: metrics and profiles are not for clients; use another port")
	}
}

// address takes host:port apart.
func (v *validator) address(key, address string) (host string, port uint64, ok bool) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		v.fail(key, "must be host:port, such as %s (an IPv6 address in brackets)", DefaultListen)
		return "", 0, false
	}
	if host != "" {
		var problem string
		if host, problem = checkHost(strings.ToLower(host)); problem != "" {
			v.fail(key, "%s", problem)
			return "", 0, false
		}
	}
	port, err = strconv.ParseUint(portText, 10, 16)
	if err != nil {
		v.fail(key, "the port must be a number from 0 to 65535; 0 lets the system choose")
		return "", 0, false
	}
	return host, port, true
}

// upstreams checks each upstream, and what they say of each other.
func (v *validator) upstreams(c *Config) {
	v.upstream("upstream", &c.Upstream)
	if len(c.Upstream.Serves) > 0 {
		v.fail("upstream.serves", "has no effect: upstream gets what no other one serves; remove it, or put it below upstreams")
	}
	v.fallback("upstream", DefaultUpstream, c.Upstream.Fallback, c)
	for name := range c.Upstreams {
		section, u := joinPath([]string{"upstreams", name}), c.Upstreams[name]
		switch {
		case !isPrincipal([]byte(name)) || len(name) > maxPrincipal:
			v.fail(section, "a name consists of 1 to 64 letters, digits, dots, hyphens and underscores")
		case name == DefaultUpstream:
			v.fail(section, "this is the name of upstream, which is not in the list; use another")
		}
		v.upstream(section, &u)
		if len(u.Serves) == 0 && len(u.Models) == 0 && !c.fallsBackOn(name) {
			v.fail(section+".serves", "the upstream would get no request; write the models that it serves, such as [llama-*]")
		}
		if slices.Contains(u.Serves, "") {
			v.fail(section+".serves", "must consist of names of models, such as llama-*")
		}
		v.fallback(section, name, u.Fallback, c)
	}
}

func (v *validator) fallback(section, own string, names []string, c *Config) {
	for i, name := range names {
		_, known := c.Upstreams[name]
		switch {
		case name == own:
			v.fail(section+".fallback", "an upstream cannot stand in for itself")
		case !known && name != DefaultUpstream:
			v.fail(section+".fallback", "there is no upstream %q; it can be default or a name below upstreams", name)
		case slices.Contains(names[:i], name):
			v.fail(section+".fallback", "%s stands twice", name)
		}
	}
}

// fallsBackOn reports whether an upstream stands in for another.
func (c *Config) fallsBackOn(name string) bool {
	if slices.Contains(c.Upstream.Fallback, name) {
		return true
	}
	for _, u := range c.Upstreams {
		if slices.Contains(u.Fallback, name) {
			return true
		}
	}
	return false
}

func (v *validator) upstream(section string, u *Upstream) {
	target, problem := parseTarget(u.URL)
	if problem != "" {
		v.fail(section+".url", "%s", problem)
	}
	if problem == "" || u.Dialect != "" {
		_, errs := u.effectiveDialect()
		for _, e := range errs {
			e.Key = section + strings.TrimPrefix(e.Key, "upstream")
			if e.File == "" && e.Line == 0 {
				at := v.place(e.Key)
				e.File, e.Line = at.file, at.line
			}
			v.errs = append(v.errs, e)
		}
	}
	v.headers(section, u)
	for alias, model := range u.Models {
		if strings.TrimSpace(alias) == "" || strings.TrimSpace(model) == "" {
			v.fail(section+".models."+joinPath([]string{alias}), "both names must be given, such as gpt-5: my-model")
		}
	}
	t := &u.Timeouts
	v.duration(section+".timeouts.connect", t.Connect, minPhase, Duration(10*time.Minute))
	v.duration(section+".timeouts.write", t.Write, minPhase, maxPhase)
	v.duration(section+".timeouts.first_byte", t.FirstByte, minPhase, maxPhase)
	v.duration(section+".timeouts.idle", t.Idle, minPhase, maxPhase)
	v.duration(section+".learn_ttl", u.LearnTTL, Duration(time.Second), maxTTL)
	v.count(section+".health.failures", u.Health.Failures, 0, 1_000_000)
	v.duration(section+".health.pause", u.Health.Pause, minPhase, Duration(time.Hour))
	v.count(section+".connections.max", u.Connections.Max, 1, 1_000_000)
	v.duration(section+".connections.idle", u.Connections.Idle, minPhase, Duration(time.Hour))
	v.count(section+".connections.max_idle", u.Connections.MaxIdle, 0, 1_000_000)
	v.size(section+".max_response_bytes", u.MaxResponseBytes, 1*KiB, 64*GiB)
	if problem == "" && !target.TLS {
		v.unusedTLS(section, &u.TLS, section+".url begins with http://; use https://")
	}
	if u.TLS.ServerName != "" {
		if _, problem := checkHost(strings.ToLower(u.TLS.ServerName)); problem != "" {
			v.fail(section+".tls.server_name", "must be a host name, without scheme and port")
		}
	}
}

// unusedTLS refuses what would have no effect: whoever has set it believes the
// connection to be safe.
func (v *validator) unusedTLS(section string, t *TLS, because string) {
	message := "has no effect, because " + because + ", or remove this"
	if t.CAFile != "" {
		v.fail(section+".tls.ca_file", "%s", message)
	}
	if t.InsecureSkipVerify {
		v.fail(section+".tls.insecure_skip_verify", "%s", message)
	}
	if t.ServerName != "" {
		v.fail(section+".tls.server_name", "%s", message)
	}
}

func (v *validator) headers(section string, u *Upstream) {
	if hasControl(u.Key.Reveal()) || !isASCII(u.Key.Reveal()) {
		v.fail(section+".key", "must consist of printable ASCII characters")
	}
	switch {
	case u.KeyHeader == "":
	case !isToken(u.KeyHeader):
		v.fail(section+".key_header", "must be the name of a header, such as api-key, without spaces or a colon")
	case ownHeader(u.KeyHeader):
		v.fail(section+".key_header", "antiphon sets this header itself; use another")
	case u.Key.IsZero():
		v.fail(section+".key_header", "has no effect without %s.key; set that, or remove this", section)
	}
	seen := map[string]bool{}
	for name, value := range u.Headers {
		key := section + ".headers." + joinPath([]string{name})
		lower := strings.ToLower(name)
		switch {
		case !isToken(name):
			v.fail(key, "not the name of a header; use letters, digits and hyphens")
		case lower == "authorization" || strings.EqualFold(name, u.KeyHeader):
			v.fail(key, "a credential belongs into %s.key (key_header: %s sends it without Bearer)", section, name)
		case ownHeader(name):
			v.fail(key, "antiphon sets this header itself; remove it")
		case seen[lower]:
			v.fail(key, "given twice, in upper and lower case; remove one")
		case hasControl(value.Reveal()) || !isASCII(value.Reveal()):
			v.fail(key, "the value must consist of printable ASCII characters")
		}
		seen[lower] = true
	}
}

func (v *validator) store(s *Store) {
	switch backend, problem := s.backend(); {
	case problem != "":
		v.fail("store.kind", "%s", problem)
	case backend != StoreRedis:
		v.unusedTLS("store", &s.TLS, "store.kind is "+backend+"; use rediss://")
	case !s.encrypted():
		v.unusedTLS("store", &s.TLS, "store.kind has no TLS; use rediss://")
	}
	if strings.ContainsAny(s.Prefix, "{}") || hasControl(s.Prefix) {
		v.fail("store.prefix", "must not contain braces or control characters")
	}
	v.size("store.max_bytes", s.MaxBytes, 1*MiB, 16*TiB)
	v.size("store.max_disk_bytes", s.MaxDiskBytes, 8*MiB, 16*TiB)
	v.duration("store.ttl", s.TTL, Duration(time.Second), maxTTL)
	v.size("store.history_cache_bytes", s.HistoryCacheBytes, 0, 16*TiB)
	if s.HistoryCacheBytes > 0 && s.HistoryCacheBytes < 64*KiB {
		v.fail("store.history_cache_bytes", "%v holds nothing; it must be at least 64KiB, or 0 for no cache", s.HistoryCacheBytes)
	}
}

// minSealKey is the fewest bytes of a key: 32 random hex digits are 128 bits.
const minSealKey = 32

func (v *validator) seal(s *Seal) {
	for i, k := range s.Keys {
		switch {
		case len(k.Reveal()) < minSealKey:
			v.fail("seal.keys", "key %d is too short; it must have at least %d characters, such as the output of: openssl rand -hex 32", i+1, minSealKey)
		case slices.ContainsFunc(s.Keys[:i], func(other Secret) bool { return other.Reveal() == k.Reveal() }):
			v.fail("seal.keys", "key %d is given twice; remove one", i+1)
		}
	}
}

func (v *validator) limits(l *Limits) {
	v.size("limits.body", l.Body, 1*KiB, 1*GiB)
	v.size("limits.upload", l.Upload, 1*KiB, 1*TiB)
	v.size("limits.header", l.Header, 1*KiB, 1*MiB)
	v.count("limits.depth", l.Depth, 8, 10_000)
	v.count("limits.values", l.Values, 100, 100_000_000)
	v.count("limits.items", l.Items, 1, 1_000_000)
	v.count("limits.concurrency", l.Concurrency, 1, 1_000_000)
	v.count("limits.tenant.requests_per_minute", l.Tenant.RequestsPerMinute, 0, maxQuota)
	v.count("limits.tenant.tokens_per_minute", l.Tenant.TokensPerMinute, 0, maxQuota)
	v.count("limits.tenant.concurrency", l.Tenant.Concurrency, 0, maxQuota)
	v.count("limits.connections", l.Connections, 0, 10_000_000)
	v.count("limits.connections_per_address", l.ConnectionsPerAddress, 0, 10_000_000)
	if l.Memory != 0 {
		v.size("limits.memory", l.Memory, 1*MiB, 1*TiB)
	}
	v.size("limits.upload_rate", l.UploadRate, 0, 1*GiB)
	v.duration("limits.upload_timeout", l.UploadTimeout, minPhase, maxPhase)
	v.duration("limits.read_timeout", l.ReadTimeout, minPhase, maxPhase)
	v.duration("limits.idle_timeout", l.IdleTimeout, minPhase, maxPhase)
	v.duration("limits.write_timeout", l.WriteTimeout, minPhase, maxPhase)
}

func (v *validator) stream(s *Stream) {
	v.duration("stream.heartbeat", s.Heartbeat, 0, Duration(time.Hour))
	if s.Heartbeat > 0 && s.Heartbeat < Duration(10*time.Millisecond) {
		v.fail("stream.heartbeat", "%v would be a flood; it must be at least 10ms, or 0s for none", s.Heartbeat)
	}
	v.duration("stream.usage_grace", s.UsageGrace, 0, Duration(time.Minute))
}

func (v *validator) background(b *Background) {
	v.count("background.workers", b.Workers, 0, 100_000)
	v.count("background.queue", b.Queue, 1, 1_000_000)
	v.count("background.tenant_share", b.TenantShare, 1, 100)
	v.duration("background.lease", b.Lease, Duration(100*time.Millisecond), Duration(time.Hour))
	v.duration("background.resume_for", b.ResumeFor, 0, maxPhase)
}

func (v *validator) websocket(w *WebSocket) {
	v.duration("websocket.ping", w.Ping, Duration(10*time.Millisecond), Duration(time.Hour))
	v.duration("websocket.lifetime", w.Lifetime, Duration(10*time.Millisecond), maxPhase)
	v.count("websocket.in_flight", w.InFlight, 1, 10_000)
	v.count("websocket.lanes", w.Lanes, 0, 10_000)
	v.size("websocket.memory", w.Memory, 0, 16*GiB)
}

// ownHeader reports whether a request header to the upstream is not the user's
// to set: framing, connection and content.
func ownHeader(name string) bool {
	return slices.Contains([]string{
		"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection",
		"keep-alive", "proxy-connection", "upgrade", "te", "trailer", "expect", "accept", "accept-encoding",
	}, strings.ToLower(name))
}

// isToken reports whether s is a token of RFC 9110 §5.6.2, as header names are.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > '~' })
}
