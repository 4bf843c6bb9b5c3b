package config

import (
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Notes are what an operator should know of the configuration though nothing is wrong
// with it.
func (c *Config) Notes() (list []string) {
	if c.Store.Backend() == StoreMemory && len(c.Seal.Keys) == 0 {
		list = append(list, "seal.keys: not set, and the store is memory: reasoning and compactions that clients carry (encrypted_content) cannot be read any more when this process ends")
	}
	return list
}

// Warnings lists what is allowed but is likely a mistake, for the log and for
// "antiphon check". Each begins with the key that it is about. The Config must
// be valid.
func (c *Config) Warnings() []string {
	var list []string
	warn := func(on bool, text string) {
		if on {
			list = append(list, text)
		}
	}
	warn(c.Store.Backend() == StoreMemory && c.Store.MaxBytes < c.Limits.Body,
		"store.max_bytes: smaller than limits.body, so that a large request cannot be stored")
	warn(c.Store.Backend() == StoreBolt && c.Store.MaxDiskBytes < 2*c.Limits.Body,
		"store.max_disk_bytes: smaller than twice limits.body, so that a large request may not be stored")
	open := !loopback(c.Listen) && c.Auth.APIKeysFile == ""
	for section, u := range c.sections() {
		target, err := u.Target()
		if err != nil {
			continue
		}
		warn(open && !u.Key.IsZero(),
			"listen: anyone who can reach "+c.Listen+" spends "+section+".key; set auth.api_keys_file")
		warn(open && u.Key.IsZero() && section == "upstream",
			"listen: anyone who can reach "+c.Listen+" can use the upstream; set auth.api_keys_file, or let the upstream check keys")
		warn(c.Auth.APIKeysFile != "" && u.Key.IsZero() && !private(target.Hostname),
			section+".key: not set, and with auth.api_keys_file no client's Authorization is forwarded, so that the upstream gets no credential")
		warn(c.Auth.APIKeysFile == "" && u.Key.IsZero() && len(c.Upstreams) > 0,
			section+".key: not set, so that this upstream gets the client's Authorization, as others may; set a key for each")
		warn(!target.TLS && !u.Key.IsZero() && !private(target.Hostname),
			section+".url: "+section+".key travels in clear text to "+target.Hostname+"; use https://")
		warn(u.TLS.InsecureSkipVerify,
			section+".tls.insecure_skip_verify: anyone on the way to the upstream can read keys and answers")
		d, err := u.EffectiveDialect()
		warn(err == nil && d.Name == "azure" && !strings.Contains(target.BasePath, "/openai"),
			section+".url: Azure's path is /openai/v1, or /openai/deployments/NAME with ?api-version=…")
		warn(u.NamePrefix && u.API != APIResponses,
			section+".name_prefix: says nothing, because the upstream speaks the Chat API, whose messages have names")
		warn(u.ReasoningSummary != SummaryOff && u.API != APIResponses,
			section+".reasoning_summary: says nothing, because the upstream speaks the Chat API, which has no summaries")
		for _, effort := range u.unknownEfforts() {
			warn(true, section+".overrides.reasoning.efforts: "+effort+" is not an effort that this version knows")
		}
		warn(u.Connections.Max < c.Limits.Concurrency,
			section+".connections.max: smaller than limits.concurrency, so that clients may be refused while others wait")
		warn(c.Store.Backend() == StoreMemory && u.MaxResponseBytes > c.Store.MaxBytes,
			"store.max_bytes: smaller than "+section+".max_response_bytes, so that a large response cannot be stored")
	}
	for _, key := range c.onCommandLine() {
		warn(true, key+": the secret stands on the command line, where every user of this machine can read it; take it from the environment "+
			"(--store-env NAME, --upstream-key-env NAME, ${NAME} in --set) or from a file (--store-file, --config)")
	}
	warn(c.Store.TLS.InsecureSkipVerify,
		"store.tls.insecure_skip_verify: anyone on the way to the store can read and change what is stored")
	warn(c.Store.Backend() == StoreRedis && !c.Store.encrypted() && !private(c.Store.host()),
		"store.kind: what is stored travels in clear text to "+c.Store.host()+"; use rediss://")
	warn(c.Admin != "" && !loopback(c.Admin),
		"admin: metrics and profiles are readable by anyone who can reach "+c.Admin)
	return list
}

// sections are all upstreams by their dotted paths, upstream first.
func (c *Config) sections() iter.Seq2[string, *Upstream] {
	return func(yield func(string, *Upstream) bool) {
		for name, u := range c.All() {
			section := "upstream"
			if name != DefaultUpstream {
				section = joinPath([]string{"upstreams", name})
			}
			if !yield(section, u) {
				return
			}
		}
	}
}

// loopback reports whether an address of a listener is for this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// Loopback reports whether an address of a listener, host:port, is for this machine
// only.
func Loopback(address string) bool { return loopback(address) }

// everywhere reports whether a listener's host is all addresses of the machine.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}

// private reports whether a host is not on the public internet, as far as its
// name tells.
func private(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") || slices.ContainsFunc(
		[]string{".local", ".internal", ".localhost", ".lan", ".svc", ".home.arpa"},
		func(suffix string) bool { return strings.HasSuffix(host, suffix) })
}
