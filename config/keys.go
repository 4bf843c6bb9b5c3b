package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Bounds of a file of API keys.
const (
	maxKeysFile  = 64 << 20 // bytes: about half a million keys
	maxKey       = 1024     // bytes; a longer one would not fit a header
	maxPrincipal = 64       // bytes
	maxQuota     = 1_000_000_000
)

// Keys are the API keys that clients come in with. Only SHA-256 hashes of them
// are kept. Keys are safe for concurrent use.
type Keys struct {
	grants map[[sha256.Size]byte]*Grant
}

// Grant is what a key gives. It never changes.
type Grant struct {
	// Principal is the tenant that the key stands for.
	Principal string
	// Models are the models that the key may use, by their names as clients give
	// them; one that ends in * stands for all that begin so. Nil: all models.
	Models []string
	// Quota of the principal when it comes with this key; what is 0 is as in
	// limits.tenant.
	Quota
}

// Quota bounds what one tenant may ask for. 0 is no bound.
type Quota struct {
	RequestsPerMinute int `yaml:"requests_per_minute"` // that a model has to answer
	TokensPerMinute   int `yaml:"tokens_per_minute"`   // that upstreams report, in and out
	Concurrency       int `yaml:"concurrency"`         // requests at a time
}

// Or is q with what is 0 as in other.
func (q Quota) Or(other Quota) Quota {
	if q.RequestsPerMinute == 0 {
		q.RequestsPerMinute = other.RequestsPerMinute
	}
	if q.TokensPerMinute == 0 {
		q.TokensPerMinute = other.TokensPerMinute
	}
	if q.Concurrency == 0 {
		q.Concurrency = other.Concurrency
	}
	return q
}

// Bounded reports whether the key is for certain models only.
func (g *Grant) Bounded() bool { return g != nil && g.Models != nil }

// Allows reports whether the key may use a model. A nil Grant allows all.
func (g *Grant) Allows(model string) bool {
	if g == nil || g.Models == nil {
		return true
	}
	for _, m := range g.Models {
		if m == model {
			return true
		}
		if prefix, ok := strings.CutSuffix(m, "*"); ok && strings.HasPrefix(model, prefix) {
			return true
		}
	}
	return false
}

// LoadKeys reads a file of API keys. Each line has a principal, which is the
// tenant that a key stands for, a key of it, or the key's hash, and what bounds it:
//
//	# comments and blank lines are skipped
//	alice   sk-in-clear
//	alice   sha256:<64 hex digits>    # a second key, while the first is rotated out
//	bob     sk-bob   models=gpt-*,llama3 requests_per_minute=60 tokens_per_minute=100000 concurrency=4
//
// Hashes come from: printf %s "$KEY" | sha256sum. They suit random keys only:
// one that can be guessed can be found from its hash.
func LoadKeys(path string) (*Keys, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading API keys: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeysFile+1))
	defer clear(data)
	if err != nil {
		return nil, fmt.Errorf("reading API keys: %w", err)
	}
	return ParseKeys(path, data)
}

// ParseKeys is LoadKeys for a file that has been read already. The name is for
// complaints. Nothing of data is kept.
func ParseKeys(name string, data []byte) (*Keys, error) {
	if len(data) > maxKeysFile {
		return nil, complaint(place{name, 1}, "", "the file is larger than 64MiB; is it a file of API keys?")
	}
	k := &Keys{grants: map[[sha256.Size]byte]*Grant{}}
	lines := map[[sha256.Size]byte]int{}
	var errs []*Error
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if len(errs) > maxErrors {
			break
		}
		grant, sum, err := parseKeyLine(line)
		switch first := lines[sum]; {
		case err != nil:
			errs = append(errs, complaint(place{name, number}, "", "%v", err))
		case grant == nil:
		case first != 0:
			errs = append(errs, complaint(place{name, number}, "", "this key is in line %d already; every key may stand once", first))
		default:
			k.grants[sum], lines[sum] = grant, number
		}
	}
	if len(errs) == 0 && len(lines) == 0 {
		errs = append(errs, complaint(place{name, max(1, number)}, "", "there is no key in the file, so that nobody could come in; write lines of <principal> <key>"))
	}
	if len(errs) > 0 {
		return nil, joined(errs)
	}
	return k, nil
}

// parseKeyLine reads one line; the grant is nil when there is nothing in it.
// Errors do not repeat what may be a key.
func parseKeyLine(line []byte) (grant *Grant, sum [sha256.Size]byte, err error) {
	words := bytes.Fields(line)
	for i, word := range words {
		if word[0] == '#' {
			words = words[:i]
			break
		}
	}
	switch {
	case len(words) == 0:
		return nil, sum, nil
	case len(words) == 1:
		return nil, sum, errors.New("write two words: <principal> <key>, or <principal> sha256:<64 hex digits>")
	case len(words[0]) > maxPrincipal || !isPrincipal(words[0]):
		return nil, sum, errors.New("a principal consists of 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	grant = &Grant{Principal: string(words[0])}
	for _, word := range words[2:] {
		if err := grant.option(string(word)); err != nil {
			return nil, sum, err
		}
	}
	key := words[1]
	if digits, ok := bytes.CutPrefix(key, []byte("sha256:")); ok {
		if len(digits) != hex.EncodedLen(len(sum)) {
			return nil, sum, fmt.Errorf("after sha256: must stand 64 hex digits, not %d characters", len(digits))
		}
		if _, err := hex.Decode(sum[:], digits); err != nil {
			return nil, sum, errors.New("after sha256: must stand 64 hex digits (0-9, a-f)")
		}
		return grant, sum, nil
	}
	if len(key) > maxKey {
		return nil, sum, fmt.Errorf("the key is longer than %d bytes", maxKey)
	}
	for _, c := range key {
		if c <= ' ' || c >= 0x7f {
			return nil, sum, errors.New("a key consists of printable ASCII characters")
		}
	}
	return grant, sha256.Sum256(key), nil
}

// option reads a word behind the key. What is no option is not repeated: it may
// be part of a key.
func (g *Grant) option(word string) error {
	name, value, _ := strings.Cut(word, "=")
	var bound *int
	switch name {
	case "models":
		if g.Models != nil {
			return errors.New("models= stands twice")
		}
		for model := range strings.SplitSeq(value, ",") {
			if model == "" {
				return errors.New("models= must be followed by names of models with commas between them")
			}
			g.Models = append(g.Models, model)
		}
		return nil
	case "requests_per_minute":
		bound = &g.RequestsPerMinute
	case "tokens_per_minute":
		bound = &g.TokensPerMinute
	case "concurrency":
		bound = &g.Concurrency
	default:
		return errors.New("more than two words; a key has no spaces, a comment begins with #, and what may follow a key " +
			"is models=, requests_per_minute=, tokens_per_minute= and concurrency=")
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxQuota {
		return fmt.Errorf("%s= must be followed by a number from 1 to %d", name, maxQuota)
	}
	if *bound != 0 {
		return fmt.Errorf("%s= stands twice", name)
	}
	*bound = n
	return nil
}

func isPrincipal(s []byte) bool {
	for _, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Lookup returns what a key gives. The time it takes depends on the key's length
// alone: what is compared are hashes, which a caller cannot steer towards those
// of real keys byte by byte.
func (k *Keys) Lookup(key []byte) (grant *Grant, ok bool) {
	grant, ok = k.grants[sha256.Sum256(key)]
	return grant, ok
}

// Len returns the number of keys.
func (k *Keys) Len() int { return len(k.grants) }

// String implements fmt.Stringer without the hashes.
func (k *Keys) String() string { return fmt.Sprintf("%d API keys", k.Len()) }

// GoString implements fmt.GoStringer without the hashes.
func (k *Keys) GoString() string { return k.String() }
