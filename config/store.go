package config

import (
	"net/url"
	"slices"
	"strings"
)

// Backends of the store.
const (
	StoreMemory = "memory"
	StoreBolt   = "bolt"  // a file
	StoreRedis  = "redis" // or Valkey
)

var redisSchemes = []string{"redis", "rediss", "valkey", "valkeys"}

// storeForms is what Kind can be.
const storeForms = "it can be memory, bolt:FILE or a redis:// URL"

// Backend says which store it is: StoreMemory, StoreBolt or StoreRedis.
func (s *Store) Backend() string {
	backend, _ := s.backend()
	return backend
}

// backend also says what is wrong with Kind, without quoting it: it may have a
// password.
func (s *Store) backend() (backend, problem string) {
	scheme, rest, _ := strings.Cut(s.Kind, ":")
	switch {
	case s.Kind == StoreMemory:
		return StoreMemory, ""
	case scheme == StoreBolt:
		switch {
		case rest == "":
			return StoreBolt, "needs a file, as in bolt:/var/lib/antiphon/state.db"
		case strings.HasPrefix(rest, "//"):
			return StoreBolt, "has a file and no URL; write bolt:/var/lib/antiphon/state.db"
		case strings.HasSuffix(rest, "/"):
			return StoreBolt, "needs a file and not a directory, as in bolt:/var/lib/antiphon/state.db"
		case hasControl(rest):
			return StoreBolt, "must not contain control characters"
		}
		return StoreBolt, ""
	case slices.Contains(redisSchemes, scheme):
		u, err := url.Parse(s.Kind)
		switch {
		case err != nil, u.Opaque != "":
			return StoreRedis, "not a URL such as redis://user:password@host:6379/0; in a password, reserved characters " +
				"are escaped: @ as %40, / as %2F"
		case u.Hostname() == "":
			return StoreRedis, "the URL has no host"
		}
		return StoreRedis, ""
	case slices.Contains([]string{"sqlite", "postgres"}, scheme):
		return "", scheme + " is not in this version; " + storeForms
	}
	return "", "unknown store" + didYouMean(scheme, []string{StoreMemory, StoreBolt, StoreRedis}) + "; " + storeForms
}

// File is the file of a StoreBolt, or "".
func (s *Store) File() string {
	if path, ok := strings.CutPrefix(s.Kind, StoreBolt+":"); ok {
		return path
	}
	return ""
}

// encrypted says whether the connection to the server is.
func (s *Store) encrypted() bool {
	return strings.HasPrefix(s.Kind, "rediss:") || strings.HasPrefix(s.Kind, "valkeys:")
}

// Redacted is Kind without the password.
func (s *Store) Redacted() string {
	scheme, rest, ok := strings.Cut(s.Kind, "://")
	if !ok {
		return s.Kind
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return s.Kind
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	if password == "" {
		return s.Kind
	}
	return scheme + "://" + user + ":" + hidden + rest[at:]
}

// host is the server's, or "".
func (s *Store) host() string {
	u, err := url.Parse(s.Kind)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
