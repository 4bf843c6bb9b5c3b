package config

import (
	"net/url"
	"strings"
)

// minHeaderSecret is the length from which on the value of a configured header is
// taken for a secret: "true" and versions of an API are none.
const minHeaderSecret = 8

// Secrets are the operator's secrets in the configuration, in every form in which
// somebody could repeat them: keys and headers of upstreams, queries of their URLs,
// the store's password, and the keys of envelopes. They are for finding them in what
// is about to be logged or sent, and for nothing else.
func (c *Config) Secrets() (list []string) {
	add := func(s string) {
		if s != "" {
			list = append(list, s)
		}
	}
	for _, u := range c.All() {
		add(u.Key.Reveal())
		for _, value := range u.Headers {
			text := value.Reveal()
			if len(text) < minHeaderSecret {
				continue
			}
			add(text)
			if scheme, rest, ok := strings.Cut(text, " "); ok && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "basic")) {
				add(strings.TrimSpace(rest))
			}
		}
		for _, value := range secretQuery(u.URL) {
			add(value)
		}
	}
	for _, key := range c.Seal.Keys {
		add(key.Reveal())
	}
	if u, err := url.Parse(c.Store.Kind); err == nil && c.Store.Backend() == StoreRedis {
		if password, ok := u.User.Password(); ok {
			add(password)
			_, escaped, _ := strings.Cut(u.User.String(), ":")
			add(escaped)
		}
		if c.Store.HasPassword() {
			add(c.Store.Kind)
		}
		for _, value := range secretQuery(c.Store.Kind) {
			add(value)
		}
	}
	return list
}

// secretQuery are the values in a URL's query that Redacted hides, as they are and
// unescaped.
func secretQuery(raw string) (values []string) {
	_, query, _ := strings.Cut(raw, "?")
	for part := range strings.SplitSeq(query, "&") {
		name, value, named := strings.Cut(part, "=")
		if !named {
			value = name
		}
		if named && strings.EqualFold(name, "api-version") || len(value) < minHeaderSecret {
			continue
		}
		values = append(values, value)
		if plain, err := url.QueryUnescape(value); err == nil && plain != value {
			values = append(values, plain)
		}
	}
	return values
}

// HasPassword reports whether Kind is a URL with a password, or with a query that could
// hold one.
func (s *Store) HasPassword() bool { return s.Redacted() != s.Kind }

// onCommandLine are the keys of secrets whose values stand on the command line, where
// every user of the machine can read them.
func (c *Config) onCommandLine() (keys []string) {
	if c.literal["store.kind"] && c.Store.HasPassword() {
		keys = append(keys, "store.kind")
	}
	for section, u := range c.sections() {
		if c.literal[section+".key"] && !u.Key.IsZero() {
			keys = append(keys, section+".key")
		}
		for name := range u.Headers {
			if key := section + ".headers." + name; c.literal[key] {
				keys = append(keys, key)
			}
		}
		if c.literal[section+".url"] && redactURL(u.URL) != u.URL {
			keys = append(keys, section+".url")
		}
	}
	if c.literal["seal.keys"] && len(c.Seal.Keys) > 0 {
		keys = append(keys, "seal.keys")
	}
	return keys
}
