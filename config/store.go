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

// Redacted is Kind without the password, and without a query that could hold one.
func (s *Store) Redacted() string {
	scheme, rest, ok := strings.Cut(s.Kind, "://")
	if !ok {
		return s.Kind
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	users, query := rest[:end], rest[end:]
	if at := strings.LastIndexByte(users, '@'); at >= 0 {
		if user, password, _ := strings.Cut(users[:at], ":"); password != "" {
			users = user + ":" + hidden + users[at:]
		}
	}
	path, parameters, ok := strings.Cut(query, "?")
	if !ok {
		return scheme + "://" + users + query
	}
	parts := strings.Split(parameters, "&")
	for i, part := range parts {
		if name, value, _ := strings.Cut(part, "="); value != "" && !slices.Contains(shownParameters, name) {
			parts[i] = name + "=" + hidden
		}
	}
	return scheme + "://" + users + path + "?" + strings.Join(parts, "&")
}

// shownParameters are those of a store's URL that are no secret.
var shownParameters = []string{"addr", "master_set"}

// host is the server's, or "".
func (s *Store) host() string {
	u, err := url.Parse(s.Kind)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
